r"""The Lagrangian dual of the load problem: lower bounds, prices that maximise it, prices in use.

L²/F = max over λ of λL − λ²F/4, so every price vector λ >= 0 gives a lower bound

    Σ_i min(c_i0, min_j c_ij + λ_j s_i) − Σ_j λ_j² F_j / 4,

a concave function of λ with kinks. :func:`maximise_dual` replaces the minimum over choices by a
soft minimum of temperature τ, which makes it smooth, maximises by Newton's method in the M prices,
and lowers τ in steps, each starting from the prices of the one before. A batch of problems takes
its steps together, each problem those that it takes alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

from mec_gym.optimum.problem import LoadProblems, NormalForm

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


def dual_bounds(problems: LoadProblems, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lower bounds (B,) on optima by weak duality, safe against rounding; not negative.

    `prices` are λ_j, (B, M) [1/sqrt(cycle)]; any numbers, negative ones counting as 0. The better,
    the sharper the bound. Where all tasks are equal, the load is s times a whole number k <= N, and
    the conjugate λ²F/4 gives way to the smaller maximum of λsk − s²k²/F over such k.
    """
    prices = np.maximum(prices, 0.0)
    with np.errstate(all="ignore"):
        priced = prices[:, :, None] * problems.root_work[:, None]
        priced += np.swapaxes(problems.cost[..., 1:], -1, -2)
        gains = np.minimum(problems.cost[..., 0], priced.min(axis=-2))
        paid, magnitude = conjugates(problems, prices)
        # fsum is exact up to its last digit. The terms before it take at most 6 roundings of
        # relative size 2^-53 of the magnitudes summed, all terms being sums of products of
        # numbers >= 0 except `paid`, whose own terms are in `magnitude`.
        income = exact_sums(gains)
        bound = income - exact_sums(paid)
        bound -= 4.0 * np.finfo(np.float64).eps * (income + exact_sums(magnitude))
        return np.where(np.isfinite(bound), np.maximum(bound, 0.0), 0.0)


def exact_sums(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of rows, rounded once."""
    return np.array([math.fsum(row) for row in rows.tolist()])


def conjugates(
    problems: LoadProblems, prices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return max over the loads of λL − L²/F for each server, and the sum of its terms' sizes."""
    frequency = problems.server_frequency
    paid = prices * (prices * frequency) / 4.0
    least, most = problems.root_work.min(axis=-1), problems.root_work.max(axis=-1)
    equal = problems.equal_tasks & (least > 0.0)
    if not equal.any():
        return paid, paid
    devices = problems.cost.shape[-2]
    equal, least, most = equal[:, None], least[:, None], most[:, None]
    # Root works may differ in the last digits: the load of k devices lies between these.
    vertex = prices * (frequency / (2.0 * least)) * (most / least)
    below = np.floor(np.minimum(vertex, devices))
    counts = np.stack([below, np.minimum(below + 1.0, devices)])
    income = prices * (counts * most)
    spent = (counts * least) * (counts * least / frequency)
    net, sizes = income - spent, income + spent
    more = net[1] > net[0]
    best, magnitude = np.where(more, net[1], net[0]), np.where(more, sizes[1], sizes[0])
    return np.where(equal, best, paid), np.where(equal, magnitude, paid)


class Priced(NamedTuple):
    """A problem at prices: minimise Σ regret + Σ_j curvature_j (ℓ_j − wanted_j)².

    Index 0 is local execution, whose curvature is 0.
    """

    regret: NDArray[np.float64]  # (M + 1, N): priced cost above the device's least
    wanted: NDArray[np.float64]  # (M + 1,): the loads that the prices call for, p_j / (2 w_j)
    curvature: NDArray[np.float64]  # (M + 1,): w_j
    size: NDArray[np.float64]  # (N,): what a device adds to the load of its server

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
    """Return one problem at prices of ℓ_j, shape (M,), not negative."""
    regret = form.excess.copy()
    regret[1:] += np.multiply.outer(price, form.size)
    regret -= regret.min(axis=0)
    curvature = np.concatenate([[0.0], form.curvature])
    wanted = np.concatenate([[0.0], price / (2.0 * form.curvature)])
    return Priced(regret, wanted, curvature, form.size)


# -- prices that maximise the dual ----------------------------------------------------------------


def maximise_dual(
    form: NormalForm, *, relative_gap: float = 0.0, mismatch: float = 0.0
) -> NDArray[np.float64]:
    """Return prices p_j >= 0 of ℓ_j, (..., M), that nearly maximise the continuous dual.

    All sizes must be positive. It cools until what smoothing costs is less than `relative_gap` of
    the bound, or until the loads of the devices' best choices miss the loads that the prices call
    for by less than `mismatch`, summed over the servers. Divided by ``form.unit`` they are prices
    of root work. A problem in a batch gets the same numbers as alone.
    """
    if form.excess.ndim == 2:
        return _alone(form, relative_gap, mismatch)
    if len(form.excess) == 1:  # without the batch's bookkeeping
        return _alone(form.at(0), relative_gap, mismatch)[None]
    return _together(form, relative_gap, mismatch)


def uniform_price(form: NormalForm) -> Any:
    """Return the common price at which the devices' demand meets what the servers supply.

    Demand is the size of the devices that gain by offloading to the server they like best; at price
    p server j is best at the load p / (2 curvature_j). 0 where no device gains even at no price.
    """
    worth = (form.excess[..., 0, :] - form.excess[..., 1:, :].min(axis=-2)) / form.size
    order = np.argsort(-worth, axis=-1, kind="stable")
    if order.ndim > 1:
        order += order.shape[-1] * np.arange(len(order))[:, None]
    worth, size = worth.reshape(-1)[order], form.size.reshape(-1)[order]
    clearing = size.cumsum(axis=-1) / (0.5 / form.curvature).sum(axis=-1)[..., None]
    # Supply is short of what the buyers so far want below the first, and they leave above the
    # second: one rises from buyer to buyer, the other falls.
    return np.maximum(np.minimum(clearing, worth).max(axis=-1), 0.0)


class _Smoothed(NamedTuple):
    """The smoothed dual at a point, or the duals of a batch at a point each."""

    price: NDArray[np.float64]
    value: Any
    gradient: NDArray[np.float64]
    shares: NDArray[np.float64]  # (..., M, N): probability of the choice times the device's size


def _smoothed(form: NormalForm, price: NDArray[np.float64], temperature: Any) -> _Smoothed:
    odds = _priced(form, price)
    least = odds.min(axis=-2)
    odds -= least[..., None, :]
    odds *= (-1.0 / temperature)[..., None, None]
    np.exp(odds, out=odds)
    total = odds.sum(axis=-2)
    wanted = price / (2.0 * form.curvature)
    value = least.sum(axis=-1) - temperature * np.log(total).sum(axis=-1)
    value -= (price * wanted).sum(axis=-1) / 2.0
    shares = odds[..., 1:, :]
    shares *= (form.size / total)[..., None, :]
    return _Smoothed(price, value, shares.sum(axis=-1) - wanted, shares)


def _priced(form: NormalForm, price: NDArray[np.float64]) -> NDArray[np.float64]:
    priced = np.empty_like(form.excess)
    priced[..., 0, :] = form.excess[..., 0, :]
    links = priced[..., 1:, :]
    np.multiply(price[..., None], form.size[..., None, :], out=links)
    links += form.excess[..., 1:, :]
    return priced


def _newton_step(form: NormalForm, here: _Smoothed, temperature: Any) -> NDArray[np.float64]:
    """Solve (diag(1/2w) + Cov/τ) step = gradient, Cov being the covariance of the choices."""
    shares, size = here.shares, here.price.shape[-1]
    minus_hessian = shares @ shares.swapaxes(-1, -2)
    minus_hessian *= (-1.0 / temperature)[..., None, None]
    diagonal = minus_hessian.reshape(-1, size * size)[:, :: size + 1]  # a view
    diagonal += (shares @ form.size[..., None])[..., 0] / temperature[..., None]
    diagonal += 0.5 / form.curvature
    steps = here.gradient * form.curvature
    if steps.ndim == 1:
        _, found, failed = dposv(minus_hessian, here.gradient)
        return steps if failed else np.asarray(found)
    for step, matrix, gradient in zip(steps, minus_hessian, here.gradient, strict=True):
        _, found, failed = dposv(matrix, gradient)
        if not failed:
            step[:] = found
    return steps


def _quality(form: NormalForm, price: NDArray[np.float64], smoothed: Any) -> tuple[Any, Any, Any]:
    """Return what smoothing costs, the summed load mismatch, and the dual value."""
    priced = _priced(form, price)
    choice = priced.argmin(axis=-2)
    bins = priced[..., 0].size
    if choice.ndim > 1:
        choice += priced.shape[-2] * np.arange(len(choice))[:, None]
    loads = np.bincount(choice.reshape(-1), form.size.reshape(-1), bins)
    wanted = price / (2.0 * form.curvature)
    value = priced.min(axis=-2).sum(axis=-1) - (price * wanted).sum(axis=-1) / 2.0
    missed = np.abs(loads.reshape(priced.shape[:-1])[..., 1:] - wanted).sum(axis=-1)
    return value - smoothed, missed, value


# -- one problem ----------------------------------------------------------------------------------


def _alone(form: NormalForm, relative_gap: float, mismatch: float) -> NDArray[np.float64]:
    start = uniform_price(form)
    price = np.full(len(form.curvature), start)
    temperature = start * START_TEMPERATURE
    for _ in range(LEVELS):
        if not temperature > 0.0:
            break
        price, value = _newton_alone(form, price, temperature)
        smoothing, missed, exact = _quality(form, price, value)
        if smoothing <= relative_gap * (form.base + exact) or missed <= mismatch:
            break
        temperature *= COOLING
    return price


def _newton_alone(
    form: NormalForm, price: NDArray[np.float64], temperature: np.float64
) -> tuple[NDArray[np.float64], np.float64]:
    """Return better prices for the dual smoothed at a temperature, and its value there."""
    here = _smoothed(form, price, temperature)
    for _ in range(STEPS):
        step = _newton_step(form, here, temperature)
        promise = here.gradient @ step
        if not promise > DECREMENT * temperature:
            break
        length = 1.0
        for _ in range(BACKTRACKS):
            price = np.maximum(here.price + length * step, 0.0)
            there = _smoothed(form, price, temperature)
            rises = there.value >= here.value + SUFFICIENT * length * promise
            if rises:
                break
            length *= SHRINK
        if not rises:
            break
        here = there
    return here.price, here.value


# -- a batch --------------------------------------------------------------------------------------

_Batch = TypeVar("_Batch", NormalForm, _Smoothed)


def _some(batch: _Batch, rows: NDArray[np.int64]) -> _Batch:
    """Return some of a batch's problems, in order; all of them without copies."""
    if len(rows) == len(batch[0]):
        return batch
    return type(batch)(*(field[rows] for field in batch))


def _moved(batch: _Smoothed, rows: NDArray[np.int64], other: _Smoothed) -> _Smoothed:
    """Return a batch with some problems at other points; may overwrite it."""
    if len(rows) == len(batch.value):
        return other
    for mine, theirs in zip(batch, other, strict=True):
        mine[rows] = theirs
    return batch


def _together(form: NormalForm, relative_gap: float, mismatch: float) -> NDArray[np.float64]:
    start = uniform_price(form)
    price = np.repeat(start[:, None], form.curvature.shape[-1], axis=-1)
    temperature = start * START_TEMPERATURE
    rows = (temperature > 0.0).nonzero()[0]  # that are not done
    for _ in range(LEVELS):
        if not rows.size:
            break
        part = _some(form, rows)
        price[rows], value = _newton_together(part, price[rows], temperature[rows])
        smoothing, missed, exact = _quality(part, price[rows], value)
        temperature[rows] *= COOLING
        done = (smoothing <= relative_gap * (part.base + exact)) | (missed <= mismatch)
        rows = rows[~done & (temperature[rows] > 0.0)]
    return price


def _newton_together(
    form: NormalForm, price: NDArray[np.float64], temperature: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return better prices for the duals smoothed at temperatures, and their values there."""
    here = _smoothed(form, price, temperature)
    rows = np.arange(len(price))  # that still rise
    for _ in range(STEPS):
        part, at, heat = _some(form, rows), _some(here, rows), temperature[rows]
        step = _newton_step(part, at, heat)
        promise = np.vecdot(at.gradient, step)
        rising = (promise > DECREMENT * heat).nonzero()[0]
        if not rising.size:
            break
        part, at = _some(part, rising), _some(at, rising)
        there, higher = _line_search(part, at, step[rising], promise[rising], heat[rising])
        rows = rows[rising[higher]]
        if not rows.size:
            break
        here = _moved(here, rows, _some(there, higher))
    return here.price, here.value


def _line_search(
    form: NormalForm,
    here: _Smoothed,
    step: NDArray[np.float64],
    promise: NDArray[np.float64],
    temperature: NDArray[np.float64],
) -> tuple[_Smoothed, NDArray[np.int64]]:
    """Return the first points along the steps that rise enough, and which there are."""
    length = 1.0
    there = _smoothed(form, np.maximum(here.price + step, 0.0), temperature)
    rises = there.value >= here.value + SUFFICIENT * promise
    for _ in range(BACKTRACKS - 1):
        short = (~rises).nonzero()[0]
        if not short.size:
            break
        length *= SHRINK
        part, at = _some(form, short), _some(here, short)
        price = np.maximum(at.price + length * step[short], 0.0)
        again = _smoothed(part, price, temperature[short])
        there = _moved(there, short, again)
        rises[short] = again.value >= at.value + SUFFICIENT * length * promise[short]
    return there, rises.nonzero()[0]
