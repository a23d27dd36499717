"""What servers turn away [P-2] and what they charge [P-1]."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dirs_agents.columns import ColumnCoder
from dirs_agents.prices import N_FEATURES, PriceBank
from mec_gym import Scenario, Slot, evaluate
from mec_gym.optimum import load_problems, paying
from tests.dirs_agents.dirs_helpers import (
    FORCED,
    TASKS,
    make_env,
    make_model,
    observations_of,
    shaken,
    slots_of,
)

MANY = Scenario(n_devices=12, n_servers=2, noise_w=1e-6)
SOME = FORCED.replace(noise_w=1e-6, name="some must offload")


def gain(saving: Any, root: Any, speed: float, kept: Any) -> float:
    total = work = 0.0
    for w, s, keep in zip(saving, root, kept, strict=True):
        if keep:
            total += w
            work += s
    return total - work**2 / speed


def best_gain(saving: Any, root: Any, speed: float, offered: Any) -> float:
    choices = [(False, True) if one else (False,) for one in offered]
    return max(gain(saving, root, speed, kept) for kept in itertools.product(*choices))


numbers = st.floats(-2.0, 5.0).map(lambda x: round(x, 3))


@st.composite
def problems(draw: Any, equal: bool) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    size = draw(st.integers(1, 7))
    saving = np.array(draw(st.lists(numbers, min_size=size, max_size=size)))
    works = st.just(1.0) if equal else st.floats(0.2, 3.0)
    root = np.array(draw(st.lists(works, min_size=size, max_size=size)))
    speed = draw(st.floats(0.5, 20.0))
    offered = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    return saving, root, speed, offered


@given(problems(equal=True))
def test_equal_tasks_are_admitted_as_brute_force_does(problem: Any) -> None:
    saving, root, speed, offered = problem
    kept = paying(saving, root, np.array(speed), offered)
    assert not (kept & ~offered).any()
    assert gain(saving, root, speed, kept) == pytest.approx(
        best_gain(saving, root, speed, offered), abs=1e-9
    )


@given(problems(equal=False))
def test_unequal_tasks_are_admitted_within_one_device_of_brute_force(problem: Any) -> None:
    saving, root, speed, offered = problem
    kept = paying(saving, root, np.array(speed), offered)
    assert not (kept & ~offered).any()
    found = gain(saving, root, speed, kept)
    assert found >= max(0.0, gain(saving, root, speed, offered)) - 1e-9
    # Between two sets of the order lies the fractional optimum: one device's saving bounds it.
    one = max([0.0, *saving[offered]])
    assert found >= best_gain(saving, root, speed, offered) - one - 1e-9


@given(problems(equal=False), st.integers(0, 2**7 - 1))
def test_numpy_and_torch_admit_alike_in_batches(problem: Any, must: int) -> None:
    saving, root, speed, offered = problem
    saving = saving.copy()
    for i in range(len(saving)):
        if must >> i & 1:
            saving[i] = np.inf
    alone = paying(saving, root, np.array(speed), offered)
    found = paying(
        torch.as_tensor(np.stack([saving, saving])),
        torch.as_tensor(np.stack([root, root])),
        torch.tensor([speed, speed], dtype=torch.float64),
        torch.as_tensor(np.stack([offered, offered])),
    )
    assert found.dtype == torch.bool
    assert found.tolist() == [alone.tolist()] * 2


@given(problems(equal=False), st.integers(1, 2**7 - 1))
def test_must_serve_devices_are_kept_and_the_others_fill_up(problem: Any, must: int) -> None:
    saving, root, speed, offered = problem
    marks = np.array([bool(must >> i & 1) for i in range(len(saving))])
    forced = np.where(marks, np.inf, saving)
    for kind in (np.asarray, lambda a: torch.as_tensor(np.asarray(a, dtype=np.float32))):
        kept = paying(
            kind(forced),
            kind(root),
            kind(np.array(speed)),
            offered if kind is np.asarray else torch.as_tensor(offered),
        )
        kept = np.asarray(kept)
        assert kept[marks & offered].all()
        assert not (kept & ~offered).any()
    # Keeping the others, too, is never worth less than serving only those that must be.
    kept = paying(forced, root, np.array(speed), offered)
    zeroed = np.where(marks, 0.0, saving)
    assert gain(zeroed, root, speed, kept) >= gain(zeroed, root, speed, marks & offered) - 1e-9
    assert gain(zeroed, root, speed, kept) >= gain(zeroed, root, speed, offered) - 1e-9


@pytest.mark.parametrize("scenario", [MANY, TASKS, SOME], ids=["equal", "unequal", "forced"])
def test_admission_never_raises_the_objective(scenario: Scenario) -> None:
    slots = slots_of(scenario, 200)
    problems = load_problems(scenario, slots)
    rng = np.random.default_rng(0)
    least = np.where(scenario.can_execute_locally, 0, 1)
    decision = rng.integers(least, scenario.n_servers + 1, (200, scenario.n_devices))
    saving = problems.cost[..., :1] - problems.cost[..., 1:]
    speeds = scenario.server_frequencies_hz
    kept = np.zeros_like(decision, dtype=bool)
    for j in range(scenario.n_servers):
        kept |= paying(
            saving[..., j], problems.root_work, np.full(200, speeds[j]), decision == j + 1
        )
    after = np.where(kept, decision, 0)
    before = np.asarray(evaluate(scenario, slots, decision).objective)
    values = np.asarray(evaluate(scenario, slots, after).objective)
    assert (values <= before * (1 + 1e-12)).all()
    assert (values < before).any()


def test_nothing_offered_nothing_kept() -> None:
    none = np.zeros(3, dtype=bool)
    assert not paying(np.ones(3), np.ones(3), np.array(1e9), none).any()
    assert not paying(np.full(3, np.inf), np.ones(3), np.array(1e9), none).any()


# -- the policy's admission ---------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [MANY, TASKS, SOME], ids=["equal", "unequal", "forced"])
def test_the_policys_admission_only_sends_devices_home_and_pays(scenario: Scenario) -> None:
    with_step = shaken(make_model("PricePolicy", scenario=scenario))
    kwargs = {"hidden": 4, "admission": False, "markdown": 0.75}
    without = make_model("PricePolicy", scenario=scenario, policy_kwargs=kwargs)
    assert without.policy.bank.markdown == 1.0
    without.policy.load_state_dict(with_step.policy.state_dict())
    without.policy.bank.markdown = with_step.policy.bank.markdown
    slots = slots_of(scenario, 100)
    observations = observations_of(scenario, 100)
    voted, _ = without.predict(observations)
    served, _ = with_step.predict(observations)
    assert ((served == voted) | (served == 0)).all()
    before = np.asarray(evaluate(scenario, slots, voted).objective)
    after = np.asarray(evaluate(scenario, slots, served).objective)
    # Single precision decides near ties.
    assert (after <= before * (1 + 1e-6)).all()


@pytest.mark.parametrize("markdown", [0.0, -0.1, 1.01, float("nan")])
def test_markdown_out_of_range_is_refused(markdown: float) -> None:
    with pytest.raises(ValueError, match="markdown"):
        make_model("PricePolicy", policy_kwargs={"markdown": markdown})


# -- prices -------------------------------------------------------------------------------------


def bank_of(scenario: Scenario, seed: int | None = 0) -> PriceBank:
    bank = PriceBank(ColumnCoder(scenario), hidden=4)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in bank.parameters():
                weight.add_(0.5 * torch.randn(weight.shape, generator=generator))
    return bank.double()


def savings_of(scenario: Scenario, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    problem = load_problems(scenario, slots_of(scenario, count, seed))
    saving = torch.as_tensor(problem.cost[..., :1] - problem.cost[..., 1:]).transpose(1, 2)
    return saving, torch.as_tensor(problem.root_work)[:, None].expand(saving.shape)


def chances_of(bank: PriceBank, saving: torch.Tensor, root: torch.Tensor) -> Any:
    """Return ratio, work and q of each device in falling order of w / s, as [P-1] has them."""
    ratio, order = (saving / root).sort(dim=-1, descending=True)
    work = root.gather(-1, order)
    with torch.no_grad():
        features = bank._features(ratio, work)
        chance = torch.sigmoid(bank.network(features)[..., 0] + bank._prior)
    return ratio.numpy(), work.numpy(), chance.numpy()


def price_by_bisection(ratio: Any, work: Any, chance: Any, speed: float) -> float:
    """λ F / 2 = E(λ): E rises from 0 at the first ratio to all work at price 0, linear between."""
    xs, ys, total = [ratio[0]], [0.0], 0.0
    for r, s, q in zip(ratio, work, chance, strict=True):
        total += q * s
        xs.append(r)
        ys.append(total)
    xs.append(min(ratio[-1], 0.0))
    ys.append(total)

    def expected(price: float) -> float:
        if price > xs[0]:
            return 0.0
        for k in range(1, len(xs)):
            if xs[k] <= price:
                if xs[k] == xs[k - 1]:
                    return ys[k]
                part = (xs[k - 1] - price) / (xs[k - 1] - xs[k])
                return ys[k - 1] + part * (ys[k] - ys[k - 1])
        return ys[-1]

    if xs[0] <= 0.0:
        return 0.0
    low, high = 0.0, xs[0]
    for _ in range(200):
        middle = (low + high) / 2
        if middle * speed / 2 > expected(middle):
            high = middle
        else:
            low = middle
    return (low + high) / 2


@pytest.mark.parametrize("seed", [None, 0, 1])
@pytest.mark.parametrize(
    "scenario",
    [MANY, TASKS, MANY.replace(noise_w=1e-3), MANY.replace(server_frequency_hz=1e8)],
    ids=["equal", "unequal", "deaf", "slow"],
)
def test_prices_solve_p_1(scenario: Scenario, seed: int | None) -> None:
    bank = bank_of(scenario, seed)
    saving, root = savings_of(scenario, 20)
    with torch.no_grad():
        prices = bank.prices(saving, root).numpy()
    ratio, work, chance = chances_of(bank, saving, root)
    assert prices.shape == (20, scenario.n_servers, 1)
    for b, j in np.ndindex(20, scenario.n_servers):
        speed = float(scenario.server_frequencies_hz[j])
        wanted = price_by_bisection(ratio[b, j], work[b, j], chance[b, j], speed)
        assert prices[b, j, 0] == pytest.approx(wanted, rel=1e-6, abs=1e-12 * abs(ratio).max())


def test_what_the_network_sees_is_free_of_units_and_knows_the_servers_speed() -> None:
    bank = bank_of(TASKS)
    saving, root = savings_of(TASKS, 6)
    ratio, order = (saving / root).sort(dim=-1, descending=True)
    work = root.gather(-1, order)
    seen = bank._features(ratio, work)
    assert seen.shape == (*ratio.shape, N_FEATURES)
    np.testing.assert_allclose(seen[0, 0, :, 0], np.linspace(-5 / 6, 5 / 6, 6))
    speeds = TASKS.server_frequencies_hz
    wanted = np.broadcast_to(np.log(speeds / speeds.mean())[:, None], (6, 3, 6))
    np.testing.assert_allclose(seen[..., 3], wanted, rtol=1e-6)
    mean = work.mean(-1, keepdim=True)
    np.testing.assert_allclose(seen[..., 2], work / mean - 1)
    torch.testing.assert_close(bank._features(7.0 * ratio, 3.0 * work), seen)


def test_the_first_guess_is_one_in_m() -> None:
    for servers in (2, 3, 10):
        scenario = MANY.replace(n_servers=servers)
        bank = bank_of(scenario, None)
        _, _, chance = chances_of(bank, *savings_of(scenario, 3))
        np.testing.assert_allclose(chance, 1 / servers, rtol=1e-12)


def test_faster_servers_charge_less() -> None:
    bank = bank_of(MANY, None)
    saving, root = savings_of(MANY, 20)
    found = []
    for factor in (0.5, 1.0, 2.0, 4.0):
        bank.frequency = torch.as_tensor(MANY.server_frequencies_hz * factor)
        with torch.no_grad():
            found.append(bank.prices(saving, root))
    for slow, fast in itertools.pairwise(found):
        assert (fast <= slow * (1 + 1e-9)).all()
        assert (fast < slow).any()


def test_more_devices_raise_the_price() -> None:
    bank = bank_of(MANY, None)
    saving, root = savings_of(MANY, 20)
    with torch.no_grad():
        prices = [
            bank.prices(saving.repeat(1, 1, times), root.repeat(1, 1, times)) for times in (1, 2, 4)
        ]
    for few, many in itertools.pairwise(prices):
        assert (many >= few * (1 - 1e-9)).all()
        assert (many > few).any()


def test_prices_lie_between_zero_and_the_best_ratio() -> None:
    for scenario in (MANY, TASKS, MANY.replace(noise_w=1e3)):
        bank = bank_of(scenario)
        saving, root = savings_of(scenario, 50)
        with torch.no_grad():
            prices = bank.prices(saving, root)
        best = (saving / root).max(-1, keepdim=True).values.clamp(min=0)
        assert (prices >= 0).all()
        assert (prices <= best * (1 + 1e-9)).all()


def test_gradients_of_prices_against_finite_differences() -> None:
    bank = bank_of(TASKS)
    saving, root = savings_of(TASKS, 8)

    def total() -> torch.Tensor:
        weights = torch.linspace(1.0, 2.0, 8 * 3, dtype=torch.float64).reshape(8, 3, 1)
        return (bank.prices(saving, root) * weights).sum() * 1e5

    gradients = torch.autograd.grad(total(), list(bank.network.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0
    step = 1e-6
    with torch.no_grad():
        for weight, gradient in zip(bank.network.parameters(), gradients, strict=True):
            flat, wanted = weight.view(-1), gradient.reshape(-1)
            for index in range(0, len(flat), 3):
                kept = flat[index].item()
                flat[index] = kept + step
                above = total().item()
                flat[index] = kept - step
                below = total().item()
                flat[index] = kept
                slope = (above - below) / (2 * step)
                assert slope == pytest.approx(wanted[index].item(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("scenario", [MANY, TASKS, SOME], ids=["equal", "unequal", "forced"])
def test_savings_are_those_of_the_exact_problem(scenario: Scenario) -> None:
    slots = slots_of(scenario, 5)
    bank = PriceBank(ColumnCoder(scenario), hidden=4)
    columns = bank.coder.columns(torch.as_tensor(observations_of(scenario, 5)))
    saving, root = bank.savings(columns)
    problem = load_problems(scenario, slots)
    wanted = (problem.cost[..., :1] - problem.cost[..., 1:]).transpose(0, 2, 1)
    local = scenario.can_execute_locally
    scale = np.abs(wanted[..., local]).max()
    # float32 observations carry gains to 5e-6, and the price of a link follows them.
    np.testing.assert_allclose(saving[..., local].numpy(), wanted[..., local], atol=5e-5 * scale)
    np.testing.assert_allclose(root[:, 0].numpy(), problem.root_work, rtol=1e-6)
    assert np.isfinite(saving.numpy()).all()


def test_scores_say_at_least_one_half_where_it_pays_at_the_marked_down_price() -> None:
    model = shaken(make_model("PricePolicy", make_env(TASKS)))
    bank = model.policy.bank
    with torch.no_grad():
        columns = model.policy.columns(torch.as_tensor(observations_of(TASKS, 30)))
        saving, root = bank.savings(columns)
        margin = saving - bank.markdown * bank.prices(saving, root) * root
        scores = bank.scores(columns)
    assert ((scores >= 0.5) == (margin >= 0)).all()
    assert (scores > 0).all()
    assert (scores < 1).all()
    # The order of scores is the order of margins, so the vote finds the largest.
    assert (scores.argmax(1) == margin.argmax(1)).all()


def test_a_lone_server_and_a_lone_device_have_prices() -> None:
    places = ((10.0, 10.0), (20.0, 20.0), (30.0, 30.0))
    for scenario in (
        Scenario(n_devices=1, n_servers=1),
        Scenario(n_devices=1, n_servers=3, server_positions=places),
        Scenario(n_devices=7, n_servers=1),
    ):
        model = shaken(make_model("PricePolicy", scenario=scenario))
        decision, _ = model.predict(observations_of(scenario, 4))
        assert decision.shape == (4, scenario.n_devices)
        model.learn(7)


def test_equal_devices_are_priced_without_nan() -> None:
    scenario = Scenario(n_devices=5, n_servers=2)
    slot = Slot(gains=np.full((3, 5, 2), 1e-6), data_bits=8e5, cycles=1e9)
    model = shaken(make_model("PricePolicy", scenario=scenario))
    from mec_gym.envs.observation import ObservationCoder

    observations = torch.as_tensor(ObservationCoder(scenario).encode(slot))
    columns = model.policy.columns(observations)
    loss = model.policy.bank(columns).sum()
    loss.backward()
    for weight in model.policy.parameters():
        assert weight.grad is not None
        assert torch.isfinite(weight.grad).all()
