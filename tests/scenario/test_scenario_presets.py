"""The named scenarios: they construct, every number has a source, the paper's are the paper's."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from mec_gym import Scenario, Uniform, parallel_env
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.envs.vector import MultiMECVectorEnv
from mec_gym.presets import PRESETS

NAMES = tuple(PRESETS)

PAPER: dict[str, dict[str, Any]] = {
    "paper-30x2": {
        "n_devices": 30,
        "n_servers": 2,
        "server_positions": ((10.0, 10.0), (40.0, 40.0)),
        "server_frequency_hz": 15e9,
    },
    "paper-180x8": {
        "n_devices": 180,
        "n_servers": 8,
        "server_positions": "kmeans",
        "server_frequency_hz": 10e9,
    },
    "paper-200x10": {
        "n_devices": 200,
        "n_servers": 10,
        "server_positions": "kmeans",
        "server_frequency_hz": 10e9,
    },
}

TABLE_I: dict[str, Any] = {
    "area_m": (50.0, 50.0),
    "bandwidth_hz": 1e6,
    "noise_w": 1e-12,
    "data_bits": 8e5,
    "cycles": 1e9,
    "local_frequency_hz": 1e9,
    "switched_capacitance": 1e-27,
    "power_exponent": 3.0,
    "max_power_w": 1.5,
    "weight_latency": 1.0,
    "weight_energy": 1.0,
    "fading": "rayleigh",
    "layout": "fixed",
}


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_constructs(name: str) -> None:
    scenario = Scenario.preset(name)
    assert scenario.name == name
    assert scenario == Scenario.resolve(name)
    size = name.split("-")[-1]
    assert size == f"{scenario.n_devices}x{scenario.n_servers}"
    for field, value in PRESETS[name].parameters.items():
        # Tasks and mobility are written as JSON has them.
        assert scenario.replace(**{field: value}) == scenario, field


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_source_and_vice_versa(name: str) -> None:
    preset = PRESETS[name]
    assert set(preset.parameters) == set(preset.sources)
    assert set(preset.parameters) <= set(Scenario.fields())
    for source in preset.sources.values():
        assert source.startswith(("paper, ", "ours", "as in paper, "))
    assert preset.about


@pytest.mark.parametrize("name", PAPER)
def test_presets_of_the_paper_have_its_numbers(name: str) -> None:
    scenario = Scenario.preset(name)
    for field, value in (TABLE_I | PAPER[name]).items():
        assert getattr(scenario, field) == value, field


def test_table_one_gives_a_local_power_of_one_watt() -> None:
    # 1e-27 and (1e9)^3 are rounded once each.
    assert Scenario(n_devices=1, n_servers=1).local_power_w[0] == pytest.approx(1.0, rel=1e-15)


def test_unequal_tasks_and_servers_keep_the_papers_means() -> None:
    scenario = Scenario.preset("unequal-200x10")
    assert scenario.data_bits == Uniform(4e5, 1.2e6)
    assert scenario.cycles == Uniform(5e8, 1.5e9)
    speeds = scenario.server_frequencies_hz
    # Ten speeds, rounded.
    assert speeds.mean() == pytest.approx(10e9, rel=1e-14)
    assert (speeds.min(), speeds.max()) == (5e9, 15e9)
    np.testing.assert_allclose(np.diff(speeds), 10e9 / 9.0, rtol=1e-14)


def test_harder_presets_differ_in_what_they_say() -> None:
    paper = Scenario.preset("paper-200x10")
    band = Scenario.preset("bandlimited-200x10")
    assert band == paper.replace(noise_w=1e-6)
    assert Scenario.preset("relocating-200x10") == band.replace(layout="redrawn")
    metro = Scenario.preset("metro-10000x100")
    density = metro.n_devices / (metro.area_m[0] * metro.area_m[1])
    assert density == pytest.approx(200 / 2500, rel=0.01)  # the side is rounded to a metre
    ratio = metro.n_servers * 50e9 / (metro.n_devices * 1e9)
    assert ratio == paper.n_servers * 10e9 / (paper.n_devices * 1e9)


def test_unknown_presets_are_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'paper-200x10'"):
        Scenario.preset("paper200x10")
    for wrong in (None, 3, ("paper-30x2",)):
        with pytest.raises(ValueError, match="preset must be one of"):
            Scenario.preset(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scenario must be a preset"):
        Scenario.resolve("x" * 300)  # longer than any file's name
    assert Scenario.presets() == NAMES


def test_overrides_are_checked_and_named() -> None:
    scenario = Scenario.preset("paper-30x2", noise_w=1e-6, cycles=Uniform(1e9, 2e9))
    assert scenario.noise_w == 1e-6
    assert scenario.name == "paper-30x2 (changed: noise_w, cycles)"
    assert Scenario.preset("paper-30x2", n_devices=12).n_devices == 12
    with pytest.raises(TypeError, match="'noise' \\(did you mean 'noise_w'\\?\\)"):
        Scenario.preset("paper-30x2", noise=1e-6)
    with pytest.raises(ValueError, match="noise_w must be finite"):
        Scenario.preset("paper-30x2", noise_w=0.0)


def test_names_of_ours_leave_every_field_to_the_caller() -> None:
    """What takes fields by keyword has no parameter of a field's name that a keyword reaches."""
    assert Scenario.preset("paper-30x2", name="mine").name == "mine"
    assert Scenario.resolve("paper-30x2", name="mine") == Scenario.preset("paper-30x2")

    for taker in (
        Scenario.preset,
        Scenario.resolve,
        Scenario.from_sites,
        Scenario.from_traces,
        Scenario.replace,
        MultiMECEnv,
        MultiMECVectorEnv,
        parallel_env,
    ):
        named = {
            name
            for name, parameter in inspect.signature(taker).parameters.items()
            if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD)
        }
        assert not named & set(Scenario.fields()), taker
