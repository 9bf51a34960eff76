"""m²-mixup: negatives half-way between the codes close the gap between them (Oh et al., NeurIPS 2023).

CLIP + w · L_mix; in L_mix the negatives of drawing i are, instead of the other code's vectors, points on the great circle
between the two codes of drawing j: m_λ(u, v) = u sin(λθ)/sin θ + v sin((1 − λ)θ)/sin θ, θ = acos(u·v), λ ~ Beta(α, α).
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.cross_code import cross_code
from deepdxf.objectives.parts import average, fp32, info_nce, mixing_share, not_negatives, unit


@fp32
def m2_mixup(
    z_a: Tensor,
    z_b: Tensor,
    *,
    temperature: float = 0.07,
    mix_weight: float = 0.01,
    alpha: float = 1.0,
    same: Tensor | None = None,
) -> Tensor:
    """Loss of (b, d) projections of two codes; ``same`` (b, b): no negatives of each other."""
    a, b = unit(z_a), unit(z_b)
    between = geodesic(a, b, mixing_share(alpha, len(a), a)[:, None])
    positive = (a * b).sum(-1) / temperature
    excluded = not_negatives(len(a), same, a)
    mixed = sum(average(info_nce(z @ between.mT / temperature, positive, excluded)) for z in (a, b)) / 2.0
    return cross_code(z_a, z_b, temperature=temperature, same=same) + mix_weight * mixed


def geodesic(u: Tensor, v: Tensor, share: Tensor) -> Tensor:
    """The point at ``share`` (…, 1) of the way from v to u on the great circle of unit vectors (…, d).

    The cosine is held off ±1, where the angle has no gradient; nearly equal vectors are mixed along the chord.
    """
    angle = torch.acos((u * v).sum(-1, keepdim=True).clamp(-1.0 + 1e-6, 1.0 - 1e-6))
    sine = angle.sin()
    near = sine < 2e-3  # just above the smallest sine that the clamped cosine leaves
    safe = sine.masked_fill(near, 1.0)
    arc = u * (share * angle).sin() / safe + v * ((1.0 - share) * angle).sin() / safe
    return torch.where(near, unit(share * u + (1.0 - share) * v), arc)
