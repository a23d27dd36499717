"""Cells and tables of text: how numbers are shown, and tables as Markdown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mec_bench.results.measured import ROUNDING
from mec_bench.statistics.intervals import Interval

NONE = "–"
MINUS = "\N{MINUS SIGN}"
ONE_SEED, CUT, NOTED = "*", "†", "‡"
"""Marks: an interval of one training seed, one that is cut at 1, a label with a note."""


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and what it is sorted by.

    Attributes
    ----------
    text : str
        As shown.
    value : float or None
        A number to sort by; None sorts by the text, or last where nothing stands.
    mark : str
        Stands after the text, and refers to a note below the table.

    Examples
    --------
    >>> Cell("0.50", 0.5).text
    '0.50'
    """

    text: str
    value: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes
    ----------
    headers : tuple of str
        One per column.
    hints : tuple of str
        What each column holds, in a few words.
    rows : tuple of tuple of Cell
        The first cell of a row is the label.
    fixed : tuple of tuple of Cell
        Rows that stay at the end: the optimum.
    notes : tuple of str
        Sentences below.

    Examples
    --------
    >>> markdown(Sheet(("a", "b"), ("", ""), ((Cell("x"), Cell("1", 1.0)),))).splitlines()[2]
    '| x | 1 |'
    """

    headers: tuple[str, ...]
    hints: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    fixed: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()


def without_empty(sheet: Sheet) -> Sheet:
    """Return a sheet without the columns that hold nothing.

    Parameters
    ----------
    sheet : Sheet
        Of any size.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> without_empty(Sheet(("a", "b"), ("", ""), ((Cell("x"), Cell(NONE)),))).headers
    ('a',)
    """
    kept = [
        column
        for column in range(len(sheet.headers))
        if not sheet.rows or any(row[column].text != NONE for row in sheet.rows)
    ]

    def chosen(row: tuple[Cell, ...]) -> tuple[Cell, ...]:
        return tuple(row[column] for column in kept)

    return Sheet(
        tuple(sheet.headers[column] for column in kept),
        tuple(sheet.hints[column] for column in kept),
        tuple(map(chosen, sheet.rows)),
        tuple(map(chosen, sheet.fixed)),
        sheet.notes,
    )


def number(value: float, decimals: int = 4) -> Cell:
    """Return a number with a fixed count of decimals.

    Parameters
    ----------
    value : float
        NaN is shown as a dash.
    decimals : int
        How many.

    Returns
    -------
    Cell

    Examples
    --------
    >>> number(-0.00004).text, number(math.nan).text
    ('0.0000', '–')
    """
    if not math.isfinite(value):
        return Cell(NONE)
    rounded = round(value, decimals) + 0.0  # no negative zero
    return Cell(f"{rounded:.{decimals}f}".replace("-", MINUS), value)


def digits(value: float, significant: int = 4) -> Cell:
    """Return a quantity with a count of significant digits, never in powers of ten.

    Parameters
    ----------
    value : float
        NaN is shown as a dash.
    significant : int
        How many digits.

    Returns
    -------
    Cell

    Examples
    --------
    >>> digits(12345.678).text, digits(0.0123456).text, digits(0).text
    ('12,346', '0.01235', '0')
    """
    if not math.isfinite(value):
        return Cell(NONE)
    if value == 0:
        return Cell("0", 0.0)
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return Cell(f"{value:,.{min(decimals, 12)}f}", value)


def passes_one(interval: Interval) -> bool:
    """Return whether an interval of an NRR ends where no NRR can be.

    Parameters
    ----------
    interval : Interval
        As Student's t has it.

    Returns
    -------
    bool

    Examples
    --------
    >>> passes_one(Interval(0.9, 0.7, 1.1))
    True
    """
    return interval.known and interval.high > 1 + ROUNDING


def cut(interval: Interval) -> Interval:
    """Return an interval of an NRR that ends at 1 at most.

    Parameters
    ----------
    interval : Interval
        As Student's t has it.

    Returns
    -------
    Interval

    Examples
    --------
    >>> cut(Interval(0.9, 0.7, 1.1)).high
    1.0
    """
    return dataclasses.replace(interval, high=min(interval.high, 1.0))


def with_interval(interval: Interval, decimals: int = 4, end: str = "") -> Cell:
    """Return a figure with its ends.

    Parameters
    ----------
    interval : Interval
        Without ends, the figure alone.
    decimals : int
        How many.
    end : str
        A mark at the upper end.

    Returns
    -------
    Cell

    Examples
    --------
    >>> with_interval(Interval(0.5, 0.25, 0.75), 2).text
    '0.50 [0.25, 0.75]'
    """
    if not interval.known:
        return number(interval.value, decimals)
    low, high = (number(end, decimals).text for end in (interval.low, interval.high))
    return Cell(f"{number(interval.value, decimals).text} [{low}, {high}{end}]", interval.value)


def plus_minus(value: float, half: float) -> str:
    """Return a figure and half of its interval, with the decimals that both need, 4 to 6.

    Parameters
    ----------
    value : float
        NRR.
    half : float
        NaN, where there is no interval, leaves the figure alone.

    Returns
    -------
    str

    Examples
    --------
    >>> plus_minus(0.95, 0.0123), plus_minus(0.99998, 0.000004), plus_minus(0.95, math.nan)
    ('0.9500 ± 0.0123', '0.999980 ± 0.000004', '0.9500')
    """
    decimals = decimals_for([value])
    if not math.isfinite(half):
        return f"{value:.{decimals}f}"
    if half < 5e-7:
        return f"{value:.{decimals}f} ± 0"
    decimals = max(decimals, min(6, math.ceil(-math.log10(half))))
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def p_value(value: float) -> Cell:
    """Return a p-value, the very small ones as a bound.

    Parameters
    ----------
    value : float
        In [0, 1], or NaN.

    Returns
    -------
    Cell

    Examples
    --------
    >>> p_value(0.00001).text
    '< 0.001'
    """
    return Cell("< 0.001", value) if value < 0.001 else number(value, 3)


def decimals_for(values: Sequence[float]) -> int:
    """Return how many decimals show that the best of some NRR is not 1: 4 to 6.

    Parameters
    ----------
    values : sequence of float
        NRR.

    Returns
    -------
    int

    Examples
    --------
    >>> decimals_for([0.5]), decimals_for([0.5, 0.99998])
    (4, 6)
    """
    short = min((1 - value for value in values if value < 1 - 5e-7), default=1.0)
    return min(6, max(4, math.ceil(-math.log10(short)) + 1))


def seeds(least: int, most: int) -> Cell:
    """Return a number of training seeds, or a span of it.

    Parameters
    ----------
    least, most : int
        0 for a rule.

    Returns
    -------
    Cell

    Examples
    --------
    >>> seeds(3, 5).text, seeds(0, 0).text
    ('3–5', 'rule')
    """
    if most == 0:
        return Cell("rule", 0.0)
    return Cell(str(most) if least == most else f"{least}–{most}", float(least))


def markdown(sheet: Sheet, italic: frozenset[str] = frozenset()) -> str:
    r"""Return a sheet as a Markdown table, with its notes.

    Parameters
    ----------
    sheet : Sheet
        What to show.
    italic : frozenset of str
        Labels in italics: rules.

    Returns
    -------
    str

    Examples
    --------
    >>> print(markdown(Sheet(("a",), ("",), ((Cell("<x|y>"),),)), frozenset({"<x|y>"})))
    | a |
    |---|
    | *&lt;x\|y&gt;* |
    """
    lines = [_line(map(escaped, sheet.headers)), "|" + "---|" * len(sheet.headers)]
    for row in (*sheet.rows, *sheet.fixed):
        label, *others = (escaped(cell.text) for cell in row)
        texts = [f"*{label}*" if row[0].text in italic else label, *others]
        marks = (f" {escaped(cell.mark)}" if cell.mark else "" for cell in row)
        lines.append(_line(map("".join, zip(texts, marks, strict=True))))
    return "\n".join([*lines, *(f"\n{escaped(note)}" for note in sheet.notes)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are Markdown themselves.

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
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, HTML included.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str

    Examples
    --------
    >>> escaped("a_b [c](d) <e>")
    'a\\_b \\[c\\](d) &lt;e&gt;'
    """
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#~!" else sign for sign in text)
