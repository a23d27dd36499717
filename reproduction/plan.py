"""Which runs and measurements each table and figure is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reproduction.budget import MAIN_VARIANTS, PARTS, VARIANTS, Budget
from reproduction.jobs import Job, Measurement, trainings
from reproduction.systems import (
    LARGE,
    LARGEST,
    MEDIUM,
    POSITIONS,
    SLOTS,
    TASKS,
    WEIGHTS,
    by_devices,
)

REWARD_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "Lévy search, imitation (DIRS)": {},
    "Lévy search, no imitation": {"demonstrations": "none"},
    "ε-greedy, imitation": {"refinement": "epsilon-greedy"},
    "ε-greedy, no imitation": {"refinement": "epsilon-greedy", "demonstrations": "none"},
}
"""Curves of Fig. 5."""

SEARCHES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "PSO": ("pso", {"encoding": "floor", "start": "random"}),
    "DE": ("de", {"encoding": "floor", "start": "random"}),
    "PSO over prices": ("pso", {}),
    "DE over prices": ("de", {}),
}
"""Searches of Table V: one number per device that is rounded to its choice, from random starts, as
a reader of the paper would write it; and this project's own way, over the servers' prices."""

LEARNERS = (*VARIANTS, "ac", "ddpg")
FIG_7 = (*MAIN_VARIANTS, "maddpg", "nearest", "nearest:limit", "random", "random:limit", "local")
BITS_OF_TABLE_IV = (1.0, 5e4, 1e5, 4e5, 8e5, 1e6, 8e6)
"""D of the systems whose optima Table IV is held against [bit]."""


def _table2(budget: Budget) -> list[Job]:
    arguments = _arguments(budget)
    return [
        Measurement(
            "imitation",
            {
                "seed": seed,
                "sizes": list(budget.demonstrations),
                "held_out": budget.held_out,
                "sources": ["levy", "optimal"],
                "arguments": arguments,
            },
        )
        for seed in range(budget.seeds)
    ]


def _fig3(budget: Budget) -> list[Job]:
    slots = budget.timesteps("dirs", SLOTS[MEDIUM])
    return [
        Measurement("losses", {"seed": seed, "slots": slots, "arguments": _arguments(budget)})
        for seed in range(budget.seeds)
    ]


def _fig4(budget: Budget) -> list[Job]:
    return [
        Measurement(
            "refinement",
            {
                "seed": seed,
                "slots": budget.refined_slots,
                "generations": list(budget.generations),
                "parts": list(PARTS.values()),
                "arguments": _arguments(budget),
            },
        )
        for seed in range(budget.seeds)
    ]


def _fig5(budget: Budget) -> list[Job]:
    slots = budget.timesteps("dirs", SLOTS[MEDIUM])
    return [
        Measurement(
            "rewards",
            {"seed": seed, "slots": slots, "arguments": _arguments(budget) | dict(changes)},
        )
        for changes in REWARD_VARIANTS.values()
        for seed in range(budget.seeds)
    ]


def _fig6(budget: Budget) -> list[Job]:
    return trainings(WEIGHTS.values(), (*MAIN_VARIANTS, "optimal"), budget)


def _table3(budget: Budget) -> list[Job]:
    runs = trainings(POSITIONS.values(), (*VARIANTS, "optimal", "nearest:limit"), budget)
    return runs + _searched(POSITIONS.values(), ("PSO", "PSO over prices"), budget)


def _table4(budget: Budget) -> list[Job]:
    runs = trainings(TASKS.values(), (*MAIN_VARIANTS, "optimal"), budget)
    searches = _searched(TASKS.values(), ("PSO",), budget)
    optima: list[Job] = [
        Measurement("optimum", {"seed": seed, "system": LARGE, "changes": {"data_bits": bits}})
        for bits in BITS_OF_TABLE_IV
        for seed in range(budget.seeds)
    ]
    return runs + searches + optima


def _table5(budget: Budget) -> list[Job]:
    rules = ("optimal", "greedy", "nearest:limit", "posted-prices")
    runs = trainings([LARGEST], (*LEARNERS, *rules), budget)
    return runs + _searched([LARGEST], tuple(SEARCHES), budget)


def _fig7(budget: Budget) -> list[Job]:
    return trainings(map(by_devices, budget.devices), (*FIG_7, "optimal"), budget)


PLAN: Mapping[str, Callable[[Budget], list[Job]]] = {
    "table2": _table2,
    "fig3": _fig3,
    "fig4": _fig4,
    "fig5": _fig5,
    "fig6": _fig6,
    "table3": _table3,
    "table4": _table4,
    "table5": _table5,
    "fig7": _fig7,
}
"""Jobs by table or figure, in the paper's order."""


def _searched(systems: Any, searches: Sequence[str], budget: Budget) -> list[Job]:
    return [
        Measurement(
            "search",
            {
                "seed": seed,
                "system": system,
                "name": SEARCHES[name][0],
                "slots": budget.search_slots,
                "arguments": {"max_evaluations": budget.evaluations, **SEARCHES[name][1]},
            },
        )
        for system in systems
        for name in searches
        for seed in range(budget.seeds)
    ]


def _arguments(budget: Budget) -> dict[str, Any]:
    return dict(budget.arguments.get("dirs", {}))
