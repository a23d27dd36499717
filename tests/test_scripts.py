"""Scripts run as a user runs them and leave what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *options: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_prints_the_table_and_draws_a_slot(tmp_path: Path) -> None:
    pytest.importorskip("pygame")
    printed = run("demo.py", "--layouts", "2", "--slots", "1", "--out", str(tmp_path))
    for word in ("paper-30x2", "unequal-200x10", "nearest server", "greedy", "optimum"):
        assert word in printed
    assert (tmp_path / "slot.png").read_bytes().startswith(b"\x89PNG")


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
