"""A scenario's numbers as arrays, in the namespace, dtype and device of the slot they meet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mec_gym.model.arrays import Array, like, namespace_of
from mec_gym.model.channel import LN2
from mec_gym.scenario import Scenario


@dataclass(frozen=True, eq=False)
class Constants:
    """What the physics needs of a scenario.

    Attributes
    ----------
    n_devices, n_servers : int
        N and M.
    bps_per_nat, noise : array without axes, or float
        B / ln 2 [bit/s per nat/s/Hz] and σ² [W] of eq. (2).
    weight_latency, weight_energy : array, shape (N,)
        φ_T [1/s] and φ_E [1/J] of eq. (10).
    max_power_w : array, shape (N,), [W]
        P_i^max of eq. (7).
    local_frequency_hz : array, shape (N,), [cycle/s]
        f_i0 of eq. (8).
    local_power_w : array, shape (N,), [W]
        p_i^E of eq. (7).
    server_frequency_hz : array, shape (M,), [cycle/s]
        F_j^max of eq. (6).
    frequency_by_choice : array, shape (M + 1,), [cycle/s]
        The same behind a 1 for choice 0, so that an assignment indexes it.
    weight_ratio : array, shape (N,), [J/s]
        φ_T / φ_E; 1e60 where φ_E = 0 and 1e-60 where φ_T = 0, the ends of what can occur.
    local_choice : int or integer array without axes
        0, in the form that compares fastest with an assignment.
    price_floor : array without axes
        Far below L_j / F_j^max wherever that is not 0.
    always_timed : bool
        Whether every φ_T > 0, so that no infimum at zero power can occur.
    """

    n_devices: int
    n_servers: int
    bps_per_nat: Any
    noise: Any
    weight_latency: Array
    weight_energy: Array
    max_power_w: Array
    local_frequency_hz: Array
    local_power_w: Array
    server_frequency_hz: Array
    frequency_by_choice: Array
    weight_ratio: Array
    local_choice: Any
    price_floor: Array
    always_timed: bool

    @cached_property
    def xp(self) -> Any:
        """The array namespace."""
        return namespace_of(self.max_power_w)

    def __getstate__(self) -> dict[str, Any]:
        # Modules do not pickle.
        return {name: value for name, value in self.__dict__.items() if name != "xp"}


def constants_of(scenario: Scenario, reference: Array) -> Constants:
    """Return the constants of `scenario` in the kind, dtype and device of `reference`.

    Parameters
    ----------
    scenario : Scenario
        The system.
    reference : array
        A float array, usually the gains of the slot at hand.

    Returns
    -------
    Constants
        Cached on the scenario.

    Examples
    --------
    >>> constants_of(Scenario.preset("paper-30x2"), np.zeros(1)).server_frequency_hz
    array([1.5e+10, 1.5e+10])
    """
    xp = namespace_of(reference)
    key = (xp.__name__, str(reference.dtype), "cpu" if xp is np else str(reference.device))
    cache: dict[tuple[str, str, str], Constants] = scenario.__dict__.setdefault("_constants", {})
    if key not in cache:
        cache[key] = _build(scenario, xp, reference)
    return cache[key]


def _build(scenario: Scenario, xp: Any, reference: Array) -> Constants:
    latency, energy = scenario.per_device("weight_latency"), scenario.per_device("weight_energy")
    speeds = scenario.server_frequencies_hz
    with np.errstate(divide="ignore"):
        ratio = np.clip(latency / energy, 1e-60, 1e60)
    local_power, local_speed = scenario.local_power_w, scenario.per_device("local_frequency_hz")

    def array(value: Any) -> Array:
        return like(reference, value)

    def scalar(value: float) -> Any:
        # NumPy meets an array without axes faster than a Python float.
        return np.array(value) if xp is np else value

    return Constants(
        n_devices=scenario.n_devices,
        n_servers=scenario.n_servers,
        bps_per_nat=scalar(scenario.bandwidth_hz / LN2),
        noise=scalar(scenario.noise_w),
        weight_latency=array(latency),
        weight_energy=array(energy),
        max_power_w=array(scenario.per_device("max_power_w")),
        local_frequency_hz=array(local_speed),
        local_power_w=array(local_power),
        server_frequency_hz=array(speeds),
        frequency_by_choice=array(np.concatenate([[1.0], speeds])),
        weight_ratio=array(ratio),
        local_choice=np.array(0) if xp is np else 0,
        price_floor=array(1e-90 if xp.finfo(reference.dtype).max > 1e90 else 1e-30),
        always_timed=bool((latency > 0.0).all()),
    )
