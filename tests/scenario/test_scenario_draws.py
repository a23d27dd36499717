"""What a world draws in every slot: fading by eq. (3) and tasks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from mec_gym import Scenario, Slot, Uniform
from mec_gym.model.layout import fixed_layout
from mec_gym.model.world import World


def slots(scenario: Scenario, number: int, seed: int = 0) -> list[Slot]:
    world, rng = World(scenario), np.random.default_rng(seed)
    world.reset([rng])
    found = [world.slot]
    for _ in range(number - 1):
        world.advance([rng])
        found.append(world.slot)
    return [slot for slot in found if slot is not None]


def gains_of(scenario: Scenario, number: int, seed: int = 0) -> np.ndarray:
    return np.stack([slot.gains for slot in slots(scenario, number, seed)])


def test_without_fading_gains_are_the_path_gains() -> None:
    scenario = Scenario(n_devices=20, n_servers=3, fading="none")
    wanted = fixed_layout(scenario).path_gains
    for slot in slots(scenario, 3):
        np.testing.assert_array_equal(slot.gains, wanted)


def test_rayleigh_fading_is_exponential_with_unit_mean() -> None:
    scenario = Scenario(n_devices=40, n_servers=5)
    fading = gains_of(scenario, 200) / fixed_layout(scenario).path_gains
    n = fading.size
    assert n == 40_000
    # An exponential law of mean 1: variance 1, and the variance's own variance 8; five errors.
    assert abs(fading.mean() - 1.0) < 5 / math.sqrt(n)
    assert abs(fading.var() - 1.0) < 5 * math.sqrt(8 / n)
    # Of a right law, one set of draws in a million is so far off.
    assert kstest(fading.ravel(), "expon").pvalue > 1e-6
    # Each link by itself has mean 1 too: six errors of 200 draws, over 200 links.
    assert np.abs(fading.mean(axis=0) - 1.0).max() < 6 / math.sqrt(200)


def test_fading_is_independent_between_links_and_slots() -> None:
    scenario = Scenario(n_devices=40, n_servers=5)
    fading = (gains_of(scenario, 200) / fixed_layout(scenario).path_gains) - 1.0
    for one, other in (
        (fading[:-1], fading[1:]),  # next slot
        (fading[:, :-1], fading[:, 1:]),  # next device
        (fading[..., :-1], fading[..., 1:]),  # next server
    ):
        # Products of independent draws of mean 0 and variance 1: five errors.
        assert abs((one * other).mean()) < 5 / math.sqrt(one.size)


def test_slots_repeat_with_the_seed_and_differ_without() -> None:
    scenario = Scenario(n_devices=5, n_servers=2, cycles=Uniform(1e8, 1e9))
    first, again, other = (slots(scenario, 3, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.gains, b.gains)
        np.testing.assert_array_equal(a.cycles, b.cycles)
        assert (a.gains != c.gains).all()
        assert (a.cycles != c.cycles).all()
    assert (first[0].gains != first[1].gains).all()


@pytest.mark.parametrize("field", ["data_bits", "cycles"])
def test_uniform_tasks(field: str) -> None:
    low, high = 4e5, 1.2e6
    scenario = Scenario(n_devices=50, n_servers=2, **{field: Uniform(low, high)})
    drawn = np.stack([getattr(slot, field) for slot in slots(scenario, 400)])
    assert drawn.shape == (400, 50)
    assert drawn.min() >= low
    assert drawn.max() <= high
    scaled = (drawn - low) / (high - low)
    # Variance 1/12; five errors of 20,000 draws.
    assert abs(scaled.mean() - 0.5) < 5 * math.sqrt(1 / 12 / scaled.size)
    # Of a right law, one set of draws in a million is so far off.
    assert kstest(scaled.ravel(), "uniform").pvalue > 1e-6
    # The ends are reached but for a few parts in 20,000.
    assert scaled.min() < 1e-3
    assert scaled.max() > 1 - 1e-3
    other = "cycles" if field == "data_bits" else "data_bits"
    assert np.unique([getattr(slot, other) for slot in slots(scenario, 3)]).size == 1


@pytest.mark.parametrize("ends", [(1.0, math.nextafter(1.0, 2.0)), (1e-30, 1e30), (0.1, 0.3)])
def test_uniform_tasks_stay_inside_whatever_the_range(ends: tuple[float, float]) -> None:
    scenario = Scenario(n_devices=200, n_servers=1, cycles=Uniform(*ends))
    for slot in slots(scenario, 5):
        assert (slot.cycles >= ends[0]).all()
        assert (slot.cycles <= ends[1]).all()


def test_constant_tasks_are_those_of_the_scenario() -> None:
    scenario = Scenario(n_devices=3, n_servers=1, data_bits=[1e5, 2e5, 3e5], cycles=7e8)
    for slot in slots(scenario, 2):
        np.testing.assert_array_equal(slot.data_bits, [1e5, 2e5, 3e5])
        np.testing.assert_array_equal(slot.cycles, [7e8] * 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"reference_gain": 1e-30},
        {"reference_gain": 1e30, "min_distance_m": 1e-30},
        {"reference_gain": 1e-30, "min_distance_m": 1e30},
        {"area_m": (1e30, 1e30)},
        {"area_m": (1e-30, 1e-30)},
    ],
)
def test_extreme_geography_still_gives_legal_slots(fields: dict[str, Any]) -> None:
    scenario = Scenario(n_devices=6, n_servers=2, **fields)
    for slot in slots(scenario, 3):
        # The constructor checks what a world does not: every number in the legal range.
        Slot(slot.gains, slot.data_bits, slot.cycles)


def test_kept_slots_never_change() -> None:
    world = World(Scenario(n_devices=4, n_servers=2, cycles=Uniform(1, 2)), 2)
    rngs = [np.random.default_rng(k) for k in range(2)]
    world.reset(rngs)
    kept = world.slot
    assert kept is not None
    copies = [array.copy() for array in (kept.gains, kept.data_bits, kept.cycles)]
    world.advance(rngs, [1])
    world.advance(rngs)
    world.reset(rngs, [0])
    for array, copy in zip((kept.gains, kept.data_bits, kept.cycles), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
