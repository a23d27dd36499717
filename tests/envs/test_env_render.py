"""Pictures through every face of the world."""

from __future__ import annotations

import copy
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import HumanRendering, RecordVideo, RenderCollection

from mec_gym import (
    Episode,
    GaussMarkov,
    Scenario,
    Traces,
    episode,
    evaluate,
    hindsight,
    parallel_env,
)
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.rendering import draw

pytest.importorskip("pygame")

ID = "mec_gym/MultiMEC-v0"
SMALL = Scenario(n_devices=5, n_servers=2, layout="redrawn")


PLACES = np.random.default_rng(0).uniform(0.0, 50.0, (6, 5, 2))
MOVING = {
    "crowd": Scenario(n_devices=5, n_servers=2, mobility=GaussMarkov(4.0), migration_s=1.0),
    "stale": SMALL.replace(fading_correlation=0.5, csi_delay_slots=2, migration_j=1.0),
    "traces": Scenario(
        n_devices=5,
        n_servers=2,
        migration_s=1.0,
        mobility=Traces(
            np.where(np.random.default_rng(1).random((6, 5, 1)) < 0.4, np.nan, PLACES), 1.0
        ),
    ),
    "free": SMALL.replace(mobility=GaussMarkov(1.0)),
}


def is_picture(frame: Any) -> bool:
    return (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.ndim == 3
        and frame.shape[2] == 3
        and frame.std() > 0
    )


@pytest.mark.parametrize("preset", ["paper-30x2", "unequal-200x10", "relocating-200x10"])
def test_pictures_of_the_single_env(preset: str) -> None:
    env = gym.make(ID, scenario=preset, render_mode="rgb_array", optimum=preset == "paper-30x2")
    assert env.render_mode == "rgb_array"
    env.reset(seed=0)
    begun = env.render()
    assert is_picture(begun)
    env.step(env.action_space.sample())
    decided = env.render()
    assert is_picture(decided)
    assert decided.shape == begun.shape
    assert (decided != begun).any()
    assert (env.render() == decided).all()
    decided[...] = 0
    assert is_picture(env.render())
    env.close()
    env.close()


def test_pictures_show_the_slot_that_was_decided() -> None:
    """Equal decisions in equal slots look alike, whatever happened to a returned info."""
    env, twin = (MultiMECEnv(SMALL, render_mode="rgb_array", optimum=True) for _ in "ab")
    env.reset(seed=0)
    twin.reset(seed=0)
    for _ in range(3):
        assert (env.render() == twin.render()).all()
        env.step([1] * 5)
        twin.step([1] * 5)
    twin.step([2] * 5)
    env.step([1] * 5)
    assert (env.render() != twin.render()).any()


def test_pictures_do_not_depend_on_what_the_caller_does_with_info() -> None:
    env, twin = (MultiMECEnv(SMALL, render_mode="rgb_array") for _ in "ab")
    infos = [env.reset(seed=0)[1], twin.reset(seed=0)[1]]
    for _ in range(2):
        infos[0]["devices_per_server"][...] = 99
        infos[0].clear()
        assert (env.render() == twin.render()).all()
        infos = [env.step([1] * 5)[4], twin.step([1] * 5)[4]]
    infos[0].clear()
    assert (env.render() == twin.render()).all()


@pytest.mark.parametrize("make", [MultiMECEnv, lambda *a, **k: MultiMECVectorEnv(2, *a, **k)])
def test_pictures_after_set_state_show_the_slot_of_the_state(make: Any) -> None:
    env, fresh = (make(SMALL, render_mode="rgb_array", optimum=True) for _ in "ab")
    nothing = env.get_state()
    env.reset(seed=0)
    begun = np.asarray(env.render())
    state = env.get_state()
    env.step(np.ones_like(env.action_space.sample()))
    assert (np.asarray(env.render()) != begun).any()
    for one in (env, fresh):
        one.set_state(state)
        assert (np.asarray(one.render()) == begun).all()
        one.set_state(nothing)
        with pytest.raises(RuntimeError, match="nothing to draw"):
            one.render()


def test_pictures_of_the_vector_env_do_not_depend_on_the_caller_either() -> None:
    envs, twins = (MultiMECVectorEnv(2, SMALL, render_mode="rgb_array") for _ in "ab")
    infos = [envs.reset(seed=0)[1], twins.reset(seed=0)[1]]
    for _ in range(2):
        for key in ("devices_per_server", "objective"):
            infos[0][key][...] = 99
        for frame, wanted in zip(envs.render(), twins.render(), strict=True):
            assert (frame == wanted).all()
        infos = [envs.step([[1] * 5] * 2)[4], twins.step([[1] * 5] * 2)[4]]


def test_pictures_do_not_disturb_the_run() -> None:
    drawn = gym.make(ID, scenario=SMALL, render_mode="rgb_array", optimum=True)
    plain = gym.make(ID, scenario=SMALL, optimum=True)
    one, other = drawn.reset(seed=0), plain.reset(seed=0)
    for _ in range(4):
        assert one[0].tobytes() == other[0].tobytes()
        assert repr(one[-1]) == repr(other[-1])
        drawn.render()
        one, other = drawn.step([1] * 5), plain.step([1] * 5)


def test_pictures_of_the_vector_env() -> None:
    envs = gym.make_vec(
        ID, num_envs=3, scenario=SMALL, render_mode="rgb_array", max_episode_steps=2
    )
    assert envs.render_mode == "rgb_array"
    envs.reset(seed=0)
    for _ in range(4):
        frames = envs.render()
        assert isinstance(frames, tuple)
        assert len(frames) == 3
        assert all(is_picture(frame) for frame in frames)
        envs.step(np.ones((3, 5), dtype=int))
    single = gym.make(ID, scenario=SMALL, render_mode="rgb_array")
    envs.reset(seed=4)
    single.reset(seed=5)
    envs.step(np.ones((3, 5), dtype=int))
    single.step([1] * 5)
    assert (envs.render()[1] == single.render()).all()


def test_pictures_of_the_parallel_env() -> None:
    pytest.importorskip("pettingzoo")
    env = parallel_env(SMALL, render_mode="rgb_array")
    central = MultiMECEnv(SMALL, render_mode="rgb_array")
    env.reset(seed=0)
    central.reset(seed=0)
    assert (env.render() == central.render()).all()
    env.step({"mec_1": np.ones(5), "mec_2": np.zeros(5)})
    central.step([1] * 5)
    assert (env.render() == central.render()).all()
    env.close()


def test_a_window_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make(ID, scenario=SMALL, render_mode="human")
    env.metadata["render_fps"]
    env.reset(seed=0)
    for _ in range(2):
        env.step([1] * 5)
        assert env.render() is None
    env.close()
    env.close()
    env.reset(seed=1)
    env.step([0] * 5)
    env.close()


def test_gymnasiums_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = HumanRendering(gym.make(ID, scenario=SMALL, render_mode="rgb_array"))
    env.reset(seed=0)
    env.step([1] * 5)
    env.close()


def test_frames_are_collected() -> None:
    env = RenderCollection(gym.make(ID, scenario=SMALL, render_mode="rgb_array"))
    env.reset(seed=0)
    env.step([1] * 5)
    env.step([2] * 5)
    assert len(env.render()) == 3


def test_video(tmp_path: Path) -> None:
    if importlib.util.find_spec("moviepy") is None:
        pytest.skip("RecordVideo needs moviepy")
    env = RecordVideo(
        gym.make(ID, scenario=SMALL, render_mode="rgb_array", max_episode_steps=3), str(tmp_path)
    )
    env.reset(seed=0)
    for _ in range(3):
        env.step([1] * 5)
    env.close()
    assert list(tmp_path.glob("*.mp4"))


def test_before_the_first_reset_the_cause_is_named() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        gym.make(ID, scenario=SMALL, render_mode="rgb_array").render()
    with pytest.raises(RuntimeError, match="reset"):
        MultiMECEnv(SMALL, render_mode="rgb_array").render()
    with pytest.raises(RuntimeError, match="reset"):
        MultiMECVectorEnv(2, SMALL, render_mode="rgb_array").render()
    pytest.importorskip("pettingzoo")
    with pytest.raises(RuntimeError, match="reset"):
        parallel_env(SMALL, render_mode="rgb_array").render()


def test_without_a_render_mode_the_way_is_named() -> None:
    for env in (MultiMECEnv(SMALL), MultiMECVectorEnv(1, SMALL)):
        env.reset(seed=0)
        with pytest.warns(UserWarning, match="render_mode"):
            assert env.render() is None


def test_a_frame_is_what_is_drawn() -> None:
    env = MultiMECEnv(SMALL, render_mode="rgb_array", optimum=True)
    with pytest.raises(RuntimeError, match="before the first reset"):
        env.frame()
    env.reset(seed=0)
    env.step([1] * 5)
    assert (draw(env.frame()) == env.render()).all()
    assert draw(env.frame(), (320, 200)).shape == (200, 320, 3)


def test_a_frame_needs_a_render_mode() -> None:
    with pytest.raises(RuntimeError, match="render_mode"):
        MultiMECEnv(SMALL).frame()


# -- worlds that move -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOVING)
def test_every_face_draws_the_same_picture_of_a_moving_world(name: str) -> None:
    pytest.importorskip("pettingzoo")
    scenario, rng = MOVING[name], np.random.default_rng(0)
    path = episode(scenario, seed=4, n_slots=8)
    single, shown = (MultiMECEnv(scenario, render_mode="rgb_array") for _ in "ab")
    vector = MultiMECVectorEnv(2, scenario, render_mode="rgb_array")
    servers = parallel_env(scenario, render_mode="rgb_array")
    single.reset(seed=4)
    shown.reset(options={"episode": path})
    vector.reset(seed=[9, 4])
    servers.reset(seed=4)
    size = single.render().shape
    for time in range(6):
        picture = single.render()
        assert picture.shape == size
        for other in (shown.render(), vector.render()[1], servers.render()):
            assert (other == picture).all()
        action = rng.integers(3, size=5)
        single.step(action)
        shown.step(action)
        vector.step(np.stack([rng.integers(3, size=5), action]))
        servers.step({a: (action == j).astype(float) for j, a in enumerate(servers.agents, 1)})
        if time == 2:  # the other copy begins anew
            vector.reset(seed=[1, None], options={"reset_mask": np.array([True, False])})
            fresh = MultiMECEnv(scenario, render_mode="rgb_array")
            fresh.reset(seed=1)
            assert (vector.render()[0] == fresh.render()).all()


@pytest.mark.parametrize("name", MOVING)
def test_a_frame_shows_the_slot_in_which_the_decision_was_priced(name: str) -> None:
    scenario, rng = MOVING[name], np.random.default_rng(0)
    path = episode(scenario, seed=4, n_slots=8)
    env = MultiMECEnv(scenario, render_mode="rgb_array")
    env.reset(seed=4)
    moved = []
    for time in range(7):
        action, slot = rng.integers(3, size=5), env.slot
        moved.append(env.step(action)[4].get("migrations", 0))
        frame = env.frame()
        there = slot.cycles > 1.0
        assert (frame.device_positions_m == path.device_positions_m[time]).all()
        assert (frame.assignment == np.where(there, action, 0)).all()
        assert frame.devices_per_server.tolist() == [((action == j) & there).sum() for j in (1, 2)]
        assert frame.csi_delay_slots == scenario.csi_delay_slots
        assert (frame.present is None) == (not scenario.absences)
        if frame.present is not None:
            assert (frame.present == there).all()
        if scenario.migrates:
            assert (frame.hosts == slot.hosts).all()
            assert frame.moves is not None
            assert frame.moves.sum() == moved[-1]
            assert frame.migrations == tuple(moved)
        else:
            assert frame.hosts is frame.moves is None
            assert frame.migrations == ()
        assert (frame.trails_m is None) == (scenario.mobility is None)
        if frame.trails_m is not None:
            first = max(0, time - 3)
            absent = path.cycles[first : time + 1] <= 1.0
            wanted = path.device_positions_m[first : time + 1].copy()
            wanted[absent] = np.nan
            np.testing.assert_array_equal(frame.trails_m, wanted)


def test_a_picture_forgets_trails_and_moves_at_a_reset_and_after_set_state() -> None:
    env, fresh = (MultiMECEnv(MOVING["crowd"], render_mode="rgb_array") for _ in "ab")
    env.reset(seed=0)
    for _ in range(3):
        env.step([1] * 5)
    state = env.get_state()
    for twin in (pickle.loads(pickle.dumps(env)), copy.deepcopy(env)):
        assert (twin.render() == env.render()).all()
    env.step([2] * 5)
    for one in (env, fresh):
        one.set_state(state)
        frame = one.frame()
        assert frame.trails_m is not None
        assert frame.hosts is not None
        assert (len(frame.trails_m), frame.moves, frame.migrations) == (1, None, ())
        assert frame.hosts.tolist() == [1] * 5
    env.step([2] * 5)
    assert env.frame().migrations == (5,)
    env.reset(seed=1)
    fresh.reset(seed=1)
    assert (env.render() == fresh.render()).all()


@pytest.mark.parametrize("name", MOVING)
def test_the_plan_of_hindsight_stands_beside_the_decisions(name: str) -> None:
    scenario = MOVING[name]
    paths = [episode(scenario, seed=seed, n_slots=5) for seed in (1, 2)]
    best = hindsight(scenario, paths)
    np.testing.assert_allclose(best.slot_objective.sum(axis=1), best.objective)
    single = MultiMECEnv(scenario, render_mode="rgb_array", optimum=True)
    single.reset(options={"episode": paths[1], "hindsight": hindsight(scenario, paths[1])})
    vector = MultiMECVectorEnv(2, scenario, render_mode="rgb_array", autoreset_mode="SameStep")
    vector.reset(options={"episode": paths, "hindsight": best})
    for time in range(5):
        priced = evaluate(scenario, single.slot, best.assignment[1, time]).objective
        single.step(best.assignment[1, time])
        frame = single.frame()
        assert frame.rival == "plan"
        # Who follows the plan pays what it costs.
        assert frame.history[-1] == pytest.approx((priced, best.slot_objective[1, time]))
        assert frame.history[-1][0] == pytest.approx(frame.history[-1][1])
        vector.step(best.assignment[:, time])
        if time < 4:
            for copy_, picture in enumerate(vector._pictures):
                shown = picture.frame().history[-1]
                assert shown[0] == pytest.approx(shown[1])
                assert shown[1] == best.slot_objective[copy_, time]
    vector.step(best.assignment[:, 0])  # the episodes began again, and their plans
    assert vector._pictures[0].frame().history[-1][1] == best.slot_objective[0, 0]
    single.step([0] * 5)  # beyond the end of the path there is no plan
    assert single.frame().history[-1][1] is None
    single.reset()
    assert single.frame().rival == "optimum"


def test_hindsight_of_something_else_is_refused() -> None:
    scenario = MOVING["crowd"]
    paths = [episode(scenario, seed=seed, n_slots=3) for seed in range(3)]
    one, two = hindsight(scenario, paths[0]), hindsight(scenario, paths[:2])
    env, envs = MultiMECEnv(scenario), MultiMECVectorEnv(3, scenario)
    envs.reset(seed=0)
    env.reset(seed=0)
    state = env.get_state()
    longer = episode(scenario, seed=0, n_slots=4)
    for target, options, message in (
        (env, {"hindsight": one}, "no recorded slots"),
        (env, {"episode": longer, "hindsight": one}, r"\[4\] slots; got one of 1 episodes of 3"),
        (env, {"episode": paths[0], "hindsight": two}, "got one of 2 episodes"),
        (envs, {"episode": paths, "hindsight": two}, "got one of 2 episodes"),
        (envs, {"hindsight": one, "reset_mask": np.array([True, False, False])}, "every copy"),
    ):
        with pytest.raises(ValueError, match=message):
            target.reset(options=options)
    with pytest.raises(TypeError, match="must be a Hindsight; got float"):
        env.reset(options={"episode": paths[0], "hindsight": 1.0})
    assert str(env.get_state()) == str(state)


def test_every_frame_of_a_recorded_episode_has_one_size() -> None:
    path: Episode = episode(MOVING["traces"], seed=0, n_slots=4)
    env = RenderCollection(
        gym.make(ID, scenario=path.scenario, episode=path, render_mode="rgb_array")
    )
    env.reset()
    over = False
    while not over:
        over = env.step([1] * 5)[3]
    frames = env.render()
    assert len(frames) == 5
    assert {frame.shape for frame in frames} == {frames[0].shape}
