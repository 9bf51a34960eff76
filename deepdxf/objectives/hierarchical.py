"""Contrast at every level at once: entity, patch, block, drawing (TS2Vec, AAAI 2022, and COMET, NeurIPS 2023, in time).

At the three lower levels each part finds itself in the other view among the parts of its drawing; at the top each drawing
finds itself among the batch. Parts are pooled from their entities by maximum; the loss is the mean of the levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.node_contrast import SAMPLED, node_contrast
from deepdxf.objectives.nt_xent import nt_xent
from deepdxf.objectives.parts import fp32, pool, zero


@fp32
def hierarchical(
    nodes_a: Tensor,
    nodes_b: Tensor,
    owner: Tensor,
    *,
    block: Tensor | None = None,
    patch: int = 16,
    temperature: float = 0.07,
    sampled: int = SAMPLED,
    same: Tensor | None = None,
) -> Tensor:
    """Loss of (n, d) matched entities of two views; ``owner`` (n,) their drawing, ``block`` (n,) their block.

    A patch is ``patch`` consecutive entities. Without ``block`` there are three levels. ``same`` (b, b) between drawings.
    """
    if not len(owner):
        return zero(nodes_a, nodes_b)
    drawing, number, size = torch.unique_consecutive(owner, return_inverse=True, return_counts=True)
    place = torch.arange(len(owner), device=owner.device) - (size.cumsum(0) - size)[number]
    parts = [torch.arange(len(owner), device=owner.device), _numbered(number, place // patch)]
    if block is not None:
        parts.append(_numbered(number, block))
    terms = []
    for part in parts:
        of = torch.zeros(int(part.max()) + 1, dtype=torch.int64, device=owner.device).scatter_(0, part, number)
        a, b = pool(nodes_a, part, "amax"), pool(nodes_b, part, "amax")
        terms.append(node_contrast(a, b, of, temperature=temperature, sampled=sampled))
    whole = None if same is None else same[drawing][:, drawing]
    a, b = pool(nodes_a, number, "amax"), pool(nodes_b, number, "amax")
    terms.append(nt_xent(a, b, temperature=temperature, same=whole))
    return torch.stack(terms).mean()


def _numbered(drawing: Tensor, part: Tensor) -> Tensor:
    """(n,) numbers 0, 1, … of the pairs (drawing, part), in order of the drawings."""
    numbers: Tensor = torch.unique(torch.stack([drawing, part], 1), dim=0, return_inverse=True)[1]
    return numbers
