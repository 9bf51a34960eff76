"""Replaced-entity detection: which entities do not belong to this drawing? (ELECTRA, Clark et al., ICLR 2020.)

Binary cross-entropy over all entities, not only the changed ones, so every entity of a drawing teaches.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from deepdxf.objectives.parts import average, fp32


@fp32
def replaced_entity(replaced_logits: Tensor, replaced: Tensor) -> Tensor:
    """Mean over (n,) logits that an entity is a stranger; ``replaced`` (n,) bool."""
    target = replaced.to(replaced_logits.dtype)
    return average(F.binary_cross_entropy_with_logits(replaced_logits, target, reduction="none"))
