"""The leaderboard and the report page, made of results and of nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mec_bench.report import page
from mec_bench.report.cells import escaped, markdown
from mec_bench.report.provenance import Origin, described, origins, warnings
from mec_bench.report.sheets import aggregate_sheet, difference_sheet, score_sheet
from mec_bench.results.files import Problem
from mec_bench.results.record import Result
from mec_bench.statistics.aggregation import Aggregate, aggregate
from mec_bench.statistics.comparison import Comparison, Table, compare

TITLE = "Offloading policies compared"
LEAD = (
    "NRR is optimum / objective in the same slot: 1 is perfect. All policies of a table decide on "
    "the same frozen slots, with the policy that training ended with. Labels in italics are rules, "
    "which no training changes. Intervals are nominal 95 % ones."
)


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a report shows.

    Attributes
    ----------
    comparison : Comparison
        A table per scenario and budget.
    aggregates : tuple of Aggregate
        Over scenarios.
    origins : tuple of Origin
        Where the results come from.
    problems : tuple of Problem
        Files that gave no result.

    Examples
    --------
    >>> report([]).aggregates
    ()
    """

    comparison: Comparison
    aggregates: tuple[Aggregate, ...]
    origins: tuple[Origin, ...]
    problems: tuple[Problem, ...]

    @property
    def rules(self) -> frozenset[str]:
        """Labels of rules."""
        tables = self.comparison.tables
        return frozenset(row.label for table in tables for row in table.rows if not row.learns)


def report(
    results: Iterable[Result], problems: Iterable[Problem] = (), reference: str | None = None
) -> Report:
    """Compare results.

    Parameters
    ----------
    results : iterable of Result
        In any order; it does not matter.
    problems : iterable of Problem
        Files that gave no result, to be listed.
    reference : str, optional
        The label that others are compared with; see
        :func:`mec_bench.statistics.comparison.compare`.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If no result has the label `reference`.

    Examples
    --------
    >>> from mec_bench.results.record import EXAMPLE
    >>> report([EXAMPLE]).comparison.labels
    ('all local',)
    """
    results = list(results)
    comparison = compare(results, reference)
    return Report(
        comparison,
        tuple(one for one in aggregate(comparison.tables, reference) if one.rows),
        tuple(origins(results)),
        tuple(problems),
    )


def leaderboard(results: Iterable[Result], reference: str | None = None) -> str:
    """Return the leaderboard as Markdown.

    Parameters
    ----------
    results, reference
        As :func:`report`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        As :func:`report`.

    Examples
    --------
    >>> leaderboard([]).splitlines()[0]
    '# Offloading policies compared'
    """
    return _leaderboard(report(results, reference=reference))


def _leaderboard(content: Report) -> str:
    parts = [f"# {TITLE}", LEAD]
    for summary in content.aggregates:
        parts += [f"## All scenarios: {escaped(summary.title)}"]
        parts += [markdown(aggregate_sheet(summary), content.rules)]
    for table in content.comparison.tables:
        parts += [f"## {escaped(table.title)}"]
        parts += [f"**Note.** {escaped(warning)}" for warning in warnings(table)]
        parts += [markdown(score_sheet(table), content.rules)]
        if table.differences:
            parts += ["Paired differences:", markdown(difference_sheet(table), content.rules)]
    if content.problems:
        parts += ["## Files without a result"]
        parts += [
            "\n".join(f"- {escaped(one.file)}: {escaped(one.reason)}" for one in content.problems)
        ]
    return "\n\n".join(parts) + "\n"


def leaderboard_json(content: Report) -> str:
    """Return every figure of the tables as JSON; what is not known is null.

    Parameters
    ----------
    content : Report
        Of :func:`report`.

    Returns
    -------
    str

    Examples
    --------
    >>> json.loads(leaderboard_json(report([])))["format"]
    'mec-gym/leaderboard'
    """
    plain = {
        "format": "mec-gym/leaderboard",
        "version": 1,
        "aggregates": [
            {
                "title": one.title,
                "scenarios": [table.arena.name for table in one.tables],
                "reference": one.reference,
                "missing": one.missing,
                "rows": [dataclasses.asdict(row) for row in one.rows],
            }
            for one in content.aggregates
        ],
        "tables": [_plain_table(table) for table in content.comparison.tables],
        "problems": [dataclasses.asdict(problem) for problem in content.problems],
    }
    return json.dumps(_without_nan(plain), indent=1, allow_nan=False) + "\n"


def _plain_table(table: Table) -> dict[str, Any]:
    return {
        "scenario": table.arena.name,
        "timesteps": table.arena.timesteps,
        "evaluation": dataclasses.asdict(table.arena.evaluation),
        "optimum": table.optimum,
        "zero": table.zero,
        "reference": table.reference,
        "warnings": warnings(table),
        "rows": [dataclasses.asdict(row) for row in table.rows],
        "differences": [dataclasses.asdict(row) for row in table.differences],
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return value


def write_report(
    results: Iterable[Result],
    problems: Iterable[Problem],
    folder: str | os.PathLike[str],
    reference: str | None = None,
) -> list[Path]:
    """Write leaderboard.md, leaderboard.json and report.html.

    Parameters
    ----------
    results, problems, reference
        As :func:`report`.
    folder : str or path
        Made where it is missing.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        As :func:`report`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_report([], [], folder)]
    ['leaderboard.md', 'leaderboard.json', 'report.html']
    """
    content = report(results, problems, reference)
    texts = {
        "leaderboard.md": _leaderboard(content),
        "leaderboard.json": leaderboard_json(content),
        "report.html": report_page(content),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        # A path of a problem may hold bytes that are no text.
        (folder / name).write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return [folder / name for name in texts]


# -- the page -------------------------------------------------------------------------------------


def report_page(content: Report) -> str:
    """Return the report as one HTML page that needs no other file.

    Parameters
    ----------
    content : Report
        Of :func:`report`.

    Returns
    -------
    str

    Examples
    --------
    >>> report_page(report([])).startswith("<!DOCTYPE html>")
    True
    """
    tables, summaries = content.comparison.tables, content.aggregates
    draw = _drawer(content.comparison.labels)
    parts = [page.heading(1, TITLE), page.note(_size(content), "lead"), page.note(LEAD)]
    parts += [page.note(MISSING_FIGURES, "warning")] * (draw is None)
    parts += [_contents(content)]
    for index, summary in enumerate(summaries):
        parts += _aggregate_part(summary, f"all-{index}", content.rules, draw)
    for index, table in enumerate(tables):
        parts += _table_part(table, f"table-{index}", content.rules, draw)
    return page.page(TITLE, [*parts, *_provenance_part(content.origins), *_problems_part(content)])


MISSING_FIGURES = (
    'There are no figures: they need matplotlib: pip install "mec-gym[plots]", or in a clone '
    'pip install ".[plots]".'
)
Draw = Callable[[str, "Aggregate | Table", str], "str | None"]
"""From a figure's title, what it shows and its name to SVG."""


def _drawer(labels: Sequence[str]) -> Draw | None:
    if find_spec("matplotlib") is None:
        return None
    from mec_bench.report import figures
    from mec_bench.report.drawing import looks

    look = looks(labels)
    return lambda title, shown, name: figures.ALL[title](shown, look, name)


def _size(content: Report) -> str:
    results = sum(len(origin.results) for origin in content.origins)
    labels, tables = content.comparison.labels, content.comparison.tables
    scenarios = len({table.arena.name for table in tables})
    failed = f"; {_counted(len(content.problems), 'file')} gave none" if content.problems else ""
    return (
        f"{_counted(results, 'result')} of {_counted(len(labels), 'policy', 'policies')} in "
        f"{_counted(scenarios, 'scenario')}{failed}."
    )


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _contents(content: Report) -> str:
    links = [
        (f"all-{index}", f"All scenarios: {one.title}")
        for index, one in enumerate(content.aggregates)
    ]
    links += [
        (f"table-{index}", table.title) for index, table in enumerate(content.comparison.tables)
    ]
    links += [("provenance", "Provenance")]
    links += [("problems", "Files without a result")] * bool(content.problems)
    items = "".join(f'<li><a href="#{to}">{escape(text)}</a></li>' for to, text in links)
    return f"<nav><ul>{items}</ul></nav>"


def _aggregate_part(
    summary: Aggregate, name: str, rules: frozenset[str], draw: Draw | None
) -> Iterator[str]:
    yield page.heading(2, f"All scenarios: {summary.title}", name)
    yield page.sheet(aggregate_sheet(summary), rules)
    if draw and summary.rows:
        for number, title in enumerate(("Interquartile means", "Performance profiles")):
            yield page.figure(draw(title, summary, f"{name}-{number}") or "", CAPTIONS[title])


def _table_part(table: Table, name: str, rules: frozenset[str], draw: Draw | None) -> Iterator[str]:
    yield page.heading(2, table.title, name)
    for warning in warnings(table):
        yield page.note(warning, "warning")
    yield page.sheet(score_sheet(table), rules)
    if table.differences:
        yield page.heading(3, f"Paired differences to {table.reference}")
        yield page.sheet(difference_sheet(table), rules)
    if draw:
        for number, title in enumerate(("Learning curves", "Slots", "Speed")):
            drawn = draw(title, table, f"{name}-{number}")
            if drawn:
                yield page.figure(drawn, CAPTIONS[title])


CAPTIONS = {
    "Interquartile means": "Left: interquartile mean of NRR over all runs. Right: probability "
    "that a run beats one of the reference in the same scenario. 95 % bootstrap intervals.",
    "Performance profiles": "Share of the runs whose NRR exceeds a value, each scenario weighing "
    "the same. Higher is better.",
    "Learning curves": "NRR during training, against slots and against seconds of training: mean "
    "over seeds, with its pointwise 95 % interval (Student's t).",
    "Slots": "Left: NRR over slots, of all seeds: boxes hold the middle half, lines 90 %, markers "
    "are means. Right: time of a decision, slot by slot (marker) and in a batch (bar).",
    "Speed": "Mean NRR with its 95 % interval against the time of a decision, slot by slot.",
}


def _provenance_part(found: Sequence[Origin]) -> Iterator[str]:
    yield page.heading(2, "Provenance", "provenance")
    for origin in found:
        pairs = [("algorithm", origin.algorithm), ("arguments", origin.arguments)]
        pairs += [("system", described(origin.system))]
        if origin.system.commit:
            pairs += [("commit", origin.system.commit)]
        pairs += [("runs", run) for run in origin.runs]
        traced = origin.system.commit[:12] if origin.system.commit else "no commit"
        summary = f"{origin.label}: {_counted(len(origin.results), 'result')}, {traced}"
        yield page.folded(summary, pairs)


def _problems_part(content: Report) -> Iterator[str]:
    if content.problems:
        yield page.heading(2, "Files without a result", "problems")
        rows = [(problem.file, problem.reason) for problem in content.problems]
        yield page.text_table(["file", "why"], rows)
