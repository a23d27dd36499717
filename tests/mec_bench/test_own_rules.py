"""A function (scenario, slot, rng) -> assignment is an algorithm wherever one is named."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import baselines
from mec_bench import (
    Settings,
    algorithm,
    check_algorithm,
    evaluate_again,
    leaderboard,
    read_results,
    train,
)
from mec_bench.cli import main
from mec_bench.matrix import plan
from mec_gym import Scenario, Slot
from tests.mec_bench.harness_helpers import SMALL

RULES = """
import numpy as np


def best_gain(scenario, slot, rng):
    return 1 + slot.gains.argmax(axis=-1)


def anything(scenario, slot, rng):
    return rng.integers(1, scenario.n_servers + 1, scenario.n_devices)
"""


@pytest.fixture
def rules(user_folder: Path) -> Iterator[Path]:
    (user_folder / "rules.py").write_text(RULES)
    yield user_folder
    for name in ("rules", "own_rewards"):
        sys.modules.pop(name, None)


def best_gain(scenario: Scenario, slot: Slot, rng: np.random.Generator) -> Any:
    return 1 + slot.gains.argmax(axis=-1)


def anything(scenario: Scenario, slot: Slot, rng: np.random.Generator) -> Any:
    return rng.integers(1, scenario.n_servers + 1, scenario.n_devices)


@pytest.mark.parametrize("rule", [best_gain, anything, baselines.random, "rules:anything"])
def test_it_passes_the_checks(rule: Any, rules: Path) -> None:
    report = check_algorithm(rule, timesteps=16)
    assert report.passed, str(report)
    assert not [note for note in report.notes if note.startswith("exact")]


def test_it_reaches_what_the_same_rule_as_a_class_reaches() -> None:
    mine, theirs = evaluate_again([best_gain, "best-gain"], scenario=SMALL, layouts=3)
    assert mine.slots == theirs.slots
    assert (mine.algorithm, mine.label) == (f"{__name__}:best_gain",) * 2
    assert not mine.learns


def test_what_it_draws_comes_back() -> None:
    first, again = (next(evaluate_again([anything], scenario=SMALL, layouts=3)) for _ in range(2))
    assert first.slots == again.slots


def test_the_command_and_the_leaderboard_take_it(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "small.json").write_text(SMALL.to_json())
    there = ["--scenario", "small.json"]
    assert main(["check", "rules:best_gain", "--timesteps", "8"]) == 0
    assert main(["evaluate", "rules:best_gain", "greedy", *there, "--layouts", "2"]) == 0
    assert main(["train", "--algo", "rules:best_gain", *there, "--quiet"]) == 0
    words = ["--scenarios", "small.json", "--timesteps", "9", "--seeds", "3"]
    assert main(["benchmark", "--algos", "rules:best_gain", "greedy", *words]) == 0
    printed = capsys.readouterr().out
    assert printed.count("rules:best_gain passes all") == 1
    assert "2 runs done" in printed  # a rule runs once
    board = leaderboard(read_results([Path("runs")]).results)
    assert r"rules:best\_gain" in board


def test_a_run_of_it_is_kept_under_its_name(tmp_path: Path) -> None:
    given: Any = anything
    settings = Settings(algorithm=given, scenario=SMALL, timesteps=0, seed=3)
    assert settings.algorithm == f"{__name__}:anything"
    result = train(settings, tmp_path)
    (again,) = evaluate_again([tmp_path])
    assert (again.slots, again.algorithm) == (result.slots, result.algorithm)


def test_a_plan_takes_functions() -> None:
    given: Any = [best_gain, "greedy"]
    assert [run.label for run in plan(given, [SMALL], [0, 1], 9)] == [
        f"{__name__}:best_gain",
        "greedy",
    ]


def test_what_a_name_does_not_find_again_is_refused() -> None:
    def inner(scenario: Scenario, slot: Slot, rng: Any) -> Any:
        return np.zeros(scenario.n_devices, dtype=int)

    for rule in (inner, lambda scenario, slot, rng: None):
        with pytest.raises(ValueError, match="must stand at the top of a module"):
            algorithm(rule)
    assert check_algorithm(inner, timesteps=8).passed  # which needs no name


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (lambda scenario, slot: None, "construct: .*called as <lambda>.scenario, slot, rng"),
        (lambda scenario, slot, rng: None, "learn: .*assignment must hold integers"),
        (lambda scenario, slot, rng: [1.0] * 4, "learn: .*assignment must hold integers"),
        (lambda scenario, slot, rng: [1] * 3, r"learn: .*assignment must have shape \(\.\.\., 4\)"),
        (lambda scenario, slot, rng: [3] * 4, r"learn: .*assignment entries must lie in 0\.\.\.2"),
        (lambda scenario, slot, rng: np.random.randint(0, 3, 4), "pure: .*global generator"),  # noqa: NPY002
    ],
)
def test_faults_of_a_rule_are_named(rule: Any, problem: str) -> None:
    report = check_algorithm(rule, timesteps=8)
    assert not report.passed
    assert [one for one in report.problems if re.search(problem, one)], str(report)


def test_the_command_takes_a_reward_of_ones_own(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (rules / "own_rewards.py").write_text(
        "def loss(outcome):\n    return -outcome.energy_j.sum(-1)\n"
    )
    (rules / "small.json").write_text(SMALL.to_json())
    words = ["--algo", "sb3:A2C", "--scenario", "small.json", "--timesteps", "8", "--quiet"]
    assert main(["train", *words, "--reward", "own_rewards:loss"]) == 0
    (result,) = read_results([Path("runs")]).results
    assert result.label == "sb3:A2C[env.reward=own_rewards:loss]"
    with pytest.raises(SystemExit):
        main(["train", *words, "--reward", "own_rewards:los"])
    assert (
        "reward 'own_rewards:los': own_rewards has no class or function 'los'"
        in capsys.readouterr().err
    )
