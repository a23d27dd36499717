"""Policies are their functions, wherever the env is, and live with Stable-Baselines3's tools."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("pymoo")

from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

import baselines
from baselines import (
    DifferentialEvolution,
    GreedyOffloading,
    LocalExecution,
    Optimal,
    ParticleSwarm,
    PostedPrices,
    QuotaOffloading,
    RandomOffloading,
    RemoteOffloading,
)
from baselines.policies import SlotPolicy
from baselines.rules import tuning_slots
from mec_gym import ENV_ID, Scenario, Slot, slot_from_observation
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.model.layout import fixed_layout

SCENARIO = Scenario(
    n_devices=8,
    n_servers=3,
    noise_w=1e-6,
    cycles={"uniform": [5e8, 1.5e9]},
    server_frequency_hz=[4e9, 6e9, 9e9],
    max_power_w=[0.5] + [1.5] * 7,  # the first device cannot execute locally
    name="small",
)
DISTANCES = fixed_layout(SCENARIO).distances_m
BUDGET = {"max_evaluations": 60}

Function = Callable[[Slot], Any]
POLICIES: dict[str, tuple[type[SlotPolicy], dict[str, Any], Function | None]] = {
    "local": (LocalExecution, {}, lambda slot: baselines.local(SCENARIO, slot)),
    "random": (RandomOffloading, {}, None),
    "random, no limit": (RandomOffloading, {"admission_limit": False}, None),
    "remote": (RemoteOffloading, {}, lambda slot: baselines.remote(SCENARIO, slot, DISTANCES)),
    "remote, no limit": (
        RemoteOffloading,
        {"admission_limit": False},
        lambda slot: baselines.remote(SCENARIO, slot, DISTANCES, admission_limit=False),
    ),
    "remote, by gain": (
        RemoteOffloading,
        {"by": "gain"},
        lambda slot: baselines.remote(SCENARIO, slot, 1 / slot.gains),
    ),
    "quota": (QuotaOffloading, {"quota": 2}, lambda slot: baselines.quota(SCENARIO, slot, 2)),
    "prices": (
        PostedPrices,
        {"prices": [2e-5, 1e-5, 1e-5]},
        lambda slot: baselines.posted_prices(SCENARIO, slot, [2e-5, 1e-5, 1e-5]),
    ),
    "prices, no dropping": (
        PostedPrices,
        {"prices": [2e-5, 1e-5, 1e-5], "dropping": False},
        lambda slot: baselines.posted_prices(SCENARIO, slot, [2e-5, 1e-5, 1e-5], dropping=False),
    ),
    "greedy": (GreedyOffloading, {}, lambda slot: baselines.greedy(SCENARIO, slot)),
    "optimal": (Optimal, {}, lambda slot: baselines.optimal(SCENARIO, slot)),
    "particle swarm": (
        ParticleSwarm,
        BUDGET | {"seed": 4},
        lambda slot: baselines.particle_swarm(SCENARIO, slot, **BUDGET, seed=4),
    ),
    "differential evolution": (
        DifferentialEvolution,
        BUDGET | {"seed": 4},
        lambda slot: baselines.differential_evolution(SCENARIO, slot, **BUDGET, seed=4),
    ),
}
EVERY = pytest.mark.parametrize("name", list(POLICIES))
TUNED = pytest.mark.parametrize("policy", [QuotaOffloading, PostedPrices])


def single(**changes: Any) -> gym.Env[Any, Any]:
    return gym.make(ENV_ID, scenario=SCENARIO, max_episode_steps=4, reward="relative", **changes)


ENVS: dict[str, Callable[..., Any]] = {
    "single": single,
    "DummyVecEnv": lambda **changes: DummyVecEnv([lambda: Monitor(single(**changes))] * 3),
    "make_sb3_vec_env": lambda **changes: make_sb3_vec_env(
        SCENARIO, n_envs=3, max_episode_steps=4, reward="relative", **changes
    ),
}


def begun(env: Any, seed: int = 0) -> np.ndarray:
    if isinstance(env, VecEnv):
        env.seed(seed)
        return np.asarray(env.reset())
    return np.asarray(env.reset(seed=seed)[0])


@pytest.mark.parametrize("kind", ["db", "raw", "flat"])
@pytest.mark.parametrize("where", list(ENVS))
@EVERY
def test_a_policy_is_its_function_wherever_the_env_is(name: str, where: str, kind: str) -> None:
    policy, arguments, function = POLICIES[name]
    env = ENVS[where](observation=kind)
    model = policy(env, **arguments)
    observation = begun(env)
    for _ in range(6):
        action, state = model.predict(observation, deterministic=True)
        assert state is None
        assert action.dtype == np.int64
        assert (action[..., 0] > 0).all(), "the first device cannot execute locally"
        if function is not None:
            slot = slot_from_observation(SCENARIO, observation, kind)
            np.testing.assert_array_equal(action, function(slot))
        observation = env.step(action)[0]


@EVERY
def test_a_batch_of_any_size_is_decided_slot_by_slot(name: str) -> None:
    policy, arguments, _ = POLICIES[name]
    env = single()
    model = policy(env, **arguments)
    observations = make_sb3_vec_env(SCENARIO, n_envs=5, seed=0).reset()
    whole, _ = model.predict(observations, deterministic=True)
    assert whole.shape == (5, 8)
    for index in range(5):
        alone, _ = model.predict(observations[index], deterministic=True)
        np.testing.assert_array_equal(whole[index], alone)
    assert model.predict(observations[:0])[0].shape == (0, 8)
    square = np.stack([observations[:2], observations[2:4]])
    np.testing.assert_array_equal(
        model.predict(square, deterministic=True)[0].reshape(4, 8), whole[:4]
    )


def test_random_offloading_draws_anew_unless_it_is_to_be_deterministic() -> None:
    env = single()
    observation = begun(env)

    def draws(deterministic: bool, seed: int) -> np.ndarray:
        model = RandomOffloading(env, seed=seed, admission_limit=False)
        predictions = [model.predict(observation, deterministic=deterministic)[0] for _ in "12345"]
        return np.stack(predictions)

    np.testing.assert_array_equal(draws(False, 1), draws(False, 1))
    model = RandomOffloading(env)
    model.set_random_seed(1)
    first = model.predict(observation)[0]
    model.set_random_seed(1)
    np.testing.assert_array_equal(model.predict(observation)[0], first)
    assert len(np.unique(draws(False, 1), axis=0)) > 1
    assert len(np.unique(draws(True, 1), axis=0)) == 1
    assert (draws(True, 1)[0] != draws(True, 2)[0]).any()


def test_a_rule_for_the_best_gain_stands_in_where_layouts_are_redrawn() -> None:
    redrawn = gym.make(ENV_ID, scenario=SCENARIO.replace(layout="redrawn"))
    with pytest.raises(ValueError, match=r"layout='redrawn'.*by='gain'"):
        RemoteOffloading(redrawn)
    observation = begun(redrawn)
    action, _ = RemoteOffloading(redrawn, by="gain", admission_limit=False).predict(observation)
    np.testing.assert_array_equal(
        action, 1 + observation.reshape(SCENARIO.n_devices, -1)[:, :3].argmax(axis=1)
    )


@TUNED
def test_learn_tunes_on_slots_of_its_own(policy: type[SlotPolicy]) -> None:
    env = single()
    model = policy(env, n_tuning_slots=10, seed=3)
    with pytest.raises(RuntimeError, match=r"must be tuned.*learn\(0\)"):
        model.predict(begun(env))
    assert model.learn(0) is model
    assert model.num_timesteps == 0
    slots = tuning_slots(SCENARIO, 10, 3)
    if isinstance(model, QuotaOffloading):
        assert model.size == baselines.best_quota(SCENARIO, slots)
    else:
        assert isinstance(model, PostedPrices)
        mean = baselines.mean_prices(SCENARIO, slots)
        part = baselines.best_discount(SCENARIO, slots, mean)
        np.testing.assert_array_equal(model.posted, part * mean)
        plain = PostedPrices(env, n_tuning_slots=10, seed=3, discount=1.0).learn(0)
        np.testing.assert_array_equal(plain.posted, mean)


def test_what_is_given_is_not_tuned() -> None:
    env = single()
    assert QuotaOffloading(env, quota=1).learn(0).size == 1
    assert PostedPrices(env, prices=[1e-5, 2e-5, 3e-5]).learn(0).posted == [1e-5, 2e-5, 3e-5]


@EVERY
def test_learn_acts_logs_and_counts(name: str, tmp_path: Path) -> None:
    policy, arguments, _ = POLICIES[name]
    env = VecMonitor(ENVS["make_sb3_vec_env"]())
    model = policy(env, **arguments)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(12, log_interval=3)
    assert model.num_timesteps == 12
    assert len(model.ep_info_buffer or ()) == 3
    assert "rollout/ep_rew_mean" in (tmp_path / "progress.csv").read_text()
    model.learn(6, reset_num_timesteps=False)
    assert model.num_timesteps == 18
    model.logger.close()


@EVERY
def test_the_eval_callback_measures_what_the_function_reaches(name: str, tmp_path: Path) -> None:
    policy, arguments, function = POLICIES[name]
    if function is None:
        pytest.skip("draws")
    evaluated, training = (DummyVecEnv([lambda: Monitor(single())]) for _ in "12")
    evaluated.seed(7)
    callback = EvalCallback(
        evaluated,
        n_eval_episodes=2,
        eval_freq=4,
        best_model_save_path=str(tmp_path),
        log_path=str(tmp_path),
        verbose=0,
    )
    model = policy(training, **arguments).learn(4, callback)
    returns, env = [], single()
    for episode in range(2):
        observation, _ = env.reset(seed=7) if episode == 0 else env.reset()
        total, truncated = 0.0, False
        while not truncated:
            action = function(slot_from_observation(SCENARIO, observation))
            observation, reward, _, truncated, _ = env.step(action)
            total += float(reward)
        returns.append(total)
    # Monitor rounds returns to six digits behind the point.
    assert callback.last_mean_reward == pytest.approx(np.mean(returns), abs=1e-6)
    best = policy.load(tmp_path / "best_model")
    probe = begun(single(), 1)
    np.testing.assert_array_equal(best.predict(probe)[0], model.predict(probe)[0])


@EVERY
def test_saved_and_loaded_a_policy_decides_the_same(name: str, tmp_path: Path) -> None:
    policy, arguments, _ = POLICIES[name]
    model = policy(single(), **arguments)
    model.learn(4, CheckpointCallback(2, str(tmp_path), name_prefix="rule"))
    model.save(tmp_path / "kept")
    buffer = io.BytesIO()
    model.save(buffer)
    observations = make_sb3_vec_env(SCENARIO, n_envs=3, seed=5).reset()
    expected, _ = model.predict(observations, deterministic=True)
    vectorised = ENVS["make_sb3_vec_env"]()
    for loaded in (
        policy.load(tmp_path / "kept"),
        policy.load(str(tmp_path / "kept.zip"), env=vectorised),
        policy.load(tmp_path / "rule_4_steps.zip", env=single()),
        policy.load(buffer),
    ):
        np.testing.assert_array_equal(loaded.predict(observations, deterministic=True)[0], expected)
        assert loaded.num_timesteps == 4
        assert loaded.seed == model.seed


@TUNED
def test_what_was_learned_is_saved(policy: type[SlotPolicy], tmp_path: Path) -> None:
    model = policy(single(), n_tuning_slots=10)
    model.save(tmp_path / "untuned")
    with pytest.raises(RuntimeError, match="must be tuned"):
        policy.load(tmp_path / "untuned").predict(begun(single()))
    model.learn(0).save(tmp_path / "tuned")
    loaded = policy.load(tmp_path / "tuned", env=single())
    for name in policy.learned:
        assert getattr(loaded, name) == getattr(model, name)
    loaded.learn(2, reset_num_timesteps=False)
    changed = policy.load(tmp_path / "tuned", n_tuning_slots=3)
    assert changed.n_tuning_slots == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [QuotaOffloading, PostedPrices])
def test_parameters_are_what_was_learned(policy: type[SlotPolicy], tmp_path: Path) -> None:
    env = gym.make(ENV_ID, scenario="paper-30x2")
    teacher = policy(env, n_tuning_slots=3).learn(0)  # type: ignore[call-arg]
    teacher.save(tmp_path / "teacher.zip")
    for given in (teacher.get_parameters(), tmp_path / "teacher", tmp_path / "teacher.zip"):
        pupil = policy(env)
        pupil.set_parameters(given)
        assert pupil.get_parameters() == teacher.get_parameters() != policy(env).get_parameters()
        for wrong in ({}, {"weights": 1}, {policy.learned[0]: [-1.0] * 3}, tmp_path / "other.zip"):
            LocalExecution(env).save(tmp_path / "other.zip")
            with pytest.raises(ValueError, match=r"must be|must have|not a|holds a|finite"):
                pupil.set_parameters(wrong)
            assert pupil.get_parameters() == teacher.get_parameters()
    LocalExecution(env).set_parameters({})


def test_an_argument_of_load_wins(tmp_path: Path) -> None:
    QuotaOffloading(single(), quota=1).save(tmp_path / "one")
    assert QuotaOffloading.load(tmp_path / "one").size == 1
    assert QuotaOffloading.load(tmp_path / "one", quota=2).size == 2


def test_evaluate_policy_and_every_face_of_the_env_agree() -> None:
    model = GreedyOffloading(single())
    means = []
    for env in (Monitor(single()), VecMonitor(ENVS["make_sb3_vec_env"]())):
        begun(env, 11)
        means.append(evaluate_policy(model, env, n_eval_episodes=3)[0])
    assert all(4.0 < mean < 40.0 for mean in means)


@pytest.mark.slow
def test_copies_in_processes_work_too() -> None:
    env = VecMonitor(SubprocVecEnv([single, single]))
    try:
        assert PostedPrices(env, n_tuning_slots=5).learn(8).num_timesteps == 8
    finally:
        env.close()


def test_functions_do_without_stable_baselines3() -> None:
    script = (
        "import sys; sys.modules['stable_baselines3'] = None; sys.modules['pymoo'] = None\n"
        "import baselines\n"
        "from mec_gym import Scenario, Slot\n"
        "print(baselines.greedy(Scenario(n_devices=1, n_servers=1), Slot([[1e-6]], 8e5, 1e9)))\n"
        "try:\n    baselines.GreedyOffloading\n"
        "except Exception as error:\n    print(error)\n"
        "try:\n    baselines.particle_swarm(Scenario(n_devices=1, n_servers=1), "
        "Slot([[1e-6]], 8e5, 1e9))\n"
        "except Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mec-gym[sb3]" in done.stdout
    assert "mec-gym[search]" in done.stdout


@pytest.mark.parametrize("name", baselines.__all__)
def test_public_names_are_documented_with_examples(name: str) -> None:
    assert ">>>" in (getattr(baselines, name).__doc__ or ""), f"{name} has no example"


def test_the_snippets_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "algorithms" / "rules.md"
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    for snippet in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        exec(compile(snippet, "rules.md", "exec"), names)
    assert names["decision"].shape == (30,)
    assert names["mean"] > 100 * 1.0, "better than doing nothing in a hundred slots"
