"""Decisions, rewards and scores: what is accepted, what is refused, what they are worth."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import mec_gym
from mec_gym import Scenario, ScoreAction, Uniform, vote
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.scores import VectorScoreAction

ID = "mec_gym/MultiMEC-v0"
SMALL = Scenario(n_devices=6, n_servers=2)
FORCED = Scenario(n_devices=4, n_servers=3, max_power_w=(0.5, 1.5, 0.9, 1.0), noise_w=1e-6)
TASKS = Scenario(
    n_devices=5,
    n_servers=3,
    noise_w=1e-6,
    data_bits=Uniform(1e5, 9e5),
    cycles=Uniform(5e8, 2e9),
    weight_energy=(0.0, 1.0, 2.0, 0.5, 1.0),
    weight_latency=(1.0, 0.1, 1.0, 2.0, 1.0),
    layout="redrawn",
)
INFO = ["devices_per_server", "energy_j", "latency_s", "n_offloaded", "objective"]


def same(left: Any, right: Any) -> None:
    assert data_equivalence(left, right, exact=True), f"\n{left}\nis not\n{right}"


# -- actions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", ">i4", ">u8"]
)
def test_integer_dtypes_are_accepted(dtype: str) -> None:
    env, twin = MultiMECEnv(SMALL), MultiMECEnv(SMALL)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    twin.reset(seed=0)
    for _ in range(3):
        action = rng.integers(0, 3, 6)
        kept = action.astype(dtype)
        given = kept.copy()
        same(env.step(given), twin.step(action))
        assert (given == kept).all()
        same(env.step(action.tolist()), twin.step(tuple(action)))
        strided = np.repeat(action, 2).astype(dtype)[::2]
        same(env.step(strided), twin.step(np.asfortranarray(action)))


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "floats": ([1.0] * 6, TypeError, "integers"),
    "float32": (np.ones(6, dtype=np.float32), TypeError, "ScoreAction"),
    "NaN": ([np.nan] * 6, TypeError, "integers"),
    "bools": ([True] * 6, TypeError, "integers"),
    "strings": (["1"] * 6, TypeError, "integers"),
    "objects": (np.array([1] * 6, dtype=object), TypeError, "integers"),
    "complex": ([1j] * 6, TypeError, "integers"),
    "nothing": (None, TypeError, "integers"),
    "empty": ([], TypeError, "integers"),
    "short": ([1] * 5, ValueError, r"shape \(6,\)"),
    "long": ([1] * 7, ValueError, r"shape \(6,\)"),
    "batched": ([[1] * 6], ValueError, r"shape \(6,\)"),
    "scalar": (1, ValueError, r"shape \(6,\)"),
    "high": ([0] * 5 + [3], ValueError, "got 3 at index"),
    "low": ([-1] + [0] * 5, ValueError, "got -1 at index"),
    "huge": (np.array([2**63] + [0] * 5, dtype=np.uint64), ValueError, "0...2"),
    "lowest": (np.full(6, np.iinfo(np.int64).min), ValueError, "0...2"),
    "byte": (np.full(6, 255, dtype=np.uint8), ValueError, "got 255"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_actions_are_refused_and_leave_no_trace(name: str) -> None:
    action, error, message = WRONG[name]
    env = gym.make(ID, scenario=SMALL, optimum=True, max_episode_steps=4)
    twin = gym.make(ID, scenario=SMALL, optimum=True, max_episode_steps=4)
    env.reset(seed=0)
    twin.reset(seed=0)
    for step in range(4):
        before = repr(env.unwrapped.get_state())
        with pytest.raises(error, match=message):
            env.step(action)
        assert repr(env.unwrapped.get_state()) == before
        good = np.full(6, step % 3)
        same(env.step(good), twin.step(good))
    same(env.reset(), twin.reset())


def test_messages_name_the_entry() -> None:
    env = MultiMECEnv(SMALL)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"got 7 at index \(4,\) \(2 of 6 entries\)"):
        env.step([0, 0, 0, 0, 7, 8])


# -- devices that cannot execute locally, eq. (7) -----------------------------------------------


def test_forbidden_local_execution_is_refused() -> None:
    env = MultiMECEnv(FORCED)
    env.reset(seed=0)
    before = repr(env.get_state())
    for action in ([0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]):
        with pytest.raises(ValueError, match=r"cannot execute locally, eq. \(7\)"):
            env.step(action)
        with pytest.raises(ValueError, match=r"eq. \(7\)"):
            env.evaluate(action)
    assert repr(env.get_state()) == before
    env.step([1, 0, 3, 0])


def test_masks_mark_exactly_what_step_takes() -> None:
    env = MultiMECEnv(FORCED)
    masks = env.action_masks().reshape(4, 4)
    assert env.action_masks().dtype == bool
    env.reset(seed=0)
    for action in itertools.product(range(4), repeat=4):
        legal = bool(masks[np.arange(4), list(action)].all())
        try:
            env.step(action)
        except ValueError:
            assert not legal
        else:
            assert legal
    masks[...] = False
    assert env.action_masks().any()


@pytest.mark.parametrize("reward", ["reciprocal", "relative", "negative"])
def test_forced_devices_begin_at_their_best_server(reward: str) -> None:
    env = MultiMECEnv(FORCED, reward=reward, optimum=True)
    for seed in range(5):
        _, info = env.reset(seed=seed)
        nearest = env.slot.gains.argmax(axis=-1) + 1
        wanted = env.evaluate([nearest[0], 0, nearest[2], 0])
        assert info["objective"] == wanted.objective
        assert info["n_offloaded"] == 2
        assert np.isfinite([info["latency_s"], info["energy_j"], info["nrr"]]).all()
        if reward == "relative":
            assert env.step([nearest[0], 0, nearest[2], 0])[1] == 1.0


def test_votes_send_forced_devices_to_a_server() -> None:
    env = ScoreAction(gym.make(ID, scenario=FORCED))
    env.reset(seed=0)
    scores = np.full((3, 4), 0.1, dtype=np.float32)
    scores[1, 0] = 0.2
    assert env.action(scores.ravel()).tolist() == [2, 0, 1, 0]
    *_, info = env.step(scores.ravel())
    assert info["devices_per_server"].tolist() == [1, 1, 0]
    *_, info = env.step(np.zeros(12, dtype=np.float32))
    assert info["devices_per_server"].tolist() == [2, 0, 0]


# -- rewards and info -------------------------------------------------------------------------


@pytest.mark.parametrize("optimum", [False, True])
@pytest.mark.parametrize("scenario", [SMALL, FORCED, TASKS], ids=["small", "forced", "tasks"])
def test_info_and_rewards_equal_evaluate(scenario: Scenario, optimum: bool) -> None:
    envs = {
        reward: MultiMECEnv(scenario, reward=reward, optimum=optimum)
        for reward in ("reciprocal", "relative", "negative")
    }
    local = np.where(scenario.can_execute_locally, 0, 1)
    rng = np.random.default_rng(0)
    for env in envs.values():
        env.reset(seed=1)
    for _ in range(20):
        action = rng.integers(local, scenario.n_servers + 1)
        slot = envs["reciprocal"].slot
        outcome = mec_gym.evaluate(scenario, slot, action)
        best = slot.gains.argmax(axis=-1) + 1
        alone = mec_gym.evaluate(scenario, slot, np.where(scenario.can_execute_locally, 0, best))
        steps = {reward: env.step(action) for reward, env in envs.items()}
        for step in steps.values():
            info = step[4]
            assert sorted(info) == sorted(INFO + ["optimum", "lower_bound", "nrr"] * optimum)
            assert info["objective"] == outcome.objective
            assert info["latency_s"] == outcome.latency_s.sum()
            assert info["energy_j"] == outcome.energy_j.sum()
            assert info["n_offloaded"] == np.count_nonzero(action)
            counts = np.bincount(action, minlength=scenario.n_servers + 1)[1:]
            same(info["devices_per_server"], counts)
            if optimum:
                found = mec_gym.solve(scenario, slot)
                assert info["optimum"] == found.objective
                assert info["lower_bound"] == found.lower_bound
                assert info["nrr"] == found.lower_bound / info["objective"]
                assert found.lower_bound <= found.objective <= info["objective"] * (1 + 1e-9)
        objective = float(outcome.objective)
        assert steps["reciprocal"][1] == 1.0 / objective
        assert steps["negative"][1] == -objective / scenario.n_devices
        assert steps["relative"][1] == alone.objective / objective


@pytest.mark.parametrize("optimum", [False, True])
@pytest.mark.parametrize("face", ["single", "vector", "parallel", "sb3"])
def test_info_has_the_same_numpy_types_everywhere(face: str, optimum: bool) -> None:
    """TorchRL's readers of info look for ``dtype``."""
    options: dict[str, Any] = {"scenario": SMALL, "optimum": optimum}
    if face == "single":
        env = gym.make(ID, **options)
        infos = [env.reset(seed=0)[1], env.step([1] * 6)[-1]]
    elif face == "vector":
        envs = gym.make_vec(ID, num_envs=2, **options)
        batches = [envs.reset(seed=0)[1], envs.step([[1] * 6] * 2)[-1]]
        infos = [{key: values[0] for key, values in info.items()} for info in batches]
        infos = [{key: info[key] for key in info if key[0] != "_"} for info in infos]
    elif face == "parallel":
        pytest.importorskip("pettingzoo")
        apart = mec_gym.parallel_env(**options)
        agent = apart.possible_agents[0]
        infos = [apart.reset(seed=0)[1][agent]]
        infos += [apart.step({one: np.ones(6) for one in apart.agents})[-1][agent]]
    else:
        pytest.importorskip("stable_baselines3")
        from mec_gym.envs.sb3 import make_sb3_vec_env

        adapted = make_sb3_vec_env(n_envs=2, seed=0, **options)
        adapted.reset()
        infos = [dict(adapted.reset_infos[0]), adapted.step(np.ones((2, 6), dtype=int))[-1][0]]
        infos[1].pop("TimeLimit.truncated")
    figures = ["latency_s", "energy_j", "objective"]
    figures += ["optimum", "lower_bound", "nrr"] * optimum
    wanted = dict.fromkeys(figures, np.float64) | {"n_offloaded": np.int64}
    for info in infos:
        counts = info.pop("devices_per_server")
        assert (counts.dtype, counts.shape) == (np.int64, (2,))
        assert {key: type(value) for key, value in info.items()} == wanted


@pytest.mark.parametrize(
    ("reward", "error", "message"),
    [
        (lambda outcome: outcome.energy_j, ValueError, r"must have shape \(\).*shape \(6,\).*sum"),
        (lambda _: np.nan, ValueError, r"what reward\(\) returns must be finite; got nan"),
        (lambda _: "1", TypeError, r"what reward\(\) returns must be an array of numbers; got '1'"),
    ],
)
def test_a_wrong_reward_is_refused_and_leaves_no_trace(
    reward: Any, error: type[Exception], message: str
) -> None:
    env = MultiMECEnv(SMALL, reward=reward)
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(error, match=message):
        env.step([1] * 6)
    same(env.get_state(), before)


def test_a_function_as_reward_by_make() -> None:
    env = gym.make(ID, scenario=TASKS, reward=lambda outcome: -outcome.energy_j.sum(-1))
    env.reset(seed=0)
    action = np.array([1, 2, 3, 0, 1])
    wanted = -mec_gym.evaluate(TASKS, env.unwrapped.slot, action).energy_j.sum()
    reward = env.step(action)[1]
    assert type(reward) is float
    assert reward == wanted
    with pytest.raises(TypeError, match="not JSON serializable"):
        env.spec.to_json()


def test_info_of_the_optimum_reaches_nrr_one() -> None:
    env = MultiMECEnv(TASKS, optimum=True)
    env.reset(seed=3)
    for _ in range(5):
        best = mec_gym.solve(TASKS, env.slot)
        *_, info = env.step(best.assignment)
        assert info["nrr"] == 1.0
        assert info["objective"] == info["optimum"] == best.objective


def test_many_decisions_are_priced_like_one() -> None:
    env = MultiMECEnv(TASKS)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 4, (50, 5))
    many = env.evaluate(actions)
    assert many.objective.shape == (50,)
    for action, objective in zip(actions, many.objective, strict=True):
        assert env.evaluate(action).objective == objective
    assert copy.deepcopy(env).step(actions[7])[4]["objective"] == many.objective[7]


# -- the vote ---------------------------------------------------------------------------------


def slow_vote(scores: Any, can: Any) -> list[int]:
    """Vote as the definition reads, device by device."""
    n_servers, n_devices = np.shape(scores)
    decision = []
    for i in range(n_devices):
        best = 0
        for j in range(1, n_servers):
            if scores[j][i] > scores[best][i]:
                best = j
        decision.append(best + 1 if scores[best][i] >= 0.5 or not can[i] else 0)
    return decision


@given(
    npst.arrays(
        np.float64,
        st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 5)),
        elements=st.sampled_from([0.0, 0.2, np.nextafter(0.5, 0.0), 0.5, 0.7, 1.0]),
    ),
    st.integers(0, 31),
)
def test_vote_equals_its_definition(scores: Any, bits: int) -> None:
    can = np.array([bool(bits >> i & 1) for i in range(scores.shape[-1])])
    got = vote(scores, can)
    assert got.dtype == np.int64
    assert got.tolist() == [slow_vote(one, can) for one in scores]


def test_vote_laws() -> None:
    assert vote([[0.7], [0.7]]).tolist() == [1]
    assert vote([[0.5]]).tolist() == [1]
    assert vote([[np.nextafter(0.5, 0.0)]]).tolist() == [0]
    assert vote([[np.float32(0.5)]]).tolist() == [1]
    assert vote([[0.0], [0.0]], [False]).tolist() == [1]
    scores = np.random.default_rng(0).random((2, 3, 4, 5))
    kept = scores.copy()
    assert vote(scores).shape == (2, 3, 5)
    same(scores, kept)
    for bad in ([[np.nan]], [[0.9], [np.nan]], [0.1, 0.2], 0.3):
        with pytest.raises(ValueError, match="scores must"):
            vote(bad)


# -- ScoreAction ------------------------------------------------------------------------------


WRONG_SCORES: dict[str, tuple[Any, type[Exception]]] = {
    "NaN": (np.full(12, np.nan), ValueError),
    "one NaN": (np.append(np.zeros(11), np.nan), ValueError),
    "below": (np.append(np.zeros(11), -1e-9), ValueError),
    "above": (np.append(np.zeros(11), 1 + 1e-9), ValueError),
    "infinite": (np.append(np.zeros(11), np.inf), ValueError),
    "short": (np.zeros(11), ValueError),
    "long": (np.zeros(13), ValueError),
    "table": (np.zeros((2, 6)), ValueError),
    "batched": (np.zeros((1, 12)), ValueError),
    "integers": (np.zeros(12, dtype=int), TypeError),
    "bools": (np.zeros(12, dtype=bool), TypeError),
    "nothing": (None, TypeError),
}


@pytest.mark.parametrize("name", WRONG_SCORES)
def test_wrong_scores_are_refused_and_leave_no_trace(name: str) -> None:
    scores, error = WRONG_SCORES[name]
    env, twin = (ScoreAction(gym.make(ID, scenario=SMALL, max_episode_steps=3)) for _ in "ab")
    env.reset(seed=0)
    twin.reset(seed=0)
    for _ in range(3):
        before = repr(env.unwrapped.get_state())
        with pytest.raises(error, match="action must"):
            env.step(scores)
        assert repr(env.unwrapped.get_state()) == before
        good = np.linspace(0, 1, 12, dtype=np.float32)
        same(env.step(good), twin.step(good))


def test_scores_are_voted_server_by_server() -> None:
    env, plain = ScoreAction(gym.make(ID, scenario=SMALL)), gym.make(ID, scenario=SMALL)
    same(env.reset(seed=0), plain.reset(seed=0))
    env.action_space.seed(0)
    for _ in range(10):
        scores = env.action_space.sample()
        assert env.action_space.contains(scores)
        same(env.step(scores), plain.step(vote(scores.reshape(2, 6))))
        same(env.step(scores.astype(np.float64)), plain.step(vote(scores.reshape(2, 6))))


@pytest.mark.parametrize("scenario", [SMALL, FORCED, TASKS], ids=["small", "forced", "tasks"])
def test_vector_scores_equal_single_scores(scenario: Scenario) -> None:
    envs = VectorScoreAction(gym.make_vec(ID, num_envs=3, scenario=scenario, max_episode_steps=4))
    singles = gym.vector.SyncVectorEnv(
        [lambda: ScoreAction(gym.make(ID, scenario=scenario, max_episode_steps=4))] * 3
    )
    assert envs.action_space == singles.action_space
    assert envs.single_action_space == singles.single_action_space
    same(envs.reset(seed=0), singles.reset(seed=0))
    envs.action_space.seed(1)
    for _ in range(11):
        scores = envs.action_space.sample()
        same(envs.step(scores), singles.step(scores))


def test_vector_refuses_wrong_scores() -> None:
    envs = VectorScoreAction(gym.make_vec(ID, num_envs=3, scenario=SMALL))
    envs.reset(seed=0)
    before = repr(envs.unwrapped.get_state())
    for scores, error in WRONG_SCORES.values():
        with pytest.raises(error):
            envs.step(None if scores is None else np.stack([scores] * 3))
        with pytest.raises((TypeError, ValueError)):
            envs.step(scores)
    assert repr(envs.unwrapped.get_state()) == before
