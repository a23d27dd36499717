"""Episode: the path of a whole episode, drawn ahead, kept, and shown again."""

from __future__ import annotations

import dataclasses
import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.files import replacing
from mec_gym.model.layout import Layout
from mec_gym.model.slot import Slot
from mec_gym.model.world import World
from mec_gym.scenario import Scenario
from mec_gym.validation import plain_seed, require_integer

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """All that is random in an episode, and no decision changes: its path.

    Of :func:`episode`, or of :meth:`load`. Every env with this scenario and seed shows the same.

    Attributes
    ----------
    scenario : Scenario
        Its scenario.
    gains : ndarray, shape (T, N, M), [1]
        h_ij in which the decision of each slot is priced.
    seen_gains : ndarray, shape (T, N, M), [1]
        h_ij that a decision sees: `gains` unless the scenario's `csi_delay_slots` make them older.
    data_bits : ndarray, shape (T, N), [bit]
        D_i.
    cycles : ndarray, shape (T, N), [cycle]
        F_i.
    device_positions_m : ndarray, shape (T, N, 2), [m]
        (x_i, y_i).
    server_positions_m : ndarray, shape (M, 2), [m]
        (X_j, Y_j).
    path_gains : ndarray, shape (T, N, M), [1]
        Gains without fading, shadowing included.

    Examples
    --------
    >>> path = episode("paper-30x2", seed=0, n_slots=5)
    >>> path.gains.shape, path.slots.batch_shape
    ((5, 30, 2), (5,))
    """

    scenario: Scenario
    gains: Floats
    seen_gains: Floats
    data_bits: Floats
    cycles: Floats
    device_positions_m: Floats
    server_positions_m: Floats
    path_gains: Floats

    @property
    def n_slots(self) -> int:
        """T."""
        return len(self.gains)

    @property
    def slots(self) -> Slot:
        """The slots as they are priced, batch shape (T,); hosts are what a policy leaves."""
        return Slot.trusted(self.gains, self.data_bits, self.cycles)

    @property
    def seen(self) -> Slot:
        """The slots as decisions see them, batch shape (T,)."""
        return Slot.trusted(self.seen_gains, self.data_bits, self.cycles)

    def layout(self, time: int) -> Layout:
        """Return where everybody is in a slot."""
        return Layout(self.device_positions_m[time], self.server_positions_m, self.path_gains[time])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the episode to a file, a NumPy archive without pickle, whole or not at all."""
        target = Path(path)
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with replacing(target) as draft, draft.open("wb") as file:
            text = np.array(self.scenario.to_json())
            np.savez_compressed(file, allow_pickle=False, scenario=text, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Episode:
        """Return the episode of a file that :meth:`save` wrote.

        ``ValueError`` for a file of something else, ``FileNotFoundError`` for none.

        Examples
        --------
        >>> import tempfile
        >>> path = episode("paper-30x2", seed=0, n_slots=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path.save(f"{folder}/path.npz")
        ...     again = Episode.load(f"{folder}/path.npz")
        >>> bool((again.gains == path.gains).all())
        True
        """
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as archive:
                scenario = Scenario.from_json(str(archive["scenario"]))
                arrays = {name: np.array(archive[name], dtype=np.float64) for name in _ARRAYS}
        except FileNotFoundError:
            raise
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
            *(KeyError, TypeError, AttributeError, ValueError, OSError),
        ) as error:
            raise ValueError(
                f"{str(path)!r} must be an episode that Episode.save wrote; {error}."
            ) from None
        made = cls(scenario, **arrays)
        made._check(str(path))
        return made

    def _check(self, where: str) -> None:
        """Raise ``ValueError`` unless shapes and values are those of the scenario's episodes."""
        n, m, slots = self.scenario.n_devices, self.scenario.n_servers, len(self.gains)
        for name, inner in _ARRAYS.items():
            shape = tuple({"T": slots, "N": n, "M": m, "2": 2}[axis] for axis in inner)
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(
                    f"{where}: {name} must be finite, of shape {shape}; got shape {array.shape}."
                )
        if not slots:
            raise ValueError(f"{where}: must hold at least one slot; got none.")
        for gains in (self.gains, self.seen_gains, self.path_gains):
            Slot(gains, self.data_bits, self.cycles)


_ARRAYS = {
    "gains": "TNM",
    "seen_gains": "TNM",
    "data_bits": "TN",
    "cycles": "TN",
    "device_positions_m": "TN2",
    "server_positions_m": "M2",
    "path_gains": "TNM",
}


def episode(scenario: Any, seed: int | None = None, n_slots: int = 100) -> Episode:
    """Return the path of an episode, which the env with this seed shows after its first reset.

    Parameters
    ----------
    scenario : Scenario, str, path or mapping
        As for the env.
    seed : int, optional
        Of ``env.reset(seed=seed)``; None: another path at every call.
    n_slots : int
        T.

    Raises
    ------
    TypeError, ValueError
        For no scenario, or fewer than one slot.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> _ = env.reset(seed=7)
    >>> bool((env.unwrapped.slot.gains == episode("paper-30x2", seed=7).gains[0]).all())
    True
    """
    return episodes(scenario, [seed], n_slots)[0]


def episodes(scenario: Any, seeds: Sequence[int | None], n_slots: int = 100) -> tuple[Episode, ...]:
    """Return :func:`episode` of each of several seeds, drawn together."""
    resolved = Scenario.resolve(scenario)
    require_integer("n_slots", n_slots, 1)
    rngs = [np.random.default_rng(plain_seed(seed)) for seed in seeds]
    world = World(resolved, len(rngs))
    world.reset(rngs)
    rows: list[tuple[Floats, ...]] = []
    for time in range(n_slots):
        if time:
            world.advance(rngs)
        slot, seen = world.slot, world.seen
        assert slot is not None
        assert seen is not None
        layouts = [world.layout(copy) for copy in range(len(rngs))]
        positions = np.stack([layout.device_positions_m for layout in layouts])
        links = np.stack([layout.path_gains for layout in layouts])
        rows.append((slot.gains, seen.gains, slot.data_bits, slot.cycles, positions, links))
    names = [name for name in _ARRAYS if name != "server_positions_m"]
    drawn = [np.stack(parts, axis=1) for parts in zip(*rows, strict=True)]
    return tuple(
        Episode(
            resolved,
            server_positions_m=world.layout(index).server_positions_m.copy(),
            **{name: part[index] for name, part in zip(names, drawn, strict=True)},
        )
        for index in range(len(rngs))
    )


class Recorded:
    """A world that shows recorded episodes, one per copy, in place of drawing: see `World`.

    Behind its last slot an episode stays there; `over` says so.
    """

    def __init__(self, recorded: Sequence[Episode], n_copies: int | None = None) -> None:
        self.n_copies = 1 if n_copies is None else n_copies
        self._single = n_copies is None
        self._episodes = tuple(recorded)
        self._time = np.full(self.n_copies, -1, dtype=np.int64)

    def reset(self, _rngs: Any = None, copies: Sequence[int] | None = None) -> None:
        """Begin the episodes of `copies` again, all by default."""
        self._time[slice(None) if copies is None else list(copies)] = 0

    def advance(self, _rngs: Any = None, copies: Sequence[int] | None = None) -> None:
        """Go on by one slot."""
        self._time[slice(None) if copies is None else list(copies)] += 1

    @property
    def over(self) -> NDArray[np.bool_]:
        """Which copies have passed their last slot, shape (B,)."""
        return np.array(
            [
                time >= one.n_slots
                for time, one in zip(self._time.tolist(), self._episodes, strict=True)
            ]
        )

    def _slot(self, gains: str) -> Slot | None:
        if (self._time < 0).any():
            return None
        now = [
            (one, min(time, one.n_slots - 1))
            for time, one in zip(self._time.tolist(), self._episodes, strict=True)
        ]
        fields = [
            [getattr(one, name)[time] for one, time in now]
            for name in (gains, "data_bits", "cycles")
        ]
        return Slot.trusted(*(f[0].copy() if self._single else np.stack(f) for f in fields))

    @property
    def slot(self) -> Slot | None:
        """The current slots."""
        return self._slot("gains")

    @property
    def seen(self) -> Slot | None:
        """The current slots as decisions see them."""
        return self._slot("seen_gains")

    def layout(self, copy: int = 0) -> Layout:
        """Return the layout of a copy in the current slot."""
        one = self._episodes[copy]
        return one.layout(min(max(int(self._time[copy]), 0), one.n_slots - 1))

    def layouts(self) -> Layout:
        """Return the layouts of all copies in the current slot, with an axis in front."""
        now = [self.layout(copy) for copy in range(self.n_copies)]
        return Layout(
            np.stack([one.device_positions_m for one in now]),
            np.stack([one.server_positions_m for one in now]),
            np.stack([one.path_gains for one in now]),
        )

    def get_state(self) -> dict[str, Any]:
        """Return the episodes, and how far they are."""
        slot = self.slot
        shown = None if slot is None else {"gains": np.array(slot.gains)}
        return {"slot": shown, "recorded": (self._episodes, self._time.copy())}

    def set_times(self, times: Any) -> None:
        """Go to a slot of each copy's episode, (B,) integers; ``ValueError`` for anything else."""
        array = np.array(times)
        if array.dtype.kind != "i" or array.shape != (self.n_copies,) or (array < -1).any():
            raise ValueError(
                f"state must have the number of a slot for each of {self.n_copies} copies, -1 "
                f"before the first reset; got {times!r:.60}."
            )
        self._time = array.astype(np.int64)
