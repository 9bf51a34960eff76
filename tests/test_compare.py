"""Comparisons whose result is known: by hand, by the generator's edits, and by what must not count as a difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dxf
import numpy as np
import pytest
from drawings import Row, circle, drawing, line, polyline
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepdxf import encoder
from deepdxf.compare import KINDS, Comparison, compare
from deepdxf.drawing import Drawing, EntityClass
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import transform
from deepdxf.reader import parse
from experiments.compare_edits import count_folder, figures

C = EntityClass
OUTLINE: list[Row] = [line(0, 0, 200, 0), line(200, 0, 200, 120), line(200, 120, 0, 120), line(0, 120, 0, 0)]
HOLES: list[Row] = [circle(20, 20, 4), circle(180, 20, 4), circle(180, 100, 4), circle(20, 100, 6)]
PLATE = drawing(*OUTLINE, *HOLES)


def kinds(result: Comparison) -> dict[str, int]:
    return {kind: len(result.of(kind)) for kind in KINDS if result.of(kind)}


def read(entities: str, blocks: str = "", header: str = "9 $ACADVER, 1 AC1015") -> Drawing:
    return parse(dxf.encode(dxf.document(entities, blocks, header)))


def text(value: str, x: float, y: float, extra: str = "", kind: str = "TEXT") -> str:
    return f"0 {kind}, {extra} 8 0, 10 {x}, 20 {y}, 30 0, 40 2.5, 1 {value},"


def dimension(x1: float, x2: float, y: float, override: str = "", text_x: float = 50) -> str:
    return (
        f"0 DIMENSION, 5 D1, 8 0, 10 {x2}, 20 {y}, 30 0, 11 {text_x}, 21 {y + 2}, 31 0, 70 32, 1 {override}, "
        f"13 {x1}, 23 0, 33 0, 14 {x2}, 24 0, 34 0, 42 {abs(x2 - x1)},"
    )


FRAME = "".join(
    dxf.line(*ends, extra=f"5 {k:X},")
    for k, ends in enumerate([(0, 0, 100, 0), (100, 0, 100, 60), (100, 60, 0, 60), (0, 60, 0, 0)], 16)
)


# --- one difference at a time ----------------------------------------------------------------------------------------


def test_a_drawing_and_itself() -> None:
    result = compare(PLATE, PLATE, encoder=encoder.load())
    assert not result.differences and result.agreement == 1.0 and not result.notes
    assert len(result.same) == len(PLATE)
    assert result.similarity is not None and result.similarity.overall == pytest.approx(1.0, abs=1e-5)
    assert all(region.agreement == 1.0 for region in result.regions)
    assert sum(region.share for region in result.regions) == pytest.approx(1.0)


def test_added_and_removed() -> None:
    more = drawing(*OUTLINE, *HOLES, circle(100, 60, 20))
    result = compare(PLATE, more)
    assert kinds(result) == {"added": 1}
    (added,) = result.differences
    assert (added.cls, added.a, added.place.handle, added.place.layer) == ("CIRCLE", None, "9", "0")
    assert added.place.box == (80, 40, 120, 80)
    assert kinds(compare(more, PLATE)) == {"removed": 1}


def test_moved() -> None:
    other = drawing(*OUTLINE, *HOLES[:3], circle(35, 90, 6))
    (moved,) = compare(PLATE, other).differences
    assert (moved.kind, moved.label, moved.cls) == ("moved", False, "CIRCLE")
    assert [(c.name, c.new) for c in moved.changes] == [("x", 15.0), ("y", -10.0)]


def test_changed_numbers() -> None:
    other = drawing(*OUTLINE, *HOLES[:3], circle(20, 100, 7))
    (changed,) = compare(PLATE, other).differences
    assert (changed.kind, [(c.what, c.name, c.old, c.new) for c in changed.changes]) == (
        "changed",
        [("geometry", "radius", 6.0, 7.0)],
    )


def test_a_vertex_of_a_polyline() -> None:
    points = [(0, 0), (50, 0), (50, 30), (20, 40), (0, 30)]
    bent = [(0, 0), (50, 0), (50, 30), (24, 44), (0, 30)]
    (changed,) = compare(drawing(*OUTLINE, polyline(points)), drawing(*OUTLINE, polyline(bent))).differences
    assert changed.kind == "changed" and {c.name for c in changed.changes} == {"top", "length"}
    assert 0 < changed.cost < 0.5


def test_text_layer_and_colour_are_classes_of_their_own() -> None:
    old = read(FRAME + text("M8", 10, 10, "5 A1,") + "0 CIRCLE, 5 A2, 8 CUT, 10 50, 20 30, 30 0, 40 5,")
    new = read(FRAME + text("M10", 10, 10, "5 A1,") + "0 CIRCLE, 5 A2, 8 DRILL, 62 1, 10 50, 20 30, 30 0, 40 5,")
    result = compare(old, new)
    found = {d.cls: [(c.what, c.old, c.new) for c in d.changes] for d in result.differences}
    assert found == {
        "TEXT": [("text", "M8", "M10")],
        "CIRCLE": [("layer", "CUT", "DRILL"), ("colour", "by layer", "colour 1")],
    }
    costs = {d.cls: d.cost for d in result.differences}
    assert costs["CIRCLE"] == 0 and costs["TEXT"] > 0
    assert all(d.kind == "changed" for d in result.differences)


def test_layers_do_not_tell_small_letters_from_capitals() -> None:
    old, new = (read(FRAME + f"0 CIRCLE, 5 A2, 8 {name}, 10 50, 20 30, 30 0, 40 5,") for name in ("Cut", "CUT"))
    assert not compare(old, new).differences


def test_a_moved_label_is_no_changed_part() -> None:
    old, new = read(FRAME + text("M8", 10, 10, "5 A1,")), read(FRAME + text("M8", 14, 12, "5 A1,"))
    result = compare(old, new)
    (moved,) = result.differences
    assert (moved.kind, moved.label, moved.cost) == ("moved", True, 0.0)
    assert result.agreement == 1.0


def test_dimensions() -> None:
    base = read(FRAME + dimension(10, 90, 70))
    moved_text = compare(base, read(FRAME + dimension(10, 90, 70, text_x=40))).differences
    moved_line = compare(base, read(FRAME + dimension(10, 90, 75))).differences
    for (found,) in (moved_text, moved_line):
        assert (found.kind, found.label, found.cost) == ("moved", True, 0.0)
    (value,) = compare(base, read(FRAME + dimension(10, 92, 70))).differences
    assert ("dimension value", 80.0, 82.0) in [(c.what, c.old, c.new) for c in value.changes]
    (override,) = compare(base, read(FRAME + dimension(10, 90, 70, "<> H7"))).differences
    assert [(c.what, c.old, c.new) for c in override.changes] == [("text", "", "<> H7")]
    assert value.kind == override.kind == "changed" and override.cost > 0


def test_a_handle_tells_what_a_redrawn_entity_was() -> None:
    old = read(
        FRAME + "0 CIRCLE, 5 A1, 8 0, 10 20, 20 20, 30 0, 40 5," + "0 CIRCLE, 5 A2, 8 0, 10 80, 20 20, 30 0, 40 7,"
    )
    new = read(
        FRAME + "0 CIRCLE, 5 A1, 8 0, 10 80, 20 48, 30 0, 40 3," + "0 CIRCLE, 5 A2, 8 0, 10 20, 20 40, 30 0, 40 9,"
    )
    result = compare(old, new)
    assert kinds(result) == {"changed": 2}
    assert all(d.a and d.b and d.a.handle == d.b.handle for d in result.differences)


# --- what is no difference -------------------------------------------------------------------------------------------


def test_a_polyline_and_its_lines() -> None:
    parts = [(0, 0), (50, 0), (50, 30), (0, 30), (0, 0)]
    whole = drawing(*OUTLINE, polyline(parts[:4]))
    lines = drawing(*OUTLINE, *(line(*p, *q) for p, q in pairwise(parts)))
    assert not compare(whole, lines).differences and not compare(lines, whole).differences
    assert kinds(compare(whole, drawing(*OUTLINE, *(line(*p, *q) for p, q in pairwise(parts[:4]))))) == {"changed": 1}


def test_directions() -> None:
    points = [(0, 0, 0.3), (50, 0, -0.2), (60, 30, 0)]
    turned = [(60, 30, 0.2), (50, 0, -0.3), (0, 0, 0)]
    one = drawing(line(0, 0, 9, 5), line(7, 0, 7, 9), polyline(points, closed=False))
    two = drawing(line(9, 5, 0, 0), line(7, 9, 7, 0), polyline(turned, closed=False))
    assert not compare(one, two).differences


def test_a_block_and_its_content() -> None:
    content = dxf.line(0, 0, 10, 0) + "0 CIRCLE, 8 0, 10 5, 20 5, 30 0, 40 2,"
    block = dxf.block("B", content)
    inserted = read(FRAME + dxf.insert("B", 20, 30), block)
    exploded = read(FRAME + dxf.line(20, 30, 30, 30) + "0 CIRCLE, 8 0, 10 25, 20 35, 30 0, 40 2,")
    assert not compare(inserted, exploded).differences
    gone = compare(inserted, read(FRAME, block))
    assert [(d.kind, d.cls) for d in gone.differences] == [("removed", "INSERT")]
    (moved,) = compare(inserted, read(FRAME + dxf.insert("B", 26, 30), block)).differences
    assert (moved.kind, moved.cls, moved.changes[0].new) == ("moved", "INSERT", 6.0)


def test_part_of_a_block() -> None:
    def sheet(radius: float) -> Drawing:
        content = dxf.line(0, 0, 10, 0) + f"0 CIRCLE, 5 C1, 8 0, 10 5, 20 5, 30 0, 40 {radius},"
        return read(FRAME + dxf.insert("B", 20, 30, "5 77,"), dxf.block("B", content))

    (changed,) = compare(sheet(2), sheet(3)).differences
    assert (changed.kind, changed.cls, changed.place.block, changed.place.insert) == ("changed", "CIRCLE", "B", "77")


def test_doubled_lines_are_a_note() -> None:
    twice = drawing(*OUTLINE, *HOLES, OUTLINE[0], line(120, 0, 100, 0), HOLES[1])
    for result, name in ((compare(PLATE, twice), "B"), (compare(twice, PLATE), "A")):
        assert kinds(result) in ({"added": 1}, {"removed": 1})  # the line within another: it may be an axis
        assert any(note.startswith(f"{name} draws 2 entities twice") for note in result.notes)
    assert not compare(twice, twice).differences and not compare(twice, twice).notes


def test_what_is_new_twice_is_told_once() -> None:
    new, moved = circle(100, 60, 9), circle(24, 20, 4)
    once = compare(PLATE, drawing(*OUTLINE, *HOLES[1:], moved, new))
    twice = compare(PLATE, drawing(*OUTLINE, *HOLES[1:], moved, new, new, moved))
    assert kinds(once) == kinds(twice) == {"added": 1, "moved": 1}


def test_what_is_doubled_in_part_is_told_as_a_whole() -> None:
    pocket = polyline([(0, 0), (0, 0), (200, 0), (100, 50)])  # one edge lies on the outline, one has no length
    for extra in ([], [line(0, 0, 0, 0)]):
        assert kinds(compare(PLATE, drawing(*OUTLINE, *HOLES, pocket, *extra))) == {"added": 1}


def test_lines_in_pieces_are_the_same() -> None:
    pieces = drawing(*OUTLINE[1:], *HOLES, line(0, 0, 80, 0), line(200, 0, 120, 0), line(120, 0, 75, 0))
    for result in (compare(PLATE, pieces), compare(pieces, PLATE)):
        assert not result.differences and result.agreement == 1.0
    gap = drawing(*OUTLINE[1:], *HOLES, line(0, 0, 80, 0), line(200, 0, 81, 0))
    assert compare(PLATE, gap).differences
    shorter = drawing(*OUTLINE[1:], *HOLES, line(0, 0, 80, 0), line(190, 0, 80, 0))
    assert compare(PLATE, shorter).differences


def test_edges_of_no_length_are_cleaned_away() -> None:
    dirty = drawing(*OUTLINE, polyline([(10, 10), (10, 10), (30, 10), (30, 30)]))
    assert not compare(drawing(*OUTLINE, polyline([(10, 10), (30, 10), (30, 30)])), dirty).differences
    assert not compare(PLATE, drawing(*OUTLINE, *HOLES, line(5, 5, 5, 5))).differences


def test_mtext_and_its_lines() -> None:
    one = read(FRAME + "0 MTEXT, 8 0, 10 10, 20 40, 30 0, 40 2.5, 71 1, 1 NOTES\\PDEBURR,")
    two = read(FRAME + text("NOTES", 10, 37.5) + text("DEBURR", 10, 33.3))
    result = compare(one, two)
    assert not result.differences and "other means" in result.notes[0]
    assert compare(one, read(FRAME + text("NOTES", 10, 37.5))).differences


# --- tolerance -------------------------------------------------------------------------------------------------------


def test_tolerance() -> None:
    other = drawing(*OUTLINE, *HOLES[:3], circle(20.04, 100, 6))
    assert kinds(compare(PLATE, other)) == {"moved": 1}
    assert not compare(PLATE, other, tolerance=0.05).differences
    assert compare(PLATE, other).tolerance == pytest.approx(0.01)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DeepDXFError, match="tolerance"):
            compare(PLATE, other, tolerance=bad)


def test_chains_within_the_tolerance_are_matched_pairwise() -> None:
    """Parallel lines nearer to each other than the tolerance: each finds one that is near enough, none is lost."""
    rows = [line(0, 0.009 * k, 100, 0.009 * k) for k in range(30)]
    one, two = drawing(*OUTLINE, *rows), drawing(*OUTLINE, *rows[1:], line(0, 0.27, 100, 0.27))
    result = compare(one, two)
    assert len(result.differences) <= 2 and all(d.kind == "moved" for d in result.differences)


# --- invariances -----------------------------------------------------------------------------------------------------


def rows_of(seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(18):
        x, y, w, h = *(rng.random(2) * 200), *(rng.random(2) * 30 + 1)
        rows.append(
            [line(x, y, x + w, y - h), circle(x, y, w / 3), polyline([(x, y, 0.2), (x + w, y), (x, y + h)])][
                rng.integers(3)
            ]
        )
    return rows


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 50), st.integers(0, 3), st.booleans(), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.data())
def test_moved_turned_mirrored_and_reordered(
    seed: int, quarters: int, mirror: bool, x: float, y: float, data: st.DataObject
) -> None:
    rows = rows_of(seed)
    turn = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), quarters) @ np.diag(
        [-1.0 if mirror else 1.0, 1.0]
    )
    other = transform(drawing(*data.draw(st.permutations(rows))), np.column_stack([turn, [x, y]]))
    result = compare(drawing(*rows), other, rotation="quarters", mirror=True)
    assert not result.differences and result.agreement == 1.0


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 50), st.integers(0, 50), st.sets(st.integers(0, 17), max_size=6), st.floats(-5, 5))
def test_both_ways_find_the_same(seed: int, more: int, gone: set[int], shift: float) -> None:
    rows = rows_of(seed)
    a = drawing(*rows)
    changed = [
        circle(x + shift, 5, 3) if k % 5 == 0 else row for k, (x, row) in enumerate(zip(range(18), rows, strict=True))
    ]
    b = drawing(*(row for k, row in enumerate(changed) if k not in gone), *rows_of(100 + more)[:3])
    there, back = compare(a, b), compare(b, a)
    assert there.agreement == pytest.approx(back.agreement)

    for kind, opposite in (("added", "removed"), ("removed", "added"), ("moved", "moved"), ("changed", "changed")):
        one = sorted((str(d.a and d.a.handle), str(d.b and d.b.handle), round(d.cost, 9)) for d in there.of(kind))
        two = sorted((str(d.b and d.b.handle), str(d.a and d.a.handle), round(d.cost, 9)) for d in back.of(opposite))
        assert one == two
    assert compare(a, b).to_json() == there.to_json()


def test_both_ways_in_another_pose() -> None:
    matrix = np.array([[0.0, -2.0, 30], [2.0, 0.0, -7]])
    other = transform(drawing(*OUTLINE, *HOLES[:3], circle(60, 60, 9)), matrix)
    there = compare(PLATE, other, rotation="quarters", scale="any")
    back = compare(other, PLATE, rotation="quarters", scale="any")
    assert kinds(there) == {"changed": 1} == kinds(back)
    assert there.tolerance == pytest.approx(2 * back.tolerance)
    assert there.alignment.scale == pytest.approx(2) and back.alignment.scale == pytest.approx(0.5)
    # places are those of the file, numbers those of B
    assert there.differences[0].a is not None and there.differences[0].a.box == (14, 94, 26, 106)
    radius = {c.name: (c.old, c.new) for c in there.differences[0].changes}["radius"]
    assert radius == (12.0, 18.0)
    assert {c.name: (c.old, c.new) for c in back.differences[0].changes}["radius"] == (9.0, 6.0)


# --- the score -------------------------------------------------------------------------------------------------------


def test_costs_add_up() -> None:
    a, b = drawing(*rows_of(1)), drawing(*rows_of(1)[:12], *rows_of(2)[:4])
    result = compare(a, b)
    assert result.agreement == pytest.approx(1 - sum(d.cost for d in result.differences))
    assert sum(result.costs.values()) == pytest.approx(1 - result.agreement)
    assert sum(region.share for region in result.regions) == pytest.approx(1.0)
    lost = sum(region.share * (1 - region.agreement) for region in result.regions)
    cheap = sum(d.cost for d in result.of("moved"))  # moved ones cost half of what does not match
    assert lost == pytest.approx(1 - result.agreement + cheap)
    for name, score in result.classes.items():
        assert score.in_a == a.class_counts().get(name, 0) and 0 <= score.agreement <= 1


def test_json() -> None:
    other = drawing(*OUTLINE, *HOLES[:2], circle(35, 90, 6), circle(100, 60, 20))
    document = json.loads(json.dumps(compare(PLATE, other, encoder=encoder.load()).to_json(), allow_nan=False))
    assert set(document["codes"]) == {"sequence", "geometry"}
    for kind in KINDS:
        assert document["counts"][kind] == len(document[kind])
        for item in document[kind]:
            assert {"class", "handle", "layer", "place", "cost", "label"} <= item.keys()
    assert document["moved"][0]["differs"][0] == {"what": "position", "name": "x", "old": 0.0, "new": 15.0}
    assert len(document["same"]) == document["counts"]["same"] == 6


def test_rows_for_spreadsheets() -> None:
    other = drawing(*OUTLINE, *HOLES[:3], circle(35, 90, 6))
    rows = compare(PLATE, other).rows()
    assert [(row["no"], row["differs"], row["new"]) for row in rows] == [
        (1, "position x", 15.0),
        (1, "position y", -10.0),
    ]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected", "note"),
    [
        (lambda: (drawing(), drawing()), {}, "A and B have nothing"),
        (lambda: (drawing(), PLATE), {"added": 8}, "A has nothing"),
        (lambda: (PLATE, drawing()), {"removed": 8}, "B has nothing"),
        (lambda: (PLATE, drawing(circle(900, 900, 77))), {"removed": 8, "added": 1}, "no common geometry"),
    ],
)
def test_nothing_in_common(make: Callable[[], tuple[Drawing, Drawing]], expected: dict[str, int], note: str) -> None:
    result = compare(*make(), encoder=encoder.load(), rotation="any", mirror=True, scale="any")
    assert kinds(result) == expected and note in result.notes[0]
    assert result.agreement == (1.0 if not expected else 0.0)
    json.dumps(result.to_json(), allow_nan=False)


def test_units_and_formats() -> None:
    inch = replace(transform(PLATE, np.array([[1 / 25.4, 0, 0], [0, 1 / 25.4, 0]])), unit_mm=25.4, format="dwg")
    result = compare(inch, PLATE)
    assert not result.differences and any("different units" in note for note in result.notes)
    wrong = compare(replace(PLATE, unit_mm=25.4), PLATE)
    assert not wrong.differences and any("not used" in note for note in wrong.notes)


def test_coordinates_that_are_no_numbers() -> None:
    broken = drawing(*OUTLINE, line(float("nan"), 0, 1, 1))
    result = compare(broken, broken)
    assert not result.differences
    assert kinds(compare(drawing(*OUTLINE), broken)) == {}


# --- the oracle ------------------------------------------------------------------------------------------------------


def test_what_the_generator_edited_is_found(tmp_path: Path) -> None:
    """All kinds of edits; the figures of experiments/compare_edits.py on a small archive."""
    from deepdxf.synth import EDITS, generate

    generate(tmp_path / "drawings", 130, seed=11)
    counts, _ = count_folder(tmp_path / "drawings")
    assert set(counts) == set(EDITS)
    for edit, rows in counts.items():
        found = figures(rows)
        assert found["precision"] >= 0.98, edit
        assert found["recall"] >= 0.98, edit
