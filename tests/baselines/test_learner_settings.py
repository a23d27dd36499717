"""The learners' settings on record: equal budgets, the best chosen, and really the defaults."""

from __future__ import annotations

import json
import math
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from mec_bench import algorithm
from mec_bench.measuring import slot_set_of
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import slot_set

SETTINGS = Path(__file__).resolve().parents[2] / "baselines" / "settings"
LEARNERS = ("ac", "ddpg", "maddpg")


def drawn(space: dict[str, list[Any]], number: int) -> dict[str, Any]:
    """Return the arguments that were drawn for a trial on record."""
    rng = np.random.default_rng([1_000, number])
    return {name: values[rng.integers(len(values))] for name, values in space.items()}


def record(name: str) -> dict[str, Any]:
    return dict(json.loads((SETTINGS / f"{name.replace(':', '-')}.json").read_text()))


def test_all_learners_had_the_same_budget() -> None:
    first, *others = (
        sorted((t["trial"], t["scenario"], t["slots"]) for t in record(name)["trials"])
        for name in LEARNERS
    )
    assert all(other == first for other in others)
    assert {len(record(name)["space"]) for name in LEARNERS} == {5}


@pytest.mark.parametrize("name", LEARNERS)
def test_the_best_trial_is_chosen_and_drawn_from_the_space(name: str) -> None:
    tried = record(name)
    reached = defaultdict(list)
    for trial in tried["trials"]:
        reached[trial["trial"]].append(trial["nrr"] or 0.0)
        if trial["trial"]:  # the first was found by hand
            assert trial["arguments"] == drawn(tried["space"], trial["trial"])
    best = max(reached, key=lambda number: float(np.mean(reached[number])))
    assert tried["best_trial"] == best
    for trial in tried["trials"]:
        if trial["trial"] == best:
            assert tried["chosen"] == trial["arguments"]


@pytest.mark.parametrize("name", LEARNERS)
def test_the_chosen_values_are_the_defaults(name: str) -> None:
    chosen = algorithm(name)
    model = chosen.build(make_sb3_vec_env("paper-30x2"), device="cpu")
    for key, value in record(name)["chosen"].items():
        first, _, inner = key.partition(".")
        if not inner:
            found = chosen.arguments.get(key, chosen.default(key))
        else:
            found = vars(model)[first].get(inner, getattr(model.policy, inner, None))
        assert found == (math.inf if value == "inf" else value), key


@pytest.mark.parametrize("scenario", ["paper-30x2", "paper-200x10", "unequal-200x10"])
def test_tuning_saw_no_frozen_slots(scenario: str) -> None:
    system = Scenario.preset(scenario)
    frozen = slot_set_of(system)
    seed = record("ac")["judging_seed"]
    judging = slot_set(system, own_layout=True, n_layouts=20, seed=seed)
    judged = np.concatenate([slots.gains[:, 0, 0] for slots in judging.slots])
    assert not set(judged) & {gain for slots in frozen.slots for gain in slots.gains[:, 0, 0]}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("ddpg", "SharedNoise"),
        ("ddpg", "SlotReplay"),
        ("voting", "VotePolicy"),
        ("maddpg", "AgentNoise"),
        ("maddpg_networks", "MADDPGPolicy"),
        ("categorical", "OffloadingActorCriticPolicy"),
        ("link_policy", "LinkPolicy"),
    ],
)
def test_files_find_classes_by_the_modules_that_hold_them(module: str, name: str) -> None:
    found = pickle.loads(f"cbaselines.learners.{module}\n{name}\n.".encode())
    assert found.__name__ == name
    assert found.__module__.startswith("baselines.learners.")
