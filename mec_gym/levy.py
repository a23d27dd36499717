r"""Lévy flight steps by Mantegna's algorithm.

The paper's appendix on Lévy flights is not part of its text; this is the form that codes of the
field use. A step is d = u / |v|^(1/β) with u ~ N(0, σ_u²), v ~ N(0, 1) and

    σ_u = [ Γ(1+β) sin(πβ/2) / ( Γ((1+β)/2) β 2^((β−1)/2) ) ]^(1/β).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_LONGEST = 1e300


def levy_steps(
    rng: np.random.Generator, shape: int | tuple[int, ...], *, beta: float = 1.5
) -> NDArray[np.float64]:
    r"""Draw Lévy flight steps d, [L-1], the random part of eq. (18).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; two normal draws a step.
    shape : int or tuple of int
        Shape of the result.
    beta : float, [1]
        Stability index β; 0 < β < 2. Small: rare, long flights. Large: local search.

    Returns
    -------
    ndarray, shape `shape`, [1]
        Signed steps, symmetric about 0.

    Raises
    ------
    ValueError
        If `beta` is outside (0, 2), where the formula does not hold.

    References
    ----------
    R. N. Mantegna, "Fast, accurate algorithm for numerical simulation of Lévy stable stochastic
    processes", Phys. Rev. E 49, 4677 (1994).

    Examples
    --------
    >>> levy_steps(np.random.default_rng(0), 3).shape
    (3,)
    """
    sigma = mantegna_sigma(beta)
    u = rng.normal(0.0, sigma, shape)
    v = np.abs(rng.standard_normal(shape))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        steps = u / v ** (1.0 / beta)
    # For small β single steps leave the range of numbers; no search tells 1e300 from more.
    return np.asarray(np.clip(steps, -_LONGEST, _LONGEST))


def mantegna_sigma(beta: float) -> float:
    """Return the standard deviation σ_u of Mantegna's numerator.

    Parameters
    ----------
    beta : float, [1]
        Stability index; 0 < β < 2.

    Returns
    -------
    float
        σ_u; it is 1 in the limit β → 1.

    Raises
    ------
    ValueError
        If `beta` is outside (0, 2).

    Examples
    --------
    >>> mantegna_sigma(1.0)
    1.0
    """
    if not 0.0 < beta < 2.0:
        raise ValueError(f"beta must lie strictly between 0 and 2 [1]; got {beta!r}.")
    top = math.gamma(1.0 + beta) * math.sin(math.pi * beta / 2.0)
    bottom = math.gamma((1.0 + beta) / 2.0) * beta * 2.0 ** ((beta - 1.0) / 2.0)
    try:
        return float((top / bottom) ** (1.0 / beta))
    except OverflowError:
        raise ValueError(f"beta={beta!r} is so small that its steps overflow.") from None
