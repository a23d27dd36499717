"""Folders of runs: whole files, one writer, damage named with its cure."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mec_bench import (
    RunFolder,
    Settings,
    Status,
    algorithm,
    evaluate_again,
    read_result,
    train,
)
from mec_bench.system import system
from mec_bench.training import make_env
from mec_gym import Outcome, Scenario
from mec_gym.files import replacing, write_whole
from tests.mec_bench.harness_helpers import quick

HOLDER = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real process that holds the run in tmp_path."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    settings = quick("sb3:PPO", arguments={"policy_kwargs": {"net_arch": [8]}}, n_envs=2, seed=7)
    run = RunFolder(tmp_path)
    run.begin(settings)
    assert run.settings() == settings


@pytest.mark.parametrize("field", ["seed", "timesteps", "label", "scenario"])
def test_other_runs_lie_elsewhere(field: str) -> None:
    other = {"seed": 1, "timesteps": 49, "label": "another", "scenario": "paper-30x2"}[field]
    assert quick("dirs").place != quick("dirs", **{field: other}).place


def test_a_label_cannot_lead_out_of_the_folder() -> None:
    for label in ("../../x", "/etc/passwd", "..", "a/b", "."):
        place = quick("dirs", label=label).place
        assert len(place.parts) == 3
        assert ".." not in place.parts
        assert not place.is_absolute()


@pytest.mark.parametrize(
    ("field", "value"),
    [("timesteps", -1), ("seed", 0.5), ("n_envs", 0), ("reward", "big"), ("reward", 1),
     ("observation", "eyes"), ("measurements", 0), ("checkpoints", True)],
)  # fmt: skip
def test_settings_out_of_range_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be"):
        quick("dirs", **{field: value})


def test_a_folder_of_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.begin(quick("dirs"))
    with pytest.raises(ValueError, match=r"there seed is 0; reward is 'relative'\. Choose another"):
        run.begin(quick("dirs", seed=1, reward="negative"))
    assert run.settings() == quick("dirs")


@pytest.mark.parametrize("content", ["", "{", "[]", "\0", '{"format": 1}', '{"points": [1]}'])
@pytest.mark.parametrize("name", ["settings.json", "status.json", "curve.json"])
def test_a_damaged_file_is_named_with_a_cure(name: str, content: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / name).write_text(content)
    read = {"settings.json": run.settings, "status.json": run.status, "curve.json": run.read_curve}
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as raised:
        read[name]()
    assert str(tmp_path) in str(raised.value)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    for path in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(OSError, match="a file stands in its place"), RunFolder(path).locked():
            pass


def test_a_run_has_one_writer_at_a_time(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    run = RunFolder(tmp_path)
    run.write_status(Status(state="running", pid=held.pid, host="a-host"))
    refused = pytest.raises(BlockingIOError, match=f"process {held.pid} on a-host")
    with refused, run.locked():
        pass


def test_a_lock_whose_holder_was_killed_is_no_obstacle(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    held.send_signal(signal.SIGKILL)
    held.wait()
    assert (tmp_path / ".lock").exists()
    with RunFolder(tmp_path).locked():
        pass


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_whole(file, "first")

    def half() -> None:
        with replacing(file) as partial:
            partial.write_text("sec")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert file.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_a_killed_process_was_writing_is_swept_away(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    for stray in (tmp_path / ".partial-1-status.json", run.checkpoints / "..partial-1-slot.zip.x"):
        stray.write_text("half")
    with run.locked():
        run.begin(quick("dirs"))
    assert not list(tmp_path.rglob("*.partial-*"))


def test_settings_hold_whatever_a_constructor_takes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_resolved({"learning_rate": len, "seed": 1, "shape": (1, 2)}, {"cores": 2})
    resolved = json.loads((tmp_path / "resolved.json").read_text())
    assert resolved["arguments"] == {"learning_rate": "len", "seed": 1, "shape": [1, 2]}


def test_the_commit_of_this_checkout_is_found() -> None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert system().commit == found


# -- what a result could not hold -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"learning_rate": np.float64(1e-3)}, {"learning_rate": 1e-3}),
        ({"n_steps": np.int64(5), "net": (np.float32(0.5),)}, {"n_steps": 5, "net": [0.5]}),
        ({"normalize_advantage": np.True_}, {"normalize_advantage": True}),
    ],
)
def test_numbers_of_numpy_are_those_of_python(given: dict[str, Any], kept: dict[str, Any]) -> None:
    settings = Settings(
        algorithm="sb3:A2C", scenario="paper-30x2", timesteps=np.int64(9), arguments=given
    )
    assert settings.arguments == kept
    assert json.loads(json.dumps(settings.to_mapping()))["timesteps"] == 9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arguments": {"policy_kwargs": {"activation_fn": list}}}, "policy_kwargs.activation_fn"),
        ({"arguments": {"learning_rate": lambda left: left}}, r"arguments\.learning_rate must be"),
        (
            {"arguments": {"max_grad_norm": math.inf}},
            "max_grad_norm must be .* got inf",
        ),
        ({"label": "a\N{NO-BREAK SPACE}b"}, "label must be printable"),
        ({"scenario": Scenario.preset("paper-30x2").replace(name="a\tb")}, "scenario's name must"),
    ],
)
def test_what_a_result_cannot_hold_is_refused_before_training(
    change: dict[str, Any], words: str
) -> None:
    usual = {"algorithm": "sb3:A2C", "scenario": "paper-30x2", "timesteps": 9}
    with pytest.raises(ValueError, match=words):
        Settings(**(usual | change))


@pytest.mark.parametrize("letter", ["a", "é", "漢", "\N{MATHEMATICAL BOLD CAPITAL A}"])
def test_folders_of_long_labels_can_be_made(letter: str, tmp_path: Path) -> None:
    places = [
        Settings(algorithm="local", scenario="paper-30x2", timesteps=0, label=letter * 300 + end)
        for end in "xy"
    ]
    assert len({settings.place for settings in places}) == 2
    for settings in places:
        (tmp_path / settings.place).mkdir(parents=True)
        assert max(len(part.encode()) for part in settings.place.parts) <= 150


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.begin(Settings(algorithm="local", scenario="paper-30x2", timesteps=0))
    file = tmp_path / "settings.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    settings = run.settings()
    assert settings is not None
    assert settings.algorithm == "local"


def least_energy(outcome: Outcome) -> Any:
    return -outcome.energy_j.sum(-1)


def test_a_reward_may_be_a_function_held_by_its_name(tmp_path: Path) -> None:
    name = f"{__name__}:least_energy"
    settings = quick("sb3:A2C", 8, reward=least_energy)
    assert settings == quick("sb3:A2C", 8, reward=name)
    assert settings.changed["env.reward"] == name
    result = train(settings, tmp_path)
    assert read_result(tmp_path / "result.json").arguments["env.reward"] == name
    assert RunFolder(tmp_path).settings() == settings
    (again,) = evaluate_again([tmp_path])
    assert again.slots == result.slots
    env = make_env(settings, algorithm("sb3:A2C"))
    env.reset()
    rewards, infos = env.step(np.ones((1, 4), dtype=int))[1::2]
    assert rewards[0] == pytest.approx(-infos[0]["energy_j"], rel=1e-6)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda outcome: 0.0, ValueError, "^reward must stand at the top of a module"),
        ("no_module:f", ModuleNotFoundError, "^reward 'no_module:f': there is no module"),
        ("json:lods", AttributeError, "^reward 'json:lods': .*did you mean 'loads'"),
    ],
)
def test_a_reward_that_no_name_finds_is_refused(
    given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        quick("sb3:A2C", reward=given)
