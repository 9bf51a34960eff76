"""Views of a drawing: the same drawing as another hand, program or save would have left it, for contrastive training.

Kinds of the first sort act on the columns of a `Drawing` before any code is made, so that every code of a view tells
the same story: geometry stays true (arcs turn with the drawing, bulges explode into exact arcs, boxes fit). Kinds of the
second sort act on a `DrawingCode` and perturb what only the codes have: values, columns, edges, nodes. None acts on
embeddings; the class of a row is never perturbed, and what is absent (NaN, −1) stays absent.

`KINDS` names all of them. `Views` holds how strongly each is applied, and applies them. Every function returns a new
value or the one that it was given; nothing is changed in place, for drawings may lie in read-only memory.

Letters in shapes: n rows, m new rows, k chosen rows, v vertices, e edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from deepdxf.drawing import (
    N_SCALARS,
    ROW_COLUMNS,
    SCALARS,
    BoolArray,
    Drawing,
    EntityClass,
    FloatArray,
    IntArray,
    gather_ranges,
    is_any,
)
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import TEXTS, Shapes, arc_boxes, arc_sweep, boxes, bulge_arcs, edges, transform, transform_shapes
from deepdxf.graph import STEPS, Blocks, DrawingCode, EntityGraph, Relation
from deepdxf.sequence import ClassicCode
from deepdxf.vocabulary import (
    BINS,
    CLASSIC,
    CLASSIC_COUNTS,
    LOCAL_START,
    N_CLASSIC,
    N_RICH,
    RICH_HIGH,
    RICH_LOW,
    SLOTS,
    TAGS,
    UNUSED,
    clip,
    column,
)

C = EntityClass
ANNOTATION = (C.TEXT, C.MTEXT, C.DIMENSION, C.HATCH, C.LEADER)
INCH_MM = 25.4

# --- rows ------------------------------------------------------------------------------------------------------------


def _kept(drawing: Drawing, keep: BoolArray) -> Drawing:
    """The rows of the mask, without the content of an INSERT that goes; the drawing as it is if nothing would be seen."""
    if drawing.depth.any():
        keep = keep.copy()
        for level in range(1, int(drawing.depth.max()) + 1):
            rows = np.flatnonzero(drawing.depth == level)
            keep[rows] &= keep[drawing.parent[rows]]
    if keep.all() or not (keep & drawing.visible).any():
        return drawing
    return drawing.select(keep)


def _numbered(drawing: Drawing) -> Drawing:
    """Rows of depth 0 with handles 1, 2, 3 …: ascending again after rows came, went or changed places."""
    top = drawing.depth == 0
    return replace(drawing, handle=np.where(top, np.cumsum(top), drawing.handle))


def _arranged(drawing: Drawing, rank: NDArray) -> Drawing:
    """Rows of depth 0 sorted by ``rank`` (one value each), the content of an INSERT behind it."""
    root = np.cumsum(drawing.depth == 0) - 1
    return _numbered(drawing.select(np.argsort(rank[root], kind="stable")))


def _replaced(drawing: Drawing, keep: BoolArray, of: IntArray, shapes: Shapes, **columns: NDArray) -> Drawing:
    """New rows behind the rows ``of`` (m,), whose depth, parent, layer … they take; of the old rows those of ``keep``.

    Args:
        drawing: the drawing.
        keep: (n,) mask; INSERT rows are always kept.
        of: (m,) rows; new rows of one row stand in the order given.
        shapes: geometry of the new rows.
        **columns: (m,) values of new rows that differ from those of the row that they stand behind.
    """
    old: dict[str, Any] = {name: getattr(drawing, name) for name in (*ROW_COLUMNS, "depth", "parent")}
    if "box" not in columns:
        columns["box"] = _boxes(shapes)
    columns |= {"cls": shapes.cls, "scalars": shapes.scalars}
    new = {name: columns[name] if name in columns else values[of] for name, values in old.items()}
    longer: dict[str, Any] = {
        name: np.concatenate([values, new[name].astype(values.dtype)]) for name, values in old.items()
    }
    extended = replace(
        drawing,
        **longer,
        vertices=np.concatenate([drawing.vertices, shapes.vertices]),
        vertex_path=np.concatenate([drawing.vertex_path, shapes.vertex_path]),
        vertex_start=np.concatenate([drawing.vertex_start, drawing.vertex_start[-1] + shapes.vertex_start[1:]]),
        knots=np.concatenate([drawing.knots, shapes.knots]),
        knot_start=np.concatenate([drawing.knot_start, drawing.knot_start[-1] + shapes.knot_start[1:]]),
    )
    rows = np.concatenate([np.flatnonzero(keep), np.arange(len(drawing), len(extended))])
    place = np.concatenate([np.arange(len(drawing)), of])
    rows = rows[np.argsort(place[rows], kind="stable")]
    return _numbered(extended.select(rows))


def _boxes(shapes: Shapes) -> FloatArray:
    """`geometry.boxes`; for lines, circles and insertion points alone in a fraction of its time."""
    if not len(shapes.cls) or not is_any(shapes.cls, C.LINE, C.CIRCLE, C.INSERT).all():
        return boxes(shapes)
    reach = np.where(shapes.cls == C.CIRCLE, shapes.scalars[:, 0], 0.0)[:, None]
    points, start = shapes.vertices[:, :2], shapes.vertex_start[:-1]
    low, high = np.minimum.reduceat(points, start), np.maximum.reduceat(points, start)
    return np.concatenate([low - reach, high + reach], axis=1)


def _shapes(cls: NDArray, vertices: FloatArray, counts: IntArray, **scalars: FloatArray) -> Shapes:
    """Rows without knots: classes (m,), vertices (v, 3), vertices of each row (m,), scalars (m,) by name."""
    table = np.full((len(cls), N_SCALARS), np.nan)
    for kind in np.unique(cls):
        rows = np.flatnonzero(cls == kind)
        for i, name in enumerate(SCALARS[EntityClass(kind)]):
            table[rows, i] = scalars[name][rows]
    return Shapes(
        cls.astype(np.uint8),
        table,
        vertices,
        np.concatenate([[0], np.cumsum(counts)]),
        np.zeros(len(vertices), np.int32),
        np.zeros(0),
        np.zeros(len(cls) + 1, np.int64),
    )


def _lines(start: FloatArray, end: FloatArray) -> Shapes:
    """LINE rows between points (m, 2)."""
    m = len(start)
    vertices = np.zeros((2 * m, 3))
    vertices[::2, :2], vertices[1::2, :2] = start, end
    return _shapes(np.full(m, C.LINE), vertices, np.full(m, 2))


def _stacked(first: Shapes, second: Shapes) -> Shapes:
    """Rows of both, neither with knots."""
    return Shapes(
        np.concatenate([first.cls, second.cls]),
        np.concatenate([first.scalars, second.scalars]),
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.vertex_start, first.vertex_start[-1] + second.vertex_start[1:]]),
        np.concatenate([first.vertex_path, second.vertex_path]),
        np.zeros(0),
        np.zeros(len(first.cls) + len(second.cls) + 1, np.int64),
    )


def _typed(drawing: Drawing, *names: str) -> tuple[Drawing, IntArray]:
    """The drawing with these DXF types among its names, and their numbers."""
    types = (*drawing.dxftypes, *(name for name in names if name not in drawing.dxftypes))
    return replace(drawing, dxftypes=types), np.array([types.index(name) for name in names])


def _side(drawing: Drawing) -> float:
    return max(drawing.size) or 1.0


def _share(rng: Generator, strength: float) -> float:
    """None in half of the cases, else up to ``strength``: not every view suffers everything at once."""
    return strength * max(float(rng.uniform(-1.0, 1.0)), 0.0)


def _some(rng: Generator, rows: IntArray, share: float) -> IntArray:
    """Each of the rows with the probability ``share``."""
    return rows[rng.random(len(rows)) < share]


# --- the same geometry, stored otherwise -----------------------------------------------------------------------------


def explode(drawing: Drawing, rows: IntArray) -> Drawing:
    """LWPOLYLINE rows as the lines and arcs that they are made of, exact, in their order and in the polyline's place."""
    chosen = np.zeros(len(drawing), bool)
    chosen[rows] = True
    first, second, owner, bulge = edges(Shapes.of(drawing))
    part = chosen[owner]
    first, second, owner, bulge = first[part], second[part], owner[part], bulge[part]
    chosen[:] = False
    chosen[owner] = True  # a polyline of one vertex has no edge and stays
    if not len(owner):
        return drawing
    p, q = drawing.vertices[first, :2], drawing.vertices[second, :2]
    # an arc of no sweep would read as a full circle
    arc = (np.abs(bulge) > 1e-9) & (p != q).any(axis=1)
    centre, radius, begin, sweep = bulge_arcs(p, q, np.where(arc, bulge, 1.0))
    counts = np.where(arc, 1, 2)
    start = np.cumsum(counts) - counts
    vertices = np.zeros((int(counts.sum()), 3))
    vertices[start, :2] = np.where(arc[:, None], centre, p)
    vertices[start[~arc] + 1, :2] = q[~arc]
    low, high = np.minimum(begin, begin + sweep), np.maximum(begin, begin + sweep)
    shapes = _shapes(
        np.where(arc, C.ARC, C.LINE),
        vertices,
        counts,
        radius=radius,
        start=np.degrees(low) % 360.0,
        end=np.degrees(high) % 360.0,
    )
    box = np.concatenate([np.minimum(p, q), np.maximum(p, q)], axis=1)
    box[arc] = arc_boxes(centre[arc], radius[arc], begin[arc], sweep[arc])
    drawing, types = _typed(drawing, "LINE", "ARC")
    return _replaced(drawing, ~chosen, owner, shapes, dxftype=types[arc.astype(int)], box=box)


class _Strokes(NamedTuple):
    """LINE and ARC rows that other rows can be joined to."""

    row: IntArray  # (k,)
    ends: FloatArray  # (k, 2, 2) start, end; arcs run counter-clockwise
    bulge: FloatArray  # (k,)
    site: IntArray  # (k, 2) number of the place of each end; ends of different layer, colour or parent never share one


# Ends closer than this share of the frame's longer side meet; arcs longer than this have no reasonable bulge.
MEETING, LONGEST_ARC = 1e-7, 350.0


def _strokes(drawing: Drawing, rows: IntArray) -> _Strokes:
    rows = rows[is_any(drawing.cls[rows], C.LINE, C.ARC)]
    first = drawing.vertex_start[rows]
    arc = drawing.cls[rows] == C.ARC
    ends = np.stack([drawing.vertices[first, :2], drawing.vertices[drawing.vertex_start[rows + 1] - 1, :2]], axis=1)
    radius, begin, end = (np.where(arc, drawing.scalars[rows, i], 0.0) for i in range(3))
    sweep = np.where(arc, arc_sweep(begin, end), 0.0)
    angle = np.radians(np.stack([begin, begin + sweep], axis=1))
    ends = ends + radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=2)
    cell = _side(drawing) * MEETING
    places = np.round((ends - drawing.frame[:2]) / cell).astype(np.int64)
    style = drawing.layer[rows].astype(np.int64) * 1_000_003 + drawing.color[rows] * 7_919 + drawing.parent[rows]
    # one number of both coordinates and the style; wrapping around is as good as any other mixing
    key = places[:, :, 0] * -7046029254386353131 + places[:, :, 1] * 668265261 + style[:, None] * 374761393
    site = np.unique(key, return_inverse=True)[1].reshape(-1, 2)
    fit = (site[:, 0] != site[:, 1]) & (sweep < LONGEST_ARC) & np.isfinite(ends).all(axis=(1, 2))
    bulge = np.tan(np.radians(sweep) / 4.0)
    return _Strokes(rows[fit], ends[fit], bulge[fit], site[fit])


class _Chains(NamedTuple):
    """Strokes in the order of the chains that they make."""

    order: IntArray  # (k,) stroke numbers, chain by chain, from one end to the other
    forward: BoolArray  # (k,) in that order: whether the stroke is travelled from its start to its end
    start: IntArray  # (c + 1,) chain i is order[start[i] … start[i + 1]]
    closed: BoolArray  # (c,)


def _chains(mate: IntArray) -> _Chains:
    """Chains of strokes whose ends are tied in pairs.

    Stroke i has the ends 2 i (start) and 2 i + 1 (end); ``mate`` (2 k,) names the end that each is tied to, −1 for
    none. Order within a chain by pointer jumping (Wyllie's list ranking): log2 of the longest chain rounds for all.
    """
    mate = mate.copy()
    ends = np.arange(len(mate))
    closed_ends = np.zeros(0, np.int64)

    def ranked() -> tuple[IntArray, IntArray, IntArray]:
        """For the entry into a stroke by each end: entry into the chain, strokes before, smallest end seen on the way."""
        before = np.where(mate >= 0, mate ^ 1, ends)  # the entry into the previous stroke
        distance = (mate >= 0).astype(np.int64)
        smallest = np.minimum(ends, before)
        for _ in range(len(mate).bit_length() + 1):
            further = before[before]
            if np.array_equal(further, before):
                break
            distance += distance[before]
            smallest = np.minimum(smallest, smallest[before])
            before = further
        return before, distance, smallest

    entry, distance, smallest = ranked()
    circling = mate[entry] >= 0  # no way back leads to a free end
    if circling.any():
        both = np.minimum(smallest[::2], smallest[1::2])
        closed_ends = np.unique(both[circling[::2]])
        mate[mate[closed_ends]] = -1
        mate[closed_ends] = -1
        entry, distance, _ = ranked()
    forward = entry[::2] <= entry[1::2]
    chain = np.minimum(entry[::2], entry[1::2])
    place = np.where(forward, distance[::2], distance[1::2])
    order = np.lexsort((place, chain))
    new = np.flatnonzero(np.append(True, chain[order][1:] != chain[order][:-1])) if len(order) else np.zeros(0, int)
    return _Chains(
        order,
        forward[order],
        np.append(new, len(order)).astype(np.int64),
        np.isin(chain[order][new], closed_ends),
    )


def _mates(strokes: _Strokes, straight_on: bool) -> IntArray:
    """(2 k,) tied ends: those of places where exactly two strokes meet; ``straight_on``: only if they are one line."""
    flat = strokes.site.ravel()
    mate = np.full(len(flat), -1)
    order = np.argsort(flat, kind="stable")
    sites = flat[order]
    first = np.flatnonzero(np.append(True, sites[1:] != sites[:-1])) if len(sites) else np.zeros(0, int)
    two = first[np.diff(np.append(first, len(sites))) == 2]
    a, b = order[two], order[two + 1]
    if straight_on:
        direction = strokes.ends[:, 1] - strokes.ends[:, 0]
        direction /= np.hypot(direction[:, 0], direction[:, 1])[:, None]
        one, other = direction[a // 2], direction[b // 2]
        cross = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
        # going on: out of the end of one into the start of the other, or both turned round
        sense = (one * other).sum(axis=1) * np.where(a % 2 == b % 2, -1.0, 1.0)
        fit = (np.abs(cross) < 1e-6) & (sense > 0)
        a, b = a[fit], b[fit]
    mate[a], mate[b] = b, a
    return mate


def join(drawing: Drawing, rows: IntArray) -> Drawing:
    """LINE and ARC rows that meet end to end as polylines; where three or more meet, all of them end.

    Only rows of one layer, colour and block content are joined. A polyline stands where the earliest of its rows stood.
    """
    strokes = _strokes(drawing, rows)
    order, forward, start, closed = _chains(_mates(strokes, straight_on=False))
    lengths = np.diff(start)
    several = lengths > 1
    if not several.any():
        return drawing
    member = np.repeat(several, lengths)
    order, forward, lengths, closed = order[member], forward[member], lengths[several], closed[several]
    start = np.cumsum(lengths) - lengths
    entry = np.where(forward, 0, 1)
    points, bulge = strokes.ends[order, entry], strokes.bulge[order] * np.where(forward, 1.0, -1.0)
    last = start + lengths - 1
    out = strokes.ends[order[last], 1 - entry[last]][~closed]  # open ones have one more vertex
    vertices = np.insert(np.column_stack([points, bulge]), last[~closed] + 1, np.column_stack([out, out[:, 0] * 0]), 0)
    shapes = _shapes(np.full(len(lengths), C.LWPOLYLINE), vertices, lengths + ~closed, closed=closed.astype(float))
    gone = strokes.row[order]
    keep = np.ones(len(drawing), bool)
    keep[gone] = False
    drawing, types = _typed(drawing, "LWPOLYLINE")
    of = np.minimum.reduceat(gone, start)
    by_row = np.argsort(of, kind="stable")
    return _replaced(drawing, keep, of[by_row], shapes.take(by_row), dxftype=np.repeat(types, len(of)))


def split(drawing: Drawing, rows: IntArray, share: FloatArray) -> Drawing:
    """LINE rows (k,) cut in two at ``share`` (k,) of their length."""
    if not len(rows):
        return drawing
    first = drawing.vertex_start[rows]
    p, q = drawing.vertices[first, :2], drawing.vertices[first + 1, :2]
    middle = p + share[:, None] * (q - p)
    keep = np.ones(len(drawing), bool)
    keep[rows] = False
    start, end = np.stack([p, middle], axis=1).reshape(-1, 2), np.stack([middle, q], axis=1).reshape(-1, 2)
    return _replaced(drawing, keep, np.repeat(rows, 2), _lines(start, end))


def merge(drawing: Drawing, rows: IntArray) -> Drawing:
    """LINE rows that continue each other straight on as one line; it stands where the earliest of them stood."""
    strokes = _strokes(drawing, rows[drawing.cls[rows] == C.LINE])
    order, forward, start, _ = _chains(_mates(strokes, straight_on=True))
    several = np.diff(start) > 1
    if not several.any():
        return drawing
    head, tail = start[:-1][several], start[1:][several] - 1
    p = strokes.ends[order[head], np.where(forward[head], 0, 1)]
    q = strokes.ends[order[tail], np.where(forward[tail], 1, 0)]
    gone = strokes.row[order[np.repeat(several, np.diff(start))]]
    keep = np.ones(len(drawing), bool)
    keep[gone] = False
    of = np.minimum.reduceat(strokes.row[order], start[:-1])[several]
    by_row = np.argsort(of, kind="stable")
    return _replaced(drawing, keep, of[by_row], _lines(p[by_row], q[by_row]))


def reverse(drawing: Drawing, rows: IntArray) -> Drawing:
    """LINE, LWPOLYLINE and SPLINE rows drawn from their other end: bulges change sign, knots run backwards."""
    rows = rows[is_any(drawing.cls[rows], C.LINE, C.LWPOLYLINE, C.SPLINE)]
    if not len(rows):
        return drawing
    place, start = gather_ranges(drawing.vertex_start, rows)
    lengths = np.diff(start)
    ends = np.repeat(drawing.vertex_start[rows] + drawing.vertex_start[rows + 1] - 1, lengths)
    vertices = drawing.vertices.copy()
    vertices[place] = drawing.vertices[ends - place]
    poly = drawing.cls[rows] == C.LWPOLYLINE
    of_poly = np.repeat(poly, lengths)
    at, mirrored = place[of_poly], (ends - place)[of_poly]
    # a bulge belongs to the edge that begins at its vertex: that edge now begins at what was its other end
    last = np.repeat(drawing.vertex_start[rows + 1] - 1, lengths)[of_poly]
    closed = np.repeat(drawing.scalars[rows, 0] == 1, lengths)[of_poly]
    source = np.where(at == last, at, mirrored - 1)
    sign = np.where((at == last) & ~closed, 1.0, -1.0)  # behind the last vertex of an open polyline is no edge
    vertices[at, 2] = sign * drawing.vertices[source, 2]
    spans, span_start = gather_ranges(drawing.knot_start, rows)
    knots = drawing.knots
    if len(spans):
        count = np.diff(span_start)
        low, high = drawing.knot_start[rows], drawing.knot_start[rows + 1] - 1
        knots = knots.copy()
        sums = np.repeat(drawing.knots[np.minimum(low, len(knots) - 1)] + drawing.knots[high], count)
        knots[spans] = sums - drawing.knots[np.repeat(low + high, count) - spans]
    return replace(drawing, vertices=vertices, knots=knots)


def unblock(drawing: Drawing, inserts: IntArray) -> Drawing:
    """INSERT rows of depth 0 taken away; what was in them, to any depth, lies directly in the space."""
    chosen = np.zeros(len(drawing), bool)
    chosen[inserts] = True
    root = np.maximum.accumulate(np.where(drawing.depth == 0, np.arange(len(drawing)), 0))
    inside = chosen[root]
    flat = replace(
        drawing,
        depth=np.where(inside, 0, drawing.depth).astype(np.uint8),
        parent=np.where(inside, -1, drawing.parent),
    )
    return _numbered(flat.select(~inside | (drawing.cls != C.INSERT)))


def block(drawing: Drawing, first: int, last: int) -> Drawing:
    """Rows ``first`` … ``last`` − 1, whole contents of INSERTs included, as the content of a new INSERT of depth 0."""
    corner = np.nan_to_num(drawing.box[first:last, :2].min(axis=0))
    ones, zeros = np.ones(1), np.zeros(1)
    insert = _shapes(
        np.array([C.INSERT]), np.append(corner, 0.0)[None], np.ones(1, int),
        xscale=ones, yscale=ones, rotation=zeros, columns=ones, rows=ones, column_spacing=zeros, row_spacing=zeros,
    )  # fmt: skip
    names = drawing.blocks
    drawing, types = _typed(replace(drawing, blocks=(*names, f"VIEW{len(names)}")), "INSERT")
    behind = np.array([first - 1]) if first else np.zeros(1, int)
    grown = _replaced(
        drawing, np.ones(len(drawing), bool), behind, insert,
        depth=zeros, parent=-ones, layer=drawing.layer[[first]], color=drawing.color[[first]],
        dxftype=types, block_index=np.array([len(names)]), text_index=-ones, handle=ones,
    )  # fmt: skip
    if first == 0:  # it came behind row 0 and belongs before it
        grown = grown.select(np.r_[1, 0, 2 : len(grown)])
    rows = slice(first + 1, last + 1)
    depth, parent = grown.depth.copy(), grown.parent.copy()
    parent[rows] = np.where(depth[rows] == 0, first, parent[rows])
    depth[rows] += 1
    return _numbered(replace(grown, depth=depth, parent=parent))


# --- kinds for drawings ----------------------------------------------------------------------------------------------
# Each takes the drawing, chance and its strength, as `KINDS` says: the probability that it acts, or the largest share
# of the drawing, in the half of the cases in which it acts.

POSES = Switches(mirror=True, rotation=True).poses  # four turns, then the same mirrored
LARGEST_ANGLE = 5.0  # degrees


def _about_centre(drawing: Drawing, linear: FloatArray) -> FloatArray:
    """(2, 3) map around the centre of the frame."""
    centre = (drawing.frame[:2] + drawing.frame[2:]) / 2.0
    return np.column_stack([linear, centre - linear @ centre])


def _scale(drawing: Drawing, rng: Generator, strength: float) -> FloatArray:
    return _about_centre(drawing, np.eye(2) * (1.0 + strength) ** rng.uniform(-1.0, 1.0))


def _shift(drawing: Drawing, rng: Generator, strength: float) -> FloatArray:
    return np.column_stack([np.eye(2), rng.uniform(-1.0, 1.0, 2) * strength * _side(drawing)])


def _tilt(drawing: Drawing, rng: Generator, strength: float) -> FloatArray:
    angle = np.radians(rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)) if rng.random() < strength else 0.0
    return _about_centre(drawing, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


def _rotate(drawing: Drawing, rng: Generator, strength: float) -> FloatArray:
    return _about_centre(drawing, POSES[rng.integers(1, 4) if rng.random() < strength else 0][:, :2])


def _flip(drawing: Drawing, rng: Generator, strength: float) -> FloatArray:
    return _about_centre(drawing, POSES[4 if rng.random() < strength else 0][:, :2])


Map = Callable[[Drawing, Generator, float], FloatArray]
MAPS: dict[str, Map] = {"scale": _scale, "shift": _shift, "tilt": _tilt, "rotate": _rotate, "flip": _flip}


def units(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Millimetres as inches, any other unit as millimetres: the same size, other numbers. No unit, no change."""
    if (unit := _other_unit(drawing, rng, strength)) is None:
        return drawing
    return replace(transform(drawing, _in_unit(drawing, unit)), unit_mm=unit)


def _other_unit(drawing: Drawing, rng: Generator, strength: float) -> float | None:
    if drawing.unit_mm is None or rng.random() >= strength:
        return None
    return INCH_MM if drawing.unit_mm == 1.0 else 1.0


def _in_unit(drawing: Drawing, unit: float) -> FloatArray:
    return np.column_stack([np.eye(2) * ((drawing.unit_mm or unit) / unit), np.zeros(2)])


def _after(then: FloatArray, first: FloatArray) -> FloatArray:
    """(3, 3) map that does ``first`` (3, 3), then ``then`` (2, 3)."""
    return np.asarray(np.vstack([then, [0.0, 0.0, 1.0]]) @ first)


def _moved(name: str) -> Callable[[Drawing, Generator, float], Drawing]:
    def kind(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
        return transform(drawing, MAPS[name](drawing, rng, strength))

    return kind


def drop(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """A quarter to all of the share ``strength`` of the entities left out, by chance."""
    return _kept(drawing, rng.random(len(drawing)) >= strength * rng.uniform(0.25, 1.0))


def drop_run(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """A stretch of entities that were drawn one after the other left out."""
    if not (length := int(len(drawing) * min(_share(rng, strength), 1.0))):
        return drawing
    first = int(rng.integers(len(drawing) - length + 1))
    keep = np.ones(len(drawing), bool)
    keep[first : first + length] = False
    return _kept(drawing, keep)


LARGEST_LAYER = 0.5  # share of the entities: a layer with more is the drawing


def drop_layer(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """One layer off."""
    if rng.random() >= strength:
        return drawing
    counts = np.bincount(drawing.layer[drawing.visible], minlength=1)
    small = np.flatnonzero((counts > 0) & (counts <= LARGEST_LAYER * counts.sum()))
    if not len(small):
        return drawing
    return _kept(drawing, (drawing.layer != rng.choice(small)) | ~drawing.visible)


def drop_annotation(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Some of texts, multi-line texts, dimensions, hatches and leaders off, each as a class."""
    if rng.random() >= strength:
        return drawing
    off = np.array(ANNOTATION)[rng.random(len(ANNOTATION)) < 0.5]
    return _kept(drawing, ~np.isin(drawing.cls, off))


def crop(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """What lies in a window of at least 1 − ``strength`` of the frame's width and height, by box centres."""
    if not (most := min(_share(rng, strength), 1.0)):
        return drawing
    share = 1.0 - most * rng.random(2)
    low = drawing.frame[:2] + rng.random(2) * (1.0 - share) * drawing.size
    high = low + share * drawing.size
    centre = (drawing.box[:, :2] + drawing.box[:, 2:]) / 2.0
    inside = ((centre >= low) & (centre <= high)).all(axis=1)
    return _kept(drawing, inside | ~drawing.visible)


SITES = 1024  # places that have a displacement of their own


def jitter(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Places moved by normal distances, σ up to ``strength`` of the frame's longer side; what met there still meets.

    Radii change by as much, at most by half. Numbers of dimensions stay.
    """
    if not (sigma := _share(rng, strength) * _side(drawing)):
        return drawing
    table = rng.normal(0.0, sigma, (SITES, 2))
    place = np.nan_to_num((drawing.vertices[:, :2] - drawing.frame[:2]) / (_side(drawing) * MEETING) + 0.5)
    cell = np.floor(np.clip(place, -(2.0**40), 2.0**40)).astype(np.int64)
    site = (cell[:, 0] * 73856093 ^ cell[:, 1] * 19349663) % SITES
    vertices = drawing.vertices.copy()
    vertices[:, :2] += table[site]
    scalars = drawing.scalars.copy()
    rows = np.flatnonzero((drawing.cls == C.CIRCLE) | (drawing.cls == C.ARC))
    radius = scalars[rows, 0]  # the first scalar of both
    scalars[rows, 0] = np.clip(radius + rng.normal(0.0, sigma, len(rows)), radius / 2.0, radius * 1.5)
    return _refreshed(replace(drawing, vertices=vertices, scalars=scalars))


def _refreshed(drawing: Drawing) -> Drawing:
    return replace(drawing, box=boxes(Shapes.of(drawing)))


def swap(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Neighbours in drawing order change places, up to the share ``strength`` of the pairs."""
    rank = np.arange(int((drawing.depth == 0).sum()))
    first = np.arange(int(rng.integers(2)), len(rank) - 1, 2)
    first = _some(rng, first, _share(rng, strength))
    if not len(first):
        return drawing
    rank[first], rank[first + 1] = first + 1, first
    return _arranged(drawing, rank)


def by_layer(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Drawing order: layer after layer."""
    if rng.random() >= strength:
        return drawing
    return _arranged(drawing, rng.permutation(len(drawing.layers) or 1)[drawing.layer[drawing.depth == 0]])


def by_place(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Drawing order: along a Z-order curve (Morton, 1966) through the box centres."""
    if rng.random() >= strength:
        return drawing
    box = drawing.box[drawing.depth == 0]
    cell = (((box[:, :2] + box[:, 2:]) / 2.0 - drawing.frame[:2]) / _side(drawing)) * 0xFFFF
    bits = np.clip(np.nan_to_num(cell), 0, 0xFFFF).astype(np.uint64)
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return _arranged(drawing, bits[:, 0] | (bits[:, 1] << np.uint64(1)))


def duplicate(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Entities twice, one over the other, up to the share ``strength``."""
    again = drawing.visible & (rng.random(len(drawing)) < _share(rng, strength))
    if not again.any():
        return drawing
    return _numbered(drawing.select(np.repeat(np.arange(len(drawing)), 1 + again)))


def explode_some(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Half or more of the polylines as lines and arcs."""
    if rng.random() >= strength:
        return drawing
    return explode(drawing, _some(rng, drawing.rows(C.LWPOLYLINE), rng.uniform(0.5, 1.0)))


def join_some(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Lines and arcs that meet as polylines, of half or more of the layers."""
    if rng.random() >= strength:
        return drawing
    rows = np.flatnonzero((drawing.cls == C.LINE) | (drawing.cls == C.ARC))
    joined = rng.random(len(drawing.layers) or 1) < rng.uniform(0.5, 1.0)
    return join(drawing, rows[joined[drawing.layer[rows]]])


def split_some(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Lines cut in two, up to the share ``strength``."""
    rows = _some(rng, drawing.rows(C.LINE), _share(rng, strength))
    return split(drawing, rows, rng.uniform(0.2, 0.8, len(rows)))


def merge_all(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Lines that continue each other as one."""
    if rng.random() >= strength:
        return drawing
    return merge(drawing, drawing.rows(C.LINE))


def unblock_some(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Half or more of the blocks exploded."""
    if rng.random() >= strength:
        return drawing
    inserts = drawing.rows(C.INSERT)
    inserts = _some(rng, inserts[drawing.depth[inserts] == 0], rng.uniform(0.5, 1.0))
    return unblock(drawing, inserts) if len(inserts) else drawing


LARGEST_BLOCK = 64  # entities
DEEPEST = 30  # nesting up to which rows are put into one more block


def block_some(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """A stretch of entities as a block."""
    if rng.random() >= strength:
        return drawing
    tops = np.flatnonzero(drawing.depth == 0)
    if len(tops) < 4 or drawing.depth.max() > DEEPEST:
        return drawing
    count = int(rng.integers(2, min(LARGEST_BLOCK, len(tops) // 2) + 1))
    first = int(rng.integers(len(tops) - count + 1))
    bounds = np.append(tops, len(drawing))
    return block(drawing, int(bounds[first]), int(bounds[first + count]))


def reverse_some(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Lines, polylines and splines drawn from the other end, up to the share ``strength``."""
    return reverse(drawing, _some(rng, np.arange(len(drawing)), _share(rng, strength)))


def noise(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Small lines and circles in the frame, up to the share ``strength`` of the entities, on layers that there are."""
    tops = np.flatnonzero(drawing.depth == 0)
    number = int(np.ceil(len(drawing) * _share(rng, strength)))
    if not len(tops) or not number:
        return drawing
    centre = drawing.frame[:2] + rng.random((number, 2)) * drawing.size
    reach = rng.uniform(-1.0, 1.0, (number, 2)) * 10.0 ** rng.uniform(-3.0, -1.3, (number, 1)) * _side(drawing)
    circles = int(rng.integers(number + 1))
    round_ = _shapes(
        np.full(circles, C.CIRCLE),
        np.column_stack([centre[:circles], np.zeros(circles)]),
        np.ones(circles, int),
        radius=np.hypot(*reach[:circles].T) / 2.0,
    )
    straight = _lines(centre[circles:] - reach[circles:] / 2.0, centre[circles:] + reach[circles:] / 2.0)
    drawing, types = _typed(drawing, "CIRCLE", "LINE")
    # behind entities of depth 0 that hold no content, so that no content is torn from its INSERT
    tops = tops[drawing.cls[tops] != C.INSERT]
    of = rng.choice(tops, number) if len(tops) else np.zeros(0, int)
    if not len(of):
        return drawing
    none = np.full(number, -1)
    kind = np.repeat(types, [circles, number - circles])
    return _replaced(
        drawing, np.ones(len(drawing), bool), of, _stacked(round_, straight),
        dxftype=kind, text_index=none, block_index=none,
    )  # fmt: skip


def edit(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """A few entities moved, resized, taken away or added, as a revision does: at least one, up to ``strength`` of all."""
    visible = np.flatnonzero(drawing.visible)
    number = min(int(np.ceil(len(visible) * _share(rng, strength))), len(visible))
    if not number:
        return drawing
    rows = np.sort(rng.choice(visible, number, replace=False))
    what = rng.integers(4, size=number)  # 0 moved, 1 resized, 2 away, 3 added
    keep = np.ones(len(drawing), bool)
    keep[rows[what != 3]] = False
    of = rows[what != 2]
    what = what[what != 2]
    if not len(of):
        return _kept(drawing, keep)
    box = drawing.box[of]
    reach = np.hypot(*(box[:, 2:] - box[:, :2]).T) * np.where(what == 3, 2.0, 0.5) + 0.01 * _side(drawing)
    by = rng.uniform(-1.0, 1.0, (len(of), 2)) * np.where(what == 1, 0.0, reach)[:, None]
    factor = np.where(what == 1, 1.25 ** rng.uniform(-1.0, 1.0, len(of)), 1.0)
    centre = np.nan_to_num((box[:, :2] + box[:, 2:]) / 2.0)
    matrix = np.zeros((len(of), 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = factor
    matrix[:, :, 2] = shift = centre * (1.0 - factor[:, None]) + np.nan_to_num(by)
    shapes = transform_shapes(Shapes.of(drawing).take(of), matrix)
    return _replaced(drawing, keep, of, shapes, box=box * factor[:, None] + np.tile(shift, 2))


SHEETS = (2.0**0.5, 11.0 / 8.5, 17.0 / 11.0)  # longer by shorter side: ISO 216, ANSI A … E
SHEET_LAYERS = ("FRAME", "RAHMEN", "TITLE", "0", "图框", "BORDER")
WORDS = ("DRAWN", "Maßstab", "SCALE 1:1", "材料 45", "DATE", "Benennung", "SHEET 1/1", "S235JR", "NAME", "A3")


def sheet(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Border and title block: taken away where there are some, drawn around the drawing where there are none."""
    if rng.random() >= strength or not max(drawing.size):
        return drawing
    on_sheet = _sheet_rows(drawing)
    return _kept(drawing, ~on_sheet) if on_sheet.any() else _with_sheet(drawing, rng)


def _sheet_rows(drawing: Drawing) -> BoolArray:
    """(n,) rows of a border, straight along the sides of a frame of a sheet's proportions, and of its title block."""
    nothing = np.zeros(len(drawing), bool)
    width, height = drawing.size
    ratio = max(width, height) / max(min(width, height), 1e-300)
    if not any(abs(ratio / known - 1.0) < 0.03 for known in SHEETS):
        return nothing
    low, size = drawing.frame[:2], np.array([width, height])
    box = (drawing.box - np.tile(low, 2)) / np.tile(size, 2)  # the frame is [0, 1]²
    span = box[:, 2:] - box[:, :2]
    straight = is_any(drawing.cls, C.LINE, C.LWPOLYLINE)
    edge = (np.minimum(box[:, :2], 1.0 - box[:, 2:]) < 0.06) & (span < 0.01)  # by axis across
    along = straight[:, None] & edge & (span[:, ::-1] > 0.8)
    whole = straight & (span > 0.9).all(axis=1) & (np.diff(drawing.vertex_start) <= 5)
    if not (whole.any() or (along.sum(axis=0) >= 2).all()):
        return nothing
    title = (box[:, 0] > 0.5) & (box[:, 3] < 0.25)
    return np.asarray(whole | along.any(axis=1) | (title & drawing.visible))


def _with_sheet(drawing: Drawing, rng: Generator) -> Drawing:
    low, high = drawing.frame[:2], drawing.frame[2:]
    margin = rng.uniform(0.03, 0.15, 2) * _side(drawing)
    low, high = low - margin, high + margin
    size = high - low
    block_size = size * [rng.uniform(0.25, 0.45), rng.uniform(0.08, 0.18)]
    corner = np.array([high[0], low[1]])  # of the title block: lower right
    lines, columns = int(rng.integers(2, 6)), int(rng.integers(1, 4))
    y = corner[1] + block_size[1] * np.arange(1, lines + 1) / lines
    x = corner[0] - block_size[0] * np.arange(1, columns + 1) / columns
    border = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    start = np.concatenate(
        [border, np.column_stack([np.full(lines, corner[0] - block_size[0]), y]), np.column_stack([x, x * 0 + low[1]])]
    )
    end = np.concatenate(
        [
            np.roll(border, -1, axis=0),
            np.column_stack([np.full(lines, corner[0]), y]),
            np.column_stack([x, np.full(columns, low[1] + block_size[1])]),
        ]
    )
    cells = int(rng.integers(1, lines + 1))
    word = rng.integers(len(WORDS), size=cells)
    text_height = np.full(cells, 0.4 * block_size[1] / lines)
    texts = _shapes(
        np.full(cells, C.TEXT),
        np.column_stack([np.full(cells, x[0] + 0.05 * block_size[0] / columns), y[:cells] - 2.0 * text_height, y[:cells] * 0]),
        np.ones(cells, int),
        height=text_height, rotation=text_height * 0.0, halign=text_height * 0.0, valign=text_height * 0.0,
        width=0.6 * text_height * np.array([len(WORDS[w]) for w in word]),
    )  # fmt: skip
    shapes = _stacked(_lines(start, end), texts)
    m, none = len(shapes.cls), np.full(len(shapes.cls), -1)
    layer = SHEET_LAYERS[rng.integers(len(SHEET_LAYERS))]
    layers = drawing.layers if layer in drawing.layers else (*drawing.layers, layer)
    text_index = np.concatenate([np.full(len(start), -1), len(drawing.texts) + word])
    drawing, types = _typed(replace(drawing, layers=layers, texts=(*drawing.texts, *WORDS)), "LINE", "TEXT")
    return _replaced(
        drawing, np.ones(len(drawing), bool), np.full(m, len(drawing) - 1), shapes,
        depth=none * 0, parent=none, block_index=none, layer=np.full(m, layers.index(layer)), color=np.full(m, 256),
        text_index=text_index, dxftype=np.repeat(types, [len(start), cells]), handle=none * 0,
    )  # fmt: skip


FILLER = "Benennung und Maßstab der Zeichnung, sämtliche Kanten gratfrei, nicht vermaßte Radien nach Norm. "
LONGEST = 64  # characters
NUMERIC = "0123456789.,+-±°ØøRMxX×/*()%\"' "  # characters of texts that no one translates


def translate(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """Words in another language: other characters, 0.6 to 1.6 times as many, in a box as much wider; numbers stay."""
    if rng.random() >= strength or not drawing.texts:
        return drawing
    length = np.array([len(text) for text in drawing.texts])
    word = np.array([bool(text.strip(NUMERIC)) for text in drawing.texts])
    rows = np.flatnonzero(is_any(drawing.cls, *TEXTS) & (drawing.text_index >= 0))
    rows = rows[word[drawing.text_index[rows]]]
    if not len(rows):
        return drawing
    old = length[drawing.text_index[rows]]
    new = np.clip(np.round(old * rng.uniform(0.6, 1.6, len(rows))), 1, LONGEST).astype(np.int64)
    scalars, text_index = drawing.scalars.copy(), drawing.text_index.copy()
    scalars[rows, SCALARS[C.TEXT].index("width")] *= np.clip(new / old, 0.6, 1.6)
    text_index[rows] = len(drawing.texts) + new - 1
    begin = int(rng.integers(len(FILLER)))
    filler = (FILLER * 2)[begin:] + FILLER
    texts = (*drawing.texts, *(filler[:characters] for characters in range(1, LONGEST + 1)))
    return _refreshed(replace(drawing, scalars=scalars, text_index=text_index, texts=texts))


def untext(drawing: Drawing, rng: Generator, strength: float) -> Drawing:
    """All texts taken away."""
    return _kept(drawing, ~is_any(drawing.cls, *TEXTS)) if rng.random() < strength else drawing


# --- kinds for codes -------------------------------------------------------------------------------------------------


def _table(keep: Callable[[str], bool]) -> BoolArray:
    """(12, N_RICH) own columns of the rich code, by class, whose name is such a one."""
    result = np.zeros(RICH_LOW.shape, bool)
    for cls, slots in SLOTS.items():
        result[cls, : len(slots)] = [keep(slot.name) for slot in slots]
    return result


def _is_place(name: str) -> bool:
    return name in ("x", "y") or (name.endswith(("_x", "_y")) and not name.startswith("scale_"))


PLACES = _table(_is_place)
CONTINUOUS = _table(lambda name: name != "kind" and not name.endswith("_count"))
CONTINUOUS[:, LOCAL_START:] = True
CONTINUOUS[:, [column("closed"), column("vertex_count")]] = False
CLASSIC_PLACES = np.array([False, *map(_is_place, CLASSIC)])
CLASSIC_CONTINUOUS = np.array([False, *(name not in CLASSIC_COUNTS for name in CLASSIC)])
DELTA = np.array([column("delta_x_signed"), column("delta_y_signed")])


def _with_graph(code: DrawingCode, place: NDArray, edges: NDArray, relation: NDArray, features: NDArray) -> DrawingCode:
    """The code with these edges, in the order that the entity graph has: by relation, first and second node."""
    n = len(place)
    order = np.argsort((relation.astype(np.int64) * n + edges[0]) * n + edges[1], kind="stable")
    graph = EntityGraph(
        place, edges[:, order].astype(np.int32), relation[order], features[order], code.entity_graph.left_out
    )
    return replace(code, entity_graph=graph)


def _edge_features(code: DrawingCode, place: NDArray, first: IntArray, second: IntArray) -> NDArray[np.float32]:
    """(e, 5) `graph.EDGE_FEATURES` of new edges, out of the rows of the rich code."""
    names = ("width_log", "height_log", "cos2_signed", "sin2_signed")
    width, height, cos, sin = np.nan_to_num(code.rich.values[:, [column(name) for name in names]]).T
    size = np.log2(np.hypot(2.0**width, 2.0**height) * STEPS + 1.0)
    return np.column_stack(
        [
            place[second] - place[first],
            size[second] - size[first],
            cos[first] * cos[second] + sin[first] * sin[second],
            cos[first] * sin[second] - sin[first] * cos[second],
        ]
    ).astype(np.float32)


def node_drop(code: DrawingCode, rng: Generator, strength: float) -> DrawingCode:
    """Up to the share ``strength`` of the nodes left out of all codes but the class graph; neighbours close up."""
    n = len(code.rich)
    keep = rng.random(n) >= strength * rng.random()
    if keep.all() or not keep.any():
        return code
    kept = np.flatnonzero(keep)
    graph = code.entity_graph
    new = np.cumsum(keep) - 1
    place = graph.place[kept]
    values = code.rich.values[kept].astype(float)
    torn = np.diff(kept, prepend=-1) > 1  # what came before is another row now
    values[np.ix_(np.flatnonzero(torn), DELTA)] = np.diff(place, axis=0, prepend=np.nan)[torn]
    rich = replace(
        code.rich,
        cls=code.rich.cls[kept],
        tags=code.rich.tags[kept],
        values=clip(code.rich.cls[kept], values),
        row=code.rich.row[kept],
    )
    label, of = np.unique(code.blocks.label[kept], return_inverse=True)
    blocks = Blocks(of.reshape(-1).astype(np.int32), code.blocks.box[label])
    code = replace(code, rich=rich, classic=_classic_without(code, keep, rng), blocks=blocks)
    stays = keep[graph.edges].all(axis=0) & (graph.relation != Relation.SUCCESSOR)
    first, second = np.arange(len(kept) - 1), np.arange(1, len(kept))
    return _with_graph(
        code,
        place,
        np.concatenate([new[graph.edges[:, stays]], np.stack([first, second])], axis=1),
        np.concatenate([graph.relation[stays], np.full(len(first), Relation.SUCCESSOR, np.uint8)]),
        np.concatenate([graph.features[stays], _edge_features(code, place, first, second)]),
    )


def _classic_without(code: DrawingCode, keep: BoolArray, rng: Generator) -> ClassicCode:
    """The classic code without the nodes that go; INSERT rows stay, rows beyond the rich code's limit go by chance."""
    matrix = code.classic.matrix
    rows = np.flatnonzero(matrix[:, 0] != C.INSERT)
    top = keep[code.rich.tags[:, TAGS.index("depth")] == 0]
    stays = np.ones(len(matrix), bool)
    both = min(len(rows), len(top))
    stays[rows[:both]] = top[:both]
    stays[rows[both:]] = rng.random(len(rows) - both) < keep.mean()
    return replace(code.classic, matrix=matrix[stays])


def edge_drop(code: DrawingCode, rng: Generator, strength: float) -> DrawingCode:
    """Up to the share ``strength`` of the edges left out, of the entity graph and of the class graph."""
    share = strength * rng.random()
    graph = code.entity_graph
    stays = rng.random(graph.edges.shape[1]) >= share
    upper = np.triu(rng.random(code.class_graph.successor.shape) >= share, 1)
    both = (upper | upper.T).astype(np.uint8)
    classes = replace(
        code.class_graph, successor=code.class_graph.successor * both, overlap=code.class_graph.overlap * both
    )
    return _with_graph(
        replace(code, class_graph=classes),
        graph.place,
        graph.edges[:, stays],
        graph.relation[stays],
        graph.features[stays],
    )


def edge_add(code: DrawingCode, rng: Generator, strength: float) -> DrawingCode:
    """Edges NEAR between nodes by chance, up to the share ``strength`` of all edges; their features are true."""
    graph = code.entity_graph
    n = len(graph.place)
    number = int(graph.edges.shape[1] * strength * rng.random())
    if n < 2 or not number:
        return code
    drawn = np.sort(rng.integers(n, size=(2, number)), axis=0)
    known = np.sort(graph.edges[:, graph.relation != Relation.SUCCESSOR].astype(np.int64), axis=0)
    key = np.setdiff1d(drawn[0, drawn[0] < drawn[1]] * n + drawn[1, drawn[0] < drawn[1]], known[0] * n + known[1])
    first, second = key // n, key % n
    return _with_graph(
        code,
        graph.place,
        np.concatenate([graph.edges, np.stack([first, second])], axis=1),
        np.concatenate([graph.relation, np.full(len(key), Relation.NEAR, np.uint8)]),
        np.concatenate([graph.features, _edge_features(code, graph.place, first, second)]),
    )


def parameter_jitter(code: DrawingCode, rng: Generator, strength: float) -> DrawingCode:
    """Numbers of both matrices moved by a normal amount, σ = ``strength`` of their range; no flags, counts, classes."""
    matrix, cls, values = code.classic.matrix, code.rich.cls, code.rich.values
    moved = np.clip(np.round(matrix + rng.normal(0.0, strength * (BINS - 1), matrix.shape)), 0, BINS - 1)
    matrix = np.where(CLASSIC_CONTINUOUS & (matrix != UNUSED), moved, matrix).astype(np.int16)
    offset = rng.standard_normal(values.shape, np.float32) * (strength * (RICH_HIGH - RICH_LOW) * CONTINUOUS)[cls]
    return replace(
        code,
        classic=replace(code.classic, matrix=matrix),
        rich=replace(code.rich, values=clip(cls, values + offset)),
    )


def feature_mask(code: DrawingCode, rng: Generator, strength: float) -> DrawingCode:
    """Each column of the matrices absent with the probability ``strength``; never the class."""
    matrix, values = code.classic.matrix.copy(), code.rich.values.copy()
    matrix[:, 1 + np.flatnonzero(rng.random(N_CLASSIC) < strength)] = UNUSED
    values[:, rng.random(N_RICH) < strength] = np.nan
    classes = code.class_graph.matrix.copy()
    classes[:, rng.random(classes.shape[1]) < strength] = UNUSED
    return replace(
        code,
        classic=replace(code.classic, matrix=matrix),
        rich=replace(code.rich, values=values),
        class_graph=replace(code.class_graph, matrix=classes),
    )


def position_mask(code: DrawingCode, rng: Generator, strength: float) -> DrawingCode:
    """Places of up to the share ``strength`` of the nodes absent: in the matrices and in the entity graph."""
    share = strength * rng.random()
    hidden = rng.random((len(code.rich), 1)) < share
    matrix = code.classic.matrix
    rows = rng.random((len(matrix), 1)) < share
    return replace(
        code,
        classic=replace(code.classic, matrix=np.where(rows & CLASSIC_PLACES, np.int16(UNUSED), matrix)),
        rich=replace(code.rich, values=np.where(hidden & PLACES[code.rich.cls], np.float32(np.nan), code.rich.values)),
        entity_graph=replace(code.entity_graph, place=np.where(hidden, np.float32(np.nan), code.entity_graph.place)),
    )


# --- all kinds -------------------------------------------------------------------------------------------------------

DrawingKind = Callable[[Drawing, Generator, float], Drawing]
CodeKind = Callable[[DrawingCode, Generator, float], DrawingCode]

# name -> (function, what it does and what its strength is), in the order in which a view applies them.
KINDS: dict[str, tuple[DrawingKind, str]] = {
    "unblock": (unblock_some, "blocks exploded; probability"),
    "sheet": (sheet, "border and title block added or removed; probability"),
    "drop_layer": (drop_layer, "one layer off; probability"),
    "drop_annotation": (drop_annotation, "texts, dimensions, hatches, leaders off; probability"),
    "untext": (untext, "all texts off; probability"),
    "translate": (translate, "words in another language; probability"),
    "edit": (edit, "a few entities moved, resized, removed, added; largest share"),
    "drop": (drop, "entities left out; largest share"),
    "drop_run": (drop_run, "a stretch of entities left out; largest share"),
    "crop": (crop, "a window of the drawing; largest share cut off an axis"),
    "explode": (explode_some, "polylines as lines and arcs; probability"),
    "merge": (merge_all, "lines that continue each other as one; probability"),
    "join": (join_some, "lines and arcs that meet as polylines; probability"),
    "split": (split_some, "lines cut in two; largest share"),
    "reverse": (reverse_some, "lines, polylines, splines from the other end; largest share"),
    "duplicate": (duplicate, "entities twice; largest share"),
    "noise": (noise, "small lines and circles added; largest share"),
    "block": (block_some, "a stretch of entities as a block; probability"),
    "by_layer": (by_layer, "order by layer; probability"),
    "by_place": (by_place, "order along a Z-order curve; probability"),
    "swap": (swap, "neighbours in drawing order swapped; largest share of the pairs"),
    "jitter": (jitter, "places moved; largest σ as a share of the frame"),
    "units": (units, "millimetres as inches or back; probability"),
    "scale": (_moved("scale"), "another size; factor at most 1 + strength, at least its inverse"),
    "shift": (_moved("shift"), "another place; largest share of the frame"),
    "tilt": (_moved("tilt"), "turned by up to 5°; probability"),
    "rotate": (_moved("rotate"), "turned by a multiple of 90°, where `Views.rotation` allows it; probability"),
    "flip": (_moved("flip"), "mirrored, where `Views.mirror` allows it; probability"),
}
CODE_KINDS: dict[str, tuple[CodeKind, str]] = {
    "node_drop": (node_drop, "nodes left out of all codes; largest share"),
    "edge_drop": (edge_drop, "edges left out; largest share"),
    "edge_add": (edge_add, "edges added; largest share"),
    "parameter_jitter": (parameter_jitter, "numbers of the matrices moved; σ as a share of their range"),
    "feature_mask": (feature_mask, "columns absent; probability of a column"),
    "position_mask": (position_mask, "places absent; largest share"),
}
LADDER = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Views:
    """How views are made. One strength a kind, see `KINDS` and `CODE_KINDS`; 0 = off.

    A mirrored or turned part may be a different part, and search turns queries itself (`encoder.Switches`): both are
    off unless allowed.
    """

    views: int = 2  # 2: both at full strength; 4: at a quarter, half, three quarters and all of it
    strength: float = 1.0  # multiplies all strengths
    mirror: bool = False
    rotation: bool = False
    unblock: float = 0.3
    sheet: float = 0.2
    drop_layer: float = 0.2
    drop_annotation: float = 0.3
    untext: float = 0.1
    translate: float = 0.1
    edit: float = 0.02
    drop: float = 0.3
    drop_run: float = 0.2
    crop: float = 0.2
    explode: float = 0.3
    merge: float = 0.1
    join: float = 0.3
    split: float = 0.2
    reverse: float = 0.5
    duplicate: float = 0.05
    noise: float = 0.03
    block: float = 0.2
    by_layer: float = 0.1
    by_place: float = 0.2
    swap: float = 0.1
    jitter: float = 0.002
    units: float = 0.1
    scale: float = 0.4
    shift: float = 0.5
    tilt: float = 0.2
    rotate: float = 0.5
    flip: float = 0.3
    node_drop: float = 0.1
    edge_drop: float = 0.2
    edge_add: float = 0.05
    parameter_jitter: float = 0.005
    feature_mask: float = 0.1
    position_mask: float = 0.1

    def __post_init__(self) -> None:
        if self.views not in (2, 4):
            raise DeepDXFError(f"views must be 2 or 4, not {self.views}")
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                raise DeepDXFError(f"the strength of {field.name} must be 0 or more, not {value}")

    @property
    def rungs(self) -> tuple[float, ...]:
        """Share of the strength that each view has."""
        return LADDER if self.views == 4 else (1.0, 1.0)

    def drawings(self, drawing: Drawing, rng: Generator) -> list[Drawing]:
        """Views of a drawing, one a rung. The drawing itself is left as it is, and is the view where nothing is on."""
        return [self._drawing(drawing, rng, rung) for rung in self.rungs]

    def _drawing(self, drawing: Drawing, rng: Generator, rung: float) -> Drawing:
        """One view; all affine maps are one, applied at the end."""
        matrix, unit, moved, original = np.eye(3), None, False, drawing
        for name, (kind, _) in KINDS.items():
            strength = self._strength(name, rung)
            if not strength:
                continue
            if name in MAPS:
                matrix = _after(MAPS[name](original, rng, strength), matrix)  # its frame is worked out once
                moved = True
            elif name == "units":
                unit = _other_unit(drawing, rng, strength)
            else:
                drawing = kind(drawing, rng, strength)
        if unit is not None:
            matrix = _after(_in_unit(drawing, unit), matrix)
        if moved or unit is not None:
            drawing = replace(transform(drawing, matrix[:2]), unit_mm=unit or drawing.unit_mm)
        return drawing

    def codes(self, code: DrawingCode, rng: Generator, rung: float = 1.0) -> DrawingCode:
        """One view of a code, at the share ``rung`` of the strength; the code itself is left as it is."""
        for name, (kind, _) in CODE_KINDS.items():
            if strength := self._strength(name, rung):
                code = kind(code, rng, strength)
        return code

    def _strength(self, name: str, rung: float) -> float:
        if (name == "flip" and not self.mirror) or (name == "rotate" and not self.rotation):
            return 0.0
        return float(getattr(self, name)) * self.strength * rung


OFF = dict.fromkeys((*KINDS, *CODE_KINDS), 0.0)  # Views(**OFF | {"jitter": 0.01}): one kind alone
