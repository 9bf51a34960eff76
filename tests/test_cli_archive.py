"""Reports about an archive as files, and archives with very many drawings."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepdxf.archive import Archive
from deepdxf.cli import main
from deepdxf.cli_archive import PICTURES, cards_of
from tests import dxf

DIM = 16


def plate(*holes: tuple[float, float, float], layer: str = "0") -> bytes:
    edges = [(0, 0, 100, 0), (100, 0, 100, 60), (100, 60, 0, 60), (0, 60, 0, 0), (10, 0, 10, 60), (0, 20, 100, 20)]
    text = "".join(dxf.line(*edge) for edge in edges)
    text += "".join(f"0 CIRCLE, 8 {layer}, 10 {x}, 20 {y}, 40 {r}," for x, y, r in holes)
    return dxf.encode(dxf.document(text))


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Drawings in ``drawings`` and their archive in ``archive``."""
    folder = tmp_path / "drawings"
    folder.mkdir()
    content = {
        "plate_r1": plate((30, 30, 5)),
        "plate_r2": plate((30, 30, 5), (60, 30, 5)),
        "copy": plate((30, 30, 5)),
        "=evil": plate((30, 30, 7), layer="<script>"),
    }
    for name, data in content.items():
        (folder / f"{name}.dxf").write_bytes(data)
    options = ["--archive", str(tmp_path / "archive"), "--encoder", "histogram", "--workers", "1", "--quiet"]
    assert main(["index", str(folder), *options]) == 0
    capsys.readouterr()
    return tmp_path


def report(made: Path, kind: str, *options: str) -> dict[str, Path]:
    files = {suffix: made / f"{kind}.{suffix}" for suffix in ("html", "csv", "json", "xlsx")}
    command = ["report", kind, *options, "--archive", str(made / "archive"), "--out", *map(str, files.values())]
    assert main(command) == 0
    page = files["html"].read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in re.sub(r"http-equiv|http://www.w3.org/\S+", "", page)
    return files


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def sheets(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as book:
        return re.findall(r'<sheet name="(\w+)"', book.read("xl/workbook.xml").decode())


def test_report_of_duplicates(made: Path) -> None:
    files = report(made, "duplicates", "--min-score", "1", "--keep", "oldest")
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    (group,) = document["groups"]
    # the encoder takes the one with a larger hole for the same; the hash does not
    assert [member["path"] for member in group["members"]] == ["=evil.dxf", "copy.dxf", "plate_r1.dxf"]
    assert [member["exact"] for member in group["members"]] == [None, 1, 1]
    listed = rows(files["csv"])
    assert [row["id"] for row in listed] == [member["id"] for member in group["members"]]
    assert sum(row["keep"] == "true" for row in listed) == 1
    assert listed[0]["path"] == "'=evil.dxf"  # no formula of a spreadsheet
    page = files["html"].read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,iVBOR") == len(listed)
    assert f"{len(listed)} drawings, " in page
    assert sheets(files["xlsx"]) == ["summary", "groups"]


def test_report_of_revisions(made: Path) -> None:
    files = report(made, "revisions", str(made / "drawings" / "plate_r2.dxf"), "--min-confidence", "0.7")
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    versions = [version["path"] for version in document["versions"]]
    assert versions.index("plate_r1.dxf") < versions.index("plate_r2.dxf")
    assert sheets(files["xlsx"]) == ["versions", "steps", "changes"]
    changes = rows(files["csv"])
    assert [row["kind"] for row in changes if row["new version"] == "plate_r2.dxf"] == ["added"]
    page = files["html"].read_text(encoding="utf-8")
    assert page.count("<section") == len(versions)
    assert "1 added (agreement" in page and "the same name “plate” but for r2 and r1" in page


def test_report_of_a_search(made: Path) -> None:
    files = report(made, "search", str(made / "drawings" / "plate_r2.dxf"), "-k", "2")
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    assert len(document["hits"]) == 2
    assert [row["id"] for row in rows(files["csv"])] == [hit["id"] for hit in document["hits"]]
    assert files["html"].read_text(encoding="utf-8").count("data:image/png;base64,iVBOR") == 3
    assert sheets(files["xlsx"]) == ["hits"]


def test_wrong_reports(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, file = str(made / "archive"), str(made / "drawings" / "copy.dxf")
    for wrong in (
        ["search", "--out", "x.csv"],
        ["duplicates", file, "--out", "x.csv"],
        ["revisions", file, "--id", "x", "--out", "x.csv"],
        ["revisions", file, "--out", "x.docx"],
        ["everything", "--out", "x.csv"],
    ):
        with pytest.raises(SystemExit) as end:
            main(["report", *wrong, "--archive", archive])
        assert end.value.code == 2
    capsys.readouterr()
    missing = str(made / "missing" / "x.csv")
    assert main(["report", "duplicates", "--archive", archive, "--out", missing]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_vanished_files_are_in_reports_all_the_same(made: Path) -> None:
    for path in (made / "drawings").iterdir():
        path.unlink()
    files = report(made, "duplicates", "--min-score", "1")
    assert files["html"].read_text(encoding="utf-8").count("data:image/png;base64,iVBOR") >= 2


@pytest.mark.parametrize("trouble", ["missing", "damaged"])
def test_missing_and_damaged_archives_are_one_line(
    made: Path, trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address, file = str(made / "archive"), str(made / "drawings" / "copy.dxf")
    if trouble == "missing":
        address = str(made / "nothing")
    else:
        for data in (made / "archive" / "drawings.lance" / "data").iterdir():
            data.write_bytes(b"nonsense")
    for command in (
        ["duplicates"],
        ["revisions", file],
        ["search", file, "--part"],
        ["report", "duplicates", "--out", str(made / "x.csv")],
        ["export", "--out", str(made / "x.zip")],
    ):
        assert main([*command, "--archive", address]) == 1
        out, err = capsys.readouterr()
        assert err.startswith("deepdxf: ") and err.count("\n") == 1 and not out
    assert not (made / "x.csv").exists() and not (made / "x.zip").exists() and not (made / "nothing").exists()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """10,000 drawings in 2,500 groups of four."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2500, DIM))
    vectors = np.repeat(centres, 4, axis=0)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    archive = Archive.create(tmp_path_factory.mktemp("large") / "archive", "histogram-1", DIM)
    empty: dict[str, Any] = {"root": "/r", "status": "ok", "thumbnail": b"PNG", "entities": 5}
    archive._write(
        [
            {**empty, "id": f"{i:016x}", "path": f"{i}.dxf", "geometry": f"g{i}", "vector": v}
            for i, v in enumerate(vectors)
        ]
    )
    return archive


def test_ten_thousand_drawings(large: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--archive", large.address, "--min-score", "0.99"]
    assert main(["duplicates", *command]) == 0
    out = capsys.readouterr().out
    assert "2500 groups among 10000 drawings" in out and "and 2480 more groups" in out
    page = tmp_path / "all.html"
    assert main(["report", "duplicates", *command, "-k", "5000", "--out", str(page), str(tmp_path / "all.xlsx")]) == 0
    assert page.read_text(encoding="utf-8").count("<article>") == 10_000
    cards = cards_of(large, [f"{i:016x}" for i in range(10_001)])  # the last one is not there
    assert len(cards) == 10_000
    assert sum(bool(card.thumbnail) for card in cards.values()) == PICTURES


@pytest.mark.parametrize("lost", ["all", "half", "damaged"])
def test_a_lost_description_is_written_anew(made: Path, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
    address = str(made / "archive")
    before = Archive.open(address)
    rows, encoder_id = sorted(before.records(None, ("path", "geometry")), key=str), before.encoder_id
    if lost == "all":
        shutil.rmtree(made / "archive" / "about.lance")
    elif lost == "half":
        before._db.open_table("about").delete("key = 'encoder'")
    else:
        for path in (made / "archive" / "about.lance").rglob("*"):
            if path.is_file():
                path.write_bytes(b"nonsense")
    del before
    assert main(["duplicates", "--archive", address]) == 1
    out, err = capsys.readouterr()
    assert "has lost its description" in err and "deepdxf index FOLDER" in err and err.count("\n") == 1 and not out
    folder = str(made / "drawings")
    assert main(["index", folder, "--archive", address, "--encoder", "raster"]) == 1
    assert "its vectors are not of" in capsys.readouterr().err
    assert main(["index", folder, "--archive", address, "--encoder", "histogram"]) == 0
    assert "unchanged" in capsys.readouterr().out  # the rows are what they were
    after = Archive.open(address)
    assert after.encoder_id == encoder_id and sorted(after.records(None, ("path", "geometry")), key=str) == rows


def test_a_lost_description_without_files_is_left(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(made / "archive" / "about.lance")
    moved = made / "elsewhere"
    (made / "drawings").rename(moved)
    assert main(["index", str(moved), "--archive", str(made / "archive"), "--encoder", "histogram"]) == 1
    assert "bring their folder back" in capsys.readouterr().err
    assert not (made / "archive" / "about.lance").exists()
