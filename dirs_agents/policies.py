"""Policies of DIRS: what the servers' agents answer with, the vote, and what servers turn away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dirs_agents.banks import CentralBank, EnsembleBank, paper_widths
from dirs_agents.columns import ColumnCoder, tensor_of
from dirs_agents.continuation import FORECASTS, WINDOW, Continuation
from dirs_agents.prices import PriceBank
from mec_gym import vote
from mec_gym.envs.sb3_model import WorldPolicy
from mec_gym.validation import (
    require_bool,
    require_choice,
    require_integer,
    require_number,
    require_widths,
)

_PART = 128
"""Observations that are decided at once, of a larger batch."""


class VotingPolicy(WorldPolicy):
    """What all policies of DIRS share: a score per server and device, then the paper's vote."""

    default_loss: ClassVar[str] = "binary"
    any_size: ClassVar[bool] = False
    """Whether weights fit scenarios with other numbers of devices and servers."""

    remembers: bool = False
    """Whether decisions take what was seen before, the `state` of :meth:`predict`."""

    bank: Any
    """The agents, columns (B, M, R, N) in, logits (B, M, N) out; a subclass builds it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.coder = ColumnCoder(self.scenario, self.observation_kind)
        self._may_stay = self.scenario.can_execute_locally

    def columns(self, observations: Tensor) -> Tensor:
        """Return what every server sees of observations, shape (B, M, R, N)."""
        return self.coder.columns(observations.to(torch.float32))

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one entry of :meth:`stored`."""
        return self.coder.coder.shape

    def recall(self, columns: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return columns with what the agents make of their memory, and the memory after them."""
        return columns, memory

    def stored(self, observations: NDArray[np.float32], columns: Tensor) -> NDArray[np.float32]:
        """Return what the replay buffer keeps of observations (B, ...) and their columns."""
        del columns
        return observations

    def outlook(self, columns: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return worth D [1] and present gains, both (B, N, M), of a policy that `remembers`."""
        raise NotImplementedError(f"{type(self).__name__} does not look ahead.")

    def decide(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joint decision a^e, shape (B, N), and the scores it comes from, [V-1]."""
        scores = self.bank.scores(columns)
        return self._vote(scores), scores

    def _vote(self, scores: Tensor) -> Tensor:
        # NumPy reads a tensor in place, and its operations on few numbers cost less.
        ballot = scores.detach().numpy() if scores.device.type == "cpu" else scores
        return torch.as_tensor(vote(ballot, self._may_stay))

    def forward(self, observations: Tensor, deterministic: bool = True) -> Tensor:
        """Return the joint decision for observations, shape (B, N), int64; it is never random."""
        del deterministic
        columns, _ = self.recall(self.columns(observations), None)
        decision: Tensor = self.decide(columns)[0]
        return decision

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        return self.forward(observation, deterministic)

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Return the joint decision for one observation, shape (N,), or for a batch, (B, N).

        0 = local, j = server j. Nothing is random. Where the policy `remembers`, `state` holds what
        was seen before, (B, M, N, W), and forgets it where an episode starts: hand it back with the
        next slot. Elsewhere it is returned as it came, and `episode_start` is not used.
        """
        if self.remembers:
            return self._predict_on(observation, state, episode_start)
        shape = self.observation_space.shape
        assert shape is not None
        numbers = type(observation) is np.ndarray and observation.dtype.kind in "iuf"
        # Stable-Baselines3 converts anything else, or says what is wrong with it.
        if not numbers or shape not in (observation.shape, observation.shape[1:]):
            return super().predict(observation, state, episode_start, deterministic)
        if self.training:
            self.set_training_mode(False)
        if observation.shape == shape:
            return self._decide_one(observation), state
        batch, device = observation, self.device
        with torch.no_grad():
            # Parts of a large batch, so that what layers hand on stays in the cache.
            parts = [
                self._predict(tensor_of(batch[first : first + _PART], device))
                for first in range(0, max(1, len(batch)), _PART)
            ]
        return np.concatenate([part.cpu().numpy() for part in parts]), state

    def _predict_on(
        self, observation: Any, state: Any, episode_start: Any
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
        """Return decisions, and the memory after them."""
        self.set_training_mode(False)
        batch, several = self.obs_to_tensor(observation)
        assert isinstance(batch, Tensor)
        with torch.no_grad():
            columns = self.columns(batch)
            memory = (
                None if state is None else tensor_of(self._of_state(state, columns), self.device)
            )
            memory = self.forgotten(memory, episode_start)
            columns, memory = self.recall(columns, memory)
            decisions = [self.decide(part)[0] for part in torch.split(columns, _PART)]
        assert memory is not None
        decision = torch.cat(decisions).cpu().numpy()
        return (decision if several else decision[0]), (memory.cpu().numpy(),)

    def _of_state(self, state: Any, columns: Tensor) -> NDArray[Any]:
        """Return the memory, (B, M, N, W), that a state holds, or raise ``ValueError``."""
        shape = (*columns.shape[:2], columns.shape[-1], WINDOW)
        memory = np.asarray(state[0]) if isinstance(state, tuple) and state else np.empty(0)
        if memory.shape != shape:
            raise ValueError(
                "state must be what the last call returned for as many slots, a tuple of an array "
                f"of shape {shape}; got {type(state).__name__} and shape {memory.shape}."
            )
        return memory

    @staticmethod
    def forgotten(memory: Tensor | None, starts: Any) -> Tensor | None:
        """Return a memory that is empty where an episode starts, `starts` (B,)."""
        if memory is None or starts is None:
            return memory
        if np.all(starts):
            return None
        new = torch.tensor(np.broadcast_to(starts, len(memory)), dtype=torch.bool)
        return torch.where(new.to(memory.device)[:, None, None, None], torch.nan, memory)

    def _decide_one(self, observation: NDArray[Any]) -> NDArray[np.int64]:
        """Return the joint decision for one observation."""
        with torch.no_grad():
            batch = tensor_of(observation[None], self.device)
            return np.asarray(self._predict(batch)[0].cpu().numpy())


class EnsemblePolicy(VotingPolicy):
    """The paper's agents: a fully connected network per server over its own column.

    Hidden widths are `net_arch`, each at least 1; the paper's by default (:func:`paper_widths`).
    """

    def __init__(self, *args: Any, net_arch: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        devices = self.scenario.n_devices
        self.net_arch = require_widths(paper_widths(devices) if net_arch is None else net_arch)
        self.bank = self._new_bank(self.scenario.n_servers, self.coder.n_rows, devices)

    def _new_bank(self, n_servers: int, n_rows: int, n_devices: int) -> nn.Module:
        return EnsembleBank(n_servers, n_rows, n_devices, self.net_arch)

    def _decide_one(self, observation: NDArray[Any]) -> NDArray[np.int64]:
        # A subclass or another bank decides by its own code.
        known = (type(self), type(self.bank)) in _BY_NUMPY
        if not known or self.device.type != "cpu":
            return super()._decide_one(observation)
        scores = self.bank.answers(self.coder.columns_of_one(observation))
        return np.asarray(vote(scores, self._may_stay))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"net_arch": self.net_arch}


class CentralPolicy(EnsemblePolicy):
    """One network over all gains in place of the ensemble: the ablation of Section IV-C.

    Its hidden widths are those of one of the ensemble's networks, which makes it somewhat smaller
    than all of them together.
    """

    def _new_bank(self, n_servers: int, n_rows: int, n_devices: int) -> nn.Module:
        return CentralBank(n_servers, n_rows, n_devices, self.net_arch, self.coder.guests)


_BY_NUMPY = ((EnsemblePolicy, EnsembleBank), (CentralPolicy, CentralBank))
"""Policies and banks that NumPy can decide for, in one slot in less time than PyTorch."""


class PricePolicy(VotingPolicy):
    r"""Agents that post a price for their server's time, [P-1], and turn away what does not pay.

    Agent j scores device i by what offloading saves it, w_ij = c_i0 − c_ij, less the price of its
    work, λ_j s_i: with the prices of the dual problem [S-2] the vote is then the optimal decision
    of that problem. The agent reads λ_j off its own column: see
    :class:`~dirs_agents.prices.PriceBank`. Its few weights are shared by all servers and do not
    depend on N or M, so a trained model decides for any number of devices.

    Parameters
    ----------
    hidden : int
        Width of the small network's two hidden layers.
    admission : bool
        Whether each server, once the vote has sent it devices, keeps those that pay at its actual
        load, [P-2], and returns the others to local execution. Local knowledge, but a second
        message to each device.
    markdown : float, [1]
        With admission, scores use this fraction of λ_j: a device too many can be turned away, one
        too few cannot be called back. In (0, 1].
    continuation : bool
        Whether agents look ahead where services migrate: a choice counts what the service is worth
        at the server afterwards, [C-1], which a network shared by all links learns. The agents then
        remember the last slots of their columns, and :meth:`predict` has a `state`.
    forecast : {"none", "velocity", "gru"}
        What else tells that network where a link's gain is going: nothing, constant velocity, or a
        small recurrent network. Where channels are seen with delay it also replaces the seen gains.
    """

    default_loss: ClassVar[str] = "vote"
    any_size: ClassVar[bool] = True

    def __init__(
        self,
        *args: Any,
        hidden: int = 16,
        admission: bool = True,
        markdown: float = 0.5,
        continuation: bool = False,
        forecast: str = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        require_integer("hidden", hidden, 1)
        require_number("markdown", markdown, "(0, 1]")
        self.hidden, self.markdown = hidden, float(markdown)
        self.admission = require_bool("admission", admission)
        self.bank = PriceBank(
            self.coder,
            hidden=hidden,
            markdown=self.markdown if self.admission else 1.0,
            admission=self.admission,
        )
        require_choice("forecast", forecast, FORECASTS)
        require_bool("continuation", continuation)
        if forecast != "none" and not continuation:
            raise ValueError(f"forecast={forecast!r} needs continuation=True, which it informs.")
        self.forecast = forecast
        self.foresight = Continuation(self.coder, forecast) if continuation else None
        self.remembers = continuation and self.scenario.migrates

    def recall(self, columns: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return columns with worth and present gains as two further rows, and the memory."""
        if self.foresight is None or not self.remembers:
            return columns, memory
        return self.foresight.noted(columns, memory)

    def columns(self, observations: Tensor) -> Tensor:
        """Return what every server sees of observations, or of what :meth:`stored` returned."""
        size = math.prod(self.coder.coder.shape)
        flat = observations.flatten(1)
        if flat.shape[1] == size:
            return super().columns(observations)
        columns = super().columns(flat[:, :size])
        rows = flat[:, size:].reshape(*columns.shape[:2], -1, columns.shape[-1])
        return torch.cat([columns, rows], dim=2)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one entry of :meth:`stored`."""
        links = self.scenario.n_devices * self.scenario.n_servers
        shape = super().stored_shape
        return (math.prod(shape) + 2 * links,) if self.remembers else shape

    def stored(self, observations: NDArray[np.float32], columns: Tensor) -> NDArray[np.float32]:
        """Return observations and, where the agents look ahead, worth and present gains."""
        if not self.remembers:
            return observations
        rows = columns[:, :, self.coder.n_rows :].flatten(1).cpu().numpy()
        return np.concatenate([observations.reshape(len(rows), -1), rows], axis=1)

    def outlook(self, columns: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return worth D [1] and present gains of columns that look ahead, (B, N, M)."""
        rows = columns[:, :, self.coder.n_rows :].to(torch.float64)
        gains = self.coder.gains(rows[:, :, 1:])
        worth, present = (part.swapaxes(1, 2).cpu().numpy() for part in (rows[:, :, 0], gains))
        return worth, present

    def decide(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joint decision, admission included, and the scores it comes from, [V-1]."""
        if not bool(torch.isfinite(columns).all()):
            # Sorting would put them somewhere; networks hand them on to the vote, which refuses.
            raise ValueError("observation must be finite; got a value that is not.")
        # Both steps need the same savings, computed once; another bank may do without them.
        known = {"known": self.bank.savings(columns)} if type(self.bank) is PriceBank else {}
        scores = self.bank.scores(columns, **known)
        decision = self._vote(scores)
        if self.admission:
            servers = torch.arange(1, scores.shape[1] + 1, device=scores.device)
            offered = decision[:, None] == servers[:, None]
            kept = self.bank.admitted(columns, offered, **known)
            decision = torch.where(kept.any(dim=1), decision, torch.zeros_like(decision))
        return decision, scores

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "hidden": self.hidden,
            "admission": self.admission,
            "markdown": self.markdown,
        }
        own |= {"continuation": self.foresight is not None, "forecast": self.forecast}
        return super()._get_constructor_parameters() | own
