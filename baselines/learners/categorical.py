"""One categorical distribution for all devices at once, and the actor-critic policy with it.

Stable-Baselines3 keeps a list of N distributions for N devices and asks each in turn. Here one
tensor of shape (B, N, M + 1) holds the logits of all: the same numbers bit for bit, many times
faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete, Space
from numpy.typing import ArrayLike
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn
from torch.distributions import Categorical

from baselines.learners.learner import require_networks
from mec_gym.envs.sb3_model import AnyArray

Self = TypeVar("Self", bound="BatchedMultiCategorical")

TINY = 1e-30
"""Least scale of a value, so that there is always something to divide by."""


class BatchedMultiCategorical(MultiCategoricalDistribution):
    """N devices' independent choices among M + 1 things each, as one batched distribution.

    It takes the place of Stable-Baselines3's ``MultiCategoricalDistribution``: for equal logits
    `log_prob`, `entropy` and `mode` are equal bit for bit, and so is `sample` on the CPU where
    PyTorch's generator is in the same state.

    Examples
    --------
    >>> distribution = BatchedMultiCategorical(n_devices=2, n_choices=3)
    >>> distribution.proba_distribution(torch.tensor([[0.0, 2.0, 1.0, 5.0, 0.0, 0.0]])).mode()
    tensor([[1, 0]])
    """

    def __init__(self, n_devices: int, n_choices: int) -> None:
        super().__init__([n_choices] * n_devices)
        self.n_devices = n_devices
        self.n_choices = n_choices
        # Its base holds a list here.
        self.distribution: Categorical  # type: ignore[assignment]

    def proba_distribution(self: Self, action_logits: Tensor) -> Self:
        """Take logits, shape (B, N · (M + 1)), device by device; ``ValueError`` if any is NaN."""
        shape = (len(action_logits), self.n_devices, self.n_choices)
        # Its own checks look at everything several times.
        self.distribution = Categorical(logits=action_logits.view(shape), validate_args=False)
        if self.distribution.logits.isnan().any():
            raise ValueError(
                "the actor's logits are NaN: training has diverged, or an observation holds NaN. "
                "Try a lower learning_rate, or a finite max_grad_norm."
            )
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the logarithm of the probability of whole decisions, (B, N), shape (B,)."""
        terms: Tensor = self.distribution.log_prob(actions)  # type: ignore[no-untyped-call]
        return terms.sum(dim=1)

    def entropy(self) -> Tensor:
        """Return the entropy of whole decisions, shape (B,), [nat]."""
        terms: Tensor = self.distribution.entropy()  # type: ignore[no-untyped-call]
        return terms.sum(dim=1)

    def sample(self) -> Tensor:
        """Draw a decision for each row, shape (B, N)."""
        # Device by device, as a list of distributions would draw: then equal seeds draw alike.
        by_device = self.distribution.probs.transpose(0, 1).reshape(-1, self.n_choices)
        drawn = torch.multinomial(by_device, 1)
        return drawn.view(self.n_devices, -1).T.contiguous()

    def mode(self) -> Tensor:
        """Return each device's most probable choice, the first of equals, shape (B, N)."""
        return self.distribution.probs.argmax(dim=-1)


class ScaledValue(nn.Module):
    """A linear layer whose output is in the unit of what it learns: mean + scale · output.

    The layer starts at zero: before training, the value of every slot is the mean.
    """

    mean: Tensor
    scale: Tensor
    batches: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def follow(self, returns: Tensor, weight: float) -> None:
        """Move mean and scale towards those of returns, (B,), by `weight`, at first by more."""
        self.batches += 1
        weight = max(weight, 1.0 / float(self.batches))
        step = returns.mean() - self.mean
        variance = self.scale.square() if self.batches > 1 else self.scale.new_zeros(())
        spread = returns.var(unbiased=False) + (1 - weight) * step.square()
        self.scale.copy_((variance + weight * (spread - variance)).sqrt())
        self.mean += weight * step
        # Rewards that are all alike have no spread.
        self.scale.clamp_(min=max(1e-6 * abs(float(self.mean)), TINY))

    def forward(self, features: Tensor) -> Tensor:
        """Return values, shape (B, 1), of features, shape (B, n_features)."""
        return torch.addcmul(self.mean, self.scale, self.linear(features))


class OffloadingActorCriticPolicy(AnyArray, ActorCriticPolicy):
    """Actor and critic for assignments: Stable-Baselines3's policy with the fast distribution.

    For its A2C, PPO and all else that takes an ``ActorCriticPolicy``, whose arguments it has.

    Parameters
    ----------
    net_arch : list of int or mapping, optional
        Hidden widths of actor and critic both, or ``{"pi": actor's, "vf": critic's}``.
    can_execute_locally : bool array_like, shape (N,), optional
        Devices that may take choice 0; all by default. Others choose it with probability 0. It is
        ``Scenario.can_execute_locally``; :class:`~baselines.ActorCritic` asks the env for it, other
        algorithms take ``policy_kwargs={"can_execute_locally": ...}``.

    Raises
    ------
    TypeError
        For actions that are not N choices among M + 1 each.
    ValueError
        If `can_execute_locally` has another shape, or `net_arch` does not hold hidden widths.

    Examples
    --------
    >>> from stable_baselines3 import PPO
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> env = make_sb3_vec_env("paper-200x10", n_envs=4, seed=0)
    >>> model = PPO(OffloadingActorCriticPolicy, env, n_steps=4, batch_size=8).learn(16)
    """

    illegal: Tensor | None

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        lr_schedule: Schedule,
        net_arch: Any = None,
        *args: Any,
        can_execute_locally: ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        self._sizes = _sizes_of(action_space)
        self.n_devices, _ = self._sizes
        net_arch = require_networks(net_arch, ("pi", "vf"), all_of_them=False)
        super().__init__(observation_space, action_space, lr_schedule, net_arch, *args, **kwargs)
        self.register_buffer("illegal", None, persistent=False)
        self.set_legal(can_execute_locally)

    def set_legal(self, can_execute_locally: ArrayLike | None) -> None:
        """Say which devices, shape (N,), may execute locally, choice 0; all by default."""
        devices, choices = self._sizes
        may = np.ones(devices, bool) if can_execute_locally is None else can_execute_locally
        may = np.asarray(may, dtype=bool)
        if may.shape != (devices,):
            raise ValueError(
                f"can_execute_locally must have shape ({devices},), one bool for each device; got "
                f"shape {may.shape}. Scenario.can_execute_locally has it."
            )
        self.can_execute_locally: Sequence[bool] = may.tolist()
        illegal = torch.zeros(devices, choices, dtype=torch.bool)
        illegal[:, 0] = torch.as_tensor(~may)
        self.illegal = None if may.all() else illegal.flatten().to(self.device)

    def _build(self, lr_schedule: Schedule) -> None:
        self.action_dist = BatchedMultiCategorical(*self._sizes)
        self._build_networks(lr_schedule)
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def _build_networks(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        # Initialised by now: orthogonal weights and their random numbers are those of the base.
        self.value_net = ScaledValue(self.mlp_extractor.latent_dim_vf)  # type: ignore[assignment]

    def _logits(self, latent_pi: Tensor) -> Tensor:
        logits: Tensor = self.action_net(latent_pi)
        return logits

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> BatchedMultiCategorical:
        logits = self._logits(latent_pi)
        if self.illegal is not None:
            logits = logits.masked_fill(self.illegal, -torch.inf)
        assert isinstance(self.action_dist, BatchedMultiCategorical)
        return self.action_dist.proba_distribution(logits)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        kept = super()._get_constructor_parameters()
        return kept | {"can_execute_locally": self.can_execute_locally}


def _sizes_of(space: Space[Any]) -> tuple[int, int]:
    """Return how many choose, and among how many choices each."""
    if not isinstance(space, MultiDiscrete) or space.nvec.ndim != 1 or np.ptp(space.nvec) > 0:
        raise TypeError(
            "action_space must be MultiDiscrete with as many choices for every device, as "
            f"gymnasium.make('mec_gym/MultiMEC-v0', scenario=...) has it; got {space}. Leave out "
            "ScoreAction, scores=True or whatever else changes the actions."
        )
    return len(space.nvec), int(space.nvec[0])
