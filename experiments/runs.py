"""A run's folder: its settings, its state and its checkpoints, each written whole or not at all.

```
runs/<scenario>/<label>-<timesteps>/seed-<seed>/
  settings.json    what determines the run, and every constructor argument as it came to be
  status.json      running, done, failed or interrupted; how far; why
  progress.csv, events.out.tfevents.*
  curve.json       NRR on the frozen slots during training
  checkpoints/     the last two
  model.zip        the final model
  result.json      what it reaches
```
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mec_gym import Scenario
from mec_gym.validation import require_choice

FORMAT, VERSION = "mec-gym/run", 1
STATES = ("running", "done", "failed", "interrupted")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that determines a run.

    Attributes
    ----------
    algorithm : str
        As for :func:`experiments.algorithm`.
    scenario : Scenario
        The system; a preset's name, a path or a mapping is taken, too.
    timesteps : int, [slot]
        Of training, over all copies; a rule takes none.
    seed : int
        Of the algorithm and, offset, of its env.
    arguments : mapping
        Constructor arguments that differ from the algorithm's.
    n_envs : int, optional
        Copies of the env; the algorithm's choice by default.
    reward : {"relative", "reciprocal", "negative"}
        Of the env. Where tasks are equal "relative" is the paper's reward in another unit.
    observation : {"db", "raw", "flat"}, optional
        Of the env; the algorithm's choice by default.
    device : str
        Of torch.
    label : str, optional
        In tables; the name with the changed arguments by default.
    measurements : int
        Points of the learning curve after the first.
    checkpoints : int
        How many to write on the way.

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
        set_field = object.__setattr__
        set_field(self, "scenario", Scenario.resolve(self.scenario))
        set_field(self, "arguments", dict(self.arguments))
        for name, least in (("timesteps", 0), ("seed", 0), ("measurements", 1), ("checkpoints", 0)):
            _require_whole(name, getattr(self, name), least)
        if self.n_envs is not None:
            _require_whole("n_envs", self.n_envs, 1)
        require_choice("reward", self.reward, ("reciprocal", "relative", "negative"))
        if self.observation is not None:
            require_choice("observation", self.observation, ("db", "raw", "flat"))
        if not self.label:
            changed = ", ".join(f"{key}={value}" for key, value in self.arguments.items())
            set_field(self, "label", f"{self.algorithm}[{changed}]" if changed else self.algorithm)

    @property
    def place(self) -> Path:
        """Where the run lies, from the folder of all runs."""
        scenario = _slug(self.scenario.name or "scenario")
        return Path(scenario, f"{_slug(self.label)}-{self.timesteps}", f"seed-{self.seed}")

    def to_mapping(self) -> dict[str, Any]:
        """Return what JSON takes.

        Returns
        -------
        dict
        """
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {"scenario": json.loads(self.scenario.to_json())}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Return settings of what :meth:`to_mapping` gave.

        Parameters
        ----------
        values : mapping
            The fields.

        Returns
        -------
        Settings

        Raises
        ------
        TypeError, ValueError
            For a missing, unknown or invalid field.
        """
        scenario = Scenario.from_json(json.dumps(values["scenario"]))
        return cls(**{**values, "scenario": scenario})


def _require_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}; got {value!r}.")


def _slug(text: str) -> str:
    """Return a text as a file name that still tells what it is."""
    return re.sub(r"[^\w.=+-]+", "-", text).strip("-.") or "unnamed"


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a run is.

    Attributes
    ----------
    state : {"running", "done", "failed", "interrupted"}
        A run that says "running" while nobody holds its lock was killed.
    timesteps : int, [slot]
        So far.
    seconds : float, [s]
        Of training so far.
    error : str
        Why it failed.
    host, pid
        Of the process that wrote this.

    Examples
    --------
    >>> Status(state="done", timesteps=10, seconds=1.5).error
    ''
    """

    state: str
    timesteps: int = 0
    seconds: float = 0.0
    error: str = ""
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    written: float = field(default_factory=time.time)


class RunFolder:
    """Reads and writes the files of one run.

    Parameters
    ----------
    path : path
        The run's own folder.

    Examples
    --------
    >>> RunFolder("no-such-run").status() is None
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.zip"
        self.result = self.path / "result.json"
        self.curve = self.path / "curve.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run; the operating system lets go of it when the process ends, however.

        Yields
        ------
        None

        Raises
        ------
        BlockingIOError
            If another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            with lock:
                yield
        except Timeout:
            holder = self.status()
            who = f" (process {holder.pid} on {holder.host})" if holder else ""
            raise BlockingIOError(
                f"{self.path} is being written by another process{who}. Wait for it, stop it, or "
                "choose another folder."
            ) from None

    def status(self) -> Status | None:
        """Return how far the run is, or None if it never began.

        Returns
        -------
        Status or None

        Raises
        ------
        ValueError
            For a file that is damaged.
        """
        values = self._read("status.json")
        return None if values is None else Status(**values)

    def write_status(self, status: Status) -> None:
        """Write how far the run is.

        Parameters
        ----------
        status : Status
            The new state.
        """
        require_choice("state", status.state, STATES)
        self._write("status.json", dataclasses.asdict(status))

    def settings(self) -> Settings | None:
        """Return the settings of the run, or None if it never began.

        Returns
        -------
        Settings or None

        Raises
        ------
        ValueError
            For a file that is damaged or of another version.
        """
        values = self._read("settings.json")
        if values is None:
            return None
        try:
            if (values["format"], values["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it is {values['format']} of version {values['version']}")
            return Settings.from_mapping(values["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path / 'settings.json'} does not hold the settings of a run, "
                f"{FORMAT} of version {VERSION}: {error}."
            ) from error

    def begin(self, settings: Settings) -> None:
        """Write the settings, or refuse a folder that holds another run.

        Parameters
        ----------
        settings : Settings
            Of the run.

        Raises
        ------
        ValueError
            If the folder is another run's; names what differs.
        """
        known = self.settings()
        if known is None:
            described = {"format": FORMAT, "version": VERSION, "settings": settings.to_mapping()}
            self._write("settings.json", described)
            return
        mine, theirs = settings.to_mapping(), known.to_mapping()
        differ = [f"{key} is {theirs[key]!r}" for key in mine if mine[key] != theirs[key]]
        if differ:
            raise ValueError(
                f"{self.path} holds another run: there {'; '.join(differ)}. Choose another folder "
                "or label, or delete it."
            )

    def write_resolved(self, arguments: Mapping[str, Any], system: Mapping[str, Any]) -> None:
        """Write every constructor argument as it came to be, and the system, beside the settings.

        Parameters
        ----------
        arguments : mapping
            Of the model.
        system : mapping
            Versions, commit and machine.
        """
        plain = {key: _plain(value) for key, value in arguments.items()}
        self._write("resolved.json", {"arguments": plain, "system": dict(system)})

    def checkpoint_path(self, timesteps: int) -> Path:
        """Return where the checkpoint after so many slots lies.

        Parameters
        ----------
        timesteps : int
            Slots so far.

        Returns
        -------
        Path
        """
        return self.checkpoints / f"slot-{timesteps:010d}.zip"

    def last_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint.

        Returns
        -------
        Path or None
        """
        return max(self.checkpoints.glob("slot-*.zip"), default=None)

    def read_curve(self) -> list[dict[str, Any]]:
        """Return the points of the learning curve so far.

        Returns
        -------
        list of dict
        """
        values = self._read("curve.json")
        return [] if values is None else list(values["points"])

    def write_curve(self, points: list[dict[str, Any]]) -> None:
        """Write the learning curve.

        Parameters
        ----------
        points : list of dict
            timesteps, seconds, nrr.
        """
        self._write("curve.json", {"points": points})

    def _read(self, name: str) -> dict[str, Any] | None:
        file = self.path / name
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{file} is damaged: {error}. Delete the run's folder to begin anew."
            ) from error
        if not isinstance(values, dict):
            raise ValueError(f"{file} is damaged: it holds a {type(values).__name__}.")
        return values

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        write_whole(self.path / name, json.dumps(values, indent=1, default=_plain) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is complete or, if anything goes wrong, as it was before.

    Parameters
    ----------
    path : Path
        Of the file.
    text : str
        Its content.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a"), "b")
    ...     Path(folder, "a").read_text()
    'b'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _plain(value: Any) -> Any:
    """Return a value that JSON takes; what it has no form for, by its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, type) or callable(value):
        return getattr(value, "__qualname__", repr(value))
    return value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else str(value)
