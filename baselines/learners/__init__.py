"""The paper's learners as Stable-Baselines3 algorithms.

All train in a MultiMEC env, alone or vectorised, of any `reward`: rewards are standardised, so that
"reciprocal" and "relative", which differ by a factor, train alike. The discount `gamma` is 0:
slots are independent of each other and no decision changes what comes next, so that rewards of
later slots are noise to this one's decision; target networks are idle then. ``TypeError`` or
``ValueError`` refuses an env that is no MultiMEC env, takes other actions or whose copies differ in
their scenarios, an argument out of range, and a replay buffer that does not fit into memory.
"""

from __future__ import annotations

import mec_gym.envs.sb3  # noqa: F401  # first: it says what to install
from baselines.learners.actor_critic import ActorCritic
from baselines.learners.categorical import BatchedMultiCategorical, OffloadingActorCriticPolicy
from baselines.learners.ddpg import DDPG
from baselines.learners.droo import DROO
from baselines.learners.droo_policy import DROOPolicy, LinkProposals
from baselines.learners.link_actor import LinkActorPolicy
from baselines.learners.link_policy import LinkPolicy, LinkScorePolicy
from baselines.learners.maddpg import MADDPG
from baselines.learners.maddpg_networks import MADDPGPolicy
from baselines.learners.mappo import MAPPO
from baselines.learners.voting import VotePolicy

__all__ = [
    "DDPG",
    "DROO",
    "MADDPG",
    "MAPPO",
    "ActorCritic",
    "BatchedMultiCategorical",
    "DROOPolicy",
    "LinkActorPolicy",
    "LinkPolicy",
    "LinkProposals",
    "LinkScorePolicy",
    "MADDPGPolicy",
    "OffloadingActorCriticPolicy",
    "VotePolicy",
]
