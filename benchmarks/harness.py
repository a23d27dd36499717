"""The harness: what it adds to bare training, and what a second job saves.

A run is a whole one: settings, frozen slots with their optima, eleven points of the curve, two
pictures, TensorBoard, four checkpoints, the final model and what it reaches.

Two turns of the same training differ by more than the goal. So the goal is one within a run: its
whole time over its time without the harness, which is everything outside of ``learn``, and inside
of it callbacks, the logger and other threads; the median of the turns. Beside it stand whole runs
over bare ones that take turns with them, the best of each, by the process's own time and by the
clock, which holds the waits for the disk, too.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from benchmarks.measure import Row, row, shown
from mec_bench import Settings, algorithm, measuring, train
from mec_bench.launching import Processes
from mec_bench.matrix import run_matrix
from mec_bench.training import make_env
from mec_bench.watching import Watch
from mec_gym import Scenario


def _settings(preset: str, slots: int, *, quick: bool, seed: int = 0) -> Settings:
    few: dict[str, Any] = {"n_demonstrations": 4, "pretrain_steps": 2, "batch_size": 8}
    return Settings(
        algorithm="dirs",
        scenario=Scenario.preset(preset),
        timesteps=20 if quick else slots,
        seed=seed,
        arguments=few if quick else {},
    )


def overhead(*, quick: bool) -> list[Row]:
    """Compare :func:`mec_bench.train` with the bare ``learn`` of an equal model."""
    rows = []
    for preset, slots, rounds in (("paper-200x10", 5_000, 3), ("paper-30x2", 3_000, 8)):
        settings = _settings(preset, slots, quick=quick)
        chosen = algorithm("dirs", settings.arguments)

        def bare(chosen: Any = chosen, settings: Settings = settings) -> None:
            model = chosen.build(make_env(settings, chosen), seed=0, device="cpu")
            model.learn(settings.timesteps)

        def ours(settings: Settings = settings) -> None:
            measuring.frozen_slots.cache_clear()  # a run alone has to draw and solve its slots
            with tempfile.TemporaryDirectory() as folder:
                train(settings, folder)

        bare()  # loads what is loaded once
        times: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
        within = []
        for _ in range(1 if quick else rounds):
            with _learning(chosen.cls) as learned:
                times["ours"].append(_seconds(ours))
            within.append((times["ours"][-1][0] / learned[0], learned[0]))
            times["bare"].append(_seconds(bare))
        run = f"a run of dirs, {preset}, {settings.timesteps:,} slots"
        ratio, learning = sorted(within)[len(within) // 2]
        label = f"{run}, CPU time over that of learning in it"
        goal = "" if quick else "<= 1.05"
        rows.append(row(label, shown(ratio * learning), shown(learning), ratio, goal))
        for which, what in enumerate(("CPU time", "wall time")):
            found = {name: [pair[which] for pair in pairs] for name, pairs in times.items()}
            best = {name: min(values) for name, values in found.items()}
            spread = max(found["bare"]) / best["bare"] - 1
            bare_time = f"{shown(best['bare'])}, up to {spread:.0%} more in other turns"
            ratio = best["ours"] / best["bare"]
            label = f"{run}, {what} over bare learn"
            rows.append(row(label, shown(best["ours"]), bare_time, ratio))
    return rows


@contextlib.contextmanager
def _learning(algorithm: type) -> Iterator[list[float]]:
    """Measure this thread's own seconds in ``learn``, without callbacks and the logger."""
    spent, aside, depth = [0.0], [0.0], [0]

    def timed(method: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if into is aside and depth[0]:  # inside of another
                return method(*args, **kwargs)
            depth[0] += into is aside
            begun = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                into[0] += time.thread_time() - begun
                depth[0] -= into is aside

        return wrapped

    parts = [(algorithm, "learn", spent), (Logger, "record", aside), (Logger, "dump", aside)]
    called = ("training_start", "rollout_start", "step", "rollout_end", "training_end")
    parts += [(BaseCallback, f"on_{name}", aside) for name in called]
    parts += [(Watch, "on_pretraining_step", aside)]
    with contextlib.ExitStack() as undo:
        for owner, name, into in parts:
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, timed(getattr(owner, name), into))
        yield spent
    spent[0] -= aside[0]


def _seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return the process's own seconds and the clock's."""
    own, clock = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - own, time.perf_counter() - clock


def jobs(*, quick: bool) -> list[Row]:
    """Compare a matrix of 20 short runs with two jobs and with one."""
    count = 4 if quick else 20
    runs = [_settings("paper-30x2", 1_000, quick=quick, seed=seed) for seed in range(count)]
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
