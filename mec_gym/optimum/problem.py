"""The offloading decision as an assignment problem with a quadratic load cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

EQUAL_TOLERANCE = 1e-12
"""Relative difference up to which root works count as equal: rounding of the square roots."""

LEAST_CURVATURE = 1e-200
"""Curvatures below count as this: it costs nothing, and reciprocals of prices stay finite."""


@dataclass(frozen=True, eq=False)
class LoadProblem:
    r"""Minimise Σ_i cost[i, a_i] + Σ_j L_j² / F_j over a, with L_j = Σ s_i over the i on server j.

    Attributes
    ----------
    cost : ndarray, shape (N, M + 1), [1]
        What each choice costs a device, not negative. Column 0 local, infinite for a device that
        cannot run its task locally; column j server j, finite.
    root_work : ndarray, shape (N,), [sqrt(cycle)]
        s_i = sqrt(φ_T F_i), not negative.
    server_frequency : ndarray, shape (M,), [cycle/s]
        F_j, positive.

    Examples
    --------
    >>> problem = LoadProblem(np.array([[2.0, 0.5], [2.0, 0.5]]), np.ones(2), np.ones(1))
    >>> problem.objective(np.array([[0, 0], [0, 1], [1, 1]]))
    array([4. , 3.5, 5. ])
    """

    cost: NDArray[np.float64]
    root_work: NDArray[np.float64]
    server_frequency: NDArray[np.float64]

    @property
    def n_devices(self) -> int:
        """N."""
        return len(self.cost)

    @property
    def n_servers(self) -> int:
        """M."""
        return len(self.server_frequency)

    @cached_property
    def equal_tasks(self) -> bool:
        """Whether all root works are equal, up to 1e-12 relative."""
        largest = self.root_work.max(initial=0.0)
        return bool(largest - self.root_work.min(initial=largest) <= EQUAL_TOLERANCE * largest)

    def loads(self, assignment: NDArray[Any]) -> NDArray[np.float64]:
        """Return the root work that an assignment puts on each server.

        Parameters
        ----------
        assignment : integer ndarray, shape (N,)
            0 = local, j = server j.

        Returns
        -------
        ndarray, shape (M,), [sqrt(cycle)]
            L_j.

        Examples
        --------
        >>> LoadProblem(np.ones((2, 3)), np.array([1.0, 2.0]), np.ones(2)).loads(np.array([2, 2]))
        array([0., 3.])
        """
        return np.asarray(self._batch_loads(assignment[None])[0])

    def objective(self, assignment: NDArray[Any]) -> Any:
        """Return the value of one assignment or of several.

        Parameters
        ----------
        assignment : integer ndarray, shape (N,) or (K, N)
            0 = local, j = server j.

        Returns
        -------
        float or ndarray, shape (K,), [1]

        Examples
        --------
        >>> LoadProblem(np.ones((1, 2)), np.ones(1), np.full(1, 4.0)).objective(np.array([1]))
        1.25
        """
        batch = np.atleast_2d(assignment)
        chosen = self.cost[np.arange(self.n_devices), batch]
        loads = self._batch_loads(batch)
        values = chosen.sum(axis=1) + (loads * (loads / self.server_frequency)).sum(axis=1)
        return float(values[0]) if assignment.ndim == 1 else values

    def _batch_loads(self, batch: NDArray[Any]) -> NDArray[np.float64]:
        width = self.n_servers + 1
        cells = batch + width * np.arange(len(batch))[:, None]
        weights = np.broadcast_to(self.root_work, batch.shape).ravel()
        loads = np.bincount(cells.ravel(), weights=weights, minlength=width * len(batch))
        # Of no devices at all, bincount counts in integers.
        return loads.astype(np.float64, copy=False).reshape(len(batch), width)[:, 1:]

    def part(self, devices: NDArray[Any]) -> LoadProblem:
        """Return the problem of some of the devices alone.

        Parameters
        ----------
        devices : bool or integer ndarray
            Which ones, as an index of the device axis.

        Returns
        -------
        LoadProblem

        Examples
        --------
        >>> LoadProblem(np.ones((3, 2)), np.ones(3), np.ones(1)).part(np.array([0, 2])).n_devices
        2
        """
        return LoadProblem(self.cost[devices], self.root_work[devices], self.server_frequency)


class NormalForm(NamedTuple):
    r"""A problem in units that suit arithmetic: minimise Σ excess + Σ_j curvature_j ℓ_j².

    ℓ_j = L_j / unit, and of every device's costs the least is subtracted, which keeps the
    digits of devices with small costs beside those with large ones.

    Attributes
    ----------
    excess : ndarray, shape (M + 1, N), [1]
        Cost above the device's least; choices first, so that reductions over them are fast.
    size : ndarray, shape (N,), [1]
        s_i / max s, in [0, 1].
    curvature : ndarray, shape (M,), [1]
        (max s)² / F_j, positive.
    unit : float, [sqrt(cycle)]
        max s. A price λ_j of root work is the price p_j = λ_j · unit of ℓ_j.
    base : float, [1]
        Σ of the devices' least costs, which the objective has on top.
    """

    excess: NDArray[np.float64]
    size: NDArray[np.float64]
    curvature: NDArray[np.float64]
    unit: float
    base: float


def normal_form(problem: LoadProblem) -> NormalForm:
    """Return the normal form of a problem in which some root work is positive.

    Parameters
    ----------
    problem : LoadProblem
        N >= 1 and max s > 0.

    Returns
    -------
    NormalForm

    Examples
    --------
    >>> form = normal_form(LoadProblem(np.array([[3.0, 2.0]]), np.array([2.0]), np.ones(1)))
    >>> form.excess.ravel(), form.size, form.curvature, form.unit
    (array([1., 0.]), array([1.]), array([4.]), 2.0)
    """
    unit = float(problem.root_work.max())
    cost = np.ascontiguousarray(problem.cost.T)
    least = cost.min(axis=0)
    curvature = np.maximum(unit * (unit / problem.server_frequency), LEAST_CURVATURE)
    return NormalForm(cost - least, problem.root_work / unit, curvature, unit, float(least.sum()))
