"""A batch of problems is solved as its problems are alone, bit for bit, whatever is beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mec_gym import Scenario, Slot, solve
from mec_gym.evaluation import slot_set
from mec_gym.optimum import dual, solution
from mec_gym.optimum.assign import minimise_all
from mec_gym.optimum.dual import dual_bounds, maximise_dual, uniform_price
from mec_gym.optimum.problem import LoadProblems, normal_form
from tests.optimum.alone import dual_bound, minimise

FIELDS = ("assignment", "objective", "lower_bound", "prices", "exact")


def random_batch(seed: int, n: int, m: int, kinds: Sequence[str]) -> LoadProblems:
    """Problems of several kinds with the same servers."""
    rng = np.random.default_rng(seed)
    cost, work = [], []
    for kind in kinds:
        scale = 10.0 ** rng.uniform(-6, 6) if kind == "scaled" else 1.0
        costs = scale * rng.uniform(0, 4, (n, m + 1))
        costs[rng.random(n) < 0.2, 0] = np.inf
        if kind == "ties":
            costs = np.floor(costs)
        works = np.full(n, 1.3) if kind in ("equal", "ties") else rng.uniform(0.3, 2, n)
        if kind == "hopeless":  # nobody gains by offloading
            costs[:, 0], costs[:, 1:] = 0.0, costs[:, 1:] + 1.0
        cost.append(costs)
        work.append(works)
    return LoadProblems(np.array(cost), np.array(work), rng.uniform(0.5, 9, m))


KINDS = ("equal", "unequal", "ties", "scaled", "hopeless", "equal", "unequal")


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (12, 3), (40, 5), (60, 12)])
@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_solved_as_its_problems_alone(seed: int, n: int, m: int) -> None:
    problems = random_batch(seed, n, m, KINDS)
    together = minimise_all(problems)
    for index in range(len(KINDS)):
        alone = minimise(problems[index])
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(together, field)[index], getattr(alone, field))


@pytest.mark.parametrize("kind", ["equal", "unequal", "scaled"])
def test_prices_and_bounds_of_a_batch(kind: str) -> None:
    problems = random_batch(5, 25, 4, (kind,) * 30)
    forms = normal_form(problems)
    for options in ({}, {"mismatch": 4.0}, {"relative_gap": 1e-4}):
        prices = maximise_dual(forms, **options)
        bounds = dual_bounds(problems, prices / forms.unit[:, None])
        for index in range(30):
            one = normal_form(problems[index])
            np.testing.assert_array_equal(prices[index], maximise_dual(one, **options))
            assert bounds[index] == dual_bound(problems[index], prices[index] / one.unit)
    np.testing.assert_array_equal(
        uniform_price(forms), [uniform_price(forms.at(index)) for index in range(30)]
    )


def test_the_batch_takes_different_roads(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else the tests above would not see problems that leave the batch at different times.
    problems = random_batch(5, 25, 4, ("scaled",) * 30)
    sizes = []
    steps = dual._newton_together

    def noted(form: Any, price: Any, temperature: Any) -> Any:
        sizes.append(len(price))
        return steps(form, price, temperature)

    monkeypatch.setattr(dual, "_newton_together", noted)
    maximise_dual(normal_form(problems), mismatch=4.0)
    assert sizes[0] == 30
    assert len(set(sizes)) > 2


def test_the_order_of_a_batch_does_not_matter() -> None:
    problems = random_batch(2, 30, 4, KINDS)
    order = np.random.default_rng(0).permutation(len(KINDS))
    there, here = minimise_all(problems), minimise_all(problems.at(order))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(here, field), getattr(there, field)[order])


def test_no_problems() -> None:
    nothing = minimise_all(LoadProblems(np.ones((0, 3, 2)), np.ones((0, 3)), np.ones(1)))
    assert nothing.assignment.shape == (0, 3)
    assert nothing.prices.shape == (0, 1)


@pytest.mark.parametrize("name", ["paper-30x2", "unequal-200x10"])
def test_slots_are_solved_in_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = slot_set(Scenario.preset(name), n_layouts=1, slots_per_layout=5)
    scenario, slots = sample.scenarios[0], sample.slots[0]
    whole = solve(scenario, slots)
    per_slot = scenario.n_devices * (scenario.n_servers + 1)
    monkeypatch.setattr(solution, "BLOCK", 2 * per_slot)  # blocks of 2, 2 and 1
    parts = solve(scenario, slots)
    for field in ("assignment", "objective", "lower_bound", "gap", "prices", "status"):
        np.testing.assert_array_equal(getattr(parts, field), getattr(whole, field))
    nested = solve(scenario, slots[None, :4][:, [[0, 1], [2, 3]]])
    assert nested.assignment.shape == (1, 2, 2, scenario.n_devices)
    assert nested.status.shape == (1, 2, 2)
    np.testing.assert_array_equal(nested.objective.ravel(), whole.objective[:4])


@pytest.mark.parametrize("seed", range(6))
def test_odd_slots_are_solved_as_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, n, m = 9, int(rng.integers(1, 30)), int(rng.integers(1, 7))
    weight = rng.uniform(0.2, 3.0, n)
    weight[rng.random(n) < 0.3] = 1e-20  # of latency: next to no root work
    scenario = Scenario(
        n_devices=n,
        n_servers=m,
        weight_latency=weight,
        server_frequency_hz=10.0 ** rng.uniform(8, 12, m),
        max_power_w=np.where(rng.random(n) < 0.3, 0.9, 1.5),  # some cannot execute locally
    )
    gains = 10.0 ** rng.uniform(-14, -3, (batch, n, m))
    cycles = np.full((batch, n), 1e9) if seed % 2 else 10.0 ** rng.uniform(5, 12, (batch, n))
    # As views: every other slot of an array that is read backwards, and one number for all.
    slots = Slot(np.repeat(gains, 2, axis=0)[::-2], np.broadcast_to(8e5, (batch, n)), cycles)
    whole = solve(scenario, slots)
    for index in range(batch):
        alone = solve(scenario, slots[index])
        for field in ("assignment", "objective", "lower_bound", "gap", "prices", "status"):
            np.testing.assert_array_equal(getattr(whole, field)[index], getattr(alone, field))


def test_no_field_of_a_solution_is_another_ones() -> None:
    for n, m in ((3, 2), (40, 5)):
        found = minimise_all(random_batch(0, n, m, KINDS))
        alone = minimise_all(random_batch(0, n, m, ("unequal",)))
        for solved in (found, alone):
            arrays = [getattr(solved, field) for field in FIELDS]
            for place, one in enumerate(arrays):
                assert not any(np.shares_memory(one, other) for other in arrays[:place])


def test_no_slots_have_no_optima() -> None:
    sample = slot_set(Scenario.preset("paper-30x2"), n_layouts=1, slots_per_layout=2)
    nothing = solve(sample.scenarios[0], sample.slots[0][:0])
    assert nothing.assignment.shape == (0, 30)
    assert nothing.objective.shape == nothing.gap.shape == nothing.status.shape == (0,)
