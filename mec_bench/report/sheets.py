"""What stands in each table of a report, the same in Markdown and HTML."""

from __future__ import annotations

import dataclasses

from mec_bench.report.cells import (
    CUT,
    NONE,
    NOTED,
    ONE_SEED,
    Cell,
    Sheet,
    cut,
    decimals_for,
    digits,
    number,
    p_value,
    passes_one,
    seeds,
    with_interval,
    without_empty,
)
from mec_bench.statistics.aggregation import Aggregate, AggregateRow
from mec_bench.statistics.comparison import FEW_SEEDS, PairedRow, Row, Table
from reproduction.coverage import bootstrap_coverage

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
        Of :func:`mec_bench.statistics.comparison.compare`.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> from mec_bench.statistics.comparison import compare
    >>> from mec_bench.results.record import EXAMPLE
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
        Of :func:`mec_bench.statistics.comparison.compare`.

    Returns
    -------
    list of str
        Empty where there are no marks.

    Examples
    --------
    >>> from mec_bench.statistics.comparison import compare
    >>> from mec_bench.results.record import EXAMPLE
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
        Of :func:`mec_bench.statistics.comparison.compare`.

    Returns
    -------
    list of str
        One sentence, or none.

    Examples
    --------
    >>> from mec_bench.statistics.comparison import compare
    >>> from mec_bench.results.record import EXAMPLE
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
        Of :func:`mec_bench.statistics.comparison.compare`, with a reference.

    Returns
    -------
    Sheet

    Examples
    --------
    >>> from mec_bench.statistics.comparison import compare
    >>> from mec_bench.results.record import EXAMPLE
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
        Of :func:`mec_bench.statistics.aggregation.aggregate`.

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
