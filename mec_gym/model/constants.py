"""A scenario's numbers as arrays, in the namespace, dtype and device of the slot they meet."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from mec_gym.model.arrays import Array, like, namespace_of
from mec_gym.model.channel import LN2
from mec_gym.scenario import Scenario


@dataclass(frozen=True, eq=False)
class Constants:
    """What the physics needs of a scenario, as arrays of one kind."""

    n_devices: int
    n_servers: int
    bps_per_nat: Any  # B / ln 2 [bit/s per nat/s/Hz], eq. (2)
    noise: Any  # σ² [W], eq. (2)
    weight_latency: Array  # φ_T, (N,) [1/s], eq. (10)
    weight_energy: Array  # φ_E, (N,) [1/J], eq. (10)
    max_power_w: Array  # P_i^max, (N,) [W], eq. (7)
    local_frequency_hz: Array  # f_i0, (N,) [cycle/s], eq. (8)
    local_power_w: Array  # p_i^E, (N,) [W], eq. (7)
    server_frequency_hz: Array  # F_j^max, (M,) [cycle/s], eq. (6)
    frequency_by_choice: Array  # the same behind a 1 for choice 0: an assignment indexes it
    weight_ratio: Array  # φ_T / φ_E, (N,) [J/s]; 1e60 where φ_E = 0
    migration: tuple[Array, Array] | None  # τ (N,) [s] and ε (N,) [J] of a move, [D-5]; None: free
    local_choice: Any  # 0, in the form that compares fastest with an assignment

    @cached_property
    def xp(self) -> Any:
        """The array namespace."""
        return namespace_of(self.max_power_w)

    @property
    def without_migration(self) -> Constants:
        """The same where moves are free, for who counts what they cost otherwise."""
        return replace(self, migration=None)

    def __getstate__(self) -> dict[str, Any]:
        # Modules do not pickle.
        return {name: value for name, value in self.__dict__.items() if name != "xp"}


def constants_of(scenario: Scenario, reference: Array) -> Constants:
    """Return a scenario's constants in the kind, dtype and device of a float array; cached."""
    xp = namespace_of(reference)
    key = (xp.__name__, str(reference.dtype), "cpu" if xp is np else str(reference.device))
    cache: dict[tuple[str, str, str], Constants] = scenario.__dict__.setdefault("_constants", {})
    if key not in cache:
        with lasting(xp):
            cache[key] = _build(scenario, xp, reference)
    return cache[key]


def lasting(xp: Any) -> AbstractContextManager[Any]:
    """Return the context to make what is cached in: torch's inference mode would stick to it."""
    mode = getattr(xp, "inference_mode", None)
    return mode(False) if mode else nullcontext()


def _build(scenario: Scenario, xp: Any, reference: Array) -> Constants:
    latency, energy = scenario.per_device("weight_latency"), scenario.per_device("weight_energy")
    speeds = scenario.server_frequencies_hz
    with np.errstate(divide="ignore"):
        ratio = np.minimum(latency / energy, 1e60)
    array = partial(like, reference)

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
        local_frequency_hz=array(scenario.per_device("local_frequency_hz")),
        local_power_w=array(scenario.local_power_w),
        server_frequency_hz=array(speeds),
        frequency_by_choice=array(np.concatenate([[1.0], speeds])),
        weight_ratio=array(ratio),
        migration=(
            (array(scenario.per_device("migration_s")), array(scenario.per_device("migration_j")))
            if scenario.migrates
            else None
        ),
        local_choice=np.array(0) if xp is np else 0,
    )
