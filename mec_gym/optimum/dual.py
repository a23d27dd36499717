r"""The Lagrangian dual of the load problem: lower bounds, and the prices that maximise them.

L²/F = max over λ of λL − λ²F/4, so every price vector λ >= 0 gives a lower bound

    Σ_i min(c_i0, min_j c_ij + λ_j s_i) − Σ_j λ_j² F_j / 4,

a concave function of λ. :func:`maximise_dual` replaces the minimum over choices by a soft minimum
of temperature τ, which makes it smooth, maximises by Newton's method in the M prices, and lowers
τ in steps, each starting from the prices of the one before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

from mec_gym.optimum.problem import LoadProblem, NormalForm

START_TEMPERATURE = 0.02
"""First temperature as a part of the uniform price; larger ones only forget the good start."""

COOLING = 0.25
"""Ratio of successive temperatures; Newton's method loses the track below some 0.15."""

LEVELS = 14
"""Temperatures at most; the last is about 3e-10 of the uniform price."""

STEPS = 8
"""Newton steps a temperature at most; 1 to 3 are usual."""

DECREMENT = 0.1
"""A level ends when the next step promises less than this part of the temperature."""

BACKTRACKS = 6
SHRINK = 0.4
SUFFICIENT = 1e-4
"""Line search: shorten by 0.4 up to 6 times until 1e-4 of the promised increase is reached."""


def dual_bound(problem: LoadProblem, prices: NDArray[np.float64]) -> float:
    r"""Return a lower bound on the optimum by weak duality, safe against rounding.

    Parameters
    ----------
    problem : LoadProblem
        The problem.
    prices : ndarray, shape (M,), [1/sqrt(cycle)]
        λ_j; any numbers, negative ones counting as 0. The better, the sharper the bound.

    Returns
    -------
    float, [1]
        No assignment has a smaller objective. Not negative.

    Notes
    -----
    Where all tasks are equal, the load is s times a whole number k <= N, and the conjugate
    λ²F/4 gives way to the smaller maximum of λsk − s²k²/F over such k.

    Examples
    --------
    >>> problem = LoadProblem(np.array([[2.0, 0.5]]), np.ones(1), np.ones(1))
    >>> bound = dual_bound(problem, np.array([1.0]))
    >>> bound <= 1.5, round(bound, 9)
    (True, 1.5)
    """
    prices = np.maximum(prices, 0.0)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        priced = np.multiply.outer(prices, problem.root_work)
        priced += problem.cost.T[1:]
        gains = np.minimum(problem.cost[:, 0], priced.min(axis=0))
        paid, magnitude = _conjugates(problem, prices)
        # fsum is exact up to its last digit. The terms before it take at most 6 roundings of
        # relative size 2^-53 of the magnitudes summed, all terms being sums of products of
        # numbers >= 0 except `paid`, whose own terms are in `magnitude`.
        weight = math.fsum(gains) + math.fsum(magnitude)
        bound = math.fsum(gains) - math.fsum(paid)
        bound -= 4.0 * np.finfo(np.float64).eps * weight
    return max(float(bound), 0.0) if math.isfinite(bound) else 0.0


def _conjugates(
    problem: LoadProblem, prices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return max over the loads of λL − L²/F for each server, and the sum of its terms' sizes."""
    frequency = problem.server_frequency
    if not (problem.equal_tasks and problem.root_work.min() > 0.0):
        paid = prices * (prices * frequency) / 4.0
        return paid, paid
    # Root works may differ in the last digits: the load of k devices lies between these.
    least, most = problem.root_work.min(), problem.root_work.max()
    vertex = prices * (frequency / (2.0 * least)) * (most / least)
    below = np.floor(np.minimum(vertex, problem.n_devices))
    counts = np.stack([below, np.minimum(below + 1.0, problem.n_devices)])
    income = prices * (counts * most)
    spent = (counts * least) * (counts * least / frequency)
    best = (income - spent).argmax(axis=0)
    servers = np.arange(problem.n_servers)
    return (income - spent)[best, servers], (income + spent)[best, servers]


def uniform_price(form: NormalForm) -> float:
    """Return the common price at which the devices' demand meets what the servers supply.

    Demand is the size of the devices that gain by offloading to the server they like best;
    at price p server j is best at the load p / (2 curvature_j).

    Parameters
    ----------
    form : NormalForm
        All sizes positive.

    Returns
    -------
    float, [1]
        0 if no device gains by offloading even at no price.

    Examples
    --------
    >>> uniform_price(NormalForm(np.array([[9.0], [0.0]]), np.ones(1), np.ones(1), 1.0, 0.0))
    2.0
    """
    worth = (form.excess[0] - form.excess[1:].min(axis=0)) / form.size
    order = np.argsort(-worth, kind="stable")
    worth = worth[order]
    supply = float(np.sum(0.5 / form.curvature))
    clearing = np.cumsum(form.size[order]) / supply
    bought = int(np.count_nonzero(clearing < worth))
    price = float(clearing[bought - 1]) if bought else 0.0
    if bought < len(worth):
        # The next device would buy at the price before it, not at the price after it.
        price = max(price, min(float(clearing[bought]), float(worth[bought])))
    return price


class _Smoothed(NamedTuple):
    """The smoothed dual at one point."""

    price: NDArray[np.float64]
    value: float
    gradient: NDArray[np.float64]
    shares: NDArray[np.float64]  # (M, N): probability of the choice times the device's size


def maximise_dual(
    form: NormalForm, *, relative_gap: float = 0.0, mismatch: float = 0.0
) -> NDArray[np.float64]:
    """Return prices that nearly maximise the dual with continuous conjugate.

    Parameters
    ----------
    form : NormalForm
        All sizes positive.
    relative_gap : float, [1]
        Cool until what smoothing costs is less than this part of the bound.
    mismatch : float, [1]
        Or until the loads of the devices' best choices miss the loads that the prices call for
        by less than this, summed over the servers.

    Returns
    -------
    ndarray, shape (M,), [1]
        p_j >= 0, prices of ℓ_j; divided by ``form.unit`` they are prices of root work.

    Examples
    --------
    >>> form = NormalForm(np.array([[9.0, 9.0], [0.0, 0.0]]), np.ones(2), np.ones(1), 1.0, 0.0)
    >>> maximise_dual(form)
    array([4.])
    """
    start = uniform_price(form)
    price = np.full(len(form.curvature), start)
    temperature = start * START_TEMPERATURE
    for _ in range(LEVELS):
        if not temperature > 0.0:
            break
        price, value = _newton(form, price, temperature)
        smoothing, missed, exact = _quality(form, price, value)
        if smoothing <= relative_gap * (form.base + exact) or missed <= mismatch:
            break
        temperature *= COOLING
    return price


def _quality(
    form: NormalForm, price: NDArray[np.float64], smoothed: float
) -> tuple[float, float, float]:
    """Return what smoothing costs, the summed load mismatch, and the dual value."""
    priced = _priced(form, price)
    choice = priced.argmin(axis=0)
    loads = np.bincount(choice, weights=form.size, minlength=len(price) + 1)[1:]
    wanted = price / (2.0 * form.curvature)
    least = np.take_along_axis(priced, choice[None], axis=0)
    value = float(least.sum() - (price * wanted).sum() / 2.0)
    return value - smoothed, float(np.abs(loads - wanted).sum()), value


def _priced(form: NormalForm, price: NDArray[np.float64]) -> NDArray[np.float64]:
    priced = np.empty_like(form.excess)
    priced[0] = form.excess[0]
    np.multiply.outer(price, form.size, out=priced[1:])
    priced[1:] += form.excess[1:]
    return priced


def _smoothed(form: NormalForm, price: NDArray[np.float64], temperature: float) -> _Smoothed:
    odds = _priced(form, price)
    least = odds.min(axis=0)
    odds -= least
    odds *= -1.0 / temperature
    np.exp(odds, out=odds)
    total = odds.sum(axis=0)
    wanted = price / (2.0 * form.curvature)
    value = least.sum() - temperature * np.log(total).sum() - (price * wanted).sum() / 2.0
    shares = odds[1:]
    shares *= form.size / total
    return _Smoothed(price, float(value), shares.sum(axis=1) - wanted, shares)


def _newton(
    form: NormalForm, price: NDArray[np.float64], temperature: float
) -> tuple[NDArray[np.float64], float]:
    """Return better prices for the dual smoothed at a temperature, and its value there."""
    here = _smoothed(form, price, temperature)
    for _ in range(STEPS):
        step = _newton_step(form, here, temperature)
        promise = float(here.gradient @ step)
        if not promise > DECREMENT * temperature:
            break
        there = _line_search(form, here, step, promise, temperature)
        if there is None:
            break
        here = there
    return here.price, here.value


def _newton_step(form: NormalForm, here: _Smoothed, temperature: float) -> NDArray[np.float64]:
    """Solve (diag(1/2w) + Cov/τ) step = gradient, Cov being the covariance of the choices."""
    minus_hessian = here.shares @ here.shares.T
    minus_hessian *= -1.0 / temperature
    size = len(here.price)
    minus_hessian.flat[:: size + 1] += here.shares @ form.size / temperature
    minus_hessian.flat[:: size + 1] += 0.5 / form.curvature
    _, step, failed = dposv(minus_hessian, here.gradient)
    return here.gradient * form.curvature if failed else np.asarray(step)


def _line_search(
    form: NormalForm,
    here: _Smoothed,
    step: NDArray[np.float64],
    promise: float,
    temperature: float,
) -> _Smoothed | None:
    """Return the first point along the step that rises enough, or None."""
    length = 1.0
    for _ in range(BACKTRACKS):
        price = np.maximum(here.price + length * step, 0.0)
        there = _smoothed(form, price, temperature)
        if there.value >= here.value + SUFFICIENT * length * promise:
            return there
        length *= SHRINK
    return there if there.value > here.value else None


class Priced(NamedTuple):
    """A problem at prices: minimise Σ regret + Σ_j curvature_j (ℓ_j − wanted_j)².

    Index 0 is local execution, whose curvature is 0.

    Attributes
    ----------
    regret : ndarray, shape (M + 1, N), [1]
        Priced cost above the device's least.
    wanted : ndarray, shape (M + 1,), [1]
        The loads that the prices call for, p_j / (2 w_j).
    curvature : ndarray, shape (M + 1,), [1]
        w_j.
    size : ndarray, shape (N,), [1]
        What a device adds to the load of its server.
    """

    regret: NDArray[np.float64]
    wanted: NDArray[np.float64]
    curvature: NDArray[np.float64]
    size: NDArray[np.float64]

    def missed(self, choice: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how much an assignment's loads exceed those wanted, shape (M + 1,)."""
        loads = np.bincount(choice, weights=self.size, minlength=len(self.wanted))
        return np.asarray(loads - self.wanted)

    def excess(self, choice: NDArray[np.int64]) -> float:
        """Return by how much an assignment's objective exceeds the dual value."""
        missed = self.missed(choice)
        regret = self.regret[choice, np.arange(len(choice))].sum()
        return float(regret + (self.curvature * missed * missed).sum())


def at_prices(form: NormalForm, price: NDArray[np.float64]) -> Priced:
    """Return a problem at prices.

    Parameters
    ----------
    form : NormalForm
        The problem.
    price : ndarray, shape (M,), [1]
        Prices of ℓ_j, not negative.

    Returns
    -------
    Priced

    Examples
    --------
    >>> form = NormalForm(np.array([[9.0], [0.0]]), np.ones(1), np.ones(1), 1.0, 0.0)
    >>> at_prices(form, np.array([2.0])).regret.ravel()
    array([7., 0.])
    """
    regret = form.excess.copy()
    regret[1:] += np.multiply.outer(price, form.size)
    regret -= regret.min(axis=0)
    curvature = np.concatenate([[0.0], form.curvature])
    wanted = np.concatenate([[0.0], price / (2.0 * form.curvature)])
    return Priced(regret, wanted, curvature, form.size)
