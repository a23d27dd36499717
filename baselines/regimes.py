"""The regime of a scenario: what simple rules reach there, and whether it tells policies apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baselines.rules import rules, tuned_prices, tuned_quota
from mec_gym import Scenario
from mec_gym.evaluation import Estimate, estimate, nrr, slot_set

CLOSE = 0.99
"""A rule with at least this NRR leaves a learner next to nothing to win."""

FULL_KNOWLEDGE = ("greedy", "optimum")
"""Rules that look at all gains of all servers; with the others a server looks at its own."""


@dataclass(frozen=True)
class Regime:
    """What the rules reach in one scenario.

    Attributes
    ----------
    name : str
        The scenario's.
    nrr : dict of str to Estimate
        By rule.
    quota : int
        Devices per server of the quota rule, chosen on other slots.
    optimum : Estimate
        Mean optimal objective (its lower bound where not proven).
    offloaded : float
        Share of devices offloaded at the solver's decision.
    gap : float
        Largest gap between the solver's decision and its proven bound.
    n_layouts, slots_per_layout : int
        Sizes of the sample.

    Examples
    --------
    >>> measure_regime(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=1).name
    'paper-30x2'
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
    """Measure all rules on frozen slots of a scenario.

    Parameters
    ----------
    scenario : Scenario
        The system.
    n_layouts, slots_per_layout : int
        Sizes of the sample.
    seed : int
        Of the sample. The quota and the prices are chosen on a sample of a fifth as many
        layouts, of another seed.

    Returns
    -------
    Regime

    Examples
    --------
    >>> regime = measure_regime(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=2)
    >>> round(regime.nrr["optimum"].mean, 9)
    1.0
    """
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
    """Return the regimes as a Markdown table with intervals, one column per scenario.

    Parameters
    ----------
    regimes : sequence of Regime
        The columns.

    Returns
    -------
    str

    Examples
    --------
    >>> regime = measure_regime(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=1)
    >>> regime_table([regime]).splitlines()[0]
    '| NRR | paper-30x2 |'
    """
    lines = ["| NRR | " + " | ".join(regime.name for regime in regimes) + " |"]
    lines.append("|---" * (len(regimes) + 1) + "|")
    for rule in regimes[0].nrr:
        cells = [_cell(regime.nrr[rule]) for regime in regimes]
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    lines.append("| *quota* | " + " | ".join(str(regime.quota) for regime in regimes) + " |")
    means = [_objective(regime.optimum) for regime in regimes]
    lines.append("| *mean optimal objective* | " + " | ".join(means) + " |")
    shares = [f"{regime.offloaded:.2f}" for regime in regimes]
    lines.append("| *share offloaded at the optimum* | " + " | ".join(shares) + " |")
    gaps = ["proven" if regime.gap == 0 else f"gap <= {regime.gap:.1e}" for regime in regimes]
    lines.append("| *optimum* | " + " | ".join(gaps) + " |")
    return "\n".join(lines)


def _cell(result: Estimate) -> str:
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
    """Return one sentence on whether a scenario tells policies apart.

    Parameters
    ----------
    regime : Regime
        As measured.

    Returns
    -------
    str

    Examples
    --------
    >>> regime = measure_regime(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=1)
    >>> verdict(regime).startswith("paper-30x2")
    True
    """
    others = {name: r.mean for name, r in regime.nrr.items() if name not in FULL_KNOWLEDGE}
    best = max(others, key=lambda name: others[name])
    if regime.close_rules:
        come = "comes" if len(regime.close_rules) == 1 else "come"
        return (
            f"{regime.name} hardly separates good policies: by each server's own gains, "
            f"{' and '.join(map(repr, regime.close_rules))} {come} within 1 % of the optimum."
        )
    return (
        f"{regime.name} separates policies: the best rule by each server's own gains, {best!r}, "
        f"stays {100 * (1 - others[best]):.1f} % away from the optimum."
    )
