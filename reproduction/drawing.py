"""Figures of Section V: sober, readable without colour vision, the same file for the same data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mec_bench.statistics import half_interval
from reproduction.pages import mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#804000")
"""Okabe and Ito's, which the colour-blind tell apart, grey and brown; black is the optimum's."""

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "//", "..", "xx")

_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "mec-gym",
    "svg.fonttype": "path",
}

Rows = Sequence[Sequence[float]]
"""A curve of every seed."""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the page's style."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def save(figure: Figure, target: Path) -> None:
    """Write a figure as SVG: no date, no random names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})


def panels(columns: int = 1, *, width: float = 6.2, height: float = 3.4) -> tuple[Figure, Any]:
    """Return a figure [inch] and its panels side by side, shape (columns,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))


def curve(axes: Axes, x: Sequence[float], rows: Rows, index: int, label: str) -> None:
    """Draw a mean over seeds with its 95 % interval, Student's t; `index` gives it its looks."""
    values = np.asarray(rows, dtype=float)
    middle = values.mean(axis=0)
    colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
    axes.plot(x, middle, color=colour, linestyle=style, linewidth=1.5, label=label)
    if len(values) > 1:
        half = half_interval(values)
        axes.fill_between(
            np.asarray(x), middle - half, middle + half, color=colour, alpha=0.15, linewidth=0
        )


def losses(steps: Sequence[int], agents: Sequence[Rows], begun: float, published: float) -> Figure:
    """Return Fig. 3: a curve per agent; from gradient step `begun` on it learns online."""
    figure, (axes,) = panels()
    for agent, rows in enumerate(agents):
        curve(axes, steps, rows, agent, f"agent {agent + 1}")
    axes.axvline(begun, color="#7f7f7f", linewidth=0.8)
    axes.text(begun, 0.98, " online", transform=axes.get_xaxis_transform(), va="top")
    axes.text(begun, 0.98, "imitation ", transform=axes.get_xaxis_transform(), va="top", ha="right")
    axes.axhline(published, color="#000000", linewidth=0.8, linestyle=":", label="paper, text")
    axes.set(xlabel="gradient step", ylabel="loss per device [nat]", ylim=(0, None))
    axes.legend()
    return figure


def searches(
    panels_of: Mapping[str, Sequence[tuple[Sequence[int], Rows, str]]], optimum: float
) -> Figure:
    """Return Fig. 4: a panel per start, with generations, curves and label of each search."""
    figure, axes = panels(len(panels_of), width=8.0)
    for one, (words, curves) in zip(axes, panels_of.items(), strict=True):
        for place, (x, rows, label) in enumerate(curves):
            curve(one, x, rows, place, label)
        one.axhline(optimum, color="#000000", linewidth=0.8, linestyle=":", label="optimum")
        one.set(xscale="log", xlabel="generation + 1", ylabel="objective", title=f"From {words}")
    axes[0].legend()
    return figure


def rewards(variants: Mapping[str, tuple[Sequence[int], Rows]]) -> Figure:
    """Return Fig. 5: slots of training and rewards of each variant."""
    figure, (axes,) = panels()
    for index, (name, (slots, rows)) in enumerate(variants.items()):
        curve(axes, slots, rows, index, name)
    axes.set(xlabel="slot of training", ylabel="average reward 1/ΣΦ")
    axes.legend()
    return figure


def weights(
    panels_of: Mapping[str, Mapping[str, Sequence[Mapping[int, float]]]], kinds: Sequence[str]
) -> Figure:
    """Return Fig. 6: a panel per figure, with a group of bars per kind, a bar per policy."""
    figure, axes = panels(2, width=8.0)
    for one, (name, policies) in zip(axes, panels_of.items(), strict=True):
        width = 0.8 / len(policies)
        for place, (policy, found) in enumerate(policies.items()):
            one.bar(
                [k + (place - (len(policies) - 1) / 2) * width for k in range(len(found))],
                [mean(values) for values in found],
                width,
                yerr=[_half(values) for values in found],
                color=COLOURS[place],
                hatch=HATCHES[place],
                edgecolor="white",
                ecolor="#000000",
                label=policy,
            )
        one.set(ylabel=name, xticks=range(len(kinds)), xticklabels=kinds)
        one.grid(visible=False, axis="x")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def by_devices(
    policies: Mapping[str, tuple[int, Sequence[Mapping[int, Mapping[int, float]]]]],
    numbers: Sequence[int],
    black: str,
) -> Figure:
    """Return Fig. 7, of a place for the looks and both figures by N and seed, by label."""
    figure, both = panels(2, width=9.0, height=3.8)
    for name, (index, figures) in policies.items():
        for axes, by_number in zip(both, figures, strict=True):
            axes.errorbar(
                list(by_number),
                [mean(values) for values in by_number.values()],
                yerr=[_half(values) for values in by_number.values()],
                color="#000000" if name == black else COLOURS[index % len(COLOURS)],
                linestyle=STYLES[index // 3 % len(STYLES)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=4,
                linewidth=1.2,
                label=name,
            )
    for axes, label in zip(both, ("objective", "NRR, optimum / objective"), strict=True):
        axes.set(xlabel="number of devices N", ylabel=label, xticks=numbers)
    both[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _half(values: Mapping[int, float]) -> float:
    return float(half_interval(list(values.values()))) if len(values) > 1 else 0.0
