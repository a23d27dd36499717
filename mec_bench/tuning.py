"""Tuning: the same budget for every learner, on slots and seeds that no result is of."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mec_bench import registry
from mec_bench.cards import SETTINGS_FORMAT
from mec_bench.importing import name_of
from mec_bench.matrix import VERSION, plan, variant
from mec_bench.measuring import EPISODES, LAYOUTS, TUNING_SEED, Frozen, frozen
from mec_bench.results import FILE_NAME, CurvePoint, EpisodesPoint, plain_json
from mec_bench.run import Run, RunFolder, Settings, slug
from mec_bench.searching import (
    PARTS,
    Space,
    Trial,
    TriedRun,
    ends,
    is_behind,
    optuna_here,
    plain_name,
    space_of,
    suggested,
    trial_of,
)
from mec_bench.system import system
from mec_bench.training import carried_out, require_device
from mec_gym import Scenario
from mec_gym.files import in_lines, read_object, require_record, write_whole
from mec_gym.validation import require_integer

FEWEST_SEEDS = 3
"""With fewer, tuning chooses the luck of one seed."""

_Systems = str | os.PathLike[str] | Scenario
_FAULTS = (ArithmeticError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Tuned:
    """What a study has found.

    Attributes
    ----------
    file : Path
        The study on record, and a settings file: ``--config`` takes it.
    algorithm : str
        As given.
    chosen : dict
        The best settings, those given for all trials included.
    best : Trial
        The trial that they are of; its `value` is the mean score, [1], over scenarios and seeds.
    trials : tuple of Trial
        All, those that were given up included.
    """

    file: Path
    algorithm: str
    chosen: dict[str, Any]
    best: Trial
    trials: tuple[Trial, ...]


def tune(
    algorithm: str | Callable[..., Any],
    scenarios: _Systems | Sequence[_Systems],
    *,
    timesteps: int | str | Mapping[str, int],
    space: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    trials: int = 20,
    seeds: int = 3,
    arguments: Mapping[str, Any] | None = None,
    layouts: int | None = None,
    out: str | os.PathLike[str] = "studies",
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> Tuned:
    """Search for an algorithm's settings by Optuna; go on where the folder holds the same study.

    A trial trains with every seed in every scenario; its value is the mean score of the final
    policies, NRR or hindsight ratio. The first trial is the algorithm as it is. With five complete
    trials to compare it with, one is given up as soon as its mean so far is below the median of
    theirs at the same point: in its first run, or after a seed. Seeds, slots and episodes are apart
    from those of every result.

    Parameters
    ----------
    algorithm : str, type
        As for :func:`mec_bench.algorithm`; one that learns.
    scenarios : str, path, Scenario or sequence of these
        Where it has to do well.
    timesteps : int, mapping or "paper", [slot]
        Of each run: for all scenarios, by their names, or the paper's.
    space : mapping or path, optional
        By argument ``{"choices": [...]}``, or ``{"low": 1e-4, "high": 1e-2}`` with ``"log": True``
        or a ``"step"``; whole numbers as both ends make whole numbers. A dot reaches into a
        dictionary, "policy_kwargs.net_arch", and "env.n_envs" is the env's. The project's learners
        come with one.
    trials, seeds : int
        How many; at least three seeds.
    arguments : mapping, optional
        Settings of all trials, the first included.
    layouts : int, optional
        Of the slots that policies are judged on, by default 20, with five slots each; of a world
        that moves episodes, 10 of 100 slots.
    out : path
        Folder of studies.
    device : str
        Torch's.
    say : callable
        Is called with a line for every trial.

    Raises
    ------
    ModuleNotFoundError
        Without Optuna: the extra "tune" brings it.
    TypeError, ValueError
        For an unknown argument or a wrong range; an algorithm that does not learn; a file of
        another study.
    BlockingIOError
        If another process is at the study.

    Notes
    -----
    A run that diverges counts 0, and so does one that fails once another trial is complete; before
    that its error ends the study.

    Examples
    --------
    >>> import tempfile
    >>> from mec_gym import Scenario
    >>> small = Scenario(n_devices=3, n_servers=1, name="small")
    >>> space = {"batch_size": {"choices": [8, 16]}}
    >>> with tempfile.TemporaryDirectory() as out:
    ...     found = tune("ac", small, timesteps=64, space=space, trials=2, layouts=2, out=out)
    >>> [trial.arguments for trial in found.trials][0], len(found.best.runs)
    ({}, 3)
    """
    optuna_here()
    require_device(str(device))
    require_integer("trials", trials, 1)
    require_integer("seeds", seeds, FEWEST_SEEDS)
    if layouts is not None:
        require_integer("layouts", layouts, 1)
    given = [scenarios] if isinstance(scenarios, (str, os.PathLike, Scenario)) else [*scenarios]
    name = str(name_of("algorithm", algorithm))
    base = plain_json(dict(arguments or {}), "arguments")
    study = _Study(
        name=name,
        systems=tuple(map(Scenario.resolve, given)),
        timesteps=timesteps,
        space=space_of(str(base.get("algorithm", name)), space),
        seeds=tuple(map(training_seed, range(seeds))),
        base=base,
        layouts=layouts,
        out=Path(out),
        device=str(device),
    )
    study.require_fitting()
    with RunFolder(study.folder).locked():
        found = study.carried_out(int(trials), say)
        shutil.rmtree(study.folder, ignore_errors=True)
    return found


def training_seed(number: int) -> int:
    """Return a seed to tune with: no count of seeds, ``--seeds 10``, reaches as far.

    >>> min(map(training_seed, range(1000))) >= 2**31
    True
    """
    drawn = np.random.SeedSequence([TUNING_SEED, number]).generate_state(1)[0]
    return int(drawn) | 2**31


class _Behind(BaseException):
    """Ends a run whose trial is given up."""


@dataclass(frozen=True, kw_only=True)
class _Study:
    """A study: what determines it, and its files."""

    name: str
    systems: tuple[Scenario, ...]
    timesteps: int | str | Mapping[str, int]
    space: Space
    seeds: tuple[int, ...]
    base: dict[str, Any]
    layouts: int | None
    out: Path
    device: str

    @property
    def folder(self) -> Path:
        """Where the runs of the trial under way lie."""
        names = [plain_name(self.name), *(one.name or "scenario" for one in self.systems)]
        return self.out / slug("-".join(names))

    @property
    def file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.json")

    def require_fitting(self) -> None:
        """Refuse what cannot be trained before anything is."""
        for arguments in ({}, *ends(self.space)):
            fields = variant(self.name, self.base | arguments)
            if not registry.algorithm(fields["algorithm"], fields["arguments"]).learns:
                raise ValueError(f"algorithm must be one that learns; {self.name} does not.")
            self.runs(arguments)

    def runs(self, arguments: Mapping[str, Any], number: int = 0) -> list[Settings]:
        """Return the runs of a trial: with the first seed in every scenario, then the next."""
        settings = {self.name: self.base | dict(arguments)}
        planned = plan(
            [self.name],
            self.systems,
            self.seeds,
            self.timesteps,
            settings,
            label=f"trial {number}",
            measurements=PARTS,
            checkpoints=0,
            device=self.device,
        )
        return sorted(planned, key=lambda run: self.seeds.index(run.seed))

    def carried_out(self, wanted: int, say: Callable[[str], None]) -> Tuned:
        judged = {one.name: self._judged(one) for one in self.systems}
        identity = self._identity(judged)
        trials, systems = self._on_record(identity)
        self._write(identity, systems, trials, wanted)
        for number in range(len(trials), wanted):
            trial = self._tried(number, trials, judged)
            trials = [*trials, trial]
            systems = [*systems, dataclasses.asdict(system())]
            self._write(identity, systems, trials, wanted)
            shutil.rmtree(self.folder / "runs", ignore_errors=True)
            say(_line(trial, wanted, len(self.seeds) * len(self.systems)))
        best = _best(trials)
        return Tuned(self.file, self.name, self._chosen(best), best, tuple(trials))

    def _judged(self, scenario: Scenario) -> Frozen:
        usual = (EPISODES if scenario.dynamic else LAYOUTS) // 2
        return frozen(scenario, layouts=self.layouts or usual, seed=TUNING_SEED)

    # -- a trial -----------------------------------------------------------------------------------

    def _tried(self, number: int, before: Sequence[Trial], judged: Mapping[str, Frozen]) -> Trial:
        arguments = suggested(self.space, before, TUNING_SEED)
        runs: list[TriedRun] = []
        planned = self.runs(arguments, number)
        try:
            for settings in planned:
                runs.append(self._trained(settings, runs, before, judged))
                left = len(planned) - len(runs)
                if runs[-1].score is None or (left and is_behind(runs, before)):
                    return Trial(number, arguments, None, runs)
        except Exception:
            for settings in planned:  # what is not done begins anew
                folder = self.folder / "runs" / settings.place
                if not (folder / FILE_NAME).exists():
                    shutil.rmtree(folder, ignore_errors=True)
            raise
        scores = [run.score or 0.0 for run in runs]
        return Trial(number, arguments, float(np.mean(scores)), runs)

    def _trained(
        self,
        settings: Settings,
        done: Sequence[TriedRun],
        before: Sequence[Trial],
        judged: Mapping[str, Frozen],
    ) -> TriedRun:
        folder = self.folder / "runs" / settings.place
        curve = RunFolder(folder).read_curve

        def heard(point: CurvePoint | EpisodesPoint) -> None:
            under_way = point.timesteps < settings.timesteps  # the end is judged by the result
            if under_way and is_behind([*done, _run_of(settings, curve(), None)], before):
                raise _Behind

        known = judged[settings.scenario.name]
        try:
            result = carried_out(Run(settings, folder, frozen=known, heard=heard))
        except _Behind:
            return _run_of(settings, curve(), None)
        except _FAULTS as error:
            if not isinstance(error, ArithmeticError) and not before:
                raise  # nothing says yet that it can be trained at all
            return _run_of(settings, curve(), 0.0, f"{type(error).__name__}: {error}")
        return _run_of(settings, result.curve, float(np.mean(result.slots.score)))

    # -- on record ---------------------------------------------------------------------------------

    def _identity(self, judged: Mapping[str, Frozen]) -> dict[str, Any]:
        """Return what another study differs by, as JSON gives it back."""
        slots = {run.scenario.name: run.timesteps for run in self.runs({})}
        on = {name: dataclasses.asdict(one.evaluation) for name, one in judged.items()}
        return {
            "algorithm": self.name,
            "scenarios": [json.loads(one.to_json()) for one in self.systems],
            "slots": slots,
            "seeds": list(self.seeds),
            # The gap says how well a machine has solved them, not which they are.
            "judged_on": {
                name: {key: value for key, value in one.items() if key != "gap"}
                for name, one in on.items()
            },
            "measure": {name: one.measure.key for name, one in judged.items()},
            "arguments": self.base,
            "space": self.space,
        }

    def _on_record(self, identity: dict[str, Any]) -> tuple[list[Trial], list[Any]]:
        """Return the trials that are there, and what they ran on; ``ValueError`` for another's."""
        if not self.file.exists():
            return [], []
        record = read_object(self.file)
        require_record(self.file, record, ["study", "trials", "systems"])
        differ = [key for key, value in identity.items() if record["study"].get(key) != value]
        if differ and record["trials"]:
            raise ValueError(
                f"{self.file} holds another study: its {', '.join(differ)} differ. Choose another "
                "--out (out=), or delete it."
            )
        if differ:
            shutil.rmtree(self.folder / "runs", ignore_errors=True)
        systems = [record["systems"][one["system"]] for one in record["trials"]]
        return [trial_of(one) for one in record["trials"]], systems

    def _write(
        self, identity: dict[str, Any], systems: Sequence[Any], trials: Sequence[Trial], wanted: int
    ) -> None:
        known: list[Any] = []
        known += [one for index, one in enumerate(systems) if one not in systems[:index]]
        best = _best(trials) if trials else None
        record = {
            "format": SETTINGS_FORMAT,
            "version": VERSION,
            "algorithm": self.name,
            "holds_for": [one.name for one in self.systems],
            "chosen": self._chosen(best),
            "best_trial": best.number if best else None,
            "mean_score": best.value if best else None,
            "budget": {
                "trials": max(wanted, len(trials)),
                "seeds": len(self.seeds),
                "slots": identity["slots"],
            },
            "study": identity,
            "systems": known,
            "trials": [
                dataclasses.asdict(trial) | {"system": known.index(ran_on)}
                for trial, ran_on in zip(trials, systems, strict=True)
            ],
        }
        write_whole(self.file, in_lines(record))

    def _chosen(self, best: Trial | None) -> dict[str, Any]:
        return self.base | (dict(best.arguments) if best else {})


def _best(trials: Sequence[Trial]) -> Trial:
    return max(trials, key=lambda trial: -1.0 if trial.value is None else trial.value)


def _run_of(
    settings: Settings,
    points: Sequence[CurvePoint | EpisodesPoint],
    score: float | None,
    error: str = "",
) -> TriedRun:
    return TriedRun(
        scenario=settings.scenario.name or "scenario",
        seed=settings.seed,
        timesteps=settings.timesteps,
        score=score,
        curve=[[point.timesteps, point.score] for point in points],
        seconds=round(points[-1].seconds, 1) if points else 0.0,
        error=error,
    )


def _line(trial: Trial, wanted: int, runs: int) -> str:
    """Return what a trial has come to, in a line."""
    settings = ", ".join(f"{key}={value}" for key, value in trial.arguments.items())
    said = f"{trial.number + 1}/{wanted} trial {trial.number}: "
    if trial.value is None:
        now = list(trial.reached.values())[-1]
        said += f"given up at {now:.4f} in run {len(trial.runs)} of {runs}"
    else:
        scores = " ".join(f"{run.score:.4f}" for run in trial.runs)
        said += f"{trial.value:.4f} ({scores})"
    return f"{said}; {settings or 'as it is'}"
