"""The algorithm under test: how it is built, trained and asked, and how a fault is told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from mec_bench.algorithms import Algorithm
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env

EPISODE = 8
"""Slots of an episode."""
PATIENCE = 8_000
"""Slots beyond the budget after which a training counts as one that does not end: room for three
copies of PPO's default rollout of 2,048."""


class LackingError(Exception):
    """An algorithm lacks something; the message says what is needed, what came, and the cure.

    Examples
    --------
    >>> print(LackingError("it must return itself; got None."))
    it must return itself; got None.
    """


class Counter(BaseCallback):
    """A callback that counts its calls, and may stop training.

    Parameters
    ----------
    stop_at : int, optional
        The call that returns False.
    limit : int
        Slots at which it gives up.

    Examples
    --------
    >>> Counter(stop_at=3).stop_at
    3
    """

    def __init__(self, stop_at: int | None = None, limit: int = PATIENCE) -> None:
        super().__init__()
        self.stop_at, self.limit = stop_at, limit
        self.events: list[str] = []
        self.seen: list[int] = []

    def _on_training_start(self) -> None:
        self.events.append("training start")

    def _on_training_end(self) -> None:
        self.events.append("training end")

    def _on_step(self) -> bool:
        self.seen.append(self.model.num_timesteps)
        if len(self.seen) * self.training_env.num_envs > self.limit:
            raise LackingError(f"learn must end; it went on for {self.limit} slots.")
        return self.stop_at is None or len(self.seen) < self.stop_at


class Subject:
    """The algorithm under test, and what the checks share.

    Parameters
    ----------
    chosen : Algorithm
        With the face of the env that it can be built on.
    scenario : Scenario
        Of the env.
    timesteps : int
        Slots of one training.
    """

    def __init__(self, chosen: Algorithm, scenario: Scenario, timesteps: int) -> None:
        self.chosen, self.scenario, self.timesteps = chosen, scenario, timesteps
        self._trained: Any = None

    def env(self, n_envs: int = 1, seed: int = 0) -> Any:
        """Return an env as the harness makes it."""
        return VecMonitor(
            make_sb3_vec_env(
                self.scenario,
                n_envs=n_envs,
                seed=seed,
                scores=self.chosen.scores,
                observation=self.chosen.observation,
                max_episode_steps=EPISODE,
            )
        )

    def build(self, n_envs: int = 1, seed: int = 0) -> Any:
        """Return a new model as the harness builds it."""
        return self.chosen.build(self.env(n_envs), seed=seed, device="cpu", verbose=0)

    def learn(self, model: Any, timesteps: int | None = None, **options: Any) -> Any:
        """Train a model as the harness does, but not for ever."""
        count = self.timesteps if timesteps is None else timesteps
        callback = options.pop("callback", None) or Counter(limit=count + PATIENCE)
        found = model.learn(count, callback=callback, **options)
        self.require(found is model, f"learn must return the model itself; got {found!r:.60}.")
        return model

    def trained(self) -> Any:
        """Return a model after one training, the same at every call: only to be asked."""
        if self._trained is None:
            self._trained = self.learn(self.build())
        return self._trained

    def observations(self, count: int) -> NDArray[Any]:
        """Return so many observations, the same at every call."""
        return np.asarray(self.env(count, seed=77).reset())

    def decisions(self, model: Any, count: int = 16) -> NDArray[Any]:
        """Return a model's deterministic actions for these observations."""
        return np.asarray(model.predict(self.observations(count), deterministic=True)[0])

    def require(self, holds: Any, message: str) -> None:
        """Raise LackingError unless `holds`."""
        if not holds:
            raise LackingError(message)

    def require_alike(self, first: Any, second: Any, what: str) -> None:
        """Raise LackingError unless two models decide alike."""
        ours, theirs = self.decisions(first), self.decisions(second)
        differ = int((ours != theirs).reshape(len(ours), -1).any(1).sum())
        self.require(not differ, f"{what}; {differ} of {len(ours)} decisions differ.")
