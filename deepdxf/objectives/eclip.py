"""Synthetic positives with a curriculum, as eCLIP makes them (Kumar and Marttinen, ECCV 2024).

CLIP over the batch and further pairs (a^λ, b), a^λ = λ a + (1 − λ) a^E, λ ~ Beta(α, α). The paper's a^E is an expert's version
of the picture; here it is another view or revision of the same drawing. How many pairs join follows a curriculum: none
for the first tenth of the run, then 5 % growing to 50 %, then back (`joining`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepdxf.objectives.cross_code import LearnedCrossCode
from deepdxf.objectives.parts import fp32, mixing_share, unit


class ECLIP(nn.Module):
    """Owns the learned temperature."""

    def __init__(self, temperature: float = 0.07, alpha: float = 0.2) -> None:
        super().__init__()
        self.alpha = alpha
        self.contrast = LearnedCrossCode(temperature)

    @fp32
    def forward(self, z_a: Tensor, z_b: Tensor, *, same: Tensor | None = None, step: int = 1, steps: int = 2) -> Tensor:
        """Loss of (b, d) projections of two codes.

        ``same`` (b, b) tells which rows are other views or revisions of a drawing; a row without any makes no pair.
        """
        a, b = unit(z_a), unit(z_b)
        n = len(a)
        known = torch.zeros(n, n, dtype=torch.bool, device=a.device) if same is None else same.clone()
        known.fill_diagonal_(False)
        joins = known.any(-1) & (torch.rand(n, device=a.device) < joining(step / max(steps, 1)))
        row = joins.nonzero()[:, 0]
        if len(row):
            expert = torch.multinomial(known[row].float(), 1)[:, 0]
            share = mixing_share(self.alpha, len(row), a)[:, None]
            place = torch.cat([torch.arange(n, device=a.device), row])
            a, b = torch.cat([a, share * a[row] + (1.0 - share) * a[expert]]), b[place]
            known = known[place][:, place] | (place == place[:, None])
        loss: Tensor = self.contrast(a, b, same=known)
        return loss


def joining(share: float) -> float:
    """Probability of a synthetic pair at a share of the run: 0 up to 10 %, .05 to .5 at 40 %, back to .05 at 80 %."""
    if share < 0.1:
        return 0.0
    return 0.05 + 0.45 * min((share - 0.1) / 0.3, max((0.8 - share) / 0.4, 0.0))
