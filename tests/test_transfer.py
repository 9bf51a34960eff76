"""Archives as one file: there and back, and everything that a bad file may hold."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from deepdxf import archive as archives
from deepdxf.archive import Archive
from deepdxf.cli import main
from deepdxf.decisions import Decisions
from deepdxf.errors import ArchiveError, DeepDXFError
from deepdxf.transfer import MANIFEST, export_archive, import_archive

DIM = 8
FAKE = "fake/1"
KNOWN = {FAKE}
N = 30


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive.create(tmp_path / "archive", FAKE, DIM)
    texts = ["“Ø 12 ± 0,1”", "部品", None]
    for first in range(0, N, 10):
        rows = [
            {
                "id": f"{i:016x}",
                "root": "/r",
                "path": f"a/{i}.dxf",
                "status": "ok",
                "vector": unit(i),
                "geometry": f"g{i}",
            }
            | {"text": [texts[i % 3]] if texts[i % 3] else [], "thumbnail": b"PNG %d" % i, "modified": 1_000_000 * i}
            for i in range(first, first + 10)
        ]
        made._write(rows)
    Decisions(made).record("not", [{f"{1:016x}": "g1", f"{2:016x}": "g2"}], "other material")
    return made


@pytest.fixture
def file(archive: Archive, tmp_path: Path) -> Path:
    export_archive(archive, tmp_path / "out.zip")
    return tmp_path / "out.zip"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_and_back(archive: Archive, file: Path, tmp_path: Path) -> None:
    done = import_archive(file, tmp_path / "deep" / "copy", KNOWN)
    assert done.rows == {"drawings": N, "decisions": 1}
    copy = Archive.open(tmp_path / "deep" / "copy", FAKE)
    assert copy.records() == archive.records()
    for mine, other in zip(copy.vectors(), archive.vectors(), strict=True):
        assert np.array_equal(mine, other)
    assert copy.thumbnail(f"{5:016x}") == b"PNG 5"
    assert copy.search(unit(7), 3) == archive.search(unit(7), 3)
    assert Decisions(copy).all == Decisions(archive).all
    copy._write([{"id": f"{3:016x}", "root": "/r", "path": "a/3.dxf", "status": "ok", "vector": unit(99)}])
    assert len(copy) == N  # its key is a key there too
    assert left(tmp_path / "deep") == ["copy"]


def test_an_older_format_is_brought_up_to_date(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive._table.drop_columns(["geometry"])
    now = archives.MIGRATIONS
    monkeypatch.setattr(archives, "MIGRATIONS", ())
    export_archive(archive, tmp_path / "old.zip")
    monkeypatch.setattr(archives, "MIGRATIONS", now)
    import_archive(tmp_path / "old.zip", tmp_path / "copy", KNOWN)
    copy = Archive.open(tmp_path / "copy")
    assert len(copy) == N and copy.get(f"{1:016x}")["geometry"] is None


def test_foreign_encoders_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="made with encoder 'fake/1', which is not known here"):
        import_archive(file, tmp_path / "copy", {"other/2"})
    assert left(tmp_path) == ["archive", "out.zip"]


def test_what_is_there_stays(archive: Archive, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is there already"):
        import_archive(file, tmp_path / "archive", KNOWN)
    assert len(archive) == N
    (tmp_path / "empty").mkdir()
    import_archive(file, tmp_path / "empty", KNOWN)
    assert len(Archive.open(tmp_path / "empty")) == N


# --- bad files -------------------------------------------------------------------------------------------------------


def rewritten(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The file with other content; names of `zipfile` are not checked when it writes."""
    with zipfile.ZipFile(file) as source:
        content = {name: source.read(name) for name in source.namelist()}
    change(content)
    bad = file.with_name("bad.zip")
    with zipfile.ZipFile(bad, "w") as out:
        for name, data in content.items():
            out.writestr(name, data)
    return bad


def manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(content: dict[str, bytes]) -> None:
        content[MANIFEST] = json.dumps(json.loads(content[MANIFEST]) | changes).encode()

    return change


def table(name: str, edit: Callable[[pa.Table], pa.Table]) -> Callable[[dict[str, bytes]], None]:
    """Another table, with the checksum that it ought to have."""

    def change(content: dict[str, bytes]) -> None:
        made = edit(parquet.read_table(pa.BufferReader(content[f"{name}.parquet"])))
        out = pa.BufferOutputStream()
        parquet.write_table(made, out)
        data = out.getvalue().to_pybytes()
        content[f"{name}.parquet"] = data
        about = json.loads(content[MANIFEST])
        from deepdxf.transfer import _digest

        digest = _digest()
        digest.update(data)
        about["tables"][name] |= {"blake2b": digest.hexdigest()}
        content[MANIFEST] = json.dumps(about).encode()

    return change


def column(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
    def edit(rows: pa.Table) -> pa.Table:
        values = rows[name].to_pylist()
        values[-1] = value
        return rows.set_column(
            rows.schema.get_field_index(name), rows.schema.field(name), pa.array(values, rows.schema.field(name).type)
        )

    return edit


def short(content: dict[str, bytes]) -> None:
    content["drawings.parquet"] = content["drawings.parquet"][:-100]


def no_manifest(content: dict[str, bytes]) -> None:
    del content[MANIFEST]


def no_table(content: dict[str, bytes]) -> None:
    del content["drawings.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_manifest, "no exported archive"),
        (no_table, "no exported archive"),
        (short, "the checksum of drawings differs"),
        (manifest(kind="something"), "it holds 'something'"),
        (manifest(format=99), "has format 99, this version reads up to"),
        (manifest(format="x"), "no exported archive"),
        (manifest(dim=DIM + 1), "not those of an archive: vector"),
        (manifest(tables={"../../evil": {"rows": 1, "blake2b": ""}}), "no exported archive"),
        (manifest(tables=[]), "no exported archive"),
        (manifest(encoder=7), "no exported archive"),
        (table("drawings", lambda rows: rows.drop_columns(["path"])), "not those of an archive: path"),
        (table("drawings", lambda rows: rows.append_column("evil", rows["path"])), "not those of an archive: evil"),
        (table("drawings", column("id", "' OR true --")), "an id is"),
        (table("drawings", column("path", "../../etc/passwd")), "a path leads out of its folder"),
        (table("drawings", column("path", "C:/Windows/x.dxf")), "a path leads out of its folder"),
        (table("drawings", column("path", "/etc/passwd")), "a path leads out of its folder"),
        (table("decisions", column("verdict", "delete")), "a decision is"),
        (table("decisions", column("ids", ["x"])), "an id is"),
        (table("decisions", lambda rows: rows.drop_columns(["note"])), "decisions have other columns"),
    ],
)
def test_bad_files_are_refused(
    file: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    bad = rewritten(file, change)
    with pytest.raises(ArchiveError, match=message) as caught:
        import_archive(bad, tmp_path / "copy", KNOWN)
    assert "\n" not in str(caught.value)
    assert left(tmp_path) == ["archive", "bad.zip", "out.zip"]


def test_names_in_the_file_lead_nowhere(file: Path, tmp_path: Path) -> None:
    def change(content: dict[str, bytes]) -> None:
        content["../evil.txt"] = b"evil"
        content["/tmp/deepdxf-evil.txt"] = b"evil"

    import_archive(rewritten(file, change), tmp_path / "copy", KNOWN)
    assert left(tmp_path) == ["archive", "bad.zip", "copy", "out.zip"]
    assert not Path("/tmp/deepdxf-evil.txt").exists()


def test_no_zip_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"nonsense")
    for name, message in (("x.zip", "no exported archive"), ("y.zip", "No such file")):
        with pytest.raises(ArchiveError, match=message):
            import_archive(tmp_path / name, tmp_path / "copy", KNOWN)


def test_an_export_that_fails_leaves_nothing(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeepDXFError, match="cannot write"):
        export_archive(archive, tmp_path / "missing" / "out.zip")
    shutil.rmtree(tmp_path / "archive" / "drawings.lance" / "data")
    with pytest.raises(ArchiveError):
        export_archive(Archive.open(tmp_path / "archive"), tmp_path / "out.zip")
    assert left(tmp_path) == ["archive"]


def test_the_commands(archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, copy = str(tmp_path / "out.zip"), str(tmp_path / "copy")
    assert main(["export", "--archive", archive.address, "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"drawings": N, "decisions": 1}
    assert main(["import", out, "--archive", copy]) == 1
    assert "name the folder of its model with --encoder" in capsys.readouterr().err
    known = Archive.create(tmp_path / "known", "histogram-1", DIM)
    assert main(["export", "--archive", known.address, "--out", out]) == 0
    assert main(["import", out, "--archive", copy]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"0 drawings in {copy}, encoder histogram-1"
