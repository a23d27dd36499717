"""The losses of Algorithms 2 and 3, eqs. (14), (16) and (17)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LOSSES = ("binary", "vote")


def decision_loss(logits: Tensor, assignment: Tensor, kind: str = "binary") -> Tensor:
    r"""Return how far the agents' scores are from a decision, per sample and agent.

    ``binary`` is the cross-entropy inside L_D of eq. (14) and L_A of eq. (17): each agent is a
    binary classifier of its own, −Σ_i a*_ij log π_ij + (1 − a*_ij) log(1 − π_ij). ``vote`` is the
    cross-entropy of the vote itself [T-1]: a device's choice is the largest of 0 (local) and the
    agents' logits, so its probability is softmax(0, z_i1 ... z_iM). An agent then is not taught
    to refuse a device only because another server was a little better.

    Parameters
    ----------
    logits : Tensor, shape (B, M, N)
        Before the logistic function: score ≥ 0.5 is logit ≥ 0.
    assignment : Tensor, shape (B, N), int64
        a*: 0 = local, j = server j.
    kind : {"binary", "vote"}
        See above.

    Returns
    -------
    Tensor, shape (B, M) for "binary", (B, 1) for "vote", [nat]
        Summed over devices.

    Examples
    --------
    >>> loss = decision_loss(torch.zeros(1, 2, 3), torch.tensor([[0, 1, 2]]))
    >>> bool(torch.allclose(loss, torch.full((1, 2), 3 * torch.log(torch.tensor(2.0)))))
    True
    """
    if kind == "binary":
        servers = torch.arange(1, logits.shape[1] + 1, device=logits.device)
        chosen = assignment[:, None] == servers[:, None]
        losses = functional.binary_cross_entropy_with_logits(
            logits, chosen.to(logits.dtype), reduction="none"
        )
        return losses.sum(-1)
    choices = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
    return functional.cross_entropy(choices, assignment, reduction="none").sum(-1, keepdim=True)


def total_loss(losses: Tensor, demonstrated: Tensor, agent_weight: float) -> Tensor:
    r"""Return L_D + λ2 L_A per agent: eq. (16) without its L2 term.

    Parameters
    ----------
    losses : Tensor, shape (B, M)
        From :func:`decision_loss`.
    demonstrated : bool Tensor, shape (B,)
        Which samples are demonstrations (the K of L_D); the others are the agents' own (the S of
        L_A).
    agent_weight : float, [1]
        λ2.

    Returns
    -------
    Tensor, shape (M,)
        Means over K and over S; a kind that the batch lacks adds nothing.

    Notes
    -----
    λ1 ‖θ‖² of eq. (14) is added by the optimizer: Adam's ``weight_decay`` of 2 λ1 is its gradient.

    Examples
    --------
    >>> total_loss(torch.tensor([[1.0], [3.0]]), torch.tensor([True, False]), 0.5)
    tensor([2.5000])
    """
    own = ~demonstrated
    weights = demonstrated / demonstrated.sum().clamp(min=1)
    weights = weights + agent_weight * own / own.sum().clamp(min=1)
    return weights.to(losses.dtype) @ losses
