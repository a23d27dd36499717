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
PRESET = "paper-30x2"


@pytest.fixture(scope="module")
def learners_page() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts/learners_page.py"))


def test_the_budget_of_tuning_is_that_on_record(learners_page: dict[str, Any]) -> None:
    said = learners_page["_tuning"]()
    for name in learners_page["TUNED"]:
        trials = json.loads((ROOT / f"baselines/settings/{name}.json").read_text())["trials"]
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


@pytest.fixture(scope="module")
def dirs_results() -> dict[str, Any]:
    pytest.importorskip("stable_baselines3")
    return runpy.run_path(str(ROOT / "scripts/dirs_results.py"))


def runs(
    table: str, variant: str, finals: list[float], tenths: list[float]
) -> list[dict[str, Any]]:
    return [
        {
            "table": table,
            "preset": PRESET,
            "variant": variant,
            "seed": seed,
            "nrr": {"untrained": 0.5, "imitation": 0.9, "tenth": tenth, "final": final},
        }
        for seed, (final, tenth) in enumerate(zip(finals, tenths, strict=True))
    ]


def test_a_run_that_names_no_commit_is_not_done(
    dirs_results: dict[str, Any], tmp_path: Path
) -> None:
    run = {"table": "main", "preset": PRESET, "variant": "v", "seed": 0, "slots": 1}
    run["arguments"] = {"policy": "EnsemblePolicy"}
    file = dirs_results["_file"](tmp_path, run)
    for system, done in (({}, False), ({"system": {"commit": "a" * 40}}, True)):
        file.write_text(json.dumps(run | system))
        assert dirs_results["_is_done"](tmp_path, run) is done
    assert not dirs_results["_is_done"](tmp_path, run | {"arguments": {}})


def test_runs_are_counted_by_commit(dirs_results: dict[str, Any]) -> None:
    traced = [{"system": {"commit": "a" * 40}}] * 2
    assert dirs_results["_origins"](traced) == "2 runs: 2 from commit aaaaaaa.\n"
    text = dirs_results["_origins"]([*traced, {}])
    assert text.startswith("3 runs: 2 from commit aaaaaaa, 1 from code that they do not name.")
    assert "not run by run" in text


def test_an_idea_can_help_early_and_not_in_the_end(dirs_results: dict[str, Any]) -> None:
    base = runs("main", "the paper's options", [0.95, 0.96, 0.97], [0.90, 0.91, 0.92])
    without = runs("ablation", "no imitation", [0.96, 0.96, 0.96], [0.80, 0.811, 0.819])
    early, late = dirs_results["_verdicts"]([*base, *without], PRESET).split("\n")[1:3]
    assert early.startswith("- Imitation acceleration, after a tenth of the slots: helps.")
    assert late.startswith("- Imitation acceleration, final: shown neither to help nor to cost.")
    assert "Standard deviation over seeds: 0.0100 with the idea, 0.0000 without." in late


def test_p_values_are_corrected_for_all_comparisons(dirs_results: dict[str, Any]) -> None:
    base = runs("main", "the paper's options", [0.95, 0.96, 0.97], [0.90, 0.91, 0.92])
    one = runs("ablation", "no imitation", [0.94, 0.951, 0.961], [0.90, 0.92, 0.91])
    more = [record | {"variant": "no refinement"} for record in one]
    few = dirs_results["_all_changes"]([*base, *one], PRESET)["no imitation", "final"].p
    many = dirs_results["_all_changes"]([*base, *one, *more], PRESET)["no imitation", "final"].p
    assert many == pytest.approx(2 * few)


def test_a_goal_that_needs_admission_is_not_credited_to_the_vote(
    dirs_results: dict[str, Any],
) -> None:
    voting = runs("main", "price-posting agents, no admission", [0.98, 0.982], [0.9, 0.9])
    admitting = runs("main", "price-posting agents", [0.996, 0.997], [0.9, 0.9])
    first, *lines = dirs_results["_goals"]([*voting, *admitting], [PRESET])
    assert first == "\nAn NRR of 0.99 is reached with admission only on paper-30x2.\n"
    assert "the vote alone reaches 0.9810" in "".join(lines)
    assert (
        "by the vote alone on paper-30x2"
        in dirs_results["_goals"](
            [record | {"variant": "the paper's options"} for record in admitting], [PRESET]
        )[0]
    )


@pytest.mark.parametrize("own", [True, False])
def test_a_table_of_one_map_says_so(own: bool) -> None:
    result = replace(EXAMPLE, evaluation=replace(EXAMPLE.evaluation, own_layout=own))
    notes = " ".join(score_sheet(compare([result]).tables[0]).notes)
    assert ("say nothing about others" in notes) is own
