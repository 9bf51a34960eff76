"""Marks of revisions in names and title blocks, chains of versions, and the ledger of what changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdxf import revisions
from deepdxf.archive import Archive
from deepdxf.cli import main
from deepdxf.descriptor import Strokes
from deepdxf.encoder import Vectors
from deepdxf.errors import ArchiveError
from deepdxf.revisions import (
    FILE_TIME,
    Chain,
    Shared,
    find_revisions,
    ledger,
    marks_of,
    record_of,
    revision_key,
    shared_by,
)
from deepdxf.verify import pack, sketch
from tests import dxf

DIM = 16
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "base", "marks"),
    [
        ("bracket.dxf", "bracket", {}),
        ("bracket-R2.dxf", "bracket", {"revision": "r2"}),
        ("bracket_rev03.DXF", "bracket", {"revision": "rev03"}),
        ("Bracket Rev B.dwg", "bracket", {"revision": "rev b"}),
        ("BracketRev2.dxf", "bracket", {"revision": "rev2"}),
        ("A-1234_REV.C.dxf.gz", "a 1234", {"revision": "rev.c"}),
        ("bracket v1.2.dxf", "bracket", {"version": "v1.2"}),
        ("bracket_V03_final.dxf", "bracket", {"version": "v03", "word": "final"}),
        ("bracket (2).dxf", "bracket", {"copy": "(2)"}),
        ("bracket - Copy.dxf", "bracket", {"copy": "copy"}),
        ("bracket - Kopie (3).dxf", "bracket", {"copy": "kopie (3)"}),
        ("123456-A.dxf", "123456", {"letter": "a"}),
        ("123456B.dxf", "123456", {"letter": "b"}),
        ("bracket_2026-01-31.dxf", "bracket", {"date": "2026-01-31"}),
        ("bracket 31.01.2026.dxf", "bracket", {"date": "31.01.2026"}),
        ("20260131_bracket_rev2.dxf", "bracket", {"date": "20260131", "revision": "rev2"}),
        ("bracket_old.dxf", "bracket", {"word": "old"}),
        ("rev2.dxf", "", {"revision": "rev2"}),
        # what only looks like a mark
        ("Vertical.dxf", "vertical", {}),
        ("drive12.dxf", "drive12", {}),
        ("part_c820095e.dxf", "part c820095e", {}),
        ("part-1234C.dxf", "part 1234", {"letter": "c"}),
        ("part_12.dxf", "part 12", {}),
        ("revolver.dxf", "revolver", {}),
        ("M8x20.dxf", "m8x20", {}),
        ("ＢＲＡＣＫＥＴ＿Ｒ２.dxf", "bracket", {"revision": "r2"}),
    ],
)
def test_marks_of_names(name: str, base: str, marks: dict[str, str]) -> None:
    found_base, found = marks_of(name)
    assert (found_base, {basis: text for basis, (_, text) in found.items()}) == (base, marks)


@given(st.text(max_size=60))
def test_any_name_has_marks_or_not(name: str) -> None:
    base, marks = marks_of(name)
    assert base == base.strip()
    assert all(key and text for key, text in marks.values())
    revision_key(name)


def test_revisions_in_their_order() -> None:
    ordered = ["0", "1", "1.1", "1.2", "1.10", "2", "10", "A", "B", "B2", "C", "Z", "AA", "AB"]
    keys = [revision_key(text) for text in ordered]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
    assert revision_key("Rev. 03") == revision_key("r3") == revision_key("3")
    assert not any(map(revision_key, ("", "-", "released", "n/a", "2026-01-31x")))


# --- chains ----------------------------------------------------------------------------------------------------------


def axis(*weights: float) -> Vectors:
    vector = np.zeros(DIM, np.float32)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)


ALIKE, OTHER = axis(1), axis(0, 0, 0, 1)


def near(step: int) -> Vectors:
    return axis(1, 0.02 * step)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive", "fake/1", DIM)


def put(archive: Archive, path: str, vector: Vectors, day: int = 0, shape: str = "", *fields: str) -> None:
    time = int((START + timedelta(days=day)).timestamp() * 1e6)
    row = {"id": path.removesuffix(".dxf"), "root": "/r", "path": path, "status": "ok", "vector": vector}
    archive._write([{**row, "geometry": shape or path, "modified": time, "field": list(fields)}])


def chain(archive: Archive, id: str, **options: Any) -> Chain:
    return find_revisions(archive, *record_of(archive, id), **options)


def order(found: Chain) -> list[str]:
    return [version.path.removesuffix(".dxf") for version in found.versions]


def test_numbers_in_names_order_versions(archive: Archive) -> None:
    for number, day in ((1, 9), (2, 3), (10, 1)):
        put(archive, f"plate-R{number}.dxf", near(number), day)
    put(archive, "plate.dxf", near(0), 20)
    put(archive, "other-R2.dxf", OTHER)
    found = chain(archive, "plate-R2")
    assert order(found) == ["plate", "plate-R1", "plate-R2", "plate-R10"]
    assert found.ordered_by == "revision in the file name"
    assert [version.position for version in found.versions] == ["earlier", "earlier", "this", "later"]
    assert [version.mark for version in found.versions] == ["", "r1", "r2", "r10"]
    assert all(version.confidence > 0.7 for version in found.versions)
    assert "the same name “plate” but for r2 and r1" in found.versions[1].reasons
    assert any(reason.startswith("geometry: score 1.000") for reason in found.versions[1].reasons)


def test_title_blocks_go_before_names(archive: Archive) -> None:
    put(archive, "x1.dxf", OTHER, 0, "", "DRAWING_NO=4711-20", "REV=B")
    put(archive, "y9.dxf", near(1), 0, "", "Dwg. No=4711 20", "Revision=A")
    put(archive, "z.dxf", near(2), 0, "", "ZEICHNUNGS-NR=471120", "Index=C")
    put(archive, "far.dxf", near(1), 0, "", "DRAWING_NO=9999-1", "REV=B")
    found = chain(archive, "y9")
    assert order(found) == ["y9", "x1", "z"]
    assert found.ordered_by == "revision in the title block"
    x1 = found.versions[1]
    assert x1.reasons[0] == "drawing number 4711-20 in both title blocks"
    assert x1.reasons[1].startswith("little geometry in common")
    assert x1.confidence == pytest.approx(0.75 * 0.8)
    far = chain(archive, "y9", min_confidence=0.0)
    reasons = {version.path: version.reasons for version in far.versions}["far.dxf"]
    assert reasons == (f"geometry: score {near(1) @ near(1):.3f}, but another drawing number, 9999-1",)


def test_a_drawing_that_states_what_it_replaces(archive: Archive) -> None:
    put(archive, "a.dxf", OTHER, 0, "", "DRAWING_NO=100-1")
    put(archive, "b.dxf", near(1), 1, "", "DRAWING_NO=200-7", "REPLACES=100-1")
    found = chain(archive, "a")
    assert order(found) == ["a", "b"]
    assert found.versions[1].reasons[0] == "b.dxf states that it replaces 100-1"


def test_geometry_alone(archive: Archive) -> None:
    put(archive, "one.dxf", near(0), 5)
    put(archive, "two.dxf", near(1), 2)
    put(archive, "three.dxf", OTHER, 3)
    found = chain(archive, "one")
    assert order(found) == ["two", "one"]
    assert found.ordered_by == FILE_TIME
    assert "no version has a number" in found.notes[0]


def test_a_name_alone_is_not_enough(archive: Archive) -> None:
    put(archive, "part_v1.dxf", near(0))
    put(archive, "part_v2.dxf", OTHER)
    found = chain(archive, "part_v1")
    assert order(found) == ["part_v1"]
    assert [v.reasons for v in chain(archive, "part_v1", min_confidence=0.2).versions][1] == (
        "the same name “part” but for v1 and v2",
        "little geometry in common (score 0.000)",
    )


def test_copies_and_versions_of_versions(archive: Archive) -> None:
    for number in range(6):  # neighbours are alike, the ends are not
        put(archive, f"{'abcdef'[number] * 3}.dxf", axis(np.cos(number * 0.35), np.sin(number * 0.35)), number)
    put(archive, "aaa copy.dxf", axis(1), 9, "aaa.dxf")
    found = chain(archive, "aaa")
    assert order(found) == ["aaa", "bbb", "ccc", "ddd", "eee", "fff", "aaa copy"] or "fff" not in order(found)
    copy = next(version for version in found.versions if version.path == "aaa copy.dxf")
    assert "geometry: it shows the same" in copy.reasons
    confidences = [version.confidence for version in found.versions if len(version.path) == 7]
    assert confidences[1:] == sorted(confidences[1:], reverse=True)
    linked = next((version for version in found.versions if version.path == "ccc.dxf"), None)
    assert linked is None or "(of bbb.dxf)" in linked.reasons[0]


def test_a_chain_has_an_end(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "MOST", 4)
    for number in range(9):
        put(archive, f"p_v{number}.dxf", near(number))
    found = chain(archive, "p_v3")
    assert len(found.versions) == 4
    assert found.notes == ("only the first 4 versions are shown",)


def test_drawings_without_content_and_unknown_ones(archive: Archive) -> None:
    put(archive, "p_v1.dxf", np.zeros(DIM, np.float32))
    put(archive, "p_v2.dxf", near(0))
    assert order(chain(archive, "p_v1", min_confidence=0.4)) == ["p_v1", "p_v2"]
    with pytest.raises(ArchiveError, match="no drawing with id 'stale'"):
        chain(archive, "stale")


# --- what is in common -----------------------------------------------------------------------------------------------


def pen_of(*circles: float) -> Strokes:
    lines = "".join(dxf.line(0, y, 100, y) for y in (0.0, 7.0, 30.0))
    return sketch(dxf.drawing(lines + "".join(f"0 CIRCLE, 8 0, 10 50, 20 15, 40 {radius}," for radius in circles)))


def test_shares_of_strokes_and_texts() -> None:
    few, many = pen_of(2), pen_of(2, 5, 9)
    texts = frozenset({"a", "b", "c"}), frozenset({"b", "c", "d"})
    assert shared_by(few, many, *texts) == shared_by(many, few, *texts)
    shared = shared_by(few, many, *texts)
    assert shared == Shared(pytest.approx(4 / 6), pytest.approx(1.0), 0.5)
    assert shared_by(few, many, frozenset("a"), frozenset("b")).texts is None  # few texts say nothing


@pytest.mark.parametrize("alike", [None, 0.3, 0.9])
def test_the_more_in_common_the_surer(alike: float | None) -> None:
    shares = np.linspace(0, 1, 11).tolist()
    sure = [Shared(share, share, None).probability(alike) for share in shares]
    assert sure == sorted(sure) and 0.0 <= 2 * sure[0] < sure[-1] <= 1.0
    added = [Shared(share, 1.0, None).probability(alike) for share in shares]  # from much to nothing added
    assert added == sorted(added)
    assert Shared(0.9, 0.9, 1.0).probability(alike) > Shared(0.9, 0.9, 0.0).probability(alike)


def test_strokes_decide_among_equal_scores(archive: Archive) -> None:
    put(archive, "one.dxf", near(0))
    put(archive, "same.dxf", near(1))
    put(archive, "unlike.dxf", near(1))
    for name, pen in {"one": pen_of(2), "same": pen_of(2), "unlike": pen_of(11, 12, 13, 14, 15, 16, 17)}.items():
        archive._table.update(where=f"id = '{name}'", values={"sketch": pack(pen)})
    found = {v.path: v for v in chain(archive, "one", min_confidence=0.0).versions}
    assert found["same.dxf"].score == found["unlike.dxf"].score
    assert found["same.dxf"].confidence > found["unlike.dxf"].confidence
    assert found["same.dxf"].reasons == ("geometry: 100% of the strokes lie over each other, score 1.000",)


# --- the ledger and the command --------------------------------------------------------------------------------------


def plate(path: Path, *holes: tuple[float, float, float]) -> Path:
    edges = [(0, 0, 100, 0), (100, 0, 100, 60), (100, 60, 0, 60), (0, 60, 0, 0), (10, 0, 10, 60), (0, 20, 100, 20)]
    content = [dxf.line(*edge) for edge in edges] + [
        f"0 CIRCLE, 8 0, 10 {x}, 20 {y}, 30 0, 40 {radius}," for x, y, radius in holes
    ]
    path.write_bytes(dxf.encode(dxf.document("".join(content))))
    return path


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "drawings"
    folder.mkdir()
    plate(folder / "plate_r1.dxf", (30, 30, 5))
    plate(folder / "plate_r2.dxf", (30, 30, 5), (60, 30, 5))
    plate(folder / "plate_r3.dxf", (30, 30, 6), (60, 30, 5))
    options = ["--archive", str(tmp_path / "archive"), "--encoder", "histogram", "--workers", "1", "--quiet"]
    assert main(["index", str(folder), *options]) == 0
    capsys.readouterr()
    return folder


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["revisions", str(made / "plate_r2.dxf"), "--archive", str(tmp_path / "archive")]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(row["path"], row["position"]) for row in document["versions"]] == [
        ("plate_r1.dxf", "earlier"),
        ("plate_r2.dxf", "this"),
        ("plate_r3.dxf", "later"),
    ]
    first, second = document["steps"]
    assert (first["added"], first["removed"], first["changed"], first["moved"]) == (1, 0, 0, 0)
    assert (second["added"], second["removed"], second["changed"], second["moved"]) == (0, 0, 1, 0)
    change = document["changes"][1]
    assert (change["old version"], change["new version"]) == ("plate_r2.dxf", "plate_r3.dxf")
    assert change["differs"].startswith("geometry")
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip().startswith("1 added (agreement") for line in lines) == 1
    assert lines[-1] == "2 other versions, ordered by: revision in the file name"


def test_vanished_files_are_a_step_with_a_message(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (made / "plate_r2.dxf").unlink()
    archive = Archive.open(tmp_path / "archive")
    row = archive.records("path = 'plate_r1.dxf'")[0]
    found = find_revisions(archive, *record_of(archive, row["id"]))
    steps = ledger(found, workers=1)
    assert [(step.old, step.new, step.comparison is None) for step in steps] == [
        ("plate_r1.dxf", "plate_r2.dxf", True),
        ("plate_r1.dxf", "plate_r3.dxf", False),
    ]
    assert "vanished" in steps[0].message
    assert main(["revisions", "--id", row["id"], "--archive", str(tmp_path / "archive")]) == 0
    assert "not compared: the file has vanished" in capsys.readouterr().out


def test_wrong_commands(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["revisions", "--archive", str(tmp_path / "archive")]
    assert main([*command, "--id", "stale"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    for wrong in ([], [str(made / "plate_r1.dxf"), "--min-confidence", "2"]):
        with pytest.raises(SystemExit) as end:
            main([*command, *wrong])
        assert end.value.code == 2
