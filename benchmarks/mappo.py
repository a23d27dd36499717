"""MAPPO against AC with either network, DIRS and DDPG: slots per second, a decision, training."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from baselines import DDPG, MAPPO, ActorCritic
from baselines.learners.actor_critic import LINKS
from benchmarks.measure import Row, interleaved, row, shown, threads
from dirs_agents import DIRS
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

PRESET = "unequal-200x10"
COPIES = 16
NEAR = 0.01
"""As close to the final figure as counts as trained."""


def mappo(*, quick: bool) -> list[Row]:
    """Compare training and decisions with those of the paper's learners, one thread each."""
    with threads(1):
        return [*_speeds(quick), _decision(quick), _time_to_final(quick)]


def _made(cls: Any, copies: int = COPIES, scores: bool = False, **arguments: Any) -> Any:
    env = make_sb3_vec_env(PRESET, n_envs=copies, seed=0, scores=scores)
    return cls(env=env, seed=0, device="cpu", **arguments)


def _speeds(quick: bool) -> list[Row]:
    slots = 2 * COPIES if quick else 1_280
    linked = _made(ActorCritic, **LINKS)
    models = {"mappo": _made(MAPPO), "ac": _made(ActorCritic), "ac:links": linked}
    actions: dict[str, tuple[Callable[[], object], int]] = {
        name: (partial(model.learn, slots, log_interval=None), 1) for name, model in models.items()
    }
    times = interleaved(actions, rounds=1 if quick else 5)
    rates = {name: slots / time for name, time in times.items()}
    against = {"ac": "AC's", "ac:links": "those of AC with one network for all links"}
    return [
        row(
            f"MAPPO, {PRESET}, slots per second over {whose}",
            f"{rates['mappo']:.3g} / s",
            f"{rates[other]:.3g} / s",
            rates["mappo"] / rates[other],
            "" if quick else ">= 1",
        )
        for other, whose in against.items()
    ]


def _decision(quick: bool) -> Row:
    models = {"mappo": _made(MAPPO), "dirs": _made(DIRS, 1)}
    one = make_sb3_vec_env(PRESET, seed=1).reset()[0]
    actions: dict[str, tuple[Callable[[], object], int]] = {
        name: (partial(model.predict, one, deterministic=True), 1 if quick else 20)
        for name, model in models.items()
    }
    times = interleaved(actions, rounds=1 if quick else 12)
    ours, theirs = times["mappo"], times["dirs"]
    label = f"MAPPO, {PRESET}, time of a decision over that of DIRS"
    return row(label, shown(ours), shown(theirs), ours / theirs, "" if quick else "<= 1")


class _Curve(BaseCallback):
    """Notes the figure every so often, and the seconds of training until then."""

    def __init__(self, every: int, slots: Any) -> None:
        super().__init__()
        self.every, self.slots, self.points = every, slots, list[tuple[float, float]]()
        self.measuring = 0.0

    def _on_training_start(self) -> None:
        self.begun = time.perf_counter()

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every < COPIES:
            now = time.perf_counter()
            score = float(np.mean(nrr(self.slots, decide_with(self.model))))
            self.points.append((now - self.begun - self.measuring, score))
            self.measuring += time.perf_counter() - now
        return True


def _time_to_final(quick: bool) -> Row:
    """Compare with the whole training of DDPG, whose figure never comes near."""
    slots = 2 * COPIES if quick else 5_000
    frozen = slot_set(
        Scenario.preset(PRESET), own_layout=True, n_layouts=1 if quick else 10, seed=1
    )
    curve = _Curve(COPIES if quick else 256, frozen)
    model = _made(MAPPO).learn(slots, callback=curve, log_interval=None)
    final = float(np.mean(nrr(frozen, decide_with(model))))
    ours = next((s for s, score in curve.points if score >= final - NEAR), curve.points[-1][0])
    ddpg = _made(DDPG, 1, scores=True)
    begun = time.perf_counter()
    ddpg.learn(8 if quick else slots, log_interval=None)
    theirs = time.perf_counter() - begun
    label = f"MAPPO, {PRESET}, training to within {NEAR} of its final figure, time over our DDPG's"
    return row(label, shown(ours), shown(theirs), ours / theirs, "" if quick else "<= 0.2")
