"""Checkpoints: a run goes on from the newest that can be read.

A model's file holds what its ``save`` keeps. Stable-Baselines3's two kinds leave out the env and
the generators that training draws from; these are written beside it, between rollouts, where they
suffice to go on exactly. What a model with `exact_resume` saves is complete at any step
(:data:`mec_bench.registry.OFFERS`).
"""

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

from mec_bench.run import Run, RunFolder, Spent
from mec_gym.envs.sb3_state import env_state, set_env_state
from mec_gym.files import replacing, write_whole
from mec_gym.packing import Format

_KEPT = 2
_SUFFIXES = (".zip", ".json", ".state", ".buffer.pkl")
_SURROUNDINGS = Format("mec-gym/surroundings", 1, "what a checkpoint leaves out")

_log = logging.getLogger(__name__)


def between_rollouts(model: Any) -> bool:
    """Return whether a model can go on exactly from the beginning of a rollout only."""
    library = isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm))
    return library and not getattr(model, "exact_resume", False)


def save_model(model: Any, target: Path) -> None:
    """Save a model so that its file is complete or as it was before."""
    with replacing(target) as partial:
        model.save(partial)


def save_checkpoint(model: Any, spent: Spent, folder: RunFolder) -> None:
    """Write a checkpoint after so much training, and remove all but the last two.

    ``OSError`` where the disk is full: the checkpoints before it stay.
    """
    folder.checkpoints.mkdir(exist_ok=True)
    target = folder.checkpoint_path(model.num_timesteps)
    if isinstance(model, OffPolicyAlgorithm):
        with replacing(target.with_suffix(".buffer.pkl")) as partial:
            model.save_replay_buffer(partial)
    if between_rollouts(model):
        with replacing(target.with_suffix(".state")) as partial:
            _SURROUNDINGS.write(partial, _surroundings(model))
    seconds = {"seconds": spent.wall, "cpu_seconds": spent.cpu}
    write_whole(target.with_suffix(".json"), json.dumps(seconds))
    # Last: a checkpoint counts as soon as this file is there.
    save_model(model, target)
    for old in folder.all_checkpoints()[_KEPT:]:
        for suffix in _SUFFIXES:
            old.with_suffix(suffix).unlink(missing_ok=True)


def newest_model(run: Run, env: Any) -> tuple[Any, Spent, bool] | None:
    """Return the newest model that can be read, the time of its training, and whether that ended.

    `env` is brought to where it was. None where there is no checkpoint; ``ValueError`` where none
    can be read.
    """
    # The final model is there where a run was stopped while it was being measured.
    found = [run.folder.model] * run.folder.model.exists() + run.folder.all_checkpoints()
    faults: list[Exception] = []
    for file in found:
        try:
            return _read(run, file, env), _spent_at(file, run.folder), file == run.folder.model
        except (DependencyNotInstalled, MemoryError):
            raise
        except Exception as error:  # whatever a reader meets in a damaged file
            faults.append(error)
            _log.warning("%s cannot be read (%s); trying what came before it.", file, _said(error))
    if faults:
        raise ValueError(
            f"none of {', '.join(map(str, found))} can be read, the first because: "
            f"{_said(faults[0])} Delete the run's folder to begin anew."
        ) from faults[0]
    return None


def _said(error: Exception) -> str:
    """Return the first line of a message."""
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)


def _read(run: Run, file: Path, env: Any) -> Any:
    state, buffer = file.with_suffix(".state"), file.with_suffix(".buffer.pkl")
    exactly = getattr(run.algorithm.cls, "exact_resume", False) or state.exists()
    options = {"force_reset": False} if exactly else {}
    model = run.algorithm.load(file, env=env, device=run.settings.device, **options)
    if buffer.exists():
        model.load_replay_buffer(buffer)
    if state.exists():
        _surround(model, _SURROUNDINGS.read(state, tensor=torch.from_numpy))
    return model


def _spent_at(file: Path, folder: RunFolder) -> Spent:
    if file == folder.model:
        status, curve = folder.status(), folder.read_curve()
        seconds = max(status.seconds if status else 0.0, curve[-1].seconds if curve else 0.0)
        return Spent(seconds, status.cpu_seconds if status else 0.0)
    kept = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return Spent(float(kept["seconds"]), float(kept["cpu_seconds"]))


# -- what Stable-Baselines3 leaves out of its files -------------------------------------------


def _surroundings(model: Any) -> dict[str, Any]:
    """Return the state of the env and of every generator that training draws from."""
    return generators() | {
        "env": env_state(model.get_env()),
        "actions": model.action_space.np_random.bit_generator.state,
    }


def _surround(model: Any, state: dict[str, Any]) -> None:
    """Put back what :func:`_surroundings` returned."""
    set_env_state(model.get_env(), state["env"])
    set_generators(state)
    model.action_space.np_random.bit_generator.state = state["actions"]


def generators() -> dict[str, Any]:
    """Return the state of every generator of the process: Python's, NumPy's and torch's."""
    version, words, gauss = random.getstate()
    return {
        "python": [version, list(words), gauss],
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  # the library draws from it
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generators(state: dict[str, Any]) -> None:
    """Bring every generator to where :func:`generators` found it."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
