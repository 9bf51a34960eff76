"""Denoising: restore all entities of a drawing, some of which were changed before encoding (Vincent et al., JMLR 2010).

Squared error with emphasis: changed entities count 1, the others ``clean_weight``. Otherwise copying is most of the task.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.masked_values import row_errors
from deepdxf.objectives.parts import fp32


@fp32
def denoising(predicted: Tensor, values: Tensor, corrupted: Tensor, *, clean_weight: float = 0.5) -> Tensor:
    """Weighted mean over entities; ``predicted``, ``values`` (m, w), NaN = absent; ``corrupted`` (m,) bool."""
    errors, has = row_errors(predicted, values)
    weight = torch.where(corrupted, 1.0, clean_weight) * has
    return (errors * weight).sum() / weight.sum().clamp(min=1e-6)
