"""The learners among the baselines: the actor-critic against A2C with its stock distribution."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from stable_baselines3 import A2C
from stable_baselines3.common.distributions import MultiCategoricalDistribution

from baselines import ActorCritic
from baselines.learners import BatchedMultiCategorical
from benchmarks.measure import Row, interleaved, row, shown
from mec_gym.envs.sb3 import make_sb3_vec_env

PRESET = "paper-200x10"
COPIES = 16
"""Copies of the env that both train on; then a slot's share of the list's overhead is smaller."""


def actor_critic(*, quick: bool) -> list[Row]:
    """Compare training with Stable-Baselines3's A2C and its list of 200 distributions.

    Both train on the same native vector env with one thread, ours with its defaults, A2C with its
    own defaults: on as many copies, and on one. Gathering slots and gradient steps both count.

    Parameters
    ----------
    quick : bool
        A few slots.

    Returns
    -------
    list of Row
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*_training(quick), *_distribution(quick)]
    finally:
        torch.set_num_threads(before)


def _training(quick: bool) -> list[Row]:
    rows = []
    for copies in (1, COPIES):
        ours = ActorCritic(env=_env(copies), seed=0, device="cpu", **_few(quick))
        theirs = A2C("MlpPolicy", _env(copies), seed=0, device="cpu")
        # Whole batches of each, since a gradient step comes with the last slot of one.
        slots = {"ours": ours.n_steps * copies, "theirs": theirs.n_steps * copies}
        rates = {"ours": 0.0, "theirs": 0.0}
        for _ in range(1 if quick else 6):
            for name, model in (("ours", ours), ("theirs", theirs)):
                rates[name] = max(rates[name], _slots_per_second(model, slots[name]))
        what = f"{copies} {'copy' if copies == 1 else 'copies'} of the env"
        rows.append(
            row(
                f"actor-critic, {PRESET}, {what}, slots per second over A2C's",
                f"{rates['ours']:.3g} / s",
                f"{rates['theirs']:.3g} / s",
                rates["ours"] / rates["theirs"],
                "" if quick else ">= 20",
            )
        )
    return rows


def _few(quick: bool) -> dict[str, Any]:
    return {"batch_size": 2 * COPIES} if quick else {}


def _env(copies: int) -> Any:
    return make_sb3_vec_env(PRESET, n_envs=copies)


def _slots_per_second(model: Any, slots: int) -> float:
    begun = time.perf_counter()
    model.learn(slots, log_interval=None)
    return slots / (time.perf_counter() - begun)


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
