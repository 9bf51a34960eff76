"""Models on disk: what is written is read back, whole or not at all; broken ones are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from deepdxf import checkpoint
from deepdxf.checkpoint import CARD, CONFIG, GRAPH, WEIGHTS, load_model, read_manifest, save_model
from deepdxf.collate import arrays
from deepdxf.encoders.export import HALVED, export_onnx, is_halved
from deepdxf.errors import DeepDXFError, EncoderError
from tests.encoder_cases import PIXELS, code, embed, model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model without its graph."""
    save_model(model(), tmp_path / "model", "# A card\n", onnx=False)
    return tmp_path / "model"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"share_entities": False},
        {"codes": "sequence"},
        {"vocabulary": "classic", "graph": "class", "matching": True},
    ],
)
def test_loaded_is_what_was_saved(settings: dict[str, Any], tmp_path: Path) -> None:
    net = model(seed=3, **settings)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for buffer_name, buffer in net.named_buffers():
        if buffer_name.endswith("centre"):
            buffer.normal_()
    identity = save_model(net, tmp_path / "model", onnx=False)
    loaded = load_model(tmp_path / "model")
    assert loaded.config == net.config
    assert not loaded.training
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=0, rtol=0)
    torch.testing.assert_close(embed(loaded, code(30)), embed(net, code(30)), atol=0, rtol=0)
    assert loaded.shares_entities == net.shares_entities
    manifest = read_manifest(tmp_path / "model")
    assert manifest.id == identity
    assert manifest.dim == embed(net, code(3)).shape[1]
    assert {name: slice(*part) for name, part in manifest.codes.items()} == net.slices


def test_the_id_tells_weights_and_settings_apart(tmp_path: Path) -> None:
    def identity(net: Any, **named: str) -> str:
        return save_model(net, tmp_path / "model", onnx=False, **named)

    first = identity(model())
    assert first == identity(model())
    assert first.startswith("learned-tiny-")
    assert len({first, identity(model(seed=1)), identity(model(sharpness=9.0))}) == 3
    assert identity(model(), name="sheets") == first.replace("learned", "sheets")
    net = model()
    with torch.no_grad():
        next(net.parameters()).view(-1)[0] += 1e-6
    assert identity(net) != first


def test_a_card_is_written(folder: Path) -> None:
    assert (folder / CARD).read_text() == "# A card\n"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]


def test_saving_again_replaces_the_model(folder: Path) -> None:
    save_model(model(seed=1), folder, onnx=False)
    torch.testing.assert_close(embed(load_model(folder), code(9)), embed(model(seed=1), code(9)))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]


def test_a_failed_save_leaves_the_old_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deepdxf.encoders.export.export_onnx", full)
    with pytest.raises(DeepDXFError, match=r"cannot write .*model: No space left on device"):
        save_model(model(seed=1), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for name in ("mine", "mine/thesis.txt"):
        with pytest.raises(DeepDXFError, match="there is something else than a model; name another folder"):
            save_model(model(), tmp_path / name, onnx=False)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(DeepDXFError, match="parent folder"):
        save_model(model(), tmp_path / "missing" / "model", onnx=False)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "thesis.txt"]


def test_no_model(tmp_path: Path) -> None:
    for function in (read_manifest, load_model):
        with pytest.raises(
            EncoderError, match=r"^.*: no model \(config.json: No such file or directory\); name a folder"
        ):
            function(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json is damaged"),
        ("[]", "config.json is damaged"),
        ("\xff", "config.json is damaged"),
        ("{}", "config.json is damaged ('format')"),
        ('{"format": 99}', "format 99 of a model, this version of deepdxf reads 1 to 1; update deepdxf"),
        ('{"format": true}', "format True of a model"),
        ('{"format": 1, "id": "a", "codes": {}, "encoder": {}}', "config.json is damaged (no codes)"),
        ('{"format": 1, "id": "a", "codes": {"x": 3}, "encoder": {}}', "config.json is damaged"),
        ('{"format": 1, "id": "a", "codes": {"x": [0, 3]}, "encoder": {"widht": 3}}', "did you mean 'width'?"),
    ],
)
def test_a_broken_manifest_is_one_line(content: str, message: str, folder: Path) -> None:
    (folder / CONFIG).write_bytes(content.encode("latin-1"))
    with pytest.raises(EncoderError) as error:
        load_model(folder)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{folder}: ")
    assert "\n" not in str(error.value)


def test_broken_weights_are_one_line(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    other = folder.with_name("other")
    save_model(model(width=48), other, onnx=False)
    unshared = folder.with_name("unshared")
    save_model(model(share_entities=False), unshared, onnx=False)
    for content, message in (
        (None, "missing or damaged"),
        (b"", "missing or damaged"),
        (data[:-100], "missing or damaged"),
        ((other / WEIGHTS).read_bytes(), "has the shape"),
        ((unshared / WEIGHTS).read_bytes(), "tensors too many or missing"),
    ):
        (folder / WEIGHTS).unlink(missing_ok=True)
        if content is not None:
            (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(EncoderError) as error:
            load_model(folder)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_old_formats_are_brought_up_to_date(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of format 1 read by a version of format 3, which renamed a field twice."""
    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    renamed = {1: ("id", "identity"), 2: ("identity", "id")}
    steps = []

    def step(number: int) -> Any:
        def change(content: dict[str, Any]) -> dict[str, Any]:
            steps.append(number)
            content[renamed[number][1]] = content.pop(renamed[number][0]) + f"+{number}"
            return content

        return change

    monkeypatch.setattr(checkpoint, "MIGRATIONS", {1: step(1), 2: step(2)})
    identity = json.loads((folder / CONFIG).read_text())["id"]
    assert read_manifest(folder).id == f"{identity}+1+2"
    assert steps == [1, 2]


def test_every_older_format_has_a_migration() -> None:
    assert sorted(checkpoint.MIGRATIONS) == list(range(1, checkpoint.FORMAT))


def test_reading_a_manifest_needs_no_torch(folder: Path) -> None:
    script = f"import sys, deepdxf.checkpoint as c; c.read_manifest({str(folder)!r}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"


def test_the_graph_of_unusual_settings_is_the_model(tmp_path: Path) -> None:
    """The other vocabulary, mixer, graph, layer and readout than those of test_learned; a raster encoder; whitening."""
    net = model(
        vocabulary="classic",
        mixer="funnel",
        graph="class",
        layer="ggnn",
        readout="jk",
        limit=256,
        layers=1,
        graph_layers=1,
        pixels=PIXELS,
        whitening=24,
    )
    export_onnx(net, tmp_path / GRAPH)
    session = onnxruntime.InferenceSession(tmp_path / GRAPH, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    assert set(names) == {"start", "size", "class_matrix", "class_successor", "classic", "classic_start", "image"}
    for drawings in ([code(5)], [code(0)], [code(1)], [code(256)], [code(100), code(0), code(65, 1)]):
        batch = arrays(drawings)
        found = session.run(None, {name: batch[name] for name in names})[0]
        np.testing.assert_allclose(found, embed(net, *drawings), atol=1e-4)
    assert len(list(tmp_path.iterdir())) == 1  # one file, no weights beside it
    assert (
        str(Path(checkpoint.__file__).parent).encode() not in (tmp_path / GRAPH).read_bytes()
    )  # nor where it was made


def test_in_half_precision_graph_and_weights_are_the_same_rounded_model(tmp_path: Path) -> None:
    net = model(seed=5, codewords=64, width=64, whitening=16)
    net.whiten({name: torch.randn(40, encoder.dim) for name, encoder in net._encoders().items()})
    save_model(net, tmp_path / "whole")
    save_model(net, tmp_path / "half", half=True)
    loaded = load_model(tmp_path / "half")
    for name, tensor in net.state_dict().items():
        wide = tensor.ndim < 2 or tensor.numel() < HALVED
        torch.testing.assert_close(loaded.state_dict()[name], tensor if wide else tensor.half().float(), atol=0, rtol=0)
    session = onnxruntime.InferenceSession(tmp_path / "half" / GRAPH, providers=["CPUExecutionProvider"])
    for count in (1, 40):
        batch = arrays([code(count)])
        [served] = session.run(None, {value.name: batch[value.name] for value in session.get_inputs()})
        np.testing.assert_allclose(served, embed(loaded, code(count)).detach(), atol=1e-4)
        np.testing.assert_allclose(served, embed(net, code(count)).detach(), atol=5e-3)  # by the rounding
    for file in (WEIGHTS, GRAPH):
        assert (tmp_path / "half" / file).stat().st_size < 0.75 * (tmp_path / "whole" / file).stat().st_size


def test_numbers_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    net = model()
    with torch.no_grad():
        next(p for name, p in net.named_parameters() if is_halved(p)).view(-1)[0] = 1e6
    with pytest.raises(EncoderError, match="beyond half precision"):
        save_model(net, tmp_path / "half", onnx=False, half=True)
    assert not list(tmp_path.iterdir())
