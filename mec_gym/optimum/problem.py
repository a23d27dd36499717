r"""The offloading decision as an assignment problem with a quadratic load cost, alone or many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mec_gym.model.arrays import Array, namespace_of
from mec_gym.validation import LARGEST

EQUAL_TOLERANCE = 1e-12
"""Relative difference up to which root works count as equal: rounding of the square roots."""

LEAST_CURVATURE = 1e-200
"""Curvatures below count as this: it costs nothing, and reciprocals of prices stay finite."""


@dataclass(frozen=True, eq=False)
class LoadProblem:
    """Minimise Σ_i cost[i, a_i] + Σ_j L_j² / F_j over a; L_j = Σ s_i over the i on server j."""

    cost: NDArray[np.float64]  # (N, M + 1) >= 0: column 0 local (infinite: forbidden), j server j
    root_work: NDArray[np.float64]  # s_i = sqrt(φ_T F_i), (N,) [sqrt(cycle/s)], positive
    server_frequency: NDArray[np.float64]  # F_j, (M,) [cycle/s], positive

    @property
    def n_devices(self) -> int:
        """N."""
        return len(self.cost)

    @property
    def n_servers(self) -> int:
        """M."""
        return len(self.server_frequency)

    @cached_property
    def alone(self) -> LoadProblems:
        """The problem as a batch of one."""
        return LoadProblems(self.cost[None], self.root_work[None], self.server_frequency)

    def loads(self, assignment: NDArray[Any]) -> NDArray[np.float64]:
        """Return the root work L_j that an assignment (N,) puts on each server, shape (M,)."""
        return self.alone.loads(assignment[None, None])[0, 0, 1:]

    def objective(self, assignment: NDArray[Any]) -> Any:
        """Return the value of one assignment (N,) or of several (K, N)."""
        values = self.alone.objective(np.atleast_2d(assignment)[None])[0]
        return float(values[0]) if assignment.ndim == 1 else values


@dataclass(frozen=True, eq=False)
class LoadProblems:
    """Σ_i cost[i, a_i] + Σ_j L_j² / F_j, [S-1], of a batch of slots."""

    cost: NDArray[np.float64]  # (B, N, M + 1), as in a LoadProblem
    root_work: NDArray[np.float64]  # (B, N)
    server_frequency: NDArray[np.float64]  # (M,)

    @cached_property
    def equal_tasks(self) -> NDArray[np.bool_]:
        """Whether all root works of a slot are equal, up to 1e-12 relative; shape (B,)."""
        largest = self.root_work.max(axis=-1)
        least = self.root_work.min(axis=-1)
        return np.asarray(largest - least <= EQUAL_TOLERANCE * largest)

    def __getitem__(self, index: int) -> LoadProblem:
        """Return the problem of one slot."""
        return LoadProblem(self.cost[index], self.root_work[index], self.server_frequency)

    def at(self, slots: NDArray[Any] | slice) -> LoadProblems:
        """Return the problems of some of the slots."""
        return LoadProblems(self.cost[slots], self.root_work[slots], self.server_frequency)

    @cached_property
    def _first_cell(self) -> NDArray[np.int64]:
        """Flat index of each device's column 0, shape (B, 1, N)."""
        batch, devices, choices = self.cost.shape
        cells: NDArray[np.int64] = np.arange(0, batch * devices * choices, choices)
        return cells.reshape(batch, 1, devices)

    @cached_property
    def _bins(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """By the number of candidates P: each one's first bin (B, P, 1), and s_i of all."""
        return {}

    def loads(self, assignment: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the root work of each choice, column 0 local, shape (B, P, M + 1)."""
        batch, candidates, _ = assignment.shape
        bins = self.cost.shape[-1]
        if candidates not in self._bins:
            first = np.arange(0, batch * candidates * bins, bins).reshape(batch, candidates, 1)
            self._bins[candidates] = first, self.root_work.repeat(candidates, axis=0).ravel()
        first, weights = self._bins[candidates]
        loads = np.bincount((assignment + first).ravel(), weights, batch * candidates * bins)
        return np.asarray(loads.reshape(batch, candidates, bins), dtype=np.float64)

    def objective(self, assignment: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the objective of P decisions in every slot: fitness of Algorithm 4, line 6.

        Assignments (B, P, N), not checked; (B, P), as :func:`mec_gym.evaluate` up to rounding.
        """
        own = self.cost.reshape(-1).take(assignment + self._first_cell).sum(axis=-1)
        loads = self.loads(assignment)[..., 1:]
        return np.asarray(own + (loads * (loads / self.server_frequency)).sum(axis=-1))

    def improved(
        self, assignment: NDArray[np.int64], candidate: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return decisions with those changes towards candidates that pay, shape (B, P, N).

        Changes are made one at a time: that of the device which lowers the objective most at the
        loads reached so far, until no change that is left lowers it.
        """
        _, candidates, devices = assignment.shape
        improved, loads = assignment.copy(), self.loads(assignment).reshape(-1)
        costs, choices = self.cost.reshape(-1), self.cost.shape[-1]
        slowness = np.concatenate([[0.0], 1.0 / self.server_frequency])
        # All changes, as places in the batch, as long as they may still pay.
        place = np.flatnonzero(assignment != candidate)
        row = place // devices
        slot, device = row // candidates, place % devices
        size, cell = self.root_work[slot, device], (slot * devices + device) * choices
        old, new = assignment.reshape(-1)[place], candidate.reshape(-1)[place]
        own = costs.take(cell + new) - costs.take(cell + old)
        rigid = size * (slowness.take(new) + slowness.take(old))
        own += size * rigid
        while True:
            joined, left = row * choices + new, row * choices + old
            pull = slowness.take(new) * loads.take(joined) - slowness.take(old) * loads.take(left)
            change = own + 2.0 * size * pull
            pays = np.flatnonzero(change < 0.0)
            if not pays.size:
                return improved
            pays = pays[np.lexsort((change[pays], row[pays]))]
            rows, first = np.unique(row[pays], return_index=True)
            made = pays[first]
            improved.reshape(-1)[place[made]] = new[made]
            loads[left[made]] -= size[made]
            loads[joined[made]] += size[made]
            kept = np.isin(row, rows)
            kept[made] = False
            place, row, size, own = place[kept], row[kept], size[kept], own[kept]
            old, new = old[kept], new[kept]


class NormalForm(NamedTuple):
    """Problems in units that suit arithmetic: minimise Σ excess + Σ_j curvature_j ℓ_j².

    ℓ_j = L_j / unit, and of every device's costs the least is subtracted, which keeps the digits of
    devices with small costs beside those with large ones. Of one problem, or of a batch with one
    more axis in front of everything.
    """

    excess: NDArray[np.float64]  # (..., M + 1, N): choices first, so that reductions are fast
    size: NDArray[np.float64]  # (..., N): s_i / max s, in [0, 1]
    curvature: NDArray[np.float64]  # (..., M): (max s)² / F_j, positive
    unit: Any  # max s; a price λ_j of root work is the price p_j = λ_j · unit of ℓ_j
    base: Any  # Σ of the devices' least costs, which the objective has on top

    def at(self, index: Any) -> NormalForm:
        """Return one problem of a batch, or some of them."""
        return NormalForm(*(field[index] for field in self))


def normal_form(problem: LoadProblem | LoadProblems) -> NormalForm:
    """Return the normal form of problems, each with N >= 1."""
    unit = problem.root_work.max(axis=-1)
    units = unit[..., None]
    cost = np.ascontiguousarray(np.swapaxes(problem.cost, -1, -2))
    least = cost.min(axis=-2)
    curvature = np.maximum(units * (units / problem.server_frequency), LEAST_CURVATURE)
    size = problem.root_work / units
    return NormalForm(cost - least[..., None, :], size, curvature, unit, least.sum(axis=-1))


def paying(saving: Array, root_work: Array, server_frequency: Any, offered: Array) -> Array:
    """Return which of the devices that are offered to a server it keeps, shape (..., N), [P-2].

    A server that serves the set K gains Σ_K w_i − (Σ_K s_i)²/F over their local execution. It keeps
    the devices with the largest saving per root work, w_i / s_i, as many as make that largest. All
    of it is known at the server: no other gains take part. The set is never worse than all that is
    offered. Where all s_i are equal none is better. Elsewhere none is better by more than max s_i²
    / (4 F): if the last device could be split, some such set plus a part of the next device would
    be optimal, and between the ends of the part the value bends by no more than that.

    `saving` is w_i = c_i0 − c_ij (..., N) [1], infinite for devices to keep whatever they cost;
    `root_work` s_i (..., N) [sqrt(cycle/s)]; `server_frequency` F_j^max (...) [cycle/s].

    Examples
    --------
    >>> paying(np.array([1.0, 1.0, 0.1]), np.ones(3), np.array(4.0), np.array([True, True, True]))
    array([ True,  True, False])
    """
    xp = namespace_of(saving)
    must = offered & (saving > LARGEST)
    per_work = xp.where(
        offered, saving / xp.clip(root_work, min=1e-30), xp.full_like(saving, -float("inf"))
    )
    order = xp.argsort(-per_work, axis=-1, stable=True)
    place = xp.argsort(order, axis=-1, stable=True)
    gain = xp.where(offered & ~must, saving, xp.zeros_like(saving))
    work = xp.where(offered, root_work, xp.zeros_like(saving))
    load = xp.cumulative_sum(xp.take_along_axis(work, order, axis=-1), axis=-1)
    total = xp.cumulative_sum(xp.take_along_axis(gain, order, axis=-1), axis=-1)
    total = total - load * load / server_frequency[..., None]
    # Those that must be served come first in the order: the set ends no earlier than they do.
    n_must = xp.sum(xp.astype(must, place.dtype), axis=-1)
    too_early = xp.sort(place, axis=-1) < n_must[..., None] - 1
    total = xp.where(too_early, xp.full_like(total, -float("inf")), total)
    worth = (xp.max(total, axis=-1) > 0) | (n_must > 0)
    last = xp.where(worth, xp.argmax(total, axis=-1), -xp.ones_like(n_must))
    return offered & (place <= last[..., None])
