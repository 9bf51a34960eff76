"""Matching network: nodes of two graphs look at each other (after CGMN, Jin et al., IJCAI 2022).

Each node is compared with the mean of the other graph's nodes, weighted by how similar they are; weights are a softmax,
so that they are positive and sum to 1 whatever the signs of the cosines. Padded and in matrix products, no loop.
Letters in shapes: b pairs, n and m nodes of the two graphs, d width, k perspectives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.encoders.ragged import longest, lowest_outside, pad, starts
from deepdxf.encoders.sequence import Encoded

EPS = 1e-6


class Interaction(nn.Module):
    """Multi-perspective cosines (Wang et al., BiMPM, 2017) of nodes with what they see in another graph.

    f_k(i) = cos(w_k ∘ x_i, w_k ∘ y̅_i), y̅_i = Σ_j softmax_j(s · cos(x_i, y_j)) y_j, with learned w_k and s.
    """

    def __init__(self, width: int, perspectives: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(1.0 + 0.5 * torch.randn(perspectives, width))
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))  # s = 10

    def forward(self, x: Tensor, x_mask: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """(b, n, k) of nodes (b, n, d), (b, m, d) and which of them are there (b, n), (b, m); zeros where one is not."""
        cosine = F.normalize(x, dim=2, eps=EPS) @ F.normalize(y, dim=2, eps=EPS).transpose(1, 2)  # (b, n, m)
        score = self.log_sharpness.clamp(max=4.6).exp() * cosine
        seen = (lowest_outside(score, y_mask[:, None]).softmax(dim=2) * y_mask[:, None]) @ y
        square = (self.weights**2).T  # (d, k)
        length = ((x**2 @ square + EPS**2).sqrt() * (seen**2 @ square + EPS**2).sqrt()).clamp(min=EPS)
        return (x * seen) @ square / length * (x_mask[:, :, None] & y_mask.any(1)[:, None, None])


class MatchingNetwork(nn.Module):
    """Cross-view and cross-graph interaction of node embeddings; node-level output, and a score for re-ranking."""

    def __init__(self, width: int, perspectives: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.view, self.graph = Interaction(width, perspectives), Interaction(width, perspectives)
        self.back = nn.Linear(perspectives, width)

    def forward(self, view: Encoded, other_view: Encoded, other_graph: Encoded) -> Tensor:
        """Nodes of ``view`` after looking at another view of the same drawings and then at other drawings.

        Returns:
            (n, k), row i belongs to ``view.nodes[i]``. Drawing j of all three stands at the same place in its batch.
        """
        drawings = view.vector.shape[0]
        x, mask = self._padded(view, drawings)
        across_views = self.view(x, mask, *self._padded(other_view, drawings))
        x = x + self.back(across_views) * mask[:, :, None]
        result: Tensor = self.graph(x, mask, *self._padded(other_graph, drawings))[mask]
        return result

    def score(self, a: Encoded, b: Encoded) -> Tensor:
        """(b,) how well drawing i of ``a`` and drawing i of ``b`` match, in [−1, 1]; symmetric, 0 where one is empty."""
        drawings = a.vector.shape[0]
        (x, x_mask), (y, y_mask) = self._padded(a, drawings), self._padded(b, drawings)
        there: Tensor = self.graph(x, x_mask, y, y_mask).mean(2).sum(1) / x_mask.sum(1).clamp(min=1)
        back: Tensor = self.graph(y, y_mask, x, x_mask).mean(2).sum(1) / y_mask.sum(1).clamp(min=1)
        return (there + back) / 2.0

    def _padded(self, encoded: Encoded, drawings: int) -> tuple[Tensor, Tensor]:
        """(b, n, d) normalised nodes and (b, n) mask."""
        length = torch.bincount(encoded.node_drawing, minlength=drawings)
        return pad(self.norm(encoded.nodes), starts(length)[:-1], length, longest(length))
