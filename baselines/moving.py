"""Rules for worlds in which a decision lasts, because to move a device's service costs μ, [D-5].

All solve the load problem of the slot, with a toll on choices in the place of μ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.tolls import Floats, tolls
from mec_gym import Scenario, Slot, counterfactuals
from mec_gym.evaluation import Decide, episode_costs
from mec_gym.model.cost import NO_TASK
from mec_gym.model.episode import Episode, episodes
from mec_gym.model.layout import Layout
from mec_gym.optimum import load_problems_apart, moving, with_toll
from mec_gym.validation import require_number

Assignment = NDArray[np.int64]
Memory = Floats | None
Place = Layout | None
T = TypeVar("T")


# -- rules without a memory -------------------------------------------------------------------


def stays(
    scenario: Scenario, slot: Slot, horizon: ArrayLike = 1.0, first: ArrayLike | None = None
) -> Assignment:
    """Return the best decision with μ/H in the place of μ: as if the world stayed for H slots.

    One family: H = 1 is the slot's optimum, which sees each move in this slot only ("myopic"), and
    H = ∞ takes no notice of hosts ("blind").

    Parameters
    ----------
    horizon : float or array_like, shape (..., N), [slots]
        H, of every device or of each; 0: a service once placed never moves.
    first : float or array_like, shape (..., N), [slots]
        H of the first placement, the same by default.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=2, migration_s=8.0)
    >>> slot = Slot([[1e-8, 2e-6], [2e-6, 1e-8]], 8e5, 1e9, hosts=[1, 1])
    >>> [stays(scenario, slot, horizon).tolist() for horizon in (1, np.inf)]
    [[1, 1], [2, 1]]
    """
    return with_toll(scenario, slot, tolls(scenario, slot, horizon, first))


def placed_then_stays(scenario: Scenario, slot: Slot, horizon: ArrayLike) -> Assignment:
    """Return :func:`stays` with first placements for nothing; with H = 0 services never move.

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1, migration_s=8.0)
    >>> slot = Slot([[1e-6]], 8e5, 1e9)
    >>> placed_then_stays(scenario, slot, 2), stays(scenario, slot, 2)
    (array([1]), array([0]))
    """
    return stays(scenario, slot, horizon, np.inf)


def by_class(scenario: Scenario, slot: Slot, way_m: float) -> Assignment:
    """Return :func:`placed_then_stays` with H_i = 1 + c/(v_i τ): who is fast moves for less time.

    `way_m` c [m] is the way over which a server stays a good one, v_i the mean speed of the
    device's law of movement and τ the time of a slot. Of equal speeds it is one H for all.

    Raises
    ------
    ValueError
        If `way_m` is negative, NaN or infinite.

    Examples
    --------
    >>> scenario = Scenario.preset("crowd-30x4")
    >>> slot = Slot(np.full((30, 4), 1e-6), 8e5, 2e9, hosts=np.ones(30, dtype=int))
    >>> bool((by_class(scenario, slot, 0.0) == stays(scenario, slot, 1.0)).all())
    True
    """
    return placed_then_stays(scenario, slot, horizons_of(scenario, way_m))


def horizons_of(scenario: Scenario, way_m: float, speed_mps: Floats | None = None) -> Floats:
    """Return H_i = 1 + c/(v_i τ), infinite for those who stand; by default of the mean speeds."""
    require_number("way_m", way_m, "[0, inf)", unit="m")
    speed = scenario.mean_speed_mps if speed_mps is None else speed_mps
    if way_m == 0.0:
        return np.ones(speed.shape)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 + way_m / (speed * scenario.slot_s))


def follow(scenario: Scenario, slot: Slot, nearness: Floats | None = None) -> Assignment:
    """Return the best decision in which a device uses its nearest server or none.

    `nearness` (..., N, M) is largest for the nearest; the gain by default.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=2, migration_s=8.0)
    >>> follow(scenario, Slot([[1e-6, 2e-6], [2e-6, 1e-6]], 8e5, 1e9, hosts=[1, 2]))
    array([2, 1])
    """
    near = slot.gains if nearness is None else np.broadcast_to(nearness, slot.gains.shape)
    toll = np.where(near < near.max(axis=-1, keepdims=True), np.inf, 0.0)
    return with_toll(scenario, slot, np.concatenate([np.zeros_like(toll[..., :1]), toll], axis=-1))


# -- rules with a memory ----------------------------------------------------------------------


class Remembering(Protocol):
    """A rule that keeps something from slot to slot: an array with the slot's batch in front."""

    def step(
        self, scenario: Scenario, slot: Slot, layout: Place, memory: Memory
    ) -> tuple[Assignment, Floats]:
        """Return decisions, (B, N), and the memory after them.

        `slot` and `layout` have one batch axis. Entries of NaN, or None in all, are no memory yet.
        """


class Acting:
    """A rule with a memory as a policy for :func:`mec_gym.evaluation.episode_costs`.

    Examples
    --------
    >>> from mec_gym.evaluation import episode_set, hindsight_ratio
    >>> episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=2, n_slots=20)
    >>> bool((hindsight_ratio(episodes, Acting(SkiRental())) < 1).all())
    True
    """

    def __init__(self, rule: Remembering) -> None:
        self.rule = rule
        self._memory: Floats | None = None

    def begin(self) -> None:
        """Forget."""
        self._memory = None

    def __call__(
        self, scenario: Scenario, slot: Slot, layout: Layout, _rng: np.random.Generator
    ) -> Assignment:
        """Decide, and remember."""
        decision, self._memory = self.rule.step(scenario, slot, layout, self._memory)
        return decision


@dataclass(frozen=True)
class SkiRental:
    """Move a service when staying has cost as much as the move: "rent, then buy".

    What a device could have saved by its best choice, with moves for nothing and all others where
    they are, adds up from slot to slot. At μ it may move, and the sum begins anew: whatever the
    future brings, waiting and moving have then cost the same.

    References
    ----------
    Karlin, Manasse, Rudolph, Sleator, "Competitive snoopy caching", Algorithmica 3, 1988.

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1, migration_s=2.0)
    >>> slot = Slot([[[1e-6]]], 8e5, 1e9)
    >>> decision, regret = SkiRental().step(scenario, slot)
    >>> decision, bool(0 < regret[0, 0] < 2.0)
    (array([[0]]), True)
    """

    def step(
        self, scenario: Scenario, slot: Slot, layout: Place = None, memory: Memory = None
    ) -> tuple[Assignment, Floats]:
        """Return decisions and the sums after them, both (B, N)."""
        kappa = scenario.migration_cost
        sums = np.zeros(slot.gains.shape[:-1]) if memory is None else np.nan_to_num(memory)
        moves = moving(slot)
        unripe = moves & (sums < kappa)[..., None]
        # Who cannot execute locally does not wait for a first placement.
        unripe[unripe[..., 1:].all(axis=-1) & ~scenario.can_execute_locally] = False
        decision = with_toll(scenario, slot, np.where(unripe, np.inf, 0.0))
        costs = counterfactuals(scenario, slot, decision) - moves * kappa[:, None]
        at_own = decision[..., None]
        own = np.take_along_axis(costs, at_own, axis=-1)[..., 0]
        moved = np.take_along_axis(moves, at_own, axis=-1)[..., 0]
        return decision, np.where(moved, 0.0, sums + own - costs.min(axis=-1))


@dataclass(frozen=True)
class Smoothed:
    """:func:`placed_then_stays` that moves only where links were worse for a while.

    To move to server j costs μ/H, and on top of it what the link's cost, smoothed over the slots
    before, exceeds the present one: the links of a device that is gone soon do not tempt it.

    Attributes
    ----------
    memory : float, [1]
        Part of the smoothed cost that stays from one slot to the next, in [0, 1).
    horizon : float, [slots]
        H.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=2, noise_w=1e-6, migration_s=0.1)
    >>> gains = [[[1e-6, gain], [1e-6, 1e-6]] for gain in (1e-7, 1e-5)]
    >>> slots = [Slot([each], 8e5, 1e9, hosts=[[1, 1]]) for each in gains]
    >>> rule, memory = Smoothed(0.9, 4.0), None
    >>> for slot in slots * 2 + slots[1:] * 20:
    ...     decision, memory = rule.step(scenario, slot, None, memory)
    >>> int(rule.step(scenario, slots[1], None, None)[0][0, 0]), int(decision[0, 0])
    (2, 2)
    """

    memory: float = 0.8
    horizon: float = 4.0

    def __post_init__(self) -> None:
        require_number("memory", self.memory, "[0, 1)")
        require_number("horizon", self.horizon, "[0, inf]")

    def step(
        self, scenario: Scenario, slot: Slot, layout: Place = None, memory: Memory = None
    ) -> tuple[Assignment, Floats]:
        """Return decisions (B, N), and the smoothed costs of all links, (B, N, M)."""
        now = load_problems_apart(scenario, slot).cost[..., 1:]
        past = now if memory is None else np.where(np.isnan(memory), now, memory)
        smooth = now + self.memory * (past - now)
        toll = tolls(scenario, slot, self.horizon, np.inf)
        # A move that costs nothing needs no caution.
        careful = moving(slot) & (scenario.migration_cost > 0.0)[:, None]
        toll[..., 1:] += np.where(careful[..., 1:], np.maximum(smooth - now, 0.0), 0.0)
        return with_toll(scenario, slot, toll), smooth


@dataclass(frozen=True)
class MeasuredSpeed:
    """:func:`by_class` with speeds that seen gains give away: it knows no law of movement.

    A gain h says d = sqrt(β0/h), and no device comes nearer to a server, or goes farther from it,
    faster than it moves: each slot measures the largest change of a distance over τ, which is
    smoothed over slots. Who has not been measured yet moves for μ, H = 1. Shadowing and fading
    count as movement.

    Attributes
    ----------
    way_m : float, [m]
        c.
    memory : float, [1]
        Part of the smoothed speed that stays from one slot to the next, in [0, 1).

    Examples
    --------
    >>> scenario = Scenario.preset("crowd-30x4")
    >>> rule, speeds = MeasuredSpeed(12.0), None
    >>> for distance_m in (10.0, 12.0, 14.0):
    ...     gains = np.full((1, 30, 4), scenario.reference_gain / distance_m**2)
    ...     decision, speeds = rule.step(scenario, Slot(gains, 8e5, 2e9), None, speeds)
    >>> speeds[0, 0].round(6)
    array([14., 14., 14., 14.,  2.])
    """

    way_m: float = 12.0
    memory: float = 0.9

    def __post_init__(self) -> None:
        require_number("way_m", self.way_m, "[0, inf)", unit="m")
        require_number("memory", self.memory, "[0, 1)")

    def step(
        self, scenario: Scenario, slot: Slot, layout: Place = None, memory: Memory = None
    ) -> tuple[Assignment, Floats]:
        """Return decisions (B, N), and the distances [m] and, last, the speed: (B, N, M + 1)."""
        distance = np.sqrt(scenario.reference_gain / slot.gains)
        distance[slot.cycles == NO_TASK] = np.nan  # who is absent is not seen
        batch, n, m = distance.shape
        past = np.full((batch, n, m + 1), np.nan) if memory is None else memory
        measured = np.abs(distance - past[..., :-1]).max(axis=-1) / scenario.slot_s
        before = np.where(np.isnan(past[..., -1]), measured, past[..., -1])
        now = np.where(np.isnan(measured), before, measured)
        speed = now + self.memory * (before - now)
        horizon = horizons_of(scenario, self.way_m, np.where(np.isnan(speed), np.inf, speed))
        decision = placed_then_stays(scenario, slot, horizon)
        return decision, np.concatenate([distance, speed[..., None]], axis=-1)


# -- tuning -----------------------------------------------------------------------------------

STAYS = (0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 40.0)
"""H that tuning tries."""

WAYS = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 96.0, 192.0, 384.0)
"""c [m] that tuning tries."""

SMOOTHED = tuple((memory, slots) for memory in (0.5, 0.7, 0.8) for slots in (4.0, 6.0, 8.0, 12.0))
"""Memory and H that tuning tries."""

_STREAM = 0x6D6F7665
"""Sets the episodes of tuning apart from all others ("move" in ASCII)."""


def tuning_episodes(
    scenario: Scenario, n_episodes: int = 4, n_slots: int = 100, seed: int = 0
) -> tuple[Episode, ...]:
    """Return episodes to tune a rule on, apart from all others."""
    drawn = np.random.SeedSequence([_STREAM, seed]).generate_state(n_episodes)
    return episodes(scenario, drawn.tolist(), n_slots)


def best_of(candidates: Iterable[T], acting: Callable[[T], Decide], paths: Sequence[Episode]) -> T:
    """Return the candidate whose policy costs least on episodes."""
    return min(candidates, key=lambda one: float(episode_costs(paths, acting(one)).sum()))


def knowing(rule: Callable[..., Assignment], *arguments: Any) -> Decide:
    """Return a rule of scenario and slot alone as a policy."""
    return lambda scenario, slot, _layout, _rng: rule(scenario, slot, *arguments)
