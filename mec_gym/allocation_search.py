"""Problem (13) in the paper's own way: a Lévy flight search over CPU shares and powers.

For comparison only: :func:`mec_gym.allocate` is the exact optimum in closed form. This is the
part of Algorithm 4 that searches f and p, with the offloading decision held fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.allocation import Allocation, allocate
from mec_gym.levy import levy_steps
from mec_gym.model.arrays import entry_of_choice, sum_by_server
from mec_gym.model.assignment import checked_assignment
from mec_gym.model.constants import constants_of
from mec_gym.model.slot import Slot
from mec_gym.outcome import settle
from mec_gym.scenario import Scenario
from mec_gym.validation import require_integer

SMALLEST_FRACTION = 1e-6
"""Least share of a server and least fraction of P^max that the search visits."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Where a search ended."""

    allocation: Allocation  # the best found; feasible
    objective: float  # Σ Φ_i under it
    history: NDArray[np.float64]  # best objective, (generations + 1,), the random start first
    evaluations: int  # how many allocations were priced


def allocate_by_levy_search(
    scenario: Scenario,
    slot: Slot,
    assignment: Any,
    rng: np.random.Generator,
    *,
    population: int = 5,
    generations: int = 10,
    beta: float = 1.5,
    threshold: float = 0.4,
    step_scale: float = 0.01,
) -> SearchResult:
    r"""Search CPU shares and powers of a decision by Lévy flights, [L-2]: eqs. (18), (21)-(23).

    Parameters
    ----------
    scenario, slot, assignment
        As for :func:`mec_gym.allocate`, of one slot.
    rng : numpy.random.Generator
        Source of randomness.
    population, generations : int
        P, the solutions that search side by side, and G_max.
    beta : float, [1]
        β of the Lévy steps; 0 < β < 2.
    threshold : float, [1]
        th of eq. (22).
    step_scale : float, [1]
        η of eq. (18), in units of each variable's range; the paper does not print it.

    Notes
    -----
    Shares that exceed a server's speed are scaled down together, which keeps eq. (6). Mutation and
    crossover draw steps of their own.

    Examples
    --------
    >>> from mec_gym import evaluate
    >>> scenario = Scenario(n_devices=2, n_servers=1)
    >>> slot = Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)
    >>> rng = np.random.default_rng(0)
    >>> found = allocate_by_levy_search(scenario, slot, [1, 1], rng, generations=200)
    >>> best = evaluate(scenario, slot, [1, 1]).objective
    >>> bool(best <= found.objective <= 1.05 * best)
    True
    """
    for name, size in (("population", population), ("generations", generations)):
        require_integer(name, size, 1)
    if slot.batch_shape:
        raise ValueError(f"slot must be one slot; got batch shape {slot.batch_shape}.")
    choice = checked_assignment(scenario, slot, assignment)
    choices = np.broadcast_to(choice, (1, population, scenario.n_devices))
    problem = FractionProblem(scenario, slot[None])
    best = problem.random(choices, rng)
    cost = problem.objective(choices, best)
    history = [cost.min()]
    for generation in range(1, generations + 1):
        weight = 2.0 - 2.0 * generation / generations
        mutant = best + step_scale * levy_steps(rng, best.shape, beta=beta)
        crossed = weight * np.abs(levy_steps(rng, best.shape, beta=beta)) > threshold
        candidate = problem.repaired(choices, np.where(crossed, mutant, best))
        fitness = problem.objective(choices, candidate)
        better = fitness < cost
        best = np.where(better[..., None, None], candidate, best)
        cost = np.where(better, fitness, cost)
        history.append(cost.min())
    winner = int(np.argmin(cost))
    price = allocate(scenario, slot, choice).capacity_price
    return SearchResult(
        allocation=Allocation(*problem.decoded(choice, best[0, winner]), price),
        objective=float(cost[0, winner]),
        history=np.array(history),
        evaluations=population * (generations + 1),
    )


class FractionProblem:
    """Problem (13) over fractions of the servers' speeds and of P^max: f and p of the vector (19).

    For slots with one batch axis. Assignments have shape (B, P, N); fractions (B, P, 2, N), row 0
    CPU shares, row 1 powers, of P candidates in each of B slots.
    """

    def __init__(self, scenario: Scenario, slots: Slot) -> None:
        self.scenario = scenario
        self._constants = constants_of(scenario, slots.gains)
        self._slots = slots[:, None]

    def random(
        self, assignment: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return random feasible fractions."""
        shape = (*assignment.shape[:-1], 2, assignment.shape[-1])
        return self.repaired(assignment, rng.uniform(SMALLEST_FRACTION, 1.0, shape))

    def repaired(
        self, assignment: NDArray[np.int64], fractions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Bring any fractions back to eqs. (6) and (7), after eq. (18) in Algorithm 4, line 4."""
        legal = np.clip(fractions, SMALLEST_FRACTION, 1.0)
        share = np.ascontiguousarray(legal[..., 0, :])
        used = sum_by_server(np, share, assignment, self.scenario.n_servers)
        legal[..., 0, :] = share / entry_of_choice(np, np.maximum(used, 1.0), assignment)
        return legal

    def decoded(
        self, assignment: NDArray[np.int64], fractions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the powers [W] and CPU speeds [cycle/s], (..., N), that fractions stand for."""
        c = self._constants
        local = assignment == 0
        speed = c.frequency_by_choice[assignment] * fractions[..., 0, :]
        frequency = np.where(local, c.local_frequency_hz, speed)
        power = np.where(local, c.local_power_w, fractions[..., 1, :] * c.max_power_w)
        return power, frequency

    def objective(
        self, assignment: NDArray[np.int64], fractions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return Σ Φ_i of every candidate, shape (B, P)."""
        slots = self._slots
        links = np.broadcast_to(slots.gains, (*assignment.shape, self.scenario.n_servers))
        wide = Slot.trusted(links, slots.data_bits, slots.cycles, slots.hosts)
        resources = self.decoded(assignment, fractions)
        _, _, cost = settle(self._constants, wide, assignment, *resources)
        return np.asarray(cost.sum(axis=-1))
