"""What every choice of every device saves: MAPPO's credit, by the model or learned from rewards.

A difference reward is what the objective would be with another choice of one device, all others as
they are (D. Wolpert and K. Tumer, "Optimal Payoff Functions for Members of Collectives", 2001).
With the model it is computed; without, it can be learned by a network that explains the rewards
(J. Castellini et al., "Difference Rewards Policy Gradients", 2021), here by the additive critic.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.utils import update_learning_rate
from torch import nn

from baselines.learners.additive_critic import AdditiveCritic, Seen, costs_of, mean_cost
from baselines.learners.memory import Memory
from mec_gym import Scenario, Slot, counterfactuals
from mec_gym.model.cost import NO_TASK

Floats = NDArray[np.float32]

WORST = 4.0
"""By how much a choice is worse than local execution at most, in costs of the latter.

Links that reach no server cost hundreds of times as much. How bad they are teaches nothing more.
"""

BUFFER_SIZE, BATCH_SIZE = 256, 64
"""Slots that costs are learned from, the last ones, and slots of a gradient step.

In many more of the first slots servers are crowded: a critic of those does not see single links.
"""

REPLAYED = 16
"""How often a slot is learned from on average."""

LEARNING_RATE, MAX_GRAD_NORM = 0.01, 0.5
"""Of Adam; the rate falls to zero in the course of training."""


def saved(scenario: Scenario, slot: Slot, decisions: NDArray[np.int64]) -> Floats:
    """Return what every choice of every device saves, (B, N, M + 1), in units of :func:`_units`.

    That is the objective with the device's local execution in its choice's place, minus the one
    with the choice, the choices of all others as they are; at least -:data:`WORST` and what a move
    costs. A device that cannot execute locally is compared with its best choice. 0 for absent
    devices.
    """
    table = counterfactuals(scenario, slot, decisions) / _units(scenario)[:, None]
    return _savings(slot, table, -WORST - _move(scenario)[:, None])


def _savings(slot: Slot, costs: NDArray[Any], lowest: Any) -> Floats:
    """Return what choices save that cost so much, (B, N, M + 1), infinite where forbidden."""
    best = costs.min(-1, keepdims=True)
    local = costs[..., :1]
    reference = np.where(np.isfinite(local), local, best)
    present = (slot.cycles > NO_TASK)[..., None]
    return np.where(present, np.maximum(reference - costs, lowest), 0.0).astype(np.float32)


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
    """What choices save by an additive critic that learns from the last slots' rewards.

    Of the model it is told that costs are such a sum, and who cannot execute locally.
    """

    def __init__(self, scenario: Scenario, device: torch.device, rng: np.random.Generator) -> None:
        self.device, self.rng = device, rng
        self._new_critic(scenario)
        self.meet(scenario)

    def _new_critic(self, scenario: Scenario) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(self.rng.integers(2**31)))
            self.critic = AdditiveCritic(scenario).to(self.device)

    def meet(self, scenario: Scenario) -> None:
        """Go on with slots and rewards of this scenario alone, and with the weights if they fit."""
        self.scenario, before = scenario, self.critic.n_seen
        self._reward, self._loaded = 0.0, False  # the last one that was told
        self.critic.meet(scenario)
        if self.critic.n_seen != before:
            self._new_critic(scenario)
        self.critic.unit.zero_()
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=LEARNING_RATE, fused=True)
        of_link, of_device = self.critic.n_seen
        n, m = scenario.n_devices, scenario.n_servers
        self.memory = Memory(
            BUFFER_SIZE,
            links=np.zeros((n, m, of_link), dtype=np.float32),
            devices=np.zeros((n, of_device), dtype=np.float32),
            present=np.zeros(n, dtype=np.float32),
            decisions=np.zeros(n, dtype=np.min_scalar_type(m)),
            rewards=np.zeros((), dtype=np.float32),
        )

    @property
    def ready(self) -> bool:
        """Whether it has seen slots enough to say anything."""
        return self.memory.added >= BATCH_SIZE

    def learn(
        self,
        slot: Slot,
        decisions: NDArray[np.int64],
        rewards: NDArray[np.float64],
        remaining: float,
    ) -> list[float]:
        """Remember slots, (B, ...), with their rewards, and learn; return the steps' errors.

        `remaining` is the share of training that is left. ``ValueError`` for rewards that are no
        costs, ``FloatingPointError`` where training has diverged. Loaded with rewards of another
        sign it begins anew.
        """
        seen = {name: part.cpu().numpy() for name, part in self.critic.see(slot)._asdict().items()}
        told = rewards[seen["present"].any(-1)]
        if self._loaded and (self._reward * told < 0).any():
            self.meet(self.scenario)  # the env has rewards of another kind than the file's
        costs_of(torch.as_tensor([*told, *[self._reward] * bool(self._reward)]))
        if not (np.abs(told) < np.finfo(np.float32).max).all():
            raise ValueError(f"rewards must be finite; got {told.min():.4g} to {told.max():.4g}.")
        self._reward, self._loaded = float(told[-1]) if len(told) else self._reward, False
        update_learning_rate(self.optimizer, LEARNING_RATE * max(remaining, 0.0))
        before = self.memory.added
        self.memory.add(**seen, decisions=decisions, rewards=rewards)
        steps = self.memory.added * REPLAYED // BATCH_SIZE - before * REPLAYED // BATCH_SIZE
        return [self._descend(self.memory.sample(BATCH_SIZE, self.rng)) for _ in range(steps)]

    def _descend(self, drawn: Mapping[str, NDArray[Any]]) -> float:
        part = {name: torch.as_tensor(one, device=self.device) for name, one in drawn.items()}
        seen = Seen(part["links"], part["devices"], part["present"])
        loss = self.critic.loss(seen, part["decisions"].long(), part["rewards"])
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                "the error of the learned credit is no longer a number. Training stopped; "
                "checkpoints written before are good."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.critic.parameters(), MAX_GRAD_NORM)
        self.optimizer.step()
        return loss.item()

    def saved(self, slot: Slot, decisions: NDArray[np.int64]) -> Floats:
        """Return what choices save, (B, N, M + 1), as the critic has it; at least -2 WORST.

        In the mean cost of staying in these slots, by the critic, too; of who cannot stay the own
        cost of the best link counts instead.
        """
        goes = decisions[..., None] == np.arange(1, self.scenario.n_servers + 1)
        shares = torch.as_tensor(goes, dtype=torch.float32, device=self.device)
        may_stay = torch.as_tensor(self.scenario.can_execute_locally, device=self.device)
        with torch.no_grad():
            seen = self.critic.see(slot)
            prices = self.critic.prices(seen)
            # Nothing tells what staying would cost those who cannot.
            usual = torch.where(may_stay, prices.home, prices.links.amin(-1))
            leads = (prices.differences(shares) / mean_cost(usual, seen)).cpu().numpy()
        stays = np.where(self.scenario.can_execute_locally, 0.0, np.inf)[:, None]
        stays = np.broadcast_to(stays, (*leads.shape[:-1], 1))
        return _savings(slot, np.concatenate([stays, leads], -1), -2.0 * WORST)

    def get_state(self) -> dict[str, Any]:
        """Return a copy of all of it, for an exact continuation."""
        optimizer = copy.deepcopy(self.optimizer.state_dict()["state"])
        return {
            "memory": self.memory.get_state(),
            "weights": copy.deepcopy(dict(self.critic.state_dict())),
            "optimizer": {str(key): value for key, value in optimizer.items()},
        }

    def set_state(self, state: Mapping[str, Any], *, same_world: bool) -> None:
        """Go back to a state; in another world to its weights alone, if they fit."""
        mine = self.critic.state_dict()
        if same_world or all(
            mine[name].shape == one.shape for name, one in state["weights"].items()
        ):
            self.critic.load_state_dict(state["weights"])
        if same_world:
            self.memory.set_state(state["memory"])
            self._reward, self._loaded = float(state["memory"]["rewards"].sum()), True
            optimizer = {int(key): one for key, one in state["optimizer"].items()}
            self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": optimizer})
        else:
            self.critic.unit.zero_()
