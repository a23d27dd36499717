"""Many runs: what is done is skipped, what was stopped goes on, a failure does not stop others."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mec_bench.matrix.launchers import Launcher
from mec_bench.matrix.progress import Progress
from mec_bench.matrix.tasks import Outcome, Task, before, result_of, sentence
from mec_bench.results.record import Result
from mec_bench.settings import Settings

_POLL_S = 0.25
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Report:
    """What came of a matrix.

    Attributes
    ----------
    outcomes : tuple of Outcome
        Of every run that was tried, in the order of the plan.
    results : tuple of Result
        Of those that are done, in the same order.
    untried : int
        Runs that were not begun, because somebody asked to end.
    stopped : bool
        Whether somebody asked to end.

    Examples
    --------
    >>> Report((), (), 0, stopped=False).status
    0
    """

    outcomes: tuple[Outcome, ...]
    results: tuple[Result, ...]
    untried: int
    stopped: bool

    @property
    def failures(self) -> tuple[Outcome, ...]:
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
    launcher: Launcher,
    progress: Progress | None = None,
) -> Report:
    """Carry out runs, each in a folder of its own below one.

    Parameters
    ----------
    runs : sequence of Settings
        From :func:`mec_bench.matrix.plan.plan`, as a rule.
    out : path
        Folder of all runs.
    launcher : Launcher
        What carries them out.
    progress : Progress, optional
        What to tell; nothing by default.

    Returns
    -------
    Report
        Ctrl-C and SIGTERM end it early, as soon as the runs under way have written how far they
        are; a second one does not wait for that. Either way the same call goes on later.
    """
    tasks = tasks_of(runs, out)
    progress = progress or Progress(tasks, 1, _Nowhere())  # type: ignore[arg-type]
    outcomes: dict[Task, Outcome] = {}

    def note(outcome: Outcome) -> None:
        outcomes[outcome.task] = outcome
        progress.ended(outcome)

    with _counting() as asked:
        for task in tasks:
            known = before(task)
            if known:
                note(known)
        try:
            launcher.start([task for task in tasks if task not in outcomes])
            for outcome in _ended(launcher, progress, asked):
                note(outcome)
        finally:
            launcher.close()
        outcomes = {task: outcomes[task] for task in tasks if task in outcomes}
        results = _results(outcomes)
    return Report(
        tuple(outcomes.values()),
        results,
        len(tasks) - len(outcomes),
        stopped=bool(asked),
    )


def tasks_of(runs: Sequence[Settings], out: str | os.PathLike[str]) -> list[Task]:
    """Return runs with their folders.

    Parameters
    ----------
    runs : sequence of Settings
        In any order.
    out : path
        Folder of all runs.

    Returns
    -------
    list of Task
    """
    return [Task(run, Path(out) / run.place) for run in runs]


def _ended(launcher: Launcher, progress: Progress, asked: list[int]) -> Iterator[Outcome]:
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


def _results(outcomes: dict[Task, Outcome]) -> tuple[Result, ...]:
    results = []
    for task, outcome in outcomes.items():
        if outcome.good:
            try:
                results.append(result_of(outcome))
            except (OSError, ValueError) as error:
                outcomes[task] = Outcome(task, "failed", sentence(error))
    return tuple(results)


@contextlib.contextmanager
def _counting() -> Iterator[list[int]]:
    """Note requests to end, instead of being interrupted by them anywhere."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, _frame: Any) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Nowhere:
    """A stream that nobody reads."""

    def isatty(self) -> bool:
        return False

    def write(self, _text: str) -> None:
        pass

    def flush(self) -> None:
        pass
