"""DROO's table says what was measured, and no run is repeated."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stable_baselines3")

from mec_bench import train
from mec_gym.files import read_object
from reproduction import droo, learned, pages


def test_the_table_in_docs_is_that_of_the_raw_figures() -> None:
    page = (pages.DOCS / droo.PAGE).read_text(encoding="utf-8")
    table = droo.table(read_object(pages.RESULTS / "droo.json")["runs"])
    assert f"{droo.BEGIN}\n{table}{droo.END}" in page


def test_models_are_those_that_the_other_script_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = learned.Worlds(
        slots={"paper-30x2": 32},
        learners={name: learned.Learner(seeds=1) for name in droo.LEARNERS},
        simple=(),
        others=(),
    )
    monkeypatch.setattr(learned, "PRESETS", {"paper-30x2": kind})
    for run in learned.runs(["paper-30x2"]):
        train(run, tmp_path / run.place)
    models = sorted(tmp_path.rglob("model.zip"))
    before = [model.stat().st_mtime_ns for model in models]
    given = Namespace(only=["paper-30x2"], seeds=1, slots=32, runs=tmp_path)
    assert len([*droo._records(given)]) == len(models) == 2
    assert sorted(tmp_path.rglob("model.zip")) == models
    assert [model.stat().st_mtime_ns for model in models] == before


def test_runs_are_measured_once_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / droo.PAGE
    page.parent.mkdir()
    page.write_text(f"Before.\n\n{droo.BEGIN}\nold\n{droo.END}\n\nAfter.\n")
    words = ["--slots", "32", "--seeds", "1", "--only", "paper-30x2"]
    monkeypatch.setattr(
        sys, "argv", ["droo.py", *words, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]
    )
    elsewhere = read_object(pages.RESULTS / "droo.json")["runs"][-1]
    droo.write([elsewhere], tmp_path, tmp_path)
    droo.main()
    first, *runs = read_object(tmp_path / "droo.json")["runs"]
    assert first == elsewhere
    assert [run["algorithm"] for run in runs] == list(droo.LEARNERS)
    for run in runs:
        # Fewer candidates are the first of more.
        assert 0.5 < run["network_alone"] <= run["trained"] <= 1.0
        assert run["network_alone"] <= run["with_n"] <= 1.0
    table = droo.table([elsewhere, *runs])
    assert page.read_text() == f"Before.\n\n{droo.BEGIN}\n{table}{droo.END}\n\nAfter.\n"
    assert '| paper-30x2 | "LinkPolicy" |' in table

    def repeated(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(droo, "train", repeated)
    droo.main()
    assert read_object(tmp_path / "droo.json")["runs"] == [elsewhere, *runs]
