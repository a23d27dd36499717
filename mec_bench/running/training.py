"""Training one run, from nothing or from its last checkpoint, and measuring what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import KVWriter, Logger, make_output_format
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecMonitor

from dirs_agents.dirs import DIRS
from mec_bench.algorithms import Algorithm, algorithm, require_interface
from mec_bench.results.files import write_result
from mec_bench.results.record import CurvePoint, Result, Seconds
from mec_bench.running.checkpoints import (
    between_rollouts,
    newest_model,
    save_checkpoint,
    save_model,
)
from mec_bench.running.events import EventFile
from mec_bench.running.folder import RunFolder, Status
from mec_bench.running.measuring import FrozenSlots, decisions_of, frozen_slots, measure
from mec_bench.running.stopping import Stop
from mec_bench.running.system import system
from mec_bench.running.watching import Watch, log_point, log_settings
from mec_bench.settings import Settings
from mec_gym.envs.sb3 import make_sb3_vec_env

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
        from mec_bench.running.progress import Progress  # of an extra

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
