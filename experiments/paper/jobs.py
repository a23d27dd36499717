"""Jobs: the training runs and measurements that tables and figures are made of, and their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.algorithms import algorithm, names
from experiments.paper.budget import Budget
from experiments.paper.systems import SLOTS, scenario_of, section_of
from experiments.results.files import read_result
from experiments.running.folder import RunFolder
from experiments.settings import Settings


@dataclass(frozen=True)
class Training:
    """A run of :func:`experiments.running.training.train`; also a rule, which does not learn.

    Attributes
    ----------
    settings : Settings
        What to run.

    Examples
    --------
    >>> from experiments.paper.budget import FULL
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
        }


@dataclass(frozen=True)
class Measurement:
    """Something that a table or figure needs and no result record holds, e.g. a loss curve.

    Attributes
    ----------
    kind : str
        A key of :data:`experiments.paper.measurements.KINDS`.
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
        """Return the values, with kind and arguments.

        Parameters
        ----------
        runs : Path
            Folder of all runs.

        Returns
        -------
        dict
        """
        content: dict[str, Any] = json.loads(self.file(runs).read_text(encoding="utf-8"))
        return content


Job = Training | Measurement


def training(system: str, name: str, seed: int, budget: Budget) -> Training:
    """Return the run of an algorithm in a system, on the seed's own map.

    Parameters
    ----------
    system : str
        As for :func:`experiments.paper.systems.scenario_of`.
    name : str
        As for :func:`experiments.algorithm`.
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
    """Return the runs of algorithms in systems; those that do not exist here are left out.

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
    >>> from experiments.paper.budget import QUICK
    >>> len(trainings(["paper-180x8"], ["local", "no-such-algorithm"], QUICK))
    2
    """
    known = [name for name in wanted if name in names()]
    return [
        training(system, name, seed, budget)
        for system in systems
        for name in known
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


def _mean(rows: Sequence[Sequence[float]]) -> float:
    values = [value for row in rows for value in row]
    return sum(values) / len(values)
