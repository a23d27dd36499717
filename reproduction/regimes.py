"""Measure the simple rules on every preset and write docs/regimes.md."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from baselines.regimes import Regime, measure_regime, regime_table, verdict
from mec_bench.cli import complain, count
from mec_bench.system import system
from mec_gym import Scenario
from mec_gym.evaluation import Estimate
from mec_gym.files import read_figures, require_folder
from reproduction import pages

FORMAT, VERSION = "mec-gym/regimes", 2
METRO_LAYOUTS = 3


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--layouts", type=count, default=20, help="layouts per preset")
    add("--slots", type=count, default=5, help="slots per layout")
    add("--out", type=Path, help="for page and raw figures (docs, reproduction/results)")
    add("--page", action="store_true", help="write the page of the raw figures there are")
    given = parser.parse_args()
    folder, results = pages.places(given.out)
    page, figures = folder / "regimes.md", results / "regimes.json"
    with complain(status=2):
        require_folder(page.parent)
        if given.page:
            _write(page, figures)
            return
    with complain(stopped="Nothing is kept: figures are written when all presets are measured."):
        raw = {
            "format": FORMAT,
            "version": VERSION,
            "system": dataclasses.asdict(system()),
            "regimes": [dataclasses.asdict(one) for one in _measured(given.layouts, given.slots)],
        }
        pages.write_json(figures, raw)
        _write(page, figures)


def _measured(layouts: int, slots: int) -> Iterator[Regime]:
    for name in Scenario.presets():
        begun = time.perf_counter()
        n_layouts = min(METRO_LAYOUTS, layouts) if "metro" in name else layouts
        yield measure_regime(Scenario.preset(name), n_layouts=n_layouts, slots_per_layout=slots)
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)


def _write(page: Path, figures: Path) -> None:
    shown = content(read(figures))
    print("wrote", pages.write_page(page, figures, "regimes.md.j2", **shown))


def content(regimes: Sequence[Regime]) -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "layouts": regimes[0].n_layouts,
        "per": regimes[0].slots_per_layout,
        "metro": METRO_LAYOUTS,
        "table": regime_table(regimes),
        "verdicts": [verdict(regime) for regime in regimes],
    }


def read(figures: Path) -> list[Regime]:
    """Return the regimes that a file of raw figures holds."""
    if not figures.exists():
        raise FileNotFoundError(f"there is no {figures}: leave out --page to measure.")
    raw = read_figures(figures, FORMAT, VERSION, "reproduction/regimes.py")
    try:
        regimes = [_regime(one) for one in raw["regimes"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{figures} is damaged ({error!r}): leave out --page to measure."
        ) from error
    if not regimes:
        raise ValueError(f"{figures} holds no regimes: leave out --page to measure.")
    return regimes


def _regime(raw: dict[str, Any]) -> Regime:
    nrr = {rule: Estimate(**found) for rule, found in raw["nrr"].items()}
    return Regime(**raw | {"nrr": nrr, "optimum": Estimate(**raw["optimum"])})


if __name__ == "__main__":
    main()
