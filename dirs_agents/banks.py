"""Banks: the networks of all servers' agents, columns (B, M, R, N) in, scores (B, M, N) out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PAPER_WIDTHS = {30: (80, 60), 180: (260, 200), 200: (300, 250)}
"""Hidden widths of Sections V-B to V-D, by the number of devices N."""

LARGEST_BANK = 500_000_000
"""Parameters beyond which a bank of networks is refused: 2 GB of weights, 8 GB with Adam's."""


def paper_widths(n_devices: int) -> tuple[int, int]:
    """Return the hidden widths of the paper, or widths in its proportions for another N."""
    return PAPER_WIDTHS.get(n_devices, (round(1.5 * n_devices), round(1.25 * n_devices)))


class StackedMLP(nn.Module):
    """M fully connected networks of widths `sizes`, each with its own parameters, side by side.

    A batched matrix product per layer, ReLU between layers. Their random first weights are the
    policies of Algorithm 1, line 1.
    """

    def __init__(self, n_networks: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(n_networks, inputs, outputs)) for inputs, outputs in pairs
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(n_networks, 1, outputs)) for _, outputs in pairs
        )
        for weight in self.weights:
            # Glorot and Bengio's uniform law, what Keras's dense layer starts from.
            bound = (6.0 / (weight.shape[1] + weight.shape[2])) ** 0.5
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """Run every network on its own inputs, (M, B, sizes[0]) to (M, B, sizes[-1])."""
        hidden = inputs
        last = len(self.sizes) - 2
        for layer, (weight, bias) in enumerate(self._layers()):
            hidden = torch.bmm(hidden, weight).add_(bias)
            if layer < last:
                hidden = hidden.relu_()
        return hidden

    def answers(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run every network as :meth:`forward` does, by NumPy on the CPU.

        For one slot the products take the same time in both, reading all weights; the calls around
        them, which then count, cost NumPy about half of what they cost PyTorch.
        """
        hidden = inputs
        last = len(self.sizes) - 2
        for layer, (weight, bias) in enumerate(self._layers()):
            hidden = hidden @ weight.detach().numpy()
            hidden += bias.detach().numpy()
            if layer < last:
                np.maximum(hidden, 0.0, out=hidden)
        return hidden

    def _layers(self) -> Iterator[tuple[Tensor, Tensor]]:
        # A ParameterList takes its time over each index; its dictionary does not.
        weights: Any = self.weights._parameters.values()
        biases: Any = self.biases._parameters.values()
        return zip(weights, biases, strict=True)

    def single(self, index: int) -> StackedMLP:
        """Return a copy of network `index`, 0...M - 1."""
        one = StackedMLP(1, self.sizes).to(self.weights[0].device)
        one.load_state_dict(
            {name: each[index : index + 1] for name, each in self.state_dict().items()}
        )
        return one


class _NetworkBank(nn.Module):
    """What both banks share: networks of moderate size, scores from their logits."""

    def __init__(self, n_networks: int, sizes: Sequence[int]) -> None:
        super().__init__()
        parameters = n_networks * sum(a * b for a, b in itertools.pairwise(sizes))
        if parameters > LARGEST_BANK:
            raise ValueError(
                f"{n_networks} networks of widths {list(sizes)} have {parameters:.3g} parameters, "
                f"more than {LARGEST_BANK:.3g}. Give policy_kwargs={{'net_arch': [...]}} of "
                'smaller widths, or use "PricePolicy", whose size does not depend on the number '
                "of devices."
            )
        self.networks = StackedMLP(n_networks, sizes)

    def scores(self, columns: Tensor) -> Tensor:
        """Return the agents' scores, in [0, 1]: Algorithm 1, line 9."""
        return torch.sigmoid(self(columns))


class EnsembleBank(_NetworkBank):
    """One network per server, on that server's column alone: the agents of Algorithm 3."""

    def __init__(
        self, n_servers: int, n_rows: int, n_devices: int, net_arch: Sequence[int]
    ) -> None:
        super().__init__(n_servers, [n_rows * n_devices, *net_arch, n_devices])

    def forward(self, columns: Tensor) -> Tensor:
        """Return the logits of the agents' scores."""
        outputs: Tensor = self.networks(columns.flatten(2).transpose(0, 1))
        return outputs.transpose(0, 1)

    def answers(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores in one slot, (M, R, N) to (M, N), by NumPy."""
        logits = self.networks.answers(columns.reshape(len(columns), 1, -1))[:, 0]
        return _sigmoid(logits)

    def single(self, index: int) -> EnsembleBank:
        """Return a copy of the agent of server `index`, 0...M - 1."""
        one = EnsembleBank.__new__(EnsembleBank)
        nn.Module.__init__(one)
        one.networks = self.networks.single(index)
        return one


class CentralBank(_NetworkBank):
    """One network that sees all gains, for comparison: what the ensemble takes apart.

    `guests` is the row of whom a server hosts, where services migrate: like that of gains it
    differs from server to server. The one after it, of whom others host, holds nothing new.
    """

    def __init__(
        self,
        n_servers: int,
        n_rows: int,
        n_devices: int,
        net_arch: Sequence[int],
        guests: int | None = None,
    ) -> None:
        # Of each part: of which servers it is needed, and which rows.
        self._parts = [(slice(None), slice(1)), (slice(1), slice(1, guests))]
        if guests is not None:
            self._parts += [
                (slice(None), slice(guests, guests + 1)),
                (slice(1), slice(guests + 2, None)),
            ]
        width = sum(
            len(range(n_servers)[servers]) * len(range(n_rows)[rows])
            for servers, rows in self._parts
        )
        super().__init__(1, [width * n_devices, *net_arch, n_servers * n_devices])

    def forward(self, columns: Tensor) -> Tensor:
        """Return the logits of all scores."""
        parts = [columns[:, servers, rows].flatten(1) for servers, rows in self._parts]
        outputs: Tensor = self.networks(torch.cat(parts, dim=1)[None])
        return outputs[0].reshape(columns[:, :, 0].shape)

    def answers(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores in one slot, (M, R, N) to (M, N), by NumPy."""
        inputs = np.concatenate([columns[servers, rows].ravel() for servers, rows in self._parts])
        logits = self.networks.answers(inputs[None, None])
        return _sigmoid(logits.reshape(len(columns), -1))

    def single(self, index: int) -> nn.Module:
        """Refuse: there is no agent that sees one column only."""
        raise TypeError(
            "CentralPolicy decides with all servers' gains in one network: there is nothing that "
            'one server could run alone. Use "EnsemblePolicy" or "PricePolicy".'
        )


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores from logits in place: PyTorch's, so that both ways saturate alike."""
    return np.asarray(torch.from_numpy(logits).sigmoid_().numpy())
