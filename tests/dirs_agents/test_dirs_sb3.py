"""DIRS among Stable-Baselines3's callbacks, monitors, loggers and vector envs."""

from __future__ import annotations

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor

from dirs_agents import DIRS
from mec_gym import ENV_ID
from mec_gym.envs.sb3 import make_sb3_vec_env
from tests.dirs_agents.dirs_helpers import (
    SMALL,
    TASKS,
    assert_same_weights,
    make_env,
    make_model,
    observations_of,
    shaken,
    weights_of,
)


def native(n_envs: int = 2, **options: Any) -> Any:
    return make_sb3_vec_env(SMALL, n_envs=n_envs, max_episode_steps=5, **options)


def vector(mode: str | None, n_envs: int = 4) -> Any:
    chosen = {} if mode is None else {"autoreset_mode": mode}
    return gym.make_vec(ENV_ID, num_envs=n_envs, scenario=SMALL, max_episode_steps=5, **chosen)


# -- kinds of env ---------------------------------------------------------------------------------


ENVS: dict[str, Any] = {
    "gym": make_env,
    "id": lambda: ENV_ID,
    "monitored": lambda: Monitor(make_env()),
    "vector default": lambda: vector(None),
    "vector same step": lambda: vector("SameStep"),
    "vector disabled": lambda: vector("Disabled"),
    "vector of one": lambda: vector(None, 1),
    "native 1": lambda: native(1),
    "native 4": lambda: native(4),
    "native monitored": lambda: VecMonitor(native(4)),
    "dummy 4": lambda: DummyVecEnv([make_env] * 4),
    "dummy monitored": lambda: DummyVecEnv([lambda: Monitor(make_env())] * 4),
}


@pytest.mark.parametrize("kind", [kind for kind in ENVS if kind != "id"])
def test_every_kind_of_env_is_trained_on(kind: str) -> None:
    model = make_model(env=ENVS[kind]())
    before = weights_of(model)
    model.learn(24)
    assert model.num_timesteps == 24
    assert any(not np.array_equal(before[name], value) for name, value in weights_of(model).items())
    # Episodes of five slots end within 24 slots, also in four copies.
    if kind not in ("native 1", "native 4", "dummy 4"):
        assert model.ep_info_buffer[-1]["l"] == 5
        assert len(model.ep_info_buffer) == model.n_envs * (24 // model.n_envs // 5)


def test_an_env_can_be_given_by_name() -> None:
    model = DIRS("PricePolicy", ENV_ID, demonstrations="none", generations=1, device="cpu", seed=0)
    assert model.scenario.n_devices == 200


@pytest.mark.slow
def test_envs_in_other_processes_are_trained_on() -> None:
    envs = SubprocVecEnv([make_env] * 4)
    try:
        model = make_model(env=envs).learn(24)
        wanted = make_model(env=DummyVecEnv([make_env] * 4)).learn(24)
        assert_same_weights(model, wanted)
    finally:
        envs.close()


@pytest.mark.parametrize("observation", ["db", "raw", "flat"])
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_every_policy_learns_from_every_observation(policy: str, observation: str) -> None:
    model = make_model(policy, make_env(TASKS, observation=observation)).learn(12)
    decision, _ = model.predict(observations_of(TASKS, 3, observation))
    assert decision.shape == (3, 6)


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "CentralPolicy"])
def test_db_and_flat_are_the_same_to_a_policy(policy: str) -> None:
    tables, vectors = (make_model(policy, make_env(TASKS, observation=k)) for k in ("db", "flat"))
    assert_same_weights(tables.learn(12), vectors.learn(12))


# -- callbacks ------------------------------------------------------------------------------------


def test_eval_callback_keeps_a_best_model_that_loads(tmp_path: Path) -> None:
    callback = EvalCallback(
        VecMonitor(native()),
        n_eval_episodes=2,
        eval_freq=4,
        best_model_save_path=str(tmp_path),
        log_path=str(tmp_path),
        verbose=0,
    )
    model = make_model(env=VecMonitor(native())).learn(24, callback=callback)
    evaluations = np.load(tmp_path / "evaluations.npz")
    assert evaluations["timesteps"].tolist() == [8, 16, 24]
    best = DIRS.load(tmp_path / "best_model", env=VecMonitor(native()), device="cpu")
    assert best.num_timesteps in (8, 16, 24)
    rewards, _ = evaluate_policy(best, VecMonitor(native(seed=0)), n_eval_episodes=2)
    assert rewards > 0
    assert model.num_timesteps == 24


def test_checkpoints_are_models(tmp_path: Path) -> None:
    callback = CheckpointCallback(3, str(tmp_path), name_prefix="dirs", verbose=0)
    model = make_model(env=native(4)).learn(24, callback=callback)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["dirs_12_steps.zip", "dirs_24_steps.zip"]
    assert_same_weights(DIRS.load(tmp_path / "dirs_24_steps", device="cpu"), model)
    assert DIRS.load(tmp_path / "dirs_12_steps", device="cpu").num_timesteps == 12


def test_checkpoint_callback_with_its_replay_option(tmp_path: Path) -> None:
    callback = CheckpointCallback(4, str(tmp_path), save_replay_buffer=True)
    make_model().learn(8, callback=callback)
    assert DIRS.load(tmp_path / "rl_model_8_steps", device="cpu").replay_buffer.size > 8


def test_a_reward_threshold_stops() -> None:
    stop = StopTrainingOnRewardThreshold(reward_threshold=0.0)
    evaluate = EvalCallback(
        VecMonitor(native()), callback_on_new_best=stop, eval_freq=3, n_eval_episodes=1, verbose=0
    )
    model = make_model(env=VecMonitor(native())).learn(100, callback=evaluate)
    assert model.num_timesteps == 6


def test_no_improvement_stops() -> None:
    stop = StopTrainingOnNoModelImprovement(max_no_improvement_evals=1, min_evals=0)
    evaluate = EvalCallback(
        VecMonitor(native()), callback_after_eval=stop, eval_freq=2, n_eval_episodes=1, verbose=0
    )
    model = make_model(env=VecMonitor(native()), learning_rate=1e-12, refinement="none")
    model.learn(400, callback=evaluate)
    assert model.num_timesteps < 400


@pytest.mark.parametrize("kind", ["gym", "native 4", "dummy 4"])
def test_a_number_of_episodes_stops(kind: str) -> None:
    model = make_model(env=ENVS[kind]())
    model.learn(1000, callback=StopTrainingOnMaxEpisodes(max_episodes=2))
    assert model.num_timesteps == 2 * 5 * model.n_envs


class Stop(BaseCallback):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.events: list[str] = []

    def _on_training_start(self) -> None:
        self.events.append("training start")

    def _on_rollout_start(self) -> None:
        self.events.append("rollout start")

    def _on_rollout_end(self) -> None:
        self.events.append("rollout end")

    def _on_training_end(self) -> None:
        self.events.append("training end")

    def _on_step(self) -> bool:
        self.events.append("step")
        return self.n_calls < self.at


def test_a_callback_stops_at_once_and_events_come_in_order() -> None:
    stop = Stop(4)
    model = make_model(env=native(2)).learn(1000, callback=stop)
    assert model.num_timesteps == 8
    assert stop.events[:2] == ["training start", "rollout start"]
    assert stop.events[-1] == "training end"
    assert stop.events.count("step") == 4
    assert stop.events.count("rollout start") == stop.events.count("rollout end")
    running = False
    for event in stop.events[1:-1]:
        if event == "step":
            assert running
        else:
            assert running == (event == "rollout end")
            running = not running


def test_a_callback_sees_what_other_algorithms_show() -> None:
    seen: list[dict[str, Any]] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            seen.append(dict(self.locals))
            assert self.training_env.num_envs == 2
            assert self.num_timesteps == self.model.num_timesteps == 2 * self.n_calls
            return True

    make_model(env=native(2)).learn(12, callback=CallbackList([Watch()]))
    for place, found in enumerate(seen, 1):
        assert len(found["infos"]) == 2
        assert found["dones"].tolist() == [place % 5 == 0] * 2
        assert found["rewards"].shape == (2,)
        assert (found["rewards"] > 0).all()
    # A function serves as well; False stops.
    assert make_model().learn(50, callback=lambda *_: False).num_timesteps == 1


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_progress_bar() -> None:
    pytest.importorskip("tqdm")
    pytest.importorskip("rich")
    assert make_model().learn(6, progress_bar=True).num_timesteps == 6


# -- monitors and evaluation ----------------------------------------------------------------------


def test_monitors_write_their_files(tmp_path: Path) -> None:
    single = Monitor(make_env(), str(tmp_path / "one"))
    make_model(env=single).learn(17)
    single.close()
    many = VecMonitor(native(3), str(tmp_path / "many"))
    make_model(env=many).learn(33)
    many.close()
    for name, episodes in (("one", 3), ("many", 6)):
        lines = (tmp_path / f"{name}.monitor.csv").read_text().splitlines()
        rows = list(csv.DictReader(lines[1:]))
        assert len(rows) == episodes
        assert all(int(row["l"]) == 5 and float(row["r"]) > 0 for row in rows)


def test_evaluate_policy_counts_whole_episodes() -> None:
    model = make_model().learn(3)
    for env in (Monitor(make_env()), VecMonitor(native(3))):
        rewards, lengths = evaluate_policy(
            model, env, n_eval_episodes=4, return_episode_rewards=True
        )
        assert lengths == [5] * 4
        assert len(set(rewards)) == 4


def test_evaluation_does_not_disturb_training() -> None:
    plain = make_model(env=VecMonitor(native())).learn(24)
    watched = make_model(env=VecMonitor(native()))
    callback = EvalCallback(VecMonitor(native()), eval_freq=2, n_eval_episodes=2, verbose=0)
    assert_same_weights(watched.learn(24, callback=callback), plain)


# -- predict --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_predict_takes_one_observation_or_many(policy: str) -> None:
    model = shaken(make_model(policy, make_env(TASKS)))
    observations = observations_of(TASKS, 5)
    batch, state = model.predict(observations)
    assert state is None
    assert batch.shape == (5, 6)
    assert batch.dtype == np.int64
    for kwargs in ({}, {"deterministic": True}, {"episode_start": np.array([True])}):
        one, _ = model.predict(observations[2], **kwargs)
        assert one.shape == (6,)
        np.testing.assert_array_equal(one, batch[2])
    again, _ = model.policy.predict(observations, deterministic=True)
    np.testing.assert_array_equal(again, batch)
    tensors = model.policy(torch.as_tensor(observations))
    np.testing.assert_array_equal(tensors.numpy(), batch)
    assert all(one in model.action_space for one in batch)


def test_predict_leaves_the_model_ready_to_train() -> None:
    plain, asked = make_model(), make_model()
    observations = observations_of(SMALL, 3)
    asked.predict(observations)
    asked.learn(9)
    asked.predict(observations)
    plain.learn(9)
    assert not asked.policy.training
    assert_same_weights(
        asked.learn(9, reset_num_timesteps=False), plain.learn(9, reset_num_timesteps=False)
    )


@pytest.mark.parametrize("shape", [(4, 3), (5, 2), (9,), (2, 2, 4, 2), ()])
def test_predict_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        make_model().predict(np.zeros(shape, dtype=np.float32))


# -- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_parameters_can_be_taken_and_given(policy: str) -> None:
    teacher = make_model(policy, seed=1).learn(9)
    parameters = teacher.get_parameters()
    assert set(parameters) == {"policy", "optimizer"}
    pupil = make_model(policy, seed=2)
    pupil.set_parameters(parameters)
    assert_same_weights(pupil, teacher)
    with pytest.raises(ValueError, match="Names of parameters"):
        pupil.set_parameters({"policy": parameters["policy"]})
    pupil.set_parameters({"policy": parameters["policy"]}, exact_match=False)
    assert pupil.get_vec_normalize_env() is None


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
@pytest.mark.parametrize("how", ["path", "text", "open file"])
def test_parameters_come_from_a_file(policy: str, how: str, tmp_path: Path) -> None:
    teacher = make_model(policy, seed=1).learn(9)
    memory = io.BytesIO()
    file: Any = {"path": tmp_path / "model.zip", "text": str(tmp_path / "model")}.get(how, memory)
    teacher.save(file)
    memory.seek(0)
    pupil, twin = make_model(policy, seed=2), make_model(policy, seed=2)
    pupil.set_parameters(file)
    twin.set_parameters(teacher.get_parameters())
    assert_same_weights(pupil, teacher)
    assert pupil.num_timesteps == 0
    # The optimizer's state has come along, too.
    assert_same_weights(pupil.learn(9), twin.learn(9))


def test_a_file_of_weights_alone_gives_no_exact_match(tmp_path: Path) -> None:
    teacher, pupil = make_model(seed=1), make_model(seed=2)
    teacher.save(tmp_path / "weights", exclude={"training"})
    before = copy.deepcopy(weights_of(pupil))
    with pytest.raises(ValueError, match="Names of parameters"):
        pupil.set_parameters(tmp_path / "weights")
    np.testing.assert_equal(weights_of(pupil), before)
    pupil.set_parameters(tmp_path / "weights", exact_match=False)
    assert_same_weights(pupil, teacher)


def test_parameters_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    other = make_model(policy_kwargs={"net_arch": [12, 9]}, seed=1)
    other.save(tmp_path / "other")
    other.save_replay_buffer(tmp_path / "labels")
    model = make_model(policy_kwargs={"net_arch": [12, 8]}, seed=2)
    before = copy.deepcopy(weights_of(model))
    for given, kind, words in (
        (tmp_path / "other", RuntimeError, "size mismatch"),
        (other.get_parameters(), RuntimeError, "size mismatch"),
        (tmp_path / "labels", ValueError, "holds no weights"),
        (tmp_path / "absent", FileNotFoundError, "no model file"),
    ):
        with pytest.raises(kind, match=words):
            model.set_parameters(given)
        np.testing.assert_equal(weights_of(model), before)


def test_a_policy_is_saved_and_loaded_alone(tmp_path: Path) -> None:
    for name in ("EnsemblePolicy", "PricePolicy", "CentralPolicy"):
        model = shaken(make_model(name, make_env(TASKS)))
        model.policy.save(str(tmp_path / name))
        again = type(model.policy).load(str(tmp_path / name), device="cpu")
        observations = observations_of(TASKS, 3)
        np.testing.assert_array_equal(
            again.predict(observations)[0], model.predict(observations)[0]
        )


# -- loggers --------------------------------------------------------------------------------------


def event_tags(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_set_logger_writes_csv_json_and_events(tmp_path: Path) -> None:
    model = make_model(env=VecMonitor(native(2)))
    model.set_logger(configure(str(tmp_path), ["csv", "json", "tensorboard"]))
    model.learn(40, log_interval=10)
    model.logger.close()
    rows = list(csv.DictReader((tmp_path / "progress.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "progress.json").read_text().splitlines()]
    totals = [int(float(row["time/total_timesteps"])) for row in rows if row["mec/objective"]]
    assert totals == [10, 20, 30, 40]
    assert [line["time/total_timesteps"] for line in lines if "mec/objective" in line] == totals
    assert event_tags(tmp_path)["mec/objective"][-1][0] == 40


TAGS = {
    "train/demonstration_loss",
    "train/agent_loss",
    "train/l2",
    "train/learning_rate",
    "replay/size",
    "replay/priority_mean",
    "replay/priority_max",
    "refine/objective_before",
    "refine/objective_after",
    "refine/gain",
    "vote/margin",
    "mec/latency_s",
    "mec/energy_j",
    "mec/objective",
    "mec/nrr",
    "rollout/ep_rew_mean",
    "rollout/ep_len_mean",
    "time/fps",
    "pretrain/demonstration_loss",
}


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_tensorboard_shows_training(policy: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    model = make_model(
        policy,
        make_env(optimum=True),
        tensorboard_log=str(tmp_path),
        pretrain_steps=60,
        train_interval=2,
    )
    model.learn(40, log_interval=10)
    tags = event_tags(tmp_path / "DIRS_1")
    losses = {"mec_1", "mec_2"} if policy == "EnsemblePolicy" else set()
    wanted = TAGS | {f"{part}/loss_{name}" for part in ("train", "pretrain") for name in losses}
    if policy == "PricePolicy":
        wanted |= {"train/loss", "pretrain/loss"}
    assert wanted <= set(tags)
    for tag, points in tags.items():
        steps = [step for step, _ in points]
        if tag.startswith("pretrain/"):
            assert steps == [25, 50, 60]
        elif tag.startswith(("mec/", "rollout/", "refine/")):
            assert steps == [10, 20, 30, 40]
        assert np.isfinite([value for _, value in points]).all()
    assert all(0 < value <= 1 for _, value in tags["mec/nrr"])
    assert all(value >= 0 for _, value in tags["refine/gain"])
    before, after = tags["refine/objective_before"], tags["refine/objective_after"]
    assert all(b[1] >= a[1] for b, a in zip(before, after, strict=True))
    square = sum(float(w.detach().square().sum()) for w in model.policy.parameters())
    assert tags["train/l2"][-1][1] == pytest.approx(square, rel=1e-5)
    assert tags["replay/size"][-1][1] == 24
    assert tags["replay/priority_max"][-1][1] >= tags["replay/priority_mean"][-1][1]


def test_logged_figures_are_means_since_the_last_entry(tmp_path: Path) -> None:
    figures: list[float] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            figures.extend(info["objective"] for info in self.locals["infos"])
            return True

    model = make_model(env=native(2))
    model.set_logger(configure(str(tmp_path), ["json"]))
    model.learn(40, log_interval=10, callback=Watch())
    model.logger.close()
    lines = [json.loads(line) for line in (tmp_path / "progress.json").read_text().splitlines()]
    logged = [line["mec/objective"] for line in lines if "mec/objective" in line]
    np.testing.assert_allclose(logged, np.reshape(figures, (4, 10)).mean(1), rtol=1e-6)


def test_without_the_optimum_there_is_no_nrr(tmp_path: Path) -> None:
    model = make_model(tensorboard_log=str(tmp_path)).learn(6, log_interval=3, tb_log_name="name")
    assert "mec/nrr" not in event_tags(tmp_path / "name_1")
    assert model.logger.dir == str(tmp_path / "name_1")


def test_verbose_prints_figures(capsys: pytest.CaptureFixture[str]) -> None:
    make_model(verbose=1).learn(6, log_interval=3)
    printed = capsys.readouterr().out
    assert "mec/" in printed
    assert "total_timesteps" in printed
    make_model(verbose=0).learn(6, log_interval=3)
    assert capsys.readouterr().out == ""


# -- the device -----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_a_gpu_decides_and_learns_as_the_cpu(policy: str, tmp_path: Path) -> None:
    on_cpu = make_model(policy, make_env(TASKS))
    on_gpu = make_model(policy, make_env(TASKS), device="cuda")
    on_gpu.policy.load_state_dict(on_cpu.policy.state_dict())
    observations = observations_of(TASKS, 100)
    same = on_gpu.predict(observations)[0] == on_cpu.predict(observations)[0]
    # Single precision decides near ties.
    assert same.mean() > 0.995
    on_cpu.learn(30)
    on_gpu.learn(30)
    for mine, theirs in zip(weights_of(on_gpu).values(), weights_of(on_cpu).values(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.02)
    on_gpu.save(tmp_path / "gpu")
    back = DIRS.load(tmp_path / "gpu", device="cpu")
    assert_same_weights(back, on_gpu)
    agent = on_gpu.agent(2)
    own = observations[0][:, [1, 3, 4]].T.ravel()
    np.testing.assert_allclose(agent.scores(own), back.agent(2).scores(own), atol=1e-5)
