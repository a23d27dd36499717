"""What a matrix says while it runs: a line for every run that ends, and how long it will take."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TextIO

from mec_bench.matrix.tasks import Outcome, Task
from mec_bench.running.folder import RunFolder

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
    """Writes how far a matrix is.

    Parameters
    ----------
    tasks : sequence of Task
        All of them.
    jobs : int
        How many run at once.
    stream : file, optional
        Where to; the standard output by default. A terminal has one line that changes.

    Examples
    --------
    >>> Progress([], 1).estimate([]) is None
    True
    """

    def __init__(self, tasks: Sequence[Task], jobs: int, stream: TextIO | None = None) -> None:
        self._tasks, self._jobs = tasks, jobs
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._ended: dict[Task, Outcome] = {}
        self._begun: dict[Task, float] = {}
        self._took: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._written, self._width = time.monotonic(), 0

    def say(self, text: str) -> None:
        """Write a line that stays.

        Parameters
        ----------
        text : str
            The line.
        """
        self._clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def ended(self, outcome: Outcome) -> None:
        """Write a line about a run that ended.

        Parameters
        ----------
        outcome : Outcome
            Its.
        """
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
        """Write how far everything is, if it is time to.

        Parameters
        ----------
        running : sequence of Task
            Those under way.
        """
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
        parts = [
            f"{len(self._ended)} of {len(self._tasks)} runs ended, {waiting} wait",
            f"about {_shown(left)} left" if left is not None else "",
            "; ".join(under_way),
        ]
        return " | ".join(part for part in parts if part)

    def estimate(self, running: Sequence[Task]) -> float | None:
        """Return how long the rest will take.

        Parameters
        ----------
        running : sequence of Task
            Those under way.

        Returns
        -------
        float or None, [s]
            From runs of the same algorithm and scenario, or else from all that ended; None before
            anything is known.
        """
        known = [seconds for values in self._took.values() for seconds in values]
        parts = {task: self._whole(task) for task in running}
        known += [whole for whole in parts.values() if whole is not None]
        if not known:
            return None
        usual, total, longest = sum(known) / len(known), 0.0, 0.0
        for task in self._tasks:
            if task in self._ended:
                continue
            same = self._took.get(_kind(task), [])
            whole = sum(same) / len(same) if same else parts.get(task)
            rest = max((usual if whole is None else whole) - self._since(task), 0.0)
            total, longest = total + rest, max(longest, rest)
        return max(total / self._jobs, longest)

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
