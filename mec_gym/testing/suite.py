"""The suite: runs the checks and reports."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym

from mec_gym.envs.offloading import ENV_ID, MultiMECEnv
from mec_gym.testing.checks import CHECKS
from mec_gym.testing.trial import OPTIONS, Env, Trial
from mec_gym.validation import require_choice


@dataclass(frozen=True)
class Report:
    """What :func:`check_offloading_env` ran; it returns only when all of it passed.

    Attributes
    ----------
    scenario : str
        Its name.
    checks : tuple of str
        The checks that ran, of :data:`CHECKS`.
    skipped : tuple of str
        Those that do not apply, each with the reason.
    seeds : tuple of int
        The seeds that each check ran with.
    steps : int
        Steps that were compared in total.

    Examples
    --------
    >>> check_offloading_env(checks=["reward"], seeds=[0, 1], steps=5).steps
    10
    """

    scenario: str
    checks: tuple[str, ...]
    skipped: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int


def check_offloading_env(
    scenario: Any = "paper-30x2",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    episodes: int = 2,
    steps: int = 20,
    checks: Sequence[str] | None = None,
    **make_kwargs: Any,
) -> Report:
    """Check that an environment keeps its promises, bit by bit.

    Parameters
    ----------
    scenario : str, path, mapping, Scenario or env
        What ``gym.make`` takes as ``scenario``; or an env to check copies of: a MultiMECEnv (or a
        subclass), plain or as ``gym.make`` returns it.
    seeds : sequence of int
        Every check runs once with each.
    episodes, steps : int
        Resets per seed, and steps after each reset.
    checks : sequence of str, optional
        Names of :data:`CHECKS`; all by default.
    **make_kwargs
        As for ``gym.make``: reward, observation, optimum and any Scenario field. For an env
        that ``gym.make`` did not make, what it was made with.

    Returns
    -------
    Report

    Raises
    ------
    ConformanceError
        At the first promise that is broken; names the check, the seed and the step.

    Examples
    --------
    >>> report = check_offloading_env("paper-30x2", seeds=[0], steps=3, n_devices=4)
    >>> "determinism" in report.checks
    True
    """
    if not seeds or episodes < 1 or steps < 1:
        raise ValueError("check_offloading_env needs at least one seed, one episode and one step.")
    for name in checks or ():
        require_choice("checks", name, CHECKS)
    trial = Trial(*subject(scenario, make_kwargs), tuple(seeds), episodes, steps)
    reasons = {
        name: trial.run(name, CHECKS[name]) for name in (CHECKS if checks is None else checks)
    }
    return Report(
        scenario=trial.scenario.name,
        checks=tuple(name for name, reason in reasons.items() if not reason),
        skipped=tuple(f"{name}: {reason}" for name, reason in reasons.items() if reason),
        seeds=trial.seeds,
        steps=trial.taken,
    )


def subject(scenario: Any, kwargs: dict[str, Any]) -> tuple[Callable[[], Env], dict[str, Any]]:
    """Return what makes a new env, and the options it has beside its scenario."""
    make: Callable[[], Env] = partial(gym.make, ENV_ID, scenario=scenario, **kwargs)
    if isinstance(scenario, gym.Env):
        if not isinstance(scenario.unwrapped, MultiMECEnv):
            raise TypeError(f"the env must be a MultiMECEnv; got {scenario.unwrapped}.")
        make = partial(copy.deepcopy, scenario)
        kwargs = (dict(scenario.spec.kwargs) if scenario.spec else {}) | kwargs
    return make, {name: kwargs[name] for name in OPTIONS if name in kwargs}
