"""Every policy decides alike on the same numbers, however they lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mec_gym import ENV_ID, Scenario, Uniform, vote

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from baselines import GreedyOffloading, RemoteOffloading
from baselines.learners import (
    DDPG,
    DROO,
    MADDPG,
    MAPPO,
    ActorCritic,
    OffloadingActorCriticPolicy,
)
from dirs_agents import DIRS

SCENARIO = Scenario(n_devices=4, n_servers=2, cycles=Uniform(5e8, 1e9))
DEVICES = SCENARIO.n_devices

KINDS: dict[str, Callable[[Any], Any]] = {
    "negative strides": lambda array: array[::-1].copy()[::-1],
    "big-endian": lambda array: array.astype(">f4"),
    "read-only": lambda array: np.frombuffer(array.tobytes(), np.float32).reshape(array.shape),
    "column by column": np.asfortranarray,
    "every other entry": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "double": lambda array: array.astype(np.float64),
    "long double": lambda array: array.astype(np.longdouble),
    "masked nowhere": np.ma.array,
    "list": lambda array: array.tolist(),
    "tensor": torch.as_tensor,
}

POLICIES: dict[str, tuple[Callable[..., BaseAlgorithm], dict[str, Any]]] = {
    "DIRS ensemble": (DIRS, {"policy": "EnsemblePolicy"}),
    "DIRS central": (DIRS, {"policy": "CentralPolicy"}),
    "DIRS prices": (DIRS, {"policy": "PricePolicy"}),
    "AC": (ActorCritic, {}),
    "AC links": (ActorCritic, {"policy": "LinkPolicy"}),
    "PPO": (PPO, {"policy": OffloadingActorCriticPolicy, "n_steps": 4, "batch_size": 4}),
    "DDPG": (DDPG, {"buffer_size": 8}),
    "DDPG links": (DDPG, {"policy": "LinkPolicy", "buffer_size": 8}),
    "MADDPG": (MADDPG, {"buffer_size": 8}),
    "MADDPG links": (MADDPG, {"policy": "LinkPolicy", "others": "policy", "buffer_size": 8}),
    "DROO": (DROO, {}),
    "DROO links": (DROO, {"policy": "LinkPolicy"}),
    "MAPPO": (MAPPO, {}),
    "GreedyOffloading": (GreedyOffloading, {}),
    "RemoteOffloading": (RemoteOffloading, {}),
}
OBSERVATIONS = dict.fromkeys(POLICIES, ("db", "flat")) | {
    name: ("db", "raw", "flat") for name in POLICIES if name.startswith(("DIRS", "DROO", "MAPPO"))
}
CASES = [(name, kind) for name, kinds in OBSERVATIONS.items() for kind in kinds]


@lru_cache
def policy_and_slots(name: str, observation: str) -> tuple[BaseAlgorithm, np.ndarray]:
    """Return an untrained model and a batch of observations."""
    env = gym.make(ENV_ID, scenario=SCENARIO, observation=observation)
    make, arguments = POLICIES[name]
    slots = np.stack([env.reset(seed=seed)[0] for seed in range(3)])
    return make(env=env, seed=0, **arguments), slots


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "observation"), CASES)
def test_the_same_numbers_get_the_same_decision(name: str, observation: str, kind: str) -> None:
    model, slots = policy_and_slots(name, observation)
    for given in (slots[0], slots):
        expected, _ = model.predict(given, deterministic=True)
        decision, _ = model.predict(KINDS[kind](given), deterministic=True)
        np.testing.assert_array_equal(decision, expected)
        assert decision.dtype == expected.dtype


@pytest.mark.parametrize(("name", "observation"), CASES)
def test_tables_and_vectors_get_the_same_decision(name: str, observation: str) -> None:
    model, slots = policy_and_slots(name, observation)
    expected, _ = model.predict(slots, deterministic=True)
    for form in ((DEVICES, 3), (3 * DEVICES,)):
        decisions, _ = model.predict(slots.reshape(3, *form), deterministic=True)
        np.testing.assert_array_equal(decisions, expected)
        decision, _ = model.predict(slots[0].reshape(form), deterministic=True)
        np.testing.assert_array_equal(decision, expected[0])


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "f8"])
@pytest.mark.parametrize(("name", "observation"), CASES)
def test_no_slots_get_no_decisions(name: str, observation: str, dtype: str) -> None:
    model, slots = policy_and_slots(name, observation)
    decision, _ = model.predict(slots[:0].astype(dtype), deterministic=True)
    assert decision.shape == (0, DEVICES)


NO_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "masked": lambda array: np.ma.array(array, mask=np.arange(array.size) % 5 == 0),
    "text": lambda array: array.astype(str),
    "complex": lambda array: array.astype(complex),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize(("name", "observation"), CASES)
def test_what_is_masked_or_no_number_is_refused(name: str, observation: str, kind: str) -> None:
    model, slots = policy_and_slots(name, observation)
    for given in (slots[0], slots):
        with pytest.raises((TypeError, ValueError), match=r"numbers|masked|observation must be"):
            model.predict(NO_NUMBERS[kind](given), deterministic=True)


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_an_agent_and_the_vote_refuse_what_is_masked_or_no_number(kind: str) -> None:
    model, slots = policy_and_slots("DIRS prices", "db")
    assert isinstance(model, DIRS)
    agent, own = model.agent(1), np.delete(slots[0], 1, axis=-1).T.ravel()
    with pytest.raises((TypeError, ValueError), match=r"numbers|masked"):
        agent.scores(NO_NUMBERS[kind](own))
    with pytest.raises((TypeError, ValueError), match=r"numbers|masked"):
        vote(NO_NUMBERS[kind](np.array([[0.9, 0.1], [0.2, 0.7]])))
    with pytest.raises(TypeError, match="numbers"):
        vote(torch.tensor([[0.9, 0.1], [0.2, 0.7]], dtype=torch.complex64))
    masked = np.ma.array(np.ones(DEVICES, dtype=bool), mask=np.arange(DEVICES) == 1)
    with pytest.raises(ValueError, match="offered must have a value everywhere"):
        agent.admits(own, masked)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["DIRS ensemble", "DIRS prices"])
def test_an_agent_takes_any_array(policy: str, kind: str) -> None:
    model, slots = policy_and_slots(policy, "db")
    assert isinstance(model, DIRS)
    agent = model.agent(1)
    own = np.delete(slots, 1, axis=-1).transpose(0, 2, 1).reshape(len(slots), -1)
    assert agent.scores(own[:0]).shape == (0, DEVICES)
    for given in (own[0], own):
        np.testing.assert_array_equal(agent.scores(KINDS[kind](given)), agent.scores(given))
    offered = np.arange(DEVICES) % 2 == 0
    for mask in (offered, offered[::-1].copy()[::-1], np.frombuffer(offered.tobytes(), bool)):
        served = agent.admits(KINDS[kind](own[0]), mask)
        np.testing.assert_array_equal(served, agent.admits(own[0], offered))
        assert agent.allocate(KINDS[kind](own[0]), mask).power_w.shape == (2,)
