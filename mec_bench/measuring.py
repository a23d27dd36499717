"""Measuring: any model or rule on the frozen slots of a scenario."""

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
"""Of the frozen slots; no training draws from it."""

LAYOUTS, SLOTS_PER_LAYOUT = 40, 5

_TIMED_SLOTS = 20

Decisions = Callable[[NDArray[np.float32]], NDArray[np.int64]]
"""A policy for measuring: assignments for a batch of observations."""


@dataclass(frozen=True, eq=False)
class FrozenSlots:
    """The slots that every policy of a scenario is measured on, as one batch.

    Attributes
    ----------
    scenario : Scenario
        The system.
    slots : Slot
        All of them, layout by layout.
    lower_bound : ndarray, shape (layouts, slots per layout), [1]
        What no decision undercuts; the optimum where the solver is exact.
    evaluation : Evaluation
        Which slots they are, for the record.

    Examples
    --------
    >>> frozen_slots(Scenario.preset("paper-30x2"), layouts=2, slots_per_layout=3).slots.batch_shape
    (6,)
    """

    scenario: Scenario
    slots: Slot
    lower_bound: NDArray[np.float64]
    evaluation: Evaluation

    def observations(self, kind: str) -> NDArray[np.float32]:
        """Return what an env shows of the slots.

        Parameters
        ----------
        kind : {"db", "raw", "flat"}
            The env's `observation`.

        Returns
        -------
        ndarray, shape (slots, ...)
        """
        return ObservationCoder(self.scenario, kind).encode(self.slots)


def slot_set_of(
    scenario: Scenario, *, layouts: int = LAYOUTS, slots_per_layout: int = SLOTS_PER_LAYOUT
) -> SlotSet:
    """Return the frozen slots of a scenario by layout, with their optima.

    Parameters
    ----------
    scenario : Scenario
        Where its layout is fixed, slots are of its own map; else of layouts drawn for this.
    layouts, slots_per_layout : int
        How many; fewer layouts are the first of the others.

    Returns
    -------
    SlotSet

    Examples
    --------
    >>> slot_set_of(Scenario.preset("paper-30x2"), layouts=1, slots_per_layout=2).lower_bound.shape
    (1, 2)
    """
    return slot_set(
        scenario,
        own_layout=scenario.layout == "fixed",
        n_layouts=layouts,
        slots_per_layout=slots_per_layout,
        seed=SEED,
    )


def frozen_slots(
    scenario: Scenario, *, layouts: int = LAYOUTS, slots_per_layout: int = SLOTS_PER_LAYOUT
) -> FrozenSlots:
    """Return the slots that every policy of a scenario is measured on.

    Parameters
    ----------
    scenario, layouts, slots_per_layout
        As for :func:`slot_set_of`.

    Returns
    -------
    FrozenSlots

    Examples
    --------
    >>> frozen_slots(Scenario.preset("paper-30x2"), layouts=1).evaluation.set
    'v1'
    """
    return _frozen(scenario, layouts, slots_per_layout)


# Runs of one scenario follow each other in a process, and the slots of a large one fill memory.
@functools.lru_cache(maxsize=1)
def _frozen(scenario: Scenario, layouts: int, slots_per_layout: int) -> FrozenSlots:
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
    """Return a model as a function of observations.

    Parameters
    ----------
    model : object with Stable-Baselines3's ``predict``
        Trained or not. Float actions are scores and are voted on.
    scenario : Scenario
        The system.

    Returns
    -------
    callable
        Observations, shape (B, ...), to assignments, shape (B, N).

    Raises
    ------
    TypeError
        When called: for actions that are neither assignments nor scores.

    Examples
    --------
    >>> class AllLocal:
    ...     def predict(self, observation, *_, **__):
    ...         return np.zeros((len(observation), 30), dtype=int), None
    >>> decisions_of(AllLocal(), Scenario.preset("paper-30x2"))(np.zeros((2, 30, 2))).shape
    (2, 30)
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
    """Return what a policy reaches on frozen slots, and how long it takes.

    Parameters
    ----------
    frozen : FrozenSlots
        What to measure on.
    decide : callable
        From :func:`decisions_of`.
    observation : {"db", "raw", "flat"}
        What it sees of a slot.

    Returns
    -------
    slots : Slots
        Every figure of every slot.
    decision_ms : DecisionTime
        The median of slots decided one by one, and the mean per slot of all at once.

    Raises
    ------
    TypeError, ValueError
        As :func:`mec_gym.evaluate`, for decisions that are not legal.

    Examples
    --------
    >>> frozen = frozen_slots(Scenario.preset("paper-30x2"), layouts=2, slots_per_layout=2)
    >>> slots, times = measure(frozen, lambda seen: np.ones((len(seen), 30), dtype=int), "db")
    >>> len(slots.nrr), 0 < slots.nrr[0][0] < 1
    (2, True)
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
    """Return the mean NRR and objective of decisions for frozen slots, quickly.

    Parameters
    ----------
    frozen, assignments
        As for :func:`figures`.

    Returns
    -------
    tuple of float
        NRR and objective.

    Examples
    --------
    >>> frozen = frozen_slots(Scenario.preset("paper-30x2"), layouts=1, slots_per_layout=1)
    >>> round(means(frozen, np.zeros((1, 30), dtype=int))[1], 9)
    60.0
    """
    objective = np.asarray(evaluate(frozen.scenario, frozen.slots, assignments).objective)
    nrr = frozen.lower_bound / objective.reshape(frozen.lower_bound.shape)
    return float(nrr.mean()), float(objective.mean())


def figures(frozen: FrozenSlots, assignments: NDArray[np.int64]) -> Slots:
    """Return the figures of decisions for frozen slots.

    Parameters
    ----------
    frozen : FrozenSlots
        The slots.
    assignments : ndarray, shape (slots, N), int64
        0 = local, j = server j.

    Returns
    -------
    Slots

    Raises
    ------
    TypeError, ValueError
        As :func:`mec_gym.evaluate`.

    Examples
    --------
    >>> frozen = frozen_slots(Scenario.preset("paper-30x2"), layouts=1, slots_per_layout=1)
    >>> figures(frozen, np.zeros((1, 30), dtype=int)).latency_s
    ((30.0,),)
    """
    outcome = evaluate(frozen.scenario, frozen.slots, assignments)
    shape = frozen.lower_bound.shape
    return Slots.of(
        objective=np.asarray(outcome.objective).reshape(shape),
        latency_s=np.asarray(outcome.latency_s).sum(-1).reshape(shape),
        energy_j=np.asarray(outcome.energy_j).sum(-1).reshape(shape),
        lower_bound=frozen.lower_bound,
    )
