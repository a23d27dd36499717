"""Jobs: the training runs and measurements that tables and figures are made of, and their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mec_bench.registry import algorithm
from mec_bench.results import read_result
from mec_bench.run import RunFolder, Settings
from mec_gym.files import read_object, require_record
from reproduction.budget import Budget
from reproduction.systems import SLOTS, scenario_of, section_of


@dataclass(frozen=True)
class Training:
    """A run of :func:`mec_bench.training.train`; also a rule, which does not learn.

    Attributes
    ----------
    settings : Settings
        What to run.

    Examples
    --------
    >>> from reproduction.budget import FULL
    >>> training("paper-180x8", "optimal", 0, FULL).words
    'optimal, paper-180x8, seed 0'
    """

    settings: Settings

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.settings.seed

    @property
    def words(self) -> str:
        """What it is, for a line of progress."""
        return f"{self.settings.label}, {self.settings.scenario.name}, seed {self.seed}"

    def file(self, runs: Path) -> Path:
        """Return where its result lies.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        Path
        """
        return runs / self.settings.place / "result.json"

    def done(self, runs: Path) -> bool:
        """Return whether the result is there and is that of these settings.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        bool
        """
        if not self.file(runs).exists():
            return False
        return RunFolder(runs / self.settings.place).settings() == self.settings

    def system(self, runs: Path) -> Mapping[str, Any]:
        """Return what it ran on.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        mapping
        """
        return asdict(read_result(self.file(runs)).system)

    def record(self, runs: Path) -> dict[str, Any]:
        """Return what the page needs of the result: means over the frozen slots.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        dict
        """
        result = read_result(self.file(runs))
        grids = vars(result.slots)
        means = {key: rounded(_mean(rows)) for key, rows in grids.items()}
        return {
            "system": result.scenario,
            "algorithm": result.label,
            "seed": result.seed,
            "timesteps": result.timesteps,
            **means,
            "decision_ms": rounded(result.decision_ms.single),
            "training_s": rounded(result.seconds.training or 0.0),
            "learns": result.learns,
            "commit": mark(vars(result.system)),
        }


@dataclass(frozen=True)
class Measurement:
    """Something that a table or figure needs and no result record holds, e.g. a loss curve.

    Attributes
    ----------
    kind : str
        A key of :data:`reproduction.measurements.KINDS`.
    arguments : mapping
        Of the function there; JSON.

    Examples
    --------
    >>> Measurement("losses", {"seed": 3}).words
    'losses, seed=3'
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Of the measurement."""
        return int(self.arguments.get("seed", 0))

    @property
    def words(self) -> str:
        """What it is, for a line of progress."""
        return ", ".join([self.kind, *(f"{key}={value}" for key, value in self.arguments.items())])

    def file(self, runs: Path) -> Path:
        """Return where its values lie.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        Path
        """
        text = json.dumps(dict(self.arguments), sort_keys=True)
        mark = hashlib.sha256(text.encode()).hexdigest()[:12]
        return runs / "measurements" / f"{self.kind}-seed-{self.seed}-{mark}.json"

    def done(self, runs: Path) -> bool:
        """Return whether its values are there.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        bool
        """
        return self.file(runs).exists()

    def record(self, runs: Path) -> dict[str, Any]:
        """Return the values, with kind, arguments and commit.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        dict
        """
        content = self._content(runs)
        kept = {key: content[key] for key in ("kind", "arguments", "values")}
        return kept | {"commit": mark(content.get("system"))}

    def system(self, runs: Path) -> Mapping[str, Any] | None:
        """Return what it ran on.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        mapping or None
            None of a measurement that was made before it was kept.
        """
        found: Mapping[str, Any] | None = self._content(runs).get("system")
        return found

    def _content(self, runs: Path) -> dict[str, Any]:
        content = read_object(self.file(runs))
        require_record(self.file(runs), content, ["kind", "arguments", "values"])
        return content


Job = Training | Measurement


def training(system: str, name: str, seed: int, budget: Budget) -> Training:
    """Return the run of an algorithm in a system, on the seed's own map.

    Parameters
    ----------
    system : str
        As for :func:`reproduction.systems.scenario_of`.
    name : str
        As for :func:`mec_bench.algorithm`.
    seed : int
        Of training and map.
    budget : Budget
        What to spend.

    Returns
    -------
    Training
    """
    learns = algorithm(name).learns
    return Training(
        Settings(
            algorithm=name,
            scenario=scenario_of(system, layout_seed=seed),
            timesteps=budget.timesteps(name, SLOTS[section_of(system)]) if learns else 0,
            seed=seed,
            arguments=budget.arguments.get(name, {}),
            label=name,
            measurements=1,
            checkpoints=0,  # a run is short, and its checkpoints are large
        )
    )


def trainings(systems: Iterable[str], wanted: Sequence[str], budget: Budget) -> list[Job]:
    """Return the runs of algorithms in systems.

    Parameters
    ----------
    systems : iterable of str
        Names.
    wanted : sequence of str
        Names of algorithms.
    budget : Budget
        What to spend.

    Returns
    -------
    list of Training

    Examples
    --------
    >>> from reproduction.budget import QUICK
    >>> len(trainings(["paper-180x8"], ["local", "optimal"], QUICK))
    4
    """
    return [
        training(system, name, seed, budget)
        for system in systems
        for name in wanted
        for seed in range(budget.seeds)
    ]


def rounded(value: float) -> float:
    """Return a number with seven significant digits: more would say nothing and weigh more.

    Parameters
    ----------
    value : float
        Any.

    Returns
    -------
    float

    Examples
    --------
    >>> rounded(1 / 3)
    0.3333333
    """
    return float(f"{value:.7g}")


def mark(system: Mapping[str, Any] | None) -> str | None:
    """Return the mark of the code that something ran on.

    Parameters
    ----------
    system : mapping or None
        The fields of :class:`mec_bench.results.System`; None where none was kept.

    Returns
    -------
    str or None
        The commit in short, with a plus where files differed from it.

    Examples
    --------
    >>> mark({"commit": "36dc831aaa", "modified": True}), mark(None)
    ('36dc831+', None)
    """
    if system is None or system["commit"] is None:
        return None
    return str(system["commit"])[:7] + "+" * bool(system["modified"])


def _mean(rows: Sequence[Sequence[float]]) -> float:
    values = [value for row in rows for value in row]
    return sum(values) / len(values)
