"""Problem (13): optimality conditions, limits, exact digits, and other solvers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mec_gym import Allocation, Scenario, Slot, allocate, evaluate
from mec_gym.allocation import PIECES_PER_UNIT, optimal_power, solved_by_iteration, stationary_power
from mec_gym.model.constants import constants_of
from tests.model.reference_loops import random_case

EPS = float(np.finfo(np.float64).eps)

# -- CPU shares -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(15))
def test_shares_fill_busy_servers_and_equalise_slopes(seed: int) -> None:
    scenario, slot, assignment = random_case(seed, 12, 4)
    found = allocate(scenario, slot, assignment)
    on_latency = scenario.per_device("weight_latency")
    for j, speed in enumerate(scenario.server_frequencies_hz):
        here = np.flatnonzero(assignment == j + 1)
        price = float(found.capacity_price[j])
        if not here.size:
            assert price == 0.0
            continue
        # Sums of a dozen positive numbers: a dozen roundings.
        assert math.fsum(found.frequency_hz[here]) == pytest.approx(speed, rel=12 * EPS)
        assert price > 0.0
        slope = on_latency[here] * slot.cycles[here] / found.frequency_hz[here] ** 2
        # Squares double the relative error of shares and of the load.
        np.testing.assert_allclose(slope, price, rtol=40 * EPS)


@pytest.mark.parametrize("seed", range(8))
def test_capacity_price_is_what_one_more_cycle_per_second_saves(seed: int) -> None:
    scenario, slot, assignment = random_case(seed)
    price = allocate(scenario, slot, assignment).capacity_price
    speeds = scenario.server_frequencies_hz
    for j in range(3):
        step = 1e-4 * speeds[j]
        up, down = speeds.copy(), speeds.copy()
        up[j] += step
        down[j] -= step
        before, after = (
            float(evaluate(scenario.replace(server_frequency_hz=s), slot, assignment).objective)
            for s in (down, up)
        )
        saved = (before - after) / (2.0 * step)
        # The central difference of 1/F is exact to step² = 1e-8; below that, the objective's
        # rounding over the step counts.
        rounding = 20 * EPS * before / (2.0 * step)
        assert saved == pytest.approx(price[j], rel=2e-8, abs=rounding)


def test_equal_devices_get_equal_shares_and_heavy_ones_the_root() -> None:
    scenario = Scenario(n_devices=3, n_servers=1, server_frequency_hz=1e10)
    slot = Slot(np.full((3, 1), 1e-6), 8e5, [1e9, 1e9, 4e9])
    # Roots 1 : 1 : 2 of the work, exact up to the rounding of three operations.
    np.testing.assert_allclose(
        allocate(scenario, slot, [1, 1, 1]).frequency_hz, [2.5e9, 2.5e9, 5e9], rtol=4 * EPS
    )


# -- the stationary condition, to the last digits -------------------------------------------------


def exact_nats(k: float) -> Any:
    """x = 1 + W0((k - 1)/e) to 40 digits; the branch point takes two digits for each of 1/k."""
    with mpmath.workdps(45 + 2 * max(0, -math.floor(math.log10(k)))):
        return 1 + mpmath.lambertw((mpmath.mpf(k) - 1) / mpmath.e).real


def ratios() -> np.ndarray:
    rng = np.random.default_rng(11)
    # The table is one of pieces in v = sqrt(ln(1 + k)), which meet at multiples of 1/1024. The
    # solution behind it changes from series to iteration at k = 4.5e-4, its use at x = 2, k = 8.4.
    joints = np.arange(1, 16 * PIECES_PER_UNIT, 487) / PIECES_PER_UNIT
    return np.concatenate(
        [
            10.0 ** np.linspace(-120.0, 120.0, 481),
            10.0 ** rng.uniform(-120.0, 120.0, 300),
            10.0 ** rng.uniform(-4.0, 4.0, 150),
            1.0 + np.concatenate([np.linspace(-1e-3, 1e-3, 21), np.array([-1, 1]) * EPS]),
            4.5e-4 * (1.0 + np.linspace(-1e-2, 1e-2, 21)),
            (1.0 + np.exp(2.0)) * (1.0 + np.linspace(-1e-2, 1e-2, 21)),
            np.outer([1.0 - 1e-15, 1.0, 1.0 + 1e-15], np.expm1(joints**2)).ravel(),
        ]
    )


def test_the_oracle_solves_its_equation() -> None:
    for k in (1e-120, 3e-17, 4.5e-4, 0.9, 1.0, 37.0, 1e20, 1e120):
        x = exact_nats(k)
        with mpmath.workdps(400):
            residual = (x * mpmath.exp(x) - mpmath.expm1(x)) / mpmath.mpf(k) - 1
            # 40 digits of x, less those that the exponential of x = 270 takes.
            assert abs(residual) < mpmath.mpf(10) ** -35


def test_nats_and_powers_are_exact_to_a_few_units_in_the_last_place() -> None:
    grid = ratios()
    nats = [exact_nats(float(k)) for k in grid]
    with mpmath.workdps(400):
        powers = [mpmath.expm1(x) / mpmath.mpf(float(k)) for x, k in zip(nats, grid, strict=True)]
    for solver, exact in ((stationary_power, powers), (solved_by_iteration, nats)):
        error = [
            abs(float(mpmath.mpf(float(found)) / wanted - 1))
            for found, wanted in zip(solver(grid), exact, strict=True)
        ]
        # Promised below 3e-15 (13 units in the last place); the reference is exact.
        assert max(error) < 4e-15, (solver.__name__, grid[int(np.argmax(error))])


def test_powers_do_not_rise_across_pieces() -> None:
    k = np.expm1(np.linspace(1e-9, 40.0, 400_001)) ** 2
    power = stationary_power(k)
    # In units of φ_T/φ_E it falls with k, the less the better the link. Neighbours differ by 1e-4
    # relative or more in ln(1 + sqrt(k)); only rounding may disturb their order.
    assert np.all(np.diff(power) < 4e-15 * power[1:])


def test_powers_are_exact_wherever_no_limit_cuts_them() -> None:
    rng = np.random.default_rng(5)
    n = 700
    on_latency, on_energy = 10.0 ** rng.uniform(-30, 30, (2, n))
    snr = 10.0 ** rng.uniform(-60, 60, n)
    snr[:100] = on_energy[:100] / on_latency[:100] * 10.0 ** rng.uniform(-2, 2, 100)
    scenario = Scenario(
        n_devices=n,
        n_servers=1,
        weight_latency=on_latency,
        weight_energy=on_energy,
        max_power_w=1e30,
    )
    power = optimal_power(constants_of(scenario, snr), snr)
    inside = 0
    for i in range(n):
        with mpmath.workdps(300):
            g = mpmath.mpf(snr[i])
            k = mpmath.mpf(on_latency[i]) * g / mpmath.mpf(on_energy[i])
            x = 1 + mpmath.lambertw((k - 1) / mpmath.e).real
            wanted = mpmath.expm1(x) / g
            if wanted >= 1e30:
                assert power[i] == 1e30
                continue
            inside += 1
            # x is at most 210 here: its relative error of a few 1e-16 counts so often in e^x.
            assert abs(mpmath.mpf(float(power[i])) / wanted - 1) < 1e-13, i
    assert inside > 300


# -- powers against a search, and their limits ----------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_powers_are_stationary_or_at_their_limit(seed: int) -> None:
    scenario, slot, _ = random_case(seed, 20, 2)
    assignment = np.tile([1, 2], 10)
    power = allocate(scenario, slot, assignment).power_w
    for i in range(20):
        limit = scenario.per_device("max_power_w")[i]
        g = slot.gains[i, assignment[i] - 1] / scenario.noise_w
        on_latency = scenario.per_device("weight_latency")[i]
        on_energy = scenario.per_device("weight_energy")[i]

        def per_nat(log_power: float, g=g, a=on_latency, b=on_energy) -> float:
            p = math.exp(log_power)
            return (a + b * p) / math.log1p(p * g)

        top = math.log(limit)
        found = minimize_scalar(
            per_nat, bounds=(top - 60.0, top), method="bounded", options={"xatol": 1e-12}
        )
        ours = per_nat(math.log(power[i]))
        # The place is rounded to one unit, of which the flat minimum keeps nothing.
        assert ours <= found.fun * (1.0 + 10 * EPS)
        # The search locates to 1e-8 of its variable, squared in the value, but for the bound.
        assert ours == pytest.approx(min(found.fun, per_nat(top)), rel=1e-9)
        slope = on_energy * math.log1p(power[i] * g) - (on_latency + on_energy * power[i]) * g / (
            1.0 + power[i] * g
        )
        if power[i] == limit:
            assert slope <= 1e-12 * on_energy * math.log1p(power[i] * g)  # rounding
        else:
            # A difference of two equal terms: their roundings, each a few units.
            assert abs(slope) <= 1e-13 * on_energy * math.log1p(power[i] * g)


def one(**fields: Any) -> Scenario:
    return Scenario(n_devices=1, n_servers=1, **fields)


@pytest.mark.parametrize("gain", [1e-30, 1e-18, 1e-6, 1.0, 1e30])
@pytest.mark.parametrize("limit", [1e-30, 1.5, 1e30])
@pytest.mark.parametrize("noise", [1e-30, 1e-12, 1e30])
def test_energy_without_weight_means_full_power(gain: float, limit: float, noise: float) -> None:
    scenario = one(weight_energy=0.0, max_power_w=limit, noise_w=noise)
    outcome = evaluate(scenario, Slot([[gain]], 8e5, 1e9), [1])
    assert outcome.allocation.power_w[0] == limit
    rate = 1e6 * math.log1p(limit * (gain / noise)) / math.log(2.0)
    # Half a dozen roundings.
    assert float(outcome.objective) == pytest.approx(8e5 / rate + 0.1, rel=1e-14)


@pytest.mark.parametrize("gain", [1e-15, 1e-6, 1e3])
def test_the_less_latency_weighs_the_nearer_the_energy_is_to_its_limit(gain: float) -> None:
    infimum = 8e5 * math.log(2.0) * 1e-6 / (1e6 * gain)
    excess = []
    for weight in (1.0, 1e-6, 1e-12, 1e-18, 1e-30):
        scenario = one(weight_latency=weight, noise_w=1e-6)
        outcome = evaluate(scenario, Slot([[gain]], 8e5, 1e9), [1])
        assert np.isfinite(outcome.latency_s).all()
        excess.append(float(outcome.energy_j[0]) / infimum - 1.0)
    assert all(a >= b > -1e-12 for a, b in itertools.pairwise(excess))
    # p is sqrt(2 φ_T / (φ_E g)) (1 + ...), and x / ln(1 + x) = 1 + x/2 + ...
    assert excess[-1] < 1e-5


def test_zero_power_is_priced_as_the_limit_of_small_ones() -> None:
    scenario, slot = one(noise_w=1e-6), Slot([[1e-6]], 8e5, 1e9)

    def given(power: float) -> Any:
        resources = Allocation(np.array([power]), np.array([1e10]), np.zeros(1))
        return evaluate(scenario, slot, [1], resources)

    silent = given(0.0)
    assert silent.latency_s[0] == silent.cost[0] == math.inf
    infimum = float(silent.energy_j[0])
    excess = [float(given(power).energy_j[0]) / infimum - 1.0 for power in (1.0, 1e-2, 1e-4, 1e-6)]
    assert all(a > b > 0.0 for a, b in itertools.pairwise(excess))
    assert excess[-1] < 1e-6  # x / ln(1 + x) = 1 + x/2 + ...


def test_weak_and_strong_links_tend_to_their_asymptotes() -> None:
    # Weak: p = sqrt(2 φ_T / (φ_E g)) (1 + O(sqrt(k))), where k = φ_T g / φ_E = 1e-24.
    scenario = one(max_power_w=1e20, noise_w=1.0)
    weak = allocate(scenario, Slot([[1e-24]], 1.0, 1.0), [1]).power_w[0]
    assert weak == pytest.approx(math.sqrt(2e24), rel=1e-11)
    # With Table I's limit the weak link sends at full power.
    assert allocate(one(noise_w=1e30), Slot([[1e-30]], 1.0, 1.0), [1]).power_w[0] == 1.5
    # Strong: x e^x = k up to e^-x; at k = 1e60, x ln-ly: p = k / (x - 1) / g - 1/g.
    strong = allocate(one(noise_w=1e-30), Slot([[1e30]], 1.0, 1.0), [1]).power_w[0]
    nats = float(np.log1p(strong * 1e60))
    assert strong == pytest.approx(1.0 / (nats - 1.0), rel=1e-13)  # x of 133 in e^x


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e3, 1e20])
def test_balanced_weights_send_one_nat(scale: float) -> None:
    scenario = one(noise_w=1.0, weight_latency=2.0, weight_energy=2.0 * scale, max_power_w=1e30)
    power = allocate(scenario, Slot([[scale]], 8e5, 1e9), [1]).power_w[0]
    # Three roundings, and x = 1 to 3e-15.
    assert power == pytest.approx((math.e - 1.0) / scale, rel=1e-14)


# -- nothing better exists ------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    logarithm=st.floats(-8.0, 1.0),
    idle=st.floats(0.0, 0.9),
    parts=st.sampled_from(["power", "shares", "both"]),
)
def test_no_feasible_allocation_is_better(
    seed: int, logarithm: float, idle: float, parts: str
) -> None:
    scenario, slot, assignment = random_case(seed % 1000)
    rng = np.random.default_rng(seed)
    best = evaluate(scenario, slot, assignment)
    spread = 10.0**logarithm
    power, share = best.allocation.power_w, best.allocation.frequency_hz
    if parts != "shares":
        power = np.minimum(
            power * np.exp(spread * rng.normal(size=8)), scenario.per_device("max_power_w")
        )
    if parts != "power":
        share = share * np.exp(spread * rng.normal(size=8))
        for j, speed in enumerate(scenario.server_frequencies_hz, start=1):
            here = assignment == j
            if here.any():
                share[here] *= speed * (1.0 - idle) / share[here].sum()
    other = evaluate(scenario, slot, assignment, Allocation(power, share, np.zeros(3)))
    # Both sides are rounded sums of eight terms.
    assert float(best.objective) <= float(other.objective) * (1.0 + 20 * EPS)


@pytest.mark.parametrize("seed", range(4))
def test_a_conic_solver_finds_the_same_optimum(seed: int) -> None:
    cp = pytest.importorskip("cvxpy")
    # A narrow spread of scales keeps the conic problem well conditioned.
    scenario, slot, _ = random_case(seed, 6, 2, noise_w=1e-7)
    assignment = np.array([1, 2, 1, 1, 2, 1])
    ours = evaluate(scenario, slot, assignment)
    g = slot.gains[np.arange(6), assignment - 1] / scenario.noise_w
    seconds_per_nat = slot.data_bits * math.log(2.0) / scenario.bandwidth_hz
    on_latency = scenario.per_device("weight_latency")
    on_energy = scenario.per_device("weight_energy")

    giga = cp.Variable(6)  # shares [1e9 cycle/s]
    computing = cp.sum(cp.multiply(on_latency * slot.cycles / 1e9, cp.inv_pos(giga)))
    fits = [
        cp.sum(giga[np.flatnonzero(assignment == j + 1)]) <= speed / 1e9
        for j, speed in enumerate(scenario.server_frequencies_hz)
    ]
    cpu = cp.Problem(cp.Minimize(computing), fits)
    cpu.solve(solver=cp.CLARABEL)
    wanted = (on_latency * slot.cycles / ours.allocation.frequency_hz).sum()
    # Clarabel stops at gaps of 1e-8.
    assert cpu.value == pytest.approx(wanted, rel=1e-6)

    # One nat takes t = 1/x; its energy t (e^(1/t) - 1)/g is a perspective of exp, so convex in t.
    t, grown = cp.Variable(6), cp.Variable(6)
    limit = np.log1p(scenario.per_device("max_power_w") * g)
    sending = cp.sum(
        cp.multiply(seconds_per_nat * on_latency, t)
        + cp.multiply(seconds_per_nat * on_energy / g, grown - t)
    )
    cones = [cp.constraints.ExpCone(np.ones(6), t, grown), t >= 1.0 / limit]
    uplink = cp.Problem(cp.Minimize(sending), cones)
    uplink.solve(solver=cp.CLARABEL)
    total = float(ours.objective)
    assert cpu.value + uplink.value == pytest.approx(total, rel=1e-6)
    assert uplink.value == pytest.approx(total - wanted, rel=1e-6)
    # Places of minima to the root of 1e-8, relative to scales of one decade.
    np.testing.assert_allclose(giga.value * 1e9, ours.allocation.frequency_hz, rtol=1e-3)
    np.testing.assert_allclose(np.expm1(1.0 / t.value) / g, ours.allocation.power_w, rtol=1e-2)
