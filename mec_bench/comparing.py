"""Tables of results: what each label reaches, and how much it differs from a reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mec_bench.results import Result
from mec_bench.statistics import (
    Arena,
    Difference,
    Floats,
    Group,
    Interval,
    Statistic,
    arenas,
    crossed_mean,
    holm,
    improvement,
    interquartile_mean,
    iqm,
    optimality_gap,
    paired_difference,
    probability_of_improvement,
    stratified_bootstrap,
)

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
    >>> from mec_bench.results import EXAMPLE
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
    >>> from mec_bench.results import EXAMPLE
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
    >>> from mec_bench.results import EXAMPLE
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


@dataclass(frozen=True)
class AggregateRow:
    """One label over all scenarios of an aggregate.

    Attributes
    ----------
    label : str
        The name shown.
    learns : bool
        Whether training changes it.
    seeds : tuple of int
        The smallest and the largest number of seeds in a scenario.
    iqm : Interval
        Interquartile mean of all runs' NRR. Runs are resampled within each scenario; of a rule,
        layouts are.
    gap : float
        Optimality gap: by how much runs fall short of 1 on average.
    improvement : Interval
        Probability that a run beats one of the reference's; NaN for the reference.
    rank : float
        Mean rank over the scenarios, 1 being best.
    normalised : float
        Mean normalised score; NaN where a scenario has no zero point.

    Examples
    --------
    >>> AggregateRow("a", True, (5, 5), Interval(1, 1, 1), 0, Interval(1, 1, 1), 1, 1).rank
    1
    """

    label: str
    learns: bool
    seeds: tuple[int, int]
    iqm: Interval
    gap: float
    improvement: Interval
    rank: float
    normalised: float


@dataclass(frozen=True, eq=False)
class Aggregate:
    """Labels over several scenarios.

    Attributes
    ----------
    title : str
        Which budget.
    tables : tuple of Table
        One per scenario.
    rows : tuple of AggregateRow
        Best interquartile mean first; labels that are in all scenarios.
    reference : str or None
        What the probability of improvement is over.
    missing : mapping of str to tuple of str
        Labels that are left out, and the scenarios that they lack.

    Examples
    --------
    >>> Aggregate("", (), (), None, {}).rows
    ()
    """

    title: str
    tables: tuple[Table, ...]
    rows: tuple[AggregateRow, ...]
    reference: str | None
    missing: Mapping[str, tuple[str, ...]]

    def groups(self, label: str) -> list[Group]:
        """Return the results of one label, one group per scenario.

        Parameters
        ----------
        label : str
            One of the rows'.

        Returns
        -------
        list of Group

        Examples
        --------
        >>> Aggregate("", (), (), None, {}).groups("a")
        []
        """
        return [_found(table, label) for table in self.tables]


def aggregate(tables: Sequence[Table], reference: str | None = None) -> list[Aggregate]:
    """Summarise tables over scenarios.

    Tables of one set of slots belong together, those on drawn maps apart from those on a
    scenario's own map. Where every scenario has one budget there is one aggregate, each scenario
    at its budget; otherwise one for each budget that several scenarios have.

    Parameters
    ----------
    tables : sequence of Table
        Of :func:`mec_bench.comparing.compare`.
    reference : str, optional
        As there; by default the best label that is a rule but not the optimum, else the best.

    Returns
    -------
    list of Aggregate
        None of a single scenario.

    Examples
    --------
    >>> aggregate([])
    []
    """
    families: dict[tuple[str, bool], list[Table]] = {}
    for table in tables:
        asked = table.arena.evaluation
        families.setdefault((asked.set, asked.own_layout), []).append(table)
    found = []
    for (name, own), members in sorted(families.items()):
        place = "own map" if own else "drawn maps"
        for title, chosen in _budgets(members):
            if len({table.arena.name for table in chosen}) > 1:
                found.append(_aggregate(f"set {name}, {place}, {title}", chosen, reference))
    return found


def _budgets(tables: Sequence[Table]) -> list[tuple[str, list[Table]]]:
    """Return the tables that may be summarised together: one per scenario."""
    names = [table.arena.name for table in tables]
    budgets = sorted({table.arena.timesteps for table in tables})
    if len(set(names)) == len(names) and len(budgets) > 1:
        return [("each scenario at its own budget", list(tables))]
    return [
        (f"{budget:,} slots of training" if budget else "rules only", chosen)
        for budget in budgets
        for chosen in [[table for table in tables if table.arena.timesteps == budget]]
    ]


def _aggregate(title: str, tables: Sequence[Table], reference: str | None) -> Aggregate:
    lacking: dict[str, tuple[str, ...]] = {}
    present = [{row.label: row for row in table.rows} for table in tables]
    for label in sorted(set().union(*present)):
        lacking[label] = tuple(
            table.arena.name
            for table, rows in zip(tables, present, strict=True)
            if label not in rows
        )
    complete = [label for label, scenarios in lacking.items() if not scenarios]
    base = _aggregate_reference(tables, complete, reference)
    ranks = _ranks(present, complete)
    rows = [
        _aggregate_row(label, tables, [rows[label] for rows in present], base, ranks[label])
        for label in complete
    ]
    rows.sort(key=lambda row: (-row.iqm.value, row.label))
    missing = {label: scenarios for label, scenarios in lacking.items() if scenarios}
    return Aggregate(title, tuple(tables), tuple(rows), base, missing)


def _ranks(present: Sequence[Mapping[str, Row]], labels: Sequence[str]) -> dict[str, float]:
    """Return mean ranks among the labels that are in all scenarios."""
    if not labels:
        return {}
    from scipy.stats import rankdata  # loading it takes half a second, and few ask for ranks

    values = [[-rows[label].nrr.value for label in labels] for rows in present]
    return dict(zip(labels, rankdata(values, axis=1).mean(0).tolist(), strict=True))


def _aggregate_reference(
    tables: Sequence[Table], labels: Sequence[str], wanted: str | None
) -> str | None:
    if wanted in labels:
        return wanted
    groups = {label: [_found(table, label) for table in tables] for label in labels}
    best = sorted(labels, key=lambda one: (-_iqm(groups[one]), one))
    rules = [
        label
        for label in best
        if not groups[label][0].learns and groups[label][0].results[0].algorithm != "optimal"
    ]
    return next(iter([*rules, *best]), None)


def _found(table: Table, label: str) -> Group:
    return next(group for group in table.arena.groups if group.label == label)


def _scores(groups: Sequence[Group]) -> list[Floats]:
    """Return the runs per scenario; a rule's, whose seeds are not training's, are one."""
    return [group.runs if group.learns else group.runs.mean(keepdims=True) for group in groups]


def _iqm(groups: Sequence[Group]) -> float:
    return interquartile_mean(_scores(groups))


def _aggregate_row(
    label: str, tables: Sequence[Table], rows: Sequence[Row], base: str | None, rank: float
) -> AggregateRow:
    groups = [_found(table, label) for table in tables]
    counts = [row.n_seeds for row in rows]
    other = [_found(table, base) for table in tables] if base and base != label else None
    return AggregateRow(
        label=label,
        learns=groups[0].learns,
        seeds=(min(counts), max(counts)),
        iqm=_iqm_interval(groups),
        gap=optimality_gap(_scores(groups)),
        improvement=_improvement(groups, other) if other else Interval(*[math.nan] * 3),
        rank=rank,
        normalised=float(np.mean([row.normalised for row in rows])),
    )


def _iqm_interval(groups: Sequence[Group]) -> Interval:
    if groups[0].learns:
        return stratified_bootstrap(_scores(groups))
    layouts = [group.nrr.mean(0) for group in groups]
    return stratified_bootstrap(layouts, lambda parts: iqm([p.mean(-1)[:, None] for p in parts]))


def _improvement(groups: Sequence[Group], other: Sequence[Group]) -> Interval:
    """Return the probability of improvement; what does not learn has no runs to resample."""
    x, y = _scores(groups), _scores(other)
    if groups[0].learns and other[0].learns:
        return stratified_bootstrap([*x, *y], improvement)
    if not (groups[0].learns or other[0].learns):
        return Interval(probability_of_improvement(x, y), math.nan, math.nan)
    fixed = [one[None] for one in (y if groups[0].learns else x)]
    return stratified_bootstrap(x if groups[0].learns else y, _against(fixed, groups[0].learns))


def _against(fixed: Sequence[Floats], learner_first: bool) -> Statistic:
    def statistic(parts: Sequence[Floats]) -> Floats:
        return improvement([*parts, *fixed] if learner_first else [*fixed, *parts])

    return statistic
