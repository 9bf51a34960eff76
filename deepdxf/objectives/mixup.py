"""Mixup of embeddings: a mixture of two drawings is as like each of them as its share (i-Mix, Lee et al., ICLR 2021).

x = λ a_i + (1 − λ) a_j, λ ~ Beta(α, α); L = λ CE(x → b_i) + (1 − λ) CE(x → b_j) over the batch. Embeddings are mixed, never
codes: there is no class between LINE and ARC.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.parts import average, fp32, mixing_share, not_negatives, unit


@fp32
def mixup(
    z_a: Tensor, z_b: Tensor, *, temperature: float = 0.2, alpha: float = 1.0, same: Tensor | None = None
) -> Tensor:
    """Mean over the batch of (b, d) projections; ``same`` (b, b): no negatives of each other."""
    a, b = unit(z_a), unit(z_b)
    n = len(a)
    share, partner = mixing_share(alpha, n, a), torch.randperm(n, device=a.device)
    return mixed_contrast(a, b, share, partner, temperature, not_negatives(n, same, a))


def mixed_contrast(
    a: Tensor, b: Tensor, share: Tensor, partner: Tensor, temperature: float, excluded: Tensor
) -> Tensor:
    """The formula above for given ``share`` (b,) and ``partner`` (b,); ``excluded`` (b, b): no negatives."""
    place = torch.arange(len(a), device=a.device)
    mixed = share[:, None] * a + (1.0 - share)[:, None] * a[partner]
    positive = (place == place[:, None]) | (place == partner[:, None])
    left_out = (excluded | excluded[partner]) & ~positive
    logits = (unit(mixed) @ b.mT / temperature).masked_fill(left_out, -torch.inf)
    logs = logits.log_softmax(-1)
    return average(-share * logs[place, place] - (1.0 - share) * logs[place, partner])
