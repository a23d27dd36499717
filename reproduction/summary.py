"""README's tables of results: a few rows of the pages, to three digits, from raw figures alone."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from mec_bench.cli import complain
from mec_bench.registry import title
from mec_gym.files import around, write_whole
from reproduction import pages
from reproduction.learned import read
from reproduction.records import Runs, grouped, mean_score, short

Rows = Mapping[str, tuple[str, str]]
"""By label what README adds to its title, and what it is told, in short."""

TABLES: tuple[tuple[str, Rows, Mapping[str, str]], ...] = (
    (
        "optimum / cost",
        {
            "local": ("", "nothing"),
            "posted-prices": (" (a rule)", "own links, tuned prices"),
            "ac": (" (actor–critic)", "a reward"),
            "mappo:learned": ("", "a reward, what links are"),
            "mappo": ("", "each choice's cost"),
            "dirs": ("", "decisions of a search"),
            "dirs:prices": ("", "the optimum, choices' costs"),
        },
        {
            "paper-30x2": "30 devices, 2 servers",
            "paper-200x10": "200 devices, 10 servers",
            "unequal-200x10": "200 unequal devices, 10 servers",
        },
    ),
    (
        "hindsight bound / cost",
        {
            "local": ("", "nothing"),
            "stays": (": move if that pays in H slots (a rule)", "the slot, tuned H"),
            "measured-speed": (" (a rule)", "all slots so far, tuned c"),
            "forecast": (", a planner (a rule)", "how devices move"),
            "mappo:learned": ("", "a reward, what links are"),
            "mappo": ("", "each choice's cost"),
            "dirs:hindsight": ("", "hindsight, the optimum, choices' costs"),
        },
        {
            "crowd-30x4": "30 devices that walk and drive, 4 servers",
            "crowd-200x10": "200 of them, 10 servers",
        },
    ),
)
"""Measures, with rows, rules first, and what README calls presets."""

BEGIN = "<!-- summary: written by python -m reproduction.summary --readme -->"
END = "<!-- end of summary -->"


def summary(figures: Path = pages.RESULTS / "learned.json") -> str:
    """Return the tables of which there are figures: mean scores by label and scenario."""
    found = grouped(read(figures)["runs"])
    tables = [_table(found, *table) for table in TABLES]
    return "\n".join(table for table in tables if table)


def _table(found: Runs, measure: str, rows: Rows, presets: Mapping[str, str]) -> str:
    cells = [
        [title(label) + more, told, *(_cell(found, label, preset) for preset in presets)]
        for label, (more, told) in rows.items()
        if any((label, preset) in found for preset in presets)
    ]
    head = pages.head([measure, "told", *presets.values()])
    return f"{head}\n{pages.rows(cells)}\n" if cells else ""


def _cell(found: Runs, label: str, preset: str) -> str:
    records = found.get((label, preset))
    return short(mean_score(records).value) if records else pages.MISSING


def main() -> None:
    """Print the tables, or put them between the marks of README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="put them into README.md")
    given = parser.parse_args()
    with complain(status=2):
        if given.readme:
            before, after = around(pages.README, f"{BEGIN}\n", END)
            write_whole(pages.README, f"{before}{BEGIN}\n{summary()}{END}{after}")
        else:
            print(summary(), end="")


if __name__ == "__main__":
    main()
