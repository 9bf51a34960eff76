"""The learner: every objective of the zoo gets what it asks for, of views that tell whether it was the right thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawings import circle, drawing, line, polyline

from deepdxf import config as configuration
from deepdxf import objectives
from deepdxf.collate import Batch, collate
from deepdxf.config import TermConfig, TrainConfig
from deepdxf.drawing import Drawing
from deepdxf.encoders.dual import DualEncoder
from deepdxf.gradients import Chunk, backward, seed_everything
from deepdxf.graph import encode
from deepdxf.learner import Facts, Learner, next_drawing, sides_of
from deepdxf.masking import Decoder, hide, next_of_class

B = 6
FACTS = Facts(torch.arange(B), torch.arange(B), torch.arange(B) // 2, torch.eye(B, dtype=torch.bool), 3, 10)
SETTINGS = {
    "encoder.size": "tiny", "encoder.dropout": 0.0, "encoder.order_dropout": 0.0, "encoder.size_dropout": 0.0,
    "encoder.head_across": 48, "encoder.head_within": 24,
}  # fmt: skip


def shape(number: int, nudge: float = 0.0) -> Drawing:
    rows = [line(0, 0, 10 + number, 5), circle(number + nudge, 3, 2), circle(8, number + nudge, 1)]
    return drawing(*rows, polyline([(0, 0), (9, 0), (9, number + 3), (0, 7)]), line(1, 2, 3, 4 + nudge))


def settings(term: TermConfig, **overrides: object) -> TrainConfig:
    base = configuration.varied(configuration.load("tiny"), SETTINGS | overrides)  # type: ignore[arg-type]
    return replace(base, terms={"x": term}, temperature=None)


def batch(rows: range, nudge: float = 0.0) -> Batch:
    return collate([encode(shape(i, nudge), str(i)) for i in rows])


def chunks(views: int) -> list[Chunk]:
    """Two chunks of three drawings, and views of them that differ a little."""
    parts = [range(3), range(3, 6)]
    return [Chunk(k, r.start, tuple(batch(r, v / 10) for v in range(views))) for k, r in enumerate(parts)]


def cases() -> list[tuple[str, str]]:
    found = []
    for name, entry in objectives.OBJECTIVES.items():
        if entry.level != "vector":
            found += [(name, "geometry"), (name, "sequence")]
        else:
            found += [(name, "across")] if "codes" in entry.needs else [(name, "sequence"), (name, "across")]
    return found


@pytest.mark.parametrize("name, codes", cases())
def test_every_objective_trains_the_encoders(name: str, codes: str) -> None:
    config = settings(TermConfig(name, codes), **{"encoder.mixer": "set"})  # type: ignore[arg-type]
    seed_everything(1)
    model = DualEncoder(config.encoder)
    teacher = DualEncoder(config.encoder) if "teacher" in objectives.find(name).needs else None
    learner = Learner(model, config, 20, teacher).train()
    value = 0.0

    def loss(parts: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal value
        losses = learner.losses(parts, FACTS)
        value = float(losses["x"].detach())
        return learner.total(losses, parts, FACTS)

    for _ in range(2):  # a queue is empty at first
        learner.zero_grad()
        backward(chunks(2), learner.represent, loss, learner.encoder_parameters())
        learner.follow(3, 10)
    assert np.isfinite(value) and value >= 0
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert max(float(g.abs().max()) for g in gradients) > 0
    if teacher is not None:
        assert all(p.grad is None for p in teacher.parameters())
    listed = [p for branch in learner.branches().values() for p in branch]
    assert len({id(p) for p in listed}) == len(listed)  # each parameter once
    assert {id(p) for p in listed if p.requires_grad} == {id(p) for p in learner.parameters() if p.requires_grad}


def test_losses_in_evaluation_leave_the_state_alone() -> None:
    terms = {
        "q": TermConfig("moco-v2", "sequence"),
        "c": TermConfig("clip", "across"),
        "d": TermConfig("dino", "geometry"),
    }
    config = replace(settings(TermConfig()), terms=terms)
    learner = Learner(DualEncoder(config.encoder), config, 20).eval()
    before = {key: value.clone() for key, value in learner.state_dict().items() if isinstance(value, torch.Tensor)}
    with torch.no_grad():
        passes = [learner.represent(chunk) for chunk in chunks(2)]
        learner.losses({key: torch.cat([p[key] for p in passes]) for key in passes[0]}, FACTS)
    after = learner.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_views_become_sides() -> None:
    """Four views of three drawings; row i of view v holds 10 v + i."""
    parts = {
        f"{head}/{v}": (torch.arange(3) + 10 * v + add)[:, None].float()
        for v in range(4)
        for head, add in (("sequence_within", 0), ("geometry_across", 100), ("sequence_across", 200))
    }

    def numbers(tensor: torch.Tensor) -> list[int]:
        return tensor[:, 0].int().tolist()

    within, across = TermConfig("nt-xent", "sequence"), TermConfig("clip", "across")
    sides = sides_of(parts, within, keep_more=True)
    assert (numbers(sides["z_a"]), numbers(sides["z_b"])) == ([0, 1, 2], [10, 11, 12])
    assert [numbers(view) for view in sides["more"]] == [[20, 21, 22], [30, 31, 32]]
    sides = sides_of(parts, within, keep_more=False)
    assert numbers(sides["z_a"]) == [0, 1, 2, 20, 21, 22] and numbers(sides["z_b"]) == [10, 11, 12, 30, 31, 32]
    sides = sides_of(parts, across, keep_more=False)
    assert numbers(sides["z_a"])[:6] == [100, 101, 102, 110, 111, 112]  # geometry
    assert numbers(sides["z_b"])[:6] == [200, 201, 202, 210, 211, 212]  # sequence of the same views


def test_views_of_one_drawing_are_no_negatives_across_the_codes() -> None:
    """Both views of drawing i are the same everywhere: were they negatives, the loss could not be near 0."""
    config = settings(TermConfig("cross-code", "across", temperature=0.01))
    learner = Learner(DualEncoder(config.encoder), config, B)
    points = torch.eye(B)
    parts = {f"{code}_across/{view}": points for code in ("geometry", "sequence") for view in range(2)}
    assert float(learner.losses(parts, FACTS)["x"]) < 1e-6
    same = FACTS.same.clone()
    same[0, 1] = same[1, 0] = True
    parts = {name: points[[0, 0, 2, 3, 4, 5]] for name in parts}  # drawings 0 and 1 look the same
    assert float(learner.losses(parts, FACTS)["x"]) > 0.1
    assert float(learner.losses(parts, replace(FACTS, same=same))["x"]) < 1e-6


@pytest.mark.parametrize("name, taken", [("cmc", True), ("nt-xent", True), ("clip", False)])
def test_a_third_code_is_one_more_view_for_objectives_that_take_more_than_two(name: str, taken: bool) -> None:
    config = settings(TermConfig(name, "across"), **{"encoder.pixels": 64})
    seed_everything(1)
    learner = Learner(DualEncoder(config.encoder), config, 20)
    with_raster = [collate([encode(shape(i, v / 10), str(i), pixels=64) for i in range(B)]) for v in range(2)]
    parts = learner.represent(Chunk(0, 0, tuple(with_raster)))
    assert ("raster_across/0" in parts) == taken
    value = learner.losses(parts, FACTS)["x"]
    value.backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in learner.model.raster.parameters()) == taken
    if name == "nt-xent":  # the loss of three views, each of both views of a drawing
        z = [torch.cat([parts[f"{code}_across/{v}"] for v in range(2)]) for code in ("geometry", "sequence", "raster")]
        loss = objectives.build(name, width=48)
        torch.testing.assert_close(value, loss(z_a=z[0], z_b=z[1], more=z[2:], same=FACTS.same.repeat(2, 2)))
    if name == "cmc":
        assert len(learner.objectives["x"].nce) == 3  # a bank for each code


def test_temperature_of_the_run_reaches_terms_that_have_one() -> None:
    terms = {"a": TermConfig("nt-xent", "sequence"), "b": TermConfig("nt-xent", "sequence", temperature=0.5)}
    terms["c"] = TermConfig("variance", "sequence")
    parts = chunks(2)

    def values(temperature: float) -> dict[str, float]:
        config = replace(settings(TermConfig()), terms=terms, temperature=temperature)
        seed_everything(1)
        learner = Learner(DualEncoder(config.encoder), config, B).eval()
        with torch.no_grad():
            passes = [learner.represent(chunk) for chunk in parts]
            losses = learner.losses({key: torch.cat([p[key] for p in passes]) for key in passes[0]}, FACTS)
        return {name: float(value) for name, value in losses.items()}

    low, high = values(0.07), values(0.5)
    assert low["a"] != high["a"] == high["b"] == low["b"]
    assert low["c"] == high["c"]


# --- hidden entities -------------------------------------------------------------------------------------------------


def test_hidden_rows_lose_values_and_place_and_nothing_else() -> None:
    whole = batch(range(B))
    seed_everything(5)
    hidden = hide(whole, 0.5)
    rows = hidden.hidden
    assert 0.3 < float(rows.float().mean()) < 0.7
    for name in ("cls", "tags", "edge", "relation", "drawing", "block", "size", "classic"):
        assert torch.equal(getattr(hidden.batch, name).nan_to_num(), getattr(whole, name).nan_to_num())
    assert torch.equal(hidden.batch.values[~rows].nan_to_num(-9), whole.values[~rows].nan_to_num(-9))
    assert hidden.batch.place[rows].isnan().all() and not hidden.batch.place[~rows].isnan().any()
    assert not hidden.batch.place.isnan()[~rows].any()
    blank = hidden.batch.values.isnan().all(1)
    assert blank.any() and not (blank & ~rows).any()
    assert torch.equal(hidden.batch.class_matrix[:, :, 0], whole.class_matrix[:, :, 0])
    assert torch.equal(hidden.batch.class_successor, hidden.batch.class_successor.mT)
    assert (hidden.batch.class_successor <= whole.class_successor).all()
    assert not hide(whole, 0.0).hidden.any() and hide(whole, 1.0).hidden.all()


def test_another_row_of_the_class() -> None:
    cls = torch.tensor([3, 1, 3, 2, 1, 3, 1, 1])
    for seed in range(20):
        seed_everything(seed)
        other = next_of_class(cls)
        assert torch.equal(cls[other], cls) and sorted(other.tolist()) == list(range(8))
        assert [i for i in range(8) if int(other[i]) == i] == [3]


def test_decoder_is_asked_for_what_was_there() -> None:
    whole = batch(range(B))
    seed_everything(2)
    hidden = hide(whole, 0.6)
    answers = Decoder(16)(torch.randn(len(whole.cls), 16), whole, hidden)
    m = int(hidden.hidden.sum())
    present = ~whole.values[hidden.hidden].isnan()
    # all entities are restored; which of them were hidden is told
    assert answers["predicted"].shape == whole.values.shape and torch.equal(answers["corrupted"], hidden.hidden)
    assert torch.equal(answers["values"].isnan(), whole.values.isnan())
    assert answers["class_logits"].shape == (m, 12) and torch.equal(answers["classes"], whole.cls[hidden.hidden])
    assert answers["bin_logits"].shape == (int(present.sum()), 256)
    bins = answers["bins"]
    assert int(bins.min()) >= 0 and int(bins.max()) <= 255
    torch.testing.assert_close(bins / 255.0, answers["values"][hidden.hidden][present], atol=0.5 / 255 + 1e-6, rtol=0)


def test_next_drawing_is_the_batch_shifted_by_one() -> None:
    config = settings(TermConfig())
    model = DualEncoder(config.encoder).eval()
    rows = [0, 1, 2]
    one = model(collate([encode(shape(i), str(i)) for i in rows]))["geometry"]
    other = model(collate([encode(shape(i), str(i)) for i in (1, 2, 0)]))["geometry"]
    shifted = next_drawing(one)
    torch.testing.assert_close(shifted.vector, other.vector)
    torch.testing.assert_close(shifted.nodes, other.nodes)
    assert torch.equal(shifted.node_drawing, other.node_drawing)
