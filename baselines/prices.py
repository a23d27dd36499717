"""Posted prices: a server offers its CPU at a fixed price, and devices go where it pays most.

With the optimal price λ_j of every server known, each device could find its part of the optimum on
its own (the bound [S-2] decomposes into devices). Posted prices are the averages of the optimal
prices over other slots: one number per server stands for all coordination, and what a server does
with its own gains and its own price needs no other server.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.tolls import Floats, require_toll
from mec_gym import Scenario, Slot, evaluate, solve
from mec_gym.allocation import root_work
from mec_gym.model.constants import constants_of
from mec_gym.optimum import choice_costs, paying

DISCOUNTS = (0.0, 0.25, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05)
"""Parts of the mean optimal prices that :func:`best_discount` tries."""

LARGEST_BATCH = 2**22
"""Gains in a batch that is decided at once; a larger one is decided in parts, to save memory."""


def posted_prices(
    scenario: Scenario,
    slot: Slot,
    prices: ArrayLike,
    *,
    dropping: bool = True,
    toll: Floats | None = None,
) -> NDArray[np.int64]:
    """Return the decision in which every device answers the servers' prices.

    Server j scores device i with c_i0 − c_ij − λ_j s_i: what the device would save there, less
    the price of its work. A device goes to the highest score if that is not negative, and else
    executes locally, if eq. (7) lets it.

    Parameters
    ----------
    prices : array_like, shape (M,) or broadcastable to (..., M), or a number, [1/sqrt(cycle/s)]
        λ_j; :func:`mean_prices` finds some, :func:`best_discount` a part of them.
    dropping : bool
        Whether each server then sends home the devices that do not pay at its actual load; see
        :func:`worth_keeping`.
    toll : ndarray, shape (..., N, M + 1), [1], optional
        What choices cost in the place of μ, e.g. of :func:`baselines.tolls.tolls`.

    Raises
    ------
    ValueError
        If `prices` has not M entries, or one is negative or not finite; if a toll is negative or
        NaN, or a device's are all infinite.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1)
    >>> slot = Slot([[1e-6], [1e-6]], 8e5, 1e9)
    >>> posted_prices(scenario, slot, [0.0]), posted_prices(scenario, slot, [1.0])
    (array([1, 1]), array([0, 0]))
    """
    price = require_prices(scenario, prices)
    toll = None if toll is None else require_toll(scenario, slot, toll)
    if slot.batch_shape and slot.gains.size > LARGEST_BATCH:
        rows = np.broadcast_to(price, (*slot.batch_shape, scenario.n_servers))
        tolls = [None] * len(rows) if toll is None else toll
        return np.stack(
            [
                posted_prices(scenario, slot[i], row, dropping=dropping, toll=own)
                for i, (row, own) in enumerate(zip(rows, tolls, strict=True))
            ]
        )
    constants, must = constants_of(scenario, slot.gains), ~scenario.can_execute_locally
    if toll is not None:
        constants = constants.without_migration
    cost = choice_costs(constants, slot, scenario.can_execute_locally)
    if toll is not None:
        cost += toll
    root, speed = np.asarray(root_work(constants, slot.cycles)), scenario.server_frequencies_hz
    return answers(savings(cost, must), root, speed, must, price, dropping=dropping)


def savings(cost: NDArray[np.float64], must: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return c_i0 − c_ij, shape (..., N, M), of costs (..., N, 1 + M); c_i0 is 0 for `must`."""
    return np.asarray(np.where(must, 0.0, cost[..., 0])[..., None] - cost[..., 1:])


def answers(
    saving: NDArray[np.float64],
    root_work: NDArray[np.float64],
    server_frequency_hz: NDArray[np.float64],
    must: NDArray[np.bool_],
    price: NDArray[np.float64],
    *,
    dropping: bool = True,
) -> NDArray[np.int64]:
    """Return how devices, and servers if `dropping`, answer prices, (..., M); shape (..., N)."""
    score = saving - price[..., None, :] * root_work[..., None]
    server = np.argmax(score, axis=-1)
    goes = (score.max(axis=-1) >= 0.0) | must
    if dropping:
        offered = goes[..., None] & (server[..., None] == np.arange(score.shape[-1]))
        saving = np.broadcast_to(saving, offered.shape)
        goes = worth_keeping(saving, root_work, server_frequency_hz, offered, must).any(axis=-1)
    return np.where(goes, server + 1, 0)


def worth_keeping(
    saving: NDArray[np.float64],
    root_work: NDArray[np.float64],
    server_frequency_hz: NDArray[np.float64],
    offered: NDArray[np.bool_],
    must: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which of the devices on offer each server had best keep, [P-2].

    `saving` is c_i0 − c_ij, [1], and `offered` who wants to go where, both (..., N, M);
    `root_work` is s_i, (..., N), [sqrt(cycle)], `server_frequency_hz` F_j, (M,). No server sends
    home the devices of `must`, (N,), which cannot execute locally. What is kept, a part of
    `offered`, never costs more than all of it.
    """
    # A server's devices last, as paying() has them.
    by_server = np.moveaxis(np.where(must[..., None], np.inf, saving), -1, -2)
    work = np.broadcast_to(root_work[..., None, :], by_server.shape)
    kept = paying(by_server, work, server_frequency_hz, np.moveaxis(offered, -1, -2))
    return np.asarray(np.moveaxis(kept, -2, -1))


def mean_prices(scenario: Scenario, slots: Slot) -> NDArray[np.float64]:
    """Return the mean over a batch of slots of the optimal prices, shape (M,), [1/sqrt(cycle/s)].

    Tune on other slots than those to be judged by. Where each episode draws its servers'
    positions (``layout="redrawn"``), only its CPU tells a server apart: servers of equal speed
    get one price.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e12)
    >>> mean_prices(scenario, Slot(np.full((3, 2, 1), 1e-6), 8e5, 1e9)).shape
    (1,)
    """
    prices = solve(scenario, slots).prices.reshape(-1, scenario.n_servers).mean(axis=0)
    if scenario.layout == "redrawn" and isinstance(scenario.server_positions, str):
        return shared_by_speed(scenario, prices)
    return np.asarray(prices)


def best_discount(
    scenario: Scenario, slots: Slot, prices: ArrayLike, *, dropping: bool = True
) -> float:
    """Return which of ``DISCOUNTS`` of given prices has the least mean objective on slots.

    Prices below the optimal ones invite more devices than a server has room for. Where servers
    send home those that do not pay, this is better than to be left with free room. Tune on other
    slots than those to be judged by.

    Examples
    --------
    >>> scenario = Scenario(n_devices=1, n_servers=1)
    >>> best_discount(scenario, Slot([[1e-6]], 8e5, 1e9), [1.0])
    0.0
    """

    def mean_objective(part: float) -> float:
        posted = part * np.asarray(prices)
        decision = posted_prices(scenario, slots, posted, dropping=dropping)
        return float(np.mean(evaluate(scenario, slots, decision).objective))

    return min(DISCOUNTS, key=mean_objective)


def shared_by_speed(scenario: Scenario, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return prices, shape (M,), averaged over the servers of equal speed."""
    _, kind = np.unique(scenario.server_frequencies_hz, return_inverse=True)
    means = np.bincount(kind, weights=prices) / np.bincount(kind)
    return np.asarray(means[kind])


def require_prices(scenario: Scenario, prices: ArrayLike) -> NDArray[np.float64]:
    """Return prices, M or one for all servers, as an array of shape (..., M), or refuse them."""
    array = np.asarray(prices, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(scenario.n_servers, array)
    if array.shape[-1:] != (scenario.n_servers,):
        raise ValueError(
            f"prices must have one entry for each of {scenario.n_servers} servers; "
            f"got shape {array.shape}."
        )
    if not (np.isfinite(array) & (array >= 0.0)).all():
        raise ValueError(f"prices must be finite and >= 0; got {array.tolist()}.")
    return array
