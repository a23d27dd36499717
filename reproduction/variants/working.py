"""Doing runs: those that are not done, side by side, each kept as soon as it ends."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

import mec_gym
from dirs_agents import DIRS
from mec_bench.launching import side_by_side
from mec_bench.measuring import slot_set_of
from mec_bench.system import system
from mec_gym import Scenario
from mec_gym.evaluation import SlotSet, decide_with, nrr
from mec_gym.files import write_whole
from reproduction.variants.records import Record
from reproduction.variants.runs import SIZED, SIZES, Run


def work(
    runs: Sequence[Run], folder: Path, *, processes: int = 1, say: Callable[[str], None] = print
) -> list[str]:
    """Carry out runs and keep what each reaches; one fails, the others go on.

    Parameters
    ----------
    runs : sequence of Run
        What to do, in this order.
    folder : Path
        Of all runs.
    processes : int
        How many side by side; 1 works in this process.
    say : callable
        Takes a line of progress.

    Returns
    -------
    list of str
        What failed, and why; nothing else is lost by it.
    """
    failed = []
    pairs = [(run, folder) for run in runs]
    for done, ended in enumerate(side_by_side(_done, pairs, processes), 1):
        text = ended.value or f"{ended.item[0].file(folder).stem}: {ended.error}"
        say(f"{done}/{len(runs)} {text}")
        if ended.error:
            failed.append(text)
    return failed


def _done(pair: tuple[Run, Path]) -> str:
    """Do one run; return a line about it."""
    run, folder = pair
    torch.set_num_threads(1)
    record = dataclasses.asdict(run) | _measured(run) | {"system": dataclasses.asdict(system())}
    file = run.file(folder)
    write_whole(file, json.dumps(record, indent=1) + "\n")
    return f"{file.stem}: NRR {record['nrr']['final']:.4f} in {record['seconds']['all']:.0f} s"


def _measured(run: Run) -> Record:
    """Train once; return what the policy reaches untrained, imitating, and in the end."""
    scenario = Scenario.preset(run.preset)
    env = gym.make(mec_gym.ENV_ID, scenario=scenario)
    slots = slot_set_of(scenario)
    begun = time.perf_counter()
    model = DIRS(env=env, seed=run.seed, **run.arguments)
    reached = {"untrained": _mean_nrr(model, slots)}
    building = time.perf_counter()
    model.learn(0)
    imitated = time.perf_counter()
    reached["imitation"] = _mean_nrr(model, slots)
    continuing = time.perf_counter()
    # A tenth of the slots, then the rest: how fast it learns.
    first = run.slots // 10
    model.learn(first, reset_num_timesteps=False)
    early = time.perf_counter()
    reached["tenth"] = _mean_nrr(model, slots)
    late = time.perf_counter()
    model.learn(run.slots - first, reset_num_timesteps=False)
    ended = time.perf_counter()
    reached["final"] = _mean_nrr(model, slots)
    record: dict[str, Any] = {
        "nrr": reached,
        "seconds": {
            "imitation": imitated - building,
            "online": (ended - late) + (early - continuing),
            "all": time.perf_counter() - begun,
        },
    }
    if model.policy.any_size and run.preset == SIZED:
        record["sizes"] = {str(size): _transferred(model, size) for size in SIZES}
    return record


def _mean_nrr(model: DIRS, slots: SlotSet) -> float:
    return float(nrr(slots, decide_with(model)).mean())


def _transferred(model: DIRS, size: int) -> dict[str, float]:
    """Return the NRR of a model in a system of another number of devices, as it is."""
    scenario = model.scenario.replace(n_devices=size)
    slots = slot_set_of(scenario)
    other = DIRS(
        model.policy_class,  # type: ignore[arg-type]
        gym.make(mec_gym.ENV_ID, scenario=scenario),
        policy_kwargs=model.policy_kwargs,
    )
    untrained = _mean_nrr(other, slots)
    other.policy.load_state_dict(model.policy.state_dict())
    return {"trained": _mean_nrr(other, slots), "untrained": untrained, "gap": slots.gap}
