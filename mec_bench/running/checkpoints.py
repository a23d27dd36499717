"""Checkpoints of a run: written whole, and the newest one that can be read."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.error import DependencyNotInstalled
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from dirs_agents.continuation import env_state, set_env_state
from dirs_agents.dirs import DIRS
from dirs_agents.storage import read_model, write_model
from mec_bench.algorithms import Algorithm
from mec_bench.running.folder import RunFolder
from mec_bench.writing import replacing, write_whole

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
