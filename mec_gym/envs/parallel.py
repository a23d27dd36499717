"""The PettingZoo face: one agent per server, the same world as the central env.

Importing this module registers ``mec_gym/MultiMEC-v0`` with PettingZoo where it has a registry, for
``pettingzoo.make("parallel", ...)`` and ``("aec", ...)``, where agents act in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box
from numpy.typing import NDArray

try:
    import pettingzoo
    from pettingzoo import AECEnv, ParallelEnv
    from pettingzoo.utils import wrappers
    from pettingzoo.utils.conversions import parallel_to_aec
except ModuleNotFoundError as error:
    raise DependencyNotInstalled(
        "the parallel env needs PettingZoo: "
        'pip install "mec-gym[multiagent]", or in a clone pip install ".[multiagent]".'
    ) from error

from mec_gym.envs.offloading import ENV_ID, MAX_EPISODE_STEPS, MultiMECEnv
from mec_gym.envs.registration import parallel_env
from mec_gym.envs.scores import vote
from mec_gym.fields import canonical_limit
from mec_gym.scenario import Scenario
from mec_gym.validation import real_array, require_within

__all__ = ["MultiMECParallelEnv", "env", "parallel_env", "raw_env"]

Observation = NDArray[np.float32]


class MultiMECParallelEnv(ParallelEnv[str, Observation, NDArray[np.float32]]):
    """One agent per server, ``mec_1`` ... ``mec_M``, that see and decide apart.

    **Observation** of agent j: Box, float32, shape (N · (1 + T),): its own gains to all devices,
    then the T task columns one after the other, coded as in
    :class:`~mec_gym.envs.offloading.MultiMECEnv` ("flat" is "db"). Where services migrate there
    follow two columns of 0 and 1: whose service it hosts, and whose another server hosts; where
    devices may be absent, who is present. **Action**: Box [0, 1], shape
    (N,): a score for every device. The decision is the paper's :func:`mec_gym.vote`.
    **Reward**: the central env's, the same for every agent. **State**: the central env's
    observation as a vector, row by row. **Info** of every agent: the central env's.

    Episodes truncate after `max_cycles` slots, or at the end of a recorded one. For the same seed
    and decisions, observations, rewards and infos equal those of the central env.

    Parameters
    ----------
    scenario, reward, observation, optimum, render_mode, **overrides
        As for the central env.
    max_cycles : int, optional
        Slots in an episode; None or -1: no limit.

    Examples
    --------
    >>> env = MultiMECParallelEnv("paper-30x2", max_cycles=10)
    >>> observations, infos = env.reset(seed=0)
    >>> observations["mec_1"].shape
    (30,)
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "multi_mec_v0",
        "render_modes": ["rgb_array", "human"],
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        scenario: Any = "paper-200x10",
        *,
        max_cycles: int | None = MAX_EPISODE_STEPS,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._central = MultiMECEnv(scenario, render_mode=render_mode, **kwargs)
        self.scenario: Scenario = self._central.scenario
        self.render_mode = render_mode
        self.max_cycles = canonical_limit("max_cycles", max_cycles)
        self.possible_agents = [f"mec_{j}" for j in range(1, self.scenario.n_servers + 1)]
        self.agents: list[str] = []
        coder = self._central.coder
        central = coder.space()
        self.state_space = Box(central.low.ravel(), central.high.ravel(), dtype=np.float32)
        self._observation_spaces = {agent: coder.column_space() for agent in self.possible_agents}
        self._action_spaces = {
            agent: Box(0.0, 1.0, (self.scenario.n_devices,), np.float32)
            for agent in self.possible_agents
        }
        self._state = np.zeros(0, dtype=np.float32)
        self._cycles = 0

    def observation_space(self, agent: str) -> Box:
        """Return an agent's observation space, the same object at every call."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """Return an agent's action space, the same object at every call."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begin an episode; return observations and infos by agent."""
        self._state, info = self._central.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        self._cycles = 0
        return self._observations(), self._infos(info)

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Vote, price the decision in the current slot and move on to the next.

        Scores of shape (N,) in [0, 1] for every live agent. What it returns is by agent, and empty
        once the episode is over. ``TypeError`` or ``ValueError`` for a missing agent or other
        scores; the env stays as it was. ``RuntimeError`` before the first ``reset``.
        """
        if not self._state.size:
            raise RuntimeError("step() needs a reset() before the first episode.")
        if not self.agents:
            return {}, {}, {}, {}, {}
        scores = self._scores(actions)
        assignment = vote(scores, self.scenario.can_execute_locally)
        self._state, reward, _, over, info = self._central.step(assignment)
        self._cycles += 1
        over |= self.max_cycles is not None and self._cycles >= self.max_cycles
        agents = self.agents
        results = (
            self._observations(),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, over),
            self._infos(info),
        )
        if over:
            self.agents = []
        return results

    def state(self) -> Observation:
        """Return the central env's observation of the current slot, a vector in ``state_space``."""
        if not self._state.size:
            raise RuntimeError("there is no state before the first reset().")
        return self._state.ravel().copy()

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the slot that was decided last, as the central env does."""
        return self._central.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        self._central.close()

    def _scores(self, actions: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the live agents' scores, shape (M, N), checked."""
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"actions must hold every live agent; missing {missing}.")
        shape = (self.scenario.n_devices,)
        rows = []
        for agent in self.agents:
            row = real_array(f"action of {agent}", actions[agent])
            if row.shape != shape:
                raise ValueError(f"action of {agent} must have shape {shape}; got {row.shape}.")
            require_within(f"action of {agent}", row, 0.0, 1.0, "must hold scores within [0, 1]")
            rows.append(row)
        return np.stack(rows)

    def _observations(self) -> dict[str, Observation]:
        rows = self._central.coder.columns_of_servers(self._state)
        return dict(zip(self.possible_agents, rows, strict=True))

    def _infos(self, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            agent: {
                key: value.copy() if isinstance(value, np.ndarray) else value
                for key, value in info.items()
            }
            for agent in self.possible_agents
        }


def raw_env(scenario: Any = "paper-200x10", **kwargs: Any) -> AECEnv[str, Any, Any]:
    """Return the env with agents that act in turn (AEC), without PettingZoo's guards."""
    return parallel_to_aec(parallel_env(scenario, **kwargs))


def env(scenario: Any = "paper-200x10", **kwargs: Any) -> AECEnv[str, Any, Any]:
    """Return the AEC env behind PettingZoo's usual guards."""
    return wrappers.OrderEnforcingWrapper(raw_env(scenario, **kwargs))


if hasattr(pettingzoo, "register"):  # from PettingZoo 1.27 on
    pettingzoo.register(
        "parallel", ENV_ID, "mec_gym.envs.parallel:parallel_env", max_cycles=MAX_EPISODE_STEPS
    )
    pettingzoo.register("aec", ENV_ID, "mec_gym.envs.parallel:env", max_cycles=MAX_EPISODE_STEPS)
