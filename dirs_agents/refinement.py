"""Refinement: from the ensemble's decision a^e to the decision a* that is learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dirs_agents.levy_search import LevySearch, Refined, levy_search
from mec_gym import Scenario, Slot, solve
from mec_gym.optimum import load_problems

REFINEMENTS = ("levy", "classic-levy", "epsilon-greedy", "none", "optimal")


def refine(
    scenario: Scenario,
    slots: Slot,
    start: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    method: str = "levy",
    search: LevySearch | None = None,
    epsilon: float = 0.1,
) -> Refined:
    r"""Return better decisions near those of the ensemble: Algorithm 3, line 2.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slots : Slot
        Gains and tasks, one batch axis.
    start : ndarray, shape (B, N), int
        a^e.
    rng : numpy.random.Generator
        Source of randomness.
    method : {"levy", "classic-levy", "epsilon-greedy", "none", "optimal"}
        Algorithm 4; eq. (18) alone; random changes of each device's choice with probability ε, the
        best of as many as the search may price; a^e itself; :func:`mec_gym.solve`.
    search : LevySearch, optional
        Settings of the searches and the budget of "epsilon-greedy".
    epsilon : float, [1]
        ε.

    Returns
    -------
    Refined

    Raises
    ------
    ValueError
        For an unknown method.

    Examples
    --------
    >>> scenario = Scenario(n_devices=4, n_servers=1)
    >>> slots = Slot(gains=np.full((1, 4, 1), 1e-6), data_bits=8e5, cycles=1e9)
    >>> start = np.zeros((1, 4), dtype=np.int64)
    >>> refine(scenario, slots, start, np.random.default_rng(0), method="optimal").assignment
    array([[1, 1, 1, 1]])
    """
    search = search or LevySearch()
    if method in ("levy", "classic-levy"):
        return levy_search(scenario, slots, start, rng, search)
    problems = load_problems(scenario, slots)
    before = problems.objective(start[:, None])
    if method == "none":
        return Refined(start, before[:, 0], before.T, 1)
    if method == "optimal":
        found = np.asarray(solve(scenario, slots).assignment)
        after = problems.objective(found[:, None])
        return Refined(found, after[:, 0], np.stack([before[:, 0], after[:, 0]]), 1)
    if method != "epsilon-greedy":
        raise ValueError(f"method must be one of {', '.join(REFINEMENTS)}; got {method!r}.")
    count = search.population * search.generations
    candidates = _explored(scenario, start, rng, count, epsilon)
    values = problems.objective(candidates)
    best = values.argmin(axis=1)
    rows = np.arange(len(start))
    history = np.stack([before[:, 0], values[rows, best]])
    return Refined(candidates[rows, best], values[rows, best], history, count + 1)


def _explored(
    scenario: Scenario,
    start: NDArray[np.int64],
    rng: np.random.Generator,
    count: int,
    epsilon: float,
) -> NDArray[np.int64]:
    """Return `count` random variations of each decision behind the decision itself."""
    shape = (len(start), count, start.shape[-1])
    random = rng.integers(scenario.n_servers + 1, size=shape)
    must = (random == 0) & ~scenario.can_execute_locally
    random = np.where(must, rng.integers(1, scenario.n_servers + 1, size=shape), random)
    varied = np.where(rng.random(shape) < epsilon, random, start[:, None])
    return np.concatenate([start[:, None], varied], axis=1)
