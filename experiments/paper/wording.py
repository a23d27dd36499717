"""Numbers in words and Markdown tables: one form for all of the page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.statistics.intervals import half_interval

MISSING = "–"


def mean(values: Sequence[float]) -> float:
    """Return the mean.

    Parameters
    ----------
    values : sequence of float
        By seed.

    Returns
    -------
    float
        NaN of nothing.

    Examples
    --------
    >>> mean([1.0, 2.0])
    1.5
    """
    return float(np.mean(values)) if len(values) else float("nan")


def cell(values: Sequence[float], digits: int = 2, *, seeds: int = 0) -> str:
    """Return a cell: mean ± half of the 95 % interval.

    Parameters
    ----------
    values : sequence of float
        By seed.
    digits : int
        Behind the point.
    seeds : int
        How many there should be; a cell that rests on fewer says so.

    Returns
    -------
    str

    Examples
    --------
    >>> cell([1.0, 1.0]), cell([]), cell([2.0], seeds=5)
    ('1.00 ± 0.00', '–', '2.00 (1 seed)')
    """
    if not len(values):
        return MISSING
    shown = f"{mean(values):.{digits}f}"
    if len(values) > 1:
        shown += f" ± {half_interval(values):.{digits}f}"
    if len(values) < seeds:
        shown += f" ({len(values)} seed{'s' * (len(values) > 1)})"
    return shown


def ratio(values: Sequence[float], published: float) -> str:
    """Return ours over the paper's.

    Parameters
    ----------
    values : sequence of float
        By seed.
    published : float
        The paper's.

    Returns
    -------
    str

    Examples
    --------
    >>> ratio([99.0], 100.0)
    '0.990'
    """
    return f"{mean(values) / published:.3f}" if len(values) else MISSING


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Parameters
    ----------
    head : sequence of str
        Titles.
    rows : iterable of sequence of str
        Cells.

    Returns
    -------
    str

    Examples
    --------
    >>> print(table(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


HOLDS, FAILS, UNDECIDED, MISSED = "holds", "fails", "undecided", "not measured"

_VERDICTS = {
    HOLDS: "Holds here",
    FAILS: "Does not hold here",
    UNDECIDED: "Undecided here",
    MISSED: "Not measured yet",
}


@dataclass(frozen=True)
class Claim:
    """Something that the paper says of a table or figure, held against our results.

    Attributes
    ----------
    text : str
        What it says.
    verdict : {"holds", "fails", "undecided", "not measured"}
        Of our results.
    evidence : str
        The numbers that it rests on.

    Examples
    --------
    >>> print(Claim("A is less than B", HOLDS, "1 against 2"))
    - A is less than B. **Holds here**: 1 against 2.
    """

    text: str
    verdict: str
    evidence: str

    def __str__(self) -> str:
        # A part of the evidence may still be missing.
        evidence = re.sub(r"\bnan\b", MISSING, self.evidence)
        behind = "" if self.verdict == MISSED else f": {evidence}"
        return f"- {self.text}. **{_VERDICTS[self.verdict]}**{behind}."


def lower(a: Mapping[int, float], b: Mapping[int, float]) -> str:
    """Return whether one figure is lower than another, by the seeds that both have.

    Parameters
    ----------
    a, b : mapping of int to float
        By seed; equal seeds mean equal maps.

    Returns
    -------
    {"holds", "fails", "undecided", "not measured"}
        Undecided where the 95 % interval of the mean difference, Student's t over seeds, holds 0,
        or where one seed alone is there.

    Examples
    --------
    >>> lower({0: 1.0, 1: 1.1}, {0: 2.0, 1: 2.1}), lower({0: 1.0}, {0: 2.0}), lower({}, {})
    ('holds', 'undecided', 'not measured')
    """
    differences = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    if not differences:
        return MISSED
    middle, half = mean(differences), half_interval(differences)
    if not abs(middle) > half:  # NaN of a single seed, too
        return UNDECIDED
    return HOLDS if middle < 0 else FAILS


def between(values: Sequence[float], low: float, high: float) -> str:
    """Return whether a figure lies between two bounds.

    Parameters
    ----------
    values : sequence of float
        By seed.
    low, high : float
        Bounds.

    Returns
    -------
    {"holds", "fails", "undecided", "not measured"}
        By the 95 % interval of the mean, Student's t over seeds: all of it inside, all of it
        outside, or neither. Undecided, too, where one seed alone is there.

    Examples
    --------
    >>> between([1.0, 1.1], 0.0, 3.0), between([1.0, 1.1], 3.0, 4.0), between([1.0], 0.0, 3.0)
    ('holds', 'fails', 'undecided')
    """
    if not len(values) or np.isnan(values).any():
        return MISSED
    middle, half = mean(values), half_interval(values)
    if low <= middle - half and middle + half <= high:
        return HOLDS
    return FAILS if middle + half < low or middle - half > high else UNDECIDED


def combined(verdicts: Sequence[str]) -> str:
    """Return the verdict on claims of which all have to hold.

    Parameters
    ----------
    verdicts : sequence of str
        Of :func:`lower` or :func:`between`.

    Returns
    -------
    str

    Examples
    --------
    >>> combined(["holds", "undecided"]), combined(["holds", "undecided", "fails"])
    ('undecided', 'fails')
    """
    for verdict in (FAILS, MISSED, UNDECIDED):
        if verdict in verdicts:
            return verdict
    return HOLDS if verdicts else MISSED


def paragraphs(*parts: str) -> str:
    r"""Return parts of a section with empty lines between them, without those that are empty.

    Parameters
    ----------
    *parts : str
        Markdown.

    Returns
    -------
    str

    Examples
    --------
    >>> paragraphs("a", "", "b")
    'a\n\nb\n'
    """
    return "\n\n".join(_filled(part.strip("\n")) for part in parts if part.strip()) + "\n"


def _filled(part: str) -> str:
    """Return prose in lines of 100 characters; tables, lists, titles and pictures as they are."""
    blocks = part.split("\n\n")
    return "\n\n".join(
        block
        if block.startswith(("|", "- ", "#", "!", ">"))
        else textwrap.fill(block, 100, break_long_words=False, break_on_hyphens=False)
        for block in blocks
    )


def claims(*given: Claim) -> str:
    """Return a list of claims.

    Parameters
    ----------
    *given : Claim
        In order.

    Returns
    -------
    str
    """
    return "\n".join(map(str, given))
