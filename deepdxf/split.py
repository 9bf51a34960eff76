"""Several parts in one file taken apart: the pieces of a sheet or a nest, each as a drawing of its own.

1. Lines along the border of the sheet (they span most of it and lie near its edge) are set apart: the frame.
2. Ink closer than the gap hangs together. What lies inside of a closed outline belongs to it, as holes do.
3. Texts and dimensions without a part of their own go to the nearest part within reach.
4. A piece with much text in a corner of the frame is the title block; text alone, or a table, is a note.

Done on a raster whose cells are half a gap wide, so the gap is exact to about half of itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deepdxf.drawing import Drawing, EntityClass, FloatArray, IntArray, enclosing, is_any
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import LABELS, TEXTS, segments

C = EntityClass
GAP = 0.01  # of the longer side of the frame: the default
MOST_CELLS = 3000  # of the raster's longer side
SPAN, EDGE = 0.75, 0.06  # a line of the frame is so long, and so near to the edge, shares of the sheet
REACH = 4.0  # gaps within which a label finds its part
WORDS = 0.3  # share of texts of a table; of a title block half of it
CORNER = 0.03  # of the sheet: how near to the frame's corner that is
LEAST = 0.02  # of the longest side of all parts: smaller pieces are labels, if a part is near
PAPERS = (2**0.5, 11 / 8.5, 17 / 11, 22 / 17, 34 / 22, 3 / 2)  # proportions of sheets: ISO, ANSI, architectural
KINDS = ("part", "title block", "note", "frame")


@dataclass(frozen=True)
class Piece:
    """A piece of a sheet."""

    kind: str  # one of KINDS
    rows: IntArray  # ascending
    box: FloatArray  # (4,) drawing units


def split(drawing: Drawing, gap: float | None = None) -> list[Piece]:
    """The pieces of a drawing: parts first, from top left to bottom right, then the others. Every row with ink is in one.

    Args:
        gap: ink closer than this is one piece, drawing units; default: `GAP` of the drawing's longer side.

    Raises:
        DeepDXFError: the gap is not a number above 0.
    """
    if gap is not None and not 0 < gap < math.inf:
        raise DeepDXFError(f"a gap of {gap}; it must be a number above 0, in drawing units")
    rows = np.flatnonzero(drawing.visible & np.isfinite(drawing.box).all(axis=1))
    if not len(rows):
        return []
    side = max(*drawing.size, 1e-9)
    gap = max(gap or GAP * side, 2.0 * side / MOST_CELLS)
    frame_rows = np.zeros(len(drawing), bool)
    inner = rows
    sheet = inside = None
    while len(found := _frame(drawing, inner, sheet)):  # frames within frames
        frame_rows[found] = True
        around = enclosing(drawing.box[found])
        sheet, inside = around if sheet is None else sheet, _within(drawing.box[found], around)
        inner = rows[~frame_rows[rows]]
    if not len(inner):
        frame_rows[:], inner, sheet, inside = False, rows, None, None
    label, _ = _connected(drawing, inner, gap)
    label = _labels_to_parts(drawing, inner, label, gap)
    pieces = []
    for number in np.unique(label):
        of = inner[label == number]
        box = enclosing(drawing.box[of])
        if inside is not None and ((box[2:] <= inside[:2]) | (box[:2] >= inside[2:])).any():
            frame_rows[of] = True  # marks and letters of zones along the edge
        else:
            pieces.append(Piece(_kind(drawing, of, box, inside), of, box))
    parts = [piece for piece in pieces if piece.kind == "part"]
    band = max((float(piece.box[3] - piece.box[1]) for piece in parts), default=1.0) or 1.0
    pieces.sort(key=lambda p: (KINDS.index(p.kind), -math.floor(p.box[3] / band + 0.5), *p.box.round(9).tolist()))
    if sheet is not None:
        pieces.append(Piece("frame", np.flatnonzero(frame_rows), enclosing(drawing.box[frame_rows])))
    return pieces


def _within(boxes: FloatArray, around: FloatArray) -> FloatArray:
    """(4,) what the innermost of a frame's lines (m, 4) enclose."""
    middle = (around[:2] + around[2:]) / 2.0
    enclosed = around.copy()
    for axis in (0, 1):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        whole = (low < middle[axis]) & (high > middle[axis])
        across = whole & (boxes[:, 1 - axis] < middle[1 - axis]) & (boxes[:, 3 - axis] > middle[1 - axis])
        enclosed[axis] = max([*low[across], *high[high < middle[axis]]], default=around[axis])
        enclosed[axis + 2] = min([*high[across], *low[low > middle[axis]]], default=around[axis + 2])
    return enclosed


def _frame(drawing: Drawing, rows: IntArray, outer: FloatArray | None) -> IntArray:
    """Rows of the outermost frame: one rectangle around nearly all, or lines along all four edges; else none.

    Within an ``outer`` frame (4,), one that is nearly as large.
    """
    nothing = rows[:0]
    if len(rows) < 3:
        return nothing
    sheet = enclosing(drawing.box[rows])
    size = np.maximum(sheet[2:] - sheet[:2], 1e-12)
    again = outer is not None and bool((size > (1.0 - 2.0 * EDGE) * (outer[2:] - outer[:2])).all())
    if outer is not None and not again:
        return nothing
    box = (drawing.box[rows] - np.tile(sheet[:2], 2)) / np.tile(size, 2)
    span = box[:, 2:] - box[:, :2]
    corners = np.diff(drawing.vertex_start)[rows]
    plain = is_any(drawing.cls[rows], C.LINE, C.LWPOLYLINE)
    whole = plain & (corners <= 6) & (corners > 3) & (span > 1.0 - EDGE).all(axis=1)
    whole &= ~np.array([bool(drawing.points(row)[:, 2].any()) for row in rows.tolist()])
    if whole.any():
        return rows[whole] if again or _is_sheet(drawing, rows[~whole], size) else nothing
    thin = span.min(axis=1) < 0.01
    sides = np.zeros((len(rows), 4), bool)  # left, right, bottom, top
    for axis in (0, 1):
        along = plain & thin & (span[:, 1 - axis] > SPAN)
        sides[:, 2 * axis] = along & (box[:, axis + 2] < EDGE)
        sides[:, 2 * axis + 1] = along & (box[:, axis] > 1.0 - EDGE)
    found = sides.any(axis=1)
    framed = bool(sides.any(axis=0).all()) and (again or _is_sheet(drawing, rows[~found], size))
    return rows[found] if framed else nothing


def _is_sheet(drawing: Drawing, inside: IntArray, size: FloatArray) -> bool:
    """Whether lines around all the rest are those of a sheet, not the outline of a part with holes: a sheet has the
    proportions of paper and texts, or in it are outlines with holes of their own.
    """
    if not len(inside):
        return False
    ratio = float(size.max() / size.min())
    on_paper = any(abs(ratio / paper - 1.0) < 0.02 for paper in PAPERS)
    if on_paper and is_any(drawing.cls[inside], *TEXTS).sum() >= 3:
        return True
    label, _ = _connected(drawing, inside, GAP * float(size.max()))
    _, outlines = _connected(drawing, inside, GAP / 5.0 * float(size.max()))  # holes may lie near the outline
    return outlines > 0 and len(np.unique(label)) > 1


def _connected(drawing: Drawing, rows: IntArray, gap: float) -> tuple[IntArray, int]:
    """(m,) number of the piece of each of the rows, and how many outlines have something apart in them."""
    from scipy import ndimage

    kept = drawing.select(rows)
    low, size = enclosing(kept.box)[:2], gap / 2.0
    cells = np.ceil((enclosing(kept.box)[2:] - low) / size).astype(np.int64) + 5
    size *= max(1.0, float(cells.max()) / MOST_CELLS)
    cells = np.minimum(cells, MOST_CELLS + 5)
    lines, owner = segments(kept, size / 2)
    bare = np.setdiff1d(np.arange(len(kept)), owner)
    lines = np.concatenate([lines, kept.box[bare]])
    owner = np.concatenate([owner, bare])
    lines = (lines - np.tile(low, 2)) / size + 2.0
    # points along every segment, one a cell
    steps = np.ceil(np.abs(lines[:, 2:] - lines[:, :2]).max(axis=1)).astype(np.int64) + 1
    index = np.repeat(np.arange(len(lines)), steps)
    at = np.arange(len(index)) - np.repeat(np.cumsum(steps) - steps, steps)
    share = at / np.maximum(steps[index] - 1, 1)
    spot = lines[index, :2] + share[:, None] * (lines[index, 2:] - lines[index, :2])
    x, y = np.clip(spot.astype(np.int64), 0, cells - 1).T
    wet = np.zeros((cells[1], cells[0]), bool)
    wet[y, x] = True
    everywhere = np.ones((3, 3), bool)
    piece, count = ndimage.label(ndimage.binary_dilation(wet, everywhere), everywhere)
    group = np.arange(count + 1)
    # what lies inside of a closed outline belongs to it: the largest that holds it, from the smallest on
    places = ndimage.find_objects(piece)
    areas = [(s[0].stop - s[0].start) * (s[1].stop - s[1].start) for s in places]
    for number in sorted(range(1, count + 1), key=lambda k: areas[k - 1]):
        window = piece[places[number - 1]]
        if areas[number - 1] > 9:
            filled = ndimage.binary_fill_holes(window == number)
            group[np.unique(window[filled & (window > 0)])] = number
    while (group[group] != group).any():
        group = group[group]
    label = np.zeros(len(kept), np.int64)
    label[owner[index]] = group[piece[y, x]]
    return label, int((np.bincount(group[1:]) > 1).sum())


def _labels_to_parts(drawing: Drawing, rows: IntArray, label: IntArray, gap: float) -> IntArray:
    """Labels in which texts and dimensions alone, and tiny pieces, have gone to the nearest part within reach."""
    numbers = np.unique(label)
    boxes = np.array([enclosing(drawing.box[rows[label == n]]) for n in numbers]).reshape(-1, 4)
    strokes = np.array([(~is_any(drawing.cls[rows[label == n]], *LABELS)).sum() for n in numbers])
    extent = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    longest = extent[strokes > 0].max(initial=0.0)
    part = (strokes > 0) & (extent >= LEAST * longest)
    if not part.any():
        return label
    result = label.copy()
    for k in np.flatnonzero(~part):
        apart = np.maximum(boxes[part][:, :2] - boxes[k, 2:], boxes[k, :2] - boxes[part][:, 2:])
        distance = np.hypot(*np.maximum(apart, 0.0).T)
        nearest = int(np.argmin(distance))
        if distance[nearest] <= REACH * gap:
            result[label == numbers[k]] = numbers[part][nearest]
    return result


def _kind(drawing: Drawing, rows: IntArray, box: FloatArray, sheet: FloatArray | None) -> str:
    cls = drawing.cls[rows]
    words = is_any(cls, *TEXTS)
    if is_any(cls, *LABELS).all():
        return "note"
    if sheet is not None:
        size = float((sheet[2:] - sheet[:2]).max())
        near = np.abs(box - sheet) <= CORNER * size
        if (near[0] or near[2]) and (near[1] or near[3]) and words.mean() >= WORDS / 2 and words.sum() >= 2:
            return "title block"
    level = (drawing.box[rows, 2:] - drawing.box[rows, :2]).min(axis=1) <= 1e-6 * float((box[2:] - box[:2]).max())
    if words.sum() >= 4 and words.mean() >= WORDS and (words | (level & (cls == C.LINE))).all():
        return "note"  # a table
    return "part"
