"""What a move of a service costs in a decision, [D-5]: a toll that rules choose, in the place of μ.

μ buys a move for all the slots to come. Who takes the world to stay as it is for H slots counts
μ/H in each of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mec_gym import Scenario, Slot
from mec_gym.optimum import moving
from mec_gym.validation import real_array, refuse_where, require_within

Floats = NDArray[np.float64]


def tolls(
    scenario: Scenario, slot: Slot, horizon: ArrayLike = 1.0, first: ArrayLike | None = None
) -> Floats:
    """Return μ/H for every choice that moves a service, and 0 for the others: (..., N, M + 1) [1].

    Parameters
    ----------
    horizon : float or array_like, shape (..., N), [slots]
        H >= 0, of every device or of each; infinity: a move is for nothing, 0: it is forbidden.
    first : float or array_like, shape (..., N), [slots]
        H of a service's first placement, the same by default.

    Raises
    ------
    ValueError
        If an H is negative or NaN.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=2, migration_s=8.0)
    >>> slot = Slot([[1e-6, 2e-6]] * 2, 8e5, 1e9, hosts=[0, 1])
    >>> tolls(scenario, slot, 4.0, first=np.inf)
    array([[0., 0., 0.],
           [0., 0., 2.]])
    """
    kappa = scenario.migration_cost
    given = {"horizon": horizon, "first": horizon if first is None else first}
    for name, slots in given.items():
        require_within(name, real_array(name, slots), 0.0, np.inf, "must be >= 0 [slots]")
    with np.errstate(divide="ignore", invalid="ignore"):
        later, start = (
            np.where(kappa > 0.0, kappa / np.asarray(slots, dtype=np.float64), 0.0)
            for slots in given.values()
        )
    toll = np.where(slot.known_hosts > 0, later, start)
    return np.where(moving(slot), toll[..., None], 0.0)


def require_toll(scenario: Scenario, slot: Slot, toll: ArrayLike) -> Floats:
    """Return tolls as an array, or raise ``ValueError`` for what is none, [1]."""
    array = real_array("toll", toll)
    shape = (*slot.gains.shape[:-1], scenario.n_servers + 1)
    if array.shape != shape:
        raise ValueError(f"toll must have shape {shape}; got {array.shape}.")
    require_within("toll", array, 0.0, np.inf, "must be >= 0")
    allowed = array[..., 0] < np.inf
    allowed &= scenario.can_execute_locally
    allowed |= (array[..., 1:] < np.inf).any(axis=-1)
    refuse_where(~allowed, "toll", "must leave each device a finite choice", array.min(axis=-1))
    return array
