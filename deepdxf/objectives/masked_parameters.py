"""Masked modelling in bins: name the class and the quantised parameters of entities that were hidden (BERT's form).

Cross-entropy over classes plus cross-entropy over the bins of each slot that the entity really has, weights 1 : 2 as in
DeepCAD (ICCV 2021). Slots that the true class does not use are never asked for.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from deepdxf.objectives.parts import fp32, zero


@fp32
def masked_parameters(
    class_logits: Tensor, classes: Tensor, bin_logits: Tensor, bins: Tensor, *, bin_weight: float = 2.0
) -> Tensor:
    """Loss of a decoder's answers for the hidden entities only.

    ``class_logits`` (m, classes) and ``classes`` (m,) int64 of the m hidden entities; ``bin_logits`` (p, bins) and ``bins``
    (p,) int64, one row for each present slot of them. Nothing hidden: 0.
    """
    loss = zero(class_logits, bin_logits)
    if len(classes):
        loss = loss + F.cross_entropy(class_logits, classes)
    if len(bins):
        loss = loss + bin_weight * F.cross_entropy(bin_logits, bins)
    return loss
