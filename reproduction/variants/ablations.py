"""The paper's ideas on and off: paired differences, corrected by Holm, and what they show."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from mec_bench.statistics import half_interval, holm
from mec_bench.tables import p_value, table
from mec_gym import Scenario
from reproduction.variants.records import Record, cell, chosen
from reproduction.variants.runs import ABLATIONS

STAGES = {"tenth": "after a tenth of the slots", "final": "final"}
"""When the ideas are judged, as records name it: how fast they learn, and how well."""

IDEAS = {
    "Imitation acceleration": "no imitation",
    "The ensemble with its vote": "one central network",
    "The Lévy search of actions": "no refinement",
}
"""The paper's three ideas, and what stands in the place of each."""


@dataclasses.dataclass(frozen=True)
class Change:
    """By how much a switch changes the NRR, over seeds.

    Attributes
    ----------
    mean, half : float
        Of the paired differences, and half of their 95 % interval.
    p : float
        Of Student's t, two-sided, corrected by Holm for all comparisons.
    n_seeds : int
        How many pairs.

    Examples
    --------
    >>> print(Change(-0.01, 0.002, 0.0003, 20), Change(-0.01, 0.002, 0.0003, 20).p_text)
    -0.0100 ± 0.0020 < 0.001
    """

    mean: float
    half: float
    p: float
    n_seeds: int

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ± {self.half:.4f}"

    @property
    def p_text(self) -> str:
        """As tables show it."""
        return p_value(self.p).text


def changes(records: Sequence[Record], preset: str) -> dict[tuple[str, str], Change]:
    """Return the change that each switch makes at each stage.

    Parameters
    ----------
    records : sequence of dict
        Of all runs.
    preset : str
        The scenario.

    Returns
    -------
    dict of (str, str) to Change
        By variant and stage; without those of fewer than two pairs.

    Examples
    --------
    >>> changes([], "paper-30x2")
    {}
    """
    base = _as_it_is(records, preset)
    found = {}
    for variant in ABLATIONS:
        runs = chosen(records, preset, variant, table="ablation")
        pairs = [(run["nrr"], base[run["seed"]]["nrr"]) for run in runs if run["seed"] in base]
        if variant != "as it is" and len(pairs) > 1:
            for stage in STAGES:
                found[variant, stage] = [one[stage] - other[stage] for one, other in pairs]
    p = holm([float(stats.ttest_1samp(change, 0.0).pvalue) for change in found.values()])
    return {
        key: Change(float(np.mean(change)), float(half_interval(change)), corrected, len(change))
        for (key, change), corrected in zip(found.items(), p, strict=True)
    }


def verdicts(records: Sequence[Record], preset: str) -> list[str]:
    """Say of each of the paper's ideas whether it is shown to help, early and in the end.

    Parameters
    ----------
    records : sequence of dict
        Of all runs.
    preset : str
        The scenario.

    Returns
    -------
    list of str
        Items of a Markdown list.

    Examples
    --------
    >>> verdicts([], "paper-30x2")
    []
    """
    found, lines = changes(records, preset), []
    for idea, variant in IDEAS.items():
        runs = chosen(records, preset, variant, table="ablation")
        base = list(_as_it_is(records, preset).values())
        for stage, name in STAGES.items():
            change = found.get((variant, stage))
            if change is None:
                continue
            with_it, without = (_deviation(one, stage) for one in (base, runs))
            lines.append(
                f"- {idea}, {name}: {_verdict(change)}. {variant.capitalize()} in its place "
                f"changes the NRR by {change} (p {_compared(change)}, {change.n_seeds} seeds). "
                f"Standard deviation over seeds: {with_it:.4f} with the idea, {without:.4f} "
                "without.\n"
            )
    return lines


def section(records: Sequence[Record], preset: str) -> str:
    """Return the page's section on a scenario.

    Parameters
    ----------
    records : sequence of dict
        Of all runs.
    preset : str
        The scenario.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> section([], "paper-30x2").splitlines()[0]
    '## Each idea on and off, paper-30x2'
    """
    lines = verdicts(records, preset)
    return (
        f"## Each idea on and off, {preset}\n\n{_note(preset)}\n\n"
        + _table(records, preset)
        + ("\n" + "".join(lines) if lines else "")
    )


def _note(preset: str) -> str:
    n_servers = Scenario.preset(preset).n_servers
    return (
        f"One map, with {n_servers} servers: the fewer servers, the less an ensemble has to show. "
        "Differences are paired by seed; p is that of Student's t, two-sided, corrected by Holm "
        "for all comparisons of the table. [Fig. 5](reproduction.md) asks some of this with fewer "
        "seeds, each on a map of its own, which leaves more undecided, Lévy against epsilon-greedy "
        "search for one."
    )


def _table(records: Sequence[Record], preset: str) -> str:
    found = changes(records, preset)
    rows = []
    for variant in ABLATIONS:
        runs = list(_as_it_is(records, preset).values())
        if variant != "as it is":
            runs = chosen(records, preset, variant, table="ablation")
        if not runs:
            continue
        cells = [cell([run["nrr"][stage] for run in runs]) for stage in ("imitation", *STAGES)]
        for stage in STAGES:
            change = found.get((variant, stage))
            cells += [str(change), change.p_text] if change else ["", ""]
        rows.append([variant, str(len(runs)), *cells])
    head = ["the paper's options, but", "seeds", "after imitation", *STAGES.values()]
    for name in STAGES.values():
        head += [f"{name}, paired difference", "p, Holm"]
    return table(head, rows)


def _as_it_is(records: Sequence[Record], preset: str) -> dict[int, Record]:
    """Return the runs with the paper's options, by seed."""
    runs = chosen(records, preset, "the paper's options")
    runs += chosen(records, preset, "as it is", table="ablation")
    return {run["seed"]: run for run in runs}


def _verdict(change: Change) -> str:
    if not change.p < 0.05:
        return "shown neither to help nor to cost"
    return "helps" if change.mean < 0 else "costs"


def _compared(change: Change) -> str:
    return change.p_text if change.p_text.startswith("<") else f"= {change.p_text}"


def _deviation(runs: Sequence[Record], stage: str) -> float:
    return float(np.std([run["nrr"][stage] for run in runs], ddof=1))
