"""All rules under one signature, by the names that tables use."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from baselines.greedy import greedy
from baselines.local import local
from baselines.optimal import optimal
from baselines.quota import best_quota, quota
from baselines.random import random
from baselines.remote import remote
from mec_gym import Scenario, Slot
from mec_gym.evaluation import Decide, SlotSet
from mec_gym.model.layout import Layout

Assignment = NDArray[np.int64]


def rules(quota_size: int) -> Mapping[str, Decide]:
    """Return the rules, ready for :func:`mec_gym.evaluation.nrr`.

    Parameters
    ----------
    quota_size : int
        Devices per server of the quota rule; :func:`tuned_quota` chooses one.

    Returns
    -------
    mapping of str to callable
        ``decide(scenario, slot, layout, rng)``.

    Examples
    --------
    >>> list(rules(10))[:2]
    ['all local', 'nearest server']
    """
    return {
        "all local": lambda scenario, slot, _layout, _rng: local(scenario, slot),
        "nearest server": _nearest(admission_limit=False),
        "nearest server, admission limit": _nearest(admission_limit=True),
        "random": _random(admission_limit=False),
        "random, admission limit": _random(admission_limit=True),
        "best gains up to a quota": lambda scenario, slot, _layout, _rng: quota(
            scenario, slot, quota_size
        ),
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
