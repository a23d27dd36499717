"""MAPPO's policy: one actor for all devices over their links, and one critic along their paths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import hardtanh_

from baselines.learners.links import LinkNetwork, LinkView, apportioned
from mec_gym import Scenario, Slot
from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.sb3_model import WorldPolicy
from mec_gym.model.cost import NO_TASK
from mec_gym.validation import require_integer, require_number

Floats = NDArray[np.float32]

_PART = 500_000
"""Links that are looked at together, of a larger batch of slots."""

_NEVER = -1e9
"""Logit of what a device may not choose; finite, since 0 · ∞ is no entropy."""


class HostCritic(LinkNetwork):
    """The value of a device's own path with its service on each server, or, first, on none.

    It sees the path and not who hosts what, so that it is the same whatever the device chose.
    """

    def forward(self, links: Tensor) -> Tensor:
        """Return values, (..., M + 1), of devices' links, (..., M, n_features)."""
        values: Tensor = super().forward(links[..., : self.embed.in_features])
        return values


class LinkActorPolicy(WorldPolicy):
    """Probabilities of every device's choices by one network, for any N and M.

    Where the world moves, the memory of :class:`~baselines.learners.links.LinkView` is the state of
    :meth:`predict`. Absent devices and devices that cannot execute locally, eq. (7), have one
    choice less, or none.

    Parameters
    ----------
    observation_space, action_space, lr_schedule
        As Stable-Baselines3's; the algorithm owns the optimizer.
    scenario : Scenario
        The env's.
    observation : {"flat", "db", "raw"}
        The env's.
    width : int
        Of the hidden layers of both networks.
    together : float
        Devices whose likeliest choice is less probable than this make their deterministic decisions
        together, :func:`~baselines.learners.links.apportioned`; with 0 none does. Where devices and
        servers look alike all would make the same choice otherwise. Of no effect where services
        migrate, since they would move to and fro.

    Examples
    --------
    >>> from baselines import MAPPO
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> model = MAPPO(env=make_sb3_vec_env("paper-30x2"), policy_kwargs={"width": 8})
    >>> sum(weight.numel() for weight in model.policy.actor.parameters())
    322
    """

    def __init__(self, *args: Any, width: int = 32, together: float = 0.6, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        require_integer("width in policy_kwargs", width, 1)
        self.width = int(width)
        require_number("together in policy_kwargs", together, "[0, 1]")
        self.together = float(together)
        middle = self.view.middle()
        self.actor = LinkNetwork(middle, self.width, hardtanh_)
        path = middle[: self.view.n_path_features]
        self.critic = HostCritic(path, self.width, balanced=False)

    def meet(self, scenario: Scenario) -> None:
        """Decide in another scenario from now on, with the same weights."""
        super().meet(scenario)
        self.view = LinkView(scenario)
        self.coder = ObservationCoder(scenario, self.observation_kind)
        self._may_stay = scenario.can_execute_locally

    def start_with(self, offloaded: float) -> None:
        """Let about this share of the devices offload at first."""
        torch.nn.init.constant_(self.actor.home.bias, math.log(1.0 / offloaded - 1.0))

    def legal(self, slot: Slot) -> NDArray[np.bool_]:
        """Return which choices count in a batch of slots, shape (B, N, M + 1)."""
        may_offload = (slot.cycles > NO_TASK) | ~self._may_stay
        legal = np.repeat(may_offload[..., None], slot.n_servers + 1, axis=-1)
        legal[..., 0] = self._may_stay
        return legal

    def log_probabilities(self, links: Tensor, legal: Tensor) -> Tensor:
        """Return logarithms of probabilities, (..., M + 1), of devices' links, (..., M, F)."""
        logits = self.actor(links).masked_fill(~legal, _NEVER)
        return torch.log_softmax(logits, dim=-1)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """Return an array where the networks are."""
        return torch.as_tensor(array, device=self.device)

    def decide(self, slot: Slot, memory: Floats, deterministic: bool) -> tuple[Any, Floats]:
        """Return decisions for a batch of slots, (B, N), and the memory with them."""
        links, memory = self.view(slot, memory)
        with torch.no_grad():
            log_p = self.log_probabilities(self.tensor(links), self.tensor(self.legal(slot)))
            if not deterministic:
                drawn = torch.multinomial(log_p.exp().flatten(0, 1), 1)
                chosen = drawn.view(log_p.shape[:-1])
            elif self.together and not self.scenario.migrates:
                return apportioned(log_p.exp().cpu().numpy(), self.together), memory
            else:
                chosen = log_p.argmax(-1)
        return chosen.cpu().numpy(), memory

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return decisions and the state to go on with, None where nothing is remembered.

        `state` is what the last call returned; where `episode_start`, (B,), is true, or without
        one, an episode begins.
        """
        self.set_training_mode(False)
        slot = self.coder.decode(observation)
        single = not slot.batch_shape
        slot = slot[None] if single else slot
        batch = len(slot.gains)
        memory = self.view.begin(batch)
        if state is not None:
            if np.shape(state) != memory.shape:
                raise ValueError(
                    "state must be what the last call returned for as many slots, shape "
                    f"{memory.shape}; got shape {np.shape(state)}."
                )
            memory = np.array(state, dtype=np.float32)
        if episode_start is not None:
            memory[np.broadcast_to(np.asarray(episode_start, dtype=bool), batch)] = 0.0
        decisions = np.empty((batch, slot.n_devices), dtype=np.int64)
        part = max(1, _PART // (slot.n_devices * slot.n_servers))
        for first in range(0, batch, part):
            rows = slice(first, first + part)
            decisions[rows], memory[rows] = self.decide(slot[rows], memory[rows], deterministic)
        return (decisions[0] if single else decisions), (memory if self.view.remembers else None)

    def forward(self, observation: Tensor, deterministic: bool = False) -> Tensor:
        """Return decisions for a batch of first slots of episodes, shape (B, N)."""
        decisions, _ = self.predict(observation.cpu().numpy(), deterministic=deterministic)
        return torch.as_tensor(decisions)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.forward(observation, deterministic)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {"width": self.width, "together": self.together}
        return super()._get_constructor_parameters() | own
