"""The canonical hash: what keeps it, and what changes it."""

from __future__ import annotations

import io
from dataclasses import replace

import cadkit
import ezdxf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.augment import reverse
from deepdxf.drawing import Drawing
from deepdxf.dxfwrite import dxf_bytes
from deepdxf.fingerprint import NOTHING, canonical_hash
from deepdxf.geometry import transform
from deepdxf.reader import parse
from deepdxf.synth import EDITS, file_bytes
from deepdxf.synth_families import FAMILIES, Design, draw_design, draw_style
from tests.drawings import circle, drawing, line, polyline


def design(kind: str, seed: int = 0) -> Design:
    """A design whose text and hatches any library can save (R12 has neither MTEXT nor HATCH)."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(kind)])
    return draw_design(kind, replace(draw_style(rng), version="AC1021"), rng)


def plate(*holes: tuple[float, float, float]) -> Drawing:
    return drawing(polyline([(0, 0), (400, 0), (400, 250), (0, 250)]), *[circle(*hole) for hole in holes])


HOLES = [(float(10 + 16 * (i % 24)), float(10 + 11 * (i // 24)), 4.0) for i in range(500)]


@pytest.mark.parametrize("kind", FAMILIES)
def test_saved_again_by_either_library(kind: str) -> None:
    data = dxf_bytes(design(kind).build())
    expected = canonical_hash(parse(data))
    stream = io.StringIO()
    ezdxf.read(io.StringIO(data.decode("utf-8").replace("\r\n", "\n"))).write(stream)  # type: ignore[attr-defined]
    assert canonical_hash(parse(stream.getvalue().encode("utf-8"))) == expected
    assert canonical_hash(parse(cadkit.read(data).to_dxf_bytes())) == expected


# By the edits of synthetic archives, which know what they did to the document.
KEPT = ("handles-reordered", "blocks-exploded", "layers-renamed", "scaled", "moved", "units")
CHANGED = ("hole-added", "hole-removed", "feature-moved", "dimension-changed", "mirrored", "rotated", "noise")


@pytest.mark.parametrize("edit", KEPT + CHANGED)
def test_edits(edit: str) -> None:
    done = 0
    for kind in FAMILIES:
        # patterns of hatches drawn as lines begin elsewhere in a moved or scaled drawing: those are other drawings
        style = replace(design(kind).style, hatches="solid")
        made = replace(design(kind), style=style)
        base = made.build()
        edited = EDITS[edit][1](made, base, np.random.default_rng(1))
        if edited is not None:
            done += 1
            before, after = (canonical_hash(parse(data)) for data in (dxf_bytes(base), file_bytes(edited)))
            assert (before == after) == (edit in KEPT), kind
    assert done >= 5


@settings(max_examples=50)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.01, 100))
def test_moved_and_scaled(dx: float, dy: float, factor: float) -> None:
    """Half of these numbers lie exactly between two cells of a fixed grid."""
    d = plate(*HOLES[:40], (200.02, 125.01, 3.98), (0.04, 0.02, 0.02))
    assert canonical_hash(transform(d, np.array([[1, 0, dx], [0, 1, dy]]))) == canonical_hash(d)
    assert canonical_hash(transform(d, np.array([[factor, 0, 0], [0, factor, 0]]))) == canonical_hash(d)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_any_order_and_lines_from_either_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = drawing(*[line(*ends) for ends in rng.integers(0, 50, (20, 4)).astype(float)], circle(5, 5, 2), circle(9, 1, 2))
    mixed = reverse(d.select(rng.permutation(len(d))), np.flatnonzero(rng.random(len(d)) < 0.5))
    mixed = replace(mixed, handle=rng.permutation(len(d)) + 5)
    assert canonical_hash(mixed) == canonical_hash(d)


@pytest.mark.parametrize("hole", [(10.2, 10.0, 4.0), (10.0, 10.2, 4.0), (10.0, 10.0, 4.2)])
def test_one_changed_hole_of_500_is_another_drawing(hole: tuple[float, float, float]) -> None:
    assert canonical_hash(plate(hole, *HOLES[1:])) != canonical_hash(plate(*HOLES))


def test_one_more_or_less_is_another_drawing() -> None:
    hashes = {canonical_hash(plate(*HOLES[:n])) for n in (498, 499, 500)} | {canonical_hash(plate(*HOLES, HOLES[0]))}
    assert len(hashes) == 4


def test_open_and_closed_bulged_and_straight_are_different() -> None:
    corners = [(0, 0, 0.0), (4, 0, 0.0), (4, 3, 0.0)]
    shapes = [polyline(corners), polyline(corners, closed=False), polyline([(0, 0, 0.0), (4, 0, 0.1), (4, 3, 0.0)])]
    shapes.append(polyline(corners[::-1]))
    assert len({canonical_hash(drawing(shape, circle(2, 1, 1))) for shape in shapes}) == 4


def test_swapped_coordinates_and_rows_do_not_cancel_out() -> None:
    """A sum of numbers of points would be the same for these."""
    a = drawing(line(0, 0, 10, 10), line(0, 10, 10, 0), line(0, 0, 10, 0))
    b = drawing(line(0, 0, 10, 0), line(0, 10, 10, 10), line(0, 0, 10, 0))
    assert canonical_hash(a) != canonical_hash(b)


def test_nothing_to_see() -> None:
    assert canonical_hash(drawing()) == NOTHING
    assert canonical_hash(drawing(line(0, 0, 1, 0))) != NOTHING
    assert len(NOTHING) == 32
