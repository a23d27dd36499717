"""Real sites: CSV tables of coordinates, and the plane in metres that they lie on."""

from __future__ import annotations

import csv
import dataclasses
import math
import numbers
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mec_gym.validation import suggestion

Pairs = tuple[tuple[float, float], ...]

WGS84_RADIUS_M = 6378137.0
"""Equatorial radius of the WGS 84 ellipsoid [m]."""

WGS84_ECCENTRICITY_2 = 6.69437999014e-3
"""Squared first eccentricity of the WGS 84 ellipsoid [1]."""

FARTHEST_M = 2e5
"""Largest distance of a site from the middle of the servers [m]; a plane ends there, at latest."""

SMALLEST_SIDE_M = 1.0
"""Least width and height of an area [m], for sites that lie on one line or in one point."""


# -- tables of latitude and longitude -------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Sites:
    """Places on Earth in WGS 84 coordinates, north and east positive, as in their table."""

    path: str  # the table's, for messages
    latitude_deg: NDArray[np.float64]  # (K,), read-only
    longitude_deg: NDArray[np.float64]  # (K,), read-only

    def __post_init__(self) -> None:
        for field in ("latitude_deg", "longitude_deg"):
            values = np.array(getattr(self, field), dtype=np.float64)
            values.flags.writeable = False
            object.__setattr__(self, field, values)
        shapes = self.latitude_deg.shape, self.longitude_deg.shape
        if len(shapes[0]) != 1 or shapes[0] != shapes[1] or shapes[0] == (0,):
            raise ValueError(
                "latitude_deg and longitude_deg must both have shape (K,) with the same K >= 1; "
                f"got shapes {shapes[0]} and {shapes[1]}."
            )

    def __len__(self) -> int:
        return int(self.latitude_deg.size)

    def first(self, n: int | None, name: str) -> Sites:
        """Return the first `n` sites, all for None; `name` is what the caller calls `n`."""
        if n is None:
            return self
        if isinstance(n, bool) or not isinstance(n, numbers.Integral):
            raise TypeError(f"{name} must be an int or None; got {type(n).__name__} {n!r}.")
        if not 1 <= n <= len(self):
            raise ValueError(
                f"{name} must lie in [1, {len(self)}], as {self.path!r} has {len(self)} rows; "
                f"got {int(n)}."
            )
        return Sites(self.path, self.latitude_deg[:n], self.longitude_deg[:n])


def read_sites(path: str | os.PathLike[str]) -> Sites:
    """Read the sites of a CSV table with a latitude and a longitude column, in degrees.

    UTF-8 text whose first line names the columns: ``latitude`` or ``lat``, and ``longitude``,
    ``lon``, ``lng`` or ``long``, in any case. Other columns are ignored, and so is a row's being
    longer or shorter than the header, as long as it has both coordinates; a longer one with a
    whole number among them is refused: its decimals may be behind a comma. A refusal names line
    and column.
    """
    table = _read_table(path, _GEOGRAPHIC)
    latitude, longitude = table.values.T
    bad = np.abs(table.values) > np.array([90.0, 180.0])
    if bad.any():
        swapped = (np.abs(latitude) <= 180.0) & (np.abs(longitude) <= 90.0)
        row, column = (int(i) for i in np.argwhere(bad)[0])
        if (swapped & bad.any(axis=1)).all():
            cure = "Latitude and longitude look swapped in the whole table: swap the column names."
        elif swapped[row]:
            cure = "Latitude and longitude look swapped in this row: swap them."
        else:
            cure = "Correct the value."
        requirement = ("must lie in [-90, 90] [degree]", "must lie in [-180, 180] [degree]")[column]
        got = float(table.values[row, column])
        line, header = table.lines[row], table.header[column]
        raise _cell_error(table.path, line, header, requirement, got, cure)
    return Sites(table.path, latitude, longitude)


def read_positions(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read the positions of a CSV table with columns x (or x_m) and y (or y_m): (K, 2) [m].

    A refusal names line and column.
    """
    return _read_table(path, _PLANAR).values


# -- the plane ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Plane:
    """Sites on a plane whose origin is the south-west corner of all of them."""

    device_positions_m: Pairs  # east and north of the origin, in the order of the table
    server_positions_m: Pairs
    area_m: tuple[float, float]  # of the smallest area, at least 1 m by 1 m, that holds all sites


def project(servers: Sites, devices: Sites) -> Plane:
    """Return servers and devices on one local plane, in metres.

    The projection is equirectangular around the mean latitude of all sites, with the radii of
    curvature that the WGS 84 ellipsoid has there. Its relative error is about half the north-south
    extent over the Earth's radius, times the tangent of the latitude: below 0.2 % for 10 km at
    latitudes up to 60 degrees. ``ValueError`` for a site farther than 200 km from the middle of the
    servers.
    """
    latitude = np.radians(np.concatenate([servers.latitude_deg, devices.latitude_deg]))
    longitude = np.concatenate([servers.longitude_deg, devices.longitude_deg])
    # From the first server, the short way round: sites may lie on both sides of the 180th meridian.
    east = np.radians((longitude - longitude[0] + 180.0) % 360.0 - 180.0)
    middle = float(np.mean(latitude))
    curvature = 1.0 - WGS84_ECCENTRICITY_2 * math.sin(middle) ** 2
    prime_vertical_m = WGS84_RADIUS_M / math.sqrt(curvature)
    meridian_m = prime_vertical_m * (1.0 - WGS84_ECCENTRICITY_2) / curvature
    x = prime_vertical_m * math.cos(middle) * east
    y = meridian_m * (latitude - middle)
    positions = np.column_stack([x, y])
    _require_one_region(positions, servers, devices)
    positions -= positions.min(axis=0)
    width, height = (max(float(side), SMALLEST_SIDE_M) for side in positions.max(axis=0))
    return Plane(
        device_positions_m=_pairs(positions[len(servers) :]),
        server_positions_m=_pairs(positions[: len(servers)]),
        area_m=(width, height),
    )


def _pairs(positions: NDArray[np.float64]) -> Pairs:
    return tuple((float(x), float(y)) for x, y in positions)


def _require_one_region(positions: NDArray[np.float64], servers: Sites, devices: Sites) -> None:
    """Refuse sites that no one system covers: nearly always a mistake in a table."""
    offsets = positions - np.median(positions[: len(servers)], axis=0)
    distance = np.hypot(offsets[:, 0], offsets[:, 1])
    row = int(np.argmax(distance))
    if distance[row] <= FARTHEST_M:
        return
    sites, row = (servers, row) if row < len(servers) else (devices, row - len(servers))
    raise ValueError(
        f"every site must lie within {FARTHEST_M / 1e3:.0f} km of the middle of the servers; "
        f"got {distance.max() / 1e3:.0f} km for data row {row + 1} of {sites.path!r}, at latitude "
        f"{float(sites.latitude_deg[row])!r}, longitude {float(sites.longitude_deg[row])!r}. "
        f"{servers.path!r} and {devices.path!r} seem to be about different places, or one of them "
        "has latitude and longitude swapped; keep the rows of one region."
    )


# -- reading CSV ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Columns:
    """The two columns that a table must have."""

    names: tuple[tuple[str, ...], tuple[str, ...]]
    unit: str
    advice: str

    def __str__(self) -> str:
        return f"a column {self.names[0][0]!r} and a column {self.names[1][0]!r} [{self.unit}]"


_GEOGRAPHIC = _Columns(
    (("latitude", "lat"), ("longitude", "lon", "lng", "long")),
    "degree",
    "Give positions in metres, with columns x and y, as device_positions and server_positions.",
)
_PLANAR = _Columns(
    (("x", "x_m"), ("y", "y_m")),
    "m",
    "Give sites with a latitude and a longitude to Scenario.from_sites.",
)


@dataclasses.dataclass(frozen=True)
class _Table:
    """Two numeric columns of a CSV file, and where in the file they stand."""

    path: str
    header: tuple[str, str]
    lines: tuple[int, ...]
    values: NDArray[np.float64]


def _cell_error(
    path: str, line: int, header: str, requirement: str, got: object, cure: str
) -> ValueError:
    return ValueError(
        f"{path!r}, line {line}, column {header!r}: {requirement}; got {got!r}. {cure}"
    )


def _read_table(path: str | os.PathLike[str], columns: _Columns) -> _Table:
    """Return both columns as numbers; refuse what is empty or not a finite number."""
    name = os.fspath(path)
    rows = _read_rows(name)
    if not rows:
        raise ValueError(
            f"{name!r} must be a CSV table with {columns}; got an empty file. "
            "Write a header line and one line for each site."
        )
    header = rows[0][1]
    places = _find_columns(name, header, columns)
    if len(rows) == 1:
        raise ValueError(
            f"{name!r} must have at least one row below its header; got none. "
            "Write one line for each site."
        )
    titles = (header[places[0]], header[places[1]])
    values = np.empty((len(rows) - 1, 2))
    for index, (line, cells) in enumerate(rows[1:]):
        if not any(cells):
            raise ValueError(
                f"{name!r}, line {line}: must have {columns}; got an empty row. Remove the line."
            )
        for column, place in enumerate(places):
            text = cells[place] if place < len(cells) else ""
            values[index, column] = _finite(name, line, titles[column], text, columns.unit)
        # Commas in a name behind them do no harm; those within a number leave it without fraction.
        if any(cells[len(header) :]) and any(
            cells[place].lstrip("+-").isdigit() for place in places
        ):
            raise ValueError(
                f"{name!r}, line {line}: must have at most {len(header)} values, one for each "
                f"column; got {len(cells)}, with whole numbers as coordinates. Write decimals with "
                "a point, -37.81 instead of -37,81, and text with commas in quotes."
            )
    return _Table(name, titles, tuple(line for line, _ in rows[1:]), values)


def _read_rows(path: str) -> list[tuple[int, list[str]]]:
    """Return every record with its 1-based line, cells stripped, without blank ones at the end."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows.extend((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path!r} must be a CSV table; there is no such file, seen from {os.getcwd()!r}. "
            "Correct the path, or give it from the root on."
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path!r} must be UTF-8 text; got byte 0x{error.object[error.start]:02x} "
            f"after line {rows[-1][0] if rows else 0}. Save the table as CSV in UTF-8."
        ) from None
    except csv.Error as error:
        raise ValueError(
            f"{path!r} must be a CSV table; got what is not, after line "
            f"{rows[-1][0] if rows else 0} ({error}). Save the table as CSV in UTF-8."
        ) from None
    while rows and not any(rows[-1][1]):
        rows.pop()
    return rows


def _find_columns(path: str, header: Sequence[str], columns: _Columns) -> tuple[int, int]:
    """Return where the header has the two columns."""
    titles = [title.casefold() for title in header]
    found = [
        [place for place, title in enumerate(titles) if title in names] for names in columns.names
    ]
    listed = ", ".join(repr(title) for title in header) or "none"
    for names, places in zip(columns.names, found, strict=True):
        if len(places) > 1:
            raise ValueError(
                f"{path!r}, line 1: must have one column {names[0]!r}; got {len(places)} among "
                f"{listed}. Rename or remove all but one."
            )
    missing = [names for names, places in zip(columns.names, found, strict=True) if not places]
    if missing:
        known = {name for names in columns.names for name in names}
        others = [title for title in titles if title not in known]
        lacks = " and ".join(f"{names[0]!r}{suggestion(names[0], others)}" for names in missing)
        raise ValueError(
            f"{path!r}, line 1: must name {columns}; lacks {lacks}; got the columns {listed}. "
            f"{_header_cure(header, columns)}"
        )
    return found[0][0], found[1][0]


def _header_cure(header: Sequence[str], columns: _Columns) -> str:
    if any(separator in title for title in header for separator in ";\t"):
        return "Separate the columns by commas."
    try:
        [float(title) for title in header]
    except ValueError:
        return f"Rename the columns. Or else: {columns.advice}"
    return "Write a header line above the first row."


def _finite(path: str, line: int, header: str, text: str, unit: str) -> float:
    """Return the number that a cell holds."""
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    requirement = f"must be a finite number [{unit}]"
    cure = "Fill in the value, or remove the row."
    raise _cell_error(path, line, header, requirement, text, cure)
