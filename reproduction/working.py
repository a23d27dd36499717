"""Doing jobs: those that are not done, side by side, each kept as soon as it ends."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mec_bench.launching import side_by_side
from mec_gym.files import write_whole
from reproduction.jobs import Job, Training


def unique(jobs: Iterable[Job], runs: Path) -> list[Job]:
    """Return jobs without repetition: tables and figures share runs.

    Parameters
    ----------
    jobs : iterable of Job
        Of all that is wanted.
    runs : Path
        Folder of all runs.

    Returns
    -------
    list of Job
        In the order of their first mention.
    """
    return list({job.file(runs): job for job in jobs}.values())


def work(
    jobs: Iterable[Job], runs: Path, *, processes: int = 1, say: Callable[[str], None] = print
) -> list[str]:
    """Do the jobs that are not done; the first seed of everything comes first.

    Parameters
    ----------
    jobs : iterable of Job
        What to do.
    runs : Path
        Folder of all runs.
    processes : int
        How many side by side; 1 works in this process.
    say : callable
        Takes a line of progress.

    Returns
    -------
    list of str
        What failed, and why; nothing else is lost by it.
    """
    missing = [job for job in unique(jobs, runs) if not job.done(runs)]
    # Not whole exhibits one after the other: an interrupted reproduction has all of them.
    missing.sort(key=lambda job: (_is_dear(job), job.seed))
    say(f"{len(missing)} runs and measurements to do")
    failed = []
    pairs = [(job, runs) for job in missing]
    for done, ended in enumerate(side_by_side(_done, pairs, processes), 1):
        job, _ = ended.item
        text = ended.value or f"{job.words}: {ended.error}"
        say(f"{done}/{len(missing)} {text}")
        if ended.error:
            failed.append(text)
    return failed


def _is_dear(job: Job) -> bool:
    """Return whether a job is of a learner that takes long and that the paper does not have."""
    return isinstance(job, Training) and job.settings.algorithm == "dirs:ensemble"


def _done(pair: tuple[Job, Path]) -> str:
    """Do one job; return a line about it."""
    import torch

    job, runs = pair
    torch.set_num_threads(1)
    begun = time.perf_counter()
    _do(job, runs)
    return f"{job.words}: {time.perf_counter() - begun:.0f} s"


def _do(job: Job, runs: Path) -> None:
    # Both need torch, which takes seconds to load.
    from mec_bench.system import system
    from mec_bench.training import train
    from reproduction.measurements import KINDS

    if isinstance(job, Training):
        train(job.settings, runs / job.settings.place)
        # Tens of megabytes each, and nothing here reads them again.
        (runs / job.settings.place / "model.zip").unlink(missing_ok=True)
        return
    values: dict[str, Any] = KINDS[job.kind](**job.arguments)
    content = {
        "kind": job.kind,
        "arguments": dict(job.arguments),
        "values": values,
        "system": dataclasses.asdict(system()),
    }
    write_whole(job.file(runs), json.dumps(content) + "\n")
