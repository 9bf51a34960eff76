"""What a score means: the probability that a person would call two drawings with it the same part.

Learned by experiments/calibration.py from pairs of drawings that were judged; figures, curve and how far they can be
trusted: docs/scores.md. An encoder that has no table here has no probability, rather than one that is made up.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from deepdxf.drawing import FloatArray

Scoring = Literal["cosine", "verified"]  # dot products of vectors; those with the overlap of strokes, see `verify`
FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """A rising curve through points (score, probability); level beyond its ends."""

    scores: tuple[float, ...]  # ascending
    probabilities: tuple[float, ...]  # not falling, 0 … 1

    def probability(self, scores: ArrayLike) -> FloatArray:
        """Probabilities of scores, of the same shape."""
        return np.asarray(np.interp(np.asarray(scores, np.float64), self.scores, self.probabilities), np.float64)

    def score(self, probability: float) -> float | None:
        """The lowest score with at least a probability; None if no score has it."""
        if self.probabilities[-1] < probability:
            return None
        k = int(np.searchsorted(self.probabilities, probability))
        if k == 0:
            return self.scores[0]
        low, high = self.probabilities[k - 1], self.probabilities[k]
        share = (probability - low) / (high - low)
        return self.scores[k - 1] + share * (self.scores[k] - self.scores[k - 1])


def calibration_of(encoder_id: str, scoring: Scoring = "cosine") -> Calibration | None:
    """The curve of an encoder; None if it has not been calibrated."""
    curve = tables().get(encoder_id, {}).get(scoring)
    return None if curve is None else Calibration(tuple(curve["score"]), tuple(curve["probability"]))


@functools.cache
def tables() -> Mapping[str, Mapping[Scoring, Mapping[str, Any]]]:
    """What the data file holds: encoder id -> scoring -> curve and its figures."""
    text = resources.files("deepdxf").joinpath("data", FILE).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def fit(scores: FloatArray, same: Sequence[bool] | FloatArray, weights: FloatArray, knots: int = 24) -> Calibration:
    """The curve through judged pairs: isotonic regression, thinned.

    Every level gets a pair of each answer at its edge (Laplace's rule), so that no score is certain.

    Args:
        scores: (n,) of pairs.
        same: (n,) whether a person calls the pair the same part.
        weights: (n,) how much a pair counts, > 0.
        knots: points of the curve, at most.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(scores, kind="stable")
    x, w = np.asarray(scores, np.float64)[order], np.asarray(weights, np.float64)[order]
    y = np.asarray(same, np.float64)[order]
    # equal shares of the weight a bin, so that the curve follows the pairs, not the range; finer where scores are high
    share = np.cumsum(w) / w.sum()
    bins = np.minimum((share * knots).astype(np.int64), knots - 1)
    count = np.bincount(bins, minlength=knots)
    full = count > 0
    weight = np.bincount(bins, w, knots)[full]
    middle = np.bincount(bins, w * x, knots)[full] / weight
    mean = (np.bincount(bins, w * y, knots)[full] + w.mean()) / (weight + 2 * w.mean())
    level = isotonic_regression(mean, weights=weight).x
    # bins with one score (many pairs have the highest) are one point
    point, of = np.unique(np.round(middle, 4), return_inverse=True)
    level = np.bincount(of, weight * level) / np.bincount(of, weight)
    return Calibration(tuple(point.tolist()), tuple(np.round(level, 4).tolist()))
