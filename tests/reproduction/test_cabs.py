"""The page of recorded cabs is made of any recording with the columns of the real one."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from mec_gym import Scenario

pytest.importorskip("pydantic")
pytest.importorskip("stable_baselines3")

from mec_bench import evaluate_again, measuring
from reproduction import cabs, pages
from reproduction.pages import rows

DAYS = ("2008-05-19", "2008-05-17", "2008-05-18", "2008-05-17", "2008-05-19", "2008-05-18")
"""Of each cab: one day to train on, two to measure on."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six cabs that wander among 30 sites for 24 minutes, each absent for four of them."""
    rng = np.random.default_rng(0)
    table = [["trace", "minute", "lat", "lon"]]
    for trace in range(len(DAYS)):
        place = rng.uniform(0, 0.05, 2)
        for minute in range(24):
            if minute // 4 == trace:
                continue
            place = place + rng.normal(0, 0.003, 2)
            numbers = 37.75 + place[0], -122.45 + place[1]
            table.append([str(trace), str(minute), *(f"{one:.5f}" for one in numbers)])
    (tmp_path / "sf_cabs_gps").mkdir()
    (tmp_path / "sf_cabs").mkdir()
    write(tmp_path, table)
    dates = [f"{trace},{trace % 2},{day}" for trace, day in enumerate(DAYS)]
    (tmp_path / cabs.DATES).write_text("\n".join(["trace,cab,date", *dates]))
    sites = [
        f"{i},{37.75 + a:.5f},{-122.45 + b:.5f}"
        for i, (a, b) in enumerate(rng.uniform(0, 0.05, (30, 2)))
    ]
    (tmp_path / cabs.SITES).write_text("\n".join(["site,lat,lon", *sites]))
    return tmp_path


def write(data: Path, table: list[list[str]]) -> None:
    text = "\n".join(map(",".join, table))
    (data / cabs.TRACES).write_bytes(gzip.compress(text.encode()))


def test_days_are_on_one_side_with_all_their_cabs(data: Path, tmp_path: Path) -> None:
    *tables, days = cabs.split_by_day(data, tmp_path)
    assert days == (["2008-05-17"], ["2008-05-18", "2008-05-19"])
    rows_of = [[*csv.reader(table.read_text().splitlines())][1:] for table in tables]
    assert [{DAYS[int(row[0])] for row in kept} for kept in rows_of] == [set(one) for one in days]
    assert [len(kept) for kept in rows_of] == [2 * 20, 4 * 20]


def test_nothing_of_the_measured_days_is_seen_in_training(data: Path) -> None:
    before, measured, _ = cabs.scenarios(data)
    with gzip.open(data / cabs.TRACES, "rt") as file:
        header, *table = csv.reader(file)
    for row in table:
        if DAYS[int(row[0])] != "2008-05-17":  # all to one corner, for longer
            row[1:] = [str(int(row[1]) + 60), "37.75", "-122.45"]
    write(data, [header, *table])
    after, changed, recording = cabs.scenarios(data)
    assert after == before
    assert changed != measured
    assert [side["devices"] for side in recording["sides"]] == [2, 4]
    np.testing.assert_allclose(
        changed.server_frequencies_hz / changed.n_devices,
        after.server_frequencies_hz / after.n_devices,
    )


def test_busy_sites_are_nearest_to_most_positions(data: Path) -> None:
    every = data / cabs.SITES
    table, share = cabs.busy_sites(data / cabs.TRACES, every, data)
    kept = table.read_text().splitlines()
    assert len(kept) == 1 + cabs.N_SITES
    assert set(kept[1:]) < set(every.read_text().splitlines())
    assert cabs.N_SITES / 30 < share <= 1.0


@pytest.mark.slow
def test_cabs_writes_its_page_and_its_figures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("MEC_GYM_DATA", str(data))
    monkeypatch.setattr(measuring, "SLOTS_PER_EPISODE", 3)
    monkeypatch.setattr(cabs, "LEARNERS", {"mappo": 192})
    monkeypatch.setattr(cabs, "SEEDS", 2)
    command = ["cabs", "--episodes=2", f"--runs={tmp_path / 'runs'}", f"--out={out}"]
    monkeypatch.setattr("sys.argv", command)
    cabs.main()
    raw = json.loads((out / "cabs.json").read_text())
    assert raw["recording"]["sides"][1]["present"] == [3, 20 / 6, 4]
    assert [(run["scenario"], run["seed"], run["timesteps"]) for run in raw["runs"]] == [
        ("cabs", 0, 192),
        ("cabs", 1, 192),
    ]
    assert all(len(run["hindsight_ratio_of_layouts"]) == 2 for run in raw["runs"])
    _, others, _ = cabs.scenarios(data)
    (local,) = evaluate_again(["local"], scenario=others, layouts=2)
    (room,) = raw["headroom"]  # rules are measured on the learners' episodes
    assert np.mean(local.slots.score) == pytest.approx(room["ratio"]["all local"]["mean"])
    page = (out / "cabs.md").read_text()
    assert "| MAPPO, difference credit | " in page
    assert all(
        row in page for row in rows((f"`{n}`", *p) for n, p in cabs.PARAMETERS.items()).splitlines()
    )
    monkeypatch.setattr("sys.argv", ["cabs", "--page", f"--out={out}"])
    (out / "cabs.md").unlink()
    cabs.main()
    assert (out / "cabs.md").read_text() == page
    del raw["recording"]["near"]
    (out / "cabs.json").write_text(json.dumps(raw))
    with pytest.raises(SystemExit):
        cabs.main()
    assert "is damaged (KeyError('near'))" in capsys.readouterr().err


def test_without_data_the_page_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cabs", f"--data={tmp_path}", f"--out={tmp_path / 'out'}"])
    with pytest.raises(SystemExit) as caught:
        cabs.main()
    assert caught.value.code == 2
    assert "must name a folder with sf_cabs_gps/positions.csv.gz" in capsys.readouterr().err


def test_the_page_says_of_every_policy_what_it_is_told() -> None:
    shown = cabs.content(pages.RESULTS / "cabs.json")
    said = {name for who, _ in shown["told"] for name in who.split("; ")}
    rows = [line.split(" | ")[0].removeprefix("| ") for line in shown["table"].splitlines()[2:]]
    assert {row.partition(":")[0] for row in rows if not row.startswith("*")} == said
    page = pages.render("cabs.md.j2", raw="../reproduction/results/cabs.json", **shown)
    assert (pages.DOCS / "cabs.md").read_text(encoding="utf-8") == page


def test_every_parameter_is_a_field_with_a_source() -> None:
    assert set(cabs.PARAMETERS) < set(Scenario.fields())
    assert all(source for _, source in cabs.PARAMETERS.values())
