"""TensorBoard's file of a run: all figures of one moment in one record."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import Image, TensorBoardOutputFormat

try:
    import PIL.Image
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import SummaryWriter
except ModuleNotFoundError:
    SummaryWriter = None  # type: ignore[assignment, misc]  # and there is no EventFile

_FLUSH_SECONDS = 1
"""Who watches sees figures after so long at most."""


class EventFile(TensorBoardOutputFormat):
    """Stable-Baselines3's writer for TensorBoard, quicker where there are many figures.

    It hands over all numbers of a dump together, not one by one, and leaves the waiting for the
    disk to TensorBoard's thread. What TensorBoard shows is the same.

    Parameters
    ----------
    folder : str
        Where the file goes.

    Raises
    ------
    ImportError
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
        if SummaryWriter is None:
            raise ImportError("tensorboard is not installed.")
        # Not super().__init__: its writer flushes every two minutes by itself.
        self.writer = SummaryWriter(log_dir=folder, flush_secs=_FLUSH_SECONDS)
        self._is_closed = False

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
            if isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
                together.append(Summary.Value(tag=tag, simple_value=float(cast(float, value))))
            elif _is_plain_picture(value):
                together.append(Summary.Value(tag=tag, image=_packed(value.image)))
            else:
                others[tag] = value
        if together:
            assert self.writer.file_writer is not None
            self.writer.file_writer.add_summary(Summary(value=together), step)
        if others:
            super().write(others, {tag: key_excluded[tag] for tag in others}, step)

    def flush(self) -> None:
        """Write what is left to write, and wait until the system has it."""
        self.writer.flush()


def _is_plain_picture(value: Any) -> bool:
    """Return whether a value is a picture in bytes of red, green and blue."""
    if not isinstance(value, Image) or value.dataformats != "HWC":
        return False
    pixels = value.image
    return isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[2:] == (3,)


def _packed(picture: NDArray[np.uint8]) -> Summary.Image:
    """Return a picture, shape (H, W, 3), as TensorBoard keeps it."""
    height, width, _ = picture.shape
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "PNG", compress_level=1)  # packs soonest
    return Summary.Image(
        height=height, width=width, colorspace=3, encoded_image_string=file.getvalue()
    )
