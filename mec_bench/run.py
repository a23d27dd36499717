"""A run: the settings that determine it, its folder, and the requests to end it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from filelock import FileLock, Timeout

from mec_bench.importing import Terminated, found, name_of
from mec_bench.measuring import Frozen, frozen
from mec_bench.registry import Algorithm, algorithm
from mec_bench.results import (
    CurvePoint,
    EpisodesPoint,
    Result,
    curve_point,
    is_text,
    plain_json,
    read_result,
)
from mec_gym import Scenario
from mec_gym.envs.observation import OBSERVATIONS
from mec_gym.envs.simulator import REWARDS, Reward
from mec_gym.files import PARTIAL, read_object, write_whole
from mec_gym.validation import LARGEST_SEED, plain, require_choice, require_integer


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that determines a run.

    Attributes
    ----------
    algorithm : str
        As for :func:`mec_bench.algorithm`; a class or function is held by its name.
    scenario : Scenario
        The system; a preset's name, a path or a mapping is taken, too.
    timesteps : int, [slot]
        Of training, over all copies; a rule takes none.
    seed : int
        Of the algorithm and, apart from it, of its env.
    arguments : mapping
        Constructor arguments that differ from the algorithm's.
    n_envs, observation : optional
        Of the env; the algorithm's choice by default, "flat" unless it says otherwise.
    reward : {"relative", "reciprocal", "negative"} or "module:function"
        Of the env. Where tasks are equal "relative" is the paper's reward in another unit. A
        function of the :class:`~mec_gym.Outcome` is held by its name.
    device, label : str
        Torch's, and the name in tables; by default the algorithm's with what was changed.
    measurements, checkpoints : int
        Points of the learning curve after the first, and checkpoints on the way.

    Raises
    ------
    TypeError, ValueError
        For a value outside its range; names it.

    Examples
    --------
    >>> scenario = Scenario.preset("paper-30x2")
    >>> Settings(algorithm="dirs", scenario=scenario, timesteps=9, arguments={"beta": 1.8}).label
    'dirs[beta=1.8]'
    """

    algorithm: str
    scenario: Scenario
    timesteps: int
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    n_envs: int | None = None
    reward: str = "relative"
    observation: str | None = None
    device: str = "cpu"
    label: str = ""
    measurements: int = 10
    checkpoints: int = 5

    def __post_init__(self) -> None:
        set_field = functools.partial(object.__setattr__, self)
        set_field("algorithm", name_of("algorithm", self.algorithm))
        set_field("scenario", Scenario.resolve(self.scenario))
        # What a result could not hold is refused now, not after hours of training.
        set_field("arguments", plain_json(dict(self.arguments), "arguments"))
        set_field("device", str(self.device))
        require_integer("seed", self.seed, 0, LARGEST_SEED)
        for name, least in _LEAST.items():
            if getattr(self, name) is not None:
                require_integer(name, getattr(self, name), least)
        for name in ("seed", *_LEAST):
            set_field(name, plain(getattr(self, name)))
        set_field("reward", name_of("reward", self.reward))
        reward_of(self.reward)
        if self.observation is not None:
            require_choice("observation", self.observation, OBSERVATIONS)
        if not self.label:
            set_field("label", label_of(self.algorithm, self.changed))
        for name, text in (("label", self.label), ("the scenario's name", self.scenario.name)):
            if text is not None and not is_text(text):
                raise ValueError(f"{name} must be printable text, not empty; got {text!r}.")

    @property
    def changed(self) -> dict[str, Any]:
        """What differs from the algorithm's own arguments and the usual env."""
        usual = USUAL_ENV.items()
        env = {key: getattr(self, key) for key, value in usual if getattr(self, key) != value}
        return dict(self.arguments) | {f"env.{key}": value for key, value in env.items()}

    @property
    def place(self) -> Path:
        """Folder of the run inside the folder of all runs."""
        scenario = slug(self.scenario.name or "scenario")
        return Path(scenario, f"{slug(self.label)}-{self.timesteps}", f"seed-{self.seed}")

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return fields | {"scenario": json.loads(self.scenario.to_json())}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings that :meth:`to_mapping` gave; raises for a wrong or missing field."""
        scenario = Scenario.from_json(json.dumps(values["scenario"]))
        return cls(**{**values, "scenario": scenario})


def label_of(algorithm: str, changed: Mapping[str, Any], file: str = "") -> str:
    """Return an algorithm's name with what was changed, after the name of a file with settings.

    >>> label_of("dirs", {}), label_of("dirs", {"beta": 1.8}, "mine")
    ('dirs', 'dirs[mine, beta=1.8]')
    """
    parts = [file] * bool(file) + [f"{key}={value}" for key, value in changed.items()]
    return f"{algorithm}[{', '.join(parts)}]" if parts else algorithm


def reward_of(name: Any) -> Reward:
    """Return what an env takes as its reward: one of its names, or a function found by its name."""
    if isinstance(name, str) and ":" in name:
        reward: Reward = found("reward", name)
        return reward
    require_choice("reward", name, REWARDS)
    return str(name)


def slug(text: str) -> str:
    """Return a text as a file name that can still be read."""
    slug = re.sub(r"[^\w.=+-]+", "-", text).strip("-.") or "unnamed"
    if len(slug.encode()) <= _LONGEST_NAME:
        return slug
    begin = slug.encode()[: _LONGEST_NAME - 9].decode(errors="ignore")
    return f"{begin}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


USUAL_ENV = {"n_envs": None, "reward": "relative", "observation": None}
"""What settings of the env are when nothing is said; None is the algorithm's choice."""

_LEAST = {"timesteps": 0, "n_envs": 1, "measurements": 1, "checkpoints": 0}
_LONGEST_NAME = 120
"""Bytes; most file systems take 255."""


_T = TypeVar("_T")
FORMAT, VERSION = "mec-gym/run", 1


class Spent(NamedTuple):
    """Time of training, [s]: by the clock, and of the processor in the run's process."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Spent:
        """Return what the clocks show; only differences mean something."""
        return cls(time.perf_counter(), time.process_time())

    def and_since(self, begun: Spent | None) -> Spent:
        """Return this and what has passed since the clocks showed `begun`; None: they stood."""
        now = Spent.now()
        wall, cpu = begun or now
        return Spent(self.wall + now.wall - wall, self.cpu + now.cpu - cpu)


STATES = ("running", "done", "failed", "interrupted")
REQUESTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a run is.

    `state` is one of :data:`STATES`; a run that says "running" while nobody holds its lock was
    killed. `timesteps` and both kinds of seconds are of training so far, `error` says why it
    failed, and `host` and `pid` are of the process that wrote this.
    """

    state: str
    timesteps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    error: str = ""
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    written: float = field(default_factory=time.time)


class RunFolder:
    """Reads and writes the files of one run, which has the folder for itself."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.zip"
        self.result = self.path / "result.json"
        self.curve = self.path / "curve.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, or raise ``BlockingIOError`` where another process does.

        However this process ends, the operating system then lets go of the run.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise type(error)(
                f"{self.path} cannot be a run's folder: a file stands in its place or above it. "
                "Move the file, or choose another folder."
            ) from error
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            holder = None
            with contextlib.suppress(ValueError):
                holder = self.status()
            who = f" (process {holder.pid} on {holder.host})" if holder else ""
            raise BlockingIOError(
                f"{self.path} is being written by another process{who}. Wait for it, stop it, or "
                "choose another folder."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def status(self) -> Status | None:
        """Return how far the run is, or None if it never began; raises for a damaged file."""
        return self._read("status.json", lambda values: Status(**values))

    def write_status(self, status: Status) -> None:
        """Write how far the run is."""
        require_choice("state", status.state, STATES)
        # Written every few seconds, and only a hint: not worth waiting for the disk.
        self._write("status.json", dataclasses.asdict(status), lasting=False)

    def mark(self, state: str, error: str = "") -> None:
        """Write another state of a run that is as far as it was."""
        known = self.status()
        so_far = ("timesteps", "seconds", "cpu_seconds")
        reached = {name: getattr(known, name) for name in so_far} if known else {}
        self.write_status(Status(state=state, error=error, **reached))

    def settings(self) -> Settings | None:
        """Return the settings of the run, or None if it never began; raises for a damaged file."""

        def found(values: Mapping[str, Any]) -> Settings:
            if (values["format"], values["version"]) != (FORMAT, VERSION):
                raise ValueError(
                    f"it must be {FORMAT} of version {VERSION}; it is {values['format']} of "
                    f"version {values['version']}"
                )
            return Settings.from_mapping(values["settings"])

        return self._read("settings.json", found)

    def begin(self, settings: Settings) -> None:
        """Write the settings, or raise ``ValueError`` where the folder holds another run."""
        for folder in (self.path, self.checkpoints):  # what a killed process was writing
            for stray in folder.glob(f"*{PARTIAL}*"):
                stray.unlink(missing_ok=True)
        if not self.holds(settings):
            described = {"format": FORMAT, "version": VERSION, "settings": settings.to_mapping()}
            self._write("settings.json", described)

    def forget(self) -> None:
        """Remove what a run has left that was refused before it began; any other run stays."""
        if not self.path.is_dir():
            return
        with contextlib.suppress(BlockingIOError), self.locked():
            if self.read_curve() or self.last_checkpoint() is not None or self.result.exists():
                return
            shutil.rmtree(self.path, ignore_errors=True)
        for above in list(self.path.parents)[:2]:  # of the label and of the scenario
            with contextlib.suppress(OSError):
                above.rmdir()  # only where it is empty

    def holds(self, settings: Settings) -> bool:
        """Return whether the folder holds this run; ``ValueError`` where it holds another."""
        known = self.settings()
        if known is None:
            return False
        mine, theirs = (
            values | {f"scenario.{key}": value for key, value in values.pop("scenario").items()}
            for values in (settings.to_mapping(), known.to_mapping())
        )
        differ = [f"{key} is {theirs.get(key)!r}" for key in mine if mine[key] != theirs.get(key)]
        if differ:
            raise ValueError(
                f"{self.path} holds another run: there {'; '.join(differ)}. Choose another folder "
                "or label, or delete it."
            )
        return True

    def write_resolved(self, arguments: Mapping[str, Any], system: Mapping[str, Any]) -> None:
        """Write all constructor arguments as they came to be, and the system."""
        self._write("resolved.json", {"arguments": arguments, "system": system})

    def checkpoint_path(self, timesteps: int) -> Path:
        """Return the file of the checkpoint after so many slots."""
        return self.checkpoints / f"slot-{timesteps:010d}.zip"

    def all_checkpoints(self) -> list[Path]:
        """Return the complete checkpoints, newest first."""
        return sorted(self.checkpoints.glob("slot-*.zip"), reverse=True)

    def last_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint."""
        return next(iter(self.all_checkpoints()), None)

    def newest_model(self) -> Path | None:
        """Return the file of the final model or else of the last checkpoint."""
        return self.model if self.model.exists() else self.last_checkpoint()

    def read_curve(self) -> list[CurvePoint | EpisodesPoint]:
        """Return the points of the learning curve so far; raises for a damaged file."""
        found = self._read("curve.json", lambda values: [curve_point(p) for p in values["points"]])
        return found or []

    def write_curve(self, points: Iterable[CurvePoint | EpisodesPoint]) -> None:
        """Write the learning curve."""
        self._write("curve.json", {"points": [vars(point) for point in points]})

    def notes(self) -> list[str]:
        """Return what its result should say of its past; raises for a damaged file."""
        return self._read("notes.json", lambda values: list(values["notes"])) or []

    def note(self, words: str) -> None:
        """Add to :meth:`notes`, which outlive further stops."""
        self._write("notes.json", {"notes": list(dict.fromkeys([*self.notes(), words]))})

    def final_result(self) -> Result:
        """Return the result of a run that is done; ``ValueError`` where it cannot be read."""
        try:
            return read_result(self.result)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(
                f"{self.path} says that it is done, but its result cannot be read: {error} Delete "
                f"{self.path / 'status.json'} to measure its model anew, or the folder to begin "
                "anew."
            ) from error

    def _read(self, name: str, interpret: Callable[[Any], _T]) -> _T | None:
        """Return what a file says, or None where it is not there; raises where it is damaged."""
        file = self.path / name
        try:
            return interpret(read_object(file))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            what = repr(error) if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{file} is damaged: {what}. Delete the run's folder to begin anew."
            ) from error

    def _write(self, name: str, values: Mapping[str, Any], *, lasting: bool = True) -> None:
        text = json.dumps(values, indent=1, default=_plain) + "\n"
        write_whole(self.path / name, text, lasting=lasting)


def _plain(value: Any) -> Any:
    """Return what JSON has no form for as what it has one for, at last as text."""
    if isinstance(value, Mapping):
        return dict(value)
    if callable(value):
        return getattr(value, "__qualname__", repr(value))
    return value.item() if getattr(value, "size", 0) == 1 else str(value)


@contextlib.contextmanager
def taking_requests(handler: Callable[[int, Any], None], unless: Any = None) -> Iterator[None]:
    """Let `handler` take Ctrl-C and SIGTERM, in the main thread; elsewhere they are not ours.

    A signal whose handler is `unless` stays with it.
    """
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in REQUESTS} if here else {}
    for number, other in before.items():
        if other is not unless:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


class Stop:
    """Ctrl-C and SIGTERM: a run ends where nothing is lost, or at once where it cannot wait.

    `can_wait` says whether the run will soon call :meth:`check`, at a place that it can go on from
    exactly; `asked` is a request that waits for this. A second one does not wait.
    """

    def __init__(self) -> None:
        self.can_wait = False
        self.asked: BaseException | None = None
        self._shielded = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Raise ``KeyboardInterrupt`` for Ctrl-C and ``Terminated`` for SIGTERM in time."""
        with taking_requests(self._take, unless=signal.SIG_IGN):
            yield

    def _take(self, number: int, _frame: Any) -> None:
        asked = KeyboardInterrupt() if number == signal.SIGINT else Terminated(128 + number)
        if self._shielded:
            return
        if not self.can_wait or self.asked is not None:
            raise asked
        self.asked = asked

    def check(self) -> None:
        """Raise the request, if there is one."""
        if self.asked is not None:
            raise self.asked

    def shield(self) -> None:
        """Take no more requests: the last lines are being written, which takes milliseconds."""
        self._shielded = True


class Run:
    """A run on its way: its settings, and all that follows from them.

    Without a `folder` it can only be measured, on the first `layouts` of its frozen slots, or of
    its frozen episodes. `frozen` is something else to measure it on, and `heard` is called with
    every new point of its learning curve; what it raises ends the run.
    """

    def __init__(
        self,
        settings: Settings,
        folder: str | os.PathLike[str] | None = None,
        *,
        layouts: int | None = None,
        frozen: Frozen | None = None,
        heard: Callable[[CurvePoint | EpisodesPoint], None] | None = None,
    ) -> None:
        self.settings = settings
        self.algorithm: Algorithm = algorithm(settings.algorithm, settings.arguments)
        self.stop = Stop()
        self._folder, self._layouts, self._frozen = folder, layouts, frozen
        self.heard = heard or (lambda _: None)

    @functools.cached_property
    def folder(self) -> RunFolder:
        """The run's own."""
        assert self._folder is not None, "this run has no folder"
        return RunFolder(self._folder)

    @functools.cached_property
    def frozen(self) -> Frozen:
        """What it is measured on; drawn and solved when it is first asked for."""
        return self._frozen or frozen(self.settings.scenario, layouts=self._layouts)

    @property
    def n_envs(self) -> int:
        """Copies of its env."""
        return self.settings.n_envs or self.algorithm.n_envs

    @property
    def observation(self) -> str:
        """What its env shows of a slot."""
        return self.settings.observation or self.algorithm.observation

    @property
    def budget(self) -> int:
        """Slots of training; 0 for what does not learn."""
        return self.settings.timesteps if self.algorithm.learns else 0
