"""The actor-critic against A2C with its stock distribution.

All train on the native vector env with one thread and their own defaults, on one copy and on many:
a list of distributions is asked for many slots at once there. A2C with the fast distribution
differs from A2C in nothing else. Slots and gradient steps count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from stable_baselines3 import A2C
from stable_baselines3.common.distributions import MultiCategoricalDistribution

from baselines import ActorCritic
from baselines.learners import BatchedMultiCategorical, OffloadingActorCriticPolicy
from benchmarks.measure import Row, interleaved, row, shown, threads
from mec_gym.envs.sb3 import make_sb3_vec_env

PRESET = "paper-200x10"
COPIES = 16
"""Copies of the env, where there are many."""


def actor_critic(*, quick: bool) -> list[Row]:
    """Compare training with Stable-Baselines3's A2C and its list of 200 distributions."""
    with threads(1):
        return [*_training(quick), *_distribution(quick)]


def _training(quick: bool) -> list[Row]:
    rows = []
    few: dict[str, Any] = {"batch_size": 2 * COPIES} if quick else {}
    for copies in (1, COPIES):
        env = partial(make_sb3_vec_env, PRESET, n_envs=copies)
        same: dict[str, Any] = {"seed": 0, "device": "cpu"}
        models: dict[str, Any] = {
            "actor-critic": ActorCritic(env=env(), **same, **few),
            "A2C with the fast distribution": A2C(OffloadingActorCriticPolicy, env(), **same),
            "A2C": A2C("MlpPolicy", env(), **same),
        }
        rates = dict.fromkeys(models, 0.0)
        for _ in range(1 if quick else 10):
            for name, model in models.items():
                rates[name] = max(rates[name], _slots_per_second(model))
        theirs = rates.pop("A2C")
        for name, ours in rates.items():
            what = f"{copies} {'copy' if copies == 1 else 'copies'} of the env"
            label = f"{name}, {PRESET}, {what}, slots per second over A2C's"
            # The goal is AC's; A2C learns after every five slots, which is most of its time here.
            goal = ">= 20" if (copies, name) == (1, "actor-critic") and not quick else ""
            rows.append(row(label, f"{ours:.3g} / s", f"{theirs:.3g} / s", ours / theirs, goal))
    return rows


def _slots_per_second(model: Any) -> float:
    slots = model.n_steps * model.n_envs  # with the gradient step that follows them
    begun = time.perf_counter()
    model.learn(slots, log_interval=None)
    return float(slots / (time.perf_counter() - begun))


def _distribution(quick: bool) -> list[Row]:
    batch, devices, choices = (2, 8, 3) if quick else (COPIES, 200, 11)
    logits = torch.randn(batch, devices * choices, generator=torch.Generator().manual_seed(0))
    kinds = {
        "ours": BatchedMultiCategorical(devices, choices),
        "theirs": MultiCategoricalDistribution([choices] * devices),
    }
    actions = kinds["ours"].proba_distribution(logits).mode()
    rows = []
    for what in ("mode", "sample", "log_prob", "entropy"):
        given = (actions,) if what == "log_prob" else ()
        calls: dict[str, tuple[Callable[[], object], int]] = {
            name: (partial(_ask, kind, logits, what, given), 1) for name, kind in kinds.items()
        }
        times = interleaved(calls, rounds=1 if quick else 30)
        label = f"distribution of {devices} devices, {batch} slots, {what}, speed-up over a list"
        ours, theirs = shown(times["ours"]), shown(times["theirs"])
        rows.append(row(label, ours, theirs, times["theirs"] / times["ours"]))
    return rows


def _ask(kind: Any, logits: Any, what: str, given: tuple[Any, ...]) -> object:
    return getattr(kind.proba_distribution(logits), what)(*given)
