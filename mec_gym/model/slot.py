"""Slot: all that a decision may know of its slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mec_gym.model.arrays import Array, as_numpy, like, namespace_of
from mec_gym.validation import real_array, refuse_where, require_positive, require_unmasked


@dataclass(frozen=True, eq=False)
class Slot:
    """Channel gains, tasks and hosts of one slot, or of a batch of slots.

    Attributes
    ----------
    gains : array, shape (..., N, M), [1]
        h_ij of eq. (3), from device i to server j.
    data_bits : array, shape (..., N), [bit]
        D_i. Broadcast to the batch on construction.
    cycles : array, shape (..., N), [cycle]
        F_i. Broadcast to the batch on construction.
    hosts : integer array, shape (..., N), optional
        The server that holds each device's service before the decision, 0 = none yet: what
        migration costs depends on it, [D-5]. None where nothing has been placed.

    Raises
    ------
    TypeError
        If an entry is not a number, or a host no integer.
    ValueError
        If shapes disagree, an entry is not finite, positive and within [1e-30, 1e30], or a host
        is not in 0...M.

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
    hosts: Array | None = None

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
        if self.hosts is not None:
            object.__setattr__(self, "hosts", _as_hosts(self.hosts, gains))

    @classmethod
    def trusted(
        cls, gains: Array, data_bits: Array, cycles: Array, hosts: Array | None = None
    ) -> Slot:
        """Return a Slot of arrays of one kind and full shapes, without any check."""
        slot = object.__new__(cls)
        # A frozen dataclass forbids attributes, not the entries behind them.
        slot.__dict__.update(gains=gains, data_bits=data_bits, cycles=cycles, hosts=hosts)
        return slot

    def hosted(self, hosts: Array | None) -> Slot:
        """Return the slot with other hosts (..., N), or for None with services placed nowhere."""
        if hosts is not None:
            hosts = _as_hosts(hosts, self.gains)
        return Slot.trusted(self.gains, self.data_bits, self.cycles, hosts)

    @property
    def known_hosts(self) -> Array:
        """`hosts`, or 0, nowhere yet, of every device where there are none."""
        if self.hosts is not None:
            return self.hosts
        xp = namespace_of(self.cycles)
        return xp.zeros_like(self.cycles, dtype=xp.int64)

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
        hosts = None if self.hosts is None else self.hosts[tasks]
        gains = self.gains[(*tasks, whole)]
        return Slot.trusted(gains, self.data_bits[tasks], self.cycles[tasks], hosts)


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


def _as_hosts(value: Any, gains: Array) -> Array:
    """Return hosts as int64 of the gains' kind and batch, checked."""
    xp = namespace_of(gains)
    require_unmasked("hosts", value)
    device = {} if xp is np else {"device": gains.device}
    array = xp.asarray(value, **device)
    if not xp.isdtype(array.dtype, "integral"):
        raise TypeError(
            f"hosts must hold integers (0 = none yet, j = server j); got dtype {array.dtype}."
        )
    shape, n_servers = tuple(gains.shape[:-1]), gains.shape[-1]
    try:
        array = xp.broadcast_to(xp.astype(array, xp.int64), shape)
    except (ValueError, RuntimeError):
        raise ValueError(
            f"hosts must have shape (..., N) that fits gains of shape {tuple(gains.shape)}; "
            f"got shape {tuple(array.shape)}."
        ) from None
    plain = as_numpy(array)
    requirement = f"must lie in 0...{n_servers} (0 = none yet, j = server j)"
    refuse_where((plain < 0) | (plain > n_servers), "hosts", requirement, plain)
    return array
