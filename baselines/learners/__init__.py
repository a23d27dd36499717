"""The paper's learners as Stable-Baselines3 algorithms, one readable file each."""

from __future__ import annotations

from gymnasium.error import DependencyNotInstalled

try:
    import stable_baselines3  # noqa: F401
except ModuleNotFoundError as error:
    raise DependencyNotInstalled(
        "the learners of baselines need PyTorch and Stable-Baselines3: "
        'pip install "mec-gym[sb3]", or in a clone pip install ".[sb3]".'
    ) from error

from baselines.learners.actor_critic import ActorCritic
from baselines.learners.categorical import BatchedMultiCategorical, OffloadingActorCriticPolicy
from baselines.learners.ddpg import DDPG
from baselines.learners.link_policy import LinkPolicy
from baselines.learners.maddpg import MADDPG
from baselines.learners.maddpg_networks import MADDPGPolicy
from baselines.learners.vote_policy import VotePolicy

__all__ = [
    "DDPG",
    "MADDPG",
    "ActorCritic",
    "BatchedMultiCategorical",
    "LinkPolicy",
    "MADDPGPolicy",
    "OffloadingActorCriticPolicy",
    "VotePolicy",
]
