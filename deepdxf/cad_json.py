"""Sketches of a CAD-sequence JSON file as a drawing: each sketch becomes one view on the sheet.

The form is that of the DeepCAD data set (Wu, Xiao, Zheng, ICCV 2021), which follows the Fusion 360 Gallery's
reconstruction files: ``entities`` by id, of type Sketch (``profiles`` → ``loops`` → ``profile_curves`` of Line3D, Arc3D
and Circle3D, in the plane of the sketch) or ExtrudeFeature, and ``sequence``, their order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepdxf.dxfwrite import CENTER, UNITS, Doc, Entity, Point
from deepdxf.errors import ReadError

OUTLINE, CUTOUT, TEXT = "OUTLINE", "CUTOUT", "TEXT"
COLUMNS = 4  # views in a row of the sheet
PLANAR = 1e-6  # a curve may leave its sketch plane by this much


def convert_cad_json(source: Path | str | Mapping[str, Any], unit: str = "m") -> Doc:
    """The sketches of a CAD-sequence file as a drawing, ready for `dxfwrite.dxf_bytes`.

    ``source`` is a path or the parsed file; ``unit`` is that of its lengths (DeepCAD: metres, Fusion 360 Gallery:
    centimetres). Views stand in rows of four, in the order of ``sequence``, geometry at its own scale; edges that
    neighbouring profiles share are drawn once. Outer loops are on layer OUTLINE, inner ones on CUTOUT.

    Raises ReadError for a file that cannot be read, is not of this form, holds other curves, no sketch or a number that
    is not finite.
    """
    if unit not in UNITS:
        raise ReadError(f"unknown unit {unit!r}: use one of {', '.join(filter(None, UNITS))}")
    name = "the CAD sequence"
    if not isinstance(source, Mapping):
        name = str(source).replace("\n", "\\n")  # a message is one line
        try:
            source = json.loads(Path(source).read_text(encoding="utf-8"))
        except OSError as error:
            raise ReadError(f"cannot read {name}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise ReadError(f"{name} is not JSON: {error}") from error
    try:
        return _sheet(source, unit)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ReadError(f"{name} is not a CAD sequence with sketches: {what}") from error
    except ValueError as error:
        raise ReadError(f"{name}: {error}") from error


def _sheet(data: Any, unit: str) -> Doc:
    entities = data["entities"]
    order = [step["entity"] for step in data["sequence"]] if "sequence" in data else list(entities)
    sketches = [key for key in order if entities[key]["type"] == "Sketch"]
    depths = _depths(entities)
    views = []
    for number, key in enumerate(sketches, 1):
        curves = _curves(entities[key])
        if curves:
            title = str(entities[key].get("name", f"Sketch {number}"))
            views.append((f"{title}  {depths[key]:g}" if key in depths else title, curves))
    if not views:
        raise ValueError("there is no sketch with curves in it")
    return _arranged(views, unit)


def _depths(entities: Any) -> dict[str, float]:
    """Depth of the first extrusion of each sketch, where there is one."""
    depths: dict[str, float] = {}
    for feature in entities.values():
        if feature["type"] == "ExtrudeFeature" and "extent_one" in feature:
            for profile in feature.get("profiles", ()):
                depths.setdefault(profile["sketch"], _number(feature["extent_one"]["distance"]["value"]))
    return depths


def _curves(sketch: Any) -> list[Entity]:
    """Curves of all profiles, each once."""
    curves: dict[tuple[object, ...], Entity] = {}
    for profile in sketch["profiles"].values():
        for loop in profile["loops"]:
            layer = OUTLINE if loop.get("is_outer", True) else CUTOUT
            for item in loop["profile_curves"]:
                entity = _curve(item, layer)
                ends = tuple(sorted(entity.points))
                key = (entity.type, ends, entity.size, entity.angle, entity.end)
                if key not in curves or layer == OUTLINE:  # an edge of both sorts belongs to the part
                    curves[key] = entity
    return list(curves.values())


def _curve(item: Any, layer: str) -> Entity:
    kind = item["type"]
    if kind == "Line3D":
        return Entity("LINE", layer, [_point(item["start_point"]), _point(item["end_point"])])
    if kind not in ("Circle3D", "Arc3D"):
        raise ValueError(f"curves of type {kind!r} are not supported: only Line3D, Arc3D and Circle3D are")
    center, radius = _point(item["center_point"]), _number(item["radius"])
    if radius <= 0:
        raise ValueError(f"a {kind} has radius {radius:g}: it must be above 0")
    if kind == "Circle3D":
        return Entity("CIRCLE", layer, [center], size=radius)
    start, end = (_direction(center, _point(item[key])) for key in ("start_point", "end_point"))
    # start_angle … end_angle turn the reference vector about the normal: its sign tells which way the arc runs
    if _number(item.get("normal", {"z": 1.0})["z"]) < 0:
        start, end = end, start
    return Entity("ARC", layer, [center], size=radius, angle=start, end=end)


def _direction(center: Point, p: Point) -> float:
    return round(math.degrees(math.atan2(p[1] - center[1], p[0] - center[0])) % 360.0, 9)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} stands where a finite number belongs")
    return float(value)


def _point(value: Any) -> Point:
    if abs(_number(value.get("z", 0.0))) > PLANAR:
        raise ValueError(
            f"a curve leaves the plane of its sketch (z = {value['z']:g}): coordinates must be the sketch's"
        )
    return _number(value["x"]), _number(value["y"])


def _arranged(views: Sequence[tuple[str, Sequence[Entity]]], unit: str) -> Doc:
    doc = Doc(unit=unit, layers={OUTLINE: (7, "Continuous"), CUTOUT: (1, "Continuous"), TEXT: (3, "Continuous")})
    boxes = [Doc(entities=list(curves)).box() for _, curves in views]
    largest = max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes) or 1.0
    gap, height = 0.3 * largest, 0.05 * largest
    top = 0.0
    for first in range(0, len(views), COLUMNS):
        row = range(first, min(first + COLUMNS, len(views)))
        bottom, left = top - max(boxes[i][3] - boxes[i][1] for i in row), 0.0
        for i in row:
            (title, curves), (x0, y0, x1, _) = views[i], boxes[i]
            dx, dy = left - x0, bottom - y0
            for curve in curves:
                points = [(x + dx, y + dy) for x, y in curve.points]
                moved = Entity(
                    curve.type, curve.layer, points, curve.size, curve.angle, curve.end, feature=f"sketch:{i}"
                )
                doc.entities.append(moved)
            place = (left + (x1 - x0) / 2, bottom - 2 * height)
            doc.entities.append(Entity("TEXT", TEXT, [place], height, text=title, align=CENTER, feature=f"sketch:{i}"))
            left += x1 - x0 + gap
        top = bottom - gap
    doc.number()
    return doc
