"""Run a matrix of algorithms, scenarios and seeds; run it again to go on with what is left.

python scripts/benchmark.py --algos dirs sb3:PPO greedy --scenarios paper-30x2 --seeds 5 --jobs 2
python scripts/benchmark.py --algos dirs dirs:prices --scenarios paper-30x2 paper-200x10 \
    --timesteps paper --seeds 10 --set dirs:beta=1.8
python scripts/benchmark.py --algos dirs --scenarios paper-30x2 --seeds 3 --launcher ray
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import shlex  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from mec_bench import as_text, compare, names  # noqa: E402
from mec_bench.cli import complain, count, scenario_of  # noqa: E402
from mec_bench.launching import Launcher, Processes  # noqa: E402
from mec_bench.matrix import (  # noqa: E402  # noqa: E402
    Progress,
    Report,
    changes_of,
    plan,
    run_matrix,
    seeds_of,
    tasks_of,
    timesteps_of,
)
from mec_gym.files import require_folder  # noqa: E402
from mec_gym.validation import require_choice  # noqa: E402


def main() -> int:
    """Parse, run, say what came of it."""
    given = _parser().parse_args()
    with complain():
        require_folder(given.out)
        runs = plan(
            given.algos,
            [scenario_of(name, given.scenario_set) for name in given.scenarios],
            seeds_of(given.seeds),
            timesteps_of(given.timesteps),
            changes_of(given.algos, given.set, given.config),
            n_envs=given.n_envs,
            reward=given.reward,
            device=given.device,
        )
        if given.against:  # before hours of work
            require_choice("--against", given.against, {run.label for run in runs})
        launcher = _launcher(given)
        print(f"{len(runs)} runs in {given.out}, {given.jobs} at a time", flush=True)
        report = run_matrix(
            runs, given.out, launcher, Progress(tasks_of(runs, given.out), given.jobs)
        )
        return _told(report, given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--algos", nargs="+", required=True, help=f"{', '.join(names())}, sb3:PPO, my_module:My")
    add("--scenarios", nargs="+", default=["paper-30x2"], help="presets, or JSON files")
    add("--seeds", default="10", help="how many, or a list: 0,3,7")
    add(
        "--timesteps",
        nargs="+",
        default=["paper"],
        help="slots to train for; 'paper' for its 3000, 4000, 5000; or SCENARIO=NUMBER for each",
    )
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    add("--set", metavar="ALGO:KEY=VALUE", help="hyper-parameters", **several)
    add("--config", type=Path, help="JSON or TOML with a table of hyper-parameters per algorithm")
    add("--scenario-set", metavar="KEY=VALUE", help="fields of all scenarios", **several)
    add("--n-envs", type=int, help="copies of the env")
    add("--reward", default="relative", help="relative, reciprocal or negative")
    add("--device", default="cpu", help="cpu, cuda or auto")
    add("--out", type=Path, default=Path("runs"), help="folder of all runs")
    add("--jobs", type=count, default=1, help="runs at a time")
    add("--threads", type=count, default=1, help="of torch in each run")
    add("--launcher", choices=("processes", "ray"), default="processes")
    add("--address", help="of a Ray cluster; without, a local one is started for this matrix")
    add("--against", help="label that the others are compared with")
    return parser


def _launcher(given: argparse.Namespace) -> Launcher:
    if given.launcher == "processes":
        if given.address:
            raise ValueError("--address is of a Ray cluster: add --launcher ray.")
        return Processes(given.jobs, given.threads)
    from mec_bench.on_ray import RayTasks

    return RayTasks(given.jobs, given.threads, address=given.address)


def _told(report: Report, given: argparse.Namespace) -> int:
    if report.results:
        print("\n" + as_text(compare(report.results, given.against)))
    for outcome in report.failures:
        print(f"\n{outcome.task}: {outcome.state}: {outcome.reason}\n  {outcome.task.folder}")
    done = len(report.results)
    print(f"\n{done} runs done, {report.unfinished} not; results: {given.out}")
    if report.unfinished:
        command = shlex.join([os.path.basename(sys.executable), *sys.argv])
        print(f"To go on: {command}")
    return report.status


if __name__ == "__main__":
    sys.exit(main())
