"""The paper's equations (1)-(11) and problem (13) as slow, obvious loops over plain floats.

Nothing here comes from the package but the numbers of a Scenario and a Slot. Shares are found by
bisection on the multiplier of eq. (6) and powers by a golden-section search, so that neither
closed form is taken for granted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mec_gym import Scenario, Slot


@dataclasses.dataclass
class Device:
    """One device and its task."""

    bits: float
    cycles: float
    gains: list[float]
    local_frequency: float
    capacitance: float
    exponent: float
    max_power: float
    on_latency: float
    on_energy: float


@dataclasses.dataclass
class Result:
    latency: list[float]
    energy: list[float]
    cost: list[float]
    objective: float


def devices_of(scenario: Scenario, slot: Slot) -> list[Device]:
    found = []
    for i in range(scenario.n_devices):
        own = {
            name: float(np.broadcast_to(getattr(scenario, name), scenario.n_devices)[i])
            for name in (
                "local_frequency_hz",
                "switched_capacitance",
                "power_exponent",
                "max_power_w",
                "weight_latency",
                "weight_energy",
            )
        }
        gains = [float(h) for h in slot.gains[i]]
        found.append(Device(float(slot.data_bits[i]), float(slot.cycles[i]), gains, *own.values()))
    return found


def speeds_of(scenario: Scenario) -> list[float]:
    speeds = np.broadcast_to(scenario.server_frequency_hz, scenario.n_servers)
    return [float(speed) for speed in speeds]


def rate(bandwidth: float, power: float, gain: float, noise: float) -> float:
    """Eq. (2); log1p, as 1 + x loses the digits of a weak signal."""
    return bandwidth * math.log1p(power * gain / noise) / math.log(2.0)


def outcome_by_loops(
    scenario: Scenario,
    slot: Slot,
    assignment: Sequence[int],
    powers: Sequence[float],
    frequencies: Sequence[float],
) -> Result:
    """Eqs. (1), (2) and (7)-(11)."""
    latency, energy, cost = [], [], []
    for i, device in enumerate(devices_of(scenario, slot)):
        t = e = 0.0
        for j in range(scenario.n_servers + 1):
            a_ij = 1 if int(assignment[i]) == j else 0  # eqs. (4), (5)
            if not a_ij:
                continue
            if j == 0:
                p_e = device.capacitance * device.local_frequency**device.exponent  # eq. (7)
                t += device.cycles / device.local_frequency  # eq. (8)
                e += device.cycles / device.local_frequency * p_e  # eq. (9)
            else:
                p = float(powers[i])
                r = rate(scenario.bandwidth_hz, p, device.gains[j - 1], scenario.noise_w)
                t += device.bits / r + device.cycles / float(frequencies[i])  # eqs. (1), (8)
                e += p * device.bits / r  # eq. (9)
        latency.append(t)
        energy.append(e)
        cost.append(device.on_latency * t + device.on_energy * e)  # eq. (10)
    return Result(latency, energy, cost, math.fsum(cost))  # eq. (11)


def golden_section(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a quasi-convex function is least."""
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-10:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    # The ends count as well: the minimum may be at the power limit.
    return min((low, high, (low + high) / 2.0), key=function)


def power_by_search(scenario: Scenario, device: Device, server: int) -> float:
    """Minimise φ_T D/r + φ_E p D/r over 30 decades of p up to P_max."""

    def cost(log_power: float) -> float:
        p = math.exp(log_power)
        r = rate(scenario.bandwidth_hz, p, device.gains[server - 1], scenario.noise_w)
        return (device.on_latency + device.on_energy * p) * device.bits / r

    top = math.log(device.max_power)
    return math.exp(golden_section(cost, top - 30.0 * math.log(10.0), top))


def shares_by_bisection(work: Sequence[float], speed: float) -> list[float]:
    """Minimise Σ w/f with Σ f = speed: f = sqrt(w/μ), where the multiplier μ fills the server."""
    low, high = -200.0, 200.0  # of ln μ
    for _ in range(200):
        middle = (low + high) / 2.0
        used = math.fsum(math.sqrt(w / math.exp(middle)) for w in work)
        if used > speed:
            low = middle
        else:
            high = middle
    return [math.sqrt(w / math.exp(high)) for w in work]


def allocation_by_loops(
    scenario: Scenario, slot: Slot, assignment: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Return powers and frequencies that solve problem (13); those of local devices as in (7)."""
    devices = devices_of(scenario, slot)
    powers = [d.capacitance * d.local_frequency**d.exponent for d in devices]
    frequencies = [d.local_frequency for d in devices]
    for j, speed in enumerate(speeds_of(scenario), start=1):
        here = [i for i in range(len(devices)) if int(assignment[i]) == j]
        work = [devices[i].on_latency * devices[i].cycles for i in here]
        for i, share in zip(here, shares_by_bisection(work, speed), strict=True):
            frequencies[i] = share
            powers[i] = power_by_search(scenario, devices[i], j)
    return powers, frequencies


def random_case(
    seed: int, n_devices: int = 8, n_servers: int = 3, **fields: Any
) -> tuple[Scenario, Slot, np.ndarray]:
    """Return a case in which every number differs between devices and between servers."""
    rng = np.random.default_rng([seed, n_devices, n_servers])
    speed = rng.uniform(0.4e9, 2e9, n_devices)
    exponent = rng.uniform(2.0, 3.0, n_devices)
    limit = rng.uniform(0.3, 3.0, n_devices)
    # Local execution takes a part of the power limit, eq. (7): every device may be local.
    capacitance = limit * rng.uniform(0.1, 0.95, n_devices) / speed**exponent
    scenario = Scenario(
        **{
            "n_devices": n_devices,
            "n_servers": n_servers,
            "bandwidth_hz": float(rng.uniform(2e5, 5e6)),
            "noise_w": float(10.0 ** rng.uniform(-13.0, -5.0)),
            "local_frequency_hz": speed,
            "switched_capacitance": capacitance,
            "power_exponent": exponent,
            "max_power_w": limit,
            "weight_latency": rng.uniform(0.2, 3.0, n_devices),
            "weight_energy": rng.uniform(0.2, 3.0, n_devices),
            "server_frequency_hz": rng.uniform(2e9, 3e10, n_servers),
            "server_positions": rng.uniform(0.0, 50.0, (n_servers, 2)),
        }
        | fields
    )
    return scenario, random_slot(rng, n_devices, n_servers), random_choices(rng, scenario)


def random_slot(
    rng: np.random.Generator, n_devices: int, n_servers: int, batch: tuple[int, ...] = ()
) -> Slot:
    return Slot(
        gains=10.0 ** rng.uniform(-9.0, -4.0, (*batch, n_devices, n_servers)),
        data_bits=rng.uniform(1e5, 2e6, (*batch, n_devices)),
        cycles=rng.uniform(1e8, 3e9, (*batch, n_devices)),
    )


def random_choices(
    rng: np.random.Generator, scenario: Scenario, batch: tuple[int, ...] = ()
) -> np.ndarray:
    return rng.integers(0, scenario.n_servers + 1, (*batch, scenario.n_devices))
