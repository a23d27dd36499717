"""The rules for moving worlds as Stable-Baselines3 algorithms, beside those of `policies`.

``learn`` tunes numbers on episodes that are drawn for this alone. A policy with a memory keeps it
in the `state` of ``predict``, as Stable-Baselines3's recurrent ones do: who does not hand it back
has a policy that begins anew in every slot.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from baselines.forecast import HORIZONS, Forecast, gains_say_positions
from baselines.moving import (
    SMOOTHED,
    STAYS,
    WAYS,
    Acting,
    MeasuredSpeed,
    Remembering,
    SkiRental,
    Smoothed,
    best_of,
    by_class,
    follow,
    knowing,
    placed_then_stays,
    stays,
    tuning_episodes,
)
from baselines.slot_policy import Assignment, SlotPolicy
from mec_gym import Scenario, Slot
from mec_gym.evaluation import Decide
from mec_gym.model.layout import Layout
from mec_gym.validation import require_integer, require_number


class BlindOffloading(SlotPolicy):
    """The best decision of each slot but for moves, which it takes no notice of.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> BlindOffloading(env).predict(env.reset(seed=0)[0])[0].shape
    (30,)
    """

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the best decision where moves are for nothing."""
        return stays(scenario, slot, np.inf)


class FollowOffloading(SlotPolicy):
    """Every device uses the server with its best gain or none, by :func:`baselines.follow`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> FollowOffloading(env).predict(env.reset(seed=0)[0])[0].shape
    (30,)
    """

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the best decision among the nearest servers."""
        return follow(scenario, slot)


class Tuned(SlotPolicy):
    """Base of the policies that choose among `candidates`, `tuned` being the one in use.

    A subclass makes a policy for :func:`mec_gym.evaluation.episode_costs` of each, in `acting`. An
    argument of the constructor that gives the numbers stands in `given`.
    """

    settings: ClassVar[tuple[str, ...]] = ("n_tuning_episodes", "n_tuning_slots")
    learned: ClassVar[tuple[str, ...]] = ("tuned",)
    candidates: ClassVar[Sequence[Any]]

    def __init__(
        self,
        env: Any = None,
        *,
        given: Any = None,
        n_tuning_episodes: int = 4,
        n_tuning_slots: int = 100,
        **kwargs: Any,
    ) -> None:
        require_integer("n_tuning_episodes", n_tuning_episodes, 1)
        require_integer("n_tuning_slots", n_tuning_slots, 1)
        self.n_tuning_episodes, self.n_tuning_slots = n_tuning_episodes, n_tuning_slots
        self.given, self.tuned = given, given
        super().__init__(env, **kwargs)

    @abstractmethod
    def acting(self, number: Any) -> Decide:
        """Return the policy with one of the candidates."""

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the decision with the candidate in use."""
        policy: Any = self.acting(self.tuned)
        decision: Assignment = policy(scenario, slot, None, None)
        return decision

    def tune(self, scenario: Scenario) -> None:
        """Choose the candidate that costs least; without migration all cost the same."""
        self.tuned = self.given
        if self.tuned is None and not scenario.migrates:
            self.tuned = self.candidates[0]
        if self.tuned is None:
            sizes = self.n_tuning_episodes, self.n_tuning_slots
            paths = tuning_episodes(scenario, *sizes, seed=self.seed or 0)
            self.tuned = best_of(self.candidates, self.acting, paths)


class StaysOffloading(Tuned):
    """Services are placed at once and move for μ/H, by :func:`baselines.placed_then_stays`.

    Parameters
    ----------
    horizon : float, optional, [slots]
        H; 0: they never move. ``learn`` tunes it by default.
    n_tuning_episodes, n_tuning_slots : int
        How many episodes ``learn`` tunes on, and how long they are.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> StaysOffloading(env, horizon=4).predict(env.reset(seed=0)[0])[0].shape
    (30,)
    """

    settings = ("horizon", *Tuned.settings)
    candidates = STAYS

    def __init__(self, env: Any = None, *, horizon: float | None = None, **kwargs: Any) -> None:
        if horizon is not None:
            require_number("horizon", horizon, "[0, inf)", unit="slots")
        self.horizon = horizon
        super().__init__(env, given=horizon, **kwargs)

    def acting(self, number: Any) -> Decide:
        """Return the rule with H."""
        return knowing(placed_then_stays, number)


class ByClassOffloading(Tuned):
    """As :class:`StaysOffloading`, with H = 1 + c/(v τ) by speed: :func:`baselines.by_class`.

    Parameters
    ----------
    way_m : float, optional, [m]
        c. ``learn`` tunes it by default.
    n_tuning_episodes, n_tuning_slots : int
        As for :class:`StaysOffloading`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> ByClassOffloading(env, way_m=12).predict(env.reset(seed=0)[0])[0].shape
    (30,)
    """

    settings = ("way_m", *Tuned.settings)
    candidates = WAYS

    def __init__(self, env: Any = None, *, way_m: float | None = None, **kwargs: Any) -> None:
        if way_m is not None:
            require_number("way_m", way_m, "[0, inf)", unit="m")
        self.way_m = way_m
        super().__init__(env, given=way_m, **kwargs)

    def acting(self, number: Any) -> Decide:
        """Return the rule with c."""
        return knowing(by_class, number)


class Recalling(SlotPolicy):
    """Base of the policies whose rule has a memory, the `state` of :meth:`predict`."""

    tuned: Any = None

    @abstractmethod
    def rule(self, number: Any) -> Remembering:
        """Return the rule with one of the candidates; with None where nothing is tuned."""

    def acting(self, number: Any) -> Decide:
        """Return the rule, which remembers by itself."""
        return Acting(self.rule(number))

    def layout(self, scenario: Scenario, slot: Slot) -> Layout | None:
        """Return where devices are, if the rule needs it."""
        return None

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the decision of an empty memory."""
        return self.respond(scenario, slot, None, None, deterministic)[0]

    def respond(
        self, scenario: Scenario, slot: Slot, state: Any, episode_start: Any, deterministic: bool
    ) -> tuple[Assignment, Any]:
        """Return the decision, and the memory after it, empty where an episode starts."""
        slots = slot if slot.batch_shape else slot[None]
        if state is not None and episode_start is not None:
            state = np.array(state)
            state[np.atleast_1d(np.asarray(episode_start, dtype=bool))] = np.nan
        places = self.layout(scenario, slots)
        decision, memory = self.rule(self.tuned).step(scenario, slots, places, state)
        return decision if slot.batch_shape else decision[0], memory


class SkiRentalOffloading(Recalling):
    """Services move when staying has cost μ, by :class:`baselines.SkiRental`; nothing is tuned.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> model, state = SkiRentalOffloading(env), None
    >>> for _ in range(2):
    ...     action, state = model.predict(env.reset(seed=0)[0], state)
    >>> state.shape
    (1, 30)
    """

    def rule(self, number: Any) -> Remembering:
        """Return the rule."""
        return SkiRental()


class SmoothedOffloading(Recalling, Tuned):
    """Services move where links have been better for a while, by :class:`baselines.Smoothed`.

    Parameters
    ----------
    memory : float, optional, [1]
        Part of the smoothed cost that stays from slot to slot.
    horizon : float, optional, [slots]
        H. Both or none are given; ``learn`` tunes them by default.
    n_tuning_episodes, n_tuning_slots : int
        As for :class:`StaysOffloading`.

    Raises
    ------
    ValueError
        If one of the two numbers is given alone.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> model = SmoothedOffloading(env, memory=0.8, horizon=8)
    >>> model.predict(env.reset(seed=0)[0])[0].shape
    (30,)
    """

    settings = ("memory", "horizon", *Tuned.settings)
    candidates = SMOOTHED

    def __init__(
        self,
        env: Any = None,
        *,
        memory: float | None = None,
        horizon: float | None = None,
        **kwargs: Any,
    ) -> None:
        if (memory is None) != (horizon is None):
            raise ValueError("memory and horizon must both be given, or none of them.")
        self.memory, self.horizon = memory, horizon
        given = None
        if memory is not None and horizon is not None:
            Smoothed(memory, horizon)
            given = [memory, horizon]
        super().__init__(env, given=given, **kwargs)

    def rule(self, number: Any) -> Remembering:
        """Return the rule with its memory and H."""
        return Smoothed(*number)


class MeasuredSpeedOffloading(Recalling, Tuned):
    """As :class:`ByClassOffloading` by speeds measured in gains: :class:`baselines.MeasuredSpeed`.

    Parameters
    ----------
    way_m : float, optional, [m]
        c. ``learn`` tunes it by default.
    memory : float, [1]
        Part of the smoothed speed that stays from slot to slot.
    n_tuning_episodes, n_tuning_slots : int
        As for :class:`StaysOffloading`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> action, state = MeasuredSpeedOffloading(env, way_m=12).predict(env.reset(seed=0)[0])
    >>> state.shape
    (1, 30, 5)
    """

    settings = ("way_m", "memory", *Tuned.settings)
    candidates = WAYS

    def __init__(
        self, env: Any = None, *, way_m: float | None = None, memory: float = 0.9, **kwargs: Any
    ) -> None:
        MeasuredSpeed(WAYS[0] if way_m is None else way_m, memory)
        self.way_m, self.memory = way_m, memory
        super().__init__(env, given=way_m, **kwargs)

    def rule(self, number: Any) -> Remembering:
        """Return the rule with c."""
        return MeasuredSpeed(number, self.memory)


class ForecastOffloading(Recalling, Tuned):
    """The planner that knows how devices move, by :class:`baselines.Forecast`.

    Positions are read out of the gains, which takes a world in which these depend on distances
    alone, and servers at known places that are not in one line.

    Parameters
    ----------
    horizon : int, optional, [slots]
        How far it looks ahead. ``learn`` tunes it by default.
    n_tuning_episodes, n_tuning_slots : int
        As for :class:`StaysOffloading`.

    Raises
    ------
    ValueError
        For a world with migration in which gains do not say where devices are.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="crowd-30x4")
    >>> action, state = ForecastOffloading(env, horizon=8).predict(env.reset(seed=0)[0])
    >>> state.shape
    (1, 1, 30, 2)
    """

    settings = ("horizon", *Tuned.settings)
    candidates = HORIZONS

    def __init__(self, env: Any = None, *, horizon: int | None = None, **kwargs: Any) -> None:
        if horizon is not None:
            require_integer("horizon", horizon, 0)
        self.horizon = horizon
        super().__init__(env, given=horizon, **kwargs)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse worlds in which positions cannot be read out of gains."""
        readable = gains_say_positions(scenario) and _spans_plane(scenario)
        if scenario.migrates and not readable:
            raise ValueError(
                "a forecast from observations needs gains that say where devices are: "
                "fading='none', shadowing_db=0, csi_delay_slots=0 and given server_positions that "
                "are not in one line. baselines.Forecast takes positions from a Layout instead."
            )

    def rule(self, number: Any) -> Remembering:
        """Return the planner with its horizon."""
        return Forecast(number)

    def layout(self, scenario: Scenario, slot: Slot) -> Layout | None:
        """Return where gains say that devices are."""
        if not scenario.migrates:
            # Nothing is planned: any place will do.
            places = np.zeros((*slot.gains.shape[:-1], 2)), np.zeros((scenario.n_servers, 2))
            return Layout(*places, slot.gains)
        servers = np.array(scenario.server_positions)
        # Circles around servers meet in a point: differences of their equations are linear.
        squares = scenario.reference_gain / slot.gains
        inner = servers - servers.mean(axis=0)
        right = (servers**2).sum(axis=-1) - squares
        right -= right.mean(axis=-1, keepdims=True)
        positions = np.clip(right @ np.linalg.pinv(2.0 * inner).T, 0.0, scenario.area_m)
        return Layout(positions, servers, slot.gains)


def _spans_plane(scenario: Scenario) -> bool:
    if isinstance(scenario.server_positions, str):
        return False
    servers = np.array(scenario.server_positions)
    return bool(np.linalg.matrix_rank(servers - servers.mean(axis=0)) == 2)
