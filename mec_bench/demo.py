"""The demonstration: DIRS is trained and measured beside every rule, a search and the optimum."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from mec_bench import Result, Settings, algorithm, as_text, compare, rule_names, train
from mec_bench.extras import install
from mec_bench.measuring import decisions_of
from mec_bench.report import write_report
from mec_bench.tensorboard import NetworkPicture, save_picture
from mec_gym import Scenario

LEARNERS = ("dirs", "dirs:prices")
MISSING = (DependencyNotInstalled, ModuleNotFoundError)
SEARCH: dict[str, Any] = {"algorithm": "pso", "arguments": {"max_evaluations": 200}}


def demonstrate(scenario: Scenario, timesteps: int, seed: int, out: Path) -> None:
    """Train, measure, print, and draw a report; every number is measured now."""
    begun = time.perf_counter()
    learners = [
        Settings(algorithm=name, scenario=scenario, timesteps=timesteps, seed=seed)
        for name in LEARNERS
    ]
    results = list(_results(learners, out / "runs"))
    print(f"\n{as_text(compare(results, LEARNERS[0]))}\n")
    print(f"{results[0].measure.definition} Figures are per slot.")
    *_, page = write_report(results, [], out)
    print(f"\nReport: {page}")
    _draw(learners[0], out)
    print(f"TensorBoard: {_tensorboard()} --logdir {out / 'runs'}")
    print(f"Everything above was measured now, in {time.perf_counter() - begun:.0f} s.")


def _results(learners: list[Settings], runs: Path) -> Iterator[Result]:
    """Yield what each policy reaches, learners first; all is made anew, also a second time."""
    for settings in learners:
        shutil.rmtree(runs / settings.place, ignore_errors=True)
        what = f"training for {settings.timesteps} slots of {settings.scenario.name}"
        print(f"{settings.label}: {what}", flush=True)
        yield train(settings, runs / settings.place, progress_bar=True)
    one = learners[0]
    for other in (*({"algorithm": name} for name in rule_names()), SEARCH):
        settings = Settings(scenario=one.scenario, timesteps=0, seed=one.seed, **other)
        print(f"{settings.label}: measuring", flush=True)
        shutil.rmtree(runs / settings.place, ignore_errors=True)
        try:
            yield train(settings, runs / settings.place)
        except (*MISSING, ValueError) as error:  # an extra; a scenario that it has no answer for
            print(f"{settings.label}: left out. {error}", flush=True)


def _draw(settings: Settings, out: Path) -> None:
    """Draw one slot as the trained agents decide it, where pictures can be drawn."""
    try:
        picture = NetworkPicture(settings.scenario)
    except MISSING:
        print(f"No picture of a slot: {install('render')}.")
        return
    model = algorithm(settings.algorithm).load(out / "runs" / settings.place / "model.zip")
    save_picture(picture.of(decisions_of(model, settings.scenario)), out / "slot.png")
    print(f"One slot as {settings.label} decides it: {out / 'slot.png'}")


def _tensorboard() -> str:
    """Return how TensorBoard is called from where the user stands."""
    beside = Path(sys.executable).with_name("tensorboard")
    return os.path.relpath(beside) if beside.exists() else "tensorboard"
