r"""Problem (13): the resources of a given offloading decision, optimal in closed form.

Once every device has chosen, the links decouple from the CPUs:

CPU shares [A-1]
    Only Σ φ_T F_i / f_ij depends on f, under eq. (6). By Cauchy-Schwarz the optimum is
    f_ij = F_j^max s_i / L_j with s_i = sqrt(φ_T F_i) and L_j = Σ s_i over the devices of j. The
    server's computing cost is L_j² / F_j^max and the multiplier of eq. (6) is (L_j / F_j^max)².

Transmit power [A-3]
    Each link minimises (φ_T + φ_E p) / ln(1 + p g) over 0 < p <= P^max, with g = h / σ². The
    function is quasi-convex, so its clipped stationary point is optimal. With x = ln(1 + p g)
    the stationary condition reads

        x e^x − (e^x − 1) = k,    k = φ_T g / φ_E,

    which is x = 1 + W0((k − 1)/e), W0 being Lambert's function, and p = (e^x − 1)/g.

:func:`allocate` is that optimum. The paper's own way, a Lévy search over f and p, stands in
``mec_gym.allocation_search`` for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mec_gym.model.arrays import Array, chosen, entry_of_choice, sum_by_server
from mec_gym.model.assignment import checked_assignment
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.slot import Slot
from mec_gym.model.stationary import stationary_power
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
        Multiplier of eq. (6), [A-2]: what one more cycle/s at server j would save. 0 where idle.

    Examples
    --------
    >>> import numpy as np
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
    snr = chosen(constants.xp, slot.gains, checked) / constants.noise
    return optimal_allocation(constants, snr, root_work(constants, slot.cycles), checked)


def optimal_allocation(
    constants: Constants, snr_per_w: Array, root: Array, assignment: Array
) -> Allocation:
    """Return the optimal allocation for checked input; arguments as :func:`optimal_resources`."""
    xp = constants.xp
    power, share, root_price = optimal_resources(constants, snr_per_w, root, assignment)
    local = assignment == 0
    return Allocation(
        power_w=xp.where(local, constants.local_power_w, power),
        frequency_hz=xp.where(local, constants.local_frequency_hz, share),
        capacity_price=root_price[..., 1:] ** 2,
    )


def optimal_resources(
    constants: Constants, snr_per_w: Array, root: Array, assignment: Array
) -> tuple[Array, Array, Array]:
    """Return power, CPU share and root of the CPU's price, optimal: eqs. (6) and (7) hold.

    `snr_per_w`, (..., N) [1/W], is h / σ² of each device's link to the server it uses; `root` is
    s_i, (..., N) [sqrt(cycle/s)]. Powers [W] and shares [cycle/s] have shape (..., N); those of
    local devices are positive and mean nothing. The price, (..., M + 1) [sqrt(s/cycle)], is L_j /
    F_j^max, the root of [A-2], which divides s_i into a share, [A-1]; its entry 0 means nothing.
    """
    xp = constants.xp
    power = optimal_power(constants, snr_per_w)
    if root.shape != assignment.shape:
        root = xp.broadcast_to(root, assignment.shape)
    load = sum_by_server(xp, root, assignment, constants.n_servers)
    root_price = load / constants.frequency_by_choice
    divisor = root_price
    if not constants.always_timed:
        # A busy server whose tasks have no weight on time has no load: its shares are 0.
        divisor = xp.maximum(root_price, constants.price_floor)
    return power, root / entry_of_choice(xp, divisor, assignment), root_price


def root_work(constants: Constants, cycles: Array) -> Array:
    """Return s_i = sqrt(φ_T F_i), a task's weight on a CPU, shape (..., N) [sqrt(cycle/s)]."""
    return constants.xp.sqrt(constants.weight_latency * cycles)


def optimal_power(constants: Constants, snr_per_w: Array) -> Array:
    """Return the power [W] that minimises (φ_T + φ_E p) D / r over 0 < p <= P^max, eq. (7).

    `snr_per_w` (..., N) is g = h / σ² [1/W]. P^max where φ_E = 0; 0, the place of the infimum,
    where φ_T = 0.
    """
    xp = constants.xp
    # (e^x − 1)/g of is (e^x − 1)/k times φ_T/φ_E.
    power = stationary_power(constants.weight_ratio * snr_per_w)
    power *= constants.weight_ratio
    power = xp.minimum(power, constants.max_power_w)
    if constants.always_timed:
        return power
    return xp.where(constants.weight_latency > 0.0, power, xp.zeros_like(power))
