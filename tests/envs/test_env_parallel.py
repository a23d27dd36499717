"""The PettingZoo face: official tests without a warning, and equality with the central env."""

from __future__ import annotations

import copy
import math
import pickle
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils.env_checker import data_equivalence

from mec_gym import Scenario, Uniform, parallel_env, vote
from mec_gym.envs.offloading import MultiMECEnv

pytest.importorskip("pettingzoo")

import pettingzoo

from mec_gym.envs import parallel
from mec_gym.envs.parallel import MultiMECParallelEnv
from mec_gym.envs.vector import MultiMECVectorEnv

with warnings.catch_warnings():
    # PettingZoo's own tests import what it deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo import test as official

SMALL = Scenario(n_devices=5, n_servers=3)
TASKS = Scenario(
    n_devices=4,
    n_servers=2,
    data_bits=Uniform(1e5, 9e5),
    cycles=Uniform(5e8, 2e9),
    layout="redrawn",
    noise_w=1e-6,
)
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=(0.5, 1.5, 1.5, 0.5))
SCENARIOS = pytest.mark.parametrize(
    "scenario", [SMALL, TASKS, FORCED], ids=["small", "tasks", "forced"]
)
OBSERVATIONS = pytest.mark.parametrize("observation", ["db", "raw", "flat"])


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # PettingZoo's tests give an option of no meaning.
        warnings.filterwarnings("ignore", ".*does not know the options 'options'")
        yield


def same(left: Any, right: Any) -> None:
    assert data_equivalence(left, right, exact=True), f"\n{left}\nis not\n{right}"


def scores(env: MultiMECParallelEnv, rng: np.random.Generator) -> dict[str, Any]:
    size = env.scenario.n_devices
    return {agent: rng.random(size, dtype=np.float32) for agent in env.agents}


# -- the official tests -----------------------------------------------------------------------


@OBSERVATIONS
@SCENARIOS
def test_official_tests(scenario: Scenario, observation: str) -> None:
    options: dict[str, Any] = {"observation": observation, "max_cycles": 20, "optimum": True}
    official.parallel_api_test(parallel_env(scenario, **options), num_cycles=50)
    official.api_test(parallel.env(scenario, **options), num_cycles=50)
    official.parallel_seed_test(lambda: parallel_env(scenario, **options), num_cycles=50)
    official.seed_test(lambda: parallel.env(scenario, **options), num_cycles=50)


@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
def test_official_tests_of_a_preset(reward: str) -> None:
    options: dict[str, Any] = {"reward": reward, "max_cycles": 10}
    official.parallel_api_test(parallel_env("unequal-200x10", **options), num_cycles=15)
    official.api_test(parallel.env("unequal-200x10", **options), num_cycles=15)


@SCENARIOS
def test_official_state_test(scenario: Scenario) -> None:
    for observation in ("db", "flat", "raw"):
        official.state_test(
            parallel.env(scenario, observation=observation),
            parallel_env(scenario, observation=observation),
        )


def test_official_max_cycles_test() -> None:
    official.max_cycles_test(parallel)


@pytest.mark.slow
def test_official_render_test(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    official.render_test(lambda render_mode: parallel.env(SMALL, render_mode=render_mode))
    official.render_test(lambda render_mode: parallel.raw_env(SMALL, render_mode=render_mode))


def test_registry() -> None:
    if not hasattr(pettingzoo, "register"):
        pytest.skip("PettingZoo has no registry before 1.27")
    env = pettingzoo.make("parallel", "mec_gym/MultiMEC-v0", scenario="paper-30x2")
    assert isinstance(env.unwrapped, MultiMECParallelEnv)
    assert env.unwrapped.max_cycles == 100
    turns = pettingzoo.make("aec", "mec_gym/MultiMEC-v0", scenario="paper-30x2", max_cycles=1)
    assert isinstance(turns, pettingzoo.AECEnv)
    turns.reset(seed=0)
    assert turns.agents == ["mec_1", "mec_2"]
    while turns.agents:
        over = turns.truncations[turns.agent_selection]
        turns.step(None if over else np.zeros(30, dtype=np.float32))


def test_without_pettingzoo_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mec_gym.envs.parallel")
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(DependencyNotInstalled, match=r"mec-gym\[multiagent\]"):
        parallel_env("paper-30x2")


# -- the same world ---------------------------------------------------------------------------


@OBSERVATIONS
@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
@SCENARIOS
def test_equals_the_central_env(scenario: Scenario, reward: str, observation: str) -> None:
    options: dict[str, Any] = {"reward": reward, "observation": observation, "optimum": True}
    env = parallel_env(scenario, max_cycles=6, **options)
    central = MultiMECEnv(scenario, **options)
    rng = np.random.default_rng(0)
    for seed in (5, None, 6):
        observations, infos = env.reset(seed=seed)
        state, info = central.reset(seed=seed)
        for cycle in range(7):
            same(env.state(), state.ravel())
            assert env.state_space.contains(env.state())
            table = state.reshape(scenario.n_devices, -1)
            for j, agent in enumerate(env.possible_agents):
                own = np.concatenate([table[:, j], *table[:, scenario.n_servers :].T])
                same(observations[agent], own)
                assert env.observation_space(agent).contains(observations[agent])
                same(infos[agent], info)
            assert len({id(one) for one in infos.values()}) == scenario.n_servers
            if cycle == 6:
                break
            actions = scores(env, rng)
            agents = list(env.agents)
            observations, rewards, terminations, truncations, infos = env.step(actions)
            decision = vote(np.stack(list(actions.values())), scenario.can_execute_locally)
            state, wanted, _, _, info = central.step(decision)
            same(rewards, dict.fromkeys(agents, wanted))
            same(terminations, dict.fromkeys(agents, False))
            same(truncations, dict.fromkeys(agents, cycle == 5))
        assert env.agents == []
        same(env.step({}), ({}, {}, {}, {}, {}))


def test_an_agent_sees_no_other_agents_gains() -> None:
    env = parallel_env(SMALL, observation="raw")
    observations, _ = env.reset(seed=0)
    gains = env.state().reshape(5, -1)
    for j, agent in enumerate(env.possible_agents):
        assert observations[agent].shape == (5,)
        others = np.delete(gains, j, axis=1)
        assert not np.isin(observations[agent], others).any()


def test_spaces_are_the_same_objects_and_alike() -> None:
    env = parallel_env(TASKS)
    assert env.possible_agents == ["mec_1", "mec_2"]
    for space in (env.observation_space, env.action_space):
        assert space("mec_1") is space("mec_1")
        assert space("mec_1") == space("mec_2")
        assert space("mec_1") is not space("mec_2")


def test_results_are_new_and_free() -> None:
    clean, spoilt = parallel_env(TASKS, optimum=True), parallel_env(TASKS, optimum=True)
    rng = np.random.default_rng(0)
    clean.reset(seed=0)
    spoilt.reset(seed=0)
    for _ in range(5):
        actions = scores(clean, rng)
        same(spoilt.state(), clean.state())
        wanted, got = clean.step(actions), spoilt.step(actions)
        same(got, wanted)
        for observation in got[0].values():
            observation[...] = 0
        for info in got[4].values():
            info["devices_per_server"][...] = 0
            info.clear()
        spoilt.state()[...] = 0


# -- cycles, actions, copies ------------------------------------------------------------------


def test_max_cycles() -> None:
    for limit in (None, -1):
        env = parallel_env(SMALL, max_cycles=limit)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(130):
            assert not any(env.step(scores(env, rng))[3].values())
    assert parallel_env(SMALL).max_cycles == 100
    one = parallel_env(SMALL, max_cycles=1)
    one.reset()
    assert all(one.step(scores(one, np.random.default_rng(0)))[3].values())
    assert one.agents == []
    for limit in (0, -2):
        with pytest.raises(ValueError, match="max_cycles"):
            parallel_env(SMALL, max_cycles=limit)


@pytest.mark.parametrize("limit", [2.5, math.nan, math.inf, "3", True])
def test_limits_that_are_no_integers_are_refused(limit: Any) -> None:
    with pytest.raises(TypeError, match="max_cycles must be an int"):
        parallel_env(SMALL, max_cycles=limit)
    with pytest.raises(TypeError, match="max_episode_steps must be an int"):
        MultiMECVectorEnv(2, SMALL, max_episode_steps=limit)


def test_limits_of_numpy_are_limits() -> None:
    env = parallel_env(SMALL, max_cycles=np.int64(1))  # type: ignore[arg-type]
    env.reset(seed=0)
    truncations = env.step(scores(env, np.random.default_rng(0)))[3]
    assert all(over is True for over in truncations.values())
    assert type(MultiMECVectorEnv(2, SMALL, max_episode_steps=np.int64(3)).max_episode_steps) is int


def test_a_step_before_the_first_reset_is_refused() -> None:
    env = parallel_env(SMALL)
    with pytest.raises(RuntimeError, match="reset"):
        env.step({})


@pytest.mark.parametrize("row", [["0.5"] * 5, np.full(5, 0.5 + 1j), [True] * 5])
def test_scores_that_are_no_numbers_are_refused(row: Any) -> None:
    env = parallel_env(SMALL)
    env.reset(seed=0)
    good = {agent: np.zeros(5) for agent in env.agents}
    with pytest.raises(TypeError, match="action of mec_1 must be an array of numbers"):
        env.step(good | {"mec_1": row})


def test_wrong_actions_are_refused_and_leave_no_trace() -> None:
    env, twin = parallel_env(SMALL, max_cycles=3), parallel_env(SMALL, max_cycles=3)
    env.reset(seed=0)
    twin.reset(seed=0)
    good = {agent: np.full(5, 0.7, dtype=np.float32) for agent in env.agents}
    rows: list[Any] = [np.full(5, np.nan), np.full(5, 1.1), np.full(5, -0.1), np.full(5, np.inf)]
    rows += [np.zeros(4), np.zeros((1, 5)), np.zeros(()), None, "scores", [1j] * 5]
    wrong: list[dict[str, Any]] = [good | {"mec_2": row} for row in rows]
    wrong += [{}, {"mec_1": good["mec_1"]}]
    for _ in range(3):
        for actions in wrong:
            with pytest.raises((TypeError, ValueError)):
                env.step(actions)
        same(env.step(good), twin.step(good))
    assert env.agents == twin.agents == []


def test_messages_name_agent_and_device() -> None:
    env = parallel_env(SMALL)
    env.reset(seed=0)
    good = {agent: np.zeros(5) for agent in env.agents}
    with pytest.raises(ValueError, match=r"mec_3.*got 2.0 at index \(3,\)"):
        env.step(good | {"mec_3": np.array([0, 0, 0, 2.0, 0])})
    with pytest.raises(ValueError, match=r"missing \['mec_2'\]"):
        env.step({"mec_1": good["mec_1"], "mec_3": good["mec_3"]})


def test_copies_go_on_alike() -> None:
    env = parallel_env(TASKS, max_cycles=9)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    env.step(scores(env, rng))
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    while env.agents:
        actions = scores(env, rng)
        wanted = env.step(actions)
        for twin in twins:
            same(twin.step(actions), wanted)
    assert [twin.agents for twin in twins] == [[], []]
