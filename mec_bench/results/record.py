"""The result record: what one policy reached on the frozen slots.

A record holds every slot, not means: all policies are measured on the same slots, so that
differences are paired.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mec_bench.results.fields import flag, mapping, real, replace, shown, text, whole
from mec_bench.results.measured import ROUNDING, Evaluation, Slots


@dataclass(frozen=True)
class DecisionTime:
    """How long one slot's decision takes.

    Attributes
    ----------
    single, batched : float, [ms]
        Slot by slot, and per slot of a batch.

    Examples
    --------
    >>> DecisionTime(single=1, batched=0.1).single
    1.0
    """

    single: float
    batched: float

    def __post_init__(self) -> None:
        replace(
            self,
            single=real("decision_ms.single", self.single, low=0),
            batched=real("decision_ms.batched", self.batched, low=0),
        )


@dataclass(frozen=True)
class CurvePoint:
    """What the policy reached during training.

    Attributes
    ----------
    timesteps : int
        Slots trained on so far.
    seconds : float, [s]
        Of training so far, without measuring.
    nrr : float, [1]
        Mean, in (0, 1].

    Examples
    --------
    >>> CurvePoint(timesteps=100, seconds=2, nrr=0.5).seconds
    2.0
    """

    timesteps: int
    seconds: float
    nrr: float

    def __post_init__(self) -> None:
        replace(
            self,
            timesteps=whole("timesteps", self.timesteps),
            seconds=real("seconds", self.seconds, low=0),
            nrr=real("nrr", self.nrr, low=0, high=1 + ROUNDING),
        )


@dataclass(frozen=True)
class Seconds:
    """How long the run took.

    Attributes
    ----------
    training : float or None, [s]
        Wall time; None where nobody knows, as of a model that came as a file.
    measuring : float, [s]
        Wall time.

    Examples
    --------
    >>> Seconds(training=10, measuring=2).training
    10.0
    """

    training: float | None
    measuring: float

    def __post_init__(self) -> None:
        replace(
            self,
            training=None
            if self.training is None
            else real("seconds.training", self.training, low=0),
            measuring=real("seconds.measuring", self.measuring, low=0),
        )


@dataclass(frozen=True)
class System:
    """What it ran on.

    Attributes
    ----------
    versions : mapping of str to str
        Of Python and of the packages that matter.
    commit : str or None
        Of the repository; None outside of one.
    modified : bool or None
        Whether files differed from that commit; None without a commit.
    processor : str
        Its name.
    cores, threads : int
        Cores of the machine, and threads that the process may use.

    Examples
    --------
    >>> System({"numpy": "2"}, "a1b2", False, "some processor", cores=8, threads=1).cores
    8
    """

    versions: Mapping[str, str]
    commit: str | None
    modified: bool | None
    processor: str
    cores: int
    threads: int

    def __post_init__(self) -> None:
        versions = mapping("system.versions", self.versions)
        for name, version in versions.items():
            text(f"system.versions.{name}", version)
        text("system.processor", self.processor)
        if self.commit is not None:
            text("system.commit", self.commit)
            flag("system.modified", self.modified)
        elif self.modified is not None:
            raise ValueError(
                f"system.modified must be null without a commit; got {shown(self.modified)}."
            )
        replace(
            self,
            versions=versions,
            cores=whole("system.cores", self.cores, low=1),
            threads=whole("system.threads", self.threads, low=1),
        )


@dataclass(frozen=True)
class Result:
    """What one policy reached: the record of ``result.json``.

    Whatever is constructed is valid, is written as it is and read back equal.

    Attributes
    ----------
    algorithm : str
        The name as given, e.g. "dirs:prices".
    label : str
        Shown in tables; results of equal label, scenario and timesteps differ by seed only.
    learns : bool
        Whether training changes it. A rule does not learn.
    scenario : str
        The name shown.
    scenario_json : mapping
        The whole scenario; its JSON text is taken, too.
    seed : int or None
        Of training; None for a rule that has none.
    timesteps : int
        Of training; 0 for a rule.
    arguments : mapping
        Of the constructor, as given.
    evaluation : Evaluation
        Which slots.
    slots : Slots
        Every figure of every slot.
    decision_ms : DecisionTime
        Per slot.
    curve : tuple of CurvePoint
        During training, timesteps rising; may be empty.
    seconds : Seconds
        Wall time.
    system : System
        What it ran on.
    notes : tuple of str
        What a reader of its figures should know, one sentence each: that it was hardly trained.

    Raises
    ------
    ValueError
        For a value that is not what its key requires: names the key, the requirement and what
        came.

    Examples
    --------
    >>> EXAMPLE.slots.nrr
    ((0.5, 1.0),)
    """

    algorithm: str
    label: str
    learns: bool
    scenario: str
    scenario_json: Mapping[str, Any]
    seed: int | None
    timesteps: int
    arguments: Mapping[str, Any]
    evaluation: Evaluation
    slots: Slots
    decision_ms: DecisionTime
    curve: Sequence[CurvePoint]
    seconds: Seconds
    system: System
    notes: Sequence[str]

    def __post_init__(self) -> None:
        for key in ("algorithm", "label", "scenario"):
            text(key, getattr(self, key))
        flag("learns", self.learns)
        if self.seed is None and self.learns:
            raise ValueError("seed must be a whole number >= 0 where learns is true; got None.")
        scenario = self.scenario_json
        replace(
            self,
            scenario_json=mapping(
                "scenario_json", json.loads(scenario) if isinstance(scenario, str) else scenario
            ),
            seed=None if self.seed is None else whole("seed", self.seed),
            timesteps=whole("timesteps", self.timesteps),
            arguments=mapping("arguments", self.arguments),
            curve=tuple(self.curve),
            notes=_notes(self.notes),
        )
        for key, kind in PARTS.items():
            if not isinstance(getattr(self, key), kind):
                raise ValueError(
                    f"{key} must be a {kind.__name__}; got {shown(getattr(self, key))}."
                )
        self._require_shape()
        self._require_order()

    def _require_shape(self) -> None:
        shape = (self.evaluation.layouts, self.evaluation.slots_per_layout)
        if np.shape(self.slots.nrr) != shape:
            raise ValueError(
                f"slots must have evaluation.layouts x evaluation.slots_per_layout, {shape}, "
                f"numbers per figure; got {np.shape(self.slots.nrr)}."
            )

    def _require_order(self) -> None:
        for before, after in zip(self.curve, self.curve[1:], strict=False):
            if after.timesteps <= before.timesteps or after.seconds < before.seconds:
                raise ValueError(
                    "curve must rise in timesteps and not fall in seconds; got "
                    f"{shown(before)} before {shown(after)}."
                )


def _notes(given: Any) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"notes must be a list of text; got {shown(given)}.")
    return tuple(text(f"notes[{index}]", one) for index, one in enumerate(given))


PARTS: Mapping[str, type] = {
    "evaluation": Evaluation,
    "slots": Slots,
    "decision_ms": DecisionTime,
    "seconds": Seconds,
    "system": System,
}
"""The keys of a record that are objects of fixed keys."""

EXAMPLE = Result(
    algorithm="local",
    label="all local",
    learns=False,
    scenario="two devices",
    scenario_json={"n_devices": 2, "n_servers": 1},
    seed=None,
    timesteps=0,
    arguments={},
    evaluation=Evaluation("v1", layouts=1, slots_per_layout=2, seed=1, own_layout=True, gap=0),
    slots=Slots.of(objective=[[2, 1]], latency_s=[[1, 1]], energy_j=[[1, 0]], lower_bound=[[1, 1]]),
    decision_ms=DecisionTime(single=0.1, batched=0.01),
    curve=(),
    seconds=Seconds(training=0, measuring=1),
    system=System({"numpy": "2"}, None, None, "a processor", cores=1, threads=1),
    notes=(),
)
"""The smallest record, for examples."""
