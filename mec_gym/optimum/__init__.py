"""The optimum of a slot: exact where tasks are equal, with a proven bound elsewhere."""

from __future__ import annotations

from mec_gym.optimum.admission import paying
from mec_gym.optimum.costs import choice_costs, load_problem, load_problems
from mec_gym.optimum.problem import LoadProblems
from mec_gym.optimum.solution import Optimum, solve

__all__ = [
    "LoadProblems",
    "Optimum",
    "choice_costs",
    "load_problem",
    "load_problems",
    "paying",
    "solve",
]
