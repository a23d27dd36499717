"""Statistics over training runs: pure functions of scores, each with its formula and source.

Scores are given per scenario: ``scores[k]`` holds one number per training run in scenario k, and
scenarios may have different numbers of runs. A statistic weighs all scenarios the same.
Everything random comes from a seed; neither the order of the runs nor that of the scenarios
changes a result.

Sources:

* [1] R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. G. Bellemare, "Deep
  Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS, 2021.
* [2] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.
* [3] E. D. Dolan and J. J. Moré, "Benchmarking optimization software with performance
  profiles", Mathematical Programming 91, 2002.
* [4] H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
  stochastically larger than the other", Annals of Mathematical Statistics 18, 1947.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mec_bench.statistics.intervals import LEVEL, Band, Floats, Interval

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
    is too narrow: see ``bootstrap_coverage`` of reproduction.coverage.

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
