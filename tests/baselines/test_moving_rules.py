"""Rules for moving worlds keep their laws, and none beats the bound."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from baselines.forecast import Forecast, _correlation
from baselines.headroom import (
    PLACING,
    HeadRoom,
    headroom_table,
    headroom_verdict,
    kept_local,
    measure_headroom,
    moving_rules,
    rule_title,
)
from baselines.moving import (
    Acting,
    MeasuredSpeed,
    SkiRental,
    Smoothed,
    by_class,
    follow,
    knowing,
    placed_then_stays,
    stays,
    tuning_episodes,
)
from baselines.prices import posted_prices
from baselines.rules import greedy, optimal
from baselines.tolls import tolls
from mec_gym import GaussMarkov, Scenario, Slot, episode, solve
from mec_gym.evaluation import Decide, Estimate, episode_set, hindsight_ratio
from mec_gym.model.cost import NO_TASK, hosts_after, migrates
from mec_gym.model.episode import Episode, Recorded
from mec_gym.optimum import tolled_problems, with_toll

CROWD = Scenario(
    n_devices=12,
    n_servers=3,
    noise_w=1e-6,
    fading="none",
    cycles=2e9,
    area_m=(40.0, 40.0),
    server_positions=[[8.0, 8.0], [32.0, 10.0], [20.0, 33.0]],
    server_frequency_hz=[1e10, 1.5e10, 2e10],
    mobility=((0.5, GaussMarkov(1.5, memory=0.9)), (0.5, GaussMarkov(6.0, memory=0.9))),
    migration_s=3.0,
    layout="redrawn",
    name="small crowd",
)
FREE = CROWD.replace(migration_s=0.0)
RULES: dict[str, Decide] = {
    "blind": knowing(stays, np.inf),
    "myopic": knowing(stays, 1.0),
    "stays": knowing(stays, 5.0),
    "never": knowing(placed_then_stays, 0.0),
    "placed": knowing(placed_then_stays, 5.0),
    "by class": knowing(by_class, 12.0),
    "ski rental": Acting(SkiRental()),
    "smoothed": Acting(Smoothed()),
    "measured speed": Acting(MeasuredSpeed()),
    "forecast": Acting(Forecast(6)),
}


def decisions(scenario: Scenario, decide: Decide, path: Episode) -> tuple[Any, Any]:
    """Return what a policy decides on a path, (T, N), and the hosts before, (T, N)."""
    world, hosts = Recorded([path], 1), np.zeros((1, scenario.n_devices), dtype=np.int64)
    world.reset()
    made, before = [], []
    rng = np.random.default_rng(0)
    getattr(decide, "begin", lambda: None)()
    for _ in range(path.n_slots):
        assert world.seen is not None
        seen = world.seen.hosted(hosts)
        made.append(decide(scenario, seen, world.layouts(), rng))
        before.append(hosts)
        hosts = hosts_after(np, made[-1], hosts, seen.cycles)
        world.advance()
    return np.concatenate(made), np.concatenate(before)


def hosted_slot(seed: int, scenario: Scenario = CROWD, batch: int = 4) -> Slot:
    """Return slots with random hosts, some none."""
    rng = np.random.default_rng(seed)
    path = episode(scenario, seed=seed, n_slots=batch)
    hosts = rng.integers(scenario.n_servers + 1, size=(batch, scenario.n_devices))
    return path.slots.hosted(hosts)


# -- tolls ------------------------------------------------------------------------------------


def test_the_toll_of_one_slot_is_what_migration_costs() -> None:
    slot = hosted_slot(0)
    own = tolled_problems(CROWD, slot).cost
    np.testing.assert_allclose(tolled_problems(CROWD, slot, tolls(CROWD, slot)).cost, own)


@pytest.mark.parametrize("seed", range(5))
def test_decisions_with_tolls_are_the_best_of_all(seed: int) -> None:
    scenario = Scenario(n_devices=3, n_servers=2, noise_w=1e-6, migration_s=1.0)
    rng = np.random.default_rng(seed)
    slot = Slot(10.0 ** rng.uniform(-8, -5, (3, 2)), 8e5, rng.uniform(1e9, 3e9, 3))
    toll = rng.exponential(2.0, (3, 3))
    toll[rng.random((3, 3)) < 0.3] = np.inf
    toll[:, 0] = rng.exponential(1.0, 3)
    problem = tolled_problems(scenario, slot[None], toll[None])[0]
    every = np.array(list(itertools.product(range(3), repeat=3)))
    best = min(problem.objective(every))
    assert problem.objective(with_toll(scenario, slot, toll)) == pytest.approx(best, rel=1e-12)


def test_batches_are_decided_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = hosted_slot(1, batch=5)
    whole = stays(CROWD, slot, 4.0)
    monkeypatch.setattr("mec_gym.optimum.solution.BLOCK", 50)
    assert (stays(CROWD, slot, 4.0) == whole).all()
    assert (np.stack([stays(CROWD, slot[i], 4.0) for i in range(5)]) == whole).all()


# -- limits of the rules ----------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_where_moves_are_free_every_rule_is_the_optimum(name: str) -> None:
    path = episode(FREE, seed=3, n_slots=6)
    made, _ = decisions(FREE, RULES[name], path)
    assert (made == optimal(FREE, path.slots)).all()


def test_a_horizon_of_one_slot_is_the_optimum_and_an_endless_one_is_blind() -> None:
    slot = hosted_slot(2)
    assert (stays(CROWD, slot, 1.0) == optimal(CROWD, slot)).all()
    assert (stays(CROWD, slot, np.inf) == optimal(FREE, slot)).all()
    assert (stays(CROWD, slot, 1e12) == optimal(FREE, slot)).all()
    assert not (stays(CROWD, slot, 1.0) == stays(CROWD, slot, np.inf)).all()


def test_with_no_horizon_a_service_moves_once() -> None:
    path = episode(CROWD, seed=4, n_slots=40)
    for horizon, most in ((0.0, 1), (5.0, 40)):
        made, before = decisions(CROWD, knowing(placed_then_stays, horizon), path)
        moves = migrates(made, before, path.cycles).sum(axis=0)
        assert moves.max() <= most
    assert moves.max() > 1


def test_first_placements_have_a_horizon_of_their_own() -> None:
    slot = hosted_slot(5)
    placed = slot.hosted(np.ones((4, 12), dtype=int))
    assert (stays(CROWD, placed, 3.0, 1.0) == stays(CROWD, placed, 3.0, np.inf)).all()
    nowhere = slot.hosted(None)
    assert (stays(CROWD, nowhere, 0.0, np.inf) == optimal(FREE, slot)).all()


def test_with_equal_speeds_classes_are_one() -> None:
    one = CROWD.replace(mobility=GaussMarkov(3.0))
    slot = hosted_slot(6, one)
    assert (by_class(one, slot, 9.0) == placed_then_stays(one, slot, 4.0)).all()
    # Who stands is moved as if for ever.
    still = CROWD.replace(mobility=((0.5, None), (0.5, GaussMarkov(3.0))))
    horizon = np.where(np.arange(12) < 6, np.inf, 4.0)
    assert (by_class(still, slot, 9.0) == placed_then_stays(still, slot, horizon)).all()


def test_followers_are_at_their_nearest_server_or_at_home() -> None:
    slot = hosted_slot(7)
    for nearness in (None, np.random.default_rng(0).random(slot.gains.shape)):
        near = slot.gains if nearness is None else nearness
        made = follow(CROWD, slot, nearness)
        assert ((made == 0) | (made == 1 + near.argmax(-1))).all()
        assert (made > 0).any()


def test_smoothing_without_a_memory_is_the_rule_without() -> None:
    slot = hosted_slot(8)
    decision, _ = Smoothed(0.0, 5.0).step(CROWD, slot, None, np.zeros((4, 12, 3)))
    assert (decision == placed_then_stays(CROWD, slot, 5.0)).all()


def moving_away(speed_mps: np.ndarray, n_slots: int) -> list[Slot]:
    """Return slots in which the distance to the first server grows at speeds (N,)."""
    rng = np.random.default_rng(0)
    distance = rng.uniform(5.0, 30.0, (CROWD.n_devices, CROWD.n_servers))
    hosts = rng.integers(CROWD.n_servers + 1, size=(n_slots, 1, CROWD.n_devices))
    slots = []
    for host in hosts:
        distance[:, 0] += speed_mps * CROWD.slot_s
        gains = CROWD.reference_gain / distance[None] ** 2
        slots.append(Slot(gains, 8e5, 2e9, hosts=host))
    return slots


def test_who_measures_the_mean_speeds_decides_as_who_knows_them() -> None:
    first, *slots = moving_away(CROWD.mean_speed_mps, 6)
    decision, memory = MeasuredSpeed(12.0).step(CROWD, first)
    assert (decision == placed_then_stays(CROWD, first, 1.0)).all()  # nothing is measured yet
    for slot in slots:
        decision, memory = MeasuredSpeed(12.0).step(CROWD, slot, None, memory)
        assert (decision == by_class(CROWD, slot, 12.0)).all()
    assert not (by_class(CROWD, slot, 12.0) == placed_then_stays(CROWD, slot, 1.0)).all()


def test_measured_speeds_are_smoothed_and_absent_devices_keep_theirs() -> None:
    slow, fast = (moving_away(np.full(12, speed), 2) for speed in (1.0, 5.0))
    rule, memory = MeasuredSpeed(12.0, 0.75), None
    for slot in slow:
        _, memory = rule.step(CROWD, slot, None, memory)
    away = Slot.trusted(fast[0].gains, slow[0].data_bits, np.full((1, 12), NO_TASK))
    _, after = rule.step(CROWD, away, None, memory)
    _, after = rule.step(CROWD, fast[0], None, after)  # the first sight since
    np.testing.assert_allclose(after[..., -1], 1.0)
    _, after = rule.step(CROWD, fast[1], None, after)
    np.testing.assert_allclose(after[..., -1], 0.75 * 1.0 + 0.25 * 5.0)


def test_no_device_is_measured_as_faster_than_it_moves() -> None:
    path, memory = episode(CROWD, seed=13, n_slots=30), None
    way = np.diff(path.device_positions_m, axis=0)
    for at in range(path.n_slots):
        _, memory = MeasuredSpeed(12.0, 0.0).step(CROWD, path.slots[at][None], None, memory)
        if at:
            speed = np.hypot(*way[at - 1].T) / CROWD.slot_s
            assert (memory[0, :, -1] <= speed * (1 + 1e-9)).all()
            assert memory[0, :, -1].sum() > 0.5 * speed.sum()


def test_renters_buy_when_they_have_paid_the_price() -> None:
    scenario = Scenario(n_devices=1, n_servers=1, migration_s=3.0)
    slot, memory, made = Slot([[[1e-6]]], 8e5, 1e9), None, []
    saved = float(solve(scenario.replace(migration_s=0.0), slot).objective[0])
    saved = 2.0 - saved  # of local execution, which costs 2
    for _ in range(12):
        decision, memory = SkiRental().step(scenario, slot, None, memory)
        made.append(int(decision[0, 0]))
    assert made.index(1) == np.ceil(3.0 / saved)


def test_greedy_and_posted_prices_take_tolls() -> None:
    slot = hosted_slot(9)
    own = tolls(CROWD, slot)
    assert (greedy(CROWD, slot, toll=own) == greedy(CROWD, slot)).all()
    assert (greedy(CROWD, slot, toll=0.0 * own) == greedy(FREE, slot)).all()
    prices = [1e-5, 2e-5, 1e-5]
    assert (
        posted_prices(CROWD, slot, prices, toll=own) == posted_prices(CROWD, slot, prices)
    ).all()
    free = posted_prices(FREE, slot, prices)
    assert (posted_prices(CROWD, slot, prices, toll=0.0 * own) == free).all()
    alone = kept_local(CROWD, slot[0], 0.0)
    assert ((alone == 0) | (slot.hosts[0] == 0) | (alone == slot.hosts[0])).all()


@pytest.mark.parametrize("wrong", [np.nan, -3.0, [4.0] * 11 + [-1.0]])
def test_horizons_that_are_none_are_refused(wrong: Any) -> None:
    slot = hosted_slot(14)
    for name, given in (("horizon", (wrong,)), ("first", (2.0, wrong))):
        with pytest.raises(ValueError, match=rf"^{name} must be >= 0 \[slots\]; got (nan|-)"):
            stays(CROWD, slot, *given)


@pytest.mark.parametrize("wrong", [np.nan, -1.0, np.inf])
def test_ways_that_are_none_are_refused(wrong: float) -> None:
    for rule in (lambda: by_class(CROWD, hosted_slot(14), wrong), lambda: MeasuredSpeed(wrong)):
        with pytest.raises(ValueError, match=r"^way_m must be a number in \[0, inf\) \[m\]; got"):
            rule()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.nan, "must be >= 0; got nan at index"),
        (-1.0, "must be >= 0; got -1.0 at index"),
        (np.inf, "must leave each device a finite choice"),
        (None, r"must have shape \(4, 12, 4\); got \(4, 12, 3\)"),
    ],
)
def test_tolls_that_are_none_are_refused(wrong: float | None, words: str) -> None:
    slot = hosted_slot(14)
    toll = tolls(CROWD, slot)
    if wrong is None:
        toll = toll[..., 1:]
    else:
        toll[1, 2] = wrong
    for rule in (
        lambda: greedy(CROWD, slot, toll=toll),
        lambda: posted_prices(CROWD, slot, 0.0, toll=toll),
    ):
        with pytest.raises(ValueError, match=f"^toll {words}"):
            rule()


# -- forecast ---------------------------------------------------------------------------------


def test_a_forecast_of_no_slots_is_myopic() -> None:
    path = episode(CROWD, seed=10, n_slots=8)
    made, _ = decisions(CROWD, Acting(Forecast(0)), path)
    assert (made == decisions(CROWD, knowing(stays, 1.0), path)[0]).all()


def test_a_forecast_of_straight_ways_comes_true() -> None:
    straight = CROWD.replace(mobility=GaussMarkov(2.0, spread=0.0), csi_delay_slots=0)
    path = episode(straight, seed=11, n_slots=12)
    where = path.device_positions_m
    now, before = where[3], where[2]
    same = np.isclose(np.hypot(*(now - before).T), 2.0)  # who did not turn in this slot
    assert same.sum() >= 9
    gains = Forecast(8).expected_gains(
        straight, path.gains[3][None], path.layout(3), before[None, None]
    )[:, 0]
    np.testing.assert_allclose(gains[:, same], path.gains[3:12][:, same], rtol=1e-9)


def test_a_forecast_takes_old_gains_for_what_they_are() -> None:
    still = CROWD.replace(mobility=None, shadowing_db=8.0, csi_delay_slots=2, layout="fixed")
    path = episode(still, seed=12, n_slots=3)
    where = path.device_positions_m[0][None]
    past = np.repeat(where[:, None], 2, axis=1)
    gains = Forecast(3).expected_gains(still, path.seen_gains[:1], path.layout(0), past)
    # Who stands keeps the shadowing.
    np.testing.assert_allclose(gains, np.broadcast_to(path.seen_gains[0], gains.shape), rtol=1e-9)


@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_logarithms_of_fading_are_correlated_as_the_forecast_says(correlation: float) -> None:
    scenario = CROWD.replace(fading="rayleigh", fading_correlation=correlation)
    rng = np.random.default_rng(0)
    first, noise = (rng.standard_normal((2, 400_000)) for _ in range(2))
    second = correlation * first + np.sqrt(1 - correlation**2) * noise
    logs = [np.log((one**2).sum(axis=0)) for one in (first, second)]
    expected = _correlation(scenario, np.array([1.0]), np.zeros(1))[0]
    # The standard error of a correlation is below 1 / sqrt(400,000) = 0.0016.
    assert np.corrcoef(*logs)[0, 1] == pytest.approx(expected, abs=0.008)


# -- all of them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"migration_s": 1.0, "migration_j": 2.0},
        {"csi_delay_slots": 2, "shadowing_db": 6.0},
        {"fading": "rayleigh", "fading_correlation": 0.8, "csi_delay_slots": 1},
        {"cycles": {"uniform": [1e9, 3e9]}, "max_power_w": [0.5] + [1.5] * 11},
    ],
    ids=["crowd", "energy", "stale", "fading", "unequal"],
)
def test_no_rule_beats_the_bound(changes: dict[str, Any]) -> None:
    scenario = CROWD.replace(**changes)
    episodes = episode_set(scenario, n_episodes=2, n_slots=12, seed=1)
    for name, decide in RULES.items():
        ratio = hindsight_ratio(episodes, decide)
        assert ((ratio > 0.05) & (ratio <= 1.0)).all(), name


def test_episodes_of_tuning_are_apart_and_the_same_again() -> None:
    first, again = (tuning_episodes(CROWD, 2, 3) for _ in range(2))
    assert all((a.gains == b.gains).all() for a, b in zip(first, again, strict=True))
    assert not (first[0].gains == first[1].gains).all()
    assert not (tuning_episodes(CROWD, 2, 3, seed=1)[0].gains == first[0].gains).all()


@pytest.fixture(scope="module")
def room() -> HeadRoom:
    return measure_headroom(CROWD, n_episodes=3, n_slots=10, n_tuning=1)


def test_head_rooms_have_every_rule_and_its_number(room: HeadRoom) -> None:
    assert all(0 < one.mean <= 1 for one in room.ratio.values())
    tuned = {"keep what pays", "stays-H", "smoothed", "measured speed", "by class", "forecast"}
    assert set(room.tuned) == tuned
    assert max(one.mean for one in room.ratio.values()) <= room.plan.mean
    assert room.plan.mean >= 1 - room.gap
    table = headroom_table([room, room])
    rows = table.splitlines()
    assert len(rows) == 2 + len(room.ratio) + 4
    assert {row.count("|") for row in rows} == {4}
    assert f"; {room.tuned['forecast']} slots" in table


def test_a_world_tells_policies_apart_by_what_knowledge_is_worth(room: HeadRoom) -> None:
    said = headroom_verdict(room)
    assert ("does not tell" in said) != room.discriminates
    assert room.ratio[room.best_simple].mean <= room.ratio[room.best_seeing].mean
    assert all(
        f"{rule_title(name)!r}, {room.ratio[name].mean:.3f}" in said
        for name in (room.best_simple, room.best_seeing, room.best_knowing)
    )


def test_rules_that_remember_are_no_part_of_what_tells_policies_apart(room: HeadRoom) -> None:
    simple, known = (Estimate(mean, mean, mean) for mean in (0.8, 0.95))
    ratio = dict.fromkeys(room.ratio, simple) | {"by class": known, "measured speed": known}
    apart = dataclasses.replace(room, ratio=ratio)
    assert apart.discriminates
    assert apart.best_seeing == "measured speed"
    for name in ("stays-H", "follow"):
        assert not dataclasses.replace(apart, ratio=ratio | {name: known}).discriminates
    assert not dataclasses.replace(apart, ratio=ratio | {"by class": simple}).discriminates


@pytest.mark.parametrize("changes", [{"csi_delay_slots": 1}, {"shadowing_db": 3.0}])
def test_rules_that_know_more_than_is_seen_have_names_of_their_own(
    room: HeadRoom, changes: dict[str, Any]
) -> None:
    blurred = measure_headroom(CROWD.replace(**changes), n_episodes=2, n_slots=5, n_tuning=1)
    assert {*blurred.ratio} ^ {*room.ratio} == {"forecast", *PLACING}
    assert blurred.best_knowing == "by class"
    said, table = headroom_verdict(blurred), headroom_table([room, blurred])
    assert all(repr(rule) in said for rule in PLACING)
    assert table.count("(knows positions) | – |") == 2
    assert "positions" not in headroom_verdict(room) + headroom_table([room])


def test_numbers_are_those_that_cost_least_on_the_episodes_given() -> None:
    paths = tuning_episodes(CROWD, 2, 15)
    found = {name: number for name, _, number in moving_rules(paths) if number is not None}
    sample = episode_set(CROWD, n_episodes=1, n_slots=2)
    own = type(sample)(CROWD, paths, np.ones(2), sample.plan, 0.0)
    costs = {h: 1 / hindsight_ratio(own, knowing(placed_then_stays, h)) for h in (0.0, 4.0, 12.0)}
    chosen = 1 / hindsight_ratio(own, knowing(placed_then_stays, found["stays-H"]))
    assert chosen.sum() <= min(cost.sum() for cost in costs.values()) + 1e-9
