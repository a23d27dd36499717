"""A matrix is every run once; what it tells and skips is true. Its launchers: see test_faults."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import baselines
from mec_bench import RunFolder, Settings, Status, train
from mec_bench.launching import Processes, RunOutcome, Task
from mec_bench.matrix import (
    Progress,
    changes_of,
    configured,
    plan,
    run_matrix,
    seeds_of,
    tasks_of,
    timesteps_of,
)
from mec_gym import Scenario
from tests.mec_bench.harness_helpers import QUICK, SMALL, quick

PAPER = [Scenario.preset(name) for name in ("paper-30x2", "paper-180x8", "paper-200x10")]


class Noted:
    """A launcher that only notes what it is given, and says that it is done."""

    def __init__(self, state: str = "done") -> None:
        self.given: list[Task] = []
        self._state, self._waiting = state, list[Task]()
        self.running: Sequence[Task] = ()

    @property
    def left(self) -> int:
        return len(self._waiting)

    def start(self, tasks: Sequence[Task]) -> None:
        self.given, self._waiting = list(tasks), list(tasks)

    def poll(self, seconds: float) -> list[RunOutcome]:
        return [RunOutcome(self._waiting.pop(), self._state, "as told")]

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


def test_a_plan_has_every_run_once_and_rules_without_seeds() -> None:
    runs = plan(["dirs", "sb3:A2C", "greedy"], PAPER, [4, 9], "paper")
    found = {(run.scenario.name, run.label, run.seed, run.timesteps) for run in runs}
    budgets = {"paper-30x2": 3000, "paper-180x8": 4000, "paper-200x10": 5000}
    expected = {
        (n, a, s, t) for n, t in budgets.items() for a in ("dirs", "sb3:A2C") for s in (4, 9)
    }
    expected |= {(name, "greedy", 0, 0) for name in budgets}
    assert found == expected
    assert len(runs) == len(expected)


def test_variants_are_named_as_in_the_settings() -> None:
    changed = {"careful": {"algorithm": "dirs", "beta": 1.8}, "dirs": {"beta": 1.2}}
    careful, plain = plan(["careful", "dirs"], [SMALL], [0], 10, changed)
    assert (careful.label, careful.algorithm) == ("careful", "dirs")
    assert careful.arguments == {"beta": 1.8}
    assert plain.label == "dirs[beta=1.2]"


def test_each_variant_has_an_env_of_its_own_unless_all_share_one() -> None:
    changed = {"sb3:PPO": {"gamma": 0.0, "env.n_envs": 4, "env.reward": "negative"}}
    own, usual = plan(["sb3:PPO", "dirs"], [SMALL], [0], 10, changed)
    assert (own.n_envs, own.reward, own.arguments) == (4, "negative", {"gamma": 0.0})
    assert own.label == "sb3:PPO[gamma=0.0, env.n_envs=4, env.reward=negative]"
    assert (usual.n_envs, usual.reward) == (None, "relative")
    shared = plan(["sb3:PPO"], [SMALL], [0], 10, changed, n_envs=2)
    assert [run.n_envs for run in shared] == [2]
    with pytest.raises(TypeError, match=r"'n_env'.*did you mean 'n_envs'"):
        plan(["dirs"], [SMALL], [0], 10, {"dirs": {"env.n_env": 4}})


def test_settings_of_another_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "later.json"
    file.write_text('{"format": "mec-gym/learner-settings", "version": 99}')
    with pytest.raises(ValueError, match="must have version 2 or 3; got 99"):
        configured(file)


@pytest.mark.parametrize(
    ("algos", "timesteps", "changed", "words"),
    [
        (["dirz"], 10, {}, "did you mean 'dirs'"),
        (["dirs", "dirs"], 10, {}, "two runs would share the folder"),
        (["dirs"], "paper", {}, "timesteps must be a number of slots"),
        (["greedy"], {"smal": 10}, {}, "timesteps are given for"),
        (["greedy"], {"small": 10, "medium": 10}, {}, "'medium', which is not among"),
        (["dirs"], {"other": 3}, {}, "not for small"),
        (["dirs"], 10, {"dirs:prices": {"beta": 1}}, "not among the algorithms"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_it_begins(
    algos: list[str], timesteps: Any, changed: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        plan(algos, [SMALL], [0], timesteps, changed)


def test_words_of_a_command_line() -> None:
    assert seeds_of("2") == [0, 1]
    assert seeds_of("5,") == [5]
    assert timesteps_of(["paper"]) == "paper"
    assert timesteps_of(["1e3"]) == 1000
    assert timesteps_of(["a=1", "b[c=2]=3e0"]) == {"a": 1, "b[c=2]": 3}
    for wrong in ("0", "x", "", "1.5", "-1"):
        with pytest.raises(ValueError, match="seeds must be"):
            seeds_of(wrong)
    with pytest.raises(ValueError, match="scenario=number"):
        timesteps_of(["a=x"])


@pytest.mark.parametrize("name", ["small", "small[noise_w=1e-06]"])
def test_a_budget_by_scenario_is_found_with_changed_fields(name: str) -> None:
    changed = SMALL.replace(noise_w=1e-6, name="small[noise_w=1e-06]")
    (run,) = plan(["dirs"], [changed], [0], {name: 7})
    assert run.timesteps == 7


def test_settings_of_the_command_line_win_over_the_files(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"dirs": {"beta": 1.2, "threshold": 0.3}}')
    found = changes_of(["dirs", "dirs:prices"], ["dirs:beta=1.8", "dirs:prices:beta=1"], file)
    assert found == {"dirs": {"beta": 1.8, "threshold": 0.3}, "dirs:prices": {"beta": 1}}
    for text in ("[1]", "{", '{"dirs": 3}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"settings\.json"):
            changes_of(["dirs"], [], file)
    with pytest.raises(ValueError, match="algorithm:key=value"):
        changes_of(["dirs"], ["beta=1"])


def test_a_files_name_stands_for_its_settings_in_labels(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    table = {"beta": 1.2, "threshold": 0.3, "env.reward": "negative"}
    other = {"algorithm": "dirs", "beta": 1.1}
    file.write_text(json.dumps({"dirs": table, "my own": other}))
    algos = ["dirs", "my own", "ac"]

    def runs(words: Sequence[str] = (), **options: Any) -> list[Settings]:
        return plan(algos, [SMALL], [0], 9, changes_of(algos, words, file), file, **options)

    assert [run.label for run in runs()] == ["dirs[mine]", "my own", "ac"]
    assert runs()[0].changed == table
    assert runs()[0].place == Path("small/dirs-mine-9/seed-0")
    changed = runs(["dirs:beta=1.8", "ac:gamma=0.9"], n_envs=2)
    assert changed[0].label == "dirs[mine, beta=1.8, env.n_envs=2]"
    assert changed[2].label == "ac[gamma=0.9, env.n_envs=2]"
    assert changed[0].changed == table | {"beta": 1.8, "env.n_envs": 2}


SETTINGS = Path(baselines.__file__).parent / "settings"


@pytest.mark.parametrize("name", ["sb3-ppo", "sb3-ppo.json", "baselines/settings/sb3-ppo.json"])
def test_settings_that_come_with_the_package_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert configured(Path(name)) == configured(SETTINGS / "sb3-ppo.json")
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{"dirs": {"beta": 1.8}}')
    assert configured(Path(name)) == {"dirs": {"beta": 1.8}}  # a user's own comes first


@pytest.mark.parametrize("name", ["sb3-pp", "elsewhere/sb3-ppo.json", "sb3-ppo.toml"])
def test_a_file_that_is_not_there_is_told_with_those_that_are(name: str, tmp_path: Path) -> None:
    searches = {"particle_swarm", "differential_evolution"}  # their settings are no learner's
    names = ", ".join(sorted({file.stem for file in SETTINGS.glob("*.json")} - searches))
    with pytest.raises(FileNotFoundError, match=f"{name} is not there.*'sb3-ppo'.*: {names}"):
        configured(Path(name))


@pytest.mark.parametrize("name", ["ac", "ddpg", "sb3-ppo", "sb3-tqc"])
def test_a_record_of_found_settings_is_a_settings_file(name: str, tmp_path: Path) -> None:
    record = json.loads((SETTINGS / f"{name}.json").read_text())
    algo = record["algorithm"]
    assert changes_of([algo], [], SETTINGS / f"{name}.json") == {algo: record["chosen"]}
    (run,) = plan([algo], [SMALL], [0], 10, {algo: record["chosen"]})
    assert run.arguments.items() <= record["chosen"].items()
    file = tmp_path / "half.json"
    file.write_text(json.dumps(record | {"chosen": 3}))
    with pytest.raises(ValueError, match=r"half\.json must hold one table"):
        changes_of([algo], [], file)


def test_toml_is_read_too(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    file = tmp_path / "settings.toml"
    file.write_text('[dirs]\nbeta = 1.8\n["sb3:PPO"]\nn_steps = 64\n')
    assert changes_of(["dirs", "sb3:PPO"], [], file) == {
        "dirs": {"beta": 1.8}, "sb3:PPO": {"n_steps": 64}
    }  # fmt: skip


def test_what_is_done_is_not_given_to_anybody(tmp_path: Path) -> None:
    runs = [quick("greedy", 0), quick("quota", 0)]
    first = tasks_of(runs, tmp_path)[0]
    result = train(first.settings, first.folder)
    launcher = Noted("failed")
    report = run_matrix(runs, tmp_path, launcher)
    assert [str(task) for task in launcher.given] == ["quota on small, seed 0"]
    assert report.results == (result,)
    assert [one.state for one in report.outcomes] == ["there", "failed"]
    assert (report.status, report.unfinished, report.untried) == (1, 1, 0)


@pytest.mark.parametrize("damaged", ["settings.json", "status.json", "result.json"])
def test_a_damaged_folder_is_reported_and_the_others_go_on(damaged: str, tmp_path: Path) -> None:
    runs = [quick("greedy", 0), quick("quota", 0)]
    first = tasks_of(runs, tmp_path)[0]
    train(first.settings, first.folder)
    (first.folder / damaged).write_text('{"half')
    report = run_matrix(runs, tmp_path, Processes(1))
    assert [one.state for one in report.outcomes] == ["failed", "done"]
    reason = report.failures[0].reason
    assert str(first.folder) in reason
    assert "Delete" in reason


def test_results_are_in_the_order_of_the_plan_whoever_ends_first(tmp_path: Path) -> None:
    runs = [quick("greedy", 0), quick("quota", 0), quick("local", 0)]
    for task in tasks_of(runs, tmp_path)[1:]:
        train(task.settings, task.folder)
    report = run_matrix(runs, tmp_path, Processes(1))
    assert [one.label for one in report.results] == ["greedy", "quota", "local"]
    assert [one.state for one in report.outcomes] == ["done", "there", "there"]


def test_a_result_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    report = run_matrix([quick("greedy", 0)], tmp_path, Noted("done"))
    assert [one.state for one in report.outcomes] == ["failed"]
    assert report.status == 1


def test_time_left_follows_what_runs_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    tasks = tasks_of([quick("dirs", seed=seed) for seed in range(5)], tmp_path)
    progress = Progress(tasks, 2, io.StringIO())
    assert progress.estimate([]) is None
    progress.update(tasks[:2])
    now[0] = 30.0
    RunFolder(tasks[0].folder).write_status(Status(state="running", timesteps=24))
    # Half of the first in 30 s: it takes 60 s, as the others do; two at a time.
    assert progress.estimate(tasks[:2]) == pytest.approx((30 + 30 + 3 * 60) / 2)
    progress.ended(RunOutcome(tasks[0], "done"))
    assert progress.estimate(tasks[1:2]) == pytest.approx((0 + 3 * 30) / 2)


def test_progress_is_plain_lines_where_nobody_watches(tmp_path: Path) -> None:
    stream = io.StringIO()
    runs = [quick("greedy", 0), quick("quota", 0)]
    run_matrix(runs, tmp_path, Noted("held"), Progress(tasks_of(runs, tmp_path), 1, stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[1/2] quota on small, seed 0: held by another process: as told"
    assert len(lines) == 2
    assert "\r" not in stream.getvalue()


@pytest.mark.slow
def test_a_run_gives_the_same_numbers_alone_and_in_a_worker_after_others(tmp_path: Path) -> None:
    runs = [quick(name, seed=seed) for seed in (0, 1) for name in ("dirs", "sb3:A2C", "sb3:SAC")]
    report = run_matrix(runs, tmp_path / "matrix", Processes(2))
    assert report.status == 0
    assert len(report.results) == len(runs)
    alone = {(r.label, r.seed): train(r, tmp_path / "alone" / r.place) for r in runs}
    for result in report.results:
        assert result.slots == alone[result.label, result.seed].slots
    assert QUICK["dirs"]  # the settings above are not the defaults by accident


def test_launchers_refuse_no_jobs() -> None:
    for jobs, threads in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="must be at least 1; got 0"):
            Processes(jobs, threads)
