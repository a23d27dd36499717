"""The radio channel: eq. (2), the rate of a link, and eq. (3), its gain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.model.arrays import Array

LN2 = math.log(2.0)


def path_gain(
    device_positions_m: NDArray[np.float64],
    server_positions_m: NDArray[np.float64],
    *,
    reference_gain: float,
    min_distance_m: float,
) -> NDArray[np.float64]:
    r"""Return the gain of every link without fading, [M-2], eq. (3) with l_ij = 1.

    β0 / ((X_j − x_i)² + (Y_j − y_i)²), with the distance never below `min_distance_m`.

    Parameters
    ----------
    device_positions_m : shape (N, 2), [m]
        (x_i, y_i).
    server_positions_m : shape (M, 2), [m]
        (X_j, Y_j).
    reference_gain : float, [1]
        β0, the gain at 1 m.
    min_distance_m : float, [m]
        Least distance.

    Returns
    -------
    ndarray, shape (N, M), [1]

    Examples
    --------
    >>> path_gain(np.zeros((1, 2)), np.array([[0.0, 10.0]]), reference_gain=1e-4, min_distance_m=1)
    array([[1.e-06]])
    """
    offset = device_positions_m[:, None, :] - server_positions_m[None, :, :]
    squared = np.maximum((offset**2).sum(axis=-1), min_distance_m**2)
    return np.asarray(reference_gain / squared)


def spectral_nats(xp: Any, power_w: Array, snr_per_w: Array) -> Array:
    r"""Return ln(1 + p h / σ²), the spectral efficiency of eq. (2) in nats.

    Parameters
    ----------
    xp : module
        Array namespace.
    power_w : array, [W]
        Transmission power p.
    snr_per_w : array, [1/W]
        h / σ², the signal-to-noise ratio of one watt.

    Returns
    -------
    array, [nat/s/Hz]
        ``log1p`` keeps it exact for the weakest links.

    Examples
    --------
    >>> float(spectral_nats(np, np.float64(1e-20), np.float64(1.0)))
    1e-20
    """
    return xp.log1p(power_w * snr_per_w)


def rate_bps(xp: Any, power_w: Array, snr_per_w: Array, *, bps_per_nat: Any) -> Array:
    r"""Return the offloading rate r = B log2(1 + p h / σ²), [M-1], eq. (2).

    Parameters
    ----------
    xp : module
        Array namespace.
    power_w : array, [W]
        Transmission power p.
    snr_per_w : array, [1/W]
        h / σ².
    bps_per_nat : float or array without axes, [bit/s per nat/s/Hz]
        B / ln 2.

    Returns
    -------
    array, [bit/s]

    Examples
    --------
    >>> rate_bps(np, np.array([1.0]), np.array([3.0]), bps_per_nat=1e6 / LN2)
    array([2000000.])
    """
    rate = spectral_nats(xp, power_w, snr_per_w)
    rate *= bps_per_nat
    return rate
