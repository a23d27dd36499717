r"""Algorithm 4: the Lévy flight search that refines an offloading decision, and the classic one.

A candidate is an offloading decision. The powers and CPU shares that go with it are the optimal
ones of problem (13), or, with ``allocation="levy"``, part of the candidate as in the paper's vector
(19). A population searches every slot of a batch at once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym import Scenario, Slot
from mec_gym.allocation_search import FractionProblem
from mec_gym.levy import LevyTail, levy_steps
from mec_gym.optimum import LoadProblems, load_problems
from mec_gym.validation import require_bool, require_choice, require_integer, require_number

_CHOICES = {
    "method": ("levy", "classic-levy"),
    "allocation": ("exact", "levy"),
    "mutation": ("h", "shuffled"),
    "crossover": ("device", "shared", "member", "none"),
    "selection": ("whole", "device"),
}


@dataclass(frozen=True, kw_only=True)
class LevySearch:
    r"""Settings of the search, Algorithm 4, line 2; the paper's where it prints them.

    Attributes
    ----------
    method : {"levy", "classic-levy"}
        h mutation and Lévy crossover, eqs. (20)-(23); or eq. (18) alone on real numbers that are
        rounded to choices, the comparison of Fig. 4.
    population, generations : int
        P, the candidates that search a slot side by side, and G_max.
    beta : float, [1]
        β of the Lévy steps; 0 < β < 2. Large searches locally, small globally.
    threshold : float, [1]
        th of eq. (22).
    step_scale : float, [1]
        η of eq. (18), in units of each variable's range. The paper does not print it.
    allocation : {"exact", "levy"}
        Powers and CPU shares by the closed form, or searched as part of the vector (19).
    mutation : {"h", "shuffled"}
        What eq. (20) compares steps with: h_{i,a_i}, or, "shuffled", the h of another link of the
        slot: as many mutations, without what the channel says. "levy" alone has it, as the next.
    crossover : {"device", "shared", "member", "none"}
        What i and d_i of eq. (22) are. Each device of a candidate comes from the mutant or from the
        old decision, by a step of its own or by the one of eq. (20), "shared"; the whole mutant
        becomes the candidate by one step; or eq. (22) is left out, and it always does.
    signed : bool
        Whether eqs. (20) and (22) compare d, as they are printed, and not \|d\|: half as many steps
        exceed a threshold. "levy" alone has it, as the next two.
    flight_scale : float, [1]
        What eqs. (20) and (22) multiply d by; the paper prints no scale. At β = 1.5 four steps in
        five are longer than 0.2, so that β alone hardly makes the search local.
    selection : {"whole", "device"}
        What survives, eq. (23): a candidate that is better as a whole; or, of its changes, those
        that pay. They are made one device after another, the best at the loads reached first, as
        long as one lowers the objective, which is exact: only for ``allocation="exact"``.

    Examples
    --------
    >>> LevySearch(beta=2.0)
    Traceback (most recent call last):
    ...
    ValueError: beta must be a number in (0, 2); got 2.0.
    """

    method: str = "levy"
    population: int = 5
    generations: int = 10
    beta: float = 1.5
    threshold: float = 0.4
    step_scale: float = 0.01
    allocation: str = "exact"
    mutation: str = "h"
    crossover: str = "device"
    signed: bool = False
    flight_scale: float = 1.0
    selection: str = "whole"

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            require_choice(name, getattr(self, name), known)
        require_bool("signed", self.signed)
        if self.selection == "device" and self.allocation != "exact":
            raise ValueError(
                'selection must be "whole" where f and p are searched, since what one device '
                f'changes is known only for the optimal ones; got "device" with '
                f"allocation={self.allocation!r}."
            )
        for name in ("population", "generations"):
            require_integer(name, getattr(self, name), 1)
        require_number("beta", self.beta, "(0, 2)")
        for name in ("threshold", "step_scale", "flight_scale"):
            require_number(name, getattr(self, name), "(0, inf)")


@dataclass(frozen=True, eq=False)
class Refined:
    """Where a search ended."""

    assignment: NDArray[np.int64]  # (B, N): a*, the best decision found in each slot
    objective: NDArray[np.float64]  # (B,): its Σ Φ_i under the optimal allocation
    history: NDArray[np.float64]  # (G + 1, B): best fitness so far, with the searched f and p
    evaluations: int  # how many whole candidates were priced in each slot


def levy_search(
    scenario: Scenario,
    slots: Slot,
    start: NDArray[np.int64],
    rng: np.random.Generator,
    settings: LevySearch | None = None,
) -> Refined:
    r"""Refine the offloading decision of every slot of a batch, Algorithm 4.

    Every candidate starts from a^e, Algorithm 4, line 1; h mutation, Lévy crossover, greedy
    selection and γ, eqs. (20)-(23), are Algorithm 4, lines 4, 5, 7 and 8. The result is never worse
    than `start` where the allocation is exact.

    Parameters
    ----------
    scenario, slots : Scenario, Slot
        The system; gains and tasks with one batch axis.
    start : ndarray, shape (B, N), int
        a^e, the ensemble's decision; every candidate begins there.
    rng, settings : numpy.random.Generator, LevySearch
        Source of randomness; the paper's settings by default.

    Notes
    -----
    What the paper leaves open is as :class:`LevySearch` says, and decision 9 of ``docs/decisions``
    why; h_{i,a_i} of a local device is the average share 1/(M+1). As mutation and crossover compare
    steps with thresholds only, they are drawn by the probability that a step exceeds them
    (:class:`mec_gym.levy.LevyTail`); γ is 0 in the last generation, which leaves it idle.

    Examples
    --------
    >>> scenario = Scenario(n_devices=4, n_servers=1)
    >>> slots = Slot(gains=np.full((2, 4, 1), 1e-6), data_bits=8e5, cycles=1e9)
    >>> start = np.zeros((2, 4), dtype=int)
    >>> found = levy_search(scenario, slots, start, np.random.default_rng(0),
    ...                     LevySearch(generations=200))
    >>> found.assignment
    array([[1, 1, 1, 1],
           [1, 1, 1, 1]])
    """
    settings = settings or LevySearch()
    start = np.asarray(start)
    wanted = slots.gains.shape[:-1]
    if start.dtype.kind not in "iu" or start.shape != wanted:
        raise ValueError(
            f"start must hold integers, shape {wanted}, one decision per slot; got dtype "
            f"{start.dtype}, shape {start.shape}."
        )
    problems = load_problems(scenario, slots)
    at_once = slots_at_once(settings, start.shape[-1])
    parts = []
    for first in range(0, max(1, len(start)), at_once):
        part = slice(first, first + at_once)
        problem = (slots[part], problems.at(part), start[part])
        parts.append(_SEARCHES[settings.method](scenario, *problem, rng, settings).run())
    assignment = np.concatenate([found for found, _ in parts])
    return Refined(
        assignment=assignment,
        objective=problems.objective(assignment[:, None])[:, 0],
        history=np.concatenate([history for _, history in parts], axis=1),
        evaluations=settings.population * (settings.generations + 1),
    )


def slots_at_once(settings: LevySearch, n_devices: int) -> int:
    """Return how many slots are searched side by side; the next ones draw after them.

    Few enough that their candidates stay in the cache through all generations.
    """
    return max(1, _ENTRIES // (settings.population * n_devices))


_ENTRIES = 32_768
"""Devices times candidates times slots that are searched at once."""


class _Search(ABC):
    """What both searches share: candidates, their fitness, greedy selection, eq. (23)."""

    def __init__(
        self,
        scenario: Scenario,
        slots: Slot,
        problems: LoadProblems,
        start: NDArray[np.int64],
        rng: np.random.Generator,
        settings: LevySearch,
    ) -> None:
        self.rng, self.settings = rng, settings
        self.n_choices = scenario.n_servers + 1
        must_offload = ~scenario.can_execute_locally
        self.must_offload = must_offload if must_offload.any() else None
        shape = (len(start), settings.population, start.shape[-1])
        self.assignment = np.array(np.broadcast_to(start[:, None], shape), dtype=np.int64)
        self.fractions: NDArray[np.float64] | None = None
        self._problems = problems
        self._searched = None
        if settings.allocation == "levy":
            self._searched = FractionProblem(scenario, slots)
            self.fractions = self._searched.random(self.assignment, rng)
        self.fitness = self.priced(self.assignment, self.fractions)

    def run(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the best decision of each slot and the history of the search."""
        history = [self.fitness.min(axis=1)]
        for generation in range(1, self.settings.generations + 1):
            self.advance(generation)
            history.append(self.fitness.min(axis=1))
        winner = self.fitness.argmin(axis=1)
        return self.assignment[np.arange(len(winner)), winner], np.array(history)

    @abstractmethod
    def advance(self, generation: int) -> None:
        """Run one generation, counted from 1."""

    def random_choices(self, shape: Any) -> NDArray[np.int64]:
        """Return ``randm`` of eq. (20)."""
        return np.asarray(self.rng.integers(self.n_choices, size=shape))

    def legal(self, choices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Send devices that cannot execute locally, eq. (7), to a random server instead."""
        if self.must_offload is not None:
            servers = self.rng.integers(1, self.n_choices, size=choices.shape)
            choices = np.where((choices == 0) & self.must_offload, servers, choices)
        return choices

    def priced(
        self, assignment: NDArray[np.int64], fractions: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the objective of eq. (11) for each candidate, shape (B, P)."""
        if fractions is None or self._searched is None:
            return self._problems.objective(assignment)
        return self._searched.objective(assignment, fractions)

    def moved_fractions(
        self, assignment: NDArray[np.int64], crossed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64] | None:
        """Return f and p after eq. (18), where crossed over, within eqs. (6) and (7)."""
        if self.fractions is None or self._searched is None:
            return None
        steps = levy_steps(self.rng, self.fractions.shape, beta=self.settings.beta)
        moved = self.fractions + self.settings.step_scale * steps
        if crossed is not None:
            moved = np.where(crossed[:, :, None], moved, self.fractions)
        return self._searched.repaired(assignment, moved)

    def select(
        self, candidate: NDArray[np.int64], fractions: NDArray[np.float64] | None
    ) -> NDArray[np.bool_]:
        """Keep candidates that are better than what they came from, eq. (23)."""
        fitness = self.priced(candidate, fractions)
        better = fitness < self.fitness
        if not better.any():
            return better
        self.assignment[better] = candidate[better]
        if fractions is not None and self.fractions is not None:
            self.fractions[better] = fractions[better]
        self.fitness[better] = fitness[better]
        return better


class _HMutation(_Search):
    """The paper's search, eqs. (20)-(23)."""

    def __init__(self, scenario: Scenario, slots: Slot, *args: Any) -> None:
        super().__init__(scenario, slots, *args)
        self._tail = LevyTail(self.settings.beta, signed=self.settings.signed)
        shares = slots.gains / slots.gains.sum(axis=-1, keepdims=True)
        local = np.full((*shares.shape[:-1], 1), 1.0 / self.n_choices)
        with np.errstate(divide="ignore"):
            log_shares = np.log(np.concatenate([local, shares], axis=-1))
        if self.settings.mutation == "shuffled":
            links = log_shares[..., 1:]
            flat = links.reshape(len(links), -1)
            links[...] = self.rng.permuted(flat, axis=1).reshape(links.shape)
        self._log_shares = log_shares.astype(np.float32)
        batch, devices, _ = log_shares.shape
        first = np.arange(0, log_shares.size, self.n_choices)
        self._first_cell = first.reshape(batch, devices)
        everywhere = np.ones(self.fitness.shape, dtype=bool)
        self._log_share = self._log_shares_of(everywhere).reshape(self.assignment.shape)
        # γ, eq. (21), from near 2 down. It is 0 in the last generation, which changes nothing.
        generations, scale = self.settings.generations, self.settings.flight_scale
        self._weights = [scale * (2.0 - 2.0 * one / generations) for one in range(1, generations)]
        thresholds = [math.log(self.settings.threshold / weight) for weight in self._weights]
        self._crossings = self._tail.of_log(np.array(thresholds)).tolist()

    def _log_shares_of(self, which: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return ln h_{i,a_i} of the candidates that `which`, shape (B, P), selects."""
        slots, _ = which.nonzero()
        cells = self._first_cell[slots] + self.assignment[which]
        return np.asarray(self._log_shares.take(cells))

    def advance(self, generation: int) -> None:
        """Run one generation: mutation, crossover, selection."""
        if generation > len(self._weights):
            return
        weight, crossing = self._weights[generation - 1], self._crossings[generation - 1]
        tail = self._tail.of_log(self._log_share - math.log(weight))
        crossed, mutates = self._drawn(crossing, tail)
        places = np.flatnonzero(mutates)
        candidate = self.assignment.copy()
        candidate.reshape(-1)[places] = self.random_choices(len(places))
        candidate = self.legal(candidate)
        if self.settings.selection == "device":
            candidate = self._problems.improved(self.assignment, candidate)
        better = self.select(candidate, self.moved_fractions(candidate, crossed))
        if better.any():
            self._log_share[better] = self._log_shares_of(better)

    def _drawn(
        self, crossing: float, tail: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
        """Return what crosses over, shape (B, P, N) or (B, P, 1), and which devices mutate, too.

        The first only where f and p are searched and need it, or a member crosses as a whole.
        """
        draw = self.rng.random(self.assignment.shape, dtype=np.float32)
        if self.settings.crossover in ("device", "shared"):
            crossed = None if self.fractions is None else draw < crossing
            # The draw is uniform below `crossing`: one number decides both comparisons.
            apart = self.settings.crossover == "device"
            return crossed, draw < (crossing * tail if apart else np.minimum(crossing, tail))
        if self.settings.crossover == "none":
            crossing = 1.0
        members = self.rng.random((*self.fitness.shape, 1)) < crossing
        return members, members & (draw < tail)


class _Classic(_Search):
    """The classic search: eq. (18) on real numbers in [0, M + 1), which stand for choices."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # The middle of a choice's interval: equally far from both neighbours.
        self._position = self.assignment + 0.5

    def advance(self, generation: int) -> None:
        """Run one generation; all are alike."""
        del generation
        steps = levy_steps(self.rng, self._position.shape, beta=self.settings.beta)
        moved = self._position + self.settings.step_scale * self.n_choices * steps
        moved = np.clip(moved, 0.0, np.nextafter(self.n_choices, 0.0))
        candidate = self.legal(moved.astype(np.int64))
        better = self.select(candidate, self.moved_fractions(candidate))
        self._position = np.where(better[..., None], moved, self._position)


_SEARCHES = {"levy": _HMutation, "classic-levy": _Classic}
