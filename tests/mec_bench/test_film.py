"""A film shows an episode slot by slot; where nothing moves it is one picture."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("pygame")
pytest.importorskip("PIL")

from PIL import Image

from mec_bench import demo
from mec_bench import film as films
from mec_gym import GaussMarkov, Scenario

MOVING = Scenario(
    n_devices=3, n_servers=2, mobility=GaussMarkov(5.0), migration_s=1.0, name="three that move"
)
STILL = Scenario(n_devices=3, n_servers=2, name="three")


def pictures(scenario: Scenario) -> list[np.ndarray]:
    seen = []

    def decide(observations: np.ndarray) -> np.ndarray:
        seen.append(observations)
        return np.full((1, 3), 1 + len(seen) % 2)  # from server to server

    gif = Image.open(io.BytesIO(films.film(decide, scenario, size=(480, 300))))
    assert len(seen) == (films.SLOTS if scenario.dynamic else 1)
    found = []
    for index in range(gif.n_frames):
        gif.seek(index)
        found.append(np.asarray(gif.convert("RGB")))
    return found


def test_every_slot_of_a_moving_world_is_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "SLOTS", 4)
    found = pictures(MOVING)
    assert [one.shape for one in found] == [(300, 480, 3)] * 4
    assert all((a != b).any() for a, b in itertools.pairwise(found))


def test_a_slot_where_nothing_moves_is_one_picture() -> None:
    assert len(pictures(STILL)) == 1


@pytest.mark.filterwarnings("ignore:rich is experimental")
@pytest.mark.parametrize("name", ["here/there", "仕" * 90])
def test_a_demonstration_films_a_scenario_of_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "STILL", demo.Show(("mappo",), ("local",), 32))
    demo.demonstrate([STILL.replace(name=name)], None, 0, tmp_path)
    assert len(list(tmp_path.glob("*.gif"))) == 1
