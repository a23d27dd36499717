"""Movement, shadowing and correlated fading have the laws that their equations promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mec_gym import GaussMarkov, RandomWaypoint, Scenario, Traces, episode
from mec_gym.mobility import classes_of
from mec_gym.model.episode import episodes
from mec_gym.model.motion import reflected


def world(n_devices: int = 400, n_servers: int = 2, **fields: Any) -> Scenario:
    """Return a large area, whose border hardly matters, with two servers."""
    given = {
        "n_devices": n_devices,
        "n_servers": n_servers,
        "area_m": (1e5, 1e5),
        "server_positions": [(2e4, 2e4), (8e4, 8e4)][:n_servers],
        "layout": "redrawn",
    }
    return Scenario(**(given | fields))


@pytest.mark.parametrize("slot_s", [0.5, 1.0, 3.0])
def test_gauss_markov_has_its_mean_spread_and_memory(slot_s: float) -> None:
    law = GaussMarkov(speed_mps=4.0, memory=0.8, spread=0.5)
    path = episode(world(mobility=law, slot_s=slot_s), seed=0, n_slots=400)
    velocity = np.diff(path.device_positions_m, axis=0)[100:] / slot_s
    mean = velocity.mean(axis=0)
    assert np.hypot(*mean.T).mean() == pytest.approx(4.0, rel=0.03)
    deviation = velocity - mean
    assert deviation.std() == pytest.approx(2.0, rel=0.03)
    # The velocity of one second before, whatever the slot.
    correlation = (deviation[1:] * deviation[:-1]).mean() / deviation.var()
    assert correlation == pytest.approx(0.8**slot_s, abs=0.03)


def test_random_waypoint_keeps_its_speeds_and_pauses() -> None:
    law = RandomWaypoint(low_mps=2.0, high_mps=3.0, pause_s=5.0)
    scenario = world(area_m=(100.0, 100.0), server_positions=[(10, 10), (90, 90)], mobility=law)
    path = episode(scenario, seed=0, n_slots=600)
    steps = np.hypot(*np.moveaxis(np.diff(path.device_positions_m, axis=0), -1, 0))
    assert steps.max() <= 3.0 + 1e-9
    whole = steps[(steps > 2.0)]
    assert whole.min() >= 2.0
    # A mean leg of 0.5214 sides at the harmonic mean of the speeds, then the pause.
    travelling = 52.14 * np.log(3.0 / 2.0)
    assert (steps == 0).mean() == pytest.approx(4.0 / (travelling + 5.0), rel=0.15)


def test_random_waypoint_is_the_same_law_in_long_slots() -> None:
    law = RandomWaypoint(low_mps=5.0, high_mps=5.001, pause_s=0.0)
    shares = []
    for slot_s, every in ((60.0, 1), (1.0, 60)):
        scenario = world(
            area_m=(50.0, 50.0), server_positions=[(9, 9), (9, 41)], mobility=law, slot_s=slot_s
        )
        path = episode(scenario, seed=0, n_slots=1 + 12 * every)
        place = path.device_positions_m[every::every]
        shares.append((np.abs(place - 25.0) < 12.5).all(-1).mean())
    assert shares[0] == pytest.approx(shares[1], abs=0.03)
    assert shares[0] > 0.3  # who travels from point to point is often in the middle


def test_shadowing_has_its_spread_and_its_distance() -> None:
    scenario = world(
        mobility=GaussMarkov(5.0, memory=0.99, spread=0.01),
        shadowing_db=6.0,
        decorrelation_m=20.0,
        fading="none",
    )
    path = episode(scenario, seed=0, n_slots=60)
    place = path.device_positions_m[:, :, None] - path.server_positions_m
    without = scenario.reference_gain / np.maximum((place**2).sum(-1), 1.0)
    shadow = 10.0 * np.log10(path.gains / without)
    assert shadow.std() == pytest.approx(6.0, rel=0.05)
    # 4 slots of 5 m: one decorrelation distance.
    assert (shadow[4:] * shadow[:-4]).mean() / 36.0 == pytest.approx(np.exp(-1.0), abs=0.05)


def test_shadowing_of_who_stays_stays() -> None:
    path = episode(world(shadowing_db=6.0, fading="none"), seed=0, n_slots=4)
    assert (path.gains == path.gains[0]).all()


@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_fading_is_exponential_with_its_correlation(correlation: float) -> None:
    path = episode(world(fading_correlation=correlation), seed=0, n_slots=300)
    power = path.gains / path.path_gains
    assert power.mean() == pytest.approx(1.0, abs=0.02)
    assert power.var() == pytest.approx(1.0, abs=0.06)
    deviation = power - 1.0
    assert (deviation[1:] * deviation[:-1]).mean() == pytest.approx(correlation**2, abs=0.03)


def test_positions_stay_inside_and_reflection_keeps_lengths() -> None:
    scenario = Scenario.preset("crowd-30x4", mobility=GaussMarkov(40.0, memory=0.9))
    path = episode(scenario, seed=0, n_slots=300)
    assert (path.device_positions_m >= 0).all()
    assert (path.device_positions_m <= 50).all()
    rng = np.random.default_rng(0)
    place = rng.uniform(-200, 200, (100, 2))
    inside, turns = reflected(place, np.array([50.0, 30.0]))
    # A small step is mirrored as the turns say.
    step = reflected(place + 1e-6, np.array([50.0, 30.0]))[0] - inside
    assert step == pytest.approx(1e-6 * turns, abs=1e-9)


def test_the_border_is_where_the_crowd_is_as_dense_as_elsewhere() -> None:
    scenario = Scenario.preset("crowd-200x10", mobility=GaussMarkov(6.0, memory=0.9))
    path = episode(scenario, seed=0, n_slots=400)
    late = path.device_positions_m[100:].reshape(-1, 2)
    inner = ((late > 12.5) & (late < 37.5)).all(-1).mean()
    assert inner == pytest.approx(0.25, abs=0.02)


def test_classes_share_the_devices() -> None:
    classes = classes_of(((0.5, GaussMarkov(1.0)), (0.3, None), (0.2, RandomWaypoint())), 7)
    assert [devices.tolist() for _, devices in classes] == [[0, 1, 2, 3], [4, 5], [6]]
    scenario = world(7, mobility=((0.5, GaussMarkov(1.0)), (0.3, None), (0.2, RandomWaypoint())))
    assert scenario.mean_speed_mps.tolist() == [1.0] * 4 + [0.0] * 2 + [0.5]
    moved = np.ptp(episode(scenario, seed=0, n_slots=9).device_positions_m, axis=0).any(-1)
    assert moved.tolist() == [True] * 4 + [False] * 2 + [True]


def test_traces_are_followed_and_their_absent_have_no_task() -> None:
    samples = np.array([[[0, 0], [5, 5]], [[10, 0], [np.nan, np.nan]], [[10, 10], [9, 9]]])
    traces = Traces(samples, interval_s=2.0)
    scenario = Scenario(
        n_devices=2,
        n_servers=1,
        area_m=(10.0, 10.0),
        server_positions=[(5, 5)],
        mobility=traces,
        slot_s=0.5,
        fading="none",
        migration_s=1.0,
    )
    path = episode(scenario, seed=3, n_slots=24)
    # Twice the same: the traces begin anew after 6 s.
    assert path.device_positions_m[:12] == pytest.approx(path.device_positions_m[12:], abs=1e-9)
    x, y = path.device_positions_m[:, 0].T
    # On its triangle the first device is on one of three straight lines.
    assert (np.isclose(y, 0) | np.isclose(x, 10) | np.isclose(x, y)).all()
    absent = path.cycles[:, 1] < 1.0
    assert absent.sum() == 8
    assert (path.device_positions_m[absent, 1] == [5, 5]).all()
    assert (path.cycles[:, 0] == 1e9).all()
    assert (path.data_bits[absent, 1] < 1e-20).all()


def test_a_delay_shows_the_gains_of_slots_before() -> None:
    scenario = Scenario.preset("crowd-30x4", csi_delay_slots=3)
    path = episode(scenario, seed=0, n_slots=10)
    assert (path.seen_gains[3:] == path.gains[:-3]).all()
    assert (path.seen_gains[:3] != path.gains[:3]).any(axis=(1, 2)).all()


def test_episodes_of_several_seeds_are_those_of_each() -> None:
    scenario = Scenario.preset(
        "crowd-30x4",
        shadowing_db=3.0,
        fading="rayleigh",
        fading_correlation=0.5,
        csi_delay_slots=1,
        mobility=((0.4, GaussMarkov(3.0)), (0.6, RandomWaypoint(2.0, 9.0, 1.0))),
    )
    together = episodes(scenario, [4, 9], 30)
    for seed, path in zip((4, 9), together, strict=True):
        alone = episode(scenario, seed, 30)
        for field in ("gains", "seen_gains", "data_bits", "device_positions_m", "path_gains"):
            assert (getattr(path, field) == getattr(alone, field)).all()
