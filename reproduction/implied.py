"""What the numbers of Tables III and IV imply, held against bounds and optima."""

from __future__ import annotations

from collections.abc import Mapping

from mec_bench.tables import table
from reproduction.bounds import free_transmission_bound, least_time
from reproduction.plan import BITS_OF_TABLE_IV
from reproduction.published import TABLE_IV, Reached
from reproduction.raw import Raw
from reproduction.systems import BITS_PER_KB, scenario_of
from reproduction.wording import cell, mean, paragraphs, ratio

IMPLIED = """The objective times the NRR is the objective that the paper's PSO must have reached, up
to the spread between slots. However the means are taken it is not below any bound b on a slot's
objective: with q the PSO's and o DIRS's, E[q/o] ≥ b E[1/o] ≥ b / E[o]. """

IMPLIED_HEAD = [
    "system",
    "the paper's objective × NRR",
    "our optimum",
    "ratio",
    "bound, transmission free",
    "the paper's time [s]",
    "least time at its energy [s]",
]


def implied_rows(
    raw: Raw, printed: Mapping[str, Reached], systems: Mapping[str, str]
) -> list[list[str]]:
    """Return the rows of a table's implications.

    Parameters
    ----------
    raw : Raw
        Results.
    printed : mapping of str to Reached
        Of a table.
    systems : mapping of str to str
        Systems by the same names.

    Returns
    -------
    list of list of str
        Under ``IMPLIED_HEAD``.
    """
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
    >>> from reproduction.published import TABLE_III
    >>> from reproduction.systems import POSITIONS
    >>> below_bound(TABLE_III, POSITIONS)
    ['gaussian', 'levy']
    """
    return [
        name
        for name, system in systems.items()
        if printed[name].implied_optimum < free_transmission_bound(scenario_of(system))
    ]


def below(printed: Mapping[str, Reached], systems: Mapping[str, str]) -> str:
    """Return in words which columns no policy can have had.

    Parameters
    ----------
    printed, systems : mapping
        As for :func:`below_bound`.

    Returns
    -------
    str
    """
    names = below_bound(printed, systems)
    if not names:
        return ""
    listed = " and ".join(f"*{name}*" for name in names)
    return (
        f"For {listed} it lies below a bound that holds for every channel, gain and data size, as "
        "it takes transmission as free: with Table I's processors no swarm can have reached it, so "
        "objective and NRR were not both obtained with the parameters as printed."
    )


def data_sizes(raw: Raw) -> str:
    """Return how the optimum depends on D, and which D would fit what the paper prints.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
    """
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
        + _least_data(mean(optima[min(optima)])),
    )


def _least_data(least: float) -> str:
    """Return whether any data size fits what the paper prints for 50 kB."""
    printed = TABLE_IV["50 kB"].implied_optimum
    if least <= printed:
        return ""
    return (
        f"At 50 kB it implies {printed:.2f}, and no data size fits that: a single bit makes the "
        f"optimum {least:.2f}. Which D and F the paper's rows were made with is unexplained."
    )
