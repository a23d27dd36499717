"""Regenerate the tables and figures of the paper's Section V, its numbers beside ours.

Runs and measurements that are done are not repeated, so the script can be interrupted at any
time. Page, figures and raw results are written to --out, or with --docs to docs/.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # reproduction is not installed

from mec_bench.cli import complain, count  # noqa: E402
from mec_gym.files import require_folder  # noqa: E402
from reproduction.budget import FULL, QUICK  # noqa: E402
from reproduction.page import write_page  # noqa: E402
from reproduction.plan import PLAN  # noqa: E402
from reproduction.raw import collect, read_raw  # noqa: E402
from reproduction.working import unique, work  # noqa: E402


def main() -> int:
    """Do what is missing, then write the page."""
    given = _parser().parse_args()
    out = ROOT / "docs" if given.docs else given.out
    with complain():
        require_folder(out)
        if given.raw:
            print("wrote", write_page(read_raw(given.raw), out))
            return 0
        return _reproduce(given, out)


def _reproduce(given: argparse.Namespace, out: Path) -> int:
    budget = QUICK if given.quick else FULL
    runs = given.runs or Path("runs/reproduction-quick" if given.quick else "runs/reproduction")
    require_folder(runs, "--runs")
    wanted = list(PLAN) if "all" in given.what else given.what
    jobs = [job for name in wanted for job in PLAN[name](budget)]
    if given.list:
        for job in unique(jobs, runs):
            print("done " if job.done(runs) else "to do", job.words)
        return 0
    failed = []
    if not given.page:
        failed = work(jobs, runs, processes=given.jobs, say=lambda text: print(text, flush=True))
    # The page is of everything that there is, not only of what was asked for this time.
    everything = {name: jobs_of(budget) for name, jobs_of in PLAN.items()}
    print("wrote", write_page(collect(everything, budget, runs), out))
    for text in failed:
        print("failed:", text)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*PLAN, "all"]
    parser.add_argument("what", nargs="+", choices=names, help="tables and figures")
    parser.add_argument("--quick", action="store_true", help="small budgets: minutes, not hours")
    parser.add_argument("--jobs", type=count, default=2, help="runs side by side (2)")
    parser.add_argument("--runs", type=Path, help="for runs (runs/reproduction[-quick])")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/reproduction"),
        help="for the page (build/reproduction)",
    )
    parser.add_argument("--docs", action="store_true", help="write the page to docs/ instead")
    parser.add_argument("--list", action="store_true", help="say what is done, and stop")
    parser.add_argument("--page", action="store_true", help="write the page of the runs there are")
    parser.add_argument("--raw", type=Path, help="write the page of a reproduction.json, and stop")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
