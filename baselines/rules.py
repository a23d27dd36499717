"""Rules of thumb and yardsticks: functions of a scenario and a slot, or a batch of slots.

Each returns an assignment, shape (..., N), 0 = local and j = server j. Where the paper says that a
server's computational resource is insufficient, :func:`admitted` says whom it turns away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.tolls import Floats, require_toll
from mec_gym import Scenario, Slot, evaluate, solve
from mec_gym.model.world import World
from mec_gym.optimum import tolled_problems
from mec_gym.optimum.problem import LoadProblem

Assignment = NDArray[np.int64]

_STREAM = 0x74756E65
"""Sets tuning's draws apart from those of evaluation and of environments ("tune" in ASCII)."""


def local(scenario: Scenario, slot: Slot) -> Assignment:
    """Return all-local execution; devices that cannot, eq. (7), use their best gain.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, max_power_w=[0.5, 1.5])
    >>> local(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9))
    array([1, 0])
    """
    best = 1 + np.argmax(slot.gains, axis=-1)
    return np.where(scenario.can_execute_locally, 0, best)


def random(
    scenario: Scenario, slot: Slot, rng: np.random.Generator, *, admission_limit: bool = True
) -> Assignment:
    """Return a uniformly random choice among local execution and all servers.

    Parameters
    ----------
    admission_limit : bool
        Whether servers turn away, in random order, the devices that they have no resource for,
        as in the paper.

    Examples
    --------
    >>> slots = Slot([[1e-6], [1e-6]], 8e5, 1e9)
    >>> random(Scenario(n_devices=2, n_servers=1), slots, np.random.default_rng(0)).shape
    (2,)
    """
    shape = slot.gains.shape[:-1]
    choice = rng.integers(scenario.n_servers + 1, size=shape)
    must = (choice == 0) & ~scenario.can_execute_locally
    choice = np.where(must, rng.integers(1, scenario.n_servers + 1, size=shape), choice)
    return admitted(scenario, choice, rng.random(shape)) if admission_limit else choice


def remote(
    scenario: Scenario, slot: Slot, distance_m: NDArray[np.float64], *, admission_limit: bool = True
) -> Assignment:
    """Return offloading to the nearest server.

    Parameters
    ----------
    distance_m : ndarray, shape (..., N, M), [m]
        From each device to each server.
    admission_limit : bool
        Whether servers turn away devices that they have no resource for, as in the paper. They
        turn away those with the least gain, which the paper leaves open.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=2)
    >>> slot = Slot([[1e-6, 2e-6], [1e-6, 2e-6]], 8e5, 1e9)
    >>> remote(scenario, slot, np.array([[5.0, 9.0], [9.0, 5.0]]))
    array([1, 2])
    """
    distance = np.broadcast_to(distance_m, slot.gains.shape)
    nearest = np.asarray(np.argmin(distance, axis=-1))
    if not admission_limit:
        return nearest + 1
    gain = np.take_along_axis(slot.gains, nearest[..., None], axis=-1)[..., 0]
    return admitted(scenario, nearest + 1, gain)


def admitted(
    scenario: Scenario, assignment: Assignment, priority: NDArray[np.float64]
) -> Assignment:
    """Return an assignment, shape (..., N), with the devices that servers turn away at home.

    A server takes devices in order of `priority`, the highest first, while each of them would still
    get at least its own speed f_i0 from an equal split of F_j^max. Devices that cannot execute
    locally, eq. (7), stay.
    """
    own = scenario.per_device("local_frequency_hz")
    order = np.argsort(-priority, axis=-1, kind="stable")
    wanted = np.take_along_axis(assignment, order, axis=-1)
    own = np.take_along_axis(np.broadcast_to(own, assignment.shape), order, axis=-1)
    kept = wanted.copy()
    for j, speed in enumerate(scenario.server_frequencies_hz, start=1):
        here = wanted == j
        fastest = np.maximum.accumulate(np.where(here, own, 0.0), axis=-1)
        kept[here & (np.cumsum(here, axis=-1) * fastest > speed)] = 0
    result = np.empty_like(kept)
    np.put_along_axis(result, order, kept, axis=-1)
    return np.where((result == 0) & ~scenario.can_execute_locally, assignment, result)


def quota(scenario: Scenario, slot: Slot, size: int) -> Assignment:
    """Return the decision in which each server takes the `size` devices with its best gains.

    A server needs to know nothing but its own gains. A device that several servers want goes to
    the one with the higher gain; a device that none wants executes locally, if eq. (7) lets it,
    and else uses its best gain. ``ValueError`` if `size` is outside 0...N.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1)
    >>> quota(scenario, Slot([[1e-6], [2e-6]], 8e5, 1e9), 1)
    array([0, 1])
    """
    if not 0 <= size <= scenario.n_devices:
        raise ValueError(f"size must lie in 0...{scenario.n_devices}; got {size}.")
    return _taken(scenario, slot, _ranks(slot), size)


def best_quota(scenario: Scenario, slots: Slot) -> int:
    """Return the quota, 0...ceil(2 N / M), with the least mean objective over a batch of slots.

    Tune on other slots than those to be judged by.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e12)
    >>> best_quota(scenario, Slot(np.full((3, 2, 1), 1e-6), 8e5, 1e9))
    2
    """
    largest = min(scenario.n_devices, -(-2 * scenario.n_devices // scenario.n_servers))
    ranks = _ranks(slots)
    means = [
        float(np.mean(evaluate(scenario, slots, _taken(scenario, slots, ranks, size)).objective))
        for size in range(largest + 1)
    ]
    return int(np.argmin(means))


def _ranks(slot: Slot) -> NDArray[np.int64]:
    """Return the rank of each gain among its server's, 0 the best, shape (..., N, M)."""
    order = np.argsort(-slot.gains, axis=-2, kind="stable")
    return np.asarray(np.argsort(order, axis=-2))


def _taken(scenario: Scenario, slot: Slot, ranks: NDArray[np.int64], size: int) -> Assignment:
    wanted = np.where(ranks < size, slot.gains, 0.0)
    return np.where(wanted.any(axis=-1), 1 + np.argmax(wanted, axis=-1), local(scenario, slot))


def greedy(scenario: Scenario, slot: Slot, *, toll: Floats | None = None) -> Assignment:
    """Return the decision of one greedy pass with full knowledge.

    Devices come in the order of what offloading can save them. With load L_j already on server
    j, device i costs c_ij + (2 L_j s_i + s_i²) / F_j^max more there and c_i0 locally.

    Parameters
    ----------
    toll : ndarray, shape (..., N, M + 1), [1], optional
        What choices cost in the place of μ, e.g. of :func:`baselines.tolls.tolls`.

    Raises
    ------
    ValueError
        If a toll is negative or NaN, or a device's are all infinite.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e12)
    >>> greedy(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9))
    array([1, 1])
    """
    toll = None if toll is None else require_toll(scenario, slot, toll)
    decisions = np.empty(slot.gains.shape[:-1], dtype=np.int64)
    for index in np.ndindex(slot.batch_shape):
        own = None if toll is None else toll[index][None]
        problem = tolled_problems(scenario, slot[index][None], own)[0]
        decisions[index] = in_order(problem, greedy_order(problem)[None])[0]
    return decisions


def greedy_order(problem: LoadProblem) -> NDArray[np.int64]:
    """Return the devices in the order of what offloading can save them, the most first."""
    saving = problem.cost[:, 0] - problem.cost[:, 1:].min(axis=1)
    return np.asarray(np.argsort(-saving, kind="stable"))


def in_order(problem: LoadProblem, orders: NDArray[np.int64]) -> Assignment:
    """Return the decisions of greedy passes over devices in given orders, both of shape (K, N)."""
    cost, root, speed = problem.cost, problem.root_work, problem.server_frequency
    passes = np.arange(len(orders))
    load = np.zeros((len(orders), problem.n_servers))
    decisions = np.zeros(orders.shape, dtype=np.int64)
    for device in orders.T:
        work = root[device][:, None]
        more = cost[device, 1:] + (2.0 * load + work) * work / speed
        server = np.argmin(more, axis=1)
        goes = more[passes, server] < cost[device, 0]
        decisions[passes, device] = np.where(goes, server + 1, 0)
        load[passes, server] += np.where(goes, root[device], 0.0)
    return decisions


def optimal(scenario: Scenario, slot: Slot) -> Assignment:
    """Return the optimal decision, or the best found where :func:`mec_gym.solve` bounds it.

    Examples
    --------
    >>> optimal(Scenario(n_devices=1, n_servers=1), Slot([[1e-6]], 8e5, 1e9))
    array([1])
    """
    return np.asarray(solve(scenario, slot).assignment)


def tuning_slots(scenario: Scenario, n_slots: int, seed: int = 0) -> Slot:
    """Return slots to tune a rule on, batch shape (n_slots,), apart from all others."""
    world = World(scenario, n_slots)
    world.reset([np.random.default_rng([_STREAM, seed, index]) for index in range(n_slots)])
    assert world.slot is not None
    return world.slot
