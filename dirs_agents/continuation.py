r"""What a service is worth where it is, as one server can know it from its own column over time.

In worlds that move a decision leaves something behind: where the device's service is. With V_t(s)
for what is still to pay from slot t on with the service at host s, 0 for nowhere,

    [C-1]  D_ij = V_t+1(0) − V_t+1(j)

is what it is worth to have it at server j after the slot: from 0 to μ, since μ buys it at any time.
A small network, the same for all links, estimates it from what server j has seen of device i in the
last slots. It does not see the other servers' gains, so what it learns is an average over them.

A forecast tells the network more: where the link's gain is going. It is a part on a switch, and
takes the place of the seen gain in a decision where channels are seen with delay.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from dirs_agents.columns import ColumnCoder
from mec_gym.validation import require_choice

FORECASTS = ("none", "velocity", "gru")

WINDOW = 9
"""Slots that a server remembers, the present one included: changes over one to eight slots."""

AHEAD = (0, 2, 4, 8)
"""Slots from the present one on for which a forecast says the gain."""

_LEAST_UNITS = -30.0
"""Units of the "db" observation, [O-1], below which a gain is not told from none: -370 dB."""

_HIDDEN, _RECURRENT = 64, 16
_FARTHEST = 6.0
"""Standard deviations from the mean at which features end."""


def remembered(memory: Tensor | None, seen: Tensor) -> Tensor:
    """Return the memory (B, M, N, W) after a slot: gains seen (B, M, N) in units, else NaN."""
    if memory is None:
        memory = seen.new_full((*seen.shape, WINDOW), math.nan)
    return torch.cat([memory[..., 1:].to(seen.device), seen[..., None]], dim=-1)


def filled(memory: Tensor) -> Tensor:
    """Return a memory without gaps: what was not seen is as what was seen next, or else before."""
    slots = list(memory.clamp(min=_LEAST_UNITS).unbind(-1))
    for later in range(len(slots) - 1, 0, -1):
        unseen = torch.isnan(slots[later - 1])
        slots[later - 1] = torch.where(unseen, slots[later], slots[later - 1])
    for later in range(1, len(slots)):
        slots[later] = torch.where(torch.isnan(slots[later]), slots[later - 1], slots[later])
    return torch.nan_to_num(torch.stack(slots, dim=-1), nan=0.0)


def movement(memory: Tensor) -> Tensor:
    """Return what the last slots say of a link, (..., 12): gains, distances, and their changes.

    A gain in free space says a distance but for its unit, r = 10^(-u/2). At constant velocity v the
    square of a distance has the second difference 2 v², whatever the direction.
    """
    units = filled(memory)
    way = 10.0 ** (-units / 2.0)
    steps = way.diff(dim=-1).abs()
    bent = way.square().diff(n=2, dim=-1).mean(-1)
    known = (~torch.isnan(memory)).to(units.dtype).mean(-1)
    changes = [part[..., -1] - part[..., -1 - back] for part in (units, way) for back in (1, 4, 8)]
    present = [units[..., -1], way[..., -1]]
    speed = [steps.mean(-1), steps.amax(-1), (bent.clamp(min=0.0) / 2.0).sqrt()]
    return torch.stack([*present, *changes, *speed, known], dim=-1)


def at_constant_velocity(memory: Tensor, slots: Tensor) -> Tensor:
    """Return the units that links have some slots on, (..., S), if devices keep their velocity."""
    square = (10.0 ** -filled(memory)).to(torch.float64)
    speed = (square.diff(n=2, dim=-1).mean(-1, keepdim=True) / 2.0).clamp(min=0.0)
    back = 4
    slope = (square[..., -1:] - square[..., -1 - back, None]) / back + speed * back
    ahead = square[..., -1:] + slope * slots + speed * slots.square()
    # No nearer than a tenth of the nearest distance seen: straight lines may pass through servers.
    ahead = torch.maximum(ahead, square.amin(-1, keepdim=True) / 100.0)
    return -torch.log10(ahead).to(memory.dtype)


class Continuation(nn.Module):
    """The network of all links: memories (..., W) in, worth D/μ (...) in (0, 1) out.

    `forecast` is one of `FORECASTS`; the coder's scenario says μ, and how old seen gains are.
    """

    kappa: Tensor

    def __init__(self, coder: ColumnCoder, forecast: str = "none") -> None:
        super().__init__()
        require_choice("forecast", forecast, FORECASTS)
        self.coder, self.forecast = coder, forecast
        self.delay = coder.scenario.csi_delay_slots
        self.replaces = forecast != "none" and self.delay > 0
        # A buffer of the scenario, not of the model: it is not part of what is saved.
        kappa = torch.as_tensor(coder.scenario.migration_cost, dtype=torch.float32)
        self.register_buffer("kappa", kappa, persistent=False)
        # How features are brought to mean 0 and spread 1: part of what is learned.
        n_features = movement(torch.zeros(1, WINDOW)).shape[-1]
        n_features += len(AHEAD) * (forecast != "none")
        self.middle = nn.Parameter(torch.zeros(n_features), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(n_features), requires_grad=False)
        # How far forecasts are off, mean squares in units.
        self.residual = nn.Parameter(torch.zeros(len(AHEAD)), requires_grad=False)
        self.network = nn.Sequential(
            nn.Linear(n_features, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, 1),
        )
        if forecast == "gru":
            self.recurrent = nn.GRU(2, _RECURRENT, batch_first=True)
            self.changes = nn.Linear(_RECURRENT, len(AHEAD))
            nn.init.zeros_(self.changes.weight)
            nn.init.zeros_(self.changes.bias)

    def predicted(self, memory: Tensor) -> Tensor:
        """Return the units forecast for the slots `AHEAD`, (..., A); as seen last without one."""
        units = filled(memory)
        if self.forecast == "velocity":
            slots = torch.tensor(AHEAD, dtype=torch.float64, device=memory.device) + self.delay
            return at_constant_velocity(memory, slots)
        last = units[..., -1:].expand(*units.shape[:-1], len(AHEAD))
        if self.forecast == "none":
            return last
        seen = torch.stack([units - units[..., -1:], units / 3.0], dim=-1)
        _, state = self.recurrent(seen.reshape(-1, WINDOW, 2))
        changes: Tensor = self.changes(state[0]).reshape(last.shape)
        return last + changes

    def features(self, memory: Tensor, predicted: Tensor) -> Tensor:
        """Return what the network sees, before it is scaled, (..., F)."""
        told = movement(memory)
        if self.forecast == "none":
            return told
        return torch.cat([told, predicted - told[..., :1]], dim=-1)

    def scale(self, memory: Tensor) -> None:
        """Take mean and spread of the features from some memories."""
        with torch.no_grad():
            features = self.features(memory, self.predicted(memory)).flatten(0, -2)
            self.middle.copy_(features.mean(0))
            self.spread.copy_(features.std(0).clamp(min=1e-6))

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the worth, D/μ, (...), and the forecast it comes from, (..., A)."""
        predicted = self.predicted(memory)
        # The forecast learns from what comes, not from what it is used for.
        seen = self.features(memory, predicted.detach())
        scaled = ((seen - self.middle) / self.spread).clamp(-_FARTHEST, _FARTHEST)
        return torch.sigmoid(self.network(scaled)[..., 0]), predicted

    def present(self, predicted: Tensor) -> Tensor:
        """Return the units, (...), whose gain costs a weak link what a forecast lets expect.

        That cost is as 1/h, and of a gain whose logarithm is normal with the variance σ²,
        E[1/h] = exp(σ²/2) / exp(E[ln h]).
        """
        return predicted[..., 0] - self.residual[0] * (math.log(10.0) / 2.0)

    def noted(self, columns: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return columns (B, M, R, N) with two further rows, D [1] and present units; the memory.

        The present units are the seen ones, unless a forecast replaces those of a delay.
        """
        seen = torch.where(self.coder.present(columns), columns[:, :, 0], torch.nan)
        memory = remembered(memory, seen)
        with torch.no_grad():
            worth, predicted = self(memory)
        present = self.present(predicted) if self.replaces else columns[:, :, 0]
        rows = torch.stack([self.kappa * worth, present], dim=2)
        return torch.cat([columns, rows], dim=2), memory

    def single(self, index: int) -> Continuation:
        """Return a copy for the agent of server `index`, 0...M - 1."""
        one = copy.deepcopy(self)
        one.coder = self.coder.alone(index)
        return one
