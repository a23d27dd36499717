"""Running means of what is logged, exact across a checkpoint."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from stable_baselines3.common.utils import safe_mean


class Averages:
    """Means by name since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, name: str, value: Any) -> None:
        """Note a value."""
        entry = self._sums.setdefault(name, [0.0, 0.0])
        entry[0] += float(value)
        entry[1] += 1.0

    def take(self) -> dict[str, float]:
        """Return the means and begin anew."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means

    def get_state(self) -> dict[str, list[float]]:
        """Return sums and counts."""
        return {name: list(entry) for name, entry in self._sums.items()}

    def set_state(self, state: Mapping[str, list[float]]) -> None:
        """Go back to a state."""
        self._sums = {name: list(entry) for name, entry in state.items()}


def record_progress(model: Any) -> None:
    """Record what training has come to with the model's logger, in Stable-Baselines3's tags."""
    logger = model.logger
    if model.ep_info_buffer:
        for key, name in (("r", "ep_rew_mean"), ("l", "ep_len_mean")):
            mean = safe_mean([info[key] for info in model.ep_info_buffer])
            logger.record(f"rollout/{name}", mean)
    with torch.no_grad():
        square = sum(float(weight.square().sum()) for weight in model.policy.parameters())
    logger.record("train/l2", square)
    logger.record("train/learning_rate", model.optimizer.param_groups[0]["lr"])
    logger.record("train/n_updates", model._n_updates, exclude="tensorboard")
    if model.replay_buffer.size:
        weights = model.replay_buffer.weights()
        logger.record("replay/size", model.replay_buffer.size)
        logger.record("replay/priority_mean", weights.mean())
        logger.record("replay/priority_max", weights.max())
    elapsed = max((time.time_ns() - model.start_time) / 1e9, sys.float_info.epsilon)
    steps = model.num_timesteps - model._num_timesteps_at_start
    logger.record("time/fps", int(steps / elapsed))
    logger.record("time/time_elapsed", int(elapsed), exclude="tensorboard")
    logger.record("time/total_timesteps", model.num_timesteps, exclude="tensorboard")
