"""Whitening: vectors of drawings centred and decorrelated, so that what all drawings have in common no longer drowns what
tells them apart (Jégou, Chum, 2012). Fitted once on drawings in general, never on an archive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepdxf.drawing import FloatArray

# A whitened number has its variance ** (1 − 2 · POWER): 0.5 would make noise as loud as what tells drawings apart.
POWER = 0.25
FLOOR = 1e-3  # share of the largest variance that is added to all


class Whitening(NamedTuple):
    """The map x → (x − centre) matrix of unit vectors."""

    centre: FloatArray  # (d,)
    matrix: FloatArray  # (d, k)

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """(…, k) of unit vectors (…, d)."""
        result: FloatArray = (vectors - self.centre) @ self.matrix
        return result


def fit(vectors: FloatArray, kept: int, weight: FloatArray | None = None) -> Whitening:
    """The whitening of unit vectors (n, d), n a few times ``kept``, to their ``kept`` ≤ d strongest directions.

    Args:
        weight: (n,) how much each vector counts; None: all the same.
    """
    share = np.ones(len(vectors)) if weight is None else weight
    share = (share / share.sum())[:, None]
    centre = (share * vectors).sum(axis=0)
    offset = vectors - centre
    variance, axes = np.linalg.eigh((share * offset).T @ offset)
    variance, axes = np.maximum(variance[-kept:], 0.0), axes[:, -kept:]
    scale = (variance + FLOOR * max(float(variance.max()), 1e-12)) ** -POWER
    return Whitening(centre, axes * scale)
