"""The harness: what it adds to bare training, and what a second job saves."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, row, shown
from experiments import Settings, algorithm, train
from experiments.matrix.launchers import Processes
from experiments.matrix.matrix import run_matrix
from experiments.running import measuring
from experiments.running.training import make_env
from mec_gym import Scenario

_FEW: dict[str, Any] = {"n_demonstrations": 4, "pretrain_steps": 2, "batch_size": 8}


def overhead(*, quick: bool) -> list[Row]:
    """Compare :func:`experiments.train` with the bare ``learn`` of an equal model.

    Ours is a whole run: settings, frozen slots with their optima, eleven points of the curve, two
    pictures, TensorBoard, four checkpoints, the final model and what it reaches. DIRS has its
    defaults, demonstrations and pre-training included, for as many slots as in the paper. Both
    take turns, and the best of each counts. The goal is one of the process's own time, which other
    processes disturb little; wall time, which holds the waits for the disk, too, stands beside it.

    Parameters
    ----------
    quick : bool
        A few slots.

    Returns
    -------
    list of Row
    """
    rows = []
    for preset, slots, rounds in (("paper-200x10", 5_000, 3), ("paper-30x2", 3_000, 8)):
        settings = Settings(
            algorithm="dirs",
            scenario=Scenario.preset(preset),
            timesteps=20 if quick else slots,
            arguments=_FEW if quick else {},
        )
        chosen = algorithm("dirs", settings.arguments)

        def bare(chosen: Any = chosen, settings: Settings = settings) -> None:
            model = chosen.build(make_env(settings, chosen), seed=0, device="cpu")
            model.learn(settings.timesteps)

        def ours(settings: Settings = settings) -> None:
            measuring._frozen.cache_clear()  # a run alone has to draw and solve its slots
            with tempfile.TemporaryDirectory() as folder:
                train(settings, folder)

        bare()  # loads what is loaded once
        times: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
        for _ in range(1 if quick else rounds):
            for name, action in (("ours", ours), ("bare", bare)):
                times[name].append(_seconds(action))
        run = f"a run of dirs, {preset}, {settings.timesteps:,} slots"
        for which, (what, goal) in enumerate((("CPU time", "<= 1.05"), ("wall time", ""))):
            found = {name: [pair[which] for pair in pairs] for name, pairs in times.items()}
            best = {name: min(values) for name, values in found.items()}
            spread = max(found["bare"]) / best["bare"] - 1
            bare_time = f"{shown(best['bare'])}, up to {spread:.0%} more in other turns"
            ratio = best["ours"] / best["bare"]
            label = f"{run}, {what} over bare learn"
            rows.append(row(label, shown(best["ours"]), bare_time, ratio, "" if quick else goal))
    return rows


def _seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return the process's own seconds and the clock's."""
    own, clock = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - own, time.perf_counter() - clock


def jobs(*, quick: bool) -> list[Row]:
    """Compare a matrix of 20 short runs with two jobs and with one.

    Parameters
    ----------
    quick : bool
        Four runs.

    Returns
    -------
    list of Row
    """
    count = 4 if quick else 20
    runs = [
        Settings(
            algorithm="dirs",
            scenario=Scenario.preset("paper-30x2"),
            timesteps=20 if quick else 1_000,
            seed=seed,
            arguments=_FEW if quick else {},
        )
        for seed in range(count)
    ]
    times = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            report = run_matrix(runs, Path(folder), Processes(workers))
            times[workers] = time.perf_counter() - begun
        if report.status:
            raise RuntimeError(f"a run failed: {report.failures[0].reason}")
    label = f"{count} runs of dirs, paper-30x2, {runs[0].timesteps:,} slots, 2 jobs over 1"
    enough = not quick and (os.cpu_count() or 1) > 1
    ratio = times[2] / times[1]
    return [row(label, shown(times[2]), shown(times[1]), ratio, "<= 0.6" if enough else "")]
