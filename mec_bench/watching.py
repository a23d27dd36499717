"""A run while it trains: status, checkpoints, learning curve, figures in its logs, progress bar."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, ProgressBarCallback
from stable_baselines3.common.logger import HParam, Image, Logger

from mec_bench.checkpoints import between_rollouts, save_checkpoint
from mec_bench.film import Picture
from mec_bench.measuring import Decisions, decisions_of
from mec_bench.results import Measure, curve_point
from mec_bench.run import Run, Spent, Status

_STATUS_SECONDS = 2.0
_PAUSE_SECONDS = 30.0
"""Between two checkpoints while no slots pass."""
_FIGURES = {
    name: f"mec/{name}" for name in ("latency_s", "energy_j", "objective", "migrations", "nrr")
}
"""Figures of the env's info that are logged, and what they are called there."""
_IMAGE_TAG = "network/decisions"
_PICTURES_ONLY = ("stdout", "log", "json", "csv")
"""Formats that show no pictures and no tables."""


class Watch(BaseCallback):
    """Keeps a run's folder up to date while it trains, after so much training before."""

    def __init__(self, run: Run, before: Spent = Spent()) -> None:  # noqa: B008  # immutable
        super().__init__()
        self._run, self._folder, self._settings = run, run.folder, run.settings
        self._points = run.folder.read_curve()
        self._counted = before
        self._since: Spent | None = None  # the clocks stand still
        self._picture: Picture | None = None
        self._draws = True

    @property
    def spent(self) -> Spent:
        """On training so far, without what this class does."""
        return self._counted.and_since(self._since)

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Do something that is no training."""
        self._stop_clocks()
        try:
            yield
        finally:
            self._since = Spent.now()

    def _stop_clocks(self) -> None:
        self._counted, self._since = self.spent, None

    def _on_training_start(self) -> None:
        self._written = self._kept = time.perf_counter()
        self._between_rollouts = between_rollouts(self.model)
        self._figures = {} if getattr(self.model, "logs_env_figures", False) else _FIGURES
        self._next_point = self._due(self._settings.measurements)
        self._next_checkpoint = self._due(self._settings.checkpoints)
        with self._aside():
            if not self._points:
                self._measure(picture=True)
            self._write_status()
            log_settings(self.logger, self.num_timesteps, self._run, self.model)

    def _on_step(self) -> bool:
        if self._figures:
            with self._aside():
                self._note_figures()
        # What is learned from the last slots comes after them, and is measured when it has.
        if self._next_point <= self.num_timesteps < self._settings.timesteps:
            self._next_point = self._due(self._settings.measurements)
            with self._aside():
                self._measure()
        if not self._between_rollouts:
            self._checkpoint(self.num_timesteps >= self._next_checkpoint)
        self._refresh_status()
        # Not beyond the budget: a rollout that it cuts short would be trained on for nothing.
        return self.num_timesteps <= self._settings.timesteps

    def _note_figures(self) -> None:
        for info in self.locals.get("infos", ()):
            for name, tag in self._figures.items():
                if name in info:
                    self.logger.record_mean(tag, float(info[name]))

    def _on_rollout_start(self) -> None:
        if self._between_rollouts:
            self._checkpoint(self.num_timesteps >= self._next_checkpoint)

    def on_pretraining_step(self) -> None:
        """Save between parts of training in which no slots pass, too."""
        paused = time.perf_counter() > self._kept + _PAUSE_SECONDS
        self._checkpoint(bool(self._settings.checkpoints) and paused)
        self._refresh_status()

    def _checkpoint(self, due: bool) -> None:
        """Save where that is due, or where the run is asked to end."""
        stop = self._run.stop
        stop.can_wait = True  # this place comes again soon
        if due or stop.asked:
            self._next_checkpoint = self._due(self._settings.checkpoints)
            with self._aside():
                save_checkpoint(self.model, self.spent, self._folder)
                self._write_status()
            self._kept = time.perf_counter()
            stop.check()

    def _on_training_end(self) -> None:
        self._run.stop.can_wait = False
        self._stop_clocks()
        if self._points and self._points[-1].timesteps < self.num_timesteps:
            self._measure(picture=True)
        self._write_status()

    def _due(self, count: int) -> float:
        """Return the next multiple of the budget's parts; what comes at the very end is not one."""
        if not count:
            return np.inf
        part = max(self._settings.timesteps / count, 1.0)
        due = (self.num_timesteps // part + 1) * part
        return due if due < self._settings.timesteps else np.inf

    def _measure(self, *, picture: bool = False) -> None:
        """Add a point to the learning curve; a picture of each would cost more than the point."""
        frozen = self._run.frozen
        decide = decisions_of(self.model, self._settings.scenario)
        score, objective = frozen.means(decide, self._run.observation)
        reached = {"timesteps": self.num_timesteps, "seconds": self.spent.wall}
        self._points.append(curve_point(reached | {frozen.measure.key: score}))
        self._folder.write_curve(self._points)
        if picture:
            self._draw(decide)
        if hasattr(self.model, "record_averages"):
            self.model.record_averages()
        log_point(self.logger, self.num_timesteps, frozen.measure, score, objective)
        self._run.heard(self._points[-1])

    def _draw(self, decide: Decisions) -> None:
        if not self._draws:
            return
        try:
            self._picture = self._picture or Picture(self._settings.scenario, self._run.observation)
        except ModuleNotFoundError:  # the extra is not installed
            self._draws = False
            return
        image = Image(self._picture.of(decide), "HWC")
        self.logger.record(_IMAGE_TAG, image, exclude=_PICTURES_ONLY)

    def _refresh_status(self) -> None:
        if time.perf_counter() > self._written + _STATUS_SECONDS:
            with self._aside():
                self._write_status()

    def _write_status(self) -> None:
        self._written = time.perf_counter()
        self._folder.write_status(status_after(self.num_timesteps, self.spent))


def status_after(timesteps: int, spent: Spent, state: str = "running") -> Status:
    """Return the status of a run after so much training."""
    return Status(state=state, timesteps=timesteps, seconds=spent.wall, cpu_seconds=spent.cpu)


def log_point(logger: Logger, timesteps: int, measure: Measure, score: Any, objective: Any) -> None:
    """Write what a policy reaches on the frozen slots, and all that is recorded besides."""
    logger.record(f"frozen/{measure.key}", float(score))
    logger.record("frozen/objective", float(objective))
    _dump(logger, timesteps)


def log_settings(logger: Logger, timesteps: int, run: Run, model: Any) -> None:
    """Write a run's row of TensorBoard's table of hyper-parameters."""
    shown = {
        "algorithm": run.settings.algorithm,
        "scenario": run.settings.scenario.name,
        "seed": run.settings.seed,
        "timesteps": run.settings.timesteps,
        **run.algorithm.arguments_of(model),
    }
    plain = {k: v for k, v in shown.items() if isinstance(v, (bool, int, float, str))}
    table = HParam(plain, {f"frozen/{run.frozen.measure.key}": 0.0, "frozen/objective": 0.0})
    logger.record("hparams", table, exclude=_PICTURES_ONLY)
    _dump(logger, timesteps)


def _dump(logger: Logger, timesteps: int) -> None:
    """Write a row that says, in progress.csv too, after how many slots it is."""
    logger.record("time/total_timesteps", timesteps, exclude="tensorboard")
    logger.dump(timesteps)


class ProgressBar(ProgressBarCallback):
    """Stable-Baselines3's progress bar over what is `left` of a run, for all stages."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self._left = left
        self._shown = 0

    def on_pretraining_step(self) -> None:
        """Show the stage that the algorithm is in: no slot passes for a while."""
        self._show(getattr(self.model, "stage", ""))

    def _on_training_start(self) -> None:
        from tqdm.rich import tqdm  # of an extra

        done = self._shown = self.model.num_timesteps
        self.pbar = tqdm(total=done + self._left, initial=done)

    def _on_rollout_start(self) -> None:
        if self.pbar.desc:
            self._show("")

    def _on_step(self) -> bool:
        passed, self._shown = self.num_timesteps - self._shown, self.num_timesteps
        # All copies take a step together, the last of them beyond the total.
        self.pbar.update(min(passed, self.pbar.total - self.pbar.n))
        return True

    def _show(self, stage: str) -> None:
        self.pbar.set_description(stage, refresh=True)
