"""DDPG's networks for scores that are voted on: a critic that sees where devices will go."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import Tensor, nn

from mec_gym import Scenario
from mec_gym.validation import plain, require_number


def soft_vote(scores: Tensor, temperature: float, may_stay: Tensor | None = None) -> Tensor:
    """Return by how much each device goes to each server: the vote, made differentiable.

    A softmax over the scores and the threshold of the vote. It tends to the vote [V-1] as
    `temperature` tends to 0.

    Parameters
    ----------
    scores : Tensor, shape (..., M, N), [1]
        Scaled to [-1, 1], so that the threshold, a score of 0.5, is 0.
    temperature : float
        Scores that differ by much more are told apart, others not.
    may_stay : bool Tensor, shape (N,), optional
        Which devices can execute locally; all by default.

    Returns
    -------
    Tensor, shape (..., M, N), [1]
        In (0, 1); a device's sum is short of 1 by how much it stays.

    Examples
    --------
    >>> soft_vote(torch.tensor([[0.5, -0.5, 0.0], [0.0, -0.5, 0.0]]), 0.1).round(decimals=2)
    tensor([[0.9900, 0.0100, 0.3300],
            [0.0100, 0.0100, 0.3300]])
    """
    threshold = torch.zeros_like(scores[..., :1, :])
    if may_stay is not None:
        threshold = threshold.masked_fill(~may_stay, -torch.inf)
    return torch.softmax(torch.cat([threshold, scores], -2) / temperature, -2)[..., 1:, :]


class VoteCritic(ContinuousCritic):
    """Stable-Baselines3's critic on the soft vote of the scores instead of the scores.

    The reward depends on scores through the vote alone, mostly on how many devices come to each
    server. A network on the raw scores would have to find both out from rewards. It sees,
    beside the observation, the soft vote and the servers' loads that follow.

    Parameters
    ----------
    observation_space, action_space, net_arch, features_extractor, features_dim, **kwargs
        As in Stable-Baselines3.
    n_servers : int
        M.
    temperature : float
        Of :func:`soft_vote`.
    """

    may_stay: Tensor

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        net_arch: list[int],
        features_extractor: BaseFeaturesExtractor,
        features_dim: int,
        activation_fn: type[nn.Module] = nn.ReLU,
        *,
        n_servers: int,
        temperature: float,
        **kwargs: Any,
    ) -> None:
        # The base builds its networks on raw actions: it is given narrow ones, replaced below.
        super().__init__(
            observation_space,
            action_space,
            [],
            features_extractor,
            features_dim,
            activation_fn,
            **kwargs,
        )
        self.n_servers, self.temperature = n_servers, temperature
        scores = int(action_space.shape[0])
        self.n_devices = scores // n_servers
        self.register_buffer("may_stay", torch.ones(self.n_devices, dtype=torch.bool))
        self.q_networks = []
        for index in range(self.n_critics):
            layers = create_mlp(features_dim + scores + n_servers, 1, net_arch, activation_fn)
            network = nn.Sequential(*layers)
            self.add_module(f"qf{index}", network)
            self.q_networks.append(network)

    def _inputs(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self.share_features_extractor):
            seen = self.extract_features(obs, self.features_extractor)
        scores = actions.view(-1, self.n_servers, self.n_devices)
        votes = soft_vote(scores, self.temperature, self.may_stay)
        # Loads in shares of an even split of all devices: about 1 where everyone offloads.
        loads = votes.sum(-1) * (self.n_servers / self.n_devices)
        return torch.cat([seen, votes.flatten(1), loads], dim=1)

    def forward(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, ...]:
        """Return each network's value of the scores.

        Parameters
        ----------
        obs : Tensor, shape (B, ...)
        actions : Tensor, shape (B, M · N)
            Scaled to [-1, 1].

        Returns
        -------
        tuple of Tensor, shape (B, 1)
        """
        inputs = self._inputs(obs, actions)
        return tuple(network(inputs) for network in self.q_networks)

    def q1_forward(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        """Return the first network's value of the scores.

        Parameters
        ----------
        obs : Tensor, shape (B, ...)
        actions : Tensor, shape (B, M · N)
            Scaled to [-1, 1].

        Returns
        -------
        Tensor, shape (B, 1)
        """
        value: Tensor = self.q_networks[0](self._inputs(obs, actions))
        return value


class VotePolicy(TD3Policy):
    """Stable-Baselines3's actor and, where `temperature` is given, a :class:`VoteCritic`.

    Parameters
    ----------
    observation_space, action_space, lr_schedule, net_arch, **kwargs
        As in Stable-Baselines3.
    n_servers : int
        M; DDPG gives it.
    temperature : float, optional
        Of :func:`soft_vote` in the critic. None for Stable-Baselines3's critic on raw scores.
    output_scale : float
        Factor on the initial weights of the actor's last layer. Small ones begin near the
        threshold, where a score says nothing yet and its gradient is largest.

    Examples
    --------
    >>> from gymnasium import spaces
    >>> seen, scores = spaces.Box(-1.0, 1.0, (30, 2)), spaces.Box(0.0, 1.0, (60,))
    >>> policy = VotePolicy(seen, scores, lambda _: 0.001, n_servers=2)
    >>> policy.critic(torch.zeros(5, 30, 2), torch.zeros(5, 60))[0].shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        *args: Any,
        n_servers: int,
        temperature: float | None = 0.2,
        output_scale: float = 0.1,
        **kwargs: Any,
    ) -> None:
        if temperature is not None:
            require_number("temperature", temperature, "(0, inf)")
        require_number("output_scale", output_scale, "[0, inf)")
        self.n_servers, self.temperature = n_servers, plain(temperature)
        self.output_scale = plain(output_scale)
        super().__init__(*args, **kwargs)

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Actor:
        """Return a new actor.

        Parameters
        ----------
        features_extractor : BaseFeaturesExtractor, optional
            A new one by default.

        Returns
        -------
        Actor
        """
        actor = super().make_actor(features_extractor)
        last = [layer for layer in actor.mu if isinstance(layer, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(self.output_scale)
        return actor

    def make_critic(
        self, features_extractor: BaseFeaturesExtractor | None = None
    ) -> ContinuousCritic:
        """Return a new critic.

        Parameters
        ----------
        features_extractor : BaseFeaturesExtractor, optional
            A new one by default.

        Returns
        -------
        ContinuousCritic
        """
        if self.temperature is None:
            return super().make_critic(features_extractor)
        arguments = self._update_features_extractor(self.critic_kwargs, features_extractor)
        critic = VoteCritic(
            **arguments,
            n_servers=self.n_servers,
            temperature=self.temperature,
        )
        return critic.to(self.device)

    def meet(self, scenario: Scenario) -> None:
        """Let the critic know which devices can execute locally.

        Parameters
        ----------
        scenario : Scenario
            The env's.
        """
        may_stay = torch.as_tensor(scenario.can_execute_locally, device=self.device)
        for critic in (self.critic, self.critic_target):
            if isinstance(critic, VoteCritic):
                critic.may_stay.copy_(may_stay)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("n_servers", "temperature", "output_scale")}
        return super()._get_constructor_parameters() | own
