"""Duplicates of an archive: groups of drawings that are the same, or nearly, as a list to work through.

    exact   drawings that show the same (`fingerprint.canonical_hash`) at the same size, however they were saved
    near    drawings every two of which score at least the stated minimum (complete linkage): no chains, in which the
            first and the last have nothing in common
    both    near, and some of them are exact; each is in one group only

With switches a pair may also be near because one drawing is the other mirrored, or turned: what counts then
is the share of their strokes that lie over each other (`verify`), for which no file is read.

The groups of an archive are a function of its drawings and the minimum: the same each time, whatever the order in which
files were indexed. Drawings in which nothing is drawn are in no group. Nothing is ever deleted; rules for which one to
keep are only reported.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepdxf.archive import SCORE_DECIMALS, Archive
from deepdxf.decisions import Decisions, Members, Standing, Verdict, group_id
from deepdxf.descriptor import Strokes
from deepdxf.drawing import BoolArray, FloatArray, IntArray
from deepdxf.encoder import Switches, Vectors
from deepdxf.errors import DeepDXFError
from deepdxf.fingerprint import NOTHING
from deepdxf.metadata import Values, unpack, value_of
from deepdxf.verify import verify

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GroupKind = Literal["exact", "near", "both"]
Progress = Callable[[int, int], None]

SAME_SIZE = 1e-4  # of a length: exact duplicates differ by no more
BLOCK = 1024  # rows of the table of scores that are in memory at once
MOST_PAIRS = 4_000_000  # pairs that are held before they are summed up
LARGEST = 10_000  # drawings of one heap of similar ones: a table of their pairs must fit into memory
ROUNDING = 10.0**-SCORE_DECIMALS

COLUMNS = (
    "path", "root", "status", "geometry", "hash", "bytes", "modified", "entities",
    "width", "height", "width_mm", "height_mm", "unit_mm", "field", "meta",
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A drawing in a group."""

    id: str
    path: str
    root: str
    pose: str  # how it lies over the first one of the group: "", "mirrored", "turned", "mirrored and turned"
    exact: int | None  # number of the exact duplicates in the group that it is one of, from 1
    new: bool  # joined, or changed, since the group was decided about
    keep: bool | None  # by the rule: the one to keep; None without a rule, or where the rule fits none
    modified: datetime | None
    bytes: int | None
    entities: int | None
    width: float | None  # drawing units
    height: float | None
    unit_mm: float | None
    meta: Values  # of imported tables, see `metadata`


@dataclass(frozen=True)
class Group:
    """Drawings that belong together."""

    id: str  # of this set of drawings: another one, another id
    kind: GroupKind
    score: float  # the lowest of its pairs; exact duplicates count as 1
    verdict: Verdict | None  # None: open
    earlier: Verdict | None  # what was decided before others joined
    note: str  # of the decision, as are the next two
    decided: datetime | None
    by: str
    mark: str  # of what is decided about it, see `decisions.Standing.mark`
    members: tuple[Member, ...]  # by path
    shapes: Members  # what a decision about it is about

    @property
    def new(self) -> tuple[str, ...]:
        """Ids of the members that have joined since a decision."""
        return tuple(member.id for member in self.members if member.new)


class DecidedMeanwhile(DeepDXFError):
    """Somebody else has decided about groups since they were looked at; ``groups`` has them as they stand now."""

    def __init__(self, groups: Sequence[Group], way_out: str = "look at it again, then decide or leave it") -> None:
        one = groups[0]
        words = {"same": "the same", "not": "not the same", "ignore": "to be ignored", None: "open again"}[one.verdict]
        others = f", and about {len(groups) - 1} more" if len(groups) > 1 else ""
        super().__init__(
            f"others have decided about group {one.id} meanwhile{others}: it is {words}; nothing was changed: {way_out}"
        )
        self.groups = tuple(groups)


@dataclass(frozen=True)
class Duplicates:
    """The groups of an archive."""

    groups: tuple[Group, ...]  # largest first, then highest score, then path
    min_score: float
    searched: int  # drawings
    left_out: int  # drawings that could not be read, or in which nothing is drawn
    unhashed: int  # drawings that an older version indexed: they have no hash yet, and are in no exact group

    def group(self, id: str) -> Group:
        """The group of an id.

        Raises:
            DeepDXFError: there is none (any more).
        """
        for group in self.groups:
            if group.id == id:
                return group
        raise DeepDXFError(
            f"no group {id!r} at a minimum of {self.min_score:g}; a group gets another id when a drawing joins or leaves: "
            "list them again"
        )

    def open(self) -> tuple[Group, ...]:
        """The groups that nothing is decided about."""
        return tuple(group for group in self.groups if group.verdict is None)


def find_duplicates(
    archive: Archive,
    min_score: float,
    *,
    where: str | None = None,
    apart: str | None = None,
    keep: str | None = None,
    switches: Switches | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """The groups of duplicates of an archive.

    Args:
        min_score: every pair of a group is exact or scores at least this.
        where: only drawings that pass a filter, see `where`.
        apart: a tag of title blocks, or ``meta.NAME`` of imported tables: drawings with different values are no
            duplicates (another material).
        keep: rule for the one to keep: ``newest``, ``oldest``, or a pattern of paths such as ``released/*`` (of several
            that fit, the newest). Only reported.
        switches: whether drawings may be mirrored or turned; they have their size.
        progress: called with how many drawings have been compared with all others, and how many there are. What it
            raises ends the search.

    Raises:
        DeepDXFError: another size is asked for; the minimum is not in (0, 1], or so low that a heap of more than
            `LARGEST` drawings hangs together.
        ArchiveError: the archive is damaged.
        FilterError: the filter does not parse.
    """
    if not 0.0 < min_score <= 1.0:
        raise DeepDXFError(f"a minimum score of {min_score:g}; it must be above 0 and at most 1")
    switches = switches or Switches()
    if not switches.size:
        raise DeepDXFError("duplicates have one size; leave out --any-size")
    posed = switches.mirror or switches.rotation
    decisions = Decisions(archive)
    ids, vectors = archive.vectors()
    records = {row["id"]: row for row in archive.records(where, COLUMNS)}
    # rows of another process's commits in between are left for the next time
    rows = np.array([i for i, id in enumerate(ids.tolist()) if id in records], np.int64)
    found = [records[id] for id in ids[rows].tolist()]
    vectors = vectors[rows]
    exact = exact_groups(found)
    groups: list[Group] = []
    done = 0

    def step(compared: int) -> None:
        if progress is not None:
            progress(done + compared, len(found) * (2 if posed else 1))

    step(0)
    for part in _parts(found, apart):
        pens = archive.sketches([found[i]["id"] for i in part], level=switches.rotation) if posed else []
        shares = posed_shares(pens, vectors[part], min_score, switches, step) if posed else None
        done += len(part) if posed else 0
        labels = group_vectors(vectors[part], exact[part], min_score, step, shares)
        done += len(part)
        order = np.argsort(labels, kind="stable")
        for within in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
            if len(within) > 1:
                paths = {i: (found[part[i]]["path"], found[part[i]]["root"], found[part[i]]["id"]) for i in within}
                within = np.array(sorted(within, key=paths.__getitem__))
                members = part[within]
                scores = _scores(vectors[members], within, shares)
                poses = _poses([pens[i] for i in within], switches) if posed else [""] * len(within)
                records_of = [found[i] for i in members]
                groups.append(_group(records_of, exact[members], scores, poses, decisions, keep))
    groups.sort(key=lambda group: (-len(group.members), -group.score, group.members[0].path, group.id))
    missing = sum(row["geometry"] is None for row in found)
    return Duplicates(tuple(groups), min_score, len(found), len(records) - len(found), missing)


def exact_groups(records: Sequence[Mapping[str, Any]]) -> IntArray:
    """(n,) numbers of drawings: equal ones show the same at the same size.

    The same size is the same in drawing units, or in millimetres where both state their unit.
    """
    label = np.arange(len(records))
    by_shape: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        if record["geometry"] not in (None, NOTHING):
            by_shape[record["geometry"]].append(i)
    for alike in by_shape.values():
        rows = np.array(alike)
        for sizes in (("width", "height"), ("width_mm", "height_mm")):
            lengths = [max((records[i][name] or 0.0) for name in sizes) for i in alike]
            order = sorted((length, k) for k, length in enumerate(lengths) if length > 0)
            for (one, i), (other, j) in itertools.pairwise(order):
                if other <= one * (1.0 + SAME_SIZE):
                    own = label[rows]
                    label[rows[own == own[j]]] = own[i]
    number: IntArray = np.unique(label, return_inverse=True)[1].astype(np.int64)
    return number


def group_vectors(
    vectors: Vectors,
    exact: IntArray,
    min_score: float,
    step: Callable[[int], None] = lambda compared: None,
    posed: csr_array | None = None,
) -> IntArray:
    """Complete linkage: labels (n,) such that every pair of rows with one label is exact or scores at least the minimum.

    Args:
        vectors: (n, d) of unit length.
        exact: (n,) rows with one number are exact duplicates, and never parted.
        step: called with the number of rows that have been compared, again and again.
        posed: (n, n) sparse, scores of pairs in other poses; the higher one counts.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    labels = np.arange(len(vectors))
    heap = _heaps(vectors, exact, min_score, step, posed)
    order = np.argsort(heap, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(heap[order])) + 1):
        if len(rows) < 2:
            continue
        if len(rows) > LARGEST:
            raise DeepDXFError(
                f"{len(rows)} drawings hang together at a minimum score of {min_score:g}; raise it, or part them by a filter"
            )
        unit = np.unique(exact[rows], return_inverse=True)[1]
        by_unit = np.argsort(unit, kind="stable")
        rows, unit = rows[by_unit], unit[by_unit]
        start = np.flatnonzero(np.diff(unit, prepend=-1))
        # of two exact groups the least alike members count
        lowest = np.minimum.reduceat(_scores(vectors[rows], rows, posed), start, axis=0)
        scores = np.minimum.reduceat(lowest, start, axis=1)
        if len(scores) == 1:
            labels[rows] = rows[0]
            continue
        distance = np.maximum(1.0 - np.minimum(scores, scores.T), 0.0)
        np.fill_diagonal(distance, 0.0)
        tree = linkage(squareform(distance, checks=False), "complete")
        cluster = fcluster(tree, 1.0 - min_score + ROUNDING / 2, "distance")[unit]
        for number in np.unique(cluster):
            members = rows[cluster == number]
            labels[members] = members.min()
    return labels


def _scores(vectors: Vectors, rows: IntArray, posed: csr_array | None) -> FloatArray:
    """(m, m) scores of drawings with each other; ``rows`` (m,) are their places in ``posed``."""
    scores = np.asarray(np.round((vectors @ vectors.T).astype(np.float64), SCORE_DECIMALS), np.float64)
    return scores if posed is None else np.maximum(scores, posed[rows][:, rows].toarray())


BINS, OCTAVES = 96, 16  # of the lengths of strokes, by which pairs are chosen that may lie over each other
SLACK = 0.1  # of a share, for lengths that fall on the edge of a bin


def posed_shares(
    pens: Sequence[Strokes | None], vectors: Vectors, min_score: float, switches: Switches, step: Callable[[int], None]
) -> csr_array:
    """(n, n) sparse and symmetric: shares of strokes that lie over each other in a pose that the switches allow.

    Only shares of `min_score` and more, and only of pairs whose cosine is lower. Kinds and lengths of strokes stay the same
    in every pose: they tell which pairs need not be tried.
    """
    from scipy.sparse import coo_array, csr_array

    kinds = sorted({int(kind) for pen in pens if pen is not None for kind in np.unique(pen.kind)})
    places = {kind: number for number, kind in enumerate(kinds)}
    bins = np.zeros((len(pens), max(len(kinds), 1) * BINS), np.float32)
    count = np.zeros(len(pens))
    for number, pen in enumerate(pens):
        if pen is None or len(pen.kind) == 0:
            continue
        count[number] = len(pen.kind)
        with np.errstate(divide="ignore"):
            place = np.clip((np.log2(pen.length) / OCTAVES + 0.5) * (BINS - 2), 0, BINS - 2)
        low = np.floor(place).astype(np.int64)
        first = np.array([places[int(kind)] * BINS for kind in pen.kind]) + low
        # between two bins a stroke counts in both, so that a little more length moves little
        np.add.at(bins[number], first, 1 - (place - low))
        np.add.at(bins[number], first + 1, place - low)
    order = np.argsort(count, kind="stable")
    order = order[count[order] > 0]
    found: list[tuple[int, int, float]] = []
    for number, i in enumerate(order.tolist()):
        # those with as many strokes or a few more; the share is of the larger drawing
        last = int(np.searchsorted(count[order], count[i] / min_score * (1 + 1e-9), "right"))
        rest = order[number + 1 : last]
        common = np.minimum(bins[i], bins[rest]).sum(axis=1) / count[rest]
        rest = rest[(common >= min_score - SLACK) & (vectors[rest] @ vectors[i] < min_score - ROUNDING)]
        for j in rest.tolist():
            share = round(_overlap(pens[i], pens[j], switches), SCORE_DECIMALS)
            if share >= min_score - ROUNDING:
                found.append((i, j, share))
        step(number + 1)
    pairs = np.array([pair[:2] for pair in found], np.int64).reshape(-1, 2).T
    shares = np.array([pair[2] for pair in found], np.float64)
    places_of = np.hstack([pairs, pairs[::-1]])
    return csr_array(coo_array((np.concatenate([shares, shares]), tuple(places_of)), (len(pens), len(pens))))


def _overlap(a: Strokes | None, b: Strokes | None, switches: Switches) -> float:
    return 0.0 if a is None or b is None else verify(a, b, switches)


def _poses(pens: Sequence[Strokes | None], switches: Switches) -> list[str]:
    """How each drawing of a group lies over the first: in the simplest pose in which it has most strokes in common."""
    wanted = {"": Switches()}
    wanted |= {"mirrored": Switches(mirror=True)} if switches.mirror else {}
    wanted |= {"turned": Switches(rotation=True)} if switches.rotation else {}
    wanted |= {"mirrored and turned": switches} if switches.mirror and switches.rotation else {}
    poses = [""]
    for pen in pens[1:]:
        shares = {name: _overlap(pens[0], pen, pose) for name, pose in wanted.items()}
        poses.append(next(name for name, share in shares.items() if share == max(shares.values())))
    return poses


def _heaps(
    vectors: Vectors, exact: IntArray, min_score: float, step: Callable[[int], None], posed: csr_array | None
) -> IntArray:
    """(n,) numbers of heaps: what is linked by any chain of pairs that are exact or score enough."""
    n = len(vectors)
    first = np.unique(exact, return_index=True)[1][np.unique(exact, return_inverse=True)[1]] if n else exact
    heap = first.astype(np.int64)
    pairs: list[IntArray] = []
    held = 0
    for begin in range(0, n, BLOCK):
        block = vectors[begin : begin + BLOCK]
        i, j = np.nonzero(block @ vectors[begin:].T >= min_score - ROUNDING)
        keep: BoolArray = i < j
        pairs.append(np.stack([i[keep], j[keep]]) + begin)
        held += int(keep.sum())
        if held > MOST_PAIRS:
            heap, pairs, held = _joined(heap, pairs), [], 0
        step(begin + len(block))
    if posed is not None:
        pairs.append(np.stack(posed.nonzero()).astype(np.int64))
    return _joined(heap, pairs)


def _joined(heap: IntArray, pairs: Sequence[IntArray]) -> IntArray:
    """Heaps after joining those that some pairs (2, p) of rows link."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(heap)
    links = np.hstack([np.stack([np.arange(n), heap]), *pairs]) if n else np.zeros((2, 0), np.int64)
    graph = coo_array((np.ones(links.shape[1], np.int8), (links[0], links[1])), (n, n))
    labels = connected_components(graph, directed=False)[1]
    # the heap's number is one of its rows again
    first = np.unique(labels, return_index=True)[1]
    joined: IntArray = first[labels].astype(np.int64)
    return joined


def _parts(records: Sequence[Mapping[str, Any]], apart: str | None) -> list[IntArray]:
    """Rows by what their title blocks state under a tag, or imported tables in a column."""
    if apart is None:
        return [np.arange(len(records))]
    own = apart.casefold().startswith("meta.")
    wanted = apart.casefold() + "="
    by_value: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        fields = (field for field in record["field"] or () if field.casefold().startswith(wanted))
        value = value_of(unpack(record["meta"]), apart) if own else next(fields, wanted)[len(wanted) :]
        by_value[value.strip().casefold()].append(i)
    return [np.array(rows, np.int64) for _, rows in sorted(by_value.items())]


def _group(
    records: Sequence[Mapping[str, Any]],
    exact: IntArray,
    scores: FloatArray,
    poses: Sequence[str],
    decisions: Decisions,
    keep: str | None,
) -> Group:
    scores = scores.copy()
    scores[exact[:, None] == exact[None, :]] = 1.0
    shapes = {row["id"]: row["geometry"] or row["hash"] or "" for row in records}
    standing = decisions.standing(shapes)
    several = [number for number, count in zip(*np.unique(exact, return_counts=True), strict=True) if count > 1]
    number_of = {label: number for number, label in enumerate(several, 1)}
    kept = kept_by(keep, records) if keep else None
    members = [
        Member(
            row["id"], row["path"], row["root"], pose, number_of.get(label), row["id"] in standing.new,
            None if kept is None else row["id"] == kept,
            row["modified"], row["bytes"], row["entities"], row["width"], row["height"], row["unit_mm"], unpack(row["meta"]),
        )
        for row, label, pose in zip(records, exact.tolist(), poses, strict=True)
    ]  # fmt: skip
    members.sort(key=lambda member: (member.path, member.root, member.id))
    kind: GroupKind = "near" if not several else "exact" if (exact == exact[0]).all() else "both"
    score = float(min(scores.min(), 1.0))
    return Group(group_id(shapes), kind, score, **_decided(standing), members=tuple(members), shapes=shapes)


def _decided(standing: Standing) -> dict[str, Any]:
    """What a group tells of the decision about it."""
    names = ("verdict", "earlier", "note", "decided", "by", "mark")
    return {name: getattr(standing, name) for name in names}


def kept_by(rule: str, records: Sequence[Mapping[str, Any]]) -> str | None:
    """The id of the drawing that a rule keeps; None if no path fits."""
    beginning = datetime.min.replace(tzinfo=UTC)

    def age(row: Mapping[str, Any]) -> tuple[Any, str, str]:
        return row["modified"] or beginning, row["path"], row["id"]

    if rule == "oldest":
        return str(min(records, key=age)["id"])
    fitting = [
        row for row in records if rule == "newest" or fnmatch.fnmatchcase(row["path"].casefold(), rule.casefold())
    ]
    return str(max(fitting, key=age)["id"]) if fitting else None


def decide(
    archive: Archive,
    found: Duplicates,
    verdict: Verdict | None,
    ids: Sequence[str],
    note: str = "",
    *,
    by: str = "",
    seen: Mapping[str, str] | None = None,
) -> Duplicates:
    """Decide about groups, or take decisions back, and give the groups as they stand then.

    Args:
        verdict: None takes back what was decided.
        ids: of the groups; one decision is written for all of them or, if one is not known, for none.
        by: who decides.
        seen: id -> `Group.mark` as it was when the group was looked at; groups without one are decided whatever others
            have decided meanwhile.

    Raises:
        DeepDXFError: there is no such group.
        DecidedMeanwhile: a mark has changed, and not by the same verdict; nothing is written.
    """
    chosen = [found.group(id).shapes for id in dict.fromkeys(ids)]
    decisions = Decisions(archive)
    if seen:
        now = [group for group in _standing(found, decisions).groups if group.id in ids]
        if changed := [g for g in now if seen.get(g.id, g.mark) != g.mark and g.verdict != verdict]:
            raise DecidedMeanwhile(changed)
    if verdict is None:
        decisions.withdraw(chosen)
    else:
        decisions.record(verdict, chosen, note, by)
    return _standing(found, decisions)


def decided_anew(archive: Archive, found: Duplicates) -> Duplicates:
    """The same groups with the decisions as they stand now: others may have decided since."""
    return _standing(found, Decisions(archive))


def _standing(found: Duplicates, decisions: Decisions) -> Duplicates:
    groups = []
    for group in found.groups:
        standing = decisions.standing(group.shapes)
        members = tuple(replace(member, new=member.id in standing.new) for member in group.members)
        groups.append(replace(group, **_decided(standing), members=members))
    return replace(found, groups=tuple(groups))
