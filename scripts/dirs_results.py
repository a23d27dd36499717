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

from experiments.variants.page import write_page  # noqa: E402
from experiments.variants.runs import Plan, read  # noqa: E402
from experiments.variants.working import work  # noqa: E402
from experiments.writing import require_folder  # noqa: E402

README = Path(__file__).resolve().parents[1] / "README.md"


def main() -> None:
    """Run what is missing, then write the page."""
    parser = _parser()
    given = parser.parse_args()
    try:
        require_folder(given.out)
        require_folder(given.runs)
    except OSError as error:
        parser.error(str(error))
    plan = Plan(
        presets=given.presets,
        seeds=given.seeds,
        ablations=given.ablations,
        ablation_seeds=given.ablation_seeds,
        slots=given.slots,
    )
    wanted = plan.runs()
    missing = [run for run in wanted if not run.done(given.runs)]
    print(f"{len(wanted)} runs, {len(missing)} to do", flush=True)
    if given.list:
        return
    if not given.page:
        say = partial(print, flush=True)
        work(missing, given.runs, processes=given.jobs, say=say)
    readme = README if given.readme else None
    print("wrote", write_page(read(wanted, given.runs), plan, given.out, readme=readme))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    usual = Plan()
    parser.add_argument("--seeds", type=int, default=usual.seeds, help="training seeds per variant")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument(
        "--presets", nargs="*", default=usual.presets, help="scenarios of the main table"
    )
    parser.add_argument("--ablations", nargs="*", default=usual.ablations, help="their scenarios")
    parser.add_argument(
        "--ablation-seeds", type=int, default=usual.ablation_seeds, help="training seeds of each"
    )
    parser.add_argument("--slots", type=int, help="train for so many slots instead (a test)")
    parser.add_argument("--runs", type=Path, default=Path("runs/dirs-results"), help="for runs")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--readme", action="store_true", help="put a table into README.md, too")
    parser.add_argument("--list", action="store_true", help="say what is missing, and stop")
    parser.add_argument("--page", action="store_true", help="write the page of the runs there are")
    return parser


if __name__ == "__main__":
    main()
