"""Parts taken apart: nests and sheets whose parts are known, files that read like what they were cut out of."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import ezdxf
import numpy as np
import pytest

from deepdxf.cli import main
from deepdxf.descriptor import Descriptor
from deepdxf.document import document
from deepdxf.drawing import Drawing, EntityClass
from deepdxf.dxfwrite import Doc, Entity, Similarity, dxf_bytes
from deepdxf.errors import DeepDXFError
from deepdxf.reader import parse, read
from deepdxf.split import split
from deepdxf.synth import generate
from tests import dxf
from tests.drawings import circle, drawing, drawing_of, line, polyline

C = EntityClass
ENCODER = Descriptor()


def kinds(drawing: Drawing, gap: float | None = None) -> list[tuple[str, int]]:
    return [(piece.kind, len(piece.rows)) for piece in split(drawing, gap)]


def bracket(x: float, y: float) -> list:
    outline = polyline([(x, y), (x + 40, y), (x + 40, y + 8), (x + 8, y + 8), (x + 8, y + 30), (x, y + 30)])
    return [outline, circle(x + 4, y + 25, 2), circle(x + 30, y + 4, 2)]


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Any:
    return polyline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


# --- pieces ----------------------------------------------------------------------------------------------------------


def test_a_nest() -> None:
    # the second lies in the corner of the first: their boxes overlap
    nest = drawing(*bracket(0, 0), *bracket(12, 12), *bracket(100, 0), circle(160, 10, 9))
    assert kinds(nest) == [("part", 3), ("part", 3), ("part", 3), ("part", 1)]
    found = split(nest)
    assert {tuple(piece.rows.tolist()) for piece in found} == {(0, 1, 2), (3, 4, 5), (6, 7, 8), (9,)}
    assert kinds(nest, gap=30.0) == [("part", 9), ("part", 1)] or kinds(nest, gap=30.0) == [("part", 10)]


def test_a_plate_with_holes_is_one_part() -> None:
    holes = [circle(x, y, 4) for x in (20, 60, 100) for y in (20, 50)]
    assert kinds(drawing(rectangle(0, 0, 120, 70), *holes)) == [("part", 7)]
    pockets = [rectangle(x, 20, x + 20, 50) for x in (10, 50, 90)]
    assert kinds(drawing(rectangle(0, 0, 120, 70), *pockets)) == [("part", 4)]
    lines = [line(0, 0, 120, 0), line(120, 0, 120, 70), line(120, 70, 0, 70), line(0, 70, 0, 0)]
    assert kinds(drawing(*lines, *holes)) == [("part", 10)]


def test_stock_around_a_nest_is_a_frame() -> None:
    nest = drawing(rectangle(-10, -10, 210, 60), *bracket(0, 0), *bracket(60, 0), *bracket(120, 12))
    assert kinds(nest) == [("part", 3)] * 3 + [("frame", 1)]


def sheet() -> ezdxf.document.Drawing:
    doc = ezdxf.new("R2010", units=4)
    space = doc.modelspace()
    space.add_lwpolyline([(0, 0), (420, 0), (420, 297), (0, 297)], close=True)
    space.add_lwpolyline([(20, 10), (410, 10), (410, 287), (20, 287)], close=True)
    for x in (105, 210, 315):
        space.add_line((x, 0), (x, 10))  # zones
        space.add_text("A", height=3).set_placement((x + 20, 3))
    for y in (20, 30, 40, 50):
        space.add_line((290, y), (410, y))
        space.add_text(f"ROW {y}", height=3).set_placement((295, y - 7))
    space.add_line((290, 10), (290, 50))
    for x in (60, 200):
        space.add_lwpolyline([(x, 150), (x + 80, 150), (x + 80, 200), (x, 200)], close=True)
        space.add_circle((x + 40, 175), 12)
        space.add_linear_dim(base=(x, 140), p1=(x, 150), p2=(x + 80, 150)).render()
        space.add_text("VIEW", height=5).set_placement((x + 20, 206))
    space.add_mtext("NOTES\\PDEBURR", dxfattribs={"char_height": 4, "insert": (300, 120)})
    return doc


def test_a_sheet() -> None:
    found = kinds(drawing_of(sheet()))
    assert found == [
        ("part", 4),
        ("part", 4),
        ("title block", 10),
        ("note", 1),
        ("frame", 7),
    ]  # a zone letter goes with the block


def test_every_row_with_ink_is_in_one_piece_wherever_the_sheet_lies() -> None:
    drawn = drawing_of(sheet())
    found = split(drawn)
    assert sorted(row for piece in found for row in piece.rows.tolist()) == np.flatnonzero(drawn.visible).tolist()
    from deepdxf.geometry import transform

    moved = split(transform(drawn, np.array([[1.0, 0.0, 5e4], [0.0, 1.0, -3e3]])))
    assert [(p.kind, p.rows.tolist()) for p in moved] == [(p.kind, p.rows.tolist()) for p in found]


def test_nothing_and_next_to_nothing() -> None:
    assert split(drawing()) == []
    assert kinds(drawing(line(3, 3, 3, 3))) == [("part", 1)]
    assert kinds(drawing(line(0, 0, 9, 0))) == [("part", 1)]
    for gap in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DeepDXFError, match="a gap of"):
            split(drawing(line(0, 0, 1, 1)), gap)


@pytest.fixture(scope="module")
def designs(tmp_path_factory: pytest.TempPathFactory) -> list[Drawing]:
    """Single parts, cut out of generated drawings."""
    folder = tmp_path_factory.mktemp("synth")
    generate(folder, 60, 3)
    found = []
    for path in sorted(folder.rglob("*_base.dxf")):
        whole = read(path)
        parts = [piece for piece in split(whole) if piece.kind == "part" and len(piece.rows) > 5]
        found += [whole.select(piece.rows) for piece in parts]
    return found


def test_parts_of_a_generated_nest_are_those_that_were_laid_there(designs: list[Drawing]) -> None:
    laid: list[Entity] = []
    designs = [part for part in designs if part.unit_mm == 1.0]
    x = 0.0
    largest = max(max(part.size) for part in designs)
    for part in designs:
        low = part.frame[:2]
        move = Similarity(dx=x - float(low[0]), dy=-float(low[1]))
        laid += [move.entity(entity) for entity in document(part).entities]
        x += part.size[0] + 0.6 * largest
    layers = {entity.layer: (7, "Continuous") for entity in laid}
    nest = parse(dxf_bytes(Doc(laid, layers=layers, version="AC1021")))
    pieces = [piece for piece in split(nest, gap=0.2 * largest) if piece.kind == "part"]
    assert len(designs) > 4 and len(pieces) == len(designs)
    pieces.sort(key=lambda piece: piece.box[0])
    for part, piece in zip(designs, pieces, strict=True):
        again = parse(dxf_bytes(document(nest.select(piece.rows))))
        assert ENCODER.encode([part])[0] @ ENCODER.encode([again])[0] > 0.95


# --- files -----------------------------------------------------------------------------------------------------------


def test_what_is_written_reads_as_what_was_read(designs: list[Drawing]) -> None:
    for part in designs:
        again = parse(dxf_bytes(document(part)))
        assert again.class_counts() == part.drawn.class_counts()
        assert again.unit_mm == part.unit_mm
        np.testing.assert_allclose(again.frame, part.frame, atol=1e-4 * max(part.size))
        assert ENCODER.encode([part])[0] @ ENCODER.encode([again])[0] > 0.99


def test_all_classes_are_written() -> None:
    doc = ezdxf.new("R2010", units=1)
    space = doc.modelspace()
    space.add_point((1, 2))
    space.add_ellipse((50, 50), (20, 5), 0.4, 0.3, 4.0)
    space.add_spline([(0, 0), (10, 20), (30, -5), (40, 8)])
    space.add_solid([(60, 0), (70, 0), (60, 9), (70, 9)])
    space.add_lwpolyline([(0, 60, 0, 0, 0.4), (20, 60, 0, 0, -0.2), (20, 80, 0, 0, 0)], dxfattribs={"color": 3})
    space.add_mtext(
        "ONE\\PTWO", dxfattribs={"char_height": 3, "insert": (80, 80), "rotation": 30, "attachment_point": 5}
    )
    space.add_text("THREE", height=4, rotation=45).set_placement((90, 30), align=ezdxf.enums.TextEntityAlignment.MIDDLE)
    hatch = space.add_hatch(color=2)
    hatch.paths.add_polyline_path([(0, 90), (30, 90), (30, 120), (0, 120)])
    hatch.paths.add_polyline_path([(10, 100), (20, 100), (20, 110)])
    space.add_linear_dim(base=(0, -20), p1=(0, 0), p2=(60, 0)).render()
    space.add_diameter_dim(center=(50, 50), radius=8, angle=30).render()
    space.add_leader([(0, 0), (9, 9), (20, 9)])
    drawn = drawing_of(doc)
    again = parse(dxf_bytes(document(drawn)))
    assert again.class_counts() == drawn.class_counts()
    for cls in (C.SPLINE, C.SOLID, C.LWPOLYLINE, C.HATCH, C.CIRCLE):
        np.testing.assert_allclose(again.box[again.rows(cls)], drawn.box[drawn.rows(cls)], atol=1e-4)
    assert again.color[again.rows(C.LWPOLYLINE)].tolist() == [3] and again.unit_mm == 25.4
    assert "POINT" in again.dxftypes
    assert sorted(again.texts[k] for k in again.text_index[again.rows(C.MTEXT)]) == ["ONE\nTWO"]
    assert ENCODER.encode([drawn])[0] @ ENCODER.encode([again])[0] > 0.98


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "sheet one.dxf", tmp_path / "parts"
    sheet().saveas(file)
    before = file.read_bytes()
    assert main(["split", str(file), "--out", str(out)]) == 0
    assert "2 parts, 1 title block, 1 note, 1 frame" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["parts.csv", "sheet one_1.dxf", "sheet one_2.dxf"]
    with (out / "parts.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["kind"] for row in rows] == ["part", "part", "title block", "note", "frame"]
    assert rows[0]["file"] == "sheet one_1.dxf" and rows[2]["file"] == ""
    part = read(out / rows[0]["file"])
    assert part.class_counts() == {"LWPOLYLINE": 1, "CIRCLE": 1, "DIMENSION": 1, "TEXT": 1}
    assert float(rows[0]["x0"]) == pytest.approx(part.frame[0], abs=0.1) and file.read_bytes() == before
    assert main(["split", str(file), "--out", str(out)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert main(["split", str(file), "--out", str(tmp_path / "all"), "--all", "--json"]) == 0
    assert len(list((tmp_path / "all").glob("*.dxf"))) == 5


def test_the_command_tells_what_is_missing_of_the_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = dxf.encode(dxf.document("".join(dxf.line(x, 0, x + 0.5, 9) for x in range(40))))
    (tmp_path / "cut.dxf").write_bytes(whole[: len(whole) // 2])
    assert main(["split", str(tmp_path / "cut.dxf"), "--out", str(tmp_path / "parts")]) == 0
    assert "partial: " in capsys.readouterr().err
    assert main(["split", str(tmp_path / "cut.dxf"), "--out", str(tmp_path / "again"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "partial" and document["problems"]
