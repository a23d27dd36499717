"""The optimum of a slot: exact where tasks are equal, with a proven bound elsewhere."""

from __future__ import annotations

from mec_gym.optimum.solution import Optimum, choice_costs, load_problem, solve

__all__ = ["Optimum", "choice_costs", "load_problem", "solve"]
