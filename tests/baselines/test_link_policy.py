"""One network for all links: its symmetry, what it sees, what it refuses, and that it helps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from baselines import ActorCritic
from baselines.learners import LinkPolicy
from baselines.learners.actor_critic import LINKS
from baselines.learners.link_policy import LinkLogits
from mec_bench import algorithm
from mec_gym import Scenario, Uniform
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.evaluation import decide_with, nrr, slot_set

DEVICES, SERVERS = 5, 3


def links(n_tasks: int = 2, n_servers: int = SERVERS, n_hosts: int = 0) -> LinkLogits:
    torch.manual_seed(0)
    first = n_servers + n_tasks
    made = LinkLogits(DEVICES, n_servers, first + n_hosts, slice(first, first + n_hosts), [8])
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.normal_()
    return made


def rows(n_tasks: int = 2, n_servers: int = SERVERS, batch: int = 4) -> torch.Tensor:
    return torch.randn(
        batch, DEVICES, n_servers + n_tasks, generator=torch.Generator().manual_seed(1)
    )


def logits_of(made: LinkLogits, seen: torch.Tensor) -> torch.Tensor:
    return made(seen.flatten(1)).view(len(seen), DEVICES, -1)


def test_devices_in_another_order_have_their_logits_in_that_order() -> None:
    made, seen, order = links(), rows(), [3, 0, 4, 1, 2]
    torch.testing.assert_close(logits_of(made, seen[:, order]), logits_of(made, seen)[:, order])


def test_servers_in_another_order_have_their_logits_in_that_order() -> None:
    made, seen, order = links(), rows(), [2, 0, 1]
    moved = torch.cat([seen[..., order], seen[..., SERVERS:]], -1)
    expected = logits_of(made, seen)[..., [0, *(1 + j for j in order)]]
    torch.testing.assert_close(logits_of(made, moved), expected)


def test_a_host_goes_with_its_server_and_counts() -> None:
    made, seen, order = links(n_hosts=SERVERS), rows(n_tasks=2 + SERVERS), [2, 0, 1]
    hosts = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 3, 1]), SERVERS + 1)[:, 1:]
    seen[..., -SERVERS:] = hosts
    moved = torch.cat(
        [seen[..., order], seen[..., SERVERS:-SERVERS], hosts[:, order].expand(4, -1, -1)], -1
    )
    expected = logits_of(made, seen)[..., [0, *(1 + j for j in order)]]
    torch.testing.assert_close(logits_of(made, moved), expected)
    nowhere = torch.cat([seen[..., :-SERVERS], torch.zeros_like(seen[..., -SERVERS:])], -1)
    differ = (logits_of(made, nowhere) != logits_of(made, seen))[..., 1:].any(-1).all(0)
    assert differ.tolist() == [False, True, True, True, True]


def test_a_server_s_own_term_moves_its_logits_alone() -> None:
    made, seen = links(), rows()
    before = logits_of(made, seen)
    with torch.no_grad():
        made.of_servers[1] += 0.5
    moved = logits_of(made, seen) - before
    torch.testing.assert_close(moved[..., 2], torch.full((4, DEVICES), 0.5))
    assert not moved[..., [0, 1, 3]].any()


@pytest.mark.parametrize("n_tasks", [0, 1, 2])
def test_a_link_s_logit_is_the_network_s_of_gain_lead_and_tasks(n_tasks: int) -> None:
    made, seen = links(n_tasks), rows(n_tasks)
    seen[0, 0, 1] = seen[0, 0, 0] = 9.0  # two best ones: neither leads
    found = logits_of(made, seen)
    for batch, device, server in np.ndindex(4, DEVICES, SERVERS):
        row = seen[batch, device].numpy()
        lead = row[server] - max(np.delete(row[:SERVERS], server))
        inputs = torch.tensor([row[server], lead, *row[SERVERS:]])
        torch.testing.assert_close(found[batch, device, 1 + server], made.network(inputs)[0])
    assert not found[..., 0].any()


def test_the_only_server_leads_nobody() -> None:
    made, seen = links(n_servers=1), rows(n_servers=1)
    inputs = torch.stack([seen[..., 0], torch.zeros(4, DEVICES), seen[..., 1], seen[..., 2]], -1)
    torch.testing.assert_close(logits_of(made, seen)[..., 1], made.network(inputs)[..., 0])


def system(**changes: Any) -> Scenario:
    uneven = {"data_bits": Uniform(4e5, 12e5), "cycles": Uniform(5e8, 15e8)}
    return Scenario(**({"n_devices": 12, "n_servers": 3} | uneven | changes))


def model_of(scenario: Scenario, **changes: Any) -> ActorCritic:
    env = make_sb3_vec_env(scenario, n_envs=4, seed=0)
    return ActorCritic(env=env, seed=0, device="cpu", **LINKS | changes)


def test_logits_are_the_sum_of_both_networks() -> None:
    model = model_of(system()).learn(64)
    policy = model.policy
    assert isinstance(policy, LinkPolicy)
    seen = torch.as_tensor(model.get_env().reset())
    with torch.no_grad():
        flat = seen.flatten(1)
        own = policy.action_net(policy.mlp_extractor.policy_net(flat))
        expected = (own + policy.links(flat)).view(4, 12, 4).log_softmax(-1)
        found = policy.get_distribution(seen).distribution.logits
    torch.testing.assert_close(found, expected)


def test_both_networks_learn() -> None:
    model = model_of(system())
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(64)
    after = model.policy.state_dict()
    for part in ("links.network.0.weight", "links.of_servers", "action_net.weight"):
        assert not torch.equal(before[part], after[part]), part


def test_devices_that_cannot_stay_never_do() -> None:
    forced = system(max_power_w=[0.5] * 6 + [1.5] * 6)
    assert not forced.can_execute_locally[0]
    model = model_of(forced).learn(64)
    seen = model.get_env().reset()
    drawn = np.concatenate([model.predict(seen)[0] for _ in range(50)])
    assert (drawn[:, :6] > 0).all()
    assert (drawn[:, 6:] == 0).any()


def test_a_saved_model_decides_alike_and_goes_on() -> None:
    model = model_of(system(), policy_kwargs={"link_arch": [8, 4]}).learn(64)
    file = io.BytesIO()
    model.save(file)
    file.seek(0)
    again = ActorCritic.load(file, env=model.get_env(), device="cpu")
    assert again.policy.link_arch == [8, 4]
    seen = model.get_env().reset()
    expected, found = (one.predict(seen, deterministic=True)[0] for one in (model, again))
    np.testing.assert_array_equal(expected, found)
    assert again.learn(64, reset_num_timesteps=False).num_timesteps == 128


def test_equal_seeds_train_alike() -> None:
    one, other = (model_of(system()).learn(64).policy.state_dict() for _ in range(2))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_ppo_takes_it() -> None:
    env = make_sb3_vec_env(system(), n_envs=4, seed=0)
    model = PPO(LinkPolicy, env, n_steps=8, batch_size=16, device="cpu").learn(64)
    assert model.predict(env.reset())[0].shape == (4, 12)


@pytest.mark.parametrize("widths", [[0], [1.5], 64, "64"])
def test_widths_must_be_whole_and_positive(widths: Any) -> None:
    with pytest.raises(ValueError, match="link_arch"):
        model_of(system(), policy_kwargs={"link_arch": widths})


PAPER = Scenario(n_devices=4, n_servers=2)
"""Without task columns: the gains of another frame could pass for two."""


@pytest.mark.parametrize("scenario", [system(), PAPER], ids=["two tasks", "no task"])
@pytest.mark.parametrize(
    "env",
    [
        lambda scenario: VecFrameStack(make_sb3_vec_env(scenario, n_envs=2), 2),
        lambda scenario: make_sb3_vec_env(scenario, n_envs=2, observation="raw"),
    ],
    ids=["stacked", "raw"],
)
def test_observations_that_do_not_show_links_are_refused(scenario: Scenario, env: Any) -> None:
    with pytest.raises(ValueError, match=r'observations must be "db" or "flat"'):
        ActorCritic(env=env(scenario), **LINKS)


def test_normalised_observations_are_refused(tmp_path: Path) -> None:
    env = VecNormalize(make_sb3_vec_env(system(), n_envs=4))
    with pytest.raises(ValueError, match="norm_obs"):
        ActorCritic(env=env, **LINKS)
    model = model_of(system())
    with pytest.raises(ValueError, match="norm_obs"):
        model.set_env(env)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="norm_obs"):
        ActorCritic.load(tmp_path / "model", env=env)
    assert ActorCritic(env=env).policy is not None


@pytest.mark.parametrize("observation", ["db", "flat"])
@pytest.mark.parametrize("n_servers", [1, 2, 4])
@pytest.mark.parametrize("tasks", [{}, {"data_bits": Uniform(4e5, 12e5)}])
def test_task_columns_are_told_from_gains(
    tasks: dict[str, Any], n_servers: int, observation: str
) -> None:
    scenario = Scenario(n_devices=4, n_servers=n_servers, **tasks)
    env = VecNormalize(
        make_sb3_vec_env(scenario, n_envs=2, observation=observation), norm_obs=False
    )
    model = ActorCritic(env=env, device="cpu", **LINKS | {"batch_size": 4})
    assert model.policy.links.network[0].in_features == 2 + len(tasks)
    assert model.learn(8).predict(env.reset())[0].shape == (2, 4)


def test_it_begins_with_nearly_equal_probabilities() -> None:
    model = model_of(system())
    seen = torch.as_tensor(model.get_env().reset())
    probabilities = model.policy.get_distribution(seen).distribution.probs.detach()
    torch.testing.assert_close(
        probabilities, torch.full_like(probabilities, 0.25), atol=0.05, rtol=0
    )


def test_a_policy_alone_is_saved_with_its_widths() -> None:
    policy = model_of(system(), policy_kwargs={"link_arch": [8, 4]}).policy
    file = io.BytesIO()
    policy.save(file)
    file.seek(0)
    again = LinkPolicy.load(file, device="cpu")
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_run_by_name_has_its_arguments() -> None:
    found = algorithm("ac:links")
    assert dict(found.arguments) == LINKS
    env = make_sb3_vec_env(system(), n_envs=4)
    model = found.build(env, device="cpu")
    assert isinstance(model.policy, LinkPolicy)
    assert found.arguments_of(model)["policy"] == "LinkPolicy"


@pytest.mark.slow
def test_where_links_differ_it_learns_what_separate_weights_do_not() -> None:
    scenario = Scenario.preset("unequal-200x10")
    slots = slot_set(scenario, own_layout=True, n_layouts=4, seed=7)
    reached = {}
    for policy in ("LinkPolicy", "MlpPolicy"):
        env = make_sb3_vec_env(scenario, n_envs=16, seed=3)
        model = ActorCritic(env=env, seed=0, device="cpu", **LINKS | {"policy": policy})
        model.learn(4_000)
        reached[policy] = nrr(slots, decide_with(model)).mean()
    stays = nrr(slots, decide_with(algorithm("local").build(env))).mean()
    assert reached["LinkPolicy"] > stays > reached["MlpPolicy"]
