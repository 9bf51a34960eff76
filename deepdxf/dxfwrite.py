"""A drawing as records (`Doc`), and its DXF.

A small writer of our own: it writes the twelve classes of the codes much faster than a full CAD library, byte for byte
the same on every platform (coordinates are rounded to `DECIMALS` places, far coarser than the last bits in which the
mathematical libraries of platforms differ). Three versions are enough to meet what readers must cope with:

``AC1009``  R12: no subclass markers, POLYLINE with vertices; what R12 lacks is written as AutoCAD did when saving to it
            (hatches as ``*X`` blocks of lines, splines as polylines, MTEXT as lines of TEXT, leaders as lines)
``AC1015``  2000: in the code page of the texts' language, as AutoCAD before 2007 wrote; ``\\U+XXXX`` where none fits
``AC1021``  2007: UTF-8

Coordinates and lengths are drawing units, angles degrees counter-clockwise.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from operator import attrgetter
from typing import Any

Point = tuple[float, float]

DECIMALS = 6
VERSIONS = ("AC1009", "AC1015", "AC1021")
# $INSUNITS and millimetres of each unit name (DXF reference, INSUNITS).
UNITS: dict[str, tuple[int, float | None]] = {
    "": (0, None),
    "in": (1, 25.4),
    "ft": (2, 304.8),
    "mm": (4, 1.0),
    "cm": (5, 10.0),
    "m": (6, 1000.0),
}
# Code pages before 2007; the first that holds all texts is taken: Japanese before Chinese, as GBK has kana too.
CODEPAGES = {"ANSI_1252": "cp1252", "ANSI_1251": "cp1251", "ANSI_932": "cp932", "ANSI_936": "gbk"}
# Elements of the line types, in paper millimetres: dash > 0, gap < 0, dot = 0.
LINETYPES: dict[str, tuple[float, ...]] = {
    "Continuous": (),
    "CENTER": (31.75, -6.35, 6.35, -6.35),
    "HIDDEN": (6.35, -3.175),
    "PHANTOM": (31.75, -6.35, 6.35, -6.35, 6.35, -6.35),
}
LEFT, CENTER, RIGHT = 0, 1, 2  # alignment of texts


@dataclass(slots=True)
class Entity:
    """One entity; records are values: make another with `but`, do not assign.

    What ``points``, ``size``, ``angle`` and ``name`` are, by type:

    =========== ============================== ================= =================== =====================
    type        points                         size              angle, end          name
    =========== ============================== ================= =================== =====================
    LINE        start, end
    CIRCLE      centre                         radius
    ARC         centre                         radius            start, end
    LWPOLYLINE  vertices (``bulges``)
    POINT       place
    SPLINE      control points (clamped uniform knots unless ``knots`` are given)
    SOLID       3 or 4 corners
    TEXT        anchor on the base line        height            rotation
    MTEXT       anchor, top                    height            rotation
    ATTDEF      as TEXT, in a block            height            rotation            tag
    INSERT      insertion point                scale             rotation            block
    HATCH       vertices of all loops          line spacing      pattern angle       SOLID or ANSI31
    LEADER      arrow tip, further vertices    arrow length
    DIMENSION   two measured points, a point   text height       of the dimension    linear, diameter or
                on the dimension line, perhaps                   line (linear)       radius
                the middle of the text
    =========== ============================== ================= =================== =====================
    """

    type: str
    layer: str
    points: Sequence[Point]
    size: float = 0.0
    angle: float = 0.0
    end: float = 0.0
    name: str = ""
    text: str = ""  # TEXT, MTEXT, ATTDEF; DIMENSION: override, "<>" stands for the measured value
    bulges: Sequence[float] = ()  # LWPOLYLINE and HATCH: one a vertex, or none
    counts: Sequence[int] = ()  # HATCH: vertices of each loop
    knots: Sequence[float] = ()  # SPLINE of any kind: knots, weights, degree; R12 has only clamped uniform cubics
    weights: Sequence[float] = ()
    degree: int = 3
    closed: bool = False  # LWPOLYLINE
    align: int = LEFT  # TEXT, MTEXT, ATTDEF
    mirrored: bool = False  # INSERT: the block's x axis is flipped
    attributes: tuple[tuple[str, str], ...] = ()  # INSERT: (tag, value)
    color: int = 256
    linetype: str = ""
    feature: str = ""  # what the entity belongs to ("hole:3"); never written, the ground truth of edits
    handle: int = 0

    def but(self, **changes: Any) -> Entity:
        """The entity with other values of some fields (`dataclasses.replace`, ten times faster)."""
        other = Entity(*_values(self))
        for name, value in changes.items():
            setattr(other, name, value)
        return other


_values = attrgetter(*(f.name for f in fields(Entity)))


@dataclass(slots=True)
class Doc:
    """A drawing as records. Handles of ``entities`` and block contents are unique; 0 = to be given by `number`."""

    entities: list[Entity] = field(default_factory=list)
    blocks: dict[str, list[Entity]] = field(default_factory=dict)
    layers: dict[str, tuple[int, str]] = field(default_factory=dict)  # name -> colour, line type
    unit: str = "mm"  # a key of UNITS
    decimals: int = 2  # digits of measured values
    comma: bool = False  # decimal comma in measured values
    version: str = "AC1015"
    newline: str = "\r\n"

    def everything(self) -> Iterator[Entity]:
        """All entities, those in blocks last."""
        yield from self.entities
        for content in self.blocks.values():
            yield from content

    def number(self, first: int = 0x200) -> None:
        """Give a handle to all records that have none, ascending in order, above all handles in use."""
        handle = max(first - 1, max((e.handle for e in self.everything()), default=0))
        for content in (*self.blocks.values(), self.entities):
            for i, entity in enumerate(content):
                if not entity.handle:
                    handle += 1
                    content[i] = entity.but(handle=handle)

    def box(self) -> tuple[float, float, float, float]:
        """Min x, min y, max x, max y; texts count by their anchors, inserts by their block's box. Zeros when empty."""
        corners = {}
        for name, content in self.blocks.items():
            x0, y0, x1, y1 = _box([p for e in content for p in extent(e)])
            corners[name] = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        points: list[Point] = []
        for e in self.entities:
            if e.type == "INSERT" and e.name in corners:
                points += map(insertion(e).point, corners[e.name])
            else:
                points += extent(e)
        return _box(points)


def _box(points: Sequence[Point]) -> tuple[float, float, float, float]:
    if not points:
        return 0.0, 0.0, 0.0, 0.0
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def extent(entity: Entity) -> Sequence[Point]:
    """Points whose box holds the entity: a circle's square, ends and quadrants of an arc, else its own points."""
    if entity.type not in ("CIRCLE", "ARC"):
        return entity.points
    (x, y), r = entity.points[0], entity.size
    if entity.type == "CIRCLE":
        return (x - r, y - r), (x + r, y + r)
    start, sweep = entity.angle, (entity.end - entity.angle) % 360 or 360.0
    turns = [start, start + sweep, *(q for q in range(0, 1080, 90) if start < q < start + sweep)]
    return [(x + r * math.cos(math.radians(t)), y + r * math.sin(math.radians(t))) for t in turns]


@dataclass(frozen=True, slots=True)
class Similarity:
    """p ↦ scale · R(rotation) · F · p + (dx, dy), where F flips x when ``mirrored``."""

    scale: float = 1.0
    rotation: float = 0.0
    mirrored: bool = False
    dx: float = 0.0
    dy: float = 0.0

    def matrix(self) -> tuple[float, float, float, float, float, float]:
        """Coefficients (a, b, c, d, e, f): x' = a x + c y + e, y' = b x + d y + f."""
        turn = math.radians(self.rotation)
        c, s = self.scale * math.cos(turn), self.scale * math.sin(turn)
        flip = -1.0 if self.mirrored else 1.0
        return flip * c, flip * s, -s, c, self.dx, self.dy

    def point(self, p: Point) -> Point:
        """Image of one point."""
        a, b, c, d, e, f = self.matrix()
        return a * p[0] + c * p[1] + e, b * p[0] + d * p[1] + f

    def entity(self, entity: Entity) -> Entity:
        """Image of an entity. Texts of a mirrored drawing stay readable, as with MIRRTEXT = 0."""
        a, b, c, d, e, f = self.matrix()
        points = [(a * x + c * y + e, b * x + d * y + f) for x, y in entity.points]
        # R(θ) F R(α) = R(θ − α) F: for everything with a frame of its own a flip turns α into −α
        angle, end = self.rotation + (-entity.angle if self.mirrored else entity.angle), entity.end
        bulges, align, flipped = entity.bulges, entity.align, entity.mirrored
        if entity.type == "ARC":
            turned = (entity.angle, entity.end)
            if self.mirrored:
                turned = (180.0 - entity.end, 180.0 - entity.angle)
            angle, end = turned[0] + self.rotation, turned[1] + self.rotation
        if self.mirrored:
            bulges = [-bulge for bulge in bulges]
            align, flipped = RIGHT - align, not flipped if entity.type == "INSERT" else False
        return entity.but(
            points=points,
            size=entity.size * self.scale,
            angle=angle % 360.0,
            end=end % 360.0,
            bulges=bulges,
            align=align if entity.type in ("TEXT", "MTEXT", "ATTDEF") else LEFT,
            mirrored=flipped,
        )


def insertion(insert: Entity) -> Similarity:
    """The map from block to drawing of an INSERT."""
    (x, y) = insert.points[0]
    return Similarity(insert.size, insert.angle, insert.mirrored, x, y)


def exploded(doc: Doc, insert: Entity) -> list[Entity]:
    """What an INSERT shows, as entities of the drawing without handles; attributes become texts."""
    move, values = insertion(insert), dict(insert.attributes)
    content = []
    for part in doc.blocks[insert.name]:
        if part.type == "ATTDEF":
            if not values.get(part.name):
                continue
            part = part.but(type="TEXT", text=values[part.name], name="")
        layer = insert.layer if part.layer == "0" else part.layer
        content.append(move.entity(part).but(layer=layer, feature=insert.feature, handle=0))
    return content


def number_text(doc: Doc, value: float) -> str:
    """A measured value as the drawing's dimensions print it."""
    text = f"{value:.{doc.decimals}f}"
    return text.replace(".", ",") if doc.comma else text


def dimension_parts(doc: Doc, dim: Entity) -> tuple[float, list[Point], list[Entity]]:
    """Measurement, DXF definition points (dimension line, text middle, …) and picture of a DIMENSION."""
    (x1, y1), (x2, y2), (x3, y3) = dim.points[:3]
    text_height, arrow = dim.size, dim.size
    if dim.name == "linear":
        turn = math.radians(dim.angle)
        ux, uy = math.cos(turn), math.sin(turn)
        measure = (x2 - x1) * ux + (y2 - y1) * uy
        t1, t2 = ((x1 - x3) * ux + (y1 - y3) * uy), ((x2 - x3) * ux + (y2 - y3) * uy)
        ends = [(x3 + t1 * ux, y3 + t1 * uy), (x3 + t2 * ux, y3 + t2 * uy)]
        legs = [((x1, y1), ends[0]), ((x2, y2), ends[1])]
        if measure < 0:
            ux, uy, measure = -ux, -uy, -measure
        prefix = ""
    else:
        measure = math.hypot(x2 - x1, y2 - y1)
        ux, uy = ((x2 - x1) / measure, (y2 - y1) / measure) if measure else (1.0, 0.0)
        ends, legs, prefix = [(x1, y1), (x2, y2)], [], "%%c" if dim.name == "diameter" else "R"
    (ax, ay), (bx, by) = ends
    parts = [Entity("LINE", dim.layer, leg) for leg in legs if math.dist(*leg) > 0]
    if measure:
        parts.append(Entity("LINE", dim.layer, ends))
    tips = [(bx, by, -ux, -uy)] if dim.name == "radius" else [(ax, ay, ux, uy), (bx, by, -ux, -uy)]
    for px, py, vx, vy in tips:
        wx, wy = px + arrow * vx, py + arrow * vy
        across = arrow / 6
        parts.append(
            Entity(
                "SOLID",
                dim.layer,
                [(px, py), (wx - across * vy, wy + across * vx), (wx + across * vy, wy - across * vx)],
            )
        )
    upright = math.degrees(math.atan2(uy, ux)) % 180.0
    turn = math.radians(upright)
    mid_x, mid_y = ((ax + bx) / 2, (ay + by) / 2) if dim.name == "linear" else (x3, y3)
    middle = (mid_x - 0.8 * text_height * math.sin(turn), mid_y + 0.8 * text_height * math.cos(turn))
    middle = dim.points[3] if len(dim.points) > 3 else middle
    shown = prefix + number_text(doc, measure)
    shown = dim.text.replace("<>", shown) if dim.text else shown
    anchor = (middle[0] + text_height / 2 * math.sin(turn), middle[1] - text_height / 2 * math.cos(turn))
    parts.append(Entity("TEXT", dim.layer, [anchor], size=text_height, angle=upright, text=shown, align=CENTER))
    if dim.name == "linear":
        return measure, [ends[1], middle, (x1, y1), (x2, y2)], parts
    return measure, [(x1, y1), middle, (x2, y2)], parts


def flattened(points: Sequence[Point], bulges: Sequence[float], closed: bool = True, steps: int = 8) -> list[Point]:
    """Vertices of a polyline whose arcs are replaced by ``steps`` chords each."""
    if not any(bulges):
        return list(points)
    out: list[Point] = []
    count = len(points)
    for i, (x1, y1) in enumerate(points):
        out.append((x1, y1))
        bulge = bulges[i]
        if bulge and (closed or i + 1 < count):
            x2, y2 = points[(i + 1) % count]
            # centre = chord's middle + cot(sweep/2)/2 · normal, with tan(sweep/4) = bulge
            k = (1 - bulge * bulge) / (4 * bulge)
            cx, cy = (x1 + x2) / 2 - k * (y2 - y1), (y1 + y2) / 2 + k * (x2 - x1)
            sweep = 4 * math.atan(bulge)
            for j in range(1, steps):
                c, s = math.cos(sweep * j / steps), math.sin(sweep * j / steps)
                out.append((cx + c * (x1 - cx) - s * (y1 - cy), cy + s * (x1 - cx) + c * (y1 - cy)))
    return out


def loops_of(hatch: Entity) -> list[tuple[list[Point], list[float]]]:
    """(vertices, bulges) of each loop of a HATCH."""
    loops, start = [], 0
    for count in hatch.counts:
        bulges = list(hatch.bulges[start : start + count]) or [0.0] * count
        loops.append((list(hatch.points[start : start + count]), bulges))
        start += count
    return loops


def hatch_lines(hatch: Entity) -> list[Entity]:
    """A HATCH as the parallel LINEs that it shows (even-odd rule); a SOLID one as dense lines."""
    turn = math.radians(hatch.angle)
    c, s = math.cos(turn), math.sin(turn)
    edges = []
    for points, bulges in loops_of(hatch):
        flat = [(c * x + s * y, -s * x + c * y) for x, y in flattened(points, bulges)]
        edges += list(pairwise([*flat, flat[0]]))
    low, high = min(p[1] for e in edges for p in e), max(p[1] for e in edges for p in e)
    spacing = max(hatch.size, (high - low) / 200)
    lines = []
    for k in range(math.floor(low / spacing) + 1, math.ceil(high / spacing)):
        v = k * spacing
        cuts = sorted(a[0] + (v - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) for a, b in edges if (a[1] <= v) != (b[1] <= v))
        for u1, u2 in zip(cuts[::2], cuts[1::2], strict=True):
            if u2 > u1:
                ends = [(c * u - s * v, s * u + c * v) for u in (u1, u2)]
                lines.append(Entity("LINE", hatch.layer, ends, color=hatch.color, feature=hatch.feature))
    return lines


def clamped_knots(count: int) -> list[float]:
    """Knots of a clamped uniform cubic with ``count`` ≥ 4 control points."""
    inner = count - 3
    return [0.0] * 4 + [float(i) for i in range(1, inner)] + [float(inner)] * 4


def spline_points(control: Sequence[Point], steps: int = 8) -> list[Point]:
    """Points on a clamped uniform cubic spline, ``steps`` a span (de Boor's algorithm)."""
    knots, out = clamped_knots(len(control)), []
    spans = len(control) - 3
    for i in range(spans * steps + 1):
        u = i / steps
        k = min(int(u), spans - 1) + 3
        d = [control[k - 3 + j] for j in range(4)]
        for r in range(1, 4):
            for j in range(3, r - 1, -1):
                low, high = knots[k - 3 + j], knots[k + 1 + j - r]
                a = (u - low) / (high - low)
                d[j] = ((1 - a) * d[j - 1][0] + a * d[j][0], (1 - a) * d[j - 1][1] + a * d[j][1])
        out.append(d[3])
    return out


# ---------------------------------------------------------------------------------------------------------------- DXF


def _n(value: float) -> str:
    return repr(round(value, DECIMALS) + 0.0)  # + 0.0 turns −0.0 into 0.0


def _xy(point: Point, code: int = 10) -> str:
    return f"{code}\n{_n(point[0])}\n{code + 10}\n{_n(point[1])}\n{code + 20}\n0.0\n"


def _tags(pairs: str) -> str:
    """Tags of alternating codes and values."""
    return pairs.replace(" ", "\n") + "\n"


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(f"\\U+{ord(c):04X}" for c in error.object[error.start : error.end]), error.end


codecs.register_error("dxf-escape", _escape)


class _Writer:
    """Text of one file. Anonymous blocks come up while entities are written, so `file` joins the sections last."""

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        self.old = doc.version == "AC1009"
        self.codepage, self.encoding = self.choose_encoding()
        self.next = max(0x1FF, max((e.handle for e in doc.everything()), default=0)) + 1
        self.extra: dict[str, list[Entity]] = {}  # anonymous blocks: pictures of dimensions and, in R12, hatches
        self.records: dict[str, int] = {name: self.take() for name in ("*Model_Space", "*Paper_Space", *doc.blocks)}

    def take(self) -> int:
        self.next += 1
        return self.next - 1

    def choose_encoding(self) -> tuple[str, str]:
        """$DWGCODEPAGE and Python's name of it."""
        doc = self.doc
        if doc.version == "AC1021":
            return "ANSI_1252", "utf-8"
        words = [e.text + e.name + "".join(value for _, value in e.attributes) for e in doc.everything()]
        sample = "".join({*"".join((*words, *doc.layers, *doc.blocks))})
        for codepage, encoding in CODEPAGES.items():
            try:
                sample.encode(encoding)
            except UnicodeEncodeError:
                continue
            return codepage, encoding
        return "ANSI_1252", "cp1252"

    def string(self, text: str) -> str:
        text = text.replace("\r", " ").replace("\n", "\\P")
        if text.isascii():
            return text
        return text.encode(self.encoding, "dxf-escape").decode(self.encoding)

    def anonymous(self, letter: str, content: list[Entity]) -> str:
        name = f"*{letter}{len(self.extra) + 1}"
        self.extra[name] = content
        self.records[name] = self.take()
        return name

    def head(self, entity: Entity, type_: str, owner: int, *classes: str) -> str:
        out = f"0\n{type_}\n5\n{entity.handle or self.take():X}\n"
        if not self.old:
            out += f"330\n{owner:X}\n100\nAcDbEntity\n"
        out += f"8\n{self.string(entity.layer)}\n"
        if entity.linetype:
            out += f"6\n{entity.linetype}\n"
        if entity.color != 256:
            out += f"62\n{entity.color}\n"
        return out + self.mark(*classes)

    def mark(self, *classes: str) -> str:
        return "" if self.old else "".join(f"100\n{name}\n" for name in classes)

    def entities(self, content: Iterable[Entity], owner: int) -> str:
        return "".join([getattr(self, entity.type.lower())(entity, owner) for entity in content])

    def line(self, e: Entity, owner: int) -> str:
        return self.head(e, "LINE", owner, "AcDbLine") + _xy(e.points[0]) + _xy(e.points[1], 11)

    def point(self, e: Entity, owner: int) -> str:
        return self.head(e, "POINT", owner, "AcDbPoint") + _xy(e.points[0])

    def circle(self, e: Entity, owner: int) -> str:
        return self.head(e, "CIRCLE", owner, "AcDbCircle") + _xy(e.points[0]) + f"40\n{_n(e.size)}\n"

    def arc(self, e: Entity, owner: int) -> str:
        arc = f"50\n{_n(e.angle)}\n51\n{_n(e.end)}\n"
        return (
            self.head(e, "ARC", owner, "AcDbCircle")
            + _xy(e.points[0])
            + f"40\n{_n(e.size)}\n"
            + self.mark("AcDbArc")
            + arc
        )

    def lwpolyline(self, e: Entity, owner: int) -> str:
        bulges = e.bulges or [0.0] * len(e.points)
        if self.old:
            out = self.head(e, "POLYLINE", owner) + f"66\n1\n10\n0.0\n20\n0.0\n30\n0.0\n70\n{int(e.closed)}\n"
            for point, bulge in zip(e.points, bulges, strict=True):
                out += self.head(e.but(handle=0), "VERTEX", owner) + _xy(point)
                out += f"42\n{_n(bulge)}\n" if bulge else ""
            return out + self.head(e.but(handle=0), "SEQEND", owner)
        head = self.head(e, "LWPOLYLINE", owner, "AcDbPolyline") + f"90\n{len(e.points)}\n70\n{int(e.closed)}\n"
        vertices = zip(e.points, bulges, strict=True)
        return head + "".join(
            [f"10\n{_n(x)}\n20\n{_n(y)}\n" + (f"42\n{_n(b)}\n" if b else "") for (x, y), b in vertices]
        )

    def spline(self, e: Entity, owner: int) -> str:
        if self.old:
            return self.lwpolyline(e.but(points=spline_points(e.points)), owner)
        knots = e.knots or clamped_knots(len(e.points))
        flag = 12 if e.weights else 8  # planar, rational
        out = (
            self.head(e, "SPLINE", owner, "AcDbSpline")
            + f"70\n{flag}\n71\n{e.degree}\n72\n{len(knots)}\n73\n{len(e.points)}\n74\n0\n"
        )
        out += "".join(f"40\n{_n(k)}\n" for k in knots) + "".join(f"41\n{_n(w)}\n" for w in e.weights)
        return out + "".join(map(_xy, e.points))

    def solid(self, e: Entity, owner: int) -> str:
        corners = [*e.points, e.points[-1]][:4]
        return self.head(e, "SOLID", owner, "AcDbTrace") + "".join(_xy(p, 10 + i) for i, p in enumerate(corners))

    def text(self, e: Entity, owner: int) -> str:
        return self.head(e, "TEXT", owner, "AcDbText") + self.text_body(e, e.text) + self.mark("AcDbText")

    def text_body(self, e: Entity, text: str) -> str:
        out = _xy(e.points[0]) + f"40\n{_n(e.size)}\n1\n{self.string(text)}\n50\n{_n(e.angle)}\n7\nStandard\n"
        return out + (f"72\n{e.align}\n" + _xy(e.points[0], 11) if e.align else "")

    def attdef(self, e: Entity, owner: int) -> str:
        out = self.head(e, "ATTDEF", owner, "AcDbText") + self.text_body(e, e.text)
        return out + self.mark("AcDbAttributeDefinition") + f"3\n{e.name}\n2\n{e.name}\n70\n0\n"

    def mtext(self, e: Entity, owner: int) -> str:
        if self.old:
            out, turn = "", math.radians(e.angle)
            for i, line in enumerate(e.text.split("\n")):
                down = (1 + 1.6 * i) * e.size
                (x, y) = e.points[0]
                place = (x + down * math.sin(turn), y - down * math.cos(turn))
                out += self.text(e.but(points=[place], text=line, handle=0 if i else e.handle), owner)
            return out
        out = self.head(e, "MTEXT", owner, "AcDbMText") + _xy(e.points[0]) + f"40\n{_n(e.size)}\n71\n{e.align + 1}\n"
        text = self.string(e.text)
        while len(text) > 250:  # DXF reference: chunks of 250 characters in group 3, the rest in group 1
            out, text = out + f"3\n{text[:250]}\n", text[250:]
        return out + f"1\n{text}\n50\n{_n(e.angle)}\n"

    def insert(self, e: Entity, owner: int) -> str:
        values = dict(e.attributes)
        slots = [part for part in self.doc.blocks.get(e.name, ()) if part.type == "ATTDEF" and part.name in values]
        out = self.head(e, "INSERT", owner, "AcDbBlockReference") + ("66\n1\n" if slots else "")
        out += f"2\n{self.string(e.name)}\n" + _xy(e.points[0])
        x_scale = -e.size if e.mirrored else e.size
        out += f"41\n{_n(x_scale)}\n42\n{_n(e.size)}\n43\n{_n(e.size)}\n50\n{_n(e.angle)}\n"
        for part in slots:
            placed = insertion(e).entity(part).but(handle=0, layer=e.layer if part.layer == "0" else part.layer)
            out += self.head(placed, "ATTRIB", e.handle, "AcDbText") + self.text_body(placed, values[part.name])
            out += self.mark("AcDbAttribute") + f"2\n{part.name}\n70\n0\n"
        return out + (self.head(e.but(handle=0), "SEQEND", e.handle) if slots else "")

    def hatch(self, e: Entity, owner: int) -> str:
        if self.old:
            name = self.anonymous("X", hatch_lines(e))
            return self.insert(Entity("INSERT", e.layer, [(0.0, 0.0)], size=1.0, name=name, handle=e.handle), owner)
        solid = e.name == "SOLID"
        out = self.head(e, "HATCH", owner, "AcDbHatch")
        out += "10\n0.0\n20\n0.0\n30\n0.0\n210\n0.0\n220\n0.0\n230\n1.0\n"
        out += f"2\n{e.name}\n70\n{int(solid)}\n71\n0\n91\n{len(e.counts)}\n"
        for i, (points, bulges) in enumerate(loops_of(e)):
            curved = any(bulges)
            out += f"92\n{2 if i else 3}\n72\n{int(curved)}\n73\n1\n93\n{len(points)}\n"
            for (x, y), bulge in zip(points, bulges, strict=True):
                out += f"10\n{_n(x)}\n20\n{_n(y)}\n" + (f"42\n{_n(bulge)}\n" if curved else "")
            out += "97\n0\n"
        out += "75\n0\n76\n1\n"
        if not solid:
            turn = math.radians(e.angle)
            out += (
                f"52\n{_n(e.angle - 45)}\n41\n{_n(e.size / 3.175)}\n77\n0\n78\n1\n53\n{_n(e.angle)}\n43\n0.0\n44\n0.0\n"
            )
            out += f"45\n{_n(-e.size * math.sin(turn))}\n46\n{_n(e.size * math.cos(turn))}\n79\n0\n"
        return out + "98\n0\n"

    def leader(self, e: Entity, owner: int) -> str:
        if self.old:
            return self.lwpolyline(e, owner)
        out = self.head(e, "LEADER", owner, "AcDbLeader")
        out += f"3\nStandard\n71\n1\n72\n0\n73\n3\n74\n1\n75\n0\n40\n{_n(e.size)}\n41\n0.0\n76\n{len(e.points)}\n"
        return out + "".join(map(_xy, e.points))

    def dimension(self, e: Entity, owner: int) -> str:
        measure, places, parts = dimension_parts(self.doc, e)
        name = self.anonymous("D", [p.but(layer="0") for p in parts])
        flag = {"linear": 0, "diameter": 3, "radius": 4}[e.name]
        out = self.head(e, "DIMENSION", owner, "AcDbDimension") + f"2\n{name}\n" + _xy(places[0]) + _xy(places[1], 11)
        out += f"70\n{flag | 32}\n" + (f"1\n{self.string(e.text)}\n" if e.text else "")
        out += "" if self.old else f"71\n5\n42\n{_n(measure)}\n"
        out += "3\nStandard\n"
        if flag:
            kind = "AcDbDiametricDimension" if flag == 3 else "AcDbRadialDimension"
            return out + self.mark(kind) + _xy(places[2], 15) + "40\n0.0\n"
        out += self.mark("AcDbAlignedDimension") + _xy(places[2], 13) + _xy(places[3], 14) + f"50\n{_n(e.angle)}\n"
        return out + self.mark("AcDbRotatedDimension")

    # -- sections

    def table(self, name: str, rows: Sequence[tuple[str, str]], handles: Sequence[int] = ()) -> str:
        """``rows``: subclass and body of each record, written as one TABLE; records get new handles unless given."""
        handle = self.take()
        out = f"0\nTABLE\n2\n{name}\n" + ("" if self.old else f"5\n{handle:X}\n330\n0\n100\nAcDbSymbolTable\n")
        out += f"70\n{len(rows)}\n"
        if name == "DIMSTYLE" and not self.old:
            out += "100\nAcDbDimStyleTable\n71\n0\n"
        for i, (subclass, body) in enumerate(rows):
            out += f"0\n{name}\n"
            if not self.old:
                own = handles[i] if handles else self.take()
                code = 105 if name == "DIMSTYLE" else 5
                out += f"{code}\n{own:X}\n330\n{handle:X}\n100\nAcDbSymbolTableRecord\n100\n{subclass}\n"
            out += body
        return out + "0\nENDTAB\n"

    def tables(self, extents: tuple[float, float, float, float]) -> str:
        x0, y0, x1, y1 = extents
        middle = f"12 {_n((x0 + x1) / 2)} 22 {_n((y0 + y1) / 2)}"
        height = max(y1 - y0, (x1 - x0) / 1.5, 1e-3)
        view = _tags(f"2 *ACTIVE 70 0 10 0.0 20 0.0 11 1.0 21 1.0 {middle} 13 0.0 23 0.0 14 1.0 24 1.0 15 1.0 25 1.0")
        view += _tags(f"16 0.0 26 0.0 36 1.0 17 0.0 27 0.0 37 0.0 40 {_n(height)} 41 1.5 42 50.0 43 0.0 44 0.0 50 0.0")
        view += _tags("51 0.0 71 0 72 100 73 1 74 3 75 0 76 0 77 0 78 0")
        types = []
        for name in () if self.old else ("ByBlock", "ByLayer"):
            types.append(("AcDbLinetypeTableRecord", f"2\n{name}\n70\n0\n3\n\n72\n65\n73\n0\n40\n0.0\n"))
        for name, dashes in LINETYPES.items():
            body = f"2\n{name}\n70\n0\n3\n\n72\n65\n73\n{len(dashes)}\n40\n{_n(sum(map(abs, dashes)))}\n"
            body += "".join(f"49\n{_n(dash)}\n" + ("" if self.old else "74\n0\n") for dash in dashes)
            types.append(("AcDbLinetypeTableRecord", body))
        layers = {"0": (7, "Continuous"), **self.doc.layers}
        rows = [
            ("AcDbLayerTableRecord", f"2\n{self.string(name)}\n70\n0\n62\n{color}\n6\n{linetype}\n")
            for name, (color, linetype) in layers.items()
        ]
        style = "2\nStandard\n70\n0\n40\n0.0\n41\n1.0\n50\n0.0\n71\n0\n42\n2.5\n3\ntxt\n4\n\n"
        size = next((e.size for e in self.doc.entities if e.type == "DIMENSION"), 2.5)
        dim = _tags(f"2 Standard 70 0 41 {_n(size)} 140 {_n(size)} 147 {_n(size / 4)} 77 1 73 0 74 0")
        dim += "" if self.old else f"271\n{self.doc.decimals}\n"
        out = self.table("VPORT", [("AcDbViewportTableRecord", view)]) + self.table("LTYPE", types)
        out += self.table("LAYER", rows) + self.table("STYLE", [("AcDbTextStyleTableRecord", style)])
        out += self.table("VIEW", []) + self.table("UCS", [])
        out += self.table("APPID", [("AcDbRegAppTableRecord", "2\nACAD\n70\n0\n")])
        out += self.table("DIMSTYLE", [("AcDbDimStyleTableRecord", dim)])
        if not self.old:
            layouts = [*self.layouts, *[0] * len(self.records)]
            names = [
                ("AcDbBlockTableRecord", f"2\n{self.string(name)}\n340\n{layout:X}\n")
                for name, layout in zip(self.records, layouts, strict=False)
            ]
            out += self.table("BLOCK_RECORD", names, list(self.records.values()))
        return out

    def block(self, name: str, content: list[Entity]) -> str:
        owner, flag = self.records[name], int(name.startswith(("*D", "*X")))
        flag |= 2 * any(e.type == "ATTDEF" for e in content)
        layer = Entity("BLOCK", "0", ())
        label = self.string(name)
        out = self.head(layer, "BLOCK", owner, "AcDbBlockBegin") + f"2\n{label}\n70\n{flag}\n" + _xy((0.0, 0.0))
        out += f"3\n{label}\n1\n\n" + self.entities(content, owner)
        return out + self.head(layer, "ENDBLK", owner, "AcDbBlockEnd")

    def objects(self) -> str:
        root, groups, layouts = self.take(), self.take(), self.take()

        def dictionary(handle: int, owner: int, items: dict[str, int]) -> str:
            out = f"0\nDICTIONARY\n5\n{handle:X}\n330\n{owner:X}\n100\nAcDbDictionary\n281\n1\n"
            return out + "".join(f"3\n{key}\n350\n{value:X}\n" for key, value in items.items())

        names = ("Model", "Layout1")
        out = dictionary(root, 0, {"ACAD_GROUP": groups, "ACAD_LAYOUT": layouts}) + dictionary(groups, root, {})
        out += dictionary(layouts, root, dict(zip(names, self.layouts, strict=True)))
        for i, name in enumerate(names):
            out += f"0\nLAYOUT\n5\n{self.layouts[i]:X}\n330\n{layouts:X}\n100\nAcDbPlotSettings\n"
            out += "1\n\n2\nnone_device\n4\n\n6\n\n" + _tags("40 0.0 41 0.0 42 0.0 43 0.0 44 0.0 45 0.0 46 0.0 47 0.0")
            out += _tags("48 0.0 49 0.0 140 0.0 141 0.0 142 1.0 143 1.0") + f"70\n{688 if i else 1712}\n"
            out += _tags("72 1 73 0 74 5") + "7\n\n" + _tags("75 16 147 1.0 148 0.0 149 0.0 100 AcDbLayout")
            out += _tags(
                f"1 {name} 70 1 71 {i} 10 0.0 20 0.0 11 420.0 21 297.0 12 0.0 22 0.0 32 0.0 14 0.0 24 0.0 34 0.0"
            )
            out += _tags("15 0.0 25 0.0 35 0.0 146 0.0 13 0.0 23 0.0 33 0.0 16 1.0 26 0.0 36 0.0 17 0.0 27 1.0 37 0.0")
            out += "76\n0\n"
            out += f"330\n{list(self.records.values())[i]:X}\n"
        return out

    def file(self) -> str:
        doc = self.doc
        self.layouts = (self.take(), self.take())
        entities = self.entities(doc.entities, self.records["*Model_Space"])
        spaces: dict[str, list[Entity]] = {} if self.old else {"*Model_Space": [], "*Paper_Space": []}
        blocks = "".join([self.block(name, content) for name, content in {**spaces, **doc.blocks}.items()])
        blocks += "".join([self.block(name, content) for name, content in self.extra.items()])
        extents = doc.box()
        tables = self.tables(extents)
        objects = "" if self.old else "0\nSECTION\n2\nOBJECTS\n" + self.objects() + "0\nENDSEC\n"
        codepage = f"9\n$DWGCODEPAGE\n3\n{self.codepage}\n"
        metric = 0 if doc.unit in ("in", "ft") else 1
        units = "" if self.old else f"9\n$INSUNITS\n70\n{UNITS[doc.unit][0]}\n9\n$MEASUREMENT\n70\n{metric}\n"
        header = f"0\nSECTION\n2\nHEADER\n9\n$ACADVER\n1\n{doc.version}\n{codepage}{units}"
        header += "9\n$HANDLING\n70\n1\n" if self.old else ""
        header += (
            f"9\n$EXTMIN\n{_xy(extents[:2])}9\n$EXTMAX\n{_xy(extents[2:])}9\n$HANDSEED\n5\n{self.next:X}\n0\nENDSEC\n"
        )
        return (
            f"{header}0\nSECTION\n2\nTABLES\n{tables}0\nENDSEC\n0\nSECTION\n2\nBLOCKS\n{blocks}0\nENDSEC\n"
            f"0\nSECTION\n2\nENTITIES\n{entities}0\nENDSEC\n{objects}0\nEOF\n"
        )


def dxf_bytes(doc: Doc) -> bytes:
    """The document as a DXF file of ``doc.version``; the same bytes for equal documents.

    Records without a handle get one above all others, in order, also in ``doc``. Block contents may hold every type but
    DIMENSION and INSERT.

    Raises ValueError for an unknown version or unit.
    """
    if doc.version not in VERSIONS or doc.unit not in UNITS:
        raise ValueError(
            f"no DXF of version {doc.version!r} and unit {doc.unit!r}: use one of {VERSIONS} and {list(UNITS)}"
        )
    doc.number()
    writer = _Writer(doc)
    text = writer.file()
    if doc.newline != "\n":
        text = text.replace("\n", doc.newline)
    return text.encode(writer.encoding)
