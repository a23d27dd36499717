"""What a policy must know and check about an env before it reads slots out of its observations."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import MultiDiscrete
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from mec_gym import ENV_ID, Scenario

_HOW = f'gymnasium.make("{ENV_ID}", scenario=...) or mec_gym.envs.sb3.make_sb3_vec_env(...)'


def require_vectorisable(env: Any) -> None:
    """Raise ``TypeError`` for a vector env of Gymnasium's, which Stable-Baselines3 does not take.

    Parameters
    ----------
    env : object
        What the caller gave.

    Raises
    ------
    TypeError
        Names the adapter.

    Examples
    --------
    >>> require_vectorisable(gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2"))
    """
    if isinstance(env, gym.vector.VectorEnv):
        raise TypeError(
            "env must be a gymnasium.Env or a VecEnv of Stable-Baselines3; got a vector env of "
            "Gymnasium's. Use mec_gym.envs.sb3.make_sb3_vec_env(...), or SB3VecEnv around it."
        )


def world_of(env: VecEnv) -> tuple[Scenario, str]:
    """Return the scenario of an env and the kind of its observations.

    Parameters
    ----------
    env : VecEnv
        Of MultiMEC envs, in any wrappers that leave observations and actions as they are.

    Returns
    -------
    scenario : Scenario
    kind : {"db", "raw", "flat"}

    Raises
    ------
    TypeError
        If it is not a MultiMEC env, or takes other actions than assignments.
    ValueError
        If a wrapper changes observations, or the copies differ in their scenarios.

    Examples
    --------
    >>> from stable_baselines3.common.vec_env import DummyVecEnv
    >>> env = DummyVecEnv([lambda: gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")])
    >>> world_of(env)[1]
    'db'
    """
    try:
        coders = env.get_attr("coder")
        scenario, kind = coders[0].scenario, coders[0].kind
    except AttributeError as error:
        raise TypeError(
            f"env must be a MultiMEC env, which says what its observations mean: {_HOW}; "
            f"got one with observations {env.observation_space} and actions {env.action_space}."
        ) from error
    _require_one_world(coders)
    _require_plain_observations(env, coders[0])
    actions = MultiDiscrete(np.full(scenario.n_devices, scenario.n_servers + 1))
    if env.action_space != actions:
        raise TypeError(
            f"env must take assignments, MultiDiscrete([{scenario.n_servers + 1}] * "
            f"{scenario.n_devices}); got {env.action_space}. Leave out ScoreAction, scores=True or "
            "whatever else changes its actions."
        )
    return scenario, kind


def spaces_of(scenario: Scenario, kind: str) -> tuple[Any, Any]:
    """Return the spaces of observations and of actions of a scenario's env.

    Parameters
    ----------
    scenario : Scenario
        The system.
    kind : {"db", "raw", "flat"}
        Of its observations.

    Returns
    -------
    observation_space : gymnasium.spaces.Box
    action_space : gymnasium.spaces.MultiDiscrete

    Examples
    --------
    >>> spaces_of(Scenario.preset("paper-30x2"), "flat")[0].shape
    (60,)
    """
    env = gym.make(ENV_ID, scenario=scenario, observation=kind)
    return env.observation_space, env.action_space


def require_within(space: Any, observation: Any) -> None:
    """Raise ``ValueError`` unless observations lie within the bounds of their space.

    Parameters
    ----------
    space : gymnasium.spaces.Box
        Of one observation.
    observation : array_like, shape (..., *space.shape)
        One or a batch; another shape is not looked at.

    Raises
    ------
    ValueError
        Names the first value that the env never shows, as a normalising wrapper may.

    Examples
    --------
    >>> space = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2").observation_space
    >>> require_within(space, np.zeros((7, 30, 2)))
    """
    values = np.asarray(observation)
    if values.shape[values.ndim - len(space.shape) :] != space.shape:
        return
    outside = ~((values >= space.low) & (values <= space.high))
    if outside.any():
        first = tuple(int(index) for index in np.argwhere(outside)[0])
        raise ValueError(
            f"observation must be finite and within the env's space; got {values[first]!s} at "
            f"index {first}. Leave out wrappers that change observations, VecNormalize among them."
        )


def require_same_sizes(known: Scenario, other: Scenario) -> None:
    """Raise ``ValueError`` unless two scenarios have as many devices and servers.

    Parameters
    ----------
    known, other : Scenario
        The policy's and the env's.

    Raises
    ------
    ValueError
        Names both sizes.

    Examples
    --------
    >>> require_same_sizes(Scenario.preset("paper-30x2"), Scenario.preset("paper-30x2"))
    """
    sizes = [(one.n_devices, one.n_servers) for one in (known, other)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"env must have {sizes[0][0]} devices and {sizes[0][1]} servers, as this policy's "
            f"scenario {known.name!r}; got {sizes[1][0]} and {sizes[1][1]}. Make another policy "
            "for it."
        )


def require_count(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise unless a value is an int within its limits.

    Parameters
    ----------
    name : str
        What the caller calls it.
    value : object
        What was given.
    least, most : int
        Ends; no upper end by default.

    Raises
    ------
    TypeError, ValueError
        Names the argument, the limits and what came.

    Examples
    --------
    >>> require_count("quota", 3, 0, 30)
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an int; got {value!r}.")
    if value < least or (most is not None and value > most):
        limits = f">= {least}" if most is None else f"within {least}...{most}"
        raise ValueError(f"{name} must be {limits}; got {value}.")


def _require_one_world(coders: list[Any]) -> None:
    first = coders[0]
    for copy, coder in enumerate(coders):
        same = coder is first or (coder.scenario, coder.kind) == (first.scenario, first.kind)
        if not same:
            raise ValueError(
                "the copies of env must share one scenario and one kind of observations; copy "
                f"{copy} differs from copy 0. Use one policy for each."
            )


def _require_plain_observations(env: VecEnv, coder: Any) -> None:
    normalised = unwrap_vec_normalize(env)
    if normalised is not None and normalised.norm_obs:
        raise ValueError(
            "env must show observations as they are; VecNormalize changes them. Use "
            "VecNormalize(..., norm_obs=False), or leave it out."
        )
    expected, got = coder.space(), ""
    # Around a native batch there are none: Gymnasium keeps them out of its autoreset mode.
    if any(env.env_is_wrapped(gym.ObservationWrapper)):
        got = "a gymnasium.ObservationWrapper"
    elif env.observation_space != expected:
        got = f"space {env.observation_space} instead of {expected}"
    if got:
        raise ValueError(
            f"env must show observations as they are, observation={coder.kind!r}; got {got}. "
            "Leave out wrappers that change observations (normalisation, frame stacks, "
            'flattening: observation="flat" is flat by itself).'
        )
