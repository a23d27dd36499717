"""A row of the report, and interleaved timing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Action = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    name : str
        What is measured.
    ours, reference : str
        Both figures with their units.
    ratio : float
        What the goal is about.
    goal : str
        E.g. ">= 10"; empty where there is none.
    met : bool or None
        None where there is no goal.
    """

    name: str
    ours: str
    reference: str
    ratio: float
    goal: str = ""
    met: bool | None = None


def row(name: str, ours: str, reference: str, ratio: float, goal: str = "") -> Row:
    """Return a Row that knows whether its goal is met.

    Parameters
    ----------
    name, ours, reference, ratio
        As in Row.
    goal : str
        ">= x", "<= x" or empty.

    Returns
    -------
    Row
    """
    if not goal:
        return Row(name, ours, reference, ratio)
    sign, limit = goal.split()
    met = ratio >= float(limit) if sign == ">=" else ratio <= float(limit)
    return Row(name, ours, reference, ratio, goal, met)


def interleaved(actions: dict[str, tuple[Action, int]], *, rounds: int) -> dict[str, float]:
    """Time several actions in turns and return the best mean of each, which noise spares.

    Parameters
    ----------
    actions : dict
        Name: (what to call, how many times a round).
    rounds : int
        How often each has its turn.

    Returns
    -------
    dict of str to float, [s]
        Time of one call.
    """
    best = dict.fromkeys(actions, float("inf"))
    for _ in range(rounds):
        for name, (action, calls) in actions.items():
            begun = time.perf_counter()
            for _ in range(calls):
                action()
            best[name] = min(best[name], (time.perf_counter() - begun) / calls)
    return best


def shown(seconds: float) -> str:
    """Return a time with three digits and a unit.

    Parameters
    ----------
    seconds : float, [s]
        A time.

    Returns
    -------
    str
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
