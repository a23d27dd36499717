"""Figures of results as SVG text; needs matplotlib, the extra "plots"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mec_bench.report.curves import band
from mec_bench.report.drawing import (
    INK,
    Look,
    drawing,
    legend,
    logarithmic,
    plain,
    shrunk,
    stretch,
    stretched,
    svg,
)
from mec_bench.statistics.aggregation import Aggregate
from mec_bench.statistics.comparison import Table
from mec_bench.statistics.grouping import Group
from mec_bench.statistics.intervals import Floats, Interval
from mec_bench.statistics.scores import performance_profile


def learning_curves(table: Table, look: Mapping[str, Look], name: str) -> str | None:
    """Draw NRR during training against slots and against seconds.

    Lines are means over seeds; bands are 95 % intervals by Student's t over seeds.

    Parameters
    ----------
    table : Table
        One scenario.
    look : mapping of str to Look
        Of :func:`mec_bench.report.drawing.looks`.
    name : str
        Of the figure in its page; letters, digits and dashes.

    Returns
    -------
    str or None
        SVG; None where no result has a curve.
    """
    by_label = {group.label: group for group in table.arena.groups}
    best_first = [by_label[row.label] for row in table.rows]
    groups = [group for group in best_first if any(one.curve for one in group.results)]
    if not groups:
        return None
    with drawing():
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        shown: list[float] = []
        for axes, quantity in ((left, "timesteps"), (right, "seconds")):
            for group in groups:
                shown += _draw_curve(axes, group, quantity, look[group.label])
        left.set(xlabel="slots of training", ylabel="NRR")
        right.set(xlabel="seconds of training")
        stretch(left, "y", shown)
        legend(figure, [group.label for group in groups], look)
        return svg(figure, name, "Learning curves")


def _draw_curve(axes: Axes, group: Group, quantity: str, look: Look) -> list[float]:
    x, curve = band([one.curve for one in group.results if one.curve], quantity)
    axes.plot(x, curve.value, color=look.colour, linestyle=look.dashes)
    if np.isfinite(curve.low).any():
        axes.fill_between(
            x, curve.low, np.minimum(curve.high, 1), color=look.colour, alpha=0.13, linewidth=0
        )
    return [float(one) for one in curve.value]


def distributions(table: Table, look: Mapping[str, Look], name: str) -> str:
    """Draw how NRR spreads over slots, and what a decision costs in time.

    Boxes hold the middle half of all slots of all seeds, whiskers 90 % of them; the dot is the
    mean.

    Parameters
    ----------
    table, look, name
        As :func:`learning_curves`.

    Returns
    -------
    str
        SVG.
    """
    groups = {group.label: group for group in table.arena.groups}
    labels = [row.label for row in reversed(table.rows)]
    with drawing():
        figure = Figure(figsize=(9, 1.2 + 0.24 * len(labels)), layout="constrained")
        boxes, speed = figure.subplots(1, 2, sharey=True)
        values = {label: groups[label].slot_values("nrr").ravel() for label in labels}
        _draw_boxes(boxes, values, look)
        for place, row in enumerate(reversed(table.rows)):
            one = look[row.label]
            both = [row.single_ms, row.batched_ms]
            speed.plot(both, [place] * 2, color=one.colour, linewidth=1, alpha=0.6)
            speed.plot(both[:1], [place], one.marker, color=one.colour, markersize=5)
            speed.plot(both[1:], [place], "|", color=one.colour, markersize=8)
        times = [time for row in table.rows for time in (row.single_ms, row.batched_ms)]
        logarithmic(speed, times)
        speed.set(xlabel="ms per decision (marker: single, bar: in a batch)")
        return svg(figure, name, "NRR over slots, and decision times")


def _draw_boxes(axes: Axes, values: Mapping[str, Floats], look: Mapping[str, Look]) -> None:
    ends: list[float] = []
    for place, (label, nrr) in enumerate(values.items()):
        one, at = look[label], np.quantile(nrr, [0.05, 0.25, 0.75, 0.95])
        axes.plot(at[[0, 3]], [place] * 2, color=one.colour, linewidth=1)
        axes.plot(
            at[[1, 2]],
            [place] * 2,
            color=one.colour,
            linewidth=7,
            alpha=0.45,
            solid_capstyle="butt",
        )
        axes.plot([nrr.mean()], [place], one.marker, color=one.colour, markersize=5)
        ends += at.tolist()
    axes.set_yticks(range(len(values)), [plain(label) for label in values])
    axes.set(xlabel="NRR over slots")
    stretch(axes, "x", ends)


def speed_against_quality(table: Table, look: Mapping[str, Look], name: str) -> str:
    """Draw mean NRR against the time of a single decision.

    Parameters
    ----------
    table, look, name
        As :func:`learning_curves`.

    Returns
    -------
    str
        SVG.
    """
    with drawing():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        axes = figure.subplots()
        for row in table.rows:
            one = look[row.label]
            _draw_interval(axes, row.nrr, row.single_ms, one, upright=True)
        logarithmic(axes, [row.single_ms for row in table.rows])
        axes.set(xlabel="ms per decision, slot by slot", ylabel="mean NRR")
        stretch(axes, "y", _ends(row.nrr for row in table.rows))
        legend(figure, [row.label for row in table.rows], look)
        return svg(figure, name, "Decision time against NRR")


def _draw_interval(
    axes: Axes, interval: Interval, place: float, look: Look, *, upright: bool = False
) -> None:
    def draw(values: Sequence[float], form: Any, **options: Any) -> None:
        places = [place] * len(values)
        points = (places, values) if upright else (values, places)
        axes.plot(*points, form, color=look.colour, **options)

    if interval.known:
        draw([interval.low, min(interval.high, 1.0)], "-", linewidth=2)
    draw([interval.value], look.marker, markersize=4.5)


def _ends(intervals: Iterable[Interval]) -> list[float]:
    """Return everything that an axis of intervals must show; NRR ends at 1."""
    return [
        min(end, 1.0)
        for one in intervals
        for end in ((one.value, one.low, one.high) if one.known else (one.value,))
    ]


def aggregates(summary: Aggregate, look: Mapping[str, Look], name: str) -> str:
    """Draw interquartile means and probabilities of improvement with their intervals.

    Parameters
    ----------
    summary : Aggregate
        Of :func:`mec_bench.statistics.aggregation.aggregate`.
    look, name
        As :func:`learning_curves`.

    Returns
    -------
    str
        SVG.
    """
    rows = summary.rows[::-1]
    with drawing():
        figure = Figure(figsize=(9, 1.2 + 0.24 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for place, row in enumerate(rows):
            _draw_interval(left, row.iqm, place, look[row.label])
            if np.isfinite(row.improvement.value):
                _draw_interval(right, row.improvement, place, look[row.label])
        left.set_yticks(range(len(rows)), [plain(row.label) for row in rows])
        left.set(xlabel="IQM of NRR")
        right.set(xlabel=f"probability of improvement over {plain(str(summary.reference))}")
        right.set_xlim(-0.03, 1.03)
        right.axvline(0.5, color=INK, linewidth=0.8, alpha=0.5)
        stretch(left, "x", _ends(row.iqm for row in rows))
        return svg(figure, name, "Interquartile means and probabilities of improvement")


def profiles(summary: Aggregate, look: Mapping[str, Look], name: str) -> str:
    """Draw performance profiles: which share of the runs exceeds each NRR.

    Parameters
    ----------
    summary, look, name
        As :func:`aggregates`.

    Returns
    -------
    str
        SVG.
    """
    labels = [row.label for row in summary.rows]
    runs = {label: [group.runs for group in summary.groups(label)] for label in labels}
    everything = np.concatenate([np.concatenate(one) for one in runs.values()])
    least, most = stretched(everything.min()), stretched(everything.max())
    limits = shrunk(np.linspace(least - 0.05, most + 0.02, 300))
    with drawing():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        axes = figure.subplots()
        for label in labels:
            share = performance_profile(runs[label], limits)
            one = look[label]
            axes.plot(limits, share, color=one.colour, linestyle=one.dashes, drawstyle="steps")
        axes.set(xlabel="NRR", ylabel="share of runs above")
        stretch(axes, "x", everything.tolist())
        legend(figure, labels, look)
        return svg(figure, name, "Performance profiles")


ALL: Mapping[str, Callable[[Any, Mapping[str, Look], str], str | None]] = {
    "Interquartile means": aggregates,
    "Performance profiles": profiles,
    "Learning curves": learning_curves,
    "Slots": distributions,
    "Speed": speed_against_quality,
}
"""Every figure by the name that a report calls it."""
