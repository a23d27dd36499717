"""The regime of a scenario: what simple rules reach there, and whether it tells policies apart.

All rules have one signature here, ``decide(scenario, slot, layout, rng)``, and a name for tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.moving import knowing
from baselines.prices import best_discount, mean_prices, posted_prices, shared_by_speed
from baselines.rules import best_quota, greedy, local, optimal, quota, random, remote
from mec_gym import Scenario
from mec_gym.evaluation import Decide, Estimate, SlotSet, estimate, nrr, slot_set

CLOSE = 0.99
"""A rule with at least this NRR leaves a learner next to nothing to win."""

FULL_KNOWLEDGE = ("greedy", "optimum")
"""Rules that look at all gains of all servers; with the others a server looks at its own."""


def rules(quota_size: int, prices: ArrayLike | None = None) -> Mapping[str, Decide]:
    """Return the rules by name, for :func:`mec_gym.evaluation.nrr`; one of them needs `prices`."""

    def nearest(*, limit: bool) -> Decide:
        return lambda scenario, slot, layout, _rng: remote(
            scenario, slot, layout.distances_m, admission_limit=limit
        )

    def drawn(*, limit: bool) -> Decide:
        return lambda scenario, slot, _layout, rng: random(
            scenario, slot, rng, admission_limit=limit
        )

    table = {
        "all local": knowing(local),
        "nearest server": nearest(limit=False),
        "nearest server, admission limit": nearest(limit=True),
        "random": drawn(limit=False),
        "random, admission limit": drawn(limit=True),
        "best gains up to a quota": knowing(quota, quota_size),
        "no prices, servers keep what pays": knowing(posted_prices, 0.0),
    }
    if prices is not None:
        table["posted prices"] = knowing(posted_prices, prices)
    return table | {"greedy": knowing(greedy), "optimum": knowing(optimal)}


def tuned_quota(tuning: SlotSet) -> int:
    """Return the quota that is best on average over the layouts of a set to tune on."""
    pairs = zip(tuning.scenarios, tuning.slots, strict=True)
    return round(float(np.mean([best_quota(one, slots) for one, slots in pairs])))


def tuned_prices(tuning: SlotSet) -> NDArray[np.float64]:
    """Return the prices, shape (M,), that are best on average over layouts to tune on.

    Where layouts place the servers, those of equal speed share one: server 1 of one layout has
    nothing else in common with server 1 of another.
    """
    pairs = list(zip(tuning.scenarios, tuning.slots, strict=True))
    prices = np.mean([mean_prices(one, slots) for one, slots in pairs], axis=0)
    if isinstance(tuning.scenarios[0].server_positions, str):
        prices = shared_by_speed(tuning.scenarios[0], prices)
    parts = [best_discount(one, slots, prices) for one, slots in pairs]
    return np.asarray(np.mean(parts) * prices)


@dataclass(frozen=True)
class Regime:
    """What the rules reach in one scenario, by `name`: the NRR by rule.

    `quota` is that of the quota rule, chosen on other slots; `optimum` the mean optimal objective
    (its lower bound where not proven); `offloaded` the share of devices offloaded at the solver's
    decision and `gap` its largest gap to the proven bound.
    """

    name: str
    nrr: dict[str, Estimate]
    quota: int
    optimum: Estimate
    offloaded: float
    gap: float
    n_layouts: int
    slots_per_layout: int

    @property
    def close_rules(self) -> tuple[str, ...]:
        """Rules without full knowledge whose mean NRR is at least 0.99."""
        return tuple(
            name
            for name, result in self.nrr.items()
            if name not in FULL_KNOWLEDGE and result.mean >= CLOSE
        )


def measure_regime(
    scenario: Scenario, *, n_layouts: int = 20, slots_per_layout: int = 5, seed: int = 0
) -> Regime:
    """Measure all rules on frozen slots; quota and prices are tuned on others, a fifth as many."""
    tuning = slot_set(
        scenario,
        n_layouts=max(1, n_layouts // 5),
        slots_per_layout=slots_per_layout,
        seed=seed + 1_000,
    )
    size, prices = tuned_quota(tuning), tuned_prices(tuning)
    sample = slot_set(scenario, n_layouts=n_layouts, slots_per_layout=slots_per_layout, seed=seed)
    return Regime(
        name=scenario.name,
        nrr={name: estimate(nrr(sample, rule)) for name, rule in rules(size, prices).items()},
        quota=size,
        optimum=estimate(sample.lower_bound),
        offloaded=float(np.mean(sample.offloaded)),
        gap=sample.gap,
        n_layouts=n_layouts,
        slots_per_layout=slots_per_layout,
    )


def regime_table(regimes: Sequence[Regime]) -> str:
    """Return the regimes as a Markdown table with intervals, one column per scenario."""
    rows = {"NRR": [regime.name for regime in regimes]}
    rows |= {rule: [cell(regime.nrr[rule]) for regime in regimes] for rule in regimes[0].nrr}
    rows["*quota*"] = [str(regime.quota) for regime in regimes]
    rows["*mean optimal objective*"] = [_objective(regime.optimum) for regime in regimes]
    rows["*share offloaded at the optimum*"] = [f"{regime.offloaded:.2f}" for regime in regimes]
    rows["*optimum*"] = ["proven" if r.gap == 0 else f"gap <= {r.gap:.1e}" for r in regimes]
    return as_table(rows)


def as_table(rows: Mapping[str, Sequence[str]]) -> str:
    """Return rows of cells by name as a Markdown table; the first is its head."""
    head, *lines = (f"| {' | '.join([name, *cells])} |" for name, cells in rows.items())
    return "\n".join([head, "|---" * head.count(" | ") + "|---|", *lines])


def cell(result: Estimate) -> str:
    """Return a mean with half of its interval."""
    half = (result.high - result.low) / 2
    if not half > 0:
        return f"{result.mean:.4f}"
    # As many decimals as the interval bears.
    decimals = min(6, max(3, math.ceil(-math.log10(half))))
    return f"{result.mean:.{decimals}f} ± {half:.{decimals}f}"


def _objective(result: Estimate) -> str:
    half = (result.high - result.low) / 2
    return f"{result.mean:.5g} ± {half:.1g}" if half > 0 else f"{result.mean:.5g}"


def verdict(regime: Regime) -> str:
    """Return one sentence on whether a scenario tells policies apart."""
    others = {name: r.mean for name, r in regime.nrr.items() if name not in FULL_KNOWLEDGE}
    best = max(others, key=lambda name: others[name])
    if regime.close_rules:
        come = "comes" if len(regime.close_rules) == 1 else "come"
        return (
            f"{regime.name} hardly separates good policies: by each server's own gains, "
            f"{' and '.join(map(repr, regime.close_rules))} {come} within 1 % of the optimum "
            "on average."
        )
    return (
        f"{regime.name} separates policies: the best rule by each server's own gains, {best!r}, "
        f"stays {100 * (1 - others[best]):.1f} % away from the optimum."
    )
