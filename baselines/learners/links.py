"""What a network sees of the links of a slot, and a network over them for any N and M.

All learners that share weights over links begin here. A link is a pair of a device and a server.
What is seen of it is its own entries and what the slot says around it: how it compares with the
other links of its device, and with those of its server.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from mec_gym import Scenario, Slot
from mec_gym.envs.observation import units_of_gains
from mec_gym.model.cost import NO_TASK
from mec_gym.model.episode import episodes
from mec_gym.validation import SMALLEST

Floats = NDArray[np.float32]

QUANTILES = (0.5, 0.8, 0.9, 0.95)
"""Of a server's gains, that a link is seen beside."""

LAGS = 4
"""Slots that a link's gain is remembered for."""

_ARE_GAINS = [0, *range(4, 4 + len(QUANTILES))]
"""Features that are gains, and not what they are beside."""

_SAMPLED_LINKS = 50_000
"""Of which the typical gain is the mean."""

_LIKELY = 1 / 32
"""Share of its likeliest choice's probability from which on a choice is open to a device."""

_FARTHEST = float(units_of_gains(np.array(SMALLEST)))


class LinkView:
    """Turns slots of one scenario into what networks see of their links, (B, N, M, n_features).

    Gains are in decades as in the "db" observation. Of each link: its gain; by how much it exceeds
    the device's best other one; quantiles of the server's gains; the device's rank among them, and
    its place in the queue of those whose best server this is, as a logarithm; the device's task
    and local cost and the server's speed, each beside the mean. Where the world moves, also what
    was remembered: the change of the gain over 1 and over :data:`LAGS` slots, and how much the
    device's gains have changed a slot since the episode began, which tells fast devices from slow
    ones. Where services migrate: whether this server hosts it, or another, the gain to the host,
    and how many guests the server has. Without `remembers` it sees each slot by itself.

    The first `n_path_features` say nothing of hosts.

    The memory of an episode, (B, N, M, LAGS + 2), holds past gains, newest first, the mean change,
    and the number of slots that it is the mean of.
    """

    def __init__(self, scenario: Scenario, *, remembers: bool | None = None) -> None:
        self.scenario = scenario
        local = scenario.per_device("weight_latency") + (
            scenario.per_device("weight_energy") * scenario.local_power_w
        )
        self._local_per_cycle = local / scenario.per_device("local_frequency_hz")
        speeds = scenario.server_frequencies_hz
        self._speeds = np.log(speeds / speeds.mean())
        self.remembers = scenario.dynamic if remembers is None else remembers
        self.n_path_features = 4 + len(QUANTILES) + 4 + 3 * self.remembers
        self.n_features = self.n_path_features + 4 * scenario.migrates

    def middle(self) -> Floats:
        """Return what the features are to be seen beside, (n_features,): typical gains, or 0.

        Elsewhere they may be millions of times as small as in the paper's world, and bounded hidden
        units would see nothing else.
        """
        found = np.zeros(self.n_features, dtype=np.float32)
        found[_ARE_GAINS] = typical_units(self.scenario)
        return found

    def begin(self, batch: int) -> Floats:
        """Return the memory of episodes that begin, shape (B, N, M, LAGS + 2)."""
        size = (batch, self.scenario.n_devices, self.scenario.n_servers, LAGS + 2)
        return np.zeros(size if self.remembers else (*size[:-1], 0), dtype=np.float32)

    def __call__(self, slot: Slot, memory: Floats) -> tuple[Floats, Floats]:
        """Return what is seen of a batch of slots (B, ...), and the memory with them."""
        present = slot.cycles > NO_TASK
        count = np.maximum(present.sum(-1), 1)[:, None, None]
        # Who is absent comes last: nobody is compared with a gain that is not there.
        units = np.where(present[..., None], units_of_gains(slot.gains), _FARTHEST)
        gains = units.astype(np.float32)
        best = gains.max(-1, keepdims=True)
        tasks = (slot.data_bits, slot.cycles, slot.cycles * self._local_per_cycle)
        of_device = np.stack([_beside_mean(one, present) for one in tasks], -1)[:, :, None]
        parts: list[Any] = [*_compared(gains, best, count), of_device, self._speeds[:, None]]
        if self.remembers:
            changes, memory = _remembered(gains, memory)
            memory[~present] = 0.0  # whoever comes back is seen anew
            parts += changes
        if slot.hosts is not None and self.scenario.migrates:
            parts.append(_hosting(slot.hosts, gains, present))
        wide = [np.broadcast_to(part, (*gains.shape, part.shape[-1])) for part in parts]
        return np.concatenate(wide, axis=-1, dtype=np.float32), memory


def typical_units(scenario: Scenario) -> float:
    """Return the mean of some slots' gains, the same at every call; 0 if all devices are absent.

    To three decades, and 0 up to two: one more or less does no harm, and the paper's worlds and
    all presets stay as they are.
    """
    count = max(1, min(16, _SAMPLED_LINKS // (scenario.n_devices * scenario.n_servers)))
    first = episodes(scenario, range(count), n_slots=1)
    units = np.concatenate([units_of_gains(one.gains[one.cycles > NO_TASK]) for one in first])
    mean = float(units.mean()) if units.size else 0.0
    return 3.0 * round(mean / 3.0) if abs(mean) > 2.0 else 0.0


def _compared(gains: Any, best: Any, count: Any) -> list[Any]:
    """Return gains beside those of the same device and of the same server, of `count` devices."""
    lead = np.zeros_like(gains)
    if gains.shape[-1] > 1:
        second = np.partition(gains, -2, axis=-1)[..., -2:-1]
        lead = gains - np.where(gains == best, second, best)
    order = np.argsort(-gains, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(gains.shape[1])[None, :, None], axis=1)
    first = np.take_along_axis(gains == best, order, axis=1)
    queue = np.take_along_axis(first.cumsum(1) - first, rank, axis=1)
    picks = np.rint((1.0 - np.array(QUANTILES)[:, None]) * (count - 1)).astype(np.int64)
    picked = np.take_along_axis(np.take_along_axis(gains, order, axis=1), picks, axis=1)
    columns = np.moveaxis(picked, 1, -1)[:, None]
    return [np.stack([gains, lead, rank / count, np.log1p(queue) / 3.0], -1), columns]


def _remembered(gains: Any, memory: Floats) -> tuple[list[Any], Floats]:
    """Return how gains have changed, each about 1 where devices walk, and the memory with them."""
    new = memory[..., -1:] == 0
    past = np.where(new, gains[..., None], memory[..., :LAGS])
    change = gains[..., None] - past[..., :1]
    seen = memory[..., -1:]
    mean = memory[..., -2:-1] + (np.abs(change) - memory[..., -2:-1]) / np.maximum(seen, 1.0)
    mean = np.where(new, 0.0, mean)
    changes = [
        10.0 * change,
        3.0 * (gains[..., None] - past[..., -1:]),
        10.0 * mean.mean(2, keepdims=True),
    ]
    parts = [gains[..., None], past[..., : LAGS - 1], mean, seen + 1]
    return changes, np.concatenate(parts, -1, dtype=np.float32)


def _hosting(hosts: Any, gains: Any, present: Any) -> Any:
    """Return what is seen of hosts (B, N), shape (B, N, M, 4)."""
    n_servers = gains.shape[-1]
    mine = hosts[..., None] == np.arange(1, n_servers + 1)
    hosted = np.broadcast_to((hosts > 0)[..., None], mine.shape)
    best = gains.max(-1, keepdims=True)
    at_host = np.where(hosted, (gains * mine).sum(-1, keepdims=True), best)
    guests = (mine & present[..., None]).sum(1, keepdims=True)
    count = np.maximum(present.sum(-1), 1)[:, None, None]
    crowd = np.broadcast_to(guests, mine.shape) * n_servers / count
    return np.stack([mine, hosted & ~mine, at_host - gains, crowd], -1)


def _beside_mean(values: Any, present: Any) -> Any:
    """Return the logarithm of each value over the mean of all present, 0 for those absent."""
    count = np.maximum(present.sum(-1, keepdims=True), 1)
    mean = np.where(present, values, 0.0).sum(-1, keepdims=True) / count
    return np.log(np.where(present, values, 1.0) / np.where(present, mean, 1.0))


def apportioned(probabilities: NDArray[Any], sure: float = 1.0) -> NDArray[np.int64]:
    """Return decisions, (B, N), such that each choice has about as many devices as is expected.

    Of probabilities (B, N, M + 1). Where devices look alike each is indifferent, and if all made
    their likeliest choice a crowd would make the same one. Instead device after device, the surest
    first, makes the choice that most is missing of, among those that are likely for it. Whoever has
    a choice with a probability of `sure` or more makes that one.
    """
    most = probabilities.max(-1, keepdims=True)
    own = np.where(probabilities >= most * np.where(most < sure, _LIKELY, 1.0), probabilities, 0.0)
    own = own / own.sum(-1, keepdims=True)
    decisions: NDArray[np.int64] = probabilities.argmax(-1)
    missing, rows = np.zeros(own[:, 0].shape), np.arange(len(own))
    settled = int((most >= sure).sum(1).min(initial=own.shape[1]))  # of them nothing is missing
    for devices in np.argsort(-most[..., 0], axis=1, kind="stable").T[settled:]:
        mine = own[rows, devices]
        missing += mine
        chosen = np.where(mine > 0.0, missing, -np.inf).argmax(-1)
        decisions[rows, devices] = chosen
        missing[rows, chosen] -= 1.0
    return decisions


class Centred(nn.Module):
    """Sees gains beside `middle`, typical ones, which are saved with the weights."""

    middle: Tensor

    def __init__(self, middle: Floats | float) -> None:
        super().__init__()
        self.register_buffer("middle", torch.tensor(middle))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:
        state.setdefault(f"{prefix}middle", torch.zeros_like(self.middle))  # as it once was
        super()._load_from_state_dict(state, prefix, *others)


class LinkNetwork(Centred):
    """One number per choice of each device, by weights that are the same for all links.

    A link is embedded, mixed with the largest and the mean embedding of its device's links, and
    becomes a logit; local execution gets one from the device's links alone. So N and M may be any,
    and a permutation of devices or servers permutes what comes out. What devices must know of each
    other is in the features: the network may be trained on some of a slot's devices alone.
    `balanced` makes local execution as probable at first as all servers together. `bend` bounds the
    hidden units, in place, tanh or, in half of the time, hardtanh: unbounded ones let the first,
    overloaded slots of a training drive all devices to local execution for good.
    """

    def __init__(
        self,
        middle: Floats,
        width: int = 32,
        bend: Callable[[Tensor], Tensor] = torch.tanh_,
        *,
        balanced: bool = True,
    ) -> None:
        super().__init__(middle)
        self._bend, self._balanced = bend, balanced
        self.embed = nn.Linear(len(middle), width)
        self.mix = nn.Linear(width, width)
        self.of_device = nn.Linear(2 * width, width, bias=False)
        self.link = nn.Linear(width, 1)
        self.home = nn.Linear(width, 1)
        for layer in (self.embed, self.mix, self.of_device):
            nn.init.orthogonal_(layer.weight, gain=math.sqrt(2.0))
        for layer in (self.link, self.home):
            # As all actors of this kind begin: nearly equal probabilities.
            nn.init.orthogonal_(layer.weight, gain=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, links: Tensor) -> Tensor:
        """Return numbers per choice, (..., M + 1), of devices' links, (..., M, n_features)."""
        # In place: fresh memory for 16 slots of 200 x 10 links takes as long as all products.
        weight = self.embed.weight
        first = self._bend(linear(links, weight, self.embed.bias - weight @ self.middle))
        device = self.of_device(torch.cat([first.amax(-2), first.mean(-2)], -1))
        second = self._bend(self.mix(first).add_(device.unsqueeze(-2)))
        home = self.home(self._bend(device))
        if self._balanced:
            home = home + math.log(links.shape[-2])
        return torch.cat([home, self.link(second)[..., 0]], -1)
