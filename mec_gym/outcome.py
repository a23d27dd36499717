"""What a decision costs: latency, energy and the weighted objective, eqs. (1) and (7)-(11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mec_gym.allocation import Allocation, optimal_allocation, optimal_resources, root_work
from mec_gym.model.arrays import Array, as_numpy, chosen, like, replaced, sum_by_server
from mec_gym.model.assignment import checked_assignment
from mec_gym.model.constants import Constants, constants_of
from mec_gym.model.cost import computing_time, migrates, uplink, weighted_cost
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario
from mec_gym.validation import LARGEST, real_array, require_choice, require_within

TOLERANCE = 1e-9
"""Relative excess over eqs. (6) and (7) that counts as rounding.

A sum of 10,000 shares is exact to 1e-12; 1e-9 also forgives figures that passed through text.
In single precision 100 units in the last place, 1.2e-5, take its place.
"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Latency, energy and weighted cost of one decision, or of a batch of decisions.

    Attributes
    ----------
    latency_s : array, shape (..., N), [s]
        T_i: transmission plus computation, eq. (1), or local execution, eq. (8).
    energy_j : array, shape (..., N), [J]
        E_i of eq. (9).
    cost : array, shape (..., N), [1]
        Φ_i of eq. (10).
    objective : array, shape (...), [1]
        Σ Φ_i, the objective of problem (11), [M-7].
    allocation : Allocation
        The powers and CPU speeds behind it.
    excess_frequency_hz : array, shape (..., M), [cycle/s]
        By how much the shares exceed F_j^max, eq. (6); 0 where they do not.
    excess_power_w : array, shape (..., N), [W]
        By how much the power exceeds P_i^max, eq. (7); 0 where it does not.
    feasible : bool array, shape (...)
        Whether eqs. (6) and (7) hold within 1e-9 relative.

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> outcome = evaluate(scenario, Slot([[1e-6]], 8e5, 1e9), [0])
    >>> outcome.latency_s, outcome.energy_j, float(outcome.objective)
    (array([1.]), array([1.]), 2.0)
    """

    latency_s: Array
    energy_j: Array
    cost: Array
    objective: Array
    allocation: Allocation
    excess_frequency_hz: Array
    excess_power_w: Array
    feasible: Array


Costs = tuple[Array, Array, Array]
"""Per device, as in an Outcome: latency_s, energy_j and cost, each of shape (..., N)."""


def evaluate(
    scenario: Scenario,
    slot: Slot,
    assignment: Any,
    allocation: Allocation | None = None,
    *,
    violations: str = "raise",
) -> Outcome:
    r"""Return latency, energy and cost of a decision: eqs. (1) and (7)-(11).

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.
    assignment : integer array_like, shape (..., N)
        0 = local, j = server j. Batch axes broadcast against those of `slot`: (K, N) prices K
        decisions of one slot at once.
    allocation : Allocation, optional
        Powers and CPU speeds, broadcast to the decision's shape; the optimal ones of
        :func:`~mec_gym.allocate` by default. Entries of local devices are not read: eqs. (7) and
        (8) fix them.
    violations : {"raise", "report"}
        What to do with an allocation that violates eq. (6) or (7).

    Raises
    ------
    TypeError, ValueError
        As :func:`~mec_gym.allocate`; for an allocation of another shape or with negative or NaN
        entries; and, unless reported, for one that violates eq. (6) or (7): the message says by
        how much, on which server or device.

    Notes
    -----
    Where a device is given no power or no CPU speed, its latency and its cost are infinite, and
    its energy is the limit.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e10)
    >>> slot = Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)
    >>> evaluate(scenario, slot, [[0, 0], [1, 1]]).objective.shape
    (2,)
    """
    require_choice("violations", violations, ("raise", "report"))
    checked = checked_assignment(scenario, slot, assignment)
    constants = constants_of(scenario, slot.gains)
    xp = constants.xp
    if allocation is None:
        snr = chosen(xp, slot.gains, checked) / constants.noise
        work = work_of(constants, slot.cycles)
        allocation = optimal_allocation(constants, snr, work.root, checked)
        resources = allocation.power_w, allocation.frequency_hz
        latency, energy, cost = _settle(
            constants, slot, checked, *resources, snr, work, positive=True
        )
    else:
        allocation = _checked_allocation(constants, checked, allocation)
        resources = allocation.power_w, allocation.frequency_hz
        latency, energy, cost = settle(constants, slot, checked, *resources)
    used = sum_by_server(xp, allocation.frequency_hz, checked, constants.n_servers)[..., 1:]
    over_f = _excess(xp, used, constants.server_frequency_hz)
    power = xp.where(checked > 0, allocation.power_w, xp.zeros_like(allocation.power_w))
    over_p = _excess(xp, power, constants.max_power_w)
    outcome = Outcome(
        latency_s=latency,
        energy_j=energy,
        cost=cost,
        objective=cost.sum(-1),
        allocation=allocation,
        excess_frequency_hz=over_f,
        excess_power_w=over_p,
        feasible=~(xp.any(over_f > 0.0, axis=-1) | xp.any(over_p > 0.0, axis=-1)),
    )
    if violations == "raise" and not xp.all(outcome.feasible):
        raise ValueError(_violation(constants, outcome))
    return outcome


class Work(NamedTuple):
    """What follows from a slot's cycles alone."""

    root: Array  # s_i of, (..., N) [sqrt(cycle/s)]
    local_time_s: Array  # of local execution, (..., N), eq. (8)
    local_energy_j: Array  # of local execution, (..., N), eq. (9)


def work_of(constants: Constants, cycles: Array) -> Work:
    """Return what follows from a slot's cycles F_i, shape (..., N) [cycle]."""
    time = computing_time(constants.xp, cycles, constants.local_frequency_hz, running=True)
    return Work(root_work(constants, cycles), time, constants.local_power_w * time)


def price(constants: Constants, slot: Slot, assignment: Array, work: Work | None = None) -> Costs:
    """Return what a checked decision costs under the optimal allocation, eq. (11); no checks.

    `assignment` (..., N) has the full batch shape; `work` is of the slot's cycles, where known.
    """
    snr = chosen(constants.xp, slot.gains, assignment) / constants.noise
    work = work_of(constants, slot.cycles) if work is None else work
    power, share, _ = optimal_resources(constants, snr, work.root, assignment)
    return _settle(constants, slot, assignment, power, share, snr, work, positive=True)


def settle(
    constants: Constants, slot: Slot, assignment: Array, power_w: Array, share_hz: Array
) -> Costs:
    """Return what a checked decision costs under given powers and shares: eqs. (1), (7)-(10).

    `power_w` and `share_hz` are those of offloading devices, (..., N); entries of local devices are
    not read. Under the optimal ones it is Algorithm 1, line 10.
    """
    snr = chosen(constants.xp, slot.gains, assignment) / constants.noise
    work = work_of(constants, slot.cycles)
    # Next to no power or speed takes longer than numbers reach: that counts as for ever.
    with np.errstate(over="ignore", under="ignore"):
        return _settle(constants, slot, assignment, power_w, share_hz, snr, work, positive=False)


def _settle(
    constants: Constants,
    slot: Slot,
    assignment: Array,
    power_w: Array,
    share_hz: Array,
    snr_per_w: Array,
    work: Work,
    *,
    positive: bool,
) -> Costs:
    """Apply eqs. (1) and (7)-(10); `positive` promises that no power or share is 0."""
    xp = constants.xp
    time, energy = uplink(
        xp, power_w, snr_per_w, slot.data_bits, bps_per_nat=constants.bps_per_nat, audible=positive
    )
    remote = computing_time(xp, slot.cycles, share_hz, running=positive)
    remote += time
    local = assignment == constants.local_choice
    latency = replaced(xp, remote, local, work.local_time_s)
    energy = replaced(xp, energy, local, work.local_energy_j)
    if constants.migration is not None:
        hosts = constants.local_choice if slot.hosts is None else slot.hosts
        moves = xp.astype(migrates(assignment, hosts, slot.cycles), latency.dtype)
        latency += moves * constants.migration[0]
        energy += moves * constants.migration[1]
    cost = weighted_cost(latency, energy, constants.weight_latency, constants.weight_energy)
    return latency, energy, cost


def _excess(xp: Any, used: Array, limit: Array) -> Array:
    over = used - limit
    tolerance = max(TOLERANCE, 100.0 * float(xp.finfo(over.dtype).eps))
    return xp.where(over > tolerance * limit, over, xp.zeros_like(over))


def _checked_allocation(
    constants: Constants, assignment: Array, allocation: Allocation
) -> Allocation:
    """Return the allocation with the entries of local devices filled in, eqs. (7) and (8)."""
    if not isinstance(allocation, Allocation):
        raise TypeError(f"allocation must be an Allocation; got {type(allocation).__name__}.")
    xp = constants.xp
    local = assignment == 0
    filled: dict[str, Array] = {}
    for name, unit, own in (
        ("power_w", "W", constants.local_power_w),
        ("frequency_hz", "cycle/s", constants.local_frequency_hz),
    ):
        values = getattr(allocation, name)
        if xp is np or not hasattr(values, "dtype"):
            values = real_array(f"allocation.{name}", values)
        values = like(constants.max_power_w, values)
        try:
            values = xp.broadcast_to(values, assignment.shape)
        except (ValueError, RuntimeError):
            raise ValueError(
                f"allocation.{name} must have shape {tuple(assignment.shape)} [{unit}]; "
                f"got shape {tuple(values.shape)}."
            ) from None
        filled[name] = xp.where(local, own, values)
        requirement = f"must be finite and >= 0, at most 1e30 [{unit}]"
        require_within(f"allocation.{name}", as_numpy(filled[name]), 0.0, LARGEST, requirement)
    return Allocation(filled["power_w"], filled["frequency_hz"], allocation.capacity_price)


def _violation(constants: Constants, outcome: Outcome) -> str:
    """Return the sentence that names the worst violation of eq. (6), or else of eq. (7)."""
    over_f = as_numpy(outcome.excess_frequency_hz)
    if over_f.any():
        worst = np.unravel_index(np.argmax(over_f), over_f.shape)
        limit = float(constants.server_frequency_hz[int(worst[-1])])
        where = f"server {int(worst[-1]) + 1}{_of_decision(worst)}"
        return (
            f"allocation.frequency_hz violates eq. (6): the shares of {where} exceed its "
            f"F_max = {limit:.6g} cycle/s by {over_f[worst]:.6g} cycle/s "
            f"({int((over_f > 0).sum())} servers). "
            'Pass violations="report" to have the excess in the Outcome.'
        )
    over_p = as_numpy(outcome.excess_power_w)
    worst = np.unravel_index(np.argmax(over_p), over_p.shape)
    limit = float(constants.max_power_w[int(worst[-1])])
    return (
        f"allocation.power_w violates eq. (7): device {int(worst[-1])}{_of_decision(worst)} "
        f"exceeds its P_max = {limit:.6g} W by {over_p[worst]:.6g} W "
        f"({int((over_p > 0).sum())} devices). "
        'Pass violations="report" to have the excess in the Outcome.'
    )


def _of_decision(index: tuple[Any, ...]) -> str:
    return f" in decision {tuple(int(i) for i in index[:-1])}" if len(index) > 1 else ""
