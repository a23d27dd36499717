"""The page: every table and figure of Section V in the paper's order, from raw results alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.paper import (
    benchmarks_section,
    imitation_section,
    large_section,
    refinement_section,
    training_section,
    weights_section,
)
from experiments.paper.drawing import save, style
from experiments.paper.raw import FILE_NAME, Raw, write_raw
from experiments.paper.wording import paragraphs
from experiments.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "reproduction.md"
PICTURES = "reproduction"


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of the paper.

    Attributes
    ----------
    title : str
        Of its section.
    section : callable
        From raw results to Markdown.
    figures : callable
        From raw results to figures by file name.

    Examples
    --------
    >>> EXHIBITS["table3"].title
    'Table III: positions of the devices'
    """

    title: str
    section: Callable[[Raw], str]
    figures: Callable[[Raw], Mapping[str, Figure]]


EXHIBITS: Mapping[str, Exhibit] = {
    "table2": Exhibit("Table II: imitation", imitation_section.section, imitation_section.figures),
    "fig3": Exhibit(
        "Fig. 3: losses of the agents",
        training_section.losses_section,
        training_section.losses_figures,
    ),
    "fig4": Exhibit("Fig. 4: refinement", refinement_section.section, refinement_section.figures),
    "fig5": Exhibit(
        "Fig. 5: average reward during training",
        training_section.rewards_section,
        training_section.rewards_figures,
    ),
    "fig6": Exhibit("Fig. 6: weights", weights_section.section, weights_section.figures),
    "table3": Exhibit(
        "Table III: positions of the devices",
        large_section.table3_section,
        large_section.no_figures,
    ),
    "table4": Exhibit("Table IV: tasks", large_section.table4_section, large_section.no_figures),
    "table5": Exhibit(
        "Table V: DIRS against learners and searches",
        benchmarks_section.table5_section,
        large_section.no_figures,
    ),
    "fig7": Exhibit(
        "Fig. 7: number of devices", benchmarks_section.fig7_section, benchmarks_section.figures7
    ),
}
"""By the names of :data:`experiments.paper.plan.PLAN`."""

HEADER = """# The paper's Section V again

Written by `scripts/reproduce.py`; do not edit. Every table and figure of Section V, with the
paper's number beside ours. {spent} Cells are the mean over training seeds ± half of the 95 %
interval (Student's t); seed s trains and is measured on map s, so that the interval holds what the
map changes. Everything is measured on 200 frozen slots of that map that no training sees, searches
on the first {search_slots} of them; it is the final policy that is measured, not the best. A
difference is explained where a computation checks the explanation, and said to be unexplained
elsewhere. A claim of the paper holds here, or does not, where the 95 % interval over seeds leaves
no doubt: that of a paired difference does not hold 0, or, where things are said to be alike, lies
within the bounds that are given or outside of them; else it is undecided. Raw results:
[{raw}]({raw}).
"""

_SPENT = {
    "full": "The budgets are the paper's where it prints them.",
    "quick": "**Written with --quick: budgets far below the paper's, to see that it works.**",
}


def page_text(raw: Raw) -> str:
    """Return the page.

    Parameters
    ----------
    raw : Raw
        Results.

    Returns
    -------
    str
        Markdown; the same for the same results.
    """
    spent = _SPENT[raw.budget["name"]]
    header = HEADER.format(spent=spent, search_slots=raw.budget["search_slots"], raw=FILE_NAME)
    parts = []
    for name, exhibit in EXHIBITS.items():
        done, wanted = raw.progress.get(name, (0, 0))
        note = "" if done == wanted else f"*{done} of {wanted} runs and measurements are done.*"
        body = exhibit.section(raw)
        parts.append(paragraphs(f"## {exhibit.title}", note, body))
    return paragraphs(header, *parts, _machines(raw))


def _machines(raw: Raw) -> str:
    if not raw.systems:
        return ""
    names = sorted({f"{one['processor']}, {one['cores']} cores" for one in raw.systems})
    versions = sorted(
        {
            ", ".join(f"{name} {one['versions'][name]}" for name in sorted(one["versions"]))
            for one in raw.systems
        }
    )
    commits = sorted({str(one["commit"])[:7] for one in raw.systems})
    return paragraphs(
        "## What it ran on",
        f"{'; '.join(names)}; one thread each. {'; '.join(versions)}. Commits: "
        f"{', '.join(commits)}.",
    )


def write_page(raw: Raw, folder: Path) -> Path:
    """Write page, figures and raw results.

    Parameters
    ----------
    raw : Raw
        Results.
    folder : Path
        Where to; figures lie in a folder below.

    Returns
    -------
    Path
        Of the page.
    """
    write_raw(folder / FILE_NAME, raw)
    with style():
        for exhibit in EXHIBITS.values():
            save(exhibit.figures(raw), folder / PICTURES)
    write_whole(folder / PAGE, page_text(raw))
    return folder / PAGE
