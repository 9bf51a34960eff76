"""What both readers fill: rows of entities by owner (a space or a block), folded into the twelve classes.

The feeders (`reader_cadkit`, `reader_ezdxf`) only translate; folding, checks, block expansion, order and boxes happen
here, once, so that both readers give the same drawing. `Table.drawing` expands blocks level by level, by array
operations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deepdxf.drawing import (
    N_SCALARS,
    SCALARS,
    BoolArray,
    Drawing,
    EntityClass,
    FloatArray,
    IntArray,
    Problem,
    is_any,
)
from deepdxf.geometry import (
    ANGULAR,
    ARC_SPANS,
    BULGE_CHORDS,
    BULGED,
    ROUND,
    Shapes,
    boxes,
    conic_arc,
    spline_samples,
    transform_shapes,
)
from deepdxf.text import decode_characters, dimension_value, plain_mtext, plain_text

C = EntityClass
NAN = math.nan
Point = Sequence[float]  # x, y and perhaps z, world coordinates
Head = tuple[int, str, int, str]  # handle (0 = none), layer, colour, DXF type
ROW_FIELDS = (
    "cls", "handle", "layer", "color", "dxftype", "text_index", "block_index", "scalar_count", "vertex_count",
    "knot_count",
)  # fmt: skip
MAX_HANDLE = 2**63 - 1  # a larger one is damage, and counts as none
HUGE = 1e100  # numbers beyond are damage: squares of larger ones would soon be infinite
EDGE_ON = 1e-6  # area that is left of a unit square in a plane seen from its edge
FLAT = 1e-9  # |z| of a normal that still counts as straight up or straight down

EXTERNAL = "external drawing {!r} is not part of the file"  # the message about a reference that is not followed

# What a damaged entity may raise in a feeder.
BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError)

MAX_DEGREE = 15  # of splines; CAD programs stop far below, and the cost grows with the square

# Mean width of a character and distance of lines, in text heights; widths of fonts are not in the file.
CHARACTER_WIDTH, LINE_PITCH = 0.6, 5.0 / 3.0


@dataclass(frozen=True)
class Limits:
    """What one file may cost. A drawing that meets a limit is kept up to it and ends with the status "too large"."""

    file_bytes: int = 1 << 28  # after decompression
    tags: int = 8_000_000  # pairs of lines of a DXF; they and the objects bound what reading a damaged file can cost
    objects: int = (
        1_000_000  # places in a DXF where an entity, a vertex, an entry of a table … begins; objects of a DWG
    )
    entities: int = 300_000  # rows after block expansion
    vertices: int = 4_000_000  # vertices after block expansion
    depth: int = 32  # nesting of blocks


class Table:
    """Rows as Python lists while a feeder fills them; `drawing` turns them into a `Drawing`.

    The lists are flat: objects that hold others would keep the garbage collector busy.
    """

    def __init__(self) -> None:
        self.count = 0  # of rows
        self.rows: list[int] = []  # ROW_FIELDS of one row after the other
        self.scalars: list[float] = []  # those that each row has
        self.vertices: list[float] = []
        self.vertex_path: list[int] | None = None  # made when the first row of several paths comes
        self.knots: list[float] = []
        self.normals: dict[int, Point] = {}
        # numbers of the names, given at their first use
        self.layers: dict[str, int] = {}
        self.dxftypes: dict[str, int] = {}
        self.blocks: dict[str, int] = {}
        self.texts: list[str] = []
        self.fields: list[tuple[str, str]] = []
        self.owners: dict[str | None, tuple[int, int]] = {}  # block name (None = the space) -> rows
        self.base_points: dict[str, Point] = {}
        self.xrefs: dict[int, str] = {}  # number of a block that stands for another file -> its path as stated
        self.ignored: Counter[str] = Counter()
        self.problems: Counter[tuple[str, str]] = Counter()

    # --- filling ---

    def problem(self, code: str, message: str, count: int = 1) -> None:
        """Count a finding; equal code and message make one `Problem`."""
        self.problems[code, message] += count

    def ignore(self, dxftype: str) -> None:
        """Count an entity that is left out because its type has no place in the codes."""
        self.ignored[dxftype] += 1

    def xref(self, block: str, path: str) -> None:
        """A block that is inserted stands for another file."""
        self.xrefs[self.blocks[block]] = path or block
        self.problem("external-reference", EXTERNAL.format(path or block))

    def broken(self, dxftype: str, error: Exception) -> None:
        """Count an entity that breaks its feeder; the others go on."""
        self.problem("broken-entity", f"{dxftype} that cannot be interpreted left out ({type(error).__name__})")

    def begin(self, owner: str | None, base_point: Point = (0.0, 0.0)) -> None:
        """The rows that follow belong to this block, or to the space (None)."""
        self.owners[owner] = (self.count, self.count)
        if owner is not None:
            self.base_points[owner] = base_point

    def end(self, owner: str | None) -> None:
        """The owner's rows are complete."""
        self.owners[owner] = (self.owners[owner][0], self.count)

    def row(
        self,
        cls: EntityClass,
        head: Head,
        scalars: tuple[float, ...],
        vertices: Sequence[float],
        *,
        text: str | None = None,
        block: str | None = None,
        normal: Point | None = None,
        knots: Sequence[float] = (),
        paths: Sequence[int] | None = None,
    ) -> None:
        """One entity. ``vertices`` is flat: x, y, bulge or weight, x, y, …"""
        handle, layer, color, dxftype = head
        text_index = block_index = -1
        if text is not None:
            text_index = len(self.texts)
            self.texts.append(text)
        if block is not None:
            block_index = self.blocks.setdefault(block, len(self.blocks))
        if normal is not None and normal[2] < 1.0 - FLAT:
            self.normals[self.count] = normal
        count = len(vertices) // 3
        if paths is not None:
            if self.vertex_path is None:
                self.vertex_path = [0] * (len(self.vertices) // 3)
            self.vertex_path += paths
        elif self.vertex_path is not None:
            self.vertex_path += [0] * count
        if handle > MAX_HANDLE:
            handle = 0
        layers, dxftypes = self.layers, self.dxftypes
        self.rows += (
            cls,
            handle,
            layers.setdefault(layer, len(layers)),
            color,
            dxftypes.setdefault(dxftype, len(dxftypes)),
            text_index,
            block_index,
            len(scalars),
            count,
            len(knots),
        )
        self.count += 1
        self.scalars += scalars
        self.vertices += vertices
        self.knots += knots

    # --- classes, and what folds into them ---

    def line(self, head: Head, x0: float, y0: float, x1: float, y1: float) -> None:
        """LINE and 3DLINE."""
        self.row(C.LINE, head, (), (x0, y0, 0.0, x1, y1, 0.0))

    def circle(self, head: Head, centre: Point, radius: float, normal: Point | None = None) -> None:
        """CIRCLE; a POINT is a circle of radius 0."""
        self.row(C.CIRCLE, head, (abs(radius),), (centre[0], centre[1], 0.0), normal=normal)

    def arc(
        self, head: Head, centre: Point, radius: float, start: float, end: float, normal: Point | None = None
    ) -> None:
        """ARC; angles in degrees."""
        self.row(C.ARC, head, (abs(radius), start % 360.0, end % 360.0), (centre[0], centre[1], 0.0), normal=normal)

    def polyline(self, head: Head, vertices: Sequence[float], closed: bool, normal: Point | None = None) -> None:
        """LWPOLYLINE, POLYLINE and MLINE (its spine); ``vertices`` flat x, y, bulge."""
        if vertices:
            self.row(C.LWPOLYLINE, head, (float(closed),), vertices, normal=normal)
        else:
            self.problem("empty-entity", f"{head[3]} without vertices left out")

    def faces(self, head: Head, points: Sequence[Point], faces: Iterable[Sequence[int]]) -> None:
        """Meshes and polyfaces: one closed LWPOLYLINE with a path a face."""
        vertices: list[float] = []
        paths: list[int] = []
        number = 0
        for face in faces:
            corners = [points[index] for index in face if 0 <= index < len(points)]
            if len(corners) > 2:
                vertices += [value for point in corners for value in (point[0], point[1], 0.0)]
                paths += [number] * len(corners)
                number += 1
        if vertices:
            self.row(C.LWPOLYLINE, head, (1.0,), vertices, paths=paths)
        else:
            self.problem("empty-entity", f"{head[3]} without faces left out")

    def solid(self, head: Head, points: Sequence[Point], filled: bool) -> None:
        """SOLID, TRACE and 3DFACE, corners in order around the area; a repeated last corner is dropped."""
        if len(points) == 4 and xy(points[3]) == xy(points[2]):
            points = points[:3]
        flat = [value for point in points for value in (point[0], point[1], 0.0)]
        self.row(C.SOLID, head, (float(filled),), flat)

    def leader(self, head: Head, points: Sequence[Point], arrowhead: bool, text: str | None = None) -> None:
        """LEADER, and each leader line of a MULTILEADER."""
        if points:
            flat = [value for point in points for value in (point[0], point[1], 0.0)]
            self.row(C.LEADER, head, (float(arrowhead),), flat, text=text)
        else:
            self.problem("empty-entity", f"{head[3]} without vertices left out")

    def text(
        self,
        head: Head,
        anchor: Point,
        height: float,
        rotation: float,
        width_factor: float,
        halign: float,
        valign: float,
        value: str,
        normal: Point | None = None,
    ) -> None:
        """TEXT, ATTRIB, ATTDEF and TOLERANCE; degrees; alignment as fractions of the box."""
        value = plain_text(value)
        width = CHARACTER_WIDTH * height * width_factor * len(value)
        self.row(
            C.TEXT,
            head,
            (height, rotation % 360.0, width, halign, valign),
            (anchor[0], anchor[1], 0.0),
            text=value,
            normal=normal,
        )

    def mtext(
        self,
        head: Head,
        anchor: Point,
        char_height: float,
        rotation: float,
        column_width: float,
        attachment: int,
        value: str,
        normal: Point | None = None,
    ) -> None:
        """MTEXT; ``attachment`` 1 … 9 from top left to bottom right, ``rotation`` in the plane of ``normal``."""
        value = plain_mtext(value)
        lines = value.split("\n")
        width = CHARACTER_WIDTH * char_height * max(map(len, lines))
        count = len(lines)
        if 0 < column_width < width:  # wrapped by the column
            count = sum(max(1, math.ceil(len(line) * CHARACTER_WIDTH * char_height / column_width)) for line in lines)
            width = column_width
        height = char_height * (1.0 + LINE_PITCH * (count - 1))
        row, column = divmod(min(max(attachment, 1), 9) - 1, 3)
        scalars = (height, rotation % 360.0, width, column / 2.0, 1.0 - row / 2.0, char_height, column_width)
        self.row(C.MTEXT, head, scalars, (anchor[0], anchor[1], 0.0), text=value, normal=normal)

    def insert(
        self,
        head: Head,
        block: str,
        position: Point,
        scale: Point = (1.0, 1.0),
        rotation: float = 0.0,
        grid: tuple[int, int, float, float] = (1, 1, 0.0, 0.0),
        normal: Point | None = None,
    ) -> None:
        """INSERT and ACAD_TABLE; degrees; grid = columns, rows, column spacing, row spacing."""
        columns, rows, column_spacing, row_spacing = grid
        scalars = (
            scale[0] or 1.0,
            scale[1] or 1.0,
            rotation % 360.0,
            float(max(columns, 1)),
            float(max(rows, 1)),
            column_spacing,
            row_spacing,
        )
        self.row(C.INSERT, head, scalars, (position[0], position[1], 0.0), block=block, normal=normal)

    def spline(
        self,
        head: Head,
        degree: int,
        control: Sequence[Point],
        knots: Sequence[float],
        weights: Sequence[float],
        closed: bool,
        fit_points: Sequence[Point] = (),
    ) -> None:
        """SPLINE and HELIX. Without control points, the cubic through the fit points; ``fit`` marks it."""
        fitted = not control
        if fitted:
            degree, control, knots, weights = fit_spline(fit_points)
        if len(control) < 2:
            self.problem("empty-entity", f"{head[3]} without control points left out")
            return
        if degree > MAX_DEGREE:
            self.problem("knots-replaced", f"{head[3]} of a degree above {MAX_DEGREE} drawn as one of degree 3")
            degree = min(3, len(control) - 1)
            knots = uniform_knots(len(control), degree)
        degree = min(max(degree, 1), len(control) - 1)
        if not knots_fit(knots, len(control), degree):
            self.problem("knots-replaced", f"{head[3]} whose knots do not fit its control points: uniform knots used")
            knots = uniform_knots(len(control), degree)
        if len(weights) != len(control):
            weights = (1.0,) * len(control)
        flat = [value for point, weight in zip(control, weights, strict=True) for value in (point[0], point[1], weight)]
        self.row(C.SPLINE, head, (float(degree), float(closed), float(fitted)), flat, knots=knots)

    def ellipse(self, head: Head, centre: Point, major: Point, minor: Point, start: float, end: float) -> None:
        """ELLIPSE as the exact rational spline; half axes as vectors, parameters in radians."""
        sweep = (end - start) % (2 * math.pi)
        if sweep < 1e-9:
            sweep = 2 * math.pi
        unit, knots = conic_arc(np.array([start]), np.array([start + sweep]))
        curve = np.array(xy(centre)) + unit[0, :, :1] * np.array(xy(major)) + unit[0, :, 1:2] * np.array(xy(minor))
        flat = np.column_stack([curve, unit[0, :, 2]]).ravel().tolist()
        full = sweep > 2 * math.pi - 1e-9
        self.row(C.SPLINE, head, (2.0, float(full), 0.0), flat, knots=knots[0].tolist())

    def hatch(
        self,
        head: Head,
        loops: Sequence[Sequence[float]],
        solid: bool,
        associative: bool,
        pattern_angle: float,
        pattern_scale: float,
        normal: Point | None = None,
    ) -> None:
        """HATCH and MPOLYGON; every loop flat x, y, bulge (see `HatchLoop`)."""
        loops = [loop for loop in loops if loop]
        vertices = [value for loop in loops for value in loop]
        if not vertices:
            self.problem("empty-entity", f"{head[3]} without boundary left out")
            return
        paths = [number for number, loop in enumerate(loops) for _ in range(len(loop) // 3)]
        scalars = (float(solid), float(associative), float(len(loops)), pattern_angle % 360.0, pattern_scale)
        self.row(C.HATCH, head, scalars, vertices, normal=normal, paths=paths)

    def dimension(
        self, head: Head, kind: int, points: Mapping[int, Point], rotation: float, measurement: float | None, value: str
    ) -> None:
        """DIMENSION, ARC_DIMENSION and LARGE_RADIAL_DIMENSION: one row, never its picture block.

        Args:
            kind: DXF group 70, low bits: 0 linear, 1 aligned, 2 angular, 3 diameter, 4 radius, 5 angular by three
                points, 6 ordinate.
            points: world points by DXF group (10, 11, 13 … 16).
            rotation: direction of a linear dimension, degrees.
            measurement: what the file says was measured (degrees for angles); None = measure the points.
            value: the text of the dimension, formatting included.
        """
        base = points.get(10, (0.0, 0.0))
        ordered = [points.get(role, base) for role in (10, 11, 13, 14, 15, 16)]
        if measurement is None or not 0 <= measurement < HUGE:
            measurement = measure(kind, ordered, rotation)
        text = plain_mtext(value)
        shown, upper, lower = (value if abs(value) < HUGE else NAN for value in dimension_value(text, measurement))
        flat = [coordinate for point in ordered for coordinate in (point[0], point[1], 0.0)]
        self.row(C.DIMENSION, head, (float(kind), rotation % 360.0, measurement, shown, upper, lower), flat, text=text)

    # --- finishing ---

    def drawing(
        self, limits: Limits, unit_mm: float | None, space: str, source: Mapping[str, str], content_size: int
    ) -> Drawing:
        """The drawing of the space: blocks expanded, rows in handle order, rows that are not finite left out."""
        table = Columns.of(self)
        self.drop_not_finite(table)
        self.apply_normals(table)
        rows, parent, depth, matrix = self.expand(table, limits)
        shapes = table.shapes.take(rows)
        layer, color = table.layer[rows], table.color[rows]
        inherit(layer, color, parent, depth, self.layers.get("0", -1))
        if depth.any():
            shapes = transform_shapes(shapes, matrix)
        box = boxes(shapes)
        sound = (np.abs(box) < HUGE).all(axis=1)  # nested scales may blow up what was sound in its block
        if not sound.all():
            self.not_finite(int((~sound).sum()))
        drawing = Drawing(
            handle=table.handle[rows],
            depth=depth.astype(np.uint8),
            parent=parent,
            layer=layer,
            color=color,
            dxftype=table.dxftype[rows],
            text_index=table.text_index[rows],
            block_index=table.block_index[rows],
            box=box,
            layers=tuple(map(decode_characters, self.layers)),
            dxftypes=tuple(self.dxftypes),
            texts=tuple(self.texts),
            blocks=tuple(map(decode_characters, self.blocks)),
            unit_mm=unit_mm,
            space=space,
            format=source["format"],
            version=source["version"],
            reader=source["reader"],
            fields=tuple((decode_characters(tag), plain_text(value)) for tag, value in self.fields),
            problems=tuple(Problem(code, message, count) for (code, message), count in sorted(self.problems.items())),
            ignored=dict(sorted(self.ignored.items())),
            content_size=content_size,
            **shapes.columns(),
        )
        drawing = shapes.of_drawing(drawing)
        return drawing if sound.all() else drawing.select(np.flatnonzero(sound))

    def drop_not_finite(self, table: Columns) -> None:
        """Rows with NaN, infinite or absurd numbers leave their owner, and are counted."""
        shapes = table.shapes
        bad_vertex = ~(np.abs(shapes.vertices) < HUGE).all(axis=1)
        bad = np.zeros(len(shapes.cls), bool)
        bad[shapes.owner[bad_vertex]] = True
        used = np.isfinite(shapes.scalars).sum(axis=1)
        expected = REQUIRED[shapes.cls]
        bad |= (used < expected) | (np.abs(shapes.scalars) >= HUGE).any(axis=1)
        if shapes.knots.size and not np.isfinite(shapes.knots).all():
            knot_owner = np.repeat(np.arange(len(shapes.cls)), np.diff(shapes.knot_start))
            bad |= np.bincount(knot_owner, weights=~np.isfinite(shapes.knots), minlength=len(shapes.cls)) > 0
        if bad.any():
            table.alive &= ~bad
            self.not_finite(int(bad.sum()))
            shapes.vertices[bad[shapes.owner]] = 0.0
            shapes.scalars[bad] = 0.0

    def not_finite(self, count: int) -> None:
        self.problem("not-finite", "entity with a coordinate that is not a finite number left out", count)

    def apply_normals(self, table: Columns) -> None:
        """Planes other than the world's: rows seen from below are mirrored, tilted ones are projected and counted."""
        if not self.normals:
            return
        rows = np.fromiter(self.normals, np.int64)
        normal = np.array([(x, y, z) for x, y, z in self.normals.values()], float)
        normal /= np.maximum(np.linalg.norm(normal, axis=1), 1e-300)[:, None]
        tilted = np.abs(normal[:, 2]) < 1.0 - FLAT
        if tilted.any():
            self.problem("projected", "entity in a tilted plane projected to XY", int(tilted.sum()))
        shapes = table.shapes
        plane = plane_axes(normal)[:, :2]
        bulged = is_any(shapes.cls[rows], *BULGED)
        edge_on = bulged & (np.abs(np.linalg.det(plane)) < EDGE_ON)
        plane[edge_on] = np.eye(2)
        matrix = np.zeros((len(shapes.cls), 2, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0
        matrix[rows, :, :2] = plane
        # Points are world points already. Circles, texts and inserts turn about theirs; bulged edges return to their
        # plane first, so that the map back bends them as it must. Seen edge on, only their chords are left.
        anchored = rows[~bulged]
        anchor = shapes.vertices[shapes.vertex_start[anchored], :2]
        matrix[anchored, :, 2] = anchor - np.einsum("nij,nj->ni", plane[~bulged], anchor)
        back = np.broadcast_to(np.eye(2), (len(shapes.cls), 2, 2)).copy()
        back[rows[bulged]] = np.linalg.inv(plane[bulged])
        owner = shapes.owner
        shapes.vertices[:, :2] = np.einsum("vij,vj->vi", back[owner], shapes.vertices[:, :2])
        shapes.vertices[np.isin(owner, rows[edge_on]), 2] = 0.0
        table.shapes = transform_shapes(shapes, matrix)

    def expand(self, table: Columns, limits: Limits) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Rows of the drawing in order: table row (n,), parent (n,), depth (n,), matrix (n, 2, 3).

        Level by level: all INSERTs of a level become their copies, all copies their blocks' rows, all at once.
        """
        names = list(self.blocks)
        owner = np.full(self.count, -1)  # number of the block that each row belongs to, or of the space, the last
        base_points: list[Point] = [(0.0, 0.0)] * (len(names) + 1)
        known = np.zeros(len(names) + 1, bool)
        for name, (first, last) in self.owners.items():
            number = len(names) if name is None else self.blocks.get(name, -1)
            owner[first:last] = number
            if name is not None and number >= 0:
                known[number] = True
                base_points[number] = xy(self.base_points[name])
        base = np.array(base_points)
        rows = np.flatnonzero(table.alive & (owner >= 0))
        order = rows[np.lexsort((table.handle[rows], owner[rows]))]  # by owner, by handle, as in the file
        bounds = np.searchsorted(owner[order], np.arange(len(names) + 2))
        start = np.column_stack([bounds[:-1], bounds[1:]])
        block_length = start[:, 1] - start[:, 0]

        level_rows = order[start[-1, 0] : start[-1, 1]]
        identity = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        level_matrix = np.broadcast_to(identity, (len(level_rows), 2, 3))
        level_parent = np.full(len(level_rows), -1)
        if len(level_rows) > limits.entities:
            self.too_large(len(level_rows) - limits.entities, limits)
            level_rows, level_matrix = level_rows[: limits.entities], level_matrix[: limits.entities]
            level_parent = level_parent[: limits.entities]
        if not (table.shapes.cls[level_rows] == C.INSERT).any():
            return level_rows, level_parent, np.zeros(len(level_rows), np.int64), level_matrix
        all_rows, all_matrix, all_parent = [level_rows], [level_matrix], [level_parent]
        total, depth = len(level_rows), 0
        counts = np.diff(table.shapes.vertex_start)
        # what a row may grow to under an uneven scale: bulges become chords, arcs splines (see `geometry.bend`)
        bulged = np.bincount(table.shapes.owner, weights=table.shapes.vertices[:, 2] != 0, minlength=len(counts)) > 0
        growth = np.where(bulged & is_any(table.shapes.cls, *BULGED), BULGE_CHORDS, 1)
        growth[is_any(table.shapes.cls, *ROUND)] = 2 * ARC_SPANS + 1
        vertex_cost = counts * growth
        vertices = int(counts[level_rows].sum())
        offset = 0  # number of the first row of the level
        missing: Counter[str] = Counter()
        while True:
            at = np.flatnonzero(table.shapes.cls[level_rows] == C.INSERT)
            block = table.block_index[level_rows[at]]
            for number in block[~known[block]]:
                missing[names[number]] += 1
            at, block = at[known[block] & (block_length[block] > 0)], block[known[block] & (block_length[block] > 0)]
            if depth and len(at):
                inside = inside_itself(
                    np.concatenate(all_rows), np.concatenate(all_parent), offset + at, table.block_index
                )
                if inside.any():
                    self.problem("insert-cycle", "block inside itself not expanded again", int(inside.sum()))
                    at, block = at[~inside], block[~inside]
            if len(at) == 0:
                break
            if depth + 1 > limits.depth:
                self.problem("too-deep", f"block nested deeper than {limits.depth} levels not expanded", len(at))
                break
            scalars = table.shapes.scalars[level_rows[at]]
            copies = scalars[:, 3] * scalars[:, 4]  # as floats, which a damaged array cannot overflow
            vertex_sums = np.concatenate([[0], np.cumsum(vertex_cost[order])])
            block_cost = np.maximum(vertex_sums[start[block, 1]] - vertex_sums[start[block, 0]], 1)
            entities, points = copies * block_length[block], copies * block_cost
            left = limits.entities - total - (np.cumsum(entities) - entities)
            left_points = limits.vertices - vertices - (np.cumsum(points) - points)
            kept = np.clip(np.minimum(left // block_length[block], left_points // block_cost), 0, copies)
            kept[np.cumsum(kept < copies) > 1] = 0  # after the first that does not fit as a whole, none
            if (kept < copies).any():
                self.too_large(int(np.clip((copies - kept).sum(), 0, 1 << 53)), limits, "copy of a block")
                fits = kept > 0
                at, block, scalars, copies = at[fits], block[fits], scalars[fits], kept[fits]
                if len(at) == 0:
                    break
            copies, columns = copies.astype(np.int64), scalars[:, 3].astype(np.int64)
            copy = np.repeat(np.arange(len(at)), copies)
            number = np.arange(len(copy)) - np.repeat(np.cumsum(copies) - copies, copies)
            local = insert_matrix(scalars[copy], table.insertion_point(level_rows[at])[copy], base[block[copy]])
            step = np.column_stack(
                [(number % columns[copy]) * scalars[copy, 5], (number // columns[copy]) * scalars[copy, 6]]
            )
            local[:, :, 2] += turn(step, scalars[copy, 2])
            composed = compose(level_matrix[at[copy]], local)
            index, child_start = gather_ranges_of(start[block[copy]])
            per_copy = np.diff(child_start)
            level_parent = np.repeat(offset + at[copy], per_copy)
            level_matrix = np.repeat(composed, per_copy, axis=0)
            offset, level_rows, depth = total, order[index], depth + 1
            total += len(level_rows)
            vertices += int(vertex_cost[level_rows].sum())
            all_rows.append(level_rows)
            all_matrix.append(level_matrix)
            all_parent.append(level_parent)
        for name, count in missing.items():
            self.problem("missing-block", f"block {name!r} is not in the file", count)
        return depth_first(all_rows, all_parent, all_matrix)

    def too_large(self, count: int, limits: Limits, what: str = "entity") -> None:
        self.problem(
            "too-large",
            f"{what} beyond the limit of {limits.entities} entities or {limits.vertices} vertices left out",
            count,
        )


# Number of scalars that must be finite in a row of each class (dimension measurement and tolerances may be unknown).
REQUIRED = np.array([2 if c == C.DIMENSION else len(SCALARS[c]) for c in C if c != C.EOS])


@dataclass
class Columns:
    """The table as arrays, rows in file order by owner."""

    shapes: Shapes
    handle: IntArray
    layer: np.ndarray
    color: np.ndarray
    dxftype: np.ndarray
    text_index: np.ndarray
    block_index: np.ndarray
    alive: np.ndarray

    @classmethod
    def of(cls, table: Table) -> Columns:
        # `fromiter` takes members of an enumeration for the numbers that they are; `array` asks each what it is
        rows = np.fromiter(table.rows, np.int64, len(table.rows)).reshape(-1, len(ROW_FIELDS))
        column = dict(zip(ROW_FIELDS, np.ascontiguousarray(rows.T), strict=True))
        scalars = np.full((table.count, N_SCALARS), NAN)
        scalars[np.arange(N_SCALARS) < column.pop("scalar_count")[:, None]] = table.scalars
        vertex_start = np.concatenate([[0], np.cumsum(column.pop("vertex_count"))])
        path = (
            np.zeros(vertex_start[-1], np.int32) if table.vertex_path is None else np.array(table.vertex_path, np.int32)
        )
        shapes = Shapes(
            column.pop("cls").astype(np.uint8),
            scalars,
            np.fromiter(table.vertices, float, len(table.vertices)).reshape(-1, 3),
            vertex_start,
            path,
            np.array(table.knots, float),
            np.concatenate([[0], np.cumsum(column.pop("knot_count"))]),
        )
        handle = column.pop("handle")
        names = {name: values.astype(np.int32) for name, values in column.items()}
        return cls(shapes, handle, **names, alive=np.ones(len(handle), bool))

    def insertion_point(self, rows: IntArray) -> FloatArray:
        """(m, 2) insertion points of INSERT rows."""
        return self.shapes.vertices[self.shapes.vertex_start[rows], :2]


def valid_color(number: int) -> int:
    """A colour number; one that is none counts as by layer."""
    return number if 0 <= number <= 256 else 256


def xy(point: Point) -> tuple[float, float]:
    """A point in the plane."""
    return float(point[0]), float(point[1])


def turn(vector: FloatArray, degrees: FloatArray) -> FloatArray:
    """(m, 2) vectors turned by (m,) degrees."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.column_stack([cos * vector[:, 0] - sin * vector[:, 1], sin * vector[:, 0] + cos * vector[:, 1]])


def insert_matrix(scalars: FloatArray, position: FloatArray, base: FloatArray) -> FloatArray:
    """(m, 2, 3) maps from block to owner coordinates: minus base point, scale, turn, plus position."""
    x_axis = turn(np.column_stack([scalars[:, 0], np.zeros(len(scalars))]), scalars[:, 2])
    y_axis = turn(np.column_stack([np.zeros(len(scalars)), scalars[:, 1]]), scalars[:, 2])
    shift = position - x_axis * base[:, :1] - y_axis * base[:, 1:]
    return np.stack([x_axis, y_axis, shift], axis=2)


def compose(outer: FloatArray, inner: FloatArray) -> FloatArray:
    """(m, 2, 3) maps: first inner, then outer."""
    result: FloatArray = np.einsum("nij,njk->nik", outer[:, :, :2], inner)
    result[:, :, 2] += outer[:, :, 2]
    return result


def inside_itself(row: IntArray, parent: IntArray, at: IntArray, block_index: np.ndarray) -> BoolArray:
    """(m,) whether the block of each INSERT ``at`` (numbers across all levels) is one of those that it stands in."""
    block = block_index[row[at]]
    inside = np.zeros(len(at), bool)
    above = parent[at]
    while (above >= 0).any():
        inside |= (above >= 0) & (block_index[row[above]] == block)
        above = np.where(above >= 0, parent[above], -1)
    return inside


def gather_ranges_of(bounds: IntArray) -> tuple[IntArray, IntArray]:
    """Flat indices of ranges (m, 2), and their start array."""
    start = np.concatenate([[0], np.cumsum(bounds[:, 1] - bounds[:, 0])])
    return np.arange(start[-1]) + np.repeat(bounds[:, 0] - start[:-1], np.diff(start)), start


def depth_first(
    rows: list[IntArray], parents: list[IntArray], matrices: list[FloatArray]
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Levels joined so that the content of an INSERT follows it directly. Parents number rows across all levels."""
    row, parent, matrix = np.concatenate(rows), np.concatenate(parents), np.concatenate(matrices)
    depth = np.repeat(np.arange(len(rows)), [len(level) for level in rows])
    n = len(row)
    if len(rows) == 1:
        return row, parent, depth, matrix
    bounds = np.concatenate([[0], np.cumsum([len(level) for level in rows])])
    size = np.ones(n, np.int64)  # rows of the subtree
    for first, last in reversed(list(pairwise(bounds[1:]))):
        size += np.bincount(parent[first:last], weights=size[first:last], minlength=n).astype(np.int64)
    place = np.zeros(n, np.int64)
    for level, (first, last) in enumerate(pairwise(bounds)):
        before = np.cumsum(size[first:last]) - size[first:last]  # rows of earlier siblings, over all parents
        if level == 0:
            place[first:last] = before
        else:
            p = parent[first:last]
            new_parent = np.append(True, p[1:] != p[:-1])
            before -= np.repeat(before[new_parent], np.diff(np.append(np.flatnonzero(new_parent), len(p))))
            place[first:last] = place[p] + 1 + before
    result = np.empty(n, np.int64)
    result[place] = np.arange(n)
    new_parent = np.where(parent[result] < 0, -1, place[parent[result]])
    return row[result], new_parent, depth[result], matrix[result]


def inherit(layer: np.ndarray, color: np.ndarray, parent: IntArray, depth: IntArray, layer_zero: int) -> None:
    """In place: content of a block on layer 0 takes the layer of its INSERT, content coloured "by block" its colour."""
    for level in range(1, int(depth.max(initial=0)) + 1):
        rows = np.flatnonzero(depth == level)
        on_zero = rows[layer[rows] == layer_zero]
        layer[on_zero] = layer[parent[on_zero]]
        by_block = rows[color[rows] == 0]
        color[by_block] = color[parent[by_block]]


def plane_axes(normal: FloatArray) -> FloatArray:
    """(m, 3, 2) columns = x and y axis of the planes with these normals (DXF arbitrary axis algorithm)."""
    near_z = (np.abs(normal[:, 0]) < 1 / 64) & (np.abs(normal[:, 1]) < 1 / 64)
    helper = np.where(near_z[:, None], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    x_axis = np.cross(helper, normal)
    x_axis /= np.linalg.norm(x_axis, axis=1)[:, None]
    y_axis = np.cross(normal, x_axis)
    return np.stack([x_axis, y_axis], axis=2)


def knots_fit(knots: Sequence[float], count: int, degree: int) -> bool:
    """Whether knots are as many as a spline needs, ascend, and leave it a range."""
    if len(knots) != count + degree + 1 or not knots[degree] < knots[count]:
        return False
    return all(a <= b for a, b in pairwise(knots))


def uniform_knots(count: int, degree: int) -> list[float]:
    """Clamped uniform knots for ``count`` control points."""
    inner = count - degree
    return [0.0] * degree + [i / inner for i in range(inner + 1)] + [1.0] * degree


def fit_spline(points: Sequence[Point]) -> tuple[int, Sequence[Point], Sequence[float], Sequence[float]]:
    """The spline that CAD draws through fit points: degree, control points, knots, weights; empty below two."""
    distinct = [p for i, p in enumerate(points) if i == 0 or tuple(p) != tuple(points[i - 1])]
    if len(distinct) < 2 or not np.isfinite(np.array(distinct, float)).all():
        return 3, (), (), ()
    if len(distinct) == 2:
        return 1, distinct, (0.0, 0.0, 1.0, 1.0), ()
    from ezdxf.math import fit_points_to_cad_cv

    curve = fit_points_to_cad_cv([tuple(p) for p in distinct])
    return curve.degree, [tuple(p) for p in curve.control_points], list(curve.knots()), ()


def measure(kind: int, points: Sequence[Point], rotation: float) -> float:
    """What a dimension measures, from its points (10, 11, 13, 14, 15, 16); NaN where the kind is unknown."""
    base, _, first, second, feature, _ = [np.array(xy(p)) for p in points]
    if kind == 0:
        angle = math.radians(rotation)
        return float(abs((second - first) @ np.array([math.cos(angle), math.sin(angle)])))
    if kind == 1:
        return float(math.dist(first, second))
    if kind in (3, 4):
        return float(math.dist(base, feature))
    if kind == 6:
        return float(max(abs(first - base)))
    if kind in ANGULAR:
        one, two = (first - feature, second - feature) if kind == 5 else (second - first, base - feature)
        cross = one[0] * two[1] - one[1] * two[0]
        return math.degrees(math.atan2(abs(cross), float(one @ two)))
    return NAN


class HatchLoop:
    """Collects the edges of one hatch boundary as a polyline with bulges; ellipses and splines are sampled."""

    def __init__(self) -> None:
        self.flat: list[float] = []

    def line(self, start: Point) -> None:
        """A straight edge that begins here (the next edge begins at its end)."""
        self.flat += (start[0], start[1], 0.0)

    def arc(self, centre: Point, radius: float, start: float, end: float, ccw: bool) -> None:
        """A circular edge travelled from ``start`` to ``end`` (degrees), counter-clockwise or clockwise."""
        sweep = (end - start) % 360.0 if ccw else -((start - end) % 360.0)
        if abs(sweep) < 1e-9:
            sweep = 360.0 if ccw else -360.0
        parts = 2 if abs(sweep) > 180.0 else 1  # a bulge cannot close a circle
        for part in range(parts):
            angle = math.radians(start + sweep * part / parts)
            bulge = math.tan(math.radians(sweep / parts) / 4.0)
            self.flat += (centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle), bulge)

    def curve(self, points: FloatArray) -> None:
        """A sampled edge, (m, 2); its last point is the start of the next edge and left out."""
        for x, y in points[:-1].tolist():
            self.flat += (x, y, 0.0)

    def ellipse(self, centre: Point, major: Point, ratio: float, start: float, end: float, ccw: bool) -> None:
        """An elliptic edge; parameters in radians, travelled from start to end."""
        sweep = (end - start) % (2 * math.pi) if ccw else -((start - end) % (2 * math.pi))
        if abs(sweep) < 1e-9:
            sweep = 2 * math.pi if ccw else -2 * math.pi
        t = start + sweep * np.linspace(0.0, 1.0, 33)
        axis = np.array(xy(major))
        across = ratio * np.array([-axis[1], axis[0]])
        self.curve(np.array(xy(centre)) + np.cos(t)[:, None] * axis + np.sin(t)[:, None] * across)

    def spline(self, degree: int, control: Sequence[Point], knots: Sequence[float], weights: Sequence[float]) -> None:
        """A spline edge; one whose knots do not fit is travelled along its control points."""
        points = np.array([xy(p) for p in control], float).reshape(-1, 2)
        if len(knots) == len(points) + degree + 1 and len(points) > degree:
            weight = np.array(weights, float) if len(weights) == len(points) else np.ones(len(points))
            scalars = np.full((1, N_SCALARS), NAN)
            scalars[0, 0] = degree
            shapes = Shapes(
                np.array([C.SPLINE], np.uint8),
                scalars,
                np.column_stack([points, weight]),
                np.array([0, len(points)]),
                np.zeros(len(points), np.int32),
                np.array(knots, float),
                np.array([0, len(knots)]),
            )
            samples = spline_samples(shapes)[0]
            if len(samples):
                points = np.concatenate([samples[:, :-1].reshape(-1, 2), samples[-1:, -1]])
        self.curve(points)
