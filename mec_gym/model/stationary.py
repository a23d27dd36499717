r"""The transmit power that the stationary condition x e^x − (e^x − 1) = k stands for [A-4].

x = 1 + W0((k − 1)/e) with Lambert's W. SciPy's ``lambertw`` is complex-valued, loses digits near
its branch point, which is where weak links are, and knows no tensors. What [A-3] needs of x is
u = (e^x − 1)/k: as k = φ_T g / φ_E, the power (e^x − 1)/g is u φ_T / φ_E. Here u v is a piecewise
polynomial in v = sqrt(ln(1 + k)), a variable that reaches no further than 17 and in which u v
varies slowly, from sqrt(2) at k = 0 to 0.06 at k = 1e121. The polynomials are fitted on first use
to a solution by iteration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.model.arrays import Array, like, namespace_of

PIECES_PER_UNIT = 1024
LARGEST_V = 17
DEGREE = 3
"""Small pieces of low degree cost the least time; the error is that of rounding, below 3e-15."""
_LOWER_POWERS = tuple(range(1, DEGREE + 1))


def stationary_power(ratio: Array) -> Array:
    """Return (e^x − 1)/k for the x > 0 that solves x e^x − (e^x − 1) = k, [A-4].

    k = φ_T g / φ_E, 0 < k <= 1e121, at least one axis; times φ_T / φ_E the result is the stationary
    power. Within 3e-15 relative in double precision.
    """
    xp = namespace_of(ratio)
    if xp is not np and xp.finfo(ratio.dtype).max < 1e121:
        # In single precision a ratio may overflow; a power limit clips what it stands for.
        ratio = xp.clip(ratio, max=1e37)
    pieces, table = _table(ratio)
    v = xp.sqrt(xp.log1p(ratio))
    place = v * pieces
    if xp is np:
        piece = place.astype(np.intp)
        coefficients = table.take(piece, axis=1)
    else:
        piece = xp.astype(place, xp.int64)
        coefficients = xp.take(table, xp.reshape(piece, (-1,)), axis=1)
        coefficients = xp.reshape(coefficients, (-1, *piece.shape))
    place -= piece
    value = coefficients[0]
    for power in _LOWER_POWERS:
        value *= place
        value += coefficients[power]
    value /= v
    return value


_TABLES: dict[tuple[Any, Any], tuple[Array, ...]] = {}


def _table(reference: Array) -> tuple[Array, ...]:
    """Return pieces per unit and the coefficients of all pieces, in the kind of `reference`."""
    device = None if isinstance(reference, np.ndarray) else reference.device
    table = _TABLES.get((reference.dtype, device))
    if table is None:
        # NumPy meets an array without axes faster than a Python float.
        table = tuple(like(reference, part) for part in (float(PIECES_PER_UNIT), _fitted()))
        _TABLES[reference.dtype, device] = table
    return table


def _fitted() -> NDArray[np.float64]:
    """Return the coefficients of each piece, highest power first, shape (DEGREE + 1, pieces)."""
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    v = (np.arange(LARGEST_V * PIECES_PER_UNIT)[:, None] + nodes) / PIECES_PER_UNIT
    k = np.expm1(v**2)
    x = solved_by_iteration(k)
    # Far up, e^x would multiply the rounding of x; there the equation itself gives e^x − 1.
    large = x > 2.0
    power = np.where(large, (1.0 - x / k) / np.where(large, x - 1.0, 1.0), 0.0)
    power[~large] = np.expm1(x[~large]) / k[~large]
    return np.asarray(np.linalg.solve(np.vander(nodes), (power * v).T), dtype=np.float64)


def solved_by_iteration(k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve x e^x − (e^x − 1) = k, 0 < k <= 1e121, slowly: all that the table rests on.

    Newton's method on G(x) = x + ln(q/k), q = x + e^-x − 1, G' = 1 − (e^-x − 1)/q: the equation's
    logarithm, concave, and free of overflow. Below k = 4.5e-4 q cancels; there the series of W0
    about its branch point (Corless et al., "On the Lambert W function", Adv. Comput. Math. 5, 1996)
    is exact to 1e-15 with ten terms.
    """
    small = k < 4.5e-4
    root = np.sqrt(2.0 * np.where(small, k, 0.0))
    series = root * np.polynomial.polynomial.polyval(root, _branch_series(10))
    k = np.where(small, 1.0, k)
    x = 1.5 * np.log1p(np.sqrt(k))
    for _ in range(8):
        m = np.expm1(-x)
        q = x + m
        x = x - (x + np.log(q / k)) * q / (q - m)
    return np.where(small, series, x)


def _branch_series(terms: int) -> list[float]:
    """Return the coefficients of 1 + W0((k-1)/e) in powers of sqrt(2k), from the first power."""
    mu, alpha = [-1.0, 1.0], [2.0, -1.0]
    for k in range(2, terms + 1):
        alpha.append(sum(mu[j] * mu[k + 1 - j] for j in range(2, k)))
        ratio = (k - 1) / (k + 1)
        mu.append(ratio * (mu[k - 2] / 2 + alpha[k - 2] / 4) - alpha[k] / 2 - mu[k - 1] / (k + 1))
    return mu[1:]
