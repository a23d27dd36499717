"""The equations by slow loops, the allocation by its optimality conditions and by other solvers."""

import json
import math
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mec_gym import Allocation, Scenario, Slot, allocate, evaluate, solve
from mec_gym.model.stationary import stationary_nats

MAGNITUDE = st.floats(-30.0, 30.0).map(lambda power: 10.0**power)


def anything(seed: int, n_devices: int = 9, n_servers: int = 3) -> tuple[Scenario, Slot, Any]:
    """A case in which every number is another for every device and server."""
    rng = np.random.default_rng(seed)
    local_speed = rng.uniform(0.5e9, 1.5e9, n_devices)
    scenario = Scenario(
        n_devices=n_devices,
        n_servers=n_servers,
        bandwidth_hz=rng.uniform(1e5, 1e7),
        noise_w=10.0 ** rng.uniform(-13, -5),
        local_frequency_hz=local_speed,
        switched_capacitance=rng.uniform(0.2e-27, 1e-27, n_devices),
        power_exponent=rng.uniform(2.9, 3.0, n_devices),
        max_power_w=rng.uniform(4.0, 6.0, n_devices) * rng.choice([1.0, 0.99], n_devices),
        weight_latency=rng.uniform(0.2, 2.0, n_devices),
        weight_energy=rng.uniform(0.2, 2.0, n_devices),
        server_frequency_hz=rng.uniform(1e9, 2e10, n_servers),
    )
    slot = Slot(
        gains=10.0 ** rng.uniform(-9, -4, (n_devices, n_servers)),
        data_bits=rng.uniform(1e5, 1e6, n_devices),
        cycles=rng.uniform(1e8, 2e9, n_devices),
    )
    return scenario, slot, rng.integers(0, n_servers + 1, n_devices)


def by_loops(scenario: Scenario, slot: Slot, assignment: Any, allocation: Allocation) -> Any:
    """Eqs. (1), (2) and (7)-(10), device after device, in the paper's words."""
    latency, energy, cost = [], [], []
    for i, choice in enumerate(assignment):
        bits, cycles = float(slot.data_bits[i]), float(slot.cycles[i])
        if choice == 0:
            speed = scenario.per_device("local_frequency_hz")[i]
            exponent = scenario.per_device("power_exponent")[i]
            power = scenario.per_device("switched_capacitance")[i] * speed**exponent
            latency.append(cycles / speed)
            energy.append(power * cycles / speed)
        else:
            power = float(allocation.power_w[i])
            gain = float(slot.gains[i, choice - 1])
            rate = scenario.bandwidth_hz * math.log2(1 + power * gain / scenario.noise_w)
            latency.append(bits / rate + cycles / float(allocation.frequency_hz[i]))
            energy.append(power * bits / rate)
        weights = (scenario.per_device(name)[i] for name in ("weight_latency", "weight_energy"))
        on_time, on_energy = weights
        cost.append(on_time * latency[-1] + on_energy * energy[-1])
    return latency, energy, cost


@pytest.mark.parametrize("seed", range(25))
def test_evaluate_is_the_papers_equations(seed: int) -> None:
    scenario, slot, assignment = anything(seed)
    outcome = evaluate(scenario, slot, assignment)
    wanted = by_loops(scenario, slot, assignment, outcome.allocation)
    # log2(1 + x) loses digits that log1p keeps, for weak links: 1e-9 of a few 1e-7.
    for ours, theirs in zip(
        (outcome.latency_s, outcome.energy_j, outcome.cost), wanted, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert float(outcome.objective) == pytest.approx(math.fsum(wanted[2]), rel=1e-9)


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


@pytest.mark.parametrize("seed", range(25))
def test_shares_meet_the_kkt_conditions(seed: int) -> None:
    scenario, slot, assignment = anything(seed)
    allocation = allocate(scenario, slot, assignment)
    on_time = scenario.per_device("weight_latency")
    for j, speed in enumerate(scenario.server_frequencies_hz):
        here = np.flatnonzero(assignment == j + 1)
        if not len(here):
            assert allocation.capacity_price[j] == 0
            continue
        shares = allocation.frequency_hz[here]
        assert shares.sum() == pytest.approx(speed, rel=1e-14)
        slope = on_time[here] * slot.cycles[here] / shares**2
        np.testing.assert_allclose(slope, allocation.capacity_price[j], rtol=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_the_capacity_price_is_what_more_speed_saves(seed: int) -> None:
    scenario, slot, assignment = anything(seed)
    price = allocate(scenario, slot, assignment).capacity_price
    for j, speed in enumerate(scenario.server_frequencies_hz):
        step = 1e-4 * speed
        around = []
        for moved in (speed - step, speed + step):
            speeds = scenario.server_frequencies_hz
            speeds[j] = moved
            changed = scenario.replace(server_frequency_hz=speeds)
            around.append(float(evaluate(changed, slot, assignment).objective))
        # A central difference of step 1e-4 is exact to 1e-8; rounding of the sums leaves 1e-6.
        saved = (around[0] - around[1]) / (2 * step)
        assert saved == pytest.approx(price[j], rel=1e-6, abs=1e-18)


@pytest.mark.parametrize("seed", range(12))
def test_powers_are_those_of_a_bounded_search(seed: int) -> None:
    scenario, slot, _ = anything(seed)
    assignment = np.ones(9, dtype=int)
    ours = evaluate(scenario, slot, assignment)
    for i in range(9):
        on_time = scenario.per_device("weight_latency")[i]
        on_energy = scenario.per_device("weight_energy")[i]
        snr = slot.gains[i, 0] / scenario.noise_w

        def cost(log_power: float) -> float:
            power = math.exp(log_power)
            return (on_time + on_energy * power) / math.log1p(power * snr)  # noqa: B023

        top = math.log(scenario.per_device("max_power_w")[i])
        found = minimize_scalar(
            cost, bounds=(top - 40, top), options={"xatol": 1e-12}, method="bounded"
        )
        mine = cost(math.log(ours.allocation.power_w[i]))
        assert mine <= found.fun * (1 + 1e-14)
        assert mine == pytest.approx(min(found.fun, cost(top)), rel=1e-9)  # its tolerance


def test_the_stationary_condition_to_double_precision() -> None:
    mpmath.mp.dps = 90
    grid = np.concatenate(
        [10.0 ** np.linspace(-30, 120, 301), 10.0 ** np.linspace(-5, 5, 200), [1.0, 1 - 1e-9]]
    )
    ours = stationary_nats(grid)
    for k, x in zip(grid, ours, strict=True):
        exact = 1 + mpmath.lambertw((mpmath.mpf(float(k)) - 1) / mpmath.e).real
        assert abs(float(mpmath.mpf(float(x)) / exact - 1)) < 4e-15, k


def one_device(**fields: Any) -> Scenario:
    return Scenario(n_devices=1, n_servers=1, **fields)


def test_limits_of_the_power() -> None:
    slot = Slot([[1e-6]], 8e5, 1e9)
    assert allocate(one_device(weight_energy=0.0), slot, [1]).power_w[0] == 1.5
    lazy = one_device(weight_latency=0.0, noise_w=1e-6)
    outcome = evaluate(lazy, slot, [1])
    assert outcome.allocation.power_w[0] == 0
    assert outcome.latency_s[0] == math.inf
    infimum = 8e5 * math.log(2) * 1e-6 / (1e6 * 1e-6)
    assert float(outcome.objective) == pytest.approx(infimum, rel=1e-14)
    # Where φ_T g = φ_E the stationary point is x = 1: p = (e - 1)/g.
    balanced = one_device(noise_w=1e-6, max_power_w=9.0)
    assert allocate(balanced, slot, [1]).power_w[0] == pytest.approx(math.e - 1, rel=1e-14)
    for gain in (1e-30, 1e30):
        outcome = evaluate(one_device(), Slot([[gain]], 8e5, 1e9), [1])
        assert np.isfinite(outcome.objective)
        assert 0 < outcome.allocation.power_w[0] <= 1.5


@given(
    gain=MAGNITUDE, bits=MAGNITUDE, cycles=MAGNITUDE, noise=MAGNITUDE, bandwidth=MAGNITUDE,
    speed=MAGNITUDE, power=MAGNITUDE, on_time=MAGNITUDE,
    on_energy=st.one_of(st.just(0.0), MAGNITUDE),
    choice=st.integers(0, 1),
)  # fmt: skip
def test_the_whole_legal_range_is_finite(
    gain: float, bits: float, cycles: float, noise: float, bandwidth: float, speed: float,
    power: float, on_time: float, on_energy: float, choice: int,
) -> None:  # fmt: skip
    scenario = Scenario(
        n_devices=2, n_servers=1, noise_w=noise, bandwidth_hz=bandwidth, server_frequency_hz=speed,
        max_power_w=power, weight_latency=on_time, weight_energy=on_energy, power_exponent=1.0,
        switched_capacitance=min(power, 1.0), local_frequency_hz=1.0,
    )  # fmt: skip
    slot = Slot([[gain], [1e-30]], bits, cycles)
    outcome = evaluate(scenario, slot, [1, choice])
    for values in (outcome.latency_s, outcome.energy_j, outcome.cost):
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert (outcome.allocation.power_w <= power).all()
    optimum = solve(scenario, slot)
    assert np.isfinite(optimum.objective)
    assert optimum.lower_bound <= optimum.objective <= float(outcome.objective) * (1 + 1e-12)


@given(seed=st.integers(0, 10_000))
def test_no_other_feasible_allocation_is_better(seed: int) -> None:
    scenario, slot, assignment = anything(seed)
    rng = np.random.default_rng(seed)
    best = evaluate(scenario, slot, assignment)
    away = assignment > 0
    shares = rng.random(9)
    for j, speed in enumerate(scenario.server_frequencies_hz):
        here = assignment == j + 1
        shares[here] *= speed / max(shares[here].sum(), 1e-9) * rng.uniform(0.5, 1.0)
    shares[~away] = 1.0
    power = scenario.per_device("max_power_w") * rng.uniform(1e-6, 1.0, 9)
    close = best.allocation
    mixed = Allocation(
        power_w=np.where(rng.random(9) < 0.5, power, close.power_w),
        frequency_hz=shares if rng.random() < 0.5 else close.frequency_hz,
        capacity_price=close.capacity_price,
    )
    other = evaluate(scenario, slot, assignment, mixed)
    assert best.objective <= other.objective * (1 + 1e-14)


def test_evaluate_refuses_or_reports_what_violates_the_limits() -> None:
    scenario = Scenario(n_devices=3, n_servers=2, server_positions=[[1, 1], [9, 9]])
    slot = Slot(np.full((3, 2), 1e-6), 8e5, 1e9)
    good = allocate(scenario, slot, [1, 1, 0])
    greedy = Allocation(good.power_w, good.frequency_hz * [1.0, 1.2, 1.0], good.capacity_price)
    with pytest.raises(ValueError, match=r"eq\. \(6\).*server 1 .* by 1e\+09 cycle/s"):
        evaluate(scenario, slot, [1, 1, 0], greedy)
    report = evaluate(scenario, slot, [1, 1, 0], greedy, violations="report")
    assert not report.feasible
    np.testing.assert_allclose(report.excess_frequency_hz, [1e9, 0.0], rtol=1e-9)
    loud = Allocation(np.array([1.0, 2.5, 9.0]), good.frequency_hz, good.capacity_price)
    with pytest.raises(ValueError, match=r"eq\. \(7\): device 1 .* by 1 W"):
        evaluate(scenario, slot, [1, 1, 0], loud)
    np.testing.assert_allclose(
        evaluate(scenario, slot, [1, 1, 0], loud, violations="report").excess_power_w, [0, 1, 0]
    )
    for power, message in (
        ([np.nan] * 3, "nan at index"),
        ([-1.0] * 3, "-1.0 at index"),
        ([1.0] * 2, "shape"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(scenario, slot, [1, 1, 0], Allocation(np.array(power), good.frequency_hz, 0))


@pytest.mark.parametrize("seed", range(5))
def test_batches_have_the_bits_of_their_members(seed: int) -> None:
    scenario, slot, _ = anything(seed)
    rng = np.random.default_rng(seed)
    many = rng.integers(0, 4, (6, 9))
    whole = evaluate(scenario, slot, many)
    slots = Slot(*(np.stack([array] * 6) for array in (slot.gains, slot.data_bits, slot.cycles)))
    paired = evaluate(scenario, slots, many)
    for k in range(6):
        alone = evaluate(scenario, slot, many[k])
        for name in ("latency_s", "energy_j", "cost", "objective"):
            np.testing.assert_array_equal(getattr(whole, name)[k], getattr(alone, name))
            np.testing.assert_array_equal(getattr(paired, name)[k], getattr(alone, name))


def test_order_of_devices_and_servers_means_nothing() -> None:
    scenario, slot, assignment = anything(3)
    devices, servers = np.random.default_rng(0).permutation(9), np.array([2, 0, 1])
    fields = {
        name: scenario.per_device(name)[devices]
        for name in (
            "local_frequency_hz", "switched_capacitance", "power_exponent", "max_power_w",
            "weight_latency", "weight_energy",
        )
    }  # fmt: skip
    turned = scenario.replace(server_frequency_hz=scenario.server_frequencies_hz[servers], **fields)
    other = Slot(slot.gains[devices][:, servers], slot.data_bits[devices], slot.cycles[devices])
    new_number = np.concatenate([[0], np.argsort(servers) + 1])
    before = evaluate(scenario, slot, assignment)
    after = evaluate(turned, other, new_number[assignment][devices])
    # Sums over a server's devices run in another order.
    np.testing.assert_allclose(after.cost, before.cost[devices], rtol=1e-14)
    assert solve(turned, other).objective == pytest.approx(
        solve(scenario, slot).objective, rel=1e-9
    )


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_torch_tensors_go_through_the_same_functions(precision: str) -> None:
    torch = pytest.importorskip("torch")
    # float32 keeps seven digits and adds up nine of them.
    tolerance = {"float64": 1e-12, "float32": 2e-5}[precision]
    for seed in range(5):
        scenario, slot, assignment = anything(seed)
        dtype = getattr(torch, precision)
        tensors = Slot(
            *(torch.tensor(a, dtype=dtype) for a in (slot.gains, slot.data_bits, slot.cycles))
        )
        ours, theirs = evaluate(scenario, slot, assignment), evaluate(scenario, tensors, assignment)
        for name in ("latency_s", "energy_j", "cost", "objective"):
            tensor = getattr(theirs, name)
            assert isinstance(tensor, torch.Tensor)
            assert tensor.dtype == dtype
            np.testing.assert_allclose(tensor.numpy(), getattr(ours, name), rtol=tolerance)
        batch = torch.tensor(np.random.default_rng(seed).integers(0, 4, (5, 9)))
        np.testing.assert_allclose(
            evaluate(scenario, tensors, batch).objective.numpy(),
            evaluate(scenario, slot, batch.numpy()).objective,
            rtol=tolerance,
        )


def test_inputs_are_never_written_to() -> None:
    scenario, slot, assignment = anything(1)
    arrays = [slot.gains, slot.data_bits, slot.cycles, assignment]
    before = [array.copy() for array in arrays]
    first = evaluate(scenario, slot, assignment)
    kept = [getattr(first, name).copy() for name in ("latency_s", "energy_j", "cost")]
    allocation = allocate(scenario, slot, assignment)
    evaluate(scenario, slot, assignment, allocation)
    solve(scenario, slot)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    for name, copy in zip(("latency_s", "energy_j", "cost"), kept, strict=True):
        np.testing.assert_array_equal(getattr(first, name), copy)


@pytest.mark.parametrize(
    ("assignment", "error", "message"),
    [
        ([0, 1.0, 0], TypeError, "must hold integers"),
        ([True, False, True], TypeError, "dtype bool"),
        ([0, 1], ValueError, r"shape \(\.\.\., 3\)"),
        ([0, 3, 0], ValueError, r"0\.\.\.2 .* got 3 at index \(1,\)"),
        ([0, -1, 0], ValueError, "got -1"),
        ([[0, 0, 0]] * 2, None, ""),
    ],
)
def test_wrong_assignments(assignment: Any, error: Any, message: str) -> None:
    scenario = Scenario(n_devices=3, n_servers=2, server_positions=[[1, 1], [9, 9]])
    slot = Slot(np.full((3, 2), 1e-6), 8e5, 1e9)
    if error is None:
        assert evaluate(scenario, slot, assignment).objective.shape == (2,)
        return
    for call in (evaluate, allocate):
        with pytest.raises(error, match=message):
            call(scenario, slot, assignment)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gains": [[0.0]]}, r"gains must be finite, > 0 .* got 0.0 at index \(0, 0\)"),
        ({"gains": [[np.nan]]}, "got nan"),
        ({"gains": [1e-6]}, r"shape \(\.\.\., N, M\)"),
        ({"cycles": -1.0}, "cycles must be finite"),
        ({"data_bits": np.inf}, "got inf"),
        ({"data_bits": [1.0, 2.0]}, "data_bits must have shape"),
        ({"data_bits": "many"}, "data_bits must be an array of numbers"),
    ],
)
def test_wrong_slots(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Slot(**{"gains": [[1e-6]], "data_bits": 8e5, "cycles": 1e9} | fields)


def test_a_device_above_its_power_limit_cannot_be_local() -> None:
    scenario = Scenario(n_devices=2, n_servers=1, max_power_w=[1.5, 0.9])
    slot = Slot([[1e-6], [1e-6]], 8e5, 1e9)
    with pytest.raises(ValueError, match=r"device 1 cannot execute locally, eq\. \(7\)"):
        evaluate(scenario, slot, [0, 0])
    assert solve(scenario, slot).assignment[1] == 1


def test_cvxpy_finds_the_same_allocation() -> None:
    cp = pytest.importorskip("cvxpy")
    scenario, slot, assignment = anything(4)
    away = np.flatnonzero(assignment)
    snr = slot.gains[away, assignment[away] - 1] / scenario.noise_w
    bits = slot.data_bits[away] * math.log(2) / scenario.bandwidth_hz
    on_time = scenario.per_device("weight_latency")[away]
    on_energy = scenario.per_device("weight_energy")[away]
    shares = cp.Variable(len(away), pos=True)
    time = cp.Variable(len(away), pos=True)  # seconds per nat, 1/x
    growth = cp.Variable(len(away))  # time e^(1/time), the perspective of exp
    scale = 1e9
    objective = cp.sum(cp.multiply(on_time * slot.cycles[away] / scale, cp.inv_pos(shares)))
    objective += cp.sum(cp.multiply(bits * on_time, time))
    objective += cp.sum(cp.multiply(bits * on_energy / snr, growth - time))
    top = np.log1p(scenario.per_device("max_power_w")[away] * snr)
    limits = [cp.ExpCone(np.ones(len(away)), time, growth), time >= 1 / top]
    for j, speed in enumerate(scenario.server_frequencies_hz):
        here = np.flatnonzero(assignment[away] == j + 1)
        if len(here):
            limits.append(cp.sum(shares[here]) <= speed / scale)
    problem = cp.Problem(cp.Minimize(objective), limits)
    problem.solve(solver=cp.CLARABEL)
    ours = evaluate(scenario, slot, assignment)
    # Clarabel stops at 1e-8 relative.
    assert problem.value == pytest.approx(ours.cost[away].sum(), rel=1e-6)
    np.testing.assert_allclose(shares.value * scale, ours.allocation.frequency_hz[away], rtol=1e-3)
