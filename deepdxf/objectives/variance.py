"""Against collapse: every dimension of the projections keeps a standard deviation (VICReg, ICLR 2022).

Hinge mean_j max(0, γ − sqrt(Var_j + ε)) and, if asked, the mean of squared covariances off the diagonal,
Σ_{i≠j} Cov_ij² / d. Of the projections as they are, not normalised.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdxf.objectives.parts import fp32, stack_views, zero

EPS_VARIANCE = 1e-4  # as published: the gradient of the root stays finite at variance 0


@fp32
def variance(z_a: Tensor, z_b: Tensor, *, target: float = 1.0, covariance: float = 0.0) -> Tensor:
    """Mean over the two views of hinge + ``covariance`` · covariance term, of (b, d) projections; 0 for one drawing.

    ``target`` is γ: 1 for free projections; 1/√d would be the spread of unit vectors.
    """
    if len(z_a) < 2:
        return zero(z_a, z_b)
    z = stack_views(z_a, z_b, ())
    loss = spread_hinge(z, target)
    return loss + covariance * covariance_term(z) if covariance else loss


def spread_hinge(z: Tensor, target: float) -> Tensor:
    """Hinge on the standard deviation (n − 1 in the denominator) of each column of (v, b, d), mean over columns and views."""
    return (target - torch.sqrt(z.var(1) + EPS_VARIANCE)).relu().mean()


def covariance_term(z: Tensor) -> Tensor:
    """Σ_{i≠j} Cov_ij² / d of (v, b, d), mean over views."""
    _, b, d = z.shape
    centred = z - z.mean(1, keepdim=True)
    cov = centred.mT @ centred / (b - 1)
    off = cov.masked_fill(torch.eye(d, dtype=torch.bool, device=z.device), 0.0)
    return off.square().sum((1, 2)).mean() / d
