"""Where one drawing lies on another: the map that lays most of its strokes over equal ones.

Works on `Strokes` (kind, box and length of what the pen draws), so that it serves whole drawings and the hits of a search
alike. Parts that were added or removed do not disturb it, for the map is voted for:

1. Strokes of both drawings that have kind and size in common get one *token*. A pair of strokes with one token votes for
   the displacement between them (generalised Hough transform, Ballard 1981); a token that is rare says more.
2. Displacements with the most votes are tried: a stroke counts as matched when one with its token lies where it goes.
3. The best map is refined by least squares over the matched strokes (Umeyama 1991 where turn or scale are free).

The *pose* (turn, mirror, scale) is taken from a list: 90° turns, mirrors and scales by the units come first, then angles
that pairs of equal strokes agree on and scales that the lengths of the strokes agree on. The drawing as it lies always
comes first: where it fits, nothing moves. No common geometry is a result too (`Alignment.found`).

Letters in shapes: n, m strokes of a and b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np

from deepdxf.descriptor import KINDS, Strokes, strokes
from deepdxf.drawing import Drawing, FloatArray, IntArray, robust_frame

Rotation = Literal["none", "quarters", "any"]
Scale = Literal["units", "any"]

UNITS_MM = [1.0, 25.4, 10.0, 1000.0]  # what a unit may be that a file does not state
TOLERANCE_MM = 0.01  # drawings of one part agree much closer, drawn changes are larger
TOLERANCE_SHARE = (1e-5, 1e-4)  # of the frame's diagonal: the least and the most that the tolerance is

VOTES = 8_000  # pairs of strokes that vote for a displacement
BIN = 4.0  # tolerances within which votes count as the same
PEAKS = 6  # displacements that are tried
TRIED = 2_000  # strokes that a displacement is tried with
FEW_VOTES, FEW_TRIED, FEW_SCALES = 1_000, 100, 2  # the same for `overlap`, and scales that are tried
ANGLE_BIN = 0.1  # degrees
QUARTER = 1e-4  # of a right angle: how near to a multiple of it an angle counts as one
ANGLE_PAIRS = 300  # equal strokes whose pairs vote for an angle
RATIO_BIN = 0.004  # of the logarithm of a ratio of lengths
RATIO_RANGE = 8.0  # largest logarithm of such a ratio: three thousand times

STAYS = 0.5  # the drawing as it lies is taken unless another map matches more than twice as much
SETTLED = 0.8  # with so much of the smaller drawing covered, it stays where it lies, and no other scale is tried
ENOUGH = 0.999  # and with so much, no other turn or mirror
PREFERRED = 1.001  # a pose further down the list must match so much better
LEAST_COVER = 0.15  # of the smaller drawing; with less, or fewer than three strokes of larger ones, there is no map

UNTURNED = [KINDS.index(name) for name in ("line", "circle", "point")]  # kinds whose box's middle turns with them
WHOLE = KINDS.index("polyline")  # its edges are strokes too


@dataclass(frozen=True)
class Alignment:
    """A similarity that lays drawing a over drawing b, and how well it does."""

    matrix: FloatArray  # (2, 3) x′ = matrix[:, :2] x + matrix[:, 2], drawing units of a → of b; identity if not found
    found: bool  # False: the drawings have no common geometry
    matched: int  # strokes of a that lie over an equal one of b
    cover: float  # matched share of the smaller drawing, mean of the shares by number and by length, 0 … 1
    share: float  # matched share of both drawings
    residual: float  # root mean square distance of matched strokes' centres, drawing units of b
    confidence: float  # 0 … 1: cover × (1 − ½ ^ number of different matched tokens)
    tolerance: float  # drawing units of b

    @property
    def moves(self) -> bool:
        """Whether anything moves at all."""
        return not np.array_equal(self.matrix, IDENTITY)

    @property
    def mirrored(self) -> bool:
        """Whether the map turns a drawing over."""
        return bool(np.linalg.det(self.matrix[:, :2]) < 0)

    @property
    def scale(self) -> float:
        """Lengths in b for lengths in a."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    @property
    def rotation(self) -> float:
        """Degrees counter-clockwise, 0 ≤ rotation < 360; after mirroring left to right where ``mirrored``."""
        flip = -1.0 if self.mirrored else 1.0
        angle = float(np.degrees(np.arctan2(flip * self.matrix[1, 0], flip * self.matrix[0, 0]))) % 360.0
        return 0.0 if angle > 360.0 - 1e-9 else angle

    def inverse(self) -> Alignment:
        """The same from b to a; tolerance and residual in the units of a."""
        if not self.moves:
            return self
        linear = np.linalg.inv(self.matrix[:, :2])
        return replace(
            self,
            matrix=np.column_stack([linear, -linear @ self.matrix[:, 2]]),
            tolerance=self.tolerance / self.scale,
            residual=self.residual / self.scale,
        )


IDENTITY = np.hstack([np.eye(2), np.zeros((2, 1))])


def align(
    a: Drawing,
    b: Drawing,
    *,
    rotation: Rotation = "none",
    mirror: bool = False,
    scale: Scale = "units",
    tolerance: float | None = None,
) -> Alignment:
    """The map of drawing ``a`` onto drawing ``b``; see the module's head.

    Args:
        rotation: turns that are tried: none, multiples of 90°, or any angle.
        mirror: whether mirrored poses are tried too.
        scale: "units": 1 and what the units allow (one that is not stated: `UNITS_MM`); "any": all scales.
        tolerance: largest distance at which strokes agree, drawing units of ``b``; default `default_tolerance`.
    """
    units = [[drawing.unit_mm] if drawing.unit_mm else UNITS_MM for drawing in (a, b)]
    ratios = [one / other for one in units[0] for other in units[1]]
    if tolerance is None:
        tolerance = default_tolerance(b)
    return align_strokes(
        strokes(a), strokes(b), rotation=rotation, mirror=mirror, scale=scale, unit_ratios=ratios, tolerance=tolerance
    )


def default_tolerance(drawing: Drawing) -> float:
    """0.01 mm in drawing units, but within 1/100,000 and 1/10,000 of the frame's diagonal; never 0.

    A unit that the file does not state counts as millimetres.
    """
    return _tolerance(float(np.hypot(*drawing.size)), drawing.unit_mm)


def _tolerance(diagonal: float, unit_mm: float | None) -> float:
    low, high = (share * diagonal for share in TOLERANCE_SHARE)
    return max(min(max(TOLERANCE_MM / (unit_mm or 1.0), low), high), 1e-9)


def align_strokes(
    a: Strokes,
    b: Strokes,
    *,
    rotation: Rotation = "none",
    mirror: bool = False,
    scale: Scale = "units",
    unit_ratios: Sequence[float] = (1.0,),
    tolerance: float | None = None,
) -> Alignment:
    """`align` for strokes alone; ``unit_ratios``: what a length of 1 in ``a`` may be in ``b`` by their units."""
    a, b = pen_strokes(a), pen_strokes(b)
    if tolerance is None:
        frame = robust_frame(b.box)
        tolerance = _tolerance(float(np.hypot(*(frame[2:] - frame[:2]))), None)
    nothing = Alignment(IDENTITY, False, 0, 0.0, 0.0, 0.0, 0.0, tolerance)
    if len(a.kind) == 0 or len(b.kind) == 0:
        return nothing
    best = nothing
    for group in _poses(a, b, rotation, mirror, scale, unit_ratios, tolerance):
        for linear, free in group:
            found = _fit(a, b, linear, free, scale == "any", tolerance)
            if found.share > PREFERRED * best.share:
                best = found
            if best.cover >= ENOUGH:
                break
        if best.cover >= SETTLED:
            break
    if best.cover < LEAST_COVER or (best.matched < 3 and best.share < SETTLED):
        return replace(nothing, matched=best.matched, cover=best.cover, share=best.share)
    return replace(best, found=True)


class Overlap:
    """How many strokes of ``a`` lie over one of ``b`` each in the pose that matches most: `align_strokes` for many pairs.

    Votes are fewer, maps are not refined and the drawing as it lies is not preferred; arguments as there, but strokes as
    of `pen_strokes`.
    """

    def __init__(
        self,
        a: Strokes,
        b: Strokes,
        *,
        rotation: Rotation = "none",
        mirror: bool = False,
        scale: Scale = "units",
        tolerance: float,
    ) -> None:
        self.least = min(len(a.kind), len(b.kind))
        known: dict[bytes, _Labels] = {}
        groups = _poses(a, b, rotation, mirror, scale, (1.0,), tolerance) if self.least else iter(())
        # of every scale, the poses that can match most first
        self._groups = [
            sorted((_matcher(a, b, linear, free, tolerance, known) for linear, free in group), key=lambda m: -m.most)
            for group in islice(groups, FEW_SCALES)
        ]

    @property
    def most(self) -> int:
        """More cannot lie over each other: what both have of every token, in the best pose."""
        return max((group[0].most for group in self._groups), default=0)

    @cached_property
    def count(self) -> int:
        """The strokes that do."""
        best = 0
        for group in self._groups:
            for match in group:
                if match.most <= best:
                    break
                best = max(best, match.best())
            if best >= SETTLED * self.least:
                break
        return best


def cells(kind: IntArray, columns: FloatArray, tolerance: float) -> IntArray:
    """Labels (n,) of rows that are equal: the same ``kind`` (n,) and, in each of the ``columns`` (n, c), values that are
    linked by steps of at most the tolerance. Rows that differ by no more than the tolerance always have one label.
    """
    label = np.unique(kind, return_inverse=True)[1]
    for column in columns.T:
        order = np.lexsort((column, label))
        step = (np.diff(label[order]) != 0) | (np.diff(column[order]) > tolerance)
        label[order] = np.concatenate([[0], np.cumsum(step)])[: len(label)]
    return label


# --- poses -----------------------------------------------------------------------------------------------------------


def pen_strokes(pen: Strokes) -> Strokes:
    """Strokes with finite boxes, polylines by their edges alone."""
    keep = (pen.kind != WHOLE) & np.isfinite(pen.box).all(axis=1)
    return Strokes(pen.kind[keep], pen.box[keep], pen.length[keep])


def _poses(
    a: Strokes,
    b: Strokes,
    rotation: Rotation,
    mirror: bool,
    scale: Scale,
    unit_ratios: Sequence[float],
    tolerance: float,
) -> Iterator[Iterator[tuple[FloatArray, bool]]]:
    """Linear maps (2, 2) to try, and whether their angle is free; in groups of one scale, best known first."""
    flips = [np.eye(2)] + ([np.diag([-1.0, 1.0])] if mirror else [])
    turns = [0] if rotation == "none" else [0, 1, 2, 3]
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])

    def group(size: float) -> Iterator[tuple[FloatArray, bool]]:
        for flip in flips:
            for turn in turns:
                yield size * np.linalg.matrix_power(quarter, turn) @ flip, False
        for flip in flips if rotation == "any" else ():
            for angle in _angles(a, b, size * flip, tolerance):
                if abs(np.degrees(angle) / 90.0 - round(np.degrees(angle) / 90.0)) < QUARTER:
                    continue  # tried already, with all strokes
                c, s = np.cos(angle), np.sin(angle)
                yield size * np.array([[c, -s], [s, c]]) @ flip, True

    sizes = dict.fromkeys([1.0, *np.round(unit_ratios, 12).tolist()])
    for size in sizes:
        yield group(size)
    for ratio in _ratios(a, b) if scale == "any" else ():
        if all(abs(ratio / known - 1.0) > 1e-6 for known in sizes):
            yield group(ratio)


def _ratios(a: Strokes, b: Strokes) -> list[float]:
    """Scales that the lengths of equal kinds agree on: peaks of the correlation of their histograms on a log axis."""
    size = 1 << int(np.ceil(np.log2(2 * RATIO_RANGE / RATIO_BIN)))
    score = np.zeros(size)
    logs = []
    for kind in np.intersect1d(a.kind, b.kind):
        one, two = (np.log(p.length[(p.kind == kind) & (p.length > 1e-9)]) for p in (a, b))
        if len(one) == 0 or len(two) == 0:
            continue
        logs.append((one, two))
        # numbers of strokes count by their logarithm: a thousand equal ones are one feature
        spectra = [
            np.fft.rfft(np.log1p(np.bincount((np.round(v / RATIO_BIN).astype(np.int64)) % size, minlength=size)))
            for v in (one, two)
        ]
        score += np.fft.irfft(spectra[0].conj() * spectra[1], size)
    if not logs:
        return []
    score = score + np.roll(score, 1) + np.roll(score, -1)
    found: list[float] = []
    for _ in range(3):
        peak = int(np.argmax(score))
        if score[peak] <= 1e-9:
            break
        shift = (peak if peak < size // 2 else peak - size) * RATIO_BIN
        found.append(_exact_ratio(logs, shift))
        score[(np.arange(peak - 2, peak + 3)) % size] = 0.0
    return found


def _exact_ratio(logs: list[tuple[FloatArray, FloatArray]], shift: float) -> float:
    """A scale from its rough logarithm: the middle of the ratios of lengths that nearly agree."""
    differences = []
    for one, two in logs:
        two = np.sort(two)
        place = np.clip(np.searchsorted(two, one + shift), 1, max(len(two) - 1, 1))
        candidates = np.stack([two[place - 1], two[np.minimum(place, len(two) - 1)]]) - one
        nearest = candidates[np.abs(candidates - shift).argmin(axis=0), np.arange(len(one))]
        differences.append(nearest[np.abs(nearest - shift) <= 2 * RATIO_BIN])
    near = np.sort(np.concatenate(differences))
    if len(near) == 0:
        return float(np.exp(shift))
    # the densest place of the ratios: half of them in the shortest interval
    half = max(len(near) // 2, 1)
    start = int(np.argmin(near[half - 1 :] - near[: len(near) - half + 1]))
    return float(np.exp(np.median(near[start : start + half])))


def _angles(a: Strokes, b: Strokes, linear: FloatArray, tolerance: float) -> list[float]:
    """Angles in radians by which ``linear`` of a has to be turned: those that pairs of equal strokes agree on."""
    one, two = _turnable(a), _turnable(b)
    if len(one.kind) < 2 or len(two.kind) < 2:
        return []
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    label = cells(
        np.concatenate([one.kind, two.kind]), np.concatenate([one.length * scale, two.length])[:, None], tolerance
    )
    i, j, weight = _pairs(label[: len(one.kind)], label[len(one.kind) :], ANGLE_PAIRS)
    p, q = one.centre[i] @ linear.T, two.centre[j]
    first, second = np.triu_indices(len(i), 1)
    from_a, from_b = p[second] - p[first], q[second] - q[first]
    reach, other = np.hypot(*from_a.T), np.hypot(*from_b.T)
    agree = (np.abs(reach - other) <= 2 * tolerance) & (reach > 100 * tolerance)
    from_a, from_b, reach = from_a[agree], from_b[agree], reach[agree]
    vote = weight[first[agree]] * weight[second[agree]]
    if len(vote) == 0:
        return []
    cross = from_a[:, 0] * from_b[:, 1] - from_a[:, 1] * from_b[:, 0]
    angle = np.degrees(np.arctan2(cross, (from_a * from_b).sum(axis=1))) % 360.0
    bins = round(360.0 / ANGLE_BIN)
    number = np.floor(angle / ANGLE_BIN).astype(np.int64) % bins
    score = np.bincount(number, vote, bins)
    score = score + np.roll(score, -1)  # of a bin and the next, so that no angle lies on a border
    found = []
    for _ in range(PEAKS):
        peak = int(np.argmax(score))
        if score[peak] <= 0:
            break
        off = (angle - (peak + 1) * ANGLE_BIN + 180.0) % 360.0 - 180.0
        near = np.abs(off) <= ANGLE_BIN
        # long distances tell an angle best
        order = np.argsort(off[near])
        half = np.cumsum((vote * reach)[near][order])
        middle = off[near][order][int(np.searchsorted(half, half[-1] / 2))]
        found.append(float(np.radians((peak + 1) * ANGLE_BIN + middle)))
        score[np.arange(peak - 2, peak + 3) % bins] = 0.0
    return found


def _turnable(pen: Strokes) -> Strokes:
    keep = np.isin(pen.kind, UNTURNED)
    return Strokes(pen.kind[keep], pen.box[keep], pen.length[keep])


# --- one pose --------------------------------------------------------------------------------------------------------


def _fit(a: Strokes, b: Strokes, linear: FloatArray, turned: bool, scaled: bool, tolerance: float) -> Alignment:
    """The best displacement under a linear map, refined."""
    scale = _scale(linear)
    match = _matcher(a, b, linear, turned, tolerance)
    identity = np.array_equal(linear, np.eye(2))
    if identity:
        stays = match.at(np.zeros(2))
        if stays.cover >= SETTLED:
            return stays
    peaks = match.displacements(VOTES)
    if len(peaks) == 0:
        return stays if identity else match.at(np.zeros(2))
    tried = match.quick(peaks, BIN * tolerance, TRIED)
    found = match.at(peaks[int(np.argmax(tried))], linear, free=(turned, scaled and scale != 1.0))
    return stays if identity and stays.share >= STAYS * found.share and stays.share > 0 else found


def _scale(linear: FloatArray) -> float:
    return float(np.sqrt(abs(np.linalg.det(linear))))


def _matcher(
    a: Strokes,
    b: Strokes,
    linear: FloatArray,
    turned: bool,
    tolerance: float,
    known: dict[bytes, _Labels] | None = None,
) -> _Matcher:
    """Strokes of a under a linear map against those of b; ``turned``: by no multiple of 90°. ``known``: labels of the
    same strokes that were made before, for poses in which sizes are the same."""
    scale = _scale(linear)
    if turned:  # boxes of turned strokes are not known: lengths are
        a, b = _turnable(a), _turnable(b)
    known = {} if known is None else known
    key = np.abs(linear).tobytes()
    if key not in known or turned:
        if turned:
            columns = np.concatenate([a.length * scale, b.length])[:, None]
        else:
            columns = np.concatenate([a.size @ np.abs(linear).T, b.size])
        label = cells(np.concatenate([a.kind, b.kind]), columns, tolerance)
        known[key] = _Labels(b.centre, label[: len(a.kind)], label[len(a.kind) :], tolerance)
    return _Matcher(a.centre @ linear.T, known[key], a.length * scale, b.length, tolerance)


class _Labels:
    """Tokens of both drawings' strokes, and what follows from them wherever a is moved to."""

    def __init__(self, q: FloatArray, token: IntArray, other: IntArray, tolerance: float) -> None:
        self.q, self.token, self.other, self.tolerance = q, token, other, tolerance
        # tokens as a third axis: strokes of different tokens are never near
        self.apart = 10.0 * BIN * tolerance
        self._voters: dict[int, tuple[IntArray, IntArray, FloatArray]] = {}

    @cached_property
    def tree(self) -> Any:
        """Of b's strokes."""
        from scipy.spatial import cKDTree

        return cKDTree(np.column_stack([self.q, self.other * self.apart]))

    @cached_property
    def counts(self) -> tuple[IntArray, IntArray]:
        """Strokes of each token in a and in b."""
        size = int(max(self.token.max(initial=-1), self.other.max(initial=-1))) + 1
        return np.bincount(self.token, minlength=size), np.bincount(self.other, minlength=size)

    @cached_property
    def most(self) -> int:
        """The most strokes that any displacement can match: tokens that both drawings have."""
        return int(np.minimum(*self.counts).sum())

    @cached_property
    def places(self) -> IntArray:
        """(m,) labels of b's strokes: equal ones that lie over each other have the same."""
        return cells(self.other, self.q, self.tolerance)

    def voters(self, votes: int) -> tuple[IntArray, IntArray, FloatArray]:
        """`_pairs` of about so many strokes."""
        if votes not in self._voters:
            self._voters[votes] = _pairs(self.token, self.other, votes)
        return self._voters[votes]


class _Matcher:
    """Strokes of a, turned and scaled already, against those of b: which displacement matches how much."""

    def __init__(
        self,
        p: FloatArray,  # (n, 2) centres
        labels: _Labels,
        length: FloatArray,
        other_length: FloatArray,
        tolerance: float,
    ) -> None:
        self.p, self.q, self.labels, self.token = p, labels.q, labels, labels.token
        self.length, self.other_length, self.tolerance = length, other_length, tolerance

    @property
    def most(self) -> int:
        """The most strokes that any displacement can match."""
        return self.labels.most

    def quick(self, displacements: FloatArray, reach: float, sample: int) -> FloatArray:
        """(k,) share of about ``sample`` of a's strokes that are matched under each of the displacements (k, 2)."""
        picked = slice(None, None, max(len(self.p) // sample, 1))
        p, token = self.p[picked], self.token[picked]
        moved = (p + displacements[:, None]).reshape(-1, 2)
        near, _ = self._nearest(moved, np.tile(token, len(displacements)), reach)
        share: FloatArray = np.isfinite(near).reshape(len(displacements), -1).mean(axis=1)
        return share

    def _nearest(self, p: FloatArray, token: IntArray, reach: float) -> tuple[FloatArray, IntArray]:
        distance, index = self.labels.tree.query(
            np.column_stack([p, token * self.labels.apart]), distance_upper_bound=reach * (1 + 1e-9)
        )
        return distance, index

    def displacements(self, votes: int) -> FloatArray:
        """(k, 2) displacements to try: the peaks of so many votes, and what lays borders on each other."""
        i, j, weight = self.labels.voters(votes)
        if len(i) == 0:
            return np.zeros((0, 2))
        delta = self.q[j] - self.p[i]
        ends = np.array([self.q.min(axis=0) - self.p.min(axis=0), self.q.max(axis=0) - self.p.max(axis=0)])
        # four grids, each shifted by half a bin: votes that nearly agree share a bin of one of them
        width = 2 * BIN * self.tolerance
        place = (delta / width).T
        x = np.floor(place[0] + np.array([0.0, 0.0, 0.5, 0.5])[:, None]).ravel()
        y = np.floor(place[1] + np.array([0.0, 0.5, 0.0, 0.5])[:, None]).ravel()
        grid = np.repeat(np.arange(4), len(delta))
        order = np.lexsort((y, x, grid))
        x, y, grid = x[order], y[order], grid[order]
        starts = np.append(True, (x[1:] != x[:-1]) | (y[1:] != y[:-1]) | (grid[1:] != grid[:-1]))
        start = np.flatnonzero(starts)
        vote = order % len(delta)
        total = np.add.reduceat(weight[vote], start)
        end = np.append(start[1:], len(order))
        tries: list[tuple[float, float]] = [(float(dx), float(dy)) for dx, dy in ends]
        for peak in np.argsort(-total, kind="stable")[: 4 * PEAKS]:
            alike = delta[vote[start[peak] : end[peak]]]
            half = len(alike) // 2
            dx, dy = float(np.sort(alike[:, 0])[half]), float(np.sort(alike[:, 1])[half])
            if all(abs(dx - u) > self.tolerance or abs(dy - v) > self.tolerance for u, v in tries):
                tries.append((dx, dy))
            if len(tries) == PEAKS + 2:
                break
        return np.array(tries)

    def at(
        self, displacement: FloatArray, linear: FloatArray | None = None, free: tuple[bool, bool] = (False, False)
    ) -> Alignment:
        """How much matches under a displacement, after refining it; ``free`` = turn and scale may be refined too."""
        move = np.column_stack([np.eye(2), displacement])
        for reach in (BIN * self.tolerance, self.tolerance, self.tolerance) if linear is not None else ():
            near, index = self._nearest(_moved(move, self.p), self.token, reach)
            hit = np.isfinite(near)
            if not hit.any():
                break
            move = _least_squares(self.p[hit], self.q[index[hit]], *free)
        mine, near = self._one_to_one(*self._nearest(_moved(move, self.p), self.token, self.tolerance))
        count, ink = len(mine), float(self.length[mine].sum())
        totals = np.array([[len(self.p), self.length.sum()], [len(self.q), self.other_length.sum()]])
        totals = np.maximum(totals, 1e-300)
        by_number, by_length = count / totals[:, 0], np.minimum(ink / totals[:, 1], 1.0)
        cover = float((by_number.max() + (by_length.max() if ink else by_number.max())) / 2)
        share = float((2 * count / totals[:, 0].sum() + (2 * ink / totals[:, 1].sum() if ink else 0.0)) / 2)
        distinct = len(np.unique(self.token[mine]))
        residual = float(np.sqrt((near**2).mean())) if count else 0.0
        matrix = IDENTITY if linear is None else np.column_stack([move[:, :2] @ linear, move[:, 2]])
        confidence = cover * (1.0 - 0.5**distinct)
        return Alignment(matrix, False, count, cover, share, residual, confidence, self.tolerance)

    def best(self) -> int:
        """Strokes of a that have one of b for themselves, under the best displacement of few."""
        tries = np.concatenate([np.zeros((1, 2)), self.displacements(FEW_VOTES)])
        shares = self.quick(tries, self.tolerance, FEW_TRIED)
        moved = self.p + tries[int(np.argmax(shares))]
        return len(self._one_to_one(*self._nearest(moved, self.token, self.tolerance))[0])

    def _one_to_one(self, near: FloatArray, index: IntArray) -> tuple[IntArray, FloatArray]:
        """Strokes of a that have one of b for themselves, and their distances: of k over each other in a and l in b
        the first min(k, l).
        """
        asks = np.flatnonzero(np.isfinite(near))
        place = self.labels.places[index[asks]]
        order = np.argsort(place, kind="stable")
        _, start, count = np.unique(place[order], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(start, count)
        served = asks[order[rank < np.bincount(self.labels.places)[place[order]]]]
        return served, near[served]


def _moved(move: FloatArray, p: FloatArray) -> FloatArray:
    result: FloatArray = p @ move[:, :2].T + move[:, 2]
    return result


def _least_squares(p: FloatArray, q: FloatArray, turn: bool, scale: bool) -> FloatArray:
    """(2, 3) move of points p (k, 2) onto q with the least sum of squares; turn and scale 1 unless they are free."""
    mean_p, mean_q = p.mean(axis=0), q.mean(axis=0)
    u, v = p - mean_p, q - mean_q
    linear = np.eye(2)
    spread = float((u**2).sum())
    if (turn or scale) and spread > 0:
        along, across = float((u * v).sum()), float((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum())
        angle = np.arctan2(across, along) if turn else 0.0
        size = (np.hypot(along, across) if turn else along) / spread if scale else 1.0
        linear = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, mean_q - linear @ mean_p])


def _pairs(token: IntArray, other: IntArray, most: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs (i, j) of strokes with one token, rare tokens first, about ``most`` of them; and their weights.

    All pairs of a token weigh √(number in a × number in b) together at most: a weight is one over it. Of a token with
    very many strokes a spread sample is taken.
    """
    size = int(max(token.max(initial=-1), other.max(initial=-1))) + 1
    in_a, in_b = np.bincount(token, minlength=size), np.bincount(other, minlength=size)
    common = np.flatnonzero((in_a > 0) & (in_b > 0))
    order = common[np.argsort(in_a[common] * in_b[common], kind="stable")]
    limit = int(np.sqrt(most))
    sorted_a, sorted_b = np.argsort(token, kind="stable"), np.argsort(other, kind="stable")
    end_a, end_b = np.cumsum(in_a), np.cumsum(in_b)
    taken_a, taken_b = np.minimum(in_a[order], limit), np.minimum(in_b[order], limit)
    product = taken_a * taken_b
    count = max(int(np.searchsorted(np.cumsum(product), most, side="right")), 1) if len(order) else 0
    order, taken_a, taken_b, product = order[:count], taken_a[:count], taken_b[:count], product[:count]
    of = np.repeat(np.arange(count), product)
    number = np.arange(len(of)) - np.repeat(np.cumsum(product) - product, product)
    # the k-th of `taken` strokes spread over all of the token
    k_a, k_b = number // taken_b[of], number % taken_b[of]
    i = sorted_a[end_a[order[of]] - in_a[order[of]] + k_a * in_a[order[of]] // taken_a[of]]
    j = sorted_b[end_b[order[of]] - in_b[order[of]] + k_b * in_b[order[of]] // taken_b[of]]
    return i, j, 1.0 / np.sqrt(product[of].astype(np.float64))
