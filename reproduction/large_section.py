"""Tables III and IV on the page: objective, time, energy and NRR at 180 × 8."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mec_bench.tables import table
from reproduction.budget import MAIN_VARIANTS, VARIANTS
from reproduction.claims import Claim, between, differences, lower
from reproduction.exhibit import Exhibit
from reproduction.implied import IMPLIED, IMPLIED_HEAD, below, data_sizes, implied_rows
from reproduction.plan import SEARCHES
from reproduction.published import TABLE_III, TABLE_IV, TABLE_V, Reached
from reproduction.raw import Raw
from reproduction.systems import LARGE, POSITIONS, TASKS
from reproduction.wording import MISSING, cell, mean, paragraphs, ratio

NAMES = {
    "dirs": "DIRS, the paper's options",
    "dirs:ensemble": "DIRS, ensemble options",
    "dirs:prices": "DIRS, price-posting agents",
    "optimal": "optimum",
    "greedy": "greedy",
    "nearest": "Remote, no limit",
    "nearest:limit": "Remote",
    "random": "Random, no limit",
    "random:limit": "Random",
    "local": "Local",
    "posted-prices": "posted prices (a rule)",
    "ac": "AC",
    "ddpg": "DDPG",
    "maddpg": "MADDPG",
}
"""Of algorithms in tables and legends."""

_READING = """NRR is what the paper's is, inferred over optimal reward, but against the optimum; the
column *against PSO* divides by what a particle swarm reaches here, as the paper does: one number
per device that is rounded to its choice, from random starts, {evaluations} decisions priced, which
takes {seconds} here; the paper's took {published} s. Ratios are ours over the paper's."""

_ALIKE = 0.01
"""Difference of NRRs that are about the same."""

_TABLE_3 = "The large system, 180 × 8, φ_T = φ_E = 1; another law of the devices' positions each."

_TABLE_4 = """The large system, 180 × 8, uniform positions, φ_T = φ_E = 1; another data size D at
F = 1e9 cycles, or another number of cycles F at D = 100 kB. kB are 8e3 bit."""


def _body3(raw: Raw) -> str:
    return paragraphs(_TABLE_3, _reading(raw), _reached(raw, TABLE_III, POSITIONS, VARIANTS))


def _body4(raw: Raw) -> str:
    return paragraphs(_TABLE_4, _reading(raw), _reached(raw, TABLE_IV, TASKS, MAIN_VARIANTS))


def _claims3(raw: Raw) -> list[Claim]:
    by_law = {law: raw.by_seed(s, "dirs", "objective") for law, s in POSITIONS.items()}
    means = {law: mean(list(values.values())) for law, values in by_law.items()}
    return [
        Claim(
            "Positions that are not uniform have lower objectives",
            tuple(lower(by_law[law], by_law["uniform"]) for law in ("gaussian", "levy")),
            ", ".join(f"{value:.2f} {law}" for law, value in means.items()),
        ),
        _alike(raw, POSITIONS, "All three have about the same NRR"),
    ]


def _claims4(raw: Raw) -> list[Claim]:
    return [
        *(
            Claim(
                f"Time and energy increase with {name}",
                tuple(
                    lower(raw.by_seed(TASKS[low], "dirs", f), raw.by_seed(TASKS[high], "dirs", f))
                    for f in ("latency_s", "energy_j")
                ),
                _increase(raw, low, high),
            )
            for name, low, high in (
                ("D", "50 kB", "1000 kB"),
                ("F", "0.5e9 cycles", "2e9 cycles"),
            )
        ),
        _alike(raw, TASKS, "DIRS is insensitive to D and F: all four have about the same NRR"),
    ]


def _alike(raw: Raw, systems: Mapping[str, str], text: str) -> Claim:
    """Return whether DIRS has about the same NRR in all systems, two by two."""
    by_seed = [raw.by_seed(system, "dirs", "nrr") for system in systems.values()]
    pairs = itertools.combinations(by_seed, 2)
    return Claim(
        text,
        tuple(between(differences(a, b), -_ALIKE, _ALIKE) for a, b in pairs),
        ", ".join(f"{mean(list(values.values())):.4f}" for values in by_seed)
        + f" (counted as holding within {_ALIKE})",
    )


def _known(values: Sequence[float]) -> bool:
    return all(value == value for value in values)


def _increase(raw: Raw, low: str, high: str) -> str:
    """Return time and energy of two tasks in words, and what the paper's own energy does."""
    times, energies = (
        [mean(raw.values(TASKS[task], "dirs", figure)) for task in (low, high)]
        for figure in ("latency_s", "energy_j")
    )
    printed = [TABLE_IV[task].energy_j for task in (low, high)]
    moves = "falls" if printed[1] < printed[0] else "rises"
    return (
        f"time {times[0]:.2f} and {times[1]:.2f} s, energy {energies[0]:.2f} and "
        f"{energies[1]:.2f} J. The paper's own energy {moves} from {printed[0]} to "
        f"{printed[1]} J"
    )


def _reading(raw: Raw) -> str:
    seconds = [
        one["values"]["decision_s"] for one in _swarms(raw) if one["arguments"]["system"] == LARGE
    ]
    return _READING.format(
        evaluations=f"{raw.budget['evaluations']:,}",
        seconds=f"{mean(seconds):.2f} s" if seconds else "(not measured yet)",
        published=TABLE_V["pso"].inference_s,
    )


def _swarms(raw: Raw) -> list[Mapping[str, Any]]:
    """Return the measurements of the plain particle swarm."""
    name, arguments = SEARCHES["PSO"]
    wanted = {"max_evaluations": raw.budget["evaluations"], **arguments}
    return [
        one
        for one in raw.measurements
        if one["kind"] == "search"
        and (one["arguments"]["name"], one["arguments"]["arguments"]) == (name, wanted)
    ]


def _reached(
    raw: Raw,
    printed: Mapping[str, Reached],
    systems: Mapping[str, str],
    policies: Sequence[str],
) -> str:
    """Return the table of one paper table: a row per system and policy."""
    head = ["system", "policy", "objective", "ratio", "time [s]", "ratio", "energy [J]", "ratio"]
    head += ["NRR", "against PSO"]
    rows = []
    for name, system in systems.items():
        paper = printed[name]
        values = [f"{paper.objective:.2f}", "", f"{paper.time_s:.2f}", "", f"{paper.energy_j:.2f}"]
        rows.append([name, "*the paper's DIRS*", *values, "", MISSING, f"{paper.nrr:.4f}"])
        for policy in (*policies, "optimal"):
            rows.append([name, NAMES[policy], *_row(raw, system, policy, paper)])
    return table(head, rows)


def _row(raw: Raw, system: str, policy: str, paper: Reached) -> list[str]:
    seeds = raw.budget["seeds"]
    cells = []
    for figure, published in (
        ("objective", paper.objective),
        ("latency_s", paper.time_s),
        ("energy_j", paper.energy_j),
    ):
        values = raw.values(system, policy, figure)
        cells += [cell(values, seeds=seeds), ratio(values, published)]
    own = raw.values(system, policy, "nrr")
    return [*cells, cell(own, 4), cell(_against_pso(raw, system, policy), 4)]


def _against_pso(raw: Raw, system: str, policy: str) -> list[float]:
    """Return the NRR against a particle swarm, by map: both are known against the optimum."""
    swarm = {
        one["arguments"]["seed"]: one["values"]["nrr"]
        for one in _swarms(raw)
        if one["arguments"]["system"] == system
    }
    return [
        run["nrr"] / swarm[run["seed"]] for run in raw.of(system, policy) if run["seed"] in swarm
    ]


# -- what the printed numbers imply ----------------------------------------------------------------


def _difference3(raw: Raw) -> str:
    rows = implied_rows(raw, TABLE_III, POSITIONS)
    printed = TABLE_III["uniform"].implied_optimum
    ours = raw.optimum(LARGE)
    near = ""
    if ours:
        error = mean(ours) / printed - 1
        verdict = (
            "within 1 %: the system is the paper's, though it prints neither β_0 nor the fading law"
            if abs(error) < 0.01
            else "which is unexplained"
        )
        near = f"For uniform positions our optimum is {mean(ours):.2f}, {error:+.2%}, {verdict}. "
    return paragraphs(
        IMPLIED + near + below(TABLE_III, POSITIONS),
        table(IMPLIED_HEAD, rows),
        _at_home(raw),
        _unexplained(raw),
    ).rstrip("\n")


def _at_home(raw: Raw) -> str:
    """Return how time and energy differ where their sum may not."""
    ours, best = (mean(raw.values(LARGE, name, "energy_j")) for name in ("dirs", "optimal"))
    if not _known([ours, best]):
        return ""
    printed = TABLE_III["uniform"].energy_j
    side = "fewer" if printed < ours else "more"
    return (
        "The parts of the objective differ from the paper's more than their sum. A local execution "
        f"takes 1 J, so energy bounds how many devices stay at home: at most {printed:.0f} with "
        f"the paper's DIRS, {ours:.0f} with ours and {best:.0f} at the optimum, with uniform "
        f"positions. The paper's agents keep {side} at home than ours; why is unexplained."
    )


def _unexplained(raw: Raw) -> str:
    own = raw.values(LARGE, "dirs", "nrr")
    against = _against_pso(raw, LARGE, "dirs")
    if not own or not against:
        return ""
    return (
        f"Our DIRS with the paper's options reaches {mean(own):.4f} of the optimum, the paper's "
        f"{TABLE_III['uniform'].nrr:.4f} of its PSO. Here a plain PSO is worse than DIRS (NRR "
        f"against it {mean(against):.4f}), so the paper's swarm must have searched in another way "
        "or much longer; how is unexplained, as it prints neither encoding nor budget."
        if mean(against) > 1
        else ""
    )


def _difference4(raw: Raw) -> str:
    rows = implied_rows(raw, TABLE_IV, TASKS)
    return paragraphs(
        IMPLIED + below(TABLE_IV, TASKS),
        table(IMPLIED_HEAD, rows),
        data_sizes(raw),
    ).rstrip("\n")


TABLE_3 = Exhibit("Table III: positions of the devices", _body3, _claims3, _difference3)
"""Table III: DIRS by the law of positions."""
TABLE_4 = Exhibit("Table IV: tasks", _body4, _claims4, _difference4)
"""Table IV: DIRS by the task."""
