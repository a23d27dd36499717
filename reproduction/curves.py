"""Figs. 3 and 5 measured: losses of the agents and average reward during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from mec_bench.measuring import decisions_of, figures, frozen_slots
from reproduction.imitation import build
from reproduction.jobs import rounded

_POINTS = 60
"""Of a curve of rewards."""


def losses(*, seed: int, slots: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the loss of every agent of the medium system over its gradient steps.

    Parameters
    ----------
    seed : int
        Of the run and of its map.
    slots : int
        Of online training after imitation.
    arguments : dict
        Of DIRS, where not the paper's.

    Returns
    -------
    dict
        ``steps``: gradient steps at the end of each interval that a loss is the mean of;
        ``losses``: per agent, L1 or L2 without its λ1 term, per device [nat]; ``pretraining``: how
        many of the points belong to Algorithm 2.
    """
    model = build(seed, arguments, timesteps=slots)
    writer = _Losses(model.scenario.n_devices)
    model.set_logger(Logger(None, [writer]))
    model.learn(0, log_interval=None)
    pretraining = len(writer.points)
    model.learn(slots, log_interval=model.train_interval, reset_num_timesteps=False)
    agents = sorted({name for point in writer.points for name in point})
    return {
        "steps": writer.steps,
        "losses": [[rounded(point[name]) for point in writer.points] for name in agents],
        "pretraining": pretraining,
    }


class _Losses(KVWriter):
    """Keeps the losses of agents that a model logs."""

    def __init__(self, n_devices: int) -> None:
        self.points: list[dict[str, float]] = []
        self.steps: list[int] = []
        self._n_devices = n_devices

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: Mapping[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Take what is logged at once."""
        del key_excluded
        found = {
            key.split("/")[1]: float(value) / self._n_devices
            for key, value in key_values.items()
            if "/loss_mec_" in key
        }
        if found:
            self.points.append(found)
            # In Algorithm 2 the logger's step counts gradient steps, online it counts slots.
            self.steps.append(int(key_values.get("train/n_updates", step)))

    def close(self) -> None:
        """Do nothing: there is no file."""


def rewards(*, seed: int, slots: int, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the average reward of the medium system during training, and what comes of it.

    Parameters
    ----------
    seed : int
        Of the run and of its map.
    slots : int
        Of training.
    arguments : dict
        Of DIRS: which refinement, whether it imitates.

    Returns
    -------
    dict
        ``slots`` and ``rewards``: means of 1/ΣΦ over equal parts of training, by their last slot;
        ``nrr``: of the final policy on the frozen slots.
    """
    model = build(seed, arguments, timesteps=slots)
    watch = _Rewards()
    model.learn(slots, callback=watch, log_interval=None)
    parts = np.array_split(np.array(watch.rewards), min(_POINTS, slots))
    frozen = frozen_slots(model.scenario)
    reached = figures(frozen, decisions_of(model, model.scenario)(frozen.observations("db")))
    return {
        "slots": np.cumsum([len(part) for part in parts]).tolist(),
        "rewards": [rounded(float(part.mean())) for part in parts],
        "nrr": rounded(float(np.mean(reached.nrr))),
    }


class _Rewards(BaseCallback):
    """Keeps the paper's reward of every slot."""

    def __init__(self) -> None:
        super().__init__()
        self.rewards: list[float] = []

    def _on_step(self) -> bool:
        self.rewards += [1.0 / float(info["objective"]) for info in self.locals["infos"]]
        return True
