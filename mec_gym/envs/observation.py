"""What a learner sees of a slot, and the way back from an observation to its Slot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from mec_gym.fields import TASKS, Uniform
from mec_gym.model.arrays import Array, in_shape, namespace_of
from mec_gym.model.cost import NO_TASK
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario
from mec_gym.validation import LARGEST, SMALLEST, real_array, require_choice

OBSERVATIONS = ("flat", "db", "raw")

CENTRE_DB = -70.0
"""Gain that the "db" observation maps to 0: Table I's reference gain at about 38 m."""

SCALE_DB = 10.0
"""Decibels per unit of the "db" observation: a factor of ten in gain moves it by 1."""

# (10 log10(h) - CENTRE_DB) / SCALE_DB = ln(h) / LN + OFFSET
# Without axes: NumPy meets such arrays faster than Python's floats.
_PER_NEPER = np.array(10.0 / (math.log(10.0) * SCALE_DB), dtype=np.float32)
_OFFSET = np.array(-CENTRE_DB / SCALE_DB, dtype=np.float32)
_LOWEST, _HIGHEST = np.array(-1.0), np.array(1.0)
_SLACK = 0.001
"""Room at the ends of the space for the rounding of the model's extreme gains."""

RESOLUTION = 1.1e-5
"""Largest relative error of gains that went through an observation.

Decibels in single precision have so many digits, far from 0 dB. Their logarithm in double precision
would take twice the time in a batch, for 4.4e-6.
"""


class ObservationCoder:
    """Turns slots of one scenario into observations and back.

    Columns and kinds are those of :class:`~mec_gym.envs.offloading.MultiMECEnv`: gains as [O-1] and
    tasks scaled by the ends of their range, [O-2], but in "raw". `shape` is that of an observation,
    `n_columns` the number of columns, and `task_scales` has for each task column, in order, the
    middle of its range and half its width, in the task's unit.
    """

    def __init__(self, scenario: Scenario, kind: str = "flat") -> None:
        require_choice("observation", kind, OBSERVATIONS)
        self.scenario = scenario
        self.kind = kind
        self.n_servers = scenario.n_servers
        drawn = {name: law for name in TASKS if isinstance(law := getattr(scenario, name), Uniform)}
        # Without axes, as above.
        self.task_scales = {
            name: (np.array((law.low + law.high) / 2), np.array((law.high - law.low) / 2))
            for name, law in drawn.items()
        }
        self._migrates, self._absences = scenario.migrates, scenario.absences
        hosts = scenario.n_servers if self._migrates else 0
        tasks_end = scenario.n_servers + len(drawn)
        self.host_columns = slice(tasks_end, tasks_end + hosts)
        self.n_columns = tasks_end + hosts + self._absences
        rows = scenario.n_devices
        self.shape = (rows * self.n_columns,) if kind == "flat" else (rows, self.n_columns)

    def space(self) -> Box:
        """Return a new Box of the observations, float32, with the ends of the model's range."""
        hosts = self.host_columns.stop - self.host_columns.start
        ends = self._ends(self.n_servers, hosts)
        bounds = [np.tile(end, (self.scenario.n_devices, 1)) for end in ends]
        low, high = (bound.reshape(self.shape) for bound in bounds)
        return Box(low, high, dtype=np.float32)

    def column_space(self) -> Box:
        """Return a new Box of what one server sees, see :meth:`columns_of_servers`."""
        ends = self._ends(1, 2 if self._migrates else 0)
        low, high = (np.repeat(end, self.scenario.n_devices) for end in ends)
        return Box(low, high, dtype=np.float32)

    def columns_of_servers(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what each server sees of an observation of all, (M, R · N): row by row."""
        columns = observation.reshape(self.scenario.n_devices, self.n_columns).T
        seen: NDArray[np.float32] = self.of_servers(np, columns).reshape(self.n_servers, -1)
        return seen.copy()

    def of_servers(self, xp: Any, columns: Any) -> Any:
        """Return each server's R rows, (..., M, R, N), of all columns, (..., C, N).

        Its gains, the tasks, and where there is such a thing whose service it hosts, whose another
        server hosts, and who is present.
        """
        if self.n_columns == self.n_servers:
            return columns[..., None, :]
        hosts = self.host_columns

        def of_all(rows: Any) -> Any:
            shape = (*rows.shape[:-2], self.n_servers, *rows.shape[-2:])
            return xp.broadcast_to(rows[..., None, :, :], shape)

        tasks = columns[..., self.n_servers : hosts.start, :]
        parts = [columns[..., : self.n_servers, None, :], of_all(tasks)]
        if self._migrates:
            mine = columns[..., hosts, None, :]
            parts += [mine, mine.sum(-3, keepdims=True) - mine]
        if self._absences:
            parts.append(of_all(columns[..., hosts.stop :, :]))
        return xp.concatenate(parts, axis=-2)

    def _ends(self, n_gains: int, n_hosts: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the bounds of one row with so many columns of gains and of hosts."""
        laws = [getattr(self.scenario, name) for name in self.task_scales]
        if self.kind == "raw":
            low = [SMALLEST] * n_gains + [SMALLEST if self._absences else law.low for law in laws]
            high = [LARGEST] * n_gains + [law.high for law in laws]
        else:
            ends = np.log([SMALLEST, LARGEST]) * _PER_NEPER + _OFFSET
            low = [ends[0] - _SLACK] * n_gains + [-1.0] * len(laws)
            high = [ends[1] + _SLACK] * n_gains + [1.0] * len(laws)
        flags = n_hosts + self._absences
        low, high = low + [0.0] * flags, high + [1.0] * flags
        return np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)

    def encode(self, slot: Slot) -> NDArray[np.float32]:
        """Return new observations, ``(..., *shape)`` float32, of a batch of slots."""
        gains: NDArray[np.float32] = slot.gains.astype(np.float32)
        if self.kind != "raw":
            # In single precision from here: the result has no more digits, and it is faster.
            np.log(gains, out=gains)
            gains *= _PER_NEPER
            gains += _OFFSET
        coded = gains
        if self.n_columns > self.n_servers:
            coded = np.empty((*gains.shape[:-1], self.n_columns), dtype=np.float32)
            coded[..., : self.n_servers] = gains
            scales = enumerate(self.task_scales.items(), self.n_servers)
            for column, (name, (middle, half)) in scales:
                values = getattr(slot, name)
                if self.kind != "raw":
                    values = values - middle
                    values /= half
                    # Rounding may pass the ends; clip() takes as long as all the rest.
                    np.maximum(values, _LOWEST, out=values)
                    np.minimum(values, _HIGHEST, out=values)
                coded[..., column] = values
        if self._migrates:
            servers = np.arange(1, self.n_servers + 1)
            coded[..., self.host_columns] = slot.known_hosts[..., None] == servers
        if self._absences:
            coded[..., -1] = slot.cycles > NO_TASK
        return coded if self.kind != "flat" else coded.reshape(gains.shape[:-2] + self.shape)

    def decode(self, observation: Any) -> Slot:
        """Return the slot that an observation shows, or a batch: tables or vectors, as they come.

        Gains within `RESOLUTION`; within 5e-6 from 1e-24 to 1e10, where all radio is.
        """
        rows, columns = self.scenario.n_devices, self.n_columns
        shaped = in_shape(real_array("observation", observation), self.shape, rows)
        batch = shaped.shape[: shaped.ndim - len(self.shape)]
        if (*batch, *self.shape) != shaped.shape:
            raise ValueError(
                f"observation must have shape (..., {rows}, {columns}) or (..., {rows * columns}); "
                f"got shape {shaped.shape}."
            )
        values = shaped.reshape(*batch, rows, columns)
        gains = values[..., : self.n_servers]
        if self.kind != "raw":
            gains = gains_of_units(gains)
        tasks, places = {}, iter(range(self.n_servers, self.n_columns))
        for name in TASKS:
            if name in self.task_scales:
                middle, half = self.task_scales[name]
                task = values[..., next(places)]
                task = task if self.kind == "raw" else middle + half * task
            else:
                task = self.scenario.per_device(name)
            tasks[name] = np.where(values[..., -1] > 0.5, task, NO_TASK) if self._absences else task
        hosts = None
        if self._migrates:
            at = values[..., self.host_columns] > 0.5
            hosts = np.where(at.any(axis=-1), 1 + at.argmax(axis=-1), 0)
        # float32 may round the ends of the model's range outwards.
        return Slot(np.clip(gains, SMALLEST, LARGEST), **tasks, hosts=hosts)


def kind_of_space(scenario: Scenario, space: Any) -> str:
    """Return the kind of the observations that a space holds, whatever the tasks, or refuse it."""
    for kind in OBSERVATIONS:
        own = ObservationCoder(scenario, kind).space()
        # A gain comes first in all of them; bounds of tasks may be those of another scenario.
        alike = isinstance(space, Box) and len(space.shape) == len(own.shape)
        if alike and space.low.flat[0] == own.low.flat[0]:
            return kind
    raise ValueError(
        f"observations must be those of the env, of a kind {', '.join(map(repr, OBSERVATIONS))}; "
        f"got {space}. Name the kind if the model takes it all the same: observation='flat'."
    )


def units_of_gains(gains: Array) -> Array:
    """Return gains, an array or tensor, as entries of a "db" observation, [O-1]."""
    return namespace_of(gains).log(gains) * float(_PER_NEPER) + float(_OFFSET)


def gains_of_units(units: Array) -> Array:
    """Return the gains that entries of a "db" observation stand for, the inverse of [O-1]."""
    return namespace_of(units).exp((units - float(_OFFSET)) / float(_PER_NEPER))


def slot_from_observation(scenario: Scenario, observation: Any, kind: str = "flat") -> Slot:
    """Return the Slot that an observation of the env, or a batch of them, shows.

    Parameters
    ----------
    scenario : Scenario
        The env's scenario.
    observation : array_like
        With the batch axes of the Slot, each a table or a vector; gains come back within 5e-6
        relative from 1e-24 to 1e10, and within 1.1e-5 in the model's whole range.
    kind : {"flat", "db", "raw"}
        The env's `observation` argument; "flat" and "db" mean the same here.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> observation, _ = env.reset(seed=0)
    >>> slot = slot_from_observation(env.unwrapped.scenario, observation)
    >>> bool(np.allclose(slot.gains, env.unwrapped.slot.gains, rtol=5e-6))
    True
    """
    return ObservationCoder(scenario, kind).decode(observation)
