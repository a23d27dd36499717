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
    """Return the gain of every link without fading, (..., N, M), [M-2], eq. (3) with l_ij = 1.

    β0 / ((X_j − x_i)² + (Y_j − y_i)²), from positions (..., N, 2) and (..., M, 2) [m]; β0 is the
    gain at 1 m, and no distance counts as less than `min_distance_m`.
    """
    # Axis by axis: half of the time of sums over pairs, the same bits.
    squared = device_positions_m[..., :, None, 0] - server_positions_m[..., None, :, 0]
    squared *= squared
    north = device_positions_m[..., :, None, 1] - server_positions_m[..., None, :, 1]
    north *= north
    squared += north
    np.maximum(squared, min_distance_m**2, out=squared)
    return np.asarray(reference_gain / squared)


def rate_bps(xp: Any, power_w: Array, snr_per_w: Array, *, bps_per_nat: Any) -> Array:
    """Return the offloading rate r = B log2(1 + p h / σ²) [bit/s], [M-1], eq. (2).

    p [W], h / σ² [1/W]; `bps_per_nat` is B / ln 2.
    """
    rate = xp.log1p(power_w * snr_per_w)  # exact for the weakest links
    rate *= bps_per_nat
    return rate
