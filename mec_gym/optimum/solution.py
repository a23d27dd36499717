"""Problem (11), the offloading decision: the optimum of a slot, or a proven bound on it.

Once problem (13) is solved in closed form, a decision costs Σ_i c_{i,a_i} + Σ_j L_j² / F_j^max,
with c_ij the optimal uplink cost, c_i0 the local cost and L_j = Σ sqrt(φ_T F_i) over the devices
of server j: an assignment problem with a quadratic load cost [S-1].
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.allocation import optimal_power, root_work
from mec_gym.model.arrays import Array, as_numpy, contiguous
from mec_gym.model.assignment import require_sizes
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.cost import computing_time, uplink, weighted_cost
from mec_gym.model.slot import Slot
from mec_gym.optimum.assign import minimise
from mec_gym.optimum.problem import LoadProblem
from mec_gym.outcome import price
from mec_gym.scenario import Scenario


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

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks; torch tensors are moved to NumPy.

    Returns
    -------
    Optimum
        Scalars for one slot, arrays with the batch shape for a batch.

    Raises
    ------
    TypeError, ValueError
        If `slot` is not a Slot of the scenario's sizes.

    Notes
    -----
    Deterministic: equal input gives an equal assignment.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e10)
    >>> solve(scenario, Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)).assignment
    array([1, 1])
    """
    require_sizes(scenario, slot)
    slot = Slot.trusted(
        *(
            np.asarray(as_numpy(array), dtype=np.float64)
            for array in (slot.gains, slot.data_bits, slot.cycles)
        )
    )
    if not slot.batch_shape:
        return _solve_one(scenario, slot)
    found = [_solve_one(scenario, slot[index]) for index in np.ndindex(slot.batch_shape)]

    def stacked(name: str) -> NDArray[Any]:
        values = np.stack([getattr(one, name) for one in found])
        return values.reshape(slot.batch_shape + values.shape[1:])

    return Optimum(**{field.name: stacked(field.name) for field in fields(Optimum)})


def _solve_one(scenario: Scenario, slot: Slot) -> Optimum:
    constants = constants_of(scenario, slot.gains)
    solution = minimise(load_problem(scenario, slot))
    _, _, cost = price(constants, slot, solution.assignment)
    objective = float(cost.sum())
    bound = objective if solution.exact else min(float(solution.lower_bound), objective)
    return Optimum(
        assignment=solution.assignment,
        objective=objective,
        lower_bound=bound,
        gap=(objective - bound) / objective,
        prices=solution.prices,
        status="optimal" if solution.exact else "bounded",
    )


def load_problem(scenario: Scenario, slot: Slot) -> LoadProblem:
    """Return problem (11) of one slot as an assignment problem with a quadratic load cost.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks in NumPy arrays, no batch axes.

    Returns
    -------
    LoadProblem

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> load_problem(scenario, Slot([[1e-6]], 8e5, 1e9)).cost.shape
    (1, 2)
    """
    constants = constants_of(scenario, slot.gains)
    return LoadProblem(
        cost=choice_costs(constants, slot, scenario.can_execute_locally),
        root_work=root_work(constants, slot.cycles),
        server_frequency=constants.server_frequency_hz,
    )


def choice_costs(constants: Constants, slot: Slot, can_execute_locally: Array) -> Array:
    r"""Return what each choice costs a device, computation at the servers apart.

    Parameters
    ----------
    constants : Constants
        The scenario's numbers.
    slot : Slot
        Gains and tasks, NumPy arrays or torch tensors.
    can_execute_locally : bool array, shape (N,)
        Eq. (7); of the same kind where one is False.

    Returns
    -------
    array, shape (..., N, M + 1), [1]
        Column 0 local, infinite where eq. (7) forbids it; column j the least of
        φ_T T^Tr + φ_E p T^Tr over the power of the link to server j.

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> slot = Slot([[1e-6]], 8e5, 1e9)
    >>> choice_costs(constants_of(scenario, slot.gains), slot, np.array([True]))[0, 0].item()
    2.0
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
