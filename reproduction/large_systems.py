"""Sections V-C and V-D, the large systems: Fig. 6, Tables III to V and Fig. 7, from raw results."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from mec_bench.registry import title
from mec_bench.statistics import half_interval
from reproduction import drawing, pages, paper
from reproduction.claims import NOT_MEASURED, Claim, Exhibit, between, differences, lower, times
from reproduction.jobs import BITS_OF_TABLE_IV, FIG_7, MAIN_VARIANTS, SEARCHES, search_arguments
from reproduction.pages import mean
from reproduction.paper import LARGE, LARGEST, POSITIONS, TASKS, WEIGHTS, scenario_of
from reproduction.raw import Raw


def name_of(label: str) -> str:
    """Return what Section V's page calls an algorithm: the paper's own name for its rules."""
    return paper.NAMES.get(label) or title(label)


# -- Fig. 6: weights -------------------------------------------------------------------------------

_PARTS_OF_OBJECTIVE = {"latency_s": "time [s]", "energy_j": "energy [J]"}


def fig6(raw: Raw) -> Exhibit:
    """Return Fig. 6: time and energy by weights."""
    if not any(raw.reached(system, "dirs", "nrr") for system in WEIGHTS.values()):
        return Exhibit()
    nrr = {kind: mean(raw.reached(system, "dirs", "nrr")) for kind, system in WEIGHTS.items()}
    worst = min(nrr, key=lambda kind: nrr[kind] if nrr[kind] == nrr[kind] else 1.0)
    orders = {"latency_s": list(WEIGHTS.values())[::-1], "energy_j": list(WEIGHTS.values())}
    claims = {
        f"{figure}_falls": [
            lower(b, a)
            for a, b in itertools.pairwise(raw.reached(one, "dirs", figure) for one in systems)
        ]
        for figure, systems in orders.items()
    }
    panels = {
        words: {
            name_of(name): [raw.reached(one, name, figure) for one in WEIGHTS.values()]
            for name in (*MAIN_VARIANTS, "optimal")
        }
        for figure, words in _PARTS_OF_OBJECTIVE.items()
    }
    numbers = {"orders": orders, "worst": worst, "stages": _stages(WEIGHTS[worst])}
    return Exhibit(numbers, claims, lambda: drawing.weights(panels, list(WEIGHTS)))


def _stages(system: str) -> list[float]:
    """Return the NRR untrained, after imitation and in the end, of the runs of variants.py."""
    from reproduction import variant_runs, variants  # which load torch: `--help` does without

    records, _ = variants.read_page(pages.RESULTS / "dirs-results.json")
    runs = variants.ablated(records, system)[variant_runs.AS_IT_IS].values()
    return [mean([run["nrr"][one] for run in runs]) for one in ("untrained", "imitation", "final")]


# -- Tables III and IV: positions and tasks --------------------------------------------------------

_ALIKE = 0.01  # difference of NRRs that are about the same


def searched(raw: Raw, system: str, name: str) -> dict[int, Mapping[str, Any]]:
    """Return what a search of Table V reached, by map."""
    wanted = search_arguments(raw.budget["evaluations"], name)
    return raw.measured("search", system=system, name=SEARCHES[name][0], arguments=wanted)


def against_pso(raw: Raw, system: str, policy: str) -> list[float]:
    """Return the NRR against a particle swarm, by map: both are known against the optimum."""
    swarm, own = searched(raw, system, "PSO"), raw.reached(system, policy, "nrr")
    return [nrr / swarm[seed]["nrr"] for seed, nrr in own.items() if seed in swarm]


def _nrr_alike(raw: Raw, systems: Mapping[str, str]) -> tuple[Claim, list[float]]:
    """Return whether DIRS has about the same NRR in all systems, two by two, and these."""
    by_seed = [raw.reached(system, "dirs", "nrr") for system in systems.values()]
    pairs = itertools.combinations(by_seed, 2)
    claim = [between(differences(a, b), -_ALIKE, _ALIKE) for a, b in pairs]
    return claim, [mean(values) for values in by_seed]


def table3(raw: Raw) -> Exhibit:
    """Return Table III: DIRS by the law of positions."""
    by_law = {law: raw.reached(system, "dirs", "objective") for law, system in POSITIONS.items()}
    alike, nrr = _nrr_alike(raw, POSITIONS)
    optimum, printed = mean(raw.optimum(LARGE)), paper.TABLE_III["uniform"]
    numbers = {
        "below": paper.below_bound(paper.TABLE_III, POSITIONS),
        "means": {law: mean(values) for law, values in by_law.items()},
        "nrr": nrr,
        "alike": _ALIKE,
        "printed": printed,
        "optimum": optimum,
        "error": optimum / printed.implied_optimum - 1,
        "energy": {n: mean(raw.reached(LARGE, n, "energy_j")) for n in ("dirs", "optimal")},
    }
    claims = {
        "positions": [lower(by_law[law], by_law["uniform"]) for law in ("gaussian", "levy")],
        "positions_alike": alike,
    }
    return Exhibit(numbers, claims)


def table4(raw: Raw) -> Exhibit:
    """Return Table IV: DIRS by the task."""
    alike, nrr = _nrr_alike(raw, TASKS)
    numbers: dict[str, Any] = {
        "below": paper.below_bound(paper.TABLE_IV, TASKS),
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
    optima: dict[float, list[float]] = {}
    for bits in BITS_OF_TABLE_IV:
        found = raw.measured("optimum", changes={"data_bits": bits})
        optima[bits] = [one["lower_bound"] for one in found.values()]
    if not all(optima.values()):
        return {}
    printed = paper.TABLE_IV["1000 kB"].implied_optimum
    means = {"kbit": mean(optima[1e6]), "kB": mean(optima[1000 * paper.BITS_PER_KB])}
    errors = {name: value / printed - 1 for name, value in means.items()}
    return {
        **means,
        "optima": optima,
        "printed": printed,
        "errors": errors,
        "nearest": min(errors, key=lambda name: abs(errors[name])),
        "least": mean(optima[min(optima)]),
        "printed_least": paper.TABLE_IV["50 kB"].implied_optimum,
    }


# -- Table V: learners and searches ----------------------------------------------------------------

_ALMOST = 0.05  # relative: how near time and energy have to be to pass for almost the same
_NEAR_OPTIMAL = 0.95  # NRR of a search that passes for it
_MAGNITUDE = 10  # seconds of a shared machine that differ by less are not told apart

SWARMS = tuple(paper.TIMES_LONGER)


def _of_five(raw: Raw, name: str, figure: str) -> dict[int, float]:
    """Return a figure of a row of the paper's Table V by seed; seconds of searches, too."""
    if name not in SWARMS:
        return raw.reached(LARGEST, name, figure)
    found = searched(raw, LARGEST, name.upper())
    if figure == "decision_ms":
        return {seed: 1e3 * one["decision_s"] for seed, one in found.items()}
    return {seed: float(one[figure]) for seed, one in found.items()}


def table5(raw: Raw) -> Exhibit:
    """Return Table V: DIRS against learners and searches."""
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
    found = {name: list(searched(raw, LARGEST, name).values()) for name in SEARCHES}
    swarms = {name: [one["nrr"] for one in ones] for name, ones in found.items()}
    seconds = {one: _seconds(raw, one) for one in ("training_s", "decision_ms")}
    longer = {name: _longer(raw, name) for name in SWARMS}
    numbers = {
        "searched": found,
        "means": {
            f: {"dirs": mean(ours[f])} | {n.upper(): mean(o[f]) for n, o in others.items()}
            for f in figures
        },
        "seconds": seconds,
        "almost": [(n.upper(), figure, mean(lead)) for (n, figure), lead in almost.items()],
        "within": _ALMOST,
        "longer": longer,
        "evaluations": raw.budget["evaluations"],
        "near_optimal": _NEAR_OPTIMAL,
        "swarms": {name: mean(values) for name, values in swarms.items()},
        "possible": _possible(raw),
        "reached": _labels(raw),
    }
    claims: dict[str, Claim] = {
        f"lowest_{f}": [lower(ours[f], other[f]) for other in others.values()] for f in figures
    }
    claims |= {f"least_{one}": [] if known else NOT_MEASURED for one, known in seconds.items()}
    claims |= {f"longer_{name}": [] if known else NOT_MEASURED for name, known in longer.items()}
    claims |= {
        "almost": [between(lead, -_ALMOST, _ALMOST) for lead in almost.values()],
        "near_optimal": [between(swarms["PSO"], _NEAR_OPTIMAL, math.inf)],
        "causes": [],
    }
    return Exhibit(numbers, claims)


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
    search = _of_five(raw, name, "decision_ms")
    found = times(search, _of_five(raw, "dirs", "decision_ms"))
    if math.isnan(found.value):
        return {}
    fitting = raw.budget["evaluations"] * paper.TIMES_LONGER[name] / found.value
    return {"ratio": found, "ms": mean(search), "fitting": fitting}


def _possible(raw: Raw) -> dict[str, Any]:
    """Return which rows of the paper's Table V a policy can have had."""
    scenario = scenario_of(LARGEST)
    bound = paper.free_transmission_bound(scenario)
    least = {name: paper.least_time(scenario, row.energy_j) for name, row in paper.TABLE_V.items()}
    return {
        "least": least,
        "impossible": [n.upper() for n, row in paper.TABLE_V.items() if row.time_s < least[n]],
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


def fig7(raw: Raw) -> Exhibit:
    """Return Fig. 7: the objective by the number of devices."""
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
    farthest = max((n for n, one in leads["dirs"].items() if one), default=largest)
    content = {
        "numbers": numbers,
        "policies": _DRAWN,
        "leads": leads,
        "drawn": drawn,
        "largest": largest,
        "means": means,
        "rules": _RULES,
        "compared": any(leads["dirs"].values()),
        "worse": [n for n in apart if mean(leads["dirs"][n]) > 0],
        "better": [n for n in apart if mean(leads["dirs"][n]) < 0],
        "farthest": farthest,
        "limit": _limit(reached, farthest),
    }
    claims = {
        "dirs_lowest": [
            lower(reached(largest, "dirs"), reached(largest, n)) for n in ("maddpg", *_RULES)
        ],
        "maddpg_lowest": [lower(reached(largest, "maddpg"), reached(largest, n)) for n in _RULES],
    }
    policies = {
        # A policy looks the same whoever else is missing.
        name_of(name): (
            _DRAWN.index(name),
            [
                {n: reached(n, name, one) for n in numbers if reached(n, name)}
                for one in ("objective", "nrr")
            ],
        )
        for name in drawn
    }
    figure = partial(drawing.by_devices, policies, numbers, name_of("optimal"))
    return Exhibit(content, claims, figure if drawn else None)


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
