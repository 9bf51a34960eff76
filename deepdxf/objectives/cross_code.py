"""Across the codes: each drawing's geometry finds its sequence among the batch, and the other way round.

Symmetric InfoNCE, ½ [CE(S/τ, diagonal) + CE(Sᵀ/τ, diagonal)], S = cosines (Radford et al., CLIP, ICML 2021).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deepdxf.objectives.parts import average, fp32, info_nce, not_negatives, unit

LARGEST_SCALE = 100.0  # of the learned 1 / τ, as published: without it the scale runs away


@fp32
def cross_code(z_a: Tensor, z_b: Tensor, *, temperature: float | Tensor = 0.07, same: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of (b, d) projections of the two codes; ``same`` (b, b) bool, pairs that are no negatives."""
    s = unit(z_a) @ unit(z_b).mT / temperature
    excluded = not_negatives(len(s), same, s)
    positive = s.diagonal()
    return average(info_nce(s, positive, excluded) + info_nce(s.mT, positive, excluded.mT)) / 2.0


class LearnedCrossCode(nn.Module):
    """`cross_code` with a learned temperature τ = e^{−log_scale}, 1 / τ at most `LARGEST_SCALE`."""

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, z_a: Tensor, z_b: Tensor, *, same: Tensor | None = None) -> Tensor:
        """As `cross_code`. The parameter itself is held within its bound, so that it never gets stuck beyond."""
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))
        return cross_code(z_a, z_b, temperature=torch.exp(-self.log_scale), same=same)
