"""TensorBoard's file of a run: all figures of one moment in one record, written when it is time."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import Image, TensorBoardOutputFormat

try:
    import PIL.Image
    from tensorboard.compat.proto.summary_pb2 import Summary
except ModuleNotFoundError:  # without them there is no EventFile either
    pass

_FLUSH_SECONDS = 1.0
"""Who watches sees figures after so long; each flush makes training wait for the disk."""


class EventFile(TensorBoardOutputFormat):
    """Stable-Baselines3's writer for TensorBoard, several times as quick with many figures.

    It hands over all numbers of a dump together, not one by one, and does not wait for the disk
    every time. What TensorBoard shows is the same.

    Parameters
    ----------
    folder : str
        Where the file goes.

    Raises
    ------
    AssertionError, ImportError
        If tensorboard is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     events = EventFile(folder)
    ...     events.write({"a": 1.0, "b": 2.0}, {"a": (), "b": ()}, step=3)
    ...     events.close()
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._flushed = time.perf_counter()

    def write(
        self,
        key_values: Mapping[str, Any],
        key_excluded: Mapping[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Write what was recorded since the last time.

        Parameters
        ----------
        key_values : mapping
            By tag: numbers, texts, histograms, pictures, hyper-parameters.
        key_excluded : mapping
            By tag: formats that do not get it.
        step : int, [slot]
            Where on TensorBoard's axis.
        """
        together, others = [], {}
        for tag, value in sorted(key_values.items()):
            if "tensorboard" in (key_excluded[tag] or ()):
                continue
            if isinstance(value, np.ScalarType) and not isinstance(value, (str, bytes)):
                together.append(Summary.Value(tag=tag, simple_value=float(cast(float, value))))
            elif isinstance(value, Image) and value.dataformats == "HWC":
                together.append(Summary.Value(tag=tag, image=_packed(np.asarray(value.image))))
            else:
                others[tag] = value
        if together:
            assert self.writer.file_writer is not None
            self.writer.file_writer.add_summary(Summary(value=together), step)
        if others:
            super().write(others, {tag: key_excluded[tag] for tag in others}, step)
        if time.perf_counter() > self._flushed + _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is left to write, and wait until the system has it."""
        self.writer.flush()
        self._flushed = time.perf_counter()


def _packed(picture: NDArray[np.uint8]) -> Summary.Image:
    """Return a picture, shape (H, W, 3), as TensorBoard keeps it."""
    height, width, _ = picture.shape
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "PNG", compress_level=1)  # a third of the time
    return Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=file.getvalue()
    )
