"""The part of the world that goes on from slot to slot: places, shadowing and correlated fading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.mobility import GaussMarkov, RandomWaypoint, Traces, classes_of
from mec_gym.model.channel import path_gain
from mec_gym.model.layout import Layout
from mec_gym.model.motion import (
    fading_step,
    gain_of_db,
    gauss_markov,
    reflected,
    shadowing_step,
    trace_positions,
    walk_leg,
)
from mec_gym.scenario import Scenario
from mec_gym.validation import refuse_where, state_array

Rngs = Sequence[np.random.Generator]


class Drift:
    """Positions, shadowing and correlated fading of a batch of copies, moved on together.

    A copy's draws follow one order: velocities, shadowing, amplitudes, legs to waypoints, as many
    as its devices set out on. `state` holds
    arrays with the copies in front: all that the future depends on but the generators.
    """

    def __init__(self, scenario: Scenario, n_copies: int) -> None:
        self._scenario = scenario
        self._area = np.array(scenario.area_m)
        self._links = (scenario.n_devices, scenario.n_servers)
        self._correlated = scenario.fading_correlation > 0
        self._traces = scenario.mobility if isinstance(scenario.mobility, Traces) else None
        classes = classes_of(scenario.mobility, scenario.n_devices)
        self._walkers, (self._speed, self._memory, self._spread) = _merged(
            classes, GaussMarkov, ("speed_mps", "memory", "spread")
        )
        self._memory = self._memory**scenario.slot_s
        self._travellers, (self._low, self._high, self._pause) = _merged(
            classes, RandomWaypoint, ("low_mps", "high_mps", "pause_s")
        )
        self.state = {
            name: np.zeros((n_copies, *shape), dtype)
            for name, (shape, dtype) in self._shapes().items()
        }

    def _shapes(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        devices, servers = self._links
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "device_positions_m": ((devices, 2), float),
            "server_positions_m": ((servers, 2), float),
        }
        if self._walkers.size:
            shapes |= dict.fromkeys(("velocity", "mean"), ((self._walkers.size, 2), float))
        if self._travellers.size:
            shapes["target"] = ((self._travellers.size, 2), float)
            shapes |= dict.fromkeys(("speed", "rest"), ((self._travellers.size,), float))
        if self._traces is not None:
            shapes |= {"time_s": ((), float), "present": ((devices,), bool)}
        if self._scenario.shadowing_db:
            shapes["shadow_db"] = (self._links, float)
        if self._correlated:
            shapes["amplitude"] = (self._links, complex)
        return shapes

    def begin(self, rngs: Rngs, copies: Sequence[int], layouts: Sequence[Layout]) -> None:
        """Draw where the episodes of some copies begin, from their layouts."""
        now = self.state
        for copy in copies:
            rng, layout = rngs[copy], layouts[copy]
            now["device_positions_m"][copy] = layout.device_positions_m
            now["server_positions_m"][copy] = layout.server_positions_m
            if self._traces is not None:
                now["time_s"][copy] = rng.random() * self._traces.duration_s
                self._follow(self._traces, copy)
            if self._walkers.size:
                angle = 2.0 * np.pi * rng.random(self._walkers.size)
                heading = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
                now["mean"][copy] = now["velocity"][copy] = self._speed * heading
            if self._travellers.size:
                now["target"][copy], now["speed"][copy] = self._leg(rng)
                now["rest"][copy] = self._pause
            if self._scenario.shadowing_db:
                noise = rng.standard_normal(self._links)
                now["shadow_db"][copy] = self._scenario.shadowing_db * noise
            if self._correlated:
                now["amplitude"][copy] = _circular(rng.standard_normal((*self._links, 2)))

    def advance(self, rngs: Rngs, copies: Sequence[int]) -> None:
        """Move some copies on by one slot."""
        now = self.state
        rows: Any = slice(None) if len(copies) == len(now["device_positions_m"]) else list(copies)
        drawn = self._draws(rngs, copies)
        before = now["device_positions_m"][rows].copy()
        if self._traces is not None:
            now["time_s"][rows] += self._scenario.slot_s
            for copy in copies:
                self._follow(self._traces, copy)
        if self._walkers.size:
            self._walk(rows, drawn["walk"])
        if self._travellers.size:
            self._travel(rows, rngs, copies)
        if self._scenario.shadowing_db:
            way = now["device_positions_m"][rows] - before
            noise = self._scenario.shadowing_db * drawn["shadow"]
            now["shadow_db"][rows] = shadowing_step(
                now["shadow_db"][rows],
                np.hypot(way[..., 0], way[..., 1]),
                noise,
                self._scenario.decorrelation_m,
            )
        if self._correlated:
            now["amplitude"][rows] = fading_step(
                now["amplitude"][rows],
                _circular(drawn["fading"]),
                self._scenario.fading_correlation,
            )

    def _draws(self, rngs: Rngs, copies: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        wanted: dict[str, tuple[int, ...]] = {}
        if self._walkers.size:
            wanted["walk"] = (self._walkers.size, 2)
        if self._scenario.shadowing_db:
            wanted["shadow"] = self._links
        if self._correlated:
            wanted["fading"] = (*self._links, 2)
        drawn = {name: np.empty((len(copies), *shape)) for name, shape in wanted.items()}
        for row, copy in enumerate(copies):
            for values in drawn.values():
                rngs[copy].standard_normal(out=values[row])
        return drawn

    def _walk(self, rows: Any, noise: NDArray[np.float64]) -> None:
        now, who = self.state, self._walkers
        deviation = self._spread * self._speed * noise
        velocity = gauss_markov(now["velocity"][rows], now["mean"][rows], deviation, self._memory)
        positions = now["device_positions_m"][rows]
        positions[:, who], turns = reflected(
            positions[:, who] + self._scenario.slot_s * velocity, self._area
        )
        now["device_positions_m"][rows] = positions
        now["velocity"][rows] = velocity * turns
        now["mean"][rows] = now["mean"][rows] * turns

    def _travel(self, rows: Any, rngs: Rngs, copies: Sequence[int]) -> None:
        """Move travellers for a slot: as many legs as it holds, drawn one after the other."""
        now, who = self.state, self._travellers
        place = now["device_positions_m"][rows][:, who]
        target, speed, rest = (now[name][rows].copy() for name in ("target", "speed", "rest"))
        left = np.full(rest.shape, self._scenario.slot_s)
        going = np.ones(rest.shape, dtype=bool)
        while going.any():
            place[going], rest[going] = walk_leg(
                place[going], target[going], speed[going], rest[going], left[going]
            )
            going = rest < 0.0
            left = np.where(going, -rest, 0.0)
            for row in np.flatnonzero(going.any(axis=-1)).tolist():
                aim, pace = self._leg(rngs[copies[row]])
                target[row] = np.where(going[row][:, None], aim, target[row])
                speed[row] = np.where(going[row], pace, speed[row])
            rest = np.where(going, self._pause, rest)
        positions = now["device_positions_m"][rows]
        positions[:, who] = place
        now["device_positions_m"][rows] = positions
        now["target"][rows], now["speed"][rows], now["rest"][rows] = target, speed, rest

    def _leg(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw a target and a speed for every traveller of a copy."""
        uniform = rng.random((self._travellers.size, 3))
        return uniform[:, :2] * self._area, self._low + (self._high - self._low) * uniform[:, 2]

    def _follow(self, traces: Traces, copy: int) -> None:
        positions, present = trace_positions(
            traces.filled_m, traces.interval_s, self.state["time_s"][copy], traces.present
        )
        self.state["device_positions_m"][copy] = positions
        self.state["present"][copy] = present

    def path_gains(self, copies: Sequence[int]) -> NDArray[np.float64]:
        """Return the gains without fading of some copies, shadowing included: (B, N, M)."""
        now = self.state
        rows: Any = slice(None) if len(copies) == len(now["device_positions_m"]) else list(copies)
        gains = path_gain(
            now["device_positions_m"][rows],
            now["server_positions_m"][rows],
            reference_gain=self._scenario.reference_gain,
            min_distance_m=self._scenario.min_distance_m,
        )
        return gains * gain_of_db(now["shadow_db"][rows]) if "shadow_db" in now else gains

    def fading(self, copies: Sequence[int]) -> NDArray[np.float64]:
        """Return l_ij of eq. (3) of some copies, where it is correlated: (B, N, M)."""
        amplitude = self.state["amplitude"][list(copies)]
        return np.asarray(amplitude.real**2 + amplitude.imag**2)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; ``ValueError`` for one of another shape."""
        arrays = {}
        if not isinstance(state, Mapping):
            raise TypeError(f"state must have drift as a mapping; got {type(state).__name__}.")
        for name, own in self.state.items():
            array = state_array(name, state.get(name), own)
            refuse_where(~np.isfinite(array), f"{name} in state", "must be finite", array)
            arrays[name] = array
        self.state = arrays


def _merged(
    classes: Any, law: type, names: Sequence[str]
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Return the devices of all classes of one kind of law, and their parameters, (n, 1) or (n,).

    Parameters of velocities have an axis for the two directions.
    """
    mine = [(one, devices) for one, devices in classes if isinstance(one, law)]
    devices = np.concatenate([np.empty(0, dtype=np.int64), *(d for _, d in mine)])
    values = [
        np.concatenate([np.empty(0), *(np.full(d.size, getattr(one, name)) for one, d in mine)])
        for name in names
    ]
    return devices, [value[:, None] for value in values] if law is GaussMarkov else values


def _circular(normal: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return circular complex Gaussian numbers of unit mean power from pairs of normal ones."""
    return np.asarray((normal[..., 0] + 1j * normal[..., 1]) * np.sqrt(0.5))
