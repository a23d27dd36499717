"""What is shown of a run while it trains: pictures, TensorBoard's file, a progress bar."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import ProgressBarCallback
from stable_baselines3.common.logger import Image, TensorBoardOutputFormat

from mec_bench.measuring import Decisions
from mec_gym import Scenario
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.evaluation import begin
from mec_gym.rendering import DESIGN, draw


class NetworkPicture:
    """One slot of a scenario, always the same, under a policy's decision.

    `size` is width and height in pixels. ``ModuleNotFoundError`` without the extra "render".
    """

    def __init__(
        self, scenario: Scenario, observation: str = "flat", size: tuple[int, int] = DESIGN
    ) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame  # noqa: F401  # before an env that could not draw is made

        self._size = size
        self._env = MultiMECEnv(
            scenario, observation=observation, optimum=True, render_mode="rgb_array"
        )

    def of(self, decide: Decisions) -> NDArray[np.uint8]:
        """Return the picture of a policy's decision, shape (H, W, 3)."""
        seen, _ = self._env.reset(seed=0)
        begin(decide)
        self._env.step(decide(np.asarray(seen)[None])[0])
        return draw(self._env.frame(), self._size)


try:
    import PIL.Image
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import SummaryWriter
except ModuleNotFoundError:
    SummaryWriter = None  # type: ignore[assignment, misc]  # and there is no EventFile

_FLUSH_SECONDS = 1
"""Who watches waits no longer for a figure."""


class EventFile(TensorBoardOutputFormat):
    """Stable-Baselines3's writer for TensorBoard, quicker where there are many figures.

    It hands over all numbers of a row together, and leaves the waiting for the disk to
    TensorBoard's thread. TensorBoard shows the same. ``ImportError`` without tensorboard.
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
        """Write a row at a slot: numbers, texts, histograms, pictures, hyper-parameters by tag."""
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
        """Write what is left, and wait until the system has it."""
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


class ProgressBar(ProgressBarCallback):
    """Stable-Baselines3's progress bar over `total` slots, for any algorithm and its stages."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._shown = 0

    def on_pretraining_step(self) -> None:
        """Show the stage that the algorithm is in: no slot passes for a while."""
        self._show(getattr(self.model, "stage", ""))

    def _on_training_start(self) -> None:
        from tqdm.rich import tqdm  # of an extra

        self._shown = self.model.num_timesteps
        self.pbar = tqdm(total=self._total)

    def _on_rollout_start(self) -> None:
        if self.pbar.desc:
            self._show("")

    def _on_step(self) -> bool:
        passed, self._shown = self.num_timesteps - self._shown, self.num_timesteps
        # All copies take a step together, the last of them beyond the total.
        self.pbar.update(min(passed, self._total - self.pbar.n))
        return True

    def _show(self, stage: str) -> None:
        self.pbar.set_description(stage, refresh=True)
