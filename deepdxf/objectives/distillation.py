"""A smaller model learns from a trained larger one (SimCLR v2's second stage, Chen et al., NeurIPS 2020).

−Σ_j P_T(j | i) log P_S(j | i), P = softmax over τ. The paper's j are classes of a fine-tuned teacher; drawings have none, so
j are the other drawings of the batch and logits are cosines: the widths of the two models need not agree.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.parts import fp32, unit, zero


@fp32
def distillation(z_a: Tensor, teacher: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of the student's (b, d) and the teacher's (b, d′) distributions; 0 for fewer than three drawings."""
    b = len(z_a)
    if b < 3:  # with one other drawing both distributions are (1)
        return zero(z_a)
    own = torch.eye(b, dtype=torch.bool, device=z_a.device)
    student, taught = ((unit(z) @ unit(z).mT)[~own].reshape(b, b - 1) / temperature for z in (z_a, teacher.detach()))
    return -(taught.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()
