"""What differs between two drawings: added, removed, changed, moved, with the numbers, and what each difference costs.

`compare` lays A over B (`align`), matches their entities (`match`) and describes what is left. Old numbers are given as
they are after A was laid over B, so that old and new can be compared; places are boxes in the drawing's own coordinates.

*Agreement* is the share of both drawings that is the same, by the number and by the length of what the pen draws, in equal
parts. It is 1 minus the costs of all differences:

    entity added or removed        its whole share
    geometry changed               the share of what does not match
    moved                          half of its share; a moved label nothing
    text or dimension changed      the share of the text or dimension
    layer, colour, style changed   nothing

A text, dimension or leader is a *label*: where only its place differs it was moved, and no part was changed.
`compare(b, a)` finds the same: added and removed, old and new change places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from deepdxf.align import IDENTITY, Alignment, Rotation, Scale, align, default_tolerance
from deepdxf.drawing import SCALARS, Drawing, EntityClass, FloatArray, enclosing, handle_text
from deepdxf.encoder import Encoder, Similarity, Switches, similarity
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import LABELS, TEXTS, transform
from deepdxf.match import DOUBLED, REDRAWN, Matching, dimension_points, match

C = EntityClass
KINDS = ("removed", "added", "changed", "moved")
MOVED_COST = 0.5  # of the share of an entity that was moved
DEGREE = 0.01  # smallest difference of angles
REGIONS = 6  # cells of the longer side of the frame that the agreement is told for
DIGITS = 6  # decimals of lengths
FREE = frozenset({"layer", "colour", "style"})  # changes that cost nothing

Value = str | float | None


@dataclass(frozen=True)
class Change:
    """One thing that differs in an entity. Lengths in units of B."""

    what: str  # geometry, position, text, dimension value, layer, colour, style, class, block
    name: str  # which number of it, e.g. "radius"; empty where ``what`` says it all
    old: Value
    new: Value


@dataclass(frozen=True)
class Place:
    """An entity in one of the drawings."""

    handle: str  # hexadecimal, as CAD shows it; empty if the file has none
    layer: str
    color: int  # as in `Drawing.color`
    box: tuple[float, float, float, float]  # the drawing's own coordinates
    block: str  # name of the block that it lies in; empty outside of blocks
    insert: str  # handle of the INSERT of that block
    text: str
    rows: tuple[int, ...]  # rows of the drawing with its ink


@dataclass(frozen=True)
class Difference:
    """One entity that differs."""

    kind: str  # one of KINDS
    cls: str  # entity class
    label: bool  # a text, dimension or leader
    a: Place | None  # None: added
    b: Place | None  # None: removed
    changes: tuple[Change, ...]
    cost: float  # share of the agreement that it takes away

    @property
    def place(self) -> Place:
        """Where it is: in B, or in A if it was removed."""
        found = self.b or self.a
        assert found is not None
        return found

    def to_json(self) -> dict[str, Any]:
        """As a JSON object: class, handle, layer and place first."""
        shown = self.place
        document: dict[str, Any] = {
            "class": self.cls,
            "handle": shown.handle,
            "layer": shown.layer,
            "place": [round(v, DIGITS) for v in shown.box],
            "label": self.label,
            "cost": round(self.cost, 8),
        }
        if shown.text:
            document["text"] = shown.text
        if shown.block:
            document |= {"block": shown.block, "insert": shown.insert}
        if self.a and self.b:
            document |= {"old_handle": self.a.handle, "old_place": [round(v, DIGITS) for v in self.a.box]}
        if self.changes:
            document["differs"] = [
                {"what": c.what, **({"name": c.name} if c.name else {}), "old": c.old, "new": c.new}
                for c in self.changes
            ]
        return document


@dataclass(frozen=True)
class ClassScore:
    """Entities of one class, content of blocks included."""

    in_a: int
    in_b: int
    same_a: int  # of which everything that the pen draws lies over something equal
    same_b: int
    agreement: float


@dataclass(frozen=True)
class Region:
    """A cell of the grid over both drawings."""

    box: tuple[float, float, float, float]  # coordinates of B
    share: float  # of all that is drawn
    agreement: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    alignment: Alignment
    tolerance: float  # units of B
    unit_mm: float | None  # of B
    similarity: Similarity | None  # by an encoder, as searching scores
    agreement: float  # 0 … 1, see the module's head
    differences: tuple[Difference, ...]  # removed, added, changed, moved; dearest first
    same: tuple[tuple[str, str, str], ...]  # entities behind the agreement: handle in A, handle in B, class in A
    classes: Mapping[str, ClassScore]
    regions: tuple[Region, ...]  # those with ink, from the lower left
    notes: tuple[str, ...] = field(default=())  # sentences: units, no common geometry, …

    def of(self, kind: str) -> list[Difference]:
        """Differences of one kind."""
        return [difference for difference in self.differences if difference.kind == kind]

    @property
    def costs(self) -> dict[str, float]:
        """What the kinds of differences cost together: `KINDS`, labels of their own."""
        sums: dict[str, float] = {}
        for d in self.differences:
            name = f"{d.kind} labels" if d.label else d.kind
            sums[name] = sums.get(name, 0.0) + d.cost
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; see docs/compare.md."""
        alignment = self.alignment
        document: dict[str, Any] = {
            "similarity": self.similarity.overall if self.similarity else round(self.agreement, 6),
            "codes": dict(self.similarity.codes) if self.similarity else {},
            "agreement": round(self.agreement, 6),
            "alignment": {
                "found": alignment.found,
                "moves": alignment.moves,
                "matrix": alignment.matrix.tolist(),
                "rotation": round(alignment.rotation, 9),
                "scale": alignment.scale,
                "mirrored": alignment.mirrored,
                "cover": round(alignment.cover, 6),
                "residual": alignment.residual,
                "confidence": round(alignment.confidence, 6),
            },
            "tolerance": self.tolerance,
            "unit_mm": self.unit_mm,
            "notes": list(self.notes),
            "counts": {kind: len(self.of(kind)) for kind in KINDS} | {"same": len(self.same)},
        }
        document |= {kind: [difference.to_json() for difference in self.of(kind)] for kind in KINDS}
        document["costs"] = {kind: round(cost, 8) for kind, cost in self.costs.items()}
        document["classes"] = {
            name: {
                "a": score.in_a,
                "b": score.in_b,
                "same_a": score.same_a,
                "same_b": score.same_b,
                "agreement": round(score.agreement, 6),
            }
            for name, score in self.classes.items()
        }
        document["regions"] = [
            {
                "place": [round(v, DIGITS) for v in region.box],
                "share": round(region.share, 6),
                "agreement": round(region.agreement, 6),
            }
            for region in self.regions
        ]
        document["same"] = [list(pair) for pair in self.same]
        return document

    def rows(self) -> list[dict[str, Any]]:
        """One row a difference and change, for tables and spreadsheets."""
        made = []
        for number, d in enumerate(self.differences, 1):
            x0, y0, x1, y1 = d.place.box
            about: dict[str, Any] = {
                "no": number,
                "kind": d.kind,
                "class": d.cls,
                "label": d.label,
                "handle A": d.a.handle if d.a else None,
                "handle B": d.b.handle if d.b else None,
                "layer": d.place.layer,
                "block": d.place.block or None,
                "text": d.place.text or None,
                "x": round((x0 + x1) / 2, DIGITS),
                "y": round((y0 + y1) / 2, DIGITS),
                "cost": round(d.cost, 8),
            }
            for change in d.changes or (Change("", "", None, None),):
                what = " ".join(filter(None, (change.what, change.name)))
                made.append({**about, "differs": what or None, "old": change.old, "new": change.new})
        return made


def compare(
    a: Drawing,
    b: Drawing,
    *,
    tolerance: float | None = None,
    rotation: Rotation = "none",
    mirror: bool = False,
    scale: Scale = "units",
    encoder: Encoder | None = None,
) -> Comparison:
    """Compare drawing ``a`` (old) with drawing ``b`` (new).

    Args:
        tolerance: largest difference of coordinates at which entities are the same, drawing units of ``b``; default
            0.01 mm, within limits that depend on the size of the drawing (`align.default_tolerance`).
        rotation, mirror, scale: poses of ``a`` in which it is as good, see `align.align`.
        encoder: scores the drawings as searching does; None: no such score.

    Raises:
        DeepDXFError: the tolerance is not a number above 0.
    """
    alignment, matching, swapped = matched(a, b, tolerance=tolerance, rotation=rotation, mirror=mirror, scale=scale)
    first, second = (b, a) if swapped else (a, b)
    laid = transform(a, alignment.matrix) if alignment.moves else a
    score = None
    if encoder is not None:
        switches = Switches(scale != "any", mirror, rotation != "none")
        score = similarity(encoder, first, second, switches)
    describer = _Describer(a, laid, b, matching, alignment, alignment.matrix if swapped else IDENTITY)
    differences = describer.differences()
    return Comparison(
        alignment=alignment,
        tolerance=alignment.tolerance,
        unit_mm=b.unit_mm,
        similarity=score,
        agreement=max(1.0 - sum(d.cost for d in differences), 0.0),
        differences=tuple(differences),
        same=describer.same(differences),
        classes=describer.classes(),
        regions=describer.regions(),
        notes=tuple(_notes(a, b, alignment, matching)),
    )


class Matched(NamedTuple):
    """Two drawings laid over each other, and which of their entities are the same."""

    alignment: Alignment  # of a onto b
    matching: Matching  # of a and b
    swapped: bool  # whether b was laid over a to find it


def matched(
    a: Drawing,
    b: Drawing,
    *,
    tolerance: float | None = None,
    rotation: Rotation = "none",
    mirror: bool = False,
    scale: Scale = "units",
) -> Matched:
    """What `compare` describes, with its arguments.

    Raises:
        DeepDXFError: the tolerance is not a number above 0.
    """
    if tolerance is not None and not 0 < tolerance < np.inf:
        raise DeepDXFError(f"a tolerance of {tolerance}; it must be a number above 0, in drawing units")
    swapped = _key(a) > _key(b)  # one order for each pair of drawings: both ways give the same
    first, second = (b, a) if swapped else (a, b)
    units = (a.unit_mm or 1.0) / (b.unit_mm or 1.0)
    given = tolerance if tolerance is None or not swapped else tolerance / units
    limit = given or default_tolerance(second)
    found = align(first, second, rotation=rotation, mirror=mirror, scale=scale, tolerance=limit)
    laid = transform(first, found.matrix) if found.moves else first
    matching = match(laid, second, limit)
    if swapped:
        return Matched(found.inverse(), _swapped(matching), True)
    return Matched(found, matching, False)


def _key(drawing: Drawing) -> bytes:
    """A hash of what a drawing shows."""
    digest = hashlib.blake2b(digest_size=16)
    columns = (drawing.cls, drawing.vertices, drawing.scalars, drawing.color, drawing.layer, drawing.handle)
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    digest.update("\0".join([*drawing.texts, *drawing.layers, *drawing.blocks]).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _swapped(matching: Matching) -> Matching:
    """The matching of B and A."""
    turned = [(j, i) for i, j in matching.changed]
    moved = [(j, i) for i, j in matching.moved]
    names = replace(
        matching.names,
        text=matching.names.text[::-1],
        layer=matching.names.layer[::-1],
        color=matching.names.color[::-1],
    )
    return Matching(
        matching.b, matching.a, matching.same[:, ::-1], moved, turned, matching.added, matching.removed, names
    )


def _notes(a: Drawing, b: Drawing, alignment: Alignment, matching: Matching) -> Iterable[str]:
    empty = [name for name, side in (("A", matching.a), ("B", matching.b)) if not len(side.marks)]
    if empty:
        yield f"{' and '.join(empty)} {'have' if len(empty) > 1 else 'has'} nothing drawn in {'them' if len(empty) > 1 else 'it'}"
    elif not alignment.found:
        yield "the drawings have no common geometry: they are compared as they lie"
    if alignment.moves:
        yield f"A was laid over B: {pose_text(alignment)}"
    if a.unit_mm and b.unit_mm and abs(a.unit_mm / b.unit_mm - 1) > 1e-9:
        taken = "taken into account" if abs(alignment.scale * b.unit_mm / a.unit_mm - 1) < 1e-6 else "not used"
        yield f"the drawings state different units ({a.unit_mm:g} and {b.unit_mm:g} mm), {taken}"
    redrawn = sum(len(np.unique(side.marks.row[side.partner == REDRAWN])) for side in (matching.a, matching.b))
    if redrawn:
        yield f"{redrawn} entities show the same by other means (lines of text, hatches as lines, lines in pieces)"
    for name, side in (("A", matching.a), ("B", matching.b)):
        if doubled := len(np.unique(side.marks.row[side.partner == DOUBLED])):
            yield f"{name} draws {doubled} entities twice or without length, which the other drawing does not"


def pose_text(alignment: Alignment) -> str:
    """How a drawing was laid over the other, in words."""
    dx, dy = alignment.matrix[:, 2]
    words = ["mirrored"] if alignment.mirrored else []
    if alignment.rotation:
        words.append(f"turned by {alignment.rotation:.6g}°")
    if abs(alignment.scale - 1) > 1e-9:
        words.append(f"scaled by {alignment.scale:.6g}")
    return ", ".join([*words, f"moved by ({dx:.6g}, {dy:.6g})"])


# --- describing ------------------------------------------------------------------------------------------------------


class _Describer:
    """Differences of a matching in words and numbers.

    ``a`` as it is, ``laid`` = a over ``b``; ``to_b`` (2, 3) maps the coordinates that were matched in to those of b.
    """

    def __init__(
        self, a: Drawing, laid: Drawing, b: Drawing, matching: Matching, alignment: Alignment, to_b: FloatArray
    ) -> None:
        self.a, self.laid, self.b, self.to_b = a, laid, b, to_b
        self.matching, self.alignment, self.tolerance = matching, alignment, alignment.tolerance
        self.sides = matching.a, matching.b
        count = max(sum(len(side.marks) for side in self.sides), 1)
        length = sum(float(side.marks.length.sum()) for side in self.sides)
        # share of each mark in both drawings
        self.shares = [
            (0.5 / count + 0.5 * side.marks.length / length) if length > 0 else np.full(len(side.marks), 1.0 / count)
            for side in self.sides
        ]

    @cached_property
    def dimensions(self) -> tuple[tuple[FloatArray, FloatArray, FloatArray], ...]:
        """`dimension_points` of a over b, and of b."""
        return dimension_points(self.laid), dimension_points(self.b)

    def differences(self) -> list[Difference]:
        """All differences: by kind, dearest first, ties by place."""
        m = self.matching
        found = [self._item("removed", unit, -1) for unit in m.removed]
        found += [self._item("added", -1, unit) for unit in m.added]
        found += [self._moved(i, j) for i, j in m.moved]
        found += [self._changed(i, j) for i, j in m.changed]
        found += self._properties()
        order = {kind: k for k, kind in enumerate(KINDS)}
        return sorted(
            found, key=lambda d: (order[d.kind], -round(d.cost, 9), d.place.box, d.place.handle, d.place.rows)
        )

    def _unit(self, side: int, unit: int) -> tuple[int, ...]:
        return () if unit < 0 else tuple(self.sides[side].rows(unit).tolist())

    def _marks(self, side: int, rows: tuple[int, ...]) -> slice:
        """The marks of some rows that follow each other."""
        low, high = np.searchsorted(self.sides[side].marks.row, [rows[0], rows[-1] + 1]) if rows else (0, 0)
        return slice(int(low), int(high))

    def _share(self, side: int, rows: tuple[int, ...], *, alone: bool) -> float:
        """Share of the marks of some rows, all or those alone."""
        picked = self._marks(side, rows)
        share = self.shares[side][picked]
        return float(share[self.sides[side].alone[picked]].sum() if alone else share.sum())

    def _place(self, side: int, row: int, rows: tuple[int, ...]) -> Place | None:
        """An entity with ink in some rows."""
        if row < 0:
            return None
        which, drawing = self.sides[side], (self.a, self.b)[side]
        box = drawing.box[list(rows)]
        x0, y0 = box[:, :2].min(axis=0).tolist()
        x1, y1 = box[:, 2:].max(axis=0).tolist()
        parent = int(drawing.parent[row])
        return Place(
            handle_text(drawing.handle[row]),
            drawing.layers[drawing.layer[row]],
            int(drawing.color[row]),
            (x0, y0, x1, y1),
            drawing.blocks[drawing.block_index[parent]] if parent >= 0 else "",
            handle_text(drawing.handle[which.root[row]]) if parent >= 0 else "",
            drawing.text(row),
            rows,
        )

    def _item(self, kind: str, i: int, j: int, changes: Sequence[Change] = (), cost: float | None = None) -> Difference:
        """A difference of two units, or of two rows when its ``cost`` is given; −1 = none."""
        rows = [self._unit(0, i), self._unit(1, j)] if cost is None else [(i,), (j,)]
        if cost is None:
            cost = sum(self._share(side, rows[side], alone=True) for side in (0, 1))
        cls = C(int(self.b.cls[j] if j >= 0 else self.a.cls[i]))
        a, b = self._place(0, i, rows[0]), self._place(1, j, rows[1])
        return Difference(kind, cls.name, cls in LABELS, a, b, tuple(changes), float(cost))

    def _moved(self, i: int, j: int) -> Difference:
        rows = self.matching.a.rows(i), self.matching.b.rows(j)
        before = self.laid.box[rows[0]]
        after = self.b.box[rows[1]]
        shift = [
            _number((after[:, k].min() + after[:, k + 2].max() - before[:, k].min() - before[:, k + 2].max()) / 2)
            for k in (0, 1)
        ]
        changes = [Change("position", axis, 0.0, value) for axis, value in zip("xy", shift, strict=True)]
        changes += self._property_changes(i, j)
        item = self._item("moved", i, j, changes)
        return replace(item, cost=0.0 if item.label else MOVED_COST * item.cost)

    def _changed(self, i: int, j: int) -> Difference:
        if i < 0 or j < 0:
            side = 0 if j < 0 else 1
            alone = self.sides[side].alone[self._marks(side, self._unit(side, i if j < 0 else j))]
            text = f"{int(alone.sum())} of {len(alone)} pieces only here"
            old, new = (text, None) if j < 0 else (None, text)
            return self._item("changed", i, j, [Change("geometry", "pieces", old, new)])
        changes = [*self._geometry_changes(i, j), *self._property_changes(i, j)]
        only_place = all(change.what == "position" for change in changes)
        item = self._item("changed", i, j, changes)
        if item.label and only_place:
            return replace(item, kind="moved", cost=0.0)
        if not changes:
            return replace(item, changes=(Change("geometry", "shape", None, None),))
        return item

    def _geometry_changes(self, i: int, j: int) -> list[Change]:
        """Numbers of two entities of one class that differ; of other classes their classes."""
        a, b = self.laid, self.b
        cls = C(int(a.cls[i]))
        if cls != b.cls[j]:
            return [Change("class", "", cls.name, C(int(b.cls[j])).name)]
        old, new = self._numbers(0, i), self._numbers(1, j)
        changes = []
        for name, (what, value) in old.items():
            other = new[name][1]
            least = DEGREE if name in ANGLES else 0.5 if name in COUNTS else self.tolerance
            difference = abs(value - other)
            if name in ANGLES:
                difference = min(difference % 360.0, 360.0 - difference % 360.0)
            if difference > least:
                changes.append(Change(what, name, _number(value), _number(other)))
        return changes

    def _numbers(self, side: int, row: int) -> dict[str, tuple[str, float]]:
        """Name -> (what it tells of, value) of an entity's numbers; the same names for all rows of a class."""
        drawing = (self.laid, self.b)[side]
        cls = C(int(drawing.cls[row]))
        points = drawing.points(row)[:, :2]
        scalar = {name: float(drawing.scalars[row, k]) for k, name in enumerate(SCALARS[cls])}
        made: dict[str, tuple[str, float]] = {}

        def add(what: str, **values: float) -> None:
            made.update({name: (what, float(value)) for name, value in values.items()})

        if cls == C.LINE:
            p, q = sorted(points.tolist())
            add("geometry", x1=p[0], y1=p[1], x2=q[0], y2=q[1], length=float(np.hypot(q[0] - p[0], q[1] - p[1])))
        elif cls in (C.CIRCLE, C.ARC):
            add("geometry", x=points[0, 0], y=points[0, 1], radius=scalar["radius"])
            if cls == C.ARC:
                add("geometry", start=scalar["start"], end=scalar["end"])
        elif cls in TEXTS:
            add("position", x=points[0, 0], y=points[0, 1])
            add("style", height=scalar["height"], rotation=scalar["rotation"])
        elif cls == C.INSERT:
            add("geometry", x=points[0, 0], y=points[0, 1], xscale=scalar["xscale"], yscale=scalar["yscale"])
            add("geometry", rotation=scalar["rotation"], pieces=len(self._unit(side, row)))
        elif cls == C.DIMENSION:
            ends, middles, _ = self.dimensions[side]
            at = int(np.searchsorted(drawing.rows(C.DIMENSION), row))
            p, q = sorted(ends[at].tolist())
            what = "position" if scalar["kind"] <= 1 else "geometry"  # of linear ones the place of the line
            add("dimension value", measurement=scalar["measurement"])
            add("geometry", x1=p[0], y1=p[1], x2=q[0], y2=q[1])
            add(what, **{"line x": middles[at, 0], "line y": middles[at, 1]})
            add("position", **{"text x": points[1, 0], "text y": points[1, 1]})
        else:
            x0, y0, x1, y1 = drawing.box[row].tolist()
            add("geometry", left=x0, bottom=y0, right=x1, top=y1, points=len(points))
            length = float(self.sides[side].marks.length[self._marks(side, (row,))].sum())
            add("geometry", length=length * float(np.sqrt(abs(np.linalg.det(self.to_b[:, :2])))))
            if cls == C.LWPOLYLINE:
                add("geometry", closed=scalar["closed"])
        return {name: pair for name, pair in made.items() if np.isfinite(pair[1])}

    def _property_changes(self, i: int, j: int) -> list[Change]:
        """Layer, colour, text and style of two rows that differ."""
        a, b, names = self.laid, self.b, self.matching.names
        changes = []
        if names.text[0][i] != names.text[1][j]:
            changes.append(Change("text", "", a.text(i), b.text(j)))
        if names.layer[0][i] != names.layer[1][j]:
            changes.append(Change("layer", "", a.layers[a.layer[i]], b.layers[b.layer[j]]))
        if a.color[i] != b.color[j]:
            changes.append(Change("colour", "", color_text(int(a.color[i])), color_text(int(b.color[j]))))
        if a.cls[i] == b.cls[j] == C.INSERT:
            old, new = a.blocks[a.block_index[i]], b.blocks[b.block_index[j]]
            if old.casefold() != new.casefold() and not (old.startswith("*") and new.startswith("*")):
                changes.append(Change("block", "", old, new))
        return changes

    def _style_changes(self, i: int, j: int) -> list[Change]:
        """Scalars of two rows of one class that differ without their marks differing."""
        a, b = self.laid, self.b
        cls = C(int(a.cls[i]))
        changes: list[Change] = []
        if cls != b.cls[j]:
            return changes
        for name in STYLE.get(cls, ()):
            column = SCALARS[cls].index(name)
            old, new = float(a.scalars[i, column]), float(b.scalars[j, column])
            if cls == C.HATCH and name != "solid":
                if a.scalars[i, 0] == b.scalars[j, 0] == 1:  # no pattern is seen
                    continue
                if self.alignment.mirrored:  # mirrored patterns have an angle that depends on the pattern
                    continue
                raw = float(self.a.scalars[i, column])  # patterns need not be turned and scaled with the drawing
                old = new if not self._differs(cls, name, raw, new) else old
            if self._differs(cls, name, old, new):
                changes.append(Change(STYLE[cls][name], name, _number(old), _number(new)))
        # programs place the text of a dimension anew when it is turned: it stays readable
        if cls == C.DIMENSION and not self.alignment.rotation and not self.alignment.mirrored:
            old_place, new_place = a.points(i)[1, :2], b.points(j)[1, :2]
            if np.abs(old_place - new_place).max() > self.tolerance:
                changes += [
                    Change("position", f"text {axis}", _number(old_place[k]), _number(new_place[k]))
                    for k, axis in enumerate("xy")
                ]
        return changes

    def _differs(self, cls: EntityClass, name: str, old: float, new: float) -> bool:
        if np.isnan(old) and np.isnan(new):
            return False
        if name in ANGLES:
            turn = (
                180.0 if self.alignment.mirrored or cls == C.HATCH else 360.0
            )  # texts of mirrored drawings are readable
            difference = abs(old - new) % turn
            return not min(difference, turn - difference) <= DEGREE
        return not abs(old - new) <= max(self.tolerance, 1e-6 * abs(old))

    def _properties(self) -> list[Difference]:
        """Entities that lie where they were, with another layer, colour, text or style."""
        a, b, names = self.laid, self.b, self.matching.names
        same = self.matching.same
        i, j = same[:, 0], same[:, 1]
        roots = np.column_stack([self.matching.a.root[i], self.matching.b.root[j]])
        blocks = (a.cls[roots[:, 0]] == C.INSERT) & (b.cls[roots[:, 1]] == C.INSERT)
        inserts = np.unique(roots[blocks], axis=0)
        # of several blocks that overlap the first
        inserts = inserts[np.unique(inserts[:, 0], return_index=True)[1]] if len(inserts) else inserts
        about_insert = {(i, j): self._property_changes(i, j) for i, j in map(tuple, inserts.tolist())}
        found = []
        for (one, two), changes in about_insert.items():
            if changes:
                found.append(replace(self._item("changed", one, two, changes), cost=0.0))

        suspect = (
            (names.layer[0][i] != names.layer[1][j])
            | (a.color[i] != b.color[j])
            | (names.text[0][i] != names.text[1][j])
            | np.isin(a.cls[i], list(STYLE))
        )
        done: set[tuple[int, int]] = {pair for pair in self.matching.changed if min(pair) >= 0}
        seen: set[int] = set()  # an entity of several pieces is told of once
        for (one, two), (root, other) in zip(same[suspect].tolist(), roots[suspect].tolist(), strict=True):
            if (one, two) in done or one in seen:
                continue
            changes = self._property_changes(one, two) + self._style_changes(one, two)
            known = about_insert.get((root, other), [])
            changes = [change for change in changes if change not in known]
            if not changes:
                continue
            seen.add(one)
            costly = any(change.what not in FREE and change.what != "position" for change in changes)
            label = all(change.what == "position" for change in changes)
            cost = sum(self._share(side, (row,), alone=False) for side, row in enumerate((one, two)) if costly)
            found.append(self._item("moved" if label else "changed", one, two, changes, cost))
        return found

    def same(self, differences: Sequence[Difference]) -> tuple[tuple[str, str, str], ...]:
        """Matched entities that no difference names: handles in A and B, class in A."""
        named: list[set[int]] = [set(), set()]
        for d in differences:
            for k, place in enumerate((d.a, d.b)):
                if place:
                    named[k].update(place.rows)
        pairs = (pair for pair in self.matching.same.tolist() if pair[0] not in named[0] and pair[1] not in named[1])
        return tuple(
            (handle_text(self.a.handle[i]), handle_text(self.b.handle[j]), C(int(self.a.cls[i])).name) for i, j in pairs
        )

    def classes(self) -> dict[str, ClassScore]:
        """Agreement by entity class, of marks that lie over each other."""
        counts, same = [], []
        matched, total = np.zeros(len(C)), np.zeros(len(C))
        for k, (side, drawing) in enumerate(((self.matching.a, self.a), (self.matching.b, self.b))):
            visible = np.flatnonzero(drawing.visible)
            counts.append(np.bincount(drawing.cls[visible], minlength=len(C)))
            marked = np.bincount(side.marks.row, minlength=len(drawing)) > 0
            alone = np.bincount(side.marks.row[side.alone], minlength=len(drawing)) > 0
            same.append(np.bincount(drawing.cls[marked & ~alone], minlength=len(C)))
            cls = drawing.cls[side.marks.row]
            total += np.bincount(cls, self.shares[k], len(C))
            matched += np.bincount(cls, self.shares[k] * ~side.alone, len(C))
        return {
            C(c).name: ClassScore(
                int(counts[0][c]), int(counts[1][c]), int(same[0][c]), int(same[1][c]), float(matched[c] / total[c])
            )
            for c in np.flatnonzero(total > 0).tolist()
        }

    def regions(self) -> tuple[Region, ...]:
        """Agreement in a grid over both drawings."""
        frame = union_frame(self.laid, self.b)
        width, height = frame[2:] - frame[:2]
        cell = max(float(width), float(height)) / REGIONS
        if not cell > 0:
            return ()
        columns, lines = (max(int(np.ceil(extent / cell - 1e-9)), 1) for extent in (width, height))
        total, matched = np.zeros(columns * lines), np.zeros(columns * lines)
        for k, side in enumerate(self.sides):
            centre = side.marks.values[:, 5:7] @ self.to_b[:, :2].T + self.to_b[:, 2]
            spot = np.clip(np.floor((centre - frame[:2]) / cell), 0, [columns - 1, lines - 1]).astype(np.int64)
            cells = spot[:, 1] * columns + spot[:, 0]
            total += np.bincount(cells, self.shares[k], columns * lines)
            matched += np.bincount(cells, self.shares[k] * ~side.alone, columns * lines)
        made = []
        for number in np.flatnonzero(total > 0).tolist():
            x, y = frame[0] + (number % columns) * cell, frame[1] + (number // columns) * cell
            made.append(
                Region(
                    (float(x), float(y), float(x + cell), float(y + cell)),
                    float(total[number]),
                    float(matched[number] / total[number]),
                )
            )
        return tuple(made)


# Scalars that may differ while the marks of two rows agree, and what such a change is.
STYLE: Mapping[EntityClass, Mapping[str, str]] = {
    C.TEXT: {"height": "style", "rotation": "style"},
    C.MTEXT: {"char_height": "style", "rotation": "style"},
    C.HATCH: {"solid": "style", "pattern_angle": "style", "pattern_scale": "style"},
    C.DIMENSION: {"measurement": "dimension value"},
}
ANGLES = frozenset({"rotation", "start", "end", "pattern_angle", "angle"})
COUNTS = frozenset({"points", "closed", "pieces"})


def union_frame(a: Drawing, b: Drawing) -> FloatArray:
    """(4,) the frame around both drawings; of one that is empty the other's."""
    frames = [d.frame for d in (a, b) if d.visible.any()]
    if not frames:
        return np.zeros(4)
    return enclosing(np.array(frames))


def color_text(color: int) -> str:
    """A colour as people name it."""
    if color < 0:
        return f"#{-1 - color:06x}"
    return {0: "by block", 256: "by layer"}.get(color, f"colour {color}")


def _number(value: float) -> float:
    """A number as reports give it; no −0."""
    return round(float(value), DIGITS) + 0.0
