"""Problem (11) of slots, with problem (13) solved: what each choice costs a device, and the rest.

A decision costs Σ_i c_{i,a_i} + Σ_j L_j² / F_j^max, with c_ij the optimal uplink cost, c_i0 the
local cost and L_j = Σ sqrt(φ_T F_i) over the devices of server j [S-1].
"""

from __future__ import annotations

import numpy as np

from mec_gym.allocation import optimal_power, root_work
from mec_gym.model.arrays import Array, contiguous
from mec_gym.model.assignment import require_sizes
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.cost import computing_time, uplink, weighted_cost
from mec_gym.model.slot import Slot
from mec_gym.optimum.problem import LoadProblem, LoadProblems
from mec_gym.scenario import Scenario


def load_problem(scenario: Scenario, slot: Slot) -> LoadProblem:
    """Return problem (11) of one slot as a load problem."""
    return load_problems(scenario, slot[None])[0]


def load_problems(scenario: Scenario, slots: Slot) -> LoadProblems:
    """Return problem (11) of a batch of slots, one batch axis, ready to price many decisions."""
    require_sizes(scenario, slots)
    if len(slots.batch_shape) != 1:
        raise ValueError(f"slots must have one batch axis; got batch shape {slots.batch_shape}.")
    return problems_of(constants_of(scenario, slots.gains), slots, scenario.can_execute_locally)


def problems_of(constants: Constants, slots: Slot, can_execute_locally: Array) -> LoadProblems:
    """Return :func:`load_problems` of slots that are known to fit; no checks."""
    return LoadProblems(
        cost=choice_costs(constants, slots, can_execute_locally),
        root_work=root_work(constants, slots.cycles),
        server_frequency=constants.server_frequency_hz,
    )


def choice_costs(constants: Constants, slot: Slot, can_execute_locally: Array) -> Array:
    """Return what each choice costs a device, computation at the servers apart: (..., N, M + 1) [1].

    Column 0 local, infinite where eq. (7) forbids it (`can_execute_locally`, (N,)); column j the
    least of φ_T T^Tr + φ_E p T^Tr over the power of the link to server j. NumPy arrays or torch
    tensors.
    """
    xp = constants.xp
    positive = constants.always_timed
    # Devices last, so that per-device numbers broadcast.
    snr = contiguous(xp.moveaxis(slot.gains, -1, -2)) / constants.noise
    power = optimal_power(constants, snr)
    time, energy = uplink(
        xp,
        power,
        snr,
        slot.data_bits[..., None, :],
        bps_per_nat=constants.bps_per_nat,
        audible=positive,
    )
    weights = constants.weight_latency, constants.weight_energy
    links = weighted_cost(xp, time, energy, *weights, finite=positive)
    time = computing_time(xp, slot.cycles, constants.local_frequency_hz, running=True)
    local = weighted_cost(xp, time, constants.local_power_w * time, *weights, finite=True)
    if not np.all(can_execute_locally):
        local = xp.where(can_execute_locally, local, xp.full_like(local, float("inf")))
    costs = xp.concat([local[..., None, :], links], axis=-2)
    return contiguous(xp.moveaxis(costs, -1, -2))
