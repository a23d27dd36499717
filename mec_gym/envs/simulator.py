"""The simulator behind every face: prices decisions, gives rewards, moves the world on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.envs.observation import ObservationCoder
from mec_gym.fields import Uniform
from mec_gym.model.arrays import sum_by_server
from mec_gym.model.assignment import require_in_range
from mec_gym.model.constants import constants_of
from mec_gym.model.cost import NO_TASK, hosts_after, migrates
from mec_gym.model.episode import Episode, Recorded
from mec_gym.model.slot import Slot
from mec_gym.model.world import World
from mec_gym.optimum import solve
from mec_gym.outcome import Outcome, Work, evaluate, price, work_of
from mec_gym.scenario import Scenario
from mec_gym.validation import (
    real_array,
    refuse_where,
    require_bool,
    require_choice,
    require_unmasked,
    state_array,
)

REWARDS = ("reciprocal", "relative", "negative")

MIGRATION = ("migration_s", "migration_j")

Reward = str | Callable[[Outcome], Any]
"""One of REWARDS, or a function that gives the rewards, shape ([B]), of an Outcome."""


class Simulator:
    """One copy of a scenario, or a batch of `n_copies`, priced and moved on together.

    The reward is 1/ΣΦ (Section III of the paper), the objective of all-local execution / objective,
    −objective per device, or what a function makes of the Outcome. With `optimum` the info holds
    the optimum of every slot. Without `n_copies` nothing has a batch axis.
    """

    def __init__(
        self,
        scenario: Scenario,
        n_copies: int | None = None,
        *,
        reward: Reward = "reciprocal",
        observation: str = "flat",
        optimum: bool = False,
    ) -> None:
        if not callable(reward):
            require_choice("reward", reward, REWARDS)
        self.scenario = scenario
        self._batch = () if n_copies is None else (n_copies,)
        self.n_copies = 1 if n_copies is None else n_copies
        self.coder = ObservationCoder(scenario, observation)
        self._drawn = World(scenario, n_copies)
        self.world: World | Recorded = self._drawn
        self._hosts: NDArray[np.int64] | None = None
        if scenario.migrates:
            self._hosts = np.zeros((*self._batch, scenario.n_devices), dtype=np.int64)
        self._n_servers = scenario.n_servers
        self._reward, self._absences = reward, scenario.absences
        self._with_optimum = require_bool("optimum", optimum)
        self._constants = constants_of(scenario, np.empty(0))
        self._work: Work | None = None
        if not isinstance(scenario.cycles, Uniform) and not self._absences:
            # What constant cycles lead to is the same in every slot.
            cycles = np.tile(scenario.per_device("cycles"), (*self._batch, 1))
            self._work = work_of(self._constants, cycles)
        self._must_offload = np.flatnonzero(~scenario.can_execute_locally)
        self._bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    # -- decisions ------------------------------------------------------------------------------

    def checked(self, action: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return an action as int64 of the given shape, or refuse it; eq. (7) included."""
        if type(action) is not np.ndarray:  # a plain array takes no time
            require_unmasked("action", action)
        try:
            array = np.asarray(action)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype.kind not in "iu":
            raise TypeError(
                "action must hold integers (0 = local, j = server j); "
                f"got dtype {array.dtype}. Continuous scores need mec_gym.ScoreAction."
            )
        if array.shape != shape:
            raise ValueError(f"action must have shape {shape}; got shape {array.shape}.")
        checked = array.astype(np.int64, copy=False)
        # Read as unsigned, a negative entry is huge: one pass finds both ends.
        unsigned = checked.view(np.uint64)
        largest = unsigned.item(unsigned.argmax())
        if largest > self._n_servers or self._must_offload.size:
            require_in_range(array, self.scenario)
        return checked

    def local_assignment(self) -> NDArray[np.int64]:
        """Return all-local execution of the current slots, shape ([B,] N).

        Devices that cannot execute locally, eq. (7), use the server with their best gain.
        """
        assignment = np.zeros((*self._batch, self.scenario.n_devices), dtype=np.int64)
        if self._must_offload.size:
            gains = self.slot.gains[..., self._must_offload, :]
            assignment[..., self._must_offload] = 1 + gains.argmax(-1)
        return assignment

    # -- time -----------------------------------------------------------------------------------

    @property
    def slot(self) -> Slot:
        """The current slots as they are priced, batch shape (B,) or ()."""
        slot = self.world.slot
        if self._hosts is None and slot is not None:  # a step asks often
            return slot
        return self._hosted(slot)

    @property
    def seen(self) -> Slot:
        """The current slots as a decision sees them, with gains as old as `csi_delay_slots`."""
        slot = self.world.seen
        return slot if self._hosts is None and slot is not None else self._hosted(slot)

    def _hosted(self, slot: Slot | None) -> Slot:
        if slot is None:
            raise RuntimeError("there is no slot before the first reset().")
        return Slot.trusted(slot.gains, slot.data_bits, slot.cycles, self._hosts)

    def showing(self, episodes: Sequence[Episode] | None) -> World | Recorded:
        """Return the world that shows recorded episodes, one per copy, or for None draws."""
        if episodes is None:
            return self._drawn
        if len(episodes) != self.n_copies:
            raise ValueError(
                f"episode must be one Episode, or one for each copy, {self.n_copies}; "
                f"got {len(episodes)}."
            )
        for one in episodes:
            if not isinstance(one, Episode):
                raise TypeError(f"episode must be an Episode; got {type(one).__name__}.")
            self.scenario.require_equal(one.scenario, "episode must be of an equal scenario")
        return Recorded(episodes, self.n_copies if self._batch else None)

    @property
    def over(self) -> NDArray[np.bool_] | None:
        """Which copies have shown their recorded episodes to the end, shape (B,); None: drawn."""
        return self.world.over if isinstance(self.world, Recorded) else None

    def reset(
        self, rngs: Sequence[np.random.Generator], copies: Sequence[int] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin episodes of `copies`, all by default; the others keep their slot.

        Returns observations and info of all copies; info describes all-local execution.
        """
        self.world.reset(rngs, copies)
        self._bounds = None
        if self._hosts is not None:
            self._hosts = self._hosts.copy()
            self._hosts[slice(None) if copies is None or not self._batch else list(copies)] = 0
        return self.coder.encode(self.seen), self.local_info()

    def local_info(self) -> dict[str, Any]:
        """Return the info of all-local execution of the current slots."""
        return self._figures(self.local_assignment())

    def step(
        self,
        assignment: NDArray[np.int64],
        rngs: Sequence[np.random.Generator],
        restart: Sequence[int] = (),
    ) -> tuple[NDArray[np.float32], Any, dict[str, Any]]:
        """Price a checked decision, shape ([B,] N), in the current slot and draw the next.

        Copies in `restart` begin an episode instead; their rows are not read, and their reward is
        0. Return the next slot's observations, the rewards, and the figures of the decision.
        """
        info = self._figures(assignment)
        reward = self._rewarded(assignment, info["objective"])
        self._bounds = None
        if self._hosts is not None:
            self._hosts = hosts_after(np, assignment, self._hosts, self.slot.cycles)
        if not len(restart):
            self.world.advance(rngs)
            return self.coder.encode(self.seen), reward, info
        going = sorted(set(range(self.n_copies)) - set(restart))
        if going:
            self.world.advance(rngs, going)
        observation, fresh = self.reset(rngs, restart)
        rows = list(restart)
        for key, values in info.items():
            values[rows] = fresh[key][rows]
        reward[rows] = 0.0
        return observation, reward, info

    def _figures(self, assignment: NDArray[np.int64]) -> dict[str, Any]:
        """Return the info of a decision in the current slots."""
        slot = self.slot
        costs = price(self._constants, slot, assignment, self._work)
        counts = sum_by_server(np, None, assignment, self._n_servers)
        if self._batch:
            sums: Any = [np.add.reduce(part, -1) for part in costs]
        else:
            # Three sums of so few numbers take less time copied together, as one operation.
            sums = np.add.reduce(np.array(costs), -1)
        # By index, which takes a tenth of the time of unpacking or of [..., 0].
        objective = sums[2]
        info = {
            "latency_s": sums[0],
            "energy_j": sums[1],
            "objective": objective,
            "n_offloaded": self.scenario.n_devices - counts.T[0],
            "devices_per_server": counts[..., 1:],
        }
        if self._constants.migration is not None:
            moves = migrates(assignment, slot.hosts, slot.cycles)
            info["migrations"] = np.count_nonzero(moves, axis=-1) if self._batch else moves.sum()
            for key, each in zip(MIGRATION, self._constants.migration, strict=True):
                info[key] = np.add.reduce(moves * each, -1)
        if self._with_optimum:
            best, bound = self._optimum()
            # Fresh at every call; [()] makes a number of an array without axes.
            info["optimum"], info["lower_bound"] = best.copy()[()], bound.copy()[()]
            info["nrr"] = bound / objective
        return info

    def _rewarded(self, assignment: NDArray[np.int64], objective: Any) -> Any:
        """Return the reward of a decision with this objective in the current slots."""
        if callable(self._reward):
            return self._rewarded_by(self._reward, assignment)
        if self._reward == "negative":
            return objective / -self.scenario.n_devices
        if self._reward == "reciprocal":
            empty, reward = 0.0, 1.0 / objective
        else:
            _, _, local = price(self._constants, self.slot, self.local_assignment(), self._work)
            empty, reward = 1.0, np.add.reduce(local, axis=-1) / objective
        if self._absences:  # without a task in the slot the quotient says nothing
            return np.where((self.slot.cycles > NO_TASK).any(-1), reward, empty)[()]
        return reward

    def _rewarded_by(
        self, function: Callable[[Outcome], Any], assignment: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return what a user's function makes of a decision, checked."""
        given = function(evaluate(self.scenario, self.slot, assignment))
        rewards = np.array(real_array("what reward() returns", given))
        if rewards.shape != self._batch:
            raise ValueError(
                f"what reward() returns must have shape {self._batch}, a number per decision; got "
                f"shape {rewards.shape}. Reduce the axis of devices, the last one: "
                "lambda outcome: -outcome.energy_j.sum(-1)."
            )
        refuse_where(~np.isfinite(rewards), "what reward() returns", "must be finite", rewards)
        return rewards

    def _optimum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return optimum and bound of the current slots, solved once per slot."""
        if self._bounds is None:
            found = solve(self.scenario, self.slot)
            self._bounds = np.array(found.objective), np.array(found.lower_bound)
        return self._bounds

    # -- state ----------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Return the state of all copies, generators apart."""
        hosts = None if self._hosts is None else self._hosts.copy()
        return self.world.get_state() | {"hosts": hosts}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; ``TypeError`` or ``ValueError`` for one that does not fit."""
        hosts = None
        if self._hosts is not None:
            hosts = state_array("hosts", state.get("hosts"), self._hosts)
            Slot(np.ones((*hosts.shape, self._n_servers)), 1.0, 1.0, hosts)  # refuses what is none
        recorded, times = state.get("recorded") or (None, None)
        world = self.showing(recorded)
        if isinstance(world, Recorded):
            world.set_times(times)
        else:
            world.set_state(state)
        self.world, self._hosts, self._bounds = world, hosts, None
