"""Every command of the pages that show commands runs, with fewer slots and seeds."""

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
PAGES = ("README.md", "docs/training.md", "docs/bring-your-own.md")
SMALLER = {
    "3000": "20",
    "5000": "20",
    "1000": "20",
    "paper-30x2=3000": "paper-30x2=20",
    "50": "1",
    "5": "2",
    "n_steps=64": "n_steps=5",
    "sb3:PPO:n_steps=64": "sb3:PPO:n_steps=5",
    # One size serves all, and one table of nine.
    "paper-200x10": "paper-30x2",
    "all": "table2",
}


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```", text(page), re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("python ", "mec-gym "))]


def shortened(command: list[str]) -> list[str]:
    program = ["-m", "mec_gym"] if command[0] == "mec-gym" else []
    words = [SMALLER.get(word, word) for word in command[1:]]
    words = [re.sub("paper-200x10", "paper-30x2", word) for word in words]
    words = [re.sub("dirs-[35]000", "dirs-20", word) for word in words]
    trains = {"train", "benchmark", "scripts/train.py", "scripts/benchmark.py"} & set(words)
    if trains and not {"--timesteps", "--resume"} & set(words):
        words += ["--timesteps", "20"]
    return [sys.executable, *program, *words]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_commands(page: str) -> None:
    assert commands(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("scripts", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    for settings in re.findall(r"^```json\n(.*?)^```", text(page), re.M | re.S):
        (tmp_path / "settings.json").write_text(settings)
    has_ray = shutil.which("ray", path=str(Path(sys.executable).parent))
    for command in commands(page):
        if "ray" in command and (not has_ray or "auto" in command):
            continue  # a cluster is met in test_ray.py
        if "model.zip" in command:
            shutil.copy(next((tmp_path / "runs/paper-30x2").glob("dirs-*/*/model.zip")), tmp_path)
        done = subprocess.run(
            shortened(command), capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
