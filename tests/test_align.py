"""Alignment against maps that are known, and against drawings with nothing in common."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from drawings import Row, circle, drawing, line, polyline
from hypothesis import given
from hypothesis import strategies as st

from deepdxf.align import IDENTITY, Alignment, align, align_strokes, cells, default_tolerance
from deepdxf.descriptor import KINDS, Strokes, strokes
from deepdxf.drawing import Drawing, FloatArray
from deepdxf.geometry import transform


def part(seed: int = 0, count: int = 60) -> list[Row]:
    """Lines, circles and polylines that lie in no order and look like nothing turned or mirrored."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(count):
        x, y, w, h = *(rng.random(2) * (300, 200)), *(rng.random(2) * 30)
        kind = rng.integers(3)
        if kind == 0:
            rows.append(line(x, y, x + w, y - h))
        elif kind == 1:
            rows.append(circle(x, y, float(rng.choice([2.0, 3.5, 5.0]))))
        else:
            rows.append(polyline([(x, y), (x + w, y), (x + w, y + h)], closed=False))
    return rows


def similarity(
    angle: float = 0.0, scale: float = 1.0, mirror: bool = False, x: float = 0.0, y: float = 0.0
) -> FloatArray:
    t = np.radians(angle)
    turn = scale * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    return np.column_stack([turn @ np.diag([-1.0 if mirror else 1.0, 1.0]), [x, y]])


PART = drawing(*part())


def close(found: Alignment, matrix: FloatArray, drawn: Drawing = PART) -> bool:
    """Whether the map takes the corners of the drawing where ``matrix`` does."""
    x0, y0, x1, y1 = drawn.frame
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x1, y1, 1], [x0, y1, 1]])
    return bool(np.abs(corners @ (found.matrix - matrix).T).max() <= 2 * found.tolerance)


def test_a_drawing_lies_on_itself() -> None:
    found = align(PART, PART)
    assert found.found and not found.moves
    assert (found.cover, found.share, found.residual) == (1.0, 1.0, 0.0)
    assert found.confidence > 0.99


POSES = {
    "moved": (similarity(x=1234.5, y=-77.25), {}),
    "quarter": (similarity(90, x=20, y=3), {"rotation": "quarters"}),
    "half": (similarity(180, x=-500), {"rotation": "quarters"}),
    "mirrored": (similarity(mirror=True, x=9, y=9), {"mirror": True}),
    "mirrored and turned": (similarity(270, mirror=True, y=55), {"mirror": True, "rotation": "quarters"}),
    "any angle": (similarity(33.3, x=100, y=200), {"rotation": "any"}),
    "any angle, mirrored": (similarity(201.7, mirror=True, x=1), {"rotation": "any", "mirror": True}),
    "scaled": (similarity(scale=1.7, x=3, y=4), {"scale": "any"}),
    "scaled and turned": (similarity(90, scale=0.31, x=3), {"scale": "any", "rotation": "quarters"}),
    "all": (similarity(77.1, 2.9, True, -40, 1e4), {"scale": "any", "rotation": "any", "mirror": True}),
}


@pytest.mark.parametrize("name", POSES)
def test_known_poses(name: str) -> None:
    matrix, options = POSES[name]
    found = align(PART, transform(PART, matrix), **options)
    assert found.found and close(found, matrix)
    assert found.share == pytest.approx(1.0, abs=0.35)  # of turned drawings lines and circles alone are compared
    assert found.mirrored == (np.linalg.det(matrix[:, :2]) < 0)


@pytest.mark.parametrize("name", POSES)
def test_added_and_removed_parts_do_not_disturb(name: str) -> None:
    matrix, options = POSES[name]
    kept, added = part()[:40], part(seed=9, count=25)
    other = transform(drawing(*kept, *added), matrix)
    found = align(PART, other, **options)
    assert found.found and close(found, matrix)
    assert 0.4 < found.cover < 0.9


def test_a_pose_that_is_not_allowed_is_not_found() -> None:
    for matrix in (similarity(90), similarity(mirror=True), similarity(scale=1.7)):
        found = align(PART, transform(PART, matrix))
        assert not found.found and not found.moves and found.confidence == 0.0


def test_where_it_fits_nothing_moves() -> None:
    """A frame that stays and a part that moved by less than half of the sheet: the sheet is not moved."""
    frame = [line(*p, *q) for p, q in pairwise([(0, 0), (500, 0), (500, 400), (0, 400), (0, 0)])]
    holes = [circle(20.0 + 11 * k, 30 + 7 * k, 3) for k in range(12)]
    shifted = [circle(23.0 + 11 * k, 30 + 7 * k, 3) for k in range(12)]
    assert not align(drawing(*frame, *holes), drawing(*frame, *shifted)).moves


def test_a_grid_of_equal_holes_stays_and_moves_as_a_whole() -> None:
    grid = drawing(*(circle(10.0 * x, 10.0 * y, 3) for x in range(30) for y in range(20)))
    assert not align(grid, grid).moves
    found = align(grid, transform(grid, similarity(x=3.0, y=-4.0)))
    assert close(found, similarity(x=3.0, y=-4.0), grid) and found.share == 1.0


def test_strokes_over_each_other_count_once_each() -> None:
    one, two = drawing(circle(0, 0, 5), circle(0, 0, 5), line(0, 0, 9, 1)), drawing(circle(0, 0, 5), line(0, 0, 9, 1))
    assert align(one, one).matched == 3
    assert align(one, two).matched == 2


def test_units() -> None:
    from dataclasses import replace

    inch = transform(PART, similarity(scale=1 / 25.4))
    found = align(replace(inch, unit_mm=25.4), PART)
    assert found.scale == pytest.approx(25.4) and found.share == pytest.approx(1.0)
    assert align(replace(inch, unit_mm=None), PART).scale == pytest.approx(25.4)
    # a unit that was only stated anew: the coordinates agree, nothing moves
    assert not align(replace(PART, unit_mm=25.4), PART).moves


@pytest.mark.parametrize(
    "other",
    [drawing(), drawing(circle(5, 5, 123.0)), drawing(*part(seed=3)), drawing(line(0, 0, 0, 0))],
    ids=["empty", "one circle", "another part", "a point"],
)
def test_no_common_geometry_is_a_result(other: Drawing) -> None:
    for a, b in ((PART, other), (other, PART)):
        found = align(a, b, rotation="any", mirror=True, scale="any")
        assert not found.found and np.array_equal(found.matrix, IDENTITY) and found.confidence == 0.0


def test_unrelated_drawings_with_equal_symbols() -> None:
    """Many equal sizes at other places agree nowhere."""
    rng = np.random.default_rng(5)
    one, two = (drawing(*(circle(*(rng.random(2) * 400), 3) for _ in range(150))) for _ in range(2))
    assert not align(one, two).found


def test_strokes_alone_give_the_same_map() -> None:
    other = transform(PART, similarity(x=50, y=60))
    found = align_strokes(strokes(PART), strokes(other), tolerance=default_tolerance(other))
    assert np.allclose(found.matrix, similarity(x=50, y=60))


def test_a_detail_is_found_in_a_sheet() -> None:
    detail = drawing(*part()[:12])
    found = align(transform(detail, similarity(x=-900, y=40)), PART)
    assert close(found, similarity(x=900, y=-40)) and found.cover > 0.95 and found.share < 0.6


def test_inverse() -> None:
    there = align(PART, transform(PART, similarity(90, x=7)), rotation="quarters")
    back = there.inverse()
    product = np.vstack([there.matrix, [0, 0, 1]]) @ np.vstack([back.matrix, [0, 0, 1]])
    assert np.allclose(product, np.eye(3)) and back.rotation == pytest.approx(270.0)


@given(st.integers(0, 20), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.integers(0, 3), st.booleans(), st.data())
def test_any_pose_and_order(seed: int, x: float, y: float, quarters: int, mirror: bool, data: st.DataObject) -> None:
    rows = part(seed, 25)
    matrix = similarity(90.0 * quarters, mirror=mirror, x=x, y=y)
    shuffled = drawing(*data.draw(st.permutations(rows)))
    found = align(drawing(*rows), transform(shuffled, matrix), rotation="quarters", mirror=True)
    assert close(found, matrix, drawing(*rows))


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=40))
def test_cells_hold_all_that_is_near(points: list[tuple[int, float, float]]) -> None:
    kind = np.array([p[0] for p in points])
    columns = np.array([p[1:] for p in points])
    label = cells(kind, columns, 0.5)
    near = (np.abs(columns[:, None] - columns[None]).max(axis=2) <= 0.5) & (kind[:, None] == kind[None])
    assert (label[:, None] == label[None])[near].all()
    assert ((kind[:, None] == kind[None]) | (label[:, None] != label[None])).all()


def test_boxes_that_are_no_numbers_are_left_out() -> None:
    pen = strokes(PART)
    broken = Strokes(
        np.append(pen.kind, KINDS.index("text")), np.vstack([pen.box, np.full(4, np.nan)]), np.append(pen.length, 1.0)
    )
    assert align_strokes(broken, broken).share == 1.0
