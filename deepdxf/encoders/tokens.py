"""Rows of a code -> vectors: class, tags, quantised and continuous values, and the size of the drawing.

What is absent is left out, never a number: an absent value has no row in the bag of bins and no continuous part, so that
a coordinate of 0 and a missing one differ. Letters in shapes: n rows, b drawings, d width, c columns.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.collate import Batch
from deepdxf.drawing import N_CLASSES, BoolArray, EntityClass
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.ragged import exporting, owners
from deepdxf.vocabulary import (
    BINS,
    CLASSIC_USED,
    COLOR_BUCKETS,
    DEPTH_BUCKETS,
    FLAGS,
    LAYER_BUCKETS,
    LOCAL,
    LOCAL_START,
    N_RICH,
    RICH_HIGH,
    RICH_LOW,
    SHAPE,
    SHAPE_START,
    SHAPED,
    SLOT_WIDTH,
    SLOTS,
    TIE,
)

# Sizes of drawings, log10 of mm, that come before and after all others: their range for the Fourier features.
SIZE_LOW, SIZE_HIGH = -2.0, 6.0


def rich_used() -> BoolArray:
    """(N_CLASSES, N_RICH) whether rows of a class can have a value in a column."""
    used = np.zeros((N_CLASSES, N_RICH), bool)
    for cls in EntityClass:
        if cls in (EntityClass.INSERT, EntityClass.EOS):  # never rows of the rich code
            continue
        used[cls, : len(SLOTS[cls])] = True
        used[cls, SLOT_WIDTH : SLOT_WIDTH + len(FLAGS.get(cls, ()))] = True
        used[cls, LOCAL_START : LOCAL_START + len(LOCAL)] = True
        used[cls, SHAPE_START : SHAPE_START + len(SHAPE)] = cls in SHAPED
    return used


def fourier(x: Tensor, octaves: int) -> Tensor:
    """(…, 1 + 2 · octaves) x itself, and sin(2^k π x), cos(2^k π x) for k = 0, 1, …, by doubling the angle."""
    sine, cosine = torch.sin(torch.pi * x), torch.cos(torch.pi * x)
    parts = [x, sine, cosine]
    for _ in range(octaves - 1):
        sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
        parts += [sine, cosine]
    return torch.stack(parts, dim=-1)


class Bag(nn.Module):
    """Sum of the embeddings of the bins that a row has: one table over (class, column, bin), only used combinations.

    DeepCAD's concatenation of slot embeddings with a Linear behind it is the same function as a sum of one table a slot;
    skipping what is absent makes it cheap.
    """

    def __init__(self, used: BoolArray, width: int, out: int) -> None:
        super().__init__()
        first = np.where(used, (np.cumsum(used) - 1).reshape(used.shape) * BINS, -1)
        self.register_buffer("first", torch.from_numpy(first), persistent=False)
        self.first: Tensor  # (classes, c) first row of the table for each class and column
        self.table = nn.Parameter(torch.randn(int(used.sum()) * BINS, width) * width**-0.5)
        self.out = nn.Linear(width, out, bias=False)

    def forward(self, cls: Tensor, bins: Tensor, present: Tensor) -> Tensor:
        """(n, out) of classes (n,), bins (n, c) 0 … BINS − 1 and whether there is a value (n, c)."""
        first = self.first[cls]
        present = present & (first >= 0)
        row = first + bins
        if exporting():  # the same sum in operations that ONNX has
            total = (self.table[torch.where(present, row, 0)] * present[..., None]).sum(1)
        else:
            count = present.sum(1)
            total = F.embedding_bag(row[present], self.table, count.cumsum(0) - count, mode="sum")
        result: Tensor = self.out(total)
        return result


class SizeToken(nn.Module):
    """The size of a drawing as a vector; unknown sizes, and in training hidden ones, are a learned vector."""

    def __init__(self, config: EncoderConfig, width: int) -> None:
        super().__init__()
        self.octaves, self.hide = config.frequencies, config.size_dropout
        self.known = nn.Linear(1 + 2 * self.octaves, width)
        self.unknown = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, size: Tensor) -> Tensor:
        """(b, width) of sizes (b,) log10 mm, NaN = unknown."""
        known = ~size.isnan()
        if self.training:
            known = known & (torch.rand_like(size) >= self.hide)
        share = ((torch.where(known, size, 0.0) - SIZE_LOW) / (SIZE_HIGH - SIZE_LOW)).clamp(0.0, 1.0)
        return torch.where(known[:, None], self.known(fourier(share, self.octaves)), self.unknown)


class FeedForward(nn.Module):
    """Pre-norm residual MLP."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Dropout(dropout), nn.Linear(inner, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) of (…, width)."""
        result: Tensor = x + self.inner(x)
        return result


class EntityEmbedding(nn.Module):
    """Rows of the rich code as vectors; one may serve both encoders."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d, self.octaves = config.width, config.frequencies
        features = 1 + 2 * self.octaves
        used = rich_used()
        self.cls = nn.Embedding(N_CLASSES, d)
        buckets = (DEPTH_BUCKETS, LAYER_BUCKETS, COLOR_BUCKETS) if config.tags else ()
        self.tags = nn.ModuleList(nn.Embedding(count, d) for count in buckets)
        self.bag = Bag(used, config.bag_width, d)
        # columns before LOCAL_START mean something else in every class, those after it the same in all
        self.own_columns = [(c, np.flatnonzero(used[c, :LOCAL_START]).tolist()) for c in range(N_CLASSES)]
        self.own_columns = [(c, columns) for c, columns in self.own_columns if columns]
        self.own = nn.ModuleList(nn.Linear(len(columns) * features, d, bias=False) for _, columns in self.own_columns)
        self.common = nn.Linear((N_RICH - LOCAL_START) * features, d, bias=False)
        self.size = SizeToken(config, d)
        self.mix = FeedForward(d, d, config.dropout)
        for name, array in (("low", RICH_LOW), ("range", RICH_HIGH - RICH_LOW)):
            self.register_buffer(name, torch.from_numpy(array.astype(np.float32)), persistent=False)
        self.low: Tensor
        self.range: Tensor  # (N_CLASSES, N_RICH)
        for table in (self.cls, *self.tags):
            nn.init.normal_(table.weight, std=0.3)  # type: ignore[arg-type]

    def forward(self, batch: Batch) -> Tensor:
        """(n, width), the nodes of a batch."""
        present = ~batch.values.isnan()
        share = (torch.where(present, batch.values, 0.0) - self.low[batch.cls]) / self.range[batch.cls]
        share = share.clamp(0.0, 1.0)
        bins = torch.floor(share * (BINS - 1) + (0.5 + TIE)).clamp(max=BINS - 1).long()  # as `vocabulary.quantise`
        x = self.cls(batch.cls) + self.bag(batch.cls, bins, present) + self.size(batch.size)[batch.drawing]
        for i, table in enumerate(self.tags):
            x = x + table(batch.tags[:, i])
        waves = fourier(2.0 * share - 1.0, self.octaves) * present[..., None]  # (n, N_RICH, features)
        x = x + self.common(waves[:, LOCAL_START:].flatten(1)) + self._own(batch.cls, waves)
        result: Tensor = self.mix(x)
        return result

    def _own(self, cls: Tensor, waves: Tensor) -> Tensor:
        """(n, width) the part of the columns that belong to one class each."""
        rows = [torch.nonzero(cls == c)[:, 0] for c, _ in self.own_columns]
        parts = [
            linear(waves[row][:, columns].flatten(1))
            for row, (_, columns), linear in zip(rows, self.own_columns, self.own, strict=True)
        ]
        part = torch.cat(parts)
        return part.new_zeros((cls.shape[0], part.shape[1])).index_copy(0, torch.cat(rows), part)


class ClassicEmbedding(nn.Module):
    """Rows of the classic code as vectors."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.cls = nn.Embedding(N_CLASSES, config.width)
        self.bag = Bag(CLASSIC_USED[:N_CLASSES, 1:], config.bag_width, config.width)
        self.size = SizeToken(config, config.width)
        self.mix = FeedForward(config.width, config.width, config.dropout)
        nn.init.normal_(self.cls.weight, std=0.3)

    def forward(self, batch: Batch) -> Tensor:
        """(m, width), the classic rows of a batch."""
        cls, bins = batch.classic[:, 0].long(), batch.classic[:, 1:].long()
        drawing = owners(batch.classic_start, cls.shape[0])
        x = self.cls(cls) + self.bag(cls, bins, bins >= 0) + self.size(batch.size)[drawing]
        result: Tensor = self.mix(x)
        return result
