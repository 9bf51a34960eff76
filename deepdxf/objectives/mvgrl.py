"""MVGRL: entities of one view belong to their drawing as the other view sees it (Hassani and Khasahmadi, ICML 2020).

Jensen–Shannon estimate of mutual information, node of view 1 with graph of view 2 and the other way round:
E₊ = log 2 − softplus(−s), E₋ = softplus(−s) + s − log 2, L = E₋ − E₊; here without the constant −2 log 2, so that L ≥ 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from deepdxf.objectives.parts import fp32, pool, zero


@fp32
def mvgrl(nodes_a: Tensor, nodes_b: Tensor, owner: Tensor, *, same: Tensor | None = None) -> Tensor:
    """Sum of the two directions for (n, d) nodes of two views; ``owner`` (n,) their drawing, ascending.

    A drawing's vector is the mean of its nodes; scores are dot products of vectors as they are. ``same`` (b, b): nodes of
    one are no negatives of the other. A single drawing has no negatives: 0.
    """
    drawing, number = torch.unique_consecutive(owner, return_inverse=True)
    if len(drawing) < 2:
        return zero(nodes_a, nodes_b)
    own = number[:, None] == torch.arange(len(drawing), device=owner.device)  # (n, g)
    negative = ~own if same is None else ~own & ~same[drawing][:, drawing][number]
    terms = []
    for nodes, other in ((nodes_a, nodes_b), (nodes_b, nodes_a)):
        s = nodes @ pool(other, number, "mean").mT
        terms.append(F.softplus(-s[own]).mean())
        if negative.any():
            terms.append(F.softplus(s[negative]).mean())
    return torch.stack(terms).sum()
