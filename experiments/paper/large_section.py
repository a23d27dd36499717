"""Tables III and IV on the page: objective, time, energy and NRR at 180 × 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.paper.bounds import free_transmission_bound, least_time
from experiments.paper.budget import VARIANTS
from experiments.paper.plan import BITS_OF_TABLE_IV, SEARCHES
from experiments.paper.published import TABLE_III, TABLE_IV, Reached
from experiments.paper.raw import Raw
from experiments.paper.systems import BITS_PER_KB, LARGE, POSITIONS, TASKS, scenario_of
from experiments.paper.wording import (
    MISSING,
    Claim,
    cell,
    claims,
    mean,
    paragraphs,
    ratio,
    table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

READING = """NRR is what the paper's is, inferred over optimal reward, but against the optimum; the
columns *against PSO* divide by what a particle swarm reaches here, as the paper does: one number
per device that is rounded to its choice, from random starts, with {evaluations} decisions priced,
which takes about as long as the paper's PSO did. Ratios are ours over the paper's."""

TABLE_3 = "The large system, 180 × 8, φ_T = φ_E = 1; another law of the devices' positions each."

TABLE_4 = """The large system, 180 × 8, uniform positions, φ_T = φ_E = 1; another data size D at
F = 1e9 cycles, or another number of cycles F at D = 100 kB. kB are 8e3 bit."""


def table3_section(raw: Raw) -> str:
    """Return the section on Table III.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    uniform = [mean(raw.values(POSITIONS["uniform"], "dirs", "objective"))]
    others = [
        mean(raw.values(POSITIONS[law], "dirs", "objective")) for law in ("gaussian", "levy")
    ]
    found = Claim(
        "Positions that are not uniform have lower objectives",
        max(others) < uniform[0] if _known([*uniform, *others]) else None,
        f"{uniform[0]:.2f} uniform, {others[0]:.2f} Gaussian, {others[1]:.2f} Lévy",
    )
    nrrs = [mean(raw.values(system, "dirs", "nrr")) for system in POSITIONS.values()]
    same = Claim(
        "All three have about the same NRR",
        max(nrrs) - min(nrrs) < 0.01 if _known(nrrs) else None,
        ", ".join(f"{value:.4f}" for value in nrrs) + " (counted as holding within 0.01)",
    )
    body = _reached(raw, TABLE_III, POSITIONS)
    return paragraphs(TABLE_3, _reading(raw), body, claims(found, same), _implied3(raw))


def table4_section(raw: Raw) -> str:
    """Return the section on Table IV.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
    parts = {task: _parts(raw, system) for task, system in TASKS.items()}
    found = [
        Claim(
            f"Time and energy increase with {name}",
            all(a < b for a, b in zip(parts[low], parts[high], strict=True))
            if _known([*parts[low], *parts[high]])
            else None,
            f"time {parts[low][0]:.2f} and {parts[high][0]:.2f} s, energy {parts[low][1]:.2f} and "
            f"{parts[high][1]:.2f} J. The paper's own energy "
            + ("falls" if _falls(low, high) else "rises")
            + f" from {TABLE_IV[low].energy_j} to {TABLE_IV[high].energy_j} J",
        )
        for name, low, high in (
            ("D", "50 kB", "1000 kB"),
            ("F", "0.5e9 cycles", "2e9 cycles"),
        )
    ]
    return paragraphs(
        TABLE_4, _reading(raw), _reached(raw, TABLE_IV, TASKS), claims(*found), _implied4(raw)
    )


def no_figures(raw: Raw) -> Mapping[str, Figure]:
    """Return no figure: Tables III and IV have none.

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


def _known(values: Sequence[float]) -> bool:
    return all(value == value for value in values)


def _parts(raw: Raw, system: str) -> tuple[float, float]:
    """Return time and energy of the paper's options."""
    return mean(raw.values(system, "dirs", "latency_s")), mean(
        raw.values(system, "dirs", "energy_j")
    )


def _falls(low: str, high: str) -> bool:
    return TABLE_IV[high].energy_j < TABLE_IV[low].energy_j


def _reading(raw: Raw) -> str:
    return READING.format(evaluations=f"{raw.budget['evaluations']:,}")


def _reached(raw: Raw, printed: Mapping[str, Reached], systems: Mapping[str, str]) -> str:
    """Return the table of one paper table: a row per system and policy."""
    head = ["system", "policy", "objective", "ratio", "time [s]", "ratio", "energy [J]", "ratio"]
    head += ["NRR", "against PSO"]
    rows = []
    for name, system in systems.items():
        paper = printed[name]
        values = [f"{paper.objective:.2f}", "", f"{paper.time_s:.2f}", "", f"{paper.energy_j:.2f}"]
        rows.append([name, "*the paper's DIRS*", *values, "", MISSING, f"{paper.nrr:.4f}"])
        for policy in (*VARIANTS, "optimal"):
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
    name, arguments = SEARCHES["PSO"]
    wanted = {"max_evaluations": raw.budget["evaluations"], **arguments}
    swarm = {
        one["arguments"]["seed"]: one["values"]["nrr"]
        for one in raw.measurements
        if one["kind"] == "search"
        and (one["arguments"]["system"], one["arguments"]["name"]) == (system, name)
        and one["arguments"]["arguments"] == wanted
    }
    return [
        run["nrr"] / swarm[run["seed"]] for run in raw.of(system, policy) if run["seed"] in swarm
    ]


# -- what the printed numbers imply ----------------------------------------------------------------


def _implied3(raw: Raw) -> str:
    rows = _implied_rows(raw, TABLE_III, POSITIONS)
    printed = TABLE_III["uniform"].implied_optimum
    ours = raw.optimum(LARGE)
    near = (
        f"For uniform positions ours is {mean(ours):.2f}, {mean(ours) / printed - 1:+.2%} of it: "
        "the system is the paper's, though it prints neither β_0 nor the fading law. "
        if ours
        else ""
    )
    return paragraphs(
        "**Difference.** " + IMPLIED + near + _below(TABLE_III, POSITIONS),
        table(_IMPLIED_HEAD, rows),
        _unexplained(raw),
    ).rstrip("\n")


IMPLIED = """The objective times the NRR is what the paper's PSO must have reached (or less: the
mean of a ratio is at least that of the parts). """

_IMPLIED_HEAD = [
    "system",
    "the paper's objective × NRR",
    "our optimum",
    "ratio",
    "bound, transmission free",
    "the paper's time [s]",
    "least time at its energy [s]",
]


def _implied_rows(
    raw: Raw, printed: Mapping[str, Reached], systems: Mapping[str, str]
) -> list[list[str]]:
    rows = []
    for name, system in systems.items():
        paper, scenario = printed[name], scenario_of(system)
        ours = raw.optimum(system)
        rows.append(
            [
                name,
                f"{paper.implied_optimum:.2f}",
                cell(ours),
                ratio(ours, paper.implied_optimum),
                f"{free_transmission_bound(scenario):.2f}",
                f"{paper.time_s:.2f}",
                f"{least_time(scenario, paper.energy_j):.2f}",
            ]
        )
    return rows


def below_bound(printed: Mapping[str, Reached], systems: Mapping[str, str]) -> list[str]:
    """Return the columns whose printed objective and NRR no policy can have had.

    Parameters
    ----------
    printed : mapping of str to Reached
        Of a table.
    systems : mapping of str to str
        Systems by the same names.

    Returns
    -------
    list of str
        Those whose objective × NRR lies below the bound with free transmission. NRR as a mean of
        ratios makes it no milder: E[opt/obj] ≥ bound · E[1/obj] ≥ bound / E[obj].

    Examples
    --------
    >>> below_bound(TABLE_III, POSITIONS)
    ['gaussian', 'levy']
    """
    return [
        name
        for name, system in systems.items()
        if printed[name].implied_optimum < free_transmission_bound(scenario_of(system))
    ]


def _below(printed: Mapping[str, Reached], systems: Mapping[str, str]) -> str:
    names = below_bound(printed, systems)
    if not names:
        return ""
    listed = " and ".join(f"*{name}*" for name in names)
    return (
        f"For {listed} it lies below a bound that holds for every channel, gain and data size, as "
        "it takes transmission as free: with Table I's processors no swarm can have reached it, so "
        "objective and NRR were not both obtained with the parameters as printed."
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


def _implied4(raw: Raw) -> str:
    rows = _implied_rows(raw, TABLE_IV, TASKS)
    return paragraphs(
        "**Difference.** " + IMPLIED + _below(TABLE_IV, TASKS),
        table(_IMPLIED_HEAD, rows),
        _data_sizes(raw),
    ).rstrip("\n")


def _data_sizes(raw: Raw) -> str:
    """Return how the optimum depends on D, and which D would fit what the paper prints."""
    optima = {
        bits: [one["lower_bound"] for one in raw.measured("optimum", changes={"data_bits": bits})]
        for bits in BITS_OF_TABLE_IV
    }
    if not all(optima.values()):
        return ""
    rows = [[f"{bits:.0e}", cell(values)] for bits, values in optima.items()]
    large = {bits: mean(optima[bits]) for bits in (1e6, 1000 * BITS_PER_KB)}
    printed = TABLE_IV["1000 kB"].implied_optimum
    errors = {bits: value / printed - 1 for bits, value in large.items()}
    nearest = min(errors, key=lambda bits: abs(errors[bits]))
    words = {1e6: "as if kB meant 1e3 bit", 1000 * BITS_PER_KB: "with kB of 8e3 bit"}
    return paragraphs(
        "The optimum of the same system by data size:",
        table(["D [bit]", "optimum"], rows),
        f"At 1000 kB the paper implies {printed:.2f}; the optimum at 8e6 bit is "
        f"{large[1000 * BITS_PER_KB]:.2f} ({errors[1000 * BITS_PER_KB]:+.1%}), at 1e6 bit "
        f"{large[1e6]:.2f} ({errors[1e6]:+.1%}): the paper's D row fits better {words[nearest]}. "
        "At 50 kB no data size fits: even one bit costs more than the paper implies.",
    )
