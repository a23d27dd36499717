"""Running tasks on a Ray cluster: one remote task per run, the same numbers as processes give."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from mec_bench.extras import install
from mec_bench.launching import Launcher, RunOutcome, Task, carry_out, limit_threads, lost, sentence
from mec_bench.run import RunFolder, Settings
from mec_gym.files import replacing

_GRACE_S = 30.0
"""How long a run that is asked to end may take to write how far it is."""


class RayTasks(Launcher[Task, RunOutcome]):
    """Carries out runs as remote tasks of Ray, of a local one unless an address is given.

    A local Ray works in the runs' folders, and is shut down in the end. On a cluster, whose nodes
    need share no disk, a task gets what its run has so far, works in a folder of its node's and
    brings all of it back.
    """

    def __init__(self, jobs: int, threads: int = 1, *, address: str | None = None) -> None:
        super().__init__(jobs, threads)
        self._ray, self._address = _ray(), address
        self._under_way: dict[Any, Task] = {}
        self._deadline = float("inf")
        self._run: Any = None

    @property
    def running(self) -> list[Task]:
        """Runs under way."""
        return list(self._under_way.values())

    def _fill(self) -> None:
        if self._waiting and self._run is None:
            self._connect()
            # Never again by itself: a run that ended its worker would end the next one, too.
            self._run = self._ray.remote(max_retries=0, num_cpus=self._threads)(_remotely)
        while self._waiting and len(self._under_way) < self._jobs:
            task = self._waiting.popleft()
            here = str(task.folder.resolve()) if self._address is None else None
            sent = None if here else files_of(task.folder)
            self._under_way[self._run.remote(task.settings, here, sent, self._threads)] = task

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

    def poll(self, seconds: float | None) -> list[RunOutcome]:
        """Return what ended, after `seconds` at the latest; None waits for one."""
        if time.monotonic() > self._deadline:
            self.kill()
        if not self._under_way:
            return []
        ready, _ = self._ray.wait(list(self._under_way), timeout=seconds)
        outcomes = [self._ended(one) for one in ready]
        self._fill()
        return outcomes

    def _ended(self, reference: Any) -> RunOutcome:
        task = self._under_way.pop(reference)
        try:
            state, reason, notes, files = self._ray.get(reference)
            if files is not None:
                write_files(task.folder, files)
        except self._ray.exceptions.RayError as error:
            words = sentence(error).split(". ")[0]  # a page of advice follows
            return lost(task, "" if self._stopping else f"its Ray worker was lost: {words}")
        except OSError as error:
            return RunOutcome(task, "failed", sentence(error))
        return RunOutcome(task, state, reason, tuple(notes))

    def stop(self) -> None:
        """Begin nothing more, and ask what runs to end where nothing is lost."""
        super().stop()
        self._deadline = min(self._deadline, time.monotonic() + _GRACE_S)
        self._cancel(force=False)

    def kill(self) -> None:
        """End what runs at once."""
        super().stop()
        self._cancel(force=True)

    def _cancel(self, *, force: bool) -> None:
        for reference in self._under_way:
            with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(reference, force=force)

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        if self._ray.is_initialized():
            self.kill()
            self._ray.shutdown()


def _ray() -> Any:
    # Ray reads these when it is imported. It would count its users over the network.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise DependencyNotInstalled(
            f"the Ray launcher needs ray: {install('ray')}. --launcher processes does without."
        ) from error
    return ray


def _remotely(
    settings: Settings, folder: str | None, files: dict[str, bytes] | None, threads: int
) -> tuple[str, str, tuple[str, ...], dict[str, bytes] | None]:
    """Carry out a task on a node of the cluster; return its outcome and, if asked, its files."""
    limit_threads(threads)
    with contextlib.ExitStack() as stack:
        place = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        if files:
            write_files(place, files)
        outcome = carry_out(Task(settings, place))
        brought = None if folder else files_of(place)
        return outcome.state, outcome.reason, outcome.notes, brought


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a run, by their places in its folder; there may be none yet."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if path.name != ".lock"
    }


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write a run's files, the status last: it speaks of the others.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files(Path(folder), {"a/b": b"c"})
    ...     files_of(Path(folder))
    {'a/b': b'c'}
    """
    run = RunFolder(folder)
    with run.locked():
        for name in sorted(files, key=lambda name: name == "status.json"):
            place = folder / name
            with replacing(place) as partial:
                partial.write_bytes(files[name])
        kept = {folder / name for name in files}
        for old in run.checkpoints.glob("*"):
            if old not in kept:
                old.unlink(missing_ok=True)
