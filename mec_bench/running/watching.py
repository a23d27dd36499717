"""What a run does beside training: curve, checkpoints, status, pictures, figures of the env."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HParam, Image, Logger

from dirs_agents.dirs import DIRS
from mec_bench.running.folder import RunFolder, Status
from mec_bench.running.measuring import FrozenSlots, decisions_of, means
from mec_bench.running.pictures import NetworkPicture
from mec_bench.running.stopping import Stop
from mec_bench.settings import Settings

MEC_FIGURES = {name: f"mec/{name}" for name in ("latency_s", "energy_j", "objective", "nrr")}
"""Figures of the env's info that are logged, and what they are called there."""

_STATUS_SECONDS = 2.0
_PAUSE_SECONDS = 30.0
"""Between two checkpoints in pre-training, where no slots are counted."""
_IMAGE_TAG = "network/decisions"
_IMAGE_SIZE = (640, 400)
"""Drawing and packing take as long as there are pixels, and TensorBoard shows few."""


class Watch(BaseCallback):
    """Keeps a run's folder up to date while it trains.

    Parameters
    ----------
    folder : RunFolder
        Where to write.
    settings : Settings
        Of the run.
    observation : {"db", "raw", "flat"}
        What the model sees of a slot.
    frozen : FrozenSlots
        What the learning curve is measured on.
    save : callable
        ``save(model, seconds)`` writes a checkpoint.
    seconds : float, [s]
        Of training before this process.
    between_rollouts : bool
        Write checkpoints at the beginnings of rollouts, not after any step.
    arguments : mapping, optional
        Of the model, for TensorBoard's table of hyper-parameters.
    stop : Stop, optional
        Where somebody may ask the run to end.

    Attributes
    ----------
    seconds : float, [s]
        Of training so far, without what this class does.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: Settings,
        observation: str,
        frozen: FrozenSlots,
        save: Callable[[Any, float], None],
        *,
        seconds: float = 0.0,
        between_rollouts: bool = False,
        stop: Stop | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._arguments = dict(settings.arguments if arguments is None else arguments)
        self._folder, self._settings, self._frozen = folder, settings, frozen
        self._observation = observation
        self._save, self._points = save, folder.read_curve()
        self._before, self._outside = seconds, 0.0
        self._begun = time.perf_counter()
        self._ended: float | None = self._begun
        self._paused: float | None = None
        self._between_rollouts, self._stop = between_rollouts, stop or Stop()
        self._picture: NetworkPicture | None = None
        self._draws = True

    @property
    def seconds(self) -> float:
        """Of training so far, without what this class does."""
        # While it does something else its clock stands still.
        still = self._ended if self._paused is None else self._paused
        now = time.perf_counter() if still is None else still
        return self._before + now - self._begun - self._outside

    def _on_training_start(self) -> None:
        self._begun = self._written = self._kept = time.perf_counter()
        self._ended = None
        self._figures = {} if isinstance(self.model, DIRS) else MEC_FIGURES
        self._next_point = self._due(self._settings.measurements)
        self._next_checkpoint = self._due(self._settings.checkpoints)
        with self._aside():
            if not self._points:
                self._measure(picture=True)
            self._write_status()
            self._log_settings()

    def _on_step(self) -> bool:
        if self._figures:
            with self._aside():
                self._note_figures()
        if self.num_timesteps >= self._next_point:
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
        """Save between parts of DIRS's pre-training, too."""
        paused = time.perf_counter() > self._kept + _PAUSE_SECONDS
        self._checkpoint(bool(self._settings.checkpoints) and paused)
        self._refresh_status()

    def _checkpoint(self, due: bool) -> None:
        """Save where that is due, or where the run is asked to end."""
        self._stop.can_wait = True  # this place comes again soon
        if due or self._stop.requested:
            self._next_checkpoint = self._due(self._settings.checkpoints)
            with self._aside():
                self._save(self.model, self.seconds)
                self._write_status()
            self._kept = time.perf_counter()
            self._stop.check()

    def _on_training_end(self) -> None:
        self._stop.can_wait = False
        with self._aside():
            if self._points and self._points[-1]["timesteps"] < self.num_timesteps:
                self._measure(picture=True)
            self._write_status()
        self._ended = time.perf_counter()

    def _due(self, count: int) -> float:
        """Return the next multiple of the budget's parts; what comes at the very end is not one."""
        if not count:
            return np.inf
        part = max(self._settings.timesteps / count, 1.0)
        due = (self.num_timesteps // part + 1) * part
        return due if due < self._settings.timesteps else np.inf

    def _aside(self) -> _Aside:
        return _Aside(self)

    def _measure(self, *, picture: bool = False) -> None:
        """Add a point to the learning curve; a picture of every one would cost more than it."""
        scenario = self._settings.scenario
        decide = decisions_of(self.model, scenario)
        seen = self._frozen.observations(self._observation)
        nrr, objective = means(self._frozen, decide(seen))
        point = {"timesteps": self.num_timesteps, "seconds": self.seconds, "nrr": nrr}
        self._points.append(point)
        self._folder.write_curve(self._points)
        if picture:
            self._draw(decide)
        if isinstance(self.model, DIRS):  # which notes the env's figures itself
            self.model.record_averages()
        log_point(self.logger, self.num_timesteps, nrr, objective)

    def _draw(self, decide: Callable[[Any], NDArray[np.int64]]) -> None:
        if not self._draws:
            return
        try:
            self._picture = self._picture or NetworkPicture(
                self._settings.scenario, self._observation, _IMAGE_SIZE
            )
        except ModuleNotFoundError:  # the extra is not installed
            self._draws = False
            return
        image = Image(self._picture.of(decide), "HWC")
        self.logger.record(_IMAGE_TAG, image, exclude=("stdout", "log", "json", "csv"))

    def _log_settings(self) -> None:
        log_settings(self.logger, self.num_timesteps, self._settings, self._arguments)

    def _refresh_status(self) -> None:
        if time.perf_counter() > self._written + _STATUS_SECONDS:
            with self._aside():
                self._write_status()

    def _write_status(self) -> None:
        self._written = time.perf_counter()
        self._folder.write_status(
            Status(state="running", timesteps=self.num_timesteps, seconds=self.seconds)
        )


def log_point(logger: Logger, timesteps: int, nrr: float, objective: float) -> None:
    """Write what a policy reaches on the frozen slots, and all that is recorded besides.

    Parameters
    ----------
    logger : Logger
        Of the run.
    timesteps : int, [slot]
        Of training so far.
    nrr, objective : float, [1]
        Means over the slots.
    """
    logger.record("frozen/nrr", nrr)
    logger.record("frozen/objective", objective)
    _dump(logger, timesteps)


def log_settings(
    logger: Logger, timesteps: int, settings: Settings, arguments: Mapping[str, Any]
) -> None:
    """Write a run's row of TensorBoard's table of hyper-parameters.

    Parameters
    ----------
    logger : Logger
        Of the run.
    timesteps : int, [slot]
        Of training so far.
    settings : Settings
        Of the run.
    arguments : mapping
        Of the model's constructor.
    """
    shown: dict[str, Any] = {
        "algorithm": settings.algorithm,
        "scenario": settings.scenario.name,
        "seed": settings.seed,
        "timesteps": settings.timesteps,
        **arguments,
    }
    plain = {k: v for k, v in shown.items() if isinstance(v, (bool, int, float, str))}
    table = HParam(plain, {"frozen/nrr": 0.0, "frozen/objective": 0.0})
    logger.record("hparams", table, exclude=("stdout", "log", "json", "csv"))
    _dump(logger, timesteps)


def _dump(logger: Logger, timesteps: int) -> None:
    """Write a row that says, in progress.csv too, after how many slots it is."""
    logger.record("time/total_timesteps", timesteps, exclude="tensorboard")
    logger.dump(timesteps)


class _Aside:
    """Stops a watch's clock."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        self._begun = self._watch._paused = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._watch._outside += time.perf_counter() - self._begun
        self._watch._paused = None
