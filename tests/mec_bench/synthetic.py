"""Results that no training made, but that are records in every respect."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mec_bench.results import (
    CurvePoint,
    DecisionTime,
    Evaluation,
    Result,
    Seconds,
    Slots,
    System,
    write_result,
)

SYSTEM = System(
    {"python": "3.11.2", "numpy": "2.4.6", "mec-gym": "0.1.0"},
    "0123456789abcdef0123456789abcdef01234567",
    False,
    "Some Processor 9000 @ 3.0 GHz",
    cores=16,
    threads=1,
)


def result(label: str = "learner", seed: int | None = 0, **changes: Any) -> Result:
    """One record: NRR about `quality`, harder layouts harder for everyone."""
    learns = changes.pop("learns", seed is not None)
    quality = changes.pop("quality", 0.9)
    scenario = changes.pop("scenario", "paper-30x2")
    layouts, slots = changes.pop("shape", (8, 3))
    timesteps = changes.pop("timesteps", 1000 if learns else 0)
    own = changes.pop("own_layout", False)
    word = zlib.crc32(f"{label}/{scenario}".encode())
    rng = np.random.default_rng([word, 0 if seed is None else 1 + seed])
    # The slots are those of the scenario, whoever is measured on them.
    world = np.random.default_rng(zlib.crc32(scenario.encode()))
    bound = 300 + 5 * world.standard_normal((layouts, slots))
    hard = world.exponential(0.3, (layouts, 1))
    spread = 1 + 0.2 * rng.standard_normal() * (seed is not None)
    loss = (1 / quality - 1) * (0.7 + hard) * np.exp(0.3 * rng.standard_normal(bound.shape))
    objective = bound * (1 + np.abs(spread) * loss)
    record = Result(
        algorithm=label.lower().replace(" ", "-"),
        label=label,
        learns=learns,
        scenario=scenario,
        scenario_json={"n_devices": 30, "n_servers": 2, "name": scenario},
        seed=seed,
        timesteps=timesteps,
        arguments={"policy": "MlpPolicy", "learning_rate": 3e-4} if learns else {},
        evaluation=Evaluation("v1", layouts, slots, seed=1, own_layout=own, gap=6.3e-5),
        slots=Slots.of(
            objective=objective,
            latency_s=0.6 * objective,
            energy_j=0.4 * objective,
            lower_bound=bound,
        ),
        decision_ms=DecisionTime(single=float(rng.lognormal(0, 1)), batched=0.05),
        curve=_curve(rng, timesteps, 1 / (1 + (1 / quality - 1) * abs(spread))) if learns else (),
        seconds=Seconds(training=float(30 + 5 * rng.random()) * learns, measuring=1.5),
        notes=(),
        system=SYSTEM,
    )
    return dataclasses.replace(record, **changes)


def _curve(rng: np.random.Generator, timesteps: int, final: float) -> list[CurvePoint]:
    shares = np.arange(11) / 10
    nrr = np.clip(final * (1 - 0.7 * np.exp(-4 * shares)) + 0.002 * rng.standard_normal(11), 0, 1)
    pace = 0.03 * (1 + 0.1 * rng.random())
    return [
        CurvePoint(int(share * timesteps), float(share * timesteps * pace), float(one))
        for share, one in zip(shares, nrr, strict=True)
    ]


LEARNERS = {
    "DIRS, prices": 0.9993,
    "DIRS, paper": 0.86,
    "PPO": 0.82,
    "A2C": 0.78,
    "DDPG": 0.74,
    "MADDPG": 0.8,
    "central <script>alert(1)</script> & co": 0.7,
}
RULES = {"all local": 0.7, "posted prices": 0.995, "greedy": 0.99, "random": 0.3}
ALGORITHMS = {"all local": "local", "random": "random"}


def study(
    scenarios: Iterable[str] = ("paper-30x2", "paper-200x10", "unequal-200x10"), n_seeds: int = 5
) -> list[Result]:
    """A study as they come: ragged seeds, one label of one seed, rules, a missing curve, a gap."""
    results = []
    for number, scenario in enumerate(scenarios):
        for label, quality in LEARNERS.items():
            if label == "DDPG" and number == 1:
                continue  # it failed there
            count = 1 if label == "A2C" else n_seeds - (label == "PPO") * number
            for seed in range(max(1, count)):
                one = result(label, seed, quality=quality - 0.01 * number, scenario=scenario)
                results.append(dataclasses.replace(one, curve=()) if label == "MADDPG" else one)
        for label, quality in RULES.items():
            one = result(label, None, quality=quality, scenario=scenario)
            results.append(dataclasses.replace(one, algorithm=ALGORITHMS.get(label, one.algorithm)))
    return results


def write_all(folder: Path, results: Iterable[Result]) -> None:
    """Put each result into a folder of its own."""
    for index, one in enumerate(results):
        write_result(folder / f"run-{index:04d}" / "result.json", one)
