"""Drawings turned by any angle: how they lie is told by their lines, and an archive finds them either way round."""

from __future__ import annotations

from pathlib import Path

import dxf
import numpy as np
import pytest
from drawings import circle, drawing, line, polyline
from hypothesis import given
from hypothesis import strategies as st
from server_archive import PLATE
from server_archive import circle as hole

import deepdxf.archive
from deepdxf import encoder, reader
from deepdxf.archive import LEVEL, Archive, Ingest
from deepdxf.descriptor import Descriptor
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches, similarity
from deepdxf.geometry import transform
from deepdxf.transfer import export_archive, import_archive
from deepdxf.turn import directions, rotation, straightened, turn_of
from deepdxf.verify import Verification, query_sketches, sketch, verify

ANGLES = st.floats(-180, 180).filter(lambda angle: abs(angle) > 2e-3)  # less is rounding
FREE = Switches(rotation=True)


def plate(width: float = 120.0, height: float = 60.0) -> Drawing:
    corners = [(0, 0), (width, 0), (width, height), (width / 2, height * 0.8), (0, height)]
    return drawing(polyline(corners), circle(30, 30, 8), circle(90, 20, 5), line(10, 10, 10, 50), line(0, 5, width, 5))


def hexagon() -> Drawing:
    angles = np.radians(np.arange(6) * 60.0)
    return drawing(polyline(np.column_stack([np.cos(angles), np.sin(angles)]).tolist()), circle(0.1, 0.2, 0.3))


def ring() -> Drawing:
    """Holes on a circle at uneven angles: nothing straight."""
    holes = [circle(50 * np.cos(a), 50 * np.sin(a), 3 + i) for i, a in enumerate((0.0, 0.7, 1.9, 3.1, 4.6))]
    return drawing(circle(0, 0, 60), circle(0, 0, 20), *holes)


def turned(drawn: Drawing, angle: float) -> Drawing:
    return transform(drawn, rotation(angle))


def apart(a: float, b: float) -> float:
    """Degrees between two directions, modulo 90."""
    return abs((a - b + 45.0) % 90.0 - 45.0)


@given(ANGLES)
def test_a_plate_is_turned_by_what_it_was_turned_by(angle: float) -> None:
    found = directions(turned(plate(), angle))
    assert min(apart(one, angle) for one in found) < 1.1e-3
    assert all(-45 <= one < 45 for one in found)


def test_a_level_drawing_lies_level_whatever_else_is_in_it() -> None:
    assert turn_of(plate()) == 0.0
    assert turn_of(drawing(line(0, 0, 15, 0), line(0, 0, 10, 10), line(5, 0, 15, 10))) == 0.0


def test_a_hexagon_has_three_directions_or_lies_level() -> None:
    assert sorted(round(one, 6) for one in directions(turned(hexagon(), 10.0))) == [-20.0, 10.0, 40.0]
    assert turn_of(hexagon()) == 0.0


@pytest.mark.parametrize("drawn", [drawing(), ring(), drawing(line(3, 3, 3, 3))])
def test_without_straight_lines_there_is_no_direction(drawn: Drawing) -> None:
    assert directions(drawn) == [] and turn_of(drawn) == 0.0


@given(st.floats(-44.9, 44.9).filter(lambda a: abs(a) > 0.1), st.floats(-1e4, 1e4))
def test_straightened_lines_are_exactly_level(angle: float, away: float) -> None:
    moved = transform(plate(), np.array([[1.0, 0.0, away], [0.0, 1.0, -away]]))
    level = straightened(turned(moved, angle), angle)
    box = level.box[-2:]  # the two lines
    size = box[:, 2:] - box[:, :2]
    assert (np.count_nonzero(size, axis=1) == 1).all()
    np.testing.assert_allclose(size.max(axis=1), [40.0, 120.0], rtol=1e-4)


@given(ANGLES)
def test_a_query_is_found_however_it_is_turned(angle: float) -> None:
    descriptor = Descriptor()
    asked = descriptor.query(turned(plate(), angle), FREE)
    assert float((asked @ descriptor.encode([plate()])[0]).max()) > 0.97
    assert float((asked @ descriptor.encode([plate(70.0, 66.0)])[0]).max()) < 0.9
    assert similarity(descriptor, plate(), turned(plate(), angle), FREE).overall > 0.97


@given(ANGLES)
def test_strokes_lie_over_each_other_however_they_are_turned(angle: float) -> None:
    for drawn in (plate(), hexagon()):
        pens = query_sketches(turned(drawn, angle), FREE)
        assert max(verify(pen, sketch(drawn), FREE) for pen in pens) == 1.0
    assert verify(sketch(turned(ring(), angle)), sketch(ring()), FREE) == 1.0


def test_a_ring_that_differs_does_not_lie_over_another() -> None:
    other = drawing(circle(0, 0, 60), circle(0, 0, 20), *(circle(50 - 20 * i, 5 * i, 3 + i) for i in range(5)))
    assert verify(sketch(turned(other, 30.0)), sketch(ring()), FREE) < 0.6
    assert verify(sketch(turned(ring(), 30.0)), sketch(ring()), Switches()) < 0.6


def test_a_verification_takes_the_best_of_a_querys_directions() -> None:
    asked = Verification.of(turned(hexagon(), 10.0), FREE)
    assert len(asked.further) == 2
    assert asked.overlaps([sketch(hexagon()), None])[0] == 1.0
    assert asked.best([sketch(hexagon())], np.array([0.9]), 1).tolist() == [1.0]


# --- in an archive ----------------------------------------------------------------------------------------------------


def document(angle: float, extra: str = "") -> bytes:
    """The plate of other tests, turned: as a file."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))

    def at(x: float, y: float) -> tuple[float, float]:
        return c * x - s * y, s * x + c * y

    corners = [at(*point) for point in ((0, 0), (120, 0), (120, 60), (0, 60))]
    lines = "".join(dxf.line(*a, *b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True))
    holes = "".join(hole(*at(x, y), radius) for x, y, radius in ((30, 30, 8), (90, 20, 5)))
    return dxf.encode(dxf.document(lines + holes + extra, header="9 $ACADVER, 1 AC1009, 9 $INSUNITS, 70 4"))


def indexed(folder: Path) -> Archive:
    drawings = folder / "drawings"
    drawings.mkdir(exist_ok=True)
    for name, content in {
        "level.dxf": document(0.0),
        "turned.dxf": document(33.0),
        "other.dxf": dxf.encode(dxf.document(PLATE + hole(60, 30, 25))),
    }.items():
        (drawings / name).write_bytes(content)
    made = encoder.load("descriptor")
    archive = Archive.create(folder / "archive", made.id, made.dim)
    archive.index([drawings], Ingest(Descriptor, reader.read), workers=1)
    return archive


def scores(archive: Archive, drawn: Drawing, switches: Switches, **limits: object) -> dict[str, float]:
    vectors = Descriptor().query(drawn, switches)
    verification = Verification.of(drawn, switches)
    hits = archive.search(vectors, 3, verification=verification, rotation=switches.rotation, **limits)  # type: ignore[arg-type]
    return {hit.path: hit.score for hit in hits}


@pytest.mark.parametrize("exact", [True, False])
def test_turned_drawings_are_found_either_way_round(
    tmp_path: Path, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = indexed(tmp_path)
    if not exact:
        monkeypatch.setattr(deepdxf.archive, "EXACT_BYTES", 0)
    assert {row["path"]: row["turn"] for row in archive.records(None, ("path", "turn"))} == {
        "level.dxf": 0.0,
        "other.dxf": 0.0,
        "turned.dxf": pytest.approx(33.0, abs=1e-6),
    }
    for angle in (0.0, 33.0, -71.0):
        drawn = reader.parse(document(angle))
        found = scores(archive, drawn, FREE)
        assert min(found["level.dxf"], found["turned.dxf"]) > 0.98 > found["other.dxf"]
    drawn = reader.parse(document(0.0))
    assert scores(archive, drawn, Switches())["turned.dxf"] < 0.8
    assert list(scores(archive, drawn, FREE, where="turn > 1")) == ["turned.dxf"]
    assert list(scores(archive, drawn, FREE, where="path = 'other.dxf'")) == ["other.dxf"]


def test_what_is_kept_of_a_turned_drawing_follows_its_file(tmp_path: Path) -> None:
    archive = indexed(tmp_path)
    ingest = Ingest(Descriptor, reader.read)
    drawn = reader.parse(document(0.0))
    file = tmp_path / "drawings" / "turned.dxf"
    file.write_bytes(dxf.encode(dxf.document(PLATE + hole(10, 10, 3))))
    archive.index([tmp_path / "drawings"], ingest, workers=1)
    assert scores(archive, drawn, FREE)["turned.dxf"] < 0.98  # not what it was
    file.write_bytes(document(12.0))
    archive.index([tmp_path / "drawings"], ingest, workers=1)
    assert scores(archive, drawn, FREE)["turned.dxf"] > 0.98
    exported = tmp_path / "archive.zip"
    assert export_archive(archive, exported).rows[LEVEL] == 1
    import_archive(exported, tmp_path / "copy", {archive.encoder_id})
    assert scores(Archive.open(tmp_path / "copy"), drawn, FREE) == scores(archive, drawn, FREE)
    archive.remove([row["id"] for row in archive.records("path = 'turned.dxf'", ())])
    assert archive.table(LEVEL).count_rows() == 0
    assert set(scores(archive, drawn, FREE)) == {"level.dxf", "other.dxf"}


def test_an_archive_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    archive = indexed(tmp_path)
    archive.table("drawings").drop_columns(["turn"])
    archive._db.drop_table(LEVEL)
    archive._db.open_table("about").update(where="key = 'format'", values={"value": "4"})
    again = Archive.open(tmp_path / "archive")
    drawn = reader.parse(document(0.0))
    assert scores(again, drawn, FREE)["turned.dxf"] < 0.9
    report = again.index([tmp_path / "drawings"], Ingest(Descriptor, reader.read), workers=1)
    assert report.actions() == {"updated": 3}
    assert scores(again, drawn, FREE)["turned.dxf"] > 0.98
