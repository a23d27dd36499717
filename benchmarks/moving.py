"""Moving worlds: steps over the draws of their path, the bound of hindsight, and their sizes."""

from __future__ import annotations

import resource
import time
from functools import partial

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

import mec_gym
from benchmarks.measure import Row, interleaved, row, shown
from mec_gym import Scenario, episode, hindsight
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.model.episode import episodes
from mec_gym.model.world import World


def steps(*, quick: bool) -> list[Row]:
    """Compare ``step`` with drawing the path alone, and the vector env with SyncVectorEnv."""
    rows, copies = [], 8 if quick else 32
    for name in ("crowd-30x4", "crowd-200x10"):
        scenario, rng = Scenario.preset(name), np.random.default_rng(0)
        env, world = MultiMECEnv(scenario), World(scenario)
        env.reset(seed=0)
        world.reset([rng])
        action = rng.integers(0, scenario.n_servers + 1, scenario.n_devices)
        calls = 20 if quick else 500
        times = interleaved(
            {
                "ours": (partial(env.step, action), calls),
                "path": (partial(world.advance, [rng]), calls),
            },
            rounds=2 if quick else 15,
        )
        ours, path = times["ours"], times["path"]
        label = f"single step, {name}, over drawing its path"
        rows.append(row(label, shown(ours), shown(path), ours / path, "<= 6"))
        native = MultiMECVectorEnv(copies, scenario, max_episode_steps=100)
        sync = SyncVectorEnv([partial(gym.make, mec_gym.ENV_ID, scenario=scenario)] * copies)
        native.reset(seed=0)
        sync.reset(seed=0)
        actions = np.tile(action, (copies, 1))
        times = interleaved(
            {
                "ours": (partial(native.step, actions), 2 if quick else 20),
                "sync": (partial(sync.step, actions), 1 if quick else 5),
            },
            rounds=2 if quick else 10,
        )
        ours, theirs = times["ours"] / copies, times["sync"] / copies
        label = f"vector env, {copies} x {name}, speed-up over SyncVectorEnv"
        goal = "" if quick else ">= 2"
        rows.append(row(label, shown(ours), shown(theirs), theirs / ours, goal))
    return rows


def bounds(*, quick: bool) -> list[Row]:
    """Measure the gap of hindsight, its time over that of its slots' optima, and batches."""
    rows = []
    for name, goal in (("crowd-30x4", "<= 0.002"), ("crowd-200x10", "<= 0.001")):
        scenario = Scenario.preset(name)
        paths = episodes(scenario, range(2 if quick else 8), 10 if quick else 100)
        times = interleaved(
            {
                "ours": (partial(hindsight, scenario, paths[0]), 1),
                "solve": (partial(mec_gym.solve, scenario, paths[0].slots), 1),
                "batch": (partial(hindsight, scenario, paths), 1),
            },
            rounds=1 if quick else 5,
        )
        ours, batch = times["ours"], times["batch"] / len(paths)
        label = f"hindsight, {name}, {paths[0].n_slots} slots, over solving each slot alone"
        rows.append(row(label, shown(ours), shown(times["solve"]), ours / times["solve"]))
        label = f"hindsight, {name}, {len(paths)} episodes in a call, each, speed-up over one"
        rows.append(row(label, shown(batch), shown(ours), ours / batch))
        gap = float(np.max(hindsight(scenario, paths).gap))
        label = f"hindsight, {name}: largest gap of {len(paths)} episodes"
        rows.append(row(label, f"{gap:.2e}", "", gap, "" if quick else goal))
    return rows


def sizes(*, quick: bool) -> list[Row]:
    """Measure time and gap of hindsight over devices, servers and slots, up to a city."""
    crowd = Scenario.preset("crowd-200x10")
    grid = [(50, 10, 100), (200, 10, 25), (200, 10, 100), (200, 10, 400), (800, 10, 100)]
    grid += [(200, 2, 100), (200, 40, 100)]
    rows = []
    for devices, servers, slots in grid[:2] if quick else grid:
        place = np.random.default_rng(0).uniform(0, 50, (servers, 2))
        # Servers hold as much speed per device as in the preset.
        scenario = crowd.replace(
            n_devices=devices,
            n_servers=servers,
            server_positions=place,
            server_frequency_hz=1e9 * devices / servers,
        )
        rows.append(_size(scenario, slots, ""))
    if not quick:
        rows.append(_size(Scenario.preset("metro-crowd-10000x100"), 50, "<= 0.005"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        label = "hindsight, peak resident size of all that was measured so far [GB]"
        rows.append(row(label, f"{peak:.1f} GB", "", peak, "<= 8"))
    return rows


def _size(scenario: Scenario, slots: int, goal: str) -> Row:
    path = episode(scenario, seed=0, n_slots=slots)
    start = time.perf_counter()
    gap = hindsight(scenario, path).gap
    seconds = time.perf_counter() - start
    what = f"{scenario.n_devices} x {scenario.n_servers}, {slots} slots"
    return row(f"hindsight, {what}: gap, and time", f"{gap:.2e}", shown(seconds), gap, goal)
