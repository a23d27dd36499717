"""A name finds its class, its arguments and the face of the env that it needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mec_bench import algorithm, check_algorithm, names, rule_names
from mec_bench.measuring import decisions_of, frozen_slots
from mec_bench.registry import knows, title
from mec_bench.training import make_env
from tests.mec_bench.harness_helpers import SMALL, quick


@pytest.mark.parametrize("name", names())
def test_every_name_builds_and_decides(name: str) -> None:
    if name in ("pso", "de"):
        pytest.importorskip("pymoo")
    chosen = algorithm(name)
    settings = quick(name)
    model = chosen.build(make_env(settings, chosen), seed=0, device="cpu")
    if not chosen.learns:
        model.learn(0)
    frozen = frozen_slots(SMALL, layouts=1, slots_per_layout=2)
    decisions = decisions_of(model, SMALL)(frozen.observations(chosen.observation))
    assert decisions.shape == (2, 4)
    assert np.isin(decisions, range(3)).all()


def test_rules_are_names_that_do_not_learn() -> None:
    assert set(rule_names()) < set(names())
    assert not any(algorithm(name).learns for name in rule_names())
    assert algorithm("dirs").learns


def test_every_name_has_a_title_of_its_own_and_says_what_it_knows() -> None:
    assert len({title(name) for name in names()}) == len(names())
    assert all(map(knows, names()))
    assert title("dirs[beta=1.8]") == "dirs[beta=1.8]"


@pytest.mark.parametrize(
    ("name", "scores"),
    [("sb3:PPO", False), ("sb3:A2C", False), ("sb3:SAC", True), ("sb3:DDPG", True),
     ("sb3:TD3", True), ("sb3_contrib:MaskablePPO", False), ("sb3-contrib:TQC", True)],
)  # fmt: skip
def test_actions_of_the_libraries_are_found_out(name: str, scores: bool) -> None:
    if "contrib" in name:
        pytest.importorskip("sb3_contrib")
    chosen = algorithm(name)
    assert (chosen.scores, chosen.observation) == (scores, "flat")
    assert chosen.build(make_env(quick(name), chosen), seed=0, device="cpu") is not None


def test_an_algorithm_that_fits_no_action_says_what_it_said() -> None:
    with pytest.raises(TypeError, match=r"neither assignments.*nor scores.*it said:"):
        algorithm("sb3:DQN")


def test_a_class_of_ones_own_is_found_in_the_current_folder(user_folder: Path) -> None:
    chosen = algorithm("my_algorithms:Dirs")
    assert Path(__import__("my_algorithms").__file__).parent == user_folder
    assert (chosen.cls.__name__, chosen.observation, chosen.scores) == ("Dirs", "flat", False)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("dirz", ValueError, "got 'dirz' \\(did you mean 'dirs'\\?\\)"),
        ("sb3:PPOO", AttributeError, "no class or function 'PPOO' \\(did you mean 'PPO'\\?\\)"),
        ("no_such_module:X", ModuleNotFoundError, "there is no module 'no_such_module'"),
        ("json:dump_", AttributeError, "json has no class or function 'dump_'.*'dump'"),
        ("json:dumps", TypeError, r"must be called as dumps\(scenario, slot, rng\)"),
        ("json:scanner", AttributeError, "json has no class or function 'scanner'"),
    ],
)
def test_a_wrong_name_is_told_what_there_is(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        algorithm(name)


def test_a_wrong_argument_is_refused_before_anything_runs() -> None:
    with pytest.raises(TypeError, match="betta"):
        algorithm("dirs", {"betta": 1.8})
    with pytest.raises(TypeError, match="policy_kwarg"):
        algorithm("sb3:PPO", {"policy_kwarg.net_arch": [8]})


def test_changes_reach_inside_and_leave_the_rest() -> None:
    plain, changed = algorithm("dirs"), algorithm("dirs", {"policy_kwargs.net_arch": [8]})
    assert changed.arguments["policy_kwargs"]["net_arch"] == [8]
    assert {k: v for k, v in changed.arguments.items() if k != "policy_kwargs"} == {
        k: v for k, v in plain.arguments.items() if k != "policy_kwargs"
    }


def test_a_constructor_that_fails_is_told_in_its_own_words(user_folder: Path) -> None:
    (user_folder / "broken.py").write_text(
        "class Boom:\n    def __init__(self, env, seed=0):\n        raise RuntimeError('boom')\n"
        "    def learn(self, total_timesteps): pass\n    def predict(self, observations): pass\n"
    )
    with pytest.raises(
        TypeError, match=r"broken:Boom takes neither .* it said: RuntimeError: boom"
    ):
        algorithm("broken:Boom")
    report = check_algorithm("broken:Boom")
    assert not report.passed
    assert "boom" in str(report)
