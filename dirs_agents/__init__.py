"""DIRS: distributed resource scheduling by an ensemble of agents, one per server."""

from __future__ import annotations

import mec_gym.envs.sb3  # noqa: F401  # first: it says what to install
from dirs_agents.agent import Agent
from dirs_agents.dirs import DIRS
from dirs_agents.hyperparameters import OPTIONS, options
from dirs_agents.labels import demonstrate, demonstration_slots, refine
from dirs_agents.levy_search import LevySearch, Refined, levy_search
from dirs_agents.policies import CentralPolicy, EnsemblePolicy, PricePolicy, VotingPolicy
from dirs_agents.replay import PrioritisedReplay

__all__ = [
    "DIRS",
    "OPTIONS",
    "Agent",
    "CentralPolicy",
    "EnsemblePolicy",
    "LevySearch",
    "PricePolicy",
    "PrioritisedReplay",
    "Refined",
    "VotingPolicy",
    "demonstrate",
    "demonstration_slots",
    "levy_search",
    "options",
    "refine",
]
