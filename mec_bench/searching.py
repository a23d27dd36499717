"""Search spaces in plain form, what Optuna suggests to try next, and when a trial is given up.

All of it follows from the trials on record alone: a study that goes on is the one that never
stopped.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mec_bench.extras import lacking
from mec_bench.registry import names
from mec_bench.results import plain_json
from mec_gym.files import read_object
from mec_gym.validation import plain

if TYPE_CHECKING:
    import optuna

SPACES = Path(__file__).parent / "spaces"
"""Search spaces that come with the package, by the name of the algorithm."""

PARTS = 4
"""Points of a run's learning curve at which its trial is judged, the last one for the result."""

UNJUDGED = 5
"""So many complete trials are there before any is given up."""

_FIRST_JUDGED = 2
"""A slow start is no bad end: nothing is judged before half of the first run."""

Space = dict[str, dict[str, Any]]
_FORM = '{"choices": [...]} or {"low": ..., "high": ...}, with "log": true or "step": ... if wanted'

# -- spaces ----------------------------------------------------------------------------------------


def plain_name(algorithm: str) -> str:
    """Return a name that every system takes in a file's: without a colon."""
    return algorithm.replace(":", "-")


def space_of(
    algorithm: str, given: Mapping[str, Any] | str | os.PathLike[str] | None = None
) -> Space:
    """Return a search space: one that is given, that of a JSON file, or the algorithm's own.

    Whole numbers as both ends make a whole number. ``ValueError`` for what is no range.

    >>> space_of("mine", {"learning_rate": {"low": 1e-4, "high": 0.01, "log": True}})
    {'learning_rate': {'low': 0.0001, 'high': 0.01, 'log': True}}
    """
    if given is None:
        given = SPACES / f"{plain_name(algorithm)}.json"
        if not given.exists():
            there = [one for one in names() if (SPACES / f"{plain_name(one)}.json").exists()]
            raise ValueError(
                f"no search space comes with {algorithm}: give one, --space FILE (space=), a JSON "
                f"object of arguments, each with {_FORM}. There are spaces for {', '.join(there)}."
            )
    if not isinstance(given, Mapping) and not Path(given).is_file():
        raise FileNotFoundError(f"--space (space=) must be a JSON file; there is none at {given}.")
    where = "space" if isinstance(given, Mapping) else str(given)
    values = dict(given) if isinstance(given, Mapping) else read_object(given)
    if not values:
        raise ValueError(f"{where} must have at least one argument; it is empty.")
    return {key: _range(f"{where}: {key}", one) for key, one in values.items()}


def _range(where: str, given: Any) -> dict[str, Any]:
    """Return the values that an argument may have, or refuse them."""
    keys = set(given) if isinstance(given, Mapping) else set()
    if keys == {"choices"}:
        choices = given["choices"]
        if not isinstance(choices, (list, tuple)) or not choices:
            raise ValueError(f"{where}: choices must be a list, not empty; got {choices!r}.")
        try:
            texts = [json.dumps(choice) for choice in plain_json(choices)]
        except ValueError:
            raise ValueError(f"{where}: choices must be plain JSON; got {choices!r}.") from None
        if len(set(texts)) < len(texts):
            raise ValueError(f"{where}: choices must differ from each other; got {choices!r}.")
        return {"choices": [json.loads(text) for text in texts]}
    if not {"low", "high"} <= keys <= {"low", "high", "log", "step"} or {"log", "step"} <= keys:
        raise ValueError(f"{where} must be {_FORM}; got {given!r}.")
    values = {key: plain(value) for key, value in given.items()}
    _require_range(where, **values)
    return values


def _require_range(where: str, low: Any, high: Any, log: Any = False, step: Any = 1) -> None:
    for name, value in (("low", low), ("high", high), ("step", step)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ValueError(f"{where}: {name} must be a finite number; got {value!r}.")
    if not low < high:
        raise ValueError(f"{where}: low must be less than high; got {low!r} and {high!r}.")
    if not isinstance(log, bool):
        raise ValueError(f"{where}: log must be true or false; got {log!r}.")
    if log and low <= 0:
        raise ValueError(f"{where}: low must be > 0 where log is true; got {low!r}.")
    if step <= 0 or (_whole(low, high) and not isinstance(step, int)):
        kind = "a whole number > 0" if _whole(low, high) else "> 0"
        raise ValueError(f"{where}: step must be {kind}; got {step!r}.")


def _whole(low: Any, high: Any) -> bool:
    return isinstance(low, int) and isinstance(high, int)


def ends(space: Space) -> list[dict[str, Any]]:
    """Return the arguments at both ends of all ranges, to try names and values on."""
    return [
        {key: one["choices"][at] if "choices" in one else one[end] for key, one in space.items()}
        for at, end in ((0, "low"), (-1, "high"))
    ]


# -- trials ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TriedRun:
    """One run of a trial: its learning curve, points of (slots, score), and the final `score`.

    The score is None where the trial was given up before, 0 where the run failed, with the `error`.
    """

    scenario: str
    seed: int
    timesteps: int
    score: float | None
    curve: Sequence[Sequence[float]]
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """Arguments and the runs that they were tried in.

    `value` is the mean final score of all runs; None where the trial was given up. `number` 0 is
    the algorithm as it is.
    """

    number: int
    arguments: Mapping[str, Any]
    value: float | None
    runs: Sequence[TriedRun]

    @property
    def reached(self) -> dict[int, float]:
        """Means over the runs, up to every point of every run: what trials are compared by."""
        return reached(self.runs)


def trial_of(record: Mapping[str, Any]) -> Trial:
    """Return the trial that an object of a study's file holds."""
    runs = [TriedRun(**run) for run in record["runs"]]
    return Trial(record["number"], record["arguments"], record["value"], runs)


def reached(runs: Sequence[TriedRun]) -> dict[int, float]:
    """Return means of final scores and the last run's present one, by PARTS per run, in order."""
    found, total = {}, 0.0
    for index, run in enumerate(runs):
        for timesteps, score in run.curve:
            part = int(PARTS * timesteps / run.timesteps)
            if 0 < part < PARTS:
                found[PARTS * index + part] = (total + score) / (index + 1)
        if run.score is not None:
            total += run.score
            found[PARTS * (index + 1)] = total / (index + 1)
    return found


def is_behind(runs: Sequence[TriedRun], before: Sequence[Trial]) -> bool:
    """Return whether a trial is now below the median of the complete ones at the same point.

    Optuna's median pruner compares the best that a trial has ever reached instead: one lucky seed,
    or a policy that gets worse again, would carry it to the end.
    """
    mine = reached(runs)
    now = max(mine, default=0)
    complete = [trial.reached for trial in before if trial.value is not None]
    if now < _FIRST_JUDGED or len(complete) < UNJUDGED:
        return False
    others = [theirs[now] for theirs in complete if now in theirs]
    return bool(others) and mine[now] < statistics.median(others)


# -- what to try next ------------------------------------------------------------------------------


def optuna_here() -> Any:
    """Return Optuna, or raise ``ModuleNotFoundError`` that says how to install it."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(lacking(error) or str(error), name=error.name) from error
    return optuna


def suggested(space: Space, before: Sequence[Trial], seed: int) -> dict[str, Any]:
    """Return the arguments of the trial after others: none at first, then what Optuna suggests.

    The study is built anew from the record each time, with a generator of the trial's own.
    """
    if not before:
        return {}
    optuna = optuna_here()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = int(np.random.SeedSequence([seed, len(before)]).generate_state(1)[0])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=own))
    distributions = {key: _distribution(one) for key, one in space.items()}
    study.add_trials([_as_frozen(trial, distributions) for trial in before])
    found = study.ask(distributions).params
    return {key: _plain(value, space[key]) for key, value in found.items()}


def _plain(value: Any, one: Mapping[str, Any]) -> Any:
    """Return a value as a user would write it: three digits tell settings apart."""
    if "choices" in one:
        return json.loads(value)
    if isinstance(value, int) or "step" in one:
        return value
    return min(max(float(f"{value:.3g}"), one["low"]), one["high"])


def _distribution(one: Mapping[str, Any]) -> optuna.distributions.BaseDistribution:
    distributions = optuna_here().distributions
    if "choices" in one:  # Optuna's are plain values: texts stand for lists and dictionaries
        return distributions.CategoricalDistribution([*map(json.dumps, one["choices"])])  # type: ignore[no-any-return]
    kind = "Int" if _whole(one["low"], one["high"]) else "Float"
    return getattr(distributions, f"{kind}Distribution")(**one)  # type: ignore[no-any-return]


def _as_frozen(
    trial: Trial, distributions: Mapping[str, optuna.distributions.BaseDistribution]
) -> optuna.trial.FrozenTrial:
    optuna = optuna_here()
    known = {key: distributions[key] for key in trial.arguments}
    of_texts = optuna.distributions.CategoricalDistribution
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(  # type: ignore[no-any-return]
        state=states.COMPLETE if trial.value is not None else states.PRUNED,
        value=trial.value,
        params={
            key: json.dumps(value) if isinstance(known[key], of_texts) else value
            for key, value in trial.arguments.items()
        },
        distributions=known,
        intermediate_values=trial.reached,
    )
