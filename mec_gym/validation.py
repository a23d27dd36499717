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

# -- arrays ---------------------------------------------------------------------------------------


def real_array(name: str, value: Any) -> np.ndarray:
    """Return `value` as a float64 array; ``TypeError`` for text, complex numbers, ragged lists."""
    require_unmasked(name, value)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise TypeError(f"{name} must be an array of numbers; got {shown}.")
    return array.astype(np.float64, copy=False)


def require_unmasked(name: str, value: Any) -> None:
    """Raise ``ValueError`` for masked entries, which would come back as values."""
    if np.ma.is_masked(value):
        count = int(np.ma.getmaskarray(value).sum())
        raise ValueError(
            f"{name} must have a value everywhere; got {count} masked entries. Fill them in, "
            "or leave their rows out."
        )


def refuse_where(bad: np.ndarray, name: str, requirement: str, value: np.ndarray) -> None:
    """Raise ``ValueError`` if `bad` holds anywhere; name the first such entry of `value`."""
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    where = f" at index {first}" if first else ""
    count = f" ({int(bad.sum())} of {bad.size} entries)" if bad.size > 1 else ""
    raise ValueError(f"{name} {requirement}; got {value[first].item()!r}{where}{count}.")


def require_within(name: str, value: Any, low: float, high: float, requirement: str) -> None:
    """Raise ``ValueError`` unless every entry of `value`, of any shape, lies in [low, high]."""
    array = np.asarray(value)
    # Written so that NaN fails: every comparison with NaN is False.
    if array.size and low <= float(array.min()) and float(array.max()) <= high:
        return
    array = array.astype(np.float64, copy=False)
    refuse_where(~((array >= low) & (array <= high)), name, requirement, array)


def require_positive(name: str, value: Any, *, unit: str) -> None:
    """Raise ``ValueError`` unless every entry of `value` lies in [1e-30, 1e30]."""
    requirement = f"must be finite, > 0 and within [1e-30, 1e30] [{unit}]"
    require_within(name, value, SMALLEST, LARGEST, requirement)


def require_nonnegative(name: str, value: Any, *, unit: str) -> None:
    """Raise ``ValueError`` unless every entry of `value` is 0 or lies in [1e-30, 1e30]."""
    array = np.asarray(value, dtype=np.float64)
    bad = (array != 0.0) & ~((array >= SMALLEST) & (array <= LARGEST))
    refuse_where(bad, name, f"must be 0 or within [1e-30, 1e30] [{unit}]", array)


def state_array(name: str, value: Any, like: np.ndarray) -> np.ndarray:
    """Return a part of a state as an array of its own, or raise ``ValueError`` for another kind."""
    array = np.array(value)
    if (array.dtype, array.shape) != (like.dtype, like.shape):
        raise ValueError(
            f"state must have {name} of shape {like.shape}, {like.dtype}; got shape {array.shape}, "
            f"{array.dtype}."
        )
    return array


# -- arguments ------------------------------------------------------------------------------------


def require_bool(name: str, value: Any) -> bool:
    """Return a switch as a bool; ``TypeError`` for 0, 1 or text: ``bool("no")`` would be True."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(
        f"{name} must be True or False (true or false on a command line); got {value!r}."
    )


def require_integer(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise ``ValueError`` unless `value` is an integer, no bool, within its limits."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f">= {least}" if most is None else f"within {least}...{most}"
        raise ValueError(f"{name} must be an integer {limits}; got {value!r}.")


def require_number(name: str, value: Any, interval: str, *, unit: str = "") -> None:
    """Raise ``ValueError`` unless `value` is a number in an interval as mathematics writes it."""
    low, high = map(float, interval[1:-1].split(","))
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    # Written so that NaN fails.
    above = number and (value > low or (value == low and interval[0] == "["))
    if not (above and (value < high or (value == high and interval[-1] == "]"))):
        shown = f"{interval} [{unit}]" if unit else interval
        raise ValueError(f"{name} must be a number in {shown}; got {value!r}.")


def require_widths(net_arch: Any) -> tuple[int, ...]:
    """Return a network's hidden widths, each at least 1, or raise ``ValueError``."""
    if not isinstance(net_arch, (list, tuple)):
        raise ValueError(f"net_arch must be a list of hidden widths; got {net_arch!r}.")
    for width in net_arch:
        require_integer("each width in net_arch", width, 1)
    return tuple(map(int, net_arch))


LARGEST_SEED = 2**32 - 1
"""NumPy's global generator, which Stable-Baselines3 seeds, takes none beyond."""


def plain_seed(seed: Any) -> int | None:
    """Return a seed as Python's integer, None for no seed at all, or raise ``ValueError``."""
    if seed is None:
        return None
    require_integer("seed", seed, 0, LARGEST_SEED)
    return int(seed)


def plain(value: Any) -> Any:
    """Return a NumPy number as Python's, which files and other libraries take; all else as is."""
    return value.item() if isinstance(value, np.generic) else value


def require_hyperparameters(
    model: Any, integers: Mapping[str, int], numbers: Mapping[str, str]
) -> None:
    """Raise for a number that no training could use: below its least, or out of its interval.

    NumPy's numbers become Python's, which files hold.
    """
    for name in ("learning_rate", *integers, *numbers):
        setattr(model, name, plain(getattr(model, name)))
    model.seed = plain_seed(model.seed)
    if not callable(model.learning_rate):
        require_number("learning_rate", model.learning_rate, "[0, inf)")
    require_integer("stats_window_size", model._stats_window_size, 1)
    model._stats_window_size = int(model._stats_window_size)
    for name, least in integers.items():
        require_integer(name, getattr(model, name), least)
    for name, interval in numbers.items():
        require_number(name, getattr(model, name), interval)


def require_policy(policy: Any, aliases: Mapping[str, Any], *kinds: type[Any]) -> None:
    """Raise unless a policy is one that a learner can train: of one of some kinds."""
    if isinstance(policy, str):
        require_choice("policy", policy, aliases)
    elif not (isinstance(policy, type) and issubclass(policy, kinds)):
        names = ", ".join(f'"{name}"' for name in aliases)
        listed = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(
            f"policy must be {names} or a subclass of {listed}; got {policy!r}. An env goes second."
        )


# -- names ----------------------------------------------------------------------------------------


def require_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ``ValueError`` unless `value` is one of `choices`; suggest the nearest."""
    known = list(choices)
    if not (isinstance(value, str) and value in known):
        listed = ", ".join(repr(choice) for choice in known)
        raise ValueError(
            f"{name} must be one of {listed}; got {value!r}{suggestion(value, known)}."
        )


def suggestion(given: object, known: Iterable[str]) -> str:
    """Return text for a message that suggests the nearest of the known names, if one is near."""
    near = difflib.get_close_matches(str(given), list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def require_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ``TypeError`` that names every unknown name with its nearest known neighbour.

    For a "keyword argument" in Python's own words, which libraries look for to leave it out.
    """
    names = list(known)
    unknown = [name for name in given if name not in names]
    if unknown:
        listed = "; ".join(f"{name!r}{suggestion(name, names)}" for name in unknown)
        raise TypeError(f"unexpected {what} {listed}.")


def dict_of(name: str, value: Any) -> dict[str, Any]:
    """Return a copy of a dict of named arguments, empty for None; ``TypeError`` for all else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict of arguments by name; got {value!r}.")
    return dict(value)


def constructor_parameters(cls: type[Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters that a constructor takes by name, and whether it takes yet others.

    ``**kwargs`` are taken to go to the next class's constructor. They may go further than can be
    seen.
    """
    found: dict[str, inspect.Parameter] = {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for ancestor in cls.__mro__:
        if ancestor is object or "__init__" not in vars(ancestor):
            continue
        own = list(inspect.signature(vars(ancestor)["__init__"]).parameters.values())[1:]
        found = {p.name: p for p in own if p.kind in named} | found
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            return found, False
    return found, True
