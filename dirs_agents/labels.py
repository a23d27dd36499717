"""Decisions to learn from: Algorithm 2's demonstrations, and Algorithm 3's refined decisions a*."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from dirs_agents.levy_search import LevySearch, Refined, levy_search, slots_at_once
from mec_gym import ENV_ID, Scenario, Slot, solve
from mec_gym.optimum import load_problems, tolled_problems, with_toll
from mec_gym.validation import require_choice

SOURCES = ("levy", "exhaustive", "optimal", "hindsight", "none")
STARTS = ("ensemble", "best-gain")
"""Where the demonstrations' search begins: at the untrained agents' decision, or at best gains."""
REFINEMENTS = ("levy", "classic-levy", "epsilon-greedy", "none", "optimal")

DEMONSTRATION_SEARCH = LevySearch(population=5, generations=1000, beta=0.5)
"""The paper asks for a small β and prints no budget: a hundred times the online search's."""

LARGEST_ENUMERATION = 300_000
_CHUNK = 20_000
_HOSTS = 0x686F7374
"""Keeps the draws of first hosts apart from the worlds' ("host" in ASCII)."""
_FEW = 32
"""Slots whose decisions take a second or so, where each slot is on its own."""


def demonstration_slots(
    scenario: Scenario, count: int, seed: int, *, observation: str = "flat"
) -> tuple[NDArray[np.float32], Slot]:
    """Return observations and slots that the env's world may show, from copies of their own.

    Both have the batch shape (count,). Where layouts are redrawn each slot has its own. Where
    services migrate, half of them are at the server with the best gain one slot before, the others
    nowhere yet: what a decision is worth depends on it. `observation` is the env's argument.

    Examples
    --------
    >>> observations, slots = demonstration_slots(Scenario.preset("paper-30x2"), 4, 0)
    >>> observations.shape, slots.gains.shape
    ((4, 60), (4, 30, 2))
    """
    envs: Any = gym.make_vec(ENV_ID, num_envs=count, scenario=scenario, observation=observation)
    observations, _ = envs.reset(seed=seed)
    if scenario.migrates:
        best = 1 + envs.unwrapped.seen.gains.argmax(axis=-1)
        placed = np.random.default_rng([_HOSTS, seed]).random(best.shape) < 0.5
        observations, *_ = envs.step(np.where(placed | ~scenario.can_execute_locally, best, 0))
    slots = envs.unwrapped.seen
    envs.close()
    return observations, slots


def demonstrate(
    scenario: Scenario,
    slots: Slot,
    start: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    source: str = "levy",
    search: LevySearch | None = None,
) -> NDArray[np.int64]:
    """Return decisions to imitate, shape (B, N), for a batch of slots: Algorithm 2, line 1.

    `source` is "levy", the paper's choice, a search with a small β, from `start` and with the
    settings `search`, as for :func:`levy_search`; "exhaustive", all (M + 1)^N decisions of a tiny
    slot; or "optimal", :func:`mec_gym.solve`.

    Examples
    --------
    >>> scenario = Scenario(n_devices=4, n_servers=1)
    >>> slots = Slot(gains=np.full((1, 4, 1), 1e-6), data_bits=8e5, cycles=1e9)
    >>> start = np.zeros((1, 4), dtype=np.int64)
    >>> demonstrate(scenario, slots, start, np.random.default_rng(0), source="exhaustive")
    array([[1, 1, 1, 1]])
    """
    require_choice("source", source, SOURCES[:3])
    if source == "levy":
        return levy_search(scenario, slots, start, rng, search or DEMONSTRATION_SEARCH).assignment
    if source == "optimal":
        return np.asarray(solve(scenario, slots).assignment)
    return _exhaustive(scenario, slots)


def part_size(scenario: Scenario, source: str, search: LevySearch) -> int:
    """Return how many slots :func:`demonstrate` can be given at a time, for the same decisions."""
    return slots_at_once(search, scenario.n_devices) if source == "levy" else _FEW


def _exhaustive(scenario: Scenario, slots: Slot) -> NDArray[np.int64]:
    """Return the best of all (M + 1)^N decisions in each slot."""
    choices, devices = scenario.n_servers + 1, scenario.n_devices
    if choices**devices > LARGEST_ENUMERATION:
        raise ValueError(
            f'demonstrations="exhaustive" would enumerate {choices}^{devices} decisions per slot, '
            f'more than {LARGEST_ENUMERATION:,}. Use "optimal" or "levy".'
        )
    problems = load_problems(scenario, slots)
    batch = len(problems.cost)
    best = np.full(batch, np.inf)
    found = np.zeros((batch, devices), dtype=np.int64)
    everything = itertools.product(range(choices), repeat=devices)
    while chunk := list(itertools.islice(everything, _CHUNK // batch + 1)):
        candidates = np.broadcast_to(np.array(chunk), (batch, len(chunk), devices))
        values = problems.objective(candidates)
        winner = values.argmin(axis=1)
        value = values[np.arange(batch), winner]
        better = value < best
        found[better] = candidates[0, winner[better]]
        best = np.minimum(best, value)
    return found


def refine(
    scenario: Scenario,
    slots: Slot,
    start: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    method: str = "levy",
    search: LevySearch | None = None,
    epsilon: float = 0.1,
    toll: NDArray[np.float64] | None = None,
) -> Refined:
    r"""Return better decisions near those of the ensemble: Algorithm 3, line 2.

    Parameters
    ----------
    scenario, slots, start, rng
        As for :func:`levy_search`.
    method : {"levy", "classic-levy", "epsilon-greedy", "none", "optimal"}
        Algorithm 4; eq. (18) alone; random changes of each device's choice with probability ε, the
        best of as many as the search may price; a^e itself; :func:`mec_gym.solve`.
    search : LevySearch, optional
        Settings of the searches and the budget of "epsilon-greedy".
    epsilon : float, [1]
        ε.
    toll : ndarray, shape (B, N, M + 1), [1], optional
        What choices lead to, in the place of μ; not for the Lévy searches.
    """
    require_choice("method", method, REFINEMENTS)
    search = search or LevySearch()
    if method in ("levy", "classic-levy"):
        return levy_search(scenario, slots, start, rng, search)
    problems = tolled_problems(scenario, slots, toll)
    before = problems.objective(start[:, None])
    if method == "none":
        return Refined(start, before[:, 0], before.T, 1)
    if method == "optimal":
        found = (
            solve(scenario, slots).assignment if toll is None else with_toll(scenario, slots, toll)
        )
        after = problems.objective(found[:, None])
        return Refined(found, after[:, 0], np.stack([before[:, 0], after[:, 0]]), 1)
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
