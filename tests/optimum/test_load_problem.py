"""The load problem: its objective, alone, in a batch and as evaluate prices it; normal form."""

from __future__ import annotations

import numpy as np
import pytest

from mec_gym import Scenario, evaluate
from mec_gym.model.world import World
from mec_gym.optimum import load_problem, load_problems
from mec_gym.optimum.problem import LoadProblem, LoadProblems, normal_form


def random_problem(seed: int, n: int = 7, m: int = 3) -> LoadProblem:
    rng = np.random.default_rng(seed)
    return LoadProblem(rng.uniform(0, 3, (n, m + 1)), rng.uniform(0.5, 2, n), rng.uniform(1, 9, m))


def test_objective_is_its_definition() -> None:
    problem = random_problem(0)
    assignment = np.array([0, 1, 1, 3, 3, 3, 0])
    expected = sum(problem.cost[i, a] for i, a in enumerate(assignment))
    for server in (1, 2, 3):
        load = sum(s for s, a in zip(problem.root_work, assignment, strict=True) if a == server)
        expected += load**2 / problem.server_frequency[server - 1]
        assert problem.loads(assignment)[server - 1] == pytest.approx(load)
    assert problem.objective(assignment) == pytest.approx(expected, rel=1e-14)


def test_objective_of_a_batch_is_that_of_each() -> None:
    problem = random_problem(1)
    batch = np.random.default_rng(2).integers(0, 4, (50, 7))
    values = problem.objective(batch)
    assert values.shape == (50,)
    np.testing.assert_allclose(values, [problem.objective(one) for one in batch], rtol=1e-14)


def test_objective_may_be_infinite_but_never_nan() -> None:
    problem = LoadProblem(np.array([[np.inf, 1.0]]), np.ones(1), np.ones(1))
    assert problem.objective(np.array([[0], [1]])).tolist() == [np.inf, 2.0]


@pytest.mark.parametrize("seed", range(5))
def test_changes_that_pay_are_made_best_first_until_none_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(seed)
    problems = LoadProblems(
        np.stack([problem.cost, random_problem(seed + 50).cost]),
        np.stack([problem.root_work, random_problem(seed + 50).root_work]),
        problem.server_frequency,
    )
    before, wished = rng.integers(0, 4, (2, 2, 6, 7))
    kept = before.copy()
    after = problems.improved(before, wished)
    np.testing.assert_array_equal(before, kept)
    for b, p in np.ndindex(2, 6):
        one, current = problems[b], before[b, p].copy()
        while True:  # by brute force over single changes
            tried = [np.where(np.arange(7) == i, wished[b, p], current) for i in range(7)]
            values = [one.objective(each) for each in tried]
            if not min(values) < one.objective(current) - 1e-12:
                break
            current = tried[int(np.argmin(values))]
        np.testing.assert_array_equal(after[b, p], current)
    assert (problems.objective(after) <= problems.objective(before)).all()
    assert (after != before).any()


def test_a_device_that_must_offload_is_not_called_home() -> None:
    cost = np.array([[[np.inf, 5.0, 1.0], [0.0, 2.0, 9.0]]])
    problems = LoadProblems(cost, np.ones((1, 2)), np.ones(2))
    moved = problems.improved(np.array([[[1, 1]]]), np.array([[[2, 0]]]))
    assert moved.tolist() == [[[2, 0]]]


def test_normal_form_keeps_differences_of_objectives() -> None:
    problem = random_problem(3)
    form = normal_form(problem)
    devices = np.arange(problem.n_devices)
    for assignment in np.random.default_rng(4).integers(0, 4, (20, 7)):
        loads = np.bincount(assignment, weights=form.size, minlength=4)[1:]
        value = form.excess[assignment, devices].sum() + (form.curvature * loads**2).sum()
        assert value + form.base == pytest.approx(problem.objective(assignment), rel=1e-13)


@pytest.mark.parametrize(
    ("works", "equal"),
    [
        ([1.0, 1.0], True),
        ([1.0, 1.0 + 1e-14], True),
        ([1.0, 1.0 + 1e-9], False),
        ([0.0, 0.0], True),
        ([0.0, 1.0], False),
    ],
)
def test_equal_tasks(works: list[float], equal: bool) -> None:
    assert LoadProblem(np.ones((2, 2)), np.array(works), np.ones(1)).alone.equal_tasks[0] == equal


@pytest.mark.parametrize("preset", ["paper-30x2", "unequal-200x10"])
def test_a_batch_prices_as_one_slot_and_as_evaluate(preset: str) -> None:
    scenario = Scenario.preset(preset)
    world = World(scenario, 3)
    world.reset([np.random.default_rng(seed) for seed in range(3)])
    slots = world.slot
    assert slots is not None
    shape = (3, 4, scenario.n_devices)
    decisions = np.random.default_rng(9).integers(scenario.n_servers + 1, size=shape)
    batch = load_problems(scenario, slots).objective(decisions)
    for index in range(3):
        one = load_problem(scenario, slots[index]).objective(decisions[index])
        whole = evaluate(scenario, slots[index], decisions[index]).objective
        # Sums of 200 terms in another order.
        np.testing.assert_allclose(batch[index], one, rtol=1e-12)
        np.testing.assert_allclose(batch[index], whole, rtol=1e-11)


def test_a_single_slot_is_refused() -> None:
    scenario = Scenario.preset("paper-30x2")
    world = World(scenario)
    world.reset([np.random.default_rng(0)])
    assert world.slot is not None
    with pytest.raises(ValueError, match="one batch axis"):
        load_problems(scenario, world.slot)
