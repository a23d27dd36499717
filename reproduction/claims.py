"""What the paper says of its tables and figures, held against our results: verdicts with p-values.

A claim is one or more comparisons, all of which have to hold; none where it is not judged. Every
comparison is a mean over seeds against a bound, Student's t; the verdicts of a page are corrected
together, by Holm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mec_bench.statistics import LEVEL, half_interval, holm, paired_difference
from reproduction.pages import mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOLDS, FAILS, UNDECIDED = "Holds here", "Does not hold here", "Undecided here"
MISSED, UNJUDGED = "Not measured yet", "Not judged"


@dataclass(frozen=True)
class Comparison:
    """Whether our mean lies inside bounds; two-sided p of it lying on the nearest, NaN of one seed.

    `measured` says whether there is any seed.
    """

    inside: bool
    p: float
    measured: bool = True


Claim = Sequence[Comparison]


@dataclass(frozen=True)
class Exhibit:
    """A table or figure: numbers for the template, empty where nothing is measured; its claims."""

    numbers: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Claim] = field(default_factory=dict)
    figure: Callable[[], Figure] | None = None


NOT_MEASURED = (Comparison(inside=False, p=math.nan, measured=False),)
"""A claim on what is not there yet."""


def between(values: Sequence[float], low: float, high: float) -> Comparison:
    """Return whether a figure, by seed, lies between two bounds; infinite for none.

    Its p is below 0.05 where the 95 % interval of the mean holds neither bound.

    Examples
    --------
    >>> between([1.0, 1.1, 1.2], 0.0, 3.0).inside, between([1.0, 1.1], 3.0, math.inf).inside
    (True, False)
    """
    if not len(values) or np.isnan(values).any():
        return NOT_MEASURED[0]
    middle = mean(values)
    bound = min((low, high), key=lambda one: abs(middle - one))
    # Values that are paired by seed with a constant: Student's t over seeds.
    test = paired_difference([values], [[bound] * len(values)], learns=(False, False))
    return Comparison(low <= middle <= high, test.p)


def lower(a: Mapping[int, float], b: Mapping[int, float]) -> Comparison:
    """Return whether a is lower than b by the seeds that both have; equal seeds mean equal maps.

    Examples
    --------
    >>> lower({0: 1.0, 1: 1.1}, {0: 2.0, 1: 2.1}).inside, lower({}, {}).measured
    (True, False)
    """
    return between(differences(a, b), -math.inf, 0.0)


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """Return the paired differences of the seeds that both have.

    Examples
    --------
    >>> differences({0: 1.0, 1: 3.0}, {1: 1.0})
    [2.0]
    """
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


@dataclass(frozen=True)
class Verdict:
    """What is said of a claim, and its p-value, corrected for the page.

    Examples
    --------
    >>> print(Verdict(HOLDS, 0.004))
    **Holds here** (p = 0.004)
    """

    words: str
    p: float

    @property
    def has_evidence(self) -> bool:
        """Whether there are numbers to show, or a reason why it is not judged."""
        return self.words != MISSED

    def __str__(self) -> str:
        if math.isnan(self.p) or not self.has_evidence:
            return f"**{self.words}**"
        return f"**{self.words}** (p {'< 0.001' if self.p < 0.001 else f'= {self.p:.3f}'})"


def p_value(claim: Claim) -> float:
    """Return the p-value of a claim's verdict, before the page's correction.

    It holds only if all parts do: the largest p. It fails if any part does: the smallest, times
    their number.

    Examples
    --------
    >>> p_value([Comparison(inside=True, p=0.01), Comparison(inside=True, p=0.03)])
    0.03
    """
    against = _against(claim)
    if against:  # np, for whose min and max NaN is NaN
        return min(1.0, float(len(claim) * np.min(against)))
    return float(np.max([one.p for one in claim] or [math.nan]))


def judged(claims: Mapping[str, Claim]) -> dict[str, Verdict]:
    """Return the verdicts on a page's claims, corrected together.

    Examples
    --------
    >>> one = [Comparison(True, 0.03)]
    >>> print(judged({"a": one})["a"], judged({"a": one, "b": one})["a"])
    **Holds here** (p = 0.030) **Undecided here** (p = 0.060)
    """
    corrected = holm([p_value(claim) for claim in claims.values()])
    return {
        name: Verdict(_words(claim, p), p)
        for (name, claim), p in zip(claims.items(), corrected, strict=True)
    }


def _words(claim: Claim, p: float) -> str:
    if not claim:
        return UNJUDGED
    if _against(claim) and p < 1 - LEVEL:
        return FAILS
    if not all(one.measured for one in claim):
        return MISSED
    return HOLDS if p < 1 - LEVEL else UNDECIDED


def _against(claim: Claim) -> list[float]:
    """Return p-values of the parts that point against a claim."""
    return [one.p for one in claim if one.measured and not one.inside]


@dataclass(frozen=True)
class Times:
    """How many times one figure another is: the geometric mean over seeds, and its 95 % interval.

    Examples
    --------
    >>> str(Times(28.0, 25.2, 31.1)), str(Times(1649.2, 901.0, 3019.0))
    ('28 times (25 to 31)', '1649 times (901 to 3019)')
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 0 if self.value >= 10 else 2
        shown = f"{self.value:.{digits}f} times"
        if math.isnan(self.low):
            return shown
        return f"{shown} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def times(a: Mapping[int, float], b: Mapping[int, float]) -> Times:
    """Return how many times b a is, by the seeds that both have; the spread of both counts.

    Student's t over the logarithms of the ratios; NaN where there are too few seeds.

    Examples
    --------
    >>> times({0: 4.0, 1: 16.0}, {0: 2.0, 1: 2.0}).value
    4.0
    """
    seeds = sorted(a.keys() & b.keys())
    logs = [math.log(a[seed] / b[seed]) for seed in seeds]
    middle, half = mean(logs), float(half_interval(logs)) if logs else math.nan
    return Times(math.exp(middle), math.exp(middle - half), math.exp(middle + half))
