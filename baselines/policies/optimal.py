"""Optimal offloading as a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.optimal import optimal
from baselines.policies.policy import SlotPolicy
from mec_gym import Slot


class Optimal(SlotPolicy):
    """The solver's decision, optimal or with a proven bound; see :func:`mec_gym.solve`.

    Observations are in single precision: the decision is that for gains within 5e-6.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> observation, _ = env.reset(seed=0)
    >>> action, _ = Optimal(env).predict(observation)
    >>> round(env.step(action)[4]["nrr"], 6)
    1.0
    """

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return the best decision.

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
        return optimal(self.scenario, slot)
