"""Node level: each entity of a drawing finds itself in the other view of the drawing (GRACE, 2020; CGMN, IJCAI 2022).

ℓ(u_i, v_i) = −log e^{s(u_i,v_i)/τ} / (Σ_j e^{s(u_i,v_j)/τ} + Σ_{j≠i} e^{s(u_i,u_j)/τ}), nodes j of the same drawing only;
½ [ℓ(u, v) + ℓ(v, u)], mean over the nodes of a drawing, then over the drawings. It is NT-Xent inside each drawing. It asks
no two drawings to differ: an auxiliary, not a retrieval objective by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.nt_xent import anchor_losses
from deepdxf.objectives.parts import fp32, zero

SAMPLED = 64  # nodes of a drawing in one step: cost is quadratic in them


@fp32
def node_contrast(
    nodes_a: Tensor, nodes_b: Tensor, owner: Tensor, *, temperature: float = 0.7, sampled: int = SAMPLED
) -> Tensor:
    """Loss of (n, d) nodes of two views, row i of both the same entity; ``owner`` (n,) int64 its drawing.

    At most ``sampled`` nodes of a drawing, drawn at random, take part. Drawings with one node have nothing to tell apart
    and do not count; without any other the loss is 0.
    """
    rows, filled = sample_rows(owner, sampled)
    several = filled.sum(-1) > 1
    if not several.any():
        return zero(nodes_a, nodes_b)
    rows, filled = rows[several], filled[several]  # (g, m)
    z = torch.stack([nodes_a[rows], nodes_b[rows]], 1)  # (g, 2, m, d)
    own = torch.eye(rows.shape[1], dtype=torch.bool, device=z.device)
    excluded = own | ~(filled[:, :, None] & filled[:, None, :])
    losses = anchor_losses(z, excluded, temperature).mean(1) * filled  # (g, m)
    return (losses.sum(-1) / filled.sum(-1)).mean()


def sample_rows(owner: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Up to ``most`` random rows of each owner as a table: (g, m) row numbers and (g, m) bool, which places are filled.

    m ≤ ``most`` is the size of the fullest owner; unfilled places hold row 0. Owners come in ascending order.
    """
    shuffled = torch.randperm(len(owner), device=owner.device)
    order = shuffled[torch.sort(owner[shuffled], stable=True).indices]
    _, group, size = torch.unique_consecutive(owner[order], return_inverse=True, return_counts=True)
    place = torch.arange(len(owner), device=owner.device) - (size.cumsum(0) - size)[group]
    kept = place < most
    rows = owner.new_zeros(len(size), min(most, int(size.max())) if len(size) else 0)
    filled = torch.zeros_like(rows, dtype=torch.bool)
    rows[group[kept], place[kept]] = order[kept]
    filled[group[kept], place[kept]] = True
    return rows, filled
