"""Measure any model or rule on the frozen slots of its scenario."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_bench.results import DecisionTime, Evaluation, Slots
from mec_gym import Scenario, Slot, evaluate, vote
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import SlotSet, slot_set

SET = "v1"
"""Version of the frozen slots: another whenever they would be drawn in another way."""

SEED = 20_220_425
"""Of the frozen slots; no training draws from this seed."""

LAYOUTS, SLOTS_PER_LAYOUT = 40, 5

_TIMED_SLOTS = 20

Decisions = Callable[[NDArray[np.float32]], NDArray[np.int64]]
"""From observations, shape (B, ...), to assignments, shape (B, N)."""


@dataclass(frozen=True, eq=False)
class FrozenSlots:
    """The slots that every policy of a scenario is measured on, as one batch.

    `lower_bound`, shape (layouts, slots per layout), is the optimal objective where the solver
    proves it, and else what no decision undercuts.
    """

    scenario: Scenario
    slots: Slot
    lower_bound: NDArray[np.float64]
    evaluation: Evaluation

    def observations(self, kind: str) -> NDArray[np.float32]:
        """Return what an env of this `observation` shows of the slots, shape (slots, ...)."""
        return ObservationCoder(self.scenario, kind).encode(self.slots)


def slot_set_of(
    scenario: Scenario, *, layouts: int = LAYOUTS, slots_per_layout: int = SLOTS_PER_LAYOUT
) -> SlotSet:
    """Return the frozen slots of a scenario by layout, with their bounds.

    They are of the scenario's own map where its layout is fixed, and else of layouts drawn for
    this; fewer layouts are the first of the others.
    """
    return slot_set(
        scenario,
        own_layout=scenario.layout == "fixed",
        n_layouts=layouts,
        slots_per_layout=slots_per_layout,
        seed=SEED,
    )


# Runs of one scenario follow each other in a process, and the slots of a large one fill memory.
@functools.lru_cache(maxsize=1)
def frozen_slots(
    scenario: Scenario, *, layouts: int = LAYOUTS, slots_per_layout: int = SLOTS_PER_LAYOUT
) -> FrozenSlots:
    """Return the frozen slots of a scenario in one batch; see :func:`slot_set_of`."""
    drawn = slot_set_of(scenario, layouts=layouts, slots_per_layout=slots_per_layout)
    together = Slot(
        *(
            np.concatenate([getattr(slots, name) for slots in drawn.slots])
            for name in ("gains", "data_bits", "cycles")
        )
    )
    evaluation = Evaluation(
        set=SET,
        layouts=layouts,
        slots_per_layout=slots_per_layout,
        seed=SEED,
        own_layout=scenario.layout == "fixed",
        gap=drawn.gap,
    )
    return FrozenSlots(scenario, together, drawn.lower_bound, evaluation)


def decisions_of(model: Any, scenario: Scenario) -> Decisions:
    """Return a model as a function of observations; its scores, if it gives them, are voted on.

    The function raises ``TypeError`` for actions that are neither assignments nor scores.
    """
    n, m = scenario.n_devices, scenario.n_servers
    masks = _masks(model, scenario)

    def decide(observations: NDArray[np.float32]) -> NDArray[np.int64]:
        given = {} if masks is None else {"action_masks": np.tile(masks, (len(observations), 1))}
        actions = np.asarray(model.predict(observations, deterministic=True, **given)[0])
        batch = len(observations)
        if actions.dtype.kind == "f" and actions.shape == (batch, m * n):
            scores = actions.reshape(batch, m, n)
            return np.asarray(vote(scores, scenario.can_execute_locally))
        if actions.dtype.kind not in "iu" or actions.shape != (batch, n):
            raise TypeError(
                f"predict must return assignments, integers of shape ({batch}, {n}), or scores, "
                f"floats of shape ({batch}, {m * n}); got {actions.dtype} of {actions.shape}."
            )
        return actions.astype(np.int64)

    return decide


def _masks(model: Any, scenario: Scenario) -> NDArray[np.bool_] | None:
    """Return the legal choices, flat, for a model that asks for them, as MaskablePPO does."""
    if "action_masks" not in inspect.signature(model.predict).parameters:
        return None
    legal = np.ones((scenario.n_devices, scenario.n_servers + 1), dtype=bool)
    legal[:, 0] = scenario.can_execute_locally
    return legal.reshape(-1)


def measure(frozen: FrozenSlots, decide: Decisions, observation: str) -> tuple[Slots, DecisionTime]:
    """Return what a policy reaches on every frozen slot, and how long it takes.

    Times are the median of slots decided one by one, and the mean per slot of all at once.
    """
    seen = frozen.observations(observation)
    single = []
    for one in seen[: _TIMED_SLOTS + 1]:
        begun = time.perf_counter()
        decide(one[None])
        single.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    assignments = decide(seen)
    batched = (time.perf_counter() - begun) / len(seen)
    # The first call pays for what is set up once.
    times = DecisionTime(1e3 * float(np.median(single[1:] or single)), 1e3 * batched)
    return figures(frozen, assignments), times


def means(frozen: FrozenSlots, assignments: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean NRR and the mean objective of assignments, shape (slots, N), quickly."""
    objective = np.asarray(evaluate(frozen.scenario, frozen.slots, assignments).objective)
    nrr = frozen.lower_bound / objective.reshape(frozen.lower_bound.shape)
    return float(nrr.mean()), float(objective.mean())


def figures(frozen: FrozenSlots, assignments: NDArray[np.int64]) -> Slots:
    """Return all figures of assignments, shape (slots, N), slot by slot."""
    outcome = evaluate(frozen.scenario, frozen.slots, assignments)
    shape = frozen.lower_bound.shape
    return Slots.of(
        objective=np.asarray(outcome.objective).reshape(shape),
        latency_s=np.asarray(outcome.latency_s).sum(-1).reshape(shape),
        energy_j=np.asarray(outcome.energy_j).sum(-1).reshape(shape),
        lower_bound=frozen.lower_bound,
    )
