"""The best assignment of a load problem, by the method that suits it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.dual import at_prices, dual_bound, maximise_dual
from mec_gym.optimum.problem import LoadProblem, NormalForm, normal_form
from mec_gym.optimum.search import restart, search, tighten
from mec_gym.optimum.transport import transport

CERTIFICATE = 1e-12
"""Relative gap between objective and bound that counts as rounding: the optimum is proven."""

CONSISTENT = 1e-11
"""Relative rounding up to which the excess at prices agrees with objective less bound."""

ENUMERATION_LIMIT = 20_000
"""Assignments up to which all are tried."""

SMOOTHING = 3e-6
"""Relative accuracy of the dual maximum where it is the bound."""

MISMATCH = 1.0
"""Devices a server that the prices may misplace before shortest paths take over."""

RESTARTS = 24
"""Restarts of the local search, about 5 ms with 10 servers."""

GOOD_ENOUGH = 2e-4
"""Relative gap at which it is not restarted."""

CORE_SIZE = 160
"""Choices in question up to which the enumeration is worth its time."""

CORE_STATES = 2000
"""Partial assignments that it keeps."""


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
    >>> problem = LoadProblem(np.array([[2.0, 0.5], [3.0, 0.5]]), np.ones(2), np.ones(1))
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
        return _with_free(problem, assignment, rest, problem.cost[~working].min(axis=1))


def _with_free(
    problem: LoadProblem,
    assignment: NDArray[np.int64],
    rest: Solution,
    free: NDArray[np.float64],
) -> Solution:
    """Extend a solution by devices without root work, given their costs."""
    value = problem.objective(assignment)
    # fsum is exact but for its last digit, and so is the sum: 4 digits' worth is on the safe side.
    bound = (rest.lower_bound + math.fsum(free)) * (1.0 - 4.0 * np.finfo(np.float64).eps)
    return Solution(
        assignment, value, value if rest.exact else min(bound, value), rest.prices, rest.exact
    )


def _minimise_working(problem: LoadProblem) -> Solution:
    """Solve a problem in which every device has root work."""
    form = normal_form(problem)
    if problem.equal_tasks:
        return _equal(problem, form)
    if (problem.n_servers + 1.0) ** min(problem.n_devices, 64) <= ENUMERATION_LIMIT:
        return _tiny(problem, form)
    return _unequal(problem, form)


def _equal(problem: LoadProblem, form: NormalForm) -> Solution:
    """Equal tasks: a minimum-cost flow."""
    form = form._replace(size=np.ones(problem.n_devices))
    price = maximise_dual(form, mismatch=MISMATCH * problem.n_servers)
    flow = transport(form, price)
    prices = flow.price / form.unit
    return _judged(problem, flow.assignment, prices, dual_bound(problem, prices))


def _tiny(problem: LoadProblem, form: NormalForm) -> Solution:
    """Few devices and servers: all assignments are tried."""
    shape = (problem.n_servers + 1,) * problem.n_devices
    every = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
    values = problem.objective(every)
    best = int(values.argmin())
    prices = maximise_dual(form, relative_gap=SMOOTHING) / form.unit
    assignment = every[best].astype(np.int64)
    value = problem.objective(assignment)
    return Solution(assignment, value, value, prices, True)


def _unequal(problem: LoadProblem, form: NormalForm) -> Solution:
    """Unequal tasks: the dual bounds, a local search finds, an enumeration closes the gap."""
    price = maximise_dual(form, relative_gap=SMOOTHING)
    prices = price / form.unit
    bound = dual_bound(problem, prices)
    priced = at_prices(form, price)
    found = tighten(priced, search(priced), states=CORE_STATES, size=CORE_SIZE)
    if not found.proven:
        choice = restart(priced, found.choice, times=RESTARTS, enough=GOOD_ENOUGH * bound)
        found = tighten(priced, choice, states=CORE_STATES, size=CORE_SIZE)
    value = problem.objective(found.choice)
    if abs(value - bound - priced.excess(found.choice)) > CONSISTENT * value:
        # Prices far above all costs at stake have drowned the regrets in rounding.
        return _judged(problem, found.choice, prices, bound)
    if math.isinf(found.proven):
        return Solution(found.choice, value, value, prices, True)
    # What is proven sums at most 2 N + M + 1 terms >= 0, loads being sums of N themselves, and
    # none of the magnitudes exceeds the objective's by more than the factor 4.
    rounding = 4.0 * (problem.n_devices + 16.0) * np.finfo(np.float64).eps * value
    return _judged(problem, found.choice, prices, max(bound, bound + found.proven - rounding))


def _judged(
    problem: LoadProblem,
    assignment: NDArray[np.int64],
    prices: NDArray[np.float64],
    bound: float,
) -> Solution:
    """Return the solution, exact if objective and bound differ by rounding alone."""
    value = problem.objective(assignment)
    exact = value - bound <= CERTIFICATE * value
    return Solution(assignment, value, value if exact else bound, prices, exact)
