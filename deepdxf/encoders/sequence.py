"""Sequence encoder: what was drawn, with which parameters, in which order -> a vector.

rows -> embedding (`tokens`) -> mixer -> pool. Mixers: ``set`` knows no order (Zaheer et al., Deep Sets, 2017);
``patch`` makes a token of 16 consecutive rows, then a Transformer with relative positions; ``full`` is a Transformer over
all rows; ``funnel`` halves the rows until 64 are left, then a Transformer.
Letters in shapes: b drawings, n rows in all, s rows of the longest, d width, p patches in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.collate import Batch
from deepdxf.drawing import N_CLASSES, EntityClass
from deepdxf.encoders.attention import Pool, TransformerLayer
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.ragged import buckets, exporting, longest, lowest_outside, number, owners, pad, starts
from deepdxf.encoders.tokens import ClassicEmbedding, EntityEmbedding, FeedForward
from deepdxf.errors import EncoderError
from deepdxf.vocabulary import BINS, CLASSIC, CLASSIC_COLUMNS


@dataclass(frozen=True, eq=False)
class Encoded:
    """What an encoder makes of a batch."""

    vector: Tensor  # (b, dim of the encoder) what is served, and what the projection heads read
    nodes: Tensor  # (m, d) tokens before pooling: rows, patches or graph nodes
    node_drawing: Tensor  # (m,) int64 drawing of each token, ascending


class SequenceEncoder(nn.Module):
    """See the module's head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        config = config.resolved()
        self.classic = config.vocabulary == "classic"
        self.embedding = ClassicEmbedding(config) if self.classic else EntityEmbedding(config)
        self.patches = Patches(config) if config.mixer == "patch" else None
        self.mixer = MIXERS[config.mixer](config)
        self.pool = Pool(config.width, config.pool_queries, config.vector)
        self.order_dropout = config.order_dropout if config.mixer != "set" else 0.0
        self.dim = config.vector
        self.register_buffer("point_columns", _point_columns(), persistent=False)
        self.point_columns: Tensor

    def forward(self, batch: Batch, embedded: Tensor | None = None) -> Encoded:
        """Encode a batch; ``embedded`` are the rows of `embedding` where the caller has them already."""
        x = self.embedding(batch) if embedded is None else embedded
        start = batch.classic_start if self.classic else batch.start
        if self.training and self.order_dropout > 0:
            x = x[self._order(batch, start)]
        if self.patches is not None:
            x, start = self.patches(x, start)
        length = start.diff()
        vectors, tokens, drawings, order = [], [], [], []
        for rows in buckets(length):
            block, mask = pad(x, start[rows], length[rows], longest(length[rows]))
            block, mask = self.mixer(block, mask)
            vectors.append(self.pool(block, mask))
            order.append(rows)
            if not exporting():
                tokens.append(block[mask])
                drawings.append(rows[:, None].expand_as(mask)[mask])
        if exporting():  # a served model has one bucket and no use for tokens
            return Encoded(vectors[0], x, owners(start, x.shape[0]))
        vector = torch.cat(vectors)[torch.cat(order).argsort()]
        drawing, by_drawing = torch.cat(drawings).sort(stable=True)
        return Encoded(vector, torch.cat(tokens)[by_drawing], drawing)

    def _order(self, batch: Batch, start: Tensor) -> Tensor:
        """(n,) rows by drawing, in Z-order of their places in a random share of the drawings."""
        rows = number(start[-1])
        drawing = owners(start, rows)
        sort = torch.rand(batch.size.shape[0], device=start.device) < self.order_dropout
        place = batch.place.nan_to_num(0.5)
        if self.classic:
            place = batch.classic.gather(1, self.point_columns[batch.classic[:, 0].long()]).float() / BINS
        key = torch.where(sort[drawing], z_order(place), torch.arange(rows, device=start.device))
        order = key.argsort(stable=True)
        return order[drawing[order].argsort(stable=True)]


Z_BITS = 10


def z_order(place: Tensor) -> Tensor:
    """(n,) int64 place on a Z-order curve (Morton 1966) of points (n, 2) in [0, 1]²."""
    cell = (place.clamp(0.0, 1.0) * (2**Z_BITS - 1)).long()
    key = torch.zeros_like(cell[:, 0])
    for bit in range(Z_BITS):
        key |= ((cell[:, 0] >> bit) & 1) << (2 * bit) | ((cell[:, 1] >> bit) & 1) << (2 * bit + 1)
    return key


def _point_columns() -> Tensor:
    """(N_CLASSES, 2) columns of the classic matrix that hold the first point of a class; the class column if none."""
    columns = np.zeros((N_CLASSES, 2), np.int64)
    for cls, names in CLASSIC_COLUMNS.items():
        if cls != EntityClass.HATCH:
            x = next(name for name in names if name.endswith("_x"))
            columns[cls] = 1 + CLASSIC.index(x), 2 + CLASSIC.index(x)
    return torch.from_numpy(columns)


class Patches(nn.Module):
    """Consecutive rows of a drawing as one token: Linear of their mean, maximum, spread and number."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.size = config.patch
        self.inside = nn.Parameter(torch.randn(config.patch, config.width) * 0.02)
        self.out = nn.Linear(3 * config.width + 1, config.width)

    def forward(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (p, d) and the first patch of each drawing (b + 1,) of rows (n, d) and their starts (b + 1,)."""
        count = (start.diff() + self.size - 1) // self.size
        patch_start = starts(count)
        patches = number(patch_start[-1])
        drawing = owners(patch_start, patches)
        first = start[drawing] + (torch.arange(patches, device=x.device) - patch_start[drawing]) * self.size
        block, mask = pad(x, first, (start[drawing + 1] - first).clamp(max=self.size), self.size)
        block, there = block + self.inside, mask[:, :, None]  # (p, size, d)
        rows = there.sum(1)
        mean = (block * there).sum(1) / rows
        spread = (((block - mean[:, None]) ** 2 * there).sum(1) / rows + 1e-6).sqrt()
        largest = lowest_outside(block, there).amax(1)
        token: Tensor = self.out(torch.cat([mean, largest, spread, rows.to(x.dtype) / self.size], dim=1))
        return token, patch_start


# --- mixers: (b, s, d) tokens and (b, s) bool mask in, the same out --------------------------------------------------


class SetMixer(nn.Module):
    """An MLP of each row by itself."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            FeedForward(config.width, config.feedforward, config.dropout) for _ in range(config.layers)
        )

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See above."""
        for layer in self.layers:
            x = layer(x)
        return x, mask


class Transformer(nn.Module):
    """Self-attention of all tokens; positions relative (patches) or learned by number (rows)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        relative = config.mixer == "patch"
        self.position = None if relative else nn.Parameter(torch.randn(config.limit, config.width) * 0.02)
        self.layers = nn.ModuleList(
            TransformerLayer(config.width, config.heads, config.feedforward, config.dropout, rotate=relative)
            for _ in range(config.layers)
        )

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See above.

        Raises:
            EncoderError: a drawing has more rows than there are positions.
        """
        if self.position is not None:
            x = x + _positions(self.position, x.shape[1])
        for layer in self.layers:
            x = layer(x, mask)
        return x, mask


class Funnel(nn.Module):
    """Halves the rows of a drawing until at most ``funnel`` are left, each time by a convolution; then a Transformer.

    After DualDXF's progressive pooling, with masks. A drawing is halved as often as its own length needs, whatever the
    others in the batch are.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.most = config.funnel
        self.position = nn.Parameter(torch.randn(config.limit, config.width) * 0.02)
        steps = max(0, ceil(log2(config.limit / config.funnel)))
        self.steps = nn.ModuleList(Halving(config.width) for _ in range(steps))
        self.layers = nn.ModuleList(
            TransformerLayer(config.width, config.heads, config.feedforward, config.dropout)
            for _ in range(config.layers)
        )

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See above.

        Raises:
            EncoderError: a drawing has more rows than there are positions.
        """
        x = (x + _positions(self.position, x.shape[1])) * mask[:, :, None]
        needed = len(self.steps) if exporting() else max(0, ceil(log2(x.shape[1] / self.most)))
        steps = self.steps[:needed]
        room = self.most * 2 ** len(steps) - x.shape[1]
        x, mask = F.pad(x, (0, 0, 0, room)), F.pad(mask, (0, room))
        for step in steps:
            short = mask.sum(1) <= self.most
            half, half_mask = step(x, mask)
            kept = x.shape[1] // 2
            x = torch.where(short[:, None, None], x[:, :kept], half)
            mask = (short[:, None] & mask[:, :kept]) | (
                ~short[:, None] & half_mask
            )  # ONNX has no choice of truth values
        for layer in self.layers:
            x = layer(x, mask)
        return x, mask


class Halving(nn.Module):
    """Two tokens to one: convolution, GELU, maximum of two; then a convolution as residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(b, s / 2, d) and (b, s / 2) of zero-padded (b, s, d), s even, and (b, s); padding comes out as zeros."""
        y = F.gelu(self.first(x.transpose(1, 2)))
        y = lowest_outside(y, mask[:, None])
        half = mask.reshape(mask.shape[0], -1, 2).any(2)
        y = torch.where(half[:, None], y.reshape(*y.shape[:2], -1, 2).amax(3), 0.0)
        return self.norm((y + self.second(y)).transpose(1, 2)) * half[:, :, None], half


def _positions(table: Tensor, rows: int) -> Tensor:
    """The first rows of a table of positions."""
    if not exporting() and rows > table.shape[0]:
        raise EncoderError(
            f"a drawing has {rows} rows, the encoder takes {table.shape[0]}; encode with limit={table.shape[0]}"
        )
    return table[:rows]


MIXERS: dict[str, type[nn.Module]] = {"set": SetMixer, "patch": Transformer, "full": Transformer, "funnel": Funnel}
