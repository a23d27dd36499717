"""Agents that look ahead: what they remember, what a service is worth to them, their vote."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from dirs_agents import DIRS, options
from dirs_agents.columns import ColumnCoder
from dirs_agents.continuation import AHEAD, FORECASTS, WINDOW, Continuation, remembered
from dirs_agents.foresight import (
    _one_slot,
    continuation_tolls,
    drawn,
    hindsight_demonstrations,
    hindsight_lesson,
    learn,
    memories,
    own_lesson,
    own_values,
)
from mec_gym import ENV_ID, GaussMarkov, Scenario, Traces, evaluate, hindsight, vote
from mec_gym.envs.observation import ObservationCoder, units_of_gains
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, steps
from mec_gym.model.cost import NO_TASK
from mec_gym.optimum import load_problems_apart, tolled_problems, with_toll
from tests.dirs_agents.dirs_helpers import (
    TASKS,
    assert_same_weights,
    differ,
    observations_of,
    shaken,
)

MOVING = Scenario(
    n_devices=5,
    n_servers=3,
    noise_w=1e-6,
    fading="none",
    cycles=2e9,
    layout="redrawn",
    mobility=GaussMarkov(8.0),
    migration_s=4.0,
    name="moving",
)
STALE = MOVING.replace(csi_delay_slots=1, shadowing_db=6.0, name="stale")
_PLACES = np.random.default_rng(0).uniform(0.0, 50.0, (12, 5, 2))
_PLACES[3:5, 2] = _PLACES[7, :2] = _PLACES[9:11] = np.nan
ABSENT = MOVING.replace(mobility=Traces(_PLACES, interval_s=1.0), layout="fixed", name="absent")
WORLDS = pytest.mark.parametrize("scenario", [MOVING, STALE, ABSENT], ids=lambda one: one.name)

SMALL: dict[str, Any] = {
    "n_demonstrations": 8,
    "pretrain_steps": 3,
    "batch_size": 8,
    "buffer_size": 24,
    "hindsight_episodes": 1,
    "own_rounds": 1,
    "lesson_steps": 5,
    "train_interval": 2,
    "refine_interval": 3,
}


@pytest.fixture(autouse=True)
def short_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dirs_agents.foresight.SLOTS", 24)
    monkeypatch.setattr("dirs_agents.foresight.TAIL", 10)


def model_of(scenario: Any = MOVING, forecast: str = "none", env: Any = None, **more: Any) -> DIRS:
    kwargs = {"continuation": True, "forecast": forecast, "hidden": 4} | more.pop("kwargs", {})
    given = options("hindsight", **SMALL, policy_kwargs=kwargs) | more
    env = make_sb3_vec_env(scenario, n_envs=2, max_episode_steps=7) if env is None else env
    return DIRS(env=env, seed=0, device="cpu", **given)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# -- what is remembered -------------------------------------------------------------------------


@WORLDS
def test_lessons_show_what_agents_remember(scenario: Scenario) -> None:
    """The memories of whole episodes are those of the same slots seen one after the other."""
    paths = drawn(scenario, 2, 0)
    whole, coder = memories(paths), ObservationCoder(scenario)
    columns, memory = ColumnCoder(scenario), None
    for time in range(14):
        seen = [one.seen[time] for one in paths]
        shown = columns.columns(torch.as_tensor(np.stack([coder.encode(one) for one in seen])))
        units = torch.where(columns.present(shown), shown[:, :, 0], torch.nan)
        memory = remembered(memory, units)
        np.testing.assert_allclose(memory.numpy(), whole[time], atol=1e-5)


def test_constant_velocity_is_foretold() -> None:
    """In free space the gains of a device on a straight line follow from those of its past."""
    scenario = MOVING.replace(csi_delay_slots=2)
    network = Continuation(ColumnCoder(scenario), "velocity")
    start, way = np.array([30.0, 9.0]), np.array([-1.5, 2.0])
    times = np.arange(WINDOW + 2 + max(AHEAD))
    square = ((start + times[:, None] * way) ** 2).sum(axis=1)
    units = torch.as_tensor(units_of_gains(1e-4 / square), dtype=torch.float32)
    foretold = network.predicted(units[:WINDOW])
    present = WINDOW - 1 + scenario.csi_delay_slots
    np.testing.assert_allclose(foretold, units[present + np.array(AHEAD)], atol=2e-4)


@WORLDS
@pytest.mark.parametrize("forecast", FORECASTS)
def test_worth_is_finite_whatever_was_seen(scenario: Scenario, forecast: str) -> None:
    network = Continuation(ColumnCoder(scenario), forecast)
    memory = torch.as_tensor(np.array(memories(drawn(scenario, 1, 3))))
    network.scale(memory)
    nothing, weak = (torch.full((1, 3, 5, WINDOW), units) for units in (torch.nan, -200.0))
    for shown in (memory, nothing, weak):
        worth, predicted = network(shown)
        assert bool(torch.isfinite(predicted).all())
        assert bool(((worth >= 0.0) & (worth <= 1.0)).all())


# -- what a service is worth --------------------------------------------------------------------


def test_tolls_count_what_choices_lead_to() -> None:
    """What a decision costs with tolls is what it costs less what the services are then worth."""
    scenario = MOVING.replace(n_devices=3)
    slot = drawn(scenario, 1, 0)[0].seen[:1].hosted([[0, 1, 3]])
    worth = rng().uniform(0.0, 4.0, (1, 3, 3))
    toll = continuation_tolls(scenario, slot, worth)
    problems = tolled_problems(scenario, slot, toll)
    every = np.array(list(itertools.product(range(4), repeat=3)))
    after = np.where(every > 0, every, slot.hosts)
    held = np.concatenate([np.zeros((3, 1)), worth[0]], axis=1)[np.arange(3), after]
    costs = np.array([evaluate(scenario, slot[0], one).objective for one in every])
    wanted = costs + (scenario.migration_cost - held).sum(axis=1)
    np.testing.assert_allclose(problems.objective(every[None])[0], wanted, rtol=1e-9)
    best = every[wanted.argmin()]
    np.testing.assert_array_equal(with_toll(scenario, slot, toll)[0], best)


@WORLDS
def test_hindsight_values_are_those_of_deciding_by_them(scenario: Scenario) -> None:
    """[C-2] with the worth, prices and gains of hindsight gives back its values, [H-2]."""
    (path,) = drawn(scenario, 1, 0)
    best = hindsight(scenario, path)
    problems = load_problems_apart(scenario, path.slots)
    for time in range(path.n_slots):
        after = best.values[time + 1][None]
        worth = after[..., :1] - after[..., 1:]
        terms = best.prices[time][None, None] * problems.root_work[time][None, :, None]
        cost, absent = problems.cost[time][None], path.cycles[time][None] <= NO_TASK
        found = _one_slot(scenario, cost, cost, terms, absent, worth, after)
        np.testing.assert_allclose(found[0], best.values[time], rtol=1e-9, atol=1e-12)


@WORLDS
@pytest.mark.parametrize("forecast", FORECASTS)
def test_lessons_are_finite_and_reward_only_the_present(scenario: Scenario, forecast: str) -> None:
    """Absent devices teach nothing, and no worth of hindsight lies outside of 0 to μ."""
    paths, network = drawn(scenario, 1, 1), Continuation(ColumnCoder(scenario), forecast)
    first = hindsight_lesson(scenario, paths, rng())
    assert first.worth.min() >= -1e-6
    assert first.worth.max() <= 1.0 + 1e-6
    second = own_lesson(scenario, paths, network, rng())
    for lesson in (first, second):
        assert not np.isnan(lesson.memory[:, -1]).any()
        assert np.isfinite(lesson.worth).all()
        assert np.isfinite(lesson.later).all()
    values = own_values(scenario, paths, np.zeros((paths[0].n_slots, 1, 5, 3)))
    assert np.isfinite(values).all()


def test_worth_is_learned_where_it_is_known() -> None:
    """One device that stands at a server: to be there is worth a move, elsewhere nothing."""
    scenario = Scenario(
        n_devices=1,
        n_servers=2,
        noise_w=1e-6,
        fading="none",
        cycles=2e9,
        server_positions=((5.0, 5.0), (45.0, 45.0)),
        device_positions=((6.0, 5.0),),
        migration_s=2.0,
    )
    paths = drawn(scenario, 1, 0)
    lesson = hindsight_lesson(scenario, paths, rng())
    assert set(lesson.worth.round(6).tolist()) == {0.0, 1.0}
    torch.manual_seed(0)
    network = Continuation(ColumnCoder(scenario))
    network.scale(torch.as_tensor(lesson.memory))
    learn(network, lesson, 200, rng())
    worth = network(torch.as_tensor(np.array(memories(paths)[-1])))[0][0, :, 0]
    np.testing.assert_allclose(worth.detach(), [1.0, 0.0], atol=0.05)


# -- how agents vote ----------------------------------------------------------------------------


def test_without_migration_nothing_changes() -> None:
    """In a static world agents with a network of worth decide bit for bit as those without."""
    plain = DIRS(env=make_sb3_vec_env(TASKS), seed=0, device="cpu", **options("prices"))
    ahead = model_of(TASKS, kwargs={"hidden": 16})
    assert "does nothing" in ahead.remark
    assert not model_of().remark
    shaken(plain)
    ahead.policy.bank.load_state_dict(plain.policy.bank.state_dict())
    seen = observations_of(TASKS, 16)
    assert not ahead.policy.remembers
    decision, state = ahead.predict(seen)
    assert state is None
    np.testing.assert_array_equal(decision, plain.predict(seen)[0])
    np.testing.assert_array_equal(
        ahead.agent(2).scores(seen_by(2, seen)), plain.agent(2).scores(seen_by(2, seen))
    )


def seen_by(server: int, observations: Any) -> Any:
    coder = ObservationCoder(TASKS)
    return np.stack([coder.columns_of_servers(one)[server - 1] for one in observations])


@pytest.mark.parametrize("admission", [True, False])
def test_worth_of_nothing_changes_nothing(admission: bool) -> None:
    """Where services are worth nothing, agents decide as if they did not look ahead."""
    policy: Any = shaken(model_of(kwargs={"admission": admission})).policy
    slot = drawn(MOVING, 1, 0)[0].seen[:8].hosted(rng().integers(4, size=(8, 5)))
    columns = policy.columns(torch.as_tensor(ObservationCoder(MOVING).encode(slot)))
    nothing = torch.stack([torch.zeros_like(columns[:, :, 0]), columns[:, :, 0]], dim=2)
    ahead = torch.cat([columns, nothing], dim=2)
    for answer in (policy.bank.savings, policy.bank):
        for with_rows, without in zip(answer(ahead), answer(columns), strict=True):
            torch.testing.assert_close(with_rows, without, rtol=0.0, atol=0.0)
    assert bool((policy.decide(ahead)[0] == policy.decide(columns)[0]).all())


@pytest.mark.parametrize(
    ("scenario", "forecast", "kind"),
    [
        (MOVING, "none", "flat"),
        (MOVING, "gru", "db"),
        (STALE, "gru", "raw"),
        (STALE, "velocity", "flat"),
        (ABSENT, "none", "raw"),
        (ABSENT, "gru", "flat"),
    ],
    ids=lambda one: getattr(one, "name", one),
)
def test_agents_side_by_side_decide_as_the_policy(
    scenario: Scenario, forecast: str, kind: str
) -> None:
    """Each knows its own column and its past alone; together they are the vote of the policy."""
    shown = {"scenario": scenario, "observation": kind}
    vec = make_sb3_vec_env(scenario, n_envs=2, observation=kind)
    model = shaken(model_of(scenario, forecast, env=vec))
    coder, env = ObservationCoder(scenario, kind), gym.make(ENV_ID, **shown)
    agents = [model.agent(j) for j in range(1, 4)]
    seen, _ = env.reset(seed=0)
    state = None
    for _ in range(12):
        decision, state = model.predict(seen, state, np.array([state is None]))
        own = coder.columns_of_servers(seen)
        ballot = vote(np.stack([a.scores(one) for a, one in zip(agents, own, strict=True)]))
        served = [a.admits(one, ballot == a.server) for a, one in zip(agents, own, strict=True)]
        together = np.where(np.any(served, axis=0), ballot, 0)
        np.testing.assert_array_equal(together, decision)
        seen, *_ = env.step(decision)
    agents = pickle.loads(pickle.dumps(agents))
    for agent in agents:
        agent.begin()
    own = coder.columns_of_servers(seen)
    fresh = [a.scores(one) for a, one in zip(agents, own, strict=True)]
    anew = np.asarray(model.policy.decide(model._look(seen[None], None)[0])[1].detach())[0]
    np.testing.assert_allclose(fresh, anew, rtol=1e-4, atol=1e-5)


def test_memory_matters_and_an_episode_begins_without() -> None:
    model = shaken(model_of())
    paths = drawn(MOVING, 4, 0)
    policy = decide_with(model)
    first = [step.assignment for step in steps(paths, policy)]
    again = [step.assignment for step in steps(paths, policy)]
    np.testing.assert_array_equal(first, again)
    seen = ObservationCoder(MOVING).encode(paths[0].seen[:6].hosted(np.ones((6, 5), dtype=int)))
    state = None
    for one in seen[:5]:
        _, state = model.predict(one[None], state)
    assert state is not None
    memory, alone = state[0], model.predict(seen[5][None])[1]
    kept = model.predict(seen[5][None], state, np.array([False]))[1]
    begun_anew = model.predict(seen[5][None], state, np.array([True]))[1]
    assert alone is not None
    assert kept is not None
    assert begun_anew is not None
    assert memory.shape == (1, 3, 5, WINDOW)
    np.testing.assert_array_equal(kept[0][..., :-1], memory[..., 1:])
    np.testing.assert_array_equal(begun_anew[0], alone[0])


def test_states_of_other_batches_are_refused() -> None:
    model, env = model_of(), make_sb3_vec_env(MOVING, n_envs=2)
    seen = env.reset()
    _, state = model.predict(seen)
    assert state is not None
    for observations, given in ((seen[:1], state), (seen, state[0]), (seen, ()), (seen, (1,))):
        with pytest.raises(ValueError, match="state must be"):
            model.predict(observations, given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        model.predict(seen, state, np.array([True, False, False]))


def test_with_admission_the_vote_is_the_best_bid_of_all() -> None:
    """A device goes where its saving and what its service is worth are most, the host included."""
    model = shaken(model_of())
    policy: Any = model.policy
    slot = drawn(MOVING, 1, 0)[0].seen[:20].hosted(rng().integers(4, size=(20, 5)))
    columns, _ = model._look(ObservationCoder(MOVING).encode(slot), None)
    worth, _ = policy.outlook(columns)
    saving, root = policy.bank.savings(columns)
    price = policy.bank.markdown * policy.bank.prices(saving, root) * root
    problems = load_problems_apart(MOVING, slot)
    gained = (problems.cost[..., :1] - problems.cost[..., 1:]) - price.detach().numpy().swapaxes(
        1, 2
    )
    held = np.concatenate([np.zeros((20, 5, 1)), worth], axis=-1)
    held = np.take_along_axis(held, slot.hosts[..., None], axis=-1)
    move = np.arange(1, 4) != slot.hosts[..., None]
    totals = gained + worth - move * MOVING.migration_cost[:, None]
    best = np.concatenate([held, totals], axis=-1).argmax(axis=-1)
    voted = policy._vote(policy.bank.scores(columns)).numpy()
    stays = (best == 0) | (best == slot.hosts)
    np.testing.assert_array_equal(voted, np.where(stays, slot.hosts, best))
    assert 0.1 < stays.mean() < 0.9


# -- training -----------------------------------------------------------------------------------


class Stop(BaseCallback):
    """Ends training after some calls, before or after the first slot."""

    def __init__(self, after: int, *, imitating: bool) -> None:
        super().__init__()
        self.left, self.imitating = after, imitating

    def _count(self, own: bool) -> None:
        self.left -= own
        if own and not self.left:
            raise KeyboardInterrupt

    def on_pretraining_step(self) -> None:
        self._count(self.imitating)

    def _on_step(self) -> bool:
        self._count(not self.imitating)
        return True


@pytest.mark.parametrize("forecast", ["none", "gru"])
@pytest.mark.parametrize(
    ("after", "imitating"), [(2, True), (3, True), (4, True), (10, False), (12, False)]
)
def test_training_goes_on_exactly(
    tmp_path: Path, forecast: str, after: int, imitating: bool
) -> None:
    whole = model_of(forecast=forecast).learn(40)
    halfway = model_of(forecast=forecast)
    with pytest.raises(KeyboardInterrupt):
        halfway.learn(40, callback=Stop(after, imitating=imitating))
    halfway.save(tmp_path / "model")
    env = make_sb3_vec_env(MOVING, n_envs=2, max_episode_steps=7)
    rest = DIRS.load(tmp_path / "model", env=env, force_reset=False, device="cpu")
    rest.learn(40 - rest.num_timesteps, reset_num_timesteps=False)
    assert rest.num_timesteps == whole.num_timesteps
    assert_same_weights(whole, rest)
    np.testing.assert_array_equal(whole._last_obs, rest._last_obs)
    np.testing.assert_array_equal(whole._memory, rest._memory)
    assert differ(whole, model_of(forecast=forecast))


@pytest.mark.parametrize("labels", ["none", "loaded"])
def test_lessons_are_given_whoever_makes_the_labels(labels: str, tmp_path: Path) -> None:
    whole = model_of().learn(1)
    whole.save_replay_buffer(tmp_path / "labels")
    model = model_of(n_demonstrations=8 * (labels == "loaded"))
    if labels == "loaded":
        model.load_replay_buffer(tmp_path / "labels")
    with pytest.raises(KeyboardInterrupt):  # between two lessons
        model.learn(1, callback=Stop(2, imitating=True))
    assert model.stage == "lessons 1/2"
    model.learn(1)
    assert model.replay_buffer.n_demonstrations == 8 * (labels == "loaded")
    mine, theirs = (one.policy.foresight.state_dict() for one in (model, whole))
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())


@pytest.mark.parametrize("policy", ["EnsemblePolicy", "CentralPolicy", "PricePolicy"])
def test_every_policy_can_imitate_hindsight(policy: str) -> None:
    env = make_sb3_vec_env(MOVING, n_envs=2)
    given = SMALL | {"demonstrations": "hindsight", "refinement": "optimal"}
    model = DIRS(policy, env, seed=0, device="cpu", **given).learn(8)
    assert model.replay_buffer.n_demonstrations == 8
    assert model.predict(env.reset())[0].shape == (2, 5)


@WORLDS
def test_demonstrations_are_the_plan(scenario: Scenario) -> None:
    """Demonstrated slots show the hosts that the plan has led to, and what was seen before."""
    paths = drawn(scenario, 2, 0)
    plan = hindsight(scenario, paths).assignment
    count = 2 * paths[0].n_slots
    made = hindsight_demonstrations(scenario, paths, count, rng())
    seen = {one.tobytes(): row for row, one in enumerate(made.observations)}
    assert len(made.assignment) == count
    for e, path in enumerate(paths):
        hosts = np.zeros(5, dtype=np.int64)
        for time in range(path.n_slots):
            slot = path.seen[time].hosted(hosts)
            row = seen[ObservationCoder(scenario).encode(slot).tobytes()]
            if not scenario.absences:  # a recording shows equal slots more than once
                np.testing.assert_array_equal(made.assignment[row], plan[e, time])
            moved = (plan[e, time] > 0) & (path.cycles[time] > NO_TASK)
            hosts = np.where(moved, plan[e, time], hosts)


def test_a_model_moves_to_other_sizes(tmp_path: Path) -> None:
    model_of(forecast="gru").learn(4).save(tmp_path / "model")
    larger = MOVING.replace(n_devices=9, n_servers=4)
    env = make_sb3_vec_env(larger, n_envs=3)
    model = DIRS.load(tmp_path / "model", env=env, device="cpu")
    decision, state = model.predict(env.reset())
    assert decision.shape == (3, 9)
    assert state is not None
    assert state[0].shape == (3, 4, 9, WINDOW)


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"demonstrations": "optimal"}, "demonstrations='hindsight'"),
        ({"refinement": "levy"}, "prices what comes later"),
        ({"policy_kwargs": {"forecast": "gru"}}, "needs continuation=True"),
        ({"policy_kwargs": {"continuation": True, "forecast": "lstm"}}, "forecast must be one of"),
        ({"policy_kwargs": {"continuation": 1}}, "continuation"),
        ({"hindsight_episodes": 0}, "hindsight_episodes"),
        ({"own_rounds": -1}, "own_rounds"),
    ],
)
def test_what_does_not_go_together_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        model_of(**more)


def test_an_agent_that_remembers_says_what_it_needs(tmp_path: Path) -> None:
    agent = model_of().agent(1)
    seen = np.zeros((2, agent.size), dtype=np.float32)
    with pytest.raises(ValueError, match=r"scores\(\), which comes first"):
        agent.admits(seen[0], np.ones(5, dtype=bool))
    agent.scores(seen)
    with pytest.raises(ValueError, match=r"begin\(\) lets it forget"):
        agent.scores(seen[0])
    with pytest.raises(ValueError, match="has a memory"):
        agent.to_onnx(tmp_path / "agent.onnx")
