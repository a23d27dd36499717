"""MAPPO: exact credit, ratios per device, exact resume, any N and M, a tiny world is learned."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from baselines import MAPPO
from baselines.learners.credit import WORST, LearnedCredit, saved, shaping
from baselines.learners.link_actor import LinkActorPolicy
from baselines.learners.link_policy import FLOOR, STRAYS
from baselines.learners.mappo import CREDITS, _drawn, generalised, strayed
from mec_bench import algorithm
from mec_gym import ENV_ID, Scenario, Slot, Traces, Uniform, evaluate
from mec_gym.envs.sb3 import make_sb3_vec_env, slots_of
from mec_gym.evaluation import decide_with, episode_set, hindsight_ratio, nrr, slot_set
from mec_gym.model.cost import hosts_after
from mec_gym.model.world import World

STILL = Scenario(
    n_devices=5,
    n_servers=2,
    noise_w=1e-6,
    data_bits=Uniform(4e5, 1.2e6),
    cycles=Uniform(5e8, 1.5e9),
    server_frequency_hz=(4e9, 8e9),
    name="still",
)
MOVING = Scenario.preset("crowd-30x4").replace(
    n_devices=5, n_servers=2, server_positions="kmeans", server_frequency_hz=8e9, name="moving"
)
FORCED = STILL.replace(max_power_w=(0.5, 1.5, 1.5, 0.5, 1.5), name="forced")
DEAR = MOVING.replace(migration_s=30.0, cycles=Uniform(5e8, 3.5e9), name="dear moves")
_GONE = np.full((5, 2), np.nan)
_HERE = np.linspace(50.0, 900.0, 10).reshape(5, 2)
_SOME = np.where(np.arange(5)[:, None] % 2, _GONE, _HERE)
COMING = MOVING.replace(
    mobility=Traces([_HERE, _HERE[::-1], _SOME, _GONE, _GONE, _SOME, _HERE], interval_s=1.0),
    device_positions="uniform",
    layout="fixed",
    name="coming and going",
)
"""Devices that come and go, with slots in which there is nobody."""
SCENARIOS = {one.name: one for one in (STILL, MOVING, FORCED, DEAR, COMING)}
QUICK: dict[str, Any] = {"batch_size": 12, "policy_kwargs": {"width": 8}, "seed": 0}
ROLLOUT: dict[str, Any] = {"n_steps": 3, "gradient_steps": 2}


def env_of(scenario: Scenario, copies: int = 3, steps: int = 7, **options: Any) -> Any:
    return make_sb3_vec_env(scenario, n_envs=copies, seed=0, max_episode_steps=steps, **options)


def model_of(scenario: Scenario = STILL, env: Any = None, **settings: Any) -> MAPPO:
    return MAPPO(env=env or env_of(scenario), device="cpu", **(QUICK | settings))


def shown(scenario: Scenario, batch: int = 3, seed: int = 0) -> Slot:
    world = World(scenario, batch)
    world.reset([np.random.default_rng([seed, index]) for index in range(batch)])
    assert world.slot is not None
    hosts = np.random.default_rng(seed).integers(0, 3, (batch, scenario.n_devices))
    return world.slot.hosted(hosts if scenario.migrates else None)


def legal_decisions(scenario: Scenario, batch: int = 3) -> Any:
    return legal(scenario, np.random.default_rng(1).integers(0, 3, (batch, scenario.n_devices)))


def legal(scenario: Scenario, decisions: Any) -> Any:
    return np.where(~scenario.can_execute_locally & (decisions == 0), 1, decisions)


def mean_cycles(scenario: Scenario) -> Any:
    law = scenario.cycles
    return (law.low + law.high) / 2 if isinstance(law, Uniform) else law


def assert_same(first: MAPPO, second: MAPPO) -> None:
    assert first.num_timesteps == second.num_timesteps
    for name, weight in first.policy.state_dict().items():
        assert torch.equal(weight, second.policy.state_dict()[name]), name


# -- credit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["still", "moving", "forced", "dear moves"])
def test_difference_credit_is_the_objective_with_the_choice_replaced(name: str) -> None:
    scenario = SCENARIOS[name]
    slot, decisions = shown(scenario), legal_decisions(scenario)
    found = saved(scenario, slot, decisions)
    may = scenario.can_execute_locally
    mean = Slot(slot.gains, slot.data_bits, np.full_like(slot.cycles, mean_cycles(scenario)))
    unit = evaluate(scenario.replace(max_power_w=1.5), mean, np.zeros_like(decisions)).cost[0]
    move = (scenario.migration_cost if scenario.migrates else 0.0) / unit
    for i in range(scenario.n_devices):
        objectives = []
        for choice in range(scenario.n_servers + 1):
            other = decisions.copy()
            other[:, i] = choice
            legal = choice > 0 or may[i]
            objectives.append(
                evaluate(scenario, slot, other).objective if legal else np.full(3, np.inf)
            )
        table = np.stack(objectives, -1)
        reference = table[:, :1] if may[i] else table.min(-1, keepdims=True)
        expected = np.maximum((reference - table) / unit[i], (-WORST - move)[i])
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-5, atol=1e-6)


def experienced(
    scenario: Scenario,
    reward: Any = np.negative,
    slots: int = 1536,
    believed: Scenario | None = None,
) -> LearnedCredit:
    """Credit that was learned from slots in which devices went anywhere, and from rewards alone."""
    rng, size = np.random.default_rng(0), (slots, scenario.n_devices)
    credit = LearnedCredit(believed or scenario, torch.device("cpu"), rng)
    seen = shown(scenario, slots, seed=5)
    decisions = legal(scenario, rng.integers(0, 3, size) * rng.integers(0, 2, size))
    rewards = reward(evaluate(scenario, seen, decisions).objective)
    for first in range(0, slots, 16):
        rows = slice(first, first + 16)
        credit.learn(seen[rows], decisions[rows], rewards[rows], 1.0 - first / slots)
    return credit


@pytest.mark.parametrize("name", ["still", "moving", "forced", "dear moves"])
def test_learned_credit_comes_to_be_difference_credit(name: str) -> None:
    """Much closer than exact differences that leave out where the others go."""
    scenario = SCENARIOS[name]
    slot, decisions = shown(scenario, 64, seed=999), legal_decisions(scenario, 64)
    alone = legal(scenario, np.zeros_like(decisions))
    exact, unloaded = (saved(scenario, slot, one) for one in (decisions, alone))
    learned = experienced(scenario).saved(slot, decisions)
    counts = (exact > -2.0) & (np.arange(3) > 0)  # what is worse is cut, or hardly matters
    found, wanted, other = (one[counts] for one in (learned, exact, unloaded))
    assert (np.sign(found) == np.sign(wanted)).mean() > 0.85
    if name == "forced":  # where some cannot stay the unit is another one
        assert np.corrcoef(found, wanted)[0, 1] > 0.9
    else:
        assert np.polyfit(wanted, found, 1)[0] == pytest.approx(1.0, abs=0.1)
        far, farther = (np.square(one - wanted).mean() for one in (found, other))
        assert far < 0.25 * farther


@pytest.mark.parametrize("reward", [lambda cost: -1e6 * cost, lambda cost: 5.0 / cost])
def test_learned_credit_is_the_same_whatever_the_unit_of_rewards(reward: Any) -> None:
    slot, decisions = shown(STILL, seed=999), legal_decisions(STILL)
    one, other = (
        experienced(STILL, given, slots=96).saved(slot, decisions)
        for given in (np.negative, reward)
    )
    np.testing.assert_allclose(one, other, atol=0.05)


def test_learned_credit_is_told_no_price() -> None:
    slot, decisions = shown(MOVING), legal_decisions(MOVING)
    dear = MOVING.replace(migration_s=99.0, weight_latency=7.0)
    one, other = (
        experienced(MOVING, slots=96, believed=believed).saved(slot, decisions)
        for believed in (MOVING, dear)
    )
    np.testing.assert_array_equal(one, other)


def test_learned_credit_reads_nothing_but_observations_and_rewards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in ("credit.counterfactuals", "credit.saved", "mappo.saved", "mappo.slots_of"):
        monkeypatch.setattr(f"baselines.learners.{place}", lambda *_: pytest.fail("it is told"))
    model_of(MOVING, credit="learned", **ROLLOUT).learn(12)


def test_some_devices_stray_while_credit_is_learned_where_slots_are_independent() -> None:
    """Who never goes anywhere learns nothing of going; services would move to and fro."""
    decisions = np.zeros((1000, 200), dtype=np.int64)
    found = strayed(decisions, np.tile(np.arange(4.0), (1000, 200, 1)), np.random.default_rng(0))
    assert (found > 0).mean(-1).max() < 2 * STRAYS
    assert (found > 0).mean() == pytest.approx(STRAYS / 2, rel=0.05)
    shares = np.bincount(found[found > 0])[1:] / (found > 0).sum()
    np.testing.assert_allclose(shares, [1 / 32, 1 / 32, 1 / 32, 29 / 32], atol=0.01)
    for scenario, strays in ((STILL, True), (MOVING, False)):
        model = model_of(scenario, env_of(scenario, 64), credit="learned", n_steps=2)
        torch.nn.init.constant_(model.policy.actor.home.bias, 30.0)  # all want to stay
        model.learn(64)
        assert model._rollout[0]["decisions"].any() == strays


def test_few_offload_at_first_where_credit_is_learned_and_slots_are_independent() -> None:
    for scenario, credit, share in (
        (STILL, "learned", 1 / 16),
        (STILL, "difference", 1 / 2),
        (MOVING, "learned", 1 / 2),
    ):
        policy = model_of(scenario, credit=credit).policy
        slot = shown(scenario)
        links, _ = policy.view(slot, policy.view.begin(3))
        log_p = policy.log_probabilities(*map(policy.tensor, (links, policy.legal(slot))))
        assert 1.0 - log_p[..., 0].exp().mean().item() == pytest.approx(share, rel=0.1)


def test_a_better_choice_has_a_least_weight_while_credit_is_learned() -> None:
    """Else a good link, once sent down with the many bad ones, would never come up again."""
    rare = np.log(np.broadcast_to([1.0 - 2e-6, 1e-6, 1e-6], (1, 3, 5, 3)))
    credit = np.broadcast_to([0.0, 1.0, -1.0], rare.shape)
    told = {"present": np.ones((1, 3, 5), bool), "decisions": np.zeros((1, 3, 5), int)}
    for name, least in (("difference", 1e-6), ("learned", FLOOR)):
        targets, _ = model_of(credit=name)._targets(told | {"log_p": rare, "saved": credit})
        np.testing.assert_allclose(targets[..., 1] / targets[..., 2], -least / 1e-6, rtol=1e-3)


def test_strays_do_not_blur_how_much_choices_differ() -> None:
    """Gradients are measured in the spread of the policy's own choices."""
    sure = np.log(np.broadcast_to([0.98, 0.01, 0.01], (1, 3, 5, 3)))
    credit = np.broadcast_to([0.0, 0.1, -4.0], sure.shape)
    step = {"present": np.ones((1, 3, 5), bool), "log_p": sure, "saved": credit}
    model = model_of(credit="learned")
    found = [model._targets(step | {"decisions": np.full((1, 3, 5), k)})[0] for k in range(3)]
    np.testing.assert_array_equal(found[0], found[2])


def test_rewards_that_are_no_costs_teach_no_credit() -> None:
    credit = LearnedCredit(STILL, torch.device("cpu"), np.random.default_rng(0))
    slot, decisions = shown(STILL), legal_decisions(STILL)
    with pytest.raises(ValueError, match='Use reward="reciprocal"'):
        credit.learn(slot, decisions, np.array([-1.0, 0.5, -2.0]), 1.0)
    assert credit.memory.size == 0
    credit.learn(slot, decisions, -np.ones(3), 1.0)
    with pytest.raises(ValueError, match='Use reward="reciprocal"'):
        credit.learn(slot, decisions, np.ones(3), 1.0)
    assert credit.memory.size == 3
    with pytest.raises(ValueError, match="rewards must be finite"):
        credit.learn(slot, decisions, np.array([-1.0, -np.inf, -1e300]), 1.0)
    assert credit.memory.size == 3


def test_rewards_of_another_kind_begin_anew(tmp_path: Path) -> None:
    """A file says nothing of the env's reward."""
    model = model_of(STILL, credit="learned", n_steps=2).learn(48)
    model.save(tmp_path / "model")
    env = env_of(STILL, reward="negative")
    again: Any = MAPPO.load(tmp_path / "model", env=env, device="cpu")
    assert again._learned.memory.size == 48
    again.learn(12, reset_num_timesteps=False)
    assert again._learned.memory.size == 12


def test_what_was_learned_of_costs_is_kept_where_it_fits_and_slots_are_not(tmp_path: Path) -> None:
    model = model_of(STILL, credit="learned", n_steps=2).learn(48)
    learned: Any = model._learned
    model.save(tmp_path / "model")
    before = {name: one.clone() for name, one in learned.critic.state_dict().items()}
    dear = STILL.replace(weight_energy=9.0)
    larger = MAPPO.load(tmp_path / "model", env=env_of(STILL.replace(n_devices=8)), device="cpu")
    model.set_env(env_of(dear, reward="negative"))  # rewards of another kind
    for one in (learned, larger._learned):
        assert one.memory.size == 0
        assert one.critic.unit == 0
        now = one.critic.state_dict()
        assert all(torch.equal(now[name], before[name]) for name in before if name != "unit")
    model.learn(12)
    larger.learn(12)
    model.set_env(env_of(STILL.replace(weight_energy=(1.0, 2.0, 3.0, 4.0, 5.0))))
    assert learned.critic.n_seen[1] == 3  # weights that did not fit any more
    model.learn(12)


def test_the_actor_waits_for_slots_enough_to_learn_costs_from() -> None:
    model = model_of(STILL, env_of(STILL, 16), credit="learned")
    before = [one.detach().clone() for one in model.policy.actor.parameters()]
    for slots, same in ((48, True), (64, False)):
        model.learn(slots, reset_num_timesteps=False)
        after = model.policy.actor.parameters()
        assert all(map(torch.equal, before, after)) is same


def test_the_potential_of_placed_services_makes_no_policy_better_or_worse() -> None:
    """Discounted over a path it comes to the end's, less the beginning's, whatever is done."""
    gamma, rng, hosts = 0.9, np.random.default_rng(0), np.zeros((3, 5), dtype=np.int64)
    total: Any = 0.0
    for t in range(4):
        slot = shown(MOVING, seed=t).hosted(hosts)
        decisions = rng.integers(0, 3, hosts.shape) * (rng.random(hosts.shape) < 0.3)
        gained = shaping(MOVING, slot, gamma)
        total += gamma**t * np.take_along_axis(gained, decisions[..., None], -1)[..., 0]
        hosts = hosts_after(np, decisions, hosts, slot.cycles)
    worth = MOVING.migration_cost / evaluate(MOVING, slot, np.zeros_like(hosts)).cost
    np.testing.assert_allclose(total, gamma**4 * worth * (hosts > 0), rtol=1e-5, atol=1e-6)
    assert 0 < (hosts > 0).sum() < hosts.size


def test_absent_devices_have_no_credit_and_no_gradient() -> None:
    slot, decisions = shown(STILL), legal_decisions(STILL)
    gone = np.zeros(decisions.shape, dtype=bool)
    gone[:, 2] = True
    parted = Slot(
        slot.gains, np.where(gone, 1e-30, slot.data_bits), np.where(gone, 1e-30, slot.cycles)
    )
    found = saved(STILL, parted, np.where(gone, 0, decisions))
    assert not found[:, 2].any()
    assert found[:, [0, 1, 3, 4]].any()
    legal = model_of().policy.legal(parted)
    assert legal[:, 2, 0].all()  # local execution alone
    assert not legal[:, 2, 1:].any()
    assert legal[:, [0, 1, 3, 4]].all()


def test_the_critic_learns_what_is_to_come_of_absent_devices() -> None:
    """Whoever hardly ever comes costs hardly anything."""
    there = np.repeat(_HERE[None], 40, axis=0)
    there[1:, ::2] = np.nan
    scenario = COMING.replace(mobility=Traces(there, interval_s=1.0), name="hardly ever there")
    model = model_of(scenario, gamma=0.9, batch_size=60)
    for slots in (300, 3):
        model.learn(slots, log_interval=None, reset_num_timesteps=False)
    step = model._rollout[-1]
    absent = ~step["present"] & (step["hosts"] == 0)
    assert absent.any()
    assert np.abs(step["values"][absent][:, 0]).max() < 1.0  # and without: 4.4


def test_advantages_are_discounted_sums_of_what_was_not_expected() -> None:
    rng = np.random.default_rng(0)
    steps, copies, devices, gamma, lam = 6, 2, 3, 0.9, 0.7
    rewards, values, nexts = rng.normal(size=(3, steps, copies, devices))
    goes_on = rng.random((steps, copies)) < 0.7
    found = generalised(rewards, values, nexts, goes_on, gamma, lam)
    deltas = rewards + gamma * nexts - values
    for t, b in itertools.product(range(steps), range(copies)):
        total, weight = np.zeros(devices), 1.0
        for later in range(t, steps):
            total += weight * deltas[later, b]
            weight *= gamma * lam * goes_on[later, b]
        np.testing.assert_allclose(found[t, b], total, rtol=1e-12)


@pytest.mark.parametrize("credit", CREDITS)
def test_an_episode_that_is_cut_off_goes_on_in_the_critics_eyes(credit: str) -> None:
    """The slot after a time limit is valued as it would have been seen, not as the next episode."""
    model = model_of(MOVING, env_of(MOVING, copies=2, steps=2), credit=credit, n_steps=4)
    model.learn(6, log_interval=None)
    ends = [step["ends"].all() for step in model._rollout]
    assert ends == [False, True, False]
    after = model._rollout[1]["after"]
    assert np.abs(after).min() > 0.0
    # The same slot, looked at with the memory of the episode that ended.
    model._rollout[1]["after"] = after + 1.0
    model._step()
    stacked = {name: np.stack([one[name] for one in model._rollout]) for name in model._rollout[0]}
    _, with_more = model._around(stacked)
    model._rollout[1]["after"] = after
    _, without = model._around(stacked)
    np.testing.assert_allclose((with_more - without)[1], 1.0, rtol=1e-4)
    assert not (with_more - without)[[0, 2, 3]].any()


def test_after_every_choice_the_next_slot_is_valued_with_the_host_it_leaves() -> None:
    model = model_of(MOVING, n_steps=50)
    model.learn(3, log_interval=None)
    for parameter in model.policy.critic.parameters():
        with torch.no_grad():
            parameter.normal_()
    for _ in range(4):
        model._step()
    stacked = {name: np.stack([one[name] for one in model._rollout]) for name in model._rollout[0]}
    values, nexts = model._around(stacked)
    slots = [model.policy.coder.decode(step["observations"]) for step in model._rollout]
    for t in range(3):
        for choice in range(3):
            decisions = np.full((3, 5), choice)
            hosts = hosts_after(np, decisions, slots[t].hosts, slots[t].cycles)
            seen, _ = model.policy.view(slots[t + 1].hosted(hosts), model.policy.view.begin(3))
            links = model._rollout[t + 1]["links"].copy()
            links[..., -4:] = seen[..., -4:]  # what is seen of hosts needs no memory
            expected = np.take_along_axis(model._values(torch.tensor(links)), hosts[..., None], -1)
            np.testing.assert_allclose(nexts[t, ..., choice], expected[..., 0], rtol=1e-5)
            mine = np.where(decisions == stacked["decisions"][t], values[t + 1], expected[..., 0])
            np.testing.assert_allclose(mine, expected[..., 0], rtol=1e-5)
    assert len({*np.ravel(stacked["hosts"])}) == 3


def test_with_discount_0_the_gradient_is_that_of_the_expected_objective() -> None:
    """The derivative of E[objective] by each device's probabilities, others as drawn."""
    model = model_of(ent_coef=0.0, n_steps=2, gradient_steps=1)
    model.learn(3, log_interval=None)
    step = model._rollout[0]
    stacked = {name: value[None] for name, value in step.items()}
    targets, _ = model._targets(stacked)
    logits = torch.tensor(step["log_p"], dtype=torch.float64, requires_grad=True)
    (
        (torch.log_softmax(logits, -1) - logits.detach()).exp() * torch.tensor(targets[0])
    ).sum().backward()
    wanted = torch.tensor(step["log_p"], dtype=torch.float64, requires_grad=True)
    (torch.softmax(wanted, -1) * torch.tensor(step["saved"])).sum().backward()
    assert wanted.grad is not None
    assert logits.grad is not None
    scale = (wanted.grad / logits.grad).median()
    torch.testing.assert_close(logits.grad * scale, wanted.grad, rtol=1e-3, atol=1e-5)


# -- ratios -----------------------------------------------------------------------------------


def test_each_device_has_a_ratio_and_a_clip_of_its_own() -> None:
    """A device far outside of the trust region learns nothing and stops no other from learning."""
    model = model_of(ent_coef=0.0, n_steps=2)
    model.learn(3, log_interval=None)
    policy, step = model.policy, model._rollout[0]
    flat = {name: step[name].reshape(-1, *step[name].shape[2:]) for name in ("links", "legal")}
    with torch.no_grad():
        now = policy.log_probabilities(*(policy.tensor(flat[n]) for n in ("links", "legal")))
    chosen = np.zeros(now.shape, dtype=np.float32)
    chosen[:, 1] = 1.0
    far = now.numpy().copy()
    far[0, 1] -= 1.0  # its ratio is e already, and its advantage positive
    nothing = np.zeros(len(now), dtype=np.float32)
    common = flat | {"targets": chosen, "returns": nothing, "hosts": nothing.astype(int)}
    gone = np.arange(len(now)) == 2  # it is not there, and teaches nothing

    def gradients(before: Any, rows: list[int]) -> list[Any]:
        again = model_of(ent_coef=0.0, max_grad_norm=float("inf"))
        again.policy.load_state_dict(policy.state_dict())
        again._descend(common | {"log_p": before, "present": ~gone}, np.array(rows))
        return [weight.grad for weight in again.policy.actor.parameters()]

    for alone in gradients(far, [0, 2]):
        assert alone is None or not alone.any()
    both, other = gradients(far, [0, 1]), gradients(far, [1])
    assert any(one.any() for one in other)
    for together, single in zip(both, other, strict=True):
        torch.testing.assert_close(2.0 * together, single, rtol=1e-4, atol=1e-7)
    for beside, single in zip(gradients(far, [1, 2]), other, strict=True):
        torch.testing.assert_close(beside, single)


# -- exact resume -----------------------------------------------------------------------------


class SavedAt(BaseCallback):
    def __init__(self, step: int, path: Path) -> None:
        super().__init__()
        self.step, self.path = step, path

    def _on_step(self) -> bool:
        if self.n_calls == self.step:
            self.model.save(self.path)
        return True


@pytest.mark.parametrize("credit", CREDITS)
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("at", [2, 3, 8])
def test_resumed_training_is_training_that_never_stopped(
    at: int, name: str, credit: str, tmp_path: Path
) -> None:
    scenario, total = SCENARIOS[name], 36
    whole = model_of(scenario, credit=credit, **ROLLOUT)
    whole.learn(total, callback=SavedAt(at, tmp_path / "model"))
    again = MAPPO.load(tmp_path / "model", env=env_of(scenario), device="cpu", force_reset=False)
    assert again.num_timesteps == 3 * at
    again.learn(total - again.num_timesteps, reset_num_timesteps=False)
    assert_same(again, whole)
    again.learn(9, reset_num_timesteps=False)
    whole.learn(9, reset_num_timesteps=False)
    assert_same(again, whole)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"credit": "team"}, {"credit": "difference"}),
        ({"credit": "difference"}, {"credit": "team"}),
        ({"credit": "difference"}, {"credit": "learned"}),
        ({"credit": "learned"}, {"credit": "difference"}),
        ({"gamma": 0.0}, {"gamma": 0.9}),
    ],
)
def test_training_goes_on_with_other_arguments(
    first: dict[str, Any], then: dict[str, Any], tmp_path: Path
) -> None:
    """The rollout begun before lacks what they need; what was seen of links is remembered."""
    model = model_of(MOVING, n_steps=4, **first).learn(6)
    model.save(tmp_path / "model")
    again = MAPPO.load(
        tmp_path / "model", env=env_of(MOVING), device="cpu", force_reset=False, **then
    )
    assert not again._rollout
    np.testing.assert_array_equal(again._memory, model._memory)
    again.learn(12, reset_num_timesteps=False)


def test_no_rollout_crosses_from_one_episode_into_a_new_one(tmp_path: Path) -> None:
    """A model that is loaded into new episodes leaves what it has not learned from yet."""
    model = model_of(MOVING, n_steps=4).learn(6)
    assert len(model._rollout) == 2
    model.save(tmp_path / "model")
    again = MAPPO.load(tmp_path / "model", env=env_of(MOVING), device="cpu")
    again.learn(9, reset_num_timesteps=False)
    assert len(again._rollout) == 3
    assert [step["starts"].all() for step in again._rollout] == [True, False, False]


def test_a_policy_is_kept_without_its_algorithm(tmp_path: Path) -> None:
    model = model_of(MOVING).learn(9)
    model.policy.save(str(tmp_path / "policy.pth"))
    alone = LinkActorPolicy.load(str(tmp_path / "policy.pth"), device="cpu")
    seen = env_of(MOVING, copies=5).reset()
    found = [one.predict(seen, deterministic=True)[0] for one in (model.policy, alone)]
    np.testing.assert_array_equal(*found)


def test_a_loaded_model_takes_an_env_of_any_number_of_copies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_of().save(tmp_path / "model")
    objects = {"learning_rate": 1e-7}
    model = MAPPO.load(tmp_path / "model", custom_objects=objects, print_system_info=True)
    assert model.learning_rate == 1e-7
    assert "Stable-Baselines3" in capsys.readouterr().out
    model.set_env(env_of(STILL, copies=4))
    assert model.learn(8).num_timesteps == 8
    with pytest.raises(AssertionError, match="2 != 4"):
        model.set_env(env_of(STILL, copies=2))


def test_single_envs_and_the_native_batch_train_alike() -> None:
    def single() -> Any:
        made: Any = gym.make(ENV_ID, scenario=MOVING, max_episode_steps=7)
        return made

    both = [DummyVecEnv([single] * 3), env_of(MOVING)]
    for env in both:
        env.seed(0)
    first, second = (model_of(MOVING, env, **ROLLOUT) for env in both)
    for one in (first, second):
        one.env.seed(5)
        one.learn(18)
    for name, weight in first.policy.state_dict().items():
        torch.testing.assert_close(weight, second.policy.state_dict()[name])
    slots = [slots_of(one.env) for one in (first, second)]
    np.testing.assert_array_equal(slots[0].gains, slots[1].gains)
    np.testing.assert_array_equal(slots[0].hosts, slots[1].hosts)


@pytest.mark.parametrize("copies", [1, 3, 40])
def test_with_team_credit_a_rollout_has_slots_and_decisions_enough(copies: int) -> None:
    env = env_of(STILL, copies)
    model = MAPPO(env=env, credit="team", batch_size=100, seed=0)
    slots = model._n_steps * copies
    assert slots >= 16
    assert slots * STILL.n_devices >= 100
    assert model._gradient_steps == (1 if model._n_steps == 1 else -(-slots // 8))
    mine = MAPPO(env=env, credit="team", n_steps=2, gradient_steps=3, seed=0)
    assert (mine._n_steps, mine._gradient_steps) == (2, 3)


def test_team_credit_learns_from_one_copy_of_the_env() -> None:
    """Without an entropy bonus only rewards that are compared move the actor."""
    env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    model = MAPPO(env=env, credit="team", ent_coef=0.0, seed=0)
    before = [one.detach().clone() for one in model.policy.actor.parameters()]
    model.learn(128)
    after = model.policy.actor.parameters()
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="must be 2 or more"):
        MAPPO(env=env, credit="team", n_steps=1).learn(4)


def test_nobody_draws_what_has_no_probability() -> None:
    """Not even where the random number is 0."""
    log_p = np.array([[[-np.inf, np.log(0.5), np.log(0.5)]]], dtype=np.float32)

    class Lowest:
        def random(self, shape: Any, dtype: Any) -> Any:
            return np.zeros(shape, dtype)

    assert _drawn(log_p, Lowest()) == [[1]]  # type: ignore[arg-type]


def test_states_of_other_batches_are_refused() -> None:
    scenario = "crowd-30x4"
    env = gym.make("mec_gym/MultiMEC-v0", scenario=scenario)
    model = MAPPO(env=env)
    observation, _ = env.reset(seed=0)
    _, state = model.predict(observation)
    with pytest.raises(ValueError, match="state must be"):
        model.predict(np.stack([observation] * 2), state)


def test_stale_channels_are_seen_and_true_ones_priced() -> None:
    late = MOVING.replace(csi_delay_slots=2, fading="rayleigh")
    model = model_of(late, n_steps=3)
    model.learn(6, log_interval=None)
    before = slots_of(model.env)
    seen = model.policy.coder.decode(model._last_obs)
    assert not np.allclose(before.gains, seen.gains, rtol=1e-3)
    model._step()
    step = model._rollout[-1]
    expected = saved(late, before, step["decisions"]) + shaping(late, before, 0.97)
    np.testing.assert_allclose(step["saved"], expected, rtol=1e-6, atol=1e-6)


# -- sizes, decisions -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != COMING.name])
def test_a_model_decides_for_any_number_of_devices_and_servers(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    model = model_of(scenario, **ROLLOUT).learn(18)
    model.save(tmp_path / "model")
    for devices, servers in ((9, 2), (4, 3)):
        other = scenario.replace(
            n_devices=devices, n_servers=servers, server_frequency_hz=8e9, max_power_w=1.5
        )
        again = MAPPO.load(tmp_path / "model", env=env_of(other), device="cpu")
        for key, weight in model.policy.state_dict().items():
            assert torch.equal(weight, again.policy.state_dict()[key])
        if other.dynamic:
            ratio = hindsight_ratio(episode_set(other, n_episodes=2, n_slots=4), decide_with(again))
            assert (ratio <= 1.0).all()
        else:
            found = nrr(slot_set(other, n_layouts=1, slots_per_layout=2), decide_with(again))
            assert (found <= 1.0 + 1e-9).all()
        again.learn(18)


def test_decisions_follow_the_order_of_devices() -> None:
    model = model_of().learn(30)
    slot, order = shown(STILL), [3, 0, 4, 1, 2]
    moved = Slot(slot.gains[:, order], slot.data_bits[:, order], slot.cycles[:, order])
    encode = model.policy.coder.encode
    decisions, _ = model.predict(encode(slot), deterministic=True)
    others, _ = model.predict(encode(moved), deterministic=True)
    np.testing.assert_array_equal(others, decisions[:, order])


def test_the_state_of_predict_is_what_training_remembers() -> None:
    model = model_of(MOVING, n_steps=50)
    model.learn(3 * 9, log_interval=None)
    state: Any = None
    for step in model._rollout:
        _, state = model.predict(step["observations"], state, step["starts"], deterministic=True)
    np.testing.assert_array_equal(state, model._memory)
    one, _ = model.predict(step["observations"][1], deterministic=True)
    many, _ = model.predict(step["observations"], deterministic=True)
    np.testing.assert_array_equal(one, many[1])
    assert model_of().predict(env_of(STILL).reset(), deterministic=True)[1] is None


@pytest.mark.parametrize(("name", "parted"), [("still", True), ("moving", False)])
def test_who_is_not_sure_decides_together_where_services_stay(name: str, parted: bool) -> None:
    model = model_of(SCENARIOS[name])
    seen = env_of(SCENARIOS[name], copies=20).reset()
    decisions, _ = model.predict(seen, deterministic=True)  # untrained: about half would offload
    model.policy.together = 0.0
    each, _ = model.predict(seen, deterministic=True)
    assert ((decisions == each).all()) is np.bool_(not parted)
    if parted:
        assert set((decisions > 0).sum(-1)) <= {2, 3}


def test_large_batches_are_decided_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(MOVING)
    observations = env_of(MOVING, copies=7).reset()
    whole = model.predict(observations, deterministic=True)
    monkeypatch.setattr("baselines.learners.link_actor._PART", 25)
    parts = model.predict(observations, deterministic=True)
    for first, second in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(first, second)


def test_devices_that_must_offload_do() -> None:
    model = model_of(FORCED)
    with torch.no_grad():
        model.policy.actor.home.bias += 50.0
    for deterministic in (True, False):
        decisions, _ = model.predict(env_of(FORCED, 40).reset(), deterministic=deterministic)
        assert (decisions[:, [0, 3]] > 0).all()
        assert not decisions[:, [1, 2, 4]].any()
    model.learn(30)


# -- learning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_a_tiny_world_is_learned(seed: int) -> None:
    model = MAPPO(
        env=make_sb3_vec_env(STILL, n_envs=16, seed=seed), seed=seed, device="cpu", batch_size=80
    )
    slots = slot_set(STILL, own_layout=True, n_layouts=10, slots_per_layout=20, seed=1)
    before = nrr(slots, decide_with(model)).mean()
    model.learn(6_000, log_interval=None)
    assert nrr(slots, decide_with(model)).mean() >= 0.99 > before


def test_a_model_saved_in_the_last_slot_has_yet_to_learn_from_it(tmp_path: Path) -> None:
    class Keep(BaseCallback):
        def _on_step(self) -> bool:
            self.model.save(tmp_path / "model")
            return self.num_timesteps < 18  # a stop in the last slot is none

    model = model_of(MOVING, **ROLLOUT).learn(18, callback=Keep())
    assert not model.unlearned
    again = MAPPO.load(tmp_path / "model", env_of(MOVING), device="cpu", force_reset=False)
    assert again.unlearned
    assert_same(again.learn(0, reset_num_timesteps=False), model)


@pytest.mark.slow
def test_one_reward_for_all_is_learned_from_where_decisions_last() -> None:
    env = make_sb3_vec_env("crowd-30x4", n_envs=16, reward="relative", seed=0)
    model = MAPPO(env=env, credit="team", seed=0, device="cpu").learn(12_000, log_interval=None)
    episodes = episode_set(Scenario.preset("crowd-30x4"), n_episodes=3, seed=1)
    assert hindsight_ratio(episodes, decide_with(model)).mean() >= 0.88  # all local has 0.657


def test_what_is_logged(tmp_path: Path) -> None:
    model = model_of(MOVING, **ROLLOUT)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(36, log_interval=18)
    model.logger.close()
    names = (tmp_path / "progress.csv").read_text().splitlines()[0].split(",")
    wanted = {"entropy", "approx_kl", "clip_fraction", "explained_variance", "learning_rate"}
    assert {f"train/{name}" for name in wanted} <= set(names)
    assert {"mec/objective", "mec/latency_s", "mec/energy_j", "mec/migrations"} <= set(names)


def test_short_training_is_logged_too(tmp_path: Path) -> None:
    model = model_of(MOVING, **ROLLOUT)
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(9)
    model.logger.close()
    assert "train/entropy" in (tmp_path / "progress.csv").read_text()


@pytest.mark.parametrize("credit", CREDITS)
def test_the_last_rollout_is_learned_from(credit: str) -> None:
    model = model_of(MOVING, credit=credit, **ROLLOUT)
    if credit == "learned":
        model.learn(90)
    for number in range(3):
        before = {name: weight.clone() for name, weight in model.policy.state_dict().items()}
        model.learn(9, reset_num_timesteps=False)  # one rollout of three copies
        after = model.policy.state_dict()
        assert not all(torch.equal(before[name], after[name]) for name in before), number


def test_names_of_the_command() -> None:
    assert algorithm("mappo").build(env_of(STILL), seed=0, device="cpu").credit == "difference"
    for credit in ("learned", "team"):
        built = algorithm(f"mappo:{credit}").build(env_of(STILL), seed=0, device="cpu")
        assert built.credit == credit
    for preset, batch in (("paper-30x2", 3_200), ("crowd-30x4", 32 * 30)):
        env = gym.make("mec_gym/MultiMEC-v0", scenario=preset)
        assert algorithm("mappo:team").build(env, seed=0, device="cpu")._batch_size == batch


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"credit": "global"}, "credit must be one of"),
        ({"gamma": 1.5}, "gamma"),
        ({"n_steps": 0}, "n_steps"),
        ({"gradient_steps": 0}, "gradient_steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"clip_range": 0.0}, "clip_range"),
        ({"ent_coef": -1.0}, "ent_coef"),
        ({"gae_lambda": 2.0}, "gae_lambda"),
        ({"policy": "MlpPolicy"}, "LinkActorPolicy"),
        ({"policy_kwargs": {"widht": 8}}, "did you mean 'width'"),
        ({"policy_kwargs": {"width": 0}}, "width"),
        ({"policy_kwargs": {"together": 1.5}}, "together"),
    ],
)
def test_bad_arguments_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        model_of(**settings)


def test_other_worlds_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="env is needed"):
        MAPPO()
    with pytest.raises(TypeError, match="assignments"):
        model_of(env=env_of(STILL, scores=True))
    with pytest.raises(ValueError, match="norm_obs"):
        model_of(env=VecNormalize(env_of(STILL)))
    model = model_of()
    model.save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"custom object 'learnin_rate'"):
        MAPPO.load(tmp_path / "model", custom_objects={"learnin_rate": 0.1})
    with pytest.raises(ValueError, match=r"dynamic=False.*dynamic=True"):
        MAPPO.load(tmp_path / "model", env=env_of(MOVING))
    with pytest.raises(ValueError, match=r"dynamic=False.*dynamic=True"):
        model.set_env(env_of(STILL.replace(csi_delay_slots=1)))
    with pytest.raises(ValueError, match=r"N=5.*N=6"):
        model.set_env(env_of(STILL.replace(n_devices=6)))
    PPO("MlpPolicy", env_of(STILL), n_steps=2, batch_size=2, device="cpu").save(tmp_path / "ppo")
    with pytest.raises(ValueError, match="not a MAPPO model"):
        MAPPO.load(tmp_path / "ppo")


@pytest.mark.parametrize(
    ("changes", "gamma"), [({}, 0.97), ({"migration_s": 0.0, "migration_j": 0.0}, 0.0)]
)
def test_decisions_last_where_services_migrate_and_not_where_only_channels_move(
    changes: dict[str, Any], gamma: float
) -> None:
    scenario = MOVING.replace(**changes)
    assert scenario.dynamic
    model = model_of(scenario).learn(6, log_interval=None)
    assert model._gamma == gamma
    assert all(("values" in step) is bool(gamma) for step in model._rollout)
