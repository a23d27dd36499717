"""Small scenarios and quick settings that the tests of DIRS share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from dirs_agents import DIRS
from mec_gym import ENV_ID, Scenario, Slot, Uniform
from mec_gym.envs.observation import ObservationCoder
from mec_gym.model.world import World

SMALL = Scenario(n_devices=4, n_servers=2, name="small")
TASKS = Scenario(
    n_devices=6,
    n_servers=3,
    data_bits=Uniform(4e5, 1.2e6),
    cycles=Uniform(5e8, 1.5e9),
    server_frequency_hz=(3e9, 5e9, 1e10),
    noise_w=1e-6,
    name="tasks",
)
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=(0.5, 1.5, 1.5, 0.5), name="forced")
SCENARIOS = {one.name: one for one in (SMALL, TASKS, FORCED)}

QUICK: dict[str, Any] = {
    "n_demonstrations": 8,
    "pretrain_steps": 3,
    "demonstration_generations": 10,
    "buffer_size": 24,
    "batch_size": 8,
    "train_interval": 3,
    "seed": 0,
    "device": "cpu",
}
WIDTHS: dict[str, dict[str, Any]] = {
    "EnsemblePolicy": {"net_arch": [8]},
    "CentralPolicy": {"net_arch": [8]},
    "PricePolicy": {"hidden": 4},
}


def make_env(scenario: Any = SMALL, steps: int = 5, **options: Any) -> Any:
    return gym.make(ENV_ID, scenario=scenario, max_episode_steps=steps, **options)


def make_model(
    policy: Any = "EnsemblePolicy", env: Any = None, scenario: Any = SMALL, **settings: Any
) -> DIRS:
    env = make_env(scenario) if env is None else env
    known = {} if not isinstance(policy, str) else {"policy_kwargs": dict(WIDTHS[policy])}
    return DIRS(policy, env, **(QUICK | known | settings))


def shaken(model: DIRS, seed: int = 0) -> DIRS:
    """Give every weight a random value, so that no law holds by a zero's grace."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.policy.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(0.3 * noise.to(weight.device))
    return model


def slots_of(scenario: Scenario, count: int, seed: int = 0) -> Slot:
    world = World(scenario, count)
    world.reset([np.random.default_rng([seed, copy]) for copy in range(count)])
    assert world.slot is not None
    return world.slot


def observations_of(
    scenario: Scenario, count: int, kind: str = "flat", seed: int = 0
) -> NDArray[np.float32]:
    return ObservationCoder(scenario, kind).encode(slots_of(scenario, count, seed))


def weights_of(model: DIRS) -> dict[str, NDArray[Any]]:
    return {name: value.cpu().numpy().copy() for name, value in model.policy.state_dict().items()}


def assert_same_weights(left: DIRS, right: DIRS) -> None:
    mine, theirs = weights_of(left), weights_of(right)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def differ(left: DIRS, right: DIRS) -> bool:
    pairs = zip(weights_of(left).values(), weights_of(right).values(), strict=True)
    return any(not np.array_equal(mine, theirs) for mine, theirs in pairs)


def leftovers(folder: Path, *kept: str) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in kept)
