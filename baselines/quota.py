"""Quota: every server takes its best gains, up to a number that is the same for all servers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario, Slot, evaluate


def quota(scenario: Scenario, slot: Slot, size: int) -> NDArray[np.int64]:
    """Return the decision in which each server takes the `size` devices with its best gains.

    A server needs to know nothing but its own gains. A device that several servers want goes to
    the one with the higher gain; a device that none wants executes locally, if eq. (7) lets it,
    and else uses its best gain.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.
    size : int
        Devices per server; 0...N.

    Returns
    -------
    ndarray, shape (..., N), int64

    Raises
    ------
    ValueError
        If `size` is outside 0...N.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1)
    >>> quota(scenario, Slot([[1e-6], [2e-6]], 8e5, 1e9), 1)
    array([0, 1])
    """
    if not 0 <= size <= scenario.n_devices:
        raise ValueError(f"size must lie in 0...{scenario.n_devices}; got {size}.")
    return _taken(scenario, slot, _ranks(slot), size)


def _ranks(slot: Slot) -> NDArray[np.int64]:
    """Return the rank of each gain among its server's, 0 the best, shape (..., N, M)."""
    order = np.argsort(-slot.gains, axis=-2, kind="stable")
    return np.asarray(np.argsort(order, axis=-2))


def _taken(
    scenario: Scenario, slot: Slot, ranks: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    wanted = np.where(ranks < size, slot.gains, 0.0)
    best = 1 + np.argmax(wanted, axis=-1)
    forced = 1 + np.argmax(slot.gains, axis=-1)
    unwanted = np.where(scenario.can_execute_locally, 0, forced)
    return np.where(wanted.any(axis=-1), best, unwanted)


def best_quota(scenario: Scenario, slots: Slot) -> int:
    """Return the quota with the least mean objective over a batch of slots.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slots : Slot
        A batch of slots to tune on; not those to be judged by.

    Returns
    -------
    int
        Among 0...ceil(2 N / M).

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
