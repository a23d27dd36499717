"""Checks of an offloading decision, eqs. (4), (5) and the local part of (7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mec_gym.model.arrays import Array, as_numpy, namespace_of
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario
from mec_gym.validation import refuse_where, require_unmasked


def checked_assignment(scenario: Scenario, slot: Slot, assignment: Any) -> Array:
    """Return a decision as an int64 array of the slot's kind, shape (..., N), or refuse it.

    One entry per device, 0 = local, j = server j, is one choice per device: eqs. (4) and (5) hold
    by construction. The batch axes of slot and assignment are broadcast. ``TypeError`` for entries
    that are no integers; ``ValueError`` for sizes or entries that do not fit, or for local
    execution that eq. (7) forbids.
    """
    require_sizes(scenario, slot)
    require_unmasked("assignment", assignment)
    xp = namespace_of(slot.gains)
    device = {} if xp is np else {"device": slot.gains.device}
    try:
        array = xp.asarray(assignment, **device)
    except (TypeError, ValueError):
        raise TypeError(
            f"assignment must be an array of integers, one entry per device; got {assignment!r}."
        ) from None
    if not xp.isdtype(array.dtype, "integral"):
        raise TypeError(
            f"assignment must hold integers (0 = local, j = server j); got dtype {array.dtype}."
        )
    if array.ndim == 0 or array.shape[-1] != scenario.n_devices:
        raise ValueError(
            f"assignment must have shape (..., {scenario.n_devices}), one entry per device; "
            f"got shape {tuple(array.shape)}."
        )
    require_in_range(as_numpy(array), scenario)
    try:
        batch = np.broadcast_shapes(slot.batch_shape, tuple(array.shape[:-1]))
    except ValueError:
        raise ValueError(
            f"the batch axes of assignment {tuple(array.shape[:-1])} must broadcast with those "
            f"of slot {slot.batch_shape}."
        ) from None
    array = array.astype(np.int64, copy=False) if xp is np else xp.astype(array, xp.int64)
    return xp.broadcast_to(array, (*batch, scenario.n_devices))


def require_sizes(scenario: Scenario, slot: Slot) -> None:
    """Raise unless `scenario` is a Scenario and `slot` a Slot with its N and M."""
    if not isinstance(scenario, Scenario):
        raise TypeError(
            f"scenario must be a Scenario; got {type(scenario).__name__} {scenario!r:.60}. "
            "Scenario.resolve() turns a preset's name or a path into one."
        )
    if not isinstance(slot, Slot):
        raise TypeError(f"slot must be a Slot; got {type(slot).__name__}.")
    wanted, got = (scenario.n_devices, scenario.n_servers), tuple(slot.gains.shape[-2:])
    if got != wanted:
        raise ValueError(
            f"slot.gains must have shape (..., {wanted[0]}, {wanted[1]}) for this scenario; "
            f"got shape {tuple(slot.gains.shape)}."
        )


def require_in_range(assignment: np.ndarray, scenario: Scenario) -> None:
    """Raise ``ValueError`` for a choice outside 0...M, or a local one that eq. (7) forbids."""
    outside = (assignment < 0) | (assignment > scenario.n_servers)
    requirement = f"must lie in 0...{scenario.n_servers} (0 = local, j = server j)"
    refuse_where(outside, "assignment entries", requirement, assignment)
    forbidden = (assignment == 0) & ~scenario.can_execute_locally
    if forbidden.any():
        first = tuple(int(i) for i in np.argwhere(forbidden)[0])
        device = first[-1]
        raise ValueError(
            f"device {device} cannot execute locally, eq. (7): its execution power "
            f"{scenario.local_power_w[device]:.6g} W exceeds max_power_w "
            f"{scenario.per_device('max_power_w')[device]:.6g} W; "
            f"got assignment 0 at index {first}. Offload it (see action_masks())."
        )
