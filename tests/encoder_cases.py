"""Codes made at random, for tests of the encoders: every class, every column, no reader needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from deepdxf.collate import Batch, collate
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.encoders.tokens import rich_used
from deepdxf.graph import Blocks, ClassGraph, DrawingCode, EntityGraph, Relation, class_matrix
from deepdxf.raster import CHANNELS, RasterCode
from deepdxf.sequence import ClassicCode, RichCode
from deepdxf.vocabulary import CLASSIC_USED, RICH_HIGH, RICH_LOW

CLASSES = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11], np.uint8)  # all but INSERT
USED = rich_used()
PIXELS = 64  # of the raster codes


def code(n: int, seed: int = 0, *, blocks: int = 2, size: float = 2.0, id: str = "") -> DrawingCode:
    """A drawing of n random entities; a fifth of the values is absent."""
    rng = np.random.default_rng([seed, n])
    cls = np.concatenate([CLASSES, rng.choice(CLASSES, n)])[rng.permutation(n + 11) if n < 11 else np.arange(n)][:n]
    values = rng.uniform(RICH_LOW, RICH_HIGH, (n, *RICH_LOW.shape))[np.arange(n), cls].astype(np.float32)
    values[~USED[cls] | (rng.random(values.shape) < 0.2)] = np.nan
    tags = rng.integers(0, (4, 64, 64), (n, 3)).astype(np.uint8)
    rich = RichCode(cls, tags, values, np.arange(n, dtype=np.int32), size if n else np.nan, 0)

    e = 3 * n if n > 1 else 0
    edges = rng.integers(0, max(n, 1), (2, e)).astype(np.int32)
    edges = edges[:, edges[0] != edges[1]]
    e = edges.shape[1]
    place = rng.random((n, 2)).astype(np.float32)
    relation = rng.integers(0, len(Relation), e).astype(np.uint8)
    graph = EntityGraph(place, edges, relation, rng.standard_normal((e, 5)).astype(np.float32), 0)

    count = min(blocks, n)
    label = np.concatenate([np.arange(count), rng.integers(0, max(count, 1), n - count)]).astype(np.int32)
    box = np.sort(rng.random((count, 2, 2)), axis=1).reshape(count, 4).astype(np.float32)

    classic_cls = rng.permutation(np.concatenate([np.arange(12), rng.integers(0, 12, n)]))[:n]
    matrix = rng.integers(0, 256, (n, CLASSIC_USED.shape[1])).astype(np.int16)
    matrix[:, 0] = classic_cls
    matrix[~CLASSIC_USED[classic_cls]] = -1

    number = np.bincount(cls[cls < 10], minlength=10)
    counts = rng.integers(0, 5, (10, 11)) * (number > 0)[:, None]
    present = (number > 0).astype(np.uint8)
    both = np.outer(present, present) * (1 - np.eye(10, dtype=np.uint8))
    classes = ClassGraph(
        class_matrix(counts, number), both, np.triu(both) * 0 + both * (np.indices((10, 10)).sum(0) % 2)
    )
    picture = RasterCode((rng.random((CHANNELS, PIXELS, PIXELS)) * (n > 0)).astype(np.float16))
    return DrawingCode(id or f"{n}-{seed}", ClassicCode(matrix, 0), rich, classes, graph, Blocks(label, box), picture)


def permuted(drawing: DrawingCode, order: np.ndarray[Any, Any]) -> DrawingCode:
    """The same drawing with its nodes (and classic rows) in another order."""
    back = np.argsort(order).astype(np.int32)
    rich, graph = drawing.rich, drawing.entity_graph
    return replace(
        drawing,
        classic=ClassicCode(drawing.classic.matrix[order], 0),
        rich=replace(rich, cls=rich.cls[order], tags=rich.tags[order], values=rich.values[order]),
        entity_graph=replace(graph, place=graph.place[order], edges=back[graph.edges]),
        blocks=replace(drawing.blocks, label=drawing.blocks.label[order]),
    )


def with_rich(drawing: DrawingCode, **columns: Any) -> DrawingCode:
    """The drawing with other columns of its rich code."""
    return replace(drawing, rich=replace(drawing.rich, **columns))


def model(seed: int = 0, **settings: Any) -> DualEncoder:
    """A tiny model without dropout of any kind, ready to serve."""
    torch.manual_seed(seed)
    still = {"size": "tiny", "dropout": 0.0, "size_dropout": 0.0, "order_dropout": 0.0}
    return DualEncoder(EncoderConfig(**(still | settings))).eval()


def embed(encoder: DualEncoder, *drawings: DrawingCode) -> torch.Tensor:
    """(b, d) served vectors."""
    with torch.no_grad():
        return encoder.embed(batch(*drawings))


def batch(*drawings: DrawingCode) -> Batch:
    """The drawings as one batch."""
    return collate(drawings)
