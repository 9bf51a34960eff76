"""Maps, boxes and segments, against dense samples of the curves themselves and against ezdxf."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from ezdxf.math import BSpline, bulge_to_arc
from hypothesis import given
from hypothesis import strategies as st

from deepdxf.drawing import Drawing, EntityClass
from deepdxf.geometry import Shapes, bulge_arcs, conic_arc, segments, transform
from tests.drawings import Row, circle, drawing, line, polyline

C = EntityClass
numbers = st.floats(-50, 50).map(lambda x: round(x, 3))
points = st.tuples(numbers, numbers)
angles = st.floats(0, 360).map(lambda x: round(x, 2))
bulges = st.one_of(st.just(0.0), st.floats(0.05, 4), st.floats(-4, -0.05))


def arc(x: float, y: float, radius: float, start: float, end: float) -> Row:
    return C.ARC, [(x, y)], {"radius": radius, "start": start, "end": end}


def text(x: float, y: float, height: float, rotation: float, width: float, halign: float, valign: float) -> Row:
    values = {"height": height, "rotation": rotation, "width": width, "halign": halign, "valign": valign}
    return C.TEXT, [(x, y)], values


sizes = st.floats(0.1, 20).map(lambda x: round(x, 3))
fractions = st.sampled_from([0.0, 0.5, 1.0])
rows = st.one_of(
    st.builds(line, numbers, numbers, numbers, numbers),
    st.builds(circle, numbers, numbers, sizes),
    st.builds(arc, numbers, numbers, sizes, angles, angles),
    st.builds(polyline, st.lists(st.tuples(numbers, numbers, bulges), min_size=1, max_size=5), st.booleans()),
    st.builds(text, numbers, numbers, sizes, angles, sizes, fractions, fractions),
)
drawings = st.lists(rows, min_size=1, max_size=5).map(lambda content: drawing(*content))


@st.composite
def similarities(draw: st.DrawFn) -> np.ndarray:
    angle, scale = math.radians(draw(angles)), draw(sizes)
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    mirror = draw(st.sampled_from([1, -1]))
    return np.array([[a, -b * mirror, draw(numbers)], [b, a * mirror, draw(numbers)]])


@st.composite
def affinities(draw: st.DrawFn) -> np.ndarray:
    one, two = draw(similarities()), draw(similarities())
    return np.column_stack([one[:, :2] @ np.diag([1, draw(st.floats(0.2, 3))]) @ two[:, :2] / 10, one[:, 2]])


def inverse(matrix: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def curve(d: Drawing, row: int, count: int = 400) -> np.ndarray:
    """(m, 2) points on one row, one by one from the definition of its class."""
    cls, p = d.cls[row], d.points(row)
    t = np.linspace(0, 1, count)[:, None]
    if cls in (C.CIRCLE, C.ARC):
        radius = d.scalars[row, 0]
        start, end = (0.0, 360.0) if cls == C.CIRCLE else d.scalars[row, 1:3]
        sweep = (end - start) % 360
        sweep = sweep if sweep > 1e-9 else 360.0
        angle = np.radians(start + sweep * t)
        return p[0, :2] + radius * np.hstack([np.cos(angle), np.sin(angle)])
    if cls == C.TEXT:
        height, rotation, width, halign, valign = d.scalars[row, :5]
        along = np.array([math.cos(math.radians(rotation)), math.sin(math.radians(rotation))])
        up = np.array([-along[1], along[0]])
        corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
        return np.array([p[0, :2] + (u - halign) * width * along + (v - valign) * height * up for u, v in corners])
    pieces = [p[:1, :2]]
    closed = cls == C.LWPOLYLINE and d.scalars[row, 0] == 1
    for a, b in zip(p, np.roll(p, -1, axis=0) if closed else p[1:], strict=False):
        if a[2] and cls == C.LWPOLYLINE and math.dist(a[:2], b[:2]) > 0:
            centre, start, end, radius = bulge_to_arc(a[:2], b[:2], a[2])  # counter-clockwise, radians
            angle = start + ((end - start) % (2 * math.pi)) * t
            pieces.append(np.array([centre.x, centre.y]) + radius * np.hstack([np.cos(angle), np.sin(angle)]))
        else:
            pieces.append(a[:2] + t * (b[:2] - a[:2]))
    return np.concatenate(pieces)


def nearest(p: np.ndarray, lines: np.ndarray) -> np.ndarray:
    a, along = lines[:, :2], lines[:, 2:] - lines[:, :2]
    t = np.clip(((p[:, None] - a) * along).sum(2) / np.maximum((along**2).sum(1), 1e-300), 0, 1)
    return np.linalg.norm(p[:, None] - (a + t[:, :, None] * along), axis=2).min(1)


@given(drawings)
def test_boxes_hold_the_curves_tightly(d: Drawing) -> None:
    for row in range(len(d)):
        p = curve(d, row)
        np.testing.assert_allclose(d.box[row, :2], p.min(0), atol=2e-2)
        np.testing.assert_allclose(d.box[row, 2:], p.max(0), atol=2e-2)
        assert (d.box[row, :2] <= p.min(0) + 1e-9).all() and (d.box[row, 2:] >= p.max(0) - 1e-9).all()


@given(drawings, st.sampled_from([0.5, 0.05]))
def test_segments_follow_the_curves(d: Drawing, tolerance: float) -> None:
    lines, owner = segments(d, tolerance)
    assert (np.diff(owner) >= 0).all()
    for row in range(len(d)):
        own = lines[owner == row]
        p = curve(d, row)
        if np.ptp(p, axis=0).max() > 0 and len(own):
            assert nearest(p, own).max() < tolerance * 1.01 + 1e-9
            assert nearest(own.reshape(-1, 2), np.hstack([p[:-1], p[1:]])).max() < 2e-2 or d.cls[row] == C.TEXT


@given(drawings, similarities())
def test_a_similarity_moves_every_point(d: Drawing, matrix: np.ndarray) -> None:
    moved = transform(d, matrix)
    assert np.array_equal(moved.cls, d.cls) and np.array_equal(moved.vertex_start, d.vertex_start)
    for row in range(len(d)):
        expected = curve(d, row) @ matrix[:, :2].T + matrix[:, 2]
        found = curve(moved, row)
        gap = np.linalg.norm(found[:, None] - expected, axis=2)
        spacing = np.linalg.norm(np.diff(expected, axis=0), axis=1).max(initial=0) + 1e-6
        assert gap.min(0).max() <= spacing and gap.min(1).max() <= spacing


@given(drawings, similarities())
def test_a_similarity_and_its_inverse_change_nothing(d: Drawing, matrix: np.ndarray) -> None:
    back = transform(transform(d, matrix), inverse(matrix))
    np.testing.assert_allclose(back.vertices, d.vertices, atol=1e-8)
    np.testing.assert_allclose(back.box, d.box, atol=1e-8)
    gap = np.abs(np.nan_to_num(back.scalars) - np.nan_to_num(d.scalars))
    assert np.minimum(gap, np.abs(gap - 360)).max(initial=0) < 1e-8


@given(st.lists(rows.filter(lambda row: row[0] != C.TEXT), min_size=1, max_size=4), affinities())
def test_an_affinity_bends_shapes_as_it_bends_their_points(content: list[Row], matrix: np.ndarray) -> None:
    d = drawing(*content)
    bent = transform(d, matrix)
    lines, owner = segments(bent, 1e-3)
    for row in range(len(d)):
        p = curve(d, row, 100) @ matrix[:, :2].T + matrix[:, 2]
        own = lines[owner == row]
        if len(own):
            # splines are sampled eight times a quarter turn, bulges become sixteen chords
            assert nearest(p, own).max() <= 2e-2 * np.ptp(p, axis=0).max() + 1e-6


def test_a_stretched_circle_is_the_exact_ellipse() -> None:
    bent = transform(drawing(circle(0, 0, 2), arc(0, 0, 2, 30, 200)), np.array([[3.0, 0, 1], [0, 1.0, 2]]))
    assert bent.class_counts() == {"SPLINE": 2}
    lines, owner = segments(bent)
    x, y = ((lines.reshape(-1, 2) - [1, 2]) / [6, 2]).T
    np.testing.assert_allclose(x**2 + y**2, 1, atol=1e-12)
    ends = lines[owner == 1]
    for point, angle in ((ends[0, :2], 30), (ends[-1, 2:], 200)):
        radians = math.radians(angle)
        np.testing.assert_allclose(point, [1 + 6 * math.cos(radians), 2 + 2 * math.sin(radians)], atol=1e-12)


@given(points, points, bulges.filter(bool))
def test_bulges_as_ezdxf_reads_them(p: tuple[float, float], q: tuple[float, float], bulge: float) -> None:
    if math.dist(p, q) < 1e-2:
        return
    centre, radius, start, sweep = (a[0] for a in bulge_arcs(np.array([p]), np.array([q]), np.array([bulge])))
    c, begin, end, r = bulge_to_arc(p, q, bulge)
    np.testing.assert_allclose([*centre, radius], [c.x, c.y, r], atol=1e-6 * (1 + r))
    expected = begin if bulge > 0 else end  # the other library always runs counter-clockwise
    assert math.isclose(math.cos(start - expected), 1, abs_tol=1e-6)
    assert math.isclose(math.tan(sweep / 4), bulge, rel_tol=1e-9)


@given(st.floats(0, 6), st.floats(0.01, 6.28))
def test_conic_arcs_are_circles_for_another_library(start: float, sweep: float) -> None:
    control, knots = (a[0] for a in conic_arc(np.array([start]), np.array([start + sweep])))
    oracle = BSpline(control[:, :2].tolist(), order=3, knots=knots.tolist(), weights=control[:, 2].tolist())
    p = np.array([(v.x, v.y) for v in oracle.approximate(40)])
    np.testing.assert_allclose(np.hypot(*p.T), 1, atol=1e-9)
    np.testing.assert_allclose(p[[0, -1]], [[math.cos(a), math.sin(a)] for a in (start, start + sweep)], atol=1e-9)


@given(st.integers(1, 4), st.lists(points, min_size=5, max_size=8), st.data())
def test_spline_samples_lie_on_the_curve_of_ezdxf(
    degree: int, control: list[tuple[float, float]], data: st.DataObject
) -> None:
    inner = sorted(
        data.draw(st.lists(st.integers(1, 9), min_size=len(control) - degree - 1, max_size=len(control) - degree - 1))
    )
    knots = [0.0] * (degree + 1) + [k / 10 for k in inner] + [1.0] * (degree + 1)
    weights = data.draw(st.lists(st.floats(0.2, 3), min_size=len(control), max_size=len(control)))
    base = drawing((C.SPLINE, [(*p, w) for p, w in zip(control, weights, strict=True)], {"degree": float(degree)}))
    shapes = Shapes.of(base)
    shapes.knots, shapes.knot_start = np.array(knots), np.array([0, len(knots)])
    from deepdxf.geometry import spline_samples

    samples, _ = spline_samples(shapes)
    oracle = BSpline(control, order=degree + 1, knots=knots, weights=weights)
    spans = [(a, b) for a, b in pairwise(knots) if b > a]
    assert len(samples) == len(spans)
    for found, (a, b) in zip(samples, spans, strict=True):
        expected = [(v.x, v.y) for v in oracle.points(np.linspace(a, b, len(found))[:-1])]
        np.testing.assert_allclose(found[:-1], expected, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_turns_by_right_angles_keep_angles_exact(scale: float) -> None:
    d = drawing(arc(1, 1, 2, 10, 80))
    moved = transform(d, np.array([[0.0, -scale, 0], [scale, 0.0, 0]]))
    assert moved.scalars[0, 1:3].tolist() == [100.0, 170.0]
    mirrored = transform(d, np.array([[-scale, 0.0, 0], [0.0, scale, 0]]))
    assert mirrored.scalars[0, 1:3].tolist() == [100.0, 170.0]
