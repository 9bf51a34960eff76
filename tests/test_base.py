"""The model that comes with the package: small enough, the same in both forms, and beside the descriptor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepdxf import reader
from deepdxf.checkpoint import CARD, CONFIG, GRAPH, WEIGHTS, load_model
from deepdxf.collate import collate
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches, lasting_name, load
from deepdxf.geometry import transform
from deepdxf.graph import encode
from deepdxf.learned import BASE
from deepdxf.synth import generate


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawing]:
    """Generated drawings by name: <number>_<edit>."""
    folder = tmp_path_factory.mktemp("generated")
    generate(folder, 60, seed=9)
    return {path.stem: reader.read(path) for path in sorted(folder.rglob("*.dxf"))}


def test_it_is_whole_and_small() -> None:
    files = {path.name: path.stat().st_size for path in BASE.iterdir()}
    assert files.keys() >= {CONFIG, WEIGHTS, GRAPH, CARD}
    assert sum(files.values()) <= 20_000_000
    assert all(b"encoders/dual.py" not in path.read_bytes() for path in BASE.iterdir())  # no traces of a machine
    card = (BASE / CARD).read_text(encoding="utf-8")
    assert load("base").id in card
    for heading in ("What it was trained on", "How well it does", "Limits", "How to make it again"):
        assert f"## {heading}" in card


def test_graph_and_weights_give_the_same_vectors(drawings: dict[str, Drawing]) -> None:
    import torch

    some = list(drawings.values())[:12]
    model = load_model(BASE)
    served = load("base").encode(some)
    for drawing, vector in zip(some, served, strict=True):
        batch = collate([encode(drawing, "", model.config.limit, model.config.blocks, model.config.pixels)])
        with torch.inference_mode():
            np.testing.assert_allclose(vector, model.embed(batch)[0], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(served, axis=1), 1.0, atol=1e-3)


def test_what_does_not_matter_hardly_changes_a_vector(drawings: dict[str, Drawing]) -> None:
    some = list(drawings.values())[::5]
    away = [transform(d, np.array([[1.0, 0.0, 500.0], [0.0, 1.0, -300.0]])) for d in some]
    encoder = load("base")
    here, there = encoder.encode(some), encoder.encode(away)
    assert (here * there).sum(axis=1).min() > 0.98
    assert np.median(here @ here.T) < 0.5  # it does tell drawings apart


def test_beside_the_descriptor_scores_are_the_weighted_mean(drawings: dict[str, Drawing]) -> None:
    some = list(drawings.values())[:6]
    both, alone, descriptor = (load(name).encode(some) for name in ("descriptor+base", "base", "descriptor"))
    np.testing.assert_allclose(both @ both.T, 0.8 * descriptor @ descriptor.T + 0.2 * alone @ alone.T, atol=1e-3)
    assert load("descriptor+base").query(some[0], Switches(rotation=True)).shape == (4, both.shape[1])


def test_the_names_are_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "descriptor+base"):
        assert lasting_name(name) == name
        assert load(name).id == load(name).id


def test_it_needs_no_torch() -> None:
    script = "import sys; from deepdxf.encoder import load; load('base'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"
