"""Attention and codes inside of models, beside slow forms of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawings import circle, drawing, line

from deepdxf.drawing import Drawing
from deepdxf.encoders.attention import TransformerLayer
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.encoders.sequence import SequenceEncoder
from deepdxf.errors import EncoderError
from deepdxf.graph import encode
from deepdxf.probe import attention, code_attention, shared_codes


def scattered(n: int, seed: int = 0) -> Drawing:
    rng = np.random.default_rng(seed)
    return drawing(
        *(line(*rng.uniform(0, 100, 4)) if k % 3 else circle(*rng.uniform(0, 100, 2), 1.0 + k % 5) for k in range(n))
    )


def encoder(**settings: object) -> SequenceEncoder:
    torch.manual_seed(0)
    return SequenceEncoder(EncoderConfig(size="tiny", limit=256, **settings)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("vocabulary", ["rich", "classic"])
@pytest.mark.parametrize("mixer", ["set", "patch", "full", "funnel"])
def test_shares_sum_to_one_whatever_the_padding(mixer: str, vocabulary: str) -> None:
    model = encoder(mixer=mixer, vocabulary=vocabulary, funnel=16)
    codes = [encode(scattered(n, n), "", 256) for n in (1, 7, 40, 70, 45)]
    together = code_attention(model, codes)
    assert [len(share) for share in together] == [1, 7, 40, 70, 45]
    for code, share in zip(codes, together, strict=True):
        assert (share >= 0).all() and share.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(share, code_attention(model, [code])[0], atol=1e-6)


@torch.no_grad()
def test_rollout_beside_the_attention_that_the_layer_computes() -> None:
    """Token by token: an identity as values makes a layer's output its attention; products of them, by hand."""
    model = encoder(mixer="full")
    code = encode(scattered(12), "", 256)
    states: list[torch.Tensor] = []
    layers = [m for m in model.modules() if isinstance(m, TransformerLayer)]
    hooks = [m.register_forward_pre_hook(lambda _, given: states.append(given[0])) for m in layers]
    pooled: list[torch.Tensor] = []
    hooks.append(model.pool.register_forward_pre_hook(lambda _, given: pooled.append(given[0])))
    share = code_attention(model, [code])[0]
    for hook in hooks:
        hook.remove()
    rolled = torch.eye(12)
    for layer, x in zip(layers, states, strict=True):
        norm = layer.norm(x[0])
        width = norm.shape[1] // layer.heads
        total = torch.zeros(12, 12)
        for head in range(layer.heads):
            part = slice(head * width, (head + 1) * width)
            query, key = layer.query(norm)[:, part], layer.key(norm)[:, part]
            for i in range(12):
                scores = torch.stack([query[i] @ key[j] for j in range(12)]) / width**0.5
                total[i] += scores.softmax(0) / layer.heads
        rolled = (torch.eye(12) + total) / 2 @ rolled
    weight = model.pool.score(model.pool.norm(pooled[0][0])).softmax(0).mean(1)
    np.testing.assert_allclose(share, (weight @ rolled).detach().numpy(), atol=1e-6)


def test_attention_by_row_of_the_drawing() -> None:
    torch.manual_seed(0)
    model = DualEncoder(EncoderConfig(size="tiny", limit=20)).eval()
    made = scattered(30)
    share = attention(model, made)
    assert share.shape == (30,) and share.sum() == pytest.approx(1.0)
    assert (share[:20] > 0).all() and not share[20:].any()  # beyond the limit
    with pytest.raises(EncoderError, match="no entities"):
        attention(model, drawing())
    with pytest.raises(EncoderError, match="no sequence encoder"):
        attention(DualEncoder(EncoderConfig(size="tiny", codes="geometry")), made)


def test_shared_codes_are_projections_of_the_heads() -> None:
    torch.manual_seed(0)
    model = DualEncoder(EncoderConfig(size="tiny", limit=64, head_across=24)).eval()
    drawings = [scattered(n, n) for n in (5, 9, 30)]
    sequence, geometry = shared_codes(model, drawings)
    assert sequence.shape == geometry.shape == (3, 24)
    alone = shared_codes(model, drawings[1:2])
    np.testing.assert_allclose(sequence[1], alone[0][0], atol=1e-5)
    np.testing.assert_allclose(geometry[1], alone[1][0], atol=1e-5)
    one = DualEncoder(replace(model.config, codes="sequence"))
    with pytest.raises(EncoderError, match="two codes"):
        shared_codes(one, drawings)
