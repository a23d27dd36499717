"""A row of the report, interleaved timing, and PyTorch's threads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

Action = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison."""

    name: str
    ours: str
    reference: str
    ratio: float
    goal: str = ""
    met: bool | None = None


def row(name: str, ours: str, reference: str, ratio: float, goal: str = "") -> Row:
    """Return a Row that knows whether its goal is met."""
    if not goal:
        return Row(name, ours, reference, ratio)
    sign, limit = goal.split()
    met = ratio >= float(limit) if sign == ">=" else ratio <= float(limit)
    return Row(name, ours, reference, ratio, goal, met)


def interleaved(actions: dict[str, tuple[Action, int]], *, rounds: int) -> dict[str, float]:
    """Time several actions in turns and return the best mean of each, which noise spares."""
    best = dict.fromkeys(actions, float("inf"))
    for _ in range(rounds):
        for name, (action, calls) in actions.items():
            begun = time.perf_counter()
            for _ in range(calls):
                action()
            best[name] = min(best[name], (time.perf_counter() - begun) / calls)
    return best


def shown(seconds: float) -> str:
    """Return a time with three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


@contextlib.contextmanager
def threads(count: int = 1) -> Iterator[str]:
    """Let PyTorch use `count` threads; the value is what a row's label says about them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield "" if count == 1 else f", {count} threads"
    finally:
        torch.set_num_threads(before)
