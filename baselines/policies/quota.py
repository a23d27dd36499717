"""The quota as a policy that tunes itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.policies.policy import SlotPolicy
from baselines.quota import best_quota, quota
from baselines.tuning import tuning_slots
from mec_gym import Scenario, Slot
from mec_gym.validation import require_integer


class QuotaOffloading(SlotPolicy):
    """Each server takes its best gains up to a number of devices; see :func:`baselines.quota`.

    ``learn`` chooses the number on slots of the scenario that are drawn for this alone.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.
    quota : int, optional
        Devices per server, 0...N; given, nothing is tuned.
    n_tuning_slots : int
        Slots that ``learn`` tunes on.

    Attributes
    ----------
    size : int or None
        The quota in use; None until it is known.

    Raises
    ------
    TypeError, ValueError
        For a quota that is no int or not within 0...N.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-200x10")
    >>> QuotaOffloading(env).learn(0).size
    10
    """

    settings = ("quota", "n_tuning_slots")
    learned = ("size",)

    def __init__(
        self,
        env: Any = None,
        *,
        quota: int | None = None,
        n_tuning_slots: int = 60,
        **kwargs: Any,
    ) -> None:
        require_integer("n_tuning_slots", n_tuning_slots, 1)
        if quota is not None:
            require_integer("quota", quota, 0)
        self.quota, self.n_tuning_slots = quota, n_tuning_slots
        self.size: int | None = quota
        super().__init__(env, **kwargs)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse a quota outside 0...N.

        Parameters
        ----------
        scenario : Scenario
            Of the env.
        """
        if self.size is not None:
            require_integer("quota", self.size, 0, scenario.n_devices)

    def tune(self) -> None:
        """Choose the quota."""
        assert self.scenario is not None
        slots = tuning_slots(self.scenario, self.n_tuning_slots, self.seed or 0)
        self.size = best_quota(self.scenario, slots) if self.quota is None else self.quota

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return the decision in which each server takes its best gains.

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
        assert self.size is not None
        return quota(self.scenario, slot, self.size)
