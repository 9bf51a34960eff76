"""Encoders: drawings in, unit vectors out. One interface for descriptors, learned models and peers.

The score of two drawings is the dot product of their vectors, in [−1, 1] (descriptors: [0, 1]).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import Drawing
from deepdxf.errors import EncoderError

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Switches:
    """What a search lets differ between the query and a hit."""

    size: bool = True  # True: size matters; False: the same shape at another scale is as good
    mirror: bool = False  # True: a mirrored drawing is as good
    rotation: bool = False  # True: a drawing turned by any multiple of 90° is as good


class Encoder(Protocol):
    """What every encoder offers."""

    @property
    def id(self) -> str:
        """Name and version (or hash of the weights). Vectors of different ids are never compared."""

    @property
    def dim(self) -> int:
        """Length d of a vector."""

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, d) float32 vectors of unit length, one a drawing, in order; a drawing without content gives zeros."""

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """(m, d) float32 vectors of a query under the switches; a hit's score is the largest of the m dot products."""


# name -> (module, class, what it is); the module is imported when the encoder is asked for
ENCODERS: dict[str, tuple[str, str, str]] = {
    "descriptor": ("deepdxf.descriptor", "Descriptor", "hand-made vector of entity tokens, grids and relations (default)"),
    "histogram": ("deepdxf.peers", "Histogram", "entity-type histogram, log counts"),
    "raster": ("deepdxf.peers", "TypedRaster", "typed 8 x 8 raster of box centres and a blurred render"),
    "phash": ("deepdxf.peers", "PerceptualHash", "perceptual hash of a render"),
    "sscd": ("deepdxf.peers", "CopyDetectionNetwork", "image network for copy detection on a render (extra: bench)"),
}


def load(name: str = "descriptor") -> Encoder:
    """The encoder of that name.

    Raises:
        EncoderError: the name is unknown, or the encoder needs an extra that is not installed.
    """
    if name not in ENCODERS:
        raise EncoderError(f"unknown encoder {name!r}; known are {', '.join(ENCODERS)}")
    module, cls, _ = ENCODERS[name]
    encoder: Encoder = getattr(importlib.import_module(module), cls)()
    return encoder
