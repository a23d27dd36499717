"""The slot problem with a toll on every choice in the place of μ, the price of a move.

Whoever looks ahead counts what a choice leads to beside what it costs in the slot: a part of μ, or
what the service's next place is worth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mec_gym.model.slot import Slot
from mec_gym.optimum.assign import minimise_all
from mec_gym.optimum.problem import LoadProblems
from mec_gym.optimum.solution import load_problems, load_problems_apart
from mec_gym.scenario import Scenario

BLOCK = 2**20
"""Choices, N (M + 1) a slot, of the slots that are decided together."""


def tolled_problems(
    scenario: Scenario, slots: Slot, toll: NDArray[np.float64] | None = None
) -> LoadProblems:
    """Return the load problems of a batch of slots, with a toll (B, N, M + 1) >= 0 in μ's place.

    Infinite entries forbid a choice; each device needs one that none forbids. None: μ.
    """
    if toll is None:
        return load_problems(scenario, slots)
    free = load_problems_apart(scenario, slots)
    return LoadProblems(free.cost + toll, free.root_work, free.server_frequency)


def with_toll(scenario: Scenario, slot: Slot, toll: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the best decision with a toll on choices in the place of μ, (..., N, M + 1) [1] >= 0.

    Infinite entries forbid a choice; each device needs one that none forbids.
    """
    shape = slot.gains.shape[:-1]
    flat = Slot.trusted(
        slot.gains.reshape(-1, *slot.gains.shape[-2:]),
        slot.data_bits.reshape(-1, shape[-1]),
        slot.cycles.reshape(-1, shape[-1]),
    )
    toll = np.broadcast_to(toll, (*shape, toll.shape[-1])).reshape(-1, shape[-1], toll.shape[-1])
    rows = max(1, BLOCK // toll[0].size)
    parts = [slice(first, first + rows) for first in range(0, len(toll), rows)]
    best = [minimise_all(tolled_problems(scenario, flat[one], toll[one])) for one in parts]
    return np.concatenate([found.assignment for found in best]).reshape(shape)
