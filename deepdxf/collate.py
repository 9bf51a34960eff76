"""Codes of drawings -> one ragged batch, without padding: what the encoders read.

`arrays` makes plain NumPy arrays (all that a served model needs), `collate` the same as torch tensors.
Letters in shapes: b drawings, n nodes (entities of the rich code) in all, e edges in all, k blocks in all, m rows of the
classic code in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import EntityClass
from deepdxf.graph import DrawingCode

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Several drawings as torch tensors. Numbers of nodes, blocks and drawings count through the batch."""

    cls: Tensor  # (n,) int64 EntityClass
    tags: Tensor  # (n, 3) int64, see `vocabulary.TAGS`
    values: Tensor  # (n, N_RICH) float32, NaN = absent
    drawing: Tensor  # (n,) int64 drawing of each node, ascending
    start: Tensor  # (b + 1,) int64 first node of each drawing
    edge: Tensor  # (2, e) int64 first and second node
    relation: Tensor  # (e,) int64 graph.Relation
    edge_values: Tensor  # (e, 5) float32 graph.EDGE_FEATURES
    place: Tensor  # (n, 2) float32 box centres, the frame is [0, 1]², NaN = hidden
    block: Tensor  # (n,) int64 block of each node
    block_drawing: Tensor  # (k,) int64 drawing of each block, ascending
    block_box: Tensor  # (k, 4) float32, the frame is [0, 1]²
    size: Tensor  # (b,) float32 log10 of the frame's diagonal in mm, NaN = unknown
    class_matrix: Tensor  # (b, 10, 11) float32, −1 = missing
    class_successor: Tensor  # (b, 10, 10) float32
    class_overlap: Tensor  # (b, 10, 10) float32
    classic: Tensor  # (m, 1 + N_CLASSIC) int16 class and quantised columns, −1 = unused
    classic_start: Tensor  # (b + 1,) int64 first classic row of each drawing
    image: Tensor  # (b, CHANNELS, p, p) float32 raster code, p = 0 where none was made
    ids: tuple[str, ...]  # b names

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})


TENSORS = tuple(field.name for field in fields(Batch) if field.name != "ids")


def arrays(codes: Sequence[DrawingCode]) -> Arrays:
    """The tensors of a `Batch` of these drawings as NumPy arrays, by field."""
    nodes = [len(code.rich) for code in codes]
    start = _starts(nodes)
    graphs = [code.entity_graph for code in codes]
    blocks = [code.blocks for code in codes]
    block_start = _starts([len(part) for part in blocks])
    # a matrix out of a file of old may be padded; EOS rows are no rows
    matrices = [code.classic.matrix[code.classic.matrix[:, 0] != EntityClass.EOS] for code in codes]
    classes = [code.class_graph for code in codes]
    return {
        "cls": _joined([code.rich.cls for code in codes], np.int64, ()),
        "tags": _joined([code.rich.tags for code in codes], np.int64, (3,)),
        "values": _joined([code.rich.values for code in codes], np.float32, None),
        "drawing": np.repeat(np.arange(len(codes)), nodes),
        "start": start,
        "edge": np.concatenate(
            [np.zeros((2, 0), np.int64), *(g.edges + s for g, s in zip(graphs, start[:-1], strict=True))], axis=1
        ),
        "relation": _joined([graph.relation for graph in graphs], np.int64, ()),
        "edge_values": _joined([graph.features for graph in graphs], np.float32, (5,)),
        "place": _joined([graph.place for graph in graphs], np.float32, (2,)),
        "block": _joined([part.label + s for part, s in zip(blocks, block_start[:-1], strict=True)], np.int64, ()),
        "block_drawing": np.repeat(np.arange(len(codes)), np.diff(block_start)),
        "block_box": _joined([part.box for part in blocks], np.float32, (4,)),
        "size": np.array([code.rich.size for code in codes], np.float32),
        "class_matrix": np.stack([graph.matrix for graph in classes]).astype(np.float32),
        "class_successor": np.stack([graph.successor for graph in classes]).astype(np.float32),
        "class_overlap": np.stack([graph.overlap for graph in classes]).astype(np.float32),
        "classic": np.concatenate(matrices).astype(np.int16),
        "classic_start": _starts([len(matrix) for matrix in matrices]),
        "image": np.stack([code.raster.image for code in codes]).astype(np.float32),
    }


def collate(codes: Sequence[DrawingCode]) -> Batch:
    """One batch of drawings, at least one; a drawing's embedding does not depend on the others in it."""
    import torch

    tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in arrays(codes).items()}
    return Batch(**tensors, ids=tuple(code.id for code in codes))


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    """(b + 1,) first row of each part when parts of these lengths are joined."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _joined(parts: Sequence[NDArray[Any]], dtype: Any, tail: tuple[int, ...] | None) -> NDArray[Any]:
    """The parts one after the other, copied; ``tail`` is the shape of a row where no part may have one."""
    shaped = parts if tail is None else [part.reshape(-1, *tail) for part in parts]
    return np.concatenate(shaped).astype(dtype)
