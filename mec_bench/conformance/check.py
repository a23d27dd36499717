"""Whether an algorithm of anyone's fits the harness: what it still lacks, in plain sentences."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mec_bench.algorithms import Algorithm, algorithm
from mec_bench.conformance.checks import CHECKS, OPTIONS
from mec_bench.conformance.subject import LackingError, Subject
from mec_gym import Scenario

_SMALL = Scenario(n_devices=4, n_servers=2, name="small")


@dataclass(frozen=True)
class AlgorithmReport:
    """What :func:`check_algorithm` found.

    Attributes
    ----------
    name : str
        Of the class.
    passed : bool
        Whether the harness can train, measure, keep and go on with it.
    problems : tuple of str
        What it lacks: which check, what is needed, what came.
    notes : tuple of str
        What it could do beyond, and does not.
    checks : tuple of str
        The checks that ran.

    Examples
    --------
    >>> print(AlgorithmReport("mine:Mine", False, ("load: it must ...",), (), ("load",)))
    mine:Mine fails 1 of 1 checks:
    - load: it must ...
    """

    name: str
    passed: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.name} passes all {len(self.checks)} checks."]
        if self.problems:
            count = f"{len(self.problems)} of {len(self.checks)}"
            lines = [f"{self.name} fails {count} checks:", *(f"- {text}" for text in self.problems)]
        if self.notes:
            lines += ["Optional, and not there:", *(f"- {text}" for text in self.notes)]
        return "\n".join(lines)


def check_algorithm(
    cls: type[Any] | str,
    *,
    scenario: Any = None,
    arguments: Mapping[str, Any] | None = None,
    timesteps: int = 64,
) -> AlgorithmReport:
    """Try everything that the harness asks of an algorithm, on a small env.

    Parameters
    ----------
    cls : type or str
        A class with Stable-Baselines3's ``learn``, ``predict``, ``save``, ``load`` and
        ``set_logger``, or a name as the harness takes it: ``"my_module:MyClass"``, ``"sb3:PPO"``.
    scenario : str, path, mapping or Scenario, optional
        Where to try it; 4 devices and 2 servers by default.
    arguments : mapping, optional
        Constructor arguments, e.g. such that it trains within `timesteps`.
    timesteps : int
        Slots of one training; there are about ten of them.

    Returns
    -------
    AlgorithmReport
        Faults of the class are in it; none is raised.

    Raises
    ------
    TypeError
        If `cls` is neither a class nor a name.
    ValueError, ModuleNotFoundError, AttributeError
        For a name, module or class that there is not.

    Examples
    --------
    >>> from baselines import GreedyOffloading
    >>> print(check_algorithm(GreedyOffloading))
    baselines.policies.greedy:GreedyOffloading passes all ... checks...
    """
    if not isinstance(cls, (type, str)):
        raise TypeError(f"cls must be a class or a name such as 'my_module:MyClass'; got {cls!r}.")
    world = _SMALL if scenario is None else Scenario.resolve(scenario)
    name = cls if isinstance(cls, str) else f"{cls.__module__}:{cls.__qualname__}"
    with _undisturbed():
        try:
            subject = Subject(_chosen(name, cls, dict(arguments or {}), world), world, timesteps)
        except LackingError as lacking:
            return AlgorithmReport(name, False, (f"construct: {lacking}",), (), ("construct",))
        problems, ran = [], ["construct"]
        for check, run in CHECKS.items():
            ran.append(check)
            if fault := _fault(run, subject):
                problems.append(f"{check}: {fault}")
            if check == "learn" and problems:
                break  # the others would stumble over the same
        notes = [] if problems else _notes(subject)
    return AlgorithmReport(name, not problems, tuple(problems), tuple(notes), tuple(ran))


def _chosen(
    name: str, cls: type[Any] | str, arguments: dict[str, Any], world: Scenario
) -> Algorithm:
    """Return the algorithm with the face of the env that it can be built on."""
    if isinstance(cls, str):
        try:
            return algorithm(cls, arguments)
        except TypeError as error:
            raise LackingError(str(error)) from error
    theirs = cls.__module__.split(".")[0] in ("stable_baselines3", "sb3_contrib")
    plain = Algorithm(name, cls, arguments, observation="flat" if theirs else "db")
    refusals = []
    for scores in (False, True):
        chosen = replace(plain, scores=scores)
        try:
            Subject(chosen, world, 1).build()
        except Exception as error:  # whatever it is, it is the class's
            refusals.append(_described(error))
        else:
            return chosen
    raise LackingError(
        "it must be built by Class(env=env, seed=0), or by Class('MlpPolicy', env=env, ...) where "
        "`policy` has no default; everything else needs a default. On an env of assignments it "
        f"raised {refusals[0]} On one of scores, Box(0, 1): {refusals[1]}"
    )


def _notes(subject: Subject) -> list[str]:
    found = {option: _fault(run, subject) for option, run in OPTIONS.items()}
    return [f"{option}: {fault}" for option, fault in found.items() if fault]


def _fault(check: Any, subject: Subject) -> str:
    try:
        check(subject)
    except LackingError as lacking:
        return str(lacking)
    except (Exception, SystemExit) as error:
        needed = (check.__doc__ or "").strip().splitlines()[0]
        return f"it must {needed[0].lower()}{needed[1:]} It raised {_described(error)}"
    return ""


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep warnings of the class quiet, and leave the caller's generators as they were."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        torch.set_rng_state(kept[2])
