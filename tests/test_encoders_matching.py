"""Matching network against a dense loop; masks, signs, symmetry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepdxf.encoders.matching import Interaction, MatchingNetwork
from deepdxf.encoders.sequence import Encoded
from tests.encoder_cases import batch, code, model


def encoded(*lengths: int, seed: int = 0, scale: float = 1.0) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    nodes = scale * torch.randn(sum(lengths), 8, generator=generator)
    return Encoded(torch.zeros(len(lengths), 1), nodes, torch.repeat_interleave(torch.tensor(lengths)))


def part(whole: Encoded, i: int) -> Encoded:
    nodes = whole.nodes[whole.node_drawing == i]
    return Encoded(torch.zeros(1, 1), nodes, torch.zeros(len(nodes), dtype=torch.int64))


def test_interaction_against_a_loop() -> None:
    torch.manual_seed(0)
    layer = Interaction(8, 5)
    x, y = torch.randn(1, 4, 8), torch.randn(1, 6, 8)
    found = layer(x, torch.ones(1, 4, dtype=torch.bool), y, torch.ones(1, 6, dtype=torch.bool))[0].detach().numpy()
    w, sharpness = layer.weights.detach().numpy(), float(layer.log_sharpness.detach().exp())

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    for i, node in enumerate(x[0].numpy()):
        score = np.array([np.exp(sharpness * cosine(node, other)) for other in y[0].numpy()])
        seen = (score / score.sum()) @ y[0].numpy()
        for k in range(5):
            assert found[i, k] == pytest.approx(cosine(w[k] * node, w[k] * seen), abs=1e-5)


def test_defect_2_negative_cosines_have_positive_shares() -> None:
    """Dividing by a sum of cosines blows up where they are negative."""
    torch.manual_seed(0)
    layer = Interaction(8, 5)
    x = torch.randn(1, 1, 8)
    y = -x + 0.01 * torch.randn(1, 6, 8)  # all cosines are about −1, their sum is far below 0
    mask = torch.ones(1, 6, dtype=torch.bool)
    x.requires_grad_()
    out = layer(x, mask[:, :1], y, mask)
    out.sum().backward()
    assert (out.abs() <= 1.0 + 1e-5).all()
    assert (out < -0.9).all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_pairs_in_a_batch_are_as_alone() -> None:
    torch.manual_seed(0)
    net = MatchingNetwork(8, 5)
    lengths = (5, 1, 9), (2, 7, 1), (4, 4, 6)
    view, other, graph = (encoded(*n, seed=i) for i, n in enumerate(lengths))
    together, scores = net(view, other, graph), net.score(view, graph)
    assert together.shape == (15, 5)
    for i in range(3):
        alone = net(part(view, i), part(other, i), part(graph, i))
        torch.testing.assert_close(together[view.node_drawing == i], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(scores[i], net.score(part(view, i), part(graph, i))[0], atol=1e-5, rtol=0)


def test_both_interactions_matter() -> None:
    torch.manual_seed(0)
    net = MatchingNetwork(8, 5)
    view, other, graph = (encoded(5, 3, seed=i) for i in range(3))
    out = net(view, other, graph)
    assert (net(view, encoded(4, 4, seed=9), graph) - out).abs().max() > 1e-3
    assert (net(view, other, encoded(4, 4, seed=9)) - out).abs().max() > 1e-3


def test_score_is_symmetric_bounded_and_highest_for_the_same() -> None:
    torch.manual_seed(0)
    net = MatchingNetwork(8, 5)
    a, b = encoded(6, 9, 0, 3), encoded(4, 2, 5, 0, seed=1)
    scores = net.score(a, b)
    torch.testing.assert_close(scores, net.score(b, a))
    assert (scores.abs() <= 1.0).all()
    assert scores[2:].tolist() == [0.0, 0.0]  # one of the two is empty
    assert (net.score(a, a)[:2] > scores[:2]).all()


def test_score_does_not_depend_on_the_order_of_nodes() -> None:
    net = MatchingNetwork(8, 5)
    a, b = encoded(6), encoded(4, seed=1)
    shuffled = Encoded(a.vector, a.nodes[torch.randperm(6)], a.node_drawing)
    torch.testing.assert_close(net.score(shuffled, b), net.score(a, b))


def test_extreme_nodes_stay_finite() -> None:
    net = MatchingNetwork(8, 5)
    for scale in (0.0, 1e-20, 1e15):
        assert net.score(encoded(5, scale=scale), encoded(4, seed=1, scale=scale)).isfinite().all()


def test_drawings_of_a_model_match_themselves_best() -> None:
    net = model(matching=True)
    drawings = batch(code(30), code(25, 1), code(40, 2))
    with torch.no_grad():
        nodes = net(drawings)["geometry"]
        others = net(batch(code(25, 1), code(40, 2), code(30)))["geometry"]
        assert net.matching is not None
        assert (net.matching.score(nodes, nodes) > net.matching.score(nodes, others)).all()
