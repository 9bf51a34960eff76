"""Pictures of a comparison: both drawings over each other as SVG, as a page to step through, and as a DXF file.

Kinds are told apart by line style, width and a mark as well as by colour, in colours that people of all kinds of colour
vision tell apart (after Okabe and Ito 2008, darkened for white paper), so a black-and-white print is legible too.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepdxf.compare import Comparison, Difference, Place, Value, union_frame
from deepdxf.drawing import Drawing, EntityClass, FloatArray, IntArray, enclosing
from deepdxf.dxfwrite import UNITS, Doc, Entity, dxf_bytes
from deepdxf.files import replacing
from deepdxf.geometry import Shapes, dimension_lines, spline_samples, transform
from deepdxf.render import GRID, View, ink, text_quads, xml_text
from deepdxf.report import write_html

C = EntityClass


@dataclass(frozen=True)
class Look:
    """How a kind of difference is drawn."""

    name: str  # of the kind
    title: str  # in legends
    color: str
    width: float  # pixels
    dash: tuple[float, ...]  # pixels; empty = a full line
    sign: str  # path of its mark in a square from −1 to 1


PLUS, MINUS = "M-.6 0H.6M0-.6V.6", "M-.6 0H.6"
WAVE, ARROW, DOTS = "M-.7 .1Q-.35-.5 0 0T.7-.1", "M-.6 0H.6M.1-.45 .6 0 .1 .45", "M-.45 0h.01M0 0h.01M.45 0h.01"
LOOKS = (
    Look("unchanged", "unchanged", "#8b95a1", 1.0, (), ""),
    Look("removed", "removed (only in A)", "#c24a00", 2.0, (7, 4), MINUS),
    Look("added", "added (only in B)", "#0067a8", 2.8, (), PLUS),
    Look("changed", "changed (as in B)", "#8a2273", 2.2, (12, 3, 2, 3), WAVE),
    Look("changed-old", "changed (as in A)", "#8a2273", 1.6, (1.6, 3.2), ""),
    Look("moved", "moved (place in B)", "#006b4f", 2.2, (16, 5), ARROW),
    Look("moved-old", "moved (place in A)", "#006b4f", 1.6, (1.6, 3.2), ""),
    Look("properties", "other layer, colour or style only", "#7a6200", 1.6, (4, 2, 1, 2, 1, 2), DOTS),
)
NUMBER = {look.name: k for k, look in enumerate(LOOKS)}
PROPERTIES = {"layer", "colour", "style"}
SIDE = 1400  # longer side of the picture, pixels
PAGE_SIDE = 4000  # of the page's picture, which is zoomed into
NARROWEST = 0.25  # of the longer side
LEAST_WIDTH = 720  # of the picture with its texts, pixels
BADGE = 7.0  # radius of a mark, pixels
APART, CROWDED_APART, CROWDED = (
    15.0,
    60.0,
    60,
)  # distance of marks of a kind, pixels; the second from so many differences
BADGES = 300
LISTED = 2000  # differences that a page lists


def look_of(difference: Difference) -> str:
    """Name of the look of a difference."""
    if difference.kind == "changed" and {change.what for change in difference.changes} <= PROPERTIES:
        return "properties"
    return difference.kind


@dataclass(frozen=True)
class _Sheet:
    """Both drawings over each other: groups of rows by look, and the view."""

    laid: Drawing  # A over B
    b: Drawing
    comparison: Comparison
    view: View

    @classmethod
    def of(cls, a: Drawing, b: Drawing, comparison: Comparison, side: int) -> _Sheet:
        alignment = comparison.alignment
        laid = transform(a, alignment.matrix) if alignment.moves else a
        frame = union_frame(laid, b)
        extent = np.maximum(frame[2:] - frame[:2], 1e-12)
        share = np.maximum(extent / extent.max(), NARROWEST)
        width, height = (int(v) for v in np.round(side * share / share.max()))
        return cls(laid, b, comparison, View(frame, width, height))

    @property
    def apart(self) -> float:
        """Least distance of marks of one kind, grid steps."""
        return GRID * (CROWDED_APART if len(self.comparison.differences) > CROWDED else APART)

    def groups(self) -> tuple[IntArray, IntArray]:
        """Look of every row of A and of B; −1 = not drawn, B shows the same."""
        old, new = np.full(len(self.laid), -1), np.full(len(self.b), NUMBER["unchanged"])
        for d in reversed(self.comparison.differences):  # the dearest last: it decides
            look = look_of(d)
            if d.b:
                new[list(d.b.rows)] = NUMBER[look]
            if d.a and look != "properties":
                old[list(d.a.rows)] = NUMBER["removed" if d.kind == "removed" else f"{d.kind}-old"]
        return old, new

    def box(self, place: Place, in_a: bool) -> FloatArray:
        """(4,) a difference's box in grid steps, y down."""
        drawing = self.laid if in_a else self.b
        boxes = drawing.box[list(place.rows)]
        corners = self.view.to_grid(np.array([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]))
        corners = np.nan_to_num(corners, posinf=0.0, neginf=0.0)
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])

    def place(self, d: Difference) -> FloatArray:
        """(4,) the box of all that a difference shows, grid steps."""
        boxes = np.array([self.box(place, place is d.a) for place in (d.a, d.b) if place])
        return enclosing(boxes)

    def layers(self, *, pixel: float) -> str:
        """SVG groups of all looks, the unchanged lowest; ``pixel``: what a pixel of the looks' widths is."""
        old, new = self.groups()
        drawn = [
            [*a, *b] for a, b in zip(*(self._ink(*some) for some in ((self.laid, old), (self.b, new))), strict=True)
        ]
        order = ("unchanged", "properties", "changed-old", "moved-old", "moved", "changed", "removed", "added")
        return "".join(
            f'<g class="{name}" {_style(LOOKS[NUMBER[name]], pixel)}>{"".join(drawn[NUMBER[name]])}</g>'
            for name in order
            if drawn[NUMBER[name]]
        )

    def _ink(self, drawing: Drawing, group: IntArray) -> list[list[str]]:
        made = ink(drawing, self.view, group, text=True)
        return made + [[] for _ in range(len(LOOKS) - len(made))]

    def arrows(self, *, pixel: float) -> str:
        """Lines from old places to new ones."""
        look = LOOKS[NUMBER["moved"]]
        parts = []
        drawn: list[tuple[float, float, float, float]] = []
        for d in self.comparison.of("moved"):
            assert d.a and d.b
            (ax, ay), (bx, by) = (_middle(self.box(place, place is d.a)) for place in (d.a, d.b))
            length = math.hypot(bx - ax, by - ay)
            arrow = ax, ay, bx, by
            # what moved together has one arrow
            together = (math.dist(arrow, other) < self.apart for other in drawn)
            if length < 4 * GRID or len(drawn) >= BADGES or any(together):
                continue
            drawn.append(arrow)
            ux, uy = (bx - ax) / length, (by - ay) / length
            tip = min(6.0 * GRID * max(self.view.width, self.view.height) / SIDE, length / 2)
            wings = [(bx - tip * (ux + s * 0.5 * uy), by - tip * (uy - s * 0.5 * ux)) for s in (1, -1)]
            parts.append(
                f"M{ax:.0f} {ay:.0f}L{bx:.0f} {by:.0f}"
                f"M{wings[0][0]:.0f} {wings[0][1]:.0f}L{bx:.0f} {by:.0f}L{wings[1][0]:.0f} {wings[1][1]:.0f}"
            )
        if not parts:
            return ""
        return (
            f'<path class="moved" d="{"".join(parts)}" fill="none" stroke="{look.color}" '
            f'stroke-width="{1.2 * pixel:g}" stroke-opacity="0.8"/>'
        )

    def badges(self) -> str:
        """A mark at each difference, the dearest first; where they would cover each other, one of a kind."""
        taken: list[tuple[str, float, float]] = []
        parts = []
        for d in sorted(self.comparison.differences, key=lambda d: -d.cost):
            name = look_of(d)
            x0, y0, x1, _ = self.place(d).tolist()
            x, y = (x0 + x1) / 2, y0 - BADGE * GRID  # above its box, inside of the picture
            x = min(max(x, BADGE * GRID), (self.view.width - BADGE) * GRID)
            y = min(max(y, BADGE * GRID), (self.view.height - BADGE) * GRID)
            near = (other == name and math.hypot(x - u, y - v) < self.apart for other, u, v in taken)
            if len(taken) >= BADGES or any(near):
                continue
            taken.append((name, x, y))
            parts.append(f'<g transform="translate({x:.0f} {y:.0f})">{_badge(LOOKS[NUMBER[name]], BADGE * GRID)}</g>')
        return "".join(parts)


def _middle(box: FloatArray) -> tuple[float, float]:
    return float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2


def _badge(look: Look, radius: float) -> str:
    return (
        f'<circle r="{radius:g}" fill="#ffffff" stroke="{look.color}" stroke-width="{radius / 5:g}"/>'
        f'<path d="{look.sign}" transform="scale({radius:g})" fill="none" stroke="{look.color}" stroke-width="0.28" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _style(look: Look, pixel: float) -> str:
    dash = f' stroke-dasharray="{" ".join(f"{v * pixel:g}" for v in look.dash)}"' if look.dash else ""
    faint = ' fill-opacity="0.3"' if look.name.endswith("-old") else ""  # texts of A lie under those of B
    color = f'stroke="{look.color}" fill="{look.color}"'
    return f'{color} stroke-width="{look.width * pixel:g}"{dash}{faint} stroke-linejoin="round"'


def overlay_svg(a: Drawing, b: Drawing, comparison: Comparison, *, names: tuple[str, str] = ("A", "B")) -> str:
    """Both drawings over each other with a legend, as an SVG document; ``names`` are those of the drawings."""
    sheet = _Sheet.of(a, b, comparison, SIDE)
    view = sheet.view
    lines = legend_lines(comparison)
    shown = [look for look in LOOKS if look.name in lines]
    width = max(view.width, LEAST_WIDTH)
    columns = max(1, min(len(shown), width // 270))
    head = [f"A  {_short(names[0], width)}", f"B  {_short(names[1], width)}"]
    head += textwrap.wrap("; ".join(headline(comparison)), width // 8)
    top, foot = 20 * len(head) + 16, 30 * -(-len(shown) // columns) + 14
    height = top + view.height + foot
    text = 'font-family="system-ui, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif" fill="#17202e"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{xml_text(f"{names[0]} compared with {names[1]}")}</title>'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    ]
    for k, line in enumerate(head):
        weight = ' font-weight="600"' if k < 2 else ""
        parts.append(f'<text x="12" y="{24 + 20 * k}" font-size="14"{weight} {text}>{xml_text(line)}</text>')
    parts.append(
        f'<svg x="{(width - view.width) // 2}" y="{top}" width="{view.width}" height="{view.height}" '
        f'viewBox="0 0 {view.width * GRID} {view.height * GRID}">'
        f"{sheet.layers(pixel=GRID)}{sheet.arrows(pixel=GRID)}{sheet.badges()}</svg>"
        f'<path d="M0 {top}H{width}M0 {top + view.height}H{width}" stroke="#c9d3df"/>'
    )
    for k, look in enumerate(shown):
        x, y = 12 + k % columns * (width - 12) / columns, top + view.height + 24 + 30 * (k // columns)
        parts.append(
            f'<g transform="translate({x:.0f} {y:.0f})">{_sample(look)}'
            f'<text x="84" y="4" font-size="13" {text}>{xml_text(lines[look.name])}</text></g>'
        )
    return "".join([*parts, "</svg>\n"])


def _sample(look: Look) -> str:
    """A line of a look with its mark, 76 pixels wide, around y = 0."""
    badge = f'<g transform="translate(38 0)">{_badge(look, BADGE)}</g>' if look.sign else ""
    return f'<path d="M0 0H76" {_style(look, 1.0)}/>{badge}'


def _short(name: str, width: int) -> str:
    room = width // 10
    return name if len(name) <= room else "…" + name[1 - room :]


def legend_lines(comparison: Comparison) -> dict[str, str]:
    """Look -> its title with the number of entities, of the looks that occur."""
    counts = dict.fromkeys(NUMBER, 0)
    for d in comparison.differences:
        counts[look_of(d)] += 1
        if look_of(d) in ("changed", "moved") and d.a:
            counts[f"{d.kind}-old"] += 1
    counts["unchanged"] = len(comparison.same)
    return {
        look.name: look.title + ("" if look.name.endswith("-old") else f": {counts[look.name]}")
        for look in LOOKS
        if counts[look.name]
    }


def headline(comparison: Comparison) -> list[str]:
    """The result in short statements."""
    parts = []
    if comparison.similarity:
        parts.append(f"similarity {comparison.similarity.overall:.4f}")
    parts.append(f"agreement {comparison.agreement:.2%}")
    parts.append(f"tolerance {comparison.tolerance:.4g} drawing units")
    return [*parts, *comparison.notes]


# --- the page --------------------------------------------------------------------------------------------------------


def write_page(
    path: Path, a: Drawing, b: Drawing, comparison: Comparison, *, names: tuple[str, str] = ("A", "B")
) -> None:
    """Write one HTML file with both drawings over each other and the list of differences; no network is needed.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    write_html(path, f"{names[0]} → {names[1]}", page_body(a, b, comparison, names), STYLE, SCRIPT)


def page_body(a: Drawing, b: Drawing, comparison: Comparison, names: tuple[str, str]) -> str:
    """HTML of a header and a main part with both drawings and the list of differences, for `STYLE` and `SCRIPT`."""
    sheet = _Sheet.of(a, b, comparison, PAGE_SIDE)
    width, height = sheet.view.width * GRID, sheet.view.height * GRID
    ordered = sorted(comparison.differences, key=lambda d: -d.cost)
    items = "".join(_list_item(sheet, number, d) for number, d in enumerate(ordered[:LISTED], 1))
    more = f'<p class="note">The {LISTED} dearest of {len(ordered)}; all of them are in the JSON and Excel files.</p>'
    lines = legend_lines(comparison)
    switches = "".join(
        f'<label><input type="checkbox" checked value="{look.name}"><svg width="76" height="18" viewBox="0 -9 76 18" '
        f'aria-hidden="true">{_sample(look)}</svg><span>{xml_text(lines[look.name])}</span></label>'
        for look in LOOKS
        if look.name in lines
    )
    costs = "".join(
        f"<tr><th>{kind}</th><td>{cost:.2%}</td></tr>" for kind, cost in comparison.costs.items() if cost > 0
    )
    classes = "".join(
        f"<tr><th>{name}</th><td>{score.in_a}</td><td>{score.in_b}</td><td>{score.agreement:.1%}</td></tr>"
        for name, score in comparison.classes.items()
    )
    codes = "".join(
        f"<tr><th>{xml_text(name)} code</th><td>{value:.4f}</td></tr>"
        for name, value in (comparison.similarity.codes if comparison.similarity else {}).items()
    )
    return f"""<header>
<h1><span>A</span> {xml_text(names[0])} <span>→ B</span> {xml_text(names[1])}</h1>
<p>{"".join(f"<span>{xml_text(part)}</span>" for part in headline(comparison))}</p>
</header>
<main>
<section class="picture" aria-label="Both drawings over each other">
<div class="bar" role="toolbar" aria-label="View">
<button type="button" id="previous" title="previous difference (← or p)">‹ previous</button>
<output id="position" aria-live="polite">{len(ordered) or "no"} difference{"" if len(ordered) == 1 else "s"}</output>
<button type="button" id="next" title="next difference (→ or n)">next ›</button>
<span class="gap"></span>
<button type="button" id="in" title="closer (+)">+</button>
<button type="button" id="out" title="farther (−)">−</button>
<button type="button" id="all" title="everything (0)">whole</button>
<button type="button" id="blink" title="A, B, both (b)">A and B</button>
</div>
<svg id="sheet" viewBox="0 0 {width} {height}" tabindex="0" role="img"
 aria-label="Overlay; arrow keys with Shift move it, + and − zoom, n and p step through the differences">
<rect class="paper" x="{-9 * width}" y="{-9 * height}" width="{19 * width}" height="{19 * height}"/>
<g class="ink">{sheet.layers(pixel=1.0)}{sheet.arrows(pixel=1.0)}</g>
<rect id="mark" class="mark" width="0" height="0"/>
</svg>
<details open class="legend"><summary>Legend</summary><div>{switches}</div></details>
</section>
<section class="list" aria-labelledby="list-heading">
<h2 id="list-heading">Differences</h2>
{f"<ol>{items}</ol>" if items else "<p>The drawings show the same.</p>"}
{more if len(ordered) > LISTED else ""}
<details><summary>What the score is made of</summary>
<p>Agreement is 100 % minus what the differences cost.</p>
<table><tbody>{codes}{costs or "<tr><td>no difference costs anything</td></tr>"}</tbody></table>
<table><thead><tr><th>class</th><th>in A</th><th>in B</th><th>agreement</th></tr></thead><tbody>{classes}</tbody></table>
</details>
<p class="note">Keys: n, p or → ← step; + − 0 zoom; Shift with arrows moves; b shows A, B or both.</p>
</section>
</main>"""


def _list_item(sheet: _Sheet, number: int, d: Difference) -> str:
    name = look_of(d)
    x0, y0, x1, y1 = sheet.place(d).tolist()
    shown = d.place
    about = [f"layer {shown.layer}"]
    if shown.handle:
        about.append(
            f"handle {d.a.handle} → {d.b.handle}"
            if d.a and d.b and d.a.handle != d.b.handle
            else f"handle {shown.handle}"
        )
    if shown.block:
        about.append(f"in block {shown.block}")
    about.append(f"costs {d.cost:.3%}" if d.cost > 0 else "costs nothing")
    text = f" <q>{xml_text(shown.text[:80])}</q>" if shown.text else ""
    changes = "".join(f"<li>{xml_text(text)}</li>" for text in change_texts(d))
    return (
        f'<li data-look="{name}" data-box="{x0:.0f} {y0:.0f} {x1:.0f} {y1:.0f}"><button type="button">'
        f'<svg width="18" height="18" viewBox="-9 -9 18 18" aria-hidden="true">{_badge(LOOKS[NUMBER[name]], BADGE)}</svg>'
        f"<span><b>{number} {d.kind if name != 'properties' else 'restyled'}</b> {d.cls}{text}"
        f"<small>{xml_text(' · '.join(about))}</small></span></button>{f'<ul>{changes}</ul>' if changes else ''}</li>"
    )


def change_texts(difference: Difference) -> list[str]:
    """What differs, in words."""
    return [
        _change_text(change.what, change.name, change.old, change.new)
        for change in difference.changes
        if not (change.what == "position" and change.old == change.new == 0.0)  # one axis of a move along the other
    ]


def _change_text(what: str, name: str, old: Value, new: Value) -> str:
    if what == "position" and old == 0.0 and name in ("x", "y"):
        return f"moved by {_value(new)} in {name}"
    label = {"geometry": name or what, "position": f"place of {name}", "dimension value": what}.get(what)
    label = label or f"{what} {name.replace('_', ' ')}".strip()
    return f"{label} differs" if old is None and new is None else f"{label}: {_value(old)} → {_value(new)}"


def _value(value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return f"“{value}”"


# --- DXF -------------------------------------------------------------------------------------------------------------

# Layer -> colour index, line type; A's state of what was changed or moved is on a layer of its own.
LAYERS = {
    "UNCHANGED": (8, "Continuous"),
    "REMOVED": (30, "HIDDEN"),
    "ADDED": (5, "Continuous"),
    "CHANGED": (6, "PHANTOM"),
    "CHANGED_OLD": (6, "HIDDEN"),
    "MOVED": (94, "CENTER"),
    "MOVED_OLD": (94, "HIDDEN"),
    "PROPERTIES": (44, "PHANTOM"),
}


def write_dxf(path: Path, a: Drawing, b: Drawing, comparison: Comparison) -> None:
    """Write both drawings over each other as DXF, one layer a kind of difference, in the coordinates of B.

    Blocks are exploded; splines and leaders become polylines, hatches their outlines, dimensions lines and a text.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    sheet = _Sheet.of(a, b, comparison, SIDE)
    entities: list[Entity] = []
    for drawing, group in zip((sheet.laid, b), sheet.groups(), strict=True):
        names = [look.name.upper().replace("-", "_") for look in LOOKS]
        entities += _entities(drawing, [names[k] if k >= 0 else "" for k in group.tolist()])
    unit = next((name for name, (_, mm) in UNITS.items() if mm and b.unit_mm and abs(mm - b.unit_mm) < 1e-9), "")
    doc = Doc(entities, layers=dict(LAYERS), unit=unit, version="AC1021")
    with replacing(path) as partial:
        partial.write_bytes(dxf_bytes(doc))


def _entities(drawing: Drawing, layers: Sequence[str]) -> list[Entity]:
    """Rows as records on the named layers; rows without a name are left out."""
    made: list[Entity] = []
    shapes = Shapes.of(drawing)
    small = float(np.hypot(*drawing.size)) / 200 or 1.0

    def polyline(row: int, points: FloatArray, closed: bool = False, bulges: Sequence[float] = ()) -> None:
        if len(points) > 1 and np.isfinite(points).all():
            made.append(Entity("LWPOLYLINE", layers[row], _points(points), bulges=bulges, closed=closed))

    for row in np.flatnonzero(drawing.visible).tolist():
        layer, cls, points = layers[row], C(int(drawing.cls[row])), drawing.points(row)
        if not layer or not np.isfinite(points).all():
            continue
        bulges = points[:, 2].tolist()
        if cls == C.LINE:
            made.append(Entity("LINE", layer, _points(points)))
        elif cls == C.CIRCLE:
            radius = float(drawing.scalars[row, 0]) or small / 10  # points are seen as small circles
            made.append(Entity("CIRCLE", layer, _points(points), size=radius))
        elif cls == C.ARC:
            radius, start, end = drawing.scalars[row, :3].tolist()
            made.append(Entity("ARC", layer, _points(points), size=radius, angle=start, end=end))
        elif cls in (C.LWPOLYLINE, C.LEADER):
            closed = cls == C.LWPOLYLINE and drawing.scalars[row, 0] == 1
            polyline(row, points, closed, bulges if cls == C.LWPOLYLINE else ())
        elif cls == C.SOLID and 3 <= len(points) <= 4:
            made.append(Entity("SOLID", layer, _points(points)))
        elif cls == C.HATCH:
            path = drawing.vertex_path[drawing.vertex_start[row] : drawing.vertex_start[row + 1]]
            for loop in np.unique(path):
                polyline(row, points[path == loop], True, points[path == loop, 2].tolist())
        elif cls == C.DIMENSION:
            kind, _, measurement = drawing.scalars[row, :3].tolist()
            text = drawing.text(row)
            number = "" if math.isnan(measurement) else f"{measurement:.6g}"
            prefix = {3.0: "Ø", 4.0: "R"}.get(kind, "")
            text = text.replace("<>", prefix + number) if text else prefix + number
            if text:
                made.append(Entity("TEXT", layer, _points(points[1:2]), size=small, text=text))
    samples, owner = spline_samples(shapes)
    order = np.argsort(owner, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1) if len(order) else ():
        row = int(owner[rows[0]])
        if layers[row]:
            polyline(row, np.concatenate([samples[rows, :-1].reshape(-1, 2), samples[rows[-1:], -1]]))
    lines, owner = dimension_lines(shapes)
    for line, row in zip(lines.tolist(), owner.tolist(), strict=True):
        if layers[row] and all(map(math.isfinite, line)) and line[:2] != line[2:]:
            made.append(Entity("LINE", layers[row], [(line[0], line[1]), (line[2], line[3])]))
    quads, rows, strings = text_quads(drawing)
    for quad, row, string in zip(quads, rows.tolist(), strings, strict=True):
        if layers[row] and np.isfinite(quad).all():
            along, up = quad[1] - quad[0], quad[3] - quad[0]
            angle = math.degrees(math.atan2(along[1], along[0]))
            made.append(
                Entity(
                    "TEXT", layers[row], _points(quad[:1]), size=float(np.hypot(*up)) or small, angle=angle, text=string
                )
            )
    return made


def _points(points: FloatArray) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points[:, :2]]


STYLE = """
:root { color-scheme: light dark; --paper: #f4f6f9; --card: #ffffff; --ink: #17202e; --soft: #4d5a6b;
  --line: #cfd8e3; --accent: #1a56c4; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #10151d; --card: #19212c; --ink: #e6ebf2; --soft: #a5b1c0; --line: #334052; --accent: #7fb0ff; }
}
* { box-sizing: border-box; }
html, body { height: 100%; }
body { margin: 0; display: flex; flex-direction: column; background: var(--paper); color: var(--ink);
  font: 0.95rem/1.4 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", sans-serif; }
header { padding: 0.6rem 1rem 0.4rem; }
h1 { margin: 0; font-size: 1.1rem; overflow-wrap: anywhere; }
h1 span { color: var(--soft); font-weight: 400; }
header p { margin: 0.1rem 0 0; color: var(--soft); }
header p span:not(:last-child)::after { content: " · "; }
main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 1fr) 24rem; gap: 0.75rem;
  padding: 0 1rem 0.75rem; }
.picture { display: flex; flex-direction: column; min-height: 0; border: 1px solid var(--line); border-radius: 0.5rem;
  overflow: hidden; background: var(--card); }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 0.4rem; padding: 0.4rem;
  border-bottom: 1px solid var(--line); }
.bar output { min-width: 9em; text-align: center; font-variant-numeric: tabular-nums; }
.gap { flex: 1; }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 0.35rem;
  padding: 0.2rem 0.6rem; cursor: pointer; }
button:hover { border-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: -2px; }
#sheet { flex: 1; min-height: 12rem; width: 100%; touch-action: none; cursor: grab; background: #ffffff; }
#sheet.dragging { cursor: grabbing; }
.paper { fill: #ffffff; }
.ink path { vector-effect: non-scaling-stroke; }
.mark { fill: #ffd84d; fill-opacity: 0.25; stroke: #17202e; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.hidden { display: none; }
.legend { border-top: 1px solid var(--line); padding: 0.3rem 0.6rem; }
.legend div { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; padding: 0.3rem 0; }
label { display: inline-flex; align-items: center; gap: 0.4rem; }
label svg { background: #ffffff; border-radius: 0.2rem; }
summary { cursor: pointer; color: var(--soft); }
.list { min-height: 0; overflow-y: auto; }
h2 { margin: 0 0 0.4rem; font-size: 0.95rem; color: var(--soft); }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.3rem; }
ol > li { background: var(--card); border: 1px solid var(--line); border-radius: 0.4rem; }
ol > li.current { border-color: var(--accent); box-shadow: inset 4px 0 0 var(--accent); }
ol > li > button { display: flex; gap: 0.5rem; align-items: flex-start; width: 100%; text-align: left; border: 0;
  background: none; padding: 0.35rem 0.6rem; overflow-wrap: anywhere; }
ol > li svg { flex: none; margin-top: 0.1rem; }
small { display: block; color: var(--soft); }
q { color: var(--soft); }
li ul { margin: 0; padding: 0 0.6rem 0.4rem 2.6rem; font-size: 0.85rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 0.3rem 0 0.6rem; font-size: 0.85rem; }
th, td { text-align: left; padding: 0.1rem 0.8rem 0.1rem 0; font-weight: 400; }
td { font-variant-numeric: tabular-nums; text-align: right; }
thead th { color: var(--soft); }
.note { color: var(--soft); font-size: 0.85rem; }
@media (max-width: 50rem) {
  html, body { height: auto; }
  main { grid-template-columns: minmax(0, 1fr); }
  #sheet { min-height: 60vh; }
  .list { overflow-y: visible; }
}
@media print {
  html, body { height: auto; }
  .bar, .list > .note, input { display: none; }
  main { display: block; }
  #sheet { height: 60vh; }
}
"""

SCRIPT = """
"use strict";
(() => {
  const sheet = document.getElementById("sheet"), mark = document.getElementById("mark");
  const whole = sheet.viewBox.baseVal, full = [whole.x, whole.y, whole.width, whole.height];
  const items = [...document.querySelectorAll(".list ol > li")];
  const position = document.getElementById("position"), total = position.textContent;
  let view = [...full], current = -1, mode = 0;

  const show = () => sheet.setAttribute("viewBox", view.join(" "));
  const zoom = (factor, x, y) => {
    const width = Math.min(Math.max(view[2] * factor, full[2] / 5000), full[2] * 4);
    factor = width / view[2];
    view = [x - (x - view[0]) * factor, y - (y - view[1]) * factor, width, view[3] * factor];
    show();
  };
  const middle = () => [view[0] + view[2] / 2, view[1] + view[3] / 2];
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(sheet.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const pan = (dx, dy) => { view[0] += dx; view[1] += dy; show(); };

  const go = (index) => {
    if (current >= 0) items[current].classList.remove("current");
    current = index;
    const item = items[index], [x0, y0, x1, y1] = item.dataset.box.split(" ").map(Number);
    item.classList.add("current");
    item.scrollIntoView({ block: "nearest" });
    const pad = Math.max((x1 - x0) * 0.1, (y1 - y0) * 0.1, full[2] / 250);
    for (const [name, value] of [["x", x0 - pad], ["y", y0 - pad], ["width", x1 - x0 + 2 * pad],
      ["height", y1 - y0 + 2 * pad]]) mark.setAttribute(name, value);
    const width = Math.min(Math.max((x1 - x0) * 3, (y1 - y0) * 3 * full[2] / full[3], full[2] / 12), full[2]);
    const height = width * full[3] / full[2];
    view = [(x0 + x1 - width) / 2, (y0 + y1 - height) / 2, width, height];
    show();
    position.textContent = `${index + 1} of ${total}`;
  };
  const step = (by) => {
    const open = items.map((item, i) => i).filter((i) => !items[i].classList.contains("hidden"));
    if (!open.length) return;
    const place = open.indexOf(current);
    go(open[place < 0 ? (by > 0 ? 0 : open.length - 1) : (place + by + open.length) % open.length]);
  };
  items.forEach((item, i) => item.querySelector("button").addEventListener("click", () => go(i)));

  const boxes = [...document.querySelectorAll(".legend input")];
  const inA = ["unchanged", "removed", "changed-old", "moved-old", "properties"];
  const inB = ["unchanged", "added", "changed", "moved", "properties"];
  const update = () => {
    const on = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    for (const part of sheet.querySelectorAll(".ink > *")) {
      const name = part.getAttribute("class");
      const side = mode === 0 || (mode === 1 ? inA : inB).includes(name);
      part.classList.toggle("hidden", !on.has(name.split(" ")[0]) || !side);
    }
    for (const item of items) item.classList.toggle("hidden", !on.has(item.dataset.look));
    document.getElementById("blink").textContent = ["A and B", "only A", "only B"][mode];
  };
  boxes.forEach((box) => box.addEventListener("change", update));

  const all = () => { view = [...full]; mark.setAttribute("width", 0); mark.setAttribute("height", 0); show(); };
  const blink = () => { mode = (mode + 1) % 3; update(); };
  const buttons = { previous: () => step(-1), next: () => step(1), in: () => zoom(0.7, ...middle()),
    out: () => zoom(1 / 0.7, ...middle()), all, blink };
  for (const [id, act] of Object.entries(buttons)) document.getElementById(id).addEventListener("click", act);

  sheet.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.sign(event.deltaY) * 0.2), ...at(event));
  }, { passive: false });
  const fingers = new Map();
  sheet.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, at(event));
    sheet.setPointerCapture(event.pointerId);
    sheet.classList.add("dragging");
  });
  sheet.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const here = at(event), before = fingers.get(event.pointerId);
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const span = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      if (span(here) > 0) zoom(span(before) / span(here), ...other);
    } else {
      pan(before[0] - here[0], before[1] - here[1]);
    }
    fingers.set(event.pointerId, at(event));
  });
  for (const name of ["pointerup", "pointercancel"]) sheet.addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) sheet.classList.remove("dragging");
  });

  const keys = { n: () => step(1), p: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1),
    "+": buttons.in, "=": buttons.in, "-": buttons.out, "0": all, b: blink };
  const moves = { ArrowRight: [0.1, 0], ArrowLeft: [-0.1, 0], ArrowDown: [0, 0.1], ArrowUp: [0, -0.1] };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("form")) return;
    const move = event.shiftKey && moves[event.key], act = keys[event.key];
    if (!move && !act) return;
    event.preventDefault();
    if (move) pan(move[0] * view[2], move[1] * view[3]); else act();
  });
})();
"""
