"""Geometry codes: hand-worked drawings, slow references, bounds, and what must not change them."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf import graph as g
from deepdxf.drawing import Drawing
from deepdxf.drawing import EntityClass as C
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import transform
from deepdxf.graph import Relation as R
from deepdxf.reader import read
from deepdxf.sequence import rich
from tests.drawings import Row, circle, drawing, line, polyline

REACH = 12
box_strategy = st.tuples(*[st.integers(0, REACH)] * 4).map(
    lambda p: (min(p[0], p[2]), min(p[1], p[3]), max(p[0], p[2]), max(p[1], p[3]))
)
boxes_strategy = st.lists(box_strategy, max_size=30).map(lambda rows: np.array(rows, np.int64).reshape(-1, 4))


def edges_of(d: Drawing, relation: R) -> set[tuple[int, int]]:
    graph = g.entity_graph(d, rich(d))
    chosen = graph.relation == relation
    return set(zip(*graph.edges[:, chosen].tolist(), strict=True))


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Row:
    return polyline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


# --- class graph -----------------------------------------------------------------------------------------------------


def test_class_graph_of_five_lines_and_a_circle() -> None:
    """Three lines meet the circle's box, two are elsewhere."""
    d = drawing(
        line(0, 0, 10, 10),
        line(0, 10, 4, 6),
        line(5, 20, 5, 8),
        circle(5, 5, 3),
        line(50, 50, 60, 60),
        line(80, 0, 90, 0),
    )
    result = g.class_graph(d)
    line_row, circle_row = result.matrix[C.LINE], result.matrix[C.CIRCLE]
    assert line_row[0] == 1.0  # the two lines on their own are all that is on its own
    assert line_row[1 + C.LINE] == 0.0 and line_row[1 + C.CIRCLE] == 1.0
    assert circle_row[0] == 0.0 and circle_row[1 + C.LINE] == 1.0 and circle_row[1 + C.CIRCLE] == 0.0
    absent = [c for c in range(10) if c not in (C.LINE, C.CIRCLE)]
    assert (result.matrix[absent] == -1).all() and (result.matrix[:, [1 + c for c in absent]] == -1).all()
    expected = np.zeros((10, 10))
    expected[C.LINE, C.CIRCLE] = expected[C.CIRCLE, C.LINE] = 1
    np.testing.assert_array_equal(result.successor, expected)
    np.testing.assert_array_equal(result.overlap, expected)


def test_class_graph_normalisations_by_hand() -> None:
    counts = np.zeros((10, 11), np.int64)
    counts[C.LINE, [0, 1 + C.CIRCLE, 1 + C.ARC]] = 3, 1, 3
    counts[C.CIRCLE, 0] = 1
    counts[C.ARC, 1 + C.LINE] = 2
    entities = np.zeros(10, np.int64)
    entities[[C.LINE, C.CIRCLE, C.ARC]] = 5, 1, 2
    matrix = g.class_matrix(counts, entities)
    present = [C.ARC, C.LINE, C.CIRCLE]
    np.testing.assert_array_equal(matrix[present][:, 0], [0, 0.75, 0.25])  # down the column
    np.testing.assert_array_equal(
        matrix[present][:, [1 + c for c in present]], [[0, 1, 0], [0.75, 0, 0.25], [0, 0, 0]]
    )  # along rows
    assert (matrix == -1).sum() == 7 * 11 + 3 * 7


def test_successor_and_overlap_are_different_graphs() -> None:
    """A line, then a circle far away, then an arc over the line."""
    arc = (C.ARC, [(0, 0)], {"radius": 5.0, "start": 0.0, "end": 90.0})
    result = g.class_graph(drawing(line(0, 0, 10, 10), circle(100, 100, 5), arc))
    assert {tuple(e) for e in np.argwhere(result.successor)} == {(4, 6), (6, 4), (5, 6), (6, 5)}
    assert {tuple(e) for e in np.argwhere(result.overlap)} == {(4, 5), (5, 4)}


def test_splines_and_solids_are_merged_out() -> None:
    solid = (C.SOLID, [(0, 0), (10, 0), (0, 10)], {"filled": 1.0})
    result = g.class_graph(drawing(solid, line(0, 0, 10, 10)))
    assert result.matrix.shape == (10, 11)
    assert result.matrix[C.HATCH, 1 + C.LINE] == 1.0 and result.successor[C.HATCH, C.LINE] == 1


def inserted(*content: Row, parents: list[int], depths: list[int]) -> Drawing:
    d = drawing(*content)
    return replace(d, parent=np.array(parents), depth=np.array(depths, np.uint8))


INSERT: Row = (C.INSERT, [(500, 500)], {"xscale": 1.0, "yscale": 1.0, "rotation": 0.0})


def test_an_insert_has_the_box_of_its_content() -> None:
    """Older codes took its insertion point."""
    d = inserted(
        INSERT, INSERT, circle(5, 5, 5), line(20, 20, 30, 25), INSERT, parents=[-1, 0, 1, 0, -1], depths=[0, 1, 2, 1, 0]
    )
    np.testing.assert_array_equal(g.content_boxes(d)[:2], [[0, 0, 30, 25], [0, 0, 10, 10]])
    np.testing.assert_array_equal(g.content_boxes(d)[4], [500, 500, 500, 500])  # without content
    over = inserted(INSERT, circle(5, 5, 5), line(8, 8, 30, 25), parents=[-1, 0, -1], depths=[0, 1, 0])
    assert g.class_graph(over).overlap[C.INSERT, C.LINE] == 1


def slow_counts(box: np.ndarray, node: np.ndarray) -> np.ndarray:
    counts = np.zeros((10, 11), np.int64)
    for i, a in enumerate(box):
        others = {
            int(node[j])
            for j, b in enumerate(box)
            if node[j] != node[i] and (a[:2] <= b[2:] + 1).all() and (b[:2] <= a[2:] + 1).all()
        }
        counts[node[i], 0] += not others
        for other in others:
            counts[node[i], 1 + other] += 1
    return counts


@settings(deadline=None)
@given(boxes_strategy, st.data())
def test_overlap_counts_against_all_pairs(box: np.ndarray, data: st.DataObject) -> None:
    node = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(box), max_size=len(box))), np.int64)
    np.testing.assert_array_equal(g.overlap_counts(box, node), slow_counts(box, node))


def test_overlap_counts_are_exact_inside_a_core() -> None:
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 300, (400, 2))
    box = np.concatenate([corner, corner + rng.integers(40, 120, (400, 2))], axis=1)
    node = np.where(rng.random(400) < 0.01, 3, 5)
    assert len(g.box_pairs(box)[1]) > 100  # there is a core
    np.testing.assert_array_equal(g.overlap_counts(box, node), slow_counts(box, node))


# --- boxes that meet -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [0, g.DIRECT])
@settings(deadline=None)
@given(query=boxes_strategy, box=boxes_strategy)
def test_count_meeting_against_all_pairs(direct: int, query: np.ndarray, box: np.ndarray) -> None:
    expected = [sum((q[:2] <= b[2:]).all() and (b[:2] <= q[2:]).all() for b in box) for q in query]
    with patch.object(g, "DIRECT", direct):
        np.testing.assert_array_equal(g.count_meeting(query, box), np.array(expected, int))
    if len(box):
        bound = g.most_meeting(query, box)
        assert (bound >= expected).all() and (bound <= len(box)).all()


def test_most_meeting_counts_boxes_of_the_same_cells() -> None:
    box = np.array([[i, j, i, j] for i in range(0, 100, 10) for j in range(0, 100, 10)], np.int64)  # a cell each
    query = np.array([[0, 0, 0, 0], [10, 20, 30, 50], [0, 0, 90, 90], [5, 5, 8, 8]], np.int64)
    np.testing.assert_array_equal(g.most_meeting(query, box), [1, 3 * 4, 100, 1])


def meeting(box: np.ndarray) -> set[tuple[int, int]]:
    n = len(box)
    gap = [
        (i, j, max((box[i, :2] - box[j, 2:]).max(), (box[j, :2] - box[i, 2:]).max()))
        for i in range(n)
        for j in range(i + 1, n)
    ]
    return {(i, j) for i, j, distance in gap if distance <= 1}


@pytest.mark.parametrize("direct", [0, g.DIRECT])
@settings(deadline=None)
@given(box=boxes_strategy, cap=st.integers(1, 40))
def test_box_pairs_against_all_pairs(direct: int, box: np.ndarray, cap: int) -> None:
    with patch.object(g, "DIRECT", direct):
        pairs, core, left_out = g.box_pairs(box, cap)
    found, expected = list(zip(*pairs.tolist(), strict=True)), meeting(box)
    assert len(set(found)) == len(found) and set(found) <= expected
    missing = expected - set(found)
    assert len(missing) == left_out
    assert all(i in core and j in core and j - i > 0 for i, j in missing)
    if cap >= len(box):
        assert not missing


def test_border_around_many_is_complete() -> None:
    """The border meets every entity; each of them lists it."""
    grid = np.stack(np.meshgrid(np.arange(60), np.arange(60)), axis=2).reshape(-1, 2) * 10
    box = np.concatenate([[[-5, -5, 700, 700]], np.concatenate([grid, grid + 3], axis=1)])
    pairs, core, left_out = g.box_pairs(box)
    assert set(zip(*pairs.tolist(), strict=True)) == {(0, i) for i in range(1, 3601)} and pairs.shape == (2, 3600)
    assert len(core) == left_out == 0


def test_heap_is_bounded_and_counted() -> None:
    n = 5000
    box = np.tile([0, 0, 100, 100], (n, 1))
    pairs, core, left_out = g.box_pairs(box)
    assert len(core) == n and pairs.shape[1] + left_out == n * (n - 1) // 2
    assert (pairs[1] - pairs[0] <= g.MAX_DEGREE // 2).all() and pairs.shape[1] <= n * g.MAX_DEGREE // 2
    graph = g.near_pairs(box)
    assert graph.shape == (2, 0)


# --- entity graph ----------------------------------------------------------------------------------------------------


def test_relations_by_hand() -> None:
    d = drawing(
        rectangle(0, 0, 100, 100),  # 0
        rectangle(10, 10, 30, 30),  # 1 inside 0
        rectangle(30, 10, 50, 30),  # 2 touches 1
        rectangle(40, 20, 60, 40),  # 3 overlaps 2
        line(45, 80, 55, 80),  # 4 inside 0, apart from the others
        line(100, 50, 120, 50),  # 5 touches 0
        line(110, 40, 110, 60),  # 6 crosses 5
        line(120, 50, 130, 50),  # 7 goes on where 5 ends
        line(115, 50, 125, 50),  # 8 lies over both
    )
    assert edges_of(d, R.CONTAIN) == {(0, 1), (0, 2), (0, 3), (0, 4)}
    assert edges_of(d, R.TOUCH) == {(1, 2), (0, 5), (5, 7)}
    assert edges_of(d, R.OVERLAP) == {(2, 3), (5, 6), (5, 8), (7, 8)}
    assert edges_of(d, R.SUCCESSOR) == {(i, i + 1) for i in range(8)}
    near = edges_of(d, R.NEAR)
    assert (3, 4) in near and not near & (edges_of(d, R.TOUCH) | edges_of(d, R.OVERLAP) | edges_of(d, R.CONTAIN))


def test_features_by_hand() -> None:
    d = drawing(rectangle(0, 0, 100, 50), line(20, 10, 40, 10), line(20, 10, 30, 20))
    graph = g.entity_graph(d, rich(d))
    np.testing.assert_allclose(graph.place, [(0.5, 0.5), (0.3, 0.35), (0.25, 0.4)], atol=1e-5)
    by_pair = {
        (*pair, kind): feature
        for *pair, kind, feature in zip(*graph.edges.tolist(), graph.relation, graph.features, strict=True)
    }
    np.testing.assert_allclose(
        by_pair[1, 2, R.SUCCESSOR], [-0.05, 0.05, -0.5, 0, 1], atol=1e-3
    )  # 45° further: 2 · 45° = 90°
    assert by_pair[1, 2, R.TOUCH].tolist() == by_pair[1, 2, R.SUCCESSOR].tolist()


def slow_near(box: np.ndarray) -> set[tuple[int, int]]:
    """Distances to the ninth site; entities closer than that must be joined, those further must not."""
    centre = box[:, :2] + box[:, 2:]
    sites = {tuple(c) for c in centre.tolist()}
    must = set()
    for i, c in enumerate(centre):
        distance = sorted(((np.array(s) - c) ** 2).sum() for s in sites)
        limit = distance[min(g.NEAREST, len(distance) - 1)]
        for j, other in enumerate(centre):
            first = int(np.flatnonzero((centre == other).all(axis=1))[0])
            gap = max((box[i, :2] - box[first, 2:]).max(), (box[first, :2] - box[i, 2:]).max())
            if first == j and gap > 1 and (((other - c) ** 2).sum() < limit or len(sites) <= g.NEAREST + 1):
                must.add((min(i, j), max(i, j)))
    return must


@settings(deadline=None, max_examples=60)
@given(boxes_strategy)
def test_near_pairs_against_all_pairs(box: np.ndarray) -> None:
    pairs = g.near_pairs(box)
    found = list(zip(*pairs.tolist(), strict=True))
    assert found == sorted(set(found)) and set(found) >= slow_near(box)
    assert not set(found) & meeting(box) and len(found) <= len(box) * g.NEAREST
    if len({tuple(c) for c in (box[:, :2] + box[:, 2:]).tolist()}) <= g.NEAREST + 1:
        assert set(found) == slow_near(box)


def test_relations_are_symmetric_in_their_arguments() -> None:
    rng = np.random.default_rng(5)
    corner = rng.integers(0, 30, (60, 2))
    box = np.concatenate([corner, corner + rng.integers(0, 20, (60, 2))], axis=1)
    pairs = np.array(sorted(meeting(box))).T
    kind, swap = g.relations(box, pairs)
    other_kind, other_swap = g.relations(box, pairs[::-1])
    np.testing.assert_array_equal(kind, other_kind)
    contain = kind == R.CONTAIN
    np.testing.assert_array_equal(swap[contain], ~other_swap[contain])
    assert {R(k) for k in kind.tolist()} == {R.TOUCH, R.OVERLAP, R.CONTAIN}


# --- what must not change a code -------------------------------------------------------------------------------------

rows_strategy = st.lists(
    st.one_of(
        st.tuples(*[st.integers(0, 40)] * 4).map(lambda p: line(*p)),
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 9)).map(lambda p: circle(*p)),
        st.tuples(*[st.integers(0, 40)] * 4).map(lambda p: rectangle(*p)),
    ),
    max_size=25,
)


def same_graphs(a: g.DrawingCode, b: g.DrawingCode) -> None:
    np.testing.assert_array_equal(a.class_graph.matrix, b.class_graph.matrix)
    np.testing.assert_array_equal(a.class_graph.successor, b.class_graph.successor)
    np.testing.assert_array_equal(a.class_graph.overlap, b.class_graph.overlap)
    np.testing.assert_array_equal(a.entity_graph.edges, b.entity_graph.edges)
    np.testing.assert_array_equal(a.entity_graph.relation, b.entity_graph.relation)
    np.testing.assert_allclose(a.entity_graph.features, b.entity_graph.features, atol=1e-5)
    np.testing.assert_array_equal(a.entity_graph.place, b.entity_graph.place)
    np.testing.assert_array_equal(a.blocks.label, b.blocks.label)
    np.testing.assert_array_equal(a.blocks.box, b.blocks.box)


@settings(deadline=None, max_examples=50)
@given(
    rows_strategy,
    st.floats(-1e4, 1e4),
    st.floats(-1e4, 1e4),
    st.sampled_from([1.0, 25.4, 0.1]),
    st.sampled_from(["views", "tiles", "chunks"]),
)
def test_moved_and_scaled_drawings_have_the_same_graphs(
    rows: list[Row], dx: float, dy: float, factor: float, method: g.Method
) -> None:
    d = drawing(*rows)
    if max(d.size) > 0:
        moved = transform(d, np.array([[factor, 0.0, dx], [0.0, factor, dy]]))
        same_graphs(g.encode(d, "a", method=method), g.encode(moved, "b", method=method))


@settings(deadline=None, max_examples=50)
@given(rows_strategy)
def test_graphs_are_well_formed(rows: list[Row]) -> None:
    d = drawing(*rows)
    code = g.encode(d, "x")
    n, graph = len(d), code.entity_graph
    assert graph.edges.dtype == np.int32 and graph.edges.min(initial=0) >= 0 and graph.edges.max(initial=-1) < n
    assert (graph.edges[0] != graph.edges[1]).all() and np.isfinite(graph.features).all()
    keys = list(zip(graph.relation.tolist(), *graph.edges.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert len(code.blocks.label) == n and set(code.blocks.label.tolist()) == set(range(len(code.blocks)))
    matrix = code.class_graph.matrix
    present = np.bincount(g.NODE_OF_CLASS[d.cls], minlength=10) > 0
    assert ((matrix == -1) == (~present[:, None] | np.concatenate([[False], ~present]))).all()
    sums = matrix[present, 1:][:, present].sum(axis=1)
    assert (np.isclose(sums, 1) | (sums == 0)).all()


def test_memory_of_edges_is_linear() -> None:
    """Six times the entities in the same way: six times the edges, a heap included."""
    rng = np.random.default_rng(1)
    edges = []
    for n in (500, 3000):
        d = drawing(*(line(*p) for p in rng.uniform(0, 100, (n, 4)).tolist()))
        graph = g.entity_graph(d, rich(d))
        edges.append(graph.edges.shape[1] / n)
        assert graph.edges.shape[1] <= n * (g.MAX_DEGREE + g.NEAREST + 1) and graph.left_out > 0
    assert edges[1] == pytest.approx(edges[0], rel=0.2)


# --- blocks ----------------------------------------------------------------------------------------------------------


def view(x: float, y: float) -> list[Row]:
    """An outline with a hole, and a small mark just below it."""
    return [rectangle(x, y, x + 25, y + 15), circle(x + 8, y + 8, 3), line(x + 10, y - 4, x + 12, y - 4)]


SHEET = [rectangle(0, 0, 150, 100), *view(10, 70), *view(10, 20), *view(90, 20), line(0, 8, 150, 8)]


def test_views_of_a_sheet() -> None:
    d = drawing(*SHEET)
    result = g.blocks(d, rich(d))
    # top left, bottom left, bottom right, then the border and the rule that ends at it
    assert result.label.tolist() == [3, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    np.testing.assert_allclose(result.box[2], [90 / 150, (16 + 25) / 150, 115 / 150, (35 + 25) / 150], atol=1e-4)


def test_one_part_is_one_block() -> None:
    """A window within the outline, or an outline of single lines that span the drawing, does not make views."""
    outline = [line(0, 0, 100, 0), line(100, 0, 100, 80), line(100, 80, 0, 80), line(0, 80, 0, 0)]
    for rows in (view(0, 0), [*outline, circle(20, 20, 2), circle(80, 60, 2)]):
        d = drawing(*rows)
        assert len(g.blocks(d, rich(d))) == 1
    d = drawing(rectangle(0, 0, 45, 80), rectangle(10, 10, 30, 60), rectangle(60, 0, 100, 80))
    assert g.blocks(d, rich(d)).label.tolist() == [0, 0, 1]
    nothing = drawing()
    assert len(g.blocks(nothing, rich(nothing))) == 0


def test_tiles_and_chunks() -> None:
    d = drawing(line(0, 0, 1, 1), line(99, 0, 100, 1), line(99, 99, 100, 100), circle(1, 1, 1))
    result = g.blocks(d, rich(d), "tiles")
    assert result.label.tolist() == [0, 1, 2, 0]
    np.testing.assert_allclose(result.box[0], [0, 0, 0.02, 0.02], atol=1e-5)
    many = drawing(*(line(i, 0, i, 1) for i in range(g.CHUNK + 3)))
    assert g.blocks(many, rich(many), "chunks").label.tolist() == [0] * g.CHUNK + [1] * 3


# --- all codes -------------------------------------------------------------------------------------------------------


def test_save_and_load(tmp_path: Path) -> None:
    code = g.encode(drawing(*SHEET), "sheets/größe.dxf", limit=9)
    path = tmp_path / "a b.npz"
    code.save(path)
    code.save(path)  # over itself
    assert [p.name for p in tmp_path.iterdir()] == ["a b.npz"]
    again = g.DrawingCode.load(path)
    assert again.id == code.id and again.rich.cut == 2 and again.classic.cut == 2 and again.rich.size == code.rich.size
    same_graphs(code, again)
    np.testing.assert_array_equal(code.rich.values, again.rich.values)
    np.testing.assert_array_equal(code.classic.matrix, again.classic.matrix)
    for name, value in vars(code.rich).items():
        assert type(getattr(again.rich, name)) is type(value)


def test_files_that_are_no_codes(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(DeepDXFError, match=r"x\.npz"):
        g.DrawingCode.load(path)
    code = g.encode(drawing(*SHEET), "x")
    with pytest.raises(DeepDXFError, match="cannot write"):
        code.save(tmp_path / "missing" / "x.npz")
    code.save(path)
    whole = path.read_bytes()
    for data in (b"", b"PK", whole[: len(whole) // 2], b"\x93NUMPY" + whole[:50]):
        path.write_bytes(data)
        with pytest.raises(DeepDXFError, match="encode the drawing again"):
            g.DrawingCode.load(path)
    np.savez(path, id=np.array("x"))
    with pytest.raises(DeepDXFError, match="encode the drawing again"):
        g.DrawingCode.load(path)


def test_codes_of_one_drawing_have_the_same_rows() -> None:
    code = g.encode(drawing(*SHEET), "x", limit=7)
    assert len(code.rich) == len(code.entity_graph.place) == len(code.blocks.label) == 7
    assert code.entity_graph.edges.max() < 7


def test_no_loop_over_entities() -> None:
    """The loops that are there are over classes, levels, bits, sides and rounds."""
    loops = [row.strip() for row in inspect.getsource(g).splitlines() if row.strip().startswith(("for ", "while "))]
    assert not [row for row in loops if "range(len(" in row or "enumerate(box" in row or "nodes" in row]


def test_real_drawings_keep_their_codes_when_moved(corpus: Path) -> None:
    files = sorted((corpus / "drawings").rglob("*.dxf"))[7::331]
    assert len(files) > 5
    for path in files:
        d = read(path)
        x, y = d.frame[:2]
        moved = transform(d, np.array([[1, 0, 0.37 * max(d.size) - x], [0, 1, -3.3 * max(d.size) - y]]))
        a, b = g.encode(d, path.name), g.encode(moved, path.name)
        same_graphs(a, b)
        np.testing.assert_array_equal(a.classic.matrix, b.classic.matrix)
        np.testing.assert_array_equal(a.rich.bins, b.rich.bins)
