"""Embedding of rows: bags against a dense sum, continuous values, absence, size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deepdxf.encoders import tokens
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.ragged import buckets, owners, pad, segment_max, segment_mean, segment_sum, starts
from deepdxf.encoders.tokens import Bag, ClassicEmbedding, EntityEmbedding, SizeToken, fourier
from deepdxf.vocabulary import LOCAL_START, N_RICH
from tests.encoder_cases import USED, batch, code, with_rich


def embedding(kind: type[Any] = EntityEmbedding, **settings: Any) -> Any:
    torch.manual_seed(0)
    return kind(EncoderConfig(size="tiny", **settings).resolved()).eval()


# --- ragged operations -----------------------------------------------------------------------------------------------


def test_segments_against_loops() -> None:
    rng = np.random.default_rng(0)
    x, owner = rng.standard_normal((30, 3)).astype(np.float32), rng.integers(0, 6, 30)
    owner[owner == 4] = 5  # one has no rows
    tensor, index = torch.from_numpy(x), torch.from_numpy(owner)
    for function, reduce in ((segment_sum, np.sum), (segment_mean, np.mean), (segment_max, np.max)):
        expected = [reduce(x[owner == i], axis=0) if (owner == i).any() else np.zeros(3) for i in range(7)]
        np.testing.assert_allclose(function(tensor, index, 7), np.array(expected), atol=1e-6)


def test_padding_and_owners() -> None:
    length = torch.tensor([2, 0, 3])
    start = starts(length)
    assert start.tolist() == [0, 2, 2, 5]
    assert owners(start, 5).tolist() == [0, 0, 2, 2, 2]
    block, mask = pad(torch.arange(1.0, 6.0)[:, None], start[:-1], length, 4)
    assert block[:, :, 0].tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [3, 4, 5, 0]]
    assert mask.tolist() == [[True] * 2 + [False] * 2, [False] * 4, [True] * 3 + [False]]
    nothing, _ = pad(torch.zeros(0, 1), torch.zeros(2).long(), torch.zeros(2).long(), 2)
    assert nothing.shape == (2, 2, 1)


def test_buckets_hold_every_sequence_once_and_like_lengths() -> None:
    length = torch.tensor([1, 500, 0, 33, 64, 65, 4096, 32])
    groups = buckets(length)
    assert sorted(torch.cat(groups).tolist()) == list(range(8))
    for group in groups:
        assert length[group].max() <= 2 * max(32, int(length[group].min()))


# --- bags ------------------------------------------------------------------------------------------------------------


def test_a_bag_is_the_sum_over_one_hot_vectors() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    used = np.array([[1, 0, 1], [1, 1, 0]], bool)
    bag = Bag(used, 4, 5)
    cls, bins, present = rng.integers(0, 2, 9), rng.integers(0, 256, (9, 3)), rng.random((9, 3)) < 0.7
    row_of = {pair: i for i, pair in enumerate(zip(*np.nonzero(used), strict=True))}
    one_hot = np.zeros((9, len(bag.table)), np.float32)
    for i in range(9):
        for column in range(3):
            if present[i, column] and (cls[i], column) in row_of:
                one_hot[i, row_of[cls[i], column] * 256 + bins[i, column]] += 1
    expected = torch.from_numpy(one_hot) @ bag.table @ bag.out.weight.T
    found = bag(torch.from_numpy(cls), torch.from_numpy(bins), torch.from_numpy(present))
    torch.testing.assert_close(found, expected)


def test_the_exported_bag_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = batch(code(40), code(0), code(7))
    for kind in (EntityEmbedding, ClassicEmbedding):
        layer = embedding(kind)
        expected = layer(data)
        with monkeypatch.context() as patch:
            patch.setattr(tokens, "exporting", lambda: True)
            torch.testing.assert_close(layer(data), expected, atol=1e-5, rtol=1e-5)


def test_bins_are_those_of_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = code(300)
    layer, seen = embedding(), {}
    monkeypatch.setattr(layer.bag, "forward", lambda cls, bins, present: seen.update(b=bins, p=present) or 0.0)
    layer(batch(drawing))
    present = drawing.rich.present
    np.testing.assert_array_equal(seen["p"], present)
    np.testing.assert_array_equal(seen["b"].numpy()[present], drawing.rich.bins[present])


def test_all_used_columns_and_no_others_are_read() -> None:
    drawing = code(60, 3)
    values = np.where(USED[drawing.rich.cls], 0.3, np.nan).astype(np.float32)
    layer = embedding()
    before = layer(batch(with_rich(drawing, values=values)))
    for column in range(N_RICH):
        other = values.copy()
        other[:, column] = np.nan
        changed = (layer(batch(with_rich(drawing, values=other))) - before).abs().amax(1) > 1e-6
        np.testing.assert_array_equal(changed, USED[drawing.rich.cls, column])


# --- continuous values -----------------------------------------------------------------------------------------------


def test_fourier_features_by_doubling_are_the_sines() -> None:
    x = torch.linspace(-1, 1, 101)
    k = 2.0 ** np.arange(6) * np.pi
    waves = np.stack([np.sin(k * x.numpy()[:, None]), np.cos(k * x.numpy()[:, None])], axis=2).reshape(101, 12)
    np.testing.assert_allclose(fourier(x, 6), np.column_stack([x, waves]), atol=1e-4)


def test_own_columns_mean_something_else_in_every_class() -> None:
    drawing = code(2)
    values = np.full((2, N_RICH), np.nan, np.float32)
    values[:, 0] = 0.25
    layer = embedding(tags=False)
    for table in (layer.cls, layer.bag.table):
        torch.nn.init.zeros_(table.weight if isinstance(table, torch.nn.Embedding) else table)
    line_arc = layer(batch(with_rich(drawing, cls=np.array([5, 4], np.uint8), values=values)))
    assert (line_arc[0] - line_arc[1]).abs().max() > 1e-3
    values[:, 0], values[:, LOCAL_START] = np.nan, -3.0
    line_arc = layer(batch(with_rich(drawing, cls=np.array([5, 4], np.uint8), values=values)))
    torch.testing.assert_close(line_arc[0], line_arc[1])


def test_near_values_are_near() -> None:
    drawing = code(20)
    layer = embedding()
    moved = drawing.rich.values + np.float32(1e-5)
    with torch.no_grad():
        gap = (layer(batch(with_rich(drawing, values=moved))) - layer(batch(drawing))).norm(dim=1)
        far = (layer(batch(with_rich(drawing, values=drawing.rich.values * 0.5))) - layer(batch(drawing))).norm(dim=1)
    assert gap.median() < 0.05 * far.median()


# --- size ------------------------------------------------------------------------------------------------------------


def test_unknown_size_is_one_vector_of_its_own() -> None:
    torch.manual_seed(0)
    token = SizeToken(EncoderConfig(size="tiny", size_dropout=0.5), 8).eval()
    found = token(torch.tensor([np.nan, 2.0, 2.02, np.nan, 9.0, 6.0]))
    torch.testing.assert_close(found[0], token.unknown.data)
    torch.testing.assert_close(found[0], found[3])
    torch.testing.assert_close(found[4], found[5])  # clamped
    assert (found[1] - found[0]).abs().max() > 1e-3
    assert (found[1] - found[2]).abs().max() > 1e-3


def test_half_of_the_sizes_is_hidden_in_training_only() -> None:
    torch.manual_seed(0)
    token = SizeToken(EncoderConfig(size="tiny", size_dropout=0.5), 8)
    hidden = (token(torch.full((400,), 2.0)) == token.unknown).all(1).float().mean()
    assert 0.4 < hidden < 0.6
    assert not (token.eval()(torch.full((400,), 2.0)) == token.unknown).all(1).any()


def test_size_reaches_every_entity_of_its_drawing_only() -> None:
    layer = embedding()
    before = layer(batch(code(5), code(6, 1, size=1.0)))
    after = layer(batch(code(5), code(6, 1, size=3.0)))
    torch.testing.assert_close(before[:5], after[:5])
    assert ((before[5:] - after[5:]).abs().amax(1) > 1e-3).all()


def test_classic_absence_is_not_zero() -> None:
    layer, drawing = embedding(ClassicEmbedding), code(30)
    matrix = drawing.classic.matrix
    data = batch(drawing)
    zero = torch.where(data.classic == -1, data.classic, torch.zeros_like(data.classic))
    zero[:, 0] = data.classic[:, 0]
    unused = torch.full_like(data.classic, -1)
    unused[:, 0] = data.classic[:, 0]
    data.classic.copy_(zero)
    with_zeros = layer(data)
    data.classic.copy_(unused)
    assert ((layer(data) - with_zeros).abs().amax(1) > 1e-3).all()
    assert matrix.min() == -1
