r"""The network of a price-posting agent, [P-1].

Server j knows its own gains and the tasks offered to it: what offloading would save each device,
w_i = c_i0 − c_ij, the root work s_i that the device would bring, and its own speed F_j. It does not
know which devices other servers will win. A small network guesses, device by device, the
probability q_i that a device which pays here comes here. The price is then the one at which the
work that is expected to come costs what it is worth:

    [P-1]  λ F_j / 2 = Σ_i q_i s_i [w_i > λ s_i],

the stationary condition λ = 2 L / F_j of the dual problem [S-2] with the server's own expectation
in place of L. The left side rises with λ, the right side falls: there is one solution.

Where agents look ahead, two rows follow those of a column: what a service is worth at the server,
D_ij [C-1], and the link's present gain as it is forecast, in units. A choice then counts what it
leaves behind, too:

    [C-3]  w_ij + D_ij − D_is,  s the host before the slot; D = 0 for a service that is nowhere.

Server j knows D_is of its own guests, for whom the two are the same, and of nobody else: it leaves
it out. Where the vote is followed by admission that costs nothing: the host, too, adds D_is to what
serving in the slot saves, if that is anything, so that all bids have the same zero. The vote then
finds the best of all, staying at the host included, and the host decides in admission whether it
serves or the device computes. Where the vote is final services move too often.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dirs_agents.columns import ColumnCoder
from mec_gym import Scenario, Slot
from mec_gym.allocation import root_work
from mec_gym.model.constants import constants_of
from mec_gym.model.world import World
from mec_gym.optimum import choice_costs, load_problems, paying

N_FEATURES = 5
_SAMPLED_LINKS = 200_000
_LEAST_WORK = 1e-12  # [sqrt(cycle/s)]: of absent devices it is 1e-15

Savings = tuple[Tensor, Tensor]
"""What :meth:`PriceBank.savings` returns."""


class PriceBank(nn.Module):
    """Price-posting agents of all servers, or of one; scores use `markdown` of the price."""

    frequency: Tensor

    def __init__(
        self,
        coder: ColumnCoder,
        *,
        hidden: int = 16,
        markdown: float = 1.0,
        admission: bool = False,
    ) -> None:
        super().__init__()
        scenario = coder.scenario
        self.coder, self.markdown, self.admission = coder, markdown, admission
        speeds = scenario.server_frequencies_hz
        # Buffers of the scenario, not of the model: they are not part of what is saved.
        self.register_buffer(
            "frequency", torch.as_tensor(speeds, dtype=torch.float32), persistent=False
        )
        self._mean_frequency = float(speeds.mean())
        self._prior = math.log(1.0 / (scenario.n_servers - 1)) if scenario.n_servers > 1 else 7.0
        self._unit = saving_spread(scenario)
        self._cost = typical_local_cost(scenario)
        self.network = nn.Sequential(
            nn.Linear(N_FEATURES, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 1),
        )
        # The guess begins at 1/M everywhere.
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.log_temperature = nn.Parameter(torch.zeros(()))

    # -- what a server knows --------------------------------------------------------------------

    @torch.no_grad()
    def savings(self, columns: Tensor) -> Savings:
        """Return what offloading saves, computation apart, and the root work, shape (B, M, N).

        The saving w_ij = c_i0 − c_ij [1] takes local execution as if eq. (7) allowed it everywhere,
        and c_ij holds the migration of a service that j does not host; the work is s_i
        [sqrt(cycle/s)]. Where agents look ahead it holds what server j knows of [C-3].
        """
        shown = self.coder.n_rows
        row = shown + 1 if columns.shape[2] > shown else 0
        gains = self.coder.gains(columns[:, :, row:]).transpose(1, 2)
        data_bits, cycles = self.coder.tasks(columns[:, 0])
        constants = constants_of(self.coder.scenario, gains)
        everywhere = np.array(True)
        slot = Slot.trusted(gains, data_bits, cycles, self.coder.hosts(columns))
        costs = choice_costs(constants, slot, everywhere)
        saving = (costs[..., :1] - costs[..., 1:]).transpose(1, 2)
        if row:
            worth, guests = self._worth(columns)
            saving = saving + torch.where(guests, 0.0, worth)
        root = root_work(constants, cycles)
        return saving, root[:, None].expand(saving.shape)

    def _worth(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return D_ij [1], and whose service the server hosts, (B, M, N)."""
        coder = self.coder
        assert coder.guests is not None
        return columns[:, :, coder.n_rows], columns[:, :, coder.guests] > 0.5

    def prices(self, saving: Tensor, root: Tensor) -> Tensor:
        """Return the price λ that each server posts, [P-1], shape (B, M, 1), [1/sqrt(cycle/s)].

        Devices in falling order of w_i / s_i, the work expected up to device k is C_k. Between
        two devices it is taken as linear in λ, which makes the solution a quotient, and its
        gradient that of the condition itself.
        """
        # Work in units of the column's mean: single precision then holds whatever units there are.
        # But not where nobody is present and work is next to none.
        unit = root.mean(-1, keepdim=True)
        unit = torch.where(unit > _LEAST_WORK, unit, torch.ones_like(unit))
        root = root / unit
        ratio, order = (saving / root.clamp(min=1e-6)).sort(dim=-1, descending=True)
        work = root.gather(-1, order)
        chance = torch.sigmoid(self.network(self._features(ratio, work))[..., 0] + self._prior)
        expected = (chance * work).cumsum(-1)
        half = self.frequency[:, None] / unit.square() / 2.0
        # A point before the first device, where no work comes, and one at price 0 behind the last.
        ratio = torch.cat([ratio[..., :1], ratio, ratio[..., -1:].clamp(max=0.0)], dim=-1)
        nothing = torch.zeros_like(expected[..., :1])
        expected = torch.cat([nothing, expected, expected[..., -1:]], dim=-1)
        with torch.no_grad():
            # The last point at which the work that is expected costs less than the ratio.
            place = (ratio * half > expected).sum(-1, keepdim=True) - 1
            place = place.clamp(0, ratio.shape[-1] - 2)
        left, right = ratio.gather(-1, place), ratio.gather(-1, place + 1)
        before, behind = expected.gather(-1, place), expected.gather(-1, place + 1)
        slope = (behind - before) + (left - right) * half
        part = ((left * half - before) / slope.clamp(min=1e-30)).clamp(0.0, 1.0)
        return (left + part * (right - left)).clamp(min=0.0) / unit

    def _features(self, ratio: Tensor, work: Tensor) -> Tensor:
        """Return what the network sees of each device, free of units and of N."""
        devices = ratio.shape[-1]
        rank = torch.arange(devices, device=ratio.device, dtype=ratio.dtype)
        rank = ((rank + 0.5) / devices * 2.0 - 1.0).expand(ratio.shape)
        centred = ratio - ratio.mean(-1, keepdim=True)
        spread = centred.square().mean(-1, keepdim=True).sqrt()
        speed = torch.log(self.frequency / self._mean_frequency)[:, None].expand(ratio.shape)
        best = ratio[..., :1].abs().clamp(min=1e-30)
        return torch.stack(
            [
                rank,
                (centred / spread.clamp(min=1e-30)).clamp(-3.0, 3.0),
                work / work.mean(-1, keepdim=True).clamp(min=1e-30) - 1.0,
                speed,
                (ratio / best).clamp(-1.0, 1.0),
            ],
            dim=-1,
        )

    # -- what an agent answers ------------------------------------------------------------------

    def forward(self, columns: Tensor) -> Tensor:
        """Return the logits of the vote: (w_ij − λ_j s_i) in units of the learned temperature."""
        margins = self._margins(*self.savings(columns), 1.0)
        if columns.shape[2] > self.coder.n_rows:  # central training knows what a host knows
            worth, guests = self._worth(columns)
            at_host = torch.where(guests, worth, 0.0).sum(1, keepdim=True)
            margins = margins - torch.where(guests, 0.0, at_host)
        return margins / (self._unit * self.log_temperature.exp())

    def _margins(self, saving: Tensor, root: Tensor, markdown: float) -> Tensor:
        """Return w_ij − m λ_j s_i, what a device gains at server j when it pays m λ_j."""
        return saving - markdown * self.prices(saving, root) * root

    def scores(self, columns: Tensor, known: Savings | None = None) -> Tensor:
        """Return the agents' scores: a squashed w_ij − m λ_j s_i, with the markdown m.

        In (0, 1), at least 0.5 where offloading pays; of the margin over a typical local cost. Not
        the logistic function, which would round large margins to the same 1. The savings are
        computed where they are not `known`.
        """
        margin = self._margins(*(known or self.savings(columns)), self.markdown)
        if self.admission and columns.shape[2] > self.coder.n_rows:
            worth, guests = self._worth(columns)
            margin = torch.where(guests, worth + margin.clamp(min=0.0), margin)
        margin = margin / self._cost
        return 0.5 + 0.5 * margin / (1.0 + margin.abs())

    def admitted(self, columns: Tensor, offered: Tensor, known: Savings | None = None) -> Tensor:
        """Return which of the offered devices each server keeps, [P-2], both bool, (B, M, N)."""
        saving, root = known or self.savings(columns)
        must = torch.as_tensor(~self.coder.scenario.can_execute_locally, device=saving.device)
        saving = saving.masked_fill(must, math.inf)
        kept: Tensor = paying(saving, root, self.frequency, offered)
        return kept

    def single(self, index: int) -> PriceBank:
        """Return a copy of the agent of server `index`, 0...M - 1."""
        one = copy.deepcopy(self)
        one.coder = self.coder.alone(index)
        one.frequency = self.frequency[index : index + 1].clone()
        return one


def typical_local_cost(scenario: Scenario) -> float:
    """Return the median cost of local execution, the scale of a slot's costs."""
    time = scenario.mean_task("cycles") / scenario.per_device("local_frequency_hz")
    weights = scenario.per_device("weight_latency"), scenario.per_device("weight_energy")
    return float(np.median(weights[0] * time + weights[1] * scenario.local_power_w * time))


def saving_spread(scenario: Scenario) -> float:
    """Return by how much the savings of a server's likely devices differ, a unit for margins.

    A sixteenth of the standard deviation among a server's 2 N / M largest savings, averaged over
    servers and a few slots that are the same at every call: where the temperature starts.
    """
    links = scenario.n_devices * scenario.n_servers
    copies = max(1, min(16, _SAMPLED_LINKS // links))
    world = World(scenario, copies)
    world.reset([np.random.default_rng([7, copy]) for copy in range(copies)])
    slots: Any = world.slot
    cost = load_problems(scenario, slots).cost
    links_cost = np.sort(cost[..., 1:], axis=1)
    likely = max(2, -(-2 * scenario.n_devices // scenario.n_servers))
    spread = float(links_cost[:, :likely].std(axis=1).mean()) / 16.0
    return max(spread, 1e-6 * float(np.abs(links_cost).mean()), 1e-30)
