"""The demonstration: train DIRS, measure it beside every rule, a search and the optimum, report.

Every number that it prints or draws is measured in this run.
"""

from __future__ import annotations

import os

# Small networks train fastest on one thread, and much faster on shared cores.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import mec_bench  # noqa: E402  # what needs torch is loaded when it is first used
from mec_bench import Result, Settings, as_text, compare, write_report  # noqa: E402
from mec_bench.cli import complain, scenario_of  # noqa: E402
from mec_bench.measuring import decisions_of  # noqa: E402
from mec_bench.tensorboard import NetworkPicture, save_picture  # noqa: E402
from mec_gym import Scenario  # noqa: E402
from mec_gym.files import require_folder  # noqa: E402

LEARNERS = ("dirs", "dirs:prices")
SEARCH: dict[str, Any] = {"algorithm": "pso", "arguments": {"max_evaluations": 200}}


def main() -> int:
    """Train, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="paper-200x10", help="a preset, or a JSON file")
    parser.add_argument("--timesteps", type=int, default=5000, help="slots to train for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder to write to")
    given = parser.parse_args()
    begun = time.perf_counter()
    with complain():
        require_folder(given.out)
        scenario = scenario_of(given.scenario)
        results = list(_results(scenario, given.timesteps, given.seed, given.out / "runs"))
        print(f"\n{as_text(compare(results, LEARNERS[0]))}\n")
        print("NRR is optimum / objective in the same slot: 1 is perfect. Figures are per slot.")
        print("docs/algorithms says what each policy is and knows.")
        *_, page = write_report(results, [], given.out)
        print(f"\nReport: {page}")
        _draw(given.out, scenario, given.timesteps, given.seed)
        print(f"TensorBoard: {_tensorboard()} --logdir {given.out / 'runs'}")
    print(f"Everything above was measured now, in {time.perf_counter() - begun:.0f} s.")
    return 0


def _draw(out: Path, scenario: Scenario, timesteps: int, seed: int) -> None:
    """Draw one slot as the trained agents decide it, where pictures can be drawn."""
    settings = Settings(algorithm=LEARNERS[0], scenario=scenario, timesteps=timesteps, seed=seed)
    run = out / "runs" / settings.place
    try:
        picture = NetworkPicture(settings.scenario, "db")
    except ModuleNotFoundError:
        print('No picture of a slot: pip install ".[render]" for that.')
        return
    model = mec_bench.algorithm(settings.algorithm).load(run / "model.zip")
    save_picture(picture.of(decisions_of(model, settings.scenario)), out / "slot.png")
    print(f"One slot as {settings.label} decides it: {out / 'slot.png'}")


def _results(scenario: Scenario, timesteps: int, seed: int, runs: Path) -> Iterator[Result]:
    """Yield what each policy reaches, learners first."""
    for name in LEARNERS:
        settings = Settings(algorithm=name, scenario=scenario, timesteps=timesteps, seed=seed)
        # All is made anew, also when it is run a second time.
        shutil.rmtree(runs / settings.place, ignore_errors=True)
        print(f"{name}: training for {timesteps} slots of {scenario.name}", flush=True)
        yield mec_bench.train(settings, runs / settings.place, progress_bar=True)
    others: list[dict[str, Any]] = [{"algorithm": name} for name in mec_bench.rule_names()]
    for other in (*others, SEARCH):
        settings = Settings(scenario=scenario, timesteps=0, seed=seed, **other)
        print(f"{settings.label}: measuring", flush=True)
        shutil.rmtree(runs / settings.place, ignore_errors=True)
        try:
            yield mec_bench.train(settings, runs / settings.place)
        except ValueError as error:  # a rule that this scenario has no answer for
            print(f"{settings.label}: left out. {error}", flush=True)


def _tensorboard() -> str:
    """Return how TensorBoard is called from where the user stands."""
    beside = Path(sys.executable).with_name("tensorboard")
    return os.path.relpath(beside) if beside.exists() else "tensorboard"


if __name__ == "__main__":
    sys.exit(main())
