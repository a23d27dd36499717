"""The measured part of a result record: which frozen slots, and every figure of each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mec_bench.results.fields import Grid, flag, grid, real, replace, text, whole

ROUNDING = 1e-9
"""By how much an NRR may exceed 1: both of its parts are rounded, each to about 1e-16, after
sums over up to thousands of devices."""


@dataclass(frozen=True)
class Evaluation:
    """Which frozen slots a policy was measured on.

    Attributes
    ----------
    set : str
        Name and version of the set, e.g. "v1".
    layouts, slots_per_layout : int
        How many.
    seed : int
        Of the set.
    own_layout : bool
        Whether every layout is the scenario's own map.
    gap : float, [1]
        Largest relative gap between the solver's decision and its bound.

    Examples
    --------
    >>> Evaluation("v1", layouts=40, slots_per_layout=5, seed=1, own_layout=True, gap=0).gap
    0.0
    """

    set: str
    layouts: int
    slots_per_layout: int
    seed: int
    own_layout: bool
    gap: float

    def __post_init__(self) -> None:
        text("evaluation.set", self.set)
        replace(
            self,
            layouts=whole("evaluation.layouts", self.layouts, low=1),
            slots_per_layout=whole("evaluation.slots_per_layout", self.slots_per_layout, low=1),
            seed=whole("evaluation.seed", self.seed),
            own_layout=flag("evaluation.own_layout", self.own_layout),
            gap=real("evaluation.gap", self.gap, low=0),
        )


@dataclass(frozen=True)
class Slots:
    """Every figure of every slot: layouts, each with its slots.

    Attributes
    ----------
    nrr : tuple of tuple of float, [1]
        ``lower_bound / objective``, in (0, 1].
    objective : tuple of tuple of float, [1]
        What the policy's decision costs.
    latency_s, energy_j : tuple of tuple of float, [s], [J]
        Sums over the devices.
    lower_bound : tuple of tuple of float, [1]
        What no decision undercuts; the optimum where the solver is exact.

    Examples
    --------
    >>> Slots(((0.5,),), ((4.0,),), ((1.0,),), ((3.0,),), ((2.0,),)).objective
    ((4.0,),)
    """

    nrr: Grid
    objective: Grid
    latency_s: Grid
    energy_j: Grid
    lower_bound: Grid

    @classmethod
    def of(
        cls,
        *,
        objective: ArrayLike,
        latency_s: ArrayLike,
        energy_j: ArrayLike,
        lower_bound: ArrayLike,
    ) -> Slots:
        """Return the figures of measured slots, with their NRR.

        Parameters
        ----------
        objective, latency_s, energy_j, lower_bound : array_like, shape (layouts, slots)
            As the attributes.

        Returns
        -------
        Slots

        Examples
        --------
        >>> Slots.of(objective=[[4]], latency_s=[[1]], energy_j=[[3]], lower_bound=[[2]]).nrr
        ((0.5,),)
        """
        nrr = np.asarray(lower_bound, dtype=np.float64) / np.asarray(objective, dtype=np.float64)
        given = (objective, latency_s, energy_j, lower_bound)
        return cls(nrr.tolist(), *(np.asarray(one, np.float64).tolist() for one in given))

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            key = f"slots.{field.name}"
            replace(self, **{field.name: grid(key, getattr(self, field.name), low=0)})
        for field in dataclasses.fields(self):
            shape, first = np.shape(getattr(self, field.name)), np.shape(self.nrr)
            if shape != first:
                raise ValueError(
                    f"slots.{field.name} must have as many layouts and slots as slots.nrr, "
                    f"{first}; got {shape}."
                )
        self._require_ratio()

    def _require_ratio(self) -> None:
        """Refuse an NRR that is not what it is defined to be."""
        nrr, objective, bound = map(np.asarray, (self.nrr, self.objective, self.lower_bound))
        outside = ~((nrr > 0) & (nrr <= 1 + ROUNDING))
        wrong = ~(np.abs(nrr * objective - bound) <= 1e-6 * bound)
        for bad, required in (
            (outside, "lie in (0, 1]"),
            (wrong, "be lower_bound / objective (to 1e-6)"),
        ):
            if bad.any():
                i, j = map(int, np.argwhere(bad)[0])
                raise ValueError(
                    f"slots.nrr[{i}][{j}] must {required}; got {nrr[i, j]:.17g} with "
                    f"lower_bound {bound[i, j]:.17g} and objective {objective[i, j]:.17g}."
                )
