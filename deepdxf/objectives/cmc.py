"""CMC: the codes of a drawing are views of it; each finds the others' rows in their banks (Tian et al., ECCV 2020).

Σ over ordered pairs of views v → w of the NCE of v's vector against w's bank, one bank a view.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from deepdxf.errors import ObjectiveError
from deepdxf.objectives.parts import BankNCE, fp32, unit


class CMC(nn.Module):
    """Owns a bank for each of ``views`` codes. ``negatives``: 4096 as in the published script (paper: 16384).

    For ``momentum`` see `InstDisc`.
    """

    def __init__(
        self,
        width: int,
        count: int,
        views: int = 2,
        negatives: int = 4096,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.nce = nn.ModuleList(BankNCE(count, width, negatives, temperature, momentum) for _ in range(views))

    @fp32
    def forward(
        self, z_a: Tensor, z_b: Tensor, ids: Tensor, *, more: Sequence[Tensor] = (), groups: Tensor | None = None
    ) -> Tensor:
        """All (b, d), as many as ``views``; further codes come as ``more``."""
        z = [unit(view) for view in (z_a, z_b, *more)]
        if len(z) != len(self.nce):
            raise ObjectiveError(f"cmc got {len(z)} views and has banks for {len(self.nce)}; set views={len(z)}")
        terms = [nce(query, ids, groups) for w, nce in enumerate(self.nce) for v, query in enumerate(z) if v != w]
        if self.training:
            for view, nce in zip(z, cast("Iterable[BankNCE]", self.nce), strict=True):
                nce.bank.update(ids, view, groups)
        return torch.stack(terms).sum()
