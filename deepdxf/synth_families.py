"""Parametric kinds of drawings, drawn as people draw them: layers, blocks, dimensions, hatches, title block, views.

A `Design` is one drawing's recipe: kind, parameters (millimetres and counts), house style and seed; `Design.build` is a
pure function of it. Every record carries the feature it belongs to (``"hole:3"``, ``"outline"``): records of equal
(feature, place within the feature) are the same thing in two builds, which gives edits their ground truth. Features
with a number are separate things that may be moved, removed or repeated; ``frame`` is sheet and title block.

Chance enters a build only through `Pen.dice`, one generator a topic, so that a changed parameter leaves the rest alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from deepdxf.dxfwrite import CENTER, LEFT, Doc, Entity, Point, Similarity, hatch_lines

Parameters = dict[str, float]

ROLES = ("outline", "hidden", "center", "dim", "text", "hatch", "frame", "thin")
# House standards of layer names, in the order of ROLES.
LAYER_STANDARDS: tuple[tuple[str, ...], ...] = (
    ("OUTLINE", "HIDDEN", "CENTER", "DIM", "TEXT", "HATCH", "FRAME", "THIN"),
    ("0", "Hidden", "Center", "Dimensions", "Notes", "Hatching", "Title", "Construction"),
    ("KONTUR", "VERDECKT", "MITTELLINIE", "BEMASSUNG", "TEXT", "SCHRAFFUR", "RAHMEN", "HILFSLINIE"),
    ("01_Körperkanten", "02_verdeckt", "03_Achsen", "04_Maße", "05_Text", "06_Schraffur", "07_Rahmen", "08_dünn"),
    ("轮廓线", "虚线", "中心线", "尺寸线", "文字", "剖面线", "图框", "细实线"),
    ("外形線", "かくれ線", "中心線", "寸法", "文字", "ハッチング", "図枠", "細線"),
    ("КОНТУР", "НЕВИДИМЫЕ", "ОСИ", "РАЗМЕРЫ", "ТЕКСТ", "ШТРИХОВКА", "РАМКА", "ТОНКИЕ"),
    ("CONTOUR", "CACHE", "AXES", "COTES", "TEXTE", "HACHURES", "CADRE", "TRAIT_FIN"),
    ("A-WALL", "A-HIDN", "A-GRID", "A-ANNO-DIMS", "A-ANNO-TEXT", "A-WALL-PATT", "A-ANNO-TTLB", "A-DETL"),
    ("CUT", "ETCH", "CENTRE", "DIMS", "LABELS", "FILL", "BORDER", "GUIDE"),
    ("LAYER1", "LAYER2", "LAYER3", "LAYER4", "LAYER5", "LAYER6", "LAYER7", "LAYER8"),
    ("0", "0", "0", "0", "0", "0", "0", "0"),
)
# Words of title block and notes: title, date, scale, material, sheet, notes, units, deburr, section, detail.
LANGUAGES: tuple[tuple[str, ...], ...] = (
    (
        "TITLE",
        "DATE",
        "SCALE",
        "MATERIAL",
        "SHEET",
        "NOTES",
        "ALL DIMENSIONS IN {u}",
        "DEBURR ALL EDGES",
        "SECTION",
        "DETAIL",
    ),
    (
        "Benennung",
        "Datum",
        "Maßstab",
        "Werkstoff",
        "Blatt",
        "Hinweise",
        "Alle Maße in {u}",
        "Kanten entgratet",
        "Schnitt",
        "Einzelheit",
    ),
    ("名称", "日期", "比例", "材料", "图页", "技术要求", "未注尺寸单位 {u}", "去除毛刺", "剖面", "详图"),
    ("図名", "日付", "尺度", "材質", "頁", "注記", "単位 {u}", "バリなきこと", "断面", "詳細"),
    (
        "Наименование",
        "Дата",
        "Масштаб",
        "Материал",
        "Лист",
        "Технические требования",
        "Размеры в {u}",
        "Острые кромки притупить",
        "Разрез",
        "Вид",
    ),
    ("Titre", "Date", "Echelle", "Matière", "Feuille", "Notes", "Cotes en {u}", "Ebavurer", "Coupe", "Détail"),
)
MATERIALS = ("S235JR", "6061-T6", "AISI 304", "C194", "PMMA", "1.4301", "45", "FR4", "POM", "Cu")
SHEETS = ((297.0, 210.0), (420.0, 297.0), (594.0, 420.0), (841.0, 594.0), (1189.0, 841.0))  # ISO 216, paper mm


@dataclass(frozen=True)
class Style:
    """How a drawing office draws; the drawings of one office share it."""

    layers: tuple[str, ...]  # names by ROLES
    colors: tuple[int, ...]  # by ROLES
    words: tuple[str, ...]
    unit: str
    text: float  # height on paper, mm
    decimals: int
    comma: bool
    sheet: bool  # frame and title block
    dimensions: bool
    tolerances: bool
    polylines: bool  # outlines as polylines or as single lines and arcs
    marks: bool  # centre lines
    hatches: str  # "hatch", "solid", "lines" or "none"
    blocks: bool  # repeated things as blocks
    notes: bool
    origin: Point
    version: str
    newline: str


def draw_style(rng: np.random.Generator) -> Style:
    """A house style by chance."""
    standard = int(rng.integers(len(LAYER_STANDARDS)))
    language = {2: 1, 3: 1, 4: 2, 5: 3, 6: 4, 7: 5}.get(standard, 0)
    colors = tuple(int(c) for c in rng.permutation([7, 1, 2, 3, 4, 5, 6, 8]))
    far = float(rng.choice([0.0, 0.0, 100.0, 1000.0, 50000.0]))
    unit = str(rng.choice(["mm", "mm", "mm", "in", "", "cm"]))
    return Style(
        layers=LAYER_STANDARDS[standard],
        colors=colors if rng.random() < 0.7 else (7,) * len(ROLES),
        words=LANGUAGES[language],
        unit=unit,
        text=float(rng.choice([2.5, 3.0, 3.5, 5.0])),
        decimals=int(rng.integers(0, 3)) + {"in": 2, "cm": 1}.get(unit, 0),
        comma=language in (1, 4, 5),
        sheet=bool(rng.random() < 0.6),
        dimensions=bool(rng.random() < 0.75),
        tolerances=bool(rng.random() < 0.4),
        polylines=bool(rng.random() < 0.5),
        marks=bool(rng.random() < 0.7),
        hatches=str(rng.choice(["hatch", "hatch", "solid", "lines", "none"])),
        blocks=bool(rng.random() < 0.5),
        notes=bool(rng.random() < 0.6),
        origin=(round(far * float(rng.random() - 0.5), 1), round(far * float(rng.random() - 0.5), 1)),
        version=str(rng.choice(["AC1009", "AC1015", "AC1015", "AC1021"])),
        newline=str(rng.choice(["\n", "\r\n"])),
    )


class Pen:
    """Draws records in a style; ``feature``, ``at`` (view's origin) and ``view`` hold for all that follows."""

    def __init__(self, style: Style, seed: int, extent: Point) -> None:
        self.style, self.seed = style, seed
        self.roles = dict(zip(ROLES, style.layers, strict=True))
        self.feature = "outline"
        self.at: Point = (0.0, 0.0)
        self.doc = Doc(unit=style.unit, decimals=style.decimals, comma=style.comma)
        self.doc.version, self.doc.newline = style.version, style.newline
        linetypes = {"hidden": "HIDDEN", "center": "CENTER"}
        for role, color in reversed(list(zip(ROLES, style.colors, strict=True))):
            self.doc.layers[self.roles[role]] = (color, linetypes.get(role, "Continuous"))
        if len(set(style.layers)) == 1:
            self.doc.layers = {style.layers[0]: (7, "Continuous")}
        need = max(extent[0] / 300, extent[1] / 180)
        steps = [base * 10.0**power for power in range(-3, 4) for base in (1.0, 2.0, 2.5, 5.0)]
        self.scale = next((s for s in steps if s >= need), steps[-1])  # drawing mm for a paper mm
        self.t = style.text * self.scale
        self.content = self.doc.entities  # where records go: the sheet, or a block while it is defined

    def dice(self, topic: str) -> np.random.Generator:
        """The generator of one topic."""
        return np.random.default_rng([self.seed, zlib.crc32(topic.encode())])

    def add(self, type_: str, role: str, points: Sequence[Point], **values: object) -> None:
        """One record, its points relative to the view."""
        dx, dy = self.at
        moved = [(x + dx, y + dy) for x, y in points]
        self.content.append(Entity(type_, self.roles[role], moved, feature=self.feature, **values))  # type: ignore[arg-type]

    def block(self, name: str, draw: Callable[[], None]) -> str:
        """Define a block once by drawing its content; returns the name."""
        if name not in self.doc.blocks:
            keep = self.content, self.at, self.feature
            self.content, self.at, self.feature = [], (0.0, 0.0), ""
            draw()
            self.doc.blocks[name] = self.content
            self.content, self.at, self.feature = keep
        return name

    def insert(self, name: str, p: Point, angle: float = 0.0, **attributes: str) -> None:
        """Place a block, with the values of its attributes."""
        self.add("INSERT", "outline", [p], name=name, size=1.0, angle=angle, attributes=tuple(attributes.items()))

    def stamp(self, name: str, p: Point, draw: Callable[[], None], angle: float = 0.0) -> None:
        """A repeated thing: a block's insert, or its lines, as the house does it."""
        if self.style.blocks:
            self.insert(self.block(name, draw), p, angle)
            return
        keep = self.content, self.at
        self.content, self.at = [], (0.0, 0.0)
        draw()
        drawn, (self.content, self.at) = self.content, keep
        move = Similarity(1.0, angle, False, p[0] + self.at[0], p[1] + self.at[1])
        self.content += [move.entity(e).but(feature=self.feature) for e in drawn]

    def line(self, a: Point, b: Point, role: str = "outline") -> None:
        """LINE."""
        self.add("LINE", role, [a, b])

    def circle(self, c: Point, r: float, role: str = "outline") -> None:
        """CIRCLE."""
        self.add("CIRCLE", role, [c], size=r)

    def arc(self, c: Point, r: float, start: float, end: float, role: str = "outline") -> None:
        """ARC, counter-clockwise."""
        self.add("ARC", role, [c], size=r, angle=start % 360, end=end % 360)

    def path(
        self, points: Sequence[Point], bulges: Sequence[float] = (), closed: bool = True, role: str = "outline"
    ) -> None:
        """An outline: LWPOLYLINE, or single LINEs and ARCs, as the house draws."""
        if self.style.polylines:
            self.add("LWPOLYLINE", role, points, bulges=bulges, closed=closed)
            return
        outline = Entity("LWPOLYLINE", self.roles[role], points, bulges=bulges, closed=closed)
        for piece in pieces(outline):
            self.add(piece.type, role, piece.points, size=piece.size, angle=piece.angle, end=piece.end)

    def rect(self, x: float, y: float, w: float, h: float, role: str = "outline", r: float = 0.0) -> None:
        """Rectangle by its lower left corner, with corner radius ``r``."""
        self.path(*rounded([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], r), role=role)

    def text(
        self, p: Point, text: str, k: float = 1.0, align: int = LEFT, angle: float = 0.0, role: str = "text"
    ) -> None:
        """TEXT of ``k`` times the house's height."""
        self.add("TEXT", role, [p], size=self.t * k, text=text, align=align, angle=angle)

    def hatch(self, *loops: tuple[Sequence[Point], Sequence[float]], solid: bool = False) -> None:
        """Section lines in loops of (vertices, bulges); solid = etched or filled."""
        how = self.style.hatches
        if how == "none":
            return
        points = [p for loop, _ in loops for p in loop]
        bulges = [b for loop, given in loops for b in (given or [0.0] * len(loop))]
        area = Entity("HATCH", "", points, self.t * 0.8, 45.0, bulges=bulges, counts=[len(loop) for loop, _ in loops])
        if how == "lines" and not solid:
            for piece in hatch_lines(area):
                self.add("LINE", "hatch", piece.points)
            return
        name = "SOLID" if solid or how == "solid" else "ANSI31"
        self.add("HATCH", "hatch", points, size=area.size, angle=45.0, name=name, bulges=bulges, counts=area.counts)

    def cross(self, c: Point, r: float) -> None:
        """Centre lines of a circle."""
        if self.style.marks:
            over = r * 1.25
            self.line((c[0] - over, c[1]), (c[0] + over, c[1]), "center")
            self.line((c[0], c[1] - over), (c[0], c[1] + over), "center")

    def axis(self, a: Point, b: Point) -> None:
        """Centre line."""
        if self.style.marks:
            self.line(a, b, "center")

    def hole(self, feature: str, c: Point, r: float, role: str = "outline") -> None:
        """A hole with its centre lines, a feature of its own."""
        keep, self.feature = self.feature, feature
        self.circle(c, r, role)
        self.cross(c, r)
        self.feature = keep

    def dim(self, a: Point, b: Point, offset: float, vertical: bool = False, text: str = "") -> None:
        """Linear dimension; ``offset`` text heights from the outer point of the two (negative = below, left)."""
        if not self.style.dimensions:
            return
        keep, self.feature = self.feature, "dim"
        axis = 0 if vertical else 1
        outer = (max if offset > 0 else min)(a[axis], b[axis]) + offset * self.t
        place = (outer, (a[1] + b[1]) / 2) if vertical else ((a[0] + b[0]) / 2, outer)
        if not text and self.style.tolerances and len(self.content) % 3 == 0:
            text = "<> %%p0,1" if self.style.comma else "<> %%p0.1"
        angle = 90.0 if vertical else 0.0
        self.add("DIMENSION", "dim", [a, b, place], size=self.t, angle=angle, name="linear", text=text)
        self.feature = keep

    def round_dim(self, c: Point, r: float, angle: float, text: str = "", radius: bool = False) -> None:
        """Diameter or radius dimension of a circle, along ``angle``."""
        if not self.style.dimensions:
            return
        keep, self.feature = self.feature, "dim"
        vx, vy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        near = c if radius else (c[0] - r * vx, c[1] - r * vy)
        far = (c[0] + r * vx, c[1] + r * vy)
        reach = r + 3.0 * self.t
        place = (c[0] + reach * vx, c[1] + reach * vy)
        self.add(
            "DIMENSION", "dim", [near, far, place], size=self.t, name="radius" if radius else "diameter", text=text
        )
        self.feature = keep

    def label(self, tip: Point, dx: float, dy: float, text: str) -> None:
        """Leader with a text at ``dx``, ``dy`` text heights from the tip."""
        if not self.style.dimensions:
            return
        keep, self.feature = self.feature, "dim"
        knee = (tip[0] + dx * self.t, tip[1] + dy * self.t)
        end = (knee[0] + math.copysign(2 * self.t, dx), knee[1])
        self.add("LEADER", "dim", [tip, knee, end], size=self.t)
        self.text((end[0], end[1] + 0.3 * self.t), text, align=LEFT if dx > 0 else 2)
        self.feature = keep

    def title(self, x: float, y: float, text: str) -> None:
        """Name below a view."""
        self.feature = "title"
        self.text((x, y - 2.2 * self.t), text, 1.4, CENTER)

    def table(self, x: float, y: float, rows: Sequence[Sequence[str]], widths: Sequence[float]) -> None:
        """Ruled table from its upper left corner; widths in text heights."""
        self.feature = "table"
        h, total = 2.0 * self.t, sum(widths) * self.t
        for i in range(len(rows) + 1):
            self.line((x, y - i * h), (x + total, y - i * h), "thin")
        column = x
        for j, width in enumerate((0.0, *widths)):
            column += width * self.t
            self.line((column, y), (column, y - len(rows) * h), "thin")
            if j < len(widths):
                for i, row in enumerate(rows):
                    self.text((column + 0.5 * self.t, y - (i + 0.72) * h), row[j])

    def finish(self, name: str) -> Doc:
        """Notes, sheet and units; the finished document."""
        style, words = self.style, self.style.words
        self.at = (0.0, 0.0)
        dice = self.dice("sheet")
        material = MATERIALS[int(dice.integers(len(MATERIALS)))]
        x0, y0, x1, y1 = self.doc.box()
        self.feature = "frame"
        if style.notes:
            lines = [words[5] + ":", "1. " + words[6].format(u=style.unit or "mm"), "2. " + words[7], "3. ISO 2768-mK"]
            text = "\n".join(lines[: 2 + int(dice.integers(3))])
            self.add("MTEXT", "text", [(x0, y0 - 3 * self.t)], size=self.t, text=text)
            y0 -= 11 * self.t
        if style.sheet:
            self.frame((x0, y0, x1, y1), name, material, dice)
        # inches by 25, so that round millimetres become round inches
        factor = {"in": 0.04, "cm": 0.1}.get(style.unit, 1.0)
        move = Similarity(factor, 0.0, False, *style.origin)
        self.doc.entities = [move.entity(e) for e in self.doc.entities]
        self.doc.blocks = {
            key: [Similarity(factor).entity(e) for e in content] for key, content in self.doc.blocks.items()
        }
        self.doc.entities = [e.but(size=1.0) if e.type == "INSERT" else e for e in self.doc.entities]
        return self.doc

    def frame(self, box: Sequence[float], name: str, material: str, dice: np.random.Generator) -> None:
        """Sheet border and title block with attributes around the drawing."""
        k = self.scale
        x0, y0, x1, y1 = box
        tb_w, tb_h = 120.0 * k, 32.0 * k
        fits = [s for s in SHEETS if s[0] * k >= x1 - x0 + 40 * k and s[1] * k >= y1 - y0 + 44 * k + tb_h]
        paper = fits[0] if fits else SHEETS[-1]
        w, h = max(paper[0] * k, (x1 - x0) * 1.15), max(paper[1] * k, (y1 - y0) * 1.15 + tb_h)
        left, bottom = (x0 + x1 - w) / 2, (y0 + y1 - h - tb_h) / 2
        self.add("LWPOLYLINE", "frame", _corners(left, bottom, w, h), closed=True)
        self.add("LWPOLYLINE", "frame", _corners(left + 20 * k, bottom + 5 * k, w - 25 * k, h - 10 * k), closed=True)
        if paper[0] > 500 and dice.random() < 0.7:
            for i in range(8):
                x = left + 20 * k + (w - 25 * k) * (i + 0.5) / 8
                self.add("TEXT", "frame", [(x, bottom + k)], size=3 * k, text=str(i + 1), align=CENTER)
                self.line((x + (w - 25 * k) / 16, bottom), (x + (w - 25 * k) / 16, bottom + 5 * k), "frame")
        words = self.style.words

        def title_block() -> None:
            self.path(_corners(0, 0, tb_w, tb_h), role="frame")
            for row in (8, 16, 24):
                self.line((0, row * k), (tb_w, row * k), "frame")
            for column in (40, 80):
                self.line((column * k, 0), (column * k, 24 * k), "frame")
            cells = {
                "TITLE": (2, 25, 0),
                "DATE": (2, 17, 1),
                "SCALE": (42, 17, 2),
                "MATERIAL": (82, 17, 3),
                "SHEET": (2, 1, 4),
            }
            for tag, (x, y, word) in cells.items():
                self.add("TEXT", "frame", [(x * k, (y + 4.8) * k)], size=1.5 * k, text=words[word])
                self.add("ATTDEF", "frame", [(x * k, (y + 1) * k)], size=2.8 * k, text="-", name=tag)

        ratio = f"1:{k:g}" if k >= 1 else f"{1 / k:g}:1"
        date = f"20{dice.integers(5, 25):02d}-{dice.integers(1, 13):02d}-{dice.integers(1, 29):02d}"
        number = f"{name.upper()[:3]}-{dice.integers(1000, 9999)}"
        place = (left + w - 5 * k - tb_w, bottom + 5 * k)
        title = f"{name.replace('_', ' ').upper()} {number}"
        block = self.block("TITLEBLOCK", title_block)
        self.insert(block, place, TITLE=title, DATE=date, SCALE=ratio, MATERIAL=material, SHEET="1/1")


def _corners(x: float, y: float, w: float, h: float) -> list[Point]:
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


def rounded(corners: Sequence[Point], r: float) -> tuple[list[Point], list[float]]:
    """Vertices and bulges of a polygon whose corners have radius ``r``; any angle, either direction."""
    if r <= 0:
        return list(corners), [0.0] * len(corners)
    points: list[Point] = []
    bulges: list[float] = []
    for i, (x, y) in enumerate(corners):
        (ax, ay), (bx, by) = corners[i - 1], corners[(i + 1) % len(corners)]
        la, lb = math.hypot(ax - x, ay - y), math.hypot(bx - x, by - y)
        ua, ub = ((ax - x) / la, (ay - y) / la), ((bx - x) / lb, (by - y) / lb)
        inner = math.acos(max(-1.0, min(1.0, ua[0] * ub[0] + ua[1] * ub[1])))
        cut = min(r / math.tan(inner / 2), 0.49 * min(la, lb))
        turn = math.copysign(1.0, ua[1] * ub[0] - ua[0] * ub[1])
        points += [(x + cut * ua[0], y + cut * ua[1]), (x + cut * ub[0], y + cut * ub[1])]
        bulges += [turn * math.tan((math.pi - inner) / 4), 0.0]
    return points, bulges


def pieces(polyline: Entity) -> list[Entity]:
    """The LINEs and ARCs of an LWPOLYLINE, in order, without handles."""
    bulges = polyline.bulges or [0.0] * len(polyline.points)
    ends = [*polyline.points, polyline.points[0]] if polyline.closed else polyline.points
    out = []
    for ((x1, y1), (x2, y2)), bulge in zip(pairwise(ends), bulges, strict=False):
        made = polyline.but(type="LINE", points=[(x1, y1), (x2, y2)], bulges=(), closed=False, handle=0)
        if bulge:
            k = (1 - bulge * bulge) / (4 * bulge)
            cx, cy = (x1 + x2) / 2 - k * (y2 - y1), (y1 + y2) / 2 + k * (x2 - x1)
            start, end = (math.degrees(math.atan2(y - cy, x - cx)) % 360 for x, y in ((x1, y1), (x2, y2)))
            if bulge < 0:
                start, end = end, start
            radius = math.hypot(x1 - cx, y1 - cy)
            made = made.but(type="ARC", points=[(cx, cy)], size=radius, angle=start, end=end)
        out.append(made)
    return out


def _step(rng: np.random.Generator, low: float, high: float, step: float) -> float:
    return round(low + step * int(rng.integers(round((high - low) / step) + 1)), 6)


def _polar(c: Point, r: float, degrees: float) -> Point:
    turn = math.radians(degrees)
    return c[0] + r * math.cos(turn), c[1] + r * math.sin(turn)


# ----------------------------------------------------------------------------------------------------------- the kinds


def _plate_parameters(rng: np.random.Generator) -> Parameters:
    w = _step(rng, 60, 400, 10)
    return {
        "width": w,
        "height": max(40.0, round(w * (0.4 + 0.6 * rng.random()) / 5) * 5.0),
        "columns": float(rng.integers(2, 9)),
        "rows": float(rng.integers(2, 6)),
        "hole": _step(rng, 3, 8, 0.5),
        "margin": _step(rng, 8, 14, 1),
        "corner": float(rng.choice([0.0, 0.0, 3.0, 5.0, 8.0])),
        "thickness": _step(rng, 2, 15, 1),
        "slots": float(rng.integers(0, 4)),
        "window": float(rng.integers(0, 2)),
        "pattern": float(rng.integers(0, 3)),
    }


def _plate(pen: Pen, p: Parameters) -> None:
    w, h, m, r = p["width"], p["height"], p["margin"], p["hole"] / 2
    pen.rect(0, 0, w, h, r=p["corner"])
    columns, rows, dice = int(p["columns"]), int(p["rows"]), pen.dice("pattern")
    spots = []
    for j in range(rows):
        for i in range(columns):
            edge = i in (0, columns - 1) or j in (0, rows - 1)
            odd = p["pattern"] == 1 and (i + j) % 2
            if odd or (p["window"] and not edge) or (p["pattern"] == 2 and dice.random() < 0.4):
                continue
            spots.append((m + (w - 2 * m) * i / (columns - 1), m + (h - 2 * m) * j / (rows - 1), f"hole:{i}-{j}"))
    for x, y, feature in spots:
        pen.hole(feature, (x, y), r)
    pen.feature = "window"
    if p["window"]:
        pen.rect(w * 0.3, h * 0.3, w * 0.4, h * 0.4, r=p["corner"])
    for i in range(int(p["slots"])):
        pen.feature = f"slot:{i}"
        x, y, length = w * (i + 1) / (p["slots"] + 1), h * 0.17, min(w, h) * 0.12
        half = r * 0.9
        slot = [
            (x - length / 2, y - half),
            (x + length / 2, y - half),
            (x + length / 2, y + half),
            (x - length / 2, y + half),
        ]
        pen.path(slot, [0.0, 1.0, 0.0, 1.0])
    pen.dim((0, 0), (w, 0), -5)
    pen.dim((0, 0), (0, h), -5, True)
    pen.dim((0, 0), (m, m), -2.5)
    if spots:
        pen.round_dim(spots[-1][:2], r, 45, f"{len(spots)}x <>")
    gap = 9 * pen.t
    pen.feature = "side"
    pen.rect(w + gap, 0, p["thickness"], h)
    pen.dim((w + gap, h), (w + gap + p["thickness"], h), 3)
    if pen.style.notes and spots and len(spots) < 20:
        rows_ = [("NO", "X", "Y", "D")]
        rows_ += [(str(i + 1), f"{x:.1f}", f"{y:.1f}", f"{2 * r:g}") for i, (x, y, _) in enumerate(spots)]
        pen.table(w + gap + p["thickness"] + 6 * pen.t, h, rows_, (4, 7, 7, 5))


def _flange_parameters(rng: np.random.Generator) -> Parameters:
    outer = _step(rng, 80, 400, 5)
    return {
        "outer": outer,
        "bore": round(outer * (0.2 + 0.2 * rng.random())),
        "pitch_circle": round(outer * (0.72 + 0.08 * rng.random())),
        "bolts": float(rng.choice([4, 6, 8, 12, 16])),
        "bolt": round(outer * 0.04 * (1 + rng.random())),
        "hub": round(outer * (0.5 + 0.08 * rng.random())),
        "thickness": round(outer * (0.08 + 0.06 * rng.random())),
        "length": round(outer * (0.18 + 0.2 * rng.random())),
        "raised": float(rng.integers(0, 2)),
        "square": float(rng.random() < 0.2),
    }


def _flange(pen: Pen, p: Parameters) -> None:
    outer, bore, hub = p["outer"] / 2, p["bore"] / 2, p["hub"] / 2
    if p["square"]:
        pen.rect(-outer, -outer, 2 * outer, 2 * outer, r=outer * 0.12)
    else:
        pen.circle((0, 0), outer)
    pen.circle((0, 0), hub)
    pen.circle((0, 0), bore)
    pen.cross((0, 0), outer)
    pen.feature = "pitch"
    pen.circle((0, 0), p["pitch_circle"] / 2, "center")
    count = int(p["bolts"])
    for i in range(count):
        pen.hole(f"hole:{i}", _polar((0, 0), p["pitch_circle"] / 2, 360 * (i + 0.5) / count), p["bolt"] / 2)
    pen.round_dim((0, 0), outer, 30)
    pen.round_dim((0, 0), p["pitch_circle"] / 2, 120)
    pen.round_dim(_polar((0, 0), p["pitch_circle"] / 2, 180 / count), p["bolt"] / 2, 45, f"{count}x <>")
    # half section beside it
    pen.feature = "section"
    x, t, length = outer + 12 * pen.t, p["thickness"], p["length"]
    step = t * 0.15 if p["raised"] else 0.0
    for sign in (1.0, -1.0):
        y1, y2 = p["pitch_circle"] / 2 - p["bolt"] / 2, p["pitch_circle"] / 2 + p["bolt"] / 2
        low = [(x, bore), (x + length, bore), (x + length, hub), (x + t, hub), (x + t, y1), (x, y1)]
        if step:
            low = [(x - step, bore), *low[1:-1], (x, y1), (x, hub * 1.05), (x - step, hub * 1.05)]
        high = [(x, y2), (x + t, y2), (x + t, outer), (x, outer)]
        for loop in (low, high):
            mirrored = [(a, sign * b) for a, b in loop]
            pen.path(mirrored)
            pen.hatch((mirrored, ()))
        for y in (y1, y2):
            pen.line((x, sign * y), (x + t, sign * y))
        pen.axis((x - t, sign * (y1 + y2) / 2), (x + 2 * t, sign * (y1 + y2) / 2))
    pen.axis((x - t, 0), (x + length + t, 0))
    for y in (bore, hub):
        pen.line((x + length, -y), (x + length, y))
    pen.dim((x, -outer), (x + length, -outer), -5)
    pen.dim((x, outer), (x + t, outer), 3)
    pen.dim((x + length, -bore), (x + length, bore), 3, True, "%%c<> H7")
    pen.title(x + length / 2, -outer - 7 * pen.t, f"{pen.style.words[8]} A-A")


def _bracket_parameters(rng: np.random.Generator) -> Parameters:
    w = _step(rng, 30, 120, 5)
    return {
        "width": w,
        "leg": _step(rng, 40, 120, 5),
        "foot": _step(rng, 30, 100, 5),
        "thickness": _step(rng, 3, 10, 1),
        "bend": _step(rng, 2, 6, 1),
        "hole": _step(rng, 4, 9, 0.5),
        "leg_holes": float(rng.integers(1, 5)),
        "foot_holes": float(rng.integers(1, 3)),
        "taper": float(rng.choice([0.0, 0.1, 0.2])),
        "gusset": float(rng.random() < 0.4),
        "flat": float(rng.random() < 0.5),
    }


def _bracket(pen: Pen, p: Parameters) -> None:
    w, leg, foot, t, r = p["width"], p["leg"], p["foot"], p["thickness"], p["hole"] / 2
    b = p["bend"]
    gap = 10 * pen.t
    # side
    quarter = math.tan(math.pi / 8)
    profile = [(0, b + t), (b + t, 0), (foot, 0), (foot, t), (b + t, t), (t, b + t), (t, leg), (0, leg)]
    bulges = [quarter, 0, 0, 0, -quarter, 0, 0, 0]
    pen.path(profile, bulges)
    if pen.style.hatches == "solid":
        pen.hatch((profile, bulges))
    if p["gusset"]:
        pen.feature = "gusset"
        pen.line((t, leg * 0.7), (foot * 0.7, t))
        pen.line((t, leg * 0.62), (foot * 0.62, t), "hidden")
    pen.dim((0, 0), (foot, 0), -4)
    pen.dim((0, 0), (0, leg), -4, True)
    pen.dim((0, leg), (t, leg), 2.5)
    pen.label((b * 0.3, b * 0.3), -4, -3, f"R{b + t:g}")
    # front
    pen.at = (foot + gap, 0.0)
    pen.feature = "front"
    cut = w * p["taper"]
    pen.path([(0, 0), (w, 0), (w, leg * 0.6), (w - cut, leg), (cut, leg), (0, leg * 0.6)])
    pen.line((0, t), (w, t))
    pen.line((0, b + t), (w, b + t), "thin")
    n = int(p["leg_holes"])
    for i in range(n):
        pen.hole(f"hole:{i}", (w / 2, b + t + 2 * r + (leg - b - t - 4 * r) * (i + 0.5) / n), r)
    pen.dim((0, 0), (w, 0), -4)
    pen.round_dim((w / 2, b + t + 2 * r + (leg - b - t - 4 * r) * 0.5 / n), r, 30, f"{n}x <>")
    # top
    pen.at = (0.0, -w - gap)
    pen.feature = "top"
    pen.rect(0, 0, foot, w)
    pen.line((t, 0), (t, w))
    for i in range(int(p["foot_holes"])):
        y = w * (i + 0.5) / p["foot_holes"]
        pen.feature = f"slot:{i}"
        x, half = foot * 0.65, foot * 0.1
        pen.path([(x - half, y - r), (x + half, y - r), (x + half, y + r), (x - half, y + r)], [0, 1, 0, 1])
        pen.cross((x, y), r + half)
    pen.dim((0, 0), (foot * 0.65, 0), -4)
    if p["flat"]:
        pen.at = (foot + gap, -w - gap)
        pen.feature = "flat"
        flat = leg + foot - 2 * (b + t) + math.pi / 2 * (b + t / 2)
        pen.rect(0, 0, flat, w)
        for x in (foot - b - t, foot - b - t + math.pi / 2 * (b + t / 2)):
            pen.line((x, 0), (x, w), "hidden")
        pen.dim((0, 0), (flat, 0), -4)


def _gear_parameters(rng: np.random.Generator) -> Parameters:
    teeth = float(rng.integers(12, 61))
    module = float(rng.choice([1.0, 1.5, 2.0, 2.5, 3.0, 4.0]))
    return {
        "module": module,
        "teeth": teeth,
        "bore": max(4.0, round(module * teeth * (0.15 + 0.1 * rng.random()))),
        "hub": round(module * teeth * (0.38 + 0.1 * rng.random()), 1),
        "face": _step(rng, 8, 40, 2),
        "spokes": float(rng.choice([0, 0, 4, 5, 6])),
        "key": float(rng.random() < 0.6),
    }


def _gear(pen: Pen, p: Parameters) -> None:
    m, z = p["module"], int(p["teeth"])
    pitch, tip, root = m * z / 2, m * (z / 2 + 1), m * (z / 2 - 1.25)
    base = pitch * math.cos(math.radians(20))
    # involute flanks: angle of the tooth's half thickness at radius r (DIN 867, 20°)
    inv = math.tan(math.radians(20)) - math.radians(20)

    def half(r: float) -> float:
        turn = math.acos(min(1.0, base / r))
        return math.pi / (2 * z) + inv - (math.tan(turn) - turn)

    low = max(root, base)
    flank = [low + (tip - low) * k / 3 for k in range(4)]
    side = [(root, half(low))] * (root < base) + [(r, half(r)) for r in flank]
    points: list[Point] = []
    for i in range(z):
        middle = 2 * math.pi * i / z
        for r, a in side:
            points.append((r * math.cos(middle - a), r * math.sin(middle - a)))
        for r, a in reversed(side):
            points.append((r * math.cos(middle + a), r * math.sin(middle + a)))
    pen.path(points)
    pen.feature = "pitch"
    pen.circle((0, 0), pitch, "center")
    pen.feature = "bore"
    bore = p["bore"] / 2
    if p["key"]:
        half_key, top = bore * 0.28, bore * 1.28
        edge = math.degrees(math.asin(half_key / bore))
        pen.arc((0, 0), bore, 90 + edge, 90 - edge)
        y = math.sqrt(bore**2 - half_key**2)
        pen.path([(half_key, y), (half_key, top), (-half_key, top), (-half_key, y)], closed=False)
        pen.dim((-half_key, top), (half_key, top), 2, False, "<> P9")
    else:
        pen.circle((0, 0), bore)
    pen.circle((0, 0), p["hub"] / 2)
    pen.cross((0, 0), tip)
    rim = root - 2 * m
    for i in range(int(p["spokes"])):
        c = _polar((0, 0), (p["hub"] / 2 + rim) / 2, 360 * i / p["spokes"])
        pen.hole(f"hole:{i}", c, (rim - p["hub"] / 2) * 0.36)
    pen.round_dim((0, 0), tip, 35)
    pen.round_dim((0, 0), bore, 200, "<> H7")
    x, face = tip + 12 * pen.t, p["face"]
    pen.feature = "section"
    for sign in (1, -1):
        web, hub = face * 0.25, p["hub"] / 2
        body = [
            (0, bore),
            (face, bore),
            (face, hub),
            (face - web, hub),
            (face - web, rim),
            (face, rim),
            (face, root),
            (0, root),
        ]
        body += [(0, rim), (web, rim), (web, hub), (0, hub)]
        loop = [(x + a, sign * b) for a, b in body]
        pen.path(loop)
        pen.hatch((loop, ()))
        pen.rect(x, min(sign * root, sign * tip), face, tip - root)
        pen.axis((x - m, sign * pitch), (x + face + m, sign * pitch))
    pen.axis((x - 2 * m, 0), (x + face + 2 * m, 0))
    pen.dim((x, -tip), (x + face, -tip), -4)
    pen.dim((x + face, -tip), (x + face, tip), 4, True)
    rows = [("m", f"{m:g}"), ("z", str(z)), ("alpha", "20%%d"), ("d", f"{2 * pitch:g}"), ("x", "0")]
    pen.table(x + face + 9 * pen.t, tip, rows, (6, 8))


def _shaft_parameters(rng: np.random.Generator) -> Parameters:
    steps = int(rng.integers(3, 8))
    peak = int(rng.integers(1, steps - 1))
    base = _step(rng, 12, 40, 1)
    p: Parameters = {"steps": float(steps), "chamfer": float(rng.choice([0.5, 1.0, 1.5, 2.0]))}
    for i in range(steps):
        p[f"diameter{i}"] = base + round((steps - abs(i - peak)) * base * 0.15 * (0.7 + 0.6 * rng.random()))
        p[f"length{i}"] = _step(rng, 12, 70, 2)
    p["keyways"] = float(rng.integers(0, 3))
    p["thread"] = float(rng.random() < 0.4)
    p["groove"] = float(rng.random() < 0.5)
    p["center_hole"] = float(rng.random() < 0.4)
    return p


def _shaft(pen: Pen, p: Parameters) -> None:
    steps, c = int(p["steps"]), p["chamfer"]
    x, top = 0.0, max(p[f"diameter{i}"] for i in range(steps)) / 2
    keys = {1: "keyways", steps - 2: "keyways"}
    placed = 0
    for i in range(steps):
        pen.feature = f"step{i}"
        r, length = p[f"diameter{i}"] / 2, p[f"length{i}"]
        left, right = (c if i == 0 else 0.0), (c if i == steps - 1 else 0.0)
        pen.path([(x, r - left), (x + left, r), (x + length - right, r), (x + length, r - right)], closed=False)
        pen.path([(x, left - r), (x + left, -r), (x + length - right, -r), (x + length, right - r)], closed=False)
        pen.line((x, left - r), (x, r - left))
        if left or right:
            cx = x + left if left else x + length - right
            pen.line((cx, -r), (cx, r))
        if i == steps - 1:
            pen.line((x + length, right - r), (x + length, r - right))
            if p["thread"]:
                for sign in (1, -1):
                    pen.line((x, sign * r * 0.85), (x + length, sign * r * 0.85), "thin")
        if p["groove"] and i == steps // 2:
            pen.feature = "groove"
            pen.rect(x + length * 0.8, -r * 0.92, length * 0.06, r * 1.84)
        if i in keys and placed < p["keyways"]:
            pen.feature = f"keyway:{i}"
            half, inset = r * 0.25, length * 0.15
            a, b = x + inset + half, x + length - inset - half
            if b > a:
                pen.path([(a, -half), (b, -half), (b, half), (a, half)], [0, 1, 0, 1])
                # its cross-section below the shaft
                sx, sy = x + length / 2, -3.2 * top - 8 * pen.t
                edge = math.degrees(math.asin(0.25))
                floor = r * 0.6
                pen.arc((sx, sy), r, 90 + edge, 90 - edge)
                y = sy + r * math.cos(math.radians(edge))
                notch = [(sx + half, y), (sx + half, sy + floor), (sx - half, sy + floor), (sx - half, y)]
                pen.path(notch, closed=False)
                pen.hatch((notch, [0, 0, 0, math.tan(math.radians(360 - 2 * edge) / 4)]))
                pen.cross((sx, sy), r)
                name = "AB"[placed]
                pen.text((sx, sy + r + 2 * pen.t), f"{name}-{name}", 1.2, CENTER)
                pen.dim((sx - half, sy - r), (sx + half, sy - r), -3, False, "<> N9")
                placed += 1
        pen.dim((x + length * 0.5, -r), (x + length * 0.5, r), 1.5 if i % 2 else -1.5, True, "%%c<>")
        pen.dim((x, -r), (x + length, -r), -(4.6 if i % 2 else 3) - (top - r) / pen.t)
        x += length
    pen.feature = "axis"
    pen.axis((-3 * pen.t, 0), (x + 3 * pen.t, 0))
    pen.dim((0, -top), (x, -top), -7)
    if p["center_hole"]:
        pen.feature = "center_hole"
        r = p["diameter0"] * 0.15
        pen.path([(0, r), (3 * r, r * 0.8), (3.5 * r, 0), (3 * r, -r * 0.8), (0, -r)], closed=False, role="hidden")
    pen.label((x, p[f"diameter{steps - 1}"] / 2), 3, 3, f"{c:g}x45%%d")


def _enclosure_parameters(rng: np.random.Generator) -> Parameters:
    return {
        "width": _step(rng, 60, 300, 5),
        "depth": _step(rng, 40, 200, 5),
        "height": _step(rng, 20, 100, 5),
        "thickness": float(rng.choice([2.0, 3.0, 4.0, 5.0, 6.0])),
        "finger": _step(rng, 8, 20, 1),
        "vents": float(rng.integers(0, 9)),
        "connectors": float(rng.integers(1, 5)),
        "screw": _step(rng, 2.5, 4.5, 0.5),
    }


def _fingers(w: float, h: float, t: float, finger: float, out: Sequence[bool]) -> list[Point]:
    """Outline of a finger-jointed panel from the lower left corner; ``out``: whether each side's corners are tabs."""
    corners = _corners(0, 0, w, h)
    points: list[Point] = []
    for k in range(4):
        (x, y), (x2, y2) = corners[k], corners[(k + 1) % 4]
        length = abs(x2 - x) + abs(y2 - y)
        ux, uy = (x2 - x) / length, (y2 - y) / length
        count = max(3, int(length / finger) // 2 * 2 + 1)
        steps: list[tuple[float, float]] = []  # (way along the side, depth)
        for i in range(count):
            depth = 0.0 if (i % 2 == 0) == out[k] else t
            steps += [(length * i / count, depth), (length * (i + 1) / count, depth)]
        if not out[k]:  # a corner belongs to the neighbour's tab, or to nobody
            steps[0], steps[-1] = (t, t), (length - t, t)
            steps = [(t, 0.0)] * out[k - 1] + steps + [(length - t, 0.0)] * out[(k + 1) % 4]
        for d, depth in steps:
            point = (x + ux * d - uy * depth, y + uy * d + ux * depth)
            if not points or math.dist(points[-1], point) > 1e-9:
                points.append(point)
    return points[:-1] if math.dist(points[0], points[-1]) < 1e-9 else points


def _enclosure(pen: Pen, p: Parameters) -> None:
    w, d, h, t, f = p["width"], p["depth"], p["height"], p["thickness"], p["finger"]
    gap, words = 8 * pen.t, ("BOTTOM", "TOP", "FRONT", "BACK", "LEFT", "RIGHT")
    x2, x3 = w + gap, 2 * (w + gap)
    rows = ((0, 0, w, d), (x2, 0, w, d), (0, d + gap, w, h), (x2, d + gap, w, h), (x3, 0, d, h), (x3, d + gap, d, h))
    for k, (x, y, a, b) in enumerate(rows):
        pen.at, pen.feature = (x, y), f"panel{k}"
        sides = [k < 2 or i % 2 == 1 if k < 4 else False for i in range(4)]
        pen.path(_fingers(a, b, t, f, sides))
        pen.text((a / 2, b * 0.45), words[k], 1.2, CENTER)
        if k < 2:
            pen.dim((0, 0), (a, 0), -3)
            pen.dim((0, 0), (0, b), -3, True)
            for i, c in enumerate(_corners(2.5 * t, 2.5 * t, a - 5 * t, b - 5 * t)):
                pen.hole(f"hole:{k}-{i}", c, p["screw"] / 2)
        if k == 1:
            for i in range(int(p["vents"])):
                pen.feature = f"vent:{i}"
                pen.rect(a * 0.25 + a * 0.5 * i / max(1.0, p["vents"]), b * 0.62, a * 0.025, b * 0.2, r=a * 0.0124)
        if k == 2:
            dice = pen.dice("connectors")
            for i in range(int(p["connectors"])):
                cx, size = a * (i + 1) / (p["connectors"] + 1), min(a / 10, b / 4)
                if dice.random() < 0.5:
                    pen.hole(f"hole:{k}-{i}", (cx, b * 0.25), size / 2)
                else:
                    pen.feature = f"port:{i}"
                    pen.rect(cx - size / 2, b * 0.25 - size / 3, size, size * 2 / 3, r=size * 0.05)
    pen.at = (0.0, 0.0)


def _panel_parameters(rng: np.random.Generator) -> Parameters:
    units = float(rng.integers(6, 36))
    return {
        "units": units,  # of 5.08 mm, Eurorack HP
        "height": float(rng.choice([128.5, 128.5, 133.35, 88.1, 44.5])),
        "columns": max(1.0, units // 5),
        "knobs": float(rng.integers(1, 4)),
        "jacks": float(rng.integers(1, 4)),
        "knob": float(rng.choice([7.0, 7.5, 9.5])),
        "jack": float(rng.choice([6.0, 6.2, 8.0])),
        "leds": float(rng.integers(0, 2)),
        "fader": float(rng.random() < 0.3),
    }


def _panel(pen: Pen, p: Parameters) -> None:
    w, h = p["units"] * 5.08 - 0.3, p["height"]
    pen.rect(0, 0, w, h)
    slot = (1.0, 0.0, 1.0, 0.0)
    for i, (x, y) in enumerate(((7.5, 3.0), (w - 7.5, 3.0), (7.5, h - 3.0), (w - 7.5, h - 3.0))[: 4 if w > 45 else 2]):
        pen.feature = f"slot:{i}"
        pen.path([(x + 1, y - 1.6), (x + 1, y + 1.6), (x - 1, y + 1.6), (x - 1, y - 1.6)], slot)
        pen.cross((x, y), 3)
    names = (
        "FREQ",
        "RES",
        "CV",
        "IN",
        "OUT",
        "GATE",
        "CLK",
        "MIX",
        "FM",
        "PWM",
        "A",
        "B",
        "RATE",
        "LEVEL",
        "SYNC",
        "1V/OCT",
    )
    dice, scale = pen.dice("names"), min(1.0, w / p["columns"] / 6 / pen.t)
    rows = int(p["knobs"] + p["jacks"])
    for j in range(rows):
        for i in range(int(p["columns"])):
            x, y = w * (i + 0.5) / p["columns"], h - 16 - (h - 32) * (j + 0.5) / rows
            name = names[int(dice.integers(len(names)))]
            r = (p["knob"] if j < p["knobs"] else p["jack"]) / 2
            pen.hole(f"hole:{j}-{i}", (x, y), r)
            pen.feature = f"hole:{j}-{i}"
            if j < p["knobs"]:
                pen.circle((x, y), r * 1.9, "thin")
                for k in range(0, 301, 60):
                    pen.line(_polar((x, y), r * 2.0, k - 60), _polar((x, y), r * 2.3, k - 60), "thin")
            pen.text((x, y - r * 2.1 - pen.t * scale), name, scale * 0.8, CENTER)
    for i in range(int(p["leds"] * p["columns"])):
        pen.hole(f"led:{i}", (w * (i + 0.5) / p["columns"], h - 14), 1.5)
    pen.feature = "name"
    pen.text((w / 2, h - 10), ("VCO", "VCF", "LFO", "VCA", "SEQ")[int(dice.integers(5))], 1.4 * scale, CENTER)
    pen.dim((0, 0), (w, 0), -3.5)
    pen.dim((0, 0), (0, h), -3.5, True)
    pen.dim((0, h - 3), (0, 3), -1.5, True)


# Rows of key widths in units, from the top; negative = gap.
KEYBOARDS: tuple[tuple[tuple[float, ...], ...], ...] = (
    (
        (1,) * 13 + (2,),
        (1.5,) + (1,) * 12 + (1.5,),
        (1.75,) + (1,) * 11 + (2.25,),
        (2.25,) + (1,) * 10 + (2.75,),
        (1.25, 1.25, 1.25, 6.25, 1.25, 1.25, 1.25, 1.25),
    ),
    (
        (1,) * 13 + (2, 1),
        (1.5,) + (1,) * 12 + (1.5, 1),
        (1.75,) + (1,) * 11 + (2.25, 1),
        (2.25,) + (1,) * 10 + (1.75, 1, 1),
        (1.25, 1.25, 1.25, 6.25, 1, 1, 1, 1, 1, 1),
    ),
    ((1,) * 4, (1,) * 4, (1,) * 4, (1,) * 4, (2, 1, 1)),
    ((1,) * 12,) * 4,
    ((1,) * 12, (1,) * 12, (1,) * 12, (1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)),
    ((1,) * 6,) * 3 + ((-2, 1, 1, 2),),
    (
        (1, -1, 1, 1, 1, 1, -0.5, 1, 1, 1, 1, -0.5, 1, 1, 1, 1),
        (1,) * 13 + (2,),
        (1.5,) + (1,) * 12 + (1.5,),
        (1.75,) + (1,) * 11 + (2.25,),
        (2.25,) + (1,) * 10 + (2.75,),
        (1.5, 1, 1.5, 7, 1.5, 1, 1.5),
    ),
)


def _keyboard_parameters(rng: np.random.Generator) -> Parameters:
    return {
        "layout": float(rng.integers(len(KEYBOARDS))),
        "pitch": float(rng.choice([19.05, 19.05, 19.0, 18.0])),
        "cutout": float(rng.choice([14.0, 14.0, 13.9, 13.8])),
        "margin": _step(rng, 3, 12, 1),
        "corner": _step(rng, 0, 6, 1),
        "screw": _step(rng, 2, 4, 0.5),
        "screws": float(rng.integers(2, 7)),
        "notched": float(rng.random() < 0.3),
        "keycaps": float(rng.random() < 0.3),
        "stagger": float(rng.random() < 0.2),
    }


def _keyboard(pen: Pen, p: Parameters) -> None:
    layout, u, s = KEYBOARDS[int(p["layout"])], p["pitch"], p["cutout"] / 2
    m, rows = p["margin"], len(layout)
    w = max(sum(map(abs, row)) for row in layout) * u + 2 * m
    h = rows * u + 2 * m
    pen.rect(0, 0, w, h, r=p["corner"])

    def switch() -> None:
        if p["notched"]:
            n, e = 0.8, s * 0.5
            pen.path([(-s, -s), (s, -s), (s, -e - 1), (s + n, -e - 1), (s + n, -e + 2), (s, -e + 2), (s, s), (-s, s)])
        else:
            pen.rect(-s, -s, 2 * s, 2 * s, r=0.3)

    for j, row in enumerate(layout):
        x, y = m, h - m - (j + 0.5) * u
        for i, width in enumerate(row):
            if width > 0:
                c = (x + width * u / 2, y + (u * 0.25 * (i % 3) if p["stagger"] and rows == 4 else 0.0))
                pen.feature = f"key:{j}-{i}"
                pen.stamp("SWITCH", c, switch)
                if width >= 2:
                    side = 11.938 if width < 3 else 38.1 if width < 6 else 50.0
                    for sign in (1, -1):
                        pen.rect(c[0] + sign * side - 3.3, c[1] - 7, 6.6, 12.3)
                if p["keycaps"]:
                    pen.rect(x + 0.5, c[1] - u / 2 + 0.5, width * u - 1, u - 1, "thin", r=1.5)
            x += abs(width) * u
    for i in range(int(p["screws"])):
        for j, y in enumerate((m / 2, h - m / 2)):
            pen.hole(f"hole:{i}-{j}", (m / 2 + (w - m) * i / (p["screws"] - 1), y), min(p["screw"], m) / 2)
    pen.dim((0, 0), (w, 0), -3.5)
    pen.dim((0, 0), (0, h), -3.5, True)
    pen.dim((m, h), (m + u, h), 2)


def _floor_parameters(rng: np.random.Generator) -> Parameters:
    return {
        "width": _step(rng, 8000, 20000, 250),
        "depth": _step(rng, 7000, 14000, 250),
        "wall": float(rng.choice([240.0, 300.0, 365.0])),
        "partition": float(rng.choice([100.0, 115.0, 150.0])),
        "rooms": float(rng.integers(3, 9)),
        "door": float(rng.choice([800.0, 885.0, 900.0])),
        "window": _step(rng, 900, 2000, 100),
        "furniture": float(rng.random() < 0.7),
        "grid": float(rng.random() < 0.4),
    }


def _floor(pen: Pen, p: Parameters) -> None:
    w, d, wall, thin = p["width"], p["depth"], p["wall"], p["partition"]
    dice = pen.dice("rooms")
    # split the largest room until there are enough; fractions keep the layout when a length changes
    rooms = [(0.0, 0.0, 1.0, 1.0)]
    cuts = []
    while len(rooms) < p["rooms"]:
        rooms.sort(key=lambda r: -(r[2] - r[0]) * (r[3] - r[1]))
        x0, y0, x1, y1 = rooms.pop(0)
        f = 0.35 + 0.3 * float(dice.random())
        if (x1 - x0) >= (y1 - y0):
            x = x0 + f * (x1 - x0)
            rooms += [(x0, y0, x, y1), (x, y0, x1, y1)]
            cuts.append(((x, y0), (x, y1)))
        else:
            y = y0 + f * (y1 - y0)
            rooms += [(x0, y0, x1, y), (x0, y, x1, y1)]
            cuts.append(((x0, y), (x1, y)))
    inner_w, inner_d = w - 2 * wall, d - 2 * wall

    def place(fx: float, fy: float) -> Point:
        return wall + fx * inner_w, wall + fy * inner_d

    pen.rect(0, 0, w, d)
    pen.rect(wall, wall, inner_w, inner_d)
    pen.hatch((_corners(0, 0, w, d), ()), (_corners(wall, wall, inner_w, inner_d), ()))
    for i, (a, b) in enumerate(cuts):
        (ax, ay), (bx, by) = place(*a), place(*b)
        pen.feature = f"wall{i}"
        length = math.dist((ax, ay), (bx, by))
        ux, uy = (bx - ax) / length, (by - ay) / length
        door = min(p["door"], length * 0.5)
        start = length * 0.2
        for side in (-thin / 2, thin / 2):
            for u1, u2 in ((0.0, start), (start + door, length)):
                pen.line(
                    (ax + ux * u1 - uy * side, ay + uy * u1 + ux * side),
                    (ax + ux * u2 - uy * side, ay + uy * u2 + ux * side),
                )
        for u in (start, start + door):
            x, y = ax + ux * u, ay + uy * u
            pen.line((x + uy * thin / 2, y - ux * thin / 2), (x - uy * thin / 2, y + ux * thin / 2))
        pen.feature = f"door:{i}"
        turn = math.degrees(math.atan2(uy, ux))

        def leaf(r: float = door) -> None:
            pen.line((0, 0), (0, r), "thin")
            pen.arc((0, 0), r, 0, 90, "thin")

        pen.stamp(f"DOOR{door:.0f}", (ax + ux * start, ay + uy * start), leaf, turn)
    furniture = (_bed, _table, _sofa, _bath)
    names = ("LIVING", "KITCHEN", "BEDROOM", "BATH", "HALL", "OFFICE", "STORE", "ROOM")
    for i, (x0, y0, x1, y1) in enumerate(sorted(rooms)):
        (ax, ay), (bx, by) = place(x0, y0), place(x1, y1)
        cx, cy = (ax + bx) / 2, (ay + by) / 2
        pen.feature = f"room:{i}"
        fit = min(1.0, (bx - ax) / (8 * pen.t))
        pen.text((cx, cy + pen.t * fit), names[int(dice.integers(len(names)))], fit, CENTER)
        area = f"{(bx - ax) * (by - ay) / 1e6:.1f} m2"
        pen.text((cx, cy - pen.t * fit), area.replace(".", ",") if pen.style.comma else area, 0.8 * fit, CENTER)
        kind, turned = int(dice.integers(len(furniture))), dice.random() < 0.5
        if p["furniture"] and min(bx - ax, by - ay) > 2300:
            pen.feature = f"furniture:{i}"
            draw = furniture[kind]
            corner = (ax + thin, by - thin) if turned else (ax + thin, ay + thin)
            pen.stamp(draw.__name__.strip("_").upper(), corner, partial(draw, pen), -90.0 if turned else 0.0)
        pen.feature = f"window:{i}"
        for low, edge in ((y0 == 0.0, 0.0), (y1 == 1.0, d - wall)):
            if low and bx - ax > p["window"] * 1.2:
                x = cx - p["window"] / 2
                pen.rect(x, edge, p["window"], wall)
                pen.line((x, edge + wall / 2), (x + p["window"], edge + wall / 2), "thin")
        if y0 == 0.0:
            pen.dim((ax, 0), (bx, 0), -3)
        if x0 == 0.0:
            pen.dim((0, ay), (0, by), -3, True)
    pen.dim((0, 0), (w, 0), -6)
    pen.dim((0, 0), (0, d), -6, True)
    if p["grid"]:
        pen.feature = "grid"
        for i in range(4):
            x, y = w * i / 3, d + 4 * pen.t
            pen.axis((x, -2 * pen.t), (x, y))
            pen.circle((x, y + pen.t), pen.t, "thin")
            pen.text((x, y + 0.5 * pen.t), "ABCD"[i], 1.0, CENTER)


def _bed(pen: Pen) -> None:
    pen.rect(0, 0, 1600, 2000, "thin", r=40)
    pen.rect(100, 1500, 650, 400, "thin", r=80)
    pen.rect(850, 1500, 650, 400, "thin", r=80)
    pen.line((0, 1350), (1600, 1350), "thin")


def _table(pen: Pen) -> None:
    pen.rect(300, 300, 1400, 800, "thin")
    for x in (500, 1100):
        for y in (0, 1130):
            pen.rect(x, y, 420, 270, "thin", r=60)


def _sofa(pen: Pen) -> None:
    pen.rect(0, 0, 2000, 850, "thin", r=60)
    pen.rect(180, 200, 820, 650, "thin", r=60)
    pen.rect(1000, 200, 820, 650, "thin", r=60)


def _bath(pen: Pen) -> None:
    pen.rect(0, 0, 750, 1700, "thin")
    pen.rect(60, 60, 630, 1580, "thin", r=250)
    pen.circle((375, 1450), 30, "thin")
    pen.rect(900, 0, 500, 400, "thin", r=100)


def _resistor(pen: Pen) -> None:
    pen.path([(-5, -1.5), (5, -1.5), (5, 1.5), (-5, 1.5)])
    pen.line((-10, 0), (-5, 0))
    pen.line((5, 0), (10, 0))


def _capacitor(pen: Pen) -> None:
    for sign in (1, -1):
        pen.line((sign * 10, 0), (sign * 1, 0))
        pen.line((sign * 1, -4), (sign * 1, 4))


def _coil(pen: Pen) -> None:
    for i in range(4):
        pen.arc((-4.5 + 3 * i, 0), 1.5, 0, 180)
    for sign in (1, -1):
        pen.line((sign * 10, 0), (sign * 6, 0))


def _diode(pen: Pen) -> None:
    pen.add("SOLID", "outline", [(-2.5, 2.5), (-2.5, -2.5), (2.5, 0)])
    pen.line((2.5, -2.5), (2.5, 2.5))
    pen.line((-10, 0), (-2.5, 0))
    pen.line((2.5, 0), (10, 0))


def _lamp(pen: Pen) -> None:
    pen.circle((0, 0), 4)
    c = 4 * math.sqrt(0.5)
    pen.line((-c, -c), (c, c))
    pen.line((-c, c), (c, -c))
    pen.line((-10, 0), (-4, 0))
    pen.line((4, 0), (10, 0))


def _switch(pen: Pen) -> None:
    pen.line((-10, 0), (-4, 0))
    pen.line((-4, 0), (4, 3.5))
    pen.line((4, 0), (10, 0))
    pen.circle((-4, 0), 0.5)
    pen.circle((4, 0), 0.5)


def _motor(pen: Pen) -> None:
    pen.circle((0, 0), 5)
    pen.add("TEXT", "text", [(0, -1.5)], size=3.0, text="M", align=CENTER)
    pen.line((-10, 0), (-5, 0))
    pen.line((5, 0), (10, 0))


def _transistor(pen: Pen) -> None:
    pen.circle((0, 0), 5)
    pen.line((-10, 0), (-2, 0))
    pen.line((-2, -3), (-2, 3))
    pen.path([(-2, 1), (3, 4), (10, 4), (10, 0)], closed=False)
    pen.line((-2, -1), (3, -4))


SYMBOLS = (_resistor, _capacitor, _coil, _diode, _lamp, _switch, _motor, _transistor)


def _schematic_parameters(rng: np.random.Generator) -> Parameters:
    return {
        "columns": float(rng.integers(3, 9)),
        "rows": float(rng.integers(2, 7)),
        "dx": _step(rng, 30, 50, 5),
        "dy": _step(rng, 20, 35, 5),
        "pins": float(2 * rng.integers(2, 9)),
        "density": float(rng.choice([0.6, 0.75, 0.9])),
        "bus": float(rng.random() < 0.5),
    }


def _schematic(pen: Pen, p: Parameters) -> None:
    dice, dx, dy = pen.dice("parts"), p["dx"], p["dy"]
    columns, rows = int(p["columns"]), int(p["rows"])
    prefix = "RCLDHSMQ"
    count: dict[int, int] = {}
    for j in range(rows):
        y, last = -j * dy, -10.0
        for i in range(columns):
            kind, present, value = (
                int(dice.integers(len(SYMBOLS))),
                dice.random() < p["density"],
                int(dice.integers(1, 100)),
            )
            if not present:
                continue
            x = i * dx
            count[kind] = count.get(kind, 0) + 1
            draw = SYMBOLS[kind]
            pen.feature = f"symbol:{j}-{i}"

            def symbol(draw: Callable[[Pen], None] = draw) -> None:
                draw(pen)
                pen.add("ATTDEF", "text", [(-4, 6)], size=2.5, text="?", name="REF")
                pen.add("ATTDEF", "text", [(-4, -8)], size=2.0, text="?", name="VALUE")

            name = draw.__name__.strip("_").upper()
            pen.insert(
                pen.block(name, symbol),
                (x, y),
                REF=f"{prefix[kind]}{count[kind]}",
                VALUE=f"{value}{'kunmu k  '[kind]}".strip(),
            )
            pen.feature = f"wire{j}"
            if x - 10 > last:
                pen.line((last, y), (x - 10, y), "thin")
            last = x + 10
        pen.feature = f"wire{j}"
        right = columns * dx
        pen.line((last, y), (right, y), "thin")
        if j:
            side = right if j % 2 else -10.0
            pen.line((side, y + dy), (side, y), "thin")
            if p["bus"]:
                pen.hatch(([(side - 0.8, y), (side + 0.8, y)], [1.0, 1.0]), solid=True)
    # an integrated circuit at the right
    pins = int(p["pins"]) // 2
    x, w, h, top = columns * dx + 30, 24.0, (pins + 1) * 5.0, 0.0
    pen.feature = "ic"
    pen.rect(x, top - h, w, h)
    pen.text((x + w / 2, top + 2), f"U1 {pen.dice('ic').integers(74, 9999)}", 0.8, CENTER)
    for i in range(pins):
        y = top - 5 * (i + 1)
        pen.feature = f"pin:{i}"
        for sign, px in ((-1, x), (1, x + w)):
            pen.line((px, y), (px + sign * 6, y))
            number = i + 1 if sign < 0 else 2 * pins - i
            pen.add("TEXT", "text", [(px + sign * 3, y + 0.5)], size=1.8, text=str(number), align=CENTER)
    pen.feature = "ground"
    for i in range(3):
        pen.line((x + w + 6 - 4 + i, top - h - 5 - 1.5 * i), (x + w + 6 + 4 - i, top - h - 5 - 1.5 * i))
    pen.line((x + w + 6, top - 5 * pins), (x + w + 6, top - h - 5))


def _gasket_parameters(rng: np.random.Generator) -> Parameters:
    return {
        "bolts": float(rng.integers(2, 9)),
        "circle": _step(rng, 50, 180, 5),
        "squash": float(rng.choice([1.0, 1.0, 0.6, 0.75])),
        "lobe": _step(rng, 8, 14, 1),
        "hole": _step(rng, 5, 9, 0.5),
        "opening": 0.45 + 0.2 * float(rng.integers(0, 3)) / 2,
        "irregular": float(rng.random() < 0.4),
        "thickness": float(rng.choice([0.5, 1.0, 1.5, 2.0])),
    }


def _gasket(pen: Pen, p: Parameters) -> None:
    n, r, lobe = int(p["bolts"]), p["circle"] / 2, p["lobe"]
    dice = pen.dice("lobes")
    centers = []
    for i in range(n):
        stretch = 1 + p["irregular"] * 0.3 * (float(dice.random()) - 0.5)
        x, y = _polar((0, 0), r * stretch, 360 * i / n + 90)
        centers.append((x, y * p["squash"]))
    # lobes around the bolts joined by outer tangents: each lobe an arc from tangent to tangent
    points, bulges = [], []
    for i, (x, y) in enumerate(centers):
        (ax, ay), (bx, by) = centers[i - 1], centers[(i + 1) % n]
        before, after = math.atan2(y - ay, x - ax) - math.pi / 2, math.atan2(by - y, bx - x) - math.pi / 2
        sweep = (after - before) % (2 * math.pi)
        if sweep > math.pi + 1e-9:  # a corner that points inwards: a sharp vertex keeps the outline simple
            sweep = 0.0
            after = before
        points += [(x + lobe * math.cos(a), y + lobe * math.sin(a)) for a in (before, after)]
        bulges += [math.tan(sweep / 4), 0.0]
    pen.path(points, bulges)
    for i, c in enumerate(centers):
        pen.hole(f"hole:{i}", c, p["hole"] / 2)
    pen.feature = "opening"
    inner = r * min(p["squash"], 1.0) * p["opening"] * (0.75 if n == 2 else 1.0)
    pen.circle((0, 0), inner)
    pen.cross((0, 0), r)
    pen.round_dim((0, 0), inner, 20)
    pen.round_dim(centers[0], p["hole"] / 2, 60, f"{n}x <>")
    pen.dim(centers[0], centers[n // 2], 7 + lobe / pen.t, True)
    pen.label(points[1], 4, 3, f"R{lobe:g}")
    pen.feature = "side"
    low = min(y for _, y in points) - 8 * pen.t
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    pen.rect(left, low, right - left, p["thickness"])
    pen.text((right + 2 * pen.t, low), f"t={p['thickness']:g}")
    wave = [(left + (right - left) * k / 6, low - 3 * pen.t + pen.t * (k % 2)) for k in range(7)]
    pen.add("SPLINE", "thin", wave)


def _truss_parameters(rng: np.random.Generator) -> Parameters:
    return {
        "span": _step(rng, 6000, 24000, 500),
        "rise": _step(rng, 900, 3000, 100),
        "bays": float(2 * rng.integers(2, 7)),
        "chord": float(rng.choice([80.0, 100.0, 120.0, 140.0])),
        "web": float(rng.choice([50.0, 60.0, 70.0])),
        "pitched": float(rng.random() < 0.6),
        "pattern": float(rng.integers(0, 3)),
        "gussets": float(rng.random() < 0.6),
    }


def _truss(pen: Pen, p: Parameters) -> None:
    span, rise, n = p["span"], p["rise"], int(p["bays"])

    def height(x: float) -> float:
        return rise * (0.4 + 0.6 * (1 - abs(2 * x / span - 1))) if p["pitched"] else rise

    bottom = [(span * i / n, 0.0) for i in range(n + 1)]
    top = [(x, height(x)) for x, _ in bottom]

    def member(feature: str, a: Point, b: Point, width: float) -> None:
        pen.feature = feature
        length = math.dist(a, b)
        nx, ny = (a[1] - b[1]) / length * width / 2, (b[0] - a[0]) / length * width / 2
        pen.path([(a[0] + nx, a[1] + ny), (b[0] + nx, b[1] + ny), (b[0] - nx, b[1] - ny), (a[0] - nx, a[1] - ny)])
        pen.axis(a, b)

    for k, chord in enumerate((bottom, top)):
        for i, (a, b) in enumerate(pairwise(chord)):
            member(f"chord{k}-{i}", a, b, p["chord"])
    for i in range(n + 1):
        member(f"post{i}", bottom[i], top[i], p["web"])
    for i in range(n):
        rising = {0: i < n // 2, 1: i % 2 == 0, 2: True}[int(p["pattern"])]
        member(f"brace:{i}", bottom[i] if rising else top[i], top[i + 1] if rising else bottom[i + 1], p["web"])
    if p["gussets"]:
        g = p["chord"] * 1.6
        for i, (x, y) in enumerate(bottom):
            pen.feature = f"gusset:{i}"
            pen.path([(x - g, y - g * 0.5), (x + g, y - g * 0.5), (x + g * 0.7, y + g), (x - g * 0.7, y + g)])
            for dx in (-0.6, 0.0, 0.6):
                pen.circle((x + dx * g, y), p["chord"] * 0.11, "thin")
    for i, (a, b) in enumerate(pairwise(bottom)):
        if i < n:
            pen.dim(a, b, -4)
    pen.dim(bottom[0], bottom[-1], -7)
    pen.dim(bottom[n // 2], top[n // 2], 3 + span / 2 / pen.t, True)
    pen.label(top[1], -3, 5, f"L{p['chord']:g}x{p['chord']:g}x10")
    pen.label(top[n - 1], 3, 5, f"L{p['web']:g}x{p['web']:g}x6")


def _lead_frame_parameters(rng: np.random.Generator) -> Parameters:
    package = float(rng.choice([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]))
    pitch = float(rng.choice([0.4, 0.5, 0.65, 0.8]))
    most = int((package - 1.0) / pitch)
    return {
        "package": package,
        "pitch": pitch,
        "leads": float(max(2, most - int(rng.integers(0, 3)))),
        "lead_width": round(pitch * (0.4 + 0.1 * float(rng.random())), 2),
        "lead_length": float(rng.choice([0.3, 0.4, 0.5])),
        "pad": round(package * (0.45 + 0.2 * float(rng.random())), 1),
        "columns": float(rng.integers(6, 17)),
        "rows": float(rng.integers(3, 7)),
        "saw": float(rng.choice([0.3, 0.4, 0.5])),
        "rail": _step(rng, 5, 9, 0.5),
        "thickness": float(rng.choice([0.127, 0.152, 0.203])),
        "dual": float(rng.random() < 0.25),
    }


def _lead_unit(pen: Pen, p: Parameters, etched: bool) -> None:
    """One package around the origin: exposed pad, tie bars, leads."""
    half, pad, lw = p["package"] / 2, p["pad"] / 2, p["lead_width"] / 2
    out = half + p["saw"] / 2
    cut = pad * 0.25
    corners = [(-pad, -pad), (pad, -pad), (pad, pad), (-pad + cut, pad), (-pad, pad - cut)]
    pen.path(corners)
    if etched:
        inner = pad * 0.8
        pen.hatch((corners, ()), (_corners(-inner, -inner, 2 * inner, 2 * inner), ()))
    count = int(p["leads"])
    inside = half - p["lead_length"]
    for side in range(2 if p["dual"] else 4):
        turn = (0, 2, 1, 3)[side] * 90.0
        for i in range(count):
            x = (i - (count - 1) / 2) * p["pitch"]
            pen.feature = f"lead:{side}-{i}"
            move = Similarity(1.0, turn)
            lead = [(x - lw, -out), (x + lw, -out), (x + lw, -inside), (x - lw, -inside)]
            loop, bulges = [move.point(q) for q in lead], [0.0, 0.0, 1.0, 0.0]
            pen.path(loop, bulges)
            if etched and i % 2 == 0:
                pen.hatch((loop, bulges), solid=True)
    pen.feature = "tie"
    bar = p["lead_width"] * 0.6
    for sx in (1, -1):
        for sy in (1, -1):
            pen.line((sx * (pad - bar), sy * pad), (sx * (out - bar), sy * out))
            pen.line((sx * pad, sy * (pad - bar)), (sx * out, sy * (out - bar)))
    pen.feature = "package"
    pen.rect(-half, -half, 2 * half, 2 * half, "hidden")


def _lead_frame(pen: Pen, p: Parameters) -> None:
    pitch = p["package"] + p["saw"]
    columns, rows, rail = int(p["columns"]), int(p["rows"]), p["rail"]
    w, h = columns * pitch + 2 * rail, rows * pitch + 2 * rail
    gap = 8 * pen.t
    # strip
    pen.feature = "strip"
    pen.rect(0, 0, w, h)
    unit = pen.block("UNIT", lambda: _lead_unit(pen, p, etched=False))
    for j in range(rows):
        for i in range(columns):
            pen.feature = f"unit:{j}-{i}"
            pen.insert(unit, (rail + (i + 0.5) * pitch, rail + (j + 0.5) * pitch))
    for i in range(columns + 1):
        pen.feature = "saw"
        pen.line((rail + i * pitch, rail * 0.55), (rail + i * pitch, rail * 0.8), "thin")
        if i % 2 == 0:
            for k, y in enumerate((rail * 0.3, h - rail * 0.3)):
                pen.hole(f"hole:{i}-{k}", (rail + i * pitch, y), rail * 0.12)
        elif i < columns:
            pen.feature = f"slot:{i}"
            x, s = rail + i * pitch, rail * 0.1
            pen.path(
                [(x - 3 * s, h - 5 * s), (x + 3 * s, h - 5 * s), (x + 3 * s, h - 3 * s), (x - 3 * s, h - 3 * s)],
                [0, 1, 0, 1],
            )
    pen.dim((0, 0), (w, 0), -5)
    pen.dim((rail, 0), (rail + pitch, 0), -2.5)
    pen.dim((0, 0), (0, h), -5, True)
    pen.dim((0, rail), (0, rail + pitch), -2.5, True)
    pen.title(w / 2, -5 * pen.t, f"STRIP {rows}x{columns}")
    # unit, enlarged
    size = p["package"]
    k = rows + 1  # the enlarged unit is about as high as the strip
    enlarged = ("package", "pitch", "lead_width", "lead_length", "pad", "saw")
    x = w + 2 * gap + k * pitch / 2
    big = {name: value * k if name in enlarged else value for name, value in p.items()}
    pen.at, pen.feature = (x, h / 2), "pad"
    _lead_unit(pen, big, etched=True)
    s, lead = size * k / 2, p["lead_width"] * k / 2

    def real(value: float) -> str:
        return f"{value:.{max(2, pen.style.decimals)}f}".replace(".", "," if pen.style.comma else ".")

    pen.dim((-s, -s), (s, -s), -5, False, real(size))
    pen.dim(
        (-big["pad"] / 2, big["pad"] / 2),
        (big["pad"] / 2, big["pad"] / 2),
        3 + (s - big["pad"] / 2) / pen.t,
        False,
        real(p["pad"]),
    )
    pen.dim((s, -big["pitch"] / 2), (s, big["pitch"] / 2), 3, True, real(p["pitch"]) + " BSC")
    pen.dim((-lead, -s), (lead, -s), -2.5, False, real(p["lead_width"]))
    pen.title(0, -s - 5 * pen.t, f"UNIT ({k:g}:1)")
    # detail of a lead and the section of the strip
    pen.at, pen.feature = (0.0, -h * 0.9 - 2 * gap), "detail"
    dk = h * 0.5 / p["lead_length"] / 2
    lw, length = p["lead_width"] * dk, p["lead_length"] * dk
    r = math.hypot(lw, length)
    cx, cy = r, h * 0.4
    pen.circle((cx, cy), r, "thin")
    lead_tip = [
        (cx - lw / 2, cy - length),
        (cx + lw / 2, cy - length),
        (cx + lw / 2, cy + length / 3),
        (cx - lw / 2, cy + length / 3),
    ]
    pen.path(lead_tip, [0, 0, 1, 0])
    pen.hatch((lead_tip, [0.0, 0.0, 1.0, 0.0]))
    pen.dim((cx - lw / 2, cy - length), (cx + lw / 2, cy - length), -3, False, real(p["lead_width"]))
    pen.dim((cx + lw / 2, cy - length), (cx + lw / 2, cy + length / 3), 3, True, real(p["lead_length"]))
    pen.title(cx, cy - r - 3 * pen.t, f"{pen.style.words[9]} A")
    pen.feature = "section"
    sx, t = 2 * r + 2 * gap, max(p["thickness"] * k * 0.5, pen.t)
    sw = w - sx if w - sx > 20 * pen.t else 20 * pen.t
    for i in range(8):
        a = sx + sw * i / 8
        tooth = [
            (a, cy),
            (a + sw / 11, cy),
            (a + sw / 11, cy + t / 2),
            (a + sw / 14, cy + t / 2),
            (a + sw / 14, cy + t),
            (a, cy + t),
        ]
        pen.path(tooth)
        pen.hatch((tooth, ()))
    pen.dim((sx, cy), (sx, cy + t), -3, True, real(p["thickness"]))
    pen.title(sx + sw / 2, cy - 3 * pen.t, f"{pen.style.words[8]} B-B")
    pen.at = (max(x - s, sx + sw + 3 * pen.t), -h * 0.9 - 2 * gap + h * 0.6)
    rows_ = [
        ("REV", "DESCRIPTION"),
        ("A", "FIRST ISSUE"),
        ("B", f"PAD {p['pad']:g}"),
        ("MAT", f"C194 {p['thickness']:g} mm"),
    ]
    pen.table(0, 0, rows_, (6, 20))
    pen.feature = "notes"
    pins = int(p["leads"]) * (2 if p["dual"] else 4)
    text = f"NOTES:\n1. PACKAGE QFN {size:g}x{size:g} {pins}L\n2. HALF ETCH HATCHED\n3. PPF PLATING"
    pen.add("MTEXT", "text", [(0, -10 * pen.t)], size=pen.t, text=text)


@dataclass(frozen=True)
class Family:
    """A kind: its parameters by chance, the size of all its views together (mm), and how it is drawn."""

    parameters: Callable[[np.random.Generator], Parameters]
    extent: Callable[[Parameters], Point]
    draw: Callable[[Pen, Parameters], None]
    lengths: tuple[str, ...]  # parameters that a designer would alter by a little; all may be scaled for a size variant
    counts: tuple[str, ...] = ()  # and those that are numbers of things


def _keyboard_extent(p: Parameters) -> Point:
    layout = KEYBOARDS[int(p["layout"])]
    return max(sum(map(abs, row)) for row in layout) * p["pitch"], len(layout) * p["pitch"]


def _lead_extent(p: Parameters) -> Point:
    return (p["columns"] + p["rows"]) * 1.2 * p["package"] + 2 * p["rail"], 1.8 * (
        p["rows"] * p["package"] + 2 * p["rail"]
    )


FAMILIES: Mapping[str, Family] = {
    "plate": Family(
        _plate_parameters,
        lambda p: (p["width"] * 1.2, p["height"]),
        _plate,
        ("width", "height", "hole", "margin", "thickness"),
        ("columns", "rows"),
    ),
    "flange": Family(
        _flange_parameters,
        lambda p: (p["outer"] * 1.7, p["outer"]),
        _flange,
        ("outer", "bore", "hub", "thickness", "length", "bolt"),
        ("bolts",),
    ),
    "bracket": Family(
        _bracket_parameters,
        lambda p: (p["foot"] + p["leg"], p["leg"] + p["width"]),
        _bracket,
        ("width", "leg", "foot", "hole"),
        ("leg_holes",),
    ),
    "gear": Family(
        _gear_parameters,
        lambda p: (p["module"] * p["teeth"] * 1.4, p["module"] * p["teeth"]),
        _gear,
        ("bore", "hub", "face"),
        ("teeth",),
    ),
    "shaft": Family(
        _shaft_parameters,
        lambda p: (sum(v for k, v in p.items() if k[:6] == "length"), 200.0),
        _shaft,
        ("diameter1", "length0", "length1", "length2"),
        ("keyways",),
    ),
    "enclosure": Family(
        _enclosure_parameters,
        lambda p: (2 * p["width"] + p["depth"], p["depth"] + p["height"]),
        _enclosure,
        ("width", "depth", "height", "finger"),
        ("vents", "connectors"),
    ),
    "panel": Family(
        _panel_parameters,
        lambda p: (p["units"] * 5.08, p["height"]),
        _panel,
        ("knob", "jack", "height"),
        ("units", "jacks"),
    ),
    "keyboard": Family(
        _keyboard_parameters,
        _keyboard_extent,
        _keyboard,
        ("margin", "cutout", "corner", "screw"),
        ("screws",),
    ),
    "floor_plan": Family(
        _floor_parameters,
        lambda p: (p["width"], p["depth"]),
        _floor,
        ("width", "depth", "window", "wall"),
        (),
    ),
    "schematic": Family(
        _schematic_parameters,
        lambda p: ((p["columns"] + 1) * p["dx"] + 40, p["rows"] * p["dy"]),
        _schematic,
        ("dx", "dy"),
        ("pins",),
    ),
    "gasket": Family(
        _gasket_parameters,
        lambda p: (p["circle"] * 1.5, p["circle"] * 1.5),
        _gasket,
        ("circle", "lobe", "hole"),
        ("bolts",),
    ),
    "truss": Family(
        _truss_parameters,
        lambda p: (p["span"], p["rise"]),
        _truss,
        ("span", "rise", "chord", "web"),
        (),
    ),
    "lead_frame": Family(
        _lead_frame_parameters,
        _lead_extent,
        _lead_frame,
        ("pad", "lead_width", "lead_length", "rail"),
        ("columns", "leads"),
    ),
}


@dataclass(frozen=True)
class Design:
    """Recipe of one drawing; equal designs build equal documents."""

    kind: str  # key of FAMILIES
    parameters: Parameters
    style: Style
    extent: Point  # of all views together, mm, for which the scale was chosen; revisions keep it
    seed: int  # of the details that are no parameters

    def build(self) -> Doc:
        """The drawing, with all handles given."""
        pen = Pen(self.style, self.seed, self.extent)
        FAMILIES[self.kind].draw(pen, self.parameters)
        doc = pen.finish(self.kind)
        doc.number()
        return doc


def draw_design(kind: str, style: Style, rng: np.random.Generator) -> Design:
    """A design of a kind by chance, in a house's style."""
    family = FAMILIES[kind]
    parameters = family.parameters(rng)
    return Design(kind, parameters, style, family.extent(parameters), int(rng.integers(2**31)))
