"""Figures of a report as SVG: learning curves, slots, speed, and aggregates over scenarios."""

from __future__ import annotations

import dataclasses
import html
import io
import itertools
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
from scipy.optimize import isotonic_regression

from mec_bench.comparing import Aggregate, Row, Table
from mec_bench.statistics import Floats, Group, Interval, half_interval, performance_profile

# -- how labels look ------------------------------------------------------------------------------

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#6a3d9a")
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
    """How a label is drawn."""

    colour: str
    marker: str
    dashes: Any


Looks = Mapping[str, Look]


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return how each label is drawn, the same for the same labels; no two equal, up to 28."""
    found = {}
    for index, label in enumerate(sorted(set(labels))):
        turn, colour = divmod(index, len(COLOURS))
        found[label] = Look(
            COLOURS[colour], MARKERS[(colour + turn) % len(MARKERS)], DASHES[turn % len(DASHES)]
        )
    return found


def plain(label: str) -> str:
    """Return a label that matplotlib does not take for mathematics, cut where it is long."""
    short = label if len(label) <= 28 else f"{label[:27]}…"
    return short.replace("$", r"\$")


def legend(figure: Figure, labels: Sequence[str], look: Looks) -> None:
    """Put a legend beside a figure of constrained layout, in the order of the labels."""
    shown = [look[label] for label in labels]
    handles = [
        Line2D([], [], color=one.colour, linestyle=one.dashes, marker=one.marker, markersize=4)
        for one in shown
    ]
    figure.legend(handles, [plain(label) for label in labels], loc="outside right upper")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in our style, whatever matplotlib's settings are, and leave them as they were."""
    with style.context(dict(STYLE), after_reset=True):
        yield


def svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element for a page, the same text every time.

    The name (letters, digits and dashes) keeps its ids apart from those of other figures; the
    title is for those who do not see it.
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
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1).strip()


# -- axes -----------------------------------------------------------------------------------------

FLOOR = 1e-5
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 1)


def stretch(axes: Axes, which: str, values: Iterable[float]) -> None:
    """Stretch the axis "x" or "y" of scores towards 1 where values come near it: there they differ.

    At least two numbers stand at it.
    """
    known = [value for value in values if np.isfinite(value)]
    if not known or max(known) < 0.97:
        return
    low, high = min(known), max(known)
    margin = 0.05 * (stretched(high) - stretched(low)) + 0.05  # a marker at the end is whole
    low, high = (float(shrunk(end)) for end in (stretched(low) - margin, stretched(high) + margin))
    if sum(low <= tick <= high for tick in TICKS) < 2:
        low = max(tick for tick in TICKS if tick <= low)
        high = min((tick for tick in TICKS if tick >= high), default=high)
    ticks = _apart([tick for tick in TICKS if low <= tick <= high], low, high)
    getattr(axes, f"set_{which}scale")("function", functions=(stretched, shrunk))
    axes.set(**{f"{which}lim": (low, high), f"{which}ticks": ticks})
    getattr(axes, f"{which}axis").set_major_formatter(lambda value, _: f"{value:g}")


def _apart(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """Return the ticks that do not run into each other, those nearest to 1 first."""
    span = float(stretched(high) - stretched(low))
    kept: list[float] = []
    for tick in reversed(ticks):
        if all(abs(stretched(tick) - stretched(other)) > 0.09 * span for other in kept):
            kept.append(tick)
    return kept[::-1]


def stretched(scores: ArrayLike) -> Floats:
    """Return where scores x, at most 1, stand on a stretched axis: -log10(1 - x + 1e-5).

    An axis goes on a little beyond 1: there stand the outer halves of markers at 1.
    """
    left = 1 - np.asarray(scores, dtype=float) + FLOOR
    return np.asarray(-np.log10(np.maximum(left, FLOOR / 10)))


def shrunk(place: ArrayLike) -> Floats:
    """Return the score of a place on a stretched axis."""
    return np.asarray(1 + FLOOR - 10.0 ** -np.asarray(place, dtype=float))


def logarithmic(axes: Axes, values: Iterable[float]) -> None:
    """Make the x axis logarithmic, with at least two plain numbers, where all values allow it."""
    known = list(values)
    if min(known) <= 0:
        return
    low, high = min(known) / 1.25, max(known) * 1.25
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = (1,) if high / low > 1e3 else (1, 2, 5)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    if sum(low <= tick <= high for tick in ticks) < 2:
        low = max(tick for tick in ticks if tick <= low)
        high = min(tick for tick in ticks if tick >= high)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


# -- curves of several seeds on one grid ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Band:
    """A mean curve over x with half of its pointwise interval, NaN for one seed; shape (T,)."""

    x: Floats
    value: Floats
    half: Floats


def band(curves: Sequence[Sequence[Any]], quantity: str, n_points: int = 101) -> Band:
    """Return the mean over seeds of curves against "timesteps" or "seconds", by Student's t.

    Curves are interpolated linearly onto one grid from the latest first point to the earliest
    last one, so that every point is a mean over all seeds: a mean over those that are left would
    jump when one ends.
    """
    x = [np.array([getattr(point, quantity) for point in curve], float) for curve in curves]
    y = [np.array([point.score for point in curve]) for curve in curves]
    grid = _grid(x, n_points)
    values = np.stack([np.interp(grid, *one) for one in zip(x, y, strict=True)])
    return Band(grid, values.mean(0), half_interval(values))


def _grid(x: Sequence[Floats], n_points: int) -> Floats:
    if all(len(one) == len(x[0]) and bool((one == x[0]).all()) for one in x):
        return x[0]
    first, last = max(one[0] for one in x), min(one[-1] for one in x)
    # Curves that do not overlap have no common part; the middle is then all there is to show.
    return np.linspace(first, last, n_points) if first < last else np.array([(first + last) / 2])


# -- the figures ----------------------------------------------------------------------------------


MOST_RULES = 8
"""Lines of rules beside learning curves: more names have no room."""


def learning_curves(figure: Figure, table: Table, look: Looks) -> None:
    """Draw scores during training against slots and seconds, and the best rules as lines.

    Nothing without curves.
    """
    best_first = [table.arena.group(row.label) for row in table.rows]
    groups = [group for group in best_first if any(one.curve for one in group.results)]
    if not groups:
        return
    figure.set_figheight(4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    shown: list[float] = []
    for axes, quantity in ((left, "timesteps"), (right, "seconds")):
        for group in groups:
            shown += _draw_curve(axes, group, quantity, look[group.label])
    # Rules below all curves would only take room.
    rules = {row.label: row.score.value for row in table.rows if not row.learns}
    rules = {label: rules[label] for label in list(rules)[:MOST_RULES] if rules[label] > min(shown)}
    for axes, value in itertools.product((left, right), rules.values()):
        axes.axhline(value, color=INK, linewidth=0.8, alpha=0.5)
    left.set(xlabel="slots of training", ylabel=table.measure.title)
    right.set(xlabel="seconds of training")
    stretch(left, "y", [*shown, *rules.values()])
    ends = {group.label: _end(group) for group in groups}
    name_ends(right, ends | rules, {label: look[label].colour for label in ends})


def _draw_curve(axes: Axes, group: Group, quantity: str, look: Look) -> list[float]:
    """Draw every seed, thin and with a dot at its end, and the mean; return all that is shown."""
    curves = [one.curve for one in group.results if one.curve]
    mean = band(curves, quantity)
    axes.plot(mean.x, mean.value, color=look.colour, linestyle=look.dashes)
    if np.isfinite(mean.half).any():
        low, high = np.clip([mean.value - mean.half, mean.value + mean.half], 0, 1)
        axes.fill_between(mean.x, low, high, color=look.colour, alpha=0.13, linewidth=0)
    seen: list[float] = []
    for curve in curves:
        x, y = [getattr(point, quantity) for point in curve], [point.score for point in curve]
        axes.plot(x, y, color=look.colour, linewidth=0.6, alpha=0.45)
        axes.plot(x[-1:], y[-1:], "o", color=look.colour, markersize=3)
        seen += y
    return seen


def _end(group: Group) -> float:
    """Return where the mean curve ends."""
    return float(np.mean([one.curve[-1].score for one in group.results if one.curve]))


def name_ends(axes: Axes, places: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Name lines at their right end, where y is known: no name overlaps one or crosses a leader.

    Leaders end at the left of names, all of which begin at the same x.
    """
    labels = sorted(places, key=lambda label: places[label])
    axes.autoscale_view()  # limits are old until it is drawn
    to_axes = axes.transData + axes.transAxes.inverted()
    wanted = [float(to_axes.transform((0.0, places[label]))[1]) for label in labels]
    height = 72 * axes.get_window_extent().height / axes.figure.dpi  # about: before the layout
    leader = {"arrowstyle": "-", "linewidth": 0.5, "alpha": 0.6}
    leader |= {"relpos": (0, 0.5), "patchA": None, "shrinkB": 0}
    for label, y, place in zip(labels, wanted, spread(wanted, 10 / height), strict=True):
        colour = colours.get(label, INK)
        axes.annotate(
            plain(label), (1, y), (1.07, place), xycoords="axes fraction", color=colour,
            fontsize=8, va="center", annotation_clip=False, arrowprops=leader | {"color": colour},
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return places in [0, 1], in rising order, at least `gap` apart and as near as they can be.

    Where they have no room, they go on below 0.

    >>> [round(place, 2) for place in spread([0.1, 0.98, 0.99], 0.1)]
    [0.1, 0.9, 1.0]
    """
    steps = gap * np.arange(len(places))
    nearest = isotonic_regression(np.asarray(places) - steps).x  # least squares under an order
    found: list[float] = (np.minimum(nearest, 1 - steps[-1:]) + steps).tolist()
    return found


def distributions(figure: Figure, table: Table, look: Looks) -> None:
    """Draw how scores spread over the slots of all seeds, and what a decision costs in time."""
    rows = table.rows[::-1]
    figure.set_figheight(1.2 + 0.24 * len(rows))
    boxes, speed = figure.subplots(1, 2, sharey=True)
    ends: list[float] = []
    for place, row in enumerate(rows):
        scores = table.arena.group(row.label).slot_values("score").ravel()
        ends += _draw_box(boxes, place, scores, look[row.label])
        if row.n_seeds > 1 and row.learns:
            runs = table.arena.group(row.label).runs
            boxes.plot(runs, [place - 0.32] * len(runs), "o", color=look[row.label].colour, ms=2)
            ends += runs.tolist()
        _draw_times(speed, place, row, look[row.label])
    _name_rows(boxes, [row.label for row in rows])
    boxes.set(xlabel=f"{table.measure.title} over {table.measure.sample}")
    stretch(boxes, "x", ends)
    logarithmic(speed, [time for row in rows for time in (row.single_ms, row.batched_ms)])
    speed.set(xlabel="ms per decision (marker: single, bar: in a batch)")


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [plain(label) for label in labels])
    axes.set_ylim(-0.6, len(labels) - 0.4)


def _draw_box(axes: Axes, place: float, scores: Floats, look: Look) -> list[float]:
    """Draw where the middle half and 90 % of scores are, and their mean; return the ends."""
    at: list[float] = np.quantile(scores, [0.05, 0.25, 0.75, 0.95]).tolist()
    axes.plot(at[::3], [place] * 2, color=look.colour, linewidth=1)
    thick: Mapping[str, Any] = {"linewidth": 7, "alpha": 0.45, "solid_capstyle": "butt"}
    axes.plot(at[1:3], [place] * 2, color=look.colour, **thick)
    axes.plot([scores.mean()], [place], look.marker, color=look.colour, markersize=5)
    return at


def _draw_times(axes: Axes, place: float, row: Row, look: Look) -> None:
    both = [row.single_ms, row.batched_ms]
    axes.plot(both, [place] * 2, color=look.colour, linewidth=1, alpha=0.6)
    axes.plot(both[:1], [place], look.marker, color=look.colour, markersize=5)
    axes.plot(both[1:], [place], "|", color=look.colour, markersize=8)


def speed_against_quality(figure: Figure, table: Table, look: Looks) -> None:
    """Draw mean scores against the time of a single decision."""
    axes = figure.subplots()
    shown = [row.score.within(0, 1) for row in table.rows]
    for row, score in zip(table.rows, shown, strict=True):
        _draw_interval(axes, score, row.single_ms, look[row.label], upright=True)
    logarithmic(axes, [row.single_ms for row in table.rows])
    axes.set(xlabel="ms per decision, slot by slot", ylabel=f"mean {table.measure.title}")
    stretch(axes, "y", _ends(shown))
    legend(figure, [row.label for row in table.rows], look)


def _draw_interval(
    axes: Axes, interval: Interval, place: float, look: Look, *, upright: bool = False
) -> None:
    def draw(values: Sequence[float], form: Any, **options: Any) -> None:
        places = [place] * len(values)
        points = (places, values) if upright else (values, places)
        axes.plot(*points, form, color=look.colour, **options)

    if interval.known:
        draw([interval.low, interval.high], "-", linewidth=2)
    draw([interval.value], look.marker, markersize=4.5)


def _ends(intervals: Iterable[Interval]) -> list[float]:
    """Return everything that an axis of intervals must show; what is not known is NaN."""
    return [end for one in intervals for end in (one.value, one.low, one.high)]


def aggregates(figure: Figure, summary: Aggregate, look: Looks) -> None:
    """Draw interquartile means and probabilities of improvement with their intervals."""
    rows = summary.rows[::-1]
    figure.set_figheight(1.2 + 0.24 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(rows):
        _draw_interval(left, row.iqm, place, look[row.label])
        if np.isfinite(row.improvement.value):
            _draw_interval(right, row.improvement, place, look[row.label])
    _name_rows(left, [row.label for row in rows])
    left.set(xlabel=f"IQM of {summary.measure.title}")
    right.set(xlabel=f"probability of improvement over {plain(str(summary.reference))}")
    right.set_xlim(-0.03, 1.03)
    right.axvline(0.5, color=INK, linewidth=0.8, alpha=0.5)
    stretch(left, "x", _ends(row.iqm for row in rows))


def profiles(figure: Figure, summary: Aggregate, look: Looks) -> None:
    """Draw performance profiles: which share of the runs exceeds each score."""
    labels = [row.label for row in summary.rows]
    runs = {label: [group.runs for group in summary.groups(label)] for label in labels}
    everything = np.concatenate([np.concatenate(one) for one in runs.values()])
    least, most = stretched(everything.min()), stretched(everything.max())
    limits = shrunk(np.linspace(least - 0.05, most + 0.02, 300))
    axes = figure.subplots()
    for label in labels:
        share = performance_profile(runs[label], limits)
        one = look[label]
        axes.plot(limits, share, color=one.colour, linestyle=one.dashes, drawstyle="steps")
    axes.set(xlabel=summary.measure.title, ylabel="share of runs above")
    stretch(axes, "x", everything.tolist())
    legend(figure, labels, look)


Draw = Callable[[Figure, Any, Looks], None]

# Titles and captions name the measure of what is drawn.
OF_AGGREGATES: Mapping[str, tuple[Draw, str]] = {
    "Interquartile means and probabilities of improvement": (
        aggregates,
        "Left: interquartile mean of {title} over all runs. Right: probability that a run beats "
        "one of the reference in the same scenario. 95 % bootstrap intervals.",
    ),
    "Performance profiles": (
        profiles,
        "Share of the runs whose {title} exceeds a value, each scenario weighing the same. Higher "
        "is better.",
    ),
}
OF_TABLES: Mapping[str, tuple[Draw, str]] = {
    "Learning curves": (
        learning_curves,
        "{title} during training, against slots and against seconds of training: thin lines and "
        "dots are seeds, thick lines their mean, with its pointwise 95 % interval (Student's t). "
        "Level lines are the best rules.",
    ),
    "{title} over {sample}, and decision times": (
        distributions,
        "Left: {title} over test {sample}, of all seeds: boxes hold the middle half, lines 90 %, "
        "markers are means, dots below them seeds. Right: time of a decision, slot by slot "
        "(marker) and in a batch (bar).",
    ),
    "Decision time against {title}": (
        speed_against_quality,
        "Mean {title} with its 95 % interval against the time of a decision, slot by slot.",
    ),
}


def drawn(look: Looks, shown: Aggregate | Table, name: str) -> Iterator[tuple[str, str]]:
    """Return the figures of a table or an aggregate: of each its SVG and its caption."""
    kinds = OF_AGGREGATES if isinstance(shown, Aggregate) else OF_TABLES
    for number, (title, (draw, caption)) in enumerate(kinds.items()):
        with drawing():
            figure = Figure(figsize=(9, 3.4), layout="constrained")
            draw(figure, shown, look)
            named = dataclasses.asdict(shown.measure)
            told = title.format(**named)
            text = svg(figure, f"{name}-{number}", told) if figure.axes else ""
        if text:
            said = caption.format(**named)
            yield text, said[0].upper() + said[1:]
