"""Trained models that come with the package are what their cards say, and can be made anew."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import mec_gym
from mec_bench import (
    Settings,
    algorithm,
    evaluate_again,
    pretrained,
    pretrained_card,
    pretrained_names,
)
from mec_bench.cards import MODELS
from mec_bench.cli import main
from mec_gym import Scenario
from mec_gym.evaluation import estimate
from mec_gym.files import read_zip
from reproduction import pretrained as maker
from tests.mec_bench.harness_helpers import SMALL, assert_same, weights

NAMES = pretrained_names()


def test_every_model_has_a_card_and_can_be_made_anew() -> None:
    files = {file.name for file in MODELS.iterdir()}
    assert files == {f"{name}{suffix}" for name in NAMES for suffix in (".json", ".zip")}
    assert set(NAMES) == set(maker.SHIPPED)
    for name in NAMES:
        card = pretrained_card(name)
        assert Settings.from_mapping(card.settings) == maker.settings_of(name)
        assert card.regenerate == f"python -m reproduction.pretrained {name}"
        assert card.system["commit"]
        assert card.system["modified"] is False
        assert card.file.stat().st_size < 100_000


@pytest.mark.parametrize("name", NAMES)
def test_the_figure_of_a_card_is_that_of_the_weights(name: str) -> None:
    card = pretrained_card(name)
    figure = card.figure
    by_layout = np.asarray(figure["by_layout"])
    assert len(by_layout) == card.evaluation["layouts"]
    again = dataclasses.astuple(estimate(by_layout[:, None]))
    assert again == pytest.approx([figure[key] for key in ("mean", "low", "high")], abs=1e-6)
    (found,) = evaluate_again([f"pretrained:{name}"], layouts=2)
    assert found.measure.key == figure["measure"]
    # A device that gains as good as nothing either way may be decided otherwise elsewhere.
    scores = np.reshape(found.slots.score, (2, -1)).mean(axis=-1)
    assert scores == pytest.approx(by_layout[:2], abs=1e-4)
    asked = dataclasses.asdict(found.evaluation)
    same = ("set", "seed", "slots_per_layout", "own_layout")
    assert [asked[key] for key in same] == [card.evaluation[key] for key in same]
    assert (found.label, found.seed) == (f"pretrained:{name}", card.settings["seed"])
    assert found.timesteps == card.settings["timesteps"]
    assert found.notes == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_decides_and_holds_weights_alone(name: str) -> None:
    scenario = Scenario.from_json(json.dumps(pretrained_card(name).settings["scenario"]))
    env = gym.make(mec_gym.ENV_ID, scenario=scenario)
    model = pretrained(name, env=env)
    action, _ = model.predict(env.reset(seed=1)[0], deterministic=True)
    assert env.action_space.contains(action)
    alone = pretrained(name).predict(env.reset(seed=1)[0], deterministic=True)[0]
    np.testing.assert_array_equal(alone, action)
    members = read_zip(MODELS / f"{name}.zip")
    assert "training" not in json.loads(members.pop("model.json"))["content"]
    assert all(member.endswith(".npy") for member in members)  # no pickle
    assert model.num_timesteps == 0


@pytest.mark.slow
def test_a_model_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "dirs-prices-paper-30x2"
    words = ["pretrained", name, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    assert maker.main() == 0
    assert capsys.readouterr().out.split() == [
        "wrote", *(str(tmp_path / f"out/{name}.{suffix}") for suffix in ("zip", "json"))
    ]  # fmt: skip
    card = json.loads((tmp_path / f"out/{name}.json").read_text())
    known = pretrained_card(name)
    assert card["settings"] == known.settings
    same = [card["system"][key] == known.system[key] for key in ("versions", "processor")]
    mine = weights(algorithm("dirs:prices").load(tmp_path / f"out/{name}.zip"))
    theirs = weights(pretrained(name))
    if all(same):
        assert_same(mine, theirs)
        assert card["figure"] == known.figure
    # Another processor rounds otherwise, and a thousand slots of training carry that further.
    assert card["figure"]["mean"] == pytest.approx(known.figure["mean"], abs=0.003)


def test_the_command_measures_them_beside_rules_and_lists_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "dirs-prices-paper-30x2"
    assert main(["evaluate", f"pretrained:{name}", "greedy", "--layouts", "1"]) == 0
    printed = capsys.readouterr().out
    assert "paper-30x2, 1,000 slots of training" in printed
    assert f"pretrained:{name}" in printed
    assert "greedy" in printed
    assert main(["list"]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if f"pretrained:{name}" in one]
    assert line.split("  ")[-1] == str(pretrained_card(name))
    assert f"{pretrained_card(name).figure['mean']:.4f}" in line


def test_elsewhere_it_is_a_policy_of_another_scenario() -> None:
    name = "dirs-prices-paper-30x2"
    (found,) = evaluate_again([f"pretrained:{name}"], scenario=SMALL, layouts=1)
    assert found.label == f"pretrained:{name}, of paper-30x2"


def test_an_unknown_name_is_refused_with_those_that_are_there() -> None:
    for call in (
        pretrained,
        pretrained_card,
        lambda name: [*evaluate_again([f"pretrained:{name}"])],
    ):
        with pytest.raises(
            ValueError, match=r"pretrained must be one of .*did you mean 'dirs-prices"
        ):
            call("dirs-prices-paper-30x3")
    with pytest.raises(FileNotFoundError, match="did you mean 'pretrained:dirs-prices-paper-30x2'"):
        [*evaluate_again(["pretrained-dirs-prices-paper-30x2"])]
