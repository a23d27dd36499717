"""Films and pictures of what a policy decides."""

from __future__ import annotations

import io
import os

import numpy as np
from numpy.typing import NDArray

from mec_bench.measuring import Decisions
from mec_gym import Scenario, episode, hindsight
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.evaluation import begin
from mec_gym.rendering import draw

SLOTS = 30
"""So many are some 0.4 MB for 30 devices."""

_COLOURS, _MS_PER_SLOT = 256, 400
_SIZE = (640, 400)
"""Drawing and packing take as long as there are pixels."""


class Picture:
    """One slot of a scenario, always the same, under a policy's decision.

    ``ModuleNotFoundError`` without the extra "render".
    """

    def __init__(self, scenario: Scenario, observation: str) -> None:
        self._env = _drawn_env(scenario, observation, optimum=True)

    def of(self, decide: Decisions) -> NDArray[np.uint8]:
        """Return the picture of a policy's decision, shape (H, W, 3)."""
        seen, _ = self._env.reset(seed=0)
        begin(decide)
        self._env.step(decide(np.asarray(seen)[None])[0])
        return draw(self._env.frame(), _SIZE)


def _drawn_env(scenario: Scenario, observation: str, *, optimum: bool) -> MultiMECEnv:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame  # noqa: F401  # before an env that could not draw is made

    return MultiMECEnv(scenario, observation=observation, optimum=optimum, render_mode="rgb_array")


def film(
    decide: Decisions,
    scenario: Scenario,
    observation: str = "flat",
    size: tuple[int, int] = _SIZE,
) -> bytes:
    """Return a GIF of the first slots of an episode, of one slot where slots are independent.

    What the plan of hindsight, or the optimum, costs is drawn beside the policy's cost.
    ``ModuleNotFoundError`` without the extras "render" and "sb3".
    """
    import PIL.Image

    moves = scenario.dynamic
    env = _drawn_env(scenario, observation, optimum=not moves)
    path = episode(scenario, seed=0, n_slots=SLOTS if moves else 1)
    beside = {"hindsight": hindsight(scenario, path)} if moves else {}
    seen, _ = env.reset(options={"episode": path} | beside)
    begin(decide)
    pictures = []
    for _ in range(path.n_slots):
        seen, *_ = env.step(decide(np.asarray(seen)[None])[0])
        pictures.append(PIL.Image.fromarray(draw(env.frame(), size)))
    # One palette for all: what stands still is then the same in all pictures, and stored once.
    palette = pictures[-1].quantize(_COLOURS, PIL.Image.Quantize.MAXCOVERAGE)
    first, *others = (
        one.quantize(palette=palette, dither=PIL.Image.Dither.NONE) for one in pictures
    )
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=_MS_PER_SLOT, loop=0)
    return file.getvalue()
