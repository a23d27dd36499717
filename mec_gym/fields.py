"""Canonical forms of scenario fields: one type for each, checked, hashable, ready for JSON."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from mec_gym.sites import read_positions
from mec_gym.validation import real_array, require_choice, require_positive

PerDevice = float | tuple[float, ...]
PerServer = float | tuple[float, ...]
Positions = str | tuple[tuple[float, float], ...]

POSITIVE_UNITS: Mapping[str, str] = {
    "bandwidth_hz": "Hz",
    "noise_w": "W",
    "reference_gain": "1",
    "min_distance_m": "m",
    "local_frequency_hz": "cycle/s",
    "switched_capacitance": "W s^v / cycle^v",
    "max_power_w": "W",
    "server_frequency_hz": "cycle/s",
}
"""Fields that must be positive, with their units."""

PER_DEVICE_FIELDS = (
    "local_frequency_hz",
    "switched_capacitance",
    "power_exponent",
    "max_power_w",
    "weight_latency",
    "weight_energy",
)
"""Fields that take one number, or one for each device."""


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A range from which a task parameter is drawn, per device and slot.

    Attributes
    ----------
    low, high : float
        Ends of the range; 0 < low < high.

    Raises
    ------
    ValueError
        If the ends are not positive, finite and in this order.

    Examples
    --------
    >>> Uniform(4e5, 1.2e6).high
    1200000.0
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for end in ("low", "high"):
            number = canonical_number(f"Uniform.{end}", getattr(self, end))
            require_positive(f"Uniform.{end}", number, unit="unit of the field")
            object.__setattr__(self, end, number)
        if not self.low < self.high:
            raise ValueError(
                f"Uniform requires low < high; got low={self.low!r}, high={self.high!r}."
            )


def canonical_number(name: str, value: object) -> float:
    """Return a field that is one number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {type(value).__name__} {value!r}.")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be within [-1e30, 1e30]; got a larger int.") from None


def canonical_integer(name: str, value: object, *, least: int) -> int:
    """Return a field that is a whole number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an int; got {type(value).__name__} {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be >= {least}; got {int(value)}.")
    return int(value)


def canonical_entries(
    name: str, value: Any, size: int, size_name: str
) -> float | tuple[float, ...]:
    """Return a field that is one number, or one for each device or server."""
    if isinstance(value, numbers.Real) or np.ndim(value) == 0:
        return canonical_number(name, value)
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.shape != (size,) or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be one number or {size} numbers ({size_name}={size}); "
            f"got shape {array.shape} of {array.dtype}."
        )
    return tuple(float(entry) for entry in array)


def canonical_task(name: str, value: Any, size: int) -> float | tuple[float, ...] | Uniform:
    """Return a task field: a Uniform, one number, or one for each device."""
    if isinstance(value, Uniform):
        return value
    if isinstance(value, Mapping):
        ends = value.get("uniform")
        if set(value) != {"uniform"} or not isinstance(ends, (list, tuple)) or len(ends) != 2:
            raise ValueError(
                f'{name} as a mapping must be {{"uniform": [low, high]}}; got {value}.'
            )
        return Uniform(*ends)
    try:
        return canonical_entries(name, value, size, "n_devices")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} A range is mec_gym.Uniform(low, high).") from None


def canonical_area(name: str, value: Any) -> tuple[float, float]:
    """Return a field that is a width and a height."""
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        raise ValueError(f"{name} must be (width, height) [m]; got {value!r}.")
    width, height = (canonical_number(name, side) for side in value)
    return (width, height)


def canonical_positions(
    name: str, value: Any, names: tuple[str, ...], rows: int, area_m: tuple[float, float]
) -> Positions:
    """Return a field of positions: the name of a law, or pairs inside the area."""
    if isinstance(value, str) and value in names:
        return value
    if isinstance(value, os.PathLike) or (isinstance(value, str) and value.endswith(".csv")):
        value = read_positions(value)
    if isinstance(value, str):
        require_choice(name, value, (*names, "<file>.csv"))
    array = real_array(name, value)
    if array.shape != (rows, 2):
        raise ValueError(
            f"{name} must be one of {names}, a CSV path, or an array of shape ({rows}, 2) [m]; "
            f"got shape {array.shape}."
        )
    slack = 1e-9 * math.hypot(*area_m)
    inside = (array >= -slack) & (array <= np.array(area_m) + slack)
    if not inside.all():
        row, column = (int(i) for i in np.argwhere(~inside)[0])
        raise ValueError(
            f"{name} must lie inside the area of {area_m} [m]; "
            f"got {float(array[row, column])!r} at index ({row}, {column})."
        )
    return tuple((float(x), float(y)) for x, y in array)
