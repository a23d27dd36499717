"""The best assignment of a load problem, by the method that suits it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.dual import dual_bound, maximise_dual
from mec_gym.optimum.problem import LoadProblem, NormalForm, normal_form
from mec_gym.optimum.search import search
from mec_gym.optimum.transport import transport

CERTIFICATE = 1e-12
"""Relative gap between objective and bound that counts as rounding: the optimum is proven."""

ENUMERATION_LIMIT = 20_000
"""Assignments up to which all are tried."""

SMOOTHING = 1e-7
"""Relative accuracy of the dual maximum where it is the bound."""

MISMATCH = 1.0
"""Devices a server that the prices may misplace before shortest paths take over."""


@dataclass(frozen=True, eq=False)
class Solution:
    """An assignment and a proven bound.

    Attributes
    ----------
    assignment : ndarray, shape (N,)
        0 = local, j = server j.
    objective : float, [1]
        The problem's objective of the assignment.
    lower_bound : float, [1]
        At most the optimum, up to rounding; equal to `objective` where `exact`.
    prices : ndarray, shape (M,), [1/sqrt(cycle)]
        Dual prices λ_j >= 0 of root work behind the bound.
    exact : bool
        Whether the assignment is proven optimal.
    """

    assignment: NDArray[np.int64]
    objective: float
    lower_bound: float
    prices: NDArray[np.float64]
    exact: bool


def minimise(problem: LoadProblem) -> Solution:
    """Return the optimum, or the best assignment found with a lower bound.

    Exact where the tasks that are not free are equal, and for tiny problems; often elsewhere.

    Parameters
    ----------
    problem : LoadProblem
        The problem.

    Returns
    -------
    Solution

    Examples
    --------
    >>> problem = LoadProblem(np.array([[2.0, 0.5], [2.0, 0.5]]), np.ones(2), np.ones(1))
    >>> solution = minimise(problem)
    >>> solution.assignment, solution.objective, solution.exact
    (array([0, 1]), 3.5, True)
    """
    with np.errstate(under="ignore", over="ignore"):
        # A device without root work loads no server: its least cost is best whatever others do.
        working = problem.root_work > 0.0
        if working.all() and problem.n_devices:
            return _minimise_working(problem)
        assignment = problem.cost.argmin(axis=1)
        if not working.any():
            value = problem.objective(assignment)
            return Solution(assignment, value, value, np.zeros(problem.n_servers), True)
        rest = _minimise_working(problem.part(working))
        assignment[working] = rest.assignment
        return _closed(problem, assignment, rest, float(problem.cost[~working].min(axis=1).sum()))
