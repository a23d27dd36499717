"""Batches have the bits of their members; order means nothing; units scale as they must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mec_gym import Allocation, Scenario, Slot, allocate, evaluate
from tests.model.reference_loops import random_case, random_choices, random_slot

FIELDS = ("latency_s", "energy_j", "cost", "objective", "excess_frequency_hz", "excess_power_w")
PARTS = ("power_w", "frequency_hz", "capacity_price")

# Sums over a server's devices, or over all, may run in another order.
REORDERED = 1e-12


def assert_member(whole: Any, index: Any, alone: Any) -> None:
    for name in FIELDS:
        member = getattr(whole, name)[index]
        np.testing.assert_array_equal(member, getattr(alone, name), err_msg=name)
    for name in PARTS:
        member = getattr(whole.allocation, name)[index]
        np.testing.assert_array_equal(member, getattr(alone.allocation, name), err_msg=name)
    assert bool(whole.feasible[index]) == bool(alone.feasible)


# NumPy's sums are pairwise from eight entries on and by blocks from 128: sizes on both sides.
@pytest.mark.parametrize("n_devices", [1, 7, 40, 300])
@pytest.mark.parametrize("order", ["C", "F"])
def test_many_assignments_of_one_slot(n_devices: int, order: Any) -> None:
    scenario, slot, _ = random_case(1, n_devices, 4)
    many = random_choices(np.random.default_rng(0), scenario, (6,))
    whole = evaluate(scenario, slot, np.asarray(many, order=order))
    for k in range(6):
        assert_member(whole, k, evaluate(scenario, slot, many[k]))


@pytest.mark.parametrize("n_devices", [1, 7, 300])
def test_a_batch_of_slots_and_one_assignment(n_devices: int) -> None:
    scenario, _, assignment = random_case(2, n_devices, 4)
    slots = random_slot(np.random.default_rng(1), n_devices, 4, (5,))
    whole = evaluate(scenario, slots, assignment)
    assert whole.objective.shape == (5,)
    for b in range(5):
        assert_member(whole, b, evaluate(scenario, slots[b], assignment))


@pytest.mark.parametrize("n_devices", [3, 300])
@pytest.mark.parametrize("rows", [1, 5])
def test_slots_and_assignments_broadcast(n_devices: int, rows: int) -> None:
    scenario, _, _ = random_case(3, n_devices, 4)
    rng = np.random.default_rng(2)
    slots = random_slot(rng, n_devices, 4, (5,))
    many = random_choices(rng, scenario, (3, rows))
    whole = evaluate(scenario, slots, many)
    assert whole.objective.shape == (3, 5)
    for k in range(3):
        for b in range(5):
            alone = evaluate(scenario, slots[b], many[k, b if rows > 1 else 0])
            assert_member(whole, (k, b), alone)


def test_paired_and_crossed_batches() -> None:
    scenario, _, _ = random_case(4, 9, 3)
    rng = np.random.default_rng(3)
    slots, many = random_slot(rng, 9, 3, (4,)), random_choices(rng, scenario, (4,))
    paired = evaluate(scenario, slots, many)
    for b in range(4):
        assert_member(paired, b, evaluate(scenario, slots[b], many[b]))
    # An axis of one on the slots' side crosses them with the assignments.
    crossed = evaluate(scenario, slots[:, None], many)
    assert crossed.objective.shape == (4, 4)
    for b in range(4):
        for k in range(4):
            assert_member(crossed, (b, k), evaluate(scenario, slots[b], many[k]))


def test_two_batch_axes_of_slots() -> None:
    scenario, _, _ = random_case(5, 9, 3)
    rng = np.random.default_rng(4)
    slots, many = random_slot(rng, 9, 3, (2, 3)), random_choices(rng, scenario, (2, 3))
    whole = evaluate(scenario, slots, many)
    for index in np.ndindex(2, 3):
        assert_member(whole, index, evaluate(scenario, slots[index], many[index]))


@pytest.mark.parametrize("memory", [np.asfortranarray, np.ascontiguousarray])
def test_memory_order_means_nothing(memory: Any) -> None:
    scenario, slot, assignment = random_case(6, 50, 3)
    other = Slot(memory(slot.gains), slot.data_bits, slot.cycles)
    whole, alone = (evaluate(scenario, s, assignment) for s in (other, slot))
    assert_member(whole, (), alone)


def test_empty_batches_are_legal() -> None:
    scenario, slot, _ = random_case(0)
    outcome = evaluate(scenario, slot, np.zeros((0, 8), dtype=int))
    assert outcome.objective.shape == (0,)
    assert outcome.latency_s.shape == (0, 8)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, np.int64])
def test_any_integer_type_means_the_same(dtype: Any) -> None:
    scenario, slot, assignment = random_case(7)
    assert_member(
        evaluate(scenario, slot, assignment.astype(dtype)), (), evaluate(scenario, slot, assignment)
    )
    assert_member(
        evaluate(scenario, slot, assignment.tolist()), (), evaluate(scenario, slot, assignment)
    )


def test_a_batch_of_given_allocations() -> None:
    scenario, slot, _ = random_case(8)
    many = random_choices(np.random.default_rng(0), scenario, (4,))
    best = allocate(scenario, slot, many)
    half = Allocation(best.power_w / 2, best.frequency_hz / 2, best.capacity_price)
    whole = evaluate(scenario, slot, many, half)
    for k in range(4):
        alone = Allocation(half.power_w[k], half.frequency_hz[k], half.capacity_price[k])
        assert_member(whole, k, evaluate(scenario, slot, many[k], alone))


def test_the_optimal_allocation_handed_back_costs_the_same() -> None:
    scenario, slot, _ = random_case(9)
    many = random_choices(np.random.default_rng(1), scenario, (4,))
    whole = evaluate(scenario, slot, many)
    again = evaluate(scenario, slot, many, allocate(scenario, slot, many))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


# -- indexing -------------------------------------------------------------------------------------


def test_indexing_takes_from_the_batch_axes() -> None:
    slots = random_slot(np.random.default_rng(0), 4, 2, (3, 5))
    assert slots.batch_shape == (3, 5)
    assert slots[1].batch_shape == (5,)
    assert slots[1, 2].batch_shape == ()
    assert slots[:, 2].batch_shape == (3,)
    assert slots[1:, :2].batch_shape == (2, 2)
    np.testing.assert_array_equal(slots[1, 2].gains, slots.gains[1, 2])
    np.testing.assert_array_equal(slots[1, 2].data_bits, slots.data_bits[1, 2])
    np.testing.assert_array_equal(slots[1, 2].cycles, slots.cycles[1, 2])
    assert (slots[1, 2].n_devices, slots[1, 2].n_servers) == (4, 2)
    with pytest.raises(IndexError):
        slots[3]


def test_indexing_does_not_reach_into_devices() -> None:
    slots = random_slot(np.random.default_rng(0), 4, 2, (3,))
    with pytest.raises(IndexError):
        slots[0, 1]


def test_one_slot_has_no_batch_axis_to_index() -> None:
    slot = random_slot(np.random.default_rng(0), 4, 2)
    with pytest.raises(IndexError):
        slot[0]


# -- order ----------------------------------------------------------------------------------------

PER_DEVICE = (
    "local_frequency_hz",
    "switched_capacitance",
    "power_exponent",
    "max_power_w",
    "weight_latency",
    "weight_energy",
)


@pytest.mark.parametrize("seed", range(5))
def test_order_of_devices_means_nothing(seed: int) -> None:
    scenario, slot, assignment = random_case(seed)
    order = np.random.default_rng(seed).permutation(8)
    turned = scenario.replace(**{name: scenario.per_device(name)[order] for name in PER_DEVICE})
    other = Slot(slot.gains[order], slot.data_bits[order], slot.cycles[order])
    before = evaluate(scenario, slot, assignment)
    after = evaluate(turned, other, assignment[order])
    for name in ("latency_s", "energy_j", "cost"):
        np.testing.assert_allclose(
            getattr(after, name), getattr(before, name)[order], rtol=REORDERED
        )
    np.testing.assert_allclose(
        after.allocation.capacity_price, before.allocation.capacity_price, rtol=REORDERED
    )
    np.testing.assert_allclose(after.objective, before.objective, rtol=REORDERED)


@pytest.mark.parametrize("seed", range(5))
def test_order_of_servers_means_nothing(seed: int) -> None:
    scenario, slot, assignment = random_case(seed, 8, 4)
    order = np.random.default_rng(seed).permutation(4)
    turned = scenario.replace(server_frequency_hz=scenario.server_frequencies_hz[order])
    other = Slot(slot.gains[:, order], slot.data_bits, slot.cycles)
    number = np.concatenate([[0], np.argsort(order) + 1])
    before = evaluate(scenario, slot, assignment)
    after = evaluate(turned, other, number[assignment])
    for name in ("latency_s", "energy_j", "cost", "objective"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=REORDERED)
    np.testing.assert_allclose(
        after.allocation.capacity_price, before.allocation.capacity_price[order], rtol=REORDERED
    )


def test_other_servers_and_unused_links_mean_nothing() -> None:
    scenario, slot, assignment = random_case(3)
    rng = np.random.default_rng(0)
    gains = slot.gains.copy()
    used = np.zeros(gains.shape, dtype=bool)
    used[np.flatnonzero(assignment), assignment[assignment > 0] - 1] = True
    gains[~used] = 10.0 ** rng.uniform(-30, 30, (~used).sum())
    other = evaluate(scenario, Slot(gains, slot.data_bits, slot.cycles), assignment)
    assert_member(other, (), evaluate(scenario, slot, assignment))


# -- units and scales -----------------------------------------------------------------------------

# A power of two multiplies without rounding, but the root of a product does not; then some sums.
SCALED = 1e-13


def scaled_slot(slot: Slot, *, gains: float = 1.0, bits: float = 1.0, cycles: float = 1.0) -> Slot:
    return Slot(slot.gains * gains, slot.data_bits * bits, slot.cycles * cycles)


def changed(scenario: Scenario, **factors: float) -> Scenario:
    fields = {}
    for name, factor in factors.items():
        fields[name] = np.asarray(getattr(scenario, name)) * factor
    return scenario.replace(**fields)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [2.0, 0.3, 1e5])
def test_laws_of_scale(seed: int, factor: float) -> None:
    scenario, slot, assignment = random_case(seed)
    before = evaluate(scenario, slot, assignment)
    c = factor
    watts = {
        "noise_w": c,
        "max_power_w": c,
        "switched_capacitance": c,
        "weight_energy": 1.0 / c,
    }
    seconds = {  # a second becomes c seconds, a joule c joules
        "bandwidth_hz": 1.0 / c,
        "local_frequency_hz": 1.0 / c,
        "server_frequency_hz": 1.0 / c,
    }
    powers = scenario.per_device("power_exponent")
    slow = changed(scenario, **seconds)
    slow = slow.replace(
        switched_capacitance=scenario.per_device("switched_capacitance") * c**powers
    )
    # What changes, and by how much latency, energy, cost and transmission power grow.
    laws: list[tuple[str, Scenario, Slot, float, float, float, float]] = [
        ("tasks", scenario, scaled_slot(slot, bits=c, cycles=c), c, c, c, 1.0),
        ("gain and noise", changed(scenario, noise_w=c), scaled_slot(slot, gains=c), 1, 1, 1, 1),
        ("bits and band", changed(scenario, bandwidth_hz=c), scaled_slot(slot, bits=c), 1, 1, 1, 1),
        ("weights", changed(scenario, weight_latency=c, weight_energy=c), slot, 1, 1, c, 1),
        ("unit of power", changed(scenario, **watts), slot, 1, c, 1, c),
        ("unit of time", slow, slot, c, c, c, 1),
    ]
    for name, other, tasks, latency, energy, cost, power in laws:
        after = evaluate(other, tasks, assignment)
        for ours, theirs, grown in (
            (after.latency_s, before.latency_s, latency),
            (after.energy_j, before.energy_j, energy),
            (after.cost, before.cost, cost),
            (after.objective, before.objective, cost),
            (after.allocation.power_w, before.allocation.power_w, power),
        ):
            np.testing.assert_allclose(ours, theirs * grown, rtol=SCALED, err_msg=name)


def test_computing_alone_scales_with_the_servers() -> None:
    scenario, slot, _ = random_case(0)
    assignment = np.array([1, 2, 3, 1, 2, 3, 1, 1])
    one, two = (
        evaluate(other, slot, assignment)
        for other in (scenario, changed(scenario, server_frequency_hz=2.0))
    )
    computing = slot.cycles / one.allocation.frequency_hz
    # A difference of two latencies loses the digits that the transmission takes.
    np.testing.assert_allclose(
        one.latency_s - two.latency_s, computing / 2.0, atol=1e-12 * one.latency_s.max()
    )
    np.testing.assert_array_equal(one.energy_j, two.energy_j)
    np.testing.assert_allclose(
        two.allocation.capacity_price, one.allocation.capacity_price / 4.0, rtol=SCALED
    )


def test_nothing_is_written_to() -> None:
    scenario, slot, _ = random_case(2)
    many = random_choices(np.random.default_rng(0), scenario, (3,))
    given = allocate(scenario, slot, many)
    arrays = [slot.gains, slot.data_bits, slot.cycles, many, *(getattr(given, n) for n in PARTS)]
    copies = [array.copy() for array in arrays]
    first = evaluate(scenario, slot, many)
    kept = {name: getattr(first, name).copy() for name in FIELDS}
    evaluate(scenario, slot, many, given)
    evaluate(scenario, slot, many)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    for name, copy in kept.items():
        np.testing.assert_array_equal(getattr(first, name), copy)
