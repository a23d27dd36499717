"""The vector env as a Stable-Baselines3 VecEnv: equal to its own, and trained on."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from mec_gym import Scenario, ScoreAction, Uniform, episode

pytest.importorskip("stable_baselines3")

from stable_baselines3 import A2C, DDPG, PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from mec_gym.envs.sb3 import SB3VecEnv, ScoreVecEnv, make_sb3_vec_env, world_of
from mec_gym.envs.sb3_state import env_state, set_env_state

ID = "mec_gym/MultiMEC-v0"
SMALL = Scenario(n_devices=4, n_servers=2, name="small")
TASKS = Scenario(n_devices=4, n_servers=2, cycles=Uniform(5e8, 2e9), layout="redrawn", noise_w=1e-6)
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=(0.5, 1.5, 1.5, 0.5))


def same(left: Any, right: Any) -> None:
    assert data_equivalence(left, right, exact=True), f"\n{left}\nis not\n{right}"


def flat(scenario: Any = SMALL, n_envs: int = 2, steps: int = 5, **options: Any) -> SB3VecEnv:
    return make_sb3_vec_env(
        scenario, n_envs=n_envs, seed=0, observation="flat", max_episode_steps=steps, **options
    )


# -- equal to DummyVecEnv ---------------------------------------------------------------------


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("optimum", [False, True])
@pytest.mark.parametrize("scenario", [SMALL, TASKS, FORCED], ids=["small", "tasks", "forced"])
def test_equals_dummy_vec_env(scenario: Scenario, optimum: bool, scores: bool) -> None:
    options: dict[str, Any] = {
        "scenario": scenario,
        "optimum": optimum,
        "observation": "flat",
        "max_episode_steps": 3,
    }

    def make() -> Any:
        env = gym.make(ID, **options)
        return ScoreAction(env) if scores else env

    ours = make_sb3_vec_env(n_envs=3, seed=7, scores=scores, **options)
    theirs = DummyVecEnv([make] * 3)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.num_envs == theirs.num_envs
    theirs.seed(7)
    same(ours.reset(), theirs.reset())
    same(ours.reset_infos, theirs.reset_infos)
    rng = np.random.default_rng(0)
    least = np.where(scenario.can_execute_locally, 0, 1)
    for step in range(11):
        if step == 5:
            assert ours.seed(3) == theirs.seed(3)
            same(ours.reset(), theirs.reset())
        if step == 8:
            same(ours.reset(), theirs.reset())
        actions: Any = rng.integers(least, 3, (3, 4))
        if scores:
            actions = rng.random((3, 8), dtype=np.float32)
        got, wanted = ours.step(actions), theirs.step(actions)
        same(got, wanted)
        same(ours.reset_infos, theirs.reset_infos)
        if got[2].any():
            assert got[3][0]["TimeLimit.truncated"] is True
            assert got[3][0]["terminal_observation"].shape == ours.observation_space.shape


def test_two_dimensional_observations_equal_too() -> None:
    given: dict[str, Any] = {"observation": "db", "max_episode_steps": 2}
    ours = make_sb3_vec_env("paper-30x2", n_envs=2, seed=1, **given)
    theirs = DummyVecEnv([lambda: gym.make(ID, scenario="paper-30x2", **given)] * 2)
    theirs.seed(1)
    seen = ours.reset()
    assert seen.shape == (2, 30, 2)
    same(seen, theirs.reset())
    for _ in range(5):
        actions = np.ones((2, 30), dtype=int)
        same(ours.step(actions), theirs.step(actions))


def test_pictures_equal() -> None:
    pytest.importorskip("pygame")
    ours = make_sb3_vec_env(SMALL, n_envs=2, seed=1, render_mode="rgb_array")
    theirs = DummyVecEnv([lambda: gym.make(ID, scenario=SMALL, render_mode="rgb_array")] * 2)
    theirs.seed(1)
    same(ours.reset(), theirs.reset())
    assert ours.render_mode == "rgb_array"
    same(list(ours.get_images()), list(theirs.get_images()))
    same(ours.render(), theirs.render())


def test_results_are_new_and_free() -> None:
    clean, spoilt = flat(TASKS, steps=2), flat(TASKS, steps=2)
    same(clean.reset(), spoilt.reset())
    actions = np.ones((2, 4), dtype=int)
    for _ in range(5):
        wanted, got = clean.step(actions), spoilt.step(actions)
        same(got, wanted)
        for array in got[:3]:
            array[...] = 0
        for info in got[3]:
            info["devices_per_server"][...] = 9
            info.clear()


# -- the interface ----------------------------------------------------------------------------


def test_attributes_and_methods() -> None:
    envs = flat(FORCED, n_envs=3)
    envs.reset()
    assert envs.get_attr("scenario") == [FORCED] * 3
    assert envs.get_attr("scenario", indices=1) == [FORCED]
    assert envs.has_attr("action_masks")
    assert not envs.has_attr("nothing_like_it")
    masks = envs.env_method("action_masks")
    assert len(masks) == 3
    assert masks[0].shape == (4 * 3,)
    assert len(envs.env_method("action_masks", indices=[0, 2])) == 2
    assert envs.env_is_wrapped(gym.Wrapper) == [False] * 3
    envs.set_attr("note", "x")
    assert envs.get_attr("note") == ["x"] * 3
    with pytest.raises(ValueError, match="share"):
        envs.set_attr("note", "y", indices=[0])
    envs.close()


def test_seed_restarts() -> None:
    envs = flat(n_envs=3)
    first = envs.reset()
    assert envs.seed(0) == [0, 1, 2]
    again = envs.reset()
    same(again, first)
    assert not np.array_equal(envs.reset(), first)
    envs.seed(1)
    same(envs.reset()[:2], first[1:])
    assert not np.array_equal(make_sb3_vec_env(SMALL).reset(), make_sb3_vec_env(SMALL).reset())


def test_options_of_the_next_reset_are_those_of_single_envs() -> None:
    paths = [episode(SMALL, seed=seed, n_slots=3) for seed in (5, 6)]
    singles = DummyVecEnv([lambda: gym.make(ID, scenario=SMALL)] * 2)
    for options in ({"episode": paths[1]}, [{"episode": one} for one in paths]):
        found = []
        for envs in (VecMonitor(flat()), singles):
            envs.set_options(options)
            found.append(envs.reset())
            assert not np.array_equal(envs.reset(), found[-1])  # of one reset alone
        same(*found)
    envs = flat()
    envs.set_options([{"episode": paths[0]}, {}])
    with pytest.raises(ValueError, match="options must be one dict for all copies, or a list"):
        envs.reset()


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_the_native_env_in_another_autoreset_mode_does_the_same(mode: str) -> None:
    def adapted(autoreset_mode: str) -> SB3VecEnv:
        envs = gym.make_vec(
            ID, num_envs=2, scenario=SMALL, max_episode_steps=3, autoreset_mode=autoreset_mode
        )
        adapter = SB3VecEnv(envs)
        adapter.seed(3)
        return adapter

    one, other = adapted("SameStep"), adapted(mode)
    same(one.reset(), other.reset())
    actions = one.action_space.sample()
    for _ in range(7):
        ours, theirs = one.step(np.stack([actions] * 2)), other.step(np.stack([actions] * 2))
        for part in range(3):
            same(ours[part], theirs[part])
        assert repr(ours[3]) == repr(theirs[3])
        assert repr(one.reset_infos) == repr(other.reset_infos)


def test_other_autoreset_modes_of_other_envs_are_refused() -> None:
    envs = gym.make_vec(ID, num_envs=2, scenario=SMALL, vectorization_mode="sync")
    with pytest.raises(ValueError, match="SAME_STEP"):
        SB3VecEnv(envs)


def test_wrong_actions_are_refused() -> None:
    envs = flat()
    envs.reset()
    before = repr(envs.venv.unwrapped.get_state())
    for actions in (np.ones((2, 4)), np.full((2, 4), 3), np.ones((1, 4), dtype=int)):
        with pytest.raises((TypeError, ValueError)):
            envs.step(actions)
    assert repr(envs.venv.unwrapped.get_state()) == before


def test_wrappers() -> None:
    envs = VecMonitor(flat(steps=3))
    envs.reset()
    total = np.zeros(2)
    for _ in range(3):
        _, rewards, dones, infos = envs.step(np.ones((2, 4), dtype=int))
        total += rewards
    assert dones.all()
    for info, wanted in zip(infos, total, strict=True):
        assert info["episode"]["r"] == pytest.approx(wanted, rel=1e-6)
        assert info["episode"]["l"] == 3
    normal = VecNormalize(flat(steps=3))
    normal.reset()
    for _ in range(7):
        observations, rewards, *_ = normal.step(np.ones((2, 4), dtype=int))
        assert np.isfinite(observations).all()
        assert np.isfinite(rewards).all()


# -- training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PPO", "A2C", "DDPG"])
def test_algorithms_learn_and_are_saved(name: str, tmp_path: Path) -> None:
    common: dict[str, Any] = {"device": "cpu", "seed": 0, "policy_kwargs": {"net_arch": [8]}}
    if name == "DDPG":
        envs = VecMonitor(flat(TASKS, scores=True))
        model: Any = DDPG(
            "MlpPolicy", envs, learning_starts=8, batch_size=4, buffer_size=50, **common
        )
    else:
        envs = VecMonitor(flat(TASKS))
        model = {"PPO": PPO, "A2C": A2C}[name](
            "MlpPolicy", envs, n_steps=8, **({"batch_size": 8} if name == "PPO" else {}), **common
        )
    model.learn(32)
    assert model.num_timesteps >= 32
    assert model.ep_info_buffer[-1]["l"] == 5
    observation = envs.reset()
    action, _ = model.predict(observation, deterministic=True)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model", env=envs, device="cpu")
    same(again.predict(observation, deterministic=True)[0], action)
    again.learn(16)


def test_training_equals_training_on_dummy_vec_env() -> None:
    def weights(envs: Any) -> list[Any]:
        model = PPO("MlpPolicy", envs, n_steps=8, batch_size=8, device="cpu", seed=3)
        model.learn(32)
        return [value.numpy() for value in model.policy.state_dict().values()]

    def make() -> Any:
        return gym.make(ID, scenario=TASKS, observation="flat", max_episode_steps=5)

    same(weights(flat(TASKS)), weights(DummyVecEnv([make] * 2)))


def test_evaluation() -> None:
    train, test = VecMonitor(flat()), VecMonitor(flat(reward="relative"))
    model = PPO("MlpPolicy", train, n_steps=8, batch_size=8, device="cpu", seed=0)
    callback = EvalCallback(test, n_eval_episodes=2, eval_freq=8, verbose=0)
    model.learn(32, callback=callback)
    assert np.isfinite(callback.best_mean_reward)
    rewards, lengths = evaluate_policy(model, test, n_eval_episodes=4, return_episode_rewards=True)
    assert lengths == [5] * 4
    assert np.isfinite(rewards).all()


def test_maskable_ppo_gets_masks() -> None:
    contrib = pytest.importorskip("sb3_contrib")
    envs = VecMonitor(flat(FORCED))
    model = contrib.MaskablePPO("MlpPolicy", envs, n_steps=8, batch_size=8, device="cpu", seed=0)
    # Without masks every second decision would be refused.
    model.learn(64)
    observation = envs.reset()
    masks = np.stack(envs.env_method("action_masks"))
    for _ in range(20):
        actions, _ = model.predict(observation, action_masks=masks)
        assert (actions[:, [0, 3]] > 0).all()
        observation, *_ = envs.step(actions)


@pytest.mark.parametrize("native", [True, False])
def test_score_vec_env_is_the_score_wrapper(native: bool) -> None:
    def make() -> Any:
        return gym.make(ID, scenario=TASKS, observation="flat", max_episode_steps=5)

    envs: Any = VecMonitor(flat(TASKS)) if native else DummyVecEnv([make] * 2)
    if not native:
        envs.seed(0)
    scored, wrapped = ScoreVecEnv(envs), flat(TASKS, scores=True)
    assert scored.action_space == wrapped.action_space
    same(scored.reset(), wrapped.reset())
    rng = np.random.default_rng(0)
    for _ in range(7):
        scores = rng.random((2, 8), dtype=np.float32)
        for left, right in zip(scored.step(scores)[:3], wrapped.step(scores)[:3], strict=True):
            same(left, right)


def test_score_vec_env_refuses_what_it_cannot_vote_on() -> None:
    with pytest.raises(TypeError, match=r"must take assignments, MultiDiscrete\(\[3\] \* 4\)"):
        ScoreVecEnv(flat(scores=True))
    with pytest.raises(TypeError, match="must be a MultiMEC env"):
        ScoreVecEnv(DummyVecEnv([lambda: gym.make("CartPole-v1")]))
    scored = ScoreVecEnv(flat())
    scored.reset()
    for scores, error, message in [
        (np.ones((2, 8), dtype=int), TypeError, "must hold float scores"),
        (np.full((2, 8), 1.5), ValueError, r"within \[0, 1\]"),
        (np.zeros((2, 9)), ValueError, r"must have shape \(2, 8\)"),
    ]:
        with pytest.raises(error, match=message):
            scored.step(scores)


def test_what_an_algorithm_cannot_work_with_is_refused() -> None:
    plain, scored, normal = flat(TASKS), flat(TASKS, scores=True), VecNormalize(flat(TASKS))
    assert world_of(plain) == world_of(normal, plain=False) == (TASKS, "flat")
    assert world_of(scored, assignments=False) == (TASKS, "flat")
    with pytest.raises(TypeError, match="must take assignments"):
        world_of(scored)
    with pytest.raises(ValueError, match="VecNormalize"):
        world_of(normal)
    mixed = DummyVecEnv([lambda name=name: gym.make(ID, scenario=name) for name in (SMALL, FORCED)])
    with pytest.raises(ValueError, match="copy 1 differs"):
        world_of(mixed, plain=False)
    with pytest.raises(TypeError, match="must be a MultiMEC env"):
        world_of(DummyVecEnv([lambda: gym.make("CartPole-v1")]), plain=False, assignments=False)


# -- states of whole vector envs ------------------------------------------------------------------


def singles(scenario: Any = SMALL, n_envs: int = 3) -> Any:
    made = DummyVecEnv([lambda: gym.make(ID, scenario=scenario, observation="flat")] * n_envs)
    made.seed(0)
    return made


def broken(state: Any) -> Any:
    """Return a state whose last copy has a generator of another kind."""
    state = copy.deepcopy(state)
    if "native" in state:
        state["native"]["generators"][-1]["bit_generator"] = "MT19937"
    else:
        state["copies"][-1]["world"]["generator"]["bit_generator"] = "MT19937"
    return state


MAKERS: dict[str, Any] = {
    "native": lambda: VecMonitor(flat(n_envs=3)),
    "single": lambda: VecMonitor(singles()),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_state_is_the_envs_future(kind: str) -> None:
    first, second = MAKERS[kind](), MAKERS[kind]()
    first.reset()
    actions = np.ones((3, 4), dtype=int)
    first.step(actions)
    set_env_state(second, env_state(first))  # which no reset has begun
    for _ in range(6):
        same(first.step(actions)[:3], second.step(actions)[:3])


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("fault", ["generator", "kind", "copies"])
def test_a_state_that_is_refused_changes_nothing(kind: str, fault: str) -> None:
    env, other = MAKERS[kind](), MAKERS[kind]()
    other.seed(7)
    for one in (env, other):
        one.reset()
        one.step(np.ones((3, 4), dtype=int))
    state = broken(env_state(other))
    if fault == "kind":
        state = env_state(MAKERS["single" if kind == "native" else "native"]())
    elif fault == "copies":
        state = env_state(singles(n_envs=2) if kind == "single" else flat())
    before = env_state(env)
    with pytest.raises(ValueError, match=r"generators|kind of vector env|copies"):
        set_env_state(env, state)
    same(env_state(env), before)


@pytest.mark.slow
def test_processes_of_a_command_line_find_the_env_by_its_modules_name() -> None:
    code = (
        "from stable_baselines3.common.env_util import make_vec_env\n"
        "from stable_baselines3.common.vec_env import SubprocVecEnv\n"
        "envs = make_vec_env('mec_gym:mec_gym/MultiMEC-v0', 2, vec_env_cls=SubprocVecEnv,\n"
        "                    env_kwargs={'scenario': 'paper-30x2'})\n"
        "print(envs.reset().shape)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "(2, 60)\n", found.stderr
