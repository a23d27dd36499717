"""Demonstrations and imitation that are interrupted go on exactly, wherever that was."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    StopTrainingOnMaxEpisodes,
)
from stable_baselines3.common.logger import configure

import dirs_agents
from dirs_agents import DIRS
from mec_gym.envs import sb3_model
from tests.dirs_agents.dirs_helpers import TASKS, assert_same_weights
from tests.dirs_agents.test_dirs_resume import ENVS, SLOTS, assert_same_end, settings_of

# On six devices, demonstrations in parts of 8, 8 and 4, and imitation in parts of 25, 25 and 10.
PARTS: dict[str, Any] = {
    "n_demonstrations": 20,
    "demonstration_population": 680,
    "demonstration_generations": 3,
    "pretrain_steps": 60,
}


def model_of(policy: str = "EnsemblePolicy", env: Any = None, **more: Any) -> DIRS:
    env = ENVS["monitored"](TASKS) if env is None else env
    return DIRS(policy, env, **settings_of(policy, **(PARTS | more)))


class Interrupted(Exception):  # noqa: N818
    pass


class Parts(BaseCallback):
    """Counts the places between parts, and stops at one of them."""

    def __init__(self, stop_at: int = -1) -> None:
        super().__init__()
        self.stop_at = stop_at
        self.seen: list[tuple[int, int]] = []
        self.stages: list[str] = []

    def on_pretraining_step(self) -> None:
        self.seen.append((self.model.replay_buffer.size, self.model._n_updates))
        self.stages.append(self.model.stage)
        if len(self.seen) == self.stop_at:
            raise Interrupted

    def _on_step(self) -> bool:
        return True


def saved_and_loaded(model: DIRS, file: Path, env: Any, **more: Any) -> DIRS:
    model.save(file)
    return DIRS.load(file, env=env, force_reset=False, device="cpu", **more)


def finished(model: DIRS) -> DIRS:
    return model.learn(SLOTS, reset_num_timesteps=False)


# -- at the places where a callback is told ---------------------------------------------------


def test_a_callback_is_told_between_all_parts() -> None:
    parts = Parts()
    model = model_of().learn(0, callback=parts)
    made = [(0, 0), (8, 0), (16, 0), (20, 0)]
    assert parts.seen == [*made, (20, 25), (20, 50), (20, 60)]
    demonstrated = [f"demonstrations {done}/20" for done in (0, 8, 16)]
    assert parts.stages == [*demonstrated, *(f"imitation {k}/60" for k in (0, 25, 50)), ""]
    assert model.stage == ""
    model.learn(3, callback=parts)
    assert model_of(demonstrations="none").learn(3, callback=parts).stage == ""
    assert len(parts.seen) == 7


def test_others_in_a_list_are_not_asked() -> None:
    first, last = Parts(), Parts()
    other = StopTrainingOnMaxEpisodes(9)
    model_of().learn(3, callback=[first, other, CallbackList([last])])
    assert len(first.seen) == len(last.seen) == 7


@pytest.mark.parametrize("at", range(1, 8))
def test_it_goes_on_exactly_from_every_place(at: int, tmp_path: Path) -> None:
    model = model_of()
    with pytest.raises(Interrupted):
        model.learn(SLOTS, callback=Parts(at))
    again = saved_and_loaded(model, tmp_path / "model", ENVS["monitored"](TASKS))
    assert not again.pretrained
    assert_same_end(finished(again), model_of().learn(SLOTS))


@pytest.mark.parametrize("kind", ["native monitored", "vector"])
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_every_policy_goes_on_exactly(policy: str, kind: str, tmp_path: Path) -> None:
    make = ENVS[kind]
    whole = model_of(policy, make(TASKS)).learn(SLOTS)
    for at in (3, 6):
        model = model_of(policy, make(TASKS))
        with pytest.raises(Interrupted):
            model.learn(SLOTS, callback=Parts(at))
        again = saved_and_loaded(model, tmp_path / f"{at}", make(TASKS))
        assert_same_weights(again, model)
        assert_same_weights(finished(again), whole)


@pytest.mark.parametrize(
    "more",
    [
        {"demonstrations": "optimal", "n_demonstrations": 70},
        {"demonstrations": "exhaustive", "n_demonstrations": 40},
        {"allocation": "levy"},
        {"learning_rate": 1e-2, "resample": True},
    ],
    ids=str,
)
def test_every_source_goes_on_exactly(more: dict[str, Any], tmp_path: Path) -> None:
    more = {"buffer_size": 100} | more
    model = model_of(**more)
    for at in (2, 2, 2, 2):  # one part at a time
        with pytest.raises(Interrupted):
            model.learn(SLOTS, callback=Parts(at), reset_num_timesteps=False)
        model = saved_and_loaded(model, tmp_path / "model", ENVS["monitored"](TASKS))
    assert_same_end(finished(model), model_of(**more).learn(SLOTS))


def test_the_same_model_goes_on_without_a_file() -> None:
    model = model_of()
    for at in (3, 2, 4):
        with pytest.raises(Interrupted):
            model.learn(SLOTS, callback=Parts(at), reset_num_timesteps=False)
    assert_same_end(finished(model), model_of().learn(SLOTS))


# -- anywhere ---------------------------------------------------------------------------------


class CtrlC:
    """Counts the lines of Python that pre-training executes, and interrupts one of them."""

    def __init__(self, model: DIRS, at: int = -1) -> None:
        self.model, self.at, self.lines = model, at, 0
        self._files = (
            str(Path(dirs_agents.__file__).parent),
            str(Path(torch.optim.__file__).parent),
        )

    def __enter__(self) -> CtrlC:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        del event, arg
        return self._line if frame.f_code.co_filename.startswith(self._files) else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        del frame, arg
        if event == "line" and not self.model.pretrained:
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self._line


def lines_of_pretraining() -> int:
    model = model_of()
    with CtrlC(model) as counted:
        model.learn(0)
    return counted.lines


def assert_trained_alike(left: DIRS, right: DIRS) -> None:
    assert_same_weights(left, right)
    assert left.rng.bit_generator.state == right.rng.bit_generator.state
    mine, theirs = left.replay_buffer.get_state(), right.replay_buffer.get_state()
    for key, value in mine.items():
        np.testing.assert_array_equal(value, theirs[key], err_msg=key)


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_anywhere_loses_nothing(seed: int, tmp_path: Path) -> None:
    whole = model_of().learn(SLOTS)
    lines, chance = lines_of_pretraining(), random.Random(seed)
    for _ in range(6):
        model = model_of()
        with pytest.raises(KeyboardInterrupt), CtrlC(model, chance.randint(1, lines)):
            model.learn(SLOTS)
        again = saved_and_loaded(model, tmp_path / "model", ENVS["monitored"](TASKS))
        again.learn(SLOTS - again.num_timesteps, reset_num_timesteps=False)
        assert_trained_alike(again, whole)


class CtrlCAgain:
    """Interrupts rollbacks, each at one of its lines, until no numbers of lines are left."""

    def __init__(self, model: DIRS, at: list[int]) -> None:
        self.rollback = model.take_training_state
        self.at, self.times, self.lines = at, 0, 0

    def __call__(self, *given: Any, **named: Any) -> None:
        self.times, self.lines = self.times + 1, 0
        sys.settrace(self._call)
        try:
            self.rollback(*given, **named)
        finally:
            sys.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        del event, arg
        return self._line if frame.f_code.co_filename.startswith(ROLLBACK) else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        del frame, arg
        self.lines += event == "line"
        if event == "line" and self.at and self.lines == self.at[0]:
            del self.at[0]
            raise KeyboardInterrupt
        return self._line


ROLLBACK = (
    str(sb3_model.__file__),
    *(str(Path(dirs_agents.__file__).parent / name) for name in ("algorithm.py", "replay.py")),
    str(Path(torch.optim.__file__).parent),
)


def interrupt_after(steps: int, model: DIRS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model be interrupted after so many gradient steps, where gradients are off."""
    descend = DIRS._descend

    def stopped(self: DIRS, *given: Any) -> None:
        descend(self, *given)
        if self is model and self._n_updates == steps:
            torch.set_grad_enabled(False)
            raise KeyboardInterrupt

    monkeypatch.setattr(DIRS, "_descend", stopped)


def test_ctrl_c_where_gradients_are_off_leaves_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    interrupt_after(32, model, monkeypatch)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.learn(SLOTS)
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_in_the_rollback_loses_nothing_either(
    times: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(at: list[int]) -> tuple[DIRS, CtrlCAgain]:
        model = model_of()
        rollback = CtrlCAgain(model, at)
        interrupt_after(32, model, monkeypatch)
        monkeypatch.setattr(model, "take_training_state", rollback)
        with pytest.raises(KeyboardInterrupt):
            model.learn(SLOTS)
        return model, rollback

    whole, chance = model_of().learn(SLOTS), random.Random(times)
    lines = interrupted([])[1].lines
    for number in range(6):
        model, rollback = interrupted([chance.randint(1, lines) for _ in range(times)])
        assert rollback.times == times + 1
        assert (model._pretraining.get_state()["steps"], model._n_updates) == (25, 25)
        again = saved_and_loaded(model, tmp_path / f"{number}", ENVS["monitored"](TASKS))
        assert_trained_alike(finished(again), whole)


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)
from tests.dirs_agents.test_dirs_pretraining import *

class Say(Parts):
    def on_pretraining_step(self):
        if not self.seen:
            print("begun", flush=True)
        super().on_pretraining_step()

model = model_of(pretrain_steps=1500)
try:
    model.learn(SLOTS, callback=Say())
except KeyboardInterrupt:
    model.save({file!r})
"""


@pytest.mark.slow
def test_a_process_that_takes_ctrl_c_itself_goes_on_exactly_in_another(tmp_path: Path) -> None:
    whole = model_of(pretrain_steps=1500).learn(SLOTS)
    chance = random.Random(0)
    for number in range(2):
        file = tmp_path / f"{number}.zip"
        script = SCRIPT.format(here=str(Path(__file__).parents[2]), file=str(file))
        command = [sys.executable, "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(chance.uniform(0.0, 1.0))
            process.send_signal(signal.SIGINT)
        assert process.returncode == 0
        again = DIRS.load(file, env=ENVS["monitored"](TASKS), force_reset=False, device="cpu")
        assert not again.pretrained
        assert_same_weights(finished(again), whole)


# -- what belongs to it -----------------------------------------------------------------------


def test_nothing_of_the_log_is_lost_or_written_twice(tmp_path: Path) -> None:
    def lines(model: DIRS, name: str, run: Callable[[], Any]) -> list[dict[str, Any]]:
        model.set_logger(configure(str(tmp_path / name), ["json"]))
        run()
        model.logger.close()
        texts = (tmp_path / name / "progress.json").read_text().splitlines()
        return [
            {tag: value for tag, value in json.loads(text).items() if not tag.startswith("time/")}
            for text in texts
        ]

    def interrupted() -> None:
        with pytest.raises(Interrupted):
            model.learn(SLOTS, callback=Parts(6), log_interval=10)

    whole, model = model_of(), model_of()
    wanted = lines(whole, "whole", lambda: whole.learn(SLOTS, log_interval=10))
    found = lines(model, "first", interrupted)
    assert len(found) == 2
    again = saved_and_loaded(model, tmp_path / "model", ENVS["monitored"](TASKS))
    found += lines(
        again, "rest", lambda: again.learn(SLOTS, reset_num_timesteps=False, log_interval=10)
    )
    assert found == wanted


def schedule(left: float) -> float:
    return 1e-2 * left**2 + 1e-4


def test_imitation_of_another_scenario_goes_on_at_its_learning_rate(tmp_path: Path) -> None:
    def moved() -> DIRS:
        model = model_of(learning_rate=schedule).learn(SLOTS // 2)
        noisier = ENVS["monitored"](TASKS.replace(noise_w=2e-6))
        noisier.reset(seed=1)
        model.set_env(noisier)
        return model

    model = moved()
    with pytest.raises(Interrupted):
        model.learn(SLOTS, callback=Parts(6))
    again = saved_and_loaded(
        model, tmp_path / "model", model.env, custom_objects={"learning_rate": schedule}
    )
    assert_same_end(finished(again), moved().learn(SLOTS))


def test_another_scenario_is_imitated_from_the_beginning(tmp_path: Path) -> None:
    model = model_of()
    with pytest.raises(Interrupted):
        model.learn(SLOTS, callback=Parts(6))
    model.save(tmp_path / "model")
    noisier = ENVS["monitored"](TASKS.replace(noise_w=2e-6))
    loaded = DIRS.load(tmp_path / "model", env=noisier, device="cpu")
    model.set_env(noisier)
    for one in (model, loaded):
        parts = Parts()
        one.learn(0, callback=parts)
        assert [size for size, _ in parts.seen] == [0, 8, 16, 20, 20, 20, 20]
        assert one._n_updates == 50 + 60


def half_made(file: Path, at: int = 2, **more: Any) -> DIRS:
    model = model_of(**more)
    with pytest.raises(Interrupted):
        model.learn(SLOTS, callback=Parts(at))
    model.save(file)
    return model


@pytest.mark.parametrize(
    "more",
    [
        {"demonstrations": "optimal"},
        {"demonstrations": "exhaustive"},
        {"demonstration_population": 340},
        {"demonstration_generations": 4},
        {"demonstration_beta": 0.7},
        {"threshold": 0.5},
        {"step_scale": 0.1},
        {"signed": True},
        {"demonstration_start": "best-gain"},
        {"allocation": "levy"},
        {"n_demonstrations": 5},
        {"n_demonstrations": 22},
    ],
    ids=str,
)
def test_half_made_demonstrations_are_not_mixed_with_others(
    more: dict[str, Any], tmp_path: Path
) -> None:
    model = half_made(tmp_path / "model")
    again = DIRS.load(
        tmp_path / "model", ENVS["monitored"](TASKS), "cpu", force_reset=False, **more
    )
    changed = model_of(**more)
    changed.rng.bit_generator.state = model.rng.bit_generator.state
    assert_trained_alike(finished(again), changed.learn(SLOTS))


@pytest.mark.parametrize("more", [{"demonstrations": "none"}, {"n_demonstrations": 0}], ids=str)
def test_half_made_demonstrations_that_nobody_wants_are_dropped(
    more: dict[str, Any], tmp_path: Path
) -> None:
    half_made(tmp_path / "model")
    model = DIRS.load(tmp_path / "model", ENVS["monitored"](TASKS), "cpu", **more).learn(0)
    assert (model.pretrained, model.replay_buffer.size, model._n_updates) == (True, 0, 0)


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        ({}, {"pretrain_steps": 61, "generations": 4, "beta": 1.2}),
        ({"demonstrations": "optimal", "n_demonstrations": 40}, {"demonstration_generations": 4}),
    ],
    ids=str,
)
def test_what_makes_no_demonstrations_may_change_between(
    begun: dict[str, Any], more: dict[str, Any], tmp_path: Path
) -> None:
    begun = {"buffer_size": 50} | begun
    half_made(tmp_path / "model", **begun)
    again = DIRS.load(tmp_path / "model", ENVS["monitored"](TASKS), "cpu", **more)
    assert_trained_alike(again.learn(0), model_of(**(begun | more)).learn(0))


def test_complete_demonstrations_stay_when_settings_change(tmp_path: Path) -> None:
    half_made(tmp_path / "model", at=5)
    more = {"demonstrations": "optimal", "n_demonstrations": 5}
    again = DIRS.load(tmp_path / "model", ENVS["monitored"](TASKS), "cpu", **more)
    assert_trained_alike(again.learn(0), model_of().learn(0))


def test_a_buffer_that_is_loaded_between_is_learned_from_as_it_is(tmp_path: Path) -> None:
    model_of(n_demonstrations=5).learn(3).save_replay_buffer(tmp_path / "buffer")
    model = model_of()
    with pytest.raises(Interrupted):
        model.learn(SLOTS, callback=Parts(2))
    model.load_replay_buffer(tmp_path / "buffer")
    size = model.replay_buffer.size
    model.learn(0)
    assert (model.replay_buffer.size, model.replay_buffer.n_demonstrations) == (size, 5)
    assert model._n_updates == 60
