"""Draws docs/dynamics.png: one device of crowd-200x10, and where three policies put its service.

Run it with ``python docs/dynamics.py`` after a change to the preset.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from mec_gym import Scenario, episode, hindsight, solve
from mec_gym.hindsight import hosts_before
from mec_gym.optimum import load_problems

SEED, DEVICE = 0, 28


def main() -> None:
    """Write the picture beside this file."""
    scenario = Scenario.preset("crowd-200x10")
    path = episode(scenario, seed=SEED)
    free = scenario.replace(migration_s=0.0)
    best = hindsight(scenario, path)
    cost = load_problems(free, path.slots).cost[:, DEVICE]
    # What the loads of the plan add at each server, so that curves compare with local execution.
    root = np.sqrt(scenario.per_device("weight_latency") * scenario.per_device("cycles"))[DEVICE]
    cost[:, 1:] += best.prices * root
    hosts = {"hindsight": best.assignment, "blind": solve(free, path.slots).assignment}
    myopic, now = np.empty_like(best.assignment), np.zeros(scenario.n_devices, dtype=int)
    for time in range(path.n_slots):
        myopic[time] = solve(scenario, path.slots[time].hosted(now)).assignment
        now = np.where(myopic[time] > 0, myopic[time], now)
    hosts["myopic"] = myopic
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 5), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    colours = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
    for server in range(scenario.n_servers):
        above.plot(cost[:, 1 + server], color=colours[server], lw=1.5)
    above.plot(cost[:, 0], "k--", lw=1)
    above.set_ylim(0, 1.6 * cost[0, 0])
    above.set_ylabel("cost of the task at each server")
    start = np.zeros(scenario.n_devices, dtype=int)
    for row, plan in enumerate(reversed(hosts.values())):
        before = hosts_before(np.vstack([plan, plan[-1:]]), np.ones((101, 200)), start)[1:, DEVICE]
        moves = int((np.diff(np.concatenate([[0], before])) != 0).sum())
        for time, host in enumerate(before):
            if host:
                executes = plan[time, DEVICE] > 0
                below.barh(
                    row, 1, left=time - 0.5, color=colours[host - 1], alpha=1 if executes else 0.35
                )
        below.annotate(f"{moves} moves", (100.5, row), va="center", annotation_clip=False)
    below.set_yticks(range(3), list(reversed(hosts)))
    below.set_xlabel("slot [s]; pale: the task is executed locally, the service stays where it is")
    below.set_xlim(-0.5, 99.5)
    below.set_ylim(-0.5, 2.5)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
