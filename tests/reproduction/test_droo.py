"""DROO's table says what was measured, and no run is repeated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stable_baselines3")

from mec_gym.files import read_object
from reproduction import droo, pages


def test_the_table_in_docs_is_that_of_the_raw_figures() -> None:
    page = (pages.DOCS / droo.PAGE).read_text(encoding="utf-8")
    table = droo.table(read_object(pages.RESULTS / "droo.json")["runs"])
    assert f"{droo.BEGIN}\n{table}{droo.END}" in page


def test_runs_are_measured_once_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / droo.PAGE
    page.parent.mkdir()
    page.write_text(f"Before.\n\n{droo.BEGIN}\nold\n{droo.END}\n\nAfter.\n")
    words = ["--slots", "32", "--seeds", "1", "--only", "paper-30x2"]
    monkeypatch.setattr(
        sys, "argv", ["droo.py", *words, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]
    )
    droo.main()
    runs = read_object(tmp_path / "droo.json")["runs"]
    assert [run["algorithm"] for run in runs] == list(droo.LEARNERS)
    for run in runs:
        # Fewer candidates are the first of more.
        assert 0.5 < run["network_alone"] <= run["trained"] <= 1.0
        assert run["network_alone"] <= run["with_n"] <= 1.0
    table = droo.table(runs)
    assert page.read_text() == f"Before.\n\n{droo.BEGIN}\n{table}{droo.END}\n\nAfter.\n"
    assert '| paper-30x2 | "LinkPolicy" |' in table

    def repeated(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(droo, "train", repeated)
    droo.main()
    assert read_object(tmp_path / "droo.json")["runs"] == runs
