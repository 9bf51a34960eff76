"""Export and import: a whole archive in one file.

The file is a ZIP that holds ``manifest.json`` (format, encoder, length of vectors, rows and a checksum a table) and a
Parquet file for each table: the drawings with vectors, facts and thumbnails, and what is kept beside them. The
drawing files themselves are not in it; their paths are, as they were where it was exported.

Importing makes a new archive. Nothing of the ZIP is unpacked under a name that it brings along, checksums are verified before
a table is made, and the archive appears under its address when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deepdxf import decisions
from deepdxf.archive import LEVEL, METADATA, Archive, database_errors
from deepdxf.errors import ArchiveError
from deepdxf.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
SIDE_TABLES = (decisions.TABLE, LEVEL, METADATA)  # which an export holds where the archive has them
KIND = "deepdxf archive"  # what the manifest says it is about
MOST_MANIFEST = 1_000_000  # bytes
BATCH = 4096  # rows that are in memory at once
CHUNK = 1 << 20


@dataclass(frozen=True)
class Transferred:
    """What was exported or imported."""

    encoder: str
    rows: Mapping[str, int]  # by table


def export_archive(archive: Archive, path: Path) -> Transferred:
    """Write an archive to one file.

    Raises:
        ArchiveError: the archive is damaged.
        DeepDXFError: the file cannot be written.
    """
    tables = {"drawings": archive.table("drawings")}
    tables |= {name: archive.table(name) for name in SIDE_TABLES if name in archive.tables()}
    listed: dict[str, dict[str, Any]] = {}
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        for name, table in tables.items():
            with file.open(f"{name}.parquet", "w", force_zip64=True) as stream:
                out = _Summing(stream)
                with database_errors(archive.address):
                    rows = _write_parquet(table, out)
            listed[name] = {"rows": rows, "blake2b": out.digest.hexdigest()}
        manifest = {
            "kind": KIND,
            "format": archive.format,
            "encoder": archive.encoder_id,
            "dim": archive.dim,
            "tables": listed,
        }
        file.writestr(MANIFEST, json.dumps(manifest, indent=1), zipfile.ZIP_DEFLATED)
    return Transferred(archive.encoder_id, {name: about["rows"] for name, about in listed.items()})


def import_archive(path: Path, address: str | Path, encoder_ids: Collection[str]) -> Transferred:
    """Make a new archive out of an exported file.

    Args:
        address: a folder that does not exist or is empty, or an address in an object storage.
        encoder_ids: encoders that there are here; vectors of others could not be compared with anything.

    Raises:
        ArchiveError: the file is no export, damaged, of a newer format or a foreign encoder, or something is at the address.
    """
    address = str(address)
    with _opened(path) as file:
        manifest = _manifest(path, file)
        if manifest["encoder"] not in encoder_ids:
            raise ArchiveError(
                f"{path} was made with encoder {manifest['encoder']!r}, which is not known here: name the folder of its model "
                "with --encoder, or index the drawings anew"
            )
        if "://" in address:
            _build(path, file, manifest, address)
        else:
            _build_folder(path, file, manifest, Path(address))
    return Transferred(manifest["encoder"], {name: about["rows"] for name, about in manifest["tables"].items()})


def _build_folder(path: Path, file: zipfile.ZipFile, manifest: Mapping[str, Any], target: Path) -> None:
    """Build beside the target, then move it there."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArchiveError(f"{target} is there already; name a new folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".partial"
        ) as partial:
            made = Path(partial, "archive")
            _build(path, file, manifest, str(made))
            if target.exists():
                target.rmdir()
            os.replace(made, target)
    except OSError as error:
        raise ArchiveError(f"{target} cannot be written: {error.strerror or error}") from error


def _build(path: Path, file: zipfile.ZipFile, manifest: Mapping[str, Any], address: str) -> None:
    """Make the tables; their description, without which there is no archive, comes last."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {}
        for name in manifest["tables"]:
            # the name is one of those that are known, not one that the file brings
            sources[name] = Path(folder, f"{name}.parquet")
            _unpack(path, file, name, manifest["tables"][name], sources[name])
        with _file_errors(path):
            Archive.restore(
                address,
                {name: _batches(path, name, source) for name, source in sources.items()},
                encoder_id=manifest["encoder"],
                dim=manifest["dim"],
                format=manifest["format"],
            )


# --- the file --------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except zipfile.BadZipFile as error:
        raise ArchiveError(f"{path} is no exported archive, or it is damaged: {error}") from error
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror or error}") from error


def _manifest(path: Path, file: zipfile.ZipFile) -> dict[str, Any]:
    """The description of what is in the file, checked.

    Raises:
        ArchiveError: it is missing, or not of the form that `export_archive` writes.
    """
    try:
        if file.getinfo(MANIFEST).file_size > MOST_MANIFEST:
            raise ValueError("its manifest is too large")
        manifest = json.loads(file.read(MANIFEST))
        if manifest["kind"] != KIND:
            raise ValueError(f"it holds {manifest['kind']!r}")
        tables = manifest["tables"]
        if not {"drawings"} <= set(tables) <= {"drawings", *SIDE_TABLES}:
            raise ValueError(f"it holds the tables {', '.join(map(str, tables))[:100]}")
        if not (
            isinstance(manifest["encoder"], str) and 0 < int(manifest["dim"]) <= 65_536 and int(manifest["format"]) > 0
        ):
            raise ValueError("its manifest is incomplete")
        for name in tables:
            int(tables[name]["rows"])
            str(tables[name]["blake2b"])
            file.getinfo(f"{name}.parquet")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ArchiveError(f"{path} is no exported archive: {' '.join(reason.split())}") from error
    return dict(manifest)


def _unpack(path: Path, file: zipfile.ZipFile, name: str, about: Mapping[str, Any], target: Path) -> None:
    """Copy a table's file out of the ZIP, no more than its stated size, and verify its checksum."""
    info = file.getinfo(f"{name}.parquet")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ArchiveError(f"{path} is no exported archive: its tables are compressed again")
    digest = _digest()
    with file.open(info) as source, target.open("wb") as out:
        shutil.copyfileobj(source, _Summing(out, digest), CHUNK)
    if digest.hexdigest() != about["blake2b"]:
        raise ArchiveError(f"{path} is damaged: the checksum of {name} differs; export it again")


def _digest() -> Any:
    return hashlib.blake2b(digest_size=16)


class _Summing:
    """A stream to write to that sums up what it passes on."""

    def __init__(self, stream: IO[bytes], digest: Any = None) -> None:
        self.stream, self.digest = stream, digest or _digest()
        self.closed = False

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        """The stream is its owner's to close."""


def _write_parquet(table: Any, out: _Summing) -> int:
    """Write a table of the database batch by batch; returns its rows."""
    import pyarrow.parquet as parquet

    rows = 0
    with parquet.ParquetWriter(out, table.schema, compression="zstd") as writer:
        for batch in table.search().to_batches(BATCH):
            writer.write_batch(batch.select(table.schema.names))
            rows += batch.num_rows
    return rows


def _batches(path: Path, name: str, source: Path) -> pa.RecordBatchReader:
    """The rows of a table's file, looked at one by one: ids and paths are used later without a second look."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(source)
    schema = file.schema_arrow
    known = decisions.schema().names
    if name == decisions.TABLE and schema.names not in (known, known[:-1]):  # older versions did not keep who decided
        raise ArchiveError(f"{path} is damaged: its decisions have other columns")

    def checked() -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(BATCH):
            for row in batch.select([c for c in CHECKED if c in schema.names]).to_pylist():
                if reason := _suspicious(row):
                    raise ArchiveError(f"{path} is not from `deepdxf export`: {reason}")
            yield batch

    return pa.RecordBatchReader.from_batches(schema, checked())


CHECKED = ("id", "path", "root", "ids", "key", "verdict")
ID, GROUP, DRIVE = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{12}"), re.compile(r"[A-Za-z]:")


def _suspicious(row: Mapping[str, Any]) -> str:
    """What no archive would hold; empty if all is well."""
    for id in [row["id"]] if "id" in row else row.get("ids") or []:
        if not isinstance(id, str) or not ID.fullmatch(id):
            return f"an id is {str(id)[:40]!r}"
    if "verdict" in row and not (GROUP.fullmatch(str(row["key"])) and row.get("verdict") in decisions.VERDICTS):
        return f"a decision is {str(row['key'])[:40]!r}"
    if "path" in row:
        parts = str(row.get("path")).replace("\\", "/").split("/")
        if ".." in parts or not all(parts) or (len(parts) > 1 and DRIVE.fullmatch(parts[0])):
            return f"a path leads out of its folder: {str(row.get('path'))[:80]!r}"
    return ""


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """What is wrong with a table of the file, in one line."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowException as error:
        raise ArchiveError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
