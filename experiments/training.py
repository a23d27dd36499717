"""Training one run, from nothing or from its last checkpoint, and measuring what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecMonitor

from experiments.algorithms import Algorithm, algorithm
from experiments.measuring import FrozenSlots, decisions_of, frozen_slots, measure
from experiments.record import CurvePoint, Result, Seconds
from experiments.results import read_result, write_result
from experiments.runs import RunFolder, Settings, Status, write_whole
from experiments.system import system
from experiments.watching import Watch
from mec_gym.envs.sb3 import make_sb3_vec_env

_ENV_SEED = 1_000_003
"""Times the run's seed, so that the copies of one run are not those of the next."""

_KEPT_CHECKPOINTS = 2


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
    run = RunFolder(folder)
    with run.locked():
        run.begin(settings)
        status = run.status()
        if status is not None and status.state == "done":
            return read_result(run.result)
        with _noting_the_end(run), _terminable():
            return _trained(settings, chosen, run, progress_bar=progress_bar, verbose=verbose)


def _trained(
    settings: Settings, chosen: Algorithm, run: RunFolder, *, progress_bar: bool, verbose: int
) -> Result:
    run.write_status(_progress(run, "running"))
    frozen = frozen_slots(settings.scenario)
    model = _prepared(settings, chosen, run, verbose)
    if chosen.learns:
        seconds = _learn(model, settings, chosen, run, frozen, progress_bar=progress_bar)
    else:
        seconds = _tune(model)
    _save_whole(model, run.model)
    begun = time.perf_counter()
    observation = settings.observation or chosen.observation
    slots, decision_ms = measure(frozen, decisions_of(model, settings.scenario), observation)
    result = Result(
        algorithm=settings.algorithm,
        label=settings.label,
        learns=chosen.learns,
        scenario=settings.scenario.name or "scenario",
        scenario_json=json.loads(settings.scenario.to_json()),
        seed=settings.seed,
        timesteps=settings.timesteps,
        arguments=settings.arguments,
        evaluation=frozen.evaluation,
        slots=slots,
        decision_ms=decision_ms,
        curve=[CurvePoint(**point) for point in run.read_curve()],
        seconds=Seconds(training=seconds, measuring=time.perf_counter() - begun),
        system=system(),
    )
    write_result(run.result, result)
    run.write_status(Status(state="done", timesteps=settings.timesteps, seconds=seconds))
    return result


def _prepared(settings: Settings, chosen: Algorithm, run: RunFolder, verbose: int) -> Any:
    """Return the model, new or from the last checkpoint."""
    env = make_env(settings, chosen)
    checkpoint = run.last_checkpoint()
    if checkpoint is None:
        common = {"seed": settings.seed, "device": settings.device, "verbose": verbose}
        model = chosen.build(env, **common, **_buffer_size(settings, chosen))
        run.write_curve([])
    else:
        model = _continued(chosen, checkpoint, env, settings.device)
        run.write_curve([p for p in run.read_curve() if p["timesteps"] <= model.num_timesteps])
    run.write_resolved(chosen.arguments_of(model), dataclasses.asdict(system()))
    model.set_logger(_logger(run, model.num_timesteps, verbose))
    return model


def _logger(run: RunFolder, timesteps: int, verbose: int) -> Logger:
    """Return a logger to the run's folder; what goes on does not overwrite what was."""
    names = ["csv", "tensorboard", *(["stdout"] if verbose else [])]
    suffix = f"-from-{timesteps}" if timesteps else ""
    return Logger(
        str(run.path), [make_output_format(name, str(run.path), suffix) for name in names]
    )


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
            seed=_ENV_SEED * (settings.seed + 1) % 2**31,
            scores=chosen.scores,
            reward=settings.reward,
            observation=settings.observation or chosen.observation,
        )
    )


def _learn(
    model: Any,
    settings: Settings,
    chosen: Algorithm,
    run: RunFolder,
    frozen: FrozenSlots,
    *,
    progress_bar: bool,
) -> float:
    """Train to the end of the budget; return the seconds that this took, earlier parts too."""
    checkpoint = run.last_checkpoint()
    watch = Watch(
        run,
        settings,
        settings.observation or chosen.observation,
        frozen,
        lambda model, seconds: _save_checkpoint(model, seconds, run),
        seconds=0.0 if checkpoint is None else _seconds_at(checkpoint),
    )
    fresh = model.num_timesteps == 0
    model.learn(
        max(settings.timesteps - model.num_timesteps, 0),
        callback=watch,
        reset_num_timesteps=fresh,
        progress_bar=progress_bar,
    )
    return watch.seconds


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
def _noting_the_end(run: RunFolder) -> Iterator[None]:
    """Write down why a run stopped, if there is still room to."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        reason = "" if stopped else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError, ValueError):
            run.write_status(_progress(run, "interrupted" if stopped else "failed", reason))
        raise


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let a polite request to end, SIGTERM, end a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# -- checkpoints -------------------------------------------------------------------------------


def _save_checkpoint(model: Any, seconds: float, run: RunFolder) -> None:
    """Write a checkpoint and forget all but the last two."""
    run.checkpoints.mkdir(exist_ok=True)
    target = run.checkpoint_path(model.num_timesteps)
    if _has_own_buffer(model):
        partial = _partial(target.with_suffix(".buffer.pkl"))
        model.save_replay_buffer(partial)
        partial.replace(target.with_suffix(".buffer.pkl"))
    write_whole(target.with_suffix(".json"), json.dumps({"seconds": seconds}))
    # Last: a checkpoint counts as soon as this file is there.
    _save_whole(model, target)
    for old in sorted(run.checkpoints.glob("slot-*.zip"))[:-_KEPT_CHECKPOINTS]:
        for suffix in (".zip", ".json", ".buffer.pkl"):
            old.with_suffix(suffix).unlink(missing_ok=True)


def _has_own_buffer(model: Any) -> bool:
    """Return whether experience lies beside the model's file, as Stable-Baselines3 keeps it."""
    return isinstance(model, OffPolicyAlgorithm)


def _save_whole(model: Any, target: Path) -> None:
    """Save a model so that its file is complete or as it was before."""
    partial = _partial(target)
    try:
        model.save(partial)
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _partial(target: Path) -> Path:
    # The suffix stays: algorithms add their own where there is none.
    return target.with_name(f".partial-{os.getpid()}-{target.name}")


def _continued(chosen: Algorithm, checkpoint: Path, env: Any, device: str) -> Any:
    """Return the model of a checkpoint; of DIRS, env and all."""
    from dirs_agents import DIRS

    exactly = {"force_reset": False} if issubclass(chosen.cls, DIRS) else {}
    model = chosen.load(checkpoint, env=env, device=device, **exactly)
    buffer = checkpoint.with_suffix(".buffer.pkl")
    if _has_own_buffer(model) and buffer.exists():
        model.load_replay_buffer(buffer)
    return model


def _seconds_at(checkpoint: Path) -> float:
    """Return the seconds that training had taken at a checkpoint."""
    return float(json.loads(checkpoint.with_suffix(".json").read_text(encoding="utf-8"))["seconds"])
