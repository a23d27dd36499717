"""Measure saved models and rules on the frozen slots of a scenario, side by side.

    python scripts/evaluate.py runs/paper-200x10/dirs-5000/seed-0 greedy posted-prices
    python scripts/evaluate.py dirs.zip --algo dirs --scenario paper-200x10

RUN is the folder of a run, a folder of runs, a model's file (with --algo), or the name of a rule.
Every figure is measured anew, on this machine; the table says how they differ, slot by slot.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import mec_bench  # noqa: E402  # what needs torch is loaded when it is first used
from mec_bench.cli import complain, count, scenario_of  # noqa: E402
from mec_gym.files import require_folder  # noqa: E402


def main() -> int:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--algo", help="the algorithm of models given as files")
    parser.add_argument("--scenario", help="of the slots; the first run's own by default")
    parser.add_argument(
        "--scenario-set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="fields of the scenario",
    )
    parser.add_argument("--layouts", type=count, default=40, help="of the frozen slots")
    parser.add_argument("--against", help="label that the others are compared with")
    parser.add_argument("--out", type=Path, help="folder for one result.json per policy")
    given = parser.parse_args()
    if given.scenario_set and not given.scenario:
        parser.error("--scenario-set changes the fields of a --scenario: give both")
    with complain():
        if given.out:
            require_folder(given.out)
        if given.out and any(given.out.rglob("result.json")):
            raise FileExistsError(f"{given.out} holds results already: choose another folder.")
        scenario = scenario_of(given.scenario, given.scenario_set) if given.scenario else None
        results = list(
            mec_bench.evaluate_again(
                given.runs, algo=given.algo, scenario=scenario, layouts=given.layouts
            )
        )
        try:
            if given.out:  # first of all: they were measured with patience
                for number, result in enumerate(results):
                    mec_bench.write_result(given.out / f"{number:03d}" / "result.json", result)
        finally:  # a full disk takes nothing from the table
            print(mec_bench.as_text(mec_bench.compare(results, given.against)))
        if given.out:
            print(f"\nresults: {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
