"""The archive with fakes for reader and encoder, so that every trouble can be made at will."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import drawings
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepdxf.archive
from deepdxf.archive import Archive, IndexReport, Ingest, drawing_id, fold
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches, Vectors
from deepdxf.errors import ArchiveError, AwayError, FilterError, ReadError
from deepdxf.files import find_files
from deepdxf.fingerprint import canonical_hash

DIM = 8
FAKE = "fake/1"


class FakeEncoder:
    """A vector out of the radii of a drawing's circles."""

    id = FAKE
    dim = DIM

    def encode(self, drawings: list[Drawing]) -> Vectors:
        radii = [drawing.scalars[0, 0] for drawing in drawings]
        return np.stack([unit(radius) for radius in radii])

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        return self.encode([drawing])


def unit(seed: float) -> Vectors:
    vector = np.random.default_rng(int(seed)).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def read(path: Path) -> Drawing:
    """A file is a radius and texts, a line each; the word of a trouble makes it."""
    radius, *texts = path.read_text(encoding="utf-8").split("\n")
    match radius:
        case "broken":
            raise ReadError("no drawing")
        case "crash":
            os._exit(3)
        case "locked":  # as often as the file beside it says
            left = int(path.with_suffix(".left").read_text(encoding="utf-8"))
            path.with_suffix(".left").write_text(str(left - 1), encoding="utf-8")
            if left:
                raise AwayError("cannot be read: locked")
            radius = "2"
        case "hang":
            time.sleep(100)
        case "grow":
            path.write_text("grow\nmore and more", encoding="utf-8")
            radius = "1"
    rows = [drawings.circle(0, 0, float(radius))] * max(1, len(texts))
    index = np.arange(len(rows)) if texts else np.array([-1])
    drawing = drawings.drawing(*rows)
    return replace(drawing, texts=tuple(texts), text_index=index.astype(np.int32), unit_mm=1.0)


def picture(drawing: Drawing) -> bytes:
    return b"PNG of %d" % len(drawing)


INGEST = Ingest(FakeEncoder, read, picture)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.dxf").write_text(content, encoding="utf-8")


def index(archive: Archive, *paths: Path, **options: Any) -> IndexReport:
    return archive.index(paths, INGEST, **{"workers": 1, "timeout_s": 20.0, **options})


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive", FAKE, DIM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "drawings"


def fill(archive: Archive, n: int, **columns: Any) -> None:
    """Rows without files: ids 0 … n−1 as 16 digits, vectors `unit(i)` unless given."""
    rows = [
        {"id": f"{i:016x}", "root": "/r", "path": f"{i}.dxf", "status": "ok", "vector": unit(i), "folded": f"{i}.dxf"}
        | {name: values[i] for name, values in columns.items()}
        for i in range(n)
    ]
    archive._write(rows)


# --- indexing ------------------------------------------------------------------------------------------------------


def test_the_life_of_an_archive(archive: Archive, folder: Path) -> None:
    """Added, unchanged, touched, updated, failed, vanished, pruned: one folder through all of it."""
    write(folder, a="1\nFlange", b="2", c="broken")
    write(folder / "sub", d="4")
    (folder / "notes.txt").write_text("no drawing")
    report = index(archive, folder)
    assert report.actions() == {"added": 4} and report.statuses() == {"ok": 3, "failed": 1}
    assert len(archive) == 4
    ids = {row["path"]: row["id"] for row in archive.records()}
    assert set(ids) == {"a.dxf", "b.dxf", "c.dxf", "sub/d.dxf"}
    failed = archive.get(ids["c.dxf"])
    assert (failed["status"], failed["message"]) == ("failed", "no drawing") and failed["bytes"] == len("broken")

    assert index(archive, folder).actions() == {"unchanged": 4}

    os.utime(folder / "a.dxf", ns=(10**18, 10**18))  # touched: same content, other time
    write(folder, b="22", c="3")
    report = index(archive, folder)
    assert report.actions() == {"updated": 2, "unchanged": 2} and report.statuses() == {"ok": 4}
    assert {row["path"]: row["id"] for row in archive.records()} == ids
    touched = archive.get(ids["a.dxf"])
    assert touched["modified"].timestamp() == 1e9 and touched["text"] == ["Flange"]
    assert archive.search(unit(22), k=1)[0].path == "b.dxf"
    np.testing.assert_allclose(archive.vector(ids["a.dxf"]), unit(1), rtol=1e-6)
    assert index(archive, folder).actions() == {"unchanged": 4}

    (folder / "a.dxf").unlink()
    assert index(archive, folder).actions() == {"unchanged": 3, "vanished": 1}
    assert len(archive) == 4
    assert index(archive, folder, prune=True).actions() == {"unchanged": 3, "removed": 1}
    assert len(archive) == 3
    write(folder, a="1")
    index(archive, folder)
    assert {row["path"]: row["id"] for row in archive.records()} == ids  # the old id again


def test_failed_files_are_read_again_on_request_only(archive: Archive, folder: Path) -> None:
    write(folder, a="1", b="broken")
    index(archive, folder)
    assert index(archive, folder).statuses() == {"ok": 1, "failed": 1}
    again = index(archive, folder, redo="failed")
    assert again.actions() == {"unchanged": 1, "updated": 1}
    assert index(archive, folder, redo="all").actions() == {"updated": 2}


def test_files_that_are_away_are_tried_again(archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    write(folder, a="1", locked="locked", broken="broken", slow="hang")
    monkeypatch.setattr(deepdxf.archive.time, "sleep", pauses.append)
    (folder / "locked.left").write_text("2", encoding="utf-8")
    report = index(archive, folder, retries=1, timeout_s=1.0)
    tries = {Path(file.path).stem: (file.status, file.attempts) for file in report.files}
    assert tries == {"a": ("ok", 1), "locked": ("failed", 2), "broken": ("failed", 1), "slow": ("failed", 2)}
    assert report.retried() == 2 and pauses == [2.0] and len(report.files) == len(archive) == 4
    # the next run tries what was locked by itself, not what was too slow
    report = index(archive, folder)
    assert report.actions() == {"unchanged": 3, "updated": 1}
    assert {row["path"]: row["status"] for row in archive.records()}["locked.dxf"] == "ok"


def test_trying_again_ends_when_all_is_read(archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(deepdxf.archive.time, "sleep", pauses.append)
    write(folder, a="1", locked="locked")
    (folder / "locked.left").write_text("2", encoding="utf-8")
    report = index(archive, folder, retries=9)
    assert report.statuses() == {"ok": 2} and pauses == [2.0, 4.0] and report.actions() == {"added": 2}
    assert json.loads(report.to_json())["retried"] == 1


def test_trouble_in_one_file_costs_one_file(archive: Archive, folder: Path) -> None:
    write(folder, a="1", b="crash", c="hang", d="not a number", e="grow", f="2")
    report = index(archive, folder, timeout_s=1.0, workers=2)
    messages = {Path(file.path).stem: file.message for file in report.files}
    assert report.statuses() == {"ok": 2, "failed": 4} and messages["a"] == messages["f"] == ""
    assert "crashed (exit code 3)" in messages["b"] and "longer than 1 s" in messages["c"]
    assert "ValueError" in messages["d"] and "changed while it was read" in messages["e"]
    assert {hit.path for hit in archive.search(unit(1))} == {"a.dxf", "f.dxf"}  # failed rows are no hits
    with pytest.raises(ArchiveError, match="no vector"):
        archive.vector(drawing_id(str(folder / "b.dxf")))


def test_paths_with_spaces_newlines_and_any_script(archive: Archive, folder: Path) -> None:
    names = ["with space", "图纸 1", "ÜmläuT", "quote'quote"] + (["new\nline"] if os.name == "posix" else [])
    for i, name in enumerate(names):
        write(folder / name, **{name: str(i)})
    assert index(archive, folder).statuses() == {"ok": len(names)}
    assert {row["path"] for row in archive.records()} == {f"{name}/{name}.dxf" for name in names}
    assert archive.find_text("图纸")[0].path == "图纸 1/图纸 1.dxf"
    assert index(archive, folder).actions() == {"unchanged": len(names)}


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text exist on Linux only")
def test_a_name_that_is_no_text(archive: Archive, folder: Path) -> None:
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/b\xff.dxf")).write_text("1")
    assert index(archive, folder).actions() == {"added": 1}
    assert archive.records()[0]["path"] == "b\\udcff.dxf"
    report = index(archive, folder)
    assert report.actions() == {"unchanged": 1} and json.loads(report.to_json())


def test_roots(archive: Archive, folder: Path) -> None:
    """A file keeps its root and id whichever folder above or below it is indexed later."""
    write(folder / "sub", a="1")
    write(folder, b="2")
    index(archive, folder / "sub")
    assert index(archive, folder).actions() == {"unchanged": 1, "added": 1}
    write(folder / "sub", c="3")
    index(archive, folder / "sub" / "c.dxf")
    rows = {row["path"]: row["root"] for row in archive.records()}
    root = folder.as_posix()
    assert rows == {"a.dxf": f"{root}/sub", "b.dxf": root, "sub/c.dxf": root}
    (folder / "b.dxf").unlink()
    assert index(archive, folder / "sub", prune=True).actions() == {"unchanged": 2}  # b lies elsewhere


def test_a_missing_path_changes_nothing(archive: Archive, folder: Path) -> None:
    """An archive must not be emptied because a share is not mounted."""
    write(folder, a="1")
    index(archive, folder)
    folder.rename(folder.with_name("moved"))
    with pytest.raises(ReadError, match="no such file or folder"):
        index(archive, folder, prune=True)
    assert len(archive) == 1


def test_an_unreadable_folder_is_reported_and_its_files_stay(
    archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, a="1")
    write(folder / "locked", b="2")
    index(archive, folder)
    real = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # permissions do not stop root, who may run this test
    report = index(archive, folder, prune=True)
    assert report.actions() == {"unchanged": 1, "unreachable": 2} and len(archive) == 2
    assert any("Permission denied" in file.message for file in report.files)


def test_links(folder: Path, tmp_path: Path) -> None:
    write(folder / "sub", a="1")
    write(tmp_path / "outside", b="2")
    try:
        (folder / "loop").symlink_to(folder, target_is_directory=True)
        (folder / "sub" / "up").symlink_to(folder / "sub", target_is_directory=True)
        (folder / "out").symlink_to(tmp_path / "outside", target_is_directory=True)
        (tmp_path / "outside" / "back").symlink_to(folder, target_is_directory=True)
        (folder / "dangling.dxf").symlink_to(folder / "nothing.dxf")
    except OSError:
        pytest.skip("links need a privilege here")
    found = [os.path.relpath(path, folder).replace(os.sep, "/") for path in find_files([folder]).paths]
    assert found == ["dangling.dxf", "out/b.dxf", "sub/a.dxf"]


def test_which_files(folder: Path) -> None:
    folder.mkdir()
    for name in ("a.DXF", "b.dwg", "c.dxf.gz", "d.Dxf.GZ", "e.gz", "f.dxf.bak", "g.txt", "dxf"):
        (folder / name).write_text("1")
    names = [Path(path).name for path in find_files([folder, folder / "g.txt", folder / "a.DXF"]).paths]
    assert names == ["a.DXF", "b.dwg", "c.dxf.gz", "d.Dxf.GZ", "g.txt"]


def test_report(archive: Archive, folder: Path) -> None:
    write(folder, a="1", b="broken")
    report = index(archive, folder)
    data = json.loads(report.to_json())
    assert data["statuses"] == {"ok": 1, "failed": 1} and len(data["files"]) == 2
    header, *lines = report.to_csv().splitlines()
    assert header == "path,action,status,message,seconds,attempts" and len(lines) == 2


# --- searching -----------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_search_is_the_sorted_list_of_products(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 30))
    seeds = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))  # few values, so that many are equal
    k = data.draw(st.integers(1, 40))
    query = np.stack([unit(seed) for seed in data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))])
    archive = Archive.create(tmp_path_factory.mktemp("search") / "a", FAKE, DIM)
    fill(archive, n, vector=[unit(seed) for seed in seeds], circles=seeds)
    expected = sorted(
        (-round(max(float(q @ unit(seed)) for q in query), 6), f"{i:016x}") for i, seed in enumerate(seeds)
    )
    hits = archive.search(query, k)
    assert [hit.id for hit in hits] == [id for _, id in expected][:k]
    np.testing.assert_allclose([hit.score for hit in hits], [-score for score, _ in expected][:k], atol=2e-6)
    filtered = archive.search(query, k, where="circles > 2", min_score=0.0)
    wanted = [id for score, id in expected if seeds[int(id, 16)] > 2][:k]
    assert [hit.id for hit in filtered] == [id for id in wanted if {i: -s for s, i in expected}[id] >= 0]


def test_the_database_finds_what_memory_finds(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above EXACT_BYTES the database searches: without an index exactly, with one all partitions of a small table."""
    fill(archive, 600)
    archive._write([{"id": "f" * 16, "status": "failed", "folded": ""}])
    queries = np.stack([unit(i + 1000) for i in range(3)])
    cases: list[dict[str, Any]] = [{}, {"where": "path like '%7.dxf'"}, {"min_score": 0.5}]
    exact = [[(hit.id, hit.score) for hit in archive.search(queries, 20, **case)] for case in cases]
    monkeypatch.setattr(deepdxf.archive, "EXACT_BYTES", 0)
    for _ in range(2):
        for case, expected in zip(cases, exact, strict=True):
            found = archive.search(queries, 20, **case)
            assert [hit.id for hit in found] == [id for id, _ in expected]
            np.testing.assert_allclose([hit.score for hit in found], [score for _, score in expected], atol=2e-6)
        archive.build_index()
    assert archive._table.index_stats("vector_idx").num_unindexed_rows == 0


def test_what_was_written_is_found_at_once(archive: Archive, tmp_path: Path) -> None:
    reader = Archive.open(tmp_path / "archive")
    assert reader.search(unit(0)) == []
    fill(archive, 3)
    assert [hit.path for hit in reader.search(unit(1), 1)] == ["1.dxf"]
    assert [hit.path for hit in reader.find_text("2.DXF")] == ["2.dxf"]
    assert archive.remove([f"{1:016x}", "unknown"]) == 1
    assert [hit.path for hit in reader.search(unit(1))] == [hit.path for hit in archive.search(unit(1))]
    assert len(reader) == 2 and "1.dxf" not in {hit.path for hit in reader.search(unit(1))}


@pytest.mark.parametrize("in_memory", [True, False])
def test_questions_see_what_others_wrote_however_often_they_are_asked(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """The first question about a version asks the table, later ones a copy in memory, unless the archive is large."""
    if not in_memory:
        monkeypatch.setattr("deepdxf.archive.EXACT_BYTES", 0)
    fill(archive, 6, lines=[0, 1, 2, 3, 4, 5])
    reader = Archive.open(tmp_path / "archive")

    def passing() -> list[str]:
        found = [hit.path for hit in reader.search(unit(1), 10, where="lines > 2")]
        assert sorted(found) == [hit.path for hit in reader.find_text("dxf", where="lines > 2")]
        return sorted(found)

    for _ in range(3):
        assert passing() == ["3.dxf", "4.dxf", "5.dxf"]
    archive.remove([f"{4:016x}"])
    for _ in range(3):
        assert passing() == ["3.dxf", "5.dxf"]
    fill(archive, 2, lines=[7, 0])
    for _ in range(3):
        assert passing() == ["0.dxf", "3.dxf", "5.dxf"]
    assert (reader._facts is not None and reader._facts.table is not None) == in_memory


def test_search_errors(archive: Archive) -> None:
    fill(archive, 3)
    with pytest.raises(ArchiveError, match="length 5, the archive of length 8"):
        archive.search(np.zeros((1, 5), np.float32))
    with pytest.raises(FilterError):
        archive.search(unit(1), where="1=1; drop table drawings")
    for look in (archive.get, archive.vector, archive.thumbnail):
        with pytest.raises(ArchiveError, match="no drawing with id \"' OR '1'='1\""):
            look("' OR '1'='1")
    assert archive.search(unit(1), 0) == [] and len(archive) == 3


def test_text_search(archive: Archive, folder: Path) -> None:
    write(
        folder,
        a="1\nFLANGE DN50\nØ12",
        b="2\nBlind Flange DN 50 PN16",
        c="3\n法兰 DN50",
        d="4\nｆｌａｎｇｅ",
        e="5\n50%_'x",
    )
    index(archive, folder)

    def found(words: str, **options: Any) -> list[str]:
        return [hit.path[0] for hit in archive.find_text(words, **options)]

    assert found("flange") == ["d", "a", "b"]  # by the share of the text
    assert found("dn50 flange") == ["a"] and found("50 dn flange") == ["a", "b"]
    assert found("法兰") == ["c"] and found("ø12") == ["a"] and found("%_'") == ["e"]
    assert found("c.dxf") == ["c"]  # the file's name
    assert found("flange", k=1) == ["d"] and found("flange", where="circles > 1") == ["a"]
    assert found("flange ' or '1'='1") == []
    hit = archive.find_text("flange dn50")[0]
    assert (hit.score, hit.match) == (1.0, "FLANGE DN50")
    with pytest.raises(ArchiveError, match="empty"):
        archive.find_text("  ")


@given(text=st.text(max_size=20))
def test_folding_is_stable(text: str) -> None:
    assert fold(fold(text)) == fold(fold(fold(text)))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("width_mm = 20", "a"),
        ("height > 10 and texts = 0", "a"),
        ("circles = 2 and has text 'y'", "a"),
        ("status = 'failed'", "c"),
        ("layer = '0'", "ab"),
        ("modified > '2020-01-01' and not path = 'b.dxf'", "ac"),
    ],
)
def test_filters_on_what_was_read(archive: Archive, where: str, expected: str, tmp_path: Path) -> None:
    files = {"a": "10\nx\ny", "b": "3", "c": "broken"}
    write(tmp_path, **files)
    rows = []
    for name in files:
        path = tmp_path / f"{name}.dxf"
        try:
            rows.append(INGEST((str(path), None)))
        except ReadError as error:
            rows.append(deepdxf.archive._failed_row(str(path), str(error)))
        rows[-1] |= {"id": drawing_id(str(path)), "root": "/", "path": path.name}
    archive._write(rows)
    assert sorted(row["path"][0] for row in archive.records(where)) == list(expected)


def test_thumbnails(archive: Archive, folder: Path) -> None:
    write(folder, a="1\nx\ny", b="broken")
    index(archive, folder)
    assert archive.thumbnail(drawing_id(str(folder / "a.dxf"))) == b"PNG of 2"
    assert archive.thumbnail(drawing_id(str(folder / "b.dxf"))) is None


# --- the archive as a whole ----------------------------------------------------------------------------------------


def test_another_encoder_is_refused(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="made with encoder 'fake/1', not 'other/2'"):
        Archive.open(tmp_path / "archive", "other/2")
    with pytest.raises(ArchiveError, match="made with encoder 'fake/1', not 'other/2'"):
        Archive.create(tmp_path / "archive", "other/2", DIM)
    fill(archive, 2)
    assert len(Archive.create(tmp_path / "archive", FAKE, DIM)) == 2  # opens what is there


def test_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no archive at"):
        Archive.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "file").write_text("x")
    for make in (lambda path: Archive.open(path), lambda path: Archive.create(path, FAKE, DIM)):
        with pytest.raises(ArchiveError):
            make(tmp_path / "file")
    write(tmp_path / "mine", a="1")
    with pytest.raises(ArchiveError, match="choose another folder"):
        Archive.create(tmp_path / "mine", FAKE, DIM)


def test_an_unfinished_creation_is_completed(archive: Archive, tmp_path: Path) -> None:
    archive._db.drop_table("drawings")
    assert len(Archive.create(tmp_path / "archive", FAKE, DIM)) == 0


def test_damage_is_one_line(archive: Archive, folder: Path, tmp_path: Path) -> None:
    fill(archive, 20)
    for file in (tmp_path / "archive").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ArchiveError) as caught:
        Archive.open(tmp_path / "archive").search(unit(1))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_lost_data_files_are_one_line(archive: Archive, tmp_path: Path) -> None:
    fill(archive, 20)
    for file in (tmp_path / "archive" / "drawings.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(ArchiveError) as caught:
        Archive.open(tmp_path / "archive").search(unit(1))
    assert "\n" not in str(caught.value)


def test_migrations_run_in_order_and_once(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(archive, 2)
    done: list[int] = []
    now = deepdxf.archive.MIGRATIONS
    newest = 1 + len(now)
    monkeypatch.setattr(deepdxf.archive, "MIGRATIONS", (*now, lambda db: done.append(1), lambda db: done.append(2)))
    for _ in range(2):
        assert len(Archive.open(tmp_path / "archive")) == 2
    assert done == [1, 2]
    monkeypatch.setattr(deepdxf.archive, "MIGRATIONS", now)
    with pytest.raises(ArchiveError, match=f"has format {newest + 2}, this version reads up to {newest}; upgrade"):
        Archive.open(tmp_path / "archive")


def test_an_archive_of_an_older_version_gets_what_it_lacks(archive: Archive, folder: Path, tmp_path: Path) -> None:
    write(folder, a="5", b="broken")
    index(archive, folder)
    archive._table.drop_columns(["geometry"])
    archive._db.open_table("about").update(where="key = 'format'", values={"value": "1"})
    again = Archive.open(tmp_path / "archive")
    id = drawing_id(str(folder / "a.dxf"))
    assert again.get(id)["geometry"] is None
    assert index(again, folder).actions() == {"updated": 1, "unchanged": 1}
    assert again.get(id)["geometry"] == canonical_hash(read(folder / "a.dxf"))
    assert index(again, folder).actions() == {"unchanged": 2}


# --- several processes ---------------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {package!r}]
from pathlib import Path
from test_archive import DIM, FAKE, INGEST, Archive
if __name__ == "__main__":
    {prepare}
    archive = Archive.create(sys.argv[1], FAKE, DIM)
    report = archive.index([sys.argv[2]], INGEST, workers=1)
    print(report.interrupted, report.actions())
"""


def start(tmp_path: Path, archive: Path, folder: Path, prepare: str = "pass") -> subprocess.Popen[str]:
    tests = Path(__file__).parent
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(tests=str(tests), package=str(tests.parent), prepare=prepare), encoding="utf-8")
    command = [sys.executable, str(script), str(archive), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def test_two_indexers_at_once(tmp_path: Path, folder: Path) -> None:
    """Both create the archive, both index the same files: one archive, one row a file."""
    write(folder, **{f"f{i}": str(i) for i in range(30)})
    both = [start(tmp_path, tmp_path / "archive", folder) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    archive = Archive.open(tmp_path / "archive", FAKE)
    paths = [row["path"] for row in archive.records()]
    assert sorted(paths) == sorted(f"f{i}.dxf" for i in range(30))
    assert len(archive.search(unit(3), 100)) == 30


def test_a_killed_run_is_completed_by_the_next(tmp_path: Path, folder: Path) -> None:
    write(folder, **{f"f{i}": str(i) for i in range(40)})
    write(folder, zz="hang")
    process = start(tmp_path, tmp_path / "archive", folder, "import deepdxf.archive as a; a.BATCH_ROWS = 10")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            if len(Archive.open(tmp_path / "archive")) >= 40:
                break
        except ArchiveError:
            pass
    process.kill()
    process.communicate(timeout=30)  # the worker that hangs has the pipe too, and ends with its parent
    archive = Archive.open(tmp_path / "archive", FAKE)
    assert len(archive) == 40
    (folder / "zz.dxf").write_text("41")
    assert index(archive, folder).actions() == {"unchanged": 40, "added": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_interrupt_keeps_what_was_read(tmp_path: Path, folder: Path) -> None:
    import signal

    write(folder, **{f"f{i}": str(i) for i in range(5)})
    write(folder, zz="hang")
    marker = tmp_path / "marker"
    prepare = (
        f"import deepdxf.archive as a; old = a._failed_row; real = a.FileReport\n"
        f"    def spy(*args, **kw):\n"
        f"        Path({str(marker)!r}).open('a').write('x'); return real(*args, **kw)\n"
        f"    a.FileReport = spy"
    )
    process = start(tmp_path, tmp_path / "archive", folder, prepare)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not marker.exists() or marker.stat().st_size < 5):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.startswith("True {'added': 5}"), (out, err)
    assert len(Archive.open(tmp_path / "archive", FAKE)) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, folder: Path) -> None:
    write(folder, a="1")
    archive = Archive.create(tmp_path / "archive", FAKE, DIM)
    index(archive, folder)
    write(folder, b="2\n" + "long text " * 50_000)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    process = start(tmp_path, tmp_path / "archive", folder, limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and "ArchiveError" in err and "the disk is full" in err
    again = Archive.open(tmp_path / "archive", FAKE)
    assert [hit.path for hit in again.search(unit(1))] == ["a.dxf"]
    assert index(again, folder).actions() == {"unchanged": 1, "added": 1}


def test_the_package_is_imported_without_the_database() -> None:
    code = (
        "import sys, deepdxf.archive; print([m for m in ('lancedb', 'pyarrow', 'rich', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert out.stdout.strip() == "[]"


def test_on_the_corpus(corpus: Path, tmp_path: Path) -> None:
    """Real files: every one of a folder has a row, and each that was read finds itself first."""
    from deepdxf.reader import read as real_read

    folder = min((f for f in (corpus / "drawings").iterdir() if f.is_dir()), key=lambda f: (len(list(f.rglob("*"))), f))
    archive = Archive.create(tmp_path / "archive", FAKE, DIM)
    ingest = Ingest(functools.partial(CountEncoder), real_read)
    report = archive.index([folder], ingest, workers=1)
    assert len(archive) == len(find_files([folder]).paths) == sum(report.statuses().values()) > 0
    for row in archive.records("status != 'failed'", ["id"]):
        assert archive.search(archive.vector(row["id"]), 1)[0].score == pytest.approx(1, abs=1e-5)


class CountEncoder(FakeEncoder):
    """A vector out of the number of entities, for drawings of any content."""

    def encode(self, drawings: list[Drawing]) -> Vectors:
        return np.stack([unit(len(drawing)) for drawing in drawings])
