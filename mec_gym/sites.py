"""Real sites: CSV tables of coordinates, and the plane in metres that they lie on."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os

import numpy as np
from numpy.typing import NDArray

from mec_gym.tables import Column, Columns, Table, read_table

Pairs = tuple[tuple[float, float], ...]

WGS84_RADIUS_M = 6378137.0
"""Equatorial radius of the WGS 84 ellipsoid [m]."""

WGS84_ECCENTRICITY_2 = 6.69437999014e-3
"""Squared first eccentricity of the WGS 84 ellipsoid [1]."""

FARTHEST_M = 2e5
"""Largest distance of a site from the middle of the servers [m]; a plane ends there, at latest."""

SMALLEST_SIDE_M = 1.0
"""Least width and height of an area [m], for sites that lie on one line or in one point."""


LATITUDE = Column(("latitude", "lat"), "degree")
LONGITUDE = Column(("longitude", "lon", "lng", "long"), "degree")
EAST = Column(("x", "x_m"), "m")
NORTH = Column(("y", "y_m"), "m")
_GEOGRAPHIC = Columns(
    (LATITUDE, LONGITUDE),
    "Positions in metres, columns x and y, are given as device_positions and server_positions, or "
    "to Scenario.from_traces, both tables.",
)
_PLANAR = Columns(
    (EAST, NORTH),
    "Sites with a latitude and a longitude are given to Scenario.from_sites, or to from_traces, "
    "both tables.",
)

# -- tables of latitude and longitude -------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Sites:
    """Places on Earth in WGS 84 coordinates, north and east positive, as in their table."""

    path: str  # the table's, for messages
    latitude_deg: NDArray[np.float64]  # (K,)
    longitude_deg: NDArray[np.float64]  # (K,)

    def __len__(self) -> int:
        return int(self.latitude_deg.size)

    def first(self, n: int | None, name: str) -> Sites:
        """Return the first `n` sites, all for None; `name` is what the caller calls `n`."""
        if n is None:
            return self
        n = count_of(n, name, len(self), f"{self.path!r} has {len(self)} rows")
        return Sites(self.path, self.latitude_deg[:n], self.longitude_deg[:n])


def count_of(n: int | None, name: str, most: int, reason: str) -> int:
    """Return how many of `most` rows or devices are kept, all for None."""
    if n is None:
        return most
    if isinstance(n, bool) or not isinstance(n, numbers.Integral):
        raise TypeError(f"{name} must be an int or None; got {type(n).__name__} {n!r}.")
    if not 1 <= n <= most:
        raise ValueError(f"{name} must lie in [1, {most}], as {reason}; got {int(n)}.")
    return int(n)


def read_sites(path: str | os.PathLike[str]) -> Sites:
    """Read the sites of a CSV table with a latitude and a longitude column, in degrees.

    Other columns are ignored, and so is a row's being longer or shorter than the header, as long as
    it has both coordinates; a longer one with a whole number among them is refused: its decimals
    may be behind a comma.
    """
    table = read_table(path, _GEOGRAPHIC)
    require_degrees(table)
    return Sites(table.path, *table.columns)


def require_degrees(table: Table) -> None:
    """Raise ``ValueError`` unless latitudes and longitudes, the last columns, are in range."""
    places = np.column_stack(table.columns[-2:])
    bad = np.abs(places) > np.array([90.0, 180.0])
    if not bad.any():
        return
    swapped = (np.abs(places) <= np.array([180.0, 90.0])).all(axis=1)
    row, column = (int(i) for i in np.argwhere(bad)[0])
    if (swapped & bad.any(axis=1)).all():
        cure = "Latitude and longitude look swapped in the whole table: swap the column names."
    elif swapped[row]:
        cure = "Latitude and longitude look swapped in this row: swap them."
    else:
        cure = "Correct the value."
    requirement = ("must lie in [-90, 90] [degree]", "must lie in [-180, 180] [degree]")[column]
    raise table.error(row, column - 2, requirement, float(places[row, column]), cure)


def read_positions(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read the positions of a CSV table with columns x (or x_m) and y (or y_m): (K, 2) [m]."""
    return np.column_stack(read_table(path, _PLANAR).columns)


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
    positions = metres(servers, devices)
    return plane_of(positions[: len(servers)], positions[len(servers) :])


def metres(servers: Sites, devices: Sites) -> NDArray[np.float64]:
    """Return servers, then devices, on the plane of :func:`project`, from any origin: (K, 2)."""
    latitude_deg = np.concatenate([servers.latitude_deg, devices.latitude_deg])
    longitude = np.concatenate([servers.longitude_deg, devices.longitude_deg])
    latitude = np.radians(latitude_deg)
    # From the first server, the short way round: sites may lie on both sides of the 180th meridian.
    east = np.radians((longitude - longitude[0] + 180.0) % 360.0 - 180.0)
    middle = float(np.mean(latitude))
    curvature = 1.0 - WGS84_ECCENTRICITY_2 * math.sin(middle) ** 2
    prime_vertical_m = WGS84_RADIUS_M / math.sqrt(curvature)
    meridian_m = prime_vertical_m * (1.0 - WGS84_ECCENTRICITY_2) / curvature
    x = prime_vertical_m * math.cos(middle) * east
    y = meridian_m * (latitude - middle)
    positions = np.column_stack([x, y])
    require_one_region(
        positions,
        np.column_stack([latitude_deg, longitude]),
        ("latitude", "longitude"),
        (servers.path, devices.path),
        len(servers),
    )
    return positions


def plane_of(servers: NDArray[np.float64], devices: NDArray[np.float64]) -> Plane:
    """Return positions (..., 2) [m] of any origin on the smallest area that holds all of them."""
    together = np.concatenate([servers, devices])
    origin = together.min(axis=0)
    width, height = (max(float(side), SMALLEST_SIDE_M) for side in (together - origin).max(axis=0))
    return Plane(
        device_positions_m=_pairs(devices - origin),
        server_positions_m=_pairs(servers - origin),
        area_m=(width, height),
    )


def _pairs(positions: NDArray[np.float64]) -> Pairs:
    return tuple((float(x), float(y)) for x, y in positions)


def require_one_region(
    positions: NDArray[np.float64],
    coordinates: NDArray[np.float64],
    names: tuple[str, str],
    tables: tuple[str, str],
    n_servers: int,
) -> None:
    """Refuse sites that no one system covers: nearly always a mistake in a table.

    Positions [m] of servers, then of others, as the coordinates of two tables say.
    """
    offsets = positions - np.median(positions[:n_servers], axis=0)
    distance = np.hypot(offsets[:, 0], offsets[:, 1])
    row = int(np.argmax(distance))
    if distance[row] <= FARTHEST_M:
        return
    first, second = (float(value) for value in coordinates[row])
    table, line = (tables[0], row) if row < n_servers else (tables[1], row - n_servers)
    raise ValueError(
        f"every site must lie within {FARTHEST_M / 1e3:.0f} km of the middle of the servers; "
        f"got {distance.max() / 1e3:.0f} km for data row {line + 1} of {table!r}, at {names[0]} "
        f"{first!r}, {names[1]} {second!r}. {tables[0]!r} and {tables[1]!r} seem to be about "
        f"different places, or one of them has {names[0]} and {names[1]} swapped; keep the rows "
        "of one region."
    )
