"""Drawing -> geometry codes: how the drawn things lie over each other.

Glossary
--------
class graph     ten nodes, one a class: how many of its entities overlap which other classes (`class_graph`).
entity graph    a node an entity, typed sparse edges between neighbours (`entity_graph`).
block           here: a part of the sheet that is encoded on its own (`blocks`); not the DXF block that INSERT places.
node, edge      as in graph theory; edges are a pair of row arrays, never a dense matrix.
degree cap      bound on the partners that one entity lists, so that heaps of entities over each other stay affordable.
core            what remains crowded when all entities that can list their partners within the cap have done so.

Boxes are compared on a grid of whole numbers (`STEPS` cells along the frame's longer side), relative to the frame: the
last bits of coordinates, which differ after a drawing was moved or saved again, then cannot add or remove an edge.
Cost: n log n and the output, memory n and the output, for any input.
Letters in shapes: n nodes, e edges, b blocks, p pairs.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import BoolArray, Drawing, EntityClass, FloatArray, IntArray
from deepdxf.errors import DeepDXFError
from deepdxf.files import replacing
from deepdxf.geometry import once
from deepdxf.raster import RasterCode, raster_code
from deepdxf.sequence import ClassicCode, RichCode, classic, finite_boxes, rich
from deepdxf.vocabulary import LIMIT, Scale, column

C = EntityClass

STEPS = 100_000  # grid cells along the frame's longer side; at most one apart is touching: 0.01 mm on a sheet of 1 m
REACH = 1 << 23  # what lies further out, in cells, is taken to lie there; keeps squared distances exact in float64

# --- class graph -----------------------------------------------------------------------------------------------------

# The ten nodes are the first ten classes. SPLINE and SOLID are merged out: a spline counts as the polyline that it
# could be drawn as, a solid as the hatch that fills the same area.
N_NODES = 10
NODE_OF_CLASS = np.array([*range(N_NODES), C.LWPOLYLINE, C.HATCH])
MISSING = -1.0

Pairs = tuple[IntArray, IntArray, int]  # boxes that meet, see `box_pairs`


@dataclass(frozen=True, eq=False)
class ClassGraph:
    """Ten classes and how their entities overlap."""

    matrix: NDArray[np.float32]  # (10, 11) see `class_matrix`
    successor: NDArray[np.uint8]  # (10, 10) 1 where an entity of one class directly follows one of the other, by handle
    overlap: NDArray[np.uint8]  # (10, 10) 1 where entities of the two classes overlap; both symmetric, diagonal 0


def class_graph(drawing: Drawing) -> ClassGraph:
    """The class graph of the rows of depth 0: an INSERT is one entity, whose box is that of its content."""
    rows = np.flatnonzero(drawing.depth == 0)
    node = NODE_OF_CLASS[drawing.cls[rows]]
    if drawing.drawn is drawing:  # nothing is inserted: these are the boxes of the entity graph
        counts = overlap_counts(grid_boxes(drawing), node, drawn_pairs(drawing))
    else:
        counts = overlap_counts(Scale.of(drawing).snap(content_boxes(drawing)[rows], STEPS, REACH), node)
    successor = np.zeros((N_NODES, N_NODES), np.uint8)
    successor[node[:-1], node[1:]] = successor[node[1:], node[:-1]] = 1
    np.fill_diagonal(successor, 0)
    overlap = counts[:, 1:] > 0
    return ClassGraph(
        class_matrix(counts, np.bincount(node, minlength=N_NODES)), successor, (overlap | overlap.T).astype(np.uint8)
    )


def content_boxes(drawing: Drawing) -> FloatArray:
    """(n, 4) boxes in which an INSERT has the box of its content; one without content keeps its insertion point."""
    own = finite_boxes(drawing)
    box = own.copy()
    insert = drawing.cls == C.INSERT
    box[insert] = [np.inf, np.inf, -np.inf, -np.inf]
    for level in range(int(drawing.depth.max(initial=0)), -1, -1):
        rows = np.flatnonzero(drawing.depth == level)
        empty = rows[box[rows, 0] > box[rows, 2]]
        box[empty] = own[empty]
        if level and len(rows):
            parent = drawing.parent[rows]
            run = np.flatnonzero(np.append(True, parent[1:] != parent[:-1]))  # a parent's rows mostly stand together
            np.minimum.at(box[:, :2], parent[run], np.minimum.reduceat(box[rows, :2], run))
            np.maximum.at(box[:, 2:], parent[run], np.maximum.reduceat(box[rows, 2:], run))
    return box


@once
def grid_boxes(drawing: Drawing) -> IntArray:
    """(n, 4) boxes of all rows on the grid."""
    return Scale.of(drawing).snap(finite_boxes(drawing), STEPS, REACH)


@once
def drawn_pairs(drawing: Drawing) -> Pairs:
    """The pairs of the visible rows, counted without the others, that meet."""
    return box_pairs(grid_boxes(drawing)[drawing.visible])


def overlap_counts(box: IntArray, node: IntArray, meeting: Pairs | None = None) -> IntArray:
    """(10, 11) counts: entities of a class that overlap no other class, then entities that overlap class 0, 1, …, 9.

    Overlap: boxes at most one grid cell apart, one inside the other included. Exact, whatever the crowd. Own class 0.
    ``meeting``: the `box_pairs` of the boxes, where they are known.
    """
    pairs, core, _ = meeting or box_pairs(box)
    touched = np.zeros((len(box), N_NODES), bool)
    touched[pairs[0], node[pairs[1]]] = True
    touched[pairs[1], node[pairs[0]]] = True
    wide = box[core] + np.array([-1, -1, 1, 1])
    for c in np.unique(node[core]):  # pairs inside the core were not all listed, but they can be counted
        touched[core, c] |= count_meeting(wide, box[core[node[core] == c]]) > 0
    touched[np.arange(len(box)), node] = False
    counts = np.zeros((N_NODES, N_NODES + 1), np.int64)
    counts[:, 0] = np.bincount(node[~touched.any(axis=1)], minlength=N_NODES)
    for c in range(N_NODES):
        counts[:, 1 + c] = np.bincount(node[touched[:, c]], minlength=N_NODES)
    return counts


def class_matrix(counts: IntArray, entities: IntArray) -> NDArray[np.float32]:
    """(10, 11) matrix of the class graph from `overlap_counts` and the entities of each class (10,).

    First column: entities on their own, as shares of the column's sum. The other columns, one a class: shares of the
    row's sum; the own class is 0. A class that the drawing has not is missing: its row and its column are −1. Zero
    always means that both classes are there and do not overlap.
    """
    matrix = counts.astype(float)
    matrix[:, 0] /= max(matrix[:, 0].sum(), 1.0)
    matrix[:, 1:] /= np.maximum(matrix[:, 1:].sum(axis=1, keepdims=True), 1.0)
    absent = entities == 0
    matrix[absent] = MISSING
    matrix[:, 1:][:, absent] = MISSING
    return matrix.astype(np.float32)


# --- entity graph ----------------------------------------------------------------------------------------------------


class Relation(IntEnum):
    """Kinds of edges. Boxes more than one grid cell apart have no relation but NEAR and SUCCESSOR."""

    TOUCH = 0  # boxes meet at their borders
    OVERLAP = 1  # boxes share more than that, and neither strictly contains the other
    CONTAIN = 2  # the first strictly contains the second
    NEAR = 3  # box centres among each other's nearest, boxes apart
    SUCCESSOR = 4  # the second follows the first in the sequence code


MAX_DEGREE = (
    16  # partners that an entity lists for TOUCH, OVERLAP and CONTAIN; it may be listed by any number of others
)
NEAREST = 8  # sites of box centres among which NEAR looks
EDGE_FEATURES = ("delta_x", "delta_y", "log_size_ratio", "cos2_angle", "sin2_angle")


@dataclass(frozen=True, eq=False)
class EntityGraph:
    """Sparse graph; its nodes are the rows of the `RichCode` that it was made with."""

    place: NDArray[np.float32]  # (n, 2) box centres, the frame is [0, 1]², strays lie outside of it
    edges: NDArray[np.int32]  # (2, e) first and second node; TOUCH, OVERLAP and NEAR once a pair, lower node first
    relation: NDArray[np.uint8]  # (e,) Relation; a pair may have SUCCESSOR beside another one
    features: NDArray[np.float32]  # (e, 5) EDGE_FEATURES, from the first node to the second
    left_out: int  # pairs of boxes that meet but got no edge, because both ends are crowded


def entity_graph(drawing: Drawing, nodes: RichCode) -> EntityGraph:
    """The entity graph over the rows of a rich code of the same drawing.

    TOUCH, OVERLAP and CONTAIN join the boxes that meet: all of them, except inside a core of entities that each meet
    more than `MAX_DEGREE` others of the core; there only pairs at most ``MAX_DEGREE // 2`` apart in drawing order (see
    `box_pairs`). NEAR joins an entity to the nearest box centres. Features: difference of the box centres in shares of
    the frame's longer side; log2 of the ratio of the boxes' diagonals; cosine and sine of twice the angle between the
    main axes, times how elongated the two are. Edges are sorted by relation, first and second node.
    """
    box = grid_boxes(drawing)[nodes.row]
    pairs, _, left_out = box_pairs(box) if nodes.cut else drawn_pairs(drawing)
    relation, swap = relations(box, pairs)
    first, second = np.where(swap, pairs[::-1], pairs)
    n = len(box)
    bits = n.bit_length()
    key = np.sort((relation << bits | first) << bits | second)  # sorted as one number, which is then taken apart
    near = near_pairs(box)  # sorted, as the successors are
    successor = np.stack([np.arange(n - 1), np.arange(1, n)]) if n else near
    meeting = np.stack([key >> bits, key]) & ((1 << bits) - 1)
    edges = np.concatenate([meeting, near, successor], axis=1).astype(np.int32)
    kind = np.repeat([Relation.NEAR, Relation.SUCCESSOR], [near.shape[1], successor.shape[1]])
    kind = np.concatenate([key >> 2 * bits, kind]).astype(np.uint8)
    place = ((box[:, :2] + box[:, 2:]) / (2.0 * STEPS) + 0.5).astype(np.float32)
    return EntityGraph(place, edges, kind, edge_features(box, nodes, edges), left_out)


def edge_features(box: IntArray, nodes: RichCode, edges: NDArray[np.int32]) -> NDArray[np.float32]:
    """(e, 5) `EDGE_FEATURES`; see `entity_graph`."""
    first, second = edges
    centre = ((box[:, :2] + box[:, 2:]) / (2.0 * STEPS)).astype(np.float32)
    size = np.log2(np.hypot(*(box[:, 2:] - box[:, :2]).T) + 1.0).astype(
        np.float32
    )  # + 1: points have a size, of one cell
    of_node = np.stack([*centre.T, size, nodes.values[:, COS], nodes.values[:, SIN]])
    (x0, y0, size0, cos0, sin0), (x1, y1, size1, cos1, sin1) = of_node.take(first, axis=1), of_node.take(second, axis=1)
    return np.column_stack([x1 - x0, y1 - y0, size1 - size0, cos0 * cos1 + sin0 * sin1, cos0 * sin1 - sin0 * cos1])


COS, SIN = column("cos2_signed"), column("sin2_signed")


def relations(box: IntArray, pairs: IntArray) -> tuple[IntArray, BoolArray]:
    """Relation of each pair of boxes that meet (p,), and whether the second one is the container."""
    # side by side, and of 32 bits: far faster than many short rows
    sides = np.ascontiguousarray(box.T.astype(np.int32))
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = (sides.take(end, axis=1) for end in pairs)
    a_in_b = (ax0 > bx0 + 1) & (ay0 > by0 + 1) & (ax1 < bx1 - 1) & (ay1 < by1 - 1)
    b_in_a = (bx0 > ax0 + 1) & (by0 > ay0 + 1) & (bx1 < ax1 - 1) & (by1 < ay1 - 1)
    touch = np.zeros(len(ax0), bool)
    for a0, a1, b0, b1 in ((ax0, ax1, bx0, bx1), (ay0, ay1, by0, by1)):
        # how far the boxes reach into each other; where both have no width in an axis, that axis says nothing
        touch |= (np.minimum(a1 - b0, b1 - a0) <= 1) & ~((a1 - a0 <= 1) & (b1 - b0 <= 1))
    kind = np.where(a_in_b | b_in_a, Relation.CONTAIN, np.where(touch, Relation.TOUCH, Relation.OVERLAP))
    return kind, a_in_b


def near_pairs(box: IntArray) -> IntArray:
    """(2, p) pairs, lower node first, of entities and the nearest centres around them whose boxes are apart.

    Entities with one centre are one site, named by its first entity: every entity of a site is joined to the names of
    the `NEAREST` next sites. Without that, a heap of concentric entities would be its own neighbourhood, at quadratic
    cost.
    """
    from scipy.spatial import KDTree

    nothing = np.zeros((2, 0), np.int64)
    centre = box[:, :2] + box[:, 2:]  # in half cells
    _, name, site = np.unique(centre[:, 0] * (8 * REACH) + centre[:, 1], return_index=True, return_inverse=True)
    sites = centre[name]
    if len(sites) < 2:
        return nothing
    neighbours = min(NEAREST + 1, len(sites))
    _, found = KDTree(sites).query(sites, k=neighbours)
    second = name[found[site]]
    apart = np.zeros((len(box), neighbours), bool)  # a site is not apart from itself
    sides = np.ascontiguousarray(box.T.astype(np.int32))
    for low, high in ((sides[0], sides[2]), (sides[1], sides[3])):
        apart |= low[:, None] > high[second] + 1
        apart |= low[second] > high[:, None] + 1
    first = np.repeat(np.arange(len(box)), neighbours)
    return unique_pairs(first[apart.ravel()], second[apart])


def unique_pairs(first: IntArray, second: IntArray) -> IntArray:
    """(2, p) distinct pairs, lower row first, sorted."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    bits = int(high.max(initial=0)).bit_length()
    key = np.sort(low << bits | high)  # np.unique hashes, which is slower for keys like these
    key = key[np.append(True, key[1:] != key[:-1])[: len(key)]]
    return np.stack([key >> bits, key & ((1 << bits) - 1)])


# --- boxes that meet -------------------------------------------------------------------------------------------------


def box_pairs(box: IntArray, cap: int = MAX_DEGREE) -> Pairs:
    """Pairs of boxes that meet (at most one cell apart), bounded for any input.

    Round by round, every box that meets at most ``cap`` of those left lists them and leaves. So a sheet's border that
    meets 50,000 entities is listed by them, and leaves when they are gone. When nearly all that are left are crowded,
    they are the core: of their pairs only those within ``cap // 2`` rows of each other are listed.

    Args:
        box: (n, 4) whole numbers, see `Scale.snap`.
        cap: most partners that one box lists.

    Returns:
        Pairs (2, p), each once, the lower row first; the rows of the core, ascending; the number of pairs that meet and
        are not listed.
    """
    n = len(box)
    order = np.argsort(box[:, 0], kind="stable")  # from left to right: neighbours lie close in memory, twice as fast
    sorted_box = box[order]
    left = np.arange(n)  # rows of `sorted_box`, as all rows are up to the end
    listed: IntArray | None = None  # all pairs of those left, once they are few enough to be listed
    found = [np.zeros((2, 0), np.int64)]
    core = np.zeros(0, np.int64)
    while len(left):
        if listed is None and (pairs_left := meeting_pairs(sorted_box[left])) is not None:
            listed = left[pairs_left]
        if listed is not None:
            leaving = np.bincount(listed.ravel(), minlength=n)[left] <= cap
            if leaving.all():  # most often at once
                found.append(listed)
                break
            leaves = np.zeros(n, bool)
            leaves[left[leaving]] = True
            leaves = leaves[listed[0]] | leaves[listed[1]]
            found.append(listed[:, leaves])
            listed = listed[:, ~leaves]
        else:
            leaving = ~is_crowded(sorted_box[left], cap)
            first, second = meeting(sorted_box[left], np.flatnonzero(leaving))
            once = ~leaving[second] | (first < second)  # two that leave both list their pair
            found.append(left[np.stack([first[once], second[once]])])
        left = left[~leaving]
        if np.count_nonzero(leaving) * SHRINK < len(leaving) and len(left) > cap:
            core = np.sort(order[left])
            break
    pairs = [order[np.concatenate(found, axis=1)]]
    left_out = 0
    if len(core):
        left_out = int(partners(box[core]).sum()) // 2 if listed is None else listed.shape[1]
        x0, y0, x1, y1 = np.ascontiguousarray(box[core].T)
        for step in range(1, cap // 2 + 1):
            meets = (x0[:-step] <= x1[step:] + 1) & (x1[:-step] >= x0[step:] - 1)
            meets &= (y0[:-step] <= y1[step:] + 1) & (y1[:-step] >= y0[step:] - 1)
            pairs.append(np.stack([core[:-step][meets], core[step:][meets]]))
            left_out -= int(np.count_nonzero(meets))
    first, second = np.concatenate(pairs, axis=1)
    return np.stack([np.minimum(first, second), np.maximum(first, second)]), core, left_out


# A round in which fewer than one in so many leave is the last: all rounds then cost a multiple of the first only.
SHRINK = 8


WIDER = np.array([-1, -1, 1, 1])  # boxes meet that are one cell apart
DIRECT = 1 << 18  # up to so many comparisons, comparing all with all is faster than being clever
SPARSE = 64  # comparisons a box, on average, up to which all pairs are listed
TALL = 8  # strips that a box lies in, on average, up to which it is tried


def meeting_pairs(box: IntArray) -> IntArray | None:
    """(2, p) all pairs of boxes that meet, each once; None where they are too many, or hard to find.

    A sweep from left to right through strips that hold equally many boxes: in each, a box is compared with those that
    begin further to the right, but before it ends.

    Args:
        box: (n, 4), sorted from left to right.
    """
    n = len(box)
    # a pair is found in the strip where the upper one of the two begins
    lines = np.sort(box[:, 1])[:: max(STRIP * int(np.sqrt(n)), 1)]
    lowest, highest = np.searchsorted(lines, box[:, 1], "right"), np.searchsorted(lines, box[:, 3] + 1, "right")
    strips = highest - lowest + 1
    if strips.sum() > max(DIRECT, TALL * n):
        return None
    row = np.repeat(np.arange(n), strips)
    strip = np.arange(len(row)) - np.repeat(np.cumsum(strips) - strips - lowest, strips)
    order = np.argsort(strip.astype(np.int16), kind="stable")  # of 16 bits: sorted in linear time
    row, strip = row[order], strip[order]
    start = strip * (8 * REACH)
    end = np.searchsorted(start + box[row, 0], start + box[row, 2] + 1, "right")
    after = end - np.arange(1, len(row) + 1)
    if after.sum() > max(DIRECT, SPARSE * n):
        return None
    one = np.repeat(np.arange(len(row)), after)
    other = np.arange(len(one)) + np.repeat(end - np.cumsum(after), after)
    first, second = row[one], row[other]
    low, high = np.ascontiguousarray(box[:, 1]), box[:, 3] + 1
    meets = (low[second] <= high[first]) & (low[first] <= high[second])
    meets &= strip[one] == np.maximum(lowest[first], lowest[second])
    return np.stack([first[meets], second[meets]])


STRIP = 2  # √n boxes begin in a strip


def meeting(box: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """The boxes that meet those of the rows, themselves among them: pairs of a row and another one, (p,) each.

    Twice as fast where the boxes are sorted from left to right.
    """
    from shapely import STRtree, linestrings

    # diagonals stand for the boxes: only their extents are compared. Half a cell wider on all sides, those meet that
    # are one cell apart.
    diagonals = linestrings((box + WIDER / 2.0).reshape(-1, 2, 2))
    first, second = STRtree(diagonals).query(diagonals[rows])
    return rows[first], second


def partners(box: IntArray) -> IntArray:
    """(n,) how many other boxes each box meets: lies at most one cell apart from."""
    return count_meeting(box + WIDER, box) - 1


def is_crowded(box: IntArray, cap: int) -> BoolArray:
    """(n,) whether each box meets more than ``cap`` others. Counts only where a cheap bound leaves it open."""
    wide = box + WIDER
    result = most_meeting(wide, box) > cap + 1
    result[result] = count_meeting(wide[result], box) > cap + 1
    return result


def most_meeting(query: IntArray, box: IntArray) -> IntArray:
    """(q,) upper bound of `count_meeting`, in n + q: boxes that have a cell of a coarse grid in common with the query.

    Counted without listing them by an Euler histogram (Beigel, Tanin, The geometry of browsing, 1998): the cells that
    two boxes share are a rectangle, and in a rectangle the cells, less the inner edges, plus the inner corners, are 1.
    """
    # lines of the grid: where boxes begin, so that there are cells where there is something
    step = max(int(np.sqrt(len(box))), 1)
    lines = [np.sort(box[:, axis])[::step] for axis in (0, 1)]
    cells = len(lines[0]) + 1

    def grid(corners: IntArray) -> IntArray:
        return np.stack([np.searchsorted(lines[side % 2], corners[:, side], "right") for side in range(4)])

    x0, y0, x1, y1 = grid(box)
    left, below, right, above = grid(query)
    result = np.zeros(len(query), np.int64)
    side = cells + 1
    for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):  # cells, edges across and along, corners
        x_end, y_end = x1 + 1 - dx, y1 + 1 - dy
        change = np.bincount(np.concatenate([x0 * side + y0, x_end * side + y_end]), minlength=side * side)
        change -= np.bincount(np.concatenate([x0 * side + y_end, x_end * side + y0]), minlength=side * side)
        total = np.zeros((side + 1, side + 1), np.int64)  # over all cells to the left and below
        total[1:, 1:] = change.reshape(side, side).cumsum(0).cumsum(1).cumsum(0).cumsum(1)
        end, top = right + 1 - dx, above + 1 - dy
        shared = total[end, top] - total[left, top] - total[end, below] + total[left, below]
        result += shared if dx == dy else -shared
    return result


def count_meeting(query: IntArray, box: IntArray) -> IntArray:
    """(q,) exact number of boxes (n, 4) that share a point with each query box (q, 4), in (n + q) log n.

    All boxes, less those wholly to the left, right, below or above; a box that lies diagonally was subtracted twice.
    """
    query, box = query.T.astype(np.int32), box.T.astype(np.int32)
    if query.shape[1] * box.shape[1] <= DIRECT:
        meets = (query[0][:, None] <= box[2]) & (query[2][:, None] >= box[0])
        meets &= (query[1][:, None] <= box[3]) & (query[3][:, None] >= box[1])
        return np.asarray(meets.sum(axis=1))
    result = np.full(query.shape[1], box.shape[1])
    sides = []  # left, right, below, above: order of the boxes, their ranks, how many are wholly there for a query
    for edge, limit in ((box[2], query[0]), (-box[0], -query[2]), (box[3], query[1]), (-box[1], -query[3])):
        order = np.argsort(edge, kind="stable")
        ascending = edge[order]
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        beyond = np.searchsorted(ascending, limit, "left").astype(np.int32)
        result -= beyond
        sides.append((order, rank, beyond))
    for order, _, end in sides[:2]:
        for _, rank, bound in sides[2:]:
            result += count_below(rank[order], end, bound)
    return result


def count_below(rank: NDArray[np.int32], end: NDArray[np.int32], bound: NDArray[np.int32]) -> IntArray:
    """(q,) how many of the first ``end`` elements of ``rank``, a permutation of 0 … n − 1, are below ``bound``.

    A wavelet matrix (Claude, Navarro, Ordóñez, The wavelet matrix, 2015): one pass over all queries for every bit.
    """
    n = len(rank)
    result = np.where(bound == n, end, 0).astype(np.int64)
    open_ = np.flatnonzero((end > 0) & (bound > 0) & (bound < n))
    end, bound = end[open_], bound[open_]
    begin = np.zeros_like(end)
    total = np.zeros_like(end)
    for bit in range((n - 1).bit_length() - 1, -1, -1):
        is_zero = (rank >> bit) & 1 == 0
        zeros = np.zeros(n + 1, np.int32)
        np.cumsum(is_zero, out=zeros[1:])
        zero_begin, zero_end = zeros[begin], zeros[end]
        # ranks with a 0 here are below the bound: count them, go on among those with a 1
        take = (bound >> bit) & 1 == 1
        total += np.where(take, zero_end - zero_begin, 0)
        begin = np.where(take, zeros[-1] + begin - zero_begin, zero_begin)
        end = np.where(take, zeros[-1] + end - zero_end, zero_end)
        rank = np.concatenate([rank[is_zero], rank[~is_zero]])
    result[open_] += total
    return result


# --- blocks of a sheet -----------------------------------------------------------------------------------------------

Method = Literal["views", "tiles", "chunks"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """A sheet cut into parts, each encoded on its own; every node is in exactly one."""

    label: NDArray[np.int32]  # (n,) block of each node, 0 … b − 1
    box: NDArray[np.float32]  # (b, 4) place of each block, the frame is [0, 1]²

    def __len__(self) -> int:
        return len(self.box)


VIEW_PIXELS = 128  # raster on which views are found
VIEW_SHARE = 0.1  # least diagonal of a view, of the frame's longer side; smaller pieces join the nearest view
SHEET_SPAN = 0.9  # what spans this share of the sheet in both axes is its border
TILES = 4  # tiles along the longer side
CHUNK = 512  # nodes of a chunk


def blocks(drawing: Drawing, nodes: RichCode, method: Method = "views") -> Blocks:
    """Cut the sheet over the rows of a rich code of the same drawing into blocks.

    ``views``   connected ink on a coarse raster. A piece within the box of another belongs to it, unless that is a
                border, which spans the sheet in both axes: it is a block of its own, the last. Pieces too small to be a
                view, such as texts and holes, join the nearest ink of a view.
    ``tiles``   squares of a quarter of the frame's longer side, by box centre; empty ones are left out; row by row from
                below.
    ``chunks``  `CHUNK` nodes in drawing order.

    Views are numbered from top left to bottom right, by the centres of their boxes in rows of a tile's height.
    """
    box = grid_boxes(drawing)[nodes.row] / STEPS + 0.5
    if method == "chunks":
        label = np.arange(len(nodes)) // CHUNK
    elif method == "tiles":
        tile = np.clip(np.floor((box[:, :2] + box[:, 2:]) / 2.0 * TILES + 1e-9), 0, TILES - 1).astype(np.int64)
        label = np.unique(tile[:, 1] * TILES + tile[:, 0], return_inverse=True)[1].reshape(-1)
    else:
        label = _views(drawing, nodes, box)
    return Blocks(label.astype(np.int32), label_boxes(box, label).astype(np.float32))


def label_boxes(box: FloatArray, label: IntArray) -> FloatArray:
    """(b, 4) box around the boxes of every label."""
    number = int(label.max(initial=-1)) + 1
    result = np.tile([np.inf, np.inf, -np.inf, -np.inf], (number, 1))
    if number:
        # labels of 16 bits are sorted in linear time, and long rows reduced far faster than many short ones
        order = np.argsort(label.astype(np.int16) if number < 1 << 15 else label, kind="stable")
        run = np.flatnonzero(np.append(True, np.diff(label[order]) > 0))
        sides = np.ascontiguousarray(box.T).take(order, axis=1)
        result[label[order[run]]] = np.concatenate(
            [np.minimum.reduceat(sides[:2], run, axis=1), np.maximum.reduceat(sides[2:], run, axis=1)]
        ).T
    return result


def thickened(wet: BoolArray) -> BoolArray:
    """Wet pixels and their eight neighbours: ink closer than three pixels (2 % of the sheet) hangs together."""
    high = wet.copy()
    high[1:] |= wet[:-1]
    high[:-1] |= wet[1:]
    result = high.copy()
    result[:, 1:] |= high[:, :-1]
    result[:, :-1] |= high[:, 1:]
    return result


def _views(drawing: Drawing, nodes: RichCode, box: FloatArray) -> IntArray:
    """(n,) labels of ``views``; ``box`` (n, 4) are the nodes' boxes with the frame as [0, 1]²."""
    from scipy import ndimage

    from deepdxf.geometry import segments
    from deepdxf.raster import ink, to_pixels

    one = np.zeros(len(nodes), np.int64)
    if len(nodes) == 0:
        return one
    kept = drawing.select(nodes.row.astype(np.int64)) if nodes.cut else drawing.drawn
    lines, owner = segments(kept, max(drawing.size) / VIEW_PIXELS)
    lines = to_pixels(lines, drawing.frame, VIEW_PIXELS)
    # an entity's ink hangs together, so its first pixel tells its piece; one without ink has its centre
    pixel = (box[:, :2] + box[:, 2:]) * (VIEW_PIXELS / 2.0)
    pixel[:, 1] = VIEW_PIXELS - pixel[:, 1]
    first = np.flatnonzero(np.append(owner[:1] >= 0, owner[1:] != owner[:-1]))
    pixel[owner[first]] = lines[first, :2]
    x, y = np.clip(np.floor(pixel + 1e-6), 0, VIEW_PIXELS - 1).astype(np.int64).T
    wet = ink(lines, VIEW_PIXELS) > 1e-6
    wet[y, x] = True
    image, _ = ndimage.label(thickened(wet), np.ones((3, 3)))
    label: IntArray = image[y, x]
    names = np.flatnonzero(np.bincount(label))
    if len(names) < 2:
        return one
    number = np.full(int(image.max()) + 1, -1)
    number[names] = np.arange(len(names))
    piece = number[label]

    extent = label_boxes(box, piece)
    size = extent[:, 2:] - extent[:, :2]
    sheet = np.clip(np.concatenate([box.min(axis=0)[:2], box.max(axis=0)[2:]]), 0.0, 1.0)
    border = (size >= SHEET_SPAN * (sheet[2:] - sheet[:2])).all(axis=1)
    large = np.flatnonzero(np.hypot(*size.T) >= VIEW_SHARE)
    # a view drawn within another's outline belongs to it: the largest piece around it, itself if there is none
    within = (extent[large, None, :2] >= extent[None, large, :2]) & (extent[large, None, 2:] <= extent[None, large, 2:])
    within = within.all(axis=2) & (border[large, None] | ~border[None, large])
    root = np.arange(len(names))
    root[large] = large[np.argmax(np.where(within, np.hypot(*size[large].T), -1.0), axis=1)] if len(large) else large
    views = np.unique(root[large])
    if len(views) < 2:
        return one
    middle = (extent[views, :2] + extent[views, 2:]) / 2.0
    views = views[np.lexsort((middle[:, 0], -np.floor(middle[:, 1] * TILES + 1e-9), border[views]))]
    view = np.full(len(names), -1)
    view[large] = np.argsort(views)[np.searchsorted(np.sort(views), root[large])]
    of_image = number
    of_image[names] = view
    label = of_image[label]
    small = label < 0
    if small.any():
        nearest = ndimage.distance_transform_edt(of_image[image] < 0, return_distances=False, return_indices=True)[
            :, y[small], x[small]
        ]
        label[small] = of_image[image[nearest[0], nearest[1]]]
    return label


# --- all codes of a drawing ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DrawingCode:
    """Every code of one drawing under one id, so that no two of them can be of different drawings."""

    id: str
    classic: ClassicCode
    rich: RichCode
    class_graph: ClassGraph
    entity_graph: EntityGraph  # over the rows of `rich`
    blocks: Blocks  # of the same rows
    raster: RasterCode = field(default_factory=RasterCode)

    def save(self, path: str | Path) -> None:
        """Write an .npz file; under its name there is never half a file.

        Raises:
            DeepDXFError: it cannot be written.
        """
        arrays = {"id": np.array(self.id)}
        for part in PARTS:
            arrays |= {f"{part}.{name}": np.asarray(value) for name, value in vars(getattr(self, part)).items()}
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> DrawingCode:
        """Read what `save` wrote.

        Raises:
            DeepDXFError: it is not such a file.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as arrays:
                parts: dict[str, Any] = {}
                for part, kind in PARTS.items():
                    values = {of.name: arrays[f"{part}.{of.name}"] for of in fields(kind)}
                    # numbers come back as arrays without axes
                    parts[part] = kind(
                        **{name: value if value.ndim else value.item() for name, value in values.items()}
                    )
                return cls(id=str(arrays["id"]), **parts)
        except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
            raise DeepDXFError(f"{path}: not a file of drawing codes ({error}); encode the drawing again") from error


PARTS: dict[str, Any] = {
    "classic": ClassicCode,
    "rich": RichCode,
    "class_graph": ClassGraph,
    "entity_graph": EntityGraph,
    "blocks": Blocks,
    "raster": RasterCode,
}


def encode(drawing: Drawing, id: str, limit: int = LIMIT, method: Method = "views", pixels: int = 0) -> DrawingCode:
    """All codes of a drawing.

    Args:
        drawing: the drawing.
        id: its name in the data set.
        limit: most rows of the sequence codes and nodes of the entity graph; what is cut is counted in them.
        method: how `blocks` cuts the sheet.
        pixels: side of the raster code; 0: without it.
    """
    nodes = rich(drawing, limit)
    return DrawingCode(
        id,
        classic(drawing, limit),
        nodes,
        class_graph(drawing),
        entity_graph(drawing, nodes),
        blocks(drawing, nodes, method),
        raster_code(drawing, pixels),
    )
