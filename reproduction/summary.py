"""README's table of results: a few rows of the pages, to three digits, from raw figures alone."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mec_bench.cli import complain
from mec_gym.files import around, read_figures, write_whole
from reproduction import learners, pages

ROWS = {
    "local": "everything local",
    "nearest:limit": "nearest server, if it has room",
    "posted-prices": "servers post a price (a rule)",
    "ac": "actor–critic (AC)",
    "dirs": "DIRS as in the paper",
    "dirs:prices": "DIRS with price-posting agents",
}
"""What README calls the labels of runs; rules come first."""

SCENARIOS = {
    "paper-30x2": "30 devices, 2 servers",
    "paper-200x10": "200 devices, 10 servers",
    "unequal-200x10": "200 unequal devices, 10 servers",
}

BEGIN = "<!-- summary: written by python -m reproduction.summary --readme -->"
END = "<!-- end of summary -->"


def summary(figures: Path = pages.RESULTS / "learners.json") -> str:
    """Return the table: mean NRR, optimum / objective, of runs by label and scenario."""
    raw = read_figures(figures, learners.FORMAT, learners.VERSION, "reproduction/learners.py")
    runs = learners.grouped(raw["runs"])
    cells = [
        [name, *(_cell(runs[label, scenario]) for scenario in SCENARIOS)]
        for label, name in ROWS.items()
    ]
    return f"{pages.head(['', *SCENARIOS.values()])}\n{pages.rows(cells)}\n"


def _cell(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a mean NRR to three digits, and no 1.000 for what is below 1."""
    value = learners.mean_nrr(records).value
    return "> 0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def main() -> None:
    """Print the table, or put it between the marks of README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="put it into README.md")
    given = parser.parse_args()
    with complain(status=2):
        if given.readme:
            before, after = around(pages.README, f"{BEGIN}\n", END)
            write_whole(pages.README, f"{before}{BEGIN}\n{summary()}{END}{after}")
        else:
            print(summary(), end="")


if __name__ == "__main__":
    main()
