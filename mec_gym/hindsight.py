r"""Hindsight: the best that any policy can do on a path, bounded with proof, and a plan near it.

Who knows the whole path of an episode decides at least as well as any policy on it, and by
L²/F = max over λ of λL − λ²F/4 the loads of the servers can be priced, [H-1]: for prices
λ_tj >= 0, also ones chosen with the path in view,

    cost of any policy >= Σ_i V_i0(λ) − Σ_tj λ_tj² F_j / 4,

where V_it(s) is the cheapest way for device i alone, its service at host s before slot t, [H-2],
found by dynamic programming in O(T N M). Following these ways and planning one device after the
other against the true loads of the rest gives a decision for every slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.model.arrays import sum_by_server
from mec_gym.model.assignment import require_sizes
from mec_gym.model.cost import NO_TASK, hosts_after, migrates
from mec_gym.model.episode import Episode
from mec_gym.model.slot import Slot
from mec_gym.optimum import load_problems_apart, solve
from mec_gym.optimum.dual import conjugates, exact_sums
from mec_gym.outcome import evaluate
from mec_gym.scenario import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Terms = Callable[[int], Floats]

ITERATIONS = 80
"""Steps of the prices; the bound gains less than 0.01 % from more."""

ROUNDS = 12
"""Times at most that the devices plan their ways anew against the others' loads."""

ROUNDING = 1e-9
"""By how much more, relative, a bound may seem to exceed the cost of an optimal plan."""

BLOCK = 2**21
"""Choices, T N (M + 1) an episode, of the episodes that are planned together."""


@dataclass(frozen=True, eq=False)
class Hindsight:
    """A plan for a whole episode by one who knew it, and a bound for all who did not.

    Of several episodes every field has their axis in front.

    Attributes
    ----------
    assignment : ndarray, shape (T, N)
        The plan: 0 = local, j = server j.
    objective : float, [1]
        ΣΦ over all slots and devices of the plan, migrations included.
    lower_bound : float, [1]
        No policy has less on this path, whatever it knows.
    gap : float, [1]
        (objective − lower_bound) / objective.
    prices : ndarray, shape (T, M), [1/sqrt(cycle)]
        λ_tj behind the bound.
    values : ndarray, shape (T + 1, N, M + 1), [1]
        V_it(s) at these prices: what is still to pay from slot t on with the service at host s, 0
        for a service that is nowhere yet.
    status : str
        "optimal" where the plan is proven best, else "bounded".
    slot_objective : ndarray, shape (T,), [1]
        ΣΦ of every slot of the plan, migrations included.

    Examples
    --------
    >>> from mec_gym import Scenario, episode
    >>> path = episode("crowd-30x4", seed=0, n_slots=5)
    >>> best = hindsight(path.scenario, path)
    >>> best.prices.shape, best.values.shape, best.gap < 0.01
    ((5, 4), (6, 30, 5), True)
    """

    assignment: Ints
    objective: Any
    lower_bound: Any
    gap: Any
    prices: Floats
    values: Floats
    status: Any
    slot_objective: Floats


def hindsight(
    scenario: Scenario, episode: Episode | Sequence[Episode], *, hosts: Any = None
) -> Hindsight:
    r"""Return a plan of an episode with knowledge of all of it, and a bound for every policy.

    Where migration is free, the slots are not coupled, and it is :func:`mec_gym.solve` of each.

    Parameters
    ----------
    scenario : Scenario
        Prices the path: the episode's own, or one that differs in weights or migration, say.
    episode : Episode or sequence of Episode
        The path, or several of the same length.
    hosts : integer array_like, shape (N,), optional
        Where services are before the first slot; nowhere by default.

    Raises
    ------
    TypeError, ValueError
        For an episode of other sizes than the scenario's, or several lengths.

    Examples
    --------
    >>> from mec_gym import Scenario, episode
    >>> scenario = Scenario.preset("paper-30x2", migration_s=1.0)
    >>> best = hindsight(scenario, episode(scenario, seed=0, n_slots=10))
    >>> best.assignment.shape, bool(best.lower_bound <= best.objective)
    ((10, 30), True)
    """
    alone = not isinstance(episode, Sequence)
    episodes: Any = (episode,) if alone else episode
    _require_episodes(scenario, episodes)
    size = episodes[0].n_slots * scenario.n_devices * (scenario.n_servers + 1)
    step = max(1, BLOCK // size)
    blocks = [
        _hindsight(scenario, episodes[first : first + step], hosts)
        for first in range(0, len(episodes), step)
    ]
    fields = [
        parts[0] if len(parts) == 1 else np.concatenate(parts)
        for parts in zip(*blocks, strict=True)
    ]
    if not alone:
        return Hindsight(*fields)
    return Hindsight(*(field[0] if field.ndim > 1 else field[0].item() for field in fields))


def _require_episodes(scenario: Scenario, episodes: Sequence[Any]) -> None:
    for one in episodes:
        if not isinstance(one, Episode):
            raise TypeError(f"episode must be an Episode, or several; got {type(one).__name__}.")
        require_sizes(scenario, one.slots)
    lengths = sorted({one.n_slots for one in episodes})
    if len(lengths) != 1:
        raise ValueError(f"episode must hold episodes of one length; got lengths {lengths}.")


def _hindsight(
    scenario: Scenario, episodes: Sequence[Episode], hosts: Any
) -> tuple[NDArray[Any], ...]:
    """Return the fields of a Hindsight of episodes of one length, their axis in front."""
    n, m = scenario.n_devices, scenario.n_servers
    slots, batch = episodes[0].n_slots, len(episodes)
    path = Slot.trusted(
        *(
            np.concatenate([getattr(one, name) for one in episodes])
            for name in ("gains", "data_bits", "cycles")
        )
    )
    start = np.zeros((batch, n), dtype=np.int64)
    if hosts is not None:
        start += np.asarray(path[0].hosted(hosts).hosts)
    problem = Coupled(scenario, path, batch, start)
    if scenario.migrates:
        prices, bound, plan = problem.maximise()
        plan = problem.improved(plan)
        # Absent devices, which have stayed out of it, need a legal choice, too.
        plan = np.where((plan == 0) & ~scenario.can_execute_locally, 1, plan)
    else:
        best = solve(scenario, path)
        prices = best.prices.reshape(batch, slots, m).swapaxes(0, 1)
        bound = best.lower_bound.reshape(batch, slots).sum(1)
        plan = best.assignment.reshape(batch, slots, n).swapaxes(0, 1)
    values = problem.values(problem.priced(prices))
    assignment = plan.swapaxes(0, 1)
    before = hosts_before(assignment, path.cycles.reshape(batch, slots, n), start)
    decided = path.hosted(before.reshape(-1, n))
    slot_objective = evaluate(scenario, decided, assignment.reshape(-1, n)).objective
    slot_objective = slot_objective.reshape(batch, slots)
    objective = slot_objective.sum(1)
    if (bound > objective * (1.0 + ROUNDING)).any():
        raise RuntimeError(f"bound {bound} above the cost of a plan, {objective}: a fault of ours.")
    bound = np.minimum(bound, objective)
    gap = (objective - bound) / objective
    return (
        assignment,
        objective,
        bound,
        gap,
        prices.swapaxes(0, 1),
        np.moveaxis(values, (2, 0, 3, 1), (0, 1, 2, 3)),
        np.where(gap <= 1e-12, "optimal", "bounded"),
        slot_objective,
    )


def hosts_before(assignment: Ints, cycles: Floats, start: Ints) -> Ints:
    """Return the hosts before each slot, (..., T, N), that decisions lead to from `start`."""
    hosts = np.empty_like(assignment)
    now = start
    for time in range(assignment.shape[-2]):
        hosts[..., time, :] = now
        now = hosts_after(np, assignment[..., time, :], now, cycles[..., time, :])
    return hosts


class Coupled:
    """Episodes as load problems that migration couples: servers, then episodes, then devices.

    `path` has one batch axis, `batch` episodes of equal length one after the other.
    Choices are the first axis, so that the least over them is found fast.
    """

    def __init__(self, scenario: Scenario, path: Slot, batch: int, start: Ints) -> None:
        self.start = start
        self.batch, self.n_servers = batch, scenario.n_servers
        self.problems = load_problems_apart(scenario, path)
        shape = (batch, -1, scenario.n_devices)
        cost = self.problems.cost.reshape(*shape, scenario.n_servers + 1)
        self.cycles = path.cycles.reshape(shape).swapaxes(0, 1)
        # Who is absent need not choose: it costs nothing, and the service stays.
        absent = self.cycles <= NO_TASK
        self.local: Floats = np.where(absent, 0.0, cost[..., 0].swapaxes(0, 1))  # (T, B, N)
        self.links: Floats = np.ascontiguousarray(cost[..., 1:].transpose(1, 3, 0, 2))
        self.work: Floats = np.ascontiguousarray(
            self.problems.root_work.reshape(shape).swapaxes(0, 1)
        )
        self.kappa = scenario.migration_cost
        self.speed = scenario.server_frequencies_hz
        self.slots = len(self.local)

    def priced(self, prices: Floats) -> Terms:
        """Return what loads cost devices at prices (T, B, M), by slot: (M, B, N)."""
        by_server = np.ascontiguousarray(prices.swapaxes(1, 2))[..., None]
        return lambda time: by_server[time] * self.work[time]

    def marginal(self, plan: Ints, loads: Floats) -> Terms:
        """Return what each device would add to the loads of the others in a plan, by slot."""
        servers = np.arange(1, self.n_servers + 1)[:, None, None]

        def terms(time: int) -> Floats:
            work = self.work[time]
            others = loads[time].T[..., None] - np.where(plan[time] == servers, work, 0.0)
            return np.asarray((2.0 * others + work) * (work / self.speed[:, None, None]))

        return terms

    def _ways(self, time: int, terms: Terms, after: Floats) -> Floats:
        """Return q_j, what each server costs now and from then on, (M, B, N), a new array."""
        ways = terms(time)
        ways += self.links[time]
        ways += after[1:]
        return ways

    def values(self, terms: Terms) -> Floats:
        """Return V_t(s) where loads cost the given terms: (T + 1, M + 1, B, N), [H-2].

        V(s) = min(c_0 + V'(s), q_s if s >= 1, μ + min_j q_j), q_j = c_j + terms_j + V'(j).
        """
        values = np.zeros((self.slots + 1, self.n_servers + 1, *self.start.shape))
        for time in range(self.slots - 1, -1, -1):
            now, after = values[time], values[time + 1]
            ways = self._ways(time, terms, after)
            np.add(after, self.local[time], out=now)
            np.minimum(now, ways.min(axis=0) + self.kappa, out=now)
            np.minimum(now[1:], ways, out=now[1:])
        return values

    def followed(self, terms: Terms, values: Floats) -> Ints:
        """Return the cheapest ways from the start: decisions (T, B, N)."""
        plan = np.empty((self.slots, *self.start.shape), dtype=np.int64)
        host = self.start.copy()
        row, device = np.ogrid[: self.batch, : self.start.shape[1]]
        for time in range(self.slots):
            after = values[time + 1]
            ways = self._ways(time, terms, after)
            home = self.local[time] + after[host, row, device]
            stay = np.where(host > 0, ways[np.maximum(host, 1) - 1, row, device], np.inf)
            move = ways.min(axis=0) + self.kappa
            choice = np.where(stay <= home, host, 0)
            moving = np.nonzero(move < np.minimum(home, stay))
            choice[moving] = 1 + ways[:, moving[0], moving[1]].argmin(axis=0)
            plan[time] = choice
            host = hosts_after(np, choice, host, self.cycles[time])
        return plan

    def loads(self, plan: Ints) -> Floats:
        """Return L_tj of a plan, shape (T, B, M)."""
        return np.asarray(sum_by_server(np, self.work, plan, self.n_servers)[..., 1:])

    def bound(self, prices: Floats, values: Floats) -> Floats:
        """Return the lower bound at prices, safe against rounding, shape (B,): [H-1]."""
        row, device = np.ogrid[: self.batch, : self.start.shape[1]]
        income = exact_sums(values[0][self.start, row, device])
        flat = prices.swapaxes(0, 1).reshape(-1, self.n_servers)
        paid, magnitude = (
            exact_sums(part.reshape(self.batch, -1)) for part in conjugates(self.problems, flat)
        )
        # Every value is a chain of 4 T sums of numbers >= 0 at most.
        roundings = (4 * self.slots + 8) * np.finfo(np.float64).eps
        return np.maximum(income - paid - roundings * (income + magnitude), 0.0)

    def first_prices(self) -> Floats:
        """Return prices (T, B, M) to begin with: the same everywhere."""
        finite = np.where(np.isfinite(self.local), self.local, 0.0)
        first = 0.4 * (finite.sum((0, 2)) / np.maximum(self.work.sum((0, 2)), 1e-300))
        prices = np.empty((self.slots, self.batch, self.n_servers))
        prices[...] = first[:, None]
        return prices

    def responded(self, prices: Floats, step: int) -> tuple[Floats, Ints, Floats]:
        """Return values and ways at prices, and prices nearer to what those ways call for."""
        terms = self.priced(prices)
        values = self.values(terms)
        ways = self.followed(terms, values)
        wanted = 2.0 * self.loads(ways) / self.speed
        return values, ways, np.maximum(prices + 2.0 / (step + 4) * (wanted - prices), 0.0)

    def maximise(self) -> tuple[Floats, Floats, Ints]:
        """Return prices (T, B, M), the bound (B,) that they prove, and the ways they lead to."""
        prices = self.first_prices()
        kept, plan = prices, np.zeros((self.slots, *self.start.shape), dtype=np.int64)
        bound = np.full(self.batch, -np.inf)
        for step in range(ITERATIONS):
            values, now, after = self.responded(prices, step)
            reached = self.bound(prices, values)
            better = reached > bound
            bound = np.maximum(reached, bound)
            kept = np.where(better[:, None], prices, kept)
            plan = np.where(better[:, None], now, plan)
            prices = after
        return kept, bound, plan

    def own_costs(self, plan: Ints) -> Floats:
        """Return what a plan costs every device but for loads, migration included: (B, N)."""
        before = hosts_before(plan.swapaxes(0, 1), self.cycles.swapaxes(0, 1), self.start)
        time, row, device = np.ogrid[: self.slots, : self.batch, : self.start.shape[1]]
        links = self.links[time, np.maximum(plan, 1) - 1, row, device]
        moves = migrates(plan, before.swapaxes(0, 1), self.cycles)
        own = np.where(plan > 0, links, self.local) + np.where(moves, self.kappa, 0.0)
        return np.asarray(own.sum(axis=0))

    def improved(self, plan: Ints) -> Ints:
        """Return a plan after devices took their best ways against the loads of all others.

        In a round all find theirs at once, and take it one after the other where it still pays.
        """
        plan = plan.copy()
        loads, own = self.loads(plan), self.own_costs(plan)
        for _ in range(ROUNDS):
            terms = self.marginal(plan, loads)
            new = self.followed(terms, self.values(terms))
            new_own = self.own_costs(new)
            changes = (new != plan).any(axis=0)
            taken = [
                self._take(row, device, plan, new, loads, own[row, device], new_own[row, device])
                for row, device in np.argwhere(changes).tolist()
            ]
            if not any(taken):
                break
            own = self.own_costs(plan)
        return plan

    def _take(
        self, row: int, device: int, plan: Ints, new: Ints, loads: Floats, own: float, other: float
    ) -> bool:
        """Let a device take a new way, which costs `other` but for loads, if that saves."""
        more = other - own
        old_way, new_way = plan[:, row, device], new[:, row, device]
        time = np.flatnonzero(old_way != new_way)
        work = self.work[time, row, device]
        for way, sign in ((old_way[time], -1.0), (new_way[time], 1.0)):
            away = way > 0
            server, load = way[away] - 1, loads[time[away], row, way[away] - 1]
            step = sign * work[away]
            more += float(((2.0 * load + step) * step / self.speed[server]).sum())
        if more >= -1e-12 * max(own, other):
            return False
        for way, sign in ((old_way[time], -1.0), (new_way[time], 1.0)):
            away = way > 0
            loads[time[away], row, way[away] - 1] += sign * work[away]
        plan[time, row, device] = new_way[time]
        return True
