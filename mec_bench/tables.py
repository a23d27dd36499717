"""Tables as sheets of cells, which a terminal, Markdown and the report's page show alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mec_bench.comparing import Aggregate, Comparison, Row, Table
from mec_bench.results import ROUNDING
from mec_bench.statistics import Interval

NONE = "–"
MINUS = "\N{MINUS SIGN}"
ONE_SEED, CUT, NOTED = "*", "†", "‡"
"""Marks: an interval of one training seed, an end that is cut, a label with a note."""

FEW_SEEDS = 5
"""Up to so many, bootstrap intervals are clearly too narrow: docs/statistics.md."""

COVERAGE: Mapping[int, Mapping[int, float]] = {
    1: {2: 0.49, 3: 0.76, 4: 0.87, 5: 0.91, 10: 0.92},
    2: {2: 0.67, 3: 0.85, 4: 0.89, 5: 0.9, 10: 0.94},
    3: {2: 0.75, 3: 0.85, 4: 0.89, 5: 0.92, 10: 0.93},
    6: {2: 0.79, 3: 0.87, 4: 0.9, 5: 0.91, 10: 0.94},
}
"""How often the bootstrap interval of the IQM holds the truth, nominally 0.95: by scenarios and
seeds, of normal runs; printed by ``python -m reproduction.coverage`` (2,000 experiments each)."""


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, a number to sort it by, and a mark that a note below explains."""

    text: str
    value: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table of text; the first cell of a row is its label.

    Hints say what a column holds, `fixed` rows stay at the end, notes are sentences below.
    """

    headers: tuple[str, ...]
    hints: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    fixed: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def without(self, headers: Collection[str] = ()) -> Sheet:
        """Return the sheet without some columns and without those that hold nothing."""
        kept = [
            column
            for column, header in enumerate(self.headers)
            if header not in headers
            and (not self.rows or any(row[column].text != NONE for row in self.rows))
        ]

        def chosen(row: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(row[column] for column in kept)

        rows, fixed = (tuple(map(chosen, part)) for part in (self.rows, self.fixed))
        return Sheet(chosen(self.headers), chosen(self.hints), rows, fixed, self.notes)


# -- how numbers are shown ------------------------------------------------------------------------


def number(value: float, decimals: int = 4) -> Cell:
    """Return a number with a fixed count of decimals; NaN is a dash."""
    if not math.isfinite(value):
        return Cell(NONE)
    rounded = round(value, decimals) + 0.0  # no negative zero
    return Cell(f"{rounded:.{decimals}f}".replace("-", MINUS), value)


def digits(value: float, significant: int = 4) -> Cell:
    """Return a quantity with a count of significant digits, never in powers of ten.

    >>> digits(12345.678).text, digits(0.0123456).text, digits(0).text
    ('12,346', '0.01235', '0')
    """
    if not math.isfinite(value):
        return Cell(NONE)
    if value == 0:
        return Cell("0", 0.0)
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return Cell(f"{value:,.{min(decimals, 12)}f}", value)


def with_interval(
    interval: Interval, decimals: int = 4, low: float = -math.inf, high: float = math.inf
) -> Cell:
    """Return a figure with its ends, cut and marked where nothing can pass `low` and `high`."""
    shown = number(interval.value, decimals)
    if not interval.known:
        return shown
    cut, ends = interval.within(low, high), []
    for end, before in ((cut.low, interval.low), (cut.high, interval.high)):
        ends.append(number(end, decimals).text + CUT * (abs(end - before) > ROUNDING))
    return Cell(f"{shown.text} [{', '.join(ends)}]", interval.value)


def plus_minus(value: float, half: float) -> str:
    """Return a score and half of its interval, with the decimals that both need, 4 to 6.

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
    """Return a p-value, the very small ones as a bound."""
    return Cell("< 0.001", value) if value < 0.001 else number(value, 3)


def decimals_for(values: Sequence[float]) -> int:
    """Return how many decimals show that the best of some scores is not 1: 4 to 6."""
    short = min((1 - value for value in values if value < 1 - 5e-7), default=1.0)
    return min(6, max(4, math.ceil(-math.log10(short)) + 1))


def seeds(least: int, most: int) -> Cell:
    """Return a number of training seeds, or a span of it; 0 is a rule's."""
    if most == 0:
        return Cell("rule", 0.0)
    return Cell(str(most) if least == most else f"{least}–{most}", float(least))


# -- the three kinds of tables --------------------------------------------------------------------

Columns = Sequence[tuple[str, str, Callable[[Any], Cell]]]
"""Header, hint, and what stands there for a row."""

ITALIC = "italic: a rule, which no training changes"


def _sheet(columns: Columns, rows: Iterable[Any], notes: Iterable[str]) -> Sheet:
    headers, hints, cells = zip(*columns, strict=True)
    made = tuple(tuple(cell(row) for cell in cells) for row in rows)
    cut = any(CUT in cell.text for row in made for cell in row)
    said = [f"{CUT} Cut to what is possible: a score is above 0 and at most 1."] * cut
    return Sheet(headers, hints, made, notes=(*notes, *said))


def score_sheet(table: Table) -> Sheet:
    """Return what each label reaches in one scenario."""
    measure = table.measure
    decimals = decimals_for([row.score.value for row in table.rows])

    def score(row: Row) -> Cell:
        return replace(with_interval(row.interval, decimals, 0, 1), mark=ONE_SEED * row.alone)

    columns: Columns = [
        ("label", ITALIC, lambda row: Cell(row.label, mark=NOTED * bool(row.notes))),
        ("seeds", "training seeds", lambda row: seeds(*[row.n_seeds * row.learns] * 2)),
        (
            measure.title,
            f"mean of {measure.ratio}, with its 95 % interval over seeds and {measure.units} (of "
            "drawn maps, each has a map of its own); of a rule or a single seed, over "
            f"{measure.units} only",
            score,
        ),
        ("IQM", "interquartile mean over the seeds", lambda row: number(row.iqm, decimals)),
        (
            "normalised",
            f"0 = the zero point named below, 1 = {measure.best}",
            lambda row: number(row.normalised),
        ),
        ("objective", "mean per slot", lambda row: digits(row.objective, 5)),
        ("latency [s]", "sum over the devices, mean per slot", lambda row: digits(row.latency_s)),
        ("energy [J]", "sum over the devices, mean per slot", lambda row: digits(row.energy_j)),
        ("moves per slot", "mean number of migrations", lambda row: digits(row.migrations)),
        ("ms", "milliseconds per decision, slot by slot", lambda row: digits(row.single_ms, 3)),
        (
            "ms, batch",
            "milliseconds per decision in a batch",
            lambda row: digits(row.batched_ms, 3),
        ),
        (
            "training [s]",
            "mean per seed",
            lambda row: digits(row.training_s, 3) if row.learns else Cell(NONE),
        ),
        (
            "training [CPU s]",
            "time of the processor in the run's process, mean per seed",
            lambda row: digits(row.training_cpu_s, 3) if row.learns else Cell(NONE),
        ),
    ]
    optimum = {
        "label": Cell(f"({measure.best})"),
        measure.title: number(1.0, decimals),
        "IQM": number(1.0, decimals),
        "normalised": number(1.0) if table.zero else Cell(NONE),
        "objective": digits(table.optimum, 5),
    }
    fixed = tuple(optimum.get(header, Cell(NONE)) for header, _, _ in columns)
    return replace(_sheet(columns, table.rows, _score_notes(table)), fixed=(fixed,)).without()


def _score_notes(table: Table) -> list[str]:
    asked, measure = table.arena.evaluation, table.measure
    place = "the scenario's own map" if asked.own_layout else "drawn maps"
    exact = "proven" if asked.gap < 1e-9 else f"known to a gap of {asked.gap:.1e}"
    notes = [
        f"{measure.sample.capitalize()}: set {asked.set}, seed {asked.seed}, "
        f"{asked.layouts} × {asked.slots_per_layout} slots ({measure.grid}) of {place}; "
        f"{measure.best} {exact}."
    ]
    if asked.own_layout:
        notes.append("That is one map: intervals and p-values say nothing about others.")
    if table.zero:
        notes.append(f"Normalised: 0 = {table.zero}, 1 = {measure.best}.")
    fewest = min((row.n_seeds for row in table.rows if row.learns and not row.alone), default=99)
    if fewest == 2:
        notes.append("Two seeds hardly determine an interval: train more before you conclude.")
    elif fewest <= FEW_SEEDS:
        notes.append(
            f"{fewest} seeds are few: the intervals here are Student's t, which allows for "
            "it where seeds scatter about normally."
        )
    if any(row.alone for row in table.rows):
        notes.append(
            f"{ONE_SEED} Of one training seed, over {measure.units} alone: another seed may "
            "differ more."
        )
    return notes + [f"{NOTED} {row.label}: {note}" for row in table.rows for note in row.notes]


def difference_sheet(table: Table) -> Sheet:
    """Return how each label differs from the reference of its table."""
    measure = table.measure
    decimals = 1 + decimals_for([row.score.value for row in table.rows])
    columns: Columns = [
        ("label", ITALIC, lambda row: Cell(row.label)),
        (
            f"{measure.title} − {table.reference}",
            f"paired on the same {measure.sample}, with its 95 % interval over seeds and "
            f"{measure.units}",
            lambda row: with_interval(row.difference.interval, decimals, -1, 1),
        ),
        ("p", "of no difference, two-sided", lambda row: p_value(row.difference.p)),
        ("p, Holm", "corrected for all comparisons of this table", lambda row: p_value(row.p_holm)),
    ]
    alone = ", ".join(row.label for row in table.rows if row.alone)
    notes = [
        f"Not compared: {alone}. A comparison takes at least two training seeds of each learner "
        "in it."
    ]
    return _sheet(columns, table.differences, notes * bool(alone))


def aggregate_sheet(summary: Aggregate) -> Sheet:
    """Return labels over all scenarios."""
    decimals = decimals_for([row.iqm.value for row in summary.rows])
    noted = {row.label for table in summary.tables for row in table.rows if row.notes}
    columns: Columns = [
        ("label", ITALIC, lambda row: Cell(row.label, mark=NOTED * (row.label in noted))),
        (
            "seeds",
            "training seeds per scenario",
            lambda row: seeds(*(row.seeds if row.learns else (0, 0))),
        ),
        (
            "IQM",
            f"interquartile mean of {summary.measure.title} with its 95 % bootstrap interval",
            lambda row: with_interval(row.iqm, decimals),
        ),
        (
            "optimality gap",
            "by how much runs fall short of 1 on average",
            lambda row: number(row.gap, decimals),
        ),
        (
            f"P(> {summary.reference})",
            "probability that a run beats one of the reference",
            lambda row: with_interval(row.improvement, 3),
        ),
        ("rank", "mean over the scenarios", lambda row: number(row.rank, 2)),
        ("normal.", "mean normalised score", lambda row: number(row.normalised)),
    ]
    notes = [f"Scenarios: {', '.join(table.arena.name for table in summary.tables)}."]
    for label, scenarios in summary.missing.items():
        notes.append(f"Left out: {label}, without results in {', '.join(scenarios)}.")
    several = [row.seeds[0] for row in summary.rows if row.learns and row.seeds[0] > 1]
    if several and min(several) <= FEW_SEEDS:
        notes.append(few_seeds(min(several), len(summary.tables)))
    if any(row.label in noted for row in summary.rows):
        notes.append(f"{NOTED} See the notes below the tables of the scenarios.")
    return _sheet(columns, summary.rows, notes).without()


def few_seeds(n_seeds: int, n_scenarios: int) -> str:
    """Return the warning that bootstrap intervals of 2 to 5 seeds are too narrow, with numbers."""
    measured = max(one for one in COVERAGE if one <= n_scenarios)
    real, better = (COVERAGE[measured][n] for n in (n_seeds, 10))
    return (
        f"With {n_seeds} seeds in {n_scenarios} scenario{'s' * (n_scenarios > 1)} the bootstrap "
        f"intervals are too narrow: in simulation, nominal 95 % ones hold the truth in "
        f"{100 * real:.0f} % of all cases (10 seeds: {100 * better:.0f} %)."
    )


# -- as text --------------------------------------------------------------------------------------


def as_text(comparison: Comparison) -> str:
    """Return all tables of a comparison, of :func:`compare`, for a terminal.

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> print(as_text(compare([EXAMPLE])).partition("Slots")[0].rstrip())
    two devices
    <BLANKLINE>
    label      seeds     NRR  normalised  objective  latency [s]  energy [J]     ms  ms, batch
    all local   rule  0.7500      0.0000     1.5000        1.000      0.5000  0.100     0.0100
    (optimum)      –  1.0000      1.0000     1.0000            –           –      –          –
    """
    parts = []
    for table in comparison.tables:
        parts += [table.title, _text(score_sheet(table).without(("IQM",)))]
        if table.differences:
            parts += ["Paired differences:", _text(difference_sheet(table))]
    return "\n\n".join(parts)


def _text(sheet: Sheet) -> str:
    """Return a sheet as columns, the first to the left and the others to the right."""
    rows = [[f"{cell.text} {cell.mark}".rstrip() for cell in row] for row in sheet.rows]
    rows = [list(sheet.headers), *rows, *([cell.text for cell in row] for row in sheet.fixed)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *[""] * bool(sheet.notes), *sheet.notes])


def markdown(sheet: Sheet, italic: frozenset[str] = frozenset()) -> str:
    r"""Return a sheet as a Markdown table, with its notes; some labels, those of rules, in italics.

    >>> print(markdown(Sheet(("a",), ("",), ((Cell("<x|y>"),),)), frozenset({"<x|y>"})))
    | a |
    |---|
    | *&lt;x\|y&gt;* |
    """
    rows = []
    for row in (*sheet.rows, *sheet.fixed):
        label, *others = (escaped(cell.text) for cell in row)
        texts = [f"*{label}*" if row[0].text in italic else label, *others]
        marks = (f" {escaped(cell.mark)}" if cell.mark else "" for cell in row)
        rows.append(["".join(both) for both in zip(texts, marks, strict=True)])
    notes = "".join(f"\n{escaped(note)}\n" for note in sheet.notes)
    return (table([*map(escaped, sheet.headers)], rows) + notes).rstrip("\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are Markdown themselves.

    >>> print(table(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(cells)} |\n" for cells in (head, *rows)]
    return "".join([lines[0], "|" + "---|" * len(head) + "\n", *lines[1:]])


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, HTML included."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{sign}" if sign in "\\`*_[]|#~!" else sign for sign in text)
