"""Measure what is there already: runs, models in files, rules."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from mec_bench.cards import PREFIX, pretrained_card, pretrained_names
from mec_bench.importing import name_of, users_code
from mec_bench.measuring import Frozen
from mec_bench.registry import Algorithm, algorithm, names
from mec_bench.results import Result, read_result
from mec_bench.run import Run, RunFolder, Settings
from mec_bench.training import make_env, measured
from mec_gym import Scenario
from mec_gym.validation import suggestion

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Policy:
    """Something to be measured: settings, and where its model and its run lie, if it has any.

    `trained` says whether the settings are those of its training, scenario and budget included.
    """

    settings: Settings
    model: Path | None = None
    run: RunFolder | None = None
    trained: bool = False

    def __str__(self) -> str:
        return str((self.run.path if self.run else self.model) or self.settings.label)


def evaluate_again(
    given: Iterable[str | os.PathLike[str] | Callable[..., Any]],
    *,
    algo: str | None = None,
    scenario: Scenario | None = None,
    layouts: int | None = None,
) -> Iterator[Result]:
    """Measure policies on the same frozen slots, or episodes, and yield one result after another.

    Times of decisions are of this machine; curve and seconds of training are the run's.

    Parameters
    ----------
    given : iterable of str, path or callable
        Folders of runs (those below count), models' files, "pretrained:" and a name of
        :func:`mec_bench.pretrained_names`, names of rules, or rules of your own: functions of
        (scenario, slot, rng).
    algo : str, optional
        The algorithm of models given as files.
    scenario, layouts : Scenario, int, optional
        Of the frozen slots, or episodes; by default the scenario that the runs among `given` were
        trained in, where it is one, and 40 layouts or 20 episodes.

    Raises
    ------
    FileNotFoundError, ValueError
        For what is neither a run, a file nor a name; without a scenario that the model fits.

    Examples
    --------
    >>> best, = evaluate_again(["optimal"], scenario=Scenario.preset("paper-30x2"), layouts=2)
    >>> min(min(row) for row in best.slots.nrr) > 1 - 1e-9
    True
    """
    named = dict.fromkeys(os.fspath(name_of("algorithm", one)) for one in given)  # each once
    policies = [found for one in named for found in _found(one, algo, scenario)]
    if named and not policies:
        raise FileNotFoundError(f"there is nothing to measure in {', '.join(named)}.")
    chosen = scenario or _only(dict.fromkeys(p.settings.scenario for p in policies if p.trained))
    policies = _each_once(policies)
    left_out = 0
    for policy in policies:
        try:
            with users_code():
                result = _measured(policy, chosen, layouts)
            yield result
        except ValueError as error:
            left_out += 1
            if policy.run or policy.model or left_out == len(policies):
                raise
            # One rule of several that this scenario has no answer for.
            _log.warning("%s is left out: %s", policy.settings.label, error)


def _only(scenarios: Iterable[Scenario]) -> Scenario:
    """Return the one scenario of all runs."""
    found = list(scenarios)
    if not found:
        raise ValueError("scenario is needed where no run says which: a preset or a JSON file.")
    if len(found) > 1:
        raise ValueError(
            f"these runs are of {len(found)} scenarios: {', '.join(str(s.name) for s in found)}. "
            "Choose one for all with --scenario (scenario=), or measure the runs of each on their "
            "own."
        )
    return found[0]


def _each_once(policies: list[_Policy]) -> list[_Policy]:
    """Leave out rules that are there already, and refuse runs that would pass for one another."""
    kept: dict[Any, _Policy] = {}
    for policy in policies:
        one = policy.settings
        learns = algorithm(one.algorithm, one.arguments).learns
        key = (one.label, *((one.scenario, one.timesteps, one.seed) if learns else ()))
        other = kept.setdefault(key, policy)
        if other is not policy and (learns or other.settings.changed != one.changed):
            raise ValueError(
                f"{other} and {policy} are both {one.label!r}, seed {one.seed}: "
                "they would stand in one row as if they were two seeds. Measure them apart, or "
                "train them with --label."
            )
    return list(kept.values())


def _found(given: str, algo: str | None, scenario: Scenario | None) -> Iterator[_Policy]:
    """Yield what a word of the command line stands for."""
    path = Path(given)
    if os.path.isdir(path):  # a word may be longer than any file's name
        folders = sorted(file.parent for file in path.rglob("settings.json"))
        if not folders:
            raise FileNotFoundError(f"{given} holds no run: no settings.json in it or below.")
        for folder in folders:
            run = RunFolder(folder)
            settings, model = run.settings(), run.newest_model()
            assert settings is not None
            if model is not None:
                yield _Policy(settings, model, run, trained=True)
            elif folder == path:
                raise FileNotFoundError(f"{path} has neither a model nor a checkpoint yet.")
            else:
                _log.warning("%s is left out: it has neither a model nor a checkpoint.", folder)
    elif os.path.isfile(path):
        if algo is None:
            raise ValueError(f"{given} is a model's file: algo has to say of which algorithm.")
        yield _Policy(_as_run(algo, scenario, given), path)
    elif given.startswith(PREFIX):
        card = pretrained_card(given.removeprefix(PREFIX))
        settings = Settings.from_mapping({**card.settings, "label": given})
        yield _Policy(settings, card.file, trained=True)
    elif given in names() or ":" in given:
        yield _Policy(_as_run(given, scenario, given))
    else:
        known = [*names(), *(PREFIX + one for one in pretrained_names())]
        raise FileNotFoundError(
            f"{given} is neither the folder of a run, a model's file nor the name of a rule"
            f"{suggestion(given.lower(), known)}."
        )


def _as_run(algo: str, scenario: Scenario | None, label: str) -> Settings:
    # Without a scenario of its own it is measured in that of the others; see _measured.
    return Settings(
        algorithm=algo, scenario=scenario or Scenario.preset("paper-30x2"), timesteps=0, label=label
    )


def _measured(policy: _Policy, scenario: Scenario, layouts: int | None) -> Result:
    run = Run(dataclasses.replace(policy.settings, scenario=scenario), layouts=layouts)
    model = _model(policy, run)
    label = run.settings.label
    if policy.trained and run.algorithm.learns and policy.settings.scenario != scenario:
        # Another policy than one of this scenario: never a further seed of it.
        label += f", of {policy.settings.scenario.name}"
    file = policy.run.result if policy.run else None
    trained = read_result(file) if file and file.exists() else None
    timesteps, budget = _timesteps(model, policy), policy.settings.timesteps
    past = policy.run.notes() if policy.run else []
    if policy.run and timesteps < budget and run.algorithm.learns:
        past = [*past, f"its run is not done: {timesteps:,} of {budget:,} slots."]
    return measured(
        run,
        model,
        timesteps if run.algorithm.learns else 0,
        spent=(trained.seconds.training, trained.seconds.training_cpu) if trained else (None, None),
        # A curve measured on other slots would say nothing of these.
        curve=trained.curve if trained and _same_slots(trained, run.frozen) else (),
        label=label,
        in_its_env=policy.run is not None,
        past=past,
    )


def _same_slots(trained: Result, frozen: Frozen) -> bool:
    """Return whether a run's learning curve was measured on these slots."""
    measured = dataclasses.replace(trained.evaluation, gap=frozen.evaluation.gap)
    scenario = json.loads(frozen.scenario.to_json())
    return measured == frozen.evaluation and dict(trained.scenario_json) == scenario


def _timesteps(model: Any, policy: _Policy) -> int:
    """Return the budget of a finished run, and how far any other model was trained."""
    budget = policy.settings.timesteps
    finished = policy.trained and (policy.run is None or policy.model == policy.run.model)
    return budget if finished else int(getattr(model, "num_timesteps", budget))


def _model(policy: _Policy, run: Run) -> Any:
    settings, chosen = run.settings, run.algorithm
    env = make_env(settings, chosen)
    if policy.model is not None:
        try:
            model = chosen.load(policy.model, env=env, device="cpu")
        except DependencyNotInstalled:
            raise
        except Exception as error:  # whatever a reader meets in a file of another kind
            raise ValueError(
                f"{policy.model} cannot be read as a model of {settings.algorithm} for "
                f"{settings.scenario.name}: {error}"
            ) from error
        if policy.run is None:
            _require_named(model, policy.model, chosen)
        return model
    if chosen.learns:
        raise ValueError(
            f"{settings.algorithm} has to be trained first: mec-gym train --algo "
            f"{settings.algorithm}; then name its run."
        )
    return chosen.build(env, seed=settings.seed, device="cpu").learn(0)


def _require_named(model: Any, file: Path, chosen: Algorithm) -> None:
    """Refuse a file under one name of its class where another name says what it holds."""
    alike = [one for one in map(algorithm, names()) if one.cls is chosen.cls]
    fitting = [one for one in alike if not _changed(model, one)]
    # Where no name fits in all, the class of the policy still tells some apart.
    agents = [one for one in alike if _policy_of(one) is getattr(model, "policy_class", None)]
    closest = max(
        fitting or agents,
        key=lambda one: (-_changed(model, one), len(one.arguments)),
        default=None,
    )
    if not fitting and chosen.name in [one.name for one in agents]:
        return
    if closest and chosen.name in [one.name for one in alike if one.name != closest.name]:
        raise ValueError(
            f"{file} must hold a model of {chosen.name}; it holds one of {closest.name}: give "
            f"--algo {closest.name}."
        )


def _policy_of(named: Algorithm) -> Any:
    """Return the class of the policy that a name implies; None where it implies none."""
    aliases: dict[Any, Any] = getattr(named.cls, "policy_aliases", {})
    return aliases.get(named.arguments.get("policy", named.default("policy")))


def _changed(model: Any, named: Algorithm) -> int:
    """Return how many arguments that a name implies a model does not have."""
    held = vars(model) | {"policy": getattr(model, "policy_class", None)}
    wanted = dict(named.arguments)
    if "policy" in wanted or _policy_of(named):
        wanted["policy"] = _policy_of(named)
    return sum(held.get(key) != value for key, value in wanted.items())
