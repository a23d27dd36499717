r"""The exact optimum for equal tasks, by successive shortest paths over the servers.

With equal root work the k-th device on server j adds w_j (2k − 1), w_j = s²/F_j, to the load
cost: the marginal cost grows with k, so the problem is a minimum-cost flow with convex costs.
Devices send one unit each to the server they choose or to the node 0, "local", that is also the
sink; server j passes its units on to the sink. Given prices p_j of a place at server j,

* every device takes its cheapest choice at the prices, and
* every server wants the number of units k_j with w_j (2 k_j − 1) <= p_j <= w_j (2 k_j + 1).

Where the devices on each server are as many as it wants, the flow is optimal: the prices prove
it. From near-optimal prices only a few units are missing or in excess; each is brought home along
a shortest path of the residual graph, whose M + 1 nodes are the servers and the sink. The arc
a -> b costs what moving the cheapest device from a to b costs; arcs to and from the sink may also
change the number wanted. Prices are updated by the path lengths, which keeps both conditions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.problem import NormalForm


class Flow(NamedTuple):
    """An optimal assignment of equal tasks and the prices that prove it.

    Attributes
    ----------
    assignment : ndarray, shape (N,)
        0 = local, j = server j.
    price : ndarray, shape (M,), [1]
        p_j: what one more device on server j would cost.
    """

    assignment: NDArray[np.int64]
    price: NDArray[np.float64]


def transport(form: NormalForm, price: NDArray[np.float64]) -> Flow:
    """Return the optimum for equal tasks.

    Parameters
    ----------
    form : NormalForm
        All sizes equal to 1.
    price : ndarray, shape (M,), [1]
        Prices >= 0 to start from; the nearer to optimal, the faster.

    Returns
    -------
    Flow

    Examples
    --------
    >>> form = NormalForm(np.array([[1.0, 3.0], [0.0, 0.0]]), np.ones(2), np.ones(1), 1.0, 0.0)
    >>> transport(form, np.zeros(1)).assignment
    array([0, 1])
    """
    repair = _Repair(form, price)
    while repair.step():
        pass
    return Flow(repair.choice, repair.certify())


class _Paths(NamedTuple):
    """Shortest paths from the nodes in excess, over reduced costs."""

    length: NDArray[np.float64]
    before: NDArray[np.int64]  # the node before on the path, -1 at its start


class _Repair:
    """A flow under repair: every device at its best choice, every server wanting its best count.

    Attributes
    ----------
    choice : ndarray, shape (N,)
        The node each device sends its unit to.
    """

    def __init__(self, form: NormalForm, price: NDArray[np.float64]) -> None:
        self._cost = np.ascontiguousarray(form.excess.T)
        self._weight = form.curvature
        n_devices, self._width = self._cost.shape
        self._price = np.concatenate([[0.0], price])
        self.choice = (self._cost + self._price).argmin(axis=1)
        self._count = np.bincount(self.choice, minlength=self._width)
        # No server can want more than all devices, whatever it is offered.
        wanted = np.rint(np.minimum(price / (2.0 * self._weight), n_devices))
        self._wanted = np.concatenate([[n_devices], wanted.astype(np.int64)])
        # The sink wants all units: those of the local devices and those the servers pass on.
        self._nodes = np.arange(self._width)
        self._move = self._least_moves()

    def step(self) -> bool:
        """Bring some units in excess home along shortest paths; return False when none is."""
        excess = self._excess()
        if not excess.any():
            return False
        arcs = self._arcs()
        paths = self._shortest_paths(arcs, excess)
        short = (excess < 0).nonzero()[0]
        if len(short) > 1:
            short = short[np.argsort(paths.length[short], kind="stable")]
        used: set[int] = set()
        touched: set[int] = set()
        reach = 0.0
        for target in short:
            path = _trace(paths.before, int(target))
            # Paths that share a node would share devices; the next step finds them.
            if used.isdisjoint(path):
                used.update(path)
                reach = paths.length[target]
                touched |= self._send(path, arcs)
        self._price -= np.minimum(paths.length, reach)
        self._price -= self._price[0]
        for node in touched:
            self._move[node] = self._least_moves_from(node)
        return True

    def certify(self) -> NDArray[np.float64]:
        """Return the servers' prices afresh: the least cost of the residual paths to the sink.

        They exist because the residual graph of an optimal flow has no negative cycle. A price
        is the sum of few costs, free of the rounding that the updates have left.
        """
        arcs = self._arcs()
        price = arcs[:, 0].copy()
        price[0] = 0.0
        for _ in range(self._width):
            better = np.minimum(price, (arcs + price).min(axis=1))
            better[0] = 0.0
            if (better == price).all():
                break
            price = better
        return np.maximum(price[1:], 0.0)

    def _excess(self) -> NDArray[np.int64]:
        excess: NDArray[np.int64] = self._count - self._wanted
        excess[0] += self._wanted[1:].sum()
        return excess

    def _arcs(self) -> NDArray[np.float64]:
        """Return the residual costs, shape (M + 1, M + 1), infinite where there is no arc."""
        arcs = self._move.copy()
        wanted = self._wanted[1:]
        arcs[1:, 0] = np.minimum(arcs[1:, 0], self._weight * (2 * wanted + 1))
        fewer = np.where(wanted > 0, -self._weight * (2 * wanted - 1), np.inf)
        arcs[0, 1:] = np.minimum(arcs[0, 1:], fewer)
        return arcs

    def _shortest_paths(self, arcs: NDArray[np.float64], excess: NDArray[np.int64]) -> _Paths:
        """Bellman-Ford over reduced costs, all nodes at once.

        Reduced costs are >= 0 but for rounding; cut off at 0, updates that strictly shorten
        cannot close a cycle.
        """
        reduced = np.maximum(arcs + self._price - self._price[:, None], 0.0)
        length = np.where(excess > 0, 0.0, np.inf)
        before = np.full(self._width, -1)
        while True:
            candidates = length[:, None] + reduced
            best = candidates.argmin(axis=0)
            shortest = candidates[best, self._nodes]
            better = shortest < length
            if not better.any():
                return _Paths(length, before)
            length = np.where(better, shortest, length)
            before = np.where(better, best, before)

    def _send(self, path: list[int], arcs: NDArray[np.float64]) -> set[int]:
        """Send one unit along a path, given backwards; return the nodes whose devices changed."""
        touched: set[int] = set()
        for head, tail in pairwise(path):
            if arcs[tail, head] < self._move[tail, head]:
                self._wanted[tail or head] += 1 if head == 0 else -1
            else:
                self.choice[self._mover(tail, head)] = head
                self._count[tail] -= 1
                self._count[head] += 1
                touched |= {tail, head}
        return touched

    def _least_moves(self) -> NDArray[np.float64]:
        """Return what moving the cheapest device from each node to each other one costs."""
        order = np.argsort(self.choice, kind="stable")
        moves = self._cost[order]
        moves -= moves[np.arange(len(order)), self.choice[order]][:, None]
        least = np.full((self._width, self._width), np.inf)
        crowded = self._count.nonzero()[0]
        first = np.cumsum(self._count)[crowded] - self._count[crowded]
        least[crowded] = np.minimum.reduceat(moves, first, axis=0)
        least[self._nodes, self._nodes] = np.inf
        return least

    def _least_moves_from(self, node: int) -> NDArray[np.float64]:
        """Return one row of it."""
        moves = self._cost[self.choice == node]
        moves -= moves[:, node].copy()[:, None]
        least: NDArray[np.float64] = moves.min(axis=0, initial=np.inf)
        least[node] = np.inf
        return least

    def _mover(self, tail: int, head: int) -> int:
        """Return the device that moves from one node to another at the least cost."""
        members = np.flatnonzero(self.choice == tail)
        costs = self._cost[members]
        return int(members[(costs[:, head] - costs[:, tail]).argmin()])


def _trace(before: NDArray[np.int64], target: int) -> list[int]:
    """Return the nodes of the path to a target, the target first."""
    path = [target]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path
