"""The few array operations that the model needs beyond the array API standard.

The physics is written in the array-API style, so that one copy of every formula serves NumPy
arrays and torch tensors on any device. Gathers and sums by server are not in the standard; they
stand here, once.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from mec_gym.validation import require_unmasked

Array = Any
"""A NumPy array or any array that array_api_compat knows, e.g. a torch tensor."""


def namespace_of(array: Array) -> Any:
    """Return the array-API namespace of an array: NumPy itself, or torch's through a wrapper."""
    return np if isinstance(array, np.ndarray) else array_namespace(array)


def like(reference: Array, value: Any) -> Array:
    """Return `value` as an array of the same kind, dtype and device as `reference`."""
    xp = namespace_of(reference)
    if xp is np:
        return np.asarray(value, dtype=reference.dtype)
    return xp.asarray(value, dtype=reference.dtype, device=reference.device)


def as_numpy(array: Array) -> NDArray[Any]:
    """Return an array of any namespace and device as a NumPy array."""
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "detach"):  # a tensor, which may record gradients
        array = array.detach().cpu()
    return np.asarray(array)


def plain_array(values: Any) -> NDArray[Any]:
    """Return an array as PyTorch takes it: writable, in C order and this machine's byte order.

    Floats of other than single or double precision become single; what is plain stays itself.
    ``TypeError`` for text and complex numbers, ``ValueError`` for masked entries.
    """
    array = as_numpy(values)
    if type(array) is not np.ndarray:  # a plain one takes no time
        require_unmasked("array", array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"array must hold numbers; got dtype {array.dtype}.")
    odd = array.dtype.kind == "f" and array.itemsize not in (4, 8)
    return np.require(array, np.float32 if odd else array.dtype.newbyteorder("="), ["C", "W", "E"])


def in_shape(observation: NDArray[Any], shape: tuple[int, ...], n_rows: int) -> NDArray[Any]:
    """Return observations, tables of so many rows or vectors of the same entries, in a shape.

    With their batch axes; what has neither form is returned as it is. Of one row a table is also a
    batch of vectors: then the shape that is asked for decides.
    """
    size = math.prod(shape)
    for form in (shape, (size,), (n_rows, size // n_rows)):
        axes = observation.ndim - len(form)
        if observation.shape[max(axes, 0) :] == form and math.prod(form) == size:
            return observation.reshape(*observation.shape[:axes], *shape)
    return observation


def contiguous(array: Array) -> Array:
    """Return an array whose entries lie in memory in the order of its axes; itself if they do."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array.contiguous()


def pick(xp: Any, values: Array, index: Array) -> Array:
    """Return ``values[index]`` for `values` of shape (S,) and an integer index of any shape."""
    if xp is np:
        return values.take(index)
    return xp.reshape(xp.take(values, xp.reshape(index, (-1,)), axis=0), index.shape)


def chosen(xp: Any, table: Array, assignment: Array) -> Array:
    """Return each device's entry in the column of the server it uses, shape (..., N).

    From `table` (..., N, M) and `assignment` (..., N), 0 = local, j = server j, whose batch axes
    broadcast. The entry of a local device is some entry of the table, which callers do not read.
    """
    if xp is np:
        # Choice 0 meets the entry before its row, in row 0 the last of all: NumPy counts so.
        index = assignment + _before_rows(*table.shape[-2:])
        if table.ndim == 2:
            return table.take(index)
    *batch, n_devices, n_servers = table.shape
    links = n_devices * n_servers
    if xp is not np:
        column = xp.clip(assignment - 1, min=0)
        index = column + arange_like(xp, 0, links, n_servers, assignment)
    copies = math.prod(batch)
    if copies > 1:
        first = arange_like(xp, 0, copies * links, links, assignment)
        index = index + xp.reshape(first, (*batch, 1))
    return pick(xp, xp.reshape(table, (-1,)), index)


def sum_by_server(xp: Any, values: Array | None, assignment: Array, n_servers: int) -> Array:
    """Sum a per-device quantity by choice, or count the devices for None; shape (..., M + 1).

    `values` and `assignment` have shape (..., N). Entry 0 is the sum over local devices, entry j
    that of server j, in the order of the devices: a batch has the bits of its members alone.
    """
    bins = n_servers + 1
    if xp is np and assignment.ndim == 1:
        return np.bincount(assignment, values, bins)
    *batch, _ = assignment.shape
    if xp is not np:
        member = assignment[..., None] == arange_like(xp, 0, bins, 1, assignment)
        if values is None:
            return xp.sum(xp.astype(member, assignment.dtype), axis=-2)
        zero = xp.zeros((), dtype=values.dtype, device=values.device)
        return xp.sum(xp.where(member, values[..., None], zero), axis=-2)
    copies = math.prod(batch)
    if copies > 1:
        assignment = assignment + np.arange(0, copies * bins, bins).reshape(*batch, 1)
    weights = None if values is None else values.ravel()
    return np.bincount(assignment.ravel(), weights, copies * bins).reshape(*batch, bins)


def replaced(xp: Any, array: Array, mask: Array, values: Array) -> Array:
    """Return `array` with `values` where `mask` holds; may overwrite `array` itself."""
    if xp is np:
        # Half of the time of where(), which looks for a common shape and type first.
        np.copyto(array, values, where=mask)
        return array
    return xp.where(mask, values, array)


def entry_of_choice(xp: Any, table: Array, assignment: Array) -> Array:
    """Return each device's entry, (..., N), of a table with one entry per choice, (..., M + 1)."""
    if xp is np and table.ndim == 1:
        return table.take(assignment)
    *batch, bins = table.shape
    copies = math.prod(batch)
    if copies > 1:
        first = arange_like(xp, 0, copies * bins, bins, assignment)
        assignment = assignment + xp.reshape(first, (*batch, 1))
    return pick(xp, xp.reshape(table, (-1,)), assignment)


@lru_cache
def _before_rows(n_devices: int, n_servers: int) -> NDArray[np.int64]:
    """Return the flat index before each row of an (N, M) table."""
    return np.arange(-1, n_devices * n_servers - 1, n_servers)


def arange_like(xp: Any, start: int, stop: int, step: int, reference: Array) -> Array:
    """Return a range of numbers on the device of `reference`, and a tensor in its dtype."""
    if xp is np:
        return np.arange(start, stop, step)
    return xp.arange(start, stop, step, dtype=reference.dtype, device=reference.device)
