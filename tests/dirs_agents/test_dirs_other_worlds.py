"""A model that meets another scenario, other kinds of input, or a face without admission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mec_gym
from dirs_agents import DIRS, options
from mec_gym import Uniform
from mec_gym.evaluation import decide_with, nrr, slot_set
from tests.dirs_agents.dirs_helpers import SMALL, TASKS, make_env, make_model


def test_labels_of_another_scenario_are_forgotten(tmp_path: Path) -> None:
    noisier = SMALL.replace(noise_w=1e-6)
    model = make_model().learn(6)
    model.save(tmp_path / "model")
    assert model.replay_buffer.size > 8
    model.set_env(make_env(noisier))
    loaded = DIRS.load(tmp_path / "model", env=make_env(noisier), device="cpu")
    for other in (model, loaded):
        assert other.replay_buffer.size == 0
        assert not other.pretrained
        updates = other._n_updates
        other.learn(1)
        assert other.replay_buffer.n_demonstrations == 8
        assert other._n_updates > updates
    same = DIRS.load(tmp_path / "model", env=make_env(SMALL), device="cpu")
    assert same.replay_buffer.size > 8
    assert same.pretrained


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_columns_are_compared_by_what_they_hold(policy: str, tmp_path: Path) -> None:
    bits = SMALL.replace(data_bits=Uniform(4e5, 1.2e6))
    cycles = SMALL.replace(cycles=Uniform(5e8, 1.5e9))
    model = make_model(policy, make_env(bits))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"\['data_bits'\].*\['cycles'\]"):
        model.set_env(make_env(cycles))
    with pytest.raises(ValueError, match=r"\['data_bits'\].*\['cycles'\]"):
        DIRS.load(tmp_path / "model", env=make_env(cycles))


def test_a_loaded_buffer_is_learned_from_as_it_is(tmp_path: Path) -> None:
    first = make_model().learn(6)
    first.save_replay_buffer(tmp_path / "buffer")
    again = make_model()
    again.load_replay_buffer(tmp_path / "buffer")
    again.learn(1)
    assert again.replay_buffer.size == first.replay_buffer.size + 1
    first.save(tmp_path / "model")
    with pytest.raises(ValueError, match="no replay buffer"):
        again.load_replay_buffer(tmp_path / "model")


def test_a_buffer_of_another_system_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    # Vectors of as many entries, of fewer devices and more servers.
    other = SMALL.replace(n_devices=SMALL.n_servers, n_servers=SMALL.n_devices,
                          server_positions=[(10.0, 10.0)] * SMALL.n_devices)  # fmt: skip
    make_model(env=make_env(other, observation="flat")).learn(6).save_replay_buffer(tmp_path / "b")
    model = make_model(env=make_env(SMALL, observation="flat")).learn(6)
    before = model.replay_buffer.get_state()
    with pytest.raises(ValueError, match=r"the state holds .* pairs with assignments of shape"):
        model.load_replay_buffer(tmp_path / "b")
    for name, kept in model.replay_buffer.get_state().items():
        np.testing.assert_array_equal(kept, before[name])


def test_another_seed_at_load_restarts_the_generator(tmp_path: Path) -> None:
    make_model(seed=1).learn(6).save(tmp_path / "model")
    kept, fresh = (DIRS.load(tmp_path / "model", **change) for change in ({}, {"seed": 5}))
    assert fresh.rng.bit_generator.state == np.random.default_rng(5).bit_generator.state
    assert kept.rng.bit_generator.state != fresh.rng.bit_generator.state


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_observations_of_other_types_decide_the_same(policy: str) -> None:
    env = make_env(TASKS)
    model = make_model(policy, env)
    observation, _ = env.reset(seed=4)
    wanted, _ = model.predict(observation)
    for other in (observation.astype(np.float64), observation.tolist()):
        np.testing.assert_array_equal(model.predict(other)[0], wanted)
    broken = observation.copy()
    broken[1] = np.nan
    with pytest.raises(ValueError, match=r"finite|NaN"):
        model.predict(broken)
    if policy != "CentralPolicy":
        with pytest.raises(ValueError, match="finite"):
            model.agent(1).scores(np.full(model.agent(1).size, np.nan))


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_energy_may_have_no_weight(policy: str) -> None:
    scenario = SMALL.replace(weight_energy=0.0)
    env = make_env(scenario)
    model = make_model(policy, env).learn(12)
    decision, _ = model.predict(env.reset(seed=1)[0])
    assert env.step(decision)[4]["objective"] > 0.0


def test_an_agent_knows_nothing_of_other_servers() -> None:
    scenario = TASKS.replace(server_frequency_hz=[1e10, 3e10, 2e10])
    model = make_model("PricePolicy", make_env(scenario))
    agent = model.agent(2)
    assert agent.scenario.n_servers == 1
    assert agent.scenario.server_frequencies_hz.tolist() == [3e10]
    assert agent.bank.coder.scenario == agent.scenario


def face_nrr(model: DIRS, preset: str, **agent: Any) -> float:
    par = mec_gym.parallel_env(scenario=preset, max_cycles=None, optimum=True)
    observations, _ = par.reset(seed=3)
    agents = [model.agent(j + 1, **agent) for j in range(model.scenario.n_servers)]
    found = []
    for _ in range(10):
        scores = {
            f"mec_{j}": one.scores(observations[f"mec_{j}"]) for j, one in enumerate(agents, 1)
        }
        observations, _, _, _, infos = par.step(scores)
        found.append(infos["mec_1"]["nrr"])
    return float(np.mean(found))


def test_agents_without_admission_are_right_where_the_vote_is_final() -> None:
    env = make_env("unequal-200x10")
    model = DIRS(env=env, seed=0, **options("prices", n_demonstrations=32)).learn(0)
    final = face_nrr(model, "unequal-200x10", admission=False)
    assert final > face_nrr(model, "unequal-200x10") + 0.02
    assert final > 0.98
    assert not model.agent(1, admission=False).admission
    assert model.agent(1).admission
    slots = slot_set(model.scenario, own_layout=True, n_layouts=2, slots_per_layout=5)
    assert nrr(slots, decide_with(model)).mean() > final
    with pytest.raises(ValueError, match="PricePolicy"):
        make_model("EnsemblePolicy").agent(1, admission=True)


def test_algorithm_3_takes_its_steps_on_one_minibatch() -> None:
    for resample, wanted in ((False, 1), (True, 4)):
        model = make_model(demonstrations="none", train_interval=100, train_steps=4)
        model.resample = resample
        drawn: list[int] = []
        sample = model.replay_buffer.sample

        def watched(count: int, rng: Any, drawn: list[int] = drawn, sample: Any = sample) -> Any:
            drawn.append(count)
            return sample(count, rng)

        model.replay_buffer.sample = watched  # type: ignore[method-assign]
        model.learn(1)
        assert len(drawn) == wanted
        assert model._n_updates == 4
