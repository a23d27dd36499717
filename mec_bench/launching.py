"""Calls in processes of their own, a few at once: one dies, the others go on."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from gymnasium.error import DependencyNotInstalled

from mec_bench.results import Result
from mec_bench.run import RunFolder, Settings, Status

Item = TypeVar("Item")
Value = TypeVar("Value")

_RENEWED = 20
"""Calls per process before all are begun anew: what libraries leave behind goes with them."""


@dataclass(frozen=True)
class Ended(Generic[Item, Value]):
    """A call that ended.

    Attributes
    ----------
    item : object
        What it was about.
    value : object or None
        What it returned.
    error : str
        Why it returned nothing; else empty.

    Examples
    --------
    >>> Ended("a", 1).error
    ''
    """

    item: Item
    value: Value | None
    error: str = ""


def side_by_side(
    call: Callable[[Item], Value], items: Iterable[Item], processes: int
) -> Iterator[Ended[Item, Value]]:
    """Call a function on every item, in processes that are begun anew; yield what ends.

    Parameters
    ----------
    call : callable
        A module's function of one item; both are pickled.
    items : iterable
        In this order, as far as several at once have one.
    processes : int
        How many at once; 1 calls here.

    Yields
    ------
    Ended
        In the order of their ends. When a process dies (killed, out of memory), what was under way
        is tried once more, one after the other, so that what kills its process says so and costs
        the others nothing.

    Examples
    --------
    >>> [one.value for one in side_by_side(abs, [-1, 2], 1)]
    [1, 2]
    """
    waiting = deque(items)
    if processes == 1 or len(waiting) < 2:
        for item in waiting:
            yield _here(call, item)
        return
    while waiting:
        died: list[Item] = []
        yield from _until_a_death(call, waiting, processes, died)
        for item in died:
            again: list[Item] = []
            yield from _until_a_death(call, deque([item]), 1, again)
            for one in again:
                yield Ended(one, None, "its process died: killed, or out of memory")


def _here(call: Callable[[Item], Value], item: Item) -> Ended[Item, Value]:
    try:
        return Ended(item, call(item))
    except Exception as error:
        return Ended(item, None, f"{type(error).__name__}: {error}")


def _until_a_death(
    call: Callable[[Item], Value], waiting: deque[Item], processes: int, died: list[Item]
) -> Iterator[Ended[Item, Value]]:
    """Work until all is done, a process dies, or processes are due to be renewed.

    Takes from `waiting`, and puts into `died` what was under way when a process died.
    """
    begun = 0
    under_way: dict[Future[Value], Item] = {}
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        while not died:
            while waiting and len(under_way) < processes and begun < _RENEWED * processes:
                item = waiting.popleft()
                try:
                    under_way[pool.submit(call, item)] = item
                except BrokenProcessPool:  # a process died since the last look
                    died.append(item)
                    break
                begun += 1
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                item = under_way.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    died.append(item)
                elif error is not None:
                    yield Ended(item, None, f"{type(error).__name__}: {error}")
                else:
                    yield Ended(item, future.result())
    died.extend(under_way.values())


STATES = ("done", "there", "failed", "held", "interrupted")


@dataclass(frozen=True)
class Task:
    """A run, and where it lies.

    Attributes
    ----------
    settings : Settings
        What to run.
    folder : Path
        Its own.

    Examples
    --------
    >>> from mec_gym import Scenario
    >>> small = Scenario.preset("paper-30x2")
    >>> str(Task(Settings(algorithm="greedy", scenario=small, timesteps=0), Path("runs/x")))
    'greedy on paper-30x2, seed 0'
    """

    settings: Settings = field(compare=False)
    folder: Path

    def __str__(self) -> str:
        one = self.settings
        return f"{one.label} on {one.scenario.name or 'scenario'}, seed {one.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes
    ----------
    task : Task
        The run.
    state : {"done", "there", "failed", "held", "interrupted"}
        "there": it was done before; "held": another process works on it.
    reason : str
        Why it is not done.
    notes : tuple of str
        What its user should know all the same.

    Examples
    --------
    >>> from mec_gym import Scenario
    >>> small = Scenario.preset("paper-30x2")
    >>> task = Task(Settings(algorithm="greedy", scenario=small, timesteps=0), Path("runs/x"))
    >>> Outcome(task, "failed", "no space left on device").good
    False
    """

    task: Task
    state: str
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether there is a result."""
        return self.state in ("done", "there")


def before(task: Task) -> Outcome | None:
    """Return what is known of a run without running it; None where it has to run.

    Parameters
    ----------
    task : Task
        The run.

    Returns
    -------
    Outcome or None
        A run that is done, or whose folder cannot be used.
    """
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
        return Outcome(task, "failed", sentence(error))
    return Outcome(task, "there")


def carry_out(task: Task) -> Outcome:
    """Run a task in this process; whatever goes wrong is its outcome.

    Parameters
    ----------
    task : Task
        The run.

    Returns
    -------
    Outcome
        What the run prints, and the traceback of a fault, lie in its folder's ``output.txt``.
    """
    # Here, in the process that trains: those that only give tasks out do without torch.
    from mec_bench.training import train

    notes: list[str] = []
    with _noting(notes), _printing_to(task.folder / "output.txt"):
        try:
            train(task.settings, task.folder)
        except BlockingIOError as error:
            return Outcome(task, "held", str(error))
        except (KeyboardInterrupt, SystemExit):
            return Outcome(task, "interrupted")
        except Exception as error:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            return Outcome(task, "failed", sentence(error), tuple(notes))
    return Outcome(task, "done", notes=tuple(notes))


def result_of(outcome: Outcome) -> Result:
    """Return the result of a run that is done.

    Parameters
    ----------
    outcome : Outcome
        A good one.

    Returns
    -------
    Result
    """
    return RunFolder(outcome.task.folder).final_result()


def lost(task: Task, reason: str) -> Outcome:
    """Write into a run's folder that its process died, and return that.

    Parameters
    ----------
    task : Task
        The run.
    reason : str
        What is known of it.

    Returns
    -------
    Outcome
        "done" where the process died after its work.
    """
    run = RunFolder(task.folder)
    with contextlib.suppress(OSError, ValueError), run.locked():
        status = run.status()
        if status is not None and status.state == "done":
            return Outcome(task, "done")
        if status is not None:
            run.write_status(
                Status(
                    state="failed",
                    timesteps=status.timesteps,
                    seconds=status.seconds,
                    error=reason,
                )
            )
    return Outcome(task, "failed", reason)


def sentence(error: Exception) -> str:
    """Return an error as one line: its words alone where they are meant for users.

    Parameters
    ----------
    error : Exception
        Any.

    Returns
    -------
    str

    Examples
    --------
    >>> sentence(ValueError("seed must be 0.")), sentence(ZeroDivisionError("division by zero"))
    ('seed must be 0.', 'ZeroDivisionError: division by zero')
    """
    words = " ".join(str(error).split())
    plain = (DependencyNotInstalled, ModuleNotFoundError, OSError, TypeError, ValueError)
    return words if words and isinstance(error, plain) else f"{type(error).__name__}: {words}"


class _Notes(logging.Handler):
    def __init__(self, notes: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        self._notes.append(record.getMessage())


@contextlib.contextmanager
def _noting(notes: list[str]) -> Iterator[None]:
    handler, log = _Notes(notes), logging.getLogger("mec_bench")
    log.addHandler(handler)
    try:
        yield
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
        for ready in wait_for(list(by_connection), seconds):
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
        wait_for([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
