"""A run that was stopped and goes on from its last checkpoint ends as if it never stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor

from dirs_agents import DIRS
from mec_gym import ENV_ID, Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from tests.dirs_agents.dirs_helpers import (
    QUICK,
    SMALL,
    TASKS,
    WIDTHS,
    assert_same_weights,
    differ,
    make_env,
)

SLOTS = 48
RELOCATING = Scenario.preset("relocating-200x10", n_devices=20, n_servers=2)


def vector(scenario: Any, **options: Any) -> Any:
    return gym.make_vec(ENV_ID, num_envs=3, scenario=scenario, max_episode_steps=5, **options)


def native(scenario: Any) -> Any:
    return make_sb3_vec_env(scenario, n_envs=3, max_episode_steps=5)


def monitored(scenario: Any) -> Any:
    return Monitor(make_env(scenario))


ENVS: dict[str, Callable[[Any], Any]] = {
    "gym": make_env,
    "monitored": monitored,
    "dummy": lambda s: DummyVecEnv([lambda: make_env(s)] * 3),
    "dummy monitored": lambda s: DummyVecEnv([lambda: monitored(s)] * 3),
    "dummy in vec monitor": lambda s: VecMonitor(DummyVecEnv([lambda: make_env(s)] * 3)),
    "native": native,
    "native monitored": lambda s: VecMonitor(native(s)),
    "vector": vector,
    "vector same step": lambda s: vector(s, autoreset_mode="SameStep"),
}
PROCESSES: dict[str, Callable[[Any], Any]] = {
    "processes": lambda s: SubprocVecEnv([lambda: make_env(s)] * 3),
    "processes monitored": lambda s: SubprocVecEnv([lambda: monitored(s)] * 3),
    "processes in vec monitor": lambda s: VecMonitor(SubprocVecEnv([lambda: make_env(s)] * 3)),
}


class Killed(Exception):  # noqa: N818
    pass


class Kill(BaseCallback):
    def __init__(self, after: int, *, really: bool = False) -> None:
        super().__init__()
        self.after, self.really = after, really

    def _on_step(self) -> bool:
        if self.n_calls >= self.after:
            if self.really:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Killed
        return True


def settings_of(policy: str, **more: Any) -> dict[str, Any]:
    own = {"policy_kwargs": dict(WIDTHS[policy]), "train_interval": 2, "refine_interval": 3}
    return QUICK | own | more


def run_until_killed(model: DIRS, folder: Path, *, seed: int, really: bool = False) -> None:
    calls = SLOTS // model.n_envs
    chance = random.Random(seed)
    every = chance.randint(2, calls // 2)
    after = chance.randint(every, calls - 1)
    callbacks = [CheckpointCallback(every, str(folder)), Kill(after, really=really)]
    model.learn(SLOTS, callback=callbacks)


def last_checkpoint(folder: Path) -> Path:
    return max(folder.glob("rl_model_*_steps.zip"), key=lambda path: int(path.stem.split("_")[2]))


def resumed(folder: Path, env: Any, **more: Any) -> DIRS:
    model = DIRS.load(last_checkpoint(folder), env=env, force_reset=False, device="cpu", **more)
    assert 0 < model.num_timesteps < SLOTS
    return model.learn(SLOTS - model.num_timesteps, reset_num_timesteps=False)


def assert_same_end(left: DIRS, right: DIRS) -> None:
    assert left.num_timesteps == right.num_timesteps == SLOTS
    assert left._n_updates == right._n_updates
    assert_same_weights(left, right)
    mine, theirs = left.replay_buffer.get_state(), right.replay_buffer.get_state()
    for key, value in mine.items():
        np.testing.assert_array_equal(value, theirs[key], err_msg=key)
    assert left.rng.bit_generator.state == right.rng.bit_generator.state
    np.testing.assert_array_equal(left._last_obs, right._last_obs)
    episodes = [
        [(info["r"], info["l"]) for info in model.ep_info_buffer] for model in (left, right)
    ]
    assert episodes[0] == episodes[1]
    # The next episodes end when they would have, too.
    left.learn(2 * left.n_envs, reset_num_timesteps=False)
    right.learn(2 * right.n_envs, reset_num_timesteps=False)
    np.testing.assert_array_equal(left._last_obs, right._last_obs)
    assert_same_weights(left, right)


def check(make: Any, scenario: Any, policy: str, folder: Path, seed: int, **more: Any) -> None:
    settings = settings_of(policy, **more)
    with pytest.raises(Killed):
        run_until_killed(DIRS(policy, make(scenario), **settings), folder, seed=seed)
    whole = DIRS(policy, make(scenario), **settings).learn(SLOTS)
    assert_same_end(resumed(folder, make(scenario)), whole)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ENVS)
def test_every_kind_of_env_goes_on_exactly(kind: str, seed: int, tmp_path: Path) -> None:
    check(ENVS[kind], TASKS, "EnsemblePolicy", tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROCESSES)
def test_envs_in_other_processes_go_on_exactly(kind: str, tmp_path: Path) -> None:
    check(PROCESSES[kind], TASKS, "EnsemblePolicy", tmp_path, 1)


@pytest.mark.parametrize("kind", ["monitored", "native monitored", "vector"])
@pytest.mark.parametrize("policy", ["PricePolicy", "CentralPolicy"])
def test_every_policy_goes_on_exactly(policy: str, kind: str, tmp_path: Path) -> None:
    check(ENVS[kind], TASKS, policy, tmp_path, 3)


@pytest.mark.parametrize("kind", ["monitored", "native monitored", "vector", "dummy monitored"])
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_redrawn_layouts_go_on_exactly(policy: str, kind: str, tmp_path: Path) -> None:
    check(ENVS[kind], RELOCATING, policy, tmp_path, 4)


@pytest.mark.parametrize(
    "more",
    [
        {"refinement": "classic-levy"},
        {"refinement": "epsilon-greedy"},
        {"allocation": "levy"},
        {"demonstrations": "none"},
        {"buffer_size": 10},
        {"seed": None},
    ],
    ids=str,
)
def test_every_variant_goes_on_exactly(more: dict[str, Any], tmp_path: Path) -> None:
    if more.get("seed", 0) is not None:
        check(ENVS["monitored"], TASKS, "EnsemblePolicy", tmp_path, 5, **more)
        return
    # Without a seed there is no second run to compare with; the first one is saved and goes on.
    model = DIRS("EnsemblePolicy", monitored(TASKS), **settings_of("EnsemblePolicy", seed=None))
    model.learn(13)
    model.save(tmp_path / "rl_model_13_steps")
    model.learn(SLOTS - 13, reset_num_timesteps=False)
    assert_same_end(resumed(tmp_path, monitored(TASKS)), model)


def schedule(left: float) -> float:
    return 1e-2 * left**2 + 1e-4


def test_a_schedule_goes_on_exactly(tmp_path: Path) -> None:
    settings = settings_of("EnsemblePolicy", learning_rate=schedule)
    model = DIRS("EnsemblePolicy", native(TASKS), **settings)
    with pytest.raises(Killed):
        run_until_killed(model, tmp_path, seed=6)
    whole = DIRS("EnsemblePolicy", native(TASKS), **settings).learn(SLOTS)
    with pytest.raises(ValueError, match="custom_objects"):
        resumed(tmp_path, native(TASKS))
    objects = {"learning_rate": schedule}
    again = resumed(tmp_path, native(TASKS), custom_objects=objects)
    assert_same_weights(again, whole)
    constant = resumed(tmp_path, native(TASKS), learning_rate=1e-2)
    assert differ(constant, whole)


def test_a_run_killed_twice_goes_on_exactly(tmp_path: Path) -> None:
    settings = settings_of("EnsemblePolicy")
    model = DIRS("EnsemblePolicy", monitored(TASKS), **settings)
    for until in (11, 23, 36):
        with pytest.raises(Killed):
            model.learn(
                SLOTS - model.num_timesteps,
                callback=[CheckpointCallback(5, str(tmp_path)), Kill(until - model.num_timesteps)],
                reset_num_timesteps=model.num_timesteps == 0,
            )
        model = DIRS.load(
            last_checkpoint(tmp_path), env=monitored(TASKS), force_reset=False, device="cpu"
        )
    again = resumed(tmp_path, monitored(TASKS))
    assert_same_end(again, DIRS("EnsemblePolicy", monitored(TASKS), **settings).learn(SLOTS))


def test_a_killed_run_that_begins_new_episodes_is_another_run(tmp_path: Path) -> None:
    settings = settings_of("EnsemblePolicy")
    model = DIRS("EnsemblePolicy", native(TASKS), **settings).learn(21)
    model.save(tmp_path / "model")
    model.learn(SLOTS - 21, reset_num_timesteps=False)
    other = DIRS.load(tmp_path / "model", env=native(TASKS), device="cpu")
    other.learn(SLOTS - 21, reset_num_timesteps=False)
    assert other.num_timesteps == SLOTS
    assert differ(other, model)


@pytest.mark.parametrize("every", [7, 10])
def test_the_log_goes_on_exactly(every: int, tmp_path: Path) -> None:
    def lines(folder: Path, model: DIRS) -> list[dict[str, Any]]:
        model.logger.close()
        text = (folder / "progress.json").read_text().splitlines()
        return [
            {tag: value for tag, value in json.loads(line).items() if not tag.startswith("time/")}
            for line in text
            if "mec/objective" in line
        ]

    def logged(model: DIRS, name: str) -> DIRS:
        model.set_logger(configure(str(tmp_path / name), ["json"]))
        return model

    settings = settings_of("EnsemblePolicy")
    whole = logged(DIRS("EnsemblePolicy", monitored(TASKS), **settings), "whole")
    whole.learn(40, log_interval=10)
    half = DIRS("EnsemblePolicy", monitored(TASKS), **settings)
    half.set_logger(configure(str(tmp_path / "half"), []))
    with pytest.raises(Killed):
        half.learn(
            40, [CheckpointCallback(every, str(tmp_path)), Kill(2 * every + 2)], log_interval=10
        )
    again = DIRS.load(
        last_checkpoint(tmp_path), env=monitored(TASKS), force_reset=False, device="cpu"
    )
    logged(again, "again")
    again.learn(40 - again.num_timesteps, reset_num_timesteps=False, log_interval=10)
    wanted, found = lines(tmp_path / "whole", whole), lines(tmp_path / "again", again)
    assert len(wanted) == 4
    assert found == wanted[-2 if every == 10 else -3 :]


def test_states_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    settings = settings_of("EnsemblePolicy")
    DIRS("EnsemblePolicy", native(SMALL), **settings).learn(6).save(tmp_path / "native")
    DIRS("EnsemblePolicy", ENVS["dummy"](SMALL), **settings).learn(6).save(tmp_path / "dummy")
    faster = SMALL.replace(server_frequency_hz=2e10)
    five = make_sb3_vec_env(SMALL, n_envs=5, max_episode_steps=5)
    two = DummyVecEnv([make_env] * 2)
    for name, env, message in (
        ("native", ENVS["dummy"](SMALL), "kind of vector env"),
        ("dummy", native(SMALL), "kind of vector env"),
        ("native", five, "3 copies|5 copies"),
        ("dummy", two, "3 copies"),
        ("native", native(faster), "server_frequency_hz"),
        ("dummy", ENVS["dummy"](faster), "server_frequency_hz"),
    ):
        with pytest.raises(ValueError, match=message):
            DIRS.load(tmp_path / name, env=env, force_reset=False, device="cpu")


def test_parts_can_be_left_out(tmp_path: Path) -> None:
    model = DIRS("EnsemblePolicy", native(SMALL), **settings_of("EnsemblePolicy")).learn(9)
    for part in ("env", "training"):
        model.save(tmp_path / part, exclude=[part])
        again = DIRS.load(tmp_path / part, env=native(SMALL), force_reset=False, device="cpu")
        assert_same_weights(again, model)
        assert (again.replay_buffer.size > 0) == (part == "env")
        assert again.num_timesteps == (9 if part == "env" else 0)
        again.learn(6)
    assert (tmp_path / "training.zip").stat().st_size < (tmp_path / "env.zip").stat().st_size
    with pytest.raises(TypeError, match="did you mean 'training'"):
        model.save(tmp_path / "x", exclude=["trainning"])
    assert not (tmp_path / "x.zip").exists()


SCRIPT = """
import os, sys
from pathlib import Path
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(int(sys.argv[2]))
from dirs_agents import DIRS
from tests.dirs_agents.test_dirs_resume import *
for name, make in ENVS.items():
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    child = os.fork()
    if not child:
        model = DIRS("EnsemblePolicy", make(TASKS), **settings_of("EnsemblePolicy"))
        run_until_killed(model, folder, seed=len(name), really=True)
        os._exit(0)
    print(name, os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_runs_killed_by_the_system_go_on_exactly(tmp_path: Path) -> None:
    script = SCRIPT.format(here=str(Path(__file__).parents[2]))
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), "1"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.splitlines() == [f"{name} {signal.SIGKILL}" for name in ENVS]
    whole = {}
    for name, make in ENVS.items():
        env = make(TASKS)
        again = resumed(tmp_path / name, env)
        whole[name] = DIRS("EnsemblePolicy", make(TASKS), **settings_of("EnsemblePolicy"))
        assert_same_end(again, whole[name].learn(SLOTS))
        left = [path.name for path in (tmp_path / name).iterdir()]
        assert all(name.startswith("rl_model_") for name in left)


@pytest.mark.slow
def test_two_threads_of_another_process_are_deterministic_too(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import torch; torch.set_num_threads(2)\n"
        "from tests.dirs_agents.dirs_helpers import make_model, TASKS\n"
        "for name in 'ab':\n"
        "    make_model(scenario=TASKS, policy_kwargs={'net_arch': [64]}).learn(30)"
        f".save({str(tmp_path)!r} + '/' + name)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    first, second = (DIRS.load(tmp_path / name, device="cpu") for name in "ab")
    assert_same_weights(first, second)
