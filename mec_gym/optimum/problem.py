"""The offloading decision as an assignment problem with a quadratic load cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

EQUAL_TOLERANCE = 1e-12
"""Relative difference up to which root works count as equal: rounding of the square roots."""


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
        return self.cost.shape[0]

    @property
    def n_servers(self) -> int:
        """M."""
        return self.cost.shape[1] - 1

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
        sizes = self.n_servers + 1
        return np.bincount(assignment, weights=self.root_work, minlength=sizes)[1:]

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
        if assignment.ndim == 1:
            return self._value(assignment)
        return np.array([self._value(one) for one in assignment], dtype=np.float64)

    def _value(self, assignment: NDArray[Any]) -> float:
        chosen = self.cost[np.arange(self.n_devices), assignment]
        loads = self.loads(assignment)
        return float(chosen.sum() + (loads * (loads / self.server_frequency)).sum())
