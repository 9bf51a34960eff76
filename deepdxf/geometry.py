"""Geometry of columnar entities: affine maps, boxes, flattening to segments. No loop over entities.

Everything acts on a `Shapes`: the geometric columns of a `Drawing`, or of a reader's table before block expansion.
Arcs stay arcs and splines stay splines as long as a map allows it: circles and arcs under an uneven scale become exact
rational splines, bulges under an uneven scale become chords.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from deepdxf.drawing import (
    SCALARS,
    BoolArray,
    Drawing,
    EntityClass,
    FloatArray,
    IntArray,
    gather_ranges,
    is_any,
)

C = EntityClass
BULGED = (C.LWPOLYLINE, C.HATCH)  # classes whose third vertex column is a bulge
ROUND = (C.CIRCLE, C.ARC)
TEXTS = (C.TEXT, C.MTEXT)
LABELS = (*TEXTS, C.DIMENSION, C.LEADER)  # what is written about the drawn things
STRETCHED = (*TEXTS, C.INSERT)  # classes with lengths along and across their rotation
ARC_SPANS = 4  # an arc becomes a quadratic rational spline of four spans: each at most 90°, weights stay above 0.7
BULGE_CHORDS = 16  # chords that stand for a bulge where the map bends it into an ellipse
SPLINE_STEPS = 8  # samples of one knot span for boxes and flattening
SPAN_POINTS = 1 << 16  # control points of spline spans that are worked on at once
MAX_CHORDS = 4_000_000  # of all arcs of a drawing, when it is flattened; beyond, arcs get coarser
EVEN = 1e-9  # relative difference of the axes up to which a map counts as even (a similarity)


@dataclass
class Shapes:
    """Geometric columns; see `Drawing` for shapes and meaning."""

    cls: np.ndarray
    scalars: FloatArray
    vertices: FloatArray
    vertex_start: IntArray
    vertex_path: np.ndarray
    knots: FloatArray
    knot_start: IntArray

    @classmethod
    def of(cls, drawing: Drawing) -> Shapes:
        """The geometric columns of a drawing (not copied); the same object every time, see `once`."""
        shapes: Shapes | None = drawing.__dict__.get("_shapes")
        if shapes is None:
            shapes = drawing.__dict__["_shapes"] = cls(
                **{name: getattr(drawing, name) for name in cls.__dataclass_fields__}
            )
        return shapes

    def of_drawing(self, drawing: Drawing) -> Drawing:
        """The drawing that was made with these columns, whose `Shapes` they are from now on: what was worked out for
        them, as edges and arcs, serves the drawing too."""
        drawing.__dict__["_shapes"] = self
        return drawing

    def columns(self) -> dict[str, Any]:
        """The columns by name, as a `Drawing` takes them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def take(self, rows: IntArray) -> Shapes:
        """Copies of the given rows, in that order; a row may be taken many times."""
        vertex_rows, vertex_start = gather_ranges(self.vertex_start, rows)
        knot_rows, knot_start = gather_ranges(self.knot_start, rows)
        return Shapes(
            self.cls[rows],
            self.scalars.take(rows, axis=0),
            self.vertices.take(vertex_rows, axis=0),
            vertex_start,
            self.vertex_path[vertex_rows],
            self.knots[knot_rows],
            knot_start,
        )

    def column(self, cls: EntityClass, name: str) -> tuple[IntArray, int]:
        """Rows of a class and the number of its scalar column."""
        return np.flatnonzero(self.cls == cls), SCALARS[cls].index(name)

    @functools.cached_property
    def owner(self) -> IntArray:
        """(v,) row that each vertex belongs to."""
        return np.repeat(np.arange(len(self.cls)), np.diff(self.vertex_start))


Subject = TypeVar("Subject", Shapes, Drawing)
Result = TypeVar("Result")


def once(function: Callable[[Subject], Result]) -> Callable[[Subject], Result]:
    """Remember a result beside the `Shapes` or `Drawing` that it is of: every code of a drawing asks for the same edges
    and arcs.

    Their columns must not change once such a function was called.
    """
    name = f"_{function.__module__}.{function.__qualname__}"  # two modules may use one name

    @functools.wraps(function)
    def remembered(subject: Subject) -> Result:
        if name not in subject.__dict__:
            subject.__dict__[name] = function(subject)
        result: Result = subject.__dict__[name]
        return result

    return remembered


# --- affine maps -----------------------------------------------------------------------------------------------------


def transform(drawing: Drawing, matrix: FloatArray) -> Drawing:
    """The drawing under one affine map ``matrix`` (2, 3): x′ = matrix[:, :2] x + matrix[:, 2].

    Handles, names and texts stay; dimension measurements of lengths are scaled, texts of dimensions are not.
    """
    matrix = np.asarray(matrix, float)
    shapes = transform_shapes(Shapes.of(drawing), np.broadcast_to(matrix, (len(drawing), 2, 3)))
    upright = bool(is_even(matrix[None, :, :2])[0]) and np.count_nonzero(matrix[:, :2]) == 2
    if upright and np.isfinite(drawing.box).all():  # quarter turns, mirrors, scales: boxes stay boxes
        corners = drawing.box.reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
        box = np.hstack([corners.min(axis=1), corners.max(axis=1)])
    else:
        box = boxes(shapes)
    return shapes.of_drawing(replace(drawing, **shapes.columns(), box=box))


def transform_shapes(shapes: Shapes, matrix: FloatArray) -> Shapes:
    """Every row under its own affine map, (n, 2, 3). The result may share unchanged columns with the input."""
    even = is_even(matrix[:, :, :2])
    if not even.all():
        shapes = bend(shapes, ~even)
    cls, scalars = shapes.cls, shapes.scalars.copy()
    owner = shapes.owner
    linear = matrix[:, :, :2]
    vertices = np.empty_like(shapes.vertices)
    x, y, third = np.ascontiguousarray(shapes.vertices.T)
    for axis, (a, b, c) in enumerate(np.ascontiguousarray(matrix.transpose(1, 2, 0))):
        vertices[:, axis] = a[owner] * x + b[owner] * y + c[owner]
    det = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    flipped = det < 0
    vertices[:, 2] = np.where((flipped & is_any(cls, *BULGED))[owner], -third, third)

    length = np.sqrt(np.abs(det))  # scale of lengths; exact where the map is even
    turn = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))  # where the x axis goes

    def update(kind: EntityClass, **columns: object) -> None:
        rows = np.flatnonzero(cls == kind)
        if len(rows) == 0:
            return
        old = {name: shapes.scalars[rows, i] for i, name in enumerate(SCALARS[kind])}
        if kind in STRETCHED:
            old["stretch"] = stretched(rows, old["rotation"])
        for name, rule in columns.items():
            scalars[rows, SCALARS[kind].index(name)] = rule(rows, old)  # type: ignore[operator]

    def turned(rows: IntArray, angle: FloatArray) -> FloatArray:
        # An even map turns by an exact amount: no rounding through sine and cosine.
        exact: FloatArray = np.where(flipped[rows], turn[rows] - angle, turn[rows] + angle)
        if even[rows].all():
            return exact % 360.0
        radians = np.radians(angle)
        x = linear[rows, :, 0] * np.cos(radians)[:, None] + linear[rows, :, 1] * np.sin(radians)[:, None]
        moved = np.degrees(np.arctan2(x[:, 1], x[:, 0]))
        return np.where(even[rows], exact, moved) % 360.0

    def stretched(rows: IntArray, angle: FloatArray) -> FloatArray:
        """How much longer a length in this direction becomes."""
        radians = np.radians(angle)
        x = linear[rows, :, 0] * np.cos(radians)[:, None] + linear[rows, :, 1] * np.sin(radians)[:, None]
        return np.hypot(x[:, 0], x[:, 1])

    update(C.CIRCLE, radius=lambda r, o: o["radius"] * length[r])
    update(
        C.ARC,
        radius=lambda r, o: o["radius"] * length[r],
        start=lambda r, o: turned(r, np.where(flipped[r], o["end"], o["start"])),
        end=lambda r, o: turned(r, np.where(flipped[r], o["start"], o["end"])),
    )
    for kind in TEXTS:
        update(
            kind,
            height=lambda r, o: o["height"] * np.abs(det[r]) / np.maximum(o["stretch"], 1e-300),
            rotation=lambda r, o: turned(r, o["rotation"]),
            width=lambda r, o: o["width"] * o["stretch"],
            valign=lambda r, o: np.where(flipped[r], 1.0 - o["valign"], o["valign"]),
        )
    update(
        C.MTEXT,
        char_height=lambda r, o: o["char_height"] * length[r],
        column_width=lambda r, o: o["column_width"] * o["stretch"],
    )
    update(
        C.HATCH,
        pattern_angle=lambda r, o: turned(r, o["pattern_angle"]),
        pattern_scale=lambda r, o: o["pattern_scale"] * length[r],
    )
    update(
        C.DIMENSION,
        rotation=lambda r, o: turned(r, o["rotation"]),
        measurement=lambda r, o: np.where(np.isin(o["kind"], ANGULAR), o["measurement"], o["measurement"] * length[r]),
    )
    update(
        C.INSERT,
        xscale=lambda r, o: o["xscale"] * o["stretch"],
        yscale=lambda r, o: o["yscale"] * det[r] / np.maximum(o["stretch"], 1e-300),
        rotation=lambda r, o: turned(r, o["rotation"]),
        column_spacing=lambda r, o: o["column_spacing"] * o["stretch"],
        row_spacing=lambda r, o: o["row_spacing"] * det[r] / np.maximum(o["stretch"], 1e-300),
    )
    return replace(shapes, scalars=scalars, vertices=vertices)


def is_even(linear: FloatArray) -> BoolArray:
    """(n,) whether each linear map (n, 2, 2) is a similarity: it keeps circles circles."""
    (a0, b0), (a1, b1) = linear.transpose(1, 2, 0)
    aa, bb, ab = a0 * a0 + a1 * a1, b0 * b0 + b1 * b1, a0 * b0 + a1 * b1
    scale = np.maximum(aa, bb)
    return np.asarray((np.abs(aa - bb) <= EVEN * scale) & (np.abs(ab) <= EVEN * scale) & (scale > 0))


def bend(shapes: Shapes, rows: BoolArray) -> Shapes:
    """Rows of the mask made fit for an uneven map: circles and arcs as splines, bulges as chords; others unchanged."""
    owner = shapes.owner
    round_rows = rows & is_any(shapes.cls, *ROUND)
    bulged = rows & is_any(shapes.cls, *BULGED)
    bulged &= np.bincount(owner, weights=np.abs(shapes.vertices[:, 2]), minlength=len(rows)) > 0
    if round_rows.any():
        shapes = arcs_to_splines(shapes, np.flatnonzero(round_rows))
    if bulged.any():
        shapes = bulges_to_chords(shapes, bulged)
    return shapes


def arcs_to_splines(shapes: Shapes, rows: IntArray) -> Shapes:
    """CIRCLE and ARC rows as exact rational quadratic splines (Piegl & Tiller, The NURBS Book, A7.1)."""
    circle = shapes.cls[rows] == C.CIRCLE
    radius = shapes.scalars[rows, 0]  # the first scalar of both classes
    start = np.where(circle, 0.0, shapes.scalars[rows, 1])
    sweep = np.where(circle, 360.0, arc_sweep(start, np.where(circle, 0.0, shapes.scalars[rows, 2])))
    centre = shapes.vertices[shapes.vertex_start[rows], :2]
    unit, knots = conic_arc(np.radians(start), np.radians(start + sweep))
    control = unit.copy()
    control[:, :, :2] = centre[:, None] + radius[:, None, None] * unit[:, :, :2]
    scalars = shapes.scalars.copy()
    scalars[rows] = np.nan
    scalars[rows, :3] = np.column_stack([np.full(len(rows), 2.0), circle, np.zeros(len(rows))])
    cls = shapes.cls.copy()
    cls[rows] = C.SPLINE
    vertices, vertex_start = replace_ranges(shapes.vertices, shapes.vertex_start, rows, control)
    path, _ = replace_ranges(
        shapes.vertex_path[:, None], shapes.vertex_start, rows, np.zeros((*control.shape[:2], 1), np.int32)
    )
    knots_flat, knot_start = replace_ranges(shapes.knots[:, None], shapes.knot_start, rows, knots[:, :, None])
    return Shapes(cls, scalars, vertices, vertex_start, path[:, 0], knots_flat[:, 0], knot_start)


def conic_arc(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Arcs of the unit circle from ``start`` to ``end`` (m,) radians as rational quadratic splines.

    Returns control points (m, 9, 3) as x, y, weight, and knots (m, 12).
    """
    step = (end - start) / ARC_SPANS
    angle = start[:, None] + step[:, None] * np.arange(2 * ARC_SPANS + 1) / 2.0
    weight = np.where(np.arange(2 * ARC_SPANS + 1) % 2 == 1, np.cos(step / 2.0)[:, None], 1.0)
    control = np.stack([np.cos(angle) / weight, np.sin(angle) / weight, weight], axis=2)
    inner = np.repeat(np.arange(ARC_SPANS + 1) / ARC_SPANS, 2)
    knots = np.concatenate([[0.0], inner, [1.0]])
    return control, np.broadcast_to(knots, (len(start), len(knots)))


def replace_ranges(flat: np.ndarray, start: IntArray, rows: IntArray, new: np.ndarray) -> tuple[np.ndarray, IntArray]:
    """Ragged array with the ranges of ``rows`` replaced by ``new`` (len(rows), m, columns); and its start array."""
    lengths = np.diff(start)
    lengths[rows] = new.shape[1]
    new_start = np.concatenate([[0], np.cumsum(lengths)])
    result = np.empty((new_start[-1], flat.shape[1]), flat.dtype)
    kept = np.ones(len(lengths), bool)
    kept[rows] = False
    kept_rows = np.flatnonzero(kept)
    result[gather_ranges(new_start, kept_rows)[0]] = flat[gather_ranges(start, kept_rows)[0]]
    result[gather_ranges(new_start, rows)[0]] = new.reshape(-1, flat.shape[1])
    return result, new_start


def bulges_to_chords(shapes: Shapes, rows: BoolArray) -> Shapes:
    """Bulged segments of the rows in the mask as chords; all other vertices as they are."""
    first, second, owner, bulge = edges(shapes)
    arc = rows[owner] & (bulge != 0)
    copies = np.ones(len(shapes.vertices), np.int64)
    copies[first[arc]] = BULGE_CHORDS
    source = np.repeat(np.arange(len(copies)), copies)
    inner = np.arange(len(source)) - np.repeat(np.concatenate([[0], np.cumsum(copies)[:-1]]), copies)
    vertices = shapes.vertices[source].copy()
    vertices[rows[shapes.owner[source]], 2] = 0.0
    centre, radius, start, sweep = bulge_arcs(
        shapes.vertices[first[arc], :2], shapes.vertices[second[arc], :2], bulge[arc]
    )
    arc_of = np.full(len(copies), -1)
    arc_of[first[arc]] = np.arange(int(arc.sum()))
    bent = (inner > 0) & (arc_of[source] >= 0)
    a = arc_of[source[bent]]
    angle = start[a] + sweep[a] * inner[bent] / BULGE_CHORDS
    vertices[bent, 0] = centre[a, 0] + radius[a] * np.cos(angle)
    vertices[bent, 1] = centre[a, 1] + radius[a] * np.sin(angle)
    lengths = np.bincount(shapes.owner[source], minlength=len(shapes.cls))
    return replace(
        shapes,
        vertices=vertices,
        vertex_path=shapes.vertex_path[source],
        vertex_start=np.concatenate([[0], np.cumsum(lengths)]),
    )


# --- pieces ----------------------------------------------------------------------------------------------------------

ANGULAR = (2, 5)  # dimension kinds that measure an angle (DXF group 70, low bits): angular, angular by three points


def arc_sweep(start: FloatArray, end: FloatArray) -> FloatArray:
    """Counter-clockwise sweep from start to end in (0, 360] degrees; equal angles mean the full circle."""
    sweep = (end - start) % 360.0
    return np.where(sweep <= 1e-9, 360.0, sweep)


@once
def edges(shapes: Shapes) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Edges of polylines, hatch loops, leaders, solids and lines: vertex from, vertex to, row, bulge; each (e,).

    Closed polylines, hatch loops and solids have their closing edge.
    """
    cls, owner, path = shapes.cls, shapes.owner, shapes.vertex_path
    linear = is_any(cls, C.LINE, C.LWPOLYLINE, C.HATCH, C.LEADER, C.SOLID)
    v = len(owner)
    if v == 0:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, np.zeros(0)
    start_of_path = np.ones(v, bool)
    start_of_path[1:] = (owner[1:] != owner[:-1]) | (path[1:] != path[:-1])
    path_first = np.flatnonzero(start_of_path)
    path_id = np.cumsum(start_of_path) - 1
    last = np.append(start_of_path[1:], True)
    following = np.arange(1, v + 1)
    following[last] = path_first[path_id[last]]
    closed = is_any(cls, C.HATCH, C.SOLID)
    poly, closed_column = shapes.column(C.LWPOLYLINE, "closed")
    closed[poly] = shapes.scalars[poly, closed_column] == 1
    keep = linear[owner] & (~last | closed[owner]) & (following != np.arange(v))
    first = np.flatnonzero(keep)
    bulge = np.where(is_any(cls[owner[first]], *BULGED), shapes.vertices[first, 2], 0.0)
    return first, following[first], owner[first], bulge


def bulge_arcs(
    p: FloatArray, q: FloatArray, bulge: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Arcs of bulged edges p → q: centre (e, 2), radius, start angle and signed sweep in radians.

    bulge = tan(sweep / 4), positive = counter-clockwise.
    """
    sweep = 4.0 * np.arctan(bulge)
    chord = q - p
    # distance of the centre from the chord's middle, to its left: half a chord times cot(sweep / 2)
    offset = (1.0 - bulge**2) / (4.0 * bulge)
    centre = (p + q) / 2.0 + offset[:, None] * np.column_stack([-chord[:, 1], chord[:, 0]])
    start = np.arctan2(p[:, 1] - centre[:, 1], p[:, 0] - centre[:, 0])
    return centre, np.hypot(*(p - centre).T), start, sweep


@once
def arcs(shapes: Shapes) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:
    """All circular arcs: centre (a, 2), radius, start, signed sweep (radians), row. CIRCLE, ARC and bulged edges."""
    rows = np.flatnonzero(is_any(shapes.cls, *ROUND))
    circle = shapes.cls[rows] == C.CIRCLE
    centre = shapes.vertices[shapes.vertex_start[rows], :2]
    start = np.where(circle, 0.0, shapes.scalars[rows, 1])
    sweep = np.where(circle, 360.0, arc_sweep(start, np.where(circle, 0.0, shapes.scalars[rows, 2])))
    first, second, owner, bulge = edges(shapes)
    bent = np.flatnonzero(bulge)
    if len(bent) == 0:
        return centre, shapes.scalars[rows, 0], np.radians(start), np.radians(sweep), rows
    b = bulge_arcs(shapes.vertices[first[bent], :2], shapes.vertices[second[bent], :2], bulge[bent])
    return (
        np.concatenate([centre, b[0]]),
        np.concatenate([shapes.scalars[rows, 0], b[1]]),
        np.concatenate([np.radians(start), b[2]]),
        np.concatenate([np.radians(sweep), b[3]]),
        np.concatenate([rows, owner[bent]]),
    )


@once
def spline_samples(shapes: Shapes) -> tuple[FloatArray, IntArray]:
    """Points on all splines, (s, SPLINE_STEPS + 1, 2) for every non-empty knot span, and the row of each span (s,).

    All spans of one degree at once.
    """
    steps = SPLINE_STEPS
    rows = np.flatnonzero(shapes.cls == C.SPLINE)
    if len(rows) == 0:
        return np.zeros((0, steps + 1, 2)), np.zeros(0, np.int64)
    points, owners = [], []
    degrees = shapes.scalars[rows, 0].astype(int)
    for degree in np.unique(degrees):
        of_degree = rows[degrees == degree]
        spans, span_start = gather_ranges(shapes.knot_start, of_degree)
        row = np.repeat(of_degree, np.diff(span_start))
        local = spans - shapes.knot_start[row]
        control_count = shapes.vertex_start[row + 1] - shapes.vertex_start[row]
        inner = (local >= degree) & (local < control_count)
        spans, row, local = spans[inner], row[inner], local[inner]
        full = shapes.knots[np.minimum(spans + 1, len(shapes.knots) - 1)] > shapes.knots[spans]
        spans, row, local = spans[full], row[full], local[full]
        if len(spans) == 0:
            continue
        at_once = max(SPAN_POINTS // (degree + 1), 1)
        for begin in range(0, len(spans), at_once):  # in pieces, so that a million spans cost no more than their points
            part = slice(begin, begin + at_once)
            points.append(de_boor(shapes, degree, spans[part], shapes.vertex_start[row[part]] + local[part] - degree))
        owners.append(row)
    if not points:
        return np.zeros((0, steps + 1, 2)), np.zeros(0, np.int64)
    return np.concatenate(points), np.concatenate(owners)


def de_boor(shapes: Shapes, degree: int, spans: IntArray, first_control: IntArray) -> FloatArray:
    """(s, SPLINE_STEPS + 1, 2) points on knot spans, by de Boor's algorithm in homogeneous coordinates.

    ``spans`` are numbers of knots that a span begins at, ``first_control`` of the first of its degree + 1 vertices.
    """
    knots, share = shapes.knots, np.linspace(0.0, 1.0, SPLINE_STEPS + 1)
    t = knots[spans, None] + (knots[spans + 1] - knots[spans])[:, None] * share
    control = shapes.vertices[first_control[:, None] + np.arange(degree + 1)]
    weight = np.where(control[:, :, 2] > 0, control[:, :, 2], 1.0)
    d = np.concatenate([control[:, :, :2] * weight[:, :, None], weight[:, :, None]], axis=2)  # (s, p + 1, 3)
    d = np.repeat(d[:, None], SPLINE_STEPS + 1, axis=1)  # (s, steps + 1, p + 1, 3)
    for r in range(1, degree + 1):
        for j in range(degree, r - 1, -1):
            lo = knots[spans - degree + j][:, None]
            hi = knots[spans + 1 + j - r][:, None]
            width = np.where(hi > lo, hi - lo, 1.0)
            alpha = ((t - lo) / width)[:, :, None]
            d[:, :, j] = (1.0 - alpha) * d[:, :, j - 1] + alpha * d[:, :, j]
    result: FloatArray = d[:, :, degree, :2] / d[:, :, degree, 2:]
    return result


@once
def text_corners(shapes: Shapes) -> tuple[FloatArray, IntArray]:
    """(t, 4, 2) corners of the box of every TEXT and MTEXT, counter-clockwise from lower left, and the rows (t,)."""
    rows = np.flatnonzero(is_any(shapes.cls, *TEXTS))
    if len(rows) == 0:
        return np.zeros((0, 4, 2)), rows
    height, rotation, width, halign, valign = shapes.scalars[rows, :5].T
    anchor = shapes.vertices[shapes.vertex_start[rows], :2]
    angle = np.radians(rotation)
    along = np.column_stack([np.cos(angle), np.sin(angle)])
    up = np.column_stack([-along[:, 1], along[:, 0]])
    x = (np.array([0.0, 1.0, 1.0, 0.0]) - halign[:, None]) * width[:, None]
    y = (np.array([0.0, 0.0, 1.0, 1.0]) - valign[:, None]) * height[:, None]
    return anchor[:, None] + x[:, :, None] * along[:, None] + y[:, :, None] * up[:, None], rows


@once
def edge_lines(shapes: Shapes) -> FloatArray:
    """(e, 4) the `edges` from end to end, x0, y0, x1, y1, whatever their bulge."""
    first, second, _, _ = edges(shapes)
    xy = shapes.vertices[:, :2]
    return np.concatenate([xy.take(first, axis=0), xy.take(second, axis=0)], axis=1)


@once
def smooth_lines(shapes: Shapes) -> tuple[FloatArray, IntArray]:
    """Chords of all splines, then sides of the boxes of all texts: (s, 4) and the rows (s,)."""
    samples, span_row = spline_samples(shapes)
    corners, text_row = text_corners(shapes)
    if len(span_row) + len(text_row) == 0:
        return np.zeros((0, 4)), span_row
    chords = np.concatenate([samples[:, :-1], samples[:, 1:]], axis=2).reshape(-1, 4)
    sides = np.concatenate([corners, corners[:, [1, 2, 3, 0]]], axis=2).reshape(-1, 4)
    rows = np.concatenate([np.repeat(span_row, samples.shape[1] - 1), np.repeat(text_row, 4)])
    return np.concatenate([chords, sides]), rows


@once
def dimension_lines(shapes: Shapes) -> tuple[FloatArray, IntArray]:
    """(s, 4) dimension and extension lines drawn from the definition points, and the rows (s,).

    A DIMENSION row has six vertices: DXF points 10, 11 (text), 13, 14, 15, 16; an absent point equals point 10.
    """
    rows, kind_column = shapes.column(C.DIMENSION, "kind")
    if len(rows) == 0:
        return np.zeros((0, 4)), rows
    p = shapes.vertices[shapes.vertex_start[rows][:, None] + np.arange(6), :2]
    kind = shapes.scalars[rows, kind_column]
    rotation = np.radians(shapes.scalars[rows, SCALARS[C.DIMENSION].index("rotation")])
    base, first, second, feature = p[:, 0], p[:, 2], p[:, 3], p[:, 4]
    aligned = kind == 1
    direction = np.where(aligned[:, None], second - first, np.column_stack([np.cos(rotation), np.sin(rotation)]))
    direction /= np.maximum(np.hypot(*direction.T), 1e-300)[:, None]
    foot = base + ((first - base) * direction).sum(1)[:, None] * direction
    linear = kind <= 1
    radial = (kind == 3) | (kind == 4)
    other = ~linear & ~radial
    pieces = [
        (np.concatenate([foot, base], 1)[linear], rows[linear]),
        (np.concatenate([first, foot], 1)[linear], rows[linear]),
        (np.concatenate([second, base], 1)[linear], rows[linear]),
        (np.concatenate([base, feature], 1)[radial], rows[radial]),
        (np.concatenate([first, second], 1)[other], rows[other]),
        (np.concatenate([base, feature], 1)[other], rows[other]),
    ]
    return np.concatenate([piece for piece, _ in pieces]), np.concatenate([owner for _, owner in pieces])


# --- boxes and segments ----------------------------------------------------------------------------------------------


def arc_boxes(centre: FloatArray, radius: FloatArray, start: FloatArray, sweep: FloatArray) -> FloatArray:
    """(a, 4) exact boxes of arcs as `arcs` gives them: their ends, and the quadrants that they pass."""
    x, y = np.ascontiguousarray(centre.T)
    end = start + sweep
    first_x, last_x = x + radius * np.cos(start), x + radius * np.cos(end)
    first_y, last_y = y + radius * np.sin(start), y + radius * np.sin(end)
    box = np.stack(
        [
            np.minimum(first_x, last_x),
            np.minimum(first_y, last_y),
            np.maximum(first_x, last_x),
            np.maximum(first_y, last_y),
        ]
    )
    begin, turn = np.where(sweep >= 0, start, end), np.abs(sweep)
    most = ((0.0, 2, x + radius), (np.pi / 2, 3, y + radius), (np.pi, 0, x - radius), (3 * np.pi / 2, 1, y - radius))
    for quadrant, side, extreme in most:
        reached = (quadrant - begin) % (2 * np.pi) <= turn
        farther = np.maximum(box[side], extreme) if side > 1 else np.minimum(box[side], extreme)
        box[side] = np.where(reached, farther, box[side])
        # the quadrant lies at the centre's other coordinate, which rounding may leave outside of the ends
        other = centre[:, 1] if side in (0, 2) else centre[:, 0]
        low = 1 - side % 2
        box[low] = np.where(reached, np.minimum(box[low], other), box[low])
        box[low + 2] = np.where(reached, np.maximum(box[low + 2], other), box[low + 2])
    return box.T.copy()


def boxes(shapes: Shapes) -> FloatArray:
    """(n, 4) boxes: exact for lines, arcs and bulges, by samples for splines, by estimated text width for texts."""
    n = len(shapes.cls)
    lo, hi = np.full((n, 2), np.inf), np.full((n, 2), -np.inf)

    def include(points: FloatArray, rows: IntArray) -> None:
        """Points must come with their rows ascending in runs; ``reduceat`` is far faster than ``minimum.at``."""
        if len(rows) == 0:
            return
        run = np.flatnonzero(np.append(True, rows[1:] != rows[:-1]))
        axes = np.ascontiguousarray(points.T)  # long rows are reduced far faster than many short ones
        run_rows = rows[run]
        least, most = np.minimum.reduceat(axes, run, axis=1).T, np.maximum.reduceat(axes, run, axis=1).T
        if (run_rows[1:] > run_rows[:-1]).all():  # no row twice: plain indexing is faster still
            lo[run_rows], hi[run_rows] = np.minimum(lo[run_rows], least), np.maximum(hi[run_rows], most)
        else:
            np.minimum.at(lo, run_rows, least)
            np.maximum.at(hi, run_rows, most)

    owner = shapes.owner
    by_vertices = ~is_any(shapes.cls, *ROUND, C.SPLINE, *TEXTS)[owner]
    at = np.flatnonzero(by_vertices)
    include(shapes.vertices[:, :2].take(at, axis=0), owner[at])
    centre, radius, start, sweep, row = arcs(shapes)
    if len(row):
        round_box = arc_boxes(centre, radius, start, sweep)
        include(round_box[:, :2], row)
        include(round_box[:, 2:], row)
    samples, row = spline_samples(shapes)
    include(samples.reshape(-1, 2), np.repeat(row, samples.shape[1]))
    corners, row = text_corners(shapes)
    include(corners.reshape(-1, 2), np.repeat(row, 4))
    return np.column_stack([lo, hi])


def segments(drawing: Drawing, tolerance: float | None = None) -> tuple[FloatArray, IntArray]:
    """The visible geometry as line segments (s, 4): x0, y0, x1, y1, and the row that owns each (s,).

    Segments of one row are in drawing order where the class has one; the rows ascend in runs. Texts are the four sides
    of their box, dimensions their dimension and extension lines, hatches their boundary.

    Args:
        drawing: the drawing.
        tolerance: largest distance between an arc and its chords, drawing units; default the frame's diagonal / 2000.
    """
    shapes = Shapes.of(drawing)
    if tolerance is None:
        tolerance = float(np.hypot(*drawing.size)) / 2000.0
    first, _, owner, bulge = edges(shapes)
    straight = np.flatnonzero(bulge == 0)

    centre, radius, start, sweep, row = arcs(shapes)
    ratio = np.clip(tolerance / np.maximum(radius, 1e-300), 1e-6, 1.0)
    chords = np.clip(np.ceil(np.abs(sweep) / (2.0 * np.arccos(1.0 - ratio))), 1, 256).astype(np.int64)
    chords = np.maximum(chords, np.ceil(np.abs(sweep) / (np.pi / 4)).astype(np.int64))
    if (total := int(chords.sum())) > MAX_CHORDS:
        chords = np.maximum(chords * MAX_CHORDS // total, 1)
    # the points on every arc, one more than its chords
    of_point = np.repeat(np.arange(len(chords)), chords + 1)
    step = np.arange(len(of_point)) - np.repeat(np.cumsum(chords + 1) - (chords + 1), chords + 1)
    angle = start[of_point] + sweep[of_point] * step / chords[of_point]
    points = np.empty((len(angle), 2))
    points[:, 0] = centre[:, 0][of_point] + radius[of_point] * np.cos(angle)
    points[:, 1] = centre[:, 1][of_point] + radius[of_point] * np.sin(angle)
    begins = np.flatnonzero(step < chords[of_point])
    arc = of_point[begins]
    smooth, smooth_row = smooth_lines(shapes)
    lines, line_row = dimension_lines(shapes)
    arc_lines = np.concatenate([points.take(begins, axis=0), points.take(begins + 1, axis=0)], axis=1)
    result = np.concatenate([edge_lines(shapes).take(straight, axis=0), arc_lines, smooth, lines])
    owners = np.concatenate([owner[straight], row[arc], smooth_row, line_row])
    # straight and bent edges of one polyline in turn: by the vertex that an edge starts from
    round_rows = np.flatnonzero(is_any(shapes.cls, *ROUND))  # the first of `arcs`
    vertex = np.zeros(len(owners), np.int64)
    starts = np.concatenate([shapes.vertex_start[round_rows], first[bulge != 0]])
    vertex[: len(straight) + len(arc)] = np.concatenate([first[straight], starts[arc]])
    order = np.lexsort((vertex, owners))
    return result.take(order, axis=0), owners[order]
