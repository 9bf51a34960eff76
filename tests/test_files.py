"""Finding drawings, naming them, and writing files without leaving halves behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdxf.errors import DeepDXFError, ReadError
from deepdxf.files import Files, check_writable, find_files, is_below, portable, relative_names, replacing, without_path


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")


def names_below(*paths: Path) -> list[str]:
    return list(relative_names(find_files(paths)).values())


def test_which_files_are_drawings(tmp_path: Path) -> None:
    make(tmp_path, "a.dxf", "B.DXF", "c.dwg", "d.dxf.gz", "e.dxf.bak", "f.txt", "g.gz", "sub/h.Dwg", "sub/dxf")
    assert sorted(names_below(tmp_path)) == ["B.DXF", "a.dxf", "c.dwg", "d.dxf.gz", "sub/h.Dwg"]
    assert names_below(tmp_path / "f.txt") == ["f.txt"]  # named by hand: counts whatever its name


def test_a_file_is_found_once(tmp_path: Path) -> None:
    make(tmp_path, "sub/a.dxf")
    file = tmp_path / "sub" / "a.dxf"
    assert names_below(file, file, file.parent / ".." / "sub" / "a.dxf") == ["a.dxf"]
    assert len(names_below(tmp_path, file, tmp_path / "sub", tmp_path)) == 1


def test_names_of_two_folders_never_collide(tmp_path: Path) -> None:
    make(tmp_path, "one/a.dxf", "two/a.dxf", "two/b.dxf")
    assert names_below(tmp_path / "one", tmp_path / "two" / "b.dxf") == ["a.dxf", "b.dxf"]
    assert names_below(tmp_path / "one", tmp_path / "two") == ["one/a.dxf", "two/a.dxf", "two/b.dxf"]


@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=2, max_size=5, unique=True), st.data())
def test_names_are_unique_and_lead_back(folders: list[str], data: st.DataObject) -> None:
    paths = {}
    for folder in folders:
        root = os.path.abspath(os.path.join("base", folder))
        for name in data.draw(st.lists(st.text("xy", min_size=1, max_size=2), min_size=1, max_size=3)):
            paths[os.path.join(root, name)] = root
    names = relative_names(Files(paths, {}))
    assert list(names) == list(paths)
    assert len(set(names.values())) == len(paths)
    assert all(path.replace(os.sep, "/").endswith("/" + name) for path, name in names.items())


def test_no_files_have_no_names() -> None:
    assert relative_names(Files({}, {})) == {}


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no such file or folder: .*nowhere"):
        find_files([tmp_path / "nowhere"])


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_are_followed_once(tmp_path: Path) -> None:
    make(tmp_path, "in/a.dxf", "out/b.dxf")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "other").symlink_to(tmp_path / "out", target_is_directory=True)
    (tmp_path / "in" / "again").symlink_to(tmp_path / "out", target_is_directory=True)
    assert names_below(tmp_path / "in") in (["a.dxf", "again/b.dxf"], ["a.dxf", "other/b.dxf"])


def test_is_below() -> None:
    folder = os.path.abspath("folder")
    assert is_below(folder, folder)
    assert is_below(os.path.join(folder, "x"), folder)
    assert not is_below(folder + "x", folder)
    assert is_below(folder, os.path.abspath(os.sep))


@given(st.text(st.characters(codec=None), max_size=20))
def test_portable_is_utf8_and_keeps_text(text: str) -> None:
    assert portable(text).encode("utf-8").decode("utf-8") == portable(portable(text))
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert portable(text) == text


@given(st.text(min_size=1), st.text(min_size=1).map(str.strip).filter(bool))
def test_without_path(path: str, reason: str) -> None:
    reason = " ".join(reason.split())
    message = " ".join(f"{path}: {reason}".split())  # as `batch` gives it
    assert without_path(message, path) == reason
    assert without_path(reason, "/another/path") == reason


# --- writing ---------------------------------------------------------------------------------------------------------


def test_replacing(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with replacing(path) as partial:
        partial.write_text("new", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "new"
    with pytest.raises(ZeroDivisionError), replacing(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "written"):
        pass
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("name", [".", "nowhere/out.txt", "file/out.txt"])
def test_where_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    make(tmp_path, "file")
    for attempt in (check_writable, lambda path: replacing(path).__enter__()):
        with pytest.raises(DeepDXFError, match="cannot write"):
            attempt(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_check_writable_leaves_everything_as_it_is(tmp_path: Path) -> None:
    make(tmp_path, "old.txt")
    check_writable(tmp_path / "old.txt")
    check_writable(tmp_path / "new.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]
    assert (tmp_path / "old.txt").read_text(encoding="utf-8") == "x"
