"""The learners' settings on record: equal budgets, the best chosen, and really the defaults."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from experiments import algorithm
from experiments.measuring import SEED

SETTINGS = Path(__file__).resolve().parents[2] / "baselines" / "settings"
LEARNERS = ("ac", "ddpg", "maddpg")


def record(name: str) -> dict[str, Any]:
    return dict(json.loads((SETTINGS / f"{name}.json").read_text()))


def test_all_learners_had_the_same_budget() -> None:
    budgets = {
        name: sorted((t["trial"], t["scenario"], t["slots"]) for t in record(name)["trials"])
        for name in LEARNERS
    }
    assert budgets["ac"] == budgets["ddpg"] == budgets["maddpg"]
    assert {len(record(name)["space"]) for name in LEARNERS} == {5}


@pytest.mark.parametrize("name", LEARNERS)
def test_the_best_trial_is_chosen_and_drawn_from_the_space(name: str) -> None:
    tried = record(name)
    reached = defaultdict(list)
    for trial in tried["trials"]:
        reached[trial["trial"]].append(trial["nrr"] or 0.0)
        for key, value in trial["arguments"].items():
            assert value in tried["space"][key]
    best = max(reached, key=lambda number: float(np.mean(reached[number])))
    assert tried["best_trial"] == best
    chosen = [trial["arguments"] for trial in tried["trials"] if trial["trial"] == best]
    assert all(arguments == tried["chosen"] for arguments in chosen)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_chosen_values_are_the_defaults(name: str) -> None:
    model = algorithm(name)
    for key, value in record(name)["chosen"].items():
        if "." not in key:
            assert model.default(key) == value
    if name == "ac":
        from baselines.learners.actor_critic import NETWORKS

        assert NETWORKS["net_arch"] == record(name)["chosen"]["policy_kwargs.net_arch"]


@pytest.mark.parametrize("name", LEARNERS)
def test_tuning_saw_no_frozen_slots(name: str) -> None:
    assert record(name)["judging_seed"] != SEED
