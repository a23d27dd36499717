"""How often intervals hold what they should, by simulation: with few seeds, too rarely."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mec_bench.statistics import LEVEL, Statistic, bootstrap_difference, iqm, paired_difference

DISTRIBUTIONS = ("normal", "skewed")


@lru_cache(maxsize=64)
def bootstrap_coverage(
    n_runs: int,
    n_scenarios: int = 1,
    *,
    distribution: str = "normal",
    n_trials: int = 1000,
    n_resamples: int = 500,
    seed: int = 0,
) -> float:
    """Return how often the interval of the interquartile mean holds the true one.

    Runs are drawn from a known distribution, again and again; each time the interval of
    :func:`mec_bench.statistics.stratified_bootstrap` is made and looked at. The share has
    a standard error of about sqrt(0.05/n_trials).

    Parameters
    ----------
    n_runs, n_scenarios : int
        Training seeds per scenario, and scenarios.
    distribution : {"normal", "skewed"}
        Of the runs; skewed is one minus an exponential variable, as scores under a ceiling are.
    n_trials, n_resamples : int
        Simulated experiments, and resamples in each.
    seed : int
        Of the drawing.

    Returns
    -------
    float, [1]
        Nominally 0.95.

    Raises
    ------
    ValueError
        For another distribution.

    Examples
    --------
    >>> bootstrap_coverage(3, n_trials=200, n_resamples=200) < 0.9
    True
    """
    rng = np.random.default_rng(seed)
    truth = float(iqm([_runs(distribution, rng, (1, 400_000))])[0])
    held = 0
    for _ in range(n_trials):
        runs = _runs(distribution, rng, (n_scenarios, n_runs))
        drawn = [one[rng.integers(n_runs, size=(n_resamples, n_runs))] for one in runs]
        held += _holds(iqm, drawn, truth)
    return held / n_trials


def _holds(statistic: Statistic, drawn: list[NDArray[np.float64]], truth: float) -> bool:
    low, high = np.quantile(statistic(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return bool(low <= truth <= high)


def _runs(
    distribution: str, rng: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    if distribution == "normal":
        return rng.standard_normal(shape)
    if distribution == "skewed":
        return 1 - rng.exponential(size=shape)
    raise ValueError(f"distribution must be one of {DISTRIBUTIONS}; got {distribution!r}.")


def difference_coverage(
    n_seeds: int,
    n_layouts: int = 40,
    *,
    method: str = "student",
    distribution: str = "normal",
    n_trials: int = 1000,
    seed: int = 0,
) -> float:
    """Return how often the interval of a paired difference holds the true one, 0.

    Two algorithms of equal quality: effects of seeds and of layouts of size 1 (layouts shared),
    and of each seed in each layout of size 1.

    Parameters
    ----------
    n_seeds, n_layouts : int
        Training seeds of each algorithm, and layouts.
    method : {"student", "bootstrap"}
        :func:`mec_bench.statistics.paired_difference`, or its check by the crossed
        bootstrap.
    distribution : {"normal", "skewed"}
        Of every effect.
    n_trials : int
        Simulated experiments.
    seed : int
        Of the drawing.

    Returns
    -------
    float, [1]
        Nominally 0.95.

    Raises
    ------
    ValueError
        For another method or distribution.

    Examples
    --------
    >>> difference_coverage(3, n_trials=200) > 0.9
    True
    """
    if method not in ("student", "bootstrap"):
        raise ValueError(f"method must be 'student' or 'bootstrap'; got {method!r}.")
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(n_trials):
        layouts = _runs(distribution, rng, (n_layouts,))
        a, b = (
            layouts
            + _runs(distribution, rng, (n_seeds, 1))
            + _runs(distribution, rng, (n_seeds, n_layouts))
            for _ in range(2)
        )
        if method == "student":
            interval = paired_difference(a, b).interval
        else:
            interval = bootstrap_difference(a, b, n_resamples=500)
        held += interval.low <= 0 <= interval.high
    return held / n_trials


def coverage_table(n_trials: int = 2000) -> str:
    """Return the real coverage of nominal 95 % intervals, as docs/statistics.md shows it.

    Parameters
    ----------
    n_trials : int
        Simulated experiments per entry; 2000 take a minute.

    Returns
    -------
    str
        A Markdown table.

    Examples
    --------
    >>> len(coverage_table(n_trials=2).splitlines())
    10
    """
    seeds = (3, 5, 10, 20)
    lines = ["| interval | runs | 3 seeds | 5 seeds | 10 seeds | 20 seeds |", "|---" * 6 + "|"]
    for distribution in DISTRIBUTIONS:
        for scenarios, place in ((1, "1 scenario"), (6, "6 scenarios")):
            shares = [
                bootstrap_coverage(n, scenarios, distribution=distribution, n_trials=n_trials)
                for n in seeds
            ]
            lines.append(_line(f"bootstrap of the IQM, {place}", distribution, shares))
        for method, name in (("student", "Student's t"), ("bootstrap", "crossed bootstrap")):
            shares = [
                difference_coverage(n, method=method, distribution=distribution, n_trials=n_trials)
                for n in seeds
            ]
            lines.append(_line(f"paired difference, {name}", distribution, shares))
    return "\n".join(lines)


def _line(interval: str, distribution: str, shares: list[float]) -> str:
    return f"| {interval} | {distribution} | {' | '.join(f'{one:.2f}' for one in shares)} |"
