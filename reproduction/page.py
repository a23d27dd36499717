"""The page: every table and figure of Section V in the paper's order, from raw results alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mec_gym.files import write_whole
from reproduction import (
    benchmarks_section,
    devices_section,
    imitation_section,
    large_section,
    provenance,
    refinement_section,
    training_section,
    weights_section,
)
from reproduction.claims import judged
from reproduction.drawing import save, style
from reproduction.exhibit import Exhibit
from reproduction.raw import FILE_NAME, Raw, write_raw
from reproduction.wording import paragraphs

PAGE = "reproduction.md"
PICTURES = "reproduction"


EXHIBITS: Mapping[str, Exhibit] = {
    "table2": imitation_section.TABLE_2,
    "fig3": training_section.FIG_3,
    "fig4": refinement_section.FIG_4,
    "fig5": training_section.FIG_5,
    "fig6": weights_section.FIG_6,
    "table3": large_section.TABLE_3,
    "table4": large_section.TABLE_4,
    "table5": benchmarks_section.TABLE_5,
    "fig7": devices_section.FIG_7,
}
"""By the names of :data:`reproduction.plan.PLAN`."""

HEADER = """# The paper's Section V again

Written by `scripts/reproduce.py`; do not edit. Every table and figure of Section V, with the
paper's number beside ours. {spent} Cells are the mean over training seeds ± half of the 95 %
interval (Student's t); seed s trains and is measured on map s, so that the interval holds what the
map changes. Everything is measured on 200 frozen slots of that map that no training sees, searches
on the first {search_slots} of them; it is the final policy that is measured, not the best. A
difference is explained where a computation checks the explanation, and said to be unexplained
elsewhere. Raw results: [{raw}]({raw}).

Each claim of the paper that can be measured is judged by paired differences over seeds, or, where
things are said to be alike, by the bounds that are given: Student's t, two-sided. A claim of
several parts holds if all do; its p is then the largest of theirs. It fails if one does: the
smallest, times their number. All p are corrected by Holm for the {verdicts} verdicts of this page;
what is below 0.05 holds or does not hold, all else is undecided. So the chance that any of them is
decided wrongly is 5 % at most, as far as Student's t is right for {seeds} seeds. What cannot be
judged says why.
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
    claims = {name: list(exhibit.claims(raw)) for name, exhibit in EXHIBITS.items()}
    verdicts = judged(claims)
    header = HEADER.format(
        spent=_SPENT[raw.budget["name"]],
        search_slots=raw.budget["search_slots"],
        seeds=raw.budget["seeds"],
        verdicts=sum(one.p == one.p for group in claims.values() for one in group),
        raw=FILE_NAME,
    )
    parts = []
    for name, exhibit in EXHIBITS.items():
        done, wanted = raw.progress.get(name, (0, 0))
        note = "" if done == wanted else f"*{done} of {wanted} runs and measurements are done.*"
        difference = exhibit.difference(raw)
        parts.append(
            paragraphs(
                f"## {exhibit.title}",
                note,
                exhibit.body(raw),
                verdicts[name],
                f"**Difference.** {difference}" if difference else "",
            )
        )
    return paragraphs(header, provenance.warning(raw), *parts, provenance.section(raw))


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
