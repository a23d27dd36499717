"""Evaluation: frozen slots and episodes that every policy is measured on, and the two measures.

NRR [E-1], the normalised reward rate of the paper, is the optimal objective over a policy's
objective in the same slot: 1 is perfect. The paper divides by the result of a particle swarm;
here it is the optimum, or where that is only bounded, the lower bound.

The hindsight ratio [E-2] is the lower bound of :func:`mec_gym.hindsight` over a policy's cost on
the same path, all slots of an episode together: in a world in which decisions last, the best of
every slot is not the best in the long run. No policy passes 1, and none that does not know the
future needs to reach it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mec_gym.envs.observation import ObservationCoder, kind_of_space
from mec_gym.envs.offloading import legal_choices
from mec_gym.envs.scores import vote
from mec_gym.hindsight import hindsight
from mec_gym.model.cost import NO_TASK, hosts_after
from mec_gym.model.episode import Episode, Recorded
from mec_gym.model.episode import episodes as episodes_of_seeds
from mec_gym.model.layout import Layout, fixed_layout
from mec_gym.model.slot import Slot
from mec_gym.model.world import World
from mec_gym.optimum import solve
from mec_gym.outcome import Outcome, evaluate
from mec_gym.scenario import Scenario
from mec_gym.validation import require_integer

Decide = Callable[[Scenario, Slot, Layout, np.random.Generator], NDArray[np.int64]]
"""A policy for measuring: the decisions for a batch of slots of one layout.

If it has a method ``begin()``, that is called before slots that those before have nothing to do
with: a policy with a memory empties it.
"""


def begin(decide: Any) -> None:
    """Let a policy that remembers forget what it has seen."""
    forget = getattr(decide, "begin", None)
    if forget is not None:
        forget()


@dataclass(frozen=True, eq=False)
class SlotSet:
    """Slots of several layouts of one scenario, the same for everyone who asks.

    With `own_layout` of :func:`slot_set` there are batches of slots of one map in place of layouts.

    Attributes
    ----------
    scenarios : tuple of Scenario
        One per layout, that layout fixed.
    slots : tuple of Slot
        One batch of slots per layout.
    lower_bound : ndarray, shape (layouts, slots), [1]
        No decision has a smaller objective; the optimum where the solver is exact.
    offloaded : ndarray, shape (layouts, slots), [1]
        Share of devices that the solver's decision offloads.
    gap : float, [1]
        Largest relative gap between the solver's decision and the bound.
    """

    scenarios: tuple[Scenario, ...]
    slots: tuple[Slot, ...]
    lower_bound: NDArray[np.float64]
    offloaded: NDArray[np.float64]
    gap: float


@dataclass(frozen=True)
class Estimate:
    """A mean over all slots with the ends of its 95 % interval, Student's t over means of layouts.

    The ends are NaN for one layout. On one map the interval is over batches of slots, and says
    nothing about other maps.
    """

    mean: float
    low: float
    high: float


def slot_set(
    scenario: Scenario,
    *,
    n_layouts: int = 20,
    slots_per_layout: int = 5,
    seed: int = 0,
    own_layout: bool = False,
) -> SlotSet:
    """Return frozen slots of a scenario with lower bounds, the optima where tasks are equal.

    Parameters
    ----------
    scenario : Scenario
        Layouts that are drawn are drawn anew for each of `n_layouts`.
    n_layouts, slots_per_layout : int
        How many.
    seed : int
        Other seeds, other slots: tune on one, judge on another.
    own_layout : bool
        Stay on the scenario's own map, the one that its env shows, for a policy that was trained
        there: `n_layouts` batches of slots of that map.

    Examples
    --------
    >>> slot_set(Scenario.preset("paper-30x2"), n_layouts=1, slots_per_layout=2).gap
    0.0
    """
    if scenario.dynamic:
        raise ValueError(
            "frozen slots are of worlds whose slots are independent; slots of this scenario are "
            "coupled by movement, delay or migration. Measure on episode_set(scenario)."
        )
    require_integer("n_layouts", n_layouts, 1)
    require_integer("slots_per_layout", slots_per_layout, 1)
    scenarios: list[Scenario] = []
    for index in range(n_layouts):
        if not (own_layout and scenarios):
            drawn = scenario.layout_seed if own_layout else _layout_seed(seed, index)
            one = scenario.replace(layout="fixed", layout_seed=drawn)
            world = World(one, slots_per_layout)
        world.reset([np.random.default_rng([seed, index, k]) for k in range(slots_per_layout)])
        assert world.slot is not None
        if not scenarios:
            together = _room(world.slot, n_layouts)
        scenarios.append(one)
        together.gains[index] = world.slot.gains
        together.data_bits[index] = world.slot.data_bits
        together.cycles[index] = world.slot.cycles
    optimum = solve(scenario, together)  # of a layout it only needs the gains
    return SlotSet(
        scenarios=tuple(scenarios),
        slots=tuple(together[index] for index in range(n_layouts)),
        lower_bound=optimum.lower_bound,
        offloaded=(optimum.assignment > 0).mean(-1),
        gap=float(optimum.gap.max()),
    )


def _room(slot: Slot, n_layouts: int) -> Slot:
    """Return arrays for batches like a slot's, with an axis in front."""
    fields = (slot.gains, slot.data_bits, slot.cycles)
    return Slot.trusted(*(np.empty((n_layouts, *field.shape)) for field in fields))


def _layout_seed(seed: int, index: int) -> int:
    """Return a layout's seed, another for every pair."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def nrr(slots: SlotSet, decide: Decide, *, seed: int = 0) -> NDArray[np.float64]:
    """Return the NRR of a policy in every slot of a set.

    Parameters
    ----------
    slots : SlotSet
        What to measure on.
    decide : callable
        ``decide(scenario, slot, layout, rng)`` returns assignments of shape (slots, N).
    seed : int
        Of the generator that the policy may use.

    Returns
    -------
    ndarray, shape (layouts, slots), [1]
        In (0, 1].

    Examples
    --------
    >>> slots = slot_set(Scenario.preset("paper-30x2"), n_layouts=1, slots_per_layout=2)
    >>> bool((nrr(slots, lambda s, slot, *_: solve(s, slot).assignment) > 1 - 1e-12).all())
    True
    """
    rng = np.random.default_rng(seed)
    objectives = []
    for one, slot in zip(slots.scenarios, slots.slots, strict=True):
        begin(decide)
        objectives.append(evaluate(one, slot, decide(one, slot, fixed_layout(one), rng)).objective)
    return np.asarray(slots.lower_bound / np.stack(objectives))


class Predictor(Protocol):
    """Anything with Stable-Baselines3's ``predict``."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Return actions for a batch of observations, and the state of a recurrent policy."""


class Predictions:
    """A model's deterministic actions for batches of observations, one after the other in time.

    From :meth:`begin` on, the state of a recurrent model goes from each batch to the next.
    """

    def __init__(self, model: Predictor) -> None:
        self._model = model
        taken = inspect.signature(model.predict).parameters
        anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
        self._remembers = anything or {"state", "episode_start"} <= set(taken)
        self._masked = "action_masks" in taken  # MaskablePPO
        self.begin()

    def begin(self) -> None:
        """Forget what was shown: what comes next is the first slot of an episode."""
        self._state: Any = None
        self._first = True

    def normalised(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return observations as the model's VecNormalize shows them, if it takes their shape."""
        find = getattr(self._model, "get_vec_normalize_env", None)
        env = find() if find else None
        if env is None or env.observation_space.shape != observations.shape[1:]:
            return observations
        shown: NDArray[np.float32] = env.normalize_obs(observations)
        return shown

    def __call__(self, scenario: Scenario, observations: NDArray[np.float32]) -> NDArray[Any]:
        """Return actions, shape (B, ...), legal ones where the model asks for masks."""
        observations = self.normalised(observations)
        batch, given = len(observations), {}
        if self._masked:
            given["action_masks"] = np.tile(legal_choices(scenario), (batch, 1))
        if self._remembers:
            given |= {"state": self._state, "episode_start": np.full(batch, self._first)}
        actions, self._state = self._model.predict(observations, deterministic=True, **given)
        self._first = False
        return np.asarray(actions)


def decide_with(model: Predictor, observation: str | None = None) -> Decide:
    """Return a trained model as a policy for :func:`nrr` and :func:`hindsight_ratio`.

    The state of a recurrent model is carried along an episode; so are the last observations of one
    trained behind Stable-Baselines3's ``VecFrameStack``. A model whose env has ``VecNormalize`` is
    shown what that shows; a file does not hold it: load the model with its env. A model that asks
    for action masks gets them.

    Parameters
    ----------
    model : object with ``predict``
        E.g. a Stable-Baselines3 algorithm. Float actions are scores and are voted on.
    observation : {"flat", "db", "raw"}, optional
        The `observation` argument of the env that it was trained on. By default what the model's
        own ``observation_space`` shows, and "flat" for a model without one.

    Raises
    ------
    ValueError
        When it decides: for an ``observation_space`` of none of these kinds.

    Examples
    --------
    >>> class AllLocal:
    ...     def predict(self, observation, *_, **__):
    ...         return np.zeros((len(observation), 30), dtype=int), None
    >>> slots = slot_set(Scenario.preset("paper-30x2"), n_layouts=1, slots_per_layout=2)
    >>> nrr(slots, decide_with(AllLocal())).shape
    (1, 2)
    """
    return _DecideWith(model, observation)


class _DecideWith:
    """What :func:`decide_with` returns."""

    def __init__(self, model: Predictor, observation: str | None) -> None:
        self._model, self._kind = model, observation
        self._predictions = Predictions(model)
        self.begin()

    def begin(self) -> None:
        """Forget what was shown: what comes next is the first slot of an episode."""
        self._predictions.begin()
        self._frames: NDArray[np.float32] | None = None

    def _stacked(self, frame: NDArray[np.float32], width: int) -> NDArray[np.float32]:
        """Return observations behind those before them, as VecFrameStack shows vectors."""
        if self._frames is None:
            self._frames = np.zeros((len(frame), width), dtype=np.float32)
        self._frames = np.concatenate([self._frames[:, frame.shape[1] :], frame], axis=1)
        return self._frames

    def __call__(
        self, scenario: Scenario, slot: Slot, _layout: Layout, _rng: np.random.Generator
    ) -> NDArray[np.int64]:
        space = getattr(self._model, "observation_space", None)
        kind = self._kind or ("flat" if space is None else kind_of_space(scenario, space))
        coded = ObservationCoder(scenario, kind).encode(slot)
        if kind == "flat" and space is not None and space.shape[0] > coded.shape[1]:
            coded = self._stacked(self._predictions.normalised(coded), space.shape[0])
        actions = self._predictions(scenario, coded)
        if actions.dtype.kind == "f":
            shape = (len(actions), scenario.n_servers, scenario.n_devices)
            actions = np.asarray(vote(actions.reshape(shape), scenario.can_execute_locally))
        return actions


@dataclass(frozen=True, eq=False)
class EpisodeSet:
    """Episodes of one scenario, the same for everyone who asks, with their bounds.

    Attributes
    ----------
    scenario : Scenario
        Theirs.
    episodes : tuple of Episode
        E paths of T slots.
    lower_bound : ndarray, shape (E,), [1]
        No policy costs less on the path, whatever it knows.
    plan : ndarray, shape (E, T, N)
        The plan of one who knew the path: near the bound, and not a policy.
    gap : float, [1]
        Largest relative gap between the plan's cost and the bound.
    """

    scenario: Scenario
    episodes: tuple[Episode, ...]
    lower_bound: NDArray[np.float64]
    plan: NDArray[np.int64]
    gap: float

    def __getitem__(self, part: slice) -> EpisodeSet:
        """Return some of the episodes."""
        kept = self.episodes[part], self.lower_bound[part], self.plan[part]
        return EpisodeSet(self.scenario, *kept, self.gap)


def episode_set(
    scenario: Scenario, *, n_episodes: int = 20, n_slots: int = 100, seed: int = 0
) -> EpisodeSet:
    """Return frozen episodes of a scenario with the lower bounds of hindsight.

    Parameters
    ----------
    scenario : Scenario
        Any; layouts that are drawn are drawn anew for each episode.
    n_episodes, n_slots : int
        E and T.
    seed : int
        Other seeds, other episodes: tune on one, judge on another.

    Raises
    ------
    ValueError
        If a count is below 1, or nobody has a task in an episode: no cost is there to compare.

    Examples
    --------
    >>> episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=2, n_slots=5)
    >>> episodes.lower_bound.shape, episodes.gap < 0.01
    ((2,), True)
    """
    require_integer("n_episodes", n_episodes, 1)
    seeds = [_layout_seed(seed, index) for index in range(n_episodes)]
    drawn = episodes_of_seeds(scenario, seeds, n_slots)
    idle = [index for index, one in enumerate(drawn) if (one.cycles <= NO_TASK).all()]
    if idle:
        raise ValueError(
            f"nobody has a task in episode {idle[0]} of {n_episodes}: episodes of n_slots={n_slots}"
            " must be longer than the time in which all traces are absent."
        )
    best = hindsight(scenario, drawn)
    return EpisodeSet(scenario, drawn, best.lower_bound, best.assignment, float(best.gap.max()))


@dataclass(frozen=True, eq=False)
class Step:
    """One slot of all episodes of a set, batch shape (E,), as a policy's own decisions led to it.

    `seen` is what the decision `assignment`, (E, N), was made on, `slot` what prices it, both with
    the hosts before it.
    """

    slot: Slot
    seen: Slot
    assignment: NDArray[np.int64]
    outcome: Outcome


def steps(
    episodes: EpisodeSet | Sequence[Episode], decide: Decide, *, seed: int = 0
) -> Iterator[Step]:
    """Yield what a policy decides in the slots of episodes, in the order of time.

    All episodes go on at once. Parameters as for :func:`episode_costs`.

    Examples
    --------
    >>> episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=2, n_slots=5)
    >>> best_gain = lambda s, slot, *_: 1 + slot.gains.argmax(axis=-1)
    >>> moved = [(step.assignment != step.slot.hosts).sum() for step in steps(episodes, best_gain)]
    >>> int(moved[0])
    60
    """
    rng = np.random.default_rng(seed)
    begin(decide)
    paths = episodes.episodes if isinstance(episodes, EpisodeSet) else episodes
    scenario, world = paths[0].scenario, Recorded(paths, len(paths))
    world.reset()
    hosts = np.zeros((len(paths), scenario.n_devices), dtype=np.int64)
    for _ in range(paths[0].n_slots):
        slot, seen = (one.hosted(hosts) for one in (world.slot, world.seen) if one is not None)
        assignment = np.asarray(decide(scenario, seen, world.layouts(), rng))
        yield Step(slot, seen, assignment, evaluate(scenario, slot, assignment))
        hosts = hosts_after(np, assignment, hosts, slot.cycles)
        world.advance()


def episode_costs(
    episodes: EpisodeSet | Sequence[Episode], decide: Decide, *, seed: int = 0
) -> NDArray[np.float64]:
    """Return the objective of a policy in every slot of episodes, migration included.

    The policy sees the slots in the order of time, all episodes at once, each with the hosts that
    its own decisions have led to.

    Parameters
    ----------
    episodes : EpisodeSet, or sequence of Episode
        What to measure on; episodes of one scenario and length.
    decide : callable
        ``decide(scenario, slot, layout, rng)`` returns assignments (E, N) for a slot of batch shape
        (E,), as a decision sees it, and a layout with E positions of each device; see `Decide`.
    seed : int
        Of the generator that the policy may use.

    Returns
    -------
    ndarray, shape (E, T), [1]

    Examples
    --------
    >>> episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=2, n_slots=5)
    >>> episode_costs(episodes, lambda s, slot, *_: solve(s, slot).assignment).shape
    (2, 5)
    """
    return np.stack([step.outcome.objective for step in steps(episodes, decide, seed=seed)], axis=1)


def hindsight_ratio(episodes: EpisodeSet, decide: Decide, *, seed: int = 0) -> NDArray[np.float64]:
    """Return the hindsight ratio [E-2] of a policy in every episode of a set, (E,), in (0, 1].

    Parameters as for :func:`episode_costs`.

    Examples
    --------
    >>> episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=2, n_slots=5)
    >>> local = hindsight_ratio(episodes, lambda s, slot, *_: np.zeros((2, 30), dtype=int))
    >>> bool((local < 1).all())
    True
    """
    costs = episode_costs(episodes, decide, seed=seed)
    return np.asarray(episodes.lower_bound / costs.sum(axis=1))


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Return the mean of :func:`nrr` or :func:`hindsight_ratio` with its 95 % interval.

    Of an array of shape (layouts, slots), or (episodes,). Slots of one layout are not independent
    of each other, layouts and episodes are: the interval is Student's t over their means.

    Examples
    --------
    >>> estimate(np.array([[1.0, 3.0], [2.0, 2.0]])).mean
    2.0
    >>> estimate(np.array([0.9, 1.0])).mean
    0.95
    """
    means = values.reshape(len(values), -1).mean(axis=1)
    mean = float(means.mean())
    if len(means) < 2:
        return Estimate(mean, math.nan, math.nan)
    half = float(special.stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / math.sqrt(len(means)))
    return Estimate(mean, mean - half, mean + half)
