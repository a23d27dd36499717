"""Encodings: how a vector of the unit box stands for an offloading decision.

"floor"
    One number per device: its choice is the floor of (M + 1) x. What one writes down first, and
    what papers on this problem do; neighbouring servers have no more in common than others.
"scores"
    One number per device and choice: the highest wins.
"order"
    One number per device: devices come in this order, each to the choice that raises the
    objective least. The order of the savings gives the greedy decision.
"prices"
    One number per server: its price, which devices answer as in :mod:`baselines.prices`.

Every vector stands for a legal decision: a device that cannot execute locally never does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from baselines.prices import answers, savings
from baselines.rules import greedy_order, in_order
from mec_gym.optimum.problem import LoadProblem

Decisions = NDArray[np.int64]
Vectors = NDArray[np.float64]


class Encoding(ABC):
    """A way from vectors of `size` numbers in [0, 1] to decisions in one slot."""

    def __init__(self, problem: LoadProblem) -> None:
        self.problem = problem
        self.must = np.isinf(problem.cost[:, 0])
        self.cheapest = 1 + problem.cost[:, 1:].argmin(axis=1)
        self.size = problem.n_devices

    @abstractmethod
    def decode(self, vectors: Vectors) -> Decisions:
        """Return the decisions, shape (K, N), that vectors of shape (K, size) stand for."""

    @abstractmethod
    def encode(self, decision: Decisions) -> Vectors:
        """Return a vector of shape (size,) that stands for a decision or comes near it."""

    def greedy(self) -> tuple[Decisions, Vectors]:
        """Return the greedy decision and its vector."""
        decision = in_order(self.problem, greedy_order(self.problem)[None])[0]
        return decision, self.encode(decision)

    def around(self, vector: Vectors, count: int, rng: np.random.Generator) -> Vectors:
        """Return vectors, (count, size), ever further from a given one, which is the first."""
        strays = rng.random((count, self.size)) < 0.2 * np.linspace(0.0, 1.0, count)[:, None]
        return np.where(strays, rng.random((count, self.size)), vector)

    def legal(self, decisions: Decisions) -> Decisions:
        """Return decisions in which devices that must offload use their cheapest link."""
        return np.where((decisions == 0) & self.must, self.cheapest, decisions)


class Floor(Encoding):
    """Choice i is the floor of (M + 1) x_i."""

    def decode(self, vectors: Vectors) -> Decisions:
        """Return the floors."""
        width = self.problem.n_servers + 1
        return self.legal(np.minimum((vectors * width).astype(np.int64), width - 1))

    def encode(self, decision: Decisions) -> Vectors:
        """Return the middle of the decision's cell."""
        return np.asarray((decision + 0.5) / (self.problem.n_servers + 1))


class Scores(Encoding):
    """Choice i is that with the highest of the M + 1 scores of device i."""

    def __init__(self, problem: LoadProblem) -> None:
        super().__init__(problem)
        self.size = problem.cost.size

    def decode(self, vectors: Vectors) -> Decisions:
        """Return the choices with the highest scores."""
        return self.legal(vectors.reshape(-1, *self.problem.cost.shape).argmax(axis=-1))

    def encode(self, decision: Decisions) -> Vectors:
        """Return scores of 3/4 for the decision and 1/4 for all else."""
        scores = np.full(self.problem.cost.shape, 0.25)
        scores[np.arange(self.problem.n_devices), decision] = 0.75
        return scores.ravel()


class Order(Encoding):
    """Devices decide one after another, the lowest number first."""

    def decode(self, vectors: Vectors) -> Decisions:
        """Return the decisions of greedy passes in these orders."""
        return in_order(self.problem, np.argsort(vectors, axis=-1, kind="stable"))

    def encode(self, decision: Decisions) -> Vectors:
        """Return the order of the savings, whatever the decision."""
        ranks = np.argsort(greedy_order(self.problem))
        return np.asarray((ranks + 0.5) / self.problem.n_devices)


class Prices(Encoding):
    """Each server has a price; devices choose, and servers send home what does not pay."""

    def __init__(self, problem: LoadProblem) -> None:
        super().__init__(problem)
        self.size = problem.n_servers
        self.saving = savings(problem.cost, self.must)
        # Above this price nobody comes, or no load has so high a marginal cost.
        with np.errstate(divide="ignore", invalid="ignore"):
            worth = (self.saving / problem.root_work[:, None]).max(axis=0)
        most = 2.0 * problem.root_work.sum() / problem.server_frequency
        self.highest = np.fmin(np.maximum(worth, 0.0), most)

    def decode(self, vectors: Vectors) -> Decisions:
        """Return the devices' and servers' answers to these shares of the highest prices."""
        work, speed = self.problem.root_work, self.problem.server_frequency
        return answers(self.saving, work, speed, self.must, vectors * self.highest)

    def encode(self, decision: Decisions) -> Vectors:
        """Return the marginal prices of the decision's loads."""
        marginal = 2.0 * self.problem.loads(decision) / self.problem.server_frequency
        free = np.zeros(self.size)
        np.divide(marginal, self.highest, out=free, where=self.highest > 0.0)
        return np.clip(free, 0.0, 1.0)

    def around(self, vector: Vectors, count: int, rng: np.random.Generator) -> Vectors:
        """Return prices, shape (count, M), most below given ones, more or less in proportion."""
        # Where servers send home what does not pay, prices below the marginal ones are better.
        spread = 0.05 * np.linspace(0.0, 1.0, count)[:, None] ** 2
        factors = rng.uniform(0.6, 1.1, (count, 1)) + spread * rng.normal(size=(count, self.size))
        factors[0] = 1.0
        return np.clip(factors * vector, 0.0, 1.0)


ENCODINGS: dict[str, type[Encoding]] = {
    "floor": Floor,
    "scores": Scores,
    "order": Order,
    "prices": Prices,
}
