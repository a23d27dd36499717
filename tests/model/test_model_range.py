"""Everything legal has a sensible result: no NaN, no warning, no order turned round.

Warnings are errors in this suite, so a test passes only where nothing overflows or divides by 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mec_gym import Allocation, Scenario, Slot, allocate, evaluate

N, M = 4, 2

DECADES = st.floats(-30.0, 30.0)
# The ends of the range, and powers of ten in between.
MAGNITUDE = st.one_of(st.sampled_from([1e-30, 1.0, 1e30]), DECADES.map(lambda d: 10.0**d))
WEIGHT = st.one_of(st.just(0.0), MAGNITUDE)


def several(values: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[Any]:
    return st.lists(values, min_size=size, max_size=size)


@st.composite
def local_execution(draw: st.DrawFn) -> tuple[float, float, float]:
    """Return κ, f and ν whose power κ f^ν is in the range as well."""
    exponent = draw(st.floats(1.0, 10.0))
    power, capacitance = draw(st.floats(-29.9, 29.9)), draw(DECADES)
    speed = min(max((power - capacitance) / exponent, -30.0), 30.0)
    power = capacitance + exponent * speed
    assume(abs(power) < 29.9)
    return 10.0**capacitance, 10.0**speed, exponent


@st.composite
def systems(draw: st.DrawFn) -> tuple[Scenario, Slot, np.ndarray]:
    local = draw(several(local_execution(), N))
    weights = draw(several(st.tuples(MAGNITUDE, WEIGHT), N))
    spread = draw(st.sampled_from([30.0, 2.0]))  # servers of all kinds, or 1e4-fold apart
    centre = draw(st.floats(-30.0 + spread, 30.0 - spread))
    speeds = draw(several(st.floats(centre - spread, centre + spread), M))
    scenario = Scenario(
        n_devices=N,
        n_servers=M,
        bandwidth_hz=draw(MAGNITUDE),
        noise_w=draw(MAGNITUDE),
        switched_capacitance=[k for k, _, _ in local],
        local_frequency_hz=[f for _, f, _ in local],
        power_exponent=[v for _, _, v in local],
        max_power_w=draw(several(MAGNITUDE, N)),
        weight_latency=[w for w, _ in weights],
        weight_energy=[w for _, w in weights],
        server_frequency_hz=[10.0**s for s in speeds],
    )
    slot = Slot(
        gains=np.reshape(draw(several(MAGNITUDE, N * M)), (N, M)),
        data_bits=draw(several(MAGNITUDE, N)),
        cycles=draw(several(MAGNITUDE, N)),
    )
    choices = np.array(draw(several(st.integers(0, M), N)))
    forced = (choices == 0) & ~scenario.can_execute_locally
    return scenario, slot, np.where(forced, 1, choices)


@settings(max_examples=400)
@given(systems())
def test_every_legal_system_has_an_outcome(system: Any) -> None:
    scenario, slot, assignment = system
    outcome = evaluate(scenario, slot, assignment)
    away = assignment > 0
    for values in (outcome.latency_s, outcome.energy_j, outcome.cost):
        assert np.isfinite(values).all()
        assert (values > 0.0).all()
    assert np.isfinite(outcome.objective)
    assert bool(outcome.feasible)
    power, share = outcome.allocation.power_w, outcome.allocation.frequency_hz
    assert (power[away] <= scenario.per_device("max_power_w")[away]).all()
    assert (power > 0.0).all()
    assert (share > 0.0).all()
    assert np.isfinite(outcome.allocation.capacity_price).all()


@settings(max_examples=200)
@given(systems())
def test_the_optimum_handed_back_is_the_same(system: Any) -> None:
    scenario, slot, assignment = system
    ours = evaluate(scenario, slot, assignment)
    again = evaluate(scenario, slot, assignment, allocate(scenario, slot, assignment))
    np.testing.assert_array_equal(again.latency_s, ours.latency_s)
    np.testing.assert_array_equal(again.cost, ours.cost)


@settings(max_examples=200)
@given(systems(), st.integers(0, N - 1), st.integers(0, M - 1), st.floats(0.0, 60.0))
def test_a_better_link_never_costs_more(system: Any, i: int, j: int, decades: float) -> None:
    scenario, slot, assignment = system
    gains = slot.gains.copy()
    gains[i, j] = min(gains[i, j] * 10.0**decades, 1e30)
    before = evaluate(scenario, slot, assignment)
    after = evaluate(scenario, Slot(gains, slot.data_bits, slot.cycles), assignment)
    # Powers of 1e-13 and latencies of 1e-14 relative: rounding may add that much.
    assert (after.cost <= before.cost * (1.0 + 1e-12)).all()
    assert float(after.objective) <= float(before.objective) * (1.0 + 1e-12)


@settings(max_examples=200)
@given(systems(), st.integers(0, M - 1), st.floats(0.0, 60.0))
def test_a_faster_server_never_costs_more(system: Any, j: int, decades: float) -> None:
    scenario, slot, assignment = system
    speeds = scenario.server_frequencies_hz
    speeds[j] = min(speeds[j] * 10.0**decades, 1e30)
    before = evaluate(scenario, slot, assignment)
    after = evaluate(scenario.replace(server_frequency_hz=speeds), slot, assignment)
    # Rounding, as above.
    assert (after.cost <= before.cost * (1.0 + 1e-12)).all()
    assert (after.latency_s <= before.latency_s * (1.0 + 1e-12)).all()


@settings(max_examples=200)
@given(systems(), several(st.one_of(st.just(0.0), MAGNITUDE), 2 * N))
def test_every_legal_allocation_has_a_report(system: Any, entries: list[float]) -> None:
    scenario, slot, assignment = system
    power, share = np.reshape(entries, (2, N))
    given_one = Allocation(power, share, np.zeros(M))
    report = evaluate(scenario, slot, assignment, given_one, violations="report")
    away = assignment > 0
    for values in (report.latency_s, report.energy_j, report.cost):
        assert not np.isnan(values).any()
    assert np.isfinite(report.energy_j).all()
    forever = away & ((power == 0.0) | (share == 0.0))
    np.testing.assert_array_equal(report.latency_s == math.inf, forever)
    best = evaluate(scenario, slot, assignment)
    if bool(report.feasible):
        # Rounding, and the 1e-9 by which a feasible allocation may exceed its limits.
        assert float(best.objective) <= float(report.objective) * (1.0 + 2e-9)


def test_every_number_of_the_range_at_its_ends() -> None:
    """All corners of one device's link: 2^8 systems, each without a warning."""
    ends = (1e-30, 1e30)
    corners = np.array(np.meshgrid(*[ends] * 5)).reshape(5, -1)
    for noise in ends:
        for bandwidth in ends:
            for speed in ends:
                gains, bits, cycles, limit, weight = corners
                scenario = Scenario(
                    n_devices=len(gains),
                    n_servers=1,
                    noise_w=noise,
                    bandwidth_hz=bandwidth,
                    server_frequency_hz=speed,
                    max_power_w=limit,
                    weight_latency=weight,
                    weight_energy=weight[::-1],
                )
                slot = Slot(gains[:, None], bits, cycles)
                outcome = evaluate(scenario, slot, np.ones(len(gains), dtype=int))
                assert np.isfinite(outcome.cost).all()
                assert (outcome.cost > 0.0).all()


@pytest.mark.parametrize(("power", "share"), [(1e30, 1.0), (1.0, 1e-300), (1e-200, 1.0)])
def test_extreme_allocations_do_not_warn(power: float, share: float) -> None:
    """What passes the checks of an allocation (finite, >= 0) has a result without a warning."""
    scenario = Scenario(n_devices=1, n_servers=1, noise_w=1e-30, bandwidth_hz=1e-30)
    for gain in (1e-30, 1e30):
        slot = Slot([[gain]], 1e30, 1e30)
        report = evaluate(
            scenario, slot, [1], Allocation([power], [share], [0.0]), violations="report"
        )
        assert not np.isnan(report.cost).any()
