"""Agents see their own column alone; stacked networks are separate networks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from dirs_agents.banks import EnsembleBank, StackedMLP
from dirs_agents.columns import ColumnCoder
from dirs_agents.policies import EnsemblePolicy
from dirs_agents.prices import PriceBank
from mec_gym import Scenario, parallel_env
from mec_gym.envs.observation import ObservationCoder
from tests.dirs_agents.dirs_helpers import (
    FORCED,
    SCENARIOS,
    SMALL,
    TASKS,
    make_env,
    make_model,
    observations_of,
    shaken,
    slots_of,
)

KINDS = ("db", "raw", "flat")
AGENTS = ("EnsemblePolicy", "PricePolicy")


def model_of(policy: str, scenario: Scenario, kind: str) -> Any:
    return shaken(make_model(policy, make_env(scenario, observation=kind)))


def scores_of(model: Any, observations: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        columns = model.policy.columns(torch.as_tensor(observations))
        return model.policy.decide(columns)[1].numpy()


# -- columns ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_columns_are_what_the_multi_agent_env_shows(scenario: Scenario, kind: str) -> None:
    pytest.importorskip("pettingzoo")
    env = parallel_env(scenario, observation="db")
    shown, _ = env.reset(seed=3)
    single = make_env(scenario, observation=kind)
    observation, _ = single.reset(seed=3)
    columns = ColumnCoder(scenario, kind).columns(torch.as_tensor(observation)[None])[0]
    for agent, column in zip(env.possible_agents, columns, strict=True):
        # The raw observation is rounded before the logarithm, the others after it.
        np.testing.assert_allclose(column.ravel().numpy(), shown[agent], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_columns_give_back_gains_and_tasks(scenario: Scenario, kind: str) -> None:
    slots = slots_of(scenario, 3)
    coder = ColumnCoder(scenario, kind)
    observations = torch.as_tensor(ObservationCoder(scenario, kind).encode(slots))
    columns = coder.columns(observations)
    bits, cycles = coder.tasks(columns)
    np.testing.assert_allclose(
        coder.gains(columns).numpy(), slots.gains.transpose(0, 2, 1), rtol=1e-5
    )
    for server in range(scenario.n_servers):
        np.testing.assert_allclose(bits[:, server].numpy(), slots.data_bits, rtol=1e-6)
        np.testing.assert_allclose(cycles[:, server].numpy(), slots.cycles, rtol=1e-6)


# -- one slot by NumPy -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "CentralPolicy"])
def test_numpy_answers_for_one_slot_as_torch_does(
    policy: str, scenario: Scenario, kind: str
) -> None:
    model = model_of(policy, scenario, kind)
    observations = observations_of(scenario, 4, kind)
    coder, bank = model.policy.coder, model.policy.bank
    with torch.no_grad():
        columns = coder.columns(torch.as_tensor(observations))
        scores = bank.scores(columns).numpy()
    alone = np.stack([bank.answers(coder.columns_of_one(one)) for one in observations])
    for one, column in zip(observations, columns.numpy(), strict=True):
        np.testing.assert_array_equal(coder.columns_of_one(one), column)
    np.testing.assert_allclose(alone, scores, rtol=1e-5, atol=1e-6)
    assert np.ptp(scores) > 0.1  # networks that say something
    batch = model.predict(observations)[0]
    singles = np.stack([model.predict(one)[0] for one in observations])
    first, second = np.sort(scores, axis=1)[:, -1], np.sort(scores, axis=1)[:, -2:].min(axis=1)
    clear = (np.abs(first - 0.5) > 1e-5) & ((first - second > 1e-5) | (scores.shape[1] == 1))
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(singles[clear], batch[clear])


class Contrary(EnsemblePolicy):
    """Swaps local execution and the last server."""

    def decide(self, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        decision, scores = super().decide(columns)
        return scores.shape[1] - decision, scores


class Mute(EnsembleBank):
    """Claims no device."""

    def scores(self, columns: torch.Tensor) -> torch.Tensor:
        return torch.zeros(columns.shape[0], columns.shape[1], columns.shape[-1])


class MutePrices(PriceBank):
    """Claims no device."""

    def scores(self, columns: torch.Tensor) -> torch.Tensor:
        return torch.zeros(columns.shape[0], columns.shape[1], columns.shape[-1])


@pytest.mark.parametrize(
    ("policy", "bank"), [("EnsemblePolicy", Mute), ("PricePolicy", MutePrices)]
)
def test_a_bank_that_scores_otherwise_counts_for_one_slot(policy: str, bank: type) -> None:
    env = make_env(SMALL)
    model = make_model(policy, env)
    one = env.reset(seed=0)[0]
    assert model.predict(one)[0].any()
    model.policy.bank.__class__ = bank
    assert not model.predict(one)[0].any()
    assert not model.predict(one[None])[0].any()


@pytest.mark.parametrize("how", ["subclassed", "replaced"])
def test_what_another_policy_decides_counts_for_one_slot(how: str) -> None:
    env = make_env(SMALL)
    model = make_model(Contrary if how == "subclassed" else EnsemblePolicy, env)
    one = env.reset(seed=0)[0]
    plain = make_model(EnsemblePolicy, env)
    plain.policy.load_state_dict(model.policy.state_dict())
    model.policy.__class__ = Contrary
    np.testing.assert_array_equal(model.predict(one)[0], SMALL.n_servers - plain.predict(one)[0])


# -- an agent's scores depend on its own column alone --------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("policy", AGENTS)
def test_other_servers_gains_change_nothing(policy: str, scenario: Scenario, kind: str) -> None:
    model = model_of(policy, scenario, kind)
    observations = observations_of(scenario, 4, kind)
    foreign = observations_of(scenario, 4, kind, seed=9)
    before = scores_of(model, observations)
    table = (4, scenario.n_devices, -1)
    for server in range(scenario.n_servers):
        others = [j for j in range(scenario.n_servers) if j != server]
        changed = observations.reshape(table).copy()
        changed[..., others] = foreign.reshape(table)[..., others]
        after = scores_of(model, changed.reshape(observations.shape))
        np.testing.assert_array_equal(after[:, server], before[:, server])
        assert (after[:, others] != before[:, others]).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", AGENTS)
def test_an_agents_own_gains_and_tasks_change_its_scores(policy: str, kind: str) -> None:
    model = model_of(policy, TASKS, kind)
    observations = observations_of(TASKS, 4, kind)
    foreign = observations_of(TASKS, 4, kind, seed=9).reshape(4, 6, 5)
    before = scores_of(model, observations)
    for column in range(5):
        changed = observations.reshape(4, 6, 5).copy()
        changed[..., column] = foreign[..., column]
        after = scores_of(model, changed.reshape(observations.shape))
        touched = (after != before).any(axis=(0, 2))
        wanted = [j == column or column >= 3 for j in range(3)]
        assert touched.tolist() == wanted, f"column {column}"


def test_the_central_network_sees_all_gains() -> None:
    model = model_of("CentralPolicy", SMALL, "db")
    observations = observations_of(SMALL, 4)
    changed = observations.copy()
    changed[..., 1] += 0.5
    assert (scores_of(model, changed)[:, 0] != scores_of(model, observations)[:, 0]).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("policy", AGENTS)
def test_an_agent_taken_out_answers_as_in_the_ensemble(
    policy: str, scenario: Scenario, kind: str
) -> None:
    model = model_of(policy, scenario, kind)
    observations = observations_of(scenario, 3, kind)
    together = scores_of(model, observations)
    table = observations.reshape(3, scenario.n_devices, -1)
    for server in range(scenario.n_servers):
        rows = [table[..., server], *np.moveaxis(table[..., scenario.n_servers :], -1, 0)]
        own = np.concatenate(rows, axis=-1)
        agent = model.agent(server + 1)
        # Batched and single matrix products may add in another order.
        np.testing.assert_allclose(agent.scores(own), together[:, server], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(agent.scores(own[1]), together[1, server], rtol=1e-5, atol=1e-6)


def test_an_agent_is_a_copy() -> None:
    for policy in AGENTS:
        model = model_of(policy, TASKS, "db")
        agent = model.agent(2)
        own = observations_of(TASKS, 1, "db")[0][:, [1, 3, 4]].T.ravel()
        before = agent.scores(own)
        shaken(model, 5)
        np.testing.assert_array_equal(agent.scores(own), before)
        assert (model.agent(2).scores(own) != before).any()


# -- networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(5, 3), (7, 6, 4, 3)])
def test_stacked_networks_are_separate_networks(sizes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    stacked = StackedMLP(3, sizes).double()
    with torch.no_grad():
        for bias in stacked.biases:
            bias.normal_()
    inputs = torch.randn(3, 11, sizes[0], dtype=torch.float64, requires_grad=True)
    outputs = stacked(inputs)
    outputs.square().sum().backward()
    for index in range(3):
        layers: list[torch.nn.Module] = []
        for weight, bias in zip(stacked.weights, stacked.biases, strict=True):
            linear = torch.nn.Linear(weight.shape[1], weight.shape[2], dtype=torch.float64)
            linear.load_state_dict({"weight": weight[index].T, "bias": bias[index, 0]})
            layers += [linear, torch.nn.ReLU()]
        alone = torch.nn.Sequential(*layers[:-1])
        found = alone(inputs[index].detach())
        torch.testing.assert_close(outputs[index], found, rtol=1e-12, atol=1e-12)
        found.square().sum().backward()
        linears = [layer for layer in alone if isinstance(layer, torch.nn.Linear)]
        for layer, linear in enumerate(linears):
            theirs, mine = linear.weight.grad, stacked.weights[layer].grad
            assert theirs is not None
            assert mine is not None
            torch.testing.assert_close(mine[index], theirs.T, rtol=1e-10, atol=1e-10)


def test_single_is_one_row_of_the_stack() -> None:
    torch.manual_seed(0)
    stacked = StackedMLP(4, [5, 6, 2]).double()
    inputs = torch.randn(4, 3, 5, dtype=torch.float64)
    outputs = stacked(inputs)
    for index in range(4):
        one = stacked.single(index).double()
        torch.testing.assert_close(one(inputs[index : index + 1])[0], outputs[index])


def test_networks_begin_different_from_each_other_and_within_glorots_bounds() -> None:
    torch.manual_seed(0)
    stacked = StackedMLP(3, [200, 100, 50])
    for weight, bias in zip(stacked.weights, stacked.biases, strict=True):
        assert not torch.equal(weight[0], weight[1])
        assert float(weight.detach().std()) == pytest.approx(
            (2.0 / (weight.shape[1] + weight.shape[2])) ** 0.5, rel=0.02
        )
        assert not bias.any()


# -- symmetry ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [SMALL, TASKS], ids=["small", "tasks"])
def test_price_policy_does_not_know_the_order_of_devices(scenario: Scenario) -> None:
    model = model_of("PricePolicy", scenario, "db")
    observations = observations_of(scenario, 5, "db")
    order = np.random.default_rng(0).permutation(scenario.n_devices)
    before = scores_of(model, observations)
    after = scores_of(model, observations[:, order])
    # Sums over devices in another order.
    np.testing.assert_allclose(after, before[..., order], rtol=2e-5, atol=2e-6)


def test_price_policy_does_not_know_the_order_of_equal_servers() -> None:
    scenario = SMALL.replace(n_servers=3, server_positions="kmeans")
    model = model_of("PricePolicy", scenario, "db")
    observations = observations_of(scenario, 5, "db")
    order = [2, 0, 1]
    before = scores_of(model, observations)
    np.testing.assert_allclose(
        scores_of(model, observations[..., order]), before[:, order], rtol=1e-5, atol=1e-6
    )


def test_a_batch_decides_as_its_rows() -> None:
    for policy in (*AGENTS, "CentralPolicy"):
        model = model_of(policy, FORCED, "db")
        observations = observations_of(FORCED, 7)
        batch, _ = model.predict(observations)
        rows = [model.predict(one)[0] for one in observations]
        np.testing.assert_array_equal(batch, rows)


@pytest.fixture
def every_warning() -> Iterator[None]:
    """PyTorch warns of an array that nobody may write to once in a process only."""
    torch.set_warn_always(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.set_warn_always(False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
@pytest.mark.usefixtures("every_warning")
def test_observations_that_nobody_may_write_to_are_decided_alike(policy: str, kind: str) -> None:
    model = model_of(policy, TASKS, kind)
    free = observations_of(TASKS, 3, kind)
    locked = free.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(model.predict(locked)[0], model.predict(free)[0])
    for one, other in zip(locked, free, strict=True):
        np.testing.assert_array_equal(model.predict(one)[0], model.predict(other)[0])
    if policy == "CentralPolicy":
        return
    table = free[0].reshape(TASKS.n_devices, -1).T
    agent, column = model.agent(1), np.concatenate([table[0], table[TASKS.n_servers :].ravel()])
    mask = np.ones(TASKS.n_devices, dtype=bool)
    expected = agent.scores(column), agent.admits(column, mask)
    column.flags.writeable = mask.flags.writeable = False
    np.testing.assert_array_equal(agent.scores(column), expected[0])
    np.testing.assert_array_equal(agent.admits(column, mask), expected[1])
