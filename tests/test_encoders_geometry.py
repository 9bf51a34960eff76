"""Geometry encoder: layers against dense NumPy, order of nodes, blocks, class graph, codebook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deepdxf.encoders.geometry import BlockReadout, Codebook
from deepdxf.encoders.layers import LAYERS, MessagePassing
from deepdxf.graph import Relation
from tests.encoder_cases import batch, code, embed, model, permuted

DRAWINGS = [code(60, blocks=5), code(0), code(1), code(25, 2, blocks=1), code(12, 3)]


def encoder(**settings: Any) -> Any:
    return model(codes="geometry", **settings)


# --- layers ----------------------------------------------------------------------------------------------------------


def weights(module: torch.nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    return {name: parameter.detach().numpy().astype(float) for name, parameter in module.named_parameters()}


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def dense(name: str, layer: torch.nn.Module, x: Any, adjacency: Any, features: Any) -> Any:
    """The layer as a loop over nodes; adjacency[u][v] counts edges u -> v, features[u, v] are summed over them."""
    w = weights(layer)
    n = len(x)
    out = []
    degree = adjacency.sum(0)
    for v in range(n):
        arriving = [(u, f) for u in range(n) for f in features.get((u, v), [])]
        r = [f @ w["edge.weight"].T + w["edge.bias"] for _, f in arriving]
        u = [u for u, _ in arriving]
        if name == "ggnn":
            m = sum((x[a] @ w["message.weight"].T + b for a, b in zip(u, r, strict=True)), np.zeros(x.shape[1]))
            mi, hi = m @ w["input.weight"].T + w["input.bias"], x[v] @ w["state.weight"].T + w["state.bias"]
            d = x.shape[1]
            reset, update = sigmoid(mi[:d] + hi[:d]), sigmoid(mi[d : 2 * d] + hi[d : 2 * d])
            new = np.tanh(mi[2 * d :] + reset * hi[2 * d :])
            out.append((1 - update) * new + update * x[v])
        elif name == "gcn":
            s = sum(((x[a] + b) / np.sqrt((1 + degree[a]) * (1 + degree[v])) for a, b in zip(u, r, strict=True)), 0.0)
            out.append((s + x[v] / (1 + degree[v])) @ w["out.weight"].T + w["out.bias"])
        elif name == "sage":
            mean = np.mean([x[a] + b for a, b in zip(u, r, strict=True)], axis=0) if u else np.zeros(x.shape[1])
            out.append(x[v] @ w["own.weight"].T + w["own.bias"] + mean @ w["neighbours.weight"].T)
        else:
            s = sum((np.maximum(x[a] + b, 0) for a, b in zip(u, r, strict=True)), np.zeros(x.shape[1]))
            y = ((1 + w["epsilon"]) * x[v] + s) @ w["mlp.0.weight"].T + w["mlp.0.bias"]
            y = (y - y.mean()) / np.sqrt(y.var() + 1e-5) * w["mlp.1.weight"] + w["mlp.1.bias"]
            out.append(np.maximum(y, 0) @ w["mlp.3.weight"].T + w["mlp.3.bias"])
    return np.array(out)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_layers_against_a_dense_loop(name: str) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layer = LAYERS[name](6, 3)
    if name == "gin":
        torch.nn.init.constant_(layer.epsilon, 0.3)
    n, e = 9, 30  # node 8 has no edge; some pairs have two
    x, edge, features = rng.standard_normal((n, 6)), rng.integers(0, 8, (2, e)), rng.standard_normal((e, 3))
    adjacency, by_pair = np.zeros((n, n)), {}
    for (u, v), f in zip(edge.T, features, strict=True):
        adjacency[u, v] += 1
        by_pair.setdefault((u, v), []).append(f)
    found = layer(torch.from_numpy(x).float(), torch.from_numpy(edge), torch.from_numpy(features).float())
    np.testing.assert_allclose(found.detach(), dense(name, layer, x, adjacency, by_pair), atol=1e-5)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layer_on_a_graph_without_edges_is_finite(name: str) -> None:
    layer = MessagePassing(name, 6, 3, 0.0)
    for n in (0, 1, 4):
        out = layer(torch.randn(n, 6), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, 3))
        assert out.shape == (n, 6)
        assert out.isfinite().all()


# --- whole encoder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", ["entity", "class"])
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_a_drawing_alone_and_in_a_batch_are_the_same(layer: str, graph: str) -> None:
    net = encoder(layer=layer, graph=graph)
    together = embed(net, *DRAWINGS)
    order = [3, 1, 4, 0, 2]
    torch.testing.assert_close(embed(net, *(DRAWINGS[i] for i in order)), together[order], atol=1e-5, rtol=0)
    for drawing, vector in zip(DRAWINGS, together, strict=True):
        torch.testing.assert_close(embed(net, drawing)[0], vector, atol=1e-5, rtol=0)


@pytest.mark.parametrize("readout", ["jk", "codebook"])
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_the_order_of_nodes_and_edges_does_not_matter(layer: str, readout: str) -> None:
    net, drawing = encoder(layer=layer, readout=readout), code(40, 7, blocks=3)
    rng = np.random.default_rng(0)
    shuffled = permuted(drawing, rng.permutation(40))
    graph = shuffled.entity_graph
    by = rng.permutation(graph.edges.shape[1])
    graph = replace(graph, edges=graph.edges[:, by], relation=graph.relation[by], features=graph.features[by])
    shuffled = replace(shuffled, entity_graph=graph)
    torch.testing.assert_close(embed(net, shuffled), embed(net, drawing), atol=1e-5, rtol=0)


def changed(net: Any, drawing: Any, part: str, **columns: Any) -> bool:
    """Whether another column of a code's part changes the vector."""
    other = replace(drawing, **{part: replace(getattr(drawing, part), **columns)})
    return bool((embed(net, other) - embed(net, drawing)).abs().max() > 1e-4)


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_everything_of_the_graph_is_read(layer: str) -> None:
    net, drawing = encoder(layer=layer, readout="jk"), code(20, 1, blocks=2)
    graph = drawing.entity_graph
    assert changed(net, drawing, "entity_graph", place=graph.place[::-1].copy())
    assert changed(
        net, drawing, "entity_graph", edges=graph.edges[:, :5], relation=graph.relation[:5], features=graph.features[:5]
    )
    assert changed(net, drawing, "entity_graph", relation=(graph.relation + 1) % len(Relation))
    assert changed(net, drawing, "entity_graph", features=-graph.features)
    assert changed(net, drawing, "blocks", box=drawing.blocks.box + 0.3)
    assert changed(net, drawing, "blocks", label=1 - drawing.blocks.label)
    assert not changed(net, drawing, "class_graph", matrix=-drawing.class_graph.matrix)


def test_who_contains_whom_matters() -> None:
    net, drawing = encoder(readout="jk"), code(2, 1, blocks=1)
    graph = replace(
        drawing.entity_graph,
        edges=np.array([[0], [1]], np.int32),
        relation=np.array([Relation.CONTAIN], np.uint8),
        features=np.zeros((1, 5), np.float32),
    )
    drawing = replace(drawing, entity_graph=graph)
    assert changed(net, drawing, "entity_graph", edges=np.array([[1], [0]], np.int32))


def test_an_edge_read_backwards_has_the_features_of_the_way_back() -> None:
    """An edge from a to b: b gets from a what a would get from b if features were measured the other way round."""
    nodes, drawing = encoder().geometry.nodes, code(2, 1, blocks=1)
    forth = np.array([[0.1, -0.2, 0.5, 0.6, 0.7]], np.float32)
    graph = replace(drawing.entity_graph, edges=np.array([[0], [1]], np.int32), relation=np.array([2], np.uint8))
    found = nodes(batch(replace(drawing, entity_graph=replace(graph, features=forth))), None)
    assert found.edge.tolist() == [[0, 1], [1, 0]]
    np.testing.assert_allclose(found.features[0, 10:].detach(), forth[0])
    np.testing.assert_allclose(found.features[1, 10:].detach(), [-0.1, 0.2, -0.5, 0.6, -0.7], atol=1e-7)
    assert found.features[:, :10].argmax(1).tolist() == [2, 7]


def test_hidden_places_are_absent() -> None:
    net, drawing = encoder(), code(10)
    hidden = replace(drawing.entity_graph, place=np.full((10, 2), np.nan, np.float32))
    vector = embed(net, replace(drawing, entity_graph=hidden))
    assert vector.isfinite().all()
    zero = replace(drawing.entity_graph, place=np.zeros((10, 2), np.float32))
    assert (vector - embed(net, replace(drawing, entity_graph=zero))).abs().max() > 1e-4


def test_block_readout_against_a_loop() -> None:
    torch.manual_seed(0)
    readout = BlockReadout(4, 2)
    levels = [torch.randn(7, 4), torch.randn(7, 4)]
    block = torch.tensor([0, 2, 2, 0, 3, 3, 3])
    expected = []
    for i in range(4):
        parts = []
        for norm, level in zip(readout.norms, levels, strict=True):
            x = norm(level)[block == i]
            parts += [x.mean(0), x.amax(0), x.relu().sum(0).log1p()] if len(x) else [torch.zeros(12)]
        expected.append(readout.out(torch.cat(parts)).relu())
    torch.testing.assert_close(readout(levels, block, 4), torch.stack(expected), atol=1e-5, rtol=1e-5)


# --- class graph -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adjacency", ["successor", "overlap"])
def test_class_graph_reads_its_matrix_and_one_adjacency(adjacency: str) -> None:
    net, drawing = encoder(graph="class", adjacency=adjacency), code(30)
    graph = drawing.class_graph
    matrix = graph.matrix.copy()
    matrix[0, 3] += 0.2
    assert changed(net, drawing, "class_graph", matrix=matrix)
    none = np.zeros((10, 10), np.uint8)
    assert changed(net, drawing, "class_graph", **{adjacency: none})
    assert not changed(net, drawing, "class_graph", **{"overlap" if adjacency == "successor" else "successor": none})
    assert not changed(net, drawing, "blocks", box=drawing.blocks.box + 0.3)


def test_class_graph_missing_is_not_zero_and_has_no_node() -> None:
    net, drawing = encoder(graph="class"), code(30)
    matrix = drawing.class_graph.matrix.copy()
    matrix[4], matrix[:, 5] = -1.0, -1.0
    missing = replace(drawing, class_graph=replace(drawing.class_graph, matrix=matrix))
    zero = replace(drawing, class_graph=replace(drawing.class_graph, matrix=np.maximum(matrix, 0.0)))
    assert (embed(net, missing) - embed(net, zero)).abs().max() > 1e-4
    known = int((drawing.class_graph.matrix[:, 0] >= 0).sum())
    with torch.no_grad():
        assert len(net.geometry(batch(missing)).nodes) == known - 1


# --- codebook --------------------------------------------------------------------------------------------------------


def test_codebook_against_a_loop() -> None:
    torch.manual_seed(0)
    book = Codebook(6, 5, 20.0)
    torch.nn.init.uniform_(book.rarity, -1, 1)
    book.centre.copy_(torch.randn(6))
    nodes, drawing = torch.randn(8, 6), torch.tensor([0, 0, 0, 2, 2, 2, 2, 2])
    counts = np.zeros((3, 5))
    for x, owner in zip(nodes.numpy(), drawing.tolist(), strict=True):
        y = (x - x.mean()) / np.sqrt(x.var() + 1e-5) - book.centre.numpy()
        words = book.words.detach().numpy()
        cosine = words @ y / np.linalg.norm(words, axis=1) / np.linalg.norm(y)
        share = np.exp(20.0 * (cosine - cosine.max()))
        counts[owner] += share / share.sum()
    bags = np.log1p(counts) * np.log1p(np.exp(book.rarity.detach().numpy()))
    bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), 1e-6)
    np.testing.assert_allclose(book(nodes, drawing, 3).detach(), bags, atol=1e-5)
    assert not bags[1].any()


def test_codebook_keeps_rare_entities_that_a_mean_forgets() -> None:
    """200 plain entities, and one odd one in each of two drawings, not the same."""
    torch.manual_seed(0)
    kinds = torch.randn(3, 16)
    book = Codebook(16, 6, 20.0)
    plain = kinds[:1] + 0.01 * torch.randn(200, 16)
    nodes = torch.cat([plain, kinds[1:2], plain, kinds[2:3]])
    drawing = torch.arange(2).repeat_interleave(201)
    book.start_from(nodes, drawing, torch.Generator().manual_seed(0))
    bags = book(nodes, drawing, 2)
    means = torch.stack([nodes[drawing == i].mean(0) for i in (0, 1)])
    assert torch.cosine_similarity(means[0], means[1], dim=0) > 0.999
    assert bags[0] @ bags[1] < 0.9


def test_codewords_start_far_from_each_other() -> None:
    torch.manual_seed(0)
    kinds = torch.nn.functional.layer_norm(torch.randn(4, 16), (16,))
    number = torch.cat([torch.zeros(300), torch.ones(300), torch.full((300,), 2.0), torch.full((5,), 3.0)]).long()
    book = Codebook(16, 8, 20.0)
    book.start_from(
        kinds[number] + 0.01 * torch.randn(905, 16), torch.arange(905) % 50, torch.Generator().manual_seed(0)
    )
    nearest = (
        torch.nn.functional.normalize(kinds - book.centre, dim=1) @ torch.nn.functional.normalize(book.words, dim=1).T
    )
    assert (nearest.amax(1) > 0.98).all()
    assert book.rarity.isfinite().all()


def test_start_codebooks_changes_the_codebooks_only() -> None:
    net = encoder()
    before = {name: parameter.clone() for name, parameter in net.state_dict().items()}
    net.train()
    net.geometry.start_codebooks([batch(code(80), code(0)), batch(code(90, 1))], torch.Generator().manual_seed(0))
    assert net.training
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.rsplit(".", 1)[1] for name in changed} == {"words", "rarity", "centre"}
    assert all(name.startswith("geometry.codebooks") for name in changed)
    assert embed(net.eval(), code(20)).isfinite().all()
