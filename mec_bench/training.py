"""Train one run, and measure the final policy.

The harness draws from no generator of the model or its env: a model that it trains equals, bit for
bit, one that is trained by ``learn`` alone on an env of the same seed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecMonitor

from mec_bench.checkpoints import newest_model, save_model
from mec_bench.extras import install
from mec_bench.importing import Terminated, users_code, users_place
from mec_bench.measuring import decisions_of
from mec_bench.registry import Algorithm, require_interface
from mec_bench.results import CurvePoint, EpisodesPoint, Result, Seconds, write_result
from mec_bench.run import Run, RunFolder, Settings, Spent, Status, reward_of
from mec_bench.system import system
from mec_bench.watching import ProgressBar, Watch, log_point, log_settings, status_after
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.envs.sb3_model import ResumableAlgorithm

_ENV_STREAM = 0x656E76
"""Keeps the seeds of envs apart from those of everything else."""

_log = logging.getLogger(__name__)


def train(
    settings: Settings,
    folder: str | os.PathLike[str],
    *,
    progress_bar: bool = False,
) -> Result:
    """Train one run and measure the final policy; go on where the folder holds a part of it.

    The result is also in ``result.json`` of the folder. A run that is done is not repeated.

    Parameters
    ----------
    folder : path
        The run's own; ``runs / settings.place`` as a rule.
    progress_bar : bool
        Needs tqdm and rich.

    Raises
    ------
    BlockingIOError
        If another process holds the run.
    ValueError
        If the folder holds another run, or one of its files is damaged.

    Examples
    --------
    >>> import tempfile
    >>> settings = Settings(algorithm="greedy", scenario="paper-30x2", timesteps=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = train(settings, folder)
    >>> result.label, result.slots.nrr[0][0] > 0.99
    ('greedy', True)
    """
    # Refuses a wrong name before there is a folder.
    return carried_out(Run(settings, folder), progress_bar=progress_bar)


def carried_out(run: Run, *, progress_bar: bool = False) -> Result:
    """Carry out a run that has a folder, as :func:`train` does."""
    settings = run.settings
    require_device(settings.device)
    with run.folder.locked():
        run.folder.begin(settings)
        status = run.folder.status()
        if status is not None and status.state == "done":
            return run.folder.final_result()
        with run.stop.listening(), _noting_the_end(run):
            return _trained(run, status, progress_bar=progress_bar)


def require_device(device: str) -> None:
    """Raise ``ValueError`` for a device that torch cannot compute on here."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device {device!r} is not there: torch {torch.__version__} sees no CUDA device. Use "
            "device='cpu'."
        )
    try:
        torch.zeros(1, device="cpu" if device == "auto" else device).item()
    except (AssertionError, ImportError, RuntimeError) as error:
        said = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"device must be one that torch can compute on here, such as 'cpu', or 'auto'; got "
            f"{device!r} ({said})."
        ) from error


def _trained(run: Run, before: Status | None, *, progress_bar: bool) -> Result:
    folder = run.folder
    folder.mark("running")
    model, spent, ended = _prepared(run, before)
    with contextlib.closing(_logger(folder, model)) as logger:
        model.set_logger(logger)
        spent = _changed(run, model, spent, progress_bar, ended=ended)
        save_model(model, folder.model)
        run.stop.check()
        known = spent.wall or None, spent.cpu or None  # 0: the status that knew it was deleted
        result = measured(
            run, model, run.budget, spent=known, curve=folder.read_curve(), past=folder.notes()
        )
        if not run.algorithm.learns:  # a single point, to be seen beside the learners' curves
            log_settings(logger, 0, run, model)
            score, objective = np.mean(result.slots.score), np.mean(result.slots.objective)
            log_point(logger, 0, result.measure, score, objective)
    run.stop.shield()
    write_result(folder.result, result)
    folder.write_status(status_after(result.timesteps, spent, "done"))
    return result


def _prepared(run: Run, before: Status | None) -> tuple[Any, Spent, bool]:
    """Return the model, new or of a checkpoint, the time of its training, and if that ended."""
    env = make_env(run.settings, run.algorithm)
    found = newest_model(run, env) if run.algorithm.learns else None
    points = run.folder.read_curve() if found else []
    model, spent, ended = found or (_new_model(run, env), Spent(), False)
    reached = getattr(model, "num_timesteps", 0)
    if ended:
        _log.warning("%s: is measured; its training had ended.", run.settings.label)
    elif found:
        _say_that_it_goes_on(run, reached, before)
    run.folder.write_curve([point for point in points if point.timesteps <= reached])
    run.folder.write_resolved(run.algorithm.arguments_of(model), dataclasses.asdict(system()))
    return model, spent, ended


def _say_that_it_goes_on(run: Run, reached: int, before: Status | None) -> None:
    """Log where a run goes on and why it had ended; that it had failed, its result says, too."""
    error = before.error if before and before.state == "failed" else ""
    at, ended = f"{reached:,}", f"failed: {error}" if error else "been stopped."
    label, budget = run.settings.label, f"{run.budget:,}"
    _log.warning("%s: goes on at slot %s of %s; it had %s", label, at, budget, ended)
    if error and reached < run.budget:
        run.folder.note(f"it failed, and went on at slot {at}.")


def _new_model(run: Run, env: Any) -> Any:
    settings = run.settings
    common = {"seed": settings.seed, "device": settings.device} | _buffer_size(run)
    model = run.algorithm.build(env, **common)
    require_interface(model)
    seed_env(env, settings.seed)  # after the algorithm has done so
    if run.algorithm.learns:
        for note in _known_before(model, run.budget, settings.scenario):
            _log.warning("%s: %s", settings.label, note)
    return model


def make_env(settings: Settings, chosen: Algorithm) -> Any:
    """Return the vector env of a run."""
    return VecMonitor(
        make_sb3_vec_env(
            settings.scenario,
            n_envs=settings.n_envs or chosen.n_envs,
            scores=chosen.scores,
            reward=reward_of(settings.reward),
            observation=settings.observation or chosen.observation,
        )
    )


def seed_env(env: Any, seed: int) -> None:
    """Give the env of a run its own random streams from the next reset on.

    Stable-Baselines3 seeds copy i of the env with ``seed + i``: copy 1 of a run would then see
    the slots of copy 0 of the next one, and seeds would not be independent of each other.
    """
    env.seed(int(np.random.SeedSequence([_ENV_STREAM, seed]).generate_state(1)[0] >> 1))


def _buffer_size(run: Run) -> dict[str, int]:
    """Return room for all that a run can store: Stable-Baselines3's default is gigabytes more."""
    chosen = run.algorithm
    if not issubclass(chosen.cls, OffPolicyAlgorithm) or "buffer_size" in chosen.arguments:
        return {}
    usual = chosen.default("buffer_size")
    return {"buffer_size": min(usual, run.settings.timesteps + run.n_envs)} if usual else {}


def _changed(run: Run, model: Any, spent: Spent, progress_bar: bool, *, ended: bool) -> Spent:
    """Train to the end of the budget, or let a rule tune itself; return all the time of it."""
    if not run.algorithm.learns:
        begun = Spent.now()
        model.learn(0)
        return Spent().and_since(begun)
    left = run.budget - model.num_timesteps
    waits = isinstance(model, ResumableAlgorithm) and model.unlearned
    if (ended or left <= 0 < model.num_timesteps) and not waits:
        return spent  # it was stopped while it was being measured
    watch = Watch(run, spent)
    callback: BaseCallback = watch
    if progress_bar and _can_show_progress():
        callback = CallbackList([watch, ProgressBar(left)])
    resumed = run.folder.last_checkpoint() is not None
    model.learn(left, callback=callback, reset_num_timesteps=not resumed)
    return watch.spent


def _can_show_progress() -> bool:
    missing = [name for name in ("tqdm", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        _log.warning("no progress bar without %s: %s.", " and ".join(missing), install("progress"))
    return not missing


def measured(
    run: Run,
    model: Any,
    timesteps: int,
    *,
    spent: tuple[float | None, float | None],
    curve: Iterable[CurvePoint | EpisodesPoint] = (),
    label: str = "",
    in_its_env: bool = True,
    past: Iterable[str] = (),
) -> Result:
    """Return what a model reaches on what a run is measured on, after so many slots of training.

    `in_its_env` says whether it has the env that it was trained in; see :func:`notes_on`. `past`
    are notes on its run.
    """
    settings, frozen = run.settings, run.frozen
    begun = time.perf_counter()
    decide = decisions_of(model, settings.scenario)
    slots, decision_ms = frozen.measured(decide, run.observation)
    return Result(
        algorithm=settings.algorithm,
        label=label or settings.label,
        learns=run.algorithm.learns,
        scenario=settings.scenario.name or "scenario",
        scenario_json=json.loads(settings.scenario.to_json()),
        seed=settings.seed,
        timesteps=timesteps,
        arguments=settings.changed,
        evaluation=frozen.evaluation,
        slots=slots,
        decision_ms=decision_ms,
        curve=tuple(curve),
        seconds=Seconds(
            training=spent[0], measuring=time.perf_counter() - begun, training_cpu=spent[1]
        ),
        system=system(),
        notes=(
            *past,
            *(_not_taken(model, timesteps) if run.algorithm.learns and in_its_env else ()),
            *notes_on(model, timesteps, settings.scenario, in_its_env=in_its_env),
        ),
    )


def _not_taken(model: Any, budget: int) -> Iterator[str]:
    """Yield that a model was not trained in all slots of its budget, or that there were none."""
    taken = model.num_timesteps
    if taken < budget:
        yield f"it took {taken:,} of {budget:,} slots."
    elif not budget:
        yield "it was trained for 0 slots."


SHORT_SIGHTED = (
    "its discount is 0: it does not learn what a decision leaves behind, and here that counts. "
    "--set gamma=0.9 may help."
)
FAR_SIGHTED = (
    "its discount is above 0: no decision lasts here, so later rewards only add noise. "
    "--set gamma=0 may help."
)


def notes_on(
    model: Any, budget: int, scenario: Scenario, *, in_its_env: bool = True
) -> tuple[str, ...]:
    """Return what a reader of a model's figures should know, after a budget of slots.

    How long its rollouts were is only known in the env that it was trained in.
    """
    used = budget if in_its_env else 0
    notes = _known_before(model, used, scenario)
    # Others may not count their gradient steps.
    counts = isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm, ResumableAlgorithm))
    # A file of weights alone, which has trained for no slots itself, does not count either.
    if (
        budget
        and counts
        and model.num_timesteps
        and not model._n_updates
        and not _too_little(model, used)
    ):
        notes = ("it has not learned at all: training took no gradient step.", *notes)
    return notes


def _known_before(model: Any, budget: int, scenario: Scenario) -> tuple[str, ...]:
    """Return what is worth saying before a budget of slots is spent, and not only after it.

    How little of it the model learns from, whether it looks ahead where it should, and its own
    `remark`.
    """
    discount = getattr(model, "gamma", None)
    if scenario.migrates:
        sight = SHORT_SIGHTED if discount == 0 else ""
    else:
        sight = FAR_SIGHTED if discount else ""
    said = (_too_little(model, budget), sight, getattr(model, "remark", ""))
    return tuple(note for note in said if note)


def _too_little(model: Any, budget: int) -> str:
    """Return how little of a budget a model learns from; nothing where it is all of it."""
    rollout, taken = 0, budget
    if isinstance(model, OnPolicyAlgorithm):
        rollout = model.n_steps * model.n_envs
    elif isinstance(model, ResumableAlgorithm):  # ends a slot of all copies
        rollout, taken = model.rollout_steps * model.n_envs, budget + -budget % model.n_envs
    if rollout:
        used = taken // rollout * rollout
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


def _logger(folder: RunFolder, model: Any) -> Logger:
    """Return a logger to the run's folder; what goes on does not overwrite what was."""
    timesteps = getattr(model, "num_timesteps", 0)
    suffix = f"-from-{timesteps}" if timesteps else ""
    if not timesteps and folder.last_checkpoint() is not None:  # it was stopped in pre-training
        suffix = f"-from-step-{getattr(model, '_n_updates', 0)}"
    names, place = ["csv"], str(folder.path)
    if importlib.util.find_spec("tensorboard"):
        names.append("tensorboard")
    else:
        _log.warning("no tensorboard here: figures go to progress.csv alone. %s.", install("sb3"))
    return Logger(place, [make_output_format(name, place, suffix) for name in names])


@contextlib.contextmanager
def _noting_the_end(run: Run) -> Iterator[None]:
    """Write down why a run stopped, if there is still room to."""
    try:
        with users_code():
            yield
    except BaseException as error:
        run.stop.shield()
        with contextlib.suppress(OSError, ValueError):
            if isinstance(error, (KeyboardInterrupt, Terminated)):
                run.folder.mark("interrupted")
            else:
                said = f"{type(error).__name__}: {error}".rstrip()
                run.folder.mark("failed", said + users_place(error))
        raise
