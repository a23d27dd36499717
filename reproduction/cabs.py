"""Measure the rules for moving worlds on recorded cabs and write docs/cabs.md.

The data are not part of the project: docs/cabs.md says which they are, and where from.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from baselines.headroom import headroom_table, headroom_verdict, measure_headroom
from mec_bench.cli import complain, count
from mec_gym import Scenario, Traces
from mec_gym.files import read_object, require_folder
from reproduction import pages
from reproduction.regimes import ROOMS, raw_figures, read

CABS = dataclasses.replace(ROOMS, writer="reproduction/cabs.py")

FACTS = ("near", "devices", "servers", "present", "area_km", "speed_mps")
"""What is said of the recording."""

TRACES, SITES = Path("sf_cabs_gps/positions.csv.gz"), Path("sf_cabs/sites.csv")

N_SITES = 20
MINUTE, HOUR = 60.0, 3600.0
TUNED_ON, MEASURED_ON = (6 * HOUR, 15 * HOUR), (15 * HOUR, 24 * HOUR)
WAYS = (100.0, 300.0, 1000.0, 2000.0, 3000.0, 5000.0, 10_000.0)
"""c [m] that tuning tries for the rule by speed: a cab goes 400 m in a slot."""

PARAMETERS: dict[str, tuple[Any, str]] = {
    "reference_gain": (
        1.55e-7,
        "the loss of 128.1 dB at 1 km of urban macro cells at 2 GHz, 3GPP TR 36.942; the exponent "
        "stays that of eq. (3), 2",
    ),
    "noise_w": (
        1.26e-14,
        "thermal, -174 dBm/Hz over the bandwidth of 1 MHz, and a noise figure of 5 dB, 3GPP TR "
        "36.942",
    ),
    "fading": ("none", "ours: over a slot of a minute fast fading averages out"),
    "cycles": (2e9, "paper, Table IV: the largest tasks, as in the crowds"),
    "server_frequency_hz": (20e9, "ours, as in crowd-200x10"),
    "migration_s": (8.0, "ours, as in the crowds: an image of 500 MB over 500 Mbit/s"),
}
"""Fields of the scenario with their sources; all others are Table I of the paper."""


def main() -> None:
    """Measure, write, say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the data sets (MEC_GYM_DATA)")
    add("--episodes", type=count, default=20, help="episodes measured")
    add("--slots", type=count, default=60, help="slots per episode, of a minute")
    add("--out", type=Path, help="for page and raw figures (docs, reproduction/results)")
    add("--page", action="store_true", help="write the page of the raw figures there are")
    given = parser.parse_args()
    folder, results = pages.places(given.out)
    page, figures = folder / "cabs.md", results / "cabs.json"
    with complain(status=2):
        require_folder(page.parent)
        if given.page:
            _write(page, figures)
            return
        data = _data(given.data)
    with complain(stopped="Nothing is kept: figures are written when all is measured."):
        pages.write_json(figures, measured(data, given.episodes, given.slots))
        _write(page, figures)


def _data(folder: Path | None) -> Path:
    found = folder or Path(os.environ.get("MEC_GYM_DATA") or ".")
    if not (found / TRACES).is_file():
        raise FileNotFoundError(
            f"--data or MEC_GYM_DATA must name a folder with {TRACES} and {SITES}; got "
            f"{str(found)!r}. docs/cabs.md says where they are from."
        )
    return found


def measured(data: Path, n_episodes: int, n_slots: int) -> dict[str, Any]:
    """Return what is measured, as JSON holds it."""
    with tempfile.TemporaryDirectory() as folder:
        sites, share = busy_sites(data, Path(folder))
        evening = cabs(data, sites, MEASURED_ON, name="cabs")
        earlier = cabs(data, sites, TUNED_ON, name="cabs earlier")
    room = measure_headroom(
        evening, n_episodes=n_episodes, n_slots=n_slots, tuning=earlier, ways=WAYS
    )
    present = traces_of(evening).present.sum(axis=1)
    return raw_figures(CABS, [room]) | {
        "recording": {
            "near": share,
            "devices": evening.n_devices,
            "servers": evening.n_servers,
            "present": [int(present.min()), float(present.mean()), int(present.max())],
            "area_km": [side / 1e3 for side in evening.area_m],
            "speed_mps": float(evening.mean_speed_mps.mean()),
        }
    }


def traces_of(scenario: Scenario) -> Traces:
    """Return the traces that a scenario's devices follow."""
    assert isinstance(scenario.mobility, Traces)
    return scenario.mobility


def cabs(
    data: Path, sites: Path, window_s: tuple[float, float] | None = None, **fields: Any
) -> Scenario:
    """Return the cabs' scenario, of a part of the day, among the sites of a table."""
    given = {name: value for name, (value, _) in PARAMETERS.items()}
    return Scenario.from_traces(
        data / TRACES,
        sites,
        interval_s=MINUTE,
        largest_gap_s=MINUTE,  # the data have a row for each minute in which a cab was seen
        window_s=window_s,
        **(given | fields),
    )


def busy_sites(data: Path, folder: Path) -> tuple[Path, float]:
    """Write a table of the sites that are nearest to most positions, and return their share."""
    whole = cabs(data, data / SITES)
    there = traces_of(whole).positions_m[traces_of(whole).present]
    servers = np.array(whole.server_positions)
    distance = ((there[:, None] - servers) ** 2).sum(axis=-1)
    counts = np.bincount(distance.argmin(axis=1), minlength=len(servers))
    busy = np.argsort(-counts, kind="stable")[:N_SITES]
    with (data / SITES).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    table = folder / "sites.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *(rows[site] for site in busy)])
    return table, float(counts[busy].sum() / counts.sum())


def _write(page: Path, figures: Path) -> None:
    print("wrote", pages.write_page(page, figures, "cabs.md.j2", **content(figures)))


def content(figures: Path) -> dict[str, Any]:
    """Return what the template shows, of raw figures."""
    room = read(figures, CABS)[0]
    try:
        recording = {name: read_object(figures)["recording"][name] for name in FACTS}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{figures} is damaged ({error!r}): leave out --page to measure."
        ) from error
    return recording | {
        "room": room,
        "table": headroom_table([room]),
        "verdict": headroom_verdict(room),
        "parameters": [(f"`{name}`", *pair) for name, pair in PARAMETERS.items()],
    }


if __name__ == "__main__":
    main()
