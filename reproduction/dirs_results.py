"""Train DIRS in all its variants and write what each reaches: docs/dirs-results.md and .json.

Every figure there comes from here. A run that is already on disk is not repeated, so the script
can be interrupted; delete the folder of runs to begin anew.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

from mec_bench.cli import complain, count  # noqa: E402
from mec_gym import Scenario  # noqa: E402
from mec_gym.files import around, require_folder  # noqa: E402
from reproduction.variants.page import BEGIN, END, write_page  # noqa: E402
from reproduction.variants.runs import Plan, read  # noqa: E402
from reproduction.variants.working import work  # noqa: E402

README = Path(__file__).resolve().parents[1] / "README.md"


def main() -> int:
    """Run what is missing, write the page, say what failed."""
    given = _parser().parse_args()
    plan = Plan(
        presets=given.presets,
        seeds=given.seeds,
        ablations=given.ablations,
        ablation_seeds=given.ablation_seeds,
        slots=given.slots,
    )
    with complain(status=2):
        require_folder(given.out)
        require_folder(given.runs, "--runs")
        if given.readme:
            around(README, BEGIN, END)
        for preset in (*plan.presets, *plan.ablations):
            Scenario.preset(preset)
        wanted = plan.runs()
        missing = [run for run in wanted if not run.done(given.runs)]
        print(f"{len(wanted)} runs, {len(missing)} to do", flush=True)
        if given.list:
            return 0
        if given.page or not missing:
            _write(plan, given)
            return 0
    with complain():
        say = partial(print, flush=True)
        failed = work(missing, given.runs, processes=given.jobs, say=say)
        for text in failed:
            print("failed:", text)
        _write(plan, given)
    return 1 if failed else 0


def _write(plan: Plan, given: argparse.Namespace) -> None:
    records = read(plan.runs(), given.runs)
    if not records:
        raise ValueError(f"{given.runs} holds none of the runs that the page is to show.")
    readme = README if given.readme else None
    print("wrote", write_page(records, plan, given.out, readme=readme))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    usual = Plan()
    parser.add_argument(
        "--seeds", type=count, default=usual.seeds, help="training seeds per variant"
    )
    parser.add_argument("--jobs", type=count, default=2, help="runs side by side")
    parser.add_argument(
        "--presets", nargs="*", default=usual.presets, help="scenarios of the main table"
    )
    parser.add_argument("--ablations", nargs="*", default=usual.ablations, help="their scenarios")
    parser.add_argument(
        "--ablation-seeds", type=count, default=usual.ablation_seeds, help="training seeds of each"
    )
    parser.add_argument("--slots", type=count, help="train for so many slots instead (a test)")
    parser.add_argument("--runs", type=Path, default=Path("runs/dirs-results"), help="for runs")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--readme", action="store_true", help="put a table into README.md, too")
    parser.add_argument("--list", action="store_true", help="say what is missing, and stop")
    parser.add_argument("--page", action="store_true", help="write the page of the runs there are")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
