"""Details of drawings found in others, at the place where they were put."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from deepdxf import inventory, parts
from deepdxf.archive import Archive
from deepdxf.cli import main
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import transform
from deepdxf.inventory import Inventory, geometry_of
from deepdxf.parts import Detail, Place, detail_of, find_parts, lay, marked_svg
from deepdxf.reader import read
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


def best(detail: Detail, drawing: Drawing, switches: Switches, min_share: float = 0.3) -> Place | None:
    places = lay(detail, drawing, switches, min_share).places
    return places[0] if places else None


@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans(), st.floats(-150, 150), st.floats(-150, 150))
@settings(max_examples=25)
def test_a_detail_is_found_where_it_was_put(seed: int, turns: int, mirror: bool, x: float, y: float) -> None:
    query = dxf.drawing(detail())
    linear = np.linalg.matrix_power(QUARTER, turns) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    placed = transform(query, np.column_stack([linear, [x, y]]))
    drawing = joined(dxf.drawing(clutter(seed)), placed)
    found = best(detail_of(query), drawing, Switches(mirror=True, rotation=True))
    assert found is not None
    assert found.share == 1.0
    assert (found.rotation, found.mirrored) == (90.0 * turns, mirror)
    corners = placed.vertices[:, :2]
    truth = [*corners[: len(corners)].min(axis=0), *corners.max(axis=0)]
    assert found.box == pytest.approx(truth, abs=0.02)
    if turns or mirror:
        plain = best(detail_of(query), drawing, Switches())
        assert plain is None or plain.share < 1.0


@given(st.integers(0, 10**6), st.floats(0.05, 20.0), st.integers(0, 3), st.floats(-150, 150))
@settings(max_examples=25)
def test_a_detail_of_another_size(seed: int, scale: float, turns: int, x: float) -> None:
    query = dxf.drawing(detail())
    linear = scale * np.linalg.matrix_power(QUARTER, turns)
    placed = transform(query, np.column_stack([linear, [x, 3.0]]))
    drawing = joined(dxf.drawing(clutter(seed)), placed)
    found = best(detail_of(query), drawing, Switches(size=False, rotation=turns > 0), 0.6)
    assert found is not None and found.share == 1.0
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert found.rotation == 90.0 * turns
    corners = placed.vertices[:, :2]
    truth = [*corners.min(axis=0), *corners.max(axis=0)]
    assert found.box == pytest.approx(truth, abs=0.02 * max(scale, 1.0))
    if abs(scale - 1.0) > 0.01:
        plain = best(detail_of(query), drawing, Switches(rotation=True), 0.6)
        assert plain is None


def complete(query: Detail, drawing: Drawing, switches: Switches, need: int) -> list[tuple[int, np.ndarray]]:
    """The slow form: every displacement that lays one stroke over an equal one, and the best one-to-one matching under it;
    the middle of the detail there."""
    pen, tolerance = geometry_of(drawing), query.tolerance
    middle = np.tile((query.frame[:2] + query.frame[2:]) / 2, 2)
    found = []
    for pose in switches.poses:
        corners = ((query.pen.box - middle).reshape(-1, 2) @ pose[:, :2].T).reshape(-1, 2, 2)
        own = np.hstack([corners.min(axis=1), corners.max(axis=1)])
        for i in range(len(own)):
            for j in range(len(pen.kind)):
                shift = pen.box[j, :2] - own[i, :2]
                near = np.abs(own[:, None] + np.tile(shift, 2) - pen.box[None]).max(axis=2) <= tolerance
                near &= query.pen.kind[:, None] == pen.kind[None]
                if near.any(axis=1).sum() >= need:
                    count = int((maximum_bipartite_matching(csr_matrix(near), perm_type="column") >= 0).sum())
                    if count >= need:
                        found.append((count, shift))
    return found


@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.sampled_from([0.4, 0.6, 1.0]))
@settings(max_examples=25)
def test_no_place_is_lost(seed: int, mirror: bool, rotation: bool, min_share: float) -> None:
    """Against the slow form, with several whole and incomplete places, doubled strokes and look-alikes."""
    rng = np.random.default_rng(seed)
    query = dxf.drawing(detail())
    content = clutter(seed, 20)
    switches = Switches(mirror=mirror, rotation=rotation)
    drawing = dxf.drawing(content)
    for _ in range(int(rng.integers(1, 5))):
        pose = switches.poses[int(rng.integers(len(switches.poses)))][:, :2]
        rows = np.sort(rng.permutation(len(query))[: int(rng.integers(3, len(query) + 1))])
        drawing = joined(
            drawing, transform(dxf.drawing(taken(query, rows)), np.column_stack([pose, rng.uniform(-150, 150, 2)]))
        )
    drawing = joined(drawing, dxf.drawing(taken(drawing, rng.permutation(len(drawing))[:5])))
    asked = detail_of(query)
    need = int(np.ceil(min_share * len(asked.pen.kind) - 1e-9))
    truth = complete(asked, drawing, switches, need)
    places = lay(asked, drawing, switches, min_share).places
    if not truth:
        assert not places
        return
    assert round(places[0].share * len(asked.pen.kind)) == max(count for count, _ in truth)
    middles = np.array([np.add(place.box[:2], place.box[2:]) / 2 for place in places])
    for count, middle in truth:  # is told, or one at least as good that lies over it
        near = (np.abs(middles - middle) < 20).all(axis=1)
        assert max(place.share for place, is_near in zip(places, near, strict=True) if is_near) >= count / 7 - 1e-6


@given(st.integers(0, 10**6), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
@settings(max_examples=15)
def test_places_do_not_depend_on_position_and_order(seed: int, x: float, y: float) -> None:
    drawing = dxf.drawing(detail(30, 5) + clutter(seed, 30) + detail(-80, 40))
    asked = detail_of(dxf.drawing(detail()))
    first = lay(asked, drawing, Switches(), 0.6).places
    assert [place.share for place in first] == [1.0, 1.0]
    shuffled = dxf.drawing(taken(drawing, np.random.default_rng(seed).permutation(len(drawing))))
    assert lay(asked, shuffled, Switches(), 0.6).places == first
    moved = transform(drawing, np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))
    for place, other in zip(first, lay(asked, moved, Switches(), 0.6).places, strict=True):
        assert other.box == pytest.approx(np.add(place.box, [x, y, x, y]), abs=1e-3)
    away = detail_of(dxf.drawing(detail(x, y)))
    for place, other in zip(first, lay(away, drawing, Switches(), 0.6).places, strict=True):
        assert other.box == pytest.approx(place.box, abs=1e-3)


def test_several_places_and_crowds(monkeypatch: pytest.MonkeyPatch) -> None:
    content = "".join(detail(25.0 * i, 15.0 * j) for i in range(6) for j in range(4))
    asked = detail_of(dxf.drawing(detail()))
    found = lay(asked, dxf.drawing(content), Switches(), 1.0)
    assert sorted(place.box[:2] for place in found.places) == [
        pytest.approx((25.0 * i, 15.0 * j)) for i in range(6) for j in range(4)
    ]
    assert not found.limited
    monkeypatch.setattr(parts, "TRIES", 5)
    limited = lay(asked, dxf.drawing(content), Switches(), 1.0)
    assert limited.limited and 1 <= len(limited.places) <= 5
    monkeypatch.setattr(parts, "PAIRS", 10)
    monkeypatch.setattr(parts, "VOTES", 10)
    limited = lay(asked, dxf.drawing(content), Switches(), 0.6)
    assert limited.limited


def test_what_is_symmetric_lies_there_once() -> None:
    square = rectangle(0, 0, 10, 10) + circle(5, 5, 3)
    found = lay(detail_of(dxf.drawing(square)), dxf.drawing(square), Switches(mirror=True, rotation=True), 0.6)
    assert [(place.rotation, place.mirrored) for place in found.places] == [(0.0, False)]


def taken(drawing: Drawing, rows: Iterable[int]) -> str:
    """Lines and circles of a drawing, in the order of the rows."""
    text = []
    for row in rows:
        first, end = drawing.vertex_start[row], drawing.vertex_start[row + 1]
        points = drawing.vertices[first:end, :2]
        if len(points) == 2:
            text.append(dxf.line(*points.ravel().tolist()))
        else:
            text.append(circle(*points[0].tolist(), float(drawing.scalars[row, 0])))
    return "".join(text)


def joined(*drawings: Drawing) -> Drawing:
    """The lines and circles of drawings in one."""
    return dxf.drawing("".join(taken(drawing, range(len(drawing))) for drawing in drawings))


def test_shares_of_what_is_missing() -> None:
    query = detail_of(dxf.drawing(detail()))
    cut = dxf.drawing(clutter(3) + rectangle(50, 50, 20, 10) + circle(53, 53, 1.5))
    found = best(query, cut, Switches())
    assert found is not None
    assert found.share == pytest.approx(5 / 7, abs=1e-6)
    assert found.box == pytest.approx((50, 50, 70, 60))
    assert best(query, dxf.drawing(clutter(4)), Switches()) is None


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
    found = best(detail_of(inches), millimetres, Switches())
    assert found is not None and (found.share, found.scale) == (1.0, 1.0)
    assert found.box == pytest.approx((300, 40, 554, 167))
    back = best(detail_of(millimetres), inches, Switches())
    assert back is not None and back.box == pytest.approx((0, 0, 10, 5))


def test_the_mark_lies_over_the_detail() -> None:
    drawing = dxf.drawing(detail() + detail(60, 30))
    picture = marked_svg(drawing, (60, 30, 80, 40), 400)
    assert marked_svg(drawing, [(0, 0, 20, 10), (60, 30, 80, 40)], 400).count("stroke-dasharray") == 2
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
    assert document["searched"] == 5 and document["read"] == 0
    assert hits["twice.dxf"]["count"] == len(hits["twice.dxf"]["places"]) == 2
    assert [place["box"][:2] for place in hits["twice.dxf"]["places"]] == [[0.0, 0.0], [100.0, 0.0]]
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


def test_drawings_are_searched_without_their_files(made: Path, tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "archive")
    query = detail_of(dxf.drawing(detail()))
    (made / "twice.dxf").unlink()
    found = find_parts(archive, query, min_share=0.9)
    assert {hit.path: len(hit.places) for hit in found.hits} == {"detail.dxf": 1, "sheet.dxf": 1, "twice.dxf": 2}
    assert (found.searched, found.laid, found.read, found.left) == (6, 3, 0, 0)
    found = find_parts(archive, query, min_share=0.9, depth=1)
    assert (len(found.hits), found.laid, found.left) == (1, 1, 2)
    found = find_parts(archive, query, min_share=0.9, where="path like 's%'")
    assert [hit.path for hit in found.hits] == ["sheet.dxf"]
    # with so many that are better for sure, no more is laid
    assert find_parts(archive, query, 3, min_share=0.5).laid == 3
    assert find_parts(archive, query, 4, min_share=0.5).laid == 4


def test_files_are_read_where_an_older_archive_has_no_strokes(made: Path, tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "archive")
    archive._table.update(values={"strokes": None})
    query = detail_of(dxf.drawing(detail()))
    whole = {hit.path: hit.place for hit in find_parts(archive, query, min_share=0.5, workers=1).hits}
    assert whole["half.dxf"] == pytest.approx((5, 5, 25, 15))
    (made / "twice.dxf").unlink()
    calls: list[tuple[int, int]] = []
    found = find_parts(archive, query, min_share=0.5, workers=1, progress=lambda *done: calls.append(done))
    assert found.read == 6 and list(found.failed) == ["twice.dxf"] and "vanished" in found.failed["twice.dxf"]
    assert {hit.path: hit.place for hit in found.hits} == {
        path: at for path, at in whole.items() if path != "twice.dxf"
    }
    assert calls == [(i, 6) for i in range(7)]
    options = ["--archive", str(tmp_path / "archive"), "--encoder", "histogram", "--workers", "1", "--quiet"]
    assert main(["index", str(made), *options]) == 0  # fills them in
    assert find_parts(archive, query, min_share=0.5, workers=1).read <= 1


def test_strokes_of_large_drawings_and_streams(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive.open(tmp_path / "archive")
    query = detail_of(dxf.drawing(detail()))
    whole = find_parts(archive, query, min_share=0.5)
    assert find_parts(archive, query, min_share=0.5) == whole  # from memory
    monkeypatch.setattr(parts, "HELD", 50)
    monkeypatch.setattr(parts, "AT_ONCE", 50)
    monkeypatch.setattr(parts, "_held", WeakKeyDictionary())
    assert find_parts(archive, query, min_share=0.5) == whole
    monkeypatch.setattr(inventory, "KEPT", 40)  # then files are read instead
    for row in archive.records():
        if row["status"] != "failed":
            packed = inventory.pack(read(Path(row["root"], row["path"])))
            archive._table.update(where=f"id = '{row['id']}'", values={"strokes": packed})
    found = find_parts(archive, query, min_share=0.5, workers=1)
    assert found.hits == whole.hits and found.read > 0


def test_a_search_is_cancelled_by_its_progress(made: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_parts(Archive.open(tmp_path / "archive"), detail_of(dxf.drawing(detail())), min_share=0.5, progress=stop)


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_packed_strokes_are_those_of_the_drawing(seed: int) -> None:
    drawing = dxf.drawing(clutter(seed) + TEXT)
    pen = geometry_of(drawing)
    stock = Inventory.of([("a", inventory.pack(drawing)), ("none", None), ("b", inventory.pack(drawing))])
    assert stock.start.tolist() == [0, len(pen.kind), len(pen.kind), 2 * len(pen.kind)]
    assert stock.shortest.tolist() == [-1, np.inf, -1]
    for number in (0, 2):
        boxes = stock.boxes(number) + np.tile(stock.middle[number] * stock.unit[number], 2)
        order, mine = np.lexsort(boxes.T.round(3)), np.lexsort(pen.box.T.round(3))
        assert boxes[order] == pytest.approx(pen.box[mine], abs=1e-4)
        assert (stock.kind[stock.start[number] : stock.start[number + 1]][order] == pen.kind[mine]).all()
    assert inventory.strokes_in(None) == 0


def test_details_that_are_too_large_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST", 20)
    query = detail_of(dxf.drawing(clutter(1)))
    assert len(query.pen.kind) == 20
    found = best(query, dxf.drawing(clutter(1) + clutter(2)), Switches())
    assert found is not None and found.share == 1.0


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
    for wrong, message in ((["--box", "1e5,1e5,2e5,2e5"], "0 strokes"), (["--where", "nonsense"], "nonsense")):
        assert main([*command, file, "--part", *wrong]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
