"""Records of trained learners and rules beside them: what raw figures keep, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mec_bench import Result
from mec_bench.registry import knows
from mec_bench.results import HINDSIGHT_RATIO, NRR, Measure
from mec_bench.statistics import Interval, crossed_mean

Record = Mapping[str, Any]
Runs = Mapping[tuple[str, str], Sequence[Record]]
"""Records of runs by label and scenario."""


def record_of(result: Result) -> dict[str, Any]:
    """Return what raw figures keep of a result: its score under the name of what it is."""
    key, scores = result.measure.key, np.asarray(result.slots.score)
    return {
        "label": result.label,
        "scenario": result.scenario,
        "seed": result.seed,
        "timesteps": result.timesteps,
        "arguments": dict(result.arguments),
        key: float(np.mean(scores)),
        f"{key}_of_layouts": scores.reshape(len(scores), -1).mean(1).round(9).tolist(),
        "untrained": result.curve[0].score if result.curve else None,
        "training_s": round(result.seconds.training or 0.0, 1),
        "training_cpu_s": result.seconds.training_cpu and round(result.seconds.training_cpu, 1),
        "commit": result.system.commit,
        "modified": result.system.modified,
        "versions": dict(result.system.versions),
    }


def run_of(record: Record) -> tuple[Any, ...]:
    """Return what identifies a run, and its number of devices."""
    names = ("scenario", "label", "timesteps", "seed")
    return (*(record[name] for name in names), record.get("devices", 0))


def merged(new: Iterable[Record], old: Iterable[Record]) -> list[Record]:
    """Return records of both, the new one where both have a run."""
    found = {run_of(record): record for record in (*old, *new)}
    return [found[run] for run in sorted(found)]


def grouped(records: Iterable[Record]) -> Runs:
    """Return records by label and scenario, in their own order."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record["label"], record["scenario"]), []).append(record)
    return found


def measure_of(records: Sequence[Record]) -> Measure:
    """Return what the scores of records are."""
    return NRR if NRR.key in records[0] else HINDSIGHT_RATIO


def scores_of(records: Sequence[Record]) -> list[float]:
    """Return the score of every seed."""
    return [record[measure_of(records).key] for record in records]


def mean_score(records: Sequence[Record]) -> Interval:
    """Return the score over training seeds and layouts; of a rule, over layouts alone."""
    return crossed_mean(layouts_of(records), learns=learns(records))


def layouts_of(records: Sequence[Record]) -> list[list[float]]:
    """Return the score of every seed and layout."""
    return [record[f"{measure_of(records).key}_of_layouts"] for record in records]


def learns(records: Sequence[Record]) -> bool:
    """Return whether records are of a learner."""
    return any(record["timesteps"] for record in records)


# -- what tables say of them -----------------------------------------------------------------------


def short(score: float) -> str:
    """Return a score to three digits, and no 1.000 for what is below 1.

    >>> short(0.98765), short(0.99996), short(1.0)
    ('0.988', '> 0.999', '1.000')
    """
    return "> 0.999" if 0.9995 <= score < 1 else f"{score:.3f}"


def cpu(records: Sequence[Record]) -> str:
    """Return the mean processor time of training [s]; nothing where a run's is not known."""
    times = [record.get("training_cpu_s") for record in records]
    known = [time for time in times if time is not None]
    return f"{np.mean(known):,.0f}" if len(known) == len(times) else ""


def told(names: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return rows of who knows what, from pairs of algorithm and name."""
    found: dict[str, list[str]] = {}
    for algorithm, name in names:
        found.setdefault(knows(algorithm) or knows("ac"), []).append(name)
    return [["; ".join(who), what] for what, who in found.items()]
