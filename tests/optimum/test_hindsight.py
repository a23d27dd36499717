"""The hindsight bound is below every policy's cost, and the plan is near it and feasible."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

from mec_gym import (
    GaussMarkov,
    Scenario,
    Slot,
    Traces,
    Uniform,
    counterfactuals,
    episode,
    evaluate,
    hindsight,
    solve,
)
from mec_gym.hindsight import hosts_before
from mec_gym.model.episode import Episode, episodes
from mec_gym.optimum import load_problems

SEEDS = st.integers(0, 2**31)


def scenario_of(seed: int, n_devices: int, n_servers: int, **fields: Any) -> Scenario:
    """Return a small world in which nearly everything that matters is drawn."""
    rng = np.random.default_rng(seed)
    unequal, recorded = bool(rng.integers(2)), bool(rng.integers(2))
    # Recorded devices come and go.
    places = rng.uniform(0, 50, (5, n_devices, 2))
    places[1:][rng.random((4, n_devices)) < 0.4] = np.nan
    return Scenario(
        **(
            {
                "n_devices": n_devices,
                "n_servers": n_servers,
                "noise_w": 10.0 ** rng.uniform(-12, -6),
                "cycles": Uniform(5e8, 3e9) if unequal else 2e9,
                "server_frequency_hz": tuple(rng.uniform(1e9, 2e10, n_servers)),
                "server_positions": rng.uniform(0, 50, (n_servers, 2)),
                "max_power_w": tuple(rng.choice([0.5, 1.5], n_devices)),
                "mobility": Traces(places, 1.5) if recorded else GaussMarkov(rng.uniform(1, 20)),
                "migration_s": tuple(rng.choice([0.0, 0.3, 2.0, 30.0], n_devices)),
                "migration_j": float(rng.choice([0.0, 1.0])),
                "layout": "fixed" if recorded else "redrawn",
            }
            | fields
        )
    )


def cost_of(scenario: Scenario, path: Episode, plan: np.ndarray) -> float:
    """Return what decisions (T, N) cost on a path, slot by slot as the env does it."""
    hosts, total = np.zeros(scenario.n_devices, dtype=np.int64), 0.0
    for time in range(path.n_slots):
        slot = path.slots[time].hosted(hosts)
        total += float(evaluate(scenario, slot, plan[time]).objective)
        hosts = np.where((plan[time] > 0) & (slot.cycles > 1.0), plan[time], hosts)
    return total


def legal(scenario: Scenario, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return random decisions that eq. (7) allows."""
    drawn = rng.integers(scenario.n_servers + 1, size=shape)
    return np.where((drawn == 0) & ~scenario.can_execute_locally, 1, drawn)


@settings(max_examples=20)
@given(SEEDS)
def test_bound_and_plan_enclose_the_best_of_all_plans(seed: int) -> None:
    scenario = scenario_of(seed, 2, 2)
    path = episode(scenario, seed, n_slots=3)
    found = hindsight(scenario, path)
    local = scenario.can_execute_locally
    ways = [range(0 if local[i] else 1, 3) for _ in range(3) for i in range(2)]
    plans = np.array(list(itertools.product(*ways))).reshape(-1, 3, 2)
    hosts = hosts_before(plans, path.cycles, np.zeros((len(plans), 2), dtype=np.int64))
    costs = sum(
        evaluate(
            scenario, path.slots[[time] * len(plans)].hosted(hosts[:, time]), plans[:, time]
        ).objective
        for time in range(3)
    )
    best = float(np.min(costs))
    assert found.lower_bound <= best * (1 + 1e-12)
    assert best <= found.objective * (1 + 1e-12)
    assert found.objective == pytest.approx(cost_of(scenario, path, found.assignment), rel=1e-12)


@settings(max_examples=20)
@given(SEEDS)
def test_no_policy_passes_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_devices, n_servers = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    scenario = scenario_of(seed, n_devices, n_servers)
    path = episode(scenario, seed, n_slots=int(rng.integers(1, 8)))
    found = hindsight(scenario, path)
    myopic = np.empty((path.n_slots, n_devices), dtype=np.int64)
    hosts = np.zeros(n_devices, dtype=np.int64)
    for time in range(path.n_slots):
        myopic[time] = solve(scenario, path.slots[time].hosted(hosts)).assignment
        moved = (myopic[time] > 0) & (path.cycles[time] > 1.0)
        hosts = np.where(moved, myopic[time], hosts)
    random = legal(scenario, rng, myopic.shape)
    for plan in (myopic, random, found.assignment, solve(scenario, path.slots).assignment):
        assert found.lower_bound <= cost_of(scenario, path, plan) * (1 + 1e-12)
    assert 0.0 <= found.gap < 1.0


@pytest.mark.parametrize("seed", range(6))
def test_integer_programme_lies_between_bound_and_plan(seed: int) -> None:
    # Equal tasks: the k-th device on a server costs s²(2k − 1)/F more, which is linear.
    scenario = scenario_of(seed, 5, 2, cycles=2e9, mobility=GaussMarkov(9.0), layout="redrawn")
    path = episode(scenario, seed, n_slots=4)
    found = hindsight(scenario, path)
    best = _milp(scenario, path)
    assert found.lower_bound <= best * (1 + 1e-8)
    assert best <= found.objective * (1 + 1e-8)
    assert found.gap < 0.05


def _milp(scenario: Scenario, path: Episode) -> float:
    """Return the optimum over all plans, by HiGHS: a flow of every service through hosts."""
    n, m, slots = scenario.n_devices, scenario.n_servers, path.n_slots
    problems = load_problems(scenario.replace(migration_s=0.0, migration_j=0.0), path.slots)
    kappa, speed = scenario.migration_cost, scenario.server_frequencies_hz
    columns: list[tuple[float, dict[Any, float]]] = []  # price, and entries by row
    for t, i, s in itertools.product(range(slots), range(n), range(m + 1)):
        for j in range(m + 1):
            if not np.isfinite(problems.cost[t, i, j]):
                continue
            moves = j not in (0, s)
            entries = {("flow", t, i, s): -1.0, ("flow", t + 1, i, j or s): 1.0}
            if j:
                entries["load", t, j] = 1.0
            columns.append((problems.cost[t, i, j] + moves * kappa[i], entries))
    for t, j, k in itertools.product(range(slots), range(m), range(n)):
        work = float(problems.root_work[t, 0]) ** 2
        columns.append((work * (2 * k + 1) / speed[j], {("load", t, j + 1): -1.0}))
    kept = {row for _, entries in columns for row in entries if row[0] == "load" or row[1] < slots}
    index = {row: place for place, row in enumerate(sorted(kept))}
    matrix, right = lil_matrix((len(index), len(columns))), np.zeros(len(index))
    for column, (_, entries) in enumerate(columns):
        for row in entries.keys() & index.keys():
            matrix[index[row], column] = entries[row]
    for i in range(n):
        right[index["flow", 0, i, 0]] = -1.0
    found: Any = milp(
        np.array([price for price, _ in columns]),
        constraints=LinearConstraint(matrix.tocsr(), right, right),
        integrality=np.ones(len(columns)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-9},
    )
    assert found.status == 0, found.message
    return float(found.fun)


@pytest.mark.parametrize("preset", ["paper-30x2", "unequal-200x10"])
def test_free_migration_is_solve_in_every_slot(preset: str) -> None:
    scenario = Scenario.preset(preset)
    path = episode(scenario, seed=1, n_slots=4)
    found, alone = hindsight(scenario, path), solve(scenario, path.slots)
    assert (found.assignment == alone.assignment).all()
    assert found.objective == pytest.approx(alone.objective.sum(), rel=1e-14)
    assert found.lower_bound == pytest.approx(alone.lower_bound.sum(), rel=1e-14)
    assert (found.prices == alone.prices).all()


def test_cheap_migration_tends_to_solve() -> None:
    scenario = Scenario.preset("crowd-30x4", migration_s=1e-9)
    path = episode(scenario, seed=1, n_slots=6)
    found, alone = hindsight(scenario, path), solve(scenario, path.slots.hosted(None))
    free = solve(scenario.replace(migration_s=0.0), path.slots)
    assert found.lower_bound <= free.objective.sum() * (1 + 1e-6)
    assert found.objective == pytest.approx(free.objective.sum(), rel=2e-3)
    assert alone.objective.sum() >= free.objective.sum()


@settings(max_examples=20)
@given(SEEDS)
def test_a_batch_is_its_members(seed: int) -> None:
    scenario = scenario_of(seed, 4, 2)
    paths = episodes(scenario, [seed, seed + 1, seed + 2], 4)
    together = hindsight(scenario, paths)
    for index, path in enumerate(paths):
        alone = hindsight(scenario, path)
        assert (together.assignment[index] == alone.assignment).all()
        assert together.lower_bound[index] == pytest.approx(alone.lower_bound, rel=1e-12)
        assert together.values[index] == pytest.approx(alone.values, rel=1e-9, abs=1e-12)


@settings(max_examples=20)
@given(SEEDS)
def test_values_are_those_of_the_bound(seed: int) -> None:
    scenario = scenario_of(seed, 5, 3)
    found = hindsight(scenario, episode(scenario, seed, n_slots=5))
    values, kappa = found.values, scenario.migration_cost[:, None]
    assert (values[-1] == 0).all()
    # A service that is somewhere never costs more than one that is nowhere, nor κ less.
    assert (values[:, :, 1:] <= values[:, :, :1] * (1 + 1e-12)).all()
    assert (values[:, :, :1] <= values[:, :, 1:] + kappa + 1e-9 * values[:, :, :1]).all()
    paid = (found.prices**2 * scenario.server_frequencies_hz / 4).sum()
    # With equal tasks the bound knows that loads are whole multiples, and is above the plain one.
    assert values[0, :, 0].sum() - paid <= found.lower_bound * (1 + 1e-9)


@settings(max_examples=20)
@given(SEEDS)
def test_counterfactuals_are_what_evaluate_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenario = scenario_of(seed, 4, 3)
    path = episode(scenario, seed, n_slots=2)
    slots = path.slots.hosted(rng.integers(4, size=(2, 4)))
    decided = legal(scenario, rng, (2, 4))
    table = counterfactuals(scenario, slots, decided)
    for device, choice in itertools.product(range(4), range(4)):
        other = decided.copy()
        other[:, device] = choice
        if choice == 0 and not scenario.can_execute_locally[device]:
            assert np.isinf(table[:, device, 0]).all()
            continue
        expected = evaluate(scenario, slots, other).objective
        assert table[:, device, choice] == pytest.approx(expected, rel=1e-10)
    # One slot and several decisions, and torch, whatever eq. (7) forbids.
    several = counterfactuals(scenario, slots[0], decided)
    assert several[0] == pytest.approx(table[0], rel=1e-12)
    torch = pytest.importorskip("torch")
    tensors = [torch.as_tensor(part) for part in (slots.gains, slots.data_bits, slots.cycles)]
    there = Slot(*tensors, hosts=torch.as_tensor(np.array(slots.hosts)))
    found = counterfactuals(scenario, there, torch.as_tensor(decided))
    assert found.numpy() == pytest.approx(table, rel=1e-9)


def test_counterfactuals_keep_their_digits_beside_a_dear_device() -> None:
    scenario = Scenario(n_devices=2, n_servers=2, migration_s=(1e29, 0.0))
    slot = Slot(np.full((2, 2), 1e-6), 8e5, 1e9, hosts=[1, 1])
    table = counterfactuals(scenario, slot, [2, 0])
    for choice in (0, 1):
        expected = evaluate(scenario, slot, [choice, 0]).objective
        assert table[0, choice] == pytest.approx(expected, rel=1e-12)


def test_hosts_before_the_episode_save_their_placement() -> None:
    scenario = Scenario.preset("crowd-30x4")
    path = episode(scenario, seed=0, n_slots=3)
    fresh = hindsight(scenario, path)
    placed = hindsight(scenario, path, hosts=fresh.assignment[0])
    assert placed.objective < fresh.objective


@pytest.mark.parametrize(("preset", "largest"), [("crowd-30x4", 2e-3), ("crowd-200x10", 1e-3)])
def test_gap_of_the_crowds(preset: str, largest: float) -> None:
    scenario = Scenario.preset(preset)
    assert hindsight(scenario, episode(scenario, seed=3, n_slots=100)).gap < largest


def test_refusals() -> None:
    scenario = Scenario.preset("crowd-30x4")
    path = episode(scenario, seed=0, n_slots=2)
    with pytest.raises(TypeError, match="episode must be an Episode"):
        hindsight(scenario, [path, "path"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"one length; got lengths \[2, 3\]"):
        hindsight(scenario, [path, episode(scenario, seed=0, n_slots=3)])
    with pytest.raises(ValueError, match=r"gains must have shape \(\.\.\., 30, 2\)"):
        hindsight(Scenario.preset("paper-30x2"), path)
    with pytest.raises(ValueError, match=r"hosts must lie in 0\.\.\.4"):
        hindsight(scenario, path, hosts=np.full(30, 5))
