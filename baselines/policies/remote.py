"""Remote offloading as a policy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.policies.policy import SlotPolicy
from baselines.remote import remote
from mec_gym import Scenario, Slot
from mec_gym.model.layout import fixed_layout
from mec_gym.validation import require_bool

LARGEST_FADING = 100.0
"""Gains over those without fading stay below this: e^-100 is the probability of one above."""


class RemoteOffloading(SlotPolicy):
    """Every device uses its nearest server; see :func:`baselines.remote`.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.
    admission_limit : bool
        Whether servers turn devices away for which they have no resource, as in the paper.
    by : {"distance", "gain"}
        "distance": the nearest server, as in the paper, by the scenario's one map. "gain": the
        server with the best gain in the slot, which is another rule, but one that can be read out
        of an observation where every episode has a map of its own.

    Raises
    ------
    ValueError
        For another `by`; and for ``by="distance"`` where layouts are redrawn, because no
        observation says where anyone stands. In ``predict``, for gains that are impossible on the
        policy's own map.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> observation, _ = env.reset(seed=0)
    >>> action, _ = RemoteOffloading(env, admission_limit=False).predict(observation)
    >>> sorted(set(action.tolist()))
    [1, 2]
    """

    settings = ("admission_limit", "by")

    def __init__(
        self,
        env: Any = None,
        *,
        admission_limit: bool = True,
        by: str = "distance",
        **kwargs: Any,
    ) -> None:
        if by not in ("distance", "gain"):
            raise ValueError(f"by must be 'distance' or 'gain'; got {by!r}.")
        self.admission_limit, self.by = require_bool("admission_limit", admission_limit), by
        super().__init__(env, **kwargs)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse redrawn layouts where distances are asked for.

        Parameters
        ----------
        scenario : Scenario
            Of the env.
        """
        if self.by == "distance" and scenario.layout == "redrawn":
            raise ValueError(
                "the nearest server is not in the observations of an env with layout='redrawn'; "
                "use RemoteOffloading(env, by='gain') for the server with the best gain instead, "
                "or a scenario with layout='fixed'."
            )

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return offloading to the nearest server, or to that with the best gain.

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
        nearness = -slot.gains
        if self.by == "distance":
            layout = fixed_layout(self.scenario)
            if (slot.gains > LARGEST_FADING * layout.path_gains).any():
                raise ValueError(
                    "observation must be of the policy's own map; its gains are impossible there. "
                    "Make another RemoteOffloading for another map, or use by='gain'."
                )
            nearness = layout.distances_m
        return remote(self.scenario, slot, nearness, admission_limit=self.admission_limit)
