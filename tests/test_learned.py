"""A trained model as an encoder: the graph against the model in torch, switches, limits, and what can be missing."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from deepdxf import encoder
from deepdxf.checkpoint import CONFIG, GRAPH, load_model, save_model
from deepdxf.collate import arrays, collate
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches
from deepdxf.errors import EncoderError
from deepdxf.geometry import transform
from deepdxf.graph import encode
from deepdxf.learned import Learned
from deepdxf.turn import directions, straightened
from tests.drawings import circle, drawing, line, polyline
from tests.encoder_cases import code, model


def sheet(n: int, seed: int = 0) -> Drawing:
    """n entities of three classes in two views."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        x, y = rng.random(2) * 40 + (100 if i % 2 else 0)
        size = 1 + 10 * rng.random()
        rows.append(
            [
                line(x, y, x + size, y + size / 2),
                circle(x, y, size),
                polyline([(x, y), (x + size, y), (x, y + size, 0.3)]),
            ][i % 3]
        )
    return drawing(*rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("learned") / "model"
    save_model(model(layers=1, graph_layers=1), path)
    return path


@pytest.fixture(scope="module")
def learned(folder: Path) -> Learned:
    return Learned(folder)


@pytest.mark.parametrize("lengths", [[5], [0], [1], [2], [1500], [7, 0, 200, 16], [0, 0]])
def test_the_graph_is_the_model(lengths: list[int], folder: Path, learned: Learned) -> None:
    drawings = [code(n, seed=n, blocks=4, size=np.nan if n == 7 else 2.5) for n in lengths]
    batch = arrays(drawings)
    found = learned._session.run(None, {name: batch[name] for name in learned._inputs})[0]
    with torch.no_grad():
        expected = load_model(folder).embed(collate(drawings)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.dtype == np.float32


def test_inputs_that_are_not_read_are_left_out(learned: Learned) -> None:
    assert "classic" not in learned._inputs
    assert "class_matrix" not in learned._inputs
    assert {"values", "edge", "block_box", "size"} <= set(learned._inputs)


def test_drawings_to_vectors(folder: Path, learned: Learned) -> None:
    sheets = [sheet(30), drawing(), sheet(1), sheet(300, 1)]
    vectors = learned.encode(sheets)
    assert vectors.shape == (4, learned.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1], atol=1e-5)
    with torch.no_grad():
        expected = load_model(folder).embed(collate([encode(one, "") for one in sheets])).numpy()
    np.testing.assert_allclose(vectors, expected, atol=1e-4)
    assert learned.encode([]).shape == (0, learned.dim)


def test_loaded_by_the_path_of_its_folder(folder: Path, learned: Learned) -> None:
    found = encoder.load(str(folder))
    assert found.id == learned.id
    assert found.codes == {"sequence": slice(0, 64), "geometry": slice(64, 192)}
    np.testing.assert_array_equal(found.encode([sheet(9)]), learned.encode([sheet(9)]))
    similarity = encoder.similarity(found, sheet(20), sheet(20))
    assert similarity.overall == pytest.approx(1.0, abs=1e-5)
    assert set(similarity.codes) == {"sequence", "geometry"}


def test_an_archive_finds_its_model_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexed by a relative path, searched from another folder; another model in its place is refused."""
    pytest.importorskip("lancedb")
    from deepdxf.archive import Archive, encoder_name, encoder_of

    shutil.copytree(folder, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    for name in ("model", "descriptor+model"):
        made = encoder.load(name)
        archive = Archive.create(tmp_path / f"{name} archive", made.id, made.dim, encoder.lasting_name(name))
        monkeypatch.chdir(tmp_path.parent)
        assert encoder_of(Archive.open(archive.address)).id == made.id
        monkeypatch.chdir(tmp_path)
    assert encoder.load("descriptor+model").encode([sheet(3)]).shape == (1, made.dim)
    settings = json.loads((tmp_path / "model" / CONFIG).read_text())
    (tmp_path / "model" / CONFIG).write_text(json.dumps(settings | {"id": "other"}))
    with pytest.raises(EncoderError, match="holds another one now"):
        encoder_name(Archive.open(tmp_path / "descriptor+model archive"))


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        EncoderError, match=r"unknown encoder '.*nowhere'; known are descriptor, .*, and folders of trained"
    ):
        encoder.load(str(tmp_path / "nowhere"))
    with pytest.raises(EncoderError, match="no model"):
        encoder.load(str(tmp_path))


def test_poses(learned: Learned) -> None:
    one = sheet(25)
    vectors = learned.query(one, Switches(mirror=True, rotation=True))
    level = [straightened(one, angle) for angle in directions(one) if angle]
    assert vectors.shape == (8 * (1 + len(level)), learned.dim)
    others = Switches(mirror=True, rotation=True).poses[1:]
    poses = [pose for lying in (one, *level) for pose in (lying, *(transform(lying, map_) for map_ in others))]
    np.testing.assert_array_equal(vectors, learned.encode(poses))
    np.testing.assert_array_equal(learned.query(one, Switches()), learned.encode([one]))


def test_free_of_size(learned: Learned) -> None:
    """Ten times as large is the same query, but not the same vector in an archive."""
    small = sheet(25)
    large = transform(small, np.array([[10.0, 0.0, 0.0], [0.0, 10.0, 0.0]]))
    free = [learned.query(one, Switches(size=False)) for one in (small, large)]
    np.testing.assert_allclose(free[0], free[1], atol=1e-5)
    assert np.abs(learned.encode([small]) - learned.encode([large])).max() > 1e-3
    assert np.abs(free[0] - learned.encode([small])).max() > 1e-3  # and the encoder itself has not changed


def changed(folder: Path, tmp_path: Path, **settings: object) -> Learned:
    """The model with other settings in its config.json."""
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    content = json.loads((other / CONFIG).read_text())
    content["encoder"] |= settings
    (other / CONFIG).write_text(json.dumps(content))
    return Learned(other)


def test_long_drawings_are_known_by_their_first_rows(folder: Path, learned: Learned, tmp_path: Path) -> None:
    one = sheet(60)
    short = changed(folder, tmp_path, limit=16)
    batch = arrays([encode(one, "", limit=16)])
    expected = learned._session.run(None, {name: batch[name] for name in learned._inputs})[0]
    np.testing.assert_array_equal(short.encode([one]), expected)
    assert np.abs(short.encode([one]) - learned.encode([one])).max() > 1e-3


def test_sheets_are_cut_as_the_model_was_trained(folder: Path, learned: Learned, tmp_path: Path) -> None:
    tiles = changed(folder, tmp_path, blocks="tiles")
    assert np.abs(tiles.encode([sheet(60)]) - learned.encode([sheet(60)])).max() > 1e-3


def test_one_thread_in_worker_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Learned(folder)._session.get_session_options().intra_op_num_threads == 0
    assert Learned(folder, threads=2)._session.get_session_options().intra_op_num_threads == 2
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "somebody")
    assert Learned(folder)._session.get_session_options().intra_op_num_threads == 1


def test_a_broken_or_missing_graph_is_one_line(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "model"
    shutil.copytree(folder, other)
    content = json.loads((other / CONFIG).read_text())
    content["codes"]["geometry"][1] += 1
    (other / CONFIG).write_text(json.dumps(content))
    with pytest.raises(EncoderError, match=r"gives vectors of 192 numbers, config.json says 193$"):
        Learned(other)
    shutil.copy(folder / CONFIG, other / CONFIG)
    (other / GRAPH).write_bytes((folder / GRAPH).read_bytes()[:1000])
    with pytest.raises(EncoderError, match=r"^[^\n]*model.onnx is damaged [^\n]*; copy the model again$"):
        Learned(other)
    (other / GRAPH).unlink()
    with pytest.raises(EncoderError, match=r"no model.onnx; save the model again with it"):
        Learned(other)


def test_without_onnxruntime_the_way_out_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EncoderError, match=r"pip install 'deepdxf\[learned\]'"):
        Learned(folder)


def test_serving_needs_no_torch(folder: Path) -> None:
    script = (
        "import sys; from deepdxf import encoder; from tests.drawings import drawing, line\n"
        f"encoder.load({str(folder)!r}).encode([drawing(line(0, 0, 1, 1))]); print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "False"
