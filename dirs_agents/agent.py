"""What one server runs: its own network on its own gains, and the resources of what it serves."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dirs_agents.columns import ColumnCoder, tensor_of
from dirs_agents.continuation import Continuation
from mec_gym import Allocation
from mec_gym.allocation import optimal_resources, root_work
from mec_gym.model.arrays import chosen, plain_array
from mec_gym.model.constants import constants_of
from mec_gym.validation import require_choice, require_unmasked


class Agent(nn.Module):
    """The agent of one server.

    It takes what the PettingZoo env shows to ``mec_{server}``: its gains to all devices, then
    each task column, where tasks vary, and where services migrate whose it hosts and whose is
    hosted elsewhere: R rows of N. Nothing else of another server goes in.

    `server` is j, from 1, as in an assignment; `bank` and `coder` are those of a system with this
    server alone; with `admission` the server turns away devices that do not pay.

    Examples
    --------
    >>> import gymnasium as gym
    >>> from dirs_agents import DIRS
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2")
    >>> agent = DIRS("EnsemblePolicy", env, seed=0).agent(2)
    >>> own = env.unwrapped.coder.columns_of_servers(env.reset(seed=0)[0])[1]
    >>> served = agent.admits(own, agent.scores(own) >= 0.5)
    >>> float(agent.allocate(own, served).frequency_hz.sum() / agent.scenario.server_frequency_hz)
    1.0
    """

    def __init__(
        self,
        server: int,
        bank: Any,
        coder: ColumnCoder,
        *,
        admission: bool = False,
        foresight: Continuation | None = None,
    ) -> None:
        super().__init__()
        self.foresight = foresight
        self.begin()
        self.server, self.scenario, self.admission = server, coder.scenario, admission
        self.bank, self.coder = bank, coder

    def begin(self) -> None:
        """Forget what was seen: what comes next is the first slot of an episode."""
        self._memory: Tensor | None = None
        self._looked: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of entries of what the agent takes, R · N."""
        return self.coder.n_rows * self.scenario.n_devices

    def forward(self, observation: Tensor, offered: Tensor | None = None) -> Tensor:
        """Return scores (B, N) for observations (B, R · N), or which `offered` it keeps."""
        table = observation.reshape(-1, self.coder.n_rows, self.scenario.n_devices)
        column = self.coder.scaled(table, 1)[:, None]
        bank = self.bank
        if self.foresight is not None:
            column = self._ahead(column, offered is None)
        answer = bank.scores(column) if offered is None else bank.admitted(column, offered[:, None])
        one: Tensor = answer[:, 0]
        return one

    def _ahead(self, column: Tensor, new: bool) -> Tensor:
        """Return a column with what comes of it: of a `new` slot, or the one scored last."""
        assert self.foresight is not None
        if new:
            if self._memory is not None and len(self._memory) != len(column):
                raise ValueError(
                    f"observation must be of the {len(self._memory)} episodes that the agent "
                    f"remembers; got {len(column)}. begin() lets it forget them."
                )
            self._looked, self._memory = self.foresight.noted(column, self._memory)
        elif self._looked is None or len(self._looked) != len(column):
            raise ValueError("admits() decides on the slot of scores(), which comes first.")
        assert self._looked is not None
        return self._looked

    def scores(self, observation: Any) -> NDArray[np.float32]:
        """Return the agent's scores in [0, 1] for one slot, (N,), or a batch, (B, N), float32.

        It observes its gains, then each further row, shape ([B,] R · N); at least 0.5 claims the
        device. An agent that looks ahead remembers what it has seen: call it once in every slot,
        and :meth:`begin` before an episode.
        """
        batch = self._checked(observation)
        with torch.no_grad():
            scores = self(batch).cpu().numpy()
        return np.asarray(scores[0] if np.ndim(observation) == 1 else scores)

    def admits(self, observation: Any, offered: Any) -> NDArray[np.bool_]:
        """Return which of the `offered` devices, which the vote sent here, the server serves.

        All of them, unless the policy has an admission step, [P-2]; both bool, shape (N,).
        """
        mask = self._mask("offered", offered)
        if not self.admission:
            return mask
        values = self._checked(observation)
        with torch.no_grad():
            kept = self(values, tensor_of(mask, values.device)[None])
        return np.asarray(kept.cpu().numpy()[0])

    def allocate(self, observation: Any, served: Any) -> Allocation:
        """Return the optimal powers and CPU shares of the K devices served, problem (13).

        `observation` is one of those of :meth:`scores`, `served` bool, shape (N,). Powers and
        shares have shape (K,), in their order; capacity_price is this server's, shape (1,).
        """
        mask = self._mask("served", served)
        column = self._checked(observation)[0].cpu().numpy()
        slot = self.coder.own_slot(column.reshape(self.coder.n_rows, -1))
        constants = constants_of(self.coder.scenario, slot.gains)
        assignment = mask.astype(np.int64)
        snr = chosen(np, slot.gains, assignment) / constants.noise
        power, share, root_price = optimal_resources(
            constants, snr, root_work(constants, slot.cycles), assignment
        )
        return Allocation(power[mask], share[mask], root_price[1:] ** 2)

    def to_onnx(self, path: str | os.PathLike[str], *, step: str = "scores") -> Path:
        """Write the agent, or its admission step, as an ONNX model, and return the file's path.

        Step "scores" leads from ``observation``, shape (batch, R · N), float32, to
        ``scores``, shape (batch, N); "admission" from ``observation`` and ``offered``, bool, to
        ``served``, of one slot, so with a first axis of 1. ``ModuleNotFoundError`` without the
        extra: ``pip install "mec-gym[onnx]"``; ``ValueError`` for the admission step of a policy
        that has none, or for an agent with a memory.
        """
        require_choice("step", step, ("scores", "admission"))
        if self.foresight is not None:
            raise ValueError(
                "an agent that looks ahead has a memory, which its ONNX model would lack; train "
                "with continuation=False for a file."
            )
        if step == "admission" and not self.admission:
            raise ValueError('step="admission" needs a PricePolicy with admission=True.')
        if step == "scores":
            batch = {"observation": torch.ones(2, self.size)}  # 0 is no raw gain
            return _export_onnx(self, path, batch, step, any_batch=True)
        offered = torch.zeros(1, self.scenario.n_devices, dtype=torch.bool)
        one = {"observation": torch.ones(1, self.size), "offered": offered}
        return _export_onnx(self, path, one, "served", any_batch=False)

    def _checked(self, observation: Any) -> Tensor:
        values = plain_array(observation).astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise ValueError("observation must be finite; got a value that is not.")
        if values.ndim not in (1, 2) or values.shape[-1] != self.size:
            raise ValueError(
                f"observation must have shape ({self.size},) or (B, {self.size}): this server's "
                f"gains, then each further row; got shape {values.shape}."
            )
        device = next(self.parameters()).device
        return tensor_of(values, device).reshape(-1, self.size)

    def _mask(self, name: str, mask: Any) -> NDArray[np.bool_]:
        require_unmasked(name, mask)
        array = np.asarray(mask)
        if array.dtype != np.bool_ or array.shape != (self.scenario.n_devices,):
            raise ValueError(
                f"{name} must be a bool array of shape ({self.scenario.n_devices},); got dtype "
                f"{array.dtype}, shape {array.shape}."
            )
        return array


# -- ONNX ---------------------------------------------------------------------------------------


def _export_onnx(
    module: nn.Module,
    path: str | os.PathLike[str],
    inputs: Mapping[str, Tensor],
    output: str,
    *,
    any_batch: bool,
) -> Path:
    """Write a module of one output as an ONNX model, `inputs` being examples of its arguments.

    With `any_batch` the first axis may be of any size, not only the examples'.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'to_onnx needs onnx and onnxscript: pip install "mec-gym[onnx]", or in a clone '
            'pip install ".[onnx]".'
        ) from error
    model = copy.deepcopy(module).cpu().eval()
    examples = tuple(inputs.values())
    with torch.no_grad(), _quiet():
        model(*examples)  # caches of constants fill with real tensors before tracing
        batch = {0: torch.export.Dim("batch")}
        program = torch.onnx.export(
            model,
            examples,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=dict.fromkeys(inputs, batch) if any_batch else None,
            custom_translation_table={
                torch.ops.aten.sort.stable: _stable_sort,
                torch.ops.aten.log1p.default: _log1p,
            },
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "torch.onnx.export(dynamo=True) returns a program"
    target = Path(path)
    program.save(str(target))
    return target


def _stable_sort(
    values: Any, stable: bool = False, dim: int = -1, descending: bool = False
) -> tuple[Any, Any]:
    """Translate torch's stable sort, which torch's exporter lacks: TopK puts the first first."""
    del stable
    from onnxscript import opset18

    op: Any = opset18
    size = op.Gather(op.Shape(values), op.Constant(value_ints=[dim]))
    first, places = op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)
    return first, places


def _log1p(x: Any) -> Any:
    """Translate ln(1 + x), of which torch's exporter loses all digits where x is small."""
    from onnxscript import opset18

    op: Any = opset18
    one = op.CastLike(op.Constant(value_float=1.0), x)
    rounded = op.Add(x, one)
    # What was rounded off is off in the logarithm as in this quotient, and cancels.
    kept = op.Div(x, op.Sub(rounded, one))
    small, infinite = op.Equal(rounded, one), op.IsInf(rounded)
    exact = op.Where(infinite, rounded, op.Mul(op.Log(rounded), kept))
    return op.Where(small, x, exact)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says of packages that are not needed, and of its own future."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
