"""The few array operations that the model needs beyond the array API standard.

The physics is written in the array-API style, so that one copy of every formula serves NumPy
arrays and torch tensors on any device. Gathers and sums by server are not in the standard; they
stand here, once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

Array = Any
"""A NumPy array or any array that array_api_compat knows, e.g. a torch tensor."""


def namespace_of(array: Array) -> Any:
    """Return the array-API namespace of an array.

    Parameters
    ----------
    array : array
        A NumPy array or a torch tensor.

    Returns
    -------
    module
        NumPy itself for NumPy arrays (NumPy 2 follows the standard, without a wrapper's cost).

    Examples
    --------
    >>> namespace_of(np.zeros(2)).__name__
    'numpy'
    """
    return np if isinstance(array, np.ndarray) else array_namespace(array)


def like(reference: Array, value: Any) -> Array:
    """Return `value` as an array of the same kind, dtype and device as `reference`.

    Parameters
    ----------
    reference : array
        Decides namespace, dtype and device.
    value : array_like
        Numbers.

    Returns
    -------
    array

    Examples
    --------
    >>> like(np.zeros(2), [1, 2])
    array([1., 2.])
    """
    xp = namespace_of(reference)
    if xp is np:
        return np.asarray(value, dtype=reference.dtype)
    return xp.asarray(value, dtype=reference.dtype, device=reference.device)


def as_numpy(array: Array) -> NDArray[Any]:
    """Return an array of any namespace and device as a NumPy array.

    Parameters
    ----------
    array : array
        A NumPy array or a torch tensor.

    Returns
    -------
    ndarray
        Shares memory where it can.

    Examples
    --------
    >>> as_numpy(np.ones(1))
    array([1.])
    """
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "detach"):  # a tensor, which may record gradients
        array = array.detach().cpu()
    return np.asarray(array)


def contiguous(array: Array) -> Array:
    """Return an array whose entries lie in memory in the order of its axes.

    Parameters
    ----------
    array : array
        A NumPy array or a torch tensor.

    Returns
    -------
    array
        Itself where it is so already.

    Examples
    --------
    >>> contiguous(np.zeros((2, 3)).T).flags.c_contiguous
    True
    """
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array.contiguous()


def pick(xp: Any, values: Array, index: Array) -> Array:
    """Return ``values[index]`` for one-dimensional `values` and an index of any shape.

    Parameters
    ----------
    xp : module
        Array namespace of both.
    values : array, shape (S,)
        What is picked from.
    index : integer array, any shape
        Positions in `values`.

    Returns
    -------
    array, shape of `index`

    Examples
    --------
    >>> pick(np, np.array([5.0, 7.0]), np.array([[1, 0]]))
    array([[7., 5.]])
    """
    if xp is np:
        return values.take(index)
    return xp.reshape(xp.take(values, xp.reshape(index, (-1,)), axis=0), index.shape)


def chosen(xp: Any, table: Array, assignment: Array) -> Array:
    """Return each device's entry in the column of the server it uses.

    Parameters
    ----------
    xp : module
        Array namespace of both.
    table : array, shape (..., N, M)
        One entry per link.
    assignment : integer array, shape (..., N)
        0 = local, j = server j. Batch axes broadcast against those of `table`.

    Returns
    -------
    array, shape (..., N)
        ``table[..., i, assignment[i] - 1]``; for a local device some entry of the table, which
        callers do not read.

    Examples
    --------
    >>> chosen(np, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([2, 1]))
    array([2., 3.])
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
        index = column + _range(xp, 0, links, n_servers, assignment)
    copies = _product(batch)
    if copies > 1:
        first = _range(xp, 0, copies * links, links, assignment)
        index = index + xp.reshape(first, (*batch, 1))
    return pick(xp, xp.reshape(table, (-1,)), index)


def sum_by_server(xp: Any, values: Array | None, assignment: Array, n_servers: int) -> Array:
    """Sum a per-device quantity over the devices of each server, or count the devices.

    Parameters
    ----------
    xp : module
        Array namespace of both.
    values : array, shape (..., N), or None
        What is summed; must have the batch axes of `assignment`. None counts.
    assignment : integer array, shape (..., N)
        0 = local, j = server j.
    n_servers : int
        M.

    Returns
    -------
    array, shape (..., M + 1)
        Entry 0 is the sum over local devices, entry j that of server j. Each sum runs in the
        order of the devices, so a batch has the same bits as its members alone.

    Examples
    --------
    >>> sum_by_server(np, np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), 2)
    array([2., 0., 5.])
    >>> sum_by_server(np, None, np.array([2, 0, 2]), 2)
    array([1, 0, 2])
    """
    bins = n_servers + 1
    if xp is np and assignment.ndim == 1:
        return np.bincount(assignment, values, bins)
    *batch, _ = assignment.shape
    if xp is not np:
        member = assignment[..., None] == _range(xp, 0, bins, 1, assignment)
        if values is None:
            return xp.sum(xp.astype(member, assignment.dtype), axis=-2)
        zero = xp.zeros((), dtype=values.dtype, device=values.device)
        return xp.sum(xp.where(member, values[..., None], zero), axis=-2)
    copies = _product(batch)
    if copies > 1:
        assignment = assignment + np.arange(0, copies * bins, bins).reshape(*batch, 1)
    weights = None if values is None else values.ravel()
    return np.bincount(assignment.ravel(), weights, copies * bins).reshape(*batch, bins)


def replaced(xp: Any, array: Array, mask: Array, values: Array) -> Array:
    """Return `array` with `values` where `mask` holds; may write into `array` itself.

    Parameters
    ----------
    xp : module
        Array namespace of all.
    array : array
        The caller's own, which it gives away.
    mask : bool array, shape of `array`
        Where to replace.
    values : array
        Broadcasts to the shape of `array`.

    Returns
    -------
    array

    Examples
    --------
    >>> replaced(np, np.array([1.0, 2.0]), np.array([False, True]), np.array(9.0))
    array([1., 9.])
    """
    if xp is np:
        # Half of the time of where(), which looks for a common shape and type first.
        np.copyto(array, values, where=mask)
        return array
    return xp.where(mask, values, array)


def entry_of_choice(xp: Any, table: Array, assignment: Array) -> Array:
    """Return the entry of a per-choice table that belongs to each device's choice.

    Parameters
    ----------
    xp : module
        Array namespace of both.
    table : array, shape (..., M + 1)
        One entry per choice, 0 = local.
    assignment : integer array, shape (..., N)
        Same batch axes.

    Returns
    -------
    array, shape (..., N)

    Examples
    --------
    >>> entry_of_choice(np, np.array([5.0, 7.0]), np.array([1, 0, 1]))
    array([7., 5., 7.])
    """
    if xp is np and table.ndim == 1:
        return table.take(assignment)
    *batch, bins = table.shape
    copies = _product(batch)
    if copies > 1:
        first = _range(xp, 0, copies * bins, bins, assignment)
        assignment = assignment + xp.reshape(first, (*batch, 1))
    return pick(xp, xp.reshape(table, (-1,)), assignment)


@lru_cache
def _before_rows(n_devices: int, n_servers: int) -> NDArray[np.int64]:
    """Return the flat index before each row of an (N, M) table."""
    return np.arange(-1, n_devices * n_servers - 1, n_servers)


def _range(xp: Any, start: int, stop: int, step: int, reference: Array) -> Array:
    if xp is np:
        return np.arange(start, stop, step)
    return xp.arange(start, stop, step, dtype=reference.dtype, device=reference.device)


def _product(sizes: list[int]) -> int:
    product = 1
    for size in sizes:
        product *= int(size)
    return product
