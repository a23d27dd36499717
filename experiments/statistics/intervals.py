"""Figures with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
"""Nominal coverage of every interval."""


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
