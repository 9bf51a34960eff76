"""The value type: rows, names, frame, status."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepdxf.drawing import NOTES, PARTIAL, SCALARS, EntityClass, Problem, gather_ranges, robust_frame
from tests.drawings import circle, drawing, line, polyline
from tests.dxf import block, insert
from tests.dxf import drawing as read_drawing
from tests.dxf import line as dxf_line

C = EntityClass


def test_every_class_has_its_scalars() -> None:
    assert set(SCALARS) == set(C) - {C.EOS}
    assert all(len(set(names)) == len(names) for names in SCALARS.values())


def test_access_by_row_and_class() -> None:
    d = drawing(line(0, 0, 1, 2), circle(5, 5, 3), polyline([(0, 0, 1), (4, 0)]), circle(6, 6, 1))
    assert len(d) == 4 and d.class_counts() == {"LWPOLYLINE": 1, "LINE": 1, "CIRCLE": 2}
    assert d.rows(C.CIRCLE).tolist() == [1, 3] and d.scalar(C.CIRCLE, "radius").tolist() == [3, 1]
    assert d.points(2).tolist() == [[0, 0, 1], [4, 0, 0]] and d.text(0) == ""
    assert d.size == (8.0, 10.0)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([], "ok"),
        (["projected"], "ok"),
        (["decimal-comma", "projected"], "repaired"),
        (["repaired", "truncated"], "partial"),
        (["truncated", "too-large", "repaired"], "too large"),
    ],
)
def test_status(found: list[str], status: str) -> None:
    assert replace(drawing(line(0, 0, 1, 1)), problems=tuple(Problem(c, c) for c in found)).status == status
    assert not PARTIAL & NOTES


def test_select_keeps_the_tree_of_blocks() -> None:
    outer = block("IN", dxf_line(0, 0, 1, 0) * 2) + block("OUT", insert("IN") + dxf_line(5, 5, 6, 6))
    d = read_drawing(insert("OUT") + dxf_line(9, 9, 8, 8), outer)
    assert d.depth.tolist() == [0, 1, 2, 2, 1, 0] and d.parent.tolist() == [-1, 0, 1, 1, 0, -1]
    part = d.select(np.array([0, 1, 3, 5]))
    assert part.depth.tolist() == [0, 1, 2, 0] and part.parent.tolist() == [-1, 0, 1, -1]
    part = d.select(d.cls == C.LINE)
    assert part.parent.tolist() == [-1] * 4 and part.depth.tolist() == [0] * 4
    assert [part.points(i).tolist() for i in range(4)] == [d.points(i).tolist() for i in (2, 3, 4, 5)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_gather_ranges_is_the_loop(lengths: list[int], data: st.DataObject) -> None:
    start = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1))), np.int64)
    index, new_start = gather_ranges(start, rows)
    expected = [i for row in rows for i in range(start[row], start[row + 1])]
    assert index.tolist() == expected and new_start.tolist() == [0, *np.cumsum([lengths[row] for row in rows])]


def boxes_of(points: list[tuple[float, float]]) -> np.ndarray:
    return np.array([[x, y, x + 1, y + 1] for x, y in points], float)


def test_frame_forgets_strays_and_keeps_the_rest() -> None:
    part = [(float(i % 10), float(i // 10)) for i in range(100)]
    assert robust_frame(boxes_of(part)).tolist() == [0, 0, 10, 10]
    assert robust_frame(boxes_of([*part, (1e10, 0.0)])).tolist() == [0, 0, 10, 10]
    assert robust_frame(boxes_of([*part, (-1e5, 7.0), (1e5, 1e7)])).tolist() == [0, 0, 10, 10]
    assert robust_frame(boxes_of([*part, (50.0, 0.0)])).tolist() == [0, 0, 51, 10]  # a note beside the part is no stray
    two = [*part, *((x + 1000, y) for x, y in part)]
    assert robust_frame(boxes_of(two)).tolist() == [0, 0, 1010, 10]  # two views far apart
    assert robust_frame(boxes_of([(0, 0), (1e9, 0)])).tolist() == [0, 0, 1e9 + 1, 1]
    assert robust_frame(np.zeros((0, 4))).tolist() == [0, 0, 0, 0]
    assert robust_frame(np.full((2, 4), np.inf)).tolist() == [0, 0, 0, 0]


@given(arrays(float, st.tuples(st.integers(1, 40), st.just(2)), elements=st.floats(-1e12, 1e12)))
def test_frame_holds_nearly_all_boxes(corner: np.ndarray) -> None:
    box = np.concatenate([corner, corner + 1], axis=1)
    frame = robust_frame(box)
    inside = (box[:, :2] >= frame[:2]).all(1) & (box[:, 2:] <= frame[2:]).all(1)
    assert inside.sum() >= len(box) - 4 * max(1, int(0.02 * len(box)))
    if len(box) < 4:
        assert inside.all()
