"""Reading tables of real sites, and projecting them onto a plane in metres."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mec_gym import Scenario
from mec_gym.sites import Plane, Sites, project, read_positions, read_sites

EUA_HEADER = (
    "SITE_ID,LATITUDE,LONGITUDE,NAME,STATE,LICENSING_AREA_ID,POSTCODE,SITE_PRECISION,"
    "ELEVATION,HCIS_L2"
)
EUA_ROWS = (
    "10003026,-37.81517,144.97476,Spring and Flinders St,VIC,2,,Within 10 meters,,KX3P",
    "10003027,-37.81524,144.95256,Corner, Spencer and, Lonsdale St,VIC,2,,Within 10 meters,,KX3P",
    "10003238,-37.81239,144.9712,136 Exhibition St",
)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write lines to a file and return its path."""

    def write(*lines: str, name: str = "table.csv", end: str = "\r\n", encoding: str = "utf-8"):
        path = tmp_path / name
        path.write_bytes("".join(line + end for line in lines).encode(encoding))
        return path

    return write


def refusal(path: Path, read: Any = read_sites) -> str:
    """Return the message with which `read` refuses a file; it always names the file."""
    with pytest.raises(ValueError, match=re.escape(path.name)) as caught:
        read(path)
    return str(caught.value)


# -- reading latitude and longitude ---------------------------------------------------------------


def test_ragged_rows_are_read_by_the_header(write: Any) -> None:
    sites = read_sites(write(EUA_HEADER, *EUA_ROWS))
    assert sites.latitude_deg.tolist() == [-37.81517, -37.81524, -37.81239]
    assert sites.longitude_deg.tolist() == [144.97476, 144.95256, 144.9712]


@pytest.mark.parametrize("latitude", ["LATITUDE", "Latitude", "lat", " Lat "])
@pytest.mark.parametrize("longitude", ["LONGITUDE", "lon", "lng", " Long", "longitude "])
def test_header_spellings(write: Any, latitude: str, longitude: str) -> None:
    sites = read_sites(write(f"{longitude},id,{latitude}", "2.35,1, 48.85 "))
    assert (sites.latitude_deg.tolist(), sites.longitude_deg.tolist()) == ([48.85], [2.35])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(write: Any, encoding: str, end: str) -> None:
    path = write("lat,lon,name", '1.5,2.5,"Café, hall"', "", " ,", end=end, encoding=encoding)
    assert read_sites(str(path)).latitude_deg.tolist() == [1.5]


def test_the_ends_of_the_ranges_are_legal(write: Any) -> None:
    sites = read_sites(write("lat,lon", "90,180", "-90,-180"))
    assert sites.longitude_deg.tolist() == [180.0, -180.0]


@given(
    st.lists(st.tuples(st.floats(-90.0, 90.0), st.floats(-180.0, 180.0)), min_size=1, max_size=20)
)
def test_what_is_written_is_read(tmp_path_factory: Any, places: list[tuple[float, float]]) -> None:
    path = tmp_path_factory.mktemp("sites") / "sites.csv"
    path.write_text("lat,lon\n" + "".join(f"{lat!r},{lon!r}\n" for lat, lon in places))
    sites = read_sites(path)
    assert list(zip(sites.latitude_deg, sites.longitude_deg, strict=True)) == places


def test_missing_file_is_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape("nowhere.csv")):
        read_sites(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ((), ["'latitude'", "'longitude'", "empty file", "header"]),
        (("", " , "), ["empty file"]),
        (("lat,lon",), ["at least one row"]),
        (("lat,lon", "", ""), ["at least one row"]),
        (
            ("id,Latitud,lng", "1,2,3"),
            ["line 1", "lacks 'latitude' (did you mean 'latitud'?)", "'id', 'Latitud', 'lng'"],
        ),
        (("x,y", "1,2"), ["lacks 'latitude' and 'longitude'", "'x', 'y'", "device_positions"]),
        (("lat,name", "1,2"), ["lacks 'longitude'", "got the columns 'lat', 'name'"]),
        (("-37.8,144.9", "-37.8,144.9"), ["lacks", "Write a header line"]),
        (("lat;lon", "1;2"), ["Separate the columns by commas"]),
        (("lat,Latitude,lon", "1,2,3"), ["line 1", "one column 'latitude'", "got 2"]),
    ],
)
def test_wrong_tables(write: Any, lines: tuple[str, ...], parts: list[str]) -> None:
    message = refusal(write(*lines))
    assert [part for part in parts if part not in message] == []


def test_a_recognised_column_is_never_suggested_for_the_other(write: Any) -> None:
    assert "did you mean" not in refusal(write("latitude,name", "1,2"))


def test_line_numbers_count_lines_of_the_file_not_rows(write: Any) -> None:
    path = write("lat,lon,name", '1,2,"two\nlines"', "1,x,bad", end="\n")
    assert "line 4, column 'lon'" in refusal(path)


@pytest.mark.parametrize("row", ["", ",,", "  ,  "])
def test_an_empty_row_between_others(write: Any, row: str) -> None:
    message = refusal(write("lat,lon", "1,2", row, "1,2"))
    assert "line 3" in message
    assert "empty row" in message


@pytest.mark.parametrize("cell", ["", " ", "nan", "inf", "-Infinity", "north", "1_0", "37°"])
def test_a_coordinate_must_be_a_finite_number(write: Any, cell: str) -> None:
    message = refusal(write("id,LATITUDE,lon", "1,1,2", f"2,{cell},2"))
    where = "line 3, column 'LATITUDE': must be a finite number [degree]; "
    assert f"{where}got {cell.strip()!r}" in message


def test_a_row_too_short_for_its_coordinates(write: Any) -> None:
    assert "line 3, column 'lon'" in refusal(write("id,lat,lon", "1,1,2", "2,1"))


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("144.97,-37.81", ["column 'lat': must lie in [-90, 90]", "144.97", "in this row"]),
        ("95,100", ["column 'lat'", "95.0", "Correct the value"]),
        ("-37.81,344.97", ["column 'lon': must lie in [-180, 180]", "344.97", "Correct"]),
    ],
)
def test_a_coordinate_out_of_range(write: Any, row: str, parts: list[str]) -> None:
    message = refusal(write("lat,lon", "-37.81,144.97", row))
    assert [part for part in ["line 3", *parts] if part not in message] == []


def test_a_swapped_table_is_told_from_a_swapped_row(write: Any) -> None:
    swapped = refusal(write("lat,lon", "144.97,-37.81", "144.95,-37.82"))
    assert "line 2" in swapped
    assert "swapped in the whole table" in swapped


def test_text_in_another_encoding(write: Any) -> None:
    assert "UTF-8" in refusal(write("lat,lon,name", "1,2,Café", encoding="latin-1"))
    assert "UTF-8" in refusal(write("lat,lon", "1,2", encoding="utf-16"))


def test_a_field_without_end(write: Any) -> None:
    assert "CSV table" in refusal(write("lat,lon,name", '1,2,"' + 200_000 * "x"))


# -- Sites ----------------------------------------------------------------------------------------


def test_first_keeps_the_first_rows() -> None:
    sites = Sites("table.csv", np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]))
    assert sites.first(None, "n_devices") is sites
    for n in (2, np.int64(2)):
        kept = sites.first(n, "n_devices")
        assert (kept.path, kept.latitude_deg.tolist()) == ("table.csv", [1.0, 2.0])
        assert kept.longitude_deg.tolist() == [4.0, 5.0]
    assert len(sites.first(3, "n_devices")) == 3


@pytest.mark.parametrize("n", [-1, 0, 4])
def test_first_refuses_what_the_table_does_not_have(n: int) -> None:
    sites = Sites("table.csv", np.arange(3.0), np.arange(3.0))
    with pytest.raises(ValueError, match=rf"n_devices .*'table\.csv' has 3 rows; got {n}\."):
        sites.first(n, "n_devices")


@pytest.mark.parametrize("n", [2.0, "2", True])
def test_first_refuses_what_is_no_int(n: Any) -> None:
    with pytest.raises(TypeError, match=r"n_devices must be an int"):
        Sites("table.csv", np.arange(3.0), np.arange(3.0)).first(n, "n_devices")


# -- the plane ------------------------------------------------------------------------------------


def haversine_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) pairs on the mean sphere [m]."""
    (lat_a, lon_a), (lat_b, lon_b) = (tuple(map(math.radians, place)) for place in (a, b))
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371008.8 * math.asin(math.sqrt(half))


def chord_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Straight distance of two places on the ellipsoid, through geocentric coordinates [m].

    Within 1e-6 of the geodesic for places of one city.
    """

    def geocentric(place: tuple[float, float]) -> tuple[float, float, float]:
        lat, lon = map(math.radians, place)
        semi_major, flattening = 6378137.0, 1 / 298.257223563
        shrink = (1 - flattening) ** 2
        n = semi_major / math.sqrt(math.cos(lat) ** 2 + shrink * math.sin(lat) ** 2)
        return (
            n * math.cos(lat) * math.cos(lon),
            n * math.cos(lat) * math.sin(lon),
            shrink * n * math.sin(lat),
        )

    return math.dist(geocentric(a), geocentric(b))


def sites_at(places: list[tuple[float, float]], path: str = "table.csv") -> Sites:
    return Sites(path, *np.array(places).T)


@st.composite
def cities(draw: Any, south: float, north: float) -> list[tuple[float, float]]:
    """Two to eight places within 10 km by about 10 km, anywhere between two latitudes."""
    latitude, longitude = draw(st.floats(south, north)), draw(st.floats(-180.0, 180.0))
    offset = st.floats(-0.045, 0.045)
    places = draw(st.lists(st.tuples(offset, offset), min_size=2, max_size=8))
    return [
        (latitude + up, (longitude + right / math.cos(math.radians(latitude)) + 180) % 360 - 180)
        for up, right in places
    ]


@given(cities(30.0, 50.0))
def test_distances_agree_with_the_sphere(places: list[tuple[float, float]]) -> None:
    plane = project(sites_at(places[:1]), sites_at(places[1:]))
    server = plane.server_positions_m[0]
    for device, place in zip(plane.device_positions_m, places[1:], strict=True):
        assert math.dist(server, device) == pytest.approx(
            haversine_m(places[0], place), rel=5e-3, abs=1e-3
        )


@given(cities(-60.0, 60.0))
def test_distances_agree_with_the_ellipsoid(places: list[tuple[float, float]]) -> None:
    plane = project(sites_at(places[:1]), sites_at(places[1:]))
    server = plane.server_positions_m[0]
    for device, place in zip(plane.device_positions_m, places[1:], strict=True):
        assert math.dist(server, device) == pytest.approx(
            chord_m(places[0], place), rel=2e-3, abs=1e-3
        )


@given(cities(-60.0, 60.0))
def test_the_area_is_the_smallest_that_holds_all(places: list[tuple[float, float]]) -> None:
    plane = project(sites_at(places[:1]), sites_at(places[1:]))
    positions = np.array(plane.server_positions_m + plane.device_positions_m)
    assert positions.min(axis=0).tolist() == [0.0, 0.0]
    assert np.maximum(positions.max(axis=0), 1.0).tolist() == list(plane.area_m)


def test_east_is_right_and_north_is_up() -> None:
    plane = project(sites_at([(-37.82, 144.96)]), sites_at([(-37.81, 144.96), (-37.82, 144.97)]))
    north, east = plane.device_positions_m
    assert north[0] == east[1] == 0.0
    assert plane.area_m == (east[0], north[1])
    # A degree of latitude is longer than one of longitude, except on the equator.
    assert north[1] > east[0] > 0.0


@pytest.mark.parametrize("place", [(0.0, 0.0), (-37.81, 144.97), (90.0, 12.0)])
def test_one_point_still_has_an_area(place: tuple[float, float]) -> None:
    plane = project(sites_at([place]), sites_at([place]))
    assert plane == Plane(((0.0, 0.0),), ((0.0, 0.0),), (1.0, 1.0))


def test_sites_on_one_line() -> None:
    plane = project(sites_at([(10.0, 20.0)]), sites_at([(10.0, 20.01)]))
    assert plane.area_m[0] > 1000.0
    assert plane.area_m[1] == 1.0


def test_the_180th_meridian_is_no_border() -> None:
    across = project(sites_at([(-17.0, 179.99)]), sites_at([(-17.0, -179.99)]))
    elsewhere = project(sites_at([(-17.0, 9.99)]), sites_at([(-17.0, 10.01)]))
    assert across.area_m == pytest.approx(elsewhere.area_m)


@pytest.mark.parametrize(
    "devices",
    [
        [(48.85, 2.35), (48.86, 2.36)],  # another city
        [(-37.81, 144.96), (37.81, 144.96)],  # one sign lost
    ],
)
def test_tables_about_different_places(devices: list[tuple[float, float]]) -> None:
    servers = sites_at([(-37.81, 144.97), (-37.82, 144.96)], "servers.csv")
    with pytest.raises(ValueError, match="different places") as caught:
        project(servers, sites_at(devices, "devices.csv"))
    message = str(caught.value)
    row = 1 + int(np.argmax([haversine_m((-37.81, 144.97), place) for place in devices]))
    assert f"data row {row} of 'devices.csv'" in message
    assert "swapped" in message
    assert "'servers.csv'" in message


def test_a_legally_swapped_table_is_caught_against_the_other() -> None:
    paris = [(48.85, 2.35), (48.86, 2.36)]
    swapped = [(longitude, latitude) for latitude, longitude in paris]
    with pytest.raises(ValueError, match="latitude and longitude swapped"):
        project(sites_at(paris), sites_at(swapped))


@pytest.mark.parametrize(("degrees", "legal"), [(1.75, True), (1.85, False)])
def test_the_limit_is_200_km(degrees: float, legal: bool) -> None:
    servers, devices = sites_at([(0.0, 0.0)]), sites_at([(0.0, degrees)])
    if legal:
        assert 190e3 < project(servers, devices).area_m[0] < 200e3
    else:
        with pytest.raises(ValueError, match="within 200 km"):
            project(servers, devices)


# -- reading positions ----------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["x,y", " X , Y", "x_m,y_m", "X_M,y"])
def test_positions(write: Any, header: str) -> None:
    positions = read_positions(write(f"id,{header}", "1,0,2.5", "2,1e1,-3"))
    assert positions.dtype == np.float64
    assert positions.tolist() == [[0.0, 2.5], [10.0, -3.0]]


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ((), ["'x'", "'y'", "[m]", "empty file"]),
        (("x,y",), ["at least one row"]),
        (("lat,lon", "1,2"), ["lacks 'x' and 'y'", "'lat', 'lon'", "Scenario.from_sites"]),
        (("x,y", "1,2", "", "3,4"), ["line 3", "empty row"]),
        (("x,y", "1,2", "3,"), ["line 3, column 'y': must be a finite number [m]; got ''"]),
        (("x,Y_m", "1,nan"), ["line 2, column 'Y_m'", "'nan'"]),
    ],
)
def test_wrong_positions(write: Any, lines: tuple[str, ...], parts: list[str]) -> None:
    message = refusal(write(*lines), read_positions)
    assert [part for part in parts if part not in message] == []


def test_missing_positions_are_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_positions(tmp_path / "nowhere.csv")


# -- the EUA data set -----------------------------------------------------------------------------


@pytest.fixture
def melbourne(data_dir: Path) -> tuple[Path, Path]:
    return (
        data_dir / "eua" / "site-optus-melbCBD.csv",
        data_dir / "eua" / "users-melbcbd-generated.csv",
    )


def test_melbourne_reads_whole(melbourne: tuple[Path, Path]) -> None:
    servers, devices = (read_sites(path) for path in melbourne)
    assert (len(servers), len(devices)) == (125, 816)
    plane = project(servers, devices)
    assert (len(plane.server_positions_m), len(plane.device_positions_m)) == (125, 816)
    # The central business district is about 2 km by 2 km.
    assert all(1e3 < side < 4e3 for side in plane.area_m)
    places = list(zip(servers.latitude_deg, servers.longitude_deg, strict=True))
    for position, place in zip(plane.server_positions_m[1:], places[1:], strict=True):
        assert math.dist(plane.server_positions_m[0], position) == pytest.approx(
            haversine_m(places[0], place), rel=5e-3, abs=1e-3
        )


def test_melbourne_swapped_is_told(melbourne: tuple[Path, Path], write: Any) -> None:
    lines = melbourne[1].read_text(encoding="utf-8").splitlines()
    path = write("Longitude,Latitude", *lines[1:])
    message = refusal(path)
    assert "line 2, column 'Latitude'" in message
    assert "swapped in the whole table" in message


@pytest.mark.parametrize("field", ["area_m", "device_positions", "server_positions"])
def test_fields_that_the_tables_set_are_refused_by_name(field: str) -> None:
    with pytest.raises(TypeError, match=f"from_sites sets {field} from the tables; leave out"):
        Scenario.from_sites("servers.csv", "devices.csv", **{field: (1.0, 1.0)})


@pytest.mark.parametrize(
    "row", ["-37,81,144,95", "-37.81,144,95", "-37,81,144.95", "37,81,144,9,x"]
)
@pytest.mark.parametrize("read", [read_sites, read_positions])
def test_decimal_commas_are_refused_with_the_cure(write: Any, row: str, read: Any) -> None:
    header = "lat,lon" if read is read_sites else "x,y"
    message = refusal(write(header, "1.5,2.5", row), read)
    assert "line 3: must have at most 2 values" in message
    assert "-37.81 instead of -37,81" in message
    read(write(header, "1,2,,", "1.5,2.5,a name, with commas"))


def test_a_missing_table_is_named_with_the_folder_it_was_looked_for_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for ask in (lambda: read_sites("no.csv"), lambda: Scenario.from_sites("no.csv", "no.csv")):
        with pytest.raises(FileNotFoundError, match=rf"'no.csv' .* no such file.*{tmp_path.name}"):
            ask()
