"""How figures look: colours, axes, legends, and SVG text for a page.

Colours are those of Okabe and Ito that are told apart by everyone on white and on black, with
line styles and markers where labels outnumber them. A label looks the same in all figures. Text,
axes and grid take the colour of the page.
"""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from mec_bench.statistics.intervals import Floats

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
