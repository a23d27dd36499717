r"""Local search near dual prices, and a partial enumeration that tightens the bound.

At prices p the objective of any assignment exceeds the dual value by exactly

    Σ_i regret_{a_i, i} + Σ_j w_j (ℓ_j − p_j / (2 w_j))²,

where a choice's regret is its priced cost above that of the device's best choice. Both terms are
at least 0. So an assignment that is better than one known uses only choices whose regret is below
the known one's excess, of which good prices leave few, and what remains is to hit the loads that
the prices call for by means of choices with little regret.

:func:`search` changes one or two devices at a time: two moves together may be a swap, a chain
a -> b -> c, or unrelated. :func:`tighten` enumerates the assignments in reach; stopped early, it
still proves a bound.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mec_gym.optimum.dual import Priced

OPTIONS = 400
"""Choices with regret that the search considers: at least so many, and 8 a server."""

PAIRED = 64
"""Moves of which all pairs are tried; the most promising."""

PULL = 0.1
"""Weight, in what a move promises, of the load errors it mends, beside its regret.

Another move may mend the same error, or undo what is too much: the full weight would keep only
moves between the servers with the largest errors, which do not combine.
"""

ROUNDS = 8
"""Rounds of one search at most, a server."""

IMPROVEMENT = 1e-9
"""A move counts if it removes this part of the excess at the start."""

KICKED = (2, 6)
"""A restart first makes 2 to 5 moves regardless."""

KICK_SCALE = 0.1
"""Mean of the random numbers that choose them, as a part of the excess."""


class Tightened(NamedTuple):
    """What the enumeration found."""

    choice: NDArray[np.int64]  # (N,): the best assignment known
    proven: float  # no assignment has a smaller excess; infinite if the one known is optimal


def search(priced: Priced) -> NDArray[np.int64]:
    """Return an assignment (N,) that no move in reach improves, starting from the best choices."""
    start = priced.regret.argmin(axis=0)
    excess = priced.excess(start)
    moves = _Moves(priced, start, excess)
    moves.descend(IMPROVEMENT * excess)
    return moves.choice


def restart(
    priced: Priced, choice: NDArray[np.int64], *, times: int, enough: float
) -> NDArray[np.int64]:
    """Search again from the best assignment, a few moves at random made first; return the best.

    At most `times`, until the excess is `enough`. The random numbers are the same in every call.
    """
    best, excess = choice, priced.excess(choice)
    if not excess > enough:
        return best
    random = np.random.default_rng(0)
    moves = _Moves(priced, best, excess)
    for _ in range(times):
        moves.place(best)
        moves.kick(random, KICK_SCALE * excess)
        moves.descend(IMPROVEMENT * excess)
        found = priced.excess(moves.choice)
        if found < excess:
            best, excess = moves.choice, found
        if not excess > enough:
            break
    return best


class _Moves:
    """An assignment, `choice`, and the moves of single devices that the search considers."""

    def __init__(self, priced: Priced, choice: NDArray[np.int64], limit: float) -> None:
        self._priced = priced
        self._to, self._device = _options(priced, limit)
        self._regret = priced.regret[self._to, self._device]
        self._size = priced.size[self._device]
        self.place(choice)

    def place(self, choice: NDArray[np.int64]) -> None:
        """Go to an assignment."""
        self.choice = choice.copy()
        self._missed = self._priced.missed(choice)

    def kick(self, random: np.random.Generator, scale: float) -> None:
        """Make a few moves at random, rather those of little regret."""
        count = int(random.integers(*KICKED))
        score = self._regret + random.exponential(scale, len(self._regret))
        score[self._to == self.choice[self._device]] = np.inf
        for move in np.argsort(score, kind="stable")[:count]:
            self._apply(int(move))

    def descend(self, least: float) -> None:
        """Improve until no move or pair of moves gains more than `least`."""
        for _ in range(ROUNDS * len(self._missed)):
            chosen = self._best(least)
            if not chosen:
                return
            for move in chosen:
                self._apply(move)

    def _best(self, least: float) -> tuple[int, ...]:
        """Return the best move or pair of moves; none if it gains no more than `least`."""
        origin = self.choice[self._device]
        alone, promise = self._gains(origin)
        kept = np.flatnonzero(self._to != origin)
        if len(kept) > PAIRED:
            promise = promise[kept]
            kept = kept[np.argpartition(promise, PAIRED)[:PAIRED]]
        if not kept.size:
            return ()
        alone = alone[kept]
        pairs = self._pairs(kept, origin[kept], alone)
        first, second = divmod(int(pairs.argmin()), len(kept))
        single = int(alone.argmin())
        gain = float(min(pairs[first, second], alone[single]))
        if not gain < -least:
            return ()
        if alone[single] <= gain:
            return (int(kept[single]),)
        return int(kept[first]), int(kept[second])

    def _gains(self, origin: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what each move changes in the excess, and a score of its promise in a pair."""
        priced = self._priced
        slope = 2.0 * priced.curvature * self._missed
        regret = self._regret - priced.regret[origin, self._device]
        pull = self._size * (slope[self._to] - slope[origin])
        rigid = self._size**2 * (priced.curvature[self._to] + priced.curvature[origin])
        return regret + pull + rigid, regret + PULL * pull

    def _pairs(
        self, kept: NDArray[np.int64], origin: NDArray[np.int64], alone: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what each pair of moves of two devices changes, infinite for one device."""
        rows = np.arange(len(kept))
        root = np.sqrt(self._priced.curvature)
        shift = np.zeros((len(kept), len(root)))
        shift[rows, self._to[kept]] = self._size[kept] * root[self._to[kept]]
        shift[rows, origin] = -self._size[kept] * root[origin]
        pairs = shift @ shift.T
        pairs *= 2.0
        pairs += alone
        pairs += alone[:, None]
        device = self._device[kept]
        pairs[device == device[:, None]] = np.inf
        return pairs

    def _apply(self, move: int) -> None:
        device, target = self._device[move], self._to[move]
        self._missed[self.choice[device]] -= self._priced.size[device]
        self._missed[target] += self._priced.size[device]
        self.choice[device] = target


def _options(priced: Priced, limit: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the choices (target, device) of least regret, those of no regret included."""
    second = np.partition(priced.regret, 1, axis=0)[1]
    close = np.flatnonzero(second <= limit)
    regret = priced.regret[:, close]
    # Every device has one choice without regret: leave room for these.
    count = max(OPTIONS, 8 * len(priced.wanted)) + len(close)
    if regret.size > count:
        limit = min(limit, float(np.partition(regret, count, axis=None)[count]))
        near = second[close] <= limit
        regret, close = regret[:, near], close[near]
    target, device = np.nonzero(regret <= limit)
    return target, close[device]


class _Core(NamedTuple):
    """What may differ between an assignment and a better one."""

    easy: NDArray[np.int64]  # (N,): the choices without regret
    devices: NDArray[np.int64]  # those with a choice, the most decided first
    options: list[NDArray[np.int64]]  # their choices
    missed: NDArray[np.float64]  # (M + 1,): load error of the other devices alone
    able: NDArray[np.float64]  # (devices, M + 1): what those after one may add to the loads


class _Frontier(NamedTuple):
    """Partial assignments in which the first devices of the core are decided."""

    total: NDArray[np.float64]  # (S,): regret
    missed: NDArray[np.float64]  # (S, M + 1): load error
    bound: NDArray[np.float64]  # (S,): least excess of what they may become
    parent: NDArray[np.int64]  # (S,): where each came from
    target: NDArray[np.int64]  # (S,): the last device's choice


def tighten(priced: Priced, choice: NDArray[np.int64], *, states: int, size: int) -> Tightened:
    """Enumerate the assignments better than one known, as far as a number of states allows.

    Devices are decided one after another, those first whose second choice costs most. A partial
    assignment is dropped if its regrets and the load error that the devices left can no longer mend
    reach the known excess. Where more than `states` remain, those that promise least are dropped
    too, and the least of their bounds is all that the enumeration proves. Nothing is tried if more
    than `size` choices are in question, over all devices.
    """
    best, proven = priced.excess(choice), math.inf
    core = _core(priced, best, size)
    if core is None:
        return Tightened(choice, 0.0)
    start = np.zeros(1)
    frontier = _Frontier(start, core.missed[None], start, np.zeros(1, int), np.zeros(1, int))
    history = []
    for level in range(len(core.devices)):
        frontier = _expand(priced, core, frontier, level)
        kept = np.flatnonzero(frontier.bound < best)
        if len(kept) > states:
            edge = float(np.partition(frontier.bound[kept], states)[states])
            kept = kept[frontier.bound[kept] < edge]
            proven = min(proven, edge)
        if not kept.size:
            break
        frontier = _Frontier._make(field[kept] for field in frontier)
        history.append(frontier)
    else:
        found = _trace(core, history)
        if priced.excess(found) < best:
            choice, best = found, priced.excess(found)
    return Tightened(choice, proven if proven < best else math.inf)


def _core(priced: Priced, best: float, size: int) -> _Core | None:
    """Return the choices whose regret is below an excess; None if more than `size`."""
    second = np.partition(priced.regret, 1, axis=0)[1]
    devices = np.flatnonzero(second < best)
    if 2 * len(devices) > size:
        return None
    devices = devices[np.argsort(-second[devices], kind="stable")]
    allowed = priced.regret[:, devices] < best
    if np.count_nonzero(allowed) > size:
        return None
    easy = priced.regret.argmin(axis=0)
    placed = np.bincount(easy[devices], weights=priced.size[devices], minlength=len(priced.wanted))
    able = (allowed * priced.size[devices]).T
    later = np.cumsum(able[::-1], axis=0)[::-1] - able
    options = [np.flatnonzero(column) for column in allowed.T]
    return _Core(easy, devices, options, priced.missed(easy) - placed, later)


def _expand(priced: Priced, core: _Core, frontier: _Frontier, level: int) -> _Frontier:
    """Decide one more device in every way."""
    targets, device = core.options[level], core.devices[level]
    parent = np.repeat(np.arange(len(frontier.total)), len(targets))
    target = np.tile(targets, len(frontier.total))
    total = frontier.total[parent] + priced.regret[target, device]
    missed = frontier.missed[parent]
    missed[np.arange(len(parent)), target] += priced.size[device]
    # Loads can only grow: too much now is too much at the end, too little may be mended.
    error = np.maximum(missed, 0.0) + np.minimum(missed + core.able[level], 0.0)
    bound = total + (error * error) @ priced.curvature
    return _Frontier(total, missed, bound, parent, target)


def _trace(core: _Core, history: list[_Frontier]) -> NDArray[np.int64]:
    """Return the best of the complete assignments."""
    found = core.easy.copy()
    state = int(history[-1].bound.argmin()) if history else 0
    for device, frontier in zip(core.devices[::-1], history[::-1], strict=True):
        found[device] = frontier.target[state]
        state = int(frontier.parent[state])
    return found
