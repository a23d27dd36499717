"""Pictures of a network with a policy's decision."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mec_bench.running.measuring import Decisions
from mec_gym import Scenario
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.rendering import DESIGN, draw


class NetworkPicture:
    """One slot of a scenario, always the same, under a policy's decision.

    Parameters
    ----------
    scenario : Scenario
        The system.
    observation : {"db", "raw", "flat"}
        What the policy sees.
    size : tuple of int, [pixel]
        Width and height.

    Raises
    ------
    ModuleNotFoundError
        Without the extra "render".

    Examples
    --------
    >>> picture = NetworkPicture(Scenario.preset("paper-30x2"), "db")
    >>> picture.of(lambda seen: np.ones((len(seen), 30), dtype=int)).dtype
    dtype('uint8')
    """

    def __init__(
        self, scenario: Scenario, observation: str, size: tuple[int, int] = DESIGN
    ) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame  # noqa: F401  # before an env that could not draw is made

        self._size = size
        self._env = MultiMECEnv(
            scenario, observation=observation, optimum=True, render_mode="rgb_array"
        )

    def of(self, decide: Decisions) -> NDArray[np.uint8]:
        """Return the picture of a policy's decision.

        Parameters
        ----------
        decide : callable
            From :func:`mec_bench.running.measuring.decisions_of`.

        Returns
        -------
        ndarray, shape (H, W, 3), uint8
        """
        seen, _ = self._env.reset(seed=0)
        self._env.step(decide(np.asarray(seen)[None])[0])
        return draw(self._env.frame(), self._size)


def save_picture(picture: NDArray[np.uint8], path: str | os.PathLike[str]) -> None:
    """Write a picture as PNG.

    Parameters
    ----------
    picture : ndarray, shape (H, W, 3), uint8
        Of :meth:`NetworkPicture.of`.
    path : path
        Of the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_picture(np.zeros((2, 3, 3), dtype=np.uint8), f"{folder}/black.png")
    ...     Path(folder, "black.png").read_bytes()[1:4]
    b'PNG'
    """
    import pygame

    pygame.image.save(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), Path(path))
