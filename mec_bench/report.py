"""The leaderboard and the report page: all tables of some results, and where they come from."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mec_bench.comparing import Aggregate, Comparison, Row, Table, aggregate, compare
from mec_bench.registry import knows
from mec_bench.results import NRR, Measure, Problem, Result, System
from mec_bench.statistics import Group
from mec_bench.tables import (
    aggregate_sheet,
    difference_sheet,
    digits,
    escaped,
    markdown,
    score_sheet,
)

TITLE = "Offloading policies compared"
LEAD = (
    "All policies of a table decide on the same {samples}, with the policy that training "
    "ended with. Labels in italics are rules, which no training changes. Intervals are nominal "
    "95 % ones."
)


# -- where results come from ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Origin:
    """Results of one label that ran on one system with one set of settings, sorted."""

    label: str
    algorithm: str
    arguments: str
    system: System
    results: tuple[Result, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """One line per scenario and budget: its seeds."""
        seeds: dict[str, list[str]] = {}
        for result in self.results:
            budget = f", {result.timesteps:,} slots" if result.timesteps else ""
            listed = seeds.setdefault(result.scenario + budget, [])
            listed += [] if result.seed is None else [str(result.seed)]
        return tuple(
            f"{name}, seeds {', '.join(listed)}" if listed else name
            for name, listed in seeds.items()
        )

    @property
    def summary(self) -> str:
        """What is always visible."""
        traced = self.system.commit[:12] if self.system.commit else "no commit"
        return f"{self.label}: {_counted(len(self.results), 'result')}, {traced}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What unfolds."""
        facts = [("algorithm", self.algorithm), ("arguments", self.arguments)]
        facts += [("system", described(self.system))]
        facts += [("commit", self.system.commit)] if self.system.commit else []
        return facts + [("runs", run) for run in self.runs]


def origins(results: Iterable[Result]) -> list[Origin]:
    """Sort results by label; there are several of one label where systems or settings differ."""
    found: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        arguments = json.dumps(result.arguments, sort_keys=True)
        key = (result.label, result.algorithm, arguments, described(result.system))
        found.setdefault(key, []).append(result)
    return [
        Origin(label, algorithm, arguments, members[0].system, tuple(sorted(members, key=_order)))
        for (label, algorithm, arguments, _), members in sorted(found.items())
    ]


def _order(result: Result) -> tuple[str, int, int]:
    return result.scenario, result.timesteps, -1 if result.seed is None else result.seed


def described(system: System) -> str:
    """Return a system in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(system.versions.items()))
    return f"{_commit(system)}; {_machine(system)}" + (f"; {versions}" if versions else "")


def _commit(system: System) -> str:
    if system.commit is None:
        return "no commit"
    return f"commit {system.commit[:12]}" + (", files changed since" if system.modified else "")


def _machine(system: System) -> str:
    cores, threads = _counted(system.cores, "core"), _counted(system.threads, "thread")
    return f"{system.processor}, {cores}, {threads}"


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


# -- what a reader should know before comparing ---------------------------------------------------


def _settings(result: Result) -> tuple[Any, ...]:
    return result.algorithm, result.learns, json.dumps(result.arguments, sort_keys=True)


MIXED: tuple[tuple[str, Callable[[System], str]], ...] = (
    ("commits: differences may be the code's", _commit),
    ("machines: times do not compare", _machine),
    ("versions of packages: see the provenance", lambda one: str(sorted(one.versions.items()))),
)
SUSPECT: tuple[tuple[str, Callable[[Group], bool]], ...] = (
    (
        "Results without a commit or a release cannot be traced to code",
        lambda group: any(
            one.system.commit is None and "mec-gym" not in one.system.versions
            for one in group.results
        ),
    ),
    (
        "Files differed from the commit that is named",
        lambda group: any(bool(one.system.modified) for one in group.results),
    ),
    (
        "Seeds of one label differ in algorithm or arguments",
        lambda group: len(set(map(_settings, group.results))) > 1,
    ),
)


def warnings(table: Table) -> list[str]:
    """Return what a reader of a table should know before comparing its rows."""
    found = []
    if table.arena.variant:
        found.append(
            "Results of this scenario's name were measured on different slots: "
            "they stand in separate tables and do not compare."
        )
    for what, of in MIXED:
        different = {of(result.system) for result in table.arena.results}
        if len(different) > 1:
            found.append(f"Rows come from {len(different)} different {what}.")
    for what, applies in SUSPECT:
        labels = [group.label for group in table.arena.groups if applies(group)]
        found += [f"{what}: {', '.join(labels)}."] if labels else []
    return found


NOTHING_LEFT = 0.99
"""A score from which on a rule leaves next to nothing to learn."""


def remark(table: Table) -> str:
    """Return a sentence on a table in which rules leave nothing to learn, else an empty text.

    The optimum is no rule.
    """
    rules = [row for row in table.rows if not row.learns and row.algorithm != "optimal"]
    good = [row for row in rules if row.score.value >= NOTHING_LEFT]
    if not good:
        return ""
    left = digits(100 * (1 - good[0].score.value), 1).text
    others = f"; {len(good)} rules are within 1 %" if len(good) > 1 else ""
    return (
        f"Next to nothing to learn here: a rule, {good[0].label}, lacks {left} % of the "
        f"{table.measure.best}{others}."
    )


def knowledge(table: Table) -> list[tuple[str, str]]:
    """Return labels of a table with what they know, as far as that is known."""
    found = [(row.label, knows(row.algorithm)) for row in table.rows]
    return [(label, words) for label, words in found if words]


# -- everything that is shown, as Markdown, JSON and a page ---------------------------------------


@dataclass(frozen=True)
class Film:
    """Moving pictures for the page: the content of a GIF, and what it shows."""

    gif: bytes
    caption: str

    @property
    def uri(self) -> str:
        """The film as the address of itself."""
        return f"data:image/gif;base64,{base64.b64encode(self.gif).decode()}"


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that leaderboard and page show."""

    comparison: Comparison
    aggregates: tuple[Aggregate, ...]
    origins: tuple[Origin, ...]
    problems: tuple[Problem, ...]
    films: Mapping[str, Film]


def lead(tables: Iterable[Table]) -> str:
    """Return what a reader should know of tables: what their scores are, and how they came."""
    measures = dict.fromkeys(table.measure for table in tables) or (NRR,)
    samples = " or ".join(f"test {one.sample}" for one in measures)
    return " ".join([*(one.definition for one in measures), LEAD.format(samples=samples)])


def content_of(
    results: Iterable[Result],
    problems: Iterable[Problem] = (),
    reference: str | None = None,
    films: Mapping[str, Film] | None = None,
) -> Content:
    """Compare results; the arguments are those of :func:`write_report`."""
    results = list(results)
    comparison = compare(results, reference)
    return Content(
        comparison,
        tuple(one for one in aggregate(comparison.tables, reference) if one.rows),
        tuple(origins(results)),
        tuple(problems),
        films or {},
    )


def leaderboard(results: Iterable[Result], reference: str | None = None) -> str:
    """Return the leaderboard as Markdown; the arguments are those of :func:`compare`.

    Examples
    --------
    >>> from mec_bench.results import EXAMPLE
    >>> [line[:29] for line in leaderboard([EXAMPLE]).splitlines() if "| *" in line]
    ['| *all local* | rule | 0.7500']
    """
    return leaderboard_markdown(content_of(results, reference=reference))


def leaderboard_markdown(content: Content) -> str:
    """Return all tables as Markdown."""
    rules = content.comparison.rules
    parts = [f"# {TITLE}", lead(content.comparison.tables)]
    for summary in content.aggregates:
        parts += [f"## All scenarios: {escaped(summary.title)}"]
        parts += [markdown(aggregate_sheet(summary), rules)]
    for table in content.comparison.tables:
        parts += [f"## {escaped(table.title)}"]
        parts += [f"**Note.** {escaped(warning)}" for warning in warnings(table)]
        parts += [escaped(said) for said in [remark(table)] if said]
        parts += [markdown(score_sheet(table), rules)]
        told = [f"- {escaped(label)}: {escaped(words)}" for label, words in knowledge(table)]
        parts += ["What each policy knows when it decides or learns:", "\n".join(told)] * bool(told)
        if table.differences:
            parts += ["Paired differences:", markdown(difference_sheet(table), rules)]
    if content.problems:
        listed = [f"- {escaped(one.file)}: {escaped(one.reason)}" for one in content.problems]
        parts += ["## Files without a result", "\n".join(listed)]
    return "\n\n".join(parts) + "\n"


def leaderboard_json(content: Content) -> str:
    """Return every figure of the tables as JSON; what is not known is null."""
    plain = {
        "format": "mec-gym/leaderboard",
        "version": 1,
        "aggregates": [
            {
                "title": one.title,
                "measure": one.measure.key,
                "scenarios": [table.arena.name for table in one.tables],
                "reference": one.reference,
                "missing": one.missing,
                "rows": one.rows,
            }
            for one in content.aggregates
        ],
        "tables": [
            {
                "scenario": table.arena.name,
                "timesteps": table.arena.timesteps,
                "measure": table.measure.key,
                "evaluation": table.arena.evaluation,
                "optimum": table.optimum,
                "zero": table.zero,
                "reference": table.reference,
                "warnings": warnings(table),
                "rows": [_named(row, table.measure) for row in table.rows],
                "differences": table.differences,
            }
            for table in content.comparison.tables
        ],
        "problems": content.problems,
    }
    text = json.dumps(plain, default=dataclasses.asdict)
    known = json.loads(text, parse_constant=lambda _: None)  # in place of NaN
    return json.dumps(known, indent=1, allow_nan=False) + "\n"


def _named(row: Row, measure: Measure) -> dict[str, Any]:
    """Return a row with its score under the name of what it is."""
    fields = dataclasses.asdict(row)
    return {measure.key if key == "score" else key: value for key, value in fields.items()}


def report_page(content: Content) -> str:
    """Return the report as one HTML page that needs no other file."""
    from mec_bench.figures import drawn, looks  # matplotlib, which a leaderboard does without

    page = Environment(
        autoescape=True,
        keep_trailing_newline=True,
        loader=FileSystemLoader(Path(__file__).parent),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    ).get_template("report.html.j2")
    return page.render(
        title=TITLE,
        lead=lead(content.comparison.tables),
        size=_size(content),
        figures_of=partial(drawn, looks(content.comparison.labels)),
        rules=content.comparison.rules,
        tables=content.comparison.tables,
        aggregates=content.aggregates,
        origins=content.origins,
        problems=content.problems,
        films=content.films,
        warnings=warnings,
        remark=remark,
        knowledge=knowledge,
        score_sheet=score_sheet,
        difference_sheet=difference_sheet,
        aggregate_sheet=aggregate_sheet,
    )


def _size(content: Content) -> str:
    labels, tables = content.comparison.labels, content.comparison.tables
    results = sum(len(origin.results) for origin in content.origins)
    scenarios = len({table.arena.name for table in tables})
    failed = f"; {_counted(len(content.problems), 'file')} gave none" if content.problems else ""
    return (
        f"{_counted(results, 'result')} of {_counted(len(labels), 'policy', 'policies')} in "
        f"{_counted(scenarios, 'scenario')}{failed}."
    )


def write_report(
    results: Iterable[Result],
    problems: Iterable[Problem],
    folder: str | os.PathLike[str],
    reference: str | None = None,
    films: Mapping[str, Film] | None = None,
) -> list[Path]:
    """Write leaderboard.md, leaderboard.json and report.html, a page that needs no other file.

    The folder is made where it is missing. `problems` are listed: files that gave no result. For
    `reference` and what is raised, see :func:`mec_bench.comparing.compare`. `films`, by the names
    of scenarios, stand on the page above their tables.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_report([], [], folder)]
    ['leaderboard.md', 'leaderboard.json', 'report.html']
    """
    content = content_of(results, problems, reference, films)
    texts = {
        "leaderboard.md": leaderboard_markdown(content),
        "leaderboard.json": leaderboard_json(content),
        "report.html": report_page(content),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        # A path of a problem may hold bytes that are no text.
        (folder / name).write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return [folder / name for name in texts]
