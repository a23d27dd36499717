"""Train an algorithm on a scenario: one run in a folder of its own, with everything to defend it.

python scripts/train.py --algo dirs --scenario paper-200x10 --timesteps 5000 --seed 0
python scripts/train.py --algo sb3:PPO --scenario paper-30x2 --timesteps 20000 --set n_steps=64
python scripts/train.py --algo my_module:MyAlgo --scenario my-scenario.json --timesteps 1000
python scripts/train.py --resume runs/paper-200x10/dirs-5000/seed-0
"""

from __future__ import annotations

import os

# Small networks train fastest on one thread, and much faster on shared cores.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import shlex  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import mec_bench  # noqa: E402  # what needs torch is loaded when it is first used
from mec_bench.cli import changes, complain, scenario_of  # noqa: E402
from mec_gym.files import require_folder  # noqa: E402


def main() -> int:
    """Parse, train, say what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--algo", help=f"{', '.join(mec_bench.names())}, sb3:PPO, my_module:MyAlgo")
    parser.add_argument("--scenario", default="paper-200x10", help="a preset, or a JSON file")
    parser.add_argument("--timesteps", type=int, default=5000, help="slots to train for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="hyper-parameters; policy_kwargs.x=1 reaches inside",
    )
    parser.add_argument(
        "--scenario-set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="fields of the scenario",
    )
    parser.add_argument("--n-envs", type=int, help="copies of the env")
    parser.add_argument("--reward", default="relative", help="relative, reciprocal or negative")
    parser.add_argument("--observation", help="db, raw or flat")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--label", default="", help="name in tables")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run's folder")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args()
    if (given.algo is None) == (given.resume is None):
        parser.error("give either --algo or --resume")
    others = [key for key in vars(given) if key not in ("resume", "quiet")]
    if given.resume and any(getattr(given, key) != parser.get_default(key) for key in others):
        parser.error("--resume goes on with the run as it is: give nothing else but --quiet")
    with complain():
        if given.resume:
            folder, settings = given.resume, mec_bench.RunFolder(given.resume).settings()
            if settings is None:
                raise FileNotFoundError(f"{folder} is not the folder of a run: no settings.json.")
        else:
            require_folder(given.out)
            # Refuses before anything is said.
            learns = mec_bench.algorithm(given.algo, changes(given.set)).learns
            settings = mec_bench.Settings(
                algorithm=given.algo,
                scenario=scenario_of(given.scenario, given.scenario_set),
                timesteps=given.timesteps if learns else 0,  # a rule has one folder
                seed=given.seed,
                arguments=changes(given.set),
                n_envs=given.n_envs,
                reward=given.reward,
                observation=given.observation,
                device=given.device,
                label=given.label,
            )
            folder = given.out / settings.place
        print(f"{settings.label} on {settings.scenario.name}, seed {settings.seed}: {folder}")
        result = _trained(settings, folder, progress_bar=not given.quiet)
        print(mec_bench.as_text(mec_bench.compare([result])))
        print(f"tensorboard --logdir {given.out if given.resume is None else folder}")
    return 0


def _trained(settings: mec_bench.Settings, folder: Path, *, progress_bar: bool) -> mec_bench.Result:
    new = not folder.exists()
    try:
        return mec_bench.train(settings, folder, progress_bar=progress_bar)
    except (AssertionError, AttributeError, ImportError, TypeError, ValueError):
        if new:  # else somebody may want to know that it failed
            mec_bench.RunFolder(folder).forget()
        raise
    except KeyboardInterrupt:
        command = [os.path.basename(sys.executable), sys.argv[0], "--resume", str(folder)]
        sys.stderr.write(f"\nTo go on: {shlex.join(command)}")
        raise


if __name__ == "__main__":
    sys.exit(main())
