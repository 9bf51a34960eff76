"""Verification against pairs whose common strokes are known, and what it does to the order of hits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawings import circle, drawing, line
from hypothesis import given
from hypothesis import strategies as st
from test_align import part, similarity

from deepdxf.archive import Archive
from deepdxf.descriptor import Strokes
from deepdxf.drawing import Drawing, FloatArray
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.evaluate import Rankings
from deepdxf.geometry import transform
from deepdxf.verify import (
    BEHIND,
    REACH,
    STROKES,
    WEIGHT,
    Verification,
    pack,
    ranking_overlaps,
    sketch,
    unpack,
    verified,
    verified_scores,
    verify,
)

ROWS = part(count=60)
PART = drawing(*ROWS)
AS_DRAWN = Switches()


def overlap(a: Drawing, b: Drawing, switches: Switches = AS_DRAWN) -> float:
    return verify(sketch(a), sketch(b), switches)


def count(drawn: Drawing) -> int:
    """Strokes: an open polyline of three points has two."""
    return int((np.diff(drawn.vertex_start) - 1).clip(1).sum())


# --- the overlap of two drawings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [(0.0, 0.0), (1234.5, -99.9), (1e7, 1e7)])
def test_moved_drawings_share_everything(vector: tuple[float, float]) -> None:
    assert overlap(PART, transform(PART, similarity(x=vector[0], y=vector[1]))) == 1.0


def test_half_of_the_strokes_missing() -> None:
    half = drawing(*ROWS[:30])
    moved = transform(half, similarity(x=50.0, y=7.0))
    assert overlap(PART, moved) == count(half) / count(PART)


def test_a_part_in_a_corner_of_a_sheet() -> None:
    """Frames and centres of mass say nothing about where it lies: the votes do."""
    sheet = [line(0, 0, 2000, 0), line(0, 1400, 2000, 1400), *part(seed=1, count=20)]
    placed = [line(x0 + 900, y0 + 800, x1 + 900, y1 + 800) for x0, y0, x1, y1 in LADDER]
    whole = drawing(*sheet, *placed)
    # of the sheet's other lines none is as long and as steep as those of the ladder
    assert overlap(drawing(*(line(*row) for row in LADDER)), whole) == len(LADDER) / count(whole)


LADDER = [(3.0 * i**2, 0.0, 3.0 * i**2 + 40 + i, 61.0 + 7 * i) for i in range(12)]


def test_unrelated_drawings_share_next_to_nothing() -> None:
    shares = [overlap(PART, drawing(*part(seed=seed))) for seed in range(1, 6)]
    assert max(shares) < 0.15


def test_a_stroke_serves_one_stroke_only() -> None:
    one = sketch(drawing(line(0, 0, 10, 5)))
    four = Strokes(np.repeat(one.kind, 4), np.repeat(one.box, 4, axis=0), np.repeat(one.length, 4))
    assert verify(one, four, AS_DRAWN) == verify(four, one, AS_DRAWN) == 0.25


def test_what_is_drawn_in_other_strokes_does_not_match() -> None:
    assert overlap(drawing(circle(0, 0, 5)), drawing(line(-5, -5, 5, 5))) == 0.0


@pytest.mark.parametrize(
    ("pose", "free"),
    [
        (similarity(mirror=True), Switches(mirror=True)),
        (similarity(angle=90.0), Switches(rotation=True)),
        (similarity(angle=180.0, x=5.0), Switches(rotation=True)),
        (similarity(angle=90.0, mirror=True), Switches(rotation=True, mirror=True)),
        (similarity(scale=2.5), Switches(size=False)),
        (similarity(scale=0.1, angle=270.0, mirror=True), Switches(size=False, rotation=True, mirror=True)),
    ],
)
def test_poses_count_only_where_the_switches_allow_them(pose: FloatArray, free: Switches) -> None:
    posed = transform(PART, pose)
    assert overlap(PART, posed) < 0.2
    assert overlap(PART, posed, free) == overlap(posed, PART, free) == 1.0


def test_another_size_with_a_part_missing() -> None:
    """The frames do not tell the scale then: the lengths of the strokes do."""
    corner = drawing(*(row for row in ROWS if max(point[0] for point in row[1]) < 200))
    assert 10 < count(corner) < count(PART) / 1.2
    scaled = transform(corner, similarity(scale=3.7))
    assert overlap(PART, scaled, Switches(size=False)) == pytest.approx(count(corner) / count(PART), abs=0.02)


def test_what_is_equal_is_measured_at_the_same_size() -> None:
    """Traced again at another scale, a fifth of the tolerance off: as good in both directions."""
    rng = np.random.default_rng(0)
    length = 300.0
    rows = [line(*(rng.random(4) * length)) for _ in range(40)]
    off = [line(*(np.array([*p, *q]) + rng.uniform(-1, 1, 4) * REACH * length / 5)) for _, (p, q), _ in rows]
    for scale in (0.01, 100.0):
        assert overlap(drawing(*rows), transform(drawing(*off), similarity(scale=scale)), Switches(size=False)) == 1.0


def test_pairs_of_as_many_strokes_are_symmetric_too() -> None:
    """Crowds closer than the tolerance, in which the nearest of the nearest is another one."""
    shares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one, two = (drawing(*(circle(*(rng.random(2) * 8), 500.0) for _ in range(30))) for _ in range(2))
        shares.append((overlap(one, two), overlap(two, one)))
    assert all(first == second for first, second in shares)


def test_units_are_converted_where_they_are_stated() -> None:
    inches = replace(transform(PART, similarity(scale=1 / 25.4)), unit_mm=25.4)
    assert overlap(PART, inches) == 1.0


def test_nothing_and_next_to_nothing() -> None:
    empty, point = drawing(), drawing(line(3, 3, 3, 3))
    assert overlap(empty, empty) == overlap(empty, PART) == overlap(PART, empty) == 0.0
    for switches in (AS_DRAWN, Switches(size=False, mirror=True, rotation=True)):
        assert overlap(point, point, switches) == 1.0
        assert overlap(point, PART, switches) <= 1 / count(PART)


FEW = st.lists(
    st.one_of(
        st.builds(line, *[st.integers(0, 6)] * 4), st.builds(circle, *[st.integers(0, 6)] * 2, st.integers(1, 3))
    ),
    max_size=12,
)
SWITCHES = st.builds(Switches, st.booleans(), st.booleans(), st.booleans())


@given(FEW, FEW, SWITCHES)
def test_it_is_symmetric_deterministic_and_a_share(a: list, b: list, switches: Switches) -> None:
    one, two = sketch(drawing(*a)), sketch(drawing(*b))
    found = verify(one, two, switches)
    assert 0.0 <= found <= 1.0
    assert found == verify(two, one, switches) == verify(one, two, switches)
    if a:
        assert verify(one, one, switches) == 1.0


@given(FEW, FEW)
def test_more_freedom_never_shares_less(a: list, b: list) -> None:
    one, two = sketch(drawing(*a)), sketch(drawing(*b))
    shares = [verify(one, two, Switches(True, *free)) for free in ((False, False), (True, False), (True, True))]
    assert shares == sorted(shares)


# --- sketches ---------------------------------------------------------------------------------------------------------


def test_sketches_survive_packing() -> None:
    pen = sketch(PART)
    again = unpack(pack(pen))
    assert len(pack(pen)) == 21 * count(PART)
    for name in ("kind", "box", "length"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pen, name))
    assert len(unpack(b"").kind) == 0


def test_sketches_keep_the_longest_strokes_whatever_the_order() -> None:
    long = [line(0, 10.0 * i, 5000 + i, 10.0 * i) for i in range(STROKES // 2)]
    short = [line(7 * (i % 40), 7 * (i // 40), 7 * (i % 40) + 3, 7 * (i // 40) + 4) for i in range(STROKES)]
    rows = long + short
    pen = sketch(drawing(*rows))
    assert len(pen.kind) == STROKES and (pen.length > 1000).sum() == STROKES // 2
    order = np.random.default_rng(0).permutation(len(rows))
    other = sketch(drawing(*(rows[i] for i in order)))
    assert verify(pen, other, AS_DRAWN) == 1.0


def test_what_is_not_finite_is_left_out() -> None:
    far = drawing(*ROWS, line(0, 0, 1e300, 0))
    assert overlap(far, PART) == 1.0
    assert not np.isnan(overlap(drawing(line(0, 0, np.nan, 1)), PART))


# --- the order of hits ------------------------------------------------------------------------------------------------


def test_scores_stay_within_the_unit_interval_and_grow_with_both() -> None:
    cosines, shares = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 6), indexing="ij"))
    scores = verified_scores(cosines, shares).reshape(6, 6)
    assert scores[0, 0] == 0.0 and scores[-1, -1] == 1.0
    assert (np.diff(scores, axis=0) > 0).all() and (np.diff(scores, axis=1) > 0).all()
    assert scores[-1, 0] == pytest.approx(1 / (1 + WEIGHT))
    np.testing.assert_array_equal(verified_scores(cosines, np.full(36, np.nan)), cosines)


def unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def filled(folder: Path, drawn: list[tuple[float, Drawing | None]]) -> Archive:
    """Rows 0, 1, … at angles to the query; a drawing that is None was indexed by an older version."""
    archive = Archive.create(folder, "fake", 2)
    archive._write(
        [
            {"id": f"{i:016x}", "root": "/r", "path": f"{i}", "status": "ok", "vector": unit(angle), "folded": ""}
            | {"sketch": None if shown is None else pack(sketch(shown))}
            for i, (angle, shown) in enumerate(drawn)
        ]
    )
    return archive


OTHER = drawing(*part(seed=9))


def test_what_fits_moves_up(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a", [(0.1, OTHER), (0.3, PART), (0.2, None), (0.25, PART)])
    assert [hit.path for hit in archive.search(unit(0))] == ["0", "2", "3", "1"]
    hits = archive.search(unit(0), verification=Verification(sketch(PART)))
    assert [hit.path for hit in hits] == ["2", "3", "1", "0"] or [hit.path for hit in hits] == ["3", "2", "1", "0"]
    by_path = {hit.path: hit for hit in hits}
    assert by_path["1"].overlap == by_path["3"].overlap == 1.0 and by_path["2"].overlap is None
    assert by_path["2"].score == pytest.approx(np.cos(0.2), abs=1e-5)
    assert by_path["3"].score == pytest.approx((np.cos(0.25) + WEIGHT) / (1 + WEIGHT), abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    best = archive.search(unit(0), 2, verification=Verification(sketch(PART)))
    assert best == hits[:2]
    assert archive.search(unit(0), min_score=hits[1].score, verification=Verification(sketch(PART))) == hits[:2]


def test_hits_beyond_the_depth_stay_behind(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a", [(0.1 * i, PART if i == 3 else OTHER) for i in range(6)])
    hits = archive.search(unit(0), verification=Verification(sketch(PART), depth=3))
    assert [hit.path for hit in hits][3:] == ["3", "4", "5"]
    assert [hit.overlap is None for hit in hits] == [False] * 3 + [True] * 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("switches", [AS_DRAWN, Switches(size=False, mirror=True, rotation=True)])
def test_the_best_hits_are_those_of_verifying_all(switches: Switches) -> None:
    """Hits that cannot be among the best are not laid on the query, and no score of the others changes."""
    rng = np.random.default_rng(1)
    shown = [drawing(*part(seed=seed)[: 20 + seed], *ROWS[: 3 * seed]) for seed in range(16)]
    hits: list[Strokes | None] = [None, *map(sketch, shown), sketch(PART)]
    cosines = np.sort(rng.uniform(0.5, 1.0, len(hits)))[::-1]
    asked = Verification(sketch(transform(PART, similarity(angle=90.0)) if switches.rotation else PART), switches)
    full = verified_scores(cosines, asked.overlaps(hits))
    skipped = 0
    for k in (1, 4, len(hits)):
        known = asked.best(hits, cosines, k)
        order = np.argsort(-full, kind="stable")[:k]
        np.testing.assert_array_equal(verified_scores(cosines, known)[order], full[order])
        assert (known[order] != BEHIND).all()
        skipped += int((known == BEHIND).sum())
    assert skipped > len(hits)


def test_a_query_that_is_not_known_verifies_nothing(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a", [(0.1, OTHER), (0.3, PART)])
    assert archive.search(unit(0), verification=Verification(None)) == archive.search(unit(0))


def test_sketches_of_an_archive(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a", [(0.1, PART), (0.2, None)])
    known, unknown, nobody = archive.sketches([f"{i:016x}" for i in (0, 1, 7)])
    assert isinstance(known, Strokes) and pack(known) == pack(sketch(PART))
    assert unknown is None and nobody is None
    assert archive.sketches([]) == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_sketches_are_those_of_the_newest_version(
    in_memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr("deepdxf.archive.EXACT_BYTES", 0)
    reader = filled(tmp_path / "a", [(0.1, PART), (0.2, OTHER)])
    ids = [f"{i:016x}" for i in (1, 0, 7)]
    for shown in (OTHER, PART):
        filled(tmp_path / "a", [(0.1, PART), (0.2, shown)])
        for _ in range(3):  # from the second question on out of memory
            first, second, nobody = reader.sketches(ids)
            assert first is not None and second is not None and nobody is None
            assert (pack(first), pack(second)) == (pack(sketch(shown)), pack(sketch(PART)))
    assert (reader._sketches is not None and reader._sketches.packed is not None) == in_memory


def test_an_archive_of_format_2_is_not_verified_until_it_is_indexed_again(tmp_path: Path) -> None:
    archive = filled(tmp_path / "a", [(0.1, OTHER), (0.3, PART)])
    archive._table.drop_columns(["sketch"])
    archive._db.open_table("about").update(where="key = 'format'", values={"value": "2"})
    old = Archive.open(tmp_path / "a")
    hits = old.search(unit(0), verification=Verification(sketch(PART)))
    assert hits == old.search(unit(0)) and [hit.overlap for hit in hits] == [None, None]
    again = filled(tmp_path / "a", [(0.1, OTHER), (0.3, PART)])
    assert [hit.path for hit in again.search(unit(0), verification=Verification(sketch(PART)))] == ["1", "0"]


def test_rankings_are_verified_like_searches() -> None:
    drawn = {"a": PART, "b": OTHER, "c": transform(PART, similarity(x=9.0)), "d": OTHER, "e": PART}
    packed = {file: pack(sketch(shown)) for file, shown in drawn.items()}
    hits = {"a": np.array([1, 2, 3, 4], np.int32), "b": np.array([3, 0, 2, 4], np.int32)}
    scores = {"a": np.array([0.9, 0.8, 0.7, 0.6], np.float32), "b": np.array([0.9, 0.8, 0.8, 0.7], np.float32)}
    rankings = Rankings(tuple(drawn), hits, scores)
    overlaps = ranking_overlaps(rankings, packed, AS_DRAWN, 3, workers=1)
    assert {query: len(found) for query, found in overlaps.items()} == {"a": 3, "b": 3}
    assert overlaps["a"][1] == overlaps["b"][0] == 1.0
    found = verified(rankings, overlaps)
    assert found.hits["a"].tolist() == [2, 1, 3, 4] and found.hits["b"].tolist() == [3, 0, 2, 4]
    np.testing.assert_allclose(
        found.scores["a"][[0, 3]], [(0.8 + WEIGHT) / (1 + WEIGHT), 0.6 / (1 + WEIGHT)], rtol=1e-6
    )
    assert all((np.diff(score) <= 0).all() for score in found.scores.values())


def test_a_defect_in_a_worker_is_one_line() -> None:
    rankings = Rankings(("a", "b"), {"a": np.array([1], np.int32)}, {"a": np.ones(1, np.float32)})
    with pytest.raises(DeepDXFError, match="the hits of a could not be verified"):
        ranking_overlaps(rankings, {"a": pack(sketch(PART)), "b": b"no sketch"}, AS_DRAWN, workers=1)
