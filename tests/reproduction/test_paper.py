"""Section V again: the printed numbers, the bounds on them, the jobs and the page."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("matplotlib")

from mec_bench.measuring import frozen_slots
from mec_bench.statistics import half_interval
from mec_bench.system import system as this_system
from mec_gym import Scenario, Slot, evaluate, solve
from reproduction.claims import (
    FAILS,
    HOLDS,
    MISSED,
    UNDECIDED,
    UNJUDGED,
    Comparison,
    between,
    judged,
    lower,
    p_value,
    times,
)
from reproduction.jobs import (
    FULL,
    Budget,
    Measurement,
    Training,
    mark,
    plan,
    unique,
    work,
)
from reproduction.measurements import KINDS
from reproduction.medium_system import least_loss
from reproduction.pages import DOCS, RESULTS, filled
from reproduction.paper import (
    LARGE,
    LARGEST,
    POSITIONS,
    TABLE_II,
    TABLE_III,
    TABLE_IV,
    TABLE_V,
    TASKS,
    TIMES_LONGER,
    below_bound,
    free_transmission_bound,
    least_time,
    scenario_of,
)
from reproduction.raw import Raw, collect, read_raw
from reproduction.section_five import EXHIBITS, page_text, write_page

_SMALL = {"n_demonstrations": 8, "pretrain_steps": 4}
TINY = Budget(
    name="quick",
    seeds=1,
    slots=10,
    arguments={
        "dirs": {**_SMALL, "demonstration_generations": 2},
        "dirs:ensemble": _SMALL,
        "dirs:prices": _SMALL,
    },
    demonstrations=(8,),
    held_out=4,
    generations=(3,),
    refined_slots=2,
    search_slots=5,
    evaluations=50,
    devices=(20,),
)

RAW = read_raw(RESULTS / "reproduction.json")
"""What the page in docs is of."""


# -- what the paper prints -------------------------------------------------------------------------


@pytest.mark.parametrize("printed", [*TABLE_III.values(), *TABLE_IV.values()])
def test_printed_objectives_are_time_plus_energy(printed) -> None:
    assert printed.objective == pytest.approx(printed.time_s + printed.energy_j, abs=0.005)


@pytest.mark.parametrize("name", TIMES_LONGER)
def test_the_text_and_table_five_agree_on_how_much_longer_a_search_takes(name: str) -> None:
    times = TABLE_V[name].inference_s / TABLE_V["dirs"].inference_s
    # The text cuts one ratio and rounds the other.
    assert times == pytest.approx(TIMES_LONGER[name], abs=0.01)


def test_accuracies_are_shares_and_training_is_not_below_testing() -> None:
    for printed in TABLE_II.values():
        assert 0.5 < printed.testing <= printed.training < 1


# -- what nobody can undercut ----------------------------------------------------------------------

HETEROGENEOUS_SERVERS = Scenario(
    n_devices=5, n_servers=2, server_frequency_hz=(3e9, 7e9), weight_latency=1.3, weight_energy=0.4
)


def _every_decision(scenario: Scenario) -> np.ndarray:
    choices = range(scenario.n_servers + 1)
    return np.array(list(itertools.product(choices, repeat=scenario.n_devices)))


def _priced(scenario: Scenario, decisions: np.ndarray, bits: float):
    shape = (len(decisions), scenario.n_devices)
    slots = Slot(
        gains=np.full((*shape, scenario.n_servers), 1e-3),
        data_bits=np.full(shape, bits),
        cycles=np.full(shape, scenario.cycles),
    )
    return evaluate(scenario, slots, decisions)


def test_the_bound_is_the_best_of_all_decisions_when_data_shrink_to_nothing() -> None:
    decisions = _every_decision(HETEROGENEOUS_SERVERS)
    best = _priced(HETEROGENEOUS_SERVERS, decisions, 1e-9).objective.min()
    assert free_transmission_bound(HETEROGENEOUS_SERVERS) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("system", [LARGE, LARGEST, TASKS["2e9 cycles"], POSITIONS["levy"]])
def test_no_optimum_is_below_the_bound(system: str) -> None:
    frozen = frozen_slots(scenario_of(system), layouts=1)
    assert frozen.lower_bound.min() >= free_transmission_bound(scenario_of(system)) * (1 - 1e-12)


def test_no_decision_is_faster_than_the_least_time_at_its_energy() -> None:
    scenario = Scenario(n_devices=5, n_servers=2, server_frequency_hz=(3e9, 7e9))
    outcome = _priced(scenario, _every_decision(scenario), 1e5)
    times, energies = outcome.latency_s.sum(-1), outcome.energy_j.sum(-1)
    for time, energy in zip(times, energies, strict=True):
        assert time >= least_time(scenario, energy) * (1 - 1e-12)
    # Nor is any mixture of decisions over slots.
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(len(times), 0.02), size=200)
    for time, energy in zip(weights @ times, weights @ energies, strict=True):
        assert time >= least_time(scenario, energy) * (1 - 1e-12)


def test_the_least_time_is_reached_by_even_loads() -> None:
    scenario = Scenario(n_devices=12, n_servers=2)
    even = np.array([[0] * 2 + [1] * 5 + [2] * 5])
    outcome = _priced(scenario, even, 1e-9)
    reached = float(outcome.latency_s.sum())
    assert least_time(scenario, float(outcome.energy_j.sum())) == pytest.approx(reached, rel=1e-6)


def test_bounds_refuse_tasks_that_differ() -> None:
    with pytest.raises(ValueError, match="data_bits must be the same number"):
        free_transmission_bound(Scenario.preset("unequal-200x10"))


def test_which_printed_numbers_are_possible() -> None:
    assert below_bound(TABLE_III, POSITIONS) == ["gaussian", "levy"]
    assert below_bound(TABLE_IV, TASKS) == ["50 kB", "2e9 cycles"]
    scenario = scenario_of(LARGEST)
    too_fast = [n for n, p in TABLE_V.items() if p.time_s < least_time(scenario, p.energy_j)]
    assert too_fast == ["dirs", "pso", "de"]
    for printed, system in ((TABLE_III, POSITIONS), (TABLE_IV, TASKS)):
        for name, one in printed.items():
            assert one.time_s > least_time(scenario_of(system[name]), one.energy_j)


def test_the_optimum_is_up_to_one_per_cent_above_what_the_paper_implies() -> None:
    optimum = frozen_slots(scenario_of(LARGE), layouts=2).lower_bound.mean()
    assert 1.0 < optimum / TABLE_III["uniform"].implied_optimum < 1.01


def test_table_five_lies_nine_per_cent_above_the_optimum() -> None:
    optimum = frozen_slots(scenario_of(LARGEST), layouts=2).lower_bound.mean()
    assert min(printed.objective for printed in TABLE_V.values()) > 1.09 * optimum


def test_noisy_labels_bound_the_cross_entropy() -> None:
    p = np.linspace(0, 1, 1001)[1:-1]
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    agreement = p**2 + (1 - p) ** 2
    assert (least_loss(agreement) <= entropy + 1e-12).all()
    # So for the mean of any bits, as the bound is linear in their agreement.
    assert least_loss(agreement.mean()) <= entropy.mean()


def test_noisy_labels_bound_what_can_be_right() -> None:
    rng = np.random.default_rng(0)
    for concentration in (0.1, 1.0, 10.0):
        laws = rng.dirichlet(np.full(3, concentration), size=500)
        agreement, best = (laws**2).sum(-1).mean(), laws.max(-1).mean()
        assert best <= agreement**0.5


# -- jobs ------------------------------------------------------------------------------------------


def test_every_exhibit_has_a_plan_and_a_section() -> None:
    assert list(plan(FULL)) == list(EXHIBITS)


def test_tables_share_runs() -> None:
    runs = Path("runs")
    everything = plan(FULL)
    together = everything["fig6"] + everything["table3"]
    assert len(unique(together, runs)) < len(together)
    for jobs in everything.values():
        assert len(unique(jobs, runs)) == len(jobs)


def test_learners_have_five_seeds_each_on_a_map_of_its_own() -> None:
    for jobs in plan(FULL).values():
        seeds: dict[str, set[int]] = {}
        for job in jobs:
            if isinstance(job, Training):
                assert job.settings.scenario.layout_seed == job.seed
                key = f"{job.settings.scenario.name} {job.settings.label}"
                seeds.setdefault(key, set()).add(job.seed)
        assert all(len(found) >= 5 for found in seeds.values())


def test_a_failure_is_told_and_loses_nothing_and_what_is_done_is_not_repeated(
    tmp_path: Path,
) -> None:
    good = Measurement("optimum", {"seed": 0, "system": LARGE, "changes": {}})
    bad = Measurement("optimum", {"seed": 0, "system": "nowhere", "changes": {}})
    said: list[str] = []
    failed = work([bad, good], tmp_path, say=said.append)
    assert len(failed) == 1
    assert "ValueError" in failed[0]
    assert good.done(tmp_path)
    assert not bad.done(tmp_path)
    assert good.record(tmp_path)["commit"] == mark(dataclasses.asdict(this_system()))
    said.clear()
    assert work([good], tmp_path, say=said.append) == []
    assert said == ["0 runs and measurements to do"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")  # one for all: exhibits share runs


@pytest.mark.slow
@pytest.mark.parametrize("name", EXHIBITS)
def test_each_exhibit_runs_on_a_tiny_budget(name: str, runs: Path, tmp_path: Path) -> None:
    jobs = plan(TINY)[name]
    # In processes of their own, as a full reproduction runs.
    assert work(jobs, runs, processes=2, say=lambda _: None) == []
    raw = collect({name: jobs}, TINY, runs)
    assert raw.progress == {name: [len(jobs), len(jobs)]}
    page = write_page(raw, tmp_path / "page")
    again = write_page(read_raw(tmp_path / "page" / "reproduction.json"), tmp_path / "again")
    assert _content(page.parent) == _content(again.parent)
    shown = next(part for part in _sections(page.read_text(encoding="utf-8")) if part[0] == name)
    assert "runs and measurements are done" not in shown[1]


# -- the page --------------------------------------------------------------------------------------


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_page_and_figures_are_a_function_of_raw_results_alone(tmp_path: Path) -> None:
    raw = RAW
    first = write_page(raw, tmp_path / "a").parent
    second = write_page(read_raw(first / "reproduction.json"), tmp_path / "b").parent
    written = _content(first)
    assert _content(second) == written
    assert {"reproduction.md", "reproduction.json", "reproduction/fig7.svg"} <= set(written)


def test_the_page_shows_every_printed_number_beside_ours() -> None:
    page = page_text(RAW)
    for one in (*TABLE_III.values(), *TABLE_IV.values()):
        for value in (one.objective, one.time_s, one.energy_j):
            assert f"{value:.2f}" in page
    for row in TABLE_V.values():
        assert f"{row.objective:.2f}" in page
    assert "1.0000 ± 0.0000" not in page  # what is not the optimum has the digits that show it
    assert MISSED not in page


def test_the_page_in_docs_is_that_of_the_raw_results_beside_it() -> None:
    link = "../reproduction/results/reproduction.json"
    assert page_text(RAW, link) == (DOCS / "reproduction.md").read_text(encoding="utf-8")


def test_pictures_that_the_page_shows_are_written(tmp_path: Path) -> None:
    page = write_page(RAW, tmp_path)
    shown = [
        part.split(")")[0]
        for part in page.read_text(encoding="utf-8").split("](")[1:]
        if part.split(")")[0].endswith(".svg")
    ]
    assert len(shown) == 5
    assert all((tmp_path / picture).is_file() for picture in shown)


def test_a_page_of_nothing_says_so_and_shows_no_picture(tmp_path: Path) -> None:
    progress = {name: [0, len(jobs)] for name, jobs in plan(TINY).items()}
    page = write_page(Raw(dataclasses.asdict(TINY), progress=progress), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.count("*0 of ") == len(EXHIBITS)
    assert "Holds here" not in text
    assert ".svg" not in text
    assert "nan" not in text


def _sections(page: str) -> list[tuple[str, str]]:
    """Return the sections of tables and figures by the names of exhibits."""
    numerals = {"II": 2, "III": 3, "IV": 4, "V": 5}
    found = []
    for section in page.split("\n## ")[1:]:
        kind, number = section.split(":")[0].split(" ", 1) if ":" in section else ("", "")
        if kind in ("Table", "Fig."):
            number = str(numerals.get(number, number))
            found.append((kind.lower().rstrip(".") + number, section))
    assert [name for name, _ in found] == list(EXHIBITS)
    return found


def _changed(raw: Raw, change: Callable[[dict], dict | None]) -> Raw:
    runs = [change(dict(run)) for run in raw.runs]
    return dataclasses.replace(raw, runs=[run for run in runs if run is not None])


def _verdict(raw: Raw, words: str) -> str:
    (line,) = [line for line in page_text(raw).splitlines() if words in line]
    return line.split("**")[1]


@pytest.mark.parametrize(("lead", "verdict"), [(-1000, HOLDS), (1000, FAILS)])
def test_whether_dirs_beats_maddpg_is_judged(lead: float, verdict: str) -> None:
    def shifted(run: dict) -> dict:
        # Everyone else is far behind, so MADDPG alone decides.
        far = {"dirs": lead, "maddpg": 0.0}.get(run["algorithm"], 3000.0)
        return run | {"objective": run["objective"] + far}

    raw = _changed(RAW, shifted)
    assert _verdict(raw, "DIRS, with the paper's options, has the lowest") == verdict
    against = "DIRS is worse than MADDPG at N = 50, 100, 150, 200, 250"
    assert (against in " ".join(page_text(raw).split())) == (lead > 0)


@pytest.mark.parametrize(
    ("figure", "words"),
    [("latency_s", "lowest average time"), ("energy_j", "lowest average energy")],
)
def test_time_and_energy_of_table_five_are_judged_apart(figure: str, words: str) -> None:
    def shifted(run: dict, by: float) -> dict:
        ours = run["algorithm"] == "dirs" and run["system"] == LARGEST
        return run | {figure: run[figure] + by + 0.1 * run["seed"]} if ours else run

    for by, verdict in ((-150.0, HOLDS), (150.0, FAILS)):
        raw = _changed(RAW, lambda run, by=by: shifted(run, by))
        assert _verdict(raw, words) == verdict


def test_a_ratio_holds_the_spread_of_both_figures() -> None:
    noisy, sure = {0: 1.0, 1: 2.0, 2: 4.0}, {0: 1.0, 1: 1.0, 2: 1.0}
    one, other = times(noisy, sure), times(sure, noisy)
    assert one.low < one.value < one.high
    assert one.high / one.low == pytest.approx(other.high / other.low)
    assert times({}, {}).value != times({}, {}).value


@pytest.mark.parametrize("lost", ["dirs", "dirs:ensemble", "maddpg", "local", "optimal", "ac"])
def test_a_page_without_an_algorithm_leaves_out_what_rests_on_it(lost: str) -> None:
    raw = _changed(RAW, lambda run: None if run["algorithm"] == lost else run)
    page = page_text(raw)
    assert "nan" not in page.split()


@pytest.mark.parametrize("lost", KINDS)
def test_a_page_without_a_kind_of_measurement_leaves_out_what_rests_on_it(lost: str) -> None:
    kept = [one for one in RAW.measurements if one["kind"] != lost]
    assert "nan" not in page_text(dataclasses.replace(RAW, measurements=kept)).split()


def test_the_verdict_follows_the_paired_differences() -> None:
    base = {0: 1.0, 1: 5.0, 2: 9.0}  # far more spread than differences
    above = {seed: value + 0.5 + 0.01 * seed for seed, value in base.items()}
    mixed = {0: 1.4, 1: 4.8, 2: 9.1}
    for parts, verdict in (
        ([lower(base, above)], HOLDS),
        ([lower(above, base)], FAILS),
        ([lower(base, mixed)], UNDECIDED),
        ([lower({0: 1.0}, {0: 9.0})], UNDECIDED),
        ([lower({}, {})], MISSED),
        ([lower(base, above), lower(base, mixed)], UNDECIDED),
        ([lower(base, above), lower({}, {})], MISSED),
        ([lower(above, base), lower({}, {})], FAILS),
        ([lower(base, above), lower(above, base)], FAILS),
        ([], UNJUDGED),
    ):
        assert judged({"": parts})[""].words == verdict


def test_p_is_below_five_per_cent_where_the_interval_holds_no_bound() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        values = (rng.normal(size=5) + rng.uniform(-2, 2)).tolist()
        middle, half = np.mean(values), half_interval(values)
        one = between(values, -1.0, 1.0)
        inside = middle - half > -1 and middle + half < 1
        outside = middle - half > 1 or middle + half < -1
        assert (one.p < 0.05) == (inside or outside)
        assert one.inside == (-1 <= middle <= 1)


def test_verdicts_of_a_page_are_corrected_together() -> None:
    one = [Comparison(True, 0.01)]
    assert judged({"a": one})["a"].words == HOLDS
    many = {f"b{k}": [Comparison(True, 0.5)] for k in range(9)}
    assert str(judged({"a": one, **many})["a"]) == f"**{UNDECIDED}** (p = 0.100)"
    # What is not judged or not measured is no verdict.
    silent = {f"c{k}": [] if k % 2 else [lower({}, {})] for k in range(18)}
    assert judged({"a": one, **silent})["a"].words == HOLDS


def test_one_failing_part_of_many_is_corrected_for_their_number() -> None:
    parts = (Comparison(False, 0.02), Comparison(True, 0.001), Comparison(True, 0.001))
    assert p_value(parts) == pytest.approx(0.06)


# -- where rows come from --------------------------------------------------------------------------


def test_the_page_counts_commits_and_warns_of_more_than_one() -> None:
    parts = ([one | {"commit": "a1b2c3d"} for one in part] for part in (RAW.runs, RAW.measurements))
    runs, measurements = parts
    raw = dataclasses.replace(RAW, runs=runs, measurements=measurements)
    warning = "Not all of this was made by one known state of the code"
    assert warning not in page_text(raw)
    assert f"| a1b2c3d | {len(runs)} | {len(measurements)} |" in page_text(raw)

    page = page_text(dataclasses.replace(raw, runs=[*runs[1:], runs[0] | {"commit": "0000000"}]))
    assert warning in page
    first = f"{runs[0]['system']} (seed {runs[0]['seed']}): {runs[0]['algorithm']}"
    assert f"| 0000000 | 1 | 0 | {first} |" in page

    nowhere = [one | {"commit": None} for one in measurements]
    page = page_text(dataclasses.replace(raw, measurements=nowhere))
    assert warning in page
    assert f"| not recorded | 0 | {len(nowhere)} |" in page


# -- files and options that are refused ------------------------------------------------------------


def _written(**changes: object) -> str:
    return json.dumps(json.loads(RAW.text()) | changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "other.json must be JSON"),
        ("[]", "other.json must hold an object; got a list"),
        ('{"format": "mec-gym/regimes", "version": 1}', "must have the format"),
        ('{"format": "mec-gym/reproduction", "version": 3}', "lacks budget, progress, systems"),
        (_written(budget={}), "other.json: budget must have exactly .* lacks name, seeds"),
        (_written(runs=[{"seed": 0}]), r"other.json: runs\[0\] must have .* lacks system"),
        (_written(measurements=[[]]), r"other.json: measurements\[0\] must be an object"),
        (_written(systems=[{}]), r"other.json: systems\[0\] .* lacks versions"),
    ],
)
def test_raw_results_that_lack_something_are_refused(
    content: str, message: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_raw(other)


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "must be JSON"), ("[]", "must hold an object"), ('{"kind": 1}', "lacks arguments")],
)
def test_a_measurement_that_is_none_is_named(content: str, words: str, tmp_path: Path) -> None:
    one = Measurement("optimum", {"seed": 0, "system": "paper-30x2", "changes": {}})
    one.file(tmp_path).parent.mkdir()
    one.file(tmp_path).write_text(content)
    for call in (one.record, one.system):
        with pytest.raises(ValueError, match=rf"{one.file(tmp_path).name} .*{words}"):
            call(tmp_path)


def test_prose_is_filled_and_tables_are_not() -> None:
    row = "| " + " | ".join(["cell"] * 40) + " |"
    code = "```python\nfirst = 1\n\nsecond = 2\n```"
    text = filled("word " * 50 + "\n\n" + row + "\n\n" + code + "\n\nend")
    assert max(map(len, text.splitlines()[:3])) <= 100
    assert row in text
    assert code in text


def test_a_solved_slot_agrees_with_the_bound_of_its_scenario() -> None:
    scenario = scenario_of(LARGE, data_bits=1e-3)
    frozen = frozen_slots(scenario, layouts=1, slots_per_layout=1)
    objective = float(solve(scenario, frozen.slots).objective[0])
    assert objective == pytest.approx(free_transmission_bound(scenario), rel=1e-6)
