"""The vote [V-1]: the paper's example, ties, devices that must offload, NumPy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mec_gym import vote
from tests.dirs_agents.dirs_helpers import FORCED, make_env, make_model, shaken

THIRD = np.float32(1.0) / np.float32(3.0)


def test_the_example_of_the_paper() -> None:
    assert vote([[0.7], [0.8], [0.2]]).tolist() == [2]
    assert vote(torch.tensor([[0.7], [0.8], [0.2]])).tolist() == [2]


@pytest.mark.parametrize("low", [0.0, 0.3, 0.49, float(np.nextafter(0.5, 0.0))])
def test_below_one_half_is_local(low: float) -> None:
    scores = np.array([[low], [low / 2]])
    assert vote(scores).tolist() == [0]
    assert vote(torch.from_numpy(scores)).tolist() == [0]


def test_one_half_suffices_and_the_lowest_server_wins_a_tie() -> None:
    assert vote([[0.2, 0.5], [0.5, 0.5]]).tolist() == [2, 1]
    assert vote(torch.tensor([[0.2, 0.5], [0.5, 0.5]])).tolist() == [2, 1]


def by_loops(scores: np.ndarray, local: np.ndarray) -> list[int]:
    servers, devices = scores.shape
    found = []
    for i in range(devices):
        best = max(range(servers), key=lambda j: (scores[j, i], -j))
        found.append(best + 1 if scores[best, i] >= 0.5 or not local[i] else 0)
    return found


@given(
    arrays(np.float32, (3, 4), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    arrays(np.bool_, 4),
)
def test_numpy_torch_and_loops_agree(scores: np.ndarray, local: np.ndarray) -> None:
    wanted = by_loops(scores, local)
    assert vote(scores, local).tolist() == wanted
    found = vote(torch.from_numpy(scores), local)
    assert found.dtype == torch.int64
    assert found.tolist() == wanted


def test_batches_vote_row_by_row() -> None:
    scores = np.random.default_rng(0).random((2, 5, 3, 4))
    batch = vote(scores)
    assert batch.shape == (2, 5, 4)
    rows = [vote(one) for one in scores.reshape(10, 3, 4)]
    np.testing.assert_array_equal(batch.reshape(10, 4), rows)
    np.testing.assert_array_equal(vote(torch.from_numpy(scores)).numpy(), batch)


def test_the_order_of_servers_only_renames() -> None:
    scores = np.random.default_rng(1).random((5, 40))
    order = np.array([3, 0, 4, 1, 2])
    renamed = vote(scores[order])
    np.testing.assert_array_equal(np.r_[0, order + 1][renamed], vote(scores))


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_nan_and_flat_scores_are_refused(kind: object) -> None:
    with pytest.raises(ValueError, match=r"nan at index \(1, 0\)"):
        vote(kind([[0.5, 0.1], [float("nan"), 0.2]]))  # type: ignore[operator]
    with pytest.raises(ValueError, match="shape"):
        vote(kind([0.5, 0.1]))  # type: ignore[operator]


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_devices_that_must_offload_always_do(policy: str) -> None:
    model = make_model(policy, scenario=FORCED)
    env = make_env(FORCED)
    for seed in range(20):
        shaken(model, seed)
        decision, _ = model.predict(env.reset(seed=seed)[0], deterministic=True)
        assert (decision[~FORCED.can_execute_locally] > 0).all()
        env.step(decision)
