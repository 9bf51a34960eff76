"""Dirt in drawings: by hand, against a slow reference, and that it changes no score and no list of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.clean import KINDS, clean, find, places
from deepdxf.compare import compare
from deepdxf.descriptor import Descriptor
from deepdxf.drawing import Drawing, EntityClass
from deepdxf.encoder import Switches, similarity
from deepdxf.geometry import transform
from deepdxf.reader import parse
from deepdxf.verify import sketch, verify
from tests import dxf
from tests.drawings import Row, circle, drawing, line, polyline

C = EntityClass
OUTLINE: list[Row] = [line(0, 0, 200, 0), line(200, 0, 200, 120), line(200, 120, 0, 120), line(0, 120, 0, 0)]
HOLES: list[Row] = [circle(20, 20, 4), circle(180, 20, 4), circle(180, 100, 4), circle(20, 100, 6)]
PLATE = drawing(*OUTLINE, *HOLES)


def arc(x: float, y: float, radius: float, start: float, end: float) -> Row:
    return C.ARC, [(x, y)], {"radius": radius, "start": start, "end": end}


def counts(*rows: Row) -> dict[str, int]:
    """Dirt of the plate with these rows."""
    return find(drawing(*OUTLINE, *HOLES, *rows)).counts


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_clean_drawing_stays_the_same_object() -> None:
    assert find(PLATE).counts == {}
    assert clean(PLATE) is PLATE
    empty = drawing()
    assert find(empty).counts == {} and clean(empty) is empty


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (OUTLINE[1], "double"),
        (line(200, 0, 0, 0), "double"),  # from its other end
        (polyline([(0, 120), (0, 0)], closed=False), "double"),  # a polyline of one edge
        (HOLES[3], "double"),
        (line(10, 0, 60, 0), "covered"),
        (line(60, 0, 10, 0), "covered"),
        (line(200, 0, 200, 30), "covered"),
        (line(5, 5, 5, 5), "empty"),
        (polyline([(5, 5), (5, 5), (5, 5)]), "empty"),
        (arc(5, 5, 0, 0, 90), "empty"),
        (line(200, 0, 230, 0), ""),  # from a corner, where two lines meet already
        (line(10, 0, 60, 1), ""),
        (line(10, 0.01, 60, 0.01), ""),
        (circle(20, 100, 6.01), ""),
        (arc(20, 20, 4, 0, 90), ""),
    ],
)
def test_kinds(row: Row, kind: str) -> None:
    assert counts(row) == ({kind: 1} if kind else {})


def test_polylines_from_any_corner_either_way() -> None:
    points = [(10.0, 10.0, 0.3), (40.0, 10.0, 0.0), (40.0, 30.0, -0.5), (12.0, 28.0, 0.0)]
    turned = [(x, y, -points[k - 1][2]) for k, (x, y, _) in enumerate(points)][::-1]
    first = drawing(*OUTLINE, polyline(points), polyline(points[2:] + points[:2]), polyline(turned))
    assert find(first).double.tolist() == [[5, 4], [6, 4]]
    bent = [(x, y, -bulge) for x, y, bulge in points]
    assert find(drawing(*OUTLINE, polyline(points), polyline(bent))).counts == {}
    assert find(drawing(*OUTLINE, polyline(points), polyline(points, closed=False))).counts == {}


def test_repeated_and_straight_vertices() -> None:
    dirty = drawing(*OUTLINE, polyline([(10, 10), (10, 10), (30, 10), (60, 10), (60, 40), (60, 40), (10, 10)]))
    found = find(dirty)
    assert found.counts == {"repeated": 3, "straight": 1}
    assert clean(dirty).points(4)[:, :2].tolist() == [[10, 10], [60, 10], [60, 40]]
    assert find(clean(dirty)).counts == {}
    # the bulge is that of the edge that stays
    bent = drawing(*OUTLINE, polyline([(10, 10, 0.7), (10, 10, 0.2), (30, 10, 0.4)]))
    assert clean(bent).points(4).tolist() == [[10, 10, 0.2], [30, 10, 0.4]]
    assert np.array_equal(clean(bent).box, bent.box)


def test_lines_that_continue_each_other_become_one() -> None:
    pieces = drawing(*OUTLINE[1:], line(80, 0, 0, 0), line(200, 0, 120, 0), line(120, 0, 80, 0), *HOLES)
    assert find(pieces).counts == {"continued": 2}
    whole = clean(pieces)
    assert sorted(map(tuple, whole.points(3)[:, :2].tolist())) == [(0, 0), (200, 0)]
    assert whole.handle.tolist() == [1, 2, 3, 4, 7, 8, 9, 10]
    assert whole.box[3].tolist() == [0, 0, 200, 0]
    # a third line that begins there is a corner that somebody drew; lines that overlap are one all the same
    assert counts(line(10, 10, 50, 10), line(50, 10, 90, 10), line(50, 10, 50, 60)) == {}
    assert counts(line(10, 10, 55, 10), line(50, 10, 90, 10), line(50, 10, 50, 60)) == {"continued": 1}
    assert counts(line(10, 10, 50, 10), line(50, 10, 90, 10.1)) == {}


def test_layers() -> None:
    def sheet(other: str) -> Drawing:
        text = dxf.line(0, 0, 100, 0) + dxf.line(100, 0, 100, 60) + dxf.line(0, 0, 0, 60)
        return parse(dxf.encode(dxf.document(text + other)))

    assert find(sheet("0 LINE, 8 CUT, 10 0, 20 0, 30 0, 11 100, 21 0, 31 0,")).counts == {"double": 1}
    assert find(sheet("0 LINE, 8 CUT, 10 0, 20 0, 30 0, 11 50, 21 0, 31 0,")).counts == {}
    assert find(sheet("0 LINE, 8 0, 10 0, 20 0, 30 0, 11 50, 21 0, 31 0,")).counts == {"covered": 1}


def test_points_and_texts() -> None:
    lines = "".join(dxf.line(*p) for p in ((0, 0, 100, 0), (100, 0, 100, 60), (0, 0, 0, 60)))
    point = "0 POINT, 8 0, 10 7, 20 7, 30 0,"
    words = [f"0 TEXT, 8 0, 10 9, 20 9, 30 0, 40 2.5, 1 {value}," for value in ("M6", "M6", "M8", " ")]
    found = find(parse(dxf.encode(dxf.document(lines + point + "".join(words)))))
    assert found.counts == {"double": 1, "empty": 1}


def test_lines_in_pieces_score_as_if_they_were_whole() -> None:
    pieces = drawing(*OUTLINE[1:], line(80, 0, 0, 0), line(200, 0, 120, 0), line(120, 0, 80, 0), *HOLES)
    assert similarity(ENCODER, PLATE, pieces).overall == 1.0


def test_a_block_that_lies_twice_in_one_place_goes_as_a_whole() -> None:
    block = f"0 BLOCK, 2 B, 70 0, 10 0, 20 0, 30 0, {dxf.line(0, 0, 9, 0)} {dxf.line(0, 0, 0, 9)} 0 ENDBLK,"
    insert = "0 INSERT, 8 0, 2 B, 10 5, 20 5, 30 0,"
    lines = "".join(dxf.line(*p) for p in ((0, 0, 100, 0), (100, 0, 100, 60), (0, 0, 0, 60)))
    dirty = parse(dxf.encode(dxf.document(lines + insert + insert, block)))
    assert len(dirty) == 9 and find(dirty).counts == {"double": 2}
    assert clean(dirty).class_counts() == {"LINE": 5, "INSERT": 1}


def test_places_name_what_to_look_at() -> None:
    dirty = drawing(*OUTLINE, *HOLES, HOLES[0], line(10, 0, 60, 0), line(7, 8, 7, 8))
    rows = places(dirty, find(dirty))
    assert [(row["kind"], row["class"], row["handle"], row["of"]) for row in rows] == [
        ("double", "CIRCLE", "9", "5"),
        ("covered", "LINE", "A", "1"),
        ("empty", "LINE", "B", ""),
    ]
    assert (rows[2]["x"], rows[2]["y"]) == (7, 8)
    assert {row["kind"] for row in rows} <= set(KINDS)


# --- invariances -----------------------------------------------------------------------------------------------------

NUMBER = st.integers(0, 12).map(lambda k: 7.5 * k)
POINT = st.tuples(NUMBER, NUMBER)
BULGED = st.tuples(NUMBER, NUMBER, st.sampled_from([0.0, 0.0, 0.5, -1.0]))
ROWS = st.one_of(
    st.tuples(POINT, POINT).filter(lambda ends: ends[0] != ends[1]).map(lambda ends: line(*ends[0], *ends[1])),
    st.tuples(POINT, st.sampled_from([2.0, 5.0])).map(lambda c: circle(*c[0], c[1])),
    st.tuples(POINT, st.sampled_from([0.0, 90.0])).map(lambda a: arc(*a[0], 6.0, a[1], a[1] + 90.0)),
    st.tuples(st.lists(BULGED, min_size=2, max_size=5), st.booleans()).map(lambda p: polyline(*p)),
)
ENCODER = Descriptor()
DRAWINGS = st.lists(ROWS, min_size=3, max_size=14).map(lambda rows: [*OUTLINE[:2], *rows])


def dirtied(rows: list[Row], picks: list[int], spot: tuple[float, float]) -> Drawing:
    """The rows with some of them twice, lines from their other end, and something of no length."""
    again = [rows[pick % len(rows)] for pick in picks]
    again = [(cls, points[::-1], values) if cls == C.LINE else (cls, points, values) for cls, points, values in again]
    return drawing(*rows, *again, line(*spot, *spot))


@settings(max_examples=60, deadline=None)
@given(DRAWINGS, st.lists(st.integers(0, 30), min_size=1, max_size=5), POINT)
def test_dirt_changes_nothing(rows: list[Row], picks: list[int], spot: tuple[float, float]) -> None:
    plain, dirty = drawing(*rows), dirtied(rows, picks, spot)
    found = find(dirty)
    assert len(found.double) + len(found.empty) > len(picks)
    one, two = clean(plain), clean(dirty)
    assert len(one) == len(two) and np.array_equal(one.handle, two.handle)
    assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.frame, two.frame)
    assert similarity(ENCODER, plain, dirty).overall == 1.0
    assert verify(sketch(plain), sketch(dirty), Switches()) == 1.0


@settings(max_examples=40, deadline=None)
@given(DRAWINGS, st.lists(st.integers(0, 30), min_size=1, max_size=5), POINT, st.integers(0, 30))
def test_dirt_changes_no_comparison(rows: list[Row], picks: list[int], spot: tuple[float, float], lost: int) -> None:
    plain, dirty = drawing(*rows), dirtied(rows, picks, spot)
    assert not compare(plain, dirty).differences and not compare(dirty, plain).differences
    other = drawing(*rows[: lost % len(rows)], *rows[lost % len(rows) + 1 :], circle(300, 300, 9))
    expected, found = compare(plain, other), compare(dirty, other)
    for kind in ("added", "removed", "changed", "moved"):
        assert len(found.of(kind)) == len(expected.of(kind))


@settings(max_examples=30, deadline=None)
@given(DRAWINGS, st.integers(0, 3), st.booleans(), POINT)
def test_moving_and_turning_changes_nothing(
    rows: list[Row], turns: int, mirrored: bool, by: tuple[float, float]
) -> None:
    dirty = drawing(*rows, rows[2], rows[-1])
    linear = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), turns) @ np.diag(
        [-1.0 if mirrored else 1.0, 1.0]
    )
    moved = transform(dirty, np.column_stack([linear, [by[0] / 3 + 1e4, by[1] / 7]]))
    assert find(moved).counts == find(dirty).counts
    assert np.array_equal(clean(moved).handle, clean(dirty).handle)


def test_cleaning_again_finds_nothing() -> None:
    rng = np.random.default_rng(5)
    ends = rng.integers(0, 6, (400, 4))
    lines = [line(*map(float, p)) for p in ends]
    once = clean(drawing(*lines))
    left = find(once).counts
    assert not left.keys() - {"continued", "covered"}
    assert 0 < len(once) < len({tuple(sorted([(a, b), (c, d)])) for a, b, c, d in ends.tolist()})


def test_covered_lines_against_a_slow_reference() -> None:
    rng = np.random.default_rng(2)
    ends = [p for p in rng.integers(0, 5, (60, 4)).tolist() if p[:2] != p[2:]]
    ends = list({tuple(sorted([tuple(p[:2]), tuple(p[2:])])): None for p in ends})
    dirty = drawing(*(line(*map(float, (*p, *q))) for p, q in ends))

    def within(inner: tuple, outer: tuple) -> bool:
        (p, q), (a, b) = inner, outer
        d = (b[0] - a[0], b[1] - a[1])
        level = all(d[0] * (x[1] - a[1]) == d[1] * (x[0] - a[0]) for x in (p, q))
        along = [d[0] * (x[0] - a[0]) + d[1] * (x[1] - a[1]) for x in (p, q)]
        return level and min(along) >= 0 and max(along) <= d[0] ** 2 + d[1] ** 2

    expected = {i for i, one in enumerate(ends) if any(i != j and within(one, two) for j, two in enumerate(ends))}
    assert expected and set(find(dirty).covered[:, 0].tolist()) == expected
