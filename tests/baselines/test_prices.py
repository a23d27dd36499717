"""Posted prices: the dropping step is optimal where it says so, and never does harm."""

import itertools

import numpy as np
import pytest

from baselines import best_discount, mean_prices, posted_prices
from baselines.prices import DISCOUNTS, shared_by_speed, worth_keeping
from baselines.regimes import rules, tuned_prices
from baselines.rules import tuning_slots
from mec_gym import Scenario, Slot, evaluate, solve
from mec_gym.evaluation import nrr, slot_set
from mec_gym.optimum import load_problem


def small(**changes: object) -> Scenario:
    return Scenario(
        n_devices=12,
        n_servers=3,
        noise_w=1e-6,
        data_bits={"uniform": [1e5, 9e5]},
        cycles={"uniform": [5e8, 1.5e9]},
        server_frequency_hz=[4e9, 6e9, 9e9],
        **changes,
    )


def objective(scenario: Scenario, slot: Slot, decision: np.ndarray) -> np.ndarray:
    return np.asarray(evaluate(scenario, slot, decision).objective)


@pytest.mark.parametrize("preset", ["paper-30x2", "unequal-200x10"])
def test_with_the_slots_own_prices_dropping_never_does_harm(preset: str) -> None:
    scenario = Scenario.preset(preset)
    slots = tuning_slots(scenario, 10)
    optimum = solve(scenario, slots)
    kept = objective(scenario, slots, posted_prices(scenario, slots, optimum.prices))
    whole = posted_prices(scenario, slots, optimum.prices, dropping=False)
    # 1e-12: sums of two hundred costs in another order.
    assert (kept <= objective(scenario, slots, whole) * (1 + 1e-12)).all()
    assert (kept >= optimum.lower_bound * (1 - 1e-12)).all()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.8, 1.0, 1.5])
def test_dropping_never_raises_the_objective_at_any_prices(part: float) -> None:
    scenario = small(max_power_w=[0.5] * 2 + [1.5] * 10)
    slots = tuning_slots(scenario, 40)
    prices = part * mean_prices(scenario, slots)
    decision = posted_prices(scenario, slots, prices)
    whole = posted_prices(scenario, slots, prices, dropping=False)
    assert ((decision == whole) | (decision == 0)).all()
    assert (decision[:, :2] > 0).all(), "eq. (7) leaves the first two no choice"
    difference = objective(scenario, slots, decision) - objective(scenario, slots, whole)
    assert (difference <= 1e-12 * objective(scenario, slots, whole)).all()


def test_without_dropping_the_decision_minimises_the_priced_cost() -> None:
    scenario = small()
    slot = tuning_slots(scenario, 1)[0]
    prices = solve(scenario, slot).prices
    problem = load_problem(scenario, slot)
    priced = problem.cost.copy()
    priced[:, 1:] += prices * problem.root_work[:, None]
    decision = posted_prices(scenario, slot, prices, dropping=False)
    np.testing.assert_allclose(priced[np.arange(12), decision], priced.min(axis=1), rtol=1e-12)


def best_kept(saving: np.ndarray, work: np.ndarray, speed: float, must: np.ndarray) -> float:
    values = []
    for chosen in itertools.product([False, True], repeat=len(work)):
        keep = np.array(chosen)
        if (keep | ~must).all():
            values.append(work[keep].sum() ** 2 / speed - saving[keep].sum())
    return min(values)


@pytest.mark.parametrize("equal", [True, False])
def test_what_a_server_keeps_is_optimal_up_to_the_stated_gap(equal: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        work = np.full(7, 2.0) if equal else rng.uniform(0.5, 3.0, 7)
        saving, must = rng.uniform(0.0, 3.0, 7), rng.random(7) < 0.15
        speed = rng.uniform(2.0, 30.0)
        keep = worth_keeping(
            saving[:, None], work, np.array([speed]), np.ones((7, 1), dtype=bool), must
        )[:, 0]
        assert (keep | ~must).all()
        value = work[keep].sum() ** 2 / speed - saving[keep].sum()
        gap = 0.0 if equal else work.max() ** 2 / (4 * speed)
        assert value <= best_kept(saving, work, speed, must) + gap + 1e-12  # rounding of sums


def test_a_server_keeps_devices_that_cost_it_no_work() -> None:
    keep = worth_keeping(
        np.array([[0.0], [0.5]]),
        np.zeros(2),
        np.array([1e9]),
        np.ones((2, 1), dtype=bool),
        np.zeros(2, dtype=bool),
    )
    assert keep[1, 0]


def test_a_permutation_of_devices_permutes_decisions() -> None:
    scenario = small()
    slots = tuning_slots(scenario, 5)
    prices = 0.8 * mean_prices(scenario, slots)
    order = np.random.default_rng(0).permutation(12)
    shuffled = Slot(slots.gains[:, order], slots.data_bits[:, order], slots.cycles[:, order])
    np.testing.assert_array_equal(
        posted_prices(scenario, shuffled, prices), posted_prices(scenario, slots, prices)[:, order]
    )


@pytest.mark.parametrize("largest", [1, 2**22])
def test_a_batch_is_its_slots_and_prices_may_differ_by_slot(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baselines.prices.LARGEST_BATCH", largest)
    scenario = small()
    slots = tuning_slots(scenario, 6)
    prices = solve(scenario, slots).prices
    whole = posted_prices(scenario, slots, prices)
    for index in range(6):
        alone = posted_prices(scenario, slots[index], prices[index])
        np.testing.assert_array_equal(whole[index], alone)
    same = posted_prices(scenario, slots, prices[0])
    np.testing.assert_array_equal(same[1], posted_prices(scenario, slots[1], prices[0]))


def test_the_discount_is_the_best_of_all_tried() -> None:
    scenario = small()
    slots = tuning_slots(scenario, 20)
    prices = mean_prices(scenario, slots)
    means = [
        objective(scenario, slots, posted_prices(scenario, slots, part * prices)).mean()
        for part in DISCOUNTS
    ]
    assert best_discount(scenario, slots, prices) == DISCOUNTS[int(np.argmin(means))]


def test_servers_share_prices_only_where_nothing_else_tells_them_apart() -> None:
    redrawn = small(layout="redrawn").replace(server_frequency_hz=[5e9, 5e9, 9e9])
    slots = tuning_slots(redrawn, 8)
    prices = mean_prices(redrawn, slots)
    assert prices[0] == prices[1] != prices[2]
    np.testing.assert_allclose(
        shared_by_speed(redrawn, solve(redrawn, slots).prices.mean(axis=0)), prices
    )
    placed = redrawn.replace(server_positions=[[1.0, 1.0], [25.0, 25.0], [49.0, 49.0]])
    apart = mean_prices(placed, slots)
    assert apart[0] != apart[1]


def test_the_table_has_posted_prices_where_they_are_given() -> None:
    scenario = Scenario.preset("unequal-200x10")
    tuning = slot_set(scenario, n_layouts=2, slots_per_layout=3, seed=1)
    assert "posted prices" not in rules(6)
    table = rules(6, tuned_prices(tuning))
    assert list(table)[-2:] == ["greedy", "optimum"]
    sample = slot_set(scenario, n_layouts=2, slots_per_layout=2)
    priced, quota = (
        nrr(sample, table[name]).mean() for name in ("posted prices", "best gains up to a quota")
    )
    assert quota < priced <= 1.0


@pytest.mark.parametrize("prices", [[1.0], [1.0, -1.0, 1.0], [np.nan, 1.0, 1.0], [np.inf, 0, 0]])
def test_prices_that_are_none_are_refused(prices: list[float]) -> None:
    scenario = small()
    with pytest.raises(ValueError, match="prices must"):
        posted_prices(scenario, tuning_slots(scenario, 1), prices)


def test_tuning_slots_are_their_scenarios_and_nobody_elses() -> None:
    fixed, redrawn = small(), small(layout="redrawn")
    one, two = tuning_slots(fixed, 4), tuning_slots(fixed, 4, seed=1)
    np.testing.assert_array_equal(one.gains, tuning_slots(fixed, 4).gains)
    assert (one.gains != two.gains).all()
    judged = slot_set(fixed, own_layout=True, n_layouts=1, slots_per_layout=4)
    assert (one.gains != judged.slots[0].gains).all()
    still = tuning_slots(redrawn.replace(fading="none"), 4).gains
    assert (still[0] != still[1]).all(), "each slot must have a map of its own"
