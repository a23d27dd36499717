"""Rules: legal, no better than the optimum, and right in cases that can be told by hand."""

from dataclasses import replace

import numpy as np
import pytest

from baselines import best_quota, greedy, local, optimal, quota, random, remote
from baselines.admission import admitted
from baselines.greedy import in_order
from baselines.regimes import measure_regime, regime_table, verdict
from baselines.rules import rules, tuned_quota
from mec_gym import Scenario, Slot, evaluate, solve
from mec_gym.evaluation import Estimate, SlotSet, slot_set
from mec_gym.model.layout import fixed_layout
from mec_gym.optimum import load_problem

NAMES = list(rules(1))


def small(**changes: object) -> Scenario:
    return Scenario(
        n_devices=7, n_servers=3, noise_w=1e-6, data_bits={"uniform": [1e5, 9e5]}, **changes
    )


def two_servers(**changes: object) -> Scenario:
    positions = [[10.0, 10.0], [40.0, 40.0]]
    return Scenario(n_devices=4, n_servers=2, server_positions=positions, **changes)


@pytest.fixture(scope="module")
def slots() -> SlotSet:
    return slot_set(small(), n_layouts=3, slots_per_layout=4)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_is_legal_and_never_beats_the_bound(name: str, slots: SlotSet) -> None:
    rule = rules(quota_size=2)[name]
    for one, slot, bound in zip(slots.scenarios, slots.slots, slots.lower_bound, strict=True):
        decision = rule(one, slot, fixed_layout(one), np.random.default_rng(0))
        assert decision.shape == (4, 7)
        # 1e-12: sums of seven costs in another order.
        assert (evaluate(one, slot, decision).objective >= bound * (1 - 1e-12)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_decides_a_batch_as_it_decides_its_slots(name: str, slots: SlotSet) -> None:
    rule, one, batch = rules(quota_size=2)[name], slots.scenarios[0], slots.slots[0]
    if name.startswith("random"):
        pytest.skip("a batch draws in another order")
    whole = rule(one, batch, fixed_layout(one), np.random.default_rng(0))
    for index in range(4):
        alone = rule(one, batch[index], fixed_layout(one), np.random.default_rng(0))
        np.testing.assert_array_equal(whole[index], alone)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_respects_eq_7(name: str) -> None:
    scenario = small(max_power_w=[0.5, 0.5, 1.5, 1.5, 1.5, 1.5, 1.5])
    sample = slot_set(scenario, n_layouts=1, slots_per_layout=3)
    decision = rules(quota_size=1)[name](
        scenario, sample.slots[0], fixed_layout(scenario), np.random.default_rng(0)
    )
    assert (decision[:, :2] > 0).all()
    assert np.isfinite(evaluate(scenario, sample.slots[0], decision).objective).all()


def test_admission_keeps_every_admitted_device_at_its_own_speed() -> None:
    speeds = [1e9, 3e9, 1e9, 2e9]
    scenario = two_servers(
        local_frequency_hz=speeds, switched_capacitance=1e-29, server_frequency_hz=[5e9, 2e9]
    )
    rng = np.random.default_rng(0)
    for _ in range(200):
        wanted, priority = rng.integers(0, 3, 4), rng.random(4)
        kept = admitted(scenario, wanted, priority)
        assert ((kept == wanted) | (kept == 0)).all()
        for server, speed in ((1, 5e9), (2, 2e9)):
            here = np.flatnonzero(kept == server)
            assert all(speed / len(here) >= speeds[device] for device in here)
            turned = np.flatnonzero((wanted == server) & (kept == 0))
            if len(turned):
                first = turned[np.argmax(priority[turned])]
                better = [d for d in here if priority[d] > priority[first]]
                crowd = [*better, first]
                fastest = max(speeds[device] for device in crowd)
                assert speed / len(crowd) < fastest, "turned away although there was room"


def test_remote_takes_the_nearest_and_turns_away_the_least_gains() -> None:
    scenario = two_servers(server_frequency_hz=2e9)
    distance = np.array([[1.0, 9.0], [2.0, 9.0], [3.0, 9.0], [9.0, 3.0]])
    gains = np.array([[1.0, 9.0], [3.0, 9.0], [2.0, 9.0], [1.0, 1.0]]) * 1e-7
    slot = Slot(gains, 8e5, 1e9)
    open_to_all = remote(scenario, slot, distance, admission_limit=False)
    np.testing.assert_array_equal(open_to_all, [1, 1, 1, 2])
    np.testing.assert_array_equal(remote(scenario, slot, distance), [0, 1, 1, 2])


def test_quota_gives_a_device_to_its_higher_gain() -> None:
    scenario = two_servers()
    slot = Slot(np.array([[5.0, 6.0], [4.0, 1.0], [1.0, 2.0], [1.5, 1.0]]) * 1e-7, 8e5, 1e9)
    np.testing.assert_array_equal(quota(scenario, slot, 0), [0, 0, 0, 0])
    np.testing.assert_array_equal(quota(scenario, slot, 1), [2, 0, 0, 0])
    np.testing.assert_array_equal(quota(scenario, slot, 2), [2, 1, 2, 0])
    with pytest.raises(ValueError, match=r"size must lie in 0\.\.\.4; got 5"):
        quota(scenario, slot, 5)


def test_best_quota_is_the_best_of_all(slots: SlotSet) -> None:
    one, batch = slots.scenarios[0], slots.slots[0]
    means = [evaluate(one, batch, quota(one, batch, size)).objective.mean() for size in range(6)]
    assert best_quota(one, batch) == int(np.argmin(means))
    assert 0 <= tuned_quota(slots) <= 7


def test_greedy_is_exact_for_one_device_and_improves_on_local() -> None:
    scenario = Scenario(n_devices=1, n_servers=1, noise_w=1e-6)
    for gain in (1e-12, 1e-6, 1.0):
        slot = Slot([[gain]], 8e5, 1e9)
        np.testing.assert_array_equal(greedy(scenario, slot), solve(scenario, slot).assignment)
    sample = slot_set(Scenario.preset("unequal-200x10"), n_layouts=2, slots_per_layout=2)
    for one, batch in zip(sample.scenarios, sample.slots, strict=True):
        ours = evaluate(one, batch, greedy(one, batch)).objective
        assert (ours <= evaluate(one, batch, local(one, batch)).objective).all()
        best = evaluate(one, batch, optimal(one, batch)).objective
        assert (best <= ours * (1 + 1e-12)).all()  # rounding of sums


def test_random_uses_all_choices_alike() -> None:
    scenario = two_servers()
    slot = Slot(np.full((2000, 4, 2), 1e-7), 8e5, 1e9)
    choice = random(scenario, slot, np.random.default_rng(0), admission_limit=False)
    counts = np.bincount(choice.ravel(), minlength=3)
    # Five standard deviations of a binomial count with n = 8000, p = 1/3.
    assert (np.abs(counts - 8000 / 3) < 5 * np.sqrt(8000 * 2 / 9)).all()


def test_a_regime_table_has_every_rule_and_preset() -> None:
    regimes = [
        measure_regime(Scenario.preset(name), n_layouts=2, slots_per_layout=1)
        for name in ("paper-30x2", "unequal-200x10")
    ]
    table = regime_table(regimes)
    assert all(f"| {name} |" in table for name in NAMES)
    assert table.splitlines()[0] == "| NRR | paper-30x2 | unequal-200x10 |"
    for regime in regimes:
        assert regime.nrr["optimum"].mean == pytest.approx(1.0, abs=1e-3)  # the proven gap
        sentence = verdict(regime)
        assert ("hardly separates" in sentence) == bool(regime.close_rules)


def test_figures_of_regimes_have_the_decimals_of_their_intervals() -> None:
    regime = measure_regime(Scenario.preset("paper-30x2"), n_layouts=2, slots_per_layout=1)
    near, far = Estimate(0.99999, 0.99998, 1.0), Estimate(0.5, 0.3, 0.7)
    table = regime_table([replace(regime, nrr={"near": near, "far": far})])
    assert "| near | 0.99999 ± 0.00001 |" in table
    assert "| far | 0.500 ± 0.200 |" in table


def test_every_device_of_a_greedy_pass_takes_what_raises_the_objective_least() -> None:
    scenario = small(cycles={"uniform": [5e8, 1.5e9]}, server_frequency_hz=[3e9, 5e9, 9e9])
    problem = load_problem(scenario, slot_set(scenario, n_layouts=1).slots[0][0])
    orders = np.stack([np.random.default_rng(seed).permutation(7) for seed in range(20)])
    for order, decision in zip(orders, in_order(problem, orders), strict=True):
        for place, device in enumerate(order):
            choices = np.where(np.isin(np.arange(7), order[:place]), decision, 0)
            candidates = np.tile(choices, (4, 1))
            candidates[:, device] = range(4)
            assert decision[device] == np.argmin(problem.objective(candidates))
