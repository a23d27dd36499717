"""Frozen slots and intervals."""

import numpy as np
import pytest
from scipy import stats

from mec_gym import Scenario, evaluate, solve
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.evaluation import SlotSet, estimate, nrr, slot_set


def test_a_set_is_frozen_and_another_seed_is_another_set() -> None:
    scenario = Scenario.preset("unequal-200x10")
    first, again, other = (
        slot_set(scenario, n_layouts=2, slots_per_layout=2, seed=seed) for seed in (0, 0, 1)
    )
    for one, same, different in zip(first.slots, again.slots, other.slots, strict=True):
        np.testing.assert_array_equal(one.gains, same.gains)
        assert (one.gains != different.gains).all()
    assert first.scenarios == again.scenarios
    assert first.scenarios[0] != first.scenarios[1], "layouts must differ"
    larger = slot_set(scenario, n_layouts=3, slots_per_layout=3)
    np.testing.assert_array_equal(larger.slots[0].gains[:2], first.slots[0].gains)


def test_nrr_is_bound_over_objective() -> None:
    slots = slot_set(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=3)

    def decide(_scenario, slot, _layout, rng):  # type: ignore[no-untyped-def]
        return rng.integers(0, 3, slot.data_bits.shape)

    values = nrr(slots, decide, seed=5)
    rng = np.random.default_rng(5)
    for row, one, slot in zip(values, slots.scenarios, slots.slots, strict=True):
        decisions = rng.integers(0, 3, slot.data_bits.shape)
        for value, index in zip(row, range(3), strict=True):
            optimum = solve(one, slot[index]).lower_bound
            wanted = optimum / evaluate(one, slot[index], decisions[index]).objective
            assert value == pytest.approx(wanted, rel=1e-12)
    assert ((values > 0) & (values <= 1)).all()
    np.testing.assert_array_equal(values, nrr(slots, decide, seed=5))


@pytest.mark.parametrize("preset", ["paper-30x2", "unequal-200x10"])
def test_nrr_is_the_same_in_info_and_on_frozen_slots(preset: str) -> None:
    env = MultiMECEnv(preset, optimum=True)
    env.reset(seed=1)
    slot, choice = env.slot, np.ones(env.scenario.n_devices, dtype=np.int64)
    bound, none = np.array([[solve(env.scenario, slot).lower_bound]]), np.zeros((1, 1))
    slots = SlotSet((env.scenario,), (slot[None],), bound, none, 0.0)
    assert env.step(choice)[4]["nrr"] == nrr(slots, lambda *_: choice[None]).item()


def test_the_interval_is_students_over_layouts() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.01, (8, 5))
    ours = estimate(values)
    theirs = stats.ttest_1samp(values.mean(axis=1), 0.0).confidence_interval(0.95)
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert np.isnan(estimate(values[:1]).low)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = sum(
        (e := estimate(rng.normal(0.0, 1.0, (6, 1)) + rng.normal(0.0, 0.3, (6, 4)))).low
        <= 0.0
        <= e.high
        for _ in range(1000)
    )
    # Five standard deviations of a binomial count with n = 1000, p = 0.95.
    assert abs(hits - 950) < 5 * np.sqrt(1000 * 0.95 * 0.05)


@pytest.mark.parametrize("sizes", [{"n_layouts": 0}, {"slots_per_layout": 0}])
def test_sizes_must_be_positive(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be an integer >= 1"):
        slot_set(Scenario.preset("paper-30x2"), **sizes)
