"""Allocations of the caller's: eqs. (6) and (7), reports, and what is refused."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mec_gym import Allocation, Scenario, Slot, allocate, evaluate
from tests.model.reference_loops import random_case, random_choices


def setting() -> tuple[Scenario, Slot, list[int], Allocation]:
    """Devices 0 and 1 on server 1, 2 on server 3, 3 local; 10 GHz and 1.5 W."""
    scenario = Scenario(n_devices=4, n_servers=3, server_positions=[[1, 1], [9, 9], [20, 20]])
    slot = Slot(np.full((4, 3), 1e-6), 8e5, 1e9)
    good = Allocation(np.full(4, 0.5), np.array([5e9, 5e9, 1e10, 1.0]), np.zeros(3))
    return scenario, slot, [1, 1, 3, 0], good


def with_entry(values: Any, index: Any, value: float) -> np.ndarray:
    changed = np.array(values, dtype=float)
    changed[index] = value
    return changed


def test_a_feasible_allocation_passes() -> None:
    scenario, slot, assignment, good = setting()
    outcome = evaluate(scenario, slot, assignment, good)
    assert bool(outcome.feasible)
    assert not outcome.excess_frequency_hz.any()
    assert not outcome.excess_power_w.any()
    assert outcome.excess_frequency_hz.shape == (3,)
    assert outcome.excess_power_w.shape == (4,)


def test_too_much_speed_names_server_limit_and_excess() -> None:
    scenario, slot, assignment, good = setting()
    greedy = Allocation(good.power_w, with_entry(good.frequency_hz, 2, 1.25e10), np.zeros(3))
    with pytest.raises(ValueError, match=r"eq\. \(6\)") as caught:
        evaluate(scenario, slot, assignment, greedy)
    message = str(caught.value)
    for part in ("server 3 ", "F_max = 1e+10 cycle/s", "by 2.5e+09 cycle/s", 'violations="report"'):
        assert part in message
    report = evaluate(scenario, slot, assignment, greedy, violations="report")
    assert not bool(report.feasible)
    np.testing.assert_allclose(report.excess_frequency_hz, [0, 0, 2.5e9], rtol=1e-15)
    assert not report.excess_power_w.any()


def test_the_worst_server_is_named() -> None:
    scenario, slot, assignment, good = setting()
    greedy = Allocation(good.power_w, np.array([9e9, 4e9, 1.1e10, 1.0]), np.zeros(3))
    with pytest.raises(ValueError, match=r"server 1 .* by 3e\+09 cycle/s \(2 servers\)"):
        evaluate(scenario, slot, assignment, greedy)


def test_too_much_power_names_device_limit_and_excess() -> None:
    scenario, slot, assignment, good = setting()
    loud = Allocation(np.array([1.5, 1.75, 2.5, 99.0]), good.frequency_hz, np.zeros(3))
    with pytest.raises(ValueError, match=r"eq\. \(7\)") as caught:
        evaluate(scenario, slot, assignment, loud)
    message = str(caught.value)
    for part in ("device 2 ", "P_max = 1.5 W", "by 1 W", "(2 devices)", 'violations="report"'):
        assert part in message
    report = evaluate(scenario, slot, assignment, loud, violations="report")
    assert not bool(report.feasible)
    np.testing.assert_array_equal(report.excess_power_w, [0.0, 0.25, 1.0, 0.0])


def test_reports_price_what_they_find() -> None:
    scenario, slot, assignment, good = setting()
    loud = Allocation(np.full(4, 3.0), good.frequency_hz * 10.0, np.zeros(3))
    report = evaluate(scenario, slot, assignment, loud, violations="report")
    rate = 1e6 * math.log2(1.0 + 3.0 * 1e6)
    # A handful of roundings.
    assert float(report.latency_s[2]) == pytest.approx(8e5 / rate + 0.01, rel=1e-14)


def test_batches_name_the_decision_and_flag_each() -> None:
    scenario, slot, assignment, good = setting()
    shares = np.stack([good.frequency_hz, good.frequency_hz * 1.5, good.frequency_hz / 2])
    batch = Allocation(np.tile(good.power_w, (3, 1)), shares, np.zeros((3, 3)))
    many = np.tile(assignment, (3, 1))
    with pytest.raises(ValueError, match=r"server [13] in decision \(1,\)"):
        evaluate(scenario, slot, many, batch)
    report = evaluate(scenario, slot, many, batch, violations="report")
    np.testing.assert_array_equal(report.feasible, [True, False, True])
    loud = Allocation(with_entry(batch.power_w, (2, 1), 2.0), shares / 2, np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"device 1 in decision \(2,\)"):
        evaluate(scenario, slot, many, loud)


@pytest.mark.parametrize(("excess", "legal"), [(1e-12, True), (5e-10, True), (1e-8, False)])
def test_a_rounding_is_not_a_violation(excess: float, legal: bool) -> None:
    # 1e-9 relative is what counts as rounding.
    scenario, slot, assignment, good = setting()
    for offer in (
        Allocation(good.power_w, good.frequency_hz * (1.0 + excess), np.zeros(3)),
        Allocation(np.full(4, 1.5 * (1.0 + excess)), good.frequency_hz, np.zeros(3)),
    ):
        report = evaluate(scenario, slot, assignment, offer, violations="report")
        assert bool(report.feasible) == legal


def test_entries_of_local_devices_are_not_read() -> None:
    scenario, slot, assignment, good = setting()
    wanted = evaluate(scenario, slot, assignment, good)
    for nonsense in (math.nan, math.inf, -1.0, 0.0, 1e300):
        offer = Allocation(
            with_entry(good.power_w, 3, nonsense),
            with_entry(good.frequency_hz, 3, nonsense),
            good.capacity_price,
        )
        outcome = evaluate(scenario, slot, assignment, offer)
        np.testing.assert_array_equal(outcome.cost, wanted.cost)
        # Eqs. (7) and (8) fix them: 1 W and 1 GHz of Table I, one rounding of 1e-27.
        assert float(outcome.allocation.power_w[3]) == pytest.approx(1.0, rel=1e-15)
        assert float(outcome.allocation.frequency_hz[3]) == 1e9


@pytest.mark.parametrize("field", ["power_w", "frequency_hz"])
@pytest.mark.parametrize("wrong", [math.nan, -1.0, -1e-300, math.inf, -math.inf])
def test_wrong_entries_are_refused_with_their_place(field: str, wrong: float) -> None:
    scenario, slot, assignment, good = setting()
    parts = {"power_w": good.power_w, "frequency_hz": good.frequency_hz}
    parts[field] = with_entry(parts[field], 1, wrong)
    with pytest.raises(ValueError, match=f"allocation.{field} must be finite and >= 0") as caught:
        evaluate(scenario, slot, assignment, Allocation(**parts, capacity_price=np.zeros(3)))
    assert f"got {wrong!r} at index (1,)" in str(caught.value)


@pytest.mark.parametrize("field", ["power_w", "frequency_hz"])
@pytest.mark.parametrize("shape", [(3,), (5,), (2, 4), (4, 1)])
def test_wrong_shapes_are_refused(field: str, shape: tuple[int, ...]) -> None:
    scenario, slot, assignment, good = setting()
    parts = {"power_w": good.power_w, "frequency_hz": good.frequency_hz}
    parts[field] = np.ones(shape)
    wanted = rf"allocation\.{field} must have shape \(4,\).*got shape {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=wanted):
        evaluate(scenario, slot, assignment, Allocation(**parts, capacity_price=np.zeros(3)))


def test_what_is_not_a_number_is_refused_by_name() -> None:
    scenario, slot, assignment, good = setting()
    wordy = Allocation(["a"] * 4, good.frequency_hz, np.zeros(3))
    with pytest.raises((TypeError, ValueError), match="power_w"):
        evaluate(scenario, slot, assignment, wordy)


def test_what_is_not_an_allocation_is_refused_by_name() -> None:
    scenario, slot, assignment, good = setting()
    with pytest.raises(TypeError, match="allocation"):
        evaluate(scenario, slot, assignment, (good.power_w, good.frequency_hz))  # type: ignore[arg-type]


def test_violations_is_a_choice() -> None:
    scenario, slot, assignment, good = setting()
    with pytest.raises(ValueError, match="did you mean 'report'"):
        evaluate(scenario, slot, assignment, good, violations="reprot")


def test_no_power_and_no_speed_take_forever() -> None:
    scenario, slot, assignment, good = setting()
    silent = Allocation(with_entry(good.power_w, 0, 0.0), good.frequency_hz, np.zeros(3))
    idle = Allocation(good.power_w, with_entry(good.frequency_hz, 0, 0.0), np.zeros(3))
    for offer in (silent, idle):
        outcome = evaluate(scenario, slot, assignment, offer)
        assert outcome.latency_s[0] == math.inf
        assert outcome.cost[0] == math.inf
        assert float(outcome.objective) == math.inf
        assert np.isfinite(outcome.energy_j).all()
        assert np.isfinite(outcome.cost[1:]).all()
    # In the limit of no power the energy is D ln2 σ² / (B h); half a dozen roundings.
    limit = 8e5 * math.log(2.0) * 1e-12 / (1e6 * 1e-6)
    outcome = evaluate(scenario, slot, assignment, silent)
    assert float(outcome.energy_j[0]) == pytest.approx(limit, rel=1e-14)


@given(st.integers(0, 10_000))
def test_the_optimal_allocation_is_feasible(seed: int) -> None:
    scenario, slot, _ = random_case(seed % 500, 11, 3)
    many = random_choices(np.random.default_rng(seed), scenario, (3,))
    best = allocate(scenario, slot, many)
    outcome = evaluate(scenario, slot, many, best)
    assert outcome.feasible.all()
    for k in range(3):
        for j, speed in enumerate(scenario.server_frequencies_hz, start=1):
            used = best.frequency_hz[k, many[k] == j].sum()
            assert used <= speed * (1.0 + 1e-14)  # a dozen roundings
    assert (best.power_w <= scenario.per_device("max_power_w")).all()


def test_no_server_at_all_in_use() -> None:
    scenario, slot, _, good = setting()
    outcome = evaluate(scenario, slot, [0, 0, 0, 0], good)
    assert bool(outcome.feasible)
    np.testing.assert_array_equal(outcome.latency_s, np.ones(4))
