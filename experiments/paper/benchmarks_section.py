"""Table V and Fig. 7 on the page: DIRS against learners, searches and rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.paper.bounds import free_transmission_bound, least_time
from experiments.paper.drawing import COLOURS, MARKERS, STYLES, panels
from experiments.paper.large_section import NAMES
from experiments.paper.plan import FIG_7, LEARNERS, SEARCHES
from experiments.paper.published import TABLE_V, TIMES_LONGER
from experiments.paper.raw import Raw
from experiments.paper.systems import LARGEST, by_devices, scenario_of
from experiments.paper.wording import (
    MISSED,
    MISSING,
    Claim,
    between,
    cell,
    claims,
    combined,
    lower,
    mean,
    paragraphs,
    ratio,
    table,
)
from experiments.statistics.intervals import half_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE_5 = """The largest system, 200 × 10. Learners train for as many slots as the paper's T_DRL
(price-posting agents for 1,000). The weights of Table V are not printed; ours are 1 and 1. Seconds
are wall time of one core of a shared machine, whose other load went up and down: compare their
orders of magnitude. Inference is one decision of all agents in one process."""

FIGURE_7 = """Ten servers, the largest system's otherwise. The paper's text does not say which
numbers of devices it plots. Random and Remote turn devices away where "the computational resource
is insufficient": here where a server could no longer give each device its local speed; without
that limit they are shown, too."""

_RULES = ("optimal", "greedy", "nearest:limit", "posted-prices")


def table5_section(raw: Raw) -> str:
    """Return the section on Table V.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    head = ["policy", "training [s]", "inference [s]", "time [s]", "energy [J]"]
    head += ["time + energy", "ratio", "NRR"]
    rows = []
    for name, paper in TABLE_V.items():
        trained = MISSING if paper.training_s is None else f"{paper.training_s:.2f}"
        parts = [f"{paper.inference_s}", f"{paper.time_s:.2f}", f"{paper.energy_j:.2f}"]
        total = [f"{paper.objective:.2f}", "", MISSING]
        rows.append([f"*the paper's {name.upper()}*", trained, *parts, *total])
    rows += [_policy_row(raw, name) for name in (*LEARNERS, *_RULES)]
    rows += [_search_row(raw, name) for name in SEARCHES]
    return paragraphs(TABLE_5, table(head, rows), claims(*_claims5(raw)), _implied5(raw))


def _policy_row(raw: Raw, name: str) -> list[str]:
    runs = raw.of(LARGEST, name)
    learns = any(run["learns"] for run in runs)
    seeds = raw.budget["seeds"]
    paper = TABLE_V.get(name.split(":")[0])
    objective = [run["objective"] for run in runs]
    return [
        NAMES[name] + ("" if runs else " (not run)"),
        cell([run["training_s"] for run in runs], 0) if learns else MISSING,
        cell([1e-3 * run["decision_ms"] for run in runs], 5),
        cell([run["latency_s"] for run in runs]),
        cell([run["energy_j"] for run in runs]),
        cell(objective, seeds=seeds),
        ratio(objective, paper.objective) if paper else "",
        cell([run["nrr"] for run in runs], 4),
    ]


def searched(raw: Raw, name: str) -> list[Mapping[str, Any]]:
    """Return what a search of Table V reached.

    Parameters
    ----------
    raw : Raw
        Results.
    name : str
        A key of :data:`experiments.paper.plan.SEARCHES`.

    Returns
    -------
    list of mapping
        By map.
    """
    short, arguments = SEARCHES[name]
    wanted = {"max_evaluations": raw.budget["evaluations"], **arguments}
    return raw.measured("search", system=LARGEST, name=short, arguments=wanted)


def _search_row(raw: Raw, name: str) -> list[str]:
    found = searched(raw, name)
    paper = TABLE_V[SEARCHES[name][0]]
    objective = [one["objective"] for one in found]
    return [
        name,
        MISSING,
        cell([one["decision_s"] for one in found], 2),
        cell([one["latency_s"] for one in found]),
        cell([one["energy_j"] for one in found]),
        cell(objective),
        ratio(objective, paper.objective),
        cell([one["nrr"] for one in found], 4),
    ]


def _claims5(raw: Raw) -> list[Claim]:
    return [_against(raw, name) for name in ("ac", "ddpg")] + [
        _longer(raw, name, published) for name, published in TIMES_LONGER.items()
    ]


def _against(raw: Raw, name: str) -> Claim:
    """Return whether DIRS beats a learner, in what it decides and in how long it trains."""
    pairs = {
        figure: [raw.by_seed(LARGEST, one, figure) for one in ("dirs", name)]
        for figure in ("objective", "training_s")
    }
    ours, theirs = ([mean(list(pair[k].values())) for pair in pairs.values()] for k in (0, 1))
    return Claim(
        f"DIRS decides better than {NAMES[name]} and trains in less time",
        combined([lower(*pair) for pair in pairs.values()]),
        f"{ours[0]:.2f} against {theirs[0]:.2f} after {ours[1]:.0f} against {theirs[1]:.0f} s",
    )


def _longer(raw: Raw, name: str, published: float) -> Claim:
    """Return whether a search takes as many times longer than DIRS as the paper says."""
    milliseconds = raw.values(LARGEST, "dirs", "decision_ms")
    seconds = [one["decision_s"] for one in searched(raw, name.upper())]
    if not seconds or not milliseconds:
        return Claim(f"{name.upper()} takes {published} times as long as DIRS", MISSED, "")
    times = [1e3 * one / mean(milliseconds) for one in seconds]
    return Claim(
        f"{name.upper()} takes {published} times as long as DIRS to decide, or more",
        between(times, published, math.inf),
        f"{mean(times):.0f} times with {raw.budget['evaluations']:,} decisions priced",
    )


def _implied5(raw: Raw) -> str:
    scenario = scenario_of(LARGEST)
    bound, ours = free_transmission_bound(scenario), raw.optimum(LARGEST)
    lead = min(paper.objective for paper in TABLE_V.values()) / bound - 1
    rows = [
        [
            name.upper(),
            f"{paper.objective:.2f}",
            f"{paper.objective / bound - 1:+.1%}",
            f"{paper.time_s:.2f}",
            f"{least_time(scenario, paper.energy_j):.2f}",
            "no" if paper.time_s < least_time(scenario, paper.energy_j) else "yes",
        ]
        for name, paper in TABLE_V.items()
    ]
    impossible = [row[0] for row in rows if row[-1] == "no"]
    head = ["the paper's", "time + energy", "above the bound", "time [s]"]
    return paragraphs(
        f"**Difference.** With free transmission no policy is below {bound:.1f} at unit weights"
        + (f"; our exact optimum is {mean(ours):.2f}" if ours else "")
        + f". All of Table V is at least {lead:.1%} above the bound. An NRR that divides by such a "
        "PSO flatters. Which weights Table V has is not printed, but one check needs none: "
        "with energy E at most E/(1 J) devices can have executed locally, and the others' "
        "computing alone takes a known time. "
        + (
            f"The printed time of {', '.join(impossible)} is less than that: with Table I's "
            "parameters these rows are not possible, whatever the weights."
            if impossible
            else "All rows are possible by it."
        ),
        table([*head, "least time at its energy [s]", "possible"], rows),
    ).rstrip("\n")


# -- Fig. 7 ----------------------------------------------------------------------------------------


def fig7_section(raw: Raw) -> str:
    """Return the section on Fig. 7.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    numbers = list(raw.budget["devices"])
    rows = [
        [NAMES[name], *(cell(_objectives(raw, n, name)) for n in numbers)]
        for name in (*FIG_7, "optimal")
    ]
    return paragraphs(
        FIGURE_7,
        "![Objective against number of devices](reproduction/fig7.svg)" if figures7(raw) else "",
        table(["objective, N =", *map(str, numbers)], rows),
        claims(*_claims7(raw, numbers)),
    )


def _objectives(raw: Raw, n_devices: int, name: str) -> list[float]:
    return raw.values(by_devices(n_devices), name, "objective")


def _claims7(raw: Raw, numbers: Sequence[int]) -> list[Claim]:
    largest = max(numbers)
    reached = {
        name: raw.by_seed(by_devices(largest), name, "objective")
        for name in FIG_7
        if name != "dirs:prices" and _objectives(raw, largest, name)
    }
    rules = {name: values for name, values in reached.items() if name not in ("dirs", "maddpg")}
    return [
        _lowest(f"DIRS, with the paper's options at N = {largest},", reached, "dirs", rules),
        _lowest(f"MADDPG at N = {largest}", reached, "maddpg", rules),
    ]


def _lowest(
    words: str,
    reached: Mapping[str, Mapping[int, float]],
    name: str,
    rules: Mapping[str, Mapping[int, float]],
) -> Claim:
    """Return whether an algorithm is better than Remote, Random and Local."""
    text = f"{words} is better than Remote, Random and Local"
    if name not in reached:
        return Claim(text, MISSED, "")
    shown = ", ".join(
        f"{NAMES[rule]} {mean(list(values.values())):.2f}" for rule, values in rules.items()
    )
    return Claim(
        text,
        combined([lower(reached[name], values) for values in rules.values()]),
        f"{mean(list(reached[name].values())):.2f} against {shown}",
    )


def figures7(raw: Raw) -> Mapping[str, Figure]:
    """Return Fig. 7, and beside it the NRR, which separates what the sum would not.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    dict of str to Figure
    """
    numbers = list(raw.budget["devices"])
    drawn = [n for n in (*FIG_7, "optimal") if any(_objectives(raw, k, n) for k in numbers)]
    if not drawn:
        return {}
    figure, (sums, shares) = panels(2, width=9.0, height=3.8)
    for name in drawn:
        index = (*FIG_7, "optimal").index(name)  # the same for everyone, whoever is missing
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
