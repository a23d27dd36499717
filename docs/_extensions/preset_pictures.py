"""Draws a well decided slot of every preset: `python docs/_extensions/preset_pictures.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # no window

import numpy as np
import pygame
from numpy.typing import NDArray

from mec_gym import Scenario, episode, hindsight, solve
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.rendering import draw

SIZE = (480, 300)
SLOTS = 12
FOLDER = Path(__file__).resolve().parents[1] / "presets"


def picture(name: str) -> NDArray[np.uint8]:
    """Return the first slot of seed 0, shape (300, 480, 3), decided as `solve` does.

    Where services move, the last of `SLOTS` slots that `hindsight` plans.
    """
    env = MultiMECEnv(name, render_mode="rgb_array", optimum=True)
    if env.scenario.migrates:
        path = episode(env.scenario, seed=0, n_slots=SLOTS)
        best = hindsight(env.scenario, path)
        env.reset(options={"episode": path, "hindsight": best})
        for decision in best.assignment:
            env.step(decision)
    else:
        env.reset(seed=0)
        env.step(solve(env.scenario, env.slot).assignment)
    found = draw(env.frame(), SIZE)
    # Of 10,000 devices, fewer colours make a smaller file.
    return found if env.scenario.n_devices < 1000 else (np.round(found / 51) * 51).astype(np.uint8)


def main() -> None:
    """Write a PNG for every preset."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or Scenario.presets():
        surface = pygame.surfarray.make_surface(picture(name).swapaxes(0, 1))
        pygame.image.save(surface, FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
