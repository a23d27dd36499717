"""What a policy must know and check about an env before it reads slots out of its observations."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from mec_gym import ENV_ID, Scenario


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
    observation : array_like, shape (...,) + space.shape
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
