"""Allocation against cvxpy with Clarabel, optimum against pymoo's differential evolution."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.soo.nonconvex.de import DE
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from scipy.optimize import linear_sum_assignment

from benchmarks.measure import Row, interleaved, row, shown
from mec_gym import Scenario, Slot, allocate, evaluate, solve
from mec_gym.allocation_search import allocate_by_levy_search
from mec_gym.evaluation import slot_set
from mec_gym.optimum import load_problem


def allocation(*, quick: bool) -> list[Row]:
    """Compare the closed form with a convex solver, and with the paper's Lévy search."""
    rows = []
    for name in ("paper-30x2",) if quick else ("paper-30x2", "paper-200x10"):
        sample = slot_set(Scenario.preset(name), n_layouts=1, slots_per_layout=1)
        scenario, slot = sample.scenarios[0], sample.slots[0][0]
        rows += _against_clarabel(name, scenario, slot, quick=quick)
        choice = _decisions(scenario, 1)[0]
        best = evaluate(scenario, slot, choice)
        budgets = ((5, 10),) if quick else ((5, 10), (20, 1000))
        for population, generations in budgets:
            begun = time.perf_counter()
            budget = {"population": population, "generations": generations}
            rng = np.random.default_rng(0)
            found = allocate_by_levy_search(scenario, slot, choice, rng, **budget)
            seconds = time.perf_counter() - begun
            label = (
                f"Lévy search of f and p, {name}, P={population}, G={generations}: "
                f"objective over the optimum ({shown(seconds)})"
            )
            exact = float(best.objective)
            figures = f"{exact:.6g}", f"{found.objective:.6g}"
            rows.append(row(label, *figures, found.objective / exact))
    return rows


def _decisions(scenario: Scenario, count: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    return rng.integers(0, scenario.n_servers + 1, (count, scenario.n_devices))


def _against_clarabel(name: str, scenario: Scenario, slot: Slot, *, quick: bool) -> list[Row]:
    """Allocate random decisions of a slot: one by one, all at once, and by cvxpy."""
    count, checked = (8, 1) if quick else (256, 8)
    choices = _decisions(scenario, count)
    times = interleaved(
        {
            "one": (partial(allocate, scenario, slot, choices[0]), 100),
            "all": (partial(allocate, scenario, slot, choices), 10),
        },
        rounds=2 if quick else 10,
    )
    wall, inside, worst = math.inf, math.inf, 0.0
    for choice in choices[:checked]:
        begun = time.perf_counter()
        value, seconds = _convex(scenario, slot, choice)
        wall, inside = min(wall, time.perf_counter() - begun), min(inside, seconds)
        wanted = float(evaluate(scenario, slot, choice).cost[choice > 0].sum())
        worst = max(worst, abs(value / wanted - 1))
    assert worst < 1e-6, worst
    each = times["all"] / count
    call = f"allocate, {name}, {count} decisions in a call, per decision"
    alone = f"allocate, {name}, one decision a call"
    same = f"allocate, {name}, largest relative difference of the optima"
    return [
        row(f"{call}, speed-up over cvxpy", shown(each), shown(wall), wall / each, ">= 1000"),
        row(
            f"{call}, speed-up over Clarabel inside cvxpy",
            shown(each),
            shown(inside),
            inside / each,
        ),
        row(f"{alone}, speed-up over cvxpy", shown(times["one"]), shown(wall), wall / times["one"]),
        row(same, f"{checked} decisions", "cvxpy", worst, "<= 1e-6"),
    ]


def _convex(scenario: Scenario, slot: Slot, choice: NDArray[np.int64]) -> tuple[float, float]:
    """Return optimum and solve time of problem (13) for the offloaded devices, by Clarabel."""
    away = np.flatnonzero(choice)
    snr = slot.gains[away, choice[away] - 1] / scenario.noise_w
    bits = slot.data_bits[away] * math.log(2) / scenario.bandwidth_hz
    on_time = scenario.per_device("weight_latency")[away]
    on_energy = scenario.per_device("weight_energy")[away]
    share = cp.Variable(len(away), pos=True)  # Gcycle/s
    time_per_nat = cp.Variable(len(away), pos=True)
    growth = cp.Variable(len(away))  # t e^(1/t) / g, the perspective of exp, in watts
    cost = cp.sum(cp.multiply(on_time * slot.cycles[away] / 1e9, cp.inv_pos(share)))
    cost += cp.sum(cp.multiply(bits * on_time, time_per_nat))
    cost += cp.sum(cp.multiply(bits * on_energy, growth - cp.multiply(1 / snr, time_per_nat)))
    loudest = np.log1p(scenario.per_device("max_power_w")[away] * snr)
    exponent = 1 - cp.multiply(np.log(snr), time_per_nat)
    limits = [cp.ExpCone(exponent, time_per_nat, growth), time_per_nat >= 1 / loudest]
    for j, speed in enumerate(scenario.server_frequencies_hz, start=1):
        here = np.flatnonzero(choice[away] == j)
        if len(here):
            limits.append(cp.sum(share[here]) <= speed / 1e9)
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(solver=cp.CLARABEL, tol_gap_rel=1e-9, tol_gap_abs=1e-9)
    return float(problem.value), float(problem.solver_stats.solve_time)


class _Offloading(Problem):  # type: ignore[misc]
    """Problem (11) for pymoo: a real in [0, M + 1) per device, cut to a choice."""

    def __init__(self, scenario: Scenario, slot: Slot) -> None:
        top = np.nextafter(scenario.n_servers + 1.0, 0.0)
        super().__init__(n_var=scenario.n_devices, n_obj=1, xl=0.0, xu=top)
        self._scenario, self._slot = scenario, slot

    def _evaluate(
        self, x: NDArray[np.float64], out: dict[str, NDArray[np.float64]], *_: object, **__: object
    ) -> None:
        decisions = x.astype(np.int64)
        out["F"] = evaluate(self._scenario, self._slot, decisions).objective[:, None]


def optimum(*, quick: bool) -> list[Row]:
    """Compare the solver with differential evolution, and with a linear assignment."""
    evaluations, seeds = (1_000, 1) if quick else (100_000, 3)
    rows = []
    for name in ("paper-200x10", "bandlimited-200x10", "unequal-200x10"):
        sample = slot_set(Scenario.preset(name), n_layouts=1, slots_per_layout=1)
        scenario, slot = sample.scenarios[0], sample.slots[0][0]
        exact = solve(scenario, slot)
        ours = interleaved({"ours": (partial(solve, scenario, slot), 5)}, rounds=3)["ours"]
        results = []
        begun = time.perf_counter()
        for seed in range(seeds):
            found = minimize(
                _Offloading(scenario, slot), DE(pop_size=100), ("n_eval", evaluations), seed=seed
            )
            results.append(float(found.F[0]))
        seconds = (time.perf_counter() - begun) / seeds
        assert exact.objective <= min(results) * (1 + 1e-12), "worse than a heuristic"
        label = f"solve, {name}, speed-up over pymoo's DE with {evaluations:,} evaluations"
        goal = "" if quick else ">= 300"
        rows.append(row(label, shown(ours), shown(seconds), seconds / ours, goal))
        label = f"solve, {name}: DE's best of {seeds} over the optimum ({exact.status})"
        figures = f"{exact.objective:.6g}", f"{min(results):.6g}"
        rows.append(row(label, *figures, min(results) / exact.objective, ">= 1"))
        if name != "unequal-200x10":
            rows.append(_linear_assignment(name, scenario, slot, exact.objective, ours))
    return rows


def batches(*, quick: bool) -> list[Row]:
    """Compare optima of many slots in one call with a call for each."""
    count = 4 if quick else 200
    rows = []
    for name in ("paper-30x2", "paper-200x10", "unequal-200x10"):
        sample = slot_set(Scenario.preset(name), n_layouts=1, slots_per_layout=count)
        scenario, slots = sample.scenarios[0], sample.slots[0]

        def each(scenario: Scenario = scenario, slots: Slot = slots) -> None:
            for index in range(count):
                solve(scenario, slots[index])

        together: Callable[[], object] = partial(solve, scenario, slots)
        actions = {"together": (together, 1), "each": (each, 1)}
        times = interleaved(actions, rounds=1 if quick else 5)
        slot, alone = times["together"] / count, times["each"] / count
        label = f"solve, {name}, {count} slots in a call, speed-up over a call each"
        rows.append(row(label, f"{shown(slot)} a slot", shown(alone), alone / slot))
    return rows


def _linear_assignment(
    name: str, scenario: Scenario, slot: Slot, objective: float, ours: float
) -> Row:
    """Compare with SciPy's linear assignment of devices to places on servers; equal tasks."""
    problem = load_problem(scenario, slot)
    places = np.arange(1, 61)
    more = problem.root_work[0] ** 2 * (2 * places - 1) / problem.server_frequency[:, None]
    servers = (problem.cost[:, 1:, None] + more[None]).reshape(scenario.n_devices, -1)
    own = np.full((scenario.n_devices, scenario.n_devices), 1e9)
    np.fill_diagonal(own, problem.cost[:, 0])
    table = np.concatenate([servers, own], axis=1)
    begun = time.perf_counter()
    rows, columns = linear_sum_assignment(table)
    seconds = time.perf_counter() - begun
    value = float(table[rows, columns].sum())
    assert abs(value / objective - 1) < 1e-9, (value, objective)
    label = f"solve, {name}, speed-up over SciPy's linear_sum_assignment on places"
    return row(label, shown(ours), shown(seconds), seconds / ours)
