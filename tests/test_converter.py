"""The external converter: what it may do, and every way in which it can fail."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from deepdxf import converter
from deepdxf.errors import ReadError
from deepdxf.reader import read
from tests import dxf

OLD = b"AC1009\0\0\0" + bytes(300)  # looks like a DWG of R12
DRAWN = dxf.encode(dxf.document(dxf.line(0, 0, 10, 5) * 3))


@pytest.fixture
def convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Set the converter to a Python program with arguments; returns the path of an old DWG."""
    (tmp_path / "drawn.dxf").write_bytes(DRAWN)
    (tmp_path / "old file.dwg").write_bytes(OLD)

    def convert(program: str, *arguments: str) -> Path:
        (tmp_path / "program.py").write_text("import sys, shutil, pathlib\n" + program, encoding="utf-8")
        words = [sys.executable, str(tmp_path / "program.py"), *arguments]
        monkeypatch.setenv(converter.VARIABLE, shlex.join(words))
        return tmp_path / "old file.dwg"

    return convert


def copying(folder: Path) -> str:
    return f"assert pathlib.Path(sys.argv[1]).read_bytes() == {OLD!r}\nshutil.copy({str(folder / 'drawn.dxf')!r}, sys.argv[2])"


def test_an_old_dwg_is_converted(convert, tmp_path: Path) -> None:
    drawing = read(convert(copying(tmp_path), "{input}", "{output}"))
    assert len(drawing) == 3 and drawing.status == "ok"
    assert (drawing.format, drawing.version, drawing.reader) == ("dwg", "AC1009", "converter, cadkit")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.dxf", "old file.dwg", "program.py"]


def test_a_converter_of_folders(convert, tmp_path: Path) -> None:
    program = (
        f"names = [p.name for p in pathlib.Path(sys.argv[1]).iterdir()]\nassert names == ['drawing.dwg']\n"
        f"shutil.copy({str(tmp_path / 'drawn.dxf')!r}, pathlib.Path(sys.argv[2], 'drawing.DXF'))\nsys.exit(3)"
    )
    assert len(read(convert(program, "{input_folder}", "{output_folder}"))) == 3


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("sys.exit('no licence')", ["{input}"], r"wrote no DXF \(exit code 1: no licence\)"),
        ("pathlib.Path(sys.argv[1]).touch()", ["{output}", "{input}"], r"wrote no DXF \(exit code 0\)"),
        ("pathlib.Path(sys.argv[1]).write_text('never mind')", ["{output}", "{input}"], "not a readable DXF|not a DXF"),
        ("pass", [], r"does not name \{input\}"),
    ],
)
def test_failures_are_one_line(convert, program: str, arguments: list[str], message: str) -> None:
    with pytest.raises(ReadError, match=message) as error:
        read(convert(program, *arguments))
    assert "\n" not in str(error.value) and "AC1009" in str(error.value)


def test_a_converter_that_hangs_is_ended(convert) -> None:
    convert("import time\ntime.sleep(60)", "{input}")
    with pytest.raises(ReadError, match=r"took longer than 0\.5 s"):
        converter.convert(OLD, 1 << 20, seconds=0.5)


def test_what_is_too_large(convert, tmp_path: Path) -> None:
    convert(copying(tmp_path), "{input}", "{output}")
    with pytest.raises(ReadError, match="too large"):
        converter.convert(OLD, 10)


def test_no_such_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "old.dwg").write_bytes(OLD)
    monkeypatch.setenv(converter.VARIABLE, "no-such-program {input}")
    with pytest.raises(ReadError, match="'no-such-program' cannot be started"):
        read(tmp_path / "old.dwg")
    monkeypatch.setenv(converter.VARIABLE, "program '{input}")
    with pytest.raises(ReadError, match="no command line"):
        read(tmp_path / "old.dwg")


def test_without_a_converter_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "old.dwg").write_bytes(OLD)
    monkeypatch.delenv(converter.VARIABLE, raising=False)
    with pytest.raises(ReadError, match=converter.VARIABLE):
        read(tmp_path / "old.dwg")
