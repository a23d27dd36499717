"""DDPG: scores inside and assignments outside, exact files, refusals, and that it learns."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium.spaces import Box, MultiDiscrete
from gymnasium.wrappers import RescaleAction
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from baselines.learners import learner
from baselines.learners.ddpg import DDPG, SharedNoise, SlotReplay
from baselines.learners.voting import VoteCritic, VotingAlgorithm, soft_vote
from mec_gym import ENV_ID, Scenario, ScoreAction, VectorScoreAction, vote
from mec_gym.envs.sb3 import ScoreVecEnv, make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

SMALL = Scenario(n_devices=4, n_servers=2, name="small")
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=(0.5, 1.5, 1.5, 0.5), name="forced")
QUICK: dict[str, Any] = {
    "learning_starts": 8,
    "buffer_size": 64,
    "batch_size": 8,
    "policy_kwargs": {"net_arch": [16]},
    "seed": 0,
    "device": "cpu",
}


def make_env(scenario: Any = SMALL, steps: int = 5, **options: Any) -> Any:
    return gym.make(ENV_ID, scenario=scenario, max_episode_steps=steps, **options)


def native(n_envs: int = 2, scenario: Any = SMALL, **options: Any) -> Any:
    return make_sb3_vec_env(scenario, n_envs=n_envs, max_episode_steps=5, **options)


def make_model(env: Any = None, **settings: Any) -> DDPG:
    return DDPG(env=make_env() if env is None else env, **(QUICK | settings))


def observations_of(count: int, scenario: Any = SMALL) -> Any:
    return make_sb3_vec_env(scenario, n_envs=count, seed=9).reset()


def weights_of(model: DDPG) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.policy.state_dict().items()}


def same_weights(first: DDPG, second: DDPG) -> bool:
    ours, theirs = weights_of(first), weights_of(second)
    return all(np.array_equal(value, theirs[name]) for name, value in ours.items())


# -- kinds of env ---------------------------------------------------------------------------------


ENVS: dict[str, Any] = {
    "gym": make_env,
    "monitored": lambda: Monitor(make_env()),
    "vector": lambda: gym.make_vec(ENV_ID, num_envs=4, scenario=SMALL, max_episode_steps=5),
    "native 1": lambda: native(1),
    "native 4": lambda: native(4),
    "native monitored": lambda: VecMonitor(native(4)),
    "dummy 2": lambda: DummyVecEnv([make_env] * 2),
    "flat": lambda: make_env(observation="flat"),
}


@pytest.mark.parametrize("kind", ENVS)
def test_every_kind_of_env_is_trained_on_and_decided_for(kind: str) -> None:
    env = ENVS[kind]()
    model = make_model(env)
    before = weights_of(model)
    model.learn(64)
    assert model.num_timesteps == 64
    actor = "actor.mu.2.weight"
    assert not np.array_equal(before[actor], weights_of(model)[actor])
    # As many gradient steps for a slot, whatever the number of copies.
    assert model._n_updates == pytest.approx(64 / 4, abs=model.n_envs * 4)
    given = model.get_env()
    assert isinstance(given.action_space, MultiDiscrete)
    actions, state = model.predict(given.reset(), deterministic=True)
    assert state is None
    assert actions.dtype == np.int64
    assert all(action in given.action_space for action in actions)


@pytest.mark.parametrize(
    "env",
    [
        lambda: ScoreAction(make_env()),
        lambda: native(2, scores=True),
        lambda: ScoreVecEnv(native(2)),
        lambda: VectorScoreAction(
            gym.make_vec(ENV_ID, num_envs=2, scenario=SMALL, autoreset_mode="SameStep")
        ),
    ],
)
def test_an_env_of_scores_gets_scores(env: Any) -> None:
    model = make_model(env()).learn(24)
    assert not model.votes
    assert model.get_env() is model.env
    scores, _ = model.predict(observations_of(3))
    assert scores.shape == (3, 8)
    assert all(score in Box(0.0, 1.0, (8,), np.float32) for score in scores)


def test_both_faces_train_alike_and_predict_alike() -> None:
    plain = make_model(native(2)).learn(48)
    scored = make_model(native(2, scores=True)).learn(48)
    assert same_weights(plain, scored)
    observations = observations_of(5)
    decisions, scores = (model.predict(observations)[0] for model in (plain, scored))
    np.testing.assert_array_equal(decisions, vote(scores.reshape(5, 2, 4)))
    np.testing.assert_array_equal(plain.predict(observations[3])[0], decisions[3])


def test_equal_seeds_train_alike_and_others_do_not() -> None:
    first, second, other = (make_model(native(2), seed=seed).learn(48) for seed in (1, 1, 2))
    assert same_weights(first, second)
    assert not same_weights(first, other)


def test_devices_that_must_offload_do() -> None:
    model = make_model(make_env(FORCED), actor_rate=0.0).learn(16)
    with torch.no_grad():
        for parameter in model.actor.mu[-2].parameters():
            parameter.fill_(-5.0)  # all scores far below the threshold
    decisions, _ = model.predict(observations_of(6, FORCED))
    np.testing.assert_array_equal(decisions > 0, np.tile(~FORCED.can_execute_locally, (6, 1)))


# -- callbacks, monitors, loggers -----------------------------------------------------------------


def test_callbacks_evaluate_and_keep_models(tmp_path: Path) -> None:
    evaluate = EvalCallback(
        VecMonitor(native()),
        n_eval_episodes=2,
        eval_freq=8,
        best_model_save_path=str(tmp_path),
        log_path=str(tmp_path),
        verbose=0,
    )
    keep = CheckpointCallback(12, str(tmp_path), save_replay_buffer=True)
    model = make_model(VecMonitor(native())).learn(48, callback=[evaluate, keep])
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [16, 32, 48]
    assert DDPG.load(tmp_path / "best_model").num_timesteps in (16, 32, 48)
    assert same_weights(DDPG.load(tmp_path / "rl_model_48_steps"), model) is False  # of before
    model.load_replay_buffer(tmp_path / "rl_model_replay_buffer_48_steps.pkl")
    assert model.replay_buffer.size() == 23  # the callback came before the 24th was stored


def test_a_callback_stops_at_once() -> None:
    assert make_model().learn(100, callback=lambda *_: False).num_timesteps == 1


def test_evaluate_policy_takes_the_env_as_it_is() -> None:
    model = make_model().learn(16)
    for env in (Monitor(make_env()), VecMonitor(native(3))):
        rewards, lengths = evaluate_policy(
            model, env, n_eval_episodes=4, return_episode_rewards=True
        )
        assert lengths == [5] * 4
        assert min(rewards) > 0


def test_normalised_observations_are_learned_from_and_rewards_stay_as_they_are() -> None:
    env = VecNormalize(VecMonitor(native(2)), norm_reward=True)
    model = make_model(env).learn(48)
    assert model.get_vec_normalize_env() is env
    assert model.get_env() is env
    held = model.replay_buffer.rewards[:20]
    assert (held < 1.0).all()  # 1 / objective, not normalised
    seen = model.replay_buffer.sample(4, env).observations
    assert np.abs(seen.numpy()).max() <= env.clip_obs
    evaluation = VecNormalize(VecMonitor(native(2)), training=False)
    model.learn(16, callback=EvalCallback(evaluation, eval_freq=4, n_eval_episodes=1, verbose=0))
    np.testing.assert_array_equal(evaluation.obs_rms.mean, env.obs_rms.mean)


TAGS = {
    "mec/latency_s",
    "mec/energy_j",
    "mec/objective",
    "mec/nrr",
    "rollout/ep_rew_mean",
    "train/actor_loss",
    "train/critic_loss",
    "train/learning_rate",
    "train/saturated",
    "train/reward_mean",
    "train/reward_deviation",
}


def test_the_log_has_what_the_page_promises(tmp_path: Path) -> None:
    model = make_model(VecMonitor(native(2, optimum=True)))
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(80, log_interval=2)
    model.logger.close()
    rows = list(csv.DictReader((tmp_path / "progress.csv").read_text().splitlines()))
    assert set(rows[-1]) >= TAGS
    page = Path(__file__).resolve().parents[2] / "docs/algorithms/ddpg.md"
    assert all(f"`{tag}`" in page.read_text() for tag in TAGS)
    held = model.replay_buffer.rewards[: model.replay_buffer.size()]
    assert float(rows[-1]["train/reward_mean"]) == pytest.approx(held.mean(), rel=0.2)
    assert 0.0 < float(rows[-1]["mec/nrr"]) <= 1.0


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [make_env, lambda: native(3)])
def test_saved_and_loaded_decides_and_trains_alike(tmp_path: Path, env: Any) -> None:
    model = make_model(env()).learn(48)
    model.save(tmp_path / "model")
    for again in (DDPG.load(tmp_path / "model"), DDPG.load(tmp_path / "model.zip", env=env())):
        assert same_weights(again, model)
        observations = observations_of(7)
        for one in (observations, observations[0]):
            np.testing.assert_array_equal(again.predict(one)[0], model.predict(one)[0])
    again.learn(24, reset_num_timesteps=False)
    assert again.num_timesteps == 72


def test_a_model_goes_on_with_another_number_of_copies(tmp_path: Path) -> None:
    make_model(native(3)).learn(48).save(tmp_path / "model")
    for count in (1, 2):
        model = DDPG.load(tmp_path / "model", env=native(count)).learn(48)
        assert model.gradient_steps == model.n_envs == model.replay_buffer.n_envs == count
    assert DDPG.load(tmp_path / "model", env=native(1), gradient_steps=5).gradient_steps == 5


@pytest.mark.parametrize("changes", [{"gamma": 0.9}, {"n_steps": 3, "gamma": 0.9}])
def test_a_loaded_model_has_the_replay_buffer_of_a_new_one(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    make_model().save(tmp_path / "model")
    make_model(**changes).save(tmp_path / "changed")
    new = make_model(**changes).replay_buffer
    for file, given in (("model", changes), ("changed", {})):
        found = DDPG.load(tmp_path / file, make_env(), **given).replay_buffer
        assert type(found) is type(new)
        for name in ("keeps_next", "n_steps", "gamma"):
            assert getattr(found, name, None) == getattr(new, name, None)
    given = {"replay_buffer_kwargs": {"next_observations": True}}
    assert DDPG.load(tmp_path / "model", **given).replay_buffer.keeps_next


def test_noise_given_to_load_takes_the_place_of_the_file_s(tmp_path: Path) -> None:
    noise = NormalActionNoise(np.zeros(8), np.zeros(8))
    make_model().learn(8).save(tmp_path / "own")
    make_model(action_noise=noise).save(tmp_path / "given")
    for name in ("own", "given"):
        assert DDPG.load(tmp_path / name, make_env(), noise=0.9).action_noise.deviation == 0.9
        assert DDPG.load(tmp_path / name, noise=0.0).action_noise is None
        assert DDPG.load(tmp_path / name, action_noise=noise).action_noise is noise
    assert isinstance(DDPG.load(tmp_path / "own").action_noise, SharedNoise)
    assert isinstance(DDPG.load(tmp_path / "given").action_noise, NormalActionNoise)


def test_continuing_needs_no_new_episode() -> None:
    env = native(2)
    model = make_model(env).learn(16)
    resets, reset = [], env.reset
    env.reset = lambda: resets.append(1) or reset()
    assert model.learn(8, reset_num_timesteps=False).num_timesteps == 24
    assert resets == []
    assert model.learn(8).num_timesteps == 8
    assert resets == [1]


# -- refusals -------------------------------------------------------------------------------------


def test_another_action_space_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be a MultiMEC env.*gymnasium\.make"):
        make_model(gym.make("CartPole-v1"))
    squeezed = RescaleAction(ScoreAction(make_env()), np.float32(-1.0), np.float32(1.0))
    with pytest.raises(TypeError, match=r"must take assignments, or scores in Box\(0, 1, \(8,\)"):
        make_model(squeezed)
    with pytest.raises(TypeError, match=r"needs an env.*gymnasium\.make"):
        DDPG()


def test_models_for_other_sizes_are_refused(tmp_path: Path) -> None:
    model = make_model()
    model.save(tmp_path / "model")
    wrong = {
        "N=5": make_env(n_devices=5),
        "M=3": make_env(n_servers=3),
    }
    for named, env in wrong.items():
        for attempt in (model.set_env, lambda env: DDPG.load(tmp_path / "model", env=env)):
            told = rf"(?s)the model is for N=4.*the env has.*{named}"
            with pytest.raises(ValueError, match=told):
                attempt(env)
    with pytest.raises(ValueError, match=r"1 copies of the env; got 2.*load\(path, env\)"):
        model.set_env(native(2))


def test_a_buffer_beyond_memory_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner, "MEMINFO", tmp_path / "meminfo")
    make_model(buffer_size=1000)  # nobody knows
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable: 40 kB\n")
    with pytest.raises(ValueError, match=r"buffer_size=1000 needs .* GiB, 60 bytes a slot.*=341 "):
        make_model(buffer_size=1000)
    make_model(buffer_size=341)


def test_a_new_scenario_of_equal_sizes_is_voted_by_its_own_rules() -> None:
    model = make_model(make_env(FORCED))
    assert model.critic.may_stay.tolist() == FORCED.can_execute_locally.tolist()
    model.set_env(make_env(SMALL))
    assert model.scenario == SMALL
    assert model.critic.may_stay.all()


# -- networks, exploration, replay ----------------------------------------------------------------


def test_the_soft_vote_tends_to_the_vote() -> None:
    scores = torch.rand(50, 3, 6, generator=torch.manual_seed(0)) * 2 - 1
    may_stay = torch.tensor([True] * 5 + [False])
    hard = vote(((scores + 1) / 2).numpy(), may_stay.numpy())
    soft = soft_vote(scores, 1e-4, may_stay).round().numpy()
    wanted = (hard[:, None, :] == np.arange(1, 4)[:, None]).astype(np.float32)
    assert (soft != wanted).mean() < 0.001  # differences of less than the temperature
    sums = soft_vote(scores, 0.2, may_stay).sum(1)
    assert (sums[:, :5] < 1).all()
    np.testing.assert_allclose(sums[:, 5], 1.0, rtol=1e-6)


def test_the_critic_sees_where_devices_go_and_can_be_switched_off() -> None:
    model = make_model()
    assert isinstance(model.critic, VoteCritic)
    scores = torch.full((1, 8), 0.9, requires_grad=True)
    observation = torch.as_tensor(observations_of(1))
    model.critic(observation, scores)[0].sum().backward()
    assert (scores.grad != 0).all()
    torch.testing.assert_close(
        model.critic.q1_forward(observation, scores), model.critic(observation, scores)[0]
    )
    plain = make_model(policy_kwargs={"temperature": None, "net_arch": [16]}).learn(24)
    assert type(plain.critic) is ContinuousCritic


def test_a_policy_is_saved_and_loaded_alone(tmp_path: Path) -> None:
    model = make_model().learn(24)
    model.policy.save(str(tmp_path / "policy"))
    again = type(model.policy).load(str(tmp_path / "policy"), device="cpu")
    observations = observations_of(4)
    np.testing.assert_array_equal(
        again.predict(observations)[0], model.policy.predict(observations)[0]
    )


def test_noise_is_shared_as_it_says() -> None:
    np.random.seed(0)  # noqa: NPY002
    noise = SharedNoise(3, 40, 0.5)
    drawn = np.stack([noise() for _ in range(4000)]).reshape(-1, 3, 40)
    shared = {
        "itself": (drawn[:, 0, 0], drawn[:, 0, 0], 2.5),
        "server": (drawn[:, 0, 0], drawn[:, 0, 1], 1.25),
        "device": (drawn[:, 0, 0], drawn[:, 1, 0], 2.0),
        "all": (drawn[:, 0, 0], drawn[:, 1, 1], 1.0),
    }
    for name, (one, other, parts) in shared.items():
        # 4,000 products of normal numbers have a standard error of about 0.01.
        assert (one * other).mean() == pytest.approx(0.25 * parts, abs=0.05), name


def test_exploration_tries_everything_from_all_local_to_all_offloaded() -> None:
    model = DDPG(env=native(1, Scenario.preset("paper-200x10")), seed=0, device="cpu")
    model._last_obs = model.env.reset()
    tried = [model._sample_action(0, model.action_noise)[0] for _ in range(60)]
    shares = [(model.voted(scores) > 0).mean() for scores in tried]
    assert min(shares) < 0.4
    assert max(shares) > 0.9


def test_another_noise_can_be_given() -> None:
    noise = NormalActionNoise(np.zeros(8), np.zeros(8))
    model = make_model(action_noise=noise)
    model._last_obs = model.env.reset()
    scores, _ = model._sample_action(0, noise)
    np.testing.assert_allclose(scores, model.policy.predict(model._last_obs)[0], atol=1e-6)
    assert make_model(noise=0.0).action_noise is None


def filled(reward: Any, **options: Any) -> SlotReplay:
    seen, scores = Box(-1.0, 1.0, (4, 2)), Box(0.0, 1.0, (8,))
    replay = SlotReplay(40, seen, scores, device="cpu", n_envs=2, **options)
    rng = np.random.default_rng(0)
    for place in range(30):
        first, second = rng.uniform(-1, 1, (2, 2, 4, 2)).astype(np.float32)
        action, dones = rng.uniform(-1, 1, (2, 8)), np.array([place % 5 == 4, False])
        infos = [{"TimeLimit.truncated": place % 10 == 4}, {}]
        replay.add(first, second, action, reward(first.sum((1, 2))), dones, infos)
    return replay


def test_the_unit_of_rewards_does_not_matter() -> None:
    samples = []
    for unit, zero in ((1.0, 0.0), (1e-5, 3e-3)):
        np.random.seed(3)  # noqa: NPY002
        samples.append(filled(lambda value, a=unit, b=zero: a * value + b).sample(16).rewards)
    # 3e-3 in single precision has steps of 2e-10, 2e-5 of this deviation.
    np.testing.assert_allclose(*samples, atol=1e-3)
    assert filled(lambda value: 0 * value + 3.0).sample(5).rewards.abs().max() == 0


def test_the_buffer_is_the_librarys_in_less_memory() -> None:
    replay = filled(lambda value: value, next_observations=True)
    assert replay.full
    assert replay.size() == 20
    np.random.seed(1)  # noqa: NPY002
    sample = replay.sample(2000)
    mean, deviation = replay.reward_scale()
    sums = sample.observations.sum((1, 2))
    np.testing.assert_allclose(sample.rewards[:, 0] * deviation + mean, sums, atol=1e-5)
    assert not torch.equal(sample.observations, sample.next_observations)
    assert sample.dones.mean() == pytest.approx(0.05, abs=0.02)  # ends that are no time limits
    alone = filled(lambda value: value, next_observations=False)
    assert alone.next_observations is alone.observations
    arrays = (alone.observations, alone.actions, alone.rewards, alone.dones, alone.timeouts)
    assert sum(array.nbytes for array in arrays) == 40 * alone.bytes_of_a_slot
    with pytest.raises(ValueError, match="needs optimize_memory_usage=False"):
        filled(lambda value: value, optimize_memory_usage=True)


def test_next_observations_are_kept_where_the_discount_asks() -> None:
    assert not make_model().replay_buffer.keeps_next
    assert make_model(gamma=0.5).learn(32).replay_buffer.keeps_next


# -- learning -------------------------------------------------------------------------------------


def test_it_learns_what_one_server_can_take() -> None:
    scenario = Scenario.preset("paper-200x10", n_devices=12, n_servers=2)
    slots = slot_set(scenario, own_layout=True, n_layouts=4, slots_per_layout=5, seed=1)
    model = DDPG(
        env=make_sb3_vec_env(scenario, n_envs=8, seed=0),
        policy_kwargs={"net_arch": [32, 32]},
        seed=0,
        device="cpu",
    )
    before = nrr(slots, decide_with(model)).mean()
    model.learn(3000)
    after = nrr(slots, decide_with(model)).mean()
    # Of what is lost to the optimum before training, most is gone.
    assert 1 - after < 0.3 * (1 - before), (before, after)


def test_the_mixin_leaves_a_model_without_env_alone(tmp_path: Path) -> None:
    make_model().save(tmp_path / "model")
    model = DDPG.load(tmp_path / "model")
    assert isinstance(model, VotingAlgorithm)
    assert model.get_env() is None
    assert model.votes


def test_the_snippets_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).resolve().parents[2] / "docs/algorithms/ddpg.md").read_text()
    names: dict[str, Any] = {}
    for snippet in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(snippet, "ddpg.md", "exec"), names)
    assert names["model"].num_timesteps == 416  # 400 in rounds of 32
    assert "Estimate(mean=" in capsys.readouterr().out
