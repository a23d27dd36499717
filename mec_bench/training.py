"""Ctrl-C and SIGTERM: a run ends where nothing is lost, or at once where it cannot wait."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import HParam, Image, KVWriter, Logger, make_output_format
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecMonitor

from dirs_agents.dirs import DIRS
from dirs_agents.state import read_model, write_model
from mec_bench.measuring import FrozenSlots, decisions_of, frozen_slots, means, measure
from mec_bench.registry import Algorithm, algorithm, require_interface
from mec_bench.results import CurvePoint, Result, Seconds, write_result
from mec_bench.run import RunFolder, Settings, Status
from mec_bench.system import system
from mec_bench.tensorboard import EventFile, NetworkPicture
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.envs.sb3_state import env_state, set_env_state
from mec_gym.files import replacing, write_whole

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run was asked to end.

    Attributes
    ----------
    can_wait : bool
        Whether the run will soon call :meth:`check`, at a place that it can go on from exactly.
        A second request does not wait.

    Examples
    --------
    >>> stop = Stop()
    >>> stop.can_wait = True
    >>> with stop.listening():
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.requested
    True
    """

    def __init__(self) -> None:
        self.can_wait = False
        self._asked: BaseException | None = None
        self._shielded = False

    @property
    def requested(self) -> bool:
        """Whether somebody waits for :meth:`check`."""
        return self._asked is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the process's requests to end, where it is the main thread that can.

        Yields
        ------
        None

        Raises
        ------
        KeyboardInterrupt, SystemExit
            Ctrl-C, and SIGTERM with status 143, whenever they come while the run cannot wait.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: Any) -> None:
        asked = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        if self._shielded:
            return
        if self.can_wait and self._asked is None:
            self._asked = asked
            return
        raise asked

    def check(self) -> None:
        """End here if that was asked for.

        Raises
        ------
        KeyboardInterrupt, SystemExit
            The request.
        """
        if self._asked is not None:
            raise self._asked

    def shield(self) -> None:
        """Take no more requests: the last lines are being written, which takes milliseconds."""
        self._shielded = True


_KEPT = 2
_SUFFIXES = (".zip", ".json", ".state", ".buffer.pkl")

_log = logging.getLogger(__name__)


def between_rollouts(model: Any) -> bool:
    """Return whether a model can go on exactly from the beginning of a rollout only.

    Parameters
    ----------
    model : object
        With Stable-Baselines3's interface.

    Returns
    -------
    bool
        True for the library's own kinds; others are saved after any step.
    """
    return isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm))


def save_model(model: Any, target: Path) -> None:
    """Save a model so that its file is complete or as it was before.

    Parameters
    ----------
    model : object
        With ``save``.
    target : Path
        Its file.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to.
    """
    with replacing(target) as partial:
        model.save(partial)


def save_checkpoint(model: Any, seconds: float, run: RunFolder) -> None:
    """Write a checkpoint and forget all but the last two.

    Parameters
    ----------
    model : object
        With Stable-Baselines3's interface.
    seconds : float, [s]
        Of training so far.
    run : RunFolder
        The run.

    Raises
    ------
    OSError
        If there is no room: the checkpoints before it stay.
    """
    run.checkpoints.mkdir(exist_ok=True)
    target = run.checkpoint_path(model.num_timesteps)
    if isinstance(model, OffPolicyAlgorithm):
        with replacing(target.with_suffix(".buffer.pkl")) as partial:
            model.save_replay_buffer(partial)
    if between_rollouts(model):
        with replacing(target.with_suffix(".state")) as partial:
            write_model(partial, _surroundings(model))
    write_whole(target.with_suffix(".json"), json.dumps({"seconds": seconds}))
    # Last: a checkpoint counts as soon as this file is there.
    save_model(model, target)
    for old in run.all_checkpoints()[_KEPT:]:
        for suffix in _SUFFIXES:
            old.with_suffix(suffix).unlink(missing_ok=True)


def newest_model(
    chosen: Algorithm, run: RunFolder, env: Any, device: str
) -> tuple[Any, float] | None:
    """Return the model of the newest checkpoint that can be read, env and all.

    Parameters
    ----------
    chosen : Algorithm
        Of the run.
    run : RunFolder
        The run.
    env : VecEnv
        To go on in; brought to where it was.
    device : str
        Of torch.

    Returns
    -------
    (object, float) or None
        The model, and the seconds that training had taken; None where there is no checkpoint.

    Raises
    ------
    ValueError
        If there are checkpoints, and none of them can be read.
    """
    # The final model is there where a run was stopped while it was being measured.
    found = [run.model] * run.model.exists() + run.all_checkpoints()
    for file in found:
        try:
            return _read(chosen, file, env, device), _seconds_at(file, run)
        except (DependencyNotInstalled, MemoryError):
            raise
        except Exception as error:  # whatever a reader meets in a damaged file
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            _log.warning("%s cannot be read (%s); trying what came before it.", file, reason)
            last = error
    if found:
        raise ValueError(
            f"none of {', '.join(map(str, found))} can be read, the first because: {reason} "
            "Delete the run's folder to begin anew."
        ) from last
    return None


def _read(chosen: Algorithm, file: Path, env: Any, device: str) -> Any:
    state, buffer = file.with_suffix(".state"), file.with_suffix(".buffer.pkl")
    exactly = issubclass(chosen.cls, DIRS) or state.exists()
    options = {"force_reset": False} if exactly else {}
    model = chosen.load(file, env=env, device=device, **options)
    if buffer.exists():
        model.load_replay_buffer(buffer)
    if state.exists():
        _surround(model, read_model(state))
    return model


def _seconds_at(file: Path, run: RunFolder) -> float:
    if file == run.model:
        status, curve = run.status(), run.read_curve()
        return max(status.seconds if status else 0.0, curve[-1]["seconds"] if curve else 0.0)
    return float(json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["seconds"])


# -- what Stable-Baselines3 leaves out of its files -------------------------------------------


def _surroundings(model: Any) -> dict[str, Any]:
    """Return the state of the env and of every generator that training draws from."""
    version, words, gauss = random.getstate()
    return {
        "env": env_state(model.get_env()),
        "python": [version, list(words), gauss],
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  # the library draws from it
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "actions": model.action_space.np_random.bit_generator.state,
    }


def _surround(model: Any, state: dict[str, Any]) -> None:
    """Put back what :func:`_surroundings` returned."""
    set_env_state(model.get_env(), state["env"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    model.action_space.np_random.bit_generator.state = state["actions"]


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


_ENV_STREAM = 0x656E76
"""Keeps the seeds of envs apart from those of everything else."""

_log = logging.getLogger(__name__)


def train(
    settings: Settings,
    folder: str | os.PathLike[str],
    *,
    progress_bar: bool = False,
    verbose: int = 0,
) -> Result:
    """Train one run and measure the final policy; go on where the folder holds a part of it.

    Parameters
    ----------
    settings : Settings
        What to run.
    folder : path
        The run's own; ``runs / settings.place`` as a rule.
    progress_bar : bool
        Needs tqdm and rich.
    verbose : {0, 1}
        1 prints the logged figures.

    Returns
    -------
    Result
        As in the folder's ``result.json``. A run that is done is not repeated.

    Raises
    ------
    BlockingIOError
        If another process holds the run.
    ValueError
        If the folder holds another run, or one of its files is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from mec_gym import Scenario
    >>> settings = Settings(
    ...     algorithm="greedy", scenario=Scenario.preset("paper-30x2"), timesteps=0
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = train(settings, folder)
    >>> result.label, result.slots.nrr[0][0] > 0.99
    ('greedy', True)
    """
    chosen = algorithm(settings.algorithm, settings.arguments)  # before there is a folder
    _require_device(settings.device)
    run, stop = RunFolder(folder), Stop()
    with run.locked():
        run.begin(settings)
        status = run.status()
        if status is not None and status.state == "done":
            return run.final_result()
        with stop.listening(), _noting_the_end(run, stop):
            return _trained(settings, chosen, run, stop, progress_bar, verbose)


def _require_device(device: str) -> None:
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device {device!r} is not there: torch {torch.__version__} sees no CUDA device. Use "
            "device='cpu'."
        )


def _trained(
    settings: Settings,
    chosen: Algorithm,
    run: RunFolder,
    stop: Stop,
    progress_bar: bool,
    verbose: int,
) -> Result:
    run.write_status(_progress(run, "running"))
    frozen = frozen_slots(settings.scenario)
    model, seconds = _prepared(settings, chosen, run)
    with contextlib.closing(_logger(run, model, verbose)) as logger:
        model.set_logger(logger)
        seconds = _changed(model, settings, chosen, run, frozen, stop, seconds, progress_bar)
        save_model(model, run.model)
        stop.check()
        result = _measured(model, settings, chosen, run, frozen, seconds)
        if not chosen.learns:  # a single point, that it may be seen beside the learners' curves
            log_settings(logger, 0, settings, chosen.arguments_of(model))
            log_point(logger, 0, *_reached(result))
    stop.shield()
    write_result(run.result, result)
    run.write_status(Status(state="done", timesteps=result.timesteps, seconds=seconds))
    return result


def _changed(
    model: Any,
    settings: Settings,
    chosen: Algorithm,
    run: RunFolder,
    frozen: FrozenSlots,
    stop: Stop,
    seconds: float,
    progress_bar: bool,
) -> float:
    """Let a model learn, or a rule find what it has to; return the seconds of all parts."""
    if not chosen.learns:
        return _tune(model)

    def save(model: Any, seconds: float) -> None:
        for file in model.logger.output_formats:
            if isinstance(file, EventFile):
                file.flush()  # what goes on from here does not write again what was before
        save_checkpoint(model, seconds, run)

    watch = Watch(
        run,
        settings,
        settings.observation or chosen.observation,
        frozen,
        save,
        seconds=seconds,
        between_rollouts=between_rollouts(model),
        stop=stop,
        arguments=chosen.arguments_of(model),
    )
    resumed = run.last_checkpoint() is not None
    return _learn(model, settings, watch, resumed=resumed, progress_bar=progress_bar)


def _measured(
    model: Any,
    settings: Settings,
    chosen: Algorithm,
    run: RunFolder,
    frozen: FrozenSlots,
    seconds: float,
) -> Result:
    begun = time.perf_counter()
    observation = settings.observation or chosen.observation
    slots, decision_ms = measure(frozen, decisions_of(model, settings.scenario), observation)
    return Result(
        algorithm=settings.algorithm,
        label=settings.label,
        learns=chosen.learns,
        scenario=settings.scenario.name or "scenario",
        scenario_json=json.loads(settings.scenario.to_json()),
        seed=settings.seed,
        timesteps=settings.timesteps if chosen.learns else 0,
        arguments=settings.changed,
        evaluation=frozen.evaluation,
        slots=slots,
        decision_ms=decision_ms,
        curve=[CurvePoint(**point) for point in run.read_curve()],
        seconds=Seconds(training=seconds, measuring=time.perf_counter() - begun),
        system=system(),
        notes=notes_on(model, settings.timesteps if chosen.learns else 0),
    )


def _reached(result: Result) -> tuple[float, float]:
    """Return the mean NRR and objective of a result."""
    return float(np.mean(result.slots.nrr)), float(np.mean(result.slots.objective))


def _prepared(settings: Settings, chosen: Algorithm, run: RunFolder) -> tuple[Any, float]:
    """Return the model, new or from the newest checkpoint, and the seconds that it took so far."""
    env = make_env(settings, chosen)
    found = newest_model(chosen, run, env, settings.device) if chosen.learns else None
    points = run.read_curve() if found else []
    if found is None:
        common = {"seed": settings.seed, "device": settings.device}
        found = chosen.build(env, **common, **_buffer_size(settings, chosen)), 0.0
        require_interface(found[0])
        seed_env(env, settings.seed)  # after the algorithm has done so
        note = _too_little(found[0], settings.timesteps) if chosen.learns else ""
        if note:
            _log.warning("%s: %s", settings.label, note)
    model, seconds = found
    reached = getattr(model, "num_timesteps", 0)
    run.write_curve([point for point in points if point["timesteps"] <= reached])
    run.write_resolved(chosen.arguments_of(model), dataclasses.asdict(system()))
    return model, seconds


def notes_on(model: Any, budget: int, *, in_its_env: bool = True) -> tuple[str, ...]:
    """Return what a reader of a model's figures should know.

    Parameters
    ----------
    model : object
        As training left it.
    budget : int, [slot]
        That it was trained for; 0 for a rule.
    in_its_env : bool
        Whether it has the env that it was trained in, whose copies say how long its rollouts were.

    Returns
    -------
    tuple of str
        How little it was trained, and what a policy says of itself in `remark`.
    """
    little = _too_little(model, budget) if in_its_env else ""
    counts = isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm, DIRS))
    if not little and budget and counts and not model._n_updates:
        little = "it has not learned at all: training took no gradient step."
    return tuple(note for note in (little, getattr(model, "remark", "")) if note)


def _too_little(model: Any, budget: int) -> str:
    """Return what a user may not expect of a budget; nothing where all of it is trained on."""
    if isinstance(model, OnPolicyAlgorithm):
        rollout = model.n_steps * model.n_envs
        used = budget // rollout * rollout
        if used < budget:
            what = f"learns from {used:,} of {budget:,} slots" if used else "does not learn at all"
            return (
                f"it {what}: it takes a rollout of {rollout:,} slots (n_steps x copies of the "
                f"env) at a time, and there are {budget:,}. A smaller n_steps uses more of them."
            )
    if isinstance(model, OffPolicyAlgorithm) and 0 < budget <= model.learning_starts:
        return (
            f"it does not learn at all: learning_starts is {model.learning_starts:,}, and there "
            f"are {budget:,} slots."
        )
    return ""


def _logger(run: RunFolder, model: Any, verbose: int) -> Logger:
    """Return a logger to the run's folder; what goes on does not overwrite what was."""
    names = ["csv", "tensorboard", *(["stdout"] if verbose else [])]
    timesteps = getattr(model, "num_timesteps", 0)
    suffix = f"-from-{timesteps}" if timesteps else ""
    if not timesteps and run.last_checkpoint() is not None:  # it was stopped in pre-training
        suffix = f"-from-step-{getattr(model, '_n_updates', 0)}"
    formats: list[KVWriter] = []
    for name in names:
        try:
            if name == "tensorboard":
                formats.append(EventFile(str(run.path)))
            else:
                formats.append(make_output_format(name, str(run.path), suffix))
        except (AssertionError, ImportError):  # the library's way of saying so
            _log.warning("no %s here: figures go to progress.csv alone. %s", name, _INSTALL)
    return Logger(str(run.path), formats)


_INSTALL = 'pip install "mec-gym[sb3]", or in a clone pip install ".[sb3]", brings it.'


def _buffer_size(settings: Settings, chosen: Algorithm) -> dict[str, int]:
    """Return room for all that a run can store: Stable-Baselines3's default is gigabytes more."""
    if not issubclass(chosen.cls, OffPolicyAlgorithm) or "buffer_size" in chosen.arguments:
        return {}
    usual = chosen.default("buffer_size")
    copies = settings.n_envs or chosen.n_envs
    return {"buffer_size": min(usual, settings.timesteps + copies)} if usual else {}


def make_env(settings: Settings, chosen: Algorithm) -> Any:
    """Return the env of a run.

    Parameters
    ----------
    settings : Settings
        Of the run.
    chosen : Algorithm
        Of the run.

    Returns
    -------
    VecEnv
    """
    return VecMonitor(
        make_sb3_vec_env(
            settings.scenario,
            n_envs=settings.n_envs or chosen.n_envs,
            scores=chosen.scores,
            reward=settings.reward,
            observation=settings.observation or chosen.observation,
        )
    )


def seed_env(env: Any, seed: int) -> None:
    """Give the env of a run its own random streams from the next reset on.

    Stable-Baselines3 seeds copy i of the env with ``seed + i``: copy 1 of a run would then see
    the slots of copy 0 of the next one, and seeds would not be independent of each other.

    Parameters
    ----------
    env : VecEnv
        Of :func:`make_env`, after the algorithm was built on it.
    seed : int
        Of the run.
    """
    env.seed(int(np.random.SeedSequence([_ENV_STREAM, seed]).generate_state(1)[0] >> 1))


def _learn(
    model: Any, settings: Settings, watch: Watch, *, resumed: bool, progress_bar: bool
) -> float:
    """Train to the end of the budget; return the seconds that this took, earlier parts too."""
    left = settings.timesteps - model.num_timesteps
    if left <= 0 < model.num_timesteps:
        return watch.seconds  # it was stopped while it was being measured
    callback: BaseCallback = watch
    if progress_bar and _can_show_progress():
        from mec_bench.tensorboard import Progress  # of an extra

        callback = CallbackList([watch, Progress(left)])
    model.learn(left, callback=callback, reset_num_timesteps=not resumed)
    return watch.seconds


def _can_show_progress() -> bool:
    missing = [name for name in ("tqdm", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        _log.warning(
            'no progress bar without %s: pip install "mec-gym[progress]", or in a clone '
            'pip install ".[progress]".',
            " and ".join(missing),
        )
    return not missing


def _tune(model: Any) -> float:
    """Let a rule find what it has to find, on slots of its own."""
    begun = time.perf_counter()
    model.learn(0)
    return time.perf_counter() - begun


def _progress(run: RunFolder, state: str, error: str = "") -> Status:
    """Return a new status that is as far as the last one."""
    before = run.status()
    timesteps, seconds = (before.timesteps, before.seconds) if before else (0, 0.0)
    return Status(state=state, timesteps=timesteps, seconds=seconds, error=error)


@contextlib.contextmanager
def _noting_the_end(run: RunFolder, stop: Stop) -> Iterator[None]:
    """Write down why a run stopped, if there is still room to."""
    try:
        yield
    except BaseException as error:
        stop.shield()
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        reason = "" if stopped else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError, ValueError):
            run.write_status(_progress(run, "interrupted" if stopped else "failed", reason))
        raise
