"""Time, energy and weighted cost of tasks: eqs. (1), (7)-(11)."""

from __future__ import annotations

from typing import Any, NamedTuple

from mec_gym.model.arrays import Array
from mec_gym.model.channel import rate_bps


class Uplink(NamedTuple):
    """Transmission of a task to a server.

    Attributes
    ----------
    time_s : array, [s]
        T^Tr of eq. (1).
    energy_j : array, [J]
        p T^Tr of eq. (9).
    """

    time_s: Array
    energy_j: Array


def uplink(
    xp: Any, power_w: Array, snr_per_w: Array, data_bits: Array, *, bandwidth_hz: float
) -> Uplink:
    r"""Return time D/r and energy p D/r of a transmission, eqs. (1) and (9).

    Parameters
    ----------
    xp : module
        Array namespace.
    power_w : array, [W]
        Transmission power p >= 0.
    snr_per_w : array, [1/W]
        h / σ².
    data_bits : array, [bit]
        D.
    bandwidth_hz : float, [Hz]
        B.

    Returns
    -------
    Uplink
        At p = 0 the time is infinite and the energy its limit D ln2 σ² / (B h).

    Examples
    --------
    >>> import numpy as np
    >>> sent = uplink(np, np.array([1.0]), np.array([3.0]), np.array([2e6]), bandwidth_hz=1e6)
    >>> sent.time_s, sent.energy_j
    (array([1.]), array([1.]))
    """
    rate = rate_bps(xp, power_w, snr_per_w, bandwidth_hz=bandwidth_hz)
    silent = rate == 0.0
    if not xp.any(silent):
        time = data_bits / rate
        return Uplink(time, power_w * time)
    # A tiny power stands for its limit: its rate is proportional to it, so energy is constant.
    whisper = 1e-20 / snr_per_w
    slow = data_bits / rate_bps(xp, whisper, snr_per_w, bandwidth_hz=bandwidth_hz)
    time = data_bits / xp.where(silent, xp.ones_like(rate), rate)
    energy = xp.where(silent, whisper * slow, power_w * time)
    return Uplink(xp.where(silent, xp.full_like(time, float("inf")), time), energy)


def weighted_cost(
    xp: Any, latency_s: Array, energy_j: Array, weight_latency: Array, weight_energy: Array
) -> Array:
    r"""Return Φ_i = φ_T T_i + φ_E E_i, eq. (10).

    Parameters
    ----------
    xp : module
        Array namespace.
    latency_s : array, [s]
        T_i; may be infinite where φ_T = 0.
    energy_j : array, [J]
        E_i.
    weight_latency, weight_energy : array, [1/s], [1/J]
        φ_T and φ_E.

    Returns
    -------
    array, [1]
        A latency without weight costs nothing, infinite or not.

    Examples
    --------
    >>> import numpy as np
    >>> inf = np.array([np.inf])
    >>> weighted_cost(np, inf, np.array([2.0]), np.array([0.0]), np.array([1.0]))
    array([2.])
    """
    counted = xp.where(weight_latency > 0.0, latency_s, xp.zeros_like(latency_s))
    return weight_latency * counted + weight_energy * energy_j


def local_cost_per_cycle(
    local_frequency_hz: Array, local_power_w: Array, *, weight_latency: Array, weight_energy: Array
) -> Array:
    r"""Return the weighted cost of executing one cycle locally, eqs. (8)-(10).

    (φ_T + φ_E p^E) / f_0: time 1/f_0 and energy p^E/f_0 for each cycle.

    Parameters
    ----------
    local_frequency_hz : array, [cycle/s]
        f_i0.
    local_power_w : array, [W]
        p_i^E of eq. (7).
    weight_latency, weight_energy : array, [1/s], [1/J]
        φ_T and φ_E.

    Returns
    -------
    array, [1/cycle]

    Examples
    --------
    >>> local_cost_per_cycle(1e9, 1.0, weight_latency=1.0, weight_energy=1.0) * 1e9
    2.0
    """
    return (weight_latency + weight_energy * local_power_w) / local_frequency_hz
