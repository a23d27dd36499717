"""Cells and tables of text: how numbers are shown, and tables as Markdown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mec_bench.comparing import (
    FEW_SEEDS,
    Aggregate,
    AggregateRow,
    Comparison,
    PairedRow,
    Row,
    Table,
)
from mec_bench.coverage import bootstrap_coverage
from mec_bench.results import ROUNDING
from mec_bench.statistics import Interval

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


SCORE_COLUMNS = {
    "label": "italic: a rule, which no training changes",
    "seeds": "training seeds",
    "NRR": "mean of optimum / objective, with its 95 % interval over seeds and batches of slots "
    "(of drawn maps, each batch has a map of its own); of a rule or a single seed, over batches "
    "only",
    "IQM": "interquartile mean over the seeds",
    "normalised": "0 = the zero point named below, 1 = optimum",
    "objective": "mean per slot",
    "latency [s]": "sum over the devices, mean per slot",
    "energy [J]": "sum over the devices, mean per slot",
    "ms": "milliseconds per decision, slot by slot",
    "ms, batch": "milliseconds per decision in a batch",
    "training [s]": "mean per seed",
}


def score_sheet(table: Table) -> Sheet:
    """Return what each label reaches in one scenario.

    Parameters
    ----------
    table : Table
        Of :func:`mec_bench.comparing.compare`.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> [cell.text for cell in score_sheet(compare([EXAMPLE]).tables[0]).rows[0][:3]]
    ['all local', 'rule', '0.7500']
    """
    decimals = decimals_for([row.nrr.value for row in table.rows])
    optimum = [Cell("optimum"), Cell(NONE), number(1.0, decimals), number(1.0, decimals)]
    optimum += [number(1.0) if table.zero else Cell(NONE), digits(table.optimum, 5)]
    optimum += [Cell(NONE)] * (len(SCORE_COLUMNS) - len(optimum))
    return without_empty(
        Sheet(
            tuple(SCORE_COLUMNS),
            tuple(SCORE_COLUMNS.values()),
            tuple(_score_row(row, decimals) for row in table.rows),
            (tuple(optimum),),
            (*_score_notes(table), *footnotes(table)),
        )
    )


def _score_row(row: Row, decimals: int) -> tuple[Cell, ...]:
    nrr = with_interval(cut(row.interval), decimals, CUT * passes_one(row.interval))
    return (
        Cell(row.label, mark=NOTED * bool(row.notes)),
        seeds(row.n_seeds if row.learns else 0, row.n_seeds if row.learns else 0),
        dataclasses.replace(nrr, mark=ONE_SEED * row.alone),
        number(row.iqm, decimals),
        number(row.normalised),
        digits(row.objective, 5),
        digits(row.latency_s),
        digits(row.energy_j),
        digits(row.single_ms, 3),
        digits(row.batched_ms, 3),
        digits(row.training_s, 3) if row.learns else Cell(NONE),
    )


def _score_notes(table: Table) -> list[str]:
    asked = table.arena.evaluation
    place = "slots of the scenario's own map" if asked.own_layout else "slots (drawn maps × slots)"
    exact = "proven" if asked.gap < 1e-9 else f"known to a gap of {asked.gap:.1e}"
    notes = [
        f"Slots: set {asked.set}, seed {asked.seed}, {asked.layouts} × {asked.slots_per_layout} "
        f"{place}; optimum {exact}."
    ]
    if asked.own_layout:
        notes.append("That is one map: intervals and p-values say nothing about others.")
    if table.zero:
        notes.append(f"Normalised: 0 = {table.zero}, 1 = optimum.")
    several = [row.n_seeds for row in table.rows if row.learns and row.n_seeds > 1]
    if several and min(several) <= FEW_SEEDS:
        notes.append(
            f"{min(several)} seeds are few: the intervals here are Student's t, which allows for "
            "it where seeds scatter about normally."
        )
    return notes


def footnotes(table: Table) -> list[str]:
    """Return what the marks in a table of scores mean, one sentence each.

    Parameters
    ----------
    table : Table
        Of :func:`mec_bench.comparing.compare`.

    Returns
    -------
    list of str
        Empty where there are no marks.

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> footnotes(compare([EXAMPLE]).tables[0])
    []
    """
    notes = []
    if any(row.alone for row in table.rows):
        notes.append(
            f"{ONE_SEED} Of one training seed, over batches of slots alone: another seed may "
            "differ more."
        )
    if any(passes_one(row.interval) for row in table.rows):
        notes.append(f"{CUT} Cut at 1, which no policy can pass.")
    return notes + [f"{NOTED} {row.label}: {note}" for row in table.rows for note in row.notes]


def not_compared(table: Table) -> list[str]:
    """Return which learners' differences nobody knows, and why; empty where all are known.

    Parameters
    ----------
    table : Table
        Of :func:`mec_bench.comparing.compare`.

    Returns
    -------
    list of str
        One sentence, or none.

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> not_compared(compare([EXAMPLE]).tables[0])
    []
    """
    alone = [row.label for row in table.rows if row.alone]
    if not alone or len(table.rows) < 2:
        return []
    return [
        f"Not compared: {', '.join(alone)}. A comparison takes at least two training seeds of each "
        "learner in it."
    ]


def difference_sheet(table: Table) -> Sheet:
    """Return how each label differs from the reference of its table.

    Parameters
    ----------
    table : Table
        Of :func:`mec_bench.comparing.compare`, with a reference.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> difference_sheet(compare([EXAMPLE]).tables[0]).rows
    ()
    """
    decimals = 1 + decimals_for([row.nrr.value for row in table.rows])
    return Sheet(
        ("label", f"NRR − {table.reference}", "p", "p, Holm"),
        (
            "italic: a rule, which no training changes",
            "paired on the same slots, with its 95 % interval over seeds and batches of slots",
            "of no difference, two-sided",
            "corrected for all comparisons of this table",
        ),
        tuple(_difference_row(row, decimals) for row in table.differences),
        notes=tuple(not_compared(table)),
    )


def _difference_row(row: PairedRow, decimals: int) -> tuple[Cell, ...]:
    return (
        Cell(row.label),
        with_interval(row.difference.interval, decimals),
        p_value(row.difference.p),
        p_value(row.p_holm),
    )


def aggregate_sheet(summary: Aggregate) -> Sheet:
    """Return labels over all scenarios.

    Parameters
    ----------
    summary : Aggregate
        Of :func:`mec_bench.comparing.aggregate`.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> aggregate_sheet(Aggregate("", (), (), None, {})).headers[0]
    'label'
    """
    decimals = decimals_for([row.iqm.value for row in summary.rows])
    sheet = Sheet(
        ("label", "seeds", "IQM", "optimality gap", f"P(> {summary.reference})", "rank", "normal."),
        (
            "italic: a rule, which no training changes",
            "training seeds per scenario",
            "interquartile mean of NRR with its 95 % bootstrap interval",
            "by how much runs fall short of 1 on average",
            "probability that a run beats one of the reference",
            "mean over the scenarios",
            "mean normalised score",
        ),
        tuple(_aggregate_row(row, decimals, _noted(summary)) for row in summary.rows),
        notes=tuple(_aggregate_notes(summary)),
    )
    return without_empty(sheet)


def _noted(summary: Aggregate) -> set[str]:
    return {row.label for table in summary.tables for row in table.rows if row.notes}


def _aggregate_row(row: AggregateRow, decimals: int, noted: set[str]) -> tuple[Cell, ...]:
    return (
        Cell(row.label, mark=NOTED * (row.label in noted)),
        seeds(*(row.seeds if row.learns else (0, 0))),
        with_interval(row.iqm, decimals),
        number(row.gap, decimals),
        with_interval(row.improvement, 3),
        number(row.rank, 2),
        number(row.normalised),
    )


def _aggregate_notes(summary: Aggregate) -> list[str]:
    notes = [f"Scenarios: {', '.join(table.arena.name for table in summary.tables)}."]
    for label, scenarios in summary.missing.items():
        notes.append(f"Left out: {label}, without results in {', '.join(scenarios)}.")
    several = [row.seeds[0] for row in summary.rows if row.learns and row.seeds[0] > 1]
    if several and min(several) <= FEW_SEEDS:
        notes.append(few_seeds(min(several), len(summary.tables)))
    if any(row.label in _noted(summary) for row in summary.rows):
        notes.append(f"{NOTED} See the notes below the tables of the scenarios.")
    return notes


def few_seeds(n_seeds: int, n_scenarios: int) -> str:
    """Return the warning that bootstrap intervals of few seeds are too narrow, with numbers.

    Parameters
    ----------
    n_seeds, n_scenarios : int
        Of the table.

    Returns
    -------
    str

    Examples
    --------
    >>> few_seeds(3, 1)[:40]
    'With 3 seeds in 1 scenario the bootstrap'
    """
    real, better = (
        bootstrap_coverage(n, n_scenarios, n_trials=600, n_resamples=300) for n in (n_seeds, 10)
    )
    return (
        f"With {n_seeds} seeds in {n_scenarios} scenario{'s' * (n_scenarios > 1)} the bootstrap "
        f"intervals are too narrow: in simulation, nominal 95 % ones hold the truth in "
        f"{100 * real:.0f} % of all cases (10 seeds: {100 * better:.0f} %)."
    )


_HEAD = (
    "policy",
    "seeds",
    "NRR",
    "95 % interval",
    "objective",
    "latency s",
    "energy J",
    "ms/decision",
    "in a batch",
    "training s",
)


def as_text(comparison: Comparison) -> str:
    """Return all tables of a comparison.

    Parameters
    ----------
    comparison : Comparison
        From :func:`mec_bench.comparing.compare`.

    Returns
    -------
    str

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> print(as_text(compare([EXAMPLE])).splitlines()[2].split()[:2])
    ['policy', 'seeds']
    """
    return "\n\n".join(_table(table) for table in comparison.tables)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as columns, the first to the left and the others to the right.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length.

    Returns
    -------
    str

    Examples
    --------
    >>> print(aligned([["a", "1"], ["bb", "10"]]))
    a    1
    bb  10
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _table(table: Table) -> str:
    slots = table.arena.evaluation
    lines = [
        f"{table.title}: mean over {slots.layouts * slots.slots_per_layout} frozen slots",
        "",
        aligned([_HEAD, *map(_row, table.rows), _optimum(table)]),
    ]
    lines += ["", *footnotes(table)] if footnotes(table) else []
    if any(pair.difference.interval.known for pair in table.differences):
        lines += ["", f"NRR minus that of {table.reference}, on the same slots:", _pairs(table)]
    lines += ["", *not_compared(table)] if not_compared(table) else []
    if table.fewest_seeds == 2:
        lines += ["", "Two seeds hardly determine an interval: train more before you conclude."]
    return "\n".join(lines)


def _row(row: Row) -> tuple[str, ...]:
    return (
        f"{row.label} {NOTED}" if row.notes else row.label,
        str(row.n_seeds) if row.learns else "-",
        f"{row.nrr.value:.4f}",
        _nrr_interval(row),
        f"{row.objective:.2f}",
        f"{row.latency_s:.2f}",
        f"{row.energy_j:.2f}",
        f"{row.single_ms:.3g}",
        f"{row.batched_ms:.3g}",
        f"{row.training_s:.3g}" if row.learns and math.isfinite(row.training_s) else "-",
    )


def _nrr_interval(row: Row) -> str:
    shown = _interval(cut(row.interval), ".4f") + CUT * passes_one(row.interval)
    return f"{shown} {ONE_SEED}" if row.alone else shown


def _optimum(table: Table) -> tuple[str, ...]:
    return ("(optimum)", "", "1.0000", "", f"{table.optimum:.2f}", *[""] * 5)


def _pairs(table: Table) -> str:
    rows = [
        (
            pair.label,
            f"{pair.difference.interval.value:+.4f}",
            _interval(pair.difference.interval, "+.4f"),
            f"{pair.p_holm:.2g}" if pair.p_holm >= 1e-4 else "< 0.0001",
        )
        for pair in table.differences
        if pair.difference.interval.known
    ]
    return aligned([("policy", "difference", "95 % interval of it alone", "p, Holm"), *rows])


def _interval(interval: Interval, form: str) -> str:
    if not interval.known:
        return "-"
    return f"{interval.low:{form}} to {interval.high:{form}}"
