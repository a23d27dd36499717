"""The solver as a whole, against enumeration and independent solvers, and its gaps."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, milp
from scipy.special import lambertw

from mec_gym.optimum import assign
from mec_gym.optimum.assign import Solution
from mec_gym.optimum.problem import LoadProblem
from tests.optimum.alone import dual_bound, minimise


def random_problem(seed: int, n: int, m: int, *, equal: bool, spread: float = 3.0) -> LoadProblem:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, spread, (n, m + 1))
    cost[:, 0] = rng.uniform(0, 3, n)
    cost[rng.random(n) < 0.2, 0] = np.inf
    work = np.full(n, rng.uniform(0.3, 2)) if equal else rng.uniform(0.3, 2, n)
    return LoadProblem(cost, work, rng.uniform(0.5, 9, m))


def realistic(n: int, m: int, *, noise: float, kind: str, seed: int = 0) -> LoadProblem:
    """Devices in a square served by their k-means centres over fading links."""
    rng = np.random.default_rng(seed)
    large = n >= 1000
    place = rng.uniform(0.0, 354.0 if large else 50.0, (n, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a centre without devices
        centres, _ = kmeans2(place, m, minit="++", seed=seed)
    distance = np.linalg.norm(place[:, None] - centres, axis=-1)
    snr = 1.42e-4 / np.maximum(distance, 1.0) ** 2 * rng.exponential(size=(n, m)) / noise
    bits, cycles, weight = np.full(n, 8e5), np.full(n, 1e9), np.ones(n)
    if kind == "unequal":
        bits, cycles = rng.uniform(4e5, 1.2e6, n), rng.uniform(5e8, 1.5e9, n)
    if kind == "weighted":
        weight = rng.uniform(0.5, 2.0, n)
    nats = 1.0 + lambertw((weight[:, None] * snr - 1.0) / np.e).real
    power = np.minimum(np.expm1(nats) / snr, 1.5)
    uplink = (weight[:, None] + power) * bits[:, None] / (1e6 * np.log2(1.0 + power * snr))
    local = (weight + 1.0) * cycles * 1e-9
    frequency = np.full(m, 5e10 if large else {30: 15e9}.get(n, 1e10))
    if kind == "unequal" and 30 < n < 1000:
        frequency = np.linspace(5e9, 15e9, m)
    return LoadProblem(np.column_stack([local, uplink]), np.sqrt(weight * cycles), frequency)


def optimum(problem: LoadProblem) -> float:
    choices = range(problem.n_servers + 1)
    every = np.array(list(itertools.product(choices, repeat=problem.n_devices)))
    return float(problem.objective(every).min())


def check(problem: LoadProblem, solution: Solution) -> None:
    """What holds of every solution."""
    assert solution.assignment.shape == (problem.n_devices,)
    assert solution.assignment.dtype == np.int64
    assert solution.assignment.min() >= 0
    assert solution.assignment.max() <= problem.n_servers
    assert solution.objective == problem.objective(solution.assignment)
    assert isinstance(solution.objective, float)
    assert isinstance(solution.lower_bound, float)
    assert np.isfinite(solution.objective)
    assert 0.0 <= solution.lower_bound <= solution.objective
    assert solution.exact == (solution.lower_bound == solution.objective)
    assert solution.prices.shape == (problem.n_servers,)
    assert (solution.prices >= 0.0).all()
    assert dual_bound(problem, solution.prices) <= solution.objective * (1 + 1e-14)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 6),
    m=st.integers(1, 3),
    equal=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_tiny_problems_are_solved(seed: int, n: int, m: int, equal: bool) -> None:
    problem = random_problem(seed, n, m, equal=equal)
    solution = minimise(problem)
    check(problem, solution)
    assert solution.exact
    assert solution.objective == pytest.approx(optimum(problem), rel=1e-12)


@pytest.mark.parametrize("spread", [0.05, 3.0])
@pytest.mark.parametrize("seed", range(20))
def test_method_for_larger_problems_on_small_ones(
    seed: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assign, "ENUMERATION_LIMIT", 0)
    monkeypatch.setattr(assign, "CORE_SIZE", 4 if seed % 4 == 0 else 160)
    monkeypatch.setattr(assign, "CORE_STATES", 3 if seed % 4 == 2 else 2000)
    problem = random_problem(seed, 7, 3, equal=False, spread=spread)
    solution = minimise(problem)
    check(problem, solution)
    best = optimum(problem)
    assert solution.lower_bound <= best * (1 + 1e-12)
    assert best * (1 - 1e-12) <= solution.objective <= best * 1.02
    if seed % 2:
        assert solution.exact


def test_bound_raised_by_an_unfinished_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assign, "ENUMERATION_LIMIT", 0)
    raised = 0
    for seed, states in itertools.product(range(8), (1, 3, 8, 20, 45, 100, 200)):
        problem = random_problem(seed, 7, 3, equal=False, spread=0.1)
        monkeypatch.setattr(assign, "CORE_STATES", states)
        solution = minimise(problem)
        assert solution.lower_bound <= optimum(problem) * (1 + 1e-12)
        weak = dual_bound(problem, solution.prices)
        raised += weak < solution.lower_bound < solution.objective
    assert raised > 0


@pytest.mark.parametrize(("n", "m"), [(200, 10), (150, 4), (12, 30)])
@pytest.mark.parametrize("noise", [1e-12, 1e-6])
def test_equal_tasks_against_linear_sum_assignment(n: int, m: int, noise: float) -> None:
    problem = realistic(n, m, noise=noise, kind="equal")
    solution = minimise(problem)
    check(problem, solution)
    assert solution.exact
    local = np.full((n, n), np.inf)
    np.fill_diagonal(local, problem.cost[:, 0])
    weight = problem.root_work[0] ** 2 / problem.server_frequency
    places = np.multiply.outer(weight, 2.0 * np.arange(1, n + 1) - 1.0)
    table = np.hstack([local, (problem.cost[:, 1:, None] + places).reshape(n, -1)])
    rows, columns = linear_sum_assignment(table)
    assert solution.objective == pytest.approx(table[rows, columns].sum(), rel=1e-12)


def by_cutting_planes(problem: LoadProblem) -> tuple[float, float]:
    """Bound the optimum from both sides by HiGHS, L²/F being cut from below by tangents."""
    n, m = problem.n_devices, problem.n_servers
    cost = np.where(np.isfinite(problem.cost), problem.cost, 1e3)
    width = m + 1
    objective = np.concatenate([cost.ravel(), np.ones(m)])
    once = np.zeros((n, n * width + m))
    for i in range(n):
        once[i, i * width : (i + 1) * width] = 1.0
    cuts = [(j, t) for j in range(m) for t in np.linspace(0.0, problem.root_work.sum(), 8)]
    upper = np.inf
    for _ in range(40):
        rows = np.zeros((len(cuts), n * width + m))
        below = np.zeros(len(cuts))
        for row, (j, t) in enumerate(cuts):  # z_j >= (2 t L_j − t²) / F_j
            rows[row, j + 1 : n * width : width] = -2.0 * t * problem.root_work
            rows[row] /= problem.server_frequency[j]
            rows[row, n * width + j] = 1.0
            below[row] = -t * t / problem.server_frequency[j]
        found: Any = milp(
            objective,
            constraints=[LinearConstraint(once, 1.0, 1.0), LinearConstraint(rows, below)],
            integrality=np.concatenate([np.ones(n * width), np.zeros(m)]),
            bounds=Bounds(0.0, np.concatenate([np.ones(n * width), np.full(m, np.inf)])),
            options={"mip_rel_gap": 1e-9},
        )
        assignment = found.x[: n * width].reshape(n, width).argmax(axis=1)
        upper = min(upper, problem.objective(assignment))
        if upper - found.fun <= 1e-7 * upper:
            break
        cuts += list(enumerate(problem.loads(assignment)))
    return float(found.fun), upper


@pytest.mark.parametrize("seed", range(4))
def test_unequal_tasks_against_integer_programming(seed: int) -> None:
    problem = random_problem(seed, 12, 3, equal=False, spread=0.5)
    lower, upper = by_cutting_planes(problem)
    assert upper - lower <= 1e-6 * upper
    solution = minimise(problem)
    check(problem, solution)
    assert dual_bound(problem, solution.prices) <= lower * (1 + 1e-6)
    assert solution.exact
    assert solution.objective == pytest.approx(upper, rel=1e-6)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_order_and_scale_do_not_matter(seed: int, equal: bool) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(seed, 60, 5, equal=equal)
    solution = minimise(problem)
    tolerance = 1e-12 if equal else 2e-3
    devices, servers = rng.permutation(60), rng.permutation(5)
    cost = problem.cost[devices][:, np.concatenate([[0], servers + 1])]
    frequency = problem.server_frequency
    shuffled = LoadProblem(cost, problem.root_work[devices], frequency[servers])
    assert minimise(shuffled).objective == pytest.approx(solution.objective, rel=tolerance)
    for factor in (4.0, 1e-9, 1e9):
        scaled = LoadProblem(factor * problem.cost, factor**0.5 * problem.root_work, frequency)
        value = minimise(scaled).objective
        assert value == pytest.approx(factor * solution.objective, rel=tolerance)


@pytest.mark.parametrize("n", [5, 80])
def test_equal_input_gives_equal_output(n: int) -> None:
    problem = random_problem(1, n, 6, equal=False, spread=0.05)
    first, second = minimise(problem), minimise(problem)
    np.testing.assert_array_equal(first.assignment, second.assignment)
    np.testing.assert_array_equal(first.prices, second.prices)
    assert first.lower_bound == second.lower_bound


EDGES: dict[str, tuple[Any, Any, Any]] = {
    "one device, local": ([[1.0, 2.0]], [1.0], [1.0]),
    "one device, server": ([[9.0, 2.0]], [1.0], [1.0]),
    "one device, no local": ([[np.inf, 2.0, 3.0]], [1.0], [1.0, 9.0]),
    "fewer devices than servers": (np.ones((2, 9)), [1.0, 2.0], np.full(8, 3.0)),
    "all local": ([[0.0, 5.0, 5.0]] * 30, [1.0] * 30, [1.0, 1.0]),
    "none local": ([[np.inf, 0.0, 0.0]] * 30, [1.0] * 30, [1.0, 2.0]),
    "none local, unequal": ([[np.inf, 0.0, 0.1]] * 30, np.linspace(1, 2, 30), [1.0, 2.0]),
    "a server too far": ([[1.0, 0.1, 1e9]] * 30, np.linspace(1, 2, 30), [9.0, 9.0]),
    "a server too slow": ([[1.0, 0.1, 0.1]] * 30, np.linspace(1, 2, 30), [9.0, 1e-12]),
    "hardly any work of some": (
        [[1.0, 0.5, 0.6]] * 30,
        np.where(np.arange(30) % 3, 1.0, 1e-30),
        [9.0, 9.0],
    ),
    "hardly any work of one": (
        [[1.0, 0.5, 0.6]] * 30,
        np.linspace(1e-30, 1.0, 30),
        [9.0, 9.0],
    ),
    "all free": (np.zeros((5, 3)), [1.0] * 5, [1.0, 1.0]),
    "all free, unequal": (np.zeros((30, 3)), np.linspace(1, 2, 30), [1.0, 1.0]),
    "all alike": (np.ones((40, 4)), [1.0] * 40, [5.0] * 3),
    "all alike but one": (np.ones((40, 4)), [1.0] * 39 + [1.5], [5.0] * 3),
    "barely any work": ([[1.0, 0.0]] * 20, np.linspace(1e-160, 2e-160, 20), [1.0]),
    "one giant": ([[1.0, 0.1, 0.2]] * 30, [1e6] + [1.0] * 14 + [2.0] * 15, [9.0, 9.0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    cost, work, frequency = (np.array(part, dtype=np.float64) for part in EDGES[name])
    problem = LoadProblem(cost, work, frequency)
    with np.errstate(all="raise"):
        solution = minimise(problem)
    check(problem, solution)
    # No single device, and no pair of them, does better elsewhere.
    for first, second in itertools.combinations_with_replacement(range(min(len(cost), 12)), 2):
        for targets in itertools.product(range(cost.shape[1]), repeat=2):
            other = solution.assignment.copy()
            other[[first, second]] = targets
            assert problem.objective(other) >= solution.objective * (1 - 1e-9)


def test_no_local_execution_is_respected() -> None:
    problem = random_problem(0, 300, 4, equal=False)
    solution = minimise(problem)
    barred = np.isinf(problem.cost[:, 0])
    assert barred.any()
    assert (solution.assignment[barred] > 0).all()


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_extreme_magnitudes(seed: int, equal: bool) -> None:
    rng = np.random.default_rng(seed)
    n, m = (6, 2) if seed % 2 else (40, 4)
    cost = 10.0 ** rng.uniform(-25, 25, (n, m + 1))
    work = np.full(n, 10.0 ** rng.uniform(-8, 8)) if equal else 10.0 ** rng.uniform(-8, 8, n)
    problem = LoadProblem(cost, work, 10.0 ** rng.uniform(-8, 12, m))
    with np.errstate(all="raise"):
        solution = minimise(problem)
    check(problem, solution)
    if equal:
        assert solution.exact
    if n == 6:
        assert solution.objective == pytest.approx(optimum(problem), rel=1e-12)


def test_no_false_proof_at_extreme_magnitudes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assign, "ENUMERATION_LIMIT", 0)
    exact = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        width = 25.0 if seed % 2 else 6.0
        cost = 10.0 ** rng.uniform(-width, width, (6, 3))
        cost[rng.random(6) < 0.3, 0] = np.inf
        work = 10.0 ** rng.uniform(-width / 3, width / 3, 6)
        problem = LoadProblem(cost, work, 10.0 ** rng.uniform(-width / 3, width / 3, 2))
        solution = minimise(problem)
        check(problem, solution)
        best = optimum(problem)
        assert solution.lower_bound <= best * (1 + 1e-12)
        if solution.exact:
            assert solution.objective == pytest.approx(best, rel=1e-11)
        exact += solution.exact
    assert exact > 75


@pytest.mark.parametrize(("n", "m"), [(30, 2), (180, 8), (200, 10)])
@pytest.mark.parametrize("noise", [1e-12, 1e-6], ids=["paper", "bandlimited"])
@pytest.mark.parametrize("kind", ["equal", "unequal", "weighted"])
def test_gap(n: int, m: int, noise: float, kind: str) -> None:
    for seed in range(2):
        problem = realistic(n, m, noise=noise, kind=kind, seed=seed)
        solution = minimise(problem)
        check(problem, solution)
        assert solution.objective - solution.lower_bound <= 1e-3 * solution.objective
        if kind == "equal" or n == 30:
            assert solution.exact


@pytest.mark.parametrize("kind", ["equal", "unequal"])
@pytest.mark.parametrize("noise", [1e-12, 1e-6], ids=["paper", "bandlimited"])
def test_gap_of_large_problems(noise: float, kind: str) -> None:
    problem = realistic(10_000, 100, noise=noise, kind=kind)
    solution = minimise(problem)
    check(problem, solution)
    assert solution.exact == (kind == "equal")
    assert solution.objective - solution.lower_bound <= 1e-4 * solution.objective
