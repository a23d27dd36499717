"""README's tables of results: a few rows of the pages, to three digits, from raw figures alone."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from mec_bench.cli import complain
from mec_gym.files import around, write_whole
from reproduction import learned, pages

Names = Mapping[str, str]
"""What README calls labels, or presets."""

TABLES: tuple[tuple[str, Names, Names], ...] = (
    (
        "optimum / cost",
        {
            "local": "everything local",
            "nearest:limit": "nearest server, if it has room",
            "posted-prices": "servers post a price (a rule)",
            "ac": "actor–critic (AC)",
            "mappo": "MAPPO, exact credit for each device",
            "dirs": "DIRS as in the paper",
            "dirs:prices": "DIRS with price-posting agents",
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
            "local": "everything local",
            "never-move": "place each service once",
            "stays": "move it if that pays in H slots (a rule)",
            "measured-speed": "H by measured speed (a rule)",
            "forecast": "a planner that knows how devices move",
            "mappo": "MAPPO, exact credit for each device",
            "dirs:hindsight": "DIRS that looks ahead",
        },
        {
            "crowd-30x4": "30 devices that walk and drive, 4 servers",
            "crowd-200x10": "200 of them, 10 servers",
        },
    ),
)
"""Measures, with what README calls rows, rules first, and columns."""

BEGIN = "<!-- summary: written by python -m reproduction.summary --readme -->"
END = "<!-- end of summary -->"


def summary(figures: Path = pages.RESULTS / "learned.json") -> str:
    """Return the tables of which there are figures: mean scores by label and scenario."""
    found = learned.grouped(learned.read(figures)["runs"])
    tables = [_table(found, *table) for table in TABLES]
    return "\n".join(table for table in tables if table)


def _table(found: learned.Runs, measure: str, labels: Names, presets: Names) -> str:
    cells = [
        [name, *(_cell(found, label, preset) for preset in presets)]
        for label, name in labels.items()
        if any((label, preset) in found for preset in presets)
    ]
    return f"{pages.head([measure, *presets.values()])}\n{pages.rows(cells)}\n" if cells else ""


def _cell(found: learned.Runs, label: str, preset: str) -> str:
    records = found.get((label, preset))
    return learned.short(learned.mean_score(records).value) if records else pages.MISSING


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
