"""Greedy offloading: device after device to the choice that raises the objective least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario, Slot
from mec_gym.optimum import load_problem


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
    cost, root, speed = problem.cost, problem.root_work, problem.server_frequency
    saving = cost[:, 0] - cost[:, 1:].min(axis=1)
    load = np.zeros(scenario.n_servers)
    assignment = np.zeros(scenario.n_devices, dtype=np.int64)
    for device in np.argsort(-saving, kind="stable"):
        more = cost[device, 1:] + (2.0 * load + root[device]) * root[device] / speed
        server = int(np.argmin(more))
        if more[server] < cost[device, 0]:
            assignment[device] = server + 1
            load[server] += root[device]
    return assignment
