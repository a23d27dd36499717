"""Registration with Gymnasium and PettingZoo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym

from mec_gym.envs.offloading import ENV_ID, MAX_EPISODE_STEPS

if TYPE_CHECKING:
    from mec_gym.envs.parallel import MultiMECParallelEnv


def register() -> None:
    """Register the env with Gymnasium; a second call does nothing."""
    if ENV_ID not in gym.registry:
        gym.register(
            id=ENV_ID,
            entry_point="mec_gym.envs.offloading:MultiMECEnv",
            vector_entry_point="mec_gym.envs.vector:MultiMECVectorEnv",
            max_episode_steps=MAX_EPISODE_STEPS,
        )


def parallel_env(
    scenario: Any = "paper-200x10", *, max_cycles: int | None = MAX_EPISODE_STEPS, **kwargs: Any
) -> MultiMECParallelEnv:
    """Return the PettingZoo ParallelEnv: one agent per server, truncated after `max_cycles` slots.

    `scenario` and `kwargs` are what ``gym.make`` takes: reward, observation, optimum, render_mode
    and any Scenario field. Without PettingZoo: ``gymnasium.error.DependencyNotInstalled``.

    Examples
    --------
    >>> env = parallel_env("paper-30x2", max_cycles=10)
    >>> env.possible_agents
    ['mec_1', 'mec_2']
    """
    from mec_gym.envs.parallel import MultiMECParallelEnv

    return MultiMECParallelEnv(scenario, max_cycles=max_cycles, **kwargs)
