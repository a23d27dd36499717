"""The named scenarios, as data: every parameter with the source it comes from.

``Scenario.preset(name)`` turns an entry into a :class:`~mec_gym.Scenario`. A parameter that is
not listed has the default of its Scenario field, which is Table I of the paper wherever Table I
names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PAPER_B = "paper, section V-B"
PAPER_C = "paper, section V-C"
PAPER_D = "paper, section V-D"
BAND_NOISE = "ours: 1e-12 W/Hz over the bandwidth of 1 MHz, Table I read as a density"


@dataclass(frozen=True)
class Preset:
    """One named scenario: what it is for, its parameters, and where each comes from."""

    about: str
    parameters: Mapping[str, Any]
    sources: Mapping[str, str]


def _preset(about: str, **entries: tuple[Any, str]) -> Preset:
    return Preset(
        about,
        {field: value for field, (value, _) in entries.items()},
        {field: source for field, (_, source) in entries.items()},
    )


_LARGE: dict[str, tuple[Any, str]] = {
    "n_devices": (200, PAPER_D),
    "n_servers": (10, PAPER_D),
    "area_m": ((50.0, 50.0), PAPER_D),
    "server_positions": ("kmeans", PAPER_D),
    "server_frequency_hz": (10e9, PAPER_D),
}

_ROWS = tuple(
    (round(50.0 * (column + 0.5) / columns, 2), round(50.0 * (row + 0.5) / 3, 2))
    for row, columns in enumerate((3, 4, 3))
    for column in range(columns)
)
_GRID = tuple((15.8 * column + 7.9, 15.8 * row + 7.9) for row in range(10) for column in range(10))
_SQUARE = ((12.5, 12.5), (37.5, 12.5), (12.5, 37.5), (37.5, 37.5))
_WALKING = {"gauss_markov": {"speed_mps": 1.5, "memory": 0.98}}
_DRIVING = {"gauss_markov": {"speed_mps": 8.0, "memory": 0.98}}

_CROWD: dict[str, tuple[Any, str]] = {
    "noise_w": (1e-6, BAND_NOISE),
    "fading": ("none", "ours: over a slot of a second fast fading averages out"),
    "cycles": (2e9, "paper, Table IV: the largest tasks"),
    "layout": ("redrawn", "ours: other places in every episode, the same servers"),
    "slot_s": (1.0, "ours"),
    "mobility": (
        [[0.5, _WALKING], [0.5, _DRIVING]],
        "ours: walking and urban driving speeds; Gauss-Markov as in ns-3, directions kept longer",
    ),
    "migration_s": (8.0, "ours: an image of 500 MB over 500 Mbit/s, as in public simulators"),
}

PRESETS: Mapping[str, Preset] = {
    "paper-30x2": _preset(
        "the paper's medium scenario: 30 devices, two servers at given places",
        n_devices=(30, PAPER_B),
        n_servers=(2, PAPER_B),
        area_m=((50.0, 50.0), PAPER_B),
        server_positions=(((10.0, 10.0), (40.0, 40.0)), PAPER_B),
        server_frequency_hz=(15e9, PAPER_B),
    ),
    "paper-180x8": _preset(
        "the paper's large scenario for its parameter studies",
        n_devices=(180, PAPER_C),
        n_servers=(8, PAPER_C),
        area_m=((50.0, 50.0), PAPER_C),
        server_positions=("kmeans", PAPER_C),
        server_frequency_hz=(10e9, PAPER_C),
    ),
    "paper-200x10": _preset(
        "the paper's large scenario for its comparison of algorithms", **_LARGE
    ),
    "bandlimited-200x10": _preset(
        "paper-200x10 with noise over the whole band, so that the choice of server matters",
        **_LARGE,
        noise_w=(1e-6, BAND_NOISE),
    ),
    "unequal-200x10": _preset(
        "unequal tasks in every slot and unequal servers, noise over the whole band",
        **(
            _LARGE
            | {
                "server_frequency_hz": (
                    tuple(5e9 + 10e9 * j / 9 for j in range(10)),
                    "ours: ten speeds evenly spaced over 5-15 GHz, mean as in the paper",
                )
            }
        ),
        noise_w=(1e-6, BAND_NOISE),
        data_bits=({"uniform": [4e5, 1.2e6]}, "ours: 50-150 kB, mean 100 kB as in Table I"),
        cycles=({"uniform": [5e8, 1.5e9]}, "ours: mean 1e9 cycles as in Table I"),
    ),
    "relocating-200x10": _preset(
        "bandlimited-200x10 with new positions at every reset",
        **_LARGE,
        noise_w=(1e-6, BAND_NOISE),
        layout=("redrawn", "ours: a policy must not learn one map by heart"),
    ),
    "crowd-200x10": _preset(
        "a crowd that walks and drives among servers; to move a service costs as much as two tasks",
        n_devices=(200, PAPER_D),
        n_servers=(10, PAPER_D),
        area_m=((50.0, 50.0), PAPER_D),
        server_positions=(_ROWS, "ours: three rows that cover the area evenly"),
        server_frequency_hz=(
            40e9,
            "ours: four times the paper's; with slower ones rules without speeds come to 0.93",
        ),
        **_CROWD,
    ),
    "stale-200x10": _preset(
        "walkers behind things that shadow them, and decisions that see gains of two seconds ago",
        n_devices=(200, PAPER_D),
        n_servers=(10, PAPER_D),
        area_m=((50.0, 50.0), PAPER_D),
        server_positions=(_ROWS, "ours: three rows that cover the area evenly"),
        server_frequency_hz=(20e9, "ours: with tasks twice as large, speed twice the paper's"),
        **(_CROWD | {"mobility": (_WALKING, "ours: as the walkers of the crowds")}),
        shadowing_db=(8.0, "ours: 3GPP TR 38.901 has 7.8 dB in street canyons without sight"),
        decorrelation_m=(10.0, "ours: 3GPP TR 38.901 has 10 to 13 m in street canyons"),
        csi_delay_slots=(2, "ours: 3 m of way, on which much of the shadowing changes"),
    ),
    "crowd-30x4": _preset(
        "the crowd among four servers, for quick experiments",
        n_devices=(30, PAPER_B),
        n_servers=(4, "ours: with two servers hardly anything moves"),
        area_m=((50.0, 50.0), PAPER_B),
        server_positions=(_SQUARE, "ours: the middles of the four quarters"),
        server_frequency_hz=(
            20e9,
            "ours: with 15e9, the paper's, rules without speeds come to 0.92",
        ),
        **_CROWD,
    ),
    "metro-crowd-10000x100": _preset(
        "the crowd in a city's streets: 10,000 devices that walk and drive among 100 servers",
        n_devices=(10_000, "ours"),
        n_servers=(100, "ours"),
        area_m=((158.0, 158.0), "ours: servers are as far apart as in crowd-200x10"),
        server_positions=(_GRID, "ours: ten rows of ten"),
        server_frequency_hz=(200e9, "ours: five times as many devices a server as in crowd-200x10"),
        **_CROWD,
    ),
    "metro-10000x100": _preset(
        "a city: 10,000 devices and 100 servers at the paper's density",
        n_devices=(10_000, "ours"),
        n_servers=(100, "ours"),
        area_m=((354.0, 354.0), "ours: 0.08 devices per square metre, as in paper, section V-D"),
        server_positions=("kmeans", "as in paper, section V-D"),
        server_frequency_hz=(
            50e9,
            "ours: servers hold half of the devices' total speed, as in paper, section V-D",
        ),
        noise_w=(1e-6, BAND_NOISE),
    ),
}
"""The named scenarios, each parameter with its source."""
