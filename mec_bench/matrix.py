"""A matrix of runs: every algorithm on every scenario with every seed, planned and carried out."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

from mec_bench.cards import SETTINGS, SETTINGS_FORMAT, settings_names
from mec_bench.importing import name_of
from mec_bench.launching import Launcher, RunOutcome, Task, before, sentence
from mec_bench.registry import algorithm, changes, whole
from mec_bench.results import Result
from mec_bench.run import USUAL_ENV, RunFolder, Settings, label_of, taking_requests
from mec_gym import Scenario
from mec_gym.files import read_object, require_record
from mec_gym.validation import plain, require_known, suggestion

PAPER_TIMESTEPS = {(30, 2): 3000, (180, 8): 4000, (200, 10): 5000}
"""Slots of training in the paper's figures, by numbers of devices and servers."""

VERSION = 3
"""Of a record of settings that were found, by :func:`mec_bench.tune` or in baselines/settings."""

_READ = (2, VERSION)
"""Version 2 had one seed per trial; what was chosen stands in the same place."""

_PLACES = (Path(), Path("baselines/settings"))
_ALGORITHM, _ENV = "algorithm", "env."


def plan(
    algos: Sequence[str | Callable[..., Any]],
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    timesteps: int | str | Mapping[str, int],
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    config: Path | None = None,
    **options: Any,
) -> list[Settings]:
    """Return every run of a matrix, all algorithms of one scenario and seed in turn.

    What does not learn runs once, with seed 0. `timesteps` is a number of slots, a mapping by the
    scenario's name, or "paper". `changed` has settings by the name of an algorithm or variant, as
    for :func:`variant`; `config` is the file that they come from, whose name then stands for them
    in labels. `options` are further fields of :class:`mec_bench.Settings`, for all runs.

    Examples
    --------
    >>> small = Scenario.preset("paper-30x2")
    >>> [f"{run.label} {run.seed}" for run in plan(["dirs", "greedy"], [small], [0, 1], "paper")]
    ['dirs 0', 'greedy 0', 'dirs 1']
    """
    changed, named = dict(changed or {}), [name_of("algorithm", one) for one in algos]
    _require_among("settings", changed, "algorithms", named)
    if isinstance(timesteps, Mapping):
        for scenario in scenarios:
            _budget(scenario, timesteps)
        names = dict.fromkeys(name for scenario in scenarios for name in _names_of(scenario))
        _require_among("timesteps", timesteps, "scenarios", list(names))
    runs, tables = [], configured(config)
    for scenario in scenarios:
        variants = [variant(name, changed.get(name, {})) for name in named]
        # Before anything is trained: a wrong name or argument is the first word.
        learners = [algorithm(one["algorithm"], one["arguments"]).learns for one in variants]
        budget = _budget(scenario, timesteps) if any(learners) else 0
        for number, seed in enumerate(seeds):
            for name, fields, learns in zip(named, variants, learners, strict=True):
                if learns or number == 0:
                    own = {"seed": seed, "timesteps": budget} if learns else {"timesteps": 0}
                    run = {"scenario": scenario} | fields | own | options
                    runs.append(_labelled(run, config, tables.get(name)))
    _require_apart(runs)
    return runs


def variant(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of :class:`mec_bench.Settings` that settings by one name stand for.

    They are constructor arguments but for the env's settings, ``env.n_envs``, ``env.reward`` and
    ``env.observation``, and the ``algorithm`` where the name is one of your own.

    >>> variant("sb3:PPO", {"gamma": 0.0, "env.n_envs": 64})
    {'n_envs': 64, 'algorithm': 'sb3:PPO', 'arguments': {'gamma': 0.0}}
    """
    arguments = dict(given)
    env = {key[len(_ENV) :]: arguments.pop(key) for key in given if key.startswith(_ENV)}
    require_known(f"{name}: setting of the env", env, USUAL_ENV)
    if _ALGORITHM in arguments:
        env["label"] = name
    return env | {"algorithm": arguments.pop(_ALGORITHM, name), "arguments": arguments}


def _labelled(
    fields: Mapping[str, Any], config: Path | None, table: Mapping[str, Any] | None
) -> Settings:
    """Return settings of these fields; in their label a file's name stands for its `table`."""
    run = Settings(**fields)
    if config is None or not table or fields.get("label"):
        return run
    further = {key: value for key, value in run.changed.items() if table.get(key) != value}
    return replace(run, label=label_of(run.algorithm, further, config.stem))


def _require_among(what: str, given: Iterable[str], kind: str, there: Sequence[str]) -> None:
    for name in given:
        if name not in there:
            raise ValueError(
                f"{what} are given for {name!r}, which is not among the {kind} "
                f"{', '.join(there)}{suggestion(name, there)}."
            )


def _require_apart(runs: Sequence[Settings]) -> None:
    places: dict[Path, Settings] = {}
    for run in runs:
        other = places.setdefault(run.place, run)
        if other is not run:
            raise ValueError(
                f"two runs would share the folder {run.place}: {other.label!r} and {run.label!r} "
                f"on {run.scenario.name!r}. Name each algorithm, scenario and seed once; scenarios "
                "need names of their own."
            )


def _names_of(scenario: Scenario) -> tuple[str, str]:
    """Return a scenario's name, also without the fields that --scenario-set puts in brackets."""
    return scenario.name, scenario.name.partition("[")[0]


def _budget(scenario: Scenario, timesteps: int | str | Mapping[str, int]) -> int:
    timesteps = plain(timesteps)
    if isinstance(timesteps, int):
        return timesteps
    if isinstance(timesteps, Mapping):
        for name in _names_of(scenario):
            if name in timesteps:
                return timesteps[name]
        raise ValueError(
            f"timesteps are given for {', '.join(timesteps)}, but not for {scenario.name}."
        )
    size = (scenario.n_devices, scenario.n_servers)
    if timesteps != "paper" or size not in PAPER_TIMESTEPS:
        sizes = ", ".join(f"{n} x {m}" for n, m in PAPER_TIMESTEPS)
        raise ValueError(
            f"timesteps must be a number of slots, or 'paper' for the paper's sizes ({sizes}); got "
            f"{timesteps!r} for {scenario.name}, {size[0]} x {size[1]}."
        )
    return PAPER_TIMESTEPS[size]


# -- from a command line -----------------------------------------------------------------------


def seeds_of(text: str) -> list[int]:
    """Return the seeds that a word means."""
    parts = [part for part in text.split(",") if part.strip()]
    if not parts or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"seeds must be a number, or a list like 0,3,7 or 3,; got {text!r}.")
    found = [int(part) for part in parts]
    if "," not in text:
        found = list(range(found[0]))
    if not found:
        raise ValueError("seeds must be at least one; got 0.")
    return found


def timesteps_of(words: Sequence[str]) -> int | str | dict[str, int]:
    """Return the budget that words mean."""
    if len(words) == 1 and "=" not in words[0]:
        number = whole(words[0])
        return words[0] if number is None else number
    found: dict[str, int] = {}
    for word in words:
        name, _, text = word.rpartition("=")  # a name may hold what was changed, a=b
        number = whole(text)
        if not name or number is None or name in found:
            raise ValueError(
                f"timesteps are given as scenario=number, once for each scenario; got {word!r}."
            )
        found[name] = number
    return found


def changes_of(
    algos: Sequence[str], pairs: Iterable[str], config: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Return settings by algorithm, of a file and of ``algorithm:key=value`` words."""
    found = configured(config)
    for pair in pairs:
        # The longest name wins: dirs:prices is an algorithm, too.
        name = max((a for a in algos if pair.startswith(f"{a}:")), key=len, default=None)
        if name is None:
            raise ValueError(
                f"settings are given as algorithm:key=value, with one of {', '.join(algos)}; got "
                f"{pair!r}."
            )
        found.setdefault(name, {}).update(changes([pair[len(name) + 1 :]]))
    return found


def configured(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return settings by algorithm of a file, or those that a record of them says were chosen.

    The files of baselines/settings are found by their names.
    """
    if path is None:
        return {}
    path = _file(path)
    try:
        values = _toml(path) if path.suffix == ".toml" else read_object(path)
    except ValueError as error:  # TOML's and Unicode's are of this kind, too
        raise ValueError(f"settings file {path} cannot be read: {error}") from error
    if values.get("format") == SETTINGS_FORMAT:
        if values.get("version") not in _READ:
            raise ValueError(
                f"settings file {path} must have version {' or '.join(map(str, _READ))}; got "
                f"{values.get('version')!r}."
            )
        require_record(path, values, [_ALGORITHM, "chosen"])
        values = {values[_ALGORITHM]: values["chosen"]}
    if not all(isinstance(table, dict) for table in values.values()):
        raise ValueError(
            f'settings file {path} must hold one table per algorithm, {{"dirs": {{"beta": 1.8}}}}.'
        )
    return values


def _file(path: Path) -> Path:
    """Return a file that is there, or the one of its name that comes with the package."""
    if path.exists() and not path.is_dir():
        return path
    there = settings_names()
    if path.parent in _PLACES and path.suffix in ("", ".json") and path.stem in there:
        return SETTINGS / f"{path.stem}.json"
    raise FileNotFoundError(
        f"settings file {path} is not there{suggestion(path.stem, there)}. With the package come, "
        f"by these names: {', '.join(there)}."
    )


def _toml(path: Path) -> dict[str, Any]:
    if sys.version_info < (3, 11):
        raise ValueError("TOML needs Python 3.11 or later; write it as JSON.")
    import tomllib

    return tomllib.loads(path.read_text(encoding="utf-8-sig"))


_WORDS = {
    "done": "done",
    "there": "was done before",
    "failed": "FAILED",
    "held": "held by another process",
    "interrupted": "interrupted",
}
_EVERY_S = 1.0
_EVERY_S_AS_LINES = 60.0
_TELLING_SHARE = 0.05


class Progress:
    """Writes how far a matrix is; a terminal has one line that changes."""

    def __init__(self, tasks: Sequence[Task], jobs: int, stream: TextIO | None = None) -> None:
        self._tasks, self._jobs = tasks, jobs
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._ended: dict[Task, RunOutcome] = {}
        self._begun: dict[Task, float] = {}
        self._took: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._written, self._width = time.monotonic(), 0

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def ended(self, outcome: RunOutcome) -> None:
        """Write a line about a run that ended."""
        self._ended[outcome.task] = outcome
        seconds = self._since(outcome.task)
        if outcome.state == "done":
            self._took[_kind(outcome.task)].append(seconds)
        took = f", {_shown(seconds)}" if outcome.task in self._begun else ""
        reason = f": {outcome.reason}" if outcome.reason else ""
        count = f"[{len(self._ended)}/{len(self._tasks)}]"
        self.say(f"{count} {outcome.task}: {_WORDS[outcome.state]}{took}{reason}")
        for note in outcome.notes:
            self.say(f"    note: {note}")

    def update(self, running: Sequence[Task]) -> None:
        """Write how far everything is, if it is time to."""
        now = time.monotonic()
        for task in running:
            self._begun.setdefault(task, now)
        if now - self._written < (_EVERY_S if self._live else _EVERY_S_AS_LINES):
            return
        self._written = now
        text = self._status(running)
        if self._live:
            self._clear()
            self._stream.write(text[:200])
            self._width = len(text[:200])
            self._stream.flush()
        else:
            self.say(text)

    def _status(self, running: Sequence[Task]) -> str:
        under_way = [
            f"{task.settings.label} {timesteps:,}/{task.settings.timesteps:,}"
            for task in running
            if (timesteps := _timesteps(task)) is not None
        ]
        waiting = len(self._tasks) - len(self._ended) - len(running)
        left = self.estimate(running)
        parts = [f"{len(self._ended)} of {len(self._tasks)} runs ended, {waiting} wait"]
        parts += [f"about {_shown(left)} left"] if left is not None else []
        parts += ["; ".join(under_way)] if under_way else []
        return " | ".join(parts)

    def estimate(self, running: Sequence[Task]) -> float | None:
        """Return how long the rest will take."""
        parts = {task: self._whole(task) for task in running}
        known = [*chain(*self._took.values()), *filter(None, parts.values())]
        if not known:
            return None
        usual, left = fmean(known), []
        for task in self._tasks:
            if task not in self._ended:
                alike = self._took.get(_kind(task)) or [parts.get(task) or usual]
                left.append(max(fmean(alike) - self._since(task), 0.0))
        return max(sum(left) / self._jobs, max(left, default=0.0))

    def _whole(self, task: Task) -> float | None:
        """Return how long a run under way will have taken, going on as it does."""
        timesteps = _timesteps(task)
        # Before that, starting up and learning from demonstrations are most of the time.
        if not timesteps or timesteps < _TELLING_SHARE * task.settings.timesteps:
            return None
        return self._since(task) * task.settings.timesteps / timesteps

    def _since(self, task: Task) -> float:
        return time.monotonic() - self._begun.get(task, time.monotonic())

    def _clear(self) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0


def _kind(task: Task) -> tuple[str, str]:
    return task.settings.label, task.settings.scenario.name or ""


def _timesteps(task: Task) -> int | None:
    with contextlib.suppress(OSError, ValueError):  # what is wrong with it is said in the end
        status = RunFolder(task.folder).status()
        return status.timesteps if status else None
    return None


def _shown(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


_POLL_S = 0.25


@dataclass(frozen=True)
class MatrixOutcome:
    """What came of a matrix: of the runs that were tried and of those done, in the plan's order."""

    outcomes: tuple[RunOutcome, ...]
    results: tuple[Result, ...]
    untried: int
    stopped: bool

    @property
    def failures(self) -> tuple[RunOutcome, ...]:
        """Runs that ended without a result, but for those that were asked to end."""
        return tuple(o for o in self.outcomes if not o.good and o.state != "interrupted")

    @property
    def unfinished(self) -> int:
        """How many runs a second try would begin or go on with."""
        return self.untried + sum(not outcome.good for outcome in self.outcomes)

    @property
    def status(self) -> int:
        """Exit status: 130 if it was stopped, 1 if a run failed, else 0."""
        return 130 if self.stopped else int(bool(self.failures))


def run_matrix(
    runs: Sequence[Settings],
    out: str | os.PathLike[str],
    launcher: Launcher[Task, RunOutcome],
    progress: Progress | None = None,
) -> MatrixOutcome:
    """Carry out runs, each in a folder of its own below `out`.

    Ctrl-C and SIGTERM end it early, as soon as the runs under way have written how far they are; a
    second one does not wait for that. Either way the same call goes on later.
    """
    tasks = tasks_of(runs, out)
    progress = progress or Progress(tasks, 1, io.StringIO())
    outcomes: dict[Task, RunOutcome] = {}

    def note(outcome: RunOutcome) -> None:
        outcomes[outcome.task] = outcome
        progress.ended(outcome)

    asked: list[int] = []  # not interrupted by requests to end, which are noted
    with taking_requests(lambda number, _: asked.append(number)):
        for known in filter(None, map(before, tasks)):
            note(known)
        try:
            launcher.start([task for task in tasks if task not in outcomes])
            for outcome in _ended(launcher, progress, asked):
                note(outcome)
        finally:
            launcher.close()
        outcomes = {task: outcomes[task] for task in tasks if task in outcomes}
        results = _results(outcomes)
    return MatrixOutcome(
        tuple(outcomes.values()), results, len(tasks) - len(outcomes), stopped=bool(asked)
    )


def tasks_of(runs: Sequence[Settings], out: str | os.PathLike[str]) -> list[Task]:
    """Return runs with their folders."""
    return [Task(run, Path(out) / run.place) for run in runs]


def _ended(
    launcher: Launcher[Task, RunOutcome], progress: Progress, asked: list[int]
) -> Iterator[RunOutcome]:
    heard = 0
    while launcher.left:
        if len(asked) > heard:
            if not heard:
                progress.say("Stopping: runs under way write how far they are. Again: at once.")
                launcher.stop()
            heard = len(asked)
            if heard > 1:
                launcher.kill()
        yield from launcher.poll(_POLL_S)
        progress.update(launcher.running)


def _results(outcomes: dict[Task, RunOutcome]) -> tuple[Result, ...]:
    results = []
    for task, outcome in outcomes.items():
        if outcome.good:
            try:
                results.append(RunFolder(task.folder).final_result())
            except (OSError, ValueError) as error:
                outcomes[task] = RunOutcome(task, "failed", sentence(error))
    return tuple(results)
