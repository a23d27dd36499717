r"""The optimum of a slot: the exact best decision or, with unequal tasks, a proven bound on it.

With problem (13) solved in closed form, problem (11) asks for the decision that minimises
Σ_i c_{i,a_i} + Σ_j L_j² / F_j^max, with c_ij the optimal uplink cost, c_i0 the local cost and
L_j = Σ sqrt(φ_T F_i) over the devices of server j: an assignment problem with a quadratic load
cost [S-1].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.allocation import optimal_power, root_work
from mec_gym.model.arrays import Array, arange_like, as_numpy, contiguous, sum_by_server
from mec_gym.model.assignment import checked_assignment, require_sizes
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.cost import computing_time, migrates, uplink, weighted_cost
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
    blocks = [_solve_block(scenario, block) for block, _ in _blocks(slot)]
    whole = (
        parts[0] if len(parts) == 1 else np.concatenate(parts)
        for parts in zip(*blocks, strict=True)
    )
    shaped = [field.reshape(slot.batch_shape + field.shape[1:]) for field in whole]
    return Optimum(*(field if field.ndim else field.item() for field in shaped))


def _blocks(slot: Slot) -> Iterator[tuple[Slot, slice]]:
    """Yield parts of slots on one batch axis, as NumPy arrays, and their places on it."""
    batch, (devices, servers) = math.prod(slot.batch_shape), slot.gains.shape[-2:]

    def rows(array: Array, *inner: int) -> NDArray[np.float64]:
        return np.asarray(as_numpy(array), dtype=np.float64).reshape(batch, *inner)

    flat = Slot.trusted(
        rows(slot.gains, devices, servers),
        rows(slot.data_bits, devices),
        rows(slot.cycles, devices),
        None if slot.hosts is None else as_numpy(slot.hosts).reshape(batch, devices),
    )
    step = max(1, BLOCK // (devices * (servers + 1)))
    for first in range(0, max(batch, 1), step):
        place = slice(first, first + step)
        yield flat[place], place


def _solve_block(scenario: Scenario, slots: Slot) -> tuple[NDArray[Any], ...]:
    """Return the fields of the optima of slots with one batch axis."""
    constants = constants_of(scenario, slots.gains)
    solution = minimise_all(load_problems(scenario, slots))
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
    return _problems(constants_of(scenario, slots.gains), scenario, slots)


def load_problems_apart(scenario: Scenario, slots: Slot) -> LoadProblems:
    """Return :func:`load_problems` without what migration costs, for who counts it otherwise."""
    return _problems(constants_of(scenario, slots.gains).without_migration, scenario, slots)


def _problems(constants: Constants, scenario: Scenario, slots: Slot) -> LoadProblems:
    return LoadProblems(
        cost=choice_costs(constants, slots, scenario.can_execute_locally),
        root_work=root_work(constants, slots.cycles),
        server_frequency=constants.server_frequency_hz,
    )


def choice_costs(constants: Constants, slot: Slot, can_execute_locally: Array) -> Array:
    """Return what each choice costs a device but for computation at the servers: (..., N, M + 1).

    Column 0 local, infinite where eq. (7) forbids it (`can_execute_locally`, (N,)); column j the
    least of φ_T T^Tr + φ_E p T^Tr over the power of the link to server j, and μ_i where that is not
    the host of the device's service, [D-5]. NumPy arrays or torch tensors.
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
    if constants.migration is not None:
        moving = _migrations(constants, slot)
        time, energy = (
            part + moving * price
            for part, price in zip((time, energy), constants.migration, strict=True)
        )
    links = weighted_cost(time, energy, *weights)
    time = computing_time(xp, slot.cycles, constants.local_frequency_hz, running=True)
    local = weighted_cost(time, constants.local_power_w * time, *weights)
    if not np.all(can_execute_locally):
        if xp is not np:
            can_execute_locally = xp.asarray(can_execute_locally, device=local.device)
        local = xp.where(can_execute_locally, local, xp.full_like(local, float("inf")))
    costs = xp.concat([local[..., None, :], links], axis=-2)
    return contiguous(xp.moveaxis(costs, -1, -2))


def _migrations(constants: Constants, slot: Slot) -> Array:
    """Return which choices of a server would move the service, [D-5]: 0 or 1, (..., M, N)."""
    xp = constants.xp
    servers = arange_like(xp, 1, constants.n_servers + 1, 1, slot.gains)[:, None]
    hosts = constants.local_choice if slot.hosts is None else slot.hosts[..., None, :]
    return xp.astype(migrates(servers, hosts, slot.cycles[..., None, :]), slot.gains.dtype)


def counterfactuals(scenario: Scenario, slot: Slot, assignment: Any) -> Array:
    r"""Return the objective that every other choice of every device would have led to.

    The choices of all others stay; powers and shares are optimal, migration counts. In closed form,
    O(N M): with L_j the load of server j, device i on it costs c_ij + (L_j² − (L_j − s_i)²) / F_j.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains, tasks and hosts; NumPy arrays or torch tensors.
    assignment : integer array_like, shape (..., N)
        0 = local, j = server j; the batch of the slot.

    Returns
    -------
    array, shape (..., N, M + 1), [1]
        ΣΦ with choice j of device i in the place of its own; infinite where eq. (7) forbids it.

    Raises
    ------
    TypeError, ValueError
        As :func:`mec_gym.evaluate`.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1)
    >>> slot = Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)
    >>> from mec_gym import evaluate
    >>> table = counterfactuals(scenario, slot, [0, 1])
    >>> bool(np.isclose(table[0, 1], evaluate(scenario, slot, [1, 1]).objective))
    True
    """
    checked = checked_assignment(scenario, slot, assignment)
    constants = constants_of(scenario, slot.gains)
    xp = constants.xp
    cost = choice_costs(constants, slot, scenario.can_execute_locally)
    cost = xp.broadcast_to(cost, (*checked.shape, cost.shape[-1]))
    root = xp.broadcast_to(root_work(constants, slot.cycles), checked.shape)
    loads = sum_by_server(xp, root, checked, scenario.n_servers)[..., None, 1:]
    speed = constants.server_frequency_hz
    uses = checked[..., None] == arange_like(xp, 1, scenario.n_servers + 1, 1, checked)
    others = loads - xp.astype(uses, root.dtype) * root[..., None]
    own = xp.take_along_axis(cost, checked[..., None], axis=-1)[..., 0]
    # What all others cost: summed, since a difference would lose it beside a dear device.
    before, after = (
        xp.cumulative_sum(own, axis=-1),
        xp.cumulative_sum(xp.flip(own, axis=-1), axis=-1),
    )
    nothing = xp.zeros_like(own[..., :1])
    rest = xp.concat([nothing, before[..., :-1]], axis=-1)
    rest = rest + xp.concat([xp.flip(after, axis=-1)[..., 1:], nothing], axis=-1)
    rest = rest + xp.sum(others * (others / speed), axis=-1)
    more = root[..., None] * (2.0 * others + root[..., None]) / speed
    return rest[..., None] + xp.concat([cost[..., :1], cost[..., 1:] + more], axis=-1)


# -- slots with a toll ----------------------------------------------------------------------------
# Whoever looks ahead counts what a choice leads to beside what it costs in the slot: a part of μ,
# or what the service's next place is worth.


def moving(slot: Slot) -> NDArray[np.bool_]:
    """Return which choices would move a service or place it, [D-5], shape (..., N, M + 1)."""
    choices = np.arange(slot.n_servers + 1)
    return np.asarray(migrates(choices, slot.known_hosts[..., None], slot.cycles[..., None]))


def tolled_problems(
    scenario: Scenario, slots: Slot, toll: NDArray[np.float64] | None = None
) -> LoadProblems:
    """Return the load problems of a batch of slots, with a toll (B, N, M + 1) >= 0 in μ's place.

    Infinite entries forbid a choice; each device needs one that none forbids. None: μ.
    """
    if toll is None:
        return load_problems(scenario, slots)
    free = load_problems_apart(scenario, slots)
    return LoadProblems(free.cost + toll, free.root_work, free.server_frequency)


def with_toll(scenario: Scenario, slot: Slot, toll: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the best decision with a toll, of :func:`tolled_problems`, on choices: (..., N)."""
    shape = slot.gains.shape[:-1]
    toll = np.broadcast_to(toll, (*shape, toll.shape[-1])).reshape(-1, shape[-1], toll.shape[-1])
    best = [
        minimise_all(tolled_problems(scenario, block, toll[place])).assignment
        for block, place in _blocks(slot)
    ]
    return np.concatenate(best).reshape(shape)
