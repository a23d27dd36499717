"""Decision rules to measure any learner against, one readable file each.

Every rule takes a scenario and a slot (or a batch of slots) and returns an assignment, 0 = local
and j = server j; it never looks at an environment.
"""

from __future__ import annotations

from baselines.greedy import greedy
from baselines.local import local
from baselines.optimal import optimal
from baselines.quota import best_quota, quota
from baselines.random import random
from baselines.remote import remote

__all__ = ["best_quota", "greedy", "local", "optimal", "quota", "random", "remote"]
