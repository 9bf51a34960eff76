"""SimSiam: predict one's own answer to the other view, which is held still (Chen and He, CVPR 2021)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from deepdxf.objectives.parts import EPS, average, fp32, predictor, standardise


class SimSiam(nn.Module):
    """1 − ½ [cos(p(z_a), z_b) + cos(p(z_b), z_a)] with no gradient through z; owns the predictor p.

    The paper's loss plus 1: never negative, same gradient. z is standardised over the batch, as by the BatchNorm without
    scale at the end of the paper's head; without it this collapses, stopped gradient or not. The paper keeps the learning
    rate of the predictor constant.
    """

    def __init__(self, width: int, hidden: int = 512) -> None:
        super().__init__()
        self.predictor = predictor(width, hidden)

    @fp32
    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        """Mean over the batch of (b, d) projections."""
        z_a, z_b = standardise(z_a), standardise(z_b)
        one = F.cosine_similarity(self.predictor(z_a), z_b.detach(), eps=EPS)
        two = F.cosine_similarity(self.predictor(z_b), z_a.detach(), eps=EPS)
        return average(1.0 - (one + two) / 2.0)
