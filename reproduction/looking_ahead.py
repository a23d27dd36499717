"""Measure DIRS with agents that look ahead in moving worlds: seeds, forecasts, other numbers.

``python -m reproduction.looking_ahead --only crowd-30x4`` trains what is missing, measures it on
frozen episodes that nothing was trained on, and keeps the raw figures; it may be stopped.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dirs_agents import DIRS, options
from mec_bench.cli import complain, count
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import EpisodeSet, decide_with, episode_set, hindsight_ratio
from mec_gym.files import read_object
from reproduction import pages

FORECASTS = {
    "crowd-30x4": ("none", "velocity", "gru"),
    "crowd-200x10": ("none", "velocity", "gru"),
    "stale-200x10": ("none", "velocity", "gru"),
}
SIZES = {"crowd-200x10": (50, 800)}
"""Numbers of devices at which a model is measured, too, that was trained at another."""

SLOTS = 200
"""Slots of online refinement, after imitation."""


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--only", nargs="+", choices=tuple(FORECASTS), default=tuple(FORECASTS))
    add("--forecasts", nargs="+", help="some of none, velocity, gru")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="of training")
    add("--episodes", type=count, default=20, help="frozen episodes of 100 slots")
    add("--out", type=Path, help="for raw figures (reproduction/results)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    _, results = pages.places(given.out)
    with complain(status=2):
        for name in given.only:
            for forecast in given.forecasts or FORECASTS[name]:
                for seed in given.seeds:
                    file = results / "looking-ahead" / f"{name}-{forecast}-{seed}.json"
                    if not file.exists():
                        file.parent.mkdir(parents=True, exist_ok=True)
                        pages.write_json(file, measured(name, forecast, seed, given.episodes))
                    figures = read_object(file)
                    print(name, forecast, seed, figures["ratio"], figures["sizes"], flush=True)


def rows(results: Path) -> list[tuple[str, str, float, int]]:
    """Return scenario, forecast, mean hindsight ratio and number of seeds of what is measured."""
    found: dict[tuple[str, str], list[float]] = {}
    for file in sorted((results / "looking-ahead").glob("*.json")):
        figures = read_object(file)
        found.setdefault((figures["scenario"], figures["forecast"]), []).append(figures["ratio"])
    return [(*key, float(np.mean(ratios)), len(ratios)) for key, ratios in found.items()]


def measured(name: str, forecast: str, seed: int, n_episodes: int) -> dict[str, Any]:
    """Return the mean hindsight ratios of one training, and what it took."""
    scenario = Scenario.preset(name)
    env = make_sb3_vec_env(scenario, n_envs=4)
    kwargs = {"continuation": True, "forecast": forecast}
    begun = time.process_time()
    model = DIRS(env=env, seed=seed, device="cpu", **options("hindsight", policy_kwargs=kwargs))
    model.learn(SLOTS)
    seconds = time.process_time() - begun
    sizes = {}
    for devices in SIZES.get(name, ()) if forecast == "none" else ():
        other = scenario.replace(n_devices=devices)
        moved = _moved(model, other)
        sizes[str(devices)] = _ratio(moved, _frozen(other, max(1, n_episodes // 4)))
    return {
        "scenario": name,
        "forecast": forecast,
        "seed": seed,
        "slots": SLOTS,
        "episodes": n_episodes,
        "ratio": _ratio(model, _frozen(scenario, n_episodes)),
        "sizes": sizes,
        "cpu_s": round(seconds, 1),
    }


_FROZEN: dict[tuple[str, int], EpisodeSet] = {}


def _frozen(scenario: Scenario, n_episodes: int) -> EpisodeSet:
    """Return the episodes that the table of head-rooms is measured on, too."""
    key = scenario.to_json(), n_episodes
    if key not in _FROZEN:
        _FROZEN[key] = episode_set(scenario, n_episodes=n_episodes)
    return _FROZEN[key]


def _moved(model: DIRS, scenario: Scenario) -> DIRS:
    """Return a copy of a model for another number of devices."""
    file = io.BytesIO()
    model.save(file, exclude={"training"})
    file.seek(0)
    return DIRS.load(file, env=make_sb3_vec_env(scenario), device="cpu")


def _ratio(model: DIRS, sample: EpisodeSet) -> float:
    return round(float(np.mean(hindsight_ratio(sample, decide_with(model)))), 5)


if __name__ == "__main__":
    main()
