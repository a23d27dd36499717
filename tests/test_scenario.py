"""Scenarios: presets with their sources, the file format, layouts, laws of chance, refusals."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mec_gym import Scenario, Uniform
from mec_gym.levy import levy_steps, mantegna_sigma
from mec_gym.model.layout import draw_layout, fixed_layout
from mec_gym.model.world import World
from mec_gym.presets import PRESETS

PAPER = {
    "paper-30x2": (30, 2, 15e9),
    "paper-180x8": (180, 8, 10e9),
    "paper-200x10": (200, 10, 10e9),
}


@pytest.mark.parametrize("name", Scenario.presets())
def test_every_parameter_of_a_preset_names_its_source(name: str) -> None:
    preset = PRESETS[name]
    assert set(preset.parameters) == set(preset.sources)
    assert all(preset.sources.values())
    assert Scenario.preset(name).name == name


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_presets_have_its_numbers(name: str) -> None:
    scenario = Scenario.preset(name)
    assert (scenario.n_devices, scenario.n_servers, scenario.server_frequency_hz) == PAPER[name]
    assert scenario.area_m == (50.0, 50.0)
    table = (scenario.data_bits, scenario.cycles, scenario.bandwidth_hz, scenario.max_power_w)
    assert table == (8e5, 1e9, 1e6, 1.5)
    assert scenario.local_power_w == pytest.approx(np.ones(scenario.n_devices), rel=1e-12)
    if name == "paper-30x2":
        assert scenario.server_positions == ((10.0, 10.0), (40.0, 40.0))


@pytest.mark.parametrize("name", Scenario.presets())
def test_json_gives_the_scenario_back(name: str, tmp_path: Path) -> None:
    scenario = Scenario.preset(name, weight_latency=1.5)
    path = tmp_path / "scenario.json"
    assert Scenario.from_json(scenario.to_json(path)) == scenario
    assert Scenario.from_json(path) == Scenario.resolve(path) == scenario
    assert Scenario.resolve(json.loads(path.read_text())) == scenario


@given(
    n_devices=st.integers(1, 6),
    noise=st.floats(1e-30, 1e30),
    low=st.floats(1e-9, 1e3),
    weights=st.lists(st.floats(0.1, 10.0), min_size=6, max_size=6),
)
def test_json_gives_any_scenario_back(
    n_devices: int, noise: float, low: float, weights: list[float]
) -> None:
    scenario = Scenario(
        n_devices=n_devices,
        n_servers=1,
        noise_w=noise,
        cycles=Uniform(low, 2 * low),
        weight_energy=weights[:n_devices],
    )
    again = Scenario.from_json(scenario.to_json())
    assert again == scenario
    assert hash(again) == hash(scenario)


def test_a_scenario_is_a_value() -> None:
    scenario = Scenario.preset("unequal-200x10")
    fixed_layout(scenario)
    for twin in (copy.deepcopy(scenario), pickle.loads(pickle.dumps(scenario))):
        assert twin == scenario
        np.testing.assert_array_equal(
            fixed_layout(twin).path_gains, fixed_layout(scenario).path_gains
        )
    with pytest.raises(AttributeError):
        scenario.noise_w = 1.0  # type: ignore[misc]
    changed = scenario.replace(noise_w=1e-9).replace(area_m=(60, 60))
    assert changed.name == "unequal-200x10 (changed: noise_w, area_m)"
    assert fixed_layout(changed) is not fixed_layout(scenario)


@pytest.mark.parametrize("law", ["uniform", "gaussian", "levy"])
def test_positions_lie_inside_and_servers_are_means_of_their_devices(law: str) -> None:
    scenario = Scenario(n_devices=300, n_servers=5, area_m=(80.0, 20.0), device_positions=law)
    for seed in range(5):
        layout = draw_layout(scenario, np.random.default_rng(seed))
        for positions in (layout.device_positions_m, layout.server_positions_m):
            assert ((positions >= 0) & (positions <= [80.0, 20.0])).all()
        nearest = layout.distances_m.argmin(axis=1)
        means = [layout.device_positions_m[nearest == j].mean(axis=0) for j in range(5)]
        # 50 rounds of k-means need not have settled; they are within a metre.
        np.testing.assert_allclose(layout.server_positions_m, means, atol=1.0)


def test_laws_of_positions_differ_as_they_should() -> None:
    def spread(law: str) -> float:
        scenario = Scenario(n_devices=4000, n_servers=3, device_positions=law)
        positions = draw_layout(scenario, np.random.default_rng(0)).device_positions_m
        return float(positions.std(axis=0).mean())

    # Uniform: 50/sqrt(12) = 14.4 m. Gaussian: 50/6 = 8.3 m. Five standard errors are 0.6 m.
    assert spread("uniform") == pytest.approx(50 / np.sqrt(12), abs=0.6)
    assert spread("gaussian") == pytest.approx(50 / 6, abs=0.6)

    def clustered(law: str) -> float:
        scenario = Scenario(n_devices=4000, n_servers=3, device_positions=law)
        layout = draw_layout(scenario, np.random.default_rng(0))
        return float(np.median(layout.distances_m.min(axis=1)))

    # Half of the Lévy steps stay within a scale or two, 50 m / 50, of their centre.
    assert clustered("levy") < 3.0 < clustered("uniform")


def test_one_map_for_all_seeds_unless_redrawn() -> None:
    fixed = Scenario.preset("bandlimited-200x10")
    assert fixed_layout(fixed) is fixed_layout(fixed)
    other = fixed_layout(fixed.replace(layout_seed=1))
    assert (other.device_positions_m != fixed_layout(fixed).device_positions_m).any()
    world = World(Scenario.preset("relocating-200x10"), 2)
    rngs = [np.random.default_rng(seed) for seed in (0, 1)]
    world.reset(rngs)
    first = [world.layout(copy).device_positions_m for copy in (0, 1)]
    assert (first[0] != first[1]).any()
    world.reset(rngs, [1])
    np.testing.assert_array_equal(world.layout(0).device_positions_m, first[0])
    assert (world.layout(1).device_positions_m != first[1]).any()


def test_gains_are_eq_3_and_fading_has_unit_mean() -> None:
    positions = [[0.0, 0.0], [0.3, 0.4], [30.0, 40.0]]
    scenario = Scenario(
        n_devices=3,
        n_servers=1,
        device_positions=positions,
        server_positions=[[0.0, 0.0]],
        fading="none",
        min_distance_m=2.0,
    )
    world = World(scenario)
    world.reset([np.random.default_rng(0)])
    assert world.slot is not None
    np.testing.assert_allclose(
        world.slot.gains[:, 0], [1.42e-4 / 4, 1.42e-4 / 4, 1.42e-4 / 2500], rtol=1e-15
    )
    faded = World(scenario.replace(fading="rayleigh"), 20_000)
    faded.reset([np.random.default_rng(seed) for seed in range(20_000)])
    assert faded.slot is not None
    ratio = faded.slot.gains / world.slot.gains
    # 60,000 exponential draws: five standard errors of mean and of variance.
    assert ratio.mean() == pytest.approx(1.0, abs=5 / np.sqrt(60_000))
    assert ratio.var() == pytest.approx(1.0, abs=5 * np.sqrt(8 / 60_000))


def test_tasks_stay_in_their_range_with_its_mean() -> None:
    scenario = Scenario(n_devices=50, n_servers=1, data_bits=Uniform(1e5, 3e5))
    world = World(scenario, 400)
    world.reset([np.random.default_rng(seed) for seed in range(400)])
    assert world.slot is not None
    bits = world.slot.data_bits
    assert ((bits >= 1e5) & (bits <= 3e5)).all()
    assert bits.mean() == pytest.approx(2e5, abs=5 * 2e5 / np.sqrt(12 * bits.size))
    assert (world.slot.cycles == 1e9).all()


def test_the_draw_order_is_what_the_module_says() -> None:
    scenario = Scenario(n_devices=4, n_servers=2, data_bits=Uniform(1, 2), cycles=Uniform(3, 4))
    world = World(scenario)
    world.reset([np.random.default_rng(9)])
    rng = np.random.default_rng(9)
    fading = rng.standard_exponential((4, 2))
    assert world.slot is not None
    np.testing.assert_array_equal(world.slot.gains, fading * fixed_layout(scenario).path_gains)
    np.testing.assert_allclose(world.slot.data_bits, 1 + rng.random(4), rtol=1e-15)
    np.testing.assert_allclose(world.slot.cycles, 3 + rng.random(4), rtol=1e-15)


def test_positions_from_files_and_real_sites(tmp_path: Path) -> None:
    table = tmp_path / "devices.csv"
    table.write_text("x,y\n1,2\n3,4\n")
    scenario = Scenario(n_devices=2, n_servers=1, device_positions=str(table))
    np.testing.assert_array_equal(
        fixed_layout(scenario).device_positions_m, [[1.0, 2.0], [3.0, 4.0]]
    )
    assert Scenario.from_json(scenario.to_json()) == scenario


def test_the_eua_sites(data_dir: Path) -> None:
    scenario = Scenario.from_sites(
        data_dir / "eua" / "site-optus-melbCBD.csv",
        data_dir / "eua" / "users-melbcbd-generated.csv",
    )
    assert (scenario.n_devices, scenario.n_servers) == (816, 125)
    # Melbourne's centre is about 2 km by 1.5 km.
    assert 1000 < scenario.area_m[1] < scenario.area_m[0] < 3000
    fewer = Scenario.from_sites(
        data_dir / "eua" / "site-optus-melbCBD.csv",
        data_dir / "eua" / "users-melbcbd-generated.csv",
        n_devices=50,
        n_servers=5,
        noise_w=1e-9,
    )
    assert (fewer.n_devices, fewer.n_servers, fewer.noise_w) == (50, 5, 1e-9)


SIZES: dict[str, Any] = {"n_devices": 3, "n_servers": 2}


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"bandwith_hz": 1.0}, TypeError, "bandwith_hz"),
        ({"n_devices": 0}, ValueError, "n_devices must be >= 1; got 0"),
        ({"n_devices": 2.5}, TypeError, "n_devices must be an int; got float 2.5"),
        ({"n_devices": True}, TypeError, "n_devices must be an int"),
        ({"noise_w": 0.0}, ValueError, r"noise_w must be finite, > 0 .* \[W\]; got 0.0"),
        ({"noise_w": float("nan")}, ValueError, "got nan"),
        ({"noise_w": float("inf")}, ValueError, "got inf"),
        ({"noise_w": "low"}, TypeError, "noise_w must be a number; got str"),
        ({"max_power_w": [1.0, 2.0]}, ValueError, "3 numbers"),
        ({"max_power_w": [1.0, -2.0, 1.0]}, ValueError, r"got -2.0 at index \(1,\)"),
        ({"server_frequency_hz": [1e9]}, ValueError, "2 numbers"),
        ({"power_exponent": 0.5}, ValueError, r"power_exponent must lie in \[1, 10\]"),
        ({"local_frequency_hz": 1e25}, ValueError, "local execution power"),
        ({"weight_latency": 0.0, "weight_energy": 0.0}, ValueError, "must not both be 0"),
        ({"weight_latency": -1.0}, ValueError, "weight_latency must be 0 or within"),
        ({"area_m": 50.0}, ValueError, r"area_m must be \(width, height\)"),
        ({"fading": "rice"}, ValueError, "fading must be one of 'rayleigh', 'none'; got 'rice'"),
        ({"layout": "redraw"}, ValueError, "did you mean 'redrawn'"),
        ({"device_positions": "unifrom"}, ValueError, "did you mean 'uniform'"),
        ({"device_positions": [[0, 0], [1, 1]]}, ValueError, r"shape \(3, 2\)"),
        ({"device_positions": [[0, 0], [1, 1], [99, 0]]}, ValueError, r"99.0 at index \(2, 0\)"),
        ({"n_servers": 4}, ValueError, "requires n_servers <= n_devices"),
        ({"cycles": {"uniform": [2, 1]}}, ValueError, "requires low < high"),
        ({"cycles": {"normal": [1, 2]}}, ValueError, "as a mapping must be"),
        ({"cycles": Uniform(1, 2), "name": 5}, TypeError, "name must be a str"),
        ({"layout_seed": -1}, ValueError, "layout_seed must be >= 0"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Scenario(**SIZES | fields)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"n_devices": 3', ValueError, "not valid JSON"),
        ('{"n_devices": 3}', ValueError, "lacks n_servers"),
        ('{"n_devices": 3, "n_servers": 1, "version": 2}', ValueError, "version 2"),
        ('{"n_devices": 3, "n_servers": 1, "format": "other"}', ValueError, "must have format"),
        ('{"n_devices": 3, "n_servers": 1, "nois_w": 1}', TypeError, "did you mean 'noise_w'"),
    ],
)
def test_wrong_files_are_refused(text: str, error: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(text)
    for source in (text, path):
        with pytest.raises(error, match=message):
            Scenario.from_json(source)


def test_wrong_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'paper-200x10'"):
        Scenario.preset("paper-200x1")
    with pytest.raises(ValueError, match="did you mean 'paper-30x2'"):
        Scenario.resolve("paper-30x")
    with pytest.raises(TypeError, match="did you mean 'noise_w'"):
        Scenario.preset("paper-30x2", noise=1.0)
    with pytest.raises(TypeError, match="scenario must be a str"):
        Scenario.resolve(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positions that are drawn"):
        Scenario(
            n_devices=1,
            n_servers=1,
            layout="redrawn",
            device_positions=[[1, 1]],
            server_positions=[[1, 1]],
        )


def test_kmeans_needs_distinct_positions() -> None:
    scenario = Scenario(n_devices=3, n_servers=2, device_positions=[[1, 1]] * 3)
    with pytest.raises(ValueError, match="at least n_servers=2 distinct device positions; got 1"):
        fixed_layout(scenario)


def test_levy_steps_are_symmetric_and_heavy_tailed() -> None:
    steps = levy_steps(np.random.default_rng(0), 200_000, beta=1.5)
    # The median of a symmetric law is 0; five standard errors with a density near 0.3 there.
    assert abs(np.median(steps)) < 5 / (2 * 0.2 * np.sqrt(200_000))
    far = [np.mean(np.abs(steps) > size) for size in (20.0, 80.0)]
    # P(|d| > x) falls as x^-beta: four times as far, 4^-1.5 = 1/8 as often.
    assert far[1] / far[0] == pytest.approx(4**-1.5, rel=0.2)
    gamma, sin = mpmath.gamma, mpmath.sin(mpmath.pi * 0.75)
    sigma = (gamma(2.5) * sin / (gamma(1.25) * 1.5 * 2**0.25)) ** (1 / 1.5)
    assert mantegna_sigma(1.5) == pytest.approx(float(sigma), rel=1e-14)
    for beta in (0.0, 2.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="beta must lie strictly between 0 and 2"):
            mantegna_sigma(beta)
