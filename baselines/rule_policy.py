"""A rule that is a function, as a Stable-Baselines3 algorithm."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from baselines.slot_policy import Assignment, SlotPolicy
from mec_gym import Scenario, Slot
from mec_gym.model.assignment import checked_assignment

Rule = Callable[[Scenario, Slot, np.random.Generator], Any]
"""Returns the assignment, shape (N,), of one slot."""


class RulePolicy(SlotPolicy):
    """Base of what :func:`policy_of` returns: decides slot by slot by a function."""

    @staticmethod
    @abstractmethod
    def rule(scenario: Scenario, slot: Slot, rng: np.random.Generator) -> Any:
        """Return the assignment, shape (N,), of one slot."""

    def decide(self, scenario: Scenario, slot: Slot, *, deterministic: bool) -> Assignment:
        """Return what the function says, refused where it is no assignment."""
        decisions = np.empty(slot.gains.shape[:-1], dtype=np.int64)
        for index in np.ndindex(slot.batch_shape):
            one = slot[index]
            rng = self.rng_of(one) if deterministic else self._rng
            decisions[index] = checked_assignment(scenario, one, self.rule(scenario, one, rng))
        return decisions


def policy_of(rule: Rule) -> type[RulePolicy]:
    """Return a policy's class that decides by a function, once for every slot.

    The generator that it gets is seeded as that of ``RandomOffloading``: with
    ``deterministic=True`` by the policy's seed and the slot alone. ``TypeError`` for what cannot be
    called as ``rule(scenario, slot, rng)``.

    Examples
    --------
    >>> import gymnasium as gym
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> policy = policy_of(lambda scenario, slot, rng: 1 + slot.gains.argmax(axis=-1))
    >>> policy(env).predict(env.reset(seed=0)[0])[0].shape
    (30,)
    """
    name = getattr(rule, "__name__", type(rule).__name__)
    try:
        inspect.signature(rule).bind("scenario", "slot", "rng")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be called as {name}(scenario, slot, rng), which returns an assignment: "
            f"{error}."
        ) from None
    return type(name, (RulePolicy,), {"rule": staticmethod(rule), "__module__": rule.__module__})
