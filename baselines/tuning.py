"""Slots to tune a rule on: never those that it is trained, shown or judged on."""

from __future__ import annotations

import numpy as np

from mec_gym import Scenario, Slot
from mec_gym.model.world import World

_STREAM = 0x74756E65
"""Sets these draws apart from those of evaluation and of environments ("tune" in ASCII)."""


def tuning_slots(scenario: Scenario, n_slots: int, seed: int = 0) -> Slot:
    """Return a batch of slots as the scenario's env draws them.

    Parameters
    ----------
    scenario : Scenario
        With ``layout="fixed"`` all slots are of its one map, with ``"redrawn"`` each is of
        another.
    n_slots : int
        How many; at least 1.
    seed : int
        Other seeds, other slots.

    Returns
    -------
    Slot
        Batch shape (n_slots,).

    Raises
    ------
    ValueError
        If `n_slots` is below 1.

    Examples
    --------
    >>> tuning_slots(Scenario.preset("paper-30x2"), 5).gains.shape
    (5, 30, 2)
    """
    if n_slots < 1:
        raise ValueError(f"n_slots must be >= 1; got {n_slots}.")
    world = World(scenario, n_slots)
    world.reset([np.random.default_rng([_STREAM, seed, index]) for index in range(n_slots)])
    assert world.slot is not None
    return world.slot
