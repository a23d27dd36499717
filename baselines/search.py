"""Particle swarm and differential evolution over a slot's decisions, on pymoo's algorithms.

Both search a box of real vectors. An encoding turns a population of vectors into decisions; the
whole population is priced in one call, each decision by a gather of its c_{i,a_i} and its squared
loads [S-1]. The swarm is the paper's yardstick.

Kennedy and Eberhart, "Particle swarm optimization", Proc. ICNN, 1995. Storn and Price,
"Differential evolution: a simple and efficient heuristic for global optimization over continuous
spaces", J. Global Optimization 11, 1997.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.encodings import ENCODINGS
from mec_gym import Scenario, Slot
from mec_gym.optimum import load_problem
from mec_gym.validation import require_choice, require_integer, require_number

STARTS = ("random", "greedy", "around")


@dataclass(frozen=True)
class SearchSettings:
    """How a search goes about a slot; `encoding` is one of :mod:`baselines.encodings`.

    The first `population`, of 4 or more, is anywhere ("random"), has one member at the greedy
    decision ("greedy"), or lies all "around" it; the latter two price that decision before all
    else. `options` are those of pymoo's algorithm.
    """

    encoding: str
    start: str
    population: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("encoding", self.encoding, ENCODINGS)
        require_choice("start", self.start, STARTS)
        require_integer("population", self.population, 4)


def particle_swarm(
    scenario: Scenario,
    slot: Slot,
    *,
    max_evaluations: int = 2000,
    max_milliseconds: float | None = None,
    seed: int = 0,
    settings: SearchSettings | None = None,
) -> NDArray[np.int64]:
    """Return the best decision, shape (..., N), that particle swarm optimisation finds.

    Parameters
    ----------
    max_evaluations : int
        Decisions to price per slot.
    max_milliseconds : float, optional
        Begin no further generation after so long; what is found then depends on the machine.
    seed : int
        Equal seeds find equal decisions, unless time runs out.
    settings : SearchSettings, optional
        Those in baselines/settings/particle_swarm.json by default.

    Raises
    ------
    TypeError, ValueError
        For a budget that is not positive.
    ModuleNotFoundError
        Without pymoo.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e12)
    >>> particle_swarm(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9), max_evaluations=100)
    array([1, 1])
    """
    budget = (max_evaluations, max_milliseconds, seed)
    return search_all(scenario, slot, settings, "particle_swarm", *budget)


def differential_evolution(
    scenario: Scenario,
    slot: Slot,
    *,
    max_evaluations: int = 2000,
    max_milliseconds: float | None = None,
    seed: int = 0,
    settings: SearchSettings | None = None,
) -> NDArray[np.int64]:
    """Return the best decision that differential evolution finds; see :func:`particle_swarm`.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e12)
    >>> differential_evolution(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9), max_evaluations=100)
    array([1, 1])
    """
    budget = (max_evaluations, max_milliseconds, seed)
    return search_all(scenario, slot, settings, "differential_evolution", *budget)


@dataclass(frozen=True, eq=False)
class Found:
    """The best decision, shape (N,), that a search priced, its Σ Φ_i, and how many it priced."""

    assignment: NDArray[np.int64]
    objective: float
    evaluations: int


def search(
    scenario: Scenario,
    slot: Slot,
    settings: SearchSettings,
    algorithm: str,
    max_evaluations: int,
    max_milliseconds: float | None = None,
    seed: int = 0,
) -> Found:
    """Return the best decision that a search prices within its budget, in one slot."""
    require_budget(max_evaluations, max_milliseconds)
    begun, problem = time.perf_counter(), load_problem(scenario, slot)
    encoding = ENCODINGS[settings.encoding](problem)
    rng = np.random.default_rng(seed)
    population = rng.random((settings.population, encoding.size))
    best, value, left = np.empty(0, dtype=np.int64), np.inf, max_evaluations
    if settings.start != "random":
        best, vector = encoding.greedy()
        value, left = problem.objective(best), left - 1
        few = 1 if settings.start == "greedy" else len(population)
        population[:few] = encoding.around(vector, few, rng)
    loop = _Loop(algorithm, population, settings.options, int(rng.integers(2**31)))
    late = False
    while left > 0 and not late:
        asked = loop.ask()
        decisions = encoding.decode(asked[:left])
        values = problem.objective(decisions)
        first = int(np.argmin(values))
        if values[first] < value:
            best, value = decisions[first], float(values[first])
        left -= len(values)
        if len(values) == len(asked):
            loop.tell(values)
        spent = 1e3 * (time.perf_counter() - begun)
        late = max_milliseconds is not None and spent >= max_milliseconds
    return Found(best, value, max_evaluations - left)


def search_all(
    scenario: Scenario, slot: Slot, settings: SearchSettings | None, algorithm: str, *budget: Any
) -> NDArray[np.int64]:
    """Return a search's decisions, shape (..., N), each slot with the whole budget and one seed."""
    settings = settings or committed_settings(algorithm)
    decisions = np.empty(slot.gains.shape[:-1], dtype=np.int64)
    for index in np.ndindex(slot.batch_shape):
        found = search(scenario, slot[index], settings, algorithm, *budget)
        decisions[index] = found.assignment
    return decisions


def committed_settings(algorithm: str, encoding: str | None = None) -> SearchSettings:
    """Return the settings that reproduction/tune.py found best, of all or of an encoding."""
    text = (files("baselines") / "settings" / f"{algorithm}.json").read_text(encoding="utf-8")
    record = json.loads(text)
    if encoding is None:
        return SearchSettings(**record["best"])
    require_choice("encoding", encoding, record["best_by_encoding"])
    return SearchSettings(**record["best_by_encoding"][encoding])


def require_budget(max_evaluations: Any, max_milliseconds: Any) -> None:
    """Raise unless a budget is positive."""
    require_integer("max_evaluations", max_evaluations, 1)
    if max_milliseconds is not None:
        require_number("max_milliseconds", max_milliseconds, "(0, inf]", unit="ms")


class _Loop:
    """The ask and tell of pymoo's particle swarm or differential evolution, in arrays."""

    def __init__(
        self, name: str, population: NDArray[np.float64], options: Mapping[str, Any], seed: int
    ) -> None:
        try:
            from pymoo.algorithms.soo.nonconvex.de import DE
            from pymoo.algorithms.soo.nonconvex.pso import PSO
            from pymoo.core.evaluator import Evaluator
            from pymoo.core.problem import Problem
            from pymoo.core.termination import NoTermination
            from pymoo.problems.static import StaticProblem
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "particle swarm and differential evolution need pymoo: "
                'pip install "mec-gym[search]", or in a clone pip install ".[search]".',
                name="pymoo",
            ) from error
        kind = {"particle_swarm": PSO, "differential_evolution": DE}[name]
        size, variables = population.shape
        self._problem = Problem(n_var=variables, n_obj=1, xl=0.0, xu=1.0)
        self._values, self._evaluator = StaticProblem, Evaluator()
        self._algorithm = kind(pop_size=size, sampling=population, **options)
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed)
        self._asked: Any = None

    def ask(self) -> NDArray[np.float64]:
        self._asked = self._algorithm.ask()
        return np.asarray(self._asked.get("X"), dtype=np.float64)

    def tell(self, values: NDArray[np.float64]) -> None:
        priced = self._values(self._problem, F=values[:, None])
        self._evaluator.eval(priced, self._asked)
        self._algorithm.tell(infills=self._asked)
