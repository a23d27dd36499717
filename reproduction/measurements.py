"""The kinds of measurements, by the names that jobs and raw results use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reproduction.curves import losses, rewards
from reproduction.imitation import imitation
from reproduction.searches import optimum, refinement, search

KINDS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "imitation": imitation,
    "losses": losses,
    "optimum": optimum,
    "refinement": refinement,
    "rewards": rewards,
    "search": search,
}
"""Functions of keyword arguments that JSON can hold, seed among them, to values that it can."""
