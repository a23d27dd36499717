"""A class with learn and predict alone is trained, stopped, resumed and measured as any other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mec_bench import RunFolder, Settings, algorithm, check_algorithm, evaluate_again, train
from mec_bench.training import make_env
from mec_gym.evaluation import Predictions
from mec_gym.files import read_zip
from tests.mec_bench.harness_helpers import SMALL, quick


class Tries:
    """Tries assignments at random, and keeps the best."""

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.env, self.rng = env, np.random.default_rng(seed)
        self.best, self.reward = np.ones(env.action_space.shape, dtype=int), -np.inf

    def learn(self, total_timesteps: int) -> None:
        self.env.reset()
        for _ in range(0, total_timesteps, self.env.num_envs):
            actions = self.rng.integers(0, 3, (self.env.num_envs, len(self.best)))
            rewards = self.env.step(actions)[1]
            if rewards.max() > self.reward:
                self.best, self.reward = actions[rewards.argmax()], rewards.max()

    def predict(self, observations: Any) -> Any:
        return np.tile(self.best, (len(observations), 1))


class OnAndOn(Tries):
    """Leaves the counting to others."""

    def learn(self, total_timesteps: int) -> None:
        super().learn(10**9)


class Lazy(Tries):
    """Takes a quarter of its slots."""

    def learn(self, total_timesteps: int) -> None:
        super().learn(total_timesteps // 4)


class KeepsFiles(Tries):
    """Has files of its own, which hold no count of slots."""

    unpicklable: Any = None

    def learn(self, total_timesteps: int) -> None:
        self.unpicklable = threading.Lock()
        super().learn(total_timesteps)

    def save(self, path: Any) -> None:
        np.savez(path, best=self.best, reward=self.reward)

    @classmethod
    def load(cls, path: Any, env: Any = None) -> Any:
        model = object.__new__(cls)
        with np.load(path) as file:
            model.best, model.reward = file["best"], file["reward"]
        model.env, model.rng = env, np.random.default_rng(1)
        return model


class SaysMore(Tries):
    """Takes and returns what Stable-Baselines3's do, and has a remark."""

    remark = "it looks at no gain."

    def __init__(self, env: Any, width: int = 3, **_: Any) -> None:
        super().__init__(env)
        self.width = width

    def predict(self, observations: Any, deterministic: bool = False) -> Any:
        assert deterministic in (True, False)
        return super().predict(observations), None


class Remembers(Tries):
    """Counts the slots of each episode, and decides by the count."""

    def predict(self, observations: Any, state: Any = None, episode_start: Any = None) -> Any:
        begun = np.zeros(len(observations), dtype=int) if state is None else state
        passed = np.where(episode_start, 0, begun)
        return np.repeat(passed[:, None] % 2, len(self.best), axis=1), passed + 1


def of(cls: type[Any], **options: Any) -> Settings:
    return quick(cls, label="", **options)  # type: ignore[arg-type]


SMALL_ONES = [Tries, OnAndOn, KeepsFiles, SaysMore, Remembers]


@pytest.mark.parametrize("cls", SMALL_ONES)
def test_it_passes_the_checks(cls: type[Any]) -> None:
    report = check_algorithm(cls, timesteps=16)
    assert report.passed, str(report)


@pytest.mark.parametrize("cls", SMALL_ONES)
def test_a_run_of_it_has_a_curve_and_a_model(cls: type[Any], tmp_path: Path) -> None:
    settings = of(cls, n_envs=2)
    result = train(settings, tmp_path)
    assert [point.timesteps for point in result.curve] == [0, 16, 32, 48]
    assert len(RunFolder(tmp_path).all_checkpoints()) == 2
    (again,) = evaluate_again([tmp_path])
    assert again.slots == result.slots
    assert result.notes == ((SaysMore.remark,) if cls is SaysMore else ())


def test_slots_that_it_does_not_take_are_said(tmp_path: Path) -> None:
    for cls, timesteps, note in (
        (Lazy, 48, "it took 12 of 48 slots."),
        (Tries, 0, "it was trained for 0 slots."),
    ):
        result = train(of(cls, timesteps=timesteps), tmp_path / cls.__name__)
        (again,) = evaluate_again([tmp_path / cls.__name__])
        assert result.notes == again.notes == (note,)
    said = str(check_algorithm(Lazy))
    assert "learn(64) must take so many slots of the env, and num_timesteps count them: it" in said


def test_a_policy_that_remembers_gets_back_what_it_returned() -> None:
    env = make_env(of(Remembers), algorithm(Remembers))
    predictions = Predictions(algorithm(Remembers).build(env))
    for _ in range(2):
        predictions.begin()
        shown = [predictions(SMALL, env.reset()) for _ in range(4)]
        assert [set(decisions.ravel()) for decisions in shown] == [{0}, {1}, {0}, {1}]


@pytest.mark.parametrize("remark", ["one line\nand another", "a\u00a0b", " ", 5])
def test_a_remark_that_no_result_holds_is_refused_before_training(
    remark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SaysMore, "remark", remark)
    with pytest.raises(TypeError, match="remark must be printable text, on one line"):
        train(of(SaysMore), tmp_path)
    assert not RunFolder(tmp_path).read_curve()
    assert "remark must be printable" in str(check_algorithm(SaysMore, timesteps=16))


def test_it_goes_on_from_a_checkpoint_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = of(Tries, checkpoints=4)
    step = Tries.predict

    def fails(self: Tries, observations: Any) -> Any:
        if self.reward > -np.inf and len(list(tmp_path.glob("checkpoints/slot-*.zip"))) == 2:
            raise FloatingPointError("out of luck")
        return step(self, observations)

    with monkeypatch.context() as patch:
        patch.setattr(Tries, "predict", fails)
        with pytest.raises(FloatingPointError):
            train(settings, tmp_path)
    reached = RunFolder(tmp_path).last_checkpoint()
    assert reached is not None
    (unfinished,) = evaluate_again([tmp_path])
    assert unfinished.notes == ("its run is not done: 24 of 48 slots.",)
    result = train(settings, tmp_path)
    assert "goes on at slot 24 of 48; it had failed: FloatingPointError: out of" in caplog.text
    (again,) = evaluate_again([tmp_path])
    assert result.notes == again.notes == ("it failed, and went on at slot 24.",)
    assert [point.timesteps for point in result.curve] == [0, 16, 32, 48]
    assert algorithm(Tries).load(RunFolder(tmp_path).model).num_timesteps == 48


def test_its_file_holds_no_env(tmp_path: Path) -> None:
    chosen = algorithm(Tries)
    settings = of(Tries)
    model = chosen.build(make_env(settings, chosen), seed=0)
    model.save(tmp_path / "model.zip")
    assert len(read_zip(tmp_path / "model.zip")["model.pkl"]) < 3000
    again = chosen.load(tmp_path / "model.zip", env=make_env(settings, chosen))
    assert again.own.env is again.get_env()
    assert again.own.env is not model.own.env


def test_what_every_algorithm_needs_is_named(user_folder: Path) -> None:
    (user_folder / "theirs.py").write_text(
        "class Dreams:\n"
        "    def __init__(self, env, seed=0): pass\n"
        "    def learn(self, total_timesteps): return self\n"
    )
    with pytest.raises(TypeError, match=r"predict\(observations\); theirs:Dreams lacks predict"):
        train(quick("theirs:Dreams"), user_folder / "run")
    assert "theirs:Dreams lacks predict" in str(check_algorithm("theirs:Dreams"))


def test_what_cannot_be_kept_is_refused_before_training(tmp_path: Path) -> None:
    class Unkept(Tries):
        def __init__(self, env: Any) -> None:
            super().__init__(env)
            self.stream = threading.Lock()

    report = check_algorithm(Unkept)
    assert "that pickle can write, apart from its env" in str(report)
    assert report.checks == ("construct",)


def test_its_settings_are_written_down(tmp_path: Path) -> None:
    settings = of(SaysMore, arguments={"width": 5})
    train(settings, tmp_path)
    assert '"width": 5' in (tmp_path / "resolved.json").read_text()
    with pytest.raises(TypeError, match="depth"):
        algorithm(Tries, {"depth": 3})
