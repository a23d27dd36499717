r"""The Lagrangian dual of the load problem: lower bounds, and the problem at prices.

L²/F = max over λ of λL − λ²F/4, so every price vector λ >= 0 gives a lower bound

    Σ_i min(c_i0, min_j c_ij + λ_j s_i) − Σ_j λ_j² F_j / 4,

a concave function of λ.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.problem import LoadProblem, LoadProblems, NormalForm


def dual_bound(problem: LoadProblem, prices: NDArray[np.float64]) -> float:
    """Return a lower bound on the optimum by weak duality, safe against rounding; not negative.

    `prices` are λ_j, (M,) [1/sqrt(cycle)]; any numbers, negative ones counting as 0. The better,
    the sharper the bound. Where all tasks are equal, the load is s times a whole number k <= N, and
    the conjugate λ²F/4 gives way to the smaller maximum of λsk − s²k²/F over such k.
    """
    return float(dual_bounds(problem.alone(), prices[None])[0])


def dual_bounds(problems: LoadProblems, prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return :func:`dual_bound` of every problem of a batch, (B,), at prices (B, M)."""
    prices = np.maximum(prices, 0.0)
    with np.errstate(all="ignore"):
        priced = prices[:, :, None] * problems.root_work[:, None]
        priced += np.swapaxes(problems.cost[..., 1:], -1, -2)
        gains = np.minimum(problems.cost[..., 0], priced.min(axis=-2))
        paid, magnitude = _conjugates(problems, prices)
        # fsum is exact up to its last digit. The terms before it take at most 6 roundings of
        # relative size 2^-53 of the magnitudes summed, all terms being sums of products of
        # numbers >= 0 except `paid`, whose own terms are in `magnitude`.
        income = _exact_sums(gains)
        bound = income - _exact_sums(paid)
        bound -= 4.0 * np.finfo(np.float64).eps * (income + _exact_sums(magnitude))
        return np.where(np.isfinite(bound), np.maximum(bound, 0.0), 0.0)


def _exact_sums(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([math.fsum(row) for row in rows.tolist()])


def _conjugates(
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
