"""Frozen slots and intervals."""

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from scipy import stats

from mec_gym import Scenario, Slot, Uniform, evaluate, slot_from_observation, solve
from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.evaluation import (
    SlotSet,
    decide_with,
    episode_costs,
    episode_set,
    estimate,
    hindsight_ratio,
    nrr,
    slot_set,
    steps,
)


def test_a_set_is_frozen_and_another_seed_is_another_set() -> None:
    scenario = Scenario.preset("unequal-200x10")
    first, again, other = (
        slot_set(scenario, n_layouts=2, slots_per_layout=2, seed=seed) for seed in (0, 0, 1)
    )
    for one, same, different in zip(first.slots, again.slots, other.slots, strict=True):
        np.testing.assert_array_equal(one.gains, same.gains)
        assert (one.gains != different.gains).all()
    assert first.scenarios == again.scenarios
    assert first.scenarios[0] != first.scenarios[1], "layouts must differ"
    larger = slot_set(scenario, n_layouts=3, slots_per_layout=3)
    np.testing.assert_array_equal(larger.slots[0].gains[:2], first.slots[0].gains)


def test_nrr_is_bound_over_objective() -> None:
    slots = slot_set(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=3)

    def decide(_scenario, slot, _layout, rng):  # type: ignore[no-untyped-def]
        return rng.integers(0, 3, slot.data_bits.shape)

    values = nrr(slots, decide, seed=5)
    rng = np.random.default_rng(5)
    for row, one, slot in zip(values, slots.scenarios, slots.slots, strict=True):
        decisions = rng.integers(0, 3, slot.data_bits.shape)
        for value, index in zip(row, range(3), strict=True):
            optimum = solve(one, slot[index]).lower_bound
            wanted = optimum / evaluate(one, slot[index], decisions[index]).objective
            assert value == pytest.approx(wanted, rel=1e-12)
    assert ((values > 0) & (values <= 1)).all()
    np.testing.assert_array_equal(values, nrr(slots, decide, seed=5))


@pytest.mark.parametrize("preset", ["paper-30x2", "unequal-200x10"])
def test_nrr_is_the_same_in_info_and_on_frozen_slots(preset: str) -> None:
    env = MultiMECEnv(preset, optimum=True)
    env.reset(seed=1)
    slot, choice = env.slot, np.ones(env.scenario.n_devices, dtype=np.int64)
    bound, none = np.array([[solve(env.scenario, slot).lower_bound]]), np.zeros((1, 1))
    slots = SlotSet((env.scenario,), (slot[None],), bound, none, 0.0)
    assert env.step(choice)[4]["nrr"] == nrr(slots, lambda *_: choice[None]).item()


class Watches:
    """A model that keeps what it is shown, and was trained in an env of its own."""

    def __init__(self, scenario: Scenario, kind: str) -> None:
        self.observation_space = MultiMECEnv(scenario, observation=kind).observation_space
        self.shown: list[Any] = []
        self.n_devices = scenario.n_devices

    def predict(self, observation: Any, **_: Any) -> tuple[Any, Any]:
        self.shown.append(observation)
        return np.zeros((len(observation), self.n_devices), dtype=int), None


@pytest.mark.parametrize("kind", ["db", "raw", "flat"])
@pytest.mark.parametrize("bits", [8e5, Uniform(5e5, 9e5)])
def test_a_model_is_shown_what_its_own_space_says(bits: Any, kind: str) -> None:
    scenario = Scenario(n_devices=3, n_servers=2, data_bits=bits)
    other = scenario.replace(data_bits=Uniform(6e5, 8e5)) if bits != 8e5 else scenario
    model, slots = Watches(other, kind), slot_set(scenario, n_layouts=1, slots_per_layout=2)
    found = nrr(slots, decide_with(model))
    np.testing.assert_array_equal(found, nrr(slots, decide_with(model, kind)))
    np.testing.assert_array_equal(*model.shown)
    model.observation_space = Box(0.0, 1.0, (3, 2))
    with pytest.raises(ValueError, match=r"of a kind 'flat', 'db', 'raw'; got Box\(0.0, 1.0"):
        nrr(slots, decide_with(model))


class Counts:
    """A recurrent model that sends all devices to server 1 in its first slot, then to server 2."""

    def __init__(self, n_devices: int) -> None:
        self.n_devices = n_devices
        self.starts: list[list[bool]] = []

    def predict(
        self, observation: Any, state: Any, episode_start: Any, deterministic: bool
    ) -> tuple[Any, Any]:
        assert deterministic
        self.starts.append(episode_start.tolist())
        passed = np.where(episode_start, 0, 0 if state is None else state[0])
        choice = np.where(passed == 0, 1, 2)
        return np.repeat(choice[:, None], self.n_devices, axis=1), (passed + 1,)


def test_a_memory_lasts_an_episode_and_no_longer() -> None:
    moving = Scenario.preset("crowd-30x4")
    episodes = episode_set(moving, n_episodes=2, n_slots=4)
    model = Counts(30)
    decide = decide_with(model, "flat")
    for _ in range(2):
        decisions = [step.assignment for step in steps(episodes, decide)]
        assert (np.stack(decisions) == np.array([1, 2, 2, 2])[:, None, None]).all()
    assert model.starts == ([[True] * 2] + [[False] * 2] * 3) * 2
    still, model = (
        slot_set(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=3),
        Counts(30),
    )
    nrr(still, decide_with(model, "flat"))
    assert model.starts == [[True] * 3] * 2


def test_an_episode_costs_in_the_env_what_it_costs_in_the_set() -> None:
    scenario = Scenario.preset("crowd-30x4", csi_delay_slots=2)
    episodes = episode_set(scenario, n_episodes=2, n_slots=5)

    def follow(_scenario: Scenario, slot: Slot, *_: Any) -> Any:
        return 1 + slot.gains.argmax(axis=-1)

    costs = episode_costs(episodes, follow)
    for one, wanted in zip(episodes.episodes, costs, strict=True):
        env = MultiMECEnv(scenario, episode=one)
        seen, _ = env.reset()
        for cost in wanted:
            slot = slot_from_observation(scenario, seen)
            seen, _, _, _, info = env.step(follow(scenario, slot))
            assert info["objective"] == pytest.approx(cost, rel=1e-12)
    ratio = hindsight_ratio(episodes, follow)
    np.testing.assert_allclose(ratio, episodes.lower_bound / costs.sum(axis=1))
    first = hindsight_ratio(episodes[:1], follow)
    np.testing.assert_allclose(first, ratio[:1], rtol=1e-12)


def test_the_interval_is_students_over_layouts() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.01, (8, 5))
    ours = estimate(values)
    theirs = stats.ttest_1samp(values.mean(axis=1), 0.0).confidence_interval(0.95)
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert np.isnan(estimate(values[:1]).low)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = sum(
        (e := estimate(rng.normal(0.0, 1.0, (6, 1)) + rng.normal(0.0, 0.3, (6, 4)))).low
        <= 0.0
        <= e.high
        for _ in range(1000)
    )
    # Five standard deviations of a binomial count with n = 1000, p = 0.95.
    assert abs(hits - 950) < 5 * np.sqrt(1000 * 0.95 * 0.05)


@pytest.mark.parametrize("sizes", [{"n_layouts": 0}, {"slots_per_layout": 0}])
def test_sizes_must_be_positive(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be an integer >= 1"):
        slot_set(Scenario.preset("paper-30x2"), **sizes)


def test_a_model_that_asks_for_masks_gets_them() -> None:
    class Masked:
        def predict(
            self, observation: Any, action_masks: Any = None, deterministic: bool = False
        ) -> tuple[Any, Any]:
            legal = np.asarray(action_masks).reshape(len(observation), 30, 3)
            return legal.argmax(axis=-1), None

    scenario = Scenario.preset("paper-30x2", local_frequency_hz=[2e9] * 5 + [1e9] * 25)
    slots = slot_set(scenario, n_layouts=1, slots_per_layout=2)
    # Local where it is legal, else server 1.
    expected = nrr(slots, lambda *_: np.tile([1] * 5 + [0] * 25, (2, 1)))
    assert (nrr(slots, decide_with(Masked())) == expected).all()


def test_a_model_of_stacked_observations_sees_the_slots_before() -> None:
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.vec_env import VecFrameStack

    from mec_gym.envs.sb3 import make_sb3_vec_env

    scenario = Scenario.preset("crowd-30x4")
    envs = VecFrameStack(make_sb3_vec_env(scenario, n_envs=1), 3)
    seen: list[np.ndarray] = []

    class Stacked:
        observation_space = envs.observation_space

        def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
            seen.append(observation.copy())
            return np.ones((len(observation), 30), dtype=int), None

    episodes = episode_set(scenario, n_episodes=1, n_slots=4)
    hindsight_ratio(episodes, decide_with(Stacked()))
    env = MultiMECEnv(scenario, episode=episodes.episodes[0])
    frames = [env.reset()[0], *(env.step(np.ones(30, dtype=int))[0] for _ in range(3))]
    nothing = np.zeros_like(frames[0])
    for time, observation in enumerate(seen):
        expected = ([nothing] * 3 + frames[: time + 1])[-3:]
        assert (observation[0] == np.concatenate(expected)).all()


@pytest.mark.parametrize("stacked", [False, True])
def test_a_model_whose_env_normalises_is_shown_what_that_shows(stacked: bool) -> None:
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

    from mec_gym.envs.sb3 import make_sb3_vec_env

    normal = VecNormalize(make_sb3_vec_env("paper-30x2", n_envs=8, seed=0))
    normal.reset()
    for _ in range(20):
        normal.step(np.zeros((8, 30), dtype=int))
    envs = VecFrameStack(normal, 2) if stacked else normal
    seen: list[np.ndarray] = []

    class Normalised:
        observation_space = envs.observation_space

        def get_vec_normalize_env(self) -> VecNormalize:
            return normal

        def predict(self, observation: Any, deterministic: bool = False) -> tuple[Any, Any]:
            seen.append(observation)
            return np.zeros((len(observation), 30), dtype=int), None

    slots = slot_set(Scenario.preset("paper-30x2"), n_layouts=1, slots_per_layout=3)
    nrr(slots, decide_with(Normalised()))
    coded = ObservationCoder(slots.scenarios[0], "flat").encode(slots.slots[0])
    expected = (coded - normal.obs_rms.mean) / np.sqrt(normal.obs_rms.var + normal.epsilon)
    assert np.allclose(seen[0][:, -60:], np.clip(expected, -10, 10), atol=1e-5)
