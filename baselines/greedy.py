"""Greedy offloading: device after device to the choice that raises the objective least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario, Slot
from mec_gym.optimum import load_problem
from mec_gym.optimum.problem import LoadProblem


def greedy(scenario: Scenario, slot: Slot) -> NDArray[np.int64]:
    """Return the decision of one greedy pass with full knowledge.

    Devices come in the order of what offloading can save them. With load L_j already on server
    j, device i costs c_ij + (2 L_j s_i + s_i²) / F_j^max more there and c_i0 locally.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.

    Returns
    -------
    ndarray, shape (..., N), int64

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e12)
    >>> greedy(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9))
    array([1, 1])
    """
    if slot.batch_shape:
        one = [greedy(scenario, slot[index]) for index in np.ndindex(slot.batch_shape)]
        return np.stack(one).reshape(*slot.batch_shape, scenario.n_devices)
    problem = load_problem(scenario, slot)
    return np.asarray(in_order(problem, greedy_order(problem)[None])[0])


def greedy_order(problem: LoadProblem) -> NDArray[np.int64]:
    """Return the devices in the order of what offloading can save them, the most first.

    Parameters
    ----------
    problem : LoadProblem
        A slot.

    Returns
    -------
    ndarray, shape (N,), int64

    Examples
    --------
    >>> greedy_order(LoadProblem(np.array([[2.0, 1.5], [2.0, 0.5]]), np.ones(2), np.ones(1)))
    array([1, 0])
    """
    saving = problem.cost[:, 0] - problem.cost[:, 1:].min(axis=1)
    return np.asarray(np.argsort(-saving, kind="stable"))


def in_order(problem: LoadProblem, orders: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the decisions of passes in given orders, each device taking what raises least.

    Parameters
    ----------
    problem : LoadProblem
        A slot.
    orders : integer ndarray, shape (K, N)
        Each row holds all devices.

    Returns
    -------
    ndarray, shape (K, N), int64

    Examples
    --------
    >>> problem = LoadProblem(np.array([[2.0, 1.0], [2.0, 0.5]]), np.ones(2), np.ones(1))
    >>> in_order(problem, np.array([[0, 1], [1, 0]]))
    array([[0, 1],
           [0, 1]])
    """
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
