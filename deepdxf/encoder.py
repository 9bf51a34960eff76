"""Encoders: drawings in, unit vectors out. One interface for descriptors, learned models and peers.

The score of two drawings is the dot product of their vectors, in [−1, 1]; unrelated drawings score about 0.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import Drawing, FloatArray
from deepdxf.errors import EncoderError
from deepdxf.geometry import transform
from deepdxf.turn import directions, straightened, turn_of

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Switches:
    """What a search lets differ between the query and a hit."""

    size: bool = True  # True: size matters; False: the same shape at another scale is as good
    mirror: bool = False  # True: a mirrored drawing is as good
    rotation: bool = False  # True: a drawing turned by any angle is as good

    @property
    def poses(self) -> list[FloatArray]:
        """Maps (2, 3) of a query under the switches, the identity first: 1, 2, 4 or 8, turns by right angles.

        Mirrored left to right alone, unless rotation is allowed too: upside down is the same as mirrored and turned.
        """
        quarter, mirror = np.array([[0.0, -1.0], [1.0, 0.0]]), np.array([[-1.0, 0.0], [0.0, 1.0]])
        turns = [np.linalg.matrix_power(quarter, k) for k in range(4 if self.rotation else 1)]
        maps = turns + [turn @ mirror for turn in turns if self.mirror]
        return [np.hstack([linear, np.zeros((2, 1))]) for linear in maps]


class Encoder(Protocol):
    """What every encoder offers."""

    @property
    def id(self) -> str:
        """Name and version (or hash of the weights). Vectors of different ids are never compared."""

    @property
    def dim(self) -> int:
        """Length d of a vector."""

    @property
    def codes(self) -> Mapping[str, slice]:
        """Stretches of the vector by the code of the drawing that they come from, e.g. sequence and geometry."""

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, d) float32 vectors of unit length, one a drawing, in order; a drawing without content gives zeros."""

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """(m, d) float32 vectors of a query under the switches; a hit's score is the largest of the m dot products."""


# name -> (module, class or function, what it is); the module is imported when the encoder is asked for
ENCODERS: dict[str, tuple[str, str, str]] = {
    "descriptor": (
        "deepdxf.descriptor",
        "Descriptor",
        "hand-made vector of strokes, relations and grids (default)",
    ),
    "base": ("deepdxf.learned", "base", "the trained model that comes with the package (extra: learned)"),
    "descriptor+base": ("deepdxf.fusion", "base", "descriptor and trained model side by side (extra: learned)"),
    "histogram": ("deepdxf.peers", "Histogram", "entity-type histogram, log counts"),
    "raster": ("deepdxf.peers", "TypedRaster", "typed 8 x 8 raster of box centres and a blurred render"),
    "phash": ("deepdxf.peers", "PerceptualHash", "perceptual hash of a render"),
    "sscd": ("deepdxf.peers", "CopyDetectionNetwork", "image network for copy detection on a render (extra: bench)"),
}


def encode_poses(encoder: Encoder, drawing: Drawing, switches: Switches) -> Vectors:
    """(m, d) vectors of a drawing in all poses of the switches; the first is that of the drawing as it is.

    Where rotation is free the drawing is also turned so that each of its `directions` lies level.
    """
    _, *others = switches.poses
    asked = [drawing, *(transform(drawing, pose) for pose in others)]
    for angle in directions(drawing) if switches.rotation else ():
        if angle:
            level = straightened(drawing, angle)
            asked += [level, *(transform(level, pose) for pose in others)]
    return encoder.encode(asked)


@dataclass(frozen=True)
class Similarity:
    """How alike two drawings are, by an encoder; 1 = the same to it."""

    overall: float
    codes: Mapping[str, float]  # by code, see `Encoder.codes`


def similarity(encoder: Encoder, a: Drawing, b: Drawing, switches: Switches | None = None) -> Similarity:
    """Cosines of two drawings, overall and by code, in the pose of ``a`` that fits best; symmetric but for the pose."""
    switches = switches or Switches()
    if switches.rotation:  # as an archive keeps it
        b = straightened(b, turn_of(b))
    return explain(encoder, encoder.query(a, switches), encoder.query(b, Switches(size=switches.size))[0])


def explain(encoder: Encoder, poses: Vectors, other: NDArray[np.float32]) -> Similarity:
    """Cosines, overall and by code, of a query (m, d) in the pose that fits best and the vector (d,) of a drawing."""
    best = poses[int(np.argmax(poses @ other))]
    return Similarity(
        _cosine(best, other), {name: _cosine(best[part], other[part]) for name, part in encoder.codes.items()}
    )


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    length = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return round(float(a @ b) / length, 6) if length > 0 else 0.0


FUSED = "descriptor+"  # before the folder of a model: both as one encoder


def load(name: str = "descriptor") -> Encoder:
    """The encoder of that name; the path of a folder is a trained model, ``descriptor+FOLDER`` both together.

    Raises:
        EncoderError: the name is unknown, the model cannot be read, or an extra is needed that is not installed.
    """
    if name in ENCODERS:
        module, maker, _ = ENCODERS[name]
        encoder: Encoder = getattr(importlib.import_module(module), maker)()
    elif name.startswith(FUSED) and Path(name.removeprefix(FUSED)).is_dir():
        learned = importlib.import_module("deepdxf.learned").Learned(name.removeprefix(FUSED))
        encoder = importlib.import_module("deepdxf.fusion").with_descriptor(learned)
    elif Path(name).is_dir():
        encoder = importlib.import_module("deepdxf.learned").Learned(name)
    else:
        raise EncoderError(f"unknown encoder {name!r}; known are {', '.join(ENCODERS)}, and folders of trained models")
    return encoder


def lasting_name(name: str) -> str:
    """The name by which `load` finds the same encoder from any folder: paths of models are made absolute."""
    if name in ENCODERS:
        return name
    prefix = FUSED if name.startswith(FUSED) else ""
    return prefix + str(Path(name.removeprefix(prefix)).absolute())
