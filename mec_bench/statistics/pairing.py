"""Means and paired differences over seeds and slots, with intervals for both.

Figures come as arrays of shape (seeds, layouts): the mean over the slots of a layout, whose slots
are not independent of each other. A rule has one row. Two sources of chance meet in a mean: which
seeds trained, and which layouts were drawn. They are crossed, since every seed is measured on
every layout, and all policies share the layouts, which therefore cancel in a difference.

Sources:

* [1] B. L. Welch, "The generalization of Student's problem when several different population
  variances are involved", Biometrika 34, 1947.
* [2] F. E. Satterthwaite, "An approximate distribution of estimates of variance components",
  Biometrics Bulletin 2, 1946.
* [3] A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007.
* [4] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
  Statistics 6, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mec_bench.statistics.intervals import LEVEL, Floats, Interval


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
