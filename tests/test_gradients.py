"""Cached gradients: a batch in chunks, and in processes, gives the gradients of the batch as a whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepdxf.gradients import Chunk, Parts, backward, seed_everything
from deepdxf.objectives.nt_xent import nt_xent

N, D = 12, 5


class Model(nn.Module):
    """Two layers over rows of `X`, and a share of hidden units that is dropped."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 4))

    def represent(self, chunk: Chunk) -> Parts:
        rows = torch.tensor(chunk.views[0])
        return {
            "z/0": self.body(X[0, rows]),
            "z/1": self.body(X[1, rows]),
            "owner": rows.repeat_interleave(2),  # two nodes a drawing
            "nodes": self.body(X[:, rows].transpose(0, 1).flatten(0, 1)),
        }


seed_everything(1)
X = torch.randn(2, N, D)


def loss(parts: Parts) -> Tensor:
    return nt_xent(parts["z/0"], parts["z/1"], temperature=0.2) + (parts["nodes"].mean(1) * parts["owner"]).var()


def chunks(size: int) -> list[Chunk]:
    return [Chunk(k, s, (list(range(s, min(s + size, N))),)) for k, s in enumerate(range(0, N, size))]  # type: ignore[arg-type]


def gradient(model: Model, size: int) -> Tensor:
    model.zero_grad()
    backward(chunks(size), model.represent, loss, model.parameters())
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("size", [1, 5, 6, 12])
def test_chunks_give_the_gradient_of_the_large_batch(size: int) -> None:
    model = Model(dropout=0.0)
    whole = model.represent(chunks(N)[0])
    loss(whole).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(gradient(model, size), expected)


def test_plain_accumulation_would_not() -> None:
    """The oracle can tell: the mean over small batches lacks the negatives between them."""
    model = Model(dropout=0.0)
    for chunk in chunks(4):
        (loss(model.represent(chunk)) / 3).backward()
    accumulated = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert (accumulated - gradient(model, 4)).abs().max() > 1e-2


def test_both_passes_drop_the_same_units() -> None:
    """By finite differences, with the units of each chunk's own seed: an independent second pass would miss them."""
    model = Model(dropout=0.5).double()
    global X
    saved, X = X, X.double()
    try:

        def value() -> float:
            parts = []
            with torch.no_grad():
                for chunk in chunks(5):
                    seed_everything(0, 1 + chunk.number)
                    parts.append(model.represent(chunk))
            return float(loss({name: torch.cat([p[name] for p in parts]) for name in parts[0]}))

        backward(chunks(5), model.represent, loss, model.parameters())
        weight = model.body[0].weight
        for i, j in ((0, 0), (3, 2), (7, 4)):
            with torch.no_grad():
                weight[i, j] += 1e-6
                above = value()
                weight[i, j] -= 2e-6
                below = value()
                weight[i, j] += 1e-6
            assert weight.grad is not None
            assert float(weight.grad[i, j]) == pytest.approx((above - below) / 2e-6, abs=1e-6)
    finally:
        X = saved


def test_seeds_differ_by_every_number() -> None:
    drawn = set()
    for numbers in ((0, 0), (0, 1), (1, 0), (0, 0, 1), (2**40, 7)):
        seed_everything(*numbers)
        drawn.add(float(torch.rand(())))
    assert len(drawn) == 5
