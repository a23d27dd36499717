r"""Lévy flight steps by Mantegna's algorithm.

The paper's appendix on Lévy flights is not part of its text; this is the form that codes of the
field use (R. N. Mantegna, Phys. Rev. E 49, 4677, 1994). A step is ``d = u / |v|^(1/β)`` with
u ~ N(0, σ_u²), v ~ N(0, 1) and

    σ_u = [ Γ(1+β) sin(πβ/2) / ( Γ((1+β)/2) β 2^((β−1)/2) ) ]^(1/β).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

_LONGEST = 1e300


def levy_steps(
    rng: np.random.Generator, shape: int | tuple[int, ...], *, beta: float = 1.5
) -> NDArray[np.float64]:
    """Draw Lévy flight steps d, [L-1], the random part of eq. (18): signed, symmetric about 0.

    The stability index β lies in (0, 2), where the formula holds: a small one makes rare, long
    flights, a large one searches locally.
    """
    sigma = mantegna_sigma(beta)
    u = rng.normal(0.0, sigma, shape)
    v = np.abs(rng.standard_normal(shape))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        steps = u / v ** (1.0 / beta)
    # For small β single steps leave the range of numbers; no search tells 1e300 from more.
    return np.asarray(np.clip(steps, -_LONGEST, _LONGEST))


def mantegna_sigma(beta: float) -> float:
    """Return σ_u, 1 in the limit β → 1; ``ValueError`` for β outside (0, 2)."""
    if not 0.0 < beta < 2.0:
        raise ValueError(f"beta must lie strictly between 0 and 2 [1]; got {beta!r}.")
    top = math.gamma(1.0 + beta) * math.sin(math.pi * beta / 2.0)
    bottom = math.gamma((1.0 + beta) / 2.0) * beta * 2.0 ** ((beta - 1.0) / 2.0)
    try:
        return float((top / bottom) ** (1.0 / beta))
    except OverflowError:
        raise ValueError(f"beta={beta!r} is so small that its steps overflow.") from None


class LevyTail:
    r"""P(\|d\| > x) of a Lévy step, [L-3], for searches that only compare steps with thresholds.

    Algorithm 4, line 3, uses its steps for nothing else: drawing γ\|d\| > x by its
    probability takes one uniform number and a look into a table, not two normal numbers and a
    power. P(\|d\| > x) = E_v[erfc(x v^(1/β) / (σ_u √2))] over a half-normal v, by quadrature at
    2,048 places of ln x and linear between them: within 2e-4 of the law of :func:`levy_steps`.
    `signed` is P(d > x) instead: half of it, as the steps are symmetric about 0.
    """

    def __init__(self, beta: float, *, signed: bool = False) -> None:
        mantegna_sigma(beta)  # refuses what the steps refuse
        self.beta = beta
        # |d| spreads over more decades the smaller β is.
        self._start = math.log(1e-6) / min(1.0, beta)
        self._per_neper = (_PLACES - 1) / (math.log(1e8) / min(1.0, beta) - self._start)
        table, rise = _tail_table(beta, self._start, self._per_neper)
        share = np.float32(0.5 if signed else 1.0)
        self._table, self._rise = table * share, rise * share

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability for x > 0 of any shape."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.of_log(np.log(x, dtype=np.float64)))

    def of_log(self, log_x: NDArray[Any]) -> NDArray[Any]:
        """Return the probability where ln x is at hand, in its shape and dtype."""
        place = np.asarray((log_x - self._start) * self._per_neper)
        np.maximum(place, 0.0, out=place)  # np.clip costs more where there are few
        np.minimum(place, _PLACES - 1.0, out=place)
        left = place.astype(np.intp)
        # Of `log_x`'s dtype: with the integers as they are NumPy would compute in double precision.
        part = place - left.astype(place.dtype)
        part *= self._rise.take(left)
        part += self._table.take(left)
        return part


_PLACES = 2048


@lru_cache
def _tail_table(
    beta: float, start: float, per_neper: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``P(|d| > x)`` at the places, and by how much the next place's is more."""
    sigma = mantegna_sigma(beta)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # v = 9 t³ puts nodes where a small v makes a long step.
    t = (nodes + 1.0) / 2.0
    v = 9.0 * t**3
    weights = weights * t**2 * np.exp(-(v**2) / 2.0)
    weights /= weights.sum()
    x = np.exp(start + np.arange(_PLACES) / per_neper)
    table = special.erfc(x[:, None] * v ** (1.0 / beta) / (sigma * math.sqrt(2.0))) @ weights
    table[0], table[-1] = 1.0, 0.0
    # In single precision: its rounding is far below the interpolation's error.
    places = table.astype(np.float32)
    return places, np.diff(places, append=places[-1:])
