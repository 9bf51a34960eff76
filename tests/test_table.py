"""Block expansion and folding, against ezdxf's own explosion of blocks and against hand-worked cases."""

from __future__ import annotations

import io
import math
import tracemalloc
from itertools import pairwise

import ezdxf
import numpy as np
import pytest
from ezdxf import disassemble, path
from ezdxf.document import Drawing as Document
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.drawing import Drawing, EntityClass
from deepdxf.geometry import segments
from deepdxf.reader import parse
from deepdxf.table import Limits, fit_spline, knots_fit, uniform_knots
from tests.dxf import block, codes, drawing, insert, line

C = EntityClass
both = pytest.mark.parametrize("careful", [False, True], ids=["fast", "careful"])


def reading(doc: Document, **options: object) -> Drawing:
    stream = io.StringIO()
    doc.write(stream)
    return parse(stream.getvalue().encode(), **options)  # type: ignore[arg-type]


def distance_to(points: np.ndarray, lines: np.ndarray) -> float:
    """Largest distance of the points (m, 2) from the nearest of the segments (s, 4)."""
    a, b = lines[:, :2], lines[:, 2:]
    along = b - a
    length = np.maximum((along**2).sum(1), 1e-300)
    t = np.clip(((points[:, None] - a) * along).sum(2) / length, 0, 1)
    return float(np.linalg.norm(points[:, None] - (a + t[:, :, None] * along), axis=2).min(1).max())


def ink(doc: Document) -> np.ndarray:
    """(m, 2) points on everything that ezdxf draws in model space, blocks exploded by ezdxf."""
    points: list[tuple[float, float]] = []
    for primitive in disassemble.to_primitives(disassemble.recursive_decompose(doc.modelspace())):
        if primitive.path is not None and len(primitive.path):
            points += [(v.x, v.y) for v in primitive.path.flattening(0.01, segments=4)]
    return np.array(points[:: len(points) // 2000 + 1])


def assert_same_ink(doc: Document, d: Drawing) -> None:
    """The same lines on the sheet as ezdxf draws: each set of points lies on the other's lines."""
    mine, theirs = segments(d, tolerance=1e-2)[0], ink(doc)
    size = max(1.0, float(np.ptp(theirs, axis=0).max()))
    assert distance_to(theirs, mine) < 5e-3 * size
    np.testing.assert_allclose(mine.reshape(-1, 2).min(0), theirs.min(0), atol=1e-2 * size)
    np.testing.assert_allclose(mine.reshape(-1, 2).max(0), theirs.max(0), atol=1e-2 * size)


def shapes_block(doc: Document, name: str = "SHAPES", base: tuple[float, float] = (0.5, 0.25)) -> None:
    """A block with every curve, of which none is symmetric."""
    b = doc.blocks.new(name, base_point=base)
    b.add_line((0, 0), (3, 1))
    b.add_arc((1, 1), 2, 20, 250)
    b.add_circle((4, 1), 0.7)
    b.add_lwpolyline([(0, 0, 0.3), (4, 0, 0), (4, 3, -0.8), (1, 2, 0)], format="xyb", close=True)
    b.add_ellipse((2, 2), (2, 0.5), 0.4, 0.3, 4.0)
    b.add_open_spline([(0, 0), (2, 3), (6, 1)], degree=2)
    b.add_solid([(0, 0), (1, 0), (0, 1), (1, 1.5)])


Placing = dict[str, float]
PLACINGS: dict[str, Placing] = {
    "plain": {},
    "turned": {"rotation": 33.0},
    "scaled": {"xscale": 2.5, "yscale": 2.5},
    "mirrored in x": {"xscale": -1.0, "yscale": 1.0, "rotation": 20.0},
    "mirrored in y": {"xscale": 2.0, "yscale": -2.0},
    "stretched": {"xscale": 2.0, "yscale": 0.5, "rotation": 30.0},
    "stretched and mirrored": {"xscale": -2.0, "yscale": 0.5, "rotation": 75.0},
    "from below": {"extrusion": (0, 0, -1), "rotation": 25.0, "xscale": 1.5, "yscale": 1.5},
    "array": {"column_count": 3, "row_count": 2, "column_spacing": 10.0, "row_spacing": -8.0, "rotation": 15.0},
}


EVEN = ["plain", "turned", "scaled", "mirrored in x", "mirrored in y", "from below"]


@pytest.mark.parametrize("name", PLACINGS)
def test_blocks_are_placed_as_ezdxf_places_them(name: str) -> None:
    doc = ezdxf.new("R2010")
    shapes_block(doc)
    doc.modelspace().add_blockref("SHAPES", (5, -3), PLACINGS[name])
    for careful in (False, True):
        assert_same_ink(doc, reading(doc, careful=careful))


@settings(max_examples=25)
@given(
    st.sampled_from([*EVEN, "stretched"]), st.lists(st.sampled_from(EVEN), min_size=1, max_size=2), st.floats(-180, 180)
)
def test_nested_blocks_are_placed_as_ezdxf_places_them(inner: str, outer_names: list[str], angle: float) -> None:
    """Even placings around any: of a stretched insert, ezdxf drops the shear, and of a scaled array, the wider grid."""
    names = [inner, *outer_names]
    doc = ezdxf.new("R2010")
    shapes_block(doc)
    below = "SHAPES"
    for level, name in enumerate(names[:-1]):
        outer = doc.blocks.new(f"LEVEL{level}", base_point=(level, 1))
        outer.add_blockref(below, (2, 1), {"rotation": angle} | PLACINGS[name])
        outer.add_line((0, 0), (1, 0))
        below = outer.name
    doc.modelspace().add_blockref(below, (5, -3), PLACINGS[names[-1]])
    d = reading(doc)
    assert d.depth.max() == len(names)
    assert_same_ink(doc, d)


def placed(p: np.ndarray, base: tuple[float, float], at: tuple[float, float], placing: Placing) -> np.ndarray:
    """A point of a block on the sheet, by the definition of INSERT."""
    angle = math.radians(placing.get("rotation", 0.0))
    x, y = (p - base) * [placing.get("xscale", 1.0), placing.get("yscale", 1.0)]
    q = np.add(at, [math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y])
    return q * [-1, 1] if "extrusion" in placing else q


@settings(max_examples=30)
@given(st.lists(st.sampled_from(sorted(PLACINGS.keys() - {"array"})), min_size=1, max_size=4), st.booleans())
def test_nested_blocks_by_the_definition_of_insert(names: list[str], careful: bool) -> None:
    doc = ezdxf.new("R2010")
    doc.blocks.new("LEVEL0", base_point=(0.5, 0.25)).add_point((3, 1))
    expected, base = np.array([3.0, 1.0]), (0.5, 0.25)
    for level, name in enumerate(names):
        outer = (
            doc.modelspace() if level == len(names) - 1 else doc.blocks.new(f"LEVEL{level + 1}", base_point=(1, level))
        )
        outer.add_blockref(f"LEVEL{level}", (2, 1), PLACINGS[name])
        expected, base = placed(expected, base, (2.0, 1.0), PLACINGS[name]), (1.0, float(level))
    d = reading(doc, careful=careful)
    np.testing.assert_allclose(d.points(len(names))[0, :2], expected, atol=1e-9)


@settings(max_examples=20)
@given(st.sampled_from(sorted(PLACINGS)), st.floats(-180, 180))
def test_an_array_is_its_copies(name: str, angle: float) -> None:
    """An array inside a placed block, and the same copies one by one."""
    drawings = []
    for as_array in (True, False):
        doc = ezdxf.new("R2010")
        shapes_block(doc)
        outer = doc.blocks.new("OUTER")
        if as_array:
            outer.add_blockref("SHAPES", (2, 1), {"rotation": angle} | GRID)
        else:
            for row in range(GRID["row_count"]):
                for column in range(GRID["column_count"]):
                    step = ezdxf.math.Vec2(column * GRID["column_spacing"], row * GRID["row_spacing"]).rotate_deg(angle)
                    outer.add_blockref("SHAPES", step + ezdxf.math.Vec2(2, 1), {"rotation": angle})
        doc.modelspace().add_blockref("OUTER", (5, -3), PLACINGS[name])
        drawings.append(reading(doc))
    one, many = (segments(d)[0] for d in drawings)
    one, many = (lines[np.lexsort(np.round(lines.T, 5))] for lines in (one, many))
    np.testing.assert_allclose(one.sum(0), many.sum(0), atol=1e-6 * len(one))
    assert len(one) == len(many)


GRID = {"column_count": 3, "row_count": 2, "column_spacing": 10.0, "row_spacing": -8.0}


@pytest.mark.parametrize("normal", [(0, 0, -1), (0.3, 0.2, 0.9), (1, 0, 0.5), (0.001, 0, 1), (0, 1, 0)])
def test_planes_of_entities_as_ezdxf_sees_them(normal: tuple[float, float, float]) -> None:
    doc = ezdxf.new("R2010")
    m = doc.modelspace()
    attributes = {"extrusion": normal}
    m.add_circle((4, 1, 2), 1.5, attributes)
    m.add_arc((1, 2, 0), 2, 20, 250, attributes)
    m.add_lwpolyline([(0, 0, 0.3), (4, 0, 0), (4, 3, -0.8), (1, 2, 0)], format="xyb", close=True, dxfattribs=attributes)
    m.add_ellipse((2, 2), tuple(np.cross(normal, (0.3, 1, 0.2))), 0.4, 0.3, 4.0, attributes)
    m.add_solid([(0, 0), (1, 0), (0, 1), (1, 1.5)], attributes)
    m.add_polyline2d([(0, 0, 1), (4, 0, 0), (4, 4, 0)], format="xyb", dxfattribs=attributes)
    for careful in (False, True):
        d = reading(doc, careful=careful)
        assert_same_ink(doc, d)
        assert ("projected" in codes(d)) == (normal != (0, 0, -1))


@pytest.mark.parametrize("normal", [(0, 0, 1), (0, 0, -1), (0.3, 0.2, 0.9)])
def test_hatches_as_ezdxf_sees_them(normal: tuple[float, float, float]) -> None:
    doc = ezdxf.new("R2010")
    hatch = doc.modelspace().add_hatch(dxfattribs={"extrusion": normal})
    hatch.dxf.elevation = (0, 0, 2)
    hatch.paths.add_polyline_path([(0, 0, 0.5), (4, 0, 0), (4, 4, -0.3)], is_closed=True)
    edges = hatch.paths.add_edge_path()
    edges.add_line((10, 0), (14, 0))
    edges.add_arc((14, 2), 2, 270, 90)
    edges.add_line((14, 4), (10, 4))
    edges.add_arc((10, 2), 2, 90, 270)
    clockwise = hatch.paths.add_edge_path()
    clockwise.add_line((30, 0), (30, 4))
    clockwise.add_arc((32, 4), 2, 0, 180, ccw=False)  # from 180° over 90° to 0°
    clockwise.add_line((34, 4), (34, 0))
    clockwise.add_line((34, 0), (30, 0))
    oval = hatch.paths.add_edge_path()
    oval.add_ellipse((20, 0), (3, 1), 0.5, 0, 360)
    theirs = np.array([(v.x, v.y) for p in path.from_hatch(hatch) for v in p.flattening(0.001)])
    for careful in (False, True):
        d = reading(doc, careful=careful)
        assert d.scalar(C.HATCH, "paths")[0] == 4
        assert distance_to(theirs, segments(d, 1e-4)[0]) < 0.02


# --- hand-worked -------------------------------------------------------------------------------------------------------


@both
def test_mirrored_insert_with_a_bulge(careful: bool) -> None:
    """A half circle that bulges down from (0, 0) to (2, 0), mirrored at the y axis, runs to (-2, 0) and still bulges down."""
    half = (
        "0 POLYLINE, 8 0, 66 1, 70 0, 10 0, 20 0, 0 VERTEX, 8 0, 10 0, 20 0, 42 1,"
        "0 VERTEX, 8 0, 10 2, 20 0, 42 0, 0 SEQEND, 8 0,"
    )
    d = drawing(insert("HALF", 0, 0, "41 -1,"), block("HALF", half), careful=careful)
    assert d.points(1).tolist() == [[0, 0, -1], [-2, 0, 0]]
    np.testing.assert_allclose(d.box[1], [-2, -1, 0, 0], atol=1e-12)


@both
def test_array_of_a_block(careful: bool) -> None:
    """Columns run along the turned x axis; the base point is the block's origin; scale does not widen the grid."""
    grid = "41 2, 42 2, 50 90, 70 3, 71 2, 44 10, 45 7,"
    d = drawing(insert("DOT", 100, 0, grid), block("DOT", "0 POINT, 8 0, 10 1, 20 1,", "10 1, 20 0"), careful=careful)
    expected = {(100 - 2 - 7 * row, 10 * column) for row in range(2) for column in range(3)}
    assert {(round(x, 9), round(y, 9)) for x, y, _ in d.vertices[1:]} == expected
    assert d.parent.tolist() == [-1, 0, 0, 0, 0, 0, 0]


@both
def test_uneven_scale_makes_a_circle_an_exact_ellipse(careful: bool) -> None:
    d = drawing(insert("O", 1, 2, "41 3, 42 2,"), block("O", "0 CIRCLE, 8 0, 10 0, 20 0, 40 1,"), careful=careful)
    assert d.class_counts() == {"INSERT": 1, "SPLINE": 1}
    points = segments(d)[0][:, :2]
    assert len(points) >= 32
    np.testing.assert_allclose(((points - [1, 2]) / [3, 2]) ** 2 @ [1, 1], 1, atol=1e-12)
    np.testing.assert_allclose(d.box[1], [-2, 0, 4, 4], atol=1e-9)


@both
def test_layer_zero_and_colour_by_block_come_from_the_insert(careful: bool) -> None:
    content = line(0, 0, 1, 0, "62 0,") + line(0, 0, 1, 0).replace("8 0", "8 own") + line(0, 0, 1, 0, "62 3,")
    nested = block("IN", content) + block("OUT", insert("IN", extra="62 0,"))
    d = drawing(insert("OUT", extra="62 5,").replace("8 0", "8 walls"), nested, careful=careful)
    assert [d.layers[i] for i in d.layer] == ["walls", "walls", "walls", "own", "walls"]
    assert d.color.tolist() == [5, 5, 5, 256, 3]


@both
def test_content_follows_its_insert_in_handle_order(careful: bool) -> None:
    content = block("A", line(0, 0, 1, 0, "5 31,") + line(0, 0, 2, 0, "5 30,"))
    space = line(0, 0, 9, 0, "5 43,") + insert("A", extra="5 42,") + line(0, 0, 8, 0, "5 41,")
    d = drawing(space, content, careful=careful)
    assert d.handle.tolist() == [0x41, 0x42, 0x30, 0x31, 0x43]
    assert d.parent.tolist() == [-1, -1, 1, 1, -1] and d.depth.tolist() == [0, 0, 1, 1, 0]


@both
def test_a_block_inside_itself_ends(careful: bool) -> None:
    direct = drawing(insert("A"), block("A", line(0, 0, 1, 0) + insert("A", 1, 1)), careful=careful)
    assert direct.class_counts() == {"LINE": 1, "INSERT": 2} and codes(direct) == {"insert-cycle": 1}
    ring = block("A", line(0, 0, 1, 0) + insert("B")) + block("B", insert("C")) + block("C", insert("A") * 3)
    d = drawing(insert("A") + insert("C"), ring, careful=careful)
    assert codes(d)["insert-cycle"] >= 4 and d.status == "repaired" and len(d) < 40


def bomb(levels: int, fan: int) -> str:
    """Blocks of ``fan`` inserts of the block below, at the bottom a line: fan ** levels lines."""
    blocks = block("L0", line(0, 0, 1, 1))
    for level in range(levels):
        blocks += block(f"L{level + 1}", "".join(insert(f"L{level}", i, level) for i in range(fan)))
    return blocks


@both
def test_bombs_end_as_too_large_with_what_was_kept(careful: bool) -> None:
    limits = Limits(entities=50_000)
    tracemalloc.start()
    d = drawing(SAFE + insert("L9"), bomb(9, 10), careful=careful, limits=limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert d.status == "too large" and codes(d)["too-large"] >= 1
    assert 1000 < len(d) <= limits.entities and d.class_counts()["LINE"] >= 1
    assert peak < 100e6
    assert "limit of 50000 entities" in next(p.message for p in d.problems if p.code == "too-large")


SAFE = line(0, 0, 1, 0)


@both
@pytest.mark.parametrize("grid", ["70 32767, 71 32767", "70 2147483647, 71 2147483647", "70 -5, 71 0"])
def test_arrays_beyond_reason(grid: str, careful: bool) -> None:
    d = drawing(SAFE + insert("A", extra=f"{grid}, 44 1, 45 1,"), block("A", SAFE), careful=careful)
    lines = d.class_counts()["LINE"]
    if "-" in grid:
        assert lines == 2 and d.status != "too large"
    else:  # as many copies as the limit allows: of the rows, one is the INSERT and one the line beside it
        assert lines == Limits().entities - 1 and d.status == "too large"


def test_vertex_and_entity_limits() -> None:
    polyline = "0 POLYLINE, 8 0, 66 1, 70 0," + "0 VERTEX, 8 0, 10 0, 20 0," * 50 + "0 SEQEND, 8 0,"
    d = drawing(insert("P") * 9, block("P", polyline), limits=Limits(vertices=9 + 4 * 50))
    assert d.class_counts() == {"LWPOLYLINE": 4, "INSERT": 9} and codes(d) == {"too-large": 5}
    d = drawing(SAFE * 9, limits=Limits(entities=5))
    assert len(d) == 5 and codes(d) == {"too-large": 4} and d.status == "too large"


def test_depth_limit() -> None:
    deep = bomb(6, 1)
    assert drawing(insert("L6"), deep).class_counts() == {"LINE": 1, "INSERT": 7}
    d = drawing(insert("L6"), deep, limits=Limits(depth=4))
    assert d.class_counts() == {"INSERT": 5} and codes(d) == {"too-deep": 1} and d.status == "partial"


@both
def test_mirrored_texts_keep_their_place(careful: bool) -> None:
    """Seen from below, a text runs to the left of its anchor and still stands on it."""
    d = drawing("0 TEXT, 8 0, 10 -5, 20 1, 40 2, 1 ab, 210 0, 220 0, 230 -1,", careful=careful)
    np.testing.assert_allclose(d.box[0], [5 - 0.6 * 2 * 2, 1, 5, 3], atol=1e-12)


# --- splines -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(0, 10))
def test_uniform_knots_fit(degree: int, more: int) -> None:
    count = degree + 1 + more
    knots = uniform_knots(count, degree)
    assert knots_fit(knots, count, degree)
    inner = np.diff(knots[degree : count + 1])
    np.testing.assert_allclose(inner, inner[0])
    for damaged in (knots[:-1], [0.0] * len(knots), knots[::-1], [*knots[:-1], -1.0]):
        assert not knots_fit(damaged, count, degree)


def test_a_spline_with_useless_knots_is_drawn_with_others() -> None:
    points = "".join(f"10 {i}, 20 {i % 2}, 30 0," for i in range(5))
    spline = (
        f"0 SPLINE, 5 30, 100 AcDbEntity, 8 0, 100 AcDbSpline, 70 8, 71 3, 72 9, 73 5, 74 0, {'40 0,' * 9} {points}"
    )
    d = drawing(spline)
    assert codes(d) == {"knots-replaced": 1} and d.status == "repaired"
    assert d.knots.tolist() == uniform_knots(5, 3) and np.isfinite(d.box).all()


@both
def test_fit_points_give_the_curve_of_cad(careful: bool) -> None:
    points = [(0, 0), (1, 2), (3, 1), (4, 4), (7, 3)]
    doc = ezdxf.new("R2010")
    doc.modelspace().add_spline(points)
    d = reading(doc, careful=careful)
    assert d.scalar(C.SPLINE, "fit")[0] == 1
    lines = segments(d)[0]
    assert distance_to(np.array(points, float), lines) < 1e-2  # it runs through them
    assert fit_spline([(0, 0), (0, 0)])[1] == () and fit_spline([(0, 0), (0, 0), (1, 1)])[0] == 1


@given(st.floats(0, 6.28), st.floats(0.1, 6.2), st.floats(0.05, 1), st.floats(-3, 3), st.floats(0.5, 3))
def test_ellipses_are_exact(start: float, sweep: float, ratio: float, turn: float, length: float) -> None:
    doc = ezdxf.new("R2010")
    major = (length * math.cos(turn), length * math.sin(turn))
    doc.modelspace().add_ellipse((1, 2), major, ratio, start, start + sweep)
    d = reading(doc)
    points = segments(d)[0].reshape(-1, 2) - [1, 2]
    along = points @ [math.cos(turn), math.sin(turn)] / length
    across = points @ [-math.sin(turn), math.cos(turn)] / (length * ratio)
    np.testing.assert_allclose(along**2 + across**2, 1, atol=1e-7)
    ends = [(math.cos(t), math.sin(t)) for t in (start, start + sweep)]
    np.testing.assert_allclose([(along[0], across[0]), (along[-1], across[-1])], ends, atol=1e-6)
    steps = [math.dist(*pair) for pair in pairwise(zip(along, across, strict=True))]
    assert max(steps) < 1.0


def test_array_of_splines_costs_no_more_than_its_limits():
    import tracemalloc

    points = ", ".join(f"10 {i}, 20 {i * i % 7}, 30 0" for i in range(200))
    knots = ", ".join(f"40 {k}" for k in [0, 0, 0, *range(198), 197, 197, 197])
    spline = f"0 SPLINE, 8 0, 70 8, 71 3, 72 204, 73 200, {knots}, {points},"
    array = "0 INSERT, 8 0, 2 S, 10 0, 20 0, 30 0, 70 80, 71 80, 44 300, 45 300,"
    tracemalloc.start()
    d = drawing(array, block("S", spline))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(d) == 1 + 6400 and d.status == "ok"
    assert peak < 600e6
    assert drawing(array.replace("70 80", "70 800"), block("S", spline)).status == "too large"


def test_degree_beyond_reason_is_drawn_as_a_cubic():
    points = ", ".join(f"10 {i}, 20 {i % 3}, 30 0" for i in range(400))
    d = drawing(f"0 SPLINE, 8 0, 70 8, 71 300, {points},")
    assert d.scalar(EntityClass.SPLINE, "degree").tolist() == [3] and codes(d) == {"knots-replaced": 1}
