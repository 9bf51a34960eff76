"""CPC: what has been drawn so far tells what is drawn next (van den Oord et al., 2018).

c_t = GRU(z_1 … z_t); for each of K steps ahead −log e^{z_{t+k}ᵀ W_k c_t} / Σ_j e^{z_jᵀ W_k c_t}, j over entities at other
places of the batch. The order is the order of the code: by handle, so what is learned is design intent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepdxf.objectives.parts import fp32, info_nce, zero


class CPC(nn.Module):
    """Owns the GRU and one matrix a step. ``width`` is that of the nodes.

    ``window`` consecutive entities of a drawing, from a random one on, take part, and ``sampled`` places of the batch.
    """

    def __init__(self, width: int, ahead: int = 12, hidden: int = 256, window: int = 128, sampled: int = 256) -> None:
        super().__init__()
        self.window, self.sampled = window, sampled
        self.context = nn.GRU(width, hidden, batch_first=True)
        self.predict = nn.ModuleList(nn.Linear(hidden, width, bias=False) for _ in range(ahead))

    @fp32
    def forward(self, nodes_a: Tensor, owner: Tensor, *, same: Tensor | None = None) -> Tensor:
        """Mean over the steps ahead that any drawing is long enough for; 0 where all have one entity.

        ``nodes_a`` (n, d), ``owner`` (n,) ascending; entities of drawings in ``same`` (b, b) are no negatives.
        """
        rows, filled = windows(owner, self.window)
        z = nodes_a[rows]  # (g, t, d); unfilled places come last, where the GRU carries nothing back from
        if not z.numel():
            return zero(nodes_a)
        context, _ = self.context(z)
        of = owner[rows]
        terms = []
        for k, predict in enumerate(self.predict, 1):
            places = filled[:, k:].nonzero()
            if len(places) < 2:
                continue
            places = places[torch.randperm(len(places), device=places.device)[: self.sampled]]
            g, t = places[:, 0], places[:, 1]
            logits = predict(context[g, t]) @ z[g, t + k].mT  # (s, s)
            excluded = torch.eye(len(g), dtype=torch.bool, device=z.device)
            if same is not None:
                drawing = of[g, t]
                excluded |= same[drawing[:, None], drawing] & (drawing[:, None] != drawing)
            terms.append(info_nce(logits, logits.diagonal(), excluded).mean())
        return torch.stack(terms).mean() if terms else zero(nodes_a)


def windows(owner: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Up to ``longest`` consecutive rows of each owner: (g, t) row numbers in order and (g, t) bool, which are filled."""
    _, size = torch.unique_consecutive(owner, return_counts=True)
    first = size.cumsum(0) - size
    spare = (size - longest).clamp(min=0)
    first = first + (torch.rand(len(size), device=owner.device) * (spare + 1)).long()
    place = torch.arange(min(longest, int(size.max())) if len(size) else 0, device=owner.device)
    filled = place < size[:, None]
    return (first[:, None] + place).masked_fill(~filled, 0), filled
