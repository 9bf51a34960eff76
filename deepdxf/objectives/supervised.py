"""With labels: all drawings of a family attract each other (SupCon, NeurIPS 2020, the form with the sum outside).

L_i = −1/|P(i)| Σ_{p∈P(i)} log e^{s_ip/τ} / Σ_{a≠i} e^{s_ia/τ}, P(i) = all other rows of the label of i; mean over the
anchors that have positives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepdxf.objectives.parts import fp32, stack_views, unit, zero


@fp32
def supervised(
    z_a: Tensor,
    z_b: Tensor,
    labels: Tensor,
    *,
    more: Sequence[Tensor] = (),
    temperature: float = 0.07,
    same: Tensor | None = None,
) -> Tensor:
    """Loss of (b, d) views under ``labels`` (b,) int64, −1 = not known.

    Drawings without a label are left out altogether: whether they would be negatives is not known. Pairs of ``same``
    (b, b) with different labels are no negatives. No labelled drawing: 0.
    """
    known = labels >= 0
    views = len(more) + 2
    z = stack_views(z_a, z_b, more)[:, known].flatten(0, 1)
    return label_contrast(
        z,
        labels[known].repeat(views),
        None if same is None else same[known][:, known].repeat(views, views),
        temperature,
    )


def label_contrast(z: Tensor, labels: Tensor, same: Tensor | None, temperature: float) -> Tensor:
    """The formula above for any (n, d) rows with ``labels`` (n,) and ``same`` (n, n): anchors without positives skipped."""
    alike = labels[:, None] == labels
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    positives = alike & ~own
    number = positives.sum(-1)
    if not number.any():
        return zero(z)
    excluded = own if same is None else own | (same & ~alike)
    s = unit(z) @ unit(z).mT / temperature
    rest = s.masked_fill(excluded, -torch.inf).logsumexp(-1)  # of an anchor without positives maybe −inf, not used then
    losses = (rest[:, None] - s).masked_fill(~positives, 0.0).sum(-1) / number.clamp(min=1)
    return losses.sum() / (number > 0).sum()
