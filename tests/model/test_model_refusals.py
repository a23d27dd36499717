"""What is refused, and whether the message says what, where, and what is required."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from mec_gym import Scenario, ScoreAction, Slot, allocate, evaluate, solve, vote
from mec_gym.envs.offloading import MultiMECEnv

GOOD: dict[str, Any] = {"gains": np.full((3, 2), 1e-6), "data_bits": 8e5, "cycles": 1e9}
UNITS = {"gains": "[1]", "data_bits": "[bit]", "cycles": "[cycle]"}


def scenario_of(**fields: Any) -> Scenario:
    return Scenario(n_devices=3, n_servers=2, **fields)


# -- slots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gains", "data_bits", "cycles"])
@pytest.mark.parametrize(
    "wrong", [math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 9e-31, 2e30, 5e-324]
)
def test_a_wrong_entry_is_named_with_its_place(name: str, wrong: float) -> None:
    values = np.full((3, 2) if name == "gains" else 3, 1.0)
    place = (2, 1) if name == "gains" else (2,)
    values[place] = wrong
    with pytest.raises(ValueError, match=f"^{name} must be finite, > 0") as caught:
        Slot(**GOOD | {name: values})
    message = str(caught.value)
    assert UNITS[name] in message
    assert f"got {wrong!r} at index {place}" in message
    assert f"(1 of {values.size} entries)" in message


@pytest.mark.parametrize("name", ["gains", "data_bits", "cycles"])
def test_the_ends_of_the_range_are_legal(name: str) -> None:
    shape = (3, 2) if name == "gains" else 3
    for value in (1e-30, 1e30):
        slot = Slot(**GOOD | {name: np.full(shape, value)})
        assert (getattr(slot, name) == value).all()


@pytest.mark.parametrize("shape", [(), (3,)])
def test_gains_have_at_least_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"gains must have shape \(\.\.\., N, M\); got shape"):
        Slot(**GOOD | {"gains": np.full(shape, 1e-6)})


@pytest.mark.parametrize("name", ["data_bits", "cycles"])
@pytest.mark.parametrize("shape", [(2,), (4,), (2, 3), (3, 1), (1, 3)])
def test_tasks_fit_the_gains(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{name} must have shape .*\(3, 2\); got shape"):
        Slot(**GOOD | {name: np.ones(shape)})


@pytest.mark.parametrize("name", ["gains", "data_bits", "cycles"])
@pytest.mark.parametrize(
    "wrong",
    [
        "many",
        "8e5",
        ["8e5", "8e5", "8e5"],
        np.array([["1", "2"]] * 3),
        {"a": 1},
        object(),
        [[1.0], [1.0, 2.0], [3.0]],
        1.0 + 2.0j,
        np.full((3, 2), 1.0 + 0.5j),
    ],
)
def test_what_is_not_a_number_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be an array of numbers"):
        Slot(**GOOD | {name: wrong})


def test_tasks_broadcast_to_the_batch() -> None:
    slot = Slot(np.full((5, 3, 2), 1e-6), data_bits=8e5, cycles=[1e9, 2e9, 3e9])
    assert slot.data_bits.shape == slot.cycles.shape == (5, 3)
    np.testing.assert_array_equal(slot.cycles[4], [1e9, 2e9, 3e9])
    assert slot.batch_shape == (5,)


def test_integers_become_floats() -> None:
    slot = Slot([[1, 2]], 800_000, 10**9)
    assert {a.dtype for a in (slot.gains, slot.data_bits, slot.cycles)} == {np.dtype(np.float64)}


def test_construction_does_not_write_and_slots_are_frozen() -> None:
    arrays = {"gains": np.full((3, 2), 1e-6), "data_bits": np.ones(3), "cycles": np.ones(3)}
    copies = {name: array.copy() for name, array in arrays.items()}
    slot = Slot(**arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, copies[name])
        assert array.flags.writeable
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(slot, name, array)


# -- assignments ----------------------------------------------------------------------------------

CALLS = [evaluate, allocate]


@pytest.fixture
def slot() -> Slot:
    return Slot(**GOOD)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("wrong", "dtype"),
    [
        ([0.0, 1.0, 2.0], "float64"),
        (np.zeros(3, dtype=np.float32), "float32"),
        ([True, False, True], "bool"),
        (np.zeros((2, 3), dtype=bool), "bool"),
        (["0", "1", "2"], "<U1"),
        (None, "object"),
        ([None, 1, 2], "object"),
        ([0, 1, math.nan], "float64"),
        ([], "float64"),
    ],
)
def test_assignments_are_of_integers(call: Any, wrong: Any, dtype: str, slot: Slot) -> None:
    with pytest.raises(TypeError, match=f"assignment must hold integers.*got dtype {dtype}"):
        call(scenario_of(), slot, wrong)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [0, [0, 1], [0, 1, 2, 0], [[0, 1], [1, 2]]])
def test_assignments_have_one_entry_per_device(call: Any, wrong: Any, slot: Slot) -> None:
    shape = str(np.shape(wrong)).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"shape \(\.\.\., 3\).*got shape {shape}"):
        call(scenario_of(), slot, wrong)


@pytest.mark.parametrize("call", CALLS)
def test_ragged_assignments_are_refused_by_name(call: Any, slot: Slot) -> None:
    with pytest.raises((TypeError, ValueError), match="assignment"):
        call(scenario_of(), slot, [[0, 1, 2], [0, 1]])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("wrong", "got", "place", "count"),
    [
        ([0, 3, 0], 3, "(1,)", "1 of 3"),
        ([0, 0, -1], -1, "(2,)", "1 of 3"),
        ([[0, 1, 2], [1, -5, 9]], -5, "(1, 1)", "2 of 6"),
        (np.array([0, 255, 1], dtype=np.uint8), 255, "(1,)", "1 of 3"),
        (np.array([0, 1, 2**63 + 1], dtype=np.uint64), 2**63 + 1, "(2,)", "1 of 3"),
    ],
)
def test_choices_out_of_range_are_named(
    call: Any, wrong: Any, got: int, place: str, count: str, slot: Slot
) -> None:
    with pytest.raises(ValueError, match=r"assignment entries must lie in 0\.\.\.2") as caught:
        call(scenario_of(), slot, wrong)
    assert f"got {got} at index {place} ({count} entries)" in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("slots", "choices"), [((2,), (3,)), ((2, 3), (2,)), ((4,), (2, 3))])
def test_batch_axes_must_broadcast(call: Any, slots: Any, choices: Any) -> None:
    batch = Slot(np.full((*slots, 3, 2), 1e-6), 8e5, 1e9)
    with pytest.raises(ValueError, match="batch axes of assignment") as caught:
        call(scenario_of(), batch, np.zeros((*choices, 3), dtype=int))
    assert str(slots) in str(caught.value)
    assert str(choices) in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("shape", [(4, 2), (3, 1), (2, 3), (5, 3, 3)])
def test_slots_have_the_scenarios_sizes(call: Any, shape: tuple[int, ...]) -> None:
    other = Slot(np.full(shape, 1e-6), 8e5, 1e9)
    with pytest.raises(ValueError, match=r"slot\.gains must have shape \(\.\.\., 3, 2\)"):
        call(scenario_of(), other, [0, 1, 2])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [np.full((3, 2), 1e-6), None, "slot", {"gains": 1}])
def test_slots_are_slots(call: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="slot must be a Slot; got"):
        call(scenario_of(), wrong, [0, 1, 2])


# -- the power limit of local execution, eq. (7) --------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_device_above_its_limit_cannot_be_local(call: Any, slot: Slot) -> None:
    # Table I's local power is 1e-27 (1e9)^3 = 1 W.
    scenario = scenario_of(max_power_w=[1.5, 0.75, 1.5])
    np.testing.assert_array_equal(scenario.can_execute_locally, [True, False, True])
    with pytest.raises(ValueError, match=r"device 1 cannot execute locally, eq\. \(7\)") as caught:
        call(scenario, slot, [0, 0, 0])
    for part in ("execution power 1 W", "max_power_w 0.75 W", "index (1,)", "Offload it"):
        assert part in str(caught.value)
    with pytest.raises(ValueError, match=r"device 1 cannot .* index \(1, 1\)"):
        call(scenario, slot, [[0, 1, 0], [0, 0, 0]])
    call(scenario, slot, [0, 1, 0])


def test_a_limit_that_is_just_met_allows_local_execution(slot: Slot) -> None:
    # 1e-27 * (1e9)^3 is 1 up to a rounding; Table I's numbers must not forbid themselves.
    scenario = scenario_of(max_power_w=1.0)
    assert scenario.can_execute_locally.all()
    assert evaluate(scenario, slot, [0, 0, 0]).feasible
    assert not scenario_of(max_power_w=0.999).can_execute_locally.any()
    # 1e-27 * (1.5e9)^3 is above 3.375 by its rounding.
    rounded = scenario_of(local_frequency_hz=1.5e9, max_power_w=3.375)
    assert (rounded.local_power_w > 3.375).all()
    assert rounded.can_execute_locally.all()


def test_the_local_power_is_of_each_device() -> None:
    scenario = scenario_of(
        local_frequency_hz=[1e9, 2e9, 1e8],
        switched_capacitance=[1e-27, 1e-18, 3e-16],
        power_exponent=[3.0, 2.0, 2.0],
        max_power_w=[0.5, 5.0, 2.9],
    )
    # A power of ten or two, rounded once or twice.
    np.testing.assert_allclose(scenario.local_power_w, [1.0, 4.0, 3.0], rtol=1e-14)
    np.testing.assert_array_equal(scenario.can_execute_locally, [False, True, False])


def test_a_name_is_not_a_scenario(slot: Slot) -> None:
    for call in (lambda s: evaluate(s, slot, [0]), lambda s: solve(s, slot)):
        with pytest.raises(TypeError, match=r"scenario must be a Scenario; got str 'paper-30x2'"):
            call("paper-30x2")


PAIR = Scenario(n_devices=2, n_servers=1)
MASKED = np.ma.masked_array([1.0, 2.0], mask=[False, True])


@pytest.mark.parametrize(
    "give",
    [
        lambda: Slot(MASKED[:, None], 8e5, 1e9),
        lambda: Slot([[1.0], [1.0]], MASKED, 1e9),
        lambda: Scenario(n_devices=2, n_servers=1, max_power_w=MASKED),
        lambda: Scenario(n_devices=2, n_servers=1, cycles=MASKED),
        lambda: Scenario(n_devices=2, n_servers=1, noise_w=np.ma.masked),
        lambda: Scenario(n_devices=1, n_servers=1, device_positions=MASKED[None]),
        lambda: evaluate(PAIR, Slot([[1.0], [1.0]], 1.0, 1.0), MASKED.astype(int)),
        lambda: vote(MASKED[None]),
        lambda: MultiMECEnv(PAIR).step(MASKED.astype(int)),
        lambda: ScoreAction(MultiMECEnv(PAIR)).step(MASKED / 2.0),
    ],
)
def test_masked_entries_are_refused(give: Any) -> None:
    with pytest.raises(ValueError, match=r"must have a value everywhere; got 1 masked"):
        give()


def test_a_mask_that_hides_nothing_does_no_harm() -> None:
    whole = np.ma.masked_array([1.0, 2.0], mask=[False, False])
    assert Slot(whole[:, None], whole, 1e9).data_bits.tolist() == [1.0, 2.0]


def test_a_slot_keeps_its_own_arrays() -> None:
    gains, bits, cycles = np.ones((2, 1)), np.ones(2), np.ones(2)
    slot = Slot(gains, bits, cycles)
    for array in (gains, bits, cycles):
        array[...] = np.nan
    assert all((part == 1.0).all() for part in (slot.gains, slot.data_bits, slot.cycles))
