"""Entities of two drawings that lie over each other, matched one to one; what is left is paired as moved or changed.

Matching is by *marks*: what the pen draws in one go, each with numbers that tell it apart whichever way it runs. Polylines
and leaders are the marks of their edges and blocks the marks of their content, so that an exploded polyline or block is
still the same. Where two marks agree in all numbers within the tolerance, they are one; among several that do, text,
layer, colour and handle decide.

Marks that stay alone are gathered into *units*: the entities as the file has them, a block as a whole unless some of it is
matched. Units are then paired: of the same shape elsewhere (moved), partly the same, of the same handle, or nearly in the
same place (changed). Handles count only where those of the matched entities agree.

Letters in shapes: s marks, n rows of the drawing, p pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deepdxf.align import cells
from deepdxf.clean import Runs, find
from deepdxf.descriptor import mix
from deepdxf.drawing import BoolArray, Drawing, EntityClass, FloatArray, IntArray, enclosing, gather_ranges
from deepdxf.geometry import TEXTS, Shapes, arcs, dimension_lines, edges, spline_samples

C = EntityClass
EDGED = (C.LINE, C.LWPOLYLINE, C.LEADER)  # classes whose edges are marks

MARKS = ("line", "arc", "circle", "spline", "text", "dimension", "hatch", "solid", "other")
LINE, ARC, CIRCLE, SPLINE, TEXT, DIMENSION, HATCH, SOLID, OTHER = range(len(MARKS))
# Numbers of a mark: box of its two ends (4), hand, a middle point (2), two more that depend on the kind. Rows that run
# the other way have the same. The hand is Δx · Δy / length of the chord: its sign tells rising from falling.
VALUES = 9
X, Y = [0, 2, 5], [1, 3, 6]  # columns that move with the mark

# Instead of a partner: none; drawn by other means, see `_redrawn`; or no news, for its own drawing has it twice or it draws
# nothing, see `_doubled`.
ALONE, REDRAWN, DOUBLED = -1, -2, -3
TRUSTED = 0.5  # share of matched entities with equal handles from which handles tell which entity was changed
NEAR = 0.35  # of an entity's diagonal: how far the corners of its box may be from those of what it was before
NEIGHBOURS = 6
MOST_PAIRS = 200_000  # of equal shapes; where there are more, they are paired in the order of their places


@dataclass(frozen=True)
class Marks:
    """What is compared: s marks."""

    kind: IntArray  # (s,) number in MARKS
    values: FloatArray  # (s, VALUES) drawing units
    row: IntArray  # (s,) row of the drawing
    length: FloatArray  # (s,) drawn length, for texts and areas the diagonal of the box; drawing units

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, picked: BoolArray | IntArray) -> Marks:
        """Some of the marks."""
        return Marks(self.kind[picked], self.values[picked], self.row[picked], self.length[picked])

    @staticmethod
    def join(parts: Sequence[Marks]) -> Marks:
        """All marks of the parts, by rows."""
        kind, values, row, length = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("kind", "values", "row", "length")
        )
        order = np.argsort(row, kind="stable")
        return Marks(kind[order], values[order], row[order], length[order])


def marks(drawing: Drawing) -> Marks:
    """All marks of a drawing, rows ascending. Rows with coordinates that are no numbers have none."""
    shapes = Shapes.of(drawing)
    parts = []

    first, second, owner, bulge = edges(shapes)
    drawn = np.isin(shapes.cls[owner], EDGED)
    p, q = shapes.vertices[first, :2], shapes.vertices[second, :2]
    straight = drawn & (bulge == 0)
    parts.append(_lines(p[straight], q[straight], owner[straight]))

    centre, radius, start, sweep, row = arcs(shapes)
    drawn = np.isin(shapes.cls[row], (C.CIRCLE, C.ARC, *EDGED))
    full = np.abs(sweep) > 2 * np.pi - 1e-6

    def on(angle: FloatArray) -> FloatArray:
        return np.asarray(centre + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))

    p, q, middle, length = on(start), on(start + sweep), on(start + sweep / 2), radius * np.abs(sweep)
    arc, circle = drawn & ~full, drawn & full
    parts.append(_mark(ARC, p[arc], q[arc], middle[arc], row[arc], length[arc]))
    c, r = centre[circle], radius[circle, None]
    parts.append(_mark(CIRCLE, c - r, c + r, c, row[circle], length[circle], hand=False))

    samples, row = spline_samples(shapes)
    if len(row):
        order = np.argsort(row, kind="stable")
        samples, row = samples[order], row[order]
        rows, at, count = np.unique(row, return_index=True, return_counts=True)
        middle = np.add.reduceat(samples.mean(axis=1), at) / count[:, None]
        chords = np.hypot(*np.moveaxis(np.diff(samples, axis=1), 2, 0)).sum(axis=1)
        length = np.add.reduceat(chords, at)
        last = at + count - 1
        parts.append(_mark(SPLINE, samples[at, 0], samples[last, -1], middle, rows, length, more=length))

    diagonal = np.hypot(*(drawing.box[:, 2:] - drawing.box[:, :2]).T)
    rows = np.flatnonzero(np.isin(drawing.cls, TEXTS))
    anchor = drawing.vertices[drawing.vertex_start[rows], :2]
    parts.append(_mark(TEXT, anchor, anchor, anchor, rows, diagonal[rows]))

    rows = drawing.rows(C.DIMENSION)
    if len(rows):
        ends, middle, more = dimension_points(drawing)
        parts.append(_mark(DIMENSION, ends[:, 0], ends[:, 1], middle, rows, diagonal[rows], more=more))
    for kind, cls in ((HATCH, C.HATCH), (SOLID, C.SOLID)):
        rows = drawing.rows(cls)
        count = np.diff(drawing.vertex_start)[rows]
        rows, count = rows[count > 0], count[count > 0]
        picked, begin = gather_ranges(drawing.vertex_start, rows)
        middle = np.zeros((0, 2))
        if len(rows):
            middle = np.add.reduceat(drawing.vertices[picked, :2], begin[:-1]) / count[:, None]
        box = drawing.box[rows]
        parts.append(_mark(kind, box[:, :2], box[:, 2:], middle, rows, diagonal[rows], hand=False))

    bare = np.asarray(drawing.visible).copy()
    for part in parts:
        bare[part.row] = False
    rows = np.flatnonzero(bare)
    box = drawing.box[rows]
    parts.append(_mark(OTHER, box[:, :2], box[:, 2:], (box[:, :2] + box[:, 2:]) / 2, rows, diagonal[rows], hand=False))
    made = Marks.join(parts)
    return made.take(np.isfinite(made.values).all(axis=1) & np.isfinite(made.length))


def dimension_points(drawing: Drawing) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of each DIMENSION: two measured points (d, 2, 2), the middle of its line (d, 2), and an offset (d, 2) that tells
    angular ones apart. The same when the measured points change places.
    """
    shapes = Shapes.of(drawing)
    rows = drawing.rows(C.DIMENSION)
    point = drawing.vertices[drawing.vertex_start[rows][:, None] + np.arange(6), :2]
    kind = drawing.scalar(C.DIMENSION, "kind")
    linear, radial = kind <= 1, (kind == 3) | (kind == 4)
    ends = np.where(radial[:, None, None], point[:, [0, 4]], point[:, [2, 3]])
    middle = np.where(radial[:, None], ends.mean(axis=1), point[:, 0])
    line = dimension_lines(shapes)[0][: int(linear.sum())]  # the dimension lines of linear ones come first
    middle[linear] = (line[:, :2] + line[:, 2:]) / 2
    more = np.where((linear | radial)[:, None], 0.0, point[:, 4] - point[:, 0])
    return ends, middle, more


def _lines(p: FloatArray, q: FloatArray, row: IntArray) -> Marks:
    return _mark(LINE, p, q, (p + q) / 2, row, np.hypot(*(q - p).T))


def _mark(
    kind: int,
    p: FloatArray,
    q: FloatArray,
    middle: FloatArray,
    row: IntArray,
    length: FloatArray,
    *,
    hand: bool = True,
    more: FloatArray | None = None,
) -> Marks:
    """Marks between ends p and q (k, 2)."""
    values = np.zeros((len(row), VALUES))
    values[:, :2], values[:, 2:4], values[:, 5:7] = np.minimum(p, q), np.maximum(p, q), middle
    if hand:
        chord = q - p
        values[:, 4] = chord[:, 0] * chord[:, 1] / np.maximum(np.hypot(*chord.T), 1e-300)
    if more is not None:
        values[:, 7 : 7 + (1 if more.ndim == 1 else 2)] = more.reshape(len(row), -1)
    return Marks(np.full(len(row), kind), values, row, length)


# --- names -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """Texts, layers and colours of the rows of two drawings as numbers that mean the same in both."""

    text: tuple[IntArray, IntArray]  # (n,) each
    layer: tuple[IntArray, IntArray]  # names of layers do not tell small letters from capitals
    color: tuple[IntArray, IntArray]

    @classmethod
    def of(cls, a: Drawing, b: Drawing) -> Names:
        """Numbers by name; −1 = no text."""
        texts: dict[str, int] = {}
        layers: dict[str, int] = {}

        def numbers(drawing: Drawing) -> tuple[IntArray, IntArray]:
            text = [texts.setdefault(value.strip(), len(texts)) for value in drawing.texts]
            layer = [layers.setdefault(name.casefold(), len(layers)) for name in drawing.layers]
            text.append(-1)  # for rows without
            return np.array(text)[drawing.text_index], np.array(layer or [0])[drawing.layer]

        (text_a, layer_a), (text_b, layer_b) = numbers(a), numbers(b)
        return cls((text_a, text_b), (layer_a, layer_b), (a.color.astype(np.int64), b.color.astype(np.int64)))


# --- matching --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One drawing in a `Matching`."""

    drawing: Drawing
    marks: Marks
    partner: IntArray  # (s,) mark of the other drawing, ALONE, REDRAWN or DOUBLED

    @cached_property
    def alone(self) -> BoolArray:
        """(s,) marks without a counterpart."""
        return np.asarray(self.partner == ALONE)

    @cached_property
    def root(self) -> IntArray:
        """(n,) the row at depth 0 that each row lies in: itself, or an INSERT."""
        root = np.arange(len(self.drawing))
        parent = self.drawing.parent
        for _ in range(int(self.drawing.depth.max(initial=0))):
            root = np.where(parent[root] >= 0, parent[root], root)
        return root

    @cached_property
    def unit(self) -> IntArray:
        """(n,) the row of the unit that each row belongs to: its root, or itself in a block that is matched in part."""
        n = len(self.drawing)
        root = self.root
        alone = np.bincount(root[self.marks.row[self.alone]], minlength=n)
        mixed = (alone > 0) & (alone < np.bincount(root[self.marks.row], minlength=n))
        return np.where(mixed[root] & (self.drawing.cls[root] == C.INSERT), np.arange(n), root)

    @cached_property
    def open(self) -> IntArray:
        """Units with marks that are alone, ascending; edges of no length, which programs clean away, count only in
        units that have no others.
        """
        unit = self.unit[self.marks.row]
        some = np.bincount(unit[self.marks.length > 0], minlength=len(self.drawing)) > 0
        return np.unique(unit[self.alone & ((self.marks.length > 0) | ~some[unit])])

    def key(self, unit: int) -> tuple[int, int]:
        """Handles of a unit's root and of itself."""
        return int(self.drawing.handle[self.root[unit]]), int(self.drawing.handle[unit])

    def rows(self, unit: int) -> IntArray:
        """Rows with ink of a unit; the content of a block stands directly after its INSERT."""
        end = unit + 1
        while end < len(self.unit) and self.unit[end] == unit:
            end += 1
        return np.flatnonzero(self.drawing.visible[unit:end]) + unit


@dataclass(frozen=True)
class Matching:
    """Which entities of two drawings are the same, and which became which. Units are named by their row."""

    a: Side
    b: Side
    same: IntArray  # (p, 2) rows with marks that lie over each other
    moved: list[tuple[int, int]]  # units of equal shape elsewhere
    changed: list[tuple[int, int]]  # units of which something differs; −1 where the other side has no such unit
    removed: list[int]  # units of a
    added: list[int]  # units of b
    names: Names


def match(a: Drawing, b: Drawing, tolerance: float) -> Matching:
    """Match drawings that lie over each other; ``tolerance`` in drawing units, of which both have the same.

    The same drawings give the same result, whatever their order in the file.
    """
    names = Names.of(a, b)
    ours, theirs = marks(a), marks(b)
    partner_a, partner_b = _pair_marks(a, b, ours, theirs, names, tolerance)
    one, two = _splines_as_chords(a, b, Side(a, ours, partner_a), Side(b, theirs, partner_b), names, tolerance)
    _redrawn(one, two)
    _redrawn(two, one)
    _doubled(one, names.text[0], tolerance)
    _doubled(two, names.text[1], tolerance)
    _rejoined(one, two, names, tolerance)
    one, two = (Side(side.drawing, side.marks, side.partner) for side in (one, two))  # without what is remembered

    paired = np.flatnonzero(one.partner >= 0)
    rows = np.column_stack([one.marks.row[paired], two.marks.row[one.partner[paired]]])
    same = np.unique(rows, axis=0) if len(rows) else np.zeros((0, 2), np.int64)
    trusted = len(same) > 0 and bool((a.handle[same[:, 0]] == b.handle[same[:, 1]]).mean() >= TRUSTED)

    pairing = _Pairing(one, two, tolerance, trusted, names)
    pairing.parts_left()
    moved = pairing.moved()
    pairing.same_handle()
    pairing.near()
    changed = pairing.changed
    for side, left, partial in ((0, pairing.left[0], pairing.partial[0]), (1, pairing.left[1], pairing.partial[1])):
        for unit in sorted(left & partial):
            changed.append((unit, -1) if side == 0 else (-1, unit))
            left.discard(unit)
    return Matching(one, two, same, moved, changed, sorted(pairing.left[0]), sorted(pairing.left[1]), names)


def _pair_marks(
    a: Drawing, b: Drawing, ours: Marks, theirs: Marks, names: Names, tolerance: float
) -> tuple[IntArray, IntArray]:
    """Partner of every mark in the other drawing, ALONE where there is none."""
    s = len(ours)
    partners = np.full(s, ALONE), np.full(len(theirs), ALONE)
    if not s or not len(theirs):
        return partners
    values = np.concatenate([ours.values, theirs.values])
    label = cells(np.concatenate([ours.kind, theirs.kind]), values, tolerance)
    row = ours.row, theirs.row
    text, layer, color = (
        [column[side][row[side]] for side in (0, 1)] for column in (names.text, names.layer, names.color)
    )
    handle = [a.handle[row[0]], b.handle[row[1]]]
    # the most alike first: what several marks of one place have beside their place decides who is whose partner
    for keys in ((text, layer, color, handle), (text, layer, color), (text, layer), (text,), ()):
        free = [np.flatnonzero(partner == ALONE) for partner in partners]
        tokens = [
            mix(label[free[side] + side * s], *(key[side][free[side]] for key in keys)).view(np.int64)
            for side in (0, 1)
        ]
        i, j = _by_rank(*tokens)
        i, j = free[0][i], free[1][j]
        near = np.abs(ours.values[i] - theirs.values[j]).max(axis=1) <= tolerance
        partners[0][i[near]], partners[1][j[near]] = j[near], i[near]
    # cells that are wider than the tolerance: nearest first
    free = [np.flatnonzero(partner == ALONE) for partner in partners]
    both = np.intersect1d(label[free[0]], label[free[1] + s])
    i, j = (some[np.isin(label[some + side * s], both)] for side, some in enumerate(free))
    if len(i):
        from scipy.spatial import cKDTree

        far = 4.0 * tolerance * label
        trees = [
            cKDTree(np.column_stack([marks.values[some], far[some + side * s]]))
            for side, (marks, some) in enumerate(((ours, i), (theirs, j)))
        ]
        found = trees[0].sparse_distance_matrix(trees[1], tolerance, p=np.inf, output_type="ndarray")
        found = found[np.lexsort((found["j"], found["i"], found["v"]))]
        for mine, other in zip(i[found["i"]].tolist(), j[found["j"]].tolist(), strict=True):
            if partners[0][mine] == ALONE and partners[1][other] == ALONE:
                partners[0][mine], partners[1][other] = other, mine
    return partners


def _by_rank(one: IntArray, two: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs (i, j) with one[i] == two[j]: the k-th of a value with the k-th."""
    order = [np.argsort(values, kind="stable") for values in (one, two)]
    ranks, values = [], []
    for some, of in zip((one, two), order, strict=True):
        ordered = some[of]
        start = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
        ranks.append(np.arange(len(ordered)) - np.repeat(start, np.diff(np.append(start, len(ordered)))))
        values.append(ordered)
    common, place_a, place_b = np.intersect1d(values[0], values[1], return_indices=True)
    count = np.minimum(
        np.searchsorted(values[0], common, side="right") - place_a,
        np.searchsorted(values[1], common, side="right") - place_b,
    )
    rank = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return order[0][np.repeat(place_a, count) + rank], order[1][np.repeat(place_b, count) + rank]


def _splines_as_chords(
    a: Drawing, b: Drawing, one: Side, two: Side, names: Names, tolerance: float
) -> tuple[Side, Side]:
    """The sides with splines that the other drawing has as a polyline matched by their chords (older versions of the
    format have no splines: programs that save to them write the points of `spline_samples` or nearly so).
    """
    sides = [one, two]
    for k, drawing in enumerate((a, b)):
        mine, other = sides[k], sides[1 - k]
        rows = mine.marks.row[mine.alone & (mine.marks.kind == SPLINE)]
        lines = np.flatnonzero(other.alone & (other.marks.kind == LINE))
        if not len(rows) or not len(lines):
            continue
        samples, row = spline_samples(Shapes.of(drawing))
        wanted = np.isin(row, rows)
        points, row = samples[wanted], np.repeat(row[wanted], samples.shape[1] - 1)
        chords = _lines(points[:, :-1].reshape(-1, 2), points[:, 1:].reshape(-1, 2), row)
        theirs = other.marks.take(lines)
        if k == 0:
            mine_partner, _ = _pair_marks(a, b, chords, theirs, names, tolerance)
        else:
            _, mine_partner = _pair_marks(a, b, theirs, chords, names, tolerance)
        # only splines that are matched from end to end
        missed = np.unique(chords.row[mine_partner == ALONE])
        done = ~np.isin(chords.row, missed)
        if not done.any():
            continue
        gone = np.isin(mine.marks.row, np.unique(chords.row[done]))
        sides[k], sides[1 - k] = _replaced(mine, other, gone, chords.take(done), lines[mine_partner[done]])
    return sides[0], sides[1]


def _replaced(mine: Side, other: Side, gone: BoolArray, new: Marks, partner: IntArray) -> tuple[Side, Side]:
    """Both sides after marks of ``mine`` gave place to others, whose partners are known."""
    kept = mine.marks.take(~gone)
    joined = Marks.join([kept, new])
    order = np.argsort(np.concatenate([kept.row, new.row]), kind="stable")
    partners = np.concatenate([mine.partner[~gone], partner])[order]
    back = other.partner.copy()
    back[back >= 0] = ALONE
    paired = np.flatnonzero(partners >= 0)
    back[partners[paired]] = paired
    return Side(mine.drawing, joined, partners), Side(other.drawing, other.marks, back)


def _redrawn(one: Side, two: Side) -> None:
    """Marks alone that the other drawing shows by other means, as it happens when a file is saved to an old version:
    an MTEXT as TEXTs of its lines, a hatch as a block *X… of its lines, or of other lines. In place: the partner is REDRAWN.
    """
    a, b = one.drawing, two.drawing
    rows = one.marks.row[one.partner == ALONE]
    texts = [row for row in rows.tolist() if a.cls[row] == C.MTEXT]
    if texts:
        by_text: dict[str, list[int]] = {}
        for mark in np.flatnonzero((two.partner == ALONE) & (two.marks.kind == TEXT)).tolist():
            by_text.setdefault(b.text(int(two.marks.row[mark])).strip(), []).append(mark)
        for row in texts:
            lines = Counter(line.strip() for line in a.text(row).split("\n") if line.strip())
            box = a.box[row]
            reach = float((box[2:] - box[:2]).max()) / 2
            found = []
            for line, count in lines.items():
                near = [
                    mark
                    for mark in by_text.get(line, [])
                    if two.partner[mark] == ALONE and _within(two.marks.values[mark, 5:7], box, reach)
                ]
                found += near[:count]
            if len(found) == lines.total():
                two.partner[found] = REDRAWN
                one.partner[one.marks.row == row] = REDRAWN
    hatches = [(row, a.box[row]) for row in rows.tolist() if a.cls[row] == C.HATCH]
    hatches.sort(key=lambda hatch: float(np.ptp(hatch[1].reshape(2, 2), axis=0).sum()))  # the smallest that fits
    blocks = [_hatch_blocks(side) for side in (one, two)]
    for picked, box in blocks[1]:
        for row, whole in hatches:
            mark = one.marks.row == row
            reach = 0.02 * float(np.ptp(whole.reshape(2, 2), axis=0).max())
            if _within(box[:2], whole, reach) and _within(box[2:], whole, reach) and (one.partner[mark] == ALONE).all():
                one.partner[mark] = two.partner[picked] = REDRAWN
                break
    for mine, box in blocks[0]:  # a pattern that was laid anew: the same place and as many lines, or nearly
        for picked, other in blocks[1]:
            reach = 0.05 * float(np.ptp(box.reshape(2, 2), axis=0).max())
            alike = np.abs(box - other).max() <= reach and abs(len(mine) - len(picked)) <= 2 + 0.1 * len(mine)
            if alike and (two.partner[picked] == ALONE).all():
                one.partner[mine] = two.partner[picked] = REDRAWN
                break


def _hatch_blocks(side: Side) -> list[tuple[IntArray, FloatArray]]:
    """Marks and box of each anonymous block *X… of lines, none of which has a partner: hatches of old versions."""
    drawing, marks, found = side.drawing, side.marks, []
    for insert in drawing.rows(C.INSERT).tolist():
        if drawing.blocks[drawing.block_index[insert]].upper().startswith("*X") and drawing.depth[insert] == 0:
            picked = np.flatnonzero(side.root[marks.row] == insert)
            if len(picked) and (side.partner[picked] == ALONE).all() and (marks.kind[picked] == LINE).all():
                values = marks.values[picked]
                found.append((picked, enclosing(values[:, :4])))
    return found


def _doubled(side: Side, text: IntArray, tolerance: float) -> None:
    """Marks alone of rows that draw nothing, or only what others of their own drawing do. In place: the partner is DOUBLED.
    Of several that are the same, and alone all, one stays so. A line within a longer one is news all the same: it may be the
    axis of a hole.
    """
    drawing, marks, partner = side.drawing, side.marks, side.partner
    if not (partner == ALONE).any():
        return
    nothing = np.zeros(len(drawing), bool)
    nothing[find(drawing).empty] = True
    partner[(partner == ALONE) & nothing[marks.row]] = DOUBLED
    # the same as another: those with a partner first, then by rows
    label = cells(mix(marks.kind, text[marks.row]).view(np.int64), marks.values, tolerance)
    order = np.lexsort((marks.row, partner == DOUBLED, partner == ALONE, label))
    first = np.append(True, label[order][1:] != label[order][:-1])
    leader = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    near = np.abs(marks.values[order] - marks.values[leader]).max(axis=1) <= tolerance
    again = np.zeros(len(marks), bool)
    again[order[~first & near]] = True
    news = np.bincount(marks.row, (partner == ALONE) & ~again, len(drawing)) > 0
    partner[(partner == ALONE) & again & ~news[marks.row]] = DOUBLED


def _rejoined(one: Side, two: Side, names: Names, tolerance: float) -> None:
    """Lines alone of which several in a row, on one layer, cover what lines of the other drawing cover. In place: the
    partner is REDRAWN.
    """
    sides = (one, two)
    alone = [
        np.flatnonzero((s.partner == ALONE) & (s.marks.kind == LINE) & (s.marks.length > tolerance)) for s in sides
    ]
    if not all(map(len, alone)):
        return
    values = np.concatenate([s.marks.values[some] for s, some in zip(sides, alone, strict=True)])
    of = np.repeat([0, 1], [len(some) for some in alone])
    layer = np.concatenate([names.layer[k][sides[k].marks.row[alone[k]]] for k in (0, 1)])
    runs = _runs(values, layer, tolerance)
    ends: dict[tuple[int, ...], list[list[IntArray]]] = {}
    for k in (0, 1):
        order, chain = runs.chains(of == k)
        for members in np.split(order, np.flatnonzero(np.diff(chain)) + 1):
            key = (*runs.on[members[0]].tolist(), int(runs.start[members].min()), int(runs.end[members].max()))
            ends.setdefault(key, [[], []])[k].append(members)
    for found in ends.values():
        if all(found):
            for k in (0, 1):
                sides[k].partner[alone[k][np.concatenate(found[k]) - k * len(alone[0])]] = REDRAWN


def _runs(values: FloatArray, group: IntArray, tolerance: float) -> Runs:
    """Marks of lines, by their values (s, VALUES), along the straight lines that they lie on."""
    x0, y0, x1, y1, hand = values[:, :5].T
    p, q = np.column_stack([x0, np.where(hand < 0, y1, y0)]), np.column_stack([x1, np.where(hand < 0, y0, y1)])
    ends = np.concatenate([p, q])
    middle = (ends.min(axis=0) + ends.max(axis=0)) / 2.0
    side = max(float(np.ptp(ends, axis=0).max()), tolerance)
    return Runs(p - middle, q - middle, group, side=side, step=tolerance)


def _within(point: FloatArray, box: FloatArray, reach: float) -> bool:
    return bool((point >= box[:2] - reach).all() and (point <= box[2:] + reach).all())


# --- pairing of what is left -----------------------------------------------------------------------------------------


class _Pairing:
    """Units that are not the same in both drawings, paired step by step; ``left`` are those without a partner yet."""

    def __init__(self, a: Side, b: Side, tolerance: float, trusted: bool, names: Names) -> None:
        self.sides = (a, b)
        self.tolerance, self.trusted, self.names = tolerance, trusted, names
        self.left = [set(side.open.tolist()) for side in self.sides]
        # units of which some marks are matched
        self.partial = [
            set(np.intersect1d(side.unit[side.marks.row[~side.alone]], side.open).tolist()) for side in self.sides
        ]
        self.changed: list[tuple[int, int]] = []

    def take(self, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The pairs of units that are both free still, in order; they are free no longer."""
        taken = []
        for i, j in pairs:
            if i in self.left[0] and j in self.left[1]:
                self.left[0].discard(i)
                self.left[1].discard(j)
                taken.append((i, j))
        return taken

    def parts_left(self) -> None:
        """Units that have some marks in common: the more, the earlier."""
        a, b = self.sides
        mine = np.flatnonzero(a.partner >= 0)
        pairs = zip(a.unit[a.marks.row[mine]].tolist(), b.unit[b.marks.row[a.partner[mine]]].tolist(), strict=True)
        counts = Counter(pair for pair in pairs if pair[0] in self.left[0] and pair[1] in self.left[1])
        self.changed += self.take(sorted(counts, key=lambda pair: (-counts[pair], pair)))

    def moved(self) -> list[tuple[int, int]]:
        """Units of equal shape and text elsewhere: of one handle first, then of one layer, then the nearest."""
        units = [np.array(sorted(self.left[k] - self.partial[k]), np.int64) for k in (0, 1)]
        if not len(units[0]) or not len(units[1]):
            return []
        kinds, columns, centres = zip(*(self._shape(k, units[k]) for k in (0, 1)), strict=True)
        label = cells(np.concatenate(kinds), np.concatenate(columns), 2 * self.tolerance)
        labels = label[: len(units[0])], label[len(units[0]) :]
        i, j = self._candidates(labels, centres)
        if not len(i):
            return []
        one, two = units[0][i], units[1][j]
        a, b = self.sides
        handles = (a.drawing.handle[one] != b.drawing.handle[two]) if self.trusted else np.zeros(len(i), bool)
        layers = self.names.layer[0][one] != self.names.layer[1][two]
        distance = np.hypot(*(centres[1][j] - centres[0][i]).T)
        order = np.lexsort((two, one, np.round(distance / self.tolerance), layers, handles))
        shift = {
            (int(u), int(v)): centres[1][q] - centres[0][p]
            for u, v, p, q in zip(one[order], two[order], i[order], j[order], strict=True)
        }
        free = [set(some) for some in self.left]
        chosen = self.take(list(shift))
        equal = self._equal(chosen, np.array([shift[pair] for pair in chosen]).reshape(-1, 2))
        for k in (0, 1):  # what only looked equal is free again
            self.left[k] |= free[k] & {pair[k] for pair, same in zip(chosen, equal, strict=True) if not same}
        return [pair for pair, same in zip(chosen, equal, strict=True) if same]

    def _shape(self, k: int, units: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Of each unit: a number for class, marks and texts; width, height, length and middles; its centre."""
        side = self.sides[k]
        place = np.full(len(side.drawing), -1)
        place[units] = np.arange(len(units))
        of = place[side.unit[side.marks.row]]
        picked = np.flatnonzero(of >= 0)
        picked = picked[np.argsort(of[picked], kind="stable")]
        of = of[picked]
        start = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
        values, kind, row = side.marks.values[picked], side.marks.kind[picked], side.marks.row[picked]
        low = np.minimum.reduceat(np.minimum(values[:, :2], values[:, 5:7]), start)
        high = np.maximum.reduceat(np.maximum(values[:, 2:4], values[:, 5:7]), start)
        centre = (low + high) / 2
        count = np.diff(np.append(start, len(of)))
        middle = np.add.reduceat(values[:, 5:7], start) / count[:, None] - centre
        length = np.add.reduceat(np.where(kind == TEXT, 0.0, side.marks.length[picked]), start)
        hand = np.add.reduceat(values[:, 4], start)
        tokens = mix(kind, self.names.text[k][row]).view(np.int64)
        with np.errstate(over="ignore"):
            content = np.add.reduceat(tokens, start)
        number = mix(side.drawing.cls[units].astype(np.int64), count, content).view(np.int64)
        return number, np.column_stack([high - low, length, middle, hand]), centre

    def _candidates(
        self, labels: tuple[IntArray, IntArray], centres: Sequence[FloatArray]
    ) -> tuple[IntArray, IntArray]:
        """All pairs of units with one label; of labels with too many pairs, those of equal rank by place."""
        size = int(max(labels[0].max(), labels[1].max())) + 1
        in_a, in_b = (np.bincount(label, minlength=size) for label in labels)
        by_place = [
            np.lexsort((centre[:, 1], centre[:, 0], label)) for label, centre in zip(labels, centres, strict=True)
        ]
        start = [np.cumsum(count) - count for count in (in_a, in_b)]
        product = in_a * in_b
        order = np.argsort(product, kind="stable")
        small = np.zeros(size, bool)
        small[order[np.cumsum(product[order]) <= MOST_PAIRS]] = True
        i, j = [], []
        some = np.flatnonzero(small & (product > 0))
        of = np.repeat(some, product[some])
        number = np.arange(len(of)) - np.repeat(np.cumsum(product[some]) - product[some], product[some])
        i.append(by_place[0][start[0][of] + number // in_b[of]])
        j.append(by_place[1][start[1][of] + number % in_b[of]])
        large = np.flatnonzero(~small & (product > 0))
        least = np.minimum(in_a, in_b)[large]
        of = np.repeat(large, least)
        number = np.arange(len(of)) - np.repeat(np.cumsum(least) - least, least)
        i.append(by_place[0][start[0][of] + number])
        j.append(by_place[1][start[1][of] + number])
        return np.concatenate(i), np.concatenate(j)

    def _equal(self, pairs: list[tuple[int, int]], shift: FloatArray) -> BoolArray:
        """Whether each pair of units is the same after its shift, mark by mark."""
        kinds, values, sides, owners = [], [], [], []
        for k, side in enumerate(self.sides):
            place = np.full(len(side.drawing), -1)
            place[[pair[k] for pair in pairs]] = np.arange(len(pairs))
            of = place[side.unit[side.marks.row]]
            picked = np.flatnonzero(of >= 0)
            of = of[picked]
            moved = side.marks.values[picked].copy()
            if k == 0:
                moved[:, X] += shift[of, :1]
                moved[:, Y] += shift[of, 1:]
            text = self.names.text[k][side.marks.row[picked]]
            kinds.append(mix(of, side.marks.kind[picked], text).view(np.int64))
            values.append(moved)
            sides.append(np.full(len(of), 1 - 2 * k))
            owners.append(of)
        label = cells(np.concatenate(kinds), np.concatenate(values), 2 * self.tolerance)
        balance = np.bincount(label, np.concatenate(sides)) != 0
        equal = np.ones(len(pairs), bool)
        equal[np.concatenate(owners)[balance[label]]] = False
        return equal

    def same_handle(self) -> None:
        """Units of one class and handle, where handles can be trusted."""
        if not self.trusted:
            return
        a, b = self.sides
        known = {(b.key(unit), int(b.drawing.cls[unit])): unit for unit in sorted(self.left[1], reverse=True)}
        pairs = []
        for unit in sorted(self.left[0]):
            key = a.key(unit), int(a.drawing.cls[unit])
            if key in known and key[0][1]:
                pairs.append((unit, known[key]))
        self.changed += self.take(pairs)

    def near(self) -> None:
        """Units of one class and nearly the same box: the nearer, the earlier."""
        units = [np.array(sorted(left), np.int64) for left in self.left]
        if not len(units[0]) or not len(units[1]):
            return
        from scipy.spatial import cKDTree

        boxes = [self._boxes(k, units[k]) for k in (0, 1)]
        cls = [side.drawing.cls[some].astype(np.float64) for side, some in zip(self.sides, units, strict=True)]
        apart = 1e3 * max(float(np.ptp(np.concatenate(boxes))), 1.0)
        tree = cKDTree(np.column_stack([boxes[1], cls[1] * apart]))
        count = min(NEIGHBOURS, len(units[1]))
        distance, index = tree.query(np.column_stack([boxes[0], cls[0] * apart]), k=count, p=np.inf)
        distance, index = distance.reshape(-1, count), index.reshape(-1, count)
        diagonal = [np.hypot(*(box[:, 2:] - box[:, :2]).T) for box in boxes]
        reach = np.maximum(np.maximum(diagonal[0][:, None], diagonal[1][index]), 1e-300)
        with np.errstate(over="ignore"):  # of points, which have no diagonal
            share = distance / reach
        i, k = np.nonzero(share <= NEAR)
        j = index[i, k]
        order = np.lexsort((units[1][j], units[0][i], np.round(share[i, k], 9)))
        self.changed += self.take(list(zip(units[0][i[order]].tolist(), units[1][j[order]].tolist(), strict=True)))

    def _boxes(self, k: int, units: IntArray) -> FloatArray:
        """(len(units), 4) boxes of units; a block's is around its content."""
        drawing = self.sides[k].drawing
        boxes = np.array([enclosing(drawing.box[self.sides[k].rows(unit)]) for unit in units.tolist()])
        return np.where(np.isfinite(boxes), boxes, 0.0)
