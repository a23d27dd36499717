"""One sentence form for every refusal: which argument, what is required, what came, where."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
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


def require_widths(net_arch: Any, name: str = "net_arch") -> tuple[int, ...]:
    """Return a network's hidden widths, or raise ``ValueError``.

    Parameters
    ----------
    net_arch : list or tuple of int
        Each at least 1.
    name : str
        Of the argument.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        Says what is required and what came.

    Examples
    --------
    >>> require_widths([80, 60])
    (80, 60)
    """
    if not isinstance(net_arch, (list, tuple)):
        raise ValueError(f"{name} must be a list of hidden widths; got {net_arch!r}.")
    for width in net_arch:
        require_integer(f"each width in {name}", width, 1)
    return tuple(map(int, net_arch))


def dict_of(name: str, value: Any) -> dict[str, Any]:
    """Return a dict of named arguments, empty for None, or refuse what is none.

    Parameters
    ----------
    name : str
        What the caller calls it.
    value : mapping or None
        Arguments by name.

    Returns
    -------
    dict
        A copy.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> dict_of("policy_kwargs", [80, 60])
    Traceback (most recent call last):
    TypeError: policy_kwargs must be a dict of arguments by name; got [80, 60].
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict of arguments by name; got {value!r}.")
    return dict(value)


def require_bool(name: str, value: Any) -> bool:
    """Return a switch as a bool, or refuse what is none: ``bool("no")`` would be True.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : bool or numpy.bool
        Neither 0 nor 1, nor text.

    Returns
    -------
    bool

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> require_bool("resample", "no")
    Traceback (most recent call last):
    TypeError: resample must be True or False (true or false on a command line); got 'no'.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(
        f"{name} must be True or False (true or false on a command line); got {value!r}."
    )


def require_integer(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise ``ValueError`` unless `value` is an integer within its limits.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : object
        What was given; no bool, no float.
    least, most : int
        Ends; no upper end by default.

    Raises
    ------
    ValueError
        Names the argument, the limits and what came.

    Examples
    --------
    >>> require_integer("batch_size", 0, 1)
    Traceback (most recent call last):
    ValueError: batch_size must be an integer >= 1; got 0.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f">= {least}" if most is None else f"within {least}...{most}"
        raise ValueError(f"{name} must be an integer {limits}; got {value!r}.")


def require_number(name: str, value: Any, interval: str, *, unit: str = "") -> None:
    """Raise ``ValueError`` unless `value` is a real number in an interval.

    Parameters
    ----------
    name : str
        What the caller calls the argument.
    value : object
        What was given; no bool, no NaN.
    interval : str
        As mathematics writes it: "[0, 1)", "(0, inf)".
    unit : str
        Of `value`, for the message.

    Raises
    ------
    ValueError
        Names the argument, the interval and what came.

    Examples
    --------
    >>> require_number("gamma", 1, "[0, 1)")
    Traceback (most recent call last):
    ValueError: gamma must be a number in [0, 1); got 1.
    """
    low, high = map(float, interval[1:-1].split(","))
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    # Written so that NaN fails.
    above = number and (value > low or (value == low and interval[0] == "["))
    if not (above and (value < high or (value == high and interval[-1] == "]"))):
        shown = f"{interval} [{unit}]" if unit else interval
        raise ValueError(f"{name} must be a number in {shown}; got {value!r}.")


def plain(value: Any) -> Any:
    """Return a NumPy number as Python's, which files and other libraries take, and all else as is.

    Parameters
    ----------
    value : object
        What was given.

    Returns
    -------
    object

    Examples
    --------
    >>> plain(np.int64(3)), plain("3")
    (3, '3')
    """
    return value.item() if isinstance(value, np.generic) else value


LARGEST_SEED = 2**32 - 1
"""NumPy's global generator, which Stable-Baselines3 seeds, takes none beyond."""


def plain_seed(seed: Any) -> int | None:
    """Return a seed as Python's integer, or raise ``ValueError``.

    Parameters
    ----------
    seed : int, optional
        None for no seed at all.

    Returns
    -------
    int or None

    Raises
    ------
    ValueError
        Says what is required and what came.

    Examples
    --------
    >>> plain_seed(np.int64(3)), plain_seed(None)
    (3, None)
    """
    if seed is None:
        return None
    require_integer("seed", seed, 0, LARGEST_SEED)
    return int(seed)


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


def constructor_parameters(cls: type[Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return a constructor's parameters, and whether it takes others that no signature shows.

    Parameters
    ----------
    cls : type
        ``**kwargs`` are taken to go to the next class's constructor.

    Returns
    -------
    parameters : dict of str to inspect.Parameter
        Those that can be given by name, of `cls` and of those that it hands ``**kwargs`` to.
    takes_others : bool
        Whether ``**kwargs`` go further than can be seen.

    Examples
    --------
    >>> class Small:
    ...     def __init__(self, size=1): ...
    >>> class Smaller(Small):
    ...     def __init__(self, part=1, **kwargs): ...
    >>> names, more = constructor_parameters(Smaller)
    >>> sorted(names), more
    (['part', 'size'], False)
    """
    found: dict[str, inspect.Parameter] = {}
    for ancestor in cls.__mro__:
        if ancestor is object or "__init__" not in vars(ancestor):
            continue
        own = list(inspect.signature(vars(ancestor)["__init__"]).parameters.values())[1:]
        found = {p.name: p for p in own if p.kind in _NAMED} | found
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            return found, False
    return found, True


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
