"""How the solver's time and gap grow with devices and servers, and the gap on every preset."""

from __future__ import annotations

import time
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.measure import Row, row, shown
from mec_gym import Scenario, Slot, Uniform, solve
from mec_gym.model.world import World

KINDS = {
    "equal tasks, noise 1e-12 W": ("#0072b2", "o", False, 1e-12),
    "equal tasks, noise 1e-6 W": ("#56b4e9", "s", False, 1e-6),
    "unequal tasks, noise 1e-12 W": ("#d55e00", "^", True, 1e-12),
    "unequal tasks, noise 1e-6 W": ("#e69f00", "v", True, 1e-6),
}


def _slot(scenario: Scenario, seed: int) -> Slot:
    world = World(scenario)
    world.reset([np.random.default_rng(seed)])
    assert world.slot is not None
    return world.slot


def _scenario(n_devices: int, n_servers: int, *, unequal: bool, noise_w: float) -> Scenario:
    side = float(np.sqrt(n_devices / 0.08))
    fields: dict[str, object] = {}
    if unequal:
        fields = {"data_bits": Uniform(4e5, 1.2e6), "cycles": Uniform(5e8, 1.5e9)}
    return Scenario(
        n_devices=n_devices,
        n_servers=n_servers,
        area_m=(side, side),
        noise_w=noise_w,
        server_frequency_hz=0.5e9 * n_devices / n_servers,
        **fields,  # type: ignore[arg-type]
    )


def _measured(scenario: Scenario, *, slots: int) -> tuple[float, float]:
    """Return the median time [s] and the largest gap over a few slots."""
    times, gaps = [], []
    for seed in range(slots):
        slot = _slot(scenario, seed)
        begun = time.perf_counter()
        gaps.append(solve(scenario, slot).gap)
        times.append(time.perf_counter() - begun)
    return float(np.median(times)), float(max(gaps))


def presets(*, quick: bool) -> list[Row]:
    """Measure the gap on every preset, and metro with unequal tasks."""
    scenarios = [Scenario.preset(name) for name in Scenario.presets()]
    unequal = {"data_bits": Uniform(4e5, 1.2e6), "cycles": Uniform(5e8, 1.5e9)}
    scenarios.append(
        Scenario.preset("metro-10000x100", **unequal).replace(name="metro-10000x100, unequal tasks")
    )
    rows = []
    for scenario in scenarios:
        metro = scenario.n_devices > 1000
        if metro and quick:
            continue
        seconds, gap = _measured(scenario, slots=3 if metro else 2 if quick else 20)
        label = f"largest proven gap of solve, {scenario.name}"
        rows.append(row(label, f"{100 * gap:.2g} %", f"in {shown(seconds)}", gap, "<= 1e-3"))
    return rows


def plot(path: Path, *, quick: bool) -> dict[str, list[tuple[int, int, float, float]]]:
    """Draw time and gap against N and M."""
    by_n = [(n, 10) for n in ((50, 100) if quick else (50, 100, 200, 500, 1000, 2000, 5000, 10000))]
    by_m = [(1000, m) for m in ((2,) if quick else (2, 5, 10, 20, 50, 100))]
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), sharex="col", layout="constrained")
    data: dict[str, list[tuple[int, int, float, float]]] = {}
    for label, (colour, marker, unequal, noise_w) in KINDS.items():
        data[label] = []
        for column, sizes in enumerate((by_n, by_m)):
            points = []
            for n, m in sizes:
                scenario = _scenario(n, m, unequal=unequal, noise_w=noise_w)
                points.append((n, m, *_measured(scenario, slots=2 if quick else 3)))
            data[label] += points
            x = [point[column] for point in points]
            style = {"color": colour, "marker": marker, "label": label, "markersize": 5}
            axes[0, column].plot(x, [1e3 * point[2] for point in points], **style)
            # A proven optimum has no place on a logarithmic axis: it sits on the floor.
            axes[1, column].plot(x, [max(100 * point[3], 1e-5) for point in points], **style)
    for column, (title, name) in enumerate(
        (("M = 10 servers", "devices N"), ("N = 1,000 devices", "servers M"))
    ):
        axes[0, column].set(title=title, xscale="log", yscale="log", ylabel="time [ms]")
        axes[1, column].set(xscale="log", yscale="log", ylabel="largest gap [%]", xlabel=name)
        axes[1, column].axhline(0.1, color="0.5", linestyle=":", linewidth=1)
        axes[1, column].set_ylim(0.7e-5, 5)
        for ax in axes[:, column]:
            ax.grid(visible=True, which="major", color="0.9")
    axes[1, 0].annotate("proven optimal", (0.02, 0.09), xycoords="axes fraction", fontsize=8)
    axes[0, 0].legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return data
