"""Local execution: no device offloads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario, Slot


def local(scenario: Scenario, slot: Slot) -> NDArray[np.int64]:
    """Return all-local execution.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.

    Returns
    -------
    ndarray, shape (..., N), int64
        0, or the server with the best gain for devices that eq. (7) keeps from executing locally.

    Examples
    --------
    >>> local(Scenario(n_devices=1, n_servers=1), Slot([[1e-6]], 8e5, 1e9))
    array([0])
    """
    best = 1 + np.argmax(slot.gains, axis=-1)
    return np.where(scenario.can_execute_locally, 0, best)
