"""What runs and measurements ran on, and which commit each is of."""

from __future__ import annotations

from collections import Counter

from mec_bench.tables import table
from reproduction.raw import Raw
from reproduction.wording import MISSING, paragraphs

TITLE = "What it ran on"

_WARNING = """**Not everything here comes from one known state of the code**: a difference between
two rows may be one of the code. By count: [{title}](#{anchor})."""


def warning(raw: Raw) -> str:
    """Return a warning where not everything is known to be of one commit.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
        Empty where everything is.

    Examples
    --------
    >>> run = {"commit": "a1b2c3d"}
    >>> warning(Raw({}, runs=[run, run])), warning(Raw({}, runs=[run, {"commit": None}]))[:21]
    ('', '**Not everything here')
    """
    commits = {str(one["commit"]) for one in (*raw.runs, *raw.measurements)}
    if len(commits) < 2 and commits != {"None"}:
        return ""
    return _WARNING.format(title=TITLE, anchor=TITLE.lower().replace(" ", "-"))


def section(raw: Raw) -> str:
    """Return the section on machines, versions and commits.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
        Empty where nothing ran.
    """
    if not raw.systems:
        return ""
    names = sorted({f"{one['processor']}, {one['cores']} cores" for one in raw.systems})
    versions = sorted(
        {
            ", ".join(f"{name} {one['versions'][name]}" for name in sorted(one["versions"]))
            for one in raw.systems
        }
    )
    return paragraphs(
        f"## {TITLE}",
        f"{'; '.join(names)}; one thread each. {'; '.join(versions)}.",
        _table(raw),
    )


def _table(raw: Raw) -> str:
    """Return how many runs and measurements come from which commit; where the rarer ones are."""
    runs, measurements = (
        Counter(one["commit"] for one in part) for part in (raw.runs, raw.measurements)
    )
    common = runs.most_common(1)[0][0] if runs else None
    commits = sorted(runs | measurements, key=lambda one: (one is None, -runs[one], str(one)))
    rows = [
        [
            commit or "not recorded",
            str(runs[commit]),
            str(measurements[commit]),
            MISSING if commit == common else _places(raw, commit),
        ]
        for commit in commits
    ]
    return table(["commit", "runs", "measurements", "which, if not the commonest"], rows)


def _places(raw: Raw, commit: str | None) -> str:
    """Return the runs and kinds of measurements of a commit."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in raw.runs:
        if run["commit"] == commit:
            seeds.setdefault((run["system"], run["algorithm"]), []).append(run["seed"])
    algorithms: dict[tuple[str, str], list[str]] = {}
    for (system, algorithm), found in seeds.items():
        listed = ", ".join(map(str, sorted(found)))
        algorithms.setdefault((system, listed), []).append(algorithm)
    parts = [f"{of} (seed {n}): {', '.join(who)}" for (of, n), who in sorted(algorithms.items())]
    kinds = sorted({one["kind"] for one in raw.measurements if one["commit"] == commit})
    return "; ".join([*parts, *kinds])
