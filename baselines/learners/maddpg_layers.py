"""Layers of M networks as one, and the clipping of each network's gradient."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Stack(nn.Module):
    """K fully connected layers of equal shape, each with weights of its own, as one product.

    Parameters
    ----------
    n_layers : int
        K.
    n_inputs, n_outputs : int
        Of each.
    gain : float
        Factor on the initial weights, which are uniform with a variance of gain² / inputs.

    Examples
    --------
    >>> Stack(3, 5, 2)(torch.zeros(3, 7, 5)).shape
    torch.Size([3, 7, 2])
    """

    def __init__(self, n_layers: int, n_inputs: int, n_outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_layers, n_inputs, n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_layers, 1, n_outputs))
        bound = gain * (3.0 / n_inputs) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, inputs: Tensor) -> Tensor:
        """Run every layer on its own inputs.

        Parameters
        ----------
        inputs : Tensor, shape (K, B, n_inputs)

        Returns
        -------
        Tensor, shape (K, B, n_outputs)
        """
        return torch.baddbmm(self.bias, inputs, self.weight)


class StackedNorm(nn.Module):
    """Layer normalisation with a scale and an offset for each of K networks.

    Parameters
    ----------
    n_networks, width : int
        K, and how many units are normalised together.

    Examples
    --------
    >>> StackedNorm(3, 4)(torch.ones(3, 7, 4)).abs().max().item()
    0.0
    """

    def __init__(self, n_networks: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_networks, 1, width))
        self.offset = nn.Parameter(torch.zeros(n_networks, 1, width))

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise each row, then scale and shift it.

        Parameters
        ----------
        inputs : Tensor, shape (K, B, width)

        Returns
        -------
        Tensor, shape (K, B, width)
        """
        normal = nn.functional.layer_norm(inputs, inputs.shape[-1:])
        return torch.addcmul(self.offset, normal, self.scale)


def hidden_stack(n_networks: int, widths: Sequence[int], layer_norm: bool) -> list[nn.Module]:
    """Return what follows the first layer of K networks, up to the last hidden units.

    Parameters
    ----------
    n_networks : int
        K.
    widths : sequence of int
        Of the hidden layers, the first one's included.
    layer_norm : bool
        Whether each hidden layer is normalised before its ReLU.

    Returns
    -------
    list of Module
    """

    def activated(width: int) -> list[nn.Module]:
        norm: list[nn.Module] = [StackedNorm(n_networks, width)] if layer_norm else []
        return [*norm, nn.ReLU()]

    parts = activated(widths[0])
    for inputs, outputs in itertools.pairwise(widths):
        parts += [Stack(n_networks, inputs, outputs, gain=2**0.5), *activated(outputs)]
    return parts


def clip_each(stacked: nn.Module, limit: float) -> Tensor:
    """Shorten the gradient of each of M networks whose parameters are stacked.

    Parameters
    ----------
    stacked : Module
        All its parameters have M as their first axis, and gradients.
    limit : float
        Longest gradient of one network.

    Returns
    -------
    Tensor, shape (M,)
        Lengths before.

    Examples
    --------
    >>> layer = nn.Module()
    >>> layer.weight = nn.Parameter(torch.zeros(2, 1, 1))
    >>> layer.weight.grad = torch.tensor([[[3.0]], [[0.5]]])
    >>> clip_each(layer, 1.0).tolist(), layer.weight.grad.flatten().tolist()
    ([3.0, 0.5], [1.0, 0.5])
    """
    gradients = [part.grad for part in stacked.parameters() if part.grad is not None]
    squares = torch.stack([gradient.square().sum((1, 2)) for gradient in gradients])
    norms = squares.sum(0).sqrt()
    factors = (limit / norms.clamp(min=1e-12)).clamp(max=1.0)[:, None, None]
    for gradient in gradients:
        gradient.mul_(factors)
    return norms
