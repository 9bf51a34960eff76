"""A drawing as records of our writer: what was read becomes a file again.

Blocks are written as what they show. Entities keep their layer, handle-free, and a plain colour; polylines their bulges,
splines their knots and weights, hatches their loops. Texts lose the width of their font, linear dimensions, diameters and
radii stay dimensions, others become their lines and their text.
"""

from __future__ import annotations

import math

import numpy as np

from deepdxf.drawing import SCALARS, Drawing, EntityClass, FloatArray
from deepdxf.dxfwrite import UNITS, Doc, Entity, Point
from deepdxf.geometry import TEXTS, Shapes, dimension_lines, text_corners

C = EntityClass
LINEAR, ALIGNED, DIAMETER, RADIUS = 0, 1, 3, 4  # kinds of dimensions
TEXT_SHARE = 1 / 60  # of the drawing's diagonal: height of texts of dimensions, which the drawing does not keep


def document(drawing: Drawing) -> Doc:
    """All rows that leave ink, as a document of the drawing's unit."""
    shapes = Shapes.of(drawing)
    corners, text_rows = text_corners(shapes)
    quads = dict(zip(text_rows.tolist(), corners, strict=True))
    lines: dict[int, list[list[float]]] = {}
    for ends, row in zip(*dimension_lines(shapes), strict=True):
        lines.setdefault(int(row), []).append(ends.tolist())
    height = float(np.hypot(*drawing.size)) * TEXT_SHARE or 1.0
    entities: list[Entity] = []
    for row in np.flatnonzero(drawing.visible & np.isfinite(drawing.box).all(axis=1)).tolist():
        layer, color = drawing.layers[drawing.layer[row]], int(drawing.color[row])
        made = _records(drawing, row, layer, quads, lines, height)
        entities += [entity.but(color=color) for entity in made] if 0 < color < 256 else made
    unit = next(
        (name for name, (_, mm) in UNITS.items() if mm and drawing.unit_mm and math.isclose(mm, drawing.unit_mm)), ""
    )
    layers = {entity.layer: (7, "Continuous") for entity in entities}
    return Doc(entities, layers=layers, unit=unit, version="AC1021", newline="\n")


def _records(
    drawing: Drawing,
    row: int,
    layer: str,
    quads: dict[int, FloatArray],
    lines: dict[int, list[list[float]]],
    height: float,
) -> list[Entity]:
    """What one row is written as."""
    cls, rows = C(int(drawing.cls[row])), drawing.points(row)
    points, third = _points(rows), rows[:, 2].tolist()
    value = dict(zip(SCALARS[cls], drawing.scalars[row].tolist(), strict=False))
    if cls == C.LINE:
        return [Entity("LINE", layer, points)]
    if cls == C.CIRCLE:
        if drawing.dxftypes[drawing.dxftype[row]] == "POINT":
            return [Entity("POINT", layer, points)]
        return [Entity("CIRCLE", layer, points, size=value["radius"])]
    if cls == C.ARC:
        return [Entity("ARC", layer, points, size=value["radius"], angle=value["start"], end=value["end"])]
    path = drawing.vertex_path[drawing.vertex_start[row] : drawing.vertex_start[row + 1]]
    loops = np.split(np.arange(len(path)), np.flatnonzero(np.diff(path)) + 1)
    if cls == C.LWPOLYLINE:
        closed = value["closed"] == 1
        return [
            Entity("LWPOLYLINE", layer, [points[k] for k in loop], bulges=[third[k] for k in loop], closed=closed)
            for loop in loops
        ]
    if cls == C.LEADER:
        return [Entity("LEADER", layer, points, size=height)]
    if cls == C.SOLID:
        return [Entity("SOLID", layer, [*points[:2], *points[2:4][::-1]])]  # corners cross over in the file
    if cls == C.SPLINE:
        knots = drawing.knots[drawing.knot_start[row] : drawing.knot_start[row + 1]].tolist()
        weights = third if any(weight != 1.0 for weight in third) else ()
        return [Entity("SPLINE", layer, points, knots=knots, weights=weights, degree=int(value["degree"]))]
    if cls == C.HATCH:
        solid, scale = value["solid"] == 1, value["pattern_scale"] * 3.175
        name, angle = ("SOLID", 0.0) if solid else ("ANSI31", value["pattern_angle"] + 45.0)
        counts = [len(loop) for loop in loops]
        return [Entity("HATCH", layer, points, size=scale, angle=angle, name=name, bulges=third, counts=counts)]
    if cls in TEXTS:
        quad, text = quads[row], drawing.text(row)
        if not text.strip():
            return []
        size = value["height"] if cls == C.TEXT else value["char_height"]
        place = quad[0] if cls == C.TEXT else quad[3]
        return [Entity(cls.name, layer, _points(place[None]), size=size, angle=value["rotation"], text=text)]
    if cls == C.DIMENSION:
        return _dimension(drawing.text(row), value, points, layer, lines.get(row, []), height)
    return []


def _dimension(
    text: str, value: dict[str, float], points: list[Point], layer: str, lines: list[list[float]], height: float
) -> list[Entity]:
    base, middle, first, second, feature, _ = points
    if value["kind"] in (LINEAR, ALIGNED) and first != second:
        angle = value["rotation"]
        if value["kind"] == ALIGNED:
            angle = math.degrees(math.atan2(second[1] - first[1], second[0] - first[0])) % 360.0
        record = Entity(
            "DIMENSION", layer, [first, second, base, middle], size=height, angle=angle, name="linear", text=text
        )
        return [record]
    if value["kind"] in (DIAMETER, RADIUS) and base != feature:
        name = "diameter" if value["kind"] == DIAMETER else "radius"
        return [Entity("DIMENSION", layer, [base, feature, middle, middle], size=height, name=name, text=text)]
    measured = "" if math.isnan(value["measurement"]) else f"{value['measurement']:.6g}"
    shown = text.replace("<>", measured) if text else measured
    made = [Entity("LINE", layer, [(line[0], line[1]), (line[2], line[3])]) for line in lines]
    return [*made, Entity("TEXT", layer, [middle], size=height, text=shown)] if shown else made


def _points(points: FloatArray) -> list[Point]:
    return [(float(x), float(y)) for x, y in points[:, :2]]
