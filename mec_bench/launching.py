"""Calls in worker processes, a few at once: one dies, the others go on.

:class:`Workers` is the one pool. :func:`side_by_side` gives it any function, :class:`Processes` the
runs of a matrix. Each worker has its own pipe, so that a death is the death of exactly one item.
Workers never see Ctrl-C, which the parent answers for them, and end when their parent is gone.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from logging.handlers import BufferingHandler
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from gymnasium.error import DependencyNotInstalled

from mec_bench.importing import Terminated, users_place
from mec_bench.run import RunFolder, Settings

Item = TypeVar("Item")
Value = TypeVar("Value")

_RENEWED = 20
"""Calls per worker before another one takes its place: what libraries leave behind goes with it."""


def limit_threads(threads: int) -> None:
    """Let NumPy, SciPy and torch compute on so many threads in this process.

    Small networks train fastest on one, and much faster where several runs share the cores.
    """
    import scipy.linalg  # noqa: F401  # loads its own BLAS, which must be there to be limited
    import threadpoolctl
    import torch

    threadpoolctl.threadpool_limits(threads)
    torch.set_num_threads(threads)


# -- the pool --------------------------------------------------------------------------------------


class Launcher(ABC, Generic[Item, Value]):
    """What carries out items, begun in their order: `jobs` at once, each on so many threads."""

    def __init__(self, jobs: int, threads: int = 1) -> None:
        for name, value in (("jobs", jobs), ("threads", threads)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}.")
        self._jobs, self._threads = jobs, threads
        self._waiting: deque[Item] = deque()
        self._stopping = False

    @property
    @abstractmethod
    def running(self) -> list[Item]:
        """Items under way."""

    @property
    def left(self) -> int:
        """How many items have no value yet."""
        return len(self._waiting) + len(self.running)

    def start(self, items: Iterable[Item]) -> None:
        """Begin."""
        self._waiting.extend(items)
        self._fill()

    @abstractmethod
    def _fill(self) -> None:
        """Begin as many items as may run at once."""

    @abstractmethod
    def poll(self, seconds: float | None) -> list[Value]:
        """Return the values of what ended, after `seconds` at the latest; None waits for one."""

    def stop(self) -> None:
        """Begin nothing more, and ask what runs to end where nothing is lost."""
        self._stopping = True
        self._waiting.clear()

    @abstractmethod
    def kill(self) -> None:
        """End what runs at once."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


@dataclass(eq=False)
class _Worker(Generic[Item]):
    process: SpawnProcess
    item: Item
    calls: int = 1


class Workers(Launcher[Item, Value]):
    """Processes that call a function on one item after the other; a new one replaces a dead one.

    `call` is a module's function that raises nothing. ``lost(item, reason)`` is the value of an
    item whose process died, with an empty reason where it had been asked to end.
    """

    def __init__(
        self,
        call: Callable[[Item], Value],
        lost: Callable[[Item, str], Value],
        jobs: int,
        threads: int = 1,
    ) -> None:
        super().__init__(jobs, threads)
        self._call, self._lost = call, lost
        self._workers: dict[Connection, _Worker[Item]] = {}

    @property
    def running(self) -> list[Item]:
        """Items under way."""
        return [worker.item for worker in self._workers.values()]

    def _fill(self) -> None:
        context = multiprocessing.get_context("spawn")
        while self._waiting and len(self._workers) < self._jobs:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self._call, self._threads))
            with _ctrl_c_for_the_parent_alone():
                process.start()
            theirs.close()
            self._workers[ours] = _Worker(process, self._waiting.popleft())
            _send(ours, (self._workers[ours].item,))

    def poll(self, seconds: float | None) -> list[Value]:
        """Return the values of what ended, after `seconds` at the latest; None waits for one."""
        ready = wait_for(list(self._workers), seconds)
        values = [self._heard(connection) for connection in ready]  # type: ignore[arg-type]
        self._fill()
        return values

    def _heard(self, connection: Connection) -> Value:
        worker = self._workers[connection]
        try:
            value: Value = connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            self._bury(connection)
            reason = "" if self._stopping else f"its process {ending(worker.process.exitcode or 0)}"
            return self._lost(worker.item, reason)
        if self._waiting and worker.calls < _RENEWED:
            worker.item, worker.calls = self._waiting.popleft(), worker.calls + 1
            _send(connection, (worker.item,))
        else:
            _send(connection, None)
            self._bury(connection)
        return value

    def _bury(self, connection: Connection) -> None:
        worker = self._workers.pop(connection)
        worker.process.join()
        connection.close()

    def stop(self) -> None:
        """Begin nothing more, and ask what runs to end where nothing is lost."""
        super().stop()
        for worker in self._workers.values():
            worker.process.terminate()

    def kill(self) -> None:
        """End what runs at once."""
        self.stop()
        for worker in self._workers.values():
            worker.process.kill()

    def close(self) -> None:
        """Leave no process behind."""
        self.kill()
        for connection in list(self._workers):
            self._bury(connection)


def _send(connection: Connection, item: Any) -> None:
    # A worker that has just died is noticed by its end of the pipe.
    with contextlib.suppress(OSError):
        connection.send(item)


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


def _serve(connection: Connection, call: Callable[[Any], Any], threads: int) -> None:
    """Call in the worker, until there is no more to do or somebody asks to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    limit_threads(threads)
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while (item := connection.recv()) is not None:
            connection.send(call(*item))


def _end_with_the_parent() -> None:
    """Ask this process to end as soon as the one that began it is no more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def ending(code: int) -> str:
    """Return how a process ended, by its exit code: -n where signal n ended it.

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


# -- any function ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended(Generic[Item, Value]):
    """A call that ended: its item, what it returned, or else why it did not."""

    item: Item
    value: Value | None
    error: str = ""
    died: bool = False


def side_by_side(
    call: Callable[[Item], Value], items: Iterable[Item], processes: int
) -> Iterator[Ended[Item, Value]]:
    """Call a module's function on every item, each in a process with one thread; yield what ends.

    One process calls here. An item whose process dies (killed, out of memory) is tried once more
    after all others, alone. Ctrl-C asks what runs to end where nothing is lost, and waits for it; a
    second one does not wait.

    >>> [one.value for one in side_by_side(abs, [-1, 2], 1)]
    [1, 2]
    """
    waiting = list(items)
    guarded = functools.partial(_guarded, call)
    if processes == 1 or len(waiting) < 2:
        yield from map(guarded, waiting)
        return
    died = []
    for ended in _pooled(guarded, waiting, processes):
        if ended.died:
            died.append(ended.item)
        else:
            yield ended
    yield from _pooled(guarded, died, 1)


def _guarded(call: Callable[[Item], Value], item: Item) -> Ended[Item, Value]:
    try:
        return Ended(item, call(item))
    except Exception as error:
        return Ended(item, None, f"{type(error).__name__}: {error}")


def _pooled(
    call: Callable[[Item], Ended[Item, Value]], items: list[Item], processes: int
) -> Iterator[Ended[Item, Value]]:
    pool = Workers(call, lambda item, reason: Ended(item, None, reason, died=True), processes)
    with contextlib.closing(pool):
        try:
            pool.start(items)
            while pool.left:
                yield from pool.poll(None)
        finally:
            pool.stop()
            while pool.left:
                pool.poll(None)


# -- runs of a matrix ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A run, and the folder that it lies in."""

    settings: Settings = field(compare=False)
    folder: Path

    def __str__(self) -> str:
        one = self.settings
        return f"{one.label} on {one.scenario.name or 'scenario'}, seed {one.seed}"


@dataclass(frozen=True)
class RunOutcome:
    """What came of a run: its state, why it is not done, and what its user should know."""

    task: Task
    state: str
    """"done", "there" (done before), "failed", "held" (by another process) or "interrupted"."""
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether there is a result."""
        return self.state in ("done", "there")


class Processes(Workers[Task, RunOutcome]):
    """Carries out runs in processes of this machine, `jobs` at once."""

    def __init__(self, jobs: int, threads: int = 1) -> None:
        super().__init__(carry_out, lost, jobs, threads)


def before(task: Task) -> RunOutcome | None:
    """Return what is known of a run that is done or has an unusable folder; None: it has to run."""
    run = RunFolder(task.folder)
    try:
        if not run.holds(task.settings):
            return None
        status = run.status()
        if status is None or status.state != "done":
            return None
        run.final_result()
    except OSError:
        return None  # the run itself says what is wrong with its folder
    except ValueError as error:
        return RunOutcome(task, "failed", sentence(error))
    return RunOutcome(task, "there")


def carry_out(task: Task) -> RunOutcome:
    """Run a task in this process; whatever goes wrong is its outcome.

    What the run prints, and the traceback of a fault, go to ``output.txt`` in its folder.
    """
    # Here, in the process that trains: those that only give tasks out do without torch.
    from mec_bench.training import train

    state, reason = "done", ""
    with _noting() as notes, _printing_to(task.folder / "output.txt"):
        try:
            train(task.settings, task.folder)
        except BlockingIOError as error:
            return RunOutcome(task, "held", str(error))
        except (KeyboardInterrupt, Terminated):
            return RunOutcome(task, "interrupted")
        except Exception as error:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            state, reason = "failed", sentence(error)
    return RunOutcome(task, state, reason, tuple(note.getMessage() for note in notes))


def lost(task: Task, reason: str) -> RunOutcome:
    """Return the outcome of a run whose process died, and write it into the run's folder."""
    if not reason:
        return RunOutcome(task, "interrupted")
    reason = f"{reason}; the last checkpoint is good."
    run = RunFolder(task.folder)
    with contextlib.suppress(OSError, ValueError), run.locked():
        status = run.status()
        if status is not None and status.state == "done":  # the process died after its work
            return RunOutcome(task, "done")
        if status is not None:
            run.mark("failed", reason)
    return RunOutcome(task, "failed", reason)


def sentence(error: Exception) -> str:
    """Return an error as one line: its words alone where they are meant for users.

    >>> sentence(ValueError("seed must be 0.")), sentence(ZeroDivisionError("division by zero"))
    ('seed must be 0.', 'ZeroDivisionError: division by zero')
    """
    words = " ".join(str(error).split())
    plain = (DependencyNotInstalled, ModuleNotFoundError, OSError, TypeError, ValueError)
    said = words if words and isinstance(error, plain) else f"{type(error).__name__}: {words}"
    return said + users_place(error)


@contextlib.contextmanager
def _noting() -> Iterator[list[logging.LogRecord]]:
    """Keep the warnings of the harness."""
    handler, log = BufferingHandler(sys.maxsize), logging.getLogger("mec_bench")
    handler.setLevel(logging.WARNING)
    log.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Let the process print to a file, whatever writes: Python, libraries, a crash's last words."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError:  # the run will say what is wrong with its folder
        file = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    kept = [os.dup(number) for number in (1, 2)]
    try:
        _flush()
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        file.close()  # its descriptor lives on as 1 and 2
        yield
    finally:
        _flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, closed, or full
            stream.flush()
