"""Layouts: where devices and servers stand, which map a seed names, and eq. (3) without fading."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial import ConvexHull, Delaunay

from mec_gym import Scenario
from mec_gym.model.channel import path_gain
from mec_gym.model.layout import GAUSSIAN_SPREAD, Layout, draw_layout, fixed_layout
from mec_gym.model.world import World

LAWS = ("uniform", "gaussian", "levy")


def system(n_devices: int = 120, n_servers: int = 6, **fields: Any) -> Scenario:
    return Scenario(**{"n_devices": n_devices, "n_servers": n_servers, "area_m": (80, 30)} | fields)


def drawn(seed: int, **fields: Any) -> Layout:
    return draw_layout(system(**fields), np.random.default_rng(seed))


# -- positions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", range(10))
def test_everything_stands_inside_the_area(law: str, seed: int) -> None:
    layout = drawn(seed, n_devices=500, device_positions=law)
    for positions in (layout.device_positions_m, layout.server_positions_m):
        assert (positions >= 0.0).all()
        assert (positions <= [80.0, 30.0]).all()
    assert layout.device_positions_m.shape == (500, 2)
    assert layout.server_positions_m.shape == (6, 2)
    assert layout.path_gains.shape == (500, 6)


def test_uniform_positions_have_the_moments_of_their_law() -> None:
    scaled = drawn(0, n_devices=20_000, device_positions="uniform").device_positions_m / [80, 30]
    # Mean 1/2 and variance 1/12; five standard errors of 20,000 draws.
    assert np.abs(scaled.mean(axis=0) - 0.5).max() < 5 * math.sqrt(1 / 12 / 20_000)
    assert np.abs(scaled.var(axis=0) - 1 / 12).max() < 5 * math.sqrt(1 / 180 / 20_000)
    assert abs(np.corrcoef(scaled.T)[0, 1]) < 5 / math.sqrt(20_000)


def test_gaussian_positions_have_the_moments_of_their_law() -> None:
    scaled = drawn(0, n_devices=20_000, device_positions="gaussian").device_positions_m / [80, 30]
    # A normal law cut at three standard deviations has 0.9733 of the variance.
    cut = 1.0 - 2 * 3 * math.exp(-4.5) / math.sqrt(2 * math.pi) / math.erf(3 / math.sqrt(2))
    assert cut == pytest.approx(0.9733, abs=1e-4)
    variance = GAUSSIAN_SPREAD**2 * cut
    assert np.abs(scaled.mean(axis=0) - 0.5).max() < 5 * math.sqrt(variance / 20_000)
    # A variance's standard error is at most sqrt(2/n) of it; five of them.
    assert np.abs(scaled.var(axis=0) / variance - 1.0).max() < 5 * math.sqrt(2 / 20_000)
    # The law is cut, not clipped: nobody stands on the border itself.
    assert scaled.min() > 0.0
    assert scaled.max() < 1.0


def test_levy_positions_crowd_and_stray() -> None:
    layout = drawn(3, n_devices=2000, n_servers=4, device_positions="levy")
    scaled = layout.device_positions_m / [80, 30]
    nearest = np.sort(np.hypot(*(scaled[:, None] - scaled[None, :200]).T), axis=1)[:, 1]
    # Uniform points would be 1/(2 sqrt(2000)) = 0.011 from their next on average.
    assert np.median(nearest) < 0.006
    # Yet some are far from all cluster centres: a heavy tail, in units of 0.02.
    centres = draw_layout_centres(3, 4)
    distance = np.hypot(*(scaled[:, None] - centres[None]).T).min(axis=0)
    assert (distance > 0.2).sum() > 10
    assert np.median(distance) < 0.05


def draw_layout_centres(seed: int, n: int) -> np.ndarray:
    """Cluster centres are the first draw of a layout."""
    return np.random.default_rng(seed).random((n, 2))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", range(8))
def test_kmeans_servers_are_the_centroids_of_their_devices(law: str, seed: int) -> None:
    layout = drawn(seed, device_positions=law)
    devices, servers = layout.device_positions_m, layout.server_positions_m
    nearest = layout.distances_m.argmin(axis=1)
    for j, server in enumerate(servers):
        own = devices[nearest == j]
        assert len(own) > 0
        # A fixed point of Lloyd's iteration, which ends after finitely many steps; rounding.
        np.testing.assert_allclose(own.mean(axis=0), server, atol=1e-10)
    hull = Delaunay(devices[ConvexHull(devices).vertices])
    assert (hull.find_simplex(servers) >= 0).all()


def test_many_servers_are_nearly_centroids() -> None:
    layout = fixed_layout(Scenario.preset("metro-10000x100"))
    nearest = layout.distances_m.argmin(axis=1)
    for j, server in enumerate(layout.server_positions_m):
        # Lloyd's iteration is cut at 50 steps: a metre, where servers are 35 m apart.
        assert np.hypot(*(layout.device_positions_m[nearest == j].mean(axis=0) - server)) < 1.0


def test_as_many_servers_as_devices() -> None:
    layout = drawn(0, n_devices=6, n_servers=6)
    # Every device is a cluster of its own.
    np.testing.assert_allclose(layout.distances_m.min(axis=1), 0.0, atol=1e-12)


def test_too_few_places_for_kmeans_are_refused() -> None:
    scenario = system(n_devices=3, n_servers=2, device_positions=[[1, 1]] * 3)
    with pytest.raises(ValueError, match=r"at least n_servers=2 distinct .* got 1"):
        fixed_layout(scenario)


def test_given_positions_are_used_as_given() -> None:
    rng = np.random.default_rng(0)
    devices, servers = rng.uniform(0, 30, (5, 2)), rng.uniform(0, 30, (7, 2))
    given = {"device_positions": devices, "server_positions": servers}
    layout = drawn(1, n_devices=5, n_servers=7, **given)
    np.testing.assert_array_equal(layout.device_positions_m, devices)
    np.testing.assert_array_equal(layout.server_positions_m, servers)
    mixed = drawn(1, n_devices=5, n_servers=7, server_positions=servers)
    np.testing.assert_array_equal(mixed.server_positions_m, servers)


# -- which map ------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
def test_a_fixed_layout_is_the_same_for_every_seed_and_copy(law: str) -> None:
    worlds = [World(system(device_positions=law), 2) for _ in range(3)]
    for seed, world in enumerate(worlds):
        world.reset([np.random.default_rng([seed, k]) for k in range(2)])
    first = worlds[0].layout()
    for world in worlds:
        for k in range(2):
            for name in ("device_positions_m", "server_positions_m", "path_gains"):
                np.testing.assert_array_equal(getattr(world.layout(k), name), getattr(first, name))


@pytest.mark.parametrize("law", LAWS)
def test_the_layout_seed_names_the_map(law: str) -> None:
    maps = [
        fixed_layout(system(device_positions=law, layout_seed=s)).device_positions_m
        for s in (0, 1, 0)
    ]
    np.testing.assert_array_equal(maps[0], maps[2])
    assert not np.isclose(maps[0], maps[1]).any(axis=1).all()
    assert (np.abs(maps[0] - maps[1]) > 0.0).all()


def test_other_fields_do_not_move_the_map() -> None:
    before = fixed_layout(system())
    after = fixed_layout(system(noise_w=1e-6, cycles=2e9, max_power_w=3.0, fading="none"))
    np.testing.assert_array_equal(before.device_positions_m, after.device_positions_m)
    np.testing.assert_array_equal(before.server_positions_m, after.server_positions_m)


def test_the_shared_map_is_read_only() -> None:
    layout = fixed_layout(system())
    for array in (layout.device_positions_m, layout.server_positions_m, layout.path_gains):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0


def test_redrawn_layouts_differ_at_every_reset_and_repeat_with_the_seed() -> None:
    scenario = system(layout="redrawn", fading="none")
    seen = []
    for _ in range(2):
        world = World(scenario)
        with pytest.raises(RuntimeError, match="no layout before the first reset"):
            world.layout()
        rng = np.random.default_rng(5)
        for _ in range(3):
            world.reset([rng])
            seen.append(world.layout().device_positions_m)
            # Slots of an episode share its map: without fading, all are the same.
            first = world.slot
            world.advance([rng])
            assert first is not None
            assert world.slot is not None
            np.testing.assert_array_equal(first.gains, world.slot.gains)
    for k in range(3):
        np.testing.assert_array_equal(seen[k], seen[k + 3])
        assert (seen[k] != seen[(k + 1) % 3]).all()


# -- eq. (3) --------------------------------------------------------------------------------------


def test_path_gains_are_eq_3_by_loops() -> None:
    scenario = system(n_devices=40, reference_gain=3e-4, min_distance_m=2.5)
    layout = draw_layout(scenario, np.random.default_rng(0))
    closer = 0
    for i, (x, y) in enumerate(layout.device_positions_m):
        for j, (big_x, big_y) in enumerate(layout.server_positions_m):
            squared = (big_x - x) ** 2 + (big_y - y) ** 2
            closer += squared < 2.5**2
            wanted = 3e-4 / max(squared, 2.5**2)
            assert layout.path_gains[i, j] == pytest.approx(wanted, rel=1e-14)  # few roundings
            # A root and a square more.
            assert layout.distances_m[i, j] ** 2 == pytest.approx(squared, rel=1e-14)
    assert closer > 0


def test_gains_do_not_grow_below_the_least_distance() -> None:
    servers = np.array([[0.0, 0.0]])
    places = np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [0.0, 2.0], [6.0, 8.0]])
    gains = path_gain(places, servers, reference_gain=1e-4, min_distance_m=1.0)
    np.testing.assert_allclose(gains[:, 0], [1e-4, 1e-4, 1e-4, 2.5e-5, 1e-6], rtol=1e-15)
    near = path_gain(places, servers, reference_gain=1e-4, min_distance_m=0.25)
    np.testing.assert_allclose(near[:3, 0], [1.6e-3, 4e-4, 1e-4], rtol=1e-15)  # one rounding


def test_gains_depend_on_differences_only() -> None:
    layout = drawn(0)
    law = {"reference_gain": 1e-4, "min_distance_m": 1.0}
    plain = path_gain(layout.device_positions_m, layout.server_positions_m, **law)
    shift, turn = np.array([7.0, -3.0]), np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = path_gain(
        (layout.device_positions_m + shift) @ turn,
        (layout.server_positions_m + shift) @ turn,
        **law,
    )
    # Differences of numbers of 100 m, down to 1 m, squared.
    np.testing.assert_allclose(moved, plain, rtol=1e-12)
