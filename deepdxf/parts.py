"""Part search: the drawings of an archive that contain a detail, with the places.

A detail is the geometry of a small drawing, or of a box of a drawing: lines, arcs, circles, points, splines, fills; texts,
dimensions and leaders are left out, for they seldom come along. Its *share* at a place of a drawing is the share of its
strokes that lie over equal ones there, one to one, under one map (turn, mirror, scale, displacement); 1 is the whole detail.
Strokes are equal that have one kind and boxes which differ by no more than a tolerance.

1. Sizes: the archive keeps all strokes of a drawing (`inventory`). One look at their kinds and sizes says how much of the
   detail each drawing can hold at most. Free of size, the ratios of lengths say at which scales that is (`RATIO_BIN`).
2. Places: into drawings that can hold enough, the most first, the detail is laid. As some strokes of it must lie over equal
   ones, it is enough to try the displacements of its rarest strokes (all but those that may be missing): no place is lost.
3. Drawings whose strokes the archive does not hold, or not closely enough, are read from their files.

Limits keep the work bounded: drawings that are laid (`depth`) or read (`READ`), pairs of strokes and displacements of one
drawing (`PAIRS`, `TRIES`). Where they cut something off, the result says so (`PartSearch.left`, `.limited`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from deepdxf.align import cells
from deepdxf.archive import Archive
from deepdxf.batch import progress_bar, read_many
from deepdxf.descriptor import Strokes, mix
from deepdxf.drawing import BoolArray, Drawing, FloatArray, IntArray, enclosing
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError, ReadError
from deepdxf.files import without_path
from deepdxf.inventory import Inventory, geometry_of, strokes_in
from deepdxf.reader import read
from deepdxf.render import GRID, View, svg

LEAST = 3  # strokes of a detail
MOST = 2000  # strokes of a detail that are laid; the longest
TOLERANCE_MM = 0.01
TOLERANCE_SHARE = (1e-4, 1e-3)  # of the detail's diagonal: the least and the most that the tolerance is
COARSE = 3.0  # of the largest of these: where strokes are kept less closely, the file is read
SIZE_SLACK = 3.0  # tolerances by which sizes may differ that are worth a look

DEPTH = 500  # drawings that are laid
READ = 100  # of them, drawings whose file has to be read
VOTES = 2_000  # pairs of strokes that tell displacements, where fewer would do too
PAIRS = 10_000  # and where more are needed, the other ones are left out
CROWDED = 3  # then one in so many of the strokes that are tried must agree on a displacement
WORK = 2_000_000  # pairs of one search
SLOTS = 2**17  # of a table of votes
TRIES = 256  # displacements that are tried under one map
QUICK = 200  # strokes that a displacement is tried with first
SLACK_QUICK = 0.1  # share that may be missing then
PLACES = 100  # of one drawing
APART = 0.5  # places that overlap by more than this share of their box are one

RATIO_BIN = 0.004  # of the logarithm of a ratio of lengths
RATIO_RANGE = 7.0  # largest logarithm of such a ratio: a thousand times
RATIO_SIZES = 48  # different sizes of the detail that tell scales
PROPORTION = 2e-3  # by which proportions of strokes may differ
SCALES = 3  # that are tried in a drawing
CROWD = 30.0  # strokes of one proportion in a drawing, from which one that agrees says little

MOST_CELLS = 2**24  # of votes for ratios that are in memory at once

HELD = 2**24  # strokes of an archive that stay in memory for the next search
AT_ONCE = 2**21  # strokes that are looked at together, otherwise
EPSILON = 1e-9

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Detail:
    """What is looked for."""

    pen: Strokes  # millimetres; drawing units where the unit is not stated
    tolerance: float  # the same

    @property
    def frame(self) -> FloatArray:
        """(4,) its box."""
        return enclosing(self.pen.box)

    @property
    def diagonal(self) -> float:
        """Of its box."""
        return float(np.hypot(*(self.frame[2:] - self.frame[:2])))

    def scaled(self, scale: float) -> Detail:
        """The same at another size."""
        pen = Strokes(self.pen.kind, self.pen.box * scale, self.pen.length * scale)
        return replace(Detail(pen, 0.0), tolerance=_tolerance(self.diagonal * scale))


@dataclass(frozen=True)
class Place:
    """Where the detail lies in a drawing."""

    box: Box  # of the detail there, coordinates of the drawing
    share: float  # of the detail's strokes that lie over equal ones there, 0 … 1
    rotation: float  # degrees by which the detail is turned there, after mirroring left to right where `mirrored`
    mirrored: bool
    scale: float = 1.0  # lengths there for lengths in the detail, units taken into account


@dataclass(frozen=True)
class PartHit:
    """A drawing that contains the detail."""

    id: str
    path: str
    root: str
    places: tuple[Place, ...]  # at least one, at most `PLACES`; best first

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
    laid: int  # of them, drawings that the detail was laid into
    read: int  # of those, files that were read
    left: int  # drawings that could hold the detail too, but were beyond the depth
    limited: int  # drawings in which not all displacements were tried
    failed: dict[str, str]  # path -> why it could not be read


def detail_of(drawing: Drawing, box: Box | None = None) -> Detail:
    """The geometry of a drawing, or what of it lies in a box.

    Args:
        box: x0, y0, x1, y1 in drawing units, corners in any order.

    Raises:
        DeepDXFError: there are fewer than `LEAST` strokes.
    """
    pen = geometry_of(drawing)
    keep: BoolArray = np.ones(len(pen.kind), np.bool_)
    if box is not None:
        corners = np.array(box, np.float64).reshape(2, 2) * (drawing.unit_mm or 1.0)
        low, high = corners.min(axis=0), corners.max(axis=0)
        slack = 1e-6 * float((high - low).max())
        keep = (pen.box[:, :2] >= low - slack).all(axis=1) & (pen.box[:, 2:] <= high + slack).all(axis=1)
    chosen = np.flatnonzero(keep)
    if len(chosen) < LEAST:
        where = "the box" if box is not None else "the drawing"
        raise DeepDXFError(
            f"{len(chosen)} strokes of geometry lie wholly in {where}; a detail needs {LEAST} or more (texts and dimensions "
            "do not count)"
        )
    if len(chosen) > MOST:
        chosen = np.sort(chosen[np.argsort(-pen.length[chosen], kind="stable")[:MOST]])
    detail = Detail(Strokes(pen.kind[chosen], pen.box[chosen], pen.length[chosen]), 0.0)
    return replace(detail, tolerance=_tolerance(detail.diagonal))


def _tolerance(diagonal: float) -> float:
    low, high = (share * diagonal for share in TOLERANCE_SHARE)
    return max(min(max(TOLERANCE_MM, low), high), 1e-9)


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
        switches: whether the detail may be turned by multiples of 90°, mirrored, or of another size.
        min_share: the lowest share of a hit.
        where: only drawings that pass a filter.
        without: id of a drawing that is no answer: the one that the detail was taken from.
        depth: drawings that the detail is laid into at most.
        workers, timeout_s: of reading files, see `read_many`.
        quiet: no progress bar.
        progress: called with the number of drawings done and of drawings to do, first with 0; what it raises ends the search.

    Raises:
        FilterError: the filter does not parse.
        ArchiveError: the archive is damaged.
    """
    switches = switches or Switches()
    work = _Lay(detail, switches, min_share)
    rows = {row["id"]: row for row in archive.records(where, ("path", "root", "status")) if row["status"] != "failed"}
    rows.pop(without or "", None)
    able: list[_Candidate] = []
    for stock in _inventories(archive):
        able += [one for one in _able(work, stock) if one.id in rows]
    able.sort(key=lambda one: (-one.rank, -one.weight, one.id))
    known, unknown = (
        [one for one in able if one.known][:depth],
        [one for one in able if not one.known][: min(depth, READ)],
    )
    left = len(able) - len(known) - len(unknown)
    hits: list[PartHit] = []
    failed: dict[str, str] = {}
    limited = done = pairs = 0

    def take(id: str, found: Laid) -> None:
        nonlocal limited, pairs
        limited, pairs = limited + found.limited, pairs + found.pairs
        if found.places:
            hits.append(PartHit(id, rows[id]["path"], rows[id]["root"], found.places))

    def step() -> None:
        nonlocal done
        done += 1
        advance()
        if progress:
            progress(done, len(known) + len(unknown))

    tasks = {Path(rows[one.id]["root"], rows[one.id]["path"]): one.id for one in unknown}
    with progress_bar("laying", len(known) + len(unknown), quiet) as advance:
        if progress:
            progress(0, len(known) + len(unknown))
        for one in known:
            if switches.size and one.bound <= _kth_share(hits, k):
                break  # neither it nor what follows can be better
            if pairs > WORK:
                left += len(known) - done
                break
            take(one.id, one.lay(work))
            step()
        laid = done
        with closing(read_many(tasks, work, workers=workers, timeout_s=timeout_s)) as stream:  # type: ignore[type-var]
            for outcome in stream:
                if outcome.value is not None:
                    take(tasks[outcome.item], outcome.value)
                else:
                    failed[rows[tasks[outcome.item]]["path"]] = without_path(outcome.error or "", str(outcome.item))
                step()
    hits.sort(key=lambda hit: (-hit.share, hit.id))
    return PartSearch(
        tuple(hits[:k]),
        len(detail.pen.kind),
        len(rows),
        laid + len(unknown),
        len(unknown),
        left,
        limited,
        dict(sorted(failed.items())),
    )


def _kth_share(hits: Sequence[PartHit], k: int) -> float:
    """Share of the k-th best hit; 0 where there are fewer."""
    return sorted((hit.share for hit in hits), reverse=True)[k - 1] if len(hits) >= k else 0.0


_held: WeakKeyDictionary[Archive, tuple[int, Inventory]] = WeakKeyDictionary()


def _inventories(archive: Archive) -> Iterator[Inventory]:
    """The strokes of all drawings: of the last version in memory where they have room there, else some at a time."""
    version = archive.version
    if archive in _held and _held[archive][0] == version:
        yield _held[archive][1]
        return
    waiting: list[tuple[str, bytes | None]] = []
    count, pieces = 0, 0
    for rows in archive.packed_strokes():
        waiting += rows
        count += sum(strokes_in(data) for _, data in rows)
        if count > (AT_ONCE if pieces else HELD):
            yield Inventory.of(waiting)
            waiting, count, pieces = [], 0, pieces + 1
    last = Inventory.of(waiting)
    if not pieces:
        _held[archive] = version, last
    yield last


# --- which drawings can hold it --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A drawing that may hold enough of the detail."""

    stock: Inventory
    number: int  # of the drawing in it
    known: bool  # whether its strokes are there, and exact enough
    bound: float  # the largest share that it can hold; free of size, about
    weight: float  # how much of that is not there by chance
    ratios: tuple[float, ...] | None  # free of size: logarithms of scales to try

    @property
    def id(self) -> str:
        """Of the drawing."""
        return self.stock.ids[self.number]

    @property
    def rank(self) -> float:
        """By which candidates are tried: what chance may have brought together goes last."""
        return self.bound if self.ratios is None else self.weight

    def lay(self, work: _Lay) -> Laid:
        """The detail laid into the drawing."""
        part = slice(self.stock.start[self.number], self.stock.start[self.number + 1])
        kind, boxes = self.stock.kind[part].astype(np.int64), self.stock.boxes(self.number)
        rounding = float(self.stock.rounding[self.number])
        if self.ratios is None:
            found = _Found(work.detail, 1.0)
            found.lay(kind, boxes, work, rounding)
            laid = [found]
        else:
            laid = []
            for ratio in self.ratios:
                scale = _exact_scale(work.detail, kind, boxes[:, 2:] - boxes[:, :2], ratio, work.switches.rotation)
                laid.append(_Found(work.detail.scaled(scale), scale))
                laid[-1].lay(kind, boxes, work, rounding)
        return _told(laid, work, self.stock.middle[self.number], float(self.stock.unit[self.number]))


def _able(work: _Lay, stock: Inventory) -> list[_Candidate]:
    """The drawings that may hold enough of a detail."""
    detail, n = work.detail, len(work.detail.pen.kind)
    known = stock.shortest < 0
    if not work.switches.size:
        bound, weight, ratios = _at_scales(work, stock)
    else:
        bound, weight = _at_size(work, stock)
        known &= stock.rounding <= COARSE * TOLERANCE_SHARE[1] * detail.diagonal
        ratios = None
    for i in np.flatnonzero(stock.shortest >= 0).tolist():  # strokes that it may have left out count as there
        bound[i] += float((detail.pen.size.max(axis=1) <= stock.shortest[i]).sum()) / n if ratios is None else 1.0
    able = np.flatnonzero(bound >= work.min_share - EPSILON)
    return [
        _Candidate(
            stock,
            i,
            bool(known[i]),
            min(float(bound[i]), 1.0),
            float(weight[i]),
            None if ratios is None else tuple(ratios[i][np.isfinite(ratios[i])].tolist()),
        )
        for i in able.tolist()
    ]


class _Sizes:
    """The sizes of a detail's strokes; equal ones of one kind have one token."""

    def __init__(self, pen: Strokes, slack: float) -> None:
        self.pen, self.slack = pen, slack
        self.token = cells(pen.kind, pen.size, 2.0 * slack)  # (n,)
        self.count = np.bincount(self.token)  # (t,)

    def tokens(self, kind: NDArray[Any], size: NDArray[Any], slack: FloatArray | float, *, swapped: bool) -> IntArray:
        """(s,) the token of strokes by their kinds (s,) and sizes (s, 2), −1 for none.

        Args:
            slack: by which sizes may differ, at most ``self.slack``; (s,) or one for all.
            swapped: whether the detail lies on its side.
        """
        from scipy.spatial import cKDTree

        found = np.full(len(kind), -1)
        slack = np.broadcast_to(np.asarray(slack, np.float64), (len(kind),))
        for which in np.unique(self.pen.kind).tolist():
            mine = np.flatnonzero(self.pen.kind == which)
            wanted = self.pen.size[mine][:, ::-1] if swapped else self.pen.size[mine]
            rows = np.flatnonzero(kind == which)
            for column in (0, 1):
                rows = rows[_near(np.unique(wanted[:, column]), size[rows, column], slack[rows])]
            if len(rows):
                distance, index = cKDTree(wanted).query(size[rows], p=np.inf)
                close = distance <= slack[rows]
                found[rows[close]] = self.token[mine[index[close]]]
        return found


def _near(values: FloatArray, asked: NDArray[Any], slack: FloatArray) -> BoolArray:
    """(m,) whether one of the ascending values (v,) is within the slack (m,) of what is asked (m,)."""
    place = np.searchsorted(values, asked)
    below, above = values[np.maximum(place - 1, 0)], values[np.minimum(place, len(values) - 1)]
    return np.asarray(np.minimum(np.abs(asked - below), np.abs(above - asked)) <= slack, np.bool_)


def _at_size(work: _Lay, stock: Inventory) -> tuple[FloatArray, FloatArray]:
    """(d,) the largest share of the detail that each drawing can hold, and (d,) how few strokes it has of these sizes."""
    detail, d = work.detail, len(stock.ids)
    slack = SIZE_SLACK * np.maximum(detail.tolerance, stock.rounding)
    sizes = _Sizes(detail.pen, SIZE_SLACK * detail.tolerance)
    many = len(sizes.count)
    best, weight = np.zeros(d), np.zeros(d)
    for swapped in (False, True) if work.switches.rotation else (False,):
        token = sizes.tokens(stock.kind, stock.size, slack[stock.owner], swapped=swapped)
        rows = np.flatnonzero(token >= 0)
        key, there = np.unique(stock.owner[rows] * many + token[rows], return_counts=True)
        drawing, token = key // many, key % many
        held = np.minimum(there, sizes.count[token])
        bound = np.bincount(drawing, held, d) / len(detail.pen.kind)
        better = bound > best
        best = np.where(better, bound, best)
        weight = np.where(better, np.bincount(drawing, held / there, d), weight)
    return best, weight


def _at_scales(work: _Lay, stock: Inventory) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(d,) shares of the detail's sizes that each drawing has at its best scale, how much that says, and (d, `SCALES`)
    logarithms of scales; NaN where there are fewer.

    A size of the detail and one of the drawing that have one kind and proportion vote for the ratio of their lengths.
    """
    pen, d = work.detail.pen, len(stock.ids)
    token = cells(pen.kind, pen.size, 2.0 * SIZE_SLACK * work.detail.tolerance)
    _, first, count = np.unique(token, return_index=True, return_counts=True)
    longest = np.argsort(-pen.size[first].max(axis=1), kind="stable")
    longest = longest[pen.size[first[longest]].max(axis=1) > 0][:RATIO_SIZES]
    first, share = first[longest], count[longest] / max(count[longest].sum(), 1)
    rows = stock.distinct
    rows = rows[stock.size[rows].max(axis=1) > 0]
    kind, size, owner = stock.kind[rows], stock.size[rows].astype(np.float64), stock.owner[rows]
    length = np.log(size.max(axis=1))
    bins = int(2 * RATIO_RANGE / RATIO_BIN) + 2
    best, weight, ratios = np.zeros(d), np.zeros(d), np.full((d, SCALES), np.nan)
    at_once = max(MOST_CELLS // bins, 1)
    mine = pen.size[first]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i in range(len(first)):
        proportion = mine[i].min() / mine[i].max()
        groups.setdefault(
            (int(pen.kind[first[i]]), round(proportion / PROPORTION), bool(mine[i, 0] >= mine[i, 1])), []
        ).append(i)
    found = [
        (
            members,
            np.flatnonzero(_alike(pen.kind[first[members[0]]], mine[members[0]], kind, size, work.switches.rotation)),
        )
        for members in groups.values()
    ]
    for low in range(0, d, at_once):
        here = min(at_once, d - low)
        shares, says = np.zeros(here * bins, np.float32), np.zeros(here * bins, np.float32)
        for members, alike in found:
            alike = alike[np.searchsorted(owner[alike], low) : np.searchsorted(owner[alike], low + here)]
            if not len(alike):
                continue
            drawing = owner[alike] - low
            crowd = 1.0 / (1.0 + np.bincount(drawing, minlength=here)[drawing] / CROWD)
            for i in members:
                place = (length[alike] - np.log(mine[i].max()) + RATIO_RANGE) / RATIO_BIN
                inside = (place >= 0) & (place < bins - 1)
                # the two bins around it, so that no ratio lies on a border; a size votes once for a bin
                cell = drawing[inside] * bins + place[inside].astype(np.int64)
                cell = np.concatenate([cell, cell + 1])
                shares[cell] = shares[cell] + share[i]
                says[cell] = says[cell] + share[i] * np.tile(crowd[inside], 2)
        share_of, says_of = shares.reshape(here, bins), says.reshape(here, bins)
        says_of[share_of < work.min_share - EPSILON] = 0.0
        each = np.arange(here)
        for number in range(SCALES):
            peak = says_of.argmax(axis=1)
            value = says_of[each, peak]
            some = value > 0
            ratios[low : low + here, number][some] = (peak * RATIO_BIN - RATIO_RANGE)[some]
            if number == 0:
                best[low : low + here], weight[low : low + here] = share_of[each, peak] * some, value
            for off in range(-2, 3):
                says_of[each, np.clip(peak + off, 0, bins - 1)] = 0.0
    return best, weight, ratios


def _alike(of: int, like: FloatArray, kind: NDArray[Any], size: FloatArray, turned: bool) -> BoolArray:
    """(s,) whether strokes have the kind and the proportions of one of size ``like`` (2,)."""
    longer = np.maximum(size.max(axis=1), 1e-300)
    proportion = like.min() / like.max()
    keep = (kind == of) & (np.abs(size.min(axis=1) / longer - proportion) <= PROPORTION)
    if not turned and proportion < 1.0 - PROPORTION:
        keep &= (size[:, 0] >= size[:, 1]) == (like[0] >= like[1])
    return np.asarray(keep, np.bool_)


def _exact_scale(detail: Detail, kind: IntArray, size: FloatArray, ratio: float, turned: bool) -> float:
    """A scale out of its rough logarithm: where the most ratios of lengths lie close together."""
    pen = detail.pen
    longest = np.argsort(-pen.size.max(axis=1), kind="stable")[:RATIO_SIZES]
    ratios = []
    keep = size.max(axis=1) > 0
    kind, size = kind[keep], size[keep]
    for i in longest.tolist():
        if pen.size[i].max() > 0:
            rows = _alike(pen.kind[i], pen.size[i], kind, size, turned)
            value = np.unique(np.log(size[rows].max(axis=1) / pen.size[i].max()))
            ratios.append(value[np.abs(value - ratio) <= 1.5 * RATIO_BIN])
    near = np.sort(np.concatenate(ratios)) if ratios else np.zeros(0)
    if not len(near):
        return float(np.exp(ratio))
    reach = RATIO_BIN / 40.0
    inside = np.searchsorted(near, near + reach, side="right") - np.arange(len(near))
    peak = int(np.argmax(inside))
    return float(np.exp(np.median(near[peak : peak + inside[peak]])))


# --- laying it ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Laid:
    """The places of a detail in one drawing."""

    places: tuple[Place, ...]  # best first
    limited: bool  # whether displacements were left out
    pairs: int  # of strokes that voted


@dataclass(frozen=True)
class _Lay:
    """Work of a process: lay the detail into the drawing of a file."""

    detail: Detail
    switches: Switches
    min_share: float

    def __call__(self, path: Path) -> Laid:
        if not path.exists():
            raise ReadError("the file has vanished; index its folder again")
        return lay(self.detail, read(path), self.switches, self.min_share)


def lay(detail: Detail, drawing: Drawing, switches: Switches, min_share: float) -> Laid:
    """The places of a drawing where at least so much of a detail lies."""
    work = _Lay(detail, switches, min_share)
    for one in _able(work, Inventory.whole(drawing)):
        return one.lay(work)
    return Laid((), False, 0)


@dataclass(eq=False)
class _Found:
    """Where a detail of one size lies in a drawing."""

    detail: Detail
    scale: float
    maps: list[FloatArray] = field(default_factory=list)  # (2, 3), of the detail around the middle of its frame
    matched: list[int] = field(default_factory=list)
    pairs: int = 0
    limited: bool = False

    @property
    def half(self) -> FloatArray:
        """(2,) half the size of the detail's frame."""
        return (self.detail.frame[2:] - self.detail.frame[:2]) / 2.0

    def lay(self, kind: IntArray, boxes: FloatArray, work: _Lay, rounding: float) -> None:
        """Find the places among strokes (m,), (m, 4)."""
        tolerance = max(self.detail.tolerance, rounding)
        sizes = _Sizes(self.detail.pen, SIZE_SLACK * tolerance)
        size = boxes[:, 2:] - boxes[:, :2]
        own = self.detail.pen.box - np.tile((self.detail.frame[:2] + self.detail.frame[2:]) / 2.0, 2)
        need = int(np.ceil(work.min_share * len(own) - EPSILON))
        sheets: dict[bool, _Sheet | None] = {}
        for pose in work.switches.poses:
            linear = pose[:, :2]
            swapped = bool(linear[0, 0] == 0)
            if swapped not in sheets:
                token = sizes.tokens(kind, size, sizes.slack, swapped=swapped)
                there = np.bincount(token[token >= 0], minlength=len(sizes.count))
                enough = np.minimum(there, sizes.count).sum() >= need
                sheets[swapped] = _Sheet(boxes[token >= 0], token[token >= 0], there, tolerance) if enough else None
            sheet = sheets[swapped]
            if sheet is None:
                continue
            corners = own[:, :2] @ linear.T, own[:, 2:] @ linear.T
            shifts, matched, limited = sheet.places(
                np.hstack([np.minimum(*corners), np.maximum(*corners)]), sizes.token, need
            )
            self.limited |= limited
            self.pairs += sheet.pairs
            self.maps += [np.column_stack([linear, shift]) for shift in shifts]
            self.matched += matched


class _Sheet:
    """Strokes of a drawing that have sizes of a detail: which displacements of it match enough of them."""

    def __init__(self, boxes: FloatArray, token: IntArray, there: IntArray, tolerance: float) -> None:
        self.boxes, self.token, self.there, self.tolerance = boxes, token, there, tolerance
        self.apart = 100.0 * tolerance  # tokens as a further axis: strokes of different tokens are never near
        self.pairs = 0  # of the last question
        self.by_token = np.argsort(token, kind="stable")
        self.first = np.cumsum(there) - there

    @cached_property
    def tree(self) -> Any:
        """Of the strokes."""
        from scipy.spatial import cKDTree

        return cKDTree(np.column_stack([self.boxes, self.token * self.apart]))

    @cached_property
    def spots(self) -> IntArray:
        """(m,) labels: strokes that lie over equal ones have the same."""
        return cells(self.token, self.boxes, self.tolerance)

    def places(self, own: FloatArray, token: IntArray, need: int) -> tuple[list[FloatArray], list[int], bool]:
        """Displacements (2,) of a detail's strokes (n, 4) that match at least ``need`` of them, how many they match, and
        whether some were left out.
        """
        cost = self.there[token]
        present = np.flatnonzero(cost > 0)
        present = present[np.argsort(cost[present], kind="stable")]
        pairs = np.cumsum(cost[present])
        least = len(present) - need + 1  # of so many strokes one at least lies over an equal one
        self.pairs = 0
        if least < 1:
            return [], [], False
        anchors = max(least, int(np.searchsorted(pairs, VOTES, side="right")))
        limited = bool(pairs[anchors - 1] > PAIRS)
        if limited:
            anchors = max(int(np.searchsorted(pairs, PAIRS, side="right")), 1)
        i = np.repeat(present[:anchors], cost[present[:anchors]])
        self.pairs = len(i)
        rank = np.arange(len(i)) - np.repeat(pairs[:anchors] - cost[present[:anchors]], cost[present[:anchors]])
        j = self.by_token[self.first[token[i]] + rank]
        agree = max(need - (len(present) - anchors), anchors // CROWDED if limited else 1, 1)
        tries = self._peaks(self.boxes[j, :2] - own[i, :2], agree)
        limited |= len(tries) > TRIES
        tries = tries[:TRIES]
        wide = 4.0 * self.tolerance
        some = slice(None, None, max(len(own) // QUICK, 1))
        asked = own[some]
        moved = (asked + np.tile(tries, 2)[:, None]).reshape(-1, 4)
        near, _ = self._nearest(moved, np.tile(token[some], len(tries)), wide)
        share = np.isfinite(near).reshape(len(tries), -1).mean(axis=1) if len(tries) else np.zeros(0)
        slack = 0.0 if len(asked) == len(own) else SLACK_QUICK
        found, matched = [], []
        for shift in tries[share >= need / len(own) - slack - EPSILON]:
            for reach in (wide, self.tolerance):  # to the middle of what agrees
                near, index = self._nearest(own + np.tile(shift, 2), token, reach)
                hit = np.isfinite(near)
                if not hit.any():
                    break
                off = self.boxes[index[hit]] - own[hit]
                shift = np.median(np.concatenate([off[:, :2], off[:, 2:]]), axis=0)
            near, index = self._nearest(own + np.tile(shift, 2), token, self.tolerance)
            count = self._one_to_one(index[np.isfinite(near)])
            if count >= need:
                found.append(shift)
                matched.append(count)
        return found, matched, limited

    def _peaks(self, delta: FloatArray, least: int) -> FloatArray:
        """(k, 2) displacements that at least so many of the votes (p, 2) agree on, the most first."""
        width = 4.0 * self.tolerance
        places, members = [], []
        # four grids, each shifted by half a cell: votes that agree share a cell of one of them
        for shift in np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) / 2:
            place = mix(*np.floor(delta / width + shift).astype(np.int64).T)
            slot = (place & np.uint64(SLOTS - 1)).astype(np.int64)
            kept = np.flatnonzero(np.bincount(slot, minlength=SLOTS)[slot] >= least)  # before sorting: most are alone
            places.append(place[kept])
            members.append(kept)
        member = np.concatenate(members)
        _, cell, votes = np.unique(np.concatenate(places), return_inverse=True, return_counts=True)
        middle = np.column_stack([np.bincount(cell, column[member]) for column in delta.T]) / votes[:, None]
        best = np.flatnonzero(votes >= least)
        # ties by place, so that the order of the strokes does not matter
        best = best[np.lexsort((middle[best, 1], middle[best, 0], -votes[best]))]
        _, first = np.unique(np.round(middle[best] / width), axis=0, return_index=True)
        return np.asarray(middle[best[np.sort(first)]], np.float64)

    def _nearest(self, boxes: FloatArray, token: IntArray, reach: float) -> tuple[FloatArray, IntArray]:
        distance, index = self.tree.query(
            np.column_stack([boxes, token * self.apart]), p=np.inf, distance_upper_bound=reach * (1 + 1e-9)
        )
        return distance, index

    def _one_to_one(self, index: IntArray) -> int:
        """How many of the strokes that are asked for (h,) there are: each serves once, those over it too."""
        asked = np.bincount(self.spots[index], minlength=int(self.spots.max()) + 1)
        return int(np.minimum(asked, np.bincount(self.spots, minlength=len(asked))).sum())


def _told(laid: Sequence[_Found], work: _Lay, middle: FloatArray, unit: float) -> Laid:
    """The places of all sizes and turns, the best of those that lie over each other, in coordinates of the drawing."""
    rows: list[tuple[int, bool, bool, FloatArray, FloatArray, _Found]] = []
    for found in laid:
        for linear, matched in zip(found.maps, found.matched, strict=True):
            half = np.abs(linear[:, :2]) @ found.half
            box = np.concatenate([linear[:, 2] - half, linear[:, 2] + half])
            turned = bool(linear[0, 0] <= 0)
            rows.append((matched, bool(np.linalg.det(linear[:, :2]) < 0), turned, box, linear, found))
    # of equally good places those come first that are not mirrored, not turned, to the left, below
    rows.sort(key=lambda row: (-row[0], *row[1:3], *row[3].round(6).tolist()))
    kept = np.zeros((0, 4))
    places: list[Place] = []
    for matched, mirrored, _, box, linear, found in rows:
        if len(places) == PLACES:
            break
        least = np.maximum(found.detail.tolerance, 0.01 * found.half.max())  # of boxes without width
        common = np.minimum(kept[:, 2:], box[2:]) - np.maximum(kept[:, :2], box[:2]) + least
        area = np.minimum(np.prod(box[2:] - box[:2] + least), np.prod(kept[:, 2:] - kept[:, :2] + least, axis=1))
        if (np.prod(np.maximum(common, 0.0), axis=1) > APART * area).any():
            continue
        kept = np.vstack([kept, box])
        corners = (box.reshape(2, 2) / unit + middle).ravel()
        flip = -1.0 if mirrored else 1.0
        angle = float(np.round(np.degrees(np.arctan2(flip * linear[1, 0], flip * linear[0, 0])))) % 360.0
        # told as exactly as it is known, to a tenth of the tolerance
        digits = int(np.clip(1 - np.floor(np.log10(found.detail.tolerance / unit)), 0, 12))
        x0, y0, x1, y1 = (corners.round(digits) + 0.0).tolist()
        share = round(matched / len(work.detail.pen.kind), 6)
        places.append(Place((x0, y0, x1, y1), share, angle, mirrored, round(found.scale, 6)))
    return Laid(tuple(places), any(found.limited for found in laid), sum(found.pairs for found in laid))


# --- showing -----------------------------------------------------------------------------------------------------------

MARK = "#d55e00"  # told from ink by its dashes, not by its colour alone
PIXELS = 800


def marked_svg(drawing: Drawing, places: Sequence[float] | Sequence[Sequence[float]], pixels: int = PIXELS) -> str:
    """A square picture of a drawing with a place, or several, in dashed frames, as an SVG document."""
    picture = svg(drawing, width=pixels, height=pixels)
    view = View(drawing.frame, pixels, pixels)
    line = GRID * pixels / 250.0  # as wide in a thumbnail as in a large picture
    marks = []
    for place in np.array(places, np.float64).reshape(-1, 2, 2):
        grid = view.to_grid(place)
        (left, top), (right, bottom) = grid.min(axis=0), grid.max(axis=0)
        marks.append(
            f'<rect x="{left - 2 * line:.0f}" y="{top - 2 * line:.0f}" width="{right - left + 4 * line:.0f}" '
            f'height="{bottom - top + 4 * line:.0f}" fill="{MARK}" fill-opacity="0.1" stroke="{MARK}" '
            f'stroke-width="{line:.0f}" stroke-dasharray="{4 * line:.0f} {2 * line:.0f}"><title>the detail</title></rect>'
        )
    return picture.replace("</svg>", f"{''.join(marks)}</svg>")
