r"""The optimum of a slot: the exact best decision or, with unequal tasks, a proven bound on it.

With problem (13) solved in closed form, problem (11) asks for the decision that minimises
Σ_i c_{i,a_i} + Σ_j L_j² / F_j^max, with c_ij the optimal uplink cost, c_i0 the local cost and
L_j = Σ sqrt(φ_T F_i) over the devices of server j: an assignment problem with a quadratic load
cost [S-1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.allocation import optimal_power, root_work
from mec_gym.model.arrays import Array, as_numpy, contiguous
from mec_gym.model.assignment import require_sizes
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.cost import computing_time, uplink, weighted_cost
from mec_gym.model.slot import Slot
from mec_gym.optimum.assign import minimise_all
from mec_gym.optimum.problem import LoadProblem, LoadProblems
from mec_gym.outcome import price
from mec_gym.scenario import Scenario

BLOCK = 2**16
"""Choices, N (M + 1) a slot, of the slots that are solved together: they share the cache."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best decision of a slot, with proof.

    Attributes
    ----------
    assignment : ndarray, shape (..., N)
        0 = local, j = server j.
    objective : float or ndarray, shape (...), [1]
        Σ Φ_i of the assignment under the optimal allocation.
    lower_bound : float or ndarray, shape (...), [1]
        No decision has a smaller objective; equal to `objective` where the status is "optimal".
    gap : float or ndarray, shape (...), [1]
        (objective − lower_bound) / objective.
    prices : ndarray, shape (..., M), [1/sqrt(cycle/s)]
        Dual prices λ_j that prove the bound [S-2]: what one more unit of sqrt(φ_T F) costs
        server j, about 2 L_j / F_j^max.
    status : str or ndarray of str
        "optimal" (proven) or "bounded" (best found, bound proven).

    Examples
    --------
    >>> from mec_gym import Scenario, solve
    >>> optimum = solve(Scenario(n_devices=1, n_servers=1), Slot([[1e-6]], 8e5, 1e9))
    >>> optimum.status, optimum.gap
    ('optimal', 0.0)
    """

    assignment: NDArray[np.int64]
    objective: Any
    lower_bound: Any
    gap: Any
    prices: NDArray[np.float64]
    status: Any


def solve(scenario: Scenario, slot: Slot) -> Optimum:
    r"""Return the optimum of problem (11) for a slot, or for each slot of a batch.

    Exact where all sqrt(φ_T F_i) are equal, at any size, and for tiny slots; elsewhere the best
    assignment found with a lower bound by Lagrangian duality.
    Scalars for one slot, arrays with the batch shape for a batch. Equal input gives an equal
    assignment.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks; torch tensors are moved to NumPy.

    Raises
    ------
    TypeError, ValueError
        If `slot` is not a Slot of the scenario's sizes.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e10)
    >>> solve(scenario, Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)).assignment
    array([1, 1])
    """
    require_sizes(scenario, slot)
    shape = slot.batch_shape
    gains, data_bits, cycles = (
        np.asarray(as_numpy(array), dtype=np.float64)
        for array in (slot.gains, slot.data_bits, slot.cycles)
    )
    devices, servers = gains.shape[-2:]
    batch = math.prod(shape)
    flat = Slot.trusted(
        gains.reshape(batch, devices, servers),
        data_bits.reshape(batch, devices),
        cycles.reshape(batch, devices),
    )
    step = max(1, BLOCK // (devices * (servers + 1)))
    if batch <= step:
        whole = _solve_block(scenario, flat)
    else:
        blocks = (_solve_block(scenario, flat[i : i + step]) for i in range(0, batch, step))
        whole = tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))
    shaped = [field.reshape(shape + field.shape[1:]) for field in whole]
    return Optimum(*(field if field.ndim else field.item() for field in shaped))


def _solve_block(scenario: Scenario, slots: Slot) -> tuple[NDArray[Any], ...]:
    """Return the fields of the optima of slots with one batch axis."""
    constants = constants_of(scenario, slots.gains)
    problems = problems_of(constants, slots, scenario.can_execute_locally)
    solution = minimise_all(problems)
    _, _, cost = price(constants, slots, solution.assignment)
    objective = cost.sum(axis=-1)
    bound = np.where(solution.exact, objective, np.minimum(solution.lower_bound, objective))
    gap = (objective - bound) / objective
    status = np.where(solution.exact, "optimal", "bounded")
    return solution.assignment, objective, bound, gap, solution.prices, status


# -- problem (11) of slots ------------------------------------------------------------------------


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
    """Return what each choice costs a device but for computation at the servers: (..., N, M + 1).

    Column 0 local, infinite where eq. (7) forbids it (`can_execute_locally`, (N,)); column j the
    least of φ_T T^Tr + φ_E p T^Tr over the power of the link to server j. NumPy arrays or torch
    tensors.
    """
    xp = constants.xp
    # Devices last, so that per-device numbers broadcast.
    snr = contiguous(xp.moveaxis(slot.gains, -1, -2)) / constants.noise
    power = optimal_power(constants, snr)
    time, energy = uplink(
        xp,
        power,
        snr,
        slot.data_bits[..., None, :],
        bps_per_nat=constants.bps_per_nat,
        audible=True,
    )
    weights = constants.weight_latency, constants.weight_energy
    links = weighted_cost(time, energy, *weights)
    time = computing_time(xp, slot.cycles, constants.local_frequency_hz, running=True)
    local = weighted_cost(time, constants.local_power_w * time, *weights)
    if not np.all(can_execute_locally):
        local = xp.where(can_execute_locally, local, xp.full_like(local, float("inf")))
    costs = xp.concat([local[..., None, :], links], axis=-2)
    return contiguous(xp.moveaxis(costs, -1, -2))
