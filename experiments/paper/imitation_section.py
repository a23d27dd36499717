"""Table II on the page: accuracy of imitation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.paper.published import TABLE_II
from experiments.paper.raw import Raw
from experiments.paper.wording import (
    MISSING,
    Claim,
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

_LOSSES = {"L1": "L_1, with the L2 term", "LD": "L_D alone"}
_SOURCES = {"levy": "Lévy search, the paper's", "optimal": "optimum"}

INTRODUCTION = """The medium system, 30 × 2, the paper's networks, T_D = 500 gradient steps.
Demonstrations come from the Lévy search, as in the paper, and for comparison from the exact solver;
those for testing are made in the same way from slots that no training has seen. The paper does not
define its accuracy. *Bits*: over agents and devices, whether the agent claims the device (score of
at least 0.5) exactly if the demonstration gives it to the agent's server. *Vote*: over devices,
whether the vote of both agents is the demonstration's choice. A vote is right only if all agents
together are, so bits are the likelier reading of the paper."""


def section(raw: Raw) -> str:
    """Return the section on Table II.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    seeds = raw.measured("imitation")
    if not seeds:
        return paragraphs(INTRODUCTION)
    head = ["by", "demonstrations", "loss", "paper: training", "testing"]
    head += ["bits: training", "testing", "vote: training", "testing"]
    rows = [
        [
            _SOURCES[row["source"]],
            str(row["demonstrations"]),
            _LOSSES[row["loss"]],
            *_published(row),
            *(
                cell(_accuracies(raw, row, part, reading), 3)
                for reading in ("bits", "vote")
                for part in ("training", "testing")
            ),
        ]
        for row in seeds[0]["rows"]
    ]
    return paragraphs(INTRODUCTION, table(head, rows), claims(*_claims(raw)), _explanation(raw))


def figures(raw: Raw) -> Mapping[str, Figure]:
    """Return no figure: Table II has none.

    Parameters
    ----------
    raw : Raw
        Not used.

    Returns
    -------
    dict
    """
    del raw
    return {}


def _published(row: Mapping[str, Any]) -> list[str]:
    printed = TABLE_II.get((row["loss"], row["demonstrations"]))
    if printed is None or row["source"] != "levy":
        return [MISSING] * 2
    return [f"{printed.training:.3f}", f"{printed.testing:.3f}"]


def _accuracies(raw: Raw, row: Mapping[str, Any], part: str, reading: str) -> list[float]:
    """Return an accuracy of every seed for a row's size and loss."""
    keys = ("source", "demonstrations", "loss")
    return [
        float(one[part][reading])
        for seed in raw.measured("imitation")
        for one in seed["rows"]
        if all(one[key] == row[key] for key in keys)
    ]


def _testing(raw: Raw, size: int, loss: str, source: str = "levy") -> dict[int, float]:
    """Return the testing accuracy of bits by seed."""
    wanted = (source, size, loss)
    return {
        seed: row["testing"]["bits"]
        for seed, values in raw.measured_by_seed("imitation").items()
        for row in values["rows"]
        if (row["source"], row["demonstrations"], row["loss"]) == wanted
    }


def _claims(raw: Raw) -> list[Claim]:
    sizes = sorted({row["demonstrations"] for row in raw.measured("imitation")[0]["rows"]})
    pairs = [(_testing(raw, size, "LD"), _testing(raw, size, "L1")) for size in sizes]
    leads = ", ".join(
        f"{_gain(without, with_l2):+.4f} ({size})"
        for size, (without, with_l2) in zip(sizes, pairs, strict=True)
    )
    found = [
        Claim(
            "L_1 tests better than L_D with every number of demonstrations",
            combined([lower(without, with_l2) for without, with_l2 in pairs]),
            f"its lead in testing (bits) is {leads}",
        )
    ]
    if {128, 256, 512} <= set(sizes):
        few, some, many = (_testing(raw, size, "L1") for size in (128, 256, 512))
        before = {seed: some[seed] - few[seed] for seed in some}
        after = {seed: many[seed] - some[seed] for seed in some}
        found.append(
            Claim(
                "More than 256 demonstrations bring less than those before did",
                lower(after, before),
                f"testing (bits) gains {_gain(few, some):+.4f} from 128 to 256 and "
                f"{_gain(some, many):+.4f} from 256 to 512",
            )
        )
    return found


def _gain(a: Mapping[int, float], b: Mapping[int, float]) -> float:
    return mean(list(b.values())) - mean(list(a.values()))


def _explanation(raw: Raw) -> str:
    """Return how much of the difference the demonstrations' own noise explains."""
    agreement = mean([one["agreement"]["bits"] for one in raw.measured("imitation")])
    limit = agreement**0.5
    best = max(printed.testing for printed in TABLE_II.values())
    size = max(row["demonstrations"] for row in raw.measured("imitation")[0]["rows"])
    exact, drawn = (
        mean(list(_testing(raw, size, "L1", source).values())) for source in ("optimal", "levy")
    )
    verdict = (
        "The paper's testing accuracy lies above that: its demonstrations must repeat themselves "
        "better than ours do, which depends on β and the budget of its search, which it does not "
        "print."
        if best > limit
        else "The paper's testing accuracy lies below that, so the demonstrations' noise alone "
        "does not explain a difference: it is unexplained."
    )
    return (
        "**Difference.** A Lévy search draws its labels. Two searches of the same slot from the "
        f"same start agree on {agreement:.3f} of the bits. If the answer k has probability p_k "
        "given the slot, they agree with probability Σ p_k² ≥ (max p_k)², and no function of the "
        "slot is right more often than max p_k: on the average at most √"
        f"{agreement:.3f} = {limit:.3f} of unseen bits can be right. {verdict} With labels "
        f"of the exact solver, which draws nothing, the same networks get {exact:.3f} of the "
        f"unseen bits right after {size} demonstrations, {exact - drawn:+.3f}: noise of the labels "
        f"{'costs' if exact > drawn else 'does not cost'} accuracy here."
        + (
            f" The paper's {best:.3f} lies beyond that, too: what is left is unexplained."
            if best > exact
            else ""
        )
    )
