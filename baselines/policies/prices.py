"""Posted prices as a policy that tunes itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.policies.policy import SlotPolicy
from baselines.prices import best_discount, mean_prices, posted_prices, require_prices
from baselines.tuning import tuning_slots
from mec_gym import Scenario, Slot
from mec_gym.validation import real_array, require_bool, require_integer, require_number


class PostedPrices(SlotPolicy):
    """Devices answer the servers' constant prices; see :func:`baselines.prices.posted_prices`.

    ``learn`` takes the mean of the optimal prices of slots that are drawn for this alone, and the
    part of it that is best there. In use, a server knows its own gains, its devices' tasks and
    its own price: a learner whose agents know as much has to beat it.

    Parameters
    ----------
    env, **kwargs
        As for :class:`~baselines.policies.policy.SlotPolicy`.
    prices : array_like, shape (M,), or float, [1/sqrt(cycle/s)], optional
        λ_j; given, nothing is tuned. A number is the price of every server; with 0.0 servers only
        send home what does not pay.
    discount : float, optional
        Part of the mean optimal prices to post; 1.0 posts the mean as it is. By default it is
        tuned.
    dropping : bool
        Whether each server sends home the devices that do not pay at its actual load.
    n_tuning_slots : int
        Slots that ``learn`` tunes on.

    Attributes
    ----------
    posted : list of float, float or None
        The prices in use; None until they are known.

    Raises
    ------
    TypeError, ValueError
        For prices that are not one or M finite numbers >= 0, or a discount that is not positive.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-200x10", optimum=True)
    >>> observation, _ = env.reset(seed=0)
    >>> action, _ = PostedPrices(env).learn(0).predict(observation)
    >>> _ = env.reset(seed=0)
    >>> env.step(action)[4]["nrr"] > 0.999
    True
    """

    settings = ("prices", "discount", "dropping", "n_tuning_slots")
    learned = ("posted",)

    def __init__(
        self,
        env: Any = None,
        *,
        prices: ArrayLike | None = None,
        discount: float | None = None,
        dropping: bool = True,
        n_tuning_slots: int = 60,
        **kwargs: Any,
    ) -> None:
        require_integer("n_tuning_slots", n_tuning_slots, 1)
        if discount is not None:
            require_number("discount", discount, "(0, inf)")
        given = None if prices is None else real_array("prices", prices).tolist()
        self.prices: list[float] | float | None = given
        self.discount, self.dropping = discount, require_bool("dropping", dropping)
        self.n_tuning_slots = n_tuning_slots
        self.posted: list[float] | float | None = given
        super().__init__(env, **kwargs)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse prices that are not one or M finite numbers >= 0.

        Parameters
        ----------
        scenario : Scenario
            Of the env.
        """
        if self.posted is not None:
            if np.ndim(self.posted) > 1:
                raise ValueError(
                    f"prices must be a number or have one axis; got shape {np.shape(self.posted)}."
                )
            require_prices(scenario, self.posted)

    def tune(self) -> None:
        """Choose the prices."""
        if self.prices is not None:
            return
        assert self.scenario is not None
        slots = tuning_slots(self.scenario, self.n_tuning_slots, self.seed or 0)
        prices, part = mean_prices(self.scenario, slots), self.discount
        if part is None:
            part = best_discount(self.scenario, slots, prices, dropping=self.dropping)
        self.posted = (part * prices).tolist()

    def decide(self, slot: Slot, *, deterministic: bool) -> NDArray[np.int64]:
        """Return the devices' answer to the prices.

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
        assert self.posted is not None
        return posted_prices(self.scenario, slot, self.posted, dropping=self.dropping)
