"""What particle swarm and differential evolution share: encodings, the objective, the loop.

Both search a box of real vectors. An encoding turns a population of vectors into decisions; the
whole population is priced in one call, each decision by a gather of its c_{i,a_i} and its squared
loads [S-1]. The searches themselves are pymoo's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.encodings import ENCODINGS, Encoding
from mec_gym import Scenario, Slot
from mec_gym.optimum import load_problem
from mec_gym.validation import require_choice, require_integer, require_number

STARTS = ("random", "greedy", "around")


@dataclass(frozen=True)
class SearchSettings:
    """How a search goes about a slot.

    Attributes
    ----------
    encoding : {"floor", "scores", "order", "prices"}
        See :mod:`baselines.encodings`.
    start : {"random", "greedy", "around"}
        Where the first population is: anywhere; anywhere but for one member, which stands for the
        greedy decision; or all around the greedy decision. The latter two price the greedy
        decision before all else.
    population : int
        Members; at least 4.
    options : mapping
        Of pymoo's algorithm.

    Raises
    ------
    TypeError, ValueError
        For an unknown encoding or start, or a population below 4.

    Examples
    --------
    >>> SearchSettings(encoding="floor", start="random", population=50).options
    {}
    """

    encoding: str
    start: str
    population: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("encoding", self.encoding, ENCODINGS)
        require_choice("start", self.start, STARTS)
        require_integer("population", self.population, 4)


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Attributes
    ----------
    assignment : ndarray, shape (N,)
        The best decision that was priced.
    objective : float, [1]
        Its Σ Φ_i.
    evaluations : int
        Decisions priced, the greedy one included.

    Examples
    --------
    >>> Found(np.array([1]), 2.0, 10).evaluations
    10
    """

    assignment: NDArray[np.int64]
    objective: float
    evaluations: int


Algorithm = Callable[[NDArray[np.float64], Mapping[str, Any]], Any]
"""Makes a pymoo algorithm from its first population, shape (K, variables), and options."""


def search(
    scenario: Scenario,
    slot: Slot,
    settings: SearchSettings,
    algorithm: Algorithm,
    *,
    max_evaluations: int,
    max_milliseconds: float | None = None,
    seed: int = 0,
) -> Found:
    """Return the best decision that a search prices within its budget.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks; no batch axes.
    settings : SearchSettings
        How.
    algorithm : callable
        Makes the pymoo algorithm.
    max_evaluations : int
        Decisions to price at most.
    max_milliseconds : float, optional
        Begin no further population after so long. What is found then depends on the machine.
    seed : int
        Equal seeds find equal decisions.

    Returns
    -------
    Found

    Raises
    ------
    ValueError
        For a budget that is not positive.
    ModuleNotFoundError
        Without pymoo.

    Examples
    --------
    >>> from baselines.particle_swarm import swarm
    >>> settings = SearchSettings("floor", "random", 10)
    >>> slot = Slot(np.full((30, 2), 1e-6), 8e5, 1e9)
    >>> scenario = Scenario.preset("paper-30x2")
    >>> search(scenario, slot, settings, swarm, max_evaluations=25).evaluations
    25
    """
    require_budget(max_evaluations, max_milliseconds)
    ask_and_tell = _pymoo()
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
    loop = ask_and_tell(algorithm(population, settings.options), encoding, int(rng.integers(2**31)))
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
    scenario: Scenario, slot: Slot, settings: SearchSettings, algorithm: Algorithm, **budget: Any
) -> NDArray[np.int64]:
    """Return the decisions of a search in each slot of a batch.

    Parameters
    ----------
    scenario, settings, algorithm, **budget
        As for :func:`search`.
    slot : Slot
        With any batch shape; every slot has the whole budget and the same seed.

    Returns
    -------
    ndarray, shape (..., N), int64

    Examples
    --------
    >>> from baselines.particle_swarm import swarm
    >>> settings = SearchSettings("floor", "random", 10)
    >>> slots, scenario = Slot(np.full((2, 30, 2), 1e-6), 8e5, 1e9), Scenario.preset("paper-30x2")
    >>> search_all(scenario, slots, settings, swarm, max_evaluations=20).shape
    (2, 30)
    """
    decisions = np.empty(slot.gains.shape[:-1], dtype=np.int64)
    for index in np.ndindex(slot.batch_shape):
        found = search(scenario, slot[index], settings, algorithm, **budget)
        decisions[index] = found.assignment
    return decisions


def committed_settings(algorithm: str, encoding: str | None = None) -> SearchSettings:
    """Return the settings that reproduction/tune.py found best.

    Parameters
    ----------
    algorithm : {"particle_swarm", "differential_evolution"}
        Whose.
    encoding : str, optional
        The best with this encoding instead of the best of all.

    Returns
    -------
    SearchSettings

    Raises
    ------
    ValueError
        For an unknown encoding.

    Examples
    --------
    >>> committed_settings("particle_swarm", "floor").encoding
    'floor'
    """
    text = (files("baselines") / "settings" / f"{algorithm}.json").read_text(encoding="utf-8")
    record = json.loads(text)
    if encoding is None:
        return SearchSettings(**record["best"])
    require_choice("encoding", encoding, record["best_by_encoding"])
    return SearchSettings(**record["best_by_encoding"][encoding])


def require_budget(max_evaluations: Any, max_milliseconds: Any) -> None:
    """Raise unless a budget is positive.

    Parameters
    ----------
    max_evaluations : int
    max_milliseconds : float or None, [ms]

    Raises
    ------
    TypeError, ValueError
        Names the argument, what is required and what came.

    Examples
    --------
    >>> require_budget(2000, None)
    """
    require_integer("max_evaluations", max_evaluations, 1)
    if max_milliseconds is not None:
        require_number("max_milliseconds", max_milliseconds, "(0, inf]", unit="ms")


class _Loop:
    """pymoo's ask and tell, in arrays."""

    def __init__(self, algorithm: Any, encoding: Encoding, seed: int) -> None:
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.problems.static import StaticProblem

        self._problem = Problem(n_var=encoding.size, n_obj=1, xl=0.0, xu=1.0)
        self._values, self._evaluator = StaticProblem, Evaluator()
        self._algorithm = algorithm
        algorithm.setup(self._problem, termination=NoTermination(), seed=seed)
        self._asked: Any = None

    def ask(self) -> NDArray[np.float64]:
        self._asked = self._algorithm.ask()
        return np.asarray(self._asked.get("X"), dtype=np.float64)

    def tell(self, values: NDArray[np.float64]) -> None:
        priced = self._values(self._problem, F=values[:, None])
        self._evaluator.eval(priced, self._asked)
        self._algorithm.tell(infills=self._asked)


def _pymoo() -> type[_Loop]:
    try:
        import pymoo  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "particle swarm and differential evolution need pymoo: "
            'pip install "mec-gym[search]", or in a clone pip install ".[search]".',
            name="pymoo",
        ) from error
    return _Loop
