"""Pictures through every face of the world."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import HumanRendering, RecordVideo, RenderCollection

from mec_gym import Scenario, parallel_env
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.rendering import draw

pytest.importorskip("pygame")

ID = "mec_gym/MultiMEC-v0"
SMALL = Scenario(n_devices=5, n_servers=2, layout="redrawn")


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
