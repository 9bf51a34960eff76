"""An archive that follows its folders: what is indexed when, and what happens when things go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdxf.archive import IndexReport
from deepdxf.errors import ArchiveError, DeepDXFError
from deepdxf.follow import PATIENCE, follow, look
from tests import dxf


class Stage:
    """A folder, and what happens in it between the looks."""

    def __init__(self, folder: Path, *scenes: Callable[[], None]) -> None:
        self.folder, self.scenes = folder, list(scenes)
        self.updates: list[tuple[int, list[str]]] = []  # look, names of the files that were there
        self.looks = 0
        self.fails: dict[int, DeepDXFError] = {}

    def update(self) -> IndexReport:
        if self.looks in self.fails:
            raise self.fails[self.looks]
        self.updates.append((self.looks, sorted(path.name for path in self.folder.iterdir())))
        return IndexReport()

    def pause(self, seconds: float) -> None:
        self.looks += 1
        if not self.scenes:
            raise KeyboardInterrupt
        self.scenes.pop(0)()

    def play(self) -> list[str]:
        """Follow until the scenes are over; the errors that were told."""
        told = []
        with pytest.raises(KeyboardInterrupt):
            for outcome in follow([self.folder], self.update, seconds=1.0, pause=self.pause):
                if isinstance(outcome, DeepDXFError):
                    told.append(str(outcome))
        return told


def nothing() -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drawings"
    made.mkdir()
    (made / "a.dxf").write_text("1")
    return made


def put(path: Path, content: str) -> Callable[[], None]:
    return lambda: path.write_text(content) and None


def test_changes_are_indexed_when_they_have_come_to_rest(folder: Path) -> None:
    new = folder / "b.dxf"
    stage = Stage(folder, nothing, put(new, "1"), put(new, "12"), put(new, "123"), nothing, nothing, nothing)
    assert stage.play() == []
    assert stage.updates == [(0, ["a.dxf"]), (5, ["a.dxf", "b.dxf"])]


def test_vanished_and_changed_files_are_seen(folder: Path) -> None:
    stage = Stage(folder, put(folder / "a.dxf", "other"), nothing, (folder / "a.dxf").unlink, nothing, nothing)
    stage.play()
    assert [names for _, names in stage.updates] == [["a.dxf"], ["a.dxf"], []]
    # what is no drawing is nothing to index
    stage = Stage(folder, put(folder / "notes.txt", "x"), nothing, nothing)
    stage.play()
    assert len(stage.updates) == 1


def test_a_folder_that_never_rests_is_indexed_too(folder: Path) -> None:
    scenes = [put(folder / "b.dxf", "x" * n) for n in range(1, 2 * PATIENCE)]
    stage = Stage(folder, *scenes)
    stage.play()
    assert len(stage.updates) == 2


def test_troubles_are_told_once_and_tried_again(folder: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"

    def leave() -> None:
        folder.rename(away)

    def come_back() -> None:
        away.rename(folder)
        (folder / "c.dxf").write_text("1")

    stage = Stage(folder, leave, nothing, nothing, come_back, nothing, nothing)
    told = stage.play()
    assert len(told) == 1 and told[0].startswith("no such file or folder")
    assert [names for _, names in stage.updates] == [["a.dxf"], ["a.dxf", "c.dxf"]]
    stage = Stage(folder, put(folder / "d.dxf", "1"), nothing, nothing, nothing, nothing)
    stage.fails = {2: ArchiveError("the disk is full"), 3: ArchiveError("the disk is full")}
    assert stage.play() == ["the disk is full"]
    assert [looks for looks, _ in stage.updates] == [0, 4]


def test_what_is_wrong_from_the_start_ends_it(folder: Path) -> None:
    with pytest.raises(DeepDXFError, match="no such file or folder"):
        next(follow([folder / "missing"], IndexReport, seconds=1.0))

    def update() -> IndexReport:
        raise ArchiveError("made with another encoder")

    with pytest.raises(ArchiveError, match="another encoder"):
        next(follow([folder], update, seconds=1.0))


def test_an_interrupted_update_ends_it(folder: Path) -> None:
    outcomes = list(follow([folder], lambda: IndexReport(interrupted=True), seconds=1.0, pause=lambda _: None))
    assert len(outcomes) == 1


def test_look_tells_changes_of_size_and_time(folder: Path) -> None:
    before = look([folder])
    assert look([folder]) == before
    os.utime(folder / "a.dxf", (1, 1))
    assert look([folder]) != before


@pytest.mark.skipif(sys.platform == "win32", reason="a process of its own group gets no Ctrl-C there")
def test_the_command_ends_well(tmp_path: Path) -> None:
    folder = tmp_path / "drawings"
    folder.mkdir()
    content = dxf.encode(dxf.document(dxf.line(0, 0, 10, 5) + dxf.line(3, 0, 1, 5)))
    (folder / "a.dxf").write_bytes(content)
    command = [sys.executable, "-m", "deepdxf", "watch", str(folder), "--archive", str(tmp_path / "archive")]
    options = ["--encoder", "histogram", "--workers", "1", "--every", "0.2", "--json"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(300, process.kill)
    guard.start()
    assert process.stdout
    assert json.loads(process.stdout.readline())["actions"] == {"added": 1}
    (folder / "b.dxf").write_bytes(content)
    assert json.loads(process.stdout.readline())["actions"] == {"unchanged": 1, "added": 1}
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    guard.cancel()
    assert (process.returncode, out, err) == (0, "", "")
