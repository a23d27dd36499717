"""Banks: the networks of all servers' agents, columns in, scores out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dirs_agents.networks import StackedMLP

PAPER_WIDTHS = {30: (80, 60), 180: (260, 200), 200: (300, 250)}
"""Hidden widths of Sections V-B to V-D, by the number of devices N."""

LARGEST_BANK = 500_000_000
"""Parameters beyond which a bank of networks is refused: 2 GB of weights, 8 GB with Adam's."""


def paper_widths(n_devices: int) -> tuple[int, int]:
    """Return the hidden widths of the paper, or widths in its proportions for another N.

    Parameters
    ----------
    n_devices : int
        N.

    Returns
    -------
    (int, int)

    Examples
    --------
    >>> paper_widths(200), paper_widths(100)
    ((300, 250), (150, 125))
    """
    return PAPER_WIDTHS.get(n_devices, (round(1.5 * n_devices), round(1.25 * n_devices)))


class EnsembleBank(nn.Module):
    """One network per server, on that server's column alone: the agents of Algorithm 3.

    Parameters
    ----------
    n_servers, n_rows, n_devices : int
        M networks with (1 + T) · N inputs and N outputs.
    net_arch : sequence of int
        Hidden widths.

    Examples
    --------
    >>> EnsembleBank(2, 1, 30, [80, 60])(torch.zeros(5, 2, 1, 30)).shape
    torch.Size([5, 2, 30])
    """

    def __init__(
        self, n_servers: int, n_rows: int, n_devices: int, net_arch: Sequence[int]
    ) -> None:
        super().__init__()
        sizes = [n_rows * n_devices, *net_arch, n_devices]
        require_moderate(n_servers, sizes)
        self.networks = StackedMLP(n_servers, sizes)

    def forward(self, columns: Tensor) -> Tensor:
        """Return the logits of the agents' scores.

        Parameters
        ----------
        columns : Tensor, shape (B, M, 1 + T, N)
            Of :class:`~dirs_agents.columns.ColumnCoder`.

        Returns
        -------
        Tensor, shape (B, M, N)
        """
        outputs: Tensor = self.networks(columns.flatten(2).transpose(0, 1))
        return outputs.transpose(0, 1)

    def scores(self, columns: Tensor) -> Tensor:
        """Return the agents' scores: Algorithm 1, line 9.

        Parameters
        ----------
        columns : Tensor, shape (B, M, 1 + T, N)
            As above.

        Returns
        -------
        Tensor, shape (B, M, N), [1]
            In [0, 1].
        """
        return torch.sigmoid(self(columns))

    def answers(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the agents' scores in one slot, by NumPy; see :meth:`StackedMLP.answers`.

        Parameters
        ----------
        columns : ndarray, shape (M, 1 + T, N)
            What the servers see.

        Returns
        -------
        ndarray, shape (M, N), float32, [1]
            In [0, 1].
        """
        logits = self.networks.answers(columns.reshape(len(columns), 1, -1))[:, 0]
        return _sigmoid(logits)

    def single(self, index: int) -> EnsembleBank:
        """Return a copy of one server's agent.

        Parameters
        ----------
        index : int
            0...M - 1.

        Returns
        -------
        EnsembleBank
            With M = 1.
        """
        one = EnsembleBank.__new__(EnsembleBank)
        nn.Module.__init__(one)
        one.networks = self.networks.single(index)
        return one


class CentralBank(nn.Module):
    """One network that sees all gains, for comparison: what the ensemble takes apart.

    Parameters
    ----------
    n_servers, n_rows, n_devices : int
        One network with (M + T) · N inputs and M · N outputs.
    net_arch : sequence of int
        Hidden widths.

    Examples
    --------
    >>> CentralBank(2, 1, 30, [80, 60])(torch.zeros(5, 2, 1, 30)).shape
    torch.Size([5, 2, 30])
    """

    def __init__(
        self, n_servers: int, n_rows: int, n_devices: int, net_arch: Sequence[int]
    ) -> None:
        super().__init__()
        sizes = [(n_servers + n_rows - 1) * n_devices, *net_arch, n_servers * n_devices]
        require_moderate(1, sizes)
        self.networks = StackedMLP(1, sizes)

    def forward(self, columns: Tensor) -> Tensor:
        """Return the logits of all scores.

        Parameters
        ----------
        columns : Tensor, shape (B, M, 1 + T, N)
            As for :class:`EnsembleBank`.

        Returns
        -------
        Tensor, shape (B, M, N)
        """
        gains, tasks = columns[:, :, 0], columns[:, 0, 1:]
        inputs = torch.cat([gains.flatten(1), tasks.flatten(1)], dim=1)
        outputs: Tensor = self.networks(inputs[None])
        return outputs[0].reshape(gains.shape)

    def scores(self, columns: Tensor) -> Tensor:
        """Return all scores.

        Parameters
        ----------
        columns : Tensor, shape (B, M, 1 + T, N)
            As above.

        Returns
        -------
        Tensor, shape (B, M, N), [1]
        """
        return torch.sigmoid(self(columns))

    def answers(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all scores in one slot, by NumPy; see :meth:`StackedMLP.answers`.

        Parameters
        ----------
        columns : ndarray, shape (M, 1 + T, N)
            What the servers see.

        Returns
        -------
        ndarray, shape (M, N), float32, [1]
            In [0, 1].
        """
        inputs = np.concatenate([columns[:, 0].ravel(), columns[0, 1:].ravel()])
        logits = self.networks.answers(inputs[None, None])
        return _sigmoid(logits.reshape(len(columns), -1))

    def single(self, index: int) -> nn.Module:
        """Refuse: there is no agent that sees one column only.

        Parameters
        ----------
        index : int
            Not used.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "CentralPolicy decides with all servers' gains in one network: there is nothing that "
            'one server could run alone. Use "EnsemblePolicy" or "PricePolicy".'
        )


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scores from logits in place: PyTorch's, so that both ways saturate alike."""
    return np.asarray(torch.from_numpy(logits).sigmoid_().numpy())


def require_moderate(n_networks: int, sizes: Sequence[int]) -> None:
    """Raise ``ValueError`` for networks that no machine holds.

    Parameters
    ----------
    n_networks : int
        How many.
    sizes : sequence of int
        Inputs, hidden widths, outputs.

    Raises
    ------
    ValueError
        Beyond 500 million parameters; names the cures.

    Examples
    --------
    >>> require_moderate(10, [200, 300, 250, 200])
    """
    parameters = n_networks * sum(a * b for a, b in itertools.pairwise(sizes))
    if parameters > LARGEST_BANK:
        raise ValueError(
            f"{n_networks} networks of widths {list(sizes)} have {parameters:.3g} parameters, "
            f"more than {LARGEST_BANK:.3g}. Give policy_kwargs={{'net_arch': [...]}} of smaller "
            'widths, or use "PricePolicy", whose size does not depend on the number of devices.'
        )
