"""The solver's functions of batches for one problem."""

from __future__ import annotations

import numpy as np

from mec_gym.optimum import assign, dual
from mec_gym.optimum.problem import LoadProblem


def minimise(problem: LoadProblem) -> assign.Solution:
    found = assign.minimise_all(problem.alone)
    return assign.Solution(
        found.assignment[0],
        found.objective[0].item(),
        found.lower_bound[0].item(),
        found.prices[0],
        found.exact[0].item(),
    )


def dual_bound(problem: LoadProblem, prices: np.ndarray) -> float:
    return float(dual.dual_bounds(problem.alone, prices[None])[0])
