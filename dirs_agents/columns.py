"""What each server's agent sees of an observation: its own gains, tasks, and its own guests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mec_gym import Scenario, Slot
from mec_gym.envs.observation import ObservationCoder, gains_of_units, units_of_gains
from mec_gym.fields import TASKS
from mec_gym.model.arrays import plain_array
from mec_gym.model.cost import NO_TASK


def tensor_of(array: NDArray[Any], device: torch.device | None = None) -> Tensor:
    """Return any array of numbers as a tensor, which shares its memory where PyTorch can."""
    return torch.as_tensor(plain_array(array), device=device)


class ColumnCoder:
    """Splits observations into the servers' columns, and turns columns into physics.

    Each agent gets its own column, Algorithm 1, lines 7 and 8, as the PettingZoo env shows it:
    the rows of :meth:`ObservationCoder.of_servers`, in the units of the "db" observation, [O-1] and
    [O-2]. `n_rows` is their number R, 1 + T where nothing moves, and `guests` the row of whom the
    server hosts, if there is one.
    """

    def __init__(self, scenario: Scenario, kind: str = "flat") -> None:
        self.scenario = scenario
        self.coder = ObservationCoder(scenario, kind)
        self._scales = {
            name: (float(middle), float(half))
            for name, (middle, half) in self.coder.task_scales.items()
        }
        self._tasks_end = 1 + len(self._scales)
        # Properties that take longer than a decision of few devices.
        self._migrates, self._absences = scenario.migrates, scenario.absences
        self.n_rows = self._tasks_end + 2 * self._migrates + self._absences
        self.guests = self._tasks_end if self._migrates else None

    def alone(self, index: int) -> ColumnCoder:
        """Return the coder for server `index` alone, which knows nothing of the others."""
        speed = float(self.scenario.server_frequencies_hz[index])
        return ColumnCoder(self.scenario.of_one_server(speed), self.coder.kind)

    def columns(self, observations: Tensor) -> Tensor:
        """Return what every server sees, shape (B, M, R, N)."""
        servers, devices = self.scenario.n_servers, self.scenario.n_devices
        table = observations.reshape(-1, devices, self.coder.n_columns)
        # Columns outermost in memory: what one server's network reads then lies together.
        table = table.permute(2, 0, 1).contiguous().transpose(0, 1)
        table = self.scaled(table, servers)
        columns: Tensor = self.coder.of_servers(torch, table)
        return columns

    def columns_of_one(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Return what :meth:`columns` does for one observation, shape (M, R, N), by NumPy."""
        if self.coder.kind == "raw":
            tensor = tensor_of(observation).to(torch.float32)
            return np.asarray(self.columns(tensor)[0].numpy())
        devices = self.scenario.n_devices
        table = np.asarray(observation, np.float32).reshape(devices, self.coder.n_columns).T
        return np.asarray(self.coder.of_servers(np, table))

    def scaled(self, table: Tensor, n_gains: int) -> Tensor:
        """Bring raw gains and tasks to the units of the "db" observation, if they are raw.

        Of shape (B, n_gains + T, N) or longer: the gains of some servers, then each task column;
        what follows has no unit.
        """
        if self.coder.kind != "raw":
            return table
        gains: Tensor = units_of_gains(table[:, :n_gains])
        tasks = [
            (table[:, n_gains + row, None] - middle) / half
            for row, (middle, half) in enumerate(self._scales.values())
        ]
        return torch.cat([gains, *tasks, table[:, n_gains + len(tasks) :]], dim=1)

    def gains(self, columns: Tensor) -> Tensor:
        """Return the gains that columns (..., R, N) stand for, shape (..., N), [1]."""
        gains: Tensor = gains_of_units(columns[..., 0, :])
        return gains

    def tasks(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return data sizes [bit] and cycles, shape (..., N); the scenario's unless they vary."""
        shape = columns[..., 0, :].shape
        rows = iter(range(1, self.n_rows))
        found: dict[str, Any] = {}
        for name in TASKS:
            if name in self._scales:
                middle, half = self._scales[name]
                found[name] = middle + half * columns[..., next(rows), :]
            else:
                constant = torch.as_tensor(
                    self.scenario.per_device(name), dtype=columns.dtype, device=columns.device
                )
                found[name] = constant.expand(shape)
            if self._absences:
                nothing = torch.full_like(found[name], NO_TASK)
                there = columns[..., self.n_rows - 1, :] > 0.5
                found[name] = torch.where(there, found[name], nothing)
        return found["data_bits"], found["cycles"]

    def hosts(self, columns: Tensor) -> Tensor | None:
        """Return the hosts that columns of all servers, (B, M, R, N), stand for, shape (B, N).

        Of one server alone: 1 for its own guests, else 0. None where nothing migrates.
        """
        if not self._migrates:
            return None
        mine = columns[:, :, self._tasks_end] > 0.5
        servers = torch.arange(1, mine.shape[1] + 1, device=mine.device)
        hosts: Tensor = (mine * servers[:, None]).sum(dim=1)
        return hosts

    def present(self, columns: Tensor) -> Tensor:
        """Return who is present, bool, of columns (..., R, N): shape (..., N)."""
        if not self._absences:
            return torch.ones_like(columns[..., 0, :], dtype=torch.bool)
        there: Tensor = columns[..., self.n_rows - 1, :] > 0.5
        return there

    def own_slot(self, column: NDArray[np.float32]) -> Slot:
        """Return the slot that one server's column, shape (R, N), shows: of a system of its own."""
        rows = column
        if self._migrates:  # such a system has no other servers
            rows = np.delete(column, self._tasks_end + 1, axis=0)
        return self.coder.decode(rows.T.reshape(self.coder.shape))
