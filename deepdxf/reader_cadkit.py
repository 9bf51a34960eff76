"""The fast reader: pycadkit's JSON, decoded into typed structs, fed into a `Table`. Reads DXF (ASCII) and DWG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from deepdxf.errors import ReadError
from deepdxf.reader_codes import CODED
from deepdxf.table import BROKEN, FLAT, HatchLoop, Head, Table, plane_axes, valid_color

Vec = tuple[float, float, float]


# Decoded structs never form cycles: without the garbage collector's bookkeeping they are made and freed faster. Tuples
# in them rather than lists, for the collector soon forgets tuples that hold nothing it would have to follow.


class V(msgspec.Struct, gc=False):
    x: float
    y: float
    z: float


class Vertex(msgspec.Struct, gc=False):
    position: V
    bulge: float


class PointKind(msgspec.Struct, tag="point", gc=False):
    position: V


class LineKind(msgspec.Struct, tag="line", gc=False):
    start: V
    end: V


class PolylineKind(msgspec.Struct, tag="polyline", gc=False):
    vertices: tuple[Vertex, ...]
    closed: bool
    normal: V


class CircleKind(msgspec.Struct, tag="circle", gc=False):
    center: V
    radius: float
    normal: V


class ArcKind(msgspec.Struct, tag="arc", gc=False):
    center: V
    radius: float
    start_angle: float
    end_angle: float
    normal: V


class EllipseKind(msgspec.Struct, tag="ellipse", gc=False):
    center: V
    major_axis: V
    ratio: float
    start_param: float
    end_param: float
    normal: V


class FaceKind(msgspec.Struct, tag="face", gc=False):
    points: tuple[V, ...]
    filled: bool


class LineEdge(msgspec.Struct, tag="line", gc=False):
    start: V
    end: V


class ArcEdge(msgspec.Struct, tag="arc", gc=False):
    center: V
    radius: float
    start_angle: float
    end_angle: float
    ccw: bool


class EllipseEdge(msgspec.Struct, tag="ellipse", gc=False):
    center: V
    major_axis: V
    ratio: float
    start_param: float
    end_param: float
    ccw: bool = True


class SplineEdge(msgspec.Struct, tag="spline", gc=False):
    degree: int
    knots: tuple[float, ...]
    control_points: tuple[V, ...]
    weights: tuple[float, ...] = ()
    fit_points: tuple[V, ...] = ()


class PolylineEdge(msgspec.Struct, tag="polyline", gc=False):
    vertices: tuple[Vertex, ...]
    closed: bool


class Loop(msgspec.Struct, gc=False):
    edges: tuple[LineEdge | ArcEdge | EllipseEdge | SplineEdge | PolylineEdge, ...]


class HatchKind(msgspec.Struct, tag="hatch", gc=False):
    loops: tuple[Loop, ...]
    solid: bool
    pattern_scale: float
    pattern_angle: float
    normal: V


class TextKind(msgspec.Struct, tag="text", gc=False):
    position: V
    end_point: V | None
    height: float
    rotation: float
    width_factor: float
    value: str
    halign: str
    valign: str
    normal: V


class MTextKind(msgspec.Struct, tag="m_text", gc=False):
    position: V
    height: float
    width: float
    rotation: float
    value: str
    attachment: str
    normal: V


class MeshKind(msgspec.Struct, tag="mesh", gc=False):
    vertices: tuple[V, ...]
    faces: tuple[tuple[int, ...], ...]


class SplineKind(msgspec.Struct, tag="spline", gc=False):
    degree: int
    knots: tuple[float, ...]
    control_points: tuple[V, ...]
    weights: tuple[float, ...]
    fit_points: tuple[V, ...]
    closed: bool


class LeaderKind(msgspec.Struct, tag="leader", gc=False):
    vertices: tuple[V, ...]
    arrowhead: bool


class DimensionKind(msgspec.Struct, tag="dimension", gc=False):
    dimension_type: str
    points: tuple[V, ...]
    text_position: V | None
    measurement: float | None
    text: str | None


class InsertKind(msgspec.Struct, tag="insert", gc=False):
    block: str
    position: V
    scale: V
    rotation: float
    normal: V
    columns: int
    rows: int
    column_spacing: float
    row_spacing: float


class ImageKind(msgspec.Struct, tag="image", gc=False):
    pass


class ViewportKind(msgspec.Struct, tag="viewport", gc=False):
    pass


class UnknownKind(msgspec.Struct, tag="unknown", gc=False):
    type_name: str


Kind = (
    PointKind | LineKind | PolylineKind | CircleKind | ArcKind | EllipseKind | FaceKind | HatchKind | TextKind
    | MTextKind | MeshKind | SplineKind | LeaderKind | DimensionKind | InsertKind | ImageKind | ViewportKind
    | UnknownKind
)  # fmt: skip


class Color(msgspec.Struct, gc=False):
    type: str
    index: int = 256
    r: int = 0
    g: int = 0
    b: int = 0


class Display(msgspec.Struct, gc=False):
    height: float | None = None
    width: float | None = None
    halign: str = "left"
    valign: str = "baseline"
    rotation: float = 0.0


class Attribute(msgspec.Struct, gc=False):
    tag: str | None
    value: str | None
    position: V | None
    invisible: bool = False
    layer: str | None = None
    display: Display | None = None


class Entity(msgspec.Struct, gc=False):
    id: int | None
    layer: str | None
    color: Color
    visible: bool
    kind: Kind
    attributes: tuple[Attribute, ...]
    props: msgspec.Raw


class Block(msgspec.Struct, gc=False):
    name: str
    base_point: V
    entities: msgspec.Raw  # decoded only when an INSERT asks for the block
    is_xref: bool = False
    xref_path: str | None = None


class Model(msgspec.Struct, gc=False):
    name: str
    kind: str
    entities: tuple[Entity, ...]


class Units(msgspec.Struct, gc=False):
    meters_per_unit: float | None


class Source(msgspec.Struct, gc=False):
    format: str
    version: str | None


class Document(msgspec.Struct, gc=False):
    source: Source
    units: Units
    blocks: list[Block]
    models: list[Model]


decode_document: Callable[[str], Document] = msgspec.json.Decoder(Document).decode
decode_entities: Callable[[msgspec.Raw], tuple[Entity, ...]] = msgspec.json.Decoder(tuple[Entity, ...]).decode

HALIGN = {"left": 0.0, "center": 0.5, "right": 1.0, "aligned": 0.0, "middle": 0.5, "fit": 0.0}
VALIGN = {"baseline": 0.0, "bottom": 0.0, "middle": 0.5, "top": 1.0}
ATTACHMENT = {
    f"{row}_{column}": 1 + 3 * i + j
    for i, row in enumerate(("top", "middle", "bottom"))
    for j, column in enumerate(("left", "center", "right"))
}
DIMENSION_KINDS = {
    "linear": 0,
    "aligned": 1,
    "angular": 2,
    "diameter": 3,
    "radius": 4,
    "angular3_point": 5,
    "ordinate": 6,
}


def color_number(color: Color) -> int:
    """ACI, 0 = by block, 256 = by layer, true colours as −1 − 0xRRGGBB."""
    if color.type == "by_layer":
        return 256
    if color.type == "by_block":
        return 0
    if color.type == "rgb":
        return -1 - (color.r << 16 | color.g << 8 | color.b)
    return valid_color(color.index)


def is_spatial(points: Sequence[V]) -> bool:
    """Whether points lie at different heights: projecting them loses something."""
    return len({point.z for point in points}) > 1


def vec(v: V) -> Vec:
    return v.x, v.y, v.z


class Feeder:
    """Translates one decoded document; `space` and every block that it needs go into the table."""

    def __init__(self, document: Document, table: Table, associative_hatches: set[int]) -> None:
        """``associative_hatches``: handles of such hatches in a DXF; the library tells it for DWG alone."""
        self.table = table
        self.is_dwg = document.source.format == "dwg"
        self.associative_hatches = associative_hatches
        self.blocks = {block.name.casefold(): block for block in document.blocks}
        self.inside_block = False

    def feed(self, entities: Sequence[Entity]) -> None:
        """The space, then every block that an INSERT of the space or of a fed block names."""
        self.owner(None, entities, (0.0, 0.0))
        done: set[str] = set()
        while waiting := [name for name in self.table.blocks if name not in done]:
            for name in waiting:
                done.add(name)
                block = self.blocks.get(name.casefold())
                if block is not None:
                    if block.is_xref:
                        self.table.xref(name, block.xref_path or "")
                    self.owner(name, decode_entities(block.entities), (block.base_point.x, block.base_point.y))

    def owner(self, name: str | None, entities: Sequence[Entity], base_point: tuple[float, float]) -> None:
        self.inside_block = name is not None
        table = self.table
        table.begin(name, base_point)
        for entity in entities:
            if not entity.visible:
                table.ignore("invisible")
                continue
            color = entity.color
            number = 256 if color.type == "by_layer" else color_number(color)
            dxftype, draw = DRAW[type(entity.kind)]
            try:
                draw(self, (entity.id or 0, entity.layer or "0", number, dxftype), entity.kind, entity)
            except BROKEN as error:
                table.broken(dxftype or "entity", error)
        table.end(name)

    def spatial(self, dxftype: str) -> None:
        self.table.problem("projected", f"three-dimensional {dxftype} projected to XY")

    def ignored(self, head: Head, kind: ImageKind | ViewportKind, entity: Entity) -> None:
        self.table.ignore(head[3])

    def line(self, head: Head, kind: LineKind, entity: Entity) -> None:
        start, end = kind.start, kind.end
        if start.z != end.z:
            self.spatial("LINE")
        self.table.line(head, start.x, start.y, end.x, end.y)

    def point(self, head: Head, kind: PointKind, entity: Entity) -> None:
        self.table.circle(head, vec(kind.position), 0.0)

    def circle(self, head: Head, kind: CircleKind, entity: Entity) -> None:
        self.table.circle(head, vec(kind.center), kind.radius, vec(kind.normal))

    def arc(self, head: Head, kind: ArcKind, entity: Entity) -> None:
        start, end = math.degrees(kind.start_angle), math.degrees(kind.end_angle)
        self.table.arc(head, vec(kind.center), kind.radius, start, end, vec(kind.normal))

    def polyline(self, head: Head, kind: PolylineKind, entity: Entity) -> None:
        if len({vertex.position.z for vertex in kind.vertices}) > 1:
            self.spatial("POLYLINE")
        flat = [value for v in kind.vertices for p in (v.position,) for value in (p.x, p.y, v.bulge)]
        self.table.polyline(head, flat, kind.closed, vec(kind.normal))

    def ellipse(self, head: Head, kind: EllipseKind, entity: Entity) -> None:
        major, minor = ellipse_axes(vec(kind.major_axis), kind.ratio, vec(kind.normal))
        self.table.ellipse(head, vec(kind.center), major, minor, kind.start_param, kind.end_param)

    def face(self, head: Head, kind: FaceKind, entity: Entity) -> None:
        if is_spatial(kind.points):
            self.spatial("3DFACE")
        if not kind.filled:
            head = (*head[:3], "3DFACE")
        self.table.solid(head, [vec(p) for p in kind.points], kind.filled)

    def hatch(self, head: Head, kind: HatchKind, entity: Entity) -> None:
        plane = None if kind.normal.z >= 1.0 - FLAT else Plane(vec(kind.normal))
        loops = []
        for source in kind.loops:
            loop = HatchLoop()
            for edge in source.edges:
                add_edge(loop, edge, vec if plane is None else plane.local)
            loops.append(loop.flat if plane is None else plane.world(loop.flat))
        associative = entity.id in self.associative_hatches
        if not associative and self.is_dwg:
            associative = bool(msgspec.json.decode(entity.props).get("dwg.hatch_associative"))
        angle = math.degrees(kind.pattern_angle)
        self.table.hatch(head, loops, kind.solid, associative, angle, kind.pattern_scale, vec(kind.normal))

    def text(self, head: Head, kind: TextKind, entity: Entity) -> None:
        aligned = (kind.halign, kind.valign) != ("left", "baseline") and kind.halign not in ("aligned", "fit")
        anchor = kind.end_point if aligned and kind.end_point is not None else kind.position
        valign = 0.5 if kind.halign == "middle" else VALIGN.get(kind.valign, 0.0)
        self.table.text(
            head,
            vec(anchor),
            kind.height,
            math.degrees(kind.rotation),
            kind.width_factor,
            HALIGN.get(kind.halign, 0.0),
            valign,
            kind.value,
            vec(kind.normal),
        )

    def mtext(self, head: Head, kind: MTextKind, entity: Entity) -> None:
        attachment = ATTACHMENT.get(kind.attachment, 1)
        rotation = math.degrees(kind.rotation)
        normal = vec(kind.normal)
        self.table.mtext(head, vec(kind.position), kind.height, rotation, kind.width, attachment, kind.value, normal)

    def mesh(self, head: Head, kind: MeshKind, entity: Entity) -> None:
        m, n = msgspec.json.decode(entity.props).get("dxf.polygon_mesh") or (0, 0)
        if m * n and m * n != len(kind.vertices):
            raise ReadError("a smoothed mesh, which the fast reader draws wrong")
        if is_spatial(kind.vertices):
            self.spatial("MESH")
        self.table.faces(head, [vec(p) for p in kind.vertices], kind.faces)

    def spline(self, head: Head, kind: SplineKind, entity: Entity) -> None:
        control, fit = [vec(p) for p in kind.control_points], [vec(p) for p in kind.fit_points]
        if len({p[2] for p in control or fit}) > 1:
            self.spatial("SPLINE")
        self.table.spline(head, kind.degree, control, kind.knots, kind.weights, kind.closed, fit)

    def leader(self, head: Head, kind: LeaderKind, entity: Entity) -> None:
        self.table.leader(head, [vec(p) for p in kind.vertices], kind.arrowhead)

    def dimension(self, head: Head, kind: DimensionKind, entity: Entity) -> None:
        props = msgspec.json.decode(entity.props)
        roles = props.get("dxf.dim.roles") or props.get("dwg.dim_roles") or []
        points = {int(role): vec(p) for role, p in zip(roles, kind.points, strict=False)}
        if kind.text_position is not None:
            points[11] = vec(kind.text_position)
        number = DIMENSION_KINDS.get(kind.dimension_type, 0)
        rotation = props.get("dxf.dim.rotation") or math.degrees(props.get("dwg.dim_rotation") or 0.0)
        measurement = kind.measurement
        if measurement is not None and number in (2, 5):
            measurement = math.degrees(measurement)
        self.table.dimension(head, number, points, rotation, measurement, kind.text or "")

    def insert(self, head: Head, kind: InsertKind, entity: Entity) -> None:
        grid = (kind.columns, kind.rows, kind.column_spacing, kind.row_spacing)
        rotation = math.degrees(kind.rotation)
        scale = (kind.scale.x, kind.scale.y)
        self.table.insert(head, kind.block, vec(kind.position), scale, rotation, grid, vec(kind.normal))
        for attribute in entity.attributes:
            self.attribute(head, attribute)

    def attribute(self, head: Head, attribute: Attribute) -> None:
        self.table.fields.append((attribute.tag or "", attribute.value or ""))
        if attribute.invisible:
            self.table.ignore("invisible")
            return
        if attribute.position is None:
            return
        display = attribute.display or Display()
        height = display.height or 0.0
        width_factor = display.width / height if display.width and height else 1.0  # here the width is that of a letter
        self.table.text(
            (head[0], attribute.layer or head[1], head[2], "ATTRIB"),
            vec(attribute.position),
            height,
            math.degrees(display.rotation),
            width_factor,
            HALIGN.get(display.halign, 0.0),
            VALIGN.get(display.valign, 0.0),
            attribute.value or "",
        )

    def unknown(self, head: Head, kind: UnknownKind, entity: Entity) -> None:
        """What the library does not model: from its group codes, from the few DWG properties, or ignored by name."""
        name = kind.type_name.split(".", 1)[-1]
        if name not in CODED and name != "ATTDEF":
            self.table.ignore(name)
            return
        props = msgspec.json.decode(entity.props)
        head = (*head[:3], name)
        if name == "ATTDEF":
            self.attribute_definition(head, props)
        elif "dxf.codes" in props:
            CODED[name](self.table, head, props["dxf.codes"])
        elif name == "MLINE" and "dwg.vertices" in props:
            flat = [value for x, y, _ in props["dwg.vertices"] for value in (x, y, 0.0)]
            self.table.polyline(head, flat, bool(props.get("dwg.closed")))
        elif name == "TOLERANCE" and "dwg.insertion_point" in props:
            x, y, z = props["dwg.direction"]
            codes = [(code, value) for code, value in zip((10, 20, 30), props["dwg.insertion_point"], strict=True)]
            codes += [(11, x), (21, y), (31, z), (1, props.get("dwg.text", ""))]
            CODED[name](self.table, head, codes)
        else:
            self.table.ignore(name)

    def attribute_definition(self, head: Head, props: dict[str, Any]) -> None:
        """The tag of an ATTDEF is drawn in a space; inside a block only a constant one is drawn, with its value."""
        get = {key.rsplit(".", 1)[-1]: value for key, value in props.items()}
        constant = bool(int(get.get("flags") or 0) & 2)
        place = get.get("position") or get.get("insertion_point")
        if place is None or (self.inside_block and not constant):
            self.table.ignore("ATTDEF")
            return
        value = get.get("default") if constant else get.get("tag")
        self.table.text(head, place, float(get.get("height") or 0.0), 0.0, 1.0, 0.0, 0.0, str(value or ""))


# What draws a kind, and the DXF type that its rows carry. Not methods of one feeder, which it would have to hold: it, the
# table and the whole document would wait for the garbage collector.
DRAW: dict[type, tuple[str, Callable[[Feeder, Head, Any, Entity], None]]] = {
    PointKind: ("POINT", Feeder.point),
    LineKind: ("LINE", Feeder.line),
    PolylineKind: ("POLYLINE", Feeder.polyline),
    CircleKind: ("CIRCLE", Feeder.circle),
    ArcKind: ("ARC", Feeder.arc),
    EllipseKind: ("ELLIPSE", Feeder.ellipse),
    FaceKind: ("SOLID", Feeder.face),
    HatchKind: ("HATCH", Feeder.hatch),
    TextKind: ("TEXT", Feeder.text),
    MTextKind: ("MTEXT", Feeder.mtext),
    MeshKind: ("MESH", Feeder.mesh),
    SplineKind: ("SPLINE", Feeder.spline),
    LeaderKind: ("LEADER", Feeder.leader),
    DimensionKind: ("DIMENSION", Feeder.dimension),
    InsertKind: ("INSERT", Feeder.insert),
    ImageKind: ("IMAGE", Feeder.ignored),
    ViewportKind: ("VIEWPORT", Feeder.ignored),
    UnknownKind: ("", Feeder.unknown),
}


def ellipse_axes(major: Vec, ratio: float, normal: Vec) -> tuple[Vec, Vec]:
    """Half axes of an ellipse as world vectors; the minor one is ratio times normal × major."""
    length = math.sqrt(sum(c * c for c in normal)) or 1.0
    nx, ny, nz = (c / length for c in normal)
    minor = (
        ratio * (ny * major[2] - nz * major[1]),
        ratio * (nz * major[0] - nx * major[2]),
        ratio * (nx * major[1] - ny * major[0]),
    )
    return major, minor


def angle_to_parameter(angle: float, ratio: float) -> float:
    """Parameter of an ellipse at the direction ``angle``, radians; hatch edges store directions, not parameters."""
    turns = math.floor(angle / (2 * math.pi) + 0.5)
    return math.atan2(math.sin(angle) / (ratio or 1.0), math.cos(angle)) + turns * 2 * math.pi


class Plane:
    """The plane of a hatch that does not face up. The library turns its points into world points but not its angles:
    edges are followed in the plane, and their polyline comes back."""

    def __init__(self, normal: Vec) -> None:
        length = math.sqrt(sum(c * c for c in normal)) or 1.0
        self.normal = np.array(normal) / length
        self.axes = plane_axes(self.normal[None])[0]
        self.elevation = 0.0

    def local(self, v: V) -> Vec:
        """A world point, or a direction, in the plane."""
        point = np.array(vec(v))
        self.elevation = float(point @ self.normal)
        x, y = point @ self.axes
        return float(x), float(y), 0.0

    def world(self, flat: list[float]) -> list[float]:
        """Flat x, y, bulge of the plane as world points with the same bulges."""
        points = np.array(flat).reshape(-1, 3)
        points[:, :2] = points[:, :2] @ self.axes[:2].T + self.elevation * self.normal[:2]
        return points.ravel().tolist()


Edge = LineEdge | ArcEdge | EllipseEdge | SplineEdge | PolylineEdge


def add_edge(loop: HatchLoop, edge: Edge, place: Callable[[V], Vec]) -> None:
    """One edge of a hatch boundary into the loop, its points in the plane that ``place`` takes them to."""
    if isinstance(edge, LineEdge):
        loop.line(place(edge.start))
    elif isinstance(edge, ArcEdge):
        # angles of a clockwise edge are stored mirrored at the x axis
        sign = 1.0 if edge.ccw else -1.0
        start, end = math.degrees(edge.start_angle), math.degrees(edge.end_angle)
        loop.arc(place(edge.center), edge.radius, sign * start, sign * end, edge.ccw)
    elif isinstance(edge, EllipseEdge):
        sign = 1.0 if edge.ccw else -1.0
        start, end = (sign * angle_to_parameter(angle, edge.ratio) for angle in (edge.start_param, edge.end_param))
        major = place(edge.major_axis)
        loop.ellipse(place(edge.center), major, edge.ratio, start, end, edge.ccw)
    elif isinstance(edge, SplineEdge):
        loop.spline(edge.degree, [place(p) for p in edge.control_points], edge.knots, edge.weights)
    else:
        for vertex in edge.vertices:
            loop.flat += (*place(vertex.position)[:2], vertex.bulge)
