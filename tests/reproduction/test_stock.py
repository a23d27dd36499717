"""The table of stock learners says what was measured, with the settings that the files hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("stable_baselines3")

from mec_bench.cards import SETTINGS
from mec_bench.results import EXAMPLE
from reproduction import pages, stock


def test_the_table_in_docs_is_that_of_the_raw_figures() -> None:
    table = stock.table(stock.read(pages.RESULTS / "stock.json"))
    page = (pages.DOCS / stock.PAGE).read_text(encoding="utf-8")
    assert f"{stock.BEGIN}\n{table}{stock.END}" in page


def test_every_file_of_settings_was_measured_as_it_is() -> None:
    runs = stock.read(pages.RESULTS / "stock.json")["runs"]
    assert {run["label"] for run in runs} == {*stock.settings(), *stock.RULES}


def test_results_get_their_table_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / stock.PAGE
    page.write_text(f"Before.\n\n{stock.BEGIN}\nold\n{stock.END}\n\nAfter.\n")
    rule = replace(
        EXAMPLE, algorithm="local", label="local", scenario="paper-30x2", learns=False, timesteps=0
    )
    raw = stock.collected([rule])
    stock.write(raw, tmp_path, tmp_path)
    assert stock.read(tmp_path / "stock.json") == raw
    table = stock.table(raw)
    assert page.read_text() == f"Before.\n\n{stock.BEGIN}\n{table}{stock.END}\n\nAfter.\n"
    assert "| paper-30x2 | *all local* |" in table


def test_settings_that_no_file_holds_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"'sb3:PPO\[gamma=0.5\]' is trained with settings that no"
    ):
        stock.collected([replace(EXAMPLE, algorithm="sb3:PPO", arguments={"gamma": 0.5})])


def test_a_run_is_known_by_its_settings_whatever_its_label() -> None:
    table = json.loads((SETTINGS / "sb3-ppo.json").read_text())["chosen"]
    run = replace(EXAMPLE, algorithm="sb3:PPO", label="sb3:PPO[sb3-ppo]", arguments=table)
    (record,) = stock.collected([run])["runs"]
    assert stock.settings()[record["label"]].stem == "sb3-ppo"
