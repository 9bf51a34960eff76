"""Verification: the first hits of a search are laid over the query, and those that share its strokes move up.

A vector says that two drawings consist of alike things in alike relations; it does not say that they fit on each other.
For the few best hits that can be tried (as in image retrieval: Philbin et al. 2007):

    overlap   strokes that lie over each other one to one, in the best of the poses that the switches allow, as a share
              of the strokes of the drawing that has more of them
    score     (cosine + WEIGHT · overlap) / (1 + WEIGHT)

Hits that are beyond the verified ones count as sharing nothing, so that they stay behind them. A hit whose strokes are
not known keeps its cosine, as if the overlap were the same.

Drawings that are turned by any angle are compared with their lines laid level (`turn`). Those without directions (rings of
holes) are laid over each other at the angles that pairs of their strokes agree on.

A *sketch* is what of a drawing is compared: its longest strokes around the middle of its frame, in millimetres where the
drawing states its unit. Polylines are there by their edges. It is small enough to be kept in an archive (`pack`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from deepdxf.align import Overlap, Rotation, pen_strokes
from deepdxf.batch import progress_bar, read_many
from deepdxf.clean import clean
from deepdxf.descriptor import KINDS, Strokes, strokes
from deepdxf.drawing import Drawing, FloatArray, robust_frame
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.evaluate import Indices, Rankings, Scores, best_first
from deepdxf.turn import PRONOUNCED, directions, straightened

# Measured by experiments/verify.py
DEPTH = 60  # hits that are verified
WEIGHT = 0.3  # of the overlap beside the cosine
STROKES = 512  # of a sketch, at most
REACH = 0.003  # of the longer side of the smaller frame: strokes that differ by no more are equal

PACKED = np.dtype([("kind", "u1"), ("box", "<f4", 4), ("length", "<f4")])
LENGTH_DIGITS = 4  # significant ones by which the longest strokes are chosen: what differs by less is equally long


def sketch(drawing: Drawing) -> Strokes:
    """Up to `STROKES` strokes of a drawing, the longest; see the module's head. Numbers are those that `pack` keeps."""
    drawing = clean(drawing)
    unit = drawing.unit_mm or 1.0
    frame = drawing.frame
    pen = strokes(drawing)
    with np.errstate(over="ignore"):  # what has no place in 32 bits is left out like what is not finite
        box = (unit * (pen.box - np.tile((frame[:2] + frame[2:]) / 2.0, 2))).astype(np.float32)
        length = (unit * pen.length).astype(np.float32)
    pen = pen_strokes(Strokes(pen.kind, box.astype(np.float64), length.astype(np.float64)))
    if len(pen.kind) <= STROKES:
        return pen
    # of equally long ones the place decides, not the order in the file
    with np.errstate(divide="ignore"):
        digits = np.floor(np.log10(pen.length) * 10**LENGTH_DIGITS)
    longest = np.lexsort((pen.box[:, 1], pen.box[:, 0], pen.kind, -digits))[:STROKES]
    return Strokes(pen.kind[longest], pen.box[longest], pen.length[longest])


def query_sketches(drawing: Drawing, switches: Switches) -> tuple[Strokes, ...]:
    """What a query is verified by: its sketch or, where rotation is free, one for each of its directions, laid level."""
    angles = (directions(drawing) if switches.rotation else []) or [0.0]
    return tuple(sketch(straightened(drawing, angle)) for angle in angles)


def pack(pen: Strokes) -> bytes:
    """A sketch as `PACKED` rows, 21 bytes a stroke."""
    rows = np.empty(len(pen.kind), PACKED)
    rows["kind"], rows["box"], rows["length"] = pen.kind, pen.box, pen.length
    return rows.tobytes()


def unpack(data: bytes) -> Strokes:
    """The sketch that `pack` has packed."""
    rows = np.frombuffer(data, PACKED)
    return Strokes(rows["kind"].astype(np.int64), rows["box"].astype(np.float64), rows["length"].astype(np.float64))


def verify(query: Strokes, hit: Strokes, switches: Switches) -> float:
    """The overlap of two sketches, 0 … 1; the same whichever is the query. Sketches without strokes share nothing."""
    laid, strokes = _laid(query, hit, switches)
    return laid.count / strokes


def _laid(query: Strokes, hit: Strokes, switches: Switches) -> tuple[Overlap, int]:
    """One of two sketches on the other, and how many strokes the one with more of them has, at least 1."""
    # the one with fewer strokes is laid on the other: a pair is one, whatever is asked
    few, many = (query, hit) if len(query.kind) < len(hit.kind) else (hit, query)
    if len(few.kind) == len(many.kind):
        few, many = sorted((query, hit), key=pack)
    sides = [_longer_side(pen) for pen in (few, many)]
    if not switches.size and min(sides) > 0:
        few = Strokes(few.kind, few.box * (sides[1] / sides[0]), few.length * (sides[1] / sides[0]))
        sides[0] = sides[1]
    turns: Rotation = "none"
    if switches.rotation:
        turns = "any" if _aimless(few) and _aimless(many) else "quarters"
    laid = Overlap(
        few,
        many,
        rotation=turns,
        mirror=switches.mirror,
        scale="units" if switches.size else "any",
        tolerance=max(REACH * min(sides), 1e-9),
    )
    return laid, max(len(many.kind), 1)


def _aimless(pen: Strokes) -> bool:
    """Whether the lines of a sketch have no pronounced direction, see `turn`; whether they rise or fall is not in it."""
    lines = pen.kind == KINDS.index("line")
    angle = np.degrees(np.arctan2(pen.size[lines, 1], pen.size[lines, 0]))
    angle = np.minimum(angle, 90.0 - angle)
    bins = np.bincount(np.floor(angle).astype(np.int64), pen.length[lines], 46)
    return bool(np.convolve(bins, np.ones(2)).max() <= PRONOUNCED * bins.sum())


def _longer_side(pen: Strokes) -> float:
    frame = robust_frame(pen.box)
    return float((frame[2:] - frame[:2]).max())


@dataclass(frozen=True)
class Verification:
    """How a search verifies its hits."""

    query: Strokes | None  # its sketch; None where it is not known, which verifies nothing
    switches: Switches = field(default_factory=Switches)
    depth: int = DEPTH
    further: tuple[Strokes, ...] = ()  # sketches of the query with other directions laid level: the best one counts

    @classmethod
    def of(cls, drawing: Drawing, switches: Switches) -> Verification:
        """Of a query that is a drawing."""
        pen, *further = query_sketches(drawing, switches)
        return cls(pen, switches, further=tuple(further))

    def overlaps(self, hits: Sequence[Strokes | None]) -> FloatArray:
        """(h,) overlap with each of the hits; NaN for those that are not known."""
        shares = [np.nan if self.query is None or hit is None else self._share(self._laid(hit)) for hit in hits]
        return np.array(shares, np.float64)

    def _laid(self, hit: Strokes) -> list[tuple[Overlap, int]]:
        return [_laid(pen, hit, self.switches) for pen in (self.query, *self.further) if pen is not None]

    @staticmethod
    def _share(laid: Sequence[tuple[Overlap, int]]) -> float:
        return max(overlap.count / strokes for overlap, strokes in laid)

    def best(self, hits: Sequence[Strokes | None], cosines: FloatArray, k: int) -> FloatArray:
        """`overlaps`, but `BEHIND` for hits that are certainly not among the ``k`` with the best `verified_scores`.

        Those that can score most are laid on the query first; as soon as k hits have a score that the others cannot
        reach, these need not be. Hits that nearly reach it are verified too, so that ties stay what they are.
        """
        shares = np.full(len(hits), np.nan)
        if self.query is None:
            return shares
        laid = {i: self._laid(hit) for i, hit in enumerate(hits) if hit is not None}
        shares[list(laid)] = [max(overlap.most / strokes for overlap, strokes in tries) for tries in laid.values()]
        bounds = verified_scores(cosines, shares)
        scores = sorted((score for i, score in enumerate(bounds.tolist()) if i not in laid), reverse=True)[:k]
        for i in sorted(laid, key=lambda i: -bounds[i]):
            if len(scores) == k and bounds[i] < scores[-1] - NEARLY:
                shares[i] = BEHIND
                continue
            shares[i] = self._share(laid[i])
            score = float(verified_scores(cosines[i : i + 1], shares[i : i + 1])[0])
            scores = sorted([*scores, score], reverse=True)[:k]
        return shares


BEHIND = -1.0  # in place of the overlap of a hit that cannot be among the best
NEARLY = 1e-5  # of a score: more than its digits in an archive


def verified_scores(cosines: FloatArray, overlaps: FloatArray) -> FloatArray:
    """(h,) scores out of (h,) cosines and (h,) overlaps, see the module's head; NaN is an overlap that is not known."""
    return np.where(np.isnan(overlaps), cosines, (cosines + WEIGHT * overlaps) / (1.0 + WEIGHT))


# --- many queries ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Overlaps:
    """Work of a process: the overlaps of one query with its hits, all packed."""

    switches: Switches

    def __call__(self, item: tuple[str, list[bytes], list[bytes]]) -> FloatArray:
        _, query, hits = item
        pen, *further = map(unpack, query)
        return Verification(pen, self.switches, further=tuple(further)).overlaps([unpack(hit) for hit in hits])


def ranking_overlaps(
    rankings: Rankings,
    sketches: Mapping[str, bytes],
    switches: Switches,
    depth: int = DEPTH,
    *,
    asked: Mapping[str, Sequence[bytes]] | None = None,
    workers: int | None = None,
    quiet: bool = True,
) -> dict[str, FloatArray]:
    """(min(h, depth),) overlaps of the first hits of every query, in worker processes.

    Args:
        sketches: packed, by file; of all files of the rankings.
        asked: packed `query_sketches` of files that ask by others than their own.
        workers: see `read_many`.
        quiet: no progress bar.

    Raises:
        DeepDXFError: a query takes too long, or the workers cannot be started.
    """
    items = (
        (
            query,
            list((asked or {}).get(query) or [sketches[query]]),
            [sketches[rankings.files[i]] for i in hits[:depth]],
        )
        for query, hits in rankings.hits.items()
    )
    found = {}
    stream = read_many(items, _Overlaps(switches), workers=workers)
    with progress_bar("verifying", len(rankings.hits), quiet) as step, closing(stream):  # type: ignore[type-var]
        for outcome in stream:
            if outcome.value is None:
                raise DeepDXFError(f"the hits of {outcome.item[0]} could not be verified: {outcome.error}")
            found[outcome.item[0]] = outcome.value
            step()
    return found


def verified(rankings: Rankings, overlaps: Mapping[str, FloatArray]) -> Rankings:
    """The rankings in the order of their verified scores; ``overlaps`` of `ranking_overlaps`."""
    hits: dict[str, Indices] = {}
    scores: dict[str, Scores] = {}
    for query, known in overlaps.items():
        shares = np.zeros(len(rankings.hits[query]))
        shares[: len(known)] = known
        score = verified_scores(rankings.scores[query].astype(np.float64), shares).astype(np.float32)
        # in the order of the files, for ties
        by_file = np.argsort(rankings.hits[query])
        order = by_file[best_first(score[by_file])]
        hits[query], scores[query] = rankings.hits[query][order], score[order]
    return Rankings(rankings.files, hits, scores)
