"""TensorBoard reads the same from our event files as from Stable-Baselines3's own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from stable_baselines3.common.logger import HParam, Image, TensorBoardOutputFormat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from mec_bench import tensorboard as events
from mec_bench import train, watching
from mec_bench.tensorboard import EventFile
from tests.mec_bench.harness_helpers import quick

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


def pictures() -> dict[str, Image]:
    rng = np.random.default_rng(1)
    return {
        "alpha": Image(rng.integers(0, 255, (4, 5, 4), dtype=np.uint8), "HWC"),
        "float": Image(rng.random((4, 5, 3), dtype=np.float32), "HWC"),
        "gray": Image(rng.integers(0, 255, (4, 5, 1), dtype=np.uint8), "HWC"),
        "tensor": Image(torch.from_numpy(rng.random((4, 5, 3))), "HWC"),
        "first": Image(rng.integers(0, 255, (3, 4, 5), dtype=np.uint8), "CHW"),
        "flat": Image(rng.integers(0, 255, (4, 5), dtype=np.uint8), "HW"),
    }


@pytest.mark.parametrize("kind", list(pictures()))
def test_pictures_of_every_kind(kind: str, tmp_path: Path) -> None:
    found = []
    for name, cls in (("ours", EventFile), ("theirs", TensorBoardOutputFormat)):
        writer = cls(str(tmp_path / name))
        writer.write({"picture": pictures()[kind]}, {"picture": ()}, 1)
        writer.close()
        (event,) = read(tmp_path / name).Images("picture")
        pixels = PIL.Image.open(io.BytesIO(event.encoded_image_string))
        found.append((event.width, event.height, np.asarray(pixels).tolist()))
    assert found[0] == found[1]


def test_tensorboard_is_asked_to_write_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    make = events.SummaryWriter

    def noted(**options: Any) -> Any:
        asked.append(options)
        return make(**options)

    monkeypatch.setattr(events, "SummaryWriter", noted)
    EventFile(str(tmp_path)).close()
    assert asked == [{"log_dir": str(tmp_path), "flush_secs": 1}]


def test_a_checkpoint_takes_the_figures_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    flush, save = EventFile.flush, watching.save_checkpoint

    def flushed(file: EventFile) -> None:
        done.append("flush")
        flush(file)

    def saved(*arguments: Any) -> None:
        done.append("save")
        save(*arguments)

    monkeypatch.setattr(EventFile, "flush", flushed)
    monkeypatch.setattr(watching, "save_checkpoint", saved)
    train(quick("dirs"), tmp_path)
    saves = [place for place, what in enumerate(done) if what == "save"]
    assert len(saves) > 1
    assert all(done[place - 1] == "flush" for place in saves)


def test_rows_of_the_learning_curve_hold_what_dirs_has_noted(tmp_path: Path) -> None:
    train(quick("dirs", timesteps=150), tmp_path)
    found = read(tmp_path)
    for tag in ("mec/objective", "train/loss_mec_1"):
        # DIRS itself writes after 100 slots alone.
        assert [event.step for event in found.Scalars(tag)] == [50, 100, 150]
