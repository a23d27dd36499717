"""How envs are made: scenarios and options, specs, registration, wrappers, generators."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.utils.env_checker import data_equivalence

from mec_gym import (
    GaussMarkov,
    RandomWaypoint,
    Scenario,
    ScoreAction,
    Uniform,
    parallel_env,
)
from mec_gym.envs.offloading import ENV_ID, MAX_EPISODE_STEPS, MultiMECEnv
from mec_gym.envs.registration import register
from mec_gym.envs.vector import MultiMECVectorEnv

SMALL = Scenario(n_devices=5, n_servers=2, name="small")


def same(left: Any, right: Any) -> None:
    assert data_equivalence(left, right, exact=True), f"\n{left}\nis not\n{right}"


def rollout(env: Any, seed: int = 0, steps: int = 4) -> list[Any]:
    found: list[Any] = [env.reset(seed=seed)]
    rng = np.random.default_rng(seed)
    space = env.action_space
    for _ in range(steps):
        if isinstance(space, gym.spaces.Box):
            action = rng.random(space.shape, dtype=np.float32)
        else:
            action = rng.integers(0, space.nvec)
        found.append(env.step(action))
    return found


# -- scenarios --------------------------------------------------------------------------------


def test_every_form_of_scenario(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    text = SMALL.to_json(path)
    fields = {"n_devices": 5, "n_servers": 2}
    wanted = rollout(gym.make(ENV_ID, scenario=SMALL))
    for given in (path, str(path), fields, json.loads(text)):
        env = gym.make(ENV_ID, scenario=given)
        assert env.unwrapped.scenario == SMALL
        same(rollout(env), wanted)
        assert gym.make_vec(ENV_ID, num_envs=1, scenario=given).unwrapped.scenario == SMALL
        pytest.importorskip("pettingzoo")
        assert parallel_env(given).scenario == SMALL


def test_a_mapping_takes_what_the_scenario_takes() -> None:
    fields: dict[str, Any] = {
        "n_devices": 2,
        "n_servers": 1,
        "data_bits": Uniform(1e5, 2e5),
        "max_power_w": np.array([1.5, 2.0]),
        "server_positions": np.array([[1.0, 2.0]]),
    }
    assert gym.make(ENV_ID, scenario=fields).unwrapped.scenario == Scenario(**fields)


def test_default_is_the_papers_large_scenario() -> None:
    assert gym.make(ENV_ID).unwrapped.scenario == Scenario.preset("paper-200x10")
    assert MultiMECEnv().scenario == MultiMECVectorEnv().scenario


def test_every_scenario_field_is_a_keyword() -> None:
    changed: dict[str, Any] = {
        "n_devices": 6,
        "n_servers": 3,
        "area_m": (60.0, 70.0),
        "bandwidth_hz": 2e6,
        "noise_w": 1e-6,
        "reference_gain": 1e-3,
        "min_distance_m": 2.0,
        "fading": "rayleigh",
        "data_bits": Uniform(1e5, 2e5),
        "cycles": (1e9,) * 6,
        "local_frequency_hz": 9e8,
        "switched_capacitance": 9e-28,
        "power_exponent": 2.9,
        "max_power_w": 2.0,
        "weight_latency": 0.5,
        "weight_energy": 0.25,
        "server_frequency_hz": (1e9, 2e9, 3e9),
        "device_positions": "gaussian",
        "server_positions": "kmeans",
        "layout": "redrawn",
        "layout_seed": 4,
        "slot_s": 0.5,
        "mobility": ((0.5, GaussMarkov(1.5)), (0.5, RandomWaypoint())),
        "shadowing_db": 3.0,
        "decorrelation_m": 7.0,
        "fading_correlation": 0.5,
        "csi_delay_slots": 2,
        "migration_s": 1.0,
        "migration_j": 2.0,
        "name": "other",
    }
    assert set(changed) == set(Scenario.fields())
    wanted = Scenario(**changed)
    for env in (
        gym.make(ENV_ID, scenario=SMALL, **changed),
        gym.make_vec(ENV_ID, num_envs=2, scenario=SMALL, **changed),
    ):
        assert env.unwrapped.scenario == wanted
        assert env.unwrapped.scenario.name == "other"
    for field in ("noise_w", "fading", "layout", "layout_seed", "name"):
        env = gym.make(ENV_ID, scenario="paper-30x2", **{field: changed[field]})
        assert getattr(env.unwrapped.scenario, field) == changed[field]
    # No field hides an argument of the env.
    assert not set(inspect.signature(MultiMECVectorEnv).parameters) & set(Scenario.fields())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scenario": "paper-30x3"}, ValueError, "did you mean 'paper-30x2'"),
        ({"scenario": "nowhere.json"}, ValueError, "must be a preset"),
        ({"scenario": 3}, TypeError, "must be a str"),
        ({"scenario": {"n_devices": 3}}, ValueError, "lacks n_servers"),
        ({"scenario": {"n_device": 3, "n_servers": 1}}, TypeError, "did you mean 'n_devices'"),
        (
            {"bandwith_hz": 1.0},
            TypeError,
            r"unexpected keyword argument 'bandwith_hz' \(did you mean 'bandwidth_hz'",
        ),
        # TorchRL looks for Python's own words, and then leaves the argument out.
        ({"frameskip": 1}, TypeError, "unexpected keyword argument 'frameskip'"),
        ({"noise_w": -1.0}, ValueError, "noise_w must be"),
        ({"reward": "reciprocl"}, ValueError, "did you mean 'reciprocal'"),
        ({"observation": "decibel"}, ValueError, "observation must be one of"),
        ({"optimum": 1}, TypeError, "optimum must be True or False"),
    ],
)
def test_mistakes_are_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"scenario": "paper-30x2"} | arguments
    with pytest.raises(error, match=message):
        gym.make(ENV_ID, **arguments)
    with pytest.raises(error, match=message):
        gym.make_vec(ENV_ID, num_envs=1, **arguments)
    pytest.importorskip("pettingzoo")
    with pytest.raises(error, match=message):
        parallel_env(**arguments)


def test_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'rgb_array'"):
        MultiMECEnv("paper-30x2", render_mode="rgb_arrays")


# -- specs and registration -------------------------------------------------------------------


def test_registering_again_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = gym.spec(ENV_ID)
        register()
        importlib.reload(importlib.import_module("mec_gym.envs.registration")).register()
        assert gym.spec(ENV_ID) is spec
    assert isinstance(spec.entry_point, str)
    assert isinstance(spec.vector_entry_point, str)
    assert json.loads(spec.to_json())["id"] == ENV_ID


def test_module_in_the_id_imports_it() -> None:
    assert gym.make(f"mec_gym:{ENV_ID}", scenario="paper-30x2").spec.id == ENV_ID


def test_spec_survives_json_and_pickle() -> None:
    env = gym.make(ENV_ID, scenario="paper-30x2", noise_w=1e-6, reward="relative")
    wanted = rollout(env)
    for spec in (
        gym.envs.registration.EnvSpec.from_json(env.spec.to_json()),
        pickle.loads(pickle.dumps(env.spec)),
        env.unwrapped.spec,
    ):
        same(rollout(gym.make(spec)), wanted)


@pytest.mark.parametrize(
    "field",
    [
        {"mobility": GaussMarkov(1.5)},
        {"mobility": RandomWaypoint(), "migration_s": 1.0},
        {"mobility": ((0.25, GaussMarkov(1.5)), (0.5, RandomWaypoint(pause_s=1.0)), (0.25, None))},
        {"cycles": Uniform(5e8, 9e8)},
    ],
    ids=str,
)
def test_spec_with_laws_survives_json(field: dict[str, Any]) -> None:
    for env in (
        gym.make(ENV_ID, scenario="paper-30x2", **field),
        gym.make(ENV_ID, scenario=Scenario.preset("paper-30x2", **field)),
    ):
        spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
        again = gym.make(spec).unwrapped.scenario
        assert again == Scenario.preset("paper-30x2", **field)


def test_spec_of_wrapped_env_survives_json() -> None:
    env = ScoreAction(gym.make(ENV_ID, scenario="paper-30x2"))
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, ScoreAction)
    same(rollout(again), rollout(env))


def test_time_limit() -> None:
    env = gym.make(ENV_ID, scenario=SMALL)
    env.reset(seed=0)
    ends = [env.step([0] * 5)[2:4] for _ in range(MAX_EPISODE_STEPS)]
    assert ends == [(False, False)] * (MAX_EPISODE_STEPS - 1) + [(False, True)]
    short = gym.make(ENV_ID, scenario=SMALL, max_episode_steps=2)
    short.reset()
    assert [short.step([0] * 5)[3] for _ in range(2)] == [False, True]
    endless = gym.make(ENV_ID, scenario=SMALL, max_episode_steps=-1)
    endless.reset()
    assert not any(endless.step([0] * 5)[3] for _ in range(MAX_EPISODE_STEPS + 5))
    envs = gym.make_vec(ENV_ID, num_envs=2, scenario=SMALL, max_episode_steps=2)
    envs.reset()
    assert [envs.step([[0] * 5] * 2)[3].tolist() for _ in range(2)] == [[False] * 2, [True] * 2]


def test_a_refused_action_takes_no_time() -> None:
    env = gym.make(ENV_ID, scenario=SMALL, max_episode_steps=2)
    env.reset(seed=0)
    for _ in range(5):
        with pytest.raises(ValueError, match=r"0\.\.\.2"):
            env.step([3] * 5)
    assert not env.step([0] * 5)[3]
    assert env.step([0] * 5)[3]


# -- wrappers ---------------------------------------------------------------------------------


def test_wrappers_of_gymnasium() -> None:
    env = gym.make(ENV_ID, scenario=SMALL, max_episode_steps=3)
    plain = rollout(gym.make(ENV_ID, scenario=SMALL), steps=3)
    recorded = wrappers.RecordEpisodeStatistics(env)
    found = rollout(recorded, steps=3)
    assert found[-1][4]["episode"]["l"] == 3
    assert found[-1][4]["episode"]["r"] == pytest.approx(sum(step[1] for step in plain[1:]))
    same([step[0] for step in found], [step[0] for step in plain])

    doubled = rollout(wrappers.TransformReward(env, lambda reward: 2 * reward), steps=3)
    assert [step[1] for step in doubled[1:]] == [2 * step[1] for step in plain[1:]]

    table = gym.make(ENV_ID, scenario=SMALL, observation="db", max_episode_steps=3)
    flat = rollout(wrappers.FlattenObservation(table), steps=3)
    same([step[0] for step in flat], [step[0] for step in plain])

    limited = wrappers.TimeLimit(MultiMECEnv(SMALL), 2)
    assert [step[3] for step in rollout(limited, steps=2)[1:]] == [False, True]

    stacked = wrappers.FrameStackObservation(table, 2)
    assert rollout(stacked, steps=3)[-1][0].shape == (2, 5, 2)
    normal = wrappers.NormalizeObservation(wrappers.NormalizeReward(env))
    assert np.isfinite(rollout(normal, steps=3)[-1][0]).all()
    checked = wrappers.PassiveEnvChecker(MultiMECEnv(SMALL, optimum=True))
    assert len(rollout(checked, steps=3)) == 4
    again = wrappers.Autoreset(wrappers.TimeLimit(MultiMECEnv(SMALL), 2))
    assert [step[3] for step in rollout(again, steps=6)[1:]] == [False, True, False] * 2


def test_attributes_are_reached_through_wrappers() -> None:
    env = ScoreAction(gym.make(ENV_ID, scenario=SMALL))
    env.reset(seed=0)
    assert env.get_wrapper_attr("scenario") is env.unwrapped.scenario
    assert env.get_wrapper_attr("action_masks")().shape == (5 * 3,)
    assert env.get_wrapper_attr("device_positions_m").shape == (5, 2)


def test_order_is_enforced() -> None:
    env = gym.make(ENV_ID, scenario=SMALL)
    with pytest.raises(gym.error.ResetNeeded):
        env.step([0] * 5)
    with pytest.raises(RuntimeError, match="reset"):
        env.unwrapped.step([0] * 5)
    with pytest.raises(RuntimeError, match="reset"):
        env.unwrapped.evaluate([0] * 5)


def test_unknown_reset_options_are_accepted() -> None:
    env = MultiMECEnv(SMALL)
    with pytest.warns(UserWarning, match="options 'anything'"):
        odd = env.reset(seed=3, options={"anything": object()})
    same(odd, env.reset(seed=3, options={}))


# -- generators -------------------------------------------------------------------------------


def test_all_randomness_comes_from_np_random() -> None:
    env, twin = MultiMECEnv(SMALL), MultiMECEnv(SMALL)
    env.reset(seed=4)
    assert env.np_random_seed == 4
    np.random.seed(0)  # noqa: NPY002
    first = env.step([1] * 5)
    twin.reset(seed=4)
    np.random.seed(1)  # noqa: NPY002
    same(twin.step([1] * 5), first)
    assert twin.np_random.bit_generator.state == env.np_random.bit_generator.state

    env.np_random = np.random.Generator(np.random.PCG64(9))
    twin.np_random = np.random.Generator(np.random.PCG64(9))
    same(env.reset(), twin.reset())
    generator = env.np_random
    env.reset()
    assert env.np_random is generator
    env.reset(seed=1)
    assert env.np_random is not generator


def test_unseeded_envs_differ() -> None:
    assert MultiMECEnv(SMALL).reset()[0].tobytes() != MultiMECEnv(SMALL).reset()[0].tobytes()


def test_fixed_layout_is_one_for_all_and_redrawn_is_not() -> None:
    first, second = MultiMECEnv(SMALL), MultiMECEnv(SMALL)
    first.reset(seed=0)
    second.reset(seed=1)
    same(first.device_positions_m, second.device_positions_m)
    moving = MultiMECEnv(SMALL, layout="redrawn")
    places = []
    for seed in (0, None, 1, 0):
        moving.reset(seed=seed)
        places.append(moving.device_positions_m.tobytes())
        moving.step([0] * 5)
        assert moving.device_positions_m.tobytes() == places[-1]
    assert len(set(places)) == 3
    assert places[0] == places[3]
    places_m = moving.device_positions_m
    places_m[...] = 0.0
    assert moving.device_positions_m.any()


@pytest.mark.parametrize("face", ["single", "vector", "parallel"])
def test_unknown_reset_options_bring_one_warning(face: str) -> None:
    env: Any = {
        "single": lambda: gym.make(ENV_ID, scenario=SMALL),
        "vector": lambda: gym.make_vec(ENV_ID, num_envs=2, scenario=SMALL),
        "parallel": lambda: parallel_env(SMALL),
    }[face]()
    with pytest.warns(UserWarning, match="does not know the options 'layout', 'noise_w'; ") as all_:
        env.reset(seed=0, options={"layout": 3, "noise_w": 1.0})
    assert len(all_) == 1
    known: list[dict[str, Any] | None] = [None, {}]
    known += [{"reset_mask": np.array([True, False])}] if face == "vector" else []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in known:
            env.reset(options=options)
