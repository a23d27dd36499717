"""How often nominal 95 % intervals hold the truth, by simulation: with few seeds, too rarely.

``python -m reproduction.coverage`` prints the table of docs/statistics.md and ``COVERAGE`` of
mec_bench.tables, from which reports warn. It takes two minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mec_bench.statistics import LEVEL, Interval, iqm, paired_difference
from mec_bench.tables import table

Floats = NDArray[np.float64]

DISTRIBUTIONS = ("normal", "skewed")
"""Of runs; skewed is one minus an exponential variable, as scores under a ceiling are."""

ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def bootstrap_coverage(
    n_runs: int,
    n_scenarios: int = 1,
    *,
    distribution: str = "normal",
    n_trials: int = 2000,
    n_resamples: int = 500,
) -> float:
    """Return how often the bootstrap interval of the interquartile mean holds the true one."""
    rng = np.random.default_rng(0)
    truth = float(iqm([_runs(distribution, rng, (1, 400_000))])[0])
    held = 0
    for _ in range(n_trials):
        runs = _runs(distribution, rng, (n_scenarios, n_runs))
        drawn = [one[rng.integers(n_runs, size=(n_resamples, n_runs))] for one in runs]
        low, high = np.quantile(iqm(drawn), ENDS)
        held += bool(low <= truth <= high)
    return held / n_trials


def difference_coverage(
    n_seeds: int,
    n_layouts: int = 40,
    *,
    method: str = "student",
    distribution: str = "normal",
    n_trials: int = 2000,
) -> float:
    """Return how often the interval of a paired difference holds the true one, 0.

    Effects of seeds, of layouts (shared by both) and of each seed in each layout have size 1.
    The method is "student", which tables use, or "bootstrap", its check.
    """
    rng = np.random.default_rng(0)
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


def bootstrap_difference(
    a: Floats, b: Floats, *, n_resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return mean(a) - mean(b), each (seeds, layouts), with an interval of the crossed bootstrap.

    Seeds of a, seeds of b and layouts, the same for both, are drawn with replacement.
    """
    # The values fix the order in which seeds and layouts are drawn, not their rows.
    order = np.lexsort(np.concatenate([np.sort(b, axis=0), np.sort(a, axis=0)]))
    a, b = a[:, order], b[:, order]
    rng = np.random.default_rng(seed)
    layouts = rng.integers(a.shape[1], size=(n_resamples, a.shape[1]))
    weights = np.stack([np.bincount(one, minlength=a.shape[1]) for one in layouts]) / a.shape[1]
    drawn = _drawn(a, weights, rng) - _drawn(b, weights, rng)
    return Interval(float(a.mean() - b.mean()), *map(float, np.quantile(drawn, ENDS)))


def _drawn(values: Floats, weights: Floats, rng: np.random.Generator) -> Floats:
    """Return the mean over drawn seeds and the layouts that `weights` holds, per resample."""
    values = values[np.lexsort(values.T)]
    seeds = rng.integers(len(values), size=(len(weights), len(values)))
    return np.asarray(np.take_along_axis(weights @ values.T, seeds, axis=1).mean(1))


def _runs(distribution: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    skewed = distribution == "skewed"
    return 1 - rng.exponential(size=shape) if skewed else rng.standard_normal(shape)


def coverage_table(n_trials: int = 2000) -> str:
    """Return the real coverage of nominal 95 % intervals as the table of docs/statistics.md."""
    intervals: dict[str, Callable[..., float]] = {
        "bootstrap of the IQM, 1 scenario": bootstrap_coverage,
        "bootstrap of the IQM, 6 scenarios": partial(bootstrap_coverage, n_scenarios=6),
        "paired difference, Student's t": difference_coverage,
        "paired difference, crossed bootstrap": partial(difference_coverage, method="bootstrap"),
    }
    numbers = (3, 5, 10, 20)
    rows = [
        [name, of, *(f"{share(n, distribution=of, n_trials=n_trials):.2f}" for n in numbers)]
        for of in DISTRIBUTIONS
        for name, share in intervals.items()
    ]
    return table(["interval", "runs", *(f"{n} seeds" for n in numbers)], rows)


def coverage_of_few(n_trials: int = 2000) -> dict[int, dict[int, float]]:
    """Return ``COVERAGE`` of mec_bench.tables: by scenarios and seeds, of normal runs."""
    return {
        scenarios: {
            n: round(bootstrap_coverage(n, scenarios, n_trials=n_trials), 2)
            for n in (2, 3, 4, 5, 10)
        }
        for scenarios in (1, 2, 3, 6)
    }


def main() -> None:
    """Print both tables."""
    print(coverage_table())
    print("COVERAGE =", coverage_of_few())


if __name__ == "__main__":
    main()
