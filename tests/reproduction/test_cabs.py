"""The page of recorded cabs is made of any recording with the columns of the real one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from mec_gym import Scenario

pytest.importorskip("pydantic")

from reproduction import cabs
from reproduction.pages import rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five cabs that wander among 30 sites, in the morning and in the evening."""
    rng = np.random.default_rng(0)
    lines = ["trace,minute,lat,lon"]
    for trace in range(5):
        place = rng.uniform(0, 0.05, 2)
        for minute in [*range(400, 412), *range(1000, 1012)]:
            place = place + rng.normal(0, 0.003, 2)
            lines.append(f"{trace},{minute},{37.75 + place[0]:.5f},{-122.45 + place[1]:.5f}")
    (tmp_path / "sf_cabs_gps").mkdir()
    (tmp_path / "sf_cabs").mkdir()
    (tmp_path / cabs.TRACES).write_bytes(gzip.compress("\n".join(lines).encode()))
    sites = [
        f"{i},{37.75 + a:.5f},{-122.45 + b:.5f}"
        for i, (a, b) in enumerate(rng.uniform(0, 0.05, (30, 2)))
    ]
    (tmp_path / cabs.SITES).write_text("\n".join(["site,lat,lon", *sites]))
    return tmp_path


def test_busy_sites_are_nearest_to_most_positions(data: Path) -> None:
    table, share = cabs.busy_sites(data, data)
    kept = table.read_text().splitlines()
    assert len(kept) == 1 + cabs.N_SITES
    assert set(kept[1:]) < set((data / cabs.SITES).read_text().splitlines())
    few, many = (cabs.cabs(data, sites).server_positions for sites in (table, data / cabs.SITES))
    assert len(few) < len(many)
    assert cabs.N_SITES / 30 < share <= 1.0


@pytest.mark.slow
def test_cabs_writes_its_page_and_its_figures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("MEC_GYM_DATA", str(data))
    monkeypatch.setattr("sys.argv", ["cabs", "--episodes=2", "--slots=3", f"--out={out}"])
    cabs.main()
    raw = json.loads((out / "cabs.json").read_text())
    assert raw["recording"]["devices"] == 5
    assert raw["recording"]["present"][0] == 0
    page = (out / "cabs.md").read_text()
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


def test_every_parameter_is_a_field_with_a_source() -> None:
    assert set(cabs.PARAMETERS) < set(Scenario.fields())
    assert all(source for _, source in cabs.PARAMETERS.values())
