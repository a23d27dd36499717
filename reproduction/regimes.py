"""Measure the simple rules on every preset, moving ones apart, and write docs/regimes.md."""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from baselines.headroom import (
    PLACING,
    HeadRoom,
    headroom_table,
    headroom_verdict,
    measure_headroom,
    rule_title,
)
from baselines.regimes import Regime, measure_regime, regime_table, verdict
from mec_bench.cli import complain, count
from mec_bench.system import system
from mec_gym import Scenario
from mec_gym.files import read_figures, require_folder
from reproduction import pages

METRO_LAYOUTS = 3
METRO_SLOTS = 40


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--layouts", type=count, default=20, help="layouts per preset")
    add("--slots", type=count, default=5, help="slots per layout")
    add("--episodes", type=count, default=20, help="episodes per preset that moves")
    add("--length", type=count, default=100, help="slots per episode")
    names, kept = Scenario.presets(), "measure these presets, keep the figures of the others"
    add("--only", nargs="+", choices=names, default=names, metavar="PRESET", help=kept)
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
        chosen = [Scenario.preset(name) for name in names if name in given.only]
        _update(figures, REGIMES, _measured(chosen, given.layouts, given.slots))
        _update(moving, ROOMS, _measured_moving(chosen, given.episodes, given.length))
        _write(page, figures, moving)


def _update(figures: Path, kind: Kind, measured: Iterable[Any]) -> None:
    """Write raw figures: those measured, and those there are of presets not asked for."""
    found = {one.name: one for one in measured}
    presets = [name for name in Scenario.presets() if Scenario.preset(name).dynamic == kind.dynamic]
    if not found:
        return
    if figures.exists() and len(found) < len(presets):
        found = {one.name: one for one in read(figures, kind)} | found
    shown = [found[name] for name in presets if name in found]
    pages.write_json(figures, raw_figures(kind, shown))


def raw_figures(kind: Kind, found: Sequence[Any]) -> dict[str, Any]:
    """Return what a file of raw figures holds: them, and what they were measured with."""
    head = {"format": kind.format, "version": kind.version, "system": dataclasses.asdict(system())}
    return head | {kind.name: [dataclasses.asdict(one) for one in found]}


def _timed(scenarios: Iterable[Scenario], *, dynamic: bool) -> Iterator[Scenario]:
    for scenario in scenarios:
        if scenario.dynamic == dynamic:
            begun = time.perf_counter()
            yield scenario
            print(f"{scenario.name}: {time.perf_counter() - begun:.1f} s", flush=True)


def _measured(presets: Iterable[Scenario], layouts: int, slots: int) -> Iterator[Regime]:
    for scenario in _timed(presets, dynamic=False):
        n_layouts = min(METRO_LAYOUTS, layouts) if "metro" in scenario.name else layouts
        yield measure_regime(scenario, n_layouts=n_layouts, slots_per_layout=slots)


def _measured_moving(presets: Iterable[Scenario], episodes: int, slots: int) -> Iterator[HeadRoom]:
    for scenario in _timed(presets, dynamic=True):
        sizes: dict[str, Any] = {"n_episodes": episodes, "n_slots": slots}
        if "metro" in scenario.name:
            sizes = {
                "n_episodes": min(METRO_LAYOUTS, episodes),
                "n_slots": min(METRO_SLOTS, slots),
                "n_tuning": 1,
            }
        yield measure_headroom(scenario, **sizes)


def _write(page: Path, figures: Path, moving: Path) -> None:
    shown = content(read(figures, REGIMES), read(moving, ROOMS))
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
        "unmeasured": _unmeasured(rooms),
        "gaps": _gaps(rooms),
    }


def _unmeasured(rooms: Sequence[HeadRoom]) -> list[str]:
    names = {name for name in Scenario.presets() if Scenario.preset(name).dynamic}
    return sorted(names - {room.name for room in rooms})


def _gaps(rooms: Sequence[HeadRoom]) -> list[tuple[str, str]]:
    """Return the rules that rooms lack, by name, but for those that positions decide."""
    placed = {"forecast", *PLACING}
    rules = {rule for room in rooms for rule in room.ratio if rule not in placed}
    lacking = [(room.name, sorted(map(rule_title, rules - {*room.ratio}))) for room in rooms]
    return [(name, " and ".join(missing)) for name, missing in lacking if missing]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of raw figures, and the class of one."""

    format: str
    version: int
    name: str
    dynamic: bool
    cls: type[Any]
    writer: str = "reproduction/regimes.py"


REGIMES = Kind("mec-gym/regimes", 2, "regimes", False, Regime)
ROOMS = Kind("mec-gym/headroom", 1, "headroom", True, HeadRoom)


def read(figures: Path, kind: Kind) -> list[Any]:
    """Return the regimes or head-rooms that a file of raw figures holds."""
    if not figures.exists():
        raise FileNotFoundError(f"there is no {figures}: leave out --page to measure.")
    raw = read_figures(figures, kind.format, kind.version, kind.writer)
    try:
        found: list[Any] = TypeAdapter(list[kind.cls]).validate_python(raw.get(kind.name))  # type: ignore[name-defined]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (kind.name, *first["loc"])))
        raise ValueError(
            f"{figures} is damaged ({place}: {first['msg']}): leave out --page to measure."
        ) from error
    if not found:
        raise ValueError(f"{figures} holds no {kind.name}: leave out --page to measure.")
    return found


if __name__ == "__main__":
    main()
