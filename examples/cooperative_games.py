"""Two small cooperative games whose optimal joint policies are known in closed form."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from scipy.linalg import solve_discrete_are


class TeamGame(gym.Env[Any, Any]):
    """A team decision problem (Radner, 1962): agent j sees its own signal, all share the payoff.

    The payoff 2 a·s − a·Qa is quadratic in the actions a and the signals s are jointly Gaussian,
    so the best rules are linear, a_j = κ_j s_j with (Q ∘ R) κ = 1, R the correlations: each agent
    allows for what the others will do on average, given what it sees itself. An agent that minds
    its own business plays 1 / Q_jj instead.
    """

    COUPLING = np.array([[1.0, 0.5, 0.4], [0.5, 1.2, 0.3], [0.4, 0.3, 0.9]])
    CORRELATION = np.array([[1.0, 0.8, 0.6], [0.8, 1.0, 0.7], [0.6, 0.7, 1.0]])
    DEVIATION = 0.4  # the best actions then stay within [-1, 1] but for one in 10,000
    VIEWS = ((0,), (1,), (2,))

    def __init__(self, unit: float = 1.0) -> None:
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = Box(-1.0, 1.0, (3,), np.float32)
        self.unit = unit

    @classmethod
    def best_rules(cls) -> np.ndarray:
        return np.linalg.solve(cls.COUPLING * cls.CORRELATION, np.ones(3))

    @classmethod
    def selfish_rules(cls) -> np.ndarray:
        return 1.0 / np.diag(cls.COUPLING)

    @classmethod
    def signals(cls, rng: np.random.Generator, count: int) -> np.ndarray:
        covariance = cls.DEVIATION**2 * cls.CORRELATION
        return rng.multivariate_normal(np.zeros(3), covariance, count).astype(np.float32)

    @classmethod
    def payoff(cls, signals: np.ndarray, actions: np.ndarray) -> np.ndarray:
        quadratic = np.einsum("bi,ij,bj->b", actions, cls.COUPLING, actions)
        return np.asarray(2.0 * (actions * signals).sum(-1) - quadratic)

    @classmethod
    def share_of_optimum(cls, decide: Any, count: int = 20_000) -> float:
        """1 at the optimum, 0 for doing nothing."""
        signals = cls.signals(np.random.default_rng(7), count)
        best = cls.payoff(signals, signals * cls.best_rules()).mean()
        return float(cls.payoff(signals, decide(signals)).mean() / best)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.signal = self.signals(self.np_random, 1)[0]
        return self.signal, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        reward = self.unit * float(self.payoff(self.signal[None], np.asarray(action)[None])[0])
        self.signal = self.signals(self.np_random, 1)[0]
        return self.signal, reward, True, False, {}


class Regulator(gym.Env[Any, Any]):
    """Two agents steer one linear system with quadratic cost; the Riccati equation says how best.

    x' = Ax + Ba + w, reward −(|x|² + ρ|a|²). It has no end but a time limit, so that a learner
    has to look ahead, and to bootstrap where an episode is cut.
    """

    A = np.array([[0.8, 0.2, 0.0], [0.0, 0.8, 0.2], [0.1, 0.0, 0.7]])
    B = np.array([[1.0, 0.0], [0.3, 0.3], [0.0, 1.0]])
    WEIGHT, GAMMA, NOISE, STEPS = 0.3, 0.9, 0.1, 20
    VIEWS = ((0, 1, 2), (0, 1, 2))

    def __init__(self) -> None:
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)

    @classmethod
    def best_rule(cls) -> np.ndarray:
        a, b = np.sqrt(cls.GAMMA) * cls.A, np.sqrt(cls.GAMMA) * cls.B
        cost = cls.WEIGHT * np.eye(2)
        p = solve_discrete_are(a, b, np.eye(3), cost)
        return -np.linalg.solve(cost + b.T @ p @ b, b.T @ p @ a)

    @classmethod
    def share_of_optimum(cls, decide: Any, count: int = 500) -> float:
        """1 at the optimum, 0 for doing nothing, by the same disturbances for all."""
        rule = cls.best_rule()
        costs = [
            cls._cost(one, count)
            for one in (lambda x: np.zeros((count, 2)), decide, lambda x: x @ rule.T)
        ]
        return float((costs[0] - costs[1]) / (costs[0] - costs[2]))

    @classmethod
    def _cost(cls, decide: Any, count: int) -> float:
        rng = np.random.default_rng(7)
        x, total = 0.3 * rng.standard_normal((count, 3)), 0.0
        for step in range(60):
            action = np.clip(decide(x.astype(np.float32)), -1.0, 1.0)
            cost = (x**2).sum(-1) + cls.WEIGHT * (action**2).sum(-1)
            total += cls.GAMMA**step * float(cost.mean())
            x = x @ cls.A.T + action @ cls.B.T + cls.NOISE * rng.standard_normal((count, 3))
        return total

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.x, self.t = 0.3 * self.np_random.standard_normal(3), 0
        return self.x.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        cost = float((self.x**2).sum() + self.WEIGHT * (np.asarray(action) ** 2).sum())
        drift = self.A @ self.x + self.B @ action
        self.x = drift + self.NOISE * self.np_random.standard_normal(3)
        self.t += 1
        return self.x.astype(np.float32), -cost, False, self.t >= self.STEPS, {}
