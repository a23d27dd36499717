"""A critic that is a sum over the links chosen and over servers' loads, learned from the reward.

In every slot the objective is a sum of a term of each device, which depends on the link it uses
and on its task, and of a convex term of each server's load. The critic assumes that much and
learns all terms by regression on scalar rewards. So it tells from totals alone what each choice
costs each device, where an advantage that all devices share does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.learners.links import Centred, typical_units
from mec_gym import Scenario, Slot
from mec_gym.envs.observation import units_of_gains
from mec_gym.fields import PER_DEVICE_FIELDS, TASKS
from mec_gym.model.cost import NO_TASK

FAR = 1.0
"""Mean costs of staying at which differences are cut: bad links cost hundreds of them."""

BEND = 0.05
"""Error of a cost's logarithm from which on it counts linearly."""

_STEEPEST = 8.0  # largest exponent of a link's own cost


class Seen(NamedTuple):
    """What slots show of links, (B, N, M, L), of devices, (B, N, D), and who is there, (B, N)."""

    links: Tensor
    devices: Tensor
    present: Tensor


class CostView:
    """Turns slots of one scenario into what the cost of a device's choice may depend on.

    Of a device: bits and cycles of its task, and what differs for good among devices, as logarithms
    beside the scenario's mean. Of a link: its gain in decades as in the "db"
    observation and, where services migrate, whether the device's would have to move to use it.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        values = [scenario.per_device(name) for name in PER_DEVICE_FIELDS]
        unlike = [_beside(one, one.mean()) for one in values if np.ptp(one) > 0.0]
        self._standing = np.stack([*unlike, np.zeros(scenario.n_devices)], -1)[:, :-1]
        self._typical = {name: float(np.mean(scenario.mean_task(name))) for name in TASKS}
        self.n_of_device = len(TASKS) + len(unlike)
        self.n_of_link = 1 + scenario.migrates

    def __call__(self, slot: Slot, device: torch.device | None = None) -> Seen:
        """Return what is seen of a batch of slots (B, ...)."""
        links = [units_of_gains(slot.gains)]
        if self.scenario.migrates:
            links.append(slot.known_hosts[..., None] != np.arange(1, slot.n_servers + 1))
        present = np.broadcast_to(slot.cycles > NO_TASK, slot.gains.shape[:2])
        tasks = [_beside(getattr(slot, name), typical) for name, typical in self._typical.items()]
        shown = [np.broadcast_to(one, present.shape) for one in (*tasks, *self._standing.T)]
        arrays = np.stack(links, -1), np.where(present[..., None], np.stack(shown, -1), 0.0)
        return Seen(
            *(torch.tensor(x, dtype=torch.float32, device=device) for x in (*arrays, present))
        )


def _beside(values: NDArray[np.float64], typical: float) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.log(np.maximum(values / typical, 1e-9))
    return shares


class Prices(NamedTuple):
    """All terms of the critic in a batch of slots: what any decisions in them cost.

    `home` and `work`, (B, N), are what devices cost that stay, and bring to a server; `links`,
    (B, N, M), the own costs of links; a server's load L costs `linear` L + `square` L², both (M,).
    """

    home: Tensor
    links: Tensor
    work: Tensor
    linear: Tensor
    square: Tensor

    def of_loads(self, loads: Tensor) -> Tensor:
        """Return what loads, (..., M), cost each server."""
        return loads * (self.linear + self.square * loads)

    def differences(self, shares: Tensor) -> Tensor:
        """Return what each choice, (B, N, M), costs all more than if that device stayed.

        Exactly, given the loads of all others by their shares.
        """
        work = self.work[..., None]
        brought = shares * work
        others = brought.sum(-2, keepdim=True) - brought
        loads = self.of_loads(others + work) - self.of_loads(others)
        return self.links + loads - self.home[..., None]


class AdditiveCritic(Centred):
    """Costs of decisions as sums of terms, each by a small network that is the same for all.

    cost = Σ_i own(i, its choice) + Σ_j k1_j L_j + k2_j L_j²; L_j sums up the work of those who
    come, and k1_j, k2_j depend on the server's speed. Costs are in units of `unit`, half the mean
    over devices of the cheapest decision in the first batch, about what a device costs that stays.
    """

    unit: Tensor
    sign: Tensor
    optimizer: torch.optim.Optimizer

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(typical_units(scenario))
        self.meet(scenario)
        of_link, of_device = self.n_seen
        self.link = _network(of_link + of_device, 1)
        self.device = _network(of_device, 2)
        self.server = _network(1, 2)
        with torch.no_grad():
            # At first staying counts, and who comes to a server hardly.
            list(self.device.parameters())[-1].copy_(torch.tensor([2.0, -2.0]))
            list(self.server.parameters())[-1].copy_(torch.tensor([-3.0, 0.0]))
        self.register_buffer("unit", torch.zeros(()))
        self.register_buffer("sign", torch.zeros(()))  # of the last rewards

    def meet(self, scenario: Scenario) -> None:
        """See slots of this scenario from now on."""
        self.view = CostView(scenario)
        speeds = scenario.server_frequencies_hz
        self._speeds = torch.tensor(_beside(speeds, speeds.mean()), dtype=torch.float32)[:, None]
        self.n_seen = self.view.n_of_link, self.view.n_of_device

    def see(self, slot: Slot) -> Seen:
        """Return what the critic sees of a batch of slots."""
        seen = self.view(slot, self.unit.device)
        seen.links[..., 0] -= self.middle
        return seen

    def prices(self, seen: Seen) -> Prices:
        """Return all terms in a batch of slots."""
        home, work = self._of_devices(seen)
        linear, square = self._of_servers()
        return Prices(home, self._of_links(seen.links, seen), work, linear, square)

    def forward(self, seen: Seen, assignment: Tensor) -> Tensor:
        """Return the costs, (B,), of assignments, (B, N): as of `prices`, of chosen links alone."""
        home, work = self._of_devices(seen)
        goes, at = assignment > 0, (assignment - 1).clamp(min=0)
        links = seen.links.take_along_dim(at[..., None, None], -2)
        own = torch.where(goes, self._of_links(links, seen)[..., 0], home).sum(-1)
        linear, square = self._of_servers()
        loads = torch.zeros(len(at), len(linear), device=at.device)
        loads = loads.scatter_add(-1, at, work * goes)
        costs: Tensor = own + (loads * (linear + square * loads)).sum(-1)
        return costs

    def loss(self, seen: Seen, assignment: Tensor, rewards: Tensor) -> Tensor:
        """Return the error of logarithms of costs, given rewards, (B,).

        The first set the unit, and the first of another sign do so again. Slots in which nobody is
        present are left out: there is nothing to learn from them.
        """
        there = seen.present.any(-1)
        told = rewards[there]
        guesses, costs = self(seen, assignment)[there].log(), costs_of(told)
        if not len(costs):
            nothing: Tensor = guesses.sum()
            return nothing
        sign = told[0].sign()
        if not self.unit or self.sign * sign < 0.0:
            self.unit.copy_(costs.min() / (2 * assignment.shape[1]))
        self.sign.copy_(sign)
        return nn.functional.smooth_l1_loss(guesses, (costs / self.unit).log(), beta=BEND)

    def leads(self, seen: Seen, shares: Tensor) -> Tensor:
        """Return `differences` in mean costs of staying, at most ±:data:`FAR`, without gradient."""
        with torch.no_grad():
            prices = self.prices(seen)
            mean = mean_cost(prices.home, seen)
            return (prices.differences(shares) / mean).clamp(-FAR, FAR)

    def _of_devices(self, seen: Seen) -> tuple[Tensor, Tensor]:
        terms = nn.functional.softplus(self.device(seen.devices)) * seen.present[..., None]
        return terms[..., 0], terms[..., 1]

    def _of_links(self, links: Tensor, seen: Seen) -> Tensor:
        devices = seen.devices[:, :, None].expand(*links.shape[:-1], seen.devices.shape[-1])
        exponents = self.link(torch.cat([links, devices], -1))[..., 0]
        own: Tensor = exponents.clamp(-_STEEPEST, _STEEPEST).exp()
        return own * seen.present[..., None]

    def _of_servers(self) -> Tensor:
        terms: Tensor = self.server(self._speeds.to(self.unit.device))
        return nn.functional.softplus(terms).T


def mean_cost(costs: Tensor, seen: Seen) -> Tensor:
    """Return the mean of devices' costs, (B, N), over who is present; above 0 where nobody is."""
    return (costs.sum() / seen.present.sum().clamp(min=1.0)).clamp(min=1e-30)


def costs_of(rewards: Tensor) -> Tensor:
    """Return the costs that rewards, (B,), stand for, up to a factor: −r, or 1/r where r > 0."""
    if bool((rewards < 0).all()):
        return -rewards
    if bool((rewards > 0).all()):
        return 1.0 / rewards
    raise ValueError(
        "rewards must be costs with a minus, all negative, or their reciprocals, all positive: "
        f'got {rewards.min():.4g} to {rewards.max():.4g}. Use reward="reciprocal", "relative" or '
        '"negative" of the env.'
    )


def _network(n_inputs: int, n_outputs: int) -> nn.Sequential:
    layers = [nn.Linear(n_inputs, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(32, n_outputs))
