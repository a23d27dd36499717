"""M networks of equal shape as one: a batched matrix product per layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class StackedMLP(nn.Module):
    """M fully connected networks, each with parameters of its own, run side by side.

    Their random first weights are the policies of Algorithm 1, line 1.

    Parameters
    ----------
    n_networks : int
        M.
    sizes : sequence of int
        Inputs, hidden widths, outputs; at least two. ReLU between layers, none at the end.

    Examples
    --------
    >>> StackedMLP(2, [30, 80, 60, 30])(torch.zeros(2, 5, 30)).shape
    torch.Size([2, 5, 30])
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
        """Run every network on its own inputs.

        Parameters
        ----------
        inputs : Tensor, shape (M, B, sizes[0])
            A batch for each network.

        Returns
        -------
        Tensor, shape (M, B, sizes[-1])
        """
        hidden = inputs
        last = len(self.sizes) - 2
        for layer, (weight, bias) in enumerate(self._layers()):
            hidden = torch.bmm(hidden, weight).add_(bias)
            if layer < last:
                hidden = hidden.relu_()
        return hidden

    def answers(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run every network as :meth:`forward` does, by NumPy: sooner where B is small.

        For a few numbers, all weights are read: the products take the same time in both, and the
        calls around them count, which cost NumPy about half of what they cost PyTorch.

        Parameters
        ----------
        inputs : ndarray, shape (M, B, sizes[0])
            A batch for each network. The parameters must be in the CPU's memory.

        Returns
        -------
        ndarray, shape (M, B, sizes[-1])
            Equal to what :meth:`forward` returns but for rounding.

        Examples
        --------
        >>> StackedMLP(2, [30, 80, 60, 30]).answers(np.zeros((2, 5, 30), np.float32)).shape
        (2, 5, 30)
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
        """Return a copy of one network.

        Parameters
        ----------
        index : int
            0...M - 1.

        Returns
        -------
        StackedMLP
            With M = 1.

        Examples
        --------
        >>> StackedMLP(3, [4, 2]).single(1)(torch.zeros(1, 5, 4)).shape
        torch.Size([1, 5, 2])
        """
        one = StackedMLP(1, self.sizes).to(self.weights[0].device)
        with torch.no_grad():
            pairs = zip(one.parameters(), self.parameters(), strict=True)
            for mine, theirs in pairs:
                mine.copy_(theirs[index : index + 1])
        return one
