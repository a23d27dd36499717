"""Running many tasks in processes of their own: one dies, the others go on."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from mec_bench.matrix.tasks import Outcome, Task, carry_out, lost


class Launcher(Protocol):
    """What carries out tasks."""

    @property
    def running(self) -> Sequence[Task]:
        """Tasks under way."""

    @property
    def left(self) -> int:
        """How many tasks have no outcome yet."""

    def start(self, tasks: Sequence[Task]) -> None:
        """Begin."""

    def poll(self, seconds: float) -> list[Outcome]:
        """Return what ended, waiting for it so long at most."""

    def stop(self) -> None:
        """Begin nothing more, and ask what runs to end where nothing is lost."""

    def kill(self) -> None:
        """End what runs at once."""

    def close(self) -> None:
        """Leave nothing behind."""


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None


class Processes:
    """A few processes that take one task after the other; a new one takes a dead one's place.

    Parameters
    ----------
    jobs : int
        How many at once.
    threads : int
        Of torch in each.

    Raises
    ------
    ValueError
        For fewer than one.

    Examples
    --------
    >>> Processes(2).left
    0
    """

    def __init__(self, jobs: int, threads: int = 1) -> None:
        for name, value in (("jobs", jobs), ("threads", threads)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}.")
        self._jobs, self._threads = jobs, threads
        self._waiting: deque[Task] = deque()
        self._workers: list[_Worker] = []
        self._stopping = False

    @property
    def running(self) -> list[Task]:
        """Tasks under way."""
        return [worker.task for worker in self._workers if worker.task]

    @property
    def left(self) -> int:
        """How many tasks have no outcome yet."""
        return len(self._waiting) + len(self.running)

    def start(self, tasks: Sequence[Task]) -> None:
        """Begin.

        Parameters
        ----------
        tasks : sequence of Task
            In this order, as far as several at once have one.
        """
        self._waiting = deque(tasks)
        self._fill()

    def _fill(self) -> None:
        while self._waiting and len(self._workers) < self._jobs:
            self._workers.append(self._born())
            self._give(self._workers[-1])

    def _born(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._threads))
        with _ctrl_c_for_the_parent_alone():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _give(self, worker: _Worker) -> None:
        worker.task = self._waiting.popleft() if self._waiting else None
        # A worker that has just died is noticed by its end of the pipe.
        with contextlib.suppress(OSError):
            worker.connection.send(worker.task)

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
        by_connection = {worker.connection: worker for worker in self._workers}
        outcomes = []
        for ready in wait(list(by_connection), seconds):
            outcome = self._heard(by_connection[ready])  # type: ignore[index]
            if outcome:
                outcomes.append(outcome)
        self._fill()
        return outcomes

    def _heard(self, worker: _Worker) -> Outcome | None:
        task = worker.task
        try:
            outcome: Outcome = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._bury(worker)
            return self._death(task, worker.process.exitcode or 0) if task else None
        worker.task = None
        if outcome.state != "interrupted":
            self._give(worker)
        if worker.task is None:  # it ends, by itself or because there is no more to do
            worker.process.join()
            self._bury(worker)
        return outcome

    def _bury(self, worker: _Worker) -> None:
        worker.connection.close()
        self._workers.remove(worker)

    def _death(self, task: Task, code: int) -> Outcome:
        if self._stopping:
            return Outcome(task, "interrupted")
        return lost(task, f"its process {ending(code)}; the last checkpoint is good.")

    def stop(self) -> None:
        """Begin nothing more, and ask what runs to end where nothing is lost."""
        self._stopping = True
        self._waiting.clear()
        for worker in self._workers:
            worker.process.terminate()

    def kill(self) -> None:
        """End what runs at once."""
        self.stop()
        for worker in self._workers:
            worker.process.kill()

    def close(self) -> None:
        """Leave no process behind."""
        self.kill()
        for worker in list(self._workers):
            worker.process.join()
            self._bury(worker)


def ending(code: int) -> str:
    """Return how a process ended.

    Parameters
    ----------
    code : int
        Its exit code; the negative number of the signal that ended it.

    Returns
    -------
    str

    Examples
    --------
    >>> ending(3), ending(-11)
    ('ended with exit status 3', 'was killed by SIGSEGV')
    """
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (by hand, or because memory ran out)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


@contextlib.contextmanager
def _ctrl_c_for_the_parent_alone() -> Iterator[None]:
    """Let processes that begin here never see Ctrl-C, from their first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- in the worker ---------------------------------------------------------------------------------


def _serve(connection: Connection, threads: int) -> None:
    """Carry out tasks until there are no more, or until somebody asks to end."""
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while True:
            task = connection.recv()
            if task is None:
                return
            outcome = carry_out(task)
            connection.send(outcome)
            if outcome.state == "interrupted":
                return


def _end_with_the_parent() -> None:
    """Ask this process to end as soon as the one that began it is no more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
