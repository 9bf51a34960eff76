"""Some drawings have a family, most do not: NT-Xent for those without, SupCon and a classifier for those with."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from deepdxf.objectives.nt_xent import anchor_losses
from deepdxf.objectives.parts import average, fp32, not_negatives, stack_views
from deepdxf.objectives.supervised import supervised


class SemiSupervised(nn.Module):
    """NT-Xent(unlabelled) + SupCon(labelled) + CE(labelled).

    Owns the classifier of ``classes`` families; 0, the default, leaves the last term out.
    """

    def __init__(self, width: int, classes: int = 0, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = temperature
        self.classifier = nn.Linear(width, classes) if classes else None

    @fp32
    def forward(
        self, z_a: Tensor, z_b: Tensor, labels: Tensor, *, more: Sequence[Tensor] = (), same: Tensor | None = None
    ) -> Tensor:
        """Loss of (b, d) views under ``labels`` (b,), −1 = not known. Labelled drawings are negatives of the others."""
        z = stack_views(z_a, z_b, more)
        unknown = labels < 0
        losses = anchor_losses(z, not_negatives(len(labels), same, z), self.temperature)
        loss = average(losses[:, unknown])
        loss = loss + supervised(z_a, z_b, labels, more=more, temperature=self.temperature, same=same)
        if self.classifier is not None and not unknown.all():
            known = z[:, ~unknown]
            loss = loss + F.cross_entropy(self.classifier(known).flatten(0, 1), labels[~unknown].repeat(len(known)))
        return loss
