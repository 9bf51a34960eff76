"""Synthetic drawings: files that other libraries accept, edits that do what their truth says.

Oracle: ezdxf, for validity, transformations, flattening and the ink of written files.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import ezdxf
import numpy as np
import pytest
import shapely
import shapely.affinity
from ezdxf import disassemble
from ezdxf.math import BSpline
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.dxfwrite import (
    VERSIONS,
    Doc,
    Entity,
    Similarity,
    clamped_knots,
    dimension_parts,
    dxf_bytes,
    exploded,
    hatch_lines,
    spline_points,
)
from deepdxf.errors import DeepDXFError
from deepdxf.synth import EDITS, RELEVANCE, Edited, backwards, file_bytes, generate, primitives, shape, truth
from deepdxf.synth_families import FAMILIES, Design, Style, draw_design, draw_style, pieces, rounded

COORDINATE = st.floats(-100, 100).map(lambda v: round(v, 3))
POINT = st.tuples(COORDINATE, COORDINATE)
BULGE = st.sampled_from([0.0, 0.0, 0.5, -0.5, 1.0, -0.2])


def document(*entities: Entity, **fields: object) -> Doc:
    return Doc(entities=list(entities), layers={"A": (1, "Continuous")}, **fields)  # type: ignore[arg-type]


def loaded(data: bytes) -> ezdxf.document.Drawing:
    """The file as ezdxf reads it, in the encoding that its header names."""
    from ezdxf.filemanagement import read
    from ezdxf.lldxf.encoding import decode_dxf_unicode, has_dxf_unicode
    from ezdxf.tools.codepage import toencoding

    text = data.decode("latin-1")
    codepage = text.split("$DWGCODEPAGE")[1].split()[1]
    encoding = "utf-8" if text.split("$ACADVER")[1].split()[1] >= "AC1021" else toencoding(codepage)
    text = data.decode(encoding).replace("\r\n", "\n")
    return read(io.StringIO(decode_dxf_unicode(text) if has_dxf_unicode(text) else text))


def design(kind: str, seed: int, **style: object) -> Design:
    rng = np.random.default_rng([seed, 77])
    return draw_design(kind, replace(draw_style(rng), **style), rng)  # type: ignore[arg-type]


def ink(entities: Iterable[object], distance: float) -> shapely.MultiLineString:
    """All curves of entities as ezdxf shows them, flattened to ``distance``; texts and fills left out."""
    lines = []
    for primitive in disassemble.to_primitives(disassemble.recursive_decompose(entities)):
        if primitive.entity.dxftype() in ("TEXT", "MTEXT", "ATTRIB", "ATTDEF", "SOLID", "HATCH") or primitive.is_empty:
            continue
        if primitive.path is not None:
            lines.append([(v.x, v.y) for v in primitive.path.flattening(distance)])
        else:
            lines.append([(v.x, v.y) for v in primitive.vertices()])
    return shapely.MultiLineString(lines)


def moved_by(move: Similarity, curves: shapely.MultiLineString) -> shapely.MultiLineString:
    a, b, c, d, e, f = move.matrix()
    return shapely.affinity.affine_transform(curves, (a, c, b, d, e, f))


# ---------------------------------------------------------------------------------------------------- records


@given(
    st.sampled_from(["LINE", "CIRCLE", "ARC", "LWPOLYLINE", "INSERT"]),
    st.lists(st.tuples(COORDINATE, COORDINATE, BULGE), min_size=2, max_size=5, unique_by=lambda v: v[:2]),
    st.floats(0, 359),
    st.floats(10, 350),
    st.builds(Similarity, st.floats(0.1, 9), st.floats(0, 360), st.booleans(), COORDINATE, COORDINATE),
)
@settings(deadline=None, max_examples=60)
def test_similarity_agrees_with_ezdxf(kind: str, vertices: list, angle: float, sweep: float, move: Similarity) -> None:
    points, bulges = [v[:2] for v in vertices], [v[2] for v in vertices]
    count = {"LINE": 2, "LWPOLYLINE": len(points)}.get(kind, 1)
    entity = Entity(kind, "A", points[:count], size=2.0, angle=angle, end=(angle + sweep) % 360, name="B", closed=True)
    if kind == "LWPOLYLINE":
        entity = replace(entity, bulges=bulges)
    block = [Entity("LINE", "A", [(0, 0), (9, 1)]), Entity("ARC", "A", [(3, 4)], size=2, angle=10, end=80)]
    before, after = (
        loaded(dxf_bytes(document(e, blocks={"B": list(block)}))).modelspace() for e in (entity, move.entity(entity))
    )
    # the oracle: what ezdxf shows of the entity, moved as a picture, against what it shows of the moved entity
    expected = moved_by(move, ink(before, 0.01))
    assert shapely.hausdorff_distance(expected, ink(after, 0.01 * move.scale)) < 0.05 * move.scale + 1e-4


@given(
    st.lists(st.tuples(COORDINATE, COORDINATE, BULGE), min_size=2, max_size=7, unique_by=lambda v: v[:2]), st.booleans()
)
@settings(deadline=None, max_examples=50)
def test_pieces_agree_with_ezdxf(vertices: list, closed: bool) -> None:
    line = Entity("LWPOLYLINE", "A", [v[:2] for v in vertices], bulges=[v[2] for v in vertices], closed=closed)
    oracle = loaded(dxf_bytes(document(line))).modelspace()[0].virtual_entities()
    for got, expected in zip(pieces(line), list(oracle), strict=True):
        assert got.type == expected.dxftype()
        if got.type == "LINE":
            assert np.allclose(got.points, [tuple(expected.dxf.start)[:2], tuple(expected.dxf.end)[:2]], atol=1e-4)
        else:
            assert np.allclose(got.points[0], tuple(expected.dxf.center)[:2], atol=1e-3)
            assert got.size == pytest.approx(expected.dxf.radius, abs=1e-3)
            for a, b in ((got.angle, expected.dxf.start_angle), (got.end, expected.dxf.end_angle)):
                assert abs((a - b + 180) % 360 - 180) < 0.1


@given(
    st.lists(st.tuples(COORDINATE, COORDINATE, BULGE), min_size=2, max_size=7, unique_by=lambda v: v[:2]), st.booleans()
)
def test_direction_does_not_change_the_shape(vertices: list, closed: bool) -> None:
    line = Entity("LWPOLYLINE", "A", [v[:2] for v in vertices], bulges=[v[2] for v in vertices], closed=closed)
    back = backwards(line)
    assert back.points[0] == line.points[-1]
    assert shape(back) == shape(line)
    assert shape(backwards(back)) == shape(line) and backwards(back).points == line.points
    # the same arcs and lines, as sets, run over the other way
    key = Counter((p.type, tuple(np.round(np.sort(np.array(p.points), axis=0).ravel(), 4) + 0.0)) for p in pieces(line))
    other = Counter(
        (p.type, tuple(np.round(np.sort(np.array(p.points), axis=0).ravel(), 4) + 0.0)) for p in pieces(back)
    )
    assert key == other
    assert shape(replace(line, points=[(x + 1, y) for x, y in line.points])) != shape(line)


@given(st.lists(POINT, min_size=4, max_size=9))
def test_spline_points_agree_with_ezdxf(control: list) -> None:
    spans = len(control) - 3
    oracle = BSpline(control, order=4, knots=clamped_knots(len(control)))
    expected = [tuple(v)[:2] for v in oracle.points(np.linspace(0, spans, 8 * spans + 1))]
    assert np.allclose(spline_points(control), expected, atol=1e-6)


@given(st.floats(10, 50), st.floats(10, 50), st.floats(0, 180))
def test_hatch_lines_cover_the_area(w: float, h: float, angle: float) -> None:
    outer, inner = [(0, 0), (w, 0), (w, h), (0, h)], [(w / 4, h / 4), (w / 2, h / 4), (w / 2, h / 2), (w / 4, h / 2)]
    spacing = max(w, h) / 140
    area = Entity("HATCH", "A", [*outer, *inner], size=spacing, angle=angle, name="ANSI31", counts=(4, 4))
    drawn = sum(math.dist(*line.points) for line in hatch_lines(area)) * spacing
    assert drawn == pytest.approx(w * h * (1 - 1 / 16), rel=0.08)


def test_rounded_rectangle_by_hand() -> None:
    points, bulges = rounded([(0, 0), (10, 0), (10, 10), (0, 10)], 2.0)
    assert np.allclose(points[:4], [(0, 2), (2, 0), (8, 0), (10, 2)])
    assert np.allclose(bulges[::2], math.tan(math.radians(90) / 4)) and not any(bulges[1::2])
    assert np.allclose(rounded([(0, 0), (0, 10), (10, 10), (10, 0)], 2.0)[1][::2], -math.tan(math.radians(90) / 4))


def test_dimensions_by_hand() -> None:
    doc = document(decimals=1, comma=True)
    dim = Entity("DIMENSION", "A", [(0, 0), (30, 7), (15, -10)], size=2.5, name="linear", text="<> H7")
    measure, places, parts = dimension_parts(doc, dim)
    assert measure == 30.0 and places[0] == (30, -10)
    assert [p.text for p in parts if p.type == "TEXT"] == ["30,0 H7"]
    across = Entity("DIMENSION", "A", [(0, 0), (6, 8), (9, 12)], size=2.5, name="diameter")
    assert dimension_parts(doc, across)[0] == 10.0
    assert dimension_parts(doc, replace(dim, angle=90.0))[0] == pytest.approx(7.0)


# ---------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("version", VERSIONS)
def test_every_type_survives_in_every_version(version: str) -> None:
    block = [Entity("LINE", "0", [(0, 0), (5, 5)]), Entity("ATTDEF", "0", [(1, 1)], size=1, name="NO", text="x")]
    doc = document(
        Entity("LINE", "外形", [(0, 0), (100, 0)], color=3, linetype="CENTER"),
        Entity("CIRCLE", "A", [(50, 50)], size=10),
        Entity("ARC", "A", [(20, 20)], size=5, angle=350, end=80),
        Entity("LWPOLYLINE", "A", [(0, 0), (10, 0), (10, 10)], bulges=[0, 1, 0], closed=True),
        Entity("SPLINE", "A", [(0, 0), (10, 5), (20, -5), (30, 0), (40, 3)]),
        Entity("SOLID", "A", [(0, 0), (1, 0), (1, 1)]),
        Entity("TEXT", "A", [(3, 3)], size=2.5, text="公差 %%c5", align=1),
        Entity("MTEXT", "A", [(3, 30)], size=2.5, text="Notes:\n1. " + "long " * 100),
        Entity("INSERT", "A", [(30, 30)], size=2, angle=30, name="T", attributes=(("NO", "A-12"),)),
        Entity("HATCH", "A", [(60, 0), (80, 0), (80, 20)], size=2, angle=45, name="ANSI31", counts=(3,)),
        Entity("HATCH", "A", [(60, 30), (80, 30)], bulges=(1, 1), size=2, name="SOLID", counts=(2,)),
        Entity("LEADER", "A", [(60, 0), (70, -10), (80, -10)], size=2.5),
        Entity("DIMENSION", "A", [(0, 0), (100, 0), (50, -10)], size=2.5, name="linear"),
        Entity("DIMENSION", "A", [(43, 43), (57, 57), (60, 60)], size=2.5, name="diameter"),
        Entity("DIMENSION", "A", [(50, 50), (57, 57), (60, 60)], size=2.5, name="radius"),
        blocks={"T": block},
        version=version,
        unit="cm",
    )
    doc.layers["外形"] = (2, "Continuous")
    file = loaded(dxf_bytes(doc))
    auditor = file.audit()
    assert not auditor.errors and not auditor.fixes
    space = file.modelspace()
    old = version == "AC1009"
    expected = Counter(e.type for e in doc.entities)
    if old:
        expected = expected - Counter(LWPOLYLINE=1, SPLINE=1, LEADER=1, MTEXT=1, HATCH=2)
        expected += Counter(POLYLINE=3, TEXT=2, INSERT=2)
    assert Counter(e.dxftype() for e in space) == expected
    assert [int(e.dxf.handle, 16) for e in space if e.dxftype() == "DIMENSION"] == [e.handle for e in doc.entities[-3:]]
    assert space.query("INSERT")[0].get_attrib_text("NO") == "A-12"
    assert space.query("TEXT")[0].dxf.text == "公差 %%c5"
    assert "外形" in file.layers
    assert file.units == (0 if old else 5)
    if not old:
        assert space.query("DIMENSION")[0].get_measurement() == pytest.approx(100.0)
        assert space.query("MTEXT")[0].plain_text().count("long") == 100


@pytest.mark.parametrize("kind", FAMILIES)
def test_families_are_valid_for_other_libraries(kind: str, tmp_path: Path) -> None:
    cadkit = pytest.importorskip("cadkit")
    for seed in range(3):
        doc = replace(design(kind, seed).build(), version=VERSIONS[seed])
        data = dxf_bytes(doc)
        assert b"nan" not in data and b"inf\n" not in data.replace(b"\r", b"")
        file = loaded(data)
        auditor = file.audit()
        assert not auditor.errors and not auditor.fixes
        (tmp_path / "a.dxf").write_bytes(data)
        assert len(list(cadkit.read(tmp_path / "a.dxf").entities())) == len(file.modelspace()) >= 8
        handles = [e.handle for e in doc.everything()]
        assert len(handles) == len(set(handles)) and min(handles) > 0
        assert doc.box()[2] > doc.box()[0]


def test_unknown_version_and_unit_are_refused() -> None:
    for bad in (document(version="AC1032"), document(unit="parsec")):
        with pytest.raises(ValueError, match="use one of"):
            dxf_bytes(bad)


@pytest.mark.parametrize("kind", FAMILIES)
def test_styles_change_the_dress_and_not_the_part(kind: str) -> None:
    plain = {
        "unit": "mm",
        "sheet": False,
        "dimensions": False,
        "notes": False,
        "marks": False,
        "hatches": "none",
        "origin": (0.0, 0.0),
    }
    one, two = (
        design(kind, 5, **plain, blocks=False, polylines=lines, layers=("X",) * 8).build() for lines in (True, False)
    )
    split = EDITS["polylines-split"][1]
    edited = split(design(kind, 5), one, np.random.default_rng(0))
    bare = edited.doc if edited else one
    count = Counter(e.type for e in bare.entities)
    assert count == Counter(e.type for e in two.entities)
    assert np.allclose(bare.box(), two.box())


def test_plate_by_hand() -> None:
    """A plate with four holes: outline, side view, and hole centres where the parameters say."""
    style = Style(
        ("X",) * 8, (7,) * 8, ("",) * 10, "mm", 2.5, 1, False, False, False, False, True, False, "none", False, False,
        (0.0, 0.0), "AC1015", "\n",
    )  # fmt: skip
    parameters = {
        "width": 100.0,
        "height": 50.0,
        "columns": 2.0,
        "rows": 2.0,
        "hole": 6.0,
        "margin": 10.0,
        "corner": 0.0,
        "thickness": 4.0,
    }
    doc = Design("plate", {**parameters, "slots": 0.0, "window": 0.0, "pattern": 0.0}, style, (120.0, 50.0), 1).build()
    circles = sorted((e.points[0], e.size) for e in doc.entities if e.type == "CIRCLE")
    assert circles == [((10.0, 10.0), 3.0), ((10.0, 40.0), 3.0), ((90.0, 10.0), 3.0), ((90.0, 40.0), 3.0)]
    outlines = [sorted(e.points) for e in doc.entities if e.type == "LWPOLYLINE"]
    assert [(0.0, 0.0), (0.0, 50.0), (100.0, 0.0), (100.0, 50.0)] in outlines and len(outlines) == 2


# ---------------------------------------------------------------------------------------------------- edits


def edit_of(name: str, kind: str, seed: int) -> tuple[Doc, Edited] | None:
    made = design(kind, seed)
    base = made.build()
    before = dxf_bytes(base)
    edited = EDITS[name][1](made, base, np.random.default_rng([seed, 1]))
    assert dxf_bytes(base) == before, "an edit must not touch its base"
    return (base, edited) if edited else None


CASES = [(name, list(FAMILIES)[(i * 5 + k * 4) % len(FAMILIES)], k) for i, name in enumerate(EDITS) for k in range(3)]


@pytest.mark.parametrize("name", EDITS)
def test_truth_accounts_for_every_record(name: str) -> None:
    done = 0
    for _, kind, seed in (case for case in CASES if case[0] == name):
        pair = edit_of(name, kind, seed)
        if pair is None:
            continue
        done += 1
        base, edited = pair
        told = json.loads(json.dumps(truth(base, edited)))
        before, after = ({e.handle for e in doc.entities} for doc in (base, edited.doc))
        old = {h for pair in told["replaced"] for h in pair[0]}
        new = {h for pair in told["replaced"] for h in pair[1]}
        kept = {told["renumbered"].get(str(h), h) for h in before - set(told["removed"]) - old}
        assert kept | new | set(told["added"]) == after
        assert not (new | set(told["added"])) & before
        file = loaded(file_bytes(edited))
        auditor = file.audit()
        assert not auditor.errors and not auditor.fixes
        assert len({e.handle for e in edited.doc.everything()}) == len(list(edited.doc.everything()))
        sort = EDITS[name][0]
        touched = told["added"] or told["removed"] or told["moved"] or told["changed"] or told["blocks"]
        moves = not np.allclose(told["transform"], (1, 0, 0, 1, 0, 0))
        if sort == "revision":
            assert touched and not moves and not old
        if name in ("hole-added", "noise"):
            assert told["added"] and not told["removed"] and not told["changed"]
        if name in ("hole-removed", "cut-out", "texts-removed"):
            assert told["removed"] and not told["added"] and not told["changed"]
        if name == "feature-moved":
            assert told["moved"] and len({tuple(v) for v in told["moved"].values()}) == 1 and not told["changed"]
        if sort == "copy" and name not in ("noise", "layers-renamed", "texts-translated", "texts-removed"):
            assert not touched
        if name in ("layers-renamed", "texts-translated"):
            field = "layer" if name == "layers-renamed" else "text"
            assert all(fields == [field] for fields in told["changed"].values()) and not told["removed"]
    assert done, "no family gave occasion for this edit"


@pytest.mark.parametrize("name", [name for name, (sort, _) in EDITS.items() if sort == "copy" and name != "noise"])
def test_copies_leave_the_same_ink(name: str) -> None:
    plain = {"hatches": "none", "dimensions": False, "version": "AC1015"}
    for kind in ("bracket", "schematic"):
        made = design(kind, 3, **plain, blocks=kind == "schematic", polylines=name == "polylines-split")
        base = made.build()
        edited = EDITS[name][1](made, base, np.random.default_rng(4))
        if edited is None:
            continue
        x0, y0, x1, y1 = base.box()
        step = (x1 - x0 + y1 - y0) / 2000
        expected = moved_by(edited.move, ink(loaded(dxf_bytes(base)).modelspace(), step))
        got = ink(loaded(file_bytes(edited)).modelspace(), step * edited.move.scale)
        assert shapely.hausdorff_distance(expected, got) < 4 * step * edited.move.scale


@given(
    st.lists(st.tuples(COORDINATE, COORDINATE, BULGE), min_size=3, max_size=7, unique_by=lambda v: v[:2]),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_joined_lines_are_the_polyline_that_was_split(vertices: list, turned: list) -> None:
    line = Entity("LWPOLYLINE", "A", [v[:2] for v in vertices], bulges=[v[2] for v in vertices])
    parts = [backwards(p) if p.type == "LINE" and turn else p for p, turn in zip(pieces(line), turned, strict=False)]
    base = document(*parts)
    base.number()
    edited = EDITS["lines-joined"][1](design("plate", 0), base, np.random.default_rng(0))
    assert edited is not None
    (joined,) = edited.doc.entities
    assert edited.replaced == [([e.handle for e in base.entities], [joined.handle])]
    assert np.allclose(joined.points, line.points, atol=1e-5)
    assert np.allclose(joined.bulges[:-1], line.bulges[:-1], atol=1e-5)


def test_dimension_changed_keeps_sheet_and_identity() -> None:
    made = design("plate", 1, sheet=True, notes=True, dimensions=True)
    base = made.build()
    edited = EDITS["dimension-changed"][1](made, base, np.random.default_rng(2))
    assert edited is not None
    told = truth(base, edited)
    frame = {e.handle for e in base.entities if e.feature == "frame"}
    assert not frame & {int(h) for h in (*told["changed"], *told["moved"])} and not frame & set(told["removed"])
    assert len(told["removed"]) < len(base.entities) / 3


def test_left_right_mirrors_the_part_on_its_sheet() -> None:
    made = design("bracket", 2, sheet=True)
    base = made.build()
    edited = EDITS["left-right"][1](made, base, np.random.default_rng(0))
    assert edited is not None and edited.fixed
    one, two = (
        replace(doc, entities=[e for e in doc.entities if e.handle not in edited.fixed]) for doc in (base, edited.doc)
    )
    assert np.allclose(one.box(), two.box())
    assert primitives(base) != primitives(edited.doc)


def test_exploded_block_by_hand() -> None:
    block = [
        Entity("LINE", "0", [(0, 0), (1, 0)]),
        Entity("CIRCLE", "B", [(1, 0)], size=0.5),
        Entity("ATTDEF", "0", [(0, 1)], size=1, name="NO"),
    ]
    insert = Entity("INSERT", "A", [(10, 0)], size=2, angle=90, name="T", attributes=(("NO", "7"),))
    line, circle, text = exploded(document(insert, blocks={"T": block}), insert)
    assert np.allclose(line.points, [(10, 0), (10, 2)]) and line.layer == "A"
    assert np.allclose(circle.points, [(10, 2)]) and circle.size == 1.0 and circle.layer == "B"
    assert text.type == "TEXT" and text.text == "7" and np.allclose(text.points, [(8, 0)]) and text.angle == 90


# ---------------------------------------------------------------------------------------------------- generate


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def test_generate_writes_what_it_reports(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    report = generate(tmp_path / "a b", 64, 5, progress=lambda done, total: calls.append((done, total)))
    files = {p.relative_to(tmp_path / "a b").as_posix() for p in (tmp_path / "a b").rglob("*.dxf")}
    assert len(files) == report.files == 64 == sum(report.kinds.values()) == sum(report.edits.values())
    assert calls == [(i, 64) for i in range(1, 65)]
    with (tmp_path / "a b/groups.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["file"] for row in rows} <= files
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["group_id"], []).append(row)
        assert int(row["relevance"]) == RELEVANCE[row["kind"]]
        if row["kind"] != "family":
            assert 0 <= float(row["best_primitive_jaccard"]) <= 1
    assert all(len(members) > 1 for members in groups.values())
    assert {row["kind"] for row in rows} == {"revision", "variant", "copy"}  # a family needs a second design of a kind
    truths = [json.loads(line) for line in (tmp_path / "a b/truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {t["file"] for t in truths} == files and {t["base"] for t in truths} <= files


def test_same_seed_same_bytes_and_larger_begins_with_smaller(tmp_path: Path) -> None:
    for name, count, seed in (("a", 30, 1), ("b", 30, 1), ("c", 40, 1), ("d", 30, 2)):
        generate(tmp_path / name, count, seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "d")
    for path in (tmp_path / "a").rglob("*.dxf"):
        assert (tmp_path / "c" / path.relative_to(tmp_path / "a")).read_bytes() == path.read_bytes()


def test_bytes_are_the_same_on_every_platform() -> None:
    """One number for all systems; a change here is a new benchmark: say so in the changelog."""
    total = hashlib.sha256()
    for i, kind in enumerate(FAMILIES):
        total.update(dxf_bytes(design(kind, i).build()))
    assert total.hexdigest()[:16] == "ac6450a9fc43ccea"


def test_families_appear_with_enough_designs(tmp_path: Path) -> None:
    report = generate(tmp_path, 10 * (len(FAMILIES) + 1), 0)
    text = (tmp_path / "groups.csv").read_text(encoding="utf-8")
    assert report.designs == len(FAMILIES) + 1 and "family-plate-0000" in text and "family-gear" not in text


def test_bad_arguments_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for folder, count in ((tmp_path / "new", 0), (tmp_path, 3), (tmp_path / "file", 3), (tmp_path / "file" / "in", 3)):
        with pytest.raises(DeepDXFError) as caught:
            generate(folder, count)
        assert "\n" not in str(caught.value) and ":" in str(caught.value)


def test_resaving_does_not_depend_on_the_order_of_sets():
    script = (
        "import hashlib, numpy as np; from deepdxf import synth; design, _ = synth._design(3, 2);"
        "rng = np.random.default_rng([3, 4, 2, list(synth.EDITS).index('resaved')]);"
        "print(hashlib.sha256(synth.file_bytes(synth.resaved(design, design.build(), rng))).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "4")  # the library writes different files under these
    }
    assert len(digests) == 1
