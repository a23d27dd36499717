"""Table II on the page: accuracy of imitation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mec_bench.tables import table
from reproduction.claims import Claim, lower
from reproduction.exhibit import Exhibit
from reproduction.published import TABLE_II
from reproduction.raw import Raw
from reproduction.wording import MISSING, cell, mean, paragraphs

_LOSSES = {"L1": "L_1, with the L2 term", "LD": "L_D alone"}
_SOURCES = {"levy": "Lévy search, the paper's", "optimal": "optimum"}

_INTRODUCTION = """The medium system, 30 × 2, the paper's networks, T_D = 500 gradient steps.
Demonstrations come from the Lévy search, as in the paper, and for comparison from the exact solver;
those for testing are made in the same way from slots that no training has seen. The paper does not
define its accuracy. *Bits*: over agents and devices, whether the agent claims the device (score of
at least 0.5) exactly if the demonstration gives it to the agent's server. *Vote*: over devices,
whether the vote of both agents is the demonstration's choice. A vote is right only if all agents
together are, so bits are the likelier reading of the paper."""


def _body(raw: Raw) -> str:
    """Return accuracies beside the paper's."""
    seeds = raw.measured("imitation")
    if not seeds:
        return paragraphs(_INTRODUCTION)
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
    return paragraphs(_INTRODUCTION, table(head, rows))


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
    return _bits(raw, (source, size, loss), "testing")


def gap(raw: Raw, size: int, loss: str) -> dict[int, float]:
    """Return by how much the accuracy of bits on seen demonstrations exceeds that on unseen ones.

    Parameters
    ----------
    raw : Raw
        Results.
    size : int
        Number of demonstrations, of the paper's search.
    loss : {"L1", "LD"}
        Which the agents learnt by.

    Returns
    -------
    dict of int to float
        By seed.
    """
    seen = _bits(raw, ("levy", size, loss), "training")
    return {seed: seen[seed] - unseen for seed, unseen in _testing(raw, size, loss).items()}


def sizes(raw: Raw) -> list[int]:
    """Return the numbers of demonstrations.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    list of int
        Empty where nothing is measured.
    """
    found = raw.measured("imitation")
    return sorted({row["demonstrations"] for row in found[0]["rows"]}) if found else []


def _bits(raw: Raw, wanted: tuple[str, int, str], part: str) -> dict[int, float]:
    """Return the accuracy of bits by seed."""
    return {
        seed: row[part]["bits"]
        for seed, values in raw.measured_by_seed("imitation").items()
        for row in values["rows"]
        if (row["source"], row["demonstrations"], row["loss"]) == wanted
    }


def _claims(raw: Raw) -> list[Claim]:
    found = [_lead(raw, part) for part in ("testing", "training")] if sizes(raw) else []
    if not {128, 256, 512} <= set(sizes(raw)):
        return found
    few, some, many = (_testing(raw, size, "L1") for size in (128, 256, 512))
    before = {seed: some[seed] - few[seed] for seed in some}
    after = {seed: many[seed] - some[seed] for seed in some}
    gaps = [gap(raw, size, "LD") for size in (256, 512)]
    ours = " and ".join(f"{mean(list(one.values())):.3f}" for one in gaps)
    papers = " and ".join(
        f"{printed.training - printed.testing:.3f}"
        for printed in (TABLE_II["LD", size] for size in (256, 512))
    )
    return [
        *found,
        Claim(
            "More than 256 demonstrations bring less than those before did",
            (lower(after, before),),
            f"testing (bits) gains {_gain(few, some):+.4f} from 128 to 256 and "
            f"{_gain(some, many):+.4f} from 256 to 512",
        ),
        Claim(
            "Without the L2 term more than 256 demonstrations are fitted too closely: the lead of "
            "training over testing grows",
            (lower(*gaps),),
            f"with L_D alone it is {ours} (bits) at 256 and 512; the paper's own is {papers}",
        ),
    ]


def _lead(raw: Raw, part: str) -> Claim:
    """Return whether the L2 term raises an accuracy with every number of demonstrations."""
    pairs = [[_bits(raw, ("levy", n, loss), part) for loss in ("LD", "L1")] for n in sizes(raw)]
    leads = ", ".join(
        f"{_gain(without, with_l2):+.4f} ({size})"
        for size, (without, with_l2) in zip(sizes(raw), pairs, strict=True)
    )
    return Claim(
        f"L_1 has a higher {part} accuracy than L_D with every number of demonstrations",
        tuple(lower(without, with_l2) for without, with_l2 in pairs),
        f"its lead (bits) is {leads}",
    )


def _gain(a: Mapping[int, float], b: Mapping[int, float]) -> float:
    return mean(list(b.values())) - mean(list(a.values()))


def agreement_of_bits(raw: Raw) -> float:
    """Return how often two searches of the same slot agree on whether a server gets a device.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    float, [1]
        NaN where nothing is measured.
    """
    return mean([one["agreement"]["bits"] for one in raw.measured("imitation")])


def _difference(raw: Raw) -> str:
    """Return how much of the difference the demonstrations' own noise explains."""
    if not sizes(raw):
        return ""
    agreement = agreement_of_bits(raw)
    limit = agreement**0.5
    best = max(printed.testing for printed in TABLE_II.values())
    size = max(sizes(raw))
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
        "A Lévy search draws its labels. Two searches of the same slot from the "
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


TABLE_2 = Exhibit("Table II: imitation", _body, _claims, _difference)
"""Table II: accuracy of imitation."""
