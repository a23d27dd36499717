"""A replay buffer for slots: half the memory, and rewards whose unit does not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from baselines.learners.memory import free_memory

_GIB = 2.0**30


class SlotReplay(ReplayBuffer):
    """Stable-Baselines3's replay buffer, fitted to large slots that are independent.

    Scores are kept in half precision: within 0.0005 of what they were. Next observations are kept
    only where the discount asks for them. Rewards are sampled standardised: less the mean of all
    that the buffer holds, by their standard deviation. So a critic's errors, and with them its
    learning rate, do not depend on the `reward` of the env. Where episodes have no end (the env's
    only time out), that changes no policy's rank, whatever the discount.

    Parameters
    ----------
    buffer_size, observation_space, action_space, device, n_envs
        As in Stable-Baselines3; `buffer_size` counts slots of all copies together.
    optimize_memory_usage : bool
        Not supported: there is nothing left to save where next observations are not kept.
    next_observations : bool
        Whether to keep them. Without them each slot stands for its own successor, which a
        discount of 0 never looks at.

    Raises
    ------
    ValueError
        For ``optimize_memory_usage``, or if the buffer would not fit into free memory.

    Examples
    --------
    >>> scores = spaces.Box(0.0, 1.0, (60,))
    >>> replay = SlotReplay(1000, spaces.Box(-1.0, 1.0, (30, 2)), scores, next_observations=False)
    >>> replay.bytes_of_a_slot
    372
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: Any = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        *,
        next_observations: bool = True,
    ) -> None:
        # Past ReplayBuffer's own constructor, which would allocate twice as much.
        BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs)
        if optimize_memory_usage:
            raise ValueError(
                "SlotReplay needs optimize_memory_usage=False; for less memory choose a smaller "
                "buffer_size, or a discount of 0."
            )
        self.optimize_memory_usage = False
        self.handle_timeout_termination = True
        self.keeps_next = next_observations
        self.buffer_size = max(buffer_size // n_envs, 1)
        self._require_memory(buffer_size)
        rows = (self.buffer_size, self.n_envs)
        seen = observation_space.dtype
        self.observations = np.zeros((*rows, *self.obs_shape), dtype=seen)
        self.next_observations = self.observations
        if next_observations:
            self.next_observations = np.zeros((*rows, *self.obs_shape), dtype=seen)
        self.actions = np.zeros((*rows, self.action_dim), dtype=np.float16)
        self.rewards, self.dones, self.timeouts = np.zeros((3, *rows), dtype=np.float32)

    @property
    def bytes_of_a_slot(self) -> int:
        """Memory that one slot takes, [B]."""
        dtype = np.dtype(self.observation_space.dtype)
        seen = int(np.prod(self.obs_shape)) * dtype.itemsize
        return seen * (1 + self.keeps_next) + 2 * self.action_dim + 3 * 4

    def _require_memory(self, buffer_size: int) -> None:
        needed, free = self.buffer_size * self.n_envs * self.bytes_of_a_slot, free_memory()
        if needed > free:
            raise ValueError(
                f"buffer_size={buffer_size} needs {needed / _GIB:.1f} GiB, {self.bytes_of_a_slot} "
                f"bytes a slot, and {free / _GIB:.1f} GiB are free. Use "
                f"buffer_size={int(free // (2 * self.bytes_of_a_slot))} or less."
            )

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Keep one slot of every copy, in the place of the oldest where the buffer is full.

        Parameters
        ----------
        obs, next_obs : ndarray, shape (B, ...)
            Before and after.
        action : ndarray, shape (B, M · N)
            Scores scaled to [-1, 1].
        reward, done : ndarray, shape (B,)
        infos : list of dict
            Of the copies; says whether an end was a time limit.
        """
        place = self.pos
        self.observations[place] = obs
        if self.keeps_next:
            self.next_observations[place] = next_obs
        self.actions[place] = action.reshape(self.n_envs, self.action_dim)
        self.rewards[place], self.dones[place] = reward, done
        self.timeouts[place] = [info.get("TimeLimit.truncated", False) for info in infos]
        self.pos = (place + 1) % self.buffer_size
        self.full = self.full or self.pos == 0

    def reward_scale(self) -> tuple[float, float]:
        """Return what rewards are standardised by.

        Returns
        -------
        mean, deviation : float
            Of the rewards in the buffer; the deviation is 1 where all are equal.
        """
        held = self.rewards[: self.size()]
        # In double precision: rewards of 0.003 differ in their fifth digit.
        mean, deviation = held.mean(dtype=np.float64), held.std(dtype=np.float64)
        varied = deviation > 1e-6 * abs(mean)
        return float(mean), float(deviation) if varied else 1.0

    def _get_samples(
        self, batch_inds: NDArray[np.int64], env: VecNormalize | None = None
    ) -> ReplayBufferSamples:
        # The generator that the library seeds and that the base class draws slots from.
        copies = np.random.randint(0, self.n_envs, size=len(batch_inds))  # noqa: NPY002
        places = (batch_inds, copies)
        ended = self.dones[places] * (1.0 - self.timeouts[places])
        mean, deviation = self.reward_scale()
        standard = (self.rewards[places] - mean) / deviation
        return ReplayBufferSamples(
            observations=self.to_torch(self._shown(self.observations[places], env)),
            actions=self.to_torch(self.actions[places].astype(np.float32)),
            next_observations=self.to_torch(self._shown(self.next_observations[places], env)),
            dones=self.to_torch(ended.reshape(-1, 1)),
            rewards=self.to_torch(standard.astype(np.float32).reshape(-1, 1)),
        )

    def _shown(self, observations: NDArray[Any], env: VecNormalize | None) -> NDArray[Any]:
        return np.asarray(self._normalize_obs(observations, env))
