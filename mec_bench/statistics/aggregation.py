"""Figures over several scenarios, each scenario weighing the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mec_bench.statistics.comparison import Row, Table
from mec_bench.statistics.grouping import Group
from mec_bench.statistics.intervals import Floats, Interval
from mec_bench.statistics.scores import (
    Statistic,
    improvement,
    interquartile_mean,
    iqm,
    optimality_gap,
    probability_of_improvement,
    stratified_bootstrap,
)


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
        Of :func:`mec_bench.statistics.comparison.compare`.
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
    base = _reference(tables, complete, reference)
    ranks = _ranks(present, complete)
    rows = [
        _row(label, tables, [rows[label] for rows in present], base, ranks[label])
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


def _reference(tables: Sequence[Table], labels: Sequence[str], wanted: str | None) -> str | None:
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


def _row(
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
