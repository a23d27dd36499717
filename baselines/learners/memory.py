"""The last slots of a training, to learn from them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Memory:
    """The last slots, in a ring: arrays with a row for each; `row` says what one looks like."""

    def __init__(self, capacity: int, **row: Array) -> None:
        self._arrays = {
            name: np.zeros((capacity, *one.shape), dtype=one.dtype) for name, one in row.items()
        }
        self.capacity, self.added = capacity, 0

    @property
    def size(self) -> int:
        """How many slots there are."""
        return min(self.added, self.capacity)

    def add(self, **rows: Array) -> None:
        """Keep B slots in place of the oldest."""
        count = len(next(iter(rows.values())))
        places = (self.added + np.arange(count)) % self.capacity
        for name, values in rows.items():
            self._arrays[name][places] = values
        self.added += count

    def sample(self, count: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draw slots, with replacement."""
        places = rng.integers(self.size, size=count)
        return {name: array[places] for name, array in self._arrays.items()}

    def get_state(self) -> dict[str, Any]:
        """Return all of it, for an exact continuation."""
        held = {name: array[: self.size].copy() for name, array in self._arrays.items()}
        return held | {"added": self.added}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; ``ValueError`` where there is no room for its slots."""
        size = len(state[next(iter(self._arrays))])
        if size > self.capacity:
            raise ValueError(f"buffer_size must hold the file's {size} slots; got {self.capacity}.")
        for name, array in self._arrays.items():
            array[:size] = state[name]
        # A ring of another size goes on behind what it was given.
        self.added = int(state["added"]) if size == self.capacity else size
