"""Bad input is refused by name, early, and leaves everything as it was."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FlattenObservation, TransformObservation
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecNormalize

from dirs_agents import DIRS
from mec_gym import ENV_ID, Scenario, ScoreAction, VectorScoreAction
from mec_gym.envs.sb3 import make_sb3_vec_env
from tests.dirs_agents.dirs_helpers import (
    SMALL,
    TASKS,
    assert_same_weights,
    make_env,
    make_model,
    observations_of,
)


def halved(env: Any) -> Any:
    space = gym.spaces.Box(-100.0, 100.0, env.observation_space.shape, np.float32)
    return TransformObservation(env, lambda o: o / 2, space)


BAD_ENVS: dict[str, tuple[Any, str]] = {
    "CartPole": (lambda: gym.make("CartPole-v1"), "must be a MultiMEC env"),
    "CartPole vector": (
        lambda: gym.make_vec(
            "CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
        ),
        "must be a MultiMEC env",
    ),
    "ScoreAction": (lambda: ScoreAction(make_env()), "ScoreAction"),
    "VectorScoreAction": (
        lambda: VectorScoreAction(gym.make_vec(ENV_ID, num_envs=2, scenario=SMALL)),
        "ScoreAction",
    ),
    "scores": (lambda: make_sb3_vec_env(SMALL, scores=True), "scores=True"),
    "VecNormalize": (lambda: VecNormalize(make_sb3_vec_env(SMALL)), "VecNormalize"),
    "VecFrameStack": (lambda: VecFrameStack(make_sb3_vec_env(SMALL), 2), "wrappers"),
    "FlattenObservation": (lambda: FlattenObservation(make_env()), "wrappers"),
    "TransformObservation": (lambda: halved(make_env()), "wrappers"),
    "two scenarios": (
        lambda: DummyVecEnv([make_env, lambda: make_env(SMALL.replace(server_frequency_hz=2e10))]),
        "share one scenario",
    ),
}


@pytest.mark.parametrize("name", BAD_ENVS)
def test_envs_that_do_not_fit_are_refused_by_name(name: str) -> None:
    make, message = BAD_ENVS[name]
    with pytest.raises((TypeError, ValueError), match=message):
        make_model(env=make())


@pytest.mark.slow
def test_foreign_envs_in_other_processes_are_refused_by_name() -> None:
    envs = SubprocVecEnv([lambda: gym.make("CartPole-v1")])
    try:
        with pytest.raises(TypeError, match="must be a MultiMEC env"):
            make_model(env=envs)
        assert envs.reset().shape == (1, 4)
    finally:
        envs.close()


@pytest.mark.parametrize(
    "env",
    [
        *[pytest.param(make, id=name) for name, (make, _) in BAD_ENVS.items()],
        pytest.param(lambda: make_env(SMALL.replace(n_devices=5)), id="more devices"),
        pytest.param(lambda: make_env(SMALL.replace(n_servers=3)), id="more servers"),
        pytest.param(lambda: make_env(TASKS), id="tasks"),
        pytest.param(lambda: make_sb3_vec_env(SMALL, n_envs=3), id="more copies"),
    ],
)
def test_a_refused_env_leaves_the_model_as_it_was(env: Any) -> None:
    model, twin = make_model().learn(6), make_model().learn(6)
    before = model.env
    with pytest.raises((TypeError, ValueError, AssertionError)):
        model.set_env(env())
    assert model.env is before
    assert model.scenario == SMALL
    assert model.n_envs == 1
    model.learn(9, reset_num_timesteps=False)
    twin.learn(9, reset_num_timesteps=False)
    assert_same_weights(model, twin)


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_a_new_env_of_equal_sizes_is_what_the_model_then_decides_for(policy: str) -> None:
    """The scenario's speeds, limits and ranges are the new env's, in training and in predict."""
    places = [[1.0, 1.0], [45.0, 45.0]]
    old = Scenario(n_devices=6, n_servers=2, server_positions=places, noise_w=1e-6)
    new = old.replace(server_frequency_hz=(5e8, 4e10), max_power_w=(0.5, 1.5, 1.5, 0.5, 1.5, 1.5))
    model = make_model(policy, make_env(old)).learn(4)
    model.set_env(make_env(new))
    observations = observations_of(new, 50)
    decision, _ = model.predict(observations)
    assert (decision[:, ~new.can_execute_locally] > 0).all()
    fresh = make_model(policy, make_env(new))
    fresh.policy.load_state_dict(model.policy.state_dict())
    np.testing.assert_array_equal(decision, fresh.predict(observations)[0])
    for server in (1, 2):
        own = observations[0].reshape(6, 2)[:, server - 1]
        np.testing.assert_array_equal(
            model.agent(server).scores(own), fresh.agent(server).scores(own)
        )
    model.learn(6)


def test_an_algorithm_without_an_env_says_so() -> None:
    with pytest.raises((TypeError, ValueError), match="env"):
        DIRS("EnsemblePolicy", None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("demonstrations", ["random", "", None, 3]),
        ("refinement", ["random", None]),
        ("loss", ["hinge", 3]),
        ("allocation", ["best"]),
        ("n_demonstrations", [1.5]),
        ("buffer_size", [7, 2.0]),
        ("refine_interval", [2.5]),
        ("l2_weight", [float("inf")]),
        ("priority_exponent", [float("inf")]),
        ("demonstration_priority", [float("inf")]),
    ],
)
def test_choices_and_what_only_looks_like_a_number_are_refused_by_name(
    name: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises((TypeError, ValueError)) as found:
            make_model(**{name: value})
        assert name in str(found.value), f"{name}={value!r}"


def test_a_buffer_smaller_than_the_demonstrations_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"buffer_size=7 for n_demonstrations=8"):
        make_model(buffer_size=7)
    make_model(buffer_size=7, demonstrations="none")
    make_model(buffer_size=8).learn(6)


def test_enumerating_a_large_case_is_refused_and_can_be_mended() -> None:
    scenario = Scenario(n_devices=30, n_servers=2)
    with pytest.raises(ValueError, match="exhaustive"):
        make_model(scenario=scenario, demonstrations="exhaustive").learn(3)
    model = make_model(scenario=scenario, demonstrations="optimal")
    model.demonstrations = "exhaustive"
    with pytest.raises(ValueError, match="exhaustive"):
        model.learn(3)
    # A run that failed before it had demonstrations has none.
    model.demonstrations = "optimal"
    model.learn(3)
    assert model.replay_buffer.n_demonstrations == 8


def test_absurdly_large_networks_are_refused_before_they_are_made() -> None:
    import resource

    from dirs_agents.banks import EnsembleBank

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    with pytest.raises(ValueError, match="PricePolicy"):
        EnsembleBank(100, 1, 10_000, (15_000, 12_500))
    with pytest.raises(ValueError, match="net_arch"):
        make_model(policy_kwargs={"net_arch": [100_000, 100_000]})
    assert time.process_time() - begun < 1.0
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # kB; the networks would take 200 GB


def test_unknown_policies_and_their_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="MlpPolicy"):
        DIRS("MlpPolicy", make_env())
    with pytest.raises(TypeError, match="net_arc"):
        make_model(policy_kwargs={"net_arc": [8]})
