"""MADDPG: who sees what, what a gradient step does, games it must win, SB3's tools around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium.spaces import Box
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from baselines.learners import MADDPG, learner
from baselines.learners.maddpg import AgentNoise, bytes_of_a_slot
from baselines.learners.maddpg_networks import CentralCritics, clip_each
from examples.cooperative_games import Regulator, TeamGame
from mec_bench.registry import changes
from mec_gym import ENV_ID, Scenario, ScoreAction, vote
from mec_gym.envs.sb3 import make_sb3_vec_env

SMALL = Scenario(
    n_devices=6,
    n_servers=3,
    noise_w=1e-6,
    max_power_w=[0.5] + [1.5] * 5,  # the first device cannot execute locally
    name="small",
)
TASKS = SMALL.replace(data_bits={"uniform": [4e5, 1.2e6]}, cycles={"uniform": [5e8, 1.5e9]})
TINY: dict[str, Any] = {
    "learning_rate": 1e-3,  # does not fade, so that each step moves
    "batch_size": 8,
    "learning_starts": 8,
    "buffer_size": 200,
    "device": "cpu",
    "policy_kwargs": {"net_arch": {"pi": [16, 8], "qf": [16, 8]}},
}


def single(scenario: Scenario = SMALL, **options: Any) -> gym.Env[Any, Any]:
    return gym.make(ENV_ID, scenario=scenario, max_episode_steps=5, **options)


def native(n_envs: int = 2, **options: Any) -> Any:
    return make_sb3_vec_env(SMALL, n_envs=n_envs, max_episode_steps=5, **options)


def made(env: Any = None, **options: Any) -> MADDPG:
    return MADDPG(env=single() if env is None else env, **{"seed": 0, **TINY, **options})


def weights(model: MADDPG) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.policy.state_dict().items()}


def same(one: MADDPG, other: MADDPG) -> bool:
    mine, theirs = weights(one), weights(other)
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


def shaken(model: MADDPG) -> MADDPG:
    """Answers that differ: an untrained last layer is all but zero."""
    with torch.no_grad():
        for weight in model.policy.parameters():
            weight += 0.5 * torch.randn_like(weight)
    return model


# -- who sees what --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["db", "flat"])
@pytest.mark.parametrize("scenario", [SMALL, TASKS], ids=["equal", "tasks"])
def test_an_agent_sees_its_own_servers_gains_and_the_tasks(scenario: Scenario, kind: str) -> None:
    model = shaken(made(single(scenario, observation=kind)))
    devices, servers = scenario.n_devices, scenario.n_servers
    observation = model.get_env().reset()
    before, _ = model.policy.predict(observation)
    for server in range(servers):
        table = observation.reshape(1, devices, -1).copy()
        others = [column for column in range(servers) if column != server]
        table[:, :, others] += np.random.default_rng(0).normal(size=(1, devices, len(others)))
        after, _ = model.policy.predict(table.reshape(observation.shape))
        changed = (before != after).reshape(servers, devices).any(axis=1)
        assert changed.tolist() == [agent != server for agent in range(servers)]
    if scenario is TASKS:
        table = observation.reshape(1, devices, -1).copy()
        table[:, :, servers:] += 0.5
        after, _ = model.policy.predict(table.reshape(observation.shape))
        assert (before != after).reshape(servers, devices).any(axis=1).all()


def test_stacked_actors_are_the_networks_one_by_one() -> None:
    actor = shaken(made(single(TASKS))).actor
    observations = torch.randn(7, 6, 5)
    joint = actor(observations).reshape(7, 3, 6)
    stacks = [part for part in actor.network if hasattr(part, "weight")]
    for agent in range(3):
        hidden = torch.cat([observations[:, :, column] for column in (agent, 3, 4)], dim=1)
        for place, layer in enumerate(stacks):
            hidden = hidden @ layer.weight[agent] + layer.bias[agent]
            if place < len(stacks) - 1:
                norm = actor.network[3 * place + 1]
                hidden = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:])
                hidden = torch.relu(hidden * norm.scale[agent] + norm.offset[agent])
        # Sums of some dozen products in another order.
        torch.testing.assert_close(joint[:, agent], torch.tanh(hidden), atol=1e-5, rtol=1e-4)


def test_untrained_scores_lie_in_the_middle() -> None:
    scores, _ = made().policy.predict(single().reset(seed=0)[0])
    assert np.abs(scores - 0.5).max() < 0.05


# -- critics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_critics", [1, 3])
def test_substitution_is_the_critic_on_the_joint_action_with_one_agents_part_replaced(
    n_critics: int,
) -> None:
    torch.manual_seed(0)
    critics = CentralCritics(5, 3, 2, [16, 8], n_critics=n_critics, layer_norm=True)
    observations, actions, own = torch.randn(7, 5), torch.randn(7, 6), torch.randn(7, 6)
    found = critics.substituted(observations, actions, own)
    for agent in range(3):
        joint = actions.clone()
        joint[:, 2 * agent : 2 * agent + 2] = own[:, 2 * agent : 2 * agent + 2]
        wanted = critics(observations, joint)[agent if n_critics > 1 else 0]
        torch.testing.assert_close(found[agent], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("others", ["replay", "policy"])
@pytest.mark.parametrize("critics", ["shared", "per-agent"])
def test_an_actors_gradient_is_that_of_its_own_value(critics: str, others: str) -> None:
    model = shaken(made(critics=critics, others=others, logit_penalty=0.0)).learn(10)
    batch = model.replay_buffer.sample(8)
    values = model._values_of_actors(batch, model.actor(batch.observations))
    got = torch.autograd.grad(values.mean(1).sum(), list(model.actor.parameters()))
    for agent in range(3):
        now = model.actor(batch.observations)
        joint = (batch.actions if others == "replay" else now.detach()).clone()
        own = slice(6 * agent, 6 * agent + 6)
        joint[:, own] = now[:, own]
        row = agent if critics == "per-agent" else 0
        value = model.critic(batch.observations, joint)[row].mean()
        wanted = torch.autograd.grad(value, list(model.actor.parameters()))
        for mine, theirs in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine[agent], theirs[agent], atol=1e-5, rtol=1e-3)


def test_gradients_are_clipped_agent_by_agent() -> None:
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.zeros(2, 2, 1))
    layer.bias = torch.nn.Parameter(torch.zeros(2, 1, 1))
    layer.weight.grad = torch.tensor([[[3.0], [0.0]], [[0.1], [0.0]]])
    layer.bias.grad = torch.tensor([[[4.0]], [[0.1]]])
    assert clip_each(layer, 1.0).tolist() == pytest.approx([5.0, 0.02**0.5])
    np.testing.assert_allclose(layer.weight.grad[:, 0, 0], [0.6, 0.1], rtol=1e-6)
    np.testing.assert_allclose(layer.bias.grad[:, 0, 0], [0.8, 0.1], rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_targets_are_the_bellman_equation_in_the_critics_units(gamma: float) -> None:
    model = shaken(made(DummyVecEnv([TeamGame]), views=TeamGame.VIEWS, gamma=gamma)).learn(40)
    assert model.value_scale != 1.0
    batch = model.replay_buffer.sample(8)
    batch = batch._replace(dones=torch.arange(8.0)[:, None] % 2)
    targets = model._targets(batch) * model.value_scale + model.value_shift
    ahead = model.critic_target(
        batch.next_observations, model.actor_target(batch.next_observations)
    )[0]
    ahead = ahead * model.value_scale + model.value_shift
    wanted = batch.rewards[:, 0] + gamma * (1 - batch.dones[:, 0]) * ahead
    torch.testing.assert_close(targets[0], wanted, atol=1e-5, rtol=1e-4)


def test_targets_follow_by_tau() -> None:
    model = made(tau=0.25).learn(8)
    before = weights(model)
    model.train(1, 8)
    after = weights(model)
    for part in ("actor", "critic"):
        for name in [name for name in after if name.startswith(f"{part}.")]:
            target = name.replace(part, f"{part}_target", 1)
            mixed = 0.75 * before[target] + 0.25 * after[name]
            np.testing.assert_allclose(after[target], mixed, atol=1e-7)
            assert not np.array_equal(before[name], after[name])


def test_the_unit_of_the_reward_does_not_matter() -> None:
    models = []
    for unit in (1.0, 2.0**-10):  # a power of two: no rounding in between
        env = DummyVecEnv([lambda unit=unit: TeamGame(unit)])
        models.append(made(env, views=TeamGame.VIEWS).learn(40))
    assert models[0].value_scale == pytest.approx(1024 * models[1].value_scale)
    for mine, theirs in zip(*(weights(one).values() for one in models), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_noise_has_the_deviations_it_names() -> None:
    np.random.seed(0)  # noqa: NPY002
    noise = AgentNoise(10, 20, own=0.3, level=0.4)
    drawn = np.stack([noise() for _ in range(4_000)])
    # Relative errors of deviations from 4,000 draws: about 0.01.
    assert drawn.std() == pytest.approx(0.5, rel=0.05)
    assert drawn.mean(axis=1).std() == pytest.approx(0.4, rel=0.05)
    assert (drawn - drawn.mean(axis=1, keepdims=True)).std() == pytest.approx(0.3, rel=0.05)


def test_without_noise_exploration_is_stable_baselines() -> None:
    model = made(noise=0.0, level_noise=0.0, learning_starts=100)
    assert model.action_noise is None
    stored = model.learn(30).replay_buffer.actions[:30, 0]
    assert stored.min() < -0.9
    assert stored.max() > 0.9
    given = NormalActionNoise(np.zeros(18), np.full(18, 0.1))
    assert made(action_noise=given).action_noise is given


def test_noise_given_to_load_takes_the_place_of_the_file_s(tmp_path: Path) -> None:
    noise = NormalActionNoise(np.zeros(18), np.full(18, 0.1))
    made().save(tmp_path / "own")
    made(action_noise=noise).save(tmp_path / "given")
    for name in ("own", "given"):
        assert MADDPG.load(tmp_path / name, action_noise=noise).action_noise is noise
        assert MADDPG.load(tmp_path / name, level_noise=0.9).action_noise.level == 0.9
    assert isinstance(MADDPG.load(tmp_path / "given").action_noise, NormalActionNoise)


@pytest.mark.parametrize(("written", "left"), [("learning_rate=0.001", 0.001), (None, 0.0)])
def test_a_plain_learning_rate_is_held_and_the_default_fades(
    written: str | None, left: float
) -> None:
    given = {} if written is None else changes([written])
    options = {name: value for name, value in TINY.items() if name != "learning_rate"} | given
    model = MADDPG(env=single(), seed=0, **options).learn(20)
    assert model.critic.optimizer.param_groups[0]["lr"] == pytest.approx(left)
    assert model.actor.optimizer.param_groups[0]["lr"] == pytest.approx(left * model.actor_rate)


# -- what it must learn ---------------------------------------------------------------------------


GAME: dict[str, Any] = {
    "policy_kwargs": {"net_arch": {"pi": [32, 32], "qf": [64, 64]}},
    "learning_rate": 3e-3,
    "level_noise": 0.0,
    "device": "cpu",
}


def test_the_games_optima_are_optima() -> None:
    rules = TeamGame.best_rules()
    assert TeamGame.share_of_optimum(lambda s: s * rules) == pytest.approx(1.0)
    assert TeamGame.share_of_optimum(lambda s: s * TeamGame.selfish_rules()) < 0.75
    best = Regulator.best_rule()
    rng = np.random.default_rng(0)
    for _ in range(10):
        other = rules + 0.1 * rng.normal(size=3)
        assert TeamGame.share_of_optimum(lambda s, other=other: s * other) < 1.0
        rule = best + 0.1 * rng.normal(size=best.shape)
        assert Regulator.share_of_optimum(lambda x, rule=rule: x @ rule.T) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("critics", ["shared", "per-agent"])
def test_a_team_learns_the_best_rules(critics: str) -> None:
    env = DummyVecEnv([TeamGame] * 4)
    model = MADDPG(env=env, views=TeamGame.VIEWS, critics=critics, seed=0, **GAME)
    before = TeamGame.share_of_optimum(lambda s: model.predict(s)[0])
    model.learn(8_000, log_interval=None)
    after = TeamGame.share_of_optimum(lambda s: model.predict(s)[0])
    assert abs(before) < 0.1
    # Minding one's own business would reach 0.71.
    assert after > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_team_learns_to_look_ahead(seed: int) -> None:
    env = DummyVecEnv([Regulator] * 4)
    # First see how the system moves, then let targets follow fast: acting on values that are not
    # there yet drives it to its bounds, where actors learn nothing more.
    patient = {"learning_starts": 1_000, "tau": 0.05}
    model = MADDPG(
        env=env, views=Regulator.VIEWS, gamma=Regulator.GAMMA, seed=seed, **patient, **GAME
    )
    model.learn(12_000, log_interval=None)
    assert Regulator.share_of_optimum(lambda x: model.predict(x)[0]) > 0.8


# -- Stable-Baselines3's tools --------------------------------------------------------------------


ENVS: dict[str, Callable[[], Any]] = {
    "gym": single,
    "flat": lambda: single(observation="flat"),
    "tasks": lambda: single(TASKS),
    "monitored": lambda: Monitor(single()),
    "vector": lambda: gym.make_vec(ENV_ID, num_envs=2, scenario=SMALL, max_episode_steps=5),
    "native": native,
    "dummy": lambda: DummyVecEnv([single] * 2),
    "scores": lambda: ScoreAction(single()),
    "native scores": lambda: native(scores=True),
    "normalised": lambda: VecNormalize(native()),
    "game": lambda: DummyVecEnv([TeamGame] * 2),
}


@pytest.mark.parametrize("kind", list(ENVS))
def test_every_kind_of_env_is_trained_on(kind: str) -> None:
    model = made(ENVS[kind](), views=TeamGame.VIEWS if kind == "game" else None)
    before = weights(model)
    model.learn(24)
    assert model.num_timesteps == 24
    moved = {n.split(".")[0] for n, v in weights(model).items() if not np.array_equal(v, before[n])}
    assert moved == {"actor", "actor_target", "critic", "critic_target"}
    action, state = model.predict(model.get_env().reset(), deterministic=True)
    assert state is None
    assert all(one in model.get_env().action_space for one in action)


def test_predict_votes_where_the_env_takes_assignments() -> None:
    model = shaken(made())
    observation = single().reset(seed=3)[0]
    scores, _ = model.policy.predict(observation)
    wanted = vote(scores.reshape(3, 6), SMALL.can_execute_locally)
    np.testing.assert_array_equal(model.predict(observation)[0], wanted)
    assert wanted[0] > 0


@pytest.mark.parametrize("critics", ["shared", "per-agent"])
def test_a_model_is_saved_loaded_and_trained_on(critics: str, tmp_path: Path) -> None:
    model = made(native(), critics=critics, noise=0.2, gamma=0.5).learn(20)
    model.save(tmp_path / "model")
    observations = native(5, seed=1).reset()
    alone = MADDPG.load(tmp_path / "model", device="cpu")
    assert same(alone, model)
    np.testing.assert_array_equal(alone.predict(observations)[0], model.predict(observations)[0])
    for n_envs in (1, 3):
        again = MADDPG.load(tmp_path / "model", env=native(n_envs), device="cpu")
        assert (again.noise, again.critics, again.gamma) == (0.2, critics, 0.5)
        assert again.value_scale == model.value_scale
        again.learn(30, reset_num_timesteps=False)
        assert again.num_timesteps == 50
        assert not same(again, model)
    model.policy.save(str(tmp_path / "policy"))
    policy = type(model.policy).load(str(tmp_path / "policy"), device="cpu")
    mine, theirs = policy.predict(observations)[0], model.policy.predict(observations)[0]
    np.testing.assert_array_equal(mine, theirs)


def test_training_is_the_same_for_the_same_seed() -> None:
    assert same(made(native()).learn(24), made(native()).learn(24))
    assert not same(made(native()).learn(24), made(native(), seed=1).learn(24))


def test_another_env_of_the_same_sizes_may_take_its_place() -> None:
    model = made().learn(10)
    model.set_env(single(SMALL.replace(noise_w=1e-7)))
    model.learn(10, reset_num_timesteps=False)
    assert model.num_timesteps == 20


def test_callbacks_monitors_and_evaluation(tmp_path: Path) -> None:
    evaluate = EvalCallback(
        VecMonitor(native()), n_eval_episodes=2, eval_freq=5, best_model_save_path=str(tmp_path),
        verbose=0,
    )  # fmt: skip
    keep = CheckpointCallback(5, str(tmp_path), name_prefix="maddpg")
    model = made(VecMonitor(native())).learn(20, callback=[evaluate, keep])
    assert len(model.ep_info_buffer) == 4
    assert MADDPG.load(tmp_path / "best_model", device="cpu").num_timesteps in (10, 20)
    assert MADDPG.load(tmp_path / "maddpg_20_steps", device="cpu").num_timesteps == 20
    _, lengths = evaluate_policy(
        model, Monitor(single()), n_eval_episodes=2, return_episode_rewards=True
    )
    assert lengths == [5, 5]


TAGS = {
    "train/actor_loss",
    "train/actor_loss_mec_1",
    "train/actor_loss_mec_3",
    "train/actor_grad_norm",
    "train/critic_loss",
    "train/critic_grad_norm",
    "train/mean_q",
    "train/saturation",
    "train/noise",
    "train/level_noise",
    "train/learning_rate",
    "mec/latency_s",
    "mec/energy_j",
    "mec/objective",
    "mec/nrr",
    "rollout/ep_rew_mean",
}


def test_tensorboard_shows_training(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = made(Monitor(single(optimum=True)))
    model.set_logger(configure(str(tmp_path), ["tensorboard"]))
    model.learn(40, log_interval=2)
    model.logger.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) >= TAGS
    for tag in TAGS:
        values = [event.value for event in events.Scalars(tag)]
        assert np.isfinite(values).all()
    mean_q, reward = (events.Scalars(tag)[-1].value for tag in ("train/mean_q", "mec/objective"))
    # In the unit of the reward, 1 / objective, about which untrained critics begin.
    assert mean_q == pytest.approx(1 / reward, rel=0.3)


# -- refusals -------------------------------------------------------------------------------------


def test_gradients_that_are_not_finite_stop_training_and_spare_the_weights() -> None:
    model = made().learn(10)
    before = weights(model)
    model.replay_buffer.rewards[3] = np.nan
    with pytest.raises(FloatingPointError, match=r"critics is not finite at gradient step 3"):
        model.train(1, 64)
    assert all(np.array_equal(before[name], value) for name, value in weights(model).items())
    with torch.no_grad():
        model.actor.network[0].weight[1] = torch.inf
    model.replay_buffer.rewards[3] = 0.1
    with pytest.raises(FloatingPointError, match=r"actors \(of mec_2\)"):
        model.train(1, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"critics": "both"}, "critics must be one of 'shared', 'per-agent'; got 'both'"),
        ({"others": "none"}, "others must be one of 'replay', 'policy'; got 'none'"),
        ({"gamma": 1.0}, r"gamma must be a number in \[0, 1\); got 1.0"),
        ({"views": [[0, 1], [2]]}, r"equally many entries .* got lengths \[2, 1\]"),
        ({"views": [[0, 18]]}, "integers from 0 to 17, .* from 0 to 18"),
        ({"views": [[0]] * 4}, "share out the 18 actions of the env equally; got 4 agents"),
        ({"buffer_size": 10**12}, r"buffer_size=10+ needs .* GiB are free"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**options)


def test_other_envs_are_refused() -> None:
    with pytest.raises(TypeError, match="MADDPG needs an env"):
        MADDPG()
    with pytest.raises(TypeError, match="MultiMEC"):
        made(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="needs views="):
        made(DummyVecEnv([TeamGame]))
    with pytest.raises(ValueError, match=r'observation must be "db" or "flat"'):
        made(single(observation="raw"))


def test_another_number_of_copies_of_a_game_is_refused() -> None:
    model = made(DummyVecEnv([TeamGame]), views=TeamGame.VIEWS)
    with pytest.raises(ValueError, match="1 copies of the env; got 2"):
        model.set_env(DummyVecEnv([TeamGame] * 2))


def test_a_model_for_another_system_is_refused(tmp_path: Path) -> None:
    made().save(tmp_path / "model")
    other = single(SMALL.replace(n_devices=7, max_power_w=1.5))
    with pytest.raises(ValueError, match=r"N=6 devices, M=3 servers .* N=7"):
        MADDPG.load(tmp_path / "model", env=other)
    with pytest.raises(ValueError, match="N=7"):
        made().set_env(other)


def test_the_estimate_of_memory_is_the_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = made().replay_buffer
    arrays = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    needed = sum(getattr(buffer, name).nbytes for name in arrays)
    assert 200 * bytes_of_a_slot(Box(-1.0, 1.0, (6, 3)), Box(0.0, 1.0, (18,))) == needed
    monkeypatch.setattr(learner, "free_memory", lambda: float(needed))
    made()
    monkeypatch.setattr(learner, "free_memory", lambda: float(needed - 1))
    with pytest.raises(ValueError, match="buffer_size=200"):
        made()
