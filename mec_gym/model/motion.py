"""What changes from slot to slot whatever is decided: movement, shadowing, fading, [D-1] to [D-4].

Pure functions of the state before and of what was drawn, batch axes first. None of them draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def reflected(position_m: Floats, area_m: Floats) -> tuple[Floats, Floats]:
    """Return positions (..., 2) [m] turned back at the border of the area, and the turns taken.

    The turns are 1 along an axis whose direction stays and -1 where it is reversed.
    """
    folded = np.mod(position_m, 2.0 * area_m)
    back = folded > area_m
    return np.where(back, 2.0 * area_m - folded, folded), np.where(back, -1.0, 1.0)


def gauss_markov(velocity: Floats, mean: Floats, noise: Floats, memory: Floats) -> Floats:
    """Return velocities (..., 2) [m/s] of the next slot, [D-1].

    v' = a v + (1 − a) v̄ + sqrt(1 − a²) w, with the mean velocity v̄, `noise` w of the velocity's
    standard deviation [m/s], and a the `memory` of one slot [1].
    """
    return memory * velocity + (1.0 - memory) * mean + np.sqrt(1.0 - memory**2) * noise


def walk_leg(
    position: Floats, target: Floats, speed: Floats, rest: Floats, seconds: Any
) -> tuple[Floats, Floats]:
    """Return positions (..., 2) [m] after seconds on a leg to `target`, and the rest (...) [s].

    A device at its target rests for what is left of `rest` seconds of pause, [D-2]; the rest that
    comes back is negative where the pause ended that long ago.
    """
    way = target - position
    distance = np.hypot(way[..., 0], way[..., 1])
    needed = distance / speed
    arrived = needed <= seconds
    part = np.where(arrived, 1.0, seconds / np.where(arrived, 1.0, needed))
    after = np.where(arrived[..., None], target, position + part[..., None] * way)
    return after, np.where(arrived, rest - (seconds - needed), rest)


def shadowing_step(shadow_db: Floats, moved_m: Floats, noise: Floats, distance_m: float) -> Floats:
    """Return the shadowing [dB] of links (..., N, M) after devices moved by `moved_m` (..., N) [m].

    S' = ρ S + sqrt(1 − ρ²) w with ρ = exp(−Δ/d), [D-3]; w has the standard deviation of S [dB], and
    d is the `distance_m` after which the correlation has fallen to 1/e.
    """
    kept = np.exp(-moved_m / distance_m)[..., None]
    return np.asarray(kept * shadow_db + np.sqrt(1.0 - kept**2) * noise)


def fading_step(amplitude: NDArray[np.complex128], noise: Any, correlation: float) -> Any:
    """Return complex Rayleigh amplitudes of unit mean power in the next slot, [D-4].

    g' = ρ g + sqrt(1 − ρ²) e, with `noise` e of unit mean power; l_ij of eq. (3) is |g|².
    """
    return correlation * amplitude + np.sqrt(1.0 - correlation**2) * noise


def gain_of_db(shadow_db: Floats) -> Floats:
    """Return the factor on a gain that decibels stand for."""
    return np.asarray(10.0 ** (shadow_db / 10.0))


def trace_positions(
    samples: Floats, interval_s: float, time_s: float, present: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return positions (N, 2) [m] at a time of cyclic traces (K, N, 2), and who is there (N,).

    Straight lines between two samples; a device that is not `present` (K, N) at the second of them
    stays at the first.
    """
    place = (time_s / interval_s) % len(samples)
    index = int(place) % len(samples)
    after = (index + 1) % len(samples)
    here = samples[index]
    there = np.where((present[index] & present[after])[:, None], samples[after], here)
    return here + (place - int(place)) * (there - here), present[index].copy()
