"""The page of learners and README say what the figures bear, and no more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mec_gym.files import read_figures

pytest.importorskip("pydantic")

from mec_bench import compare
from mec_bench.results import EXAMPLE
from mec_bench.tables import score_sheet
from reproduction import learners, pages


def test_the_budget_of_tuning_is_that_on_record() -> None:
    trials, places = learners.budget_of_tuning()
    for name in learners.TUNED:
        found = json.loads((learners.SETTINGS / f"{name.replace(':', '-')}.json").read_text())
        assert len({one["trial"] for one in found["trials"]}) == trials
        assert {(one["scenario"], one["slots"]) for one in found["trials"]} == set(places)


def test_results_of_several_commits_are_said_to_agree_in_law_only() -> None:
    system = replace(EXAMPLE.system, commit="b" * 40, modified=False)
    ours, other = (replace(EXAMPLE, label=name) for name in ("local", "greedy"))
    for results, said in (([ours], False), ([ours, replace(other, system=system)], True)):
        content = learners.content(learners.collected(results))
        page = pages.render("learners.md.j2", raw="learners.json", **content)
        assert ("agree in law, not run by run" in page) is said


def test_the_page_in_docs_is_that_of_the_raw_figures() -> None:
    figures = pages.RESULTS / "learners.json"
    raw = read_figures(figures, learners.FORMAT, learners.VERSION, "")
    link = "../reproduction/results/learners.json"
    page = pages.render("learners.md.j2", raw=link, **learners.content(raw))
    assert (pages.DOCS / "learners.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("own", [True, False])
def test_a_table_of_one_map_says_so(own: bool) -> None:
    result = replace(EXAMPLE, evaluation=replace(EXAMPLE.evaluation, own_layout=own))
    notes = " ".join(score_sheet(compare([result]).tables[0]).notes)
    assert ("say nothing about others" in notes) is own


@pytest.fixture(scope="module")
def seeds_on_unequal() -> dict[str, list[float]]:
    runs = json.loads((pages.RESULTS / "learners.json").read_text())["runs"]
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
