"""Particle swarm optimisation of a slot's decision, the paper's yardstick; pymoo's swarm.

Kennedy and Eberhart, "Particle swarm optimization", Proc. ICNN, 1995.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.search import SearchSettings, committed_settings, search_all
from mec_gym import Scenario, Slot


def particle_swarm(
    scenario: Scenario,
    slot: Slot,
    *,
    max_evaluations: int = 2000,
    max_milliseconds: float | None = None,
    seed: int = 0,
    settings: SearchSettings | None = None,
) -> NDArray[np.int64]:
    """Return the best decision that a swarm finds.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks.
    max_evaluations : int
        Decisions to price per slot.
    max_milliseconds : float, optional
        Begin no further generation after so long.
    seed : int
        Equal seeds find equal decisions, unless time runs out.
    settings : SearchSettings, optional
        Those in baselines/settings/particle_swarm.json by default.

    Returns
    -------
    ndarray, shape (..., N), int64

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
    return search_all(
        scenario,
        slot,
        settings or committed_settings("particle_swarm"),
        swarm,
        max_evaluations=max_evaluations,
        max_milliseconds=max_milliseconds,
        seed=seed,
    )


def swarm(population: NDArray[np.float64], options: Mapping[str, Any]) -> Any:
    """Return pymoo's particle swarm with a first population.

    Parameters
    ----------
    population : ndarray, shape (K, variables)
        Where the particles begin.
    options : mapping
        ``w``, ``c1``, ``c2``, ``adaptive``, ``max_velocity_rate``, ``pertube_best`` of
        ``pymoo.algorithms.soo.nonconvex.pso.PSO``.

    Returns
    -------
    pymoo.algorithms.soo.nonconvex.pso.PSO

    Examples
    --------
    >>> swarm(np.zeros((5, 2)), {"w": 0.7}).pop_size
    5
    """
    from pymoo.algorithms.soo.nonconvex.pso import PSO

    return PSO(pop_size=len(population), sampling=population, **options)
