"""Fig. 7 on the page: the objective by the number of devices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mec_bench.statistics import half_interval
from mec_bench.tables import table
from reproduction.claims import Claim, differences, lower
from reproduction.drawing import COLOURS, MARKERS, STYLES, panels
from reproduction.exhibit import Exhibit
from reproduction.large_section import NAMES
from reproduction.plan import FIG_7 as POLICIES
from reproduction.raw import Raw
from reproduction.systems import LARGEST, by_devices, scenario_of
from reproduction.wording import cell, mean, paragraphs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INTRODUCTION = """Ten servers, the largest system's otherwise. The paper's text does not say which
numbers of devices it plots. Random and Remote turn devices away where "the computational resource
is insufficient": here where a server could no longer give each device its local speed; without
that limit they are shown, too."""

_DRAWN = (*POLICIES, "optimal")
_RULES = tuple(n for n in POLICIES if n not in ("dirs", "dirs:prices", "maddpg"))


def _body(raw: Raw) -> str:
    """Return the objectives, and DIRS's distance from MADDPG."""
    numbers = list(raw.budget["devices"])
    head = ["objective, N =", *map(str, numbers)]
    rows = [[NAMES[name], *(cell(_objectives(raw, n, name)) for n in numbers)] for name in _DRAWN]
    pairs = [
        [f"{NAMES[name]}, less MADDPG", *(cell(_lead(raw, n, name)) for n in numbers)]
        for name in ("dirs", "dirs:prices")
    ]
    return paragraphs(
        _INTRODUCTION,
        "![Objective against number of devices](reproduction/fig7.svg)" if _figures(raw) else "",
        table(head, rows),
        "Paired differences by seed; below 0 DIRS is better:",
        table(["difference, N =", *map(str, numbers)], pairs),
    )


def _objectives(raw: Raw, n_devices: int, name: str) -> list[float]:
    return raw.values(by_devices(n_devices), name, "objective")


def _lead(raw: Raw, n_devices: int, name: str) -> list[float]:
    """Return an algorithm's objective less MADDPG's, by seed."""
    ours, theirs = (raw.by_seed(by_devices(n_devices), n, "objective") for n in (name, "maddpg"))
    return differences(ours, theirs)


def _claims(raw: Raw) -> list[Claim]:
    largest = max(raw.budget["devices"])
    return [
        _lowest(
            raw,
            f"At N = {largest} DIRS, with the paper's options, has the lowest objective, MADDPG's "
            "included",
            "dirs",
            ("maddpg", *_RULES),
        ),
        _lowest(
            raw,
            f"At N = {largest} MADDPG is better than Remote, Random and Local",
            "maddpg",
            _RULES,
        ),
    ]


def _lowest(raw: Raw, text: str, name: str, others: Sequence[str]) -> Claim:
    """Return whether an algorithm is better than others where devices are many."""
    system = by_devices(max(raw.budget["devices"]))
    reached = {one: raw.by_seed(system, one, "objective") for one in (name, *others)}
    means = {one: mean(list(values.values())) for one, values in reached.items()}
    return Claim(
        text,
        tuple(lower(reached[name], reached[other]) for other in others),
        f"{means[name]:.2f} against "
        + ", ".join(f"{NAMES[other]} {means[other]:.2f}" for other in others),
    )


def _difference(raw: Raw) -> str:
    """Return what stands in DIRS's way: MADDPG, rules that are near the optimum, its labels."""
    numbers = [n for n in raw.budget["devices"] if _lead(raw, n, "dirs")]
    if not numbers:
        return ""
    return " ".join([_against_maddpg(raw, numbers), _against_rules(raw, max(numbers))])


def _against_maddpg(raw: Raw, numbers: Sequence[int]) -> str:
    leads = {n: _lead(raw, n, "dirs") for n in numbers}
    apart = {n: mean(one) for n, one in leads.items() if abs(mean(one)) > half_interval(one)}
    worse, better = (
        ", ".join(str(n) for n, lead in apart.items() if (lead > 0) is above)
        for above in (True, False)
    )
    parts = []
    if worse:
        parts.append(
            f"With the paper's options DIRS is worse than MADDPG at N = {worse} (95 % intervals, "
            "uncorrected)."
        )
    if better:
        parts.append(f"With the paper's options DIRS is better than MADDPG at N = {better}.")
    if str(max(numbers)) in worse.split(", "):
        parts.append("Where devices are many that goes against the paper.")
    ours, taught, theirs = (
        mean(raw.values(LARGEST, name, "objective")) for name in ("dirs", "dirs:ensemble", "maddpg")
    )
    if taught < theirs < ours:
        parts.append(
            "Labels and loss decide it at N = 200: the same networks with labels of the exact "
            f"solver and the loss of the vote reach {taught:.2f} (Table V), MADDPG {theirs:.2f}. "
            "Other N were not trained in that way."
        )
    parts.append(
        "Why the paper's MADDPG is the worse one is unexplained: its settings are not printed."
    )
    return " ".join(parts)


def _against_rules(raw: Raw, largest: int) -> str:
    """Return why no algorithm can be much better than Remote with a limit."""
    names = ("dirs", "nearest:limit", "nearest", "random", "optimal", "local")
    reached = [mean(_objectives(raw, largest, name)) for name in names]
    if math.isnan(sum(reached)):
        return ""
    ours, remote, *unlimited, best, everybody = reached
    scenario = scenario_of(by_devices(largest))
    cycles, speed, server = (
        float(scenario.per_device("cycles")[0]),
        float(scenario.per_device("local_frequency_hz")[0]),
        float(scenario.server_frequencies_hz[0]),
    )
    local = everybody / largest
    paying = int((local * server / cycles + 1) / 2)
    beaten = all(ours < one for one in unlimited)
    return (
        f"Remote with its limit is {remote / best - 1:.3%} above the optimum at N = {largest}, so "
        "no algorithm can be better than it by more. The limit is near the optimum by coincidence: "
        f"it admits F_j / f_i0 = {server / speed:.0f} devices to a server; with free transmission "
        f"the k-th costs (2k − 1) F / F_j against {local:.0f} at home, so k up to {paying} pay. "
        + (
            f"Without a limit DIRS beats Remote and Random at N = {largest}, as the paper says of "
            "its own; whether that is the paper's reading of insufficient resources is unexplained."
            if beaten
            else "Without a limit, too, DIRS does not beat both Remote and Random."
        )
    )


def _figures(raw: Raw) -> Mapping[str, Figure]:
    """Return Fig. 7, and beside it the NRR, which separates what the sum would not."""
    numbers = list(raw.budget["devices"])
    drawn = [n for n in _DRAWN if any(_objectives(raw, k, n) for k in numbers)]
    if not drawn:
        return {}
    figure, (sums, shares) = panels(2, width=9.0, height=3.8)
    for name in drawn:
        index = _DRAWN.index(name)  # the same for everyone, whoever is missing
        found = {n: _objectives(raw, n, name) for n in numbers if _objectives(raw, n, name)}
        nrr = {n: raw.values(by_devices(n), name, "nrr") for n in found}
        for axes, by_number in ((sums, found), (shares, nrr)):
            axes.errorbar(
                list(by_number),
                [mean(values) for values in by_number.values()],
                yerr=[half_interval(v) if len(v) > 1 else 0.0 for v in by_number.values()],
                color="#000000" if name == "optimal" else COLOURS[index % len(COLOURS)],
                linestyle=STYLES[index // 3 % len(STYLES)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                linewidth=1.2,
                label=NAMES[name],
            )
    sums.set(xlabel="number of devices N", ylabel="objective", xticks=numbers)
    shares.set(xlabel="number of devices N", ylabel="NRR, optimum / objective", xticks=numbers)
    shares.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return {"fig7": figure}


FIG_7 = Exhibit("Fig. 7: number of devices", _body, _claims, _difference, _figures)
"""Fig. 7: the objective by the number of devices."""
