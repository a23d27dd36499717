"""The batched distribution is Stable-Baselines3's, bit for bit, and serves its algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from scipy import stats
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import set_random_seed

from baselines.learners import BatchedMultiCategorical, OffloadingActorCriticPolicy
from baselines.learners.categorical import ScaledValue
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env

SHAPES = [(1, 1, 1), (1, 3, 2), (7, 8, 3), (64, 30, 2), (5, 200, 10), (33, 17, 15), (3, 5, 40)]
SCALES = [0.01, 1.0, 30.0]
FORCED = Scenario(n_devices=4, n_servers=2, max_power_w=[0.5, 1.5, 1.5, 0.5], name="forced")
"""The first and the last device cannot execute locally."""

each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_scale = pytest.mark.parametrize("scale", SCALES)
masked = pytest.mark.parametrize("illegal", [False, True], ids=["", "masked"])


def logits_of(shape: tuple[int, int, int], scale: float, illegal: bool) -> Any:
    generator = torch.Generator().manual_seed(0)
    batch, devices, servers = shape
    logits = scale * torch.randn(batch, devices, servers + 1, generator=generator)
    if illegal:  # for every second device
        logits[:, ::2, 0] = -torch.inf
    return logits.reshape(batch, -1).requires_grad_()


def both(shape: tuple[int, int, int], logits: Any) -> tuple[Any, Any]:
    _, devices, servers = shape
    ours = BatchedMultiCategorical(devices, servers + 1).proba_distribution(logits)
    theirs = MultiCategoricalDistribution([servers + 1] * devices).proba_distribution(logits)
    return ours, theirs


def seeded(draw: Any, seed: int = 5) -> tuple[Any, Any]:
    """What is drawn, and what the generator gives next."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return draw(), torch.rand(3)


@masked
@each_scale
@each_shape
def test_it_is_the_list_of_distributions_bit_for_bit(
    shape: tuple[int, int, int], scale: float, illegal: bool
) -> None:
    ours, theirs = both(shape, logits_of(shape, scale, illegal))
    actions, _ = seeded(theirs.sample)
    for mine, reference in (
        (ours.distribution.probs, torch.stack([one.probs for one in theirs.distribution], 1)),
        (ours.log_prob(actions), theirs.log_prob(actions)),
        (ours.entropy(), theirs.entropy()),
        (ours.mode(), theirs.mode()),
    ):
        assert mine.dtype == reference.dtype
        assert torch.equal(mine, reference)
    assert torch.isfinite(ours.log_prob(actions)).all()


@masked
@each_shape
def test_equal_seeds_draw_equal_decisions(shape: tuple[int, int, int], illegal: bool) -> None:
    ours, theirs = both(shape, logits_of(shape, 1.0, illegal))
    for mine, reference in zip(seeded(ours.sample), seeded(theirs.sample), strict=True):
        assert torch.equal(mine, reference)


@masked
@each_shape
def test_gradients_are_those_of_the_list(shape: tuple[int, int, int], illegal: bool) -> None:
    gradients = []
    for index in range(2):
        logits = logits_of(shape, 1.0, illegal)
        one = both(shape, logits)[index]
        actions, _ = seeded(both(shape, logits)[1].sample)
        (one.log_prob(actions) + 0.1 * one.entropy()).sum().backward()
        gradients.append(logits.grad)
    assert torch.isfinite(gradients[0]).all()
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)  # single precision


def test_frequencies_of_draws_are_the_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0, -torch.inf, 0.5, 0.0]]).expand(20_000, 6)
    distribution = BatchedMultiCategorical(2, 3).proba_distribution(logits)
    drawn, _ = seeded(distribution.sample)
    for device in range(2):
        expected = distribution.distribution.probs[0, device].double().numpy()
        expected *= len(drawn) / expected.sum()  # beyond single precision
        counts = np.bincount(drawn[:, device].numpy(), minlength=3)
        assert (counts[expected == 0] == 0).all()
        possible = expected > 0
        assert stats.chisquare(counts[possible], expected[possible]).pvalue > 0.001
    # Devices choose independently.
    pairs = np.bincount(drawn[:, 0].numpy() * 3 + drawn[:, 1].numpy(), minlength=9).reshape(3, 3)
    assert stats.chi2_contingency(pairs[:, 1:]).pvalue > 0.001


def test_logits_that_are_nan_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits are NaN.*learning_rate"):
        BatchedMultiCategorical(2, 2).proba_distribution(torch.full((1, 4), torch.nan))


# -- the policy -----------------------------------------------------------------------------------


def stock_and_fast(algorithm: Any, **settings: Any) -> list[Any]:
    models = []
    for policy in (ActorCriticPolicy, OffloadingActorCriticPolicy):
        env = make_sb3_vec_env("paper-30x2", n_envs=2)
        models.append(algorithm(policy, env, seed=3, device="cpu", **settings))
    stock = models[0]
    # The value head starts at zero; let both begin alike.
    torch.nn.init.zeros_(stock.policy.value_net.weight)
    return models


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [(A2C, {"n_steps": 4}), (PPO, {"n_steps": 8, "batch_size": 8, "n_epochs": 2})],
)
def test_an_algorithm_draws_and_learns_as_with_its_own_policy(
    algorithm: Any, settings: dict[str, Any]
) -> None:
    stock, fast = stock_and_fast(algorithm, **settings)
    observations = make_sb3_vec_env("paper-30x2", n_envs=50, seed=9).reset()
    for deterministic in (True, False):
        drawn = []
        for model in (stock, fast):
            torch.manual_seed(1)
            drawn.append(model.predict(observations, deterministic=deterministic)[0])
        np.testing.assert_array_equal(*drawn)
    for model in (stock, fast):
        set_random_seed(2)
        model.learn(16)
    for name in ("action_net", "mlp_extractor"):
        mine, reference = (getattr(one.policy, name).state_dict() for one in (fast, stock))
        for key in reference:
            torch.testing.assert_close(mine[key], reference[key], rtol=1e-4, atol=1e-6)


def test_devices_that_cannot_execute_locally_never_choose_to() -> None:
    env = make_sb3_vec_env(FORCED, n_envs=4, seed=0)
    kwargs = {"can_execute_locally": FORCED.can_execute_locally}
    model = PPO(
        OffloadingActorCriticPolicy, env, n_steps=16, batch_size=32, policy_kwargs=kwargs, seed=0
    )
    # The env refuses the choice: that this runs is the test.
    model.learn(256)
    assert all(torch.isfinite(weight).all() for weight in model.policy.parameters())
    distribution = model.policy.get_distribution(torch.as_tensor(env.reset())).distribution
    assert (distribution.probs[:, [0, 3], 0] == 0).all()
    assert (distribution.probs[:, [1, 2], 0] > 0).all()
    with pytest.raises(ValueError, match=r"eq\. \(7\)"):
        PPO(OffloadingActorCriticPolicy, env, n_steps=64, seed=0).learn(256)


def test_a_policy_is_saved_and_loaded_alone(tmp_path: Any) -> None:
    env = make_sb3_vec_env(FORCED, n_envs=8, seed=0)
    kwargs = {"can_execute_locally": FORCED.can_execute_locally}
    policy = A2C(OffloadingActorCriticPolicy, env, policy_kwargs=kwargs, seed=0).policy
    policy.save(tmp_path / "policy")
    again = OffloadingActorCriticPolicy.load(tmp_path / "policy", device="cpu")
    observations = env.reset()
    for deterministic in (True, False):
        actions = []
        for one in (policy, again):
            torch.manual_seed(0)
            actions.append(one.predict(observations, deterministic=deterministic)[0])
        np.testing.assert_array_equal(*actions)
    assert (actions[0][:, [0, 3]] > 0).all()


@pytest.mark.parametrize(
    "space", [Box(0, 1, (4,)), Discrete(3), MultiDiscrete([3, 4]), MultiDiscrete([[3, 3]])], ids=str
)
def test_other_action_spaces_are_refused(space: Any) -> None:
    with pytest.raises(TypeError, match=r"action_space must be MultiDiscrete.*got"):
        OffloadingActorCriticPolicy(Box(0, 1, (4,)), space, lambda _: 1e-3)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"can_execute_locally must have shape \(2,\).*\(3,\)"):
        OffloadingActorCriticPolicy(
            Box(0, 1, (4,)),
            MultiDiscrete([3, 3]),
            lambda _: 1e-3,
            can_execute_locally=[True, True, False],
        )


# -- the critic's unit ----------------------------------------------------------------------------


def test_the_values_unit_follows_returns() -> None:
    returns = torch.randn(40, 25, generator=torch.Generator().manual_seed(0)) * 1e-4 + 3e-3
    head = ScaledValue(3)
    for batch in returns:
        head.follow(batch, weight=0.0)  # all batches alike
    wanted = returns.double()
    assert head.mean.item() == pytest.approx(wanted.mean().item(), rel=1e-5)
    assert head.scale.item() == pytest.approx(wanted.std(unbiased=False).item(), rel=1e-3)
    for batch in returns + 1.0:
        head.follow(batch, weight=0.5)
    assert head.mean.item() == pytest.approx(1.003, abs=1e-3), "old returns are forgotten"


def test_returns_that_are_all_alike_leave_a_unit() -> None:
    head = ScaledValue(3)
    for value in (0.0, 2.0, 2.0):
        head.follow(torch.full((4,), value), weight=1.0)
        assert torch.isfinite(head(torch.ones(1, 3))).all()
        assert head.scale > 0
