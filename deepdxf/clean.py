"""Dirt in a drawing: what the pen draws twice or not at all, so that neither counts. The drawing without it is `clean`.

    double      an entity that draws the same as an earlier one: the same edges, curve or text in the same place, from
                either end, on any layer, also a line over a polyline of one edge
    covered     a line that lies within a longer one, or within a straight edge of a polyline, of the same layer
    empty       an entity of no length or without characters; points are none of these
    repeated    a vertex of a polyline or leader in the place of the one that follows
    straight    a vertex of a polyline where nothing bends
    continued   a line that goes straight on where another of its layer ends and no third begins, or before it ends

Places are the same when they fall into one cell of a thousand millionth of the frame. The borders between cells lie where the
drawing has no numbers (`fingerprint.border`), so that nothing changes when it is moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepdxf.drawing import BoolArray, Drawing, EntityClass, FloatArray, IntArray, handle_text, is_any
from deepdxf.fingerprint import border, mixed
from deepdxf.geometry import TEXTS, Shapes, edges, once

C = EntityClass
CELLS = 1e9  # along the longer side of the frame
BENT = 1e-7  # tangent of the angle from which polylines bend
TURN = 1e-5  # radians, and shares of the frame, by which lines on one straight line may miss it
DEGREE_CELLS = 1e4  # of an angle, per degree
KINDS = ("double", "covered", "empty", "repeated", "straight", "continued")
FAR = 1e12  # cells: strays beyond are all in the last

EDGED = (C.LINE, C.LWPOLYLINE, C.LEADER, C.SOLID, C.HATCH)
CHAINED = (C.LWPOLYLINE, C.LEADER)  # whose repeated vertices go
# Scalars that tell entities with the same points apart, by what they are measured in.
LENGTHS = {C.TEXT: ("height",), C.MTEXT: ("height", "char_height"), C.ARC: ("radius",), C.CIRCLE: ("radius",)}
ANGLES = {
    C.TEXT: ("rotation",),
    C.MTEXT: ("rotation",),
    C.ARC: ("start", "end"),
    C.HATCH: ("pattern_angle",),
    C.DIMENSION: ("rotation",),
}
PLAIN = {
    C.TEXT: ("halign", "valign"),
    C.MTEXT: ("halign", "valign"),
    C.SPLINE: ("degree",),
    C.HATCH: ("solid", "pattern_scale"),
    C.DIMENSION: ("kind", "measurement"),
    C.SOLID: ("filled",),
}


@dataclass(frozen=True)
class Dirt:
    """What `find` found, rows and vertices ascending."""

    double: IntArray  # (d, 2) rows, and the row that each repeats
    covered: IntArray  # (c, 2) rows of lines, and the row that each lies within
    empty: IntArray  # (e,) rows
    repeated: IntArray  # (r,) numbers of vertices
    straight: IntArray  # (s,) numbers of vertices
    continued: IntArray  # (k, 2) rows of lines, and the first line of the chain that each continues

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind, by name; kinds that do not occur are left out."""
        return {kind: len(getattr(self, kind)) for kind in KINDS if len(getattr(self, kind))}

    @property
    def rows(self) -> IntArray:
        """Rows that draw nothing of their own, ascending."""
        return np.sort(np.concatenate([self.double[:, 0], self.covered[:, 0], self.empty]))


@once
def find(drawing: Drawing) -> Dirt:
    """The dirt of a drawing. O(n log n)."""
    grid = _Grid(drawing)
    empty = grid.empty()
    rest = drawing.visible & ~empty
    double = grid.doubles(rest)
    rest[double[:, 0]] = False
    row, runs = grid.runs(rest)
    is_line = drawing.cls[row] == C.LINE
    covered = runs.covered(np.ones(len(row), bool), row, is_line.astype(np.int64))
    covered = _by_row(row[covered[is_line[covered[:, 0]]]])
    rest[covered[:, 0]] = False
    meeting, low = grid.meeting(rest), runs.low
    order, chain = runs.chains(is_line & rest[row], meeting[np.where(low, *grid.ends)] == 2)
    first = np.full(len(order), len(drawing))
    np.minimum.at(first, chain, row[order])
    continued = _by_row(np.column_stack([row[order], first[chain]]))
    continued = continued[continued[:, 0] != continued[:, 1]]
    owner = grid.shapes.owner
    repeated = grid.no_length & (is_any(drawing.cls, *CHAINED) & rest)[owner]
    straight = grid.straight & rest[owner] & (meeting == 2) & ~repeated
    return Dirt(double, covered, np.flatnonzero(empty), np.flatnonzero(repeated), np.flatnonzero(straight), continued)


def _by_row(pairs: IntArray) -> IntArray:
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


def clean(drawing: Drawing) -> Drawing:
    """The drawing without what it draws twice or not at all, and with lines in pieces as one; itself where it is clean.

    Lines that continue each other become one in the place of the first. Blocks of which nothing is left go as a whole.
    A drawing of which nothing would be left stays as it is.
    """
    return without(drawing, find(drawing))


def without(drawing: Drawing, dirt: Dirt) -> Drawing:
    """The drawing without this dirt."""
    gone = np.zeros(len(drawing), bool)
    gone[dirt.rows] = True
    if gone[drawing.visible].all():
        return drawing  # nothing else is in it
    if len(dirt.continued):
        drawing = _joined(drawing, dirt.continued)
        gone[dirt.continued[:, 0]] = True
    if gone.any():
        gone |= _emptied(drawing, gone)
    if len(dirt.repeated) or len(dirt.straight):
        kept = np.ones(len(drawing.vertices), bool)
        kept[dirt.repeated] = kept[dirt.straight] = False
        before = np.concatenate([[0], np.cumsum(kept)])
        drawing = replace(
            drawing,
            vertices=drawing.vertices[kept],
            vertex_path=drawing.vertex_path[kept],
            vertex_start=before[drawing.vertex_start],
        )
    return drawing.select(~gone)


def _joined(drawing: Drawing, continued: IntArray) -> Drawing:
    """The drawing with the first line of every chain as long as the chain; the others are still there."""
    heads = np.unique(continued[:, 1])
    row = np.concatenate([heads, continued[:, 0]])
    head = np.concatenate([heads, continued[:, 1]])
    start = drawing.vertex_start
    point = np.concatenate([start[row], start[row] + 1])
    head = np.concatenate([head, head])
    direction = drawing.vertices[start[head] + 1, :2] - drawing.vertices[start[head], :2]
    order = np.lexsort(((drawing.vertices[point, :2] * direction).sum(axis=1), head))
    first = np.append(True, np.diff(head[order]) != 0)
    last = np.append(first[1:], True)
    vertices, box = drawing.vertices.copy(), drawing.box.copy()
    p, q = drawing.vertices[point[order[first]], :2], drawing.vertices[point[order[last]], :2]
    vertices[start[heads], :2], vertices[start[heads] + 1, :2] = p, q
    box[heads] = np.hstack([np.minimum(p, q), np.maximum(p, q)])
    return replace(drawing, vertices=vertices, box=box)


def places(drawing: Drawing, dirt: Dirt) -> list[dict[str, Any]]:
    """One row a finding: kind, class, handle, layer, block, x, y, and the handle of what is repeated; by row."""
    owner = Shapes.of(drawing).owner
    found = [
        (int(row), kind, int(of)) for kind in ("double", "covered", "continued") for row, of in getattr(dirt, kind)
    ]
    found += [(row, "empty", -1) for row in dirt.empty.tolist()]
    rows = [(*item, *((drawing.box[item[0], :2] + drawing.box[item[0], 2:]) / 2).tolist()) for item in found]
    for kind in ("repeated", "straight"):
        vertices = getattr(dirt, kind).tolist()
        rows += [(int(owner[v]), kind, -1, *drawing.vertices[v, :2].tolist()) for v in vertices]
    made = []
    for row, kind, of, x, y in sorted(rows):
        parent = int(drawing.parent[row])
        made.append(
            {
                "kind": kind,
                "class": C(int(drawing.cls[row])).name,
                "handle": handle_text(drawing.handle[row]),
                "layer": drawing.layers[drawing.layer[row]],
                "block": drawing.blocks[drawing.block_index[parent]] if parent >= 0 else "",
                "x": round(x, 6) + 0.0,
                "y": round(y, 6) + 0.0,
                "of": handle_text(drawing.handle[of]) if of >= 0 else "",
            }
        )
    return made


def _emptied(drawing: Drawing, gone: BoolArray) -> BoolArray:
    """(n,) INSERT rows that had content of which nothing is left."""
    left = np.zeros(len(drawing), bool)
    had = np.zeros(len(drawing), bool)
    left[drawing.visible & ~gone] = True
    for level in range(int(drawing.depth.max(initial=0)), 0, -1):
        rows = np.flatnonzero(drawing.depth == level)
        had[drawing.parent[rows]] = True
        left[drawing.parent[rows[left[rows]]]] = True
    return had & ~left


class _Grid:
    """The numbers of a drawing in cells."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing, self.shapes = drawing, Shapes.of(drawing)
        frame = drawing.frame
        self.centre = (frame[:2] + frame[2:]) / 2.0
        self.side = max(float((frame[2:] - frame[:2]).max()), 1e-9)
        self.per_unit = CELLS / self.side
        self.place = cells((drawing.vertices[:, :2] - self.centre) * self.per_unit)
        first, second, self.edge_row, self.bulge = edges(self.shapes)
        self.first, self.second = first, second
        self.same = (self.place[first] == self.place[second]).all(axis=1)  # edges of no length

        self.point = mixed(mixed(self.place[:, 0].view(np.uint64)) + self.place[:, 1].view(np.uint64))

    @property
    def ends(self) -> tuple[IntArray, IntArray]:
        """Vertices from and to of the lines that `runs` has returned."""
        return self.first[self.picked], self.second[self.picked]

    def meeting(self, rest: BoolArray) -> IntArray:
        """(v,) how many edges of the rows ``rest`` begin or end in the place of each vertex."""
        some = rest[self.edge_row] & ~self.same & is_any(self.drawing.cls[self.edge_row], C.LINE, C.LWPOLYLINE)
        number = np.unique(self.point, return_inverse=True)[1]
        ends = number[np.concatenate([self.first[some], self.second[some]])]
        return np.bincount(ends, minlength=len(number))[number]

    @property
    def straight(self) -> BoolArray:
        """(v,) vertices of polylines between two edges of one direction."""
        found = np.zeros(len(self.drawing.vertices), bool)
        picked = is_any(self.drawing.cls[self.edge_row], C.LWPOLYLINE) & (self.bulge == 0) & ~self.same
        into = np.full(len(found), -1)
        into[self.second[picked]] = np.flatnonzero(picked)
        out = np.flatnonzero(picked)[into[self.first[picked]] >= 0]
        before = into[self.first[out]]
        vertices = self.drawing.vertices[:, :2]
        a, b = (vertices[self.second[some]] - vertices[self.first[some]] for some in (before, out))
        cross, dot = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1)
        found[self.first[out[(dot > 0) & (np.abs(cross) <= BENT * dot)]]] = True
        return found

    @property
    def no_length(self) -> BoolArray:
        """(v,) vertices whose edge to the next has no length."""
        found = np.zeros(len(self.drawing.vertices), bool)
        found[self.first[self.same]] = True
        return found

    def empty(self) -> BoolArray:
        """(n,) rows that draw nothing."""
        drawing = self.drawing
        extent = (drawing.box[:, 2:] - drawing.box[:, :2]).max(axis=1, initial=0.0)
        found = np.asarray(is_any(drawing.cls, *EDGED, C.CIRCLE, C.ARC, C.SPLINE) & (extent * self.per_unit < 1.0))
        points = [number for number, name in enumerate(drawing.dxftypes) if name == "POINT"]
        found &= ~np.isin(drawing.dxftype, points)
        blank = np.array([not text.strip() for text in drawing.texts] + [False])
        return np.asarray(found | (is_any(drawing.cls, *TEXTS) & blank[drawing.text_index]))

    def doubles(self, rest: BoolArray) -> IntArray:
        """(d, 2) rows of ``rest`` that draw the same as an earlier one, and that one."""
        rows = np.flatnonzero(rest)
        number = self.numbers()[rows]
        order = np.argsort(number, kind="stable")
        ordered = number[order]
        new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        first = order[np.flatnonzero(new)][np.cumsum(new) - 1]
        found = np.column_stack([rows[order[~new]], rows[first[~new]]])
        return _by_row(found)

    def runs(self, rest: BoolArray) -> tuple[IntArray, Runs]:
        """The straight edges of lines and polylines among the rows ``rest``: row (m,), and themselves by layer."""
        row = self.edge_row
        straight = rest[row] & is_any(self.drawing.cls[row], C.LINE, C.LWPOLYLINE) & (self.bulge == 0) & ~self.same
        p, q = (self.drawing.vertices[ends[straight], :2] - self.centre for ends in (self.first, self.second))
        row, self.picked = row[straight], straight
        return row, Runs(p, q, self.drawing.layer[row].astype(np.int64), side=self.side, step=self.side / CELLS)

    def numbers(self) -> np.ndarray:
        """(n,) a number a row: equal for rows that draw the same."""
        drawing, shapes = self.drawing, self.shapes
        cls = drawing.cls.astype(np.uint64)
        cls[drawing.cls == C.LWPOLYLINE] = C.LINE
        number = mixed(cls)  # of which the numbers of edges, points and scalars are added
        point = self.point
        # edges, from either end: the bulge as seen from the end with the smaller number
        real = ~self.same | (self.bulge != 0)
        p, q, bulge = point[self.first[real]], point[self.second[real]], self.bulge[real]
        turned = p > q
        bent = np.round(np.where(turned, -bulge, bulge) * DEGREE_CELLS).astype(np.int64).view(np.uint64)
        np.add.at(
            number, self.edge_row[real], mixed(mixed(np.where(turned, q, p)) + np.where(turned, p, q)) + mixed(bent)
        )
        # control polygons likewise, with weights
        owner = shapes.owner
        inner = np.flatnonzero(shapes.cls[owner] == C.SPLINE)
        weight = np.round(shapes.vertices[:, 2] * DEGREE_CELLS).astype(np.int64).view(np.uint64)
        ends = mixed(point + mixed(weight))
        inner = inner[:-1][owner[inner[1:]] == owner[inner[:-1]]] if len(inner) else inner
        p, q = ends[inner], ends[inner + 1]
        np.add.at(number, owner[inner], mixed(mixed(np.minimum(p, q)) + np.maximum(p, q)))
        # points by their position
        other = np.flatnonzero(~is_any(shapes.cls, *EDGED, C.SPLINE)[owner])
        position = (other - shapes.vertex_start[owner[other]]).astype(np.uint64)
        np.add.at(number, owner[other], mixed(point[other] + mixed(position)))

        for table, scale in ((LENGTHS, self.per_unit), (ANGLES, DEGREE_CELLS), (PLAIN, CELLS)):
            for kind, names in table.items():
                rows = drawing.rows(kind)
                for name in names if len(rows) else ():
                    values = np.nan_to_num(drawing.scalar(kind, name)) * scale
                    cell = cells(values[:, None])[:, 0]
                    if table is ANGLES:
                        cell %= int(360 * DEGREE_CELLS)
                    number[rows] = mixed(number[rows] + mixed(cell.view(np.uint64)))
        known: dict[str, int] = {}
        text = np.array([known.setdefault(text.strip(), len(known)) for text in drawing.texts] + [-1], np.int64)
        rows = np.flatnonzero(drawing.text_index >= 0)
        number[rows] = mixed(number[rows] + mixed(text[drawing.text_index[rows]].view(np.uint64)))
        return number


def cells(values: FloatArray) -> IntArray:
    """(m, c) numbers as cells of one each; strays beyond `FAR` lie in the last."""
    values = np.clip(np.nan_to_num(values), -FAR, FAR)
    return np.column_stack([np.floor(column + border(column)).astype(np.int64) for column in values.T])


class Runs:
    """Straight lines sorted along the straight line that each lies on. All arrays have one entry a line, (m, …)."""

    def __init__(self, p: FloatArray, q: FloatArray, group: IntArray, *, side: float, step: float) -> None:
        """Lines from ``p`` to ``q`` (m, 2), neither in the same place; only lines of one ``group`` (m,) are compared.

        ``side``: length of the drawing; ends within one cell of ``step`` are the same.
        """
        angle = np.arctan2(q[:, 1] - p[:, 1], q[:, 0] - p[:, 0]) % np.pi
        angle = np.where(angle > np.pi - TURN / 2, angle - np.pi, angle)
        along = np.column_stack([np.cos(angle), np.sin(angle)])
        middle = (p + q) / 2.0
        offset = (middle[:, 1] * along[:, 0] - middle[:, 0] * along[:, 1]) / side
        self.on = np.hstack([cells(np.column_stack([angle, offset]) / TURN), group[:, None]])
        ends = np.column_stack([(p * along).sum(axis=1), (q * along).sum(axis=1)]) / step
        both = cells(ends.reshape(-1, 1)).reshape(-1, 2)
        self.start, self.end = both.min(axis=1), both.max(axis=1)  # cells along the line
        self.low = both[:, 0] <= both[:, 1]  # whether ``p`` is where the line starts

    def sweep(self, some: BoolArray, *ties: IntArray) -> tuple[IntArray, IntArray, BoolArray]:
        """The lines ``some`` in order; of each, the earlier one that reaches furthest, and whether there is one.

        ``ties`` (m,) order lines that cover the same, the last first; else the longer come first.
        """
        picked = np.flatnonzero(some)
        keys = (*ties, -self.end, self.start, *self.on.T)
        order = picked[np.lexsort([key[picked] for key in keys])]
        if len(order) < 2:
            return order, order, np.zeros(len(order), bool)
        on = self.on[order]
        new = np.append(True, (on[1:] != on[:-1]).any(axis=1))
        # the furthest so far: ranks of ends, made larger from line to line, so that one running maximum serves all
        by_end = np.lexsort((-np.arange(len(order)), self.end[order]))
        rank = np.empty(len(order), np.int64)
        rank[by_end] = np.arange(len(order))
        best = np.maximum.accumulate(rank + (np.cumsum(new) - 1) * len(order)) % len(order)
        return order, order[by_end[np.append(0, best[:-1])]], ~new

    def covered(self, some: BoolArray, *ties: IntArray) -> IntArray:
        """(c, 2) lines that lie within another of ``some``, and that one."""
        order, furthest, same = self.sweep(some, *ties)
        within = same & (self.end[furthest] >= self.end[order])
        return np.column_stack([order[within], furthest[within]])

    def chains(self, some: BoolArray, joint: BoolArray | bool = True) -> tuple[IntArray, IntArray]:
        """The lines ``some`` in order, and the number of the chain of each: of lines that overlap, or that meet where a
        line starts that has a ``joint`` (m,).
        """
        order, furthest, same = self.sweep(some)
        reach, start = self.end[furthest], self.start[order]
        goes_on = (start < reach) | ((start == reach) & np.broadcast_to(joint, len(self.start))[order])
        return order, np.cumsum(~(same & goes_on)) - 1
