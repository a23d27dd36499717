"""TensorBoard reads the same from our event files as from Stable-Baselines3's own."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from stable_baselines3.common.logger import HParam, Image, TensorBoardOutputFormat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from experiments import train
from experiments.running import events, training
from experiments.running.events import EventFile
from tests.experiments.harness_helpers import quick

PICTURE = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)
ROWS: tuple[tuple[int, dict[str, Any]], ...] = (
    (0, {"hparams": HParam({"lr": 0.1, "name": "x"}, {"a/b": 0.0}), "a/b": 1}),
    (5, {"a/b": np.float32(0.1), "c": np.int64(3), "picture": Image(PICTURE, "HWC")}),
    (7, {"a/b": 2.5, "said": "so", "weights": np.arange(9.0), "hidden": 1.0, "yes": True}),
    (9, {"a/b": float("nan")}),
)


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), {"images": 0, "tensors": 0, "histograms": 0})
    found.Reload()
    return found


def test_what_tensorboard_reads(tmp_path: Path) -> None:
    for name, cls in (("ours", EventFile), ("theirs", TensorBoardOutputFormat)):
        writer = cls(str(tmp_path / name))
        for step, values in ROWS:
            excluded = {tag: ("tensorboard",) if tag == "hidden" else () for tag in values}
            writer.write(values, excluded, step)
        writer.close()
    ours, theirs = read(tmp_path / "ours"), read(tmp_path / "theirs")
    assert ours.Tags() == theirs.Tags()
    assert "hidden" not in ours.Tags()["scalars"]
    assert ours.Tags()["images"] == ["picture"]
    for tag in theirs.Tags()["scalars"]:
        mine, their = ours.Scalars(tag), theirs.Scalars(tag)
        assert [event.step for event in mine] == [event.step for event in their]
        np.testing.assert_array_equal(
            [event.value for event in mine], [event.value for event in their]
        )
    (mine,), (their,) = ours.Images("picture"), theirs.Images("picture")
    assert (mine.step, mine.width, mine.height) == (their.step, 9, 6)
    pixels = PIL.Image.open(io.BytesIO(mine.encoded_image_string))
    np.testing.assert_array_equal(np.asarray(pixels), PICTURE)
    assert ours.SummaryMetadata("_hparams_/experiment") == theirs.SummaryMetadata(
        "_hparams_/experiment"
    )
    texts = [
        tensor_util.make_ndarray(found.Tensors("said/text_summary")[0].tensor_proto)
        for found in (ours, theirs)
    ]
    assert texts[0] == texts[1]


def test_who_watches_need_not_wait_for_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventFile(str(tmp_path))
    monkeypatch.setattr(events, "_FLUSH_SECONDS", 0.01)
    time.sleep(0.02)
    writer.write({"a": 1.0}, {"a": ()}, 3)
    assert [event.step for event in read(tmp_path).Scalars("a")] == [3]
    writer.close()


def test_a_checkpoint_takes_the_figures_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, save = EventFile.flush, training.save_checkpoint

    def flushed(file: EventFile) -> None:
        done.append("flush")
        flush(file)

    def saved(*arguments: Any) -> None:
        done.append("save")
        save(*arguments)

    monkeypatch.setattr(EventFile, "flush", flushed)
    monkeypatch.setattr(training, "save_checkpoint", saved)
    train(quick("dirs"), tmp_path)
    saves = [place for place, what in enumerate(done) if what == "save"]
    assert len(saves) > 1
    assert all(done[place - 1] == "flush" for place in saves)
