"""The page of learners and README say what the figures bear, and no more."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from baselines.headroom import rule_title
from baselines.regimes import CLOSE
from dirs_agents import pretraining
from mec_bench import compare
from mec_bench.registry import algorithm, title
from mec_bench.results import EXAMPLE, HINDSIGHT_RATIO, NRR
from mec_bench.tables import score_sheet
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from reproduction import learned, pages, records, regimes
from reproduction.learned import Learner, Worlds

SMALL = Worlds(
    slots={"paper-30x2": 32},
    learners={"ac": Learner(seeds=2, arguments={"batch_size": 16})},
    simple=("local",),
    others=("greedy",),
)
CROWD = Worlds(slots={"crowd-30x4": 32}, learners={}, simple=("local",), others=())


def main(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> int:
    places = ("--runs", folder / "runs", "--out", folder / "out")
    monkeypatch.setattr(sys, "argv", ["learned.py", *map(str, places), "--jobs", "1", *options])
    return learned.main()


def plan(monkeypatch: pytest.MonkeyPatch, **presets: Worlds) -> None:
    found = {name.replace("_", "-"): kind for name, kind in presets.items()}
    monkeypatch.setattr(learned, "PRESETS", found)
    monkeypatch.setattr(learned.runs, "__defaults__", (found,))


def test_a_plan_is_trained_in_parts_and_its_page_is_that_of_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(monkeypatch, paper_30x2=SMALL)
    figures, page = tmp_path / "out/learned.json", tmp_path / "out/learning-pays.md"
    assert main(monkeypatch, tmp_path, "--only", "paper-30x2", "--algos", "local", "greedy") == 0
    assert "- 2 runs of the plan are not in these tables yet" in page.read_text()
    shutil.rmtree(tmp_path / "runs")  # what the figures have is not trained again if so told
    assert main(monkeypatch, tmp_path, "--only", "paper-30x2", "--missing") == 0
    assert {file.parts[-3] for file in (tmp_path / "runs").rglob("result.json")} == {"ac-32"}
    assert main(monkeypatch, tmp_path, "--only", "paper-30x2", "--missing") == 0
    assert "has all of them" in capsys.readouterr().out
    assert main(monkeypatch, tmp_path, "--only", "paper-30x2") == 0
    raw = learned.read(figures)
    assert "runs of the plan are not" not in page.read_text()
    assert [(one["label"], one["seed"]) for one in raw["runs"]] == [
        *(("ac", 0), ("ac", 1), ("greedy", 0), ("local", 0))
    ]
    assert all(one["training_cpu_s"] is not None for one in raw["runs"] if one["label"] == "ac")
    text, made = page.read_text(), figures.stat().st_mtime_ns
    assert "| AC | " in text
    assert "*greedy*" in text
    done = [file.stat().st_mtime_ns for file in sorted((tmp_path / "runs").rglob("result.json"))]
    assert main(monkeypatch, tmp_path, "--only", "paper-30x2") == 0  # nothing is trained again
    again = [file.stat().st_mtime_ns for file in sorted((tmp_path / "runs").rglob("result.json"))]
    assert again == done
    assert figures.stat().st_mtime_ns > made
    page.unlink()
    assert main(monkeypatch, tmp_path, "--raw", str(figures)) == 0
    assert page.read_text() == text


@pytest.mark.slow
def test_rules_are_measured_with_numbers_of_devices_beside_the_presets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan(monkeypatch, crowd_30x4=CROWD)
    monkeypatch.setattr(learned, "SIZES", {"crowd-30x4": (5,)})
    assert main(monkeypatch, tmp_path, "--only", "crowd-30x4") == 0
    (record,) = learned.read(tmp_path / "out/learned.json")["sizes"]
    assert (record["label"], record["scenario"], record["devices"]) == ("local", "crowd-30x4", 5)
    _, sizes = (tmp_path / "out/learning-pays.md").read_text().split("## Other numbers of devices")
    assert "| *all local* |" in sizes
    assert learned.resizings(learned.runs(), tmp_path / "runs") == []
    (run,) = learned.runs()
    trained = tmp_path / "runs" / run.place / "result.json"
    later = trained.stat().st_mtime_ns + 10**12
    os.utime(trained, ns=(later, later))  # as if it were trained anew
    assert len(learned.resizings(learned.runs(), tmp_path / "runs")) == 1
    assert learned.collected(tmp_path / "runs")["sizes"] == []
    raw = learned.read(tmp_path / "out/learned.json")
    assert learned.lacking(learned.runs(), raw) == []
    monkeypatch.setattr(learned, "SIZES", {"crowd-30x4": (5, 6)})
    assert learned.lacking(learned.runs(), raw) == learned.runs()


def test_no_runs_are_no_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="holds no results to show; `make learned` trains"):
        learned.collected(tmp_path)
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(SystemExit):
        main(monkeypatch, tmp_path / "taken")
    assert "must be a folder" in capsys.readouterr().err


def test_another_number_of_devices_leaves_each_as_much_of_the_servers() -> None:
    crowd = Scenario.preset("crowd-200x10")
    for size in (50, 800):
        other = learned.resized(crowd, size)
        assert other.n_devices == size
        np.testing.assert_allclose(
            other.server_frequencies_hz / size, crowd.server_frequencies_hz / crowd.n_devices
        )


def record(label: str, scores: list[float], key: str = NRR.key, **fields: Any) -> dict[str, Any]:
    usual = {"scenario": "paper-30x2", "seed": 0, "timesteps": 0, "training_cpu_s": None}
    score = {key: float(np.mean(scores)), f"{key}_of_layouts": scores}
    return {"label": label, "untrained": 0.5, "commit": None} | usual | score | fields


def test_a_learner_is_compared_with_the_best_rules_on_its_own_slots() -> None:
    runs = records.grouped(
        [
            record("ac", [0.9, 0.92], timesteps=3000, training_cpu_s=7.4),
            record("ac", [0.94, 0.96], timesteps=3000, seed=1, training_cpu_s=8.4),
            record("dirs", [0.5, 0.5], timesteps=3000),
            record("local", [0.4, 0.4]),
            record("posted-prices", [0.9, 0.9]),
            record("greedy", [0.95, 0.95]),
        ]
    )
    reached, budget, simple, best = learned._learner_cells("paper-30x2", runs)
    assert (reached, budget) == ("AC, 0.930", "3,000 slots, 8 CPU s")
    # Prices have a number for each server, and two seeds are no proof.
    assert re.fullmatch(r"\+0\.5300 ± 0\.\d+ against all local", simple)
    assert re.fullmatch(r"−0\.0200 ± 0\.\d+, not told apart from greedy", best)
    assert learned._learner_cells("unequal-200x10", runs) == [pages.MISSING] * 4
    row = learned._row("ac", runs["ac", "paper-30x2"])
    assert row[3] == "0.950, 0.910"  # every seed, the best first


def test_who_learns_from_the_reward_alone_is_named() -> None:
    key, scenario = HINDSIGHT_RATIO.key, {"scenario": "crowd-30x4", "timesteps": 9}
    reached = {"mappo": 0.97, "mappo:learned": 0.95, "mappo:team": 0.9, "dirs:hindsight": 0.96}
    runs = [record(label, [score] * 2, key, **scenario) for label, score in reached.items()]
    rules = [record("stays", [0.99] * 2, key, scenario="crowd-30x4")]
    found = records.grouped([*runs, *rules, record("ac", [0.5] * 2, timesteps=9)])
    assert list(learned._rewarded(found)) == [("crowd-30x4", title("mappo:learned"), 0.95)]


def test_a_record_bears_the_score_under_its_own_name() -> None:
    kept = records.record_of(EXAMPLE)
    assert records.measure_of([kept]) is NRR
    assert records.mean_score([kept]).value == pytest.approx(0.75)
    moving = [record("stays", [0.8, 0.9], HINDSIGHT_RATIO.key)]
    assert records.measure_of(moving) is HINDSIGHT_RATIO
    assert records.mean_score(moving).value == pytest.approx(0.85)


def test_a_rule_has_one_title_in_all_tables() -> None:
    (still, *_), (moving, *_) = (
        regimes.read(pages.RESULTS / f"{kind.name}.json", kind)
        for kind in (regimes.REGIMES, regimes.ROOMS)
    )
    assert {*map(title, learned.STILL.rules)} < {*still.nrr}
    assert {*map(title, learned.MOVING.rules)} < {*map(rule_title, moving.ratio)}


def test_rules_are_close_to_the_optimum_where_their_interval_is() -> None:
    shown = learned.content({"runs": [records.record_of(EXAMPLE)], "sizes": []})
    for world in regimes.read(pages.RESULTS / "regimes.json", regimes.REGIMES):
        lows = [world.nrr[rule].low for rule in world.close_rules]
        assert (world.name in shown["close"]) is (max(lows, default=0.0) >= CLOSE)


def test_results_of_several_commits_are_said_to_agree_in_law_only() -> None:
    kept = records.record_of(EXAMPLE) | {"scenario": "paper-30x2", "label": "local"}
    for commits, said in ((["a"], False), (["a", "b"], True)):
        runs = [kept | {"commit": commit} for commit in commits]
        raw = {"runs": runs, "sizes": []}
        page = pages.render("learning-pays.md.j2", raw="learned.json", **learned.content(raw))
        assert ("agree in law, not run by run" in page) is said


@pytest.mark.parametrize(
    "change", [{"seed": 5}, {"arguments": {}}, {"timesteps": 64}, {"label": "ddpg"}, {}]
)
def test_a_run_that_is_not_planned_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    plan(monkeypatch, paper_30x2=SMALL)
    one = record("ac", [0.9, 0.9], timesteps=32, arguments={"batch_size": 16})
    both = [one, one | {"seed": 1}]
    assert learned.planned(both) == both
    assert capsys.readouterr().out == ""
    sizes = [one | {"devices": 50}]
    learned.write_page({"runs": [one, one | change], "sizes": sizes}, tmp_path)
    raw = learned.read(tmp_path / "learned.json")
    assert (raw["runs"], raw["sizes"]) == ([one], [])
    assert capsys.readouterr().out.count("left out") == 2
    assert "- 3 runs of the plan are not" in (tmp_path / "learning-pays.md").read_text()


def test_the_page_in_docs_is_that_of_the_raw_figures() -> None:
    raw = learned.read(pages.RESULTS / "learned.json")
    assert all(learned.planned(raw[kind]) == raw[kind] for kind in ("runs", "sizes"))
    link = "../reproduction/results/learned.json"
    page = pages.render("learning-pays.md.j2", raw=link, **learned.content(raw))
    assert (pages.DOCS / "learning-pays.md").read_text(encoding="utf-8") == page


def test_slots_that_dirs_sees_before_it_trains_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"n_demonstrations": 8, "own_rounds": 1, "hindsight_episodes": 2, "pretrain_steps": 1}
    dirs = algorithm("dirs:hindsight", few | {"lesson_steps": 1})
    monkeypatch.setattr(learned, "algorithm", lambda _: dirs)
    original, seen = pretraining.drawn, []

    def drawn(*given: Any) -> Any:
        seen.extend(original(*given))
        return original(*given)

    monkeypatch.setattr(pretraining, "drawn", drawn)
    env = make_sb3_vec_env(Scenario.preset("crowd-30x4").replace(n_devices=3))
    dirs.build(env, seed=0, device="cpu").learn(0)
    assert sum(len(path.gains) for path in seen) == learned.drawn_before("dirs:hindsight")


@pytest.mark.parametrize("own", [True, False])
def test_a_table_of_one_map_says_so(own: bool) -> None:
    result = replace(EXAMPLE, evaluation=replace(EXAMPLE.evaluation, own_layout=own))
    notes = " ".join(score_sheet(compare([result]).tables[0]).notes)
    assert ("say nothing about others" in notes) is own


def test_pages_are_right_that_staying_local_beats_them() -> None:
    found = records.grouped(learned.read(pages.RESULTS / "learned.json")["runs"])
    (local,) = records.scores_of(found["local", "unequal-200x10"])
    for label in ("ac", "ddpg", "maddpg", "examples.cross_entropy:CrossEntropy"):
        assert max(records.scores_of(found[label, "unequal-200x10"])) < local


def test_runs_of_before_stay_where_they_lie_elsewhere(tmp_path: Path) -> None:
    file = pages.RESULTS / "learned.json"
    kept = learned.read(file)
    anew = [kept["runs"][0] | {"commit": "new"}]
    found = learned.with_kept({"runs": anew, "sizes": []}, file)
    assert [run for run in found["runs"] if run["commit"] == "new"] == anew
    assert len(found["runs"]) == len(kept["runs"])
    assert len(found["sizes"]) == len(kept["sizes"])
    alone = {"runs": anew, "sizes": []}
    assert learned.with_kept(alone, tmp_path / "none.json") == alone
