"""What every choice of every device saves: MAPPO's credit, by the model or learned from rewards.

A difference reward is what the objective would be with another choice of one device, all others as
they are (D. Wolpert and K. Tumer, "Optimal Payoff Functions for Members of Collectives", 2001). Who
is told the model computes it. It can be learned, too, by a network that explains the rewards
(J. Castellini et al., "Difference Rewards Policy Gradients", 2021): here by the additive critic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.utils import update_learning_rate
from torch import nn

from baselines.learners.additive_critic import AdditiveCritic, Seen
from baselines.learners.memory import Memory
from mec_gym import Scenario, Slot, counterfactuals
from mec_gym.model.cost import NO_TASK

Floats = NDArray[np.float32]

WORST = 4.0
"""By how much a choice is worse than local execution at most, in costs of the latter.

Links that reach no server cost hundreds of times as much. How bad they are teaches nothing more.
"""

REMEMBERED = 256
"""Slots that learned credit is learned from, the last ones: older ones were crowded otherwise."""

PASSES, BATCH = 16, 64
"""How often a slot is learned from on average, and slots of a gradient step."""

RATE, LONGEST = 0.01, 0.5
"""Adam's learning rate at first, and the longest gradient."""


def saved(scenario: Scenario, slot: Slot, decisions: NDArray[np.int64]) -> Floats:
    """Return what every choice of every device saves, (B, N, M + 1), in units of :func:`_units`.

    That is the objective with the device's local execution in its choice's place, minus the one
    with the choice, the choices of all others as they are; at least -:data:`WORST` and what a move
    costs. A device that cannot execute locally is compared with its best choice. 0 for absent
    devices.
    """
    table = counterfactuals(scenario, slot, decisions) / _units(scenario)[:, None]
    return _savings(scenario, slot, table)


def _savings(scenario: Scenario, slot: Slot, table: NDArray[Any]) -> Floats:
    """Return what choices save whose costs, (B, N, M + 1), are in mean costs of staying."""
    best = table.min(-1, keepdims=True)
    local = table[..., :1]
    reference = np.where(np.isfinite(local), local, best)
    present = (slot.cycles > NO_TASK)[..., None]
    lowest = -WORST - _move(scenario)[:, None]
    return np.where(present, np.maximum(reference - table, lowest), 0.0).astype(np.float32)


def shaping(scenario: Scenario, slot: Slot, gamma: float) -> Floats:
    """Return what placing a service is worth beside what it saves, (B, N, M + 1).

    A placed service has the potential of what placing one costs, Φ; every choice gains γ Φ(next) -
    Φ(now). No policy becomes better or worse by that (Ng et al., 1999), but the first placement no
    longer looks like a pure loss until the critic knows better: by then all devices stay local.
    """
    placed = slot.known_hosts > 0
    then = np.repeat(placed[..., None], scenario.n_servers + 1, axis=-1)
    then[..., 1:] |= (slot.cycles > NO_TASK)[..., None]
    moving = _move(scenario)[:, None]
    gained: Floats = (moving * (gamma * then - placed[..., None])).astype(np.float32)
    return gained


def _move(scenario: Scenario) -> NDArray[np.float64]:
    """Return what a move costs, (N,), in units; 0 where services do not migrate."""
    cost = scenario.migration_cost if scenario.migrates else 0.0
    return np.broadcast_to(cost / _units(scenario), scenario.n_devices)


def _units(scenario: Scenario) -> NDArray[np.float64]:
    """Return what local execution of a mean task costs, eqs. (8) to (10), (N,): the same always."""
    weighted = scenario.per_device("weight_latency") + (
        scenario.per_device("weight_energy") * scenario.local_power_w
    )
    cycles = scenario.mean_task("cycles")
    return np.asarray(weighted * cycles / scenario.per_device("local_frequency_hz"))


class LearnedCredit:
    """What choices save by an additive critic that is trained on the last slots' rewards.

    It is told how costs add up, and none of them.
    """

    def __init__(self, scenario: Scenario, device: torch.device) -> None:
        self.scenario, self.device = scenario, device
        self.critic = AdditiveCritic(scenario).to(device)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=RATE, fused=True)
        of_link, of_device = self.critic.n_seen
        n, m = scenario.n_devices, scenario.n_servers
        self.memory = Memory(
            REMEMBERED,
            links=np.zeros((n, m, of_link), dtype=np.float32),
            devices=np.zeros((n, of_device), dtype=np.float32),
            present=np.zeros(n, dtype=np.float32),
            decisions=np.zeros(n, dtype=np.min_scalar_type(m)),
            rewards=np.zeros((), dtype=np.float32),
        )

    def learn(
        self,
        slot: Slot,
        decisions: NDArray[np.int64],
        rewards: NDArray[np.float64],
        rate: float,
        rng: np.random.Generator,
    ) -> list[float]:
        """Remember slots, (B, ...), with their rewards, and learn; return the steps' errors."""
        update_learning_rate(self.optimizer, rate)
        before = self.memory.added
        seen = {name: part.cpu().numpy() for name, part in self.critic.see(slot)._asdict().items()}
        self.memory.add(**seen, decisions=decisions, rewards=rewards)
        steps = self.memory.added * PASSES // BATCH - before * PASSES // BATCH
        return [self._descend(self.memory.sample(BATCH, rng)) for _ in range(steps)]

    def _descend(self, drawn: Mapping[str, NDArray[Any]]) -> float:
        part = {name: torch.as_tensor(one, device=self.device) for name, one in drawn.items()}
        seen = Seen(part["links"], part["devices"], part["present"])
        loss = self.critic.loss(seen, part["decisions"].long(), part["rewards"])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.critic.parameters(), LONGEST)
        self.optimizer.step()
        return loss.item()

    def saved(self, slot: Slot, decisions: NDArray[np.int64]) -> Floats:
        """Return what :func:`saved` returns, as the critic has learned it."""
        goes = decisions[..., None] == np.arange(1, self.scenario.n_servers + 1)
        shares = torch.as_tensor(goes, dtype=torch.float32, device=self.device)
        leads = self.critic.leads(self.critic.see(slot), shares, far=torch.inf).cpu().numpy()
        stays = np.where(self.scenario.can_execute_locally, 0.0, np.inf)[:, None]
        stays = np.broadcast_to(stays, (*leads.shape[:-1], 1))
        return _savings(self.scenario, slot, np.concatenate([stays, leads], -1))

    def get_state(self) -> dict[str, Any]:
        """Return all of it, for an exact continuation."""
        optimizer = self.optimizer.state_dict()["state"]
        return {
            "memory": self.memory.get_state(),
            "weights": dict(self.critic.state_dict()),
            "optimizer": {str(key): value for key, value in optimizer.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.memory.set_state(state["memory"])
        self.critic.load_state_dict(state["weights"])
        optimizer = {int(key): one for key, one in state["optimizer"].items()}
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": optimizer})
