"""Measure any model or rule on the frozen slots, or the frozen episodes, of its scenario.

Which of them: where the slots of a scenario are coupled (``scenario.dynamic``), episodes. Both are
measured alike, by :meth:`FrozenSlots.measured` and :meth:`FrozenEpisodes.measured`, and say what
their score is; nothing else in the harness asks which of them it has.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mec_bench.results import (
    HINDSIGHT_RATIO,
    NRR,
    DecisionTime,
    Episodes,
    Evaluation,
    Measure,
    Slots,
)
from mec_gym import Scenario, Slot, evaluate, vote
from mec_gym.envs.observation import ObservationCoder
from mec_gym.evaluation import (
    EpisodeSet,
    Predictions,
    SlotSet,
    Step,
    begin,
    episode_set,
    slot_set,
    steps,
)
from mec_gym.model.cost import migrates
from mec_gym.validation import require_integer

SET = "v1"
"""Version of the frozen slots and episodes: another whenever they are drawn in another way."""

SEED = 20_220_425
"""Of the frozen slots and episodes; no training draws from this seed."""

TUNING_SEED = 20_220_426
"""Of the slots and episodes that settings are tuned on, :mod:`mec_bench.tuning`: no result is of
these, and no policy of a result was chosen by the others."""

LAYOUTS, SLOTS_PER_LAYOUT = 40, 5
EPISODES, SLOTS_PER_EPISODE = 20, 100
"""An episode is as long as those of the env."""

_TIMED_SLOTS = 20

Decisions = Callable[[NDArray[np.float32]], NDArray[np.int64]]
"""From observations, shape (B, ...), to assignments, shape (B, N); see mec_gym.evaluation.begin."""


def slot_set_of(
    scenario: Scenario,
    *,
    layouts: int = LAYOUTS,
    slots_per_layout: int = SLOTS_PER_LAYOUT,
    seed: int = SEED,
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
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class FrozenSlots:
    """The slots that every policy of a scenario is measured on, as one batch.

    `lower_bound`, shape (layouts, slots per layout), is the optimal objective where the solver
    proves it, and else what no decision undercuts.
    """

    measure: ClassVar[Measure] = NRR

    scenario: Scenario
    slots: Slot
    lower_bound: NDArray[np.float64]
    evaluation: Evaluation

    def observations(self, kind: str) -> NDArray[np.float32]:
        """Return what an env of this `observation` shows of the slots, shape (slots, ...)."""
        return ObservationCoder(self.scenario, kind).encode(self.slots)

    def measured(self, decide: Decisions, observation: str) -> tuple[Slots, DecisionTime]:
        """Return what a policy reaches on every slot, and how long it takes.

        Times are the median of slots decided one by one, and the mean per slot of all at once.
        """
        seen = self.observations(observation)
        clock = _Clock(decide)
        for one in seen[: _TIMED_SLOTS + 1]:
            begin(clock)  # each slot has nothing to do with the one before
            clock(one[None])
        single, clock = clock.median_ms, _Clock(decide)
        begin(clock)
        assignments = clock(seen)
        return figures(self, assignments), DecisionTime(single, clock.total_ms / len(seen))

    def means(self, decide: Decisions, observation: str) -> tuple[float, float]:
        """Return the mean NRR and the mean objective of a policy, quickly."""
        begin(decide)
        assignments = decide(self.observations(observation))
        objective = np.asarray(evaluate(self.scenario, self.slots, assignments).objective)
        nrr = self.lower_bound / objective.reshape(self.lower_bound.shape)
        return float(nrr.mean()), float(objective.mean())


@dataclass(frozen=True, eq=False)
class FrozenEpisodes:
    """The episodes that every policy of a scenario is measured on, all side by side in time."""

    measure: ClassVar[Measure] = HINDSIGHT_RATIO

    episodes: EpisodeSet
    evaluation: Evaluation

    @property
    def scenario(self) -> Scenario:
        """Theirs."""
        return self.episodes.scenario

    def measured(self, decide: Decisions, observation: str) -> tuple[Episodes, DecisionTime]:
        """Return what a policy reaches in every episode, and how long it takes.

        Times are the median of the first slots of the first episode decided one by one, and the
        mean per slot of all episodes side by side.
        """
        clock, first = _Clock(decide), self.episodes[:1]
        for _ in islice(steps(first, self._seeing(clock, observation)), _TIMED_SLOTS + 1):
            pass
        single, clock = clock.median_ms, _Clock(decide)
        reached = self._reached(clock, observation)
        slots = len(reached.objective) * self.evaluation.slots_per_layout
        return reached, DecisionTime(single, clock.total_ms / slots)

    def means(self, decide: Decisions, observation: str) -> tuple[float, float]:
        """Return the mean hindsight ratio and the mean objective per slot of a policy."""
        reached = self._reached(decide, observation)
        return float(np.mean(reached.hindsight_ratio)), float(np.mean(reached.objective))

    def _reached(self, decide: Decisions, observation: str) -> Episodes:
        rows = [_figures(step) for step in steps(self.episodes, self._seeing(decide, observation))]
        objective, latency, energy, migrations = np.mean(rows, axis=0)
        return Episodes.of(
            objective=objective,
            latency_s=latency,
            energy_j=energy,
            migrations=migrations * self.scenario.migrates,  # elsewhere nothing has a place
            lower_bound=self.episodes.lower_bound / len(rows),
        )

    def _seeing(self, decide: Decisions, observation: str) -> _Seeing:
        return _Seeing(decide, ObservationCoder(self.scenario, observation))


class _Seeing:
    """Lets a function of observations decide slots, as :func:`mec_gym.evaluation.steps` asks."""

    def __init__(self, decide: Decisions, coder: ObservationCoder) -> None:
        self._decide, self._coder = decide, coder

    def begin(self) -> None:
        begin(self._decide)

    def __call__(self, _scenario: Scenario, slot: Slot, *_: Any) -> NDArray[np.int64]:
        return self._decide(self._coder.encode(slot))


class _Clock:
    """Measures how long decisions take, [ms]."""

    def __init__(self, decide: Decisions) -> None:
        self._decide = decide
        self._took: list[float] = []

    def begin(self) -> None:
        begin(self._decide)

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.int64]:
        begun = time.perf_counter()
        decided = self._decide(observations)
        self._took.append(1e3 * (time.perf_counter() - begun))
        return decided

    @property
    def median_ms(self) -> float:
        """Without the first call, which pays for what is set up once."""
        return float(np.median(self._took[1:] or self._took))

    @property
    def total_ms(self) -> float:
        return sum(self._took)


Frozen = FrozenSlots | FrozenEpisodes


def frozen(
    scenario: Scenario,
    *,
    layouts: int | None = None,
    slots_per_layout: int | None = None,
    seed: int = SEED,
) -> Frozen:
    """Return what every policy of a scenario is measured on, drawn and solved once.

    By default there are 40 layouts of 5 slots, or 20 episodes of 100; fewer are the first of these.
    Another `seed` gives others.
    """
    for name, given in (("layouts", layouts), ("slots_per_layout", slots_per_layout)):
        if given is not None:
            require_integer(name, given, 1)
    of_episodes = scenario.dynamic
    usual = (EPISODES, SLOTS_PER_EPISODE) if of_episodes else (LAYOUTS, SLOTS_PER_LAYOUT)
    count, slots = layouts or usual[0], slots_per_layout or usual[1]
    if of_episodes:
        return frozen_episodes(scenario, episodes=count, slots_per_episode=slots, seed=seed)
    return frozen_slots(scenario, layouts=count, slots_per_layout=slots, seed=seed)


def _evaluation(scenario: Scenario, layouts: int, slots: int, seed: int, gap: float) -> Evaluation:
    own = scenario.layout == "fixed"
    return Evaluation(SET, layouts, slots, seed=seed, own_layout=own, gap=gap)


# Runs of one scenario follow each other in a process, and the slots of a large one fill memory.
@functools.lru_cache(maxsize=1)
def frozen_slots(
    scenario: Scenario,
    *,
    layouts: int = LAYOUTS,
    slots_per_layout: int = SLOTS_PER_LAYOUT,
    seed: int = SEED,
) -> FrozenSlots:
    """Return the frozen slots of a scenario in one batch; see :func:`slot_set_of`."""
    drawn = slot_set_of(scenario, layouts=layouts, slots_per_layout=slots_per_layout, seed=seed)
    together = Slot(
        *(
            np.concatenate([getattr(slots, name) for slots in drawn.slots])
            for name in ("gains", "data_bits", "cycles")
        )
    )
    evaluation = _evaluation(scenario, layouts, slots_per_layout, seed, drawn.gap)
    return FrozenSlots(scenario, together, drawn.lower_bound, evaluation)


@functools.lru_cache(maxsize=1)
def frozen_episodes(
    scenario: Scenario,
    *,
    episodes: int = EPISODES,
    slots_per_episode: int = SLOTS_PER_EPISODE,
    seed: int = SEED,
) -> FrozenEpisodes:
    """Return the frozen episodes of a scenario with their bounds."""
    drawn = episode_set(scenario, n_episodes=episodes, n_slots=slots_per_episode, seed=seed)
    evaluation = _evaluation(scenario, episodes, slots_per_episode, seed, drawn.gap)
    return FrozenEpisodes(drawn, evaluation)


def decisions_of(model: Any, scenario: Scenario) -> Decisions:
    """Return a model as a function of observations; its scores, if it gives them, are voted on.

    The state of a recurrent model goes from each call to the next, until
    :func:`mec_gym.evaluation.begin`. The function raises ``TypeError`` for actions that are neither
    assignments nor scores.
    """
    return _Deciding(model, scenario)


class _Deciding:
    """What :func:`decisions_of` returns."""

    def __init__(self, model: Any, scenario: Scenario) -> None:
        self._scenario = scenario
        self._predictions = Predictions(model)
        self.begin = self._predictions.begin

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.int64]:
        scenario, batch = self._scenario, len(observations)
        n, m = scenario.n_devices, scenario.n_servers
        actions = self._predictions(scenario, observations)
        if actions.dtype.kind == "f" and actions.shape == (batch, m * n):
            scores = actions.reshape(batch, m, n)
            return np.asarray(vote(scores, scenario.can_execute_locally))
        if actions.dtype.kind not in "iu" or actions.shape != (batch, n):
            raise TypeError(
                f"predict must return assignments, integers of shape ({batch}, {n}), or scores, "
                f"floats of shape ({batch}, {m * n}); got {actions.dtype} of {actions.shape}."
            )
        return actions.astype(np.int64)


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


def _figures(step: Step) -> list[NDArray[np.float64]]:
    """Return objective, latency, energy and migrations of a slot, each of shape (E,)."""
    moves = migrates(step.assignment, step.slot.hosts, step.slot.cycles)
    per_device = (step.outcome.latency_s, step.outcome.energy_j, moves)
    sums = [np.asarray(one).sum(-1, dtype=np.float64) for one in per_device]
    return [np.asarray(step.outcome.objective), *sums]
