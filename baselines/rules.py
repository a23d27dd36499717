"""All rules under one signature, by the names that tables use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.greedy import greedy
from baselines.local import local
from baselines.optimal import optimal
from baselines.prices import best_discount, mean_prices, posted_prices, shared_by_speed
from baselines.quota import best_quota, quota
from baselines.random import random
from baselines.remote import remote
from mec_gym import Scenario, Slot
from mec_gym.evaluation import Decide, SlotSet
from mec_gym.model.layout import Layout

Assignment = NDArray[np.int64]


def rules(quota_size: int, prices: ArrayLike | None = None) -> Mapping[str, Decide]:
    """Return the rules, ready for :func:`mec_gym.evaluation.nrr`.

    Parameters
    ----------
    quota_size : int
        Devices per server of the quota rule; :func:`tuned_quota` chooses one.
    prices : array_like, shape (M,), [1/sqrt(cycle/s)], optional
        Of the rule "posted prices"; :func:`tuned_prices` chooses some. Without them the rule is
        left out.

    Returns
    -------
    mapping of str to callable
        ``decide(scenario, slot, layout, rng)``.

    Examples
    --------
    >>> list(rules(10))[:2]
    ['all local', 'nearest server']
    """
    table: dict[str, Decide] = {
        "all local": lambda scenario, slot, _layout, _rng: local(scenario, slot),
        "nearest server": _nearest(admission_limit=False),
        "nearest server, admission limit": _nearest(admission_limit=True),
        "random": _random(admission_limit=False),
        "random, admission limit": _random(admission_limit=True),
        "best gains up to a quota": lambda scenario, slot, _layout, _rng: quota(
            scenario, slot, quota_size
        ),
    }
    table["no prices, servers keep what pays"] = lambda scenario, slot, _layout, _rng: (
        posted_prices(scenario, slot, np.zeros(scenario.n_servers))
    )
    if prices is not None:
        table["posted prices"] = lambda scenario, slot, _layout, _rng: posted_prices(
            scenario, slot, prices
        )
    return table | {
        "greedy": lambda scenario, slot, _layout, _rng: greedy(scenario, slot),
        "optimum": lambda scenario, slot, _layout, _rng: optimal(scenario, slot),
    }


def tuned_quota(tuning: SlotSet) -> int:
    """Return the quota that is best on the average over the layouts of a set.

    Parameters
    ----------
    tuning : SlotSet
        Slots to choose on; not those that the rule will be measured on.

    Returns
    -------
    int

    Examples
    --------
    >>> from mec_gym.evaluation import slot_set
    >>> tuning = slot_set(Scenario.preset("paper-200x10"), n_layouts=1, slots_per_layout=1)
    >>> tuned_quota(tuning)
    10
    """
    pairs = zip(tuning.scenarios, tuning.slots, strict=True)
    return round(float(np.mean([best_quota(one, slots) for one, slots in pairs])))


def tuned_prices(tuning: SlotSet) -> NDArray[np.float64]:
    """Return the prices that are best on the average over the layouts of a set.

    Parameters
    ----------
    tuning : SlotSet
        Slots to choose on; not those that the rule will be measured on.

    Returns
    -------
    ndarray, shape (M,), [1/sqrt(cycle/s)]
        One for all servers of equal speed where layouts place them: server 1 of one layout has
        nothing else in common with server 1 of another.

    Examples
    --------
    >>> from mec_gym.evaluation import slot_set
    >>> tuning = slot_set(Scenario.preset("paper-200x10"), n_layouts=1, slots_per_layout=1)
    >>> len(set(tuned_prices(tuning).tolist()))
    1
    """
    pairs = list(zip(tuning.scenarios, tuning.slots, strict=True))
    prices = np.mean([mean_prices(one, slots) for one, slots in pairs], axis=0)
    if isinstance(tuning.scenarios[0].server_positions, str):
        prices = shared_by_speed(tuning.scenarios[0], prices)
    parts = [best_discount(one, slots, prices) for one, slots in pairs]
    return np.asarray(np.mean(parts) * prices)


def _nearest(*, admission_limit: bool) -> Decide:
    def decide(
        scenario: Scenario, slot: Slot, layout: Layout, _rng: np.random.Generator
    ) -> Assignment:
        return remote(scenario, slot, layout.distances_m, admission_limit=admission_limit)

    return decide


def _random(*, admission_limit: bool) -> Decide:
    def decide(
        scenario: Scenario, slot: Slot, _layout: Layout, rng: np.random.Generator
    ) -> Assignment:
        return random(scenario, slot, rng, admission_limit=admission_limit)

    return decide
