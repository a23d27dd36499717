"""A run that was stopped, or whose files are damaged, goes on exactly where it was."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import pytest

from mec_bench import RunFolder, algorithm, train
from mec_bench.run import Settings
from tests.mec_bench.harness_helpers import (
    QUICK,
    assert_same,
    final_weights,
    quick,
)

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("my_algorithms:Dirs", "SIGINT"),
        ("my_algorithms:OnPolicy", "SIGTERM"),
        pytest.param("my_algorithms:Dirs", "SIGTERM", marks=SLOW),
        pytest.param("my_algorithms:Clipped", "SIGINT", marks=SLOW),
        ("my_algorithms:OffPolicy", "SIGINT"),
        pytest.param("my_algorithms:OffPolicy", "SIGTERM", marks=SLOW),
        pytest.param("my_algorithms:Deterministic", "SIGTERM", marks=SLOW),
    ],
)
def test_a_run_that_was_stopped_ends_as_if_it_never_was(
    name: str, how: str, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(name)
    whole = train(settings, user_folder / "whole")
    run = RunFolder(user_folder / "parts")
    monkeypatch.setenv("STOP_AT", "29")
    monkeypatch.setenv("STOP_WITH", how)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(settings, run.path)
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    status = run.status()
    assert status is not None
    assert status.state == "interrupted"
    last = run.last_checkpoint()
    assert last is not None
    if "OnPolicy" not in name and "Clipped" not in name:  # those go on from a rollout's beginning
        assert last.name >= run.checkpoint_path(29).name
    parts = train(settings, run.path)
    # The time of both parts counts, by both clocks.
    assert parts.seconds.training is not None
    assert parts.seconds.training_cpu is not None
    assert parts.seconds.training >= status.seconds > 0
    assert parts.seconds.training_cpu >= status.cpu_seconds > 0
    assert_same(final_weights(run.path, settings), final_weights(user_folder / "whole", settings))
    assert parts.slots == whole.slots
    points = [[(p.timesteps, p.nrr) for p in result.curve] for result in (parts, whole)]
    assert points[0] == points[1]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ac:links", {"batch_size": 8}),
        ("ddpg:links", {"learning_starts": 8, "batch_size": 8}),
        ("maddpg:links", {"learning_starts": 8, "batch_size": 8}),
    ],
)
def test_a_crash_costs_learners_with_link_networks_no_weight(
    name: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a checkpoint and some more slots."""
    settings = quick(name, arguments=arguments, timesteps=128, n_envs=2, checkpoints=4)
    train(settings, tmp_path / "whole")
    run, cls = RunFolder(tmp_path / "parts"), algorithm(name).cls
    update = cls._update_info_buffer

    def crashing(model: Any, *args: Any) -> None:
        update(model, *args)
        if model.num_timesteps >= 92:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(cls, "_update_info_buffer", crashing)
        with pytest.raises(MemoryError):
            train(settings, run.path)
    last = run.last_checkpoint()
    assert last is not None
    assert run.checkpoint_path(1).name < last.name < run.checkpoint_path(92).name
    train(settings, run.path)
    assert_same(final_weights(run.path, settings), final_weights(tmp_path / "whole", settings))


PRETRAINING = {"pretrain_steps": 60, "demonstration_population": 1000, "n_demonstrations": 20}
"""Demonstrations in parts of 8, 8 and 4, imitation in parts of 25, 25 and 10 steps."""


def long_pretraining(name: str = "my_algorithms:Dirs", **options: Any) -> Settings:
    return quick(name, arguments=QUICK[name] | PRETRAINING, **options)


@pytest.mark.parametrize(
    ("places", "next_step", "how"),
    [
        (["step-25", "step-26", "step-60"], 61, "SIGINT"),
        (["step-60", "1"], 63, "SIGTERM"),
    ],
    ids=str,
)
def test_a_run_stopped_in_pretraining_ends_as_if_it_never_was(
    places: list[str],
    next_step: int,
    how: str,
    user_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = long_pretraining()
    whole = train(settings, user_folder / "whole")
    run = RunFolder(user_folder / "parts")
    for place in places:
        monkeypatch.setenv("STOP_AT", place)
        monkeypatch.setenv("STOP_WITH", how)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(settings, run.path)
        slot = 0 if place.startswith("step") else 1
        assert run.last_checkpoint() == run.checkpoint_path(slot)
        status = run.status()
        assert status is not None
        assert (status.state, status.timesteps) == ("interrupted", slot)
    steps: list[int] = []
    descend = algorithm(settings.algorithm).cls._descend

    def counted(model: Any, *args: Any) -> None:
        descend(model, *args)
        steps.append(model._n_updates)

    monkeypatch.setattr("my_algorithms.Dirs._descend", counted)
    parts = train(settings, run.path)
    assert steps[0] == next_step  # none is taken twice
    assert_same(final_weights(run.path, settings), final_weights(user_folder / "whole", settings))
    assert parts.slots == whole.slots
    points = [[(p.timesteps, p.nrr) for p in result.curve] for result in (parts, whole)]
    assert points[0] == points[1]
    assert parts.seconds.training > 0


def test_pretraining_is_saved_now_and_then(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = long_pretraining("dirs")
    train(settings, user_folder / "whole")
    monkeypatch.setattr("mec_bench.watching._PAUSE_SECONDS", 0.0)

    def killed(*_: Any) -> None:
        raise MemoryError

    run = RunFolder(user_folder / "parts")
    with monkeypatch.context() as patch:
        patch.setattr("dirs_agents.pretraining.Pretraining._demonstrate", killed)
        with pytest.raises(MemoryError):
            train(settings, run.path)
    assert run.last_checkpoint() == run.checkpoint_path(0)
    with monkeypatch.context() as patch:
        patch.setattr("dirs_agents.DIRS._act", killed)
        with pytest.raises(MemoryError):
            train(settings, run.path)
    monkeypatch.setattr("dirs_agents.pretraining.Pretraining._demonstrate", killed)
    monkeypatch.setattr("dirs_agents.pretraining.Pretraining._imitate", killed)
    train(settings, run.path)
    assert_same(final_weights(run.path, settings), final_weights(user_folder / "whole", settings))


def test_without_checkpoints_pretraining_is_not_saved_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mec_bench.watching._PAUSE_SECONDS", 0.0)
    train(long_pretraining("dirs", checkpoints=0), tmp_path)
    assert not RunFolder(tmp_path).all_checkpoints()


def test_a_run_stopped_while_it_is_measured_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick("dirs")
    with monkeypatch.context() as patch:

        def stopped(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr("mec_bench.measuring.FrozenSlots.measured", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path)
    trained = final_weights(tmp_path, settings)
    monkeypatch.setattr("dirs_agents.DIRS.learn", lambda self, callback: pytest.fail("again"))
    result = train(settings, tmp_path)
    assert_same(trained, final_weights(tmp_path, settings))
    assert result.seconds.training > 0


def interrupted(settings: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> RunFolder:
    monkeypatch.setenv("STOP_AT", str(at))
    monkeypatch.setenv("STOP_WITH", "SIGINT")
    with pytest.raises(KeyboardInterrupt):
        train(settings, folder)
    return RunFolder(folder)


def test_a_damaged_checkpoint_is_passed_over_with_a_word(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = quick("my_algorithms:Dirs")
    train(settings, user_folder / "whole")
    run = interrupted(settings, user_folder / "parts", monkeypatch, 29)
    newest, before = run.all_checkpoints()
    newest.write_bytes(newest.read_bytes()[:1000])
    with caplog.at_level(logging.WARNING, "mec_bench"):
        train(settings, run.path)
    assert str(newest) in caplog.text
    assert str(before) not in caplog.text
    assert_same(final_weights(run.path, settings), final_weights(user_folder / "whole", settings))


def test_a_run_whose_checkpoints_are_all_damaged_says_so(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick("my_algorithms:Dirs")
    run = interrupted(settings, user_folder / "run", monkeypatch, 29)
    newest, before = run.all_checkpoints()
    newest.write_bytes(newest.read_bytes()[:1000])
    before.unlink()
    before.mkdir()
    with pytest.raises(ValueError, match=r"slot-0000000029\.zip.*Delete the run's folder") as told:
        train(settings, run.path)
    assert f"the first because: {told.value.__cause__}" in str(told.value)
    assert "directory" not in str(told.value)  # that is the other one
    assert len(run.all_checkpoints()) == 2  # nothing is thrown away by itself
