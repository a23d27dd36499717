"""Calls side by side: every item has an end, whatever befalls the process that it was given to."""

from __future__ import annotations

import os
import signal

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
    assert ended[5].error.startswith("its process died")
    values = {item: one.value for item, one in ended.items()}
    assert values == {0: 0, 1: 1, 2: 4, 4: 16, 5: None, 6: 36}


def test_more_items_than_a_process_is_kept_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mec_bench.launching._RENEWED", 2)
    ended = [one.value for one in side_by_side(abs, range(-9, 0), 2)]
    assert sorted(value or 0 for value in ended) == list(range(1, 10))
