"""Drawing -> sequence codes: what was drawn, with which parameters, in which order (rows by handle).

`classic` gives the historical integer matrix, `rich` the code of the shipped model; `vocabulary` says what the columns
are. Letters in shapes: m rows of the code.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import BoolArray, Drawing, EntityClass, FloatArray, IntArray, is_any
from deepdxf.errors import DeepDXFError
from deepdxf.files import replacing
from deepdxf.geometry import ANGULAR, Shapes, arc_sweep, arcs, dimension_lines, edge_lines, edges, smooth_lines
from deepdxf.vocabulary import (
    BINS,
    CLASSIC,
    CLASSIC_COLUMNS,
    CLASSIC_COUNTS,
    CLASSIC_USED,
    COLOR_BUCKETS,
    DEPTH_BUCKETS,
    FLAGS,
    LAYER_BUCKETS,
    LIMIT,
    LOCAL_START,
    N_CLASSIC,
    N_RICH,
    SHAPE_POINTS,
    SHAPE_START,
    SHAPED,
    SLOT_WIDTH,
    SLOTS,
    TINY,
    UNUSED,
    Scale,
    clip,
    count,
    decades,
    logarithm,
    quantise,
    rich_bins,
    turns,
)

C = EntityClass

# --- classic ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClassicCode:
    """The historical sequence code of one drawing."""

    matrix: NDArray[np.int16]  # (m, 1 + N_CLASSIC): class, then `CLASSIC`, 0 … 255 or −1; no EOS rows
    cut: int  # entities beyond the limit, left out

    def padded(self, length: int = LIMIT) -> NDArray[np.int16]:
        """(length, 1 + N_CLASSIC) the matrix with EOS rows after its end.

        Raises:
            DeepDXFError: the code has more rows than that.
        """
        if len(self.matrix) > length:
            raise DeepDXFError(
                f"a code of {len(self.matrix)} rows does not fit into {length}; encode with limit={length}"
            )
        result = np.full((length, 1 + N_CLASSIC), UNUSED, np.int16)
        result[:, 0] = C.EOS
        result[: len(self.matrix)] = self.matrix
        return result

    @classmethod
    def of_padded(cls, matrix: NDArray[Any]) -> ClassicCode:
        """The code in a matrix with or without EOS rows; what was cut when it was made is not known and counts as 0.

        Raises:
            DeepDXFError: the matrix breaks a rule of the code; the text says which.
        """
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or matrix.shape[1] != 1 + N_CLASSIC:
            raise DeepDXFError(f"not a sequence matrix: shape {matrix.shape} instead of (rows, {1 + N_CLASSIC})")
        whole = matrix.astype(np.int16)
        if not np.array_equal(whole, matrix) or whole.min(initial=0) < UNUSED or whole.max(initial=0) >= BINS:
            raise DeepDXFError(
                f"not a quantised sequence matrix: values must be whole numbers from {UNUSED} to {BINS - 1}"
            )
        kind = whole[:, 0]
        if kind.min(initial=0) < 0 or kind.max(initial=0) > C.EOS:
            raise DeepDXFError(
                f"unknown class {kind[(kind < 0) | (kind > C.EOS)][0]} in a sequence matrix: not 0 to {int(C.EOS)}"
            )
        if (whole[~CLASSIC_USED[kind]] != UNUSED).any():
            raise DeepDXFError(
                f"a column that the class does not use holds something else than {UNUSED} in a sequence matrix"
            )
        rows = int((kind != C.EOS).sum())
        if (kind[:rows] == C.EOS).any():
            raise DeepDXFError("an EOS row stands before the end of a sequence matrix")
        return cls(whole[:rows], 0)


def classic(drawing: Drawing, limit: int = LIMIT) -> ClassicCode:
    """The historical code: the rows of depth 0 (an INSERT is one row), by handle, at most ``limit``.

    Counts and flags are kept as numbers up to 255; scales s of INSERT become (1 + s / (1 + |s|)) / 2, so that 1 and −1
    lie apart; the mean knot is its place between the first and the last knot. Values of dimensions and tolerances: |v|
    × 1000 as a whole number, as a share of the drawing's largest (angles: of 360°). −1 also where the file has no
    value: no tolerance, an MTEXT without a column width.
    """
    outer = np.flatnonzero(drawing.depth == 0)
    kept, total = drawing.select(outer[:limit]), len(outer)
    scale = Scale.of(drawing)
    place = scale.place(kept.vertices[:, :2])
    first = kept.vertex_start[:-1]
    means = row_means(place, kept.vertex_start)
    matrix = np.full((len(kept), 1 + N_CLASSIC), UNUSED, np.int16)
    matrix[:, 0] = kept.cls
    scalar, length, angle = kept.scalar, functools.partial(_length, kept, scale), functools.partial(_angle, kept)

    def at(cls: EntityClass, vertex: int = 0) -> FloatArray:
        return place[first[kept.rows(cls)] + vertex]

    def mean(cls: EntityClass) -> FloatArray:
        return means[kept.rows(cls)]

    def column_width() -> FloatArray:
        width = length(C.MTEXT, "column_width")
        return np.where(width > 0, width, np.nan)

    def dimension() -> list[FloatArray]:
        return [_thousandths(number, kept) for number in dimension_numbers(kept)]

    def squashed(name: str) -> FloatArray:
        size = scalar(C.INSERT, name)
        result: FloatArray = (1.0 + size / (1.0 + np.abs(size))) / 2.0
        return result

    def knot() -> FloatArray:
        places: FloatArray = row_means(_knot_places(kept)[:, None], kept.knot_start)[kept.rows(C.SPLINE), 0]
        return places

    # the columns of each class, worked out for those that the drawing has
    columns: dict[EntityClass, Callable[[], Sequence[FloatArray]]] = {
        C.HATCH: lambda: [scalar(C.HATCH, name) for name in ("solid", "associative", "paths")],
        C.TEXT: lambda: [at(C.TEXT), length(C.TEXT, "height"), angle(C.TEXT, "rotation")],
        C.MTEXT: lambda: [at(C.MTEXT), length(C.MTEXT, "char_height"), column_width(), angle(C.MTEXT, "rotation")],
        C.LWPOLYLINE: lambda: [
            scalar(C.LWPOLYLINE, "closed"),
            mean(C.LWPOLYLINE),
            np.diff(kept.vertex_start)[kept.rows(C.LWPOLYLINE)],
        ],
        C.ARC: lambda: [at(C.ARC), length(C.ARC, "radius"), angle(C.ARC, "start"), angle(C.ARC, "end")],
        C.LINE: lambda: [at(C.LINE), at(C.LINE, 1)],
        C.CIRCLE: lambda: [at(C.CIRCLE), length(C.CIRCLE, "radius")],
        C.DIMENSION: lambda: [at(C.DIMENSION), at(C.DIMENSION, 1), *dimension()],
        C.LEADER: lambda: [mean(C.LEADER)],
        C.INSERT: lambda: [at(C.INSERT), squashed("xscale"), squashed("yscale"), angle(C.INSERT, "rotation")],
        C.SPLINE: lambda: [mean(C.SPLINE), knot(), scalar(C.SPLINE, "degree")],
        C.SOLID: lambda: [mean(C.SOLID)],
    }
    for cls, made in columns.items():
        if len(rows := kept.rows(cls)):
            numbers = CLASSIC_NUMBERS[cls]
            values = np.column_stack(made()).astype(float)
            whole = IS_WHOLE[numbers]
            values[:, whole] = np.minimum(values[:, whole], BINS - 1) / (BINS - 1)
            absent = np.isnan(values)
            values[absent] = 0.0
            matrix[rows[:, None], numbers] = np.where(absent, UNUSED, quantise(values))
    return ClassicCode(matrix, total - len(kept))


# Columns of the classic matrix that each class fills; (1 + N_CLASSIC,) whether one holds whole numbers, not fractions.
CLASSIC_NUMBERS = {cls: np.array([1 + CLASSIC.index(name) for name in names]) for cls, names in CLASSIC_COLUMNS.items()}
IS_WHOLE = np.array([True, *(name in CLASSIC_COUNTS for name in CLASSIC)])


def _length(kept: Drawing, scale: Scale, cls: EntityClass, name: str) -> FloatArray:
    """A scalar of all rows of a class as a share of the frame's longer side."""
    return kept.scalar(cls, name) / scale.side


def _angle(kept: Drawing, cls: EntityClass, name: str) -> FloatArray:
    """An angle of all rows of a class as a share of the full turn."""
    return turns(kept.scalar(cls, name))


def dimension_numbers(drawing: Drawing) -> tuple[FloatArray, FloatArray]:
    """Value and tolerance of the DIMENSION rows as they read, (d,) each; NaN = not known. The larger side counts."""
    value, measured = drawing.scalar(C.DIMENSION, "value"), drawing.scalar(C.DIMENSION, "measurement")
    upper, lower = drawing.scalar(C.DIMENSION, "tolerance_upper"), drawing.scalar(C.DIMENSION, "tolerance_lower")
    return np.where(np.isfinite(value), value, measured), np.fmax(np.abs(upper), np.abs(lower))


def _thousandths(value: FloatArray, drawing: Drawing) -> FloatArray:
    """|value| in whole thousandths as shares of the largest one; angular dimensions as shares of 360°."""
    whole = np.round(np.abs(value) * 1000.0)
    angular = np.isin(drawing.scalar(C.DIMENSION, "kind"), ANGULAR)
    largest = np.nanmax(np.where(angular, np.nan, whole), initial=0.0) if (~angular & np.isfinite(whole)).any() else 0.0
    return np.where(angular, whole / 360_000.0, whole / (largest or 1.0))


def _knot_places(drawing: Drawing) -> FloatArray:
    """(k,) knots as places between the first and the last knot of their spline."""
    lengths = np.diff(drawing.knot_start)
    if not len(drawing.knots):
        return np.zeros(0)
    first = np.repeat(drawing.knots[np.minimum(drawing.knot_start[:-1], len(drawing.knots) - 1)], lengths)
    last = np.repeat(drawing.knots[np.maximum(drawing.knot_start[1:] - 1, 0)], lengths)
    result: FloatArray = (drawing.knots - first) / np.where(last > first, last - first, 1.0)
    return result


def finite_boxes(drawing: Drawing) -> FloatArray:
    """(n, 4) boxes; a row without any extent (a spline whose knots are all equal) has its mean vertex."""
    bad = np.flatnonzero(~np.isfinite(drawing.box).all(axis=1))
    if len(bad) == 0:
        return drawing.box
    box = drawing.box.copy()
    box[bad] = np.nan_to_num(np.tile(row_means(drawing.vertices[:, :2], drawing.vertex_start)[bad], 2))
    return box


def row_means(values: FloatArray, start: IntArray) -> FloatArray:
    """(n, c) means of the ragged ranges of (v, c) values; NaN for an empty range."""
    lengths = np.diff(start)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    sums = np.column_stack([np.bincount(owner, weights=column, minlength=len(lengths)) for column in values.T])
    with np.errstate(invalid="ignore"):
        result: FloatArray = sums / lengths[:, None]
    return result


# --- .h5 files -------------------------------------------------------------------------------------------------------

DATA_SET = "dxf_vec"


@contextmanager
def _h5(path: Path, mode: str) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise DeepDXFError("h5 files need h5py: pip install 'deepdxf[train]'") from None
    try:
        with h5py.File(path, mode) as file:
            yield file
    except OSError as error:
        raise DeepDXFError(
            f"{path}: {'cannot be written' if mode == 'w' else 'not a readable h5 file'} ({error})"
        ) from error


def write_h5(path: str | Path, code: ClassicCode, length: int = LIMIT) -> None:
    """Write a code as the data set ``dxf_vec``, int16, shape (1, length, 1 + N_CLASSIC), padded with EOS rows.

    Raises:
        DeepDXFError: the code is longer than that, the file cannot be written, or h5py is missing.
    """
    matrix = code.padded(length)
    with replacing(path) as partial, _h5(partial, "w") as file:
        file.create_dataset(DATA_SET, data=matrix[None], compression="gzip")


def read_h5(path: str | Path) -> ClassicCode:
    """Read the data set ``dxf_vec`` of an h5 file, (1, rows, 1 + N_CLASSIC) quantised, whole numbers of any type.

    Raises:
        DeepDXFError: the file or its matrix is not in that form, or h5py is missing.
    """
    with _h5(Path(path), "r") as file:
        if DATA_SET not in file:
            raise DeepDXFError(f"{path}: has no data set {DATA_SET!r}")
        matrix = np.asarray(file[DATA_SET])
    if matrix.ndim != 3 or matrix.shape[0] != 1:
        raise DeepDXFError(f"{path}: {DATA_SET!r} has the shape {matrix.shape} instead of (1, rows, {1 + N_CLASSIC})")
    try:
        return ClassicCode.of_padded(matrix[0])
    except DeepDXFError as error:
        raise DeepDXFError(f"{path}: {error}") from None


# --- rich ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RichCode:
    """The sequence code that keeps shape; its rows are also the nodes of the entity graph."""

    cls: NDArray[np.uint8]  # (m,) EntityClass
    tags: NDArray[np.uint8]  # (m, 3) buckets of depth, layer name, colour: see `vocabulary.TAGS`
    values: NDArray[np.float32]  # (m, N_RICH) continuous, in the ranges of `vocabulary`; NaN = absent
    row: NDArray[np.int32]  # (m,) row of the drawing
    size: float  # log10 of the frame's diagonal in mm (drawing units where the file has none); NaN = no extent
    cut: int  # rows beyond the limit, left out

    def __len__(self) -> int:
        return len(self.cls)

    @property
    def present(self) -> BoolArray:
        """(m, N_RICH) whether there is a value."""
        return ~np.isnan(self.values)

    @property
    def bins(self) -> NDArray[np.uint8]:
        """(m, N_RICH) the values quantised to 0 … 255; only `present` tells an absent one from 0."""
        return rich_bins(self.cls, self.values)


def rich(drawing: Drawing, limit: int = LIMIT) -> RichCode:
    """The rich code: the visible rows (blocks expanded, INSERT left out), in drawing order, at most ``limit``."""
    visible = np.flatnonzero(drawing.visible)
    rows = visible[:limit]
    kept = drawing.drawn if len(rows) == len(visible) else drawing.select(rows)
    scale = Scale.of(drawing)
    values = np.full((len(rows), N_RICH), np.nan)
    _own_slots(values, kept, scale)
    _local_slots(values, kept, scale)
    diagonal = float(np.hypot(*drawing.size)) * (drawing.unit_mm or 1.0)
    return RichCode(
        cls=kept.cls,
        tags=_tags(kept, drawing.depth[rows]),
        values=clip(kept.cls, values),
        row=rows.astype(np.int32),
        size=float(np.log10(diagonal)) if diagonal > 0 else float("nan"),
        cut=len(visible) - len(rows),
    )


def _tags(kept: Drawing, depth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    names = [name.casefold().encode("utf-8", "surrogatepass") for name in kept.layers]
    # CRC: the same bucket on every machine and in every run, which Python's own hash is not
    bucket = np.array([zlib.crc32(name) % LAYER_BUCKETS for name in names] or [0])
    half = COLOR_BUCKETS // 2
    true_color = half + (-1 - kept.color) % half
    color = np.where(kept.color == 256, 0, np.where(kept.color < 0, true_color, 1 + kept.color % (half - 1)))
    return np.column_stack([np.minimum(depth, DEPTH_BUCKETS - 1), bucket[kept.layer], color]).astype(np.uint8)


def _own_slots(values: FloatArray, kept: Drawing, scale: Scale) -> None:
    """Fill the columns that belong to each class."""
    place = scale.place(kept.vertices[:, :2])
    first, last = kept.vertex_start[:-1], kept.vertex_start[1:] - 1
    scalar, length, angle = kept.scalar, functools.partial(_length, kept, scale), functools.partial(_angle, kept)

    def start(cls: EntityClass) -> FloatArray:
        return place[first[kept.rows(cls)]]

    def ends(cls: EntityClass) -> FloatArray:
        rows = kept.rows(cls)
        return np.column_stack([place[first[rows]], place[last[rows]]])

    def middle(cls: EntityClass) -> FloatArray:
        box = finite_boxes(kept)[kept.rows(cls)]
        return scale.place((box[:, :2] + box[:, 2:]) / 2.0)

    def characters(cls: EntityClass) -> FloatArray:
        lengths = np.array([len(text) for text in kept.texts] + [0])  # index −1 = the 0 at the end
        return count(lengths[kept.text_index[kept.rows(cls)]])

    def bulged_share() -> FloatArray:
        bulges = np.bincount(Shapes.of(kept).owner, weights=kept.vertices[:, 2] != 0, minlength=len(kept))
        rows = kept.rows(C.LWPOLYLINE)
        result: FloatArray = bulges[rows] / np.diff(kept.vertex_start)[rows]
        return result

    def hatch() -> list[FloatArray]:
        solid = scalar(C.HATCH, "solid")
        pattern = angle(C.HATCH, "pattern_angle"), decades(scalar(C.HATCH, "pattern_scale"))
        # a solid fill has no pattern; what libraries write there is noise
        return [count(scalar(C.HATCH, "paths")), *(np.where(solid == 1, np.nan, p) for p in pattern), solid]

    def dimension() -> list[FloatArray]:
        text_place = place[first[kept.rows(C.DIMENSION)] + 1]
        kind, rotation = scalar(C.DIMENSION, "kind") / 8.0, angle(C.DIMENSION, "rotation")
        return [start(C.DIMENSION), text_place, kind, rotation, *map(decades, dimension_numbers(kept))]

    def text(cls: EntityClass, *lengths: str) -> list[FloatArray]:
        height, *rest = (length(cls, name) for name in lengths)
        return [start(cls), height, angle(cls, "rotation"), *rest, characters(cls)]

    # the slots of each class, then its flags, worked out for those that the drawing has
    columns: dict[EntityClass, Callable[[], Sequence[FloatArray]]] = {
        C.HATCH: lambda: [middle(C.HATCH), *hatch()],
        C.TEXT: lambda: text(C.TEXT, "height", "width"),
        C.MTEXT: lambda: text(C.MTEXT, "char_height", "width", "height"),
        C.LWPOLYLINE: lambda: [ends(C.LWPOLYLINE), bulged_share(), scalar(C.LWPOLYLINE, "closed")],
        C.ARC: lambda: [start(C.ARC), length(C.ARC, "radius"), angle(C.ARC, "start"), angle(C.ARC, "end")],
        C.LINE: lambda: [ends(C.LINE)],
        C.CIRCLE: lambda: [start(C.CIRCLE), length(C.CIRCLE, "radius")],
        C.DIMENSION: dimension,
        C.LEADER: lambda: [ends(C.LEADER), scalar(C.LEADER, "arrowhead")],
        C.SPLINE: lambda: [
            ends(C.SPLINE),
            count(scalar(C.SPLINE, "degree")),
            scalar(C.SPLINE, "closed"),
            scalar(C.SPLINE, "fit"),
        ],
        C.SOLID: lambda: [middle(C.SOLID), scalar(C.SOLID, "filled")],
    }
    for cls, made in columns.items():
        rows, numbers = kept.rows(cls), len(SLOTS[cls])
        if len(rows):
            stacked = np.column_stack(made())
            values[rows, :numbers] = stacked[:, :numbers]
            values[rows, SLOT_WIDTH : SLOT_WIDTH + len(FLAGS.get(cls, ()))] = stacked[:, numbers:]


def _local_slots(values: FloatArray, kept: Drawing, scale: Scale) -> None:
    """Fill the columns that every class has, and the points of the shape."""
    shapes = Shapes.of(kept)
    closed = is_closed(shapes)
    points, length = along(shapes, closed, SHAPE_POINTS)
    box = finite_boxes(kept)
    width, height = (box[:, 2:] - box[:, :2]).T / scale.side
    middle = (box[:, :2] + box[:, 2:]) / 2.0
    # point after point: far faster than a sum over short rows
    mean = functools.reduce(np.add, points.swapaxes(0, 1)) / SHAPE_POINTS
    x, y = (points[:, :, axis] - mean[:, axis, None] for axis in (0, 1))
    xx, yy, xy = (x**2).sum(1), (y**2).sum(1), (x * y).sum(1)
    spread = np.maximum(xx + yy, (TINY * scale.side) ** 2)
    arc, circle = kept.rows(C.ARC), kept.rows(C.CIRCLE)
    span = np.full(len(kept), np.nan)
    span[arc] = arc_sweep(kept.scalar(C.ARC, "start"), kept.scalar(C.ARC, "end")) / 360.0
    span[circle] = 1.0
    delta = np.full((len(kept), 2), np.nan)
    delta[1:] = np.diff(middle, axis=0) / scale.side
    values[:, LOCAL_START:SHAPE_START] = np.column_stack(
        [
            logarithm(length / scale.side),
            logarithm(width),
            logarithm(height),
            (width + TINY) / (width + height + 2.0 * TINY),
            (xx - yy) / spread,
            2.0 * xy / spread,
            span,
            closed,
            count(np.diff(kept.vertex_start)),
            delta,
        ]
    )
    shaped = np.flatnonzero(is_any(kept.cls, *SHAPED))
    half = np.maximum(np.maximum(width[shaped], height[shaped]), TINY) * scale.side / 2.0
    local = (points[shaped] - middle[shaped, None]) / half[:, None, None]
    values[shaped, SHAPE_START:] = local.reshape(-1, 2 * SHAPE_POINTS)


EARLY = 1e-7  # share of an outline by which its sample points come early, see `along`


def is_closed(shapes: Shapes) -> BoolArray:
    """(n,) rows whose outline ends where it began: by class, polylines and splines by their flag."""
    closed = is_any(shapes.cls, C.CIRCLE, C.HATCH, C.SOLID, C.TEXT, C.MTEXT)
    for cls in (C.LWPOLYLINE, C.SPLINE):
        rows, column = shapes.column(cls, "closed")
        closed[rows] = shapes.scalars[rows, column] == 1
    return closed


def along(shapes: Shapes, closed: BoolArray, steps: int) -> tuple[FloatArray, FloatArray]:
    """Points at equal distances along every row's outline, (n, steps, 2), and its length (n,), drawing units.

    Open outlines are sampled from end to end, ``closed`` ones without the end, which is their start. Arcs are exact,
    splines chords; loops of a hatch follow one another; texts are their boxes, dimensions their lines.
    """
    n = len(shapes.cls)
    _, _, owner, bulge = edges(shapes)
    bulged = np.flatnonzero(bulge)
    centre, radius, start, sweep, arc_row = arcs(shapes)
    whole = len(arc_row) - len(bulged)  # arcs and circles come first, then the bulged edges in their order
    smooth, smooth_row = smooth_lines(shapes)
    lines, line_row = dimension_lines(shapes)
    # every outline is cut into pieces: straight ones by their ends, round ones by their number among the arcs
    ends = np.concatenate([edge_lines(shapes), np.zeros((whole, 4)), smooth, lines])
    round_ = np.full(len(ends), -1)
    round_[bulged] = np.arange(whole, len(arc_row))
    round_[len(owner) : len(owner) + whole] = np.arange(whole)
    row = np.concatenate([owner, arc_row[:whole], smooth_row, line_row])
    order = np.argsort(row, kind="stable")
    x0, y0, x1, y1 = np.ascontiguousarray(ends.T).take(order, axis=1)
    round_, row = round_[order], row[order]
    arc = np.flatnonzero(round_ >= 0)
    arc = arc[sweep[round_[arc]] != 0]
    length = np.hypot(x1 - x0, y1 - y0)
    length[arc] = radius[round_[arc]] * np.abs(sweep[round_[arc]])
    total = np.bincount(row, weights=length, minlength=n).astype(float)
    points = np.empty((n, steps, 2))
    begins = np.ones(len(row), bool)
    begins[1:] = row[1:] != row[:-1]
    piece_start = np.flatnonzero(begins)
    drawn = row[piece_start]
    if len(drawn) < n:  # rows without any piece lie at the mean of their vertices
        bare = np.ones(n, bool)
        bare[drawn] = False
        points[bare] = np.nan_to_num(row_means(shapes.vertices[:, :2], shapes.vertex_start)[bare])[:, None]
    if len(row) == 0:
        return points, total

    piece_end = np.append(piece_start[1:], len(row)) - 1
    before = np.cumsum(length) - length
    before -= before[piece_start].repeat(piece_end + 1 - piece_start)  # length of the outline before each piece
    # row i runs from i to i + 1 whatever its length: one ascending scale for all rows, equally fine for short ones
    end = row + (before + length) / np.where(total > 0, total, 1.0)[row]
    step = np.arange(steps) / np.where(closed[drawn], steps, steps - 1)[:, None]
    # a little early: where two loops meet, the last bit must not choose between the end of one and the start of the
    # next
    step = np.maximum(step - EARLY, 0.0)
    piece = np.clip(np.searchsorted(end, drawn[:, None] + step), piece_start[:, None], piece_end[:, None])
    inside = step * total[drawn][:, None] - before[piece]
    share = np.clip(inside / np.where(length > 0, length, 1.0)[piece], 0.0, 1.0)
    on = np.empty((len(drawn), steps, 2))
    on[:, :, 0] = x0[piece] + (x1 - x0)[piece] * share
    on[:, :, 1] = y0[piece] + (y1 - y0)[piece] * share
    if len(arc):
        is_arc = np.zeros(len(row), bool)
        is_arc[arc] = True
        bent = is_arc[piece]
        one = round_[piece[bent]]
        angle = start[one] + sweep[one] * share[bent]
        on[bent] = centre[one] + radius[one, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    points[drawn] = on
    return points, total
