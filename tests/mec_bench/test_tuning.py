"""Tuning: equal budgets, on slots and seeds of its own, and a study that goes on as it was."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("optuna")

from mec_bench import Trial, TriedRun, Tuned, algorithm, names, train, tune, tuning
from mec_bench.cli import main
from mec_bench.matrix import configured, plan, seeds_of, variant
from mec_bench.measuring import EPISODES, LAYOUTS, TUNING_SEED, figures, frozen
from mec_bench.run import RunFolder, Settings
from mec_bench.searching import (
    SPACES,
    UNJUDGED,
    ends,
    is_behind,
    plain_name,
    reached,
    space_of,
    suggested,
    trial_of,
)
from mec_bench.training import make_env, seed_env
from mec_bench.tuning import training_seed
from mec_gym import GaussMarkov, Scenario
from mec_gym.files import write_whole
from tests.mec_bench.harness_helpers import SMALL

MOVING = Scenario(
    n_devices=3, n_servers=2, mobility=GaussMarkov(5.0), migration_s=0.5, name="moving"
)
NAME = f"{__name__}:Guesses"
SPACE: dict[str, Any] = {
    "offloaded": {"low": 0, "high": 4},
    "server": {"choices": [1, 2]},
    "rate": {"low": 1e-4, "high": 0.1, "log": True},
}


class Guesses:
    """Offloads the first few devices to one server, more of them the longer it has trained."""

    def __init__(
        self, env: Any, offloaded: int = 2, server: int = 1, rate: float = 0.1, fails: bool = False
    ) -> None:
        self.env, self.offloaded, self.server, self.fails = env, offloaded, server, fails
        self.rate, self.trained = rate, 0

    def learn(self, total_timesteps: int) -> None:
        self.env.reset()
        for _ in range(total_timesteps):
            self.env.step(np.zeros((1, *self.env.action_space.shape), dtype=int))
            self.trained += 1
        if self.fails:
            raise ZeroDivisionError("it diverged")

    def predict(self, observations: Any) -> Any:
        actions = np.zeros((len(observations), *self.env.action_space.shape), dtype=int)
        actions[:, : min(self.offloaded, self.trained)] = self.server
        return actions


def tuned(out: Path, name: str = NAME, **options: Any) -> Tuned:
    given: dict[str, Any] = {
        "scenarios": SMALL, "timesteps": 8, "space": SPACE, "trials": 2, "layouts": 2
    }  # fmt: skip
    return tune(name, out=out, **given | options)


def timeless(found: Tuned) -> list[dict[str, Any]]:
    trials = [dataclasses.asdict(trial) for trial in found.trials]
    for trial in trials:
        for run in trial["runs"]:
            del run["seconds"]
    return trials


# -- a study ---------------------------------------------------------------------------------------


def test_numbers_of_numpy_and_devices_of_torch_are_as_good_as_words(tmp_path: Path) -> None:
    numbers = {
        "offloaded": {"low": np.int64(0), "high": np.int32(4)},
        "server": {"choices": [np.int64(1), np.int64(2)]},
        "rate": {"low": np.float64(1e-4), "high": np.float64(0.1), "log": np.bool_(True)},
    }
    plain = tuned(tmp_path / "plain")
    given: dict[str, Any] = {"trials": np.int64(2), "timesteps": np.int64(8), "seeds": np.int64(3)}
    numpy = tuned(tmp_path / "numpy", space=numbers, device=torch.device("cpu"), **given)
    assert timeless(numpy) == timeless(plain)
    records = [json.loads(found.file.read_text()) for found in (numpy, plain)]
    assert records[0]["study"] == records[1]["study"]


def test_a_study_that_was_stopped_goes_on_as_if_it_never_was(tmp_path: Path) -> None:
    whole = tuned(tmp_path / "whole", trials=10)
    assert {trial.value is None for trial in whole.trials} == {True, False}
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if len(lines) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "parts", trials=4, say=stop)
    half = json.loads((tmp_path / "parts" / whole.file.name).read_text())
    assert len(half["trials"]) == 3
    assert half["chosen"] == half["trials"][half["best_trial"]]["arguments"]
    assert len(tuned(tmp_path / "parts", trials=7).trials) == 7  # more than were asked for at first
    parts = tuned(tmp_path / "parts", trials=10)
    assert timeless(parts) == timeless(whole)
    assert parts.chosen == whole.chosen
    before = parts.file.read_text()
    assert timeless(tuned(tmp_path / "parts", trials=10)) == timeless(whole)
    assert parts.file.read_text() == before
    assert [file.name for file in (tmp_path / "parts").iterdir()] == [parts.file.name]


def test_a_run_within_a_trial_goes_on_where_it_was(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"n_steps": {"choices": [2, 4]}}
    options: dict[str, Any] = {"name": "my_algorithms:OnPolicy", "space": space, "timesteps": 48}
    whole = tuned(user_folder / "whole", **options)
    for seed in (0, 2):
        monkeypatch.setenv("STOP_AT", "29")
        monkeypatch.setenv("STOP_SEED", str(training_seed(seed)))
        monkeypatch.setenv("STOP_WITH", "SIGINT")
        with pytest.raises(KeyboardInterrupt):
            tuned(user_folder / "parts", **options)
        left = sorted((user_folder / "parts").rglob("slot-*.zip"))
        assert any(f"seed-{training_seed(seed)}" in str(file) for file in left)
    assert timeless(tuned(user_folder / "parts", **options)) == timeless(whole)


def test_a_fault_leaves_the_runs_that_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out, seeds = tuning.carried_out, []

    def full(run: Any) -> Any:
        seeds.append(run.settings.seed)
        if len(seeds) == 2:
            raise OSError("no space left")
        return carried_out(run)

    monkeypatch.setattr(tuning, "carried_out", full)
    with pytest.raises(OSError, match="no space left"):
        tuned(tmp_path, trials=1)
    assert len(list(tmp_path.rglob("result.json"))) == 1
    tuned(tmp_path, trials=1)
    whole = tuned(tmp_path / "whole", trials=1)
    assert timeless(tuned(tmp_path, trials=1)) == timeless(whole)


def test_all_learners_have_the_same_budget(tmp_path: Path) -> None:
    other = SMALL.replace(name="other", bandwidth_hz=2e7)
    slots = {"small": 8, "other": 12}
    common: dict[str, Any] = {"scenarios": [SMALL, other], "timesteps": slots, "seeds": 4}
    mine = tuned(tmp_path, **common)
    theirs = tuned(tmp_path, "ac:links", space=None, **common)
    spent = [
        [[(run.scenario, run.seed, run.timesteps) for run in one.runs] for one in found.trials]
        for found in (mine, theirs)
    ]
    assert spent[0] == spent[1]
    seeds = [training_seed(number) for number in range(4)]
    assert spent[0] == 2 * [[(name, seed, slots[name]) for seed in seeds for name in slots]]
    budgets = [json.loads(found.file.read_text())["budget"] for found in (mine, theirs)]
    assert budgets[0] == budgets[1] == {"trials": 2, "seeds": 4, "slots": slots}


def test_a_trial_is_worth_the_mean_of_its_final_policies(tmp_path: Path) -> None:
    found = tuned(tmp_path, "ac", timesteps=64, space={"gamma": {"choices": [0.5, 0.9]}})
    assert found.trials[0].arguments == {}  # the algorithm as it is
    assert found.trials[1].arguments["gamma"] in (0.5, 0.9)
    judged = frozen(SMALL, layouts=2, seed=TUNING_SEED)
    for trial in found.trials:
        scores = []
        for run in trial.runs:
            settings = Settings(
                algorithm="ac", scenario=SMALL, timesteps=64, seed=run.seed,
                arguments=trial.arguments,
            )  # fmt: skip
            folder = tmp_path / str(trial.number) / str(run.seed)
            train(settings, folder)
            chosen = algorithm("ac", trial.arguments)
            model = chosen.load(RunFolder(folder).model, env=make_env(settings, chosen))
            # Another path to the same figure: slot by slot.
            actions = [
                model.predict(one, deterministic=True)[0] for one in judged.observations("flat")
            ]
            scores.append(np.mean(figures(judged, np.asarray(actions)).nrr))
        assert [run.score for run in trial.runs] == pytest.approx(scores, rel=1e-12)
        assert trial.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert found.best.value == max(trial.value or 0 for trial in found.trials)


def test_moving_worlds_are_tuned_by_the_hindsight_ratio(tmp_path: Path) -> None:
    found = tuned(tmp_path, scenarios=MOVING, trials=1, layouts=1)
    record = json.loads(found.file.read_text())
    assert record["study"]["measure"] == {"moving": "hindsight_ratio"}
    on = record["study"]["judged_on"]["moving"]
    assert (on["seed"], on["layouts"], on["slots_per_layout"]) == (TUNING_SEED, 1, 100)
    assert 0 < (found.best.value or 0) < 1


def test_the_record_says_what_it_ran_on_and_is_a_settings_file(tmp_path: Path) -> None:
    fixed = {"rate": 0.05, "env.n_envs": 1}
    found = tuned(tmp_path, arguments=fixed, trials=3)
    record = json.loads(found.file.read_text())
    assert [record["systems"][one["system"]]["cores"] for one in record["trials"]] >= [1, 1, 1]
    assert set(record["systems"][0]) >= {"commit", "modified", "versions", "processor"}
    assert configured(found.file) == {NAME: found.chosen}
    assert found.chosen == fixed | dict(found.best.arguments)
    (run,) = plan([NAME], [SMALL], [0], 8, configured(found.file), found.file)
    assert run.changed == found.chosen
    assert run.label == f"{NAME}[{found.file.stem}]"


# -- seeds and slots that no result is of ----------------------------------------------------------


@pytest.mark.parametrize("scenario", [SMALL, SMALL.replace(layout="redrawn"), MOVING])
def test_tuning_sees_nothing_that_is_measured(scenario: Scenario) -> None:
    usual = EPISODES if scenario.dynamic else LAYOUTS
    sets = [frozen(scenario, layouts=usual), frozen(scenario, layouts=usual, seed=TUNING_SEED)]
    if scenario.dynamic:
        seen = [
            {slot.tobytes() for path in one.episodes.episodes for slot in path.slots.gains}
            for one in sets
        ]
    else:
        seen = [{slot.tobytes() for slot in one.slots.gains} for one in sets]
    assert len(seen[0]) == len(seen[1]) >= 5 * usual
    assert not seen[0] & seen[1]


def test_tuning_trains_with_seeds_that_no_count_reaches() -> None:
    tuning = [training_seed(number) for number in range(1000)]
    assert len(set(tuning)) == 1000
    assert min(tuning) > max(seeds_of("100000"))
    streams: list[int] = []

    class Env:
        seed = streams.append

    for seed in [*tuning, *range(1000)]:
        seed_env(Env, seed)
    assert len(set(streams)) == 2000


# -- giving up -------------------------------------------------------------------------------------


def run_of(*scores: float, final: float | None = None) -> TriedRun:
    """Return a run of 40 slots with scores after every ten of them."""
    curve = [[10 * index, score] for index, score in enumerate(scores)]
    return TriedRun("small", 1, 40, final, curve, 0.0)


def complete(*values: float) -> list[Trial]:
    runs = [run_of(0.1, 0.2, value / 2, final=value) for value in values]
    return [Trial(number, {}, one.score, [one, one]) for number, one in enumerate(runs)]


def test_a_trial_is_compared_by_its_mean_so_far() -> None:
    runs = [run_of(0.0, 0.2, 0.4, 0.6, final=0.8), run_of(0.1, 0.4)]
    assert reached(runs) == pytest.approx({1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 0.6})
    # What takes many slots at a time has fewer points.
    wide = TriedRun("small", 1, 40, 0.9, [[0, 0.1], [32, 0.5], [64, 0.9]], 0.0)
    assert reached([wide]) == {3: 0.5, 4: 0.9}


@pytest.mark.parametrize(
    ("runs", "behind"),
    [
        ([run_of(0.0, 0.0)], False),  # a quarter of the first run
        ([run_of(0.0, 0.0, 0.34)], True),
        ([run_of(0.0, 0.0, 0.35)], False),  # the median itself
        ([run_of(0.9, 0.9, 0.34)], True),  # not by the best that it has been
        ([run_of(final=0.69)], True),  # one bad seed
        ([run_of(final=0.71), run_of(final=0.68)], True),
        ([run_of(final=0.9), run_of(final=0.51)], False),
        ([run_of(final=0.0), run_of(final=0.9), run_of(final=0.9)], False),  # nothing to compare
    ],
)
def test_what_is_below_the_median_is_given_up(runs: list[TriedRun], behind: bool) -> None:
    before = complete(0.5, 0.6, 0.7, 0.8, 0.9)
    assert is_behind(runs, before) is behind
    assert not is_behind(runs, before[: UNJUDGED - 1])
    given_up = [Trial(9, {}, None, [run_of(0.0, 0.0, 0.0)])] * 20
    assert is_behind(runs, [*before, *given_up]) is behind


def test_bad_settings_lose_in_their_first_run(tmp_path: Path) -> None:
    found = tuned(tmp_path, trials=10)
    given_up = [trial for trial in found.trials if trial.value is None]
    assert given_up
    assert all(len(trial.runs) < 3 or trial.runs[-1].score is None for trial in given_up)
    assert any(trial.runs[0].score is None for trial in given_up)
    for trial in given_up:
        assert is_behind(trial.runs, found.trials[: trial.number])
        slots = [point[0] for point in trial.runs[-1].curve]
        assert max(slots) <= 8
    values = [trial.value for trial in found.trials[:UNJUDGED]]
    assert None not in values


def test_what_has_trained_to_the_end_has_a_value_however_low(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind(runs: list[TriedRun], _: Any) -> bool:
        return len(runs) == 3 and runs[-1].score is not None

    monkeypatch.setattr("mec_bench.tuning.is_behind", behind)
    assert all(trial.value is not None for trial in tuned(tmp_path).trials)


def test_what_diverges_counts_nothing_and_another_error_ends_a_study_that_has_nothing_yet(
    tmp_path: Path,
) -> None:
    space: dict[str, Any] = {"fails": {"choices": [True]}}
    found = tuned(tmp_path, space=space)
    assert [run.score for run in found.trials[1].runs] == [0.0] * 3
    assert found.trials[1].runs[0].error == "ZeroDivisionError: it diverged"
    assert found.chosen == {}
    tasteless = {"offloaded": {"choices": ["no number"]}}
    found = tuned(tmp_path / "later", space=tasteless)
    assert "TypeError" in found.trials[1].runs[0].error
    with pytest.raises(TypeError, match="not supported between"):
        tuned(tmp_path / "first", space=SPACE, arguments={"offloaded": "no number"})
    # What led there is gone: mended, it begins anew.
    assert tuned(tmp_path / "first", arguments={"offloaded": 1}).trials[0].value is not None


# -- spaces ----------------------------------------------------------------------------------------


def test_suggestions_keep_to_the_space_and_follow_from_the_record() -> None:
    space = space_of("mine", SPACE | {"widths": {"choices": [[32], {"pi": [64]}]}})
    space |= {
        "even": {"low": 2, "high": 8, "step": 2},
        "half": {"low": 0.5, "high": 2, "step": 0.5},
    }
    assert suggested(space, [], 1) == {}
    trials = [Trial(0, {}, 0.5, [])]
    for number in range(1, 25):
        arguments = suggested(space, trials, 1)
        again = json.loads(json.dumps([dataclasses.asdict(one) for one in trials]))
        assert suggested(space, [*map(trial_of, again)], 1) == arguments
        assert arguments.keys() == space.keys()
        assert type(arguments["offloaded"]) is int
        assert arguments["offloaded"] in range(5)
        assert arguments["server"] in (1, 2)
        assert arguments["widths"] in ([32], {"pi": [64]})
        assert arguments["even"] in (2, 4, 6, 8)
        assert arguments["half"] in (0.5, 1.0, 1.5, 2.0)
        assert 1e-4 <= arguments["rate"] <= 0.1
        assert arguments["rate"] == float(f"{arguments['rate']:.3g}")
        value = None if number % 5 == 0 else 1 - abs(arguments["offloaded"] - 3) / 10
        trials.append(Trial(number, arguments, value, [run_of(0.0, 0.1, 0.2)]))
    late = [trial.arguments["offloaded"] for trial in trials[-8:]]
    assert late.count(3) >= 4  # it learns from what was tried


@pytest.mark.parametrize("file", sorted(SPACES.glob("*.json")), ids=lambda file: file.stem)
def test_spaces_that_come_are_taken_by_their_algorithms(file: Path) -> None:
    (name,) = [one for one in names() if plain_name(one) == file.stem]
    for arguments in ends(space_of(name)):
        fields = variant(name, arguments)
        settings = Settings(scenario=SMALL, timesteps=8, **fields)
        chosen = algorithm(name, settings.arguments)
        chosen.build(make_env(settings, chosen), seed=0, device="cpu")


def test_every_learner_of_the_project_has_a_space() -> None:
    there = {file.stem for file in SPACES.glob("*.json")}
    assert there == {plain_name(name) for name in names() if algorithm(name).learns}


LOW = {"low": 0.1, "high": 0.2}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (None, "no search space comes with .*--space FILE.*ac:links"),
        ({}, "space must have at least one argument"),
        ({"rate": 3}, r'space: rate must be .*"choices"'),
        ({"rate": LOW | {"choices": [1]}}, "rate must be"),
        ({"rate": LOW | {"lag": True}}, "rate must be"),
        ({"rate": {"choices": []}}, "choices must be a list, not empty"),
        ({"rate": {"choices": [float("nan")]}}, "choices must be plain JSON"),
        ({"rate": {"choices": [1, 1]}}, "choices must differ"),
        ({"rate": {"low": "a", "high": 1}}, "low must be a finite number; got 'a'"),
        ({"rate": {"low": 2, "high": 1}}, "low must be less than high"),
        ({"rate": LOW | {"log": 1}}, "log must be true or false"),
        ({"rate": {"low": 0, "high": 1, "log": True}}, "low must be > 0 where log"),
        ({"rate": LOW | {"step": 0}}, "step must be > 0"),
        ({"rate": {"low": 1, "high": 5, "step": 0.5}}, "step must be a whole number"),
    ],
)
def test_a_wrong_space_is_refused_before_any_work(space: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        tuned(tmp_path / "out", space=space)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"seeds": 2}, ValueError, "seeds must be an integer >= 3; got 2"),
        ({"timesteps": "paper"}, ValueError, "timesteps must be a number of slots"),
        ({"space": "no.json"}, FileNotFoundError, r"--space .*must be a JSON file; .*no\.json"),
        ({"scenarios": [SMALL, SMALL]}, ValueError, "two runs would share"),
        ({"name": "greedy"}, ValueError, "one that learns; greedy does not"),
        ({"space": {"offload": {"choices": [1]}}}, TypeError, "did you mean 'offloaded'"),
        ({"space": {"seed": {"choices": [1, 2]}}}, ValueError, "'seed' is not an argument"),
        ({"space": {"env.envs": {"choices": [1]}}}, TypeError, "did you mean 'n_envs'"),
        ({"arguments": {"rate": float("nan")}}, ValueError, "arguments.rate must be plain JSON"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_any_work(
    options: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        tuned(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_is_no_bad_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    file = tuned(tmp_path, trials=1).file
    before = file.read_text()
    with pytest.raises(ValueError, match="device 'cuda' is not there"):
        tuned(tmp_path, device="cuda")
    assert file.read_text() == before


def test_another_study_in_its_place_is_named_and_kept(tmp_path: Path) -> None:
    file = tuned(tmp_path, trials=1).file
    before = file.read_text()
    for options, what in (
        ({"timesteps": 9}, "slots"),
        ({"seeds": 4}, "seeds"),
        ({"space": {"rate": LOW}}, "space"),
        ({"arguments": {"rate": 0.2}}, "arguments"),
        ({"layouts": 3}, "judged_on"),
    ):
        with pytest.raises(ValueError, match=f"holds another study: its {what} differ"):
            tuned(tmp_path, **options)
    assert file.read_text() == before
    write_whole(file, "{}")
    with pytest.raises(ValueError, match=r"lacks study, trials, systems\. Delete"):
        tuned(tmp_path)
    assert file.read_text() == "{}"


def test_a_study_is_held_by_one_process(tmp_path: Path) -> None:
    file = tuned(tmp_path, trials=1).file
    with (
        RunFolder(file.with_suffix("")).locked(),
        pytest.raises(BlockingIOError, match="is being written by another process"),
    ):
        tuned(tmp_path)


# -- the command -----------------------------------------------------------------------------------


def test_the_command_tunes_what_the_function_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.json").write_text(SMALL.to_json())
    Path("space.json").write_text(json.dumps(SPACE))
    Path("mine.json").write_text(json.dumps({NAME: {"rate": 0.01}}))
    words = ["tune", "--algo", NAME, "--scenarios", "small.json", "--timesteps", "8"]
    words += ["--space", "space.json", "--trials", "2", "--layouts", "2", "--config", "mine.json"]
    assert main([*words, "--set", "server=2", "--n-envs", "1"]) == 0
    printed = capsys.readouterr().out
    given = {"rate": 0.01, "server": 2, "env.n_envs": 1}
    same = tuned(tmp_path / "function", arguments=given)
    (file,) = Path("studies").glob("*.json")
    record = json.loads(file.read_text())
    assert record["chosen"] == same.chosen
    assert [one["value"] for one in record["trials"]] == [one.value for one in same.trials]
    assert printed.startswith("1/2 trial 0: ")
    assert f"best: trial {same.best.number}, {same.best.value:.4f}; as it is: " in printed
    assert f"2 trials, 0 of them given up: {file}" in printed


def test_without_optuna_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--algo", "ac", "--timesteps", "8"])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith('error: this needs optuna: pip install "mec-gym[tune]"')
    assert list(tmp_path.iterdir()) == []
