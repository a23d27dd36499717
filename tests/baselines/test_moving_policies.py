"""Policies for moving worlds are their rules, with a memory that `predict` hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.evaluation import evaluate_policy

from baselines import (
    BlindOffloading,
    ByClassOffloading,
    FollowOffloading,
    Forecast,
    ForecastOffloading,
    MeasuredSpeed,
    MeasuredSpeedOffloading,
    SkiRental,
    SkiRentalOffloading,
    Smoothed,
    SmoothedOffloading,
    StaysOffloading,
    by_class,
    follow,
    placed_then_stays,
    stays,
)
from baselines.moving import Acting, knowing
from baselines.slot_policy import SlotPolicy
from mec_gym import GaussMarkov, Scenario, episode
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import Decide, episode_costs
from tests.baselines.test_moving_rules import CROWD

POLICIES: dict[str, tuple[type[SlotPolicy], dict[str, Any], Decide]] = {
    "blind": (BlindOffloading, {}, knowing(stays, np.inf)),
    "stays": (StaysOffloading, {"horizon": 4.0}, knowing(placed_then_stays, 4.0)),
    "never": (StaysOffloading, {"horizon": 0.0}, knowing(placed_then_stays, 0.0)),
    "by class": (ByClassOffloading, {"way_m": 12.0}, knowing(by_class, 12.0)),
    "follow": (FollowOffloading, {}, knowing(follow)),
    "ski rental": (SkiRentalOffloading, {}, Acting(SkiRental())),
    "smoothed": (
        SmoothedOffloading,
        {"memory": 0.8, "horizon": 8.0},
        Acting(Smoothed(0.8, 8.0)),
    ),
    "measured speed": (MeasuredSpeedOffloading, {"way_m": 12.0}, Acting(MeasuredSpeed(12.0))),
    "forecast": (ForecastOffloading, {"horizon": 6}, Acting(Forecast(6))),
}
EVERY = pytest.mark.parametrize("name", POLICIES)
SLOTS = 12


def shown(seed: int) -> tuple[Any, Any]:
    """Return a path and a vector env of SB3 that shows it in both copies."""
    path = episode(CROWD, seed=seed, n_slots=SLOTS)
    env = make_sb3_vec_env(
        CROWD, n_envs=2, max_episode_steps=SLOTS, reward="negative", episode=path
    )
    return path, env


def costs(model: SlotPolicy, env: Any, episodes: int = 1) -> np.ndarray:
    """Return the objectives of a policy in a vector env, (slots, copies)."""
    observation, state, starts = env.reset(), None, np.ones(2, dtype=bool)
    seen = []
    for _ in range(episodes * SLOTS):
        action, state = model.predict(observation, state, starts, deterministic=True)
        observation, _, starts, infos = env.step(action)
        seen.append([info["objective"] for info in infos])
    return np.array(seen)


@EVERY
def test_policies_are_their_rules_in_episode_after_episode(name: str) -> None:
    cls, arguments, rule = POLICIES[name]
    path, env = shown(0)
    expected = episode_costs([path], rule)[0]
    found = costs(cls(env, **arguments), env, episodes=2)
    # Observations are in single precision: gains within 5e-6.
    for copy in found.T:
        np.testing.assert_allclose(copy, np.tile(expected, 2), rtol=1e-4)


@pytest.mark.parametrize("name", ["ski rental", "smoothed", "measured speed", "forecast"])
def test_a_memory_changes_what_is_decided(name: str) -> None:
    cls, arguments, _ = POLICIES[name]
    _, env = shown(1)
    model = cls(env, **arguments)
    whole = costs(model, env)
    observation, forgetful = env.reset(), []
    for _ in range(SLOTS):
        observation, _, _, infos = env.step(model.predict(observation)[0])
        forgetful.append([info["objective"] for info in infos])
    assert not np.allclose(whole, forgetful, rtol=1e-3)


@EVERY
def test_policies_learn_are_evaluated_and_come_back_from_files(name: str, tmp_path: Path) -> None:
    cls, arguments, _ = POLICIES[name]
    _, env = shown(2)
    model = cls(env, seed=0, **arguments).learn(2 * SLOTS)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=2, warn=False)
    assert mean == pytest.approx(-costs(model, env)[:, 0].sum() / CROWD.n_devices, rel=1e-6)
    model.save(tmp_path / "rule")
    again = cls.load(tmp_path / "rule", env=env)
    assert (costs(again, env) == costs(model, env)).all()


@pytest.mark.parametrize("name", ["ski rental", "smoothed", "measured speed"])
def test_acting_in_parts_is_acting_at_once(name: str) -> None:
    """In the middle of an episode, and where one begins within a part."""
    cls, arguments, _ = POLICIES[name]
    found: list[list[np.ndarray]] = []
    for parts in ([60], [24, 36]):
        model = cls(make_sb3_vec_env(CROWD, n_envs=2, seed=0, max_episode_steps=14), **arguments)
        found.append([])
        for number, slots in enumerate(parts):
            model.learn(
                slots,
                callback=lambda scope, _: found[-1].append(scope["actions"]) or True,
                reset_num_timesteps=not number,
            )
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    "cls", [StaysOffloading, ByClassOffloading, SmoothedOffloading, MeasuredSpeedOffloading]
)
def test_what_is_not_given_is_tuned(cls: type[SlotPolicy]) -> None:
    _, env = shown(3)
    model = cls(env, n_tuning_episodes=1, n_tuning_slots=6)
    with pytest.raises(RuntimeError, match="must be tuned"):
        model.predict(env.reset())
    assert model.learn(0).tuned in [*model.candidates]
    static = make_sb3_vec_env(CROWD.replace(migration_s=0.0), n_envs=1)
    assert cls(static).learn(0).tuned == model.candidates[0]


def test_forecasts_need_gains_that_say_where_devices_are() -> None:
    blurred: list[dict[str, Any]] = [
        {"fading": "rayleigh"},
        {"shadowing_db": 4.0},
        {"csi_delay_slots": 1},
        {"server_positions": [[5.0, 5.0], [20.0, 20.0], [35.0, 35.0]]},
        {"server_positions": "kmeans"},
    ]
    for changes in blurred:
        env = make_sb3_vec_env(CROWD.replace(**changes), n_envs=1)
        with pytest.raises(ValueError, match="where devices are"):
            ForecastOffloading(env)
    free = CROWD.replace(migration_s=0.0, fading="rayleigh")
    assert ForecastOffloading(make_sb3_vec_env(free, n_envs=1)).learn(0) is not None


def test_positions_are_read_out_of_gains() -> None:
    scenario = Scenario.preset("crowd-30x4", mobility=GaussMarkov(3.0))
    path = episode(scenario, seed=4, n_slots=3)
    env = make_sb3_vec_env(scenario, n_envs=1)
    layout = ForecastOffloading(env, horizon=1).layout(scenario, path.slots)
    assert layout is not None
    away = (1 / path.gains > scenario.min_distance_m**2 / scenario.reference_gain * 1.01).all(-1)
    np.testing.assert_allclose(
        layout.device_positions_m[away], path.device_positions_m[away], atol=1e-6
    )


@pytest.mark.parametrize(
    ("cls", "arguments", "words"),
    [
        (StaysOffloading, {"horizon": -1.0}, "horizon must be a number in"),
        (StaysOffloading, {"horizon": np.inf}, "horizon must be a number in"),
        (ByClassOffloading, {"way_m": -1.0}, "way_m must be a number in"),
        (MeasuredSpeedOffloading, {"way_m": -1.0}, "way_m must be a number in"),
        (MeasuredSpeedOffloading, {"memory": 1.0}, "memory must be a number in"),
        (SmoothedOffloading, {"memory": 0.5}, "must both be given"),
        (SmoothedOffloading, {"memory": 1.0, "horizon": 2.0}, "memory must be a number in"),
        (ForecastOffloading, {"horizon": -1}, "horizon must be"),
        (StaysOffloading, {"n_tuning_episodes": 0}, "n_tuning_episodes must be"),
    ],
)
def test_numbers_that_are_none_are_refused(
    cls: type[SlotPolicy], arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        cls(None, **arguments)
