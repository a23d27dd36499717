"""Recorded movement: tables of positions over time, brought to a common grid and plane."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.mobility import Traces
from mec_gym.sites import (
    EAST,
    LATITUDE,
    LONGITUDE,
    NORTH,
    Plane,
    Sites,
    count_of,
    metres,
    plane_of,
    read_positions,
    read_sites,
    require_degrees,
    require_one_region,
)
from mec_gym.tables import Column, Columns, Table, read_table
from mec_gym.validation import require_number

Floats = NDArray[np.float64]

RESOLUTION_M = 3
"""Digits behind the point of positions on the grid [m]: millimetres, so that files stay small."""

LARGEST_GRID = 20_000_000
"""Most positions on a grid: samples times devices."""

_SECONDS = {
    **dict.fromkeys(("time_s", "seconds", "second", "time", "timestamp"), 1.0),
    **dict.fromkeys(("minute", "minutes", "time_min"), 60.0),
    **dict.fromkeys(("hour", "hours", "time_h"), 3600.0),
}
_DEVICE = Column(("device", "trace", "id", "cab", "user", "vehicle", "node"))
_TIME = Column(tuple(_SECONDS), "s, min or h, as its name says")
_GEOGRAPHIC = Columns(
    (_DEVICE, _TIME, LATITUDE, LONGITUDE), "Positions may also be in metres, in columns x and y."
)
_PLANAR = Columns((_DEVICE, _TIME, EAST, NORTH), _GEOGRAPHIC.advice)


@dataclasses.dataclass(frozen=True)
class Recording:
    """Traces of devices, and the plane that they and the servers lie on."""

    traces: Traces
    plane: Plane  # device positions are those of the first sample


def read_recording(
    traces_csv: str | os.PathLike[str],
    sites_csv: str | os.PathLike[str],
    *,
    interval_s: float,
    largest_gap_s: float,
    window_s: Any,
    n_devices: int | None,
    n_servers: int | None,
) -> Recording:
    """Return what :meth:`mec_gym.Scenario.from_traces` makes of its tables."""
    require_number("interval_s", interval_s, "[1e-6, 1e9]", unit="s")
    require_number("largest_gap_s", largest_gap_s, "(0, 1e9]", unit="s")
    table = read_table(traces_csv, _GEOGRAPHIC, _PLANAR)
    devices = _Devices.of(table)
    servers, positions = _on_one_plane(table, sites_csv, n_servers)
    grid = _grid(devices, interval_s, window_s)
    kept = devices.within(grid)
    if not kept:
        first, last = float(devices.time_s.min()), float(devices.time_s.max())
        raise ValueError(
            f"window_s must hold times of {table.path!r}, from {first:g} to {last:g} s; "
            f"got {window_s!r}."
        )
    seen = f"{table.path!r} has {len(kept)} devices" + (" in window_s" if window_s else "")
    kept = kept[: count_of(n_devices, "n_devices", len(kept), seen)]
    if len(grid) * len(kept) > LARGEST_GRID:
        raise ValueError(
            f"interval_s must leave at most {LARGEST_GRID:,} positions; got {len(grid):,} samples "
            f"of {len(kept)} devices between the first and the last time of {table.path!r}, column "
            f"{table.header[1]!r}. Enlarge interval_s, give window_s, or correct the unit in the "
            "column's name."
        )
    samples = np.empty((len(grid), len(kept), 2))
    for place, device in enumerate(kept):
        rows = devices.rows[device]
        samples[:, place] = resampled(devices.time_s[rows], positions[rows], grid, largest_gap_s)
        if np.isnan(samples[:, place]).all():
            raise devices.nowhere(device, interval_s, largest_gap_s)
    present = ~np.isnan(samples[..., 0])
    plane = plane_of(servers, samples[present].round(RESOLUTION_M))
    samples[present] = np.round(plane.device_positions_m, RESOLUTION_M)
    traces = Traces(samples, interval_s)
    start = tuple((float(x), float(y)) for x, y in traces.filled_m[0])
    return Recording(traces, dataclasses.replace(plane, device_positions_m=start))


def resampled(time_s: Floats, positions: Floats, grid: Floats, largest_gap_s: float) -> Floats:
    """Return positions (K, 2) at the times of a grid (K,), from samples at increasing times.

    Straight lines between samples that are at most `largest_gap_s` apart, and NaN elsewhere.
    """
    left = np.clip(np.searchsorted(time_s, grid, side="right") - 1, 0, len(time_s) - 2)
    gap = time_s[left + 1] - time_s[left]
    part = (grid - time_s[left]) / gap
    inside = (part >= 0.0) & (part <= 1.0)
    near = (gap <= largest_gap_s * (1 + 1e-9)) | (part == 0.0) | (part == 1.0)
    between = positions[left] + part[:, None] * (positions[left + 1] - positions[left])
    return np.where((inside & near)[:, None], between, np.nan)


def _grid(devices: _Devices, interval_s: float, window_s: Any) -> Floats:
    """Return the times of the samples [s]: from the first time on, or those of the window."""
    first, last = float(devices.time_s.min()), float(devices.time_s.max())
    count = np.floor((last - first) / interval_s * (1 + 1e-12)) + 1
    if window_s is not None:
        if not isinstance(window_s, (tuple, list)) or len(window_s) != 2:
            raise TypeError(f"window_s must be (from, to) [s]; got {window_s!r}.")
        for end in window_s:
            require_number("window_s: an end", end, "[-1e12, 1e12]", unit="s")
        first, last = map(float, window_s)
        count = np.ceil((last - first) / interval_s * (1 - 1e-12))
    if count < 2:
        name = devices.table.path if window_s is None else "window_s"
        raise ValueError(
            f"{name!r} must span at least one interval_s={interval_s!r} s, two samples; got "
            f"{first:g} to {last:g} s. Make interval_s smaller."
        )
    if count > LARGEST_GRID:  # before it is made: times in milliseconds, say
        count = LARGEST_GRID + 1
    return np.asarray(first + interval_s * np.arange(int(count)))


def _on_one_plane(
    table: Table, sites_csv: str | os.PathLike[str], n_servers: int | None
) -> tuple[Floats, Floats]:
    """Return the positions of servers and of all rows of traces, of one origin [m]."""
    if table.asked is _GEOGRAPHIC:
        require_degrees(table)
        sites = read_sites(sites_csv).first(n_servers, "n_servers")
        together = metres(sites, Sites(table.path, *table.columns[2:]))
        count = len(sites)
    else:
        spots, path = read_positions(sites_csv), os.fspath(sites_csv)
        count = count_of(n_servers, "n_servers", len(spots), f"{path!r} has {len(spots)} rows")
        together = np.concatenate([spots[:count], np.column_stack(table.columns[2:])])
        require_one_region(together, together, ("x", "y"), (path, table.path), count)
    return together[:count].round(RESOLUTION_M), together[count:]


@dataclasses.dataclass(frozen=True, eq=False)
class _Devices:
    """The rows of each device, in the order of the devices' first ones."""

    table: Table
    time_s: Floats  # of all rows
    rows: tuple[NDArray[np.intp], ...]

    @classmethod
    def of(cls, table: Table) -> _Devices:
        """Return the devices of a table; refuse times that do not increase, and single rows."""
        names, time = table.columns[:2]
        _, first, device = np.unique(names, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))[device]
        order = np.argsort(rank, kind="stable")
        steps = np.diff(time[order])
        same = rank[order][1:] == rank[order][:-1]
        wrong = np.flatnonzero(same & (steps <= 0.0))
        if wrong.size:
            at = wrong[np.argmin(order[wrong + 1])]
            row, before = int(order[at + 1]), int(order[at])
            what = f"device {str(names[row])!r} has {float(time[before])!r} in line " + str(
                table.lines[before]
            )
            cure = f"{what}. Sort the rows by device and time."
            if time[row] == time[before]:
                cure = f"{what}. Keep one position for each time."
            requirement = "times of a device must increase"
            raise table.error(row, 1, requirement, float(time[row]), cure)
        counts = np.bincount(rank)
        if (counts == 1).any():
            row = int(order[np.flatnonzero(counts[rank[order]] == 1)[0]])
            requirement = "a device must have at least 2 positions"
            raise table.error(row, 0, requirement, str(names[row]), "It has this one: remove it.")
        rows = tuple(np.split(order, np.cumsum(counts)[:-1]))
        return cls(table, time * _SECONDS[table.header[1].casefold()], rows)

    def within(self, grid: Floats) -> list[int]:
        """Return the devices with a position between the first and the last time of a grid."""
        there = (grid[0] <= self.time_s) & (self.time_s <= grid[-1])
        return [device for device, rows in enumerate(self.rows) if there[rows].any()]

    def nowhere(self, device: int, interval_s: float, largest_gap_s: float) -> ValueError:
        """Return the refusal of a device that is at no time of the grid between near samples."""
        rows = self.rows[device]
        gap = float(np.diff(self.time_s[rows]).min())
        name = str(self.table.columns[0][rows[0]])
        return self.table.error(
            int(rows[0]),
            0,
            f"a device must be there at one time of the grid of interval_s={interval_s!r} at "
            f"least, between positions at most largest_gap_s={largest_gap_s!r} apart",
            name,
            f"Its positions are {gap:g} s apart or more: enlarge largest_gap_s, make interval_s "
            "smaller, or remove its rows.",
        )
