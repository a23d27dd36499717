"""What a server does with the devices that a decision sends to it: keep those that pay."""

from __future__ import annotations

from typing import Any

from mec_gym.model.arrays import Array, namespace_of
from mec_gym.validation import LARGEST


def paying(saving: Array, root_work: Array, server_frequency: Any, offered: Array) -> Array:
    """Return which of the devices that are offered to a server it keeps, shape (..., N), [P-2].

    A server that serves the set K gains Σ_K w_i − (Σ_K s_i)²/F over their local execution. It keeps
    the devices with the largest saving per root work, w_i / s_i, as many as make that largest. All
    of it is known at the server: no other gains take part. The set is never worse than all that is
    offered. Where all s_i are equal none is better. Elsewhere none is better by more than max s_i²
    / (4 F): if the last device could be split, some such set plus a part of the next device would
    be optimal, and between the ends of the part the value bends by no more than that.

    Parameters
    ----------
    saving : array, shape (..., N), [1]
        w_i = c_i0 − c_ij: local cost less uplink cost. Infinite: keep whatever it costs.
    root_work : array, shape (..., N), [sqrt(cycle/s)]
        s_i >= 0, of any unit that fits `server_frequency`.
    server_frequency : array, broadcasts to (...), [cycle/s]
        F_j^max.
    offered : bool array, shape (..., N)
        Which devices the decision sends here.

    Examples
    --------
    >>> paying(np.array([1.0, 1.0, 0.1]), np.ones(3), np.array(4.0), np.array([True, True, True]))
    array([ True,  True, False])
    """
    xp = namespace_of(saving)
    must = offered & (saving > LARGEST)
    per_work = xp.where(
        offered, saving / xp.clip(root_work, min=1e-30), xp.full_like(saving, -float("inf"))
    )
    order = xp.argsort(-per_work, axis=-1, stable=True)
    place = xp.argsort(order, axis=-1, stable=True)
    gain = xp.where(offered & ~must, saving, xp.zeros_like(saving))
    work = xp.where(offered, root_work, xp.zeros_like(saving))
    load = xp.cumulative_sum(xp.take_along_axis(work, order, axis=-1), axis=-1)
    total = xp.cumulative_sum(xp.take_along_axis(gain, order, axis=-1), axis=-1)
    total = total - load * load / server_frequency[..., None]
    # Those that must be served come first in the order: the set ends no earlier than they do.
    n_must = xp.sum(xp.astype(must, place.dtype), axis=-1)
    too_early = xp.sort(place, axis=-1) < n_must[..., None] - 1
    total = xp.where(too_early, xp.full_like(total, -float("inf")), total)
    worth = (xp.max(total, axis=-1) > 0) | (n_must > 0)
    last = xp.where(worth, xp.argmax(total, axis=-1), -xp.ones_like(n_must))
    return offered & (place <= last[..., None])
