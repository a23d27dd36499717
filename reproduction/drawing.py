"""Figures of the page: sober, readable without colour vision, the same file for the same data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mec_bench.statistics import half_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#804000")
"""Okabe and Ito's, which the colour-blind tell apart, grey and brown; black is the optimum's."""

STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

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


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the page's style.

    Examples
    --------
    >>> with style():
    ...     figure, _ = panels()
    """
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def panels(columns: int = 1, *, width: float = 6.2, height: float = 3.4) -> tuple[Figure, Any]:
    """Return a figure with panels side by side.

    Parameters
    ----------
    columns : int
        How many.
    width, height : float, [inch]
        Of the figure.

    Returns
    -------
    Figure
    ndarray of Axes, shape (columns,)

    Examples
    --------
    >>> figure, axes = panels(2)
    >>> axes.shape
    (2,)
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))


def curve(
    axes: Axes, x: Sequence[float], rows: Sequence[Sequence[float]], index: int, label: str
) -> None:
    """Draw a mean over seeds with its 95 % interval, Student's t.

    Parameters
    ----------
    axes : Axes
        Where.
    x : sequence of float
        Common to all seeds.
    rows : sequence of sequence of float
        By seed.
    index : int
        Of colour and line style.
    label : str
        For the legend.
    """
    values = np.asarray(rows, dtype=float)
    middle = values.mean(axis=0)
    colour, style = COLOURS[index % len(COLOURS)], STYLES[index % len(STYLES)]
    axes.plot(x, middle, color=colour, linestyle=style, linewidth=1.5, label=label)
    if len(values) > 1:
        half = half_interval(values)
        axes.fill_between(
            np.asarray(x), middle - half, middle + half, color=colour, alpha=0.15, linewidth=0
        )


def save(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures as SVG: no date, no random names.

    Parameters
    ----------
    figures : mapping of str to Figure
        By file name without suffix.
    folder : Path
        Where to.

    Returns
    -------
    list of Path
    """
    written = []
    for name, figure in figures.items():
        target = folder / f"{name}.svg"
        target.parent.mkdir(parents=True, exist_ok=True)
        with style():
            figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
        written.append(target)
    return written
