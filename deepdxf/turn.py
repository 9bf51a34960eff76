"""How a drawing is turned: the directions that most of its straight lines have, and the drawing with one of them level.

Nearly all drawings have lines along two axes at right angles. Turned by any angle, they still have two such directions, by
which they can be laid level again: then right angles are all that is left to try. Directions are counted modulo 90°,
weighted by length; a direction is *pronounced* when enough of the length runs along it. Lines of 0°, 30° and 60° alike (a
hexagon) have several: a query asks by each of them, an archive keeps one, so that one of the questions fits.
Drawings without straight lines, such as rings of holes, have no direction: their vectors hardly change when they turn, and
`verify` finds how they lie by their geometry.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepdxf.drawing import Drawing, FloatArray, IntArray, is_any
from deepdxf.drawing import EntityClass as C
from deepdxf.geometry import Shapes, boxes, edges, once, transform

REACH = 1.0  # degrees within which lines have one direction
NARROWED = (0.3, 0.1, 0.03, 0.01)  # and by which it is then told closer
PRONOUNCED = 0.25  # share of the length of all straight lines that has a direction
ALIKE = 0.5  # of the first direction's share, for another one to count
DIRECTIONS = 3  # at most
LEAST = 1e-3  # degrees: a drawing that is turned by less lies level, for that is rounding
LEVEL = 3e-4  # of its length by which a line that is level may rise: rounding in files


@once
def directions(drawing: Drawing) -> list[float]:
    """The pronounced directions of a drawing's straight lines, the strongest first, in degrees from −45 to below 45.

    A drawing with lines along the axes has the direction 0.0, however many others it has; one without straight lines has
    none.
    """
    start, end = _lines(drawing)
    span = drawing.vertices[end, :2] - drawing.vertices[start, :2]
    length = np.hypot(*span.T)
    keep = np.isfinite(length) & (length > 0)
    angle, length = np.degrees(np.arctan2(span[keep, 1], span[keep, 0])), length[keep]
    total = float(length.sum())
    found: list[float] = []
    first = 0.0
    while len(angle) and len(found) < DIRECTIONS:
        middle, weight = _strongest(angle, length)
        if weight < max(PRONOUNCED * total, ALIKE * first):
            break
        first = first or weight
        found.append(0.0 if abs(middle) < LEAST else middle)
        rest = np.abs(_off(angle, middle)) > REACH
        angle, length = angle[rest], length[rest]
    return found


def turn_of(drawing: Drawing) -> float:
    """Degrees by which a drawing is turned out of the level, from −45 to below 45: 0.0 where one of its directions is."""
    found = directions(drawing)
    return 0.0 if not found or 0.0 in found else found[0]


def straightened(drawing: Drawing, angle: float) -> Drawing:
    """The drawing with a direction of ``angle`` degrees laid level.

    Lines that are level but for rounding become exactly so, as they were drawn: what is level and what is nearly level
    are different strokes.
    """
    if angle == 0.0:
        return drawing
    turned = transform(drawing, rotation(-angle))
    start, end = _lines(turned)
    vertices = turned.vertices.copy()
    span = vertices[end, :2] - vertices[start, :2]
    length = np.hypot(*span.T)
    for axis in (0, 1):
        level = np.abs(span[:, axis]) <= LEVEL * length
        vertices[:, axis] = _levelled(vertices[:, axis], start[level], end[level])
    made = replace(turned, vertices=vertices)
    return replace(made, box=boxes(Shapes.of(made)))


def rotation(degrees: float) -> FloatArray:
    """The map (2, 3) that turns by so many degrees, counter-clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0]])


def _lines(drawing: Drawing) -> tuple[IntArray, IntArray]:
    """Vertices (e,) at which the straight edges of lines and polylines start and end."""
    start, end, owner, bulge = edges(Shapes.of(drawing))
    straight = is_any(drawing.cls[owner], C.LINE, C.LWPOLYLINE) & (bulge == 0)
    return start[straight], end[straight]


def _off(angle: FloatArray, middle: float) -> FloatArray:
    """Degrees from a direction, modulo 90: from −45 to below 45."""
    off: FloatArray = (angle - middle + 45.0) % 90.0 - 45.0
    return off


def _strongest(angle: FloatArray, length: FloatArray) -> tuple[float, float]:
    """The direction that most of the length has, and how much."""
    bins = round(90.0 / REACH)
    place = np.floor((angle % 90.0) / REACH).astype(np.int64) % bins
    score = np.bincount(place, length, bins)
    peak = int(np.argmax(score + np.roll(score, -1)))  # of a bin and the next, so that no direction lies on a border
    middle = (peak + 1) * REACH
    weight = 0.0
    for reach in (1.001 * REACH, *NARROWED):  # a little more: a line on the border of both bins is in them
        off = _off(angle, middle)
        near = np.flatnonzero(np.abs(off) <= reach)
        near = near[np.argsort(off[near], kind="stable")]
        along = np.cumsum(length[near])
        weight = weight or float(along[-1])
        middle += float(off[near][int(np.searchsorted(along, along[-1] / 2))])
    return float(_off(np.array(middle), 0.0)), weight


def _levelled(value: FloatArray, start: IntArray, end: IntArray) -> FloatArray:
    """Coordinates (v,) with one value, their mean, for vertices that edges link."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(start) == 0:
        return value
    graph = coo_array((np.ones(len(start), np.int8), (start, end)), (len(value), len(value)))
    label = connected_components(graph, directed=False)[1]
    linked = np.bincount(label)[label] > 1
    mean = np.bincount(label, value) / np.bincount(label)
    return np.where(linked, mean[label], value)
