"""What each server's agent sees of an observation: its own gains and the tasks offered to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mec_gym import Scenario
from mec_gym.envs.observation import ObservationCoder, gains_of_units, units_of_gains
from mec_gym.model.arrays import plain_array


def tensor_of(array: NDArray[Any], device: torch.device | None = None) -> Tensor:
    """Return any array of numbers as a tensor, which shares its memory where PyTorch can."""
    return torch.as_tensor(plain_array(array), device=device)


class ColumnCoder:
    """Splits observations into the servers' columns, and turns columns into physics.

    Each agent gets its own column, Algorithm 1, lines 7 and 8: its server's gains in the units of
    the "db" observation [O-1], then each of T task columns in [-1, 1] [O-2], where tasks vary. It
    is what the PettingZoo env shows an agent. `n_rows` is 1 + T.
    """

    def __init__(self, scenario: Scenario, kind: str = "flat") -> None:
        self.scenario = scenario
        self.coder = ObservationCoder(scenario, kind)
        self._scales = {
            name: (float(middle), float(half))
            for name, (middle, half) in self.coder.task_scales.items()
        }
        self.n_rows = 1 + self.coder.n_columns - scenario.n_servers

    def alone(self, index: int) -> ColumnCoder:
        """Return the coder for server `index` alone, which knows nothing of the others."""
        speed = float(self.scenario.server_frequencies_hz[index])
        # Positions play no part: gains are given.
        system = self.scenario.replace(
            n_servers=1,
            server_frequency_hz=speed,
            server_positions="kmeans",
            device_positions="uniform",
        )
        return ColumnCoder(system, self.coder.kind)

    def columns(self, observations: Tensor) -> Tensor:
        """Return what every server sees, shape (B, M, 1 + T, N)."""
        servers, devices = self.scenario.n_servers, self.scenario.n_devices
        table = observations.reshape(-1, devices, self.coder.n_columns)
        # Columns outermost in memory: what one server's network reads then lies together.
        table = table.permute(2, 0, 1).contiguous().transpose(0, 1)
        table = self.scaled(table, servers)
        if self.n_rows == 1:
            return table[:, :, None]
        gains = table[:, :servers, None]
        tasks = table[:, None, servers:].expand(-1, servers, -1, -1)
        return torch.cat([gains, tasks], dim=2)

    def columns_of_one(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Return what :meth:`columns` does for one observation, shape (M, 1 + T, N), by NumPy."""
        if self.coder.kind == "raw":
            tensor = tensor_of(observation).to(torch.float32)
            return np.asarray(self.columns(tensor)[0].numpy())
        servers, devices = self.scenario.n_servers, self.scenario.n_devices
        table = np.asarray(observation, np.float32).reshape(devices, self.coder.n_columns).T
        if self.n_rows == 1:
            return table[:, None]
        tasks = np.broadcast_to(table[None, servers:], (servers, self.n_rows - 1, devices))
        return np.concatenate([table[:servers, None], tasks], axis=1)

    def scaled(self, table: Tensor, n_gains: int) -> Tensor:
        """Bring raw gains and tasks to the units of the "db" observation, if they are raw.

        Of shape (B, n_gains + T, N): the gains of some servers, then each task column.
        """
        if self.coder.kind != "raw":
            return table
        gains: Tensor = units_of_gains(table[:, :n_gains])
        tasks = [
            (table[:, n_gains + row, None] - middle) / half
            for row, (middle, half) in enumerate(self._scales.values())
        ]
        return torch.cat([gains, *tasks], dim=1)

    def gains(self, columns: Tensor) -> Tensor:
        """Return the gains that columns (..., 1 + T, N) stand for, shape (..., N), [1]."""
        gains: Tensor = gains_of_units(columns[..., 0, :])
        return gains

    def tasks(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return data sizes [bit] and cycles, shape (..., N); the scenario's unless they vary."""
        shape = columns[..., 0, :].shape
        rows = iter(range(1, self.n_rows))
        found: dict[str, Any] = {}
        for name in ("data_bits", "cycles"):
            if name in self._scales:
                middle, half = self._scales[name]
                found[name] = middle + half * columns[..., next(rows), :]
            else:
                constant = torch.as_tensor(
                    self.scenario.per_device(name), dtype=columns.dtype, device=columns.device
                )
                found[name] = constant.expand(shape)
        return found["data_bits"], found["cycles"]
