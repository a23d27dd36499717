"""What the paper's Section V prints, for which systems, and what no policy can undercut there.

F. Jiang, L. Dong, K. Wang, K. Yang and C. Pan, IEEE Internet of Things Journal 9(9), 2022. Its
figures give no numbers but those that its text repeats.

The bounds take transmission as free, so they hold for every data size, gain and bandwidth; tasks
and devices are equal, as in Table I. A server of speed F_j computes k tasks of F cycles at equal
shares in k² F/F_j seconds altogether; no other shares take less (Cauchy-Schwarz). So the k-th costs
φ_T F (2k − 1)/F_j, and over all servers K tasks take at least K² F / Σ F_j.

With energy E at most x = E/E_local devices execute locally, and the other N − x take
(N − x)² F / Σ F_j at least: convex in x, so it holds for means over slots (Jensen), whatever the
weights. NRR as a mean of ratios makes a bound no milder: E[opt/obj] ≥ bound · E[1/obj] ≥
bound / E[obj].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mec_gym import Scenario
from mec_gym.validation import require_choice

# -- printed numbers -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accuracy:
    """A cell pair of Table II: shares of decisions that are right."""

    training: float
    testing: float


TABLE_II: Mapping[tuple[str, int], Accuracy] = {
    ("L1", 64): Accuracy(0.908, 0.901),
    ("L1", 128): Accuracy(0.924, 0.918),
    ("L1", 256): Accuracy(0.967, 0.963),
    ("L1", 512): Accuracy(0.967, 0.965),
    ("LD", 64): Accuracy(0.903, 0.855),
    ("LD", 128): Accuracy(0.922, 0.898),
    ("LD", 256): Accuracy(0.966, 0.934),
    ("LD", 512): Accuracy(0.966, 0.943),
}
"""By loss and number of demonstrations."""


@dataclass(frozen=True)
class Reached:
    """A column of Tables III and IV: sums over devices, and the NRR against the paper's PSO."""

    objective: float
    time_s: float
    energy_j: float
    nrr: float

    @property
    def implied_optimum(self) -> float:
        """What the NRR divides by: the objective that the paper's PSO must have reached."""
        return self.objective * self.nrr


TABLE_III: Mapping[str, Reached] = {
    "uniform": Reached(295.27, 215.84, 79.43, 0.9536),
    "gaussian": Reached(291.07, 203.76, 87.31, 0.9528),
    "levy": Reached(290.38, 201.83, 88.55, 0.9574),
}
"""By the law of the devices' positions."""

TABLE_IV: Mapping[str, Reached] = {
    "50 kB": Reached(290.54, 200.37, 90.17, 0.9517),
    "1000 kB": Reached(304.89, 225.52, 79.37, 0.9519),
    "0.5e9 cycles": Reached(147.11, 107.77, 39.34, 0.9524),
    "2e9 cycles": Reached(587.99, 395.72, 192.27, 0.9508),
}
"""By the task."""


@dataclass(frozen=True)
class Compared:
    """A row of Table V: seconds of training (but of searches) and per decision; mean sums."""

    training_s: float | None
    inference_s: float
    time_s: float
    energy_j: float

    @property
    def objective(self) -> float:
        """Time and energy at unit weights; the paper does not print Table V's weights."""
        return self.time_s + self.energy_j


TABLE_V: Mapping[str, Compared] = {
    "dirs": Compared(434.23, 0.0163, 292.8779, 40.5198),
    "ac": Compared(489.64, 0.017, 322.7262, 53.4802),
    "ddpg": Compared(517.17, 0.0198, 302.8238, 47.2354),
    "pso": Compared(None, 1.8565, 293.3282, 40.8271),
    "de": Compared(None, 1.8699, 293.7273, 40.6938),
}
"""By algorithm."""

TIMES_LONGER: Mapping[str, float] = {"pso": 113.89, "de": 114.72}
"""Section V-D: how many times longer than DIRS a search takes to decide."""

FIG_3_LOSS, FIG_3_ITERATIONS = 0.2, 300
"""Section V-B: the loss that both agents converge to, and after how many iterations."""

FIG_6_WEIGHTS: Mapping[str, tuple[float, float]] = {
    "time-sensitive": (1.5, 0.5),
    "normal": (1.0, 1.0),
    "energy-sensitive": (0.5, 1.5),
}
"""Section V-C: (φ_T, φ_E) by task."""

NAMES: Mapping[str, str] = {
    "nearest": "Remote, no limit",
    "nearest:limit": "Remote",
    "random": "Random, no limit",
    "random:limit": "Random",
    "local": "Local",
}
"""What the paper calls the rules that it compares with."""

# -- systems ---------------------------------------------------------------------------------------

BITS_PER_KB = 8e3
"""kB as in Table I's 100 kB = 8e5 bit."""

MEDIUM, LARGE, LARGEST = "paper-30x2", "paper-180x8", "paper-200x10"
"""Sections V-B, V-C and V-D."""

SLOTS: Mapping[str, int] = {MEDIUM: 3000, LARGE: 4000, LARGEST: 5000}
"""T_DRL of Sections V-B to V-D."""

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
    """Return the system of Fig. 7 with N devices; 200 is the system of Table V itself."""
    return LARGEST if n_devices == 200 else f"{LARGEST}-N{n_devices}"


def section_of(system: str) -> str:
    """Return the preset that a system is a variation of."""
    found = "-".join(system.split("-")[:2])
    require_choice("system", found, SLOTS)
    return found


def scenario_of(system: str, *, layout_seed: int = 0, **changes: Any) -> Scenario:
    """Return the scenario of a preset's name, or one with what differs behind it, on a map."""
    preset = section_of(system)
    own: Mapping[str, Any] = _CHANGES.get(system, {})
    if system.startswith(f"{LARGEST}-N"):
        own = {"n_devices": int(system.removeprefix(f"{LARGEST}-N"))}
    elif system != preset:
        require_choice("system", system, [*SLOTS, *_CHANGES])
    fields = {"name": system, "layout_seed": layout_seed, **own, **changes}
    return Scenario.preset(preset).replace(**fields)


# -- bounds ----------------------------------------------------------------------------------------


def free_transmission_bound(scenario: Scenario) -> float:
    """Return the least objective [1] if transmission cost nothing; tasks and devices are equal."""
    _require_equal(scenario)
    n = scenario.n_devices
    latency, energy = _local(scenario)
    weights = scenario.per_device("weight_latency")[0], scenario.per_device("weight_energy")[0]
    local = np.full(n, weights[0] * latency + weights[1] * energy)
    places = 2 * np.arange(1, n + 1) - 1
    work = weights[0] * scenario.per_device("cycles")[0]
    servers = work * places[:, None] / scenario.server_frequencies_hz
    return float(np.sort(np.concatenate([local, servers.ravel()]))[:n].sum())


def least_time(scenario: Scenario, energy_j: float) -> float:
    """Return the least mean latency [s] of any policy of this mean energy; tasks are equal."""
    _require_equal(scenario)
    n = scenario.n_devices
    latency, energy = _local(scenario)
    per_square = scenario.per_device("cycles")[0] / scenario.server_frequencies_hz.sum()
    best = n - latency / (2 * per_square)  # where one device more at home saves nothing
    local = max(min(energy_j / energy, float(n), best), 0.0)
    return float(local * latency + (n - local) ** 2 * per_square)


def _local(scenario: Scenario) -> tuple[float, float]:
    """Return latency [s] and energy [J] of one local execution."""
    latency = scenario.per_device("cycles")[0] / scenario.per_device("local_frequency_hz")[0]
    return float(latency), float(latency * scenario.local_power_w[0])


_EQUAL = ("data_bits", "cycles", "local_frequency_hz", "switched_capacitance", "power_exponent")


def _require_equal(scenario: Scenario) -> None:
    for name in (*_EQUAL, "weight_latency", "weight_energy"):
        if not isinstance(getattr(scenario, name), float):
            raise ValueError(
                f"{name} must be the same number for every device here; got "
                f"{type(getattr(scenario, name)).__name__}."
            )


def below_bound(printed: Mapping[str, Reached], systems: Mapping[str, str]) -> list[str]:
    """Return the columns whose printed objective and NRR no policy can have had."""
    return [
        name
        for name, system in systems.items()
        if printed[name].implied_optimum < free_transmission_bound(scenario_of(system))
    ]
