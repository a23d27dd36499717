"""Time, energy and weighted cost of tasks: eqs. (1), (7)-(11)."""

from __future__ import annotations

from typing import Any

from mec_gym.model.arrays import Array
from mec_gym.model.channel import rate_bps
from mec_gym.validation import SMALLEST

NO_TASK = SMALLEST
"""Bits and cycles of a device that is absent: whatever it does costs next to nothing."""


def uplink(
    xp: Any,
    power_w: Array,
    snr_per_w: Array,
    data_bits: Array,
    *,
    bps_per_nat: Any,
    audible: bool = False,
) -> tuple[Array, Array]:
    """Return time D/r [s] and energy p D/r [J] of a transmission, [M-3], eqs. (1) and (9).

    p >= 0 [W], h / σ² [1/W], D [bit]; `bps_per_nat` is B / ln 2. At p = 0 the time is infinite and
    the energy its limit, D ln2 σ² / (B h). `audible` promises that every p > 0.
    """
    rate = rate_bps(xp, power_w, snr_per_w, bps_per_nat=bps_per_nat)
    if audible:
        time = data_bits / rate
        return time, power_w * time
    silent = rate == 0.0
    time = data_bits / xp.where(silent, xp.ones_like(rate), rate)
    energy = xp.where(silent, data_bits / (bps_per_nat * snr_per_w), power_w * time)
    return xp.where(silent, xp.full_like(time, float("inf")), time), energy


def weighted_cost(
    latency_s: Array, energy_j: Array, weight_latency: Array, weight_energy: Array
) -> Array:
    """Return Φ_i = φ_T T_i + φ_E E_i [1], [M-6], eq. (10); T [s], E [J], φ_T [1/s], φ_E [1/J]."""
    cost = weight_latency * latency_s
    cost += weight_energy * energy_j
    return cost


def computing_time(xp: Any, cycles: Array, frequency_hz: Array, *, running: bool = False) -> Array:
    """Return F / f [s], the time of a computation, [M-4], in eqs. (1) and (8).

    F [cycle], f >= 0 [cycle/s]; infinite where f = 0. `running` promises that every f > 0.
    """
    if running:
        return cycles / frequency_hz
    idle = frequency_hz == 0.0
    time = cycles / xp.where(idle, xp.ones_like(frequency_hz), frequency_hz)
    return xp.where(idle, xp.full_like(time, float("inf")), time)


def migrates(assignment: Array, hosts: Array, cycles: Array) -> Array:
    """Return which services move, [D-5], shape (..., N): to a server that is not their host.

    `hosts` are those before the decision, 0 = nowhere yet; local execution leaves a service where
    it is, and so does a device without a task.
    """
    return (assignment > 0) & (assignment != hosts) & (cycles > NO_TASK)


def hosts_after(xp: Any, assignment: Array, hosts: Array, cycles: Array) -> Array:
    """Return where each service is after a decision, shape (..., N): [D-5]."""
    return xp.where(migrates(assignment, hosts, cycles), assignment, hosts)
