"""The rules and searches as Stable-Baselines3 algorithms.

A policy decides with the function of the same name in :mod:`baselines`; what it adds is ``learn``,
``predict``, ``save`` and ``load``, so that rules and learners can be trained, measured and kept by
the same code. All take the arguments of :class:`SlotPolicy`, an env first, besides their own.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from baselines.prices import best_discount, mean_prices, posted_prices, require_prices
from baselines.rules import best_quota, greedy, local, optimal, quota, random, remote, tuning_slots
from baselines.search import SearchSettings, committed_settings, require_budget, search_all
from baselines.slot_policy import Assignment, SlotPolicy
from mec_gym import Scenario, Slot
from mec_gym.model.layout import fixed_layout
from mec_gym.model.world import LARGEST_FADING
from mec_gym.validation import (
    dict_of,
    plain,
    real_array,
    require_bool,
    require_choice,
    require_integer,
    require_number,
)

# -- rules ----------------------------------------------------------------------------------------


class LocalExecution(SlotPolicy):
    """No device offloads but those that cannot execute locally, by :func:`baselines.local`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> int(LocalExecution(env).predict(env.reset(seed=0)[0])[0].sum())
    0
    """

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return all-local execution."""
        return local(scenario, slot)


class RandomOffloading(SlotPolicy):
    """Every device picks local execution or a server at random, by :func:`baselines.random`.

    With ``deterministic=True`` the draw depends on the seed and the slot alone: equal slots get
    equal decisions, in any batch. Without it, the policy has a stream of draws.

    Parameters
    ----------
    admission_limit : bool
        Whether servers turn devices away for which they have no resource, as in the paper.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> observation, _ = env.reset(seed=0)
    >>> model = RandomOffloading(env, seed=0)
    >>> draws = [model.predict(observation, deterministic=True)[0] for _ in range(2)]
    >>> bool((draws[0] == draws[1]).all())
    True
    """

    settings = ("admission_limit",)

    def __init__(self, env: Any = None, *, admission_limit: bool = True, **kwargs: Any) -> None:
        self.admission_limit = require_bool("admission_limit", admission_limit)
        super().__init__(env, **kwargs)

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return random choices."""
        limit = self.admission_limit
        if not deterministic:
            return random(scenario, slot, self._rng, admission_limit=limit)
        decisions = np.empty(slot.gains.shape[:-1], dtype=np.int64)
        for index in np.ndindex(slot.batch_shape):
            one = slot[index]
            decisions[index] = random(scenario, one, self.rng_of(one), admission_limit=limit)
        return decisions


class RemoteOffloading(SlotPolicy):
    """Every device uses its nearest server or that with its best gain, by :func:`baselines.remote`.

    Parameters
    ----------
    admission_limit : bool
        Whether servers turn devices away for which they have no resource, as in the paper.
    by : {"distance", "gain"}
        "distance": the nearest server, as in the paper, by the scenario's one map. "gain": the
        server with the best gain in the slot, which is another rule, but one that can be read out
        of an observation where every episode has a map of its own.

    Raises
    ------
    ValueError
        For ``by="distance"`` where layouts are redrawn, because no observation says where anyone
        stands; in ``predict``, for gains that are impossible on the policy's own map.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> model = RemoteOffloading(env, admission_limit=False)
    >>> sorted(set(model.predict(env.reset(seed=0)[0])[0].tolist()))
    [1, 2]
    """

    settings = ("admission_limit", "by")

    def __init__(
        self, env: Any = None, *, admission_limit: bool = True, by: str = "distance", **kwargs: Any
    ) -> None:
        require_choice("by", by, ("distance", "gain"))
        self.admission_limit, self.by = require_bool("admission_limit", admission_limit), by
        super().__init__(env, **kwargs)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse redrawn layouts where distances are asked for."""
        if self.by == "distance" and scenario.layout == "redrawn":
            raise ValueError(
                "the nearest server is not in the observations of an env with layout='redrawn'; "
                "use RemoteOffloading(env, by='gain') for the server with the best gain instead, "
                "or a scenario with layout='fixed'."
            )

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return offloading to the nearest server, or to that with the best gain."""
        nearness = -slot.gains
        if self.by == "distance":
            layout = fixed_layout(scenario)
            if (slot.gains > LARGEST_FADING * layout.path_gains).any():
                raise ValueError(
                    "observation must be of the policy's own map; its gains are impossible there. "
                    "Make another RemoteOffloading for another map, or use by='gain'."
                )
            nearness = layout.distances_m
        return remote(scenario, slot, nearness, admission_limit=self.admission_limit)


class QuotaOffloading(SlotPolicy):
    """Each server takes its own best gains up to a number of devices, by :func:`baselines.quota`.

    ``learn`` chooses that number, `size`, on slots of the scenario drawn for this alone.

    Parameters
    ----------
    quota : int, optional
        Devices per server, 0...N; given, nothing is tuned.
    n_tuning_slots : int
        Slots that ``learn`` tunes on.

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
        self, env: Any = None, *, quota: int | None = None, n_tuning_slots: int = 60, **kwargs: Any
    ) -> None:
        require_integer("n_tuning_slots", n_tuning_slots, 1)
        if quota is not None:
            require_integer("quota", quota, 0)
        self.quota, self.n_tuning_slots = quota, n_tuning_slots
        self.size: int | None = quota
        super().__init__(env, **kwargs)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse a quota outside 0...N."""
        if self.size is not None:
            require_integer("quota", self.size, 0, scenario.n_devices)

    def tune(self, scenario: Scenario) -> None:
        """Choose the quota."""
        self.size = self.quota
        if self.size is None:
            slots = tuning_slots(scenario, self.n_tuning_slots, self.seed or 0)
            self.size = best_quota(scenario, slots)

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the decision in which each server takes its best gains."""
        assert self.size is not None
        return quota(scenario, slot, self.size)


class PostedPrices(SlotPolicy):
    """Devices answer constant prices of the servers, by :func:`baselines.posted_prices`.

    ``learn`` chooses the prices, `posted`: the mean of the optimal prices of slots drawn for this
    alone, and the part of it that is best there. In use, a server knows its own gains, its
    devices' tasks and its own price: a learner whose agents know as much has to beat it.

    Parameters
    ----------
    prices : array_like, shape (M,), or float, [1/sqrt(cycle/s)], optional
        λ_j; given, nothing is tuned. A number is the price of every server; with 0.0 servers only
        send home what does not pay.
    discount : float, optional
        Part of the mean optimal prices to post; by default it is tuned.
    dropping : bool
        Whether each server sends home the devices that do not pay at its actual load.
    n_tuning_slots : int
        Slots that ``learn`` tunes on.

    Raises
    ------
    TypeError, ValueError
        For prices that are not one or M finite numbers >= 0, or a discount that is not positive.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-200x10", optimum=True)
    >>> action, _ = PostedPrices(env).learn(0).predict(env.reset(seed=0)[0])
    >>> _ = env.reset(seed=0)
    >>> bool(env.step(action)[4]["nrr"] > 0.999)
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
        """Refuse prices that are not one or M finite numbers >= 0."""
        if self.posted is not None:
            if np.ndim(self.posted) > 1:
                raise ValueError(
                    f"prices must be a number or have one axis; got shape {np.shape(self.posted)}."
                )
            require_prices(scenario, self.posted)

    def tune(self, scenario: Scenario) -> None:
        """Choose the prices."""
        if self.prices is not None:
            return
        slots = tuning_slots(scenario, self.n_tuning_slots, self.seed or 0)
        prices, part = mean_prices(scenario, slots), self.discount
        if part is None:
            part = best_discount(scenario, slots, prices, dropping=self.dropping)
        self.posted = (part * prices).tolist()

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the devices' answer to the prices."""
        assert self.posted is not None
        return posted_prices(scenario, slot, self.posted, dropping=self.dropping)


class GreedyOffloading(SlotPolicy):
    """Devices in turn take what raises the objective least, by :func:`baselines.greedy`.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> action, _ = GreedyOffloading(env).predict(env.reset(seed=0)[0])
    >>> bool(env.step(action)[4]["nrr"] > 0.99)
    True
    """

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the decision of one greedy pass."""
        return greedy(scenario, slot)


class Optimal(SlotPolicy):
    """The decision of :func:`mec_gym.solve`, optimal or with a proven bound.

    Observations are in single precision: the decision is that for gains within 5e-6.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> action, _ = Optimal(env).predict(env.reset(seed=0)[0])
    >>> round(float(env.step(action)[4]["nrr"]), 6)
    1.0
    """

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the best decision."""
        return optimal(scenario, slot)


# -- searches -------------------------------------------------------------------------------------


class SearchPolicy(SlotPolicy):
    """Base of the policies that search each slot anew, with knowledge of the whole slot.

    The budget is as for :func:`baselines.particle_swarm`; the seed decides what is found: the same
    for equal slots, in any batch. `encoding`, `start`, `population` and `options` are as for
    :class:`~baselines.search.SearchSettings`; by default the best committed under
    baselines/settings, of all or for the encoding.
    """

    settings = ("max_evaluations", "max_milliseconds", "encoding", "start", "population", "options")
    algorithm: ClassVar[str]

    def __init__(
        self,
        env: Any = None,
        *,
        max_evaluations: int = 2000,
        max_milliseconds: float | None = None,
        encoding: str | None = None,
        start: str | None = None,
        population: int | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        require_budget(max_evaluations, max_milliseconds)
        best = committed_settings(self.algorithm, encoding)
        self.max_evaluations, self.max_milliseconds = int(max_evaluations), max_milliseconds
        self.encoding = best.encoding
        self.start = best.start if start is None else start
        self.population = best.population if population is None else population
        given = dict_of("options", best.options if options is None else options)
        self.options = {name: plain(value) for name, value in given.items()}
        self.search = SearchSettings(self.encoding, self.start, self.population, self.options)
        super().__init__(env, **kwargs)

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return the best decision found; the seed alone decides which."""
        budget = (self.max_evaluations, self.max_milliseconds, self.seed or 0)
        return search_all(scenario, slot, self.search, self.algorithm, *budget)

    @property
    def remark(self) -> str:
        """In what it is more than the plain search of its name; empty where it is that search."""
        exact = {
            "order": "the order in which devices choose greedily",
            "prices": "the servers' prices, which devices and servers then answer exactly",
        }
        more = [f"it searches {exact[self.encoding]}"] if self.encoding in exact else []
        more += ["it starts from the greedy decision"] if self.start != "random" else []
        if not more:
            return ""
        return (
            f"{', and '.join(more)}. The plain search of the literature does not, and reaches far "
            "less where there are many devices: encoding='floor', start='random'."
        )


class ParticleSwarm(SearchPolicy):
    """Decides by :func:`baselines.particle_swarm`; parameters are its, and of ``SearchSettings``.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> action, _ = ParticleSwarm(env, max_evaluations=500).predict(env.reset(seed=0)[0])
    >>> bool(env.step(action)[4]["nrr"] > 0.99)
    True
    """

    algorithm = "particle_swarm"


class DifferentialEvolution(SearchPolicy):
    """Decides by :func:`baselines.differential_evolution`, as ``ParticleSwarm`` by its search.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> action, _ = DifferentialEvolution(env, max_evaluations=500).predict(env.reset(seed=0)[0])
    >>> bool(env.step(action)[4]["nrr"] > 0.99)
    True
    """

    algorithm = "differential_evolution"
