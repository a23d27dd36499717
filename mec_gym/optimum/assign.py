"""The best assignments of load problems, by the method that suits each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.dual import Priced, at_prices, dual_bounds, maximise_dual
from mec_gym.optimum.problem import LoadProblem, LoadProblems, normal_form
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
    """Assignments of a batch of problems, and proven bounds."""

    assignment: NDArray[np.int64]  # (B, N): 0 = local, j = server j
    objective: NDArray[np.float64]  # (B,) of the assignment
    lower_bound: NDArray[np.float64]  # (B,): at most the optimum, up to rounding; it where exact
    prices: NDArray[np.float64]  # (B, M) [1/sqrt(cycle)]: dual prices λ_j >= 0 behind the bound
    exact: NDArray[np.bool_]  # (B,): whether the assignment is proven optimal

    def put(self, rows: NDArray[Any], other: Solution) -> None:
        """Overwrite the solutions of some problems of a batch, `rows` of its axis."""
        for name in ("assignment", "objective", "lower_bound", "prices", "exact"):
            getattr(self, name)[rows] = getattr(other, name)


def minimise_all(problems: LoadProblems) -> Solution:
    """Return the optima of a batch, or the best assignments found with lower bounds.

    Exact where tasks are equal, and for tiny problems; often elsewhere. Each problem gets the same
    numbers as alone.
    """
    batch, devices, choices = problems.cost.shape
    equal = problems.equal_tasks
    tiny = float(choices) ** min(devices, 64) <= ENUMERATION_LIMIT
    kinds = ((_equal, equal), (_tiny if tiny else _unequal, ~equal))
    with np.errstate(under="ignore", over="ignore"):
        for method, rows in kinds:
            if rows.all():
                return method(problems)
        found = Solution(
            np.empty((batch, devices), dtype=np.int64),
            np.empty(batch),
            np.empty(batch),
            np.empty((batch, choices - 1)),
            np.empty(batch, dtype=bool),
        )
        for method, rows in kinds:
            found.put(rows, method(problems.at(rows)))
    return found


def _equal(problems: LoadProblems) -> Solution:
    """Equal tasks: minimum-cost flows."""
    form = normal_form(problems)
    form = form._replace(size=np.ones_like(form.size))
    price = maximise_dual(form, mismatch=MISMATCH * form.curvature.shape[-1])
    flow = transport(form, price)
    prices = flow.price / form.unit[:, None]
    return _judged(problems, flow.assignment, prices, dual_bounds(problems, prices))


def _tiny(problems: LoadProblems) -> Solution:
    """Few devices and servers: all assignments are tried."""
    batch, devices, choices = problems.cost.shape
    shape = (choices,) * devices
    every = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
    best = [int(problems[row].objective(every).argmin()) for row in range(batch)]
    form = normal_form(problems)
    prices = maximise_dual(form, relative_gap=SMOOTHING) / form.unit[:, None]
    assignment = every[best].astype(np.int64)
    value = problems.objective(assignment[:, None])[:, 0]
    return Solution(assignment, value, value.copy(), prices, np.ones(batch, dtype=bool))


def _unequal(problems: LoadProblems) -> Solution:
    """Unequal tasks: the dual bounds, a local search finds, an enumeration closes the gap."""
    form = normal_form(problems)
    price = maximise_dual(form, relative_gap=SMOOTHING)
    prices = price / form.unit[:, None]
    bounds = dual_bounds(problems, prices)
    assignment = np.empty(problems.root_work.shape, dtype=np.int64)
    for row, bound in enumerate(bounds.tolist()):
        priced = at_prices(form.at(row), price[row])
        assignment[row], bounds[row] = _searched(problems[row], priced, bound)
    return _judged(problems, assignment, prices, bounds)


def _searched(
    problem: LoadProblem, priced: Priced, bound: float
) -> tuple[NDArray[np.int64], float]:
    """Return the best assignment found and a bound, infinite if it is proven optimal."""
    found = tighten(priced, search(priced), states=CORE_STATES, size=CORE_SIZE)
    if not found.proven:
        choice = restart(priced, found.choice, times=RESTARTS, enough=GOOD_ENOUGH * bound)
        found = tighten(priced, choice, states=CORE_STATES, size=CORE_SIZE)
    value = problem.objective(found.choice)
    if abs(value - bound - priced.excess(found.choice)) > CONSISTENT * value:
        # Prices far above all costs at stake have drowned the regrets in rounding.
        return found.choice, bound
    if math.isinf(found.proven):
        return found.choice, found.proven
    # What is proven sums at most 2 N + M + 1 terms >= 0, loads being sums of N themselves, and
    # none of the magnitudes exceeds the objective's by more than the factor 4.
    rounding = 4.0 * (problem.n_devices + 16.0) * np.finfo(np.float64).eps * value
    return found.choice, max(bound, bound + found.proven - rounding)


def _judged(
    problems: LoadProblems,
    assignment: NDArray[np.int64],
    prices: NDArray[np.float64],
    bound: NDArray[np.float64],
) -> Solution:
    """Return the solutions, exact where objective and bound differ by rounding alone."""
    value = problems.objective(assignment[:, None])[:, 0]
    exact = value - bound <= CERTIFICATE * value
    return Solution(assignment, value, np.where(exact, value, bound), prices, exact)
