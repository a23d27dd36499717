"""What is measured again is what was measured before; what cannot be is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mec_bench import RunFolder, algorithm, evaluate_again, train
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from tests.mec_bench.harness_helpers import SMALL, quick

DRAWN = SMALL.replace(layout="redrawn")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "dirs"
    train(quick("dirs"), folder)
    return folder


def test_a_run_measured_again_is_the_same_in_every_slot(trained: Path) -> None:
    before = train(quick("dirs"), trained)
    (again,) = evaluate_again([trained])
    assert again.slots == before.slots
    assert again.curve == before.curve
    assert (again.label, again.seed, again.timesteps) == ("dirs", 0, 48)


def test_a_models_file_needs_its_algorithm_alone(trained: Path) -> None:
    file = RunFolder(trained).model
    (alone,) = evaluate_again([file], algo="dirs", scenario=SMALL)
    (run,) = evaluate_again([trained])
    assert alone.slots == run.slots
    assert (alone.seconds.training, run.seconds.training is None) == (None, False)
    with pytest.raises(ValueError, match="algo has to say"):
        list(evaluate_again([file], scenario=SMALL))


def test_a_file_under_the_name_of_another_variant_is_refused(tmp_path: Path) -> None:
    options = {"n_demonstrations": 8, "pretrain_steps": 2, "batch_size": 8}
    env = make_sb3_vec_env(SMALL)
    for name, given in (("dirs", "dirs:prices"), ("dirs:ensemble", "dirs:prices")):
        file = tmp_path / name.replace(":", "-")
        algorithm(given).build(env, seed=0).save(file)
        with pytest.raises(ValueError, match=rf"must hold a model of {name}; .* --algo {given}"):
            list(evaluate_again([f"{file}.zip"], algo=name, scenario=SMALL))
    # What was changed of a variant is still the variant.
    algorithm("dirs:prices", options).build(env, seed=0).save(tmp_path / "own")
    (own,) = evaluate_again([tmp_path / "own.zip"], algo="dirs:prices", scenario=SMALL)
    assert own.algorithm == "dirs:prices"
    with pytest.raises(ValueError, match="it holds one of dirs:prices"):
        list(evaluate_again([tmp_path / "own.zip"], algo="dirs", scenario=SMALL))


def test_rules_are_measured_on_the_slots_of_the_run(trained: Path) -> None:
    run, best = evaluate_again([trained, "optimal"], layouts=3)
    assert best.slots.lower_bound == run.slots.lower_bound
    assert min(min(row) for row in best.slots.nrr) > 1 - 1e-9
    assert (best.learns, best.timesteps) == (False, 0)


def test_fewer_layouts_are_the_first_of_the_others(trained: Path) -> None:
    (few,) = evaluate_again([trained], layouts=2)
    (all_,) = evaluate_again([trained])
    assert few.slots.nrr == all_.slots.nrr[:2]


@pytest.mark.parametrize(
    ("given", "options", "error", "words"),
    [
        (["greedy"], {}, ValueError, "scenario is needed"),
        (["gready"], {"scenario": SMALL}, FileNotFoundError, "did you mean 'greedy'"),
        (["dirs"], {"scenario": SMALL}, ValueError, "has to be trained first"),
        (["."], {}, FileNotFoundError, "holds no run"),
        (["x" * 300], {"scenario": SMALL}, FileNotFoundError, "nor the name of a rule"),
        (["greedy"], {"scenario": SMALL, "layouts": 0}, ValueError, "layouts must be .* >= 1"),
        (["nearest", "nearest:limit"], {"scenario": DRAWN}, ValueError, "redrawn"),
    ],
)
def test_what_cannot_be_measured_is_named(
    given: list[str], options: dict[str, Any], error: type[Exception], words: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        list(evaluate_again(given, **options))


def test_a_model_of_another_size_or_kind_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as a model of dirs for paper-30x2"):
        list(evaluate_again([trained], scenario=Scenario.preset("paper-30x2")))
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="cannot be read as a model of dirs"):
        list(evaluate_again([tmp_path / "x.zip"], algo="dirs", scenario=SMALL))


def test_a_policy_of_another_scenario_is_no_seed_of_this_one(trained: Path) -> None:
    other = SMALL.replace(noise_w=1e-6, name="noisy")
    (measured,) = evaluate_again([trained], scenario=other)
    assert (measured.scenario, measured.label) == ("noisy", "dirs, of small")
    assert measured.curve == ()  # of slots that are not these


def test_runs_of_several_scenarios_want_one_to_be_chosen(trained: Path, tmp_path: Path) -> None:
    larger = quick("dirs", scenario=SMALL.replace(n_devices=5, name="larger"))
    train(larger, tmp_path / "larger")
    both = [trained, tmp_path / "larger", "greedy"]
    with pytest.raises(ValueError, match=r"runs are of 2 scenarios: small, larger\. Choose one"):
        list(evaluate_again(both))
    with pytest.raises(ValueError, match="cannot be read as a model of dirs for small"):
        list(evaluate_again(both, scenario=SMALL, layouts=2))
    found = list(evaluate_again(both[1:], layouts=2))  # one of them: nothing to choose
    assert [one.scenario for one in found] == ["larger", "larger"]


def test_runs_that_would_pass_for_two_seeds_are_refused(trained: Path, tmp_path: Path) -> None:
    train(quick("dirs"), tmp_path / "copy")
    with pytest.raises(ValueError, match=r"are both 'dirs', seed 0: .* two seeds"):
        list(evaluate_again([trained, tmp_path / "copy"]))


def test_a_rule_that_is_named_twice_is_measured_once(trained: Path, tmp_path: Path) -> None:
    train(quick("greedy", 0), tmp_path / "greedy")
    found = evaluate_again([trained, tmp_path / "greedy", "greedy"], layouts=2)
    assert [one.label for one in found] == ["dirs", "greedy"]


def test_a_folder_without_anything_to_measure_is_named(tmp_path: Path) -> None:
    RunFolder(tmp_path / "runs" / "one").begin(quick("dirs"))
    with pytest.raises(FileNotFoundError, match=r"nothing to measure in .*runs"):
        list(evaluate_again([tmp_path / "runs"]))
