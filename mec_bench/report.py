"""Where results come from, and what a reader should know before comparing them."""

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

from mec_bench.comparing import Aggregate, Comparison, Table, aggregate, compare
from mec_bench.results import Problem, Result, System
from mec_bench.statistics import Group
from mec_bench.tables import (
    Cell,
    Sheet,
    aggregate_sheet,
    difference_sheet,
    escaped,
    markdown,
    score_sheet,
)


@dataclass(frozen=True, eq=False)
class Origin:
    """Results of one label that ran on one system with one set of settings.

    Attributes
    ----------
    label, algorithm : str
        The name shown, and the algorithm's.
    arguments : str
        The constructor's, as JSON.
    system : System
        What they ran on.
    results : tuple of Result
        By scenario, timesteps and seed.

    Examples
    --------
    >>> from mec_bench.results import EXAMPLE
    >>> origins([EXAMPLE])[0].runs
    ('two devices',)
    """

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


def origins(results: Iterable[Result]) -> list[Origin]:
    """Sort results by where they come from.

    Parameters
    ----------
    results : iterable of Result
        In any order.

    Returns
    -------
    list of Origin
        By label; several for one label where systems or settings differ.

    Examples
    --------
    >>> origins([])
    []
    """
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
    """Return a system in one line.

    Parameters
    ----------
    system : System
        Of a result.

    Returns
    -------
    str

    Examples
    --------
    >>> described(System({"numpy": "2"}, None, None, "a processor", cores=8, threads=1))
    'no commit; a processor, 8 cores, 1 thread; numpy 2'
    """
    versions = ", ".join(f"{name} {version}" for name, version in sorted(system.versions.items()))
    return f"{_commit(system)}; {_machine(system)}" + (f"; {versions}" if versions else "")


def _commit(system: System) -> str:
    if system.commit is None:
        return "no commit"
    return f"commit {system.commit[:12]}" + (", files changed since" if system.modified else "")


def _machine(system: System) -> str:
    cores = f"{system.cores} core{'s' * (system.cores != 1)}"
    return f"{system.processor}, {cores}, {system.threads} thread{'s' * (system.threads != 1)}"


def _versions(system: System) -> str:
    return json.dumps(dict(system.versions), sort_keys=True)


MIXED: tuple[tuple[str, Callable[[System], str]], ...] = (
    ("commits: differences may be the code's", _commit),
    ("machines: times do not compare", _machine),
    ("versions of packages: see the provenance", _versions),
)


def warnings(table: Table) -> list[str]:
    """Return what a reader of a table should know before comparing its rows.

    Parameters
    ----------
    table : Table
        Of :func:`mec_bench.comparing.compare`.

    Returns
    -------
    list of str
        One sentence each; empty at best.

    Examples
    --------
    >>> from mec_bench.comparing import compare
    >>> from mec_bench.results import EXAMPLE
    >>> warnings(compare([EXAMPLE]).tables[0])
    ['Results without a commit cannot be traced to code: all local.']
    """
    results, groups = table.arena.results, table.arena.groups
    found = []
    if table.arena.variant:
        found.append(
            "Results of this scenario's name were measured on different slots: "
            "they stand in separate tables and do not compare."
        )
    for what, of in MIXED:
        different = {of(result.system) for result in results}
        if len(different) > 1:
            found.append(f"Rows come from {len(different)} different {what}.")
    found += _named("Results without a commit cannot be traced to code", groups, _untraced)
    found += _named("Files differed from the commit that is named", groups, _modified)
    found += _named("Seeds of one label differ in algorithm or arguments", groups, _unequal)
    return found


def _named(what: str, groups: Sequence[Group], applies: Callable[[Group], bool]) -> list[str]:
    labels = [group.label for group in groups if applies(group)]
    return [f"{what}: {', '.join(labels)}."] if labels else []


def _untraced(group: Group) -> bool:
    return any(result.system.commit is None for result in group.results)


def _modified(group: Group) -> bool:
    return any(bool(result.system.modified) for result in group.results)


def _unequal(group: Group) -> bool:
    settings = {
        (result.algorithm, result.learns, json.dumps(result.arguments, sort_keys=True))
        for result in group.results
    }
    return len(settings) > 1


STYLE = """
:root { color-scheme: light dark; --ink: #1b1d21; --paper: #ffffff; --soft: #5d6470;
  --line: #d9dde3; --band: #f5f6f8; --warn: #fff4dc; --edge: #e69f00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16181c; --soft: #a0a7b2;
  --line: #343941; --band: #1e2126; --warn: #33290f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 82rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: .5rem;
  border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 1.75rem 0 .4rem; }
p, li { max-width: 50rem; }
p.note, figcaption, .lead { color: var(--soft); }
p.note, figcaption { font-size: .86rem; margin: .35rem 0; }
nav ul { columns: 2; padding-left: 1.2rem; margin: .5rem 0; }
a { color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums;
  min-width: 60%; }
th, td { padding: .28rem .55rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem;
  overflow-wrap: anywhere; }
thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; white-space: normal; }
thead button { all: unset; cursor: pointer; font-weight: 600; }
thead button:focus-visible { outline: 2px solid var(--edge); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\25b2"; font-size: .7em; }
th[aria-sort=descending] button::after { content: " \\25bc"; font-size: .7em; }
tbody tr:nth-child(even) { background: var(--band); }
tbody, tfoot { border-bottom: 1px solid var(--line); }
tfoot td { color: var(--soft); }
table.text td, table.text th { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.warning { background: var(--warn); border-left: 4px solid var(--edge); padding: .4rem .8rem;
  margin: .6rem 0; max-width: none; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; font-family: inherit; }
details { margin: .4rem 0; }
summary { cursor: pointer; }
details dl { margin: .4rem 0 .8rem 1.1rem; display: grid; grid-template-columns: 8rem 1fr;
  gap: .15rem 1rem; font-size: .86rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb;
    --band: #f3f3f3; --warn: #fff; }
  @page { size: A4 landscape; margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; }
  figure, tr, .warning { break-inside: avoid; }
  table { font-size: 8pt; }
  th, td { padding: .2rem .35rem; }
}
"""

SCRIPT = """
document.querySelectorAll("table.sortable").forEach(function (table) {
  var heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
  heads.forEach(function (head, column) {
    head.querySelector("button").addEventListener("click", function () {
      var before = head.getAttribute("aria-sort");
      var down = before ? before === "ascending" : column > 0;
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      function key(row) { return row.cells[column].dataset.value; }
      Array.from(body.rows).sort(function (one, two) {
        var a = key(one), b = key(two), order;
        if (a === "" || b === "") { return (a === "") - (b === ""); }
        order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
});
addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (one) { one.open = true; });
});
"""


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page that needs no other file.

    Parameters
    ----------
    title : str
        Plain text.
    body : iterable of str
        HTML elements.

    Returns
    -------
    str

    Examples
    --------
    >>> page("a", []).splitlines()[0]
    '<!DOCTYPE html>'
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        *body,
        f"<script>{SCRIPT}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def sheet(content: Sheet, italic: frozenset[str] = frozenset()) -> str:
    """Return a table that its readers can sort, with its notes.

    Parameters
    ----------
    content : Sheet
        What to show.
    italic : frozenset of str
        Labels in italics: rules.

    Returns
    -------
    str

    Examples
    --------
    >>> "&lt;b&gt;" in sheet(Sheet(("label",), ("a hint",), ((Cell("<b>"),),)))
    True
    """
    heads = "".join(
        f'<th scope="col" title="{escape(hint)}"><button type="button">{escape(header)}</button>'
        "</th>"
        for header, hint in zip(content.headers, content.hints, strict=True)
    )
    body = "\n".join(_row(row, italic) for row in content.rows)
    foot = "\n".join(_row(row, italic) for row in content.fixed)
    return "\n".join(
        [
            '<div class="scroll"><table class="sortable">',
            f"<thead><tr>{heads}</tr></thead>",
            f"<tbody>\n{body}\n</tbody>",
            *([f"<tfoot>\n{foot}\n</tfoot>"] if foot else []),
            "</table></div>",
            *(note(one) for one in content.notes),
        ]
    )


def _row(row: tuple[Cell, ...], italic: frozenset[str]) -> str:
    cells = []
    for index, cell in enumerate(row):
        text = escape(cell.text)
        if index == 0 and cell.text in italic:
            text = f"<i>{text}</i>"
        # Text sorts by itself; a dash holds nothing and stays last.
        key = repr(cell.value) if cell.value is not None else cell.text * (index == 0)
        text += f" {escape(cell.mark)}" if cell.mark else ""
        cells.append(f'<td data-value="{escape(key)}">{text}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def text_table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of plain text that stays as it is.

    Parameters
    ----------
    headers : iterable of str
        One per column.
    rows : iterable of iterable of str
        Plain text.

    Returns
    -------
    str

    Examples
    --------
    >>> "<td>&amp;</td>" in text_table(["a"], [["&"]])
    True
    """
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table class="text"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def heading(level: int, text: str, name: str = "") -> str:
    """Return a heading.

    Parameters
    ----------
    level : int
        1 to 6.
    text : str
        Plain text.
    name : str
        To link to.

    Returns
    -------
    str

    Examples
    --------
    >>> heading(2, "a & b", "top")
    '<h2 id="top">a &amp; b</h2>'
    """
    mark = f' id="{escape(name)}"' if name else ""
    return f"<h{level}{mark}>{escape(text)}</h{level}>"


def note(text: str, kind: str = "note") -> str:
    """Return a paragraph.

    Parameters
    ----------
    text : str
        Plain text.
    kind : {"note", "lead", "warning"}
        How it looks.

    Returns
    -------
    str

    Examples
    --------
    >>> note("a")
    '<p class="note">a</p>'
    """
    return f'<p class="{kind}">{escape(text)}</p>'


def figure(drawing: str, caption: str) -> str:
    """Return a figure with its caption.

    Parameters
    ----------
    drawing : str
        An SVG element.
    caption : str
        Plain text.

    Returns
    -------
    str

    Examples
    --------
    >>> figure("<svg></svg>", "a")
    '<figure><svg></svg><figcaption>a</figcaption></figure>'
    """
    return f"<figure>{drawing.strip()}<figcaption>{escape(caption)}</figcaption></figure>"


def folded(summary: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values that unfold.

    Parameters
    ----------
    summary : str
        Plain text, always visible.
    pairs : iterable of (str, str)
        Plain text.

    Returns
    -------
    str

    Examples
    --------
    >>> folded("a", [("b", "c")])
    '<details><summary>a</summary><dl><dt>b</dt><dd>c</dd></dl></details>'
    """
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<details><summary>{escape(summary)}</summary><dl>{listed}</dl></details>"


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
        :func:`mec_bench.comparing.compare`.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If no result has the label `reference`.

    Examples
    --------
    >>> from mec_bench.results import EXAMPLE
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
    parts = [heading(1, TITLE), note(_size(content), "lead"), note(LEAD)]
    parts += [note(MISSING_FIGURES, "warning")] * (draw is None)
    parts += [_contents(content)]
    for index, summary in enumerate(summaries):
        parts += _aggregate_part(summary, f"all-{index}", content.rules, draw)
    for index, table in enumerate(tables):
        parts += _table_part(table, f"table-{index}", content.rules, draw)
    return page(TITLE, [*parts, *_provenance_part(content.origins), *_problems_part(content)])


MISSING_FIGURES = (
    'There are no figures: they need matplotlib: pip install "mec-gym[plots]", or in a clone '
    'pip install ".[plots]".'
)
Draw = Callable[[str, "Aggregate | Table", str], "str | None"]
"""From a figure's title, what it shows and its name to SVG."""


def _drawer(labels: Sequence[str]) -> Draw | None:
    if find_spec("matplotlib") is None:
        return None
    from mec_bench import figures
    from mec_bench.figures import looks

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
    yield heading(2, f"All scenarios: {summary.title}", name)
    yield sheet(aggregate_sheet(summary), rules)
    if draw and summary.rows:
        for number, title in enumerate(("Interquartile means", "Performance profiles")):
            yield figure(draw(title, summary, f"{name}-{number}") or "", CAPTIONS[title])


def _table_part(table: Table, name: str, rules: frozenset[str], draw: Draw | None) -> Iterator[str]:
    yield heading(2, table.title, name)
    for warning in warnings(table):
        yield note(warning, "warning")
    yield sheet(score_sheet(table), rules)
    if table.differences:
        yield heading(3, f"Paired differences to {table.reference}")
        yield sheet(difference_sheet(table), rules)
    if draw:
        for number, title in enumerate(("Learning curves", "Slots", "Speed")):
            drawn = draw(title, table, f"{name}-{number}")
            if drawn:
                yield figure(drawn, CAPTIONS[title])


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
    yield heading(2, "Provenance", "provenance")
    for origin in found:
        pairs = [("algorithm", origin.algorithm), ("arguments", origin.arguments)]
        pairs += [("system", described(origin.system))]
        if origin.system.commit:
            pairs += [("commit", origin.system.commit)]
        pairs += [("runs", run) for run in origin.runs]
        traced = origin.system.commit[:12] if origin.system.commit else "no commit"
        summary = f"{origin.label}: {_counted(len(origin.results), 'result')}, {traced}"
        yield folded(summary, pairs)


def _problems_part(content: Report) -> Iterator[str]:
    if content.problems:
        yield heading(2, "Files without a result", "problems")
        rows = [(problem.file, problem.reason) for problem in content.problems]
        yield text_table(["file", "why"], rows)
