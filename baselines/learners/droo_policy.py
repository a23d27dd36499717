"""DROO's policies: a network's scores, the candidates they stand for, and the cheapest of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.learners.links import LinkNetwork, LinkView
from baselines.learners.quantisation import order_preserving
from mec_gym import Scenario, Slot
from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.sb3_model import WorldPolicy
from mec_gym.optimum import load_problems
from mec_gym.validation import require_integer, require_widths

_ENTRIES = 2**21
"""Choices of all devices in all candidates that are priced at once, of a larger batch."""


def all_candidates(scenario: Scenario) -> int:
    """Return how many candidates a slot has, or how many of them are priced at once."""
    columns = 1 if scenario.n_servers == 1 else scenario.n_servers + 1
    return min(1 + scenario.n_devices * columns, max(1, _ENTRIES // scenario.n_devices))


@dataclass(frozen=True)
class Decisions:
    """What was decided in a batch of slots, and what the other candidates would have cost."""

    assignment: NDArray[np.int64]  # (B, N)
    place: NDArray[np.int64]  # (B,) of the chosen candidate, from 0
    objective: NDArray[np.float64]  # (B, K) of all candidates


class DROOPolicy(WorldPolicy):
    """Scores by a network, candidates by :func:`~baselines.learners.quantisation.order_preserving`.

    The cheapest candidate is the decision: each is priced exactly, by the model of the slot. A
    subclass says what its network sees. `n_candidates` is how many candidates there are at first.
    """

    any_size: ClassVar[bool] = False
    """Whether weights fit scenarios with other numbers of devices and servers."""

    network: nn.Module
    """What is seen of slots in, scores (B, N, M + 1) out; a subclass builds it."""
    candidates: Tensor
    """K, a tensor so that files have it with the weights."""

    def __init__(self, *args: Any, n_candidates: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("candidates", torch.tensor(n_candidates))

    def meet(self, scenario: Scenario) -> None:
        """Decide in another scenario from now on, with the same weights."""
        super().meet(scenario)
        self._coder = ObservationCoder(scenario, self.observation_kind)
        self._forbidden = torch.as_tensor(~scenario.can_execute_locally)

    @abstractmethod
    def seen(self, slots: Slot) -> NDArray[np.float32]:
        """Return what the network sees of a batch of slots."""

    def slots(self, observations: NDArray[Any]) -> Slot:
        """Return the slots that observations show; ``ValueError`` for any that is not finite."""
        if not np.isfinite(observations).all():
            raise ValueError("observation must be finite; got a value that is not.")
        return self._coder.decode(observations)

    def scores(self, slots: Slot) -> Tensor:
        """Return scores, (B, N, M + 1), -inf for local execution that eq. (7) forbids."""
        seen = torch.as_tensor(self.seen(slots), device=self.device)
        scores: Tensor = self.network(seen)
        forbidden = nn.functional.pad(self._forbidden[:, None], (0, scores.shape[-1] - 1))
        return scores.masked_fill(forbidden.to(scores.device), -torch.inf)

    def decide(self, observations: NDArray[Any], noise: NDArray[Any] | None = None) -> Decisions:
        """Return the cheapest of K candidates in each of a batch of slots.

        With `noise`, (B, N, M + 1), K more follow, of the scores and the noise.
        """
        part = max(1, _ENTRIES // (int(self.candidates) * self.n_devices))
        parts = []
        for first in range(0, max(1, len(observations)), part):
            rows = slice(first, first + part)
            parts.append(self._decide(observations[rows], None if noise is None else noise[rows]))
        names = ("assignment", "place", "objective")
        return Decisions(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def _decide(self, observations: NDArray[Any], noise: NDArray[Any] | None) -> Decisions:
        slots = self.slots(observations)
        with torch.no_grad():
            scores = self.scores(slots).cpu().numpy().astype(np.float64)
        if np.isnan(scores).any():
            raise FloatingPointError("the network's scores are no longer numbers.")
        proposed = [scores] if noise is None else [scores, scores + noise]
        count = int(self.candidates)
        found = np.concatenate([order_preserving(one, count) for one in proposed], axis=1)
        objective = load_problems(self.scenario, slots).objective(found)
        place = objective.argmin(axis=-1)
        return Decisions(found[np.arange(len(found)), place], place, objective)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        del deterministic
        return torch.as_tensor(self.decide(observation.cpu().numpy()).assignment)

    def forward(self, observations: Tensor, deterministic: bool = True) -> Tensor:
        """Return the decisions for observations, shape (B, N), int64; they are never random."""
        return self._predict(observations, deterministic)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"n_candidates": int(self.candidates)}


class WholePolicy(DROOPolicy):
    """The paper's network: one over the whole observation, with outputs of each device's own.

    Hidden widths are `net_arch`, the paper's by default. It sees "flat" observations, whatever the
    env shows. Two scores through a softmax take the place of one through a sigmoid.
    """

    def __init__(self, *args: Any, net_arch: Sequence[int] = (120, 80), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.net_arch = require_widths(net_arch)
        devices, choices = self.scenario.n_devices, self.scenario.n_servers + 1
        widths = [int(np.prod(self._flat.shape)), *self.net_arch]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        last = nn.Linear(widths[-1], devices * choices)
        self.network = nn.Sequential(*layers, last, nn.Unflatten(1, (devices, choices)))

    def meet(self, scenario: Scenario) -> None:
        """Decide in another scenario from now on, with the same weights."""
        super().meet(scenario)
        self._flat = ObservationCoder(scenario, "flat")

    def seen(self, slots: Slot) -> NDArray[np.float32]:
        """Return slots as vectors."""
        return self._flat.encode(slots)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"net_arch": self.net_arch}


class LinkProposals(DROOPolicy):
    """One small network for all links between devices and servers, for any N and M.

    :class:`~baselines.learners.links.LinkNetwork` of `width`, which sees each slot by itself: so
    candidates are priced, too, and past slots tell nothing about that.
    """

    any_size: ClassVar[bool] = True

    def __init__(self, *args: Any, width: int = 64, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        require_integer("width", width, 1)
        self.width = int(width)
        self.network = LinkNetwork(self._view.middle(), self.width)

    def meet(self, scenario: Scenario) -> None:
        """Decide in another scenario from now on, with the same weights."""
        super().meet(scenario)
        self._view = LinkView(scenario, remembers=False)

    def seen(self, slots: Slot) -> NDArray[np.float32]:
        """Return what is seen of each link, (B, N, M, n_features)."""
        return self._view(slots, self._view.begin(len(slots.gains)))[0]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"width": self.width}
