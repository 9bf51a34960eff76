"""External references: attached as if they were blocks, and nothing outside of the folder is opened."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from deepdxf.cli import main
from deepdxf.drawing import Drawing
from deepdxf.reader import parse, read
from deepdxf.table import Limits
from deepdxf.xrefs import Folder
from tests import dxf

CONTENT = (
    dxf.line(0, 0, 10, 4) + "0 CIRCLE, 8 BOLTS, 10 3, 20 3, 30 0, 40 1," + "0 TEXT, 8 0, 10 1, 20 1, 40 1, 1 SITE,"
)
PLACED = "0 INSERT, 8 REFERENCES, 2 SITE, 10 100, 20 50, 30 0, 41 2, 42 2, 50 30,"


def block(path: str = "", content: str = "") -> str:
    flags = f"70 4, 1 {path}," if path else "70 0,"
    return f"0 BLOCK, 8 0, 2 SITE, 10 0, 20 0, 30 0, 3 SITE, {flags} {content} 0 ENDBLK, 8 0,"


def host(stated: str, inserts: str = PLACED) -> bytes:
    return dxf.encode(dxf.document(dxf.line(0, 0, 200, 0) + inserts + dxf.line(0, 0, 0, 100), block(stated)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the drawing that is referred to, and one below."""
    (tmp_path / "plans" / "parts").mkdir(parents=True)
    (tmp_path / "plans" / "site.dxf").write_bytes(dxf.encode(dxf.document(CONTENT)))
    (tmp_path / "plans" / "parts" / "site.dxf").write_bytes(dxf.encode(dxf.document(dxf.line(0, 0, 1, 1))))
    (tmp_path / "outside.dxf").write_bytes(dxf.encode(dxf.document(dxf.line(0, 0, 1, 1))))
    return tmp_path / "plans"


def attached(folder: Path, stated: str, **options: object) -> Drawing:
    (folder / "host.dxf").write_bytes(host(stated))
    return read(folder / "host.dxf", xrefs=True, **options)  # type: ignore[arg-type]


def test_a_reference_is_what_a_block_would_be(folder: Path) -> None:
    found = attached(folder, "site.dxf")
    assert found.status == "ok" and not found.problems
    same = dxf.line(0, 0, 200, 0) + PLACED + dxf.line(0, 0, 0, 100)
    expected = parse(dxf.encode(dxf.document(same, block(content=CONTENT))))
    for name in ("cls", "depth", "parent", "vertex_start"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    np.testing.assert_allclose(found.vertices, expected.vertices, atol=1e-9)
    np.testing.assert_allclose(found.box, expected.box, atol=1e-9)
    assert [found.text(row) for row in range(len(found))] == [expected.text(row) for row in range(len(expected))]
    names = [found.layers[k] for k in found.layer]
    # a block of its own has no layer of another name
    assert (
        names == ["SITE|BOLTS" if expected.layers[k] == "BOLTS" else expected.layers[k] for k in expected.layer]
        and "REFERENCES" in names
    )


def test_without_the_option_it_is_reported(folder: Path) -> None:
    (folder / "host.dxf").write_bytes(host("site.dxf"))
    assert read(folder / "host.dxf").status == "partial"


@pytest.mark.parametrize(
    ("stated", "lines"),
    [
        ("site.dxf", 3),
        ("SITE.DXF", 3),
        (".\\site.dxf", 3),
        ("C:\\other machine\\plans\\site.dxf", 3),  # by its name
        ("/home/else/site.dxf", 3),
        ("parts/site.dxf", 3),
        ("parts\\site.dxf", 3),
    ],
)
def test_where_it_is_looked_for(folder: Path, stated: str, lines: int) -> None:
    found = attached(folder, stated)
    assert found.status == "ok" and found.class_counts()["LINE"] == lines
    assert ("CIRCLE" in found.class_counts()) == ("parts" not in stated)


@pytest.mark.parametrize(
    "stated", ["../outside.dxf", "..\\outside.dxf", "parts/../../outside.dxf", "none.dxf", "parts", "/"]
)
def test_nothing_outside_of_the_folder_is_opened(folder: Path, stated: str) -> None:
    found = attached(folder, stated)
    assert found.status == "partial" and len(found) == 3
    assert [problem.code for problem in found.problems] == ["external-reference"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_out_of_the_folder_are_not_followed(folder: Path) -> None:
    (folder / "link.dxf").symlink_to(folder.parent / "outside.dxf")
    (folder / "away").symlink_to(folder.parent)
    for stated in ("link.dxf", "away/outside.dxf"):
        assert attached(folder, stated).status == "partial"


def test_references_within_references_and_in_circles(folder: Path) -> None:
    (folder / "a.dxf").write_bytes(host("b.dxf"))
    (folder / "b.dxf").write_bytes(host("site.dxf"))
    deep = read(folder / "a.dxf", xrefs=True)
    assert deep.status == "ok" and deep.depth.max() == 2 and deep.class_counts() == {
        "TEXT": 1, "LINE": 5, "CIRCLE": 1, "INSERT": 2,
    }  # fmt: skip
    (folder / "b.dxf").write_bytes(host("a.dxf"))
    circle = read(folder / "a.dxf", xrefs=True)
    assert circle.status == "partial" and circle.class_counts() == {"LINE": 4, "INSERT": 2}
    (folder / "a.dxf").write_bytes(host("a.dxf"))
    assert read(folder / "a.dxf", xrefs=True).status == "partial"
    for number in range(8):
        (folder / f"{number}.dxf").write_bytes(host(f"{number + 1}.dxf"))
    assert read(folder / "0.dxf", xrefs=True).depth.max() == 4


def test_what_cannot_be_read_or_is_too_large_stays_reported(folder: Path) -> None:
    (folder / "bad.dxf").write_bytes(b"nothing of the kind")
    assert attached(folder, "bad.dxf").status == "partial"
    assert attached(folder, "site.dxf", limits=Limits(entities=5)).status == "partial"
    assert Folder(folder / "gone", ()).find("site.dxf") is None


def test_arrays_of_a_reference(folder: Path) -> None:
    inserts = "0 INSERT, 8 0, 2 SITE, 10 0, 20 0, 30 0, 70 3, 71 2, 44 50, 45 40,"
    (folder / "host.dxf").write_bytes(host("site.dxf", inserts))
    found = read(folder / "host.dxf", xrefs=True)
    content = dxf.document(dxf.line(0, 0, 200, 0) + inserts + dxf.line(0, 0, 0, 100), block(content=CONTENT))
    expected = parse(dxf.encode(content))
    np.testing.assert_allclose(found.vertices, expected.vertices, atol=1e-9)


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "host.dxf").write_bytes(host("site.dxf"))
    assert main(["inspect", str(folder / "host.dxf")]) == 0
    assert "external drawing 'site.dxf' is not part" in capsys.readouterr().out
    assert main(["inspect", str(folder / "host.dxf"), "--xrefs"]) == 0
    assert "SITE|BOLTS" in capsys.readouterr().out
