"""Fields of scenarios: one canonical type for each, checked and hashable, and their file format.

The format is strict JSON with a format name and a version.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mec_gym.files import parsed_object, read_object
from mec_gym.mobility import mobility_as_plain
from mec_gym.sites import read_positions
from mec_gym.validation import (
    real_array,
    refuse_where,
    require_choice,
    require_known,
    require_positive,
    require_unmasked,
)

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
    "slot_s": "s",
    "decorrelation_m": "m",
}
"""Fields that must be positive, with their units."""

PER_DEVICE_FIELDS = (
    "local_frequency_hz",
    "switched_capacitance",
    "power_exponent",
    "max_power_w",
    "weight_latency",
    "weight_energy",
    "migration_s",
    "migration_j",
)
"""Fields that take one number, or one for each device."""

NUMBER_FIELDS = (
    "bandwidth_hz",
    "noise_w",
    "reference_gain",
    "min_distance_m",
    "slot_s",
    "shadowing_db",
    "decorrelation_m",
    "fading_correlation",
)
"""Fields that take one number."""

TASKS = ("data_bits", "cycles")
"""Fields of tasks, which also take a range."""

POSITION_FIELDS = ("device_positions", "server_positions")
"""Fields that take a law's name, pairs, or the path of a table."""


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
    >>> from mec_gym import Scenario
    >>> scenario = Scenario.preset("paper-30x2", cycles=Uniform(5e8, 1.5e9))
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario=scenario, observation="db")
    >>> env.observation_space.shape  # a column of gains for each server, and one of cycles
    (30, 3)
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
    require_unmasked(name, value)
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


def canonical_limit(name: str, value: object) -> int | None:
    """Return a number of slots after which episodes end; None, for None and -1, where they do not.

    -1 is Gymnasium's word for it.
    """
    if value is None or (isinstance(value, numbers.Integral) and value == -1):
        return None
    return canonical_integer(name, value, least=1)


def canonical_entries(
    name: str, value: Any, size: int, size_name: str
) -> float | tuple[float, ...]:
    """Return a field that is one number, or one for each device or server."""
    require_unmasked(name, value)
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
    """Return a task field: a Uniform, one number, or one for each device.

    JSON writes a Uniform as ``{"uniform": [low, high]}``, and the spec of an env as its fields.
    """
    if isinstance(value, Uniform):
        return value
    if isinstance(value, Mapping):
        if set(value) == {"low", "high"}:
            return Uniform(**value)
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
    """Return a field of positions [m]: the name of a law, or pairs inside the area.

    A path, as text one with a dot or a slash, names a CSV table with columns x and y.
    """
    if isinstance(value, str) and value in names:
        return value
    if names_file(value):
        value = read_positions(value)
    if isinstance(value, str):
        require_choice(name, value, (*names, "<file>.csv"))
    array = real_array(name, value)
    if array.shape != (rows, 2):
        raise ValueError(
            f"{name} must be one of {names}, a CSV path, or an array of shape ({rows}, 2) [m]; "
            f"got shape {array.shape}. Places of a preset are for its own number: "
            f"{name}={names[0]!r} finds others."
        )
    slack = 1e-9 * math.hypot(*area_m)
    inside = (array >= -slack) & (array <= np.array(area_m) + slack)
    refuse_where(~inside, name, f"must lie inside the area of {area_m} [m]", array)
    return tuple((float(x), float(y)) for x, y in array)


def names_file(positions: object) -> bool:
    """Return whether positions are given as a path: no law's name has a dot or a slash."""
    return isinstance(positions, os.PathLike) or (
        isinstance(positions, str) and not set(positions).isdisjoint("./\\")
    )


# -- the file format ------------------------------------------------------------------------------

FORMAT = "mec-gym/scenario"
VERSION = 1


def fields_as_json(values: Mapping[str, Any]) -> str:
    """Return canonical fields as JSON."""
    plain = {
        field: {"uniform": [value.low, value.high]} if isinstance(value, Uniform) else value
        for field, value in values.items()
    }
    plain["mobility"] = mobility_as_plain(values["mobility"])
    return json.dumps({"format": FORMAT, "version": VERSION} | plain, indent=1)


def read_fields(source: str | os.PathLike[str], fields: Iterable[str]) -> dict[str, Any]:
    """Return the fields that JSON text (it begins with a bracket), or a file of it, holds.

    Paths in a file are seen from the file's folder.
    """
    text = source.removeprefix("\ufeff").strip() if isinstance(source, str) else "path"
    if not text or text[0] in "{[":
        return checked_fields(parsed_object(text, "scenario JSON"), fields, "scenario JSON")
    values = checked_fields(read_object(source), fields, f"scenario JSON {str(source)!r}")
    for field in POSITION_FIELDS:
        if names_file(values.get(field)):
            values[field] = Path(source).parent / values[field]
    return values


def checked_fields(mapping: Mapping[str, Any], fields: Iterable[str], where: str) -> dict[str, Any]:
    """Return the fields of a mapping, which may name the format and the version."""
    values = dict(mapping)
    kind, version = values.pop("format", FORMAT), values.pop("version", VERSION)
    if kind != FORMAT:
        raise ValueError(f"{where} must have format {FORMAT!r}; got {kind!r}.")
    if version != VERSION or isinstance(version, bool):
        raise ValueError(
            f"{where} has version {version!r}; this release reads version {VERSION}. "
            "Install the mec-gym release that wrote it, or a later one."
        )
    require_known("Scenario field", values, fields)
    missing = [field for field in ("n_devices", "n_servers") if field not in values]
    if missing:
        raise ValueError(f"{where} lacks {' and '.join(missing)}.")
    return values
