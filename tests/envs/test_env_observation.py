"""Observations and the way back."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from mec_gym import ENV_ID, Scenario, Slot, parallel_env, slot_from_observation
from mec_gym.envs.observation import RESOLUTION, ObservationCoder
from mec_gym.fields import Uniform
from mec_gym.model.arrays import in_shape
from mec_gym.testing import check_offloading_env

TASKS = Scenario(n_devices=4, n_servers=2, data_bits=Uniform(5e5, 9e5), cycles=Uniform(1e9, 2e9))


def test_every_face_shows_a_vector_by_default() -> None:
    flat, table = (ObservationCoder(TASKS, kind).space() for kind in ("flat", "db"))
    assert (flat.shape, flat.dtype) == ((16,), np.float32)
    assert [flat.low.min(), flat.high.max()] == pytest.approx([-23.001, 37.001], abs=1e-3)
    assert (flat.low == table.low.ravel()).all()
    assert (flat.high == table.high.ravel()).all()
    assert gym.make(ENV_ID, scenario=TASKS).observation_space == flat
    assert gym.make_vec(ENV_ID, num_envs=2, scenario=TASKS).single_observation_space == flat
    assert parallel_env(TASKS).state_space == flat
    pytest.importorskip("stable_baselines3")
    from mec_gym.envs.sb3 import make_sb3_vec_env

    assert make_sb3_vec_env(TASKS, n_envs=2).observation_space == flat


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("kind", ["flat", "db", "raw"])
def test_tables_and_vectors_show_the_same_slots(kind: str, batch: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    tasks = rng.uniform(5e5, 9e5, (*batch, 4)), rng.uniform(1e9, 2e9, (*batch, 4))
    slot = Slot(10 ** rng.uniform(-9, -5, (*batch, 4, 2)), *tasks)
    shown = ObservationCoder(TASKS, kind).encode(slot)
    for form in ((4, 4), (16,)):
        found = slot_from_observation(TASKS, shown.reshape(*batch, *form), kind)
        assert found.batch_shape == batch
        for name in ("gains", "data_bits", "cycles"):
            np.testing.assert_allclose(getattr(found, name), getattr(slot, name), rtol=1e-5)
    if kind == "db":
        np.testing.assert_array_equal(
            slot_from_observation(TASKS, shown).gains,
            slot_from_observation(TASKS, shown, kind).gains,
        )


@pytest.mark.parametrize("shape", [(), (4,), (15,), (2, 8), (8, 2), (4, 4, 1), (16, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    for kind in ("flat", "db", "raw"):
        with pytest.raises(ValueError, match=r"shape \(..., 4, 4\) or \(..., 16\); got shape"):
            slot_from_observation(TASKS, np.ones(shape), kind)


def test_a_row_alone_is_read_in_the_shape_that_is_asked_for() -> None:
    one = np.zeros((1, 3))
    assert in_shape(one, (3,), 1).shape == (1, 3)
    assert in_shape(one, (1, 3), 1).shape == (1, 3)
    assert in_shape(np.zeros(3), (1, 3), 1).shape == (1, 3)


@pytest.mark.parametrize("kind", ["db", "flat", "raw"])
@pytest.mark.parametrize(
    ("low", "high", "resolution"), [(-24, 10, 5e-6), (-30, -24, RESOLUTION), (10, 30, RESOLUTION)]
)
def test_gains_come_back(kind: str, low: int, high: int, resolution: float) -> None:
    scenario = Scenario(n_devices=1000, n_servers=100)
    exponents = np.random.default_rng(0).uniform(low, high, (1000, 100))
    gains = np.clip(10.0**exponents, 1e-30, 1e30)
    shown = ObservationCoder(scenario, kind).encode(Slot(gains, 8e5, 1e9))
    found = slot_from_observation(scenario, shown, kind).gains
    np.testing.assert_allclose(found, gains, rtol=resolution)


def test_worlds_of_extreme_gains_pass_the_check() -> None:
    loud = Scenario(n_devices=40, n_servers=10, reference_gain=1e30, min_distance_m=5.0)
    check_offloading_env(loud)
