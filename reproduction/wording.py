"""Numbers and paragraphs in words: one form for all of the page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from mec_bench.statistics import half_interval

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
