"""Logs and metrics of a run, and the optional trackers."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepdxf.errors import DeepDXFError
from deepdxf.tracking import Tracker, TrackingConfig, read_records


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_and_lines_hold_the_same_records(tmp_path: Path) -> None:
    with Tracker(tmp_path, quiet=True) as tracker:
        tracker.record("train", 1, 0, {"loss": 2.5})
        tracker.record("train", 2, 0, {"loss": float("nan")})
        tracker.record("validation", 2, 0, {"mAP": 0.25})  # a new column
        tracker.record("train", 3, 1, {"loss": 1.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 2, 3]
    assert lines[1]["loss"] is None
    table = rows(tmp_path)
    assert [row["loss"] for row in table] == ["2.5", "", "", "1.0"]
    assert [row["mAP"] for row in table] == ["", "", "0.25", ""]
    assert [row["kind"] for row in table] == ["train", "train", "validation", "train"]


def test_going_on_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    with Tracker(tmp_path, quiet=True) as tracker:
        for step in (1, 2, 3):
            tracker.record("train", step, 0, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "ep')  # killed in the middle of a line
    with Tracker(tmp_path, quiet=True, step=2) as tracker:
        tracker.record("train", 3, 0, {"loss": 30.0})
    assert [row["loss"] for row in rows(tmp_path)] == ["1.0", "2.0", "30.0"]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Tracker(tmp_path).log("seen")
    Tracker(tmp_path, quiet=True).log("only in the file")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "seen\n")
    texts = [line.split(" ", 2)[2] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert texts == ["seen", "only in the file"]


def test_other_processes_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Tracker(None, TrackingConfig(tensorboard=True, wandb="online")) as tracker:
        tracker.log("text")
        tracker.record("train", 1, 0, {"loss": 1.0})
    assert capsys.readouterr().err == ""


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker(tmp_path, quiet=True)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DeepDXFError, match=r"log.txt: No space left on device; make room and go on with --resume"):
        tracker.log("text")


def test_records_that_are_all_damaged_are_said_to_be(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "kin', encoding="utf-8")  # the first one, torn off
    assert read_records(tmp_path) == []
    file.write_text('nonsense\n{"a": 1}\n', encoding="utf-8")
    with pytest.raises(DeepDXFError, match=r"metrics.jsonl is damaged: none of its 2 lines is a record$"):
        read_records(tmp_path)
    file.write_text('nonsense\n{"step": 1, "kind": "train"}\n', encoding="utf-8")
    assert len(read_records(tmp_path)) == 1


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Tracker(tmp_path, TrackingConfig(tensorboard=True), quiet=True) as tracker:
        tracker.record("train", 7, 1, {"loss": 0.5})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(7, 0.5)]


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = SimpleNamespace(
        log=lambda figures, step: calls.append((figures, step)), finish=lambda exit_code: calls.append(exit_code)
    )
    fake = SimpleNamespace(init=lambda **arguments: (calls.append(arguments), run)[1])
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with Tracker(tmp_path, TrackingConfig(wandb="offline", project="p"), {"seed": 1}, quiet=True) as tracker:
        tracker.record("train", 1, 0, {"loss": 2.0})
    assert calls[0]["mode"] == "offline" and calls[0]["project"] == "p" and calls[0]["config"] == {"seed": 1}
    assert calls[1:] == [({"train/loss": 2.0}, 1), 0]


def test_wandb_that_is_not_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(DeepDXFError, match=r"pip install 'deepdxf\[wandb\]'"):
        Tracker(tmp_path, TrackingConfig(wandb="online"))
