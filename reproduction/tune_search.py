"""Find the settings that serve particle swarm and differential evolution best.

Writes baselines/settings/particle_swarm.json and differential_evolution.json: the best settings,
what the best of each encoding reach on other slots, and everything that was tried, on slots drawn
for tuning.
Takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from baselines.differential_evolution import evolution
from baselines.encodings import ENCODINGS
from baselines.particle_swarm import swarm
from baselines.search import STARTS, Algorithm, SearchSettings, search
from mec_bench.cli import complain, count
from mec_gym import Scenario
from mec_gym.evaluation import SlotSet, slot_set
from mec_gym.files import require_folder, write_whole

SCENARIOS = ("paper-30x2", "paper-200x10", "unequal-200x10")
EVALUATIONS, MANY = 2_000, 20_000
POPULATIONS = (20, 50)
ALGORITHMS: dict[str, tuple[Algorithm, tuple[dict[str, Any], ...]]] = {
    "particle_swarm": (
        swarm,
        (
            {},
            {"adaptive": False, "w": 0.72, "c1": 1.49, "c2": 1.49},
            {"max_velocity_rate": 0.05},
        ),
    ),
    "differential_evolution": (
        evolution,
        (
            {"variant": "DE/rand/1/bin", "F": 0.5, "CR": 0.9},
            {"variant": "DE/best/1/bin", "F": 0.5, "CR": 0.9},
            {"variant": "DE/best/1/bin", "F": 0.7, "CR": 0.3},
        ),
    ),
}
FINALISTS = 5


def main() -> None:
    """Search, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("baselines/settings"))
    parser.add_argument("--slots", type=count, default=4, help="slots per scenario and finalist")
    parser.add_argument("--evaluations", type=count, default=EVALUATIONS, help="per slot")
    parser.add_argument("--many", type=count, default=MANY, help="the larger budget reported")
    parser.add_argument("--algorithm", choices=tuple(ALGORITHMS), help="one of them only")
    options = parser.parse_args()
    with complain(status=2):
        require_folder(options.out)
    with complain(stopped="Algorithms whose file was written are kept; the others begin anew."):
        for name in [options.algorithm] if options.algorithm else ALGORITHMS:
            begun = time.perf_counter()
            record = tuned(name, options.slots, options.evaluations, options.many)
            path = options.out / f"{name}.json"
            write_whole(path, json.dumps(record, indent=1) + "\n")
            print(f"wrote {path} after {time.perf_counter() - begun:.0f} s", flush=True)


def tuned(name: str, n_slots: int, evaluations: int, many: int) -> dict[str, Any]:
    """Return the record of one algorithm's search."""
    algorithm, _ = ALGORITHMS[name]
    tuning = {one: slots_of(one, n_slots, seed=2_000) for one in SCENARIOS}
    first = {one: measured(algorithm, s, tuning, 1, evaluations) for one, s in tries(name).items()}
    ranked = sorted(first, key=lambda one: -mean(first[one]))
    second = {
        one: measured(algorithm, tries(name)[one], tuning, n_slots, evaluations)
        for one in ranked[:FINALISTS]
    }
    best = max(second, key=lambda one: mean(second[one]))
    leaders = {tries(name)[one].encoding: one for one in reversed(ranked)} | {
        tries(name)[best].encoding: best
    }
    plain = next(
        one
        for one in ranked
        if (tries(name)[one].encoding, tries(name)[one].start) == ("floor", "random")
    )
    other = {one: slots_of(one, max(1, n_slots // 2), seed=0) for one in SCENARIOS}
    reached = [
        record(tries(name)[one], measured(algorithm, tries(name)[one], other, 99, budget), budget)
        for encoding, one in [*sorted(leaders.items()), ("floor", plain)]
        # The larger budget costs minutes where vectors are long.
        for budget in ((evaluations,) if encoding == "scores" else (evaluations, many))
    ]
    return {
        "format": "mec-gym/search-settings",
        "version": 1,
        "algorithm": name,
        "holds_for": list(SCENARIOS),
        "best": dataclasses.asdict(tries(name)[best]),
        "best_by_encoding": {
            encoding: dataclasses.asdict(tries(name)[one])
            for encoding, one in sorted(leaders.items())
        },
        "reached_on_other_slots": reached,
        "finalists": [record(tries(name)[one], second[one], evaluations) for one in second],
        "tried_on_one_slot_each": [
            record(tries(name)[one], first[one], evaluations) for one in ranked
        ],
    }


def tries(name: str) -> dict[int, SearchSettings]:
    """Return all settings to try, numbered."""
    _, options = ALGORITHMS[name]
    grid = itertools.product(ENCODINGS, STARTS, POPULATIONS, options)
    settings = [
        SearchSettings(encoding, start, population, option)
        for encoding, start, population, option in grid
        # M + 1 times as many variables take M times as long: one try.
        if encoding != "scores"
        or (start, population, option) == ("greedy", POPULATIONS[0], options[0])
    ]
    return dict(enumerate(settings))


def slots_of(name: str, n_slots: int, *, seed: int) -> SlotSet:
    """Return slots of as many layouts."""
    return slot_set(Scenario.preset(name), n_layouts=n_slots, slots_per_layout=1, seed=seed)


def measured(
    algorithm: Algorithm,
    settings: SearchSettings,
    sets: dict[str, SlotSet],
    n_slots: int,
    evaluations: int,
) -> dict[str, float]:
    """Return the mean NRR by scenario, to six digits: more are rounding."""
    result = {}
    for name, slots in sets.items():
        rows = itertools.islice(
            zip(slots.scenarios, slots.slots, slots.lower_bound, strict=True), n_slots
        )
        found = float(
            np.mean(
                [
                    bound[0]
                    / search(
                        one, slot[0], settings, algorithm, max_evaluations=evaluations, seed=index
                    ).objective
                    for index, (one, slot, bound) in enumerate(rows)
                ]
            )
        )
        result[name] = round(found, 6)
    print(f"{evaluations:6d} {settings} {result}", flush=True)
    return result


def mean(by_scenario: dict[str, float]) -> float:
    """Return the mean over scenarios."""
    return float(np.mean(list(by_scenario.values())))


def record(
    settings: SearchSettings, by_scenario: dict[str, float], evaluations: int
) -> dict[str, Any]:
    """Return settings and what they reach."""
    return dataclasses.asdict(settings) | {"max_evaluations": evaluations, "nrr": by_scenario}


if __name__ == "__main__":
    main()
