"""Section V-B, the medium system: Table II and Figs. 3 to 5, from raw results alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mec_bench.statistics import half_interval
from reproduction import drawing, paper
from reproduction.claims import Claim, Exhibit, between, differences, lower
from reproduction.jobs import PARTS, REWARD_VARIANTS
from reproduction.pages import cell, mean, nrr_cell
from reproduction.raw import Raw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# -- Table II: imitation ---------------------------------------------------------------------------


def _accuracy(
    raw: Raw, size: int, loss: str, part: str, *, source: str = "levy", reading: str = "bits"
) -> dict[int, float]:
    """Return an accuracy of Table II by seed."""
    return {
        seed: row[part][reading]
        for seed, values in raw.measured("imitation").items()
        for row in values["rows"]
        if (row["source"], row["demonstrations"], row["loss"]) == (source, size, loss)
    }


def _lead_of_training(raw: Raw, size: int, loss: str) -> list[float]:
    """Return the accuracy of bits on seen demonstrations less that on unseen ones, by seed."""
    return differences(*(_accuracy(raw, size, loss, part) for part in ("training", "testing")))


def _imitation_rows(raw: Raw) -> list[tuple[str, int, str]]:
    """Return source, number of demonstrations and loss of every row; none of nothing."""
    first: Mapping[str, Any] = next(iter(raw.measured("imitation").values()), {"rows": []})
    return [(row["source"], row["demonstrations"], row["loss"]) for row in first["rows"]]


def _agreement(raw: Raw) -> float:
    """Return how often two searches of a slot agree on whether a server gets a device."""
    return mean([one["agreement"]["bits"] for one in raw.measured("imitation").values()])


def table2(raw: Raw) -> Exhibit:
    """Return Table II: accuracy of imitation."""
    rows = _imitation_rows(raw)
    if not rows:
        return Exhibit()
    sizes = sorted({size for _, size, _ in rows})
    size = sizes[-1]
    exact, drawn = (
        mean(_accuracy(raw, size, "L1", "testing", source=source)) for source in ("optimal", "levy")
    )
    pairs = {
        part: [[_accuracy(raw, n, loss, part) for loss in ("LD", "L1")] for n in sizes]
        for part in ("testing", "training")
    }
    numbers = {
        "rows": rows,
        "accuracy": partial(_accuracy, raw),
        "size": size,
        "agreement": _agreement(raw),
        "limit": _agreement(raw) ** 0.5,
        "best": max(printed.testing for printed in paper.TABLE_II.values()),
        "exact": exact,
        "drawn": drawn,
        "leads": {
            part: [(n, mean(b) - mean(a)) for n, (a, b) in zip(sizes, both, strict=True)]
            for part, both in pairs.items()
        },
    }
    claims: dict[str, Claim] = {
        f"l1_{part}": [lower(a, b) for a, b in both] for part, both in pairs.items()
    }
    if {128, 256, 512} <= set(sizes):
        few, some, many = (_accuracy(raw, n, "L1", "testing") for n in (128, 256, 512))
        before, after = ({s: b[s] - a[s] for s in a} for a, b in ((few, some), (some, many)))
        gaps = [dict(enumerate(_lead_of_training(raw, n, "LD"))) for n in (256, 512)]
        printed_gaps = [paper.TABLE_II["LD", n] for n in (256, 512)]
        claims |= {"few_are_enough": [lower(after, before)], "without_l2": [lower(*gaps)]}
        numbers |= {
            "gains": [mean(some) - mean(few), mean(many) - mean(some)],
            "gaps": [mean(one) for one in gaps],
            "printed_gaps": [one.training - one.testing for one in printed_gaps],
        }
    return Exhibit(numbers, claims)


# -- Fig. 3: losses --------------------------------------------------------------------------------

_WITHIN = 0.25  # relative: how near a loss has to be to the paper's
_FITTED = 0.02  # lead of training accuracy up to which nothing is fitted too closely


def least_loss(agreement: float) -> float:
    """Return the least mean cross-entropy [nat] of bits that two draws of the label agree on."""
    return 2 * (1 - agreement) * math.log(2)


def fig3(raw: Raw) -> Exhibit:
    """Return Fig. 3: losses of the agents."""
    seeds = list(raw.measured("losses").values())
    numbers: dict[str, Any] = {"within": _WITHIN, "fitted": _FITTED, "measured": bool(seeds)}
    claims: dict[str, Claim] = {}
    if seeds:
        parts = [
            [*zip(*([agent[place(one)] for agent in one["losses"]] for one in seeds), strict=True)]
            for place in (_near, lambda one: one["pretraining"] - 1, lambda _: -1)
        ]
        near = parts[0]
        numbers |= {
            "parts": parts,
            "near": [mean(one) for one in near],
            "ends": [mean(one) for one in parts[1]],
            "means": [mean([mean(one) for one in part]) for part in parts],
            "least": least_loss(_agreement(raw)),
            "agreement": _agreement(raw),
            "demonstrated": _of_demonstrations(seeds),
        }
        low, high = (1 - _WITHIN) * paper.FIG_3_LOSS, (1 + _WITHIN) * paper.FIG_3_LOSS
        ratios = [[a / b for a, b in zip(one, near[0], strict=True)] for one in near[1:]]
        claims = {
            "losses_converge": [between(one, low, high) for one in near],
            "agents_alike": [between(one, 1 / (1 + _WITHIN), 1 + _WITHIN) for one in ratios],
        }
    if rows := _imitation_rows(raw):
        size = max(size for _, size, _ in rows)
        gaps = _lead_of_training(raw, size, "L1")
        numbers |= {"size": size, "gap": mean(gaps)}
        claims["no_overfitting"] = [between(gaps, -math.inf, _FITTED)]
    return Exhibit(numbers, claims, partial(_losses, seeds) if seeds else None)


def _of_demonstrations(seeds: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return L_D at the end of imitation and at the end; nothing where it was not kept."""
    kept = [(one["demonstrations"], one["pretraining"]) for one in seeds if "demonstrations" in one]
    ends = ([of[before - 1] for of, before in kept], [of[-1] for of, _ in kept])
    return [mean(end) for end in ends if kept]


def _losses(seeds: Sequence[Mapping[str, Any]]) -> Figure:
    first, *_ = seeds
    agents = list(zip(*(one["losses"] for one in seeds), strict=True))
    begun = first["steps"][first["pretraining"] - 1]
    return drawing.losses(first["steps"], agents, begun, paper.FIG_3_LOSS)


def _near(one: Mapping[str, Any]) -> int:
    """Return the interval nearest to the gradient step of the paper's text."""
    steps = one["steps"]
    return min(range(len(steps)), key=lambda k: abs(steps[k] - paper.FIG_3_ITERATIONS))


# -- Fig. 4: refinement ----------------------------------------------------------------------------

STARTS = {"random": "random decisions", "imitation": "the ensemble after imitation"}

Kind = frozenset[tuple[str, Any]]
"""Settings of a search."""


def _kind(**settings: Any) -> Kind:
    return frozenset(settings.items())


_PROPOSED = _kind(method="levy", step_scale=0.01)
_PARTS = {name: _kind(method="levy", **part) for name, part in PARTS.items()}

_CAUSES = {
    "channel": (_PROPOSED, _PARTS["without h"]),
    "own_steps": (_PROPOSED, _PARTS["without (22)"]),
    "shared_steps": (_PARTS["(22) by the step of (20)"], _PARTS["without (22)"]),
}
"""Searches with what the paper gives as a cause, and without it."""


class _Refined:
    """The curves of Fig. 4, by start, G_max, settings of the search, and seed."""

    def __init__(self, raw: Raw) -> None:
        self.curves: dict[tuple[str, int, Kind], dict[int, Mapping[str, Any]]] = {}
        for seed, values in raw.measured("refinement").items():
            for one in values["curves"]:
                settings = one.keys() - {"start", "limit", "generations", "objective"}
                key = one["start"], one["limit"], _kind(**{name: one[name] for name in settings})
                self.curves.setdefault(key, {})[seed] = one
        self.limits = sorted({limit for _, limit, _ in self.curves})
        self.cases = list(itertools.product(STARTS, self.limits))

    def ends(self, start: str, limit: int, kind: Kind) -> dict[int, float]:
        """Return where a search ends."""
        curves = self.curves[start, limit, kind]
        return {seed: one["objective"][-1] for seed, one in curves.items()}

    def classic(self, start: str, limit: int) -> tuple[float, Kind]:
        """Return the best η of the classic search, and its settings."""
        every = {kind for *_, kind in self.curves if ("method", "classic-levy") in kind}
        kinds = sorted((dict(kind)["step_scale"], kind) for kind in every)
        return min(kinds, key=lambda one: mean(self.ends(start, limit, one[1])))

    def panels(self) -> dict[str, list[tuple[list[int], list[list[float]], str]]]:
        """Return generations, objectives by seed, and label of the curves from each start."""
        return {
            words: [
                (
                    [generation + 1 for generation in found[0]["generations"]],
                    [one["objective"] for one in found],
                    f"{name}, G_max = {limit}",
                )
                for limit in self.limits
                for name, kind in (
                    ("proposed", _PROPOSED),
                    ("classic", self.classic(start, limit)[1]),
                )
                for found in [list(self.curves[start, limit, kind].values())]
            ]
            for start, words in STARTS.items()
        }


def fig4(raw: Raw) -> Exhibit:
    """Return Fig. 4: the proposed search against the classic one."""
    refined = _Refined(raw)
    if not refined.curves:
        return Exhibit()
    optimum = [one["optimum"] for one in raw.measured("refinement").values()]
    rows, apart = [], []
    compared: dict[str, list[tuple[str, int, dict[int, float], dict[int, float]]]] = {}
    for start, limit in refined.cases:
        ends = partial(refined.ends, start, limit)
        eta, classic = refined.classic(start, limit)
        ours, begun = ends(_PROPOSED), refined.curves[start, limit, _PROPOSED].values()
        first = cell([one["objective"][0] for one in begun])
        shown = f"{cell(ends(classic))} (η = {eta})"
        rows.append([STARTS[start], limit, first, cell(ours), shown, cell(optimum)])
        changes = [differences(ends(part), ours) for part in _PARTS.values()]
        signed = [f"+{cell(change, 3)}".replace("+-", "-") for change in changes]
        apart.append([STARTS[start], limit, cell(ours), *signed])
        for name, (a, b) in {"proposed": (_PROPOSED, classic), **_CAUSES}.items():
            compared.setdefault(name, []).append((start, limit, ends(a), ends(b)))
    numbers = {
        "rows": rows,
        "parts": list(PARTS),
        "apart": apart,
        "cases": {
            name: [(STARTS[start], limit, mean(a), mean(b)) for start, limit, a, b in cases]
            for name, cases in compared.items()
        },
        "leads": [
            (limit, [1 - mean(a) / mean(b) for _, n, a, b in compared["proposed"] if n == limit])
            for limit in refined.limits
        ],
        "starts": list(STARTS.values()),
    }
    claims = {
        f"refined_{name}": [lower(a, b) for *_, a, b in cases] for name, cases in compared.items()
    }
    return Exhibit(numbers, claims, lambda: drawing.searches(refined.panels(), mean(optimum)))


# -- Fig. 5: rewards -------------------------------------------------------------------------------


def fig5(raw: Raw) -> Exhibit:
    """Return Fig. 5: average reward during training."""
    found = {name: seeds for name in REWARD_VARIANTS if (seeds := _rewards(raw, name))}
    if not found:
        return Exhibit()
    first, last = (
        {
            name: {s: 1e3 * _tenth(one, end) for s, one in seeds.items()}
            for name, seeds in found.items()
        }
        for end in (False, True)
    )
    nrr = {name: [one["nrr"] for one in seeds.values()] for name, seeds in found.items()}
    numbers: dict[str, Any] = {
        "rows": [[n, cell(first[n], 3), cell(last[n], 3), nrr_cell(nrr[n])] for n in found],
    }
    claims: dict[str, Claim] = {}
    if len(found) == len(REWARD_VARIANTS):
        imitating, levy, imitating_greedy, greedy = REWARD_VARIANTS
        claims = {
            "levy_ends_higher": [
                lower(last[greedy], last[levy]),
                lower(last[imitating_greedy], last[imitating]),
            ],
            "levy_steps": [],
            "imitation_is_faster": [lower(first[levy], first[imitating])],
        }
        pairs = {"imitating": (imitating, imitating_greedy), "plain": (levy, greedy)}
        numbers |= {
            "last": {key: [mean(last[n]) for n in both] for key, both in pairs.items()},
            "first": [mean(first[n]) for n in (imitating, levy)],
            "seeds": len(last[levy]),
            "halves": [half_interval(differences(last[a], last[b])) for a, b in pairs.values()],
        }
    curves = {
        name: (
            next(iter(seeds.values()))["slots"],
            [one["rewards"] for one in seeds.values()],
        )
        for name, seeds in found.items()
    }
    return Exhibit(numbers, claims, partial(drawing.rewards, curves))


def _rewards(raw: Raw, variant: str) -> dict[int, Mapping[str, Any]]:
    """Return the rewards of a variant of Fig. 5 by seed: budgets change other arguments of it."""
    switches = ("refinement", "demonstrations")
    wanted = [REWARD_VARIANTS[variant].get(key) for key in switches]
    return raw.measured(
        "rewards", lambda given: [given["arguments"].get(key) for key in switches] == wanted
    )


def _tenth(one: Mapping[str, Any], end: bool) -> float:
    """Return the mean reward of the first or last tenth of training."""
    count = max(len(one["rewards"]) // 10, 1)
    return mean(one["rewards"][-count:] if end else one["rewards"][:count])
