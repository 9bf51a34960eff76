"""InstDisc: every drawing is a class of its own, whose weights are its row in a memory bank (Wu et al., CVPR 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from deepdxf.objectives.parts import BankNCE, fp32, unit


class InstDisc(nn.Module):
    """Owns the bank. One view a drawing and step: the other is what the bank remembers.

    ``momentum`` 0.5 is for rows that are met once in many steps. Where a batch is a large share of the drawings, all rows
    follow each step and run along with the vectors that they should hold apart: take 0.99 there.
    """

    def __init__(
        self, width: int, count: int, negatives: int = 4096, temperature: float = 0.07, momentum: float = 0.5
    ) -> None:
        super().__init__()
        self.nce = BankNCE(count, width, negatives, temperature, momentum)

    @fp32
    def forward(self, z_a: Tensor, ids: Tensor, *, groups: Tensor | None = None) -> Tensor:
        """NCE of (b, d) projections; rows of the same group (b,) are no negatives."""
        z = unit(z_a)
        loss: Tensor = self.nce(z, ids, groups)
        if self.training:
            self.nce.bank.update(ids, z, groups)
        return loss
