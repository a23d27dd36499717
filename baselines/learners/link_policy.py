"""An actor with one network for all links between devices and servers, for actor-critics."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Space
from gymnasium.spaces.utils import flatdim
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import Tensor, nn

from baselines.learners.categorical import OffloadingActorCriticPolicy
from mec_gym.validation import require_widths


class LinkLogits(nn.Module):
    """Logits of every device for every server, all by the same small network.

    The network sees one link: the gain of device i to server j, by how much that exceeds the
    device's best gain to another server, the device's further columns, and where services migrate
    whether j hosts its own, and whether another server does. What it learns of one link holds for
    all N · M of them. Each server has a term of its own besides; staying has logit 0. `hosts` are
    the columns of hosts, of which there may be none.
    """

    def __init__(
        self,
        n_devices: int,
        n_servers: int,
        n_columns: int,
        hosts: slice,
        link_arch: Sequence[int],
    ) -> None:
        super().__init__()
        self.n_devices, self.n_servers, self.hosts = n_devices, n_servers, hosts
        n_hosts = hosts.stop - hosts.start
        widths = [2 + 2 * bool(n_hosts) + n_columns - n_servers - n_hosts, *link_arch]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        last = nn.Linear(widths[-1], 1)
        # As all actors of this kind begin: nearly equal probabilities.
        nn.init.orthogonal_(last.weight, gain=0.01)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*layers, last)
        self.of_servers = nn.Parameter(torch.zeros(n_servers))

    def forward(self, observations: Tensor) -> Tensor:
        """Return logits, (B, N · (M + 1)), of observations, (B, N · C), device by device."""
        columns = observations.shape[1] // self.n_devices
        rows = observations.view(-1, self.n_devices, columns)
        gains, hosts = rows[..., : self.n_servers], rows[..., self.hosts]
        others = torch.cat(
            [rows[..., self.n_servers : self.hosts.start], rows[..., self.hosts.stop :]], -1
        )
        others = others.unsqueeze(2).expand(*gains.shape, others.shape[-1])
        links = [gains, _leads(gains)]
        if hosts.shape[-1]:
            links += [hosts, hosts.sum(-1, keepdim=True) - hosts]
        seen = torch.cat([torch.stack(links, -1), others], -1)
        of_servers = self.network(seen)[..., 0] + self.of_servers
        return nn.functional.pad(of_servers, (1, 0)).flatten(1)


def _leads(gains: Tensor) -> Tensor:
    """Return by how much each gain exceeds the best other one of its device."""
    if gains.shape[-1] == 1:
        return torch.zeros_like(gains)
    top = gains.topk(2).values
    best, second = top[..., :1], top[..., 1:]
    return gains - torch.where(gains == best, second, best)


def _columns(space: Space[Any], n_devices: int, n_servers: int) -> tuple[int, slice]:
    """Return how many columns "db" or "flat" observations have, and those of hosts.

    ``ValueError`` for any others.
    """
    # Bounds tell them apart: gains in decibels go far below −1, tasks from −1 to 1, flags from 0.
    columns, rest = divmod(flatdim(space), n_devices)
    if isinstance(space, Box) and not rest and columns >= n_servers:
        low = space.low.reshape(n_devices, columns)
        gains, tasks = low[:, :n_servers], int((low[0, n_servers:] == -1.0).sum())
        flags = columns - n_servers - tasks
        wanted = np.repeat([gains[0, 0], -1.0, 0.0], [n_servers, tasks, flags])
        known = tasks <= 2 and flags in (0, 1, n_servers, n_servers + 1)
        if known and gains[0, 0] < -1.0 and (low == wanted).all():
            first = n_servers + tasks
            return columns, slice(first, first + n_servers * (flags >= n_servers))
    raise ValueError(
        f'observations must be "db" or "flat", as the env gives them: {n_servers} gains of each of '
        f"{n_devices} devices, up to two tasks, hosts and presence where there are such; got "
        f"{space}. Leave out wrappers that change observations: entries have to say which link "
        "they are of, and how good it is."
    )


class _WithFeatures(MlpExtractor):
    """Stable-Baselines3's, whose actor also hands on what it saw."""

    def forward_actor(self, features: Tensor) -> Tensor:
        return torch.cat([super().forward_actor(features), features], 1)


class LinkPolicy(OffloadingActorCriticPolicy):
    """Actor-critic policy whose logits are the sum of two networks'.

    One is :class:`~baselines.learners.categorical.OffloadingActorCriticPolicy`'s, over the whole
    observation, with weights of its own for each device and choice. The other, :class:`LinkLogits`,
    is one for all links: it finds out from all of them at once that bad links are not worth it,
    which the first would have to find out for each device and server apart. The first is what
    treats equal devices differently where a server has no room for all of them.

    Parameters
    ----------
    *args, **kwargs
        As for ``OffloadingActorCriticPolicy``.
    link_arch : sequence of int
        Hidden widths of the network of links.

    Raises
    ------
    ValueError
        For observations other than "db" or "flat". Those that VecNormalize changes have the same
        space: it is for the algorithm to refuse them, as :class:`~baselines.ActorCritic` does.

    Examples
    --------
    >>> from baselines import ActorCritic
    >>> from baselines.learners.actor_critic import LINKS
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> model = ActorCritic(env=make_sb3_vec_env("unequal-200x10", n_envs=4), **LINKS)
    >>> type(model.policy).__name__
    'LinkPolicy'
    """

    def __init__(self, *args: Any, link_arch: Sequence[int] = (64, 64), **kwargs: Any) -> None:
        self.link_arch = list(require_widths(link_arch, "link_arch"))
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _WithFeatures(
            self.features_dim, self.net_arch, self.activation_fn, self.device
        )

    def _make_heads(self) -> None:
        super()._make_heads()
        devices, choices = self._sizes
        columns = _columns(self.observation_space, devices, choices - 1)
        self.links = LinkLogits(devices, choices - 1, *columns, self.link_arch)

    def _logits(self, latent_pi: Tensor) -> Tensor:
        width = self.mlp_extractor.latent_dim_pi
        logits: Tensor = super()._logits(latent_pi[:, :width]) + self.links(latent_pi[:, width:])
        return logits

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"link_arch": self.link_arch}
