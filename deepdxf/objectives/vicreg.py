"""VICReg: views agree, every dimension varies, no two dimensions say the same (Bardes et al., ICLR 2022)."""

from __future__ import annotations

from torch import Tensor

from deepdxf.objectives.parts import fp32, stack_views, zero
from deepdxf.objectives.variance import covariance_term, spread_hinge


@fp32
def vicreg(
    z_a: Tensor, z_b: Tensor, *, invariance: float = 25.0, spread: float = 25.0, covariance: float = 1.0
) -> Tensor:
    """25 · MSE + 25 · mean hinge of the two views + the sum of their covariance terms, of (b, d) projections as they are.

    The hinge is the published code's, (hinge_a + hinge_b) / 2. One drawing has no variance: only the first term is left.
    """
    if not len(z_a):
        return zero(z_a, z_b)
    loss = invariance * (z_a - z_b).square().mean()
    if len(z_a) < 2:
        return loss
    z = stack_views(z_a, z_b, ())
    return loss + spread * spread_hinge(z, 1.0) + covariance * 2.0 * covariance_term(z)
