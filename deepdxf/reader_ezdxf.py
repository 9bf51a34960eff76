"""The careful reader: an ezdxf document fed into a `Table`. Slow and forgiving; also the oracle of the fast reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ezdxf.document import Drawing as Document
from ezdxf.entities.dxfentity import DXFEntity
from ezdxf.entities.dxfgfx import DXFGraphic
from ezdxf.lldxf.tagwriter import TagCollector
from ezdxf.math import Vec3

from deepdxf.reader_codes import CODED, value_of
from deepdxf.table import HatchLoop, Head, Table, valid_color

HALIGN = {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.0, 4: 0.5, 5: 0.0}
VALIGN = {0: 0.0, 1: 0.0, 2: 0.5, 3: 1.0}


def color_number(entity: DXFEntity) -> int:
    """ACI, 0 = by block, 256 = by layer, true colours as −1 − 0xRRGGBB."""
    if entity.dxf.hasattr("true_color"):
        return -1 - (int(entity.dxf.true_color) & 0xFFFFFF)
    return valid_color(int(entity.dxf.get("color", 256)))


class Feeder:
    """Translates a document; the space and every block that it needs go into the table."""

    def __init__(self, document: Document, table: Table, handles: set[int]) -> None:
        """``handles``: those in the file; the library invents some for entities that have none or share one."""
        self.document = document
        self.table = table
        self.handles = handles
        self.inside_block = False
        self.handlers: dict[str, Callable[[Head, Any], None]] = {
            "LINE": self.line,
            "POINT": self.point,
            "CIRCLE": self.circle,
            "ARC": self.arc,
            "LWPOLYLINE": self.lwpolyline,
            "POLYLINE": self.polyline,
            "ELLIPSE": self.ellipse,
            "SOLID": self.solid,
            "TRACE": self.solid,
            "3DFACE": self.solid,
            "HATCH": self.hatch,
            "TEXT": self.text,
            "ATTRIB": self.text,
            "ATTDEF": self.attribute_definition,
            "MTEXT": self.mtext,
            "SPLINE": self.spline,
            "LEADER": self.leader,
            "DIMENSION": self.dimension,
            "INSERT": self.insert,
        }

    def feed(self, space: Iterable[DXFGraphic]) -> None:
        """The space, then every block that an INSERT of the space or of a fed block names."""
        self.owner(None, space, (0.0, 0.0))
        done: set[str] = set()
        while waiting := [name for name in self.table.blocks if name not in done]:
            for name in waiting:
                done.add(name)
                if name in self.document.blocks:
                    block = self.document.blocks.get(name)
                    head = block.block
                    base = head.dxf.base_point if head is not None else (0.0, 0.0)
                    if head is not None and head.dxf.get("flags", 0) & 4:
                        self.table.xref(name, head.dxf.get("xref_path", ""))
                    self.owner(name, block, (base[0], base[1]))

    def owner(self, name: str | None, entities: Iterable[DXFGraphic], base_point: tuple[float, float]) -> None:
        self.inside_block = name is not None
        table = self.table
        table.begin(name, base_point)
        for entity in entities:
            self.entity(entity)
        table.end(name)

    def entity(self, entity: DXFGraphic) -> None:
        """One entity; one that breaks is counted and left out, the rest goes on."""
        table, dxftype = self.table, entity.dxftype()
        try:
            handle = int(entity.dxf.handle or "0", 16)
            if handle not in self.handles:
                handle = 0
            if dxftype in CODED:
                codes = flat_codes(TagCollector.dxftags(entity))
                head = (handle, str(value_of(codes, 8, "0")), valid_color(int(value_of(codes, 62, 256))), dxftype)
                if value_of(codes, 60, 0):
                    table.ignore("invisible")
                else:
                    CODED[dxftype](table, head, codes)
            elif dxftype not in self.handlers:
                table.ignore(dxftype)
            elif entity.dxf.get("invisible", 0):
                table.ignore("invisible")
            else:
                head = (handle, entity.dxf.get("layer", "0"), color_number(entity), dxftype)
                self.handlers[dxftype](head, entity)
        except Exception as error:  # the library may raise anything on damaged entities
            table.broken(dxftype, error)

    def spatial(self, dxftype: str) -> None:
        self.table.problem("projected", f"three-dimensional {dxftype} projected to XY")

    def line(self, head: Head, entity: Any) -> None:
        start, end = entity.dxf.start, entity.dxf.end
        if start.z != end.z:
            self.spatial("LINE")
        self.table.line(head, start[0], start[1], end[0], end[1])

    def point(self, head: Head, entity: Any) -> None:
        self.table.circle(head, entity.dxf.location, 0.0)

    def circle(self, head: Head, entity: Any) -> None:
        centre = entity.ocs().to_wcs(entity.dxf.center)
        self.table.circle(head, centre, entity.dxf.radius, entity.dxf.extrusion)

    def arc(self, head: Head, entity: Any) -> None:
        centre = entity.ocs().to_wcs(entity.dxf.center)
        self.table.arc(
            head, centre, entity.dxf.radius, entity.dxf.start_angle, entity.dxf.end_angle, entity.dxf.extrusion
        )

    def lwpolyline(self, head: Head, entity: Any) -> None:
        head = (*head[:3], "POLYLINE")
        elevation, ocs = entity.dxf.elevation, entity.ocs()
        flat: list[float] = []
        for x, y, bulge in entity.get_points("xyb"):
            world = ocs.to_wcs((x, y, elevation))
            flat += (world.x, world.y, bulge)
        self.table.polyline(head, flat, entity.closed, entity.dxf.extrusion)

    def polyline(self, head: Head, entity: Any) -> None:
        if entity.is_polygon_mesh or entity.is_poly_face_mesh:
            self.mesh(head, entity)
            return
        locations = list(entity.points_in_wcs()) if entity.is_2d_polyline else [v.dxf.location for v in entity.vertices]
        keep = [
            not v.dxf.get("flags", 0) & 16 for v in entity.vertices
        ]  # control points of a fitted spline are not drawn
        if len({p.z for p in locations}) > 1:
            self.spatial("POLYLINE")
        flat: list[float] = []
        for place, vertex, kept in zip(locations, entity.vertices, keep, strict=True):
            if kept:
                flat += (place.x, place.y, vertex.dxf.get("bulge", 0.0))
        self.table.polyline(head, flat, entity.is_closed, entity.dxf.extrusion if entity.is_2d_polyline else None)

    def mesh(self, head: Head, entity: Any) -> None:
        smooth = entity.is_polygon_mesh and entity.dxf.flags & 4
        # of a smoothed mesh, the control points (16) are not drawn
        points = [v.dxf.location for v in entity.vertices if not v.is_face_record and not (smooth and v.dxf.flags & 16)]
        if len({p.z for p in points}) > 1:
            self.spatial("MESH")
        faces: list[list[int]] = []
        if entity.is_polygon_mesh:
            m, n = entity.dxf.m_count, entity.dxf.n_count
            if smooth:
                m, n = entity.dxf.m_smooth_density, entity.dxf.n_smooth_density
            ms = range(m if entity.is_m_closed else m - 1)
            ns = range(n if entity.is_n_closed else n - 1)
            for i in ms:
                for j in ns:
                    i1, j1 = (i + 1) % m, (j + 1) % n
                    faces.append([i * n + j, i1 * n + j, i1 * n + j1, i * n + j1])
        else:
            for vertex in entity.vertices:
                if vertex.is_face_record:
                    indices = [abs(vertex.dxf.get(name, 0)) - 1 for name in ("vtx0", "vtx1", "vtx2", "vtx3")]
                    faces.append([i for i in indices if i >= 0])
        self.table.faces((*head[:3], "MESH"), points, faces)

    def ellipse(self, head: Head, entity: Any) -> None:
        self.table.ellipse(
            head,
            entity.dxf.center,
            entity.dxf.major_axis,
            entity.minor_axis,
            entity.dxf.start_param,
            entity.dxf.end_param,
        )

    def solid(self, head: Head, entity: Any) -> None:
        dxftype = entity.dxftype()
        points = entity.wcs_vertices()
        if len({p[2] for p in points}) > 1:
            self.spatial("3DFACE")
        self.table.solid((*head[:3], "3DFACE" if dxftype == "3DFACE" else "SOLID"), points, dxftype != "3DFACE")

    def hatch(self, head: Head, entity: Any) -> None:
        loops = []
        ocs, elevation = entity.ocs(), entity.dxf.elevation.z
        for path in entity.paths:
            loop = HatchLoop()
            if hasattr(path, "edges"):
                for edge in path.edges:
                    add_edge(loop, edge)
            else:
                for x, y, bulge in path.vertices:
                    loop.flat += (x, y, bulge)
            if ocs.transform:
                for i in range(0, len(loop.flat), 3):
                    world = ocs.to_wcs((loop.flat[i], loop.flat[i + 1], elevation))
                    loop.flat[i : i + 2] = [world.x, world.y]
            loops.append(loop.flat)
        dxf = entity.dxf
        self.table.hatch(
            (*head[:3], "HATCH"),
            loops,
            bool(dxf.get("solid_fill", 0)),
            bool(dxf.get("associative", 0)),
            dxf.get("pattern_angle", 0.0),
            dxf.get("pattern_scale", 1.0),
            dxf.extrusion,
        )

    def text(self, head: Head, entity: Any) -> None:
        dxf = entity.dxf
        if head[3] == "ATTRIB" and entity.is_invisible:
            self.table.ignore("invisible")
            return
        halign, valign = dxf.get("halign", 0), dxf.get("valign", 0)
        aligned = (halign, valign) != (0, 0) and halign not in (3, 5) and dxf.hasattr("align_point")
        anchor = entity.ocs().to_wcs(dxf.align_point if aligned else dxf.insert)
        self.table.text(
            head,
            anchor,
            dxf.get("height", 0.0),
            dxf.get("rotation", 0.0),
            dxf.get("width", 1.0),
            HALIGN.get(halign, 0.0),
            0.5 if halign == 4 else VALIGN.get(valign, 0.0),
            attribute_value(entity) if head[3] == "ATTRIB" else dxf.get("text", ""),
            dxf.extrusion,
        )

    def attribute_definition(self, head: Head, entity: Any) -> None:
        constant = bool(entity.dxf.get("flags", 0) & 2)
        if self.inside_block and not constant:
            self.table.ignore("ATTDEF")
            return
        value = entity.dxf.text if constant else entity.dxf.tag
        place = entity.ocs().to_wcs(entity.dxf.insert)
        self.table.text(head, place, entity.dxf.get("height", 0.0), 0.0, 1.0, 0.0, 0.0, value)

    def mtext(self, head: Head, entity: Any) -> None:
        dxf = entity.dxf
        rotation = dxf.get("rotation", 0.0)
        if dxf.hasattr("text_direction") or not dxf.hasattr("rotation"):  # a direction is in world coordinates
            rotation = entity.ocs().from_wcs(dxf.get("text_direction", (1.0, 0.0, 0.0))).angle_deg
        height, width, attachment = dxf.get("char_height", 0.0), dxf.get("width", 0.0), dxf.get("attachment_point", 1)
        self.table.mtext(head, dxf.insert, height, rotation, width, attachment, entity.text, dxf.extrusion)
        if entity.has_columns:  # the library hides the texts of further columns in the first
            for column in entity.columns.linked_columns:
                self.entity(column)

    def spline(self, head: Head, entity: Any) -> None:
        control, fit = [tuple(p) for p in entity.control_points], [tuple(p) for p in entity.fit_points]
        if len({p[2] for p in control or fit}) > 1:
            self.spatial("SPLINE")
        self.table.spline(
            head, entity.dxf.degree, control, list(entity.knots), list(entity.weights), entity.closed, fit
        )

    def leader(self, head: Head, entity: Any) -> None:
        self.table.leader(head, entity.vertices, bool(entity.dxf.get("has_arrowhead", 1)))

    def dimension(self, head: Head, entity: Any) -> None:
        dxf, ocs = entity.dxf, entity.ocs()
        points: dict[int, Any] = {}
        for role, name in ((10, "defpoint"), (13, "defpoint2"), (14, "defpoint3"), (15, "defpoint4")):
            if dxf.hasattr(name):
                points[role] = dxf.get(name)
        for role, name in ((11, "text_midpoint"), (16, "defpoint5")):
            if dxf.hasattr(name):
                points[role] = ocs.to_wcs(dxf.get(name))
        measurement = dxf.get("actual_measurement")
        kind = dxf.get("dimtype", 0) & 15
        if measurement is not None and kind in (2, 5):
            measurement = math.degrees(measurement)
        self.table.dimension(
            (*head[:3], "DIMENSION"), kind, points, dxf.get("angle", 0.0), measurement, dxf.get("text", "")
        )

    def insert(self, head: Head, entity: Any) -> None:
        dxf = entity.dxf
        grid = (
            dxf.get("column_count", 1),
            dxf.get("row_count", 1),
            dxf.get("column_spacing", 0.0),
            dxf.get("row_spacing", 0.0),
        )
        place = entity.ocs().to_wcs(dxf.insert)
        self.table.insert(
            head, dxf.name, place, (dxf.xscale, dxf.yscale), dxf.get("rotation", 0.0), grid, dxf.extrusion
        )
        for attribute in entity.attribs:
            self.table.fields.append((attribute.dxf.get("tag", ""), attribute_value(attribute)))
            self.text((head[0], attribute.dxf.get("layer", head[1]), head[2], "ATTRIB"), attribute)


def attribute_value(attribute: Any) -> str:
    """The text of an ATTRIB, which is elsewhere when it has many lines."""
    value: str = attribute.plain_mtext() if attribute.has_embedded_mtext_entity else attribute.dxf.get("text", "")
    return value


def flat_codes(tags: Iterable[Any]) -> list[tuple[int, Any]]:
    """Tags with points taken apart: (10, point) becomes groups 10, 20 and 30."""
    codes: list[tuple[int, Any]] = []
    for tag in tags:
        if isinstance(tag.value, Vec3 | tuple):
            codes += [(tag.code + 10 * axis, value) for axis, value in enumerate(tuple(tag.value))]
        else:
            codes.append((tag.code, tag.value))
    return codes


def add_edge(loop: HatchLoop, edge: Any) -> None:
    """One edge of a hatch boundary into the loop."""
    kind = edge.EDGE_TYPE
    if kind == "LineEdge":
        loop.line(edge.start)
    elif kind == "ArcEdge":
        start, end = (edge.start_angle, edge.end_angle) if edge.ccw else (edge.end_angle, edge.start_angle)
        loop.arc(edge.center, edge.radius, start, end, edge.ccw)
    elif kind == "EllipseEdge":
        start, end = (edge.start_param, edge.end_param) if edge.ccw else (edge.end_param, edge.start_param)
        loop.ellipse(edge.center, edge.major_axis, edge.ratio, start, end, edge.ccw)
    elif kind == "SplineEdge":
        loop.spline(edge.degree, edge.control_points, edge.knot_values, edge.weights)
