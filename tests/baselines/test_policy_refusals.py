"""What a policy refuses: envs that it cannot read, observations and files that are not its own."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from baselines import (
    GreedyOffloading,
    LocalExecution,
    PostedPrices,
    QuotaOffloading,
    RemoteOffloading,
)
from mec_gym import ENV_ID, ScoreAction
from mec_gym.envs.sb3 import SB3VecEnv, make_sb3_vec_env


def single(scenario: Any = "paper-30x2", **changes: Any) -> gym.Env[Any, Any]:
    return gym.make(ENV_ID, scenario=scenario, **changes)


def vectorised(**changes: Any) -> SB3VecEnv:
    return make_sb3_vec_env("paper-30x2", n_envs=2, **changes)


class Same(gym.ObservationWrapper[Any, Any, Any]):
    """Changes values, not the space."""

    def observation(self, observation: Any) -> Any:
        return observation + 1.0


UNREADABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "VecNormalize": (lambda: VecNormalize(vectorised()), "VecNormalize.*norm_obs=False"),
    "VecNormalize below VecMonitor": (
        lambda: VecMonitor(VecNormalize(vectorised())),
        "VecNormalize.*norm_obs=False",
    ),
    "VecFrameStack": (lambda: VecFrameStack(vectorised(), 2), "instead of Box"),
    "flattened": (lambda: gym.wrappers.FlattenObservation(single()), "ObservationWrapper"),
    "rescaled": (lambda: Same(single()), "ObservationWrapper"),
    "rescaled in a DummyVecEnv": (
        lambda: DummyVecEnv([lambda: Same(single())]),
        "ObservationWrapper",
    ),
    "normalised": (
        lambda: gym.wrappers.NormalizeObservation(single()),
        "ObservationWrapper",
    ),
    "stacked": (lambda: gym.wrappers.FrameStackObservation(single(), 2), "instead of Box"),
    "several scenarios": (
        lambda: DummyVecEnv([single, lambda: single(noise_w=1e-6)]),
        "share one scenario.*copy 1",
    ),
    "several maps": (
        lambda: DummyVecEnv([single, lambda: single(layout_seed=1)]),
        "share one scenario.*copy 1",
    ),
}


@pytest.mark.parametrize("name", list(UNREADABLE))
def test_an_env_that_does_not_show_its_slots_is_refused(name: str) -> None:
    make, message = UNREADABLE[name]
    with pytest.raises(ValueError, match=message):
        GreedyOffloading(make())
    model = GreedyOffloading(single())
    with pytest.raises(ValueError, match=message):
        model.set_env(make())
    assert model.predict(single().reset(seed=0)[0])[0].shape == (30,)


def test_normalised_rewards_do_no_harm() -> None:
    env = VecNormalize(vectorised(), norm_obs=False)
    model = GreedyOffloading(env)
    assert model.get_vec_normalize_env() is env
    assert model.learn(4).num_timesteps == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gym.make("CartPole-v1"), "must be a MultiMEC env.*gymnasium.make"),
        (lambda: ScoreAction(single()), r"MultiDiscrete\(\[3\] \* 30\).*ScoreAction"),
        (lambda: vectorised(scores=True), r"MultiDiscrete\(\[3\] \* 30\).*scores=True"),
    ],
)
def test_another_kind_of_env_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        LocalExecution(make())


def test_a_vector_env_of_gymnasium_is_taken() -> None:
    envs = gym.make_vec(ENV_ID, num_envs=2, scenario="paper-30x2")
    assert LocalExecution(envs).learn(4).num_timesteps == 4


def test_without_an_env_nothing_is_done(tmp_path: Path) -> None:
    model = LocalExecution()
    for call in (
        lambda: model.predict(np.zeros((30, 2))),
        lambda: model.learn(1),
        lambda: model.save(tmp_path / "x"),
    ):
        with pytest.raises(RuntimeError, match=r"needs an env: give one to LocalExecution\(env\)"):
            call()
    model.set_env(single())
    assert model.learn(2).num_timesteps == 2


@pytest.mark.parametrize("shape", [(30, 3), (61,), (31, 2), (2,), ()])
def test_an_observation_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"30 devices and 2 servers.*observation='flat'"):
        LocalExecution(single()).predict(np.zeros(shape))


def test_an_observation_that_is_not_finite_is_refused() -> None:
    observation = single().reset(seed=0)[0]
    observation[0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        LocalExecution(single()).predict(observation)


@pytest.mark.parametrize("kind", ["raw", "db"])
def test_values_that_no_env_shows_are_refused(kind: str, tmp_path: Path) -> None:
    scenario = {"n_devices": 30, "n_servers": 2, "cycles": {"uniform": [5e8, 2e9]}}
    model = GreedyOffloading(single(scenario, observation=kind))
    normalised = VecNormalize(make_sb3_vec_env(scenario, n_envs=8, observation=kind))
    observations = normalised.reset()
    for _ in range(5):
        observations = normalised.step(np.ones((8, 30), dtype=int))[0]
    model.save(tmp_path / "kept")
    for policy in (model, GreedyOffloading.load(tmp_path / "kept")):
        assert policy.predict(normalised.get_original_obs())[0].shape == (8, 30)
        with pytest.raises(ValueError, match=r"within the env's space.*VecNormalize"):
            policy.predict(observations)


def test_the_nearest_server_of_another_map_is_refused() -> None:
    model = RemoteOffloading(single("paper-200x10"))
    assert model.predict(single("paper-200x10").reset(seed=0)[0])[0].shape == (200,)
    other, _ = single("paper-200x10", layout_seed=1).reset(seed=0)
    with pytest.raises(ValueError, match="own map"):
        model.predict(other)
    assert GreedyOffloading(single("paper-200x10")).predict(other)[0].shape == (200,)


def test_an_env_of_other_sizes_is_refused(tmp_path: Path) -> None:
    model = GreedyOffloading(single())
    model.save(tmp_path / "kept")
    message = r"30 devices and 2 servers.*got 180 and 8"
    with pytest.raises(ValueError, match=message):
        model.set_env(single("paper-180x8"))
    with pytest.raises(ValueError, match=message):
        GreedyOffloading.load(tmp_path / "kept", env=single("paper-180x8"))


def test_another_scenario_of_the_same_sizes_takes_over(tmp_path: Path) -> None:
    GreedyOffloading(single()).save(tmp_path / "kept")
    other = single(noise_w=1e-6)
    observation, _ = other.reset(seed=0)
    moved = GreedyOffloading.load(tmp_path / "kept", env=other)
    expected, _ = GreedyOffloading(other).predict(observation)
    np.testing.assert_array_equal(moved.predict(observation)[0], expected)


@pytest.mark.parametrize(
    ("policy", "arguments", "message"),
    [
        (QuotaOffloading, {"quota": 31}, r"quota must be an integer within 0\.\.\.30; got 31"),
        (QuotaOffloading, {"quota": -1}, "quota must be an integer >= 0"),
        (QuotaOffloading, {"quota": 2.0}, "quota must be an int"),
        (QuotaOffloading, {"n_tuning_slots": 0}, "n_tuning_slots must be an integer >= 1"),
        (PostedPrices, {"prices": [1.0]}, "2 servers"),
        (PostedPrices, {"prices": [[1.0, 1.0]]}, "one axis"),
        (PostedPrices, {"prices": [1.0, -1.0]}, "finite and >= 0"),
        (PostedPrices, {"discount": 0.0}, "discount must be"),
        (RemoteOffloading, {"by": "sight"}, "by must be"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    policy: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        policy(single(), **arguments)


# -- files -----------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    QuotaOffloading(single(), quota=3).save(tmp_path / "kept")
    return tmp_path / "kept.zip"


def test_a_saved_policy_holds_no_pickle(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist() == ["policy.json"]
        assert json.loads(archive.read("policy.json"))["algorithm"] == "QuotaOffloading"


def test_a_truncated_or_damaged_file_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for size in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"(no archive|not a saved policy), or damaged"):
            QuotaOffloading.load(saved)
    for place in range(0, len(whole), 5):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        saved.write_bytes(flipped)
        try:
            loaded = QuotaOffloading.load(saved)
        except ValueError:
            continue
        assert loaded.size == 3, f"byte {place} changed what was saved"


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    PPO("MlpPolicy", single(observation="flat"), n_steps=2, batch_size=2, device="cpu").save(
        tmp_path / "ppo"
    )
    (tmp_path / "text.zip").write_text("{}")
    GreedyOffloading(single()).save(tmp_path / "greedy")
    for name, message in (
        ("ppo", "not a saved policy"),
        ("text", "no archive, or damaged"),
        ("greedy", "holds a 'GreedyOffloading', not a QuotaOffloading"),
    ):
        with pytest.raises(ValueError, match=message):
            QuotaOffloading.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        QuotaOffloading.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("scenario"), "not a saved policy"),
        (lambda c: c.update(format="else"), "not a saved policy"),
        (lambda c: c.update(version=2), "version 2"),
        (lambda c: c.update(observation="pixels"), "damaged"),
        (lambda c: c["scenario"].update(n_devices=-3), "its scenario is refused"),
        (lambda c: c["state"].pop("size"), "must hold the state"),
        (lambda c: c["state"].update(extra=1), "must hold the state"),
        (lambda c: c["state"].update(size=31, quota=None), r"within 0\.\.\.30"),
        (lambda c: c["state"].update(size="many", quota=None), "must be an int"),
        (lambda c: c["state"].update(seed="x"), "does not hold a usable"),
        (lambda c: c["state"].update(num_timesteps="x"), "damaged"),
        (lambda c: c.update(state=[]), "must hold the state"),
    ],
)
def test_a_file_with_other_contents_is_refused(
    saved: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    with zipfile.ZipFile(saved) as archive:
        content = json.loads(archive.read("policy.json"))
    change(content)
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("policy.json", json.dumps(content))
    with pytest.raises(ValueError, match=message):
        QuotaOffloading.load(saved)
