"""The archive as the server sees it: drawings by reference, uploads in memory, searches, and the map.

Nothing that leaves this module holds a path of the server: drawings are named by the path relative to the folder that was
indexed, folders by their last name, and texts of errors are cleaned of both.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from deepdxf import encoder
from deepdxf.archive import Archive, Hit, encoder_name, fold
from deepdxf.calibration import Calibration, calibration_of
from deepdxf.decisions import Verdict
from deepdxf.drawing import EntityClass, FloatArray
from deepdxf.duplicates import (
    DecidedMeanwhile,
    Duplicates,
    Group,
    Progress,
    decide,
    decided_anew,
    find_duplicates,
)
from deepdxf.encoder import Similarity, Switches, Vectors, explain
from deepdxf.errors import ArchiveError, DeepDXFError, FilterError
from deepdxf.files import SUFFIXES, is_below
from deepdxf.metadata import unpack
from deepdxf.parts import Box, Detail, PartSearch, find_parts
from deepdxf.projection import principal
from deepdxf.revisions import Chain, find_revisions, record_of
from deepdxf.server.metrics import Metrics
from deepdxf.server.problems import Problem
from deepdxf.server.settings import Settings
from deepdxf.server.work import Compare, Crew, Cut, Drawn, Look, Looked, Marked, Picture, Pose, Query, Source
from deepdxf.summary import one_line
from deepdxf.verify import Verification
from deepdxf.where import columns_of, compile_where, count_column

Answer = TypeVar("Answer")
MAX_HITS = 10_000  # of a search; what is below them is not counted
MAX_TEXT_HITS = 1000
MAX_PARTS = 200  # hits of a part search
LAYERS = 300  # names of layers that filters offer, the most frequent
NAME = 120  # characters of an upload's name that are kept
COMPARISONS = 16  # kept, for the step from picture to JSON and back
SEARCHES = 64  # kept, for their further pages
GROUPINGS = 4  # kept: lists of duplicates
COLUMNS = (
    "id", "path", "root", "hash", "bytes", "modified", "indexed", "status", "message", "format", "unit_mm",
    "width", "height", "entities", "layer", "meta",
)  # fmt: skip
CLASS_COLUMNS = {EntityClass(c).name: count_column(EntityClass(c)) for c in EntityClass if c is not EntityClass.EOS}


@dataclass(frozen=True)
class Folder:
    """A folder that was indexed."""

    name: str  # shown: its last name, with a number where several have it
    root: str  # never shown


@dataclass(frozen=True)
class Catalogue:
    """What lists and filters need of all drawings, of one version of the archive."""

    version: int
    rows: Mapping[str, Mapping[str, Any]]  # by id, newest file first
    folders: Mapping[str, Folder]  # by root
    layers: tuple[str, ...]
    statuses: Mapping[str, int]


@dataclass(frozen=True)
class Grouping:
    """Which groups of duplicates are asked for."""

    min_score: float
    where: str | None = None
    mirror: bool = False
    rotation: bool = False


@dataclass(frozen=True)
class Sought:
    """A detail that is looked for."""

    reference: str  # the drawing that it is, or is in
    box: Box | None  # of it; None: all of the drawing
    detail: Detail
    switches: Switches
    min_share: float
    where: str | None


@dataclass
class Upload:
    """A drawing that a client sent."""

    id: str
    source: Source
    looked: Looked
    used: float
    poses: dict[Switches, tuple[Vectors, Verification]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a search found: all hits, best first, and what they were scored against."""

    hits: Sequence[Hit]
    complete: bool  # False: there are more than `MAX_HITS`
    poses: Vectors | None  # None: a search by text
    query: str = ""  # the reference
    curve: Calibration | None = None  # what scores mean; None: not known
    level: bool = False  # whether drawings that are turned were compared as they look laid level


class Kept(Generic[Answer]):
    """The latest answers by what was asked, for all threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._answers: OrderedDict[tuple[Any, ...], Answer] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> Answer | None:
        """The answer, if it is there."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key)

    def put(self, key: tuple[Any, ...], answer: Answer) -> Answer:
        """Keep an answer and return it."""
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer


class Uploads:
    """Drawings that clients sent, in memory; the longest unused give way. Ids cannot be guessed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._items: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, source: Source, looked: Looked) -> Upload:
        """Hold an upload."""
        upload = Upload("u-" + secrets.token_hex(16), source, looked, time.monotonic())
        with self._lock:
            self._items[upload.id] = upload
            self._forget()
        return upload

    def get(self, id: str) -> Upload:
        """An upload that is still held. Raises Problem."""
        with self._lock:
            self._forget()
            upload = self._items.get(id)
            if upload is None:
                minutes = self._settings.held_s / 60
                raise Problem(
                    "unknown-drawing",
                    f"this upload is no longer held (uploads are forgotten {minutes:g} minutes after their last use); "
                    "send the drawing again",
                )
            upload.used = time.monotonic()
            self._items.move_to_end(id)
            return upload

    def _forget(self) -> None:
        most, now = self._settings, time.monotonic()
        while self._items:
            oldest = next(iter(self._items.values()))
            size = sum(len(upload.source.data or b"") for upload in self._items.values())
            old = now - oldest.used > most.held_s
            over = len(self._items) > 1 and (len(self._items) > most.held or size > most.held_mb * 2**20)
            if not (old or over):
                return
            self._items.popitem(last=False)


class Library:
    """An archive, open for requests of many threads."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.archive = Archive.open(settings.archive)
        self.encoder_name = encoder_name(self.archive)
        self.encoder = encoder.load(self.encoder_name)
        self.encoder_shown = encoder_shown(self.encoder_name)
        self.uploads = Uploads(settings)
        self.crew: Crew[Any] = Crew(settings, metrics)
        self._lock = threading.Lock()
        self._catalogue: Catalogue | None = None
        self._map: tuple[int, FloatArray, list[str]] | None = None
        self._comparisons = Kept[tuple[dict[str, Any], str]](COMPARISONS)
        self._searches = Kept[Found](SEARCHES)
        self._groupings = Kept[Duplicates](GROUPINGS)
        self._grouping = threading.Lock()  # one at a time: it takes all cores
        self._deciding = threading.Lock()

    def close(self) -> None:
        """End the worker processes."""
        self.crew.close()

    # --- drawings

    def catalogue(self) -> Catalogue:
        """The catalogue of the archive as it is now."""
        version = self.archive.version
        with self._lock:
            if self._catalogue is None or self._catalogue.version != version:
                self._catalogue = self._read_catalogue(version)
            return self._catalogue

    def _read_catalogue(self, version: int) -> Catalogue:
        rows = self.archive.records(None, COLUMNS)
        rows.sort(key=lambda row: (-row["modified"].timestamp() if row["modified"] else 0.0, row["id"]))
        roots = list(dict.fromkeys(sorted(row["root"] for row in rows)))
        names = Counter[str]()
        folders = {}
        for root in roots:
            name = re.split(r"[/\\]", root.rstrip("/\\"))[-1] or "drawings"
            names[name] += 1
            folders[root] = Folder(name if names[name] == 1 else f"{name} ({names[name]})", root)
        layers = Counter(layer for row in rows for layer in row["layer"] or ())
        common = tuple(sorted(layer for layer, _ in layers.most_common(LAYERS)))
        statuses = dict(Counter(row["status"] for row in rows).most_common())
        return Catalogue(version, {row["id"]: row for row in rows}, folders, common, statuses)

    def row(self, id: str) -> Mapping[str, Any]:
        """What the catalogue has of a drawing. Raises Problem."""
        row = self.catalogue().rows.get(id)
        if row is None:
            raise Problem("unknown-drawing", "no drawing of this id is in the archive (any more); search again")
        return row

    def facts(self, id: str) -> dict[str, Any]:
        """All columns of a drawing, without the server's folder. Raises Problem."""
        self.row(id)
        row = self._archive(lambda: self.archive.get(id))
        folder = self.folder(row["root"])
        message = self.public(row["message"] or "")
        facts = {name: value for name, value in row.items() if name not in ("root", *CLASS_COLUMNS.values())}
        counts = {name: row[column] or 0 for name, column in CLASS_COLUMNS.items()}
        classes = {name: counts[name] for name in sorted(counts, key=lambda name: -counts[name]) if counts[name]}
        return facts | {"folder": folder, "message": message, "classes": classes, "meta": unpack(row["meta"])}

    def folder(self, root: str) -> str:
        """The shown name of an indexed folder."""
        # asked of every row of a list: not worth a look at the archive each time
        known = (self._catalogue or self.catalogue()).folders.get(root)
        return known.name if known else ""

    def browse(self, where: str | None) -> list[Mapping[str, Any]]:
        """Drawings that pass a filter, newest file first. Raises Problem."""
        rows = self.catalogue().rows
        if where is None:
            return list(rows.values())
        condition = self.filter(where)
        passing = {row["id"] for row in self._archive(lambda: self.archive.records(condition, ["id"]))}
        return [row for id, row in rows.items() if id in passing]

    def thumbnail(self, reference: str) -> bytes | None:
        """PNG of a drawing; None if there is none. Raises Problem."""
        if is_upload(reference):
            return self.uploads.get(reference).looked.thumbnail
        self.row(reference)
        picture: bytes | None = self._archive(lambda: self.archive.thumbnail(reference))
        return picture

    def picture(self, reference: str, *, background: str = "#ffffff", text: bool = True) -> str:
        """SVG of a drawing, made anew from its file. Raises Problem."""
        return self.drawn(reference, background=background, text=text).svg

    def drawn(self, reference: str, *, background: str = "#ffffff", text: bool = True) -> Drawn:
        """The same with the places of the drawing in it. Raises Problem."""
        answer: Drawn = self.crew.do(Picture(self.source(reference), background, text))
        return answer

    def marked(self, reference: str, places: Sequence[Box]) -> str:
        """SVG of a drawing with places marked, made anew from its file. Raises Problem."""
        answer: str = self.crew.do(Marked(self.source(reference), tuple(places)))
        return answer

    def source(self, reference: str) -> Source:
        """What a worker needs to read a drawing. Raises Problem."""
        if is_upload(reference):
            return self.uploads.get(reference).source
        row = self.row(reference)
        path = os.path.normpath(os.path.join(row["root"], row["path"]))
        # the archive may be somebody else's: what it names outside of its folders is not read
        if not is_below(path, os.path.normpath(row["root"])):
            raise Problem("unknown-drawing", "the archive has no proper path for this drawing; index its folder again")
        if not os.path.isfile(path):
            raise Problem(
                "file-gone", f"{row['path']} is no longer where it was indexed; put it back or index the folder again"
            )
        return Source(row["path"].rsplit("/", 1)[-1], row["hash"] or "", None, path, self._unpacked_bytes)

    @property
    def _unpacked_bytes(self) -> int:
        return self.settings.unpacked_mb * 2**20

    def name(self, reference: str) -> str:
        """The name of a drawing as people see it. Raises Problem."""
        if is_upload(reference):
            return self.uploads.get(reference).source.name
        return str(self.row(reference)["path"])

    # --- uploads

    def upload(self, name: str, data: bytes) -> Upload:
        """Read a drawing that a client sent and hold it in memory. Raises Problem."""
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        source = Source(clean_name(name), digest, data, "", self._unpacked_bytes)
        return self.uploads.add(source, self.crew.do(Look(source)))

    def keep(self, name: str, data: bytes) -> Path:
        """Write an upload into the folder for those that stay, under a name that nothing has there. Raises Problem."""
        folder = self.settings.keep
        if folder is None:
            raise Problem("bad-request", "this server keeps no uploads; start it with --keep FOLDER")
        cleaned = clean_name(name)
        if not cleaned.lower().endswith(SUFFIXES):
            raise Problem("bad-request", f"a drawing to be kept must be named {', '.join(SUFFIXES)}, not {cleaned}")
        suffix = next(suffix for suffix in reversed(SUFFIXES) if cleaned.lower().endswith(suffix))
        stem = re.sub(r"[^\w .()+-]", "_", cleaned[: -len(suffix)]).strip(" .") or "drawing"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = folder / f"{stem}{f' ({number})' if number > 1 else ''}{suffix}"
            try:
                with path.open("xb") as file:  # "x": never in place of another
                    file.write(data)
            except FileExistsError:
                continue
            except OSError as error:
                raise Problem("archive", f"the drawing cannot be stored: {error.strerror}") from error
            return path
        raise Problem("conflict", f"too many drawings are named {cleaned} already; give it another name")

    # --- searching

    def search(self, reference: str, switches: Switches, where: str | None, min_score: float | None) -> Found:
        """The drawings most similar to one, without itself. Raises Problem."""
        condition = self.filter(where) if where is not None else None
        if is_upload(reference):
            self.uploads.get(reference)
        key = (self.archive.version, reference, switches, where, min_score)
        known = self._searches.get(key)
        if known is not None:
            return known
        poses, verification = self._poses(reference, switches)
        if not poses.any():
            raise Problem("nothing-drawn", "the drawing has nothing in it to search by")
        limits: dict[str, Any] = {"min_score": min_score, "where": condition, "rotation": switches.rotation}
        hits = self._archive(lambda: self.archive.search(poses, MAX_HITS + 2, verification=verification, **limits))
        hits = [hit for hit in hits if hit.id != reference]
        curve = calibration_of(self.archive.encoder_id, "cosine" if verification.query is None else "verified")
        found = Found(hits[:MAX_HITS], len(hits) <= MAX_HITS, poses, reference, curve, switches.rotation)
        return self._searches.put(key, found)

    def _poses(self, reference: str, switches: Switches) -> tuple[Vectors, Verification]:
        """The vectors of a drawing to search by, and what verifies hits. Raises Problem."""
        if is_upload(reference):
            upload = self.uploads.get(reference)
            if switches not in upload.poses:
                upload.poses[switches] = self.crew.do(Query(upload.source, self.encoder_name, switches))
            return upload.poses[switches]
        row = self.row(reference)
        if row["status"] == "failed":
            reason = self.public(row["message"] or "")
            raise Problem("unreadable", f"it could not be read when it was indexed: {reason}")
        if switches == Switches():
            return self.archive.vectors_of([reference]), Verification(self.archive.sketches([reference])[0])
        poses: tuple[Vectors, Verification] = self.crew.do(Query(self.source(reference), self.encoder_name, switches))
        return poses

    def search_text(self, words: str, where: str | None, min_score: float | None) -> Found:
        """Drawings with all of some words in them. Raises Problem."""
        if not fold(words).split():
            raise Problem("bad-request", "name a word to search for")
        condition = self.filter(where) if where is not None else None
        hits = self._archive(lambda: self.archive.find_text(words[:1000], MAX_TEXT_HITS + 1, where=condition))
        if min_score is not None:
            hits = [hit for hit in hits if hit.score >= min_score]
        return Found(hits[:MAX_TEXT_HITS], len(hits) <= MAX_TEXT_HITS, None)

    def reasons(self, found: Found, hits: Sequence[Hit]) -> list[Similarity | None]:
        """Why each of some hits was found: how alike the codes of the drawings are."""
        if found.poses is None:
            return [None] * len(hits)
        vectors = self.archive.vectors_of([hit.id for hit in hits], level=found.level)
        return [explain(self.encoder, found.poses, vector) for vector in vectors]

    def filter(self, where: str) -> str:
        """The filter, if it parses and does not ask where the server has its files. Raises Problem."""
        try:
            compile_where(where)
            if "root" in columns_of(where):
                raise FilterError("filter: root cannot be asked for here; use path, which is relative to the folder")
        except FilterError as error:
            raise Problem("bad-filter", str(error)) from error
        return where

    # --- comparing

    def compare(self, a: str, b: str, pose: Pose, picture: str = "") -> tuple[dict[str, Any], str]:
        """What differs between two drawings, and the picture of it. Raises Problem."""
        one, two = self.source(a), self.source(b)
        key = (one.key, one.name, two.key, two.name, pose, picture)
        known = self._comparisons.get(key)
        if known is not None:
            return known
        answer: tuple[dict[str, Any], str] = self.crew.do(Compare(one, two, self.encoder_name, pose, picture))
        return self._comparisons.put(key, answer)

    # --- duplicates and revisions

    def duplicates(self, asked: Grouping, progress: Progress | None = None) -> Duplicates:
        """The groups of duplicates, with the decisions as they stand now. Raises Problem, and what `progress` raises."""
        condition = self.filter(asked.where) if asked.where is not None else None
        key = (self.archive.version, asked)
        with self._grouping:  # who comes while another one's list is made gets the same
            found = self._groupings.get(key)
            if found is None:
                found = self._asked(
                    lambda: find_duplicates(
                        self.archive,
                        asked.min_score,
                        where=condition,
                        switches=Switches(mirror=asked.mirror, rotation=asked.rotation),
                        progress=progress,
                    )
                )
                return self._groupings.put(key, found)
        anew: Duplicates = self._archive(lambda: decided_anew(self.archive, found))
        return anew

    def has_duplicates(self, asked: Grouping) -> bool:
        """Whether the groups are known already: of large archives it takes a while to find them."""
        return self._groupings.get((self.archive.version, asked)) is not None

    def decide(
        self,
        found: Duplicates,
        verdict: Verdict | None,
        groups: Sequence[str],
        note: str = "",
        *,
        by: str,
        seen: Mapping[str, str],
    ) -> list[Group]:
        """Decide about some groups: about all of them or, if one is not as it was seen, about none. Raises Problem.

        Raises:
            DecidedMeanwhile: others have decided about a group that the client has seen before that.
        """
        for id in groups:
            if all(group.id != id for group in found.groups):
                raise Problem(
                    "conflict", f"group {id} has changed: a drawing has joined or left; look at the list again"
                )
        with self._deciding:  # between looking and writing
            decided: Duplicates = self._archive(
                lambda: decide(self.archive, found, verdict, groups, note, by=by, seen=seen)
            )
        return [group for group in decided.groups if group.id in set(groups)]

    # --- parts

    def sought(
        self, reference: str, box: Box | None, switches: Switches, min_share: float, where: str | None
    ) -> Sought:
        """The detail of a drawing that is looked for. Raises Problem."""
        condition = self.filter(where) if where is not None else None
        detail: Detail | str = self.crew.do(Cut(self.source(reference), box))
        if isinstance(detail, str):
            raise Problem("no-detail", detail)
        return Sought(reference, box, detail, switches, min_share, condition)

    def find_parts(self, sought: Sought, progress: Progress) -> PartSearch:
        """The drawings that contain a detail. Raises Problem, and what `progress` raises."""
        found: PartSearch = self._asked(
            lambda: find_parts(
                self.archive,
                sought.detail,
                MAX_PARTS,
                min_share=sought.min_share,
                switches=sought.switches,
                where=sought.where,
                without=sought.reference,
                workers=self.settings.workers,
                timeout_s=self.settings.work_s,
                progress=progress,
            )
        )
        return found

    def revisions(self, reference: str, min_confidence: float) -> Chain:
        """The earlier and later versions of a drawing. Raises Problem."""
        if is_upload(reference):
            upload = self.uploads.get(reference)
            vector = self._poses(reference, Switches())[0][0]
            summary = upload.looked.summary
            record: dict[str, Any] = {"id": upload.id, "path": upload.source.name, "root": "", "status": summary.status}
            record |= {"message": "", "geometry": upload.looked.shape, "modified": None}
            record["field"] = [f"{tag}={value}" for tag, value in summary.fields]
            asked: tuple[Any, Any] = record, vector if vector.any() else None
        else:
            self.row(reference)
            asked = self._archive(lambda: record_of(self.archive, reference))
        chain: Chain = self._archive(lambda: find_revisions(self.archive, *asked, min_confidence=min_confidence))
        return chain

    # --- the map

    def map(self) -> tuple[FloatArray, list[str]]:
        """(n, 2) places in [0, 1] of all drawings with content, alike ones near each other; and their ids."""
        version = self.archive.version
        if self._map is None or self._map[0] != version:
            ids, vectors = self._archive(self.archive.vectors)
            self._map = version, principal_plane(vectors), ids.tolist()
        return self._map[1], self._map[2]

    # --- what is told to clients

    def public(self, text: str) -> str:
        """A text without the paths of the archive and its folders."""
        roots = sorted(self._catalogue.folders, key=len, reverse=True) if self._catalogue else []
        for path in (self.settings.archive, os.path.abspath(self.settings.archive), *roots):
            text = text.replace(path, "the archive" if path not in roots else "…")
        return text

    def _archive(self, ask: Any) -> Any:
        """What the archive answers; its errors as problems."""
        try:
            return ask()
        except FilterError as error:
            raise Problem("bad-filter", str(error)) from error
        except DecidedMeanwhile:  # whoever decides has to be told more than a line
            raise
        except (ArchiveError, DeepDXFError) as error:
            raise Problem("archive", self.public(str(error))) from error

    def _asked(self, ask: Any) -> Any:
        """The same for questions whose numbers are the client's: what is wrong with them is its error."""
        try:
            return ask()
        except ArchiveError as error:
            raise Problem("archive", self.public(str(error))) from error
        except DeepDXFError as error:
            raise Problem("bad-request", self.public(str(error))) from error


def encoder_shown(name: str) -> str:
    """An encoder's name as people see it: of a model's folder the last name alone."""
    head = encoder.FUSED if name.startswith(encoder.FUSED) else ""
    folder = name.removeprefix(head)
    return head + re.split(r"[/\\]", folder.rstrip("/\\"))[-1]


def is_upload(reference: str) -> bool:
    """Whether a reference is that of an upload."""
    return reference.startswith("u-")


def clean_name(name: str) -> str:
    """The last part of a name that a client gave, on one line."""
    last = one_line(re.split(r"[/\\]", name)[-1]).strip()
    return (last if last not in ("", ".", "..") else "drawing")[-NAME:]


def principal_plane(vectors: Vectors) -> FloatArray:
    """(n, 2) the first two principal components of (n, d) vectors, scaled into [0, 1]; the same on every call."""
    n, d = vectors.shape
    if n < 3 or d < 2:
        return np.linspace(0.25, 0.75, n)[:, None].repeat(2, axis=1)
    plane = principal(vectors)[0]
    low, extent = plane.min(axis=0), np.ptp(plane, axis=0)
    scaled: FloatArray = (plane - low) / np.where(extent > 0, extent, 1.0)
    return scaled
