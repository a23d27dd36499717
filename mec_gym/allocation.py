r"""Problem (13): the resources of a given offloading decision, optimal in closed form.

Once every device has chosen, the links decouple from the CPUs:

CPU shares [A-1]
    Only Σ φ_T F_i / f_ij depends on f, under eq. (6). By Cauchy-Schwarz the optimum is
    f_ij = F_j^max s_i / L_j with s_i = sqrt(φ_T F_i) and L_j = Σ s_i over the devices of j. The
    server's computing cost is L_j² / F_j^max and the multiplier of eq. (6) is (L_j / F_j^max)².

Transmit power [A-3]
    Each link minimises (φ_T + φ_E p) / ln(1 + p g) over 0 < p <= P^max, with g = h / σ². The
    function is quasi-convex, so its clipped stationary point is optimal. With x = ln(1 + p g)
    the stationary condition reads

        x e^x − (e^x − 1) = k,    k = φ_T g / φ_E,

    which is x = 1 + W0((k − 1)/e), W0 being Lambert's function, and p = (e^x − 1)/g.

Its evaluation [A-4]
    SciPy's ``lambertw`` is complex-valued, loses digits near its branch point, which is where
    weak links are, and knows no tensors. What [A-3] needs of x is u = (e^x − 1)/k: as
    k = φ_T g / φ_E, the power is u φ_T / φ_E. Here u v is a piecewise polynomial in
    v = sqrt(ln(1 + k)), a variable that reaches no further than 17 and in which u v varies
    slowly, from sqrt(2) at k = 0 to 0.06 at k = 1e121. The polynomials are fitted on first use
    to a solution by iteration.

:func:`allocate` is that optimum. The paper's own way, a Lévy search over f and p, stands in
``mec_gym.allocation_search`` for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.model.arrays import Array, chosen, entry_of_choice, like, namespace_of, sum_by_server
from mec_gym.model.assignment import checked_assignment
from mec_gym.model.constants import Constants, constants_of, lasting
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario

PIECES_PER_UNIT = 1024
LARGEST_V = 17
DEGREE = 3
"""Small pieces of low degree cost the least time; the error is that of rounding, below 3e-15."""
_LOWER_POWERS = tuple(range(1, DEGREE + 1))


@dataclass(frozen=True, eq=False)
class Allocation:
    """Power and CPU speed of every device under one decision.

    Attributes
    ----------
    power_w : array, shape (..., N), [W]
        Transmission power p_i of an offloading device; execution power p_i^E of a local one.
    frequency_hz : array, shape (..., N), [cycle/s]
        CPU speed that works on the task: f_ij at the server, f_i0 locally.
    capacity_price : array, shape (..., M), [s/cycle · 1]
        Multiplier of eq. (6), [A-2]: what one more cycle/s at server j would save. 0 where idle.

    Examples
    --------
    >>> from mec_gym import Scenario, Slot, evaluate
    >>> scenario, slot = Scenario(n_devices=2, n_servers=1), Slot([[1e-6], [1e-6]], 8e5, 1e9)
    >>> by_hand = Allocation(power_w=1.0, frequency_hz=[4e9, 6e9], capacity_price=None)
    >>> evaluate(scenario, slot, [1, 1], by_hand).latency_s.round(2)
    array([0.29, 0.21])
    """

    power_w: Array
    frequency_hz: Array
    capacity_price: Array


def allocate(scenario: Scenario, slot: Slot, assignment: Any) -> Allocation:
    r"""Return the optimal powers and CPU shares of a decision: problem (13), exactly.

    Parameters
    ----------
    scenario : Scenario
        The system.
    slot : Slot
        Gains and tasks; batch axes broadcast against those of `assignment`.
    assignment : integer array_like, shape (..., N)
        0 = local, j = server j.

    Returns
    -------
    Allocation
        Powers, CPU speeds and the price of capacity.

    Raises
    ------
    TypeError, ValueError
        If the assignment is not of integers, of another length or out of range, if the slot has
        other sizes than the scenario, or if a device is local whose execution power exceeds its
        limit, eq. (7).

    Notes
    -----
    Symbols: p = power_w, f = frequency_hz. See the module's docstring for the derivation.

    Examples
    --------
    >>> scenario = Scenario(n_devices=2, n_servers=1, server_frequency_hz=1e10)
    >>> slot = Slot(gains=[[1e-6], [1e-6]], data_bits=8e5, cycles=1e9)
    >>> allocate(scenario, slot, [1, 1]).frequency_hz
    array([5.e+09, 5.e+09])
    """
    checked = checked_assignment(scenario, slot, assignment)
    constants = constants_of(scenario, slot.gains)
    snr = chosen(constants.xp, slot.gains, checked) / constants.noise
    return optimal_allocation(constants, snr, root_work(constants, slot.cycles), checked)


def optimal_allocation(
    constants: Constants, snr_per_w: Array, root: Array, assignment: Array
) -> Allocation:
    """Return the optimal allocation for checked input; arguments as :func:`optimal_resources`."""
    xp = constants.xp
    power, share, root_price = optimal_resources(constants, snr_per_w, root, assignment)
    local = assignment == 0
    return Allocation(
        power_w=xp.where(local, constants.local_power_w, power),
        frequency_hz=xp.where(local, constants.local_frequency_hz, share),
        capacity_price=root_price[..., 1:] ** 2,
    )


def optimal_resources(
    constants: Constants, snr_per_w: Array, root: Array, assignment: Array
) -> tuple[Array, Array, Array]:
    """Return power, CPU share and root of the CPU's price, optimal: eqs. (6) and (7) hold.

    `snr_per_w`, (..., N) [1/W], is h / σ² of each device's link to the server it uses; `root` is
    s_i, (..., N) [sqrt(cycle/s)]. Powers [W] and shares [cycle/s] have shape (..., N); those of
    local devices are positive and mean nothing. The price, (..., M + 1) [sqrt(s/cycle)], is L_j /
    F_j^max, the root of [A-2], which divides s_i into a share, [A-1]; its entry 0 means nothing.
    """
    xp = constants.xp
    power = optimal_power(constants, snr_per_w)
    if root.shape != assignment.shape:
        root = xp.broadcast_to(root, assignment.shape)
    load = sum_by_server(xp, root, assignment, constants.n_servers)
    root_price = load / constants.frequency_by_choice
    return power, root / entry_of_choice(xp, root_price, assignment), root_price


def root_work(constants: Constants, cycles: Array) -> Array:
    """Return s_i = sqrt(φ_T F_i), a task's weight on a CPU, shape (..., N) [sqrt(cycle/s)]."""
    return constants.xp.sqrt(constants.weight_latency * cycles)


def optimal_power(constants: Constants, snr_per_w: Array) -> Array:
    """Return the power [W] that minimises (φ_T + φ_E p) D / r over 0 < p <= P^max, eq. (7).

    `snr_per_w` (..., N) is g = h / σ² [1/W]. P^max where φ_E = 0.
    """
    xp = constants.xp
    # (e^x − 1)/g of is (e^x − 1)/k times φ_T/φ_E.
    power = stationary_power(constants.weight_ratio * snr_per_w)
    power *= constants.weight_ratio
    return xp.minimum(power, constants.max_power_w)


# -- the stationary power -------------------------------------------------------------------------


def stationary_power(ratio: Array) -> Array:
    """Return (e^x − 1)/k for the x > 0 that solves x e^x − (e^x − 1) = k, [A-4].

    k = φ_T g / φ_E, 0 < k <= 1e121, at least one axis; times φ_T / φ_E the result is the stationary
    power. Within 3e-15 relative in double precision.
    """
    xp = namespace_of(ratio)
    if xp is not np and xp.finfo(ratio.dtype).max < 1e121:
        # In single precision a ratio may overflow; a power limit clips what it stands for.
        ratio = xp.clip(ratio, max=1e37)
    pieces, table = _table(ratio)
    v = xp.sqrt(xp.log1p(ratio))
    place = v * pieces
    if xp is np:
        piece = place.astype(np.intp)
        coefficients = table.take(piece, axis=1)
    else:
        piece = xp.astype(place, xp.int64)
        coefficients = xp.take(table, xp.reshape(piece, (-1,)), axis=1)
        coefficients = xp.reshape(coefficients, (table.shape[0], *piece.shape))
    place -= piece
    value = coefficients[0]
    for power in _LOWER_POWERS:
        value *= place
        value += coefficients[power]
    value /= v
    return value


_TABLES: dict[tuple[Any, Any], tuple[Array, ...]] = {}


def _table(reference: Array) -> tuple[Array, ...]:
    """Return pieces per unit and the coefficients of all pieces, in the kind of `reference`."""
    device = None if isinstance(reference, np.ndarray) else reference.device
    table = _TABLES.get((reference.dtype, device))
    if table is None:
        # NumPy meets an array without axes faster than a Python float.
        with lasting(namespace_of(reference)):
            table = tuple(like(reference, part) for part in (float(PIECES_PER_UNIT), _fitted()))
        _TABLES[reference.dtype, device] = table
    return table


def _fitted() -> NDArray[np.float64]:
    """Return the coefficients of each piece, highest power first, shape (DEGREE + 1, pieces)."""
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    v = (np.arange(LARGEST_V * PIECES_PER_UNIT)[:, None] + nodes) / PIECES_PER_UNIT
    k = np.expm1(v**2)
    x = solved_by_iteration(k)
    # Far up, e^x would multiply the rounding of x; there the equation itself gives e^x − 1.
    large = x > 2.0
    power = np.where(large, (1.0 - x / k) / np.where(large, x - 1.0, 1.0), 0.0)
    power[~large] = np.expm1(x[~large]) / k[~large]
    return np.asarray(np.linalg.solve(np.vander(nodes), (power * v).T), dtype=np.float64)


def solved_by_iteration(k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve x e^x − (e^x − 1) = k, 0 < k <= 1e121, slowly: all that the table rests on.

    Newton's method on G(x) = x + ln(q/k), q = x + e^-x − 1, G' = 1 − (e^-x − 1)/q: the equation's
    logarithm, concave, and free of overflow. Below k = 4.5e-4 q cancels; there the series of W0
    about its branch point (Corless et al., "On the Lambert W function", Adv. Comput. Math. 5, 1996)
    is exact to 1e-15 with ten terms.
    """
    small = k < 4.5e-4
    root = np.sqrt(2.0 * np.where(small, k, 0.0))
    series = root * np.polynomial.polynomial.polyval(root, _branch_series(10))
    k = np.where(small, 1.0, k)
    x = 1.5 * np.log1p(np.sqrt(k))
    for _ in range(8):
        m = np.expm1(-x)
        q = x + m
        x = x - (x + np.log(q / k)) * q / (q - m)
    return np.where(small, series, x)


def _branch_series(terms: int) -> list[float]:
    """Return the coefficients of 1 + W0((k-1)/e) in powers of sqrt(2k), from the first power."""
    mu, alpha = [-1.0, 1.0], [2.0, -1.0]
    for k in range(2, terms + 1):
        alpha.append(sum(mu[j] * mu[k + 1 - j] for j in range(2, k)))
        ratio = (k - 1) / (k + 1)
        mu.append(ratio * (mu[k - 2] / 2 + alpha[k - 2] / 4) - alpha[k] / 2 - mu[k - 1] / (k + 1))
    return mu[1:]
