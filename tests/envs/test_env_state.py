"""Exact continuation: states, pickles and copies, in this process and in others; memory."""

from __future__ import annotations

import copy
import functools
import gc
import multiprocessing
import pickle
import tracemalloc
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from mec_gym import GaussMarkov, Scenario, ScoreAction, Uniform, episode
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv

ID = "mec_gym/MultiMEC-v0"
SCENARIOS = {
    "fixed": Scenario(n_devices=5, n_servers=2),
    "redrawn": Scenario(
        n_devices=5, n_servers=2, layout="redrawn", data_bits=Uniform(1e5, 9e5), noise_w=1e-6
    ),
    "still": Scenario(n_devices=5, n_servers=2, fading="none"),
}
MOVING = SCENARIOS["redrawn"].replace(
    mobility=GaussMarkov(2.0), shadowing_db=4, fading_correlation=0.5, csi_delay_slots=1,
    migration_s=0.1,
)  # fmt: skip
NAMES = pytest.mark.parametrize("name", SCENARIOS)


def same(left: Any, right: Any) -> None:
    assert data_equivalence(left, right, exact=True), f"\n{left}\nis not\n{right}"


def future(env: Any, steps: int = 7) -> list[Any]:
    """Return what an env gives over some steps, a reset in their midst."""
    found: list[Any] = []
    batch = (env.num_envs,) if hasattr(env, "num_envs") else ()
    for step in range(steps):
        found.append(env.step(np.full((*batch, 5), step % 3)))
        if step == 3:
            found.append(env.reset())
    return found


def begun(scenario: Any, **options: Any) -> MultiMECEnv:
    env = MultiMECEnv(scenario, **options)
    env.reset(seed=8)
    env.step([1] * 5)
    return env


# -- states -----------------------------------------------------------------------------------


@NAMES
def test_state_before_the_first_reset(name: str) -> None:
    env = MultiMECEnv(SCENARIOS[name])
    state = env.get_state()
    wanted = env.reset()
    for target in (env, begun(SCENARIOS[name])):
        target.set_state(state)
        with pytest.raises(RuntimeError, match="reset"):
            target.step([1] * 5)
        same(target.reset(), wanted)


@NAMES
@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
def test_state_of_the_vector_env(name: str, mode: AutoresetMode) -> None:
    def make() -> MultiMECVectorEnv:
        return MultiMECVectorEnv(
            3, SCENARIOS[name], max_episode_steps=4, autoreset_mode=mode, optimum=True
        )

    envs = make()
    envs.reset(seed=2)
    envs.step(np.ones((3, 5), dtype=int))
    envs.reset(options={"reset_mask": np.array([True, False, False])})
    steps = 3 if mode is AutoresetMode.DISABLED else 12
    for _ in range(0 if mode is AutoresetMode.DISABLED else 3):
        # The states of the autoreset modes differ where copies have just ended.
        state = envs.get_state()
        wanted = future(envs, steps)
        twin = make()
        twin.set_state(pickle.loads(pickle.dumps(state)))
        same(future(twin, steps), wanted)
        envs.set_state(state)
        same(future(envs, steps), wanted)
        same(future(pickle.loads(pickle.dumps(envs)), 2), future(copy.deepcopy(envs), 2))
        envs.set_state(state)
        envs.step(np.ones((3, 5), dtype=int))


@NAMES
def test_state_belongs_to_its_taker(name: str) -> None:
    """Neither does the env change a state, nor a state the env."""
    for env in (begun(SCENARIOS[name]), MultiMECVectorEnv(2, SCENARIOS[name])):
        env.reset(seed=1)
        state = env.get_state()
        kept = copy.deepcopy(state)
        wanted = future(copy.deepcopy(env))
        overwrite(env.get_state())
        same(state, kept)
        same(future(copy.deepcopy(env)), wanted)
        given = copy.deepcopy(state)
        env.set_state(given)
        same(given, kept)
        overwrite(given)
        same(future(env), wanted)
        same(state, kept)


def overwrite(value: Any) -> None:
    if isinstance(value, np.ndarray):
        value[...] = 0
    elif isinstance(value, dict):
        for entry in value.values():
            overwrite(entry)
        value.clear()
    elif isinstance(value, (list, tuple)):
        for entry in value:
            overwrite(entry)


def test_states_of_another_scenario_are_refused() -> None:
    env = begun(SCENARIOS["fixed"])
    before = repr(env.get_state())
    for changes in ({"noise_w": 1e-6}, {"n_devices": 6}, {"layout": "redrawn"}):
        other = MultiMECEnv(SCENARIOS["fixed"].replace(**changes))
        other.reset(seed=0)
        with pytest.raises(ValueError, match=f"differs in {next(iter(changes))}"):
            env.set_state(other.get_state())
    assert repr(env.get_state()) == before
    same_but_named = SCENARIOS["fixed"].replace(name="another name")
    env.set_state(begun(same_but_named).get_state())


def test_states_of_another_size_or_face_are_refused() -> None:
    scenario = SCENARIOS["fixed"]
    single, one, two = (
        MultiMECEnv(scenario),
        MultiMECVectorEnv(1, scenario),
        MultiMECVectorEnv(2, scenario),
    )
    states = []
    for env in (single, one, two):
        env.reset(seed=0)
        states.append(env.get_state())
    for env, wrong in ((single, states[1:]), (one, states[::2]), (two, states[:2])):
        before = repr(env.get_state())
        for state in wrong:
            with pytest.raises(ValueError, match="state must"):
                env.set_state(state)
            assert repr(env.get_state()) == before


def broken(state: dict[str, Any], fault: str) -> dict[str, Any]:
    """Return a copy of a state with one fault, the last of what is applied included."""
    wrong = copy.deepcopy(state)
    slot = wrong["world"]["slot"]
    plural = "generators" in wrong
    if fault == "generator":
        if plural:
            wrong["generators"][-1] = {"bit_generator": "PCG64"}
        else:
            wrong["generator"] = {"bit_generator": "PCG64"}
    elif fault == "gains":
        slot["gains"] = -slot["gains"]
    elif fault == "shape":
        slot["gains"] = slot["gains"][..., :1]
    elif fault == "copies":
        wrong["world"]["slot"] = {name: array[0] for name, array in slot.items()}
    elif fault == "layouts":
        wrong["world"]["layouts"] = wrong["world"]["layouts"][:-1]
    elif fault == "path gains":
        wrong["world"]["layouts"][-1][2][...] = np.nan
    elif fault == "negative elapsed":
        wrong["elapsed"] -= 1
    else:
        wrong[fault] = np.zeros(4, dtype=wrong[fault].dtype)
    return wrong


@pytest.mark.parametrize(
    "fault",
    [
        *("generator", "gains", "shape", "copies", "layouts", "path gains"),
        *("elapsed", "negative elapsed", "ended"),
    ],
)
@pytest.mark.parametrize("batch", [False, True], ids=["single", "vector"])
def test_a_refused_state_changes_nothing(fault: str, batch: bool) -> None:
    if not batch and fault in ("elapsed", "negative elapsed", "ended"):
        pytest.skip("a single env does not count its steps")
    env: Any = (
        MultiMECVectorEnv(3, SCENARIOS["redrawn"]) if batch else MultiMECEnv(SCENARIOS["redrawn"])
    )
    env.reset(seed=0)
    state = env.get_state()
    env.reset(seed=1)
    before = env.get_state()
    with pytest.raises(ValueError, match=r"state must|must be finite, > 0|must have shape|>= 0"):
        env.set_state(broken(state, fault))
    same(env.get_state(), before)


def places(part: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each part of a state stands that can be replaced."""
    if isinstance(part, (dict, list)):
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
            yield (*place, key)
            yield from places(inner, (*place, key))


GONE: Any = object()
OTHERS = (GONE, None, "x", -1, [], {}, np.zeros((7, 7)), np.nan)
"""What may stand in the place of a part of a state, the last times what was there."""


@pytest.mark.parametrize("recorded", [False, True], ids=["drawn", "recorded"])
@pytest.mark.parametrize("copies", [None, 3], ids=["single", "vector"])
def test_a_state_with_anything_else_in_its_parts_fits_or_changes_nothing(
    copies: int | None, recorded: bool
) -> None:
    scenario = MOVING
    path = episode(scenario, seed=0, n_slots=9) if recorded else None
    kind: Any = MultiMECEnv if copies is None else functools.partial(MultiMECVectorEnv, copies)
    env, target = kind(scenario, episode=path), kind(scenario, episode=path)
    env.reset(seed=0)
    target.reset(seed=1)
    state, before, refused = env.get_state(), target.get_state(), 0
    for place in places(state):
        for other in OTHERS:
            wrong = copy.deepcopy(state)
            *above, last = place
            holder = functools.reduce(lambda part, key: part[key], above, wrong)
            if other is GONE:
                del holder[last]
            else:
                was = holder[last]
                numbers = isinstance(was, np.ndarray) and was.dtype.kind in "fc"
                holder[last] = was * other if numbers and other is np.nan else other
            try:
                target.set_state(wrong)
            except (TypeError, ValueError):
                refused += 1
                same(target.get_state(), before)
            else:
                if recorded or wrong["world"]["slot"] is not None:  # else before the first reset
                    choices = np.zeros(target.action_space.shape, dtype=int)
                    assert np.isfinite(target.step(choices)[0]).all()
                target.set_state(before)
    assert refused > 50


@pytest.mark.parametrize("state", [None, "state", 3])
def test_what_is_no_state_is_refused_by_name(state: Any) -> None:
    for env in (MultiMECEnv(SCENARIOS["fixed"]), MultiMECVectorEnv(2, SCENARIOS["fixed"])):
        with pytest.raises(TypeError, match=r"state must be what get_state\(\)"):
            env.set_state(state)


# -- copies -----------------------------------------------------------------------------------


@NAMES
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_pickle_and_deep_copy_of_wrapped_envs(name: str, render_mode: str | None) -> None:
    options: dict[str, Any] = {"optimum": True, "max_episode_steps": 6}
    if render_mode:
        pytest.importorskip("pygame")
        options["render_mode"] = render_mode
    env = gym.make(ID, scenario=SCENARIOS[name], **options)
    env.reset(seed=8)
    env.step([1] * 5)
    if render_mode:
        env.render()
    twins = [pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    wanted = [env.step([step % 3] * 5) for step in range(5)]
    assert wanted[-1][3]
    for twin in twins:
        same([twin.step([step % 3] * 5) for step in range(5)], wanted)
        if render_mode:
            assert (twin.render() == env.render()).all()
        assert twin.unwrapped.scenario == env.unwrapped.scenario
    last = env.reset()
    for twin in twins:
        same(twin.reset(), last)


def test_copies_are_apart() -> None:
    env = begun(SCENARIOS["redrawn"])
    twin = copy.deepcopy(env)
    before = repr(twin.get_state())
    future(env)
    assert repr(twin.get_state()) == before


def test_a_window_stays_with_its_env(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = MultiMECEnv(SCENARIOS["fixed"], render_mode="human")
    env.reset(seed=0)
    twins = [pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    wanted = env.step([1] * 5)
    env.close()
    for twin in twins:
        same(twin.step([1] * 5), wanted)
        twin.close()


def test_score_action_is_copied() -> None:
    env = ScoreAction(gym.make(ID, scenario=SCENARIOS["redrawn"]))
    env.reset(seed=0)
    twins = [pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    scores = np.linspace(0.0, 1.0, 10, dtype=np.float32)
    wanted = env.step(scores)
    for twin in twins:
        same(twin.step(scores), wanted)


def continued(pickled: bytes, state: dict[str, Any], scenario: Scenario) -> list[Any]:
    """Go on in another process, from a pickled env and from a state."""
    revived = pickle.loads(pickled)
    fresh = MultiMECEnv(scenario)
    fresh.set_state(state)
    return [future(revived), future(fresh)]


@pytest.mark.slow
def test_other_processes_go_on_exactly() -> None:
    env = begun(SCENARIOS["redrawn"])
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        arguments = (pickle.dumps(env), env.get_state(), env.scenario)
        found = pool.apply(continued, arguments)
    wanted = future(env)
    for one in found:
        same(one, wanted)


# -- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["single", "vector", "redrawn"])
def test_memory_stays_flat(kind: str) -> None:
    env: Any = {
        "single": lambda: gym.make(ID, scenario=SCENARIOS["fixed"], max_episode_steps=50),
        "redrawn": lambda: gym.make(ID, scenario=SCENARIOS["redrawn"], max_episode_steps=20),
        "vector": lambda: MultiMECVectorEnv(4, SCENARIOS["redrawn"], max_episode_steps=20),
    }[kind]()
    action = np.ones((4, 5) if kind == "vector" else 5, dtype=int)

    def run(steps: int) -> None:
        for _ in range(steps):
            truncated = env.step(action)[3]
            if kind != "vector" and truncated:
                env.reset()

    env.reset(seed=0)
    run(300)
    gc.collect()
    tracemalloc.start()
    try:
        run(50)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        run(1000 if kind == "vector" else 2000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_pictures_take_no_more_memory_with_time() -> None:
    env = MultiMECEnv(SCENARIOS["redrawn"], render_mode="rgb_array", optimum=True)
    env.reset(seed=0)
    for _ in range(150):
        env.step([1] * 5)
    size = len(pickle.dumps(env))
    for _ in range(150):
        env.step([1] * 5)
    assert len(pickle.dumps(env)) < size + 2_000
