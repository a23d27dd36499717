"""DIRS: training and decisions against DDPG, gradient steps and search against bare work.

Training is DIRS in full with its defaults, demonstrations and pre-training included. DDPG is
Stable-Baselines3's with its own defaults, but a buffer that fits memory, on the same single env
with :class:`ScoreAction`: a slot's env costs it less than a hundredth of its gradient step. Its
time per slot is measured once it learns, before DIRS and after it; the better counts.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DDPG

import mec_gym
from benchmarks.measure import Row, interleaved, row, shown, threads
from dirs_agents import DIRS, LevySearch, demonstration_slots, levy_search
from mec_gym import Scenario, ScoreAction, Slot, evaluate
from mec_gym.levy import levy_steps
from mec_gym.optimum import load_problem

PRESET = "paper-200x10"
THREADS = [count for count in (1, 2) if count <= (os.cpu_count() or 1)]
"""Threads of PyTorch: one is the benchmarks' setting, two are for information."""


def _env(**kwargs: Any) -> gym.Env[Any, Any]:
    return gym.make(mec_gym.ENV_ID, scenario=PRESET, max_episode_steps=100, **kwargs)


class _TimedDIRS(DIRS):
    """DIRS that notes how long its gradient steps took."""

    training_s = 0.0

    def _train(self, batches: int, steps: int = 1) -> None:
        begun = time.perf_counter()
        super()._train(batches, steps)
        self.training_s += time.perf_counter() - begun


def training(*, quick: bool) -> list[Row]:
    """Compare training with Stable-Baselines3's DDPG over the same number of slots."""
    slots, measured = (20, 2) if quick else (5_000, 150)
    few: dict[str, Any] = {"n_demonstrations": 4, "pretrain_steps": 2, "batch_size": 8}
    few["demonstration_generations"] = 5
    with threads(1):
        env = ScoreAction(_env(observation="flat"))
        less: dict[str, Any] = {"learning_starts": 2, "batch_size": 8} if quick else {}
        ddpg = DDPG("MlpPolicy", env, buffer_size=20 if quick else 20_000, seed=0, **less)
        ddpg.learn(ddpg.learning_starts + 10)
        before = _seconds(ddpg, measured) / measured
        model = _TimedDIRS("EnsemblePolicy", _env(), seed=0, **(few if quick else {}))
        offline = _seconds(model, 0)
        pretraining = model.training_s
        online = _seconds(model, slots)
        theirs = min(before, _seconds(ddpg, measured) / measured) * slots
    ours = offline + online
    label = f"training, {slots:,} slots, {PRESET}, time over DDPG's"
    note = f"{shown(theirs)}, from {2 * measured} slots"
    rows = [row(label, shown(ours), note, ours / theirs, "" if quick else "<= 0.2")]
    parts = {
        "demonstrations": offline - pretraining,
        "pre-training": pretraining,
        "online, gradient steps": model.training_s - pretraining,
        "online, all else": online - (model.training_s - pretraining),
    }
    for name, seconds in parts.items():
        label = f"training, {slots:,} slots, {PRESET}, share of {name}"
        rows.append(row(label, shown(seconds), shown(ours), seconds / ours))
    return rows


def _seconds(model: Any, slots: int) -> float:
    begun = time.perf_counter()
    model.learn(slots, reset_num_timesteps=isinstance(model, DIRS))
    return time.perf_counter() - begun


def gradient_step(*, quick: bool) -> list[Row]:
    """Compare a gradient step of all agents with the bare matrix products that it contains."""
    batch = 8 if quick else 256
    model = DIRS("EnsemblePolicy", _env(), demonstrations="none", batch_size=batch, seed=0).learn(0)
    observations, _ = demonstration_slots(model.scenario, 2 * batch, 0)
    decisions, _ = model.predict(observations)
    model.replay_buffer.add(observations[:batch], decisions[:batch], demonstrated=True)
    model.replay_buffer.add(observations[batch:], decisions[batch:])
    agents = model.scenario.n_servers
    sizes = model.policy.bank.networks.sizes
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator)
    values = [draw(agents, batch, size) for size in sizes]
    weights = [draw(agents, a, b) for a, b in itertools.pairwise(sizes)]

    def products() -> None:
        for layer, weight in enumerate(weights):
            torch.bmm(values[layer], weight)
            torch.bmm(values[layer].transpose(1, 2), values[layer + 1])
            if layer:  # of its inputs the first layer needs no gradient
                torch.bmm(values[layer + 1], weight.transpose(1, 2))

    rows = []
    for count in THREADS:
        with threads(count) as note:
            times = interleaved(
                {"ours": (partial(model._train, 1), 1), "bare": (products, 1)},
                rounds=2 if quick else 60,
            )
        ours, bare = times["ours"], times["bare"]
        label = f"gradient step, {agents} agents, batch of {batch}, speed over bare products{note}"
        rows.append(row(label, shown(ours), shown(bare), bare / ours, "" if note else ">= 0.5"))
    return rows


def inference(*, quick: bool) -> list[Row]:
    """Compare a decision with DDPG's, and a batch of decisions with single ones."""
    batch = 8 if quick else 1024
    flat = ScoreAction(_env(observation="flat"))
    ddpg = DDPG("MlpPolicy", flat, buffer_size=1, seed=0)
    models = {name: DIRS(name, _env(), seed=0) for name in ("EnsemblePolicy", "PricePolicy")}
    observations, _ = demonstration_slots(models["EnsemblePolicy"].scenario, batch, 0)
    one, as_vector = observations[0], observations[0].ravel()
    networks = models["EnsemblePolicy"].policy.bank.networks
    table = observations.reshape(batch, models["EnsemblePolicy"].scenario.n_devices, -1)
    inputs = torch.as_tensor(np.ascontiguousarray(table.transpose(2, 0, 1)))

    def products(first: Any) -> None:
        for weight in networks.weights:
            first = torch.bmm(first, weight)

    calls = 1 if quick else 20
    actions: dict[str, tuple[Callable[[], object], int]] = {
        "ddpg": (partial(ddpg.predict, as_vector, deterministic=True), calls),
        "bare one": (partial(products, inputs[:, :1].contiguous()), calls),
        "bare batch": (partial(products, inputs), 1),
    }
    for name, model in models.items():
        actions[name] = (partial(model.predict, one, deterministic=True), calls)
        actions[f"{name} batch"] = (partial(model.predict, observations, deterministic=True), 1)
    rows = []
    for count in THREADS:
        with threads(count) as note, torch.inference_mode():
            times = interleaved(actions, rounds=1 if quick else 12)
        plain = not note and not quick
        ours, theirs = times["EnsemblePolicy"], times["ddpg"]
        label = f"decision, {PRESET}, time over DDPG's predict{note}"
        goal = "<= 1" if plain else ""
        rows.append(row(label, shown(ours), shown(theirs), ours / theirs, goal))
        for name, what in (("EnsemblePolicy", ""), ("PricePolicy", ""), ("bare", " one")):
            each, single = times[f"{name} batch"] / batch, times[f"{name}{what}"]
            kind = "EnsemblePolicy's bare matrix products" if what else name
            label = f"{kind}, {batch:,} slots at once, speed-up per slot{note}"
            goal = ">= 20" if plain and name == "EnsemblePolicy" else ""
            rows.append(row(label, shown(each), shown(single), single / each, goal))
    return rows


def search(*, quick: bool) -> list[Row]:
    """Compare the Lévy search with a plain loop over slots and candidates."""
    scenario = Scenario.preset(PRESET)
    _, slots = demonstration_slots(scenario, 2 if quick else 64, 0)
    start = np.zeros(slots.data_bits.shape, dtype=np.int64)
    rows = []
    for population, generations in ((2, 2),) if quick else ((5, 10), (20, 100)):
        settings = LevySearch(population=population, generations=generations)
        budget = f"{PRESET}, P={population}, G={generations}"
        for count in (1, len(start)):
            repeats = 20 if count == 1 and generations == 10 else 1
            some = slots[:count]
            ours = partial(
                levy_search, scenario, some, start[:count], np.random.default_rng(0), settings
            )
            # The loop prices slots one after the other: a few of many show its time.
            looped = min(count, 2)
            actions: dict[str, tuple[Callable[[], object], int]] = {"ours": (ours, repeats)}
            for pricing in ("evaluate", "objective"):
                actions[pricing] = (
                    partial(_loop_over_slots, scenario, some[:looped], start, settings, pricing),
                    1,
                )
            times = interleaved(actions, rounds=1 if quick else 10 if generations == 10 else 2)
            each = times["ours"] / count
            for pricing, how in (
                ("evaluate", "evaluate"),
                ("objective", "what the search itself prices with"),
            ):
                loop = times[pricing] / looped
                label = f"Lévy search, {budget}, {count} slots, speed-up over a loop with {how}"
                goal = ">= 10" if pricing == "evaluate" and not quick else ""
                rows.append(row(label, f"{shown(each)} a slot", shown(loop), loop / each, goal))
    return rows


def _loop_over_slots(
    scenario: Scenario, slots: Slot, start: NDArray[np.int64], settings: LevySearch, pricing: str
) -> None:
    rng = np.random.default_rng(0)
    for index in range(len(slots.data_bits)):
        slot = slots[index]
        price: Callable[[NDArray[np.int64]], Any] = load_problem(scenario, slot).objective
        if pricing == "evaluate":
            price = partial(_evaluated, scenario, slot)
        _plain_search(slot, start[index], rng, settings, price)


def _evaluated(scenario: Scenario, slot: Slot, decision: NDArray[np.int64]) -> Any:
    return evaluate(scenario, slot, decision).objective


def _plain_search(
    slot: Slot,
    start: NDArray[np.int64],
    rng: np.random.Generator,
    settings: LevySearch,
    price: Callable[[NDArray[np.int64]], Any],
) -> NDArray[np.int64]:
    """Run eqs. (20)-(23) as they stand, candidate by candidate, drawing every Lévy step."""
    devices, choices = slot.n_devices, slot.n_servers + 1
    shares = slot.gains / slot.gains.sum(axis=1, keepdims=True)
    shares = np.concatenate([np.full((devices, 1), 1.0 / choices), shares], axis=1)
    candidates = [start] * settings.population
    fitness = [price(start)] * settings.population
    for generation in range(1, settings.generations + 1):
        weight = 2.0 - 2.0 * generation / settings.generations
        for place, current in enumerate(candidates):
            mutation = weight * np.abs(levy_steps(rng, devices, beta=settings.beta))
            crossover = weight * np.abs(levy_steps(rng, devices, beta=settings.beta))
            changes = mutation > shares[np.arange(devices), current]
            changes &= crossover > settings.threshold
            changed = np.where(changes, rng.integers(choices, size=devices), current)
            value = price(changed)
            if value < fitness[place]:
                candidates[place], fitness[place] = changed, value
    return candidates[int(np.argmin(fitness))]
