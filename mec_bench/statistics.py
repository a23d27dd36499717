"""Figures with their intervals."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mec_bench.results import Evaluation, Result

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Nominal coverage of every interval."""


def half_interval(values: ArrayLike) -> Any:
    """Return half of the 95 % interval of a mean, by Student's t.

    Parameters
    ----------
    values : array_like, shape (n, ...)
        By seed.

    Returns
    -------
    float or ndarray, shape (...)
        NaN of fewer than two.

    Examples
    --------
    >>> print(round(half_interval([1.0, 2.0, 3.0]), 2))
    2.48
    """
    array = np.asarray(values, np.float64)
    n = len(array)
    if n < 2:
        return np.full(array.shape[1:], np.nan)[()]
    error = array.std(axis=0, ddof=1) / math.sqrt(n)
    return special.stdtrit(n - 1, (1 + LEVEL) / 2) * error


@dataclass(frozen=True)
class Interval:
    """A figure with its interval.

    Attributes
    ----------
    value : float
        The figure.
    low, high : float
        Ends of the interval; NaN where the runs do not determine one.

    Examples
    --------
    >>> Interval(0.9, 0.8, 1.0).half
    0.1
    """

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


@dataclass(frozen=True, eq=False)
class Band:
    """A curve with its pointwise interval.

    Attributes
    ----------
    value, low, high : ndarray, shape (T,)
        The curve and its ends; NaN where the runs do not determine them.

    Examples
    --------
    >>> Band(np.ones(3), np.zeros(3), np.ones(3)).value.shape
    (3,)
    """

    value: Floats
    low: Floats
    high: Floats


Scores = Sequence[ArrayLike]
"""Per scenario, the score of every run."""

Statistic = Callable[[Sequence[Floats]], Floats]
"""From resampled runs per scenario, each of shape (B, runs), to shape (B,) or (B, T)."""


def interquartile_mean(scores: Scores) -> float:
    """Return the mean of the middle half of all runs [1].

    Every run has the weight 1/(K n_k), with n_k runs in scenario k of K. Runs are sorted, a
    quarter of the weight is cut off at either end, and the rest is averaged; a run that the cut
    goes through keeps the part of its weight that lies inside. Where all n_k are equal and their
    sum is a multiple of 4, this is ``scipy.stats.trim_mean(all runs, 0.25)``.

    Parameters
    ----------
    scores : sequence of array_like
        Per scenario, the score of every run.

    Returns
    -------
    float

    Examples
    --------
    >>> interquartile_mean([[0, 2, 4, 100]])
    3.0
    """
    return float(iqm(_batch(scores))[0])


def iqm(parts: Sequence[Floats]) -> Floats:
    """Return interquartile means of a batch of resampled runs.

    Parameters
    ----------
    parts : sequence of ndarray, shape (B, runs)
        Per scenario.

    Returns
    -------
    ndarray, shape (B,)

    Examples
    --------
    >>> iqm([np.array([[0.0, 2.0, 4.0, 100.0]])])
    array([3.])
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
    """Return means of a batch of resampled runs, over the scenarios' means.

    Parameters
    ----------
    parts : sequence of ndarray, shape (B, runs)
        Per scenario.

    Returns
    -------
    ndarray, shape (B,)

    Examples
    --------
    >>> mean([np.array([[0.0, 2.0]]), np.array([[3.0]])])
    array([2.])
    """
    return np.asarray(np.mean([part.mean(-1) for part in parts], axis=0))


def optimality_gap(scores: Scores, target: float = 1.0) -> float:
    """Return by how much runs fall short of a target on average [1].

    (1/K) sum_k (1/n_k) sum_i max(target - x_ki, 0): what exceeds the target does not make up for
    what falls short. 0 is best.

    Parameters
    ----------
    scores : sequence of array_like
        Per scenario, the score of every run.
    target : float
        What a run should reach; for NRR 1, the optimum.

    Returns
    -------
    float

    Examples
    --------
    >>> optimality_gap([[0.5, 1.5]])
    0.25
    """
    return float(mean([np.maximum(target - part, 0.0) for part in _batch(scores)])[0])


def probability_of_improvement(x: Scores, y: Scores) -> float:
    """Return how likely a run of `x` beats a run of `y` in the same scenario [1].

    (1/K) sum_k U_k / (n_k m_k), with Mann and Whitney's U_k [4]: the number of pairs in which
    x is larger, ties counting half. 0.5 says that neither is better.

    Parameters
    ----------
    x, y : sequence of array_like
        Per scenario, the same scenarios in the same order.

    Returns
    -------
    float, [1]

    Raises
    ------
    ValueError
        If they differ in the number of scenarios.

    Examples
    --------
    >>> probability_of_improvement([[1, 3]], [[2, 0]])
    0.75
    """
    if len(x) != len(y):
        raise ValueError(f"x and y must have as many scenarios; got {len(x)} and {len(y)}.")
    return float(improvement([*_batch(x), *_batch(y)])[0])


def improvement(parts: Sequence[Floats]) -> Floats:
    """Return probabilities of improvement of a batch of resampled runs.

    Parameters
    ----------
    parts : sequence of ndarray, shape (B, runs)
        Those of x per scenario, then those of y: as one list, so that both are resampled.

    Returns
    -------
    ndarray, shape (B,)

    Examples
    --------
    >>> improvement([np.array([[1.0, 3.0]]), np.array([[2.0, 0.0]])])
    array([0.75])
    """
    half = len(parts) // 2
    wins = []
    for x, y in zip(parts[:half], parts[half:], strict=True):
        difference = x[..., :, None] - y[..., None, :]
        wins.append((0.5 + 0.5 * np.sign(difference)).mean((-2, -1)))
    return np.asarray(np.mean(wins, axis=0))


def performance_profile(scores: Scores, thresholds: ArrayLike) -> Floats:
    """Return which share of the runs exceeds each threshold [1], [3].

    (1/K) sum_k (1/n_k) sum_i 1[x_ki > t] for each threshold t.

    Parameters
    ----------
    scores : sequence of array_like
        Per scenario, the score of every run.
    thresholds : array_like, shape (T,)
        In any order.

    Returns
    -------
    ndarray, shape (T,), [1]

    Examples
    --------
    >>> performance_profile([[0.2, 0.8]], [0, 0.5, 0.8])
    array([1. , 0.5, 0. ])
    """
    return np.asarray(profile(thresholds)(_batch(scores))[0])


def profile(thresholds: ArrayLike) -> Statistic:
    """Return the performance profile as a statistic of resampled runs.

    Parameters
    ----------
    thresholds : array_like, shape (T,)
        In any order.

    Returns
    -------
    callable
        From parts of shape (B, runs) to shape (B, T).

    Examples
    --------
    >>> profile([0.5])([np.array([[0.2, 0.8]])])
    array([[0.5]])
    """
    limits = np.asarray(thresholds, dtype=np.float64)

    def statistic(parts: Sequence[Floats]) -> Floats:
        shares = [(part[..., None] > limits).mean(-2) for part in parts]
        return np.asarray(np.mean(shares, axis=0))

    return statistic


# -- the bootstrap --------------------------------------------------------------------------------


def stratified_bootstrap(
    scores: Scores,
    statistic: Statistic = iqm,
    *,
    n_resamples: int = 2000,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return a statistic of the runs with its percentile interval [1], [2].

    Runs are drawn with replacement within each scenario, as many as it has; the interval lies
    between the (1 - level)/2 and the (1 + level)/2 quantiles of the statistic. With few runs it
    is too narrow: see ``bootstrap_coverage`` of mec_bench.coverage.

    Parameters
    ----------
    scores : sequence of array_like
        Per scenario, the score of every run.
    statistic : callable
        :func:`iqm`, :func:`mean`, :func:`improvement`, or another function of parts of shape
        (B, runs) that returns shape (B,).
    n_resamples : int
        How often to draw.
    level : float
        Nominal coverage.
    seed : int
        Of the drawing.

    Returns
    -------
    Interval
        Without ends where a scenario has one run only: nothing then tells how runs scatter.

    Raises
    ------
    ValueError
        For no scenario, a scenario without runs, or scores that are not finite.

    Examples
    --------
    >>> interval = stratified_bootstrap([[0.1, 0.2, 0.3], [0.5, 0.6]], mean)
    >>> interval.low < interval.value < interval.high
    True
    """
    band = stratified_band(
        scores,
        lambda parts: statistic(parts)[:, None],
        n_resamples=n_resamples,
        level=level,
        seed=seed,
    )
    return Interval(float(band.value[0]), float(band.low[0]), float(band.high[0]))


def stratified_band(
    scores: Scores,
    statistic: Statistic,
    *,
    n_resamples: int = 2000,
    level: float = LEVEL,
    seed: int = 0,
) -> Band:
    """Return a curve of the runs with its pointwise percentile interval.

    Parameters
    ----------
    scores, n_resamples, level, seed
        As :func:`stratified_bootstrap`.
    statistic : callable
        From parts of shape (B, runs) to shape (B, T), e.g. :func:`profile`.

    Returns
    -------
    Band

    Raises
    ------
    ValueError
        As :func:`stratified_bootstrap`.

    Examples
    --------
    >>> stratified_band([[0.1, 0.2, 0.3]], profile([0.15])).value
    array([0.66666667])
    """
    parts = _batch(scores)
    value = statistic(parts)[0]
    if min(part.shape[-1] for part in parts) < 2:
        return Band(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    drawn = statistic(_resampled(parts, n_resamples, np.random.default_rng(seed)))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(value, low, high)


def _resampled(parts: Sequence[Floats], n_resamples: int, rng: np.random.Generator) -> list[Floats]:
    """Draw runs with replacement within each scenario, in an order that the values fix."""
    drawn: list[Floats] = [np.empty(0)] * len(parts)
    for k in sorted(range(len(parts)), key=lambda k: parts[k][0].tolist()):
        runs = parts[k][0]
        drawn[k] = runs[rng.integers(len(runs), size=(n_resamples, len(runs)))]
    return drawn


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


SAME_SLOTS = 1e-6
"""Relative difference up to which lower bounds are those of the same slots: solvers on different
machines agree to about 1e-9, other slots differ by per cents."""


@dataclass(frozen=True, eq=False)
class Group:
    """All results of one label in one table: they differ by seed only.

    Attributes
    ----------
    label : str
        The name shown.
    results : tuple of Result
        By seed.

    Examples
    --------
    >>> from mec_bench.results import EXAMPLE
    >>> group = Group("all local", (EXAMPLE,))
    >>> group.nrr
    array([[0.75]])
    """

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
    def nrr(self) -> Floats:
        """NRR by seed and layout, the mean over each layout's slots."""
        return np.array([np.mean(result.slots.nrr, axis=1) for result in self.results])

    @property
    def runs(self) -> Floats:
        """NRR by seed."""
        return np.asarray(self.nrr.mean(1))

    def slot_values(self, figure: str) -> Floats:
        """Return a figure of every slot.

        Parameters
        ----------
        figure : str
            A field of :class:`mec_bench.results.Slots`.

        Returns
        -------
        ndarray, shape (seeds, layouts, slots)

        Examples
        --------
        >>> from mec_bench.results import EXAMPLE
        >>> Group("all local", (EXAMPLE,)).slot_values("objective").shape
        (1, 1, 2)
        """
        return np.array([getattr(result.slots, figure) for result in self.results])


@dataclass(frozen=True, eq=False)
class Arena:
    """What was measured on the same slots after the same budget.

    Attributes
    ----------
    scenario : str
        The name shown.
    timesteps : int
        Of training; 0 where only rules are there.
    evaluation : Evaluation
        The slots; its gap is the largest one of the results.
    groups : tuple of Group
        By label.
    variant : int
        0, or a number where other slots bear the same name.

    Examples
    --------
    >>> from mec_bench.results import EXAMPLE
    >>> arenas([EXAMPLE])[0].name
    'two devices'
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
    def results(self) -> tuple[Result, ...]:
        """All results."""
        return tuple(result for group in self.groups for result in group.results)


def arenas(results: Iterable[Result]) -> list[Arena]:
    """Sort results into tables: never two sets of slots in one, nor two budgets.

    Parameters
    ----------
    results : iterable of Result
        In any order.

    Returns
    -------
    list of Arena
        By scenario and timesteps. Rules have no budget and stand in every table of their slots.

    Raises
    ------
    ValueError
        If two results of a label have the same seed.

    Examples
    --------
    >>> arenas([])
    []
    """
    by_slots: dict[Any, list[list[Result]]] = {}
    for result in sorted(results, key=_order):
        _join(by_slots.setdefault(_asked(result), []), result)
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
    return (result.scenario, *map(str, _asked(result)), result.label, result.timesteps, seed)


def _asked(result: Result) -> tuple[str, str, Evaluation]:
    """Return what the slots were asked for with; the gap is an answer."""
    scenario = json.dumps(result.scenario_json, sort_keys=True)
    return result.scenario, scenario, dataclasses.replace(result.evaluation, gap=0.0)


def _join(sets: list[list[Result]], result: Result) -> None:
    """Put a result to those of the same lower bounds: what was asked for may not be what came."""
    bound = np.asarray(result.slots.lower_bound)
    for members in sets:
        first = np.asarray(members[0].slots.lower_bound)
        if np.all(np.abs(bound - first) <= SAME_SLOTS * first):
            members.append(result)
            return
    sets.append([result])


@dataclass(frozen=True)
class Difference:
    """How much better one policy is than another on the same slots.

    Attributes
    ----------
    interval : Interval
        Mean of the first minus mean of the second.
    p : float, [1]
        Two-sided p-value of no difference; NaN where nothing determines it.

    Examples
    --------
    >>> Difference(Interval(0.1, 0.05, 0.15), 0.01).p
    0.01
    """

    interval: Interval
    p: float


def crossed_mean(values: ArrayLike, *, learns: bool = True, level: float = LEVEL) -> Interval:
    """Return the mean over seeds and layouts, with an interval for the chance in both.

    The squared standard error is s_S^2/S + s_L^2/L: the variance of the S seeds' means and that
    of the L layouts' means. Each also holds its share of the interaction of seed and layout,
    which is so counted twice: the interval errs on the wide side. Student's t, with the degrees
    of freedom of Welch and Satterthwaite [1], [2].

    Parameters
    ----------
    values : array_like, shape (seeds, layouts)
        Means over the slots of each layout.
    learns : bool
        Whether seeds matter. Those of a rule are averaged: its interval is over layouts only.
    level : float
        Nominal coverage.

    Returns
    -------
    Interval
        Without ends for a learner of one seed, and for one layout.

    Examples
    --------
    >>> crossed_mean([[0.5, 0.6], [0.6, 0.7]]).value
    0.6
    """
    array = _table("values", values)
    components = [_component(array.mean(0))]
    if learns:
        components.append(_component(array.mean(1)))
    interval, _ = _student(float(array.mean()), components, level)
    return interval


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    learns: tuple[bool, bool] = (True, True),
    level: float = LEVEL,
) -> Difference:
    """Return mean(a) - mean(b) on the same layouts, with an interval for seeds and layouts.

    Seeds of a and of b have nothing in common; layouts are the same for both. The squared
    standard error is s_a^2/n_a + s_b^2/n_b + s_d^2/L: the variances of each one's seeds' means,
    and the variance over layouts of the difference of the layouts' means. What makes a layout
    hard for both cancels there. Student's t with Satterthwaite's degrees of freedom [1], [2].

    Parameters
    ----------
    a, b : array_like, shape (seeds, layouts)
        Means over the slots of each layout; the same layouts in the same order.
    learns : tuple of bool
        Whether the seeds of a, and those of b, are training seeds.
    level : float
        Nominal coverage.

    Returns
    -------
    Difference
        Its interval has no ends, and its p-value is NaN, for a learner of one seed.

    Raises
    ------
    ValueError
        If a and b differ in the number of layouts.

    Examples
    --------
    >>> paired_difference([[0.5, 0.9], [0.6, 1.0]], [[0.4, 0.8], [0.5, 0.9]]).interval.value
    0.1
    """
    a, b = _pair(a, b)
    components = [_component(a.mean(0) - b.mean(0))]
    components += [
        _component(one.mean(1)) for one, counts in zip((a, b), learns, strict=True) if counts
    ]
    interval, p = _student(float(a.mean() - b.mean()), components, level)
    return Difference(interval, p)


def bootstrap_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    n_resamples: int = 2000,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return mean(a) - mean(b) with a percentile interval of the crossed bootstrap [3].

    Seeds of a, seeds of b and layouts are drawn with replacement, independently of each other;
    the layouts drawn are the same for a and b. It assumes no distribution, but is too narrow with
    few seeds: tables use :func:`paired_difference`, and this one checks it.

    Parameters
    ----------
    a, b : array_like, shape (seeds, layouts)
        As :func:`paired_difference`; one row each is no obstacle: it then never varies.
    n_resamples : int
        How often to draw.
    level : float
        Nominal coverage.
    seed : int
        Of the drawing.

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If a and b differ in the number of layouts.

    Examples
    --------
    >>> bootstrap_difference([[0.5, 0.9]], [[0.4, 0.8]])
    Interval(value=0.1, low=0.1, high=0.1)
    """
    a, b = _pair(a, b)
    # The values fix the order in which seeds and layouts are drawn, not their rows.
    order = np.lexsort(np.concatenate([np.sort(b, axis=0), np.sort(a, axis=0)]))
    a, b = a[:, order], b[:, order]
    rng = np.random.default_rng(seed)
    layouts = rng.integers(a.shape[1], size=(n_resamples, a.shape[1]))
    weights = np.stack([np.bincount(one, minlength=a.shape[1]) for one in layouts]) / a.shape[1]
    drawn = _drawn(a, weights, rng) - _drawn(b, weights, rng)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(a.mean() - b.mean()), float(low), float(high))


def _drawn(values: Floats, weights: Floats, rng: np.random.Generator) -> Floats:
    """Return the mean over drawn seeds and the layouts that `weights` holds, per resample."""
    values = values[np.lexsort(values.T)]
    seeds = rng.integers(len(values), size=(len(weights), len(values)))
    return np.asarray(np.take_along_axis(weights @ values.T, seeds, axis=1).mean(1))


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values for several comparisons at once [4].

    Sorted, the i-th smallest of m is multiplied by m - i + 1; none falls below one before it, none
    exceeds 1. NaN stays NaN and does not count.

    Parameters
    ----------
    p : sequence of float
        One per comparison.

    Returns
    -------
    list of float

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
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


def _student(
    value: float, components: Sequence[tuple[float, int]], level: float
) -> tuple[Interval, float]:
    """Return Student's interval around a value whose variance is a sum, and its p-value."""
    variance = sum(part for part, _ in components)
    if not math.isfinite(variance):
        return Interval(value, math.nan, math.nan), math.nan
    # Differences of equal policies vary by rounding only.
    if variance <= (1e-15 * max(1.0, abs(value))) ** 2:
        return Interval(value, value, value), 1.0 if abs(value) <= 1e-15 else 0.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in components)
    error = math.sqrt(variance)
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    return Interval(value, value - half, value + half), float(
        2 * special.stdtr(freedom, -abs(value) / error)
    )


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = _table("a", a), _table("b", b)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"a and b must have the same layouts; got {first.shape[1]} and {second.shape[1]}."
        )
    return first, second


def _table(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite and of shape (seeds, layouts), not empty; "
            f"got shape {array.shape}."
        )
    return array
