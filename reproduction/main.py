"""Regenerate the tables and figures of the paper's Section V, its numbers beside ours.

Runs and measurements that are done are not repeated, so the script can be interrupted at any
time. Page, figures and raw results are written to --out; with --docs the page to docs/, raw
results to reproduction/results/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mec_bench.cli import complain, count
from mec_gym.files import require_folder
from reproduction.jobs import FULL, QUICK, plan, unique, work
from reproduction.pages import places
from reproduction.raw import Raw, collect, read_raw
from reproduction.section_five import EXHIBITS, RAW, write_page


def main() -> int:
    """Do what is missing, then write the page."""
    given = _parser().parse_args()
    with complain():
        require_folder(places(None if given.docs else given.out)[0])
        if given.raw:
            _write(read_raw(given.raw), given)
            return 0
        return _reproduce(given)


def _reproduce(given: argparse.Namespace) -> int:
    budget = QUICK if given.quick else FULL
    runs = given.runs or Path("runs/reproduction-quick" if given.quick else "runs/reproduction")
    require_folder(runs, "--runs")
    everything = plan(budget)
    wanted = everything if "all" in given.what else given.what
    jobs = [job for name in wanted for job in everything[name]]
    if given.list:
        for job in unique(jobs, runs):
            print("done " if job.done(runs) else "to do", job)
        return 0
    failed = []
    if not given.page:
        failed = work(jobs, runs, processes=given.jobs)
    # The page is of everything that there is, not only of what was asked for this time.
    raw = collect(everything, budget, runs)
    if given.docs:
        _require_no_less(raw, runs)
    _write(raw, given)
    for text in failed:
        print("failed:", text)
    return 1 if failed else 0


def _require_no_less(raw: Raw, runs: Path) -> None:
    """Raise ``ValueError`` if figures on record would be lost."""
    figures = places(None)[1] / RAW
    known = read_raw(figures).progress if figures.exists() else {}
    less = [name for name, (done, _) in raw.progress.items() if done < known.get(name, (0,))[0]]
    if less:
        raise ValueError(
            f"--docs must lose no figures: {figures} has more runs of {', '.join(less)} than "
            f"{runs}. Give the folder that they lie in by --runs, or leave out --docs."
        )


def _write(raw: Raw, given: argparse.Namespace) -> None:
    print("wrote", write_page(raw, *places(None if given.docs else given.out)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("what", nargs="+", choices=[*EXHIBITS, "all"], help="tables and figures")
    add("--quick", action="store_true", help="small budgets: minutes, not hours")
    add("--jobs", type=count, default=2, help="runs side by side (2)")
    add("--runs", type=Path, help="for runs (runs/reproduction[-quick])")
    out = Path("build/reproduction")
    add("--out", type=Path, default=out, help=f"for the page ({out})")
    add("--docs", action="store_true", help="write the page to docs/ instead")
    add("--list", action="store_true", help="say what is done, and stop")
    add("--page", action="store_true", help="write the page of the runs there are")
    add("--raw", type=Path, help="write the page of a reproduction.json, and stop")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
