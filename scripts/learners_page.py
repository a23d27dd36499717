"""Write what every learner reaches on the paper's scenarios: docs/learners.md, .json, README.

Makes its page of result files alone; `make learners` trains what is missing first.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import Result, compare, read_results
from experiments.arguments import complain
from experiments.report.provenance import warnings
from experiments.statistics.grouping import arenas
from experiments.statistics.pairing import crossed_mean

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- learners: written by `make learners` -->\n", "<!-- end of learners -->"

NAMES = {
    "dirs": "DIRS, the paper's options",
    "dirs:ensemble": "DIRS, optimal labels, loss of the vote",
    "dirs:prices": "DIRS, price-posting agents",
    "ac": "AC",
    "ddpg": "DDPG",
    "maddpg": "MADDPG",
    "examples.cross_entropy:CrossEntropy": "cross-entropy, one constant assignment",
    "random": "random",
    "random:limit": "random, admission limit",
    "nearest:limit": "nearest server, admission limit",
    "keep-what-pays": "no prices, servers keep what pays",
    "posted-prices": "posted prices",
    "greedy": "greedy",
}
"""Labels of runs, and what the table calls them."""

HEADER = """# What every learner reaches

Written by `make learners`; do not edit. NRR is optimum / objective on 200 frozen slots of the
scenario's own map that no training and no tuning has seen; the final policy, after as many slots of
training as the paper has (3,000 at 30 x 2, 5,000 elsewhere); mean and half the width of a 95 %
interval over training seeds and layouts (Student's t; for rules, in italics, over layouts). In
brackets the policy before training. The defaults of AC, DDPG and MADDPG were found by hand; then
each had the same small budget of trials, the defaults among them, on other seeds and slots of the
first two scenarios (`scripts/tune_learners.py`, every trial in
[baselines/settings](../baselines/settings/ddpg.json)). DIRS was not tuned: its settings are the
paper's, or those of [dirs-results.md](dirs-results.md). How long training takes is measured where
nothing else runs: [benchmarks](../benchmarks/README.md). Raw figures:
[learners.json](learners.json).

"""


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/learners"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the page")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md, too")
    given = parser.parse_args()
    found = read_results([given.runs])
    for problem in found.problems:
        print(f"{problem.file}: {problem.reason}")
    with complain():
        groups = _grouped(found.results)
    table = _table(groups, "NRR", _reached)
    page = given.out / "learners.md"
    page.write_text(f"{HEADER}{table}{_warned(found.results)}", encoding="utf-8")
    raw = {
        "format": "mec-gym/learners",
        "version": 1,
        "runs": [_raw(result) for result in found.results],
    }
    page.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    print("wrote", page)
    if given.readme:
        readme = ROOT / "README.md"
        before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
        readme.write_text(f"{before}{BEGIN}{table}{END}{rest.split(END)[1]}", encoding="utf-8")


Groups = dict[tuple[str, str], list[Result]]


def _grouped(results: Sequence[Result]) -> Groups:
    groups: Groups = defaultdict(list)
    for arena in arenas(results):
        for group in arena.groups:
            if group.label not in NAMES:
                raise ValueError(f"{group.label!r} has no line in the table: add it to NAMES.")
            if groups[group.label, arena.name] and group.learns:
                raise ValueError(f"{group.label!r} has two budgets in {arena.name}.")
            groups[group.label, arena.name] = list(group.results)
    return groups


def _table(groups: Groups, head: str, cell: Any) -> str:
    scenarios = list(dict.fromkeys(scenario for _, scenario in sorted(groups, key=_order)))
    lines = [f"| {head} | {' | '.join(scenarios)} |", "|---" * (len(scenarios) + 1) + "|"]
    for label, name in NAMES.items():
        cells = [cell(groups.get((label, scenario), [])) for scenario in scenarios]
        rule = not any(r.learns for (one, _), rs in groups.items() if one == label for r in rs)
        if any(cells):
            lines.append(f"| {f'*{name}*' if rule else name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _order(key: tuple[str, str]) -> tuple[bool, str]:
    return not key[1].startswith("paper-30"), key[1]


def _reached(results: Sequence[Result]) -> str:
    if not results:
        return ""
    values = np.stack([np.asarray(result.slots.nrr).mean(1) for result in results])
    mean = crossed_mean(values, learns=results[0].learns)
    shown = f"{mean.value:.4f}" + (f" ± {mean.half:.4f}" if math.isfinite(mean.half) else "")
    if not results[0].learns:
        return shown
    before = float(np.mean([result.curve[0].nrr for result in results]))
    several = "seed" if len(results) == 1 else "seeds"
    return f"{shown} ({before:.3f}), {len(results)} {several}"


def _warned(results: Sequence[Result]) -> str:
    """Return what a reader should know before comparing rows."""
    found = [
        f"- {table.title}: {one}" for table in compare(results).tables for one in warnings(table)
    ]
    return "\n## Before you compare\n\n" + "\n".join(found) + "\n" if found else ""


def _raw(result: Result) -> dict[str, Any]:
    return {
        "label": result.label,
        "scenario": result.scenario,
        "seed": result.seed,
        "timesteps": result.timesteps,
        "arguments": dict(result.arguments),
        "nrr": float(np.mean(result.slots.nrr)),
        "nrr_of_layouts": np.asarray(result.slots.nrr).mean(1).round(6).tolist(),
        "untrained": result.curve[0].nrr if result.curve else None,
        "training_s": round(result.seconds.training or 0.0, 1),
        "commit": result.system.commit,
        "versions": dict(result.system.versions),
    }


if __name__ == "__main__":
    main()
