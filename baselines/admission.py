"""Admission: what the paper calls a server's computational resource being insufficient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario


def admitted(
    scenario: Scenario, assignment: NDArray[np.int64], priority: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the assignment with the devices that servers turn away executing locally.

    A server takes devices in order of priority while each of them would still get at least its
    own speed f_i0 from an equal split of F_j^max. Devices that cannot execute locally, eq. (7),
    stay.

    Parameters
    ----------
    scenario : Scenario
        The system.
    assignment : ndarray, shape (..., N), int
        What the devices ask for.
    priority : ndarray, shape (..., N)
        Highest first.

    Returns
    -------
    ndarray, shape (..., N), int64

    Examples
    --------
    >>> scenario = Scenario(n_devices=3, n_servers=1, server_frequency_hz=2e9)
    >>> admitted(scenario, np.array([1, 1, 1]), np.array([0.0, 2.0, 1.0]))
    array([0, 1, 1])
    """
    own = scenario.per_device("local_frequency_hz")
    order = np.argsort(-priority, axis=-1, kind="stable")
    wanted = np.take_along_axis(assignment, order, axis=-1)
    own = np.broadcast_to(own, assignment.shape)
    own = np.take_along_axis(own, order, axis=-1)
    kept = wanted.copy()
    for j, speed in enumerate(scenario.server_frequencies_hz, start=1):
        here = wanted == j
        fastest = np.maximum.accumulate(np.where(here, own, 0.0), axis=-1)
        kept[here & (np.cumsum(here, axis=-1) * fastest > speed)] = 0
    result = np.empty_like(kept)
    np.put_along_axis(result, order, kept, axis=-1)
    return np.where((result == 0) & ~scenario.can_execute_locally, assignment, result)
