"""Measure the simple rules on every preset, moving ones apart, and write docs/regimes.md."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from baselines.headroom import HeadRoom, headroom_table, headroom_verdict, measure_headroom
from baselines.regimes import Regime, measure_regime, regime_table, verdict
from mec_bench.cli import complain, count
from mec_bench.system import system
from mec_gym import Scenario
from mec_gym.evaluation import Estimate
from mec_gym.files import read_figures, require_folder
from reproduction import pages

One = TypeVar("One")

FORMAT, VERSION = "mec-gym/regimes", 2
MOVING_FORMAT, MOVING_VERSION = "mec-gym/headroom", 1
WRITER = "reproduction/regimes.py"
METRO_LAYOUTS = 3
METRO_SLOTS = 20


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--layouts", type=count, default=20, help="layouts per preset")
    add("--slots", type=count, default=5, help="slots per layout")
    add("--episodes", type=count, default=20, help="episodes per preset that moves")
    add("--length", type=count, default=100, help="slots per episode")
    add("--only", choices=("static", "moving"), help="measure these presets, keep the others'")
    add("--out", type=Path, help="for page and raw figures (docs, reproduction/results)")
    add("--page", action="store_true", help="write the page of the raw figures there are")
    given = parser.parse_args()
    folder, results = pages.places(given.out)
    page, figures, moving = (
        folder / "regimes.md",
        results / "regimes.json",
        results / "headroom.json",
    )
    with complain(status=2):
        require_folder(page.parent)
        if given.page:
            _write(page, figures, moving)
            return
    with complain(stopped="Nothing is kept: figures are written when all presets are measured."):
        if given.only != "moving":
            regimes = _measured(given.layouts, given.slots)
            pages.write_json(figures, raw_figures(FORMAT, VERSION, "regimes", regimes))
        if given.only != "static":
            rooms = _measured_moving(given.episodes, given.length)
            pages.write_json(moving, raw_figures(MOVING_FORMAT, MOVING_VERSION, "headroom", rooms))
        _write(page, figures, moving)


def raw_figures(kind: str, version: int, name: str, found: Iterable[Any]) -> dict[str, Any]:
    """Return what a file of raw figures holds, and what they were measured with."""
    return {
        "format": kind,
        "version": version,
        "system": dataclasses.asdict(system()),
        name: [dataclasses.asdict(one) for one in found],
    }


def _presets(*, dynamic: bool) -> Iterator[Scenario]:
    for scenario in map(Scenario.preset, Scenario.presets()):
        if scenario.dynamic == dynamic:
            begun = time.perf_counter()
            yield scenario
            print(f"{scenario.name}: {time.perf_counter() - begun:.1f} s", flush=True)


def _measured(layouts: int, slots: int) -> Iterator[Regime]:
    for scenario in _presets(dynamic=False):
        n_layouts = min(METRO_LAYOUTS, layouts) if "metro" in scenario.name else layouts
        yield measure_regime(scenario, n_layouts=n_layouts, slots_per_layout=slots)


def _measured_moving(episodes: int, slots: int) -> Iterator[HeadRoom]:
    for scenario in _presets(dynamic=True):
        sizes: dict[str, Any] = {"n_episodes": episodes, "n_slots": slots}
        if "metro" in scenario.name:
            sizes = {
                "n_episodes": min(METRO_LAYOUTS, episodes),
                "n_slots": min(METRO_SLOTS, slots),
                "n_tuning": 1,
            }
        yield measure_headroom(scenario, **sizes)


def _write(page: Path, figures: Path, moving: Path) -> None:
    shown = content(read(figures), read_moving(moving))
    link = Path(os.path.relpath(moving, page.parent)).as_posix()
    print("wrote", pages.write_page(page, figures, "regimes.md.j2", moving_raw=link, **shown))


def content(regimes: Sequence[Regime], rooms: Sequence[HeadRoom]) -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "layouts": regimes[0].n_layouts,
        "per": regimes[0].slots_per_layout,
        "metro": METRO_LAYOUTS,
        "table": regime_table(regimes),
        "verdicts": [verdict(regime) for regime in regimes],
        "moving": headroom_table(rooms),
        "moving_verdicts": [headroom_verdict(room) for room in rooms],
    }


def read(figures: Path) -> list[Regime]:
    """Return the regimes that a file of raw figures holds."""
    return _read(figures, (FORMAT, VERSION, "regimes"), _regime)


def read_moving(figures: Path, writer: str = WRITER) -> list[HeadRoom]:
    """Return the head-rooms that a file of raw figures holds."""
    return _read(figures, (MOVING_FORMAT, MOVING_VERSION, "headroom"), _headroom, writer)


def _read(
    figures: Path, kind: tuple[str, int, str], made: Callable[[Any], One], writer: str = WRITER
) -> list[One]:
    file_format, version, name = kind
    if not figures.exists():
        raise FileNotFoundError(f"there is no {figures}: leave out --page to measure.")
    raw = read_figures(figures, file_format, version, writer)
    try:
        found = [made(one) for one in raw[name]]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{figures} is damaged ({error!r}): leave out --page to measure."
        ) from error
    if not found:
        raise ValueError(f"{figures} holds no {name}: leave out --page to measure.")
    return found


def _regime(raw: dict[str, Any]) -> Regime:
    nrr = {rule: Estimate(**found) for rule, found in raw["nrr"].items()}
    return Regime(**raw | {"nrr": nrr, "optimum": Estimate(**raw["optimum"])})


def _headroom(raw: dict[str, Any]) -> HeadRoom:
    ratio = {rule: Estimate(**found) for rule, found in raw["ratio"].items()}
    means = {name: Estimate(**raw[name]) for name in ("cost", "plan")}
    return HeadRoom(**raw | {"ratio": ratio} | means)


if __name__ == "__main__":
    main()
