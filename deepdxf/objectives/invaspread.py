"""InvaSpread: invariant to the view, spread over the batch, without a bank (Ye et al., CVPR 2019).

L_i = −log P(i | x̂_i) − Σ_{j≠i} log(1 − P(i | x_j)), with x̂ the second view, P(i | x̂_i) = e^{f_i·f̂_i/τ} / Σ_k e^{f_k·f̂_i/τ}
and P(i | x_j) = e^{f_i·f_j/τ} / Σ_k e^{f_k·f_j/τ}.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.parts import average, fp32, not_negatives, unit


@fp32
def invaspread(z_a: Tensor, z_b: Tensor, *, temperature: float = 0.1, same: Tensor | None = None) -> Tensor:
    """Mean over the batch of (b, d) projections; pairs of ``same`` (b, b) neither compete nor are spread."""
    f, seen = unit(z_a), unit(z_b)
    excluded = not_negatives(len(f), same, f)
    twins = excluded ^ torch.eye(len(f), dtype=torch.bool, device=f.device)
    invariant = -(f @ seen.mT / temperature).masked_fill(twins, -torch.inf).log_softmax(0).diagonal()
    within = (f @ f.mT / temperature).masked_fill(twins, -torch.inf)
    others = torch.log1p(-within.softmax(0).clamp(max=1.0 - 1e-6)).masked_fill(excluded, 0.0)  # log(1 − P(i | x_j))
    return average(invariant - others.sum(1))
