"""The additive critic: its differences against its own total, its symmetry, and that it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from torch import Tensor

from baselines.learners.additive_critic import FAR, AdditiveCritic, Seen, costs_of
from mec_gym import Scenario, Slot, Uniform, counterfactuals, evaluate
from mec_gym.model.cost import NO_TASK

DEVICES, SERVERS, BATCH = 5, 3, 4
SPEEDS = (5e9, 1e10, 2e10)


def world(**changes: Any) -> Scenario:
    uneven: dict[str, Any] = {"data_bits": Uniform(4e5, 12e5), "cycles": Uniform(5e8, 15e8)}
    plain: dict[str, Any] = {
        "n_devices": DEVICES,
        "n_servers": SERVERS,
        "server_frequency_hz": SPEEDS,
    }
    return Scenario(**(plain | uneven | changes))


def slots_of(scenario: Scenario, batch: int = BATCH, seed: int = 0) -> Slot:
    rng = np.random.default_rng(seed)
    shape = (batch, scenario.n_devices)
    return Slot(
        10.0 ** rng.uniform(-8, -5, (*shape, scenario.n_servers)),
        rng.uniform(4e5, 12e5, shape),
        rng.uniform(5e8, 15e8, shape),
        hosts=rng.integers(0, scenario.n_servers + 1, shape) if scenario.migrates else None,
    )


def critic_of(scenario: Scenario) -> AdditiveCritic:
    torch.manual_seed(0)
    return AdditiveCritic(scenario)


def seen_by(critic: AdditiveCritic, slot: Slot) -> Seen:
    return critic.see(slot)


def shares_of(assignment: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(assignment, SERVERS + 1)[..., 1:].float()


ASSIGNMENTS = torch.as_tensor(np.random.default_rng(3).integers(0, SERVERS + 1, (BATCH, DEVICES)))


def test_differences_are_those_of_the_total() -> None:
    scenario = world()
    critic = critic_of(scenario)
    seen = seen_by(critic, slots_of(scenario))
    found = critic.prices(seen).differences(shares_of(ASSIGNMENTS))
    for device in range(DEVICES):
        totals = []
        for choice in range(SERVERS + 1):
            other = ASSIGNMENTS.clone()
            other[:, device] = choice
            totals.append(critic(seen, other))
        expected = torch.stack(totals[1:], -1) - totals[0][:, None]
        torch.testing.assert_close(found[:, device], expected)


def test_of_expected_loads_too_they_are_those_of_the_mean_total() -> None:
    """Costs are of second order in loads: the mean over independent draws, exactly."""
    scenario = world(n_devices=3)
    critic = critic_of(scenario)
    seen = seen_by(critic, slots_of(scenario, batch=1))
    chances = torch.softmax(
        torch.randn(3, SERVERS + 1, generator=torch.Generator().manual_seed(0)), -1
    )
    found = critic.prices(seen).differences(chances[None, :, 1:])[0]
    decisions = torch.cartesian_prod(*[torch.arange(SERVERS + 1)] * 3)
    totals = critic(Seen(*(part.expand(64, *part.shape[1:]) for part in seen)), decisions)
    for device in range(3):
        others = [one for one in range(3) if one != device]
        weights = torch.stack([chances[one][decisions[:, one]] for one in others]).prod(0)
        means = [
            (weights * totals)[decisions[:, device] == choice].sum()
            for choice in range(SERVERS + 1)
        ]
        torch.testing.assert_close(found[device], torch.stack(means[1:]) - means[0])


def test_leads_are_differences_in_costs_of_staying_cut() -> None:
    scenario = world()
    critic = critic_of(scenario)
    with torch.no_grad():
        list(critic.link.parameters())[-2].mul_(20.0)
        list(critic.device.parameters())[-1][0] -= 4.0
    seen, shares = seen_by(critic, slots_of(scenario)), shares_of(ASSIGNMENTS)
    prices = critic.prices(seen)
    expected = prices.differences(shares) / prices.home.mean()
    found = critic.leads(seen, shares)
    assert (expected.abs() > FAR).any()
    assert not found.requires_grad
    torch.testing.assert_close(found, expected.clamp(-FAR, FAR))


def test_devices_and_servers_in_another_order_have_prices_in_that_order() -> None:
    scenario = world()
    devices, servers = [3, 0, 4, 1, 2], [2, 0, 1]
    critic, slot = critic_of(scenario), slots_of(scenario)
    prices = critic.prices(seen_by(critic, slot))
    moved = Slot(
        slot.gains[:, devices][..., servers], slot.data_bits[:, devices], slot.cycles[:, devices]
    )
    critic.meet(scenario.replace(server_frequency_hz=[SPEEDS[j] for j in servers]))
    found = critic.prices(seen_by(critic, moved))
    torch.testing.assert_close(found.home, prices.home[:, devices])
    torch.testing.assert_close(found.work, prices.work[:, devices])
    torch.testing.assert_close(found.links, prices.links[:, devices][..., servers])
    torch.testing.assert_close(found.square, prices.square[servers])


def test_what_devices_are_for_good_goes_with_them() -> None:
    weights = [1.0, 2.0, 3.0, 4.0, 5.0]
    critic = critic_of(world(weight_energy=weights))
    slot = slots_of(world())
    alike = Slot(slot.gains, 8e5, 1e9)
    home = critic.prices(seen_by(critic, alike)).home
    assert len(set(home[0].tolist())) == DEVICES
    torch.testing.assert_close(home, home[:1].expand_as(home))


def test_a_move_costs_and_absent_devices_cost_nothing() -> None:
    scenario = world(migration_s=2.0)
    critic, slot = critic_of(scenario), slots_of(scenario)
    here = Slot(slot.gains, slot.data_bits, slot.cycles, hosts=np.ones((BATCH, DEVICES), int))
    there = Slot(slot.gains, slot.data_bits, slot.cycles, hosts=np.full((BATCH, DEVICES), 2))
    links = [critic.prices(seen_by(critic, one)).links for one in (here, there)]
    differ = (links[0] != links[1]).all(0).all(0)
    assert differ.tolist() == [True, True, False]
    gone = np.where(np.arange(DEVICES) == 2, NO_TASK, slot.cycles)
    prices = critic.prices(seen_by(critic, Slot(slot.gains, slot.data_bits, gone, hosts=None)))
    for term in (prices.home, prices.work, prices.links):
        assert not term[:, 2].any()
        assert (term[:, [0, 1, 3, 4]] > 0).all()


def test_a_world_with_weaker_gains_looks_the_same_to_its_own_critic() -> None:
    """Gains, and noise with them, a million times as small: another unit, and the same system."""
    near = world()
    weak = near.replace(reference_gain=near.reference_gain * 1e-6, noise_w=near.noise_w * 1e-6)
    slot = slots_of(near)
    weaker = Slot(slot.gains * 1e-6, slot.data_bits, slot.cycles)
    ours, theirs = critic_of(near), critic_of(weak)
    torch.testing.assert_close(theirs.see(weaker), ours.see(slot), rtol=1e-4, atol=1e-4)
    theirs.load_state_dict(ours.state_dict())  # weights bring along what they were trained beside
    torch.testing.assert_close(theirs.see(slot), ours.see(slot))


def test_files_from_before_critics_had_a_middle_are_read() -> None:
    critic, other = critic_of(world()), critic_of(world())
    weights = critic.state_dict()
    del weights["middle"]
    other.middle.fill_(1.0)
    other.load_state_dict(weights)
    assert not other.middle


def test_it_learns_what_choices_cost_from_totals() -> None:
    """Differences of choices that it has never seen apart, against the model's own."""
    scenario = world(noise_w=1e-9)
    torch.manual_seed(0)
    critic, rng = AdditiveCritic(scenario), np.random.default_rng(1)
    optimizer = torch.optim.Adam(critic.parameters(), 5e-3)
    for step in range(600):
        slot = slots_of(scenario, batch=64, seed=step)
        decisions = rng.integers(0, SERVERS + 1, (64, DEVICES))
        rewards = torch.as_tensor(1.0 / evaluate(scenario, slot, decisions).objective).float()
        loss = critic.loss(critic.see(slot), torch.as_tensor(decisions), rewards)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    slot = slots_of(scenario, batch=64, seed=10_000)
    decisions = rng.integers(0, SERVERS + 1, (64, DEVICES))
    known = counterfactuals(scenario, slot, decisions)
    expected = torch.as_tensor(known[..., 1:] - known[..., :1])
    shares = shares_of(torch.as_tensor(decisions)).float()
    with torch.no_grad():
        found = critic.prices(critic.see(slot)).differences(shares) * critic.unit
    near = expected.abs() < 4.0
    assert near.float().mean() > 0.5
    errors = (found - expected)[near].abs()
    assert errors.mean() < 0.05 * expected[near].abs().mean()


def test_slots_in_which_nobody_is_present_teach_nothing() -> None:
    critic = critic_of(world())
    slot = slots_of(world())
    there = np.array([True, False, True, False])
    gone = np.where(there[:, None], slot.cycles, NO_TASK)
    seen = critic.see(Slot(slot.gains, slot.data_bits, gone))
    rewards = torch.tensor([-2.0, 0.0, -3.0, 0.0])
    expected = critic.loss(critic.see(slot[there]), ASSIGNMENTS[there], rewards[there])
    assert torch.equal(critic.loss(seen, ASSIGNMENTS, rewards), expected)
    empty = Seen(*(part[~there] for part in seen))
    loss = critic.loss(empty, ASSIGNMENTS[~there], rewards[~there])
    loss.backward()  # type: ignore[no-untyped-call]
    assert not any(bool(weight.grad.any()) for weight in critic.parameters())
    assert not critic.leads(empty, shares_of(ASSIGNMENTS[~there])).any()


@pytest.mark.parametrize("reward", [lambda cost: -cost, lambda cost: 7.0 / cost])
def test_rewards_of_either_form_stand_for_costs(reward: Any) -> None:
    costs = torch.tensor([1.0, 2.0, 4.0])
    found = costs_of(reward(costs))
    torch.testing.assert_close(found / found[0], costs)


@pytest.mark.parametrize("rewards", [[1.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
def test_other_rewards_are_refused(rewards: list[float]) -> None:
    with pytest.raises(ValueError, match="all negative, or their reciprocals"):
        costs_of(torch.tensor(rewards))
