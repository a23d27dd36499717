"""A run leaves what it promises, says what is amiss, and is not disturbed by being watched."""

from __future__ import annotations

import csv
import logging
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mec_bench import RunFolder, algorithm, evaluate_again, read_result, train
from mec_bench.launching import Task, carry_out
from mec_bench.measuring import decisions_of, figures, frozen_slots
from mec_bench.run import Settings
from mec_bench.training import make_env, notes_on, seed_env
from mec_bench.watching import ProgressBar
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from tests.mec_bench.harness_helpers import (
    SMALL,
    assert_same,
    final_weights,
    quick,
    weights,
)


@pytest.mark.parametrize("name", ["dirs", "sb3:A2C", "sb3:SAC"])
def test_being_watched_does_not_change_what_is_learned(name: str, tmp_path: Path) -> None:
    settings = quick(name)
    train(settings, tmp_path)
    chosen = algorithm(name, settings.arguments)
    size = {"buffer_size": 49} if name == "sb3:SAC" else {}
    env = make_env(settings, chosen)
    bare = chosen.build(env, seed=0, device="cpu", **size)
    seed_env(env, 0)
    bare.learn(settings.timesteps)
    assert_same(final_weights(tmp_path, settings), weights(bare))


@pytest.mark.parametrize("name", ["ac", "sb3:SAC", "dirs"])
def test_runs_of_neighbouring_seeds_see_no_slot_in_common(name: str) -> None:
    seen = []
    for seed in range(3):
        settings = Settings(
            algorithm=name, scenario=SMALL, timesteps=10, seed=seed, n_envs=16, observation="flat"
        )
        chosen = algorithm(name)
        env = make_env(settings, chosen)
        chosen.build(env, seed=seed, device="cpu", **({"buffer_size": 9} if "SAC" in name else {}))
        seed_env(env, seed)
        seen += [row.tobytes() for row in env.reset()]
    assert len(set(seen)) == 3 * 16


def test_what_an_algorithm_writes_into_its_arguments_is_none_of_the_runs(tmp_path: Path) -> None:
    # A2C keeps its optimizer's class among the policy_kwargs that it was given.
    arguments = {"policy_kwargs": {"net_arch": [8]}, "n_steps": 8}
    settings = Settings(algorithm="sb3:A2C", scenario=SMALL, timesteps=16, arguments=arguments)
    assert train(settings, tmp_path).arguments == arguments


@pytest.mark.parametrize("key", ["seed", "device", "env", "verbose"])
def test_what_the_run_sets_is_no_argument_to_change(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key!r} is not an argument to change"):
        algorithm("dirs", {key: 1})


def test_a_label_says_how_the_env_differs() -> None:
    settings = Settings(
        algorithm="sb3:PPO", scenario=SMALL, timesteps=9, n_envs=4, reward="negative"
    )
    assert settings.label == "sb3:PPO[env.n_envs=4, env.reward=negative]"
    long = Settings(algorithm="dirs", scenario=SMALL, timesteps=9, label="x" * 300)
    assert len(long.place.parts[1]) < 140
    with pytest.raises(ValueError, match="seed must be an integer within"):
        Settings(algorithm="dirs", scenario=SMALL, timesteps=9, seed=5_000_000_000)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("it is there")
    settings = Settings(algorithm="dirs", scenario=SMALL, timesteps=9, device="cuda")
    with pytest.raises(ValueError, match="'cuda' is not there"):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cpo", "meta", None])
def test_what_torch_cannot_compute_on_is_refused_before_there_is_a_run(
    device: Any, tmp_path: Path
) -> None:
    settings = Settings(algorithm="ac", scenario=SMALL, timesteps=9, device=device)
    with pytest.raises(ValueError, match="device must be one that torch can compute on"):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_policy_that_asks_for_masks_gets_them() -> None:
    forced = Scenario(n_devices=4, n_servers=2, max_power_w=(0.5, 1.5, 1.5, 0.5), name="forced")
    settings = Settings(algorithm="sb3_contrib:MaskablePPO", scenario=forced, timesteps=9)
    chosen = algorithm(settings.algorithm)
    model = chosen.build(make_env(settings, chosen), seed=0, device="cpu")
    frozen = frozen_slots(forced, layouts=4)
    decisions = decisions_of(model, forced)(frozen.observations("flat"))
    assert (decisions[:, [0, 3]] > 0).all()


def test_measuring_draws_nothing_from_anybodys_generators() -> None:
    settings = quick("sb3:SAC")
    chosen = algorithm("sb3:SAC", settings.arguments)
    model = chosen.build(make_env(settings, chosen), seed=0, device="cpu")

    def states() -> list[Any]:
        numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002
        return [
            random.getstate(),
            numpy_state[1].tolist(),  # type: ignore[index]
            numpy_state[2],
            torch.get_rng_state().tolist(),
            model.action_space.np_random.bit_generator.state,
        ]

    before = states()
    frozen = frozen_slots(SMALL, layouts=3)
    figures(frozen, decisions_of(model, SMALL)(frozen.observations("flat")))
    assert states() == before


def test_a_run_leaves_what_it_promises(tmp_path: Path) -> None:
    settings = quick("dirs", seed=3)
    result = train(settings, tmp_path)
    run = RunFolder(tmp_path)
    assert read_result(run.result) == result
    assert run.settings() == settings
    status = run.status()
    assert status is not None
    assert (status.state, status.timesteps) == ("done", 48)
    assert status.seconds == result.seconds.training > 0
    assert [point.timesteps for point in result.curve] == [0, 16, 32, 48]
    assert result.curve[-1].nrr == pytest.approx(np.mean(result.slots.nrr), abs=1e-12)
    assert result.curve[-1].seconds <= result.seconds.training
    assert len(run.all_checkpoints()) == 2
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row.get("frozen/nrr") for row in rows)
    assert list(tmp_path.glob("events.out.tfevents.*"))
    assert not list(tmp_path.rglob("*.partial-*"))


def test_a_run_that_is_done_is_not_repeated(tmp_path: Path) -> None:
    settings = quick("sb3:A2C")
    first = train(settings, tmp_path)
    written = RunFolder(tmp_path).model.stat().st_mtime_ns
    assert train(settings, tmp_path) == first
    assert RunFolder(tmp_path).model.stat().st_mtime_ns == written


def test_a_rule_has_no_budget(tmp_path: Path) -> None:
    result = train(quick("greedy", 500), tmp_path)
    assert (result.learns, result.timesteps, result.curve) == (False, 0, ())


def events_of(folder: Path) -> Any:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    return events


def test_tensorboard_gets_curves_and_pictures_of_dirs(tmp_path: Path) -> None:
    pytest.importorskip("pygame")
    train(quick("dirs", timesteps=150), tmp_path)
    events = events_of(tmp_path)
    for tag in ("mec/objective", "train/loss_mec_1"):
        # DIRS itself writes after 100 slots alone.
        assert [event.step for event in events.Scalars(tag)] == [50, 100, 150]
    assert [image.step for image in events.Images("network/decisions")] == [0, 150]


def test_a_rule_is_a_point_in_tensorboard(tmp_path: Path) -> None:
    result = train(quick("greedy"), tmp_path)
    events = events_of(tmp_path)
    (point,) = events.Scalars("frozen/nrr")
    assert point.step == 0
    assert point.value == pytest.approx(np.mean(result.slots.nrr), rel=1e-6)
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")


def test_a_failure_is_written_down(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise FloatingPointError("not a number any more")

    monkeypatch.setattr("dirs_agents.DIRS._train_online", broken)
    with pytest.raises(FloatingPointError):
        train(quick("dirs"), user_folder / "run")
    status = RunFolder(user_folder / "run").status()
    assert status is not None
    assert status.state == "failed"
    assert status.error.startswith("FloatingPointError: not a number any more (test_training.py,")


def test_code_that_ends_the_process_fails_like_any_other(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirs_agents.DIRS._train_online", lambda *_: sys.exit(0))
    task = Task(quick("dirs"), user_folder / "run")
    assert (carried := carry_out(task)).state == "failed"
    assert "ends the process: SystemExit(0)" in carried.reason
    (user_folder / "ends.py").write_text(
        "import sys\nclass Built:\n    def __init__(self, env): sys.exit(0)\n"
        "    def learn(self, total_timesteps): pass\n"
        "    def predict(self, observation): pass\n"
        "def rule(scenario, slot, rng): sys.exit(0)\n"
    )
    with pytest.raises(TypeError, match="the algorithm ends the process"):
        algorithm("ends:Built")
    with pytest.raises(RuntimeError, match="the algorithm ends the process"):
        list(evaluate_again(["ends:rule"], scenario="paper-30x2", layouts=1))
    (user_folder / "script.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ValueError, match=r"importing script ends the process \(SystemExit\(0\)"):
        algorithm("script:Learner")


def test_a_class_that_cannot_be_trained_is_refused_by_what_it_lacks(user_folder: Path) -> None:
    (user_folder / "theirs.py").write_text(
        "class Alien:\n"
        "    def __init__(self, env, seed=0): pass\n"
        "    def learn(self, total_timesteps, callback=None): return self\n"
        "    def predict(self, observation): return None, None\n"
        "    def save(self, path): pass\n"
        "    load = set_logger = save\n"
    )
    with pytest.raises(TypeError, match="Alien lacks num_timesteps"):
        train(quick("theirs:Alien"), user_folder / "run")


@pytest.mark.parametrize(
    ("name", "arguments", "budget", "word"),
    [
        (
            "sb3:PPO",
            {"n_steps": 32, "batch_size": 32},
            31,
            "does not learn at all: it takes a rollout of 32",
        ),
        ("sb3:PPO", {"n_steps": 32, "batch_size": 32}, 40, "learns from 32 of 40 slots"),
        ("sb3:SAC", {"learning_starts": 20}, 20, "does not learn at all"),
        ("sb3:A2C", {"n_steps": 4}, 8, ""),
        ("mappo", {"n_steps": 100}, 20, "does not learn at all"),
        ("mappo", {"n_steps": 2}, 80, "learns from 64 of 80 slots"),
        ("mappo", {"n_steps": 2}, 50, ""),  # ends after 64
    ],
)
def test_a_budget_that_is_not_used_is_said(
    name: str,
    arguments: dict[str, Any],
    budget: int,
    word: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "mec_bench"):
        result = train(quick(name, budget, arguments=arguments | {"gamma": 0.0}), tmp_path)
    assert word in caplog.text
    assert bool(word) == bool(caplog.text)
    # And is not forgotten.
    assert word in "".join(read_result(tmp_path / "result.json").notes)
    assert bool(word) == bool(result.notes)
    (again,) = evaluate_again([tmp_path])
    assert again.notes == result.notes


@pytest.mark.parametrize("gamma", [0.0, 0.9])
@pytest.mark.parametrize("moves", [False, True])
def test_a_discount_that_does_not_suit_the_world_is_said(gamma: float, moves: bool) -> None:
    scenario = Scenario(n_devices=4, n_servers=2, migration_s=1.0 * moves)
    model = algorithm("sb3:A2C", {"gamma": gamma}).build(make_sb3_vec_env(scenario))
    (note,) = notes_on(model, 0, scenario) or ("",)
    assert ("is 0:" in note) is (moves and not gamma)
    assert ("above 0:" in note) is (not moves and bool(gamma))


@pytest.mark.parametrize(
    ("name", "never"),
    [
        ("ddpg", {"train_freq": 100, "learning_starts": 5, "batch_size": 8}),
        ("droo", {"train_interval": 100}),
    ],
)
def test_training_without_a_gradient_step_is_said(
    name: str, never: dict[str, Any], tmp_path: Path
) -> None:
    result = train(quick(name, 20, arguments=never), tmp_path)
    assert result.notes == ("it has not learned at all: training took no gradient step.",)
    (again,) = evaluate_again([tmp_path])
    assert again.notes == result.notes


def test_a_search_says_in_what_it_is_more_than_a_plain_one(tmp_path: Path) -> None:
    pytest.importorskip("pymoo")
    few = {"max_evaluations": 4}
    usual = train(quick("pso", 0, arguments=few), tmp_path / "usual")
    assert "servers' prices" in usual.notes[0]
    assert "greedy decision" in usual.notes[0]
    plain = few | {"encoding": "floor", "start": "random"}
    assert train(quick("pso", 0, arguments=plain), tmp_path / "plain").notes == ()


@pytest.mark.parametrize(("name", "copies", "most"), [("dirs", 5, 52), ("sb3:A2C", 5, 52)])
def test_a_budget_counts_slots_of_all_copies(
    name: str, copies: int, most: int, tmp_path: Path
) -> None:
    settings = quick(name, n_envs=copies)
    result = train(settings, tmp_path)
    assert settings.timesteps <= result.curve[-1].timesteps <= most


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_the_progress_bar_says_how_far_pretraining_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rich")
    shown: list[tuple[str, float]] = []
    show = ProgressBar._show

    def noted(bar: ProgressBar, stage: str) -> None:
        show(bar, stage)
        assert bar.pbar.desc.rstrip(": ") == stage
        shown.append((stage, bar.pbar.n))

    monkeypatch.setattr(ProgressBar, "_show", noted)
    train(quick("dirs"), tmp_path, progress_bar=True)
    stages = ["demonstrations 0/8", "imitation 0/3", ""]
    assert shown == [(stage, 0) for stage in stages]


def test_training_is_there_without_the_extras_for_looks() -> None:
    hidden = "sys.modules.update(dict.fromkeys(('pygame', 'tqdm', 'rich', 'tensorboard')))"
    command = [sys.executable, "-c", f"import sys; {hidden}; import mec_bench.training"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_missing_extras_do_not_stop_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("pygame", "tqdm", "rich"):
        monkeypatch.setitem(sys.modules, name, None)
    find, gone = __import__("importlib.util").util.find_spec, ("tqdm", "rich", "tensorboard")
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in gone else find(name)
    )
    with caplog.at_level(logging.WARNING, "mec_bench"):
        train(quick("sb3:A2C"), tmp_path, progress_bar=True)
    assert "mec-gym[progress]" in caplog.text
    assert "no tensorboard here" in caplog.text
    assert (tmp_path / "progress.csv").stat().st_size
    assert not list(tmp_path.glob("events*"))


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_the_progress_bar_ends_at_its_total_for_any_algorithm() -> None:
    pytest.importorskip("rich")
    counted: list[float] = []

    class Noted(ProgressBar):
        def _on_training_end(self) -> None:
            counted.append(self.pbar.n)
            super()._on_training_end()

    class Plain:
        """It steps through nothing, three slots at a time."""

        num_timesteps = 4

        def learn(self, total_timesteps: int, callback: ProgressBar) -> None:
            callback.init_callback(self)  # type: ignore[arg-type]
            callback.on_training_start({}, {})
            while self.num_timesteps < 4 + total_timesteps:
                self.num_timesteps += 3
                callback.on_step()
            callback.on_training_end()

    Plain().learn(8, Noted(8))
    # Of 12 in all it began at 4; the total, also where the last step goes beyond it.
    assert counted == [12]


def test_a_run_that_began_is_never_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "scenario" / "label" / "seed-0"
    train(quick("sb3:A2C"), folder)
    before = sorted(folder.rglob("*"))
    RunFolder(folder).forget()
    assert sorted(folder.rglob("*")) == before
    (folder / "result.json").unlink()
    (folder / "curve.json").unlink()
    RunFolder(folder).forget()  # a checkpoint is left
    assert (folder / "model.zip").exists()
    beside = tmp_path / "scenario" / "other" / "seed-0"
    beside.mkdir(parents=True)
    RunFolder(beside).forget()
    assert not beside.parent.exists()
    assert folder.exists()
