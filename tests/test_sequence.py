"""Sequence codes: hand-worked rows, what must not change them, and the faults of earlier codes of this kind."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cadkit
import ezdxf
import h5py
import numpy as np
import pytest
from ezdxf.document import Drawing as Document
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf import vocabulary as v
from deepdxf.drawing import Drawing
from deepdxf.drawing import EntityClass as C
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import Shapes, segments, transform
from deepdxf.reader import parse
from deepdxf.sequence import ClassicCode, along, classic, is_closed, read_h5, rich, write_h5
from tests.drawings import Row, circle, drawing, line, polyline

FRAME = polyline([(0, 0), (255, 0), (255, 255), (0, 255)])  # one unit = one bin


def arc(x: float, y: float, radius: float, start: float, end: float) -> Row:
    return C.ARC, [(x, y)], {"radius": radius, "start": start, "end": end}


def columns(code: ClassicCode, row: int) -> dict[str, int]:
    """Columns of a row that are not −1."""
    return {name: int(value) for name, value in zip(v.CLASSIC, code.matrix[row, 1:], strict=True) if value != -1}


# --- classic, by hand ------------------------------------------------------------------------------------------------


def test_classic_by_hand() -> None:
    text = {"height": 5.0, "rotation": 90.0, "width": 20.0, "halign": 0.0, "valign": 0.0}
    spline = (C.SPLINE, [(0, 0), (10, 20), (20, 10), (30, 30)], {"degree": 3.0, "closed": 0.0, "fit": 0.0})
    hatch = {"solid": 1.0, "associative": 0.0, "paths": 300.0, "pattern_angle": 0.0, "pattern_scale": 1.0}
    insert = {
        "xscale": 1.0,
        "yscale": -1.0,
        "rotation": 180.0,
        "columns": 1.0,
        "rows": 1.0,
        "column_spacing": 0.0,
        "row_spacing": 0.0,
    }
    d = drawing(
        FRAME,
        line(0, 10, 255, 20.4),
        circle(100, 100, 30),
        arc(50, 60, 7, 0, 180),
        (C.TEXT, [(30, 40)], text),
        (C.MTEXT, [(30, 40)], text | {"char_height": 3.0, "column_width": 0.0}),
        (C.HATCH, [(1, 1), (2, 1), (2, 2)], hatch),
        (C.LEADER, [(10, 10), (20, 30)], {"arrowhead": 1.0}),
        (C.SOLID, [(10, 10), (20, 10), (15, 25)], {"filled": 1.0}),
        (C.INSERT, [(7, 8)], insert),
    )
    code = classic(d)
    assert code.matrix.dtype == np.int16 and code.matrix.shape == (10, 46) and code.cut == 0
    assert code.matrix[:, 0].tolist() == [3, 5, 6, 4, 1, 2, 0, 8, 11, 9]
    assert columns(code, 0) == {"closed": 1, "points_x": 128, "points_y": 128, "count": 4}
    assert columns(code, 1) == {"start_x": 0, "start_y": 10, "end_x": 255, "end_y": 20}
    assert columns(code, 2) == {"circle_center_x": 100, "circle_center_y": 100, "circle_radius": 30}
    assert columns(code, 3) == {
        "arc_center_x": 50,
        "arc_center_y": 60,
        "arc_radius": 7,
        "start_angle": 0,
        "end_angle": 128,
    }
    assert columns(code, 4) == {"text_insert_x": 30, "text_insert_y": 40, "height": 5, "text_rotation": 64}
    # no column width in the file: −1, not 0
    assert columns(code, 5) == {"mtext_insert_x": 30, "mtext_insert_y": 40, "char_height": 3, "text_rotation": 64}
    assert columns(code, 6) == {"solid_fill": 1, "associative": 0, "boundary_paths": 255}
    assert columns(code, 7) == {"vertices_x": 15, "vertices_y": 20}
    assert columns(code, 8) == {"solid_points_x": 15, "solid_points_y": 15}
    assert columns(code, 9) == {"insert_x": 7, "insert_y": 8, "scale_x": 191, "scale_y": 64, "insert_rotation": 128}
    d = drawing(FRAME, spline)
    d = replace(d, knots=np.array([5.0, 5, 5, 5, 9, 9, 9, 9]), knot_start=np.array([0, 0, 8]))
    assert columns(classic(d), 1) == {"control_points_x": 15, "control_points_y": 15, "mean_knot": 128, "count": 3}


def test_dimension_values_are_shares_of_the_largest_and_tolerances_may_be_absent() -> None:
    def dimension(kind: float, value: float, upper: float = np.nan) -> Row:
        scalars = {
            "kind": kind,
            "rotation": 0.0,
            "measurement": 1.0,
            "value": value,
            "tolerance_upper": upper,
            "tolerance_lower": upper,
        }
        return C.DIMENSION, [(0, 0), (50, 255), (0, 0), (100, 0), (0, 0), (0, 0)], scalars

    code = classic(
        drawing(FRAME, dimension(0, 51.0, 0.1), dimension(0, -25.5), dimension(2, 180.0), dimension(1, np.nan))
    )
    place = {"defpoint_x": 0, "defpoint_y": 0, "text_midpoint_x": 50, "text_midpoint_y": 255}
    assert columns(code, 1) == place | {"main_value": 255, "tolerance": 255}
    assert columns(code, 2) == place | {"main_value": 128}
    assert columns(code, 3) == place | {"main_value": 128}  # half of 360°, whatever the lengths
    assert columns(code, 4) == place | {"main_value": 5}  # no value: the measurement, 1 / 51


def test_unused_is_minus_one_and_never_zero() -> None:
    """The older geometry code wrote 0 for "unused" and the sequence code turned −1 into 0: coordinate 0 was absence."""
    code = classic(drawing(line(0, 0, 0, 10), circle(0, 0, 0)))
    assert columns(code, 1) == {"circle_center_x": 128, "circle_center_y": 0, "circle_radius": 0}
    assert (code.matrix == -1).sum() == (45 - 4) + (45 - 3)
    at_origin = rich(drawing(FRAME, line(0, 0, 1, 0)))
    assert at_origin.values[1, 0] == 0 and at_origin.present[1, 0] and at_origin.bins[1, 0] == 0
    assert not at_origin.present[1, 4] and at_origin.bins[1, 4] == 0


def test_frame_is_of_the_curves_not_of_their_end_points() -> None:
    """Older codes took an arc's end points and an INSERT's insertion point for its box."""
    whole = drawing(arc(0, 0, 10, 0, 270))  # box −10 … 10 in both axes; by end points 0 … 10 and −10 … 0
    assert columns(classic(whole), 0)["arc_center_x"] == columns(classic(whole), 0)["arc_center_y"] == 128


def test_limit_cuts_and_reports() -> None:
    d = drawing(*(line(i, 0, i, 10) for i in range(7)))
    assert len(classic(d, 4).matrix) == len(rich(d, 4)) == 4 and classic(d, 4).cut == rich(d, 4).cut == 3
    np.testing.assert_array_equal(classic(d, 4).matrix, classic(d).matrix[:4])
    np.testing.assert_array_equal(rich(d, 4).values, rich(d).values[:4])
    assert rich(d).cut == classic(d, 7).cut == 0


@pytest.mark.parametrize("d", [drawing(), drawing(line(3, 3, 3, 3)), drawing(circle(1e9, -1e9, 0))])
def test_drawings_without_extent(d: Drawing) -> None:
    assert len(classic(d).matrix) == len(rich(d)) == len(d)
    assert np.isnan(rich(d).size) and not np.isinf(rich(d).values).any()


# --- padding and files -----------------------------------------------------------------------------------------------


def test_padding_is_eos_after_the_end_only() -> None:
    code = classic(drawing(FRAME, line(0, 0, 1, 1)))
    padded = code.padded(5)
    assert padded[:, 0].tolist() == [3, 5, 12, 12, 12] and (padded[2:, 1:] == -1).all()
    np.testing.assert_array_equal(ClassicCode.of_padded(padded).matrix, code.matrix)
    assert code.padded().shape == (4096, 46)
    with pytest.raises(DeepDXFError, match="limit=1"):
        code.padded(1)


def broken(row: int, column: int, value: int) -> np.ndarray:
    padded = classic(drawing(FRAME, line(0, 0, 1, 1))).padded(4)
    padded[row, column] = value
    return padded


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 44)), "shape"),
        (np.full((3, 46), 0.5), "whole numbers"),
        (broken(1, 21, 256), "whole numbers"),
        (broken(1, 21, -2), "whole numbers"),
        (broken(1, 0, 13), "unknown class"),
        (broken(1, 0, -1), "unknown class"),
        (broken(3, 0, 5), "before the end"),
        (broken(1, 1, 0), "does not use"),
        (broken(2, 1, 0), "does not use"),
    ],
)
def test_matrices_that_are_no_code(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(DeepDXFError, match=message):
        ClassicCode.of_padded(matrix)


def test_h5_round_trip(tmp_path: Path) -> None:
    code = classic(drawing(FRAME, line(0, 0, 1, 1), circle(5, 5, 1)))
    write_h5(tmp_path / "code.h5", code)
    with h5py.File(tmp_path / "code.h5") as file:
        assert (
            list(file) == ["dxf_vec"] and file["dxf_vec"].shape == (1, 4096, 46) and file["dxf_vec"].dtype == np.int16
        )
    np.testing.assert_array_equal(read_h5(tmp_path / "code.h5").matrix, code.matrix)


def test_h5_of_floats_is_read_and_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    code = classic(drawing(FRAME))
    with h5py.File(path, "w") as file:
        file["dxf_vec"] = code.padded(7)[None].astype(np.float32)
    np.testing.assert_array_equal(read_h5(path).matrix, code.matrix)
    for name, data in (
        ("other", np.zeros((1, 4, 46))),
        ("dxf_vec", np.zeros((4, 46))),
        ("dxf_vec", np.full((1, 4, 46), 0.5)),
    ):
        with h5py.File(path, "w") as file:
            file[name] = data
        with pytest.raises(DeepDXFError, match=r"x\.h5"):
            read_h5(path)
    path.write_bytes(b"no")
    with pytest.raises(DeepDXFError, match=r"x\.h5"):
        read_h5(path)
    with pytest.raises(DeepDXFError, match="cannot write"):
        write_h5(tmp_path / "missing" / "x.h5", code)


# --- rich ------------------------------------------------------------------------------------------------------------


def local(d: Drawing, row: int, name: str) -> float:
    return float(rich(d).values[row, v.column(name)])


def test_local_descriptors_by_hand() -> None:
    d = drawing(FRAME, line(0, 0, 51, 51), circle(100, 100, 25.5), arc(100, 0, 51, 0, 90), line(10, 100, 10, 20))
    assert local(d, 0, "length_log") == pytest.approx(2)  # perimeter = 4 sides
    assert local(d, 1, "length_log") == pytest.approx(np.log2(np.sqrt(2) / 5))
    assert local(d, 1, "width_log") == local(d, 1, "height_log") == pytest.approx(np.log2(0.2))
    assert (local(d, 1, "aspect"), local(d, 4, "aspect")) == pytest.approx((0.5, 0.0), abs=1e-5)
    assert (local(d, 1, "cos2_signed"), local(d, 1, "sin2_signed")) == pytest.approx((0, 1))  # 45°
    assert (local(d, 4, "cos2_signed"), local(d, 4, "sin2_signed")) == pytest.approx((-1, 0))  # 90°
    assert (local(d, 2, "cos2_signed"), local(d, 2, "sin2_signed")) == pytest.approx((0, 0), abs=1e-6)  # round
    assert (local(d, 2, "span"), local(d, 3, "span")) == pytest.approx((1, 0.25)) and np.isnan(local(d, 1, "span"))
    assert [local(d, i, "closed") for i in range(4)] == [1, 0, 1, 0]
    assert (local(d, 0, "vertex_count"), local(d, 1, "vertex_count")) == pytest.approx((np.log2(5), np.log2(3)))
    assert local(d, 2, "delta_x_signed") == pytest.approx((100 - 25.5) / 255) and np.isnan(
        local(d, 0, "delta_x_signed")
    )
    assert local(d, 4, "height_log") == pytest.approx(np.log2(80 / 255)) and local(d, 4, "width_log") == -20
    assert rich(d).size == pytest.approx(np.log10(255 * np.sqrt(2)))


def test_size_is_in_millimetres() -> None:
    d = drawing(line(0, 0, 3, 4))
    assert rich(replace(d, unit_mm=25.4)).size == pytest.approx(np.log10(127))
    assert rich(replace(d, unit_mm=None)).size == pytest.approx(np.log10(5))


def test_shape_is_kept_where_the_mean_point_loses_it() -> None:
    square = [(100, 100), (120, 100), (120, 120), (100, 120)]
    star = [(100, 110), (110, 100), (120, 110), (110, 120)]
    one, other = drawing(FRAME, polyline(square)), drawing(FRAME, polyline(star))
    np.testing.assert_array_equal(classic(one).matrix, classic(other).matrix)
    expected = [(-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0)]
    np.testing.assert_allclose(rich(one).values[1, v.SHAPE_START :].reshape(-1, 2), expected, atol=1e-5)
    assert np.abs(rich(one).values[1, v.SHAPE_START :] - rich(other).values[1, v.SHAPE_START :]).max() > 0.4
    assert not rich(drawing(FRAME, line(0, 0, 1, 1))).present[1, v.SHAPE_START :].any()


def spline(points: list[tuple[float, float]]) -> Drawing:
    d = drawing((C.SPLINE, [(x, y, 1.0) for x, y in points], {"degree": 3.0, "closed": 0.0, "fit": 0.0}))
    inner = len(points) - 3
    knots = np.concatenate([[0] * 3, np.arange(inner + 1) / inner, [1] * 3])
    return replace(d, knots=knots.astype(float), knot_start=np.array([0, len(knots)]))


points_strategy = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.0, 0.5, -1.0, 0.1])), min_size=2, max_size=8
)


@settings(deadline=None, max_examples=60)
@given(points_strategy, st.booleans())
def test_points_along_a_polyline_agree_with_a_walk(points: list[tuple[float, float, float]], closed: bool) -> None:
    """Slow reference: walk 400 chords an arc, one edge after the other."""
    d = drawing(polyline(points, closed))
    walk = [np.array(points[0][:2], float)]
    for (x0, y0, bulge), (x1, y1, _) in zip(points, [*points[1:], points[0]] if closed else points[1:], strict=False):
        p, q = complex(x0, y0), complex(x1, y1)
        for t in np.arange(1, 401) / 400:
            if bulge and p != q:
                half = 2 * np.arctan(bulge)  # half of the sweep; chord = 2 r sin(half)
                z = p + (q - p) * np.sin(half * t) / np.sin(half) * np.exp(1j * half * (t - 1))
            else:
                z = p + (q - p) * t
            walk.append(np.array([z.real, z.imag]))
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(walk, axis=0).T))])
    target = np.arange(8) / (8 if closed else 7) * lengths[-1]
    expected = np.column_stack([np.interp(target, lengths, np.array(walk)[:, i]) for i in range(2)])
    shapes = Shapes.of(d)
    got, total = along(shapes, is_closed(shapes), 8)
    assert total[0] == pytest.approx(lengths[-1], rel=1e-4, abs=1e-9)
    np.testing.assert_allclose(got[0], expected, atol=0.05)


def test_points_along_other_classes_lie_on_them() -> None:
    d = spline([(0, 0), (10, 30), (20, -30), (30, 0), (40, 5)])
    got, total = along(Shapes.of(d), np.zeros(1, bool), 8)
    lines, _ = segments(d)
    assert total[0] == pytest.approx(np.hypot(*(lines[:, 2:] - lines[:, :2]).T).sum())
    np.testing.assert_allclose(got[0, [0, -1]], [(0, 0), (40, 5)], atol=1e-4)
    on_circle, length = along(Shapes.of(drawing(circle(3, 4, 2))), np.ones(1, bool), 4)
    np.testing.assert_allclose(on_circle[0], [(5, 4), (3, 6), (1, 4), (3, 2)], atol=1e-5)
    assert length[0] == pytest.approx(4 * np.pi)


def test_blocks_are_expanded_in_rich_and_one_row_in_classic() -> None:
    document = sample_document()
    d = parse(to_bytes(document))
    code = rich(d)
    assert not (code.cls == C.INSERT).any() and len(code) == int(d.visible.sum())
    assert (code.tags[:, 0] == np.minimum(d.depth[code.row], 3)).all() and code.tags[:, 0].max() == 1
    assert (classic(d).matrix[:, 0] == C.INSERT).sum() == 2 and len(classic(d).matrix) == int((d.depth == 0).sum())


# --- what must not change a code -------------------------------------------------------------------------------------


def sample_document(handles: list[int] | None = None) -> Document:
    document = ezdxf.new("R2010", units=4)
    space = document.modelspace()
    block = document.blocks.new("HOLE")
    block.add_circle((0, 0), 3)
    block.add_line((-5, 0), (5, 0))
    space.add_lwpolyline([(0, 0, 0), (100, 0, 0.5), (100, 60, 0), (0, 60, 0)], format="xyb", close=True)
    space.add_line((0, 0), (100, 60))
    space.add_arc((20, 20), 5, 30, 200)
    space.add_blockref("HOLE", (30, 30))
    space.add_blockref("HOLE", (70, 30), dxfattribs={"rotation": 30, "xscale": 2, "yscale": 2})
    space.add_text("PLATE", height=4, rotation=30).set_placement((10, 70))
    space.add_mtext("two\\Plines", dxfattribs={"char_height": 3, "width": 40, "insert": (50, 80)})
    space.add_spline_control_frame([(0, 0), (10, 20), (30, 5), (50, 30)])
    space.add_open_spline([(0, 0), (10, 20), (30, 5), (50, 30), (60, 60)])
    space.add_solid([(80, 70), (90, 70), (80, 80), (90, 80)])
    space.add_circle((60, 20), 8, dxfattribs={"layer": "Löcher", "color": 3})
    space.add_hatch(color=2).paths.add_polyline_path([(60, 60), (70, 60, 1), (70, 65), (60, 65)], is_closed=True)
    return document


def to_bytes(document: Document) -> bytes:
    stream = io.StringIO()
    document.write(stream)
    return stream.getvalue().encode(document.output_encoding)


def same_codes(a: Drawing, b: Drawing, atol: float = 2e-6) -> None:
    np.testing.assert_array_equal(classic(a).matrix, classic(b).matrix)
    one, other = rich(a), rich(b)
    np.testing.assert_array_equal(one.cls, other.cls)
    np.testing.assert_array_equal(one.bins, other.bins)
    np.testing.assert_array_equal(one.present, other.present)
    np.testing.assert_allclose(one.values, other.values, atol=atol)
    np.testing.assert_array_equal(one.tags, other.tags)


rows_strategy = st.lists(
    st.one_of(
        st.tuples(*[st.integers(0, 40)] * 4).map(lambda p: line(*p)),
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 9)).map(lambda p: circle(*p)),
        st.tuples(
            st.integers(0, 40), st.integers(0, 40), st.integers(1, 9), st.integers(0, 359), st.integers(0, 359)
        ).map(lambda p: arc(*p)),
        st.tuples(points_strategy, st.booleans()).map(lambda p: polyline(*p)),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(rows_strategy, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_moved_drawings_have_the_same_codes(rows: list[Row], dx: float, dy: float) -> None:
    d = drawing(*rows)
    same_codes(d, transform(d, np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])))


@settings(deadline=None, max_examples=40)
@given(rows_strategy, st.sampled_from([25.4, 1 / 25.4, 0.1, 3.0]))
def test_another_scale_changes_the_size_only(rows: list[Row], factor: float) -> None:
    d = drawing(*rows)
    scaled = transform(d, np.array([[factor, 0.0, 0.0], [0.0, factor, 0.0]]))
    if max(d.size) > 0:
        same_codes(d, scaled)
        assert rich(scaled).size == pytest.approx(rich(d).size + np.log10(factor))
        assert rich(replace(scaled, unit_mm=1 / factor)).size == pytest.approx(rich(d).size)


@settings(deadline=None, max_examples=40)
@given(rows_strategy)
def test_codes_stay_in_their_ranges_and_are_deterministic(rows: list[Row]) -> None:
    d = drawing(*rows)
    code = classic(d)
    assert code.matrix.min(initial=0) >= -1 and code.matrix.max(initial=0) <= 255
    ClassicCode.of_padded(code.padded())
    one, other = rich(d), rich(d)
    np.testing.assert_array_equal(one.values, other.values)
    assert (one.present[:, v.LOCAL_START] & ~np.isinf(one.values).any(axis=1)).all()


def test_saved_again_by_either_library() -> None:
    data = to_bytes(sample_document())
    original = parse(data)
    again = ezdxf.read(io.StringIO(data.decode()))
    again.dxfversion = "R2018"
    same_codes(original, parse(to_bytes(again)))
    same_codes(original, parse(cadkit.read(data).to_dxf_bytes()))


def test_file_order_does_not_matter_handles_do() -> None:
    """An older sequence code never sorted by handle: a file written in another order was another sequence."""
    original = parse(to_bytes(sample_document()))
    document = sample_document()
    space = document.modelspace()
    entities = list(space)
    for entity in entities:
        space.unlink_entity(entity)
    for i in np.random.default_rng(3).permutation(len(entities)):
        space.add_entity(entities[i])
    shuffled = parse(to_bytes(document))
    np.testing.assert_array_equal(original.handle, shuffled.handle)
    same_codes(original, shuffled)
    d = drawing(line(0, 0, 1, 1), circle(0, 0, 1))
    assert classic(d.select(np.array([1, 0]))).matrix[:, 0].tolist() != classic(d).matrix[:, 0].tolist()
