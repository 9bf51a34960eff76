"""Pictures of drawings: SVG, PNG thumbnails, and a query beside its hits.

The view is the drawing's frame, so a stray point does not shrink the part. Curves are flattened to a quarter of a pixel
and snapped to a grid of an eighth of a pixel; each layer and colour is one path. Texts are light bars by default:
no font is needed, so a picture is the same on every computer. Equal drawings give equal bytes.

Letters in shapes: s segments, q quadrilaterals, r rings (closed chains of segments), n rows of the drawing.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import BoolArray, Drawing, EntityClass, FloatArray, IntArray, gather_ranges
from deepdxf.errors import DeepDXFError

GRID = 8  # steps of the coordinate grid in a pixel: integers keep the SVG short, 1/8 pixel cannot be seen
STROKE = 1.0  # width of lines, pixels; up to 1 rasterisers have a fast path
MARGIN = 0.03  # of the shorter side of the picture, on every side
RIM = 4 * GRID  # lines are cut this far outside of the picture, grid steps: their cut ends are not seen
MIN_PIXELS, MAX_PIXELS = 16, 4000  # sides of a picture; see `_strokes` for the upper one
PIXELS_PER_SEGMENT = 4  # with fewer pixels than this for a segment, a picture is crowded and thinned
CROWDED_GRID = GRID // 2  # a crowded picture is snapped to half pixels, lines that then coincide are drawn once
MAX_FILLS = 20_000  # filled areas; the others stay outlines
MAX_TEXTS = 5_000  # lines of text; the largest are drawn

# Opacity of filled areas: hatches must not hide the lines on them, arrowheads are solids and should be seen.
HATCH_OPACITY, SOLID_OPACITY, TEXT_OPACITY = 0.22, 0.75, 0.4

BAR_HEIGHT = 0.8  # height of a text bar; 1 = the text's share of its box

LIGHT_INK, DARK_INK = (23, 32, 46), (226, 232, 240)  # ink on light paper, ink on dark paper

# The word "empty" in strokes; 28 × 10 units, base line at y = 7.
_EMPTY_WORD = (
    "M0 5H4A2 2 0 1 0 3.4 6.4M7 7V3M7 4.5A1.5 1.5 0 0 1 10 4.5V7M10 4.5A1.5 1.5 0 0 1 13 4.5V7"
    "M16 3V9.5M16 5a2 2 0 1 1 4 0a2 2 0 1 1-4 0M23.5 1.2V6A1 1 0 0 0 25 6.9M22.3 3H25M27 3L29 7M31 3L28.2 9.5"
)


def svg(
    drawing: Drawing, *, width: int = 800, height: int | None = None, background: str = "#ffffff", text: bool = False
) -> str:
    """Picture of a drawing as an SVG document.

    Args:
        width, height: pixels, 16 to 4000; without a height the picture takes the shape of the drawing, at most 1.5
            times as high and at least a third as high as wide.
        background: paper as ``#rrggbb``. Ink that would not be seen on it is darkened or lightened: colour 7, by-layer
            and by-block are dark on light paper and light on dark paper.
        text: write texts as text in the reader's font, stretched to their boxes, instead of bars.

    What was left out of a very large drawing stands in a comment at the head of the SVG.

    Raises:
        DeepDXFError: ``background`` is not of that form, or a side of the picture is not within 16 to 4000 pixels.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", background):
        raise DeepDXFError(f"background {background!r} is not a colour of the form #rrggbb")
    if height is None:
        w, h = drawing.size
        known = 0 < max(w, h) < math.inf
        height = round(width * min(max(h / max(w, 1e-9 * h), 1 / 3), 1.5)) if known else width
    if min(width, height) < MIN_PIXELS or max(width, height) > MAX_PIXELS:
        raise DeepDXFError(f"a picture of {width} × {height} pixels; its sides must be {MIN_PIXELS} to {MAX_PIXELS}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f"{_content(drawing, width, height, background, text)}</svg>\n"
    )


def png(svg: str) -> bytes:
    """An SVG document of its own size as PNG. Texts need fonts that the computer has; the other parts do not."""
    import resvg_py

    # finding the system's fonts takes longer than most pictures
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts="<text" not in svg))


def thumbnail(drawing: Drawing, pixels: int = 256) -> bytes:
    """Square picture of ``pixels`` a side on white paper as PNG, texts as bars; the same on every computer."""
    return png(svg(drawing, width=pixels, height=pixels))


def hits_picture(query: tuple[str, Drawing], hits: Sequence[tuple[str, Drawing, float]], *, columns: int = 6) -> str:
    """A query and its hits side by side as an SVG document, each with its name, hits with rank and score.

    Args:
        query: name and drawing.
        hits: name, drawing and score, best first.
        columns: pictures in a row, the query included.
    """
    cell, caption, gap = 220, 44, 12
    cells = [("query", *query)] + [
        (f"{rank}   {score:.3f}", name, hit) for rank, (name, hit, score) in enumerate(hits, 1)
    ]
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    width, height = gap + columns * (cell + gap), gap + rows * (cell + caption + gap)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif">'
        f'<rect width="{width}" height="{height}" fill="#f1f4f8"/>'
    ]
    for i, (label, name, drawing) in enumerate(cells):
        x, y = gap + i % columns * (cell + gap), gap + i // columns * (cell + caption + gap)
        border = 'stroke="#1d5fd1" stroke-width="3"' if i == 0 else 'stroke="#c9d3df"'
        parts.append(
            f'<rect x="{x}" y="{y}" width="{cell}" height="{cell + caption}" rx="6" fill="#ffffff" {border}/>'
            f'<svg x="{x + 4}" y="{y + 4}" width="{cell - 8}" height="{cell - 8}" '
            f"{_content(drawing, cell - 8, cell - 8, '#ffffff', text=False)}</svg>"
            f'<text x="{x + 10}" y="{y + cell + 14}" font-size="14" font-weight="600" fill="#17202e" '
            f'xml:space="preserve">{label}</text>'
            f'<text x="{x + 10}" y="{y + cell + 33}" font-size="12" fill="#4a5768">'
            f"{xml_text(shorten(name, 27))}</text>"
        )
    return "".join(parts) + "</svg>\n"


def xml_text(text: str) -> str:
    """Any string as character data of XML and HTML: markup is escaped, characters that XML forbids become U+FFFD."""
    return escape(legal(text))


def aci_rgb(color: int) -> tuple[int, int, int]:
    """Red, green and blue (0 … 255) of AutoCAD colour index 1 … 255.

    1–9 are named colours and greys, 250–255 a grey ramp; between them lie 24 hues at steps of 15°, each in five
    brightnesses, pure (even numbers) and half washed out (odd numbers).
    """
    if color < 10:
        return _ACI_FIRST[color - 1]
    if color >= 250:
        grey = _ACI_GREYS[color - 250]
        return grey, grey, grey
    hue, shade = divmod(color - 10, 10)
    high = _ACI_BRIGHTNESS[shade // 2]
    low = high // 2 if shade % 2 else 0
    sector, step = divmod(hue, 4)
    rising, falling = low + (high - low) * step // 4, high - (high - low) * step // 4
    sectors = (
        (high, rising, low),
        (falling, high, low),
        (low, high, rising),
        (low, falling, high),
        (rising, low, high),
        (high, low, falling),
    )
    return sectors[sector]


_ACI_FIRST = (
    (255, 0, 0),
    (255, 255, 0),
    (0, 255, 0),
    (0, 255, 255),
    (0, 0, 255),
    (255, 0, 255),
    (255, 255, 255),
    (128, 128, 128),
    (192, 192, 192),
)
_ACI_BRIGHTNESS = (255, 165, 127, 76, 38)
_ACI_GREYS = (0, 101, 102, 153, 204, 255)


@dataclass(frozen=True)
class View:
    """From drawing units to grid steps of a picture of width × height pixels, y down."""

    frame: FloatArray  # (4,)
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels per drawing unit; 1 for a frame without extent."""
        room = 1 - 2 * MARGIN * min(self.width, self.height) / np.array([self.width, self.height], np.float64)
        extent = self.frame[2:] - self.frame[:2]
        with np.errstate(divide="ignore", over="ignore"):
            scale = float((room * (self.width, self.height) / extent).min())
        return scale if 0 < scale < math.inf else 1.0

    def to_grid(self, points: FloatArray) -> FloatArray:
        """(…, 2) points in grid steps, not rounded."""
        centre = self.frame[:2] / 2 + self.frame[2:] / 2
        paper = np.array([self.width, self.height]) * (GRID / 2)
        # centre first: points far from the origin keep their digits
        return (points - centre) * (np.array([1, -1]) * self.scale * GRID) + paper


def ink(
    drawing: Drawing, view: View, group: IntArray, *, text: bool = False, notes: list[str] | None = None
) -> list[list[str]]:
    """SVG elements of each group of a drawing's rows, in the view's grid steps; colours and widths are inherited.

    Args:
        group: (n,) number of the group of every row, from 0; rows of −1 are left out.
        text: as in `svg`.
        notes: what was left out of a very large drawing is appended here.
    """
    from deepdxf.geometry import segments

    notes = [] if notes is None else notes
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite and is dropped
        flat, owner = segments(drawing, 0.25 / view.scale)
        lines = view.to_grid(flat.reshape(-1, 2, 2))  # (s, 2 ends, 2)
    # geometry has texts as boxes, which are bars here
    drawn = np.isfinite(lines).all(axis=(1, 2)) & ~np.isin(drawing.cls, (EntityClass.TEXT, EntityClass.MTEXT))[owner]
    drawn &= group[owner] >= 0
    lines, owner = lines[drawn], owner[drawn]
    strokes, stroke_owner = _strokes(lines, owner, view, notes)
    quads, quad_owner, strings = _texts(drawing, view, notes)
    rings = _rings(drawing, lines, owner, view, notes)

    body: list[list[str]] = [[] for _ in range(int(group.max(initial=-1)) + 1)]
    for g, opacity, rule, path in _merge(rings, drawing, group):
        body[g].append(f'<path stroke="none" fill-opacity="{opacity:g}" fill-rule="{rule}" d="{path}"/>')
    shown = np.flatnonzero(group[quad_owner] >= 0)
    for g, picked in _split(group[quad_owner[shown]]):
        if text:
            body[g] += [_text_element(quads[i], strings[i]) for i in shown[picked]]
        else:
            path = _paths(_bars(quads[shown[picked]]))
            body[g].append(f'<path stroke="none" fill-opacity="{TEXT_OPACITY}" d="{path}"/>')
    for g, picked in _split(group[stroke_owner]):
        body[g].append(f'<path fill="none" d="{_paths(strokes[picked])}"/>')
    return body


def _content(drawing: Drawing, width: int, height: int, background: str, text: bool) -> str:
    """The viewBox attribute, the end of the svg start tag, and everything in it."""
    view, dark, notes = View(drawing.frame, width, height), _is_dark(background), list[str]()
    # one group a layer and colour, in the order of layers; `group` is the group of every row
    key = drawing.layer.astype(np.int64) << 32 | drawing.color.astype(np.int64) + (1 << 31)
    _, first_row, group = np.unique(key, return_index=True, return_inverse=True)
    body = ink(drawing, view, group, text=text, notes=notes)

    parts = [
        f'viewBox="0 0 {width * GRID} {height * GRID}" role="img">',
        "".join(f"<!-- thinned: {note} -->" for note in notes),
        f'<rect width="{width * GRID}" height="{height * GRID}" fill="{background}"/>',
    ]
    if not any(body):
        return "".join([*parts, "<title>empty drawing</title>", _empty_word(width, height, dark)])
    parts.append(f'<g stroke-width="{STROKE * GRID:g}" stroke-linecap="round" stroke-linejoin="round">')
    for row, elements in zip(first_row, body, strict=True):
        if elements:
            name, ink_color = drawing.layers[drawing.layer[row]], _ink(int(drawing.color[row]), dark)
            parts.append(
                f'<g data-layer={_attribute(name)} stroke="{ink_color}" fill="{ink_color}">'
                f"<title>{xml_text(name)}</title>"
            )
            parts += [*elements, "</g>"]
    return "".join([*parts, "</g>"])


def _strokes(
    lines: FloatArray, owner: IntArray, view: View, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lines to draw, on the grid: (s, 2, 2) and their rows (s,); cut to the view, thinned in a crowded picture."""
    lines, kept = _clip(lines, view)
    strokes, owner = _without_dots(np.rint(lines).astype(np.int64), owner[kept])
    total, room = len(strokes), view.width * view.height // PIXELS_PER_SEGMENT
    if total > room:
        strokes, owner = _without_dots(strokes // CROWDED_GRID * CROWDED_GRID + CROWDED_GRID // 2, owner)
        a, b = strokes[:, 0], strokes[:, 1]
        backward = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
        either_way = np.where(backward[:, None], np.hstack([b, a]), np.hstack([a, b]))
        # four coordinates of less than 15 bits make one key: see RIM and MAX_PIXELS
        key = (either_way + RIM) @ (1 << np.array([45, 30, 15, 0]))
        kept = np.sort(np.unique(key, return_index=True)[1])
        if len(kept) > room:  # the longest lines carry the shape
            length = np.abs(strokes[kept, 1] - strokes[kept, 0]).max(axis=1)
            kept = np.sort(kept[np.argsort(-length, kind="stable")[:room]])
        strokes, owner = strokes[kept], owner[kept]
        notes.append(f"{len(strokes)} of {total} line segments drawn")
    # a dot is one pixel wide: without a length it would be a shade of grey
    dot = (strokes[:, 0, 0] == strokes[:, 1, 0]) & (strokes[:, 0, 1] == strokes[:, 1, 1])
    strokes[dot, :, 0] += np.array([-GRID // 2, GRID // 2])
    return strokes, owner


def _without_dots(strokes: NDArray[np.int64], owner: IntArray) -> tuple[NDArray[np.int64], IntArray]:
    """Segments (s, 2, 2) that have a length on the grid, and one dot for each row that has no other."""
    dot = (strokes[:, 0, 0] == strokes[:, 1, 0]) & (strokes[:, 0, 1] == strokes[:, 1, 1])
    has_line = np.zeros(int(owner.max(initial=-1)) + 1, np.bool_)
    has_line[owner[~dot]] = True
    lone = np.flatnonzero(dot & ~has_line[owner])
    keep = ~dot
    keep[lone[np.unique(owner[lone], return_index=True)[1]]] = True
    return strokes[keep], owner[keep]


def _clip(lines: FloatArray, view: View) -> tuple[FloatArray, IntArray]:
    """The parts of (s, 2, 2) lines in the view and its rim (Liang–Barsky), and the numbers of those lines."""
    low, high = np.array([-RIM, -RIM]), np.array([view.width, view.height]) * GRID + RIM
    least, most = np.minimum(lines[:, 0], lines[:, 1]), np.maximum(lines[:, 0], lines[:, 1])
    near, within = (most >= low) & (least <= high), (least >= low) & (most <= high)
    kept = np.flatnonzero(near[:, 0] & near[:, 1])
    lines = lines[kept]
    crossing = np.flatnonzero(~(within[kept, 0] & within[kept, 1]))
    if len(crossing):
        start, step = lines[crossing, 0], lines[crossing, 1] - lines[crossing, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            # parameters at which a line meets the edges of each axis; a parallel line inside of them has no limit
            meet = np.stack([(low - start) / step, (high - start) / step])
            meet[:, step == 0] = [[-np.inf], [np.inf]]
            enter = np.clip(meet.min(axis=0).max(axis=1), 0, 1)
            leave = np.clip(meet.max(axis=0).min(axis=1), 0, 1)
        cut = start[:, None] + np.stack([enter, leave], axis=1)[:, :, None] * step[:, None]
        lines[crossing] = np.clip(cut, low, high)
        inside = np.ones(len(lines), np.bool_)
        inside[crossing] = leave >= enter
        lines, kept = lines[inside], kept[inside]
    return lines, kept


def _texts(drawing: Drawing, view: View, notes: list[str]) -> tuple[FloatArray, IntArray, list[str]]:
    """Lines of text in the picture as `text_quads`, in grid steps; the largest where there are too many."""
    with np.errstate(over="ignore", invalid="ignore"):
        quads, owner, strings = text_quads(drawing)
        quads = view.to_grid(quads)
    paper = np.array([view.width, view.height]) * GRID
    inside = (quads.max(axis=1) >= 0).all(axis=1) & (quads.min(axis=1) <= paper).all(axis=1)
    # no text is a hundred times as large as the picture: such boxes come from broken heights
    kept = np.flatnonzero(inside & (np.abs(quads) < 100 * paper.max()).all(axis=(1, 2)))
    if len(kept) > MAX_TEXTS:
        notes.append(f"{MAX_TEXTS} of {len(kept)} lines of text drawn")
        height = np.abs(quads[kept, 3] - quads[kept, 0]).max(axis=1)
        kept = np.sort(kept[np.argsort(-height, kind="stable")[:MAX_TEXTS]])
    return quads[kept], owner[kept], [strings[i] for i in kept]


def _rings(
    drawing: Drawing, lines: FloatArray, owner: IntArray, view: View, notes: list[str]
) -> list[tuple[int, int, str]]:
    """Filled areas as (row, number of rings, path): solid hatches and filled solids."""
    solid = np.zeros(len(drawing), np.bool_)
    for cls in (EntityClass.HATCH, EntityClass.SOLID):
        rows = drawing.rows(cls)
        solid[rows] = drawing.scalars[rows, 0] == 1  # "solid" of a hatch, "filled" of a solid
    picked = np.flatnonzero(solid[owner])
    owner = owner[picked]
    # areas are not cut to the view but pressed into its surroundings: out there their shape is never seen
    reach = 4 * GRID * max(view.width, view.height)
    edges = np.rint(np.clip(lines[picked], -reach, reach)).astype(np.int64)
    new_row = np.diff(owner, prepend=-1) != 0
    ring = _breaks(edges) | new_row
    row_start = np.append(np.flatnonzero(new_row), len(edges))
    if len(row_start) - 1 > MAX_FILLS:
        notes.append(f"{MAX_FILLS} of {len(row_start) - 1} filled areas filled")
        row_start = row_start[: MAX_FILLS + 1]
    return [(int(owner[a]), int(ring[a:b].sum()), _paths(edges[a:b])) for a, b in pairwise(row_start)]


def _merge(
    rings: list[tuple[int, int, str]], drawing: Drawing, group: IntArray
) -> Iterator[tuple[int, float, str, str]]:
    """Paths of areas as (group, opacity, fill rule, path).

    A hatch of several rings is a path of its own by the even-odd rule, so that islands stay free; areas of one ring
    share a path, by the other rule, so that overlaps are filled.
    """
    together: dict[tuple[int, float], list[str]] = {}
    for row, count, path in rings:
        g, opacity = int(group[row]), HATCH_OPACITY if drawing.cls[row] == EntityClass.HATCH else SOLID_OPACITY
        if count > 1:
            yield g, opacity, "evenodd", path
        else:
            together.setdefault((g, opacity), []).append(path)
    for (g, opacity), paths in together.items():
        yield g, opacity, "nonzero", "".join(paths)


def text_quads(drawing: Drawing) -> tuple[FloatArray, IntArray, list[str]]:
    """Places of lines of text: (q, 4, 2) corners from lower left counter-clockwise, drawing units, rows (q,), strings.

    The box of a text is divided evenly among its lines, each as long as its share of the characters of the longest one
    and aligned like the text.
    """
    from deepdxf.geometry import Shapes, text_corners

    corners, rows = text_corners(Shapes.of(drawing))
    has_text = drawing.text_index[rows] >= 0
    corners, rows = corners[has_text], rows[has_text]
    lines = [[line.strip() for line in text.split("\n")] for text in drawing.texts]
    start = np.concatenate([[0], np.cumsum([len(of_text) for of_text in lines], dtype=np.int64)])
    flat = [line for of_text in lines for line in of_text]
    longest = [max(map(len, of_text)) for of_text in lines]
    share = np.array([len(line) / max(n, 1) for of_text, n in zip(lines, longest, strict=True) for line in of_text])

    index, ragged = gather_ranges(start, drawing.text_index[rows].astype(np.int64))
    count = np.diff(ragged)
    number = np.arange(len(index)) - np.repeat(ragged[:-1], count)  # of the line in its text
    corners, rows, count = np.repeat(corners, count, axis=0), np.repeat(rows, count), np.repeat(count, count)
    part = share[index] if len(index) else np.zeros(0)
    left = np.clip(np.nan_to_num(drawing.scalars[rows, 3]), 0, 1) * (1 - part)  # column 3 = halign
    low, high = 1 - (number + 1) / count, 1 - number / count

    def place(x: FloatArray, y: FloatArray) -> FloatArray:
        """(q, 2) points at fractions of the width and height of the boxes."""
        right, up = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
        return corners[:, 0] + x[:, None] * right + y[:, None] * up

    quads = np.stack([place(left, low), place(left + part, low), place(left + part, high), place(left, high)], axis=1)
    inked = np.flatnonzero(part > 0)
    return quads[inked], rows[inked], [flat[i] for i in index[inked]]


def _bars(quads: FloatArray) -> NDArray[np.int64]:
    """(3 q, 2, 2) edges of text bars on the grid; lower than the text, so that neighbouring lines stay apart."""
    low, high = (1 - BAR_HEIGHT) / 2, (1 + BAR_HEIGHT) / 2
    side = np.stack([quads[:, 3] - quads[:, 0], quads[:, 2] - quads[:, 1]], axis=1)
    bottom, top = quads[:, :2] + low * side, quads[:, :2] + high * side
    corners = np.rint(np.concatenate([bottom, top[:, ::-1]], axis=1)).astype(np.int64)
    return np.stack([corners[:, :3], corners[:, 1:]], axis=2).reshape(-1, 2, 2)


def _text_element(quad: FloatArray, string: str) -> str:
    """One line of text, stretched along its quadrilateral (4, 2); the height of capitals is 0.72 of the font size."""
    (x, y), (right_x, right_y), _, (top_x, top_y) = quad.tolist()
    length, height = math.hypot(right_x - x, right_y - y), math.hypot(top_x - x, top_y - y)
    angle = math.degrees(math.atan2(right_y - y, right_x - x))
    return (
        f'<text transform="translate({x:.0f} {y:.0f}) rotate({angle:.2f})" font-size="{height / 0.72:.1f}" '
        f'textLength="{length:.0f}" lengthAdjust="spacingAndGlyphs" stroke="none" '
        f'font-family="Arial, Liberation Sans, DejaVu Sans, sans-serif">{xml_text(string)}</text>'
    )


def _breaks(edges: NDArray[np.int64]) -> BoolArray:
    """(s,) True where an edge (s, 2, 2) does not start where the one before it ends."""
    result = np.ones(len(edges), np.bool_)
    result[1:] = (edges[1:, 0, 0] != edges[:-1, 1, 0]) | (edges[1:, 0, 1] != edges[:-1, 1, 1])
    return result


def _paths(edges: NDArray[np.int64]) -> str:
    """Path data of (s, 2, 2) edges on the grid; edges that follow each other become one line."""
    starts = np.flatnonzero(_breaks(edges))
    # points: the start of every chain, then the step to the end of every edge
    at = starts + np.arange(len(starts))  # of the chains' starts among the points
    points = np.empty((len(edges) + len(starts), 2), np.int64)
    is_start = np.zeros(len(points), np.bool_)
    is_start[at] = True
    points[at], points[~is_start] = edges[starts, 0], edges[:, 1] - edges[:, 0]
    pattern = np.full(len(points), " %d %d", dtype=object)
    pattern[at], pattern[at + 1] = "M%d %d", "l%d %d"
    result: str = "".join(pattern.tolist()) % tuple(points.reshape(-1).tolist())
    return result


def _split(group: IntArray) -> Iterator[tuple[int, IntArray]]:
    """(group number, positions) of every group that occurs, positions ascending."""
    order = np.argsort(group, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(group[order], prepend=-1)), len(order))
    for a, b in pairwise(bounds):
        yield int(group[order[a]]), order[a:b]


def _is_dark(background: str) -> bool:
    return _luminance(_rgb(int(background[1:], 16))) < 0.4


def _ink(color: int, dark: bool) -> str:
    """Colour of lines as ``#rrggbb``, readable on light or dark paper."""
    default = DARK_INK if dark else LIGHT_INK
    index = color if 0 < color < 256 and color != 7 else None
    rgb = _rgb(-1 - color) if color < 0 else aci_rgb(index) if index else default
    light = _luminance(rgb)
    if dark and light < 0.35:
        share = (0.35 - light) / (1 - light)
        rgb = _rgb_of(c + (255 - c) * share for c in rgb)
    elif not dark and light > 0.6:
        rgb = _rgb_of(c * 0.6 / light for c in rgb)
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _rgb(value: int) -> tuple[int, int, int]:
    return value >> 16 & 255, value >> 8 & 255, value & 255


def _rgb_of(channels: Iterator[float]) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(c))) for c in channels)
    return red, green, blue


def _luminance(rgb: tuple[int, int, int]) -> float:
    """Brightness as seen, 0 … 1 (Rec. 709 weights on the plain values: good enough to tell yellow from blue)."""
    return (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) / 255


def _empty_word(width: int, height: int, dark: bool) -> str:
    scale = min(width, height) * GRID / 70
    x, y = (width * GRID - 31 * scale) / 2, (height * GRID - 10 * scale) / 2
    return (
        f'<path transform="translate({x:g} {y:g}) scale({scale:g})" d="{_EMPTY_WORD}" fill="none" '
        f'stroke="{"#7d8896" if not dark else "#9aa5b3"}" stroke-width="0.8" stroke-linecap="round"/>'
    )


_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """A text that XML can hold: characters that it forbids become U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text)


def _attribute(text: str) -> str:
    """Quoted attribute value; white space as references, or parsers would turn it into blanks."""
    return quoteattr(legal(text))


def shorten(name: str, columns: int) -> str:
    """A name in at most ``columns`` columns (East Asian wide characters take two), cut in the middle."""

    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in name]
    if sum(widths) <= columns:
        return name
    head, tail, room = 0, 0, columns - 1
    while room >= (w := widths[head] if head <= tail else widths[-1 - tail]):
        room -= w
        head, tail = (head + 1, tail) if head <= tail else (head, tail + 1)
    return f"{name[:head]}…{name[len(name) - tail :]}"
