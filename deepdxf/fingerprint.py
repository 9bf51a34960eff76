"""A hash of what a drawing shows: equal for the same geometry wherever it lies, however it was saved.

It survives moving, another scale or unit, re-saving, renumbered handles, another order, lines from their other end,
other layers, colours and texts, and blocks that were exploded or made. It does not survive a changed hole, a turned or a
mirrored drawing, or the same lines stored as other entities (a polyline as lines).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import Drawing, EntityClass, FloatArray
from deepdxf.vocabulary import Scale

C = EntityClass
CELLS = 10_000  # along the frame's longer side: what differs by less is the same
DEGREE_CELLS = 100  # of an angle, per degree
# Scalars that are part of the shape, by what they are measured in; widths of texts are estimates from their characters.
LENGTHS = {C.TEXT: ("height",), C.MTEXT: ("char_height",), C.ARC: ("radius",), C.CIRCLE: ("radius",)}
ANGLES = {C.TEXT: ("rotation",), C.MTEXT: ("rotation",), C.ARC: ("start", "end")}
FLAGS = {C.LWPOLYLINE: ("closed",), C.SPLINE: ("degree", "closed"), C.HATCH: ("solid",), C.DIMENSION: ("kind",)}
PLACES = {C.DIMENSION: (0, 2, 3, 4)}  # vertices that count; others by class: all. Libraries move texts of dimensions.

# Multipliers of the mixing below: odd, without structure (SplitMix64; Steele, Lea, Flood, 2014).
GOLDEN, MIX_1, MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def canonical_hash(drawing: Drawing) -> str:
    """32 hexadecimal digits; the same for drawings that show the same geometry (see the module's head).

    Numbers are rounded to cells relative to the frame, each visible row becomes one 64-bit number, the numbers are
    sorted and hashed by BLAKE2b. The borders between cells lie where the drawing has no numbers, so that rounding
    errors of a move do not carry one across. Drawings without visible rows have `NOTHING`.
    """
    numbers = _row_numbers(drawing.drawn, Scale.of(drawing))
    return _hash(np.sort(numbers).tobytes())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


NOTHING = _hash(b"")  # of drawings without visible rows


def _row_numbers(kept: Drawing, scale: Scale) -> NDArray[np.uint64]:
    """(n,) a number a row, of its class, its vertices and its scalars."""
    lengths = np.diff(kept.vertex_start)
    owner = np.repeat(np.arange(len(kept)), lengths)
    position = np.arange(len(owner)) - kept.vertex_start[owner]
    position[kept.cls[owner] == C.LINE] = 0  # its ends in any order
    place = np.clip(np.nan_to_num((kept.vertices[:, :2] - scale.centre) / scale.side), -1e6, 1e6) * CELLS
    third = np.clip(np.nan_to_num(kept.vertices[:, 2]), -1e6, 1e6) * CELLS
    third[np.isin(kept.cls, (C.LINE, C.DIMENSION))[owner]] = 0.0
    counts = np.ones(len(owner), bool)
    for cls, places in PLACES.items():
        counts[kept.cls[owner] == cls] = np.isin(position[kept.cls[owner] == cls], places)

    cells = [np.floor(column + border(column[counts])).astype(np.int64) for column in (*place.T, third)]
    number = np.zeros(len(kept), np.uint64)
    vertex = mixed(position.astype(np.uint64))
    for column in cells:
        vertex = mixed(vertex + column.astype(np.uint64) * GOLDEN)
    vertex[~counts] = 0
    if len(owner):
        filled = lengths > 0
        number[filled] = np.add.reduceat(vertex, kept.vertex_start[:-1][filled])
    number = mixed(number + kept.cls.astype(np.uint64) * GOLDEN)
    for table, step in ((LENGTHS, CELLS / scale.side), (ANGLES, float(DEGREE_CELLS)), (FLAGS, 1.0)):
        for cls, names in table.items():
            for name in names:
                rows = kept.rows(cls)
                values = np.clip(np.nan_to_num(kept.scalar(cls, name) * step), -1e12, 1e12)
                cell = np.floor(values + border(values)).astype(np.int64)
                if table is ANGLES:
                    cell %= 360 * DEGREE_CELLS
                number[rows] = mixed(number[rows] + cell.astype(np.uint64) * GOLDEN)
    return number


def mixed(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers of which every bit depends on every bit of those given; the finaliser of SplitMix64."""
    number = (number + GOLDEN).copy()
    number ^= number >> np.uint64(30)
    number *= MIX_1
    number ^= number >> np.uint64(27)
    number *= MIX_2
    return number ^ (number >> np.uint64(31))


COARSE = 64  # steps in which gaps between numbers are compared
ANCHOR = 0.2071  # where looking for the border begins: not where round numbers lie


def border(values: FloatArray) -> float:
    """Offset such that ``floor(value + offset)`` has its steps in the widest gap of the values' fractions.

    Of gaps that are as wide, coarsely compared, the first after the anchor: so the choice hangs on no rounding error.
    """
    fraction = np.sort((values - ANCHOR) % 1.0)
    if not len(fraction):
        return 0.0
    gap = np.diff(fraction, append=fraction[0] + 1.0)
    first = int(np.argmax(np.round(np.log2(np.maximum(gap, 1e-12)) * COARSE + 0.137)))
    return float(-(ANCHOR + fraction[first] + gap[first] / 2.0))
