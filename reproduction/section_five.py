"""The page on Section V: what its template shows, computed from raw results alone.

An exhibit is a table or figure of the paper: the numbers that the template puts into words, the
paper's claims as comparisons, and the figure. ``templates/section_five.md.j2`` says the rest.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mec_bench.statistics import half_interval
from reproduction import drawing, pages, paper
from reproduction.claims import (
    NOT_MEASURED,
    Claim,
    Times,
    between,
    differences,
    judged,
    lower,
    p_value,
    times,
)
from reproduction.jobs import (
    BITS_OF_TABLE_IV,
    FIG_7,
    LEARNERS,
    MAIN_VARIANTS,
    PARTS,
    REWARD_VARIANTS,
    RULES,
    SEARCHES,
    VARIANTS,
    search_arguments,
)
from reproduction.pages import MISSING, cell, mean, ratio
from reproduction.paper import LARGE, LARGEST, POSITIONS, TASKS, WEIGHTS, Reached, scenario_of
from reproduction.raw import Raw, write_raw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, RAW, PICTURES = "reproduction.md", "reproduction.json", "reproduction"


@dataclass(frozen=True)
class Exhibit:
    """A table or figure: numbers for the template, empty where nothing is measured; its claims."""

    numbers: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Claim] = field(default_factory=dict)
    figure: Callable[[], Figure] | None = None


def name_of(label: str) -> str:
    """Return what this page calls an algorithm: the paper's own name for its rules."""
    return paper.NAMES.get(label) or pages.title(label)


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
    return differences(
        _accuracy(raw, size, loss, "training"), _accuracy(raw, size, loss, "testing")
    )


def _imitation_rows(raw: Raw) -> Iterable[tuple[str, int, str]]:
    """Return source, number of demonstrations and loss of every row."""
    for values in itertools.islice(raw.measured("imitation").values(), 1):
        for row in values["rows"]:
            yield row["source"], row["demonstrations"], row["loss"]


def _sizes(raw: Raw) -> list[int]:
    """Return the numbers of demonstrations; none where nothing is measured."""
    return sorted({size for _, size, _ in _imitation_rows(raw)})


def _agreement(raw: Raw) -> float:
    """Return how often two searches of a slot agree on whether a server gets a device."""
    return mean([one["agreement"]["bits"] for one in raw.measured("imitation").values()])


def _table2(raw: Raw) -> Exhibit:
    sizes = _sizes(raw)
    if not sizes:
        return Exhibit()
    rows = []
    for source, size, loss in _imitation_rows(raw):
        printed = paper.TABLE_II.get((loss, size)) if source == "levy" else None
        shown = [f"{printed.training:.3f}", f"{printed.testing:.3f}"] if printed else [MISSING] * 2
        cells = [
            cell(_accuracy(raw, size, loss, part, source=source, reading=reading), 3)
            for reading in ("bits", "vote")
            for part in ("training", "testing")
        ]
        rows.append({"source": source, "size": size, "loss": loss, "cells": [*shown, *cells]})
    size = max(sizes)
    exact, drawn = (
        mean(_accuracy(raw, size, "L1", "testing", source=source)) for source in ("optimal", "levy")
    )
    pairs = {
        part: [[_accuracy(raw, n, loss, part) for loss in ("LD", "L1")] for n in sizes]
        for part in ("testing", "training")
    }
    numbers = {
        "rows": rows,
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

_WITHIN = 0.25
"""Relative: how near a loss has to be to pass for the paper's, which its figure alone shows."""

_FITTED = 0.02
"""Lead of training over testing accuracy up to which nothing is fitted too closely; the paper's own
with L_1 is at most a third of that."""


def least_loss(agreement: float) -> float:
    """Return the least mean cross-entropy [nat] of bits that two draws of the label agree on.

    The agreement is the mean of 1 − 2p(1−p) over bits that are 1 with probability p; the entropy of
    a bit is at least 4p(1−p) ln 2.
    """
    return 2 * (1 - agreement) * math.log(2)


def _fig3(raw: Raw) -> Exhibit:
    seeds = list(raw.measured("losses").values())
    numbers: dict[str, Any] = {"within": _WITHIN, "fitted": _FITTED, "measured": bool(seeds)}
    claims: dict[str, Claim] = {}
    if seeds:
        parts = [
            [[one["losses"][agent][place(one)] for one in seeds] for agent in _agents(seeds)]
            for place in (_near, lambda one: one["pretraining"] - 1, lambda _: -1)
        ]
        near = parts[0]
        numbers |= {
            "rows": [
                [agent + 1, paper.FIG_3_LOSS, *(cell(part[agent], 3) for part in parts)]
                for agent in _agents(seeds)
            ],
            "near": [mean(one) for one in near],
            "ends": [mean(one) for one in parts[1]],
            "means": [mean([mean(one) for one in part]) for part in parts],
            "least": least_loss(_agreement(raw)),
            "agreement": _agreement(raw),
        }
        low, high = (1 - _WITHIN) * paper.FIG_3_LOSS, (1 + _WITHIN) * paper.FIG_3_LOSS
        ratios = [[a / b for a, b in zip(one, near[0], strict=True)] for one in near[1:]]
        claims = {
            "losses_converge": [between(one, low, high) for one in near],
            "agents_alike": [between(one, 1 / (1 + _WITHIN), 1 + _WITHIN) for one in ratios],
        }
    if _sizes(raw):
        size = max(_sizes(raw))
        gaps = _lead_of_training(raw, size, "L1")
        numbers |= {"size": size, "gap": mean(gaps)}
        claims["no_overfitting"] = [between(gaps, -math.inf, _FITTED)]
    if not seeds:
        return Exhibit(numbers, claims)

    def figure() -> Figure:
        first = seeds[0]
        agents = [[one["losses"][agent] for one in seeds] for agent in _agents(seeds)]
        begun = first["steps"][first["pretraining"] - 1]
        return drawing.losses(first["steps"], agents, begun, paper.FIG_3_LOSS)

    return Exhibit(numbers, claims, figure)


def _agents(seeds: Sequence[Mapping[str, Any]]) -> range:
    return range(len(seeds[0]["losses"]))


def _near(one: Mapping[str, Any]) -> int:
    """Return the interval nearest to the gradient step of the paper's text."""
    steps = one["steps"]
    return min(range(len(steps)), key=lambda k: abs(steps[k] - paper.FIG_3_ITERATIONS))


# -- Fig. 4: refinement ----------------------------------------------------------------------------

STARTS = {"random": "random decisions", "imitation": "the ensemble after imitation"}
_PROPOSED: Mapping[str, Any] = {"method": "levy", "step_scale": 0.01}


class _Refined:
    """The curves of Fig. 4."""

    def __init__(self, raw: Raw) -> None:
        self.seeds = raw.measured("refinement")
        curves = next(iter(self.seeds.values()))["curves"]
        self._scales = {c["step_scale"] for c in curves if c["method"] == "classic-levy"}
        limits = sorted({one["limit"] for one in curves})
        self.limits = limits
        self.cases = list(itertools.product(STARTS, limits))

    def curves(self, start: str, limit: int, kind: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return generations and objectives of a search, by seed."""
        wanted = {"start": start, "limit": limit, **kind}
        return [
            next(
                one
                for one in values["curves"]
                if {key: one[key] for key in one.keys() - {"generations", "objective"}} == wanted
            )
            for values in self.seeds.values()
        ]

    def ends(self, start: str, limit: int, kind: Mapping[str, Any]) -> dict[int, float]:
        """Return where a search ends."""
        curves = self.curves(start, limit, kind)
        return {seed: one["objective"][-1] for seed, one in zip(self.seeds, curves, strict=True)}

    def classic(self, start: str, limit: int) -> dict[str, Any]:
        """Return the settings of the classic search with its best η."""
        kinds = [{"method": "classic-levy", "step_scale": eta} for eta in sorted(self._scales)]
        return min(kinds, key=lambda kind: mean(self.ends(start, limit, kind)))


def _part(name: str | None) -> Mapping[str, Any]:
    """Return the settings of the proposed search, or of a form of it."""
    return _PROPOSED if name is None else {"method": "levy", **PARTS[name]}


def _fig4(raw: Raw) -> Exhibit:
    if not raw.measured("refinement"):
        return Exhibit()
    refined = _Refined(raw)
    optimum = [one["optimum"] for one in refined.seeds.values()]
    rows, parts, pairs = [], [], []
    for start, limit in refined.cases:
        classic = refined.classic(start, limit)
        ours, old = (refined.ends(start, limit, kind) for kind in (_PROPOSED, classic))
        begun = [one["objective"][0] for one in refined.curves(start, limit, _PROPOSED)]
        shown = f"{cell(old)} (η = {classic['step_scale']})"
        rows.append([STARTS[start], limit, cell(begun), cell(ours), shown, cell(optimum)])
        changes = [differences(refined.ends(start, limit, _part(part)), ours) for part in PARTS]
        signed = [f"+{cell(change, 3)}".replace("+-", "-") for change in changes]
        parts.append([STARTS[start], limit, cell(ours), *signed])
        pairs.append((start, limit, ours, old))
    causes = {
        "channel": (None, "without h"),
        "own_steps": (None, "without (22)"),
        "shared_steps": ("(22) by the step of (20)", "without (22)"),
    }
    compared = {
        cause: [
            (start, limit, *(refined.ends(start, limit, _part(one)) for one in both))
            for start, limit in refined.cases
        ]
        for cause, both in causes.items()
    } | {"proposed": pairs}
    numbers = {
        "rows": rows,
        "parts": list(PARTS),
        "apart": parts,
        "cases": {
            name: [(STARTS[start], limit, mean(a), mean(b)) for start, limit, a, b in cases]
            for name, cases in compared.items()
        },
        "leads": [
            (limit, [1 - mean(a) / mean(b) for _, other, a, b in pairs if other == limit])
            for limit in refined.limits
        ],
        "starts": list(STARTS.values()),
    }
    claims = {
        f"refined_{name}": [lower(a, b) for *_, a, b in compared[name]]
        for name in ("proposed", *causes)
    }
    return Exhibit(numbers, claims, lambda: drawing.searches(_curves(refined), mean(optimum)))


def _curves(refined: _Refined) -> dict[str, list[tuple[list[int], list[list[float]], str]]]:
    panels = {}
    for start, words in STARTS.items():
        panels[words] = [
            (
                [generation + 1 for generation in found[0]["generations"]],
                [one["objective"] for one in found],
                f"{name}, G_max = {limit}",
            )
            for limit in refined.limits
            for name, kind in (
                ("proposed", _PROPOSED),
                ("classic", refined.classic(start, limit)),
            )
            for found in [refined.curves(start, limit, kind)]
        ]
    return panels


# -- Fig. 5: rewards -------------------------------------------------------------------------------


def _fig5(raw: Raw) -> Exhibit:
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
        "rows": [[n, cell(first[n], 3), cell(last[n], 3), cell(nrr[n], 4)] for n in found],
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

    def figure() -> Figure:
        by_name = {name: list(seeds.values()) for name, seeds in found.items()}
        return drawing.rewards(
            {n: (ones[0]["slots"], [one["rewards"] for one in ones]) for n, ones in by_name.items()}
        )

    return Exhibit(numbers, claims, figure)


def _rewards(raw: Raw, variant: str) -> dict[int, Mapping[str, Any]]:
    """Return the rewards of a variant of Fig. 5 by seed: budgets change other arguments of it."""
    switches = ("refinement", "demonstrations")
    wanted = [REWARD_VARIANTS[variant].get(key) for key in switches]
    seeds = {
        int(one["arguments"]["seed"]): one["values"]
        for one in raw.measurements
        if one["kind"] == "rewards"
        and [one["arguments"]["arguments"].get(key) for key in switches] == wanted
    }
    return {seed: seeds[seed] for seed in sorted(seeds)}


def _tenth(one: Mapping[str, Any], end: bool) -> float:
    """Return the mean reward of the first or last tenth of training."""
    count = max(len(one["rewards"]) // 10, 1)
    return mean(one["rewards"][-count:] if end else one["rewards"][:count])


# -- Fig. 6: weights -------------------------------------------------------------------------------

_PARTS_OF_OBJECTIVE = {"latency_s": "time [s]", "energy_j": "energy [J]"}


def _fig6(raw: Raw) -> Exhibit:
    if not any(raw.reached(system, "dirs", "nrr") for system in WEIGHTS.values()):
        return Exhibit()
    policies = (*MAIN_VARIANTS, "optimal")
    rows = [
        [
            kind,
            *paper.FIG_6_WEIGHTS[kind],
            name_of(policy),
            *(
                cell(raw.reached(system, policy, one))
                for one in (*_PARTS_OF_OBJECTIVE, "objective")
            ),
            cell(raw.reached(system, policy, "nrr"), 4),
        ]
        for kind, system in WEIGHTS.items()
        for policy in policies
    ]
    nrr = {kind: mean(raw.reached(system, "dirs", "nrr")) for kind, system in WEIGHTS.items()}
    worst = min(nrr, key=lambda kind: nrr[kind] if nrr[kind] == nrr[kind] else 1.0)
    falls, claims = {}, {}
    for figure, systems in (
        ("latency_s", list(WEIGHTS.values())[::-1]),
        ("energy_j", list(WEIGHTS.values())),
    ):
        falls[figure] = {
            policy: [mean(raw.reached(system, policy, figure)) for system in systems]
            for policy in ("dirs", "optimal")
        }
        seeds = [raw.reached(system, "dirs", figure) for system in systems]
        claims[f"{figure}_falls"] = [lower(b, a) for a, b in itertools.pairwise(seeds)]
    numbers = {
        "rows": rows,
        "falls": falls,
        "worst": worst,
        "nrr": {n: mean(raw.reached(WEIGHTS[worst], n, "nrr")) for n in MAIN_VARIANTS},
        "energy": {
            n: mean(raw.reached(WEIGHTS[worst], n, "energy_j")) for n in ("dirs", "optimal")
        },
    }

    def figure_of() -> Figure:
        panels = {
            title: {
                name_of(n): [raw.reached(s, n, figure) for s in WEIGHTS.values()] for n in policies
            }
            for figure, title in _PARTS_OF_OBJECTIVE.items()
        }
        return drawing.weights(panels, list(WEIGHTS))

    return Exhibit(numbers, claims, figure_of)


# -- Tables III and IV: positions and tasks --------------------------------------------------------

_ALIKE = 0.01
"""Difference of NRRs that are about the same."""


def _searched(raw: Raw, system: str, name: str) -> dict[int, Mapping[str, Any]]:
    """Return what a search of Table V reached, by map."""
    wanted = search_arguments(raw.budget["evaluations"], name)
    return raw.measured("search", system=system, name=SEARCHES[name][0], arguments=wanted)


def _against_pso(raw: Raw, system: str, policy: str) -> list[float]:
    """Return the NRR against a particle swarm, by map: both are known against the optimum."""
    swarm, own = _searched(raw, system, "PSO"), raw.reached(system, policy, "nrr")
    return [nrr / swarm[seed]["nrr"] for seed, nrr in own.items() if seed in swarm]


def _rows_of(
    raw: Raw, printed: Mapping[str, Reached], systems: Mapping[str, str], policies: Sequence[str]
) -> list[list[str]]:
    """Return the rows of Table III or IV: one per system and policy."""
    rows = []
    for name, system in systems.items():
        row = printed[name]
        values = [f"{row.objective:.2f}", "", f"{row.time_s:.2f}", "", f"{row.energy_j:.2f}", ""]
        rows.append([name, "*the paper's DIRS*", *values, MISSING, f"{row.nrr:.4f}"])
        for policy in (*policies, "optimal"):
            cells = []
            for figure, published in (
                ("objective", row.objective),
                ("latency_s", row.time_s),
                ("energy_j", row.energy_j),
            ):
                reached = raw.reached(system, policy, figure)
                cells += [cell(reached, seeds=raw.budget["seeds"]), ratio(reached, published)]
            nrr = cell(raw.reached(system, policy, "nrr"), 4)
            against = cell(_against_pso(raw, system, policy), 4)
            rows.append([name, name_of(policy), *cells, nrr, against])
    return rows


def _implied(
    raw: Raw, printed: Mapping[str, Reached], systems: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a table's numbers imply, held against bounds and optima."""
    rows = []
    for name, system in systems.items():
        one, scenario, ours = printed[name], scenario_of(system), raw.optimum(system)
        bound = paper.free_transmission_bound(scenario)
        least = paper.least_time(scenario, one.energy_j)
        rows.append(
            [
                name,
                f"{one.implied_optimum:.2f}",
                cell(ours),
                ratio(ours, one.implied_optimum),
                *(f"{value:.2f}" for value in (bound, one.time_s, least)),
            ]
        )
    return {"rows": rows, "below": paper.below_bound(printed, systems)}


def _nrr_alike(raw: Raw, systems: Mapping[str, str]) -> tuple[Claim, list[float]]:
    """Return whether DIRS has about the same NRR in all systems, two by two, and these."""
    by_seed = [raw.reached(system, "dirs", "nrr") for system in systems.values()]
    pairs = itertools.combinations(by_seed, 2)
    claim = [between(differences(a, b), -_ALIKE, _ALIKE) for a, b in pairs]
    return claim, [mean(values) for values in by_seed]


def _swarm(raw: Raw) -> dict[str, Any]:
    """Return what the paragraph on NRRs says of the particle swarm."""
    seconds = [one["decision_s"] for one in _searched(raw, LARGE, "PSO").values()]
    return {"seconds": mean(seconds), "published": paper.TABLE_V["pso"].inference_s}


def _table3(raw: Raw) -> Exhibit:
    by_law = {law: raw.reached(system, "dirs", "objective") for law, system in POSITIONS.items()}
    alike, nrr = _nrr_alike(raw, POSITIONS)
    ours = raw.optimum(LARGE)
    printed = paper.TABLE_III["uniform"]
    energy = {name: mean(raw.reached(LARGE, name, "energy_j")) for name in ("dirs", "optimal")}
    numbers = {
        "rows": _rows_of(raw, paper.TABLE_III, POSITIONS, VARIANTS),
        "swarm": _swarm(raw),
        "implied": _implied(raw, paper.TABLE_III, POSITIONS),
        "means": {law: mean(values) for law, values in by_law.items()},
        "nrr": nrr,
        "alike": _ALIKE,
        "printed": printed,
        "optimum": mean(ours),
        "error": mean(ours) / printed.implied_optimum - 1,
        "energy": energy,
        "energy_known": not math.isnan(sum(energy.values())),
        "own": mean(raw.reached(LARGE, "dirs", "nrr")),
        "against": mean(_against_pso(raw, LARGE, "dirs")),
    }
    claims = {
        "positions": [lower(by_law[law], by_law["uniform"]) for law in ("gaussian", "levy")],
        "positions_alike": alike,
    }
    return Exhibit(numbers, claims)


def _table4(raw: Raw) -> Exhibit:
    alike, nrr = _nrr_alike(raw, TASKS)
    numbers: dict[str, Any] = {
        "rows": _rows_of(raw, paper.TABLE_IV, TASKS, MAIN_VARIANTS),
        "swarm": _swarm(raw),
        "implied": _implied(raw, paper.TABLE_IV, TASKS),
        "nrr": nrr,
        "alike": _ALIKE,
        "increase": {},
        "sizes": _data_sizes(raw),
    }
    claims = {"tasks_alike": alike}
    for name, tasks in (("D", ("50 kB", "1000 kB")), ("F", ("0.5e9 cycles", "2e9 cycles"))):
        found = {
            figure: [raw.reached(TASKS[task], "dirs", figure) for task in tasks]
            for figure in _PARTS_OF_OBJECTIVE
        }
        claims[f"increase_{name}"] = [lower(*both) for both in found.values()]
        numbers["increase"][name] = {
            "printed": [paper.TABLE_IV[task].energy_j for task in tasks],
            **{figure: [mean(one) for one in both] for figure, both in found.items()},
        }
    return Exhibit(numbers, claims)


def _data_sizes(raw: Raw) -> dict[str, Any]:
    """Return how the optimum depends on D; nothing where one is not measured."""
    optima = {
        bits: [
            one["lower_bound"]
            for one in raw.measured("optimum", changes={"data_bits": bits}).values()
        ]
        for bits in BITS_OF_TABLE_IV
    }
    if not all(optima.values()):
        return {}
    large, printed = 1000 * paper.BITS_PER_KB, paper.TABLE_IV["1000 kB"].implied_optimum
    means = {bits: mean(values) for bits, values in optima.items()}
    errors = {name: means[bits] / printed - 1 for name, bits in (("kB", large), ("kbit", 1e6))}
    return {
        "rows": [[f"{bits:.0e}", cell(values)] for bits, values in optima.items()],
        "printed": printed,
        "kB": means[large],
        "kbit": means[1e6],
        "errors": errors,
        "nearest": min(("kbit", "kB"), key=lambda name: abs(errors[name])),
        "least": means[min(means)],
        "printed_least": paper.TABLE_IV["50 kB"].implied_optimum,
    }


# -- Table V: learners and searches ----------------------------------------------------------------

_ALMOST = 0.05
"""Relative: how near time and energy have to be to pass for almost the same."""

_NEAR_OPTIMAL = 0.95
"""NRR of a search that passes for near-optimal."""

_MAGNITUDE = 10
"""Seconds of a shared machine that differ by less are not told apart."""

SWARMS = tuple(paper.TIMES_LONGER)


def _of_five(raw: Raw, name: str, figure: str) -> dict[int, float]:
    """Return a figure of a row of the paper's Table V by seed; seconds of searches, too."""
    if name not in SWARMS:
        return raw.reached(LARGEST, name, figure)
    found = _searched(raw, LARGEST, name.upper())
    if figure == "decision_ms":
        return {seed: 1e3 * one["decision_s"] for seed, one in found.items()}
    return {seed: float(one[figure]) for seed, one in found.items()}


def _table5(raw: Raw) -> Exhibit:
    evaluations = raw.budget["evaluations"]
    figures = ("latency_s", "energy_j", "objective")
    ours = {figure: _of_five(raw, "dirs", figure) for figure in figures}
    others = {n: {f: _of_five(raw, n, f) for f in figures} for n in paper.TABLE_V if n != "dirs"}
    almost = {
        (swarm, figure): [
            ours[figure][seed] / theirs - 1
            for seed, theirs in others[swarm][figure].items()
            if seed in ours[figure]
        ]
        for swarm in SWARMS
        for figure in _PARTS_OF_OBJECTIVE
    }
    swarms = {n: [one["nrr"] for one in _searched(raw, LARGEST, n).values()] for n in SEARCHES}
    seconds = {one: _seconds(raw, one) for one in ("training_s", "decision_ms")}
    longer = {name: _longer(raw, name) for name in SWARMS}
    numbers = {
        "rows": [*_printed_rows(), *_policy_rows(raw), *_search_rows(raw)],
        "means": {
            f: {"dirs": mean(ours[f])} | {n.upper(): mean(o[f]) for n, o in others.items()}
            for f in figures
        },
        "seconds": seconds,
        "almost": [(n.upper(), figure, mean(lead)) for (n, figure), lead in almost.items()],
        "within": _ALMOST,
        "longer": longer,
        "evaluations": evaluations,
        "near_optimal": _NEAR_OPTIMAL,
        "swarms": {name: mean(values) for name, values in swarms.items()},
        "possible": _possible(raw),
        "reached": _labels(raw),
    }
    claims: dict[str, Claim] = {
        f"lowest_{f}": [lower(ours[f], other[f]) for other in others.values()] for f in figures
    }
    claims |= {f"least_{one}": [] if found else NOT_MEASURED for one, found in seconds.items()}
    claims |= {f"longer_{name}": [] if found else NOT_MEASURED for name, found in longer.items()}
    claims |= {
        "almost": [between(lead, -_ALMOST, _ALMOST) for lead in almost.values()],
        "near_optimal": [between(swarms["PSO"], _NEAR_OPTIMAL, math.inf)],
        "causes": [],
    }
    return Exhibit(numbers, claims)


def _printed_rows() -> Iterable[list[str]]:
    for name, row in paper.TABLE_V.items():
        trained = MISSING if row.training_s is None else f"{row.training_s:.2f}"
        parts = [f"{row.inference_s}", f"{row.time_s:.2f}", f"{row.energy_j:.2f}"]
        total = [f"{row.objective:.2f}", "", MISSING]
        yield [f"*the paper's {name.upper()}*", trained, *parts, *total]


def _policy_rows(raw: Raw) -> Iterable[list[str]]:
    for name in (*LEARNERS, *RULES):
        objective = raw.reached(LARGEST, name, "objective")
        learns = any(raw.reached(LARGEST, name, "learns").values())
        milliseconds = raw.reached(LARGEST, name, "decision_ms").values()
        printed = paper.TABLE_V.get(name.split(":")[0])
        yield [
            name_of(name) + ("" if objective else " (not run)"),
            cell(raw.reached(LARGEST, name, "training_s"), 0) if learns else MISSING,
            cell([1e-3 * one for one in milliseconds], 5),
            cell(raw.reached(LARGEST, name, "latency_s")),
            cell(raw.reached(LARGEST, name, "energy_j")),
            cell(objective, seeds=raw.budget["seeds"]),
            ratio(objective, printed.objective) if printed else "",
            cell(raw.reached(LARGEST, name, "nrr"), 4),
        ]


def _search_rows(raw: Raw) -> Iterable[list[str]]:
    for name, (short, _) in SEARCHES.items():
        found = _searched(raw, LARGEST, name).values()
        values = {key: [one[key] for one in found] for key in ("objective", "decision_s", "nrr")}
        yield [
            name,
            MISSING,
            cell(values["decision_s"], 2),
            *(cell([one[key] for one in found]) for key in _PARTS_OF_OBJECTIVE),
            cell(values["objective"]),
            ratio(values["objective"], paper.TABLE_V[short].objective),
            cell(values["nrr"], 4),
        ]


def _seconds(raw: Raw, figure: str) -> dict[str, Any]:
    """Return by how much DIRS's seconds differ, which no verdict rests on; nothing of nothing."""
    ours = _of_five(raw, "dirs", figure)
    ratios = {name.upper(): times(ours, _of_five(raw, name, figure)) for name in ("ac", "ddpg")}
    if any(math.isnan(one.value) for one in ratios.values()):
        return {}
    return {
        "mean": mean(ours),
        "ratios": ratios,
        "slower": [name for name, one in ratios.items() if one.low > _MAGNITUDE],
        "faster": [name for name, one in ratios.items() if one.high < 1 / _MAGNITUDE],
    }


def _longer(raw: Raw, name: str) -> dict[str, Any]:
    """Return how many times longer than DIRS a search takes, and what sets that."""
    evaluations, printed = raw.budget["evaluations"], paper.TIMES_LONGER[name]
    search = _of_five(raw, name, "decision_ms")
    found: Times = times(search, _of_five(raw, "dirs", "decision_ms"))
    if math.isnan(found.value):
        return {}
    return {"ratio": found, "ms": mean(search), "fitting": evaluations * printed / found.value}


def _possible(raw: Raw) -> dict[str, Any]:
    """Return which rows of the paper's Table V a policy can have had."""
    scenario = scenario_of(LARGEST)
    bound = paper.free_transmission_bound(scenario)
    rows, impossible = [], []
    for name, row in paper.TABLE_V.items():
        least = paper.least_time(scenario, row.energy_j)
        numbers = [f"{row.objective:.2f}", f"{row.objective / bound - 1:+.1%}"]
        numbers += [f"{row.time_s:.2f}", f"{least:.2f}"]
        rows.append([name.upper(), *numbers, "no" if row.time_s < least else "yes"])
        impossible += [name.upper()] if row.time_s < least else []
    return {
        "rows": rows,
        "impossible": impossible,
        "bound": bound,
        "optimum": mean(raw.optimum(LARGEST)),
        "lead": min(row.objective for row in paper.TABLE_V.values()) / bound - 1,
    }


def _labels(raw: Raw) -> dict[str, Any]:
    """Return how much of DIRS's distance goes with other labels and another loss; or nothing."""
    names = ("dirs", "dirs:ensemble", "optimal", "ac", "ddpg")
    reached = {name: mean(raw.reached(LARGEST, name, "objective")) for name in names}
    if math.isnan(sum(reached.values())):
        return {}
    ours, taught, best, *_ = reached.values()
    return {
        **reached,
        "share": (ours - taught) / (ours - best),
        "energies": [mean(raw.reached(LARGEST, n, "energy_j")) for n in ("dirs", "dirs:ensemble")],
        "printed": [paper.TABLE_V[name].objective for name in ("ac", "ddpg")],
    }


# -- Fig. 7: number of devices ---------------------------------------------------------------------

_DRAWN = (*FIG_7, "optimal")
_RULES = tuple(n for n in FIG_7 if n not in (*MAIN_VARIANTS, "maddpg"))


def _fig7(raw: Raw) -> Exhibit:
    numbers = list(raw.budget["devices"])
    largest = max(numbers)

    def reached(n: int, name: str, figure: str = "objective") -> dict[int, float]:
        return raw.reached(paper.by_devices(n), name, figure)

    leads = {
        name: {n: differences(reached(n, name), reached(n, "maddpg")) for n in numbers}
        for name in MAIN_VARIANTS
    }
    apart = [n for n, one in leads["dirs"].items() if one and abs(mean(one)) > half_interval(one)]
    means = {name: mean(reached(largest, name)) for name in _DRAWN}
    drawn = [n for n in _DRAWN if any(reached(k, n) for k in numbers)]
    content = {
        "numbers": numbers,
        "rows": [[name_of(name), *(cell(reached(n, name)) for n in numbers)] for name in _DRAWN],
        "pairs": [[name_of(n), *map(cell, one.values())] for n, one in leads.items()],
        "drawn": drawn,
        "largest": largest,
        "means": means,
        "rules": [(name_of(name), means[name]) for name in _RULES],
        "compared": any(leads["dirs"].values()),
        "worse": [n for n in apart if mean(leads["dirs"][n]) > 0],
        "better": [n for n in apart if mean(leads["dirs"][n]) < 0],
        "farthest": max((n for n, one in leads["dirs"].items() if one), default=largest),
        "table5": {
            n: mean(raw.reached(LARGEST, n, "objective"))
            for n in ("dirs", "dirs:ensemble", "maddpg")
        },
    }
    content["limit"] = _limit(reached, content["farthest"])
    claims = {
        "dirs_lowest": [
            lower(reached(largest, "dirs"), reached(largest, n)) for n in ("maddpg", *_RULES)
        ],
        "maddpg_lowest": [lower(reached(largest, "maddpg"), reached(largest, n)) for n in _RULES],
    }
    if not drawn:
        return Exhibit(content, claims)

    def figure() -> Figure:
        policies = {}
        for name in drawn:  # a policy looks the same whoever else is missing
            of = [
                {n: reached(n, name, one) for n in numbers if reached(n, name)}
                for one in ("objective", "nrr")
            ]
            policies[name_of(name)] = (_DRAWN.index(name), of)
        return drawing.by_devices(policies, numbers, name_of("optimal"))

    return Exhibit(content, claims, figure)


def _limit(reached: Callable[[int, str], dict[int, float]], largest: int) -> dict[str, Any]:
    """Return why no algorithm can be much better than Remote with a limit; or nothing."""
    names = ("dirs", "nearest:limit", "nearest", "random", "optimal", "local")
    means = {name: mean(reached(largest, name)) for name in names}
    if math.isnan(sum(means.values())):
        return {}
    scenario = scenario_of(paper.by_devices(largest))
    cycles, speed = (
        float(scenario.per_device(name)[0]) for name in ("cycles", "local_frequency_hz")
    )
    server, local = float(scenario.server_frequencies_hz[0]), means["local"] / largest
    return {
        "above": means["nearest:limit"] / means["optimal"] - 1,
        "admitted": server / speed,
        "local": local,
        "paying": int((local * server / cycles + 1) / 2),
        "beaten": all(means["dirs"] < means[name] for name in ("nearest", "random")),
    }


# -- the page --------------------------------------------------------------------------------------

EXHIBITS: Mapping[str, Callable[[Raw], Exhibit]] = {
    "table2": _table2,
    "fig3": _fig3,
    "fig4": _fig4,
    "fig5": _fig5,
    "fig6": _fig6,
    "table3": _table3,
    "table4": _table4,
    "table5": _table5,
    "fig7": _fig7,
}
"""By the names of :data:`reproduction.jobs.PLAN`, in the order of the page."""


def page_text(raw: Raw, link: str = RAW) -> str:
    """Return the page in Markdown: the same for the same results."""
    return pages.render("section_five.md.j2", **_content(raw, _exhibits(raw), link))


def write_page(raw: Raw, folder: Path, results: Path | None = None) -> Path:
    """Write page, figures (in a folder below) and raw results; return the place of the page."""
    results = results or folder
    write_raw(results / RAW, raw)
    exhibits = _exhibits(raw)
    with drawing.style():
        for name, exhibit in exhibits.items():
            if exhibit.figure:
                drawing.save(exhibit.figure(), folder / PICTURES / f"{name}.svg")
    content = _content(raw, exhibits, "")
    return pages.write_page(folder / PAGE, results / RAW, "section_five.md.j2", **content)


def _exhibits(raw: Raw) -> dict[str, Exhibit]:
    return {name: exhibit(raw) for name, exhibit in EXHIBITS.items()}


def _content(raw: Raw, exhibits: Mapping[str, Exhibit], link: str) -> dict[str, Any]:
    claims = {key: one for exhibit in exhibits.values() for key, one in exhibit.claims.items()}
    commits = {str(one["commit"]) for one in (*raw.runs, *raw.measurements)}
    return {
        **({"raw": link} if link else {}),
        "budget": raw.budget,
        "paper": paper,
        "progress": raw.progress,
        "verdicts": judged(claims),
        "judged": sum(not math.isnan(p_value(claim)) for claim in claims.values()),
        "several_commits": len(commits) > 1 or commits == {"None"},
        "origins": _origins(raw),
        **{name: exhibit.numbers for name, exhibit in exhibits.items()},
    }


def _origins(raw: Raw) -> dict[str, Any]:
    """Return what it ran on: machines, versions, and runs and measurements by commit."""
    runs, measurements = (
        Counter(one["commit"] for one in part) for part in (raw.runs, raw.measurements)
    )
    common = runs.most_common(1)[0][0] if runs else None
    commits = sorted(runs | measurements, key=lambda one: (one is None, -runs[one], str(one)))
    versions = {
        ", ".join(f"{name} {version}" for name, version in sorted(one["versions"].items()))
        for one in raw.systems
    }
    return {
        "machines": sorted({f"{one['processor']}, {one['cores']} cores" for one in raw.systems}),
        "versions": sorted(versions),
        "rows": [
            [
                commit or "not recorded",
                runs[commit],
                measurements[commit],
                MISSING if commit == common else _places(raw, commit),
            ]
            for commit in commits
        ],
    }


def _places(raw: Raw, commit: str | None) -> str:
    """Return the runs and kinds of measurements of a commit."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in raw.runs:
        if run["commit"] == commit:
            seeds.setdefault((run["system"], run["algorithm"]), []).append(run["seed"])
    algorithms: dict[tuple[str, str], list[str]] = {}
    for (system, algorithm), found in seeds.items():
        of_seeds = ", ".join(map(str, sorted(found)))
        algorithms.setdefault((system, of_seeds), []).append(algorithm)
    parts = [f"{of} (seed {n}): {', '.join(who)}" for (of, n), who in sorted(algorithms.items())]
    kinds = sorted({one["kind"] for one in raw.measurements if one["commit"] == commit})
    return "; ".join([*parts, *kinds])
