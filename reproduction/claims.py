"""What the paper says of its tables and figures, held against our results: verdicts with p-values.

A claim is one or more comparisons, all of which have to hold. Every comparison is a mean over seeds
against a bound, Student's t; the verdicts of a page are corrected together, by Holm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mec_bench.statistics import LEVEL, half_interval, holm, paired_difference
from reproduction.wording import MISSING, mean

HOLDS, FAILS, UNDECIDED = "Holds here", "Does not hold here", "Undecided here"
MISSED, UNJUDGED = "Not measured yet", "Not judged"


@dataclass(frozen=True)
class Comparison:
    """Whether a mean lies between bounds.

    Attributes
    ----------
    inside : bool
        Whether our mean does.
    p : float, [1]
        Two-sided, of the mean lying on the nearest bound; NaN of one seed.
    measured : bool
        Whether there is any seed.

    Examples
    --------
    >>> Comparison(inside=True, p=0.01).measured
    True
    """

    inside: bool
    p: float
    measured: bool = True


def between(values: Sequence[float], low: float, high: float) -> Comparison:
    """Return whether a figure lies between two bounds.

    Parameters
    ----------
    values : sequence of float
        By seed.
    low, high : float
        Bounds; infinite for none.

    Returns
    -------
    Comparison
        Its p is below 0.05 where the 95 % interval of the mean holds neither bound.

    Examples
    --------
    >>> between([1.0, 1.1, 1.2], 0.0, 3.0).inside, between([1.0, 1.1], 3.0, math.inf).inside
    (True, False)
    """
    if not len(values) or np.isnan(values).any():
        return Comparison(inside=False, p=math.nan, measured=False)
    middle = mean(values)
    bound = min((low, high), key=lambda one: abs(middle - one))
    # Values that are paired by seed with a constant: Student's t over seeds.
    test = paired_difference([values], [[bound] * len(values)], learns=(False, False))
    return Comparison(low <= middle <= high, test.p)


def lower(a: Mapping[int, float], b: Mapping[int, float]) -> Comparison:
    """Return whether one figure is lower than another, by the seeds that both have.

    Parameters
    ----------
    a, b : mapping of int to float
        By seed; equal seeds mean equal maps.

    Returns
    -------
    Comparison
        Of the mean paired difference with 0.

    Examples
    --------
    >>> lower({0: 1.0, 1: 1.1}, {0: 2.0, 1: 2.1}).inside, lower({}, {}).measured
    (True, False)
    """
    return between(differences(a, b), -math.inf, 0.0)


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """Return the paired differences of the seeds that both have.

    Parameters
    ----------
    a, b : mapping of int to float
        By seed.

    Returns
    -------
    list of float

    Examples
    --------
    >>> differences({0: 1.0, 1: 3.0}, {1: 1.0})
    [2.0]
    """
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


@dataclass(frozen=True)
class Claim:
    """Something that the paper says of a table or figure.

    Attributes
    ----------
    text : str
        What it says.
    comparisons : tuple of Comparison
        Of which all have to hold; none where it is not judged.
    evidence : str
        The numbers that the verdict rests on, or why there is none.

    Examples
    --------
    >>> parts = (Comparison(inside=True, p=0.01), Comparison(inside=True, p=0.03))
    >>> Claim("A is less than B and C", parts, "1 against 2 and 3").p
    0.03
    """

    text: str
    comparisons: tuple[Comparison, ...]
    evidence: str

    @property
    def against(self) -> list[float]:
        """P-values of the parts that point against it."""
        return [one.p for one in self.comparisons if one.measured and not one.inside]

    @property
    def p(self) -> float:
        """P-value of its verdict, before the page's correction.

        It holds only if all parts do: the largest p. It fails if any part does: the smallest,
        times their number.
        """
        if self.against:  # np, for whose min and max NaN is NaN
            return min(1.0, float(len(self.comparisons) * np.min(self.against)))
        return float(np.max([one.p for one in self.comparisons] or [math.nan]))

    def line(self, p: float) -> str:
        """Return the claim with its verdict, an item of a list.

        Parameters
        ----------
        p : float, [1]
            Its p-value, corrected for the page.

        Returns
        -------
        str

        Examples
        --------
        >>> claim = Claim("A is less than B", (Comparison(True, 0.001),), "1 against 2")
        >>> print(claim.line(0.004))
        - A is less than B. **Holds here** (p = 0.004): 1 against 2.
        >>> print(claim.line(0.4))
        - A is less than B. **Undecided here** (p = 0.400): 1 against 2.
        """
        verdict = self._verdict(p)
        shown = f"- {self.text}. **{verdict}**"
        if not (math.isnan(p) or verdict == MISSED):
            shown += " (p < 0.001)" if p < 0.001 else f" (p = {p:.3f})"
        # A part of the evidence may still be missing.
        evidence = re.sub(r"\bnan\b", MISSING, self.evidence)
        return f"{shown}." if verdict == MISSED else f"{shown}: {evidence}."

    def _verdict(self, p: float) -> str:
        if not self.comparisons:
            return UNJUDGED
        if self.against and p < 1 - LEVEL:
            return FAILS
        if not all(one.measured for one in self.comparisons):
            return MISSED
        return HOLDS if p < 1 - LEVEL else UNDECIDED


def judged(claims: Mapping[str, Sequence[Claim]]) -> dict[str, str]:
    """Return the claims of a page with their verdicts, corrected together.

    Parameters
    ----------
    claims : mapping of str to sequence of Claim
        By table or figure.

    Returns
    -------
    dict of str to str
        A Markdown list each.

    Examples
    --------
    >>> one = Claim("A", (Comparison(True, 0.03),), "1")
    >>> judged({"table2": [one]})["table2"]
    '- A. **Holds here** (p = 0.030): 1.'
    >>> judged({"table2": [one], "fig3": [one]})["table2"]
    '- A. **Undecided here** (p = 0.060): 1.'
    """
    corrected = iter(holm([one.p for group in claims.values() for one in group]))
    return {
        name: "\n".join([one.line(next(corrected)) for one in group])
        for name, group in claims.items()
    }


@dataclass(frozen=True)
class Times:
    """How many times one figure another is: the geometric mean over seeds, 95 % interval.

    Attributes
    ----------
    value, low, high : float, [1]
        Mean and ends; NaN where there are too few seeds.

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

    Parameters
    ----------
    a, b : mapping of int to float
        By seed, positive.

    Returns
    -------
    Times
        Student's t over the logarithms of the ratios.

    Examples
    --------
    >>> times({0: 4.0, 1: 16.0}, {0: 2.0, 1: 2.0}).value
    4.0
    """
    seeds = sorted(a.keys() & b.keys())
    logs = [math.log(a[seed] / b[seed]) for seed in seeds]
    middle, half = mean(logs), float(half_interval(logs)) if logs else math.nan
    return Times(math.exp(middle), math.exp(middle - half), math.exp(middle + half))
