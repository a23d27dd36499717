"""Comparisons as plain text, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mec_bench.report.cells import CUT, NOTED, ONE_SEED, cut, passes_one
from mec_bench.report.sheets import footnotes, not_compared
from mec_bench.statistics.comparison import Comparison, Row, Table
from mec_bench.statistics.intervals import Interval

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
        From :func:`mec_bench.statistics.comparison.compare`.

    Returns
    -------
    str

    Examples
    --------
    >>> from mec_bench.statistics.comparison import compare
    >>> from mec_bench.results.record import EXAMPLE
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
