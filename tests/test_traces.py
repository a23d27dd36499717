"""Recorded movement: tables of positions over time become scenarios, or are refused."""

from __future__ import annotations

import csv
import gzip
import itertools
import pickle
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from mec_gym import ENV_ID, Scenario, Traces, episode, evaluate
from mec_gym.evaluation import episode_set
from mec_gym.sites import Sites, project
from mec_gym.testing import check_offloading_env
from mec_gym.traces import resampled

SITES = "lat,lon\n37.75,-122.45\n37.79,-122.40\n"
HEADER = "cab,minute,lat,lon"
TWO = ("a,0,37.75,-122.45", "a,1,37.76,-122.44", "b,0,37.77,-122.43", "b,2,37.79,-122.41")


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Make a scenario of lines of a table, a minute a sample, beside two sites."""

    def make(*lines: str, sites: str = SITES, name: str = "cabs.csv", **fields: Any) -> Scenario:
        table = tmp_path / name
        text = "".join(line + "\n" for line in lines).encode()
        table.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        (tmp_path / "sites.csv").write_text(sites)
        fields = {"interval_s": 60.0, "fading": "none"} | fields
        return Scenario.from_traces(table, tmp_path / "sites.csv", **fields)

    return make


# -- the grid -------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0.01, 50.0), min_size=1, max_size=12),
    st.lists(st.integers(-60_000, 200_000).map(lambda ms: ms / 1e3), min_size=1, max_size=30),
    st.floats(0.05, 60.0),
)
def test_the_grid_is_interpolated_between_near_samples_only(
    steps: list[float], grid: list[float], largest: float
) -> None:
    time_s = np.concatenate([[0.0], np.cumsum(steps)])
    positions = np.random.default_rng(len(steps)).normal(size=(len(time_s), 2))
    got = resampled(time_s, positions, np.array(grid), largest)
    straight = interp1d(time_s, positions, axis=0, bounds_error=False)(grid)
    for at, place, line in zip(grid, got, straight, strict=True):
        before, after = time_s[time_s <= at], time_s[time_s >= at]
        near = before.size and after.size and after[0] - before[-1] <= largest
        if near:
            assert place == pytest.approx(line, abs=1e-9)
        elif not np.isclose(np.diff(time_s), largest).any():
            assert np.isnan(place).all()


def test_minutes_become_a_grid_on_the_plane_of_the_sites(make: Any) -> None:
    scenario = make(HEADER, *TWO, largest_gap_s=120.0)
    assert (scenario.n_devices, scenario.n_servers, scenario.slot_s) == (2, 2, 60.0)
    assert scenario.name == "cabs"
    assert scenario.mobility.absent.tolist() == [[False, False], [False, False], [True, False]]
    # All places of the table as from_sites has them; b's in the middle of its two is between.
    servers = Sites("s", np.array([37.75, 37.79]), np.array([-122.45, -122.40]))
    rows = np.array([[float(v) for v in line.split(",")[2:]] for line in TWO])
    plane = project(servers, Sites("d", *rows.T))
    places = np.array(plane.device_positions_m)
    assert scenario.area_m == pytest.approx(plane.area_m, abs=2e-3)
    assert np.array(scenario.server_positions) == pytest.approx(
        np.array(plane.server_positions_m), abs=2e-3
    )
    got = scenario.mobility.positions_m
    assert got[:2, 0] == pytest.approx(places[:2], abs=2e-3)
    assert got[[0, 2], 1] == pytest.approx(places[2:], abs=2e-3)
    assert got[1, 1] == pytest.approx(places[2:].mean(axis=0), abs=2e-3)


def test_a_gap_is_an_absence_and_an_absent_device_has_no_task(make: Any) -> None:
    scenario = make(HEADER, *TWO, largest_gap_s=60.0, migration_s=5.0, weight_latency=2.0)
    absent = scenario.mobility.absent
    assert absent.tolist() == [[False, False], [False, True], [True, False]]
    path = episode(scenario, seed=0, n_slots=30)
    gone = path.cycles < 1.0
    assert gone.any()
    assert not gone.all(axis=0).any()
    slots = path.slots.hosted(np.zeros((30, 2), dtype=int))
    for choice in (0, 1):
        latency = evaluate(scenario, slots, np.full((30, 2), choice)).latency_s
        assert latency[gone].max() < 1e-15
        assert latency[~gone].min() > (0.1, 5.0)[choice]
    env = gym.make(ENV_ID, scenario=scenario)
    assert env.action_space.nvec.tolist() == [3, 3]
    env.reset(seed=0)
    for time in range(30):
        env.step([1, 1])
        seen = ~gone[: time + 1].all(axis=0)
        assert (env.unwrapped.slot.hosts == seen.astype(int)).all()
    check_offloading_env(scenario, seeds=(0,))


@pytest.mark.parametrize(
    ("column", "unit"),
    [("time_s", 1.0), ("Seconds", 1.0), ("minute", 60.0), ("time_min", 60.0), ("hour", 3600.0)],
)
def test_time_has_the_unit_of_its_name(make: Any, column: str, unit: float) -> None:
    lines = [f"{i},{unit * k!r},{k},0" for i in "ab" for k in range(4)]
    scaled = make("id,time,x,y", *lines, sites="x,y\n0,0", interval_s=unit)
    lines = [f"{i},{k},{k},0" for i in "ab" for k in range(4)]
    assert make(f"user,{column},x,y", *lines, sites="x_m,y_m\n0,0", interval_s=unit) == scaled
    assert scaled.mobility.positions_m[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_order_of_rows_among_devices_and_compression_do_not_matter(make: Any) -> None:
    plain = make(HEADER, *TWO, largest_gap_s=120.0)
    mixed = make(HEADER, *(TWO[i] for i in (0, 2, 1, 3)), largest_gap_s=120.0)
    packed = make(HEADER, *TWO, largest_gap_s=120.0, name="cabs.csv.gz")
    assert plain == mixed == packed
    assert packed.name == "cabs"


def test_metres_are_moved_to_the_corner_and_keep_their_distances(make: Any) -> None:
    scenario = make(
        "id,time_s,x,y",
        *("a,0,-50.5,10", "a,60,49.5,10"),
        sites="x,y\n-40,-30",
        largest_gap_s=60.0,
    )
    assert scenario.area_m == (100.0, 40.0)
    assert scenario.server_positions == ((10.5, 0.0),)
    assert scenario.mobility.positions_m[:, 0].tolist() == [[0.0, 40.0], [100.0, 40.0]]


def test_a_window_keeps_a_part_and_who_is_seen_in_it(make: Any) -> None:
    minutes = {"a": (0, 1), "b": (2, 3), "c": (1, 2, 3), "d": (0, 1, 4, 5)}
    lines = [f"{i},{m},37.7{m},-122.4{m}" for i, those in minutes.items() for m in those]
    whole = make(HEADER, *lines)
    part = make(HEADER, *lines, window_s=(120, 240), largest_gap_s=60)
    # a is seen before, d before and after.
    assert (whole.n_devices, part.n_devices) == (4, 2)
    assert (len(whole.mobility.positions_m), len(part.mobility.positions_m)) == (6, 2)
    steps = np.diff(whole.mobility.positions_m[2:4], axis=0)[:, 1:3]
    assert np.diff(part.mobility.positions_m, axis=0) == pytest.approx(steps, abs=0.5)
    first = make(HEADER, *lines, n_devices=1, n_servers=1, window_s=(120, 240))
    assert (first.n_devices, first.n_servers) == (1, 1)


# -- refusals -------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "empty": ((), ["the columns 'device', 'time_s' [s, min or h", "empty file"]),
    "columns": (
        ("cab,minutes_of_day,lat,lon", *TWO),
        ["line 1", "lacks 'time_s'", "'minutes_of_day'", "minute, minutes", "hour"],
    ),
    "metres": (("cab,minute,x,lon", *TWO), ["line 1", "lacks 'latitude'", "columns x and y"]),
    "two ids": (("cab,id,minute,lat,lon", "a,1,0,1,1"), ["one column 'device'; got 2"]),
    "no device": ((HEADER, "a,0,37,-122", ",1,37,-122"), ["line 3, column 'cab'", "empty"]),
    "a word": (
        (HEADER, TWO[0], "a,noon,37.7,-122.4"),
        ["line 3, column 'minute': must be a finite number [s, min or h", "'noon'"],
    ),
    "backwards": (
        (HEADER, *TWO, "a,0.5,37.7,-122.4"),
        [
            "line 6, column 'minute': times of a device must increase; got 0.5",
            "device 'a' has 1.0 in line 3",
            "Sort the rows by device and time",
        ],
    ),
    "twice": (
        (HEADER, *TWO, "b,2,37.7,-122.4"),
        ["line 6, column 'minute'", "got 2.0", "'b' has 2.0 in line 5", "Keep one position"],
    ),
    "once": (
        (HEADER, *TWO, "c,1,37.7,-122.4"),
        ["line 6, column 'cab': a device must have at least 2 positions; got 'c'", "remove it"],
    ),
    "gaps": (
        (HEADER, *TWO, "c,0.5,37.7,-122.4", "c,9.5,37.7,-122.4"),
        ["line 6, column 'cab'", "largest_gap_s=300.0", "got 'c'", "are 540 s apart or more"],
    ),
    "swapped": (
        ("cab,minute,lon,lat", *TWO),
        ["line 2, column 'lat': must lie in [-90, 90]", "swapped in the whole table"],
    ),
    "another city": (
        (HEADER, "a,0,48.85,2.35", "a,1,48.86,2.35"),
        ["within 200 km", "data row 2 of", "latitude 48.86", "different places"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_a_table_is_said(make: Any, case: str) -> None:
    lines, parts = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape("cabs.csv")) as caught:
        make(*lines)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"interval_s": 0.0}, r"interval_s must be a number in .* \[s\]; got 0.0"),
        ({"interval_s": 500.0}, r"cabs.csv' must span at least one interval_s=500.0 s"),
        ({"interval_s": 1e-5}, r"interval_s must leave at most 20,000,000 positions.*'minute'"),
        ({"largest_gap_s": -1.0}, r"largest_gap_s must be a number in .* \[s\]; got -1.0"),
        ({"window_s": 60.0}, r"window_s must be \(from, to\) \[s\]; got 60.0"),
        ({"window_s": (60.0, 0.0)}, "'window_s' must span at least one interval_s"),
        ({"window_s": (6e3, 9e3)}, r"window_s must hold times of '.*cabs.csv', from 0 to 120 s"),
        ({"n_devices": 3}, r"n_devices must lie in \[1, 2\], as '.*cabs.csv' has 2 devices; got 3"),
        ({"n_servers": 3}, r"n_servers must lie in \[1, 2\], as '.*sites.csv' has 2 rows; got 3"),
        ({"mobility": None}, "from_traces sets mobility from the tables"),
        ({"layout": "redrawn"}, "Use layout='fixed'"),
        ({"bandwith_hz": 1e6}, "did you mean 'bandwidth_hz'"),
        ({"sites": "x,y\n1,2\n"}, "lacks 'latitude' and 'longitude'.*from_traces, both tables"),
        ({"sites": "lat,lon\n48.85,2.35\n"}, "200 km"),
    ],
)
def test_what_is_wrong_with_an_argument_is_said(
    make: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make(HEADER, *TWO, **fields)


def test_far_metres_are_refused_like_another_city(make: Any) -> None:
    lines = ("id,time_s,x,y", "a,0,551000,4182000", "a,60,551100,4182000")
    with pytest.raises(ValueError, match=r"200 km .* data row 2 of .*cabs.csv', at x 551100\.0"):
        make(*lines, sites="x,y\n10,10")


@pytest.mark.parametrize(
    "content", [b"cab,minute,lat,lon\n", gzip.compress(b"x" * 999)[:-12]], ids=["plain", "cut"]
)
def test_a_file_that_is_not_compressed_as_it_says(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cabs.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"cabs.csv.gz' must be compressed by gzip"):
        Scenario.from_traces(tmp_path / "cabs.csv.gz", tmp_path / "sites.csv", interval_s=60.0)


# -- files ----------------------------------------------------------------------------------------


def test_traces_come_back_from_json_and_pickle(make: Any) -> None:
    scenario = make(HEADER, *TWO, largest_gap_s=60.0)
    text = scenario.to_json()
    assert "NaN" not in text
    assert Scenario.from_json(text) == scenario
    again = pickle.loads(pickle.dumps(scenario))
    assert again == scenario
    assert not again.mobility.positions_m.flags.writeable
    listed = {"traces": {"positions_m": [[[0, 1], None], [[2, 3], [4, 5]]], "interval_s": 9}}
    nested = Scenario(n_devices=2, n_servers=1, server_positions=[(1, 1)], mobility=listed)
    assert nested.mobility == Traces([[[0, 1], [np.nan] * 2], [[2, 3], [4, 5]]], 9.0)
    assert Scenario.from_json(nested.to_json()) == nested


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions_m": "1 2 3"}, "two numbers for each of n_devices=1 devices"),
        ({"positions_m": "1 2 3 x"}, "two numbers for each of n_devices=1 devices"),
        ({"n_devices": None}, "Traces.n_devices must be an integer >= 1; got None"),
        ({"interval": 1.0}, "did you mean 'interval_s'"),
    ],
)
def test_damaged_traces_of_json_are_refused(change: dict[str, Any], message: str) -> None:
    traces = {"positions_m": "1 2 3 4", "n_devices": 1, "interval_s": 1.0} | change
    with pytest.raises((TypeError, ValueError), match=message):
        Scenario(n_devices=1, n_servers=1, server_positions=[(1, 1)], mobility={"traces": traces})


def test_states_of_long_traces_are_made_once(make: Any) -> None:
    lines = [f"{i},{k},{37.7 + k * 1e-4 + i * 1e-3},-122.4" for i in range(40) for k in range(300)]
    env = gym.make(ENV_ID, scenario=make(HEADER, *lines)).unwrapped
    env.reset(seed=0)
    first, second = env.get_state(), env.get_state()
    assert first["scenario"] is second["scenario"]


# -- the cabs of San Francisco --------------------------------------------------------------------


@pytest.fixture(scope="module")
def cabs(data_dir: Path) -> tuple[Path, Path]:
    return data_dir / "sf_cabs_gps" / "positions.csv.gz", data_dir / "sf_cabs" / "sites.csv"


def test_the_cabs_are_where_their_table_says(cabs: tuple[Path, Path]) -> None:
    scenario = Scenario.from_traces(*cabs, interval_s=60, largest_gap_s=60, fading="none")
    assert (scenario.n_devices, scenario.n_servers) == (114, 209)
    with gzip.open(cabs[0], "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    present = ~scenario.mobility.absent
    assert present.sum() == len(rows)
    # Millimetres: files have nine characters a number at most.
    assert max(map(len, scenario.mobility._text.split())) == 9
    # A cab's way of one minute, on a sphere of the Earth's mean radius.
    steps, ours = [], []
    for before, after in itertools.pairwise(rows[:3000]):
        if before["trace"] == after["trace"] and int(after["minute"]) == int(before["minute"]) + 1:
            a, b = (np.radians([float(r["lat"]), float(r["lon"])]) for r in (before, after))
            half = np.sin((b - a) / 2) ** 2
            chord = half[0] + np.cos(a[0]) * np.cos(b[0]) * half[1]
            steps.append(2 * 6371008.8 * np.arcsin(np.sqrt(chord)))
            minute, device = int(before["minute"]), int(before["trace"]) - 1
            way = scenario.mobility.positions_m[minute + 1] - scenario.mobility.positions_m[minute]
            ours.append(np.hypot(*way[device]))
    assert len(steps) > 2000
    assert np.array(ours) == pytest.approx(np.array(steps), rel=5e-3, abs=0.01)


def test_the_cabs_run(cabs: tuple[Path, Path]) -> None:
    scenario = Scenario.from_traces(
        *cabs, interval_s=60, largest_gap_s=60, n_servers=20, migration_s=8.0, reference_gain=1e-3
    )
    check_offloading_env(scenario, seeds=(0,))
    path = episode(scenario, seed=0, n_slots=10)
    assert 10 < (path.cycles > 1.0).sum(axis=1).mean() < 114


def test_episodes_in_which_nobody_is_there_cannot_be_compared() -> None:
    gone = [[[np.nan, np.nan]]] * 9
    traces = Traces([[[1.0, 1.0]], [[2.0, 2.0]], *gone], 1.0)
    scenario = Scenario(
        n_devices=1, n_servers=1, area_m=(10.0, 10.0), mobility=traces, slot_s=1.0, migration_s=1.0
    )
    assert (episode_set(scenario, n_episodes=4, n_slots=11).lower_bound > 0).all()
    with pytest.raises(ValueError, match=r"nobody has a task in episode . of 4.*n_slots=2"):
        episode_set(scenario, n_episodes=4, n_slots=2)
