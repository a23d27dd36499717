"""The page, its raw figures, and the table that README shows of it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mec_bench.tables import plus_minus, table
from mec_gym import Scenario
from mec_gym.evaluation import Estimate
from mec_gym.files import around, write_whole
from reproduction.variants import ablations
from reproduction.variants.records import Record, cell, chosen, origins
from reproduction.variants.rules import EVERYTHING, POSTED, rules_reached
from reproduction.variants.runs import MAIN, SIZED, SIZES, Plan, admits

Reached = Mapping[str, Mapping[str, Estimate]]
"""What rules reach: by scenario and rule."""

PAGE = "dirs-results.md"
BEGIN, END = "<!-- dirs: written by `make dirs-results` -->\n", "<!-- end of dirs -->"
"""README's table stands between them."""

GOAL = 0.99
"""NRR that is asked for on each scenario of the paper."""

HEADER = """# What DIRS reaches

Written by `make dirs-results`; do not edit. {seeds} training seeds a
variant, fewer where a cell says so. NRR is optimum / objective on 200 frozen slots that no
training has seen, the same for all (where the optimum is only bounded, the bound takes its place);
the final policy, not the best; mean and half the width of a 95 % interval (Student's t; of learners
over training seeds, of rules over the 40 batches of slots; ± 0 is below 5e-7). All presets but
relocating-200x10 are one map, which no interval here goes beyond: other maps can rank rules
otherwise ([regimes.md](regimes.md) measures over maps, [statistics.md](statistics.md) says more).
Seconds are those of a busy machine, two runs side by side. Raw figures:
[dirs-results.json](dirs-results.json).
"""


def write_page(
    records: Sequence[Record], plan: Plan, folder: Path, *, readme: Path | None = None
) -> Path:
    """Measure the rules; write the page and the raw figures.

    Parameters
    ----------
    records : sequence of dict
        Of the runs there are.
    plan : Plan
        What the page is about.
    folder : Path
        Where to.
    readme : Path, optional
        A file that shows the main table, too, between :data:`BEGIN` and :data:`END`.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    OSError, ValueError
        For a `readme` without these marks, before anything is measured.
    """
    if readme:
        around(readme, BEGIN, END)
    main = [record for record in records if record["table"] == "main"]
    presets = [preset for preset in plan.presets if any(r["preset"] == preset for r in main)]
    rules = {preset: rules_reached(Scenario.preset(preset)) for preset in presets}
    shown, reached = _main_table(main, rules, plan.seeds), goals(main, presets)
    if readme:
        _show(shown, reached[0], readme)
    parts = [
        HEADER.format(seeds=plan.seeds),
        f"## Final NRR\n\n{shown}",
        "Rules in italics know what one server knows; greedy and optimum know everything.\n"
        + "".join(reached),
        "## Before and after training\n\n" + _stages_table(main, presets),
        "## Numbers of devices never trained on\n\n" + _sizes_table(main),
        *(ablations.section(records, preset) for preset in plan.ablations),
        "## What it ran on\n\n" + origins(records),
    ]
    page = folder / PAGE
    write_whole(page, "\n".join(parts))
    raw = {
        "format": "mec-gym/dirs-results",
        "version": 2,
        "runs": records,
        "rules": {
            preset: {name: dataclasses.asdict(one) for name, one in found.items()}
            for preset, found in rules.items()
        },
    }
    write_whole(page.with_suffix(".json"), json.dumps(raw, indent=1) + "\n")
    return page


def goals(records: Sequence[Record], presets: Sequence[str]) -> list[str]:
    """Say where the goal is reached by the vote alone and where with admission only, then how.

    Parameters
    ----------
    records : sequence of dict
        Of the main table's runs.
    presets : sequence of str
        Scenarios.

    Returns
    -------
    list of str
        A sentence, and a Markdown list.

    Examples
    --------
    >>> goals([], ["paper-30x2"])[0].strip()
    'An NRR of 0.99 is reached not on paper-30x2.'
    """
    reached: dict[str, list[str]] = {"by the vote alone": [], "with admission only": [], "not": []}
    lines = ["\n"]
    for preset in presets:
        best = {}
        for admitting in (False, True):
            found = [
                (float(np.mean(finals)), f"{cell(finals)} ({variant})")
                for variant in MAIN
                if admits(variant) == admitting and (finals := _finals(records, preset, variant))
            ]
            best[admitting] = max(found, default=(math.nan, "nothing that was measured"))
        how = "with admission only" if best[True][0] >= GOAL else "not"
        reached["by the vote alone" if best[False][0] >= GOAL else how].append(preset)
        lines.append(
            f"- {preset}: the vote alone reaches {best[False][1]}, "
            f"with admission after it {best[True][1]}.\n"
        )
    parts = [f"{how} on {', '.join(names)}" for how, names in reached.items() if names]
    return [f"\nAn NRR of {GOAL} is reached {'; '.join(parts)}.\n", *lines]


def _show(shown: str, goal: str, readme: Path) -> None:
    """Put the main table's chief rows, and the sentence on the goal, into README."""
    kept = [line for line in shown.splitlines(keepends=True) if _is_chief(line)]
    before, after = around(readme, BEGIN, END)
    write_whole(readme, f"{before}{BEGIN}{''.join(kept)}{goal}{END}{after}")


def _is_chief(line: str) -> bool:
    """Return whether README's table has a line: the heads, the learners, the best local rules."""
    name = line.split("|")[1].strip()
    chief = ("NRR", "---", *MAIN, *(f"*{rule}*" for rule in POSTED), "*all local*")
    return name in chief or name.startswith("*no prices")


def _finals(records: Sequence[Record], preset: str, variant: str) -> list[float]:
    return [run["nrr"]["final"] for run in chosen(records, preset, variant)]


def _main_table(records: Sequence[Record], rules: Reached, seeds: int) -> str:
    rows = [
        [variant, *(cell(_finals(records, preset, variant), seeds=seeds) for preset in rules)]
        for variant in MAIN
    ]
    names = list(dict.fromkeys(rule for found in rules.values() for rule in found))
    for rule in sorted(names, key=lambda name: name in EVERYTHING):
        name = rule if rule in EVERYTHING else f"*{rule}*"
        estimates = [found.get(rule) for found in rules.values()]
        cells = [plus_minus(one.mean, (one.high - one.low) / 2) if one else "" for one in estimates]
        rows.append([name, *cells])
    return table(["NRR", *rules], rows)


def _stages_table(records: Sequence[Record], presets: Sequence[str]) -> str:
    rows = []
    for preset in presets:
        for variant in MAIN:
            runs = chosen(records, preset, variant)
            if not runs:
                continue
            stages = ("untrained", "imitation", "tenth", "final")
            cells = [cell([run["nrr"][stage] for run in runs]) for stage in stages]
            imitation, online = (
                np.mean([run["seconds"][part] for run in runs]) for part in ("imitation", "online")
            )
            spent = f"{imitation:.0f} + {online:.0f}"
            rows.append([preset, variant, *cells, str(runs[0]["slots"]), spent])
    head = ["scenario", "variant", "untrained", "after imitation", "after a tenth of the slots"]
    return table([*head, "final", "slots", "seconds: imitation + online"], rows)


def _sizes_table(records: Sequence[Record]) -> str:
    rows = []
    for variant in MAIN:
        runs = [run for run in chosen(records, SIZED, variant) if "sizes" in run]
        if not runs:
            continue
        for stage in ("untrained", "trained"):
            cells = [cell([run["sizes"][str(size)][stage] for run in runs]) for size in SIZES]
            rows.append([f"{variant}, {stage}", *cells])
        gaps = [f"{max(run['sizes'][str(size)]['gap'] for run in runs):.1e}" for size in SIZES]
    if not rows:
        return "Not measured.\n"
    rows.append(["*largest gap of the bound that stands for the optimum*", *gaps])
    return (
        f"Trained on `{SIZED}`, decided with as they are on the same scenario with N devices"
        " (and a map of its own).\n\n" + table(["NRR", *(f"N = {n}" for n in SIZES)], rows)
    )
