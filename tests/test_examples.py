"""Examples of "bring your own" are short and get all that the project's own algorithms get."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mec_gym import Scenario

ROOT = Path(__file__).resolve().parents[1]


def run(folder: Path, script: str, *options: str) -> str:
    command = [sys.executable, str(ROOT / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_algorithm_has_at_most_40_lines_that_are_not_blank() -> None:
    lines = (ROOT / "examples/cross_entropy.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 40


@pytest.mark.slow
def test_an_algorithm_of_ones_own_is_trained_measured_and_ranked(tmp_path: Path) -> None:
    (tmp_path / "cross_entropy.py").write_text((ROOT / "examples/cross_entropy.py").read_text())
    Scenario(n_devices=6, n_servers=2, name="six").to_json(tmp_path / "six.json")
    run(
        tmp_path,
        "scripts/train.py",
        *("--algo", "cross_entropy:CrossEntropy", "--scenario", "six.json"),
        *("--timesteps", "2000", "--set", "sample=40", "--quiet"),
    )
    printed = run(tmp_path, "scripts/evaluate.py", "runs", "random", "--layouts", "10")
    run(tmp_path, "scripts/report.py", "runs", "--out", "report")
    (ranked,) = json.loads((tmp_path / "report/leaderboard.json").read_text())["tables"][0]["rows"]
    assert ranked["label"] == "cross_entropy:CrossEntropy[sample=40]"
    rows = [line.split() for line in printed.partition("Slots:")[0].splitlines() if "[0." in line]
    nrr = {label: float(mean) for label, _, mean, *_ in rows}
    assert nrr["cross_entropy:CrossEntropy[sample=40]"] > nrr["random"]


def test_a_scenario_of_ones_own_comes_from_two_tables(tmp_path: Path) -> None:
    pytest.importorskip("pettingzoo")
    printed = run(tmp_path, "examples/my_sites.py")
    assert "40 devices, 4 servers" in printed
    assert Scenario.from_json(tmp_path / "my-sites.json").n_devices == 40


def test_a_moving_scenario_of_ones_own_comes_from_recorded_rides(tmp_path: Path) -> None:
    pytest.importorskip("pettingzoo")
    printed = run(tmp_path, "examples/my_traces.py")
    assert "12 bikes, of which 72% are present" in printed
    ratios = [float(line.split()[-1]) for line in printed.splitlines() if "hindsight" in line]
    # There is something to learn: neither each move at its price nor none is near the best.
    assert 0.3 < max(ratios) == ratios[1] < 0.9
    scenario = Scenario.from_json(tmp_path / "my-traces.json")
    assert (scenario.n_devices, scenario.n_servers, scenario.absences) == (12, 4, True)


def ratios(text: str) -> dict[str, float]:
    """Return the ratios that examples/moving_world.py prints, by their row's name."""
    rows = re.findall(r"^(\S.*?)  +(\d\.\d{3}) (?:± \d\.\d{3}|or more)$", text, re.M)
    return {re.sub(r"[\d,]+ slots", "slots", name): float(ratio) for name, ratio in rows}


@pytest.mark.slow
def test_a_stock_learner_is_trained_in_a_world_that_moves(tmp_path: Path) -> None:
    printed = run(tmp_path, "examples/moving_world.py", "2048")
    found = ratios(printed)
    assert len(found) == len(printed.splitlines())
    assert all(0.0 < ratio <= 1.0 for ratio in found.values())
    # What the page shows are the same rows, of 200,000 slots.
    assert list(found) == list(ratios((ROOT / "docs/dynamics.md").read_text(encoding="utf-8")))
