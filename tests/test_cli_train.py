"""The commands about learning, as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dxf import document, encode, line

from deepdxf import cli, cli_train, config
from deepdxf.objectives import OBJECTIVES


def plates(folder: Path, number: int = 14) -> Path:
    folder.mkdir()
    for i in range(number):
        rng = np.random.default_rng(i)
        lines = " ".join(line(*rng.uniform(0, 100, 4).round(2)) for _ in range(6))
        (folder / f"{i:02d}.dxf").write_bytes(encode(document(lines)))
    (folder / "broken.dxf").write_bytes(b"not a drawing")
    return folder


SETTINGS = [
    "data.synthetic=0", "data.validation=0.3", "encoder.codes=geometry", "stopping.steps=2",
    "batch.drawings=4", "terms={geometry: {objective: nt-xent, codes: geometry}}",
]  # fmt: skip


def test_from_drawings_to_a_model_that_serves_without_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawings, out = plates(tmp_path / "drawings"), tmp_path / "run"
    settings = [*SETTINGS, f"data.drawings=[{drawings.as_posix()}]"]
    assert cli.main(["train", "tiny", *settings, "--out", str(out), "--json", "--quiet"]) == 0
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert output.err == ""
    assert report["out"] == str(out) and report["steps"] == 2 and report["part"] == "test"
    assert "not read: broken.dxf" in (out / "log.txt").read_text(encoding="utf-8")
    assert report["model"] in json.dumps(json.loads((out / "model" / "config.json").read_text(encoding="utf-8")))
    assert "| trained |" in (out / "model" / "card.md").read_text(encoding="utf-8")

    from deepdxf.checkpoint import load_model
    from deepdxf.collate import collate
    from deepdxf.held_out import embedded
    from deepdxf.learned import Learned
    from deepdxf.loader import code_of
    from deepdxf.reader import read

    drawing = read(drawings / "03.dxf")
    model = load_model(out / "model")
    here = embedded(model, [collate([code_of(drawing, "a", model.config)])])
    np.testing.assert_allclose(Learned(out / "model").encode([drawing]), here, atol=1e-4)

    assert cli.main(["train", "tiny", *settings, "--out", str(out), "--quiet"]) == 1
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
    assert cli.main(["train", "tiny", *settings, "--out", str(out), "--quiet", "--resume"]) == 0
    assert f"model: {out / 'model'}" in capsys.readouterr().out


def test_print_config_can_be_trained_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "gf", "optimiser.lr=2e-4", "--print-config"]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert config.load(tmp_path / "mine.yaml") == config.load("gf", ["optimiser.lr=2e-4"])
    assert cli.main(["train", "gf", "--print-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoder"]["codes"] == "geometry"


@pytest.mark.parametrize(
    "command, code, message",
    [
        (["train", "tiny"], 2, "name the folder of the run: --out DIR"),
        (["train", "tny", "--out", "x"], 1, "no configuration 'tny'"),
        (
            ["train", "tiny", "optimiser.lrr=1", "--out", "x"],
            1,
            "unknown key optimiser.lrr; did you mean optimiser.lr?",
        ),
        (["finetune", "a.dxf", "--model", "nothing", "--out", "x"], 1, "nothing: no model"),
    ],
)
def test_wrong_command_lines(
    command: list[str], code: int, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    try:
        assert cli.main(command) == code
    except SystemExit as end:
        assert end.code == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_missing_extra_names_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_train, "NEEDED", ("torch_that_is_not_there",))
    assert cli.main(["train", "tiny", "--out", "x"]) == 1
    assert (
        "needs torch_that_is_not_there, which is not installed: pip install 'deepdxf[train]'" in capsys.readouterr().err
    )


def test_objectives_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["objectives"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in OBJECTIVES)
    assert cli.main(["objectives", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(OBJECTIVES)
    assert listed["margin-queue"]["needs"] == ["codes", "queue", "momentum copy"]


def test_decisions_teach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import csv

    from deepdxf.archive import Archive
    from deepdxf.checkpoint import save_model
    from deepdxf.config import load
    from deepdxf.decisions import families
    from deepdxf.duplicates import decide, find_duplicates
    from deepdxf.encoders.config import EncoderConfig
    from deepdxf.encoders.dual import DualEncoder

    drawings, archive = plates(tmp_path / "drawings"), str(tmp_path / "archive")
    for i in range(4):  # copies to decide about
        (drawings / f"copy of {i:02d}.dxf").write_bytes((drawings / f"{i:02d}.dxf").read_bytes())
    assert cli.main(["index", str(drawings), "--archive", archive, "--quiet"]) == 0
    model = tmp_path / "model"
    save_model(DualEncoder(EncoderConfig(size="tiny", codes="geometry")), model, onnx=False)
    command = ["finetune", "--archive", archive, "--decisions", "--model", str(model), "--out", str(tmp_path / "run")]
    assert cli.main([*command, "--quiet"]) == 1 and "decide first" in capsys.readouterr().err

    opened = Archive.open(archive)
    found = find_duplicates(opened, 0.999)
    by_path = {group.members[0].path: group.id for group in found.groups}
    decide(opened, found, "same", [by_path[f"{i:02d}.dxf"] for i in range(2)])
    decide(opened, found, "not", [by_path["02.dxf"]])
    decide(opened, found, "ignore", [by_path["03.dxf"]])
    assert sorted(map(len, families(opened))) == [1, 1, 2, 2]

    config = cli_train.with_decisions(load("finetune"), archive, cli_train.files_of(archive), tmp_path / "given")
    with (tmp_path / "given" / "decisions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups = {row["file"]: row["group_id"] for row in rows}
    assert groups["00.dxf"] == groups["copy of 00.dxf"] != groups["01.dxf"] == groups["copy of 01.dxf"]
    assert groups["02.dxf"] != groups["copy of 02.dxf"] and "03.dxf" not in groups
    assert config.terms["decided_geometry"].objective == "supervised"

    settings = ["data.workers=0", "data.validation=0.3", "batch.drawings=6", "stopping.epochs=1", "views.strength=0.5"]
    settings += ["checkpoint.onnx=false"]
    assert cli.main([*command, "--set", *settings, "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["before"]) == set(report["after"]) == {"own", "sanity"}
    log = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "decided_geometry" in log and "decided_sequence" not in log  # the model has no sequence code
