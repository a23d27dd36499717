"""Learning curves of several seeds on one grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mec_bench.results.record import CurvePoint
from mec_bench.statistics.intervals import Band, Floats, half_interval


def band(
    curves: Sequence[Sequence[CurvePoint]], quantity: str, n_points: int = 101
) -> tuple[Floats, Band]:
    """Return the mean curve over seeds with its pointwise interval.

    Curves are interpolated linearly onto one grid from the latest first point to the earliest
    last one, so that every point is a mean over all seeds: a mean over those that are left would
    jump when one ends. The interval is Student's t over seeds.

    Parameters
    ----------
    curves : sequence of sequence of CurvePoint
        One per seed, none empty.
    quantity : {"timesteps", "seconds"}
        What it is drawn against.
    n_points : int
        Of the grid, where the curves' own points are not the same.

    Returns
    -------
    grid : ndarray, shape (T,)
    band : Band
        Without ends for one seed.

    Examples
    --------
    >>> one = [CurvePoint(0, 0, 0.5), CurvePoint(10, 1, 0.7)]
    >>> two = [CurvePoint(0, 0, 0.7), CurvePoint(10, 3, 0.9)]
    >>> grid, mean = band([one, two], "timesteps")
    >>> grid, mean.value
    (array([ 0., 10.]), array([0.6, 0.8]))
    """
    x = [np.array([getattr(point, quantity) for point in curve], float) for curve in curves]
    y = [np.array([point.nrr for point in curve]) for curve in curves]
    grid = _grid(x, n_points)
    values = np.stack([np.interp(grid, *one) for one in zip(x, y, strict=True)])
    mean = values.mean(0)
    half = half_interval(values)
    return grid, Band(mean, mean - half, mean + half)


def _grid(x: Sequence[Floats], n_points: int) -> Floats:
    if all(len(one) == len(x[0]) and bool((one == x[0]).all()) for one in x):
        return x[0]
    first, last = max(one[0] for one in x), min(one[-1] for one in x)
    # Curves that do not overlap have no common part; the middle is then all there is to show.
    return np.linspace(first, last, n_points) if first < last else np.array([(first + last) / 2])
