"""Scripts run as a user runs them and leave what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mec_gym import Scenario

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *options: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_demo_trains_measures_and_reports(tmp_path: Path) -> None:
    for extra in ("pygame", "pymoo", "matplotlib"):
        pytest.importorskip(extra)
    small = Scenario(n_devices=6, n_servers=2, name="six devices").to_json(tmp_path / "six.json")
    assert small
    out = tmp_path / "demo"
    printed = run(
        *("demo.py", "--scenario", str(tmp_path / "six.json")),
        *("--timesteps", "20", "--out", str(out)),
    )
    for word in ("dirs:prices", "greedy", "pso[max_evaluations=200]", "(optimum)", "--logdir"):
        assert word in printed
    assert (out / "slot.png").read_bytes().startswith(b"\x89PNG")
    assert "six devices" in (out / "report.html").read_text()
    nrr = [float(line.split()[2]) for line in printed.splitlines() if line.startswith("dirs ")]
    assert 0 < nrr[0] <= 1


@pytest.mark.slow
def test_regimes_writes_its_page_and_its_figures(tmp_path: Path) -> None:
    before = (ROOT / "README.md").read_text()
    run("regimes.py", "--layouts", "2", "--slots", "1", "--out", str(tmp_path))
    raw = json.loads((tmp_path / "regimes.json").read_text())
    assert raw["format"] == "mec-gym/regimes"
    page = (tmp_path / "regimes.md").read_text()
    assert all(one["name"] in page for one in raw["regimes"])
    assert (ROOT / "README.md").read_text() == before


@pytest.mark.slow
def test_tune_search_records_what_it_tries(tmp_path: Path) -> None:
    pytest.importorskip("pymoo")
    run(
        "tune_search.py",
        *("--slots", "1", "--evaluations", "25", "--many", "30", "--out", str(tmp_path)),
        *("--algorithm", "differential_evolution"),
    )
    record = json.loads((tmp_path / "differential_evolution.json").read_text())
    assert set(record["best_by_encoding"]) == {"floor", "scores", "order", "prices"}
    assert all(0 < nrr <= 1 for one in record["finalists"] for nrr in one["nrr"].values())
