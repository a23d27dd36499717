"""Tables of results: what each label reaches, and how much it differs from a reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mec_bench.results import Measure, Result
from mec_bench.statistics import (
    Arena,
    Difference,
    Floats,
    Group,
    Interval,
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

UNKNOWN = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Row:
    """One label of a table; means over its seeds and slots.

    `score` is what the table's measure says. Its interval is over seeds and layouts (of a world
    that moves, episodes), for a rule over layouts; that of `over_layouts` is over layouts alone, as
    if there were no other seeds. `iqm` is over the seeds; `normalised` is 0 at the table's zero
    point, 1 at the best possible and NaN without a zero point; `migrations` is NaN where nothing
    moves, `training_s` and `training_cpu_s` where that of a seed is not known. `n_seeds` is 0 for a
    rule without any.
    """

    label: str
    algorithm: str
    learns: bool
    n_seeds: int
    score: Interval
    over_layouts: Interval
    iqm: float
    normalised: float
    objective: float
    latency_s: float
    energy_j: float
    migrations: float
    single_ms: float
    batched_ms: float
    training_s: float
    training_cpu_s: float
    notes: tuple[str, ...]

    @property
    def alone(self) -> bool:
        """Whether it is what a single training seed gave."""
        return self.learns and self.n_seeds == 1

    @property
    def interval(self) -> Interval:
        """The score as tables show it: of a single seed, with the interval over layouts alone."""
        return self.over_layouts if self.alone else self.score


@dataclass(frozen=True)
class PairedRow:
    """How one label differs from its table's reference; `p_holm` is corrected for all of them."""

    label: str
    difference: Difference
    p_holm: float


@dataclass(frozen=True, eq=False)
class Table:
    """One scenario after one budget, on one set of slots; best mean score first.

    `optimum` is the mean objective of the optimum (its lower bound where only that is known);
    `zero` the label whose normalised score is 0; `reference` the one that the others are compared
    with, None where there is one label only; `differences` has the largest first.
    """

    arena: Arena
    rows: tuple[Row, ...]
    optimum: float
    zero: str | None
    reference: str | None
    differences: tuple[PairedRow, ...]

    @property
    def measure(self) -> Measure:
        """What the scores are."""
        return self.arena.measure

    @property
    def title(self) -> str:
        """Scenario and budget."""
        budget = f", {self.arena.timesteps:,} slots of training" if self.arena.timesteps else ""
        return self.arena.name + budget


@dataclass(frozen=True, eq=False)
class Comparison:
    """All tables of some results, by scenario and timesteps."""

    tables: tuple[Table, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted({row.label for table in self.tables for row in table.rows}))

    @property
    def rules(self) -> frozenset[str]:
        """Labels of rules."""
        return frozenset(row.label for table in self.tables for row in table.rows if not row.learns)


def compare(results: Iterable[Result], reference: str | None = None) -> Comparison:
    """Make all tables of some results: what labels reach and how they differ from a reference.

    Parameters
    ----------
    reference : str, optional
        The label that all others are compared with, in the tables that have it. By default each
        table's best rule that is not the optimum itself, since a learner has to beat it; without
        such a rule, its best label.

    Raises
    ------
    ValueError
        If no result has the label `reference`, or two of a label have the same seed.

    Examples
    --------
    >>> from mec_bench.results import EXAMPLE
    >>> [(row.label, row.score.value) for row in compare([EXAMPLE]).tables[0].rows]
    [('all local', 0.75)]
    """
    found = arenas(results)
    labels = sorted({group.label for arena in found for group in arena.groups})
    if reference is not None and reference not in labels:
        raise ValueError(f"reference must be one of the labels {labels}; got {reference!r}.")
    return Comparison(tuple(_table(arena, reference) for arena in found))


def _table(arena: Arena, reference: str | None) -> Table:
    zero = _zero(arena)
    rows = [_row(group, zero) for group in arena.groups]
    rows.sort(key=lambda row: (-row.score.value, row.label))
    best_first = [arena.group(row.label) for row in rows]
    chosen = _reference(best_first, reference) if len(rows) > 1 else None
    return Table(
        arena,
        tuple(rows),
        arena.groups[0].mean("lower_bound"),
        zero.label if zero else None,
        chosen,
        _differences(arena, chosen) if chosen else (),
    )


def _zero(arena: Arena) -> Group | None:
    rules = {group.results[0].algorithm: group for group in arena.groups[::-1] if not group.learns}
    return next((rules[name] for name in ZERO_POINTS if name in rules), None)


def _row(group: Group, zero: Group | None) -> Row:
    results = group.results
    value = crossed_mean(group.scores, learns=group.learns)
    return Row(
        label=group.label,
        algorithm=results[0].algorithm,
        learns=group.learns,
        n_seeds=len(group.seeds),
        score=value,
        over_layouts=crossed_mean(group.scores, learns=False),
        iqm=interquartile_mean([group.runs]),
        normalised=normalised(value.value, zero.scores.mean()) if zero else math.nan,
        objective=group.mean("objective"),
        latency_s=group.mean("latency_s"),
        energy_j=group.mean("energy_j"),
        migrations=group.mean("migrations"),
        single_ms=_mean([result.decision_ms.single for result in results]),
        batched_ms=_mean([result.decision_ms.batched for result in results]),
        training_s=_mean_known([one.seconds.training for one in results]),
        training_cpu_s=_mean_known([one.seconds.training_cpu for one in results]),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_known(values: Sequence[float | None]) -> float:
    return _mean([math.nan if one is None else one for one in values])


def normalised(score: float, zero: float) -> float:
    """Return a score on a scale with 0 at a rule's and 1 at 1; NaN if the rule reaches that."""
    return (score - zero) / (1 - zero) if zero < 1 else math.nan


def _reference(best_first: Sequence[Group], wanted: str | None) -> str | None:
    """Return the label to compare with: the wanted one, the best rule, or the best of all."""
    labels = [group.label for group in best_first]
    if wanted in labels:
        return wanted
    rules = (group for group in best_first if not group.learns)
    beatable = [one.label for one in rules if one.results[0].algorithm != "optimal"]
    return next(iter([*beatable, *labels]), None)


def _differences(arena: Arena, reference: str) -> tuple[PairedRow, ...]:
    base = arena.group(reference)
    others = [group for group in arena.groups if group is not base]
    found = [
        paired_difference(one.scores, base.scores, learns=(one.learns, base.learns))
        for one in others
    ]
    corrected = holm([difference.p for difference in found])
    rows = [
        PairedRow(one.label, difference, p)
        for one, difference, p in zip(others, found, corrected, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (-row.difference.interval.value, row.label)))


# -- over scenarios -------------------------------------------------------------------------------


@dataclass(frozen=True)
class AggregateRow:
    """One label over all scenarios of an aggregate.

    `seeds` are the smallest and the largest number in a scenario. For `iqm`, runs are resampled
    within each scenario; of a rule, layouts are. `gap` is the optimality gap; `improvement` the
    probability that a run beats one of the reference's, NaN for the reference; `rank` and
    `normalised` are means over the scenarios, the latter NaN where one has no zero point.
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
    """Labels over several scenarios, one table each; best interquartile mean first.

    `rows` are of the labels that are in all scenarios; `missing` names the others, with the
    scenarios that they lack. The probability of improvement is over `reference`.
    """

    title: str
    tables: tuple[Table, ...]
    rows: tuple[AggregateRow, ...]
    reference: str | None
    missing: Mapping[str, tuple[str, ...]]

    @property
    def measure(self) -> Measure:
        """What the scores are: never two of them in one aggregate."""
        return self.tables[0].measure

    def groups(self, label: str) -> list[Group]:
        """Return the results of one label, one group per scenario."""
        return [table.arena.group(label) for table in self.tables]


def aggregate(tables: Sequence[Table], reference: str | None = None) -> list[Aggregate]:
    """Summarise tables over scenarios.

    Tables of one measure and one set of slots belong together, those on drawn maps apart from those
    on a scenario's own map. Where every scenario has one budget there is one aggregate, each
    scenario at its budget; otherwise one for each budget that several scenarios have. The reference
    is chosen as in :func:`compare`.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from mec_bench.results import EXAMPLE
    >>> both = compare([EXAMPLE, replace(EXAMPLE, scenario="the same again")])
    >>> [(row.label, row.iqm.value) for row in aggregate(both.tables)[0].rows]
    [('all local', 0.75)]
    """
    families: dict[tuple[str, str, bool], list[Table]] = {}
    for table in tables:
        asked = table.arena.evaluation
        family = table.measure.sample, asked.set, asked.own_layout
        families.setdefault(family, []).append(table)
    found = []
    for (sample, name, own), members in sorted(families.items(), reverse=True):
        place = "own map" if own else "drawn maps"
        for budget, chosen in _budgets(members):
            if len({table.arena.name for table in chosen}) > 1:
                title = f"{sample} of set {name}, {place}, {budget}"
                found.append(_aggregate(title, chosen, reference))
    return found


def _budgets(tables: Sequence[Table]) -> list[tuple[str, list[Table]]]:
    """Return the tables that may be summarised together: one per scenario."""
    names = [table.arena.name for table in tables]
    budgets = sorted({table.arena.timesteps for table in tables})
    if len(set(names)) == len(names) and len(budgets) > 1:
        return [("each scenario at its own budget", list(tables))]
    return [
        (
            f"{budget:,} slots of training" if budget else "rules only",
            [table for table in tables if table.arena.timesteps == budget],
        )
        for budget in budgets
    ]


def _aggregate(title: str, tables: Sequence[Table], reference: str | None) -> Aggregate:
    present = [{row.label: row for row in table.rows} for table in tables]
    scenarios = [table.arena.name for table in tables]
    lacking = {
        label: tuple(
            name for name, rows in zip(scenarios, present, strict=True) if label not in rows
        )
        for label in sorted(set().union(*present))
    }
    complete = {
        label: [table.arena.group(label) for table in tables]
        for label, without in lacking.items()
        if not without
    }
    best = sorted(complete, key=lambda one: (-interquartile_mean(_scores(complete[one])), one))
    base = _reference([complete[label][0] for label in best], reference)
    rows = [
        AggregateRow(
            label=label,
            learns=complete[label][0].learns,
            seeds=(
                min(rows[label].n_seeds for rows in present),
                max(rows[label].n_seeds for rows in present),
            ),
            iqm=_iqm(complete[label]),
            gap=optimality_gap(_scores(complete[label])),
            improvement=_improvement(complete[label], complete[base])
            if base and base != label
            else UNKNOWN,
            rank=rank,
            normalised=float(np.mean([rows[label].normalised for rows in present])),
        )
        for label, rank in _ranks(present, best).items()
    ]
    rows.sort(key=lambda row: (-row.iqm.value, row.label))
    missing = {label: without for label, without in lacking.items() if without}
    return Aggregate(title, tuple(tables), tuple(rows), base, missing)


def _ranks(present: Sequence[Mapping[str, Row]], labels: Sequence[str]) -> dict[str, float]:
    """Return mean ranks among the labels that are in all scenarios."""
    if not labels:
        return {}
    from scipy.stats import rankdata  # loading it takes half a second, and few ask for ranks

    values = [[-rows[label].score.value for label in labels] for rows in present]
    return dict(zip(labels, rankdata(values, axis=1).mean(0).tolist(), strict=True))


def _scores(groups: Sequence[Group]) -> list[Floats]:
    """Return the runs per scenario; a rule's, whose seeds are not training's, are one."""
    return [group.runs if group.learns else group.runs.mean(keepdims=True) for group in groups]


def _iqm(groups: Sequence[Group]) -> Interval:
    if groups[0].learns:
        return stratified_bootstrap(_scores(groups))
    layouts = [group.scores.mean(0) for group in groups]
    return stratified_bootstrap(layouts, lambda parts: iqm([p.mean(-1)[:, None] for p in parts]))


def _improvement(groups: Sequence[Group], other: Sequence[Group]) -> Interval:
    """Return the probability of improvement; what does not learn has no runs to resample."""
    x, y = _scores(groups), _scores(other)
    if groups[0].learns and other[0].learns:
        return stratified_bootstrap([*x, *y], improvement)
    if groups[0].learns:
        return stratified_bootstrap(x, lambda drawn: improvement([*drawn, *(r[None] for r in y)]))
    if other[0].learns:
        return stratified_bootstrap(y, lambda drawn: improvement([*(r[None] for r in x), *drawn]))
    return Interval(probability_of_improvement(x, y), math.nan, math.nan)
