"""Sequence encoder: padding, batches and order; funnel and patches against plain runs without padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from deepdxf.encoders import sequence
from deepdxf.encoders.attention import Pool, TransformerLayer, rotary
from deepdxf.encoders.sequence import z_order
from deepdxf.errors import EncoderError
from tests.encoder_cases import batch, code, embed, model, permuted

MIXERS = ("set", "patch", "full", "funnel")
DRAWINGS = [code(200), code(0), code(1), code(33, 2), code(16), code(17), code(65, 1), code(130, 4)]


def encoder(**settings: Any) -> Any:
    return model(codes="sequence", **settings)


@pytest.mark.parametrize("vocabulary", ["rich", "classic"])
@pytest.mark.parametrize("mixer", MIXERS)
def test_a_drawing_alone_and_in_a_batch_are_the_same(mixer: str, vocabulary: str) -> None:
    net = encoder(mixer=mixer, vocabulary=vocabulary)
    together = embed(net, *DRAWINGS)
    order = [3, 1, 7, 0, 2, 5, 6, 4]
    torch.testing.assert_close(embed(net, *(DRAWINGS[i] for i in order)), together[order], atol=1e-5, rtol=0)
    for drawing, vector in zip(DRAWINGS, together, strict=True):
        torch.testing.assert_close(embed(net, drawing)[0], vector, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mixer", MIXERS)
def test_how_it_is_bucketed_changes_nothing(mixer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, data = encoder(mixer=mixer), batch(*DRAWINGS)
    with torch.no_grad():
        before = net.sequence(data)
        monkeypatch.setattr(sequence, "buckets", lambda length: [torch.arange(len(length))])
        after = net.sequence(data)
    torch.testing.assert_close(after.vector, before.vector, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.nodes, before.nodes, atol=1e-4, rtol=0)
    assert after.node_drawing.tolist() == before.node_drawing.tolist()


@pytest.mark.parametrize(
    ("mixer", "lengths"),
    [("set", [200, 0, 1, 33]), ("full", [200, 0, 1, 33]), ("patch", [13, 0, 1, 3]), ("funnel", [50, 0, 1, 33])],
)
def test_nodes_and_their_drawings(mixer: str, lengths: list[int]) -> None:
    with torch.no_grad():
        encoded = encoder(mixer=mixer).sequence(batch(*DRAWINGS[:4]))
    assert encoded.node_drawing.tolist() == np.repeat(np.arange(4), lengths).tolist()
    assert len(encoded.nodes) == sum(lengths)
    assert encoded.vector.shape == (4, 64)


def test_nodes_of_the_set_are_the_rows_in_order() -> None:
    with torch.no_grad():
        net = encoder(mixer="set").sequence
        one = net(batch(DRAWINGS[3])).nodes
        many = net(batch(*DRAWINGS))
    torch.testing.assert_close(many.nodes[many.node_drawing == 3], one, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mixer", MIXERS)
def test_only_the_set_is_free_of_order(mixer: str) -> None:
    net, drawing = encoder(mixer=mixer), code(50)
    shuffled = permuted(drawing, np.random.default_rng(0).permutation(50))
    gap = (embed(net, shuffled) - embed(net, drawing)).abs().max()
    assert gap < 1e-5 if mixer == "set" else gap > 1e-4


def test_patches_against_a_loop() -> None:
    torch.manual_seed(0)
    patches = encoder().sequence.patches
    lengths = [35, 0, 16, 1]
    start = torch.tensor([0, *np.cumsum(lengths)])
    x = torch.randn(sum(lengths), 32)
    tokens, patch_start = patches(x, start)
    assert patch_start.tolist() == [0, 3, 3, 4, 5]
    expected = []
    for i, length in enumerate(lengths):
        rows = x[start[i] : start[i + 1]]
        for first in range(0, length, 16):
            part = rows[first : first + 16]
            part = part + patches.inside[: len(part)]
            spread = (part.var(0, unbiased=False) + 1e-6).sqrt()
            features = torch.cat([part.mean(0), part.amax(0), spread, torch.tensor([len(part) / 16])])
            expected.append(patches.out(features))
    torch.testing.assert_close(tokens, torch.stack(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 100, 128, 129, 255, 1000])
def test_funnel_against_a_run_without_padding(length: int) -> None:
    funnel = encoder(mixer="funnel").sequence.mixer
    torch.manual_seed(1)
    x = torch.randn(1, length, 32)
    with torch.no_grad():
        plain = x + funnel.position[:length]
        for step in funnel.steps:
            if plain.shape[1] <= 64:
                break
            y = F.gelu(step.first(plain.transpose(1, 2)))
            y = F.max_pool1d(y, 2, ceil_mode=True)
            plain = step.norm((y + step.second(y)).transpose(1, 2))
        for layer in funnel.layers:
            plain = layer(plain, torch.ones(1, plain.shape[1], dtype=torch.bool))
        # beside a longer sequence, so that there is padding, and what padding holds does not matter
        block = torch.cat([F.pad(x, (0, 0, 0, 1100 - length), value=7.0), torch.randn(1, 1100, 32)])
        mask = torch.arange(1100) < torch.tensor([[length], [1100]])
        found, found_mask = funnel(block, mask)
    assert found_mask[0].sum() == plain.shape[1] <= 64
    torch.testing.assert_close(found[0][found_mask[0]], plain[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mixer", ["full", "funnel"])
def test_too_many_rows_are_one_line(mixer: str) -> None:
    net = encoder(mixer=mixer, limit=64)
    with pytest.raises(EncoderError, match=r"has 65 rows, the encoder takes 64; encode with limit=64$"):
        embed(net, code(65))


def test_rotary_sees_differences_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 1, 8).expand(1, 1, 40, 8), torch.randn(1, 1, 1, 8).expand(1, 1, 40, 8)
    score = (rotary(q) @ rotary(k).transpose(2, 3))[0, 0]
    for shift in (1, 5, 30):
        torch.testing.assert_close(score[shift:, shift:], score[:-shift, :-shift], atol=1e-4, rtol=1e-4)
    assert (score[0, 1:] - score[0, 0]).abs().max() > 1e-2


def test_padding_of_a_layer_holds_anything() -> None:
    torch.manual_seed(0)
    layer, pool = TransformerLayer(16, 2, 32, 0.0, rotate=True).eval(), Pool(16, 4, 8)
    x = torch.randn(2, 9, 16)
    mask = torch.arange(9) < torch.tensor([[5], [0]])
    other = torch.where(mask[:, :, None], x, 1e4 * torch.randn(2, 9, 16))
    for block in (x, other):
        y = layer(block, mask)
        assert y.isfinite().all()
        torch.testing.assert_close(y[0, :5], layer(x[:1, :5], mask[:1, :5])[0])
        torch.testing.assert_close(pool(y, mask), pool(layer(x, mask), mask))
    torch.testing.assert_close(pool(x, mask)[1], pool.out.bias)


def test_z_order_against_interleaved_digits() -> None:
    place = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    expected = []
    for x, y in (place * 1023).long().tolist():
        digits = "".join(b + a for a, b in zip(f"{x:010b}", f"{y:010b}", strict=True))
        expected.append(int(digits, 2))
    assert z_order(place).tolist() == expected


@pytest.mark.parametrize("vocabulary", ["rich", "classic"])
def test_order_dropout_reads_drawings_in_z_order(vocabulary: str) -> None:
    net = encoder(order_dropout=0.999, vocabulary=vocabulary)
    drawings = [code(40), code(70, 1)]
    sorted_drawings = []
    for drawing in drawings:
        place = torch.from_numpy(drawing.entity_graph.place)
        if vocabulary == "classic":
            columns = net.sequence.point_columns[drawing.classic.matrix[:, 0].astype(int)].numpy()
            place = torch.from_numpy(np.take_along_axis(drawing.classic.matrix, columns, 1) / np.float32(256))
        sorted_drawings.append(permuted(drawing, z_order(place).argsort(stable=True).numpy()))
    expected = net.sequence(batch(*sorted_drawings)).vector
    plain = net.sequence(batch(*drawings)).vector
    torch.manual_seed(0)
    net.train()
    found = net.sequence(batch(*drawings)).vector
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found - plain).abs().max() > 1e-4
