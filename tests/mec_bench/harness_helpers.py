"""A small scenario, and settings of runs that take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mec_bench import RunFolder, Settings, algorithm
from mec_bench.training import make_env
from mec_gym import Scenario

SMALL = Scenario(n_devices=4, n_servers=2, name="small")
DIRS_ARGUMENTS: dict[str, Any] = {
    "n_demonstrations": 8,
    "pretrain_steps": 3,
    "demonstration_generations": 10,
    "batch_size": 8,
    "train_interval": 3,
    "policy_kwargs.net_arch": [8],
}
OFF_POLICY: dict[str, Any] = {"batch_size": 8, "learning_starts": 10}
QUICK: dict[str, dict[str, Any]] = {
    "dirs": DIRS_ARGUMENTS,
    "my_algorithms:Dirs": DIRS_ARGUMENTS | {"policy": "EnsemblePolicy"},
    "sb3:A2C": {"n_steps": 4},
    "my_algorithms:OnPolicy": {"n_steps": 4},
    "my_algorithms:Clipped": {"n_steps": 8, "batch_size": 8, "n_epochs": 2},
    "my_algorithms:OffPolicy": OFF_POLICY,
    "my_algorithms:Deterministic": OFF_POLICY,
    "sb3:SAC": OFF_POLICY,
}


def quick(name: str, timesteps: int = 48, **options: Any) -> Settings:
    fields: dict[str, Any] = {
        "algorithm": name,
        "scenario": SMALL,
        "timesteps": timesteps,
        "arguments": QUICK.get(name, {}),
        "label": name,
        "measurements": 3,
    }
    return Settings(**(fields | options))


def final_weights(folder: Path, settings: Settings) -> dict[str, Any]:
    """Return the weights of a run's final model."""
    chosen = algorithm(settings.algorithm, settings.arguments)
    return weights(chosen.load(RunFolder(folder).model, env=make_env(settings, chosen)))


def weights(model: Any) -> dict[str, Any]:
    return {name: value.cpu().numpy() for name, value in model.policy.state_dict().items()}


def assert_same(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert mine.keys() == theirs.keys()
    assert mine
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
