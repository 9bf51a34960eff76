"""The drawing as a value: one row an entity, one NumPy array a property.

Glossary
--------
entity      one thing that was drawn: a line, an arc, a text, an inserted block …
class       one of the twelve kinds that the codes know (`EntityClass`); other DXF types are folded into them
            (`reader.FOLDING`) or counted as ignored.
handle      the number that CAD gives an entity when it is added; ascending handles = order of drawing.
block       a named group of entities that INSERT entities place on the sheet. Readers expand blocks *virtually*: the
            INSERT stays a row, and the rows of its content follow it, one level deeper.
space       model space (where the part is drawn) or a paper-space layout (where the sheet is composed).
frame       the box of a drawing without stray outliers; codes are normalised to it.

Units: coordinates and lengths are drawing units (`Drawing.unit_mm` gives millimetres per unit when the file says so);
angles are degrees, counter-clockwise, in the world's XY plane. 3-D content is projected to XY.
Letters in shapes: n rows (entities), v vertices, k knots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class EntityClass(IntEnum):
    """The entity classes of both codes; EOS marks padding rows of the sequence code and never occurs in a Drawing."""

    HATCH = 0
    TEXT = 1
    MTEXT = 2
    LWPOLYLINE = 3
    ARC = 4
    LINE = 5
    CIRCLE = 6
    DIMENSION = 7
    LEADER = 8
    INSERT = 9
    SPLINE = 10
    SOLID = 11
    EOS = 12


N_CLASSES = 12


@cache
def _members(classes: tuple[EntityClass, ...]) -> BoolArray:
    table = np.zeros(N_CLASSES + 1, bool)
    table[list(classes)] = True
    return table


def is_any(cls: NDArray[np.uint8], *classes: EntityClass) -> BoolArray:
    """Whether each class is one of these, any shape; looked up in a table, which is far faster than `np.isin`."""
    return _members(classes)[cls]


# Scalars of each class, in the order of the columns of `Drawing.scalars`; unused columns are NaN.
# Points are never here: they are rows of `Drawing.vertices`, so that one product moves every class.
# TEXT and MTEXT: height and width of the whole box (width is estimated from the characters), halign and valign = place
# of the anchor in the box as fractions (0 = left/bottom, 1 = right/top). DIMENSION kind: DXF group 70, low bits.
SCALARS: Mapping[EntityClass, tuple[str, ...]] = {
    EntityClass.HATCH: ("solid", "associative", "paths", "pattern_angle", "pattern_scale"),
    EntityClass.TEXT: ("height", "rotation", "width", "halign", "valign"),
    EntityClass.MTEXT: ("height", "rotation", "width", "halign", "valign", "char_height", "column_width"),
    EntityClass.LWPOLYLINE: ("closed",),
    EntityClass.ARC: ("radius", "start", "end"),
    EntityClass.LINE: (),
    EntityClass.CIRCLE: ("radius",),
    EntityClass.DIMENSION: ("kind", "rotation", "measurement", "value", "tolerance_upper", "tolerance_lower"),
    EntityClass.LEADER: ("arrowhead",),
    EntityClass.INSERT: ("xscale", "yscale", "rotation", "columns", "rows", "column_spacing", "row_spacing"),
    EntityClass.SPLINE: ("degree", "closed", "fit"),
    EntityClass.SOLID: ("filled",),
}
N_SCALARS = max(map(len, SCALARS.values()))


@dataclass(frozen=True)
class Problem:
    """Something that the reader repaired, ignored or could not keep. ``count`` equal findings are one Problem."""

    code: str  # e.g. "not-finite", "truncated", "ignored-type", "too-large"
    message: str  # one sentence for the user
    count: int = 1


@dataclass(frozen=True, eq=False)
class Drawing:
    """One drawing, columnar; rows sorted by handle, the content of a block directly after its INSERT.

    Vertices by class (world XY, drawing units): LINE start, end · CIRCLE, ARC centre · TEXT, MTEXT anchor ·
    INSERT insertion point · LWPOLYLINE, LEADER, SOLID their points · SPLINE control points (computed from fit points
    where ``fit`` is 1) · HATCH the vertices of its loops · DIMENSION points of DXF groups 10, 11 (text), 13 … 16.
    """

    cls: NDArray[np.uint8]  # (n,) EntityClass
    handle: IntArray  # (n,) handle in the file; rows out of a block carry the handle inside the block; 0 = none
    depth: NDArray[np.uint8]  # (n,) 0 = directly in the space, k = inside k nested blocks
    parent: IntArray  # (n,) row of the INSERT whose content this row is, −1 at depth 0
    layer: NDArray[np.int32]  # (n,) index into `layers`
    color: NDArray[np.int32]  # (n,) ACI 0 (by block) … 256 (by layer); true colours are −1 − 0xRRGGBB
    dxftype: NDArray[np.int32]  # (n,) index into `dxftypes`: the type before folding
    text_index: NDArray[np.int32]  # (n,) index into `texts`, −1 = no text
    block_index: NDArray[np.int32]  # (n,) index into `blocks` for INSERT rows, −1 otherwise
    scalars: FloatArray  # (n, N_SCALARS), see SCALARS, NaN = unused
    box: FloatArray  # (n, 4) min x, min y, max x, max y
    vertices: FloatArray  # (v, 3) x, y, bulge (LWPOLYLINE, HATCH) or weight (SPLINE) or 0
    vertex_start: IntArray  # (n + 1,) rows of `vertices` of entity i: vertex_start[i] … vertex_start[i + 1]
    vertex_path: NDArray[np.int32]  # (v,) number of the loop within a HATCH, else 0
    knots: FloatArray  # (k,) knots of splines
    knot_start: IntArray  # (n + 1,)
    layers: tuple[str, ...]
    dxftypes: tuple[str, ...]
    texts: tuple[str, ...]  # Unicode, MTEXT and %% codes decoded
    blocks: tuple[str, ...]
    unit_mm: float | None  # millimetres per drawing unit; None = the file does not say
    space: str  # "model" or the name of the layout
    format: str  # "dxf", "dwg"
    version: str  # "AC1032" …
    reader: str  # "cadkit" (fast), "ezdxf" or "ezdxf.recover" (careful); "converter, …" by way of a converter
    fields: tuple[tuple[str, str], ...] = ()  # (tag, value) of block attributes: title-block fields
    problems: tuple[Problem, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)  # DXF type -> count of entities left out
    content_size: int = 0  # bytes that were parsed (after decompression)

    def __len__(self) -> int:
        return len(self.cls)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what was derived from them is not sent to other processes."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    @cached_property
    def visible(self) -> BoolArray:
        """(n,) rows that leave ink: all but INSERT, whose content has rows of its own."""
        return np.asarray(self.cls != EntityClass.INSERT)

    @cached_property
    def drawn(self) -> Drawing:
        """The drawing of the `visible` rows; itself where nothing is inserted."""
        return self.select(self.visible)

    @cached_property
    def frame(self) -> FloatArray:
        """(4,) box of the visible rows without strays; zeros for a drawing without any. See `robust_frame`."""
        return robust_frame(self.box[self.visible])

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the frame, drawing units."""
        x0, y0, x1, y1 = self.frame
        return float(x1 - x0), float(y1 - y0)

    @property
    def status(self) -> str:
        """``ok``, or the gravest that happened: ``repaired``, ``partial`` (something is missing), ``too large``."""
        codes = {problem.code for problem in self.problems} - NOTES
        if "too-large" in codes:
            return "too large"
        if codes & PARTIAL:
            return "partial"
        return "repaired" if codes else "ok"

    @cached_property
    def _rows_by_class(self) -> list[IntArray]:
        order = np.argsort(self.cls, kind="stable")
        bounds = np.searchsorted(self.cls[order], np.arange(N_CLASSES + 1)).tolist()
        return [order[first:last] for first, last in pairwise(bounds)]

    def rows(self, cls: EntityClass) -> IntArray:
        """Row numbers of one class, ascending."""
        return self._rows_by_class[cls]

    def scalar(self, cls: EntityClass, name: str) -> FloatArray:
        """One scalar of all rows of a class, in the order of `rows`; ``name`` as in `SCALARS`."""
        column: FloatArray = self.scalars[self.rows(cls), SCALARS[cls].index(name)]
        return column

    def points(self, row: int) -> FloatArray:
        """(m, 3) vertices of one row: x, y and bulge or weight."""
        return self.vertices[self.vertex_start[row] : self.vertex_start[row + 1]]

    def text(self, row: int) -> str:
        """Text of one row, empty where it has none."""
        index = self.text_index[row]
        return self.texts[index] if index >= 0 else ""

    def class_counts(self) -> dict[str, int]:
        """Entities by class name, content of blocks included; classes that do not occur are left out."""
        counts = np.bincount(self.cls, minlength=N_CLASSES)
        return {EntityClass(c).name: int(counts[c]) for c in range(N_CLASSES) if counts[c]}

    def select(self, rows: BoolArray | IntArray) -> Drawing:
        """The drawing of some of the rows (mask or row numbers, kept in their order); names and metadata stay.

        Rows whose INSERT is not kept become rows of depth 0. All rows in order are the drawing itself.
        """
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.asarray(rows, np.int64)
        if len(rows) == len(self) and (rows == np.arange(len(self))).all():
            return self
        new_row = np.full(len(self) + 1, -1)  # one more, so that parent −1 maps to −1
        new_row[rows] = np.arange(len(rows))
        parent = new_row[self.parent[rows]]
        vertex_rows, vertex_start = gather_ranges(self.vertex_start, rows)
        knot_rows, knot_start = gather_ranges(self.knot_start, rows)
        return replace(
            self,
            **{name: getattr(self, name).take(rows, axis=0) for name in ROW_COLUMNS},
            depth=np.where(parent < 0, 0, self.depth[rows]).astype(np.uint8),
            parent=parent,
            vertices=self.vertices.take(vertex_rows, axis=0),
            vertex_path=self.vertex_path[vertex_rows],
            vertex_start=vertex_start,
            knots=self.knots[knot_rows],
            knot_start=knot_start,
        )


# Columns with one entry a row that need no renumbering when rows are taken out.
ROW_COLUMNS = ("cls", "handle", "layer", "color", "dxftype", "text_index", "block_index", "scalars", "box")

# Codes of problems after which a part of the drawing is missing, and of facts that are no damage to the file.
PARTIAL = {
    "truncated",
    "not-finite",
    "broken-entity",
    "lost-entity",
    "missing-block",
    "too-deep",
    "external-reference",
}
NOTES = {"projected"}


def gather_ranges(start: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Flat indices of the ragged ranges of ``rows``, and the start array of the result.

    ``start`` (n + 1,) delimits the ranges; returns indices (sum of lengths,) and a start array (len(rows) + 1,).
    """
    lengths = start[rows + 1] - start[rows]
    new_start = np.concatenate([[0], np.cumsum(lengths)])
    index = np.arange(new_start[-1]) + np.repeat(start[rows] - new_start[:-1], lengths)
    return index, new_start


# A frame forgives up to this share of entities (at least one) that blow it up by more than this factor.
STRAY_SHARE, STRAY_FACTOR = 0.02, 10.0


def robust_frame(box: FloatArray) -> FloatArray:
    """Box around (n, 4) boxes without strays.

    Strays are the outermost entities, at most 2 % of all and at least one, without which the longer side of the frame
    becomes more than ten times shorter. Such entities are lost points, exploded dimensions and extents of 1e10 that
    would shrink the part to a dot. Fewer than four entities have no strays. Returns zeros for no box.
    """
    sound = np.isfinite(box).all(axis=1)
    if not sound.all():
        box = box[sound]
    if len(box) == 0:
        return np.zeros(4)
    if len(box) >= 4:
        sides = np.sort(np.ascontiguousarray(box.T), axis=1)  # one after the other: far faster than side by side
        lo, hi = sides[:2].T, sides[2:].T
        k = max(1, int(STRAY_SHARE * len(box)))
        core_lo, core_hi = lo[k], hi[-1 - k]
        reach = STRAY_FACTOR * max(float((core_hi - core_lo).max()), np.finfo(float).tiny)
        if (hi[-1] - lo[0]).max() > reach and (core_hi > core_lo).any():
            near = (box[:, :2] >= core_lo - reach).all(axis=1) & (box[:, 2:] <= core_hi + reach).all(axis=1)
            if near.any():
                box = box[near]
    return enclosing(box)


def enclosing(boxes: FloatArray) -> FloatArray:
    """(4,) the box around boxes (m, 4), at least one."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def handle_text(handle: int | np.integer) -> str:
    """A handle as files and people write it, hexadecimal; empty where there is none (0)."""
    return f"{int(handle):X}" if handle else ""
