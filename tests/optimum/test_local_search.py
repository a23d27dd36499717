"""The search near dual prices, and what the partial enumeration proves."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mec_gym.optimum.dual import Priced, at_prices, maximise_dual
from mec_gym.optimum.problem import LoadProblem, NormalForm, normal_form
from mec_gym.optimum.search import restart, search, tighten
from tests.optimum.alone import dual_bound


def random_problem(seed: int, n: int = 7, m: int = 3, *, spread: float = 2.0) -> LoadProblem:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, spread, (n, m + 1))
    cost[:, 0] = rng.uniform(0, 2, n)
    cost[rng.random(n) < 0.2, 0] = np.inf
    return LoadProblem(cost, rng.uniform(0.3, 1.5, n), rng.uniform(2, 9, m))


def priced_problem(problem: LoadProblem) -> tuple[NormalForm, np.ndarray, Priced]:
    form = normal_form(problem)
    price = maximise_dual(form, relative_gap=1e-9)
    return form, price, at_prices(form, price)


def every(problem: LoadProblem) -> np.ndarray:
    choices = range(problem.n_servers + 1)
    return np.array(list(itertools.product(choices, repeat=problem.n_devices)))


@pytest.mark.parametrize("seed", range(5))
def test_excess_is_objective_less_bound(seed: int) -> None:
    problem = random_problem(seed, n=30)
    form, price, priced = priced_problem(problem)
    bound = dual_bound(problem, price / form.unit)
    for choice in np.random.default_rng(seed).integers(1, 4, (20, 30)):
        expected = problem.objective(choice) - bound
        assert priced.excess(choice) == pytest.approx(expected, rel=1e-9)
    # Any prices will do.
    priced = at_prices(form, np.full(3, 0.4))
    bound = dual_bound(problem, np.full(3, 0.4) / form.unit)
    assert priced.excess(choice) == pytest.approx(problem.objective(choice) - bound, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_search_ends_where_no_pair_of_changes_helps(seed: int) -> None:
    problem = random_problem(seed, n=16, spread=0.1)
    _, _, priced = priced_problem(problem)
    choice = search(priced)
    value = problem.objective(choice)
    for first, second in itertools.combinations(range(16), 2):
        for targets in itertools.product(range(4), repeat=2):
            other = choice.copy()
            other[[first, second]] = targets
            assert problem.objective(other) >= value * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_restarts_never_harm_and_repeat(seed: int) -> None:
    _, _, priced = priced_problem(random_problem(seed, n=60, m=5))
    choice = search(priced)
    kept = choice.copy()
    better = restart(priced, choice, times=10, enough=0.0)
    np.testing.assert_array_equal(choice, kept)
    assert priced.excess(better) <= priced.excess(choice)
    again = restart(priced, choice, times=10, enough=0.0)
    np.testing.assert_array_equal(better, again)


def test_restarts_help_where_servers_are_nearly_tied() -> None:
    gains = 0
    for seed in range(10):
        _, _, priced = priced_problem(random_problem(seed, n=60, m=5, spread=0.05))
        choice = search(priced)
        better = restart(priced, choice, times=20, enough=0.0)
        gains += priced.excess(better) < priced.excess(choice)
    assert gains >= 3


@pytest.mark.parametrize("states", [1, 5, 4**7])
@pytest.mark.parametrize("seed", range(12))
def test_enumeration_proves_what_it_says(seed: int, states: int) -> None:
    problem = random_problem(seed)
    form = normal_form(problem)
    # Poor prices leave much to enumerate.
    priced = at_prices(form, maximise_dual(form) * np.array([0.9, 1.0, 1.1]))
    least = min(priced.excess(choice) for choice in every(problem))
    known = np.array([1, 2, 3, 1, 2, 3, 1])
    found = tighten(priced, known, states=states, size=1000)
    value = priced.excess(found.choice)
    assert least <= value * (1 + 1e-12)
    assert value <= priced.excess(known)
    if math.isinf(found.proven):
        assert value == pytest.approx(least, rel=1e-9)
    else:
        assert found.proven <= least * (1 + 1e-12) or value == pytest.approx(least, rel=1e-9)
        assert min(found.proven, value) <= least * (1 + 1e-12)
    if states == 4**7:
        assert math.isinf(found.proven)


def test_enumeration_declines_what_is_too_large() -> None:
    priced = at_prices(normal_form(random_problem(0)), np.zeros(3))
    known = np.ones(7, dtype=np.int64)
    found = tighten(priced, known, states=10, size=3)
    assert found.proven == 0.0
    np.testing.assert_array_equal(found.choice, known)
