"""Learning curves of several seeds on one grid."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from numpy.typing import ArrayLike

from mec_bench.comparing import Aggregate, Table
from mec_bench.results import CurvePoint
from mec_bench.statistics import Band, Floats, Group, Interval, half_interval, performance_profile


def band(
    curves: Sequence[Sequence[CurvePoint]], quantity: str, n_points: int = 101
) -> tuple[Floats, Band]:
    """Return the mean curve over seeds with its pointwise interval.

    Curves are interpolated linearly onto one grid from the latest first point to the earliest
    last one, so that every point is a mean over all seeds: a mean over those that are left would
    jump when one ends. The interval is Student's t over seeds.

    Parameters
    ----------
    curves : sequence of sequence of CurvePoint
        One per seed, none empty.
    quantity : {"timesteps", "seconds"}
        What it is drawn against.
    n_points : int
        Of the grid, where the curves' own points are not the same.

    Returns
    -------
    grid : ndarray, shape (T,)
    band : Band
        Without ends for one seed.

    Examples
    --------
    >>> one = [CurvePoint(0, 0, 0.5), CurvePoint(10, 1, 0.7)]
    >>> two = [CurvePoint(0, 0, 0.7), CurvePoint(10, 3, 0.9)]
    >>> grid, mean = band([one, two], "timesteps")
    >>> grid, mean.value
    (array([ 0., 10.]), array([0.6, 0.8]))
    """
    x = [np.array([getattr(point, quantity) for point in curve], float) for curve in curves]
    y = [np.array([point.nrr for point in curve]) for curve in curves]
    grid = _grid(x, n_points)
    values = np.stack([np.interp(grid, *one) for one in zip(x, y, strict=True)])
    mean = values.mean(0)
    half = half_interval(values)
    return grid, Band(mean, mean - half, mean + half)


def _grid(x: Sequence[Floats], n_points: int) -> Floats:
    if all(len(one) == len(x[0]) and bool((one == x[0]).all()) for one in x):
        return x[0]
    first, last = max(one[0] for one in x), min(one[-1] for one in x)
    # Curves that do not overlap have no common part; the middle is then all there is to show.
    return np.linspace(first, last, n_points) if first < last else np.array([(first + last) / 2])


COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c8c8c")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

INK = "#101112"
"""Stands for the colour of the page's text until the SVG is written."""

STYLE: Mapping[str, Any] = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Look:
    """How a label is drawn.

    Attributes
    ----------
    colour, marker : str
        As matplotlib names them.
    dashes : object
        A line style.

    Examples
    --------
    >>> looks(["a"])["a"].marker
    'o'
    """

    colour: str
    marker: str
    dashes: Any


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return how each label is drawn, the same for the same labels.

    Parameters
    ----------
    labels : iterable of str
        All labels of a report.

    Returns
    -------
    dict of str to Look
        No two equal, up to 28 labels.

    Examples
    --------
    >>> looks(["b", "a"])["a"].colour
    '#0072b2'
    """
    found = {}
    for index, label in enumerate(sorted(set(labels))):
        turn, colour = divmod(index, len(COLOURS))
        found[label] = Look(
            COLOURS[colour],
            MARKERS[(colour + turn) % len(MARKERS)],
            DASHES[turn % len(DASHES)],
        )
    return found


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in our style, whatever matplotlib's settings are, and leave them as they were.

    Yields
    ------
    None

    Examples
    --------
    >>> with drawing():
    ...     figure = Figure()
    """
    with style.context(dict(STYLE), after_reset=True):
        yield


def svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element for a page, the same text every time.

    Parameters
    ----------
    figure : Figure
        Drawn within :func:`drawing`.
    name : str
        Its name in the page; letters, digits and dashes.
    title : str
        What it shows, for those who do not see it.

    Returns
    -------
    str

    Examples
    --------
    >>> with drawing():
    ...     text = svg(Figure(), "f1", "nothing")
    >>> text[:36]
    '<svg role="img" aria-label="nothing"'
    """
    file = io.StringIO()
    with style.context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several figures share a page, and an id may stand in it once only.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = text.replace(INK, "currentColor")
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


# -- axes -----------------------------------------------------------------------------------------

FLOOR = 1e-5
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 1)


def stretch(axes: Axes, which: str, values: Iterable[float]) -> None:
    """Stretch an NRR axis towards 1 where policies come near it: that is where they differ.

    Parameters
    ----------
    axes : Axes
        What to draw on.
    which : {"x", "y"}
        The axis.
    values : iterable of float
        Everything that it must show.

    Examples
    --------
    >>> axes = Figure().subplots()
    >>> stretch(axes, "y", [0.5, 0.999])
    >>> axes.get_yscale()
    'function'
    """
    known = [value for value in values if np.isfinite(value)]
    if not known or max(known) < 0.97:
        return
    scale, ticks = (
        (axes.set_xscale, axes.set_xticks) if which == "x" else (axes.set_yscale, axes.set_yticks)
    )
    scale("function", functions=(stretched, shrunk))
    low, high = min(known), max(known)
    margin = 0.05 * (stretched(high) - stretched(low)) + 0.02
    ends = [float(shrunk(stretched(low) - margin)), float(shrunk(stretched(high) + margin))]
    (axes.set_xlim if which == "x" else axes.set_ylim)(*ends)
    inside = [tick for tick in TICKS if ends[0] <= tick <= ends[1]]
    ticks(_apart(inside, ends), minor=False)
    (axes.xaxis if which == "x" else axes.yaxis).set_major_formatter(lambda value, _: f"{value:g}")


def _apart(ticks: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Return the ticks that do not run into each other, those nearest to 1 first."""
    span = float(stretched(ends[1]) - stretched(ends[0]))
    kept: list[float] = []
    for tick in reversed(ticks):
        if all(abs(stretched(tick) - stretched(other)) > 0.09 * span for other in kept):
            kept.append(tick)
    return kept[::-1]


def stretched(nrr: ArrayLike) -> Floats:
    """Return where NRR stands on a stretched axis: -log10(1 - NRR + 1e-5).

    Parameters
    ----------
    nrr : array_like, [1]
        At most 1.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> stretched([0.9, 0.99, 1]).round(2)
    array([1., 2., 5.])
    """
    return np.asarray(-np.log10(np.maximum(1 - np.asarray(nrr, dtype=float), 0) + FLOOR))


def shrunk(place: ArrayLike) -> Floats:
    """Return the NRR of a place on a stretched axis.

    Parameters
    ----------
    place : array_like
        See :func:`stretched`.

    Returns
    -------
    ndarray, [1]

    Examples
    --------
    >>> shrunk(stretched([0.9])).round(6)
    array([0.9])
    """
    return np.asarray(1 + FLOOR - 10.0 ** -np.asarray(place, dtype=float))


def logarithmic(axes: Axes, values: Iterable[float]) -> None:
    """Make the x axis logarithmic, with plain numbers, where all values allow it.

    Parameters
    ----------
    axes : Axes
        What to draw on.
    values : iterable of float
        Everything that it must show.

    Examples
    --------
    >>> axes = Figure().subplots()
    >>> logarithmic(axes, [0.02, 3])
    >>> [float(tick) for tick in axes.get_xticks()]
    [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]
    """
    known = list(values)
    if min(known) <= 0:
        return
    axes.set_xscale("log")
    low, high = min(known) / 1.25, max(known) * 1.25
    axes.set_xlim(low, high)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wide = high / low > 1e3
    steps = (1,) if wide else (1, 2, 5)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, labels: Sequence[str], look: Mapping[str, Look]) -> None:
    """Put a legend beside a figure.

    Parameters
    ----------
    figure : Figure
        With constrained layout.
    labels : sequence of str
        In the order shown.
    look : mapping of str to Look
        Of :func:`looks`.

    Examples
    --------
    >>> legend(Figure(layout="constrained"), ["a"], looks(["a"]))
    """
    handles = [
        Line2D(
            [],
            [],
            color=look[label].colour,
            linestyle=look[label].dashes,
            marker=look[label].marker,
            markersize=4,
        )
        for label in labels
    ]
    figure.legend(handles, [plain(label) for label in labels], loc="outside right upper")


def plain(label: str) -> str:
    r"""Return a label that matplotlib does not take for mathematics, cut where it is long.

    Parameters
    ----------
    label : str
        Of a result.

    Returns
    -------
    str

    Examples
    --------
    >>> plain("$x")
    '\\$x'
    """
    short = label if len(label) <= 28 else f"{label[:27]}…"
    return short.replace("$", r"\$")


def learning_curves(table: Table, look: Mapping[str, Look], name: str) -> str | None:
    """Draw NRR during training against slots and against seconds.

    Lines are means over seeds; bands are 95 % intervals by Student's t over seeds.

    Parameters
    ----------
    table : Table
        One scenario.
    look : mapping of str to Look
        Of :func:`mec_bench.figures.looks`.
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
        Of :func:`mec_bench.comparing.aggregate`.
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
