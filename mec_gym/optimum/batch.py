"""Many decisions of many slots, priced at once: what searches and learners need of problem (11)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.allocation import root_work
from mec_gym.model.assignment import require_sizes
from mec_gym.model.constants import constants_of
from mec_gym.model.slot import Slot
from mec_gym.optimum.solution import choice_costs
from mec_gym.scenario import Scenario


@dataclass(frozen=True, eq=False)
class LoadProblems:
    r"""Σ_i cost[i, a_i] + Σ_j L_j² / F_j, [S-1], of a batch of slots.

    Attributes
    ----------
    cost : ndarray, shape (B, N, M + 1), [1]
        What each choice costs a device, computation at the servers apart. Column 0 local,
        infinite for a device that cannot execute locally.
    root_work : ndarray, shape (B, N), [sqrt(cycle/s)]
        s_i.
    server_frequency : ndarray, shape (M,), [cycle/s]
        F_j^max.

    Examples
    --------
    >>> slots = Slot(gains=np.full((3, 2, 1), 1e-6), data_bits=8e5, cycles=1e9)
    >>> problems = load_problems(Scenario(n_devices=2, n_servers=1), slots)
    >>> problems.objective(np.zeros((3, 5, 2), dtype=int)).shape
    (3, 5)
    """

    cost: NDArray[np.float64]
    root_work: NDArray[np.float64]
    server_frequency: NDArray[np.float64]

    @cached_property
    def _first_cell(self) -> NDArray[np.int64]:
        """Flat index of each device's column 0, shape (B, 1, N)."""
        batch, devices, choices = self.cost.shape
        cells: NDArray[np.int64] = np.arange(0, batch * devices * choices, choices)
        return cells.reshape(batch, 1, devices)

    @cached_property
    def _bins(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """By the number of candidates P: each one's first bin (B, P, 1), and s_i for all of them.

        A search prices as many candidates in every generation.
        """
        return {}

    def _bins_of(self, candidates: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        found = self._bins.get(candidates)
        if found is None:
            batch, _, choices = self.cost.shape
            first = np.arange(0, batch * candidates * choices, choices)
            weights = self.root_work.repeat(candidates, axis=0).ravel()
            found = self._bins[candidates] = first.reshape(batch, candidates, 1), weights
        return found

    def objective(self, assignment: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the objective of P decisions in every slot: the fitness of Algorithm 4, line 6.

        Parameters
        ----------
        assignment : ndarray, shape (B, P, N), int64
            0 = local, j = server j; not checked.

        Returns
        -------
        ndarray, shape (B, P), [1]
            As :func:`mec_gym.evaluate`, up to rounding.
        """
        batch, candidates, _ = assignment.shape
        bins = self.cost.shape[-1]
        own = self.cost.reshape(-1).take(assignment + self._first_cell).sum(axis=-1)
        first, weights = self._bins_of(candidates)
        loads = np.bincount((assignment + first).ravel(), weights, batch * candidates * bins)
        loads = loads.reshape(batch, candidates, bins)[..., 1:]
        return np.asarray(own + (loads * (loads / self.server_frequency)).sum(axis=-1))


def load_problems(scenario: Scenario, slots: Slot) -> LoadProblems:
    """Return problem (11) of a batch of slots, ready to price many decisions.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slots : Slot
        NumPy arrays with one batch axis.

    Returns
    -------
    LoadProblems

    Raises
    ------
    TypeError, ValueError
        If `slots` is not a Slot of the scenario's sizes with one batch axis.

    Examples
    --------
    >>> slots = Slot(gains=np.full((3, 2, 1), 1e-6), data_bits=8e5, cycles=1e9)
    >>> load_problems(Scenario(n_devices=2, n_servers=1), slots).cost.shape
    (3, 2, 2)
    """
    require_sizes(scenario, slots)
    if len(slots.batch_shape) != 1:
        raise ValueError(f"slots must have one batch axis; got batch shape {slots.batch_shape}.")
    constants = constants_of(scenario, slots.gains)
    root: Any = root_work(constants, slots.cycles)
    return LoadProblems(
        cost=choice_costs(constants, slots, scenario.can_execute_locally),
        root_work=np.array(np.broadcast_to(root, slots.cycles.shape)),
        server_frequency=constants.server_frequency_hz,
    )
