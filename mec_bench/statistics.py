"""Figures with their intervals; docs/statistics.md says what each means and where it is from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mec_bench.results import Evaluation, Measure, Result, asked

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Nominal coverage of every interval."""


@dataclass(frozen=True)
class Interval:
    """A figure with the ends of its interval; NaN where the runs do not determine one."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def within(self, low: float, high: float) -> Interval:
        """Return the part of the interval between two values, which the figure cannot pass."""
        return (
            Interval(self.value, max(self.low, low), min(self.high, high)) if self.known else self
        )


def half_interval(values: ArrayLike) -> Any:
    """Return half of the 95 % interval of means over the first axis, by Student's t.

    NaN of fewer than two values.
    """
    array = np.asarray(values, np.float64)
    n = len(array)
    if n < 2:
        return np.full(array.shape[1:], np.nan)[()]
    error = array.std(axis=0, ddof=1) / math.sqrt(n)
    return special.stdtrit(n - 1, (1 + LEVEL) / 2) * error


# -- figures of all runs, each scenario weighing the same -----------------------------------------

Scores = Sequence[ArrayLike]
"""Per scenario, the score of every run."""

Statistic = Callable[[Sequence[Floats]], Floats]
"""From resampled runs per scenario, each of shape (B, runs), to shape (B,)."""


def iqm(parts: Sequence[Floats]) -> Floats:
    """Return interquartile means of a batch: per scenario shape (B, runs), to shape (B,).

    Run i of scenario k of K weighs 1/(K n_k). Runs are sorted, a quarter of the weight is cut off
    at either end, and the rest is averaged; a run that the cut goes through keeps the part of its
    weight that lies inside. ``scipy.stats.trim_mean`` cuts whole runs: it agrees where all n_k
    are equal and their sum is a multiple of 4.
    """
    values = np.concatenate(parts, axis=-1)
    weights = np.repeat(
        [1 / (len(parts) * part.shape[-1]) for part in parts], [part.shape[-1] for part in parts]
    )
    order = np.argsort(values, axis=-1)
    values, weights = np.take_along_axis(values, order, -1), weights[order]
    after = np.cumsum(weights, axis=-1)
    kept = np.minimum(after, 0.75) - np.maximum(after - weights, 0.25)
    kept = np.maximum(kept, 0.0)
    return np.asarray((kept * values).sum(-1) / kept.sum(-1))


def mean(parts: Sequence[Floats]) -> Floats:
    """Return means of a batch over the scenarios' means: shapes (B, runs) to shape (B,)."""
    return np.asarray(np.mean([part.mean(-1) for part in parts], axis=0))


def improvement(parts: Sequence[Floats]) -> Floats:
    """Return how likely a run of x beats one of y: shapes (B, runs) of x, then of y, to (B,).

    (1/K) sum_k U_k / (n_k m_k), with Mann and Whitney's U_k, in which ties count half.
    """
    half = len(parts) // 2
    wins = [
        (0.5 + 0.5 * np.sign(x[..., :, None] - y[..., None, :])).mean((-2, -1))
        for x, y in zip(parts[:half], parts[half:], strict=True)
    ]
    return np.asarray(np.mean(wins, axis=0))


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of the middle half of all runs, see :func:`iqm`."""
    return float(iqm(_batch(scores))[0])


def optimality_gap(scores: Scores, target: float = 1.0) -> float:
    """Return by how much runs fall short of a target on average: the mean of max(target - x, 0)."""
    return float(mean([np.maximum(target - part, 0.0) for part in _batch(scores)])[0])


def probability_of_improvement(x: Scores, y: Scores) -> float:
    """Return how likely a run of `x` beats a run of `y` in the same scenario; 0.5: neither."""
    if len(x) != len(y):
        raise ValueError(f"x and y must have as many scenarios; got {len(x)} and {len(y)}.")
    return float(improvement([*_batch(x), *_batch(y)])[0])


def performance_profile(scores: Scores, thresholds: ArrayLike) -> Floats:
    """Return which share of the runs exceeds each threshold, shape (T,)."""
    limits = np.asarray(thresholds, np.float64)
    shares = [(part[0][:, None] > limits).mean(0) for part in _batch(scores)]
    return np.asarray(np.mean(shares, axis=0))


def stratified_bootstrap(
    scores: Scores, statistic: Statistic = iqm, *, n_resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return a statistic of the runs with its percentile interval.

    Runs are drawn with replacement within each scenario, as many as it has. With few runs the
    interval is too narrow: see docs/statistics.md. It has no ends where a
    scenario has one run only: nothing then tells how runs scatter.
    """
    parts = _batch(scores)
    value = float(statistic(parts)[0])
    if min(part.shape[-1] for part in parts) < 2:
        return Interval(value, math.nan, math.nan)
    from scipy.stats import bootstrap  # loading it takes half a second, and few need it

    # The values fix the order in which scenarios are drawn, not their names.
    order = sorted(range(len(parts)), key=lambda k: parts[k][0].tolist())
    place = np.argsort(order)

    def of_drawn(*drawn: Floats, axis: int) -> Floats:
        return statistic([np.atleast_2d(drawn[k]) for k in place])

    found = bootstrap(
        [parts[k][0] for k in order],
        of_drawn,
        n_resamples=n_resamples,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high))


def _batch(scores: Scores) -> list[Floats]:
    """Return sorted runs per scenario as a batch of one, or refuse them."""
    parts = [np.sort(np.asarray(runs, dtype=np.float64).ravel())[None] for runs in scores]
    if not parts or any(part.size == 0 or not np.isfinite(part).all() for part in parts):
        sizes = [part.size for part in parts]
        raise ValueError(
            "scores must hold, per scenario, at least one run and finite numbers only; "
            f"got scenarios with {sizes} runs."
        )
    return parts


# -- means and differences over seeds and layouts -------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How much better one policy is than another on the same slots.

    `p` is two-sided, of no difference; NaN where nothing determines it.
    """

    interval: Interval
    p: float


def crossed_mean(values: ArrayLike, *, learns: bool = True) -> Interval:
    """Return the mean of values (seeds, layouts), with an interval for the chance in both.

    The squared standard error is s_S^2/S + s_L^2/L: the variance of the S seeds' means and that
    of the L layouts' means. Each also holds its share of the interaction of seed and layout,
    which is so counted twice: the interval errs on the wide side. Student's t, with the degrees
    of freedom of Welch and Satterthwaite. Seeds of what does not learn are averaged: its interval
    is over layouts only. There are no ends for a learner of one seed, nor for one layout.
    """
    array = _table("values", values)
    components = [_component(array.mean(0))]
    if learns:
        components.append(_component(array.mean(1)))
    return _student(float(array.mean()), components).interval


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, learns: tuple[bool, bool] = (True, True)
) -> Difference:
    """Return mean(a) - mean(b), each (seeds, layouts), with an interval for seeds and layouts.

    Seeds of a and of b have nothing in common; layouts are the same for both. The squared
    standard error is s_a^2/n_a + s_b^2/n_b + s_d^2/L: the variances of each one's seeds' means,
    and the variance over layouts of the difference of the layouts' means. What makes a layout
    hard for both cancels there. Student's t with Satterthwaite's degrees of freedom. There are
    neither ends nor p-value for a learner of one seed.
    """
    a, b = _table("a", a), _table("b", b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"a and b must have the same layouts; got {a.shape[1]} and {b.shape[1]}.")
    components = [_component(a.mean(0) - b.mean(0))]
    components += [
        _component(one.mean(1)) for one, counts in zip((a, b), learns, strict=True) if counts
    ]
    return _student(float(a.mean() - b.mean()), components)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for several comparisons at once.

    Sorted, the i-th smallest of m is multiplied by m - i + 1; none falls below one before it, none
    exceeds 1. NaN stays NaN and does not count.
    """
    known = sorted((value, index) for index, value in enumerate(p) if not math.isnan(value))
    adjusted, least = [math.nan] * len(p), 0.0
    for rank, (value, index) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        adjusted[index] = least
    return adjusted


def _component(means: Floats) -> tuple[float, int]:
    """Return the squared standard error of a mean of independent values, and its freedom."""
    n = len(means)
    return (float(np.var(means, ddof=1)) / n, n - 1) if n > 1 else (math.nan, 0)


def _student(value: float, components: Sequence[tuple[float, int]]) -> Difference:
    """Return Student's interval around a value whose variance is a sum, and its p-value."""
    variance = sum(part for part, _ in components)
    if not math.isfinite(variance):
        return Difference(Interval(value, math.nan, math.nan), math.nan)
    # Differences of equal policies vary by rounding only.
    if variance <= (1e-15 * max(1.0, abs(value))) ** 2:
        return Difference(Interval(value, value, value), 1.0 if abs(value) <= 1e-15 else 0.0)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in components)
    error = math.sqrt(variance)
    half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * error
    p = float(2 * special.stdtr(freedom, -abs(value) / error))
    return Difference(Interval(value, value - half, value + half), p)


def _table(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite and of shape (seeds, layouts), not empty; "
            f"got shape {array.shape}."
        )
    return array


# -- which results stand in one table -------------------------------------------------------------

SAME_SLOTS = 1e-6
"""Relative difference up to which lower bounds are those of the same slots: solvers on different
machines agree to about 1e-9, other slots differ by per cents."""


@dataclass(frozen=True, eq=False)
class Group:
    """All results of one label in one table: they differ by seed only."""

    label: str
    results: tuple[Result, ...]

    @property
    def learns(self) -> bool:
        """Whether training changes it."""
        return any(result.learns for result in self.results)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return tuple(result.seed for result in self.results if result.seed is not None)

    @property
    def measure(self) -> Measure:
        """What the scores are."""
        return self.results[0].measure

    @property
    def scores(self) -> Floats:
        """Scores by seed and layout, the mean over each layout's slots; or by seed and episode."""
        values = self.slot_values("score")
        return np.asarray(values.reshape(*values.shape[:2], -1).mean(2))

    @property
    def runs(self) -> Floats:
        """Scores by seed."""
        return np.asarray(self.scores.mean(1))

    def slot_values(self, figure: str) -> Floats:
        """Return a figure of slots, shape (seeds, layouts, slots), or episodes (seeds, episodes).

        Figures are fields of :class:`~mec_bench.results.Slots` or
        :class:`~mec_bench.results.Episodes`, and "score".
        """
        return np.array([getattr(result.slots, figure) for result in self.results])

    def mean(self, figure: str) -> float:
        """Return the mean of a figure; NaN where there is none of this name."""
        known = hasattr(self.results[0].slots, figure)
        return float(self.slot_values(figure).mean()) if known else math.nan


@dataclass(frozen=True, eq=False)
class Arena:
    """What was measured on the same slots after the same budget; 0 slots where only rules are.

    `variant` is a number where other slots bear the same name, else 0; the evaluation's gap is
    the largest one of the results.
    """

    scenario: str
    timesteps: int
    evaluation: Evaluation
    groups: tuple[Group, ...]
    variant: int = 0

    @property
    def name(self) -> str:
        """The scenario, with a number where several differ under one name."""
        return f"{self.scenario} ({self.variant})" if self.variant else self.scenario

    @property
    def measure(self) -> Measure:
        """What the scores are: never two of them in one arena."""
        return self.groups[0].measure

    def group(self, label: str) -> Group:
        """Return the results of one label."""
        return next(group for group in self.groups if group.label == label)

    @property
    def results(self) -> tuple[Result, ...]:
        """All results."""
        return tuple(result for group in self.groups for result in group.results)


def arenas(results: Iterable[Result]) -> list[Arena]:
    """Sort results by scenario and budget: never two sets of slots in one arena, nor two budgets.

    Rules have no budget and stand in every arena of their slots. ``ValueError`` if two results of
    a label have the same seed.
    """
    by_slots: dict[Any, list[list[Result]]] = {}
    for result in sorted(results, key=_order):
        _join(by_slots.setdefault(asked(result), []), result)
    sets = [members for several in by_slots.values() for members in several]
    names = [members[0].scenario for members in sets]
    found = []
    for index, members in enumerate(sets):
        twice = names.count(names[index]) > 1
        variant = 1 + names[:index].count(names[index]) if twice else 0
        learners = [result for result in members if result.learns]
        for timesteps in sorted({result.timesteps for result in learners}) or [0]:
            chosen = [one for one in members if not one.learns or one.timesteps == timesteps]
            found.append(_arena(chosen, timesteps, variant))
    return found


def _arena(members: Sequence[Result], timesteps: int, variant: int) -> Arena:
    labels: dict[str, list[Result]] = {}
    for result in members:
        labels.setdefault(result.label, []).append(result)
    for label, results in labels.items():
        seeds = [result.seed for result in results]
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                f"results of {label!r} in {members[0].scenario} must differ by their seeds; got "
                f"seeds {seeds}. What differs otherwise needs a label of its own."
            )
    gap = max(result.evaluation.gap for result in members)
    return Arena(
        members[0].scenario,
        timesteps,
        dataclasses.replace(members[0].evaluation, gap=gap),
        tuple(Group(label, tuple(labels[label])) for label in sorted(labels)),
        variant,
    )


def _order(result: Result) -> Any:
    seed = -1 if result.seed is None else result.seed
    return (result.scenario, *map(str, asked(result)), result.label, result.timesteps, seed)


def _join(sets: list[list[Result]], result: Result) -> None:
    """Put a result to those of the same lower bounds: what was asked for may not be what came."""
    bound = np.asarray(result.slots.lower_bound)
    for members in sets:
        first = np.asarray(members[0].slots.lower_bound)
        if np.all(np.abs(bound - first) <= SAME_SLOTS * first):
            members.append(result)
            return
    sets.append([result])
