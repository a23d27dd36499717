"""Write what stock learners reach with baselines/settings: the table in docs/training.md.

Makes its table of result files alone, or of raw figures; `make stock` trains what is missing first.
Rows whose runs are not there stay as the raw figures have them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mec_bench import Result, read_results
from mec_bench.cards import SETTINGS
from mec_bench.cli import complain
from mec_bench.matrix import configured, plan
from mec_bench.registry import title
from mec_bench.run import label_of
from mec_bench.tables import plus_minus
from mec_gym import Scenario
from mec_gym.files import around, read_figures, require_folder, write_whole
from reproduction import pages
from reproduction.learned import cautions
from reproduction.records import grouped, mean_score, merged, record_of

FORMAT, VERSION = "mec-gym/stock", 1

SCENARIOS = ("paper-30x2", "bandlimited-200x10", "unequal-200x10")
RULES = ("local", "keep-what-pays")
PAGE, FILE = "training.md", "stock.json"

BEGIN = "<!-- stock: written by make stock -->"
END = "<!-- end of stock -->"


def main() -> int:
    """Read, write; say what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/stock"))
    parser.add_argument("--raw", type=Path, help="write the table of a stock.json, and stop")
    parser.add_argument("--out", type=Path, help="folder of page and raw figures")
    given = parser.parse_args()
    folder, results = pages.places(given.out)
    with complain(status=2):
        require_folder(folder)
        if given.raw:
            write(read(given.raw), folder, results)
            return 0
        found = read_results([given.runs])
        for problem in found.problems:
            print(f"left out: {problem.file}: {problem.reason}")
        if not found.results:
            raise ValueError(f"{given.runs} holds no results to show; `make stock` trains.")
        write(with_kept(collected(found.results), results / FILE), folder, results)
    return 1 if found.problems else 0


def read(figures: Path) -> dict[str, Any]:
    """Return raw figures."""
    return read_figures(figures, FORMAT, VERSION, "reproduction/stock.py")


def collected(results: Sequence[Result]) -> dict[str, Any]:
    """Return raw figures of results: a record of each."""
    known, runs = {*settings(), *RULES}, []
    for result in results:
        label = label_of(result.algorithm, result.arguments)
        if label not in known:
            raise ValueError(f"{label!r} is trained with settings that no file here holds.")
        runs.append(record_of(result) | {"label": label})
    return {"runs": runs}


def with_kept(raw: Mapping[str, Any], figures: Path) -> dict[str, Any]:
    """Return raw figures with the runs that only a file of before has."""
    kept = read(figures)["runs"] if figures.exists() else []
    return {"runs": merged(raw["runs"], kept)}


def settings() -> dict[str, Path]:
    """Return the files with settings of stock learners by algorithm and all that they change."""
    found = {}
    for file in sorted(SETTINGS.glob("sb3*.json")):
        changed = configured(file)
        (run,) = plan([*changed], [Scenario.preset(SCENARIOS[0])], [0], 1, changed)
        found[run.label] = file
    return found


def write(raw: Mapping[str, Any], folder: Path, results: Path) -> None:
    """Write raw figures, and the table into the page."""
    page = folder / PAGE
    before, after = around(page, f"{BEGIN}\n", END)
    shown = table(raw)  # which refuses figures that the next call could not mend
    pages.write_json(results / FILE, {"format": FORMAT, "version": VERSION, **raw})
    write_whole(page, f"{before}{BEGIN}\n{shown}{END}{after}")
    print("wrote", page)


def table(raw: Mapping[str, Any]) -> str:
    """Return the table: scenario by scenario, first rules, then learners."""
    runs = grouped(raw["runs"])
    names = {rule: f"*{title(rule)}*" for rule in RULES} | {
        label: f"[{label.partition('[')[0]}](../baselines/settings/{file.name})"
        for label, file in settings().items()
    }
    cells = [
        [scenario, name, *_cells(runs[label, scenario])]
        for scenario in SCENARIOS
        for label, name in names.items()
        if (label, scenario) in runs
    ]
    head = ["scenario", "settings", "seeds", "slots", "before", "NRR", "seconds"]
    said = [f"- {one}\n" for name in SCENARIOS for one in cautions(name, raw["runs"])]
    return f"{pages.head(head)}\n{pages.rows(cells)}\n\n{''.join(said)}"


def _cells(records: Sequence[Mapping[str, Any]]) -> list[str]:
    reached = mean_score(records)
    shown = plus_minus(reached.value, reached.half)
    slots, *others = {one["timesteps"] for one in records}
    if others:
        label, scenario = records[0]["label"], records[0]["scenario"]
        raise ValueError(f"{label} on {scenario}: runs of {slots} slots and of {others[0]}.")
    if not slots:
        return ["", "", "", shown, ""]
    before = np.mean([one["untrained"] for one in records])
    # The least disturbed; processor time where a run has kept it.
    seconds = min(one.get("training_cpu_s") or one["training_s"] for one in records)
    return [str(len(records)), f"{slots:,}", f"{before:.3f}", shown, f"{seconds:.0f}"]


if __name__ == "__main__":
    raise SystemExit(main())
