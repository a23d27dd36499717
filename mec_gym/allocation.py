r"""Problem (13): the resources of a given offloading decision, optimal in closed form.

Once every device has chosen, the links decouple from the CPUs:

CPU shares
    Only Σ φ_T F_i / f_ij depends on f, under eq. (6). By Cauchy-Schwarz the optimum is
    f_ij = F_j^max s_i / L_j with s_i = sqrt(φ_T F_i) and L_j = Σ s_i over the devices of j. The
    server's computing cost is L_j² / F_j^max and the multiplier of eq. (6) is (L_j / F_j^max)².

Transmit power
    Each link minimises (φ_T + φ_E p) / ln(1 + p g) over 0 < p <= P^max, with g = h / σ². The
    function is quasi-convex, so its clipped stationary point is optimal. With x = ln(1 + p g)
    the stationary condition reads

        x e^x − (e^x − 1) = k,    k = φ_T g / φ_E,

    which is x = 1 + W0((k − 1)/e), W0 being Lambert's function. :func:`optimal_nats` solves it
    to double precision; p = (e^x − 1)/g.

:func:`allocate` is that optimum. :func:`allocate_by_levy_search` is the paper's own way, for
comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mec_gym.levy import levy_steps
from mec_gym.model.arrays import Array, chosen, namespace_of, pick, sum_by_server
from mec_gym.model.assignment import checked_assignment
from mec_gym.model.channel import spectral_nats
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.cost import uplink, weighted_cost
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario


@dataclass(frozen=True, eq=False)
class Allocation:
    """Power and CPU speed of every device under one decision.

    Attributes
    ----------
    power_w : array, shape (..., N), [W]
        Transmission power p_i of an offloading device; execution power p_i^E of a local one.
    frequency_hz : array, shape (..., N), [cycle/s]
        CPU speed that works on the task: f_ij at the server, f_i0 locally.
    capacity_price : array, shape (..., M), [s/cycle · 1]
        Multiplier of eq. (6): what one more cycle/s at server j would save. 0 where idle.

    Examples
    --------
    >>> Allocation(np.ones(1), np.ones(1), np.zeros(1)).power_w
    array([1.])
    """

    power_w: Array
    frequency_hz: Array
    capacity_price: Array


def allocate(scenario: Scenario, slot: Slot, assignment: Any) -> Allocation:
    r"""Return the optimal powers and CPU shares of a decision: problem (13), exactly.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks; batch axes broadcast against those of `assignment`.
    assignment : integer array_like, shape (..., N)
        0 = local, j = server j.

    Returns
    -------
    Allocation
        Where φ_T = 0 the infimum is at zero power and speed: ``power_w`` is 0.

    Raises
    ------
    TypeError, ValueError
        If the assignment is not of integers, of another length or out of range, if the slot has
        other sizes than the scenario, or if a device is local whose execution power exceeds its
        limit, eq. (7).

    Notes
    -----
    Symbols: p = power_w, f = frequency_hz. See the module's docstring for the derivation.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e10)
    >>> slot = Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)
    >>> allocate(scenario, slot, [1, 1]).frequency_hz
    array([5.e+09, 5.e+09])
    """
    checked = checked_assignment(scenario, slot, assignment)
    constants = constants_of(scenario, slot.gains)
    gains = chosen(constants.xp, slot.gains, checked)
    return optimal_allocation(constants, gains, slot.cycles, checked)


def optimal_allocation(
    constants: Constants, gains: Array, cycles: Array, assignment: Array
) -> Allocation:
    """Return the optimal allocation for checked input; the core of :func:`allocate`.

    Parameters
    ----------
    constants : Constants
        The scenario's numbers.
    gains : array, shape (..., N), [1]
        Gain of each device to the server it uses; any legal number for local devices.
    cycles : array, shape (..., N), [cycle]
        F_i.
    assignment : integer array, shape (..., N)
        0 = local, j = server j.

    Returns
    -------
    Allocation

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> c = constants_of(scenario, np.zeros(1))
    >>> optimal_allocation(c, np.full(1, 1e-6), np.full(1, 1e9), np.array([1])).frequency_hz
    array([1.e+10])
    """
    xp = constants.xp
    local = assignment == 0
    power = optimal_power(constants, gains / constants.noise_w)
    root = root_work(constants, cycles)
    if root.shape != assignment.shape:
        root = xp.broadcast_to(root, assignment.shape)
    load = sum_by_server(xp, root, assignment, constants.n_servers)
    speed = pick(xp, constants.frequency_by_choice, assignment)
    share = speed * root / _load_of_choice(xp, load, assignment)
    return Allocation(
        power_w=xp.where(local, constants.local_power_w, power),
        frequency_hz=xp.where(local, constants.local_frequency_hz, share),
        capacity_price=(load[..., 1:] / constants.server_frequency_hz) ** 2,
    )


def _load_of_choice(xp: Any, load: Array, assignment: Array) -> Array:
    """Return L of each device's choice; 1 where it is 0, so that shares of 0 stay 0."""
    flat = chosen_load(xp, load, assignment)
    if xp is np and flat.all():
        return flat
    return xp.where(flat > 0.0, flat, xp.ones_like(flat))


def chosen_load(xp: Any, load: Array, assignment: Array) -> Array:
    """Return the entry of a per-choice table that belongs to each device's choice.

    Parameters
    ----------
    xp : module
        Array namespace.
    load : array, shape (..., M + 1)
        One entry per choice, 0 = local.
    assignment : integer array, shape (..., N)
        Same batch axes.

    Returns
    -------
    array, shape (..., N)

    Examples
    --------
    >>> chosen_load(np, np.array([5.0, 7.0]), np.array([1, 0, 1]))
    array([7., 5., 7.])
    """
    *batch, bins = load.shape
    if load.size != bins if xp is np else batch:
        copies = 1
        for size in batch:
            copies *= int(size)
        first = xp.arange(0, copies * bins, bins, dtype=assignment.dtype)
        if xp is not np:
            first = xp.arange(
                0, copies * bins, bins, dtype=assignment.dtype, device=assignment.device
            )
        assignment = assignment + xp.reshape(first, (*batch, 1))
    return pick(xp, xp.reshape(load, (-1,)), assignment)


def root_work(constants: Constants, cycles: Array) -> Array:
    r"""Return s_i = sqrt(φ_T F_i), a task's weight on a server's CPU.

    Parameters
    ----------
    constants : Constants
        The scenario's numbers.
    cycles : array, shape (..., N), [cycle]
        F_i.

    Returns
    -------
    array, shape (..., N), [sqrt(cycle/s)]

    Examples
    --------
    >>> c = constants_of(Scenario(n_devices=1, n_servers=1), np.zeros(1))
    >>> root_work(c, np.array([4.0]))
    array([2.])
    """
    return constants.xp.sqrt(constants.weight_latency * cycles)


def optimal_power(constants: Constants, snr_per_w: Array) -> Array:
    r"""Return the power that minimises (φ_T + φ_E p) D / r over 0 < p <= P^max.

    Parameters
    ----------
    constants : Constants
        The scenario's numbers.
    snr_per_w : array, shape (..., N), [1/W]
        g = h / σ² of each device's link.

    Returns
    -------
    array, shape (..., N), [W]
        P^max where φ_E = 0; 0 where φ_T = 0, the place of the infimum.

    Examples
    --------
    >>> c = constants_of(Scenario(n_devices=1, n_servers=1, weight_energy=0.0), np.zeros(1))
    >>> optimal_power(c, np.array([1e6]))
    array([1.5])
    """
    xp = constants.xp
    nats = optimal_nats(xp, constants.weight_ratio * snr_per_w)
    power = xp.minimum(xp.expm1(nats) / snr_per_w, constants.max_power_w)
    if constants.always_timed:
        return power
    return xp.where(constants.weight_latency > 0.0, power, xp.zeros_like(power))


# Minimax fit of 1 + W0((k-1)/e) over s = ln(1 + sqrt(2k)), as s (1 + a1 s + a2 s² + a3 s³) /
# (1 + b1 s + b2 s² + b3 s³); relative error below 3e-4 for every k in [0, 1e120].
_A1, _A2, _A3 = 0.666955, 0.142863, 0.0011177
_B1, _B2, _B3 = 0.499358, 0.0738245, 0.000557942


def _branch_series(terms: int) -> tuple[float, ...]:
    """Return the coefficients of 1 + W0((k-1)/e) in powers of sqrt(2k), from the first power.

    The recurrence for W0 about its branch point: Corless et al., "On the Lambert W function",
    Adv. Comput. Math. 5 (1996), eqs. (4.23) and (4.24).
    """
    mu, alpha = [-1.0, 1.0], [2.0, -1.0]
    for k in range(2, terms + 1):
        alpha.append(sum(mu[j] * mu[k + 1 - j] for j in range(2, k)))
        mu.append(
            (k - 1) / (k + 1) * (mu[k - 2] / 2 + alpha[k - 2] / 4) - alpha[k] / 2 - mu[k - 1] / (k + 1)
        )
    return tuple(mu[1:])


_SERIES = _branch_series(14)
_SERIES_BELOW = 0.1  # in sqrt(2k): the first dropped term is 1e-16 relative, cancellation 2e-15


def optimal_nats(xp: Any, ratio: Array) -> Array:
    r"""Solve x e^x − (e^x − 1) = k for x >= 0: x = 1 + W0((k − 1)/e).

    Parameters
    ----------
    xp : module
        Array namespace.
    ratio : array, [1]
        k = φ_T g / φ_E >= 0; may be infinite.

    Returns
    -------
    array, [nat]
        x = ln(1 + p g) at the stationary power, to a few units in the last place for k <= 1e120
        (beyond, the value at 1e120, which every finite power limit clips).

    Notes
    -----
    A rational start within 3e-4, then one third-order Householder step (quartic convergence) on
    ln(h(x)/k), h(x) = x e^x − expm1(x), which is nearly linear for large x and does not
    overflow. Below k = 0.005 h cancels and the series about the branch point takes over.

    Examples
    --------
    >>> float(optimal_nats(np, np.array(1.0)))
    1.0
    """
    largest = 1e120 if xp.finfo(ratio.dtype).max > 1e120 else 1e37
    k = xp.minimum(ratio, xp.full_like(ratio, largest)) if xp is not np else np.minimum(
        ratio, largest
    )
    v = xp.sqrt(k + k)
    if xp.min(v) >= _SERIES_BELOW:
        return _householder_step(xp, _start(xp.log1p(v)), k)
    series = xp.zeros_like(v)
    small = v < _SERIES_BELOW
    clipped = xp.where(small, v, xp.zeros_like(v))
    for coefficient in reversed(_SERIES):
        series = (series + coefficient) * clipped
    k = xp.where(small, xp.ones_like(k), k)
    return xp.where(small, series, _householder_step(xp, _start(xp.log1p(xp.sqrt(k + k))), k))


def _start(s: Array) -> Array:
    top = 1.0 + s * (_A1 + s * (_A2 + s * _A3))
    return s * top / (1.0 + s * (_B1 + s * (_B2 + s * _B3)))


def _householder_step(xp: Any, x: Array, k: Array) -> Array:
    """Return one third-order Householder step from `x` towards the root of G = ln(h(x)/k).

    With m = e^x / h: G' = x m, m' = m (1 − x m), G'' = m + x m',
    G''' = 2 m' + x (m' (1 − x m) − m G'').
    """
    exp_minus_1 = xp.expm1(x)
    h = (x - 1.0) * exp_minus_1 + x
    m = (exp_minus_1 + 1.0) / h
    first = x * m
    m_slope = m * (1.0 - first)
    second = m + x * m_slope
    third = 2.0 * m_slope + x * (m_slope * (1.0 - first) - m * second)
    newton = xp.log(h / k) / first
    half = 0.5 * newton * second / first
    sixth = newton * newton * third / (6.0 * first)
    return x - newton * (1.0 - half) / (1.0 - 2.0 * half + sixth)
