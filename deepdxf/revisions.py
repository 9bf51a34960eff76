"""Revisions: the earlier and later versions of a drawing in an archive, and what changed from each to the next.

Evidence, each with a weight w; the confidence of a version is 1 − Π (1 − w):

    number      both title blocks state one drawing number                                    0.75
    replaces    one states that it replaces (is derived from) the other's number or name       0.9
    name        the same file name but for a mark of revision, version, copy, date …           0.5
    geometry    the share of pairs with as much in common that are versions, by a logistic regression of the strokes that lie
                over each other (share of the larger and of the smaller drawing), the texts in common, and the probability p
                that a person calls the two the same part (`calibration`); learned by experiments/revisions.py. Of drawings
                whose strokes the archive does not hold: 0.8 × p⁴. Encoders without a calibration have no p in the one, and
                for the other a ramp from score 0.7 to 0.95

Where little geometry is in common (probability below `UNLIKE`), number counts 0.8 times and name half; two different
drawing numbers leave the geometry 0.3 times. So a name alone is not enough, geometry alone is where it is very alike.
Versions of versions are found too, with the confidence of the weakest link at most.

Order: by the mark that the most versions have, title block before file name (`Chain.ordered_by`); one without a mark
comes first. Where no version has one, by the time of the files, which is the weakest order and named as such.

What marks, bases and numbers are: `marks`.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepdxf.archive import IDS_AT_ONCE, Archive, drawing_id
from deepdxf.batch import read_many
from deepdxf.calibration import calibration_of
from deepdxf.compare import Comparison, compare
from deepdxf.descriptor import Strokes
from deepdxf.drawing import Drawing, FloatArray
from deepdxf.encoder import Switches, Vectors
from deepdxf.errors import ReadError
from deepdxf.files import without_path
from deepdxf.marks import (
    BASES,
    NUMBER_TAGS,
    REPLACES_TAGS,
    REVISION_TAGS,
    Basis,
    Key,
    marks_of,
    number_of,
    revision_key,
    tag_of,
)
from deepdxf.reader import read
from deepdxf.summary import summarise
from deepdxf.verify import pack, sketch, unpack, verify
from deepdxf.where import quote

Position = Literal["earlier", "this", "later", "the same"]
NAMES_OF_BASES = {
    "title block": "revision in the title block",
    "revision": "revision in the file name",
    "version": "version in the file name",
    "letter": "letter in the file name",
    "date": "date in the file name",
    "word": "word in the file name (old, new …)",
    "copy": "number of the copy in the file name",
}
FILE_TIME = "time of the file"

NUMBER, REPLACES, NAME, GEOMETRY = 0.75, 0.9, 0.5, 0.8
FILE = "revisions.json"  # weights of the regression
TEXTS = 3  # different texts of two drawings, from which it says something how many are in common
UNLIKE = 0.2  # probability of the same part below which geometry speaks against
RAMP = (0.7, 0.95)  # scores of encoders that are not calibrated: no evidence, full evidence
NEIGHBOURS = 40  # drawings of like geometry that are looked at for each version
POWER = 4  # of the probability
SAME = 0.95  # confidence by geometry in a drawing that shows the same
EXPAND = 0.6  # confidence from which versions of a version are looked for
MOST = 100  # versions of a chain

COLUMNS = ("path", "root", "status", "message", "geometry", "modified", "field")

# --- facts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What one drawing says of itself: its name, its title block, its geometry."""

    id: str
    path: str
    root: str
    status: str
    modified: datetime | None
    shape: str  # hash of what it shows; empty if it is not known
    base: str
    marks: Mapping[Basis, tuple[Key, str]]
    number: str  # folded
    number_shown: str
    replaces: str  # folded

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Facts:
        """Out of a row of the archive."""
        base, marks = marks_of(record["path"].rsplit("/", 1)[-1])
        number = number_shown = replaces = ""
        for field in record["field"] or ():
            tag, _, value = field.partition("=")
            tag = tag_of(tag)
            if tag in NUMBER_TAGS and not number:
                number, number_shown = number_of(value), value
            elif tag in REVISION_TAGS and (key := revision_key(value)):
                marks.setdefault("title block", (key, value.strip()))
            elif tag in REPLACES_TAGS:
                replaces = replaces or number_of(value)
        return cls(
            record["id"],
            record["path"],
            record["root"],
            record["status"],
            record["modified"],
            record["geometry"] or "",
            base,
            marks,
            number,
            number_shown,
            replaces,
        )

    @property
    def name(self) -> str:
        """The base as numbers are compared."""
        return number_of(self.base)


# --- the chain -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A drawing of a chain."""

    id: str
    path: str
    root: str
    position: Position  # from the drawing that was asked about; the same: it shows the same
    mark: str  # by which the chain is ordered, as it is written; empty if it has none
    modified: datetime | None
    score: float | None  # with the drawing that was asked about; None if one of them has no vector
    confidence: float  # 0 … 1, that it is a version of the same drawing
    reasons: tuple[str, ...]

    @property
    def file(self) -> Path:
        """Where it was when it was indexed."""
        return Path(self.root, self.path)


@dataclass(frozen=True)
class Chain:
    """The versions of a drawing, oldest first."""

    versions: tuple[Version, ...]  # the drawing that was asked about is one of them
    ordered_by: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What changed from one version to the next."""

    old: str  # path
    new: str
    comparison: Comparison | None
    message: str = ""  # why there is none


def find_revisions(
    archive: Archive, query: Mapping[str, Any], vector: Vectors | None, *, min_confidence: float = 0.5
) -> Chain:
    """The versions of a drawing in an archive.

    Args:
        query: `COLUMNS`, ``id``, ``text`` and ``sketch`` of the drawing that is asked about, see `record_of` and
            `record_of_file`; without the last two the geometry says less.
        vector: (d,) its vector; None: it shows nothing, and only names and numbers count.
        min_confidence: of a version.

    Raises:
        ArchiveError: the archive is damaged.
    """
    records = {row["id"]: row for row in archive.records(None, COLUMNS)} | {query["id"]: query}
    facts = {id: Facts.of(row) for id, row in records.items()}
    ids, vectors = archive.vectors()
    place = {id: i for i, id in enumerate(ids.tolist())}
    likelihood = _Likelihood(archive.encoder_id)
    common = _Common(archive, query)
    by_name, by_number = defaultdict(list), defaultdict(list)
    for id, fact in facts.items():
        if fact.base:
            by_name[fact.base].append(id)
        for number in {fact.number, fact.name} - {""}:
            by_number[number].append(id)

    asked = facts[query["id"]]
    found: dict[str, tuple[float, tuple[str, ...]]] = {asked.id: (1.0, ())}
    waiting = [asked.id]
    cut = False
    while waiting:
        one = facts[waiting.pop(0)]
        own = vector if one.id == asked.id else vectors[place[one.id]] if one.id in place else None
        scores = {} if own is None else _scores(own, ids, vectors)
        near = sorted(scores, key=lambda id: (-scores[id], id))[: NEIGHBOURS + 1]
        candidates = dict.fromkeys([*near, *by_name.get(one.base, ()), *by_number.get(one.number, ())])
        candidates |= dict.fromkeys([*by_number.get(one.replaces, ()), *by_number.get(one.name, ())])
        ranked = []
        open_ids = [id for id in candidates if id not in found and id in facts]
        alike = [id for id in open_ids if id in scores and likelihood(scores[id]) >= UNLIKE]
        shared = common.of(one.id, alike)
        for id in open_ids:
            confidence, reasons = evidence(one, facts[id], scores.get(id), likelihood, shared.get(id))
            confidence = round(min(confidence, found[one.id][0]), 4)
            if one.id != asked.id:
                reasons = tuple(f"{reason} (of {one.path})" for reason in reasons)
            if confidence >= min_confidence:
                ranked.append((-confidence, id, reasons))
        for negative, id, reasons in sorted(ranked):
            if len(found) >= MOST:
                cut = True
                break
            found[id] = (-negative, reasons)
            if -negative >= EXPAND:
                waiting.append(id)
    scores = {} if vector is None else _scores(vector, ids, vectors)
    chain = _ordered([facts[id] for id in found], asked, found, scores)
    notes = [f"only the first {MOST} versions are shown"] if cut else []
    if chain.ordered_by == FILE_TIME and len(chain.versions) > 1:
        notes.append("no version has a number: the order is that of the files' times, which copying may have changed")
    return replace(chain, notes=tuple(notes))


def record_of(archive: Archive, id: str) -> tuple[dict[str, Any], Vectors | None]:
    """What `find_revisions` asks about a drawing of the archive.

    Raises:
        ArchiveError: there is no such id.
    """
    record = archive.get(id)
    vector = None if record["status"] == "failed" else archive.vector(id)
    pen = archive.sketches([id])[0]
    record["sketch"] = None if pen is None else pack(pen)
    return record, vector if vector is not None and vector.any() else None


def record_of_file(path: Path, drawing: Drawing, vector: Vectors) -> tuple[dict[str, Any], Vectors | None]:
    """What `find_revisions` asks about a file, whether it is in an archive or not."""
    from deepdxf.fingerprint import canonical_hash

    absolute = Path(path).absolute()
    summary = summarise(drawing)
    record = {
        "id": drawing_id(str(absolute)),
        "path": absolute.name,
        "root": absolute.parent.as_posix(),
        "status": summary.status,
        "message": "",
        "geometry": canonical_hash(drawing),
        "modified": datetime.fromtimestamp(absolute.stat().st_mtime, UTC),
        "field": [f"{tag}={value}" for tag, value in summary.fields],
        "text": list(summary.texts),
        "sketch": pack(sketch(drawing)),
    }
    return record, vector if vector.any() else None


def _scores(vector: Vectors, ids: NDArray[np.str_], vectors: Vectors) -> dict[str, float]:
    return dict(zip(ids.tolist(), np.round(vectors @ vector, 6).astype(float).tolist(), strict=True))


class _Likelihood:
    """Score -> probability that a person calls the two the same part."""

    def __init__(self, encoder_id: str) -> None:
        self.curve = calibration_of(encoder_id)

    def __call__(self, score: float) -> float:
        if self.curve is not None:
            return float(self.curve.probability(score))
        low, high = RAMP
        return min(max((score - low) / (high - low), 0.0), 1.0)

    def words(self, score: float) -> str:
        """The evidence in words."""
        called = f", {self(score):.0%} of such pairs are the same part" if self.curve is not None else ""
        return f"geometry: score {score:.3f}{called}"


@dataclass(frozen=True)
class Shared:
    """What two drawings have in common."""

    larger: float  # share of the strokes of the drawing that has more of them
    smaller: float  # of the other one's
    texts: float | None  # share of the different texts of both; None where there are few

    def features(self, alike: float | None) -> FloatArray:
        """What the regression weighs; ``alike``: probability of the same part, where the encoder is calibrated."""
        here = 0.0 if self.texts is None else 1.0
        own = [self.larger, self.larger**2, self.smaller, self.smaller * self.larger, self.texts or 0.0, here]
        return np.array([1.0, *own] if alike is None else [1.0, *own, alike, alike**POWER])

    def probability(self, alike: float | None) -> float:
        """Share of such pairs that are versions of one drawing."""
        weights = version_weights()["other" if alike is None else "calibrated"]
        return float(1.0 / (1.0 + np.exp(-self.features(alike) @ np.array(weights))))


@functools.cache
def version_weights() -> Mapping[str, Sequence[float]]:
    """Weights of `Shared.features`, written by experiments/revisions.py."""
    document: dict[str, list[float]] = json.loads(
        resources.files("deepdxf").joinpath("data", FILE).read_text(encoding="utf-8")
    )
    return document


class _Common:
    """What drawings of an archive, and the one that is asked about, have in common; strokes and texts are read once."""

    def __init__(self, archive: Archive, query: Mapping[str, Any]) -> None:
        self.archive = archive
        packed = query.get("sketch")
        self.pens: dict[str, Strokes | None] = {query["id"]: None if packed is None else unpack(packed)}
        self.texts: dict[str, frozenset[str]] = {query["id"]: frozenset(query.get("text") or ())}

    def of(self, id: str, others: Sequence[str]) -> dict[str, Shared]:
        """By id, of those whose strokes are known."""
        new = [other for other in (id, *others) if other not in self.pens]
        for first in range(0, len(new), IDS_AT_ONCE):
            some = new[first : first + IDS_AT_ONCE]
            self.pens |= dict(zip(some, self.archive.sketches(some), strict=True))
            rows = self.archive.records(f"id in ({', '.join(map(quote, some))})", ("text",))
            self.texts |= {row["id"]: frozenset(row["text"] or ()) for row in rows}
        one = self.pens[id]
        found = {}
        for other in others:
            two = self.pens[other]
            if one is not None and two is not None and len(one.kind) and len(two.kind):
                texts = self.texts.get(id, frozenset()), self.texts.get(other, frozenset())
                found[other] = shared_by(one, two, *texts)
        return found


def shared_by(one: Strokes, two: Strokes, texts: frozenset[str], others: frozenset[str]) -> Shared:
    """What two drawings have in common, by their sketches and texts."""
    larger = verify(one, two, Switches())
    few, many = sorted((len(one.kind), len(two.kind)))
    together = len(texts | others)
    return Shared(larger, larger * many / few, len(texts & others) / together if together >= TEXTS else None)


def evidence(
    one: Facts, other: Facts, score: float | None, likelihood: _Likelihood, shared: Shared | None
) -> tuple[float, tuple[str, ...]]:
    """The confidence that two drawings are versions of one, and why."""
    alike = 0.0 if score is None else likelihood(score)
    unlike = score is not None and alike < UNLIKE
    weights: list[tuple[float, str]] = []
    if one.number and one.number == other.number:
        weights.append((NUMBER * (0.8 if unlike else 1.0), f"drawing number {other.number_shown} in both title blocks"))
    for new, old in ((one, other), (other, one)):
        if new.replaces and new.replaces in (old.number, old.name) and new.replaces not in (new.number, new.name):
            weights.append((REPLACES, f"{new.path} states that it replaces {old.number_shown or old.path}"))
    if one.base and one.base == other.base:
        written = " and ".join(filter(None, (_written(one), _written(other))))
        reason = f"the same name “{one.base}”" + (f" but for {written}" if written else " in another folder")
        weights.append((NAME * (0.5 if unlike else 1.0), reason))
    if score is not None:
        apart = one.number and other.number and one.number != other.number
        words = likelihood.words(score)
        geometry = GEOMETRY * alike**POWER
        if shared is not None:
            geometry = shared.probability(alike if likelihood.curve is not None else None)
            words = f"geometry: {shared.larger:.0%} of the strokes lie over each other, score {score:.3f}"
        if one.shape and one.shape == other.shape:
            alike, geometry, words = 1.0, max(geometry, SAME), "geometry: it shows the same"
        if apart:
            words += f", but another drawing number, {other.number_shown}"
        if alike >= UNLIKE:
            weights.append((geometry * (0.3 if apart else 1.0), words))
        elif weights:
            weights.append((0.0, f"little geometry in common (score {score:.3f})"))
    confidence = 1.0 - float(np.prod([1.0 - weight for weight, _ in weights])) if weights else 0.0
    return confidence, tuple(reason for _, reason in weights)


def _written(fact: Facts) -> str:
    return " ".join(text for basis, (_, text) in fact.marks.items() if basis != "title block")


def _ordered(
    facts: Sequence[Facts],
    asked: Facts,
    found: Mapping[str, tuple[float, tuple[str, ...]]],
    scores: Mapping[str, float],
) -> Chain:
    """The chain in its order."""
    coverage = {basis: len({f.marks[basis][0] for f in facts if basis in f.marks}) for basis in BASES}
    best = max(BASES, key=lambda basis: (coverage[basis], -BASES.index(basis)))
    marked = next((fact.base for fact in facts if best in fact.marks), None)
    # one mark orders those that are named alike but for it
    names_differ = any(best not in fact.marks and fact.base == marked for fact in facts)
    basis = best if coverage[best] > 1 or (coverage[best] == 1 and names_differ) else None
    beginning = datetime.min.replace(tzinfo=UTC)

    def key(fact: Facts) -> tuple[Any, ...]:
        mark = fact.marks.get(basis) if basis else None
        return mark[0] if mark else _unmarked(basis), fact.modified or beginning, fact.path, fact.id

    ordered = sorted(facts, key=key)
    middle = ordered.index(asked)
    versions = []
    for number, fact in enumerate(ordered):
        position: Position = "this" if number == middle else "earlier" if number < middle else "later"
        same_mark = basis is None or key(fact)[0] == key(asked)[0]
        if position != "this" and same_mark and fact.shape and fact.shape == asked.shape:
            position = "the same"
        confidence, reasons = found[fact.id]
        mark = fact.marks[basis][1] if basis is not None and basis in fact.marks else ""
        score = scores.get(fact.id)
        versions.append(
            Version(fact.id, fact.path, fact.root, position, mark, fact.modified, score, confidence, reasons)
        )
    return Chain(tuple(versions), FILE_TIME if basis is None else NAMES_OF_BASES[basis])


def _unmarked(basis: Basis | None) -> Key:
    """Where a version without the mark stands: first, but between old and new."""
    return (1,) if basis == "word" else ()


# --- the ledger ------------------------------------------------------------------------------------------------------


def ledger(
    chain: Chain, *, tolerance: float | None = None, workers: int | None = None, timeout_s: float = 120.0
) -> list[Step]:
    """What changed from each version of a chain to the next; files are read again, in worker processes.

    A version whose file has vanished or cannot be read is a step with a message, and the next step goes around it.
    """
    paths = list(dict.fromkeys(version.file for version in chain.versions))
    drawings: dict[Path, Drawing] = {}
    failed: dict[Path, str] = {}
    with closing(read_many(paths, _read, workers=workers, timeout_s=timeout_s)) as stream:  # type: ignore[type-var]
        for outcome in stream:
            if outcome.value is not None:
                drawings[outcome.item] = outcome.value
            else:
                failed[outcome.item] = without_path(outcome.error or "", str(outcome.item))
    steps = []
    last: Version | None = None
    for version in chain.versions:
        if version.file in failed:
            steps.append(Step(last.path if last else "", version.path, None, failed[version.file]))
            continue
        if last is not None:
            result = compare(drawings[last.file], drawings[version.file], tolerance=tolerance)
            steps.append(Step(last.path, version.path, result))
        last = version
    return steps


def _read(path: Path) -> Drawing:
    if not path.exists():
        raise ReadError("the file has vanished; index its folder again")
    return read(path)


def chain_rows(chain: Chain) -> list[dict[str, Any]]:
    """A line a version, for tables and JSON."""
    return [
        {
            "position": version.position,
            "mark": version.mark,
            "path": version.path,
            "root": version.root,
            "modified": version.modified.isoformat() if version.modified else None,
            "confidence": version.confidence,
            "score": version.score,
            "reasons": list(version.reasons),
            "id": version.id,
        }
        for version in chain.versions
    ]


def step_rows(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """A line a step: how many differences of each kind."""
    rows = []
    for step in steps:
        row: dict[str, Any] = {"old": step.old, "new": step.new, "message": step.message or None}
        if step.comparison is not None:
            row |= {"agreement": round(step.comparison.agreement, 6)}
            row |= {kind: len(step.comparison.of(kind)) for kind in ("added", "removed", "changed", "moved")}
            row |= {"message": "; ".join(step.comparison.notes) or None}
        rows.append(row)
    return rows


def change_rows(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """A line a difference, of all steps: the ledger."""
    return [
        {"old version": step.old, "new version": step.new, **row}
        for step in steps
        if step.comparison is not None
        for row in step.comparison.rows()
    ]
