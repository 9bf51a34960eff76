"""Drawings made by hand, for tests that need no reader."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from deepdxf.drawing import N_SCALARS, SCALARS, Drawing, EntityClass
from deepdxf.geometry import Shapes, boxes

# A row: class, its points (x, y) or (x, y, bulge), and its scalars by name.
Row = tuple[EntityClass, Sequence[Sequence[float]], dict[str, float]]


def line(x0: float, y0: float, x1: float, y1: float) -> Row:
    return EntityClass.LINE, [(x0, y0), (x1, y1)], {}


def circle(x: float, y: float, radius: float) -> Row:
    return EntityClass.CIRCLE, [(x, y)], {"radius": radius}


def polyline(points: Sequence[Sequence[float]], closed: bool = True) -> Row:
    return EntityClass.LWPOLYLINE, points, {"closed": float(closed)}


def drawing(*rows: Row) -> Drawing:
    """A Drawing of these rows on one layer, handles 1, 2, 3 …, boxes by `geometry.boxes`."""
    n = len(rows)
    scalars = np.full((n, N_SCALARS), np.nan)
    vertices: list[tuple[float, float, float]] = []
    start = [0]
    for i, (cls, points, values) in enumerate(rows):
        for name, value in values.items():
            scalars[i, SCALARS[cls].index(name)] = value
        vertices += [(p[0], p[1], p[2] if len(p) > 2 else 0.0) for p in points]
        start.append(len(vertices))
    shapes = Shapes(
        cls=np.array([row[0] for row in rows], np.uint8),
        scalars=scalars,
        vertices=np.array(vertices, float).reshape(-1, 3),
        vertex_start=np.array(start, np.int64),
        vertex_path=np.zeros(len(vertices), np.int32),
        knots=np.zeros(0),
        knot_start=np.zeros(n + 1, np.int64),
    )
    return Drawing(
        **shapes.columns(),
        handle=np.arange(1, n + 1),
        depth=np.zeros(n, np.uint8),
        parent=np.full(n, -1),
        layer=np.zeros(n, np.int32),
        color=np.full(n, 256, np.int32),
        dxftype=np.zeros(n, np.int32),
        text_index=np.full(n, -1, np.int32),
        block_index=np.full(n, -1, np.int32),
        box=boxes(shapes),
        layers=("0",),
        dxftypes=("LINE",),
        texts=(),
        blocks=(),
        unit_mm=1.0,
        space="model",
        format="dxf",
        version="AC1032",
        reader="cadkit",
    )


def drawing_of(document: object) -> Drawing:
    """What the reader makes of an ezdxf document."""
    from deepdxf.reader import parse

    stream = io.StringIO()
    document.write(stream)  # type: ignore[attr-defined]
    return parse(stream.getvalue().encode("utf-8"))
