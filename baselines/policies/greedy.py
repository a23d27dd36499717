"""Greedy offloading as a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.greedy import greedy
from baselines.policies.policy import SlotPolicy
from mec_gym import Slot


class GreedyOffloading(SlotPolicy):
    """Device after device takes what raises the objective least; see :func:`baselines.greedy`.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> observation, _ = env.reset(seed=0)
    >>> action, _ = GreedyOffloading(env).predict(observation)
    >>> env.step(action)[4]["nrr"] > 0.99
    True
    """

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return the decision of one greedy pass.

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
        return greedy(self.scenario, slot)
