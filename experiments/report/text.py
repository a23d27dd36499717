"""Comparisons as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.statistics.comparison import Comparison, Row, Table
from experiments.statistics.intervals import Interval
from mec_gym.evaluation import estimate

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
        From :func:`experiments.statistics.comparison.compare`.

    Returns
    -------
    str

    Examples
    --------
    >>> from experiments.statistics.comparison import compare
    >>> from experiments.results.record import EXAMPLE
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
        aligned([_HEAD, *(_row(row, table) for row in table.rows), _optimum(table)]),
    ]
    if any(row.learns and row.n_seeds == 1 for row in table.rows):
        lines += ["", "* of one training seed, over the slots alone: another seed may differ more"]
    if any(pair.difference.interval.known for pair in table.differences):
        lines += ["", f"NRR minus that of {table.reference}, on the same slots:", _pairs(table)]
    single = [row.label for row in table.rows if row.learns and row.n_seeds == 1]
    if single and len(table.rows) > 1:
        lines += ["", f"No difference of {', '.join(single)}: that takes two training seeds."]
    if table.fewest_seeds == 2:
        lines += ["", "Two seeds hardly determine an interval: train more before you conclude."]
    return "\n".join(lines)


def _row(row: Row, table: Table) -> tuple[str, ...]:
    return (
        row.label,
        str(row.n_seeds) if row.learns else "-",
        f"{row.nrr.value:.4f}",
        _over_slots(row, table) if row.n_seeds == 1 else _interval(row.nrr, ".4f"),
        f"{row.objective:.2f}",
        f"{row.latency_s:.2f}",
        f"{row.energy_j:.2f}",
        f"{row.single_ms:.3g}",
        f"{row.batched_ms:.3g}",
        f"{row.training_s:.3g}" if row.learns else "-",
    )


def _over_slots(row: Row, table: Table) -> str:
    """Return the interval of the one policy that one seed gave."""
    group = next(group for group in table.arena.groups if group.label == row.label)
    found = estimate(np.asarray(group.results[0].slots.nrr))
    shown = _interval(Interval(found.mean, found.low, found.high), ".4f")
    return f"{shown} *" if row.learns else shown


def _optimum(table: Table) -> tuple[str, ...]:
    return ("(optimum)", "", "1.0000", "", f"{table.optimum:.2f}", *[""] * 5)


def _pairs(table: Table) -> str:
    return aligned(
        [
            (
                pair.label,
                f"{pair.difference.interval.value:+.4f}",
                _interval(pair.difference.interval, "+.4f"),
                f"p = {pair.p_holm:.2g}" if pair.p_holm >= 1e-4 else "p < 0.0001",
            )
            for pair in table.differences
            if pair.difference.interval.known
        ]
    )


def _interval(interval: Interval, form: str) -> str:
    if not interval.known:
        return "-"
    return f"{interval.low:{form}} to {interval.high:{form}}"
