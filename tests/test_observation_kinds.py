"""A model meets an env of another kind of observations, and goes on as in one of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from baselines import GreedyOffloading
from baselines.learners import DDPG, DROO, MADDPG, MAPPO, ActorCritic
from dirs_agents import DIRS
from mec_gym import ENV_ID, Scenario, Uniform
from mec_gym.envs.sb3 import make_sb3_vec_env, shown_as, world_of

SCENARIO = Scenario(n_devices=4, n_servers=2, cycles=Uniform(5e8, 1e9))
MODELS: dict[str, tuple[Callable[..., BaseAlgorithm], dict[str, Any]]] = {
    "ensemble": (DIRS, {"n_demonstrations": 8, "batch_size": 4}),
    "prices": (DIRS, {"policy": "PricePolicy", "n_demonstrations": 8, "batch_size": 4}),
    "AC": (ActorCritic, {"batch_size": 8}),
    "AC links": (ActorCritic, {"policy": "LinkPolicy", "batch_size": 8}),
    "DDPG": (DDPG, {"learning_starts": 8, "buffer_size": 99}),
    "DDPG links": (DDPG, {"policy": "LinkPolicy", "learning_starts": 8, "buffer_size": 99}),
    "MADDPG": (MADDPG, {"learning_starts": 8, "buffer_size": 99}),
    "DROO": (DROO, {"batch_size": 8}),
    "DROO links": (DROO, {"policy": "LinkPolicy", "batch_size": 8}),
    "MAPPO": (MAPPO, {"n_steps": 2, "batch_size": 8}),
    "greedy": (GreedyOffloading, {}),
}
PAIRS = [(own, other) for own in ("flat", "db") for other in ("flat", "db", "raw") if own != other]


def env_of(kind: str, **options: Any) -> Any:
    return make_sb3_vec_env(SCENARIO, n_envs=4, observation=kind, max_episode_steps=5, **options)


class Kept(BaseCallback):
    """Keeps the rewards of all slots."""

    def __init__(self) -> None:
        super().__init__()
        self.rewards: list[Any] = []

    def _on_step(self) -> bool:
        self.rewards.append(self.locals["rewards"].copy())
        return True


def trained_on(model: BaseAlgorithm, env: Any) -> list[Any]:
    model.set_env(env)
    model.set_random_seed(5)
    kept = Kept()
    model.learn(48, callback=kept)
    assert world_of(model.get_env(), plain=False, assignments=False)[0] == SCENARIO
    return kept.rewards


@pytest.mark.parametrize(("own", "other"), PAIRS)
@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_alike(name: str, own: str, other: str, tmp_path: Path) -> None:
    make, arguments = MODELS[name]
    model = make(env=env_of(own), seed=0, **arguments).learn(24)
    model.save(tmp_path / "model")
    here, there = (
        make.load(tmp_path / "model", env=env_of(kind), device="cpu") for kind in (own, other)
    )
    seen = there.get_env().reset()
    assert there.get_env().observation_space == there.observation_space
    assert there.predict(seen)[0].shape == (4, 4)
    expected = trained_on(here, env_of(own))
    if other == "raw":  # its gains go through another rounding
        assert len(trained_on(there, env_of(other))) == len(expected)
        return
    np.testing.assert_array_equal(trained_on(there, env_of(other)), expected)
    slots, _ = gym.make_vec(ENV_ID, num_envs=9, scenario=SCENARIO).reset(seed=3)
    decisions = [model.predict(slots, deterministic=True)[0] for model in (here, there)]
    np.testing.assert_array_equal(*decisions)


@pytest.mark.parametrize("own", ["flat", "db", "raw"])
@pytest.mark.parametrize("other", ["flat", "db", "raw"])
def test_an_env_is_shown_as_any_kind(own: str, other: str) -> None:
    plain, wanted = env_of(own, seed=0), env_of(other, seed=0)
    shown = shown_as(plain, wanted.observation_space)
    assert shown.observation_space == wanted.observation_space
    assert world_of(shown) == (SCENARIO, other)
    assert (shown is plain) == (own == other)
    np.testing.assert_allclose(shown.reset(), wanted.reset(), rtol=2e-5, atol=2e-6)
    for _ in range(5):
        found, expected = (env.step(np.ones((4, 4), dtype=int)) for env in (shown, wanted))
        np.testing.assert_allclose(found[0], expected[0], rtol=2e-5, atol=2e-6)
        np.testing.assert_array_equal(found[1:3], expected[1:3])
    assert found[2].all()
    last = [step[3][0]["terminal_observation"] for step in (found, expected)]
    np.testing.assert_allclose(*last, rtol=2e-5, atol=2e-6)


def test_other_observations_are_not_shown_as_a_kind() -> None:
    space = env_of("db").observation_space
    for env in (VecNormalize(env_of("flat")), make_sb3_vec_env(SCENARIO.replace(n_devices=5))):
        assert shown_as(env, space) is env
