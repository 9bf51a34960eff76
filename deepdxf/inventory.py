"""All strokes of drawings as an archive keeps them, for part search: packed a drawing, flat for many.

Texts, dimensions and leaders are left out: they seldom come along with a detail. Strokes lie around the middle of the
drawing's frame in millimetres (drawing units where the unit is not stated), sorted by kind, size and place, in 32 bits: their
places are exact to about a ten-millionth of the drawing. About 6 bytes a stroke, up to `KEPT` strokes a drawing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdxf.align import pen_strokes
from deepdxf.descriptor import KINDS, Strokes, mix, strokes
from deepdxf.drawing import Drawing, FloatArray, IntArray

LABELS = ("text", "mtext", "dimension", "leader")  # kinds that are left out
KEPT = 65_536  # strokes of a drawing, those with the longest sides
HEAD = struct.Struct("<dddII")  # middle x, y in drawing units, millimetres a unit, strokes kept, strokes in all
ROUNDING = {4: 2.0**-22, 8: 2.0**-50}  # of the drawing's extent, by bytes of a number: places may be off by so much
SAME_SIZE = 1e-3  # of a logarithm: sizes that count as one among `Inventory.distinct`


def geometry_of(drawing: Drawing) -> Strokes:
    """Strokes of a drawing without labels, its coordinates in millimetres (as they are where the unit is not stated)."""
    pen = pen_strokes(strokes(drawing))
    keep = ~np.isin(pen.kind, [KINDS.index(name) for name in LABELS])
    unit = drawing.unit_mm or 1.0
    return Strokes(pen.kind[keep], pen.box[keep] * unit, pen.length[keep] * unit)


def pack(drawing: Drawing) -> bytes:
    """The strokes of a drawing, compressed."""
    pen = geometry_of(drawing)
    unit = drawing.unit_mm or 1.0
    middle = _middle(drawing)
    with np.errstate(over="ignore"):  # what has no place in 32 bits is left out
        values = np.hstack([pen.box[:, :2] - unit * middle, pen.size]).astype(np.float32)
    fits = np.isfinite(values).all(axis=1)
    kind, values = pen.kind[fits].astype(np.uint8), values[fits]
    total = len(kind)
    if total > KEPT:
        longest = np.argsort(-values[:, 2:].max(axis=1), kind="stable")[:KEPT]
        kind, values = kind[longest], values[longest]
    order = np.lexsort((values[:, 1], values[:, 0], values[:, 3], values[:, 2], kind))
    content = kind[order].tobytes() + np.ascontiguousarray(values[order].T).tobytes()
    return HEAD.pack(*middle.tolist(), unit, len(kind), total) + zlib.compress(content, 1)


def _middle(drawing: Drawing) -> FloatArray:
    """(2,) of the frame, drawing units."""
    middle = (drawing.frame[:2] + drawing.frame[2:]) / 2.0
    return np.where(np.isfinite(middle), middle, 0.0)


def strokes_in(packed: bytes | None) -> int:
    """How many strokes are packed."""
    return HEAD.unpack_from(packed)[3] if packed else 0


@dataclass(frozen=True, eq=False)
class Inventory:
    """The strokes of d drawings, one after the other: s strokes."""

    ids: list[str]
    start: IntArray  # (d + 1,) first stroke of each drawing
    kind: NDArray[np.uint8]  # (s,) number in KINDS
    corner: NDArray[np.floating[Any]]  # (s, 2) lower left corners, millimetres from the middle; 32 bits, if packed
    size: NDArray[np.floating[Any]]  # (s, 2) widths and heights
    middle: FloatArray  # (d, 2) drawing units
    unit: FloatArray  # (d,) millimetres
    shortest: FloatArray  # (d,) strokes with shorter sides may be missing; −1: none is, ∞: nothing is known

    @classmethod
    def of(cls, packed: Iterable[tuple[str, bytes | None]]) -> Inventory:
        """Out of ids and what `pack` has packed; None where nothing is known."""
        ids, kinds, corners, sizes, heads, shortest = [], [], [], [], [], []
        for id, data in packed:
            ids.append(id)
            if data is None:
                heads.append((0.0, 0.0, 1.0, 0))
                shortest.append(np.inf)
                continue
            x, y, unit, count, total = HEAD.unpack_from(data)
            content = zlib.decompress(data[HEAD.size :])
            values = np.frombuffer(content, np.float32, offset=count).reshape(4, count)
            kinds.append(np.frombuffer(content, np.uint8, count))
            corners.append(values[:2].T)
            sizes.append(values[2:].T)
            heads.append((x, y, unit, count))
            shortest.append(float(values[2:].max(axis=0).min()) if total > count else -1.0)
        head = np.array(heads, np.float64).reshape(-1, 4)
        empty = np.zeros((0, 2), np.float32)
        return cls(
            ids,
            np.concatenate([[0], np.cumsum(head[:, 3])]).astype(np.int64),
            np.concatenate([np.zeros(0, np.uint8), *kinds]),
            np.concatenate([empty, *corners]),
            np.concatenate([empty, *sizes]),
            head[:, :2],
            head[:, 2],
            np.array(shortest, np.float64),
        )

    @classmethod
    def whole(cls, drawing: Drawing) -> Inventory:
        """Of one drawing, without loss."""
        pen = geometry_of(drawing)
        middle, unit = _middle(drawing), drawing.unit_mm or 1.0
        return cls(
            [""],
            np.array([0, len(pen.kind)]),
            pen.kind.astype(np.uint8),
            pen.box[:, :2] - unit * middle,
            pen.size,
            middle[None],
            np.array([unit]),
            np.array([-1.0]),
        )

    @cached_property
    def owner(self) -> IntArray:
        """(s,) the drawing of each stroke."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.start))

    @cached_property
    def rounding(self) -> FloatArray:
        """(d,) millimetres by which places may be off."""
        reach = np.zeros(len(self.ids))
        some = np.flatnonzero(np.diff(self.start) > 0)
        if len(some):
            farthest = np.maximum(np.abs(self.corner).max(axis=1), np.abs(self.corner + self.size).max(axis=1))
            reach[some] = np.maximum.reduceat(farthest, self.start[some])
        return ROUNDING[self.corner.dtype.itemsize] * reach

    @cached_property
    def distinct(self) -> IntArray:
        """Numbers of strokes: one of each kind and size of a drawing."""
        with np.errstate(divide="ignore"):
            steps = np.round(np.log(self.size.astype(np.float64)) / SAME_SIZE)
        steps = np.where(np.isfinite(steps), steps, -99_999_999).astype(np.int64)
        return np.sort(np.unique(mix(self.owner, self.kind.astype(np.int64), *steps.T), return_index=True)[1])

    def boxes(self, drawing: int) -> FloatArray:
        """(m, 4) boxes of a drawing's strokes, millimetres from its middle."""
        part = slice(self.start[drawing], self.start[drawing + 1])
        corner = self.corner[part].astype(np.float64)
        return np.hstack([corner, corner + self.size[part]])
