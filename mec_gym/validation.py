"""One sentence form for every refusal: which argument, what is required, what came, where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np

SMALLEST = 1e-30
"""Smallest legal magnitude of a positive physical quantity, in its SI unit."""

LARGEST = 1e30
"""Largest legal magnitude of a physical quantity, in its SI unit.

Within [1e-30, 1e30] no intermediate of the model over- or underflows a double, so the physics
never produces a NaN.
"""


def real_array(name: str, value: Any) -> np.ndarray:
    """Return `value` as a float64 array, or refuse it by name.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : array_like
        Real numbers; text, complex numbers and ragged lists are refused.

    Returns
    -------
    ndarray, float64

    Raises
    ------
    TypeError
        For what is not an array of real numbers.

    Examples
    --------
    >>> real_array("gains", [1, 2])
    array([1., 2.])
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise TypeError(f"{name} must be an array of numbers; got {shown}.")
    return array.astype(np.float64, copy=False)


def require_positive(name: str, value: Any, *, unit: str) -> None:
    """Raise ``ValueError`` unless every entry of `value` lies in [1e-30, 1e30].

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : array_like
        Numbers of any shape.
    unit : str
        The unit of `value`, for the message.

    Raises
    ------
    ValueError
        Names the argument, the requirement and the first offending entry.

    Examples
    --------
    >>> require_positive("bandwidth_hz", 1e6, unit="Hz")
    """
    _require(name, value, SMALLEST, f"must be finite, > 0 and within [1e-30, 1e30] [{unit}]")


def require_nonnegative(name: str, value: Any, *, unit: str) -> None:
    """Raise ``ValueError`` unless every entry of `value` is 0 or lies in [1e-30, 1e30].

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : array_like
        Numbers of any shape.
    unit : str
        The unit of `value`, for the message.

    Raises
    ------
    ValueError
        Names the argument, the requirement and the first offending entry.

    Examples
    --------
    >>> require_nonnegative("weight_energy", 0.0, unit="1/J")
    """
    array = np.asarray(value, dtype=np.float64)
    requirement = f"must be 0 or within [1e-30, 1e30] [{unit}]"
    _require(name, np.where(array == 0.0, 1.0, array), SMALLEST, requirement, shown=array)


def _require(
    name: str, value: Any, low: float, requirement: str, *, shown: np.ndarray | None = None
) -> None:
    array = np.asarray(value, dtype=np.float64)
    # Written so that NaN fails: every comparison with NaN is False.
    bad = ~((array >= low) & (array <= LARGEST))
    if not np.any(bad):
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    where = f" at index {first}" if first else ""
    count = f" ({int(bad.sum())} of {array.size} entries)" if array.size > 1 else ""
    got = float((array if shown is None else shown)[first])
    raise ValueError(f"{name} {requirement}; got {got!r}{where}{count}.")


def require_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ``ValueError`` unless `value` is one of `choices`.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : object
        What was given.
    choices : iterable of str
        The legal values.

    Raises
    ------
    ValueError
        Lists the choices and suggests the nearest.

    Examples
    --------
    >>> require_choice("layout", "fixed", ("fixed", "redrawn"))
    """
    known = list(choices)
    if not (isinstance(value, str) and value in known):
        listed = ", ".join(repr(choice) for choice in known)
        raise ValueError(
            f"{name} must be one of {listed}; got {value!r}{suggestion(value, known)}."
        )


def suggestion(given: object, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the nearest of `known`, or an empty string.

    Parameters
    ----------
    given : object
        What the caller wrote.
    known : iterable of str
        The names that exist.

    Returns
    -------
    str
        Text to append to an error message.

    Examples
    --------
    >>> suggestion("bandwith_hz", ["bandwidth_hz", "noise_w"])
    " (did you mean 'bandwidth_hz'?)"
    """
    near = difflib.get_close_matches(str(given), list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def require_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``TypeError`` when `given` holds a name that is not in `known`.

    Parameters
    ----------
    what : str
        What the names are, e.g. "Scenario field".
    given : iterable of str
        The names that the caller used.
    known : iterable of str
        The names that exist.

    Raises
    ------
    TypeError
        Names each unknown one with its nearest known neighbour.

    Examples
    --------
    >>> require_known("Scenario field", ["noise_w"], ["noise_w", "area_m"])
    """
    names = list(known)
    unknown = [name for name in given if name not in names]
    if unknown:
        listed = "; ".join(f"{name!r}{suggestion(name, names)}" for name in unknown)
        raise TypeError(f"unknown {what}: {listed}.")
