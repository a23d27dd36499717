"""The optimum of a slot: exact where tasks are equal, with a proven bound elsewhere."""

from __future__ import annotations

from mec_gym.optimum.problem import LoadProblems, paying
from mec_gym.optimum.solution import (
    Optimum,
    choice_costs,
    counterfactuals,
    load_problem,
    load_problems,
    load_problems_apart,
    moving,
    solve,
    tolled_problems,
    with_toll,
)

__all__ = [
    "LoadProblems",
    "Optimum",
    "choice_costs",
    "counterfactuals",
    "load_problem",
    "load_problems",
    "load_problems_apart",
    "moving",
    "paying",
    "solve",
    "tolled_problems",
    "with_toll",
]
