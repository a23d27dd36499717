"""The file format: what is written is read back as equal, and what is foreign is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mec_gym import Scenario, Uniform
from mec_gym.files import read_object
from mec_gym.presets import PRESETS

POSITIVE = st.floats(1e-30, 1e30)
WEIGHT = st.one_of(st.just(0.0), POSITIVE)
SMALL = '"n_devices": 5, "n_servers": 1'


def one_or_each(values: st.SearchStrategy[float], size: int) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=size, max_size=size))


def tasks(size: int) -> st.SearchStrategy[Any]:
    ranges = st.tuples(POSITIVE, POSITIVE).filter(lambda ends: ends[0] < ends[1])
    return st.one_of(one_or_each(POSITIVE, size), ranges.map(lambda ends: Uniform(*ends)))


@st.composite
def positions(draw: st.DrawFn, rows: int, area: tuple[float, float]) -> Any:
    inside = st.tuples(st.floats(0.0, area[0]), st.floats(0.0, area[1]))
    return draw(st.lists(inside, min_size=rows, max_size=rows))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    area = (draw(st.floats(1e-3, 1e5)), draw(st.floats(1e-3, 1e5)))
    exponent = draw(one_or_each(st.floats(1.0, 3.0), n))
    layout = draw(st.sampled_from(["fixed", "redrawn"]))
    laws = st.sampled_from(["uniform", "gaussian", "levy"])
    drawn = laws if layout == "redrawn" else st.one_of(laws, positions(n, area))
    servers: st.SearchStrategy[Any] = positions(m, area)
    if m <= n:
        servers = st.one_of(st.just("kmeans"), servers)
    fields: dict[str, Any] = {
        name: draw(POSITIVE)
        for name in ("bandwidth_hz", "noise_w", "reference_gain", "min_distance_m")
    }
    return Scenario(
        n_devices=n,
        n_servers=m,
        area_m=area,
        **fields,
        fading=draw(st.sampled_from(["rayleigh", "none"])),
        data_bits=draw(tasks(n)),
        cycles=draw(tasks(n)),
        local_frequency_hz=draw(one_or_each(st.floats(1e-2, 1e9), n)),
        switched_capacitance=draw(one_or_each(st.floats(1e-20, 1e3), n)),
        power_exponent=exponent,
        max_power_w=draw(one_or_each(POSITIVE, n)),
        weight_latency=draw(one_or_each(POSITIVE, n)),
        weight_energy=draw(one_or_each(WEIGHT, n)),
        server_frequency_hz=draw(one_or_each(POSITIVE, m)),
        device_positions=draw(drawn),
        server_positions=draw(servers),
        layout=layout,
        layout_seed=draw(st.integers(0, 2**64)),
        name=draw(st.text(max_size=20)),
    )


@given(scenarios())
def test_any_scenario_survives_its_json(scenario: Scenario) -> None:
    text = scenario.to_json()
    again = Scenario.from_json(text)
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert again.name == scenario.name
    assert again.to_json() == text


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_file(name: str, tmp_path: Path) -> None:
    scenario = Scenario.preset(name)
    path = tmp_path / "scenario.json"
    text = scenario.to_json(path)
    assert path.read_text(encoding="utf-8") == text + "\n"
    for source in (path, str(path), text, "\n " + text):
        assert Scenario.from_json(source) == scenario
    assert Scenario.resolve(path) == Scenario.resolve(str(path)) == scenario
    assert Scenario.from_json(path).name == name


def test_the_file_names_its_format_and_all_fields() -> None:
    values = json.loads(Scenario.preset("unequal-200x10").to_json())
    assert values.pop("format") == "mec-gym/scenario"
    assert values.pop("version") == 1
    assert tuple(values) == Scenario.fields()
    assert values["cycles"] == {"uniform": [5e8, 1.5e9]}


def test_sizes_suffice_and_the_rest_has_defaults() -> None:
    assert Scenario.from_json("{" + SMALL + "}") == Scenario(n_devices=5, n_servers=1)


def test_names_of_any_alphabet_survive_a_file(tmp_path: Path) -> None:
    scenario = Scenario(n_devices=1, n_servers=1, name="Zürich φ 都市")
    scenario.to_json(tmp_path / "a.json")
    assert Scenario.from_json(tmp_path / "a.json").name == "Zürich φ 都市"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "{" + SMALL + ', "version": 2}',
            ValueError,
            "has version 2; this release reads version 1",
        ),
        ("{" + SMALL + ', "version": "1"}', ValueError, "has version '1'"),
        ("{" + SMALL + ', "version": null}', ValueError, "has version None"),
        ("{" + SMALL + ', "format": "geojson"}', ValueError, "must have format 'mec-gym/scenario'"),
        ("{" + SMALL + ', "noise": 1}', TypeError, r"'noise' \(did you mean 'noise_w'\?\)"),
        ("{" + SMALL + ', "qqqq": 1}', TypeError, r"unexpected Scenario field 'qqqq'\."),
        ('{"n_devices": 5,', ValueError, "must be JSON.*line 1"),
        ('{"n_devices": 5, "n_servers": 1} x', ValueError, "must be JSON"),
        ('{"n_servers": 1}', ValueError, r"lacks n_devices\."),
        ('{"n_devices": 1}', ValueError, r"lacks n_servers\."),
        ("{}", ValueError, r"lacks n_devices and n_servers\."),
        ("{" + SMALL + ', "noise_w": NaN}', ValueError, "noise_w"),
        ("{" + SMALL + ', "noise_w": Infinity}', ValueError, "noise_w"),
        ("{" + SMALL + ', "noise_w": "1e-6"}', TypeError, "noise_w must be a number; got str"),
        ("{" + SMALL + ', "noise_w": null}', TypeError, "noise_w must be a number; got NoneType"),
        ("{" + SMALL + ', "cycles": {"uniform": [2, 1]}}', ValueError, "low < high"),
        ("{" + SMALL + ', "cycles": {"normal": [1, 2]}}', ValueError, "cycles as a mapping"),
        ("{" + SMALL + ', "cycles": {"uniform": [1, 2, 3]}}', ValueError, "cycles as a mapping"),
        ("{" + SMALL + ', "max_power_w": [1, 2]}', ValueError, "max_power_w must be one number or"),
    ],
)
def test_foreign_text_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scenario.from_json(text)


def test_a_field_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="n_devices"):
        Scenario.from_json('{"n_devices": 5, "n_devices": 6, "n_servers": 1}')


def test_files_are_named_in_refusals(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    for content, message in (
        (b"{", "must be JSON"),
        (b"\xff{}", "must be JSON"),
        (b"[" * 100_000, "must be JSON: it is nested too deeply"),
        (b"[1, 2]", "must hold an object; got a list"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"broken\.json.* {message}|broken\.json.*{message}"):
            Scenario.from_json(path)
    with pytest.raises(FileNotFoundError):
        Scenario.from_json(tmp_path / "absent.json")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_is_skipped(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(mark + "{" + SMALL + "}", encoding="utf-8")
    for source in (path, str(path), mark + "{" + SMALL + "}"):
        assert Scenario.from_json(source) == Scenario(n_devices=5, n_servers=1)
    assert read_object(path) == {"n_devices": 5, "n_servers": 1}


def test_tables_are_seen_from_the_folder_of_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world/d.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    (tmp_path / "s.csv").write_text("x,y\n3,4\n", encoding="utf-8")
    path = tmp_path / "world/scenario.json"
    fields = {"n_devices": 1, "n_servers": 1, "device_positions": "d.csv"}
    path.write_text(json.dumps(fields | {"server_positions": str(tmp_path / "s.csv")}))
    monkeypatch.chdir(tmp_path)
    scenario = Scenario.from_json("world/scenario.json")
    assert (scenario.device_positions, scenario.server_positions) == (((1.0, 2.0),), ((3.0, 4.0),))
    with pytest.raises(FileNotFoundError, match=r"'d\.csv'"):
        Scenario.resolve(fields)


def test_mappings_are_read_like_files() -> None:
    values = json.loads(Scenario.preset("paper-30x2").to_json())
    assert Scenario.resolve(values) == Scenario.preset("paper-30x2")
    assert Scenario.resolve(values, noise_w=1e-6).noise_w == 1e-6
    with pytest.raises(TypeError, match="did you mean 'bandwidth_hz'"):
        Scenario.resolve(values | {"bandwith_hz": 1e6})
    with pytest.raises(ValueError, match="version"):
        Scenario.resolve(values | {"version": 7})


def test_what_is_no_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be a preset .*did you mean 'paper-30x2'"):
        Scenario.resolve("paper-30x3")
    for wrong in (None, 3, ["paper-30x2"]):
        with pytest.raises(TypeError, match="scenario must be a str, a path, a mapping"):
            Scenario.resolve(wrong)  # type: ignore[arg-type]


def test_arrays_and_lists_are_written_alike() -> None:
    by_array, by_list = (
        Scenario(n_devices=2, n_servers=1, max_power_w=kind([1.0, 2.0]))
        for kind in (np.array, list)
    )
    assert by_array.to_json() == by_list.to_json()


@pytest.mark.parametrize(
    "text", ["", "  ", "[1]", '{"n_devices": 1, "n_servers": 1, "version": true}']
)
def test_text_that_is_no_scenario_is_refused_as_text(text: str) -> None:
    with pytest.raises(ValueError, match="scenario JSON"):
        Scenario.from_json(text)
