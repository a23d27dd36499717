"""Moving worlds: one path for every face and policy, hosts as state, and episodes shown again."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FrameStackObservation, TimeLimit

from mec_gym import (
    ENV_ID,
    Episode,
    GaussMarkov,
    RandomWaypoint,
    Scenario,
    Traces,
    Uniform,
    episode,
    evaluate,
    parallel_env,
    slot_from_observation,
)
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.model.cost import NO_TASK
from mec_gym.testing import check_offloading_env, difference

TRACES = Traces(
    np.where(
        np.random.default_rng(0).random((6, 30, 1)) < 0.2,
        np.nan,
        np.random.default_rng(1).uniform(0, 50, (6, 30, 2)),
    ),
    interval_s=3.0,
)
WORLDS = {
    "crowd": {},
    "stale": {
        "csi_delay_slots": 2,
        "fading": "rayleigh",
        "fading_correlation": 0.6,
        "shadowing_db": 4.0,
        "mobility": ((0.5, GaussMarkov(3.0)), (0.5, RandomWaypoint(3.0, 9.0, 1.0))),
    },
    "tasks": {"cycles": Uniform(1e9, 2e9), "migration_j": 0.5, "fading": "rayleigh"},
    "traces": {"mobility": TRACES, "layout": "fixed", "data_bits": Uniform(4e5, 1.2e6)},
    "free": {"migration_s": 0.0},
}


def world(name: str) -> Scenario:
    """Return one of the worlds."""
    return Scenario.preset("crowd-30x4", **WORLDS[name])


@pytest.mark.parametrize("name", WORLDS)
def test_every_face_shows_the_path_whatever_is_decided(name: str) -> None:
    scenario, rng = world(name), np.random.default_rng(0)
    path = episode(scenario, seed=5, n_slots=8)
    single = gym.make(ENV_ID, scenario=scenario)
    vector = gym.make_vec(ENV_ID, num_envs=3, scenario=scenario)
    single.reset(seed=5)
    vector.reset(seed=[1, 2, 5])
    for time in range(8):
        for slot, seen in (
            (single.unwrapped.slot, single.unwrapped.seen),
            (vector.unwrapped.slot[2], vector.unwrapped.seen[2]),
        ):
            assert (slot.gains == path.gains[time]).all()
            assert (seen.gains == path.seen_gains[time]).all()
            assert (slot.data_bits == path.data_bits[time]).all()
            assert (slot.cycles == path.cycles[time]).all()
        assert (single.unwrapped.device_positions_m == path.device_positions_m[time]).all()
        single.step(rng.integers(5, size=30))
        vector.step(rng.integers(5, size=(3, 30)))


def test_slots_in_which_nobody_is_present_neither_reward_nor_punish() -> None:
    places = np.ones((2, 30, 2))
    places[1] = np.nan
    scenario = Scenario.preset("crowd-30x4", mobility=Traces(places, 1.0), layout="fixed")
    for reward, worth in (("reciprocal", 0.0), ("relative", 1.0), ("negative", 0.0)):
        single = gym.make(ENV_ID, scenario=scenario, reward=reward)
        vector = gym.make_vec(ENV_ID, num_envs=4, scenario=scenario, reward=reward)
        check_offloading_env(scenario, seeds=(0,), reward=reward)
        single.reset(seed=0)
        vector.reset(seed=0)
        for _ in range(4):
            empty = [(env.unwrapped.slot.cycles == NO_TASK).all(-1) for env in (single, vector)]
            found = single.step(np.ones(30, int))[1], vector.step(np.ones((4, 30), int))[1]
            for rewards, there in zip(found, empty, strict=True):
                assert ((abs(rewards - worth) < 1e-20) == there).all()


@pytest.mark.parametrize("name", WORLDS)
def test_info_is_what_evaluate_says_with_the_hosts(name: str) -> None:
    scenario, rng = world(name), np.random.default_rng(0)
    env = gym.make(ENV_ID, scenario=scenario)
    env.reset(seed=1)
    hosts = np.zeros(30, dtype=int)
    for _ in range(8):
        slot, decided = env.unwrapped.slot, rng.integers(5, size=30)
        if scenario.migrates:
            assert (slot.hosts == hosts).all()
        outcome = evaluate(scenario, slot, decided)
        free = evaluate(scenario.replace(migration_s=0.0, migration_j=0.0), slot, decided)
        info = env.step(decided)[4]
        assert info["objective"] == pytest.approx(outcome.objective, rel=1e-13)
        moved = (decided > 0) & (decided != hosts) & (slot.cycles > 1.0)
        if scenario.migrates:
            assert info["migrations"] == moved.sum()
            assert info["migration_s"] == pytest.approx(
                (outcome.latency_s - free.latency_s).sum(), abs=1e-9
            )
            assert info["migration_j"] == pytest.approx(
                (outcome.energy_j - free.energy_j).sum(), abs=1e-9
            )
        hosts = np.where(moved, decided, hosts)


@pytest.mark.parametrize("kind", ["db", "raw", "flat"])
@pytest.mark.parametrize("name", WORLDS)
def test_observations_show_what_is_seen_and_the_hosts(name: str, kind: str) -> None:
    scenario, rng = world(name), np.random.default_rng(0)
    env = gym.make(ENV_ID, scenario=scenario, observation=kind)
    observation, _ = env.reset(seed=2)
    for _ in range(5):
        assert env.observation_space.contains(observation)
        decoded = slot_from_observation(scenario, observation, kind)
        assert decoded.gains == pytest.approx(env.unwrapped.seen.gains, rel=1.1e-5)
        assert decoded.cycles == pytest.approx(env.unwrapped.slot.cycles, rel=1e-5)
        assert decoded.data_bits == pytest.approx(env.unwrapped.slot.data_bits, rel=1e-5)
        if scenario.migrates:
            assert (decoded.hosts == env.unwrapped.slot.hosts).all()
        observation = env.step(rng.integers(5, size=30))[0]


@pytest.mark.parametrize("name", WORLDS)
def test_a_partial_reset_leaves_the_others_on_their_path(name: str) -> None:
    scenario, rng = world(name), np.random.default_rng(0)
    vector = gym.make_vec(ENV_ID, num_envs=2, scenario=scenario)
    single = gym.make(ENV_ID, scenario=scenario)
    vector.reset(seed=[4, 6])
    observation, _ = single.reset(seed=6)
    for time in range(7):
        decided = rng.integers(5, size=30)
        observation = single.step(decided)[0]
        batch = vector.step(np.stack([rng.integers(5, size=30), decided]))[0]
        if time in (2, 3):
            batch = vector.reset(options={"reset_mask": np.array([True, False])})[0]
        assert (batch[1] == observation).all()


@pytest.mark.parametrize("name", WORLDS)
def test_state_goes_on_exactly(name: str) -> None:
    scenario = world(name)
    for make in (gym.make, lambda *a, **k: gym.make_vec(*a, num_envs=2, **k)):
        env: Any = make(ENV_ID, scenario=scenario).unwrapped
        rng = np.random.default_rng(0)
        env.reset(seed=1)
        actions = [rng.integers(5, size=env.action_space.shape) for _ in range(8)]
        for action in actions[:3]:
            env.step(action)
        state = pickle.loads(pickle.dumps(env.get_state()))
        expected = [env.step(action)[:2] for action in actions[3:]]
        other: Any = make(ENV_ID, scenario=scenario).unwrapped
        other.set_state(state)
        for action, (observation, reward) in zip(actions[3:], expected, strict=True):
            got = other.step(action)
            assert (got[0] == observation).all()
            assert np.all(got[1] == reward)


@pytest.mark.parametrize("name", WORLDS)
def test_a_recorded_episode_is_shown_again(name: str, tmp_path: Path) -> None:
    scenario, rng = world(name), np.random.default_rng(0)
    path = episode(scenario, seed=5, n_slots=4)
    path.save(tmp_path / "path.npz")
    loaded = Episode.load(tmp_path / "path.npz")
    assert loaded.scenario == scenario
    live, shown = gym.make(ENV_ID, scenario=scenario), gym.make(ENV_ID, scenario=scenario)
    always = gym.make(ENV_ID, scenario=scenario, episode=loaded)
    vector = gym.make_vec(ENV_ID, num_envs=2, scenario=scenario)
    for _ in range(2):
        starts = [
            live.reset(seed=5)[0],
            shown.reset(seed=99, options={"episode": loaded})[0],
            always.reset()[0],
            vector.reset(options={"episode": loaded})[0][1],
        ]
        assert all((start == starts[0]).all() for start in starts)
        for time in range(4):
            decided = rng.integers(5, size=30)
            first = live.step(decided)
            for env in (shown, always):
                other = env.step(decided)
                assert other[1] == first[1]
                assert other[3] == (time == 3)
                if time < 3:
                    assert (other[0] == first[0]).all()
            batch = vector.step(np.stack([decided, decided]))
            assert (batch[1] == first[1]).all()
            assert (batch[3] == (time == 3)).all()
    # Without the option the env draws again, from its own stream.
    drawn, _ = shown.reset(seed=5)
    assert (drawn == live.reset(seed=5)[0]).all()


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_what_is_no_episode_is_named(make: Any) -> None:
    with pytest.raises(TypeError, match="episode must be an Episode; got int"):
        make(ENV_ID, scenario="crowd-30x4", episode=1)


def test_a_replay_has_a_state() -> None:
    scenario = world("stale")
    path = episode(scenario, seed=5, n_slots=6)
    env, other = (
        gym.make(ENV_ID, scenario=scenario, episode=path),
        gym.make(ENV_ID, scenario=scenario),
    )
    env.reset()
    env.step(np.ones(30, dtype=int))
    other.unwrapped.set_state(pickle.loads(pickle.dumps(env.unwrapped.get_state())))
    other_step = other.unwrapped.step(np.zeros(30, dtype=int))
    assert (other_step[0] == env.step(np.zeros(30, dtype=int))[0]).all()


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_copies_replay_episodes_of_their_own_lengths(
    mode: AutoresetMode, limit: int | None
) -> None:
    """The native env is, bit for bit, Gymnasium's batch of single envs with an episode each."""
    scenario, rng = world("stale"), np.random.default_rng(0)
    paths = [episode(scenario, seed=seed, n_slots=n) for seed, n in ((1, 3), (2, 5), (3, 1))]

    def single(path: Episode) -> Any:
        env = MultiMECEnv(scenario, episode=path)
        return env if limit is None else TimeLimit(env, max_episode_steps=limit)

    singles = SyncVectorEnv([lambda p=p: single(p) for p in paths], autoreset_mode=mode)  # type: ignore[misc]
    native = MultiMECVectorEnv(
        3, scenario, episode=paths, max_episode_steps=limit, autoreset_mode=mode
    )
    batches: tuple[Any, Any] = (native, singles)
    assert not difference(*(one.reset(seed=0) for one in batches), "reset")  # type: ignore[arg-type]
    ends = np.zeros(3, dtype=int)
    for time in range(12):
        actions = rng.integers(5, size=(3, 30))
        found, wanted = (one.step(actions) for one in batches)
        assert not difference(found, wanted, f"step {time}")
        ends += found[3]
        again = {"reset_mask": found[3]}
        if mode is AutoresetMode.DISABLED and found[3].any():
            with pytest.raises(RuntimeError, match="have ended"):
                native.step(actions)
            found, wanted = (one.reset(options=dict(again)) for one in batches)
            assert not difference(found, wanted, f"reset after step {time}")
    lengths = np.minimum([3, 5, 1], limit or 9) + (mode is AutoresetMode.NEXT_STEP)
    assert ends.tolist() == ((12 + (mode is AutoresetMode.NEXT_STEP)) // lengths).tolist()


def test_a_partial_reset_begins_a_replay_again_and_leaves_the_others() -> None:
    scenario, rng = world("stale"), np.random.default_rng(0)
    paths = [episode(scenario, seed=seed, n_slots=6) for seed in (1, 2)]
    envs = gym.make_vec(ENV_ID, num_envs=2, scenario=scenario, max_episode_steps=None)
    envs.reset(options={"episode": paths})
    for _ in range(2):
        envs.step(rng.integers(5, size=(2, 30)))
    hosts = np.array(envs.unwrapped.slot.hosts)  # type: ignore[attr-defined]
    envs.reset(options={"reset_mask": np.array([False, True])})
    slot = envs.unwrapped.slot  # type: ignore[attr-defined]
    assert (slot.gains[0] == paths[0].gains[2]).all()
    assert (slot.gains[1] == paths[1].gains[0]).all()
    assert (slot.hosts[0] == hosts[0]).all()
    assert not slot.hosts[1].any()
    with pytest.raises(ValueError, match="needs a reset of every copy"):
        envs.reset(options={"reset_mask": np.array([False, True]), "episode": paths})
    drawn = envs.reset(seed=[5, 6])[0]
    fresh = gym.make_vec(ENV_ID, num_envs=2, scenario=scenario).reset(seed=[5, 6])[0]
    assert (drawn == fresh).all()


def test_the_parallel_env_ends_where_a_recorded_episode_ends() -> None:
    scenario = world("crowd")
    servers = parallel_env(scenario, episode=episode(scenario, seed=0, n_slots=3))
    for _ in range(2):
        servers.reset(seed=1)
        for time in range(3):
            scores = {agent: np.ones(30) for agent in servers.agents}
            *_, truncations, _ = servers.step(scores)
            assert set(truncations.values()) == {time == 2}
        assert servers.agents == []


def test_behind_its_end_a_recorded_episode_stands_still() -> None:
    scenario = world("crowd")
    path = episode(scenario, seed=0, n_slots=2)
    env = MultiMECEnv(scenario, episode=path)
    env.reset()
    for time in range(4):
        assert env.step([1] * 30)[3] == (time > 0)
    assert (env.slot.gains == path.gains[-1]).all()


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("name", ["crowd", "stale", "traces"])
def test_a_state_that_does_not_fit_leaves_the_env_as_it_was(name: str, replayed: bool) -> None:
    scenario = world(name)
    path = episode(scenario, seed=5, n_slots=6)
    for make, batch in (
        (lambda **k: MultiMECEnv(scenario, **k), ()),
        (lambda **k: MultiMECVectorEnv(2, scenario, **k), (2,)),
    ):
        env: Any = make(episode=path if replayed else None)
        env.reset(seed=0)
        env.step(np.ones((*batch, 30), dtype=int))
        state, shown = env.get_state(), env.slot
        wrong: list[tuple[str, Any]] = [
            ("hosts", None),
            ("hosts", np.zeros((*batch, 29), dtype=int)),
            ("hosts", np.zeros(30, dtype=int) if batch else 1),
            ("hosts", np.full((*batch, 30), 5)),
            ("hosts", np.full((*batch, 30), -1)),
            ("hosts", np.full((*batch, 30), 1.0)),
        ]
        if replayed:
            paths, times = state["world"]["recorded"]
            other = episode(scenario.replace(migration_s=3.0), seed=0, n_slots=6)
            wrong += [
                ("recorded", ((*paths, path), times)),
                ("recorded", (paths, times[:0])),
                ("recorded", (paths, times + 0.5)),
                ("recorded", (paths, times - 9)),
                ("recorded", ([other] * len(paths), times)),
                ("recorded", ([1] * len(paths), times)),
            ]
        else:
            drift, past = state["world"]["drift"], state["world"]["past"]
            wrong += [("drift", drift | {key: array[..., None]}) for key, array in drift.items()]
            wrong += [("drift", {k: drift[k] for k in drift if k != key}) for key in drift]
            wrong += [("drift", None), ("past", [*past, np.ones((*batch, 30, 4))])]
            wrong += [("past", [gains[..., :3] for gains in past])] if past else []
            wrong += [("past", [-gains for gains in past]), ("past", past[1:])] if past else []
        for key, value in wrong:
            broken = copy.deepcopy(state)
            broken["world"][key] = value
            with pytest.raises((TypeError, ValueError)):
                env.set_state(broken)
            assert not difference(env.get_state(), state, "state")
            assert (env.slot.gains == shown.gains).all()
            assert (env.slot.hosts == shown.hosts).all()
        env.set_state(state)


def test_a_refused_episode_leaves_the_env_and_its_stream_as_they_were() -> None:
    scenario = world("stale")
    other = episode(scenario.replace(migration_s=3.0), seed=0, n_slots=3)
    for env in (MultiMECEnv(scenario), MultiMECVectorEnv(2, scenario)):
        env.reset(seed=0)
        state = env.get_state()
        for options in ({"episode": other}, {"episode": 1.5}):
            with pytest.raises((TypeError, ValueError)):
                env.reset(seed=1, options=options)
            assert not difference(env.get_state(), state, "state")


@pytest.mark.parametrize("name", ["crowd", "stale", "traces"])
def test_a_long_run_keeps_no_more_memory_than_a_short_one(name: str) -> None:
    env = MultiMECEnv(world(name), render_mode="rgb_array")  # a picture remembers, too
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    used = []
    tracemalloc.start()
    try:
        for _ in range(3):
            for _ in range(300):
                env.step(rng.integers(5, size=30))
            gc.collect()
            used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert used[2] - used[1] < 300 * 8  # not one number for each step


@pytest.mark.parametrize("kind", ["flat", "db", "raw"])
def test_the_last_of_stacked_observations_is_that_of_the_slot(kind: str) -> None:
    scenario, rng = world("stale"), np.random.default_rng(0)
    env = FrameStackObservation(gym.make(ENV_ID, scenario=scenario, observation=kind), 3)
    stacked, _ = env.reset(seed=0)
    past = [stacked[-1]] * 3
    for _ in range(4):
        stacked = env.step(rng.integers(5, size=30))[0]
        assert env.observation_space.contains(stacked)
        past = [*past[1:], stacked[-1]]
        assert (stacked == np.stack(past)).all()
        shown = slot_from_observation(scenario, stacked[-1], kind)
        assert shown.gains == pytest.approx(env.unwrapped.seen.gains, rel=1.1e-5)  # type: ignore[attr-defined]
        assert (shown.hosts == env.unwrapped.slot.hosts).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["flat", "db", "raw"])
def test_the_last_columns_of_stable_baselines3s_stack_are_those_of_the_slot(kind: str) -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    from mec_gym.envs.sb3 import make_sb3_vec_env

    scenario, rng = world("stale"), np.random.default_rng(0)
    alone = make_sb3_vec_env(scenario, n_envs=2, seed=0, observation=kind, max_episode_steps=3)
    stack = vec_env.VecFrameStack(alone, 3)
    width = alone.observation_space.shape[-1]
    past = [np.asarray(stack.reset())[..., -width:]]
    for time in range(5):
        stacked = np.asarray(stack.step(rng.integers(5, size=(2, 30)))[0])
        slot = alone.venv.unwrapped.slot
        shown = slot_from_observation(scenario, stacked[..., -width:], kind)
        assert shown.gains == pytest.approx(alone.venv.unwrapped.seen.gains, rel=1.1e-5)
        assert (shown.hosts == slot.hosts).all()
        past = [stacked[..., -width:]] if time == 2 else [*past, stacked[..., -width:]][-3:]
        begun = [np.zeros_like(past[0])] * (3 - len(past))  # before the first slot there is nothing
        assert (stacked == np.concatenate([*begun, *past], axis=-1)).all()


@pytest.mark.parametrize("name", WORLDS)
def test_checkers_are_content(name: str) -> None:
    check_offloading_env(world(name), seeds=(0,), reward="relative")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name": ({"mobility": "gauss"}, "mobility must be None, a GaussMarkov"),
    "a typo": ({"mobility": {"gaussmarkov": {}}}, "mobility must be None, a GaussMarkov"),
    "its field": ({"mobility": {"gauss_markov": {"sped_mps": 1}}}, "did you mean 'speed_mps'"),
    "shares": ({"mobility": [[0.5, None], [0.4, None]]}, "sum to 1; got 0.9"),
    "delay": ({"csi_delay_slots": -1}, "csi_delay_slots must be >= 0; got -1"),
    "correlation": ({"fading_correlation": 1.0}, r"fading_correlation must be .* \[0, 1\)"),
    "no fading": ({"fading_correlation": 0.5, "fading": "none"}, "requires fading='rayleigh'"),
    "shadowing": ({"shadowing_db": -1.0}, r"shadowing_db must lie in \[0, 40\] \[dB\]"),
    "way": ({"decorrelation_m": 0.0}, "decorrelation_m must be finite, > 0"),
    "seconds": ({"migration_s": -1.0}, "migration_s must be"),
    "slot": ({"slot_s": 0.0}, "slot_s must be finite, > 0"),
    "no pair": ({"mobility": [0.5, GaussMarkov(1.0)]}, r"must be pairs \(share, law\); got 0.5"),
    "no speed": ({"mobility": {"gauss_markov": {}}}, "as 'gauss_markov' lacks speed_mps"),
    "legs": ({"mobility": RandomWaypoint(), "slot_s": 1e9}, "slot_s must be short enough"),
    "long": ({"csi_delay_slots": 1001}, "csi_delay_slots must be an integer within 0...1000"),
    "devices": ({"mobility": Traces(np.zeros((2, 3, 2)), 1.0)}, "must hold n_devices=30 devices"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_world_cannot_be_is_refused(case: str) -> None:
    fields, message = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=message):
        Scenario.preset("paper-30x2", **fields)


def test_what_a_law_cannot_be_is_refused() -> None:
    for make, message in (
        (
            lambda: GaussMarkov(-1.0),
            r"GaussMarkov.speed_mps must be a number in \(0, 1e6\] \[m/s\]",
        ),
        (lambda: GaussMarkov(1.0, memory=1.0), r"GaussMarkov.memory must be .* \[0, 1\)"),
        (lambda: RandomWaypoint(2.0, 1.0), "requires low_mps <= high_mps"),
        (lambda: Traces(np.zeros((1, 3, 2)), 1.0), "at least 2 samples; got shape"),
        (lambda: Traces(np.full((4, 1, 2), np.nan), 1.0), "device 0 is absent in all 4 samples"),
        (lambda: Traces(np.zeros((2, 3, 2)), 0.0), "Traces.interval_s must be"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_an_episode_of_another_scenario_is_refused(tmp_path: Path) -> None:
    path = episode("crowd-30x4", seed=0, n_slots=2)
    other = {"scenario": "crowd-30x4", "migration_s": 4.0}
    with pytest.raises(ValueError, match="equal scenario; it differs in migration_s"):
        gym.make(ENV_ID, **other, episode=path)
    env = gym.make(ENV_ID, **other)
    with pytest.raises(ValueError, match="equal scenario; it differs in migration_s"):
        env.reset(options={"episode": path})
    with pytest.raises(TypeError, match="episode must be an Episode; got str"):
        env.reset(options={"episode": "path.npz"})
    vector = gym.make_vec(ENV_ID, num_envs=3, scenario="crowd-30x4")
    with pytest.raises(ValueError, match="one for each copy, 3; got 2"):
        vector.reset(options={"episode": [path, path]})
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"must be an episode that Episode\.save wrote"):
        Episode.load(tmp_path / "bad.npz")
    path.save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    for cut in (whole[:-9], whole[: len(whole) // 2], b""):
        (tmp_path / "cut.npz").write_bytes(cut)
        with pytest.raises(ValueError, match=r"must be an episode that Episode\.save wrote"):
            Episode.load(tmp_path / "cut.npz")
    with pytest.raises(FileNotFoundError):
        Episode.load(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="n_slots must be an integer >= 1"):
        episode("crowd-30x4", n_slots=0)
