"""What every table and figure of the page is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reproduction.claims import Claim
from reproduction.raw import Raw

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def no_figures(raw: Raw) -> Mapping[str, Figure]:
    """Return no figure: a table has none.

    Parameters
    ----------
    raw : Raw
        Not used.

    Returns
    -------
    dict

    Examples
    --------
    >>> no_figures(Raw({}))
    {}
    """
    del raw
    return {}


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of the paper, from raw results alone.

    Attributes
    ----------
    title : str
        Of its section.
    body : callable
        Introduction, picture and table, in Markdown.
    claims : callable
        What the paper says of it; nothing where nothing is measured.
    difference : callable
        How ours differs from the paper's, explained or said to be unexplained, in Markdown; empty
        where nothing is measured.
    figures : callable
        Figures by file name.

    Examples
    --------
    >>> from reproduction.large_section import TABLE_3
    >>> TABLE_3.title
    'Table III: positions of the devices'
    """

    title: str
    body: Callable[[Raw], str]
    claims: Callable[[Raw], Sequence[Claim]]
    difference: Callable[[Raw], str]
    figures: Callable[[Raw], Mapping[str, Figure]] = no_figures
