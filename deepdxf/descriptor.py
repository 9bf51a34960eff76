"""The hand-made descriptor: a drawing as one vector of fixed length; nothing is learned but how common things are.

Parts, each of unit length before its weight; a score is the weighted mean of the parts' cosines:

sizes      bag of strokes by kind, width and height                      (absolute: millimetres; relative: to the frame)
pairs      bag of neighbouring strokes: both sizes and their offset      (absolute, relative)
grids      how much line of each direction, text and fill lies where, seen from the frame and from the mass (relative);
           whitened: what most drawings have where does not count
extent     width, height and length of all lines                          (absolute)
shape      proportion of the frame, number of strokes, strokes by kind    (relative)

A *stroke* is what the pen draws in one go: polylines are taken apart into their edges, so that exploding and joining,
reversing and re-ordering change little. What is drawn twice or not at all does not count, and lines in pieces are one line
(`clean`). A *token* is a hash of rounded properties of a stroke or pair; bags weigh tokens by inverse document frequency
(Spärck Jones 1972) and are folded into a fixed number of slots by signed hashing (Weinberger et al. 2009). Absolute parts
are left out of a query that is free of size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepdxf.clean import clean
from deepdxf.drawing import Drawing, EntityClass, FloatArray, IntArray
from deepdxf.encoder import Switches, Vectors, encode_poses
from deepdxf.geometry import Shapes, arc_boxes, arcs, edges, segments
from deepdxf.raster import DIRECTIONS, STROKED, blur, directions, ink, to_pixels
from deepdxf.whitening import Whitening

C = EntityClass
Tokens = NDArray[np.uint64]

BOXED = {  # kinds that are drawn as a whole
    "spline": C.SPLINE,
    "text": C.TEXT,
    "mtext": C.MTEXT,
    "dimension": C.DIMENSION,
    "hatch": C.HATCH,
    "solid": C.SOLID,
    "leader": C.LEADER,
}
KINDS = ("line", "arc", "circle", "point", "polyline", *BOXED)
STEP = 0.05  # sizes are the same token within 5 % (2.5 % either way)
COARSE_STEP = 0.2  # of relative pairs: relative sizes change whenever the frame does
TINY = 1e-9  # sizes below this have no logarithm

NEIGHBOURS, CANDIDATES = 4, 8
LEVEL = 1e-3  # neighbours whose offset leaves an axis by less than this share lie level
CELLS, GRID_BLUR, MARGIN = 8, 0.5, 0.25
CHANNELS = DIRECTIONS + 3  # and curves, texts, fills
GRID_KEPT = 256  # numbers of a grid after whitening
MASS_REACH = 2.2  # half side of the mass grid, in standard deviations of the strokes around their centre

BUCKETS = 1 << 18  # of the frequency tables


@dataclass(frozen=True)
class Part:
    """A stretch of the vector."""

    name: str
    dim: int
    weight: float
    code: str  # "sequence": what was drawn; "geometry": how it lies together
    absolute: bool = False


PARTS = (  # parts of a code stand together
    Part("sizes", 512, 1.0, "sequence", absolute=True),
    Part("relative sizes", 512, 1.0, "sequence"),
    Part("extent", 120, 0.5, "sequence", absolute=True),
    Part("shape", 54 + len(KINDS), 0.5, "sequence"),
    Part("pairs", 512, 1.0, "geometry", absolute=True),
    Part("relative pairs", 512, 1.0, "geometry"),
    Part("frame grid", GRID_KEPT, 1.0, "geometry"),
    Part("mass grid", GRID_KEPT, 1.0, "geometry"),
)
BAGS = ("sizes", "relative sizes", "pairs", "relative pairs")
GRIDS = ("frame grid", "mass grid")


# --- strokes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strokes:
    """What the pen draws: m strokes."""

    kind: IntArray  # (m,) number in KINDS
    box: FloatArray  # (m, 4) drawing units
    length: FloatArray  # (m,) drawn length; diagonal of the box for texts, fills and other boxed kinds

    @property
    def centre(self) -> FloatArray:
        """(m, 2) centres of the boxes."""
        return (self.box[:, :2] + self.box[:, 2:]) / 2.0

    @property
    def size(self) -> FloatArray:
        """(m, 2) widths and heights of the boxes."""
        return self.box[:, 2:] - self.box[:, :2]


def strokes(drawing: Drawing) -> Strokes:
    """The strokes of a drawing; a polyline of more than one edge is taken apart, and also one stroke of its own."""
    shapes = Shapes.of(drawing)
    kinds: list[IntArray] = []
    parts: list[FloatArray] = []
    lengths: list[FloatArray] = []

    def add(kind: str, box: FloatArray, length: FloatArray) -> None:
        kinds.append(np.full(len(box), KINDS.index(kind)))
        parts.append(box)
        lengths.append(length)

    first, second, owner, bulge = edges(shapes)
    straight = np.isin(shapes.cls[owner], (C.LINE, C.LWPOLYLINE)) & (bulge == 0)
    p, q = shapes.vertices[first[straight], :2], shapes.vertices[second[straight], :2]
    add("line", np.hstack([np.minimum(p, q), np.maximum(p, q)]), np.hypot(*(q - p).T))

    centre, radius, start, sweep, owner = arcs(shapes)
    drawn = np.isin(shapes.cls[owner], (C.CIRCLE, C.ARC, C.LWPOLYLINE))
    box = arc_boxes(centre, radius, start, sweep)
    full = np.abs(sweep) > 2 * np.pi - 1e-6
    for kind, mask in (("arc", ~full), ("circle", full & (radius > 0)), ("point", full & (radius == 0))):
        mask = mask & drawn
        add(kind, box[mask], (radius * np.abs(sweep))[mask])

    polylines = np.flatnonzero((drawing.cls == C.LWPOLYLINE) & (np.diff(drawing.vertex_start) > 2))
    for kind, rows in (("polyline", polylines), *((kind, drawing.rows(cls)) for kind, cls in BOXED.items())):
        box = drawing.box[rows]
        add(kind, box, np.hypot(*(box[:, 2:] - box[:, :2]).T))
    return Strokes(np.concatenate(kinds), np.concatenate(parts), np.concatenate(lengths))


# --- tokens ----------------------------------------------------------------------------------------------------------


def mix(*columns: NDArray[np.integer]) -> Tokens:
    """(m,) 64-bit hashes of rows of integers (multiply-xorshift, after Steele et al. 2014)."""
    h = np.full(len(columns[0]), 0x9E3779B97F4A7C15, np.uint64)
    for column in columns:
        h ^= (
            column.astype(np.int64).view(np.uint64)
            + np.uint64(0x9E3779B97F4A7C15)
            + (h << np.uint64(6))
            + (h >> np.uint64(2))
        )
        h *= np.uint64(0xBF58476D1CE4E5B9)
        h ^= h >> np.uint64(31)
    return h


def steps(value: FloatArray, step: float) -> IntArray:
    """Values as whole steps of their logarithm; one far number for those that vanish."""
    return np.where(value > TINY, np.round(np.log(np.maximum(value, TINY)) / step), -9999).astype(np.int64)


def size_tokens(pen: Strokes, unit: float, step: float) -> Tokens:
    """One token a stroke: kind, width and height, in units of ``unit``."""
    size = pen.size / unit
    return mix(pen.kind, steps(size[:, 0], step), steps(size[:, 1], step))


def pair_tokens(pen: Strokes, neighbours: IntArray, unit: float, step: float, handed: bool) -> Tokens:
    """One token a pair of neighbours (p, 2): both size tokens and the offset of their centres, in either order."""
    i, j = neighbours.T
    token = size_tokens(pen, unit, step)
    offset = (pen.centre[j] - pen.centre[i]) / unit
    # rising or falling from the one to the other: the same in either order and upside down, not in a mirror
    level = (not handed) | (np.abs(offset).min(axis=1) <= LEVEL * np.abs(offset).max(axis=1))
    hand = np.where(level, 0, np.sign(offset[:, 0]) * np.sign(offset[:, 1])).astype(np.int64)
    offset = np.abs(offset)
    low, high = np.minimum(token[i], token[j]), np.maximum(token[i], token[j])
    return mix(low.view(np.int64), high.view(np.int64), hand, steps(offset[:, 0], step), steps(offset[:, 1], step))


def neighbour_pairs(pen: Strokes) -> IntArray:
    """(p, 2) each stroke and its nearest neighbours; whole polylines are no neighbours.

    Of strokes equally far away kind, size and side decide, so that the order in the file does not matter.
    """
    from scipy.spatial import cKDTree

    members = np.flatnonzero(pen.kind != KINDS.index("polyline"))
    if len(members) < 2:
        return np.zeros((0, 2), np.int64)
    centre = pen.centre[members]
    candidates = min(CANDIDATES + 1, len(members))
    distance, near = cKDTree(centre).query(centre, k=candidates)
    itself = near == np.arange(len(members))[:, None]
    distance = np.where(itself, np.inf, distance)
    # distances equal up to rounding compare as equal
    reach = np.maximum(distance[:, -1:], TINY) if candidates > 1 else distance
    rounded = np.round(np.where(np.isfinite(distance), distance, 0.0) / np.where(np.isfinite(reach), reach, 1.0), 6)
    rounded = np.where(itself, np.inf, rounded)
    kind, length = pen.kind[members][near], steps(pen.length[members], 1e-6)[near]
    side = np.round((centre[near] - centre[:, None]) / np.where(np.isfinite(reach), reach, 1.0)[:, :, None], 6)
    order = np.lexsort((side[:, :, 1], side[:, :, 0], length, kind, rounded), axis=1)[
        :, : min(NEIGHBOURS, candidates - 1)
    ]
    j = np.take_along_axis(near, order, axis=1)
    i = np.repeat(np.arange(len(members)), j.shape[1])
    return np.column_stack([members[i], members[j.ravel()]])


def fold(tokens: Tokens, weight: FloatArray, dim: int) -> FloatArray:
    """(dim,) signed hashing of a bag: 1 + log(count), weighted by (BUCKETS,) inverse frequencies."""
    distinct, count = np.unique(tokens, return_counts=True)
    value = (1.0 + np.log(count)) * weight[(distinct % np.uint64(BUCKETS)).astype(np.int64)]
    sign = np.where((distinct >> np.uint64(40)) & np.uint64(1), 1.0, -1.0)
    slot = ((distinct >> np.uint64(20)) % np.uint64(dim)).astype(np.int64)
    folded: FloatArray = np.bincount(slot, sign * value, dim).astype(np.float64)
    return folded


# --- grids and numbers -----------------------------------------------------------------------------------------------


def grid(lines: FloatArray, direction: IntArray, pen: Strokes, frame: FloatArray) -> FloatArray:
    """(CHANNELS · CELLS²,) how much lies in each cell of the square around ``frame``.

    Channels: line by direction, then number of curves, texts and fills; square roots, blurred.
    """
    # a margin: lines on the frame's border, which many drawings have, then lie inside whatever the rounding
    pixels = to_pixels(lines, frame, CELLS, margin=MARGIN)
    channels = [ink(pixels[direction == d], CELLS) for d in range(DIRECTIONS)]
    spot = to_pixels(np.hstack([pen.centre, pen.centre]), frame, CELLS, margin=MARGIN)[:, :2]
    for names in (("arc", "circle"), ("text", "mtext", "dimension", "leader"), ("hatch", "solid", "point")):
        channels.append(splat(spot[np.isin(pen.kind, [KINDS.index(name) for name in names])]))
    return np.concatenate([blur(np.sqrt(channel), GRID_BLUR).ravel() for channel in channels])


def splat(spot: FloatArray) -> NDArray[np.float32]:
    """(CELLS, CELLS) points (m, 2) in cell coordinates, each shared by its four nearest cells; what lies outside is lost."""
    image = np.zeros((CELLS, CELLS))
    corner = np.floor(spot - 0.5)
    share = spot - 0.5 - corner
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = corner[:, 0] + dx, corner[:, 1] + dy
            weight = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            inside = (x >= 0) & (x < CELLS) & (y >= 0) & (y < CELLS)
            cell = (y[inside] * CELLS + x[inside]).astype(np.int64)
            image += np.bincount(cell, weight[inside], CELLS**2).reshape(CELLS, CELLS)
    return image.astype(np.float32)


def mass_frame(pen: Strokes) -> FloatArray:
    """(4,) square around the strokes' centre of mass: a new title block moves a frame, it hardly moves the mass."""
    weight = np.maximum(pen.length, TINY)
    weight = weight / weight.sum()
    mean = weight @ pen.centre
    variance = weight @ (((pen.centre - mean) ** 2).sum(axis=1) + (pen.size**2).sum(axis=1) / 12.0)
    reach = MASS_REACH * max(float(np.sqrt(variance)), TINY)
    return np.concatenate([mean - reach, mean + reach])


def soft_bins(value: float, low: float, high: float, count: int) -> FloatArray:
    """(count,) a number as a bump on an axis of bins: near numbers have near bumps. Unit length."""
    centres, width = np.linspace(low, high, count, retstep=True)
    bump: FloatArray = np.exp(-0.5 * ((np.clip(value, low, high) - centres) / width) ** 2)
    return unit(bump)


def unit(vector: FloatArray) -> FloatArray:
    """The vector at unit length; zeros stay zeros."""
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


# --- the encoder -----------------------------------------------------------------------------------------------------


class Descriptor:
    """See the module's head; an `Encoder`.

    ``frequencies`` (len(BAGS), BUCKETS) inverse document frequencies, ``whitenings`` one for each of GRIDS (empty: the
    grids stay as they are); what is not given is what the package ships.
    """

    id = "descriptor-3"

    def __init__(
        self, frequencies: FloatArray | None = None, whitenings: Mapping[str, Whitening] | None = None
    ) -> None:
        self._frequencies, self._whitenings = frequencies, whitenings

    @cached_property
    def dims(self) -> list[int]:
        """Length of each of PARTS."""
        return [part.dim if part.name not in GRIDS or self.whitenings else CHANNELS * CELLS**2 for part in PARTS]

    @property
    def dim(self) -> int:
        """See `Encoder.dim`."""
        return sum(self.dims)

    @property
    def codes(self) -> dict[str, slice]:
        """See `Encoder.codes`."""
        ends = np.cumsum(self.dims)
        split = int(max(end for end, part in zip(ends, PARTS, strict=True) if part.code == "sequence"))
        return {"sequence": slice(0, split), "geometry": slice(split, self.dim)}

    @cached_property
    def frequencies(self) -> FloatArray:
        """Shipped inverse document frequencies, (len(BAGS), BUCKETS)."""
        return shipped_frequencies() if self._frequencies is None else self._frequencies

    @cached_property
    def whitenings(self) -> Mapping[str, Whitening]:
        """Shipped whitening of each of GRIDS."""
        return shipped_whitenings() if self._whitenings is None else self._whitenings

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, dim), see `Encoder.encode`."""
        vectors = [self._vector(clean(drawing)) for drawing in drawings]
        return np.array(vectors, np.float32).reshape(-1, self.dim)

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """See `Encoder.query`. Free of size, the absolute parts are left out and the rest is scaled to unit length."""
        vectors = encode_poses(self, drawing, switches)
        if not switches.size:
            keep = np.repeat([not part.absolute for part in PARTS], self.dims)
            # a hit's absolute parts hold their share of its length: what is left of a perfect hit scores 1
            vectors = vectors * keep
            vectors /= np.maximum((vectors**2).sum(axis=1, keepdims=True), 1e-12)
        return vectors

    def _vector(self, drawing: Drawing) -> FloatArray:
        parts = self.parts(drawing)
        if parts is None:
            return np.zeros(self.dim)
        return unit(np.concatenate([np.sqrt(part.weight) * unit(parts[part.name]) for part in PARTS]))

    def parts(self, drawing: Drawing) -> dict[str, FloatArray] | None:
        """Every part by name, before the last normalisation; None for a drawing without strokes."""
        pen = strokes(drawing)
        if len(pen.kind) == 0:
            return None
        parts = {}
        for weight, (name, tokens) in zip(self.frequencies, bags(drawing, pen).items(), strict=True):
            parts[name] = fold(tokens, weight, next(part.dim for part in PARTS if part.name == name))
        frame = drawing.frame
        width, height = np.maximum(frame[2:] - frame[:2], 1e-6)
        lines, owner = segments(drawing, max(width, height) / CELLS / 16)
        lines = lines[np.isin(drawing.cls[owner], STROKED)]
        direction = directions(to_pixels(lines, frame, CELLS))
        for name, seen in zip(GRIDS, (frame, mass_frame(pen)), strict=True):
            parts[name] = grid(lines, direction, pen, seen)
            if name in self.whitenings:
                parts[name] = self.whitenings[name](unit(parts[name]))
        millimetre = drawing.unit_mm or 1.0
        total = float(pen.length.sum()) + 1e-6
        extent = [np.log(width * millimetre), np.log(height * millimetre), np.log(total * millimetre)]
        parts["extent"] = np.concatenate(
            [soft_bins(value, -5.0, high, 40) for value, high in zip(extent, (12, 12, 15), strict=True)]
        )
        counts = np.log1p(np.bincount(pen.kind, minlength=len(KINDS)))
        shape = [soft_bins(np.log(width / height), -4.0, 4.0, 30), soft_bins(np.log1p(len(pen.kind)), 0.0, 12.0, 24)]
        parts["shape"] = np.concatenate([*shape, 1.4 * unit(counts)])
        return parts


def bags(drawing: Drawing, pen: Strokes) -> dict[str, Tokens]:
    """The tokens of a drawing by bag, in the order of BAGS."""
    millimetre = 1.0 / (drawing.unit_mm or 1.0)  # drawing units in a millimetre
    diagonal = max(float(np.hypot(*drawing.size)), TINY)
    pairs = neighbour_pairs(pen)
    return {
        "sizes": size_tokens(pen, millimetre, STEP),
        "relative sizes": size_tokens(pen, diagonal, STEP),
        "pairs": pair_tokens(pen, pairs, millimetre, STEP, handed=False),
        "relative pairs": pair_tokens(pen, pairs, diagonal, COARSE_STEP, handed=True),
    }


# --- frequencies -----------------------------------------------------------------------------------------------------

FREQUENCY_STEP = 0.1  # inverse frequencies are stored as bytes, in tenths


def learn_frequencies(drawings: Sequence[Drawing]) -> FloatArray:
    """(len(BAGS), BUCKETS) inverse document frequencies log((n + 1) / (df + ½)) of the drawings' tokens."""
    found = np.zeros((len(BAGS), BUCKETS))
    for drawing in drawings:
        for row, tokens in zip(found, bags(drawing, strokes(drawing)).values(), strict=True):
            row[np.unique(tokens % np.uint64(BUCKETS)).astype(np.int64)] += 1
    return np.log((len(drawings) + 1) / (found + 0.5))


def save_frequencies(path: Path, frequencies: FloatArray) -> None:
    """Write the table as the package ships it."""
    np.savez_compressed(path, idf=np.round(frequencies / FREQUENCY_STEP).astype(np.uint8))


def shipped_frequencies() -> FloatArray:
    """The table in the package."""
    with (
        resources.files("deepdxf").joinpath("data/token_frequencies.npz").open("rb") as stream,
        np.load(stream) as data,
    ):
        table: FloatArray = data["idf"] * FREQUENCY_STEP
        return table


# --- whitening -------------------------------------------------------------------------------------------------------


def save_whitenings(path: Path, whitenings: Mapping[str, Whitening]) -> None:
    """Write whitenings of GRIDS as the package ships them, in half precision."""
    columns = {f"{name}/{field}": value for name, w in whitenings.items() for field, value in w._asdict().items()}
    np.savez_compressed(path, **{name: value.astype(np.float16) for name, value in columns.items()})


def shipped_whitenings() -> dict[str, Whitening]:
    """Those in the package."""
    with (
        resources.files("deepdxf").joinpath("data/grid_whitening.npz").open("rb") as stream,
        np.load(stream) as data,
    ):
        columns = {name: data[name].astype(np.float64) for name in data.files}
    return {name: Whitening(columns[f"{name}/centre"], columns[f"{name}/matrix"]) for name in GRIDS}
