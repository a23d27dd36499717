"""Figs. 3 and 5 on the page: losses and rewards during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.paper.drawing import curve, panels
from experiments.paper.plan import REWARD_VARIANTS
from experiments.paper.published import FIG_3_ITERATIONS, FIG_3_LOSS
from experiments.paper.raw import Raw
from experiments.paper.wording import (
    Claim,
    between,
    cell,
    claims,
    combined,
    lower,
    mean,
    paragraphs,
    table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WITHIN = 0.25
"""Relative: how near a loss has to be to pass for the paper's, which its figure alone shows."""

LOSSES = """Cross-entropy per device of each agent in the medium system, 30 × 2, by gradient step:
first the steps of Algorithm 2, then the online steps of Algorithm 3, where the loss is
L_D + λ_2 L_A. The paper does not say which of the two its iterations are, nor whether its loss is
a mean over devices; a sum over 30 devices would hardly be 0.2."""

REWARDS = """Average of the paper's reward 1/ΣΦ over the slots of training in the medium system,
30 × 2. Here ε-greedy search takes the best of as many random changes of the ensemble's decision as
the Lévy search may price; the paper does not say what its ε-greedy search keeps. What is carried
out online is the ensemble's decision, never the refined one."""


def losses_section(raw: Raw) -> str:
    """Return the section on Fig. 3.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    seeds = raw.measured("losses")
    if not seeds:
        return paragraphs(LOSSES)
    agents = range(len(seeds[0]["losses"]))
    near = [[_near(one, agent, FIG_3_ITERATIONS) for one in seeds] for agent in agents]
    last = [[one["losses"][agent][one["pretraining"] - 1] for one in seeds] for agent in agents]
    online = [[one["losses"][agent][-1] for one in seeds] for agent in agents]
    head = ["agent", f"paper, around {FIG_3_ITERATIONS}", f"ours, at {FIG_3_ITERATIONS}"]
    rows = [
        [
            str(agent + 1),
            f"{FIG_3_LOSS}",
            *(cell(part[agent], 3) for part in (near, last, online)),
        ]
        for agent in agents
    ]
    return paragraphs(
        LOSSES,
        "![Loss per device of both agents over gradient steps](reproduction/fig3.svg)",
        table([*head, "ours, at the end of imitation", "ours, at the end"], rows),
        claims(*_loss_claims(near, last)),
    )


def _near(one: Mapping[str, Any], agent: int, step: int) -> float:
    """Return the loss of an agent's interval nearest to a gradient step."""
    index = min(range(len(one["steps"])), key=lambda k: abs(one["steps"][k] - step))
    return float(one["losses"][agent][index])


def _loss_claims(near: Sequence[Sequence[float]], last: Sequence[Sequence[float]]) -> list[Claim]:
    values = [mean(part) for part in near]
    ends = [mean(part) for part in last]
    shown = " and ".join(f"{value:.3f}" for value in values)
    goal = FIG_3_LOSS
    ratios = [[a / b for a, b in zip(part, near[0], strict=True)] for part in near[1:]]
    return [
        Claim(
            f"The losses of both agents converge to {FIG_3_LOSS} after around "
            f"{FIG_3_ITERATIONS} iterations",
            combined([between(part, (1 - _WITHIN) * goal, (1 + _WITHIN) * goal) for part in near]),
            f"they are {shown} there (counted as holding within {_WITHIN:.0%}), and "
            + " and ".join(f"{end:.3f}" for end in ends)
            + " at the end of imitation",
        ),
        Claim(
            "Both agents behave alike",
            combined([between(one, 1 / (1 + _WITHIN), 1 + _WITHIN) for one in ratios]),
            f"{shown} at step {FIG_3_ITERATIONS} (counted as holding within {_WITHIN:.0%})",
        ),
    ]


def losses_figures(raw: Raw) -> Mapping[str, Figure]:
    """Return Fig. 3.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    dict of str to Figure
    """
    seeds = raw.measured("losses")
    if not seeds:
        return {}
    figure, (axes,) = panels()
    for agent in range(len(seeds[0]["losses"])):
        rows = [one["losses"][agent] for one in seeds]
        curve(axes, seeds[0]["steps"], rows, agent, f"agent {agent + 1}")
    begun = seeds[0]["steps"][seeds[0]["pretraining"] - 1]
    axes.axvline(begun, color="#7f7f7f", linewidth=0.8)
    axes.text(begun, 0.98, " online", transform=axes.get_xaxis_transform(), va="top")
    axes.text(begun, 0.98, "imitation ", transform=axes.get_xaxis_transform(), va="top", ha="right")
    axes.axhline(FIG_3_LOSS, color="#000000", linewidth=0.8, linestyle=":", label="paper, text")
    axes.set(xlabel="gradient step", ylabel="loss per device [nat]", ylim=(0, None))
    axes.legend()
    return {"fig3": figure}


# -- Fig. 5 ----------------------------------------------------------------------------------------


def rewards_section(raw: Raw) -> str:
    """Return the section on Fig. 5.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    found = _variants(raw)
    if not found:
        return paragraphs(REWARDS)
    rows = [
        [
            name,
            cell([1e3 * _part(one, first=True) for one in seeds.values()], 3),
            cell([1e3 * _part(one, first=False) for one in seeds.values()], 3),
            cell([one["nrr"] for one in seeds.values()], 4),
        ]
        for name, seeds in found.items()
    ]
    head = ["variant", "1000 × reward, first tenth", "last tenth", "final NRR"]
    return paragraphs(
        REWARDS,
        "![Average reward during training](reproduction/fig5.svg)",
        table(head, rows),
        claims(*_reward_claims(found)),
    )


def _variants(raw: Raw) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Return the values of every variant that has any, by seed."""
    by_name = {}
    for name, changes in REWARD_VARIANTS.items():
        wanted = [changes.get(key) for key in _SWITCHES]
        seeds = {
            int(one["arguments"]["seed"]): one["values"]
            for one in raw.measurements
            if one["kind"] == "rewards"
            and [one["arguments"]["arguments"].get(key) for key in _SWITCHES] == wanted
        }
        if seeds:
            by_name[name] = {seed: seeds[seed] for seed in sorted(seeds)}
    return by_name


_SWITCHES = ("refinement", "demonstrations")


def _part(one: Mapping[str, Any], *, first: bool) -> float:
    """Return the mean reward of the first or last tenth of training."""
    count = max(len(one["rewards"]) // 10, 1)
    return mean(one["rewards"][:count] if first else one["rewards"][-count:])


def _reward_claims(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[Claim]:
    if set(found) != set(REWARD_VARIANTS):
        return []
    last, early = (
        {
            name: {seed: 1e3 * _part(one, first=first) for seed, one in seeds.items()}
            for name, seeds in found.items()
        }
        for first in (False, True)
    )
    imitating, levy, imitating_greedy, greedy = REWARD_VARIANTS

    def against(values: Mapping[str, Mapping[int, float]], one: str, other: str) -> str:
        shown = (mean(list(values[name].values())) for name in (one, other))
        return " against ".join(f"{value:.3f}" for value in shown)

    return [
        Claim(
            "With the Lévy search training ends at a higher average reward than with ε-greedy "
            "search",
            combined(
                [lower(last[greedy], last[levy]), lower(last[imitating_greedy], last[imitating])]
            ),
            f"without imitation {against(last, levy, greedy)}, with imitation "
            f"{against(last, imitating, imitating_greedy)}, all times 1/1000, in the last tenth",
        ),
        Claim(
            "With imitation training converges faster",
            lower(early[levy], early[imitating]),
            f"in the first tenth {against(early, imitating, levy)} times 1/1000",
        ),
    ]


def rewards_figures(raw: Raw) -> Mapping[str, Figure]:
    """Return Fig. 5.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    dict of str to Figure
    """
    found = _variants(raw)
    if not found:
        return {}
    figure, (axes,) = panels()
    for index, (name, seeds) in enumerate(found.items()):
        rows = [one["rewards"] for one in seeds.values()]
        curve(axes, next(iter(seeds.values()))["slots"], rows, index, name)
    axes.set(xlabel="slot of training", ylabel="average reward 1/ΣΦ")
    axes.legend()
    return {"fig5": figure}
