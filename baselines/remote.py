"""Remote offloading: every device uses its nearest server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.admission import admitted
from mec_gym import Scenario, Slot


def remote(
    scenario: Scenario,
    slot: Slot,
    distance_m: NDArray[np.float64],
    *,
    admission_limit: bool = True,
) -> NDArray[np.int64]:
    """Return offloading to the nearest server.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.
    distance_m : ndarray, shape (..., N, M), [m]
        From each device to each server.
    admission_limit : bool
        Whether servers turn away devices that they have no resource for, as in the paper; those
        with the least gain, which the paper leaves open.

    Returns
    -------
    ndarray, shape (..., N), int64

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> remote(scenario, Slot([[1e-6]], 8e5, 1e9), np.array([[5.0]]))
    array([1])
    """
    distance = np.broadcast_to(distance_m, slot.gains.shape)
    nearest = np.asarray(np.argmin(distance, axis=-1))
    if not admission_limit:
        return nearest + 1
    gain = np.take_along_axis(slot.gains, nearest[..., None], axis=-1)[..., 0]
    return admitted(scenario, nearest + 1, gain)
