"""The official checkers without a warning, and the project's own, which must catch broken envs."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mec_gym import Outcome, Scenario, ScoreAction, Uniform
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.testing import CHECKS, ConformanceError, Report, check_offloading_env

ID = "mec_gym/MultiMEC-v0"
PRESETS = [name for name in Scenario.presets() if not name.startswith("metro")]
SMALL = Scenario(n_devices=6, n_servers=2)
USERS = Scenario(
    n_devices=7,
    n_servers=3,
    area_m=(120.0, 40.0),
    noise_w=1e-6,
    data_bits=Uniform(1e5, 9e5),
    cycles=[1e9, 2e9, 3e9, 4e9, 5e9, 6e9, 7e9],
    max_power_w=[0.5, 1.5, 1.5, 0.2, 1.5, 1.5, 1.5],
    weight_energy=[0.0, 1.0, 2.0, 3.0, 0.5, 1.0, 1.0],
    server_frequency_hz=[5e9, 1e10, 2e10],
    device_positions="levy",
    layout="redrawn",
    name="a user's",
)
STILL = Scenario(n_devices=3, n_servers=1, fading="none", name="nothing random")


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def official(env: gym.Env[Any, Any]) -> None:
    check_env(env, skip_render_check=True)


# -- the official ones ------------------------------------------------------------------------


@pytest.mark.parametrize("optimum", [False, True])
@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
@pytest.mark.parametrize("observation", ["db", "raw", "flat"])
def test_gymnasium_check_of_every_option(observation: str, reward: str, optimum: bool) -> None:
    for one in (USERS.replace(max_power_w=1.5), SMALL):
        env = gym.make(ID, scenario=one, observation=observation, reward=reward, optimum=optimum)
        official(env.unwrapped)


def test_gymnasium_check_draws_in_every_render_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    check_env(gym.make(ID, scenario="paper-30x2").unwrapped)


def test_a_city_runs() -> None:
    env = gym.make(ID, scenario="metro-10000x100", observation="flat")
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert info["objective"] == pytest.approx(2e4)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert reward == 1 / info["objective"]
    assert info["devices_per_server"].sum() == info["n_offloaded"]


def sb3_check(env: gym.Env[Any, Any]) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(env)
    with warnings.catch_warnings():
        # Scores are the paper's, from 0 to 1; Stable-Baselines3 rescales them for its actors.
        warnings.filterwarnings("ignore", message=".*symmetric and normalized Box action space")
        checker.check_env(ScoreAction(env))


@pytest.mark.parametrize("name", PRESETS)
def test_sb3_check_of_every_preset(name: str) -> None:
    sb3_check(gym.make(ID, scenario=name, observation="flat"))


@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
def test_sb3_check_of_every_reward(reward: str) -> None:
    for optimum in (False, True):
        sb3_check(gym.make(ID, scenario=SMALL, observation="flat", reward=reward, optimum=optimum))


# -- the project's own ------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_conform(name: str) -> None:
    report = check_offloading_env(name, seeds=[0, 1], steps=10)
    assert "vector" in report.checks


@pytest.mark.parametrize("seeds", [np.arange(2), map(int, "01")])
def test_seeds_may_be_any_collection(seeds: Any) -> None:
    report = check_offloading_env(SMALL, seeds=seeds, steps=2, checks=["spaces"])
    assert [type(seed) for seed in report.seeds] == [int, int]


@pytest.mark.slow
@pytest.mark.parametrize("observation", ["db", "raw", "flat"])
@pytest.mark.parametrize("name", PRESETS)
def test_presets_conform_with_optimum(name: str, observation: str) -> None:
    reward = {"db": "reciprocal", "raw": "relative", "flat": "negative"}[observation]
    check_offloading_env(
        name, seeds=[3, 8], steps=10, observation=observation, reward=reward, optimum=True
    )


OWN = pytest.mark.parametrize("scenario", [USERS, SMALL, STILL], ids=lambda one: one.name)


def least_energy(outcome: Outcome) -> Any:
    return -outcome.energy_j.sum(-1)


@pytest.mark.parametrize(
    ("observation", "reward"),
    [("db", "reciprocal"), ("raw", "relative"), ("flat", "negative"), ("db", least_energy)],
)
@OWN
def test_users_scenarios_conform(scenario: Scenario, observation: str, reward: Any) -> None:
    pytest.importorskip("pettingzoo")
    report = check_offloading_env(
        scenario, observation=observation, reward=reward, optimum=True, seeds=[4], steps=6
    )
    assert report.checks == tuple(CHECKS)
    assert report.skipped == ()


@pytest.mark.slow
@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
@pytest.mark.parametrize("observation", ["db", "raw", "flat"])
@OWN
def test_users_scenarios_conform_at_length(
    scenario: Scenario, observation: str, reward: str
) -> None:
    check_offloading_env(
        scenario, observation=observation, reward=reward, optimum=True, seeds=[0, 5]
    )


def test_report_says_what_ran() -> None:
    report = check_offloading_env(
        SMALL, seeds=(4, 2), episodes=1, steps=3, checks=["state", "info"]
    )
    assert report == Report("custom", ("state", "info"), (), (4, 2), report.steps)
    assert report.steps == 2 * 3 + 2 * 2 * 3
    assert check_offloading_env(SMALL, checks=["optimum"]).skipped == (
        "optimum: it needs optimum=True",
    )


def test_an_env_of_ones_own_is_checked_and_left_alone() -> None:
    env = gym.make(ID, scenario=USERS, observation="raw", reward="negative", optimum=True)
    env.reset(seed=3)
    before = env.unwrapped.get_state()
    report = check_offloading_env(env, seeds=[0], steps=6)
    assert {"reward", "slot", "optimum"} <= set(report.checks)
    assert repr(env.unwrapped.get_state()) == repr(before)
    bare = MultiMECEnv(SMALL, reward="relative")
    check_offloading_env(bare, seeds=[0], steps=4, reward="relative")
    with pytest.raises(ConformanceError, match="'reward'"):
        check_offloading_env(bare, seeds=[0], steps=4, checks=["reward"])


def test_nonsense_is_refused() -> None:
    with pytest.raises(TypeError, match="MultiMECEnv"):
        check_offloading_env(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="did you mean 'reward'"):
        check_offloading_env(checks=["rewards"])
    for arguments in ({"seeds": []}, {"steps": 0}, {"episodes": 0}):
        with pytest.raises(ValueError, match="at least one"):
            check_offloading_env(**arguments)


def test_error_survives_a_pickle_and_names_the_place() -> None:
    error = ConformanceError("info", "key lost", 3, 0)
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.check, twin.message, twin.seed, twin.step) == ("info", "key lost", 3, 0)
    assert str(twin) == str(error) == "check 'info' failed: key lost (seed 3, step 0)"


# -- broken envs ------------------------------------------------------------------------------


class SharedBuffer(MultiMECEnv):
    """Gives the same observation array at every call."""

    def _shared(self, observation: Any) -> Any:
        if not hasattr(self, "_buffer"):
            self._buffer = np.array(observation)
        self._buffer[...] = observation
        return self._buffer

    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        return self._shared(observation), info

    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return (self._shared(observation), *rest)


class ViewOfState(MultiMECEnv):
    """Hands out an array that it goes on using."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest, info = super().step(action)
        self._log = getattr(self, "_log", np.zeros(3))
        self._log[0] += 1.0
        info["log"] = self._log[:]
        return (observation, reward + 0.0 * self._log[0], *rest, info)

    def reset(self, **kwargs: Any) -> Any:
        self._log = np.zeros(3)
        observation, info = super().reset(**kwargs)
        return observation, info | {"log": self._log[:]}


class SeedIgnored(MultiMECEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(options=options)


class AlwaysTheSameSeed(MultiMECEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=0, options=options)


class StreamRestarts(MultiMECEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._last = getattr(self, "_last", 0) if seed is None else seed
        return super().reset(seed=self._last, options=options)


class StreamLost(MultiMECEnv):
    """Takes fresh entropy where no seed is given."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is None:
            self.np_random = np.random.default_rng()
        return super().reset(seed=seed, options=options)


class KeyMissingOnReset(MultiMECEnv):
    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        del info["n_offloaded"]
        return observation, info


class TypeChangesOnStep(MultiMECEnv):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return (*rest, info | {"n_offloaded": float(info["n_offloaded"])})


class EvaluateDraws(MultiMECEnv):
    def evaluate(self, assignments: Any) -> Any:
        self.np_random.random()
        return super().evaluate(assignments)


class EvaluateMovesOn(MultiMECEnv):
    def evaluate(self, assignments: Any) -> Any:
        outcome = super().evaluate(assignments)
        self._simulator.world.advance([self.np_random])
        return outcome


class RewardOff(MultiMECEnv):
    """Off by the last bit."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return (observation, float(np.nextafter(reward, 1.0)), *rest)


class RewardIsArray(MultiMECEnv):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return (observation, np.float32(reward), *rest)


class OutsideSpace(MultiMECEnv):
    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return (observation + np.float32(1e6), *rest)


class DoublePrecision(MultiMECEnv):
    def reset(self, **kwargs: Any) -> Any:
        observation, info = super().reset(**kwargs)
        return observation.astype(np.float64), info


class BlurredObservation(MultiMECEnv):
    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return ((observation + np.float32(1e-4)), *rest)


class Ends(MultiMECEnv):
    def step(self, action: Any) -> Any:
        observation, reward, _, _, info = super().step(action)
        return observation, reward, True, False, info


class RoundsActions(MultiMECEnv):
    def step(self, action: Any) -> Any:
        return super().step(np.clip(np.asarray(action, dtype=np.int64), 0, 2))


class DrawsBeforeRefusing(MultiMECEnv):
    def step(self, action: Any) -> Any:
        self.np_random.random()
        return super().step(action)


class MasksEverything(MultiMECEnv):
    def action_masks(self) -> Any:
        return ~super().action_masks()


class ForgetsItsStream(MultiMECEnv):
    def set_state(self, state: Any) -> None:
        generator = copy.deepcopy(self.np_random.bit_generator.state)
        super().set_state(state)
        self.np_random.bit_generator.state = generator


class CopiesStartAnew(MultiMECEnv):
    def __deepcopy__(self, memo: Any) -> Any:
        twin = type(self)(self.scenario)
        twin.reset(seed=0)
        return twin


class CountsPerEnv(MultiMECEnv):
    """Differs from the vector env and from the PettingZoo env, not from itself."""

    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return (*rest, info | {"latency_s": 2 * info["latency_s"]})


class PathFollowsDecisions(MultiMECEnv):
    """Draws once more for those who offload."""

    def step(self, action: Any) -> Any:
        if np.any(action):
            self.np_random.random()
        return super().step(action)


class NextEpisodeFollowsDecisions(MultiMECEnv):
    def step(self, action: Any) -> Any:
        self._sum = getattr(self, "_sum", 0) + int(np.sum(action))
        return super().step(action)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=getattr(self, "_sum", 0) if seed is None else seed)


class NothingIsReplayed(MultiMECEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=seed)


class ReplayForEver(MultiMECEnv):
    """Goes on behind the end of a recorded episode."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, False, info


class ReplayStays(MultiMECEnv):
    """Shows a recorded episode again where nobody asked for it."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._kept = (options or {}).get("episode", getattr(self, "_kept", None))
        return super().reset(seed=seed, options={"episode": self._kept})


class WrongOptimum(MultiMECEnv):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return (*rest, info | {"lower_bound": 2 * info["objective"]})


BROKEN: list[tuple[type[MultiMECEnv], str]] = [
    (SharedBuffer, "fresh"),
    (ViewOfState, "fresh"),
    (SeedIgnored, "determinism"),
    (AlwaysTheSameSeed, "determinism"),
    (StreamRestarts, "determinism"),
    (StreamLost, "determinism"),
    (KeyMissingOnReset, "info"),
    (TypeChangesOnStep, "info"),
    (EvaluateDraws, "evaluate"),
    (EvaluateMovesOn, "evaluate"),
    (RewardOff, "reward"),
    (RewardIsArray, "spaces"),
    (OutsideSpace, "spaces"),
    (DoublePrecision, "spaces"),
    (Ends, "spaces"),
    (BlurredObservation, "slot"),
    (RoundsActions, "refusals"),
    (DrawsBeforeRefusing, "refusals"),
    (MasksEverything, "masks"),
    (ForgetsItsStream, "state"),
    (CopiesStartAnew, "copies"),
    (PathFollowsDecisions, "path"),
    (NextEpisodeFollowsDecisions, "path"),
    (NothingIsReplayed, "replay"),
    (ReplayForEver, "replay"),
    (ReplayStays, "replay"),
    (CountsPerEnv, "vector"),
    (CountsPerEnv, "pettingzoo"),
    (CountsPerEnv, "evaluate"),
    (WrongOptimum, "optimum"),
]


@pytest.mark.parametrize(("broken", "check"), BROKEN, ids=lambda one: getattr(one, "__name__", one))
def test_broken_envs_are_caught(broken: type[MultiMECEnv], check: str) -> None:
    if check == "pettingzoo":
        pytest.importorskip("pettingzoo")
    env = broken(SMALL, optimum=True)
    options: dict[str, Any] = {"optimum": True, "seeds": [0, 1], "steps": 8}
    check_offloading_env(MultiMECEnv(SMALL, optimum=True), checks=[check], **options)
    with pytest.raises(ConformanceError) as caught:
        check_offloading_env(env, checks=[check], **options)
    assert caught.value.check == check
    assert str(caught.value).startswith(f"check {check!r} failed: ")
    with pytest.raises(ConformanceError):
        check_offloading_env(env, **options)
