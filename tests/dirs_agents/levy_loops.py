"""Algorithm 4 candidate by candidate and device by device, with every Lévy step drawn."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from mec_gym import Scenario, Slot, evaluate
from mec_gym.levy import levy_steps


@dataclasses.dataclass
class Run:
    assignment: list[int]
    objective: float
    history: list[float]
    mutated: list[int]
    """Devices whose candidate choice was redrawn, per generation, over all candidates."""


def shares_of(slot: Slot, mutation: str, rng: np.random.Generator) -> Any:
    shares = slot.gains / slot.gains.sum(-1, keepdims=True)
    if mutation == "shuffled":
        shares = rng.permutation(shares.reshape(-1)).reshape(shares.shape)
    return shares


def flights(
    rng: np.random.Generator, shape: Any, *, beta: float, signed: bool, scale: float
) -> Any:
    steps = scale * levy_steps(rng, shape, beta=beta)
    return (steps if signed else np.abs(steps)).tolist()


def paying(
    target: list[int], candidate: list[int], fitness: Callable[[list[int]], float]
) -> list[int]:
    """Make the best of the candidate's changes, one after another, as long as one pays."""
    while True:
        changed = [
            [*target[:i], b, *target[i + 1 :]]
            for i, (a, b) in enumerate(zip(target, candidate, strict=True))
            if a != b
        ]
        best = min(changed, key=fitness, default=target)
        if not fitness(best) < fitness(target):
            return target
        target = best


def legal(scenario: Scenario, i: int, choice: int, rng: np.random.Generator) -> int:
    if choice == 0 and not scenario.can_execute_locally[i]:
        return int(rng.integers(1, scenario.n_servers + 1))
    return choice


def levy_search_by_loops(
    scenario: Scenario,
    slot: Slot,
    start: list[int],
    rng: np.random.Generator,
    *,
    population: int,
    generations: int,
    beta: float,
    threshold: float,
    mutation: str = "h",
    crossover: str = "device",
    signed: bool = False,
    flight_scale: float = 1.0,
    selection: str = "whole",
    known: dict[tuple[int, ...], float] | None = None,
) -> Run:
    known = {} if known is None else known

    def fitness(decision: list[int]) -> float:
        key = tuple(decision)
        if key not in known:
            known[key] = float(evaluate(scenario, slot, decision).objective)
        return known[key]

    servers = scenario.n_servers
    shares = shares_of(slot, mutation, rng)
    own = [list(start) for _ in range(population)]
    costs = [fitness(one) for one in own]
    history, mutated = [min(costs)], []
    for generation in range(1, generations + 1):
        gamma = 2.0 - 2.0 * generation / generations  # eq. (21)
        count = 0
        steps, whole = (
            flights(rng, shape, beta=beta, signed=signed, scale=flight_scale)
            for shape in ((population, len(start), 2), population)
        )
        for member in range(population):
            target, candidate = own[member], []
            for i, a in enumerate(target):
                share = 1.0 / (servers + 1) if a == 0 else float(shares[i, a - 1])
                mutant, redrawn = a, False
                to_mutate, to_cross = steps[member][i]
                if gamma * to_mutate > share:  # eq. (20)
                    mutant, redrawn = int(rng.integers(0, servers + 1)), True
                to_cross = {
                    "device": to_cross,
                    "shared": to_mutate,
                    "member": whole[member],
                    "none": np.inf,
                }[crossover]
                if gamma > 0.0 and not gamma * to_cross > threshold:  # eq. (22)
                    mutant, redrawn = a, False
                count += redrawn
                candidate.append(legal(scenario, i, mutant, rng))
            if selection == "device":
                candidate = paying(target, candidate, fitness)
            cost = fitness(candidate)
            if cost < costs[member]:  # eq. (23)
                own[member], costs[member] = candidate, cost
        history.append(min(costs))
        mutated.append(count)
    best = int(np.argmin(costs))
    return Run(own[best], costs[best], history, mutated)


def best_by_enumeration(scenario: Scenario, slot: Slot) -> tuple[float, Any]:
    choices = [
        range(0 if local else 1, scenario.n_servers + 1) for local in scenario.can_execute_locally
    ]
    everything = np.array(list(itertools.product(*choices)))
    values = np.asarray(evaluate(scenario, slot, everything).objective)
    return float(values.min()), everything[values.argmin()]
