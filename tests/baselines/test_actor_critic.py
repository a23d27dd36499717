"""The actor-critic learns, whatever the env and its rewards, and lives with SB3's tools."""

from __future__ import annotations

import csv
import io
import json
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

import torch
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

from baselines import ActorCritic
from mec_gym import ENV_ID, Scenario, ScoreAction, Uniform
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

SMALL = Scenario(n_devices=4, n_servers=2, name="small")
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=[0.5, 1.5, 1.5, 0.5], name="forced")
"""The first and the last device cannot execute locally."""


def single(scenario: Any = SMALL, **changes: Any) -> gym.Env[Any, Any]:
    return gym.make(ENV_ID, scenario=scenario, max_episode_steps=5, **changes)


def batch(n_envs: int = 4, scenario: Any = SMALL, **changes: Any) -> Any:
    return make_sb3_vec_env(scenario, n_envs=n_envs, max_episode_steps=5, **changes)


def make_model(env: Any = None, **changes: Any) -> ActorCritic:
    settings = {"batch_size": 8, "seed": 0, "device": "cpu"} | changes
    return ActorCritic("MlpPolicy", batch() if env is None else env, **settings)


def weights_of(model: ActorCritic) -> dict[str, Any]:
    return dict(model.policy.state_dict())


def assert_same_weights(one: ActorCritic, other: ActorCritic) -> None:
    mine, theirs = weights_of(one), weights_of(other)
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name


def mean_nrr(model: Any, scenario: Any, kind: str = "flat") -> float:
    slots = slot_set(Scenario.resolve(scenario), own_layout=True, n_layouts=10, seed=77)
    return float(nrr(slots, decide_with(model, kind)).mean())


# -- it learns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
def test_it_learns_in_the_papers_3000_slots_under_every_reward(reward: str) -> None:
    env = make_sb3_vec_env("paper-30x2", n_envs=16, reward=reward)
    model = ActorCritic(env=env, seed=1, device="cpu")
    before = mean_nrr(model, "paper-30x2")
    after = mean_nrr(model.learn(3_000), "paper-30x2")
    # Random offloading reaches 0.901 there: so does an actor before it has learned.
    assert before < 0.94
    assert after > 0.97


@pytest.mark.slow
def test_it_learns_200_devices_in_the_papers_5000_slots() -> None:
    env = make_sb3_vec_env("paper-200x10", n_envs=16)
    model = ActorCritic(env=env, seed=1, device="cpu")
    assert mean_nrr(model, "paper-200x10") < 0.8
    assert mean_nrr(model.learn(5_000), "paper-200x10") > 0.95


def test_it_learns_which_device_is_where() -> None:
    # Each device has its own server next to it and another out of reach.
    scenario = Scenario(
        n_devices=2,
        n_servers=2,
        server_positions=[[0, 0], [50, 50]],
        device_positions=[[1, 0], [49, 50]],
        noise_w=1e-6,
        server_frequency_hz=2e10,
        name="two corners",
    )
    model = ActorCritic(env=batch(8, scenario), batch_size=32, seed=0, device="cpu").learn(2_000)
    actions, _ = model.predict(batch(50, scenario, seed=3).reset(), deterministic=True)
    assert (actions == [1, 2]).mean() > 0.95


def test_rewards_of_another_size_train_alike() -> None:
    # "relative" is "reciprocal" times a constant, up to the rounding of single precision.
    rounded = [
        weights_of(make_model(batch(reward=reward)).learn(80))["action_net.weight"]
        for reward in ("reciprocal", "relative")
    ]
    torch.testing.assert_close(*rounded, rtol=1e-3, atol=1e-6)
    before = weights_of(make_model())["action_net.weight"]
    assert (rounded[0] - before).abs().max() > 1e-3, "something was learned"


def test_rewards_that_are_all_alike_teach_nothing_and_break_nothing() -> None:
    class Same(gym.RewardWrapper[Any, Any]):
        def reward(self, reward: Any) -> float:
            return 3.0

    model = make_model(Same(single())).learn(64)
    assert all(torch.isfinite(weight).all() for weight in weights_of(model).values())


def test_the_critic_learns_the_mean_reward() -> None:
    env = batch(8, "paper-30x2", reward="relative")
    model = ActorCritic(env=env, seed=0, device="cpu", batch_size=32)
    for part in (model.policy.action_net, model.policy.mlp_extractor.policy_net):
        part.requires_grad_(False)  # an actor that improves would move the target
    model.learn(2_000)
    observations = batch(200, "paper-30x2", seed=5, reward="relative")
    with torch.no_grad():
        actions, values, _ = model.policy(torch.as_tensor(observations.reset()))
    rewards = observations.step(actions.numpy())[1]
    assert values.mean().item() == pytest.approx(rewards.mean(), abs=0.3 * float(rewards.std()))


def test_a_discount_is_bootstrapped_over_the_time_limit() -> None:
    model = make_model(batch(4, reward="relative"), gamma=0.5, batch_size=40, ent_coef=0.01)
    model.learn(2_000)
    # Two episodes of 5 slots for each copy; their last rewards hold what would have followed.
    rewards = model.rollout_buffer.rewards.reshape(2, 5, 4)
    plain, last = rewards[:, :4].mean(), rewards[:, 4].mean()
    values = model.policy.predict_values(torch.as_tensor(batch(9).reset()))
    assert last - plain == pytest.approx(0.5 * values.mean().item(), rel=0.2)
    assert values.mean().item() > 1.3 * plain, "more than one slot's reward"


def test_equal_seeds_train_equally() -> None:
    models = [make_model(seed=seed).learn(40) for seed in (3, 3, 4)]
    assert_same_weights(*models[:2])
    assert (
        weights_of(models[0])["action_net.weight"] != weights_of(models[2])["action_net.weight"]
    ).any()


# -- envs -----------------------------------------------------------------------------------------

ENVS: dict[str, tuple[Callable[[], Any], int]] = {
    "gym.Env": (single, 1),
    "Monitor": (lambda: Monitor(single()), 1),
    "gymnasium VectorEnv": (
        lambda: gym.make_vec(ENV_ID, num_envs=3, scenario=SMALL, max_episode_steps=5),
        3,
    ),
    "DummyVecEnv": (lambda: DummyVecEnv([lambda: Monitor(single())] * 3), 3),
    "make_sb3_vec_env": (lambda: VecMonitor(batch(3)), 3),
    "VecNormalize": (lambda: VecNormalize(VecMonitor(batch(3))), 3),
    "flattened": (lambda: gym.wrappers.FlattenObservation(single()), 1),
}


@pytest.mark.parametrize("name", list(ENVS))
def test_every_kind_of_env_is_taken(name: str) -> None:
    make, copies = ENVS[name]
    model = make_model(make(), batch_size=6)
    assert model.n_envs == copies
    assert model.n_steps * copies == 6
    model.learn(12)
    assert model.num_timesteps == 12
    assert model._n_updates == 2
    assert len(model.ep_info_buffer or ()) == copies * (12 // copies // 5)
    model.learn(6, reset_num_timesteps=False)
    assert model.num_timesteps == 18
    mean, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=2, warn=False)
    assert np.isfinite(mean)


@pytest.mark.slow
def test_worker_processes_are_taken() -> None:
    env = SubprocVecEnv([single] * 2)
    try:
        assert make_model(env).learn(16).num_timesteps == 16
    finally:
        env.close()


def test_flat_observations_are_the_same_to_it() -> None:
    models = [make_model(batch(observation=kind)).learn(40) for kind in ("db", "flat")]
    assert_same_weights(*models)
    assert make_model(batch(observation="raw")).learn(16).num_timesteps == 16


def test_predict_answers_one_observation_or_many() -> None:
    model = make_model().learn(16)
    observations = batch(6, seed=1).reset()
    many, state = model.predict(observations, deterministic=True)
    assert many.shape == (6, 4)
    assert state is None
    for one, answer in zip(observations, many, strict=True):
        np.testing.assert_array_equal(model.predict(one, deterministic=True)[0], answer)
        assert answer in model.action_space
    draws = [model.predict(observations)[0] for _ in range(5)]
    assert any((draw != draws[0]).any() for draw in draws)


def test_devices_that_cannot_execute_locally_never_choose_to(tmp_path: Path) -> None:
    model = make_model(batch(scenario=FORCED)).learn(80)  # the env refuses the choice
    model.save(tmp_path / "model")
    observations = batch(100, FORCED, seed=1).reset()
    for one in (model, ActorCritic.load(tmp_path / "model", device="cpu")):
        actions, _ = one.predict(observations)
        assert (actions[:, [0, 3]] > 0).all()
        assert (actions[:, [1, 2]] == 0).any()


def test_another_env_brings_its_own_legal_choices(tmp_path: Path) -> None:
    model = make_model(batch(scenario=SMALL))
    model.save(tmp_path / "model")
    observations = batch(100, FORCED, seed=1).reset()
    assert (model.predict(observations)[0][:, 0] == 0).any()
    model.set_env(batch(scenario=FORCED))
    for one in (model, ActorCritic.load(tmp_path / "model", batch(scenario=FORCED), device="cpu")):
        assert (one.predict(observations)[0][:, 0] > 0).all()
    model.save(tmp_path / "forced")
    again = ActorCritic.load(tmp_path / "forced", device="cpu")
    assert (again.predict(observations)[0][:, 0] > 0).all()
    model.set_env(batch(scenario=SMALL))
    assert (model.predict(observations)[0][:, 0] == 0).any()


# -- files ----------------------------------------------------------------------------------------


def test_a_file_keeps_all_that_was_learned(tmp_path: Path) -> None:
    model = make_model(learning_rate=0.01, ent_coef=0.02, gamma=0.1).learn(40)
    model.save(tmp_path / "model")
    buffer = io.BytesIO()
    model.save(buffer)
    for source in (tmp_path / "model", str(tmp_path / "model.zip"), buffer):
        again = ActorCritic.load(source, device="cpu")
        assert_same_weights(again, model)
        assert again.num_timesteps == 40
        for name in ("batch_size", "learning_rate", "ent_coef", "gamma", "n_steps"):
            assert getattr(again, name) == getattr(model, name)
        observations = batch(9, seed=1).reset()
        np.testing.assert_array_equal(
            again.predict(observations, deterministic=True)[0],
            model.predict(observations, deterministic=True)[0],
        )


def test_a_loaded_model_goes_on_as_the_saved_one_would(tmp_path: Path) -> None:
    model = make_model().learn(40)
    model.save(tmp_path / "model")
    again = ActorCritic.load(tmp_path / "model", env=batch(), device="cpu")
    model.set_env(batch())
    for one in (model, again):
        one.set_random_seed(9)
        one.learn(24, reset_num_timesteps=False)
        assert one.num_timesteps == 64
    assert_same_weights(again, model)


def test_a_file_is_trained_on_any_number_of_copies(tmp_path: Path) -> None:
    make_model(batch(4)).learn(16).save(tmp_path / "model")
    for env, copies in ((single(), 1), (batch(2), 2), (ENVS["gymnasium VectorEnv"][0](), 3)):
        model = ActorCritic.load(tmp_path / "model", env=env, device="cpu", learning_rate=1e-4)
        assert model.n_envs == copies
        assert model.learn(9, reset_num_timesteps=False).num_timesteps >= 25
        assert model.learning_rate == 1e-4


def test_parameters_can_be_taken_and_given() -> None:
    teacher, pupil = make_model(seed=1).learn(24), make_model(seed=2)
    pupil.set_parameters(teacher.get_parameters())
    assert_same_weights(pupil, teacher)


# -- callbacks and loggers ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_callbacks_and_the_progress_bar(tmp_path: Path) -> None:
    evaluated = EvalCallback(
        Monitor(single()),
        n_eval_episodes=2,
        eval_freq=4,
        best_model_save_path=str(tmp_path),
        log_path=str(tmp_path),
        verbose=0,
    )
    kept = CheckpointCallback(save_freq=5, save_path=str(tmp_path), name_prefix="ac")
    for package in ("rich", "tqdm"):
        pytest.importorskip(package)
    make_model(DummyVecEnv([single] * 2)).learn(40, [evaluated, kept], progress_bar=True)
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [8, 16, 24, 32, 40]
    assert ActorCritic.load(tmp_path / "ac_20_steps", device="cpu").num_timesteps == 20
    assert ActorCritic.load(tmp_path / "best_model", device="cpu").num_timesteps in range(8, 41)


def test_a_callback_can_stop_training() -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < 12

    assert make_model().learn(100, Stop()).num_timesteps == 12


TAGS = {
    "mec/latency_s",
    "mec/energy_j",
    "mec/objective",
    "train/entropy",
    "train/explained_variance",
    "train/learning_rate",
    "train/policy_loss",
    "train/value_loss",
    "rollout/ep_rew_mean",
    "rollout/ep_len_mean",
    "time/fps",
}


@pytest.mark.parametrize("optimum", [False, True])
def test_the_log_holds_the_figures_of_info(optimum: bool, tmp_path: Path) -> None:
    figures: list[dict[str, float]] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            figures.extend(self.locals["infos"])
            return True

    model = make_model(VecMonitor(batch(2, optimum=optimum)))
    model.set_logger(configure(str(tmp_path), ["csv", "json", "tensorboard"]))
    model.learn(64, log_interval=2, callback=Watch())
    model.logger.close()
    lines = [json.loads(line) for line in (tmp_path / "progress.json").read_text().splitlines()]
    rows = list(csv.DictReader((tmp_path / "progress.csv").read_text().splitlines()))
    assert len(lines) == len(rows) == 4
    assert [line["time/total_timesteps"] for line in lines] == [16, 32, 48, 64]
    assert set(lines[-1]) >= TAGS
    assert ("mec/nrr" in lines[-1]) == optimum
    for name in ["latency_s", "energy_j", "objective"] + ["nrr"] * optimum:
        wanted = np.reshape([info[name] for info in figures], (4, 16)).mean(1)
        np.testing.assert_allclose([line[f"mec/{name}"] for line in lines], wanted, rtol=1e-6)
    assert 0 < lines[-1]["train/entropy"] <= np.log(3) + 1e-6


def test_tensorboard_and_a_silent_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_model(tensorboard_log=str(tmp_path)).learn(16, log_interval=1)
    assert list((tmp_path / "ActorCritic_1").glob("events.*"))
    make_model().learn(16, log_interval=None)
    assert capsys.readouterr().out == ""
    make_model(verbose=1).learn(16, log_interval=1)
    assert "objective" in capsys.readouterr().out


# -- refusals -------------------------------------------------------------------------------------


def refusal(error: type[Exception], words: str) -> Any:
    return pytest.raises(error, match=words)


def test_envs_of_other_kinds_are_refused() -> None:
    for env in (ScoreAction(single()), batch(scores=True)):
        with refusal(
            TypeError, r"env must take assignments, MultiDiscrete\(\[3\] \* 4\).*Box.*Lea"
        ):
            make_model(env)
    with refusal(TypeError, "env must be a MultiMEC env.*make_sb3_vec_env"):
        make_model(gym.make("CartPole-v1"))
    with refusal(TypeError, "ActorCritic needs an env"):
        ActorCritic()
    mixed = DummyVecEnv([lambda: single(SMALL), lambda: single(SMALL.replace(noise_w=1e-6))])
    with refusal(ValueError, "copy 1 differs from copy 0"):
        make_model(mixed)


OTHERS = {
    "another N": ({"n_devices": 5}, r"N=4 devices, M=2 servers.*has N=5, M=2.*new model"),
    "another M": ({"n_servers": 3}, r"N=4 devices, M=2 servers.*has N=4, M=3.*new model"),
    "tasks": ({"cycles": Uniform(5e8, 1.5e9)}, r"observations of shape \(8,\).*\(12,\)"),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_envs_of_other_sizes_are_refused(name: str, tmp_path: Path) -> None:
    changes, words = OTHERS[name]
    other = batch(scenario=SMALL.replace(**changes))
    model = make_model()
    model.save(tmp_path / "model")
    with refusal(ValueError, words):
        model.set_env(other)
    with refusal(ValueError, words):
        ActorCritic.load(tmp_path / "model", env=other)
    with pytest.raises(ValueError, match=r"shape"):
        model.predict(np.zeros((5, 7), dtype=np.float32))
    assert model.learn(8).num_timesteps == 8  # goes on in its own


def test_scores_and_other_envs_are_refused_later_too(tmp_path: Path) -> None:
    model = make_model()
    model.save(tmp_path / "model")
    for env, words in (
        (batch(scores=True), "env must take assignments"),
        (gym.make("CartPole-v1"), "env must be a MultiMEC env"),
    ):
        with refusal(TypeError, words):
            model.set_env(env)
        with refusal(TypeError, words):
            ActorCritic.load(tmp_path / "model", env=env)


def test_another_kind_of_policy_is_refused() -> None:
    with refusal(TypeError, "policy must be .*OffloadingActorCriticPolicy"):
        ActorCritic(ActorCriticPolicy, batch())


def test_without_stable_baselines3_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "import baselines, gymnasium\n"
        "try:\n    baselines.ActorCritic\n"
        "except gymnasium.error.DependencyNotInstalled as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "mec-gym[sb3]" in done.stdout


def test_the_snippets_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "algorithms" / "actor_critic.md"
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    for snippet in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        exec(compile(snippet, "actor_critic.md", "exec"), names)
    assert names["actions"].shape == (16, 30)
