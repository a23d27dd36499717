"""Losses (14), (16) and (17) against plain loops, and the weight decay that is their L2 term."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from dirs_agents.losses import decision_loss, total_loss
from tests.dirs_agents.dirs_helpers import SMALL, TASKS, make_model, observations_of, shaken


def logistic(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def cross_entropy_by_loops(logits: Any, assignment: Any) -> list[list[float]]:
    """Inside the sums over k of eqs. (14) and (17), for each sample and agent."""
    found = []
    for sample, decision in zip(logits, assignment, strict=True):
        row = []
        for j, scores in enumerate(sample, 1):
            total = 0.0
            for z, a in zip(scores, decision, strict=True):
                target = 1.0 if a == j else 0.0
                pi = logistic(z)
                total -= target * math.log(pi) + (1.0 - target) * math.log(1.0 - pi)
            row.append(total)
        found.append(row)
    return found


def eq_16_by_loops(losses: Any, demonstrated: Any, weight: float) -> list[float]:
    found = []
    for j in range(len(losses[0])):
        ours = [row[j] for row, demo in zip(losses, demonstrated, strict=True) if not demo]
        theirs = [row[j] for row, demo in zip(losses, demonstrated, strict=True) if demo]
        mean_d = sum(theirs) / len(theirs) if theirs else 0.0
        mean_a = sum(ours) / len(ours) if ours else 0.0
        found.append(mean_d + weight * mean_a)
    return found


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.as_tensor(rng.normal(0.0, 3.0, (7, 3, 5))),
        torch.as_tensor(rng.integers(0, 4, (7, 5))),
    )


def test_binary_loss_is_the_cross_entropy_of_eq_14() -> None:
    logits, assignment = batch()
    wanted = cross_entropy_by_loops(logits.tolist(), assignment.tolist())
    torch.testing.assert_close(
        decision_loss(logits, assignment), torch.tensor(wanted, dtype=torch.float64)
    )


def test_binary_loss_stays_finite_where_a_logarithm_would_not() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    loss = decision_loss(logits, torch.tensor([[0, 1]]))
    assert float(loss.detach()) == pytest.approx(400.0)
    loss.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_vote_loss_is_the_categorical_over_local_and_servers() -> None:
    logits, assignment = batch()
    choices = torch.cat([torch.zeros(7, 1, 5, dtype=torch.float64), logits], dim=1)
    law = torch.distributions.Categorical(logits=choices.transpose(1, 2))
    wanted = -law.log_prob(assignment).sum(-1, keepdim=True)
    torch.testing.assert_close(decision_loss(logits, assignment, "vote"), wanted)


@pytest.mark.parametrize("kind", ["binary", "vote"])
def test_the_vote_of_the_decision_itself_has_the_least_loss(kind: str) -> None:
    _, assignment = batch()
    servers = torch.arange(1, 4)
    perfect = torch.where(assignment[:, None] == servers[:, None], 40.0, -40.0)
    assert float(decision_loss(perfect, assignment, kind).max()) < 1e-10


@pytest.mark.parametrize(
    "demonstrated",
    [
        [True, False, True, True, False, False, True],
        [True] + [False] * 6,
        [True] * 6 + [False],
        [True] * 7,
        [False] * 7,
    ],
)
@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_total_loss_is_eq_16(demonstrated: list[bool], weight: float) -> None:
    losses = torch.as_tensor(np.random.default_rng(0).random((7, 3)))
    wanted = eq_16_by_loops(losses.tolist(), demonstrated, weight)
    found = total_loss(losses, torch.tensor(demonstrated), weight)
    # The means' weights are float32.
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


def test_repeating_all_samples_of_a_kind_changes_nothing() -> None:
    losses = torch.as_tensor(np.random.default_rng(0).random((4, 3)))
    demonstrated = torch.tensor([True, True, False, False])
    twice = torch.cat([losses, losses[2:], losses[2:]])
    marks = torch.tensor([True, True] + [False] * 6)
    torch.testing.assert_close(total_loss(twice, marks, 0.7), total_loss(losses, demonstrated, 0.7))


# -- the gradient step ------------------------------------------------------------------------


def one_step(model: Any, *, own_pairs: int, demonstrations: int) -> Any:
    observations = observations_of(model.scenario, own_pairs + demonstrations)
    rng = np.random.default_rng(3)
    choices = model.scenario.n_servers + 1
    decisions = rng.integers(0, choices, (len(observations), model.scenario.n_devices))
    if demonstrations:
        model.replay_buffer.add(
            observations[:demonstrations], decisions[:demonstrations], demonstrated=True
        )
    if own_pairs:
        model.replay_buffer.add(observations[demonstrations:], decisions[demonstrations:])
    model._current_progress_remaining = 1.0
    model.set_logger(quiet())
    model._train(1)
    return model


def quiet() -> Any:
    from stable_baselines3.common.logger import Logger

    return Logger(None, [])


def step_by_the_loss(model: Any, batch: Any, l2: float) -> list[torch.Tensor]:
    """One Adam step on the sum over agents of (16), with the L2 term written out."""
    parameters = list(model.policy.parameters())
    adam = torch.optim.Adam(parameters, lr=1e-3)
    logits = model.policy.bank(model.policy.columns(torch.as_tensor(batch.observations)))
    losses = decision_loss(
        logits, torch.as_tensor(batch.assignments), model.loss or model.policy.default_loss
    )
    total = total_loss(losses, torch.as_tensor(batch.demonstrated), model.agent_loss_weight).sum()
    total = total + l2 * sum(weight.square().sum() for weight in parameters)
    adam.zero_grad()
    total.backward()
    adam.step()
    return parameters


@pytest.mark.parametrize("mix", [(5, 5), (0, 6), (6, 0)], ids=["both", "demonstrations", "own"])
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_a_gradient_step_minimises_eq_16_with_its_l2_term(
    policy: str, mix: tuple[int, int]
) -> None:
    l2 = 0.05
    ours = shaken(make_model(policy, scenario=TASKS, l2_weight=l2, agent_loss_weight=0.7))
    theirs = shaken(make_model(policy, scenario=TASKS, l2_weight=0.0, agent_loss_weight=0.7))
    own, demonstrations = mix
    rng_state = ours.rng.bit_generator.state
    one_step(ours, own_pairs=own, demonstrations=demonstrations)
    theirs.replay_buffer.set_state(ours.replay_buffer.get_state())
    rng = np.random.default_rng()
    rng.bit_generator.state = rng_state
    fresh = theirs.replay_buffer
    fresh._change[:] = 1.0  # as it was before the step
    fresh._loss[:] = np.nan
    drawn = fresh.sample(ours.batch_size, rng)
    wanted = step_by_the_loss(theirs, drawn, l2)
    for mine, other in zip(ours.policy.parameters(), wanted, strict=True):
        torch.testing.assert_close(mine.detach(), other.detach(), rtol=1e-5, atol=2e-7)


def test_l2_weight_draws_weights_towards_zero() -> None:
    norms = []
    for l2 in (0.0, 10.0):
        model = make_model(scenario=SMALL, l2_weight=l2)
        model.learn(9)
        norms.append(sum(float(p.detach().square().sum()) for p in model.policy.parameters()))
    assert norms[1] < norms[0]


def test_the_policy_chooses_its_loss_and_can_be_overruled() -> None:
    assert make_model("EnsemblePolicy").policy.default_loss == "binary"
    assert make_model("CentralPolicy").policy.default_loss == "binary"
    assert make_model("PricePolicy").policy.default_loss == "vote"
    weights = []
    for loss in (None, "binary", "vote"):
        model = make_model("EnsemblePolicy", loss=loss).learn(3)
        weights.append([p.detach().numpy().copy() for p in model.policy.parameters()])
    same = [np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True)]
    other = [np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True)]
    assert all(same)
    assert not all(other)


def test_an_agents_gradient_comes_from_its_own_loss_alone() -> None:
    model = shaken(make_model("EnsemblePolicy", scenario=TASKS))
    observations = torch.as_tensor(observations_of(TASKS, 4))
    assignment = torch.as_tensor(np.random.default_rng(0).integers(0, 4, (4, 6)))
    logits = model.policy.bank(model.policy.columns(observations))
    losses = total_loss(decision_loss(logits, assignment), torch.ones(4, dtype=torch.bool), 1.0)
    losses[1].backward()  # type: ignore[no-untyped-call]
    for weight in model.policy.parameters():
        assert weight.grad is not None
        moved = weight.grad.abs().flatten(1).sum(1) > 0
        assert moved.tolist() == [False, True, False]
