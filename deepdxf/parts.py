"""Part search: the drawings of an archive that contain a detail, with the place.

A detail is the geometry of a small drawing, or of a box of a drawing: lines, arcs, circles, points, splines, fills; texts,
dimensions and leaders are left out, for they seldom come along. Its *share* in a drawing is the share of its strokes that
lie over equal ones there, one to one, in one pose (`align`); 1 is the whole detail.

1. Sizes: sketches in the archive (`verify`) tell which drawings have strokes of the detail's kinds and sizes at all. This
   needs no file. A sketch holds the longest strokes only: what is shorter than all of them counts as being there.
2. Poses: the drawings that can have at least `min_share`, the most promising first and at most `depth` of them, are read,
   and the detail is laid into each.

Of several places in one drawing the best is told. Lengths count: a detail at another scale is another detail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepdxf.align import align_strokes, pen_strokes
from deepdxf.archive import Archive
from deepdxf.batch import progress_bar, read_many
from deepdxf.descriptor import KINDS, Strokes, strokes
from deepdxf.drawing import BoolArray, Drawing, FloatArray, IntArray
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError, ReadError
from deepdxf.files import without_path
from deepdxf.reader import read
from deepdxf.render import GRID, View, svg
from deepdxf.verify import STROKES

LABELS = ("text", "mtext", "dimension", "leader")
LEAST = 3  # strokes of a detail
MOST = 2000  # strokes of a detail that are laid; the longest
TOLERANCE_MM = 0.01
TOLERANCE_SHARE = (1e-4, 1e-3)  # of the detail's diagonal: the least and the most that the tolerance is
SIZE_SLACK = 3.0  # tolerances by which sizes of sketches, kept in 32 bits, may differ
DEPTH = 300  # drawings that are read
ROWS_AT_ONCE = 400

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Detail:
    """What is looked for."""

    pen: Strokes  # millimetres; drawing units where the unit is not stated
    tolerance: float  # the same

    @property
    def frame(self) -> FloatArray:
        """(4,) its box."""
        return np.concatenate([self.pen.box[:, :2].min(axis=0), self.pen.box[:, 2:].max(axis=0)])


@dataclass(frozen=True)
class Place:
    """Where the detail lies in a drawing."""

    box: Box  # of the detail there, coordinates of the drawing
    share: float  # of the detail's strokes that lie over equal ones there, 0 … 1
    rotation: float  # degrees by which the detail is turned there
    mirrored: bool
    scale: float = 1.0  # lengths there for lengths in the detail


@dataclass(frozen=True)
class PartHit:
    """A drawing that contains the detail."""

    id: str
    path: str
    root: str
    places: tuple[Place, ...]  # at least one, best first

    @property
    def share(self) -> float:
        """Of the best place, as are the others."""
        return self.places[0].share

    @property
    def place(self) -> Box:
        """Its box."""
        return self.places[0].box

    @property
    def rotation(self) -> float:
        """Degrees by which the detail is turned there."""
        return self.places[0].rotation

    @property
    def mirrored(self) -> bool:
        """Whether the detail is mirrored there."""
        return self.places[0].mirrored


@dataclass(frozen=True)
class PartSearch:
    """What a part search found."""

    hits: tuple[PartHit, ...]  # best first, then by id
    strokes: int  # of the detail
    searched: int  # drawings
    read: int  # of them, files that were read
    left: int  # that could hold the detail too, but were beyond the depth
    failed: dict[str, str]  # path -> why it could not be read


def detail_of(drawing: Drawing, box: Box | None = None) -> Detail:
    """The geometry of a drawing, or what of it lies in a box.

    Args:
        box: x0, y0, x1, y1 in drawing units, corners in any order.

    Raises:
        DeepDXFError: there are fewer than `LEAST` strokes.
    """
    pen = pen_strokes(strokes(drawing))
    keep: BoolArray = ~np.isin(pen.kind, [KINDS.index(name) for name in LABELS])
    if box is not None:
        corners = np.array(box, np.float64).reshape(2, 2)
        low, high = corners.min(axis=0), corners.max(axis=0)
        slack = 1e-6 * float((high - low).max())
        keep &= (pen.box[:, :2] >= low - slack).all(axis=1) & (pen.box[:, 2:] <= high + slack).all(axis=1)
    chosen = np.flatnonzero(keep)
    if len(chosen) < LEAST:
        where = "the box" if box is not None else "the drawing"
        raise DeepDXFError(
            f"{len(chosen)} strokes of geometry lie wholly in {where}; a detail needs {LEAST} or more (texts and dimensions "
            "do not count)"
        )
    if len(chosen) > MOST:
        chosen = np.sort(chosen[np.argsort(-pen.length[chosen], kind="stable")[:MOST]])
    pen = _scaled(Strokes(pen.kind[chosen], pen.box[chosen], pen.length[chosen]), drawing.unit_mm or 1.0)
    detail = Detail(pen, 0.0)
    low_t, high_t = (share * float(np.hypot(*(detail.frame[2:] - detail.frame[:2]))) for share in TOLERANCE_SHARE)
    return replace(detail, tolerance=max(min(max(TOLERANCE_MM, low_t), high_t), 1e-9))


def find_parts(
    archive: Archive,
    detail: Detail,
    k: int = 10,
    *,
    min_share: float,
    switches: Switches | None = None,
    where: str | None = None,
    without: str | None = None,
    depth: int = DEPTH,
    workers: int | None = None,
    timeout_s: float = 120.0,
    quiet: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PartSearch:
    """The drawings of an archive that contain a detail.

    Args:
        k: hits at most.
        switches: whether the detail may be turned by multiples of 90°, or mirrored. It has its size.
        min_share: the lowest share of a hit.
        where: only drawings that pass a filter.
        without: id of a drawing that is no answer: the one that the detail was taken from.
        depth: drawings that are read at most.
        workers, timeout_s: of reading, see `read_many`.
        quiet: no progress bar.
        progress: called with the number of drawings done and of drawings to do, first with 0; what it raises ends the search.

    Raises:
        DeepDXFError: another size is asked for.
        FilterError: the filter does not parse.
    """
    switches = switches or Switches()
    if not switches.size:
        raise DeepDXFError("a part is searched at its size; leave out --any-size")
    rows = [row for row in archive.records(where, ("path", "root", "status")) if row["status"] != "failed"]
    rows = [row for row in rows if row["id"] != without]
    bound = np.zeros(len(rows))
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[first : first + ROWS_AT_ONCE]
        for number, pen in enumerate(archive.sketches([row["id"] for row in some]), first):
            bound[number] = 1.0 if pen is None else most_share(detail, pen, turned=switches.rotation)
    able = np.flatnonzero(bound >= min_share)
    able = able[np.argsort(-bound[able], kind="stable")]
    tried = [rows[i] for i in able[:depth]]
    tasks = {Path(row["root"], row["path"]): row for row in tried}
    hits: list[PartHit] = []
    failed: dict[str, str] = {}
    stream = read_many(tasks, _Lay(detail, switches), workers=workers, timeout_s=timeout_s)
    with progress_bar("laying", len(tasks), quiet) as step, closing(stream):  # type: ignore[type-var]
        if progress:
            progress(0, len(tasks))
        for number, outcome in enumerate(stream, 1):
            step()
            if progress:
                progress(number, len(tasks))
            row = tasks[outcome.item]
            if outcome.error is not None:
                failed[row["path"]] = without_path(outcome.error, str(outcome.item))
            elif outcome.value is not None and outcome.value["share"] >= min_share:
                found = outcome.value
                place = Place(found["place"], found["share"], found["rotation"], found["mirrored"])
                hits.append(PartHit(row["id"], row["path"], row["root"], (place,)))
    hits.sort(key=lambda hit: (-hit.share, hit.id))
    left = len(able) - len(tried)
    return PartSearch(tuple(hits[:k]), len(detail.pen.kind), len(rows), len(tried), left, dict(sorted(failed.items())))


def most_share(detail: Detail, sketch: Strokes, *, turned: bool) -> float:
    """The largest share of a detail that a drawing can hold, by the kinds and sizes of its sketch."""
    pen = detail.pen
    shortest = float(sketch.length.min()) if len(sketch.kind) >= STROKES else -1.0
    slack = SIZE_SLACK * detail.tolerance
    found = pen.length <= shortest + slack  # the sketch may have left it out
    for kind in np.unique(pen.kind):
        mine, theirs = np.flatnonzero(pen.kind == kind), np.flatnonzero(sketch.kind == kind)
        if len(theirs) == 0:
            continue
        size = sketch.size[theirs]
        if turned:
            size = np.vstack([size, size[:, ::-1]])
        found[mine] |= _near(pen.size[mine], size, slack)
    return float(found.mean())


def _near(a: FloatArray, b: FloatArray, slack: float) -> BoolArray:
    """(n,) whether a row of a (n, 2) has one of b (m, 2) that differs by no more than the slack in both columns."""
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(b).query(a, p=np.inf, distance_upper_bound=slack * (1 + 1e-9))
    return np.asarray(np.isfinite(distance), np.bool_)


def _scaled(pen: Strokes, unit: float) -> Strokes:
    return pen if unit == 1.0 else Strokes(pen.kind, pen.box * unit, pen.length * unit)


@dataclass(frozen=True)
class _Lay:
    """Work of a process: lay the detail into the drawing of a file."""

    detail: Detail
    switches: Switches

    def __call__(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            raise ReadError("the file has vanished; index its folder again")
        return lay(self.detail, read(path), self.switches)


def lay(detail: Detail, drawing: Drawing, switches: Switches) -> dict[str, Any] | None:
    """Share, place, rotation and mirrored of a detail in a drawing; None if it has nothing in common with it."""
    unit = drawing.unit_mm or 1.0
    pen = pen_strokes(_scaled(strokes(drawing), unit))
    pen = _alike(detail, pen, switches)
    found = align_strokes(
        detail.pen,
        pen,
        rotation="quarters" if switches.rotation else "none",
        mirror=switches.mirror,
        tolerance=detail.tolerance,
    )
    if not found.found:
        return None
    x0, y0, x1, y1 = detail.frame
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) @ found.matrix[:, :2].T + found.matrix[:, 2]
    low, high = corners.min(axis=0) / unit, corners.max(axis=0) / unit
    return {
        "share": round(found.matched / len(detail.pen.kind), 6),
        "place": tuple(np.concatenate([low, high]).round(6).tolist()),
        "rotation": round(found.rotation, 6),
        "mirrored": found.mirrored,
    }


def _alike(detail: Detail, pen: Strokes, switches: Switches) -> Strokes:
    """The strokes of a drawing that the detail has something of the same kind and size for: others do not matter."""
    keep = np.zeros(len(pen.kind), np.bool_)
    for kind in np.unique(detail.pen.kind):
        rows: IntArray = np.flatnonzero(pen.kind == kind)
        size = detail.pen.size[detail.pen.kind == kind]
        if switches.rotation:
            size = np.vstack([size, size[:, ::-1]])
        if len(rows):
            keep[rows] = _near(pen.size[rows], size, SIZE_SLACK * detail.tolerance)
    return Strokes(pen.kind[keep], pen.box[keep], pen.length[keep])


# --- showing ---------------------------------------------------------------------------------------------------------

MARK = "#d55e00"  # told from ink by its dashes, not by its colour alone
PIXELS = 800


def marked_svg(drawing: Drawing, place: Sequence[float], pixels: int = PIXELS) -> str:
    """A square picture of a drawing with a place in a dashed frame, as an SVG document."""
    picture = svg(drawing, width=pixels, height=pixels)
    grid = View(drawing.frame, pixels, pixels).to_grid(np.array(place, np.float64).reshape(2, 2))
    (left, top), (right, bottom) = grid.min(axis=0), grid.max(axis=0)
    line = GRID * pixels / 250.0  # as wide in a thumbnail as in a large picture
    mark = (
        f'<rect x="{left - 2 * line:.0f}" y="{top - 2 * line:.0f}" width="{right - left + 4 * line:.0f}" '
        f'height="{bottom - top + 4 * line:.0f}" fill="{MARK}" fill-opacity="0.1" stroke="{MARK}" stroke-width="{line:.0f}" '
        f'stroke-dasharray="{4 * line:.0f} {2 * line:.0f}"><title>the detail</title></rect>'
    )
    return picture.replace("</svg>", f"{mark}</svg>")
