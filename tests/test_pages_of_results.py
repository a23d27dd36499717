"""Scripts that write pages of results say what the figures bear, and no more."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import compare
from experiments.report.sheets import score_sheet
from experiments.results.record import EXAMPLE

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def learners_page() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts/learners_page.py"))


def test_the_budget_of_tuning_is_that_on_record(learners_page: dict[str, Any]) -> None:
    said = learners_page["_tuning"]()
    for name in learners_page["TUNED"]:
        file = ROOT / f"baselines/settings/{name.replace(':', '-')}.json"
        trials = json.loads(file.read_text())["trials"]
        assert said.startswith(f"{len({one['trial'] for one in trials})} trials of one seed")
        for one in trials:
            assert f"{one['slots']:,} slots of {one['scenario']}" in said


def test_results_of_several_commits_are_said_to_agree_in_law_only(
    learners_page: dict[str, Any],
) -> None:
    system = replace(EXAMPLE.system, commit="b" * 40, modified=False)
    other = replace(EXAMPLE, label="greedy", system=system)
    assert "not run by run" in learners_page["_warned"]([EXAMPLE, other])
    assert "not run by run" not in learners_page["_warned"]([EXAMPLE])


@pytest.mark.parametrize("own", [True, False])
def test_a_table_of_one_map_says_so(own: bool) -> None:
    result = replace(EXAMPLE, evaluation=replace(EXAMPLE.evaluation, own_layout=own))
    notes = " ".join(score_sheet(compare([result]).tables[0]).notes)
    assert ("say nothing about others" in notes) is own
