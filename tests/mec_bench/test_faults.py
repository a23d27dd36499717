"""Faults, done to real processes: a clear word, nothing lost, the others go on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mec_bench import RunFolder, train
from mec_bench.launching import Processes
from mec_bench.matrix import run_matrix, tasks_of
from mec_bench.run import Status
from tests.mec_bench.harness_helpers import QUICK, SMALL, assert_same, final_weights, quick

ROOT = Path(__file__).resolve().parents[2]
DIRS = "my_algorithms:Dirs"
SLOW = pytest.mark.slow


def words(options: dict[str, Any]) -> list[str]:
    return [f"{key}={str(value).replace(' ', '')}" for key, value in options.items()]


def script(name: str, *options: str, env: dict[str, str], **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / name), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env, **kwargs,
    )  # fmt: skip


@pytest.fixture
def scenario(user_folder: Path) -> str:
    SMALL.to_json(str(user_folder / "small.json"))
    return "small.json"


@SLOW
@pytest.mark.parametrize(
    ("number", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGINT", 130), ("SIGTERM", 143)]
)
def test_a_training_that_is_ended_goes_on_to_the_same_weights(
    number: str, code: int, user_folder: Path, scenario: str
) -> None:
    options = [
        *("--algo", DIRS, "--scenario", scenario, "--timesteps", "48", "--quiet"),
        *("--label", DIRS, "--set", *words(QUICK[DIRS])),
    ]
    with script("train.py", *options, env={"STOP_AT": "29", "STOP_WITH": number}) as process:
        printed, _ = process.communicate()
    assert process.returncode == code, printed
    assert "Traceback" not in printed
    settings = quick(DIRS)
    place = Path("runs") / settings.place
    with script("train.py", "--resume", str(place), env={}) as process:
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    whole, parts = train(settings, user_folder / "whole"), RunFolder(place).final_result()
    assert_same(final_weights(place, settings), final_weights(user_folder / "whole", settings))
    assert whole.slots == parts.slots
    # It did go on: from its last checkpoint, or where it was asked to end.
    assert (place / f"progress-from-{20 if number == 'SIGKILL' else 29}.csv").exists()


def test_a_matrix_survives_what_befalls_its_runs(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers look for modules where this process does; nothing of pymoo can be imported there.
    hidden = user_folder / "hidden" / "pymoo"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'pymoo'\")")
    monkeypatch.syspath_prepend(str(hidden.parent))
    monkeypatch.setenv("STOP_AT", "29")
    monkeypatch.setenv("STOP_WITH", "SIGKILL")
    monkeypatch.setenv("STOP_SEED", "0")
    runs = [
        quick(DIRS),
        quick("pso", 0),
        quick("local", 0),
        quick("nearest", 0),
        quick("random", 0),
    ]
    runs += [quick(DIRS, seed=1), quick("greedy", 0)]
    out = user_folder / "runs"
    in_place, damaged, held = (task.folder for task in tasks_of(runs, out)[2:5])
    for folder in (in_place, damaged, held):
        folder.parent.mkdir(parents=True, exist_ok=True)
    in_place.write_text("a file")
    damaged.mkdir()
    (damaged / "settings.json").write_text("{")
    held.mkdir()
    with FileLock(held / ".lock"):
        report = run_matrix(runs, out, Processes(2))
    states = {o.task.settings.label + f" {o.task.settings.seed}": o for o in report.outcomes}
    assert {name: one.state for name, one in states.items()} == {
        f"{DIRS} 0": "failed", "pso 0": "failed", "local 0": "failed", "nearest 0": "failed",
        "random 0": "held", f"{DIRS} 1": "done", "greedy 0": "done",
    }  # fmt: skip
    assert "killed by SIGKILL" in states[f"{DIRS} 0"].reason
    assert 'pip install "mec-gym[search]"' in states["pso 0"].reason
    assert "a file stands in its place" in states["local 0"].reason
    assert str(damaged / "settings.json") in states["nearest 0"].reason
    assert report.status == 1
    killed = RunFolder(tasks_of(runs, out)[0].folder)
    status = killed.status()
    assert status is not None
    assert (status.state, "SIGKILL" in status.error) == ("failed", True)
    # Once more, without the fault: it goes on, to where it would have come at once.
    monkeypatch.delenv("STOP_AT")
    again = run_matrix(runs[:1] + runs[5:], out, Processes(1))
    assert [one.state for one in again.outcomes] == ["done", "there", "there"]
    train(runs[0], user_folder / "whole")
    assert_same(final_weights(killed.path, runs[0]), final_weights(user_folder / "whole", runs[0]))


def mount(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small file system")


@pytest.fixture
def small_disk(user_folder: Path) -> Iterator[Path]:
    """A disk of its own, and too small a one, for the run of DIRS."""
    folder = tasks_of([quick("dirs")], user_folder / "runs")[0].folder
    folder.mkdir(parents=True)
    mount(folder, "size=112k")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@SLOW
def test_a_full_disk_fails_one_run_which_goes_on_when_there_is_room(
    user_folder: Path, small_disk: Path
) -> None:
    runs = [quick("dirs"), quick("greedy", 0)]
    report = run_matrix(runs, user_folder / "runs", Processes(1))
    assert [one.state for one in report.outcomes] == ["failed", "done"]
    assert "No space left on device" in report.failures[0].reason
    kept = RunFolder(small_disk).all_checkpoints()
    mount(small_disk, "remount,size=8m")
    again = run_matrix(runs, user_folder / "runs", Processes(1))
    assert [one.state for one in again.outcomes] == ["done", "there"]
    assert kept, "the disk was full before the first checkpoint: choose another size"
    train(runs[0], user_folder / "whole")
    assert_same(final_weights(small_disk, runs[0]), final_weights(user_folder / "whole", runs[0]))


@SLOW
def test_a_limit_on_files_fails_one_run_and_the_others_go_on(user_folder: Path) -> None:
    # The limit is that of the workers: they inherit it. Only DIRS with a large network meets it.
    large = quick("dirs", arguments={**QUICK["dirs"], "policy_kwargs.net_arch": [400, 400]})
    runs = [large, quick("greedy", 0)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        report = run_matrix(runs, user_folder / "runs", Processes(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert [one.state for one in report.outcomes] == ["failed", "done"]
    assert "File too large" in report.failures[0].reason


@pytest.mark.parametrize(
    ("number", "times", "launcher"),
    [
        ("SIGINT", 1, "processes"),
        pytest.param("SIGTERM", 1, "processes", marks=SLOW),
        pytest.param("SIGINT", 2, "processes", marks=SLOW),
        pytest.param("SIGINT", 1, "ray", marks=SLOW),
    ],
)
def test_a_matrix_that_is_stopped_says_how_to_go_on_and_goes_on(
    number: str, times: int, launcher: str, user_folder: Path, scenario: str
) -> None:
    if launcher == "ray":
        pytest.importorskip("ray")
    options = [
        *("--launcher", launcher),
        *("--algos", "greedy", DIRS, "--scenarios", scenario, "--seeds", "2", "--jobs", "1"),
        *("--timesteps", "600", "--set", *(f"{DIRS}:{word}" for word in words(QUICK[DIRS]))),
    ]
    with script("benchmark.py", *options, env={}) as process:
        wait_for(lambda: any(read_state(f) == "running" and at(f) > 100 for f in statuses()))
        for _ in range(times):
            os.killpg(process.pid, getattr(signal, number))
            time.sleep(0.02)
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "Stopping" in printed
    assert "To go on: python" in printed
    assert "Traceback" not in printed
    if times == 1:
        assert [read_state(file) for file in statuses()].count("interrupted") == 1
    with script("benchmark.py", *options, env={}) as process:
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "was done before" in printed
    assert "3 runs done, 0 not" in printed
    assert list(Path("runs").rglob("progress-from-*.csv"))  # it did go on


@SLOW
def test_a_second_ctrl_c_does_not_wait(user_folder: Path, scenario: str) -> None:
    options = ["--algos", "my_algorithms:Deaf", "--scenarios", scenario, "--seeds", "1"]
    with script("benchmark.py", *options, "--timesteps", "100", env={}) as process:
        wait_for(Path("deaf").exists)
        os.killpg(process.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # asked once, it would wait for its run
            process.communicate(timeout=5)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=15)
    assert process.returncode == 130, printed
    assert [read_state(file) for file in statuses()] != ["done"]


@SLOW
def test_workers_end_with_a_parent_that_was_killed(user_folder: Path, scenario: str) -> None:
    options = [
        *("--algos", DIRS, "--scenarios", scenario, "--seeds", "1", "--timesteps", "100000"),
        *("--set", *(f"{DIRS}:{word}" for word in words(QUICK[DIRS]))),
    ]
    with script("benchmark.py", *options, env={}) as process:
        wait_for(lambda: any(at(file) > 10 for file in statuses()))
        process.kill()
        process.wait()
        wait_for(lambda: read_state(statuses()[0]) == "interrupted")
    with RunFolder(statuses()[0].parent).locked():
        pass


def statuses() -> list[Path]:
    return sorted(Path("runs").rglob("status.json"))


def status_of(file: Path) -> Status | None:
    return RunFolder(file.parent).status()


def read_state(file: Path) -> str:
    status = status_of(file)
    return status.state if status else ""


def at(file: Path) -> int:
    status = status_of(file)
    return status.timesteps if status else 0


def wait_for(condition: Any, seconds: float = 180.0) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.05)
