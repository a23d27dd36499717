"""Random offloading: every device picks a server or local execution at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.admission import admitted
from mec_gym import Scenario, Slot


def random(
    scenario: Scenario, slot: Slot, rng: np.random.Generator, *, admission_limit: bool = True
) -> NDArray[np.int64]:
    """Return a uniformly random choice among local execution and all servers.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.
    rng : numpy.random.Generator
        Source of randomness.
    admission_limit : bool
        Whether servers turn away, in random order, the devices that they have no resource for,
        as in the paper.

    Returns
    -------
    ndarray, shape (..., N), int64

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1)
    >>> random(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9), np.random.default_rng(0)).shape
    (2,)
    """
    shape = slot.gains.shape[:-1]
    choice = rng.integers(scenario.n_servers + 1, size=shape)
    must = (choice == 0) & ~scenario.can_execute_locally
    choice = np.where(must, rng.integers(1, scenario.n_servers + 1, size=shape), choice)
    return admitted(scenario, choice, rng.random(shape)) if admission_limit else choice
