"""Several encoders as one: their vectors side by side, so that a score is the weighted mean of their scores.

What is made by hand and what is learned fail on different drawings; together they fail on fewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepdxf import learned
from deepdxf.descriptor import Descriptor
from deepdxf.drawing import Drawing
from deepdxf.encoder import Encoder, Switches, Vectors
from deepdxf.learned import Learned

ORDER = ("sequence", "geometry", "raster")  # of codes in the vector; the parts of a code stand together
LEARNED_SHARE = 0.2  # of a trained model beside the descriptor; 0.1 to 0.5 hardly differ, see experiments/base.py


class Fusion:
    """An `Encoder` of encoders."""

    def __init__(self, id: str, members: Sequence[tuple[Encoder, float]]) -> None:
        """``members``: encoders and their shares of the score, which sum to 1."""
        self.id = id
        self._members = [(encoder, np.float32(np.sqrt(share))) for encoder, share in members]
        self._parts = [
            (number, encoder.codes[code])
            for code in ORDER
            for number, (encoder, _) in enumerate(members)
            if code in encoder.codes
        ]
        self.codes: dict[str, slice] = {}
        end = 0
        for code in ORDER:
            width = sum(e.codes[code].stop - e.codes[code].start for e, _ in members if code in e.codes)
            if width:
                self.codes[code] = slice(end, end + width)
            end += width
        self.dim = end

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, dim), see `Encoder.encode`."""
        return self._joined([root * encoder.encode(drawings) for encoder, root in self._members])

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """See `Encoder.query`."""
        return self._joined([root * encoder.query(drawing, switches) for encoder, root in self._members])

    def _joined(self, vectors: Sequence[Vectors]) -> Vectors:
        return np.concatenate([vectors[number][:, part] for number, part in self._parts], axis=1)


def with_descriptor(model: Learned) -> Fusion:
    """The descriptor and a model."""
    descriptor = Descriptor()
    members: list[tuple[Encoder, float]] = [(descriptor, 1.0 - LEARNED_SHARE), (model, LEARNED_SHARE)]
    return Fusion(f"{descriptor.id}+{model.id}", members)


def base() -> Fusion:
    """The descriptor and the model that comes with the package. Raises EncoderError as `Learned`."""
    return with_descriptor(learned.base())
