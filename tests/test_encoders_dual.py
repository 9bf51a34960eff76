"""Both encoders together: what is served, heads, gradients, and defects of earlier systems by their number.

The numbers are those of the list of defects in the line of code from CGMN over ContrastCAD to DualDXF; 2 is in
test_encoders_matching.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deepdxf.collate import TENSORS
from deepdxf.drawing import EntityClass
from deepdxf.encoders.layers import LAYERS
from deepdxf.encoders.tokens import EntityEmbedding
from deepdxf.graph import Relation, encode
from deepdxf.sequence import ClassicCode
from deepdxf.vocabulary import N_CLASSIC, RICH_LOW
from tests.drawings import circle, drawing, line
from tests.encoder_cases import USED, batch, code, embed, model, with_rich

CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "set": {"mixer": "set", "layer": "ggnn"},
    "full": {"mixer": "full", "layer": "sage", "share_entities": False},
    "funnel": {"mixer": "funnel", "layer": "gcn", "readout": "jk", "limit": 256},
    "classic": {"vocabulary": "classic", "matching": True},
    "classic funnel": {"vocabulary": "classic", "mixer": "funnel", "limit": 256},
    "class graph": {"graph": "class"},
    "sequence": {"codes": "sequence"},
    "geometry": {"codes": "geometry", "tags": False},
}
configs = pytest.mark.parametrize("settings", CONFIGS.values(), ids=CONFIGS)


def nothing_but_classes(n: int) -> Any:
    """A drawing all of whose values are absent."""
    empty = code(n)
    matrix = empty.classic.matrix.copy()
    matrix[:, 1:] = -1
    graph = replace(empty.entity_graph, place=np.full((n, 2), np.nan, np.float32))
    empty = replace(empty, classic=ClassicCode(matrix, 0), entity_graph=graph)
    return with_rich(empty, values=np.full_like(empty.rich.values, np.nan), size=np.nan)


# --- what is served --------------------------------------------------------------------------------------------------


@configs
def test_vectors_are_of_unit_length_and_empty_drawings_zero(settings: dict[str, Any]) -> None:
    vectors = embed(model(**settings), code(30), code(0), code(1), nothing_but_classes(5), code(100, 1))
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]), atol=1e-5, rtol=0)
    assert embed(model(**settings), code(0)).eq(0).all()
    assert embed(model(**settings), code(0), code(0)).eq(0).all()


@configs
def test_gradients_reach_every_parameter_and_are_finite(settings: dict[str, Any]) -> None:
    net = model(**settings, size_dropout=0.5).train()
    torch.manual_seed(0)
    drawings = [code(130, 1), code(200, 2, blocks=6), code(0), code(1), nothing_but_classes(3), code(20, size=np.nan)]
    loss = torch.zeros(())
    encoded = net(batch(*drawings))
    for name, part in encoded.items():
        for on in ("within", "across"):
            loss = loss + net.project(part, f"{name}_{on}").sin().sum()
    if net.matching is not None:
        nodes = encoded["geometry"]
        loss = loss + net.heads["geometry_nodes"](net.matching(nodes, nodes, nodes)).sin().sum()
    loss.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-9, name


def test_scores_are_the_weighted_mean_of_the_codes() -> None:
    net = model(sequence_weight=0.3)
    a, b = embed(net, code(30), code(40, 1))
    with torch.no_grad():
        vectors = {name: part.vector for name, part in net(batch(code(30), code(40, 1))).items()}
    cosine = {name: torch.cosine_similarity(*vector, dim=0) for name, vector in vectors.items()}
    torch.testing.assert_close(a @ b, 0.3 * cosine["sequence"] + 0.7 * cosine["geometry"])
    for name, share in (("sequence", 0.3), ("geometry", 0.7)):
        part = net.slices[name]
        torch.testing.assert_close(a[part] @ b[part], share * cosine[name])
        assert a[part].shape == vectors[name][0].shape


@configs
def test_widths_are_as_said(settings: dict[str, Any]) -> None:
    net = model(**settings)
    encoded = net(batch(code(10)))
    assert sorted(encoded) == sorted(net.slices)
    for name, part in encoded.items():
        for on in ("within", "across"):
            expected = net.heads_width(on if on == "across" else name)
            assert net.project(part, f"{name}_{on}").shape == (1, expected)
        assert part.nodes.shape[1] == net.nodes_width(name)


@configs
def test_branches_hold_every_parameter_once(settings: dict[str, Any]) -> None:
    net = model(**settings)
    found = [id(parameter) for group in net.branches().values() for parameter in group]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in net.parameters()}
    assert ("shared" in net.branches()) == net.shares_entities


def test_one_entity_embedding_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = EntityEmbedding.forward
    monkeypatch.setattr(EntityEmbedding, "forward", lambda self, data: calls.append(1) or forward(self, data))
    embed(model(), code(9))
    assert len(calls) == 1
    embed(model(share_entities=False), code(9))
    assert len(calls) == 3


def test_mixed_precision_is_finite() -> None:
    for settings in CONFIGS.values():
        net = model(**settings)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = net.embed(batch(code(30), code(0), nothing_but_classes(4)))
        assert vectors.dtype == torch.float32
        assert vectors.isfinite().all()
        assert (vectors[0] @ embed(net, code(30))[0]) > 0.99


# --- defects ---------------------------------------------------------------------------------------------------------


@configs
def test_defect_1_encoding_does_not_change_its_input(settings: dict[str, Any]) -> None:
    data, untouched = batch(code(40), code(7, 1)), batch(code(40), code(7, 1))
    net = model(**settings, order_dropout=0.5, size_dropout=0.5).train()
    net(data)
    net(data)
    for name in TENSORS:
        torch.testing.assert_close(getattr(data, name), getattr(untouched, name), equal_nan=True, atol=0, rtol=0)


@configs
def test_defect_3_no_node_is_padding(settings: dict[str, Any]) -> None:
    lengths = [100, 3, 0, 16]
    net = model(**settings)
    for encoded in net(batch(*map(code, lengths))).values():
        number = torch.bincount(encoded.node_drawing, minlength=4)
        assert (number <= torch.tensor(lengths)).all()
        assert (number > 0).tolist() == [True, True, False, True]
        # constant rows, which padding makes, would be equal to each other
        assert len(torch.unique(encoded.nodes.round(decimals=4), dim=0)) == len(encoded.nodes)


@pytest.mark.parametrize("mixer", ["set", "patch", "full", "funnel"])
def test_defects_4_and_7_padding_takes_no_part(mixer: str) -> None:
    """The vector of a drawing is the same beside one twenty times as long, to which it is padded."""
    net = model(mixer=mixer)
    alone = embed(net, code(20))
    torch.testing.assert_close(embed(net, code(20), code(32, 1), code(400, 2))[:1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mixer", ["set", "patch"])
def test_defect_7_length_is_not_leaked(mixer: str) -> None:
    """The same row over and over says the same, 16 times or 160 times."""
    net = model(mixer=mixer, codes="sequence")
    one = code(1)
    vectors = []
    for n in (16, 160):
        rich = {name: np.repeat(getattr(one.rich, name), n, axis=0) for name in ("cls", "tags", "values", "row")}
        vectors.append(net.sequence(batch(replace(code(n), rich=replace(one.rich, **rich)))).vector)
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_defect_5_only_neighbours_speak_and_edges_have_gradients(layer: str) -> None:
    net = model(layer=layer, graph_layers=1, codes="geometry")
    chain = code(6)
    edges = np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]], np.int32)
    graph = replace(
        chain.entity_graph, edges=edges, relation=np.zeros(5, np.uint8), features=np.ones((5, 5), np.float32)
    )
    chain = replace(chain, entity_graph=graph)
    other = with_rich(chain, values=np.where(np.arange(6)[:, None] == 5, chain.rich.values * 0.5, chain.rich.values))
    with torch.no_grad():
        before, after = net(batch(chain))["geometry"].nodes, net(batch(other))["geometry"].nodes
    assert ((before - after).abs().amax(1) > 1e-6).tolist() == [False] * 4 + [True] * 2
    data = batch(chain)
    data.edge_values.requires_grad_()
    net(data)["geometry"].vector.sin().sum().backward()
    assert data.edge_values.grad is not None
    assert (data.edge_values.grad.abs().amax(1) > 0).all()


@pytest.mark.parametrize("code_name", ["sequence", "geometry"])
def test_defect_6_absent_is_not_zero(code_name: str) -> None:
    """Neither the number 0 nor the lowest number of a column is the same as no number."""
    net, base = model(codes=code_name), code(11)
    with_values = np.where(USED[base.rich.cls], 0.0, np.nan).astype(np.float32)
    lowest = np.where(USED[base.rich.cls], RICH_LOW[base.rich.cls], np.nan).astype(np.float32)
    absent = np.full_like(with_values, np.nan)
    vectors = embed(net, *(with_rich(base, values=values) for values in (with_values, lowest, absent)))
    assert (vectors[0] - vectors[2]).abs().max() > 1e-3
    assert (vectors[1] - vectors[2]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["sequence", "geometry"])
def test_defect_8_the_longer_vector_does_not_decide(name: str) -> None:
    net = model(readout="jk")
    before = embed(net, code(30), code(40, 1))
    with torch.no_grad():
        pool = net.sequence.pool if name == "sequence" else net.geometry.sheet_readout.pool  # type: ignore[union-attr]
        pool.out.weight *= 1000.0  # type: ignore[union-attr,operator]
        pool.out.bias *= 1000.0  # type: ignore[union-attr,operator]
    torch.testing.assert_close(embed(net, code(30), code(40, 1)), before, atol=1e-5, rtol=0)


@configs
def test_defect_9_what_is_trained_is_served(settings: dict[str, Any]) -> None:
    """Heads read `Encoded.vector`, and the served vector is nothing but those."""
    net = model(**settings)
    data = batch(code(30), code(40, 1))
    with torch.no_grad():
        encoded, served = net(data), net.embed(data)
    seen = []
    for name, part in encoded.items():
        net.heads[f"{name}_within"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        net.project(part, f"{name}_within")
        expected = torch.nn.functional.normalize(seen[-1], dim=1) / len(encoded) ** 0.5
        torch.testing.assert_close(served[:, net.slices[name]], expected, atol=1e-6, rtol=0)


def test_defect_12_boxes_are_of_the_whole_entity() -> None:
    """A half circle reaches its top, where the line is, though both of its ends lie at its foot."""
    arc = (EntityClass.ARC, [(0.0, 0.0)], {"radius": 10.0, "start": 0.0, "end": 180.0})
    data = batch(encode(drawing(arc, line(-1.0, 9.0, 1.0, 11.0), line(-50.0, -50.0, 50.0, -50.0)), "half"))
    pairs = {
        (a, b) for (a, b), r in zip(data.edge.T.tolist(), data.relation.tolist(), strict=True) if r == Relation.OVERLAP
    }
    assert pairs == {(0, 1)}


def test_defect_15_views_are_not_made_by_dropout() -> None:
    """Without dropout a model in training is a function: nothing differs between two calls but what views change."""
    net = model().train()
    data = batch(code(40), code(7, 1))
    for name, encoded in net(data).items():
        torch.testing.assert_close(net(data)[name].vector, encoded.vector, atol=0, rtol=0)


@pytest.mark.parametrize("mixer", ["set", "patch", "full", "funnel"])
def test_defect_15_splines_are_seen_and_rows_of_padding_are_not(mixer: str) -> None:
    net, base = model(vocabulary="classic", mixer=mixer, codes="sequence"), code(30)
    matrix = base.classic.matrix
    spline = np.flatnonzero(matrix[:, 0] == EntityClass.SPLINE)
    assert len(spline)
    other = matrix.copy()
    other[spline, 1:] = np.where(other[spline, 1:] >= 0, (other[spline, 1:] + 100) % 256, -1)
    eos = np.full((12, 1 + N_CLASSIC), -1, np.int16)
    eos[:, 0] = EntityClass.EOS
    vectors = embed(
        net,
        base,
        replace(base, classic=ClassicCode(other, 0)),
        replace(base, classic=ClassicCode(np.vstack([matrix, eos]), 0)),
    )
    assert (vectors[0] - vectors[1]).abs().max() > 1e-4
    torch.testing.assert_close(vectors[0], vectors[2], atol=1e-6, rtol=0)


def test_real_drawings_go_through() -> None:
    sheets = [drawing(circle(0, 0, 5), line(0, 0, 9, 9)), drawing(), drawing(line(3, 3, 3, 3))]
    vectors = embed(model(), *(encode(sheet, str(i)) for i, sheet in enumerate(sheets)))
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 0.0, 1.0]), atol=1e-5, rtol=0)
