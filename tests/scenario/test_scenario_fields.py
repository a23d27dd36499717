"""Fields: canonical, immutable, compared by value, and refused by name."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mec_gym import Scenario, Slot, Uniform, evaluate
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.fields import PER_DEVICE_FIELDS, POSITIVE_UNITS
from mec_gym.model.layout import fixed_layout


def small(**fields: Any) -> Scenario:
    return Scenario(**{"n_devices": 3, "n_servers": 2} | fields)


SINGLE_FIELDS = ("bandwidth_hz", "noise_w", "reference_gain", "min_distance_m")

# -- values ---------------------------------------------------------------------------------------


def test_equal_fields_make_equal_scenarios() -> None:
    one = small(max_power_w=[1, 2, 3], area_m=[60, 50], n_servers=2, cycles=Uniform(1, 2))
    two = small(
        max_power_w=np.array([1.0, 2.0, 3.0]),
        area_m=(60.0, np.float64(50.0)),
        n_servers=np.int64(2),
        cycles={"uniform": [1, 2]},
        name="another label",
    )
    assert one == two
    assert hash(one) == hash(two)
    assert len({one, two}) == 1
    assert one != one.replace(max_power_w=[1, 2, 4])
    assert one != "scenario"


def test_fields_cannot_be_set() -> None:
    scenario = small()
    for name in Scenario.fields():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(scenario, name, getattr(scenario, name))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Uniform(1, 2).low = 3  # type: ignore[misc]


def test_callers_arrays_are_copied() -> None:
    power, place = np.array([1.0, 2.0, 3.0]), np.full((3, 2), 5.0)
    scenario = small(max_power_w=power, device_positions=place, server_positions=place[:2])
    power[:], place[:] = 9.0, 9.0
    assert scenario.max_power_w == (1.0, 2.0, 3.0)
    assert scenario.device_positions == ((5.0, 5.0),) * 3
    scenario.per_device("max_power_w")[:] = 7.0
    scenario.server_frequencies_hz[:] = 7.0
    scenario.local_power_w[:] = 7.0
    assert scenario.max_power_w == (1.0, 2.0, 3.0)
    assert scenario.server_frequency_hz == 1e10
    np.testing.assert_allclose(scenario.local_power_w, 1.0, rtol=1e-15)  # one rounding


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)), dataclasses.replace],
)
def test_copies_are_equal(duplicate: Any, used: bool) -> None:
    scenario = small(cycles=Uniform(1e8, 1e9), device_positions="levy", name="label")
    if used:  # caches hang onto a scenario that has been worked with
        fixed_layout(scenario)
        evaluate(scenario, Slot(np.full((3, 2), 1e-6), 8e5, 1e9), [0, 1, 2])
    other = duplicate(scenario)
    assert other == scenario
    assert hash(other) == hash(scenario)
    assert other.name == "label"
    np.testing.assert_array_equal(
        fixed_layout(other).device_positions_m, fixed_layout(scenario).device_positions_m
    )


def test_replace_changes_what_it_names_and_nothing_else() -> None:
    scenario = small(noise_w=1e-9)
    other = scenario.replace(noise_w=1e-6, layout_seed=3)
    assert (other.noise_w, other.layout_seed) == (1e-6, 3)
    for name in set(Scenario.fields()) - {"noise_w", "layout_seed", "name"}:
        assert getattr(other, name) == getattr(scenario, name)
    assert scenario.noise_w == 1e-9
    assert other.name == "custom (changed: noise_w, layout_seed)"
    assert other.replace(noise_w=1e-7, fading="none").name == (
        "custom (changed: noise_w, layout_seed, fading)"
    )
    assert scenario.replace() == scenario
    assert scenario.replace(name="mine").name == "mine"


def test_replace_validates_the_whole() -> None:
    each = small(max_power_w=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="max_power_w must be one number or 4 numbers"):
        each.replace(n_devices=4)
    with pytest.raises(ValueError, match="weight_latency must be > 0"):
        small().replace(weight_latency=0.0)
    with pytest.raises(ValueError, match=r"kmeans.*4 servers for 3 devices"):
        small().replace(n_servers=4)
    with pytest.raises(ValueError, match="device_positions must lie inside the area"):
        small(device_positions=[[9, 9]] * 3).replace(area_m=(5, 50))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("bandwith_hz", "bandwidth_hz"),
        ("noise", "noise_w"),
        ("server_frequency", "server_frequency_hz"),
        ("n_device", "n_devices"),
        ("weight_latncy", "weight_latency"),
    ],
)
def test_unknown_fields_are_refused_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(TypeError, match=rf"{wrong!r} \(did you mean {right!r}\?\)"):
        small().replace(**{wrong: 1})
    with pytest.raises(TypeError, match=wrong):
        small(**{wrong: 1})


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POSITIVE_UNITS)
@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf, -math.inf, 9e-31, 2e30])
def test_what_is_not_positive_or_out_of_range(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be finite, > 0") as caught:
        small(**{name: wrong})
    assert f"got {wrong!r}" in str(caught.value)
    assert f"[{POSITIVE_UNITS[name]}]" in str(caught.value)


@pytest.mark.parametrize("name", [*POSITIVE_UNITS, "data_bits", "cycles", "weight_latency"])
@pytest.mark.parametrize("wrong", ["1", None, True, 1j, {"low": 1}])
def test_what_is_not_a_number(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} "):
        small(**{name: wrong})


@pytest.mark.parametrize("name", [*PER_DEVICE_FIELDS, "data_bits", "cycles"])
def test_per_device_fields_have_one_entry_or_n(name: str) -> None:
    value = float(small().per_device(name)[0])
    small(**{name: [value] * 3})
    for wrong in ([value], [value] * 2, [value] * 4, [[value] * 3], []):
        with pytest.raises(ValueError, match=rf"^{name} must be one number or 3 numbers") as caught:
            small(**{name: wrong})
        assert "n_devices=3" in str(caught.value)
    bad = [value, value, math.nan]
    with pytest.raises(ValueError, match=rf"^{name} .*got nan (at index \(2,\)|for device 2)"):
        small(**{name: bad})


def test_per_server_fields_have_one_entry_or_m() -> None:
    small(server_frequency_hz=[1e9, 2e9])
    for wrong in ([1e9], [1e9] * 3):
        with pytest.raises(ValueError, match=r"server_frequency_hz must be .* 2 numbers"):
            small(server_frequency_hz=wrong)
    with pytest.raises(ValueError, match=r"server_frequency_hz .* got inf at index \(1,\)"):
        small(server_frequency_hz=[1e9, math.inf])


@pytest.mark.parametrize("name", SINGLE_FIELDS)
def test_single_fields_take_one_number(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a number; got list"):
        small(**{name: [1.0, 2.0, 3.0]})


@pytest.mark.parametrize("name", ["n_devices", "n_servers", "layout_seed"])
def test_whole_numbers(name: str) -> None:
    for wrong in (2.0, "2", None, True, [2], math.nan):
        with pytest.raises(TypeError, match=f"^{name} must be an int; got"):
            small(**{name: wrong})
    with pytest.raises(ValueError, match=f"^{name} must be >= "):
        small(**{name: -1})
    assert getattr(small(**{name: np.uint8(2)}), name) == 2


def test_huge_integers_are_refused_by_name() -> None:
    with pytest.raises((TypeError, ValueError), match="noise_w"):
        small(noise_w=10**400)


def test_weights() -> None:
    assert small(weight_energy=0.0).weight_energy == 0.0
    for wrong in (-1.0, math.nan, math.inf, 1e-31):
        with pytest.raises(ValueError, match=r"^weight_energy must be 0 or within .*\[1/J\]"):
            small(weight_energy=wrong)
        with pytest.raises(ValueError, match=r"^weight_latency must be finite, > 0 .*\[1/s\]"):
            small(weight_latency=wrong)
    for zero in (0.0, [1.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match=r"^weight_latency must be > 0 \[1/s\].* for ever"):
            small(weight_latency=zero)


def test_every_decision_of_a_legal_world_has_finite_figures() -> None:
    weights = {"weight_latency": [1e-30, 1.0, 1e30], "weight_energy": [1e30, 0.0, 1.0]}
    env = MultiMECEnv(small(**weights), optimum=True)
    env.reset(seed=0)
    for server in (0, 1, 2):
        info = env.step([server] * 3)[4]
        assert all(np.isfinite(value).all() for value in info.values()), info


def test_local_execution_has_a_power_in_range() -> None:
    for wrong in (0.99, 10.01, math.nan):
        with pytest.raises(
            ValueError, match=r"power_exponent must lie in \[1, 10\].* at index \(2,\)"
        ):
            small(power_exponent=[1.0, 10.0, wrong], local_frequency_hz=1.0)
    for fields in (
        {"local_frequency_hz": 1e30, "power_exponent": 10.0, "switched_capacitance": 1e30},
        {"local_frequency_hz": 1e-30, "power_exponent": 10.0, "switched_capacitance": 1e-30},
    ):
        with pytest.raises(ValueError, match=r"^local execution power"):
            small(**fields)


def test_choices_and_geography() -> None:
    for field, wrong, message in (
        ("fading", "rayleight", "fading must be one of .*did you mean 'rayleigh'"),
        ("fading", 1, "fading must be one of"),
        ("layout", "fix", "layout must be one of .*did you mean 'fixed'"),
        ("device_positions", "unifrom", "device_positions must be one of .*'uniform'"),
        ("server_positions", "k-means", "server_positions must be one of .*'kmeans'"),
        ("server_positions", "uniform", "server_positions must be one of"),
        ("device_positions", [[1, 2]], r"device_positions .* shape \(3, 2\) \[m\]; got shape \(1"),
        ("device_positions", [[1, 2, 3]] * 3, r"got shape \(3, 3\)"),
        ("device_positions", [[1, 1], [1, math.nan], [1, 1]], r"got nan at index \(1, 1\)"),
        ("device_positions", [[1, 1], [1, 1], [50.1, 1]], r"got 50.1 at index \(2, 0\)"),
        ("server_positions", [[1, 1], [1, -0.1]], r"got -0.1 at index \(1, 1\)"),
        ("area_m", (50.0,), r"area_m must be \(width, height\)"),
        ("area_m", 50.0, r"area_m must be \(width, height\)"),
        ("area_m", (50.0, 0.0), "area_m must be finite, > 0"),
        ("area_m", (math.inf, 5.0), "area_m must be finite, > 0"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            small(**{field: wrong})
    with pytest.raises(TypeError, match="name must be a str"):
        small(name=3)
    with pytest.raises(ValueError, match="layout='redrawn' requires positions that are drawn"):
        small(device_positions=[[1, 1]] * 3, server_positions=[[1, 1]] * 2, layout="redrawn")
    # Either may be given while the other is drawn.
    small(device_positions=[[1, 1], [2, 2], [3, 3]], layout="redrawn")
    small(server_positions=[[1, 1]] * 2, layout="redrawn")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("device_positions", [["a", "b"]] * 3),
        ("device_positions", [[1], [1, 2], [3]]),
        ("server_positions", [[1, 2], None]),
        ("area_m", (1, (2, 3))),
    ],
)
def test_ragged_or_wordy_geography_is_refused_by_name(field: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=field):
        small(**{field: wrong})


def test_uniform_ranges() -> None:
    assert Uniform(1, 2) == Uniform(1.0, 2.0)
    for low, high in ((2.0, 1.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match=r"low < high; got low=.*, high="):
            Uniform(low, high)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"Uniform\.low must be finite"):
            Uniform(wrong, 5.0)
        with pytest.raises(ValueError, match=r"Uniform\.high must be finite"):
            Uniform(1.0, wrong)
    for wrong_type in ("1", None, True, [1.0]):
        with pytest.raises(TypeError, match=r"Uniform\.low must be a number"):
            Uniform(wrong_type, 5.0)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="max_power_w"):
        small(max_power_w=Uniform(1, 2))


# -- tables of positions --------------------------------------------------------------------------


def test_tables_are_used_as_they_are(tmp_path: Path) -> None:
    devices, servers = tmp_path / "devices.csv", tmp_path / "servers.csv"
    devices.write_text("x,y\n1,2\n3,4.5\n0,50\n", encoding="utf-8")
    servers.write_text("id,y_m,x_m\na,10,20\nb,30,40\n", encoding="utf-8")
    scenario = small(device_positions=devices, server_positions=str(servers))
    assert scenario.device_positions == ((1.0, 2.0), (3.0, 4.5), (0.0, 50.0))
    assert scenario.server_positions == ((20.0, 10.0), (40.0, 30.0))
    # The table is read once: the scenario and its JSON do without the file.
    devices.unlink()
    assert Scenario.from_json(scenario.to_json()) == scenario


@pytest.mark.parametrize("name", ["d.csv", "D.CSV", "d.txt", "a.b/d.tsv", "d."])
def test_paths_are_read_whatever_their_suffix(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x,y\n1,2\n3,4.5\n0,50\n", encoding="utf-8")
    wanted = ((1.0, 2.0), (3.0, 4.5), (0.0, 50.0))
    for given in (path, str(path)):
        assert small(device_positions=given).device_positions == wanted


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "devices.csv"
    with pytest.raises(FileNotFoundError):
        small(device_positions=table)
    for text, message in (
        ("x,y\n1,2\n", r"shape \(3, 2\) \[m\]; got shape \(1, 2\)"),
        ("x,z\n1,2\n", "devices.csv"),
        ("x,y\n1,2\n3,\n5,6\n", "line 3, column 'y'"),
        ("x,y\n1,2\n3,60\n5,6\n", r"must lie inside the area .* got 60.0 at index \(1, 1\)"),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            small(device_positions=table)
