"""Ragged batches: every row belongs to its drawing, nothing is padded, nothing is shared with the codes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import torch

from deepdxf.collate import TENSORS, arrays, collate
from deepdxf.sequence import ClassicCode
from tests.encoder_cases import code

DRAWINGS = [code(5), code(0), code(17, 1, blocks=3), code(1)]


def test_rows_stand_by_drawing() -> None:
    batch = collate(DRAWINGS)
    assert len(batch) == 4
    assert batch.ids == ("5-0", "0-0", "17-1", "1-0")
    assert batch.start.tolist() == [0, 5, 5, 22, 23]
    assert batch.drawing.tolist() == [0] * 5 + [2] * 17 + [3]
    assert batch.classic_start.tolist() == [0, 5, 5, 22, 23]
    assert batch.block_drawing.tolist() == [0, 0, 2, 2, 2, 3]
    for i, drawing in enumerate(DRAWINGS):
        rows = slice(int(batch.start[i]), int(batch.start[i + 1]))
        np.testing.assert_array_equal(batch.cls[rows], drawing.rich.cls)
        np.testing.assert_array_equal(batch.values[rows], drawing.rich.values)
        np.testing.assert_array_equal(batch.classic[rows], drawing.classic.matrix)
        np.testing.assert_array_equal(batch.place[rows], drawing.entity_graph.place)
        first_block = int((batch.block_drawing < i).sum())
        np.testing.assert_array_equal(batch.block[rows] - first_block, drawing.blocks.label)
        np.testing.assert_array_equal(batch.class_matrix[i], drawing.class_graph.matrix)


def test_edges_keep_to_their_drawing() -> None:
    batch = collate(DRAWINGS)
    assert (batch.drawing[batch.edge[0]] == batch.drawing[batch.edge[1]]).all()
    edges = [drawing.entity_graph.edges + start for drawing, start in zip(DRAWINGS, (0, 5, 5, 22), strict=True)]
    np.testing.assert_array_equal(batch.edge, np.concatenate(edges, axis=1))


def test_types() -> None:
    batch = collate(DRAWINGS)
    whole = {"cls", "tags", "drawing", "start", "edge", "relation", "block", "block_drawing", "classic_start"}
    for name in TENSORS:
        expected = torch.int64 if name in whole else torch.int16 if name == "classic" else torch.float32
        assert getattr(batch, name).dtype == expected, name
    assert batch.to("cpu").ids == batch.ids


def test_unknown_size_is_nan() -> None:
    assert collate(DRAWINGS).size.isnan().tolist() == [False, True, False, False]


def test_rows_of_padding_are_no_rows() -> None:
    drawing = code(5)
    padded = replace(drawing, classic=ClassicCode(drawing.classic.padded(9), 0))
    np.testing.assert_array_equal(collate([padded]).classic, drawing.classic.matrix)


def test_a_batch_shares_no_memory_with_codes() -> None:
    drawing = code(6)
    batch = collate([drawing])
    for name in TENSORS:
        getattr(batch, name).zero_()
    again = code(6)
    for name, array in arrays([drawing]).items():
        np.testing.assert_array_equal(array, arrays([again])[name])


def test_arrays_need_no_torch() -> None:
    code = "import sys, deepdxf.collate; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
