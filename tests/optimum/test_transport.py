"""Equal tasks: the flow is optimal from any starting prices, and its prices prove it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from mec_gym.optimum.dual import maximise_dual
from mec_gym.optimum.problem import LoadProblem, normal_form
from mec_gym.optimum.transport import transport
from tests.optimum.alone import dual_bound


def random_problem(seed: int, n: int, m: int, *, whole: bool = False) -> LoadProblem:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 4, (n, m + 1))
    frequency = rng.uniform(0.5, 9, m)
    if whole:  # many ties
        cost, frequency = np.floor(cost), np.ones(m)
    cost[rng.random(n) < 0.2, 0] = np.inf
    return LoadProblem(cost, np.ones(n), frequency)


def by_slots(problem: LoadProblem) -> float:
    """The optimum as an assignment of devices to places: place k of server j costs w (2k − 1)."""
    n = problem.n_devices
    local = np.full((n, n), np.inf)
    np.fill_diagonal(local, problem.cost[:, 0])
    weight = problem.root_work[0] ** 2 / problem.server_frequency
    places = 2.0 * np.arange(1, n + 1) - 1.0
    blocks = [local]
    for server, w in enumerate(weight, start=1):
        blocks.append(problem.cost[:, server, None] + w * places)
    table = np.hstack(blocks)
    rows, columns = linear_sum_assignment(table)
    return float(table[rows, columns].sum())


def check(problem: LoadProblem, start: np.ndarray, best: float) -> None:
    form = normal_form(problem.alone)
    flow = transport(form, start[None])
    value = problem.objective(flow.assignment[0])
    assert value == pytest.approx(best, rel=1e-12, abs=1e-12)
    assert (flow.price >= 0.0).all()
    bound = dual_bound(problem, flow.price[0] / form.unit[0])
    assert bound <= value * (1 + 1e-15)
    assert bound == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_against_linear_sum_assignment(seed: int, whole: bool) -> None:
    rng = np.random.default_rng(seed + 100)
    n, m = int(rng.integers(1, 41)), int(rng.integers(1, 9))
    problem = random_problem(seed, n, m, whole=whole)
    best = by_slots(problem)
    check(problem, maximise_dual(normal_form(problem)), best)
    check(problem, np.zeros(m), best)
    check(problem, np.full(m, 1e6), best)
    check(problem, rng.uniform(0, 8, m), best)


@pytest.mark.parametrize("seed", range(20))
def test_against_enumeration(seed: int) -> None:
    problem = random_problem(seed, 6, 2, whole=seed % 2 == 0)
    every = np.array(list(itertools.product(range(3), repeat=6)))
    best = float(problem.objective(every).min())
    check(problem, np.random.default_rng(seed).uniform(0, 3, 2), best)


def test_large_against_linear_sum_assignment() -> None:
    problem = random_problem(7, 300, 6)
    check(problem, maximise_dual(normal_form(problem)), by_slots(problem))
