"""Raw results: everything that Section V's page and figures are made of, in one small file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mec_bench.results import Slots, System, require_keys
from mec_gym.files import in_lines, read_figures, write_whole
from reproduction.jobs import Budget, Job, Training

FORMAT, VERSION = "mec-gym/reproduction", 3


@dataclass(frozen=True)
class Raw:
    """What the jobs that are done reached."""

    budget: Mapping[str, Any]
    progress: Mapping[str, Sequence[int]] = field(default_factory=dict)  # jobs done, and in all
    systems: Sequence[Mapping[str, Any]] = ()  # what it ran on, each once
    runs: Sequence[Mapping[str, Any]] = ()
    measurements: Sequence[Mapping[str, Any]] = ()

    def reached(self, system: str, algorithm: str, figure: str) -> dict[int, Any]:
        """Return a figure of an algorithm in a system by seed; empty where there is no run."""
        wanted = {"system": system, "algorithm": algorithm}.items()
        return _by_seed((run["seed"], run[figure]) for run in self.runs if wanted <= run.items())

    def optimum(self, system: str) -> list[float]:
        """Return the mean optimum of a system's frozen slots on every map on which anything ran."""
        runs = [run for run in self.runs if run["system"] == system]
        return list(_by_seed((run["seed"], run["lower_bound"]) for run in runs).values())

    def measured(
        self, kind: str, like: Callable[[Any], bool] = lambda _: True, **arguments: Any
    ) -> dict[int, Mapping[str, Any]]:
        """Return the values of measurements with these arguments, among others, by seed."""
        return _by_seed(
            (given["seed"], one["values"])
            for one in self.measurements
            for given in [one["arguments"]]
            if one["kind"] == kind and arguments.items() <= given.items() and like(given)
        )

    def text(self) -> str:
        """Return the file's content, a record a line."""
        return in_lines({"format": FORMAT, "version": VERSION, **vars(self)})


def _by_seed(pairs: Iterable[tuple[int, Any]]) -> dict[int, Any]:
    found = dict(pairs)
    return {seed: found[seed] for seed in sorted(found)}


def collect(plan: Mapping[str, Iterable[Job]], budget: Budget, runs: Path) -> Raw:
    """Read what the jobs of each table and figure reached that are done, in the plan's order."""
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
        progress=progress,
        systems=[json.loads(text) for text in sorted(systems)],
        runs=[job.record(runs) for job in trained],
        measurements=[job.record(runs) for job in measured],
    )


_RECORDS = {
    "systems": [one.name for one in fields(System)],
    "runs": [
        *("system", "algorithm", "seed", "timesteps", *(one.name for one in fields(Slots))),
        *("decision_ms", "training_s", "learns", "commit"),
    ],
    "measurements": ["kind", "arguments", "values", "commit"],
}


def read_raw(path: str | os.PathLike[str]) -> Raw:
    """Read raw results; ``ValueError`` says which file lacks what."""
    content = read_figures(path, FORMAT, VERSION, "scripts/reproduce.py")
    require_keys(f"{path}", content, [one.name for one in fields(Raw)])
    require_keys(f"{path}: budget", content["budget"], [one.name for one in fields(Budget)])
    for part, keys in _RECORDS.items():
        for index, row in enumerate(content[part]):
            require_keys(f"{path}: {part}[{index}]", row, keys)
    return Raw(**content)


def write_raw(path: Path, raw: Raw) -> None:
    """Write raw results, whole or not at all."""
    write_whole(path, raw.text())
