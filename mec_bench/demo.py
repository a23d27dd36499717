"""The demonstration: learners are trained and measured beside rules, a planner and the bound."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from mec_bench import Result, RunFolder, Settings, algorithm, as_text, compare, train
from mec_bench.extras import install
from mec_bench.film import film
from mec_bench.measuring import decisions_of
from mec_bench.report import Film, remark, write_report
from mec_bench.run import slug
from mec_gym import Scenario

MISSING = (DependencyNotInstalled, ModuleNotFoundError)


@dataclass(frozen=True)
class Show:
    """Who is shown in a kind of world, and slots of training."""

    learners: tuple[str, ...]
    others: tuple[str, ...]
    timesteps: int


MOVING = Show(
    learners=("mappo", "dirs:hindsight"),
    others=("local", "never-move", "stays", "smoothed", "measured-speed", "by-class", "forecast"),
    timesteps=7200,
)
STILL = Show(
    learners=("mappo", "dirs:prices"),
    others=("local", "random:limit", "nearest:limit", "posted-prices", "greedy"),
    timesteps=5000,
)
SCENARIOS = ("crowd-30x4", "paper-200x10")
"""First where there is something to learn, then the paper's system."""

_MARK = "of-the-demo"
"""A file that is in the folders of a demonstration's runs, and in no others."""


def demonstrate(scenarios: list[Scenario], timesteps: int | None, seed: int, out: Path) -> None:
    """Train, measure, print, and draw a report; every number is measured now.

    `timesteps` are of training, by default those of the world's kind.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    results: list[Result] = []
    films: dict[str, Film] = {}
    planned = {scenario: list(_runs(scenario, timesteps, seed)) for scenario in scenarios}
    for settings in (run for runs in planned.values() for run in runs):
        _require_own(out / "runs" / settings.place)
    for runs in planned.values():
        found = list(_results(runs, out / "runs"))
        (table,) = compare(found).tables
        print(f"\n{as_text(compare(found))}\n\n{table.measure.definition}")
        print(f"{remark(table)}\n")
        best = next(row.label for row in table.rows if row.learns)
        films |= _filmed(next(run for run in runs if run.label == best), out)
        results += found
    *_, page = write_report(results, [], out, films=films)
    print(f"Report: {page}\nTensorBoard: {_tensorboard()} --logdir {out / 'runs'}")
    took = f"{time.perf_counter() - begun:.0f} s, {time.process_time() - cpu:.0f} s of one core"
    print(f"Everything above was measured now, in {took}.")


def _runs(scenario: Scenario, timesteps: int | None, seed: int) -> Iterator[Settings]:
    """Yield the runs, learners first."""
    show = MOVING if scenario.dynamic else STILL
    common: dict[str, Any] = {"scenario": scenario, "seed": seed}
    for name in show.learners:
        yield Settings(algorithm=name, timesteps=timesteps or show.timesteps, **common)
    for name in show.others:
        yield Settings(algorithm=name, timesteps=0, **common)


def _require_own(place: Path) -> None:
    """Raise for a run's folder that a demonstration has not made: it would be deleted."""
    if place.exists() and not (place / _MARK).exists():
        raise FileExistsError(
            f"{place} is no run of the demonstration, which would replace it: give another --out."
        )


def _results(runs: list[Settings], folder: Path) -> Iterator[Result]:
    """Yield what each policy reaches; all is made anew, also a second time."""
    for settings in runs:
        place, budget = folder / settings.place, settings.timesteps
        what = f"training for {budget:,} slots" if budget else "measuring"
        print(f"{settings.scenario.name}, {settings.label}: {what}", flush=True)
        if place.exists():
            with RunFolder(place).locked():  # or another demonstration is at it
                shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        (place / _MARK).touch()
        try:
            yield train(settings, place, progress_bar=bool(budget))
        except (*MISSING, ValueError) as error:  # an extra; a scenario that it has no answer for
            if budget:
                raise
            print(f"{settings.label}: left out. {error}", flush=True)


def _filmed(settings: Settings, out: Path) -> dict[str, Film]:
    """Return the film of a trained model, where films can be made, and write it beside the page."""
    model = algorithm(settings.algorithm).load(out / "runs" / settings.place / "model.zip")
    name = str(settings.scenario.name)
    try:
        gif = film(decisions_of(model, settings.scenario), settings.scenario)
    except MISSING:
        print(f"No film: {install('render')}.")
        return {}
    file = out / f"{slug(name)}.gif"
    file.write_bytes(gif)
    print(f"{settings.label} decides: {file}\n")
    shown = name if settings.scenario.dynamic else f"One slot of {name}"
    return {name: Film(gif, f"{shown} as {settings.label} decides it after training.")}


def _tensorboard() -> str:
    """Return how TensorBoard is called from where the user stands."""
    beside = Path(sys.executable).with_name("tensorboard")
    return os.path.relpath(beside) if beside.exists() else "tensorboard"
