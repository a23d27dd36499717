"""Optimal offloading: the solver's decision, the measure of all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario, Slot, solve


def optimal(scenario: Scenario, slot: Slot) -> NDArray[np.int64]:
    """Return the optimal decision, or the best found where :func:`mec_gym.solve` bounds it.

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
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> optimal(scenario, Slot([[1e-6]], 8e5, 1e9))
    array([1])
    """
    return np.asarray(solve(scenario, slot).assignment)
