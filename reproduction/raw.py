"""Raw results: everything that page and figures are made of, in one small file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mec_bench.results import Slots, System, require_keys
from mec_gym.files import read_figures, write_whole
from reproduction.budget import Budget
from reproduction.jobs import Job, Training

FORMAT, VERSION = "mec-gym/reproduction", 3
FILE_NAME = "reproduction.json"


@dataclass(frozen=True)
class Raw:
    """What the jobs that are done reached.

    Attributes
    ----------
    budget : mapping
        The fields of :class:`~reproduction.budget.Budget`.
    systems : sequence of mapping
        What runs and measurements ran on: versions, commit, processor; each once.
    runs : sequence of mapping
        Of trainings: system, algorithm, seed, commit, and means over the frozen slots.
    measurements : sequence of mapping
        kind, arguments, values, commit; None where it was not kept.
    progress : mapping of str to sequence of int
        By table or figure: jobs done, jobs in all.

    Examples
    --------
    >>> run = {"system": "paper-30x2", "algorithm": "dirs", "seed": 0, "objective": 32.0}
    >>> Raw({}, runs=[run]).values("paper-30x2", "dirs", "objective")
    [32.0]
    """

    budget: Mapping[str, Any]
    systems: Sequence[Mapping[str, Any]] = ()
    runs: Sequence[Mapping[str, Any]] = ()
    measurements: Sequence[Mapping[str, Any]] = ()
    progress: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def values(self, system: str, algorithm: str, figure: str) -> list[float]:
        """Return a figure of every seed of an algorithm in a system.

        Parameters
        ----------
        system, algorithm, figure : str
            Of the runs.

        Returns
        -------
        list of float
            By seed; empty where there is no run.
        """
        return [run[figure] for run in self.of(system, algorithm)]

    def by_seed(self, system: str, algorithm: str, figure: str) -> dict[int, float]:
        """Return a figure of an algorithm in a system by seed.

        Parameters
        ----------
        system, algorithm, figure : str
            Of the runs.

        Returns
        -------
        dict of int to float
        """
        return {run["seed"]: run[figure] for run in self.of(system, algorithm)}

    def of(self, system: str, algorithm: str) -> list[Mapping[str, Any]]:
        """Return the runs of an algorithm in a system.

        Parameters
        ----------
        system, algorithm : str
            Of the runs.

        Returns
        -------
        list of mapping
            By seed.
        """
        found = [r for r in self.runs if (r["system"], r["algorithm"]) == (system, algorithm)]
        return sorted(found, key=lambda run: int(run["seed"]))

    def optimum(self, system: str) -> list[float]:
        """Return the mean optimum of a system's frozen slots on every map.

        Parameters
        ----------
        system : str
            Of the runs.

        Returns
        -------
        list of float
            By map, of whatever ran there.
        """
        found = {r["seed"]: r["lower_bound"] for r in self.runs if r["system"] == system}
        return [found[seed] for seed in sorted(found)]

    def measured(self, kind: str, **arguments: Any) -> list[Mapping[str, Any]]:
        """Return the values of measurements.

        Parameters
        ----------
        kind : str
            Of the measurement.
        **arguments
            That they must have had; others may be any.

        Returns
        -------
        list of mapping
            By seed.
        """
        return list(self.measured_by_seed(kind, **arguments).values())

    def measured_by_seed(self, kind: str, **arguments: Any) -> dict[int, Mapping[str, Any]]:
        """Return the values of measurements by seed.

        Parameters
        ----------
        kind : str
            Of the measurement.
        **arguments
            That they must have had; others may be any.

        Returns
        -------
        dict of int to mapping
        """
        found = {
            int(one["arguments"]["seed"]): one["values"]
            for one in self.measurements
            if one["kind"] == kind
            and all(one["arguments"].get(key) == value for key, value in arguments.items())
        }
        return {seed: found[seed] for seed in sorted(found)}

    def text(self) -> str:
        """Return the file's content, a record a line.

        Returns
        -------
        str
        """
        head = {"format": FORMAT, "version": VERSION, **_lists(self)}
        parts = [f" {json.dumps(key)}: {_value(value)}" for key, value in head.items()]
        return "{\n" + ",\n".join(parts) + "\n}\n"


def _lists(raw: Raw) -> dict[str, Any]:
    return {
        "budget": dict(raw.budget),
        "progress": dict(raw.progress),
        "systems": list(raw.systems),
        "runs": list(raw.runs),
        "measurements": list(raw.measurements),
    }


def _value(value: Any) -> str:
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    rows = [json.dumps(row, ensure_ascii=False) for row in value]
    return "[\n  " + ",\n  ".join(rows) + "\n ]" if rows else "[]"


def collect(plan: Mapping[str, Iterable[Job]], budget: Budget, runs: Path) -> Raw:
    """Read what the jobs that are done reached.

    Parameters
    ----------
    plan : mapping of str to iterable of Job
        Jobs by table or figure.
    budget : Budget
        Theirs.
    runs : Path
        Folder of all runs.

    Returns
    -------
    Raw
        In the plan's order, whatever the order in which they were done.
    """
    done: dict[Path, Job] = {}
    progress = {}
    for name, jobs in plan.items():
        wanted = list(jobs)
        ready = [job for job in wanted if job.done(runs)]
        progress[name] = [len(ready), len(wanted)]
        done |= {job.file(runs): job for job in ready}
    trained = [job for job in done.values() if isinstance(job, Training)]
    measured = [job for job in done.values() if not isinstance(job, Training)]
    found = [job.system(runs) for job in done.values()]
    systems = {json.dumps(one, sort_keys=True) for one in found if one is not None}
    return Raw(
        budget=json.loads(json.dumps(asdict(budget))),
        systems=[json.loads(text) for text in sorted(systems)],
        runs=[job.record(runs) for job in trained],
        measurements=[job.record(runs) for job in measured],
        progress=progress,
    )


def read_raw(path: str | os.PathLike[str]) -> Raw:
    """Read raw results.

    Parameters
    ----------
    path : path
        Of a file that :func:`write_raw` wrote.

    Returns
    -------
    Raw

    Raises
    ------
    ValueError
        For a file of another kind or version, or one that lacks something, saying which and what.
    """
    content = read_figures(path, FORMAT, VERSION, "scripts/reproduce.py")
    require_keys(f"{path}", content, [one.name for one in fields(Raw)])
    require_keys(f"{path}: budget", content["budget"], [one.name for one in fields(Budget)])
    for part, keys in (("systems", _SYSTEM), ("runs", _RUN), ("measurements", _MEASUREMENT)):
        for index, row in enumerate(content[part]):
            require_keys(f"{path}: {part}[{index}]", row, keys)
    return Raw(**content)


_SYSTEM = [one.name for one in fields(System)]
_RUN = [
    *("system", "algorithm", "seed", "timesteps", *(one.name for one in fields(Slots))),
    *("decision_ms", "training_s", "learns", "commit"),
]
_MEASUREMENT = ["kind", "arguments", "values", "commit"]


def write_raw(path: str | os.PathLike[str], raw: Raw) -> None:
    """Write raw results, whole or not at all.

    Parameters
    ----------
    path : path
        Of the file.
    raw : Raw
        What to write.

    Examples
    --------
    >>> import tempfile
    >>> from reproduction.budget import QUICK
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_raw(Path(folder, "a.json"), Raw(asdict(QUICK)))
    ...     read_raw(Path(folder, "a.json")).budget["name"]
    'quick'
    """
    write_whole(Path(path), raw.text())
