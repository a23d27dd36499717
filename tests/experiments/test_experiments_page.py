"""Every command and snippet of docs/experiments.md runs, with fewer slots and seeds."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
FEWER = {"3000": "20", "paper-30x2=3000": "paper-30x2=20", "50": "1", "5": "2"}
SMALLER = {"n_steps=64": "n_steps=5", "sb3:PPO:n_steps=64": "sb3:PPO:n_steps=5"}


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("python scripts/")]


def shortened(command: list[str]) -> list[str]:
    words = [(FEWER | SMALLER).get(word, word) for word in command[2:]]
    words = [re.sub("dirs-3000", "dirs-20", word) for word in words]
    if command[1].endswith("benchmark.py") and "--timesteps" not in words:
        words += ["--timesteps", "20"]
    return [sys.executable, str(ROOT / command[1]), *words]


def test_the_page_has_its_commands() -> None:
    scripts = [Path(command[1]).name for command in commands()]
    assert {name: scripts.count(name) for name in set(scripts)} == {
        "train.py": 3, "evaluate.py": 2, "benchmark.py": 4
    }  # fmt: skip


@pytest.mark.slow
def test_every_command_and_snippet_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.json").write_text(
        re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)[0]
    )
    has_ray = shutil.which("ray", path=str(Path(sys.executable).parent))
    for command in commands():
        if "ray" in command and (not has_ray or "auto" in command):
            continue  # a cluster is met in test_ray.py
        if "model.zip" in command:
            shutil.copy(next((tmp_path / "runs/paper-30x2").glob("dirs-*/*/model.zip")), tmp_path)
        done = subprocess.run(
            shortened(command), capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    for snippet in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S):
        exec(compile(snippet, "experiments.md", "exec"), {})
