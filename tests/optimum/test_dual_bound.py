"""Weak duality: no prices give more than the optimum; good ones give nearly as much."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mec_gym.optimum.dual import maximise_dual, uniform_price
from mec_gym.optimum.problem import LoadProblem, normal_form
from tests.optimum.alone import dual_bound


def random_problem(seed: int, *, equal: bool, n: int = 5, m: int = 2) -> LoadProblem:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 3, (n, m + 1))
    cost[rng.random(n) < 0.2, 0] = np.inf
    work = np.full(n, rng.uniform(0.3, 3)) if equal else rng.uniform(0.3, 3, n)
    return LoadProblem(cost, work, rng.uniform(0.5, 9, m))


def optimum(problem: LoadProblem) -> float:
    choices = range(problem.n_servers + 1)
    every = np.array(list(itertools.product(choices, repeat=problem.n_devices)))
    return float(problem.objective(every).min())


def exact_optimum(problem: LoadProblem) -> Fraction:
    """The optimum in rational arithmetic."""
    best = None
    for assignment in itertools.product(range(problem.n_servers + 1), repeat=problem.n_devices):
        if not np.isfinite(problem.cost[range(problem.n_devices), assignment]).all():
            continue
        value = sum((Fraction(problem.cost[i, a]) for i, a in enumerate(assignment)), Fraction(0))
        for j, frequency in enumerate(problem.server_frequency, start=1):
            load = sum(Fraction(problem.root_work[i]) for i, a in enumerate(assignment) if a == j)
            value += load * load / Fraction(frequency)
        best = value if best is None or value < best else best
    assert best is not None
    return best


@given(
    seed=st.integers(0, 10**6),
    equal=st.booleans(),
    prices=st.lists(st.floats(-1.0, 20.0), min_size=2, max_size=2),
)
@settings(max_examples=150, deadline=None)
def test_any_prices_bound(seed: int, equal: bool, prices: list[float]) -> None:
    problem = random_problem(seed, equal=equal)
    assert dual_bound(problem, np.array(prices)) <= optimum(problem)


@pytest.mark.parametrize("equal", [True, False])
def test_bound_is_safe_in_exact_arithmetic(equal: bool) -> None:
    # At the best prices of one device there is no duality gap, so rounding alone decides.
    for seed in range(300):
        problem = random_problem(seed, equal=equal, n=1 + 2 * equal, m=1)
        best = exact_optimum(problem)
        for price in np.linspace(0.0, 4.0, 9):
            assert Fraction(dual_bound(problem, np.array([price]))) <= best
        form = normal_form(problem)
        prices = maximise_dual(form) / form.unit
        assert Fraction(dual_bound(problem, prices)) <= best


def test_bound_is_tight_where_there_is_no_gap() -> None:
    # One device on one server, at the price of its own marginal cost 2 s / F.
    problem = LoadProblem(np.array([[9.0, 1.0]]), np.array([2.0]), np.array([4.0]))
    assert dual_bound(problem, np.array([1.0])) == pytest.approx(2.0, rel=1e-14)


@pytest.mark.parametrize("price", [0.0, 1e-300, 1e30, 1e200, 1e308, np.inf, np.nan, -np.inf])
@pytest.mark.parametrize("equal", [True, False])
def test_absurd_prices_bound(price: float, equal: bool) -> None:
    problem = random_problem(0, equal=equal)
    with np.errstate(all="raise"):
        bound = dual_bound(problem, np.array([price, 1.0]))
    assert 0.0 <= bound <= optimum(problem)


@pytest.mark.parametrize("seed", range(5))
def test_maximum_is_a_maximum(seed: int) -> None:
    # Concave: no gain along random directions means no gain anywhere.
    problem = random_problem(seed, equal=False, n=40, m=4)
    form = normal_form(problem)
    prices = maximise_dual(form) / form.unit
    best = dual_bound(problem, prices)
    rng = np.random.default_rng(seed)
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        for _ in range(50):
            other = prices * (1.0 + size * rng.standard_normal(4))
            assert dual_bound(problem, other) <= best * (1.0 + 1e-6)


def test_dual_of_equal_tasks_reaches_the_optimum_of_its_relaxation() -> None:
    # 100 like devices, one server: n go, at the cost n² w + (100 − n) c; relaxed n = c / 2w.
    problem = LoadProblem(
        np.column_stack([np.full(100, 2.0), np.zeros(100)]), np.ones(100), np.full(1, 25.0)
    )
    form = normal_form(problem)
    prices = maximise_dual(form) / form.unit
    assert prices[0] == pytest.approx(2.0, rel=1e-3)
    assert dual_bound(problem, prices) == pytest.approx(175.0, rel=1e-4)


def test_uniform_price_clears_the_market() -> None:
    problem = random_problem(3, equal=False, n=30, m=3)
    form = normal_form(problem)
    price = uniform_price(form)
    worth = (form.excess[0] - form.excess[1:].min(axis=0)) / form.size
    supply = (price / (2.0 * form.curvature)).sum()
    assert form.size[worth > price * (1 + 1e-12)].sum() <= supply * (1 + 1e-12)
    assert form.size[worth >= price * (1 - 1e-12)].sum() >= supply * (1 - 1e-12)
