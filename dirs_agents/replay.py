"""The replay buffer of Section IV-C: demonstrations kept, prioritised sampling by eq. (15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mec_gym.validation import require_integer, require_number

_ARRAYS = ("observations", "assignments", "change", "loss")


class Batch(NamedTuple):
    """Samples for one gradient step: K pairs, where they lie, which are demonstrations."""

    places: NDArray[np.int64]
    observations: NDArray[np.float32]
    assignments: NDArray[np.int64]
    demonstrated: NDArray[np.bool_]


class PrioritisedReplay:
    r"""Pairs {h, a*}, sampled with P_i = w_i^τ / Σ w_k^τ, w_i = \|Δδ_i\| + ε, eq. (15).

    The replay buffer of Algorithm 1, line 2. Δδ_i is by how much the agents' average loss on pair
    i changed between its last two visits; before that it counts as the largest seen when the pair
    was added, so that new pairs are soon visited. Demonstrations come first and are never
    overwritten; the agents' own pairs fill the rest as a ring.

    Parameters
    ----------
    capacity, observation_shape, n_devices, n_servers : int, tuple of int, int, int
        Pairs in all, the shape of one observation, N and M.
    exponent : float, [1]
        τ; 0 samples uniformly. The paper does not print it.
    agent_constant, demonstration_constant : float, [nat]
        ε_A and ε_D.

    Examples
    --------
    >>> replay = PrioritisedReplay(4, (2, 1), n_devices=2, n_servers=1)
    >>> replay.add(np.zeros((1, 2, 1)), np.array([[1, 0]]), demonstrated=True)
    >>> replay.sample(3, np.random.default_rng(0)).assignments.shape
    (3, 2)
    """

    def __init__(
        self,
        capacity: int,
        observation_shape: tuple[int, ...],
        *,
        n_devices: int,
        n_servers: int,
        exponent: float = 0.6,
        agent_constant: float = 0.08,
        demonstration_constant: float = 0.02,
    ) -> None:
        require_integer("capacity", capacity, 1)
        require_number("exponent", exponent, "[0, inf)")
        require_number("agent_constant", agent_constant, "(0, inf)", unit="nat")
        require_number("demonstration_constant", demonstration_constant, "(0, inf)", unit="nat")
        self.capacity, self.exponent = capacity, exponent
        self._constants = (agent_constant, demonstration_constant)
        small = np.uint8 if n_servers < 256 else np.uint16 if n_servers < 65536 else np.uint32
        self._observations = np.zeros((capacity, *observation_shape), dtype=np.float32)
        self._assignments = np.zeros((capacity, n_devices), dtype=small)
        self._change = np.zeros(capacity)
        self._loss = np.full(capacity, np.nan)
        self._largest = 1.0
        self.n_demonstrations = 0
        self.size = 0
        self._next = 0

    def add(
        self,
        observations: NDArray[Any],
        assignments: NDArray[np.int64],
        *,
        demonstrated: bool = False,
    ) -> None:
        """Append B pairs: Algorithm 1, line 4, and Algorithm 3, line 3; demonstrations first."""
        count = len(observations)
        if demonstrated:
            if self.size > self.n_demonstrations:
                raise ValueError("demonstrations must be added before the agents' own pairs.")
            if self.size + count > self.capacity:
                raise ValueError(
                    f"buffer_size must hold the demonstrations; got {self.capacity} for "
                    f"{self.size + count} demonstrations."
                )
            places = np.arange(self.size, self.size + count)
            self.n_demonstrations = self.size = self._next = self.size + count
        elif self.n_demonstrations == self.capacity:
            return
        else:
            room = self.capacity - self.n_demonstrations
            first = self._next - self.n_demonstrations
            places = self.n_demonstrations + (first + np.arange(count)) % room
            self._next = int(self.n_demonstrations + (first + count) % room)
            self.size = min(self.capacity, self.size + count)
        self._observations[places] = observations
        self._assignments[places] = assignments
        self._change[places] = self._largest
        self._loss[places] = np.nan

    def weights(self) -> NDArray[np.float64]:
        """Return ``w_i = |Δδ_i| + ε`` of eq. (15)."""
        constants = np.full(self.size, self._constants[0])
        constants[: self.n_demonstrations] = self._constants[1]
        return np.asarray(self._change[: self.size] + constants)

    def probabilities(self) -> NDArray[np.float64]:
        """Return P_i of eq. (15)."""
        raised = self.weights() ** self.exponent
        return np.asarray(raised / raised.sum())

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw K + S pairs, with replacement: Algorithm 2, line 4; Algorithm 3, lines 4 and 5."""
        if not self.size:
            raise ValueError("the replay buffer is empty: add pairs before sampling.")
        edges = np.cumsum(self.probabilities())
        places = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
        places = np.minimum(places, self.size - 1)
        return Batch(
            places=places,
            observations=self._observations[places],
            assignments=self._assignments[places].astype(np.int64),
            demonstrated=places < self.n_demonstrations,
        )

    def update(self, places: NDArray[np.int64], losses: NDArray[Any]) -> None:
        """Note the agents' average losses [nat] on pairs just visited, and from them Δδ."""
        places, first = np.unique(places, return_index=True)
        losses = np.asarray(losses, dtype=np.float64)[first]
        change = np.abs(losses - self._loss[places])
        seen = ~np.isnan(change)
        self._change[places[seen]] = change[seen]
        self._loss[places] = losses
        if seen.any():
            self._largest = max(self._largest, float(change[seen].max()))

    def get_state(self) -> dict[str, Any]:
        """Return all of it, for an exact continuation."""
        filled = {name: getattr(self, f"_{name}")[: self.size].copy() for name in _ARRAYS}
        numbers = {"largest": self._largest, "n_demonstrations": self.n_demonstrations}
        return filled | numbers | {"next": self._next}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; ``ValueError`` for one of other pairs, and nothing is changed."""
        size = len(state["loss"])
        for name in _ARRAYS:
            room = getattr(self, f"_{name}")
            if size > self.capacity or state[name].shape != (size, *room.shape[1:]):
                raise ValueError(
                    f"the state holds {size} pairs with {name} of shape {state[name].shape}; the "
                    f"buffer has room for {self.capacity}, with {name} of shape {room.shape}."
                )
        numbers = float(state["largest"]), int(state["n_demonstrations"]), int(state["next"])
        for name in _ARRAYS:
            getattr(self, f"_{name}")[:size] = state[name]
        self._largest, self.n_demonstrations, self._next = numbers
        self.size = size
        if size < self.capacity:  # a larger buffer goes on behind what it was given
            self._next = size
