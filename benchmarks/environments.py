"""Steps: single env against bare random numbers, vector env against SyncVectorEnv, memory."""

from __future__ import annotations

import resource
import tracemalloc
from functools import partial

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

import mec_gym
from benchmarks.measure import Row, interleaved, row, shown
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv


def single_step(*, quick: bool) -> list[Row]:
    """Compare ``step`` with drawing 2,000 exponentials and taking their logarithm."""
    rng = np.random.default_rng(0)
    rows = []
    for name in ("paper-200x10", "bandlimited-200x10", "unequal-200x10"):
        env = MultiMECEnv(name)
        env.reset(seed=0)
        for kind, action in (
            ("random actions", rng.integers(0, 11, 200)),
            ("all local", np.zeros(200, dtype=np.int64)),
        ):
            calls = 100 if quick else 2000
            times = interleaved(
                {
                    "ours": (partial(env.step, action), calls),
                    "bare": (lambda: np.log(rng.standard_exponential(2000)), calls),
                },
                rounds=3 if quick else 15,
            )
            goal = "<= 4" if name == "paper-200x10" and kind == "random actions" else ""
            ours, bare = times["ours"], times["bare"]
            label = f"single step, {name}, {kind}, over bare draws"
            rows.append(row(label, shown(ours), shown(bare), ours / bare, goal))
    return rows


def vector_step(*, quick: bool) -> list[Row]:
    """Compare the native vector env with 64 single envs in SyncVectorEnv."""
    copies = 8 if quick else 64
    rows = []
    for name, goal in (("paper-30x2", ">= 10"), ("paper-200x10", ">= 2"), ("unequal-200x10", "")):
        native = MultiMECVectorEnv(copies, name, max_episode_steps=100)
        sync = SyncVectorEnv([partial(gym.make, mec_gym.ENV_ID, scenario=name)] * copies)
        native.reset(seed=0)
        sync.reset(seed=0)
        actions = np.random.default_rng(0).integers(0, native.scenario.n_servers + 1, (
            copies, native.scenario.n_devices
        ))  # fmt: skip
        times = interleaved(
            {
                "ours": (partial(native.step, actions), 3 if quick else 50),
                "sync": (partial(sync.step, actions), 1 if quick else 10),
            },
            rounds=2 if quick else 10,
        )
        ours, theirs = times["ours"] / copies, times["sync"] / copies
        label = f"vector env, {copies} x {name}, speed-up over SyncVectorEnv"
        rows.append(row(label, shown(ours), shown(theirs), theirs / ours, "" if quick else goal))
    return rows


def step_with_optimum(*, quick: bool) -> list[Row]:
    """Compare steps with ``optimum=True`` with steps without."""
    copies = 8 if quick else 64
    rows = []
    for name in ("paper-30x2", "paper-200x10", "bandlimited-200x10", "unequal-200x10"):
        for form, batch, make in (
            ("single step", (), partial(MultiMECEnv, name)),
            (f"vector env, {copies} copies", (copies,), partial(MultiMECVectorEnv, copies, name)),
        ):
            steps = []
            for solved in (True, False):
                env = make(optimum=solved)
                env.reset(seed=0)
                action = np.ones((*batch, env.scenario.n_devices), dtype=np.int64)
                env.step(action)  # reset() has solved this slot already
                steps.append(partial(env.step, action))
            times = interleaved(
                {"ours": (steps[0], 1 if quick else 5), "bare": (steps[1], 5 if quick else 50)},
                rounds=1 if quick else 10,
            )
            with_it, without = (times[one] / max(batch, default=1) for one in ("ours", "bare"))
            label = f"optimum=True, {form}, {name}, per slot, over without"
            rows.append(row(label, shown(with_it), shown(without), with_it / without))
    return rows


def memory(*, quick: bool) -> list[Row]:
    """Measure how memory grows over a million steps."""
    steps = 20_000 if quick else 1_000_000
    copies = 64
    env = MultiMECVectorEnv(copies, "paper-30x2", max_episode_steps=100)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 3, (copies, 30))
    for _ in range(200):
        env.step(actions)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(steps // copies):
        env.step(actions)
    grown = (tracemalloc.get_traced_memory()[0] - before) / 1024
    tracemalloc.stop()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    label = f"memory after {steps:,} steps, kB more than before"
    ours = f"{grown:.0f} kB in Python"
    return [row(label, ours, f"{resident} kB of peak resident size", max(grown, 0.0), "<= 1024")]
