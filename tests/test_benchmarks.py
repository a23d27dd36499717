"""The benchmarks run and report; what they assert about optima holds. No test asserts a speed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_a_quick_run_writes_the_whole_report(tmp_path: Path) -> None:
    for package in ("cvxpy", "pymoo", "matplotlib", "stable_baselines3"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    raw = json.loads((tmp_path / "results.json").read_text())
    page = (tmp_path / "README.md").read_text()
    assert set(raw["results"]) == {
        "single step", "vector env", "steps with the optimum", "memory", "allocation", "optimum",
        "batched optimum", "gaps", "training", "gradient step", "inference", "search",
        "actor-critic", "harness", "matrix", "maddpg", "moving worlds", "hindsight",
        "sizes of hindsight", "mappo",
    }  # fmt: skip
    for rows in raw["results"].values():
        assert rows
        for row in rows:
            assert row["name"] in page
            assert row["ratio"] >= 0
    assert "Table V" in page  # where the project's own DDPG stands
    assert (tmp_path / "solve_scaling.png").read_bytes().startswith(b"\x89PNG")
    assert len(raw["scaling"]) == 4


def test_one_suite_is_measured_again_and_the_others_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--out", str(tmp_path), "--only"]

    def measured(suite: str) -> dict[str, Any]:
        subprocess.run([*command, suite], capture_output=True, check=True, cwd=ROOT)
        found: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
        return found

    first = measured("single step")
    second = measured("vector env")
    assert list(second["results"]) == list(second["systems"]) == ["single step", "vector env"]
    assert second["results"]["single step"] == first["results"]["single step"]
    (tmp_path / "results.json").write_text(json.dumps(second | {"quick": False}))
    done = subprocess.run([*command, "memory"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "whose quick differ" in done.stderr
