"""Views: legal for any drawing, true to the geometry, reproducible, and never at the cost of what they were given."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from deepdxf.augment import (
    CODE_KINDS,
    KINDS,
    OFF,
    Views,
    _edge_features,
    block,
    explode,
    join,
    merge,
    reverse,
    split,
    unblock,
)
from deepdxf.drawing import SCALARS, Drawing, EntityClass
from deepdxf.dxfwrite import dxf_bytes
from deepdxf.errors import DeepDXFError
from deepdxf.fingerprint import canonical_hash
from deepdxf.geometry import Shapes, boxes, segments, transform
from deepdxf.graph import DrawingCode, Relation, encode
from deepdxf.reader import parse
from deepdxf.sequence import ClassicCode, along, is_closed
from deepdxf.synth_families import FAMILIES, draw_design, draw_style
from deepdxf.vocabulary import CLASSIC, CLASSIC_COUNTS, RICH_HIGH, RICH_LOW, column
from tests.drawings import Row, circle, drawing, line, polyline

C = EntityClass
ARRAYS = [name for name, value in vars(drawing(line(0, 0, 1, 1))).items() if isinstance(value, np.ndarray)]
PER_ROW = (
    "cls",
    "handle",
    "depth",
    "parent",
    "layer",
    "color",
    "dxftype",
    "text_index",
    "block_index",
    "scalars",
    "box",
)


# --- drawings --------------------------------------------------------------------------------------------------------


def frozen(d: Drawing) -> Drawing:
    """The drawing with arrays that cannot be written to, as they come out of files."""
    for name in ARRAYS:
        getattr(d, name).flags.writeable = False
    return d


@cache
def synthetic() -> list[Drawing]:
    """A drawing of every family: blocks, hatches, dimensions, splines, texts, layers."""
    rng = np.random.default_rng(7)
    designs = [draw_design(kind, draw_style(rng), rng) for kind in FAMILIES]
    return [frozen(parse(dxf_bytes(design.build()))) for design in designs]


def arc(x: float, y: float, radius: float, start: float, end: float) -> Row:
    return C.ARC, [(x, y)], {"radius": radius, "start": start, "end": end}


def text(x: float, y: float, height: float, rotation: float) -> Row:
    return C.TEXT, [(x, y)], {"height": height, "rotation": rotation, "width": 3 * height, "halign": 0.0, "valign": 0.0}


def dimension(x: float, y: float, length: float) -> Row:
    points = [(x, y), (x, y + 1), (x, y), (x + length, y), (x, y), (x, y)]
    values = {"kind": 0.0, "rotation": 0.0, "measurement": length, "value": 12.5, "tolerance_upper": 0.1}
    return C.DIMENSION, points, values


whole = st.integers(-20, 20).map(float)
positive = st.integers(1, 20).map(float)
angle = st.sampled_from([0.0, 30.0, 90.0, 123.0, 270.0])
vertex = st.tuples(whole, whole, st.sampled_from([0.0, 0.0, 1.0, -0.4, 2.5]))
row = st.one_of(
    st.builds(line, whole, whole, whole, whole),
    st.builds(circle, whole, whole, positive),
    st.builds(arc, whole, whole, positive, angle, angle),
    st.builds(text, whole, whole, positive, angle),
    st.builds(dimension, whole, whole, positive),
    st.builds(polyline, st.lists(vertex, min_size=1, max_size=6), st.booleans()),
)


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """Small drawings of all simple classes, some with a block, or one of the synthetic ones."""
    if draw(st.integers(0, 2)) == 0:
        return synthetic()[draw(st.integers(0, len(FAMILIES) - 1))]
    d = drawing(*draw(st.lists(row, max_size=12)))
    layers = draw(st.lists(st.integers(0, 1), min_size=len(d), max_size=len(d)))
    texts = np.where(np.isin(d.cls, (C.TEXT,)), 0, -1).astype(np.int32)
    d = replace(d, layer=np.array(layers, np.int32), layers=("0", "DIM"), texts=("Kante 5",), text_index=texts)
    if len(d) > 3 and draw(st.booleans()):
        d = block(d, 1, 3)
    return frozen(d)


seeds = st.integers(0, 2**32 - 1)
# Strengths that make every kind act; the others are probabilities or shares.
GENTLE = {"jitter": 0.01, "parameter_jitter": 0.05, "edit": 0.3, "noise": 0.5, "scale": 0.4}


def strength(kind: str) -> float:
    return GENTLE.get(kind, 1.0)


def assert_legal(d: Drawing, before: Drawing) -> None:
    """What every reader's drawing keeps."""
    n = len(d)
    for name in ARRAYS:
        assert getattr(d, name).dtype == getattr(before, name).dtype, name
    assert {len(getattr(d, name)) for name in PER_ROW} == {n}
    for start, flat in ((d.vertex_start, d.vertices), (d.vertex_start, d.vertex_path), (d.knot_start, d.knots)):
        assert len(start) == n + 1 and start[0] == 0 and start[-1] == len(flat) and (np.diff(start) >= 0).all()
    for index, names in (
        (d.layer, d.layers),
        (d.dxftype, d.dxftypes),
        (d.text_index, d.texts),
        (d.block_index, d.blocks),
    ):
        assert index.max(initial=-1) < len(names)
    inside = np.flatnonzero(d.depth > 0)
    assert (d.parent[d.depth == 0] == -1).all()
    assert (d.cls[d.parent[inside]] == C.INSERT).all()
    assert (d.depth[inside] == d.depth[d.parent[inside]] + 1).all()
    root = np.maximum.accumulate(np.where(d.depth == 0, np.arange(n), 0))
    assert (root[d.parent[inside]] == root[inside]).all()  # content directly behind its INSERT
    top, top_before = d.handle[d.depth == 0], before.handle[before.depth == 0]
    assert (np.diff(top) >= 0).all() or (np.diff(top_before) < 0).any()
    fresh = boxes(Shapes(**{name: getattr(d, name) for name in Shapes.__dataclass_fields__}))
    np.testing.assert_allclose(d.box, fresh, rtol=1e-9, atol=1e-9 * max(1.0, *before.size), equal_nan=True)
    for cls in set(d.cls.tolist()):
        assert np.isnan(d.scalars[d.rows(EntityClass(cls)), len(SCALARS[EntityClass(cls)]) :]).all()
    assert bool(d.visible.any()) == bool(before.visible.any())


def snapshot(d: Drawing) -> list[bytes]:
    return [getattr(d, name).tobytes() for name in ARRAYS]


def same(a: Drawing, b: Drawing) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=getattr(a, n).dtype.kind == "f") for n in ARRAYS)


def lengths(d: Drawing) -> np.ndarray:
    shapes = Shapes(**{name: getattr(d, name) for name in Shapes.__dataclass_fields__})
    return along(shapes, is_closed(shapes), 2)[1]


def assert_same_ink(a: Drawing, b: Drawing) -> None:
    """Every place on the lines of one is close to one of the other; pixels would jump where a line is on their border."""
    assert len(a.visible.nonzero()[0]) or not len(b.visible.nonzero()[0])
    side = max(*b.size, 1e-9)
    places = [sampled(d, side / 300) for d in (a, b)]
    if not len(places[0]):
        assert not len(places[1])
        return
    for one, other in (places, places[::-1]):
        assert KDTree(one).query(other)[0].max() <= side / 200


def sampled(d: Drawing, step: float) -> np.ndarray:
    """Places along all lines, at most ``step`` apart."""
    lines, _ = segments(d, step / 10)
    count = np.ceil(np.hypot(*(lines[:, 2:] - lines[:, :2]).T) / step).astype(int) + 1
    share = np.concatenate([np.linspace(0, 1, n + 1) for n in count] or [np.zeros(0)])[:, None]
    lines = np.repeat(lines, count + 1, axis=0)
    return np.asarray(lines[:, :2] + share * (lines[:, 2:] - lines[:, :2]))


# --- all kinds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=15)
@given(d=drawings(), seed=seeds)
def test_a_kind_gives_a_legal_drawing_and_leaves_its_own_alone(name: str, d: Drawing, seed: int) -> None:
    before = snapshot(d)
    view = KINDS[name][0](d, np.random.default_rng(seed), strength(name))
    assert_legal(view, d)
    assert snapshot(d) == before
    assert same(view, KINDS[name][0](d, np.random.default_rng(seed), strength(name)))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_does_something(name: str) -> None:
    """Over the synthetic drawings, so that none is tested on drawings that it leaves as they are."""
    kind = KINDS[name][0]
    sheets = [d for d in synthetic() for _ in range(2)]
    changed = [not same(kind(d, np.random.default_rng(i), strength(name)), d) for i, d in enumerate(sheets)]
    assert sum(changed) >= 2


def test_a_kind_that_is_off_changes_nothing() -> None:
    d = synthetic()[0]
    code = encode(d, "x")
    assert all(view is d for view in Views(**OFF).drawings(d, np.random.default_rng(0)))
    assert Views(**OFF).codes(code, np.random.default_rng(0)) is code
    assert all(view is d for view in Views(strength=0.0).drawings(d, np.random.default_rng(0)))


@settings(max_examples=30)
@given(d=drawings(), seed=seeds)
def test_views_of_all_kinds(d: Drawing, seed: int) -> None:
    views = Views(views=4, mirror=True, rotation=True)
    before = snapshot(d)
    made = views.drawings(d, np.random.default_rng(seed))
    assert len(made) == len(views.rungs) == 4
    for view in made:
        assert_legal(view, d)
    assert snapshot(d) == before
    for view, again in zip(made, views.drawings(d, np.random.default_rng(seed)), strict=True):
        assert same(view, again)


def test_views_differ() -> None:
    one, other = Views().drawings(synthetic()[0], np.random.default_rng(0))
    assert not same(one, other)


def test_rungs_are_a_ladder_of_strength() -> None:
    views = Views(**OFF | {"drop": 0.8, "views": 4})
    d = drawing(*[line(i, 0, i, 1) for i in range(2000)])
    kept = np.mean([[len(view) for view in views.drawings(d, np.random.default_rng(i))] for i in range(20)], axis=0)
    assert (np.diff(kept) < 0).all()
    assert kept[0] >= (1 - 0.8 / 4) * len(d) - 60


@pytest.mark.parametrize(("kind", "switch"), [("rotate", "rotation"), ("flip", "mirror")])
def test_poses_need_their_switch(kind: str, switch: str) -> None:
    d = synthetic()[0]
    off = Views(**OFF | {kind: 1.0})
    assert off.drawings(d, np.random.default_rng(0))[0] is d
    assert not same(replace(off, **{switch: True}).drawings(d, np.random.default_rng(0))[0], d)


def test_every_kind_has_a_strength() -> None:
    names = {field.name for field in fields(Views)}
    assert names == {"views", "strength", "mirror", "rotation", *KINDS, *CODE_KINDS}


@pytest.mark.parametrize("wrong", [{"views": 3}, {"drop": -0.1}, {"strength": float("nan")}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(DeepDXFError, match=next(iter(wrong))):
        Views(**wrong)  # type: ignore[arg-type]


# --- poses -----------------------------------------------------------------------------------------------------------


def assert_same_geometry(a: Drawing, b: Drawing) -> None:
    scale = max(1.0, *b.size)
    np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-9 * scale)
    np.testing.assert_allclose(a.box, b.box, atol=1e-9 * scale)
    for cls, names in SCALARS.items():
        for name in names:
            difference = a.scalar(cls, name) - b.scalar(cls, name)
            if name in ("rotation", "start", "end", "pattern_angle"):
                difference = (difference + 180.0) % 360.0 - 180.0
            np.testing.assert_allclose(np.nan_to_num(difference), 0.0, atol=1e-7 * scale)


@settings(max_examples=30)
@given(d=drawings(), seed=seeds)
def test_four_equal_turns_are_none(d: Drawing, seed: int) -> None:
    turned = d
    for _ in range(4):
        turned = KINDS["rotate"][0](turned, np.random.default_rng(seed), 1.0)
    assert_same_geometry(turned, d)


@settings(max_examples=30)
@given(d=drawings(), seed=seeds)
def test_mirrored_twice_is_as_before(d: Drawing, seed: int) -> None:
    once = KINDS["flip"][0](d, np.random.default_rng(seed), 1.0)
    assert_same_geometry(KINDS["flip"][0](once, np.random.default_rng(seed), 1.0), d)


@pytest.mark.parametrize("kind", ["shift", "scale", "units"])
def test_place_and_size_do_not_change_the_code(kind: str) -> None:
    for d in synthetic():
        moved = KINDS[kind][0](d, np.random.default_rng(1), strength(kind))
        a, b = encode(d, "x"), encode(moved, "x")
        # an INSERT is scaled by its factors
        free = [i for i, name in enumerate(CLASSIC, 1) if name not in ("scale_x", "scale_y")]
        assert (a.classic.matrix[:, free] == b.classic.matrix[:, free]).all()
        if kind == "shift":
            np.testing.assert_allclose(a.rich.values, b.rich.values, atol=1e-4)
        if kind != "scale":
            np.testing.assert_allclose(a.rich.size, b.rich.size, atol=1e-9)


@pytest.mark.parametrize("kind", ["shift", "rotate", "flip", "tilt", "jitter", "by_place", "swap"])
def test_dimensions_keep_what_they_say(kind: str) -> None:
    for d in synthetic():
        view = KINDS[kind][0](d, np.random.default_rng(2), strength(kind))
        for name in ("value", "measurement", "tolerance_upper"):
            old, new = np.sort(d.scalar(C.DIMENSION, name)), np.sort(view.scalar(C.DIMENSION, name))
            np.testing.assert_allclose(old, new, rtol=1e-9)


def test_units_keep_the_size_in_millimetres() -> None:
    d = replace(drawing(line(0, 0, 100, 50), circle(20, 20, 5)), unit_mm=1.0)
    inch = KINDS["units"][0](d, np.random.default_rng(0), 1.0)
    assert inch.unit_mm == 25.4
    np.testing.assert_allclose(np.array(inch.size) * 25.4, d.size)
    back = KINDS["units"][0](inch, np.random.default_rng(0), 1.0)
    assert_same_geometry(back, d)
    nothing = replace(d, unit_mm=None)
    assert KINDS["units"][0](nothing, np.random.default_rng(0), 1.0) is nothing


# --- the same geometry, stored otherwise -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(drawings())
def test_exploded_polylines_keep_length_box_and_ink(d: Drawing) -> None:
    apart = explode(d, d.rows(C.LWPOLYLINE))
    assert_legal(apart, d)
    assert all((np.diff(apart.vertex_start)[apart.rows(C.LWPOLYLINE)] == 1).tolist())  # points stay
    np.testing.assert_allclose(lengths(apart).sum(), lengths(d).sum(), rtol=1e-9)
    np.testing.assert_allclose(apart.frame, d.frame, atol=1e-9 * max(1.0, *d.size))
    assert_same_ink(apart, d)


def test_a_bulge_explodes_into_its_exact_arc() -> None:
    d = drawing(polyline([(0, 0, 1.0), (2, 0, 0.0), (2, 3, -np.tan(np.pi / 8))], closed=True), line(9, 9, 8, 8))
    apart = explode(d, np.array([0]))
    assert apart.cls.tolist() == [C.ARC, C.LINE, C.ARC, C.LINE]
    assert [apart.dxftypes[i] for i in apart.dxftype[:3]] == ["ARC", "LINE", "ARC"]
    np.testing.assert_allclose(apart.points(0)[0, :2], (1, 0), atol=1e-12)  # a half circle below the x axis
    np.testing.assert_allclose(apart.scalars[0, :3], (1, 180, 360 % 360), atol=1e-9)
    quarter = apart.scalars[2]
    np.testing.assert_allclose(quarter[0], np.hypot(2, 3) / 2**0.5)
    np.testing.assert_allclose((quarter[2] - quarter[1]) % 360, 90)
    assert apart.handle.tolist() == [1, 2, 3, 4]


@settings(max_examples=60)
@given(drawings())
def test_joining_what_was_exploded_keeps_length_and_ink(d: Drawing) -> None:
    apart = explode(d, d.rows(C.LWPOLYLINE))
    joined = join(apart, np.flatnonzero(apart.visible))
    assert_legal(joined, apart)
    assert len(joined) <= len(apart)
    np.testing.assert_allclose(lengths(joined).sum(), lengths(d).sum(), rtol=1e-6)
    assert_same_ink(joined, d)


def test_joining_gives_the_polylines_back() -> None:
    corners = [(0, 0, 0.0), (8, 0, 0.4), (8, 5, 0.0), (3, 9, -0.2), (0, 5, 0.0)]
    d = drawing(polyline(corners), polyline([(20, 0, 0.0), (24, 3, 1.5), (30, 0, 0.0)], closed=False), circle(50, 0, 2))
    apart = explode(d, np.array([0, 1]))
    assert len(apart) == 8
    joined = join(apart, np.arange(len(apart)))
    assert [C(c) for c in joined.cls] == [C.LWPOLYLINE, C.LWPOLYLINE, C.CIRCLE]
    assert joined.scalar(C.LWPOLYLINE, "closed").tolist() == [1, 0]
    np.testing.assert_allclose(lengths(joined), lengths(d), rtol=1e-9)
    np.testing.assert_allclose(joined.box, d.box, atol=1e-6)


grid = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=100)
@given(st.lists(st.tuples(grid, st.sampled_from([(1, 0), (0, 1), (-1, 0), (0, -1)])), min_size=1, max_size=24), seeds)
def test_joining_lines_on_a_grid_keeps_every_one(
    edges: list[tuple[tuple[int, int], tuple[int, int]]], seed: int
) -> None:
    """Crossings, loops and doubled lines in any order and direction: each unit line is drawn as often as before."""

    def units(d: Drawing) -> list[tuple[float, ...]]:
        apart = explode(d, d.rows(C.LWPOLYLINE))
        ends = np.sort(apart.vertices[:, :2].reshape(-1, 2, 2).view("f8,f8").reshape(-1, 2), axis=1)
        return sorted(map(repr, ends.tolist()))  # type: ignore[arg-type]

    d = drawing(*[line(x, y, x + dx, y + dy) for (x, y), (dx, dy) in edges])
    joined = join(d, np.arange(len(d)))
    assert_legal(joined, d)
    assert units(joined) == units(d)
    degree: dict[tuple[float, ...], int] = {}
    for rows in (joined.rows(C.LINE), joined.rows(C.LWPOLYLINE)[joined.scalar(C.LWPOLYLINE, "closed") == 0]):
        for number in rows:
            for end in (joined.points(number)[0], joined.points(number)[-1]):
                degree[tuple(end[:2])] = degree.get(tuple(end[:2]), 0) + 1
    # no two ends are left over that could have been joined, unless further lines meet there
    met: dict[tuple[float, ...], int] = {}
    for point in d.vertices[:, :2]:
        met[tuple(point)] = met.get(tuple(point), 0) + 1
    assert all(met[place] != 2 for place in degree)


def test_lines_of_other_layers_and_blocks_are_not_joined() -> None:
    d = drawing(line(0, 0, 1, 0), line(1, 0, 2, 0), line(2, 0, 3, 0))
    apart = replace(d, layer=np.array([0, 1, 1], np.int32), layers=("a", "b"))
    assert [C(c) for c in join(apart, np.arange(3)).cls] == [C.LINE, C.LWPOLYLINE]
    inside = block(d, 1, 3)
    assert [C(c) for c in join(inside, np.arange(4)).cls] == [C.LINE, C.INSERT, C.LWPOLYLINE]


@settings(max_examples=60)
@given(st.lists(st.tuples(whole, whole, whole, whole), min_size=1, max_size=8), st.floats(0.1, 0.9))
def test_split_lines_keep_length_and_merge_again(ends: list[tuple[float, ...]], share: float) -> None:
    d = drawing(*[line(*(value + 100 * i for value in end)) for i, end in enumerate(ends)])  # far from each other
    two = split(d, np.arange(len(d)), np.full(len(d), share))
    assert_legal(two, d)
    assert len(two) == 2 * len(d)
    np.testing.assert_allclose(lengths(two).sum(), lengths(d).sum(), rtol=1e-9)
    one = merge(two, np.arange(len(two)))
    assert_legal(one, two)
    long = np.hypot(*(d.vertices[1::2, :2] - d.vertices[::2, :2]).T) > 0
    if long.all():
        np.testing.assert_allclose(one.box, d.box, atol=1e-9)


def test_merging_stops_at_corners() -> None:
    d = drawing(line(0, 0, 1, 0), line(3, 0, 2, 0), line(1, 0, 2, 0), line(3, 0, 3, 1), line(3, 1, 3, 0.5))
    merged = merge(d, np.arange(5))
    np.testing.assert_allclose(merged.box, [[0, 0, 3, 0], [3, 0, 3, 1], [3, 0.5, 3, 1]])  # the last turns back


@settings(max_examples=60)
@given(drawings())
def test_reversed_twice_is_as_before(d: Drawing) -> None:
    once = reverse(d, np.arange(len(d)))
    assert_legal(once, d)
    assert_same_ink(once, d)
    np.testing.assert_allclose(lengths(once), lengths(d), rtol=1e-9)
    np.testing.assert_allclose(once.box, d.box, atol=1e-9 * max(1.0, *d.size))
    twice = reverse(once, np.arange(len(d)))
    assert np.array_equal(twice.vertices, d.vertices)
    np.testing.assert_allclose(twice.knots, d.knots, atol=1e-12)


def test_reversed_ends_change_places() -> None:
    d = drawing(line(0, 0, 1, 2), polyline([(0, 0, 0.5), (4, 0, 0.0), (4, 4, 0.0)], closed=False))
    back = reverse(d, np.array([0, 1]))
    assert back.points(0)[:, :2].tolist() == [[1, 2], [0, 0]]
    assert back.points(1).tolist() == [[4, 4, 0], [4, 0, -0.5], [0, 0, 0]]


@settings(max_examples=40)
@given(drawings(), st.data())
def test_a_block_made_and_exploded_is_as_before(d: Drawing, data: st.DataObject) -> None:
    tops = np.append(np.flatnonzero(d.depth == 0), len(d))
    if len(tops) < 2:
        return
    first = data.draw(st.integers(0, len(tops) - 2))
    last = data.draw(st.integers(first + 1, len(tops) - 1))
    made = block(d, int(tops[first]), int(tops[last]))
    assert_legal(made, d)
    assert len(made) == len(d) + 1
    assert canonical_hash(made) == canonical_hash(d)
    flat = unblock(made, made.rows(C.INSERT)[made.depth[made.rows(C.INSERT)] == 0])
    assert_legal(flat, made)
    visible = d.select(d.visible)
    assert (flat.cls == visible.cls).all()
    assert np.array_equal(flat.vertices, visible.vertices)
    assert not flat.depth.any()


# --- content ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["by_layer", "by_place", "swap", "block", "unblock", "units", "shift", "scale"])
def test_order_blocks_place_and_size_keep_the_content(kind: str) -> None:
    for d in synthetic():
        assert canonical_hash(KINDS[kind][0](d, np.random.default_rng(3), strength(kind))) == canonical_hash(d)


def test_places_follow_a_curve() -> None:
    rng = np.random.default_rng(0)
    d = drawing(*[circle(x, y, 0.1) for x, y in rng.random((500, 2)) * 100])
    ordered = KINDS["by_place"][0](d, rng, 1.0)

    def travelled(d: Drawing) -> float:
        return float(np.hypot(*np.diff(d.vertices[:, :2], axis=0).T).sum())

    assert travelled(ordered) < travelled(d) / 5


def test_jitter_keeps_together_what_meets() -> None:
    d = drawing(line(0, 0, 10, 0), polyline([(10, 0), (10, 10), (0, 10)], closed=False), arc(5, 5, 2, 0, 90))
    moved = KINDS["jitter"][0](d, np.random.default_rng(0), 0.01)
    assert (moved.points(0)[1] == moved.points(1)[0]).all()
    shift = np.hypot(*(moved.vertices - d.vertices)[:, :2].T)
    assert 0 < shift.max() < 0.01 * 10 * 6


def test_cropped_drawings_lie_in_a_window() -> None:
    d = drawing(*[circle(x, y, 0.1) for x in range(30) for y in range(30)])
    for seed in range(10):
        view = KINDS["crop"][0](d, np.random.default_rng(seed), 0.4)
        assert min(view.size) >= 0.6 * 29 - 1 and len(view) <= len(d)
        x, y = (np.unique(np.round(c)) for c in view.vertices[:, :2].T)
        assert len(view) == len(x) * len(y)  # all of the window and nothing else


def test_annotation_and_texts_go_and_geometry_stays() -> None:
    for d in synthetic():
        geometry = ~np.isin(d.cls, (C.TEXT, C.MTEXT, C.DIMENSION, C.HATCH, C.LEADER))
        view = KINDS["drop_annotation"][0](d, np.random.default_rng(1), 1.0)
        assert np.isin(view.cls, (C.TEXT, C.MTEXT, C.DIMENSION, C.HATCH, C.LEADER)).sum() <= (~geometry).sum()
        assert view.class_counts().get("LINE") == d.class_counts().get("LINE")
        assert not {"TEXT", "MTEXT"} & set(KINDS["untext"][0](d, np.random.default_rng(1), 1.0).class_counts())


def test_an_insert_that_goes_takes_its_content_along() -> None:
    d = block(drawing(*[line(i, 0, i, 1) for i in range(40)]), 0, 20)
    for seed in range(20):
        view = KINDS["drop"][0](d, np.random.default_rng(seed), 0.9)
        assert_legal(view, d)
        if not len(view.rows(C.INSERT)):
            assert len(view) <= 20


def test_a_few_edits_leave_most_as_it_is() -> None:
    d = drawing(*[circle(x, y, 0.1 + 0.001 * x) for x in range(25) for y in range(20)])
    old = {tuple(row) for row in np.round(d.box, 9)}
    changed = []
    for seed in range(20):
        view = KINDS["edit"][0](d, np.random.default_rng(seed), 0.02)
        new = {tuple(row) for row in np.round(view.box, 9)}
        changed.append(len(old - new) + len(new - old))
        assert 490 <= len(old & new) <= 500 and abs(len(view) - 500) <= 10
    assert 5 <= sum(map(bool, changed)) <= 15  # in half of the cases


def test_a_sheet_is_added_around_and_taken_away_again() -> None:
    d = drawing(circle(105, 70, 20), line(80, 60, 130, 60), circle(90, 90, 5))
    framed = KINDS["sheet"][0](d, np.random.default_rng(5), 1.0)
    assert len(framed) > len(d) + 4
    assert (framed.frame[:2] < d.frame[:2]).all() and (framed.frame[2:] > d.frame[2:]).all()
    iso = drawing(line(0, 0, 297, 0), line(297, 0, 297, 210), line(297, 210, 0, 210), line(0, 210, 0, 0),
                  line(200, 40, 297, 40), circle(105, 120, 20), circle(60, 150, 5))  # fmt: skip
    bare = KINDS["sheet"][0](iso, np.random.default_rng(5), 1.0)
    assert [C(c) for c in bare.cls] == [C.CIRCLE, C.CIRCLE]


def test_a_plate_is_no_sheet() -> None:
    plate = drawing(polyline([(0, 0), (300, 0), (300, 100), (0, 100)]), circle(50, 50, 10), circle(250, 50, 10))
    assert len(KINDS["sheet"][0](plate, np.random.default_rng(5), 1.0)) > 3


def test_words_are_translated_and_numbers_stay() -> None:
    d = drawing(text(0, 0, 2, 0), text(0, 9, 2, 0), circle(3, 3, 1))
    d = replace(d, texts=("Werkstoff", "25,4 ±0.1"), text_index=np.array([0, 1, -1], np.int32))
    view = KINDS["translate"][0](d, np.random.default_rng(1), 1.0)
    assert view.text(0) != "Werkstoff" and view.text(1) == "25,4 ±0.1" and view.text(2) == ""
    ratio = len(view.text(0)) / len("Werkstoff")
    np.testing.assert_allclose(view.scalars[0, 2], d.scalars[0, 2] * ratio, rtol=1e-9)
    np.testing.assert_allclose(view.scalars[1, 2], d.scalars[1, 2])


# --- codes -----------------------------------------------------------------------------------------------------------


@cache
def codes() -> list[DrawingCode]:
    return [encode(d, "x", limit=200) for d in synthetic()] + [
        encode(drawing(), "x"),
        encode(drawing(line(0, 0, 1, 1)), "x"),
    ]


def arrays(code: DrawingCode) -> list[bytes]:
    parts = (code.classic, code.rich, code.class_graph, code.entity_graph, code.blocks)
    return [np.asarray(value).tobytes() for part in parts for value in vars(part).values()]


@pytest.mark.parametrize("name", CODE_KINDS)
@settings(max_examples=15)
@given(code=st.deferred(lambda: st.sampled_from(codes())), seed=seeds, strong=st.sampled_from([0.05, 0.5, 1.0]))
def test_a_kind_gives_a_legal_code_and_leaves_its_own_alone(
    name: str, code: DrawingCode, seed: int, strong: float
) -> None:
    before = arrays(code)
    view = CODE_KINDS[name][0](code, np.random.default_rng(seed), strong)
    assert arrays(code) == before
    assert arrays(CODE_KINDS[name][0](code, np.random.default_rng(seed), strong)) == arrays(view)
    length = len(code.classic.matrix) + 3
    again = ClassicCode.of_padded(view.classic.padded(length))  # raises where a rule of the code is broken
    assert (again.padded(length)[len(again.matrix) :, 0] == C.EOS).all()
    assert (again.padded(length)[len(again.matrix) :, 1:] == -1).all()
    kept = np.flatnonzero(np.isin(code.rich.row, view.rich.row))  # by row of the drawing
    assert (view.rich.row == code.rich.row[kept]).all()
    assert (view.rich.cls == code.rich.cls[kept]).all() and (view.rich.tags == code.rich.tags[kept]).all()
    assert not (view.rich.present & ~code.rich.present[kept])[1:].any()
    low, high = RICH_LOW[view.rich.cls], RICH_HIGH[view.rich.cls]
    inside = (view.rich.values >= low - 1e-5) & (view.rich.values <= high + 1e-5)
    assert (inside | ~view.rich.present).all()
    graph, n = view.entity_graph, len(view.rich)
    assert len(graph.place) == len(view.blocks.label) == n
    assert graph.edges.shape[1] == len(graph.relation) == len(graph.features)
    if graph.edges.size:
        assert graph.edges.min() >= 0 and graph.edges.max() < n
        key = (graph.relation.astype(np.int64) * n + graph.edges[0]) * n + graph.edges[1]
        assert (np.diff(key) > 0).all()  # sorted, none twice
        assert np.isfinite(graph.features).all()
    assert set(view.blocks.label.tolist()) == set(range(len(view.blocks)))


@pytest.mark.parametrize("name", CODE_KINDS)
def test_every_kind_changes_codes(name: str) -> None:
    large = [code for code in codes() if len(code.rich) > 20]
    changed = [arrays(CODE_KINDS[name][0](c, np.random.default_rng(i), 0.5)) != arrays(c) for i, c in enumerate(large)]
    assert sum(changed) > len(large) / 2


def test_nodes_go_from_all_codes_alike() -> None:
    d = drawing(*[circle(i, i % 7, 0.3 + i / 100) for i in range(60)])
    code = encode(d, "x")
    view = CODE_KINDS["node_drop"][0](code, np.random.default_rng(0), 1.0)
    kept = view.rich.row
    assert 0 < len(kept) < 60
    assert (view.classic.matrix == code.classic.matrix[kept]).all()
    assert (view.entity_graph.place == code.entity_graph.place[kept]).all()
    edges, relation = view.entity_graph.edges, view.entity_graph.relation
    old = {tuple(e) for e in code.entity_graph.edges[:, code.entity_graph.relation != Relation.SUCCESSOR].T.tolist()}
    assert {tuple(e) for e in kept[edges[:, relation != Relation.SUCCESSOR]].T.tolist()} <= old
    assert edges[:, relation == Relation.SUCCESSOR].T.tolist() == [[i, i + 1] for i in range(len(kept) - 1)]
    # where each row lies from the one before it: in another order of the rows, the differences of their places
    delta = view.rich.values[:, [column("delta_x_signed"), column("delta_y_signed")]]
    np.testing.assert_allclose(delta[1:], np.diff(view.entity_graph.place, axis=0), atol=2e-5)
    assert np.isnan(delta[0]).all()


def test_features_of_new_edges_are_those_of_the_graph() -> None:
    for code in codes():
        graph = code.entity_graph
        first, second = graph.edges.astype(np.int64)
        made = _edge_features(code, graph.place, first, second)
        np.testing.assert_allclose(made[:, [0, 1, 3, 4]], graph.features[:, [0, 1, 3, 4]], atol=1e-5)
        # sizes are rounded to cells of the grid in the graph: entities of a few cells differ
        assert (np.abs(made[:, 2] - graph.features[:, 2]) < 0.5).all()


def test_jitter_leaves_counts_and_flags() -> None:
    code = codes()[0]
    view = CODE_KINDS["parameter_jitter"][0](code, np.random.default_rng(0), 0.1)
    whole_numbers = [1 + CLASSIC.index(name) for name in CLASSIC_COUNTS]
    assert (view.classic.matrix[:, whole_numbers] == code.classic.matrix[:, whole_numbers]).all()
    assert (view.classic.matrix[:, 0] == code.classic.matrix[:, 0]).all()
    assert ((view.classic.matrix == -1) == (code.classic.matrix == -1)).all()


def test_masks_of_two_views_are_their_own() -> None:
    """A mask that were laid on the code itself would show in both views and in the code."""
    code = codes()[0]
    rng = np.random.default_rng(0)
    one, other = (CODE_KINDS["feature_mask"][0](code, rng, 0.4) for _ in range(2))
    dead = [set(np.flatnonzero(~v.rich.present.any(axis=0))) for v in (code, one, other)]
    assert dead[1] - dead[0] and dead[2] - dead[0] and dead[1] != dead[2]


def test_moved_drawings_transform_by_one_map() -> None:
    """All affine kinds of a view together are one map of the drawing."""
    d = synthetic()[0]
    views = Views(
        **OFF | {"scale": 0.4, "shift": 0.5, "tilt": 1.0, "rotate": 1.0, "flip": 1.0}, mirror=True, rotation=True
    )
    view = views.drawings(d, np.random.default_rng(4))[0]
    ones = np.column_stack([d.vertices[:, :2], np.ones(len(d.vertices))])
    matrix = np.linalg.lstsq(ones, view.vertices[:, :2], rcond=None)[0].T
    assert_same_geometry(view, transform(d, matrix))
    assert np.linalg.det(matrix[:, :2]) < 0
