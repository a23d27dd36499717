"""Particle swarm as a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.particle_swarm import particle_swarm
from baselines.policies.search import SearchPolicy
from mec_gym import Slot


class ParticleSwarm(SearchPolicy):
    """Particle swarm in every slot anew; see :func:`baselines.particle_swarm`.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.search.SearchPolicy`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> observation, _ = env.reset(seed=0)
    >>> action, _ = ParticleSwarm(env, max_evaluations=500).predict(observation)
    >>> env.step(action)[4]["nrr"] > 0.99
    True
    """

    algorithm = "particle_swarm"

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return the best decision found.

        Parameters
        ----------
        slot : Slot
            With any batch shape.
        deterministic : bool
            Makes no difference: the seed alone decides.

        Returns
        -------
        ndarray, shape (..., N), int64
        """
        assert self.scenario is not None
        return particle_swarm(self.scenario, slot, settings=self.search, **self.budget)
