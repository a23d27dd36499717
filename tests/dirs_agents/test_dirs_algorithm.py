"""Algorithm 1's bookkeeping, hyper-parameters in use, and what the logger gets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from dirs_agents import DIRS, demonstration_slots
from dirs_agents.columns import ColumnCoder
from mec_gym import ENV_ID, Scenario, evaluate, slot_from_observation, solve, vote
from mec_gym.envs.sb3 import make_sb3_vec_env
from tests.dirs_agents.dirs_helpers import (
    FORCED,
    SMALL,
    TASKS,
    assert_same_weights,
    differ,
    make_env,
    make_model,
    observations_of,
    slots_of,
)

# -- how often things happen --------------------------------------------------------------------


def copies_of(n_envs: int, scenario: Any = SMALL) -> Any:
    return make_sb3_vec_env(scenario, n_envs=n_envs, max_episode_steps=5)


@pytest.mark.parametrize("n_envs", [1, 4])
@pytest.mark.parametrize(
    ("train_interval", "refine_interval"), [(1, None), (3, None), (10, None), (5, 2), (2, 7)]
)
def test_steps_and_pairs_are_what_algorithm_1_says(
    n_envs: int, train_interval: int, refine_interval: int | None
) -> None:
    slots, steps = 24, 2
    model = make_model(
        env=copies_of(n_envs),
        train_interval=train_interval,
        refine_interval=refine_interval,
        train_steps=steps,
        buffer_size=200,
    )
    model.learn(slots)
    assert model.num_timesteps == slots
    # Slots t = 0 ... T - 1 with t mod φ = 0.
    trained = sum(1 for t in range(slots) if t % train_interval == 0)
    refined = sum(1 for t in range(slots) if t % (refine_interval or train_interval) == 0)
    assert model._n_updates == 3 + steps * trained
    assert model.replay_buffer.n_demonstrations == 8
    assert model.replay_buffer.size == 8 + refined


@pytest.mark.parametrize(("n_envs", "slots", "passed"), [(1, 7, 7), (4, 7, 8), (4, 8, 8)])
def test_the_last_step_of_all_copies_is_taken(n_envs: int, slots: int, passed: int) -> None:
    model = make_model(env=copies_of(n_envs)).learn(slots)
    assert model.num_timesteps == passed
    assert model._n_updates == 3 + 2 * math.ceil(passed / 3)


def test_refined_pairs_are_the_observations_of_their_slots() -> None:
    model = make_model(
        env=copies_of(4),
        demonstrations="none",
        train_interval=3,
        refinement="optimal",
        buffer_size=50,
    )
    seen: list[Any] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            seen.append(self.locals["observations"].copy())
            return True

    model.learn(24, callback=Watch())
    stream = np.concatenate(seen)  # slot t is copy t mod 4 of step t // 4
    wanted = stream[::3]
    state = model.replay_buffer.get_state()
    np.testing.assert_array_equal(state["observations"], wanted)
    best = solve(SMALL, slot_from_observation(SMALL, wanted))
    found = evaluate(SMALL, slot_from_observation(SMALL, wanted), state["assignments"].astype(int))
    np.testing.assert_allclose(found.objective, best.objective, rtol=1e-9)


def test_the_buffer_learns_before_the_slots_decision_is_carried_out() -> None:
    """Line 12: training at t = 0 sees the pair of slot 0."""
    model = make_model(demonstrations="none", train_interval=100)
    sizes: list[int] = []
    train = model._train

    def watched(batches: int, steps: int = 1) -> None:
        sizes.append(model.replay_buffer.size)
        train(batches, steps)

    model._train = watched  # type: ignore[method-assign]
    model.learn(5)
    assert sizes == [1]


def test_decisions_carried_out_are_the_agents_own() -> None:
    env = make_sb3_vec_env(TASKS, n_envs=2, max_episode_steps=5)
    model = make_model("PricePolicy", env, refinement="optimal", train_interval=2)

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            figures = [info["objective"] for info in self.locals["infos"]]
            slots = slot_from_observation(TASKS, self.locals["observations"])
            own = evaluate(TASKS, slots, self.locals["decisions"])
            np.testing.assert_allclose(figures, own.objective, rtol=1e-4)
            return True

    model.learn(12, callback=Watch())


def test_nothing_but_pretraining_in_learn_0() -> None:
    model = make_model()
    before = make_model()
    model.learn(0)
    assert model.num_timesteps == 0
    assert model._n_updates == 3
    assert model.replay_buffer.size == 8
    assert differ(model, before)
    model.learn(6)
    assert model.replay_buffer.n_demonstrations == 8
    assert model._n_updates == 3 + 2 * 2


def test_without_demonstrations_nothing_is_pretrained() -> None:
    for settings in ({"demonstrations": "none"}, {"n_demonstrations": 0}):
        model = make_model(**settings).learn(0)
        assert model._n_updates == 0
        assert model.replay_buffer.size == 0
        model.learn(4)
        assert model.replay_buffer.n_demonstrations == 0
        assert model.replay_buffer.size == 2


def test_learning_in_parts_is_learning_at_once() -> None:
    whole, parts = make_model(), make_model()
    whole.learn(24)
    parts.learn(7)
    parts.learn(11, reset_num_timesteps=False)
    parts.learn(6, reset_num_timesteps=False)
    assert parts.num_timesteps == 24
    assert_same_weights(whole, parts)


def test_resetting_the_count_begins_new_episodes_but_keeps_what_is_learned() -> None:
    model = make_model().learn(10)
    updates, size = model._n_updates, model.replay_buffer.size
    model.learn(4)
    assert model.num_timesteps == 4
    assert model._n_updates == updates + 2 * 2
    assert model.replay_buffer.size == size + 2


def test_demonstrations_come_from_the_envs_own_world() -> None:
    for kind in ("db", "raw", "flat"):
        observations, slots = demonstration_slots(TASKS, 5, 3, observation=kind)
        shown = slot_from_observation(TASKS, observations, kind)
        np.testing.assert_allclose(shown.gains, slots.gains, rtol=5e-6)
        env = make_env(TASKS, observation=kind)
        assert all(one in env.observation_space for one in observations)
        again, _ = demonstration_slots(TASKS, 5, 3, observation=kind)
        np.testing.assert_array_equal(observations, again)
    redrawn = Scenario.preset("relocating-200x10", n_devices=20, n_servers=2)
    _, slots = demonstration_slots(redrawn, 40, 0)
    # Other layouts: the average gain of a device differs by more than fading explains.
    assert slots.gains.std(axis=0).min() > 0


@pytest.mark.parametrize("source", ["levy", "exhaustive", "optimal"])
def test_demonstrations_in_the_buffer_are_decisions_of_their_slots(source: str) -> None:
    for kind in ("db", "raw", "flat"):
        model = make_model(
            env=make_env(FORCED, observation=kind), demonstrations=source, n_demonstrations=12
        ).learn(0)
        state = model.replay_buffer.get_state()
        slots = slot_from_observation(FORCED, state["observations"], kind)
        decision = state["assignments"].astype(int)
        values = np.asarray(evaluate(FORCED, slots, decision).objective)
        best = np.asarray(solve(FORCED, slots).objective)
        assert (values <= best * (1.2 if source == "levy" else 1 + 1e-6)).all()


# -- hyper-parameters have their effect ----------------------------------------------------------


CHANGES: dict[str, Any] = {
    "learning_rate": 1e-2,
    "demonstrations": "optimal",
    "n_demonstrations": 5,
    "pretrain_steps": 4,
    "l2_weight": 0.1,
    "batch_size": 5,
    "train_interval": 4,
    "train_steps": 3,
    "refine_interval": 2,
    "agent_loss_weight": 2.0,
    "loss": "vote",
    "priority_exponent": 0.0,
    "agent_priority": 9.0,
    "demonstration_priority": 9.0,
    "refinement": "optimal",
    "population": 2,
    "generations": 40,
    "beta": 0.3,
    "threshold": 2.0,
    "allocation": "levy",
    "crossover": "none",
    "signed": True,
    "flight_scale": 0.2,
    "selection": "device",
    "demonstration_population": 1,
    "demonstration_generations": 200,
    "demonstration_beta": 1.9,
    "demonstration_start": "best-gain",
    "seed": 1,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_hyperparameter_changes_the_weights(name: str) -> None:
    # Optimal demonstrations are often what the Lévy search finds, too: start far from them.
    scenario = TASKS if name in ("demonstrations", "refinement") else SMALL
    plain = make_model(scenario=scenario).learn(20)
    assert differ(make_model(scenario=scenario, **{name: CHANGES[name]}).learn(20), plain)


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        ({"refinement": "classic-levy", "generations": 30}, "step_scale", 0.5),
        ({"refinement": "epsilon-greedy"}, "epsilon", 0.9),
        ({}, "buffer_size", 9),
    ],
)
def test_hyperparameters_of_variants_change_the_weights(base: Any, name: str, value: Any) -> None:
    plain = make_model(**base).learn(20)
    assert differ(make_model(**(base | {name: value})).learn(20), plain)


def test_searches_take_their_settings() -> None:
    from dirs_agents.hyperparameters import demonstration_search, online_search

    model = make_model(
        population=2,
        generations=3,
        beta=1.1,
        threshold=0.7,
        step_scale=0.3,
        allocation="levy",
        refinement="classic-levy",
        demonstration_population=4,
        demonstration_generations=6,
        demonstration_beta=0.2,
        crossover="none",
        signed=True,
        flight_scale=0.5,
    )
    online, offline = online_search(model), demonstration_search(model)
    assert (online.population, online.generations, online.beta) == (2, 3, 1.1)
    assert (offline.population, offline.generations, offline.beta) == (4, 6, 0.2)
    for search in (online, offline):
        assert (search.threshold, search.step_scale, search.allocation) == (0.7, 0.3, "levy")
        assert (search.crossover, search.signed, search.flight_scale) == ("none", True, 0.5)
    assert (online.method, offline.method) == ("classic-levy", "levy")


def test_demonstrations_begin_where_they_are_told() -> None:
    begun: dict[str, Any] = {}
    for start in ("ensemble", "best-gain"):
        # One generation is idle: the search ends where it begins.
        given = {"demonstration_start": start, "demonstration_generations": 1}
        model = make_model(**given)
        state = model.learn(0).replay_buffer.get_state()
        slots = slot_from_observation(SMALL, state["observations"])
        begun[start] = state["assignments"]
        if start == "best-gain":
            np.testing.assert_array_equal(begun[start], 1 + slots.gains.argmax(axis=-1))
    fresh = make_model()
    decisions, _ = fresh._decide(state["observations"])
    np.testing.assert_array_equal(begun["ensemble"], decisions)


def test_a_learning_rate_schedule_is_followed() -> None:
    rates: list[float] = []

    class Watch(BaseCallback):
        def _on_rollout_start(self) -> None:
            rates.append(self.model.optimizer.param_groups[0]["lr"])

        def _on_step(self) -> bool:
            return True

    model = make_model(
        learning_rate=lambda left: 1e-3 * left + 1e-6, train_interval=5, demonstrations="none"
    )
    model.learn(20, callback=Watch())
    # One call before the first slot, then one after each round of training at t = 0, 5, 10, 15.
    np.testing.assert_allclose(rates[1:], [1e-3 * (1 - t / 20) + 1e-6 for t in (0, 5, 10, 15)])


# -- determinism ----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
@pytest.mark.parametrize("refinement", ["levy", "classic-levy", "epsilon-greedy"])
def test_a_seed_decides_the_weights(policy: str, refinement: str) -> None:
    def trained(seed: int) -> DIRS:
        return make_model(policy, scenario=TASKS, seed=seed, refinement=refinement).learn(12)

    first = trained(3)
    assert_same_weights(first, trained(3))
    assert differ(first, trained(4))


def test_global_generators_play_no_part_in_training() -> None:
    import random

    class Stir(BaseCallback):
        def _on_step(self) -> bool:
            np.random.seed(self.num_timesteps)  # noqa: NPY002
            torch.manual_seed(self.num_timesteps)
            random.seed(self.num_timesteps)
            np.random.random(7)  # noqa: NPY002
            return True

    calm = make_model(scenario=TASKS, allocation="levy").learn(20)
    stirred = make_model(scenario=TASKS, allocation="levy")
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert_same_weights(calm, stirred.learn(20, callback=Stir()))


def test_training_leaves_global_generators_alone() -> None:
    model = make_model(scenario=TASKS)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    model.learn(12)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])


def test_without_a_seed_runs_differ() -> None:
    assert differ(make_model(seed=None).learn(4), make_model(seed=None).learn(4))


@pytest.mark.parametrize("kind", ["native", "dummy", "vector"])
def test_copies_of_every_kind_train_to_equal_weights(kind: str) -> None:
    def envs() -> Any:
        if kind == "dummy":
            return DummyVecEnv([lambda: make_env(TASKS)] * 3)
        if kind == "vector":
            return gym.make_vec(ENV_ID, num_envs=3, scenario=TASKS, max_episode_steps=5)
        return make_sb3_vec_env(TASKS, n_envs=3, max_episode_steps=5)

    wanted = make_model(env=make_sb3_vec_env(TASKS, n_envs=3, max_episode_steps=5)).learn(30)
    assert_same_weights(make_model(env=envs()).learn(30), wanted)


# -- NaN ------------------------------------------------------------------------------------------


class Poison(BaseCallback):
    """Spoil a weight after so many steps: the second agent's in a stack, else the first one."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def _on_step(self) -> bool:
        if self.n_calls == self.after:
            weight = next(one for one in self.model.policy.parameters() if one.ndim > 1)
            with torch.no_grad():
                weight[-1 if len(weight) == 1 else 1].fill_(math.nan)
        return True


@pytest.mark.parametrize("after", [2, 3, 4])
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_poisoned_weights_are_named(policy: str, after: int) -> None:
    model = make_model(policy)
    with pytest.raises(FloatingPointError, match=r"agent mec_\d.*step \d+.*slot \d+"):
        model.learn(20, callback=Poison(after))
    assert model.num_timesteps == after


def test_a_poisoned_temperature_is_named_when_it_is_used() -> None:
    model = make_model("PricePolicy")
    with torch.no_grad():
        model.policy.bank.log_temperature.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="gradient step 0, at slot 0"):
        model.learn(20)


def test_the_agent_that_is_poisoned_is_the_one_named() -> None:
    for after in (2, 3):
        model = make_model("EnsemblePolicy", scenario=TASKS)
        with pytest.raises(FloatingPointError, match=r"agent mec_2 "):
            model.learn(20, callback=Poison(after))


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_an_exploding_learning_rate_is_named(policy: str) -> None:
    model = make_model(policy, learning_rate=1e30, pretrain_steps=50)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        model.learn(50)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_saved_and_the_old_file_stays(
    tmp_path: Path, value: float
) -> None:
    model = make_model().learn(4)
    observation = observations_of(SMALL, 3)
    before, _ = model.predict(observation)
    model.save(tmp_path / "model")
    with torch.no_grad():
        model.policy.bank.networks.biases[0][1, 0, 3] = value
    with pytest.raises(FloatingPointError, match="biases"):
        model.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    np.testing.assert_array_equal(
        DIRS.load(tmp_path / "model", device="cpu").predict(observation)[0], before
    )


# -- learning works -------------------------------------------------------------------------------


def mean_nrr(model: Any, scenario: Scenario, count: int = 200) -> float:
    slots = slots_of(scenario, count, seed=77)
    decision, _ = model.predict(observations_of(scenario, count, seed=77), deterministic=True)
    found = np.asarray(evaluate(scenario, slots, decision).objective)
    return float((np.asarray(solve(scenario, slots).objective) / found).mean())


HARD = Scenario(n_devices=5, n_servers=2, noise_w=1e-6, server_frequency_hz=(2e9, 4e9))


def test_exhaustive_demonstrations_teach_the_ensemble() -> None:
    model = make_model(
        scenario=HARD,
        demonstrations="exhaustive",
        n_demonstrations=200,
        buffer_size=300,
        pretrain_steps=300,
        batch_size=64,
        learning_rate=3e-3,
        policy_kwargs={"net_arch": [32]},
    )
    untrained = mean_nrr(model, HARD)
    trained = mean_nrr(model.learn(0), HARD)
    assert trained > 0.95
    assert trained > untrained + 0.1
    assert mean_nrr(model.learn(100), HARD) > 0.95


def test_online_learning_alone_teaches_the_ensemble() -> None:
    model = make_model(
        scenario=HARD,
        demonstrations="none",
        refinement="levy",
        generations=30,
        train_interval=1,
        train_steps=1,
        buffer_size=500,
        batch_size=32,
        learning_rate=3e-3,
        policy_kwargs={"net_arch": [32]},
    )
    untrained = mean_nrr(model, HARD)
    trained = mean_nrr(model.learn(300), HARD)
    assert trained > 0.93
    assert trained > untrained + 0.1


def test_prices_all_but_reach_the_optimum_of_the_papers_medium_scenario() -> None:
    scenario = Scenario.preset("paper-30x2")
    model = make_model(
        "PricePolicy",
        scenario=scenario,
        demonstrations="optimal",
        n_demonstrations=64,
        buffer_size=100,
        pretrain_steps=100,
        batch_size=32,
        learning_rate=5e-3,
        policy_kwargs={"hidden": 16},
    ).learn(0)
    assert mean_nrr(model, scenario) >= 0.99


def test_loss_on_demonstrations_falls() -> None:
    model = make_model(scenario=HARD, pretrain_steps=0).learn(0)

    def loss() -> float:
        from dirs_agents.losses import decision_loss

        state = model.replay_buffer.get_state()
        columns = ColumnCoder(HARD).columns(torch.as_tensor(state["observations"]))
        labels = torch.as_tensor(state["assignments"].astype(np.int64))
        with torch.no_grad():
            return float(decision_loss(model.policy.bank(columns), labels).mean())

    before = loss()
    model._train(60)
    assert loss() < before


def test_margin_is_the_lead_of_the_winner() -> None:
    from dirs_agents.dirs import _margin

    scores = torch.rand(5, 3, 4)
    ordered = scores.sort(dim=1, descending=True).values
    assert _margin(scores) == pytest.approx(float((ordered[:, 0] - ordered[:, 1]).mean()))
    one = torch.rand(5, 1, 4)
    assert _margin(one) == pytest.approx(float((one - 0.5).abs().mean()))
    assert vote(one.numpy()).shape == (5, 4)
