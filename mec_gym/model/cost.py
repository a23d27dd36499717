"""Time, energy and weighted cost of tasks: eqs. (1), (7)-(11)."""

from __future__ import annotations

from typing import Any

from mec_gym.model.arrays import Array
from mec_gym.model.channel import rate_bps


def uplink(
    xp: Any,
    power_w: Array,
    snr_per_w: Array,
    data_bits: Array,
    *,
    bps_per_nat: Any,
    audible: bool = False,
) -> tuple[Array, Array]:
    r"""Return time D/r and energy p D/r of a transmission, [M-3], eqs. (1) and (9).

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
    bps_per_nat : float or array without axes, [bit/s per nat/s/Hz]
        B / ln 2.
    audible : bool
        Promise that every p > 0, which spares the search for zeros.

    Returns
    -------
    time_s : array, [s]
        T^Tr of eq. (1); infinite at p = 0.
    energy_j : array, [J]
        p T^Tr of eq. (9); at p = 0 its limit D ln2 σ² / (B h).

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.array([2e6])
    >>> uplink(np, np.array([1.0]), np.array([3.0]), bits, bps_per_nat=1e6 / np.log(2))
    (array([1.]), array([1.]))
    """
    rate = rate_bps(xp, power_w, snr_per_w, bps_per_nat=bps_per_nat)
    if audible or not (silent := rate == 0.0).any():
        time = data_bits / rate
        return time, power_w * time
    # A tiny power stands for its limit: its rate is proportional to it, so energy is constant.
    whisper = 1e-20 / snr_per_w
    slow = data_bits / rate_bps(xp, whisper, snr_per_w, bps_per_nat=bps_per_nat)
    time = data_bits / xp.where(silent, xp.ones_like(rate), rate)
    energy = xp.where(silent, whisper * slow, power_w * time)
    return xp.where(silent, xp.full_like(time, float("inf")), time), energy


def weighted_cost(
    xp: Any,
    latency_s: Array,
    energy_j: Array,
    weight_latency: Array,
    weight_energy: Array,
    *,
    finite: bool = False,
) -> Array:
    r"""Return Φ_i = φ_T T_i + φ_E E_i, [M-6], eq. (10).

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
    finite : bool
        Promise that every latency is finite.

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
    if not finite:
        latency_s = xp.where(weight_latency > 0.0, latency_s, xp.zeros_like(latency_s))
    cost = weight_latency * latency_s
    cost += weight_energy * energy_j
    return cost


def computing_time(xp: Any, cycles: Array, frequency_hz: Array, *, running: bool = False) -> Array:
    r"""Return F / f, the time of a computation, [M-4], in eqs. (1) and (8).

    Parameters
    ----------
    xp : module
        Array namespace.
    cycles : array, [cycle]
        F.
    frequency_hz : array, [cycle/s]
        f >= 0, the CPU speed that works on the task.
    running : bool
        Promise that every f > 0, which spares the search for zeros.

    Returns
    -------
    array, [s]
        Infinite where f = 0.

    Examples
    --------
    >>> import numpy as np
    >>> computing_time(np, np.array([1e9, 1e9]), np.array([2e9, 0.0]))
    array([0.5, inf])
    """
    if running or not (idle := frequency_hz == 0.0).any():
        return cycles / frequency_hz
    time = cycles / xp.where(idle, xp.ones_like(frequency_hz), frequency_hz)
    return xp.where(idle, xp.full_like(time, float("inf")), time)
