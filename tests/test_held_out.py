"""Questions of held-out drawings: by their groups, or by edits of themselves."""

from __future__ import annotations

import numpy as np
from drawings import circle, drawing, line

from deepdxf.augment import OFF, Views
from deepdxf.drawing import Drawing
from deepdxf.encoder import load
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.groups import Protocol, Query
from deepdxf.held_out import EDITED, HeldOut, embedded, held_out

TINY = EncoderConfig(size="tiny")
MOVED = Views(**OFF | {"shift": 0.5})  # type: ignore[arg-type]  # the same drawing elsewhere


def shape(number: int) -> Drawing:
    rng = np.random.default_rng(number)
    return drawing(*(line(*rng.uniform(0, 100, 4)) for _ in range(8)), circle(*rng.uniform(10, 90, 2), 5 + number))


NAMES = [f"{name}.dxf" for name in "abcdef"]
DRAWINGS = [shape(i) for i in range(6)]
SAME = [[name] for name in NAMES]


def questions(protocol: Protocol | None = None, same: list[list[str]] = SAME) -> HeldOut:
    return held_out(NAMES, DRAWINGS, protocol, same, MOVED, TINY)


def test_every_drawing_without_a_group_is_asked_for_by_its_edit() -> None:
    asked = questions()
    assert asked.protocol.files == [EDITED + name for name in NAMES]
    assert [query.relevant for query in asked.protocol.queries] == [{name: 1.0} for name in NAMES]
    # a moved drawing is the same to the descriptor and to any model
    assert asked.of_encoder(load("descriptor").encode).mean("P@1") == 1.0
    assert asked.of_model(DualEncoder(TINY)).mean("P@1") == 1.0


def test_vectors_that_say_nothing_find_nothing() -> None:
    asked = questions()
    vectors = np.zeros((12, 6), np.float32)
    vectors[:6] = np.eye(6)
    vectors[6:] = np.eye(6)[[1, 2, 3, 4, 5, 0]]  # each edit finds the next drawing
    assert asked.of_vectors(vectors).mean("P@1") == 0.0
    vectors[6:] = np.eye(6)
    assert asked.of_vectors(vectors).mean("mAP") == 1.0


def test_groups_ask_where_there_are_some_and_edits_for_the_rest() -> None:
    query = Query("a.dxf", "g", "revision", "hole", {"b.dxf": 2.0, "elsewhere.dxf": 2.0}, frozenset({"c.dxf", "x.dxf"}))
    outside = Query("elsewhere.dxf", "g", "revision", "hole", {"a.dxf": 2.0}, frozenset())
    lonely = Query("f.dxf", "h", "revision", "hole", {"elsewhere.dxf": 2.0}, frozenset())
    asked = questions(Protocol((query, outside, lonely), {}, 0))
    by_file = {query.file: query for query in asked.protocol.queries}
    assert set(by_file) == {"a.dxf", *(EDITED + name for name in NAMES[2:])}  # b is an answer, f has none here
    assert by_file["a.dxf"].relevant == {"b.dxf": 2.0} and by_file["a.dxf"].neutral == {"c.dxf"}


def test_copies_are_no_wrong_answers() -> None:
    same = [["a.dxf", "b.dxf"], ["a.dxf", "b.dxf"], *SAME[2:]]
    asked = questions(same=same)
    assert asked.protocol.queries[0].neutral == {"b.dxf"}
    vectors = np.zeros((12, 6), np.float32)
    vectors[:6] = vectors[6:] = np.eye(6)
    vectors[0], vectors[1] = vectors[1].copy(), vectors[0].copy()  # the edit of a finds b first
    assert asked.of_vectors(vectors).mean("mAP") > questions().of_vectors(vectors).mean("mAP")


def test_nothing_to_ask() -> None:
    empty = held_out(["a"], [drawing(line(0, 0, 1, 1)).select(np.zeros(0, np.int64))], None, [["a"]], MOVED, TINY)
    assert not empty.asks


def test_embedding_leaves_the_mode_of_the_model() -> None:
    model = DualEncoder(TINY).train()
    first = embedded(model, questions().batches)
    assert model.training
    assert np.array_equal(first, embedded(model, questions().batches))  # no dropout
    assert first.shape == (12, sum(s.stop - s.start for s in model.slices.values()))
