"""The raster encoder: each drawing by itself, every weight in use."""

from __future__ import annotations

import pytest
import torch

from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.raster import RasterEncoder
from deepdxf.errors import EncoderError
from tests.encoder_cases import PIXELS, batch, code, embed, model


def test_the_others_of_a_batch_do_not_matter() -> None:
    encoder = model(pixels=PIXELS)
    drawings = [code(12), code(0), code(70, 1), code(3, 2)]
    alone = torch.cat([embed(encoder, drawing) for drawing in drawings])
    torch.testing.assert_close(embed(encoder, *drawings), alone, atol=1e-5, rtol=1e-5)
    assert not alone[1].any()  # nothing drawn


def test_its_share_of_the_score() -> None:
    a, b = embed(model(pixels=PIXELS, raster_weight=0.4), code(12), code(30, 1))
    part = model(pixels=PIXELS).slices["raster"]
    assert float(a[part].norm()) ** 2 == pytest.approx(0.4, abs=1e-5)
    assert float(a.norm()) == pytest.approx(1.0, abs=1e-5)
    assert float(a @ b) < 1.0


def test_gradients_reach_every_weight() -> None:
    encoder = RasterEncoder(EncoderConfig(size="tiny", pixels=PIXELS))
    encoder(batch(code(12), code(30, 1))).vector.pow(3).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_nodes_are_cells_with_their_drawing() -> None:
    encoded = RasterEncoder(EncoderConfig(size="tiny", pixels=PIXELS))(batch(code(12), code(30, 1)))
    assert encoded.nodes.shape[0] == len(encoded.node_drawing) == 2 * 16
    assert encoded.node_drawing.bincount().tolist() == [16, 16]


def test_pictures_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(EncoderError, match="pixels must be a multiple of 64, not 40"):
        RasterEncoder(EncoderConfig(size="tiny", pixels=40))
