"""Batches by length, pairs within a batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.errors import DeepDXFError
from deepdxf.sampler import buckets, pairs

counts = st.lists(st.integers(0, 500), max_size=80).map(lambda x: np.array(x, np.int64))


@settings(max_examples=200)
@given(counts, st.integers(1, 2000), st.integers(2, 20), st.integers(0, 99), st.integers(0, 9), st.booleans())
def test_every_drawing_once_within_the_budget(
    lengths: np.ndarray, budget: int, batch: int, seed: int, epoch: int, even: bool
) -> None:
    made = buckets(lengths, budget, batch, seed, epoch, even=even)
    assert sorted(np.concatenate([*made, np.zeros(0, np.int64)]).tolist()) == list(range(len(lengths)))
    for rows in made:
        assert 1 <= len(rows) <= batch
        assert lengths[rows].sum() <= budget or len(rows) == (1 if not even else min(2, len(rows)))
    if even:
        assert sum(len(rows) % 2 for rows in made) == len(lengths) % 2
    again = buckets(lengths, budget, batch, seed, epoch, even=even)
    assert [rows.tolist() for rows in made] == [rows.tolist() for rows in again]


def test_batches_are_full_where_the_budget_allows() -> None:
    made = buckets(np.full(103, 10), 10_000, 25, 0, 0)
    assert sorted(map(len, made)) == [3, 25, 25, 25, 25]
    made = buckets(np.full(103, 10), 200, 25, 0, 0)
    assert sorted(map(len, made)) == [3, 20, 20, 20, 20, 20]


def test_lengths_of_a_batch_are_alike_and_epochs_are_not() -> None:
    lengths = (10 ** np.random.default_rng(0).uniform(0.5, 3.5, 3000)).astype(np.int64)
    epochs = [buckets(lengths, 1 << 40, 32, 5, epoch) for epoch in range(2)]
    for made in epochs:
        spread = [np.log2((lengths[rows].max() + 1) / (lengths[rows].min() + 1)) for rows in made]
        assert np.median(spread) < 1.3
        means = [lengths[rows].mean() for rows in made]
        assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3  # not from short to long
    together = [{(a, b) for rows in made for a in rows for b in rows if a < b} for made in epochs]
    assert len(together[0] & together[1]) < 0.2 * len(together[0])


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_each_drawing_of_a_batch_is_in_one_pair(n: int, seed: int) -> None:
    batch = np.arange(100, 100 + n)
    made = pairs(batch, np.random.default_rng(seed))
    assert made.shape == (n // 2, 2)
    assert len(set(made.ravel().tolist())) == 2 * (n // 2) and set(made.ravel().tolist()) <= set(batch.tolist())


@pytest.mark.parametrize(("budget", "batch", "even"), [(0, 4, False), (100, 0, False), (100, 1, True)])
def test_impossible_batches(budget: int, batch: int, even: bool) -> None:
    with pytest.raises(DeepDXFError, match="no batches"):
        buckets(np.ones(4, np.int64), budget, batch, 0, 0, even=even)
