"""NT-Xent: the views of a drawing against all other drawings' views (Chen et al., SimCLR, ICML 2020).

ℓ(i, p) = −log e^{s_ip/τ} / (e^{s_ip/τ} + Σ_k e^{s_ik/τ}), s = cosine, k over all views of the other drawings (2N − 2 of
two views); the loss is the mean over the anchors. The published code sums the two directions, which is twice this.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepdxf.objectives.parts import average, fp32, not_negatives, stack_views, unit


@fp32
def nt_xent(
    z_a: Tensor,
    z_b: Tensor,
    *,
    more: Sequence[Tensor] = (),
    temperature: float = 0.07,
    same: Tensor | None = None,
) -> Tensor:
    """Mean loss over anchors and, with more than two views, over all ordered pairs of views.

    ``z_a``, ``z_b`` and each of ``more`` (b, d); ``same`` (b, b) bool, drawings that are no negatives of each other.
    A batch without negatives has loss 0.
    """
    z = stack_views(z_a, z_b, more)
    return average(anchor_losses(z, not_negatives(z.shape[1], same, z), temperature))


def anchor_losses(z: Tensor, excluded: Tensor, temperature: float) -> Tensor:
    """(…, v, n) loss of every view of every item, of (…, v, n, d) views.

    ``excluded`` (…, n, n) bool: items that are no negatives of each other, the diagonal among them. Other positives of
    an anchor are not in the denominator of this one: each pair of views has one positive.
    """
    *batch, views, n, _ = z.shape
    flat = unit(z).flatten(-3, -2)
    s = flat @ flat.mT / temperature  # (…, v·n, v·n)
    positive = s.reshape(*batch, views, n, views, n).diagonal(dim1=-3, dim2=-1)  # (…, v, v, n)
    negatives = s.masked_fill(excluded.repeat(*[1] * len(batch), views, views), -torch.inf)
    all_negatives = negatives.logsumexp(-1).reshape(*batch, views, 1, n)
    losses = torch.logaddexp(positive, all_negatives) - positive  # (…, anchor's view, positive's view, n)
    own = torch.eye(views, dtype=torch.bool, device=z.device)[:, :, None]
    return losses.masked_fill(own, 0.0).sum(-2) / (views - 1)
