"""Layouts: where devices and servers stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from mec_gym.levy import levy_steps
from mec_gym.model.channel import path_gain
from mec_gym.model.motion import reflected
from mec_gym.scenario import Scenario

GAUSSIAN_SPREAD = 1 / 6
"""Standard deviation of Gaussian positions over the side of the area: three fit on each side."""

LEVY_SCALE = 1 / 50
"""Scale of Lévy position steps over the side of the area."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions, and the gains that follow from them."""

    device_positions_m: NDArray[np.float64]  # (x_i, y_i), shape (..., N, 2)
    server_positions_m: NDArray[np.float64]  # (X_j, Y_j), shape (..., M, 2)
    path_gains: NDArray[np.float64]  # eq. (3) without fading, shape (..., N, M)

    @property
    def distances_m(self) -> NDArray[np.float64]:
        """Distance of each device to each server, shape (..., N, M) [m]."""
        offset = self.device_positions_m[..., :, None, :] - self.server_positions_m[..., None, :, :]
        return np.asarray(np.hypot(offset[..., 0], offset[..., 1]))


def fixed_layout(scenario: Scenario) -> Layout:
    """Return the one layout of a scenario with ``layout="fixed"``, drawn from `layout_seed`.

    The same object at every call: every env, copy and seed of the scenario shares the map.
    """
    found: Layout | None = scenario.__dict__.get("_layout")
    if found is None:
        found = draw_layout(scenario, np.random.default_rng(scenario.layout_seed))
        for array in (found.device_positions_m, found.server_positions_m, found.path_gains):
            array.flags.writeable = False
        scenario.__dict__["_layout"] = found
    return found


def draw_layout(scenario: Scenario, rng: np.random.Generator) -> Layout:
    """Draw positions by the scenario's laws: devices first, then servers.

    Uniform, Gaussian or Lévy devices (Table III of the paper); servers at the k-means centres of
    the devices. Given positions draw nothing.
    """
    devices = _device_positions(scenario, rng)
    if isinstance(scenario.server_positions, str):
        servers = _kmeans_centres(devices, scenario.n_servers, rng)
    else:
        servers = np.array(scenario.server_positions, dtype=np.float64)
    gains = path_gain(
        devices,
        servers,
        reference_gain=scenario.reference_gain,
        min_distance_m=scenario.min_distance_m,
    )
    return Layout(devices, servers, gains)


def _device_positions(scenario: Scenario, rng: np.random.Generator) -> NDArray[np.float64]:
    law, shape = scenario.device_positions, (scenario.n_devices, 2)
    area = np.array(scenario.area_m)
    if not isinstance(law, str):
        return np.array(law, dtype=np.float64)
    if law == "uniform":
        return np.asarray(rng.random(shape) * area)
    if law == "gaussian":
        # A normal law around the centre, cut at the border, by its inverse distribution.
        edge = ndtr(-0.5 / GAUSSIAN_SPREAD)
        quantile = edge + (1.0 - 2.0 * edge) * rng.random(shape)
        return np.asarray(np.clip(0.5 + GAUSSIAN_SPREAD * ndtri(quantile), 0.0, 1.0) * area)
    centres = rng.random((scenario.n_servers, 2))
    home = rng.integers(scenario.n_servers, size=scenario.n_devices)
    positions, _ = reflected(centres[home] + LEVY_SCALE * levy_steps(rng, shape), np.ones(2))
    return np.asarray(positions * area)


def _kmeans_centres(
    devices: NDArray[np.float64], n_servers: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    distinct = len(np.unique(devices, axis=0))
    if distinct < n_servers:
        raise ValueError(
            f"server_positions='kmeans' requires at least n_servers={n_servers} distinct device "
            f"positions; got {distinct}. Give server_positions as an array of shape "
            f"({n_servers}, 2) [m]."
        )
    from scipy.cluster.vq import ClusterError, kmeans2  # slow to import

    # k-means++ over distinct points fails only when a cluster runs empty, which is rare.
    for _ in range(100):
        try:
            centres, _ = kmeans2(devices, n_servers, iter=50, minit="++", missing="raise", rng=rng)
        except ClusterError:
            continue
        return np.asarray(centres, dtype=np.float64)
    raise RuntimeError(f"k-means found no {n_servers} non-empty clusters in 100 attempts.")
