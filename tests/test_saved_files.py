"""Files are saved as Stable-Baselines3 saves them: links, permissions, names of any length."""

from __future__ import annotations

import functools
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mec_gym import ENV_ID
from mec_gym.files import in_lines

pytest.importorskip("stable_baselines3")

from baselines import GreedyOffloading
from baselines.learners import ActorCritic
from dirs_agents import DIRS
from mec_bench.checkpoints import save_model
from mec_bench.results import EXAMPLE, read_result, write_result

_VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda one: some.lists(one) | some.dictionaries(some.text(), one),
)


@given(some.dictionaries(some.text(), _VALUES))
def test_records_in_lines_are_read_back(record: dict[str, Any]) -> None:
    assert json.loads(in_lines(record)) == record


Save = Callable[[Any], object]
Load = Callable[[Any], object]


@functools.cache
def trained(kind: Any) -> Any:
    env = gym.make(ENV_ID, scenario={"n_devices": 3, "n_servers": 2})
    return kind(env=env, seed=0).learn(2) if kind is not DIRS else DIRS(env=env, seed=0)


def save_replay_buffer(path: Path) -> None:
    trained(DIRS).save_replay_buffer(path)


FILES: dict[str, tuple[Save, Load]] = {
    # What Stable-Baselines3 itself does with a file, which all others then do.
    "Stable-Baselines3": (lambda path: trained(ActorCritic).save(path), ActorCritic.load),
    "DIRS": (lambda path: trained(DIRS).save(path), DIRS.load),
    "replay buffer": (save_replay_buffer, lambda path: trained(DIRS).load_replay_buffer(path)),
    "rule": (lambda path: trained(GreedyOffloading).save(path), GreedyOffloading.load),
    "checkpoint of DIRS": (lambda path: save_model(trained(DIRS), path), DIRS.load),
    "checkpoint": (lambda path: save_model(trained(ActorCritic), path), ActorCritic.load),
    "result": (lambda path: write_result(path, EXAMPLE), read_result),
}


OPEN_FILES = ("Stable-Baselines3", "DIRS", "replay buffer", "rule")
"""Of :data:`FILES`, what is also saved to a binary file that is open."""


@pytest.fixture(params=FILES)
def saving(request: pytest.FixtureRequest) -> tuple[Save, Load]:
    return FILES[request.param]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_saved_again_keeps_its_permissions(
    saving: tuple[Save, Load], mode: int, tmp_path: Path
) -> None:
    save, load = saving
    file = tmp_path / "file.zip"
    save(file)
    file.chmod(mode)
    save(file)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    load(file)


def test_a_new_file_has_the_permissions_of_any_other(
    saving: tuple[Save, Load], tmp_path: Path
) -> None:
    (tmp_path / "other").touch()
    saving[0](tmp_path / "file.zip")
    assert (tmp_path / "file.zip").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
def test_a_link_leads_to_what_is_saved(
    saving: tuple[Save, Load], there: bool, tmp_path: Path
) -> None:
    save, load = saving
    (tmp_path / "far").mkdir()
    link, file = tmp_path / "link.zip", tmp_path / "far" / "file.zip"
    link.symlink_to(Path("far") / "file.zip")
    if there:
        file.touch(0o600)
    save(link)
    assert link.is_symlink()
    assert file.stat().st_size > 0
    assert not there or stat.S_IMODE(file.stat().st_mode) == 0o600
    load(link)
    assert sorted(os.listdir(tmp_path)) == ["far", "link.zip"]
    assert os.listdir(file.parent) == ["file.zip"]


@pytest.mark.parametrize(
    "name",
    ["x" * 251 + ".zip", "仕" * 83 + ".zip", "x." + "z" * 253],
    ids=["longest", "longest in bytes", "long suffix"],
)
def test_any_name_that_is_legal_can_be_saved_to(
    saving: tuple[Save, Load], name: str, tmp_path: Path
) -> None:
    save, load = saving
    save(tmp_path / name)
    load(tmp_path / name)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", OPEN_FILES)
def test_an_open_file_holds_what_a_path_does(name: str, tmp_path: Path) -> None:
    save, load = FILES[name]
    memory = io.BytesIO()
    save(memory)
    memory.seek(0)
    load(memory)
    (tmp_path / "copy.zip").write_bytes(memory.getvalue())
    load(tmp_path / "copy.zip")
    with (tmp_path / "open.zip").open("w+b") as file:
        save(file)
        file.seek(0)
        load(file)
