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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.problem import NormalForm


class Flow(NamedTuple):
    """Optimal assignments of equal tasks and the prices that prove them."""

    assignment: NDArray[np.int64]  # (B, N): 0 = local, j = server j
    price: NDArray[np.float64]  # (B, M): what one more device on server j would cost


def transport(form: NormalForm, price: NDArray[np.float64]) -> Flow:
    """Return the optima of a batch of problems with equal tasks, all sizes being 1.

    The prices to start from are (B, M), >= 0; the nearer to optimal, the faster.
    """
    repair = _Repair(form, price)
    while repair.step():
        pass
    return Flow(repair.choice, repair.certify())


class _Paths(NamedTuple):
    """Shortest paths from the nodes in excess, over reduced costs; of several problems."""

    length: NDArray[np.float64]
    before: NDArray[np.int64]  # the node before on the path, -1 at its start


class _Repair:
    """Flows under repair: every device at its best choice, every server wanting its best count.

    `choice`, (B, N), is the node each device sends its unit to. Problems take their steps together,
    each those that it takes alone.
    """

    def __init__(self, form: NormalForm, price: NDArray[np.float64]) -> None:
        self._cost = np.ascontiguousarray(np.swapaxes(form.excess, -1, -2))
        self._weight = form.curvature
        batch, n_devices, self._width = self._cost.shape
        self._price = np.concatenate([np.zeros((batch, 1)), price], axis=1)
        self.choice = (self._cost + self._price[:, None]).argmin(axis=-1)
        bins = self.choice + self._width * np.arange(batch)[:, None]
        count = np.bincount(bins.reshape(-1), minlength=batch * self._width)
        self._count = count.reshape(batch, self._width)
        # No server can want more than all devices, whatever it is offered.
        wanted = np.rint(np.minimum(price / (2.0 * self._weight), n_devices))
        # The sink wants all units: those of the local devices and those the servers pass on.
        self._wanted = np.full((batch, self._width), n_devices)
        self._wanted[:, 1:] = wanted
        self._nodes = np.arange(self._width)
        self._move = self._least_moves(bins)

    def step(self) -> bool:
        """Bring some units in excess home along shortest paths; return False when none is."""
        excess = self._count - self._wanted
        excess[:, 0] += self._wanted[:, 1:].sum(axis=1)
        rows = excess.any(axis=1).nonzero()[0]
        if not rows.size:
            return False
        excess, arcs, price = excess[rows], self._arcs(rows), self._price[rows]
        paths = _shortest_paths(arcs, price, excess)
        reach = np.zeros((len(rows), 1))
        for place, row in enumerate(rows.tolist()):
            reach[place] = self._bring_home(row, arcs[place], excess[place], paths, place)
        price -= np.minimum(paths.length, reach)
        self._price[rows] = price - price[:, :1]
        return True

    def _bring_home(
        self,
        row: int,
        arcs: NDArray[np.float64],
        excess: NDArray[np.int64],
        paths: _Paths,
        place: int,
    ) -> float:
        """Send units of one problem along paths without a common node; return the longest."""
        length, before = paths.length[place], paths.before[place].tolist()
        short = (excess < 0).nonzero()[0]
        if len(short) > 1:
            short = short[np.argsort(length[short], kind="stable")]
        used: set[int] = set()
        touched: set[int] = set()
        reach = 0.0
        for target in short.tolist():
            path = _trace(before, target)
            # Paths that share a node would share devices; the next step finds them.
            if used.isdisjoint(path):
                used.update(path)
                reach = float(length[target])
                touched |= self._send(row, path, arcs)
        for node in touched:
            self._move[row, node] = self._least_moves_from(row, node)
        return reach

    def certify(self) -> NDArray[np.float64]:
        """Return the servers' prices afresh: the least cost of the residual paths to the sink."""
        arcs = self._arcs(slice(None))
        price = arcs[:, :, 0].copy()
        price[:, 0] = 0.0
        for _ in range(self._width):
            better = np.minimum(price, (arcs + price[:, None]).min(axis=-1))
            better[:, 0] = 0.0
            if (better == price).all():
                break
            price = better
        return np.maximum(price[:, 1:], 0.0)

    def _arcs(self, rows: Any) -> NDArray[np.float64]:
        """Return residual costs, shape (rows, M + 1, M + 1), infinite where there is no arc."""
        arcs = np.array(self._move[rows])  # a copy of a slice, too
        wanted, weight = self._wanted[rows, 1:], self._weight[rows]
        np.minimum(arcs[:, 1:, 0], weight * (2 * wanted + 1), out=arcs[:, 1:, 0])
        fewer = np.where(wanted > 0, -weight * (2 * wanted - 1), np.inf)
        np.minimum(arcs[:, 0, 1:], fewer, out=arcs[:, 0, 1:])
        return arcs

    def _send(self, row: int, path: list[int], arcs: NDArray[np.float64]) -> set[int]:
        """Send one unit along a path, given backwards; return the nodes whose devices changed."""
        touched: set[int] = set()
        for head, tail in pairwise(path):
            if arcs[tail, head] < self._move[row, tail, head]:
                self._wanted[row, tail or head] += 1 if head == 0 else -1
            else:
                self.choice[row, self._mover(row, tail, head)] = head
                self._count[row, tail] -= 1
                self._count[row, head] += 1
                touched |= {tail, head}
        return touched

    def _least_moves(self, bins: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what moving the cheapest device from each node to each other one costs."""
        batch, devices, width = self._cost.shape
        order = np.argsort(bins, axis=None, kind="stable")
        moves = self._cost.reshape(batch * devices, width)[order]
        moves -= moves[np.arange(len(order)), self.choice.reshape(-1)[order]][:, None]
        least = np.full((batch * width, width), np.inf)
        count = self._count.reshape(-1)
        crowded = count.nonzero()[0]
        first = np.cumsum(count)[crowded] - count[crowded]
        least[crowded] = np.minimum.reduceat(moves, first, axis=0)
        least = least.reshape(batch, width, width)
        least[:, self._nodes, self._nodes] = np.inf
        return least

    def _least_moves_from(self, row: int, node: int) -> NDArray[np.float64]:
        """Return one row of :meth:`_least_moves`."""
        moves = self._cost[row, self.choice[row] == node]
        moves -= moves[:, node].copy()[:, None]
        least: NDArray[np.float64] = moves.min(axis=0, initial=np.inf)
        least[node] = np.inf
        return least

    def _mover(self, row: int, tail: int, head: int) -> int:
        """Return the device that moves from one node to another at the least cost."""
        members = (self.choice[row] == tail).nonzero()[0]
        costs = self._cost[row, members]
        return int(members[(costs[:, head] - costs[:, tail]).argmin()])


def _shortest_paths(
    arcs: NDArray[np.float64], price: NDArray[np.float64], excess: NDArray[np.int64]
) -> _Paths:
    """Bellman-Ford over reduced costs, all nodes of all problems at once."""
    reduced = np.maximum(arcs + price[:, None] - price[:, :, None], 0.0)
    length = np.where(excess > 0, 0.0, np.inf)
    before = np.full(length.shape, -1)
    while True:
        candidates = length[:, :, None] + reduced
        shortest = candidates.min(axis=1)
        better = shortest < length
        if not better.any():
            return _Paths(length, before)
        before = np.where(better, candidates.argmin(axis=1), before)
        length = np.where(better, shortest, length)


def _trace(before: list[int], target: int) -> list[int]:
    """Return the nodes of the path to a target, the target first."""
    path = [target]
    while before[path[-1]] >= 0:
        path.append(before[path[-1]])
    return path
