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

    Of logits, shape (B, M, N), before the logistic function, and a*, shape (B, N), int64. In nats,
    summed over devices: shape (B, M) for "binary", (B, 1) for "vote".
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

    Means of `losses`, shape (B, M), over the demonstrations (the K of L_D) and over the agents' own
    samples (the S of L_A), shape (M,); a kind that the batch lacks adds nothing. `agent_weight` is
    λ2. The optimizer adds λ1 ‖θ‖² of eq. (14): Adam's ``weight_decay`` of 2 λ1 is its gradient.
    """
    own = ~demonstrated
    weights = demonstrated / demonstrated.sum().clamp(min=1)
    weights = weights + agent_weight * own / own.sum().clamp(min=1)
    return weights.to(losses.dtype) @ losses
