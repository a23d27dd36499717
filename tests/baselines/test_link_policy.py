"""Policies with one network for all links: symmetry, what they see and refuse, that they learn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from baselines.learners import DDPG, MADDPG, ActorCritic, actor_critic, ddpg, maddpg
from baselines.learners.link_policy import ColumnActor, LinkActor, LinkNetworks, StrayNoise
from mec_bench import algorithm
from mec_gym import Scenario, Slot, Traces, Uniform, vote
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

DEVICES, SERVERS = 5, 3
LEARNERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ac:links": (ActorCritic, actor_critic.LINKS | {"batch_size": 16}),
    "ddpg:links": (DDPG, ddpg.LINKS | {"learning_starts": 16, "buffer_size": 200}),
    "maddpg:links": (MADDPG, maddpg.LINKS | {"learning_starts": 16, "buffer_size": 200}),
}


def system(**changes: Any) -> Scenario:
    uneven = {"data_bits": Uniform(4e5, 12e5), "cycles": Uniform(5e8, 15e8)}
    return Scenario(**({"n_devices": DEVICES, "n_servers": SERVERS} | uneven | changes))


def slots_of(scenario: Scenario, batch: int = 4) -> Slot:
    rng = np.random.default_rng(0)
    shape = (batch, scenario.n_devices)
    return Slot(
        10.0 ** rng.uniform(-8, -5, (*shape, scenario.n_servers)),
        rng.uniform(4e5, 12e5, shape),
        rng.uniform(5e8, 15e8, shape),
        hosts=rng.integers(0, scenario.n_servers + 1, shape) if scenario.migrates else None,
    )


def actor_of(kind: type[LinkActor], scenario: Scenario) -> LinkActor:
    torch.manual_seed(0)
    actor = kind(scenario, 8)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.normal_()
    return actor


@pytest.mark.parametrize("migration_s", [0.0, 2.0])
@pytest.mark.parametrize("kind", [LinkActor, ColumnActor])
def test_another_order_with_its_lots_has_preferences_in_that_order(
    kind: type[LinkActor], migration_s: float
) -> None:
    speeds = [5e9, 1e10, 2e10]
    scenario = system(server_frequency_hz=speeds, migration_s=migration_s)
    actor, slot = actor_of(kind, scenario), slots_of(scenario)
    devices, servers = [3, 0, 4, 1, 2], [2, 0, 1]
    expected = actor(slot)[:, devices][..., servers]
    place = np.array([0, *(1 + servers.index(j) for j in range(SERVERS))])
    moved = Slot(
        slot.gains[:, devices][..., servers],
        slot.data_bits[:, devices],
        slot.cycles[:, devices],
        hosts=None if slot.hosts is None else place[slot.hosts][:, devices],
    )
    lots = actor.lots[devices][:, servers]
    actor.meet(scenario.replace(server_frequency_hz=[speeds[j] for j in servers]))
    actor.lots = lots
    torch.testing.assert_close(actor(moved), expected, rtol=1e-4, atol=1e-4)


def test_a_server_s_column_alone_decides_its_preferences() -> None:
    scenario = system(migration_s=2.0)
    slot = slots_of(scenario)
    gains = slot.gains.copy()
    gains[..., 1:] = gains[..., 1:][:, ::-1] * 3.0
    # Whom servers 2 and 3 host is one to server 1: elsewhere.
    assert slot.hosts is not None
    hosts = np.where(slot.hosts == 2, 3, slot.hosts)
    other = Slot(gains, slot.data_bits, slot.cycles, hosts=hosts)
    for kind, same in ((ColumnActor, True), (LinkActor, False)):
        actor = actor_of(kind, scenario)
        assert torch.equal(actor(slot)[..., 0], actor(other)[..., 0]) == same
        assert not torch.equal(actor(slot)[..., 1:], actor(other)[..., 1:])


def test_hosts_elsewhere_are_seen_in_a_column() -> None:
    scenario = system(migration_s=2.0)
    actor, slot = actor_of(ColumnActor, scenario), slots_of(scenario)
    answers = [actor(slot.hosted(np.full((4, DEVICES), host)))[..., 0] for host in (0, 1, 2)]
    assert not torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])
    assert not torch.equal(answers[1], answers[2])


def test_the_actor_takes_what_the_critic_says_pays() -> None:
    """With costs that are known, steps lead every device to its best choice."""
    scenario = system(noise_w=1e-9)
    torch.manual_seed(0)
    networks, slot = LinkNetworks(scenario, "flat", width=16), slots_of(scenario, 8)
    pays = torch.as_tensor(slot.gains.max(-1) > 1e-6)
    top = torch.nn.functional.one_hot(torch.as_tensor(slot.gains.argmax(-1)), SERVERS).bool()
    leads = torch.where(pays[..., None] & top, -0.5, 0.5)
    networks.critic.leads = lambda *_: leads  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(networks.actor.parameters(), 1e-2)
    for _ in range(300):
        networks.follow(slot, 0.0, optimizer, 1.0)
    right = (networks.actor(slot) > 0.0) == (pays[..., None] & top)
    assert right.float().mean() > 0.9


def test_the_actor_takes_back_who_had_better_stay() -> None:
    """Also where nobody stays any more."""
    torch.manual_seed(0)
    networks, slot = LinkNetworks(system(), "flat", width=16), slots_of(system(), 8)
    torch.nn.init.constant_(networks.actor.network.home.bias, -8.0)
    assert (networks.actor(slot) > 0.0).all()
    networks.critic.leads = lambda _, shares: torch.full_like(shares, 0.5)  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(networks.actor.parameters(), 1e-2)
    for _ in range(300):
        networks.follow(slot, 0.0, optimizer, 1.0)
    assert (networks.actor(slot) < 0.0).float().mean() > 0.9


def model_of(name: str, scenario: Scenario | None = None, **changes: Any) -> Any:
    learner, arguments = LEARNERS[name]
    env = make_sb3_vec_env(scenario or system(), n_envs=4, seed=0)
    return learner(env=env, seed=0, device="cpu", **arguments | changes)


each = pytest.mark.parametrize("name", LEARNERS)


@each
def test_both_networks_learn(name: str) -> None:
    model = model_of(name)
    before = {key: value.clone() for key, value in model.policy.state_dict().items()}
    after = model.learn(128).policy.state_dict()
    for part in ("actor.network.link.weight", "critic.server.4.bias", "critic.unit"):
        assert not torch.equal(before[f"links.{part}"], after[f"links.{part}"]), part


@each
def test_slots_in_which_nobody_is_present_leave_all_finite(name: str) -> None:
    places = np.random.default_rng(0).uniform(0.0, 50.0, (6, DEVICES, 2))
    places[2:5] = places[0, 1] = np.nan
    model = model_of(name, system(mobility=Traces(places, 1.0), migration_s=1.0)).learn(64)
    assert all(bool(value.isfinite().all()) for value in model.policy.state_dict().values())


@each
def test_devices_that_cannot_stay_never_do(name: str) -> None:
    forced = system(max_power_w=[0.5, 0.5, 1.5, 1.5, 1.5])
    assert not forced.can_execute_locally[0]
    model = model_of(name, forced).learn(64)
    seen = model.get_env().reset()
    for deterministic in (False, True):
        drawn, _ = model.predict(seen, deterministic=deterministic)
        assert (drawn[:, :2] > 0).all()


@each
def test_a_saved_model_decides_alike_and_goes_on(name: str, tmp_path: Path) -> None:
    model = model_of(name, policy_kwargs={"width": 8}).learn(64)
    model.save(tmp_path / "model")
    seen = model.get_env().reset()
    expected, _ = model.predict(seen, deterministic=True)
    alone = type(model).load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(alone.predict(seen, deterministic=True)[0], expected)
    again = type(model).load(tmp_path / "model", env=model.get_env(), device="cpu")
    np.testing.assert_array_equal(again.predict(seen, deterministic=True)[0], expected)
    for key, value in model.policy.state_dict().items():
        assert torch.equal(value, again.policy.state_dict()[key]), key
    assert again.learn(64, reset_num_timesteps=False).num_timesteps == 128


@each
def test_who_may_stay_is_the_env_s_not_the_file_s(name: str, tmp_path: Path) -> None:
    model = model_of(name, system(max_power_w=[1.2, 1.2, 1.5, 1.5, 1.5]))
    model.save(tmp_path / "model")
    assert "links.may_stay" not in model.policy.state_dict()
    forced = system(max_power_w=[0.5, 1.2, 1.5, 1.5, 1.5])
    env = make_sb3_vec_env(forced, n_envs=4, seed=0)
    again = type(model).load(tmp_path / "model", env=env, device="cpu")
    assert again.policy.links.may_stay.tolist() == [False, True, True, True, True]


@each
def test_weights_of_a_world_that_shows_other_things_are_refused(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    model.save(tmp_path / "model")
    env = make_sb3_vec_env(system(weight_latency=[0.1, 0.2, 0.3, 0.4, 0.5]), n_envs=4)
    with pytest.raises(ValueError, match=r"cannot be loaded|other things differ"):
        type(model).load(tmp_path / "model", env=env)


@each
def test_equal_seeds_train_alike(name: str) -> None:
    one, other = (model_of(name).learn(64).policy.state_dict() for _ in range(2))
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


@pytest.mark.parametrize("migration_s", [0.0, 2.0])
@each
def test_deterministic_decisions_are_made_together_where_services_stay(
    name: str, migration_s: float
) -> None:
    """Unless servers decide on their own."""
    alike = Scenario(n_devices=64, n_servers=2, migration_s=migration_s)
    model = model_of(name, alike)
    seen = model.get_env().reset()
    decisions, _ = model.predict(seen, deterministic=True)
    with torch.no_grad():
        preferences = model.policy.links(torch.as_tensor(seen))
    shares = torch.softmax(torch.nn.functional.pad(preferences, (1, 0)), -1)[..., 1:]
    expected = shares.sum((1, 2)).numpy()  # and each, untrained, would stay
    assert (expected > 2.0).all()
    together = not migration_s and name != "maddpg:links"
    wanted = expected if together else np.zeros(len(expected))
    np.testing.assert_allclose((decisions > 0).sum(-1), wanted, atol=2.0 * together)


@pytest.mark.parametrize("columns", [False, True])
def test_the_actor_follows_loads_of_weights_or_of_decisions(columns: bool) -> None:
    """Where all would rather stay by a little, many are expected to go, and nobody does."""
    scenario = system()
    raised = {}
    for expected in (1.0, 0.0):
        torch.manual_seed(0)
        networks = LinkNetworks(scenario, "flat", width=8, columns=columns)
        slot, actor = slots_of(scenario), networks.actor
        torch.nn.init.constant_(actor.network.home.bias, 3.0)
        before = actor(slot).detach()
        assert (before < 0.0).all()
        # A place pays while less than one in 50 of the devices go.
        networks.critic.leads = lambda _, shares: (  # type: ignore[method-assign]
            (shares.sum((1, 2), keepdim=True) / DEVICES - 0.02).expand_as(shares)
        )
        assert torch.softmax(torch.nn.functional.pad(before, (1, 0)), -1)[..., 0].mean() < 0.97
        networks.follow(slot, 0.0, torch.optim.SGD(actor.parameters(), 1e-2), 1.0, expected)
        raised[expected] = (actor(slot).detach() - before).mean().item()
    assert raised[1.0] < 0.0 < raised[0.0]


@each
def test_a_policy_alone_is_saved_with_its_arguments(name: str) -> None:
    policy = model_of(name, policy_kwargs={"width": 8}).policy
    file = io.BytesIO()
    policy.save(file)
    file.seek(0)
    again = type(policy).load(file, device="cpu")
    for key, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@each
def test_any_reward_of_the_env_trains_alike(name: str) -> None:
    """All stand for the same costs, up to rounding and their unit."""
    entropies = []
    for reward in ("reciprocal", "negative"):
        learner, arguments = LEARNERS[name]
        env = make_sb3_vec_env(system(), n_envs=4, seed=0, reward=reward)
        model = learner(env=env, seed=0, device="cpu", **arguments).learn(32)
        entropies.append(model.policy.links.critic.device[-1].weight.detach())
    torch.testing.assert_close(*entropies, rtol=1e-2, atol=1e-3)


@each
@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"gamma": 0.9}, ValueError, "gamma=0"),
        ({"policy_kwargs": {"width": 0}}, ValueError, "width"),
    ],
)
def test_arguments_are_refused(
    name: str, changes: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        model_of(name, **changes)


def test_what_maddpg_cannot_do_with_one_vote_is_refused() -> None:
    unfit: tuple[dict[str, Any], ...] = ({"critics": "per-agent"}, {"others": "replay"})
    for changes in unfit:
        with pytest.raises(ValueError, match=r"must be .* for LinkPolicy"):
            model_of("maddpg:links", **changes)


@pytest.mark.parametrize("changes", [{"critic_epochs": 0}, {"actor_epochs": 1.5}, {"strays": 2.0}])
def test_rounds_of_ac_are_whole(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        model_of("ac:links", policy_kwargs=changes)


@each
def test_changed_observations_are_refused(name: str) -> None:
    learner, arguments = LEARNERS[name]
    env = make_sb3_vec_env(system(), n_envs=4)
    for changed in (VecNormalize(env), VecFrameStack(env, 2)):
        with pytest.raises(ValueError, match="as they are"):
            learner(env=changed, **arguments)
    rewards_alone = VecNormalize(env, norm_obs=False)
    assert learner(env=rewards_alone, seed=0, **arguments).learn(32).num_timesteps == 32


@each
def test_a_world_of_other_features_is_refused_and_another_map_is_not(name: str) -> None:
    model = model_of(name)
    model.set_env(make_sb3_vec_env(system(layout_seed=3), n_envs=4))
    with pytest.raises(ValueError, match="Make a new model"):
        model.set_env(make_sb3_vec_env(system(fading_correlation=0.5), n_envs=4))


@each
def test_changed_observations_are_refused_later_too(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    model.save(tmp_path / "model")
    changed = VecNormalize(make_sb3_vec_env(system(layout_seed=3), n_envs=4))
    for attempt in (model.set_env, lambda env: type(model).load(tmp_path / "model", env)):
        with pytest.raises(ValueError, match=r"^env must show observations as they are"):
            attempt(changed)
    assert model.policy.links.scenario == system()


@each
def test_a_discount_given_to_load_is_refused(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    model.save(tmp_path / "model")
    for env in (None, model.get_env()):
        with pytest.raises(ValueError, match=r"^argument of load\(\): gamma must be 0"):
            type(model).load(tmp_path / "model", env, gamma=0.9)


@each
def test_a_refused_env_changes_nothing(name: str) -> None:
    model = model_of(name)
    before = model.env
    for scenario, copies, words in (
        (system(fading_correlation=0.5), 4, "Make a new model"),
        (system(layout_seed=3), 2, "4 copies of the env; got 2"),
    ):
        with pytest.raises(ValueError, match=words):
            model.set_env(make_sb3_vec_env(scenario, n_envs=copies))
        assert model.env is before
        assert model.policy.links.scenario == system()
        assert getattr(model, "scenario", system()) == system()


def slots_and_unit(model: Any) -> tuple[int, float]:
    buffer = getattr(model, "replay_buffer", None)
    return (buffer.size() if buffer else 0), model.policy.links.critic.unit.item()


@each
def test_slots_and_unit_of_another_scenario_are_left_behind(name: str, tmp_path: Path) -> None:
    model = model_of(name).learn(64)
    model.save(tmp_path / "model")
    before = slots_and_unit(model)
    assert before[1] > 0.0
    same, other = (make_sb3_vec_env(system(noise_w=w), n_envs=4) for w in (system().noise_w, 1e-7))
    model.set_env(same)
    assert slots_and_unit(model) == before
    assert slots_and_unit(type(model).load(tmp_path / "model", same)) == (0, before[1])
    model.set_env(other)
    for one in (model, type(model).load(tmp_path / "model", other)):
        assert slots_and_unit(one) == (0, 0.0)
    assert model.learn(64).num_timesteps == 64


@each
def test_rewards_of_another_sign_replace_those_before(name: str) -> None:
    model = model_of(name).learn(64)
    _, unit = slots_and_unit(model)
    model.set_env(make_sb3_vec_env(system(), n_envs=4, reward="negative"))
    slots, now = slots_and_unit(model.learn(32, reset_num_timesteps=False))
    assert now != unit
    if name != "ac:links":
        assert slots == 32 / 4
        assert (model.replay_buffer.rewards[:slots] < 0.0).all()


@each
def test_arguments_that_load_could_not_use_are_refused(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    model.save(tmp_path / "model")
    for given in ("learnin_rate", "policy"):
        with pytest.raises(TypeError, match=rf"unexpected argument of load\(\) '{given}'"):
            type(model).load(tmp_path / "model", **{given: 1.0})


def test_no_device_strays_of_decisions_that_are_not_drawn() -> None:
    model = model_of("ac:links", policy_kwargs={"strays": 1.0})
    seen = model.get_env().reset()
    decided, _, _ = model.policy(torch.as_tensor(seen), deterministic=True)
    np.testing.assert_array_equal(decided, model.predict(seen, deterministic=True)[0])


@each
def test_a_run_by_name_has_its_arguments(name: str) -> None:
    found = algorithm(name)
    env = make_sb3_vec_env(system(), n_envs=4)
    model = found.build(env, device="cpu")
    assert model.policy.links.scenario == system()
    assert found.arguments_of(model)["policy"] == "LinkPolicy"


def test_strays_go_to_one_server_each() -> None:
    np.random.seed(0)  # noqa: NPY002
    noise = StrayNoise(SERVERS, 400, 1.0)
    shares = []
    for _ in range(50):
        scores = np.clip(np.full(SERVERS * 400, -0.5) + noise(), -1.0, 1.0)
        decision = vote((scores.reshape(SERVERS, 400) + 1.0) / 2.0)
        strayed = noise().reshape(SERVERS, 400).any(0)
        shares.append(strayed.mean())
        assert set(np.unique(decision)) <= set(range(SERVERS + 1))
    assert 0.3 < np.mean(shares) < 0.7
    assert np.std(shares) > 0.2


@pytest.mark.slow
@each
def test_where_links_differ_it_learns_which_pay(name: str) -> None:
    scenario = Scenario.preset(
        "unequal-200x10", n_devices=60, n_servers=4, server_frequency_hz=(3e9, 5e9, 7e9, 9e9)
    )
    slots = slot_set(scenario, own_layout=True, n_layouts=4, seed=7)
    chosen = algorithm(name)
    env = make_sb3_vec_env(scenario, n_envs=chosen.n_envs, seed=3)
    model = chosen.build(env, seed=0, device="cpu").learn(3_000)
    assert nrr(slots, decide_with(model)).mean() > 0.95


@pytest.mark.slow
@each
def test_devices_that_look_alike_neither_all_stay_nor_all_leave(name: str) -> None:
    scenario = Scenario.preset("paper-200x10", n_devices=60, n_servers=4)
    slots = slot_set(scenario, own_layout=True, n_layouts=4, seed=7)
    chosen = algorithm(name)
    env = make_sb3_vec_env(scenario, n_envs=chosen.n_envs, seed=3)
    for seed in range(3):
        model = chosen.build(env, seed=seed, device="cpu").learn(3_000)
        assert nrr(slots, decide_with(model)).mean() > 0.9
