"""Decision rules, searches and learners to measure any other against.

Every rule is a function of a scenario and a slot, or a batch of slots, that returns an assignment,
an int64 array of shape (..., N), 0 = local and j = server j; it never looks at an environment. The
classes are the same rules, and the paper's learners, as Stable-Baselines3 algorithms; only they
need that library, and only when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from baselines.forecast import Forecast
from baselines.moving import (
    MeasuredSpeed,
    SkiRental,
    Smoothed,
    by_class,
    follow,
    placed_then_stays,
    stays,
)
from baselines.prices import best_discount, mean_prices, posted_prices
from baselines.rules import best_quota, greedy, local, optimal, quota, random, remote
from baselines.search import differential_evolution, particle_swarm

if TYPE_CHECKING:
    from baselines.learners import DDPG, DROO, MADDPG, MAPPO, ActorCritic
    from baselines.moving_policies import (
        BlindOffloading,
        ByClassOffloading,
        FollowOffloading,
        ForecastOffloading,
        MeasuredSpeedOffloading,
        SkiRentalOffloading,
        SmoothedOffloading,
        StaysOffloading,
    )
    from baselines.policies import (
        DifferentialEvolution,
        GreedyOffloading,
        LocalExecution,
        Optimal,
        ParticleSwarm,
        PostedPrices,
        QuotaOffloading,
        RandomOffloading,
        RemoteOffloading,
    )

__all__ = [
    "DDPG",
    "DROO",
    "MADDPG",
    "MAPPO",
    "ActorCritic",
    "BlindOffloading",
    "ByClassOffloading",
    "DifferentialEvolution",
    "FollowOffloading",
    "Forecast",
    "ForecastOffloading",
    "GreedyOffloading",
    "LocalExecution",
    "MeasuredSpeed",
    "MeasuredSpeedOffloading",
    "Optimal",
    "ParticleSwarm",
    "PostedPrices",
    "QuotaOffloading",
    "RandomOffloading",
    "RemoteOffloading",
    "SkiRental",
    "SkiRentalOffloading",
    "Smoothed",
    "SmoothedOffloading",
    "StaysOffloading",
    "best_discount",
    "best_quota",
    "by_class",
    "differential_evolution",
    "follow",
    "greedy",
    "local",
    "mean_prices",
    "optimal",
    "particle_swarm",
    "placed_then_stays",
    "posted_prices",
    "quota",
    "random",
    "remote",
    "stays",
]


def __getattr__(name: str) -> Any:
    for home in ("policies", "moving_policies", "learners") if name in __all__ else ():
        module = importlib.import_module(f"baselines.{home}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
