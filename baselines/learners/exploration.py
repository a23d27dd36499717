"""Exploration for scores that are voted on: what a device, a server or all share, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.noise import ActionNoise


class SharedNoise(ActionNoise):
    """Normal noise on the scores of M servers for N devices, part of it shared.

    Noise of its own on every score hardly changes what matters: with ten servers some score of
    nearly every device stays above the threshold, and the number of devices at a server stays
    near its mean. So part of the noise is drawn once for each device (whether it offloads), once
    for each server (how many come to it) and once for all (how many offload). What tells servers
    apart, the scores' own and the servers' part, has half the deviation of the others: a device
    follows the highest of M scores, and the highest of many is high.

    Parameters
    ----------
    n_servers, n_devices : int
        M and N.
    deviation : float
        Standard deviation of the devices' and of the common part, of scores scaled to [-1, 1].

    Examples
    --------
    >>> SharedNoise(2, 30, 0.2)().shape
    (60,)
    """

    def __init__(self, n_servers: int, n_devices: int, deviation: float) -> None:
        super().__init__()
        self.n_servers, self.n_devices, self.deviation = n_servers, n_devices, deviation

    def __call__(self) -> NDArray[np.float32]:
        """Draw the noise of one slot.

        Returns
        -------
        ndarray, shape (M · N,), float32
        """
        rows, columns = self.n_servers, self.n_devices
        parts = (
            ((rows, columns), 0.5),
            ((rows, 1), 0.5),
            ((1, columns), 1.0),
            ((1, 1), 1.0),
        )
        # From the generator that the library seeds, as its own noises.
        normal = np.random.normal
        noise = sum(share * normal(size=shape) for shape, share in parts)
        return (self.deviation * np.asarray(noise)).astype(np.float32).ravel()

    def __repr__(self) -> str:
        return f"SharedNoise({self.n_servers}, {self.n_devices}, {self.deviation})"
