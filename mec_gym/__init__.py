"""mec_gym: a multi-server mobile-edge-computing environment with exact allocation and optimum.

Importing the package registers ``mec_gym/MultiMEC-v0`` with Gymnasium.
"""

from __future__ import annotations

from mec_gym.allocation import Allocation, allocate
from mec_gym.envs.observation import slot_from_observation
from mec_gym.envs.offloading import ENV_ID
from mec_gym.envs.registration import parallel_env, register
from mec_gym.envs.scores import ScoreAction, VectorScoreAction, vote
from mec_gym.fields import Uniform
from mec_gym.hindsight import Hindsight, hindsight
from mec_gym.mobility import GaussMarkov, RandomWaypoint, Traces
from mec_gym.model.episode import Episode, episode
from mec_gym.model.slot import Slot
from mec_gym.optimum import Optimum, counterfactuals, solve
from mec_gym.outcome import Outcome, evaluate
from mec_gym.scenario import Scenario

__version__ = "0.1.0"

__all__ = [
    "ENV_ID",
    "Allocation",
    "Episode",
    "GaussMarkov",
    "Hindsight",
    "Optimum",
    "Outcome",
    "RandomWaypoint",
    "Scenario",
    "ScoreAction",
    "Slot",
    "Traces",
    "Uniform",
    "VectorScoreAction",
    "allocate",
    "counterfactuals",
    "episode",
    "evaluate",
    "hindsight",
    "parallel_env",
    "slot_from_observation",
    "solve",
    "vote",
]

register()
