"""solve through the physics: independent instances, batches, devices that must offload."""

import json
from pathlib import Path

import numpy as np
import pytest

from mec_gym import Scenario, Slot, evaluate, solve
from mec_gym.evaluation import slot_set


def test_the_independent_instances(data_dir: Path) -> None:
    for case in json.loads((data_dir / "reference" / "instances.json").read_text()):
        scenario = Scenario(
            **{
                key: case[key]
                for key in (
                    "n_devices", "n_servers", "bandwidth_hz", "noise_w", "local_frequency_hz",
                    "switched_capacitance", "max_power_w", "server_frequency_hz",
                    "weight_latency", "weight_energy",
                )
            },
            power_exponent=case["exponent"],
            server_positions=np.zeros((case["n_servers"], 2)),
        )  # fmt: skip
        slot = Slot(case["gains"], case["data_bits"], case["cycles"])
        outcome = evaluate(scenario, slot, case["assignment"])
        # The instances' powers come from a bounded search: agreement to 1e-7 is what they promise.
        np.testing.assert_allclose(outcome.latency_s, case["latency_s"], rtol=1e-7)
        np.testing.assert_allclose(outcome.energy_j, case["energy_j"], rtol=1e-7)
        assert float(outcome.objective) == pytest.approx(case["objective"], rel=1e-7)
        optimum = solve(scenario, slot)
        assert optimum.lower_bound <= case["optimal_objective"] * (1 + 1e-7)
        assert optimum.objective >= case["optimal_objective"] * (1 - 1e-7)
        if optimum.status == "optimal":
            assert optimum.objective == pytest.approx(case["optimal_objective"], rel=1e-7)


@pytest.mark.parametrize("name", ["paper-30x2", "unequal-200x10"])
def test_a_batch_is_solved_slot_by_slot(name: str) -> None:
    sample = slot_set(Scenario.preset(name), n_layouts=1, slots_per_layout=3)
    scenario, slots = sample.scenarios[0], sample.slots[0]
    whole = solve(scenario, slots)
    assert whole.assignment.shape == (3, scenario.n_devices)
    for index in range(3):
        alone = solve(scenario, slots[index])
        np.testing.assert_array_equal(whole.assignment[index], alone.assignment)
        assert whole.objective[index] == alone.objective
        assert whole.status[index] == alone.status


def test_the_objective_is_that_of_evaluate_and_no_decision_beats_the_bound() -> None:
    sample = slot_set(Scenario.preset("unequal-200x10"), n_layouts=2, slots_per_layout=2)
    rng = np.random.default_rng(0)
    for scenario, slots in zip(sample.scenarios, sample.slots, strict=True):
        for slot in (slots[0], slots[1]):
            optimum = solve(scenario, slot)
            assert optimum.objective == float(
                evaluate(scenario, slot, optimum.assignment).objective
            )
            assert 0 <= optimum.gap <= 1e-3
            moved = np.tile(optimum.assignment, (500, 1))
            rows, devices = np.arange(500), rng.integers(0, 200, 500)
            moved[rows, devices] = rng.integers(0, 11, 500)
            # Rounding of a sum of 200 costs in another order.
            others = evaluate(scenario, slot, moved).objective
            assert (others >= optimum.lower_bound * (1 - 1e-12)).all()


def test_devices_that_must_offload_do() -> None:
    scenario = Scenario(n_devices=2, n_servers=1, max_power_w=[1.5, 0.9], noise_w=1.0)
    slot = Slot([[1e-6], [1e-6]], 8e5, 1e9)
    np.testing.assert_array_equal(solve(scenario, slot).assignment, [0, 1])


def test_figures_are_python_floats_whether_proven_or_bounded() -> None:
    scenario = Scenario.preset("unequal-200x10", noise_w=1e-12)
    sample = slot_set(scenario, n_layouts=1, slots_per_layout=1)
    bounded = solve(sample.scenarios[0], sample.slots[0][0])
    assert bounded.status == "bounded"
    small = Scenario(n_devices=1, n_servers=1)
    proven = solve(small, Slot([[1e-6]], 8e5, 1e9))
    for optimum in (bounded, proven):
        assert {type(getattr(optimum, n)) for n in ("objective", "lower_bound", "gap")} == {float}
