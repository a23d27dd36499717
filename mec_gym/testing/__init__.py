"""Conformance checks of the environments, bit by bit, for the presets and for users' scenarios.

Gymnasium's and PettingZoo's own checkers compare a step or two within 1e-5. These compare every
bit over many steps and seeds: results, spaces, infos, randomness, state, refusals, and all faces
of the world with each other.
"""

from __future__ import annotations

from mec_gym.testing.checks import CHECKS
from mec_gym.testing.suite import Report, check_offloading_env
from mec_gym.testing.trial import ConformanceError

__all__ = ["CHECKS", "ConformanceError", "Report", "check_offloading_env"]
