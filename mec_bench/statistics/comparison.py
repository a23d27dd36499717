"""Tables of results: what each label reaches, and how much it differs from a reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mec_bench.results.record import Result
from mec_bench.statistics.grouping import Arena, Group, arenas
from mec_bench.statistics.intervals import Interval
from mec_bench.statistics.pairing import Difference, crossed_mean, holm, paired_difference
from mec_bench.statistics.scores import interquartile_mean

ZERO_POINTS = ("random", "local")
"""Rules that may stand for a normalised score of 0, the first that is there."""

FEW_SEEDS = 5
"""Up to so many, bootstrap intervals are clearly too narrow: docs/statistics.md."""


@dataclass(frozen=True)
class Row:
    """One label of a table; means are over its seeds and slots.

    Attributes
    ----------
    label, algorithm : str
        The name shown, and the algorithm's.
    learns : bool
        Whether training changes it.
    n_seeds : int
        Training seeds; 0 for a rule without any.
    nrr : Interval
        Mean; the interval is over seeds and layouts, for a rule over layouts.
    over_layouts : Interval
        The same mean; the interval is over layouts alone, as if there were no other seeds.
    iqm : float
        Interquartile mean of the NRR of the seeds.
    normalised : float
        0 = the table's zero point, 1 = optimum; NaN without a zero point.
    objective, latency_s, energy_j : float, [1], [s], [J]
        Per slot.
    single_ms, batched_ms : float, [ms]
        Time of a decision.
    training_s : float, [s]
        Time of training; NaN where that of a seed is not known.
    notes : tuple of str
        What its results say that a reader should know.

    Examples
    --------
    >>> from mec_bench.results.record import EXAMPLE
    >>> compare([EXAMPLE]).tables[0].rows[0].objective
    1.5
    """

    label: str
    algorithm: str
    learns: bool
    n_seeds: int
    nrr: Interval
    over_layouts: Interval
    iqm: float
    normalised: float
    objective: float
    latency_s: float
    energy_j: float
    single_ms: float
    batched_ms: float
    training_s: float
    notes: tuple[str, ...]

    @property
    def alone(self) -> bool:
        """Whether it is what a single training seed gave."""
        return self.learns and self.n_seeds == 1

    @property
    def interval(self) -> Interval:
        """The NRR as tables show it: of a single seed, with the interval over layouts alone."""
        return self.over_layouts if self.alone else self.nrr


@dataclass(frozen=True)
class PairedRow:
    """How one label differs from the reference of its table.

    Attributes
    ----------
    label : str
        The name shown.
    difference : Difference
        Its NRR minus the reference's, on the same slots.
    p_holm : float
        p-value, corrected for all comparisons of the table.

    Examples
    --------
    >>> PairedRow("a", Difference(Interval(0.1, 0.0, 0.2), 0.05), 0.05).p_holm
    0.05
    """

    label: str
    difference: Difference
    p_holm: float


@dataclass(frozen=True, eq=False)
class Table:
    """One scenario after one budget, on one set of slots.

    Attributes
    ----------
    arena : Arena
        The results it is made of.
    rows : tuple of Row
        Best mean NRR first.
    optimum : float
        Mean objective of the optimum (its lower bound where only that is known).
    zero : str or None
        Label whose normalised score is 0.
    reference : str or None
        Label that the others are compared with; None where there is one label only.
    differences : tuple of PairedRow
        All others, largest difference first.

    Examples
    --------
    >>> from mec_bench.results.record import EXAMPLE
    >>> compare([EXAMPLE]).tables[0].optimum
    1.0
    """

    arena: Arena
    rows: tuple[Row, ...]
    optimum: float
    zero: str | None
    reference: str | None
    differences: tuple[PairedRow, ...]

    @property
    def title(self) -> str:
        """Scenario and budget."""
        budget = f", {self.arena.timesteps:,} slots of training" if self.arena.timesteps else ""
        return self.arena.name + budget

    @property
    def fewest_seeds(self) -> int | None:
        """The smallest number of seeds of a learner; None without learners."""
        return min((row.n_seeds for row in self.rows if row.learns), default=None)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All tables of some results.

    Attributes
    ----------
    tables : tuple of Table
        By scenario and timesteps.

    Examples
    --------
    >>> compare([]).tables
    ()
    """

    tables: tuple[Table, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted({row.label for table in self.tables for row in table.rows}))


def compare(results: Iterable[Result], reference: str | None = None) -> Comparison:
    """Make all tables of some results.

    Parameters
    ----------
    results : iterable of Result
        In any order; it does not matter.
    reference : str, optional
        The label that all others are compared with, in the tables that have it. By default each
        table's best rule that is not the optimum itself, since a learner has to beat it; without
        such a rule, its best label.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If no result has the label `reference`, or two of a label have the same seed.

    Examples
    --------
    >>> from mec_bench.results.record import EXAMPLE
    >>> [row.label for row in compare([EXAMPLE]).tables[0].rows]
    ['all local']
    """
    found = arenas(results)
    labels = sorted({group.label for arena in found for group in arena.groups})
    if reference is not None and reference not in labels:
        raise ValueError(f"reference must be one of the labels {labels}; got {reference!r}.")
    return Comparison(tuple(_table(arena, reference) for arena in found))


def _table(arena: Arena, reference: str | None) -> Table:
    zero = _zero(arena)
    rows = [_row(group, zero) for group in arena.groups]
    rows.sort(key=lambda row: (-row.nrr.value, row.label))
    chosen = _reference(rows, reference)
    bounds = arena.groups[0].slot_values("lower_bound")
    return Table(
        arena,
        tuple(rows),
        float(bounds.mean()),
        zero.label if zero else None,
        chosen,
        _differences(arena.groups, chosen) if chosen else (),
    )


def _zero(arena: Arena) -> Group | None:
    for name in ZERO_POINTS:
        for group in arena.groups:
            if not group.learns and group.results[0].algorithm == name:
                return group
    return None


def _row(group: Group, zero: Group | None) -> Row:
    results = group.results
    value = crossed_mean(group.nrr, learns=group.learns)
    return Row(
        label=group.label,
        algorithm=results[0].algorithm,
        learns=group.learns,
        n_seeds=len(group.seeds),
        nrr=value,
        over_layouts=crossed_mean(group.nrr, learns=False),
        iqm=interquartile_mean([group.runs]),
        normalised=normalised(value.value, zero.nrr.mean()) if zero else math.nan,
        objective=float(group.slot_values("objective").mean()),
        latency_s=float(group.slot_values("latency_s").mean()),
        energy_j=float(group.slot_values("energy_j").mean()),
        single_ms=_mean(result.decision_ms.single for result in results),
        batched_ms=_mean(result.decision_ms.batched for result in results),
        training_s=_mean(_known(result.seconds.training) for result in results),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def _known(seconds: float | None) -> float:
    return math.nan if seconds is None else seconds


def normalised(nrr: float, zero: float) -> float:
    """Return a score that is 0 at a simple rule and 1 at the optimum.

    (NRR - NRR of the rule) / (1 - NRR of the rule).

    Parameters
    ----------
    nrr : float, [1]
        Of the policy.
    zero : float, [1]
        Of the rule.

    Returns
    -------
    float
        NaN where the rule itself reaches the optimum.

    Examples
    --------
    >>> normalised(0.75, 0.5)
    0.5
    """
    return (nrr - zero) / (1 - zero) if zero < 1 else math.nan


def _reference(rows: Sequence[Row], wanted: str | None) -> str | None:
    """Return the label to compare with; rows are best first."""
    labels = [row.label for row in rows]
    if len(rows) < 2:
        return None
    if wanted in labels:
        return wanted
    rules = [row.label for row in rows if not row.learns and row.algorithm != "optimal"]
    return (rules or labels)[0]


def _differences(groups: Sequence[Group], reference: str) -> tuple[PairedRow, ...]:
    base = next(group for group in groups if group.label == reference)
    others = [group for group in groups if group is not base]
    found = [
        paired_difference(one.nrr, base.nrr, learns=(one.learns, base.learns)) for one in others
    ]
    corrected = holm([difference.p for difference in found])
    rows = [
        PairedRow(one.label, difference, p)
        for one, difference, p in zip(others, found, corrected, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.difference.interval.value, row.label)))
