"""Scripts that write pages of results say what the figures bear, and no more."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mec_bench import compare
from mec_bench.results import EXAMPLE
from mec_bench.tables import score_sheet

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def learners_page() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "reproduction/learners_page.py"))


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


@pytest.fixture(scope="module")
def seeds_on_unequal() -> dict[str, list[float]]:
    runs = json.loads((ROOT / "docs/learners.json").read_text())["runs"]
    found: dict[str, list[float]] = {}
    for run in runs:
        if run["scenario"] == "unequal-200x10":
            found.setdefault(run["label"], []).append(run["nrr"])
    return found


@pytest.mark.parametrize("label", ["ac", "ddpg", "maddpg", "examples.cross_entropy:CrossEntropy"])
def test_readme_is_right_that_staying_local_beats_them(
    seeds_on_unequal: dict[str, list[float]], label: str
) -> None:
    (local,) = seeds_on_unequal["local"]
    assert max(seeds_on_unequal[label]) < local


def test_readme_is_right_on_ac_with_links(seeds_on_unequal: dict[str, list[float]]) -> None:
    (local,) = seeds_on_unequal["local"]
    links, taught = seeds_on_unequal["ac:links"], seeds_on_unequal["dirs:ensemble"]
    ahead = [one for one in links if one > max(taught)]
    assert len(links) / 2 < len(ahead) < len(links)
    assert all(one < local / 2 for one in links if one not in ahead)
    for label in ("keep-what-pays", "posted-prices", "greedy"):
        assert max(links) < min(seeds_on_unequal[label])
