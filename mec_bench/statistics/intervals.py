"""Figures with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

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
