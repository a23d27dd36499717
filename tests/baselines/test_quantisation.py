"""Candidates: the paper's rule with one server, its laws with several."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from baselines.learners.quantisation import order_preserving


def papers_rule(relaxed: NDArray[np.float64], count: int) -> list[list[int]]:
    """Return the paper's candidates of numbers in (0, 1), eqs. (8) and (9), word by word."""
    candidates = [[1 if one > 0.5 else 0 for one in relaxed]]
    for place in sorted(range(len(relaxed)), key=lambda i: abs(relaxed[i] - 0.5))[: count - 1]:
        threshold, candidate = relaxed[place], []
        for one in relaxed:
            if one > threshold or (one == threshold and threshold <= 0.5):
                candidate.append(1)
            else:
                candidate.append(0)
        candidates.append(candidate)
    return candidates


def drawn(seed: int, batch: int, devices: int, choices: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(batch, devices, choices))


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_with_one_server_they_are_the_papers(count: int) -> None:
    scores = drawn(0, 50, 8, 2)
    relaxed = 1.0 / (1.0 + np.exp(scores[..., 0] - scores[..., 1]))
    expected = [papers_rule(row, count) for row in relaxed]
    np.testing.assert_array_equal(order_preserving(scores, count), expected)


def test_with_one_server_ties_are_the_papers() -> None:
    # Dyadic numbers: equal ones and 1/2 itself are exactly that in both forms.
    margins = np.array([[0.0, 0.5, -0.25, 0.5, -0.25, 1.0]])
    relaxed = 0.5 + margins / 4.0  # any rising function of the margin that is odd about 0
    scores = np.stack([np.zeros_like(margins), margins], axis=-1)
    np.testing.assert_array_equal(order_preserving(scores, 7)[0], papers_rule(relaxed[0], 7))


def test_with_one_server_there_are_no_more_than_devices_and_one() -> None:
    assert order_preserving(drawn(0, 3, 8, 2), 100).shape == (3, 9, 8)
    assert order_preserving(drawn(0, 3, 8, 4), 100).shape == (3, 1 + 8 * 4, 8)


def test_the_first_is_the_highest_score() -> None:
    scores = drawn(1, 20, 6, 4)
    np.testing.assert_array_equal(order_preserving(scores, 5)[:, 0], scores.argmax(-1))


def test_fewer_are_the_first_of_more() -> None:
    scores = np.round(drawn(2, 20, 6, 4), 1)  # with ties
    most = order_preserving(scores, 99)
    for count in range(1, most.shape[1]):
        np.testing.assert_array_equal(order_preserving(scores, count), most[:, :count])


def margin(scores: NDArray[np.float64], device: int, choice: int) -> float:
    return float(scores[device, choice] - np.delete(scores[device], choice).max())


@pytest.mark.parametrize("choices", [2, 3, 4])
def test_each_turns_one_device_round_and_keeps_all_in_order(choices: int) -> None:
    thresholds = [(i, c) for i in range(5) for c in range(1 if choices == 2 else 0, choices)]
    for scores in drawn(3, 20, 5, choices):
        first, *others = order_preserving(scores[None], 99)[0]
        near = sorted(thresholds, key=lambda place: abs(margin(scores, *place)))
        for (device, choice), candidate in zip(near, others, strict=True):
            margins = np.array([margin(scores, i, choice) for i in range(5)])
            on = candidate == choice
            assert on[device] != (first[device] == choice)
            assert margins[on].min(initial=np.inf) > margins[~on].max(initial=-np.inf)
            beyond = np.abs(margins) > abs(margins[device])
            np.testing.assert_array_equal(candidate[beyond], first[beyond])
            rest = np.delete(np.arange(choices), choice)
            np.testing.assert_array_equal(candidate[~on], rest[scores[~on][:, rest].argmax(-1)])


def test_they_follow_devices_and_servers_into_another_order() -> None:
    scores, rng = drawn(4, 30, 6, 4), np.random.default_rng(5)
    devices, choices = rng.permutation(6), rng.permutation(4)
    # Which of two equal distances comes first may change: those are one device's two best choices.
    for there, here in zip(
        order_preserving(scores[:, devices][:, :, choices], 99),
        order_preserving(scores, 99),
        strict=True,
    ):
        assert {tuple(row) for row in choices[there]} == {tuple(row) for row in here[:, devices]}


def test_a_choice_that_a_device_lacks_is_never_made() -> None:
    scores = drawn(6, 30, 5, 3)
    scores[:, [1, 4], 0] = -np.inf
    assert (order_preserving(scores, 99)[..., [1, 4]] > 0).all()
    alone = drawn(7, 30, 5, 2)
    alone[:, 2, 0] = -np.inf
    candidates = order_preserving(alone, 99)
    assert (candidates[..., 2] == 1).all()
    assert (candidates[..., 0] == 0).any()
    assert (candidates[..., 0] == 1).any()
