"""Checks of plain JSON values, each naming the key, what is required and what came."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

Grid = tuple[tuple[float, ...], ...]
"""One number per slot: layouts, each with its slots."""


def shown(value: Any) -> str:
    """Return a value as a message shows it, cut where it is long.

    Parameters
    ----------
    value : object
        Whatever came.

    Returns
    -------
    str

    Examples
    --------
    >>> shown("a")
    "'a'"
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def real(key: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number as a float.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : float or int
        Not a bool, not NaN.
    low, high : float
        What it may be at least and at most.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> real("gap", 0, low=0)
    0.0
    """
    good = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        good = good and math.isfinite(value) and low <= value <= high
    except OverflowError:  # a whole number beyond every float
        good = False
    if not good:
        between = "" if (low, high) == (-math.inf, math.inf) else f" in [{low:g}, {high:g}]"
        raise ValueError(f"{key} must be a finite number{between}; got {shown(value)}.")
    return float(value)


def whole(key: str, value: Any, *, low: int = 0) -> int:
    """Return a whole number.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : int
        Not a bool, not a float.
    low : int
        What it may be at least.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> whole("layouts", 40, low=1)
    40
    """
    good = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (good and value >= low):
        raise ValueError(f"{key} must be a whole number >= {low}; got {shown(value)}.")
    return int(value)


def text(key: str, value: Any) -> str:
    """Return text of one line that is not empty.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : str
        Printable, and not spaces alone: it stands in tables.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> text("label", "DIRS")
    'DIRS'
    """
    if not (isinstance(value, str) and value.strip() and value.isprintable()):
        raise ValueError(f"{key} must be printable text, not empty; got {shown(value)}.")
    return value


def flag(key: str, value: Any) -> bool:
    """Return true or false.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : bool
        Neither 0 nor 1.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> flag("learns", True)
    True
    """
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false; got {shown(value)}.")
    return value


def plain(key: str, value: Any) -> Any:
    """Return a value as JSON gives it back: tuples become lists, numbers stay.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : None, bool, int, float, str, list, tuple or mapping of text to such
        Settings.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        For anything else, NaN and infinity included, naming the place.

    Examples
    --------
    >>> plain("arguments", {"net_arch": (64, 64)})
    {'net_arch': [64, 64]}
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(f"{key}[{index}]", one) for index, one in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain(f"{key}.{name}", one) for name, one in value.items()}
    raise ValueError(
        f"{key} must be plain JSON (null, true, false, finite numbers, text, lists, "
        f"objects with text as keys); got {shown(value)}."
    )


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Return a JSON object.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : mapping of str to plain JSON
        See :func:`plain`.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> mapping("arguments", {})
    {}
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be an object; got {shown(value)}.")
    return dict(plain(key, value))


def grid(key: str, value: Any, *, low: float = -math.inf) -> Grid:
    """Return one number per slot: a list of layouts, each a list of as many slots.

    Parameters
    ----------
    key : str
        What the record calls it.
    value : sequence of sequences of float
        Lists, tuples or an array; every layout has as many slots, at least one.
    low : float
        What a number may be at least.

    Returns
    -------
    tuple of tuple of float

    Raises
    ------
    ValueError
        For anything else, naming the layout, and the slot where it is one number's fault.

    Examples
    --------
    >>> grid("slots.nrr", [[1, 0.5]])
    ((1.0, 0.5),)
    """
    rows = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(rows, (list, tuple)) or not rows:
        raise ValueError(f"{key} must be a list of layouts, not empty; got {shown(value)}.")
    for index, row in enumerate(rows):
        if not isinstance(row, (list, tuple)) or not row:
            raise ValueError(
                f"{key}[{index}] must be a list of slots, not empty; got {shown(row)}."
            )
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{key} must have as many slots in every layout; layout 0 has {len(rows[0])}, "
                f"layout {index} has {len(row)}."
            )
    return tuple(
        tuple(real(f"{key}[{i}][{j}]", one, low=low) for j, one in enumerate(row))
        for i, row in enumerate(rows)
    )


def require_keys(name: str, given: Any, keys: Iterable[str]) -> None:
    """Refuse anything but an object with exactly these keys.

    Parameters
    ----------
    name : str
        What the record calls the object.
    given : object
        What came.
    keys : iterable of str
        The keys that it must have.

    Raises
    ------
    ValueError
        If it is no object, lacks a key or has one too many.

    Examples
    --------
    >>> require_keys("seconds", {"training": 1.0, "measuring": 1.0}, ["training", "measuring"])
    """
    keys = list(keys)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be an object with {', '.join(keys)}; got {shown(given)}.")
    missing = [key for key in keys if key not in given]
    unknown = [key for key in given if key not in keys]
    if missing or unknown:
        faults = [f"lacks {', '.join(missing)}"] * bool(missing)
        faults += [f"has unknown {', '.join(map(str, unknown))}"] * bool(unknown)
        raise ValueError(
            f"{name} must have exactly the keys {', '.join(keys)}; it {' and '.join(faults)}."
        )


def replace(record: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is being made.

    Parameters
    ----------
    record : dataclass instance
        In its ``__post_init__``.
    **values : object
        By field.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> one = SimpleNamespace(gap=0)
    >>> replace(one, gap=0.0)
    >>> one.gap
    0.0
    """
    for name, value in values.items():
        object.__setattr__(record, name, value)
