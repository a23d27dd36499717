"""Calls side by side: every item has an end, whatever befalls the process that it was given to."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mec_bench.launching import side_by_side


def fate(item: int) -> int:
    if item == 3:
        raise ValueError("three")
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_costs_its_own_item_only(processes: int) -> None:
    ended = {one.item: one for one in side_by_side(fate, range(5), processes)}
    assert {item: one.value for item, one in ended.items()} == {0: 0, 1: 1, 2: 4, 3: None, 4: 16}
    assert ended[3].error == "ValueError: three"
    assert not any(one.error for item, one in ended.items() if item != 3)


def test_a_killed_process_costs_its_own_item_only() -> None:
    ended = {one.item: one for one in side_by_side(fate, [0, 5, 1, 2, 4, 6], 2)}
    assert ended[5].error.startswith("its process was killed by SIGKILL")
    values = {item: one.value for item, one in ended.items()}
    assert values == {0: 0, 1: 1, 2: 4, 4: 16, 5: None, 6: 36}


def test_more_items_than_a_process_is_kept_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mec_bench.launching._RENEWED", 2)
    ended = [one.value for one in side_by_side(abs, range(-9, 0), 2)]
    assert sorted(value or 0 for value in ended) == list(range(1, 10))


def patient(place: Path) -> None:
    """Wait to be asked to end, and then keep something, as a run does."""
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    place.with_suffix(".begun").touch()
    assert asked.wait(60)
    place.with_suffix(".kept").touch()


def test_ctrl_c_lets_calls_under_way_keep_what_they_have(tmp_path: Path) -> None:
    def interrupt() -> None:
        while len(list(tmp_path.glob("*.begun"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(patient, [tmp_path / name for name in "abc"], 2))
    assert sorted(file.name for file in tmp_path.glob("*.kept")) == ["a.kept", "b.kept"]
    assert not list(tmp_path.glob("c.*"))
