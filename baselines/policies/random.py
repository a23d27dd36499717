"""Random offloading as a policy."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.policies.policy import SlotPolicy
from baselines.random import random
from mec_gym import Slot
from mec_gym.validation import require_bool


class RandomOffloading(SlotPolicy):
    """Every device picks local execution or a server at random; see :func:`baselines.random`.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.
    admission_limit : bool
        Whether servers turn devices away for which they have no resource, as in the paper.

    Notes
    -----
    With ``deterministic=True`` the draw hangs on the seed and the observation alone: equal slots
    get equal decisions, in any batch. Without it, the policy has a stream of draws.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> observation, _ = env.reset(seed=0)
    >>> RandomOffloading(env, seed=0).predict(observation)[0].shape
    (30,)
    """

    settings = ("admission_limit",)

    def __init__(self, env: Any = None, *, admission_limit: bool = True, **kwargs: Any) -> None:
        self.admission_limit = require_bool("admission_limit", admission_limit)
        super().__init__(env, **kwargs)

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return random choices.

        Parameters
        ----------
        slot : Slot
            With any batch shape.
        deterministic : bool
            Whether the draw hangs on the slot and the seed alone.

        Returns
        -------
        ndarray, shape (..., N), int64
        """
        assert self.scenario is not None
        if not deterministic:
            return random(self.scenario, slot, self._rng, admission_limit=self.admission_limit)
        decisions = np.empty(slot.gains.shape[:-1], dtype=np.int64)
        for index in np.ndindex(slot.batch_shape):
            rng = np.random.default_rng([self.seed or 0, zlib.crc32(slot.gains[index].tobytes())])
            decisions[index] = random(
                self.scenario, slot[index], rng, admission_limit=self.admission_limit
            )
        return decisions
