"""Fine-tuning ends with a better model or with the old one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dxf import document, encode, line

from deepdxf import cli, finetune, train
from deepdxf import config as configuration
from deepdxf.checkpoint import load_model, save_model
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.errors import DeepDXFError

SETTINGS = [
    "data.workers=0",
    "data.validation=0.3",
    "batch.drawings=8",
    "stopping.epochs=1",
    "stopping.patience=0",
    "checkpoint.onnx=false",
    "views.strength=0.5",
]


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "drawings"
    folder.mkdir()
    for i in range(12):
        rng = np.random.default_rng(i)
        lines = " ".join(line(*rng.uniform(0, 100, 4).round(2)) for _ in range(8))
        (folder / f"{i}.dxf").write_bytes(encode(document(lines)))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    torch.manual_seed(0)
    save_model(DualEncoder(EncoderConfig(size="tiny", codes="geometry")), folder, onnx=False)
    return folder


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """Figures of the model before, and then of each call; the checks themselves are tested elsewhere."""
    figures: list[dict[str, float]] = []
    monkeypatch.setattr(finetune, "SANITY_DRAWINGS", 11)

    class Result:
        def __init__(self, value: float) -> None:
            self.value = value

        def mean(self, metric: str) -> float:
            return self.value

    calls: list[str] = []

    def of_model(self: Any, weights: Any) -> Result:
        which = "own" if {query.kind for query in self.protocol.queries} == {"edit"} else "sanity"
        now = figures[min(calls.count(which), len(figures) - 1)]
        calls.append(which)
        return Result(now[which])

    monkeypatch.setattr(finetune.HeldOut, "of_model", of_model)
    return figures


def tuned(drawings: Path, model: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    config = configuration.load("finetune", [*SETTINGS, *overrides])
    return finetune.finetune([drawings], model, folder, config, quiet=True)


def test_a_better_model_is_left(drawings: Path, model: Path, tmp_path: Path, checked: list[dict[str, float]]) -> None:
    checked += [{"own": 0.5, "sanity": 0.7}, {"own": 0.6, "sanity": 0.7}, {"own": 0.55, "sanity": 0.8}]
    before = (model / "weights.safetensors").read_bytes()
    report = tuned(drawings, model, tmp_path / "run", "stopping.epochs=2")
    assert report["better"] and report["model"] == str(tmp_path / "run" / "model")
    assert report["before"] == {"own": 0.5, "sanity": 0.7}
    assert (model / "weights.safetensors").read_bytes() == before
    best = train.read_state(tmp_path / "run" / "best.pt")
    assert best["score"] == 0.6  # of the first epoch, not of the last
    new = load_model(tmp_path / "run" / "model").state_dict()
    assert all(torch.equal(value, new[key]) for key, value in best["weights"].items())
    assert any(not torch.equal(value, new[key]) for key, value in load_model(model).state_dict().items())


@pytest.mark.parametrize(
    "after",
    [{"own": 0.5, "sanity": 0.9}, {"own": 0.9, "sanity": 0.69}, {"own": 0.1, "sanity": 0.1}],
    ids=["as good", "forgets the families", "worse"],
)
def test_no_worse_model_is_left(
    after: dict[str, float], drawings: Path, model: Path, tmp_path: Path, checked: list[dict[str, float]]
) -> None:
    checked += [{"own": 0.5, "sanity": 0.7}, after]
    report = tuned(drawings, model, tmp_path / "run")
    assert not report["better"] and report["model"] == str(model)
    assert not (tmp_path / "run" / "model").exists()
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8")) == report


def test_too_few_drawings(drawings: Path, model: Path, tmp_path: Path) -> None:
    files = sorted(drawings.rglob("*.dxf"))[:3]
    with pytest.raises(DeepDXFError, match="3 drawings are too few to learn from and to check: give at least 10"):
        finetune.finetune(files, model, tmp_path / "run", quiet=True)


def test_command_with_the_drawings_of_an_archive(
    drawings: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it, with real checks: whatever comes out, the model that is named is not worse."""
    monkeypatch.setattr(finetune, "SANITY_DRAWINGS", 22)
    archive = str(tmp_path / "archive")
    cli.main(["index", str(drawings), "--archive", archive, "--encoder", "histogram", "--no-thumbnails", "--quiet"])
    out = tmp_path / "run"
    command = ["finetune", "--archive", archive, "--model", str(model), "--out", str(out), "--quiet"]
    capsys.readouterr()
    assert cli.main([*command, "--json", "--set", *SETTINGS]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["better"] == (out / "model").exists()
    if report["better"]:
        assert (
            report["after"]["own"] > report["before"]["own"] and report["after"]["sanity"] >= report["before"]["sanity"]
        )
    assert cli.main([*command, "--set", *SETTINGS]) == 1
    assert "holds a run already" in capsys.readouterr().err


def test_command_needs_drawings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["finetune", "--model", "m", "--out", "o"])
    assert end.value.code == 2
    assert "name the drawings: PATHs, or --archive DIR" in capsys.readouterr().err
