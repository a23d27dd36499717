"""Which runs a matrix consists of: algorithms, scenarios, seeds, budgets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mec_bench.algorithms import algorithm
from mec_bench.arguments import changes
from mec_bench.settings import Settings
from mec_gym import Scenario
from mec_gym.validation import suggestion

PAPER_TIMESTEPS = {(30, 2): 3000, (180, 8): 4000, (200, 10): 5000}
"""Slots of training in the paper's figures, by numbers of devices and servers."""

_ALGORITHM = "algorithm"


def plan(
    algos: Sequence[str],
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    timesteps: int | str | Mapping[str, int],
    changed: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> list[Settings]:
    """Return every run of a matrix, all algorithms of one scenario and seed in turn.

    Parameters
    ----------
    algos : sequence of str
        Names as for :func:`mec_bench.algorithm`, or of variants in `changed`.
    scenarios : sequence of Scenario
        The systems.
    seeds : sequence of int
        Of training. What does not learn runs once, with the first seed of all: 0.
    timesteps : int, "paper" or mapping
        Slots of training: for all, the paper's for its sizes, or by the scenario's name.
    changed : mapping of mapping, optional
        Constructor arguments by name. A variant names its "algorithm" among them.
    **options
        Further fields of :class:`mec_bench.Settings`, for all runs.

    Returns
    -------
    list of Settings

    Raises
    ------
    TypeError, ValueError
        For an unknown name or argument, a scenario without a budget, or a run that is there twice.

    Examples
    --------
    >>> small = Scenario.preset("paper-30x2")
    >>> [f"{run.label} {run.seed}" for run in plan(["dirs", "greedy"], [small], [0, 1], "paper")]
    ['dirs 0', 'greedy 0', 'dirs 1']
    """
    changed = dict(changed or {})
    _require_used(changed, algos)
    if isinstance(timesteps, Mapping):
        for scenario in scenarios:
            _budget(scenario, timesteps)
        _require_meant(timesteps, scenarios)
    runs = []
    for scenario in scenarios:
        variants = [_variant(name, changed.get(name, {})) for name in algos]
        # Before anything is trained: a wrong name or argument is the first word.
        learners = [algorithm(one["algorithm"], one["arguments"]).learns for one in variants]
        budget = _budget(scenario, timesteps) if any(learners) else 0
        for number, seed in enumerate(seeds):
            for variant, learns in zip(variants, learners, strict=True):
                if learns or number == 0:
                    own = {"seed": seed, "timesteps": budget} if learns else {"timesteps": 0}
                    runs.append(Settings(**{"scenario": scenario} | variant | own | options))
    _require_apart(runs)
    return runs


def _variant(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(given)
    if _ALGORITHM in arguments:
        return {"algorithm": arguments.pop(_ALGORITHM), "arguments": arguments, "label": name}
    return {"algorithm": name, "arguments": arguments}


def _require_used(changed: Mapping[str, Any], algos: Sequence[str]) -> None:
    unused = [name for name in changed if name not in algos]
    if unused:
        raise ValueError(
            f"settings are given for {unused[0]!r}, which is not among the algorithms "
            f"{', '.join(algos)}{suggestion(unused[0], algos)}."
        )


def _require_apart(runs: Sequence[Settings]) -> None:
    places: dict[Path, Settings] = {}
    for run in runs:
        other = places.setdefault(run.place, run)
        if other is not run:
            raise ValueError(
                f"two runs would share the folder {run.place}: {other.label!r} and {run.label!r} "
                f"on {run.scenario.name!r}. Name each algorithm, scenario and seed once; scenarios "
                "need names of their own."
            )


def _require_meant(timesteps: Mapping[str, int], scenarios: Sequence[Scenario]) -> None:
    there = {name for one in scenarios for name in _names_of(one)}
    for name in timesteps:
        if name not in there:
            raise ValueError(
                f"timesteps are given for {name!r}, which is not among the scenarios "
                f"{', '.join(one.name for one in scenarios)}{suggestion(name, there)}."
            )


def _names_of(scenario: Scenario) -> tuple[str, str]:
    """Return a scenario's name, also without the fields that --scenario-set puts in brackets."""
    return scenario.name, scenario.name.partition("[")[0]


def _budget(scenario: Scenario, timesteps: int | str | Mapping[str, int]) -> int:
    if isinstance(timesteps, int):
        return timesteps
    if isinstance(timesteps, Mapping):
        for name in _names_of(scenario):
            if name in timesteps:
                return timesteps[name]
        raise ValueError(
            f"timesteps are given for {', '.join(timesteps)}, but not for {scenario.name}."
        )
    size = (scenario.n_devices, scenario.n_servers)
    if timesteps != "paper" or size not in PAPER_TIMESTEPS:
        sizes = ", ".join(f"{n} x {m}" for n, m in PAPER_TIMESTEPS)
        raise ValueError(
            f"timesteps must be a number of slots, or 'paper' for the paper's sizes ({sizes}); got "
            f"{timesteps!r} for {scenario.name}, {size[0]} x {size[1]}."
        )
    return PAPER_TIMESTEPS[size]


# -- from a command line -----------------------------------------------------------------------


def seeds_of(text: str) -> list[int]:
    """Return the seeds that a word means.

    Parameters
    ----------
    text : str
        How many, from 0; or a list with commas.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> seeds_of("3"), seeds_of("3,"), seeds_of("0,7")
    ([0, 1, 2], [3], [0, 7])
    """
    parts = [part for part in text.split(",") if part.strip()]
    if not parts or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"seeds must be a number, or a list like 0,3,7 or 3,; got {text!r}.")
    found = [int(part) for part in parts]
    if "," not in text:
        found = list(range(found[0]))
    if not found:
        raise ValueError("seeds must be at least one; got 0.")
    return found


def timesteps_of(words: Sequence[str]) -> int | str | dict[str, int]:
    """Return the budget that words mean.

    Parameters
    ----------
    words : sequence of str
        One number, "paper", or ``scenario=number`` for each.

    Returns
    -------
    int, str or dict

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> timesteps_of(["5000"]), timesteps_of(["paper-30x2=3000"])
    (5000, {'paper-30x2': 3000})
    """
    if len(words) == 1 and "=" not in words[0]:
        return int(words[0]) if words[0].isdecimal() else words[0]
    found: dict[str, int] = {}
    for word in words:
        name, _, number = word.rpartition("=")  # a name may hold what was changed, a=b
        if not name or not number.isdecimal() or name in found:
            raise ValueError(
                f"timesteps are given as scenario=number, once for each scenario; got {word!r}."
            )
        found[name] = int(number)
    return found


def changes_of(
    algos: Sequence[str], pairs: Iterable[str], config: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Return constructor arguments by algorithm, of a file and of ``algorithm:key=value`` words.

    Parameters
    ----------
    algos : sequence of str
        Those of the matrix.
    pairs : iterable of str
        Of the command line; they win.
    config : Path, optional
        JSON, or TOML from Python 3.11 on: a table per algorithm or variant.

    Returns
    -------
    dict of dict

    Raises
    ------
    ValueError
        For a word without an algorithm of the matrix, or a file of another form.

    Examples
    --------
    >>> changes_of(["sb3:PPO", "dirs"], ["sb3:PPO:n_steps=64", "dirs:beta=1.8"])
    {'sb3:PPO': {'n_steps': 64}, 'dirs': {'beta': 1.8}}
    """
    found = _table(config) if config else {}
    for pair in pairs:
        # The longest name wins: dirs:prices is an algorithm, too.
        name = max((a for a in algos if pair.startswith(f"{a}:")), key=len, default=None)
        if name is None:
            raise ValueError(
                f"settings are given as algorithm:key=value, with one of {', '.join(algos)}; got "
                f"{pair!r}."
            )
        found.setdefault(name, {}).update(changes([pair[len(name) + 1 :]]))
    return found


def _table(path: Path) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        values = _toml(text) if path.suffix == ".toml" else json.loads(text)
    except ValueError as error:  # JSON's, TOML's and Unicode's are of this kind
        raise ValueError(f"settings file {path} cannot be read: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
        raise ValueError(
            f'settings file {path} must hold one table per algorithm, {{"dirs": {{"beta": 1.8}}}}.'
        )
    return values


def _toml(text: str) -> Any:
    if sys.version_info < (3, 11):
        raise ValueError("TOML needs Python 3.11 or later; write it as JSON.")
    import tomllib

    return tomllib.loads(text)
