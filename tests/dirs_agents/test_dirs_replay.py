"""The replay buffer: eq. (15), kept demonstrations, the ring, and exact continuation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from dirs_agents import PrioritisedReplay


def buffer(capacity: int = 8, demonstrations: int = 3, **settings: Any) -> PrioritisedReplay:
    replay = PrioritisedReplay(capacity, (2, 1), n_devices=2, n_servers=2, **settings)
    if demonstrations:
        replay.add(*numbered(range(demonstrations)), demonstrated=True)
    return replay


def numbered(numbers: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that can be told apart: pair n shows n everywhere."""
    values = np.array(list(numbers))
    observations = np.broadcast_to(values[:, None, None], (len(values), 2, 1))
    return observations.astype(np.float32), np.stack([values % 3, values // 3 % 3], axis=1)


def contents(replay: PrioritisedReplay) -> list[int]:
    return [int(row[0, 0]) for row in replay.get_state()["observations"]]


def probabilities_by_loops(
    changes: list[float], demonstrated: list[bool], eps_a: float, eps_d: float, tau: float
) -> list[float]:
    weights = []
    for change, demo in zip(changes, demonstrated, strict=True):
        w = abs(change) + (eps_d if demo else eps_a)
        weights.append(w**tau)
    return [w / sum(weights) for w in weights]


# -- priorities -------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0, 2.5])
def test_probabilities_are_eq_15(tau: float) -> None:
    constants = {"agent_constant": 0.08, "demonstration_constant": 0.02}
    replay = buffer(exponent=tau, **constants)
    replay.add(*numbered([3, 4, 5]))
    everything = np.arange(6)
    first, second = np.array([5.0, 4, 3, 2, 1, 0]), np.array([5.5, 4, 0, 2.25, 1.5, 3])
    replay.update(everything, first)
    replay.update(everything, second)
    demonstrated = [True] * 3 + [False] * 3
    wanted = probabilities_by_loops(list(second - first), demonstrated, 0.08, 0.02, tau)
    np.testing.assert_allclose(replay.probabilities(), wanted, rtol=1e-12)


def test_a_pair_that_no_longer_changes_keeps_its_constant() -> None:
    replay = buffer(capacity=4, demonstrations=2)
    replay.add(*numbered([2, 3]))
    for _ in range(2):
        replay.update(np.arange(4), np.ones(4))
    np.testing.assert_allclose(replay.weights(), [0.02, 0.02, 0.08, 0.08])
    assert (replay.probabilities() > 0).all()


def test_new_pairs_get_the_largest_change_seen() -> None:
    replay = buffer(capacity=8, demonstrations=2)
    np.testing.assert_allclose(replay.weights(), 1.02)
    replay.update(np.array([0, 1]), np.array([10.0, 1.0]))
    replay.update(np.array([0]), np.array([3.0]))  # a change of 7
    replay.add(*numbered([2]))
    assert replay.weights()[2] == pytest.approx(7.08)
    # Visited once, there is no change to speak of yet.
    replay.update(np.array([2]), np.array([5.0]))
    assert replay.weights()[2] == pytest.approx(7.08)
    replay.update(np.array([2]), np.array([4.5]))
    assert replay.weights()[2] == pytest.approx(0.58)
    replay.add(*numbered([3]))
    assert replay.weights()[3] == pytest.approx(7.08)


def test_the_change_is_between_the_last_two_visits() -> None:
    replay = buffer(capacity=3, demonstrations=1)
    for loss in (1.0, 4.0, 4.5):
        replay.update(np.array([0]), np.array([loss]))
    assert replay.weights()[0] == pytest.approx(0.52)
    replay.update(np.array([0]), np.array([2.0]))  # falling counts as rising does
    assert replay.weights()[0] == pytest.approx(2.52)


def test_places_that_repeat_count_once() -> None:
    once, twice = buffer(), buffer()
    for replay in (once, twice):
        replay.update(np.arange(3), np.zeros(3))
    once.update(np.array([1]), np.array([2.0]))
    twice.update(np.array([1, 1, 1]), np.array([2.0, 2.0, 2.0]))
    np.testing.assert_array_equal(once.weights(), twice.weights())


def test_an_overwritten_pair_forgets_its_loss() -> None:
    replay = buffer(capacity=3, demonstrations=1)
    replay.add(*numbered([1, 2]))
    for loss in (1.0, 1.0):
        replay.update(np.arange(3), np.full(3, loss))
    replay.add(*numbered([3]))
    assert replay.weights()[1] == pytest.approx(1.08)
    replay.update(np.array([1]), np.array([9.0]))
    assert replay.weights()[1] == pytest.approx(1.08)


# -- sampling ---------------------------------------------------------------------------------


def test_pairs_are_drawn_by_their_probabilities() -> None:
    replay = buffer()
    replay.add(*numbered([3, 4, 5]))
    replay.update(np.arange(6), np.zeros(6))
    replay.update(np.arange(6), np.array([0.0, 0.1, 3.0, 0.0, 0.5, 0.02]))
    rng = np.random.default_rng(0)
    count = 60_000
    places = replay.sample(count, rng).places
    found = np.bincount(places, minlength=6)
    result = stats.chisquare(found, count * replay.probabilities())
    assert result.pvalue > 1e-3
    # Draws do not depend on each other: neither does the order of their places.
    pairs = np.bincount(places[:-1] * 6 + places[1:], minlength=36)
    joint = np.outer(replay.probabilities(), replay.probabilities()).ravel()
    assert stats.chisquare(pairs, (count - 1) * joint).pvalue > 1e-3


def test_samples_are_the_pairs_at_their_places() -> None:
    replay = buffer(capacity=12)
    replay.add(*numbered(range(3, 11)))
    batch = replay.sample(100, np.random.default_rng(0))
    observations, assignments = numbered(batch.places)
    np.testing.assert_array_equal(batch.observations, observations)
    np.testing.assert_array_equal(batch.assignments, assignments)
    assert batch.assignments.dtype == np.int64
    np.testing.assert_array_equal(batch.demonstrated, batch.places < 3)
    assert set(batch.places) == set(range(11))


@pytest.mark.parametrize("servers", [2, 255, 256, 65_535, 65_536])
def test_every_server_survives_the_storage(servers: int) -> None:
    replay = PrioritisedReplay(2, (1,), n_devices=3, n_servers=servers)
    decision = np.array([[0, servers, servers // 2]])
    replay.add(np.zeros((1, 1)), decision)
    np.testing.assert_array_equal(replay.sample(1, np.random.default_rng(0)).assignments, decision)
    again = PrioritisedReplay(2, (1,), n_devices=3, n_servers=servers)
    again.set_state(replay.get_state())
    np.testing.assert_array_equal(again.sample(1, np.random.default_rng(0)).assignments, decision)


# -- the ring ---------------------------------------------------------------------------------


def test_demonstrations_stay_and_own_pairs_go_round() -> None:
    replay = buffer(capacity=6, demonstrations=3)
    oldest_first: list[int] = []
    for number in range(3, 20):
        replay.add(*numbered([number]))
        oldest_first = [*oldest_first[-2:], number]
        assert contents(replay)[:3] == [0, 1, 2]
        assert sorted(contents(replay)[3:]) == oldest_first
        assert replay.n_demonstrations == 3
    assert replay.size == 6


def test_a_full_ring_goes_on_in_a_larger_buffer() -> None:
    replay, larger = buffer(capacity=6), buffer(capacity=8, demonstrations=0)
    for number in range(3, 8):
        replay.add(*numbered([number]))
    larger.set_state(replay.get_state())
    for number in (8, 9):
        larger.add(*numbered([number]))
        assert sorted(contents(larger)) == [0, 1, 2, *range(5, number + 1)]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_adding_in_batches_is_adding_one_by_one(step: int) -> None:
    one, many = buffer(capacity=8), buffer(capacity=8)
    for first in range(3, 3 + 4 * step, step):
        many.add(*numbered(range(first, first + step)))
    for number in range(3, 3 + 4 * step):
        one.add(*numbered([number]))
    assert contents(one) == contents(many)
    assert one.size == many.size


def test_a_batch_larger_than_the_ring_leaves_its_newest_pairs() -> None:
    replay = buffer(capacity=6, demonstrations=3)
    replay.add(*numbered(range(3, 14)))
    assert contents(replay)[:3] == [0, 1, 2]
    assert sorted(contents(replay)[3:]) == [11, 12, 13]
    replay.add(*numbered([14]))
    assert sorted(contents(replay)[3:]) == [12, 13, 14]


def test_a_buffer_full_of_demonstrations_takes_nothing_else() -> None:
    replay = buffer(capacity=3, demonstrations=3)
    replay.add(*numbered([7]))
    assert contents(replay) == [0, 1, 2]


def test_demonstrations_late_or_too_many_are_refused() -> None:
    replay = buffer(capacity=4, demonstrations=3)
    with pytest.raises(ValueError, match="buffer_size must hold"):
        replay.add(*numbered([3, 4]), demonstrated=True)
    assert contents(replay) == [0, 1, 2]
    replay.add(*numbered([3]))
    with pytest.raises(ValueError, match="before"):
        replay.add(*numbered([4]), demonstrated=True)
    assert contents(replay) == [0, 1, 2, 3]


def test_an_empty_buffer_has_no_samples() -> None:
    with pytest.raises(ValueError, match="empty"):
        buffer(demonstrations=0).sample(1, np.random.default_rng(0))


@pytest.mark.parametrize(
    "settings",
    [
        {"exponent": -0.1},
        {"exponent": float("nan")},
        {"agent_constant": 0.0},
        {"demonstration_constant": -1.0},
        {"agent_constant": float("inf")},
        {"capacity": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        buffer(**({"demonstrations": 0} | settings))


# -- state ------------------------------------------------------------------------------------


def test_state_continues_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    replay = buffer(capacity=9)
    twin = buffer(capacity=9, demonstrations=0)
    for step in range(40):
        if step in (1, 7, 25):
            twin = buffer(capacity=9, demonstrations=0)
            twin.set_state(replay.get_state())
        replay.add(*numbered([step]))
        batch = replay.sample(5, rng)
        losses = 20.0 * rng.random(5)
        replay.update(batch.places, losses)
        if step >= 1:
            twin.add(*numbered([step]))
            twin.update(batch.places, losses)
            np.testing.assert_array_equal(twin.probabilities(), replay.probabilities())
            left, right = replay.get_state(), twin.get_state()
            assert left.keys() == right.keys()
            for key, value in left.items():
                np.testing.assert_array_equal(value, right[key], err_msg=key)


def test_a_state_is_a_copy() -> None:
    replay = buffer()
    state = replay.get_state()
    replay.add(*numbered([9, 9, 9]))
    replay.update(np.arange(3), np.ones(3))
    twin = buffer(demonstrations=0)
    twin.set_state(state)
    assert contents(twin) == [0, 1, 2]
    twin.update(np.arange(3), np.ones(3))
    assert np.isnan(state["loss"]).all()


def test_a_state_that_does_not_fit_is_refused() -> None:
    state = buffer(capacity=8).get_state()
    with pytest.raises(ValueError, match="3 pairs"):
        buffer(capacity=2, demonstrations=0).set_state(state)
    other = PrioritisedReplay(8, (3, 1), n_devices=3, n_servers=2)
    with pytest.raises(ValueError, match="shape"):
        other.set_state(state)
