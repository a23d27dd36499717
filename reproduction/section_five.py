"""The page on Section V: its exhibits' numbers and verdicts, put into words by its template.

Page, figures and raw results are functions of raw results alone; one sentence on Fig. 6 is of the
raw figures of :mod:`reproduction.variants`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reproduction import drawing, jobs, large_systems, medium_system, pages, paper
from reproduction.claims import Exhibit, judged, p_value
from reproduction.pages import MISSING
from reproduction.raw import Raw, write_raw

PAGE, RAW, PICTURES = "reproduction.md", "reproduction.json", "reproduction"
TEMPLATE = "section_five.md.j2"

EXHIBITS: Mapping[str, Callable[[Raw], Exhibit]] = {
    "table2": medium_system.table2,
    "fig3": medium_system.fig3,
    "fig4": medium_system.fig4,
    "fig5": medium_system.fig5,
    "fig6": large_systems.fig6,
    "table3": large_systems.table3,
    "table4": large_systems.table4,
    "table5": large_systems.table5,
    "fig7": large_systems.fig7,
}
"""By the names of :func:`reproduction.jobs.plan`, in the order of the page."""


def page_text(raw: Raw, link: str = RAW) -> str:
    """Return the page in Markdown: the same for the same results."""
    return pages.render(TEMPLATE, raw=link, **_content(raw))


def write_page(raw: Raw, folder: Path, results: Path | None = None) -> Path:
    """Write page, figures (in a folder below) and raw results; return the place of the page."""
    results = results or folder
    write_raw(results / RAW, raw)
    with drawing.style():
        for name, exhibit in EXHIBITS.items():
            if figure := exhibit(raw).figure:
                drawing.save(figure(), folder / PICTURES / f"{name}.svg")
    return pages.write_page(folder / PAGE, results / RAW, TEMPLATE, **_content(raw))


def _content(raw: Raw) -> dict[str, Any]:
    exhibits = {name: exhibit(raw) for name, exhibit in EXHIBITS.items()}
    claims = {key: one for exhibit in exhibits.values() for key, one in exhibit.claims.items()}
    commits = {str(one["commit"]) for one in (*raw.runs, *raw.measurements)}
    return {
        "budget": raw.budget,
        "paper": paper,
        "jobs": jobs,
        "name_of": large_systems.name_of,
        "reached": raw.reached,
        "optimum": raw.optimum,
        "searched": partial(large_systems.searched, raw),
        "against_pso": partial(large_systems.against_pso, raw),
        "progress": raw.progress,
        "verdicts": judged(claims),
        "judged": sum(not math.isnan(p_value(claim)) for claim in claims.values()),
        "several_commits": len(commits) > 1 or commits == {"None"},
        "origins": _origins(raw),
        **{name: exhibit.numbers for name, exhibit in exhibits.items()},
    }


def _origins(raw: Raw) -> dict[str, Any]:
    """Return what it ran on: machines, versions, and runs and measurements by commit."""
    runs, measurements = (
        Counter(one["commit"] for one in part) for part in (raw.runs, raw.measurements)
    )
    common = max(runs, key=lambda one: runs[one], default=None)
    commits = sorted(runs | measurements, key=lambda one: (one is None, -runs[one], str(one)))
    versions = {
        ", ".join(f"{name} {version}" for name, version in sorted(one["versions"].items()))
        for one in raw.systems
    }
    return {
        "machines": sorted({f"{one['processor']}, {one['cores']} cores" for one in raw.systems}),
        "versions": sorted(versions),
        "rows": [
            [
                commit or "not recorded",
                runs[commit],
                measurements[commit],
                MISSING if commit == common else _places(raw, commit),
            ]
            for commit in commits
        ],
    }


def _places(raw: Raw, commit: str | None) -> str:
    """Return the runs and kinds of measurements of a commit."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in raw.runs:
        if run["commit"] == commit:
            seeds.setdefault((run["system"], run["algorithm"]), []).append(run["seed"])
    algorithms: dict[tuple[str, str], list[str]] = {}
    for (system, algorithm), found in seeds.items():
        of_seeds = ", ".join(map(str, sorted(found)))
        algorithms.setdefault((system, of_seeds), []).append(algorithm)
    parts = [f"{of} (seed {n}): {', '.join(who)}" for (of, n), who in sorted(algorithms.items())]
    kinds = sorted({one["kind"] for one in raw.measurements if one["commit"] == commit})
    return "; ".join([*parts, *kinds])
