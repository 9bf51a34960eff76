"""Encoders side by side: scores are weighted means, codes stand together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from deepdxf.descriptor import Descriptor
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches, Vectors, similarity
from deepdxf.fusion import Fusion
from tests.drawings import circle, drawing, line, polyline


def plate() -> Drawing:
    return drawing(polyline([(0, 0), (80, 0), (80, 50), (0, 50)]), circle(10, 10, 4), circle(60, 30, 8))


def bracket() -> Drawing:
    return drawing(line(0, 0, 40, 0), line(40, 0, 40, 30), line(0, 0, 0, 30), circle(20, 8, 3))


class Plain:
    """An encoder that knows of a drawing only how many lines it has, and a third code."""

    id, dim = "plain", 3

    @property
    def codes(self) -> dict[str, slice]:
        return {"geometry": slice(0, 2), "raster": slice(2, 3)}

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        raw = np.array([[len(d), 5.0, d.class_counts().get("CIRCLE", 0)] for d in drawings])
        return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32).reshape(-1, 3)

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        return np.repeat(self.encode([drawing]), len(switches.poses), axis=0)


def test_a_score_is_the_weighted_mean_of_the_members_scores() -> None:
    members = [(Descriptor(), 0.7), (Plain(), 0.3)]
    fusion = Fusion("both", members)
    a, b = fusion.encode([plate(), bracket()])
    want = sum(share * float(np.dot(*encoder.encode([plate(), bracket()]))) for encoder, share in members)
    assert float(a @ b) == pytest.approx(want, abs=1e-6)
    assert float(a @ a) == pytest.approx(1.0, abs=1e-6)


def test_codes_are_joined_and_cover_the_vector() -> None:
    fusion = Fusion("both", [(Descriptor(), 0.5), (Plain(), 0.5)])
    assert list(fusion.codes) == ["sequence", "geometry", "raster"]
    ends = [0, *(part.stop for part in fusion.codes.values())]
    assert [part.start for part in fusion.codes.values()] == ends[:-1] and ends[-1] == fusion.dim
    own = Descriptor().codes["sequence"]
    vector = fusion.encode([plate()])[0]
    np.testing.assert_allclose(vector[fusion.codes["sequence"]], 0.5**0.5 * Descriptor().encode([plate()])[0][own])
    assert similarity(fusion, plate(), plate()).codes["raster"] == pytest.approx(1.0, abs=1e-6)


def test_a_query_asks_in_every_pose() -> None:
    fusion = Fusion("both", [(Descriptor(), 0.5), (Plain(), 0.5)])
    switches = Switches(mirror=True, rotation=True)
    assert fusion.query(plate(), switches).shape == (8, fusion.dim)
    np.testing.assert_allclose(fusion.query(plate(), Switches()), fusion.encode([plate()]))
