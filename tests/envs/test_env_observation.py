"""Observations and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from mec_gym import Scenario, Slot, slot_from_observation
from mec_gym.envs.observation import RESOLUTION, ObservationCoder
from mec_gym.testing import check_offloading_env


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
