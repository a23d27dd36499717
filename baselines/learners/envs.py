"""What a learner requires of an env, asked at one place: whatever env it is given passes here."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import MultiDiscrete, Space
from stable_baselines3.common.vec_env import VecEnv

from mec_gym import ENV_ID, Scenario
from mec_gym.envs.sb3 import vectorised

__all__ = ["require_assignments", "require_same_spaces", "scenario_of", "vectorised"]

_HOW = f'gymnasium.make("{ENV_ID}", scenario=...)'


def scenario_of(env: VecEnv) -> Scenario:
    """Return the scenario of an env.

    Parameters
    ----------
    env : VecEnv
        Of MultiMEC envs, in any wrappers. Networks learn what an observation means: it may be
        normalised, stacked or flattened on the way.

    Returns
    -------
    Scenario

    Raises
    ------
    TypeError
        If it is not a MultiMEC env.
    ValueError
        If the copies differ in their scenarios.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> scenario_of(make_sb3_vec_env("paper-30x2")).n_devices
    30
    """
    # Not by trying: a worker process dies of an attribute that is not there.
    if not env.has_attr("coder"):
        raise TypeError(
            f"env must be a MultiMEC env: {_HOW} or mec_gym.envs.sb3.make_sb3_vec_env(...); got "
            f"one with observations {env.observation_space} and actions {env.action_space}."
        )
    scenarios = [coder.scenario for coder in env.get_attr("coder")]
    for copy, scenario in enumerate(scenarios):
        if scenario is not scenarios[0] and scenario != scenarios[0]:
            raise ValueError(
                f"the copies of env must share one scenario; copy {copy} differs from copy 0. "
                "Train one model for each."
            )
    first: Scenario = scenarios[0]
    return first


def require_assignments(env: VecEnv) -> Scenario:
    """Return the scenario of an env that takes assignments, or refuse the env.

    Parameters
    ----------
    env : VecEnv
        As for :func:`scenario_of`.

    Returns
    -------
    Scenario

    Raises
    ------
    TypeError
        If it is not a MultiMEC env, or takes other actions than assignments.
    ValueError
        If the copies differ in their scenarios.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> require_assignments(make_sb3_vec_env("paper-30x2", scores=True))
    Traceback (most recent call last):
    TypeError: env must take assignments, MultiDiscrete([3] * 30); got Box...
    """
    scenario = scenario_of(env)
    devices, choices = scenario.n_devices, scenario.n_servers + 1
    if env.action_space != MultiDiscrete(np.full(devices, choices)):
        raise TypeError(
            f"env must take assignments, MultiDiscrete([{choices}] * {devices}); got "
            f"{env.action_space}. Leave out ScoreAction, scores=True or whatever else changes its "
            f"actions: {_HOW} takes assignments."
        )
    return scenario


def require_same_spaces(
    observation_space: Space[Any], action_space: Space[Any], env: VecEnv
) -> None:
    """Raise ``ValueError`` unless an env has the spaces of a model.

    Parameters
    ----------
    observation_space, action_space : gymnasium.Space
        The model's: its networks have as many inputs and outputs.
    env : VecEnv
        What it is to learn or act in.

    Raises
    ------
    ValueError
        Names what differs, and what to do.

    Examples
    --------
    >>> from mec_gym.envs.sb3 import make_sb3_vec_env
    >>> env = make_sb3_vec_env("paper-30x2")
    >>> require_same_spaces(env.observation_space, env.action_space, env)
    """
    if env.action_space != action_space:
        raise ValueError(
            f"env must have {_sizes(action_space)}, as the model; got {_sizes(env.action_space)}. "
            "A network's inputs and outputs are of one size: make a new model for this env."
        )
    if env.observation_space != observation_space:
        raise ValueError(
            f"env must have the observations of the model, {observation_space}; got "
            f"{env.observation_space}. Give the env the same observation= and the same tasks that "
            "vary, or make a new model for it."
        )


def _sizes(space: Space[Any]) -> str:
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        return f"{len(space.nvec)} devices and {int(space.nvec[0]) - 1} servers"
    return f"actions {space}"
