"""check_algorithm: passes what the harness can use, and names the fault of what it cannot."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import sb3_contrib
import stable_baselines3
import torch
from stable_baselines3 import A2C

import baselines
from baselines import GreedyOffloading
from baselines.learners import ActorCritic
from baselines.learners.ddpg import DDPG
from dirs_agents import DIRS
from mec_bench.check import check_algorithm
from mec_bench.registry import OFFERS

SHORT = {"n_steps": 32}
QUICK_DIRS: dict[str, Any] = {
    "n_demonstrations": 8,
    "pretrain_steps": 3,
    "demonstration_generations": 10,
}
QUICK_SEARCH: dict[str, Any] = {"max_evaluations": 40}

LEARNERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "PPO": (stable_baselines3.PPO, SHORT),
    "A2C": (stable_baselines3.A2C, {}),
    "SAC": (stable_baselines3.SAC, {"learning_starts": 10}),
    "TD3": (stable_baselines3.TD3, {"learning_starts": 10}),
    "SB3's DDPG": (stable_baselines3.DDPG, {"learning_starts": 10}),
    "TRPO": (sb3_contrib.TRPO, SHORT),
    "TQC": (sb3_contrib.TQC, {"learning_starts": 10}),
    "ARS": (sb3_contrib.ARS, {}),
    "RecurrentPPO": (sb3_contrib.RecurrentPPO, SHORT),
    "MaskablePPO": (sb3_contrib.MaskablePPO, SHORT),
    "ActorCritic": (ActorCritic, {}),
    "DDPG": (DDPG, {"learning_starts": 10}),
    "DIRS": (DIRS, QUICK_DIRS),
    "dirs:prices": ("dirs:prices", {"n_demonstrations": 8, "pretrain_steps": 3}),
}
RULES = [name for name in baselines.__all__ if hasattr(getattr(baselines, name), "predict")]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_learners_pass(name: str) -> None:
    cls, arguments = LEARNERS[name]
    report = check_algorithm(cls, arguments=arguments)
    assert report.passed, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_rules_and_searches_pass(name: str) -> None:
    if name in ("ParticleSwarm", "DifferentialEvolution"):
        pytest.importorskip("pymoo")
    arguments = QUICK_SEARCH if name in ("ParticleSwarm", "DifferentialEvolution") else {}
    report = check_algorithm(getattr(baselines, name), arguments=arguments)
    assert report.passed, str(report)


def test_dirs_continues_exactly_and_greedy_does_too() -> None:
    for cls, arguments in ((DIRS, QUICK_DIRS), (GreedyOffloading, {})):
        report = check_algorithm(cls, arguments=arguments, timesteps=16)
        assert report.passed, str(report)
        assert not [note for note in report.notes if note.startswith("exact")]
        offered = [one.split(":")[0] for one in report.offers]
        assert offered == ([] if cls is GreedyOffloading else [*OFFERS])
        assert ("exact_resume: if true, load(" in str(report)) is bool(offered)


def test_what_is_optional_is_noted() -> None:
    report = check_algorithm(A2C, timesteps=40)
    assert report.passed
    assert [note.split(":")[0] for note in report.notes] == ["exact"]
    assert "Optional, and not there:\n- exact: " in str(report)


# -- broken on purpose ---------------------------------------------------------------------------


class Fine(GreedyOffloading):
    """A rule, quick and sound, that the mutants below break; some only where asked from outside."""

    learning = False

    def learn(self, *args: Any, **kwargs: Any) -> Any:
        self.learning = True
        try:
            return super().learn(*args, **kwargs)
        finally:
            self.learning = False

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any:
        actions, state = super().predict(observation, *args, **kwargs)
        return (actions, state) if self.learning else self.answer(observation, actions, state)

    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return actions, state


class NoEnv(Fine):
    def __init__(self, environment: Any, seed: int = 0) -> None:
        super().__init__(environment, seed=seed)


class NeedsMore(Fine):
    def __init__(self, env: Any = None, *, width: int, **kwargs: Any) -> None:
        super().__init__(env, **kwargs)


class NoLogger(Fine):
    @property
    def set_logger(self) -> Any:  # type: ignore[override]
        raise AttributeError("set_logger")


class ReturnsNothing(Fine):
    def learn(self, *args: Any, **kwargs: Any) -> Any:
        super().learn(*args, **kwargs)


class NeverEnds(Fine):
    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        return super().learn(10**9, *args, **kwargs)


class CountsNothing(Fine):
    def learn(self, *args: Any, **kwargs: Any) -> Any:
        found = super().learn(*args, **kwargs)
        self.num_timesteps = 0
        return found


class CallsNobody(Fine):
    def learn(self, total_timesteps: int, callback: Any = None, **kwargs: Any) -> Any:
        return super().learn(total_timesteps, None, **kwargs)


class BeginsAnew(Fine):
    def learn(self, total_timesteps: int, callback: Any = None, **kwargs: Any) -> Any:
        return super().learn(total_timesteps, callback, **(kwargs | {"reset_num_timesteps": True}))


class OnlyActions(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return actions


class OneOfABatch(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return (actions[0] if actions.ndim > 1 else actions), state


class FloatActions(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return actions * 1.0, state


class TooHigh(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return actions + 3, state


class NoNumbers(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return actions * np.nan, state


class Undecided(Fine):
    asked = 0

    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        self.asked += 1
        return (actions + self.asked) % 3, state


class DrawsGlobally(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        np.random.random()  # noqa: NPY002
        return actions, state


class WritesIntoItsArgument(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        observation += 0.5
        return actions, state


class StepsTheEnv(Fine):
    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        if self.env is not None and len(actions) == 4:
            self.env.step(np.zeros((1, 4), dtype=np.int64))
        return actions, state


class Unseeded(Fine):
    shift: Any = 0

    def learn(self, *args: Any, **kwargs: Any) -> Any:
        self.shift = np.random.default_rng().integers(0, 3, 4)
        return super().learn(*args, **kwargs)

    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return (actions + self.shift) % 3, state


class Forgets(Fine):
    """What learn finds is not in the file."""

    shift = 0

    def learn(self, *args: Any, **kwargs: Any) -> Any:
        self.shift = 1
        return super().learn(*args, **kwargs)

    def answer(self, observation: Any, actions: Any, state: Any) -> Any:
        return (actions + self.shift) % 3, state


class ForgetsItsSteps(Fine):
    @classmethod
    def load(cls, *args: Any, **kwargs: Any) -> Any:
        model = super().load(*args, **kwargs)
        model.num_timesteps = 0
        return model


class SavesElsewhere(Fine):
    def save(self, path: Any, *args: Any, **kwargs: Any) -> None:
        super().save(Path(path).with_suffix(".model"), *args, **kwargs)


class LogsElsewhere(Fine):
    def learn(self, *args: Any, **kwargs: Any) -> Any:
        self._custom_logger = False
        return super().learn(*args, **kwargs)


class Fails(Fine):
    def learn(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no luck today")


class Quits(Fine):
    def learn(self, *args: Any, **kwargs: Any) -> Any:
        sys.exit(3)


MUTANTS: list[tuple[type[Any], str, str]] = [
    (NoEnv, "construct", r"must be built by Class\(env=env\).*unexpected keyword.*'env'"),
    (NeedsMore, "construct", "everything else needs a default.*'width'"),
    (NoLogger, "interface", "lacks set_logger.*BaseAlgorithm has them all"),
    (ReturnsNothing, "learn", "must return the model itself; got None"),
    (NeverEnds, "learn", "learn must end"),
    (CountsNothing, "learn", r"learn\(16\) must take so many slots .* it is 0"),
    (CallsNobody, "callbacks", "16 steps, 0 calls"),
    (BeginsAnew, "continue", "must take n more slots: 16 before, 16 after"),
    (OnlyActions, "predict", r"must return \(actions, state\); got ndarray"),
    (OneOfABatch, "predict", r"shape \(5, 4\).*got \(4,\)"),
    (FloatActions, "predict", "dtype int64; got float64"),
    (
        TooHigh,
        "predict",
        r"actions of the env, MultiDiscrete\(\[3 3 3 3\]\); got values from . to [45]",
    ),
    (NoNumbers, "predict", "dtype int64; got float64"),
    (Undecided, "deterministic", "the same when asked twice; .* of 16 decisions differ"),
    (DrawsGlobally, "pure", "it changed NumPy's global generator"),
    (WritesIntoItsArgument, "pure", "it changed its argument"),
    (StepsTheEnv, "pure", "it changed the env"),
    (Unseeded, "seed", "equal seeds must decide alike"),
    (Forgets, "save", r"load\(path, env=env\) must give back a model that decides alike"),
    (ForgetsItsSteps, "save", "must give back num_timesteps, 16; got 0"),
    (SavesElsewhere, "save", r"no other; found \['model.model'\]"),
    (LogsElsewhere, "logger", "must keep the logger that set_logger gave"),
    (Fails, "learn", "RuntimeError: no luck today"),
    (Quits, "learn", "SystemExit: 3"),
]


def test_the_rule_that_the_mutants_break_is_sound() -> None:
    report = check_algorithm(Fine, timesteps=16)
    assert report.passed, str(report)
    assert str(report).startswith(f"{__name__}:Fine passes all 12 checks.")


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        pytest.param(
            *mutant,
            id=mutant[0].__name__,
            marks=[pytest.mark.slow] if mutant[0] is NeverEnds else [],
        )
        for mutant in MUTANTS
    ],
)
def test_faults_are_named(cls: type[Any], check: str, message: str) -> None:
    report = check_algorithm(cls, timesteps=16)
    assert not report.passed
    found = [problem for problem in report.problems if problem.startswith(f"{check}: ")]
    assert len(found) == 1, str(report)
    assert re.search(message, found[0], re.DOTALL), found[0]
    assert f"- {found[0]}" in str(report)
    assert check != "predict" or len(report.problems) == 1  # what it brings about is no other


class OneCopyOnly(Fine):
    def set_env(self, env: Any, *args: Any, **kwargs: Any) -> None:
        if getattr(env, "num_envs", 1) > 1:
            raise ValueError("one copy, please")
        super().set_env(env, *args, **kwargs)


class DoesNotStop(Fine):
    def learn(self, total_timesteps: int, callback: Any = None, **kwargs: Any) -> Any:
        if callback is not None:
            callback.stop_at = None
        return super().learn(total_timesteps, callback, **kwargs)


@pytest.mark.parametrize(("cls", "option"), [(OneCopyOnly, "copies"), (DoesNotStop, "stop")])
def test_what_the_harness_can_do_without_is_no_fault(cls: type[Any], option: str) -> None:
    report = check_algorithm(cls, timesteps=16)
    assert report.passed, str(report)
    # The rules take no `device`.
    assert [note.split(":")[0] for note in report.notes] == ["parameters", option]


# -- how it is called ------------------------------------------------------------------------------


def test_a_name_is_looked_up_like_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_rules.py").write_text(
        "from baselines import GreedyOffloading\n\n\nclass Mine(GreedyOffloading):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    report = check_algorithm("my_rules:Mine", timesteps=8)
    assert report.passed, str(report)
    assert report.name == "my_rules:Mine"
    with pytest.raises(TypeError, match="must be a class, a function"):
        check_algorithm(Fine())  # type: ignore[arg-type]


def test_another_scenario_can_be_given() -> None:
    report = check_algorithm(Fine, scenario={"n_devices": 3, "n_servers": 1}, timesteps=8)
    assert report.passed, str(report)


def test_the_callers_generators_stay_as_they_were() -> None:
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    wanted = random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    check_algorithm(Fine, timesteps=8)
    assert (random.random(), np.random.random(), float(torch.rand(()))) == wanted  # noqa: NPY002
