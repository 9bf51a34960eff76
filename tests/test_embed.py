"""Many files at once: names, order, failures, and the same vectors as one by one."""

from __future__ import annotations

from pathlib import Path

import dxf
import numpy as np
import pytest

from deepdxf import encoder, graph
from deepdxf.embed import embed_files, encode_files
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError, EncoderError, ReadError
from deepdxf.reader import read
from deepdxf.sequence import classic, read_h5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawings and a broken one."""
    folder = tmp_path_factory.mktemp("drawings")
    (folder / "sub dir").mkdir()
    for name, x in (("b", 10), ("a", 20), ("sub dir/圆", 30)):
        lines = dxf.line(0, 0, x, 5) + dxf.line(x, 5, 0, 0)
        (folder / f"{name}.dxf").write_bytes(dxf.encode(dxf.document(lines)))
    (folder / "broken.dxf").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def test_vectors_are_those_of_each_file_alone(folder: Path) -> None:
    switches = Switches(mirror=True)
    found = embed_files([folder], "histogram", switches=switches, workers=1)
    assert found.files == ["a.dxf", "b.dxf", "sub dir/圆.dxf"]
    assert found.failed == {"broken.dxf": "not a DXF or DWG drawing but a PNG picture"}
    alone = encoder.load("histogram")
    for file, vector in zip(found.files, found.vectors, strict=True):
        drawing = read(folder / file)
        np.testing.assert_array_equal(vector, alone.encode([drawing])[0])
        np.testing.assert_array_equal(found.queries[file], alone.query(drawing, switches))
        assert found.entities[file] == len(drawing) == 2
        assert found.milliseconds[file] >= 0
    assert found.vectors.dtype == np.float32


def test_codes_are_those_of_each_file_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "codes"
    done, failed = encode_files([folder / "sub dir", folder / "broken.dxf"], out, workers=1)
    assert list(failed) == ["broken.dxf"]
    assert done == {"圆.dxf": (str(out / "圆.dxf.npz"), 0)}
    code, alone = graph.DrawingCode.load(done["圆.dxf"][0]), graph.encode(read(folder / "sub dir" / "圆.dxf"), "圆.dxf")
    assert code.id == alone.id
    np.testing.assert_array_equal(code.classic.padded(), alone.classic.padded())


def test_h5(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    done, _ = encode_files([folder / "a.dxf"], tmp_path, "h5", workers=1)
    np.testing.assert_array_equal(read_h5(done["a.dxf"][0]).padded(), classic(read(folder / "a.dxf")).padded())


def test_nothing_found(tmp_path: Path) -> None:
    found = embed_files([tmp_path], "histogram")
    assert found.files == []
    assert found.vectors.shape == (0, encoder.load("histogram").dim)


def test_errors_come_before_the_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="unknown encoder 'nobody'"):
        embed_files([folder], "nobody")
    with pytest.raises(ReadError, match="no such file or folder"):
        embed_files([tmp_path / "nowhere"])
    (tmp_path / "file").touch()
    with pytest.raises(DeepDXFError, match="cannot make the folder"):
        encode_files([folder], tmp_path / "file")
