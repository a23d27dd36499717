"""The same functions on torch tensors: same numbers, and tensors come back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mec_gym import Allocation, Scenario, Slot, allocate, allocation, evaluate
from mec_gym.model.arrays import namespace_of
from mec_gym.model.cost import computing_time, uplink
from tests.model.reference_loops import random_case, random_choices, random_slot

torch = pytest.importorskip("torch")

FIELDS = ("latency_s", "energy_j", "cost", "objective", "excess_frequency_hz", "excess_power_w")
PARTS = ("power_w", "frequency_hz", "capacity_price")

# Double precision: sums run in another order. Single: 6e-8 a rounding, times x e^x of the power.
TOLERANCES = {"float64": 1e-12, "float32": 3e-5}


def as_tensors(slot: Slot, precision: str) -> Slot:
    return Slot(
        *(
            torch.tensor(array.copy(), dtype=getattr(torch, precision))
            for array in (slot.gains, slot.data_bits, slot.cycles)
        )
    )


def assert_same(theirs: Any, ours: Any, precision: str) -> None:
    tolerance = TOLERANCES[precision]
    pairs = [(getattr(theirs, n), getattr(ours, n), n) for n in FIELDS]
    pairs += [(getattr(theirs.allocation, n), getattr(ours.allocation, n), n) for n in PARTS]
    for tensor, array, name in pairs:
        assert isinstance(tensor, torch.Tensor), name
        assert tensor.dtype == getattr(torch, precision), name
        assert tuple(tensor.shape) == array.shape, name
        np.testing.assert_allclose(tensor.numpy(), array, rtol=tolerance, err_msg=name)
    assert isinstance(theirs.feasible, torch.Tensor)
    np.testing.assert_array_equal(theirs.feasible.numpy(), ours.feasible)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("seed", range(5))
def test_tensors_give_what_arrays_give(seed: int, precision: str) -> None:
    scenario, slot, assignment = random_case(seed, 20, 4)
    tensors = as_tensors(slot, precision)
    ours = evaluate(scenario, slot, assignment)
    for choice in (assignment, assignment.tolist(), torch.tensor(assignment)):
        assert_same(evaluate(scenario, tensors, choice), ours, precision)
    found = allocate(scenario, tensors, assignment)
    for name in PARTS:
        assert torch.equal(
            getattr(found, name),
            getattr(evaluate(scenario, tensors, assignment).allocation, name),
        )


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(
    ("slots", "choices"), [((), (3,)), ((3,), ()), ((3,), (3,)), ((3,), (2, 1)), ((3,), (2, 3))]
)
def test_batches_of_tensors(slots: Any, choices: Any, precision: str) -> None:
    scenario, _, _ = random_case(1, 9, 4)
    rng = np.random.default_rng(0)
    slot, many = random_slot(rng, 9, 4, slots), random_choices(rng, scenario, choices)
    theirs = evaluate(scenario, as_tensors(slot, precision), torch.tensor(many))
    assert_same(theirs, evaluate(scenario, slot, many), precision)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_a_given_allocation_of_tensors(precision: str) -> None:
    scenario, slot, assignment = random_case(2, 9, 3)
    best = allocate(scenario, slot, assignment)
    halves = [best.power_w / 2, best.frequency_hz / 2, best.capacity_price]
    ours = evaluate(scenario, slot, assignment, Allocation(*halves))
    given = Allocation(*(torch.tensor(h, dtype=getattr(torch, precision)) for h in halves))
    theirs = evaluate(scenario, as_tensors(slot, precision), assignment, given)
    assert_same(theirs, ours, precision)


@pytest.mark.parametrize("precision", TOLERANCES)
def test_energy_may_have_no_weight(precision: str) -> None:
    scenario, slot, _ = random_case(3, 6, 2)
    scenario = scenario.replace(weight_energy=[0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    assignment = np.array([1, 1, 2, 2, 0, 0])
    theirs = evaluate(scenario, as_tensors(slot, precision), assignment)
    assert_same(theirs, evaluate(scenario, slot, assignment), precision)
    limit = scenario.per_device("max_power_w")[[0, 2]]
    np.testing.assert_allclose(theirs.allocation.power_w[[0, 2]].numpy(), limit, rtol=1e-7)


@pytest.mark.parametrize("gain", [1e-20, 1e-12, 1e-6, 1.0, 1e10])
def test_single_precision_stays_finite(gain: float) -> None:
    scenario = Scenario(n_devices=2, n_servers=1, weight_energy=[0.0, 1.0])
    slot = Slot(np.full((2, 1), gain), 8e5, 1e9)
    ours = evaluate(scenario, slot, [1, 1])
    theirs = evaluate(scenario, as_tensors(slot, "float32"), [1, 1])
    for name in ("latency_s", "energy_j", "cost"):
        np.testing.assert_allclose(getattr(theirs, name).numpy(), getattr(ours, name), rtol=3e-5)


def test_one_scenario_serves_both_kinds_in_turn() -> None:
    scenario, slot, assignment = random_case(4)
    first = evaluate(scenario, slot, assignment)
    for precision in ("float32", "float64", "float32"):
        assert_same(evaluate(scenario, as_tensors(slot, precision), assignment), first, precision)
    np.testing.assert_array_equal(evaluate(scenario, slot, assignment).cost, first.cost)


def test_refusals_are_the_same() -> None:
    scenario, slot, assignment = random_case(5)
    tensors = as_tensors(slot, "float64")
    with pytest.raises(TypeError, match="assignment must hold integers"):
        evaluate(scenario, tensors, torch.tensor(assignment).double())
    with pytest.raises(TypeError, match="assignment must hold integers"):
        evaluate(scenario, tensors, torch.ones(8, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"got 4 at index \(2,\)"):
        evaluate(scenario, tensors, torch.tensor([0, 1, 4, 0, 0, 0, 0, 0]))
    with pytest.raises(ValueError, match="batch axes"):
        evaluate(scenario, as_tensors(random_slot(np.random.default_rng(0), 8, 3, (3,)), "float64"),
                 torch.zeros((2, 8), dtype=torch.int64))  # fmt: skip
    with pytest.raises(ValueError, match=r"gains must be finite.*got nan at index \(1, 0\)"):
        Slot(torch.tensor([[1.0], [float("nan")]]), 1.0, 1.0)
    best = allocate(scenario, tensors, assignment)
    greedy = Allocation(best.power_w, best.frequency_hz * 2, best.capacity_price)
    with pytest.raises(ValueError, match=r"eq\. \(6\)"):
        evaluate(scenario, tensors, assignment, greedy)
    with pytest.raises(ValueError, match="power_w must have shape"):
        evaluate(
            scenario, tensors, assignment,
            Allocation(torch.ones(7).double(), best.frequency_hz, best.capacity_price),
        )  # fmt: skip


def test_tasks_follow_the_gains() -> None:
    slot = Slot(torch.ones((2, 3, 1), dtype=torch.float32), 8e5, np.full(3, 1e9))
    for tensor in (slot.data_bits, slot.cycles):
        assert tensor.dtype == torch.float32
        assert tuple(tensor.shape) == (2, 3)
    assert slot[1].batch_shape == ()


def test_tensors_are_not_written_to() -> None:
    scenario, slot, assignment = random_case(6)
    tensors = as_tensors(slot, "float64")
    copies = [t.clone() for t in (tensors.gains, tensors.data_bits, tensors.cycles)]
    evaluate(scenario, tensors, assignment, allocate(scenario, tensors, assignment))
    for tensor, copy in zip(
        (tensors.gains, tensors.data_bits, tensors.cycles), copies, strict=True
    ):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("power", [0.0, 0.3])
def test_costs_do_not_branch_on_what_tensors_hold(power: float) -> None:
    """Else they could neither be traced nor exported; vmap refuses such branches, too."""
    watts = torch.tensor([power, 0.0, 0.5], dtype=torch.float64)
    snr = torch.tensor([1e6, 1e4, 1e5], dtype=torch.float64)

    def link(p: Any, g: Any) -> Any:
        return uplink(namespace_of(p), p, g, 8e5, bps_per_nat=1e6 / math.log(2.0))

    def compute(f: Any) -> Any:
        return computing_time(namespace_of(f), torch.full_like(f, 1e9), f)

    for found, wanted in zip(torch.vmap(link)(watts, snr), link(watts, snr), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0.0, atol=0.0)
    torch.testing.assert_close(torch.vmap(compute)(watts), compute(watts), rtol=0.0, atol=0.0)
    assert torch.isinf(link(watts, snr)[0][1])
    torch.export.export(_Link(link), (watts, snr))


class _Link(torch.nn.Module):
    def __init__(self, link: Any) -> None:
        super().__init__()
        self.link = link

    def forward(self, watts: Any, snr: Any) -> Any:
        return self.link(watts, snr)


def test_a_slot_keeps_its_own_tensors_and_their_gradients() -> None:
    gains = torch.full((2, 1), 1e-6, requires_grad=True)
    bits = torch.full((2,), 8e5)
    slot = Slot(gains, bits, 1e9)
    evaluate(Scenario(n_devices=2, n_servers=1), slot, [1, 1]).objective.backward()
    assert gains.grad is not None
    bits.zero_()
    with torch.no_grad():
        gains.zero_()
    assert (slot.gains > 0.0).all()
    assert (slot.data_bits > 0.0).all()


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int32"])
def test_other_precisions_become_double_as_of_numpy(precision: str) -> None:
    gains = torch.ones((2, 1), dtype=getattr(torch, precision))
    for bits in (8e5, torch.full((2,), 8e5)):
        slot = Slot(gains, bits, 1e9)
        assert slot.gains.dtype == slot.data_bits.dtype == slot.cycles.dtype == torch.float64
        assert slot.data_bits.tolist() == [8e5, 8e5]


@pytest.mark.parametrize("kind", ["bool", "complex64"])
def test_tensors_of_no_numbers_are_refused_as_of_numpy(kind: str) -> None:
    tensor = torch.ones((2, 1), dtype=getattr(torch, kind))
    for gains in (tensor, tensor.numpy()):
        with pytest.raises(TypeError, match="gains must be an array of numbers"):
            Slot(gains, 8e5, 1e9)


def test_what_inference_mode_has_cached_serves_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_TABLES", {})
    scenario = Scenario(n_devices=3, n_servers=2)
    gains = torch.full((3, 2), 1e-6, dtype=torch.float64)
    with torch.inference_mode():
        evaluate(scenario, Slot(gains, 8e5, 1e9), torch.tensor([0, 1, 2]))
    learned = gains.requires_grad_()
    outcome = evaluate(scenario, Slot(learned, 8e5, 1e9), torch.tensor([0, 1, 2]))
    outcome.objective.backward()
    assert learned.grad is not None
    assert learned.grad[1, 0] < 0.0
