"""Write what every learner reaches on the paper's scenarios: docs/learners.md.

Makes its page of result files alone, or of raw figures; `make learners` trains what is missing
first.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mec_bench import Result, compare, read_results
from mec_bench.cli import complain
from mec_bench.registry import title
from mec_bench.report import warnings
from mec_bench.statistics import Interval, arenas, crossed_mean
from mec_bench.tables import plus_minus
from mec_gym.files import read_figures, read_object, require_folder
from reproduction import pages

FORMAT, VERSION = "mec-gym/learners", 2

ROWS = (
    *("dirs", "dirs:ensemble", "dirs:prices"),
    *("ac", "ac:links", "ddpg", "ddpg:links", "maddpg", "maddpg:links"),
    "examples.cross_entropy:CrossEntropy",
    *("local", "random", "random:limit", "nearest:limit"),
    *("keep-what-pays", "posted-prices", "greedy"),
)
"""Labels of runs, in the order of the table."""

NAMES = {
    "examples.cross_entropy:CrossEntropy": "cross-entropy, one constant assignment",
}
"""Of rows that are no algorithm of the project as it is."""

SCATTER = 0.02  # half an interval beyond which the page shows every seed

TUNED = ("ac", "ddpg", "maddpg")
SETTINGS = pages.ROOT / "baselines" / "settings"

Runs = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""Records of runs by label and scenario."""


def main() -> int:
    """Read, compare, write; say what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/learners"))
    parser.add_argument("--raw", type=Path, help="write the page of a learners.json, and stop")
    parser.add_argument("--out", type=Path, help="folder of page and raw figures")
    given = parser.parse_args()
    with complain(status=2):
        require_folder(pages.places(given.out)[0])
        if given.raw:
            raw = read_figures(given.raw, FORMAT, VERSION, "reproduction/learners.py")
            print("wrote", write_page(raw, given.out))
            return 0
        found = read_results([given.runs])
        for problem in found.problems:
            print(f"left out: {problem.file}: {problem.reason}")
        if not found.results:
            raise ValueError(f"{given.runs} holds no results to show; `make learners` trains.")
        print("wrote", write_page(collected(found.results), given.out))
    return 1 if found.problems else 0


def collected(results: Sequence[Result]) -> dict[str, Any]:
    """Return raw figures of results: a record of each, and what a reader should know first."""
    _require_rows(results)
    return {
        "runs": [record_of(result) for result in results],
        "warnings": [
            f"{table.title}: {one}" for table in compare(results).tables for one in warnings(table)
        ],
    }


def _require_rows(results: Sequence[Result]) -> None:
    """Raise unless every result has a row, and every learner one budget per scenario."""
    budgets: dict[tuple[str, str], int] = {}
    for arena in arenas(results):
        for group in arena.groups:
            if group.label not in ROWS:
                raise ValueError(f"{group.label!r} has no line in the table: add it to ROWS.")
            key = group.label, arena.name
            budgets[key] = budgets.get(key, 0) + group.learns
            if budgets[key] > 1:
                raise ValueError(f"{group.label!r} has two budgets in {arena.name}.")


def record_of(result: Result) -> dict[str, Any]:
    """Return what raw figures keep of a result."""
    return {
        "label": result.label,
        "scenario": result.scenario,
        "seed": result.seed,
        "timesteps": result.timesteps,
        "arguments": dict(result.arguments),
        "nrr": float(np.mean(result.slots.score)),
        "nrr_of_layouts": np.asarray(result.slots.score).mean(1).round(9).tolist(),
        "untrained": result.curve[0].score if result.curve else None,
        "training_s": round(result.seconds.training or 0.0, 1),
        "commit": result.system.commit,
        "versions": dict(result.system.versions),
    }


def write_page(raw: Mapping[str, Any], out: Path | None) -> Path:
    """Write page and raw figures."""
    folder, results = pages.places(out)
    figures = results / "learners.json"
    pages.write_json(figures, {"format": FORMAT, "version": VERSION, **raw})
    return pages.write_page(folder / "learners.md", figures, "learners.md.j2", **content(raw))


def content(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows."""
    runs = grouped(raw["runs"])
    scenarios = sorted(dict.fromkeys(scenario for _, scenario in runs), key=_order)
    return {
        "scenarios": scenarios,
        "rows": [
            _row(runs, label, scenarios) for label in ROWS if any(one == label for one, _ in runs)
        ],
        "scattered": _scattered(runs, scenarios),
        "warnings": raw["warnings"],
        "several_commits": len({run["commit"] for run in raw["runs"]}) > 1,
        "tuning": budget_of_tuning(),
        "best": {name_of(name): _best_trial(name, "unequal-200x10") for name in TUNED},
    }


def name_of(label: str) -> str:
    """Return what the table calls a row."""
    return NAMES.get(label) or title(label)


def grouped(records: Sequence[Mapping[str, Any]]) -> Runs:
    """Return records by label and scenario, in their own order."""
    runs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        runs.setdefault((record["label"], record["scenario"]), []).append(record)
    return runs


def _order(scenario: str) -> tuple[bool, str]:
    return not scenario.startswith("paper-30"), scenario


def _row(runs: Runs, label: str, scenarios: Sequence[str]) -> list[str]:
    learns = any(_learns(found) for (one, _), found in runs.items() if one == label)
    name = name_of(label) if learns else f"*{name_of(label)}*"
    return [name, *(_reached(runs.get((label, scenario), [])) for scenario in scenarios)]


def _learns(records: Sequence[Mapping[str, Any]]) -> bool:
    return any(record["timesteps"] for record in records)


def mean_nrr(records: Sequence[Mapping[str, Any]]) -> Interval:
    """Return the NRR over training seeds and batches of slots; of a rule, over batches alone."""
    return crossed_mean([one["nrr_of_layouts"] for one in records], learns=_learns(records))


def _reached(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return ""
    mean = mean_nrr(records)
    shown = plus_minus(mean.value, mean.half)
    if not _learns(records):
        return shown
    before = plus_minus(float(np.mean([one["untrained"] for one in records])), math.nan)
    return f"{shown} ({before}), {len(records)} seed{'s' * (len(records) > 1)}"


def _scattered(runs: Runs, scenarios: Sequence[str]) -> list[dict[str, Any]]:
    """Return every seed of the rows whose mean says little of one of them."""
    return [
        {
            "scenario": scenario,
            "name": name_of(label),
            "nrr": sorted((one["nrr"] for one in found), reverse=True),
        }
        for scenario in scenarios
        for label in sorted(ROWS)
        if _learns(found := runs.get((label, scenario), [])) and mean_nrr(found).half > SCATTER
    ]


# -- how settings were found -----------------------------------------------------------------------


def _trials(name: str, kind: str = "trials") -> list[dict[str, Any]]:
    return list(read_object(SETTINGS / f"{name.replace(':', '-')}.json")[kind])


def budget_of_tuning() -> tuple[int, list[tuple[str, int]]]:
    """Return the trials that each learner had, and the slots of each scenario: equal for all."""
    budgets = set()
    for name in TUNED:
        trials = [(one["scenario"], one["slots"]) for one in _trials(name)]
        (count,) = {trials.count(one) for one in trials}
        budgets.add((count, tuple(dict.fromkeys(trials))))
    ((count, places),) = budgets
    return count, list(places)


def _best_trial(name: str, scenario: str) -> float:
    """Return what the best trial of a learner reached on a scenario."""
    return float(max(one["nrr"] or 0.0 for one in _trials(name) if one["scenario"] == scenario))


if __name__ == "__main__":
    raise SystemExit(main())
