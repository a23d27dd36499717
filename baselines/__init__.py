"""Decision rules to measure any learner against, one readable file each.

Every rule takes a scenario and a slot (or a batch of slots) and returns an assignment, 0 = local
and j = server j; it never looks at an environment.
"""

from __future__ import annotations

from baselines.greedy import greedy
from baselines.local import local
from baselines.optimal import optimal
from baselines.prices import best_discount, mean_prices, posted_prices
from baselines.quota import best_quota, quota
from baselines.random import random
from baselines.remote import remote

__all__ = [
    "best_discount",
    "best_quota",
    "greedy",
    "local",
    "mean_prices",
    "optimal",
    "posted_prices",
    "quota",
    "random",
    "remote",
]
