"""The native vector env against Gymnasium's own batches of single envs, bit for bit."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import FlattenObservation, RecordEpisodeStatistics, TransformReward

from mec_gym import Outcome, Scenario, Uniform
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv

ID = "mec_gym/MultiMEC-v0"
MODES = list(AutoresetMode)
SCENARIOS = {
    "fixed": Scenario(n_devices=6, n_servers=2),
    "redrawn": Scenario(n_devices=5, n_servers=2, layout="redrawn", device_positions="gaussian"),
    "tasks": Scenario(
        n_devices=4,
        n_servers=3,
        data_bits=Uniform(1e5, 9e5),
        cycles=Uniform(5e8, 2e9),
        server_frequency_hz=(5e9, 1e10, 2e10),
        noise_w=1e-6,
    ),
    "redrawn tasks": Scenario(
        n_devices=4, n_servers=2, layout="redrawn", cycles=Uniform(5e8, 2e9), fading="none"
    ),
    "must offload": Scenario(
        n_devices=4, n_servers=2, max_power_w=(0.5, 1.5, 0.5, 1.5), layout="redrawn"
    ),
    "one": Scenario(n_devices=1, n_servers=1),
}


def same(left: Any, right: Any) -> None:
    """Assert equality of structure, types and every bit."""
    assert data_equivalence(left, right, exact=True), f"\n{left}\nis not\n{right}"


def pair(
    scenario: Any, mode: AutoresetMode, n: int = 3, steps: int = 5, **options: Any
) -> tuple[MultiMECVectorEnv, SyncVectorEnv]:
    def make() -> Any:
        return gym.make(ID, scenario=scenario, max_episode_steps=steps, **options)

    native = gym.make_vec(
        ID,
        num_envs=n,
        scenario=scenario,
        max_episode_steps=steps,
        autoreset_mode=mode.value,
        **options,
    )
    assert type(native.unwrapped) is MultiMECVectorEnv
    return native.unwrapped, SyncVectorEnv([make] * n, autoreset_mode=mode)


def decisions(scenario: Scenario, rng: np.random.Generator, n: int) -> Any:
    least = np.where(scenario.can_execute_locally, 0, 1)
    return rng.integers(least, scenario.n_servers + 1, (n, scenario.n_devices))


def walk(
    native: Any, sync: Any, steps: int = 23, seed: int = 0, look: Callable[[], None] | None = None
) -> None:
    """Reset and step both, with staggered episodes, list seeds, None among them and masks."""
    scenario, n = native.scenario, native.num_envs
    mode = native.metadata["autoreset_mode"]
    rng = np.random.default_rng(seed)
    same(native.reset(seed=seed), sync.reset(seed=seed))
    for step in range(steps):
        if step in (2, 9, 13):
            mask = rng.random(n) < 0.5
            mask[step % n] = True
            seeds: Any = {2: None, 9: [None, 5, 6, 7][:n], 13: 40}[step]
            same(
                native.reset(seed=seeds, options={"reset_mask": mask.copy()}),
                sync.reset(seed=seeds, options={"reset_mask": mask.copy()}),
            )
        if step == 17:
            same(native.reset(seed=[3, None, 3, 4][:n]), sync.reset(seed=[3, None, 3, 4][:n]))
        if step == 20:
            same(native.reset(options={}), sync.reset(options={}))
        actions = decisions(scenario, rng, n)
        got, wanted = native.step(actions), sync.step(actions)
        same(got, wanted)
        assert native.observation_space.contains(got[0])
        if look:
            look()
        ended = got[2] | got[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            same(
                native.reset(options={"reset_mask": ended.copy()}),
                sync.reset(options={"reset_mask": ended.copy()}),
            )


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("optimum", [False, True])
@pytest.mark.parametrize("name", SCENARIOS)
def test_equals_sync(name: str, optimum: bool, mode: AutoresetMode) -> None:
    walk(*pair(SCENARIOS[name], mode, optimum=optimum))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("reward", ["relative", "negative"])
@pytest.mark.parametrize("observation", ["raw", "flat"])
def test_equals_sync_with_every_option(observation: str, reward: str, mode: AutoresetMode) -> None:
    for name in ("tasks", "must offload"):
        walk(*pair(SCENARIOS[name], mode, n=4, steps=3, observation=observation, reward=reward))


def slowest(outcome: Outcome) -> Any:
    return -outcome.latency_s.max(-1)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize(
    "reward",
    [
        slowest,
        lambda outcome: -outcome.energy_j.sum(-1),
        lambda outcome: np.log(outcome.objective) + outcome.allocation.power_w.mean(-1),
        lambda outcome: outcome.objective,
    ],
)
def test_a_function_as_reward_equals_sync(reward: Any, mode: AutoresetMode) -> None:
    for name in ("tasks", "must offload"):
        walk(*pair(SCENARIOS[name], mode, n=4, steps=3, reward=reward))


@pytest.mark.parametrize(("n", "steps"), [(1, 1), (1, 4), (2, 1), (3, 100)])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_equals_sync_for_edge_sizes(mode: AutoresetMode, n: int, steps: int) -> None:
    walk(*pair(SCENARIOS["redrawn"], mode, n=n, steps=steps))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_pictures_equal_sync(mode: AutoresetMode) -> None:
    pytest.importorskip("pygame")
    native, sync = pair(
        SCENARIOS["redrawn"], mode, n=2, steps=2, render_mode="rgb_array", optimum=True
    )
    assert native.render_mode == sync.render_mode == "rgb_array"

    def look() -> None:
        got, wanted = native.render(), sync.render()
        assert isinstance(got, tuple)
        same(got, wanted)

    walk(native, sync, steps=8, look=look)


def test_spaces_and_metadata_equal_sync() -> None:
    for mode in MODES:
        native, sync = pair(SCENARIOS["tasks"], mode)
        for name in (
            "observation_space",
            "action_space",
            "single_observation_space",
            "single_action_space",
        ):
            assert getattr(native, name) == getattr(sync, name)
        assert native.metadata["autoreset_mode"] is mode
        native.action_space.seed(3)
        sync.action_space.seed(3)
        same(native.action_space.sample(), sync.action_space.sample())


def test_generators_equal_sync() -> None:
    native, sync = pair(SCENARIOS["fixed"], AutoresetMode.NEXT_STEP)
    assert len(native.np_random) == len(native.np_random_seed) == 3
    native.reset(seed=[4, 9, 2])
    sync.reset(seed=[4, 9, 2])
    assert native.np_random_seed == tuple(sync.np_random_seed) == (4, 9, 2)
    for one, other in zip(native.np_random, sync.np_random, strict=True):
        assert one.bit_generator.state == other.bit_generator.state
    native.reset(seed=[None, 1, None])
    assert native.np_random_seed == (4, 1, 2)
    assert len({rng.random() for rng in native.np_random}) == 3


def test_without_a_seed_copies_differ_and_so_do_envs() -> None:
    first = MultiMECVectorEnv(3, SCENARIOS["fixed"]).reset()[0]
    second = MultiMECVectorEnv(3, SCENARIOS["fixed"]).reset()[0]
    assert len({one.tobytes() for one in (*first, *second)}) == 6


def test_no_time_limit() -> None:
    for limit in (None, -1):
        envs = MultiMECVectorEnv(2, SCENARIOS["one"], max_episode_steps=limit)
        envs.reset(seed=0)
        for _ in range(150):
            assert not envs.step([[0], [1]])[3].any()
    assert gym.make_vec(ID, num_envs=1, scenario="paper-30x2").unwrapped.max_episode_steps == 100


def test_results_are_new_and_free() -> None:
    """Overwriting whatever was returned changes nothing that comes."""
    for mode in MODES:
        clean, _ = pair(SCENARIOS["redrawn tasks"], mode, steps=2, optimum=True)
        spoilt, _ = pair(SCENARIOS["redrawn tasks"], mode, steps=2, optimum=True)
        rng = np.random.default_rng(0)
        got, wanted = spoilt.reset(seed=0), clean.reset(seed=0)
        for _ in range(9):
            same(got, wanted)
            overwrite(got)
            actions = decisions(clean.scenario, rng, 3)
            got, wanted = spoilt.step(actions), clean.step(actions)
            ended = wanted[3].copy()
            if mode is AutoresetMode.DISABLED and ended.any():
                same(got, wanted)
                overwrite(got)
                got = spoilt.reset(options={"reset_mask": ended})
                wanted = clean.reset(options={"reset_mask": ended})


def overwrite(value: Any) -> None:
    if isinstance(value, np.ndarray):
        assert value.flags.writeable
        value[...] = None if value.dtype == object else 1
    elif isinstance(value, dict):
        for entry in value.values():
            overwrite(entry)
        value.clear()
    elif isinstance(value, tuple):
        for entry in value:
            overwrite(entry)


# -- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_autoreset_mode_by_enum_name_and_value(mode: AutoresetMode) -> None:
    for given in (mode, mode.name, mode.value):
        envs = gym.make_vec(ID, num_envs=1, scenario="paper-30x2", autoreset_mode=given)
        assert envs.metadata["autoreset_mode"] is mode
        assert envs.unwrapped.autoreset_mode is mode  # where TorchRL looks


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'SAME_STEP'"):
        MultiMECVectorEnv(1, "paper-30x2", autoreset_mode="SAME_STP")
    for number in (0, -3):
        with pytest.raises(ValueError, match="num_envs"):
            MultiMECVectorEnv(number, "paper-30x2")
    for number in (True, 1.0, "2"):
        with pytest.raises(TypeError, match="num_envs"):
            MultiMECVectorEnv(number, "paper-30x2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_episode_steps"):
        MultiMECVectorEnv(1, "paper-30x2", max_episode_steps=0)
    with pytest.raises(ValueError, match="render_mode"):
        MultiMECVectorEnv(1, "paper-30x2", render_mode="human")
    with pytest.raises(TypeError, match="did you mean 'noise_w'"):
        gym.make_vec(ID, num_envs=1, scenario="paper-30x2", noise=1e-6)


@pytest.mark.parametrize(
    ("mask", "error", "word"),
    [
        ([True, False, True], TypeError, "array"),
        (np.array([1, 0, 1]), TypeError, "bool"),
        (np.array([True, False]), ValueError, "shape"),
        (np.zeros(3, dtype=bool), ValueError, "True"),
    ],
)
def test_wrong_masks_are_refused(mask: Any, error: type[Exception], word: str) -> None:
    native, sync = pair(SCENARIOS["fixed"], AutoresetMode.NEXT_STEP)
    # Gymnasium asserted before 1.4.
    for envs, errors in ((native, error), (sync, (error, AssertionError))):
        envs.reset(seed=0)
        with pytest.raises(errors):
            envs.reset(options={"reset_mask": mask})
    with pytest.raises(error, match=word):
        native.reset(options={"reset_mask": mask})
    rng = np.random.default_rng(0)
    actions = decisions(native.scenario, rng, 3)
    same(native.step(actions), sync.step(actions))


def test_wrong_seeds_are_refused() -> None:
    envs = MultiMECVectorEnv(3, SCENARIOS["fixed"])
    with pytest.raises(ValueError, match="num_envs=3"):
        envs.reset(seed=[1, 2])
    with pytest.raises(gym.error.Error):
        envs.reset(seed=[1, 2, -1])


@pytest.mark.parametrize("integer", [np.int64, np.uint8])
def test_seeds_of_numpy_are_those_of_python(integer: Any) -> None:
    single, envs = MultiMECEnv(SCENARIOS["one"]), MultiMECVectorEnv(2, SCENARIOS["one"])
    wanted, (first, _) = envs.reset(seed=3)[0], single.reset(seed=3)
    np.testing.assert_array_equal(single.reset(seed=integer(3))[0], first)
    for seed in (integer(3), np.array([3, 4], integer), [integer(3), 4]):
        np.testing.assert_array_equal(envs.reset(seed=seed)[0], wanted)
    for wrong in (3.0, "34"):
        with pytest.raises(TypeError, match="seed must be an integer, or a list"):
            envs.reset(seed=wrong)  # type: ignore[arg-type]


def test_a_partial_reset_cannot_come_first() -> None:
    envs = MultiMECVectorEnv(2, SCENARIOS["fixed"])
    with pytest.raises(ValueError, match="first reset"):
        envs.reset(options={"reset_mask": np.array([True, False])})


def test_before_the_first_reset_nothing_goes() -> None:
    envs = MultiMECVectorEnv(2, SCENARIOS["fixed"])
    with pytest.raises(RuntimeError, match="reset"):
        envs.step(np.ones((2, 6), dtype=int))
    with pytest.raises(RuntimeError, match="reset"):
        _ = envs.slot


def test_disabled_refuses_ended_copies() -> None:
    native, _ = pair(SCENARIOS["fixed"], AutoresetMode.DISABLED, n=2, steps=2)
    actions = np.ones((2, 6), dtype=int)
    native.reset(seed=0)
    native.step(actions)
    native.reset(options={"reset_mask": np.array([True, False])})
    assert native.step(actions)[3].tolist() == [False, True]
    state = native.get_state()
    with pytest.raises(RuntimeError, match=r"\[1\]"):
        native.step(actions)
    assert repr(native.get_state()) == repr(state)
    native.reset(options={"reset_mask": np.array([False, True])})
    native.step(actions)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64", ">i8", ">u2"]
)
def test_integer_dtypes_are_accepted_in_every_slot(dtype: str) -> None:
    """Across the end of an episode too, where some rows are not read."""
    for mode in MODES[:2]:
        envs, sync = pair(SCENARIOS["fixed"], mode, n=2, steps=2)
        envs.reset(seed=0)
        sync.reset(seed=0)
        rng = np.random.default_rng(1)
        for _ in range(6):
            actions = decisions(envs.scenario, rng, 2)
            same(envs.step(actions.astype(dtype)), sync.step(actions))
            same(envs.step(actions.tolist()), sync.step(actions))


def test_wrong_actions_are_refused_and_leave_no_trace() -> None:
    scenario = SCENARIOS["must offload"]
    for mode in MODES:
        envs, sync = pair(scenario, mode, n=3, steps=4)
        rng = np.random.default_rng(0)
        envs.reset(seed=0)
        sync.reset(seed=0)
        for _ in range(3):
            good = decisions(scenario, rng, 3)
            wrong: list[Any] = [good * 1.0, good > 0, good[:2], good[0], good[..., None], None, 1]
            wrong += [good[:, :-1], np.full(good.shape, np.nan), [["a"] * 4] * 3, []]
            for value in (-1, 3, 0, np.iinfo(np.int64).max, np.iinfo(np.int64).min):
                bad = good.copy()
                bad[2, 0] = value
                wrong.append(bad)
            before = repr(envs.get_state())
            for actions in wrong:
                with pytest.raises((TypeError, ValueError)):
                    envs.step(actions)
                assert repr(envs.get_state()) == before
            same(envs.step(good), sync.step(good))


def test_actions_of_copies_that_begin_anew_are_not_read() -> None:
    envs, sync = pair(SCENARIOS["must offload"], AutoresetMode.NEXT_STEP, n=2, steps=2)
    envs.reset(seed=0)
    sync.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(2):
        actions = decisions(envs.scenario, rng, 2)
        same(envs.step(actions), sync.step(actions))
    junk = np.full((2, 4), -7)
    same(envs.step(junk), sync.step(junk))
    for _ in range(2):
        actions = decisions(envs.scenario, rng, 2)
        same(envs.step(actions), sync.step(actions))


def test_action_masks_per_copy() -> None:
    scenario = SCENARIOS["must offload"]
    masks = MultiMECVectorEnv(3, scenario).action_masks()
    assert masks.shape == (3, 4 * 3)
    assert (masks.reshape(3, 4, 3)[:, :, 0] == scenario.can_execute_locally).all()
    assert masks.reshape(3, 4, 3)[:, :, 1:].all()


# -- around it --------------------------------------------------------------------------------


def test_vector_wrappers() -> None:
    envs = gym.make_vec(ID, num_envs=2, scenario="paper-30x2", max_episode_steps=3)
    wrapped = RecordEpisodeStatistics(TransformReward(envs, lambda rewards: 2 * rewards))
    wrapped.reset(seed=0)
    total = np.zeros(2)
    for _ in range(3):
        _, rewards, _, truncated, infos = wrapped.step(np.ones((2, 30), dtype=int))
        total += rewards
    assert truncated.all()
    np.testing.assert_allclose(infos["episode"]["r"], total)
    assert infos["episode"]["l"].tolist() == [3, 3]
    flat = FlattenObservation(gym.make_vec(ID, num_envs=2, scenario="paper-30x2", observation="db"))
    direct = gym.make_vec(ID, num_envs=2, scenario="paper-30x2")
    same(flat.reset(seed=0)[0], direct.reset(seed=0)[0])
    assert flat.observation_space == direct.observation_space


def test_make_vec_of_single_envs() -> None:
    sync = gym.make_vec(
        ID, num_envs=2, vectorization_mode="sync", scenario="paper-30x2", noise_w=1e-6
    )
    native = gym.make_vec(ID, num_envs=2, scenario="paper-30x2", noise_w=1e-6)
    same(native.reset(seed=5), sync.reset(seed=5))
    assert native.spec is not None
    again = gym.make_vec(native.spec)
    same(again.reset(seed=5), native.reset(seed=5))


class Maker:
    """Makes the env in a worker that has not imported mec_gym."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def __call__(self) -> Any:
        return gym.make(f"mec_gym:{ID}", max_episode_steps=3, **self.options)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_async_equals_native(context: str) -> None:
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {context} here")
    options: dict[str, Any] = {"scenario": "paper-30x2", "noise_w": 1e-6, "optimum": True}
    native = gym.make_vec(ID, num_envs=2, max_episode_steps=3, **options)
    apart = AsyncVectorEnv([Maker(options)] * 2, context=context)
    try:
        same(native.reset(seed=3), apart.reset(seed=3))
        rng = np.random.default_rng(0)
        for _ in range(8):
            actions = decisions(native.unwrapped.scenario, rng, 2)
            same(native.step(actions), apart.step(actions))
    finally:
        apart.close()


def test_close_twice() -> None:
    envs = MultiMECVectorEnv(2, "paper-30x2", render_mode="rgb_array")
    envs.reset(seed=0)
    envs.close()
    envs.close()
