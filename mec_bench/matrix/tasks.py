"""One run of a matrix, what came of it, and carrying it out in the process that it was given to."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gymnasium.error import DependencyNotInstalled

from mec_bench.results.record import Result
from mec_bench.running.folder import RunFolder, Status
from mec_bench.settings import Settings

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
    from mec_bench.running.training import train

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
    handler, log = _Notes(notes), logging.getLogger("experiments")
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
