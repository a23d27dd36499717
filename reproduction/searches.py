"""Fig. 4 and the searches of Table V measured, and optima of systems that nobody trains in."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dirs_agents.labels import demonstration_slots
from dirs_agents.levy_search import LevySearch, levy_search
from mec_bench.measuring import SLOTS_PER_LAYOUT, decisions_of, figures, frozen_slots
from mec_bench.registry import algorithm
from mec_bench.run import Settings
from mec_bench.training import make_env
from mec_gym import solve
from reproduction.imitation import build
from reproduction.jobs import rounded
from reproduction.systems import scenario_of

_SLOT_SEED = 88_000_000

STEP_SCALES = (0.001, 0.01, 0.1)
"""η of eq. (18) that the classic search tries; the paper prints none."""

_KEPT = 40
"""Points of a long history."""


def refinement(
    *,
    seed: int,
    slots: int,
    generations: Sequence[int],
    parts: Sequence[Mapping[str, str]],
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """Return the mean objective over the generations of Fig. 4's searches.

    Parameters
    ----------
    seed : int
        Of networks, slots and searches.
    slots : int
        How many are refined.
    generations : sequence of int
        G_max of each search; γ of eq. (21) depends on it.
    parts : sequence of mapping
        Settings that take the proposed search apart, as in :data:`reproduction.budget.PARTS`.
    arguments : dict
        Of DIRS, whose decision after imitation is one of the starts.

    Returns
    -------
    dict
        ``optimum``: mean over the slots; ``curves``: start, settings of the search, G_max, and
        ``generations`` with ``objective``.
    """
    model = build(seed, arguments).learn(0)
    scenario = model.scenario
    observations, drawn = demonstration_slots(scenario, slots, _SLOT_SEED + seed)
    rng = np.random.default_rng([seed, 4])
    starts = {
        "random": rng.integers(scenario.n_servers + 1, size=drawn.gains.shape[:-1]),
        "imitation": model.predict(observations, deterministic=True)[0],
    }
    kinds: list[Mapping[str, Any]] = [{"method": "levy", "step_scale": 0.01}]
    kinds += [{"method": "classic-levy", "step_scale": eta} for eta in STEP_SCALES]
    curves = []
    apart = [{"method": "levy", **part} for part in parts]
    for searches, stream in ((kinds, rng), (apart, np.random.default_rng([seed, 5]))):
        for (start, decisions), count in itertools.product(starts.items(), generations):
            for kind in searches:
                search = LevySearch(generations=count, **kind)
                found = levy_search(scenario, drawn, decisions, stream, search)
                kept = _kept(count)
                curves.append(
                    {
                        "start": start,
                        **kind,
                        "limit": count,
                        "generations": kept,
                        "objective": [rounded(value) for value in found.history.mean(1)[kept]],
                    }
                )
    optimum = float(np.mean(solve(scenario, drawn).lower_bound))
    return {"optimum": rounded(optimum), "curves": curves}


def _kept(count: int) -> list[int]:
    """Return the generations to keep, evenly on a logarithmic scale."""
    spread = np.geomspace(1, count + 1, min(_KEPT, count + 1))
    return sorted({round(value) - 1 for value in spread.tolist()})


def search(
    *, seed: int, system: str, name: str, slots: int, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a particle swarm or differential evolution reaches on the first frozen slots.

    Parameters
    ----------
    seed : int
        Of the search and of the map.
    system : str
        As for :func:`reproduction.systems.scenario_of`.
    name : {"pso", "de"}
        Of the algorithm.
    slots : int
        How many, in layouts of five.
    arguments : mapping
        Constructor arguments.

    Returns
    -------
    dict
        Means over the slots, and ``decision_s`` per slot.
    """
    scenario = scenario_of(system, layout_seed=seed)
    frozen = frozen_slots(scenario, layouts=max(slots // SLOTS_PER_LAYOUT, 1))
    chosen = algorithm(name, arguments)
    settings = Settings(algorithm=name, scenario=scenario, timesteps=0, seed=seed)
    model = chosen.build(make_env(settings, chosen), seed=seed)
    begun = time.perf_counter()
    decisions = decisions_of(model, scenario)(frozen.observations("db"))
    seconds = (time.perf_counter() - begun) / len(decisions)
    means = {
        key: rounded(float(np.mean(rows))) for key, rows in vars(figures(frozen, decisions)).items()
    }
    return means | {"decision_s": rounded(seconds)}


def optimum(*, seed: int, system: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mean optimum of a system with other settings.

    Parameters
    ----------
    seed : int
        Of the map.
    system : str
        As for :func:`reproduction.systems.scenario_of`.
    changes : mapping
        Scenario fields.

    Returns
    -------
    dict
        ``lower_bound``: the mean over the frozen slots.

    Examples
    --------
    >>> optimum(seed=0, system="paper-180x8", changes={"data_bits": 1.0})["lower_bound"]
    280.0...
    """
    frozen = frozen_slots(scenario_of(system, layout_seed=seed, **changes), layouts=4)
    return {"lower_bound": rounded(float(frozen.lower_bound.mean()))}
