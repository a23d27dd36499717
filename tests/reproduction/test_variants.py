"""DIRS in all its variants: runs are kept and read again, and the page says what they bear."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from reproduction import pages
from reproduction.jobs import carry_out
from reproduction.variant_runs import (
    IN_MAIN,
    Plan,
    Run,
    counted,
    done,
    evenly,
    labelled,
    read,
    scenario_named,
)
from reproduction.variants import (
    ablated,
    changes,
    closed,
    contrary,
    goals,
    page_content,
    read_page,
)

PRESET = "paper-30x2"


def records(
    table: str, variant: str, finals: list[float], tenths: list[float]
) -> list[dict[str, Any]]:
    return [
        {
            "table": table,
            "preset": PRESET,
            "variant": variant,
            "seed": seed,
            "slots": 3000,
            "nrr": {"untrained": 0.5, "imitation": 0.9, "tenth": tenth, "final": final},
            "seconds": {"imitation": 1.0, "online": 2.0, "all": 4.0},
        }
        for seed, (final, tenth) in enumerate(zip(finals, tenths, strict=True))
    ]


def run(**given: Any) -> Run:
    tiny = {"policy": "EnsemblePolicy", "demonstrations": "none"}
    usual = {"table": "main", "preset": PRESET, "variant": "v", "seed": 0, "slots": 10}
    return Run(**{**usual, "arguments": tiny, **given})


def test_a_run_that_does_not_say_what_it_ran_on_is_not_done(tmp_path: Path) -> None:
    wanted = run()
    outside_of_git = {"system": {"commit": None}}
    for system, ready in (
        ({}, False),
        ({"system": {"commit": "a" * 40}}, True),
        (outside_of_git, True),
    ):
        wanted.file(tmp_path).write_text(json.dumps(dataclasses.asdict(wanted) | system))
        assert wanted.done(tmp_path) is ready
    assert not run(arguments={}).done(tmp_path)


def test_a_run_is_kept_though_another_fails(tmp_path: Path) -> None:
    wanted, failing = run(), run(variant="fails", arguments={"policy": "NoPolicy"})
    said: list[str] = []
    carry_out(done, [(failing, tmp_path), (wanted, tmp_path)], 1, said.append)
    assert [line.split()[0] for line in said] == ["1/2", "2/2"]
    assert said[0].startswith("1/2 main-paper-30x2-fails-10-seed-0: ")
    (record,) = read([failing, wanted], tmp_path)
    assert record["variant"] == "v"
    assert set(record["nrr"]) == {"untrained", "imitation", "tenth", "final"}
    assert all(0 < nrr <= 1 for nrr in record["nrr"].values())
    assert "commit" in record["system"]


def test_no_run_of_a_plan_is_wanted_twice() -> None:
    runs = Plan().runs()
    assert len({one.file(Path()) for one in runs}) == len(runs)
    # Each switch has as many seeds as the runs that it is paired with.
    as_it_is = [one for one in runs if one.variant in ("as it is", "the paper's options")]
    trained = [one for one in as_it_is if one.table in ("main", "ablation")]
    seeds = [one.seed for one in trained if one.preset == PRESET]
    assert sorted(seeds) == list(range(Plan().ablation_seeds))


def test_the_first_seed_of_everything_comes_first() -> None:
    runs = Plan(ablation_seeds=3).runs()
    assert [one.seed for one in runs] == sorted(one.seed for one in runs)
    tables = {"main", "ablation", "labels", "numbers"}
    assert {one.table for one in runs if one.seed == 0} == tables
    energy = [one for one in runs if "ablation" in str(one) and "180x8" in one.preset]
    assert {one.slots for one in energy} == {4000}
    assert scenario_named("paper-180x8-energy").weight_energy == 1.5


def test_labels_that_are_not_searched_for_agree() -> None:
    # One generation is idle: both searches end where they begin.
    arguments = {"demonstration_generations": 1, "demonstration_start": "best-gain"}
    found = labelled(run(table="labels", slots=3, arguments=arguments))
    assert found["agreement"] == 1.0
    assert 0.3 < found["chance"] < 1.0  # two servers and the device itself
    assert found["nrr"]["labels"] < 0.99
    searched = labelled(run(table="labels", slots=3, arguments={"demonstration_generations": 30}))
    assert searched["agreement"] < 1.0


def test_devices_are_counted_that_labels_and_agents_keep_local() -> None:
    arguments = {"demonstrations": "optimal", "n_demonstrations": 40, "pretrain_steps": 30}
    found = counted(run(table="numbers", slots=0, arguments=arguments))
    assert found["nrr"]["optimum"] == pytest.approx(1.0)
    assert 0.95 < found["drawn"]["optimum"] < 0.999  # as many at each server, but others
    assert found["even"]["optimum"] == pytest.approx(found["drawn"]["optimum"], abs=0.002)
    assert found["local"]["labels"] == pytest.approx(found["local"]["optimum"], abs=0.5)
    assert found["local"]["imitation"] != found["local"]["untrained"]
    for stage in ("untrained", "imitation"):
        assert found["drawn"][stage] <= found["even"][stage] + 0.002  # servers are alike


def test_decisions_are_spread_evenly() -> None:
    decisions = np.random.default_rng(0).integers(0, 4, (5, 40))
    even = evenly(decisions, 3)
    np.testing.assert_array_equal((even == 0).sum(-1), (decisions == 0).sum(-1))
    counts = np.stack([(even == server).sum(-1) for server in (1, 2, 3)])
    assert np.ptp(counts, axis=0).max() <= 1


def test_what_closes_the_distance_is_paired_by_seed() -> None:
    base = records("main", "the paper's options", [0.9, 0.8, 0.1], [0.9, 0.9, 0.9])
    loss = records("ablation", "loss of the vote", [0.95, 0.9], [0.9, 0.9])
    shares = closed([*base, *loss], PRESET)
    assert shares == {"loss of the vote": pytest.approx(0.075 / 0.15)}
    assert "50% by *loss of the vote*." in " ".join(page([*base, *loss]).split())


def test_a_variant_of_the_main_table_is_not_run_twice() -> None:
    assert IN_MAIN["as it is"] == "the paper's options"
    both = records("main", IN_MAIN["as it is"], [0.9], [0.9])
    assert ablated(both, PRESET)["as it is"] == {0: both[0]}


def page(records: list[dict[str, Any]]) -> str:
    content = page_content(records, {PRESET: {}})
    return pages.render("variants.md.j2", raw="dirs-results.json", **content)


def test_runs_are_counted_by_commit() -> None:
    runs = records("main", "the paper's options", [0.95, 0.96, 0.97], [0.90, 0.91, 0.92])
    traced = [run | {"system": {"commit": "a" * 40}} for run in runs]
    text = page(traced)
    assert "\n3 runs: 3 from commit aaaaaaa.\n" in text
    assert "not run by run" not in text
    text = page([*traced, *records("ablation", "no imitation", [0.9], [0.9])])
    assert "4 runs: 3 from commit aaaaaaa, 1 from code that they do not name." in text
    assert "not run by run" in text


def test_an_idea_can_help_early_and_not_in_the_end() -> None:
    base = records("main", "the paper's options", [0.95, 0.96, 0.97], [0.90, 0.91, 0.92])
    without = records("ablation", "no imitation", [0.96, 0.96, 0.96], [0.80, 0.811, 0.819])
    found = changes([*base, *without], PRESET)
    assert [one.verdict for one in found.values()] == ["worse", "undecided"]
    assert found["no imitation", "tenth"].mean == pytest.approx(-0.1)
    row = next(line for line in page([*base, *without]).splitlines() if "| no imitation |" in line)
    assert [cell.split("; ")[1] for cell in row.split(" | ") if "; " in cell] == [
        *("worse", "undecided |")
    ]


def test_training_that_makes_agents_worse_is_said_to() -> None:
    def text(untrained: float) -> str:
        base = records("main", "the paper's options", [0.80, 0.81, 0.82], [0.9, 0.9, 0.9])
        begun = [one | {"nrr": one["nrr"] | {"untrained": untrained}} for one in base]
        shown = page([*begun, *records("ablation", "no imitation", [0.9], [0.9])])
        return " ".join(shown.split())

    assert "makes agents worse: untrained they reach 0.9000 ± 0, after" in text(0.9)
    assert "paired -0.0900 ± 0.0248." in text(0.9)
    assert not any("makes agents worse" in text(untrained) for untrained in (0.7, 0.815))


def labels(variant: str, nrr: float, agreement: float) -> dict[str, Any]:
    (one,) = records("labels", variant, [0.0], [0.0])
    return one | {"nrr": {"labels": nrr}, "agreement": agreement, "chance": 0.4}


def test_agents_that_better_labels_teach_worse_are_named() -> None:
    base = records("main", "the paper's options", [0.9, 0.9, 0.9], [0.9, 0.9, 0.9])
    worse = records("ablation", "signed d", [0.9, 0.9, 0.9], [0.9, 0.9, 0.9])
    for seed, record in enumerate(worse):
        record["nrr"] |= {"imitation": 0.8 + 0.001 * seed}
    usual, better = labels("as it is", 0.992, 0.42), labels("signed d", 0.995, 0.5)
    ((of, name, variant, change),) = contrary([*base, *worse, usual, better])
    assert (of, name, variant, change.verdict) == (PRESET, "signed d", "signed d", "worse")
    assert contrary([*base, *worse, usual, better | {"agreement": 0.4}]) == []
    assert contrary([*worse, *base[:1], usual, better]) == []
    shown = " ".join(page([*base, *worse, usual, better]).split())
    assert "labels as they are have an NRR of 0.992 and agree on 0.42, hardly" in shown
    assert "| signed d | 0.995 | 0.50 | 0.801 | -0.0990 ± 0.0025 | | | |" in shown
    assert "That is unexplained." in shown

    def count(variant: str, **local: float) -> dict[str, Any]:
        (one,) = records("numbers", variant, [0.9], [0.9])
        figures = {"optimum": 0.993, "untrained": 0.7, "imitation": 0.8}
        kept = {"optimum": 100.0, "untrained": 0.0} | local
        return one | {"nrr": figures, "drawn": figures, "even": figures, "local": kept}

    counted = [
        count("as it is", labels=46.0, imitation=152.0),
        count("signed d", labels=63.0, imitation=163.0),
    ]
    shown = " ".join(page([*base, *worse, usual, better, *counted]).split())
    assert "| signed d | 0.995 | 0.50 | 0.801 | -0.0990 ± 0.0025 | 63 | 163 | 0.800 |" in shown
    assert "| as it is | 0.992 | 0.42 | 0.900 | | 46 | 152 | 0.800 |" in shown
    assert "| *optimum* | | | 100.0 | 0.9930 | 0.9930 | 0.9930 |" in shown
    assert (
        "keep 152 devices local in paper-30x2, where the labels that they imitate keep 46" in shown
    )
    assert "unexplained" not in shown


def test_p_values_are_corrected_for_all_comparisons() -> None:
    base = records("main", "the paper's options", [0.95, 0.96, 0.97], [0.90, 0.91, 0.92])
    one = records("ablation", "no imitation", [0.94, 0.951, 0.961], [0.90, 0.92, 0.91])
    more = [record | {"variant": "no refinement"} for record in one]
    few = changes([*base, *one], PRESET)["no imitation", "final"].p
    many = changes([*base, *one, *more], PRESET)["no imitation", "final"].p
    assert many == pytest.approx(2 * few)


def test_a_goal_that_needs_admission_is_not_credited_to_the_vote() -> None:
    voting = records("main", "price-posting agents, no admission", [0.98, 0.982], [0.9, 0.9])
    admitting = records("main", "price-posting agents", [0.996, 0.997], [0.9, 0.9])
    found = goals([*voting, *admitting], [PRESET])
    assert found == {"with admission only": [PRESET]}
    voted = [record | {"variant": "the paper's options"} for record in admitting]
    assert goals([*voted, *admitting], [PRESET]) == {"by the vote alone": [PRESET]}
    assert goals(voting, [PRESET]) == {"not": [PRESET]}


def test_a_cell_of_fewer_seeds_says_so() -> None:
    base = records("main", "the paper's options", [0.95, 0.96, 0.97], [0.90, 0.91, 0.92])
    more = records("main", "price-posting agents", [0.95] * 4, [0.90] * 4)
    assert "| the paper's options | 0.9600 ± 0.0248 (3 seeds) |\n" in page([*base, *more])


def test_the_page_in_docs_is_that_of_the_raw_figures() -> None:
    figures = pages.RESULTS / "dirs-results.json"
    content = page_content(*read_page(figures))
    link = "../reproduction/results/dirs-results.json"
    written = (pages.DOCS / "dirs-results.md").read_text(encoding="utf-8")
    assert written == pages.render("variants.md.j2", raw=link, **content)
