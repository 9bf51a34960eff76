"""The archive: drawings of some folders with their vectors, facts and thumbnails, and the search in them.

One LanceDB table under a folder or an object-storage address holds a row for every file, also for those that could not
be read. Invariants:

* A row's id is a hash of the file's absolute path, so that a file keeps its id through updates and removals, and two
  processes that index the same file write the same row (the id is the table's key).
* An unchanged file is not read again: same size and time, or else the same content hash.
* Work is committed in batches. A run that was ended at any moment leaves an archive that the next run completes.
* All vectors come from one encoder, whose id is recorded.

Glossary
--------
root        absolute folder that was given to `Archive.index`; a row's path is relative to it.
vanished    a file of the archive that is no longer there.
unreachable a file of the archive in a folder that cannot be listed now; it may still be there.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import heapq
import importlib
import io
import json
import os
import stat
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepdxf import inventory, metadata
from deepdxf.batch import Passing, TimedOut, progress_bar, read_many
from deepdxf.descriptor import Strokes
from deepdxf.drawing import Drawing, EntityClass
from deepdxf.encoder import ENCODERS, Encoder, Vectors
from deepdxf.encoder import load as load_encoder
from deepdxf.errors import ArchiveError, AwayError, DeepDXFError, EncoderError, ReadError
from deepdxf.files import Files, find_files, is_below, portable, without_path
from deepdxf.fingerprint import canonical_hash
from deepdxf.marks import tag_of
from deepdxf.metadata import Lookup
from deepdxf.summary import Summary, one_line, summarise
from deepdxf.turn import straightened, turn_of
from deepdxf.verify import BEHIND, Verification, pack, sketch, unpack, verified_scores
from deepdxf.where import COLUMNS, Kind, compile_where, count_column, quote

if TYPE_CHECKING:
    import pyarrow as pa

# Up to this many bytes of vectors, a search multiplies them all in memory and is exact; above, it asks the database,
# which uses an approximate index: about as fast from there on, and without loading. Measured by benchmarks/scale.py.
EXACT_BYTES = 2**29
# Probed share of an approximate index, and how much of the archive may be outside of it before it is made anew.
PROBED_SHARE, UNINDEXED_SHARE = 0.1, 0.1
# Rows that have a vector.
SEARCHABLE = "status != 'failed'"
# Rows that lack something that this version keeps of a drawing: they failed, or an older version wrote them.
INCOMPLETE = "status = 'failed' OR geometry IS NULL OR sketch IS NULL OR strokes IS NULL OR turn IS NULL"
# Scores are compared at this many decimals: products of equal vectors may differ in the last bits.
SCORE_DECIMALS = 6
# A batch is committed after this many rows or seconds.
BATCH_ROWS, BATCH_SECONDS = 256, 20.0
# Before files are tried again; doubled each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
# Small pieces of the table are joined when there are more than these; versions nobody can be reading are deleted.
MAX_FRAGMENTS, KEEP_VERSIONS = 32, timedelta(hours=1)

SCALAR_TYPES: Mapping[Kind, Callable[[], Any]] = {
    Kind.INTEGER: lambda: _arrow().int64(),
    Kind.NUMBER: lambda: _arrow().float64(),
    Kind.TEXT: lambda: _arrow().string(),
    Kind.TIME: lambda: _arrow().timestamp("us", "UTC"),
    Kind.NUMBERS: lambda: _arrow().list_(_arrow().float64()),
    Kind.TEXTS: lambda: _arrow().list_(_arrow().string()),
}


def _add_geometry(db: Any) -> None:
    """Format 2: the canonical hash; the next indexing fills it in."""
    _ensure_column(db, "geometry", "string")


def _add_sketch(db: Any) -> None:
    """Format 3: the strokes that hits are verified by; the next indexing fills them in."""
    _ensure_column(db, "sketch", "binary")


def _add_strokes(db: Any) -> None:
    """Format 4: all strokes, which parts are searched in; the next indexing fills them in."""
    _ensure_column(db, "strokes", "binary")


def _add_turn(db: Any) -> None:
    """Format 5: how drawings are turned; the next indexing fills it in, and the table of those laid level."""
    _ensure_column(db, "turn", "double")


def _add_meta(db: Any) -> None:
    """Format 6: what tables of others say of drawings; the import of a table fills it in."""
    _ensure_column(db, "meta", "string")


# MIGRATIONS[i] turns the tables of format i + 1 into those of format i + 2.
MIGRATIONS: tuple[Callable[[Any], None], ...] = (_add_geometry, _add_sketch, _add_strokes, _add_turn, _add_meta)

# Marks a table's key, which the database watches: of two processes that insert one at once, the second updates.
KEY = {"lance-schema:unenforced-primary-key": "true", "lance-schema:unenforced-primary-key:position": "1"}

# Side table: vectors and sketches of drawings that are turned (`turn.turn_of`), laid level. A row counts while its hash is
# that of the drawing's row, so that it may be written before that, and left when the drawing changes.
LEVEL = "level"

# Side table: rows of tables that were imported (`metadata.Row`); what they say of a drawing is in its column `meta`.
METADATA = "metadata"

# ids that are asked for in one filter
IDS_AT_ONCE = 400

Redo = Literal["changed", "failed", "all"]


@dataclass(frozen=True)
class Hit:
    """One result of a search."""

    id: str
    path: str  # relative to the root
    root: str
    score: float  # of a search by vectors: see `Archive.search`; by text: share of the best text that was asked for
    match: str = ""  # search by text: the text that was found
    overlap: float | None = None  # `verify.verify` with the query; None: not verified


@dataclass(frozen=True)
class FileReport:
    """What happened to one file in a run of `Archive.index`."""

    path: str  # absolute
    action: str  # added, updated, unchanged, vanished, removed, unreachable
    status: str  # of the drawing: ok, repaired, partial, too large, failed; empty for a folder
    message: str = ""
    seconds: float = 0.0
    attempts: int = 1  # how often it was tried to read it


@dataclass
class IndexReport:
    """What a run of `Archive.index` did, file by file."""

    files: list[FileReport] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False  # by Ctrl-C; what had been read is in the archive

    def actions(self) -> dict[str, int]:
        """Number of files by action."""
        return dict(Counter(file.action for file in self.files))

    def statuses(self) -> dict[str, int]:
        """Number of files in the archive by status, of those that the run looked at."""
        present = ("added", "updated", "unchanged")
        return dict(Counter(file.status for file in self.files if file.action in present))

    def retried(self) -> int:
        """Number of files that were tried more than once."""
        return sum(file.attempts > 1 for file in self.files)

    def to_json(self) -> str:
        """The report as JSON: totals, then the files."""
        totals = {"actions": self.actions(), "statuses": self.statuses(), "interrupted": self.interrupted}
        files = [asdict(file) for file in self.files]
        totals["retried"] = self.retried()
        return json.dumps({**totals, "seconds": round(self.seconds, 3), "files": files}, indent=1)

    def to_csv(self) -> str:
        """The files as CSV with a header."""
        out = io.StringIO()
        writer = csv.DictWriter(out, list(FileReport.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(file) for file in self.files)
        return out.getvalue()


# --- reading one file, in a worker -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ingest:
    """How a file becomes a row; everything here is picklable and runs in the worker processes."""

    encoder: Callable[[], Encoder]  # e.g. functools.partial(encoder.load, "descriptor"); called once a process
    read: Callable[[Path], Drawing]
    thumbnail: Callable[[Drawing], bytes] | None = None

    def __call__(self, task: tuple[str, str | None]) -> dict[str, Any]:
        """The row of (absolute path, hash in the archive); without content columns if the hash is still the same."""
        path, known = Path(task[0]), task[1]
        before = _stat(path)
        digest = _content_hash(path)
        row: dict[str, Any] = {"hash": digest, **before}
        if digest != known:
            drawing = self.read(path)
            angle = turn_of(drawing)
            drawings = [drawing, straightened(drawing, angle)] if angle else [drawing]
            vector, *level = np.asarray(_shared(self.encoder).encode(drawings), np.float32)
            if not np.isfinite(vector).all():
                raise ReadError("the encoder gave a vector that is not finite")
            if level and np.isfinite(level[0]).all():
                row["level"] = {"vector": level[0], "sketch": pack(sketch(drawings[1]))}
            row |= summary_columns(summarise(drawing), path.name) | {
                "turn": angle,
                "geometry": canonical_hash(drawing),
                "sketch": pack(sketch(drawing)),
                "strokes": inventory.pack(drawing),
                "vector": vector,
                "thumbnail": self.thumbnail(drawing) if self.thumbnail else None,
            }
        if _stat(path) != before:
            raise AwayError("the file changed while it was read; index it again")
        return row


@functools.cache
def _shared(factory: Callable[[], Encoder]) -> Encoder:
    return factory()


def _stat(path: Path) -> dict[str, int]:
    try:
        info = path.stat()
    except OSError as error:
        raise AwayError(f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(info.st_mode):
        raise ReadError("is not a regular file")  # reading a pipe would wait for ever
    return {"bytes": info.st_size, "modified": info.st_mtime_ns // 1000}


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise AwayError(f"cannot be read: {error.strerror}") from error


def summary_columns(summary: Summary, name: str) -> dict[str, Any]:
    """The columns of a row that a summary gives; ``name`` is the file's, searched like a text."""
    fields = [f"{tag}={value}" for tag, value in summary.fields]
    same = ("status", "format", "version", "reader", "space", "unit_mm", "width", "height", "width_mm", "height_mm")
    return {
        **{column: getattr(summary, column) for column in (*same, "entities")},
        **{count_column(c): summary.counts.get(c.name, 0) for c in EntityClass if c is not EntityClass.EOS},
        "layer": list(summary.layers),
        "block": list(summary.blocks),
        "text": list(summary.texts),
        "dimension": list(summary.dimensions),
        "field": fields,
        "problem": sorted({code for code, _, _ in summary.problems}),
        "ignored": sorted(summary.ignored),
        "message": nothing_drawn(summary),
        "folded": "\n".join(fold(text) for text in [portable(name), *summary.texts, *(v for _, v in summary.fields)]),
    }


def nothing_drawn(summary: Summary) -> str:
    """Why a drawing that was read shows nothing; empty when it does show something."""
    if summary.entities:
        return ""
    left_out = ", ".join(f"{count} {name}" for name, count in summary.ignored.items())
    return "nothing is drawn" + (f": {left_out} ignored" if left_out else "")


def fold(text: str) -> str:
    """The text as it is searched: compatibility forms unified (full-width letters, ligatures), case ignored."""
    return one_line(unicodedata.normalize("NFKC", text).casefold())


def drawing_id(path: str) -> str:
    """The id of the drawing at an absolute path: 16 hexadecimal digits."""
    key = os.path.normcase(path).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(key, digest_size=8).hexdigest()


# --- the archive -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Snapshot:
    """The searchable rows of one version of the table, in memory, ordered by id."""

    version: int
    ids: NDArray[np.str_]  # (n,)
    paths: list[str]
    roots: list[str]
    vectors: Vectors  # (n, d)


@dataclass(frozen=True)
class _Level:
    """The rows of `LEVEL` that count, of one version of the table, in memory, ordered by id."""

    version: int
    ids: NDArray[np.str_]  # (t,)
    paths: list[str]
    roots: list[str]
    vectors: Vectors  # (t, d)
    sketches: dict[str, bytes]

    def __len__(self) -> int:
        return len(self.ids)

    def scores(self, query: Vectors) -> NDArray[np.float64]:
        """(t,) scores of a query (m, d)."""
        scores: NDArray[np.float64] = np.round((self.vectors @ query.T).max(axis=1).astype(np.float64), SCORE_DECIMALS)
        return scores


@dataclass(frozen=True)
class _Facts:
    """What filters and searches by text ask for, of one version of the table: a copy in memory that they ask alike."""

    version: int
    table: Any | None  # None until the version is asked for a second time: a single question is not worth a copy


@dataclass(frozen=True)
class _Sketches:
    """The packed sketches of one version of the table, in memory; they take no more than the vectors."""

    version: int
    packed: dict[str, bytes | None] | None  # None until the version is asked for a second time, see `_Facts`


class Archive:
    """An archive that is open; made by `Archive.create` or `Archive.open`."""

    def __init__(self, address: str, db: Any, table: Any, encoder_id: str, name: str = "") -> None:
        self.address = address
        self.encoder_id = encoder_id
        self.name = name  # of the encoder, where it was given to `create`
        self.dim: int = table.schema.field("vector").type.list_size
        self._db = db
        self._table = table
        self._snapshot: _Snapshot | None = None
        self._level: _Level | None = None
        self._facts: _Facts | None = None
        self._imported: tuple[int, Lookup] | None = None  # of that version of `METADATA`
        self._sketches: _Sketches | None = None

    @classmethod
    def create(cls, address: str | Path, encoder_id: str, dim: int, name: str = "") -> Archive:
        """Make an empty archive, or open the one that is there.

        Args:
            address: folder, or address such as ``s3://bucket/archive``.
            encoder_id: `Encoder.id` of all its vectors.
            dim: their length.
            name: by which `encoder.load` finds that encoder again, where it is no named one.

        Raises:
            ArchiveError: it cannot be written, or is there and of another encoder.
        """
        address = str(address)
        with database_errors(address):
            pa = _arrow()
            if "://" not in address and os.path.exists(address) and not os.path.isdir(address):
                raise ArchiveError(f"{address} is a file, not an archive; choose a folder")
            if "://" not in address and os.path.isdir(address) and not _is_archive(address) and os.listdir(address):
                raise ArchiveError(f"{address} is not empty, and no archive; choose another folder")
            db = _connect(address)
            about = {"format": str(1 + len(MIGRATIONS)), "encoder": encoder_id, "dim": str(dim), "name": name}
            # `about` first: with it, an archive whose making was cut off can be completed
            _ensure_table(db, "about", pa.table({"key": list(about), "value": list(about.values())}))
            recorded = _read_about(db)
            if recorded.get("encoder") == encoder_id:
                _ensure_table(db, "drawings", _schema(int(recorded["dim"])).empty_table())
        return cls.open(address, encoder_id)

    @classmethod
    def open(cls, address: str | Path, encoder_id: str | None = None) -> Archive:
        """Open an archive.

        Args:
            address: folder or address.
            encoder_id: the encoder that is going to be used with it; None to look only at what is stored.

        Raises:
            ArchiveError: there is none, it is damaged, of a newer format or of another encoder.
        """
        address = str(address)
        with database_errors(address):
            # a folder is looked at first, because connecting to one makes it
            found = "://" in address or _is_archive(address)
            db = _connect(address) if found else None
            if os.path.isdir(os.path.join(address, "drawings.lance")) and not _described(_connect(address)):
                raise ArchiveError(
                    f"the archive {address} has lost its description (the table `about`); "
                    f"`deepdxf index FOLDER --archive {address}` writes it anew and keeps the rest"
                )
            if db is None or "about" not in db.list_tables().tables:
                raise ArchiveError(f"no archive at {address}; make one with: deepdxf index FOLDER --archive {address}")
            about = _read_about(db)
            if not about.keys() >= DESCRIBED:
                raise ArchiveError(f"the archive {address} is damaged (its description is incomplete)")
            if encoder_id is not None and about["encoder"] != encoder_id:
                raise ArchiveError(
                    f"the archive {address} was made with encoder {about['encoder']!r}, not {encoder_id!r}; "
                    f"use that encoder, or index into a new archive"
                )
            _migrate(db, int(about["format"]), address)
            return cls(address, db, db.open_table("drawings"), about["encoder"], about.get("name", ""))

    @classmethod
    def describe_anew(
        cls, address: str | Path, encoder_id: str, dim: int, name: str, agrees: Callable[[Path, Vectors], bool | None]
    ) -> bool:
        """Write the description of an archive in a folder that has lost it; False where there is nothing to do.

        Which encoder its vectors are of is not taken on trust.

        Args:
            encoder_id, dim, name: as of `create`.
            agrees: whether the encoder gives a file this vector; None: the file does not tell, for it is gone or changed.

        Raises:
            ArchiveError: the vectors are of another encoder, or none of the files is there to tell.
        """
        address = str(address)
        if "://" in address or not os.path.isdir(os.path.join(address, "drawings.lance")):
            return False
        with database_errors(address):
            db = _connect(address)
            if _described(db):
                return False
            table = db.open_table("drawings")
            told = table.schema.field("vector").type.list_size == dim or None
            if told:
                rows = table.search().where(SEARCHABLE).select(["path", "root", "hash", "vector"]).to_arrow()
                asked = (
                    agrees(Path(row["root"], row["path"]), np.asarray(row["vector"], np.float32))
                    for row in rows.to_pylist()
                    if _unchanged(row)
                )
                told = next((answer for answer in asked if answer is not None), None if len(rows) else True)
            if told is None and table.schema.field("vector").type.list_size == dim:
                raise ArchiveError(
                    f"the archive {address} has lost its description, and none of its files is there, as it was, to tell "
                    "which encoder it was made with; bring their folder back, or index into a new archive"
                )
            if not told:
                raise ArchiveError(
                    f"the archive {address} has lost its description, and its vectors are not of {encoder_id!r}; name the "
                    "encoder that made it: --encoder"
                )
            if "about" in db.list_tables().tables:
                db.drop_table("about")
            # of the oldest form: bringing it up to date adds only what is missing
            about = {"format": "1", "encoder": encoder_id, "dim": str(dim), "name": name}
            _ensure_table(db, "about", _arrow().table({"key": list(about), "value": list(about.values())}))
        return True

    def __len__(self) -> int:
        with database_errors(self.address):
            return int(self._table.count_rows())

    @property
    def version(self) -> int:
        """A number that every commit raises: what was derived from the archive is current while it stays."""
        with database_errors(self.address):
            return int(self._table.version)

    # --- writing

    def index(
        self,
        paths: Iterable[str | Path],
        ingest: Ingest,
        *,
        workers: int | None = None,
        timeout_s: float = 120.0,
        memory_mb: int = 2000,
        redo: Redo = "changed",
        retries: int = 0,
        prune: bool = False,
        quiet: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> IndexReport:
        """Bring the archive up to date with the files below some paths.

        Args:
            paths: folders and files; what lies below a folder of `SUFFIXES` is indexed.
            ingest: how to read, encode and picture a file.
            workers, timeout_s, memory_mb: as in `read_many`.
            redo: which of the known files are read again besides those that changed.
            retries: how often files that failed, but may not another time (locked, away, over the limit of time), are tried
                again at the end; longer and longer pauses come before that.
            prune: remove vanished files from the archive (the files themselves are never touched).
            quiet: no progress bar; there is none either where standard error is no terminal.
            progress: called with the number of files done and of files to do; KeyboardInterrupt out of it stops the run.

        Raises:
            ReadError: one of the paths does not exist.
            ArchiveError: the archive cannot be written; batches committed before stay.
        """
        start = time.perf_counter()
        report = IndexReport()
        given = [os.path.abspath(path) for path in paths]
        files = find_files(given)
        known = self._known()
        roots = sorted({row["root"] for row in known.values()}, key=len)
        tasks: dict[tuple[str, str | None], dict[str, Any]] = {}
        for path, root in files.paths.items():
            row = known.get(drawing_id(path))
            if row and self._is_current(row, path, redo):
                report.files.append(FileReport(portable(path), "unchanged", row["status"], row["message"] or ""))
                continue
            root = next((other for other in roots if is_below(path, os.path.normpath(other))), root)
            place = {"id": drawing_id(path), "root": Path(portable(root)).as_posix()}
            place["path"] = Path(os.path.relpath(portable(path), portable(root))).as_posix()
            readable = row is not None and row["complete"] and redo != "all"
            tasks[path, row["hash"] if row and readable else None] = place
        try:
            for attempt in range(1, retries + 2):
                again = self._ingest(
                    tasks, ingest, known, report, quiet, progress, workers, timeout_s, memory_mb, attempt
                )
                if not again or attempt > retries:
                    break
                time.sleep(min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S))
                left = {portable(path) for path, _ in again}
                report.files = [file for file in report.files if file.path not in left]
                tasks = {task: tasks[task] for task in again}
        except KeyboardInterrupt:
            report.interrupted = True
        else:
            self._report_missing(given, files, known, report, prune)
            self._tidy()
        report.seconds = time.perf_counter() - start
        return report

    def _known(self) -> dict[str, dict[str, Any]]:
        """What decides about reading a file again, by id."""
        pa = _arrow()
        columns = ["id", "root", "path", "hash", "bytes", "modified", "status", "message"]
        table = self._select(columns)
        table = table.set_column(5, "modified", table["modified"].cast(pa.int64()))
        incomplete = set(self._select(["id"], INCOMPLETE)["id"].to_pylist())
        return {row["id"]: {**row, "complete": row["id"] not in incomplete} for row in table.to_pylist()}

    @staticmethod
    def _is_current(row: Mapping[str, Any], path: str, redo: Redo) -> bool:
        if redo == "all" or (redo == "failed" and row["status"] == "failed"):
            return False
        if row["status"] != "failed" and not row["complete"]:
            return False
        try:
            return _stat(Path(path)) == {"bytes": row["bytes"], "modified": row["modified"]}
        except ReadError:
            return False

    def _ingest(
        self,
        tasks: Mapping[tuple[str, str | None], Mapping[str, Any]],
        ingest: Ingest,
        known: Mapping[str, Mapping[str, Any]],
        report: IndexReport,
        quiet: bool,
        progress: Callable[[int, int], None] | None,
        workers: int | None,
        timeout_s: float,
        memory_mb: int,
        attempt: int,
    ) -> list[tuple[str, str | None]]:
        """Read the files of the tasks and commit their rows in batches, also when interrupted; returns what may go better
        another time."""
        again: list[tuple[str, str | None]] = []
        batch: list[dict[str, Any]] = []
        since = time.monotonic()
        stream = read_many(tasks, ingest, workers=workers, timeout_s=timeout_s, memory_mb=memory_mb)
        try:
            with progress_bar("indexing", len(tasks), quiet) as advance, closing(stream):  # type: ignore[type-var]
                if progress:
                    progress(0, len(tasks))
                for number, outcome in enumerate(stream, 1):
                    place = tasks[outcome.item]
                    error = without_path(outcome.error or "", outcome.item[0])
                    row = {
                        **place,
                        **(outcome.value or _failed_row(outcome.item[0], error)),
                        "indexed": _now(),
                    }
                    if isinstance(outcome.error, Passing):
                        again.append(outcome.item)
                        if not isinstance(outcome.error, TimedOut):  # the next run looks at it again
                            row |= {"bytes": None, "modified": None}
                    batch.append(row)
                    before = known.get(place["id"])
                    action = "added" if before is None else "updated" if "status" in row else "unchanged"
                    status = row.get("status") or (before or {})["status"]
                    path = portable(outcome.item[0])
                    report.files.append(FileReport(path, action, status, error, round(outcome.seconds, 4), attempt))
                    advance()
                    if progress:
                        progress(number, len(tasks))
                    if len(batch) >= BATCH_ROWS or time.monotonic() - since > BATCH_SECONDS:
                        full, batch = batch, []
                        self._write(full)
                        since = time.monotonic()
        finally:
            self._write(batch)
        return again

    def _write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commit rows; those without a status keep the content that the archive has and get a new time."""
        if not rows:
            return
        pa = _arrow()
        schema = self._table.schema
        touched = {row["id"]: row for row in rows if "status" not in row}
        full = [{**self._empty_row(), **row} for row in rows if "status" in row]
        lookup = self._lookup() if full else Lookup()
        for row in full:
            row["meta"] = metadata.pack(lookup.values(row))
        if touched:
            old = self._select(schema.names, f"id IN ({', '.join(map(quote, touched))})").to_pylist()
            full += [{**row, **touched[row["id"]]} for row in old]
        if not full:
            return  # the touched rows have just been removed by another process
        self._write_level([{"id": row["id"], "hash": row["hash"], **row["level"]} for row in full if "level" in row])
        vectors = np.stack([row["vector"] for row in full]).astype(np.float32)
        columns = {
            name: pa.array([row[name] for row in full], schema.field(name).type)
            for name in schema.names
            if name != "vector"
        }
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dim)
        data = pa.table({name: columns[name] for name in schema.names}, schema=schema)
        with database_errors(self.address):
            # its conflicts with other writers are retried by the database
            self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(data)

    def _lookup(self) -> Lookup:
        """What was imported of tables."""
        if METADATA not in self.tables():
            return Lookup()
        table = self.table(METADATA)
        with database_errors(self.address):
            version = table.version
            if self._imported is not None and self._imported[0] == version:
                return self._imported[1]  # a run of indexing asks once a batch
            kept = table.search().to_arrow().to_pylist()
        kept.sort(key=lambda row: (row["number"], row["key"]))
        lookup = Lookup.of(metadata.Row(row["by"], row["written"], json.loads(row["values"])) for row in kept)
        self._imported = version, lookup
        return lookup

    def join(
        self, table: metadata.Table, key: str, by: str = metadata.ANY, *, replace: bool = False, dry_run: bool = False
    ) -> metadata.Joined:
        """Import a table: keep its rows, and note on every drawing what they say of it.

        Args:
            key: the column that says which drawing a row is about.
            by: what it names, see `metadata`: ``any``, or ``field:TAG``.
            replace: forget what was imported before.
            dry_run: only tell what would be.

        Raises:
            ArchiveError: the table has no such column, or the archive cannot be written.
        """
        pa = _arrow()
        column = next((name for name in table.columns if name.casefold() == key.casefold()), None)
        if column is None:
            raise ArchiveError(f"the table has no column {key!r}; it has {', '.join(table.columns)}")
        if by != metadata.ANY:
            by = metadata.FIELD + tag_of(by.removeprefix(metadata.FIELD))
        rows = [metadata.Row(by, row[column], row) for row in table.rows if column in row]
        lookup = Lookup.of([*(() if replace else self._lookup().rows.values()), *rows])
        own = Lookup.of(rows)
        drawings = self.records(None, ("path", "root", "field", "meta"))
        matched: dict[str, list[str]] = {}
        without, changed = [], []
        for drawing in drawings:
            found = own.find(drawing)
            if not found:
                without.append(drawing["path"])
            for row in found:
                matched.setdefault(metadata.fold_key(row.key), []).append(drawing["path"])
            if (text := metadata.pack(lookup.values(drawing))) != drawing["meta"]:
                changed.append((drawing["id"], text))
        if not dry_run:
            self._keep(lookup, replace)
            columns = [pa.array([row[i] for row in changed], pa.string()) for i in (0, 1)]
            fields = [self._table.schema.field("id"), self._table.schema.field("meta")]
            with database_errors(self.address):
                if changed:
                    data = pa.table(columns, schema=pa.schema(fields))
                    self._table.merge_insert("id").when_matched_update_all().execute(data)
        counts = Counter(metadata.fold_key(row.key) for row in rows)
        written = {metadata.fold_key(row.key): row.key for row in rows}
        return metadata.Joined(
            len(table.rows),
            table.columns,
            {written[key]: tuple(sorted(paths)) for key, paths in sorted(matched.items())},
            tuple(written[key] for key in written if key not in matched),
            tuple(sorted(without)),
            tuple(written[key] for key, count in counts.items() if count > 1),
            len(table.rows) - len(rows),
            len(changed),
        )

    def _keep(self, lookup: Lookup, replace: bool) -> None:
        """Commit the rows of tables."""
        pa = _arrow()
        schema = metadata_schema()
        kept = self.side_table(METADATA, schema)
        rows = [
            {
                "key": f"{by}\n{key}",
                "by": by,
                "written": row.key,
                "values": metadata.to_json(row.values),
                "number": number,
            }
            for number, ((by, key), row) in enumerate(lookup.rows.items())
        ]
        data = pa.Table.from_pylist(rows, schema)
        with database_errors(self.address):
            if replace:
                kept.add(data, mode="overwrite")
            elif rows:
                kept.merge_insert("key").when_matched_update_all().when_not_matched_insert_all().execute(data)

    def _write_level(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Commit rows of `LEVEL`."""
        if not rows:
            return
        pa = _arrow()
        schema = level_schema(self.dim)
        columns = {name: pa.array([row[name] for row in rows]) for name in ("id", "hash", "sketch")}
        vectors = pa.array(np.stack([row["vector"] for row in rows]).ravel())
        data = pa.table({**columns, "vector": pa.FixedSizeListArray.from_arrays(vectors, self.dim)}, schema=schema)
        table = self.side_table(LEVEL, schema)
        with database_errors(self.address):
            table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(data)

    def _empty_row(self) -> dict[str, Any]:
        """A row of a file without content. It has a vector, of zeros, for the database refuses to merge nulls."""
        pa = _arrow()
        empty: dict[str, Any] = {f.name: [] if pa.types.is_list(f.type) else None for f in self._table.schema}
        return {**empty, "vector": np.zeros(self.dim, np.float32)}

    def _report_missing(
        self,
        paths: Sequence[str],
        files: Files,
        known: Mapping[str, Mapping[str, Any]],
        report: IndexReport,
        prune: bool,
    ) -> None:
        """Report folders that cannot be listed and files of the archive that are gone; remove the latter on request."""
        for folder, reason in files.unreadable.items():
            report.files.append(FileReport(portable(folder), "unreachable", "", f"folder cannot be listed: {reason}"))
        present = {drawing_id(path) for path in files.paths}
        gone: list[str] = []
        for id, row in known.items():
            path = os.path.normpath(os.path.join(row["root"], row["path"]))
            if id in present or not any(is_below(path, portable(folder)) for folder in paths):
                continue
            if any(is_below(path, portable(folder)) for folder in files.unreadable) or os.path.exists(path):
                report.files.append(FileReport(path, "unreachable", row["status"]))
            else:
                gone.append(id)
                report.files.append(FileReport(path, "removed" if prune else "vanished", row["status"]))
        if prune:
            self.remove(gone)

    def remove(self, ids: Iterable[str]) -> int:
        """Remove rows; returns how many there were. Unknown ids are no error: they are not there."""
        ids, before = list(ids), len(self)
        with database_errors(self.address):
            level = [self.table(LEVEL)] if ids and LEVEL in self.tables() else []
            for table in (self._table, *level):
                for i in range(0, len(ids), 500):
                    table.delete(f"id IN ({', '.join(map(quote, ids[i : i + 500]))})")
        return before - len(self)

    def _tidy(self) -> None:
        """Join small pieces of the table and index it when it has outgrown exact search."""
        with database_errors(self.address):
            try:
                if self._table.stats()["fragment_stats"]["num_fragments"] > MAX_FRAGMENTS:
                    self._table.optimize(cleanup_older_than=KEEP_VERSIONS)
            except (RuntimeError, OSError, ValueError) as error:
                if "conflict" not in str(error).lower():  # another process is at work: it will tidy up
                    raise
            if len(self) * self.dim * 4 > EXACT_BYTES:
                self.build_index()

    def build_index(self) -> None:
        """Make the approximate index of the vectors, if a tenth of them or more are not in one."""
        from lancedb.index import IvfFlat

        with database_errors(self.address):
            stats = self._table.index_stats("vector_idx") if self._table.list_indices() else None
            if stats is None or stats.num_unindexed_rows > UNINDEXED_SHARE * len(self):
                self._table.create_index("vector", config=IvfFlat(distance_type="dot"), replace=True)

    @classmethod
    def restore(
        cls, address: str, tables: Mapping[str, pa.RecordBatchReader], *, encoder_id: str, dim: int, format: int
    ) -> Archive:
        """Make an archive out of tables that another one held, at an address where there is none.

        Args:
            tables: by name, with the schema that they had there; ``drawings`` is one of them.
            encoder_id, dim, format: of the other archive; one of an older format is brought up to date.

        Raises:
            ArchiveError: something is there, the format is newer, or a column is not what it should be.
        """
        newest = 1 + len(MIGRATIONS)
        if format > newest:
            raise ArchiveError(f"it has format {format}, this version reads up to {newest}; upgrade deepdxf")
        expected = _schema(dim)
        found = tables["drawings"].schema
        wrong = [f.name for f in found if f.name not in expected.names or f.type != expected.field(f.name).type]
        missing = set(expected.names) - set(found.names) if format == newest else {"id", "vector"} - set(found.names)
        if wrong or missing:
            raise ArchiveError(f"columns of it are not those of an archive: {', '.join([*wrong, *sorted(missing)])}")
        with database_errors(address):
            db = _connect(address)
            if db.list_tables().tables:
                raise ArchiveError(f"{address} is there already; name a new one")
            pa = _arrow()
            for name, rows in tables.items():
                fields = [expected.field(f.name) for f in found] if name == "drawings" else list(rows.schema)
                table = db.create_table(name, pa.schema(fields).empty_table())
                table.add(rows)
            # last: without it there is no archive, if this is cut off
            about = {"format": str(format), "encoder": encoder_id, "dim": str(dim)}
            db.create_table("about", pa.table({"key": list(about), "value": list(about.values())}))
        return cls.open(address)

    @property
    def format(self) -> int:
        """Number of the form of its tables."""
        return 1 + len(MIGRATIONS)

    def tables(self) -> list[str]:
        """Names of its tables of rows: the drawings, and side tables."""
        with database_errors(self.address):
            return sorted(set(self._db.list_tables().tables) - {"about"})

    def table(self, name: str) -> Any:
        """One of `tables`, as it is now."""
        with database_errors(self.address):
            return self._db.open_table(name)

    def side_table(self, name: str, schema: pa.Schema) -> Any:
        """A table of the archive beside that of the drawings, made if it is not there."""
        with database_errors(self.address):
            _ensure_table(self._db, name, schema.empty_table())
            return self._db.open_table(name)

    # --- reading

    def get(self, id: str) -> dict[str, Any]:
        """The columns of one row (`where.COLUMNS`).

        Raises:
            ArchiveError: there is no such id.
        """
        return self._row(id, list(COLUMNS))

    def vector(self, id: str) -> Vectors:
        """(d,) the vector of one drawing, to search by id.

        Raises:
            ArchiveError: there is no such id, or its file could not be read.
        """
        row = self._row(id, ["vector", "status"])
        if row["status"] == "failed":
            raise ArchiveError(f"the drawing {id!r} could not be read when it was indexed, so it has no vector")
        return np.asarray(row["vector"], np.float32)

    def vectors(self) -> tuple[NDArray[np.str_], Vectors]:
        """Ids (n,) in order, and vectors (n, d), of all drawings that have content."""
        with database_errors(self.address):
            rows = self._load()
        return rows.ids, rows.vectors

    def vectors_of(self, ids: Sequence[str], *, level: bool = False) -> Vectors:
        """(n, d) the vectors of some drawings, in their order; zeros for those that have none or are not there.

        Args:
            level: of those that are turned, the ones of the drawings laid level.
        """
        found = np.zeros((len(ids), self.dim), np.float32)
        if not ids:
            return found
        with database_errors(self.address):
            in_memory = self._is_in_memory()
        if in_memory:
            rows = self._load()
            wanted = np.asarray(ids, dtype="U16")
            place = np.minimum(np.searchsorted(rows.ids, wanted), max(len(rows.ids) - 1, 0))
            known = np.flatnonzero(rows.ids[place] == wanted) if len(rows.ids) else np.zeros(0, np.int64)
            found[known] = rows.vectors[place[known]]
        else:
            table = self._select(["id", "vector"], f"{SEARCHABLE} AND id IN ({', '.join(map(quote, ids))})")
            row_of = {id: row for row, id in enumerate(ids)}
            for row in table.to_pylist():
                found[row_of[row["id"]]] = row["vector"]
        if level:
            known_level = self._load_level()
            number_of = {id: number for number, id in enumerate(known_level.ids.tolist())}
            for row, id in enumerate(ids):
                if id in number_of:
                    found[row] = known_level.vectors[number_of[id]]
        return found

    def sketches(self, ids: Sequence[str], *, level: bool = False) -> list[Strokes | None]:
        """The sketches (`verify`) of some drawings, in their order; None where the archive has none.

        Args:
            level: of those that are turned, the ones of the drawings laid level.
        """
        if not ids:
            return []
        straight = self._load_level().sketches if level else {}
        with database_errors(self.address):
            version = self._table.version
        if self._sketches is None or self._sketches.version != version:
            self._sketches = _Sketches(version, None)
            packed = self._packed_sketches(f"id IN ({', '.join(map(quote, ids))})")
        elif self._sketches.packed is not None:
            packed = self._sketches.packed
        elif self._is_in_memory():
            packed = self._packed_sketches(None)
            self._sketches = _Sketches(version, packed)
        else:
            packed = self._packed_sketches(f"id IN ({', '.join(map(quote, ids))})")
        return [None if (data := straight.get(id) or packed.get(id)) is None else unpack(data) for id in ids]

    def packed_strokes(self) -> Iterator[list[tuple[str, bytes | None]]]:
        """Ids and `inventory.pack` of all drawings that could be read, some at a time; None where the archive has none."""
        with database_errors(self.address):
            rows = self._table.search().where(SEARCHABLE).select(["id", "strokes"]).to_batches()
            for batch in rows:
                yield list(zip(batch["id"].to_pylist(), batch["strokes"].to_pylist(), strict=True))

    def _packed_sketches(self, condition: str | None) -> dict[str, bytes | None]:
        table = self._select(["id", "sketch"], condition)
        return dict(zip(table["id"].to_pylist(), table["sketch"].to_pylist(), strict=True))

    def thumbnail(self, id: str) -> bytes | None:
        """The picture of one drawing; None if none was made. Raises ArchiveError for an unknown id."""
        picture: bytes | None = self._row(id, ["thumbnail"])["thumbnail"]
        return picture

    def thumbnails(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Pictures by id, of those drawings that have one."""
        found: dict[str, bytes] = {}
        for first in range(0, len(ids), IDS_AT_ONCE):
            some = ", ".join(map(quote, ids[first : first + IDS_AT_ONCE]))
            rows = self._select(["id", "thumbnail"], f"id IN ({some})").to_pylist()
            found |= {row["id"]: row["thumbnail"] for row in rows if row["thumbnail"]}
        return found

    def records(self, where: str | None = None, columns: Sequence[str] = tuple(COLUMNS)) -> list[dict[str, Any]]:
        """Rows that pass a filter (all without one), ordered by id. Raises FilterError."""
        condition = compile_where(where) if where is not None else None
        rows: list[dict[str, Any]] = self._select(list(dict.fromkeys(["id", *columns])), condition).to_pylist()
        return sorted(rows, key=lambda row: str(row["id"]))

    def search(
        self,
        query: Vectors,
        k: int = 10,
        *,
        min_score: float | None = None,
        where: str | None = None,
        verification: Verification | None = None,
        rotation: bool = False,
    ) -> list[Hit]:
        """The drawings most similar to a query.

        Args:
            query: (m, d) vectors as `Encoder.query` gives them; a drawing's score is the largest of the m dot products.
            k: number of hits at most.
            min_score: the lowest score of a hit.
            where: a filter expression, see `where`.
            verification: if given, the first hits are verified and scores are `verify.verified_scores`.
            rotation: the query's vectors are of a drawing that may be turned: drawings that are turned themselves are
                also found by how they look laid level.

        Returns:
            Hits, best first, ties by id. Exact, unless the vectors exceed `EXACT_BYTES` and have an index.

        Raises:
            FilterError: the filter does not parse.
            ArchiveError: the query's vectors have another length than the archive's.
        """
        query = np.atleast_2d(np.asarray(query, np.float32))
        if query.shape[1] != self.dim:
            raise ArchiveError(f"the query has vectors of length {query.shape[1]}, the archive of length {self.dim}")
        condition = compile_where(where) if where is not None else None
        if k < 1:
            return []
        wanted = max(k, verification.depth) if verification else k
        with database_errors(self.address):
            if not self._is_in_memory():
                hits = self._search_database(query, wanted, condition, rotation)
            else:
                hits = self._search_memory(query, wanted, condition, rotation)
        if verification:
            hits = self._verified(hits, verification, k)
        return [hit for hit in hits if min_score is None or hit.score >= min_score]

    def _verified(self, hits: list[Hit], verification: Verification, k: int) -> list[Hit]:
        """The k best of the hits with what they share with the query, in their new order."""
        cosines = np.array([hit.score for hit in hits], np.float64)
        first = hits[: verification.depth]
        pens = self.sketches([hit.id for hit in first], level=verification.switches.rotation)
        known = verification.best(pens, cosines[: len(first)], k)
        overlaps = np.concatenate([known, np.zeros(len(hits) - len(known))])
        scores = np.round(verified_scores(cosines, overlaps), SCORE_DECIMALS).tolist()
        shown = [None if np.isnan(overlap) else round(float(overlap), SCORE_DECIMALS) for overlap in known]
        shown += [None] * (len(hits) - len(known))
        found = [
            replace(hit, score=score, overlap=overlap)
            for hit, score, overlap in zip(hits, scores, shown, strict=True)
            if overlap != BEHIND
        ]
        return sorted(found, key=lambda hit: (-hit.score, hit.id))[:k]

    def _search_memory(self, query: Vectors, k: int, condition: str | None, rotation: bool) -> list[Hit]:
        rows = self._load()
        scores = np.round((rows.vectors @ query.T).max(axis=1).astype(np.float64), SCORE_DECIMALS)
        if rotation and len(rows.ids) and len(level := self._load_level()):
            place = np.minimum(np.searchsorted(rows.ids, level.ids), len(rows.ids) - 1)
            better = np.where(rows.ids[place] == level.ids, level.scores(query), -np.inf)
            np.maximum.at(scores, place, better)
        candidates = np.arange(len(scores))
        if condition:
            passing = self._select(["id"], condition, self._facts_table())["id"]
            passing = np.asarray(passing.to_pylist(), dtype=rows.ids.dtype)
            place = np.minimum(np.searchsorted(rows.ids, passing), len(rows.ids) - 1)  # ids are sorted
            candidates = np.unique(place[rows.ids[place] == passing]) if len(rows.ids) else place
        if len(candidates) > k:  # all that are as good as the k-th, so that ids decide among equals
            worst = np.partition(scores[candidates], -k)[-k]
            candidates = candidates[scores[candidates] >= worst]
        best = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        return [Hit(str(rows.ids[i]), rows.paths[i], rows.roots[i], float(scores[i])) for i in best]

    def _search_database(self, query: Vectors, k: int, condition: str | None, rotation: bool) -> list[Hit]:
        stats = self._table.index_stats("vector_idx") if self._table.list_indices() else None
        best: dict[str, Hit] = {}
        for vector in query:
            search = self._table.search(vector, vector_column_name="vector").distance_type("dot").limit(k)
            if stats is not None:
                partitions = max(1, int(np.sqrt(stats.num_indexed_rows)))
                search = search.nprobes(max(20, int(PROBED_SHARE * partitions)))
            search = search.where(f"{SEARCHABLE} AND {condition}" if condition else SEARCHABLE, prefilter=True)
            for row in search.select(["id", "path", "root", "_distance"]).to_list():
                score = round(1.0 - row["_distance"], SCORE_DECIMALS)
                if score == 0.0:
                    continue  # a drawing without content is like nothing
                if row["id"] not in best or score > best[row["id"]].score:
                    best[row["id"]] = Hit(row["id"], row["path"], row["root"], score)
        if rotation and len(level := self._load_level()):
            passing = None
            if condition:
                passing = set(self._select(["id"], f"turn <> 0 AND {condition}", self._facts_table())["id"].to_pylist())
            level_scores = level.scores(query)
            ordered = np.argsort(-level_scores, kind="stable").tolist()
            for i in islice((i for i in ordered if passing is None or str(level.ids[i]) in passing), k):
                hit = Hit(str(level.ids[i]), level.paths[i], level.roots[i], float(level_scores[i]))
                if hit.id not in best or hit.score > best[hit.id].score:
                    best[hit.id] = hit
        return sorted(best.values(), key=lambda hit: (-hit.score, hit.id))[:k]

    def _is_in_memory(self) -> bool:
        """Whether searches hold the rows in memory, or ask the database."""
        return int(self._table.count_rows()) * self.dim * 4 <= EXACT_BYTES

    def _facts_table(self) -> Any:
        """The table to ask for what is in `COLUMNS`: the archive's own, or a copy of its newest version in memory,
        which answers several times as fast."""
        version = self._table.version
        if self._facts is None or self._facts.version != version:
            self._facts = _Facts(version, None)
            return self._table
        if self._facts.table is None:
            if not self._is_in_memory():
                return self._table
            copy = _connect("memory://").create_table("facts", self._select([*COLUMNS, "folded"]))
            self._facts = _Facts(version, copy)
        return self._facts.table

    def _load(self) -> _Snapshot:
        """The searchable rows in memory, read again when any process has written."""
        version = self._table.version
        if self._snapshot is None or self._snapshot.version != version:
            table = self._select(["id", "path", "root"], SEARCHABLE)
            ids = np.asarray(table["id"].to_pylist(), dtype="U16")
            order = np.argsort(ids)
            ids = ids[order]
            vectors = np.zeros((len(ids), self.dim), np.float32)
            # some at a time: all of them twice may be more than the memory holds
            for batch in self._table.search().where(SEARCHABLE).select(["id", "vector"]).to_batches():
                found = np.asarray(batch["id"].to_pylist(), dtype="U16")
                place = np.minimum(np.searchsorted(ids, found), max(len(ids) - 1, 0))
                known = ids[place] == found if len(ids) else np.zeros(len(found), bool)  # others were added just now
                vectors[place[known]] = batch["vector"].flatten().to_numpy().reshape(-1, self.dim)[known]
            paths, roots = table["path"].to_pylist(), table["root"].to_pylist()
            shown = vectors.any(axis=1)  # a drawing without content is like nothing
            order, ids, vectors = (order, ids, vectors) if shown.all() else (order[shown], ids[shown], vectors[shown])
            self._snapshot = _Snapshot(version, ids, [paths[i] for i in order], [roots[i] for i in order], vectors)
        return self._snapshot

    def _load_level(self) -> _Level:
        """The drawings that are turned, laid level, read again when any process has written."""
        version = self._table.version
        if self._level is None or self._level.version != version:
            kept = self._select(["id", "hash", "path", "root"], f"{SEARCHABLE} AND turn <> 0").to_pylist()
            wanted = {row["id"]: row for row in kept}
            vectors: list[Vectors] = []
            found: list[tuple[str, int, bytes]] = []
            with database_errors(self.address):
                if wanted and LEVEL in self.tables():
                    for batch in self.table(LEVEL).search().to_batches():
                        block = batch["vector"].flatten().to_numpy().reshape(-1, self.dim)
                        columns = (batch[name].to_pylist() for name in ("id", "hash", "sketch"))
                        for i, (id, digest, pen) in enumerate(zip(*columns, strict=True)):
                            if id in wanted and wanted[id]["hash"] == digest:
                                found.append((id, len(vectors), pen))
                                vectors.append(block[i])
            found.sort()
            ids = [id for id, _, _ in found]
            self._level = _Level(
                version,
                np.array(ids, "U16"),
                [wanted[id]["path"] for id in ids],
                [wanted[id]["root"] for id in ids],
                np.array([vectors[i] for _, i, _ in found], np.float32).reshape(-1, self.dim),
                {id: pen for id, _, pen in found},
            )
        return self._level

    def find_text(self, words: str, k: int = 10, *, where: str | None = None) -> list[Hit]:
        """Drawings in whose texts, title-block fields and file name every one of the words occurs.

        Words match inside of words, ignore case, and may be of any script. A drawing's score is the share of its best
        text that the words make up, 1 for the very text.

        Raises:
            FilterError: the filter does not parse.
            ArchiveError: no word is given.
        """
        wanted = list(dict.fromkeys(fold(words).split()))
        if not wanted:
            raise ArchiveError("the text to search for is empty")
        # A scan: right for every script, inside words and from the moment a row is there; an index of words is not.
        conditions = [f"contains(folded, {quote(word)})" for word in wanted]
        if where is not None:
            conditions.append(compile_where(where))
        columns = ["id", "path", "root", "folded", "text", "field"]
        found = self._select(columns, " AND ".join(conditions), self._facts_table())
        share_of = functools.cache(functools.partial(_share, wanted))  # many drawings have the same lines
        texts = zip(found["id"].to_pylist(), found["folded"].to_pylist(), strict=True)
        best = heapq.nsmallest(
            k, [(-max(map(share_of, folded.split("\n"))), id, row) for row, (id, folded) in enumerate(texts)]
        )
        hits = []
        for (score, id, _), values in zip(
            best, found.take([row for _, _, row in best]).to_pylist() if best else [], strict=True
        ):
            number = [share_of(line) for line in values["folded"].split("\n")].index(-score)
            # the same order as `summary_columns` folds them in
            name, fields = values["path"].rsplit("/", 1)[-1], (field.split("=", 1)[-1] for field in values["field"])
            match = [name, *values["text"], *fields][number]
            hits.append(Hit(id, values["path"], values["root"], -score, match))
        return hits

    def _row(self, id: str, columns: list[str]) -> dict[str, Any]:
        rows = self._select(columns, f"id = {quote(id)}").to_pylist()
        if not rows:
            raise ArchiveError(f"no drawing with id {id!r} in the archive {self.address}")
        row: dict[str, Any] = rows[0]
        return row

    def _select(self, columns: list[str], condition: str | None = None, table: Any = None) -> pa.Table:
        """Columns of the rows that pass, of the archive's table or a copy of it."""
        with database_errors(self.address):
            query = (self._table if table is None else table).search()
            if condition:
                query = query.where(condition)
            return query.select(columns).to_arrow().select(columns)


def encoder_name(archive: Archive) -> str:
    """Name of the encoder that an archive was made with, for `encoder.load`; of a trained model its folder.

    Raises:
        EncoderError: this version does not have it, or there is another model in the folder by now.
    """
    for name, (module, maker, _) in ENCODERS.items():
        # of a class the id is known; a function loads a model, which is looked at last
        if getattr(getattr(importlib.import_module(module), maker), "id", None) == archive.encoder_id:
            return name
    if archive.name:
        if load_encoder(archive.name).id == archive.encoder_id:
            return archive.name
        raise EncoderError(
            f"the archive was made with model {archive.encoder_id!r}, but {archive.name} holds another one now; "
            "bring it back, or index into a new archive"
        )
    raise EncoderError(
        f"the archive was made with encoder {archive.encoder_id!r}, which this version does not have; index into a new one"
    )


def encoder_of(archive: Archive) -> Encoder:
    """The encoder that an archive was made with. Raises EncoderError when this version does not have it."""
    return load_encoder(encoder_name(archive))


def _share(words: Sequence[str], line: str) -> float:
    """Share of a line, spaces not counted, that the words in it make up."""
    length = sum(len(word) for word in words if word in line)
    return round(min(1.0, length / (len(line) - line.count(" "))), SCORE_DECIMALS) if length else 0.0


def _failed_row(path: str, error: str) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = dict(_stat(Path(path)))
    except ReadError:
        facts = {}
    return {**facts, "status": "failed", "message": portable(error), "folded": fold(portable(os.path.basename(path)))}


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)


# --- the database ----------------------------------------------------------------------------------------------------


def _arrow() -> Any:
    import pyarrow

    return pyarrow


def _schema(dim: int) -> pa.Schema:
    pa = _arrow()
    columns = [pa.field(name, SCALAR_TYPES[kind]()) for name, (kind, _) in COLUMNS.items() if name != "id"]
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=KEY),
            *columns,
            pa.field("folded", pa.string()),  # what `Archive.find_text` searches
            pa.field("sketch", pa.binary()),  # `verify.pack`
            pa.field("strokes", pa.binary()),  # `inventory.pack`
            pa.field("thumbnail", pa.binary()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
        ]
    )


def metadata_schema() -> pa.Schema:
    """Columns of the table `METADATA`."""
    pa = _arrow()
    texts = [pa.field(name, pa.string()) for name in ("by", "written", "values")]
    return pa.schema(
        [pa.field("key", pa.string(), nullable=False, metadata=KEY), *texts, pa.field("number", pa.int64())]
    )


def level_schema(dim: int) -> pa.Schema:
    """Columns of the table `LEVEL`."""
    pa = _arrow()
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=KEY),
            pa.field("hash", pa.string()),
            pa.field("sketch", pa.binary()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
        ]
    )


def _connect(address: str) -> Any:
    import lancedb

    # every operation sees what other processes have committed
    return lancedb.connect(address, read_consistency_interval=timedelta(0))


def _is_archive(address: str) -> bool:
    return os.path.isdir(os.path.join(address, "about.lance"))


def _ensure_table(db: Any, name: str, data: Any) -> None:
    try:
        db.create_table(name, data, mode="create")
    except (ValueError, OSError, RuntimeError):
        # it is there already, or another process has just made it; otherwise the first error says more than this one
        if name not in db.list_tables().tables:
            raise


def _ensure_column(db: Any, name: str, type: str) -> None:
    """Add a column of nulls to the table of the drawings, unless it is there already."""
    table = db.open_table("drawings")
    if name in table.schema.names:
        return  # of a migration that was cut off before it was noted
    try:
        table.add_columns({name: f"CAST(NULL AS {type})"})
    except (ValueError, OSError, RuntimeError):
        if name not in db.open_table("drawings").schema.names:  # else another process was faster
            raise


DESCRIBED = frozenset({"format", "encoder", "dim"})  # what a description holds at least


def _described(db: Any) -> bool:
    """Whether the description of an archive is there and whole."""
    try:
        return "about" in db.list_tables().tables and _read_about(db).keys() >= DESCRIBED
    except (OSError, RuntimeError, ValueError):
        return False


def _unchanged(row: Mapping[str, Any]) -> bool:
    """Whether the file of a row is as it was when it was indexed."""
    try:
        return bool(_content_hash(Path(row["root"], row["path"])) == row["hash"])
    except (OSError, DeepDXFError):
        return False


def _read_about(db: Any) -> dict[str, str]:
    return {row["key"]: row["value"] for row in db.open_table("about").search().to_list()}


def _migrate(db: Any, found: int, address: str) -> None:
    newest = 1 + len(MIGRATIONS)
    if found > newest:
        raise ArchiveError(
            f"the archive {address} has format {found}, this version reads up to {newest}; upgrade deepdxf"
        )
    for number in range(found, newest):
        MIGRATIONS[number - 1](db)
        db.open_table("about").update(where="key = 'format'", values={"value": str(number + 1)})


@contextmanager
def database_errors(address: str) -> Iterator[None]:
    """Turn what the database raises into one line."""
    try:
        yield
    except BaseException as error:
        # a panic of the database's native code is no Exception and has no importable type
        if not isinstance(error, (OSError, RuntimeError, ValueError)) and type(error).__name__ != "PanicException":
            raise
        text = " ".join(str(error).split())
        lower = text.lower()
        if "no space left" in lower or "os error 28" in lower or "file too large" in lower or "os error 112" in lower:
            reason = "the disk is full; free some space and run the same command again"
        elif "permission denied" in lower or "read-only file system" in lower:
            reason = "it may not be written; check its permissions"
        else:
            reason = f"it cannot be reached or is damaged: {text[:200]}; if this stays so, index into a new archive"
        raise ArchiveError(f"archive {address}: {reason}") from error
