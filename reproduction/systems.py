"""The systems of Section V: which scenario each column of a table or point of a figure means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mec_gym import Scenario
from mec_gym.validation import require_choice
from reproduction.published import FIG_6_WEIGHTS

BITS_PER_KB = 8e3
"""kB as in Table I's 100 kB = 8e5 bit."""

MEDIUM, LARGE, LARGEST = "paper-30x2", "paper-180x8", "paper-200x10"
"""Sections V-B, V-C and V-D."""

SLOTS: Mapping[str, int] = {MEDIUM: 3000, LARGE: 4000, LARGEST: 5000}
"""T_DRL of the three sections."""

POSITIONS: Mapping[str, str] = {
    "uniform": LARGE,
    "gaussian": f"{LARGE}-gaussian",
    "levy": f"{LARGE}-levy",
}
"""Table III: system by law."""

TASKS: Mapping[str, str] = {
    "50 kB": f"{LARGE}-50kB",
    "1000 kB": f"{LARGE}-1000kB",
    "0.5e9 cycles": f"{LARGE}-0.5Gcycles",
    "2e9 cycles": f"{LARGE}-2Gcycles",
}
"""Table IV: system by task."""

WEIGHTS: Mapping[str, str] = {
    "time-sensitive": f"{LARGE}-time",
    "normal": LARGE,
    "energy-sensitive": f"{LARGE}-energy",
}
"""Fig. 6: system by kind of task."""

_CHANGES: Mapping[str, Mapping[str, Any]] = {
    POSITIONS["gaussian"]: {"device_positions": "gaussian"},
    POSITIONS["levy"]: {"device_positions": "levy"},
    TASKS["50 kB"]: {"data_bits": 50 * BITS_PER_KB},
    TASKS["1000 kB"]: {"data_bits": 1000 * BITS_PER_KB},
    TASKS["0.5e9 cycles"]: {"cycles": 0.5e9},
    TASKS["2e9 cycles"]: {"cycles": 2e9},
    **{
        WEIGHTS[kind]: {"weight_latency": latency, "weight_energy": energy}
        for kind, (latency, energy) in FIG_6_WEIGHTS.items()
        if kind != "normal"
    },
}


def by_devices(n_devices: int) -> str:
    """Return the system of Fig. 7 with so many devices.

    Parameters
    ----------
    n_devices : int
        N; 200 is the system of Table V itself.

    Returns
    -------
    str

    Examples
    --------
    >>> by_devices(50), by_devices(200)
    ('paper-200x10-N50', 'paper-200x10')
    """
    return LARGEST if n_devices == 200 else f"{LARGEST}-N{n_devices}"


def section_of(system: str) -> str:
    """Return the preset that a system is a variation of.

    Parameters
    ----------
    system : str
        Its name.

    Returns
    -------
    str

    Examples
    --------
    >>> section_of("paper-180x8-50kB")
    'paper-180x8'
    """
    found = "-".join(system.split("-")[:2])
    require_choice("system", found, SLOTS)
    return found


def scenario_of(system: str, *, layout_seed: int = 0, **changes: Any) -> Scenario:
    """Return the scenario of a system.

    Parameters
    ----------
    system : str
        Its name: a preset's, or one with what differs behind it.
    layout_seed : int
        Which map. Training run s learns and is measured on map s, so that intervals hold what the
        map changes.
    **changes
        Fields that differ further.

    Returns
    -------
    Scenario

    Examples
    --------
    >>> scenario_of("paper-180x8-50kB").data_bits, scenario_of("paper-200x10-N50").n_devices
    (400000.0, 50)
    """
    preset = section_of(system)
    own: Mapping[str, Any] = _CHANGES.get(system, {})
    if system.startswith(f"{LARGEST}-N"):
        own = {"n_devices": int(system.removeprefix(f"{LARGEST}-N"))}
    elif system != preset:
        require_choice("system", system, [*SLOTS, *_CHANGES])
    fields = {"name": system, "layout_seed": layout_seed, **own, **changes}
    return Scenario.preset(preset).replace(**fields)
