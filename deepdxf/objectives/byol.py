"""BYOL: predict what a slow copy of oneself says of the other view; no negatives (Grill et al., NeurIPS 2020)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from deepdxf.objectives.parts import EPS, average, fp32, predictor, standardise


class BYOL(nn.Module):
    """2 − 2 cos(p(z_a), momentum_b) + 2 − 2 cos(p(z_b), momentum_a); owns the predictor p.

    What keeps it from the point where all vectors are equal: the predictor, targets that move slowly, and projections that
    are standardised over the batch, in place of the BatchNorm in the paper's heads.
    """

    def __init__(self, width: int, hidden: int = 4096) -> None:
        super().__init__()
        self.predictor = predictor(width, hidden)

    @fp32
    def forward(self, z_a: Tensor, z_b: Tensor, momentum_a: Tensor, momentum_b: Tensor) -> Tensor:
        """Mean over the batch of (b, d) projections."""
        z_a, z_b, momentum_a, momentum_b = map(standardise, (z_a, z_b, momentum_a, momentum_b))
        one = F.cosine_similarity(self.predictor(z_a), momentum_b.detach(), eps=EPS)
        two = F.cosine_similarity(self.predictor(z_b), momentum_a.detach(), eps=EPS)
        return average(4.0 - 2.0 * one - 2.0 * two)
