"""Differential evolution of a slot's decision; pymoo's.

Storn and Price, "Differential evolution: a simple and efficient heuristic for global optimization
over continuous spaces", J. Global Optimization 11, 1997.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.search import SearchSettings, committed_settings, search_all
from mec_gym import Scenario, Slot


def differential_evolution(
    scenario: Scenario,
    slot: Slot,
    *,
    max_evaluations: int = 2000,
    max_milliseconds: float | None = None,
    seed: int = 0,
    settings: SearchSettings | None = None,
) -> NDArray[np.int64]:
    """Return the best decision that differential evolution finds.

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
        Those in baselines/settings/differential_evolution.json by default.

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
    >>> differential_evolution(scenario, Slot([[1e-6], [1e-6]], 8e5, 1e9), max_evaluations=100)
    array([1, 1])
    """
    return search_all(
        scenario,
        slot,
        settings or committed_settings("differential_evolution"),
        evolution,
        max_evaluations=max_evaluations,
        max_milliseconds=max_milliseconds,
        seed=seed,
    )


def evolution(population: NDArray[np.float64], options: Mapping[str, Any]) -> Any:
    """Return pymoo's differential evolution with a first population.

    Parameters
    ----------
    population : ndarray, shape (K, variables)
        The first generation.
    options : mapping
        ``variant``, ``F``, ``CR``, ``jitter``, ``prob_mut`` of
        ``pymoo.algorithms.soo.nonconvex.de.DE``.

    Returns
    -------
    pymoo.algorithms.soo.nonconvex.de.DE

    Examples
    --------
    >>> evolution(np.zeros((5, 2)), {"variant": "DE/rand/1/bin"}).pop_size
    5
    """
    from pymoo.algorithms.soo.nonconvex.de import DE

    return DE(pop_size=len(population), sampling=population, **options)
