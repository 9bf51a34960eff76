"""Rare DXF entities from their raw group codes; both readers hand them over in this form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from deepdxf.table import Head, Table
from deepdxf.text import plain_mtext

Codes = Sequence[tuple[int, Any]]


def points_of(codes: Codes, group: int) -> list[tuple[float, float, float]]:
    """All points of a group (10 = x with 20 = y and 30 = z), in order."""
    xs = [float(value) for code, value in codes if code == group]
    ys = [float(value) for code, value in codes if code == group + 10]
    zs = [float(value) for code, value in codes if code == group + 20]
    zs += [0.0] * (len(xs) - len(zs))
    return list(zip(xs, ys, zs, strict=False))


def value_of(codes: Codes, group: int, default: Any) -> Any:
    """The first value of a group."""
    return next((value for code, value in codes if code == group), default)


def subclass(codes: Codes, name: str) -> Codes:
    """The codes between one subclass marker and the next; all codes when the marker is missing."""
    starts = [i for i, (code, value) in enumerate(codes) if code == 100 and value == name]
    if not starts:
        return codes
    rest = codes[starts[0] + 1 :]
    end = next((i for i, (code, _) in enumerate(rest) if code == 100), len(rest))
    return rest[:end]


def mline(table: Table, head: Head, codes: Codes) -> None:
    flat = [value for x, y, _ in points_of(codes, 11) for value in (x, y, 0.0)]
    table.polyline(head, flat, bool(int(value_of(codes, 71, 0)) & 2))


def multileader(table: Table, head: Head, codes: Codes) -> None:
    """One LEADER a leader line, ending at its landing; the text goes with the first."""
    text = ""
    lines: list[list[tuple[float, float, float]]] = []
    landing: list[tuple[float, float, float]] = []
    section: list[str] = []
    start = 0
    for i, (code, value) in enumerate(codes):
        if isinstance(value, str) and value.endswith("{") and code in (300, 302, 304):
            section.append(value)
            start = i
            if value == "LEADER{":
                landing = []
        elif code in (301, 303, 305) and value == "}" and section:
            if section.pop() == "LEADER_LINE{":
                lines.append(points_of(codes[start:i], 10) + landing)
        elif code == 304 and section and section[-1] == "CONTEXT_DATA{":
            text = str(value)
        elif code == 10 and section and section[-1] == "LEADER{":
            landing = points_of(codes[i : i + 3], 10)
    for number, line in enumerate(lines):
        table.leader(head, line, True, plain_mtext(text) if number == 0 and text else None)
    if not lines:
        place = points_of(codes, 12) or points_of(codes, 10)
        height = float(value_of(codes, 41, 0.0))
        if text and place:
            table.mtext(head, place[0], height, 0.0, 0.0, 1, text)
        else:
            table.ignore(head[3])


def tolerance(table: Table, head: Head, codes: Codes) -> None:
    place = points_of(codes, 10)
    direction = points_of(codes, 11) or [(1.0, 0.0, 0.0)]
    text = plain_mtext(str(value_of(codes, 1, "")).replace("%%v", " "))
    if place:
        rotation = math.degrees(math.atan2(direction[0][1], direction[0][0]))
        table.text(head, place[0], 0.0, rotation, 1.0, 0.0, 0.0, text)
    else:
        table.problem("broken-entity", f"{head[3]} without a place left out")


def acad_table(table: Table, head: Head, codes: Codes) -> None:
    """A table is drawn by an anonymous block that it inserts."""
    place = points_of(subclass(codes, "AcDbBlockReference"), 10)
    block = value_of(subclass(codes, "AcDbBlockReference"), 2, None)
    if place and block:
        table.insert(head, str(block), place[0])
    else:
        table.ignore(head[3])


def helix(table: Table, head: Head, codes: Codes) -> None:
    codes = subclass(codes, "AcDbSpline")
    knots = [float(value) for code, value in codes if code == 40]
    control = points_of(codes, 10)
    table.problem("projected", "three-dimensional SPLINE projected to XY")
    table.spline(head, int(value_of(codes, 71, 3)), control, knots, (), False, points_of(codes, 11))


def mesh(table: Table, head: Head, codes: Codes) -> None:
    codes = subclass(codes, "AcDbSubDMesh")
    table.problem("projected", "three-dimensional MESH projected to XY")
    faces: list[list[int]] = []
    start = next((i for i, (code, _) in enumerate(codes) if code == 93), None)
    if start is not None:
        numbers = []
        for code, value in codes[start + 1 :]:
            if code != 90:
                break
            numbers.append(int(value))
        i = 0
        while i < len(numbers):
            faces.append(numbers[i + 1 : i + 1 + numbers[i]])
            i += 1 + max(numbers[i], 0)
    table.faces(head, points_of(codes, 10), faces)


def mpolygon(table: Table, head: Head, codes: Codes) -> None:
    """MPOLYGON: its boundaries are polylines with bulges."""
    codes = subclass(codes, "AcDbMPolygon")
    normal = (points_of(codes, 210) or [(0.0, 0.0, 1.0)])[0]
    side = -1.0 if normal[2] < 0 else 1.0  # seen from below, the x axis of its plane points the other way
    loops: list[list[float]] = []
    for code, value in codes:
        if code == 92:
            loops.append([])
        elif code == 76:  # pattern data begins
            break
        elif loops and code == 10:
            loops[-1] += (side * float(value), 0.0, 0.0)
        elif loops and loops[-1] and code in (20, 42):
            loops[-1][-2 if code == 20 else -1] = float(value)
    angle, scale = float(value_of(codes, 52, 0.0)), float(value_of(codes, 41, 1.0))
    table.hatch((*head[:3], "HATCH"), loops, bool(int(value_of(codes, 71, 0))), False, angle, scale, normal)


def other_dimension(table: Table, head: Head, codes: Codes) -> None:
    """ARC_DIMENSION (kind 8) and LARGE_RADIAL_DIMENSION (a radius)."""
    points = {group: points_of(codes, group)[0] for group in (10, 11, 13, 14, 15, 16) if points_of(codes, group)}
    kind = 4 if head[3] == "LARGE_RADIAL_DIMENSION" else 8
    measurement = value_of(codes, 42, None)
    text = str(value_of(codes, 1, ""))
    table.dimension(head, kind, points, 0.0, None if measurement is None else float(measurement), text)


CODED: dict[str, Callable[[Table, Head, Codes], None]] = {
    "MLINE": mline,
    "MULTILEADER": multileader,
    "MLEADER": multileader,
    "TOLERANCE": tolerance,
    "ACAD_TABLE": acad_table,
    "HELIX": helix,
    "MESH": mesh,
    "MPOLYGON": mpolygon,
    "ARC_DIMENSION": other_dimension,
    "LARGE_RADIAL_DIMENSION": other_dimension,
}
