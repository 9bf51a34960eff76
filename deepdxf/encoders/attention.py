"""Attention over padded tokens: Transformer layers and the pool at their end. Padding is masked in every step.

Letters in shapes: b sequences, s tokens with padding, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.encoders.ragged import lowest_outside
from deepdxf.encoders.tokens import FeedForward

ROTARY_BASE = 10_000.0


def rotary(x: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., RoFormer, 2021) of queries or keys (b, heads, s, d / heads).

    Attention then sees differences of positions only, so that the place in the whole sequence is never learned.
    """
    half = x.shape[-1] // 2
    rate = ROTARY_BASE ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(x.shape[2], device=x.device)[:, None] * rate
    cosine, sine = angle.cos(), angle.sin()
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=-1)


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and MLP with residuals; ``rotate``: relative positions."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, *, rotate: bool = False) -> None:
        super().__init__()
        self.heads, self.rotate, self.dropout = heads, rotate, dropout
        self.norm = nn.LayerNorm(width)
        # a bias of the keys would add the same to all scores of a query
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.mix = FeedForward(width, inner, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, s, d) of tokens (b, s, d) and which of them are there (b, s) bool; what padding holds means nothing."""
        norm = self.norm(x)
        query, key, value = (
            layer(norm).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        if self.rotate:
            query, key = rotary(query), rotary(key)
        # an empty sequence may look at its padding: a softmax over nothing is NaN, and the pool leaves it out anyway
        seen = (mask | ~mask.any(dim=1, keepdim=True))[:, None, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, seen, self.dropout if self.training else 0.0)
        x = x + F.dropout(self.out(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)
        result: Tensor = self.mix(x)
        return result


class Pool(nn.Module):
    """Tokens of a sequence to one vector: Linear of mean, maximum and a few learned attention means."""

    def __init__(self, width: int, queries: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        # no bias: softmax would not see it
        self.score = nn.Linear(width, queries, bias=False)
        self.out = nn.Linear((2 + queries) * width, out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, out) of tokens (b, s, d) and which of them are there (b, s) bool."""
        x, there = self.norm(x), mask[:, :, None]
        mean = (x * there).sum(1) / there.sum(1).clamp(min=1)
        largest = lowest_outside(x, there).amax(1)
        largest = torch.where(there.any(1), largest, 0.0)
        weight = lowest_outside(self.score(x), there).softmax(dim=1) * there  # (b, s, queries)
        attended = (weight.transpose(1, 2) @ x).flatten(1)
        result: Tensor = self.out(torch.cat([mean, largest, attended], dim=1))
        return result
