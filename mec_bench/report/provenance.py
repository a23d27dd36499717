"""Where results come from, and what a reader should know before comparing them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mec_bench.results.record import Result, System
from mec_bench.statistics.comparison import Table
from mec_bench.statistics.grouping import Group


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
    >>> from mec_bench.results.record import EXAMPLE
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
        Of :func:`mec_bench.statistics.comparison.compare`.

    Returns
    -------
    list of str
        One sentence each; empty at best.

    Examples
    --------
    >>> from mec_bench.statistics.comparison import compare
    >>> from mec_bench.results.record import EXAMPLE
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
