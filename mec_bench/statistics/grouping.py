"""Which results may stand in one table: the same slots, and the same budget of training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mec_bench.results.measured import Evaluation
from mec_bench.results.record import Result
from mec_bench.statistics.intervals import Floats

SAME_SLOTS = 1e-6
"""Relative difference up to which lower bounds are those of the same slots: solvers on different
machines agree to about 1e-9, other slots differ by per cents."""


@dataclass(frozen=True, eq=False)
class Group:
    """All results of one label in one table: they differ by seed only.

    Attributes
    ----------
    label : str
        The name shown.
    results : tuple of Result
        By seed.

    Examples
    --------
    >>> from mec_bench.results.record import EXAMPLE
    >>> group = Group("all local", (EXAMPLE,))
    >>> group.nrr
    array([[0.75]])
    """

    label: str
    results: tuple[Result, ...]

    @property
    def learns(self) -> bool:
        """Whether training changes it."""
        return any(result.learns for result in self.results)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return tuple(result.seed for result in self.results if result.seed is not None)

    @property
    def nrr(self) -> Floats:
        """NRR by seed and layout, the mean over each layout's slots."""
        return np.array([np.mean(result.slots.nrr, axis=1) for result in self.results])

    @property
    def runs(self) -> Floats:
        """NRR by seed."""
        return np.asarray(self.nrr.mean(1))

    def slot_values(self, figure: str) -> Floats:
        """Return a figure of every slot.

        Parameters
        ----------
        figure : str
            A field of :class:`mec_bench.results.measured.Slots`.

        Returns
        -------
        ndarray, shape (seeds, layouts, slots)

        Examples
        --------
        >>> from mec_bench.results.record import EXAMPLE
        >>> Group("all local", (EXAMPLE,)).slot_values("objective").shape
        (1, 1, 2)
        """
        return np.array([getattr(result.slots, figure) for result in self.results])


@dataclass(frozen=True, eq=False)
class Arena:
    """What was measured on the same slots after the same budget.

    Attributes
    ----------
    scenario : str
        The name shown.
    timesteps : int
        Of training; 0 where only rules are there.
    evaluation : Evaluation
        The slots; its gap is the largest one of the results.
    groups : tuple of Group
        By label.
    variant : int
        0, or a number where other slots bear the same name.

    Examples
    --------
    >>> from mec_bench.results.record import EXAMPLE
    >>> arenas([EXAMPLE])[0].name
    'two devices'
    """

    scenario: str
    timesteps: int
    evaluation: Evaluation
    groups: tuple[Group, ...]
    variant: int = 0

    @property
    def name(self) -> str:
        """The scenario, with a number where several differ under one name."""
        return f"{self.scenario} ({self.variant})" if self.variant else self.scenario

    @property
    def results(self) -> tuple[Result, ...]:
        """All results."""
        return tuple(result for group in self.groups for result in group.results)


def arenas(results: Iterable[Result]) -> list[Arena]:
    """Sort results into tables: never two sets of slots in one, nor two budgets.

    Parameters
    ----------
    results : iterable of Result
        In any order.

    Returns
    -------
    list of Arena
        By scenario and timesteps. Rules have no budget and stand in every table of their slots.

    Raises
    ------
    ValueError
        If two results of a label have the same seed.

    Examples
    --------
    >>> arenas([])
    []
    """
    by_slots: dict[Any, list[list[Result]]] = {}
    for result in sorted(results, key=_order):
        _join(by_slots.setdefault(_asked(result), []), result)
    sets = [members for several in by_slots.values() for members in several]
    names = [members[0].scenario for members in sets]
    found = []
    for index, members in enumerate(sets):
        twice = names.count(names[index]) > 1
        variant = 1 + names[:index].count(names[index]) if twice else 0
        learners = [result for result in members if result.learns]
        for timesteps in sorted({result.timesteps for result in learners}) or [0]:
            chosen = [one for one in members if not one.learns or one.timesteps == timesteps]
            found.append(_arena(chosen, timesteps, variant))
    return found


def _arena(members: Sequence[Result], timesteps: int, variant: int) -> Arena:
    labels: dict[str, list[Result]] = {}
    for result in members:
        labels.setdefault(result.label, []).append(result)
    for label, results in labels.items():
        seeds = [result.seed for result in results]
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                f"results of {label!r} in {members[0].scenario} must differ by their seeds; got "
                f"seeds {seeds}. What differs otherwise needs a label of its own."
            )
    gap = max(result.evaluation.gap for result in members)
    return Arena(
        members[0].scenario,
        timesteps,
        dataclasses.replace(members[0].evaluation, gap=gap),
        tuple(Group(label, tuple(labels[label])) for label in sorted(labels)),
        variant,
    )


def _order(result: Result) -> Any:
    seed = -1 if result.seed is None else result.seed
    return (result.scenario, *map(str, _asked(result)), result.label, result.timesteps, seed)


def _asked(result: Result) -> tuple[str, str, Evaluation]:
    """Return what the slots were asked for with; the gap is an answer."""
    scenario = json.dumps(result.scenario_json, sort_keys=True)
    return result.scenario, scenario, dataclasses.replace(result.evaluation, gap=0.0)


def _join(sets: list[list[Result]], result: Result) -> None:
    """Put a result to those of the same lower bounds: what was asked for may not be what came."""
    bound = np.asarray(result.slots.lower_bound)
    for members in sets:
        first = np.asarray(members[0].slots.lower_bound)
        if np.all(np.abs(bound - first) <= SAME_SLOTS * first):
            members.append(result)
            return
    sets.append([result])
