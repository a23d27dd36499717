"""Slot: all that changes from slot to slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mec_gym.model.arrays import Array, as_numpy, like, namespace_of
from mec_gym.validation import real_array, require_positive


@dataclass(frozen=True, eq=False)
class Slot:
    """Channel gains and tasks of one slot, or of a batch of slots.

    Attributes
    ----------
    gains : array, shape (..., N, M), [1]
        h_ij of eq. (3), from device i to server j.
    data_bits : array, shape (..., N), [bit]
        D_i. Broadcast to the batch on construction.
    cycles : array, shape (..., N), [cycle]
        F_i. Broadcast to the batch on construction.

    Raises
    ------
    TypeError
        If an entry is not a number.
    ValueError
        If shapes disagree, or an entry is not finite, positive and within [1e-30, 1e30].

    Notes
    -----
    NumPy input becomes float64; a torch tensor keeps its device, and single precision where it has
    it, and the tasks follow the gains. Arrays are copied: what the caller does to theirs later
    changes no Slot.

    Examples
    --------
    >>> slot = Slot(gains=[[1e-6, 1e-7]], data_bits=8e5, cycles=1e9)
    >>> slot.n_devices, slot.n_servers, slot.batch_shape
    (1, 2, ())
    """

    gains: Array
    data_bits: Array
    cycles: Array

    def __post_init__(self) -> None:
        gains = _as_float("gains", self.gains)
        if gains.ndim < 2:
            raise ValueError(f"gains must have shape (..., N, M); got shape {tuple(gains.shape)}.")
        object.__setattr__(self, "gains", gains)
        xp = namespace_of(gains)
        for name in ("data_bits", "cycles"):
            values = _as_float(name, getattr(self, name), reference=gains)
            shape = tuple(gains.shape[:-1])
            try:
                values = xp.broadcast_to(values, shape)
            except (ValueError, RuntimeError):
                raise ValueError(
                    f"{name} must have shape (..., N) that fits gains of shape "
                    f"{tuple(gains.shape)}; got shape {tuple(values.shape)}."
                ) from None
            object.__setattr__(self, name, values)
        for name, unit in (("gains", "1"), ("data_bits", "bit"), ("cycles", "cycle")):
            require_positive(name, as_numpy(getattr(self, name)), unit=unit)

    @classmethod
    def trusted(cls, gains: Array, data_bits: Array, cycles: Array) -> Slot:
        """Return a Slot of arrays of one kind and full shapes, without any check."""
        slot = object.__new__(cls)
        # A frozen dataclass forbids attributes, not the entries behind them.
        fields = slot.__dict__
        fields["gains"] = gains
        fields["data_bits"] = data_bits
        fields["cycles"] = cycles
        return slot

    @property
    def n_devices(self) -> int:
        """N."""
        return int(self.gains.shape[-2])

    @property
    def n_servers(self) -> int:
        """M."""
        return int(self.gains.shape[-1])

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading axes, () for one slot."""
        return tuple(self.gains.shape[:-2])

    def __getitem__(self, index: Any) -> Slot:
        """Return the slots at `index` of the batch axes; ``IndexError`` beyond them."""
        parts = index if isinstance(index, tuple) else (index,)
        spoken_for = sum(
            getattr(p, "ndim", 1) or 1 for p in parts if p is not None and p is not ...
        )
        if spoken_for > len(self.batch_shape):
            raise IndexError(
                f"a Slot is indexed along its batch axes {self.batch_shape} only; got {index!r}."
            )
        if not any(part is ... for part in parts):
            parts = (*parts, ...)
        whole = slice(None)
        tasks = (*parts, whole)
        return Slot.trusted(self.gains[(*tasks, whole)], self.data_bits[tasks], self.cycles[tasks])


def _as_float(name: str, value: Any, *, reference: Array | None = None) -> Array:
    if not hasattr(value, "detach") and (
        isinstance(value, np.ndarray) or not hasattr(value, "__array_namespace__")
    ):
        array = np.array(real_array(name, value))
    else:
        xp = namespace_of(value)
        if not xp.isdtype(value.dtype, ("integral", "real floating")):
            raise TypeError(f"{name} must be an array of numbers; got dtype {value.dtype}.")
        # Half precision ends at 65504, far below a task's bits.
        kept = value.dtype in (xp.float32, xp.float64)
        array = xp.astype(value, value.dtype if kept else xp.float64)
    return array if reference is None else like(reference, array)
