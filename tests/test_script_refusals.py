"""What scripts cannot use they refuse: one sentence, the exit status, and nothing written."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stable_baselines3")

from mec_gym import Scenario

ROOT = Path(__file__).resolve().parents[1]
Script = Callable[..., tuple[int, str, str]]


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Script:
    """Run a script in this process, in a folder of its own; return status, output and errors."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    def run(name: str, *options: str | Path) -> tuple[int, str, str]:
        path = str(ROOT / "scripts" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *map(str, options)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        status: Any = 0
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "benchmark"])
def test_a_settings_file_is_heeded_or_refused(script: Script, tmp_path: Path, name: str) -> None:
    small = tmp_path / "small.json"
    Scenario(n_devices=3, n_servers=1, name="small").to_json(small)
    config = tmp_path / "settings.json"
    config.write_text('{"sb3:A2C": {"n_steps": 2, "env.n_envs": 3, "env.reward": "negative"}}')
    algo, scenario = ("--algo", "--scenario") if name == "train" else ("--algos", "--scenarios")
    given = (scenario, small, "--timesteps", 6, "--config", config, "--out", tmp_path / "runs")
    status, _, said = script(name, algo, "sb3:PPO", *given)
    assert (status, "sb3:A2C" in said) == (1, True)
    assert not (tmp_path / "runs").exists()
    own = ("--quiet",) if name == "train" else ("--seeds", 1)
    assert script(name, algo, "sb3:A2C", "--reward", "relative", *own, *given)[0] == 0
    (file,) = (tmp_path / "runs").rglob("settings.json")
    found = json.loads(file.read_text())["settings"]
    assert (found["n_envs"], found["reward"], found["arguments"]) == (3, "relative", {"n_steps": 2})


@pytest.mark.parametrize(
    ("algo", "given", "what"),
    [
        ("dirs", "learning_rate=-1", "learning_rate"),
        ("dirs", "policy_kwargs.net_arch=x", "net_arch"),
        ("sb3:PPO", "batch_size=1", "batch_size"),
        ("pso", "max_evaluations=0", "max_evaluations"),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_folder(
    script: Script, tmp_path: Path, algo: str, given: str, what: str
) -> None:
    options = ("--algo", algo, "--scenario", "paper-30x2", "--timesteps", "10", "--set")
    status, _, errors = script("train", *options, *given.split(), "--out", tmp_path)
    assert status == 1
    assert errors.startswith("error: ")
    assert what in errors.splitlines()[0]
    assert list(tmp_path.iterdir()) == []
