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
    """Whether our mean lies inside bounds; two-sided p of the nearest, NaN of one seed."""

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
    """Return whether a figure, by seed, lies between two bounds; infinite for none."""
    if not len(values) or np.isnan(values).any():
        return NOT_MEASURED[0]
    middle = mean(values)
    bound = min((low, high), key=lambda one: abs(middle - one))
    # Values that are paired by seed with a constant: Student's t over seeds.
    test = paired_difference([values], [[bound] * len(values)], learns=(False, False))
    return Comparison(low <= middle <= high, test.p)


def lower(a: Mapping[int, float], b: Mapping[int, float]) -> Comparison:
    """Return whether a is lower than b by the seeds that both have; equal seeds mean equal maps."""
    return between(differences(a, b), -math.inf, 0.0)


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """Return the paired differences of the seeds that both have."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


@dataclass(frozen=True)
class Verdict:
    """What is said of a claim, and its p-value, corrected for the page."""

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
    """Return a claim's p: its parts' largest; where one fails, their smallest times how many."""
    against = _against(claim)
    if against:  # np, for whose min and max NaN is NaN
        return min(1.0, float(len(claim) * np.min(against)))
    return float(np.max([one.p for one in claim] or [math.nan]))


def judged(claims: Mapping[str, Claim]) -> dict[str, Verdict]:
    """Return the verdicts on a page's claims, corrected together."""
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
    """How many times one figure another is: geometric mean over seeds, and its 95 % interval."""

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
    """Return how many times b a is, by the seeds that both have: Student's t over log ratios."""
    seeds = sorted(a.keys() & b.keys())
    logs = [math.log(a[seed] / b[seed]) for seed in seeds]
    middle, half = mean(logs), float(half_interval(logs)) if logs else math.nan
    return Times(math.exp(middle), math.exp(middle - half), math.exp(middle + half))
