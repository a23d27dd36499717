"""DROO decides by the cheapest candidate, learns from it, and goes on exactly."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from baselines import DROO
from baselines.learners.droo import LINKS
from baselines.learners.quantisation import order_preserving
from mec_gym import ENV_ID, GaussMarkov, Scenario, Uniform, evaluate, slot_from_observation
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

SMALL = Scenario(n_devices=4, n_servers=2, name="small")
TASKS = SMALL.replace(cycles=Uniform(5e8, 1.5e9), name="tasks")
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=[0.5, 1.5, 1.5, 0.5], name="forced")
"""The first and the last device cannot execute locally."""
MOVING = SMALL.replace(mobility=GaussMarkov(speed_mps=5.0), migration_s=0.1, name="moving")
NETWORKS = ("MlpPolicy", "LinkPolicy")


def batch(scenario: Any = SMALL, n_envs: int = 3, **changes: Any) -> Any:
    return make_sb3_vec_env(scenario, n_envs=n_envs, max_episode_steps=5, **changes)


def make_model(policy: Any = "MlpPolicy", env: Any = None, **changes: Any) -> DROO:
    settings = {"batch_size": 8, "seed": 0, "device": "cpu"} | changes
    return DROO(policy, batch() if env is None else env, **settings)


def assert_same(one: DROO, other: DROO) -> None:
    mine, theirs = one.policy.state_dict(), other.policy.state_dict()
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name


# -- decisions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", NETWORKS)
@pytest.mark.parametrize("scenario", [SMALL, TASKS, FORCED, MOVING], ids=lambda one: one.name)
def test_no_candidate_is_cheaper_than_the_decision(policy: str, scenario: Scenario) -> None:
    env = batch(scenario)
    model = make_model(policy, env, n_candidates=9, delta=None).learn(30)
    observations = env.reset()
    slots = slot_from_observation(scenario, observations)
    with torch.no_grad():
        scores = model.policy.scores(slots).double().numpy()
    decisions = evaluate(scenario, slots, model.predict(observations)[0]).objective
    candidates = order_preserving(scores, 9)
    prices = [evaluate(scenario, slots, candidates[:, k]).objective for k in range(9)]
    np.testing.assert_allclose(decisions, np.min(prices, axis=0), rtol=1e-12)


@pytest.mark.parametrize("policy", NETWORKS)
def test_more_candidates_never_cost_more(policy: str) -> None:
    env = batch(TASKS, 20)
    observations, file = env.reset(), io.BytesIO()
    slots = slot_from_observation(TASKS, observations)
    make_model(policy, env).save(file)
    costs = []
    for count in (1, 2, 4, 8, 13):
        file.seek(0)
        model = DROO.load(file, n_candidates=count, device="cpu")
        costs.append(evaluate(TASKS, slots, model.predict(observations)[0]).objective)
    assert (np.diff(costs, axis=0) <= 0.0).all()
    assert (costs[0] > costs[-1]).any()


def test_noise_adds_candidates_and_takes_none_away() -> None:
    env = batch(TASKS, 20)
    model, observations = make_model("LinkPolicy", env, n_candidates=5), env.reset()
    noise = np.random.default_rng(0).standard_normal((20, TASKS.n_devices, TASKS.n_servers + 1))
    alone, both = model.policy.decide(observations), model.policy.decide(observations, noise)
    np.testing.assert_array_equal(both.objective[:, :5], alone.objective)
    assert both.objective.shape == (20, 10)
    slots = slot_from_observation(TASKS, observations)
    paid = evaluate(TASKS, slots, both.assignment).objective
    np.testing.assert_allclose(paid, both.objective.min(axis=1), rtol=1e-12)
    assert (paid < alone.objective.min(axis=1)).any()


@pytest.mark.slow
def test_noise_mends_an_order_that_confirms_itself() -> None:
    # These first weights rank links the wrong way round: all that is cheaper is to stay.
    scenario = Scenario.preset("bandlimited-200x10")
    slots = slot_set(scenario, own_layout=True, n_layouts=5, seed=77)
    reached = {}
    for noise in (0.0, 1.0):
        env = make_sb3_vec_env(scenario, n_envs=16, seed=3)
        model = DROO(env=env, seed=3, device="cpu", **LINKS | {"noise": noise}).learn(1_000)
        reached[noise] = nrr(slots, decide_with(model)).mean()
    assert reached[1.0] > 0.98 > 0.9 > reached[0.0]


def test_a_large_batch_is_decided_like_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    model, observations = make_model(), batch(n_envs=7).reset()
    expected = model.predict(observations)[0]
    monkeypatch.setattr("baselines.learners.droo_policy._ENTRIES", 40)
    np.testing.assert_array_equal(model.predict(observations)[0], expected)
    alone = [model.predict(one)[0] for one in observations]
    np.testing.assert_array_equal(alone, expected)


def test_links_may_come_in_any_order() -> None:
    model = make_model("LinkPolicy", batch(TASKS), n_candidates=13)
    observations = batch(TASKS, 10).reset().reshape(10, 4, 3)
    order = np.array([2, 0, 3, 1])
    decisions, _ = model.predict(observations)
    moved, _ = model.predict(observations[:, order])
    np.testing.assert_array_equal(moved, decisions[:, order])


@pytest.mark.parametrize("count", [1, 13])
@pytest.mark.parametrize("policy", NETWORKS)
def test_devices_that_must_offload_do(policy: str, count: int) -> None:
    env = batch(FORCED)
    model = make_model(policy, env, n_candidates=count).learn(60)
    decisions, _ = model.predict(batch(FORCED, 50, seed=3).reset())
    assert (decisions[:, [0, 3]] > 0).all()
    assert np.isfinite(model.logger.name_to_value.get("train/loss", 0.0))


def test_observations_that_are_no_numbers_are_refused() -> None:
    model = make_model()
    observation = batch().reset()
    observation[1, 2] = np.nan
    with pytest.raises(ValueError, match="observation must be finite"):
        model.predict(observation)


# -- learning -------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", NETWORKS)
def test_it_learns_to_propose_what_pricing_finds(policy: str) -> None:
    # Each device has its own server next to it and another out of reach.
    scenario = Scenario(
        n_devices=2,
        n_servers=2,
        server_positions=[[0, 0], [50, 50]],
        device_positions=[[1, 0], [49, 50]],
        noise_w=1e-6,
        server_frequency_hz=2e10,
        name="two corners",
    )
    model = make_model(policy, batch(scenario, 8), n_candidates=7, delta=None, seed=2).learn(800)
    slots = slot_set(scenario, own_layout=True, n_layouts=10, seed=77)
    model.policy.candidates.fill_(1)
    assert nrr(slots, decide_with(model)).mean() > 0.99


def test_the_network_learns_from_prices_alone() -> None:
    scenario = Scenario.preset("paper-30x2")
    slots = slot_set(scenario, own_layout=True, n_layouts=5, seed=77)
    # With one candidate there is nothing to choose from, and nothing to learn but oneself.
    reached = {}
    for count in (1, 30):
        env = make_sb3_vec_env(scenario, n_envs=8)
        model = make_model(env=env, n_candidates=count, batch_size=64, seed=1).learn(1_000)
        model.policy.candidates.fill_(1)
        reached[count] = nrr(slots, decide_with(model)).mean()
    assert reached[30] > 0.97
    assert reached[30] > reached[1] + 0.05


@pytest.mark.parametrize("n_envs", [1, 3, 16])
def test_as_many_gradient_steps_whatever_the_copies(n_envs: int) -> None:
    model = make_model(env=batch(n_envs=n_envs), train_interval=7).learn(48)
    assert model._n_updates == 48 // 7
    assert model.memory.size == model.num_timesteps


class Places(BaseCallback):
    """Keeps K and the place of each decision."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[int] = []
        self.counts: list[int] = []

    def _on_step(self) -> bool:
        decisions = self.locals["decisions"]
        count = decisions.objective.shape[1] // (2 if self.model.noise else 1)
        self.places += (decisions.place % count).tolist()
        self.counts.append(count)
        return True


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_number_of_candidates_follows_the_places_as_in_the_paper(noise: float) -> None:
    seen = Places()
    settings = {"n_candidates": 6, "delta": 4, "learning_rate": 0.1, "noise": noise}
    make_model(env=batch(TASKS, 1), **settings).learn(200, seen)
    expected = [6] * 4
    for end in range(4, 200, 4):
        largest = max(1 + place for place in seen.places[end - 4 : end])
        expected += [min(largest + 1, 6)] * 4
    assert seen.counts == expected
    assert len(set(expected)) > 2


def test_the_memory_holds_the_last_slots_and_their_decisions() -> None:
    class Kept(BaseCallback):
        def _on_step(self) -> bool:
            self.pairs = getattr(self, "pairs", [])
            mine = zip(
                self.locals["observations"], self.locals["decisions"].assignment, strict=True
            )
            self.pairs += [(one.copy(), list(decision)) for one, decision in mine]
            return True

    kept = Kept()
    model = make_model(buffer_size=10).learn(36, kept)
    observations, assignments = model.memory.sample(200, np.random.default_rng(0)).values()
    last = {one.tobytes(): decision for one, decision in kept.pairs[-10:]}
    assert {one.tobytes() for one in observations} == set(last)
    for one, decision in zip(observations, assignments, strict=True):
        assert last[one.tobytes()] == list(decision)


def test_weights_that_are_no_numbers_stop_training() -> None:
    model = make_model().learn(9)
    with torch.no_grad():
        next(model.policy.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=r"no longer numbers.* at slot 9"):
        model.learn(9, reset_num_timesteps=False)
    with pytest.raises(FloatingPointError, match="not saved"):
        model.save(io.BytesIO())


# -- files and envs -------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [TASKS, MOVING], ids=lambda one: one.name)
@pytest.mark.parametrize("policy", NETWORKS)
def test_training_goes_on_as_if_it_had_never_stopped(
    policy: str, scenario: Scenario, tmp_path: Path
) -> None:
    settings = {"delta": 8, "buffer_size": 20, "n_candidates": 12, "noise": 0.5}
    whole = make_model(policy, batch(scenario, seed=1), **settings).learn(33)
    whole.save(tmp_path / "model")
    again = DROO.load(
        tmp_path / "model", env=batch(scenario, seed=9), force_reset=False, device="cpu"
    )
    assert again._places == whole._places
    whole.learn(30, reset_num_timesteps=False)
    again.learn(30, reset_num_timesteps=False)
    assert_same(again, whole)
    assert again.num_timesteps == whole.num_timesteps == 63
    assert again._n_updates == whole._n_updates
    np.testing.assert_array_equal(again._last_obs, whole._last_obs)


def test_a_model_comes_back_without_an_env(tmp_path: Path) -> None:
    model = make_model("LinkPolicy", batch(TASKS), policy_kwargs={"width": 8}).learn(40)
    model.save(tmp_path / "model", exclude=["training"])
    again = DROO.load(tmp_path / "model", device="cpu")
    assert_same(again, model)
    observations = batch(TASKS, 9).reset()
    np.testing.assert_array_equal(again.predict(observations)[0], model.predict(observations)[0])
    with pytest.raises(ValueError, match="needs an env"):
        again.learn(1)


def test_a_ring_of_another_size_goes_on(tmp_path: Path) -> None:
    make_model(buffer_size=8).learn(21).save(tmp_path / "model")
    again = DROO.load(tmp_path / "model", env=batch(), buffer_size=40, device="cpu")
    again.learn(6, reset_num_timesteps=False)
    assert again.memory.size == 8 + 6
    observations = again.memory.sample(200, np.random.default_rng(0))["observations"]
    assert len({one.tobytes() for one in observations}) == 14
    with pytest.raises(ValueError, match="buffer_size must hold the file's 8 slots; got 4"):
        DROO.load(tmp_path / "model", buffer_size=4)


def test_links_decide_for_any_number_of_devices_and_servers(tmp_path: Path) -> None:
    make_model("LinkPolicy", batch(TASKS)).learn(30).save(tmp_path / "links")
    larger = TASKS.replace(n_devices=7, n_servers=3)
    model = DROO.load(tmp_path / "links", env=batch(larger), device="cpu")
    assert model.predict(batch(larger).reset())[0].shape == (3, 7)
    assert model.learn(6, reset_num_timesteps=False).memory.size == 6
    make_model("MlpPolicy", batch(TASKS)).save(tmp_path / "whole")
    with pytest.raises(ValueError, match=r"N=4 devices, M=2 servers.* N=7, M=3"):
        DROO.load(tmp_path / "whole", env=batch(larger))
    with pytest.raises(ValueError, match="hosts"):
        DROO.load(tmp_path / "links", env=batch(MOVING.replace(cycles=TASKS.cycles)))


@pytest.mark.parametrize("exclude", [(), ("training",)], ids=["whole", "weights alone"])
def test_all_candidates_of_a_file_are_all_there_are_elsewhere(
    exclude: tuple[str, ...], tmp_path: Path
) -> None:
    model = make_model("LinkPolicy", batch(TASKS), delta=8).learn(60)
    left = int(model.policy.candidates)
    model.save(tmp_path / "links", exclude=exclude)
    assert left < 13
    larger = batch(TASKS.replace(n_devices=7))
    for env, expected in ((None, left), (batch(TASKS), left), (larger, 1 + 7 * 3)):
        again = DROO.load(tmp_path / "links", env=env, device="cpu")
        assert int(again.policy.candidates) == expected
    assert int(DROO.load(tmp_path / "links", larger, n_candidates=2).policy.candidates) == 2


@pytest.mark.parametrize("policy", NETWORKS)
def test_another_scenario_is_priced_as_it_is_and_learned_anew(policy: str) -> None:
    model = make_model(policy, batch(SMALL), n_candidates=13, delta=8).learn(60)
    slow = SMALL.replace(server_frequency_hz=1e7)
    model.set_env(batch(slow))
    assert model.memory.size == 0
    assert int(model.policy.candidates) == 13
    decisions, _ = model.predict(batch(slow, 20).reset())
    assert (decisions == 0).all()
    model.learn(6)


def test_the_network_sees_tasks_in_the_units_of_the_scenario_at_hand() -> None:
    model, other = make_model(env=batch(TASKS)), TASKS.replace(cycles=Uniform(1e9, 1e10))
    model.set_env(batch(other))
    observations = batch(other).reset()
    seen = model.policy.seen(slot_from_observation(other, observations))
    np.testing.assert_allclose(seen, observations, atol=1e-5)


def test_what_moves_is_said() -> None:
    assert make_model().remark == ""
    assert "by each slot alone" in make_model(env=batch(MOVING)).remark
    stale = make_model(env=batch(MOVING.replace(migration_s=0.0, csi_delay_slots=2))).remark
    assert "gains that are 2 slots old" in stale
    assert "alone" not in stale


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_candidates": 0}, "n_candidates must be an integer >= 1; got 0"),
        ({"delta": 0.5}, "delta must be an integer >= 1; got 0.5"),
        ({"train_interval": 0}, "train_interval must be an integer >= 1; got 0"),
        ({"noise": -1.0}, "noise must be a number in .0, inf.; got -1.0"),
        ({"batch_size": None}, "batch_size must be an integer >= 1; got None"),
        ({"buffer_size": True}, "buffer_size must be an integer >= 1; got True"),
        ({"learning_rate": -1.0}, "learning_rate must be a number in .0, inf.; got -1.0"),
        ({"policy_kwargs": {"net_arch": [0]}}, "each width in net_arch must be"),
        ({"policy_kwargs": {"width": 3}}, "unexpected policy_kwargs of WholePolicy 'width'"),
        ({"policy": "CnnPolicy"}, "policy must be one of 'MlpPolicy', 'LinkPolicy'"),
        ({"policy": dict}, "subclass of DROOPolicy"),
    ],
)
def test_arguments_that_no_training_could_use(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make_model(**changes)


def test_envs_that_it_cannot_read_or_act_in() -> None:
    with pytest.raises(ValueError, match="env is needed"):
        DROO()
    with pytest.raises(TypeError, match="take assignments"):
        DROO(env=make_sb3_vec_env(SMALL, scores=True))
    with pytest.raises(ValueError, match="as they are; VecNormalize changes them"):
        DROO(env=VecNormalize(batch()))
    with pytest.raises(TypeError, match="MultiMEC env"):
        DROO(env=gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="N=4 devices"):
        make_model().set_env(batch(SMALL.replace(n_devices=5)))


def _lacking(content: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    first, *others = place
    if not others:
        return {name: value for name, value in content.items() if name != first}
    return content | {first: _lacking(content[first], tuple(others))}


@pytest.mark.parametrize(
    "place",
    [
        *(("training", name) for name in ("optimizer", "generator", "counters", "own")),
        ("training", "counters", "_n_updates"),
        ("training", "own", "memory"),
        ("hyperparameters", "learning_rate"),
    ],
    ids="/".join,
)
def test_a_file_that_lacks_something_is_named(place: tuple[str, ...], tmp_path: Path) -> None:
    make_model().learn(9).save(tmp_path / "model.zip")
    content = _lacking(DROO._read(tmp_path / "model.zip"), place)
    DROO.file_format.write(tmp_path / "model.zip", content)
    with pytest.raises(ValueError, match=rf"model\.zip is damaged, .*: it lacks '{place[-1]}'"):
        DROO.load(tmp_path / "model.zip")


@pytest.mark.parametrize("given", [3, {"learning_rate": 0.1, "colour": 3}])
def test_a_file_with_the_settings_of_another_class_is_named(given: Any, tmp_path: Path) -> None:
    make_model().save(tmp_path / "model.zip")
    content = DROO._read(tmp_path / "model.zip") | {"hyperparameters": given}
    DROO.file_format.write(tmp_path / "model.zip", content)
    with pytest.raises(ValueError, match=r"model\.zip is damaged, or another release wrote it"):
        DROO.load(tmp_path / "model.zip")


def test_a_file_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    from baselines import GreedyOffloading

    GreedyOffloading(gym.make(ENV_ID, scenario=SMALL)).save(tmp_path / "greedy")
    with pytest.raises(ValueError, match="DROO model"):
        DROO.load(tmp_path / "greedy")
