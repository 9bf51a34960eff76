"""Details of drawings found in others, at the place where they were put."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf import parts
from deepdxf.archive import Archive
from deepdxf.cli import main
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import transform
from deepdxf.parts import detail_of, find_parts, lay, marked_svg, most_share
from deepdxf.verify import sketch
from tests import dxf

QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])


def circle(x: float, y: float, radius: float) -> str:
    return f"0 CIRCLE, 8 0, 10 {x}, 20 {y}, 40 {radius},"


def rectangle(x: float, y: float, w: float, h: float) -> str:
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    return "".join(dxf.line(*a, *b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True))


def detail(x: float = 0.0, y: float = 0.0) -> str:
    """A plate of 20 × 10 with three holes, not symmetric."""
    return rectangle(x, y, 20, 10) + circle(x + 3, y + 3, 1.5) + circle(x + 15, y + 4, 2.25) + circle(x + 9, y + 7, 1)


def clutter(seed: int, n: int = 60) -> str:
    rng = np.random.default_rng(seed)
    made = [dxf.line(*row) for row in rng.uniform(-200, 200, (n, 4)).round(3).tolist()]
    return "".join(made + [circle(*row) for row in rng.uniform(1, 90, (n // 3, 3)).round(3).tolist()])


TEXT = "0 TEXT, 8 0, 10 1, 20 1, 40 2, 1 plate,"


@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans(), st.floats(-150, 150), st.floats(-150, 150))
@settings(max_examples=25)
def test_a_detail_is_found_where_it_was_put(seed: int, turns: int, mirror: bool, x: float, y: float) -> None:
    query = dxf.drawing(detail())
    linear = np.linalg.matrix_power(QUARTER, turns) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    placed = transform(query, np.column_stack([linear, [x, y]]))
    drawing = joined(dxf.drawing(clutter(seed)), placed)
    found = lay(detail_of(query), drawing, Switches(mirror=True, rotation=True))
    assert found is not None
    assert found["share"] == 1.0
    corners = placed.vertices[:, :2]
    truth = [*corners[: len(corners)].min(axis=0), *corners.max(axis=0)]
    assert found["place"] == pytest.approx(truth, abs=0.02)
    if turns or mirror:
        plain = lay(detail_of(query), drawing, Switches())
        assert plain is None or plain["share"] < 1.0


def joined(a: Drawing, b: Drawing) -> Drawing:
    """The lines and circles of both drawings in one."""
    text = []
    for drawing in (a, b):
        for row in range(len(drawing)):
            first, end = drawing.vertex_start[row], drawing.vertex_start[row + 1]
            points = drawing.vertices[first:end, :2]
            if len(points) == 2:
                text.append(dxf.line(*points.ravel().tolist()))
            else:
                text.append(circle(*points[0].tolist(), float(drawing.scalars[row, 0])))
    return dxf.drawing("".join(text))


def test_shares_of_what_is_missing() -> None:
    query = detail_of(dxf.drawing(detail()))
    cut = dxf.drawing(clutter(3) + rectangle(50, 50, 20, 10) + circle(53, 53, 1.5))
    found = lay(query, cut, Switches())
    assert found is not None
    assert found["share"] == pytest.approx(5 / 7, abs=1e-6)
    assert found["place"] == pytest.approx((50, 50, 70, 60))
    assert lay(query, dxf.drawing(clutter(4)), Switches()) is None


def test_a_box_takes_what_lies_wholly_in_it() -> None:
    drawing = dxf.drawing(detail(100, 100) + dxf.line(90, 105, 130, 105) + TEXT + circle(0, 0, 5))
    assert len(detail_of(drawing, (99, 99, 121, 111)).pen.kind) == 7
    assert len(detail_of(drawing, (121, 111, 99, 99)).pen.kind) == 7
    assert len(detail_of(drawing).pen.kind) == 9  # the text does not count
    with pytest.raises(DeepDXFError, match="1 strokes of geometry lie wholly in the box"):
        detail_of(drawing, (-6, -6, 6, 6))
    with pytest.raises(DeepDXFError, match="0 strokes of geometry lie wholly in the drawing"):
        detail_of(dxf.drawing(TEXT))


def test_units_are_taken_into_account() -> None:
    inches = dxf.drawing(rectangle(0, 0, 10, 5) + circle(2, 2, 1) + circle(7, 3, 0.5))
    millimetres = transform(inches, np.array([[25.4, 0.0, 300.0], [0.0, 25.4, 40.0]]))
    import dataclasses

    inches = dataclasses.replace(inches, unit_mm=25.4)
    millimetres = dataclasses.replace(millimetres, unit_mm=1.0)
    found = lay(detail_of(inches), millimetres, Switches())
    assert found is not None and found["share"] == 1.0
    assert found["place"] == pytest.approx((300, 40, 554, 167))
    back = lay(detail_of(millimetres), inches, Switches())
    assert back is not None and back["place"] == pytest.approx((0, 0, 10, 5))


@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(5, 400))
@settings(max_examples=25)
def test_sizes_never_rule_out_what_is_there(seed: int, turns: int, n: int) -> None:
    query = detail_of(dxf.drawing(detail()))
    linear = np.linalg.matrix_power(QUARTER, turns)
    placed = transform(dxf.drawing(detail()), np.column_stack([linear, [40.0, -13.0]]))
    drawing = joined(dxf.drawing(clutter(seed, n)), placed)
    assert most_share(query, sketch(drawing), turned=True) == 1.0
    if turns % 2 == 0:
        assert most_share(query, sketch(drawing), turned=False) == 1.0
    assert most_share(query, sketch(dxf.drawing(clutter(seed, 12))), turned=True) < 0.5


def test_the_mark_lies_over_the_detail() -> None:
    drawing = dxf.drawing(detail() + detail(60, 30))
    picture = marked_svg(drawing, (60, 30, 80, 40), 400)
    mark = re.search(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"[^>]*stroke-dasharray', picture)
    assert mark
    x, y, w, h = map(int, mark.groups())
    assert w == pytest.approx(2 * h, rel=0.2)
    assert x > 400 * 8 / 2 and y < 400 * 8 / 2  # the upper right part of the picture
    assert x + w <= 400 * 8


# --- an archive ------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "drawings"
    folder.mkdir()
    content = {
        "detail": detail(),
        "sheet": clutter(1) + detail(70, 20),
        "turned": clutter(2) + rectangle(0, 0, 10, 20) + circle(7, 3, 1.5) + circle(6, 15, 2.25) + circle(3, 9, 1),
        "half": clutter(5) + rectangle(5, 5, 20, 10) + circle(8, 8, 1.5),
        "none": clutter(6),
        "twice": detail(0, 0) + detail(100, 0) + clutter(7),
    }
    for name, entities in content.items():
        (folder / f"{name}.dxf").write_bytes(dxf.encode(dxf.document(entities)))
    (folder / "broken.dxf").write_text("nonsense")
    options = ["--archive", str(tmp_path / "archive"), "--encoder", "histogram", "--workers", "1", "--quiet"]
    assert main(["index", str(folder), *options]) == 0
    capsys.readouterr()
    return folder


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, page, folder = str(tmp_path / "archive"), tmp_path / "hits.html", tmp_path / "marked"
    command = ["search", str(made / "detail.dxf"), "--part", "--archive", archive, "--quiet"]
    assert main([*command, "--json", "--html", str(page), "--marked", str(folder)]) == 0
    document = json.loads(capsys.readouterr().out)
    hits = {hit["path"]: hit for hit in document["hits"]}
    assert set(hits) == {"sheet.dxf", "twice.dxf", "half.dxf"}
    assert [hit["share"] for hit in document["hits"]] == [1.0, 1.0, pytest.approx(5 / 7, abs=1e-5)]
    assert hits["sheet.dxf"]["place"] == pytest.approx([70, 20, 90, 30])
    assert document["searched"] == 5 and document["read"] < 5
    assert page.read_text(encoding="utf-8").count("data:image/png;base64,iVBOR") == 4
    assert len(list(folder.glob("*.svg"))) == len(list(folder.glob("*.png"))) == 3
    assert main([*command, "--rotated", "--min-score", "0.9", "--json"]) == 0
    hits = {hit["path"]: hit for hit in json.loads(capsys.readouterr().out)["hits"]}
    assert set(hits) == {"sheet.dxf", "twice.dxf", "turned.dxf"}
    assert hits["turned.dxf"]["rotation"] in (90.0, 270.0)
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 drawings contain the detail (7 strokes); 5 searched")


def test_a_box_of_a_sheet(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "search",
        str(made / "sheet.dxf"),
        "--part",
        "--box",
        "69,19,91,31",
        "--archive",
        str(tmp_path / "archive"),
    ]
    assert main([*command, "--json", "--quiet", "--min-score", "0.95"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {hit["path"] for hit in document["hits"]} == {"detail.dxf", "twice.dxf"}


def test_vanished_files_and_depth(made: Path, tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "archive")
    query = detail_of(dxf.drawing(detail()))
    (made / "twice.dxf").unlink()
    found = find_parts(archive, query, min_share=0.9, workers=1)
    assert {hit.path for hit in found.hits} == {"detail.dxf", "sheet.dxf"}
    assert list(found.failed) == ["twice.dxf"] and "vanished" in found.failed["twice.dxf"]
    found = find_parts(archive, query, min_share=0.9, workers=1, depth=1)
    assert (found.read, found.left) == (1, 2)


def test_details_that_are_too_large_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST", 20)
    query = detail_of(dxf.drawing(clutter(1)))
    assert len(query.pen.kind) == 20
    found = lay(query, dxf.drawing(clutter(1) + clutter(2)), Switches())
    assert found is not None and found["share"] == 1.0


def test_wrong_commands(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", "--archive", str(tmp_path / "archive"), "--quiet"]
    file = str(made / "sheet.dxf")
    for wrong in (
        ["--part"],
        ["--part", "--text", "x"],
        [file, "--box", "1,2,3,4"],
        [file, "--part", "--box", "1,2,3"],
        [file, "--part", "--box", "1,2,1,4"],
    ):
        with pytest.raises(SystemExit) as end:
            main([*command, *wrong])
        assert end.value.code == 2
    capsys.readouterr()
    for wrong, message in ((["--any-size"], "at its size"), (["--box", "1e5,1e5,2e5,2e5"], "0 strokes")):
        assert main([*command, file, "--part", *wrong]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
