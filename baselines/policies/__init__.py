"""The rules and searches as Stable-Baselines3 algorithms, one readable file each.

A policy decides with the function of the same name in :mod:`baselines`; what it adds is ``learn``,
``predict``, ``save`` and ``load``, so that rules and learners can be trained, measured and kept by
the same code.
"""

from __future__ import annotations

from gymnasium.error import DependencyNotInstalled

try:
    import stable_baselines3  # noqa: F401
except ModuleNotFoundError as error:
    raise DependencyNotInstalled(
        "the policies of baselines need Stable-Baselines3: "
        'pip install "mec-gym[sb3]", or in a clone pip install ".[sb3]". '
        "Their functions, e.g. baselines.greedy, do without it."
    ) from error

from baselines.policies.differential_evolution import DifferentialEvolution
from baselines.policies.greedy import GreedyOffloading
from baselines.policies.local import LocalExecution
from baselines.policies.optimal import Optimal
from baselines.policies.particle_swarm import ParticleSwarm
from baselines.policies.policy import SlotPolicy
from baselines.policies.prices import PostedPrices
from baselines.policies.quota import QuotaOffloading
from baselines.policies.random import RandomOffloading
from baselines.policies.remote import RemoteOffloading

__all__ = [
    "DifferentialEvolution",
    "GreedyOffloading",
    "LocalExecution",
    "Optimal",
    "ParticleSwarm",
    "PostedPrices",
    "QuotaOffloading",
    "RandomOffloading",
    "RemoteOffloading",
    "SlotPolicy",
]
