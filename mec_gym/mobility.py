"""Laws of movement, as values of a Scenario's `mobility`: what moves how, and where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.validation import (
    real_array,
    refuse_where,
    require_integer,
    require_known,
    require_number,
)

FARTHEST_M = 1e9
"""Largest coordinate of a trace [m]."""


@dataclass(frozen=True)
class GaussMarkov:
    """Velocities that wander around a mean, [D-1]; devices turn back at the area's border.

    Each device has a mean velocity of this speed in a direction that is drawn at the start of an
    episode, and deviates from it by correlated Gaussian noise.

    Attributes
    ----------
    speed_mps : float, [m/s]
        Mean speed.
    memory : float, [1]
        Correlation of the velocity with that of one second before, in [0, 1).
    spread : float, [1]
        Standard deviation of the velocity along each axis, over the mean speed.

    Examples
    --------
    >>> from mec_gym import Scenario
    >>> Scenario.preset("paper-30x2", mobility=GaussMarkov(speed_mps=1.5)).mean_speed_mps[0]
    np.float64(1.5)
    """

    speed_mps: float
    memory: float = 0.85
    spread: float = 0.5

    def __post_init__(self) -> None:
        require_number("GaussMarkov.speed_mps", self.speed_mps, "(0, 1e6]", unit="m/s")
        require_number("GaussMarkov.memory", self.memory, "[0, 1)", unit="1")
        require_number("GaussMarkov.spread", self.spread, "[0, 10]", unit="1")
        _as_floats(self)

    @property
    def mean_speed_mps(self) -> float:
        """The mean speed [m/s]."""
        return self.speed_mps


@dataclass(frozen=True)
class RandomWaypoint:
    """Straight legs to uniformly drawn points, each at a drawn speed, with pauses between, [D-2].

    Attributes
    ----------
    low_mps, high_mps : float, [m/s]
        Range of the speed of a leg; a least speed of 0 has no steady state.
    pause_s : float, [s]
        Stay at the end of each leg.

    Examples
    --------
    >>> RandomWaypoint().mean_speed_mps
    0.5
    """

    low_mps: float = 0.3
    high_mps: float = 0.7
    pause_s: float = 2.0

    def __post_init__(self) -> None:
        for field in ("low_mps", "high_mps"):
            speed = getattr(self, field)
            require_number(f"RandomWaypoint.{field}", speed, "(0, 1e6]", unit="m/s")
        require_number("RandomWaypoint.pause_s", self.pause_s, "[0, 1e9]", unit="s")
        if not self.low_mps <= self.high_mps:
            raise ValueError(
                "RandomWaypoint requires low_mps <= high_mps; "
                f"got low_mps={self.low_mps!r}, high_mps={self.high_mps!r}."
            )
        _as_floats(self)

    @property
    def mean_speed_mps(self) -> float:
        """The middle of the range of speeds [m/s]."""
        return (self.low_mps + self.high_mps) / 2


@dataclass(frozen=True, eq=False)
class Traces:
    """Recorded positions of all devices; an episode begins at a drawn time and follows them.

    Between two samples a device moves in a straight line. Behind the last sample follows the first.
    Where a position is not a number the device is absent: it has no task in that slot.

    Attributes
    ----------
    positions_m : array_like, shape (K, N, 2), [m]
        K samples; NaN for an absent device.
    interval_s : float, [s]
        Time between samples.

    Examples
    --------
    >>> traces = Traces([[[0.0, 0.0]], [[5.0, 0.0]]], interval_s=10)
    >>> traces.n_devices, traces.duration_s
    (1, 20.0)
    """

    positions_m: NDArray[np.float64]
    interval_s: float

    def __post_init__(self) -> None:
        require_number("Traces.interval_s", self.interval_s, "[1e-6, 1e9]", unit="s")
        array = np.array(real_array("Traces.positions_m", self.positions_m))
        if array.ndim != 3 or array.shape[-1] != 2 or array.shape[0] < 2:
            raise ValueError(
                "Traces.positions_m must have shape (samples, devices, 2) [m] with at least 2 "
                f"samples; got shape {array.shape}."
            )
        far = np.abs(array) > FARTHEST_M
        requirement = f"must lie within {FARTHEST_M:g} [m], or be NaN"
        refuse_where(far, "Traces.positions_m", requirement, array)
        array[np.isnan(array).any(-1)] = np.nan
        never = np.isnan(array[..., 0]).all(0)
        if never.any():
            raise ValueError(
                f"Traces.positions_m must have a position of every device; device "
                f"{int(np.argmax(never))} is absent in all {len(array)} samples. Leave it out."
            )
        array.flags.writeable = False
        object.__setattr__(self, "positions_m", array)
        object.__setattr__(self, "interval_s", float(self.interval_s))
        digest = hashlib.sha256(array.tobytes() + repr((array.shape, self.interval_s)).encode())
        object.__setattr__(self, "_digest", digest.hexdigest())

    @property
    def n_devices(self) -> int:
        """N."""
        return int(self.positions_m.shape[1])

    @property
    def duration_s(self) -> float:
        """The time until the traces begin anew [s]."""
        return len(self.positions_m) * self.interval_s

    @cached_property
    def absent(self) -> NDArray[np.bool_]:
        """Which devices are absent at which sample, shape (K, N)."""
        return np.isnan(self.positions_m[..., 0])

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Which are present, shape (K, N)."""
        return ~self.absent

    @cached_property
    def filled_m(self) -> NDArray[np.float64]:
        """The positions (K, N, 2) [m], those of absent devices as they were last."""
        samples = np.arange(len(self.positions_m))[:, None]
        last = np.maximum.accumulate(np.where(self.absent, -1, samples), axis=0)
        # Before its first sample a device stands where it was at its last: traces begin anew.
        last = np.where(last < 0, last[-1], last)
        return np.asarray(self.positions_m[last, np.arange(self.n_devices)])

    @property
    def mean_speed_mps(self) -> NDArray[np.float64]:
        """Mean speed between samples at which a device is present, shape (N,) [m/s]."""
        steps = np.diff(self.positions_m, axis=0)
        way = np.hypot(steps[..., 0], steps[..., 1])
        seen = ~np.isnan(way)
        total = np.where(seen, way, 0.0).sum(axis=0)
        return np.asarray(total / (np.maximum(seen.sum(axis=0), 1) * self.interval_s))

    @cached_property
    def _text(self) -> str:
        """All numbers, x y x y ... by sample: JSON of them is short, and made once."""
        return " ".join(map(repr, self.positions_m.ravel().tolist()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Traces, (self.positions_m, self.interval_s)  # without what is cached

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Traces) and self._digest == other._digest  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._digest)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        samples, devices, _ = self.positions_m.shape
        return f"Traces({samples} samples of {devices} devices, interval_s={self.interval_s!r})"


Law = GaussMarkov | RandomWaypoint | None
"""What devices of one class do; None: they stay where they are."""

Mobility = Law | Traces | tuple[tuple[float, Law], ...]
"""One law for all devices, the traces of all, or classes: pairs of a share and its law."""

_LAWS = {"gauss_markov": GaussMarkov, "random_waypoint": RandomWaypoint}
_KINDS = "None, a GaussMarkov, a RandomWaypoint, Traces, or pairs of a share and one of the first 3"


def canonical_mobility(name: str, value: Any, n_devices: int) -> Mobility:
    """Return the field: a law, traces of as many devices, or classes whose shares sum to 1."""
    if isinstance(value, (list, tuple)):
        return _canonical_classes(name, value)
    law = _law(name, value)
    if isinstance(law, Traces) and law.n_devices != n_devices:
        raise ValueError(
            f"{name} as Traces must hold n_devices={n_devices} devices; got {law.n_devices}."
        )
    return law


def _canonical_classes(name: str, value: Any) -> tuple[tuple[float, Law], ...]:
    classes = []
    for entry in value:
        if not isinstance(entry, (list, tuple)) or len(entry) != 2:
            raise ValueError(f"{name} as classes must be pairs (share, law); got {entry!r}.")
        share, law = entry
        require_number(f"{name}: a share", share, "(0, 1]", unit="1")
        law = _law(name, law)
        if isinstance(law, Traces):
            raise TypeError(f"{name} as Traces is that of all devices, not of a share of them.")
        classes.append((float(share), law))
    total = sum(share for share, _ in classes)
    if abs(total - 1.0) > 1e-9:
        raise ValueError(f"{name} as classes must have shares that sum to 1; got {total:.6g}.")
    return tuple(classes)


def _law(name: str, value: Any) -> Law | Traces:
    if value is None or isinstance(value, (GaussMarkov, RandomWaypoint, Traces)):
        return value
    known = {**_LAWS, "traces": Traces}
    if isinstance(value, Mapping):
        # Specs of envs hold a dataclass as its fields alone.
        bare = [kind for kind, law in known.items() if {f.name for f in fields(law)} == set(value)]
        value = {bare[0]: value} if bare else value
    if isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in known:
        ((kind, arguments),) = value.items()
        law = known[kind]
        if isinstance(arguments, Mapping):
            extra = ["n_devices"] if law is Traces else []
            own = [field.name for field in fields(law)]
            require_known(f"{name} field", arguments, [*own, *extra])
            needed = [field.name for field in fields(law) if field.default is MISSING]
            if lacking := [field for field in needed if field not in arguments]:
                raise ValueError(f"{name} as {kind!r} lacks {', '.join(lacking)}.")
            made: Any = _traces_of_plain if law is Traces else law
            found: Law | Traces = made(**arguments)
            return found
    raise TypeError(f"{name} must be {_KINDS}; got {type(value).__name__} {value!r:.60}.")


def _traces_of_plain(positions_m: Any, interval_s: float, n_devices: int | None = None) -> Traces:
    """Return the traces that JSON holds, as one text of numbers or as nested lists with null."""
    if not isinstance(positions_m, str):
        lists = [[[np.nan] * 2 if p is None else p for p in s] for s in positions_m]
        return Traces(lists, interval_s)  # type: ignore[arg-type]
    require_integer("Traces.n_devices", n_devices, 1)
    try:
        numbers = np.array(positions_m.split(), dtype=np.float64).reshape(-1, n_devices or 1, 2)
    except ValueError as error:
        raise ValueError(
            "Traces.positions_m as text must hold two numbers for each of "
            f"n_devices={n_devices} devices and each sample; {error}."
        ) from None
    return Traces(numbers, interval_s)


def mobility_as_plain(value: Mobility) -> Any:
    """Return the field as JSON holds it."""
    if isinstance(value, tuple):
        return [[share, mobility_as_plain(law)] for share, law in value]
    if isinstance(value, Traces):
        numbers = {"n_devices": value.n_devices, "positions_m": value._text}
        return {"traces": {"interval_s": value.interval_s} | numbers}
    kinds = [kind for kind, law in _LAWS.items() if isinstance(value, law)]
    return {kinds[0]: dict(vars(value))} if kinds else None


def classes_of(mobility: Mobility, n_devices: int) -> tuple[tuple[Law, NDArray[np.int64]], ...]:
    """Return the laws with the devices that follow each, in order of the devices.

    A share of the devices is rounded so that all shares sum to N: the first have theirs rounded
    at the end of a running sum.
    """
    if isinstance(mobility, Traces):
        return ()
    shares = mobility if isinstance(mobility, tuple) else ((1.0, mobility),)
    ends = np.rint(n_devices * np.cumsum([share for share, _ in shares])).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    return tuple(
        (law, np.arange(start, end))
        for (_, law), start, end in zip(shares, starts, ends, strict=True)
    )


def _as_floats(law: Any) -> None:
    for field in fields(law):
        object.__setattr__(law, field.name, float(getattr(law, field.name)))
