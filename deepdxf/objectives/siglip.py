"""SigLIP: every pair of codes in the batch is a yes-or-no question (Zhai et al., ICCV 2023).

L = −(1/N) Σ_ij log σ(y_ij (t s_ij + c)), y = 1 on the diagonal and −1 elsewhere; no softmax over the batch, so small
batches do not change the task.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepdxf.objectives.cross_code import LARGEST_SCALE
from deepdxf.objectives.parts import fp32, not_negatives, unit


@fp32
def pairwise_sigmoid(z_a: Tensor, z_b: Tensor, scale: Tensor, bias: Tensor, same: Tensor | None = None) -> Tensor:
    """Sum over pairs ÷ b of (b, d) projections; pairs of ``same`` (b, b), but for the diagonal, do not count."""
    logits = unit(z_a) @ unit(z_b).mT * scale + bias
    n = len(logits)
    own = torch.eye(n, dtype=torch.bool, device=logits.device)
    losses = F.softplus(torch.where(own, -logits, logits))
    return losses.masked_fill(not_negatives(n, same, logits) & ~own, 0.0).sum() / max(n, 1)


class SigLIP(nn.Module):
    """`pairwise_sigmoid` with learned scale (e^log_scale) and bias; the bias starts at the odds of a batch of negatives."""

    def __init__(self, scale: float = 10.0, bias: float = -10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, z_a: Tensor, z_b: Tensor, *, same: Tensor | None = None) -> Tensor:
        """Loss of (b, d) projections of two codes or views."""
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))
        return pairwise_sigmoid(z_a, z_b, self.log_scale.exp(), self.bias, same)
