"""Local execution as a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.local import local
from baselines.policies.policy import SlotPolicy
from mec_gym import Slot


class LocalExecution(SlotPolicy):
    """No device offloads but those that cannot execute locally; see :func:`baselines.local`.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> observation, _ = env.reset(seed=0)
    >>> int(LocalExecution(env).predict(observation)[0].sum())
    0
    """

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return all-local execution.

        Parameters
        ----------
        slot : Slot
            With any batch shape.
        deterministic : bool
            Makes no difference.

        Returns
        -------
        ndarray, shape (..., N), int64
        """
        assert self.scenario is not None
        return local(self.scenario, slot)
