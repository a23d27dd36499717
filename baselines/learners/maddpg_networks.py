"""The networks of MADDPG: all agents' actors, and the critics that see everything.

Layers of M networks are one batched product; gradients are clipped network by network.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import get_actor_critic_arch
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from baselines.learners.learner import OFF_POLICY_NETWORKS, require_networks
from mec_gym.envs.sb3_model import AnyArray
from mec_gym.validation import require_bool

CRITICS = ("shared", "per-agent")

NETWORKS = {"pi": [128, 128], "qf": [256, 128]}
"""Hidden widths of one actor and of one critic, where nothing else is said."""


class Stack(nn.Module):
    """K fully connected layers of equal shape, each with weights of variance gain² / inputs."""

    def __init__(self, n_layers: int, n_inputs: int, n_outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_layers, n_inputs, n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_layers, 1, n_outputs))
        bound = gain * (3.0 / n_inputs) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """Run every layer on its own inputs, shape (K, B, inputs)."""
        return torch.baddbmm(self.bias, inputs, self.weight)


class StackedNorm(nn.Module):
    """Layer normalisation with a scale and an offset for each of K networks."""

    def __init__(self, n_networks: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_networks, 1, width))
        self.offset = nn.Parameter(torch.zeros(n_networks, 1, width))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise each row of inputs, shape (K, B, width), then scale and shift it."""
        normal = nn.functional.layer_norm(inputs, inputs.shape[-1:])
        return torch.addcmul(self.offset, normal, self.scale)


def hidden_stack(n_networks: int, widths: Sequence[int], layer_norm: bool) -> list[nn.Module]:
    """Return what follows the first layer of K networks, up to the last of hidden `widths`."""

    def activated(width: int) -> list[nn.Module]:
        norm: list[nn.Module] = [StackedNorm(n_networks, width)] if layer_norm else []
        return [*norm, nn.ReLU()]

    parts = activated(widths[0])
    for inputs, outputs in itertools.pairwise(widths):
        parts += [Stack(n_networks, inputs, outputs, gain=2**0.5), *activated(outputs)]
    return parts


def clip_each(stacked: nn.Module, limit: float) -> Tensor:
    """Shorten the gradients of M stacked networks to a limit; return their lengths, (M,)."""
    gradients = [part.grad for part in stacked.parameters() if part.grad is not None]
    squares = torch.stack([gradient.square().sum((1, 2)) for gradient in gradients])
    norms = squares.sum(0).sqrt()
    factors = (limit / norms.clamp(min=1e-12)).clamp(max=1.0)[:, None, None]
    for gradient in gradients:
        gradient.mul_(factors)
    return norms


class AgentActors(nn.Module):
    """One actor per agent: its own view of the observation in, its own actions out.

    `views`, shape (M, V), holds the entries of the flattened observation that each agent sees.
    """

    views: Tensor
    optimizer: torch.optim.Optimizer

    def __init__(
        self, views: NDArray[np.int64], n_actions: int, net_arch: Sequence[int], *, layer_norm: bool
    ) -> None:
        super().__init__()
        self.register_buffer("views", torch.as_tensor(views), persistent=False)
        agents, inputs = views.shape
        # A small last layer: at first all answers lie in the middle, and nothing saturates.
        self.network = nn.Sequential(
            Stack(agents, inputs, net_arch[0], gain=2**0.5),
            *hidden_stack(agents, net_arch, layer_norm),
            Stack(agents, net_arch[-1], n_actions, gain=0.01),
        )

    def logits(self, observations: Tensor) -> Tensor:
        """Return what goes into the final tanh, shape (M, B, A)."""
        # Entries outermost: whole rows are then copied, and the product takes them as they lie.
        entries = observations.flatten(1).float().T.contiguous()
        seen = entries[self.views.flatten()].reshape(*self.views.shape, len(observations))
        outputs: Tensor = self.network(seen.transpose(1, 2))
        return outputs

    def forward(self, observations: Tensor) -> Tensor:
        """Return the joint actions, scaled to [-1, 1], agent 1's first, shape (B, M · A)."""
        return torch.tanh(self.logits(observations)).transpose(0, 1).flatten(1)


class CentralCritics(nn.Module):
    """K critics of the whole observation and the actions of all agents."""

    optimizer: torch.optim.Optimizer

    def __init__(
        self,
        n_inputs: int,
        n_agents: int,
        n_actions: int,
        net_arch: Sequence[int],
        *,
        n_critics: int,
        layer_norm: bool,
    ) -> None:
        super().__init__()
        self.n_agents, self.n_critics, self.width = n_agents, n_critics, net_arch[0]
        joint = n_agents * n_actions
        # All critics read the same, so their first layers are one.
        gain = (2.0 * n_inputs / (n_inputs + joint)) ** 0.5
        self.of_observation = Stack(1, n_inputs, n_critics * net_arch[0], gain)
        gain = (2.0 * joint / (n_inputs + joint)) ** 0.5
        bound = gain * (3.0 / joint) ** 0.5
        self.of_actions = nn.Parameter(torch.empty(joint, n_critics * net_arch[0]))
        nn.init.uniform_(self.of_actions, -bound, bound)
        self.rest = nn.Sequential(
            *hidden_stack(n_critics, net_arch, layer_norm),
            Stack(n_critics, net_arch[-1], 1, gain=0.1),
        )

    def first(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the first layer's sums, shape (K, B, width)."""
        flat = observations.flatten(1).float()
        sums: Tensor = self.of_observation(flat[None])[0].addmm(actions, self.of_actions)
        return sums.reshape(len(flat), self.n_critics, self.width).transpose(0, 1)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the values, (K, B), of joint actions, (B, M · A), in [-1, 1]."""
        values: Tensor = self.rest(self.first(observations, actions))
        return values[..., 0]

    def substituted(self, observations: Tensor, actions: Tensor, own: Tensor) -> Tensor:
        """Return, for each agent, the value when it alone does its own part instead, shape (M, B).

        Row j is by agent j's critic, or by the one that all share. The first layer is linear in the
        actions: what an agent changes is added to its sums, so that no joint action is built or
        multiplied M times.
        """
        batch, agents = len(actions), self.n_agents
        change = (own - actions).reshape(batch, agents, -1).transpose(0, 1)
        weights = self.of_actions.reshape(agents, -1, self.n_critics, self.width)
        index = (
            torch.arange(agents) if self.n_critics > 1 else torch.zeros(agents, dtype=torch.long)
        )
        weights = weights[torch.arange(agents), :, index]
        sums = self.first(observations, actions) + torch.bmm(change, weights)
        # One shared critic reads the M batches as one.
        values: Tensor = self.rest(sums.reshape(self.n_critics, -1, self.width))
        return values.reshape(agents, batch)


class MADDPGPolicy(AnyArray):
    """Actors, critics, their targets and their optimisers, with the arguments of a ``BasePolicy``.

    Parameters
    ----------
    views, critic
        As `views` and `critics` of :class:`~baselines.MADDPG`, which gives them.
    net_arch : list of int or mapping, optional
        Hidden widths of every actor and critic, or ``{"pi": those of one actor, "qf": those of one
        critic}``; one at least.
    layer_norm : bool
        Whether hidden layers are normalised.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Box,
        lr_schedule: Schedule,
        views: Sequence[Sequence[int]],
        net_arch: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
        critic: str = "shared",
        layer_norm: bool = True,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if optimizer_kwargs is None and optimizer_class is torch.optim.Adam:
            optimizer_kwargs = {"fused": True}  # one pass over the weights instead of six
        super().__init__(
            observation_space,
            action_space,
            squash_output=True,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )
        self.views = np.asarray(views, dtype=np.int64)
        widths = require_networks(net_arch, OFF_POLICY_NETWORKS, least=1) or NETWORKS
        of_actor, of_critic = get_actor_critic_arch(widths)
        self.net_arch = {"pi": of_actor, "qf": of_critic}
        self.critic_kind = critic
        self.layer_norm = require_bool("layer_norm", layer_norm)
        self.n_agents = len(self.views)
        self.n_actions = self.n_devices = int(np.prod(action_space.shape)) // self.n_agents
        self.actor, self.actor_target = self._make_actor(), self._make_actor()
        self.critic, self.critic_target = self._make_critic(), self._make_critic()
        self.actor_target.load_state_dict(self.actor.state_dict())
        self.critic_target.load_state_dict(self.critic.state_dict())
        for part in (self.actor, self.critic):
            part.optimizer = self.optimizer_class(
                part.parameters(),
                lr=lr_schedule(1),  # type: ignore[call-arg]
                **self.optimizer_kwargs,
            )

    def _make_actor(self) -> AgentActors:
        return AgentActors(
            self.views, self.n_actions, self.net_arch["pi"], layer_norm=self.layer_norm
        )

    def _make_critic(self) -> CentralCritics:
        return CentralCritics(
            spaces.flatdim(self.observation_space),
            self.n_agents,
            self.n_actions,
            self.net_arch["qf"],
            n_critics=1 if self.critic_kind == "shared" else self.n_agents,
            layer_norm=self.layer_norm,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "views": self.views.tolist(),
            "net_arch": self.net_arch,
            "critic": self.critic_kind,
            "layer_norm": self.layer_norm,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    def forward(self, observation: Tensor, deterministic: bool = False) -> Tensor:
        """Return the joint actions, scaled to [-1, 1], shape (B, M · A)."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        assert isinstance(observation, Tensor)
        actions: Tensor = self.actor(observation)
        return actions
