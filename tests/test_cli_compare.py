"""The command ``compare`` as users run it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dxf
import pytest

from deepdxf.cli import main

FRAME = dxf.line(0, 0, 100, 0) + dxf.line(100, 0, 100, 60) + dxf.line(0, 0, 0, 60)


def write(path: Path, entities: str) -> Path:
    path.write_bytes(dxf.encode(dxf.document(FRAME + entities)))
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    old = write(tmp_path / "old.dxf", "0 CIRCLE, 8 CUT, 10 20, 20 20, 30 0, 40 5,")
    new = write(
        tmp_path / "new.dxf", "0 CIRCLE, 8 CUT, 10 26, 20 20, 30 0, 40 5, 0 CIRCLE, 8 CUT, 10 80, 20 20, 30 0, 40 2,"
    )
    return str(old), str(new)


def test_summary(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *pair]) == 0
    out = capsys.readouterr().out
    assert "1 added, 1 moved" in out and "moved by 6 in x" in out and "on CUT" in out
    assert main(["compare", pair[0], pair[0]]) == 0
    assert "differences  none" in capsys.readouterr().out


def test_json_alone_on_standard_output(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["compare", *pair, "--json", "--svg", str(tmp_path / "o.svg")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [len(document[kind]) for kind in ("added", "removed", "changed", "moved")] == [1, 0, 0, 1]
    assert document["moved"][0]["class"] == "CIRCLE" and document["encoder"] == "descriptor"


def test_files(pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {kind: tmp_path / f"out.{kind}" for kind in ("svg", "png", "html", "dxf", "xlsx")}
    assert main(["compare", *pair, *(part for kind, path in names.items() for part in (f"--{kind}", str(path)))]) == 0
    starts = {"svg": b"<svg", "png": b"\x89PNG", "html": b"<!doctype html>", "dxf": b"0\r\nSECTION", "xlsx": b"PK"}
    for kind, path in names.items():
        assert path.read_bytes().startswith(starts[kind]), kind
        assert str(path) in capsys.readouterr().out or kind != "svg"


def test_tolerance(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *pair, "--json", "--tolerance", "7"]) == 0
    assert len(json.loads(capsys.readouterr().out)["moved"]) == 0
    with pytest.raises(SystemExit) as stop:
        main(["compare", *pair, "--tolerance", "0"])
    assert stop.value.code == 2


def test_poses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [(0, 0, 40, 0), (40, 0, 40, 10), (40, 10, 7, 22), (7, 22, 0, 0)]
    old = write(tmp_path / "a.dxf", "".join(dxf.line(200 + a, 300 + b, 200 + c, 300 + d) for a, b, c, d in lines))
    turned = [(-2 * y, 2 * x, -2 * v, 2 * u) for x, y, u, v in (*lines, (-200, -300, -100, -300))]
    other = tmp_path / "b.dxf"
    other.write_bytes(dxf.encode(dxf.document("".join(dxf.line(*ends) for ends in turned))))
    assert main(["compare", str(old), str(other), "--rotated", "--any-size"]) == 0
    out = capsys.readouterr().out
    assert "turned by 90°, scaled by 2" in out
    assert main(["compare", str(old), str(other)]) == 0
    assert "no common geometry" in capsys.readouterr().out


def test_what_cannot_be_done_is_told_in_a_line(
    pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, message in (
        ([pair[0], str(tmp_path / "none.dxf")], "none.dxf"),
        ([*pair, "--png", str(tmp_path / "no" / "x.png")], "cannot write"),
        ([*pair, "--encoder", "nothing"], "unknown encoder"),
    ):
        assert main(["compare", *arguments]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    assert main(["compare", *pair, "--xlsx", str(tmp_path / "x.xlsx")]) == 1
    assert "pip install 'deepdxf[report]'" in capsys.readouterr().err
    assert not (tmp_path / "x.xlsx").exists()
