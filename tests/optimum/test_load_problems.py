"""A batch of slots prices decisions as one slot does, and as evaluate does."""

from __future__ import annotations

import numpy as np
import pytest

from mec_gym import Scenario, evaluate
from mec_gym.model.world import World
from mec_gym.optimum import load_problem, load_problems


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
