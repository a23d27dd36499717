"""The head-room of a moving world: how far from the best possible the simple rules stay there.

All policies see the same frozen episodes; the figure is the hindsight ratio [E-2], the bound of one
who knows the path over the policy's cost. What rules have to tune is tuned on other episodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.forecast import HORIZONS, Forecast, gains_say_positions
from baselines.moving import (
    SMOOTHED,
    STAYS,
    WAYS,
    Acting,
    MeasuredSpeed,
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
from baselines.prices import posted_prices
from baselines.regimes import as_table, cell
from baselines.rules import local
from baselines.tolls import tolls
from mec_gym import Scenario, Slot
from mec_gym.evaluation import Decide, EpisodeSet, Estimate, episode_set, estimate, hindsight_ratio
from mec_gym.model.episode import Episode

ALIKE = ("all local", "blind", "myopic", "never", "keep what pays", "follow", "stays-H")
"""Rules of one number at most, which know nothing of speeds and remember nothing."""

REMEMBERING = ("ski rental", "smoothed", "measured speed")
"""Rules that see gains alone, as those, and remember."""

KNOWING = ("by class", "forecast")
"""Rules that know how fast each device is, or the model of movement, besides what they see."""

PLACING = ("follow by positions", "forecast by positions")
"""Rules that take present positions from where no observation has them."""

ROOM, LEFT = 0.92, 0.03
"""A world tells policies apart where rules of one number stay below `ROOM`, and one that knows is
`LEFT` above. Rules that remember are no part of it: gains over time give speeds away."""


def kept_local(scenario: Scenario, slot: Slot, horizon: float) -> NDArray[np.int64]:
    """Return what servers keep that know their own column and guests alone, as `placed_then_stays`.

    A device goes where its link, a move for μ/H included, saves it most; each server then keeps
    those that pay at its own load.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=2, migration_s=8.0)
    >>> kept_local(scenario, Slot([[1e-6, 2e-6]] * 2, 8e5, 1e9, hosts=[1, 2]), 0.0)
    array([1, 2])
    """
    toll = tolls(scenario, slot, horizon, np.inf)
    return posted_prices(scenario, slot, 0.0, toll=toll)


@dataclass(frozen=True)
class HeadRoom:
    """What rules reach in one moving world, by `name`: the hindsight ratio by rule.

    `tuned` has the numbers of the rules that have some; `cost` is the bound on what a device costs
    in a slot, `plan` the ratio of the plan that hindsight found, and `gap` the largest between the
    plan's cost and the bound.
    """

    name: str
    ratio: dict[str, Estimate]
    tuned: dict[str, Any]
    cost: Estimate
    plan: Estimate
    gap: float
    n_episodes: int
    n_slots: int

    @property
    def best_simple(self) -> str:
        """The best rule that has one number at most, and knows and remembers nothing more."""
        return self._best(ALIKE)

    @property
    def best_seeing(self) -> str:
        """The best rule that has gains and their history alone."""
        return self._best((*ALIKE, *REMEMBERING))

    @property
    def best_knowing(self) -> str:
        """The best of those that know."""
        return self._best(KNOWING)

    @property
    def discriminates(self) -> bool:
        """Whether knowledge is worth `LEFT` more than one number, which stays below `ROOM`."""
        below, above = (self.ratio[rule].mean for rule in (self.best_simple, self.best_knowing))
        return below <= ROOM and above >= below + LEFT

    def _best(self, rules: Iterable[str]) -> str:
        return max(
            (one for one in rules if one in self.ratio), key=lambda one: self.ratio[one].mean
        )


def moving_rules(
    paths: Sequence[Episode], ways: Sequence[float] = WAYS
) -> Iterator[tuple[str, Decide, Any]]:
    """Yield the rules by name, as policies, with the numbers that are best on episodes.

    Where gains do not say positions, what is decided by them has names of its own.
    """
    readable = gains_say_positions(paths[0].scenario)
    plain: dict[str, Decide] = {
        "all local": knowing(local),
        "blind": knowing(stays, np.inf),
        "myopic": knowing(stays, 1.0),
        "never": knowing(placed_then_stays, 0.0),
        "follow": knowing(follow),
        "ski rental": Acting(SkiRental()),
    }
    if not readable:
        plain |= {
            "follow by positions": lambda scenario, slot, layout, _: follow(
                scenario, slot, -layout.distances_m
            )
        }
    for name, decide in plain.items():
        yield name, decide, None
    families: Mapping[str, tuple[Sequence[Any], Any]] = {
        "keep what pays": (STAYS, lambda number: knowing(kept_local, number)),
        "stays-H": (STAYS, lambda number: knowing(placed_then_stays, number)),
        "smoothed": (SMOOTHED, lambda numbers: Acting(Smoothed(*numbers))),
        "by class": (ways, lambda number: knowing(by_class, number)),
        "measured speed": (ways, lambda number: Acting(MeasuredSpeed(number))),
        "forecast" if readable else "forecast by positions": (
            HORIZONS,
            lambda number: Acting(Forecast(number)),
        ),
    }
    for name, (candidates, acting) in families.items():
        number = best_of(candidates, acting, paths)
        yield name, acting(number), number


def measure_headroom(
    scenario: Scenario,
    *,
    n_episodes: int = 20,
    n_slots: int = 100,
    n_tuning: int = 4,
    seed: int = 0,
    tuning: Scenario | None = None,
    ways: Sequence[float] = WAYS,
) -> HeadRoom:
    """Measure all rules on frozen episodes; numbers are tuned on others, of `tuning` if given."""
    sample = episode_set(scenario, n_episodes=n_episodes, n_slots=n_slots, seed=seed)
    ratio, tuned = {}, {}
    paths = tuning_episodes(tuning or scenario, n_tuning, n_slots, seed)
    for name, decide, number in moving_rules(paths, ways):
        ratio[name] = estimate(hindsight_ratio(sample, decide)[:, None])
        if number is not None:
            tuned[name] = number
    share = n_slots * scenario.n_devices
    return HeadRoom(
        name=scenario.name,
        ratio=ratio,
        tuned=tuned,
        cost=estimate(sample.lower_bound[:, None] / share),
        plan=estimate(hindsight_ratio(sample, Planned(sample))[:, None]),
        gap=sample.gap,
        n_episodes=n_episodes,
        n_slots=n_slots,
    )


class Planned:
    """The plan of hindsight as a policy for the episodes that it was made for."""

    def __init__(self, sample: EpisodeSet) -> None:
        self._plan = sample.plan

    def begin(self) -> None:
        """Go back to the first slot."""
        self._slots = iter(self._plan.swapaxes(0, 1))

    def __call__(self, *_: Any) -> NDArray[np.int64]:
        """Return the plan of the next slot."""
        return next(self._slots)


# -- the table --------------------------------------------------------------------------------

_TITLES = {
    "all local": "all local",
    "blind": "blind to moves: the slot's optimum, moves for nothing",
    "myopic": "optimum: of the slot alone, moves for μ",
    "never": "place once, never move",
    "keep what pays": "no prices, servers keep what pays, stays-H: moves for μ/H (local knowledge)",
    "stays-H": "stays-H: placed, then moves for μ/H",
    "follow": "always follow: the server with the best seen gain or none",
    "follow by positions": "follow by positions: the nearest server or none (knows positions)",
    "ski rental": "ski rental: moves when staying has cost μ",
    "smoothed": "smoothed links, stays-H: moves for μ/H, to links that were better for a while",
    "measured speed": "stays-H by measured speed: moves for μ/H, H = 1 + c/v, v measured in gains",
    "by class": "stays-H by mean speed: moves for μ/H, H = 1 + c/v",
    "forecast": "forecast: over some slots",
    "forecast by positions": "forecast by positions: over some slots (knows positions)",
}
"""By rule, its title in all tables and, behind a colon, what it does."""

_NUMBERS = dict.fromkeys(("keep what pays", "stays-H"), "H = {}")
_NUMBERS |= dict.fromkeys(("measured speed", "by class"), "c = {} m")
_NUMBERS |= dict.fromkeys(("forecast", "forecast by positions"), "{} slots")
_NUMBERS["smoothed"] = "memory, H = {}"


def rule_title(rule: str) -> str:
    """Return what tables call a rule of these figures.

    >>> rule_title("by class")
    'stays-H by mean speed'
    """
    return _TITLES[rule].partition(":")[0]


def headroom_table(rooms: Sequence[HeadRoom]) -> str:
    """Return head-rooms as a Markdown table with intervals, one column per scenario."""
    return as_table(headroom_rows(rooms))


def headroom_rows(rooms: Sequence[HeadRoom]) -> dict[str, list[str]]:
    """Return the rows of that table by what stands before them, the head first."""
    rows = {"hindsight ratio": [room.name for room in rooms]}
    for rule, title in _TITLES.items():
        if any(rule in room.ratio for room in rooms):
            rows[title] = [_with_number(room, rule) for room in rooms]
    rows["*plan of hindsight, which knows the path*"] = [cell(room.plan) for room in rooms]
    rows["*largest gap of the bound*"] = [f"{room.gap:.1e}" for room in rooms]
    rows["*bound, per device and slot*"] = [cell(room.cost) for room in rooms]
    rows["*episodes of slots*"] = [f"{room.n_episodes} of {room.n_slots}" for room in rooms]
    return rows


def _with_number(room: HeadRoom, rule: str) -> str:
    if rule not in room.ratio:
        return "–"
    shown = cell(room.ratio[rule])
    if rule not in room.tuned:
        return shown
    number = room.tuned[rule]
    several = isinstance(number, (list, tuple))
    text = ", ".join(f"{one:g}" for one in number) if several else f"{number:g}"
    return f"{shown}; {_NUMBERS[rule].format(text)}"


def headroom_verdict(room: HeadRoom) -> str:
    """Return what there is to gain in a moving world."""
    simple, knowing_one, seeing, *placing = (
        f"{rule_title(name)!r}, {room.ratio[name].mean:.3f}"
        for name in (
            room.best_simple,
            room.best_knowing,
            room.best_seeing,
            *(rule for rule in PLACING if rule in room.ratio),
        )
    )
    tells = "tells policies apart" if room.discriminates else "does not tell policies apart"
    said = (
        f"{room.name} {tells}: the best rule of at most one number is {simple}; the best that "
        f"knows speeds or the model of movement is {knowing_one}. From gains and their "
        f"history alone {seeing}: a learner with a memory has that to reach."
    )
    if placing:
        said += f" With positions, which no observation there holds: {'; '.join(placing)}."
    return said
