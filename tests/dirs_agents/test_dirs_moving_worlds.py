"""What the agents see and answer where services migrate, channels are stale and devices absent."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from dirs_agents import DIRS
from dirs_agents.columns import ColumnCoder
from dirs_agents.labels import demonstration_slots, refine
from dirs_agents.levy_search import LevySearch
from mec_gym import ENV_ID, GaussMarkov, Scenario, Traces, Uniform, evaluate
from mec_gym.envs.observation import ObservationCoder
from mec_gym.model.constants import constants_of
from mec_gym.model.cost import NO_TASK
from mec_gym.optimum import choice_costs

_PLACES = np.random.default_rng(0).uniform(0.0, 50.0, (4, 6, 2))
_PLACES[1, 2] = _PLACES[2, 5] = _PLACES[3] = np.nan

MOVING = Scenario(
    n_devices=6,
    n_servers=3,
    cycles=Uniform(1e9, 3e9),
    mobility=GaussMarkov(5.0),
    csi_delay_slots=1,
    migration_s=0.3,
    migration_j=0.2,
)
ABSENT = Scenario(
    n_devices=6,
    n_servers=3,
    data_bits=Uniform(4e5, 8e5),
    cycles=Uniform(1e9, 3e9),
    mobility=Traces(_PLACES, interval_s=1.0),
    migration_s=0.3,
)
SYSTEMS = pytest.mark.parametrize("scenario", [MOVING, ABSENT], ids=["moving", "absent"])
KINDS = pytest.mark.parametrize("kind", ["flat", "db", "raw"])


def env_of(scenario: Scenario, kind: str = "flat", copies: int = 4) -> Any:
    return gym.make_vec(ENV_ID, num_envs=copies, scenario=scenario, observation=kind)


def shown(scenario: Scenario, kind: str) -> Any:
    """Return observations after a slot of random decisions, in which some devices are absent."""
    env = env_of(scenario, kind)
    env.reset(seed=3)
    env.action_space.seed(0)
    return env.step(env.action_space.sample())[0]


@SYSTEMS
@KINDS
def test_columns_are_what_the_pettingzoo_env_shows(scenario: Scenario, kind: str) -> None:
    coder, seen = ColumnCoder(scenario, kind), shown(scenario, kind)
    wanted = np.stack([coder.coder.columns_of_servers(one) for one in seen])
    wanted = wanted.reshape(len(seen), 3, coder.n_rows, 6)
    found = coder.columns(torch.as_tensor(seen)).numpy()
    if kind == "raw":  # agents read the units of "db"
        found[:, :, 0] = coder.gains(torch.as_tensor(found, dtype=torch.float64)).numpy()
        flags = slice(1 + len(coder.coder.task_scales), None)
        np.testing.assert_allclose(found[:, :, 0], wanted[:, :, 0], rtol=1e-4)
        np.testing.assert_array_equal(found[:, :, flags], wanted[:, :, flags])
    else:
        np.testing.assert_array_equal(found, wanted)
    for one, rows in zip(seen, coder.columns(torch.as_tensor(seen)).numpy(), strict=True):
        np.testing.assert_array_equal(coder.columns_of_one(one), rows)


@SYSTEMS
@KINDS
def test_columns_tell_hosts_and_tasks(scenario: Scenario, kind: str) -> None:
    coder, seen = ColumnCoder(scenario, kind), shown(scenario, kind)
    slots = coder.coder.decode(seen)
    columns = coder.columns(torch.as_tensor(seen))
    hosts = coder.hosts(columns)
    assert hosts is not None
    np.testing.assert_array_equal(hosts.numpy(), slots.hosts)
    assert (slots.hosts > 0).any()
    bits, cycles = coder.tasks(columns[:, 0])
    np.testing.assert_allclose(bits.numpy(), slots.data_bits, rtol=1e-5)
    np.testing.assert_allclose(cycles.numpy(), slots.cycles, rtol=1e-5)
    assert (slots.cycles == NO_TASK).any() == scenario.absences


@SYSTEMS
def test_prices_know_what_a_move_costs(scenario: Scenario) -> None:
    """What offloading saves is local execution's cost less that of the link, moves included."""
    model = model_of("PricePolicy", scenario)
    seen = shown(scenario, "flat")
    slots = ObservationCoder(scenario, "flat").decode(seen)
    cost = choice_costs(constants_of(scenario, slots.gains), slots, np.array(True))
    saving, _ = model.policy.bank.savings(model.policy.columns(torch.as_tensor(seen)))
    wanted = (cost[..., :1] - cost[..., 1:]).swapaxes(1, 2)
    np.testing.assert_allclose(saving.numpy(), wanted, rtol=2e-4, atol=2e-4)


def model_of(policy: str, scenario: Scenario, **arguments: Any) -> DIRS:
    env = env_of(scenario, arguments.pop("kind", "flat"))
    usual = {"n_demonstrations": 8, "pretrain_steps": 3, "demonstration_generations": 5}
    return DIRS(policy, env, seed=0, device="cpu", **usual | arguments)


@SYSTEMS
@KINDS
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy"])
def test_an_agent_alone_answers_as_in_the_ensemble(
    policy: str, scenario: Scenario, kind: str
) -> None:
    model = model_of(policy, scenario, kind=kind).learn(12)
    seen = shown(scenario, kind)
    together = model.policy.bank.scores(model.policy.columns(torch.as_tensor(seen)))
    coder = ObservationCoder(scenario, kind)
    for j in range(3):
        agent = model.agent(j + 1)
        own = np.stack([coder.columns_of_servers(one)[j] for one in seen])
        np.testing.assert_allclose(agent.scores(own), together[:, j].detach(), rtol=1e-4, atol=1e-5)
        served = np.array([True, True, False, True, False, False])
        shares = agent.allocate(own[0], served).frequency_hz
        assert shares.sum() == pytest.approx(scenario.server_frequencies_hz[j])


@SYSTEMS
def test_demonstrations_show_hosts_and_no_more_than_is_seen(scenario: Scenario) -> None:
    observations, slots = demonstration_slots(scenario, 16, 0)
    assert 0.2 < (slots.hosts > 0).mean() < 0.8
    again = ObservationCoder(scenario, "flat").encode(slots)
    np.testing.assert_array_equal(again, observations)


@pytest.mark.parametrize("allocation", ["exact", "levy"])
@pytest.mark.parametrize("method", ["levy", "classic-levy", "epsilon-greedy", "none", "optimal"])
def test_labels_are_priced_with_their_moves(method: str, allocation: str) -> None:
    """What a refined decision is said to cost is what it costs, and no more than the one before."""
    slots = ObservationCoder(MOVING, "flat").decode(shown(MOVING, "flat"))
    rng = np.random.default_rng(0)
    start = rng.integers(4, size=(4, 6))
    search = LevySearch(population=4, generations=20, allocation=allocation)
    found = refine(MOVING, slots, start, rng, method=method, search=search)
    before, after = (evaluate(MOVING, slots, one).objective for one in (start, found.assignment))
    if allocation == "exact" or method not in ("levy", "classic-levy"):
        np.testing.assert_allclose(found.history[0], before, rtol=1e-9)
        np.testing.assert_allclose(found.history[-1], after, rtol=1e-9)
    else:  # f and p are searched, and no better than the best
        assert (found.history[-1] >= after * (1 - 1e-9)).all()
    assert (after <= before * (1 + 1e-9)).all() or allocation == "levy"
    unhosted = evaluate(MOVING, slots.hosted(None), found.assignment).objective
    assert (after <= unhosted).all()


@SYSTEMS
def test_a_central_network_sees_every_host(scenario: Scenario) -> None:
    """Who is hosted by whom changes its scores; one slot is decided as in a batch of them."""
    model = model_of("CentralPolicy", scenario).learn(12)
    coder, seen = ObservationCoder(scenario, "flat"), shown(scenario, "flat")
    slots = coder.decode(seen)
    found = []
    for host in range(4):
        moved = coder.encode(slots.hosted(np.full((4, 6), host)))
        columns = model.policy.columns(torch.as_tensor(moved))
        scores = model.policy.bank.scores(columns).detach().numpy()
        one = model.policy.bank.answers(model.policy.coder.columns_of_one(moved[0]))
        np.testing.assert_allclose(one, scores[0], rtol=1e-5, atol=1e-6)
        found.append(scores)
    for i in range(4):
        for j in range(i):
            assert np.abs(found[i] - found[j]).max() > 1e-4
