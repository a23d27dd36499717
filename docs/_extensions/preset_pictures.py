"""Draws a slot of every preset at its optimum: `python docs/_extensions/preset_pictures.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # no window

import numpy as np
import pygame
from numpy.typing import NDArray

from mec_gym import Scenario, solve
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.rendering import draw

SIZE = (480, 300)
FOLDER = Path(__file__).resolve().parents[1] / "presets"


def picture(name: str) -> NDArray[np.uint8]:
    """Return the first slot of seed 0, shape (300, 480, 3), at its optimum if moves were free."""
    env = MultiMECEnv(name, render_mode="rgb_array", optimum=True)
    env.reset(seed=0)
    # In one slot no first placement pays.
    free = env.scenario.replace(migration_s=0.0, migration_j=0.0)
    env.step(solve(free, env.slot).assignment)
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
