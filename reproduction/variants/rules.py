"""What rules reach on the slots on which DIRS is measured."""

from __future__ import annotations

import numpy as np

from baselines import best_discount, mean_prices, posted_prices
from baselines.regimes import rules, tuned_prices, tuned_quota
from mec_bench.measuring import slot_set_of
from mec_gym import Scenario, Slot
from mec_gym.evaluation import Decide, Estimate, SlotSet, estimate, nrr, slot_set

EVERYTHING = ("greedy", "optimum")
"""Rules that know all gains."""

POSTED = ("posted prices, no admission", "posted prices")
"""Rules that on one map, as a learner, know that map."""


def rules_reached(scenario: Scenario) -> dict[str, Estimate]:
    """Return the NRR of every rule, tuned on other slots than it is measured on.

    Parameters
    ----------
    scenario : Scenario
        On one map, a rule's prices are those of each server there.

    Returns
    -------
    dict of str to Estimate

    Examples
    --------
    >>> from mec_gym import Scenario
    >>> rules_reached(Scenario.preset("paper-30x2"))["optimum"].mean
    1.0
    """
    fixed = scenario.layout == "fixed"
    tuning = slot_set(scenario, own_layout=fixed, n_layouts=10, slots_per_layout=4, seed=1_000)
    slots = slot_set_of(scenario)
    table = dict(rules(tuned_quota(tuning), tuned_prices(tuning)))
    if fixed:
        table |= {name: _posting(tuning, dropping=name == POSTED[1]) for name in POSTED}
    return {name: estimate(nrr(slots, rule)) for name, rule in table.items()}


def _posting(tuning: SlotSet, *, dropping: bool) -> Decide:
    """Return posted prices tuned on slots of one map."""
    scenario = tuning.scenarios[0]
    slots = Slot(
        *(
            np.concatenate([getattr(one, name) for one in tuning.slots])
            for name in ("gains", "data_bits", "cycles")
        )
    )
    prices = mean_prices(scenario, slots)
    prices = prices * best_discount(scenario, slots, prices, dropping=dropping)
    return lambda one, slot, _layout, _rng: posted_prices(one, slot, prices, dropping=dropping)
