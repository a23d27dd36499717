"""evaluate and allocate against plain loops, and against independently computed instances."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mec_gym import Allocation, Scenario, Slot, allocate, evaluate
from tests.model.reference_loops import (
    allocation_by_loops,
    devices_of,
    outcome_by_loops,
    power_by_search,
    random_case,
)

SIZES = [(1, 1), (2, 3), (8, 3), (25, 2), (40, 7)]

# A handful of correctly rounded operations each way; sums have at most 40 positive terms.
ROUNDING = 1e-13


def assert_same(outcome: Any, wanted: Any, rtol: float) -> None:
    np.testing.assert_allclose(outcome.latency_s, wanted.latency, rtol=rtol)
    np.testing.assert_allclose(outcome.energy_j, wanted.energy, rtol=rtol)
    np.testing.assert_allclose(outcome.cost, wanted.cost, rtol=rtol)
    assert float(outcome.objective) == pytest.approx(wanted.objective, rel=rtol)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(6))
def test_evaluate_is_the_equations(seed: int, size: tuple[int, int]) -> None:
    scenario, slot, assignment = random_case(seed, *size)
    outcome = evaluate(scenario, slot, assignment)
    given = outcome.allocation
    wanted = outcome_by_loops(scenario, slot, assignment, given.power_w, given.frequency_hz)
    assert_same(outcome, wanted, ROUNDING)


@pytest.mark.parametrize("seed", range(10))
def test_a_given_allocation_is_priced_by_the_equations(seed: int) -> None:
    scenario, slot, assignment = random_case(seed)
    rng = np.random.default_rng(seed)
    power = scenario.per_device("max_power_w") * rng.uniform(1e-4, 1.0, 8)
    # Eight devices at most share a server: a ninth of its speed each is feasible.
    share = np.concatenate([[1.0], scenario.server_frequencies_hz])[assignment] / 9.0
    outcome = evaluate(scenario, slot, assignment, Allocation(power, share, np.zeros(3)))
    assert_same(outcome, outcome_by_loops(scenario, slot, assignment, power, share), ROUNDING)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_the_one_that_searches_find(seed: int, size: tuple[int, int]) -> None:
    scenario, slot, assignment = random_case(seed, *size)
    ours = evaluate(scenario, slot, assignment)
    powers, frequencies = allocation_by_loops(scenario, slot, assignment)
    # Bisection leaves one unit in the last place of ln μ (about 40), half of it in the share.
    np.testing.assert_allclose(ours.allocation.frequency_hz, frequencies, rtol=1e-13)
    # A function's minimum is located to the root of the machine precision (1e-8), times a flatness.
    np.testing.assert_allclose(ours.allocation.power_w, powers, rtol=1e-6)
    # An error of 1e-6 in a minimum's place is one of its square in its value.
    wanted = outcome_by_loops(scenario, slot, assignment, powers, frequencies)
    assert float(ours.objective) == pytest.approx(wanted.objective, rel=1e-12)
    assert float(ours.objective) <= wanted.objective * (1.0 + ROUNDING)


def test_both_kinds_of_power_occur_in_these_cases() -> None:
    at_limit = inside = 0
    for seed in range(6):
        scenario, slot, assignment = random_case(seed, 25, 2)
        power = allocate(scenario, slot, assignment).power_w[assignment > 0]
        limit = scenario.per_device("max_power_w")[assignment > 0]
        at_limit += int((power == limit).sum())
        inside += int((power < limit).sum())
    assert at_limit > 10
    assert inside > 10


def test_local_devices_carry_their_own_power_and_speed() -> None:
    scenario, slot, _ = random_case(0)
    outcome = evaluate(scenario, slot, np.zeros(8, dtype=int))
    own = [d.capacitance * d.local_frequency**d.exponent for d in devices_of(scenario, slot)]
    np.testing.assert_allclose(outcome.allocation.power_w, own, rtol=1e-15)
    np.testing.assert_array_equal(
        outcome.allocation.frequency_hz, scenario.per_device("local_frequency_hz")
    )
    np.testing.assert_array_equal(outcome.allocation.capacity_price, np.zeros(3))


def test_table_one_by_hand() -> None:
    # 1e9 cycles at 1e9 cycle/s and 1e-27 (1e9)^3 = 1 W: one second and one joule.
    scenario = Scenario(n_devices=1, n_servers=1, noise_w=1.0, max_power_w=3.0)
    slot = Slot([[1.0]], data_bits=8e5, cycles=1e9)
    local = evaluate(scenario, slot, [0])
    assert float(local.latency_s[0]) == pytest.approx(1.0, rel=1e-15)  # one rounding of 1e-27
    assert float(local.energy_j[0]) == pytest.approx(1.0, rel=1e-15)
    # At 3 W and h/σ² = 1/W: log2(4) = 2, hence 2 Mbit/s, 0.4 s, 1.2 J; and 0.1 s at 10 GHz.
    loud = Allocation(np.array([3.0]), np.array([1e10]), np.zeros(1))
    remote = evaluate(scenario, slot, [1], loud)
    assert float(remote.latency_s[0]) == pytest.approx(0.5, rel=1e-15)
    assert float(remote.energy_j[0]) == pytest.approx(1.2, rel=1e-15)
    assert float(remote.objective) == pytest.approx(1.7, rel=1e-15)


# -- instances that were computed elsewhere -------------------------------------------------------

SAME_NAMES = (
    "n_devices",
    "n_servers",
    "bandwidth_hz",
    "noise_w",
    "local_frequency_hz",
    "switched_capacitance",
    "max_power_w",
    "server_frequency_hz",
    "weight_latency",
    "weight_energy",
)


def instance(case: dict[str, Any]) -> tuple[Scenario, Slot]:
    scenario = Scenario(
        **{name: case[name] for name in SAME_NAMES},
        power_exponent=case["exponent"],
        server_positions=np.zeros((case["n_servers"], 2)),
    )
    return scenario, Slot(case["gains"], case["data_bits"], case["cycles"])


def test_reference_instances(data_dir: Path) -> None:
    cases = json.loads((data_dir / "reference" / "instances.json").read_text(encoding="utf-8"))
    assert len(cases) >= 8
    for case in cases:
        scenario, slot = instance(case)
        outcome = evaluate(scenario, slot, case["assignment"])
        # The instances promise 1e-7: their powers come from a bounded search.
        for ours, name in ((outcome.latency_s, "latency_s"), (outcome.energy_j, "energy_j")):
            np.testing.assert_allclose(ours, case[name], rtol=1e-7, err_msg=case["name"])
        assert float(outcome.objective) == pytest.approx(case["objective"], rel=1e-7)
        # Costs are flat at the optimal power: the objective agrees to the square of that.
        assert float(outcome.objective) == pytest.approx(case["objective"], rel=1e-12)
        best = evaluate(scenario, slot, case["optimal_assignment"])
        assert float(best.objective) == pytest.approx(case["optimal_objective"], rel=1e-12)


def test_the_loops_reproduce_a_reference_instance(data_dir: Path) -> None:
    """The oracle of this file is itself compared to numbers from elsewhere."""
    cases = json.loads((data_dir / "reference" / "instances.json").read_text(encoding="utf-8"))
    for case in cases[:6]:
        scenario, slot = instance(case)
        assignment = case["assignment"]
        result = outcome_by_loops(
            scenario, slot, assignment, *allocation_by_loops(scenario, slot, assignment)
        )
        # Both sides locate minima to 1e-8; see above.
        np.testing.assert_allclose(result.latency, case["latency_s"], rtol=1e-6)
        assert result.objective == pytest.approx(case["objective"], rel=1e-10)


def test_the_search_finds_a_minimum_known_by_hand() -> None:
    # Where φ_T g = φ_E the stationary condition is x e^x - (e^x - 1) = 1, hence x = 1.
    scenario, slot, _ = random_case(1, 1, 1)
    device = devices_of(scenario, slot)[0]
    device.on_latency, device.on_energy, device.max_power = 1.0, 2.0, 100.0
    device.gains = [2.0 * scenario.noise_w]
    # Located to the root of the machine precision.
    assert power_by_search(scenario, device, 1) == pytest.approx((math.e - 1.0) / 2.0, rel=1e-6)
