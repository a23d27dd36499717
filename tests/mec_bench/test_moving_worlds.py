"""The harness in worlds that move: frozen episodes, the hindsight ratio, learners of every kind."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mec_bench import (
    Episodes,
    EpisodesPoint,
    Result,
    RunFolder,
    Settings,
    aggregate,
    algorithm,
    as_text,
    check_algorithm,
    compare,
    evaluate_again,
    leaderboard,
    measuring,
    read_result,
    train,
    write_report,
    write_result,
)
from mec_bench.cli import main
from mec_bench.measuring import FrozenEpisodes, decisions_of, frozen, frozen_episodes
from mec_bench.report import content_of, leaderboard_json
from mec_bench.results import HINDSIGHT_RATIO
from mec_bench.training import make_env
from mec_gym import GaussMarkov, Scenario, Uniform, evaluate, hindsight, solve
from mec_gym.evaluation import decide_with, hindsight_ratio
from mec_gym.model.cost import hosts_after
from tests.mec_bench.harness_helpers import DIRS_ARGUMENTS, OFF_POLICY, assert_same, final_weights

CROWD = Scenario.preset("crowd-30x4")
SMALL = Scenario(
    n_devices=4,
    n_servers=2,
    cycles=Uniform(1e9, 3e9),
    mobility=GaussMarkov(5.0),
    migration_s=0.5,
    csi_delay_slots=1,
    name="small and moving",
)
STILL = Scenario(n_devices=4, n_servers=2, name="small")

DIRS = {
    key: DIRS_ARGUMENTS[key] for key in ("n_demonstrations", "pretrain_steps", "train_interval")
}
LEARNERS: dict[str, dict[str, Any]] = {
    "dirs": DIRS | {"demonstration_generations": 10},
    "dirs:ensemble": DIRS,
    "dirs:prices": DIRS,
    "dirs:hindsight": DIRS | {"hindsight_episodes": 1, "own_rounds": 1, "lesson_steps": 3},
    "ac": {"gamma": 0.9, "batch_size": 16},
    "ac:links": {"batch_size": 16},
    "ddpg": OFF_POLICY | {"gamma": 0.9},
    "ddpg:links": OFF_POLICY,
    "maddpg": OFF_POLICY | {"gamma": 0.9},
    "maddpg:links": OFF_POLICY,
    "droo": {"batch_size": 16},
    "droo:links": {"batch_size": 4},
    "sb3:PPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 2},
    "sb3:SAC": OFF_POLICY,
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two episodes of five slots."""
    monkeypatch.setattr(measuring, "EPISODES", 2)
    monkeypatch.setattr(measuring, "SLOTS_PER_EPISODE", 5)


def settings(name: str, scenario: Scenario = CROWD, **fields: Any) -> Settings:
    usual = {"timesteps": 48, "arguments": LEARNERS.get(name, {}), "measurements": 2}
    return Settings(**{"algorithm": name, "scenario": scenario, "label": name} | usual | fields)


def rule(name: str, scenario: Scenario = CROWD) -> Result:
    (found,) = evaluate_again([name], scenario=scenario)
    return found


# -- what is measured -----------------------------------------------------------------------------


def test_figures_are_those_of_a_walk_along_each_episode() -> None:
    held = frozen_episodes(SMALL, episodes=3, slots_per_episode=4)
    model = algorithm("best-gain").build(
        make_env(settings("best-gain", SMALL), algorithm("best-gain"))
    )
    found, times = held.measured(decisions_of(model, SMALL), "flat")
    for index, path in enumerate(held.episodes.episodes):
        hosts = np.zeros(4, dtype=np.int64)
        totals = np.zeros(4)
        for now, seen in zip(path.slots, path.seen, strict=True):  # type: ignore[call-overload]
            choice = 1 + seen.gains.argmax(-1)
            outcome = evaluate(SMALL, now.hosted(hosts), choice)
            moved = (choice != hosts).sum()
            totals += [
                outcome.objective,
                outcome.latency_s.sum(),
                outcome.energy_j.sum(),
                moved,
            ]
            hosts = hosts_after(np, choice, hosts, now.cycles)
        reached = [
            getattr(found, name)[index]
            for name in ("objective", "latency_s", "energy_j", "migrations")
        ]
        np.testing.assert_allclose(reached, totals / 4, rtol=1e-12)
        bound = hindsight(SMALL, path).lower_bound
        assert found.hindsight_ratio[index] == pytest.approx(bound / totals[0], rel=1e-9)
    assert times.single > 0
    assert times.batched > 0


def test_where_services_have_no_place_none_moves() -> None:
    drifting = STILL.replace(mobility=GaussMarkov(5.0), name="drifting")
    held = frozen_episodes(drifting, episodes=2, slots_per_episode=3)
    found, _ = held.measured(lambda seen: np.ones((len(seen), 4), dtype=np.int64), "flat")
    assert found.migrations == (0.0, 0.0)
    for ratio, path in zip(found.hindsight_ratio, held.episodes.episodes, strict=True):
        best = solve(drifting, path.slots).lower_bound.sum()
        ones = evaluate(drifting, path.slots, np.ones((3, 4), dtype=np.int64)).objective.sum()
        assert ratio == pytest.approx(best / ones, rel=1e-9)


def test_fewer_episodes_are_the_first_of_more() -> None:
    two, three = (frozen_episodes(SMALL, episodes=n, slots_per_episode=4) for n in (2, 3))
    np.testing.assert_allclose(two.episodes.lower_bound, three.episodes.lower_bound[:2], rtol=1e-12)
    for one, same in zip(two.episodes.episodes, three.episodes.episodes, strict=False):
        np.testing.assert_array_equal(one.gains, same.gains)


def test_bounds_are_found_once() -> None:
    assert frozen(SMALL) is frozen(SMALL)
    assert isinstance(frozen(SMALL), FrozenEpisodes)
    assert not isinstance(frozen(STILL, layouts=1), FrozenEpisodes)


class Remembers:
    """A recurrent model: goes on to the next choice in every slot, from 0 at an episode's start."""

    logger = None

    def __init__(self) -> None:
        self.starts: list[list[bool]] = []

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        self.starts.append(np.asarray(episode_start).tolist())
        before = np.zeros(len(observation)) if state is None else state[0]
        before = np.where(episode_start, 0.0, before)
        choice = before % 3
        return np.tile(choice[:, None], (1, 4)).astype(np.int64), (before + 1.0,)


def test_a_memory_goes_along_the_slots_of_an_episode_and_not_beyond() -> None:
    held = frozen_episodes(SMALL, episodes=2, slots_per_episode=4)
    model = Remembers()
    decide = decisions_of(model, SMALL)
    found, _ = held.measured(decide, "flat")
    # The clock's slots of one episode, then both side by side.
    assert [len(starts) for starts in model.starts] == [1] * 4 + [2] * 4
    assert [starts[0] for starts in model.starts] == [True, False, False, False] * 2
    slot = iter(range(4))

    def counts(_scenario: Any, seen: Any, *_: Any) -> Any:
        return np.full(seen.data_bits.shape, next(slot) % 3)

    wanted = hindsight_ratio(held.episodes, counts)
    np.testing.assert_allclose(found.hindsight_ratio, wanted, rtol=1e-12)
    again = hindsight_ratio(held.episodes, decide_with(Remembers(), "flat"))
    np.testing.assert_allclose(again, wanted, rtol=1e-12)
    assert held.means(decide, "flat")[0] == pytest.approx(wanted.mean(), rel=1e-12)


def test_each_frozen_slot_begins_anew_for_a_model_with_a_memory() -> None:
    model = Remembers()
    decide, held = decisions_of(model, STILL), frozen(STILL, layouts=1, slots_per_layout=3)
    held.measured(decide, "flat")
    held.means(decide, "flat")
    assert len(model.starts) == 5
    assert all(all(starts) for starts in model.starts)


# -- learners -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_trains_is_saved_loaded_and_measured(name: str, tmp_path: Path) -> None:
    result = train(settings(name), tmp_path / "run")
    assert result.measure.key == "hindsight_ratio"
    assert isinstance(result.slots, Episodes)
    assert all(isinstance(point, EpisodesPoint) for point in result.curve)
    assert result.curve[-1].score == pytest.approx(np.mean(result.slots.score), rel=1e-12)
    assert read_result(tmp_path / "run" / "result.json") == result
    again, file = evaluate_again([str(tmp_path / "run")]), tmp_path / "run" / "model.zip"
    assert next(again).slots == result.slots
    (of_file,) = evaluate_again([str(file)], algo=name, scenario=CROWD)
    assert of_file.slots == result.slots


def test_dirs_labels_know_the_hosts() -> None:
    """A service that is there already is worth offloading to; the same elsewhere is not."""
    one = settings("dirs:prices", SMALL, arguments=DIRS | {"refinement": "optimal"})
    chosen = algorithm("dirs:prices", one.arguments)
    env = make_env(one, chosen)
    model = chosen.build(env, seed=0, device="cpu").learn(48)
    replay = model.replay_buffer
    coder = env.get_attr("coder")[0]
    slots = coder.decode(replay._observations[: replay.size])
    assert (slots.hosts > 0).any()
    held = replay._assignments[: replay.size].astype(np.int64)
    best = evaluate(SMALL, slots, solve(SMALL, slots).assignment).objective
    reached = evaluate(SMALL, slots, held).objective
    np.testing.assert_allclose(reached, best, rtol=1e-5)


@pytest.mark.parametrize("name", ["my_algorithms:Dirs", "my_algorithms:OnPolicy"])
def test_a_run_that_was_stopped_ends_as_if_it_never_was(
    name: str, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = DIRS_ARGUMENTS | {"policy": "EnsemblePolicy"} if "Dirs" in name else {"n_steps": 4}
    one = settings(name, SMALL, arguments=arguments, timesteps=130)
    whole = train(one, user_folder / "whole")
    monkeypatch.setenv("STOP_AT", "117")  # in the second episode of the env
    monkeypatch.setenv("STOP_WITH", "SIGTERM")
    with pytest.raises(SystemExit):
        train(one, user_folder / "parts")
    parts = train(one, user_folder / "parts")
    assert_same(*(final_weights(user_folder / part, one) for part in ("parts", "whole")))
    assert parts.slots == whole.slots
    assert [p.score for p in parts.curve] == [p.score for p in whole.curve]
    assert RunFolder(user_folder / "parts").read_curve() == list(parts.curve)


@pytest.mark.parametrize("scenario", [SMALL, STILL], ids=["moving", "still"])
@pytest.mark.parametrize("timesteps", [8, 12])
def test_the_last_point_of_a_curve_is_of_the_final_model(
    scenario: Scenario, timesteps: int, tmp_path: Path
) -> None:
    arguments = {"n_steps": 1, "batch_size": 4, "learning_rate": 0.3}
    run = settings(
        "sb3:PPO", scenario, arguments=arguments, n_envs=4, timesteps=timesteps, measurements=10
    )
    result = train(run, tmp_path)
    assert result.curve[-1].timesteps == timesteps
    assert result.curve[-1].score != result.curve[-2].score  # the last update changes it
    assert result.curve[-1].score == pytest.approx(np.mean(result.slots.score))


@pytest.mark.parametrize(
    ("name", "world", "arguments", "told"),
    [
        ("ac", SMALL, {"batch_size": 16}, True),
        ("ac", SMALL, LEARNERS["ac"], False),
        ("ac", STILL, {"batch_size": 16}, False),
        ("dirs:prices", SMALL, LEARNERS["dirs:prices"], True),
        ("dirs:prices", STILL, LEARNERS["dirs:prices"], False),
    ],
)
def test_who_does_not_look_ahead_is_told_so_before_and_after_training(
    name: str,
    world: Scenario,
    arguments: dict[str, Any],
    told: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("WARNING", "mec_bench"):
        result = train(settings(name, world, arguments=arguments), tmp_path)
    (again,) = evaluate_again([tmp_path])
    assert again.notes == result.notes
    assert len(result.notes) == told
    assert caplog.messages == [f"{name}: {note}" for note in result.notes]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dirs:prices", LEARNERS["dirs:prices"]),
        ("ac:links", {"batch_size": 8}),
        ("maddpg", {"learning_starts": 8, "batch_size": 8}),
        ("droo", {"batch_size": 8}),
        ("droo:links", {"batch_size": 4}),
        ("greedy", {}),
    ],
)
def test_check_algorithm_in_a_moving_world(name: str, arguments: dict[str, Any]) -> None:
    report = check_algorithm(name, scenario=SMALL, arguments=arguments, timesteps=16)
    assert report.passed, str(report)


# -- results, tables and reports ------------------------------------------------------------------


def test_a_result_of_episodes_is_read_back_and_a_wrong_one_refused(tmp_path: Path) -> None:
    result = rule("local")
    file = tmp_path / "result.json"
    write_result(file, result)
    assert read_result(file) == result
    record = json.loads(file.read_text())
    assert set(record["slots"]) == {
        "hindsight_ratio",
        "objective",
        "latency_s",
        "energy_j",
        "migrations",
        "lower_bound",
    }
    assert "nrr" not in file.read_text()
    for place, value, words in (
        ("hindsight_ratio", [0.5, 0.5], r"slots\.hindsight_ratio\[0\] must be lower_bound / obj"),
        ("hindsight_ratio", [1.5, 0.5], r"slots\.hindsight_ratio\[0\] must lie in \(0, 1\]"),
        ("migrations", [0.0], r"slots\.migrations must have as many episodes"),
        ("migrations", [0.0, "x"], r"slots\.migrations\[1\] must be a finite number"),
        ("moves", [0.0, 0.0], r"slots must have exactly the keys.*unknown moves"),
    ):
        wrong = record | {"slots": record["slots"] | {place: value}}
        file.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=words):
            read_result(file)
    with pytest.raises(ValueError, match=r"curve\[0\] must have the score of slots"):
        dataclasses.replace(result, curve=[{"timesteps": 0, "seconds": 0.0, "nrr": 0.5}])


def test_two_measures_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    results = [rule(name, one) for one in (SMALL, STILL) for name in ("local", "greedy", "random")]
    comparison = compare(results)
    by_key = {table.measure.key: table for table in comparison.tables}
    assert sorted(by_key) == ["hindsight_ratio", "nrr"]
    text = as_text(comparison)
    assert text.count("hindsight ratio − ") == 1
    assert text.count("NRR − ") == 1
    content = content_of(results)
    plain = json.loads(leaderboard_json(content))
    for table in plain["tables"]:
        other = {"nrr": "hindsight_ratio", "hindsight_ratio": "nrr"}[table["measure"]]
        for row in table["rows"]:
            own = [one for one in results if one.label == row["label"]]
            (mine,) = [one for one in own if one.measure.key == table["measure"]]
            assert row[table["measure"]]["value"] == pytest.approx(np.mean(mine.slots.score))
            assert other not in row
    assert f"2 × 5 slots ({HINDSIGHT_RATIO.grid})" in text
    assert text.count("moves per slot") == 1
    assert "the same test slots or test episodes" in leaderboard(results)
    moving = [one for one in results if one.measure is HINDSIGHT_RATIO]
    assert "test slots" not in leaderboard(moving)
    # One scenario of each: nothing to summarise across measures.
    assert aggregate(comparison.tables) == []
    page = write_report(results, [], tmp_path)[-1].read_text()
    assert "hindsight ratio over episodes" in page
    assert "NRR over slots" in page
    assert "NRR is optimum" in leaderboard(results)
    assert "hindsight ratio, of worlds that move" in leaderboard(results)


def test_an_aggregate_has_one_measure() -> None:
    others = [one.replace(weight_latency=2.0, name=f"{one.name}, hasty") for one in (SMALL, STILL)]
    worlds = [SMALL, STILL, *others]
    results = [rule(name, one) for one in worlds for name in ("local", "greedy")]
    summaries = aggregate(compare(results).tables)
    assert [one.measure.key for one in summaries] == ["nrr", "hindsight_ratio"]
    for summary in summaries:
        assert {table.measure for table in summary.tables} == {summary.measure}


def test_differences_are_paired_by_episode() -> None:
    first, second = rule("local"), rule("best-gain")
    (table,) = compare([first, second], reference="local").tables
    (row,) = table.differences
    apart = np.subtract(second.slots.score, first.slots.score)
    assert row.difference.interval.value == pytest.approx(apart.mean())
    half = 12.706204736 * apart.std(ddof=1) / np.sqrt(2)  # Student's t with one degree of freedom
    assert row.difference.interval.half == pytest.approx(half, rel=1e-6)


def test_tags_and_curves_bear_the_name(tmp_path: Path) -> None:
    train(settings("ac", SMALL), tmp_path / "run")
    with (tmp_path / "run" / "progress.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert any(row.get("frozen/hindsight_ratio") for row in rows)
    assert any(row.get("mec/migrations") for row in rows)
    assert not any("nrr" in key for key in rows[0])
    assert "hindsight_ratio" in (tmp_path / "run" / "curve.json").read_text()


# -- the command ----------------------------------------------------------------------------------


def test_every_verb_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, report = str(tmp_path / "runs"), str(tmp_path / "report")
    words = ["--scenario", "crowd-30x4", "--timesteps", "32", "--quiet", "--out", runs]
    assert main(["train", "--algo", "ac", "--set", "batch_size=16", "gamma=0.9", *words]) == 0
    assert "(hindsight bound)" in capsys.readouterr().out
    assert main(["evaluate", runs, "greedy", "best-gain", "--layouts", "2"]) == 0
    assert "2 × 5 slots" in capsys.readouterr().out
    assert main(["check", "ac", "--scenario", "crowd-30x4", "--set", "batch_size=8"]) == 0
    assert main(["report", runs, "--out", report]) == 0
    assert "hindsight ratio" in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.parametrize("name", ["dirs:ensemble", "dirs:prices", "ac:links", "ddpg", "maddpg"])
def test_hosts_are_seen(name: str) -> None:
    """What a learner decides, or says of its scores, depends on where services are."""
    one = settings(name)
    chosen = algorithm(name, one.arguments)
    env = make_env(one, chosen)
    model = chosen.build(env, seed=0, device="cpu").learn(48)
    held = frozen(CROWD)
    assert isinstance(held, FrozenEpisodes)
    seen = held.episodes.episodes[0].seen[:1]
    coder = env.get_attr("coder")[0]
    rows = [coder.encode(seen.hosted(np.full((1, 30), host))) for host in (1, 3)]
    states = [_answers(model, row) for row in rows]
    assert np.abs(states[0] - states[1]).max() > 1e-6


def _answers(model: Any, row: Any) -> Any:
    import torch

    with torch.no_grad():
        tensor = torch.as_tensor(row)
        if hasattr(model.policy, "bank"):
            return model.policy.bank.scores(model.policy.columns(tensor)).numpy()
        if hasattr(model.policy, "get_distribution"):
            return model.policy.get_distribution(tensor).distribution.logits.numpy()
        return model.policy.actor(tensor).numpy()
