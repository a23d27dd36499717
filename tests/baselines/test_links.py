"""Links as learners see them: any order, any N and M, absent devices, an episode's first slot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch

from baselines.learners.links import LAGS, LinkNetwork, LinkView, apportioned
from mec_gym import Scenario, Slot, Uniform
from mec_gym.model.cost import NO_TASK
from mec_gym.model.world import World

TASKS: dict[str, Any] = {"data_bits": Uniform(4e5, 1.2e6), "cycles": Uniform(5e8, 1.5e9)}
SPEEDS = (5e9, 8e9, 1e10)
STILL = Scenario(
    n_devices=6, n_servers=3, noise_w=1e-6, server_frequency_hz=SPEEDS, **TASKS, name="still"
)
MOVING = Scenario.preset("crowd-30x4").replace(
    n_devices=6, n_servers=3, server_positions="kmeans", server_frequency_hz=SPEEDS, name="moving"
)
SCENARIOS = {one.name: one for one in (STILL, MOVING)}
BATCH = 4


def slots(scenario: Scenario, count: int = 3, seed: int = 0) -> list[Slot]:
    """Return consecutive slots, with hosts where services migrate."""
    world = World(scenario, BATCH)
    rngs = [np.random.default_rng([seed, index]) for index in range(BATCH)]
    world.reset(rngs)
    hosts = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        assert world.slot is not None
        shape = (BATCH, scenario.n_devices)
        drawn = hosts.integers(0, scenario.n_servers + 1, shape) if scenario.migrates else None
        found.append(world.slot.hosted(drawn))
        world.advance(rngs)
    return found


def seen(scenario: Scenario, shown: list[Slot]) -> Any:
    view = LinkView(scenario)
    memory = view.begin(BATCH)
    for slot in shown:
        links, memory = view(slot, memory)
    return links


def network(n_features: int) -> LinkNetwork:
    torch.manual_seed(0)
    made = LinkNetwork(np.zeros(n_features, dtype=np.float32), 8)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


@pytest.mark.parametrize("name", SCENARIOS)
def test_devices_in_another_order_are_seen_and_rated_in_that_order(name: str) -> None:
    scenario = SCENARIOS[name]
    order = [3, 0, 5, 4, 1, 2]
    shown = slots(scenario)
    moved = [
        Slot(
            one.gains[:, order],
            one.data_bits[:, order],
            one.cycles[:, order],
            None if one.hosts is None else one.hosts[:, order],
        )
        for one in shown
    ]
    links, others = seen(scenario, shown), seen(scenario, moved)
    np.testing.assert_allclose(others, links[:, order], rtol=1e-5, atol=1e-6)
    made = network(links.shape[-1])
    expected = made(torch.as_tensor(links))[:, order]
    torch.testing.assert_close(made(torch.as_tensor(others)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SCENARIOS)
def test_servers_in_another_order_are_seen_and_rated_in_that_order(name: str) -> None:
    scenario = SCENARIOS[name]
    order = [2, 0, 1]
    elsewhere = scenario.replace(server_frequency_hz=tuple(SPEEDS[j] for j in order))
    shown = slots(scenario)
    place = np.array([0, *(1 + order.index(j) for j in range(3))])  # of each server in that order
    moved = [
        Slot(
            one.gains[..., order],
            one.data_bits,
            one.cycles,
            None if one.hosts is None else place[one.hosts],
        )
        for one in shown
    ]
    links, others = seen(scenario, shown), seen(elsewhere, moved)
    np.testing.assert_allclose(others, links[:, :, order], rtol=1e-5, atol=1e-6)
    made = network(links.shape[-1])
    expected = made(torch.as_tensor(links))[..., [0, *(1 + j for j in order)]]
    torch.testing.assert_close(made(torch.as_tensor(others)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("devices", "servers"), [(1, 1), (2, 1), (3, 3), (40, 7)])
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_numbers_of_devices_and_servers(name: str, devices: int, servers: int) -> None:
    scenario = SCENARIOS[name]
    other = scenario.replace(n_devices=devices, n_servers=servers, server_frequency_hz=1e10)
    links = seen(other, slots(other))
    assert links.shape == (BATCH, devices, servers, LinkView(scenario).n_features)
    assert links.dtype == np.float32
    assert np.isfinite(links).all()
    made = network(links.shape[-1])
    assert made(torch.as_tensor(links)).shape == (BATCH, devices, servers + 1)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=str)
def test_absent_devices_are_not_there_for_others(scenario: Scenario) -> None:
    """The others see what they would in a world without them, now and later."""
    present = np.array([True, False, True, True, False, True])
    shown, fewer = slots(scenario), []
    for index, slot in enumerate(shown):
        gone = np.zeros(slot.cycles.shape, dtype=bool)
        gone[:, ~present] = True
        tasks = (np.where(gone, NO_TASK, one) for one in (slot.data_bits, slot.cycles))
        shown[index] = Slot(slot.gains, *tasks, slot.hosts)
        hosts = None if slot.hosts is None else slot.hosts[:, present]
        fewer.append(
            Slot(slot.gains[:, present], slot.data_bits[:, present], slot.cycles[:, present], hosts)
        )
    expected = seen(scenario.replace(n_devices=4), fewer)
    links = seen(scenario, shown)
    np.testing.assert_allclose(links[:, present], expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(links).all()


def test_the_first_slot_of_an_episode_has_no_past() -> None:
    """What moves is 0 there, whatever the slot; then it is what changed, and how fast."""
    view = LinkView(MOVING)
    first, second, third = slots(MOVING)
    changes = slice(view.n_features - 4 - 3, view.n_features - 4)
    links, memory = view(first, view.begin(BATCH))
    assert not links[..., changes].any()
    later, memory = view(second, memory)
    step = later[..., 0] - links[..., 0]
    np.testing.assert_allclose(later[..., changes][..., 0], 10.0 * step, rtol=1e-3, atol=1e-4)
    last, _ = view(third, memory)
    pace = np.abs(np.stack([step, last[..., 0] - later[..., 0]])).mean(axis=(0, 3))
    np.testing.assert_allclose(
        last[..., changes][..., 2], 10.0 * pace[..., None].repeat(3, -1), rtol=1e-3, atol=1e-4
    )
    begun, _ = view(third, np.zeros_like(memory))
    again, _ = view(third, view.begin(BATCH))
    np.testing.assert_array_equal(begun, again)
    assert memory.shape == (BATCH, 6, 3, LAGS + 2)


def test_the_queue_counts_those_with_a_better_gain_to_their_best_server() -> None:
    scenario = STILL.replace(n_devices=3, n_servers=2, server_frequency_hz=1e10)
    gains = np.array([[[4e-6, 1e-6], [3e-6, 1e-6], [1e-6, 2e-6]]] * BATCH)
    links = seen(scenario, [Slot(gains, 8e5, 1e9)])
    queue = np.expm1(links[0, :, :, 3] * 3.0)
    np.testing.assert_allclose(queue, [[0, 1], [1, 1], [2, 0]], atol=1e-5)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=str)
def test_a_world_with_weaker_gains_looks_the_same_to_its_own_network(scenario: Scenario) -> None:
    """Gains, and noise with them, a million times as small: another unit, and the same system."""
    weak = scenario.replace(
        reference_gain=scenario.reference_gain * 1e-6, noise_w=scenario.noise_w * 1e-6
    )
    middles = [LinkView(one).middle() for one in (scenario, weak)]
    links = [seen(one, slots(one)) for one in (scenario, weak)]
    beside = [one - middle for one, middle in zip(links, middles, strict=True)]
    assert np.abs(links[1] - links[0]).max() > 5.0
    np.testing.assert_allclose(*beside, rtol=1e-4, atol=1e-4)
    rated = []
    for one, middle in zip(links, middles, strict=True):
        made = network(links[0].shape[-1])
        made.middle.copy_(torch.as_tensor(middle))
        rated.append(made(torch.as_tensor(one)))
    torch.testing.assert_close(*rated, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", Scenario.presets())
def test_networks_see_presets_as_they_are(preset: str) -> None:
    assert not LinkView(Scenario.preset(preset)).middle().any()


def test_files_from_before_networks_had_a_middle_are_read() -> None:
    made = network(19)
    weights = made.state_dict()
    del weights["middle"]
    other = network(19)
    other.middle.fill_(1.0)
    other.load_state_dict(weights)
    assert not other.middle.any()


def test_each_choice_has_as_many_devices_as_probabilities_add_up_to() -> None:
    rng = np.random.default_rng(0)
    sure = rng.integers(0, 4, (5, 40))
    np.testing.assert_array_equal(apportioned(np.eye(4)[sure]), sure)
    alike = np.broadcast_to([0.55, 0.15, 0.15, 0.15], (1, 40, 4))  # all would stay, each on its own
    np.testing.assert_array_equal(np.bincount(apportioned(alike)[0]), [22, 6, 6, 6])
    assert not apportioned(alike, 0.5).any()  # sure enough
    drawn = rng.dirichlet([0.3] * 4, (5, 40))
    drawn[:, ::7, 2] = 0.0
    drawn /= drawn.sum(-1, keepdims=True)
    decisions = apportioned(drawn)
    assert (np.take_along_axis(drawn, decisions[..., None], -1) > 0.0).all()
    counts = np.eye(4)[decisions].sum(1)
    np.testing.assert_allclose(counts, drawn.sum(1), atol=1.5)
    order = rng.permutation(40)
    np.testing.assert_array_equal(apportioned(drawn[:, order]), decisions[:, order])
    # Who is sure decides alone, and the others make up their own sums, wherever the sure ones are.
    own = apportioned(drawn, 0.6)
    sure = drawn.max(-1) >= 0.6
    assert 0 < sure.sum() < sure.size
    np.testing.assert_array_equal(own[sure], drawn.argmax(-1)[sure])
    for row, settled, found in zip(drawn, sure, own, strict=True):
        np.testing.assert_array_equal(apportioned(row[None, ~settled])[0], found[~settled])
