"""Running tasks on a Ray cluster: one remote task per run, the same numbers as processes give."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from mec_bench.launching import Outcome, Task, carry_out, lost, sentence
from mec_bench.run import RunFolder, Settings
from mec_gym.files import replacing

_INSTALL = (
    'the Ray launcher needs ray: pip install "mec-gym[ray]", or in a clone pip install ".[ray]". '
    "--launcher processes does without."
)
_GRACE_S = 30.0
"""How long a run that is asked to end may take to write how far it is."""


class RayTasks:
    """Remote tasks, a few at once.

    A local Ray works in the runs' folders. On a cluster, whose nodes need share no disk, a task
    gets what its run has so far, works in a folder of its node's and brings all of it back.

    Parameters
    ----------
    jobs : int
        How many at once.
    threads : int
        Of torch in each.
    address : str, optional
        Of the cluster; without, a local Ray is started, and shut down in the end.

    Raises
    ------
    DependencyNotInstalled
        If Ray is not installed: says how.
    ConnectionError
        If there is no cluster at the address.
    ValueError
        For fewer than one job or thread.

    Examples
    --------
    >>> RayTasks(0)
    Traceback (most recent call last):
    ValueError: jobs must be at least 1; got 0.
    """

    def __init__(self, jobs: int, threads: int = 1, *, address: str | None = None) -> None:
        for name, value in (("jobs", jobs), ("threads", threads)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}.")
        self._ray = _ray()
        self._jobs, self._threads, self._address = jobs, threads, address
        self._waiting: deque[Task] = deque()
        self._under_way: dict[Any, Task] = {}
        self._stopping = 0.0
        self._run: Any = None

    @property
    def running(self) -> list[Task]:
        """Tasks under way."""
        return list(self._under_way.values())

    @property
    def left(self) -> int:
        """How many tasks have no outcome yet."""
        return len(self._waiting) + len(self._under_way)

    def start(self, tasks: Sequence[Task]) -> None:
        """Connect, and begin.

        Parameters
        ----------
        tasks : sequence of Task
            In this order, as far as several at once have one.

        Raises
        ------
        ConnectionError
            If there is no cluster at the address.
        """
        self._waiting = deque(tasks)
        if tasks:
            self._connect()
            # Never again by itself: a run that ended its worker would end the next one, too.
            once = self._ray.remote(max_retries=0, num_cpus=self._threads)
            self._run = once(_remotely)
            self._fill()

    def _connect(self) -> None:
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self._address is None:
            cpus = self._jobs * self._threads
            # One of its own, also where another Ray runs on this machine.
            self._ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
            return
        try:
            self._ray.init(address=self._address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConnectionError(
                f"no Ray cluster at {self._address!r}: {sentence(error)} Without --address a local "
                "one is started."
            ) from error

    def _fill(self) -> None:
        while self._waiting and len(self._under_way) < self._jobs:
            task = self._waiting.popleft()
            here = str(task.folder.resolve()) if self._address is None else None
            sent = None if here else files_of(task.folder)
            self._under_way[self._run.remote(task.settings, here, sent, self._threads)] = task

    def poll(self, seconds: float) -> list[Outcome]:
        """Return what ended.

        Parameters
        ----------
        seconds : float, [s]
            To wait at most.

        Returns
        -------
        list of Outcome
        """
        if self._stopping and time.monotonic() - self._stopping > _GRACE_S:
            self.kill()
        if not self._under_way:
            return []
        ready, _ = self._ray.wait(list(self._under_way), timeout=seconds)
        outcomes = [self._ended(one) for one in ready]
        self._fill()
        return outcomes

    def _ended(self, reference: Any) -> Outcome:
        task = self._under_way.pop(reference)
        try:
            state, reason, notes, files = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if self._stopping:
                return Outcome(task, "interrupted")
            words = sentence(error).split(". ")[0]  # a page of advice follows
            return lost(task, f"its Ray worker was lost: {words}.")
        if files is not None:
            try:
                write_files(task.folder, files)
            except OSError as error:
                return Outcome(task, "failed", sentence(error))
        return Outcome(task, state, reason, tuple(notes))

    def stop(self) -> None:
        """Begin nothing more, and ask what runs to end where nothing is lost."""
        self._stopping = self._stopping or time.monotonic()
        self._waiting.clear()
        for reference in self._under_way:
            self._ray.cancel(reference, force=False)

    def kill(self) -> None:
        """End what runs at once."""
        self._stopping = self._stopping or time.monotonic()
        self._waiting.clear()
        for reference in self._under_way:
            with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        if self._ray.is_initialized():
            if self._under_way:
                self.kill()
            self._ray.shutdown()


def _ray() -> Any:
    # Ray reads these when it is imported. It would count its users over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise DependencyNotInstalled(_INSTALL) from error
    return ray


def _remotely(
    settings: Settings, folder: str | None, files: dict[str, bytes] | None, threads: int
) -> tuple[str, str, tuple[str, ...], dict[str, bytes] | None]:
    """Carry out a task on a node of the cluster."""
    import torch

    torch.set_num_threads(threads)
    if folder is not None:
        outcome = carry_out(Task(settings, Path(folder)))
        return outcome.state, outcome.reason, outcome.notes, None
    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place), files or {})
        outcome = carry_out(Task(settings, Path(place)))
        return outcome.state, outcome.reason, outcome.notes, files_of(Path(place))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a run.

    Parameters
    ----------
    folder : Path
        The run's; there may be none yet.

    Returns
    -------
    dict of str to bytes
        By their places in the folder.

    Examples
    --------
    >>> files_of(Path("no-such-run"))
    {}
    """
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if path.name != ".lock"
    }


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write a run's files, the status last: it speaks of the others.

    Parameters
    ----------
    folder : Path
        The run's.
    files : dict of str to bytes
        From :func:`files_of`.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files(Path(folder), {"a/b": b"c"})
    ...     files_of(Path(folder))
    {'a/b': b'c'}
    """
    run = RunFolder(folder)
    with run.locked():
        for name in sorted(files, key=lambda name: name == "status.json"):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as partial:
                partial.write_bytes(files[name])
        kept = {folder / name for name in files}
        for old in run.checkpoints.glob("*"):
            if old not in kept:
                old.unlink(missing_ok=True)
